"""Which remote models can be asked, and how a run asks them."""

from dataclasses import dataclass, field
from importlib import import_module

from emtransfer.remote.asking import Asker, AskingSettings
from emtransfer.remote.prices import price_of
from emtransfer.remote.store import ReplyStore


@dataclass(frozen=True)
class RemoteSettings:
    """How remote models are asked; no reply depends on it.

    Attributes:
        store: folder of the reply store.
        prices: `date`, and `models`, name -> fields of Price.
        budget_usd, concurrency, batches, replay_only: see AskingSettings.
        timeout_seconds: of one attempt at a call.
        poll_seconds: between two looks at a batch.
    """

    store: str = "replies"
    prices: dict = field(default_factory=lambda: {"models": {}})
    budget_usd: float | None = None
    concurrency: int = 16
    batches: bool = False
    replay_only: bool = False
    timeout_seconds: float = 120
    poll_seconds: float = 30


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
