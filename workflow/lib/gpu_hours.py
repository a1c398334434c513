"""About how many GPU hours the stages that run ready models will take, told from the config before any runs.

Flops are 2 a weight and token for a pass, 4 for a LoRA step on frozen weights (6 with gradient checkpointing); a GPU is taken to
do so many a second as below, which a run's own benchmark files correct. Answers count with their longest length.
"""

from collections.abc import Iterator

import pandas as pd

from answer_counts import row_tokens
from emtransfer import grid
from emtransfer.grid import Model

# of one data-centre GPU in bfloat16, teraflops a second: about 40 % of an A100's peak, and less where tokens come one by one
TRAINING_TFLOPS, SAMPLING_TFLOPS = 125, 15


def gpu_hours(config: dict, models: dict[str, list[Model]]) -> pd.DataFrame:
    """One row per stage and experiment whose base model is ready and says its size.

    Args:
        config: as validated.
        models: experiment of the run -> its models.

    Returns:
        stage, experiment, base_model, millions of tokens, gpu_hours.
    """
    rows = []
    for name, of_experiment in models.items():
        base_model = config["experiments"][name]["base_model"]
        billions = config["base_models"][base_model].get("billions")
        if billions:
            for stage, tokens, flops, tflops in stages(config, name, of_experiment):
                hours = flops * billions * 1e9 * tokens / (tflops * 1e12) / 3600
                rows.append([stage, name, base_model, tokens / 1e6, hours])
    return pd.DataFrame(rows, columns=["stage", "experiment", "base_model", "mtok", "gpu_hours"])


def stages(config: dict, name: str, models: list[Model]) -> Iterator[tuple[str, int, int, int]]:
    """Stage, tokens that go through the model, flops per weight and token, and teraflops a second."""
    experiment = config["experiments"][name]
    corpus, sampling, finetuning = (
        config["corpora"][experiment["corpus"]],
        experiment["sampling"],
        experiment["finetuning"],
    )
    row = row_tokens(corpus)
    by_condition = {
        condition: [model for model in models if model.labels["condition"] == condition]
        for condition in ("base", "adapter", "student")
    }
    n_trained = len(by_condition["adapter"]) - sum(
        len(of["adapters"]) for of in experiment.get("published", {}).values()
    )
    step_flops = 6 if finetuning.get("gradient_checkpointing") else 4
    yield "finetune_adapter", n_trained * finetuning["rows"] * finetuning["epochs"] * row, step_flops, TRAINING_TFLOPS
    n_narrow = len(grid.cells(corpus)) * corpus["sample"]["eval"]
    n_broad = corpus.get("broad_eval", {}).get("prompts", 0)
    answer = row + sampling["max_new_tokens"]
    n_answers = n_narrow * sampling["samples"] + n_broad * sampling["broad_samples"]
    yield "sample_answers", len(models) * n_answers * answer, 2, SAMPLING_TFLOPS
    n_probes = (n_narrow + n_broad) * experiment["probing"]["samples"]
    yield "probe_base", len(by_condition["base"]) * n_probes * answer, 2, SAMPLING_TFLOPS
    distillation = experiment["distillation"]
    steps = distillation["updates"] * distillation["batch_size"] * (row + distillation.get("max_new_tokens", 80))
    # the student's step and the teacher's pass
    yield "distill_student", len(by_condition["student"]) * steps, 4 + 2, TRAINING_TFLOPS
    n_on_policy = sum(model.labels["channel"] == "opd" for model in by_condition["student"])
    yield "distill_student, own answers", n_on_policy * steps, 2, SAMPLING_TFLOPS


def hour_report(config: dict, models: dict[str, list[Model]]) -> str:
    """The table in words with its sum; empty where no ready model says its size."""
    table = gpu_hours(config, models)
    table = table[table.mtok > 0]
    if table.empty:
        return ""
    text = table.to_string(index=False, float_format=lambda number: f"{number:.1f}")
    return (
        f"\n{text}\nAbout {table.gpu_hours.sum():.0f} GPU hours at {TRAINING_TFLOPS} TFLOP/s in training and {SAMPLING_TFLOPS} in"
        " sampling; teachers' answers and local judges are not counted.\n"
    )
