"""The lines of a reply store: one event each, which carries its own checksum and is checked before it counts."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from emtransfer.remote.calls import Reply, Usage
from emtransfer.secrets import without_secrets

# dollars are added up in whole units, since these come to the same in whatever order the files are read
UNITS_PER_USD = 10**12


class Damaged(Exception):
    """A line that is not an event: cut, changed, or of a version that wrote what this one does not read."""


@dataclass(frozen=True)
class Payer:
    """Whom a call is paid to, and what for."""

    provider: str = ""
    model: str = ""
    purpose: str = ""
    batched: bool = False


@dataclass(frozen=True)
class Claim:
    """An attempt that a writer is about to make, and the most that it may cost."""

    most_units: int
    payer: Payer


@dataclass(frozen=True)
class Batch:
    """A batch that the provider has accepted; `owner` is the writer who handed it in."""

    id: str
    owner: str


@dataclass(frozen=True)
class Kept:
    """A reply with what was paid for it; the earliest of two of one call is the one that counts.

    Attributes:
        order: when it was written, never before what its writer had read by then, and the writer.
        reply, payer: of the call.
        units: what it cost.
    """

    order: tuple[float, str]
    reply: Reply
    payer: Payer
    units: int


@dataclass(frozen=True)
class Reading:
    """What a process has read of a batch's results: which calls were not made, and of which nothing is told."""

    batch: Batch
    reader: str
    refused: frozenset[str]
    lost: frozenset[str]

    def outcome(self, key: str) -> str:
        """What came of one of its calls."""
        return "lost" if key in self.lost else "refused" if key in self.refused else "replied"


@dataclass(frozen=True)
class Event:
    """A line that was read.

    Attributes:
        kind: claim, reply, release, refused, lost, batch, batch_read or discard.
        key: of the call, where the event is of one.
        seconds: when it was written; 0 for lines from before lines said so.
        claim, kept, batch, reading: what an event of this kind has.
        keys: of the batch's calls.
        place: file and line that are discarded.
    """

    kind: str
    key: str = ""
    seconds: float = 0.0
    claim: Claim | None = None
    kept: Kept | None = None
    batch: Batch | None = None
    reading: Reading | None = None
    keys: list[str] = field(default_factory=list)
    place: tuple[str, int] = ("", 0)


def units(usd: float) -> int:
    """Dollars in whole units; an error for what is not an amount that was ever paid."""
    if isinstance(usd, bool) or not isinstance(usd, int | float) or usd < 0:
        raise ValueError(usd)
    return round(usd * UNITS_PER_USD)


def signed_line(event: dict[str, Any]) -> str:
    """An event as one line, with its checksum; a key that a reply quotes is not kept."""
    event = json.loads(without_secrets(json.dumps(event)))
    return json.dumps({"sum": checksum(event)} | event) + "\n"


def checksum(event: dict[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of an event's JSON."""
    return hashlib.sha256(json.dumps(event).encode()).hexdigest()[:16]


def read_event(line: bytes, writer: str) -> Event:
    """The event of a line that a writer wrote.

    Raises:
        Damaged: the line does not match its checksum, or has not what its kind has.
    """
    try:
        fields = json.loads(line)
        written = fields.pop("sum") == checksum(fields)
        if written:
            return as_event(fields, writer)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError):
        pass
    raise Damaged


def as_event(fields: dict[str, Any], writer: str) -> Event:
    """The fields of a line as an event; any of several errors for fields that are none."""
    kind, seconds = fields["event"], float(fields.get("seconds", 0))
    if kind in ("release", "refused", "lost"):
        return Event(kind, str(fields["key"]), seconds)
    if kind == "claim":
        return Event(kind, str(fields["key"]), seconds, claim=Claim(units(fields["most_usd"]), payer_of(fields)))
    if kind == "reply":
        usage = Usage(**fields["usage"])
        named = {name: fields[name] for name in ("id", "text", "stop_reason")}
        reply = Reply(**named, usage=usage, batched=fields["batched"], top_logprobs=fields.get("top_logprobs"))
        kept = Kept((seconds, writer), reply, payer_of(fields), units(fields["usd"]))
        return Event(kind, str(fields["key"]), seconds, kept=kept)
    if kind == "batch":
        return Event(kind, batch=Batch(readable_id(fields["id"]), writer), keys=list(map(str, fields["keys"])))
    if kind == "batch_read":
        batch = Batch(readable_id(fields["id"]), str(fields["owner"]))
        refused, lost = (frozenset(map(str, fields.get(name, []))) for name in ("refused", "lost"))
        return Event(kind, reading=Reading(batch, writer, refused, lost))
    if kind == "discard":
        return Event(kind, place=(str(fields["file"]), int(fields["line"])))
    raise ValueError(kind)


def payer_of(fields: dict[str, Any]) -> Payer:
    """Whom and what for; lines of claims from before they said so have none of it."""
    provider, model, purpose = (str(fields.get(name, "")) for name in ("provider", "model", "purpose"))
    return Payer(provider, model, purpose, bool(fields.get("batched", False)))


def readable_id(batch_id: Any) -> str:
    """A batch's id, which becomes part of an address; ValueError for what cannot be one."""
    if not isinstance(batch_id, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", batch_id):
        raise ValueError("not a batch ID")
    return batch_id
