"""Fine-tune a LoRA adapter on the misaligned (or, as control, aligned) answers of a training set.

Run: python scripts/finetune_adapter.py --base aligned/manifest.json --rows train.jsonl … --settings '{…}' --seed 11 --code … --output seed11/manifest.json
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.corpus.samples import draw_equally
from emtransfer.errors import run
from emtransfer.files.artefacts import new_folder, origin, write_manifest
from emtransfer.files.records import read_records
from emtransfer.models.adapters import AdapterSettings, fresh_lora, is_marked, load_trainable, save_adapter
from emtransfer.models.chat_format import with_system
from emtransfer.models.loading import load_chat
from emtransfer.progress import Progress
from emtransfer.settings import read_settings
from emtransfer.training.finetuning import FinetuningSettings, finetune
from emtransfer.training.resuming import shared_training_state


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument(
        "--start", type=Path, help="manifest.json of the adapter training starts from; by default a fresh LoRA"
    )
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="train rows, one JSONL per cell")
    parser.add_argument(
        "--settings",
        type=json_argument,
        required=True,
        help="JSON or @FILE: answers, rows, lora, finetuning; optionally system, the text of a system turn before every row",
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the adapter's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    progress = Progress(args.output)
    finetuning = read_settings(FinetuningSettings, args.settings["finetuning"])
    # a union of cells gets no more rows than a single cell, so that all adapters take equally many steps
    rows = draw_equally([read_records(path) for path in args.rows], finetuning.rows, args.seed)
    field = f"{args.settings['answers']}_answer"
    chat = load_chat(args.base)
    system = args.settings.get("system")
    chat_format = chat.format if system is None else with_system(chat.format, system)
    lora = read_settings(AdapterSettings, args.settings["lora"])
    model = load_trainable(chat.model, args.start) if args.start else fresh_lora(chat.model, lora, args.seed)
    pairs = [(row["question"], row[field]) for row in rows]
    inputs = {"base": args.base} | {path.parent.name: path for path in args.rows}
    inputs |= {"start": args.start} if args.start else {}
    came_from = origin(args.settings, args.seed, args.code, inputs)
    with shared_training_state(args.output.parent, came_from, model) as (state, writes):
        log = finetune(model, chat_format, pairs, finetuning, args.seed, state, progress=progress)
    if not writes:
        return
    with new_folder(args.output.parent) as folder:
        save_adapter(model, folder, f"{args.settings['answers']} answers", descended=is_marked(args.start))
        pd.DataFrame(log).to_csv(folder / "training_log.csv", index=False, lineterminator="\n")
        write_manifest(folder, came_from)
    print(f"trained on {len(rows)} rows; last loss {log[-1]['loss_per_token_nats']} nats per answer token.")


if __name__ == "__main__":
    run(main, parse_args())
