"""Many dry runs of Snakemake for little more than the price of one: its imports and the digests of all code are shared.

Run: python tests/helpers/dry_runs.py TREE < argument_lists.json > [return code, output] of each
"""

import json
import os
import sys
import tempfile
from pathlib import Path


def main(tree: Path) -> None:
    runs = json.load(sys.stdin)
    os.chdir(tree)
    # where the Snakefile puts them, so that what is imported here is what it finds
    sys.path[:0] = [str(tree / "scripts"), str(tree / "workflow/lib")]
    from snakemake.cli import main as snakemake

    import provenance
    import row_counts  # noqa: F401
    import validation  # noqa: F401

    for script in (tree / "scripts").glob("*.py"):
        provenance.code_digest(f"{tree}/scripts/{script.name}")
    json.dump([planned(snakemake, arguments) for arguments in runs], sys.stdout)


def planned(snakemake, arguments: list[str]) -> tuple[int, str]:
    """What Snakemake returns and prints in a process of its own."""
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if child == 0:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            code = 1
            try:
                snakemake(arguments)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        printed.seek(0)
        return code, printed.read().decode(errors="replace")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
