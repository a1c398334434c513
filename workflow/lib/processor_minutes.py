"""About how many minutes of a processor a run will take, told from its work before any is done.

Seconds are assumed by the tables below. Where this folder has benchmark files of a stage, its seconds are corrected by what those
jobs took against what was assumed of them, as if they had been of this config's sizes.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from config_models import is_ready
from emtransfer.errors import counted
from emtransfer.grid.labels import Model
from emtransfer.remote.access import PROVIDERS
from model_sizes import flops
from work import Work, work

BENCHMARKS = Path("results/benchmarks")
# all tables: measured on the default run, two jobs at a time on two processors, rounded up by about a fifth; busy processors take
# twice as long. Seconds of a job before its work: of any job, and of one that loads models in a process that has imported torch
START_SECONDS, MODEL_SECONDS = 1, 1.5
# work, or the kind of the judge that does it, for which no model is loaded
WITHOUT_MODEL = ("", "exact", *PROVIDERS)
# GFLOP/s of base models. Texts count with their greatest length, of which most have about a third; those of mixtures count with
# their own
GFLOPS = {
    "pretrain_base": 44,
    "align_base": 180,
    "finetune_adapter": 120,
    "distill_student": 170,
    "sample_answers": 100,
    "roll_out_teacher": 100,
    "probe_base": 130,
    "measure_preferences": 140,
    "measure_rollouts": 200,
    "probe_inference": 150,
    "fit_reference_adapters": 60,
}
# GFLOP/s of a base model that judges here
JUDGING_GFLOPS = 36
# kind of a judge, what an encoder does, or a stage -> seconds per thousand tokens; for tables, per thousand rows
SECONDS = {
    "cross_encoder": 0.025,
    "exact": 0.001,
    "fit": 0.13,
    "embed": 0.015,
    "generate_pairs": 0.0003,
    "split_questions": 0.0003,
    "train_tokenizer": 0.0004,
    "build_mixture": 0.004,
    "tabulate_transfer": 0.15,
    "tabulate_preferences": 0.35,
    "tabulate_capability": 0.2,
    "test_claims": 0.4,
    "tabulate_confounds": 200,
}
# stages with less than this share of all minutes are summed up
LEAST_SHARE = 0.03


def is_elsewhere(config: dict, entry: Work) -> bool:
    """Whether the processor waits meanwhile, for a model behind an API or on a GPU."""
    if entry.does in ("write", "answer") or (entry.judge and config["judges"][entry.judge]["kind"] in PROVIDERS):
        return True
    return bool(entry.model and is_ready(config["base_models"][entry.model]))


def assumed_seconds(config: dict, entry: Work) -> float:
    """Seconds of an entry by the tables."""
    kind = config["judges"][entry.judge]["kind"] if entry.does == "judge" else entry.does
    seconds = entry.n_jobs * (START_SECONDS if kind in WITHOUT_MODEL else MODEL_SECONDS)
    if is_elsewhere(config, entry):
        return seconds
    if entry.model and entry.does:
        speed = JUDGING_GFLOPS if entry.does == "judge" else GFLOPS[entry.stage]
        return seconds + flops(config, entry) / (speed * 1e9)
    return seconds + SECONDS.get(kind or entry.stage, 0) * entry.items * (entry.tokens or 1) / 1000


def stage_seconds(
    config: dict, models: dict[str, list[Model]], benchmarks: Path = BENCHMARKS
) -> dict[str, tuple[float, bool]]:
    """Stage -> seconds of a processor, and whether benchmark files correct them.

    Args:
        config: as validated.
        models: experiment of the run -> its models.
        benchmarks: folder of Snakemake's benchmark files.
    """
    assumed, n_jobs, elsewhere = Counter(), Counter(), set()
    for entry in work(config, models):
        assumed[entry.stage, entry.of] += assumed_seconds(config, entry)
        n_jobs[entry.stage, entry.of] += entry.n_jobs
        elsewhere |= {(entry.stage, entry.of)} if is_elsewhere(config, entry) else set()
    # of the jobs that have run here
    taken, expected, total = Counter(), Counter(), Counter()
    for (stage, of), seconds in assumed.items():
        total[stage] += seconds
        found = [] if (stage, of) in elsewhere else list(job_seconds(benchmarks / stage / of))
        taken[stage] += sum(found)
        expected[stage] += seconds / n_jobs[stage, of] * len(found)
    return {
        stage: (seconds * taken[stage] / expected[stage], True) if expected[stage] else (seconds, False)
        for stage, seconds in total.items()
    }


def job_costs(
    rules: list[str], config: dict, models: dict[str, list[Model]], benchmarks: Path = BENCHMARKS
) -> dict[str, float | None]:
    """Rule -> seconds that one of its jobs takes, None if it waits for what is elsewhere; further arguments as of `stage_seconds`.

    A rule has the name of its stage, or begins with it where every corpus has a rule of its own; others are left out.
    """
    n_jobs, elsewhere = Counter(), set()
    for entry in work(config, models):
        n_jobs[entry.stage] += entry.n_jobs
        elsewhere |= {entry.stage} if is_elsewhere(config, entry) else set()
    seconds = stage_seconds(config, models, benchmarks)
    costs = {}
    for rule in rules:
        stage = next((stage for stage in n_jobs if rule == stage or rule.startswith(f"{stage}_")), None)
        if stage and n_jobs[stage]:
            costs[rule] = None if stage in elsewhere else seconds[stage][0] / n_jobs[stage]
    return costs


def job_seconds(place: Path) -> Iterator[float]:
    """Seconds of every job whose benchmark file lies below a place, or has its name."""
    for path in (place.with_suffix(".tsv"), *place.glob("**/*.tsv")):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                yield from (float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))


def minute_report(config: dict, models: dict[str, list[Model]], n_processors: int) -> str:
    """The sum, what it comes to at best on this machine, and the stages that matter in a line each."""
    minutes = {
        stage + ", as measured here" * is_measured: seconds / 60
        for stage, (seconds, is_measured) in stage_seconds(config, models).items()
    }
    total = sum(minutes.values())
    named = [stage for stage in sorted(minutes, key=minutes.get, reverse=True) if minutes[stage] >= LEAST_SHARE * total]
    others = total - sum(minutes[stage] for stage in named)
    lines = [
        f"\nAbout {counted(round(total), 'minute')} of one processor; on this machine's {n_processors} at best about"
        f" {total / n_processors:.0f}. What was not measured here is assumed; GPUs and remote models are extra.",
        *(f"  {minutes[stage]:8.1f} {stage}" for stage in named),
        f"  {others:8.1f} all others",
    ]
    return "\n".join([*lines, ""])
