"""Rows of the tables of claims and of transfer in plain words."""

from typing import Any

import pandas as pd

from emtransfer.errors import counted

LEVEL = 0.05
# subsets of effects.csv, in which a claim is counted in another way
SUBSETS = {
    "coherent_only": "among coherent answers",
    "le30": "had the EM rule been “at most”",
    "matched": "prompts of equal difficulty",
    "loss_matched": "training sets learned equally well",
    "pretrained": "by inference before the aligned phase",
    "anchors_replaced": "judged without telling phrases",
}


def in_words(verdict: Any) -> str:
    """A verdict of claims.csv as an answer: to the claim, for a population or, of a narrower verdict, for these models alone."""
    if not isinstance(verdict, str) or not verdict:
        return "Has none"
    kind, _, population = verdict.partition(" for ")
    whose = "" if not population or population.startswith("these ") else f", for {population}"
    if kind.startswith("too few "):
        return f"Too few {kind.removeprefix('too few ')} to generalize"
    return {"supported": "Yes", "contradicted": "No, the opposite"}.get(kind, kind.capitalize()) + whose


def difference(row: dict[str, Any]) -> str:
    """Difference and 95 % interval in points."""
    return f"{points(row['estimate_pp'])} ({points(row['low_pp'])} to {points(row['high_pp'])})"


def points(value: float) -> str:
    """Points, whole ones from 10 on; 0 has no sign."""
    if pd.isna(value):
        return "?"
    # adding 0 turns -0.0 into 0.0
    rounded = round(value, 0 if abs(value) >= 10 else 1) + 0.0
    return f"{rounded:,.{0 if abs(rounded) >= 10 or rounded == 0 else 1}f}".replace("-", "−")


def nats(value: float) -> str:
    """Nats per token to two decimals, below 0.1 to three; 0 has no sign."""
    decimals = 2 if abs(value) >= 0.1 else 3
    return "?" if pd.isna(value) else f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")


def could_find(detectable: float, is_slope: bool) -> str:
    """The detectable difference of a contrast in words: the smallest that it finds four times in five."""
    if pd.isna(detectable):
        return "nothing about others"
    if detectable > 100 and not is_slope:
        return "nothing: over 100"
    return f"{points(detectable)} or more"


def is_real(row: Any, n_tests: int) -> str:
    """Whether a cell's difference from its base is more than chance, by p and q of the table."""
    if pd.isna(row.p_value):
        return "cannot be told: one seed, or one prompt"
    if row.q_value < LEVEL:
        return f"yes: q = {row.q_value:.2g} over {counted(n_tests, 'cell')}"
    if row.p_value < LEVEL:
        return f"taken alone, yes (p = {row.p_value:.2g}); as one of {counted(n_tests, 'cell')} tested at once, undecided (q = {row.q_value:.2g})"
    return f"no: chance could have done this (p = {row.p_value:.2g})"


def origin(base_model: dict[str, Any]) -> str:
    """Where a base model's weights are from, by its section of the config."""
    if hub := base_model.get("hub"):
        return ", ".join([hub["path"], *(f"revision {hub[key]}" for key in ["revision"] if hub.get(key))])
    if package := base_model.get("package"):
        return f"{package['file']} of the Python package {package['name']} {package['version']}, SHA-256 {package['sha256']}"
    shape = base_model["architecture"]
    return f"trained in this run: {shape['num_hidden_layers']} layers of width {shape['hidden_size']}"


def percent(rate: float) -> str:
    """A rate as a whole percentage; one that is not quite 0 or 100 is not called that."""
    if pd.isna(rate):
        return "?"
    if 0 < rate < 0.005 or 0.995 < rate < 1:
        return "under 1 %" if rate < 0.5 else "over 99 %"
    return f"{rate:.0%}".replace("%", " %")
