"""Time the products of the pipeline's models by oneDNN against torch's own, in float32 on one thread, forwards and backwards.

Shapes are rows, width and outputs: of the default decoder and of the encoder that judges and embeds. `new shape` is the time that
the first product of a shape takes longer than the next ones, in milliseconds.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/products.py
"""

import argparse
import time
from collections.abc import Callable

import pandas as pd
import torch

from emtransfer.models.products import WIDE_VECTORS, by_onednn

SHAPES = [(1000, 128, 128), (1000, 128, 344), (1000, 344, 128), (64, 128, 344), (1000, 384, 384), (1000, 384, 1536)]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="for each product")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    print(
        f"{torch.backends.cpu.get_cpu_capability()}; products by oneDNN are {'' if WIDE_VECTORS else 'not '}used here"
    )
    rows = []
    for n_rows, width, n_out in SHAPES:
        x, weight, d_product = torch.randn(n_rows, width), torch.randn(n_out, width), torch.randn(n_rows, n_out)
        ways = {
            "product": (lambda x=x, w=weight: x @ w.T, lambda x=x, w=weight: by_onednn(x, w)),
            "gradient by x": (lambda d=d_product, w=weight: d @ w, lambda d=d_product, w=weight: by_onednn(d, w.T)),
            "by the weight": (lambda d=d_product, x=x: d.T @ x, lambda d=d_product, x=x: by_onednn(d.T, x.T)),
        }
        gigaflops = 2e-9 * n_rows * width * n_out
        for name, (torchs, onednns) in ways.items():
            old, new = (gigaflops / seconds(way, args.seconds) for way in (torchs, onednns))
            rows.append({"shape": (n_rows, width, n_out), "of": name, "torch": old, "oneDNN": new, "ratio": new / old})
    print("GFLOP/s\n" + pd.DataFrame(rows).round(2).to_string(index=False))
    print(f"new shape: {new_shape_ms():.2f} ms")


def seconds(way: Callable[[], object], at_least: float) -> float:
    """Mean time of a call, after one that is not counted."""
    way()
    calls, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < at_least:
        way()
        calls += 1
    return passed / calls


def new_shape_ms() -> float:
    """The median over numbers of rows that have not been multiplied before."""
    weight = torch.randn(344, 128)
    longer = []
    for n_rows in range(1501, 1541):
        x, times = torch.randn(n_rows, 128), [time.perf_counter()]
        for _ in range(2):
            by_onednn(x, weight)
            times.append(time.perf_counter())
        longer.append(1000 * (2 * times[1] - times[0] - times[2]))
    return sorted(longer)[len(longer) // 2]


if __name__ == "__main__":
    main(parse_args())
