"""JSON on a script's command line: as text, as rules write it, or as a file, for a job that is run by hand."""

import json
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

# a mapping with these keys is the manifest of an artefact, with the settings that made it
OF_A_MANIFEST = {"settings", "seed", "code"}
EXPECTED = "a mapping in JSON, or @ and the path of a JSON file"


def json_argument(text: str) -> dict[str, Any]:
    """The mapping that an argument gives, for `type=` of argparse.

    Args:
        text: JSON, or `@` and the path of a JSON file; a manifest.json stands for its member `settings`.

    Raises:
        ArgumentTypeError: there is no such file, or its text is not a mapping in JSON; argparse adds the argument's name.
    """
    named = shortened(text)
    try:
        value = json.loads(Path(text.removeprefix("@")).read_text(encoding="utf-8") if text.startswith("@") else text)
    except OSError as error:
        raise ArgumentTypeError(f"{named} cannot be read ({error.strerror}); expected {EXPECTED}") from None
    except ValueError as error:
        raise ArgumentTypeError(f"{named} is not JSON ({error}); expected {EXPECTED}") from None
    if isinstance(value, dict) and value.keys() >= OF_A_MANIFEST:
        value = value["settings"]
    if not isinstance(value, dict):
        raise ArgumentTypeError(f"{named} is not a mapping; expected {EXPECTED}")
    return value


def shortened(text: str) -> str:
    """A text on a line, cut to what fits there."""
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."
