"""The instrument's own table: verdicts of the pipeline's scripts on simulated models, in worlds where a claim holds and where not.

One or two data sets a world say nothing of how often a verdict is right; these tests say that data sets are drawn, judged and
counted as docs/instrument.md says.
"""

import importlib
import sys
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from helpers.paths import ROOT

sys.path.append(str(ROOT / "benchmarks"))
instrument, worlds = map(importlib.import_module, ("instrument", "instrument_worlds"))


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pd.DataFrame:
    """Two claims, two draws of each world."""
    output = tmp_path_factory.mktemp("instrument") / "instrument.csv"
    instrument.main(Namespace(draws=2, seed=1, claims=["structure", "filter"], processes=2, output=output))
    return pd.read_csv(output)


def test_every_draw_of_both_worlds_has_a_verdict(table):
    counts = table[[verdict.replace(" ", "_") for verdict in instrument.VERDICTS]].sum(axis=1)
    assert set(table.claim) == {"structure", "filter"} and (table.n_draws == 2).all()
    assert {*zip(table.claim, table.world, strict=True)} >= {
        ("structure", "holds"),
        ("structure", "does not hold"),
        ("filter", "holds"),
        ("filter", "does not hold"),
    }
    assert (counts == table.n_draws).all()


def test_right_is_supported_where_the_claim_holds_and_undecided_where_not(table):
    wide = table[table.verdict_for == instrument.WIDE]
    holds = wide[wide.world == "holds"]
    null = wide[wide.world == "does not hold"]
    assert (holds.right * 2 == holds.supported).all() and (holds.wrong * 2 == holds.contradicted).all()
    assert (null.right * 2 == null.undecided).all() and (null.wrong * 2 == null.supported + null.contradicted).all()


def test_cells_of_a_world_without_a_claim_may_show_it_so_their_own_verdict_is_not_wrong(table):
    null = table[(table.verdict_for == instrument.NARROWER) & (table.world == "does not hold")].set_index("claim")
    assert null.loc["structure", "wrong"] != null.loc["structure", "wrong"]  # missing
    assert null.loc["filter", "wrong"] >= 0


def test_every_claim_has_a_question():
    assert {question.claim for question in instrument.QUESTIONS} == instrument.SENTENCES.keys()


def test_effects_make_the_rate_they_are_centred_on():
    for rate, sd in ((0.05, 1.0), (0.5, 3.0), (0.9, 2.0)):
        logits = worlds.centred(rate, sd) + sd * np.random.default_rng(1).standard_normal(100_000)
        assert (1 / (1 + np.exp(-logits))).mean() == pytest.approx(rate, abs=0.02)


def test_an_effect_is_drawn_once():
    effects = worlds.Effects(np.random.default_rng(1))
    assert effects.heavy("base", "a") == effects.heavy("base", "a") != effects.heavy("base", "b")
