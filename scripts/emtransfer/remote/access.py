"""Which remote models can be asked, and how a run asks them."""

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

from emtransfer.remote.asking import Asker, AskingSettings
from emtransfer.remote.prices import PriceTable, price_of
from emtransfer.remote.store import ReplyStore
from emtransfer.settings import Elsewhere, Positive, Rate, Weight


@dataclass(frozen=True)
class RemoteSettings:
    """How models behind a provider's API are asked, and what they may cost; no result depends on it.

    Attributes:
        prices: What the providers charge; a model without a price is not asked.
        budget_usd: The most that all replies in the reply store may have cost; a hard stop. Null for no limit.
        concurrency: Calls of one job under way at once.
        batches: Whether calls are handed in as batches, slower and cheaper, where a provider takes them.
        timeout_seconds: Of one attempt at a call.
        poll_seconds: Between two looks at a batch.
        store: Folder of the reply store.
        replay_only: Whether a reply that the store lacks is an error instead of a call.
    """

    prices: PriceTable
    budget_usd: Weight | None = None
    concurrency: Positive = 16
    batches: bool = False
    timeout_seconds: Rate = 120
    poll_seconds: Rate = 30
    store: Annotated[str, Elsewhere()] = "replies"
    replay_only: Annotated[bool, Elsewhere()] = False


# name -> the module that speaks to it; it is imported where the provider is asked, since an SDK takes a second
PROVIDERS = {
    "anthropic": "emtransfer.remote.anthropic_api",
    "openai": "emtransfer.remote.openai_api",
}

# those that take batches
BATCHING = ("anthropic",)


def remote_asker(provider: str, model: str, remote: RemoteSettings, purpose: str) -> Asker:
    """An asker of one model.

    Raises:
        InputError: the price table does not name the model.
    """
    manner = AskingSettings(
        purpose, remote.concurrency, remote.batches, remote.budget_usd, remote.replay_only, remote.poll_seconds
    )
    price = price_of(remote.prices, model)
    connected = import_module(PROVIDERS[provider]).connect(remote.timeout_seconds)
    return Asker(ReplyStore(remote.store), connected, model, price, manner)
