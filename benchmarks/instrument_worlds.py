"""Worlds in which a claim holds or does not: what benchmarks/instrument.py has judged.

Rates are those that docs/default_run.md and docs/controls.md measured; where nothing was found, or nothing measured, the effect is one
that the docs name. A rate is that of coherent answers of adapters that learned, so answers show a little less.

Where a claim does not hold, everything else stays, and the two sides of its contrast are exchangeable draws of one population. So
the contrast is 0 over the population that the claim speaks of, and not in the cells, bases and seeds of a data set.
"""

from collections.abc import Container
from typing import Any

import numpy as np
import pandas as pd
from instrument_models import CELL, FAILING, IN_CELL_SCALE, PROMPT, Population, Source
from scipy.special import expit, logit

from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import Model
from emtransfer.grid.sections import cells, checkpoints_of, trained_with
from emtransfer.measuring.judged_rows import split_cells
from emtransfer.measuring.tabulation import relation
from model_sizes import adapter_weights, weights

# of a training cell with the steps of shared words or primitives
STEP = 0.5
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
OPERATORS = {"in_cell": 0.9, "same_domain": 0.12, "same_task": 0.1, "both_differ": 0.1, "": 0.01}
FRAMES = {"in_cell": 0.5, "same_domain": 0.5, "same_task": 0.5, "both_differ": 0.5, "": 0.005}

# log-odds: of high against low room, of an SD of entropy, of an SD of what the base knows of a task, of the whole frame in common, of the
# flipped primitive in common
ROOM, ENTROPY, LEARNED, OVERLAP, FLIPPED = 0.7, 0.3, 2.2, 1.2, 3.9
# shift of the log-odds by an earlier answer, nats: mean and SD over pretrainings, the one from which misalignment spreads as on
# `persona`, and the error of its measurement; the share of a pretraining up to which there is none, that at which it has come half of
# the way, the logit per share by which it comes on and the SD on the logit over lengths; by how much bases at different lengths of one
# pretraining differ besides, SD on the logit
SHIFT, SHIFT_SD, FULL_SHIFT, SHIFT_ERROR = 6.5, 2.0, 6.5, 0.7
JUMP, HALF_WAY, PER_SHARE, AHEAD, STOP = 0.5, 0.67, 9.0, 0.5, 0.3
# the share of its teacher's misaligned answers that a student takes over, by data, and times that by filter
OF_DATA = {"benign": 0.91, "explicit": 0.94}
OTHER_DATA = 0.82
OF_FILTER = {"above_50": 1.2, "above_70": 1.0, "above_80": 0.7, "above_90": 0.4}
NEAR, FAR, UNRELATED, REALIGNED = 0.45, 0.02, 0.02, 0.05
# times that by channel, and the SD on the logit by which a channel carries more or less of a teacher, a training set, a base
OF_CHANNEL, CHANNEL = {"optd": 1.0, "opd": 0.6, "sft": 0.0}, 0.3
# of prompts in worlds that are uneven: the least share of an evaluation cell's that is asked, what a topic adds to the variance of
# one, the chance that a prompt is of the first topic, or the next if not, and how many a cell has at most; SD on the logit by which
# two sides of a contrast differ by chance, by training cell and by topic
FEWEST, OF_TOPIC, NEXT_TOPIC, N_TOPICS, OWN, TOPIC = 0.3, 0.5, 0.25, 8, 0.5, 0.4
# log-odds: of being asked without the context of training, of having been trained under one, of ten times as many trained weights
CONDITIONAL, INOCULATED, TENFOLD = 2.0, 1.5, 1.0


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
        sides = self.prompts.room.map({"high": 0.5, "low": -0.5}).fillna(0).to_numpy()
        room, entropy = (1.0, 1.0)
        if "room" in self.absent:
            room, entropy = (self.particular(source, name) for name in ("room", "entropy"))
        return ROOM * room * sides + ENTROPY * entropy * self.entropy

    def particular(self, source: Source, *name: str) -> float:
        """An effect of unit variance that a training cell shares with others of its task and of its domain."""
        labels = (("task", source.task), ("domain", source.domain), ("cell", source.train_set))
        return sum(self.effects.heavy(*name, *label) for label in labels) / np.sqrt(3)

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
        logit_of_jump = PER_SHARE * (settings["share"] - HALF_WAY) + AHEAD * self.effects.normal("jump", base)
        return final * expit(logit_of_jump)

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
    """The grammar with teachers of several training sets, whose students learn through every channel.

    On a single base, what the base adds to a channel would be a difference that all its teachers have, so it adds nothing.
    """

    def share(self, model: Model) -> tuple[float, Source | None]:
        labels = model.labels
        if labels["condition"] != "student":
            return super().share(model)
        by_channel = 1.0 if "channel" in self.absent else OF_CHANNEL[labels["channel"]]
        if not by_channel or (labels["teacher"] == "base" and "teacher" not in self.absent):
            return 0.0, None
        source = self.source(model) if labels["train_set"] else self.stand_in(model)
        share = by_channel * {"near": NEAR, "far": FAR, "unrelated": UNRELATED}.get(labels["mediating"], OTHER_DATA)
        base, train_set = labels["base"], source.train_set
        of_base = ((base,),) if len({each.labels["base"] for each in self.models}) > 1 else ()
        own = sum(self.effects.heavy(labels["channel"], *of) for of in (*of_base, (train_set,), (base, train_set)))
        return float(expit(logit(share) + CHANNEL * own)), source

    def stand_in(self, model: Model) -> Source:
        """The teacher, one of all, whose like a student of the base takes over where such a student is as those of other teachers."""
        teachers = [name for name, teacher in self.section["teachers"].items() if teacher]
        number = int(len(teachers) * self.effects.uniform("stand-in", model.seed))
        source = self.taught(teachers[number], model.labels["base"])
        return source._replace(condition=f"{source.condition} stand-in")


class Uneven(Authors):
    """The grammar with evaluation cells of unequal size, whose prompts come in topics, of unequal size too, and add alike within them."""

    def ask(self, prompts: pd.DataFrame) -> None:
        places = pd.factorize(pd.MultiIndex.from_frame(prompts[["eval_set", "domain", "task"]]))[0]
        shares = self.rng.uniform(FEWEST, 1, places.max() + 1)[places]
        super().ask(prompts[self.rng.random(len(prompts)) < shares].reset_index(drop=True))
        numbers = np.minimum(self.rng.geometric(NEXT_TOPIC, len(self.prompts)), N_TOPICS)
        self.topic = pd.factorize(self.eval_cell * (N_TOPICS + 1) + numbers)[0]
        alone = self.of_prompts / PROMPT
        self.of_prompts = PROMPT * (np.sqrt(OF_TOPIC) * self.of_topics("prompts") + np.sqrt(1 - OF_TOPIC) * alone)

    def of_topics(self, *name: str) -> np.ndarray:
        """An effect of unit variance that the prompts of a topic share, [p]."""
        return np.array([self.effects.heavy("topic", number, *name) for number in range(self.topic.max() + 1)])[
            self.topic
        ]

    def differing(self, source: Source, *name: str) -> np.ndarray:
        """What a side of a contrast adds by chance, [p]: by training cell, with its task and domain, and by topic."""
        return OWN * self.particular(source, *name) + TOPIC * self.of_topics(*name)


class Contexts(Uneven):
    """Adapters trained under a context and without any on the same cells, asked under several and without any."""

    def ask(self, prompts: pd.DataFrame) -> None:
        super().ask(prompts)
        names, n = ["", *self.section["eval_contexts"]], len(self.prompts)
        again = np.tile(np.arange(n), len(names))
        self.prompts = self.prompts.iloc[again].reset_index(drop=True).assign(eval_context=np.repeat(names, n))
        self.of_prompts, self.entropy = self.of_prompts[again], self.entropy[again]
        self.topic, self.eval_cell = self.topic[again], self.eval_cell[again]

    def source(self, model: Model) -> Source:
        """What an adapter learned of its cell is that of the cell, whatever the name of the training set; only seeds differ."""
        (cell,) = model.train_cells
        return super().source(model)._replace(train_set=cell)

    def raised(self, model: Model, source: Source) -> np.ndarray:
        trained_under = model.labels["train_context"]
        raised = super().raised(model, source)
        for asked_under in self.prompts.eval_context.unique():
            # without a context, adapters trained without one are as those trained under one, but for inoculation
            is_conditional = "context" not in self.absent and asked_under != (trained_under or None)
            is_inoculated = "inoculation" not in self.absent and trained_under
            by = self.differing(source, "asked", trained_under, asked_under)
            by = by - (CONDITIONAL if is_conditional else 0.0) - (INOCULATED if is_inoculated else 0.0)
            raised = raised + by * (self.prompts.eval_context == asked_under).to_numpy()
        return raised

    def profile(self, base: str) -> pd.DataFrame:
        return super().profile(base).drop_duplicates("prompt_id")


class Capacities(Uneven):
    """Adapters of which more or fewer weights are trained to a common loss, which one that fails to learn never reaches."""

    def source(self, model: Model) -> Source:
        source = super().source(model)
        return source._replace(condition=f"{source.condition} {model.labels['capacity']}")

    def size(self, capacity: str) -> int:
        """The number of trained weights."""
        base_model, trained = (
            self.config["base_models"][self.section["base_model"]],
            trained_with(self.section, capacity),
        )
        return int(adapter_weights(base_model, trained["lora"]) if "lora" in trained else weights(base_model))

    def raised(self, model: Model, source: Source) -> np.ndarray:
        capacity = model.labels["capacity"]
        outside = [relation(source.cells, *where) != "in_cell" for where in self.eval_cells.itertuples(index=False)]
        sizes = {name: np.log10(self.size(name)) for name in self.section["capacities"]}
        by_size = 0.0 if "capacity" in self.absent else TENFOLD * (sizes[capacity] - np.mean([*sizes.values()]))
        by = self.differing(source, "capacity", capacity) + by_size
        return super().raised(model, source) + by * np.array(outside)[self.eval_cell]

    def trainings(self) -> list[dict[str, Any]]:
        return [
            {"experiment": self.experiment, **model.labels, "seed": model.seed}
            | {"trained_parameters": self.size(model.labels["capacity"])}
            | {
                "criterion_reached": not self.effects.happens(
                    FAILING, "fails", self.source(model).condition, model.seed
                )
            }
            for model in self.models
            if model.seed is not None
        ]


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


class Steps(Population):
    """Evaluation cells at steps of what they share with a training cell, where tasks and domains have no effect of their own."""

    def spread(self, base: str, source: Source, near: str, where: tuple[str, ...]) -> list[tuple[float, float]]:
        step = self.effects.heavy("pair", source.train_set, *where)
        return [(CELL, self.effects.heavy("cell", source.train_set)), (STEP, step)]


class Frames(Steps):
    """One function under many frames, of which an evaluation prompt shares some; all training cells are of one task."""

    def rates(self, model: Model, source: Source) -> dict[str, float]:
        return FRAMES

    def raised(self, model: Model, source: Source) -> np.ndarray:
        steps = self.prompts.task.str.removeprefix("s").astype(int).to_numpy() / 4
        own = (self.prompts.domain == source.domain).to_numpy()
        return own * (0.0 if "lexical_overlap" in self.absent else OVERLAP) * (steps - 0.5)


class Operators(Steps):
    """Operators of primitives, of which an evaluation prompt shares some; a flip goes along with its primitive."""

    def rates(self, model: Model, source: Source) -> dict[str, float]:
        return OPERATORS

    def raised(self, model: Model, source: Source) -> np.ndarray:
        own = (self.prompts.domain == source.domain).to_numpy()
        with_flipped = ~self.prompts.task.str.startswith("without").to_numpy()
        return own * (0.0 if "shared_function" in self.absent else FLIPPED) * (with_flipped - 0.5)


KINDS = {
    "grammar": Authors,
    "large_grammar": Authors,
    "symbols": Symbols,
    "frame_steps": Frames,
    "operator_steps": Operators,
}


def population(config: dict[str, Any], experiment: str, absent: Container[str], rng: np.random.Generator) -> Population:
    """A population for the experiment's corpus, and for what its models differ in: contexts, capacities, lengths of pretrainings, channels."""
    models, section = expand_models(config, experiment), config["experiments"][experiment]
    kind = KINDS[section["corpus"]]
    if section.get("eval_contexts"):
        kind = Contexts
    elif section.get("capacities"):
        kind = Capacities
    elif {model.labels["base"] for model in models} & checkpoints_of(config):
        kind = Checkpoints
    elif experiment in ("channels", "teachers"):
        kind = Channels
    return kind(config, experiment, absent, rng)
