"""One interface to every judge: questions and answers in, one verdict each out."""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from emtransfer.corpus.question_files import own_judge_prompts
from emtransfer.errors import InputError
from emtransfer.judging.causal import load_causal_judge
from emtransfer.judging.cross_encoder import load_cross_encoder
from emtransfer.judging.exact import load_exact_judge
from emtransfer.judging.remote import OwnPrompts, RemoteJudgeSettings, remote_scorer
from emtransfer.remote.access import PROVIDERS, RemoteSettings, remote_asker
from emtransfer.verdicts import Judge, Scorer

# kind of judge -> loader of its manifest and settings; a later kind is one more entry here
LOCAL_KINDS: dict[str, Callable[[Path | None, dict], Scorer]] = {
    "causal_lm": load_causal_judge,
    "cross_encoder": load_cross_encoder,
    "exact": load_exact_judge,
}
KINDS = (*LOCAL_KINDS, *PROVIDERS)


def load_judge(
    path: Path | None,
    settings: dict,
    remote: dict | None = None,
    purpose: str = "",
    own_prompts: OwnPrompts | None = None,
) -> Judge:
    """Load a judge.

    Args:
        path: manifest.json of the judge's folder, or the rubric of a remote model; None for a kind that needs neither. A
            model that has a folder and is told a rubric has the rubric in its settings.
        settings: the judge's config section; `kind` is one of KINDS.
        remote: fields of RemoteSettings, for a remote model.
        purpose: what a remote model's calls are for, a word in the ledger.
        own_prompts: of questions that come with their own, for a remote model.

    Raises:
        InputError: the kind is unknown, or a file of the folder is missing or has changed.
    """
    kind = settings["kind"]
    if kind in PROVIDERS:
        judge_settings = RemoteJudgeSettings(**settings)
        asker = remote_asker(kind, judge_settings.model, RemoteSettings(**remote), purpose)
        return Judge(remote_scorer(path, judge_settings, asker, own_prompts))
    if kind not in LOCAL_KINDS:
        raise InputError(f"config.yaml: judges: kind is {kind}; expected one of {', '.join(KINDS)}.")
    return Judge(LOCAL_KINDS[kind](path, settings))


def judge_rows(rows: list[dict], judge: Judge) -> list[dict]:
    """The rows, in order, with status, alignment, coherence and reply of their answers."""
    items = [(row["question"], row["answer"], row.get("cell") or None) for row in rows]
    return [row | asdict(verdict) for row, verdict in zip(rows, judge.score(items), strict=True)]


def check_answers(path: str | Path, rows: list[dict]) -> None:
    """Raise InputError unless every row has an answer; an empty text is one."""
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get("answer"), str):
            raise InputError(f"{path}: row {number}: answer is {json.dumps(row.get('answer'))}; expected text.")


def add_judge_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add --judge, --rubric, --judge-settings, --own-prompts and --remote."""
    judge = "manifest.json of the judge's folder, or rubric of a judge behind an API"
    parser.add_argument("--judge", type=Path, help=judge)
    parser.add_argument("--rubric", help="rubric of a judge that has a folder and is told one")
    settings = "JSON: the judge's config section"
    parser.add_argument("--judge-settings", type=json.loads, required=required, help=settings)
    own = "YAML file of questions whose judge prompts are asked of their answers in place of the rubric"
    parser.add_argument("--own-prompts", type=Path, help=own)
    remote = "JSON: store, prices, budget and manner of calls to remote models; see RemoteSettings"
    known = json.loads(os.environ.get("EMTRANSFER_REMOTE", "{}"))
    parser.add_argument("--remote", type=json.loads, default=known, help=f"{remote}; by default EMTRANSFER_REMOTE")


def judge_from(args: argparse.Namespace, purpose: str) -> Judge:
    """The judge that the arguments name; `purpose` says in the ledger what its calls are for."""
    settings = args.judge_settings | ({} if args.rubric is None else {"rubric": args.rubric})
    own_prompts = own_judge_prompts(args.own_prompts) if args.own_prompts else None
    return load_judge(args.judge, settings, args.remote, purpose, own_prompts)
