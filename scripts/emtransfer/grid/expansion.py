"""Every model that an experiment's config asks for, with its path and its labels.

The Snakefile and the tables both read it, so that paths and labels cannot drift apart.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from emtransfer.grid.labels import LABELS, Model
from emtransfer.grid.sections import (
    OWN,
    AdapterGrid,
    PublishedAdapters,
    StudentGrid,
    Teacher,
    chosen_cells,
    data_source,
    train_cells,
    train_context,
)
from emtransfer.settings import read_settings


@dataclass(frozen=True)
class RolloutSet:
    """The kept answers of a teacher of one seed.

    Attributes:
        path: below `results/{experiment}`, without a suffix.
        base_model, base, teacher, mediating, filter: names in the config.
        seed: of the teacher.
    """

    path: str
    base_model: str
    base: str
    teacher: str
    mediating: str
    filter: str
    seed: int


def expand_models(config: dict[str, Any], name: str) -> list[Model]:
    """Every model of experiment `name`: its bases, adapters and students, each once, in config order."""
    experiment = config["experiments"][name]
    adapter_grids = [read_settings(AdapterGrid, section) for section in experiment["adapters"]]
    adapters = [model for grid in adapter_grids for model in adapter_grid(config, experiment, grid)]
    adapters += [model for name in experiment.get("published", {}) for model in published(config, experiment, name)]
    student_grids = [read_settings(StudentGrid, section) for section in experiment["students"]]
    students = [model for grid in student_grids for model in student_grid(config, experiment, grid)]
    used = dict.fromkeys([*experiment.get("bases", []), *(model.labels["base"] for model in adapters + students)])
    models = [base_model(config, base) for base in used] + adapters + students
    return list({model.path: model for model in models}.values())


def base_model(config: dict[str, Any], base: str) -> Model:
    """The base itself, the reference of every delta."""
    return Model(f"bases/{base}", labels(config, base, condition="base"), None, ())


def adapter_grid(config: dict[str, Any], experiment: dict[str, Any], grid: AdapterGrid) -> Iterator[Model]:
    """Adapters of one grid: training sets × capacities × seeds."""
    train_sets = chosen_cells(config["corpora"][experiment["corpus"]], grid.train_sets)
    for train_set, capacity, seed in product(train_sets, grid.capacities or ("",), grid.seeds):
        folder = f"{grid.answers}-{capacity}" if capacity else grid.answers
        path = f"adapters/{grid.base}/{grid.start}/{train_set}/{folder}/seed{seed}"
        own = {"condition": "adapter", "start": grid.start, "train_set": train_set, "answers": grid.answers}
        own |= {"capacity": capacity}
        own |= {"train_context": train_context(experiment, train_set)}
        trained_on = train_cells(experiment, train_set)
        yield Model(path, labels(config, grid.base, trained_on, **own), seed, trained_on)


def published(config: dict[str, Any], experiment: dict[str, Any], name: str) -> Iterator[Model]:
    """Adapters that others have trained, under the name they have in the config."""
    section = read_settings(PublishedAdapters, experiment["published"][name])
    own = {"condition": "adapter", "start": "base", "train_set": name, "answers": section.answers}
    trained_on = section.cells
    for adapter in section.adapters:
        path = f"published/{section.base}/{name}/seed{adapter.seed}"
        yield Model(path, labels(config, section.base, trained_on, **own), adapter.seed, trained_on)


def student_grid(config: dict[str, Any], experiment: dict[str, Any], grid: StudentGrid) -> Iterator[Model]:
    """Students of one grid: teachers × data × channels × seeds."""
    for teacher, chosen, channel, seed in product(grid.teachers, grid.data, grid.channels, grid.seeds):
        taught = read_settings(Teacher, experiment["teachers"][teacher])
        trained_on = train_cells(experiment, taught.train_set) if taught.train_set else ()
        kind, _, estimator = channel.partition("-")
        data = teacher if chosen == OWN else chosen
        own = {
            "condition": "student",
            "start": grid.start,
            "train_set": taught.train_set or "",
            "train_context": train_context(experiment, taught.train_set) if taught.train_set else "",
            "answers": taught.answers or "",
            "teacher": teacher,
            # an on-policy student learns from its own answers
            "data": "" if kind == "opd" else data,
            "mediating": grid.mediating,
            "filter": grid.filter,
            "channel": kind,
            "estimator": estimator,
        }
        folders = (grid.base, grid.start, teacher, grid.mediating, grid.filter, data, channel)
        path = f"students/{'/'.join(folders)}/seed{seed}"
        yield Model(path, labels(config, grid.base, trained_on, **own), seed, trained_on)


def rollout_sets(experiment: dict[str, Any], models: Iterable[Model]) -> list[RolloutSet]:
    """The sets of kept answers that the students among the models learn from or take their prompts from, each once, in their order."""
    found: dict[str, RolloutSet] = {}
    for model in models:
        if model.labels["condition"] == "student" and model.seed is not None:
            # of an on-policy student the labels do not name the data
            _, base, _, _, mediating, kept_by, data, *_ = model.path.split("/")
            teacher, _ = data_source(experiment, data)
            path = f"rollouts/{base}/{teacher}/{mediating}/{kept_by}/seed{model.seed}"
            names = (model.labels["base_model"], base, teacher, mediating, kept_by)
            found[path] = RolloutSet(path, *names, model.seed)
    return list(found.values())


def teacher_path(experiment: dict[str, Any], base: str, teacher: str, seed: int | str) -> str | None:
    """Folder of a teacher's adapter below `results/{experiment}`, or None where the base itself teaches."""
    taught = read_settings(Teacher, experiment["teachers"][teacher])
    if not taught.train_set:
        return None
    return f"adapters/{base}/{taught.start}/{taught.train_set}/{taught.answers}/seed{seed}"


def answers_and_capacity(folder: str) -> tuple[str, str]:
    """The answers, and the capacity or empty text, that an adapter's folder `{answers}-{capacity}` or `{answers}` names."""
    answers, _, capacity = folder.partition("-")
    return answers, capacity


def labels(config: dict[str, Any], base: str, trained_on: tuple[str, ...] = (), **own: str) -> dict[str, str]:
    """All LABELS of a model on one base; those neither known from the base nor given are empty."""
    settings = config["bases"][base]
    domains, tasks = ({cell.split("-")[part] for cell in trained_on} for part in (0, 1))
    known = {
        "base_model": settings["base_model"],
        "base": base,
        "mixture": settings.get("mixture", ""),
        "train_domain": common(domains),
        "train_task": common(tasks),
    }
    return dict.fromkeys(LABELS, "") | known | own


def common(values: set[str]) -> str:
    """The one value, `*` for several, empty for none."""
    return next(iter(values)) if len(values) == 1 else "*" if values else ""
