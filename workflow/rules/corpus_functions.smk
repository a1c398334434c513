"""Inputs and params of the rules that make corpora."""

from corpus_sizes import is_drawn_at_once, is_generated
from emtransfer.corpus.source_settings import MODULES as SOURCES

# corpora whose cells are one job, since they take less time than starting a job for each: to generate, and then up to the draw
GENERATED_AT_ONCE = [name for name, corpus in config["corpora"].items() if is_generated(corpus)]
DRAWN_AT_ONCE = [name for name, corpus in config["corpora"].items() if is_drawn_at_once(config, corpus)]


def rules_of(stage, at_once):
    """The rules of a stage: one for each corpus whose cells are one job, and one for the cells of all others.

    Each has a name, the pattern of its corpora, its cells, the place of its logs and benchmark files, and a description.
    """
    one_by_one = "|".join(name for name in config["corpora"] if name not in at_once)
    # a pattern that matches nothing where no corpus is left
    yield stage, one_by_one or "(?!)", ["{cell}"], "{corpus}/{cell}", "{wildcards.cell} in {wildcards.corpus}"
    for name in at_once:
        cells = pools(name) if stage == "generate_pairs" else CELLS[name]
        yield f"{stage}_{name}", name, cells, "{corpus}/all", f"every cell of {name}"


def corpus_section(wildcards):
    "Config section of a corpus."
    return config["corpora"][wildcards.corpus]


def source_files(wildcards):
    "Files a corpus is read from; a generated corpus has none."
    section = corpus_section(wildcards)
    keys = ("broad_path",) if wildcards.get("cell") == "broad" else ("path", "misaligned_path")
    return [section[key] for key in keys if section.get(key)]


def row_source(wildcards):
    "Source of the rows of a cell; a model writes no prompts outside the grid, so those are read."
    return "jsonl" if wildcards.corpus in WRITTEN else corpus_section(wildcards)["source"]


def source_settings(wildcards):
    "Where the rows of a cell come from."
    return settings(corpus_section(wildcards) | {"source": row_source(wildcards)}, *KEYS["CorpusSettings"])


def writing_files(wildcards):
    "What the writer of a corpus is told, and the judge of what it writes."
    return filter_judge_files(wildcards) | {"prompts": corpus_section(wildcards)["generator"]["prompts"]}


def writing_settings(wildcards):
    "How many rows of a cell are to be written, by whom, about what, and what they must pass."
    section = corpus_section(wildcards)
    domain, _, _ = wildcards.cell.partition("-")
    generator = {key: section["generator"][key] for key in KEYS["GeneratorSettings"] if key in section["generator"]}
    about = {"provider": section["source"], "subtopics": {domain: section["generator"]["subtopics"][domain]}}
    limit = {key: section[key] for key in ("max_row_words",) if key in section}
    limits, dedup = json.loads(filter_settings(wildcards)), section["dedup"]
    written = {"rows": section["rows_per_cell"], "generator": generator | about, "filter": limits, "dedup": dedup}
    return settings(written | limit)


def raw_files(corpus):
    "Raw rows of every cell of a corpus."
    return expand("results/corpora/{corpus}/raw/{cell}.jsonl", corpus=corpus, cell=pools(corpus))


def published_files(corpus):
    "The published split that a corpus takes its roles from, if it names one."
    published = config["corpora"][corpus]["roles"].get("published")
    return [published["path"]] if published else []


def role_settings(corpus):
    "How the questions of a corpus are shared out."
    return settings(config["corpora"][corpus]["roles"] | held_out_domains(corpus))


def held_out_domains(corpus):
    "The domains of a corpus that nothing is trained on, where it has any."
    return {key: value for key, value in config["corpora"][corpus].items() if key == "held_out_domains"}


def filter_judge(wildcards):
    "Name of the judge that filters a corpus; None for a corpus that comes filtered."
    return (corpus_section(wildcards).get("filter") or {}).get("judge")


def filter_judge_files(wildcards):
    "The judge that filters a corpus, where one does."
    judge = filter_judge(wildcards)
    return judge_files(judge) if judge else {}


def filter_settings(wildcards):
    "What the two answers of a row must be: the limits of the corpus, or those of the cell's task."
    section = corpus_section(wildcards).get("filter") or {}
    # where the cells are one job, no task has limits of its own
    _, _, task = wildcards.get("cell", "").partition("-")
    return settings(section | section.get("by_task", {}).get(task, {}), *KEYS["FilterSettings"])


def sample_settings(wildcards):
    "Rows drawn from a cell, and the domains that none are drawn from to train on."
    return settings(corpus_section(wildcards)["sample"] | held_out_domains(wildcards.corpus))


def experiment_corpus(wildcards):
    "Config section of an experiment's corpus."
    return config["corpora"][experiment_section(wildcards)["corpus"]]


def eval_files(wildcards):
    "Eval rows of every cell, and the prompts outside the grid, where there are any."
    corpus = experiment_section(wildcards)["corpus"]
    files = {"cells": expand("results/corpora/{corpus}/cells/{cell}/eval.jsonl", corpus=corpus, cell=CELLS[corpus])}
    if has_broad(config["corpora"][corpus]):
        files["broad"] = f"results/corpora/{corpus}/roles/broad.jsonl"
    return files


def question_set_files(wildcards):
    "A file of questions, and the rows that teachers of the experiment are asked, which must not be among them."
    mediating = [path for pair in taught_with(wildcards) for path in mediating_rows(wildcards.experiment, *pair)]
    files = {"questions": experiment_section(wildcards)["questions"]["path"]}
    return files | ({"mediating": list(dict.fromkeys(mediating))} if mediating else {})


def question_set_settings(wildcards):
    "Which questions are asked, how often, and how far they have to be from those that teachers are asked."
    experiment = experiment_section(wildcards)
    used = {student["filter"] for student in experiment["students"]}
    filters = [experiment["rollout_filters"][name] for name in sorted(used)]
    near = [{key: each[key] for key in ("near_duplicate_cosine", "model") if key in each} for each in filters]
    asked = {key: value for key, value in experiment["questions"].items() if key != "path"}
    return settings(asked | {"near": [each for at, each in enumerate(near) if each not in near[:at]]})


def taught_with(wildcards):
    "The sets of mediating prompts that students of an experiment learn from, each with a teacher that answers them."
    kept = expansion.rollout_sets(experiment_section(wildcards), MODELS[wildcards.experiment])
    return sorted({(one.mediating, one.teacher) for one in kept})
