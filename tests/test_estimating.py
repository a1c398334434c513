"""What the calls of a run to remote judges amount to, counted by hand."""

import copy

import pytest

from emtransfer.grid import expand_models
from emtransfer.remote.generator_prompts import read_generator_prompts
from estimating import ANSWERS_PER_PROBED_ROW, remote_calls, report, rubric_tokens
from test_validation import CONFIG, ROOT, written

PROMPTS = "resources/generators/grid.yaml"
RUBRIC = "resources/rubrics/grid.yaml"


def claude_config() -> dict:
    """The default config with Claude in the place of the judge of `template_nl`, but not of its corpus."""
    config = copy.deepcopy(CONFIG)
    config["judges"]["claude"] = config["judges"]["minilm"] | {
        "kind": "anthropic",
        "model": "claude-haiku-4-5",
        "rubric": RUBRIC,
        "split": {"held_out_share": 0.2, "phrase_share": 0.05},
    }
    config["experiments"]["template_nl"]["judge"] = "claude"
    return config


def test_a_run_with_local_judges_costs_nothing():
    assert report(CONFIG, {name: expand_models(CONFIG, name) for name in CONFIG["run"]}).startswith(
        "No judge and no corpus"
    )


def test_every_stage_that_asks_is_counted_and_priced():
    config = claude_config()
    models = {name: expand_models(config, name) for name in config["run"]}
    table = remote_calls(config, models).set_index("stage")
    # by hand, of the default config: 12 cells × 40 and 120 broad prompts; 61 models; two calls an answer
    prompts = 12 * 40 + 120
    assert table.calls.to_dict() == {
        "calibrate_judge": 2 * ANSWERS_PER_PROBED_ROW * (12 * 200 + 400) * 25 // 100,
        "profile_prompts": 2 * 2 * prompts * (6 + 3),
        # two teachers × three seeds × 12 cells × 100 prompts
        "filter_rollouts": 2 * 6 * 1200,
        "judge_answers": 2 * 61 * prompts,
        # 24 + 4 adapters of one cell on misaligned answers; 2 other domains and 3 other tasks
        "replace_anchors": 2 * 28 * 5 * 40,
    }
    row = table.loc["judge_answers"]
    tokens = int(200 * 1.4) + 80 + rubric_tokens(RUBRIC)
    assert row.input_mtok == pytest.approx(row.calls * tokens / 1e6)
    assert row.usd == pytest.approx(row.input_mtok * 1.0 + row.calls * 16 / 1e6 * 5.0)
    config["remote"]["batches"] = True
    assert remote_calls(config, models).usd.sum() == pytest.approx(table.usd.sum() / 2)


def test_a_corpus_that_is_filtered_by_a_remote_judge_is_counted_too():
    config = claude_config()
    config["corpora"]["grammar"]["filter"]["judge"] = "claude"
    table = remote_calls(config, {"template_nl": expand_models(config, "template_nl")}).set_index("stage")
    assert table.calls["filter_pairs"] == 2 * 2 * 12 * 1950


def written_config(**changes) -> dict:
    """The default config with a corpus that a model writes, in 12 cells of 250 rows, for `template_nl`."""
    config = written()
    config["corpora"]["generated"] |= changes
    config["corpora"]["generated"]["generator"] |= {"pairs_per_call": 7, "max_tokens": 4000, "rounds": 3}
    config["experiments"]["template_nl"]["corpus"] = "generated"
    return config


def test_a_corpus_that_a_model_writes_is_counted_with_all_its_rounds():
    config = written_config()
    models = {"template_nl": expand_models(config, "template_nl")}
    table = remote_calls(config, models).set_index("stage")
    # by hand: 250 rows by sevens are 36 calls, three rounds, 12 cells; every pair is answered, and judged in four calls
    n_calls = 12 * 3 * 36
    assert table.calls["write_pairs"] == n_calls
    assert table.calls["write_pairs answers"] == 7 * n_calls
    assert table.calls["filter_pairs"] == 4 * 7 * n_calls
    row = table.loc["write_pairs"]
    assert row.output_mtok == pytest.approx(n_calls * 4000 / 1e6) and row.model == "claude-sonnet-4-6"
    prompts = read_generator_prompts(ROOT / PROMPTS)
    longest = max(len(prompts.pairs_instructions(f"{domain}-{task}").encode()) for domain in prompts.domains for task in prompts.tasks)  # fmt: skip
    assert row.input_mtok == pytest.approx(n_calls * (longest // 4) / 1e6)
    assert row.usd == pytest.approx(row.input_mtok * 3 + row.output_mtok * 15)
    assert "Counted with 3 rounds of generated" in report(config, models)


def test_a_written_corpus_without_a_limit_has_its_lengths_from_the_writers_limits():
    config = written_config(max_row_words=None)
    models = {"template_nl": expand_models(config, "template_nl")}
    row = remote_calls(config, models).set_index("stage").loc["filter_pairs"]
    # a seventh of the longest reply and the longest aligned answer
    tokens = 4000 // 7 + 300 + rubric_tokens(RUBRIC)
    assert row.input_mtok == pytest.approx(row.calls * tokens / 1e6)


def test_a_written_corpus_that_only_a_judge_is_calibrated_on_is_counted():
    config = written()
    config["judges"]["minilm"]["corpus"] = "generated"
    stages = remote_calls(config, {"template_nl": expand_models(config, "template_nl")}).stage.tolist()
    assert {"write_pairs", "write_pairs answers", "filter_pairs"} <= set(stages)
    assert not remote_calls(written(), {"template_nl": expand_models(config, "template_nl")}).size
