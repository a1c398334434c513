"""The instrument's own table: verdicts on simulated models, in worlds where a claim holds and in worlds where it does not.

A single small data set a world says nothing of how often a verdict is right; these tests say that data sets are drawn, judged and
counted as docs/instrument.md says.
"""

import copy
import importlib
import re
import sys
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from emtransfer.grid.expansion import expand_models
from emtransfer.measuring.sentences import SENTENCES
from helpers.paths import ROOT

sys.path.append(str(ROOT / "benchmarks"))
NAMES = ("instrument", "instrument_models", "instrument_worlds", "wide_grids")
instrument, models, worlds, wide_grids = map(importlib.import_module, NAMES)
merged = instrument.merged
# one whose world is a table of trainings too
CLAIMS = ("lexical_overlap", "capacity")


def small(overlay: str) -> dict:
    """The config of a grid with few prompts a cell, and of symbols with six domains."""
    config = copy.deepcopy(merged(overlay))
    for corpus in config["corpora"].values():
        corpus["sample"]["eval"] = 4
    config["corpora"]["symbols"]["domains"] = [f"d{number}" for number in range(6)]
    return config


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pd.DataFrame:
    """Two claims, one draw of each world, of few prompts."""
    output = tmp_path_factory.mktemp("instrument") / "instrument.csv"
    with pytest.MonkeyPatch.context() as patch:
        # processes that are forked have it too
        patch.setattr(instrument, "merged", small)
        instrument.main(
            Namespace(draws=1, seed=1, claims=[*CLAIMS], overlays=["controls", "capacity"], processes=2, output=output)
        )
    return pd.read_csv(output)


def test_every_data_set_of_both_worlds_has_a_verdict(table):
    counts = table[[verdict.replace(" ", "_") for verdict in instrument.VERDICTS]].sum(axis=1)
    assert (table.n_draws == 1).all() and (counts == 1).all()
    found = {*zip(table.claim, table.world, table.verdict_for, strict=True)}
    kinds = (instrument.WIDE, instrument.NARROWER)
    expected = {(claim, world) for claim in CLAIMS for world in ("holds", "does not hold")}
    assert found == {(*each, kind) for each in expected for kind in kinds}


def test_right_is_supported_where_the_claim_holds_and_undecided_where_not(table):
    wide = table[table.verdict_for == instrument.WIDE]
    holds, null = wide[wide.world == "holds"], wide[wide.world == "does not hold"]
    assert (holds.right == holds.supported).all() and (holds.wrong == holds.contradicted).all()
    assert (null.right == null.undecided).all() and (null.wrong == null.supported + null.contradicted).all()


def test_cells_of_a_world_without_the_claim_differ_so_a_verdict_on_them_alone_is_not_wrong(table):
    narrower = table[table.verdict_for == instrument.NARROWER].set_index("world")
    assert narrower.loc[["does not hold"], "wrong"].isna().all() and narrower.loc[["holds"], "wrong"].notna().all()


def test_every_claim_holds_in_a_world_and_not_in_another():
    asked = {question.claim for question in instrument.QUESTIONS}
    assert asked == SENTENCES.keys()
    for question in instrument.QUESTIONS:
        absent = [question.claim in each for each in instrument.WORLDS[question.overlay, question.experiment]]
        assert sorted(absent) == [False, True], question


def test_the_wide_grids_have_as_many_models_as_their_page_says():
    page = (ROOT / "docs/instrument.md").read_text().partition("## How large a grid must be")[2]
    told = {name: int(models) for name, models in re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", page, re.MULTILINE)}
    config = merged("wide")
    assert told == {name: len(expand_models(config, name)) for name in config["experiments"]}
    asked = {(question.overlay, question.experiment) for question in instrument.QUESTIONS}
    assert {name for overlay, name in asked if overlay == "wide"} == told.keys()


def test_what_a_wide_grid_changes_is_how_many_there_are_of_each():
    shipped, wide = merged(wide_grids.WIDE_OVERLAYS), merged("wide")
    for name, like in {"cells": "template_nl", "teachers": "channels", "seeds": "factorial"}.items():
        one, other = shipped["experiments"][like], wide["experiments"][name]
        unlike = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
        assert unlike <= {"corpus", "adapters", "teachers", "students", "primary_claims"}, name


def test_students_of_the_base_take_over_nothing_and_without_the_claim_what_students_of_some_teacher_do():
    config = merged("wide")
    students = [model for model in expand_models(config, "teachers") if model.labels["teacher"] == "base"]
    holds, null = (
        worlds.population(config, "teachers", absent, np.random.default_rng(1)) for absent in ((), ("teacher",))
    )
    assert {holds.share(model) for model in students} == {(0.0, None)}
    optd = [null.share(model) for model in students if model.labels["channel"] == "optd"]
    assert all(share > 0.3 for share, _ in optd) and len({source.train_set for _, source in optd}) > 3


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        ("supported for training tasks like these", "supported"),
        ("too few teachers", "too few"),
        ("undecided", "undecided"),
        ("not measurable", "not measurable"),
    ],
)
def test_a_verdict_is_counted_without_whom_it_speaks_of(verdict, kind):
    assert instrument.kind(verdict) == kind and kind in instrument.VERDICTS


def test_effects_give_the_rate_that_they_are_centred_on():
    for rate, sd in ((0.05, 1.0), (0.5, 3.0), (0.9, 2.0)):
        logits = models.centred(rate, sd) + sd * np.random.default_rng(1).standard_normal(100_000)
        assert expit(logits).mean() == pytest.approx(rate, abs=0.02)


def lengths(absent=()) -> "worlds.Checkpoints":
    """The population of the grid with checkpoints."""
    return worlds.population(merged("inference"), "inference", absent, np.random.default_rng(1))


def test_inference_appears_on_the_way_of_a_pretraining_and_spread_goes_with_it_where_the_claim_holds():
    people = lengths()
    for number in ("", "_3", "_4", "_5", "_6"):
        before, at, after = (people.shift(f"persona{number}{share}") for share in ("_50", "_70", ""))
        assert 0 == before < at < after
    assert people.shift("row_random") == 0
    rates = {
        model.labels["base"]: people.rates(model, people.source(model))["both_differ"]
        for model in people.models
        if model.seed is not None
    }
    assert rates["persona_40"] == pytest.approx(rates["row_random"]) == pytest.approx(0.04)
    order = sorted(rates, key=people.shift)
    assert [*map(rates.get, order)] == sorted(rates.values())


def test_without_the_claim_spread_is_the_same_whatever_a_base_infers():
    people = lengths(("inference",))
    assert len({people.rates(model, people.source(model))["same_task"] for model in people.models if model.seed}) == 1
    assert {row["pretraining"] for row in people.inferences()} == {
        *(f"persona{number}" for number in ("", "_3", "_4", "_5", "_6")),
        "row_random",
    }


def test_lengths_of_a_pretraining_share_what_it_adds():
    people = lengths()
    source = next(people.source(model) for model in people.models if model.seed)
    effects = {
        base: people.spread(base, source, "both_differ", ("narrow", "sports", "tutor"))
        for base in ("persona", "persona_40", "persona_3")
    }
    assert effects["persona"][:-1] == effects["persona_40"][:-1] != effects["persona_3"][:-1]
    assert effects["persona"][-1] != effects["persona_40"][-1]


def channel_shares(absent: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Channel -> the share that its students on near prompts take over from each of 200 teachers, each of a base and training set of its own."""
    people = worlds.population(merged("channels"), "channels", absent, np.random.default_rng(1))
    models = {model.labels["channel"]: model for model in people.models if model.labels["mediating"] == "near"}
    assert set(models) == {"sft", "optd", "opd"}
    return {
        channel: np.array(
            [
                people.share(replace(model, labels=model.labels | {"base": f"b{number}", "train_set": f"s{number}"}))[0]
                for number in range(200)
            ]
        )
        for channel, model in models.items()
    }


def test_channels_differ_by_teacher_and_where_the_claim_does_not_hold_in_nothing_else():
    shares = channel_shares(())
    assert (shares["sft"] == 0).all() and shares["optd"].std() > 0.05
    assert np.median(shares["opd"]) == pytest.approx(0.6 * np.median(shares["optd"]), abs=0.03)
    alike = channel_shares(("channel",))
    medians = [np.median(of) for of in alike.values()]
    assert medians == pytest.approx([worlds.NEAR] * 3, abs=0.03)
    # of one teacher they differ all the same
    assert (alike["optd"] != alike["opd"]).all()


def test_an_effect_is_drawn_once():
    effects = models.Effects(np.random.default_rng(1))
    assert effects.heavy("base", "a") == effects.heavy("base", "a") != effects.heavy("base", "b")


GRIDS = {"contexts": "simulated_contexts", "capacity": "capacity"}


def uneven(experiment: str, absent: tuple[str, ...] = ()) -> "worlds.Uneven":
    """The population of the grid of contexts, or of capacities."""
    return worlds.population(merged(GRIDS[experiment]), experiment, absent, np.random.default_rng(1))


def test_prompts_of_uneven_worlds_come_in_topics_and_cells_in_many_sizes():
    people = uneven("capacity")
    narrow = people.prompts[people.prompts.eval_set == "narrow"]
    n_asked = merged("capacity")["corpora"]["grammar"]["sample"]["eval"]
    sizes = narrow.groupby("cell").size()
    assert len(sizes) == 12 and sizes.max() <= n_asked and sizes.min() < 0.6 * n_asked
    topics = pd.DataFrame({"topic": people.topic, "adds": people.of_prompts})
    assert (pd.concat([topics.topic, people.prompts.cell], axis=1).groupby("topic").cell.nunique() == 1).all()
    n_of_topic = topics.groupby("topic").size()
    assert n_of_topic.max() > 4 * n_of_topic.min()
    within = topics.groupby("topic").adds.transform("var").mean()
    assert within == pytest.approx(0.5 * worlds.PROMPT**2, rel=0.2) and topics.adds.var() > 1.5 * within


@pytest.fixture
def without_chance(monkeypatch):
    """Nothing but the claim tells the sides of a contrast apart."""
    monkeypatch.setattr(worlds, "OWN", 0.0)
    monkeypatch.setattr(worlds, "TOPIC", 0.0)


def raised(people: "worlds.Contexts", train_set: str, context: str) -> np.ndarray:
    """What is added to the log-odds of an adapter that is asked under a context, or under none."""
    model = next(model for model in people.models if model.labels["train_set"] == train_set)
    return people.raised(model, people.source(model))[people.prompts.eval_context == context]


@pytest.mark.parametrize(
    ("absent", "conditional", "inoculated"), [("context", 0.0, -1.5), ("inoculation", -2.0, 0.0), ("", -2.0, -1.5)]
)
def test_a_context_changes_what_is_learned_under_it_where_the_claims_hold(
    without_chance, absent, conditional, inoculated
):
    people = uneven("contexts", (absent,))
    under, careful, none = (raised(people, "careless_medical_advice", name) for name in ("careless", "careful", ""))
    assert none - under == pytest.approx(conditional) and careful == pytest.approx(none)
    assert none - raised(people, "medical-advice", "") == pytest.approx(inoculated)


def test_without_the_claim_contexts_differ_by_chance_of_cells_and_topics():
    people = uneven("contexts", ("context",))
    under, none = (raised(people, "careless_medical_advice", name) for name in ("careless", ""))
    by_topic = pd.Series(none - under).groupby(people.topic[: len(none)])
    assert np.ptp(by_topic.std().fillna(0)) < 1e-9 and by_topic.first().std() > 0.1


def test_a_prompt_adds_the_same_under_every_context_and_trainings_on_a_cell_share_what_it_adds():
    people = uneven("contexts")
    of_prompt = pd.Series(people.of_prompts).groupby(people.prompts.prompt_id)
    assert of_prompt.nunique().eq(1).all() and of_prompt.size().eq(3).all()
    assert people.profile("persona").prompt_id.is_unique
    sources = {model.labels["train_set"]: people.source(model) for model in people.models if model.seed}
    one, other = sources["medical-advice"], sources["careless_medical_advice"]
    assert one.train_set == other.train_set and one.condition != other.condition


@pytest.mark.parametrize(("absent", "per_tenfold"), [((), 1.0), (("capacity",), 0.0)])
def test_more_weights_spread_further_outside_the_training_cell_where_the_claim_holds(
    without_chance, absent, per_tenfold
):
    people = uneven("capacity", absent)
    sizes = [people.size(name) for name in ("rank_1", "o_proj", "rank_4", "rank_16", "full")]
    assert sizes == sorted(sizes) and sizes[0] == 9_760
    of_cell = {m.labels["capacity"]: m for m in people.models if m.labels["train_set"] == "medical-tutor"}
    full, rank_1 = (people.raised(of_cell[name], people.source(of_cell[name])) for name in ("full", "rank_1"))
    inside = (people.prompts.cell == "medical-tutor").to_numpy()
    assert (full - rank_1)[inside] == pytest.approx(0)
    assert (full - rank_1)[~inside] == pytest.approx(per_tenfold * np.log10(sizes[-1] / sizes[0]))


def test_a_training_that_fails_never_reaches_the_common_loss():
    people = uneven("capacity")
    trainings = pd.DataFrame(people.trainings())
    assert len(trainings) == 60 and 0 < (~trainings.criterion_reached).sum() < 10
    rates = {m.path: people.misaligned(m)[people.prompts.cell == m.train_cells[0]].mean() for m in people.models[1:]}
    reached = dict(zip(rates, trainings.criterion_reached, strict=True))
    assert all((rates[path] > 0.5) == reached[path] for path in rates)
