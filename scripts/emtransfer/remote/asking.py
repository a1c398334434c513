"""Make calls through the reply store: what it holds is not asked again, what comes back is kept at once.

Before a call is made it is claimed in the store, where other processes see it. A process that sees another's claim on the
same call after writing its own withdraws, so that of two at least one waits; neither goes by clocks.
"""

import random
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import accumulate, islice

from emtransfer.errors import InputError
from emtransfer.remote.calls import Call, Reply
from emtransfer.remote.prices import Price
from emtransfer.remote.providers import BatchProvider, CallFailed, Provider
from emtransfer.remote.store import Batch, ReplyStore

# well below what a provider takes in one batch, in number and in bytes
BATCH_CALLS = 10_000
BATCH_ROUNDS = 6


@dataclass(frozen=True)
class AskingSettings:
    """How calls are made; no reply depends on it.

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


@dataclass
class Progress:
    """What has come of a set of calls so far.

    Attributes:
        waiting: key -> call that is neither answered nor under way nor failed.
        failures: reason -> how many calls have no reply for it.
        fatal: why no further call can be made.
    """

    waiting: dict[str, Call]
    failures: Counter[str] = field(default_factory=Counter)
    fatal: InputError | None = None


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
        self.store, self.provider, self.model, self.price, self.settings = store, provider, model, price, settings
        self.takes_batches = isinstance(provider, BatchProvider)
        self.batches = settings.batches and self.takes_batches
        # why calls of batches have failed, by key; what was last waited for
        self.reasons: dict[str, str] = {}
        self.pausing = ""

    def ask_all(self, calls: Iterable[Call]) -> dict[str, Reply]:
        """Replies to calls, each made at most once.

        Returns:
            key -> reply, of every call.

        Raises:
            InputError: some calls have no reply – replay only, the budget is reached, the provider refuses them, or
                they failed after all retries. Every reply that did come is kept, so the next run asks for the rest.
        """
        by_key = {call.key: call for call in calls}
        progress = Progress({key: call for key, call in by_key.items() if key not in self.store.replies})
        if progress.waiting and self.settings.replay_only:
            raise InputError(
                f"{self.store.folder}: {len(progress.waiting)} of {len(by_key)} replies of {self.model} are missing, "
                f"the first {next(iter(progress.waiting))[:16]}; expected all of them, since this run only replays."
            )
        if progress.waiting:
            (self.ask_in_batches if self.batches else self.ask_one_by_one)(progress)
        if progress.fatal:
            raise progress.fatal
        if progress.failures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(progress.failures.items()))
            n_missing = sum(key not in self.store.replies for key in by_key)
            raise InputError(
                f"{self.model}: {n_missing} of {len(by_key)} calls got no reply ({reasons}); expected one each; "
                "run again to ask for these, the others are kept."
            )
        return {key: self.store.replies[key] for key in by_key}

    # ---- one by one

    def ask_one_by_one(self, progress: Progress) -> None:
        """Make the waiting calls, several at once, and keep each reply as it comes."""
        concurrency, in_a_row = self.settings.concurrency, 0
        with ThreadPoolExecutor(concurrency) as pool:
            running: dict[Future[Reply], Call] = {}
            while running or (progress.waiting and not progress.fatal):
                if not progress.fatal:
                    claimed = self.claim(progress, concurrency - len(running), under_way=bool(running))
                    running |= {pool.submit(self.provider.ask, call): call for call in claimed}
                if not running:
                    if progress.waiting and not progress.fatal:
                        self.wait_for_others(progress)
                    continue
                done, _ = wait(running, timeout=self.settings.poll_seconds, return_when=FIRST_COMPLETED)
                for future in done:
                    replied = self.settle(future, running.pop(future), progress)
                    in_a_row = 0 if replied else in_a_row + 1
                self.store.renew(call.key for call in running.values())
                if in_a_row > concurrency:
                    # nothing has come for as many calls as are under way at once: the provider is down
                    progress.failures["not made after these"] += len(progress.waiting)
                    progress.waiting = {}

    def settle(self, future: Future[Reply], call: Call, progress: Progress) -> bool:
        """Keep the reply of a finished call, or give up its claim; whether there was a reply."""
        try:
            reply = future.result()
        except CallFailed as error:
            progress.failures[str(error)] += 1
            (self.store.lose if error.perhaps_paid else self.store.release)([call.key])
        except InputError as error:
            progress.fatal = error
            self.store.release([call.key])
        else:
            self.keep({call.key: reply})
            return True
        return False

    # ---- batches

    def ask_in_batches(self, progress: Progress) -> None:
        """Hand the waiting calls in as batches, then read the batches, and hand in again what failed, a few times."""
        rounds: Counter[str] = Counter()
        while progress.waiting and not progress.fatal:
            claimed = self.claim(progress, BATCH_CALLS, under_way=False)
            if not claimed:
                if progress.waiting and not progress.fatal:
                    self.wait_for_others(progress)
            elif any(rounds[call.key] == BATCH_ROUNDS for call in claimed):
                self.store.release(call.key for call in claimed)
                given_up = [call for call in claimed if rounds[call.key] == BATCH_ROUNDS]
                progress.failures.update(self.reasons.get(call.key, "not in its batch's results") for call in given_up)
                progress.waiting |= {call.key: call for call in claimed if rounds[call.key] < BATCH_ROUNDS}
            else:
                rounds.update(call.key for call in claimed)
                progress.waiting |= {call.key: call for call in claimed}
                self.hand_in(claimed, progress)

    def hand_in(self, calls: list[Call], progress: Progress) -> None:
        """Hand in claimed calls and record the batch; if that fails, nothing stays claimed."""
        keys = [call.key for call in calls]
        try:
            assert isinstance(self.provider, BatchProvider), "calls are handed in only where batches are taken"
            batch_id = self.provider.submit(calls, self.store.batch_ids)
        except CallFailed as error:
            progress.failures[str(error)] += len(progress.waiting)
            progress.waiting = {}
            (self.store.lose if error.perhaps_paid else self.store.release)(keys)
        except InputError as error:
            progress.fatal = error
            self.store.release(keys)
        else:
            self.store.open_batch(batch_id, keys)

    def wait_for_others(self, progress: Progress) -> None:
        """Nothing can be asked now: read the open batches that hold a waiting call, or pause."""
        open_batches = [
            batch for batch, keys in self.store.batches.items() if not progress.waiting.keys().isdisjoint(keys)
        ]
        if not open_batches or not self.takes_batches:
            self.pause(f"{len(progress.waiting)} calls wait for another process that makes them or uses the budget")
        for batch in open_batches if self.takes_batches else []:
            try:
                self.read_batch(batch)
            except CallFailed as error:
                progress.failures[f"{error}, reading batch {batch.id}"] += len(progress.waiting)
                progress.waiting = {}
            except InputError as error:
                progress.fatal = error

    def read_batch(self, batch: Batch) -> None:
        """Wait for a batch, whoever handed it in, and keep its replies."""
        keys = self.store.batches[batch]
        assert isinstance(self.provider, BatchProvider), "a batch is of a provider that takes them"
        while (results := self.provider.results(batch.id, keys)) is None:
            self.store.renew(keys)
            self.pause(f"batch {batch.id} with {len(keys)} calls is being worked on")
        self.keep(results.replies)
        self.store.close_batch(batch)
        self.reasons |= results.failures
        if results.foreign:
            print(
                f"Batch {batch.id}: {len(results.foreign)} results with a foreign id, the first {results.foreign[0]}; "
                "they are ignored."
            )

    # ---- claims, money

    def claim(self, progress: Progress, n_most: int, under_way: bool) -> list[Call]:
        """Take up to so many calls from the waiting ones: not yet answered, claimed by nobody else, and affordable."""
        self.store.refresh()
        for key in progress.waiting.keys() & self.store.replies.keys():
            del progress.waiting[key]
        in_batches = {key for keys in self.store.batches.values() for key in keys} if self.takes_batches else ()
        free = (key for key in progress.waiting if key not in in_batches and not self.store.claimed_elsewhere(key))
        most_usd = self.affordable([progress.waiting[key] for key in islice(free, n_most)], progress, under_way)
        self.store.claim(most_usd)
        over_budget = self.settings.budget_usd is not None and self.store.spent_usd() > self.settings.budget_usd
        lost = {
            key for key in most_usd if over_budget or key in self.store.replies or self.store.claimed_elsewhere(key)
        }
        self.store.release(lost)
        return [progress.waiting.pop(key) for key in most_usd if key not in lost]

    def affordable(self, calls: list[Call], progress: Progress, under_way: bool) -> dict[str, float]:
        """As many of the calls as the budget surely pays for, key -> the most it may cost.

        Where it pays for none and no call is under way, whose true cost may yet leave more, the budget is reached.
        """
        most_usd = {call.key: self.price.most_usd(call, self.batches) for call in calls}
        budget = self.settings.budget_usd
        if budget is None:
            return most_usd
        spent = self.store.spent_usd()
        totals = accumulate(most_usd.values(), initial=spent)
        next(totals)
        chosen = {key: usd for (key, usd), total in zip(most_usd.items(), totals, strict=True) if total <= budget}
        if calls and not chosen and not under_way and not self.store.others_at_work():
            progress.fatal = InputError(
                f"config.yaml: budget_usd is {budget}; {spent:.4f} are spent or under way in {self.store.folder} and the "
                f"next call may cost {most_usd[calls[0].key]:.4f}; expected a higher budget; run again then, what was "
                "paid for is kept."
            )
        return chosen

    def keep(self, replies: dict[str, Reply]) -> None:
        """Keep replies with what they cost."""
        priced = {key: (reply, self.price.usd(reply.usage, reply.batched)) for key, reply in replies.items()}
        self.store.keep(priced, self.provider.name, self.model, self.settings.purpose)

    def pause(self, reason: str) -> None:
        """Wait a little, never twice equally long, so that two processes do not stay in step; say why, once."""
        if reason != self.pausing:
            print(f"Waiting: {reason}.", flush=True)
            self.pausing = reason
        time.sleep(self.settings.poll_seconds * random.uniform(0.5, 1))
