"""Make a second folder to run in, so that the results of a changed setting are kept beside the first ones.

The folder has this one's code and config by links, and what has been made here: files by hard links, which take no room, but logs and
benchmarks, which jobs write in place, as copies. So a run there makes anew what its settings change and nothing else, and what it
makes, being written whole and renamed, is its own.

Run: python workflow/lib/beside.py runs/rank8
"""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from emtransfer.errors import InputError
from emtransfer.files.artefacts import new_folder
from run_alone import take_lock

LINKED = (
    *(
        "Snakefile",
        "Makefile",
        "config.yaml",
        "pyproject.toml",
        "workflow",
        "scripts",
        "resources",
        "profiles",
        "envs",
        ".venv",
        ".venv-inspect",
    ),
    # so that no reply is paid for twice
    "replies",
)
# written in place, so a file with two names would change under both
IN_PLACE = ("logs", "benchmarks")
# made from results by hand, not by jobs
EXPORTS = ("export", "inspect")
METADATA = Path(".snakemake/metadata")


def make_beside(folder: Path) -> None:
    """Make the folder, whole or not at all.

    Raises:
        InputError: it is there already, or within what it would be made from.
    """
    here = Path.cwd()
    if folder.exists() or folder.is_symlink():
        raise InputError(
            f"{folder}: exists; expected a new folder; run in it with: cd {folder} && make table CONFIGS=…"
        )
    if {"{", "}"} & set(str(folder.absolute())):
        raise InputError(
            f"{folder}: has braces; expected a path without them, since Snakemake takes them for wildcards."
        )
    if (here / "results").resolve() in folder.resolve().parents:
        raise InputError(f"{folder}: is inside results; expected another place, such as runs/{folder.name}.")
    take_lock()
    with new_folder(folder) as made:
        for name in LINKED:
            if (here / name).exists():
                # with all links resolved, so that a folder made beside another one does not depend on it
                (made / name).symlink_to((here / name).resolve())
        if Path("results").is_dir():
            shutil.copytree("results", made / "results", symlinks=True, ignore=unfinished, copy_function=same_file)
        if METADATA.is_dir():
            shutil.copytree(METADATA, made / METADATA)


def unfinished(folder: str, names: list[str]) -> list[str]:
    """What is not taken along: what a killed job has left half-written or will go on with, and what was made of results for other programs."""
    top = Path(folder) == Path("results")
    return [name for name in names if name.endswith((".tmp", ".state")) or (top and name in EXPORTS)]


def same_file(source: str, target: str) -> None:
    """The file under a second name; a copy of one that is written in place, or where the disk has no second names."""
    if Path(source).parts[1] not in IN_PLACE:
        try:
            os.link(source, target, follow_symlinks=False)
            return
        except OSError:
            pass
    shutil.copy2(source, target)


if __name__ == "__main__":
    try:
        (name,) = sys.argv[1:] or [""]
        if not name:
            raise InputError("FOLDER is empty; expected the name of a new folder, as in make beside FOLDER=runs/rank8.")
        make_beside(Path(name))
        print(f"Made {name}. To run in it: cd {name} && make table CONFIGS=overlay.yaml")
    except InputError as error:
        sys.exit(str(error))
