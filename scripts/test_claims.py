"""Test the claims about transfer on judged answers: effects with intervals, verdicts, and detectable differences.

Run: python scripts/test_claims.py --judged results --losses training_losses.csv --inference inference.csv --settings '{"run": ["template_nl"], …}' --effects effects.csv --claims claims.csv --power power.csv --balance balance.csv
Run: python scripts/test_claims.py --rows rows.csv.gz --settings '{"em_rule": {…}}' --effects … --claims … --power … --balance …
"""

import argparse
from pathlib import Path

from emtransfer.arguments import json_argument
from emtransfer.errors import run
from emtransfer.files.records import read_table, write_table
from emtransfer.grid.sections import checkpoints_of
from emtransfer.judging.cautions import not_measurable, read_cautions, with_cautions
from emtransfer.measuring.capacity_contrasts import read_sizes
from emtransfer.measuring.claim_inputs import read_prompts, unanchored_models
from emtransfer.measuring.claims import measure_contrasts, without_contrast
from emtransfer.measuring.contrasts import contrasts
from emtransfer.measuring.imported_rows import read_imported
from emtransfer.measuring.inference_slope import read_inferences
from emtransfer.measuring.judged_rows import judged_models
from emtransfer.measuring.kept_answers import IDENTITY
from emtransfer.measuring.loss_matching import match_losses, read_losses
from emtransfer.measuring.matching import balance_table, left_out, match_prompts, prompt_measures
from emtransfer.measuring.measurable import MeasurableSettings
from emtransfer.measuring.sft_cautions import sft_cautions, with_sft_cautions
from emtransfer.measuring.tabulation import condition_outcomes
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--judged", type=Path, help="folder of {experiment}/judged/{model}.jsonl, prompts/{base}.csv")
    source.add_argument(
        "--rows", type=Path, help="rows judged elsewhere: .jsonl, .csv, .csv.gz or .parquet, or a folder of .jsonl"
    )
    columns = 'JSON or @FILE: with --rows, field -> the column that holds it, or {"value": …} for all rows'
    parser.add_argument("--columns", type=json_argument, help=columns)
    parser.add_argument(
        "--losses",
        type=Path,
        help="CSV of tabulate_training; without it, no contrast at equal loss and none of capacities",
    )
    parser.add_argument("--inference", type=Path, help="CSV of tabulate_inference; without it, no slope on inference")
    kept = "CSV of tabulate_rollouts; without it, nothing is said of the answers that students of sft learned from"
    parser.add_argument("--kept", type=Path, help=kept)
    parser.add_argument("--cautions", type=Path, help="CSV of compare_judges; without it, every judge is believed")
    settings = (
        "JSON or @FILE: em_rule, measurable unless its defaults apply; with --judged also the grid's config keys, judges by"
        " experiment, unanchored; primary_claims by experiment, where it names any"
    )
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--effects", type=Path, required=True, help="CSV, a row per contrast and subset of answers")
    parser.add_argument("--claims", type=Path, required=True, help="CSV, a row per contrast with its verdict")
    parser.add_argument(
        "--power", type=Path, required=True, help="CSV, the smallest difference that each contrast could detect"
    )
    parser.add_argument(
        "--balance",
        type=Path,
        required=True,
        help="CSV, differences between the two sides' prompts before and after matching",
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    em_rule = read_settings(EmRule, args.settings["em_rule"])
    if args.rows:
        judged, prompts, unanchored = read_imported(args.rows, args.columns), {}, ()
    else:
        judged = judged_models(args.judged, args.settings)
        prompts = read_prompts(args.judged, args.settings)
        unanchored = unanchored_models(args.judged, args.settings)
    cells = condition_outcomes(judged, em_rule)
    measures = prompt_measures(cells, prompts)
    inferences = read_inferences(args.inference) if args.inference else None
    sizes = read_sizes(args.losses) if args.losses else None
    found = contrasts(cells, measures, inferences, checkpoints_of(args.settings), sizes)
    matched = [match_prompts(contrast, measures) for contrast in found]
    losses = read_losses(args.losses) if args.losses else None
    at_loss = [] if losses is None else [match_losses(contrast, losses) for contrast in found]
    measurable = read_settings(MeasurableSettings, args.settings.get("measurable", {}))
    cautions = read_cautions(args.cautions) if args.cautions else None
    unbelieved = set() if cautions is None else not_measurable(cautions)
    effects, claims, power = measure_contrasts(
        found,
        matched,
        condition_outcomes(unanchored, em_rule),
        at_loss,
        cells,
        measurable,
        unbelieved,
        args.settings.get("primary_claims"),
    )
    write_table(args.effects, effects)
    write_table(args.power, power)
    balance = balance_table(found, matched, measures)
    write_table(args.balance, balance)
    claims = claims if cautions is None else with_cautions(claims, cautions)
    if args.kept:
        kept = read_table(args.kept, dtype=dict.fromkeys(IDENTITY, str), keep_default_na=False)
        claims = with_sft_cautions(claims, sft_cautions(found, kept, measurable.kept_answer_nats_at_least))
    write_table(args.claims, claims)
    print(*left_out(balance), *without_contrast(claims, args.settings.get("primary_claims", {})), sep="\n")
    named = claims[["claim", "contrast", "experiment", "base", "judge", "verdict"]]
    print("No claim applies to these models." if claims.empty else named.to_string(index=False))


if __name__ == "__main__":
    run(main, parse_args())
