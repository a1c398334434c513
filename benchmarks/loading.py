"""Processor time in which a sampling job loads its model: the base alone, and with an adapter merged, hashes of all files included.

The files come from the page cache from the second round on, as in a run whose jobs follow one another.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/loading.py --base results/bases/smollm2/aligned/manifest.json --adapter results/small_instruct/adapters/…/manifest.json
"""

import argparse
import time
from pathlib import Path

from emtransfer.models.loading import load_chat


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of a base")
    parser.add_argument("--adapter", type=Path, required=True, help="manifest.json of an adapter on it")
    parser.add_argument("--rounds", type=int, default=4)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    import peft  # noqa: F401
    import transformers  # noqa: F401

    print(f"imports {time.process_time():.2f} s")
    for number in range(args.rounds):
        begun = time.process_time()
        load_chat(args.base)
        between = time.process_time()
        load_chat(args.base, args.adapter)
        print(f"round {number}: base {between - begun:.2f} s, with adapter {time.process_time() - between:.2f} s")


if __name__ == "__main__":
    main(parse_args())
