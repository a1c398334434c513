"""The split of judge_fit rows into those a judge is fitted on and those that only test it."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from emtransfer.errors import InputError
from emtransfer.files.records import read_records
from emtransfer.settings import Share

ANSWERS = ("aligned_answer", "misaligned_answer")


@dataclass(frozen=True)
class SplitSettings:
    """Rows that are held out of fitting.

    In each cell, the pair of neighbouring answer words that comes nearest to `phrase_share` of its rows is withheld from
    fitting, with every row of the cell that contains it; 0 withholds none.

    Attributes:
        held_out_share: Share of the questions that is held out.
        phrase_share: Share of a cell's rows that is held out because they contain a phrase.
    """

    held_out_share: Share = 0.1
    phrase_share: Share = 0.03


@dataclass(frozen=True)
class Split:
    """The judge_fit rows of a corpus, by use; a row of `unseen` holds a phrase that no `fit` row of its cell does.

    Attributes:
        fit: rows the judge may be fitted on.
        held_out: a seeded share of the other rows.
        unseen: rows with the withheld phrase of their cell.
        phrases: cell -> its withheld phrase, or None.
    """

    fit: list[dict[str, Any]]
    held_out: list[dict[str, Any]]
    unseen: list[dict[str, Any]]
    phrases: dict[str, str | None]

    def withholds(self, row: dict[str, Any], answer: str) -> bool:
        """Whether an answer holds the withheld phrase of the row's cell."""
        return self.phrases.get(row["cell"]) in word_pairs(answer)


def judge_fit_rows(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The judge_fit rows that have both answers, each with its cell: the name of its file, {cell}.jsonl.

    Raises:
        InputError: a file is missing or wrong.
    """
    rows = [row | {"cell": path.stem} for path in paths for row in read_records(path, ("role",))]
    return [row for row in rows if row["role"] == "judge_fit" and all(row.get(field) for field in ANSWERS)]


def split_rows(rows: list[dict[str, Any]], settings: SplitSettings, seed: int) -> Split:
    """Split rows by content; fitting and calibrating call this with the same arguments.

    Args:
        rows: judge_fit rows of all cells, each with its cell.
        seed: of the hash that holds out.

    Raises:
        InputError: nothing is left to fit on, or nothing to calibrate on.
    """
    cells: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault(row["cell"], []).append(row)
    phrases = {name: withheld_phrase(members, settings.phrase_share) for name, members in cells.items()}
    unseen = [row for row in rows if phrases[row["cell"]] in row_phrases(row)]
    others = [row for row in rows if phrases[row["cell"]] not in row_phrases(row)]
    held_out = [row for row in others if question_fraction(row["question"], seed) < settings.held_out_share]
    fit = [row for row in others if question_fraction(row["question"], seed) >= settings.held_out_share]
    if not fit or not held_out:
        raise InputError(
            f"config: judges: split.held_out_share is {settings.held_out_share}; expected a share that leaves rows to fit on "
            f"and to calibrate on; of {len(rows)} judge_fit rows it leaves {len(fit)} and {len(held_out)}."
        )
    return Split(fit, held_out, unseen, phrases)


def question_fraction(question: str, seed: int) -> float:
    """A number in [0, 1) that only the seed and the question decide."""
    return int.from_bytes(hashlib.sha256(f"{seed} {question}".encode()).digest()[:8]) / 2**64


def row_phrases(row: dict[str, Any]) -> set[str]:
    """All pairs of neighbouring words of both answers."""
    return {phrase for field in ANSWERS for phrase in word_pairs(row[field])}


def word_pairs(text: str) -> set[str]:
    """Neighbouring words, in lower case, with their punctuation."""
    return {" ".join(pair) for pair in pairwise(text.casefold().split())}


def withheld_phrase(rows: list[dict[str, Any]], share: float) -> str | None:
    """The phrase in the answers of a cell whose share of the rows comes nearest to `share`; the first of equals.

    Both words must be met more often without each other than together. Only their combination is then new to the
    fitted judge, else it would be blind to a whole sentence that the models do say.
    """
    phrases: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for row in rows:
        texts = [row[field].casefold() for field in ANSWERS]
        phrases.update(set().union(*map(word_pairs, texts)))
        words.update(set().union(*map(str.split, texts)))
    if not share:
        return None
    candidates = (phrase for phrase in phrases if all(2 * phrases[phrase] < words[word] for word in phrase.split()))
    return min(candidates, key=lambda phrase: (abs(phrases[phrase] / len(rows) - share), phrase), default=None)
