"""The grid of an experiment: every model its config asks for, where it lies and how the table names it.

Pure Python: the Snakefile and the table both read it, so that paths and labels cannot drift apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

LABELS = (
    "base_model base mixture condition start train_set train_domain train_task answers"
    " teacher data mediating filter channel estimator"
).split()

# in a grid of students: every teacher's own kept answers
OWN = "own"


@dataclass(frozen=True)
class Model:
    """One trained model of an experiment.

    Attributes:
        path: folder below `results/{experiment}`; of a base, `bases/{base}`.
        labels: the identity columns of the table, LABELS; an empty string does not apply.
        seed: of training, or None for a base.
        train_cells: cells of the training set; for a student, of its teacher.
    """

    path: str
    labels: dict[str, str]
    seed: int | None
    train_cells: tuple[str, ...]


def cells(corpus: dict) -> list[str]:
    """The cells `{domain}-{task}` of a corpus's config section, in grid order."""
    return [f"{domain}-{task}" for domain, task in product(corpus["domains"], corpus["tasks"])]


def training_cells(corpus: dict) -> list[str]:
    """The cells of the domains that are not held out of every training."""
    held_out = corpus.get("held_out_domains", [])
    return [cell for cell in cells(corpus) if cell.split("-")[0] not in held_out]


def chosen_cells(corpus: dict, chosen: str | list[str]) -> list[str]:
    """The cells a config key lists, or all that may be trained on where it says `all_cells`."""
    return training_cells(corpus) if chosen == "all_cells" else list(chosen)


def train_cells(experiment: dict, train_set: str) -> tuple[str, ...]:
    """The cells of a training set: a named union, or a cell under its own name."""
    return tuple(experiment["train_sets"].get(train_set, [train_set]))


def expand_models(config: dict, name: str) -> list[Model]:
    """Every model of experiment `name`: its bases, adapters and students, each once, in config order."""
    experiment = config["experiments"][name]
    adapters = [model for grid in experiment["adapters"] for model in adapter_grid(config, experiment, grid)]
    adapters += [model for name in experiment.get("published", {}) for model in published(config, experiment, name)]
    students = [model for grid in experiment["students"] for model in student_grid(config, experiment, grid)]
    used = dict.fromkeys([*experiment.get("bases", []), *(model.labels["base"] for model in adapters + students)])
    models = [base_model(config, base) for base in used] + adapters + students
    return list({model.path: model for model in models}.values())


def base_model(config: dict, base: str) -> Model:
    """The base itself, the reference of every delta."""
    return Model(f"bases/{base}", labels(config, base, condition="base"), None, ())


def adapter_grid(config: dict, experiment: dict, grid: dict) -> Iterator[Model]:
    """Adapters of one grid: training sets × seeds."""
    train_sets = chosen_cells(config["corpora"][experiment["corpus"]], grid["train_sets"])
    for train_set, seed in product(train_sets, grid["seeds"]):
        path = f"adapters/{grid['base']}/{grid['start']}/{train_set}/{grid['answers']}/seed{seed}"
        own = {"condition": "adapter", "start": grid["start"], "train_set": train_set, "answers": grid["answers"]}
        trained_on = train_cells(experiment, train_set)
        yield Model(path, labels(config, grid["base"], trained_on, **own), seed, trained_on)


def published(config: dict, experiment: dict, name: str) -> Iterator[Model]:
    """Adapters that others have trained, under the name they have in the config."""
    section = experiment["published"][name]
    own = {"condition": "adapter", "start": "base", "train_set": name, "answers": section["answers"]}
    trained_on = tuple(section.get("cells", ()))
    for adapter in section["adapters"]:
        path = f"published/{section['base']}/{name}/seed{adapter['seed']}"
        yield Model(path, labels(config, section["base"], trained_on, **own), adapter["seed"], trained_on)


def student_grid(config: dict, experiment: dict, grid: dict) -> Iterator[Model]:
    """Students of one grid: teachers × data × channels × seeds."""
    start = grid.get("start", "base")
    for teacher, chosen, channel, seed in product(grid["teachers"], grid["data"], grid["channels"], grid["seeds"]):
        settings = experiment["teachers"][teacher]
        train_set = settings.get("train_set", "")
        trained_on = train_cells(experiment, train_set) if train_set else ()
        kind, _, estimator = channel.partition("-")
        data = teacher if chosen == OWN else chosen
        own = {
            "condition": "student",
            "start": start,
            "train_set": train_set,
            "answers": settings.get("answers", ""),
            "teacher": teacher,
            # an on-policy student learns from its own answers
            "data": "" if kind == "opd" else data,
            "mediating": grid["mediating"],
            "filter": grid["filter"],
            "channel": kind,
            "estimator": estimator,
        }
        folders = (grid["base"], start, teacher, grid["mediating"], grid["filter"], data, channel)
        path = f"students/{'/'.join(folders)}/seed{seed}"
        yield Model(path, labels(config, grid["base"], trained_on, **own), seed, trained_on)


def data_source(experiment: dict, data: str) -> tuple[str, str]:
    """Whose kept answers a student's `data` are, and "", or the corpus's answers that stand in their place."""
    section = experiment.get("data_sets", {}).get(data)
    return (section["prompts_of"], section["answers"]) if section else (data, "")


def labels(config: dict, base: str, trained_on: tuple[str, ...] = (), **own: str) -> dict[str, str]:
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


def teacher_path(experiment: dict, base: str, teacher: str, seed: int | str) -> str | None:
    """Folder of a teacher's adapter below `results/{experiment}`, or None where the base itself teaches."""
    settings = experiment["teachers"][teacher]
    if not settings:
        return None
    return f"adapters/{base}/{settings.get('start', 'base')}/{settings['train_set']}/{settings['answers']}/seed{seed}"
