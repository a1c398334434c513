"""Which remote models can be asked, and how a run asks them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from emtransfer.remote.asking import Asker, AskingSettings
from emtransfer.remote.prices import price_of
from emtransfer.remote.providers import Provider
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


def anthropic_provider(remote: RemoteSettings) -> Provider:
    """Anthropic's API."""
    # the SDK takes a second to import
    from emtransfer.remote.anthropic_api import AnthropicProvider

    return AnthropicProvider(remote.timeout_seconds)


def openai_provider(remote: RemoteSettings) -> Provider:
    """OpenAI's API, or any server that speaks it."""
    # the SDK takes a second to import
    from emtransfer.remote.openai_api import OpenAIProvider

    return OpenAIProvider(remote.timeout_seconds)


PROVIDERS: dict[str, Callable[[RemoteSettings], Provider]] = {
    "anthropic": anthropic_provider,
    "openai": openai_provider,
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
    return Asker(ReplyStore(remote.store), PROVIDERS[provider](remote), model, price, manner)
