"""What the jobs of a run declare: every output, with the seed, settings and inputs that it is to be made from.

`make verify` compares what lies in the results folder with this list. It grows with every run, as results do.
"""

import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emtransfer.errors import InputError
from emtransfer.files.artefacts import MANIFEST
from emtransfer.files.records import read_records, write_records


def write_declared(path: Path, jobs: Iterable[Any]) -> None:
    """Add what jobs of Snakemake declare to a list, in place of what was declared of the same outputs before.

    What earlier runs declared and never made, or what has been removed since, is declared no longer.
    """
    try:
        known = (
            {row["output"]: row for row in read_records(path) if Path(row["output"]).is_file()}
            if path.is_file()
            else {}
        )
    except InputError:
        # one that was damaged is made anew
        known = {}
    found = {row["output"]: row for job in jobs for row in outputs(job)}
    write_records(path, [row for _, row in sorted((known | found).items())])


def outputs(job: Any) -> Iterator[dict[str, Any]]:
    """A row for every output of a job with a command: output, rule, inputs; and of a folder the seed and settings that it has."""
    if job.shellcmd:
        words = shlex.split(job.shellcmd)
        seed, settings = (argument(words, flag) for flag in ("--seed", "--settings"))
        made_with = {
            "seed": None if seed is None else int(seed),
            "settings": None if settings is None else json.loads(settings),
        }
        for file in map(str, job.output):
            row = {"output": file, "rule": job.rule.name, "inputs": sorted(set(map(str, job.input)))}
            yield row | (made_with if Path(file).name == MANIFEST else {})


def argument(words: list[str], flag: str) -> str | None:
    """What stands behind a flag of a command; None where there is no such flag."""
    return words[words.index(flag) + 1] if flag in words else None
