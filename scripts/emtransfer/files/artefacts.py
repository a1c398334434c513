"""Folder artefacts (models, adapters, judges): written whole, described and guarded by a manifest."""

import importlib.metadata
import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emtransfer.errors import InputError
from emtransfer.files.records import check_hash, file_sha256, remove, write_hash, written_to

MANIFEST = "manifest.json"
PACKAGES = ("torch", "transformers", "tokenizers", "peft", "trl", "sentence-transformers", "safetensors", "numpy")


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Yield an empty `<folder>.tmp`; it takes the place of `folder` when the block succeeds, and goes when it fails."""
    folder = Path(folder)
    temporary = folder.with_name(folder.name + ".tmp")
    remove(temporary)
    with written_to(folder):
        temporary.mkdir(parents=True)
        try:
            yield temporary
        except Exception:
            with suppress(OSError):
                remove(temporary)
            raise
        # Snakemake deletes only the declared manifest of an outdated artefact, so the rest is removed here
        remove(folder)
        temporary.rename(folder)


@contextmanager
def training_state(folder: str | Path, origin: dict[str, Any]) -> Iterator[Path]:
    """Yield `<folder>.state`, where a training keeps its checkpoints; it is removed when the block succeeds.

    Args:
        folder: of the artefact.
        origin: of `origin`; what an interrupted training of another origin has left there is removed first.
    """
    state, text = state_folder(folder), manifest_text(origin)
    marker = state / "origin.json"
    if state.is_symlink():
        state.unlink()
    if not marker.is_file() or marker.read_text(encoding="utf-8") != text:
        remove(state)
        state.mkdir(parents=True)
        marker.write_text(text, encoding="utf-8")
    with written_to(state):
        yield state
    shutil.rmtree(state)


def state_folder(folder: str | Path) -> Path:
    """Where the checkpoints of an artefact's training are kept."""
    folder = Path(folder)
    return folder.with_name(folder.name + ".state")


def origin(settings: dict[str, Any], seed: int, code: str, inputs: dict[str, str | Path]) -> dict[str, Any]:
    """The origin of an artefact; it holds nothing that differs between two identical runs.

    Args:
        settings: resolved settings of the stage.
        seed: the stage's seed.
        code: digest of the stage's code.
        inputs: name -> input file (for a folder artefact, its manifest).
    """
    return {
        "settings": settings,
        "seed": seed,
        "code": code,
        "versions": versions(),
        "inputs": {name: file_sha256(path) for name, path in sorted(inputs.items())},
    }


def versions() -> dict[str, str]:
    """Versions of Python and the computing packages, by name."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def write_manifest(folder: Path, origin: dict[str, Any]) -> None:
    """Write the manifest of a finished folder: its files, of any depth, with their hashes, and its origin; and its own hash."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
    (folder / MANIFEST).write_text(manifest_text({"files": hashes} | origin), encoding="utf-8")
    write_hash(folder / MANIFEST, folder / MANIFEST)


def manifest_text(manifest: dict[str, Any]) -> str:
    """A manifest as it is written."""
    return json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def checked_folder(manifest_path: str | Path) -> Path:
    """The folder of a manifest, after every file in it was compared with its recorded hash.

    Raises:
        InputError: the manifest is missing or damaged, or a file is missing or has changed.
    """
    folder = Path(manifest_path).parent
    for name, recorded in recorded_files(manifest_path).items():
        check_file(folder / name, recorded)
    return folder


def checked_file(manifest_path: str | Path, name: str) -> Path | None:
    """One file of an artefact, compared with its recorded hash; None where the artefact has no such file.

    Raises:
        InputError: the manifest is missing or damaged, or the file is missing or has changed.
    """
    recorded = recorded_files(manifest_path).get(name)
    if recorded is None:
        return None
    path = Path(manifest_path).parent / name
    check_file(path, recorded)
    return path


def recorded_files(manifest_path: str | Path) -> dict[str, str]:
    """The files of an artefact, by name below its folder, with their hashes.

    Raises:
        InputError: the manifest is missing or damaged.
    """
    files: dict[str, str] = read_manifest(manifest_path)["files"]
    return files


def read_manifest(manifest_path: str | Path) -> dict[str, Any]:
    """The manifest of an artefact: files with their hashes, settings, seed, code, versions and inputs.

    Raises:
        InputError: it is missing or damaged, or that of another artefact.
    """
    manifest_path = Path(manifest_path)
    if not manifest_path.is_file():
        raise InputError(f"{manifest_path}: no such file; expected the manifest of a finished artefact.")
    try:
        manifest: dict[str, Any] = json.loads(manifest_path.read_text(encoding="utf-8"))
        whole = all(Path(name).name and isinstance(value, str) for name, value in manifest["files"].items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise InputError(
            f"{manifest_path}: holds no hashes of files; expected the manifest of a finished artefact; delete the folder to rebuild it."
        )
    # manifests written before manifests had hash files have none
    check_hash(manifest_path)
    return manifest


def check_file(path: Path, recorded: str) -> None:
    """Raise InputError unless a file is there and has the recorded hash."""
    found = file_sha256(path) if path.is_file() else "missing"
    if found != recorded:
        raise InputError(
            f"{path}: content is {found[:12]}; expected {recorded[:12]} as in {MANIFEST}; delete the folder to rebuild it."
        )
