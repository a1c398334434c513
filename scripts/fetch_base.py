"""Look up a ready instruct model, on the hub, in a local folder or in a package, and describe it as a base.

Run: python scripts/fetch_base.py --name qwen --settings '{"path": "owner/name", "revision": "…"}' --seed 1 --code … --output aligned/manifest.json
"""

import argparse
import json
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.artefacts import new_folder, origin, write_manifest
from emtransfer.models.packaged_weights import packaged_file, write_weights
from emtransfer.models.ready_models import MODEL, READY, ReadySettings, describe
from emtransfer.settings import read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="name in base_models, for error messages")
    parser.add_argument(
        "--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of ReadySettings"
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the base's answers, for the manifest")
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the base's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    key, settings = f"base_models.{args.name}", read_settings(ReadySettings, args.settings)
    # before anything is written
    file = packaged_file(f"{key}.package", settings.package) if settings.package else None
    with new_folder(args.output.parent) as folder:
        if file is not None:
            write_weights(f"{key}.package", file, folder / MODEL)
        description = describe(key, settings, folder)
        text = json.dumps(description, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / READY).write_text(text + "\n", encoding="utf-8")
        write_manifest(folder, origin(args.settings, args.seed, args.code, {}))
    print(f"{settings.title}.")


if __name__ == "__main__":
    run(main, parse_args())
