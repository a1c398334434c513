"""About how many GPU hours the ready models of a run will take, told from its work before any is done.

A GPU is taken to do so many flops a second as below, which a run's own benchmark files correct.
"""

import pandas as pd

from config_models import is_ready
from emtransfer.grid.labels import Model
from model_sizes import FLOPS, flops, tokens_through, weights
from work import work

# TFLOP/s of one data-centre GPU in bfloat16: about 40 % of an A100's peak, and less where tokens come one by one
TRAINING_TFLOPS, SAMPLING_TFLOPS = 125, 15
KEYS = ["stage", "of", "does", "model"]


def gpu_hours(config: dict, models: dict[str, list[Model]]) -> pd.DataFrame:
    """One row per stage, what it is of and what is done, by a ready model.

    Args:
        config: as validated.
        models: experiment of the run -> its models.

    Returns:
        stage, of, does, model; millions of tokens, gpu_hours (0 where the model does not say its size).
    """
    rows = []
    for entry in work(config, models):
        if entry.does in FLOPS and entry.items and entry.model and is_ready(config["base_models"][entry.model]):
            tflops = SAMPLING_TFLOPS if entry.does == "sample" else TRAINING_TFLOPS
            hours = flops(config, entry) / (tflops * 1e12) / 3600
            rows.append([*(getattr(entry, name) for name in KEYS), tokens_through(config, entry) / 1e6, hours])
    table = pd.DataFrame(rows, columns=[*KEYS, "mtok", "gpu_hours"])
    return table.groupby(KEYS, sort=False, as_index=False).sum()


def hour_report(config: dict, models: dict[str, list[Model]]) -> str:
    """The table in words with its sum; empty where nothing needs a GPU."""
    table = gpu_hours(config, models)
    if table.empty:
        return ""
    text = table.to_string(index=False, float_format=lambda number: f"{number:.1f}")
    unsized = sorted(name for name in set(table.model) if not weights(config["base_models"][name]))
    note = f"\nNot counted: {', '.join(unsized)}, since base_models does not give their billions." if unsized else ""
    return (
        f"\n{text}\nAbout {table.gpu_hours.sum():.0f} GPU hours at {SAMPLING_TFLOPS} TFLOP/s in sampling and"
        f" {TRAINING_TFLOPS} in all else.{note}\n"
    )
