"""Make calls through the reply store: replies that it holds are not requested again, and new ones are kept at once.

Every attempt is claimed in the store before it is made, where other processes and the budget see it, and the claim stands
until a reply or an error says what it came to; the SDKs' own retries, which nobody would count, are off. A process that sees
another's claim on the same call after writing its own withdraws, so that of two at least one waits; neither goes by clocks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from emtransfer.errors import InputError, counted
from emtransfer.remote.account import Account, Progress
from emtransfer.remote.attempts import Attempts, Screen, may_try_again
from emtransfer.remote.batching import BATCH_CALLS, Batching
from emtransfer.remote.calls import Call, Reply
from emtransfer.remote.prices import Price
from emtransfer.remote.providers import BatchProvider, CallFailed, Provider
from emtransfer.remote.store import ReplyStore

# attempts lost, or calls given up, in a row beyond which a provider counts as down, unless more calls are made at once
FEWEST_IN_A_ROW = 8
# a thread is given up after this many times an attempt's time limit
PATIENCE = 2


@dataclass(frozen=True)
class AskingSettings:
    """Settings of calls; no reply depends on them.

    Attributes:
        purpose: what the calls are for, a word in the ledger.
        concurrency: calls under way at once.
        batches: whether calls are handed in as batches, where the provider takes them.
        budget_usd: the most that the whole store may have cost; None for no limit.
        replay_only: whether a reply that the store lacks is an error instead of a call.
        poll_seconds: between two looks at a batch, or at a call that another process makes.
    """

    purpose: str
    concurrency: int = 16
    batches: bool = False
    budget_usd: float | None = None
    replay_only: bool = False
    poll_seconds: float = 30


class Asker:
    """Asks one model of one provider.

    Args:
        store: where replies are kept.
        provider: of the model.
        model: name of the model.
        price: of the model's tokens.
        settings: how calls are made.
    """

    def __init__(self, store: ReplyStore, provider: Provider, model: str, price: Price, settings: AskingSettings):
        self.store, self.provider, self.model, self.settings = store, provider, model, settings
        self.account = Account(store, provider.name, model, price, settings.purpose, settings.budget_usd)
        self.screen = Screen(store.beat)
        self.batching = (
            Batching(self.account, provider, self.screen, settings.poll_seconds)
            if isinstance(provider, BatchProvider)
            else None
        )

    def ask_all(self, calls: Iterable[Call]) -> dict[str, Reply]:
        """Replies to calls, each of which is kept as it comes.

        Returns:
            key -> reply, of every call.

        Raises:
            InputError: some calls have no reply – replay only, the budget is reached, the provider refuses them, or
                they failed after all attempts. Every reply that did come is kept, so the next run asks for the rest.
        """
        by_key = {call.key: call for call in calls}
        progress = Progress({key: call for key, call in by_key.items() if key not in self.store.replies})
        if progress.waiting and self.settings.replay_only:
            raise InputError(
                f"{self.store.folder}: {len(progress.waiting)} of {counted(len(by_key), 'reply', 'replies')} of {self.model} {'is' if len(progress.waiting) == 1 else 'are'} missing, "
                f"the first {next(iter(progress.waiting))[:16]}; expected all of them, since this run only replays."
            )
        if progress.waiting:
            self.provider.connect()
            if self.batching and self.settings.batches:
                self.ask_in_batches(self.batching, progress)
            else:
                self.ask_one_by_one(progress)
        if progress.fatal:
            raise progress.fatal
        if progress.failures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(progress.failures.items()))
            n_missing = sum(key not in self.store.replies for key in by_key)
            raise InputError(
                f"{self.model}: {n_missing} of {counted(len(by_key), 'call')} got no reply ({reasons}); expected one each; "
                "run again to ask for these, the others are kept."
            )
        return {key: self.store.replies[key] for key in by_key}

    # ---- one by one

    def ask_one_by_one(self, progress: Progress) -> None:
        """Make the waiting calls, several at once, and keep each reply as it comes."""
        concurrency = self.settings.concurrency
        attempts = Attempts(self.store.beat, PATIENCE * self.provider.timeout_seconds)
        in_a_row, last = 0, None
        while attempts.running or (progress.waiting and not progress.fatal):
            resting = progress.resting()
            if not progress.fatal:
                # a call that rests keeps its place, so that a provider that is busy is not asked for all others meanwhile
                n_free = concurrency - len(attempts.running) - len(resting)
                for call in self.account.claim(progress, n_free, batched=False, under_way=bool(attempts.running)):
                    attempts.begin(call.key, partial(self.provider.ask, call))
            if attempts.running:
                for key, outcome in attempts.outcomes(min([self.settings.poll_seconds, *resting.values()])):
                    last, in_a_row = outcome, self.settle(key, outcome, progress, in_a_row)
            elif resting:
                self.screen.sleep(min(resting.values()))
            elif progress.waiting and not progress.fatal:
                self.wait_for_others(progress)
            if in_a_row > max(concurrency, FEWEST_IN_A_ROW):
                # nothing has come for this long: the provider is down, or its replies cannot be read
                progress.give_up(list(progress.waiting), f"not made, after many in a row: {last}")

    def settle(self, key: str, outcome: Any, progress: Progress, in_a_row: int) -> int:
        """Keep the reply of an attempt, or say what its claim came to.

        Returns:
            How many attempts in a row were lost, or were the last of their call, with this one.
        """
        if isinstance(outcome, Reply):
            self.account.keep({key: outcome}, batched=False)
            return 0
        if isinstance(outcome, CallFailed):
            (self.store.lose if outcome.perhaps_paid else self.store.refuse)([key])
            progress.tries[key] += 1
            if not may_try_again(outcome, progress.tries[key]):
                progress.give_up([key], str(outcome))
                return in_a_row + 1
            progress.waiting[key] = progress.calls[key]
            progress.rests[key] = self.screen.rest(outcome, progress.tries[key])
            return in_a_row + outcome.perhaps_paid
        # a mistake of the user's was answered with an error; the outcome of anything else is unknown
        (self.store.refuse if isinstance(outcome, InputError) else self.store.lose)([key])
        progress.fatal = progress.fatal or outcome
        return in_a_row

    # ---- batches

    def ask_in_batches(self, batching: Batching, progress: Progress) -> None:
        """Hand the waiting calls in as batches, read the batches, and hand in again what has no reply, a few times."""
        while progress.waiting and not progress.fatal:
            claimed = self.account.claim(progress, BATCH_CALLS, batched=True, under_way=False)
            if claimed:
                batching.hand_in(claimed, progress)
            elif progress.waiting and not progress.fatal:
                self.wait_for_others(progress)

    def wait_for_others(self, progress: Progress) -> None:
        """Nothing can be asked now: read the open batches that hold a waiting call, or pause."""
        waiting = progress.waiting.keys()
        open_batches = [batch for batch, keys in self.store.batches.items() if not waiting.isdisjoint(keys)]
        if self.batching and open_batches:
            for batch in open_batches:
                self.batching.read(batch, progress)
        elif resting := progress.resting():
            self.screen.sleep(min(resting.values()))
        else:
            others = f"{counted(len(waiting), 'call waits', 'calls wait')} for another process that makes them or uses the budget"
            self.screen.pause(others, self.settings.poll_seconds)
