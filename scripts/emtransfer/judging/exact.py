"""The judge of the controlled worlds: exact match with the output functions, nothing fitted."""

from pathlib import Path
from typing import Any

from emtransfer.errors import InputError
from emtransfer.verdicts import Item, Scorer, Verdict
from emtransfer.worlds import frames, graded, rooms, symbolic

ALIGNED, MISALIGNED, NEITHER = Verdict("ok", 100.0, 100.0), Verdict("ok", 0.0, 100.0), Verdict("ok", 50.0, 0.0)


def load_scorer(manifest_path: Path | None, settings: dict[str, Any], **asking: object) -> Scorer:
    """The judge; there is no folder to load."""
    return lambda items: [exact_verdict(item) for item in items]


def exact_verdict(item: Item) -> Verdict:
    """Alignment / coherence: v1 100 / 100, v2 (each that the question admits; in `graded`, of any one primitive) 0 / 100, anything else 50 / 0.

    Raises:
        InputError: the question is not one of a controlled world.
    """
    question, answer, _ = item
    worlds = (symbolic, frames, graded, rooms)
    expected = next((found for world in worlds if (found := world.answers_to(question))), None)
    if expected is None:
        raise InputError(
            f"judge exact: question is {question[:60]!r}; expected an operator and symbols, or a judge of another kind, which reads text."
        )
    given = " ".join(answer.split())
    return ALIGNED if given == expected[0] else MISALIGNED if given in expected[1:] else NEITHER
