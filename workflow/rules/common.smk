"""What the rules share: the checked config, what is known of names in it, wildcard constraints and input functions."""

import json
import os
import shlex
import sys

sys.path[:0] = [f"{workflow.basedir}/scripts", f"{workflow.basedir}/workflow/lib"]

import disk_use
import mending
import planning
from emtransfer import grid
from emtransfer.errors import InputError
from emtransfer.remote.access import PROVIDERS
from provenance import code_digest, environment, settings
from validation import validate

try:
    validate(config, f"{workflow.basedir}/workflow/schemas/config.schema.yaml")
except InputError as error:
    sys.exit(str(error))

ENVIRONMENT = environment()
MODELS = {name: grid.expand_models(config, name) for name in config["run"]}
# a job of the run reads all this again, and has nobody to warn
if workflow.is_main_process:
    for warning in planning.warnings(MODELS):
        logger.warning(warning)
    logger.info(disk_use.in_short(config, MODELS))
CELLS = {name: grid.cells(corpus) for name, corpus in config["corpora"].items()}
# corpora whose rows a model behind an API writes
WRITTEN = [name for name, corpus in config["corpora"].items() if corpus["source"] in PROVIDERS]
# what remote models' replies do not depend on goes past the params, so that no job depends on it either
REMOTE = config.get("remote", {}) | {
    "store": os.environ.get("EMTRANSFER_REPLIES", "replies"),
    "replay_only": os.environ.get("EMTRANSFER_REPLAY_ONLY", "") not in ("", "0"),
}
os.environ.update(EMTRANSFER_REMOTE=json.dumps(REMOTE))


def code(script):
    "Digest of a script and every library module it imports."
    return code_digest(f"{workflow.basedir}/scripts/{script}.py")


wildcard_constraints:
    corpus="|".join(config["corpora"]),
    cell="|".join(sorted({cell for cells in CELLS.values() for cell in cells} | {"broad"})),
    judge="|".join(config["judges"]),
    mixture="|".join(config["mixtures"]),
    base_model="|".join(config["base_models"]),
    base="|".join(config["bases"]),
    experiment="|".join(config["experiments"]),
    # not all their paths: Snakemake goes through this text for every job, and both grow with the number of models
    model=r"bases/[a-z0-9_]+|(adapters|published|students)/[a-z0-9_/-]+/seed\d+",
    start=r"[a-z0-9_]+",
    train_set=r"[a-z0-9_-]+",
    answers="aligned|misaligned",
    teacher=r"[a-z0-9_]+",
    mediating=r"[a-z0-9_]+",
    filter=r"[a-z0-9_]+",
    data=r"[a-z0-9_]+",
    channel="sft|optd|opd-full|opd-sampled",
    seed=r"\d+",


def corpus_section(wildcards):
    "Config section of a corpus."
    return config["corpora"][wildcards.corpus]


def experiment_section(wildcards):
    "Config section of an experiment."
    return config["experiments"][wildcards.experiment]


def base_model_section(wildcards):
    "Config section of the base model that a base is an instance of."
    return config["base_models"][config["bases"][wildcards.base]["base_model"]]


def experiment_corpus(wildcards):
    "Config section of an experiment's corpus."
    return config["corpora"][experiment_section(wildcards)["corpus"]]


def mixture_section(wildcards):
    "Config section of a mixture, named by itself or by its base."
    mixture = wildcards.get("mixture") or config["bases"][wildcards.base]["mixture"]
    return config["mixtures"][mixture]


def source_files(wildcards):
    "Files a corpus is read from; a generated corpus has none."
    section = corpus_section(wildcards)
    key = "broad_path" if wildcards.cell == "broad" else "path"
    return [section[key]] if section.get(key) else []


def writing_files(wildcards):
    "What the writer of a corpus is told, and the judge of what it writes."
    return filter_judge_files(wildcards) | {"prompts": corpus_section(wildcards)["generator"]["prompts"]}


def has_broad(corpus):
    "Whether a corpus has prompts outside its grid."
    return bool(corpus.get("broad_domains") or corpus.get("broad_path") or corpus.get("hub", {}).get("broad_config"))


def pools(corpus):
    "Cells of a corpus, and the pseudo-cell `broad` where it has prompts outside the grid."
    return CELLS[corpus] + ["broad"] * has_broad(config["corpora"][corpus])


def raw_files(corpus):
    "Raw rows of every cell of a corpus."
    return expand("results/corpora/{corpus}/raw/{cell}.jsonl", corpus=corpus, cell=pools(corpus))


def published_files(corpus):
    "The published split that a corpus takes its roles from, if it names one."
    published = config["corpora"][corpus]["roles"].get("published")
    return [published["path"]] if published else []


def role_files(corpus):
    "Rows with roles of every cell of a corpus."
    return expand("results/corpora/{corpus}/roles/{cell}.jsonl", corpus=corpus, cell=pools(corpus))


def is_ready(base):
    "Whether a base is an instruct model that others have trained."
    return "hub" in config["base_models"][config["bases"][base]["base_model"]]


def base_names(ready):
    "Pattern of the names of the bases that are ready, or of those that are trained in the run."
    return "|".join(base for base in config["bases"] if is_ready(base) == ready) or "(?!)"


def base_of(wildcards):
    "The base that a job loads, named by itself or as part of a model."
    return wildcards.get("base") or wildcards.model.split("/")[1]


def gpus(wildcards):
    "GPUs of a job that loads a base: one for a ready model; a model of the run is small and stays on the processor."
    return int(is_ready(base_of(wildcards)))


def judge_gpus(judge_of):
    "GPUs of a job that asks a judge: one for a ready model that judges; `judge_of` gives the judge's name by wildcards."

    def n_gpus(wildcards):
        judge = judge_of(wildcards)
        section = config["judges"][judge] if judge else {"kind": None}
        return int(section["kind"] == "causal_lm" and is_ready(section["base"]))

    return n_gpus


def growing(amount, n_gpus=None, with_gpu=None):
    "Memory or time of a job, and as much again with every attempt; `with_gpu` where it loads a ready model of up to 8 billion weights."

    def requested(wildcards, attempt):
        return attempt * (with_gpu if n_gpus and n_gpus(wildcards) else amount)

    return requested


def base_manifest(base):
    "Manifest of an aligned base."
    return f"results/bases/{base}/aligned/manifest.json"


def judge_file(judge):
    "The folder of a judge that has weights here, the rubric of one behind an API, or both; kind exact has neither."
    section = config["judges"][judge]
    if section["kind"] == "cross_encoder":
        return {"judge": f"results/judges/{judge}/model/manifest.json"}
    if section["kind"] == "causal_lm":
        return {"judge": base_manifest(section["base"]), "rubric": section["rubric"]}
    return {"judge": section["rubric"]} if "rubric" in section else {}


def judge_files(judge):
    "A judge and the calibration it has passed."
    return judge_file(judge) | {"calibration": f"results/judges/{judge}/calibration.csv"}


def filter_judge(wildcards):
    "Name of the judge that filters a corpus; None for a corpus that comes filtered."
    return (corpus_section(wildcards).get("filter") or {}).get("judge")


def experiment_judge(wildcards):
    "Name of the judge of an experiment."
    return experiment_section(wildcards)["judge"]


def filter_judge_files(wildcards):
    "The judge that filters a corpus, where one does."
    judge = filter_judge(wildcards)
    return judge_files(judge) if judge else {}


def experiment_judge_files(wildcards):
    "The judge of an experiment."
    return judge_files(experiment_judge(wildcards))


def evaluation_judge_files(wildcards):
    "The judge of an experiment, and the questions whose own judge prompts it is told, where they are to be used."
    questions = experiment_section(wildcards).get("questions", {})
    own = {"own_prompts": questions["path"]} if questions.get("judge_prompts") else {}
    return experiment_judge_files(wildcards) | own


def judge_rows(wildcards):
    "Rows with roles of the corpus a judge is fitted and calibrated on."
    return role_files(config["judges"][wildcards.judge]["corpus"])


def calibration_files(wildcards):
    "A judge, and the rows with roles it is calibrated on."
    return judge_file(wildcards.judge) | {"rows": judge_rows(wildcards)}


def training_files(corpus):
    "Rows with roles of every cell of a corpus that may be trained on."
    section = config["corpora"][corpus]
    trained = grid.training_cells(section) + ["broad"] * has_broad(section)
    return expand("results/corpora/{corpus}/roles/{cell}.jsonl", corpus=corpus, cell=trained)


def tokenizer_rows(wildcards):
    "Rows with roles of the corpus a tokenizer is trained on."
    return training_files(config["base_models"][wildcards.base_model]["tokenizer"]["corpus"])


def mixture_rows(wildcards):
    "Rows with roles of the corpus a mixture is made of."
    return training_files(mixture_section(wildcards)["corpus"])


alignment_rows = mixture_rows


def pretraining_files(wildcards):
    "Tokenizer and documents of a base."
    base = config["bases"][wildcards.base]
    return {
        "tokenizer": f"results/tokenizers/{base['base_model']}/manifest.json",
        "mixture": f"results/mixtures/{base['base_model']}/{base['mixture']}.jsonl",
    }


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


def model_files(wildcards):
    "The base of a model and, for adapters and students, the adapter."
    files = {"base": base_manifest(base_of(wildcards))}
    if not wildcards.model.startswith("bases/"):
        files["adapter"] = f"results/{wildcards.experiment}/{wildcards.model}/manifest.json"
    return files


def teacher_files(wildcards):
    "The base a teacher stands on and, where the base itself does not teach, the teacher's adapter."
    path = grid.teacher_path(experiment_section(wildcards), wildcards.base, wildcards.teacher, wildcards.seed)
    files = {"base": base_manifest(wildcards.base)}
    if path:
        files["teacher"] = f"results/{wildcards.experiment}/{path}/manifest.json"
    return files


def start_files(wildcards):
    "The base of an adapter and, for realignment, the adapter that training starts from."
    files = {"base": base_manifest(wildcards.base)}
    if wildcards.start != "base":
        path = grid.teacher_path(experiment_section(wildcards), wildcards.base, wildcards.start, wildcards.seed)
        files["start"] = f"results/{wildcards.experiment}/{path}/manifest.json"
    return files


def train_files(wildcards):
    "Train rows of every cell of a training set."
    experiment = experiment_section(wildcards)
    return expand(
        "results/corpora/{corpus}/cells/{cell}/train.jsonl",
        corpus=experiment["corpus"],
        cell=grid.train_cells(experiment, wildcards.train_set),
    )


def student_data(wildcards):
    "The question-answer pairs a student is distilled on."
    teacher, answers = grid.data_source(experiment_section(wildcards), wildcards.data)
    folder = (
        f"results/{wildcards.experiment}/rollouts/{wildcards.base}/{teacher}/{wildcards.mediating}/{wildcards.filter}"
    )
    return (
        f"{folder}/{answers}_answers/seed{wildcards.seed}.jsonl" if answers else f"{folder}/seed{wildcards.seed}.jsonl"
    )


def mediating_files(wildcards):
    "Rows with roles of the cells a set of mediating prompts is drawn from."
    experiment = experiment_section(wildcards)
    mediating = experiment["mediating"][wildcards.mediating]
    corpus = mediating.get("corpus", experiment["corpus"])
    section = config["corpora"][corpus]
    cells = grid.chosen_cells(section, mediating["cells"])
    # every question of a corpus of prompts only is mediating
    folder = "raw" if section.get("prompts_only") else "roles"
    return expand("results/corpora/{corpus}/{folder}/{cell}.jsonl", corpus=corpus, folder=folder, cell=cells)


def probed_bases(name):
    "Bases of an experiment of this run, in config order."
    return [model.labels["base"] for model in MODELS[name] if model.seed is None]


def profile_files(wildcards):
    "What the evaluation prompts are like to every base, of the experiments of this run."
    return [f"results/{name}/prompts/{base}.csv" for name in config["run"] for base in probed_bases(name)]


def judged_files(wildcards):
    "All judged answers of the experiments of this run."
    return [f"results/{name}/judged/{model.path}.jsonl" for name, models in MODELS.items() for model in models]


def trained_manifests(wildcards):
    "Manifests of all models of the experiments of this run."
    return [
        base_manifest(model.labels["base"]) if model.seed is None else f"results/{name}/{model.path}/manifest.json"
        for name, models in MODELS.items()
        for model in models
    ]


def confound_cells():
    "Corpus -> cells that an adapter of this run is trained on."
    cells = {}
    for name in config["run"]:
        trained = {cell for model in MODELS[name] for cell in model.train_cells}
        cells.setdefault(config["experiments"][name]["corpus"], set()).update(trained)
    return {corpus: sorted(trained) for corpus, trained in cells.items() if trained}


def confound_files(wildcards):
    "What the stages of the corpora left of the cells that are trained on, with their counts."
    names = (
        "filtered/{cell}.jsonl",
        "filtered/{cell}.counts.csv",
        "deduped/{cell}.survivors.csv",
        "cells/{cell}/train.jsonl",
    )
    return [
        f"results/corpora/{corpus}/{name.format(cell=cell)}"
        for corpus, cells in confound_cells().items()
        for cell in cells
        for name in names
    ]


def compared_models(name):
    "Model -> training cell of the adapters that claim `task` compares."
    return {model.path: model.train_cells[0] for model in MODELS[name] if planning.is_pooled(model)}


def compared_files(wildcards):
    "Judged answers of those adapters."
    return [f"results/{wildcards.experiment}/judged/{path}.jsonl" for path in compared_models(wildcards.experiment)]


def trained_rows(wildcards):
    "Filtered rows of every cell that those adapters are trained on."
    return expand(
        "results/corpora/{corpus}/filtered/{cell}.jsonl",
        corpus=experiment_section(wildcards)["corpus"],
        cell=sorted(set(compared_models(wildcards.experiment).values())),
    )


def worded_experiments():
    "Experiments of this run whose answers are text to a judge that reads words, with adapters that can be compared."
    return [
        name
        for name in config["run"]
        if config["judges"][config["experiments"][name]["judge"]]["kind"] != "exact" and compared_models(name)
    ]


def unanchored_files(wildcards):
    "Answers of those experiments without their anchors, judged again."
    return expand("results/{experiment}/unanchored.jsonl", experiment=worded_experiments())


def figures(wildcards):
    "All figures of the experiments of this run; maps of rates where an adapter is of one cell."
    single = [name for name in config["run"] if any(planning.is_pooled(model) for model in MODELS[name])]
    return expand("results/figures/{experiment}/transfer_matrix.png", experiment=config["run"]) + expand(
        "results/figures/{experiment}/rate_maps.png", experiment=single
    )


def judge_arguments(judge_of):
    "Command-line arguments that say who judges; `judge_of` gives the judge's name by wildcards."

    def arguments(wildcards, input):
        if judge_of(wildcards) is None:
            return ""
        section = config["judges"][judge_of(wildcards)]
        who = settings(section, *(CAUSAL_JUDGE_KEYS if section["kind"] == "causal_lm" else JUDGE_KEYS))
        files = "".join(f"--{name} {shlex.quote(input[name])} " for name in ("judge", "rubric") if name in input.keys())
        own = f" --own-prompts {shlex.quote(input.own_prompts)}" if "own_prompts" in input.keys() else ""
        return f"{files}--judge-settings {shlex.quote(who)}{own}"

    return arguments


def optional(flag, files):
    "A command-line flag with its file, or nothing where the rule's input lacks it."
    return lambda wildcards, input: f"--{flag} {input[flag]}" if flag in input.keys() else ""
