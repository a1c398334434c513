"""What benchmarks at several sizes share: time and memory of one piece of work, and how both grow."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Measured(NamedTuple):
    """One piece of work.

    Attributes:
        result: what it returned.
        cpu_s: seconds of the processor, so that waiting for others does not count.
        grown_mib: how much more memory it held at its peak than before.
    """

    result: Any
    cpu_s: float
    grown_mib: float


def measured(work: Callable[[], Any]) -> Measured:
    """Do a piece of work in a process of its own, which starts as a copy of this one and leaves its memory behind."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def send() -> None:
        before, start = peak_mib(), time.process_time()
        result = work()
        sender.send(Measured(result, time.process_time() - start, peak_mib() - before))

    process = context.Process(target=send)
    process.start()
    # a copy of the sending end here would keep a child that died from being noticed
    sender.close()
    found = receiver.recv()
    process.join()
    return found


def peak_mib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def linear_products(model: Any, n_tokens: int, at_a_time: int = 1024) -> None:
    """Only the matrix products of a torch model's linear layers, for so many tokens: the least that they cost."""
    import torch

    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    inputs = {layer.in_features: torch.ones(at_a_time, layer.in_features) for layer in layers}
    with torch.inference_mode():
        for _ in range(-(-n_tokens // at_a_time)):
            for layer in layers:
                layer(inputs[layer.in_features])


def exponent(sizes: list[int], amounts: list[float]) -> float:
    """The power of its size with which something grows, by least squares of the logarithms: 1 in proportion, 2 as its square."""
    return float(np.polyfit(np.log(sizes), np.log(amounts), 1)[0])


def growth_table(timings: list[dict[str, Any]], size: str) -> pd.DataFrame:
    """Best times and largest memory of every method at every size, as a ratio to the first method too, and exponents of time.

    Args:
        timings: method, the column `size`, cpu_s and grown_mib of each run; the first method is what others are held against.

    Returns:
        A row per method and size, in order: method, size, cpu_s, grown_mib, other columns of its last run, of_first
        (time divided by the first method's at this size) and exponent, which is a method's and stands in its last row.
    """
    runs = pd.DataFrame(timings)
    groups = runs.groupby(["method", size], sort=False)
    others = {name: "last" for name in runs.columns if name not in ("method", size, "cpu_s", "grown_mib")}
    table = groups.agg({"cpu_s": "min", "grown_mib": "max"} | others).reset_index()
    first = table[table["method"] == table["method"].iloc[0]].set_index(size)["cpu_s"]
    table["of_first"] = table["cpu_s"] / table[size].map(first)
    for _, rows in table.groupby("method"):
        if len(rows) > 1:
            table.loc[rows.index[-1], "exponent"] = exponent(rows[size].tolist(), rows["cpu_s"].tolist())
    return table
