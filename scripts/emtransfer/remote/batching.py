"""Calls that are submitted as batches: one attempt for all of them, whose results arrive later, for whichever process reads them."""

from collections import Counter
from functools import partial

from emtransfer.errors import InputError, counted
from emtransfer.remote.account import Account, Progress
from emtransfer.remote.attempts import TRIES, Attempts, Screen, may_try_again, rest_seconds
from emtransfer.remote.calls import Call
from emtransfer.remote.events import Batch
from emtransfer.remote.providers import BatchGone, BatchProvider, BatchResults, CallFailed

# well below what a provider takes in one batch, in number and in bytes
BATCH_CALLS = 10_000
# how often a call that comes back without a reply is submitted
BATCH_ROUNDS = 6


class Batching:
    """Hands in batches, and reads those that are open, whoever handed them in.

    Args:
        account: of the model.
        provider: of the model.
        screen: on which waits are told.
        poll_seconds: between two looks at a batch.

    Attributes:
        whole: key -> how often the whole batch of the call was lost. It is handed in once more by itself, not twice.
    """

    def __init__(self, account: Account, provider: BatchProvider, screen: Screen, poll_seconds: float):
        self.account, self.provider, self.screen, self.poll_seconds = account, provider, screen, poll_seconds
        self.store = account.store
        self.attempts = Attempts(self.store.beat)
        self.whole: Counter[str] = Counter()

    def hand_in(self, calls: list[Call], progress: Progress) -> None:
        """Hand in claimed calls and record the batch."""
        keys = [call.key for call in calls]
        progress.waiting |= {call.key: call for call in calls}
        try:
            ids = self.attempts.outcome(partial(self.provider.submit, calls, self.store.batch_ids))
        except CallFailed as failure:
            self.not_accepted(keys, failure, progress)
        except InputError as error:
            self.store.refuse(keys)
            progress.fatal = error
        else:
            for batch_id in ids:
                self.store.open_batch(batch_id, keys)

    def not_accepted(self, keys: list[str], failure: CallFailed, progress: Progress) -> None:
        """A batch that was turned away rests and is handed in again; of one that may have been accepted, see `lose`."""
        if failure.perhaps_paid:
            self.store.lose(keys)
            self.lose(keys, f"batch unconfirmed ({failure})", "a batch", progress)
            return
        self.store.refuse(keys)
        progress.tries.update(keys)
        n_tries = progress.tries[keys[0]]
        if may_try_again(failure, n_tries):
            progress.rests |= dict.fromkeys(keys, self.screen.rest(failure, n_tries))
        else:
            progress.give_up(keys, str(failure))

    def lose(self, keys: list[str], reason: str, name: str, progress: Progress) -> None:
        """Give up a batch as a whole: it counts with the most it may have cost, and is handed in once more, not twice."""
        ours = [key for key in keys if key in progress.waiting]
        self.whole.update(ours)
        given_up = [key for key in ours if self.whole[key] > 1]
        progress.give_up(given_up, reason)
        rest = (
            f"; {counted(len(ours) - len(given_up), 'of them is', 'of them are')} submitted once more"
            if len(given_up) < len(ours)
            else ""
        )
        print(
            f"Lost {name} of {counted(len(keys), 'call')}: {reason}. They are counted at the most they may have cost{rest}.",
            flush=True,
        )

    # ---- reading

    def read(self, batch: Batch, progress: Progress) -> None:
        """Wait for a batch and keep its replies; what has none is handed in again, a few times."""
        keys = list(self.store.batches[batch])
        try:
            results = self.wait_for(batch, keys)
        except BatchGone as error:
            self.store.close_batch(batch, lost=keys)
            self.lose(keys, str(error), f"batch {batch.id}", progress)
        except CallFailed as failure:
            ours = [key for key in keys if key in progress.waiting]
            progress.give_up(ours, f"{failure}, reading batch {batch.id}")
            print(
                f"Batch {batch.id}: {failure}; the next run polls again. To give it up, which counts its calls as lost: "
                f"python scripts/tabulate_spending.py --store {self.store.folder} --discard {batch.id} (docs/remote_models.md).",
                flush=True,
            )
        except InputError as error:
            progress.fatal = error
        else:
            self.account.keep(results.replies, batched=True)
            self.store.close_batch(batch, results.refused, results.lost)
            self.go_on(results, progress)
            if results.n_odd:
                print(f"Batch {batch.id}: {results.n_odd} odd results are skipped; {results.first_odd}.", flush=True)

    def wait_for(self, batch: Batch, keys: list[str]) -> BatchResults:
        """The results of a batch, looked for until they are there; a look that fails is repeated, which costs nothing."""
        n_failed = 0
        while True:
            try:
                results: BatchResults | None = self.attempts.outcome(partial(self.provider.results, batch.id, keys))
                if results is not None:
                    return results
                n_failed, seconds = 0, self.poll_seconds
            except CallFailed as failure:
                n_failed += 1
                if not failure.again or n_failed == TRIES:
                    raise
                seconds = rest_seconds(failure, n_failed)
            self.screen.pause(f"batch {batch.id} with {counted(len(keys), 'call')} is in progress", seconds)

    def go_on(self, results: BatchResults, progress: Progress) -> None:
        """What has come of the calls of a batch that was read."""
        for key, reason in (results.refused | results.lost).items():
            progress.tries[key] += 1
            if key in progress.waiting and progress.tries[key] >= BATCH_ROUNDS:
                progress.give_up([key], reason)
