"""Time deduplication, and what is commonly written in its place, on the same vectors; print time, memory and growth.

`pipeline` keeps rows at all thresholds of the grid in one pass, the others at --threshold alone: `one threshold` is the pipeline's
own, `loop` holds each row against every survivor before it, `whole matrix` computes all cosines first. SemHash (a package that
is measured where it is installed) finds neighbours by an approximate index, or by its exact one; how many rows it leaves need
not be what the definition leaves. `product` is the least that cosines of all pairs cost: half of vectors · vectorsᵀ, in blocks.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/dedup.py --rows 3375 13500 54000 --seed 1
"""

import argparse
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
from growth import growth_table, measured

from emtransfer.corpus.cosines import TOLERANCE
from emtransfer.corpus.dedup import BLOCK_ROWS, GRID, survivors


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[3375, 13500, 54000])
    parser.add_argument("--dimensions", type=int, default=384, help="384 is MiniLM's")
    parser.add_argument("--threshold", type=float, default=0.85, help="one of the grid, of methods that know one")
    parser.add_argument("--largest", type=int, default=15000, help="rows from which loop and whole matrix are left out")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    timings = []
    for n_rows in args.rows:
        vectors = clustered(n_rows, args.dimensions, np.random.default_rng(args.seed))
        for _ in range(args.repeats):
            found = {method: measured(work) for method, work in methods(vectors, args).items()}
            for method, (kept, cpu_s, grown_mib) in found.items():
                timing = {"method": method, "rows": n_rows, "cpu_s": cpu_s, "grown_mib": grown_mib}
                if kept is not None:
                    timing |= {"left": int(kept.sum()), "differing": int((kept != found["pipeline"].result).sum())}
                timings.append(timing)
    table = growth_table(timings, "rows")
    print(table.to_string(index=False, float_format="%.3g"))


def methods(vectors: np.ndarray, args: argparse.Namespace) -> dict[str, Callable[[], np.ndarray | None]]:
    """What is timed, by name: each returns which rows stay at the threshold, bool [n], or None."""
    texts = [str(index) for index in range(len(vectors))]
    found = {
        "product": partial(product, vectors),
        "pipeline": lambda: survivors(vectors, GRID, texts)[GRID.index(args.threshold)],
        "one threshold": lambda: survivors(vectors, [args.threshold], texts)[0],
    }
    if len(vectors) <= args.largest:
        found["loop"] = partial(loop, vectors, args.threshold)
        found["whole matrix"] = partial(whole_matrix, vectors, args.threshold)
    if find_spec("semhash"):
        found["SemHash"] = partial(semhash, vectors, texts, args.threshold, "usearch")
        found["SemHash, exact index"] = partial(semhash, vectors, texts, args.threshold, "basic")
    return found


def clustered(n_rows: int, dimensions: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors around n/20 centres with cosines between 0.5 and 0.99 to their centre: float32 [n, d]."""
    centres = unit(rng.normal(size=(n_rows // 20, dimensions)))[rng.integers(n_rows // 20, size=n_rows)]
    cosines = rng.uniform(0.5, 0.99, size=(n_rows, 1))
    return unit(cosines * centres + np.sqrt(1 - cosines**2) * unit(rng.normal(size=centres.shape))).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def product(vectors: np.ndarray) -> None:
    """All cosines of each block with the rows up to it, and nothing else."""
    for start in range(0, len(vectors), BLOCK_ROWS):
        vectors[start : start + BLOCK_ROWS] @ vectors[: start + BLOCK_ROWS].T


def loop(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """The definition: each row against every survivor before it."""
    survivors, kept = np.empty_like(vectors), np.zeros(len(vectors), dtype=bool)
    for index, vector in enumerate(vectors):
        count = int(kept.sum())
        kept[index] = not (survivors[:count] @ vector >= threshold - TOLERANCE).any()
        survivors[count] = vector
    return kept


def whole_matrix(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """All cosines at once, then row after row."""
    near = vectors @ vectors.T >= threshold - TOLERANCE
    kept = np.ones(len(vectors), dtype=bool)
    for index in range(len(vectors)):
        if kept[index]:
            kept[index + 1 :] &= ~near[index, index + 1 :]
    return kept


def semhash(vectors: np.ndarray, texts: list[str], threshold: float, index: str) -> np.ndarray:
    """What SemHash selects."""
    from semhash import SemHash

    # the vectors are given, so that its encoder is never asked
    found = SemHash.from_embeddings(vectors, texts, model=None, ann_backend=index).self_deduplicate(threshold)
    return np.isin(texts, found.selected)


if __name__ == "__main__":
    main(parse_args())
