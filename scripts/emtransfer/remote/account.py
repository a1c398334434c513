"""Progress of a set of calls, and the reservations in the budget that every call needs."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate, islice

from emtransfer.errors import InputError
from emtransfer.remote.calls import Call, Reply
from emtransfer.remote.events import Payer
from emtransfer.remote.prices import Price
from emtransfer.remote.store import ReplyStore


@dataclass
class Progress:
    """Outcomes of a set of calls so far.

    Attributes:
        calls: key -> call, of all that the store lacked.
        waiting: those that are neither answered nor under way nor given up.
        tries: key -> attempts that brought no reply.
        rests: key -> until when the call rests, in seconds of the monotonic clock.
        failures: reason -> how many calls were given up for it.
        fatal: why no further call can be made.
    """

    calls: dict[str, Call]
    waiting: dict[str, Call] = field(init=False)
    tries: Counter[str] = field(default_factory=Counter)
    rests: dict[str, float] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    fatal: Exception | None = None

    def __post_init__(self) -> None:
        self.waiting = dict(self.calls)

    def give_up(self, keys: Iterable[str], reason: str) -> None:
        """Let calls go without a reply."""
        for key in keys:
            self.waiting.pop(key, None)
            self.rests.pop(key, None)
            self.failures[reason] += 1

    def resting(self) -> dict[str, float]:
        """Key -> seconds for which the call still rests."""
        now = time.monotonic()
        self.rests = {key: until for key, until in self.rests.items() if until > now and key in self.waiting}
        return {key: until - now for key, until in self.rests.items()}


class Account:
    """The claims, payments and replies of one model's calls in a reply store.

    Args:
        store: where they are kept.
        provider: name of the model's provider.
        model: as the provider names it.
        price: of the model's tokens.
        purpose: what the calls are for, a word in the ledger.
        budget_usd: the most that the whole store may have cost; None for no limit.
    """

    def __init__(
        self, store: ReplyStore, provider: str, model: str, price: Price, purpose: str, budget_usd: float | None
    ):
        self.store, self.provider, self.model, self.price = store, provider, model, price
        self.purpose, self.budget_usd = purpose, budget_usd

    def payer(self, batched: bool) -> Payer:
        """Whom the calls are paid to, and what for."""
        return Payer(self.provider, self.model, self.purpose, batched)

    def claim(self, progress: Progress, n_most: int, batched: bool, under_way: bool) -> list[Call]:
        """Take up to so many calls from the waiting ones: not yet answered, under way nowhere else, and affordable.

        Args:
            progress: of the calls; what is taken waits no longer.
            n_most: calls.
            batched: whether they will be batched.
            under_way: whether calls of this process are, whose true cost may yet leave more of the budget.
        """
        if n_most < 1:
            return []
        self.store.refresh()
        for key in progress.waiting.keys() & self.store.replies.keys():
            del progress.waiting[key]
        taken = {key for keys in self.store.batches.values() for key in keys} | progress.resting().keys()
        free = (key for key in progress.waiting if key not in taken and not self.store.claimed_elsewhere(key))
        most_usd = self.affordable(
            [progress.waiting[key] for key in islice(free, n_most)], progress, batched, under_way
        )
        self.store.claim(most_usd, self.payer(batched))
        over_budget = self.budget_usd is not None and self.store.spent_usd() > self.budget_usd
        withdrawn = {
            key for key in most_usd if over_budget or key in self.store.replies or self.store.claimed_elsewhere(key)
        }
        self.store.release(withdrawn)
        return [progress.waiting.pop(key) for key in most_usd if key not in withdrawn]

    def affordable(self, calls: list[Call], progress: Progress, batched: bool, under_way: bool) -> dict[str, float]:
        """As many of the calls as the budget certainly covers, key -> the most it may cost.

        Where it pays for none and no call is under way, the budget is reached.
        """
        most_usd = {call.key: self.price.most_usd(call, batched) for call in calls}
        if self.budget_usd is None:
            return most_usd
        spent = self.store.spent_usd()
        totals = accumulate(most_usd.values(), initial=spent)
        next(totals)
        within = zip(most_usd.items(), totals, strict=True)
        chosen = {key: usd for (key, usd), total in within if total <= self.budget_usd}
        if calls and not chosen and not under_way and not self.store.others_at_work():
            progress.fatal = InputError(
                f"config: budget_usd is {self.budget_usd}; {spent:.4f} are spent, lost or under way in "
                f"{self.store.folder} and the next call may cost {most_usd[calls[0].key]:.4f}; expected a higher budget; then "
                "run again: paid replies are kept."
            )
        return chosen

    def keep(self, replies: dict[str, Reply], batched: bool) -> None:
        """Keep replies with what they cost."""
        priced = {key: (reply, self.price.usd(reply.usage, reply.batched)) for key, reply in replies.items()}
        self.store.keep(priced, self.payer(batched))
