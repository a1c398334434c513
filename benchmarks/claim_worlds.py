"""Worlds in which a contrast has a known truth, most of them none: what benchmarks/claims.py simulates.

Nothing in a world is what the statistics assume: effects of training cells, tasks, domains, seeds and prompts lie on the logit,
adapters fail to learn, refusals go with the outcome. Every world draws anew what its claim speaks of.
"""

from collections.abc import Iterator
from itertools import product

from claim_counts import World
from claim_worlds_adapters import (
    capacity_world,
    learnedness_world,
    overlap_world,
    room_tasks_world,
    room_world,
    task_world,
)
from claim_worlds_bases import composition_world, inference_world, unequal_world
from claim_worlds_conditions import (
    conditions_power,
    delta_world,
    failing_delta_world,
    failing_world,
    few_questions_power,
    fixed_world,
    prompts_world,
    refusal_world,
    skewed_effect_world,
)
from claim_worlds_shifts import shift_worlds
from claim_worlds_students import FACTORIAL, channel_world, factorial_world, teacher_world


def worlds() -> Iterator[World]:
    """All settings."""
    for n_cells, seeds, sd in [*product([12], [2, 3, 5], [0.0, 1.0, 2.0]), *product([2, 4], [3, 10], [1.0, 2.0])]:
        yield task_world("task: spread per training cell", n_cells, seeds, sd, "cell")
    for level, sd in product(("task", "domain"), (1.0, 2.0)):
        yield task_world(f"task: spread per training {level}", 12, 3, sd, level)
    for n_domains, n_tasks, sd in ((3, 4, 1.5), (8, 8, 1.5)):
        yield task_world("task: spread per task and per domain", 0, 1, sd, "both", 3, (n_domains, n_tasks))
    for sd in (4.0, 8.0):
        yield task_world("task: spread per domain, saturated", 12, 1, sd, "domain")
    for seeds, sd in product((2, 5), (0.6, 1.5)):
        yield learnedness_world(3, seeds, sd)
    for sd in (1.0, 2.0):
        yield room_world(3, sd)
    for n_tasks, sd, of_training in ((4, 1.0, 0.0), (4, 2.0, 0.0), (4, 1.0, 0.7), (8, 1.0, 0.7)):
        yield room_tasks_world(n_tasks, sd, of_training)
    for seeds, rate in product((2, 5, 10), (0.05, 0.3)):
        yield composition_world(seeds, rate)
    for unequal in (4, 8):
        yield unequal_world(unequal)
    for pretrainings, lengths in ((3, 3), (5, 3), (10, 3), (5, 1)):
        yield inference_world(pretrainings, lengths)
    for seeds, share in product((3, 5, 10), (0.1, 0.2)):
        yield failing_world(seeds, share)
    for seeds, share in product((3, 5, 10), (0.1, 0.2)):
        yield failing_delta_world(seeds, share)
    for prompts, samples in ((4, 60), (8, 20), (40, 3)):
        yield skewed_effect_world(prompts, samples)
    for prompts, seeds in ((8, 10), (4, 5), (8, 3), (40, 3)):
        yield delta_world(prompts, seeds)
    for kind in ("bimodal", "heavy-tailed"):
        for prompts, samples in ((4, 50), (8, 50), (40, 1)):
            yield prompts_world(kind, prompts, samples)
    for seeds in (3, 10):
        yield refusal_world(seeds)
    for name, seeds in product(FACTORIAL, (2, 3, 10)):
        yield factorial_world(name, seeds)
    for n_domains, n_tasks in ((3, 2), (3, 4)):
        yield teacher_world(n_domains, n_tasks)
    for n_sets, n_bases in ((3, 1), (3, 2), (4, 3)):
        yield channel_world(n_sets, n_bases)
    for missed in (0.0, 0.1, 0.2, 0.5):
        yield capacity_world(missed)
    for families in (4, 8):
        yield overlap_world(families)
    for seeds, sd in product((2, 3, 10), (0.0, 0.6)):
        yield fixed_world(seeds, sd)
    for seeds in (3, 10):
        yield few_questions_power(seeds)
    yield conditions_power()
    yield from shift_worlds()
