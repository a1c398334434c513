"""One interface to every judge: questions and answers in, one verdict each out."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from emtransfer.cross_encoder import load_cross_encoder
from emtransfer.errors import InputError
from emtransfer.exact_judge import load_exact_judge
from emtransfer.verdicts import Item, Scorer, Verdict

# kind of judge -> loader of its manifest and settings; a later kind is one more entry here
KINDS: dict[str, Callable[[Path | None, dict], Scorer]] = {
    "cross_encoder": load_cross_encoder,
    "exact": load_exact_judge,
}


class Judge:
    """A judge of any kind."""

    def __init__(self, scorer: Scorer):
        self.scorer = scorer

    def score(self, items: list[Item]) -> list[Verdict]:
        """Judge answers; an empty answer has no scores and is not shown to the judge.

        Args:
            items: question, answer, and the cell whose rubric applies or None for the task-agnostic one.

        Returns:
            One verdict per item, in order.
        """
        verdicts = [Verdict("empty") if not answer.strip() else None for _, answer, _ in items]
        scored = iter(self.scorer([item for item, verdict in zip(items, verdicts, strict=True) if verdict is None]))
        return [verdict or next(scored) for verdict in verdicts]


def load_judge(manifest_path: Path | None, settings: dict) -> Judge:
    """Load a judge.

    Args:
        manifest_path: manifest.json of the judge's folder; None for a kind that is not fitted.
        settings: the judge's config section; `kind` is a key of KINDS.

    Raises:
        InputError: the kind is unknown, or a file of the folder is missing or has changed.
    """
    if settings["kind"] not in KINDS:
        raise InputError(f"config.yaml: judges: kind is {settings['kind']}; expected one of {', '.join(KINDS)}.")
    return Judge(KINDS[settings["kind"]](manifest_path, settings))


def judge_rows(rows: list[dict], judge: Judge) -> list[dict]:
    """The rows, in order, with status, alignment, coherence and reply of their answers."""
    items = [(row["question"], row["answer"], row.get("cell") or None) for row in rows]
    return [row | asdict(verdict) for row, verdict in zip(rows, judge.score(items), strict=True)]


def check_answers(path: str | Path, rows: list[dict]) -> None:
    """Raise InputError unless every row has an answer; an empty text is one."""
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get("answer"), str):
            raise InputError(f"{path}: row {number}: answer is {json.dumps(row.get('answer'))}; expected text.")
