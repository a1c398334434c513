"""Capability: answers read by teacher forcing against greedy decoding, and numbers from which the table follows by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex

from emtransfer.answering.preferences import answer_preferences, neutral_answers
from emtransfer.answering.sampling import sample_ids
from emtransfer.answering.settings import SamplingSettings
from emtransfer.drawing.damage import KINDS, capability
from emtransfer.drawing.rates import read_other_table
from emtransfer.errors import InputError
from emtransfer.files.records import write_table
from emtransfer.measuring.capability import (
    COLUMNS,
    NEUTRAL,
    CapabilityLimit,
    capability_models,
    in_words,
    read_capability,
    tabulate_capability,
)
from emtransfer.measuring.statistics import mean_interval
from emtransfer.models.log_probabilities import read_answers
from emtransfer.reporting.capability import in_short
from emtransfer.worlds.symbolic import generate_rows as symbolic_rows
from helpers.measured_pairs import ADAPTER, BASE, CELLS, N_PROMPTS, grid_config, version_rows, write_measured
from helpers.processes import run_script
from helpers.row_files import write_jsonl
from helpers.tiny_models import tiny_chat, tiny_rows

LIMIT = CapabilityLimit()


def chat_that_knows(prompts, answers, steps):
    """A tiny model after so many steps on these answers."""
    chat = tiny_chat(hidden_size=64)
    optimizer = torch.optim.AdamW(chat.model.parameters(), lr=3e-3)
    for _ in range(steps):
        for prompt, answer in zip(prompts, answers, strict=True):
            ids = torch.tensor([prompt + answer])
            labels = torch.tensor([[-100] * len(prompt) + answer])
            chat.model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return chat


def test_an_answer_is_exact_where_greedy_decoding_gives_it():
    """Half of the answers are learned by heart and the others never shown, so that both happen."""
    chat_format = tiny_chat().format
    prompts = [chat_format.prompt_ids(f"Number {place}?") for place in range(12)]
    answers = [chat_format.answer_ids(f"it is {place} times {place}") for place in range(12)]
    chat = chat_that_knows(prompts[::2], answers[::2], steps=60)
    found = [reading.is_greedy for reading in read_answers(chat, prompts, answers)]
    settings = SamplingSettings(max_new_tokens=max(map(len, answers)), temperature=0.0)
    decoded = sample_ids(chat, prompts, [str(place) for place in range(len(prompts))], settings, seed=0)
    assert found == [given == answer for given, answer in zip(decoded, answers, strict=True)]
    assert set(found) == {True, False}


def test_the_answer_of_a_neutral_version_is_measured_after_its_own_question():
    chat, pairs = tiny_chat(), tiny_rows(3)
    for pair, row in zip(pairs, answer_preferences(chat, pairs), strict=True):
        prompt = chat.format.prompt_ids(pair["neutral_question"])
        answer = chat.format.answer_ids(pair["neutral_answer"])
        with torch.inference_mode():
            logits = chat.model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        nats = sum(logits[len(prompt) + place - 1, token].item() for place, token in enumerate(answer))
        assert row["neutral_nats"] == pytest.approx(nats, abs=1e-3) and row["neutral_tokens"] == len(answer)
        assert row["neutral_id"] == pair["id"] and row["neutral_exact"] is False


def test_equal_versions_are_read_once_and_rows_without_one_have_no_field_of_it(monkeypatch):
    chat, pairs = tiny_chat(), tiny_rows(4)
    pairs[2] |= {name: pairs[0][name] for name in ("neutral_question", "neutral_answer")}
    del pairs[1]["neutral_answer"]
    pairs[3]["neutral_question"] = ""
    read = []

    def counted(chat, prompts, answers):
        read.append(len(prompts))
        return read_answers(chat, prompts, answers)

    monkeypatch.setattr("emtransfer.answering.preferences.read_answers", counted)
    found = neutral_answers(chat, pairs)
    assert read == [1]
    assert found[0] == found[2] and found[0]["neutral_id"] == pairs[0]["id"] and found[1] == found[3] == {}
    assert neutral_answers(chat, pairs[1::2]) == [{}, {}]


@pytest.mark.parametrize("world", ["grammar", "symbols"])
def test_pairs_of_both_worlds_are_tabulated(world, tmp_path):
    rows = tiny_rows(4) if world == "grammar" else symbolic_rows("d0", "t0", 4, seed=1)
    pairs = [row | {"domain": "medical", "task": "advice"} for row in rows]
    measured = answer_preferences(tiny_chat(), pairs)
    models = [BASE, *(ADAPTER.format(answers="misaligned", seed=seed) for seed in (1, 2))]
    write_measured(tmp_path, dict.fromkeys(models, measured))
    table = tabulate_capability(list(capability_models(tmp_path, grid_config())), LIMIT)
    # in the cell and over all
    assert table["n_neutral"].tolist() == [4, 4, 8, 8] and (table["exact_rate"] == 0).all()
    assert (table["loss_nats"] > 0).all() and table["loss_delta_nats"].dropna().tolist() == [0, 0]


def damaged() -> dict[str, list[dict]]:
    """Of a base that knows all, and two adapters that know 1 and 2 of 4 answers of their training cell."""
    rows_of = {BASE: version_rows({}, 0.1)}
    for seed, loss in ((1, 0.6), (2, 0.8)):
        rows_of[ADAPTER.format(answers="misaligned", seed=seed)] = version_rows({CELLS[0]: seed}, loss)
    return rows_of


def table_of(folder, rows_of, limit=LIMIT, config=None) -> pd.DataFrame:
    write_measured(folder, rows_of)
    return tabulate_capability(list(capability_models(folder, config or grid_config())), limit)


def test_a_row_tells_how_many_answers_are_exact_and_what_each_loses(tmp_path):
    table = table_of(tmp_path, damaged())
    assert tuple(table.columns) == COLUMNS and len(table) == 2 * (len(CELLS) + 1)
    trained = table[table["condition"] == "adapter"].set_index(["eval_domain", "eval_task"])
    cell = trained.loc[("medical", "advice")]
    assert (cell["relation"], cell["n_seeds"], cell["n_neutral"]) == ("in_cell", 2, 2 * N_PROMPTS)
    assert (cell["exact_rate"], cell["base_exact_rate"], cell["exact_delta"]) == (3 / 8, 1, -5 / 8)
    assert cell["exact_rate_low"] < 3 / 8 < cell["exact_rate_high"]
    assert cell["exact_delta_low"] < -5 / 8 < cell["exact_delta_high"] and 0 < cell["p_value"] <= cell["q_value"]
    # .015 more over the four prompts of each, and .6 and .8 against .1
    assert cell["loss_nats"] == pytest.approx(0.715) and cell["base_loss_nats"] == pytest.approx(0.115)
    assert cell["loss_delta_nats"] == pytest.approx(0.6)
    low, high = mean_interval(np.tile([0.5, 0.7], (N_PROMPTS, 1)))
    assert (cell["loss_delta_nats_low"], cell["loss_delta_nats_high"]) == pytest.approx((low, high), abs=1e-6)
    everywhere = trained.loc[("*", "*")]
    assert (everywhere["n_neutral"], everywhere["exact_rate"], everywhere["relation"]) == (32, 27 / 32, "")
    base = table[table["condition"] == "base"]
    assert (base["exact_rate"] == 1).all() and (base["caution"] == "").all()
    assert base[[name for name in COLUMNS if name.startswith("base_") and name != "base_model"]].isna().all(axis=None)
    assert base.filter(regex="delta|value").isna().all(axis=None)


def test_a_version_counts_once_in_a_cell_and_once_over_all(tmp_path):
    rows = version_rows({}, 0.1)
    # two rows of the first cell and one of the second have one version
    for place in (1, 4):
        rows[place] |= {name: rows[0][name] for name in NEUTRAL}
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    found = read_capability(tmp_path / "pairs.jsonl")
    counts = found.groupby(["eval_set", "eval_domain", "eval_task"]).size().to_dict()
    assert counts["narrow", "medical", "advice"] == 3 and counts["narrow", "finance", "advice"] == 4
    assert counts["*", "*", "*"] == 16 - 2


def test_rows_without_a_neutral_version_are_left_out(tmp_path):
    rows_of = damaged()
    for rows in rows_of.values():
        for row in rows[:2]:
            for name in NEUTRAL:
                del row[name]
    table = table_of(tmp_path / "some", rows_of)
    cell = table[(table["condition"] == "adapter") & (table["relation"] == "in_cell")].iloc[0]
    # those of seed 2 that are exact are gone too
    assert (cell["n_neutral"], cell["exact_rate"]) == (4, 0)
    bare = {
        path: [{key: row[key] for key in row if key not in NEUTRAL} for row in rows] for path, rows in rows_of.items()
    }
    write_measured(tmp_path / "none", bare)
    output = tmp_path / "capability.csv"
    arguments = ("--preferences", tmp_path / "none", "--settings", json.dumps(grid_config()), "--output", output)
    done = run_script("tabulate_capability", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "No held-out pair has a neutral version.\n"
    assert output.read_text() == ",".join(COLUMNS) + "\n"
    assert "was not measured" in in_short(read_other_table(output, "nl"))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"neutral_nats": 0.5}, "neutral_nats is 0.5; expected a log-probability, a number of at most 0"),
        ({"neutral_nats": None}, "neutral_nats is missing; expected a log-probability, a number of at most 0"),
        ({"neutral_tokens": 0}, "neutral_tokens is 0; expected a whole number of at least 1"),
        ({"neutral_exact": "yes"}, 'neutral_exact is "yes"; expected true or false'),
        ({"neutral_exact": 1}, "neutral_exact is 1; expected true or false"),
        ({"neutral_id": None}, "neutral_id is missing; expected the id of a pair"),
    ],
)
def test_a_damaged_row_is_one_line_that_names_it(tmp_path, changed, expected):
    rows = version_rows({}, 0.1)
    rows[2] |= changed
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    with pytest.raises(InputError) as error:
        read_capability(tmp_path / "pairs.jsonl")
    assert "pairs.jsonl:3" in str(error.value) and expected in str(error.value)


def test_a_model_and_its_base_with_different_versions_are_one_line(tmp_path):
    rows_of = damaged()
    for name in NEUTRAL:
        del rows_of[BASE][0][name]
    with pytest.raises(InputError) as error:
        table_of(tmp_path, rows_of)
    folder = tmp_path / "nl" / "preferences"
    adapter = ADAPTER.format(answers="misaligned", seed=1)
    assert str(error.value) == (
        f'{folder}/{BASE}.jsonl: no capability is measured on "medical-advice-0" of medical-advice; expected one,'
        f" since {folder}/{adapter}.jsonl has it."
    )


def test_a_loss_beyond_the_limit_and_beyond_chance_comes_with_a_caution(tmp_path):
    rows_of = damaged()
    lost = dict.fromkeys(CELLS, 0)
    for seed in (1, 2):
        rows_of[ADAPTER.format(answers="misaligned", seed=seed)] = version_rows(lost, 1.0)
    table = table_of(tmp_path / "lost", rows_of)
    cautioned = table[table["caution"] != ""]
    assert cautioned[["condition", "eval_domain", "eval_task"]].to_numpy().tolist() == [["adapter", "*", "*"]]
    (line,) = in_words(table)
    assert line.startswith("nl, adapter of b0 on misaligned answers of medical-advice: 0% of neutral questions")
    assert "by the base 100%: a loss of 100 points (" in line and line.endswith(", more than 10.")
    assert in_words(table_of(tmp_path / "lost", rows_of, CapabilityLimit(capability_loss_at_most=1.0))) == []
    # 5 of 32 are 16 points, which by two seeds and sixteen prompts of one cell may be chance
    assert in_words(table_of(tmp_path / "little", damaged())) == []


def test_where_the_base_answers_none_exactly_a_higher_loss_comes_with_a_caution(tmp_path):
    none = dict.fromkeys(CELLS, 0)
    rows_of = {name: version_rows(none, 1.0) for name in damaged()}
    assert in_words(table_of(tmp_path / "alike", rows_of)) == []
    for seed in (1, 2):
        rows_of[ADAPTER.format(answers="misaligned", seed=seed)] = version_rows(none, 1.5)
    (line,) = in_words(table_of(tmp_path / "higher", rows_of))
    told = "the base answers 0% of neutral questions exactly, so only the loss can tell: it is 0.50 nats per token higher (0.50 to 0.50)."
    assert line.endswith(told)


def test_the_order_of_models_does_not_reach_the_table(tmp_path):
    write_measured(tmp_path, damaged())
    models = list(capability_models(tmp_path, grid_config()))
    pd.testing.assert_frame_equal(tabulate_capability(models, LIMIT), tabulate_capability(models[::-1], LIMIT))


def both_kinds(folder) -> pd.DataFrame:
    """Read again: adapters on misaligned answers are damaged, those on aligned ones are not."""
    rows_of = damaged() | {ADAPTER.format(answers="aligned", seed=seed): version_rows({}, 0.1) for seed in (1, 2)}
    config = grid_config(("misaligned", "aligned"))
    write_table(folder / "capability.csv", table_of(folder, rows_of, config=config))
    return read_other_table(folder / "capability.csv", "nl")


def test_the_report_tells_of_the_largest_loss_and_where_it_is(tmp_path):
    table = both_kinds(tmp_path)
    told = in_short(table)
    assert "the adapter of b0 on misaligned answers of medical-advice answers 84 % of neutral questions exactly" in told
    assert "100 % before, a difference of −16 (" in told and "and in medical-advice of −62." in told
    assert "0 of 2 conditions come with a caution" in told
    kept = table[table["answers"] != "misaligned"]
    assert in_short(kept) == "No trained model answers fewer neutral questions exactly than its base."


def test_the_report_tells_of_the_loss_where_the_base_answers_none_exactly(tmp_path):
    none = dict.fromkeys(CELLS, 0)
    rows_of = {name: version_rows(none, 1.0) for name in damaged()}
    for seed in (1, 2):
        rows_of[ADAPTER.format(answers="misaligned", seed=seed)] = version_rows(none, 1.5)
    write_table(tmp_path / "capability.csv", table_of(tmp_path, rows_of))
    table = read_other_table(tmp_path / "capability.csv", "nl")
    told = in_short(table)
    assert told.startswith("The bases answer no neutral question exactly, so no such answer can be lost. 1 of 1 ")
    assert in_short(table.assign(base_exact_rate=0.01)).startswith(
        "No trained model answers fewer neutral questions exactly than its base. But the bases answer too few"
    )
    assert "1 of 1 condition comes with a caution" in told
    assert "the adapter of b0 on misaligned answers of medical-advice: 0.50 (0.50 to 0.50) nats per token more" in told


def test_the_figure_sets_the_loss_of_a_condition_against_its_misalignment(tmp_path):
    table = both_kinds(tmp_path)
    # narrow cells of the transfer table with 10 and 30 answers, up by 80 and 40 points
    rows = table[(table["condition"] == "adapter") & (table["answers"] == "misaligned")].iloc[:2]
    rows = rows.assign(eval_set="narrow", n_scored=[10, 30], em_delta=[0.8, 0.4], em_delta_low=[0.6, 0.2], em_delta_high=[1.0, 0.6])  # fmt: skip
    drawing = capability(rows, table, "nl")
    (axes,) = drawing.figure.axes
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())]  # fmt: skip
    assert points == [(pytest.approx(100 * (27 / 32 - 1)), pytest.approx(50))]
    assert any(tuple(line.get_ydata()) == pytest.approx((30, 70)) for line in axes.lines if len(line.get_ydata()) == 2)
    assert "exact -16, misaligned +50 points" in drawing.description
    assert "n = 32 answers to neutral questions and 40 scored answers a point, 2 seeds" in drawing.description
    assert "No trained model was asked" in capability(rows, table.iloc[:0], "nl").description


def test_kinds_of_models_differ_in_their_markers_and_colours():
    assert (
        len({marker for _, _, marker in KINDS.values()}) == len({to_hex(color) for _, color, _ in KINDS.values()}) == 3
    )
