"""Whether another process that writes to a reply store is still at work, without a clock that could be wrong.

A process at work touches its file every few seconds. One that waits for it watches the file, by a clock of its own that
only counts: what has not been touched for long while it was watched belongs to a process that has died.
"""

import os
import socket
import stat
import time
import uuid
from pathlib import Path
from typing import BinaryIO

from emtransfer.errors import InputError

# between two touches of a writer's own file
BEAT_SECONDS = 20
# a file watched for this long without a touch belongs to a dead process
LAPSE_SECONDS = 300


class Heartbeat:
    """The touches of one writer's own file."""

    def __init__(self, path: Path):
        self.path, self.last = path, time.monotonic()

    def beat(self) -> None:
        """Touch the file, where the last touch is long ago."""
        if time.monotonic() - self.last > BEAT_SECONDS:
            self.last = time.monotonic()
            if self.path.exists():
                os.utime(self.path)


class Watch:
    """What is seen of other writers' files.

    Attributes:
        seen: writer -> (size, time of change) of the file when it was last seen to change, and when that was.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.seen: dict[str, tuple[tuple[int, int], float]] = {}

    def may_live(self, writer: str) -> bool:
        """Whether a writer may still be at work: its process is not known to be dead, nor its file long untouched."""
        host, pid = writer.rsplit("-", 2)[:2] if writer.count("-") > 1 else ("", "")
        if host == machine() and pid.isdecimal() and not process_lives(int(pid)):
            return False
        now, state = time.monotonic(), file_state(self.folder / f"{writer}.jsonl")
        known, since = self.seen.get(writer, (None, now))
        if state != known:
            self.seen[writer] = state, now
            return True
        return now - since < LAPSE_SECONDS


def file_state(path: Path) -> tuple[int, int]:
    """Size and time of change of a file; zeros for one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def new_writer() -> str:
    """A name that no other process has, and that tells machine and process."""
    return f"{machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def machine() -> str:
    """The machine, or the container, within which a process number means one process."""
    namespace = Path("/proc/self/ns/pid")
    return f"{socket.gethostname()}.{namespace.readlink().name[5:-1]}" if namespace.exists() else socket.gethostname()


def process_lives(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def writers_file(path: Path) -> BinaryIO | None:
    """A writer's file, opened for reading; None for what is none, such as a folder, or a pipe, which is not waited for.

    Raises:
        InputError: it cannot be opened; to pass it over would be to forget what its replies have cost.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}; expected a file of replies that can be read; without it, the amount paid is unknown."
        ) from None
