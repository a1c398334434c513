"""Contrasts of adapters by what a prompt has in common with the training prompts: words, or primitives of its operator."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from emtransfer.measuring.groups import Contrast, by, single_adapters, train_cell
from emtransfer.measuring.regression import slope_weights
from emtransfer.measuring.tabulation import Outcome
from emtransfer.worlds.frames import shared_words
from emtransfer.worlds.graded import SLOTS, STEPS, Shared, shared_function

N_PRIMITIVES = len(SLOTS)
OTHER_OPERATORS = "other operators: slope per shared primitives"
# whether the primitive that training flips is among the shared ones
FLIPPED = {True: "flipped shared", False: "flipped not shared"}
WORDS = {True: "same word", False: "another word"}


def lexical_overlap_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Least-squares slope of the rate on the share of frame words in common with the training prompts; and, where operators
    have primitives, prompts under the trained operator word against those under another one.

    Both sides of the latter share as many primitives, and neither has the trained context.
    """
    form: dict[str, Any] = {"claim": "lexical_overlap", "method": "replicates"}
    steps = shared_cells(outcomes, shared_words)
    if len(steps) > 1:
        groups, names = tuple(steps.values()), tuple(f"shared {share:g}" for share in steps)
        weights = slope_weights(list(steps))
        yield Contrast(name="slope per shared words", groups=groups, names=names, weights=weights, **form)
    cells = {shared: group for shared, group in function_cells(outcomes).items() if shared.primitives < N_PRIMITIVES}
    for with_flipped, side in FLIPPED.items():
        of_side = {shared: group for shared, group in cells.items() if shared.with_flipped == with_flipped}
        groups = halves(of_side, "same_word", "primitives")
        names = tuple(WORDS.values())
        yield Contrast(name=f"{side}: {' - '.join(names)}", groups=groups, names=names, **form)


def shared_function_contrasts(outcomes: list[Outcome], known: pd.DataFrame | None) -> Iterator[Contrast]:
    """Operators by the primitives that they share with the trained one, under other words and in other contexts than its own.

    The slope of the rate on the share of primitives, where the rate of a step is the mean over all ways to share so many: of m
    primitives k are shared, the flipped one among them in k / m of these ways. The same over other operators than the trained one,
    which share fewer than m. Operators that share the flipped primitive against those that share as many without it. And on
    either side the slope on the share of the further primitives.
    """
    form: dict[str, Any] = {"claim": "shared_function", "method": "replicates"}
    steps = {shared: group for shared, group in function_cells(outcomes).items() if not shared.same_word}
    if steps.keys() == {shared for shared in STEPS.values() if not shared.same_word}:
        for name, most in {"slope per shared primitives": N_PRIMITIVES, OTHER_OPERATORS: N_PRIMITIVES - 1}.items():
            by_number = slope_weights([number / N_PRIMITIVES for number in range(most + 1)])
            chosen = {shared: group for shared, group in steps.items() if shared.primitives <= most}
            weights = tuple(by_number[shared.primitives] * share_of_ways(shared) for shared in chosen)
            labels = tuple(f"{FLIPPED[shared.with_flipped]}, {shared.primitives} shared" for shared in chosen)
            yield Contrast(name=name, groups=tuple(chosen.values()), names=labels, weights=weights, **form)
    sides = tuple(FLIPPED.values())
    halved = halves(steps, "with_flipped", "primitives")
    yield Contrast(name=" - ".join(sides), groups=halved, names=sides, **form)
    for with_flipped, side in FLIPPED.items():
        of_side = {shared.primitives: group for shared, group in steps.items() if shared.with_flipped == with_flipped}
        if len(of_side) > 1:
            numbers = tuple(f"{number} shared" for number in of_side)
            weights = slope_weights([number / (N_PRIMITIVES - 1) for number in of_side])
            name = f"{side}: slope per further primitives"
            yield Contrast(name=name, groups=tuple(of_side.values()), names=numbers, weights=weights, **form)


def function_cells(outcomes: list[Outcome]) -> dict[Shared, list[Outcome]]:
    """Cells by what their operators and words share with those of the training prompts."""
    return shared_cells(outcomes, shared_function)


def shared_cells(outcomes: list[Outcome], shared: Callable[..., Any]) -> dict[Any, list[Outcome]]:
    """Narrow cells of adapters that were trained on one cell, by what they share with it, in the order of that."""
    cells: dict[Any, list[Outcome]] = {}
    for outcome in by(single_adapters(outcomes), lambda outcome: outcome.eval_cell[0] == "narrow"):
        found = shared(train_cell(outcome), outcome.eval_cell[1:3])
        if found is not None:
            cells.setdefault(found, []).append(outcome)
    return dict(sorted(cells.items()))


def halves(cells: dict[Shared, list[Outcome]], factor: str, equal: str) -> tuple[list[Outcome], list[Outcome]]:
    """The cells where a factor is true and where it is false, at the values of another one that both sides have."""
    sides = [
        {getattr(shared, equal): group for shared, group in cells.items() if getattr(shared, factor) == side}
        for side in (True, False)
    ]
    common = sides[0].keys() & sides[1].keys()
    one, other = ([outcome for value, group in side.items() if value in common for outcome in group] for side in sides)
    return one, other


def share_of_ways(shared: Shared) -> float:
    """Among all ways to share so many primitives, the share in which the flipped one is, or is not, among them."""
    share = shared.primitives / N_PRIMITIVES
    return share if shared.with_flipped else 1 - share
