"""Checks of what documents tell a reader to type; `Page` looks at a page, and what has to be planned or run is left to the test."""

import argparse
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from snakemake.cli import get_argument_parser

from helpers.documents import COMMANDS, LANGUAGES, LEFT_OUT, Command, Snippet, commands, read
from helpers.paths import ROOT

# programs whose commands are looked for within lines too
PROGRAMS = ("make", "snakemake", "python", "pytest", "pip", ".venv/bin/pip", "hf", "huggingface-cli", "vllm")
# a word of a command that is a file
FILE = re.compile(r"[^\s{}]+\.(?:jsonl|csv|tsv|parquet|json|yaml|pdf|gz|py|html)")
PROFILE = "--workflow-profile"
VARIABLE = re.compile(r"\$\((?:if \$\()?([A-Z_]+)\)|^([A-Z_]+) \?=", re.MULTILINE)


@dataclass
class Checked:
    """What checking has found, and what it leaves to be planned.

    Attributes:
        problems: a line for everything that is wrong.
        plans: overlays, and the profile or "" -> target -> where it is asked for.
        reads: file of a run -> the places of the commands that read it.
        count: kind of check -> how many commands were checked in this way.
    """

    problems: list[str] = field(default_factory=list)
    plans: dict[tuple[tuple[str, ...], str], dict[str, str]] = field(default_factory=dict)
    reads: dict[str, str] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)


class Page:
    """A page and what its commands have made by then: files, and the folder that they are in.

    Attributes:
        tree: a workflow with the files that pages show or a reader brings along.
        not_run: beginning of a command that is neither run nor looked into -> why.
        run: scripts that are run to their end, where a fence has them.
    """

    def __init__(
        self, found: list[Snippet], tree: Path, checked: Checked, not_run: dict[str, str], run: tuple[str, ...]
    ):
        self.tree, self.checked, self.not_run, self.run = tree, checked, not_run, run
        self.snippets = found
        self.folder, self.made = Path(), set()

    def check(self) -> None:
        for snippet in self.snippets:
            if snippet.language != "span" and snippet.language not in LANGUAGES:
                self.wrong(snippet.place, f"a fence of {snippet.language}; expected one of {', '.join(LANGUAGES[1:])}")
            elif snippet.language in COMMANDS or (snippet.language == "span" and is_command(snippet.text)):
                self.shell(snippet)
            elif snippet.language == "python":
                compile(snippet.text, snippet.place, "exec")
                self.made.update(re.findall(r'open\("([^"]+)", "w"', snippet.text))
            elif snippet.language == "json":
                for line in snippet.text.splitlines():
                    json.loads(line)

    def wrong(self, place: str, problem: str) -> None:
        self.checked.problems.append(f"{place}: {problem}")

    def counted(self, kind: str) -> None:
        self.checked.count[kind] += 1

    def shell(self, snippet: Snippet) -> None:
        """Check the commands of a snippet, each with what those before it have made."""
        try:
            found = list(commands(snippet))
        except ValueError as error:
            self.wrong(snippet.place, str(error))
            return
        for command in found:
            for name in command.sets:
                if f"`{name}`" not in variables():
                    self.wrong(command.place, f"{name} is no variable of docs/single_jobs.md")
            if command.words:
                self.command(command, snippet.language == "span")
            self.made.update(command.written)

    def command(self, command: Command, in_line: bool) -> None:
        """Check one command by its program."""
        program, *rest = command.words
        if program == "tmux" and rest[:1] == ["new"]:
            program, *rest = rest[1:]
        if known := next((each for each in self.not_run if f"{command} ".startswith(f"{each} ")), None):
            self.counted(f"not run: {self.not_run[known]}")
        elif program == ".":
            if rest != [".venv/bin/activate"]:
                self.wrong(command.place, f"{command}; expected . .venv/bin/activate")
        elif program == "cd":
            self.folder = Path(os.path.normpath(self.folder / rest[0]))
            if str(self.folder) not in self.made and not (self.tree / self.folder).is_dir():
                self.wrong(command.place, f"cd {rest[0]}, which nothing above makes")
        elif program == "export":
            for name in (word.split("=")[0] for word in rest):
                if f"`{name}`" not in variables():
                    self.wrong(command.place, f"{name} is no variable of docs/single_jobs.md")
        elif program == "cp":
            self.inputs(command.place, rest[:1])
            if (self.tree / rest[0]).exists():
                shutil.copyfile(self.tree / rest[0], self.tree / rest[1])
        elif program in ("diff", "pytest"):
            self.inputs(command.place, rest)
        elif program == "make":
            self.make(command, rest)
        elif program == "snakemake":
            self.snakemake(command, rest)
        elif program.split("/")[-1] == "python":
            self.python(command, rest, in_line)
        else:
            self.wrong(command.place, f"{command}: {program} is nothing that the test knows how to check")

    def make(self, command: Command, rest: list[str]) -> None:
        """Have make say what it would run, and check that."""
        given = dict(word.split("=", 1) for word in rest if "=" in word)
        targets = [word for word in rest if "=" not in word and LEFT_OUT not in word]
        for name in given.keys() - make_variables():
            self.wrong(command.place, f"make knows no variable {name}")
        told, error = recipe(*targets, *(f"{name}={value}" for name, value in given.items() if LEFT_OUT not in value))
        if error:
            self.wrong(command.place, error)
            return
        self.counted("make")
        if "FOLDER" in given:
            self.made.add(given["FOLDER"])
            (self.tree / given["FOLDER"]).mkdir(parents=True, exist_ok=True)
        for line in told:
            # recipes of other programs, and of make setup, are none of a page's business
            if re.search(r"python (?:scripts|workflow/lib)/|\bsnakemake --", line) and not line.endswith("\\"):
                for each in commands(Snippet(command.place, "", line.lstrip("@"))):
                    if each.words and each.words[0].split("/")[-1] in ("python", "snakemake"):
                        self.command(each, True)

    def snakemake(self, command: Command, rest: list[str]) -> None:
        """Read the options as Snakemake does, and leave the targets to be planned."""
        rest = [word for word in rest if LEFT_OUT not in word]
        if "--cores" not in rest and "-c" not in rest and PROFILE not in rest:
            rest = ["--cores", "1", *rest]
        try:
            options = snakemake_parser().parse_args(rest)
        except SystemExit:
            self.wrong(command.place, f"{command}: Snakemake reads no such options")
            return
        self.counted("snakemake")
        overlays = [
            os.path.normpath(self.folder / path) for path in map(str, options.configfile or []) if LEFT_OUT not in path
        ]
        overlays = tuple(path for path in overlays if Path(path).name != "config.yaml")
        missing = [path for path in overlays if not (self.tree / path).exists()]
        for path in missing:
            self.wrong(command.place, f"{path} is neither in the repository nor on a page")
        targets = [target for target in options.targets if not target.isupper()] or ["all"]
        if not missing:
            profile = str(options.workflow_profile or "")
            plan = self.checked.plans.setdefault((overlays, profile), {})
            plan.update({target: plan.get(target, command.place) for target in targets})

    def python(self, command: Command, rest: list[str], in_line: bool) -> None:
        """Read a script's arguments by its own parser; with `-c`, compile."""
        if rest[:2] == ["-m", "pdb"]:
            rest = rest[2:]
        if not rest:
            return
        if rest[0] == "-c":
            compile(rest[1], command.place, "exec")
            return
        script, *arguments = rest
        if script == "workflow/lib/run_alone.py":
            self.snakemake(command, arguments)
            return
        if not (ROOT / script).is_file():
            self.wrong(command.place, f"{script} is no script")
            return
        self.counted(script.split("/")[0])
        if script.startswith("workflow/lib"):
            return
        if script.startswith("benchmarks"):
            # they import what they measure before they read their arguments, which takes seconds
            flags = [word for word in arguments if word.startswith("--") and f'"{word}"' not in read(script)]
            if flags:
                self.wrong(command.place, f"{script} has no {', '.join(flags)}")
            self.inputs(command.place, arguments)
            return
        left_out = any(LEFT_OUT in word for word in arguments)
        arguments = [word for word in arguments if LEFT_OUT not in word]
        runs = not in_line and Path(script).stem in self.run
        problem = (run_for_real if runs else parsed)(self.tree / self.folder, script, arguments, left_out)
        if problem:
            self.wrong(command.place, f"{command}: {problem}")
        elif not in_line:
            outputs = {
                after for word, after in zip(arguments, arguments[1:], strict=False) if word in ("--output", "--counts")
            }
            if not runs:
                self.inputs(command.place, [word for word in arguments if word not in outputs])
            self.made |= outputs

    def inputs(self, place: str, words: list[str]) -> None:
        """Files that a command reads: made above, in the repository, or of a run, which a plan will tell."""
        for word in (each.removeprefix("@") for each in words):
            path = os.path.normpath(self.folder / word)
            if not FILE.fullmatch(word) or word in self.made:
                continue
            if path.startswith("results/"):
                self.checked.reads.setdefault(path, place)
            elif not (self.tree / path).exists() and not (ROOT / path).exists():
                self.wrong(place, f"{path} is neither in the repository nor on the page")


def is_command(span: str) -> bool:
    """Whether code within a line is a command, behind the variables that it sets."""
    words = span.split()
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return len(words) > 1 and words[0] in PROGRAMS


@cache
def variables() -> str:
    """The table of variables, in which a name stands between backticks."""
    return read("docs/single_jobs.md").split("## Environment variables")[1]


@cache
def make_variables() -> set[str]:
    return {name for pair in VARIABLE.findall(read("Makefile")) for name in pair if name}


@cache
def recipe(*arguments: str) -> tuple[list[str], str]:
    """The lines that make would run, and what it says where it would not."""
    done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.splitlines(), done.stderr.strip() if done.returncode else ""


@cache
def snakemake_parser() -> argparse.ArgumentParser:
    return get_argument_parser()


class Read(BaseException):
    """The arguments of a script have been read."""


@contextmanager
def at(folder: Path, script: str, arguments: list[str], ends: Callable | None = None):
    """Arguments as the command line of a script in a folder; `ends` takes the place of argparse's reading of them."""
    before = os.getcwd(), sys.path, sys.argv, argparse.ArgumentParser.parse_args, argparse.ArgumentParser.error
    own_parse = argparse.ArgumentParser.parse_args

    def error(parser, message):
        raise ValueError(message)

    def reading(parser, *given):
        ends(parser)
        own_parse(parser, *given)
        raise Read

    os.chdir(folder)
    # a script finds the modules beside it
    sys.path = [str((ROOT / script).parent), *sys.path]
    sys.argv = [script, *arguments]
    argparse.ArgumentParser.error = error
    if ends:
        argparse.ArgumentParser.parse_args = reading
    try:
        yield
    finally:
        os.chdir(before[0])
        sys.path, sys.argv, argparse.ArgumentParser.parse_args, argparse.ArgumentParser.error = before[1:]


def parsed(folder: Path, script: str, arguments: list[str], left_out: bool) -> str:
    """What the script's own parser finds wrong; of a command with words left out, none is missed."""

    def forgiving(parser: argparse.ArgumentParser) -> None:
        for group in (*parser._actions, *parser._mutually_exclusive_groups) if left_out else ():
            group.required = False

    return outcome(folder, script, arguments, forgiving)


def run_for_real(folder: Path, script: str, arguments: list[str], left_out: bool) -> str:
    """What the script ends with, if not well."""
    return "it cannot be run with words left out" if left_out else outcome(folder, script, arguments, None)


def outcome(folder: Path, script: str, arguments: list[str], ends: Callable | None) -> str:
    """Run a script in this process until its arguments are read, or to its end; what goes wrong, or nothing."""
    try:
        with at(folder, script, arguments, ends):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    except Read:
        return ""
    except (ValueError, OSError) as error:
        return str(error)
    except SystemExit as end:
        return "" if end.code in (None, 0) else f"it ends with {end.code}"
    return "it reads no arguments" if ends else ""
