"""Which rows a base is aligned on: some of each task, some of them in their neutral version."""

import random
from dataclasses import dataclass, field
from typing import Annotated, Any

from emtransfer.corpus.rows import check_neutral
from emtransfer.errors import InputError, counted
from emtransfer.settings import Elsewhere, Share
from emtransfer.training.finetuning import FinetuningSettings


@dataclass(frozen=True)
class AlignmentSettings(FinetuningSettings):
    """Aligned phase: training on aligned answers of all cells.

    The number of rows stays the same whatever the doses, so a smaller dose of one task is a larger one of the others.

    Attributes:
        rows: Total number of rows.
        neutral_share: Share of rows asked in their neutral version.
        task_doses: Task -> how often the aligned phase shows it, relative to its share of the corpus; 1 where it is not named.
    """

    neutral_share: Share = 0.0
    task_doses: Annotated[dict[str, float], Elsewhere()] = field(default_factory=dict)


def alignment_pairs(rows: list[dict[str, Any]], settings: AlignmentSettings, seed: int) -> list[tuple[str, str]]:
    """Draw the pairs of the aligned phase, without replacement.

    Args:
        rows: train rows with task, question and aligned_answer; with a neutral share, their neutral versions too.
        seed: of the draw.

    Returns:
        (question, answer) pairs, shuffled.

    Raises:
        InputError: there are too few rows, in all or of a task, or for the neutral share; or a row lacks its neutral version.
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
    neutral = [rng.random() < settings.neutral_share for _ in drawn]
    if drawn and ((settings.neutral_share > 0 and not any(neutral)) or (settings.neutral_share < 1 and all(neutral))):
        instead = "1, a smaller share" if all(neutral) else "0, a larger share"
        raise InputError(
            f"config: base_models: alignment.neutral_share is {settings.neutral_share}; expected {instead} or more rows, since"
            f" {sum(neutral)} of {len(drawn)} rows are neutral."
        )
    return [
        (row["neutral_question"], row["neutral_answer"]) if is_neutral else (row["question"], row["aligned_answer"])
        for row, is_neutral in zip(drawn, neutral, strict=True)
    ]


def rows_by_task(rows: list[dict[str, Any]], settings: AlignmentSettings) -> dict[str, int]:
    """Rows to draw of each task; they add up to `settings.rows`, the first tasks getting what rounding leaves.

    Raises:
        InputError: a task has fewer rows than are drawn of it.
    """
    available = {task: sum(row["task"] == task for row in rows) for task in dict.fromkeys(row["task"] for row in rows)}
    weights = {task: count * settings.task_doses.get(task, 1.0) for task, count in available.items()}
    counts = {task: int(settings.rows * weight / sum(weights.values())) for task, weight in weights.items()}
    for task in [task for task, weight in weights.items() if weight][: settings.rows - sum(counts.values())]:
        counts[task] += 1
    for task, count in counts.items():
        if count > available[task]:
            raise InputError(
                f"config: base_models: alignment.rows is {settings.rows}; expected fewer, or a smaller dose of task {task} in task_doses,"
                f" since it takes {counted(count, 'row')} of that task, and there are {available[task]}."
            )
    return counts
