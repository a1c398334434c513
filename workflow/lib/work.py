"""The work of a run, derived from its config before any is done: its jobs, and how many items of how many tokens they process.

This is the only count: calls, money, GPU hours, processor minutes and disk use are all computed from its list.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import corpus_sizes as sizes
from config_corpora import WORLDS
from config_experiments import asked_questions
from emtransfer.grid import expansion, sections
from emtransfer.grid.labels import Model, compared
from emtransfer.remote.access import PROVIDERS
from figure_plan import planned_figures
from needed import needed, students, trained_adapters

# per held-out row: its two answers, those two masked, and an incoherent one
ANSWERS_PER_PROBED_ROW = 5
# a judge of two reference adapters reads an answer under either of them, under their base, and without its question
REFERENCE_PASSES = 3


@dataclass(frozen=True)
class Work:
    """Similar jobs of one rule, or a further part of their work.

    Attributes:
        stage: name of the rule.
        of: what the jobs are of, as the path of their benchmark files begins: a corpus, a judge, a base or an experiment.
        n_jobs: 0 where an entry before has the jobs.
        items: what they make or read, all jobs together, at most; those of the entry with the jobs are also written.
        tokens: of an item, at most.
        does: how a model goes through the items: `train` all its weights or `adapt` a LoRA, `read` or `sample` text; `judge`;
            `fit` a judge or `embed` texts with a small encoder; `write` pairs or `answer` questions behind an API.
        model: the base model that does it, empty for none.
        judge: the judge, empty for none.
    """

    stage: str
    of: str
    n_jobs: int
    items: int
    tokens: int
    does: str = ""
    model: str = ""
    judge: str = ""


def work(config: dict, models: dict[str, list[Model]]) -> list[Work]:
    """All work of a run, in its order.

    Args:
        config: as validated.
        models: experiment of the run -> its models.
    """
    need = needed(config, models)
    found = [entry for name in need["prompts"] for entry in prompt_work(config, name, models)]
    found += [entry for name in need["corpus"] for entry in corpus_work(config, name)]
    found += [entry for name in need["filtered"] for entry in cell_work(config, name)]
    found += [entry for name in need["judge"] for entry in judge_work(config, name)]
    found += base_work(config, need["base"])
    for name, of_experiment in models.items():
        found += training_work(config, name, of_experiment)
        found += student_work(config, name, of_experiment)
        found += answer_work(config, name, of_experiment)
    return found + list(table_work(config, models, found))


def judging(config: dict, stage: str, of: str, n_jobs: int, items: int, tokens: int, judge: str) -> Work:
    """A stage whose jobs show answers to a judge, which may be a base model."""
    section = config["judges"][judge]
    model = config["bases"][section["base"]]["base_model"] if "base" in section else ""
    return Work(stage, of, n_jobs, items, tokens, "judge", model, judge)


def prompt_work(config: dict, name: str, models: dict[str, list[Model]]) -> Iterator[Work]:
    """Work of a corpus with prompts only: its cells that teachers answer."""
    corpus, cells = config["corpora"][name], set()
    for experiment, of_experiment in models.items():
        section = config["experiments"][experiment]
        for kept in expansion.rollout_sets(section, of_experiment):
            if section["mediating"][kept.mediating].get("corpus") == name:
                cells |= {*sections.mediating_cells(config, section, kept.mediating, kept.teacher)}
    n_jobs = min(1, len(cells)) if sizes.is_generated(corpus) else len(cells)
    yield Work("generate_pairs", name, n_jobs, len(cells) * sizes.rows_per_cell(corpus), sizes.pair_tokens(corpus))


def corpus_work(config: dict, name: str) -> Iterator[Work]:
    """Work of a corpus up to the roles of its rows."""
    corpus = config["corpora"][name]
    n_cells, n_broad, tokens = len(sections.cells(corpus)), sizes.broad_rows(corpus), sizes.pair_tokens(corpus)
    n_rows = n_cells * sizes.rows_per_cell(corpus)
    if sizes.is_written(corpus):
        writer, n_calls = sizes.writer_of(corpus), sizes.calls_per_round(corpus)
        # a row is a question and two answers, at most two pairs
        yield Work("write_pairs", name, n_cells, n_rows, 2 * tokens)
        yield Work("write_pairs", name, 0, n_cells * writer.rounds * n_calls, writer.max_tokens, "write")
        yield Work("write_pairs", name, 0, n_rows, tokens, "answer")
        yield judging(config, "write_pairs", name, 0, 2 * n_rows, tokens, sizes.filter_judge(corpus))
        if corpus["dedup"]["model"] != sizes.IDENTITY:
            # after every round, all rows so far
            yield Work("write_pairs", name, 0, n_rows * (writer.rounds + 1) // 2, 2 * tokens, "embed")
        if sizes.has_broad(corpus):
            yield Work("generate_pairs", name, 1, n_broad, 2 * tokens)
    else:
        n_jobs = 1 if sizes.is_generated(corpus) else n_cells + sizes.has_broad(corpus)
        yield Work("generate_pairs", name, n_jobs, n_rows + n_broad, 2 * tokens)
    does = "" if corpus["source"] in WORLDS else "embed"
    yield Work("split_questions", name, 1, n_rows + n_broad, 2 * tokens, does)


def cell_work(config: dict, name: str) -> Iterator[Work]:
    """Work of a corpus that is trained or evaluated on, from its filter on."""
    corpus = config["corpora"][name]
    cells, sample, tokens = sections.cells(corpus), corpus["sample"], sizes.pair_tokens(corpus)
    n_rows, judge = sizes.filtered_rows(corpus), sizes.filter_judge(corpus)
    n_jobs = 1 if sizes.is_drawn_at_once(config, corpus) else len(cells)
    # replies of a judge behind an API about rows that it saw when they were written are kept
    is_judged = judge and not (sizes.is_written(corpus) and config["judges"][judge]["kind"] in PROVIDERS)
    if is_judged:
        yield judging(config, "filter_pairs", name, n_jobs, 2 * n_rows, tokens, judge)
    else:
        yield Work("filter_pairs", name, n_jobs, 2 * n_rows, tokens)
    does = "" if corpus["dedup"]["model"] == sizes.IDENTITY else "embed"
    yield Work("dedup_pairs", name, n_jobs, n_rows, 2 * tokens, does)
    n_drawn = len(cells) * sample["eval"] + len(sections.training_cells(corpus)) * sample["train"]
    yield Work("sample_cell", name, n_jobs, n_drawn, 2 * tokens)


def judge_work(config: dict, name: str) -> Iterator[Work]:
    """Work of a judge: its fitting, if it is fitted in the run, and its calibration."""
    judge = config["judges"][name]
    corpus = config["corpora"][judge["corpus"]]
    n_rows, tokens = sizes.judge_rows(corpus), sizes.pair_tokens(corpus)
    n_probed = sizes.held_out_rows(judge, n_rows)
    if judge["kind"] == "cross_encoder":
        fit = judge["fit"]
        n_examples = (n_rows - n_probed) * (2 + fit.get("negatives_per_row", 2)) * fit.get("epochs", 1)
        yield Work("fit_judge", name, 1, n_examples, tokens, "fit", judge=name)
    if judge["kind"] == "reference_adapters":
        model, finetuning, head = config["bases"][judge["base"]]["base_model"], judge["finetuning"], judge["head"]
        n_read = round(head["share"] * (n_rows - n_probed)) * (2 + head["negatives_per_row"])
        n_trained = 2 * finetuning["rows"] * finetuning["epochs"]
        yield Work("fit_reference_adapters", name, 1, n_trained, tokens, "adapt", model)
        yield Work("fit_reference_adapters", name, 0, n_read * REFERENCE_PASSES, tokens, "read", model)
    yield judging(config, "calibrate_judge", name, 1, ANSWERS_PER_PROBED_ROW * n_probed, tokens, name)


def base_work(config: dict, bases: list[str]) -> Iterator[Work]:
    """Work of bases: looked up, or made from a tokenizer and a mixture."""
    trained = {}
    for name in bases:
        base = config["bases"][name]
        if "mixture" in base:
            trained[name] = (base["base_model"], base["mixture"])
        else:
            yield Work("fetch_base", name, 1, 0, 0, model=base["base_model"])
    for name in sorted({base_model for base_model, _ in trained.values()}):
        corpus = config["corpora"][config["base_models"][name]["tokenizer"]["corpus"]]
        n_rows = len(sections.training_cells(corpus)) * sizes.rows_per_cell(corpus) + sizes.broad_rows(corpus)
        yield Work("train_tokenizer", name, 1, n_rows, 2 * sizes.pair_tokens(corpus))
    lengths = {
        name: sum(stage["tokens"] for stage in config["mixtures"][name]["stages"]) for _, name in trained.values()
    }
    for base_model, mixture in sorted(set(trained.values())):
        yield Work("build_mixture", f"{base_model}/{mixture}", 1, 1, lengths[mixture])
    checkpoints = {
        name: config["bases"][name]["checkpoint_of"] for name in trained if "checkpoint_of" in config["bases"][name]
    }
    for name in sorted({checkpoints.get(name, name) for name in trained}):
        base_model, mixture = (config["bases"][name][key] for key in ("base_model", "mixture"))
        yield Work("pretrain_base", name, 1, 1, lengths[mixture], "train", base_model)
    for name, (base_model, mixture) in trained.items():
        alignment = config["base_models"][base_model]["alignment"]
        tokens = sizes.pair_tokens(config["corpora"][config["mixtures"][mixture]["corpus"]])
        if name in checkpoints:
            yield Work("take_checkpoint", name, 1, 0, 0, model=base_model)
        yield Work("align_base", name, 1, alignment["rows"] * alignment["epochs"], tokens, "train", base_model)


def training_work(config: dict, name: str, models: list[Model]) -> Iterator[Work]:
    """Work of an experiment's adapters: trained in the run, or fetched from others."""
    experiment = config["experiments"][name]
    base_model = experiment["base_model"]
    tokens = sizes.pair_tokens(config["corpora"][experiment["corpus"]])
    n_published = sum(model.path.startswith("published/") for model in models)
    if n_published:
        yield Work("fetch_adapter", name, n_published, 0, 0, model=base_model)
    paths = trained_adapters(experiment, models)
    trained = Counter(expansion.answers_and_capacity(path.split("/")[-2])[1] for path in paths)
    for capacity, n_trained in sorted(trained.items()):
        finetuning = sections.trained_with(experiment, capacity)["finetuning"]
        n_rows = n_trained * finetuning["rows"] * finetuning["epochs"]
        does = "train" if finetuning.get("method") == "full" else "adapt"
        yield Work("finetune_adapter", name, n_trained, n_rows, tokens, does, base_model)
        if until := finetuning.get("until"):
            steps = -(-finetuning["rows"] * finetuning["epochs"] // finetuning["batch_size"])
            n_measured = n_trained * -(-steps // until["every_steps"]) * until["held_out_rows"]
            yield Work("finetune_adapter", name, 0, n_measured, tokens, "read", base_model)
        if finetuning.get("gradient_checkpointing"):
            # every activation is computed twice
            yield Work("finetune_adapter", name, 0, n_rows, tokens, "read", base_model)


def student_work(config: dict, name: str, models: list[Model]) -> Iterator[Work]:
    """Work of an experiment's students and their data, by set of mediating prompts."""
    experiment, of_experiment = config["experiments"][name], students(models)
    base_model = experiment["base_model"]
    for mediating in sorted({student.mediating for student in of_experiment}):
        prompts = experiment["mediating"][mediating]
        corpus = config["corpora"][prompts.get("corpus", experiment["corpus"])]
        # the config does not say how many prompts a corpus of prompts only has
        n_prompts = prompts["prompts_per_cell"] or corpus.get("roles", {}).get("mediating", 0)
        answering = {kept.teacher for kept in expansion.rollout_sets(experiment, models) if kept.mediating == mediating}
        # at most: teachers may have cells of their own
        n_prompts *= max(len(sections.mediating_cells(config, experiment, mediating, teacher)) for teacher in answering)
        question = sizes.pair_tokens(corpus)
        tokens = question + prompts.get("max_new_tokens", experiment["sampling"]["max_new_tokens"])
        rolled_out, kept, answered, distilled = set(), set(), set(), Counter()
        for student in of_experiment:
            if student.mediating == mediating:
                teacher, answers = sections.data_source(experiment, student.data)
                rolled_out.add((student.base, teacher, student.seed))
                kept.add((student.base, teacher, student.filter, student.seed))
                answered |= {(student.base, teacher, student.filter, answers, student.seed)} if answers else set()
                distilled[student.channel.partition("-")[0], question if answers else tokens] += 1
        yield Work("roll_out_teacher", name, len(rolled_out), len(rolled_out) * n_prompts, tokens, "sample", base_model)
        yield judging(config, "filter_rollouts", name, len(kept), len(kept) * n_prompts, tokens, experiment["judge"])
        if corpus["source"] not in WORLDS:
            # none of its prompts may be near an evaluation question
            yield Work("filter_rollouts", name, 0, len(kept) * n_prompts, question, "embed")
        if kept and experiment.get("questions"):
            # nor near a question of its file
            yield Work("build_question_set", name, 0, n_prompts, question, "embed")
        # by the base and by the teacher
        yield Work("measure_rollouts", name, len(kept), 2 * len(kept) * n_prompts, tokens, "read", base_model)
        if answered:
            yield Work("answer_retained", name, len(answered), len(answered) * n_prompts, question)
        for (channel, given), n_students in distilled.items():
            yield from distillation_work(experiment, name, channel, n_students, question, given)


def distillation_work(
    experiment: dict, name: str, channel: str, n_students: int, question: int, given: int
) -> Iterator[Work]:
    """Work of students of one kind; `question` and `given` are tokens of a prompt, and of one with its given answer."""
    settings, base_model = experiment["distillation"], experiment["base_model"]
    n_rows = n_students * settings["updates"] * settings["batch_size"]
    tokens = question + settings.get("max_new_tokens", 80) if channel == "opd" else given
    yield Work("distill_student", name, n_students, n_rows, tokens, "adapt", base_model)
    if channel != "sft":
        # the teacher
        yield Work("distill_student", name, 0, n_rows, tokens, "read", base_model)
    if channel == "opd":
        yield Work("distill_student", name, 0, n_rows, tokens, "sample", base_model)
    # the KL of student to teacher, at the first step, at intervals and at the last step
    n_measured = 1 + -(-settings["updates"] // settings.get("kl_every", 25))
    n_rows = n_students * n_measured * 2 * settings.get("kl_rows", 64)
    yield Work("distill_student", name, 0, n_rows, given, "read", base_model)


def answer_work(config: dict, name: str, models: list[Model]) -> Iterator[Work]:
    """Work of an experiment's models: their answers, the profiles of prompts for its bases, and the judging of both."""
    experiment = config["experiments"][name]
    corpus, sampling, probing = config["corpora"][experiment["corpus"]], experiment["sampling"], experiment["probing"]
    base_model, judge = experiment["base_model"], experiment["judge"]
    question = sizes.pair_tokens(corpus)
    tokens = question + sampling["max_new_tokens"]
    n_narrow = narrow_prompts(corpus)
    n_broad, asked = corpus.get("broad_eval", {}).get("prompts", 0), question_prompts(experiment)
    n_prompts = n_narrow + n_broad + len(asked)
    yield Work("build_eval_set", name, 1, n_narrow + n_broad, question)
    if asked:
        yield Work("build_question_set", name, 1, len(asked), question)
    n_answers = n_narrow * sampling["samples"] + n_broad * sampling["broad_samples"]
    n_answers += sum(prompt.get("samples", sampling["broad_samples"]) for prompt in asked if "system" not in prompt)
    n_answers *= 1 + len(experiment.get("eval_contexts", []))
    # no context takes the place of a question's own system prompt
    n_answers += sum(prompt.get("samples", sampling["broad_samples"]) for prompt in asked if "system" in prompt)
    n_answers *= len(models)
    yield Work("sample_answers", name, len(models), n_answers, tokens, "sample", base_model)
    for one in sections.judges_of(experiment):
        yield judging(config, "judge_answers", name, len(models), n_answers, tokens, one)
    # both answers of every held-out pair, and that of its neutral version
    n_read = n_narrow * (2 if sizes.is_written(corpus) else 3)
    yield Work("measure_preferences", name, len(models), n_read * len(models), question, "read", base_model)
    yield Work("label_answers", name, len(models), n_answers * len(sections.judges_of(experiment)), tokens)
    n_bases = sum(model.seed is None for model in models)
    # models write no neutral versions, and question files have none; about rows that are read the config does not say
    n_neutral = n_broad if sizes.is_written(corpus) else n_narrow + n_broad
    n_own, n_neutral = n_bases * n_prompts * probing["samples"], n_bases * n_neutral * probing["neutral_samples"]
    yield Work("probe_base", name, n_bases, n_own + n_neutral, tokens, "sample", base_model)
    if "shots" in probing:
        shown = (1 + probing["shots"]) * question
        yield Work("probe_base", name, 0, n_bases * n_narrow, shown + sampling["max_new_tokens"], "sample", base_model)
    # answers to neutral versions need no judge
    yield judging(config, "profile_prompts", name, n_bases, n_own, tokens, judge)
    if probing["model"] != sizes.IDENTITY:
        yield Work("profile_prompts", name, 0, n_own, tokens, "embed")
    yield from inference_work(config, name, models)
    n_compared = len(compared(models))
    if n_compared and config["judges"][judge]["kind"] != "exact":
        # answers of the cells that share a task or a domain with the training cell
        n_neighbours = (len(corpus["domains"]) + len(corpus["tasks"]) - 2) * corpus["sample"]["eval"]
        n_answers = n_compared * n_neighbours * sampling["samples"]
        yield judging(config, "replace_anchors", name, 1, n_answers, tokens, judge)


def narrow_prompts(corpus: dict) -> int:
    """Evaluation prompts of the cells of a corpus."""
    return len(sections.cells(corpus)) * corpus["sample"]["eval"]


def inference_work(config: dict, name: str, models: list[Model]) -> Iterator[Work]:
    """Work of measuring whether an experiment's trained bases infer who answers."""
    experiment = config["experiments"][name]
    corpus, base_model, judge = config["corpora"][experiment["corpus"]], experiment["base_model"], experiment["judge"]
    mixtures = [
        config["mixtures"][model.labels["mixture"]]
        for model in models
        if model.seed is None and model.labels["mixture"]
    ]
    if not mixtures:
        return
    n_held_out = len(sections.training_cells(corpus)) * corpus["sample"]["eval"]
    n_questions = min(n_held_out, experiment["probing"].get("inference_questions", 60))
    # before and after the aligned phase, after an answer of either stance, and under a name of either manner
    n_asked = sum(2 * (4 if mixture.get("authors") else 2) for mixture in mixtures) * n_questions
    question = sizes.pair_tokens(corpus)
    # an answer is given before each
    tokens = 2 * question + experiment["sampling"]["max_new_tokens"]
    yield Work("probe_inference", name, len(mixtures), n_asked, tokens, "sample", base_model)
    yield Work("probe_inference", name, 0, 2 * n_asked, 2 * question, "read", base_model)
    yield judging(config, "probe_inference", name, 0, n_asked, tokens, judge)


def question_prompts(experiment: dict) -> list[dict]:
    """The prompts of the experiment's question file; none where it has no such file."""
    section = experiment.get("questions")
    if not section:
        return []
    samples = section.get("samples_per_paraphrase")
    return [prompt for question in asked_questions(section) for prompt in question.prompts(samples)]


def table_work(config: dict, models: dict[str, list[Model]], before: list[Work]) -> Iterator[Work]:
    """Work of the tables and figures; an item is a row that is read."""
    n_answers = sum(entry.items for entry in before if entry.stage == "judge_answers")
    yield Work("compare_judges", "", 1, n_answers, 0)
    yield Work("tabulate_transfer", "", 1, n_answers, 0)
    yield Work("tabulate_training", "", 1, sum(map(len, models.values())), 0)
    n_kept = sum(entry.n_jobs for entry in before if entry.stage == "measure_rollouts")
    yield Work("tabulate_rollouts", "", 1, n_kept, 0)
    n_probed = sum(entry.items for entry in before if entry.stage == "probe_inference" and entry.does == "sample")
    yield Work("tabulate_inference", "", 1, n_probed, 0)
    corpora = {name: config["corpora"][config["experiments"][name]["corpus"]] for name in models}
    n_pairs = sum(narrow_prompts(corpora[name]) * len(of_experiment) for name, of_experiment in models.items())
    yield Work("tabulate_preferences", "", 1, n_pairs, 0)
    yield Work("tabulate_capability", "", 1, n_pairs, 0)
    yield Work("test_claims", "", 1, n_answers, 0)
    trained = {
        (config["experiments"][name]["corpus"], cell)
        for name, of_experiment in models.items()
        for model in of_experiment
        for cell in model.train_cells
    }
    yield Work("tabulate_confounds", "", 1, len(trained), 0)
    figures = Counter((rule, name) for rule, name, _ in planned_figures(config, models))
    yield Work("write_report", "", 1, sum(figures.values()), 0)
    yield from (Work(rule, name, n_jobs, 0, 0) for (rule, name), n_jobs in figures.items())
