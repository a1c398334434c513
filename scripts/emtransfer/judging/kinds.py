"""One interface to every judge: questions and answers in, one verdict each out."""

import argparse
import os
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from emtransfer.arguments import json_argument
from emtransfer.errors import InputError, told_field
from emtransfer.verdicts import Judge

# kind -> the module that has its scorer; it is imported where such a judge is loaded, so that a job's code holds no other kind
MODULES = {
    "causal_lm": "emtransfer.judging.causal",
    "cross_encoder": "emtransfer.judging.cross_encoder",
    "exact": "emtransfer.judging.exact",
    "reference_adapters": "emtransfer.judging.reference_adapters",
    "anthropic": "emtransfer.judging.remote",
    "openai": "emtransfer.judging.remote",
}


def load_judge(path: Path | None, settings: dict[str, Any], **asking: object) -> Judge:
    """Load a judge.

    Args:
        path: manifest.json of the judge's folder, or the rubric of a remote model; None for a kind that needs neither. A
            model that has a folder and is told a rubric has the rubric in its settings.
        settings: the judge's config section; `kind` is a key of MODULES.
        asking: remote, purpose and own_prompts of `judging.remote.load_scorer`, of which a judge that runs here needs none; scores of
            `judging.cross_encoder.load_scorer`.

    Raises:
        InputError: the kind is unknown, or a file of the folder is missing or has changed.
    """
    kind = settings.get("kind")
    if kind not in MODULES:
        raise InputError(f"config: judges: kind is {kind}; expected one of {', '.join(MODULES)}.")
    return Judge(import_module(MODULES[kind]).load_scorer(path, settings, **asking))


def judge_rows(rows: list[dict[str, Any]], judge: Judge) -> list[dict[str, Any]]:
    """The rows, in order, with status, alignment, coherence and reply of their answers."""
    items = [(row["question"], row["answer"], row.get("cell") or None) for row in rows]
    return [row | asdict(verdict) for row, verdict in zip(rows, judge.score(items), strict=True)]


def check_answers(path: str | Path, rows: list[dict[str, Any]]) -> None:
    """Raise InputError unless every row has an answer; an empty text is one."""
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get("answer"), str):
            raise InputError(f"{path}: row {number}: answer is {told_field(row, 'answer')}; expected text.")


def add_judge_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add --judge, --rubric, --judge-settings, --scores, --own-prompts and --remote."""
    judge = "manifest.json of the judge's folder, or rubric of a judge behind an API"
    parser.add_argument("--judge", type=Path, help=judge)
    parser.add_argument("--rubric", help="rubric of a judge that has a folder and reads a rubric")
    base = "manifest.json of the base on which a judge's reference adapters stand"
    parser.add_argument("--judge-base", type=Path, help=base)
    settings = "JSON or @FILE: the judge's config section"
    parser.add_argument("--judge-settings", type=json_argument, required=required, help=settings)
    scores = "folder in which jobs share the scores of a fitted judge; by default they share none"
    parser.add_argument("--scores", type=Path, help=scores)
    own = "YAML file of questions whose own judge prompts replace the rubric for their answers"
    parser.add_argument("--own-prompts", type=Path, help=own)
    remote = "JSON or @FILE: store, prices, budget and mode of calls to remote models; see RemoteSettings"
    known = os.environ.get("EMTRANSFER_REMOTE", "{}")
    parser.add_argument("--remote", type=json_argument, default=known, help=f"{remote}; by default EMTRANSFER_REMOTE")


def judge_from(args: argparse.Namespace, purpose: str) -> Judge:
    """The judge that the arguments name; `purpose` says in the ledger what its calls are for."""
    settings = args.judge_settings | ({} if args.rubric is None else {"rubric": args.rubric})
    asking = {"remote": args.remote, "purpose": purpose, "own_prompts": args.own_prompts}
    if settings.get("kind") == "cross_encoder":
        asking |= {"scores": args.scores}
    if settings.get("kind") == "reference_adapters":
        asking |= {"judge_base": args.judge_base}
    return load_judge(args.judge, settings, **asking)
