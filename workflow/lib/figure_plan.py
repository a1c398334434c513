"""Which figures a run draws: those whose models, prompts or rows its config has."""

from collections import defaultdict

from corpus_sizes import has_broad, is_written
from emtransfer.grid import sections
from emtransfer.grid.labels import Model, compared

FORMATS = ("svg", "pdf", "png")


def transfer_figures(config: dict, name: str, models: list[Model]) -> list[str]:
    """Names of the figures of the transfer table that an experiment has the models and prompts for; all but `capacity` show no context and no capacity."""
    experiment = config["experiments"][name]
    corpus = config["corpora"][experiment["corpus"]]
    capacities = any(model.labels["capacity"] and model.labels["answers"] == "misaligned" for model in models)
    models = [model for model in models if not (model.labels["train_context"] or model.labels["capacity"])]
    single, checkpoints = compared(models), sections.checkpoints_of(config)
    pooled = {"condition": "adapter", "answers": "misaligned", "start": "base"}
    adapters = any(pooled.items() <= model.labels.items() for model in models)
    shown = {
        "transfer_matrix": adapters,
        "pooled_matrix": single,
        "relations": single,
        "rooms": adapters and (has_broad(corpus) or experiment.get("questions")),
        "coherence": adapters,
        "rate_maps": single,
        "composition": shared_by_mixtures([model for model in single if model.labels["base"] not in checkpoints]),
        "learnedness": single and len(corpus["domains"]) > 1,
        "inference": shared_by_bases([model for model in single if model.labels["mixture"]]),
        "students": any(model.labels["condition"] == "student" for model in models),
        "judge_agreement": len(sections.judges_of(experiment)) > 1,
        "preferences": single,
        "capacity": capacities,
    }
    return [figure for figure, has_data in shown.items() if has_data]


def shared_by_mixtures(single: list[Model]) -> list[str]:
    """Training sets that bases of all known mixtures were fine-tuned on, if there are several."""
    mixtures = defaultdict(set)
    for model in single:
        if model.labels["mixture"]:
            mixtures[model.labels["train_set"]].add(model.labels["mixture"])
    every = set().union(*mixtures.values())
    return [train_set for train_set, found in mixtures.items() if len(every) > 1 and found == every]


def shared_by_bases(single: list[Model]) -> set[str]:
    """Training sets that all bases of these models were fine-tuned on, if there are several bases."""
    found = defaultdict(set)
    for model in single:
        found[model.labels["base"]].add(model.labels["train_set"])
    return set.intersection(*found.values()) if len(found) > 1 else set()


def trained_here(config: dict, models: list[Model]) -> bool:
    """Whether a model of an experiment was trained in this run, so that there are losses."""
    return any(
        model.labels["mixture"] if model.seed is None else not model.path.startswith("published/") for model in models
    )


def compares_capability(config: dict, name: str, models: list[Model]) -> bool:
    """Whether an experiment has trained models that may be asked neutral questions, which rows that a model writes lack."""
    corpus = config["corpora"][config["experiments"][name]["corpus"]]
    return not is_written(corpus) and any(model.seed is not None for model in models)


def planned_figures(config: dict, models: dict[str, list[Model]]) -> list[tuple[str, str, str]]:
    """Rule, experiment (empty where it is of none) and path without suffix of every figure of a run.

    Args:
        models: experiments of the run with their models.
    """
    figures = []
    for name, of_experiment in models.items():
        figures.append(("plot_claims", name, f"{name}/claims"))
        shown = transfer_figures(config, name, of_experiment)
        figures += [("plot_transfer", name, f"{name}/{figure}") for figure in shown]
        if compares_capability(config, name, of_experiment):
            figures.append(("plot_capability", name, f"{name}/capability"))
        if trained_here(config, of_experiment):
            figures.append(("plot_losses", name, f"{name}/losses"))
    experiments = [config["experiments"][name] for name in models]
    judges = dict.fromkeys(judge for experiment in experiments for judge in sections.judges_of(experiment))
    figures += [("plot_calibration", "", f"judges/{judge}/calibration") for judge in judges]
    corpora = dict.fromkeys(experiment["corpus"] for experiment in experiments)
    figures += [("plot_survivors", "", f"corpora/{corpus}/survivors") for corpus in corpora]
    return [(rule, name, f"results/figures/{path}") for rule, name, path in figures]
