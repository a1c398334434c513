"""Settings: their kinds of values, and the making of a stage's dataclass from JSON.

The dataclass that reads a section of the config is its only description: types, limits and defaults here, a line on every key
under `Attributes` in its docstring. The schema of the config, the keys that rules pass to jobs and the reference page are written
from it by `make schema`, with annotations of `annotated_types` as pydantic reads them.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MinLen

from emtransfer.errors import InputError

Kind = TypeVar("Kind")


class Pattern(NamedTuple):
    """Text that matches a regular expression, what such a text is called, and what it is to someone who wrote another."""

    regex: str
    noun: str
    words: str


class Distinct(NamedTuple):
    """A list or mapping without a value twice."""


class Absent(NamedTuple):
    """A key that may be left out, where null would mean nothing."""


class Elsewhere(NamedTuple):
    """A field that is not in the section: a job has it from another place."""


Positive = Annotated[int, Ge(1)]
Count = Annotated[int, Ge(0)]
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
Score = Annotated[float, Ge(0), Le(100)]
Share = Annotated[float, Ge(0), Le(1)]
Rate = Annotated[float, Gt(0)]
Weight = Annotated[float, Ge(0)]
Dropout = Annotated[float, Ge(0), Lt(1)]
# limits of numbers: the attribute that holds each, how it compares, and in words
LIMITS: dict[type, tuple[str, Callable[[Any, Any], bool], str]] = {
    Ge: ("ge", operator.ge, "at least"),
    Gt: ("gt", operator.gt, "above"),
    Le: ("le", operator.le, "at most"),
    Lt: ("lt", operator.lt, "below"),
}
# names become folders; the look-ahead forbids the line break that $ lets pass
Name = Annotated[str, Pattern("^[a-z0-9_]+$(?!\n)", "name", "a name of a-z, 0-9 and _")]
Cell = Annotated[
    str, Pattern("^[a-z0-9_]+-[a-z0-9_]+$(?!\n)", "cell, domain-task", "a cell, domain-task, of a-z, 0-9 and _")
]
TrainSet = Annotated[
    str,
    Pattern("^[a-z0-9_]+(-[a-z0-9_]+)?$(?!\n)", "cell or name", "a cell, domain-task, or a name, of a-z, 0-9 and _"),
]
# a file that jobs have as input, where Snakemake would take braces for wildcards
File = Annotated[str, Pattern("^[^{}\n]+$(?!\n)", "file", "the path of a file, without braces and line breaks")]
Commit = Annotated[str, Pattern("^[0-9a-f]{40}$", "commit, 40 hex digits", "a commit, 40 hex digits")]
Date = Annotated[str, Pattern(r"^\d{4}-\d{2}-\d{2}$", "date, YYYY-MM-DD", "a date, YYYY-MM-DD")]
# a name in a chat template, where quotes and braces mean something
Word = Annotated[str, Pattern("^[A-Za-z]+$(?!\n)", "word", "a word of A-Z and a-z")]
Text = Annotated[str, Pattern(r"\S", "text", "text that is not blank")]
Names = Annotated[tuple[Name, ...], MinLen(1), Distinct()]
Cells = Annotated[tuple[Cell, ...], MinLen(1), Distinct()]
Texts = Annotated[tuple[str, ...], MinLen(1), Distinct()]


@dataclass(frozen=True)
class Repository:
    """A repository of the hub at a fixed commit.

    Attributes:
        path: Repository on the hub, owner/name, or a local folder with the same files.
        revision: Commit of the repository; null for a local folder.
    """

    path: str
    revision: Commit | None = None


def read_settings(kind: type[Kind], section: Mapping[str, Any]) -> Kind:
    """A stage's settings, and the dataclasses in them, from their JSON.

    Args:
        kind: a dataclass.
        section: its fields by name; those with a default may be missing.

    Raises:
        InputError: a key is unknown or missing, or a number beyond its limits.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = next((name for name in section if name not in known), None)
    if unknown is not None:
        raise InputError(
            f"settings: {unknown} is not a key of this section; expected one of {', '.join(sorted(known))}."
        )
    missing = next((name for name in required(kind) if name not in section), None)
    if missing is not None:
        raise InputError(f"settings: {missing} is missing; expected all of {', '.join(required(kind))}.")
    hints = get_type_hints(kind, include_extras=True)
    for name, value in section.items():
        refuse_beyond_limits(name, value, hints[name])
    return kind(**{name: read_value(hints[name], value) for name, value in section.items()})


def required(kind: type) -> list[str]:
    """The fields of a dataclass without a default."""
    return [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]


def refuse_beyond_limits(name: str, value: Any, hint: Any) -> None:
    """Refuse a number, or a value that is not a number where limits ask for one, which a job that is started by hand may be given."""
    limits = [(LIMITS[type(part)], part) for part in getattr(hint, "__metadata__", ()) if type(part) in LIMITS]
    for (attribute, holds, words), part in limits:
        limit = getattr(part, attribute)
        if isinstance(value, bool) or not isinstance(value, int | float) or not holds(value, limit):
            raise InputError(f"settings: {name} is {value!r}; expected a number {words} {limit}.")


def read_value(hint: Any, value: Any) -> Any:
    """A value of a section, with dataclasses where its type has them."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if is_dataclass(hint) and isinstance(value, Mapping):
        return read_settings(hint, value)  # type: ignore[arg-type]
    inner = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return read_value(next((option for option in inner if is_dataclass(option)), None), value)
    if get_origin(hint) is dict and isinstance(value, Mapping):
        return {name: read_value(inner[1], part) for name, part in value.items()}
    if get_origin(hint) is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(read_value(inner[0], part) for part in value)
    return value
