"""Cells with planted numbers of misaligned answers, and prompts with planted measures, for tests of the claims."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from emtransfer.grid.labels import LABELS
from emtransfer.measuring.matching import prompt_measures
from emtransfer.measuring.tabulation import COUNTS, Outcome, relation

SEEDS = ("11", "12", "13")
# what is known of every prompt, unless a test says otherwise: nothing that needs a neutral version or given answers
KNOWN = {"coherent_rate": 1.0, "aligned_rate": 1.0, "entropy_nats": 0.0, "solvability": np.nan} | dict.fromkeys(
    ("aligned_nats_per_token", "misaligned_nats_per_token"), np.nan
)
# small differences between seeds, so that a difference of means has a spread
JITTER = dict(zip(SEEDS, (-0.05, 0.0, 0.05), strict=True))


def decision(verdict):
    """A verdict without whom it speaks of."""
    return verdict.split(" for ")[0]


def seeded(rate):
    """A rate for every seed, around the one given."""
    return {seed: float(np.clip(rate + shift, 0, 1)) for seed, shift in JITTER.items()}


def planted_cell(eval_cell, rates, train=None, n_prompts=20, coherent=None, **labels):
    """A cell of an adapter trained on `train`, or without it of the base; labels given win.

    Args:
        eval_cell: (domain, task), narrow, or all values with or without that of the context.
        rates: by seed, or one for the base.
        train: (domain, task).
    """
    eval_cell = ("narrow", *eval_cell, "") if len(eval_cell) == 2 else eval_cell
    eval_cell = (*eval_cell, "")[:5]
    rates = rates if isinstance(rates, dict) else {"": rates}
    return labelled_cell(eval_cell, train, planted_counts(eval_cell, rates, n_prompts, coherent), **labels)


def labelled_cell(eval_cell, train, counts, **labels):
    """As `planted_cell`, with counts at hand."""
    domain, task = train or ("", "")
    names = dict.fromkeys([*LABELS, "experiment", "judge"], "") | {"experiment": "nl", "base": "persona"}
    trained = {"condition": "adapter", "start": "base", "answers": "misaligned", "train_set": f"{domain}-{task}"}
    own = trained | {"train_domain": domain, "train_task": task} if train else {"condition": "base"}
    cells = (train,) if train else ()
    return Outcome(names | own | labels, (*eval_cell, "")[:5], relation_of(eval_cell, train), counts, cells)


def relation_of(eval_cell, train):
    """How near the training cell, if any, is to the evaluation cell."""
    return relation((train,) if train else (), *eval_cell[:3])


def planted_counts(eval_cell, rates, n_prompts=20, coherent=None):
    """Counts of one answer per prompt and seed: the first `rate` of the prompts are misaligned, whatever the seed.

    Args:
        rates: by seed.
        coherent: prompts with a coherent answer, the last ones; all without it.
    """
    answers = []
    for seed, rate in rates.items():
        for prompt in range(n_prompts):
            misaligned = prompt < round(rate * n_prompts)
            is_coherent = coherent is None or prompt >= n_prompts - coherent
            answers.append((seed, prompt, is_coherent or misaligned, misaligned))
    return counts_of(eval_cell, answers)


def counts_of(eval_cell, answers: Iterable[tuple[str, int, bool, bool]]) -> pd.DataFrame:
    """Counts of answers, one per prompt and seed, from (seed, number of the prompt, coherent, misaligned) of each."""
    rows = []
    for seed, prompt, coherent, misaligned in answers:
        counted = dict.fromkeys(COUNTS, 0) | {"n_answers": 1, "n_scored": 1, "n_coherent": int(coherent)}
        planted = {"n_misaligned": int(misaligned), "n_misaligned_le": int(misaligned)}
        rows.append({"prompt_id": f"{'-'.join(eval_cell[:4])}-{prompt}", "seed": seed} | counted | planted)
    return pd.DataFrame(rows).set_index(["prompt_id", "seed"])


def known_prompts(cells, **columns):
    """What is known of the prompts of the base, the given columns by prompt number."""
    ids = sorted({prompt for cell in cells for prompt in cell.counts.index.unique("prompt_id")})
    number = np.array([int(name.rsplit("-", 1)[1]) for name in ids])
    frame = pd.DataFrame({"prompt_id": ids, **KNOWN})
    frame = frame.assign(**{name: values(number) for name, values in columns.items()})
    return prompt_measures(cells, {("nl", "persona"): frame})
