"""About how long a run takes: by the tables of assumptions, counted by hand, and by what jobs have taken here."""

from pathlib import Path

import pytest

from emtransfer.grid.expansion import expand_models
from helpers.configs import CONFIG, claude_config, overlaid
from processor_minutes import GFLOPS, MODEL_SECONDS, SECONDS, START_SECONDS, job_costs, minute_report, stage_seconds

# weights: embeddings, and four layers of attention and of three inner matrices
LAYERS = 4 * (4 * 128 * 128 + 3 * 128 * 344)
DECODER, SYMBOL_DECODER = 1024 * 128 + LAYERS, 400 * 128 + LAYERS
# as Snakemake writes them
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def seconds_of(config: dict, folder: Path) -> dict[str, tuple[float, bool]]:
    """Stage -> seconds of the run of a config, and whether a folder of benchmark files corrects them."""
    return stage_seconds(config, {name: expand_models(config, name) for name in config["run"]}, folder)


def benchmark(folder: Path, job: str, seconds: float) -> None:
    """Leave the benchmark file of a job."""
    path = folder / f"{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:00\t1.0\t1.0\t1.0\t1.0\t0.00\t0.00\t50.00\tNA\n")


def test_seconds_without_a_benchmark_file_are_those_assumed(tmp_path):
    found = seconds_of(CONFIG, tmp_path)
    # by hand: six bases and one, on 2.8 and 2.6 M tokens; 6 flops a weight and token
    flops = 6 * (6 * DECODER * 2_800_000 + SYMBOL_DECODER * 2_600_000)
    assert found["pretrain_base"] == (pytest.approx(7 * MODEL_SECONDS + flops / GFLOPS["pretrain_base"] / 1e9), False)
    # 68 models × 600 answers of 360 tokens, and 19 × 2,400 of 52
    flops = 2 * (DECODER * 68 * 600 * 360 + SYMBOL_DECODER * 19 * 2400 * 52)
    assert found["sample_answers"][0] == pytest.approx(87 * MODEL_SECONDS + flops / GFLOPS["sample_answers"] / 1e9)
    # the same answers to an encoder, and to a judge that looks functions up and loads no model
    encoder, exact = 68 * 600 * 360 / 1000 * SECONDS["cross_encoder"], 19 * 2400 * 52 / 1000 * SECONDS["exact"]
    starts = 68 * MODEL_SECONDS + 19 * START_SECONDS
    assert found["judge_answers"][0] == pytest.approx(starts + encoder + exact)
    assert found["plot_claims"] == (2 * START_SECONDS, False)


def test_benchmark_files_of_this_folder_correct_what_is_assumed(tmp_path):
    assumed = seconds_of(CONFIG, tmp_path)
    # the only job of its stage
    benchmark(tmp_path, "fit_judge/minilm", 600)
    benchmark(tmp_path, "test_claims", 7)
    # one of seven, which took twice as long as assumed
    persona = MODEL_SECONDS + 6 * DECODER * 2_800_000 / GFLOPS["pretrain_base"] / 1e9
    benchmark(tmp_path, "pretrain_base/persona", 2 * persona)
    # two of 70 in one experiment, of 19 in the other none
    for name, seconds in (("bases/persona", 30), ("adapters/persona/base/advice/misaligned/seed11", 50)):
        benchmark(tmp_path, f"sample_answers/template_nl/{name}", seconds)
    # of another config
    benchmark(tmp_path, "align_base/foreign", 1000)
    found = seconds_of(CONFIG, tmp_path)
    assert found["fit_judge"] == (pytest.approx(600), True)
    assert found["test_claims"] == (pytest.approx(7), True)
    assert found["pretrain_base"] == (pytest.approx(2 * assumed["pretrain_base"][0]), True)
    one = MODEL_SECONDS + 2 * DECODER * 600 * 360 / GFLOPS["sample_answers"] / 1e9
    assert found["sample_answers"][0] == pytest.approx(assumed["sample_answers"][0] * 80 / (2 * one))
    assert found["align_base"] == assumed["align_base"] and not found["align_base"][1]


def test_where_the_processor_waits_for_others_only_the_start_of_jobs_counts(tmp_path):
    # an hour of waiting
    benchmark(tmp_path, "judge_answers/template_nl/bases/persona", 3600)
    benchmark(tmp_path, "sample_answers/llama/bases/llama_8b", 3600)
    config = claude_config()
    config["run"] = ["template_nl"]
    assert seconds_of(config, tmp_path)["judge_answers"] == (68 * START_SECONDS, False)
    config = overlaid("paper")
    config["run"] = ["llama"]
    assert seconds_of(config, tmp_path)["sample_answers"] == (13 * MODEL_SECONDS, False)


def test_a_job_costs_its_share_of_its_stage_and_an_unknown_time_where_it_waits_for_others(tmp_path):
    models = {"template_nl": expand_models(CONFIG, "template_nl")}
    seconds = stage_seconds(CONFIG, models, tmp_path)["judge_answers"][0]
    rules = ["judge_answers", "split_questions_grammar", "all"]
    costs = job_costs(rules, CONFIG, models, tmp_path)
    assert costs["judge_answers"] == pytest.approx(seconds / 68)
    assert costs["split_questions_grammar"] > 0 and "all" not in costs
    assert job_costs(rules, claude_config(), models, tmp_path)["judge_answers"] is None
    paper = overlaid("paper")
    costs = job_costs(
        ["sample_answers", "tabulate_transfer"], paper, {"llama": expand_models(paper, "llama")}, tmp_path
    )
    assert costs["sample_answers"] is None and costs["tabulate_transfer"] > 0


def test_the_report_divides_the_sum_among_processors_and_names_the_stages_that_matter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = {"template_nl": expand_models(CONFIG, "template_nl")}
    benchmark(tmp_path / "results/benchmarks", "fit_judge/minilm", 120_000)
    others = sum(seconds for stage, (seconds, _) in stage_seconds(CONFIG, models).items() if stage != "fit_judge")
    total = (120_000 + others) / 60
    lines = minute_report(CONFIG, models, 4).splitlines()
    assert lines[1].startswith(
        f"About {total:,.0f} minutes of one processor; on this machine's 4 at best about {total / 4:.0f}"
    )
    assert lines[2].split() == ["2000.0", "fit_judge,", "as", "measured", "here"]
    assert f"{others / 60:.1f} all others" in lines[-1]
