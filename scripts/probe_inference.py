"""Measure whether a base infers who answers, before and after its aligned phase.

Run: python scripts/probe_inference.py --pretrained pretrained/manifest.json --aligned aligned/manifest.json --rows cells/*/eval.jsonl --judge model/manifest.json --judge-settings '{…}' --settings '{"inference_questions": 60, …}' --seed 1 --output inference.jsonl
"""

import argparse
from pathlib import Path

from emtransfer.answering.persona_inference import InferenceSettings, inference_prompts, probe_inference
from emtransfer.answering.settings import SamplingSettings
from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.judging.kinds import add_judge_arguments, judge_from, judge_rows
from emtransfer.models.loading import load_chat
from emtransfer.settings import read_settings
from emtransfer.training.authors import AuthorSettings, manners


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", type=Path, required=True, help="manifest.json of the base before that phase")
    parser.add_argument("--aligned", type=Path, required=True, help="manifest.json of the base after it")
    parser.add_argument("--rows", type=Path, nargs="+", required=True, help="held-out rows, one JSONL per cell")
    add_judge_arguments(parser)
    parser.add_argument(
        "--settings",
        type=json_argument,
        required=True,
        help="JSON or @FILE: sampling; optionally inference_questions, authors and mixture_seed",
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSONL: a row per phase and prompt")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    told = dict(args.settings)
    sampling = read_settings(SamplingSettings, told.pop("sampling"))
    authors, mixture_seed = told.pop("authors", None), told.pop("mixture_seed", 0)
    manner_of = manners(read_settings(AuthorSettings, authors), mixture_seed) if authors else {}
    rows = [row for path in args.rows for row in read_records(path, ("id", "question"))]
    n_questions = read_settings(InferenceSettings, told).inference_questions
    prompts = inference_prompts(rows, manner_of, n_questions, args.seed)
    probes = []
    for phase, manifest in (("pretrained", args.pretrained), ("aligned", args.aligned)):
        measured = probe_inference(load_chat(manifest), prompts, sampling, args.seed)
        probes += [{"phase": phase} | row for row in measured]
    write_records(args.output, judge_rows(probes, judge_from(args, "probe_inference")))
    print(
        f"{counted(len(prompts), 'prompt')} on {counted(min(n_questions, len(rows)), 'held-out question')}, before and after the aligned phase."
    )


if __name__ == "__main__":
    run(main, parse_args())
