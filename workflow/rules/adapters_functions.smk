"""Inputs and params of the rules that make adapters."""


def train_files(wildcards):
    "Train rows of every cell of a training set."
    experiment = experiment_section(wildcards)
    return expand(
        "results/corpora/{corpus}/cells/{cell}/train.jsonl",
        corpus=experiment["corpus"],
        cell=sections.train_cells(experiment, wildcards.train_set),
    )


def adapter_settings(wildcards):
    "What an adapter is trained with."
    experiment = experiment_section(wildcards)
    context = sections.train_context(experiment, wildcards.train_set)
    system = {"system": experiment["contexts"][context]} if context else {}
    answers, capacity = expansion.answers_and_capacity(wildcards.answers)
    task = sections.train_task(experiment, wildcards.train_set)
    return settings({"answers": answers} | sections.trained_with(experiment, capacity, task) | system)


def published_settings(wildcards):
    "Where an adapter that others have trained is."
    adapters = experiment_section(wildcards)["published"][wildcards.train_set]["adapters"]
    return settings(next(adapter for adapter in adapters if adapter["seed"] == int(wildcards.seed)), "path", "revision")
