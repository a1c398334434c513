"""Repeated attempts at calls without a reply, the rests between them, and attempts for which Ctrl-C need not wait."""

import math
import random
import threading
import time
from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

from emtransfer.remote.providers import CallFailed
from emtransfer.remote.writers import BEAT_SECONDS

# attempts at one call that were answered with an error, which costs nothing
TRIES = 9
# attempts at one call that may or may not have been paid for
LOST_TRIES = 6
FIRST_REST_SECONDS = 0.5
# whatever a server asks for
LONGEST_REST_SECONDS = 60


def may_try_again(failure: CallFailed, n_tries: int) -> bool:
    """Whether another attempt is due after the given number."""
    return failure.again and n_tries < (LOST_TRIES if failure.perhaps_paid else TRIES)


def rest_seconds(failure: CallFailed, n_tries: int) -> float:
    """How long a call rests after so many attempts: as the server asks, else twice as long each time, up to a limit."""
    doubled = FIRST_REST_SECONDS * 2 ** (n_tries - 1) * random.uniform(0.75, 1)
    asked = failure.after_seconds
    return min(LONGEST_REST_SECONDS, doubled if asked is None else asked)


class Screen:
    """Waits that are told, each once, and end at once where the user interrupts.

    Args:
        beat: what shows other processes that this one is at work; it is called every few seconds.
    """

    def __init__(self, beat: Callable[[], None]):
        self.beat, self.said = beat, ""

    def say(self, reason: str) -> None:
        """Say why this process waits, unless that was the last thing it said."""
        if reason != self.said:
            print(f"Waiting: {reason}.", flush=True)
            self.said = reason

    def pause(self, reason: str, seconds: float) -> None:
        """Wait about so long, never twice equally, so that two processes do not stay in step; say why."""
        self.say(reason)
        self.sleep(seconds * random.uniform(0.5, 1))

    def sleep(self, seconds: float) -> None:
        """Wait exactly so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.beat()
            time.sleep(min(left, BEAT_SECONDS / 2))

    def rest(self, failure: CallFailed, n_tries: int) -> float:
        """When the next attempt is due, by the monotonic clock; a wait that the server asks for is told."""
        seconds = rest_seconds(failure, n_tries)
        if failure.after_seconds and failure.after_seconds >= 1:
            asked = f"the provider asks for {failure.after_seconds:.0f} s ({failure})"
            self.say(asked if seconds == failure.after_seconds else f"{asked}; the next attempt is in {seconds:.0f} s")
        return time.monotonic() + seconds


class Attempts:
    """Work under way in threads of their own, which end with the process, so that whoever is interrupted waits for none.

    Args:
        beat: as of Screen.
        longest_seconds: after which work is given up.

    Attributes:
        running: name -> number of the attempt, and when it was begun, in seconds of the monotonic clock.
    """

    def __init__(self, beat: Callable[[], None], longest_seconds: float = math.inf):
        self.beat, self.longest_seconds = beat, longest_seconds
        self.running: dict[str, tuple[int, float]] = {}
        self.numbers = count()
        self.done: SimpleQueue[tuple[str, int, Any]] = SimpleQueue()

    def begin(self, name: str, work: Callable[[], Any]) -> None:
        """Begin some work, none of whose name is under way."""
        number = next(self.numbers)
        self.running[name] = number, time.monotonic()
        threading.Thread(target=self.do, args=(name, number, work), daemon=True).start()

    def do(self, name: str, number: int, work: Callable[[], Any]) -> None:
        """Do some work; what it returns or raises is its outcome."""
        try:
            outcome = work()
        except Exception as error:
            outcome = error
        self.done.put((name, number, outcome))

    def outcomes(self, seconds: float) -> list[tuple[str, Any]]:
        """What has ended, waited for at most so long: name, and what was returned or raised.

        A server that sends a byte now and then keeps an SDK's own limit of time from being reached, so what takes far too long
        is given up here.
        """
        ended = []
        try:
            name, number, outcome = self.done.get(timeout=min(max(seconds, 0.001), BEAT_SECONDS / 2))
            while True:
                # what was given up before is no longer waited for
                if self.running.get(name, (None, 0))[0] == number:
                    del self.running[name]
                    ended.append((name, outcome))
                name, number, outcome = self.done.get_nowait()
        except Empty:
            self.beat()
        now = time.monotonic()
        for name in [name for name, (_, begun) in self.running.items() if now - begun > self.longest_seconds]:
            del self.running[name]
            ended.append((name, CallFailed("timeout", perhaps_paid=True, again=True)))
        return ended

    def outcome(self, work: Callable[[], Any]) -> Any:
        """What some work returns, waited for to its end; raises what it raises."""
        self.begin("", work)
        while not (ended := self.outcomes(BEAT_SECONDS)):
            pass
        ((_, outcome),) = ended
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
