"""What the rules of corpora read, and what they are told of the config."""

from emtransfer.corpus.source_settings import MODULES as SOURCES


def corpus_section(wildcards):
    "Config section of a corpus."
    return config["corpora"][wildcards.corpus]


def source_files(wildcards):
    "Files a corpus is read from; a generated corpus has none."
    section = corpus_section(wildcards)
    key = "broad_path" if wildcards.cell == "broad" else "path"
    return [section[key]] if section.get(key) else []


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
    "Eval rows of every cell, the prompts outside the grid and a file of further questions, where there are any."
    experiment = experiment_section(wildcards)
    corpus = experiment["corpus"]
    files = {"cells": expand("results/corpora/{corpus}/cells/{cell}/eval.jsonl", corpus=corpus, cell=CELLS[corpus])}
    if has_broad(config["corpora"][corpus]):
        files["broad"] = f"results/corpora/{corpus}/roles/broad.jsonl"
    if "questions" in experiment:
        files["questions"] = experiment["questions"]["path"]
    return files


def broad_arguments(wildcards, input):
    "Command-line arguments for prompts outside the grid, the corpus's and those of a question file."
    arguments = [f"--broad {input.broad}"] if "broad" in input.keys() else []
    if "questions" in input.keys():
        questions = settings(experiment_section(wildcards)["questions"], "path", "samples_per_paraphrase")
        arguments.append(f"--questions {shlex.quote(questions)}")
    return " ".join(arguments)
