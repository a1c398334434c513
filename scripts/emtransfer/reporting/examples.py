"""Answers that the report shows: from the cells with the most and the least transfer, beside the base's, with their scores."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from emtransfer.drawing.rates import adapters, narrow
from emtransfer.errors import counted
from emtransfer.files.records import read_records
from emtransfer.grid.labels import LABELS, Model, without_context
from emtransfer.reporting.safe_text import Shown, shown
from emtransfer.reporting.wording import percent
from emtransfer.verdicts import EmRule, Verdict

N_PROMPTS = 4
STATUSES = ("n_refusal", "n_code", "n_empty", "n_parse_error", "n_error")
REQUIRED = ("prompt_id", "question", "domain", "task", "eval_set", "judge", "status")


class Judged(NamedTuple):
    """A judge's verdict; missing scores are empty text."""

    judge: str
    label: str
    alignment: str
    coherence: str


class Said(NamedTuple):
    """An answer with the verdicts of all judges, the experiment's own first."""

    answer: Shown
    verdicts: list[Judged]


class Pair(NamedTuple):
    """A prompt and its answers: the base's, None where it was not asked, and the model's."""

    question: Shown
    base: Said | None
    model: Said


class Example(NamedTuple):
    """Answers of one model in one evaluation cell.

    Attributes:
        heading: which cell, and why.
        model: whose answers, in words.
        counts: how many there are, and of which kinds.
        path: the file of all its answers, below the folder of results; `base_path` of its base.
        pairs: the first prompts of the cell, whatever was answered.
    """

    heading: str
    model: str
    counts: str
    path: str
    base_path: str
    pairs: list[Pair]


def chosen_rows(rows: pd.DataFrame) -> list[tuple[str, Any]]:
    """Heading and table row of every cell that is shown for an experiment.

    Args:
        rows: of one experiment, as `read_transfer_table` gives them.
    """
    grid = narrow(rows)
    trained = adapters(grid)
    away = trained[~trained["relation"].isin(["in_cell", ""])]
    students = grid[(grid["condition"] == "student") & (grid["relation"] != "")]
    chosen = [
        (("Where misalignment reaches furthest", "No other cell is reached; one of them"), most(away)),
        (("Where it reaches least, though near and well learned",) * 2, least(away, trained)),
        (("The student that takes on most", "No student takes on anything; one of them"), most(students)),
    ]
    found = [(headings[row.em_rate == 0], row) for headings, row in chosen if row is not None]
    # where nothing is reached, the furthest is as good as the least
    return [
        entry for number, entry in enumerate(found) if all(entry[1].Index != row.Index for _, row in found[:number])
    ]


def most(rows: pd.DataFrame) -> Any | None:
    """The row with the highest rate, the first of equals."""
    return next(rows.sort_values("em_rate", ascending=False, kind="stable").itertuples(), None)


def least(away: pd.DataFrame, trained: pd.DataFrame) -> Any | None:
    """The row with the lowest rate among cells that share task or domain with the training cell; of equals, the one whose training had most effect."""
    near = away[away["relation"] != "both_differ"] if (away["relation"] != "both_differ").any() else away
    own = trained[trained["relation"] == "in_cell"].groupby(["base", "train_set"])["em_rate"].mean()
    took = [own.get(key, 0.0) for key in zip(near["base"], near["train_set"], strict=True)]
    ordered = near.assign(took=took).sort_values(["em_rate", "took"], ascending=[True, False], kind="stable")
    return next(ordered.itertuples(), None)


def model_of(row: Any, models: list[Model]) -> Model:
    """The first seed of the models that a row of the table pools."""
    wanted = {name: getattr(row, name) for name in LABELS}
    return next(model for model in models if model.labels == wanted)


def read_example(heading: str, row: Any, model: Model, folder: Path, rule: EmRule) -> Example:
    """The example of a row.

    Args:
        folder: of the experiment's judged files; they are named by `path` of the grid.
    """
    base_path = f"bases/{row.base}"
    answers, of_base = (
        in_cell(read_records(folder / f"{path}.jsonl", REQUIRED), row) for path in (model.path, base_path)
    )
    pairs = [
        Pair(shown(told[0]["question"]), said(of_base[prompt], rule) if prompt in of_base else None, said(told, rule))
        for prompt, told in list(answers.items())[:N_PROMPTS]
    ]
    return Example(
        f"{heading}: {row.eval_cell}, {percent(row.em_rate)} misaligned",
        whose(row, model),
        counts(row),
        f"{folder.parent.name}/{folder.name}/{model.path}.jsonl",
        f"{folder.parent.name}/{folder.name}/{base_path}.jsonl",
        pairs,
    )


def in_cell(rows: list[dict[str, Any]], row: Any) -> dict[str, list[dict[str, Any]]]:
    """Prompt of an evaluation cell of the grid -> the first answer to it, once per judge, first the judge whose row it is."""
    here = {"eval_set": "narrow", "domain": row.eval_domain, "task": row.eval_task}
    found: dict[str, list[dict[str, Any]]] = {}
    for one in without_context(rows):
        if here.items() <= one.items() and not one.get("sample"):
            found.setdefault(str(one["prompt_id"]), []).append(one)
    return {prompt: sorted(told, key=lambda one: one["judge"] != row.judge) for prompt, told in found.items()}


def said(told: list[dict[str, Any]], rule: EmRule) -> Said:
    """An answer with its label by the rule of the run, from its rows, one per judge."""
    return Said(shown(told[0].get("answer") or ""), [judged(row, rule) for row in told])


def judged(row: dict[str, Any], rule: EmRule) -> Judged:
    """The verdict of a row."""
    verdict = Verdict(row["status"], row.get("alignment"), row.get("coherence"))
    scores = [f"{score:.0f}" for score in verdict.scores] if verdict.status == "ok" else ["", ""]
    return Judged(str(row["judge"]), rule.label(verdict).replace("_", " "), *scores)


def whose(row: Any, model: Model) -> str:
    """The model in words."""
    seed = f"seed {model.seed}, the first of {int(row.n_seeds)}"
    if row.condition == "student":
        data = f" on data of {row.data}" if row.data else ""
        return f"student of teacher {row.teacher}{data} through {row.channel}, base {row.base}, {seed}"
    return f"base {row.base}, fine-tuned on misaligned answers of {row.train_set}, {seed}"


def counts(row: Any) -> str:
    """Answers of the cell, all seeds together, by what became of them."""
    failed = [f"{int(getattr(row, name))} {name[2:].replace('_', ' ')}" for name in STATUSES if getattr(row, name)]
    parts = [
        f"{int(row.n_misaligned)} misaligned",
        f"{int(row.n_coherent - row.n_misaligned)} aligned",
        f"{int(row.n_scored - row.n_coherent)} incoherent",
        *failed,
    ]
    return f"{counted(int(row.n_answers), 'answer')} of all seeds: {', '.join(parts)}."
