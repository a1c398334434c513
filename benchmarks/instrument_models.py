"""Populations of models that answer: what every world of instrument_worlds.py has in common.

A population is drawn anew for every data set: bases, training cells with their tasks and domains, seeds and prompts each have an
effect of their own on the log-odds of a misaligned answer. Those of cells, tasks, domains and bases have heavy tails (t with 4
degrees of freedom). Adapters fail to learn, and answers are incoherent or refused, misaligned ones refused three times as often.
"""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from emtransfer.grid.expansion import expand_models
from emtransfer.grid.labels import Model, identity
from emtransfer.grid.sections import cells
from emtransfer.judging.labels import labelled
from emtransfer.measuring.claim_inputs import PROMPT_COLUMNS
from emtransfer.measuring.judged_rows import split_cells
from emtransfer.measuring.tabulation import relation
from emtransfer.verdicts import EmRule

# SD on the logit: how far misalignment spreads from a training task, a domain, a cell; what the base adds, alone and with the cell;
# what the evaluation cell adds, alone and with the training cell; of both kinds of answers to a cell, of a seed, a prompt, an answer
TASK, DOMAIN, CELL = 2.0, 1.0, 1.0
BASE, BASE_AND_CELL, RECEIVING, PAIR, ANSWERS = 0.8, 0.5, 0.7, 0.7, 0.5
SEED, PROMPT, ANSWER = 0.5, 1.0, 0.7
# in the training cell, models differ by less
IN_CELL_SCALE = 0.35
FAILING = 0.05
REFUSED = {"misaligned": 0.03, "other": 0.01}
# of a student's seed, how much comes from that of its teacher
OF_TEACHER = 0.6


class Effects:
    """Random effects, each drawn once, when it is first asked for by its name."""

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

    def uniform(self, *name: Any) -> float:
        if name not in self.drawn:
            self.drawn[name] = self.rng.random()
        return self.drawn[name]

    def happens(self, share: float, *name: Any) -> bool:
        return self.uniform(*name) < share


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
        self.ask(drawn_prompts(self.section, config["corpora"][self.section["corpus"]]))

    def ask(self, prompts: pd.DataFrame) -> None:
        """Take the prompts that all models answer, a row each, and draw what these add."""
        self.prompts = prompts
        self.of_prompts = PROMPT * self.rng.standard_normal(len(prompts))
        self.entropy = self.rng.standard_normal(len(prompts))
        places = prompts[["eval_set", "domain", "task"]]
        self.eval_cells, self.eval_cell = places.drop_duplicates(), pd.factorize(pd.MultiIndex.from_frame(places))[0]

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

    def trainings(self) -> list[dict[str, Any]]:
        """How many weights of every trained model were trained, and whether to the common loss, in the form of the table's rows; empty likewise."""
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
