"""The regression beside claim `task`, on counts from which it follows whether there is an estimate."""

import pandas as pd
import pytest

from emtransfer.measuring.regression import task_against_domain
from emtransfer.measuring.tabulation import Outcome

EVENTS = {"in_cell": 9, "same_task": 6, "same_domain": 3, "both_differ": 1}


def cells(n_adapters: int) -> list[Outcome]:
    """Ten prompts a relation, one answer each; the first few are misaligned, one more for every further adapter."""
    found = []
    for relation, n_events in EVENTS.items():
        rows = [
            {
                "prompt_id": f"{relation}-{prompt}",
                "seed": str(seed),
                "n_scored": 1,
                "n_misaligned": prompt < n_events + seed,
            }
            for seed in range(n_adapters)
            for prompt in range(10)
        ]
        counts = pd.DataFrame(rows).astype({"n_misaligned": int}).set_index(["prompt_id", "seed"])
        found.append(Outcome({"base": "b0"}, ("narrow", "d", relation, ""), relation, counts))
    return found


def test_one_adapter_has_no_estimate_since_nothing_tells_how_adapters_differ():
    assert task_against_domain(cells(1)) is None


@pytest.mark.filterwarnings("error")
def test_two_adapters_have_one():
    fit = task_against_domain([cell for cell in cells(2) if cell.relation != "in_cell"])
    assert 0 < fit["log_odds_ratio"] < 3 and fit["log_odds_low"] < fit["log_odds_ratio"] < fit["log_odds_high"]
