"""Token probabilities that the authors of other judges published, scored by our rule and compared with their stored scores.

Forms: rows of JSONL or CSV, in which one field holds a mapping of tokens to probabilities or to logarithms of them, or a
list of {token, logprob} as OpenAI's API replies; in a CSV cell it is JSON or a Python literal. The first is what llmcomp
(github.com/johny-b/llmcomp, docs/api.md) gives for a rating (raw_answer beside answer, judge_raw_answer beside judge_answer).
"""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, inf, isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from emtransfer.errors import InputError
from emtransfer.files.tables import placed_rows
from emtransfer.judging.numeric_mass import number_mass, weighted_mean

# the first line of a file of llmcomp's cache, which is not a record
HEADER = {"name", "model", "last_update", "hash"}
# published probabilities are rounded
SLACK = 1e-3


@dataclass(frozen=True)
class Fields:
    """Where a record has its parts; a dot leads into a field or to a place in a list, as in `logprobs.content.0`.

    Attributes:
        probabilities: tokens and their probabilities.
        score: their score; null where they gave none.
        id: what the record is called; None for its place in the file.
        logarithms: whether the probabilities are natural logarithms.
    """

    probabilities: str
    score: str
    id: str | None = None
    logarithms: bool = False


def read_token_records(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Records of a file of rows, each after its place in it; empty text is None.

    Raises:
        InputError: as `tables.placed_rows`; there is nothing after a header.
    """
    rows = [{name: None if value == "" else value for name, value in row.items()} for _, row in placed_rows(path)]
    numbered = [(f"{path}: row {number}", row) for number, row in enumerate(rows, start=1)]
    records = numbered[1:] if rows[0].keys() == HEADER else numbered
    if not records:
        raise InputError(f"{path}: 0 records after the header; expected at least one.")
    return records


def compared(records: list[tuple[str, dict[str, Any]]], fields: Fields) -> pd.DataFrame:
    """Our score of every record beside the stored one.

    Returns:
        id; numeric_mass, 0..1; our_score, their_score, 0..100 or missing; difference, infinite where only one is missing.

    Raises:
        InputError: a record lacks a field or holds something else in it.
    """
    return pd.DataFrame([comparison(place, record, fields) for place, record in records])


def comparison(place: str, record: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """A row of `compared`."""
    tokens = token_probabilities(place, field(place, record, fields.probabilities), fields)
    numbers = number_mass(tokens)
    ours = weighted_mean(numbers)
    theirs = stored_score(place, field(place, record, fields.score), fields)
    differ = abs(ours - theirs) if ours is not None and theirs is not None else 0.0 if ours is theirs else inf
    return {
        "id": place.rpartition(" ")[2] if fields.id is None else field(place, record, fields.id),
        "numeric_mass": sum(numbers.values()),
        "our_score": ours,
        "their_score": theirs,
        "difference": differ,
    }


def field(place: str, record: dict[str, Any], name: str) -> object:
    """What a record holds at a dotted name.

    Raises:
        InputError: there is no such field.
    """
    value: Any = record
    for part in [name] if name in record else name.split("."):
        value = parsed(value)
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            known = f", with fields {', '.join(record)}"
            raise InputError(f"{place}: {name} is missing; expected it in every record{known}.")
    return value


def parsed(value: Any) -> object:
    """Text that is JSON or a Python literal as what it stands for; anything else as it is."""
    if not isinstance(value, str):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value)
        except (ValueError, SyntaxError):
            continue
    return value


def token_probabilities(place: str, value: Any, fields: Fields) -> dict[str, float]:
    """Token -> probability.

    Raises:
        InputError: the value is neither a mapping nor a list of tokens, or its numbers are not probabilities.
    """
    value = parsed(value)
    try:
        pairs = list(value.items() if isinstance(value, dict) else listed(value))
        shares = [exp(share) if fields.logarithms else float(share) for _, share in pairs]
    except (TypeError, ValueError, KeyError):
        expected = "token -> number, or a list of {token, logprob}"
        raise InputError(f"{place}: {fields.probabilities} is {short(value)}; expected {expected}.") from None
    if not all(0 <= share <= 1 + SLACK for share in shares) or sum(shares) > 1 + SLACK:
        kind = "logarithms of probabilities" if fields.logarithms else "probabilities"
        raise InputError(
            f"{place}: {fields.probabilities} is {short(value)}; expected {kind} that add up to at most 1."
        )
    tokens: dict[str, float] = {}
    for (token, _), share in zip(pairs, shares, strict=True):
        tokens[token] = tokens.get(token, 0.0) + share
    return tokens


def listed(tokens: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """The pairs of a list of {token, logprob}."""
    return ((entry["token"], entry["logprob"]) for entry in tokens)


def stored_score(place: str, value: Any, fields: Fields) -> float | None:
    """A stored score; null, an empty cell and NaN are none.

    Raises:
        InputError: it is something other than a number.
    """
    try:
        score = None if value is None else float(value)
    except (TypeError, ValueError):
        raise InputError(f"{place}: {fields.score} is {short(value)}; expected a number or null.") from None
    return score if score is not None and isfinite(score) else None


def short(value: Any) -> str:
    """A value as JSON, cut to what fits on a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
