"""Roles that others have published, used for a cell once hashes show that its questions are those of the corpus."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from emtransfer.errors import InputError, counted, told
from emtransfer.files.tables import placed_rows
from emtransfer.settings import File

ROLES = ("train", "eval")
SHA256 = re.compile(r"[0-9a-f]{64}")

# cell -> SHA-256 of a question's UTF-8 text -> its role
Split = dict[str, dict[str, str]]


@dataclass(frozen=True)
class PublishedSplitSettings:
    """A published split, whose train and eval questions are found in the corpus by their hashes.

    It has at least as many eval questions of a cell as `eval` says.

    Attributes:
        path: JSONL or CSV with cell (or domain and task), question_sha256 (or question) and role of every question.
        otherwise: Treatment of a cell whose questions do not match: the run stops, or the cell gets the seeded split.
    """

    path: File
    otherwise: Literal["error", "own_split"] = "error"


@dataclass(frozen=True)
class PublishedRoles:
    """The roles that a published split gives to the rows of a corpus.

    Attributes:
        roles: cell that matches -> role of each of its rows, in order.
        unmatched: cell that does not -> questions that the file or the corpus alone has.
    """

    roles: dict[str, list[str]] = field(default_factory=dict)
    unmatched: dict[str, int] = field(default_factory=dict)


def question_sha256(question: str) -> str:
    """The hash that identifies a question: 64 hex digits."""
    return hashlib.sha256(question.encode("utf-8")).hexdigest()


def read_split(path: Path) -> Split:
    """Read a published split.

    Raises:
        InputError: the file is missing or empty, or a row is wrong; names file and line.
    """
    split: Split = {}
    for place, row in placed_rows(path):
        cell, digest, role = parse_row(place, row)
        if split.setdefault(cell, {}).setdefault(digest, role) != role:
            raise InputError(
                f"{place}: role is {role!r}, but an earlier row gives this question another; expected one role."
            )
    return split


def parse_row(place: str, row: dict[str, Any]) -> tuple[str, str, str]:
    """Cell, hash and role of one row; `place` (file:line) opens every error message.

    Raises:
        InputError: a field is missing or of another form, or the hash is not that of the question.
    """
    cell, question, digest = row.get("cell"), row.get("question"), row.get("question_sha256")
    if not cell and row.get("domain") and row.get("task"):
        cell = f"{row['domain']}-{row['task']}"
    if not isinstance(cell, str) or not cell:
        raise InputError(f"{place}: cell is {told(cell)}; expected domain-task, or domain and task.")
    if row.get("role") not in ROLES:
        raise InputError(f"{place}: role is {told(row.get('role'))}; expected train or eval.")
    if digest and not (isinstance(digest, str) and SHA256.fullmatch(digest)):
        raise InputError(f"{place}: question_sha256 is {str(digest)[:70]!r}; expected 64 lowercase hex digits.")
    if question and not (isinstance(question, str) and question == question.encode("utf-8", "replace").decode()):
        raise InputError(f"{place}: question is {str(question)[:60]!r}; expected UTF-8 text.")
    if not digest and not question:
        raise InputError(f"{place}: no question_sha256 and no question; expected one of them.")
    if question and digest not in (None, "", question_sha256(question)):
        raise InputError(f"{place}: question_sha256 is {digest}; expected {question_sha256(question)}, the question's.")
    return cell, digest or question_sha256(str(question)), row["role"]


def published_roles(
    cells: dict[str, list[dict[str, Any]]], split: Split, settings: PublishedSplitSettings, corpus: str
) -> PublishedRoles:
    """The roles of the rows of every cell whose questions are those of the split.

    In a cell of which the split lists eval questions alone, all others train. Cells of the split that the corpus does not
    have are passed over.

    Args:
        cells: cell of the grid -> its rows.
        corpus: its name in the config, for error messages.

    Raises:
        InputError: a cell does not match, and `otherwise` is error; names the cell, how many questions and the first.
    """
    found = PublishedRoles()
    for cell, rows in cells.items():
        listed = split.get(cell, {})
        own = {question_sha256(row["question"]): row["id"] for row in rows}
        whole = set(listed.values()) != {"eval"}
        unmatched = [f"SHA-256 {digest}, in the file alone" for digest in listed if digest not in own]
        unmatched += [f"{name}, in the corpus alone" for digest, name in own.items() if whole and digest not in listed]
        if not unmatched:
            found.roles[cell] = [listed.get(question_sha256(row["question"]), "train") for row in rows]
        elif settings.otherwise == "own_split":
            found.unmatched[cell] = len(unmatched)
        else:
            raise InputError(
                f"config: corpora.{corpus}.roles.published.path is {settings.path}, which does not match "
                f"{counted(len(unmatched), 'question')} of {cell}, the first {unmatched[0]}; expected the same questions in both, or otherwise: own_split."
            )
    return found
