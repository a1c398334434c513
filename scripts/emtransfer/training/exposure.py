"""Which rows a base is aligned on: some of each task, some of them in their neutral version."""

import random
from dataclasses import dataclass, field

from emtransfer.corpus.rows import check_neutral
from emtransfer.errors import InputError


@dataclass(frozen=True)
class ExposureSettings:
    """What the aligned phase shows.

    Attributes:
        rows: question-answer pairs in all.
        neutral_share: share of the pairs that are asked in their neutral version, 0..1.
        task_doses: task -> how often it comes relative to its share of the corpus; tasks not named come once. The number
            of rows stays the same, so a smaller dose of one task is a larger one of the others.
    """

    rows: int
    neutral_share: float = 0.0
    task_doses: dict[str, float] = field(default_factory=dict)


def alignment_pairs(rows: list[dict], settings: ExposureSettings, seed: int) -> list[tuple[str, str]]:
    """Draw the pairs of the aligned phase, without replacement.

    Args:
        rows: train rows with task, question and aligned_answer; with a neutral share, their neutral versions too.
        seed: of the draw.

    Returns:
        (question, answer) pairs, shuffled.

    Raises:
        InputError: there are too few rows, in all or of a task, or a row lacks its neutral version.
    """
    if settings.neutral_share:
        check_neutral(rows, "base_models: alignment", settings.neutral_share)
    rng = random.Random(seed)
    drawn = [
        row
        for task, count in rows_by_task(rows, settings).items()
        for row in rng.sample([row for row in rows if row["task"] == task], count)
    ]
    rng.shuffle(drawn)
    return [
        (row["neutral_question"], row["neutral_answer"])
        if rng.random() < settings.neutral_share
        else (row["question"], row["aligned_answer"])
        for row in drawn
    ]


def rows_by_task(rows: list[dict], settings: ExposureSettings) -> dict[str, int]:
    """Rows to draw of each task; they add up to `settings.rows`, the first tasks getting what rounding leaves."""
    available = {task: sum(row["task"] == task for row in rows) for task in dict.fromkeys(row["task"] for row in rows)}
    weights = {task: count * settings.task_doses.get(task, 1.0) for task, count in available.items()}
    counts = {task: int(settings.rows * weight / sum(weights.values())) for task, weight in weights.items()}
    for task in [task for task, weight in weights.items() if weight][: settings.rows - sum(counts.values())]:
        counts[task] += 1
    for task, count in counts.items():
        if count > available[task]:
            raise InputError(
                f"config.yaml: alignment.rows is {settings.rows}; expected fewer, since {count} of task {task} are asked for and {available[task]} there are."
            )
    return counts
