"""Claims on shifts in nats: on planted log-probabilities whose differences, intervals and p follow from a t test by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from emtransfer.measuring.measurable import MeasurableSettings
from emtransfer.measuring.preferences import preference_contrasts, preference_models, preference_outcomes
from emtransfer.measuring.replicates import combination_margin, combination_p_value, combine_own_means
from emtransfer.measuring.shift_claims import COLUMNS, shift_claims
from emtransfer.measuring.statistics import benjamini_hochberg
from helpers.measured_pairs import CELLS, grid_config, write_measured
from helpers.processes import run_script

N_PAIRS = 6
PATH = "adapters/b0/base/{cell}/{answers}/seed{seed}"
ALIGNED, BASE = "in_cell: misaligned - aligned answers", "in_cell: misaligned - base"


def config_of(seeds: dict[str, list[int]]) -> dict:
    """The grid of an adapter on every cell, for each kind of answers with these seeds."""
    config = grid_config(tuple(seeds))
    for adapters in config["experiments"]["nl"]["adapters"]:
        adapters |= {"train_sets": list(CELLS), "seeds": seeds[adapters["answers"]]}
    return config


def pair_rows(shift: np.ndarray | float = 0.0, of_pair: float = 1.0) -> list[dict]:
    """Pairs of every cell, whose Δ is that of the pair plus the shift.

    Args:
        shift: [cells, pairs] or a number for all.
        of_pair: size of what pairs differ by on every model.
    """
    shifts = np.broadcast_to(shift, (len(CELLS), N_PAIRS))
    rows = []
    for cell, own in zip(CELLS, shifts, strict=True):
        domain, task = cell.split("-")
        for number, value in enumerate(own):
            difference = of_pair * (number - 2.5) ** 3 + float(value)
            rows.append(
                {"prompt_id": f"{cell}-{number}", "domain": domain, "task": task}
                | {"aligned_nats": -5000.0, "aligned_tokens": 10}
                | {"misaligned_nats": 11 * (difference - 500.0), "misaligned_tokens": 11}
            )
    return rows


def contrasts_of(folder, shifts: dict[tuple[str, str, int], np.ndarray | float], of_pair: float = 1.0) -> list:
    """The contrasts of adapters with these shifts, by cell, answers and seed."""
    seeds = {answers: sorted({seed for _, name, seed in shifts if name == answers}) for _, answers, _ in shifts}
    rows_of = {"bases/b0": pair_rows(of_pair=of_pair)}
    for (cell, answers, seed), shift in shifts.items():
        rows_of[PATH.format(cell=cell, answers=answers, seed=seed)] = pair_rows(shift, of_pair)
    write_measured(folder, rows_of)
    return preference_contrasts(preference_outcomes(list(preference_models(folder, config_of(seeds)))))


def shifts_of(of_cells: tuple[float, ...], aligned_seeds: tuple[int, ...] = (1, 2)) -> dict:
    """Adapters on misaligned answers shift by their cell's value, seeds by 0.1 around it; those on aligned answers by -0.5."""
    shifts = {}
    for cell, value in zip(CELLS, of_cells, strict=True):
        shifts |= {(cell, "misaligned", seed): value + more for seed, more in ((1, -0.1), (2, 0.1))}
        shifts |= {(cell, "aligned", seed): -0.5 for seed in aligned_seeds}
    return shifts


def by_contrast(claims: pd.DataFrame) -> pd.DataFrame:
    """The rows of claim control."""
    return claims[claims["claim"] == "control"].set_index("contrast")


def test_the_difference_is_that_of_mean_shifts_and_its_interval_a_t_interval_over_training_cells(tmp_path):
    """Domains do not differ, so beyond the variance between tasks, with one degree of freedom, none is left."""
    values = (0.4, 0.4, 1.0, 1.0)
    claims = shift_claims(contrasts_of(tmp_path, shifts_of(values)))
    assert list(claims.columns) == COLUMNS
    control = by_contrast(claims)
    assert control.estimate_nats[ALIGNED] == pytest.approx(1.2) and control.estimate_nats[BASE] == pytest.approx(0.7)
    tasks = stats.ttest_1samp([0.9, 1.5], 0)
    row = control.loc[ALIGNED]
    assert (row.population, row.n_units) == ("training tasks like these", 2)
    limits = tasks.confidence_interval()
    assert (row.low_nats, row.high_nats) == pytest.approx((limits.low, limits.high), abs=1e-5)
    assert row.p_value == pytest.approx(tasks.pvalue, rel=1e-3)
    # of the base nothing is drawn, so that its contrast is one of the same cells
    assert control.high_nats[BASE] - 0.7 == pytest.approx(limits.high - 1.2, abs=1e-5)


def test_adapters_held_fixed_with_a_single_seed_have_a_paired_t_interval_over_pairs(tmp_path):
    """Every model is measured on the same pairs, so the sides differ pair by pair."""
    rng = np.random.default_rng(1)
    noise = rng.standard_t(3, (2, len(CELLS), N_PAIRS))
    shifts = {
        (CELLS[0], answers, 1): 0.3 * side + 0.1 * own
        for answers, side, own in zip(("misaligned", "aligned"), (1, 0), noise, strict=True)
    }
    control = by_contrast(shift_claims(two_models(tmp_path, shifts)))
    row = control.loc[ALIGNED]
    differences = 0.3 + 0.1 * (noise[0, 0] - noise[1, 0])
    limits = stats.ttest_1samp(differences, 0).confidence_interval()
    assert (row.verdict, row.narrower_verdict) == ("too few training cells", "one seed only") and np.isnan(row.p_value)
    assert (row.narrower_low_nats, row.narrower_high_nats) == pytest.approx((limits.low, limits.high), abs=1e-5)
    assert np.isnan(row.detectable_nats)


def two_models(folder, shifts: dict) -> list:
    """The contrasts of adapters on the first cell alone."""
    config = grid_config(("misaligned", "aligned"))
    for adapters in config["experiments"]["nl"]["adapters"]:
        adapters["seeds"] = [1]
    write_measured(
        folder,
        {"bases/b0": pair_rows()}
        | {
            PATH.format(cell=cell, answers=answers, seed=seed): pair_rows(shift)
            for (cell, answers, seed), shift in shifts.items()
        },
    )
    return preference_contrasts(preference_outcomes(list(preference_models(folder, config))))


def test_what_makes_a_pair_hard_for_every_model_changes_no_claim(tmp_path):
    shifts = shifts_of((0.4, 0.5, 1.0, 0.7))
    alike, apart = (
        shift_claims(contrasts_of(tmp_path / name, shifts, of_pair))
        for name, of_pair in (("alike", 0.0), ("apart", 1.0))
    )
    pd.testing.assert_frame_equal(alike, apart, atol=1e-5)


def test_a_shift_that_flips_no_pair_is_measured_all_the_same(tmp_path):
    """No pair is within a nat of indifference, so that shifts by 0.2 are seen in no rate."""
    shifts = {
        (cell, answers, seed): 0.2 + 0.01 * number if answers == "misaligned" else 0.0
        for number, cell in enumerate(CELLS)
        for answers in ("misaligned", "aligned")
        for seed in (1, 2)
    }
    contrasts = contrasts_of(tmp_path, shifts, of_pair=10.0)
    row = by_contrast(shift_claims(contrasts)).loc[ALIGNED]
    assert row.estimate_nats == pytest.approx(0.215) and row.verdict.startswith("supported for training")
    control = next(contrast for contrast in contrasts if contrast.name == ALIGNED)
    one, other = (sum(cell.counts["n_misaligned"].sum() for cell in group) for group in control.groups)
    assert one == other


def test_q_values_are_of_shifts_alone(tmp_path):
    claims = shift_claims(contrasts_of(tmp_path, shifts_of((0.4, 0.5, 1.0, 0.7))))
    expected = benjamini_hochberg(claims.p_value.to_numpy())
    assert claims.q_value.to_numpy() == pytest.approx(expected, rel=1e-4) and len(claims) > 4


def test_sides_with_replicates_of_their_own_add_their_margins():
    """One value per base, pairs alike: variances and t quantiles are those of either side by itself."""
    one, other = np.array([0.1, 0.4, 0.7, 0.2]), np.array([0.3, -0.2, 0.1])
    totals, answers = np.zeros((1, 2, 5, 7)), np.zeros((1, 2, 5, 7))
    for group, columns, values in ((0, slice(0, 4), one), (1, slice(4, 7), other)):
        totals[0, group, :, columns], answers[0, group, :, columns] = values, 1
    found = combine_own_means(totals, answers, np.array([1.0, -1.0]))
    margins = [stats.t.isf(0.025, len(side) - 1) * stats.sem(side) for side in (one, other)]
    assert found.estimate == pytest.approx(one.mean() - other.mean())
    assert combination_margin(found) == pytest.approx(np.hypot(*margins))
    assert 0 < combination_p_value(found)[0] < 1


def test_a_claim_without_a_contrast_makes_an_empty_table():
    assert list(shift_claims([], MeasurableSettings()).columns) == COLUMNS


def test_the_script_writes_both_tables_of_claims(tmp_path):
    contrasts_of(tmp_path, shifts_of((0.4, 0.5, 1.0, 0.7)))
    settings = json.dumps(config_of({"misaligned": [1, 2], "aligned": [1, 2]}))
    outputs = {name: tmp_path / f"{name}.csv" for name in ("table", "claims", "shift-claims")}
    files = [part for name, path in outputs.items() for part in (f"--{name}", path)]
    done = run_script("tabulate_preferences", "--preferences", tmp_path, "--settings", settings, *files)
    assert done.returncode == 0, done.stderr
    table, rates, shifts = (pd.read_csv(path) for path in outputs.values())
    assert table["n_pairs"].dtype.kind == "i"
    key = ["claim", "contrast", "base"]
    pd.testing.assert_frame_equal(rates[key], shifts[key])
    assert set(shifts["judge"]) == {"preference"}
