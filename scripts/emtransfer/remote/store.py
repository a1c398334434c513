"""The reply store: every paid reply, kept by the content of its call and shared by all runs that name its folder.

A folder of append-only JSONL files, one per writing process, so that no two processes, on whatever machine, write to one
file. A line is one event and carries its own checksum; it counts once its newline is there. Events: `claim` (this writer
is about to make a call that may cost so much), `reply`, `release` (the call was not made or cost nothing), `lost` (its
outcome is unknown, so that it may have cost as much), `batch` (its id and calls), `batch_read` (its results were kept).
What the events of all files come to does not depend on the order in which the files are read.
"""

import hashlib
import json
import os
import socket
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from emtransfer.errors import InputError
from emtransfer.remote.calls import Reply, Usage
from emtransfer.secrets import without_secrets

# a claim that was not renewed for so long is taken for a dead process's
CLAIM_SECONDS = 900


@dataclass(frozen=True)
class Claim:
    """A call that a writer is about to make, what it may cost, and when that was written, in seconds of the epoch."""

    most_usd: float
    seconds: float


@dataclass(frozen=True)
class Batch:
    """A batch that the provider has accepted; `owner` is the writer who handed it in."""

    id: str
    owner: str


@dataclass(frozen=True)
class Payment:
    """What was paid for one reply, to whom and what for."""

    provider: str
    model: str
    purpose: str
    usage: Usage
    batched: bool
    usd: float


class ReplyStore:
    """The replies in a folder, which is made when first written to.

    Attributes:
        folder: of the writers' files.
        replies: key -> reply.
        payments: (key, id of the reply) -> payment.
        claims: key -> writer -> claim that has neither been answered nor released.
        batches: batch whose results have not been read -> keys of its calls.
        batches_read: batches whose results were kept.
        paid_usd: for all replies.
        lost_usd: the most that calls may have cost whose reply never came.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.writer = f"{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.file: BinaryIO | None = None
        self.read: dict[Path, tuple[int, int]] = {}
        self.replies: dict[str, Reply] = {}
        self.payments: dict[tuple[str, str], Payment] = {}
        self.claims: dict[str, dict[str, Claim]] = defaultdict(dict)
        self.batches: dict[Batch, list[str]] = {}
        self.batches_read: set[Batch] = set()
        self.paid_usd = self.lost_usd = 0.0
        self.refresh()

    def claim(self, most_usd: dict[str, float]) -> None:
        """Say that this writer is about to make calls; key -> the most it may cost."""
        now = time.time()
        self.append({"event": "claim", "key": key, "most_usd": usd, "seconds": now} for key, usd in most_usd.items())

    def renew(self, keys: Iterable[str]) -> None:
        """Say again what is still under way, where that was long ago."""
        old = time.time() - CLAIM_SECONDS / 3
        claims = {key: self.claims[key].get(self.writer) for key in keys}
        self.claim({key: claim.most_usd for key, claim in claims.items() if claim and claim.seconds < old})

    def release(self, keys: Iterable[str]) -> None:
        """Say that claimed calls were not made, or failed and cost nothing."""
        self.append({"event": "release", "key": key} for key in keys)

    def lose(self, keys: Iterable[str]) -> None:
        """Say that the outcome of claimed calls is unknown."""
        self.append({"event": "lost", "key": key} for key in keys)

    def keep(self, replies: dict[str, tuple[Reply, float]], provider: str, model: str, purpose: str) -> None:
        """Keep replies of one model; key -> reply and the dollars it cost."""
        paid = {"provider": provider, "model": model, "purpose": purpose}
        self.append(
            {"event": "reply", "key": key, **paid, "usd": usd, **asdict(reply)} for key, (reply, usd) in replies.items()
        )

    def open_batch(self, batch_id: str, keys: Iterable[str]) -> None:
        """Record a batch that the provider has accepted."""
        self.append([{"event": "batch", "id": batch_id, "keys": list(keys)}])

    def close_batch(self, batch: Batch) -> None:
        """Say that the results of a batch were kept."""
        self.append([{"event": "batch_read", "id": batch.id, "owner": batch.owner}])

    @property
    def batch_ids(self) -> set[str]:
        """Ids of all batches, read or not."""
        return {batch.id for batch in (*self.batches, *self.batches_read)}

    def claimed_elsewhere(self, key: str) -> bool:
        """Whether another process that may be alive is about to make the call."""
        claims = self.claims.get(key, {})
        return any(writer != self.writer and may_live(writer, claim) for writer, claim in claims.items())

    def spent_usd(self) -> float:
        """Dollars paid for all replies, and the most that calls under way and lost ones may have cost."""
        under_way = sum(max(claim.most_usd for claim in by.values()) for by in self.claims.values() if by)
        return self.paid_usd + self.lost_usd + under_way

    def others_at_work(self) -> bool:
        """Whether another process that may be alive has calls under way."""
        return any(self.claimed_elsewhere(key) for key in list(self.claims))

    def append(self, events: Iterable[dict[str, Any]]) -> None:
        """Write events to this writer's file and through to the disk, then read what others wrote meanwhile."""
        lines = "".join(signed_line(event) for event in events)
        try:
            if lines and self.file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self.file = open(self.folder / f"{self.writer}.jsonl", "ab")
            if self.file is not None and lines:
                self.file.write(lines.encode())
                self.file.flush()
                os.fsync(self.file.fileno())
        except OSError as error:
            raise InputError(
                f"{self.folder}: {error.strerror}; expected a folder for replies that can be written."
            ) from None
        self.refresh()

    def refresh(self) -> None:
        """Read the lines that any writer has finished since the last time.

        Raises:
            InputError: a line is no event or does not match its checksum; names file and line.
        """
        for path in sorted(self.folder.glob("*.jsonl")):
            offset, n_lines = self.read.get(path, (0, 0))
            # opened each time, since a network file system looks at a file anew when it is opened
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size == offset:
                    continue
                file.seek(offset)
                # what follows the last newline is still being written, or was cut off by a kill
                finished, newline, _ = file.read().rpartition(b"\n")
            for number, line in enumerate(finished.split(b"\n") if newline else [], start=n_lines + 1):
                self.take(checked_event(line, f"{path}:{number}"), path.stem)
                n_lines = number
            self.read[path] = (offset + len(finished) + len(newline), n_lines)

    def take(self, event: dict[str, Any], writer: str) -> None:
        """Let one event of a writer count."""
        kind, key = event.pop("event"), event.pop("key", "")
        if kind == "claim":
            if key not in self.replies:
                self.claims[key][writer] = Claim(**event)
        elif kind in ("release", "lost"):
            claim = self.claims[key].pop(writer, None)
            self.lost_usd += claim.most_usd if claim and kind == "lost" else 0
        elif kind == "reply":
            self.claims.pop(key, None)
            usage = Usage(**event.pop("usage"))
            paid = {name: event.pop(name) for name in ("provider", "model", "purpose", "usd")}
            reply = Reply(**event, usage=usage)
            # should a call ever have two replies, the first stays, so that a score once read does not change
            self.replies.setdefault(key, reply)
            # two processes may have read one batch
            if (key, reply.id) not in self.payments:
                self.payments[key, reply.id] = Payment(**paid, usage=usage, batched=reply.batched)
                self.paid_usd += paid["usd"]
        elif kind == "batch":
            batch = Batch(event["id"], writer)
            self.batches[batch] = event["keys"]
            if batch in self.batches_read:
                self.forget_batch(batch)
        elif kind == "batch_read":
            batch = Batch(event["id"], event["owner"])
            self.batches_read.add(batch)
            self.forget_batch(batch)

    def forget_batch(self, batch: Batch) -> None:
        """Let a batch that was read, and its owner's claims on its calls, count no longer."""
        for key in self.batches.pop(batch, []):
            self.claims[key].pop(batch.owner, None)


def machine() -> str:
    """The machine, or the container, within which a process number means one process."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}.{namespace.readlink().name[5:-1]}" if namespace.exists() else socket.gethostname()


def may_live(writer: str, claim: Claim) -> bool:
    """Whether a claim's writer may still be at work: the claim is young, and its process not known to be dead."""
    host, pid, _ = writer.rsplit("-", 2)
    if host == machine() and not process_lives(int(pid)):
        return False
    return time.time() - claim.seconds < CLAIM_SECONDS


def process_lives(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def signed_line(event: dict[str, Any]) -> str:
    """An event as one line, with its checksum; a key that a reply quotes is not kept."""
    event = json.loads(without_secrets(json.dumps(event)))
    return json.dumps({"sum": checksum(event)} | event) + "\n"


def checked_event(line: bytes, place: str) -> dict[str, Any]:
    """The event of a line.

    Raises:
        InputError: the line is not what was written.
    """
    try:
        event = json.loads(line)
        written = event.pop("sum") == checksum(event)
    except (ValueError, AttributeError, KeyError):
        written = False
    if not written:
        raise InputError(
            f"{place}: line does not match its checksum; expected it as written; delete it to ask for its reply again."
        )
    return event


def checksum(event: dict[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of an event's JSON."""
    return hashlib.sha256(json.dumps(event).encode()).hexdigest()[:16]
