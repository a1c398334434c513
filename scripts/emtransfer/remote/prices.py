"""Costs of calls: a price table with its date, and the most that a call can cost before it is made."""

import json
from dataclasses import dataclass

from emtransfer.errors import InputError
from emtransfer.remote.calls import Call, Usage
from emtransfer.settings import Date, Share, Weight

MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """Prices of a model.

    Attributes:
        input: Dollars per million input tokens.
        output: Dollars per million output tokens.
        cache_write: Dollars per million tokens that are written to the provider's cache.
        cache_read: Dollars per million tokens that are read from the provider's cache.
        batch_share: Share of these prices that a batched call costs.
    """

    input: Weight
    output: Weight
    cache_write: Weight
    cache_read: Weight
    batch_share: Share = 1.0

    def usd(self, usage: Usage, batched: bool) -> float:
        """Dollars for a finished call."""
        full = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_tokens * self.cache_write
            + usage.cache_read_tokens * self.cache_read
        )
        return full / MILLION * (self.batch_share if batched else 1)

    def most_usd(self, call: Call, batched: bool) -> float:
        """Dollars that a call cannot exceed: no text has more tokens than bytes, and the reply is cut at its limit."""
        # a request's own frame of roles and markers is counted too; it is far below this
        n_input = len((call.system + call.prompt + call.options).encode(errors="replace")) + 100
        n_output = max(call.max_tokens, json.loads(call.options).get("max_completion_tokens", 0))
        dearest = max(self.input, self.cache_write)
        full = n_input * dearest + n_output * self.output
        return full / MILLION * (self.batch_share if batched else 1)


@dataclass(frozen=True)
class PriceTable:
    """Prices of the providers; a model without a price is refused.

    Attributes:
        date: Day on which the prices were looked up, YYYY-MM-DD.
        models: Name of a model, as its provider writes it -> dollars per million tokens.
    """

    date: Date
    models: dict[str, Price]


def price_of(prices: PriceTable, model: str) -> Price:
    """The price of a model.

    Args:
        prices: of all models that may be asked.

    Raises:
        InputError: the table does not name the model.
    """
    if model not in prices.models:
        known = ", ".join(prices.models) or "no model"
        raise InputError(f"config: remote.prices.models has {known}; expected a price for {model} (0 if it is free).")
    return prices.models[model]
