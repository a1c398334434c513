"""The reply store: every paid reply, kept by the content of its call and shared by all runs that name its folder.

A folder of append-only JSONL files, one per writing process, so that no two processes, on whatever machine, write to one
file. A line is one event and carries its own checksum; it counts once its newline is there. Events: `claim` (this writer
is about to make a call that may cost so much), `reply`, `release` (the call failed and cost nothing), `batch` (its id and
calls), `batch_read` (its results were kept).
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

from emtransfer.errors import InputError
from emtransfer.remote.calls import Reply, Usage

# after so long without an end, the claim of a process on another machine is taken for a dead one's
CLAIM_SECONDS = 900


@dataclass(frozen=True)
class Claim:
    """A call that a writer is about to make, what it may cost, and when that was written, in seconds of the epoch."""

    most_usd: float
    seconds: float


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
        batches: id -> keys of a batch whose results have not been read.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.writer = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.file = None
        self.read: dict[Path, tuple[int, int]] = {}
        self.replies: dict[str, Reply] = {}
        self.payments: dict[tuple[str, str], Payment] = {}
        self.claims: dict[str, dict[str, Claim]] = defaultdict(dict)
        self.batches: dict[str, list[str]] = {}
        self.paid_usd = 0.0
        self.refresh()

    def claim(self, most_usd: dict[str, float]) -> None:
        """Say that this writer is about to make calls; key -> the most it may cost."""
        now = time.time()
        self.append({"event": "claim", "key": key, "most_usd": usd, "seconds": now} for key, usd in most_usd.items())

    def release(self, keys: Iterable[str]) -> None:
        """Say that claimed calls were not made, or failed and cost nothing."""
        self.append({"event": "release", "key": key} for key in keys)

    def keep(self, replies: dict[str, tuple[Reply, float]], provider: str, model: str, purpose: str) -> None:
        """Keep replies of one model; key -> reply and the dollars it cost."""
        paid = {"provider": provider, "model": model, "purpose": purpose}
        self.append(
            {"event": "reply", "key": key, **paid, "usd": usd, **asdict(reply)} for key, (reply, usd) in replies.items()
        )

    def open_batch(self, batch_id: str, keys: Iterable[str]) -> None:
        """Record a batch that the provider has accepted."""
        self.append([{"event": "batch", "id": batch_id, "keys": list(keys)}])

    def close_batch(self, batch_id: str) -> None:
        """Say that the results of a batch were kept."""
        self.append([{"event": "batch_read", "id": batch_id}])

    def claimed_elsewhere(self, key: str) -> bool:
        """Whether another process that may be alive is about to make the call."""
        claims = self.claims.get(key, {})
        return any(writer != self.writer and may_live(writer, claim) for writer, claim in claims.items())

    def spent_usd(self) -> float:
        """Dollars paid for all replies, and the most that the calls now under way may cost."""
        return self.paid_usd + sum(max(claim.most_usd for claim in by.values()) for by in self.claims.values() if by)

    def append(self, events: Iterable[dict]) -> None:
        """Write events to this writer's file and through to the disk, then read what others wrote meanwhile."""
        lines = "".join(signed_line(event) for event in events)
        if lines and self.file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = open(self.folder / f"{self.writer}.jsonl", "ab")
        if lines:
            self.file.write(lines.encode())
            self.file.flush()
            os.fsync(self.file.fileno())
        self.refresh()

    def refresh(self) -> None:
        """Read the lines that any writer has finished since the last time.

        Raises:
            InputError: a line is no event or does not match its checksum; names file and line.
        """
        for path in sorted(self.folder.glob("*.jsonl")):
            offset, n_lines = self.read.get(path, (0, 0))
            if path.stat().st_size == offset:
                continue
            with open(path, "rb") as file:
                file.seek(offset)
                # what follows the last newline is still being written, or was cut off by a kill
                finished, newline, _ = file.read().rpartition(b"\n")
            for number, line in enumerate(finished.split(b"\n") if newline else [], start=n_lines + 1):
                self.take(checked_event(line, f"{path}:{number}"), path.stem)
                n_lines = number
            self.read[path] = (offset + len(finished) + len(newline), n_lines)

    def take(self, event: dict, writer: str) -> None:
        """Let one event of a writer count."""
        kind, key = event.pop("event"), event.pop("key", "")
        if kind == "claim":
            self.claims[key][writer] = Claim(**event)
        elif kind == "release":
            self.claims[key].pop(writer, None)
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
            self.batches[event["id"]] = event["keys"]
        elif kind == "batch_read":
            for batch_key in self.batches.pop(event["id"], []):
                self.claims.pop(batch_key, None)


def may_live(writer: str, claim: Claim) -> bool:
    """Whether a claim's writer may still be at work: its process lives, or it is elsewhere and the claim is young."""
    host, pid, _ = writer.rsplit("-", 2)
    if host == socket.gethostname() and not process_lives(int(pid)):
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


def signed_line(event: dict) -> str:
    """An event as one line, with its checksum."""
    return json.dumps({"sum": checksum(event)} | event) + "\n"


def checked_event(line: bytes, place: str) -> dict:
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


def checksum(event: dict) -> str:
    """First 16 hex digits of the SHA-256 of an event's JSON."""
    return hashlib.sha256(json.dumps(event).encode()).hexdigest()[:16]
