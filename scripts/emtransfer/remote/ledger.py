"""What was spent, by provider, model, purpose and manner of call."""

from dataclasses import asdict

import pandas as pd

from emtransfer.remote.calls import Usage
from emtransfer.remote.store import ReplyStore

KEYS = ["provider", "model", "purpose", "batched"]
TOKENS = list(Usage.__dataclass_fields__)


def spending_table(store: ReplyStore) -> pd.DataFrame:
    """One row per provider, model, purpose and whether the calls were batched: calls, tokens by kind, dollars."""
    rows = [
        {key: getattr(payment, key) for key in KEYS} | {"calls": 1} | asdict(payment.usage) | {"usd": payment.usd}
        for payment in store.payments.values()
    ]
    table = pd.DataFrame(rows, columns=[*KEYS, "calls", *TOKENS, "usd"])
    return table.groupby(KEYS, as_index=False, sort=True).sum()
