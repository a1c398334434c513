"""Processor seconds and wall time of whole runs: checkouts in alternation, and one process that does the same work.

Every checkout is copied as committed, and runs from nothing under run_alone.py as `make table` does. Each round runs all checkouts
one after another, so that a machine that is faster at one hour than at another tells of all of them alike. `--one-process`
adds a run without Snakemake, files of provenance and new processes: the shell commands of the first checkout's dry run, in its order,
executed by one process that keeps its packages imported. Afterwards the tables are compared byte for byte.

Run: python benchmarks/whole_run.py --checkouts ../before . --rounds 2 --one-process --configs workflow/configs/smoke.yaml
"""

import argparse
import ctypes
import os
import re
import resource
import runpy
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd

PR_SET_CHILD_SUBREAPER = 36
TABLES = ("results/em_transfer_table.csv", "results/claims.csv")
JOB = re.compile(r"^Shell command: OMP_NUM_THREADS=\d+ python (scripts/.*) > (\S+) 2>&1$", re.MULTILINE)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkouts", type=Path, nargs="+", required=True, help="repositories, the old one first")
    parser.add_argument("--configs", nargs="*", default=[], help="overlays over config.yaml, in every checkout")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one-process", action="store_true", help="also as one process, with the last checkout's code")
    parser.add_argument("--folder", type=Path, help="where the runs are made and kept; none: a temporary folder")
    parser.add_argument("--commands", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    if args.commands:
        run_commands(args.commands)
        return
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        runs = {checkout.resolve().name: (checkout, snakemake) for checkout in args.checkouts}
        if args.one_process:
            runs["one process"] = (args.checkouts[-1], one_process)
        rows, stages = [], []
        for number in range(1, args.rounds + 1):
            for name, (checkout, start) in runs.items():
                tree = folder / f"{name.replace(' ', '_')}_{number}"
                subprocess.run(["git", "clone", "--quiet", checkout, tree], check=True)
                rows.append({"run": name, "round": number, **timed(start, tree, args.configs)})
                print(rows[-1], flush=True)
                stages += [{"run": name, "round": number, **row} for row in stage_seconds(tree)]
        report(pd.DataFrame(rows), pd.DataFrame(stages))
        trees = [folder / f"{name.replace(' ', '_')}_{args.rounds}" for name in runs]
        for table in TABLES:
            same = len({(tree / table).read_bytes() for tree in trees}) == 1
            print(f"{table}: {'the same bytes' if same else 'differs'} in {', '.join(runs)}")


def timed(start: Callable[[Path, list[str]], None], tree: Path, configs: list[str]) -> dict[str, float]:
    """Seconds of processor, user and system, of all processes of a run, and wall seconds until the run says that it has ended."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    start(tree, configs)
    wall_s = time.perf_counter() - started
    # the processes that outlive the run, the server of its jobs among them, have become this one's children
    with suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"processor_s": round(processor_s, 1), "wall_s": round(wall_s, 1)}


def snakemake(tree: Path, configs: list[str]) -> None:
    quietly([sys.executable, "workflow/lib/run_alone.py", "--cores", "8", *targets(configs)], tree, "run.log")


def one_process(tree: Path, configs: list[str]) -> None:
    """The dry run is no part of the work, but takes seconds only."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--printshellcmds", *targets(configs)]
    planned = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True).stdout
    (tree / "commands").write_text("\n".join(f"{log} {command}" for command, log in JOB.findall(planned)))
    script = [sys.executable, str(Path(__file__).resolve()), "--checkouts", str(tree), "--commands", "commands"]
    quietly(script, tree, "run.log")


def targets(configs: list[str]) -> list[str]:
    return ["--configfile", "config.yaml", *configs, "--", *TABLES]


def quietly(command: list[str], tree: Path, log: str) -> None:
    with open(tree / log, "w") as said:
        done = subprocess.run(
            command, cwd=tree, stdout=said, stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    if done.returncode:
        sys.exit(f"{tree / log}: the run failed; expected it to end:\n{(tree / log).read_text()[-2000:]}")


def run_commands(commands: Path) -> None:
    """Every script in this process, one after another, with the output of each in its log."""
    sys.path.insert(0, "scripts")
    for line in commands.read_text().splitlines():
        log, command = line.split(" ", 1)
        arguments = shlex.split(command)
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        for option, value in zip(arguments, arguments[1:], strict=False):
            if option.startswith("--") and value.startswith("results/"):
                Path(value).parent.mkdir(parents=True, exist_ok=True)
        with into(log):
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")


@contextmanager
def into(log: str) -> Iterator[None]:
    """Standard output and error of this process in a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with open(log, "w") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        yield
        sys.stdout.flush()
        sys.stderr.flush()
    for number, descriptor in zip((1, 2), kept, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)


def stage_seconds(tree: Path) -> Iterator[dict[str, object]]:
    """Processor seconds of each rule, from the benchmark files of a run."""
    folder = tree / "results/benchmarks"
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        yield {"rule": rule, "processor_s": pd.read_csv(path, sep="\t")["cpu_time"].fillna(0).sum()}


def report(runs: pd.DataFrame, stages: pd.DataFrame) -> None:
    """Means over rounds, each beside the first run's."""
    means = runs.groupby("run", sort=False)[["processor_s", "wall_s"]].mean()
    print("\n" + means.join((means / means.iloc[0]).add_suffix("_ratio")).round(2).to_string())
    if len(stages):
        by_rule = (
            stages.groupby(["rule", "run", "round"])["processor_s"].sum().groupby(["rule", "run"]).mean().unstack()
        )
        by_rule = by_rule[[name for name in runs["run"].unique() if name in by_rule]]
        print("\n" + by_rule.sort_values(by_rule.columns[0], ascending=False).round(1).to_string())


if __name__ == "__main__":
    main(parse_args())
