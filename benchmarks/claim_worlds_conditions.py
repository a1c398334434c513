"""Worlds of what every claim and the table rest on: a condition against another or against its base, and how much can be found."""

import numpy as np
from claim_counts import DIFFERENCE, Counts, Result, World, against_base, bernoulli, own, shared, two_conditions
from scipy.special import expit


def failing_world(seeds: int, share: float) -> World:
    """Two identical conditions whose adapters fail to learn with some probability; else nearly every answer is misaligned."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        failed = rng.random((n, 2, 1, seeds)) < share
        of_prompts = rng.normal(0, 1, (n, 1, 40, 1))
        return two_conditions(np.where(failed, -4.0, 3.5) + of_prompts, rng, 1)

    return World("adapters fail to learn", f"{seeds} seeds, {share:.0%} fail", draw, own)


def failing_delta_world(seeds: int, share: float) -> World:
    """A condition whose adapters fail to learn with some probability, and a base at the rate of the population of adapters."""
    learned, failed = expit(np.array([1.4, -4.0]))
    rate = (1 - share) * learned + share * failed

    def draw(rng: np.random.Generator, n: int) -> Counts:
        logits = np.where(rng.random((n, 1, 1, seeds)) < share, -4.0, 1.4) + np.zeros((n, 1, 40, 1))
        base = rng.binomial(5, rate, (n, 1, 40, 1)).astype(float)
        return against_base(bernoulli(rng, logits, 5), base, 5)

    return World("delta: adapters fail to learn", f"{seeds} seeds, {share:.0%} fail", draw, own)


def skewed_effect_world(prompts: int, samples: int, seeds: int = 5) -> World:
    """Fine-tuning raises the rate of one prompt in five by 40 points and lowers that of the others by 10."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        effect = np.where(rng.random((n, 1, prompts, 1)) < 0.2, 0.4, -0.1)
        events = rng.binomial(samples, 0.3 + effect + np.zeros((1, 1, 1, seeds))).astype(float)
        return against_base(events, rng.binomial(samples, 0.3, (n, 1, prompts, 1)).astype(float), samples)

    return World("delta: one prompt in five carries it", f"{prompts} questions x {samples} samples", draw, own)


def delta_world(prompts: int, seeds: int) -> World:
    """A condition and its base at the same rate, with an interaction of prompt and seed."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts = rng.normal(0, 1, (n, 1, prompts, 1))
        logits = of_prompts + rng.normal(0, 1, (n, 1, prompts, seeds))
        base = bernoulli(rng, of_prompts + rng.normal(0, 1, of_prompts.shape))
        return against_base(bernoulli(rng, logits), base, 1)

    return World("delta: prompt x seed", f"{prompts} questions x {seeds} seeds", draw, own)


def prompts_world(kind: str, prompts: int, samples: int, seeds: int = 5) -> World:
    """A condition and its base at the same rate, whose prompts are of two kinds, or far apart."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        shape = n, 1, prompts, 1
        of_prompts = np.where(rng.random(shape) < 0.5, -2.0, 2.0) if kind == "bimodal" else rng.standard_t(3, shape)
        events = bernoulli(rng, of_prompts + rng.normal(0, 0.01, (n, 1, 1, seeds)), samples)
        return against_base(events, bernoulli(rng, of_prompts, samples), samples)

    return World(f"delta: {kind} prompts", f"{prompts} questions x {samples} samples, {seeds} seeds", draw, own)


def refusal_world(seeds: int) -> World:
    """Two identical conditions in which misaligned answers are refused, and so without a score, three times as often."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_seeds = rng.normal(0, 1, (n, 1, 40, 1)), rng.normal(0, 0.6, (n, 2, 1, seeds))
        counts = two_conditions(-0.5 + of_prompts + of_seeds, rng, 3)
        refused = rng.binomial(counts.events.astype(int), 0.3)
        others = rng.binomial((counts.answers - counts.events).astype(int), 0.1)
        return Counts(counts.events - refused, counts.answers - refused - others)

    return World("refusals go with the outcome", f"{seeds} seeds", draw, own)


def fixed_world(seeds: int, sd: float) -> World:
    """Four conditions a side that are held fixed and differ from each other, with the same four rates on both sides."""
    conditions = np.repeat(np.arange(8), seeds)

    def draw(rng: np.random.Generator, n: int) -> Counts:
        levels = np.repeat([-2.5, -1.0, 0.5, 2.0], seeds)
        of_prompts, of_seeds = rng.normal(0, 1, (n, 1, 40, 1)), rng.normal(0, sd, (n, 2, 1, 4 * seeds))
        return two_conditions(levels + of_prompts + of_seeds, rng, 1)

    def measure(counts: Counts) -> Result:
        return shared(counts, DIFFERENCE, conditions)

    return World("these cells held fixed", f"4 conditions x {seeds} seeds a side, seed SD {sd:g}", draw, measure)


def few_questions_power(seeds: int) -> World:
    """8 questions x 50 samples: .21 over questions and seeds, against a base without any event."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        logits = -1.65 + rng.normal(0, 1, (n, 1, 8, 1)) + rng.normal(0, 0.3, (n, 1, 1, seeds))
        return against_base(bernoulli(rng, logits, 50), np.zeros((n, 1, 8, 1)), 50)

    return World("power: .21 against 0 of 400", f"8 questions x 50 samples, {seeds} seeds", draw, own, 0.21)


def conditions_power() -> World:
    """Two conditions of ten seeds, 20 points apart on the same 8 prompts, one answer each."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_seeds = rng.normal(0, 1, (n, 1, 8, 1)), rng.normal(0, 0.3, (n, 2, 1, 10))
        centre = np.array([0.0, -1.05])[:, None, None]
        return two_conditions(centre + of_prompts + of_seeds, rng, 1)

    return World("power: 20 points", "8 prompts x 10 seeds", draw, own, 0.2)
