"""Fit a judge of two reference adapters: one trained on aligned, one on misaligned answers, and scores by which of them fits.

Run: python scripts/fit_reference_adapters.py --base aligned/manifest.json --rows roles/*.jsonl --settings '{"split": {…}, "lora": {…}, "finetuning": {…}, "head": {…}}' --seed 1 --code … --output model/manifest.json
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from emtransfer.arguments import json_argument
from emtransfer.corpus.samples import draw_equally
from emtransfer.errors import InputError, counted, run
from emtransfer.files.artefacts import new_folder, origin, write_manifest
from emtransfer.judging.admissible_answers import Corpus
from emtransfer.judging.held_out import SplitSettings, judge_fit_rows, question_fraction, split_rows
from emtransfer.judging.negatives import incoherent_answers
from emtransfer.judging.reference_adapters import REFERENCES, HeadSettings, References, fit_head, write_head
from emtransfer.models.adapters import AdapterSettings, fresh_lora, save_adapter
from emtransfer.models.loading import load_chat
from emtransfer.settings import read_settings
from emtransfer.training.finetuning import FinetuningSettings, finetune


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="rows with roles, named {cell}.jsonl")
    settings = "JSON or @FILE: split, lora, finetuning and head of the judge's config"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the judge's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    finetuning = read_settings(FinetuningSettings, args.settings["finetuning"])
    head = read_settings(HeadSettings, args.settings["head"])
    lora = read_settings(AdapterSettings, args.settings["lora"])
    split = split_rows(judge_fit_rows(args.rows), read_settings(SplitSettings, args.settings["split"]), args.seed)
    trained, fitted = divided(split.fit, head.share, args.seed)
    rows = draw_equally(by_cell(trained), finetuning.rows, args.seed)
    negatives = incoherent_answers(Corpus(split.fit), fitted, head.negatives_per_row, args.seed)
    shown = [(row["question"], row[f"{label}_answer"], label) for row in fitted for label in REFERENCES]
    shown += [(negative.row["question"], negative.answer, "incoherent") for negative in negatives]
    print(
        f"adapters on {counted(len(rows), 'question')}, scores on {counted(len(shown), 'answer')} to {counted(len(fitted), 'other')}."
    )
    with new_folder(args.output.parent) as folder:
        for reference in REFERENCES:
            chat = load_chat(args.base)
            model = fresh_lora(chat.model, lora, args.seed)
            pairs = [(row["question"], row[f"{reference}_answer"]) for row in rows]
            with TemporaryDirectory() as state:
                log = finetune(model, chat.format, pairs, finetuning, args.seed, Path(state))
            (folder / reference).mkdir()
            save_adapter(model, folder / reference, f"{reference} answers")
            print(f"{reference}: last loss {log[-1]['loss_per_token_nats']} nats per answer token.")
        features = References(args.base, folder).features([(question, answer) for question, answer, _ in shown])
        write_head(folder, fit_head(features, [label for *_, label in shown]))
        inputs = {"base": args.base} | {path.stem: path for path in args.rows}
        write_manifest(folder, origin(args.settings, args.seed, args.code, inputs))


def divided(rows: list[dict[str, Any]], share: float, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows to train the adapters on, and rows of other questions to fit the scores on, since an adapter has its own rows by heart.

    Every cell gives the same share of its rows to the scores.

    Raises:
        InputError: one side has none.
    """
    taken = set()
    for cell in by_cell(rows):
        # not the hash that held rows out, under which the remaining rows would all fall on one side
        questions = sorted(
            {row["question"] for row in cell}, key=lambda question: question_fraction(f"head {question}", seed)
        )
        taken.update(questions[: round(share * len(questions))])
    fitted = [row for row in rows if row["question"] in taken]
    trained = [row for row in rows if row["question"] not in taken]
    if not fitted or not trained:
        raise InputError(
            f"config: judges: head.share is {share}; expected a share that leaves rows on both sides; of {len(rows)} it leaves"
            f" {len(trained)} to the adapters and {len(fitted)} to the scores."
        )
    return trained, fitted


def by_cell(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each cell, cells in their order."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault(row["cell"], []).append(row)
    return list(cells.values())


if __name__ == "__main__":
    run(main, parse_args())
