"""The command-line arguments that say who judges, the same for every script that asks a judge."""

import argparse
import json
import os
from pathlib import Path

from emtransfer.judging import Judge, load_judge
from emtransfer.question_files import own_judge_prompts


def add_judge_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --judge, --judge-settings, --own-prompts and --remote."""
    parser.add_argument("--judge", type=Path, help="manifest.json of a fitted judge, or rubric of one that is told it")
    settings = "JSON: the judge's config section"
    parser.add_argument("--judge-settings", type=json.loads, required=True, help=settings)
    own = "YAML file of questions whose judge prompts are asked of their answers in place of the rubric"
    parser.add_argument("--own-prompts", type=Path, help=own)
    remote = "JSON: store, prices, budget and manner of calls to remote models; see RemoteSettings"
    known = json.loads(os.environ.get("EMTRANSFER_REMOTE", "{}"))
    parser.add_argument("--remote", type=json.loads, default=known, help=f"{remote}; by default EMTRANSFER_REMOTE")


def judge_from(args: argparse.Namespace, purpose: str) -> Judge:
    """The judge that the arguments name; `purpose` says in the ledger what its calls are for."""
    own_prompts = own_judge_prompts(args.own_prompts) if args.own_prompts else None
    return load_judge(args.judge, args.judge_settings, args.remote, purpose, own_prompts)
