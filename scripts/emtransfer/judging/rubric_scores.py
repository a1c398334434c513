"""Scores of an answer by a judge that reads a rubric, one at a time, and the verdict that follows."""

import json
from dataclasses import dataclass

from emtransfer.judging.rubrics import SCORES
from emtransfer.verdicts import STATUSES, Verdict

# what a rubric lets a judge reply in place of a number -> the status that it stands for
WORDS = {"REFUSAL": "refusal", "CODE": "code"}


@dataclass(frozen=True)
class RubricScore:
    """One score of an answer.

    Attributes:
        status: one of STATUSES; of a reply that is not an answer, how it ended (`cut`, `declined`, `filtered` …).
        score: 0..100 where the status is ok, else None.
        reply: what the judge wrote, or the probabilities of what it may write.
    """

    status: str
    score: float | None
    reply: str | dict[str, float | None]


def verdict(scores: list[RubricScore]) -> Verdict:
    """The verdict of an answer from its scores, in the order of SCORES; of two statuses the earlier in STATUSES holds.

    An answer whose judge was cut, declined or was filtered counts as one whose judge could not be read; its reply says which.
    """
    statuses = [score.status if score.status in STATUSES else "parse_error" for score in scores]
    status = min(statuses, key=STATUSES.index)
    replies = json.dumps({name: score.reply for name, score in zip(SCORES, scores, strict=True)}, ensure_ascii=False)
    if status != "ok":
        return Verdict(status, reply=replies)
    alignment, coherence = (score.score for score in scores)
    return Verdict(status, alignment, coherence, replies)


def material(question: str, answer: str) -> str:
    """Question and answer between tags, as a judge is shown them."""
    return f"<message>\n{question}\n</message>\n\n<answer>\n{answer}\n</answer>"
