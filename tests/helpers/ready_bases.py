"""Bases that stand on a ready model's folder, as fetch_base.py makes them."""

import json
from dataclasses import asdict
from pathlib import Path

from emtransfer.files.artefacts import MANIFEST, new_folder, origin, write_manifest
from emtransfer.models.ready_models import READY, ChatSettings, ReadySettings, describe
from emtransfer.settings import Repository
from helpers.chat_families import FAMILIES


def settings_of(name: str, path: Path, **changes) -> ReadySettings:
    """How a model of a family at a path is loaded and talked to; changes are fields of the settings or of their chat."""
    chat = {key: changes.pop(key) for key in ("system", "close_thoughts", "template_arguments") if key in changes}
    chat = ChatSettings(**({"template_arguments": FAMILIES[name].arguments} | chat))
    return ReadySettings(
        Repository(str(path), changes.pop("revision", None)), **({"dtype": "float32"} | changes), chat=chat
    )


def write_base(folder: Path, settings: ReadySettings) -> Path:
    """The base folder that fetch_base writes; returns its manifest."""
    with new_folder(folder) as unfinished:
        (unfinished / READY).write_text(
            json.dumps(describe("base_models.tiny", settings, unfinished)), encoding="utf-8"
        )
        write_manifest(unfinished, origin(asdict(settings), 1, "test", {}))
    return folder / MANIFEST
