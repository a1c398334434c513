"""Remote models that can be called, and the settings of a run's calls."""

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated

from emtransfer.remote.asking import Asker, AskingSettings
from emtransfer.remote.prices import PriceTable, price_of
from emtransfer.remote.store import ReplyStore
from emtransfer.settings import Elsewhere, Positive, Rate, Weight


@dataclass(frozen=True)
class RemoteSettings:
    """Calls to models behind a provider's API, and their budget; no result depends on these settings.

    Attributes:
        prices: Prices of the providers; a model without a price is refused.
        budget_usd: Hard limit on the total cost of all replies in the reply store; null for no limit.
        concurrency: Calls of one job under way at once.
        batches: Whether calls are submitted as batches, which are slower and cheaper, if the provider accepts them.
        timeout_seconds: Time limit of one attempt at a call.
        poll_seconds: Time between two polls of a batch.
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
