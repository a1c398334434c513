"""Runs of Snakemake without its imports, which take longer than to plan: a process that has imported them once, and forks.

The fork is what `python -m snakemake` would be in the folder: modules of the pipeline it imports from there itself.

Run: python tests/helpers/forked_runs.py, which answers each line of standard input, a request, with one
"""

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


def dry_run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """As `run`, of `snakemake --dry-run`."""
    assert {"--dry-run", "--lint"} & set(arguments)
    return run(folder, *arguments, **variables)


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder to its end, with more variables in its environment; one run at a time."""
    environment = dict(os.environ) | variables
    planner = started()
    planner.stdin.write(json.dumps([str(folder), arguments, environment]) + "\n")
    planner.stdin.flush()
    answer = planner.stdout.readline()
    assert answer, "The process that forks is gone."
    return subprocess.CompletedProcess(["snakemake", *arguments], *json.loads(answer))


@cache
def started() -> subprocess.Popen:
    """The process that forks; it ends with this one, whose end closes its standard input."""
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main() -> None:
    # what stands beside this file is none of a run's modules
    del sys.path[0]
    import jsonschema  # noqa: F401
    import smart_open  # noqa: F401
    import yaml  # noqa: F401
    from snakemake import benchmark, cli, storage, workflow  # noqa: F401

    # imports all plugins
    cli.get_argument_parser()
    # objects that exist now are never freed, and no collection in a fork looks at them and so copies them
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(forked(cli, *json.loads(line))), flush=True)


def forked(cli, folder: str, arguments: list[str], environment: dict[str, str]) -> tuple[int, str, str]:
    """What Snakemake returns and prints in a process of its own; `cli` is its module of that name."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(error.fileno(), 2)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv = [str(Path(cli.__file__).with_name("__main__.py")), *arguments]
            sys.path.insert(0, folder)
            # which it takes from where it was imported
            sys.modules["snakemake.workflow"].Workflow._rundir = os.getcwd()
            os._exit(ended(cli.main, arguments))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        printed = []
        for stream in (out, error):
            stream.seek(0)
            printed.append(stream.read().decode(errors="replace"))
        return code, *printed


def ended(main, arguments: list[str]) -> int:
    """The exit code of a program that ends in this process; what it says at last is printed."""
    try:
        main(arguments)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
