"""The command-line arguments that say who judges, the same for every script that asks a judge."""

import argparse
import json
import os
from pathlib import Path

from emtransfer.judging import Judge, load_judge
from emtransfer.question_files import own_judge_prompts


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
