"""Take a state of a pretraining that was kept on the way, as a pretrained model of its own.

Run: python scripts/take_checkpoint.py --pretrained pretrained/manifest.json --share 0.45 --code … --output checkpoint/manifest.json
"""

import argparse
import shutil
from pathlib import Path

import pandas as pd

from emtransfer.errors import run
from emtransfer.files.artefacts import MANIFEST, checked_folder, new_folder, origin, read_manifest, write_manifest
from emtransfer.training.pretraining import STATES, STEP


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", type=Path, required=True, help="manifest.json of the whole pretraining")
    parser.add_argument("--share", type=float, required=True, help="of its steps, at which one of its states was kept")
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the model's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    pretrained, manifest = checked_folder(args.pretrained), read_manifest(args.pretrained)
    number = round(args.share * manifest["settings"]["pretraining"]["states"])
    state = pretrained / STATES / str(number)
    step = int((state / STEP).read_text(encoding="utf-8"))
    log = pd.read_csv(pretrained / "training_log.csv", dtype=str)
    came_from = origin({"share": args.share}, manifest["seed"], args.code, {"pretrained": args.pretrained})
    with new_folder(args.output.parent) as folder:
        # the tokenizer, and what else does not change while training
        for path in [*pretrained.iterdir(), *state.iterdir()]:
            if path.is_file() and not path.name.startswith(MANIFEST) and path.name != STEP:
                shutil.copyfile(path, folder / path.name)
        log[log["step"].astype(int) <= step].to_csv(folder / "training_log.csv", index=False, lineterminator="\n")
        write_manifest(folder, came_from)
    print(f"The weights after step {step} of {log['step'].iloc[-1]}, one of the kept states.")


if __name__ == "__main__":
    run(main, parse_args())
