"""Askers of the loopback server's model, with a reply store in a folder of the test's own, and calls to make."""

from pathlib import Path

from emtransfer.remote.anthropic_api import AnthropicProvider
from emtransfer.remote.asking import Asker, AskingSettings
from emtransfer.remote.calls import Call
from emtransfer.remote.ledger import spending_table
from emtransfer.remote.openai_api import OpenAIProvider
from emtransfer.remote.prices import Price
from emtransfer.remote.store import ReplyStore
from helpers.loopback_api import MODEL

PER_MILLION_TOKENS = {"input": 1, "output": 5, "cache_write": 1.25, "cache_read": 0.1}
PRICE = Price(**PER_MILLION_TOKENS, batch_share=0.5)
# as a config gives them
PRICES = {"date": "2026-01-01", "models": {MODEL: PER_MILLION_TOKENS}}
PROVIDERS = {"anthropic": AnthropicProvider, "openai": OpenAIProvider}


def asker(folder: Path, provider: str = "anthropic", timeout_seconds: float = 60, **settings) -> Asker:
    """An asker with a store of its own view of the folder."""
    asking = AskingSettings("test", **({"poll_seconds": 0.05} | settings))
    return Asker(ReplyStore(folder), PROVIDERS[provider](timeout_seconds), MODEL, PRICE, asking)


def sent(folder: Path) -> tuple[int, int, int]:
    """Calls in the ledger of a store: paid for, refused, lost."""
    table = spending_table(ReplyStore(folder))
    return tuple(int(table[name].sum()) for name in ("calls", "refused", "lost"))


def some_calls(n: int) -> list[Call]:
    return [Call("anthropic", MODEL, "Grade.", f"Answer {number}", 16) for number in range(n)]
