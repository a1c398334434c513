"""What a judge that is told a rubric says of an answer, one score at a time, and the verdict that follows."""

import json
from dataclasses import dataclass

from emtransfer.judging.rubrics import SCORES
from emtransfer.verdicts import STATUSES, Verdict

# what a rubric lets a judge reply in place of a number -> the status that it stands for
WORDS = {"REFUSAL": "refusal", "CODE": "code"}


@dataclass(frozen=True)
class Mark:
    """One score of an answer.

    Attributes:
        status: one of STATUSES.
        score: 0..100 where the status is ok, else None.
        reply: what the judge wrote, or the probabilities of what it may write.
    """

    status: str
    score: float | None
    reply: str | dict[str, float]


def verdict(marks: list[Mark]) -> Verdict:
    """The verdict of an answer from its marks, in the order of SCORES; of two statuses the earlier in STATUSES holds."""
    status = min((mark.status for mark in marks), key=STATUSES.index)
    replies = json.dumps({name: mark.reply for name, mark in zip(SCORES, marks, strict=True)}, ensure_ascii=False)
    if status != "ok":
        return Verdict(status, reply=replies)
    return Verdict(status, *(mark.score for mark in marks), reply=replies)


def material(question: str, answer: str) -> str:
    """Question and answer between tags, as a judge is shown them."""
    return f"<message>\n{question}\n</message>\n\n<answer>\n{answer}\n</answer>"
