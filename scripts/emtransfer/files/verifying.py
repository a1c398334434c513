"""What is wrong in a results folder, by the hashes in it and by the list of what its runs declare."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from emtransfer.errors import InputError, counted
from emtransfer.files.artefacts import MANIFEST, checked_folder, read_manifest
from emtransfer.files.records import check_hash, file_sha256, hash_path, read_records

# rules whose outputs `make clean-intermediate` removes once a run is finished
INTERMEDIATE = (
    *("generate_pairs", "write_pairs", "split_questions", "filter_pairs", "dedup_pairs", "build_mixture"),
    *("pretrain_base", "roll_out_teacher", "filter_rollouts", "answer_retained", "sample_answers"),
)
DELETE = "delete it to rebuild it"


def findings(results: Path, declared_path: Path) -> tuple[list[str], str]:
    """A line for everything that is wrong, and how much was looked at, in words.

    Args:
        results: the folder to look through.
        declared_path: JSONL of outputs with rule, seed, settings and inputs, as a run writes it; without it, files are compared
            with their hashes alone.
    """
    manifests = sorted(results.rglob(MANIFEST))
    hashed = [path.with_suffix("") for path in sorted(results.rglob("*.sha256"))]
    # the hash of a manifest is checked with its folder
    files = [path for path in hashed if path.name != MANIFEST]
    found = [*damaged(manifests, checked_folder), *damaged(files, check_hash)]
    counts = (
        f"{counted(len(manifests), 'folder')} and {counted(len(files), 'file')} are unchanged since they were written"
    )
    if not declared_path.is_file():
        return found, f"{counts}; no {declared_path}, so what else the run declares is unknown."
    try:
        declared = read_records(declared_path, ("output", "rule"))
    except InputError as error:
        return [*found, str(error)], counts
    told = {line.split(": ")[0] for line in found}
    more = [line for line in undeclared(declared) if line.split(": ")[0] not in told]
    return found + more, f"{counts}; {counted(len(declared), 'is', 'are')} declared."


def damaged(paths: list[Path], check: Callable[[Path], object]) -> Iterator[str]:
    """A line for every artefact that is missing or has changed, or cannot be read."""
    for path in paths:
        try:
            check(path)
        except InputError as error:
            yield str(error)
        except FileNotFoundError:
            yield f"{path}: missing; expected it beside its hash."
        except OSError as error:
            yield f"{path}: {error.strerror}; expected a file that can be read."


def undeclared(declared: list[dict[str, Any]]) -> Iterator[str]:
    """A line for every declared output that is not there as it is declared."""
    there = {row["output"] for row in declared if Path(row["output"]).is_file()}
    missed = missed_outputs(declared, there)
    used = {path for row in declared if row["output"] in there for path in row["inputs"]}
    unmade = []
    digest = cache(file_sha256)
    for row in declared:
        path = Path(row["output"])
        if row["output"] in there:
            yield from as_declared(path, row, digest)
        elif row["output"] in missed & used:
            yield f"{path}: missing; expected it, since files made from it are there."
        elif row["output"] in missed:
            unmade.append(row["output"])
    if unmade:
        yield f"{unmade[0]}: missing; expected it and {counted(len(unmade) - 1, 'more file')} that runs declare."


def missed_outputs(declared: list[dict[str, Any]], there: set[str]) -> set[str]:
    """Outputs that are missing and needed: all but those of INTERMEDIATE, and of these what a needed one is made from."""
    missing = {row["output"]: row for row in declared if row["output"] not in there}
    waiting = [output for output, row in missing.items() if not row["rule"].startswith(INTERMEDIATE)]
    found: set[str] = set()
    while waiting:
        output = waiting.pop()
        if output not in found:
            found.add(output)
            waiting += [path for path in missing[output]["inputs"] if path in missing]
    return found


def as_declared(path: Path, row: dict[str, Any], digest: Callable[[Path], str]) -> Iterator[str]:
    """The first thing in which an output that is there differs from what is declared of it."""
    if path.name != MANIFEST:
        if not hash_path(path).is_file():
            yield f"{path}: no {hash_path(path).name} beside it; expected one; {DELETE}."
        return
    try:
        manifest = read_manifest(path)
    except InputError:
        # reported with its folder
        return
    for key in ("seed", "settings"):
        if row.get(key) is not None and manifest.get(key) != row[key]:
            yield f"{path}: {key} is {shown(manifest.get(key))}; expected {shown(row[key])}; {DELETE}."
            return
    inputs = [Path(name) for name in row["inputs"]]
    known = {digest(name) for name in inputs if name.is_file()}
    recorded = manifest.get("inputs")
    if all(name.is_file() for name in inputs) and isinstance(recorded, dict):
        other = next((name for name, value in recorded.items() if value not in known), None)
        if other:
            yield f"{path}: input {other} was another file; expected one of {', '.join(row['inputs'])}; {DELETE}."


def shown(value: object) -> str:
    """A value cut to what fits on a line."""
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
