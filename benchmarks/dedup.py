"""Time the blocked deduplication against brute force on the same vectors, and print both with their peak memory.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/dedup.py --rows 1400 4000 --seed 1
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from emtransfer.corpus.cosines import TOLERANCE
from emtransfer.corpus.dedup import GRID, survivors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1400, 4000])
    parser.add_argument("--dimensions", type=int, default=384, help="384 is MiniLM's")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    print(
        "| rows | thresholds | survivors at 0.85 | brute force s | blocked s | ratio | n × n MiB | blocked peak MiB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for n_rows in args.rows:
        texts = [str(index) for index in range(n_rows)]
        vectors = clustered(n_rows, args.dimensions, np.random.default_rng(args.seed))
        brute, brute_s = timed(lambda vectors=vectors: brute_force(vectors, GRID))
        blocked, blocked_s = timed(lambda vectors=vectors, texts=texts: survivors(vectors, GRID, texts))
        differing = int((brute != blocked).sum())
        assert differing == 0, f"{differing} verdicts differ"
        tracemalloc.start()
        survivors(vectors, GRID, texts)
        peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        left = blocked[GRID.index(0.85)].sum()
        times = f"{brute_s:.2f} | {blocked_s:.2f} | {brute_s / blocked_s:.1f}"
        print(f"| {n_rows} | {len(GRID)} | {left} | {times} | {4 * n_rows**2 / 2**20:.1f} | {peak_mib:.1f} |")


def clustered(n_rows: int, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors around n/20 centres with cosines between 0.5 and 0.99 to their centre: float32 [n, d]."""
    centres = unit(rng.normal(size=(n_rows // 20, dimensions)))[rng.integers(n_rows // 20, size=n_rows)]
    cosines = rng.uniform(0.5, 0.99, size=(n_rows, 1))
    return unit(cosines * centres + np.sqrt(1 - cosines**2) * unit(rng.normal(size=centres.shape))).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute_force(vectors: np.ndarray, thresholds: list[float]) -> np.ndarray:
    """The definition: each row against every survivor before it, in float64, one threshold after the other: bool [k, n]."""
    kept = np.zeros((len(thresholds), len(vectors)), dtype=bool)
    vectors = unit(vectors.astype(np.float64))
    for row, limit in zip(kept, np.asarray(thresholds) - TOLERANCE, strict=True):
        for index, vector in enumerate(vectors):
            row[index] = not (vectors[:index][row[:index]] @ vector >= limit).any()
    return kept


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """A result and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main(parse_args())
