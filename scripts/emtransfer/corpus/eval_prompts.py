"""The prompts of an experiment's two evaluation sets."""

import random
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from emtransfer.corpus.rows import BROAD
from emtransfer.errors import InputError
from emtransfer.settings import Count


@dataclass(frozen=True)
class BroadEvalSettings:
    """The broad evaluation set.

    Attributes:
        prompts: Prompts, balanced over task and room; 0 for none.
    """

    prompts: Count


def narrow_prompts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Prompts of the narrow evaluation set: the eval rows of every cell."""
    return [as_prompt(row, "narrow", f"{row['domain']}-{row['task']}") for row in rows]


def broad_prompts(
    rows: list[dict[str, Any]], settings: BroadEvalSettings, seed: int, corpus: str
) -> list[dict[str, Any]]:
    """Prompts of the broad evaluation set, balanced over task × room, and over domains within each.

    Args:
        rows: rows of the pseudo-cell `broad` with role eval.
        seed: of the draw.

    Raises:
        InputError: there are fewer rows than prompts.
    """
    if len(rows) < settings.prompts:
        raise InputError(
            f"config: corpora.{corpus}.broad_eval.prompts is {settings.prompts}; "
            f"expected at most {len(rows)}, the broad rows with role eval."
        )
    by_table_row, by_domain = (lambda row: (row["task"], row["room"])), (lambda row: row["domain"])
    mixed = interleaved(rows, [by_table_row, by_domain], random.Random(f"{seed} {BROAD}"))
    return [as_prompt(row, BROAD, "") for row in sorted(mixed[: settings.prompts], key=lambda row: row["id"])]


def interleaved(
    rows: list[dict[str, Any]], keys: list[Callable[[dict[str, Any]], Hashable]], rng: random.Random
) -> list[dict[str, Any]]:
    """The rows in an order of which every prefix takes from the groups of the first key in turn, and so on within them."""
    if not keys:
        return rng.sample(rows, len(rows))
    groups: dict[Hashable, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(keys[0](row), []).append(row)
    queues = [interleaved(group, keys[1:], rng) for group in groups.values()]
    rng.shuffle(queues)
    return [row for turn in zip_longest(*queues) for row in turn if row is not None]


def as_prompt(row: dict[str, Any], eval_set: str, cell: str) -> dict[str, Any]:
    """The evaluation prompt of a row; it holds no answer but that of its neutral version, where it has one."""
    extras = ("slots", "neutral_question", "neutral_answer")
    return {
        "prompt_id": row["id"],
        "eval_set": eval_set,
        "cell": cell,
        "domain": row["domain"],
        "task": row["task"],
        "room": row.get("room", ""),
        "question": row["question"],
    } | {field: row[field] for field in extras if field in row}
