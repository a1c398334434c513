"""The reply store: every paid reply, kept by the content of its call and shared by all runs that name its folder.

A folder of append-only JSONL files, one per writing process, so that no two processes, on whatever machine, write to one
file; a database in one file would need locks that network file systems do not keep. A line is one event; it counts once its
newline is there. Events: `claim` (this writer is about to make an attempt that may cost so much), `reply`, `release` (it was
not made after all), `refused` (it was answered with an error and cost nothing), `lost` (its outcome is unknown, so that it may
have cost as much), `batch` (its id and calls, whose claims go over to it), `batch_read` (its results were kept; the calls of
which they tell nothing are lost), `discard` (a damaged line is known and need not be told of again).

A claim that nothing follows counts as lost. What the events of all files come to does not depend on the order in which
the files are read: of two replies to one call the earlier counts, by time and writer.
"""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from emtransfer.errors import InputError
from emtransfer.remote.calls import Reply
from emtransfer.remote.events import (
    UNITS_PER_USD,
    Batch,
    Claim,
    Damaged,
    Event,
    Kept,
    Payer,
    Reading,
    read_event,
    signed_line,
)
from emtransfer.remote.writers import Heartbeat, Watch, new_writer, writers_file

NOTHING = Claim(0, Payer())


class ReplyStore:
    """The replies in a folder, which is made when first written to.

    Attributes:
        folder: of the writers' files.
        replies: key -> reply.
        payments: (key, id of the reply) -> the reply with what was paid.
        claims: key -> writer -> claim of which nothing is known yet, calls of batches aside.
        handed_in: batch -> key -> claim.
        batches: those of them whose results have not been read.
        readings: batch -> what its results tell.
        refused: payer -> attempts that were answered with an error.
        lost: payer -> attempts whose outcome is unknown for good.
        damaged: (file, line) of the lines that could not be read and were not discarded.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.writer = new_writer()
        self.file: BinaryIO | None = None
        self.heartbeat = Heartbeat(self.folder / f"{self.writer}.jsonl")
        self.beat = self.heartbeat.beat
        self.watch = Watch(self.folder)
        self.read: dict[Path, tuple[int, int]] = {}
        self.replies: dict[str, Reply] = {}
        self.order: dict[str, tuple[float, str]] = {}
        self.payments: dict[tuple[str, str], Kept] = {}
        self.claims: dict[str, dict[str, Claim]] = defaultdict(dict)
        self.handed_in: dict[Batch, dict[str, Claim]] = {}
        self.batches: dict[Batch, dict[str, Claim]] = {}
        self.readings: dict[Batch, Reading] = {}
        self.refused: Counter[Payer] = Counter()
        self.lost: Counter[Payer] = Counter()
        self.lost_units: Counter[Payer] = Counter()
        self.paid_units = self.open_units = 0
        self.latest = 0.0
        self.damaged: set[tuple[str, int]] = set()
        self.discarded: set[tuple[str, int]] = set()
        self.told: set[tuple[str, int]] = set()
        self.refresh()

    # ---- what this writer says

    def claim(self, most_usd: dict[str, float], payer: Payer) -> None:
        """Say that this writer is about to make attempts; key -> the most it may cost."""
        of = asdict(payer)
        self.append({"event": "claim", "key": key, "most_usd": usd, **of} for key, usd in most_usd.items())

    def release(self, keys: Iterable[str]) -> None:
        """Say that claimed attempts were not made."""
        self.append({"event": "release", "key": key} for key in keys)

    def refuse(self, keys: Iterable[str]) -> None:
        """Say that claimed attempts were answered with an error, and cost nothing."""
        self.append({"event": "refused", "key": key} for key in keys)

    def lose(self, keys: Iterable[str]) -> None:
        """Say that the outcome of claimed attempts is unknown."""
        self.append({"event": "lost", "key": key} for key in keys)

    def keep(self, replies: dict[str, tuple[Reply, float]], payer: Payer) -> None:
        """Keep replies of one model; key -> reply and the dollars it cost."""
        self.refresh()
        self.append(
            {"event": "reply", "key": key, **asdict(payer), "usd": usd, "seconds": self.now(), **asdict(reply)}
            for key, (reply, usd) in replies.items()
        )

    def open_batch(self, batch_id: str, keys: Iterable[str]) -> None:
        """Record a batch that the provider has accepted."""
        self.append([{"event": "batch", "id": batch_id, "keys": list(keys)}])

    def close_batch(self, batch: Batch, refused: Iterable[str] = (), lost: Iterable[str] = ()) -> None:
        """Say that the results of a batch were kept, which of its calls were not made, and of which they tell nothing."""
        told = {"refused": sorted(refused), "lost": sorted(lost)}
        self.append([{"event": "batch_read", "id": batch.id, "owner": batch.owner, **told}])

    def discard(self, file: str, line: int) -> None:
        """Say that a damaged line is known."""
        self.append([{"event": "discard", "file": file, "line": line}])

    def now(self) -> float:
        """The time, in seconds of the epoch; never before what was read, so that a wrong clock puts nothing first."""
        self.latest = max(time.time(), self.latest)
        return self.latest

    # ---- what all writers have said

    @property
    def batch_ids(self) -> set[str]:
        """Ids of all batches, read or not."""
        return {batch.id for batch in (*self.handed_in, *self.readings)}

    def claimed_elsewhere(self, key: str) -> bool:
        """Whether another process that may be alive is about to make the call."""
        return any(writer != self.writer and self.watch.may_live(writer) for writer in self.claims.get(key, ()))

    def others_at_work(self) -> bool:
        """Whether another process that may be alive has calls under way."""
        writers = {writer for by_writer in self.claims.values() for writer in by_writer}
        return any(writer != self.writer and self.watch.may_live(writer) for writer in writers)

    def open_claims(self) -> list[Claim]:
        """Claims of attempts of which nothing is known: under way, in a batch that was not read, or a dead process's."""
        by_key = chain(self.claims.values(), self.batches.values())
        return [claim for claims in by_key for claim in claims.values() if claim is not NOTHING]

    def spent_usd(self) -> float:
        """Dollars paid for all replies, and the most that calls under way and lost ones may have cost."""
        return (self.paid_units + self.lost_units.total() + self.open_units) / UNITS_PER_USD

    # ---- files

    def append(self, events: Iterable[dict[str, Any]]) -> None:
        """Write events to this writer's file and through to the disk, then read what others wrote meanwhile.

        Raises:
            InputError: the folder cannot be written.
        """
        lines = "".join(signed_line(event) for event in events)
        try:
            if lines and self.file is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self.file = open(self.heartbeat.path, "ab")
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
        """Read the lines that any writer has finished since the last time; damaged ones are told of and passed over."""
        for path in sorted(self.folder.glob("*.jsonl")):
            # each time, since a network file system looks at a file anew when it is opened
            file = writers_file(path)
            if not file:
                continue
            with file:
                offset, n_lines = self.read.get(path, (0, 0))
                if os.fstat(file.fileno()).st_size == offset:
                    continue
                file.seek(offset)
                # what follows the last newline is still being written, or was cut off by a kill
                finished, newline, _ = file.read().rpartition(b"\n")
            for number, line in enumerate(finished.split(b"\n") if newline else [], start=n_lines + 1):
                self.read_line(line, path.stem, number)
                n_lines = number
            self.read[path] = (offset + len(finished) + len(newline), n_lines)
        self.tell_damaged()

    def read_line(self, line: bytes, writer: str, number: int) -> None:
        """Let a line count, or remember that it cannot be read."""
        try:
            event = read_event(line, writer)
        except Damaged:
            if (writer, number) not in self.discarded:
                self.damaged.add((writer, number))
        else:
            self.take(event, writer)

    def tell_damaged(self) -> None:
        """Say, once, which lines could not be read and what to do about them."""
        for writer, number in sorted(self.damaged - self.told):
            print(
                f"{self.folder / writer}.jsonl:{number}: damaged, and skipped; its reply, if it was one, is requested "
                f"again. To end this message: python scripts/tabulate_spending.py --store {self.folder} --discard "
                f"{writer}.jsonl:{number} (docs/remote_models.md).",
                flush=True,
            )
        self.told |= self.damaged

    # ---- what an event comes to

    def take(self, event: Event, writer: str) -> None:
        """Let one event of a writer count."""
        self.latest = max(self.latest, event.seconds)
        if event.claim:
            self.drop_claim(event.key, writer)
            self.claims[event.key][writer] = event.claim
            self.open_units += event.claim.most_units
        elif event.kept:
            self.take_reply(event.key, event.kept, writer)
        elif event.reading:
            self.take_reading(event.reading)
        elif event.batch:
            self.take_batch(event.batch, event.keys)
        elif event.kind == "discard":
            self.discarded.add(event.place)
            self.damaged.discard(event.place)
        else:
            self.settle(self.drop_claim(event.key, writer), event.kind)

    def drop_claim(self, key: str, writer: str) -> Claim:
        """Let a claim count no longer; one of nothing where there was none."""
        claim = self.claims[key].pop(writer, NOTHING)
        self.open_units -= claim.most_units
        if not self.claims[key]:
            del self.claims[key]
        return claim

    def take_reply(self, key: str, kept: Kept, writer: str) -> None:
        """Let a reply count; of two to one call the earlier stays, and of one that two have read the earlier payment."""
        self.drop_claim(key, writer)
        if key not in self.order or kept.order < self.order[key]:
            self.replies[key], self.order[key] = kept.reply, kept.order
        known = self.payments.get((key, kept.reply.id))
        if not known or kept.order < known.order:
            self.payments[key, kept.reply.id] = kept
            self.paid_units += kept.units - (known.units if known else 0)

    def take_batch(self, batch: Batch, keys: list[str]) -> None:
        """Let a batch count, and its owner's claims on its calls as the batch's."""
        claims = {key: self.drop_claim(key, batch.owner) for key in keys}
        self.handed_in[batch] = claims
        self.open_units += sum(claim.most_units for claim in claims.values())
        if batch in self.readings:
            self.settle_batch(self.readings[batch])
        else:
            self.batches[batch] = claims

    def take_reading(self, reading: Reading) -> None:
        """Let what a batch's results tell count; of two processes that have read one batch, what the first by name has read."""
        known = self.readings.get(reading.batch)
        if known and known.reader <= reading.reader:
            return
        if known and reading.batch in self.handed_in:
            self.settle_batch(known, -1)
        self.readings[reading.batch] = reading
        if reading.batch in self.handed_in:
            self.settle_batch(reading)

    def settle_batch(self, reading: Reading, times: int = 1) -> None:
        """Let the claims on a batch's calls count as what its results tell of them; -1 to take that back."""
        self.batches.pop(reading.batch, None)
        for key, claim in self.handed_in[reading.batch].items():
            self.open_units -= times * claim.most_units
            self.settle(claim, reading.outcome(key), times)

    def settle(self, claim: Claim, outcome: str, times: int = 1) -> None:
        """Let a claim count as what it was: `refused`, `lost`, or anything else, which counts elsewhere or not at all."""
        if claim is NOTHING:
            return
        if outcome == "refused":
            self.refused[claim.payer] += times
        elif outcome == "lost":
            self.lost[claim.payer] += times
            self.lost_units[claim.payer] += times * claim.most_units
