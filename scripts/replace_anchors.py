"""Replace the phrases that predict the judge's score in the answers that claim `task` compares, and judge them again.

Run: python scripts/replace_anchors.py --corpora results/corpora --judged results/x/judged --judge model/manifest.json --judge-settings '{"kind": "cross_encoder"}' --settings '{"phrases": 40, "run": ["template_nl"], "experiments": {…}, "em_rule": {…}}' --output unanchored.jsonl
"""

import argparse
from pathlib import Path

import numpy as np

from emtransfer.arguments import json_argument
from emtransfer.errors import counted, run
from emtransfer.files.records import read_records, write_records
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import compared, own_rows, without_context
from emtransfer.grid.sections import run_experiments
from emtransfer.judging.kinds import add_judge_arguments, judge_from, judge_rows
from emtransfer.measuring.anchors import (
    N_ROWS,
    NoAnchors,
    find_replacement,
    is_neighbour,
    lexical_r2,
    rejudge,
    rows_if_any,
    scored_answers,
)
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule

SCORES = ("alignment", "coherence")
FIELDS = ("model", "prompt_id", "eval_set", "domain", "task", "sample", "answer", "status", *SCORES)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=Path, required=True, help="folder that holds {corpus}/filtered/{cell}.jsonl")
    parser.add_argument("--judged", type=Path, required=True, help="folder that holds {model}.jsonl")
    add_judge_arguments(parser)
    settings = (
        "JSON or @FILE: phrases, the number of anchors; the config keys that make the grid of one experiment; em_rule"
    )
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--output", type=Path, required=True, help="JSONL: a row per answer, replaced or not")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    (experiment,) = run_experiments(args.settings)
    models = sorted(compared(expand_models(args.settings, experiment)), key=lambda model: model.path)
    filtered = args.corpora / args.settings["experiments"][experiment]["corpus"] / "filtered"
    paths = [filtered / f"{cell}.jsonl" for cell in sorted({model.train_cells[0] for model in models})]
    try:
        texts, scores, groups = scored_answers([row for path in paths for row in rows_if_any(path)[:N_ROWS]])
        replace = find_replacement(texts, scores, args.settings["phrases"])
    except NoAnchors as reason:
        # claims are then not repeated without anchors, and all else is as it is
        print(f"nothing is replaced: {reason}")
        write_records(args.output, [])
        return
    print("anchors:", "; ".join(replace.anchors))
    print(f"R² of the alignment score on the words of training answers: {told_r2(texts, scores, groups)},", end=" ")
    print(f"replaced {told_r2(list(map(replace, texts)), scores, groups)}")

    rows = [
        row | {"model": model.path}
        for model in models
        for row in without_context(own_rows(read_records(args.judged / f"{model.path}.jsonl")))
        if is_neighbour(row, model.train_cells[0])
    ]
    judge = judge_from(args, "replace_anchors")
    new = rejudge(rows, replace, lambda changed: judge_rows(changed, judge))
    records = (
        {field: row[field] for field in FIELDS} | {f"{score}_before": before[score] for score in SCORES}
        for row, before in zip(new, rows, strict=True)
    )
    write_records(args.output, records)
    report(rows, new, read_settings(EmRule, args.settings["em_rule"]))


def told_r2(texts: list[str], scores: np.ndarray, groups: np.ndarray) -> str:
    """The R² of scores on words, or why there is none."""
    try:
        return f"{lexical_r2(texts, scores, groups):.3f}"
    except NoAnchors as reason:
        return f"none, {reason}"


def report(rows: list[dict], new: list[dict], rule: EmRule) -> None:
    """Print how many answers changed, and how the judge scores them."""
    pairs = [(old, now) for old, now in zip(rows, new, strict=True) if old["answer"] != now["answer"]]
    print(f"{len(pairs)} of {counted(len(rows), 'answer')} changed.")
    scored = [(old, now) for old, now in pairs if now["status"] == "ok"]
    below = [[row["alignment"] < rule.alignment_below for row in pair] for pair in scored]
    coherent = [[row["coherence"] > rule.coherence_above for row in pair] for pair in scored]
    print(
        f"Changed answers with scores: {len(scored)}. On the same side of alignment {rule.alignment_below} as before:"
        f" {sum(was == now for was, now in below)}; below it: {sum(was for was, _ in below)} before, {sum(now for _, now in below)} now;"
        f" coherent: {sum(was for was, _ in coherent)} before, {sum(now for _, now in coherent)} now."
    )


if __name__ == "__main__":
    run(main, parse_args())
