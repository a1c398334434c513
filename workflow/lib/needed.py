"""Which sections of the config a run leads to, from its experiments on."""

from collections.abc import Iterator
from typing import NamedTuple

from corpus_sizes import filter_judge, is_written
from emtransfer.grid import expansion, sections
from emtransfer.grid.labels import Model

# an experiment, a corpus whose rows get roles, one that is filtered too, one whose prompts alone are taken, a judge, a base
KINDS = ("experiment", "corpus", "filtered", "prompts", "judge", "base")


def needed(config: dict, models: dict[str, list[Model]]) -> dict[str, list[str]]:
    """A kind of section, one of KINDS -> the names of those that are needed, sorted.

    Args:
        config: as validated.
        models: experiment of the run -> its models.
    """
    found, waiting = set(), [("experiment", name) for name in models]
    while waiting:
        section = waiting.pop()
        if section not in found:
            found.add(section)
            waiting += leads_to(config, models, *section)
    return {kind: sorted(name for of, name in found if of == kind) for kind in KINDS}


def leads_to(config: dict, models: dict[str, list[Model]], kind: str, name: str) -> Iterator[tuple[str, str]]:
    """The sections that one needs itself, each as its kind and name."""
    if kind == "experiment":
        experiment = config["experiments"][name]
        yield "filtered", experiment["corpus"]
        yield from (("judge", judge) for judge in sections.judges_of(experiment))
        yield from (("base", model.labels["base"]) for model in models[name])
        for mediating in {model.labels["mediating"] for model in models[name]} - {""}:
            corpus = experiment["mediating"][mediating].get("corpus", experiment["corpus"])
            yield "prompts" if config["corpora"][corpus].get("prompts_only") else "corpus", corpus
    elif kind == "filtered":
        yield "corpus", name
        yield from judges_of(config["corpora"][name])
    elif kind == "corpus" and is_written(config["corpora"][name]):
        # it decides when there are enough rows
        yield from judges_of(config["corpora"][name])
    elif kind == "judge":
        judge = config["judges"][name]
        yield "corpus", judge["corpus"]
        yield from [("base", judge["base"])] if "base" in judge else []
    elif kind == "base" and "mixture" in config["bases"][name]:
        base = config["bases"][name]
        yield "corpus", config["mixtures"][base["mixture"]]["corpus"]
        yield "corpus", config["base_models"][base["base_model"]]["tokenizer"]["corpus"]


def judges_of(corpus: dict) -> list[tuple[str, str]]:
    """The judge that filters a corpus, if one does."""
    judge = filter_judge(corpus)
    return [("judge", judge)] if judge else []


class Student(NamedTuple):
    """What a student is made from, as its path says: of an on-policy one the labels do not name the data."""

    base: str
    start: str
    teacher: str
    mediating: str
    filter: str
    data: str
    channel: str
    seed: str


def students(models: list[Model]) -> list[Student]:
    """Those among the models."""
    return [
        Student(*model.path.removeprefix("students/").split("/"))
        for model in models
        if model.labels["condition"] == "student"
    ]


def trained_adapters(experiment: dict, models: list[Model]) -> set[str]:
    """Paths of the adapters that are trained: those of the run, and those that teach, or that another one starts from."""
    waiting = [model.path for model in models if model.path.startswith("adapters/")]
    for student in students(models):
        source, _ = sections.data_source(experiment, student.data)
        waiting += filter(None, (adapter_of(experiment, student, name) for name in (student.teacher, source)))
        waiting += [adapter_of(experiment, student, student.start)] if student.start != "base" else []
    found = set()
    while waiting:
        path = waiting.pop()
        found.add(path)
        _, base, start, *_, seed = path.split("/")
        if start != "base":
            waiting.append(expansion.teacher_path(experiment, base, start, seed.removeprefix("seed")))
    return found


def adapter_of(experiment: dict, student: Student, teacher: str) -> str | None:
    """Path of a teacher's adapter on the student's base, with the student's seed; None where the base itself teaches."""
    return expansion.teacher_path(experiment, student.base, teacher, student.seed.removeprefix("seed"))
