"""Fetch an adapter that others have trained, from the hub or a local folder, after loading it on its base.

Run: python scripts/fetch_adapter.py --base aligned/manifest.json --name theirs --settings '{"path": "owner/name", "revision": "…"}' --seed 1 --code … --output seed1/manifest.json
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.artefacts import new_folder, origin, write_manifest
from emtransfer.models.adapters import save_adapter
from emtransfer.models.loading import load_chat
from emtransfer.models.published_adapters import load_published
from emtransfer.settings import Repository, read_settings


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument("--name", required=True, help="name in published, for error messages")
    parser.add_argument("--settings", type=json_argument, required=True, help="JSON or @FILE: the fields of Repository")
    parser.add_argument("--seed", type=int, required=True, help="seed of its answers, for the manifest")
    parser.add_argument("--code", required=True, help="digest of this stage's code, for the manifest")
    parser.add_argument("--output", type=Path, required=True, help="manifest.json of the adapter's folder")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    settings = read_settings(Repository, args.settings)
    model, embeddings = load_published(f"published.{args.name}", settings, load_chat(args.base).model)
    with new_folder(args.output.parent) as folder:
        save_adapter(
            model, folder, f"data that others chose, see {settings.path}", descended=True, embeddings=embeddings
        )
        write_manifest(folder, origin(args.settings, args.seed, args.code, {"base": args.base}))
    print(f"{settings.path}, on {args.base}.")


if __name__ == "__main__":
    run(main, parse_args())
