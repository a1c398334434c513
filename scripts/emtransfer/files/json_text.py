"""JSON with one meaning: no duplicate keys, no NaN or infinity, no text that UTF-8 cannot hold."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from emtransfer.errors import InputError, kind_of
from emtransfer.files.text import read_text

BLANKS = " \t\r\n"


class _Refused(Exception):
    """What was found, and what was expected."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping in which no key is repeated."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"key {json.dumps(twice)} appears twice; expected every key once")
    return members


def _no_number(word: str) -> NoReturn:
    raise _Refused(f"{word}, which is not a number; expected null or a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _no_number(digits[:40])
    return number


DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number, parse_float=_finite)


def json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file, one a line or all in a list, each after `file:line`, where it begins; blank lines are passed.

    Raises:
        InputError: the file is of another encoding, or an object is wrong; names file and line.
    """
    text = read_text(path)
    if text.lstrip(BLANKS).startswith("["):
        yield from _members(text, path)
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                place = f"{path}:{number}"
                yield place, parse_object(line, place)


def parse_object(text: str, place: str) -> dict[str, Any]:
    """One object; `place` opens every error message.

    Raises:
        InputError: the text is no single object.
    """
    value, end = _decoded(text, _passed(text, 0), place)
    rest = _passed(text, end)
    if rest < len(text):
        raise InputError(f"{place}: Extra data at column {rest + 1}; expected one JSON object.")
    return _as_object(value, text, place)


def _members(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list, read one after the other, so that each has its line."""
    at, line, counted = _passed(text, text.index("[") + 1), 1, 0
    while at < len(text) and text[at] != "]":
        line, counted = line + text.count("\n", counted, at), at
        place = f"{path}:{line}"
        value, end = _decoded(text, at, place)
        yield place, _as_object(value, text[at:end], place)
        at = _passed(text, end)
        if text[at : at + 1] not in (",", "]"):
            raise InputError(f"{place}: no comma or bracket after this object; expected one list of JSON objects.")
        at = _passed(text, at + 1) if text[at] == "," else at
    if not text[at:].startswith("]") or _passed(text, at + 1) < len(text):
        raise InputError(f"{path}: text follows the list; expected one list of JSON objects.")


def _passed(text: str, at: int) -> int:
    """The place of the first character from here on that is not blank."""
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _decoded(text: str, at: int, place: str) -> tuple[Any, int]:
    """The value that begins here, and where it ends."""
    try:
        return DECODER.raw_decode(text, at)
    except _Refused as error:
        raise InputError(f"{place}: {error}.") from None
    except json.JSONDecodeError as error:
        # counted within the value's own line
        raise InputError(
            f"{place}: {error.msg.removesuffix(' at')} at column {error.colno}; expected one JSON object."
        ) from None
    except RecursionError:
        raise InputError(f"{place}: too deeply nested; expected one JSON object with fewer levels.") from None
    except ValueError:
        # Python's own limit, which keeps a number from taking minutes
        raise InputError(f"{place}: a whole number of more than 4,300 digits; expected fewer.") from None


def _as_object(value: Any, text: str, place: str) -> dict[str, Any]:
    """The value, where it is an object whose texts UTF-8 can hold."""
    if not isinstance(value, dict):
        raise InputError(f"{place}: found {kind_of(value)}; expected one JSON object.")
    # only an escape can make half of a surrogate pair
    if "\\ud" in text or "\\uD" in text:
        for name, part in value.items():
            try:
                json.dumps([name, part], ensure_ascii=False).encode()
            except UnicodeEncodeError:
                shown = name.encode("ascii", "backslashreplace").decode()
                raise InputError(
                    f"{place}: {shown} holds half of a surrogate pair; expected valid Unicode text."
                ) from None
    return value
