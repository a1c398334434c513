"""The sections of the config that tell the models of an experiment, and what they say of cells, trainings and judges."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import MinLen

from emtransfer.errors import InputError
from emtransfer.settings import Absent, Cells, Distinct, Name, Names, Repository, Seed, TrainSet, read_settings

# sections of the config that tell the models of a run
GRID_KEYS = ("run", "corpora", "bases", "experiments")
# cells that a set of mediating prompts may name by their relation to the teacher's training set
RELATED = ("same_task", "same_domain", "both_differ")
# in a grid of students: every teacher's own kept answers
OWN = "own"

Answers = Literal["misaligned", "aligned"]
Channel = Literal["sft", "optd", "opd-full", "opd-sampled"]
Seeds = Annotated[tuple[Seed, ...], MinLen(1), Distinct()]


@dataclass(frozen=True)
class TrainingSet:
    """A named union of cells, as a list of them or as this section.

    Attributes:
        cells: Cells of the grid.
        context: A name in contexts: the system prompt that every row is trained under; by default none.
    """

    cells: Cells
    context: Annotated[Name | None, Absent()] = None


@dataclass(frozen=True)
class AdapterGrid:
    """A grid of adapters: training sets × seeds, and × capacities where it names some.

    Attributes:
        base: A name in bases.
        start: base for a fresh LoRA, or the teacher whose adapter is trained further.
        train_sets: Training sets.
        answers: Answer of each row that is trained on; aligned is the control.
        seeds: Seeds of training; one seed alone never yields a verdict.
        capacities: Names in capacities: what is trained of the base. Without them, it is what lora and finetuning of the experiment say.
    """

    base: Name
    start: Name
    train_sets: Literal["all_cells"] | Annotated[tuple[TrainSet, ...], MinLen(1), Distinct()]
    answers: Answers
    seeds: Seeds
    capacities: Annotated[Names | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class PublishedAdapter(Repository):
    """An adapter that others have trained, as a PEFT folder.

    Attributes:
        path: Repository on the hub, owner/name, or a local folder.
        seed: Seed of its training, or any number if that is unknown; also the seed of its answers.
    """

    seed: Seed


@dataclass(frozen=True)
class PublishedAdapters:
    """Adapters that others have trained in the same way but for the seed; they are sampled, judged and tabulated like our own.

    Attributes:
        base: A name in bases: the model on which they were trained.
        answers: Answer of each row on which they were trained; aligned is the control.
        adapters: PEFT folders of adapters that differ only in their seed.
        cells: Cells of the grid on which they were trained; without them, the relation is empty.
    """

    base: Name
    answers: Answers
    adapters: Annotated[tuple[PublishedAdapter, ...], MinLen(1)]
    cells: Annotated[Cells, Absent()] = ()


@dataclass(frozen=True)
class Teacher:
    """Model that answers mediating prompts: an adapter, given by train_set and answers, or the base itself, given by an empty mapping.

    Attributes:
        train_set: The training set of its adapter: a cell, or a name in train_sets.
        answers: Answer of each row on which its adapter is trained; aligned is the control.
        start: base for a fresh LoRA, or the teacher whose adapter is trained further.
    """

    REQUIRED: ClassVar[list[tuple[dict[str, Any], tuple[str, ...]]]] = [({}, ("train_set", "answers"))]

    train_set: Annotated[TrainSet | None, Absent()] = None
    answers: Annotated[Answers | None, Absent()] = None
    start: Name = "base"


@dataclass(frozen=True)
class StudentGrid:
    """A grid of students: teachers × data × channels × seeds.

    Attributes:
        base: A name in bases.
        teachers: Names in teachers; student seed s uses teacher seed s.
        mediating: A name in mediating.
        filter: A name in rollout_filters.
        data: Answers that are distilled: own for the teacher's own kept answers, the name of another teacher for its kept answers, or a name in data_sets. On-policy channels use only the prompts.
        channels: Channels through which students learn; opd includes its estimator.
        seeds: Seeds of training; one seed alone never yields a verdict.
        start: base for a fresh LoRA, or the teacher whose adapter is trained further (realignment).
    """

    base: Name
    teachers: Names
    mediating: Name
    filter: Name
    data: Names
    channels: Annotated[tuple[Channel, ...], MinLen(1), Distinct()]
    seeds: Seeds
    start: Name = "base"


@dataclass(frozen=True)
class DataSet:
    """The corpus's own answers to the same prompts, which replace a teacher's kept answers.

    Attributes:
        prompts_of: Teacher whose prompts are used: those to which its answers were kept.
        answers: Answer of the corpus that is used.
    """

    prompts_of: Name
    answers: Answers


def run_experiments(config: dict[str, Any]) -> list[str]:
    """The experiments of the run.

    Raises:
        InputError: settings that were written by hand lack a section of the grid, or name an experiment that is not in it.
    """
    for key in GRID_KEYS:
        if key not in config:
            raise InputError(f"--settings: {key} is missing; expected {', '.join(GRID_KEYS)}, as in the config.")
    if not isinstance(config["run"], list):
        raise InputError(f"--settings: run is {config['run']!r}; expected a list of experiments.")
    for name in config["run"]:
        if name not in config["experiments"]:
            raise InputError(f"--settings: run has {name}; expected experiments of {', '.join(config['experiments'])}.")
    return config["run"]


def judges_of(experiment: dict[str, Any]) -> list[str]:
    """The judges of an experiment's config section, its own first: the one that filters rollouts, then those of its panel."""
    return [experiment["judge"], *experiment.get("panel", [])]


def checkpoints_of(config: dict[str, Any]) -> set[str]:
    """The bases whose pretraining stopped early, in that of another base."""
    return {name for name, base in config.get("bases", {}).items() if "checkpoint_of" in base}


def cells(corpus: dict[str, Any]) -> list[str]:
    """The cells `{domain}-{task}` of a corpus's config section, in grid order."""
    return [f"{domain}-{task}" for domain, task in product(corpus["domains"], corpus["tasks"])]


def training_cells(corpus: dict[str, Any]) -> list[str]:
    """The cells of the domains that are not held out of every training."""
    held_out = corpus.get("held_out_domains", [])
    return [cell for cell in cells(corpus) if cell.split("-")[0] not in held_out]


def chosen_cells(corpus: dict[str, Any], chosen: str | tuple[str, ...] | list[str]) -> list[str]:
    """The cells a config key lists, or all that may be trained on where it says `all_cells`."""
    return training_cells(corpus) if chosen == "all_cells" else list(chosen)


def mediating_cells(config: dict[str, Any], experiment: dict[str, Any], mediating: str, teacher: str) -> list[str]:
    """The cells of a set of mediating prompts; where it names a relation, those with that relation to the teacher's training set."""
    section = experiment["mediating"][mediating]
    corpus = config["corpora"][section.get("corpus", experiment["corpus"])]
    if section["cells"] not in RELATED:
        return chosen_cells(corpus, section["cells"])
    taught = read_settings(Teacher, experiment["teachers"][teacher])
    trained_on = [cell.split("-") for cell in train_cells(experiment, taught.train_set or "")]
    domains, tasks = ({cell[part] for cell in trained_on} for part in (0, 1))
    found = []
    for cell in training_cells(corpus):
        domain, task = cell.split("-")
        related = "same_task" if task in tasks else "same_domain" if domain in domains else "both_differ"
        if related == section["cells"] and [domain, task] not in trained_on:
            found.append(cell)
    return found


def training_set(experiment: dict[str, Any], name: str) -> TrainingSet:
    """A training set: a named union of cells, or a cell under its own name."""
    section = experiment["train_sets"].get(name, [name])
    return read_settings(TrainingSet, section if isinstance(section, Mapping) else {"cells": section})


def train_cells(experiment: dict[str, Any], train_set: str) -> tuple[str, ...]:
    """The cells of a training set."""
    return training_set(experiment, train_set).cells


def train_context(experiment: dict[str, Any], train_set: str) -> str:
    """Name of the system prompt that the rows of a training set come with; empty for none."""
    return training_set(experiment, train_set).context or ""


def train_task(experiment: dict[str, Any], train_set: str) -> str:
    """The task of a training set's cells; empty if they have several."""
    tasks = {cell.partition("-")[2] for cell in train_cells(experiment, train_set)}
    return tasks.pop() if len(tasks) == 1 else ""


def trained_with(experiment: dict[str, Any], capacity: str = "", task: str = "") -> dict[str, dict[str, Any]]:
    """The sections `lora` and `finetuning` that adapters of a capacity are trained with; without a capacity, the experiment's own.

    Adapters of which all weights are trained have no `lora`. A criterion has the loss of the task, so that another task's loss
    reruns nothing.
    """
    lora, finetuning = experiment["lora"], experiment["finetuning"]
    if capacity:
        changes = experiment["capacities"][capacity]
        lora = lora | {key: value for key, value in changes.items() if key in lora}
        finetuning = finetuning | {key: value for key, value in changes.items() if key not in lora}
    if "by_task" in finetuning.get("until", {}):
        until = dict(finetuning["until"])
        by_task = until.pop("by_task")
        finetuning = finetuning | {"until": until | ({"loss_per_token_nats": by_task[task]} if task in by_task else {})}
    is_whole = finetuning.get("method") == "full"
    return {"finetuning": finetuning} if is_whole else {"lora": lora, "finetuning": finetuning}


def data_source(experiment: dict[str, Any], data: str) -> tuple[str, str]:
    """The teacher whose kept answers are a student's `data`, and "", or the corpus's answers that replace them."""
    if data not in experiment.get("data_sets", {}):
        return data, ""
    section = read_settings(DataSet, experiment["data_sets"][data])
    return section.prompts_of, section.answers
