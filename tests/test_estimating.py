"""What a run's calls to remote models, its ready models on GPUs and its files amount to, counted by hand."""

import copy

import pytest
import yaml
from snakemake.utils import update_config

from answer_counts import ANSWERS_PER_PROBED_ROW
from disk_use import disk_use, in_short
from emtransfer.grid import expand_models
from emtransfer.writing.generator_prompts import read_generator_prompts
from estimating import report
from gpu_hours import gpu_hours
from helpers.configs import CONFIG, claude_config, written
from helpers.paths import ROOT
from remote_costs import remote_calls, rubric_tokens

PROMPTS = "resources/generators/grid.yaml"
RUBRIC = "resources/rubrics/grid.yaml"


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


def overlaid(name: str) -> dict:
    """The default config with a shipped overlay."""
    config = copy.deepcopy(CONFIG)
    update_config(config, yaml.safe_load((ROOT / f"workflow/configs/{name}.yaml").read_text(encoding="utf-8")))
    return config


def test_gpu_hours_of_ready_models_are_counted_by_stage():
    config = overlaid("paper")
    table = gpu_hours(config, {name: expand_models(config, name) for name in config["run"]})
    llama = table[table.experiment == "llama"].set_index("stage")
    # by hand: 280 tokens a row; 12 adapters × 4,100 rows, and checkpointing: 6 flops for each of 8 B weights
    assert llama.mtok["finetune_adapter"] == pytest.approx(12 * 4100 * 280 / 1e6)
    assert llama.gpu_hours["finetune_adapter"] == pytest.approx(6 * 8e9 * 12 * 4100 * 280 / 125e12 / 3600)
    # 13 models × (12 × 400 narrow prompts and 240 × 4 broad answers), the longest of 600 tokens
    assert llama.mtok["sample_answers"] == pytest.approx(13 * (4800 + 960) * 880 / 1e6)
    assert llama.mtok["distill_student"] == 0
    students = table[table.experiment == "subliminal_qwen"].set_index("stage")
    # 12 students, a third of them on their own answers
    assert students.mtok["distill_student"] == pytest.approx(12 * 2800 * 8 * (280 + 1024) / 1e6)
    assert students.mtok["distill_student, own answers"] == pytest.approx(students.mtok["distill_student"] / 3)
    assert gpu_hours(CONFIG, {name: expand_models(CONFIG, name) for name in CONFIG["run"]}).empty


def test_a_teachers_answers_to_prompts_of_another_corpus_are_counted_where_their_number_is_known():
    config = overlaid("paper")
    table = remote_calls(config, {"subliminal_olmo": expand_models(config, "subliminal_olmo")}).set_index("stage")
    # two teachers, 7,500 prompts of one set; how many problems the other has is not in the config
    assert table.calls["filter_rollouts"] == 2 * 2 * 7500
    assert "filter_pairs" not in table.index


def test_disk_use_is_counted_by_part():
    config = overlaid("paper")
    models = {"llama": expand_models(config, "llama")}
    parts = disk_use(config, models)
    # by hand: 12 adapters of rank 32; a decoder of 8 B weights has 34.4 layers of a width of 4,403, inner width 15,411
    weights = 32 * 34.4 * (4 * 2 * 4403 + 3 * (4403 + 15411))
    assert parts["adapters and students"][0] == pytest.approx(12 * weights * 4 / 1e9, rel=0.01)
    assert parts["ready models, in the hub's cache"] == (16.0, 16.0)
    # 13 models × (4,800 narrow and 960 broad answers), of 880 tokens with their questions, as they are and judged; probes
    judged, probes = 13 * (4800 + 960) * 880 * 4 / 1e9, (4800 + 240) * (2 + 1) * 880 * 4 / 1e9
    assert parts["answers"] == pytest.approx((2 * judged + probes, judged + probes))
    # the grammar, on which the judge is calibrated, and the published corpus, of which only what is used is known
    grammar, published = 12 * 1950 + 6400, 12 * (400 + 4100) + 240
    assert parts["corpora"][1] == pytest.approx(2 * (grammar + published) * 280 * 4 / 1e9)
    assert "em_nl" in report(config, models).splitlines()[-1]
    assert in_short(config, models).startswith("About 22.")
