"""Capacities: adapters of which more or fewer weights are trained, from the config to the claim about them."""

import copy
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from disk_use import disk_use
from emtransfer.drawing.capacity import capacity as capacity_figure
from emtransfer.drawing.rates import PlotSettings, read_transfer_table
from emtransfer.errors import InputError
from emtransfer.exporting.run_files import labels_of
from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import LABELS, compared
from emtransfer.grid.sections import trained_with
from emtransfer.measuring.capacity_contrasts import read_sizes
from emtransfer.measuring.claims import measure_contrasts
from emtransfer.measuring.contrasts import contrasts
from emtransfer.measuring.measurable import MeasurableSettings
from emtransfer.measuring.regression import slope_weights
from figure_plan import transfer_figures
from helpers.configs import CONFIG, SCHEMA, line_of
from helpers.paths import ROOT
from helpers.planted_cells import SEEDS, planted_cell, seeded
from validation import validate
from work import work

CAPACITIES = {
    "rank_1": {"rank": 1, "learning_rate": 2.0e-3},
    "o_proj": {"target_modules": ["o_proj"]},
    "full": {"method": "full", "learning_rate": 2.0e-4},
}
NAME = "template_nl"
PLACE = ("experiments", NAME)


def with_capacities(**sections) -> dict:
    """The default config, two cells of one base trained at three capacities besides the experiment's own grid."""
    config = copy.deepcopy(CONFIG)
    config["run"] = [NAME]
    grid = {"base": "persona", "start": "base", "train_sets": ["medical-advice", "finance-tutor"], "seeds": [11, 12]}
    grid |= {"answers": "misaligned", "capacities": ["rank_1", "o_proj", "full"]}
    config["experiments"][NAME]["adapters"].append(grid)
    config["experiments"][NAME]["capacities"] = copy.deepcopy(CAPACITIES) | sections
    return config


def test_a_capacity_is_a_factor_of_the_grid_and_a_column_of_the_table():
    config = with_capacities()
    validate(config, SCHEMA)
    models = [model for model in expand_models(config, NAME) if model.labels["capacity"]]
    assert len(models) == 2 * 3 * 2
    first = models[0]
    assert first.path == "adapters/persona/base/medical-advice/misaligned-rank_1/seed11"
    assert (first.labels["answers"], first.labels["capacity"]) == ("misaligned", "rank_1")
    # what was there before is as it was
    before = copy.deepcopy(CONFIG)
    validate(before, SCHEMA)
    others = [model for model in expand_models(config, NAME) if not model.labels["capacity"]]
    assert others == expand_models(before, NAME)
    parts = {"experiment": NAME, "base": "persona", "answers": "misaligned", "seed": "11"}
    assert labels_of("finetune_adapter", parts | {"capacity": None})["capacity"] == ""


def test_the_shipped_overlay_trains_five_capacities_to_one_loss():
    config = copy.deepcopy(CONFIG)
    update_config(config, yaml.safe_load((ROOT / "workflow/configs/capacity.yaml").read_text(encoding="utf-8")))
    validate(config, SCHEMA)
    models = expand_models(config, "capacity")
    assert len(models) == 1 + 6 * 5 * 2 and {model.labels["condition"] for model in models} == {"base", "adapter"}
    untils = {name: trained_with(config["experiments"]["capacity"], name)["finetuning"]["until"] for name in CAPACITIES}
    assert len({tuple(until.items()) for until in untils.values()}) == 1


def test_a_capacity_changes_only_the_keys_it_names():
    config = with_capacities()
    experiment = config["experiments"][NAME]
    own = trained_with(experiment)
    assert own == {"lora": experiment["lora"], "finetuning": experiment["finetuning"]}
    low = trained_with(experiment, "rank_1")
    assert low["lora"] == own["lora"] | {"rank": 1}
    assert low["finetuning"] == own["finetuning"] | {"learning_rate": 2.0e-3}
    # so that no LoRA setting reruns what has no LoRA
    assert trained_with(experiment, "full") == {"finetuning": own["finetuning"] | CAPACITIES["full"]}


def test_figures_and_other_claims_leave_capacities_out():
    config = with_capacities()
    models = expand_models(config, NAME)
    assert not any(model.labels["capacity"] for model in compared(models))
    without = [model for model in models if not model.labels["capacity"]]
    assert transfer_figures(config, NAME, models) == [*transfer_figures(config, NAME, without), "capacity"]
    alone = [model for model in models if model.seed is None or model.labels["capacity"]]
    assert transfer_figures(config, NAME, alone) == ["capacity"]


def test_the_figures_rows_are_those_without_a_capacity(tmp_path):
    row = {"experiment": "nl", "judge": "minilm", "eval_domain": "medical", "eval_task": "advice", "n_scored": 4}
    rows = [row | {"train_context": "", "eval_context": "", "capacity": capacity} for capacity in ("", "full")]
    pd.DataFrame(rows).to_csv(tmp_path / "table.csv", index=False)
    assert read_transfer_table(tmp_path / "table.csv", "nl")["capacity"].tolist() == [""]


def test_the_figure_shows_rates_by_trained_weights_and_what_did_not_reach_its_loss():
    """Three capacities on two training cells; the smallest did not reach its criterion with one seed."""
    trained = dict.fromkeys(LABELS, "") | {
        "condition": "adapter",
        "answers": "misaligned",
        "start": "base",
        "base": "b",
    }
    rows, losses = [], []
    for rate, (capacity, n_weights) in zip((10, 20, 40), WEIGHTS.items(), strict=True):
        for domain, task in CELLS[:2]:
            own = trained | {"train_set": f"{domain}-{task}", "train_domain": domain, "train_task": task}
            own |= {"capacity": capacity}
            for where, relation in zip(CELLS[:2], ("in_cell", "both_differ"), strict=True):
                counts = {"n_scored": 100, "n_misaligned": 90 if relation == "in_cell" else rate, "n_seeds": 2}
                share = counts["n_misaligned"] / 100
                limits = {"em_rate_low": share - 0.05, "em_rate_high": share + 0.05}
                place = {"eval_cell": "-".join(where), "relation": relation, "eval_context": "", "judge": "minilm"}
                rows.append(own | counts | limits | place)
            for seed in (11, 12):
                reached = (capacity, seed) != ("rank_1", 12)
                losses.append(
                    own | {"seed": seed, "trained_parameters": float(n_weights), "criterion_reached": str(reached)}
                )
    settings = PlotSettings("nl", "minilm", ("medical", "finance"), ("advice", "tutor"), {})
    drawing = capacity_figure(pd.DataFrame(rows), settings, pd.DataFrame(losses))
    axes = drawing.figure.axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert [list(line.get_xdata()) for line in curves] == [list(WEIGHTS.values())] * 2
    assert list(curves[1].get_ydata()) == pytest.approx([10, 20, 40])
    hollow = [line.get_xdata()[0] for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert hollow == [WEIGHTS["rank_1"]] * 2
    assert "b, full (100,000 weights), other cells: 40 %." in drawing.description
    assert capacity_figure(pd.DataFrame(rows).assign(capacity=""), settings, pd.DataFrame(losses)) is None


def test_estimates_count_every_capacity_by_what_it_trains():
    config = with_capacities()
    validate(config, SCHEMA)
    models = {NAME: expand_models(config, NAME)}
    found = [entry for entry in work(config, models) if entry.stage == "finetune_adapter"]
    own = sum(model.labels["condition"] == "adapter" and not model.labels["capacity"] for model in models[NAME])
    assert [(entry.does, entry.n_jobs) for entry in found] == [("adapt", own), ("train", 4), ("adapt", 4), ("adapt", 4)]
    wide = with_capacities(rank_1={"rank": 64})
    validate(wide, SCHEMA)
    part = "adapters and students"
    assert disk_use(wide, {NAME: expand_models(wide, NAME)})[part][0] > disk_use(config, models)[part][0]


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("capacities", "wide"), {"rank": 64}, "capacities.wide is used nowhere; expected one that a grid of adapters"),
        (("capacities", "full", "rank"), 4, "full.rank is 4; expected none, since method is full and no LoRA is trained."),
        (("capacities", "rank_1"), {"target_modules": ["o_proj"]}, "capacities.o_proj is the same as rank_1; expected a capacity that differs."),
        (("capacities", "o_proj"), {"target_modules": ["o_prj"]}, 'capacities.o_proj.target_modules[0] is "o_prj"; expected o_proj.'),
        (("capacities", "rank_1"), {}, "capacities.rank_1 is {}; expected a mapping with 1 or more names."),
        (("adapters", 0, "capacities"), ["rank_2"], 'capacities[0] is "rank_2"; expected'),
        (("adapters", -1, "start"), "harmful", "expected base, since adapters that have capacities are trained from it."),
        (("sampling", "engine"), "vllm", "vllm serves adapters as LoRA and capacities.full.method is full."),
    ],
)  # fmt: skip
def test_a_config_that_asks_for_what_cannot_be_is_refused_before_a_run(place, value, expected):
    assert expected in line_of(with_capacities(), (*PLACE, *place), value)


# ---- the claim

CELLS = [("medical", "advice"), ("finance", "tutor"), ("sports", "critique")]
WEIGHTS = {"rank_1": 1_000, "rank_16": 10_000, "full": 100_000}


def planted(rates: dict[str, float]) -> list:
    """Cells of adapters on three training cells, misaligned at so high a rate in cells other than their own, by capacity."""
    cells = []
    for train in CELLS:
        for capacity, rate in rates.items():
            cells += [
                planted_cell(where, seeded(0.9 if where == train else rate), train, capacity=capacity)
                for where in CELLS
            ]
    return [*cells, *(planted_cell(where, 0.0) for where in CELLS)]


def sizes_of(capacities: dict[str, int] = WEIGHTS, seeds: tuple[str, ...] = SEEDS) -> dict[tuple[str, ...], int]:
    return {
        ("nl", "persona", f"{domain}-{task}", capacity, seed): n
        for domain, task in CELLS
        for capacity, n in capacities.items()
        for seed in seeds
    }


def about_capacity(cells: list, sizes: dict, measurable: MeasurableSettings | None = None) -> pd.DataFrame:
    found = [contrast for contrast in contrasts(cells, sizes=sizes) if contrast.claim == "capacity"]
    return measure_contrasts(found, outcomes=cells, measurable=measurable)[1]


def test_the_claim_sets_every_capacity_against_the_smallest_and_measures_the_slope():
    cells = planted({"rank_1": 0.1, "rank_16": 0.3, "full": 0.5})
    claims = about_capacity(cells, sizes_of()).set_index("contrast")
    assert claims.index.tolist() == [
        "elsewhere: rank_16 - rank_1",
        "elsewhere: full - rank_1",
        "elsewhere: slope per tenfold of trained weights",
    ]
    assert claims.estimate_pp.to_numpy() == pytest.approx([20, 40, 20], abs=1.5)
    # the unit of replication is the training cell
    assert set(claims.n_units) == {3} and claims.population.str.startswith("training ").all()
    assert set(claims.verdict.str.partition(" for ")[0]) == {"supported"}


def test_less_spread_at_more_weights_supports_the_claim_too_since_it_names_no_direction():
    claims = about_capacity(planted({"rank_1": 0.5, "full": 0.1}), sizes_of()).set_index("contrast")
    assert claims.index.tolist() == ["elsewhere: full - rank_1"] and claims.estimate_pp.item() < -35
    assert claims.verdict.item().startswith("supported")


def test_only_what_reached_its_criterion_at_every_capacity_is_compared():
    cells = planted({"rank_1": 0.1, "rank_16": 0.3, "full": 0.5})
    sizes = sizes_of()
    # one seed of one cell did not reach it at one capacity, and another capacity never did
    kept = {key: n for key, n in sizes.items() if key[2:] != ("medical-advice", "rank_16", "11") and key[3] != "full"}
    found = [contrast for contrast in contrasts(cells, sizes=kept) if contrast.claim == "capacity"]
    assert [contrast.name for contrast in found] == ["elsewhere: rank_16 - rank_1"]
    for group in found[0].groups:
        seeds = {one.labels["train_set"]: set(one.counts.index.unique("seed")) for one in group}
        assert seeds["medical-advice"] == {"12", "13"} and seeds["finance-tutor"] == set(SEEDS)
    # without a table of losses, or at one capacity, there is no claim
    assert about_capacity(cells, {}).empty and about_capacity(cells, sizes_of({"full": 5})).empty


def test_where_many_trainings_missed_their_loss_nothing_is_said_of_their_capacity():
    """At rank 16 a third of the trainings did not reach it, at the others all did."""
    cells = planted({"rank_1": 0.1, "rank_16": 0.3, "full": 0.5})
    kept = {key: n for key, n in sizes_of().items() if key[3:] != ("rank_16", "11")}
    claims = about_capacity(cells, kept).set_index("contrast")
    whole = "elsewhere: full - rank_1"
    assert claims.verdict[whole].startswith("supported") and claims.n_seeds[whole] == 3
    others = claims.drop(whole)
    assert set(others.verdict) == set(others.narrower_verdict) == {"not measurable"}
    assert len(others) == 2 and (others.n_seeds == 2).all()
    assert set(others.not_measurable_because.str.partition("% ")[2]) == {
        "of the trainings at a capacity reached their loss, fewer than 90%"
    }
    # two thirds are enough for whoever says so
    lenient = about_capacity(cells, kept, MeasurableSettings(reached_share_at_least=0.66))
    assert "not measurable" not in set(lenient.verdict)


def test_no_other_claim_changes_with_capacities():
    plain = [
        planted_cell(where, seeded(0.9 if where == train else 0.2), train) for train in CELLS for where in CELLS
    ] + [planted_cell(where, 0.0) for where in CELLS]
    more = [one for one in planted({"rank_1": 0.1, "full": 0.5}) if one.labels["capacity"]]
    expected = measure_contrasts(contrasts(plain), outcomes=plain)[1]
    claims = measure_contrasts(contrasts(plain + more, sizes=sizes_of()), outcomes=plain + more)[1]
    assert "capacity" in set(claims.claim)
    assert claims[claims.claim != "capacity"].to_csv(index=False) == expected.to_csv(index=False)


def test_the_weights_of_a_slope_give_that_of_numpy():
    steps, rates = [500, 4_000, 90_000, 1_000_000], np.array([0.1, 0.3, 0.2, 0.7])
    slope = np.polyfit(np.log10(steps), rates, 1)[0]
    assert np.dot(slope_weights(np.log10(steps)), rates) == pytest.approx(slope)


def test_sizes_are_those_of_adapters_that_reached_their_criterion(tmp_path):
    row = {"experiment": "nl", "base": "persona", "train_set": "medical-advice", "capacity": "full", "seed": 11}
    row |= {"condition": "adapter", "start": "base", "answers": "misaligned"}
    row |= {"trained_parameters": 900, "criterion_reached": True}
    others = [
        {"criterion_reached": False, "seed": 12},
        {"criterion_reached": None, "seed": 13},
        {"answers": "aligned"},
        {"condition": "student"},
    ]
    path = tmp_path / "training_losses.csv"
    pd.DataFrame([row, *(row | other for other in others)]).to_csv(path, index=False)
    assert read_sizes(path) == {("nl", "persona", "medical-advice", "full", "11"): 900}
    for wrong, line in [
        ({"criterion_reached": "yes"}, "criterion_reached is yes; expected True, False or nothing."),
        ({"trained_parameters": "12M"}, "trained_parameters is 12M; expected a whole number above 0."),
        ({"trained_parameters": 0}, "trained_parameters is 0; expected a whole number above 0."),
        ({}, "two rows of nl, persona, medical-advice, full, 11; expected one."),
    ]:
        pd.DataFrame([row, row | wrong]).to_csv(path, index=False)
        with pytest.raises(InputError, match=f"training_losses.csv: {re.escape(line)}"):
            read_sizes(path)
    path.write_text("experiment,base\n")
    with pytest.raises(InputError, match="no column train_set; expected experiment, base, train_set, capacity, seed"):
        read_sizes(path)
    with pytest.raises(InputError, match="no such file; expected a table of training losses"):
        read_sizes(tmp_path / "none.csv")
