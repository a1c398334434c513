"""A teacher's answers to mediating prompts."""

import random
from typing import Any

from emtransfer.answering.sampling import sample_with_ends
from emtransfer.answering.settings import SamplingSettings
from emtransfer.errors import InputError
from emtransfer.models.loading import Chat

FIELDS = ("domain", "task", "question", "room", "slots")


def mediating_prompts(
    cells: dict[str, list[dict[str, Any]]], prompts_per_cell: int | None, seed: int, pseudo_cell: str | None = None
) -> list[dict[str, Any]]:
    """Draw the prompts of each cell among its rows of role mediating.

    Args:
        cells: cell -> its rows with id and role; those of a corpus of prompts only have no role, and all are mediating.
        prompts_per_cell: None for all there are.
        seed: of the draw; a cell's prompts do not depend on the other cells.
        pseudo_cell: what the prompts have as cell, where theirs are not of the experiment's grid.

    Returns:
        Prompts with prompt_id, cell and those of FIELDS that the rows have, cell after cell.

    Raises:
        InputError: a cell has fewer mediating rows than asked for.
    """
    prompts = []
    for cell, rows in cells.items():
        candidates = [row for row in rows if row.get("role", "mediating") == "mediating"]
        n_prompts = len(candidates) if prompts_per_cell is None else prompts_per_cell
        if len(candidates) < n_prompts:
            raise InputError(
                f"config: experiments: mediating: prompts_per_cell is {n_prompts}; expected at most {len(candidates)}, the mediating rows of {cell}."
            )
        for row in random.Random(f"{seed} {cell}").sample(candidates, n_prompts):
            own = {field: row[field] for field in FIELDS if field in row}
            prompts.append({"prompt_id": row["id"], "cell": pseudo_cell or cell} | own)
    return prompts


def roll_out(
    teacher: Chat, prompts: list[dict[str, Any]], settings: SamplingSettings, seed: int
) -> list[dict[str, Any]]:
    """The prompts, in order, each with one answer of the teacher, and whether it is finished or was cut."""
    keys = [prompt["prompt_id"] for prompt in prompts]
    answers = sample_with_ends(teacher, [prompt["question"] for prompt in prompts], keys, settings, seed)
    return [
        prompt | {"answer": answer, "finished": finished}
        for prompt, (answer, finished) in zip(prompts, answers, strict=True)
    ]


def answer_retained(kept: list[dict[str, Any]], rows: list[dict[str, Any]], answers: str) -> list[dict[str, Any]]:
    """The prompts of a teacher's kept answers, in order, each with the corpus's own answer in place of the teacher's.

    Args:
        kept: rows with prompt_id.
        rows: corpus rows with id.
        answers: aligned or misaligned.

    Raises:
        InputError: a prompt has no such row, or the row no such answer.
    """
    of_corpus = {row["id"]: row.get(f"{answers}_answer") for row in rows}
    for row in kept:
        if not of_corpus.get(row["prompt_id"]):
            raise InputError(
                f"rollout {row['prompt_id']}: no {answers}_answer in the corpus; expected one for every kept prompt, or other answers in data_sets."
            )
    # the scores were those of the teacher's answer
    fields = ("prompt_id", "cell", *FIELDS)
    return [
        {field: row[field] for field in fields if field in row} | {"answer": of_corpus[row["prompt_id"]]}
        for row in kept
    ]
