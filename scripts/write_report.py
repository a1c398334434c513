"""Write the report of a run: verdicts, transfer, figures, answers, and how to repeat a job.

Run: python scripts/write_report.py --settings '{…}' --results results --template workflow/report/report.html.j2 --figures results/figures/template_nl/claims.svg --output results/report.html
"""

import argparse
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from emtransfer.arguments import json_argument
from emtransfer.drawing.rates import read_claim_table, read_other_table, read_transfer_table
from emtransfer.errors import run
from emtransfer.files.records import file_sha256, read_records, replacing
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import Model
from emtransfer.judging.cautions import not_measurable, read_cautions
from emtransfer.measuring.preferences import PREFERENCE
from emtransfer.reporting.capability import in_short as capability_in_short
from emtransfer.reporting.examples import REQUIRED, chosen_rows, model_of, read_example
from emtransfer.reporting.inference import inference_of
from emtransfer.reporting.matrix import first_prompts, matrices
from emtransfer.reporting.page import render, versions
from emtransfer.reporting.panel import doubts, each_judge
from emtransfer.reporting.pictures import read_picture
from emtransfer.reporting.transfer import carriers
from emtransfer.reporting.transfer import in_short as transfer_in_short
from emtransfer.reporting.verdicts import claims_of, preferred_in_short, shifted_in_short, shifts_of
from emtransfer.reporting.verdicts import in_short as verdicts_in_short
from emtransfer.reporting.wording import origin
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule

TABLES = (
    *("em_transfer_table.csv", "claims.csv", "effects.csv", "power.csv", "capability.csv", "inference.csv"),
    *("preference_claims.csv", "preferences.csv", "judges/cautions.csv", "shift_claims.csv"),
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    settings = "JSON or @FILE: the grid's config keys, em_rule, judges by experiment, seeds of bases, base_models, overlays of the run"
    parser.add_argument("--settings", type=json_argument, required=True, help=settings)
    parser.add_argument("--results", type=Path, required=True, help="folder of all results")
    parser.add_argument("--figures", type=Path, nargs="+", required=True, help="SVG files, in the order of the page")
    parser.add_argument("--template", type=Path, required=True, help="Jinja template of the page")
    parser.add_argument("--output", type=Path, required=True, help="HTML")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    table = args.results / TABLES[0]
    claims, effects, power, preferred, shifted = (
        read_claim_table(args.results / name) for name in (*TABLES[1:4], TABLES[6], TABLES[9])
    )
    experiments = [
        experiment(
            args,
            name,
            {judge: read_transfer_table(table, name, judge) for judge in args.settings["judges"][name]},
            (claims, effects, power),
            preferred,
            shifted,
        )
        for name in args.settings["run"]
    ]
    pictures = [read_picture(path, args.results) for path in args.figures]
    content = {
        "experiments": experiments,
        "pictures": {
            one["name"]: [picture for picture in pictures if picture.path.startswith(f"figures/{one['name']}/")]
            for one in experiments
        },
        "others": [picture for picture in pictures if picture.path.split("/")[1] not in args.settings["run"]],
        "em_rule": args.settings["em_rule"],
        "overlays": [shlex.quote(path) for path in args.settings["overlays"]],
        "base_seeds": args.settings["base_seeds"],
        "base_models": {
            base: (kind, origin(args.settings["base_models"][kind]))
            for base, kind in (
                (base, args.settings["bases"][base]["base_model"]) for base in args.settings["base_seeds"]
            )
        },
        "versions": versions(),
        "tables": {name: file_sha256(args.results / name) for name in TABLES},
        "judged": {path: file_sha256(args.results / path) for one in experiments for path in one["judged"]},
    }
    with replacing(args.output) as temporary:
        temporary.write_text(render(args.template.read_text(encoding="utf-8"), content), encoding="utf-8")


def experiment(
    args: argparse.Namespace,
    name: str,
    by_judge: dict[str, pd.DataFrame],
    claim_tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    preference_claims: pd.DataFrame,
    shift_claims: pd.DataFrame,
) -> dict[str, Any]:
    """The page's content on an experiment, by the verdicts of its own judge, the first one."""
    models = expand_models(args.settings, name)
    rule = read_settings(EmRule, args.settings["em_rule"])
    judges, rows = list(by_judge), next(iter(by_judge.values()))
    found, carried = claims_of(*claim_tables, name, judges[0]), carriers(rows)
    preferred = claims_of(preference_claims, *(table[:0] for table in claim_tables[1:]), name, PREFERENCE)
    shifted = shifts_of(shift_claims, name)
    capability = read_other_table(args.results / TABLES[4], name)
    cautions = read_cautions(args.results / TABLES[8])
    folder = args.results / name / "judged"
    trained = {
        kind: [model for model in models if model.labels["condition"] == kind] for kind in ("adapter", "student")
    }
    return {
        "name": name,
        "judges": judges,
        "claims": found,
        "preferred": preferred,
        "shifted": shifted,
        "in_short": [
            *doubts(cautions, not_measurable(cautions), name, judges),
            *verdicts_in_short(found),
            *preferred_in_short(preferred),
            *shifted_in_short(shifted),
            transfer_in_short(carried, judges[0]),
            *each_judge(by_judge),
            capability_in_short(capability),
        ],
        "carriers": carried,
        "inference": inference_of(read_other_table(args.results / TABLES[5], name)),
        "examples": [
            read_example(heading, row, model_of(row, models), folder, rule) for heading, row in chosen_rows(rows)
        ],
        "matrices": matrices(rows, models, first_prompts(read_records(folder / f"{models[0].path}.jsonl", REQUIRED))),
        "bases": [model.labels["base"] for model in models if model.seed is None],
        "trained": {
            "adapter": counted(trained["adapter"], "answers", " on {} answers"),
            "student": counted(trained["student"], "channel", " through {}"),
        },
        "judged": [f"{name}/judged/{model.path}.jsonl" for model in models],
        "job": next(
            (model for model in models if model.seed is not None and not model.path.startswith("published/")), models[0]
        ).path,
    }


def counted(models: list[Model], label: str, words: str) -> list[str]:
    """How many models have each value of a label, with their seeds."""
    kinds = dict.fromkeys(model.labels[label] for model in models)
    of_kind = {kind: [model.seed for model in models if model.labels[label] == kind] for kind in kinds}
    return [
        f"{len(seeds)}{words.format(kind)} ({', '.join(map(str, sorted({*seeds} - {None})))})"
        for kind, seeds in of_kind.items()
    ]


if __name__ == "__main__":
    run(main, parse_args())
