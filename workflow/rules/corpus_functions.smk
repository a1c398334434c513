"""What the rules of corpora read, and what they are told of the config."""

from emtransfer.corpus.source_settings import MODULES as SOURCES


def corpus_section(wildcards):
    "Config section of a corpus."
    return config["corpora"][wildcards.corpus]


def source_files(wildcards):
    "Files a corpus is read from; a generated corpus has none."
    section = corpus_section(wildcards)
    keys = ("broad_path",) if wildcards.cell == "broad" else ("path", "misaligned_path")
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
    section = config["corpora"][corpus]
    held_out = {"held_out_domains": section["held_out_domains"]} if "held_out_domains" in section else {}
    return settings(section["roles"] | held_out)


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
    _, _, task = wildcards.cell.partition("-")
    return settings(section | section.get("by_task", {}).get(task, {}), *KEYS["FilterSettings"])


def sample_settings(wildcards):
    "Rows drawn from a cell; none to train on from a held-out domain."
    section = corpus_section(wildcards)
    trains = wildcards.cell in grid.training_cells(section)
    return settings(section["sample"] if trains else section["sample"] | {"train": 0})


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
    mediating = [path for section in taught_with(wildcards) for path in mediating_rows(wildcards.experiment, section)]
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
    "The sets of mediating prompts that students of an experiment learn from."
    experiment = experiment_section(wildcards)
    names = sorted({student["mediating"] for student in experiment["students"]})
    return [experiment["mediating"][name] for name in names]
