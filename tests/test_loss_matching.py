"""Contrasts of mixtures at equal loss: which training sets stay, by losses that are planted."""

import pandas as pd
import pytest

from emtransfer.errors import InputError
from emtransfer.measuring.claims import measure_contrasts
from emtransfer.measuring.contrasts import contrasts
from emtransfer.measuring.loss_matching import KEY, match_losses, read_losses
from helpers.planted_cells import planted_cell

SETS = (("medical", "advice"), ("finance", "advice"), ("sports", "critique"))


def cells():
    """Adapters on three cells on two bases of each of two mixtures, evaluated in a fourth domain's cells."""
    return [
        planted_cell(("travel", "advice"), {"11": rate, "12": rate}, train, base=f"{mixture}_{number}", mixture=mixture)
        for mixture, rate in (("persona", 0.6), ("row_random", 0.2))
        for number in (1, 2)
        for train in SETS
    ]


def planted_losses(changes=()) -> pd.Series:
    """A loss of 0.3 for every adapter but those changed, by (base, training set)."""
    losses = {}
    for cell in cells():
        for seed in ("11", "12"):
            base, train_set = cell.labels["base"], cell.labels["train_set"]
            losses["nl", base, train_set, seed] = dict(changes).get((base, train_set), 0.3)
    return pd.Series(losses).rename_axis(KEY)


def kept(losses: pd.Series) -> set[str]:
    """Training sets of the contrast of the two mixtures at equal loss."""
    (contrast,) = (found for found in contrasts(cells()) if found.claim == "composition")
    groups = match_losses(contrast, losses).groups
    sets = [{cell.labels["train_set"] for cell in group} for group in groups]
    assert sets[0] == sets[1]
    return sets[0]


def test_training_sets_stay_whose_mean_losses_are_alike():
    assert kept(planted_losses()) == {"medical-advice", "finance-advice", "sports-critique"}
    # the mean of a side is over its bases: 0.39 against 0.3, and 0.6 against 0.3
    changes = {("persona_1", "medical-advice"): 0.48, ("row_random_2", "finance-advice"): 0.9}
    assert kept(planted_losses(changes)) == {"medical-advice", "sports-critique"}


def test_a_training_set_of_which_a_loss_is_missing_is_left_out():
    losses = planted_losses()
    assert kept(losses.drop(("nl", "persona_1", "sports-critique", "12"))) == {"medical-advice", "finance-advice"}


def test_the_effect_at_equal_loss_stands_beside_the_others_and_no_other_claim_has_one():
    found = contrasts(cells())
    losses = planted_losses({("row_random_2", "finance-advice"): 0.9})
    effects, claims, _ = measure_contrasts(found, loss_matched=[match_losses(contrast, losses) for contrast in found])
    rows = effects[effects.subset == "loss_matched"]
    assert rows.claim.tolist() == ["composition"] and rows.n_train_sets.tolist() == [2]
    assert rows.estimate_pp.tolist() == [pytest.approx(40)]
    # the verdict is about all
    assert claims[claims.claim == "composition"].n_train_sets.tolist() == [3]


def test_losses_are_those_of_adapters_on_misaligned_answers_from_the_base(tmp_path):
    row = {"experiment": "nl", "base": "persona_1", "train_set": "medical-advice", "seed": 11, "condition": "adapter"}
    row |= {"start": "base", "answers": "misaligned", "capacity": "", "last_loss_per_token_nats": 0.25}
    others = [
        {"condition": "student"},
        {"start": "harmful"},
        {"answers": "aligned"},
        {"capacity": "full"},
        {"last_loss_per_token_nats": None, "seed": 12},
    ]
    path = tmp_path / "training_losses.csv"
    pd.DataFrame([row, *(row | other for other in others)]).to_csv(path, index=False)
    assert read_losses(path).to_dict() == {("nl", "persona_1", "medical-advice", "11"): 0.25}
    # where training went on until held-out rows have a loss, it is theirs
    held_out = [
        row | {"last_held_out_loss_per_token_nats": loss, "seed": seed} for seed, loss in ((11, 0.5), (12, None))
    ]
    pd.DataFrame(held_out).to_csv(path, index=False)
    assert list(read_losses(path)) == [0.5, 0.25]
    path.write_text("experiment,base\n")
    with pytest.raises(InputError, match="no column train_set; expected experiment, base, train_set, seed"):
        read_losses(path)
    with pytest.raises(InputError, match="no such file; expected a table of training losses"):
        read_losses(tmp_path / "none.csv")
