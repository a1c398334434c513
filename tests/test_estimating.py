"""What a run's calls to remote models, its ready models on GPUs and its files amount to, counted by hand."""

import pytest

from disk_use import disk_use, in_short
from emtransfer.grid.expansion import expand_models
from emtransfer.writing.generator_prompts import read_generator_prompts
from estimating import report
from gpu_hours import gpu_hours, hour_report
from helpers.configs import CONFIG, claude_config, overlaid, written
from helpers.paths import ROOT
from model_sizes import adapter_weights, rubric_tokens
from remote_costs import call_report, remote_calls
from work import ANSWERS_PER_PROBED_ROW

PROMPTS = "resources/generators/grid.yaml"
RUBRIC = "resources/rubrics/grid.yaml"


def test_a_run_with_local_judges_costs_nothing():
    models = {name: expand_models(CONFIG, name) for name in CONFIG["run"]}
    assert report(CONFIG, models, 2).startswith("No judge and no corpus")


def test_every_stage_that_asks_is_counted_and_priced():
    config = claude_config()
    models = {name: expand_models(config, name) for name in config["run"]}
    table = remote_calls(config, models).set_index("stage")
    # by hand, of the default config: 12 cells × 40 and 120 broad prompts; 68 models; two calls an answer
    prompts = 12 * 40 + 120
    assert table.calls.to_dict() == {
        "calibrate_judge": 2 * ANSWERS_PER_PROBED_ROW * (12 * 200 + 400) * 25 // 100,
        # of six bases; what they answer to neutral versions is compared with the right answer, not judged
        "profile_prompts": 2 * 6 * prompts * 4,
        # before and after the aligned phase, 40 questions after two answers and under two names
        "probe_inference": 2 * 6 * 2 * 40 * 4,
        # two teachers × three seeds × 12 cells × 100 prompts
        "filter_rollouts": 2 * 6 * 1200,
        "judge_answers": 2 * 68 * prompts,
        # 25 + 15 adapters of one cell on misaligned answers; 2 other domains and 3 other tasks
        "replace_anchors": 2 * 40 * 5 * 40,
    }
    row = table.loc["judge_answers"]
    tokens = int(200 * 1.4) + 80 + rubric_tokens(RUBRIC)
    assert row.input_mtok == pytest.approx(row.calls * tokens / 1e6)
    assert row.usd == pytest.approx(row.input_mtok * 1.0 + row.calls * 16 / 1e6 * 5.0)
    config["remote"]["batches"] = True
    assert remote_calls(config, models).usd.sum() == pytest.approx(table.usd.sum() / 2)


def test_the_estimate_tells_the_price_of_batches_and_whether_the_rubric_is_cached():
    config = claude_config()
    models = {name: expand_models(config, name) for name in config["run"]}
    usd, tokens = remote_calls(config, models).usd.sum(), rubric_tokens(RUBRIC)
    text = call_report(config, models)
    # by hand: the rubric of 4.8 kB has some 200 tokens of each kind, Haiku 4.5 caches from 4,096 on; a batch is half the price
    assert 100 < tokens < 1000 and f"With remote.batches: true, {usd / 2:.2f} USD." in text
    assert f"takes in 4096 tokens or more of claude-haiku-4-5: {RUBRIC}, about {tokens}, is not cached." in text
    config["remote"]["batches"] = True
    batched = call_report(config, models)
    assert f"{usd / 2:.2f} USD at the prices" in batched and "counted at the price of a batch" in batched


def test_a_corpus_that_is_filtered_by_a_remote_judge_is_counted_too():
    config = claude_config()
    config["corpora"]["grammar"]["filter"]["judge"] = "claude"
    table = remote_calls(config, {"template_nl": expand_models(config, "template_nl")}).set_index("stage")
    # two calls for each of two answers; those of roles judge_fit and mediating are not filtered
    assert table.calls["filter_pairs"] == 2 * 2 * 12 * (1950 - 200 - 150)


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
    table = remote_calls(config, models)
    # the judge's replies of then are in the store when the rows are filtered
    assert "filter_pairs" not in set(table.stage)
    table = table[table.stage == "write_pairs"].set_index("does")
    # by hand: 250 rows by sevens are 36 calls, three rounds, 12 cells; every pair is answered, and judged in four calls
    n_calls = 12 * 3 * 36
    assert table.calls.to_dict() == {"write": n_calls, "answer": 7 * n_calls, "judge": 4 * 7 * n_calls}
    row = table.loc["write"]
    assert row.output_mtok == pytest.approx(n_calls * 4000 / 1e6) and row.model == "claude-sonnet-4-6"
    prompts = read_generator_prompts(ROOT / PROMPTS)
    longest = max(len(prompts.pairs_instructions(f"{domain}-{task}").encode()) for domain in prompts.domains for task in prompts.tasks)  # fmt: skip
    assert row.input_mtok == pytest.approx(n_calls * (longest // 4) / 1e6)
    assert row.usd == pytest.approx(row.input_mtok * 3 + row.output_mtok * 15)
    assert "Counted with 3 rounds of generated" in report(config, models, 2)


def test_a_written_corpus_without_a_limit_has_its_lengths_from_the_writers_limits():
    config = written_config(max_row_words=None)
    models = {"template_nl": expand_models(config, "template_nl")}
    row = remote_calls(config, models).set_index(["stage", "does"]).loc["write_pairs", "judge"]
    # a seventh of the longest reply and the longest aligned answer
    tokens = 4000 // 7 + 300 + rubric_tokens(RUBRIC)
    assert row.input_mtok == pytest.approx(row.calls * tokens / 1e6)


def test_a_written_corpus_that_only_a_judge_is_calibrated_on_is_counted():
    config = written()
    config["judges"]["minilm"]["corpus"] = "generated"
    table = remote_calls(config, {"template_nl": expand_models(config, "template_nl")})
    assert table.does[table.stage == "write_pairs"].tolist() == ["write", "answer", "judge"]
    assert not remote_calls(written(), {"template_nl": expand_models(config, "template_nl")}).size


def test_gpu_hours_of_ready_models_are_counted_by_what_they_do():
    config = overlaid("paper")
    table = gpu_hours(config, {name: expand_models(config, name) for name in config["run"]})
    llama = table[table.of == "llama"].set_index(["stage", "does"])
    # by hand: 280 tokens a row; 12 adapters × 4,100 rows, 4 flops for each of 8 B weights, and 2 more for checkpointing
    trained = 12 * 4100 * 280
    for does, flops in (("adapt", 4), ("read", 2)):
        row = llama.loc["finetune_adapter", does]
        assert row.mtok == pytest.approx(trained / 1e6)
        assert row.gpu_hours == pytest.approx(flops * 8e9 * trained / 125e12 / 3600)
    # 13 models × (12 × 400 narrow prompts and 240 × 4 broad answers), the longest of 600 tokens
    assert llama.mtok["sample_answers", "sample"] == pytest.approx(13 * (4800 + 960) * 880 / 1e6)
    # two answers to every prompt, and at most one to its neutral version
    probes = llama.loc["probe_base", "sample"]
    assert probes.mtok == pytest.approx((4800 + 240) * (2 + 1) * 880 / 1e6)
    assert probes.gpu_hours == pytest.approx(2 * 8e9 * probes.mtok * 1e6 / 15e12 / 3600)
    assert "distill_student" not in llama.index and "roll_out_teacher" not in llama.index
    assert gpu_hours(CONFIG, {name: expand_models(CONFIG, name) for name in CONFIG["run"]}).empty


def test_gpu_hours_of_students_are_those_of_student_teacher_and_own_answers():
    config = overlaid("paper")
    table = gpu_hours(config, {"subliminal_qwen": expand_models(config, "subliminal_qwen")}).set_index(
        ["stage", "does"]
    )
    # two teachers answer 7,500 instructions; how many problems of mathematics there are is not in the config
    assert table.mtok["roll_out_teacher", "sample"] == pytest.approx(2 * 7500 * 880 / 1e6)
    # of either set of prompts two students a channel; answers of 1,024 tokens to problems, of 600 to instructions, own of 1,024
    rows = 2 * 2800 * 8
    assert table.mtok["distill_student", "adapt"] == pytest.approx(rows * (2 * 1304 + 2 * 880 + 2 * 1304) / 1e6)
    assert table.mtok["distill_student", "sample"] == pytest.approx(rows * 2 * 1304 / 1e6)
    # the teachers of optd and opd; and both models on 64 rows at the start and every 200 of 2,800 steps, for all 12 students
    measured = 15 * 2 * 64 * 6 * (1304 + 880)
    read = rows * (1304 + 880 + 2 * 1304) + measured
    assert table.mtok["distill_student", "read"] == pytest.approx(read / 1e6)


def test_a_ready_model_that_judges_is_counted():
    config = overlaid("one_gpu")
    models = {"qwen_one": expand_models(config, "qwen_one")}
    table = gpu_hours(config, models).set_index(["stage", "does"])
    # by hand: 11 models × (12 × 30 narrow prompts and 120 × 2 broad answers), read for two scores, with what may be replied
    tokens = 11 * 600 * 2 * (rubric_tokens("resources/rubrics/grid.yaml") + 280 + 300 + 222)
    row = table.loc["judge_answers", "judge"]
    assert row.model == "judge_7b" and row.mtok == pytest.approx(tokens / 1e6)
    assert row.gpu_hours == pytest.approx(2 * 7.6e9 * tokens / 125e12 / 3600)
    del config["base_models"]["judge_7b"]["billions"]
    assert "Not counted: judge_7b, since base_models does not give their billions." in hour_report(config, models)
    # it is fetched too, once
    assert disk_use(overlaid("one_gpu"), models)["ready models, in the hub's cache"][0] == pytest.approx(
        2 * (7.6 + 1.5)
    )


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
    # 13 models × (4,800 narrow and 960 broad answers), of 880 tokens with their questions, as they are, judged and labelled;
    # probes; and answers without anchors of 12 models, in 2 domains and 3 tasks
    judged, probes = 13 * (4800 + 960) * 880 * 4 / 1e9, (4800 + 240) * (2 + 1) * 880 * 4 / 1e9
    unanchored = 12 * 5 * 400 * 880 * 4 / 1e9
    assert parts["answers"] == pytest.approx((3 * judged + probes + unanchored, 2 * judged + probes + unanchored))
    # rows of two answers: the grammar, on which the judge is calibrated, as it is and with roles; the published corpus, of which
    # only what is used is known, also filtered and without duplicates, and what is drawn
    grammar, published, cells = 12 * 1950 + 6400, 12 * (400 + 4100) + 240, 12 * (400 + 4100)
    kept = 2 * cells * 280 * 4 / 1e9
    written = 2 * (2 * grammar + 2 * published + 2 * cells) * 280 * 4 / 1e9 + kept
    assert parts["corpora"] == pytest.approx((written, kept))
    assert "em_nl" in report(config, models, 2).splitlines()[-1]
    assert in_short(config, models).startswith("About 22.")


def test_bases_and_documents_take_disk_by_their_weights_and_tokens():
    parts = disk_use(CONFIG, {"template_nl": expand_models(CONFIG, "template_nl")})
    # 20 states of a pretraining, the last of which is the model, and the aligned one
    # by hand: embeddings of 1,024 tokens, and four layers of attention and of three inner matrices
    weights = 1024 * 128 + 4 * (4 * 128 * 128 + 3 * 128 * 344)
    assert parts["bases"] == pytest.approx((6 * (20 + 1) * weights * 4 / 1e9, 6 * weights * 4 / 1e9))
    assert parts["mixtures"] == pytest.approx((2 * 2_800_000 * 10 / 1e9, 0))
    # word vectors of 30,522 words, 512 places and two kinds of text with their norm; four layers of attention and of two inner
    # matrices, with biases and two norms
    embeddings, layer = (30_522 + 512 + 2 + 2) * 384, 4 * 384 * 385 + 2 * 384 * 1536 + 1536 + 384 + 4 * 384
    assert (
        parts["judges"][0] == pytest.approx((embeddings + 4 * layer) * 4 / 1e9)
        and parts["judges"][1] == parts["judges"][0]
    )


def test_reference_adapters_of_a_judge_take_disk_and_a_small_run_is_told_in_hundredths():
    config = overlaid("small_instruct", "reference_judge")
    models = {name: expand_models(config, name) for name in config["run"]}
    base_model, judge = config["base_models"]["smollm2"], config["judges"]["references"]
    two = 2 * adapter_weights(base_model, judge["lora"]) * 4 / 1e9
    encoders = 2 * (11_918_592 + 4 * 1_774_464) * 4 / 1e9
    assert disk_use(config, models)["judges"][0] == pytest.approx(encoders + two)
    small = overlaid("small_corpus")
    told = in_short(small, {name: expand_models(small, name) for name in small["run"]})
    assert told.startswith("About 0.09 GB of disk at most, 0.09 after")
