"""Distil a teacher into a fresh LoRA through one channel.

Run: python scripts/distill_student.py --base aligned/manifest.json --teacher seed11/manifest.json --rollouts kept.jsonl --settings '{"channel": "optd", …}' --seed 11 --code … --output seed11/manifest.json
"""

import argparse
from pathlib import Path

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.distilling.distillation import DistillationSettings, distill
from emtransfer.errors import run
from emtransfer.files.artefacts import new_folder, origin, training_state, write_manifest
from emtransfer.files.records import read_records
from emtransfer.models.adapters import AdapterSettings, fresh_lora, is_marked, load_trainable, save_adapter
from emtransfer.models.loading import Chat, load_chat
from emtransfer.progress import Progress
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument(
        "--teacher", type=Path, help="manifest.json of the teacher's adapter; without it, the base teaches"
    )
    parser.add_argument(
        "--start", type=Path, help="manifest.json of the adapter the student starts from; by default a fresh LoRA"
    )
    parser.add_argument("--rollouts", type=Path, required=True, help="JSONL of the answers to distill")
    parser.add_argument(
        "--settings",
        type=json_argument,
        required=True,
        help="JSON or @FILE: channel, estimator, lora, distillation, misaligned_data",
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the student's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    progress = Progress(args.output)
    channel = "-".join(filter(None, (args.settings["channel"], args.settings["estimator"])))
    rows = read_records(args.rollouts, ("prompt_id", "question", "answer"))
    teacher, base = load_chat(args.base, args.teacher), load_chat(args.base)
    lora = read_settings(AdapterSettings, args.settings["lora"])
    student = load_trainable(base.model, args.start) if args.start else fresh_lora(base.model, lora, args.seed)
    settings = read_settings(DistillationSettings, args.settings["distillation"] | {"channel": channel})
    descended = is_marked(args.teacher) or is_marked(args.start) or args.settings.get("misaligned_data", False)
    inputs = {"base": args.base, "rollouts": args.rollouts}
    optional = {"teacher": args.teacher, "start": args.start}
    inputs |= {name: path for name, path in optional.items() if path}
    came_from = origin(args.settings, args.seed, args.code, inputs)
    with training_state(args.output.parent, came_from) as state:
        log = distill(Chat(student, base.format), teacher.model, rows, settings, args.seed, state, progress=progress)
    with new_folder(args.output.parent) as folder:
        save_adapter(student, folder, f"a teacher's predictions or chosen answers, channel {channel}", descended)
        pd.DataFrame(log).to_csv(folder / "training_log.csv", index=False, lineterminator="\n")
        write_manifest(folder, came_from)
    first, last = log[0]["kl_to_teacher_nats"], log[-1]["kl_to_teacher_nats"]
    print(f"{settings.updates} updates; KL to the teacher {first:.4f} -> {last:.4f} nats per answer token.")


if __name__ == "__main__":
    run(main, parse_args())
