"""Worlds of claims about bases: composition and inference."""

import numpy as np
from claim_counts import Counts, Result, World, own, two_conditions
from scipy.special import expit

from emtransfer.measuring.regression import clustered_slope


def composition_world(bases: int, rate: float) -> World:
    """Bases of two mixtures, two adapters each, asked the same prompts."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_bases = rng.normal(0, 1, (n, 1, 120, 1)), rng.normal(0, 0.6, (n, 2, 1, bases))
        return two_conditions(np.log(rate / (1 - rate)) + of_prompts + of_bases, rng, 2)

    return World("composition", f"{bases} bases a mixture, rate {rate:g}", draw, own)


def unequal_world(most: int) -> World:
    """Four bases a mixture, of which each has one adapter or, one in four, `most`."""

    def draw(rng: np.random.Generator, n: int) -> Counts:
        of_prompts, of_bases = rng.normal(0, 1, (n, 1, 12, 1)), rng.normal(0, 1, (n, 2, 1, 4))
        of_adapters = rng.normal(0, 0.3, (n, 2, 1, 4, most))
        adapters = np.where(rng.random((n, 2, 1, 4)) < 0.25, most, 1)
        there = np.arange(most) < adapters[..., None]
        logits = -0.5 + of_prompts[..., None] + of_bases[..., None] + of_adapters
        drawn = np.where(there, rng.random(logits.shape) < expit(logits), 0).sum(-1)
        asked = np.broadcast_to(there.sum(-1), drawn.shape)
        events, answers = np.zeros((2, n, 2, 12, 8))
        for side in (0, 1):
            columns = slice(4 * side, 4 * side + 4)
            events[:, side, :, columns], answers[:, side, :, columns] = drawn[:, side], asked[:, side]
        return Counts(events, answers)

    return World("composition, unequal", f"4 bases a mixture of 1 or {most} adapters", draw, own)


def inference_world(pretrainings: int, lengths: int) -> World:
    """Bases at several lengths of pretrainings, each with an effect and a trend of its own, whatever they infer; one more pretraining infers nothing."""
    share = np.linspace(1, 0, lengths)[::-1]
    inferred = np.append(np.outer(np.linspace(4, 9, pretrainings), share), 0.0)
    read = np.append(np.tile(share - 0.5, pretrainings), 0.0)
    clusters = np.append(np.repeat(np.arange(pretrainings), lengths), pretrainings)
    # of three training cells in eleven others, 40 prompts each
    n_answers = 3 * 11 * 40

    def draw(rng: np.random.Generator, n: int) -> Counts:
        effects, trends = (rng.normal(0, sd, (n, pretrainings + 1))[:, clusters] for sd in (0.8, 1.0))
        logits = -1.0 + effects + trends * read + rng.normal(0, 0.3, (n, len(clusters)))
        events = rng.binomial(n_answers, expit(logits)).astype(float)[:, None, None]
        return Counts(events, np.full(events.shape, float(n_answers)))

    def measure(counts: Counts) -> Result:
        rates = (counts.events / counts.answers)[:, 0, 0]
        fits = [clustered_slope(inferred, rate, clusters) for rate in rates]
        return Result(*(np.array([fit[name] for fit in fits]) for name in ("slope", "low", "high", "p_value")))

    return World("inference", f"{pretrainings} pretrainings at {lengths} lengths, and one more", draw, measure)
