"""The results of a batch, read line by line, so that a malformed one does not affect the others."""

from collections.abc import Iterable, Iterator

from emtransfer.remote.bodies import (
    LONGEST_BYTES,
    Message,
    Outcome,
    ResultLine,
    UnreadableReply,
    as_body,
    read_body,
)
from emtransfer.remote.providers import BatchResults
from emtransfer.secrets import without_secrets


def read_results(pieces: Iterable[bytes], keys: list[str]) -> BatchResults:
    """What came of a batch's calls.

    Args:
        pieces: of JSON lines, in any order, cut anywhere.
        keys: of the calls that were handed in.

    Raises:
        UnreadableReply: not one line is a result, so that this is not a list of results; it costs nothing to look again.
    """
    results, n_read, n_odd, first_odd = BatchResults({}), 0, 0, ""
    unread, expected = {}, set(keys)
    for number, line in enumerate(lines(pieces), start=1):
        try:
            entry = read_body(ResultLine, line)
        except UnreadableReply:
            n_odd, first_odd = n_odd + 1, first_odd or f"line {number} cannot be read"
            continue
        n_read += 1
        key = entry.custom_id
        if key not in expected:
            n_odd += 1
            first_odd = first_odd or f"line {number} has the foreign id {without_secrets(key)[:80]}"
            continue
        try:
            outcome = as_body(Outcome, entry.result)
            if outcome.type != "succeeded":
                results.refused[key] = f"{outcome.type} in batch"
            elif key not in results.replies:
                results.replies[key] = as_body(Message, outcome.message).reply(batched=True)
        except UnreadableReply:
            unread[key] = "unreadable in batch"
    if not n_read:
        raise UnreadableReply
    known = results.replies.keys() | results.refused.keys()
    results.lost.update({key: unread.get(key, "not in its batch's results") for key in keys if key not in known})
    return BatchResults(
        results.replies,
        {key: reason for key, reason in results.refused.items() if key not in results.replies},
        results.lost,
        n_odd,
        first_odd,
    )


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of what comes in pieces; of one that is far too long, its beginning, which is not JSON."""
    line = bytearray()
    for piece in pieces:
        first, *others = piece.split(b"\n")
        if len(line) < LONGEST_BYTES:
            line += first
        for other in others:
            yield bytes(line)
            line = bytearray(other)
    if line:
        yield bytes(line)
