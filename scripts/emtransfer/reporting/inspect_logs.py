"""Judged answers as logs of Inspect: a log per model, its seeds together, with the judge's scores as they are and the base's answer beside."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from emtransfer.grid.labels import MODEL_COLUMNS, own_rows

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalSpec
    from inspect_ai.scorer import Score

Row = dict[str, Any]

# a log holds all seeds
IDENTITY = [column for column in MODEL_COLUMNS if column != "seed"]
SCORES = ("alignment", "coherence")
# status -> Inspect's word for why there is no score
REASONS = {
    "refusal": "refusal",
    "empty": "no_response",
    "parse_error": "grader_failed",
    "error": "scoring_failed",
}
RATE = "rate_by_cell"


def as_log(rows: Sequence[Row], base_rows: Sequence[Row], created: str) -> "EvalLog":
    """The log of a model.

    Args:
        rows: judged rows of all its seeds; a panel's other judges score the same answers under their names.
        base_rows: those of its base, none where it is one.
        created: time in ISO 8601, UTC.

    Returns:
        A sample per prompt, seed and number of the answer; the last two are its epoch. Metrics are over single answers, as the table's
        rates are, and the standard error of the rate is clustered by prompt.
    """
    from inspect_ai.log import EvalLog, recompute_metrics

    register_rate()
    base = {(asked(row), row["sample"]): row for row in own_rows(base_rows)}
    panel: dict[tuple[str, int, int], list[Row]] = {}
    for row in rows:
        if row["judge"] != rows[0]["judge"]:
            panel.setdefault((asked(row), *turn(row)), []).append(row)
    rows = own_rows(rows)
    others = [row["judge"] for row in next(iter(panel.values()), [])]
    epochs = {key: epoch for epoch, key in enumerate(sorted({turn(row) for row in rows}), start=1)}
    name = model_name(rows[0])
    # every epoch of a prompt before the next prompt, so that the answers of a cell stand together
    places = {prompt: place for place, prompt in enumerate(dict.fromkeys(map(asked, rows)))}
    ordered = sorted(rows, key=lambda row: (places[asked(row)], epochs[turn(row)]))
    samples = [
        as_sample(
            row,
            base.get((asked(row), row["sample"])),
            panel.get((asked(row), *turn(row)), []),
            epochs[turn(row)],
            name,
        )
        for row in ordered
    ]
    beside = [*others, *["base"] * bool(base)]
    log = EvalLog(status="success", eval=as_spec(rows, places, len(epochs), beside, created), samples=samples)
    recompute_metrics(log)
    return log


def turn(row: Row) -> tuple[int, int]:
    """Which answer to its prompt a row is: by seed, then by number."""
    return row["seed"], row["sample"]


def asked(row: Row) -> str:
    """The prompt of a row, which under a context is another sample."""
    return under(row, row["prompt_id"])


def under(row: Row, name: str) -> str:
    """A name with the context of a row behind it, if there is one."""
    return f"{name} under {row['eval_context']}" if row.get("eval_context") else name


def model_name(row: Row) -> str:
    """The model as the list of logs names it."""
    if row["condition"] == "base":
        return f"base/{row['base']}"
    if row["condition"] == "student":
        return f"student/{row['base']}/{row['teacher']}-{row['data'] or 'own'}-{row['channel']}{row['estimator']}"
    # rows of an older version have no capacity
    parts = (row["train_set"], row["answers"], row.get("capacity"), row["start"] != "base" and f"from-{row['start']}")
    return f"adapter/{row['base']}/{'-'.join(filter(None, parts))}"


def cell_of(row: Row) -> str:
    """The evaluation cell: of the grid, or of broad prompts by task and room."""
    return under(row, row["cell"] or "-".join(filter(None, ("broad", row["task"], row["room"]))))


def as_sample(row: Row, base: Row | None, panel: Sequence[Row], epoch: int, model: str) -> "EvalSample":
    """An answer with its scores, under their names those of a panel's other judges, and under `base` what its base answered to the prompt."""
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelOutput

    turns = [ChatMessageSystem(content=row["system"])] if row["system"] else []
    turns.append(ChatMessageUser(content=row["question"]))
    output = ModelOutput.from_content(model, row["answer"])
    scores = {"misaligned": as_score(row, ["misaligned"]), "judge": as_score(row, SCORES)}
    scores |= {other["judge"]: as_score(other, ["misaligned", *SCORES]) for other in panel}
    scores |= {"base": as_score(base, ["misaligned", *SCORES])} if base else {}
    kept = ("prompt_id", "eval_set", "domain", "task", "room", "seed", "sample", "status")
    return EvalSample(
        id=asked(row),
        epoch=epoch,
        input=row["question"],
        target="",
        messages=[*turns, output.choices[0].message],
        output=output,
        scores=scores,
        metadata={"cell": cell_of(row)} | {field: row[field] for field in kept if row[field] != ""},
    )


def as_score(row: Row, names: Sequence[str]) -> "Score":
    """The scores of an answer under their names: a number of one, a mapping of several; unscored where the judge gave none."""
    from inspect_ai.scorer import Score

    reply = row["reply"] or None
    if row["status"] != "ok":
        reason = REASONS.get(row["status"], row["status"])
        return Score.unscored(reason=reason, answer=row["answer"], explanation=reply or f"Status: {row['status']}.")
    values = {name: float(row[name]) for name in names}
    seen = f"Alignment {row['alignment']:g}, coherence {row['coherence']:g}."
    explanation = f"{seen}\n\n{reply}" if reply else seen
    return Score(value=values if len(names) > 1 else values[names[0]], answer=row["answer"], explanation=explanation)


def register_rate() -> None:
    """Make the metric RATE known to Inspect: the mean of each evaluation cell, over its scored answers."""
    from inspect_ai.scorer import Metric, grouped, mean, metric

    def rate_by_cell() -> Metric:
        return grouped(mean(), "cell", all=False)

    metric(name=RATE)(rate_by_cell)


def as_spec(
    rows: Sequence[Row], prompts: Iterable[str], n_epochs: int, beside: Sequence[str], created: str
) -> "EvalSpec":
    """What Inspect tells of a log before its samples: whose it is, how scores are summed up, and what its list shows.

    Args:
        beside: what is scored besides the answers by the experiment's own judge: the names of a panel's other judges, and `base`.
    """
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec

    first = rows[0]
    identity = {name: first[name] for name in IDENTITY}
    mean = [{"name": "inspect_ai/mean"}]
    by_prompt = [*mean, {"name": "inspect_ai/stderr", "options": {"cluster": "prompt_id"}}, {"name": RATE}]
    scorers: list[Any] = [
        {"name": "misaligned", "metrics": by_prompt},
        {"name": "judge", "metrics": {name: mean for name in SCORES}},
    ]
    scorers += [{"name": other, "metrics": {name: mean for name in ("misaligned", *SCORES)}} for other in beside]
    ids = list(prompts)
    digest = hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()[:22]
    return EvalSpec(
        created=created,
        task=first["experiment"],
        task_id=digest,
        run_id=digest,
        eval_id=digest,
        model=model_name(first),
        dataset=EvalDataset(name=first["experiment"], samples=len(ids), sample_ids=ids),
        # without a reducer a metric is over single answers
        config=EvalConfig(epochs=n_epochs, epochs_reducer=[]),
        task_args={name: value for name, value in identity.items() if value != ""},
        metadata=identity | {"seeds": sorted({row["seed"] for row in rows})},
        scorers=scorers,
        viewer=as_seen(beside),
    )


def as_seen(beside: Sequence[str]) -> Any:
    """How the list of samples shows them: texts as text, whatever models wrote, and misaligned answers coloured."""
    from inspect_ai.viewer import ScoreColorScale, TaskSamplesColumn, TaskSamplesView, ViewerConfig

    score = TaskSamplesColumn.score
    columns = [
        *(TaskSamplesColumn(id=name) for name in ("sampleId", "epoch", "input", "answer")),
        score("misaligned"),
        *(score("judge", name) for name in SCORES),
        *(score(other, name) for other in beside for name in ("misaligned", *SCORES)),
        *(TaskSamplesColumn(id=name, visible=False) for name in ("target", "tokens", "duration", "error", "limit")),
    ]
    bad, good = ScoreColorScale(palette="good-low", min=0, max=1), ScoreColorScale(palette="good-high", min=0, max=100)
    view = TaskSamplesView(
        name="Answers",
        columns=columns,
        score_color_scales={"misaligned": bad} | dict.fromkeys(SCORES, good),
        color_scales_enabled=True,
    )
    return ViewerConfig(trust_content=False, task_samples_view=view)
