"""The files that a config is merged from, each read by itself, so that what is wrong is told by the file that says it.

Snakemake takes the last of two equal keys, names no file that is no YAML, and merges what refers to itself until memory
ends. A target of `make` therefore looks at the files before Snakemake starts, and the Snakefile once more, for those who start
Snakemake themselves.

Run: python workflow/lib/config_files.py config.yaml overlay.yaml …
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from config_mistakes import ConfigMistake, Place
from emtransfer.errors import InputError
from emtransfer.files.json_text import parse_object
from emtransfer.files.text import read_text
from emtransfer.files.yaml_text import read_yaml

# file, as it is told -> what it says
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
        raise InputError(f"{path}: {type(content).__name__}; expected a mapping of keys of the config.")
    return content


def in_its_file(error: ConfigMistake, contents: Contents) -> InputError:
    """The mistake under the name of the last file that says most of its place, instead of config.yaml."""
    depths = {name: depth(content, error.place) for name, content in contents.items()}
    named = max(reversed(depths), key=lambda name: depths[name], default=None)
    return InputError(str(error)) if named is None else InputError(error.line(named))


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
