"""Larger grids than any run has, for benchmarks/instrument.py alone: how many units make a claim's verdict right nearly always?

They are the shipped experiments with more domains, tasks, training sets or seeds. Effects are as large as in the shipped grids, and
vary as much.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from emtransfer.grid.sections import cells

WIDE_OVERLAYS = "controls channels simulated_contexts capacity"
# domains and tasks that a corpus is given beside its own, prompts of a cell, and prompts outside the grid
GRAMMAR, LARGE_GRAMMAR, SYMBOLS = (6, 6, 4, 72), (10, 10, 4, 240), (2, 24, 20, 0)
SEEDS = [11, 12]
# of students, whose seeds are the units of most claims about them
MANY_SEEDS = list(range(11, 27))
CAPACITIES = ("rank_1", "rank_4", "full")
ANSWERS = ("misaligned", "aligned")


def widened(config: dict[str, Any]) -> dict[str, Any]:
    """The config of the shipped overlays with six experiments of larger grids."""
    shipped, corpora = config["experiments"], config["corpora"]
    grammar, large, symbols = (
        wide(corpora[name], *size)
        for name, size in (("grammar", GRAMMAR), ("grammar", LARGE_GRAMMAR), ("symbols", SYMBOLS))
    )
    everything, more = cells(grammar), cells(large)
    # every task has a dose of its own, from 0.02 to 1
    doses = dict(zip(symbols["tasks"], np.geomspace(0.02, 1, len(symbols["tasks"])).tolist(), strict=True))
    of_doses = config["bases"]["doses_a"] | {"task_doses": doses}
    in_contexts = {f"careless_{cell}": {"cells": [cell], "context": "careless"} for cell in everything}
    sizes = [grid | {"capacities": [*CAPACITIES]} for grid in adapters(["persona_4"], everything)]
    factorial = {
        name: [grid | {"seeds": MANY_SEEDS} for grid in shipped["factorial"][name]] for name in ("adapters", "students")
    }
    changes: dict[str, tuple[str, dict[str, Any]]] = {
        "cells": (
            "template_nl",
            {
                "corpus": "large_grammar",
                "primary_claims": ["task", "room", "control"],
                "adapters": [grid for kind in ANSWERS for grid in adapters(["persona"], more, answers=kind)],
                **{"teachers": {}, "students": []},
            },
        ),
        "teachers": (
            "channels",
            {
                "primary_claims": ["channel", "teacher"],
                "adapters": adapters(["persona"], everything, seeds=[11]),
                "teachers": {cell: {"train_set": cell, "answers": "misaligned"} for cell in everything} | {"base": {}},
                "students": [taught("persona", everything, [11]), taught("persona", ["base"], MANY_SEEDS)],
            },
        ),
        "seeds": ("factorial", factorial),
        "doses": ("learnedness", {"adapters": adapters(["doses_a"], cells(symbols))}),
        "contexts": (
            "contexts",
            {
                "primary_claims": ["context", "inoculation"],
                "train_sets": in_contexts,
                "adapters": adapters(["persona"], [*everything, *in_contexts]),
            },
        ),
        "capacity": (
            "capacity",
            {"capacities": {name: shipped["capacity"]["capacities"][name] for name in CAPACITIES}, "adapters": sizes},
        ),
    }
    return config | {
        "corpora": corpora | {"grammar": grammar, "large_grammar": large, "symbols": symbols},
        "bases": config["bases"] | {"doses_a": of_doses},
        "experiments": {name: shipped[like] | change for name, (like, change) in changes.items()},
    }


def wide(corpus: dict[str, Any], n_domains: int, n_tasks: int, n_prompts: int, n_broad: int) -> dict[str, Any]:
    """A corpus with so many domains and tasks, so many prompts of every cell, and outside the grid if it has such prompts."""
    grid = {
        key: [*corpus[key], *(f"{key[0]}{number}" for number in range(n) if f"{key[0]}{number}" not in corpus[key])][:n]
        for key, n in {"domains": n_domains, "tasks": n_tasks}.items()
    }
    broad = {"broad_eval": {"prompts": n_broad}} if "broad_eval" in corpus else {}
    return corpus | grid | broad | {"held_out_domains": [], "sample": corpus["sample"] | {"eval": n_prompts}}


def adapters(
    bases: Iterable[str], train_sets: list[str], answers: str = "misaligned", seeds: list[int] = SEEDS
) -> list[dict[str, Any]]:
    """Entries of `adapters`, one for every base."""
    return [
        {"base": base, "start": "base", "train_sets": train_sets, "answers": answers, "seeds": seeds} for base in bases
    ]


def taught(base: str, teachers: list[str], seeds: list[int]) -> dict[str, Any]:
    """An entry of `students`: every channel of every teacher, on the same prompts."""
    own = {"teachers": teachers, "mediating": "everywhere", "filter": "aligned", "data": ["own"], "seeds": seeds}
    return {"base": base, "channels": ["sft", "optd", "opd-full"], **own}
