"""The rows a cell trains and is evaluated on, and the prompts of an experiment's two evaluation sets."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

from emtransfer.corpora import BROAD
from emtransfer.errors import InputError


@dataclass(frozen=True)
class SampleSettings:
    """Rows of a cell: how many train, and how many are evaluated on."""

    train: int
    eval: int


@dataclass(frozen=True)
class BroadEvalSettings:
    """Prompts of the broad evaluation set."""

    prompts: int


def sample_cell(
    rows: list[dict], settings: SampleSettings, seed: int, corpus: str, cell: str, threshold: float
) -> tuple[list[dict], list[dict]]:
    """Draw the train and the eval rows of one cell.

    Args:
        rows: survivors of the cell, with role train or eval.
        seed: of the draw.
        corpus, cell, threshold: for the error message; threshold is the cosine of the deduplication.

    Returns:
        Train rows and eval rows, each in the order of `rows`.

    Raises:
        InputError: too few rows of a role are left.
    """
    drawn = []
    for role, count in (("train", settings.train), ("eval", settings.eval)):
        members = [row for row in rows if row["role"] == role]
        if len(members) < count:
            raise InputError(
                f"config.yaml: corpora.{corpus}.sample.{role} is {count}; expected at most {len(members)}, "
                f"the {role} rows of {cell} left by dedup_pairs at cosine {threshold}."
            )
        indices = random.Random(f"{seed} {cell} {role}").sample(range(len(members)), count)
        drawn.append([members[index] for index in sorted(indices)])
    return drawn[0], drawn[1]


def draw_equally(cells: list[list[dict]], n_rows: int, seed: int) -> list[dict]:
    """Draw the rows of a union of cells, equally many from each; the first cells give one more where it does not divide.

    Args:
        cells: the train rows of each cell.
        n_rows: rows in all, however many cells there are.
        seed: of the draw.

    Raises:
        InputError: a cell has fewer rows than its share.
    """
    shares = [n_rows // len(cells) + (index < n_rows % len(cells)) for index in range(len(cells))]
    drawn = []
    for rows, share in zip(cells, shares, strict=True):
        cell = f"{rows[0]['domain']}-{rows[0]['task']}"
        if len(rows) < share:
            raise InputError(
                f"config.yaml: finetuning.rows is {n_rows}; expected at most {len(rows)} of {cell}, not {share}."
            )
        drawn += random.Random(f"{seed} {cell}").sample(rows, share)
    return drawn


def narrow_prompts(rows: list[dict]) -> list[dict]:
    """Prompts of the narrow evaluation set: the eval rows of every cell."""
    return [as_prompt(row, "narrow", f"{row['domain']}-{row['task']}") for row in rows]


def broad_prompts(rows: list[dict], settings: BroadEvalSettings, seed: int, corpus: str) -> list[dict]:
    """Prompts of the broad evaluation set, balanced over task × room, and over domains within each.

    Args:
        rows: rows of the pseudo-cell `broad` with role eval.
        seed: of the draw.

    Raises:
        InputError: there are fewer rows than prompts.
    """
    if len(rows) < settings.prompts:
        raise InputError(
            f"config.yaml: corpora.{corpus}.broad_eval.prompts is {settings.prompts}; "
            f"expected at most {len(rows)}, the broad rows with role eval."
        )
    by_table_row, by_domain = (lambda row: (row["task"], row["room"])), (lambda row: row["domain"])
    mixed = interleaved(rows, [by_table_row, by_domain], random.Random(f"{seed} {BROAD}"))
    return [as_prompt(row, BROAD, "") for row in sorted(mixed[: settings.prompts], key=lambda row: row["id"])]


def interleaved(rows: list[dict], keys: list[Callable[[dict], object]], rng: random.Random) -> list[dict]:
    """The rows in an order whose every prefix takes from the groups of the first key in turn, and so on within them."""
    if not keys:
        return rng.sample(rows, len(rows))
    groups: dict = {}
    for row in rows:
        groups.setdefault(keys[0](row), []).append(row)
    queues = [interleaved(group, keys[1:], rng) for group in groups.values()]
    rng.shuffle(queues)
    return [row for turn in zip_longest(*queues) for row in turn if row is not None]


def as_prompt(row: dict, eval_set: str, cell: str) -> dict:
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
