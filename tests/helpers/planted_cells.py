"""Cells with planted numbers of misaligned answers, for tests of the claims."""

import pandas as pd

from emtransfer.grid import LABELS
from emtransfer.measuring.tabulation import COUNTS, Outcome, relation


def planted_counts(eval_cell, rates, n_prompts=20, coherent=None):
    """Counts of one answer per prompt and seed: the first `rate` of the prompts are misaligned, whatever the seed.

    Args:
        rates: by seed.
        coherent: prompts with a coherent answer, the last ones; all without it.
    """
    rows = []
    for seed, rate in rates.items():
        for prompt in range(n_prompts):
            n_coherent = int(coherent is None or prompt >= n_prompts - coherent)
            event = int(prompt < round(rate * n_prompts))
            counted = dict.fromkeys(COUNTS, 0) | {"n_answers": 1, "n_scored": 1, "n_coherent": max(n_coherent, event)}
            planted = {"n_misaligned": event, "n_misaligned_le": event}
            rows.append({"prompt_id": f"{'-'.join(eval_cell)}-{prompt}", "seed": seed} | counted | planted)
    return pd.DataFrame(rows).set_index(["prompt_id", "seed"])


def planted_cell(eval_cell, rates, train=None, n_prompts=20, coherent=None, **labels):
    """A cell of an adapter trained on `train`, or without it of the base; labels given win.

    Args:
        eval_cell: (domain, task), narrow, or all four values.
        rates: by seed, or one for the base.
        train: (domain, task).
    """
    eval_cell = eval_cell if len(eval_cell) == 4 else ("narrow", *eval_cell, "")
    domain, task = train or ("", "")
    names = dict.fromkeys([*LABELS, "experiment", "judge"], "") | {"experiment": "nl", "base": "persona"}
    trained = {"condition": "adapter", "start": "base", "answers": "misaligned", "train_set": f"{domain}-{task}"}
    own = trained | {"train_domain": domain, "train_task": task} if train else {"condition": "base"}
    rates = rates if isinstance(rates, dict) else {"": rates}
    near = relation((train,) if train else (), *eval_cell[:3])
    return Outcome(names | own | labels, eval_cell, near, planted_counts(eval_cell, rates, n_prompts, coherent))
