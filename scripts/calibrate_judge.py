"""Measure a judge on held-out aligned, misaligned and incoherent answers, and stop if it is below its gate.

Run: python scripts/calibrate_judge.py --judge model/manifest.json --judge-settings '{…}' --name minilm --rows roles/*.jsonl --settings '{…}' --seed 1 --output calibration.csv
"""

import argparse
import json
from pathlib import Path
from typing import Any

from emtransfer.arguments import json_argument
from emtransfer.errors import InputError, run
from emtransfer.files.records import read_records, write_table
from emtransfer.judging.calibration import (
    LABELS,
    CalibrationSettings,
    calibration_table,
    probe_judge,
    probe_on_labelled,
)
from emtransfer.judging.gates import check_gates
from emtransfer.judging.held_out import SplitSettings, judge_fit_rows, split_rows
from emtransfer.judging.kinds import add_judge_arguments, check_answers, judge_from
from emtransfer.settings import read_settings
from emtransfer.worlds.oracles import oracle


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_judge_arguments(parser)
    parser.add_argument("--name", required=True, help="the judge's name in the config")
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="rows with roles, named {cell}.jsonl")
    parser.add_argument("--labels", type=Path, help="JSONL: models' answers with labels given by people")
    parser.add_argument(
        "--settings",
        type=json_argument,
        required=True,
        help="JSON or @FILE: split and calibration of the judge's config",
    )
    parser.add_argument("--seed", type=int, required=True, help="the judge's seed, which selects the held-out answers")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="CSV: a row of measures per slice, such as a cell, all or unseen_phrases",
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(CalibrationSettings, args.settings["calibration"])
    split = split_rows(judge_fit_rows(args.rows), read_settings(SplitSettings, args.settings["split"]), args.seed)
    judge = judge_from(args, "calibrate_judge")
    probes = probe_judge(judge, split, settings.masked_words, args.seed, oracle)
    if args.labels:
        probes += probe_on_labelled(judge, labelled_rows(args.labels))
    table = calibration_table(probes, settings.rule, split.phrases)
    print("Withheld phrases:", "; ".join(f"{cell}: {phrase}" for cell, phrase in split.phrases.items()))
    print(table.set_index("slice").T.to_string())
    check_gates(args.name, table, settings)
    write_table(args.output, table)


def labelled_rows(path: Path) -> list[dict[str, Any]]:
    """Labelled answers.

    Raises:
        InputError: a question is not text, no judge sees an answer, a label is unknown, or an answer is labelled twice.
    """
    rows = read_records(path, ("question", "label"))
    check_answers(path, rows)
    first: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows, start=1):
        for field in ("question", "cell"):
            if not isinstance(row.get(field) or "", str):
                raise InputError(f"{path}: row {number}: {field} is {json.dumps(row[field])}; expected text.")
        if not row["answer"].strip():
            raise InputError(
                f"{path}: row {number}: answer is blank; expected text, since no judge is shown a blank one."
            )
        if row["label"] not in LABELS:
            raise InputError(f"{path}: row {number}: label is {row['label']}; expected one of {', '.join(LABELS)}.")
        known = first.setdefault((row["question"], row["answer"]), number)
        if known != number:
            raise InputError(
                f"{path}: row {number}: question and answer are those of row {known}; expected every answer once."
            )
    return rows


if __name__ == "__main__":
    run(main, parse_args())
