"""YAML with one meaning: no duplicate keys, no value that refers to itself, no few lines that stand for millions of values."""

from pathlib import Path
from typing import Any

import yaml

from emtransfer.errors import InputError
from emtransfer.files.text import read_text

MERGE = "tag:yaml.org,2002:merge"
# once every alias is written out; the longest config of the project has a thousandth
MOST_VALUES = 1_000_000


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; None where it is empty.

    Raises:
        InputError: the file is of another encoding or not YAML, a key appears twice in a mapping, a value refers to itself or
            is repeated beyond MOST_VALUES; names file and line. A merge key (`<<`) may be overridden.
    """
    try:
        # in Python, since libyaml's recursion ends the process where this one ends in an error
        loader = yaml.SafeLoader(read_text(path))
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, path, {}, ())
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        hint = ", indented with blanks, not tabs" if "\\t" in str(error.problem) else ""
        raise InputError(f"{place}: {' '.join(str(error.problem).split())[:160]}; expected YAML{hint}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())[:160]}; expected YAML.") from None
    except RecursionError:
        raise InputError(f"{path}: too deeply nested; expected YAML with fewer levels.") from None
    except ValueError as error:
        # a date that does not exist, or an infinite number
        raise InputError(f"{path}: {' '.join(str(error).split())[:160]}; expected YAML.") from None


def _check(node: yaml.Node, path: Path, sizes: dict[int, int], keys: tuple[str, ...]) -> int:
    """Values at and below a node, with every alias written out; `keys` lead to it, `sizes` holds the nodes seen before."""
    place = f"{path}:{node.start_mark.line + 1}"
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise InputError(f"{place}: {'.'.join(keys)} refers to itself; expected values that end.")
        return sizes[id(node)]
    # 0 while the nodes below are counted
    sizes[id(node)] = 0
    size = 1
    if isinstance(node, yaml.MappingNode):
        _refuse_repeated(node, path, keys)
        for key, value in node.value:
            size += _check(key, path, sizes, keys) + _check(value, path, sizes, (*keys, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            size += _check(value, path, sizes, (*keys, str(index)))
    elif node.value != node.value.encode("utf-8", "replace").decode():
        raise InputError(f"{place}: {'.'.join(keys)} holds half of a surrogate pair; expected valid Unicode text.")
    if size > MOST_VALUES:
        raise InputError(
            f"{place}: {'.'.join(keys)} stands for more than {MOST_VALUES:,} values; expected fewer aliases."
        )
    sizes[id(node)] = size
    return size


def _refuse_repeated(node: yaml.MappingNode, path: Path, keys: tuple[str, ...]) -> None:
    """Raise InputError for the first key that a mapping has twice."""
    first: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
            continue
        line, known = key.start_mark.line + 1, (key.tag, key.value)
        if known in first:
            name = ".".join((*keys, key.value))
            raise InputError(
                f"{path}:{line}: key {name} appears twice; expected it once, here or in line {first[known]}."
            )
        first[known] = line
