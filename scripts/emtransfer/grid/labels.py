"""What names a trained model in every table: its labels, an experiment and a judge."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LABELS = (
    "base_model base mixture condition start train_set train_domain train_task train_context answers capacity"
    " teacher data mediating filter channel estimator"
).split()
# of a model whose seeds the table pools, and of one that has a seed, whose judged rows say it all
MODEL_LABELS = ("experiment", *LABELS, "judge")
MODEL_COLUMNS = (*MODEL_LABELS, "train_cells", "seed")
# columns of the table that name a system prompt: of the training rows, and of the questions
CONTEXTS = ("train_context", "eval_context")
# columns that name what figures, and all claims but those about it, leave out
APART = (*CONTEXTS, "capacity")


@dataclass(frozen=True)
class Model:
    """One trained model of an experiment.

    Attributes:
        path: folder below `results/{experiment}`; of a base, `bases/{base}`.
        labels: the identity columns of the table, LABELS; an empty string does not apply.
        seed: of training, or None for a base.
        train_cells: cells of the training set; for a student, of its teacher.
    """

    path: str
    labels: dict[str, str]
    seed: int | None
    train_cells: tuple[str, ...]


def identity(experiment: str, judge: str, model: Model) -> dict[str, str]:
    """MODEL_LABELS of a model, with their values."""
    return {"experiment": experiment} | model.labels | {"judge": judge}


def own_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the judged rows of a model, those of its experiment's own judge, which come first; a panel's say the same answers again."""
    return [row for row in rows if row.get("judge") == rows[0].get("judge")]


def without_context(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the judged rows of a model, the answers to prompts that were not asked under a context."""
    return [row for row in rows if not row.get("eval_context")]


def compared(models: Iterable[Model]) -> list[Model]:
    """The models that a contrast pools: adapters of one cell, on misaligned answers, trained from the base, without a context or a capacity of their own."""
    pooled = {"condition": "adapter", "answers": "misaligned", "start": "base", "train_context": "", "capacity": ""}
    return [model for model in models if pooled.items() <= model.labels.items() and len(model.train_cells) == 1]
