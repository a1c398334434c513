"""What the pipeline needs of a remote API, whoever provides it."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from emtransfer.remote.calls import Call, Reply


class CallFailed(Exception):
    """A call that got no reply after all retries; the message is a reason of a few words, the same for like failures.

    Attributes:
        perhaps_paid: whether the provider may have answered, and charge for it, without being heard.
    """

    def __init__(self, reason: str, perhaps_paid: bool = False):
        super().__init__(reason)
        self.perhaps_paid = perhaps_paid


@dataclass(frozen=True)
class BatchResults:
    """What came of a batch.

    Attributes:
        replies: key -> reply of the calls that succeeded.
        failures: key -> reason of the calls that did not.
        foreign: ids in the results that the provider was never given.
    """

    replies: dict[str, Reply]
    failures: dict[str, str]
    foreign: list[str]


class Provider(Protocol):
    """A remote API.

    Its methods raise CallFailed for what may pass by itself, and InputError for what a user must change: no key or a
    wrong one, an unknown model, a request that is refused.

    Attributes:
        name: the provider's.
    """

    name: str

    def ask(self, call: Call) -> Reply:
        """Make one call and wait for its reply; used from several threads at once."""
        ...


@runtime_checkable
class BatchProvider(Provider, Protocol):
    """A remote API that takes batches too."""

    def submit(self, calls: list[Call], known: Set[str]) -> str:
        """Hand in a batch, its calls named by their keys; returns its id, which is none of the known ones."""
        ...

    def results(self, batch_id: str, keys: list[str]) -> BatchResults | None:
        """The results of a batch with these calls; None while it is being worked on."""
        ...
