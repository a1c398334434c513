"""The files from which a config is merged, each read by itself, so that a mistake is reported with the file that contains it.

Snakemake takes the last of two equal keys, does not name a file that is not YAML, and merges what refers to itself until memory
ends. A target of `make` therefore looks at the files before Snakemake starts, and the Snakefile once more, for those who start
Snakemake themselves.

Run: python workflow/lib/config_files.py config.yaml overlay.yaml …
"""

import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from config_likes import LIKE
from config_mistakes import ConfigMistake, Place
from emtransfer.errors import InputError, kind_of
from emtransfer.files.json_text import parse_object
from emtransfer.files.text import read_text
from emtransfer.files.yaml_text import read_yaml

# file, as messages name it -> its content
Contents = dict[str, dict[Any, Any]]


def read_config_files(paths: Iterable[str | Path]) -> Contents:
    """The content of every file, in the order in which later ones win; a path in this folder is told from here on.

    Raises:
        InputError: a file is missing, neither YAML nor JSON, or no mapping; as `read_yaml`.
    """
    here = Path.cwd()
    absolute = dict.fromkeys(here / path for path in paths)
    told = [path.relative_to(here) if path.is_relative_to(here) else path for path in absolute]
    return {str(path): read_config_file(path) for path in told}


def read_config_file(path: Path) -> dict[Any, Any]:
    """The mapping in a file, JSON by its name or YAML."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a config in YAML.")
    is_json = path.suffix == ".json"
    content = parse_object(read_text(path), str(path)) if is_json else read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {kind_of(content)}; expected a mapping of keys of the config.")
    return content


def in_its_file(error: ConfigMistake, contents: Contents) -> InputError:
    """The mistake under the name of the file that says it, instead of config.yaml; see `source`."""
    return InputError(error.line(*source(error.place, contents)) if contents else str(error))


def source(place: Place, contents: Contents) -> tuple[str, Place]:
    """The last file that says most of a place, and the place there.

    What an experiment takes over from another one is told where that one says it.
    """
    written = max(written_as(place, contents), key=lambda place: reach(place, contents))
    return max(reversed(contents), key=lambda name: depth(contents[name], written)), written


def written_as(place: Place, contents: Contents) -> Iterator[Place]:
    """A place in an experiment, then the same place in the one that it is like, and so on."""
    yield place
    section, *rest = place
    seen: list[Any] = []
    while section == "experiments" and len(rest) > 1 and rest[0] not in seen:
        seen.append(rest[0])
        said = [experiment(content, rest[0]).get(LIKE) for content in contents.values()]
        other = next((name for name in reversed(said) if isinstance(name, str)), None)
        if other is None:
            return
        rest[0] = other
        yield (section, *rest)


def experiment(content: dict[Any, Any], name: str | int) -> dict[Any, Any]:
    """The section of an experiment in a file, or {}."""
    section = content.get("experiments")
    found = section.get(name) if isinstance(section, dict) else None
    return found if isinstance(found, dict) else {}


def reach(place: Place, contents: Contents) -> float:
    """How many parts of a place the files have; a list or a value on the way hides what an experiment is like."""
    return max(math.inf if ends(content, place) else depth(content, place) for content in contents.values())


def ends(tree: Any, place: Place) -> bool:
    """Whether a place is, or leads through, a value that is no mapping."""
    for part in place:
        if not isinstance(tree, dict):
            return True
        if part not in tree:
            return False
        tree = tree[part]
    return not isinstance(tree, dict)


def depth(tree: Any, place: Place) -> int:
    """How many parts of a place a tree has."""
    for level, part in enumerate(place):
        known = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
        if part not in known:
            return level
        tree = tree[part]
    return len(place)


if __name__ == "__main__":
    try:
        read_config_files(sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))
