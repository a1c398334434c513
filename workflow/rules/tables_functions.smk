"""Inputs and params of the rules that make tables."""


def judged_files(wildcards):
    "All judged answers of the experiments of this run."
    return [f"results/{name}/judged/{model.path}.jsonl" for name, models in MODELS.items() for model in models]


def calibrations(wildcards):
    "How good the judges of those answers are."
    judges = {judge for name in config["run"] for judge in sections.judges_of(config["experiments"][name])}
    return expand("results/judges/{judge}/calibration.csv", judge=sorted(judges))


def preference_files(wildcards):
    "Preferences of all models of the experiments of this run."
    return [f"results/{name}/preferences/{model.path}.jsonl" for name, models in MODELS.items() for model in models]


def grid_of(names):
    "The config keys that make the grid of models of some experiments: names and seeds, no number that a model is trained with."
    keys = ("corpus", "train_sets", "bases", "published", "adapters", "teachers", "students", "data_sets")
    experiments = {
        name: {key: section[key] for key in keys if key in section}
        for name, section in config["experiments"].items()
        if name in names
    }
    corpora = {section["corpus"] for section in experiments.values()}
    return {
        "run": names,
        "corpora": {name: {key: config["corpora"][name][key] for key in ("domains", "tasks")} for name in corpora},
        "bases": {
            name: {key: base[key] for key in ("base_model", "mixture", "checkpoint_of") if key in base}
            for name, base in config["bases"].items()
        },
        "experiments": experiments,
    }


def grid_settings(wildcards):
    "The grid of all models of the run."
    return settings(grid_of(config["run"]))


def table_settings(wildcards):
    "The grid of models, who judges them, each experiment's own judge first, and the rule for a misaligned answer."
    judges = {name: sections.judges_of(config["experiments"][name]) for name in config["run"]}
    return settings(grid_of(config["run"]) | {"em_rule": config["em_rule"], "judges": judges})


def manifests(names):
    "Manifests of all models of some experiments."
    return [
        base_manifest(model.labels["base"]) if model.seed is None else f"results/{name}/{model.path}/manifest.json"
        for name in names
        for model in MODELS[name]
    ]


def trained_manifests(wildcards):
    "Manifests of all models of the experiments of this run."
    return manifests(MODELS)


def kept_answers(suffix):
    "Input function: what is told of every set of kept answers that students of this run learn from, by the suffix of its file."

    def files(wildcards):
        return [
            f"results/{name}/{kept.path}{suffix}"
            for name, models in MODELS.items()
            for kept in expansion.rollout_sets(config["experiments"][name], models)
        ]

    return files


def compared_models(name):
    "Model -> training cell of the adapters that claim `task` compares."
    return {model.path: model.train_cells[0] for model in labels.compared(MODELS[name])}


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


def anchor_settings(wildcards):
    "How many phrases are replaced, the grid of the models in whose answers, and the rule for a misaligned one."
    # not the models: the list of a wide grid is longer than an argument may be; and no students, which are not compared
    adapters = grid_of([wildcards.experiment])
    adapters["experiments"][wildcards.experiment] |= {"students": [], "data_sets": {}}
    return settings(config["anchors"] | adapters | {"em_rule": config["em_rule"]})


def probed_bases(name):
    "Bases of an experiment of this run, in config order."
    return [model.labels["base"] for model in MODELS[name] if model.seed is None]


def profile_files(wildcards):
    "What the evaluation prompts are like to every base, of the experiments of this run."
    return [f"results/{name}/prompts/{base}.csv" for name in config["run"] for base in probed_bases(name)]


def pretraining_of(base):
    "Name of the pretraining of a base, the first base that has it, and the share of it that the base has read."
    own = config["bases"][base]
    keys = ("base_model", "mixture", "seed")
    same = [
        name
        for name, other in config["bases"].items()
        if "checkpoint_of" not in other and all(other.get(key) == own.get(key) for key in keys)
    ]
    return {"pretraining": same[0], "pretraining_share": own.get("share", 1)}


def inferring_bases():
    "Experiment -> the labels of its bases that were trained here, by name, of the experiments of this run."
    return {
        name: {
            model.labels["base"]: {key: model.labels[key] for key in ("base_model", "mixture")}
            | pretraining_of(model.labels["base"])
            for model in models
            if model.seed is None and model.labels["mixture"]
        }
        for name, models in MODELS.items()
    }


def inference_files(wildcards):
    "Whether those bases infer who answers."
    return [f"results/{name}/inference/{base}.jsonl" for name, bases in inferring_bases().items() for base in bases]


def inference_table_settings(wildcards):
    "Those bases, the rule for a misaligned answer, and from when on a base is said to infer."
    return settings({"bases": inferring_bases(), "em_rule": config["em_rule"]} | limits("InferenceLimit"))


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


def limits(kind):
    "What makes a claim measurable, a base infer, a judge doubtful or a model damaged, by the class that reads it, where the config says so."
    known = {key: value for key, value in config.get("measurable", {}).items() if key in KEYS[kind]}
    return {"measurable": known} if known else {}


def primary_claims():
    "Experiment -> the claims that it was made to test, of the experiments of this run that name any."
    named = {name: config["experiments"][name].get("primary_claims") for name in config["run"]}
    named = {name: claims for name, claims in named.items() if claims}
    return {"primary_claims": named} if named else {}


def comparison_settings(wildcards):
    "As for the table, and from when on a judge's verdicts come with a caution."
    return settings(json.loads(table_settings(wildcards)) | limits("CautionLimits"))


def claim_settings(wildcards):
    "As for the table, the experiments whose answers are judged again without their anchors, what makes a claim measurable, and which are primary."
    return settings(
        json.loads(table_settings(wildcards))
        | limits("MeasurableSettings")
        | {"unanchored": worded_experiments()}
        | primary_claims()
    )


def preference_settings(wildcards):
    "The grid of models, what makes a claim measurable, and which are primary."
    return settings(grid_of(config["run"]) | limits("MeasurableSettings") | primary_claims())


def capability_settings(wildcards):
    "The grid of models, and beyond which loss of capability there is a caution."
    return settings(grid_of(config["run"]) | limits("CapabilityLimit"))


def confound_cells():
    "Corpus -> cells that an adapter of this run is trained on."
    cells = {}
    for name in config["run"]:
        trained = {cell for model in MODELS[name] for cell in model.train_cells}
        cells.setdefault(config["experiments"][name]["corpus"], set()).update(trained)
    return {corpus: sorted(trained) for corpus, trained in cells.items() if trained}


def cells_trained_on(wildcards):
    "The rows of those cells."
    return [
        f"results/corpora/{corpus}/cells/{cell}/train.jsonl"
        for corpus, cells in confound_cells().items()
        for cell in cells
    ]


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
