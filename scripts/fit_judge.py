"""Fit a cross-encoder judge on the judge_fit rows of a corpus and on incoherent answers made from them.

Run: python scripts/fit_judge.py --rows roles/*.jsonl --settings '{"base_model": "all-MiniLM-L6-v2", "split": {…}, "fit": {…}}' --seed 1 --output model/manifest.json …
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.artefacts import new_folder, origin, write_manifest
from emtransfer.judging.admissible_answers import Corpus
from emtransfer.judging.fitting import FitSettings, fit_cross_encoder, load_encoder, training_examples
from emtransfer.judging.held_out import SplitSettings, judge_fit_rows, split_rows
from emtransfer.judging.negatives import incoherent_answers
from emtransfer.progress import Progress
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="rows with roles, named {cell}.jsonl")
    parser.add_argument(
        "--settings",
        type=json_argument,
        required=True,
        help="JSON or @FILE: base_model, split and fit of the judge's config",
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the judge's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    progress = Progress(args.output)
    settings = read_settings(FitSettings, args.settings["fit"])
    split = split_rows(judge_fit_rows(args.rows), read_settings(SplitSettings, args.settings["split"]), args.seed)
    negatives = [
        negative
        for negative in incoherent_answers(Corpus(split.fit), split.fit, settings.negatives_per_row, args.seed)
        if not split.withholds(negative.row, negative.answer)
    ]
    examples = training_examples(split.fit, negatives)
    print(
        f"{counted(len(split.fit), 'question')}, {counted(len(examples), 'answer')}, {len(negatives)} of them incoherent."
    )
    model, tokenizer = load_encoder(args.settings["base_model"], settings, args.seed)
    with TemporaryDirectory() as state_folder:
        fit_cross_encoder(model, tokenizer, examples, settings, args.seed, Path(state_folder), progress)
    with new_folder(args.output.parent) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        inputs = {path.stem: path for path in args.rows}
        write_manifest(folder, origin(args.settings, args.seed, args.code, inputs))


if __name__ == "__main__":
    run(main, parse_args())
