"""Inputs and params of the rules that make answers."""


def evaluation_files(experiment):
    "The evaluation set of an experiment, and the prompts of its file of questions, where it has one."
    questions = ["question_set"] * ("questions" in config["experiments"][experiment])
    return [f"results/{experiment}/{name}.jsonl" for name in ["eval_set", *questions]]


def model_files(wildcards):
    "The base of a model and, for adapters and students, the adapter."
    files = {"base": base_manifest(base_of(wildcards))}
    if not wildcards.model.startswith("bases/"):
        files["adapter"] = f"results/{wildcards.experiment}/{wildcards.model}/manifest.json"
    return files


def sampling_settings(wildcards):
    "How evaluation prompts are answered, and under which system prompts again."
    experiment = experiment_section(wildcards)
    often = {key: experiment["sampling"][key] for key in ("samples", "broad_samples")}
    names = experiment.get("eval_contexts", [])
    contexts = {"contexts": {name: experiment["contexts"][name] for name in names}} if names else {}
    return settings(often | drawing(wildcards) | contexts)


def sampling_seed(wildcards):
    "Seed of sampling: the model's own, or its base's."
    if wildcards.model.startswith("bases/"):
        return config["bases"][base_of(wildcards)]["seed"]
    *_, last = wildcards.model.split("/")
    return int(last.removeprefix("seed"))


def evaluation_judge_files(judge_of):
    "A judge and, if judge prompts of a question file are used and it can be told them, that file; `judge_of` gives its name from wildcards."

    def files(wildcards):
        judge, questions = judge_of(wildcards), experiment_section(wildcards).get("questions", {})
        is_told = questions.get("judge_prompts") and config["judges"][judge]["kind"] in PROVIDERS
        return judge_files(judge) | ({"own_prompts": questions["path"]} if is_told else {})

    return files


def scores_of_judges(wildcards):
    "What every judge of an experiment says of a model's answers, its own judge first."
    return [
        f"results/{wildcards.experiment}/scores/{judge}/{wildcards.model}.jsonl"
        for judge in sections.judges_of(experiment_section(wildcards))
    ]


def held_out_pairs(wildcards):
    "Held-out rows of every cell, including cells that nothing is trained on, with both answers."
    corpus = experiment_section(wildcards)["corpus"]
    return expand("results/corpora/{corpus}/cells/{cell}/eval.jsonl", corpus=corpus, cell=CELLS[corpus])


def label_settings(wildcards):
    "Whose answers these are, as the table tells it, and the rule for a misaligned answer."
    model = next(model for model in MODELS[wildcards.experiment] if model.path == wildcards.model)
    judges = sections.judges_of(experiment_section(wildcards))
    known = labels.identity(wildcards.experiment, judges[0], model)
    # a base has the seed that it was trained and sampled with
    seed = config["bases"][base_of(wildcards)]["seed"] if model.seed is None else model.seed
    own = {"train_cells": " ".join(model.train_cells), "seed": seed}
    return settings({"identity": known | own, "judges": judges, "em_rule": config["em_rule"]})


def probe_settings(wildcards):
    "How often a base is asked, how many misaligned answers it is shown, and how answers are drawn."
    probing = experiment_section(wildcards)["probing"]
    often = {key: probing[key] for key in ("samples", "neutral_samples", "shots") if key in probing}
    return settings(often | {"sampling": drawing(wildcards)})


def shown_rows(wildcards):
    "Held-out rows whose misaligned answers a base is shown; none where it is shown none."
    return held_out_pairs(wildcards) if "shots" in experiment_section(wildcards)["probing"] else []


def profile_settings(wildcards):
    "When two answers mean the same, and when one is coherent and aligned."
    probing = experiment_section(wildcards)["probing"] | config["em_rule"]
    return settings(probing, *KEYS["EmRule"], *KEYS["ProfileSettings"])


def inference_rows(wildcards):
    "Held-out rows of every cell that a base was trained on, with both answers."
    corpus = experiment_section(wildcards)["corpus"]
    cells = sections.training_cells(config["corpora"][corpus])
    return expand("results/corpora/{corpus}/cells/{cell}/eval.jsonl", corpus=corpus, cell=cells)


def inference_settings(wildcards):
    "On how many questions a base's inference is measured, how answers are drawn, and who the authors of its documents were."
    mixture = config["mixtures"][config["bases"][wildcards.base]["mixture"]]
    authors = {"authors": mixture["authors"], "mixture_seed": mixture["seed"]} if mixture.get("authors") else {}
    probing = experiment_section(wildcards)["probing"]
    often = {key: probing[key] for key in KEYS["InferenceSettings"] if key in probing}
    return settings(often | authors | {"sampling": drawing(wildcards)})
