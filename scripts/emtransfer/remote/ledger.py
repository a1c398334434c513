"""Spending by provider, model, purpose and kind of call."""

from dataclasses import asdict

import pandas as pd

from emtransfer.remote.calls import Usage
from emtransfer.remote.events import UNITS_PER_USD, Payer
from emtransfer.remote.store import ReplyStore

KEYS = list(Payer.__dataclass_fields__)
TOKENS = list(Usage.__dataclass_fields__)
COUNTS = ["calls", *TOKENS, "usd", "refused", "lost", "lost_usd"]


def spending_table(store: ReplyStore) -> pd.DataFrame:
    """One row per provider, model, purpose and whether the calls were batched.

    Returns:
        calls: replies that were paid for, with their tokens by kind and dollars; refused: attempts that were answered with an
        error and cost nothing; lost: attempts whose outcome is unknown, including those under way, and
        lost_usd, the most that these may have cost. The three together are what was sent.
    """
    paid = [
        asdict(kept.payer) | {"calls": 1} | asdict(kept.reply.usage) | {"usd": kept.units}
        for kept in store.payments.values()
    ]
    refused = [asdict(payer) | {"refused": number} for payer, number in store.refused.items()]
    lost = [
        asdict(payer) | {"lost": number, "lost_usd": store.lost_units[payer]} for payer, number in store.lost.items()
    ]
    unknown = [asdict(claim.payer) | {"lost": 1, "lost_usd": claim.most_units} for claim in store.open_claims()]
    table = pd.DataFrame([*paid, *refused, *lost, *unknown], columns=[*KEYS, *COUNTS])
    table[COUNTS] = table[COUNTS].fillna(0).astype("int64")
    table = table.groupby(KEYS, as_index=False, sort=True).sum()
    # dollars last, since whole units add up to the same in any order
    return table.assign(usd=table.usd / UNITS_PER_USD, lost_usd=table.lost_usd / UNITS_PER_USD)
