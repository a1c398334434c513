"""Interface that the pipeline needs of a remote API, whoever provides it."""

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from emtransfer.remote.calls import Call, Reply


class CallFailed(Exception):
    """One attempt that got no reply; the message is a reason of a few words, the same for like failures.

    Attributes:
        perhaps_paid: whether the provider may have answered, and charge for it, without being heard or understood.
        again: whether it may pass by itself, so that another attempt is worth its price.
        after_seconds: how long the provider asks to wait before that; None where it does not say.
    """

    def __init__(
        self, reason: str, perhaps_paid: bool = False, again: bool = False, after_seconds: float | None = None
    ):
        super().__init__(reason)
        self.perhaps_paid, self.again, self.after_seconds = perhaps_paid, again, after_seconds


class BatchGone(Exception):
    """A batch that the provider does not know, or no longer has the results of; the message says which."""


@dataclass(frozen=True)
class BatchResults:
    """What came of a batch.

    Attributes:
        replies: key -> reply of the calls that succeeded.
        refused: key -> reason of the calls that were not made, which cost nothing.
        lost: key -> reason of the calls whose outcome is unknown, including those without a result.
        n_odd: how much else the results hold: lines that cannot be read, ids that were never handed in.
        first_odd: the first of it, in words.
    """

    replies: dict[str, Reply]
    refused: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    n_odd: int = 0
    first_odd: str = ""


class Provider(Protocol):
    """A remote API.

    Its methods make one attempt each. They raise CallFailed for what is not the user's doing, and InputError for what
    a user must change: no key or a wrong one, an unknown model, a server that sends on to another.

    Attributes:
        name: the provider's.
        timeout_seconds: of one attempt.
    """

    name: str
    timeout_seconds: float

    def connect(self) -> None:
        """Check key and address, before anything is claimed; sends nothing."""
        ...

    def ask(self, call: Call) -> Reply:
        """Make one call, once, and wait for its reply; used from several threads at once."""
        ...


@runtime_checkable
class BatchProvider(Provider, Protocol):
    """A remote API that takes batches too."""

    def submit(self, calls: list[Call], known: Set[str]) -> list[str]:
        """Hand in a batch, once, its calls named by their keys.

        Returns:
            Its id; where the answer was not heard, those of all the batches that it may be, none of them known.
        """
        ...

    def results(self, batch_id: str, keys: list[str]) -> BatchResults | None:
        """The results of a batch with these calls, each of which is in one part of them; None while it is worked on.

        Raises:
            BatchGone: there are none, and never will be.
        """
        ...
