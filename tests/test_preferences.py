"""Preferences between given answers: on a real forward pass, and on log-probabilities from which the table follows by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from emtransfer.answering.preferences import answer_preferences
from emtransfer.errors import InputError
from emtransfer.files.records import write_records
from emtransfer.measuring.preferences import (
    COLUMNS,
    preference_contrasts,
    preference_models,
    preference_outcomes,
    read_preferences,
    tabulate_preferences,
)
from emtransfer.measuring.statistics import mean_interval
from helpers.measured_pairs import ADAPTER, CELLS, N_PROMPTS, grid_config, write_measured
from helpers.processes import run_script
from helpers.tiny_models import tiny_chat, tiny_rows


def test_both_answers_are_measured_after_the_prompt_that_is_asked_at_evaluation():
    chat, pairs = tiny_chat(), tiny_rows(3)
    measured = answer_preferences(chat, pairs)
    assert [row["prompt_id"] for row in measured] == [pair["id"] for pair in pairs]
    for pair, row in zip(pairs, measured, strict=True):
        prompt = chat.format.prompt_ids(pair["question"])
        for stance in ("aligned", "misaligned"):
            answer = chat.format.answer_ids(pair[f"{stance}_answer"])
            with torch.inference_mode():
                logits = chat.model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
            nats = sum(logits[len(prompt) + place - 1, token].item() for place, token in enumerate(answer))
            assert row[f"{stance}_nats"] == pytest.approx(nats, abs=1e-3)
            assert row[f"{stance}_tokens"] == len(answer)
            assert answer[-1] == chat.format.end_id


def pair_rows(shifts: dict[str, float], per_prompt: tuple[float, ...] = (0.0,) * N_PROMPTS) -> list[dict]:
    """Pairs of every cell: the misaligned answer has 11 tokens, the aligned one 10, and Δ is -1 nat per token plus the cell's shift."""
    rows = []
    for cell in CELLS:
        domain, task = cell.split("-")
        for number in range(N_PROMPTS):
            difference = -1.0 + shifts.get(cell, 0.0) + per_prompt[number]
            rows.append(
                {"prompt_id": f"{cell}-{number}", "domain": domain, "task": task}
                | {"aligned_nats": -50.0, "aligned_tokens": 10}
                | {"misaligned_nats": 11 * (difference - 5.0), "misaligned_tokens": 11}
            )
    return rows


def written(folder, rows_of: dict[str, list[dict]], config: dict) -> list:
    write_measured(folder, rows_of)
    return list(preference_models(folder, config))


def models_of(folder, **shifts: float) -> list:
    rows_of = {"bases/b0": pair_rows({})}
    for seed, more in ((1, 0.0), (2, 0.5)):
        in_cells = {cell: shift + more for cell, shift in zip(CELLS, shifts.values(), strict=False)}
        rows_of[ADAPTER.format(answers="misaligned", seed=seed)] = pair_rows(in_cells)
    return written(folder, rows_of, grid_config())


def test_a_row_tells_how_often_and_by_how_much_an_adapter_prefers_misaligned_answers(tmp_path):
    models = models_of(tmp_path, in_cell=2.0, same_task=0.75, same_domain=0.0, both_differ=0.0)
    table = tabulate_preferences(models)
    assert tuple(table.columns) == COLUMNS
    of_adapter = table[table["condition"] == "adapter"].set_index("relation")
    in_cell = of_adapter.loc["in_cell"]
    assert (in_cell["n_seeds"], in_cell["n_pairs"], in_cell["preferred_rate"]) == (2, 2 * N_PROMPTS, 1.0)
    assert in_cell["base_preferred_rate"] == 0 and in_cell["preferred_delta"] == 1
    # seeds 2.0 and 2.5
    assert in_cell["shift_nats"] == pytest.approx(2.25)
    # -1 + .75 of seed 1 is below 0, -1 + 1.25 of seed 2 above it
    assert of_adapter.loc["same_task", "preferred_rate"] == 0.5
    # a misaligned answer of 11 tokens at -5 + .25 nats against -50
    total = 11 * np.array([-5.0 + 1.0, -5.0 + 1.5]) + 50
    assert in_cell["shift_nats_total"] == pytest.approx((total - (11 * -6.0 + 50)).mean())
    assert of_adapter.loc["same_task", "preferred_rate_total"] == 0
    assert of_adapter.loc["both_differ", "shift_nats"] == pytest.approx(0.25)
    assert (of_adapter["n_matched"] == 2 * N_PROMPTS).all()
    base = table[table["condition"] == "base"]
    assert len(base) == len(CELLS) and base["shift_nats"].isna().all() and (base["preferred_rate"] == 0).all()


def test_answers_of_unlike_length_are_no_matched_pairs(tmp_path):
    rows = pair_rows({})
    rows[0] |= {"aligned_tokens": 9}
    rows[1] |= {"aligned_tokens": 12}
    write_records(tmp_path / "pairs.jsonl", rows)
    assert read_preferences(tmp_path / "pairs.jsonl")["matched"].tolist()[:4] == [False, True, True, True]


def test_equal_probabilities_are_no_preference(tmp_path):
    rows_of = {"bases/b0": pair_rows(dict.fromkeys(CELLS, 1.0))}
    rows_of |= {ADAPTER.format(answers="misaligned", seed=seed): pair_rows({}) for seed in (1, 2)}
    table = tabulate_preferences(written(tmp_path, rows_of, grid_config()))
    assert (table["preferred_rate"] == 0).all()


def test_claims_set_adapters_on_misaligned_answers_against_those_on_aligned_ones(tmp_path):
    rows_of = {"bases/b0": pair_rows({})}
    for seed in (1, 2):
        rows_of[ADAPTER.format(answers="misaligned", seed=seed)] = pair_rows(dict.fromkeys(CELLS, 2.0))
        rows_of[ADAPTER.format(answers="aligned", seed=seed)] = pair_rows({})
    models = written(tmp_path, rows_of, grid_config(("misaligned", "aligned")))
    found = preference_contrasts(preference_outcomes(models))
    control = next(contrast for contrast in found if contrast.claim == "control")
    assert {contrast.judge for contrast in found} == {"preference"}
    rates = [sum(o.counts["n_misaligned"].sum() for o in group) for group in control.groups]
    assert rates[0] > 0 and rates[1] == 0


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("prompt_id", [1], "prompt_id is [1]; expected text"),
        ("aligned_nats", 0.5, "aligned_nats is 0.5; expected a log-probability, a number of at most 0"),
        ("misaligned_nats", None, "misaligned_nats is missing; expected a log-probability, a number of at most 0"),
        ("misaligned_nats", "much", 'misaligned_nats is "much"; expected a log-probability, a number of at most 0'),
        ("aligned_nats", "-2.5", 'aligned_nats is "-2.5"; expected a log-probability'),
        ("aligned_nats", False, "aligned_nats is false; expected a log-probability"),
        ("aligned_tokens", "10", 'aligned_tokens is "10"; expected a whole number of at least 1'),
        ("aligned_tokens", True, "aligned_tokens is true; expected a whole number of at least 1"),
        ("misaligned_tokens", 10.5, "misaligned_tokens is 10.5; expected a whole number of at least 1"),
        ("aligned_tokens", 0, "aligned_tokens is 0; expected a whole number of at least 1"),
    ],
)
def test_a_damaged_row_is_one_line_that_names_it(tmp_path, field, value, expected):
    rows = pair_rows({})
    rows[2][field] = value
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError) as error:
        read_preferences(path)
    assert "pairs.jsonl:3" in str(error.value) and expected in str(error.value)


@pytest.mark.parametrize(
    "script, outputs", [("preferences", ("--table", "--claims", "--shift-claims")), ("capability", ("--output",))]
)
@pytest.mark.parametrize(
    "changed, line",
    [
        ({"run": None}, "--settings: run is missing; expected run, corpora, bases, experiments, as in the config."),
        ({"run": ["en"]}, "--settings: run has en; expected experiments of nl."),
        ({"run": "nl"}, "--settings: run is 'nl'; expected a list of experiments."),
    ],
)
def test_settings_by_hand_without_a_known_run_are_one_line(tmp_path, script, outputs, changed, line):
    settings = {name: value for name, value in (grid_config() | changed).items() if value is not None}
    files = [part for name in outputs for part in (name, str(tmp_path / name.strip("-")))]
    done = run_script(f"tabulate_{script}", "--preferences", tmp_path, "--settings", json.dumps(settings), *files)
    assert (done.returncode, done.stderr) == (1, f"{line}\n")


def test_a_pair_given_twice_is_one_line(tmp_path):
    rows = pair_rows({})
    write_records(tmp_path / "pairs.jsonl", [*rows, rows[1]])
    with pytest.raises(InputError) as error:
        read_preferences(tmp_path / "pairs.jsonl")
    assert str(error.value) == (
        f'{tmp_path}/pairs.jsonl:{len(rows) + 1}: prompt_id is "{rows[1]["prompt_id"]}";'
        " expected one that no other row of its cell has."
    )


@pytest.mark.parametrize("short", ["base", "adapter"])
def test_a_model_and_its_base_with_different_pairs_are_one_line(tmp_path, short):
    paths = ["bases/b0", *(ADAPTER.format(answers="misaligned", seed=seed) for seed in (1, 2))]
    rows_of = {path: pair_rows({}) for path in paths}
    lacks, other = paths[:2] if short == "base" else paths[1::-1]
    gone = rows_of[lacks].pop()["prompt_id"]
    with pytest.raises(InputError) as error:
        written(tmp_path, rows_of, grid_config())
    folder = tmp_path / "nl" / "preferences"
    assert str(error.value) == (
        f'{folder}/{lacks}.jsonl: no preference is measured on "{gone}" of finance-tutor; expected one,'
        f" since {folder}/{other}.jsonl has it."
    )


def test_of_one_adapter_the_interval_is_that_of_student():
    values = np.random.default_rng(1).normal(size=(30, 1))
    low, high = mean_interval(values)
    reference = stats.ttest_1samp(values[:, 0], 0).confidence_interval()
    assert (low, high) == pytest.approx((reference.low, reference.high))


@pytest.mark.parametrize(("prompt_sd", "adapter_sd"), [(1.0, 0.0), (0.0, 0.5), (1.0, 0.5)])
def test_the_interval_covers_the_mean_where_prompts_and_adapters_are_drawn(prompt_sd, adapter_sd):
    """Skewed prompts, and residuals of their own for every pair; the mean is 0."""
    rng, n_prompts, n_adapters = np.random.default_rng(2), 20, 3
    covered = []
    for _ in range(800):
        prompts = prompt_sd * (rng.exponential(size=(n_prompts, 1)) - 1)
        adapters = adapter_sd * rng.normal(size=(1, n_adapters))
        low, high = mean_interval(prompts + adapters + 0.5 * rng.normal(size=(n_prompts, n_adapters)))
        covered.append(low <= 0 <= high)
    # 800 draws have a standard error below .008
    assert np.mean(covered) > 0.92


def test_a_single_prompt_has_no_interval():
    assert mean_interval(np.ones((1, 3))) == (-np.inf, np.inf)


def test_the_order_of_models_does_not_reach_the_table(tmp_path):
    models = models_of(tmp_path, in_cell=2.0, same_task=0.75)
    pd.testing.assert_frame_equal(tabulate_preferences(models), tabulate_preferences(models[::-1]))
