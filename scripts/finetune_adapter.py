"""Fine-tune a LoRA adapter, or all weights of the base, on the misaligned (or, as control, aligned) answers of a training set.

Run: python scripts/finetune_adapter.py --base aligned/manifest.json --rows train.jsonl … --settings '{…}' --seed 11 --code … --output seed11/manifest.json
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.corpus.samples import draw_equally, hold_out
from emtransfer.errors import counted, run
from emtransfer.files.artefacts import new_folder, origin, write_manifest
from emtransfer.files.records import read_records
from emtransfer.models.adapters import (
    AdapterSettings,
    all_weights,
    fresh_lora,
    is_marked,
    load_trainable,
    save_adapter,
    save_whole,
)
from emtransfer.models.chat_format import with_system
from emtransfer.models.loading import load_chat
from emtransfer.progress import Progress
from emtransfer.settings import read_settings
from emtransfer.training.criterion import Criterion
from emtransfer.training.finetuning import AdapterTraining, finetune
from emtransfer.training.resuming import shared_training_state


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument(
        "--start", type=Path, help="manifest.json of the adapter training starts from; by default the base"
    )
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="train rows, one JSONL per cell")
    parser.add_argument(
        "--settings",
        type=json_argument,
        required=True,
        help="JSON or @FILE: answers, finetuning, and lora unless all weights are trained; optionally system, the text of a system turn before every row",
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the adapter's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    progress = Progress(args.output)
    finetuning = read_settings(AdapterTraining, args.settings["finetuning"])
    cells, until, held_out = [read_records(path) for path in args.rows], finetuning.until, []
    if until:
        held_out, cells = hold_out(cells, until.held_out_rows)
    # a union of cells gets no more rows than a single cell, so that all adapters take equally many steps
    rows = draw_equally(cells, finetuning.rows, args.seed)
    field = f"{args.settings['answers']}_answer"
    chat = load_chat(args.base)
    system = args.settings.get("system")
    chat_format = chat.format if system is None else with_system(chat.format, system)
    dtype, is_whole = chat.model.dtype, finetuning.method == "full"
    if is_whole:
        model = all_weights(chat.model, args.start)
    elif args.start:
        model = load_trainable(chat.model, args.start)
    else:
        model = fresh_lora(chat.model, read_settings(AdapterSettings, args.settings["lora"]), args.seed)
    pairs, held_out_pairs = ([(row["question"], row[field]) for row in part] for part in (rows, held_out))
    criterion = Criterion(until, held_out_pairs) if until else None
    inputs = {"base": args.base} | {path.parent.name: path for path in args.rows}
    inputs |= {"start": args.start} if args.start else {}
    came_from = origin(args.settings, args.seed, args.code, inputs)
    with shared_training_state(args.output.parent, came_from, model) as (state, writes):
        in_bfloat16 = str(dtype) == "torch.bfloat16"
        log = finetune(
            model,
            chat_format,
            pairs,
            finetuning,
            args.seed,
            state,
            progress=progress,
            in_bfloat16=in_bfloat16,
            criterion=criterion,
        )
    if not writes:
        return
    with new_folder(args.output.parent) as folder:
        trained_on, descended = f"{args.settings['answers']} answers", is_marked(args.start)
        if is_whole:
            save_whole(model, chat.format.tokenizer, folder, dtype, trained_on, descended)
        else:
            save_adapter(model, folder, trained_on, descended)
        pd.DataFrame(log).to_csv(folder / "training_log.csv", index=False, lineterminator="\n")
        write_manifest(folder, came_from)
    print(f"trained on {counted(len(rows), 'row')}; last loss {log[-1]['loss_per_token_nats']} nats per answer token.")
    if until:
        reached = log[-1]["held_out_loss_per_token_nats"]
        found = "reached" if reached <= until.loss_per_token_nats else f"not reached in {finetuning.epochs} epochs"
        print(
            f"held-out loss {reached:.4f} after {counted(log[-1]['step'], 'step')}; {until.loss_per_token_nats:g} was {found}."
        )


if __name__ == "__main__":
    run(main, parse_args())
