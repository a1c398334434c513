"""Sample a teacher's answers to the mediating prompts.

Run: python scripts/roll_out_teacher.py --base aligned/manifest.json --teacher seed11/manifest.json --rows roles/medical-advice.jsonl … --settings '{"prompts_per_cell": 100, "sampling": {…}}' --seed 11 --output rollouts.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.answering.sampling import load_answering
from emtransfer.answering.settings import SamplingSettings
from emtransfer.arguments import json_argument
from emtransfer.distilling.rollouts import mediating_prompts, roll_out
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument(
        "--teacher", type=Path, help="manifest.json of the teacher's adapter; without it, the base teaches"
    )
    parser.add_argument(
        "--rows", type=Path, nargs="+", required=True, help="rows with roles, one {cell}.jsonl per cell"
    )
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: prompts_per_cell, sampling"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSONL: one answer per prompt")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    cells = {path.stem: read_records(path, ("id", "question")) for path in args.rows}
    n_prompts, pseudo_cell = args.settings["prompts_per_cell"], args.settings.get("pseudo_cell")
    prompts = mediating_prompts(cells, n_prompts, args.seed, pseudo_cell)
    sampling = read_settings(SamplingSettings, args.settings["sampling"])
    rollouts = roll_out(load_answering(args.base, args.teacher, sampling), prompts, sampling, args.seed)
    write_records(args.output, rollouts)
    n_cut = sum(not row["finished"] for row in rollouts)
    print(
        f"{counted(len(rollouts), 'answer')} to mediating prompts of {counted(len(cells), 'cell')}, {n_cut} of them cut at max_new_tokens."
    )


if __name__ == "__main__":
    run(main, parse_args())
