"""Judge simulated populations of models with the pipeline's own functions, and count verdicts: is an effect found where it was put, and nowhere else?

Every data set is a folder of judged answers and tables of prompts as a run writes them, of the size of the default
run or of an overlay. The functions of test_claims.py read it, and the verdicts are those of the claims.csv that they give. What is
asked is in instrument_questions.py, and the worlds are those of instrument_worlds.py.

Run: PYTHONPATH=scripts:workflow/lib OMP_NUM_THREADS=1 python benchmarks/instrument.py --draws 10 --seed 1 --output results/instrument.csv
"""

import argparse
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from instrument_questions import QUESTIONS, WORLDS, Question
from instrument_worlds import population
from scipy.stats import binomtest
from snakemake.utils import update_config
from tqdm import tqdm
from wide_grids import WIDE_OVERLAYS, widened

from config_likes import resolve_likes
from emtransfer.errors import run
from emtransfer.files.records import write_records, write_table
from emtransfer.files.yaml_text import read_yaml
from emtransfer.grid.sections import checkpoints_of, judges_of
from emtransfer.measuring.capacity_contrasts import read_sizes
from emtransfer.measuring.claim_inputs import read_prompts
from emtransfer.measuring.claims import KEY, LEVEL, measure_contrasts
from emtransfer.measuring.contrasts import contrasts
from emtransfer.measuring.inference_slope import read_inferences
from emtransfer.measuring.judged_rows import judged_models
from emtransfer.measuring.matching import prompt_measures
from emtransfer.measuring.measurable import MeasurableSettings
from emtransfer.measuring.sentences import SENTENCES, TWO_SIDED
from emtransfer.measuring.tabulation import condition_outcomes
from emtransfer.settings import read_settings
from emtransfer.verdicts import EmRule

ROOT = Path(__file__).resolve().parents[1]
VERDICTS = ("supported", "contradicted", "undecided", "not measurable", "too few", "one seed only")
# where verdicts are counted for the population of the claim, and for the models of the run
WIDE, NARROWER = "others like these", "these models"
COLUMNS = [
    *(
        "claim",
        "config",
        "experiment",
        "base",
        "contrast",
        "world",
        "verdict_for",
        "population",
        "n_units",
        "n_contrasts",
    ),
    *("n_draws", *(verdict.replace(" ", "_") for verdict in VERDICTS)),
    *("right", "right_low", "right_high", "wrong", "wrong_low", "wrong_high", "right_alone", "wrong_alone"),
    *("wrong_anywhere", "rate_a", "rate_b", "estimate_pp", "estimate_sd_pp"),
]


class Draw(NamedTuple):
    """A data set.

    Attributes:
        overlay, experiment: as of Question.
        absent: the claims that do not hold.
        number: from 0.
        seed: of the whole table.
    """

    overlay: str
    experiment: str
    absent: tuple[str, ...]
    number: int
    seed: int


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=10, help="data sets per world")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation")
    parser.add_argument("--claims", nargs="+", choices=SENTENCES, default=[*SENTENCES], help="all without it")
    overlays = [*dict.fromkeys(question.overlay for question in QUESTIONS)]
    parser.add_argument("--overlays", nargs="+", choices=overlays, default=overlays, help="all without it")
    parser.add_argument("--processes", type=int, default=2, help="data sets that are drawn and judged at once")
    parser.add_argument(
        "--output", type=Path, required=True, help="CSV, a row per claim, contrast, world and kind of verdict"
    )
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    asked = [each for each in QUESTIONS if each.claim in args.claims and each.overlay in args.overlays]
    grids = dict.fromkeys((each.overlay, each.experiment) for each in asked)
    worlds = [(*grid, absent) for grid in grids for absent in WORLDS[grid]]
    draws = [Draw(*world, number, args.seed) for world in worlds for number in range(args.draws)]
    with ProcessPoolExecutor(args.processes) as pool:
        found = tqdm(pool.map(counted, draws), total=len(draws), unit=" data sets")
        rows = [row for of_draw in found for row in of_draw if row["claim"] in args.claims]
    table = summary(pd.DataFrame(rows))
    write_table(args.output, table)
    print(in_short(table))


def counted(draw: Draw) -> list[dict[str, Any]]:
    """The verdicts on every question that the data set answers."""
    claims, effects = judged(draw)
    return [
        row
        for question in QUESTIONS
        if (question.overlay, question.experiment) == (draw.overlay, draw.experiment)
        for row in verdicts(question, draw, claims, effects)
    ]


def judged(draw: Draw) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw a data set, write it, and make claims.csv and effects.csv of what was written."""
    config, experiment = merged(draw.overlay), draw.experiment
    rng = np.random.default_rng([draw.seed, draw.number, *"|".join([*draw[:2], *draw.absent]).encode()])
    people = population(config, experiment, draw.absent, rng)
    judges = judges_of(config["experiments"][experiment])
    settings = config | {"run": [experiment], "judges": {experiment: judges}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in people.models:
            rows = people.rows(model, judges[0], read_settings(EmRule, config["em_rule"]))
            write_records(folder / experiment / "judged" / f"{model.path}.jsonl", rows)
        for base in dict.fromkeys(model.labels["base"] for model in people.models):
            write_table(folder / experiment / "prompts" / f"{base}.csv", people.profile(base))
        if rows := people.inferences():
            write_table(folder / "inference.csv", pd.DataFrame(rows))
        if rows := people.trainings():
            write_table(folder / "training_losses.csv", pd.DataFrame(rows))
        effects, claims = claims_of(folder, settings)
        write_table(folder / "effects.csv", effects)
        write_table(folder / "claims.csv", claims)
        return pd.read_csv(folder / "claims.csv"), pd.read_csv(folder / "effects.csv")


def claims_of(folder: Path, settings: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects and claims as scripts/test_claims.py makes them, but for subsets over matched prompts and losses, which decide no verdict."""
    limits = {field.name: settings["measurable"][field.name] for field in fields(MeasurableSettings)}
    cells = condition_outcomes(judged_models(folder, settings), read_settings(EmRule, settings["em_rule"]))
    tables = {name: folder / f"{name}.csv" for name in ("inference", "training_losses")}
    inferences = read_inferences(tables["inference"]) if tables["inference"].is_file() else None
    sizes = read_sizes(tables["training_losses"]) if tables["training_losses"].is_file() else None
    measures = prompt_measures(cells, read_prompts(folder, settings))
    found = contrasts(cells, measures, inferences, checkpoints_of(settings), sizes)
    primary = {
        name: settings["experiments"][name]["primary_claims"]
        for name in settings["run"]
        if "primary_claims" in settings["experiments"][name]
    }
    measurable = read_settings(MeasurableSettings, limits)
    effects, claims, _ = measure_contrasts(found, outcomes=cells, measurable=measurable, primary_claims=primary)
    return effects, claims


@cache
def merged(overlay: str) -> dict[str, Any]:
    """config.yaml with its overlays, experiments that are like others, and checkpoints, resolved as a run does."""
    if overlay == "wide":
        return widened(merged(WIDE_OVERLAYS))
    config = read_yaml(ROOT / "config.yaml")
    for name in overlay.split():
        shipped, own = ROOT / "workflow/configs" / f"{name}.yaml", ROOT / "benchmarks" / f"{name}.yaml"
        update_config(config, read_yaml(shipped if shipped.is_file() else own))
    resolve_likes(config, read_yaml(ROOT / "workflow/schemas/config.schema.yaml"))
    return config


def verdicts(question: Question, draw: Draw, claims: pd.DataFrame, effects: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The verdicts on a question's contrasts: for the population of the claim, and for the models of the run."""
    of_claim = claims[
        (claims.claim == question.claim) & claims.contrast.str.contains(question.set_by_world, regex=False)
    ]
    absent = question.claim in draw.absent
    false = ("supported", "contradicted") if absent else ("contradicted",)
    wrong_anywhere = of_claim.verdict.map(kind).isin(false).any()
    for base, contrast in question.contrasts:
        (row,) = of_claim[(of_claim.base == base) & (of_claim.contrast == contrast)].to_dict("records")
        same = (effects[KEY] == [row[name] for name in KEY]).all(axis=1)
        of_all = effects[same & (effects.subset == "all") & (effects.method != "logit")]
        for verdict_for, verdict, effect in (
            (WIDE, row["verdict"], of_all.iloc[0]),
            (NARROWER, row["narrower_verdict"], of_all.iloc[-1]),
        ):
            # a slope has no narrower verdict
            if pd.isna(verdict):
                continue
            alone = by_p(question.claim, effect) if kind(verdict) in VERDICTS[:3] else kind(verdict)
            known = verdict_for == WIDE or not absent or question.of_these_models
            right = "undecided" if absent else "supported"
            yield {
                **{"claim": question.claim, "config": question.overlay, "experiment": question.experiment},
                **{"base": base, "contrast": contrast, "absent": absent, "verdict_for": verdict_for},
                **{"population": effect.population, "n_units": effect.n_units},
                **{"n_contrasts": claims.q_value.notna().sum(), "verdict": kind(verdict), "known": known},
                **{"right": kind(verdict) == right, "wrong": kind(verdict) in false},
                **{"right_alone": alone == right, "wrong_alone": alone in false, "wrong_anywhere": wrong_anywhere},
                **{name: effect[name] for name in ("rate_a", "rate_b", "estimate_pp")},
            }


def kind(verdict: str) -> str:
    """A verdict without whom it speaks of."""
    return "too few" if verdict.startswith("too few") else verdict.partition(" for ")[0]


def by_p(claim: str, effect: pd.Series) -> str:
    """What the verdict would be if the contrast were the only one, so that its q were its p."""
    if not effect.p_value < LEVEL:
        return "undecided"
    return "supported" if claim in TWO_SIDED or effect.estimate_pp > 0 else "contradicted"


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """COLUMNS: how often each verdict came out."""
    table = []
    keys = ["claim", "config", "experiment", "base", "contrast", "absent", "verdict_for"]
    for values, group in rows.groupby(keys, sort=False):
        n = len(group)
        known = bool(group.known.all())
        counts = {name.replace(" ", "_"): int((group.verdict == name).sum()) for name in VERDICTS}
        shares = {name: group[name].mean() if known else np.nan for name in ("right_alone", "wrong_alone")}
        table.append(
            dict(zip(keys, values, strict=True))
            | {"world": "does not hold" if values[5] else "holds"}
            | {"config": f"{values[1] or 'config'}.yaml", "population": group.population.mode()[0]}
            | {"n_units": group.n_units.median(), "n_contrasts": group.n_contrasts.median(), "n_draws": n}
            | counts
            | (share("right", group.right) | share("wrong", group.wrong) if known else {})
            | shares
            | {"wrong_anywhere": group.wrong_anywhere.mean() if values[6] == WIDE else np.nan}
            | {name: group[name].mean() for name in ("rate_a", "rate_b", "estimate_pp")}
            | {"estimate_sd_pp": group.estimate_pp.std()}
        )
    return pd.DataFrame(table).reindex(columns=COLUMNS).round(4)


def share(name: str, happened: pd.Series) -> dict[str, float]:
    """A share of the draws with Wilson's 95 % interval."""
    found = binomtest(int(happened.sum()), len(happened)).proportion_ci(method="wilson")
    return {name: happened.mean(), f"{name}_low": found.low, f"{name}_high": found.high}


def in_short(table: pd.DataFrame) -> str:
    """The verdicts on others like these, a row per claim and world, for the screen."""
    names = {"supported": "supp.", "contradicted": "contr.", "undecided": "undec.", "not_measurable": "not meas."}
    shown = table[table.verdict_for == WIDE].rename(columns=names)
    columns = ["claim", "config", "contrast", "world", "n_draws", *names.values(), "too_few", "right", "right_alone"]
    return shown[[*columns, "wrong", "wrong_alone", "wrong_anywhere", "estimate_pp", "estimate_sd_pp"]].to_markdown(
        index=False
    )


if __name__ == "__main__":
    run(main, parse_args())
