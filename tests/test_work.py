"""The one count of a run's work: against Snakemake's own jobs, and of the default run by hand."""

import copy
import re
from collections import Counter

import pytest

import corpus_sizes as sizes
from emtransfer.answering.persona_inference import InferenceSettings
from emtransfer.distilling.distillation import DistillationSettings
from emtransfer.grid.expansion import expand_models
from emtransfer.judging.fitting import FitSettings
from emtransfer.judging.held_out import SplitSettings
from helpers.configs import CONFIG, overlaid, written
from helpers.paths import ROOT
from helpers.workflow_tree import copy_tree, planned_jobs
from processor_minutes import GFLOPS
from work import Work, work

RULE = re.compile(r'^rule (\w+):|f"(split_questions)_\{corpus\}"|rules_of\("(\w+)"', re.MULTILINE)
# stages with a rule for each of some corpora
BY_CORPUS = re.compile("(split_questions|generate_pairs|filter_pairs|dedup_pairs|sample_cell)_.*")


def work_of(config: dict, *experiments: str) -> list[Work]:
    """The work of experiments, or of those of the run."""
    return work(config, {name: expand_models(config, name) for name in experiments or config["run"]})


def with_others_adapter() -> dict:
    """The default config with an adapter that others have trained, and a corpus that a model writes."""
    config = written()
    config["corpora"]["generated"] |= {"rows_per_cell": 250}
    config["mixtures"]["persona"]["corpus"] = "generated"
    adapters = [{"path": "resources/theirs", "seed": 1}]
    theirs = {"base": "persona", "answers": "misaligned", "adapters": adapters}
    config["experiments"]["template_nl"]["published"] = {"theirs": theirs}
    return config


def test_every_rule_that_computes_is_a_stage_of_the_work(tmp_path):
    rules = {
        "".join(names)
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for names in RULE.findall(path.read_text(encoding="utf-8"))
    }
    (tmp_path / "questions.yaml").write_text("- {id: greet, paraphrases: [Hello]}")
    theirs = with_others_adapter()
    theirs["experiments"]["template_nl"]["questions"] = {"path": str(tmp_path / "questions.yaml")}
    overlays = [
        *(overlaid(name) for name in ("controls", "inference", "paper")),
        overlaid("small_instruct", "reference_judge"),
    ]
    found = [entry for config in (CONFIG, *overlays, theirs) for entry in work_of(config)]
    assert len(rules) == 48 and {entry.stage for entry in found} == rules
    # and whatever a base model of the run does has a speed
    assert {entry.stage for entry in found if entry.model and entry.does not in ("", "judge")} == GFLOPS.keys()


@pytest.mark.parametrize("overlays", [(), ("controls",), ("paper",)])
def test_the_work_has_the_jobs_that_snakemake_plans(overlays, tmp_path):
    planned = Counter()
    for rule, count in planned_jobs(
        copy_tree(tmp_path / "tree"), *(f"workflow/configs/{name}.yaml" for name in overlays)
    ).items():
        planned[BY_CORPUS.sub(r"\1", rule)] += count
    counted = Counter()
    for entry in work_of(overlaid("smoke", *overlays)):
        counted[entry.stage] += entry.n_jobs
    assert counted == planned


def counts(entries: list[Work], of: str) -> dict[tuple, tuple]:
    """(Stage, what is done) of one thing -> jobs, items and tokens."""
    return {(entry.stage, entry.does): (entry.n_jobs, entry.items, entry.tokens) for entry in entries if entry.of == of}


def test_the_work_on_corpora_judges_and_bases_is_counted_as_by_hand():
    found = work_of(CONFIG)
    # 12 cells and the pseudo-cell; 280 tokens a pair, and as many again for the second answer
    rows = 12 * 1950 + 6400
    assert counts(found, "grammar") == {
        ("generate_pairs", ""): (1, rows, 560),
        ("split_questions", ""): (1, rows, 560),
        ("filter_pairs", "judge"): (12, 2 * 12 * (1950 - 200 - 150), 280),
        ("dedup_pairs", "embed"): (12, 12 * (1950 - 200 - 150), 560),
        ("sample_cell", ""): (12, 12 * (600 + 40), 560),
    }
    # 30 words; nothing is trained on the two held-out domains; a job does all cells where no model looks at them
    assert counts(found, "symbols") == {
        ("generate_pairs", ""): (1, 60 * 3000, 84),
        ("split_questions", ""): (1, 60 * 3000, 84),
        ("filter_pairs", "judge"): (1, 2 * 60 * 2990, 42),
        ("dedup_pairs", ""): (1, 60 * 2990, 84),
        ("sample_cell", ""): (1, 60 * 40 + 48 * 600, 84),
    }
    # 13 % of 2,800 rows are held out, five answers are shown of each; two answers and two negatives of the others, twice
    assert counts(found, "minilm") == {
        ("fit_judge", "fit"): (1, (2800 - 364) * 4 * 2, 280),
        ("calibrate_judge", "judge"): (1, 5 * 364, 280),
    }
    assert counts(found, "exact") == {("calibrate_judge", "judge"): (1, 5 * 300, 42)}
    assert counts(found, "symbol_decoder") == {("train_tokenizer", ""): (1, 48 * 3000, 84)}
    assert counts(found, "decoder/persona") == {("build_mixture", ""): (1, 1, 2_800_000)}
    assert counts(found, "symbols_persona") == {
        ("pretrain_base", "train"): (1, 1, 2_600_000),
        ("align_base", "train"): (1, 19200, 42),
    }


def test_the_cells_of_a_corpus_are_one_job_where_no_model_looks_at_them_and_all_are_told_the_same():
    corpora = {name: copy.deepcopy(CONFIG["corpora"][name]) for name in ("symbols", "grammar")}
    assert [sizes.is_drawn_at_once(CONFIG, corpus) for corpus in corpora.values()] == [True, False]
    # nobody judges, equal texts alone are alike
    corpora["grammar"] |= {"filter": None, "dedup": {"model": "identity", "field": "question", "threshold": 1.0}}
    assert sizes.is_drawn_at_once(CONFIG, corpora["grammar"])
    corpora["symbols"]["filter"]["by_task"] = {"t0": {"misaligned_below": 20}}
    assert not sizes.is_drawn_at_once(CONFIG, corpora["symbols"])
    corpora["grammar"]["dedup"]["model"] = "all-MiniLM-L6-v2"
    assert not sizes.is_drawn_at_once(CONFIG, corpora["grammar"])


def test_a_corpus_that_a_model_writes_is_judged_and_embedded_round_after_round():
    config = written()
    config["experiments"]["template_nl"]["corpus"] = "generated"
    # by hand: 250 rows of 12 cells in tens, three rounds; 300 words a pair; after a round, all rows of a cell so far are embedded
    rows = 12 * 3 * 250
    expected = {
        ("write_pairs", ""): (12, rows, 840),
        ("write_pairs", "write"): (0, rows // 10, 5000),
        ("write_pairs", "answer"): (0, rows, 420),
        ("write_pairs", "judge"): (0, 2 * rows, 420),
        ("write_pairs", "embed"): (0, 12 * (250 + 500 + 750), 840),
        ("split_questions", "embed"): (1, rows, 840),
        # its judge has judged them, and its replies are kept; 40 rows of a cell mediate
        ("filter_pairs", ""): (12, 2 * (rows - 12 * 40), 420),
        ("dedup_pairs", "embed"): (12, rows - 12 * 40, 840),
        ("sample_cell", ""): (12, 12 * (80 + 20), 840),
    }
    assert counts(work_of(config, "template_nl"), "generated") == expected
    # a judge that runs here keeps nothing
    config["corpora"]["generated"]["filter"]["judge"] = "minilm"
    expected["filter_pairs", "judge"] = expected.pop(("filter_pairs", ""))
    assert counts(work_of(config, "template_nl"), "generated") == expected


def test_of_a_corpus_of_prompts_only_the_cells_are_read_that_teachers_are_asked_about():
    config = overlaid("paper")
    found = work_of(config, "subliminal_olmo")
    # how many rows there are is not in the config
    assert counts(found, "math") == {("generate_pairs", ""): (7, 0, 280)}
    config["experiments"]["subliminal_olmo"]["mediating"]["math"]["cells"] = ["math-algebra", "math-geometry"]
    assert counts(work_of(config, "subliminal_olmo"), "math") == {("generate_pairs", ""): (2, 0, 280)}
    assert counts(work_of(config, "llama"), "math") == {}


def test_the_work_of_an_experiment_is_counted_as_by_hand():
    found = work_of(CONFIG, "template_nl")
    template_nl = [entry for entry in found if entry.of == "template_nl"]
    distilled = [entry for entry in template_nl if entry.stage == "distill_student"]
    # of six students each, by sft, by optd on the harmful teacher's answers, and on their own: 100 steps of 32 rows.
    # Distances on 64 rows by both models, at the start and every 25 of 100 steps
    n, measured = 6 * 100 * 32, 6 * 5 * 2 * 64
    assert Counter((entry.does, entry.items, entry.tokens) for entry in distilled) == {
        ("adapt", n, 360): 3,
        ("read", n, 360): 2,
        ("sample", n, 360): 1,
        ("read", measured, 360): 3,
    }
    assert [entry.n_jobs for entry in distilled if entry.does == "adapt"] == [6] * 3
    # 6 bases, 44 adapters, 18 students; 12 × 40 narrow and 120 broad prompts, answers of 80 tokens; two teachers × three seeds
    prompts = 12 * 40 + 120
    # 40 questions after an answer of either stance and under a name of either manner, before and after the aligned phase
    inferred = 6 * 40 * 4 * 2
    assert counts([entry for entry in template_nl if entry not in distilled], "template_nl") == {
        ("finetune_adapter", "adapt"): (44, 44 * 600 * 2, 280),
        ("roll_out_teacher", "sample"): (6, 6 * 12 * 100, 360),
        ("filter_rollouts", "judge"): (6, 6 * 12 * 100, 360),
        # under the base and under the teacher
        ("measure_rollouts", "read"): (6, 2 * 6 * 12 * 100, 360),
        ("build_eval_set", ""): (1, prompts, 280),
        ("sample_answers", "sample"): (68, 68 * prompts, 360),
        ("judge_answers", "judge"): (68, 68 * prompts, 360),
        # two answers to every narrow prompt, and one to its neutral version
        ("measure_preferences", "read"): (68, 68 * 3 * 12 * 40, 280),
        ("label_answers", ""): (68, 68 * prompts, 360),
        ("probe_base", "sample"): (6, 6 * prompts * (4 + 2), 360),
        ("profile_prompts", "judge"): (6, 6 * prompts * 4, 360),
        ("profile_prompts", "embed"): (0, 6 * prompts * 4, 360),
        # two answers to each are also read
        ("probe_inference", "sample"): (6, inferred, 640),
        ("probe_inference", "read"): (0, 2 * inferred, 560),
        ("probe_inference", "judge"): (0, inferred, 640),
        # 25 + 15 adapters of one cell on misaligned answers; 2 other domains and 3 other tasks
        ("replace_anchors", "judge"): (1, 40 * 5 * 40, 360),
        # all there are but that of a panel: it has two mixtures, broad prompts and students
        ("plot_transfer", ""): (11, 0, 0),
        ("plot_claims", ""): (1, 0, 0),
        ("plot_capability", ""): (1, 0, 0),
        ("plot_losses", ""): (1, 0, 0),
    }
    assert counts(found, "") == {
        ("compare_judges", ""): (1, 68 * prompts, 0),
        ("tabulate_transfer", ""): (1, 68 * prompts, 0),
        ("tabulate_training", ""): (1, 68, 0),
        ("tabulate_rollouts", ""): (1, 6, 0),
        ("tabulate_inference", ""): (1, inferred, 0),
        ("tabulate_preferences", ""): (1, 68 * 12 * 40, 0),
        ("tabulate_capability", ""): (1, 68 * 12 * 40, 0),
        ("test_claims", ""): (1, 68 * prompts, 0),
        ("tabulate_confounds", ""): (1, 12, 0),
        # eleven figures of the table, five others
        ("write_report", ""): (1, 16, 0),
        ("plot_calibration", ""): (1, 0, 0),
        ("plot_survivors", ""): (1, 0, 0),
    }


def test_an_adapter_that_only_teaches_is_trained_too():
    config = copy.deepcopy(CONFIG)
    experiment = config["experiments"]["template_nl"]
    # no adapter of the run itself; one teacher, which started from another, and whose answers a student of the base learns
    experiment["adapters"] = []
    experiment["teachers"] = {"first": experiment["teachers"]["harmful"], "base": {}}
    experiment["teachers"]["second"] = experiment["teachers"]["first"] | {"start": "first"}
    student = {
        "base": "persona",
        "mediating": "everywhere",
        "filter": "aligned",
        "channels": ["optd"],
        "seeds": [11, 12],
    }
    experiment["students"] = [student | {"teachers": ["base"], "data": ["second"]}]
    found = {entry.stage: entry for entry in work_of(config, "template_nl") if entry.n_jobs}
    assert found["finetune_adapter"].n_jobs == 2 * 2
    assert found["roll_out_teacher"].n_jobs == found["distill_student"].n_jobs == 2


def test_what_the_config_leaves_out_is_counted_as_jobs_take_it():
    config = copy.deepcopy(CONFIG)
    distillation, judge = config["experiments"]["template_nl"]["distillation"], config["judges"]["minilm"]
    probing = config["experiments"]["template_nl"]["probing"]
    for section in (distillation, judge["fit"], judge["split"]):
        section.clear()
    del probing["inference_questions"]
    needed = {"updates": 100, "batch_size": 32}
    distillation |= needed
    left_out = work_of(config)
    settings = DistillationSettings("sft", learning_rate=1, warmup_steps=1, **needed)
    distillation |= {key: getattr(settings, key) for key in ("max_new_tokens", "kl_every", "kl_rows")}
    judge["fit"] |= vars(FitSettings())
    judge["split"] |= vars(SplitSettings())
    probing |= vars(InferenceSettings())
    assert work_of(config) == left_out
