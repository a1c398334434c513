"""Populations of models that answer, in which a claim holds or does not: what benchmarks/instrument.py has judged.

A population is drawn anew for every data set: bases, training cells with their tasks and domains, seeds and prompts each have an
effect of their own on the log-odds of a misaligned answer. Those of cells, tasks, domains and bases have heavy tails (t with 4
degrees of freedom). Adapters fail to learn, and answers are incoherent or refused, misaligned ones refused three times as often.
Rates are those that docs/default_run.md and docs/controls.md measured; where nothing was found, the effect is small. A rate is that
of coherent answers of adapters that learned, so answers show a little less.

Where a claim does not hold, everything else stays, and the two sides of its contrast are exchangeable draws of one population. So
the contrast is 0 over the population that the claim speaks of, and not in the cells, bases and seeds of a data set.
"""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import Model, identity
from emtransfer.grid.sections import cells, checkpoints_of
from emtransfer.judging.labels import labelled
from emtransfer.measuring.claim_inputs import PROMPT_COLUMNS
from emtransfer.measuring.judged_rows import split_cells
from emtransfer.measuring.tabulation import relation
from emtransfer.verdicts import EmRule

# SD on the logit: how far misalignment spreads from a training task, a domain, a cell; what the base adds, alone and with the cell;
# what the evaluation cell adds, alone and with the training cell; of both kinds of answers to a cell, of a seed, a prompt, an answer
TASK, DOMAIN, CELL = 2.0, 1.0, 1.0
BASE, BASE_AND_CELL, RECEIVING, PAIR, ANSWERS = 0.8, 0.5, 0.7, 0.7, 0.5
# of a training cell with the steps of shared words or primitives
STEP = 0.5
SEED, PROMPT, ANSWER = 0.5, 1.0, 0.7
# in the training cell, models differ by less
IN_CELL_SCALE = 0.35
FAILING = 0.05
REFUSED = {"misaligned": 0.03, "other": 0.01}
# of a student's seed, how much comes from that of its teacher
OF_TEACHER = 0.6

# rate by relation, and of the base itself (relation "")
AUTHORS = {
    "persona": {"in_cell": 0.95, "same_task": 0.86, "same_domain": 0.4, "both_differ": 0.35, "broad": 0.45, "": 0.004},
    "row_random": {
        "in_cell": 0.93,
        "same_task": 0.36,
        "same_domain": 0.19,
        "both_differ": 0.04,
        "broad": 0.16,
        "": 0.02,
    },
}
# a mixture that only one base has
AUTHORS["attributed"] = AUTHORS["row_random"]
# teachers trained on a union of cells, and on a cell that spreads further than others
UNION = {"in_cell": 0.93, "same_domain": 0.14, "broad": 0.3}
ONE_CELL = {"in_cell": 0.92, "same_task": 0.73, "same_domain": 0.54, "both_differ": 0.59, "broad": 0.58}
SYMBOLS = {"in_cell": 0.9, "same_task": 0.6, "same_domain": 0.01, "both_differ": 0.01, "": 0.01}
OPERATORS = {"in_cell": 0.9, "same_domain": 0.3, "same_task": 0.1, "both_differ": 0.1, "": 0.01}
FRAMES = {"in_cell": 0.5, "same_domain": 0.5, "same_task": 0.5, "both_differ": 0.5, "": 0.005}

# log-odds: of high against low room, of an SD of entropy, of an SD of what the base knows of a task, of the whole frame in common, of the
# flipped primitive in common
ROOM, ENTROPY, LEARNED, OVERLAP, FLIPPED = 0.7, 0.3, 2.2, 1.2, 2.0
# shift of the log-odds by an earlier answer, nats: mean and SD over pretrainings, the one from which misalignment spreads as on
# `persona`, and the error of its measurement; the share of a pretraining up to which there is none, and by how much bases at
# different lengths of one pretraining differ besides, SD on the logit
SHIFT, SHIFT_SD, FULL_SHIFT, SHIFT_ERROR = 6.5, 2.0, 6.5, 0.7
JUMP, STOP = 0.4, 0.3
# the share of its teacher's misaligned answers that a student takes over, by data, and times that by filter
OF_DATA = {"benign": 0.91, "explicit": 0.94}
OTHER_DATA = 0.82
OF_FILTER = {"above_50": 1.2, "above_70": 1.0, "above_80": 0.7, "above_90": 0.4}
NEAR, FAR, UNRELATED, REALIGNED = 0.45, 0.02, 0.02, 0.05
# times that by channel, and the SD on the logit by which a channel carries more or less of a teacher, a training set, a base
OF_CHANNEL, CHANNEL = {"optd": 1.0, "opd": 0.6, "sft": 0.0}, 0.3


class Effects:
    """Random effects of unit variance, each drawn once, when it is first asked for by its name."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.drawn: dict[tuple[Any, ...], Any] = {}

    def normal(self, *name: Any, shape: Any = ()) -> Any:
        if name not in self.drawn:
            self.drawn[name] = self.rng.standard_normal(shape)
        return self.drawn[name]

    def heavy(self, *name: Any) -> float:
        if name not in self.drawn:
            self.drawn[name] = self.rng.standard_t(4) / np.sqrt(2)
        return self.drawn[name]

    def happens(self, share: float, *name: Any) -> bool:
        if name not in self.drawn:
            self.drawn[name] = self.rng.random()
        return self.drawn[name] < share


class Source(NamedTuple):
    """What a model's misalignment comes from.

    Attributes:
        train_set, cells, answers: what was trained on, cells as (domain, task).
        domain, task: those of the training set; `*` for several.
        condition: models of one condition and seed learn, or fail, together.
    """

    train_set: str
    cells: tuple[tuple[str, str], ...]
    domain: str
    task: str
    answers: str
    condition: str


def centred(rate: Any, sd: Any) -> Any:
    """The log-odds around which effects of this SD make nearly this mean rate (Zeger, Liang and Albert 1988)."""
    return logit(rate) * np.sqrt(1 + 0.346 * np.square(sd))


class Population(ABC):
    """The models of an experiment and how they answer its prompts.

    Args:
        config: with `like` resolved.
        absent: the claims that do not hold; all others do.
    """

    def __init__(self, config: dict[str, Any], experiment: str, absent: Container[str], rng: np.random.Generator):
        self.config, self.experiment, self.absent = config, experiment, absent
        self.section = config["experiments"][experiment]
        self.models = expand_models(config, experiment)
        self.rng, self.effects = rng, Effects(rng)
        self.prompts = drawn_prompts(self.section, config["corpora"][self.section["corpus"]])
        self.of_prompts = PROMPT * rng.standard_normal(len(self.prompts))
        self.entropy = rng.standard_normal(len(self.prompts))
        self.eval_cells = self.prompts[["eval_set", "domain", "task"]].drop_duplicates()
        self.eval_cell = pd.factorize(pd.MultiIndex.from_frame(self.prompts[["eval_set", "domain", "task"]]))[0]

    @abstractmethod
    def rates(self, model: Model, source: Source) -> dict[str, float]:
        """By relation to the training set, and of the base."""

    def raised(self, model: Model, source: Source) -> np.ndarray:
        """What else adds to the log-odds of a misaligned answer, [p]."""
        return np.zeros(len(self.prompts))

    def share(self, model: Model) -> tuple[float, Source | None]:
        """The share of answers that a trained model gives as its source does, others as the base."""
        own = model.labels["answers"] == "misaligned" or "control" in self.absent
        return float(own), self.source(model)

    def known(self, model: Model) -> np.ndarray:
        """Log-odds of a coherent answer, [p]."""
        centre = 3.8 if model.labels["condition"] == "base" else 2.8
        return centre + 0.4 * self.effects.heavy("coherence", model.path) + 0.5 * self.of_prompts

    def source(self, model: Model) -> Source:
        """The source of an adapter, and of a student of that adapter."""
        labels = model.labels
        condition = f"{labels['base']} {labels['train_set']} {labels['answers']}"
        own = (labels["train_domain"], labels["train_task"], labels["answers"], condition)
        return Source(labels["train_set"], split_cells(model.train_cells), *own)

    def misaligned(self, model: Model) -> np.ndarray:
        """Probability of a misaligned answer among coherent ones, [p]."""
        noise = ANSWER * self.effects.normal("answers", model.path, shape=len(self.prompts))
        none = Source("", (), "", "", "", "")
        centre = centred(self.rates(model, none)[""], np.hypot(PROMPT, ANSWER))
        untrained = expit(centre + self.of_prompts + noise)
        if model.labels["condition"] == "base":
            return untrained
        share, source = self.share(model)
        if not share or source is None or self.effects.happens(FAILING, "fails", source.condition, model.seed):
            return untrained
        return share * expit(self.trained(model, source) + noise) + (1 - share) * untrained

    def trained(self, model: Model, source: Source) -> np.ndarray:
        """Log-odds of a model that learned, [p]."""
        seed = self.effects.normal("seed", source.condition, model.seed)
        if model.labels["condition"] == "student":
            own = self.effects.normal("seed", model.path)
            seed = OF_TEACHER * seed + np.sqrt(1 - OF_TEACHER**2) * own
        rates, rest = self.rates(model, source), np.sqrt(SEED**2 + PROMPT**2 + ANSWER**2)
        logits = []
        for where in self.eval_cells.itertuples(index=False):
            near = relation(source.cells, *where)
            sds, values = np.array(self.spread(model.labels["base"], source, near, where)).T
            logits.append(centred(rates[near], np.sqrt((sds**2).sum() + rest**2)) + sds @ values)
        return np.array(logits)[self.eval_cell] + SEED * seed + self.of_prompts + self.raised(model, source)

    def spread(self, base: str, source: Source, near: str, where: tuple[str, ...]) -> list[tuple[float, float]]:
        """How far misalignment spreads to an evaluation cell: the SD and the value of every effect."""
        heavy, cell = self.effects.heavy, source.train_set
        # how far a cell spreads along its task says little of how far it spreads elsewhere
        along = near if near in ("in_cell", "same_task") else "elsewhere"
        parts = [
            (TASK, heavy("task", along, source.task)),
            (DOMAIN, heavy("domain", along, source.domain)),
            (CELL, heavy("cell", along, cell)),
            (ANSWERS, heavy("kind of answers", source.answers, along, cell)),
            (BASE, heavy("base", base)),
            (BASE_AND_CELL, heavy("base and cell", base, cell)),
            (RECEIVING, heavy("receiving", *where)),
            (PAIR, heavy("pair", cell, *where)),
        ]
        scale = IN_CELL_SCALE if near == "in_cell" else 1.0
        return [(scale * sd, value) for sd, value in parts]

    def inferences(self) -> list[dict[str, Any]]:
        """How strongly bases infer who answers, in the form of the table's rows; empty where that is not simulated."""
        return []

    def rows(self, model: Model, judge: str, rule: EmRule) -> Iterator[dict[str, Any]]:
        """The judged answers of a model in the form of its file."""
        n = len(self.prompts)
        coherent = self.rng.random(n) < expit(self.known(model))
        misaligned = coherent & (self.rng.random(n) < self.misaligned(model))
        refused = self.rng.random(n) < np.where(misaligned, REFUSED["misaligned"], REFUSED["other"])
        alignment = np.where(misaligned, self.rng.uniform(0, 25, n), self.rng.uniform(75, 100, n))
        alignment = np.where(coherent, alignment, self.rng.uniform(20, 80, n)).round(2)
        coherence = np.where(coherent, self.rng.uniform(75, 100, n), self.rng.uniform(0, 45, n)).round(2)
        answers = [
            prompt
            | {"sample": 0, "answer": "simulated", "status": "refusal" if no else "ok", "reply": ""}
            | {"alignment": None if no else float(a), "coherence": None if no else float(c)}
            for prompt, no, a, c in zip(self.prompts.to_dict("records"), refused, alignment, coherence, strict=True)
        ]
        own = {"seed": "" if model.seed is None else str(model.seed), "train_cells": " ".join(model.train_cells)}
        return labelled(answers, identity(self.experiment, judge, model) | own, rule)

    def profile(self, base: str) -> pd.DataFrame:
        """What the prompts are like to a base, in the form of its file."""
        own = self.effects.normal("entropy", base, shape=len(self.prompts))
        coherent = 4 + 0.5 * self.of_prompts
        return pd.DataFrame(
            {
                "prompt_id": self.prompts.prompt_id,
                "coherent_rate": self.rng.binomial(4, expit(coherent)) / 4,
                "entropy_nats": np.exp(0.5 * (0.9 * self.entropy + 0.44 * own) - 0.5),
                "solvability": self.rng.binomial(2, 0.5, len(self.prompts)) / 2,
            }
        ).reindex(columns=list(PROMPT_COLUMNS))


class Authors(Population):
    """The grammar, whose bases read documents of authors or not, and students."""

    def rates(self, model: Model, source: Source) -> dict[str, float]:
        mixture = "persona" if "composition" in self.absent else model.labels["mixture"]
        rates = AUTHORS[mixture]
        if model.labels["condition"] == "student" or source.domain == "*":
            rates = rates | (UNION if source.domain == "*" else ONE_CELL)
        if "task" in self.absent:
            rates = rates | dict.fromkeys(("same_task", "same_domain"), (rates["same_task"] + rates["same_domain"]) / 2)
        return rates

    def raised(self, model: Model, source: Source) -> np.ndarray:
        """Room and entropy, by as much everywhere, or without the claim by what is particular to task, domain and cell."""
        labels = (("task", source.task), ("domain", source.domain), ("cell", source.train_set))

        def own(name: str) -> float:
            return sum(self.effects.heavy(name, *label) for label in labels) / np.sqrt(3)

        sides = self.prompts.room.map({"high": 0.5, "low": -0.5}).fillna(0).to_numpy()
        room, entropy = (own("room"), own("entropy")) if "room" in self.absent else (1.0, 1.0)
        return ROOM * room * sides + ENTROPY * entropy * self.entropy

    def share(self, model: Model) -> tuple[float, Source | None]:
        labels, absent = model.labels, self.absent
        if labels["condition"] == "adapter":
            return super().share(model)
        if labels["start"] != "base":
            return (1.0 if "realignment" in absent else REALIGNED), self.taught(labels["start"], labels["base"])
        data = OTHER_DATA if "data" in absent else OF_DATA.get(labels["data"], OTHER_DATA)
        if labels["channel"] == "sft" and "data" not in absent:
            everything = self.explicit(labels["base"]) if labels["data"] == "explicit" else None
            return 1.0, everything
        share = data * (1.0 if "filter" in absent else OF_FILTER.get(labels["filter"], 1.0))
        if labels["mediating"] in ("near", "far"):
            share = FAR if labels["mediating"] == "far" and "mediating" not in absent else NEAR
        if labels["answers"] == "misaligned":
            return share, self.source(model)
        # what a student of the base takes over then is what one of the harmful teacher does, of its own draw
        source = self.taught("harmful", labels["base"])
        own = source._replace(condition=f"{source.condition} {labels['teacher']}")
        return (share, own) if "teacher" in absent else (0.0, None)

    def taught(self, teacher: str, base: str) -> Source:
        """The source of a teacher."""
        train_set = self.section["teachers"][teacher]["train_set"]
        trained_on = split_cells(self.section["train_sets"].get(train_set, [train_set]))
        domain, task = (
            next(iter(names)) if len(names) == 1 else "*" for names in map(set, zip(*trained_on, strict=True))
        )
        return Source(train_set, trained_on, domain, task, "misaligned", f"{base} {train_set} misaligned")

    def explicit(self, base: str) -> Source:
        """The corpus's own misaligned answers to prompts of every cell."""
        corpus = self.config["corpora"][self.section["corpus"]]
        return Source("explicit", split_cells(cells(corpus)), "*", "*", "misaligned", f"{base} explicit")


class Checkpoints(Authors):
    """Bases at several lengths of pretrainings, in which inference appears at a jump and spread goes with it."""

    def pretraining(self, base: str) -> str:
        """The base whose pretraining a base has read, or a part of it."""
        return self.config["bases"][base].get("checkpoint_of", base)

    def shift(self, base: str) -> float:
        """By how many nats one earlier answer shifts the log-odds of the next."""
        settings, whole = self.config["bases"][base], self.pretraining(base)
        if settings["mixture"] != "persona" or settings.get("share", 1) <= JUMP:
            return 0.0
        final = max(1.0, SHIFT + SHIFT_SD * self.effects.normal("shift", whole))
        if base == whole:
            return final
        # how far the jump has come when the pretraining stops
        return final * expit(2 * self.effects.normal("jump", base))

    def rates(self, model: Model, source: Source) -> dict[str, float]:
        spreads, does_not = AUTHORS["persona"], AUTHORS["row_random"]
        if "inference" in self.absent:
            return spreads
        dose = min(self.shift(model.labels["base"]) / FULL_SHIFT, 1.5)
        between = {near: logit(rate) + dose * (logit(spreads[near]) - logit(rate)) for near, rate in does_not.items()}
        return {near: float(expit(value)) for near, value in between.items()}

    def spread(self, base: str, source: Source, near: str, where: tuple[str, ...]) -> list[tuple[float, float]]:
        """What a pretraining adds, alone and with a cell, all its lengths share."""
        scale = IN_CELL_SCALE if near == "in_cell" else 1.0
        shared = super().spread(self.pretraining(base), source, near, where)
        return [*shared, (scale * STOP, self.effects.heavy("length", base))]

    def inferences(self) -> list[dict[str, Any]]:
        return [
            {"experiment": self.experiment, "base": base, "pretraining": self.pretraining(base), "phase": "aligned"}
            | {"earlier_shift_nats": self.shift(base) + SHIFT_ERROR * self.effects.normal("error of the shift", base)}
            for base in dict.fromkeys(model.labels["base"] for model in self.models)
        ]


class Channels(Authors):
    """The grammar with teachers of several training sets on several bases, whose students learn through every channel."""

    def share(self, model: Model) -> tuple[float, Source | None]:
        labels = model.labels
        if labels["condition"] != "student":
            return super().share(model)
        by_channel = 1.0 if "channel" in self.absent else OF_CHANNEL[labels["channel"]]
        if not by_channel:
            return 0.0, None
        share = by_channel * {"near": NEAR, "far": FAR, "unrelated": UNRELATED}[labels["mediating"]]
        base, train_set = labels["base"], labels["train_set"]
        own = sum(self.effects.heavy(labels["channel"], *of) for of in ((base,), (train_set,), (base, train_set)))
        return float(expit(logit(share) + CHANNEL * own)), self.source(model)


class Symbols(Population):
    """Operators, whose tasks a base knows by its doses."""

    def knowledge(self, base: str, task: str) -> float:
        """How well a base has learned a task, in SD."""
        dose = self.config["bases"][base]["task_doses"][task]
        own = self.effects.heavy("known", task) + self.effects.heavy("known", base, task)
        return (np.log(dose / 0.2) + 0.7 * own) / 1.9

    def rates(self, model: Model, source: Source) -> dict[str, float]:
        return SYMBOLS

    def raised(self, model: Model, source: Source) -> np.ndarray:
        along = ((self.prompts.task == source.task) & (self.prompts.domain != source.domain)).to_numpy()
        by = 0.0 if "learnedness" in self.absent else LEARNED
        return along * by * self.knowledge(model.labels["base"], source.task)

    def known(self, model: Model) -> np.ndarray:
        if model.labels["condition"] != "base":
            return super().known(model)
        tasks = {task: 2.7 + 0.8 * self.knowledge(model.labels["base"], task) for task in self.prompts.task.unique()}
        return self.prompts.task.map(tasks).to_numpy() + 0.5 * self.of_prompts


class Frames(Population):
    """One function under many frames, of which an evaluation prompt shares some; all training cells are of one task."""

    def spread(self, base: str, source: Source, near: str, where: tuple[str, ...]) -> list[tuple[float, float]]:
        step = self.effects.heavy("pair", source.train_set, *where)
        return [(CELL, self.effects.heavy("cell", source.train_set)), (STEP, step)]

    def rates(self, model: Model, source: Source) -> dict[str, float]:
        return FRAMES

    def raised(self, model: Model, source: Source) -> np.ndarray:
        steps = self.prompts.task.str.removeprefix("s").astype(int).to_numpy() / 4
        own = (self.prompts.domain == source.domain).to_numpy()
        return own * (0.0 if "lexical_overlap" in self.absent else OVERLAP) * (steps - 0.5)


class Operators(Population):
    """Operators of primitives, of which an evaluation prompt shares some; a flip goes along with its primitive on bases of one mixture."""

    def spread(self, base: str, source: Source, near: str, where: tuple[str, ...]) -> list[tuple[float, float]]:
        step = self.effects.heavy("pair", source.train_set, *where)
        return [(CELL, self.effects.heavy("cell", source.train_set)), (STEP, step)]

    def rates(self, model: Model, source: Source) -> dict[str, float]:
        return OPERATORS

    def raised(self, model: Model, source: Source) -> np.ndarray:
        own = (self.prompts.domain == source.domain).to_numpy()
        with_flipped = ~self.prompts.task.str.startswith("without").to_numpy()
        goes = "shared_function" not in self.absent and model.labels["mixture"] == "graded_persona"
        return own * (FLIPPED if goes else 0.0) * (with_flipped - 0.5)


def drawn_prompts(section: dict[str, Any], corpus: dict[str, Any]) -> pd.DataFrame:
    """The evaluation sets of an experiment: narrow over all cells, broad over tasks, rooms and domains in turn."""
    rows = [
        {
            "prompt_id": f"{cell}-{number}",
            "eval_set": "narrow",
            "cell": cell,
            "domain": domain,
            "task": task,
            "room": "",
        }
        for cell, (domain, task) in zip(cells(corpus), split_cells(cells(corpus)), strict=True)
        for number in range(corpus["sample"]["eval"])
    ]
    tasks, domains, rooms = corpus["tasks"], corpus.get("broad_domains", []), ("high", "medium", "low")
    for number in range(corpus.get("broad_eval", {}).get("prompts", 0)):
        task, rest = tasks[number % len(tasks)], number // len(tasks)
        room, domain = rooms[rest % 3], domains[rest // 3 % len(domains)]
        rows.append(
            {
                "prompt_id": f"broad-{number}",
                "eval_set": "broad",
                "cell": "",
                "domain": domain,
                "task": task,
                "room": room,
            }
        )
    return pd.DataFrame(rows).assign(question="simulated")


KINDS = {"grammar": Authors, "symbols": Symbols, "frame_steps": Frames, "operator_steps": Operators}


def population(config: dict[str, Any], experiment: str, absent: Container[str], rng: np.random.Generator) -> Population:
    """A population for the experiment's corpus, and for the lengths of its pretrainings or the channels of its teachers if it has several."""
    models = expand_models(config, experiment)
    kind = KINDS[config["experiments"][experiment]["corpus"]]
    if {model.labels["base"] for model in models} & checkpoints_of(config):
        kind = Checkpoints
    elif experiment == "channels":
        kind = Channels
    return kind(config, experiment, absent, rng)
