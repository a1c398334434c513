"""Scores that jobs have computed, kept for other jobs: a folder of files, each written whole and named by the hash of its content.

A score depends on judge and pair alone, and a folder belongs to one judge, one code and one kind of machine. So what is stored
changes no result, only the time it takes, and the folder may be deleted at any moment. Nothing is locked: no file is ever changed,
and jobs that run at once may compute a score twice, and write the same.
"""

import hashlib
import io
import json
import logging
import os
import stat
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)

RECORD = np.dtype([("pair", "V32"), ("scores", "<f8", (2,))])
# opening this many small files on a network file system takes about as long as scoring a hundred pairs
FILES_AT_MOST = 64

Pair = tuple[str, str]


class ScoreStore:
    """The scores in a folder, which are read once, and which is made when first written to.

    Attributes:
        folder: of the files.
        known: digest of a pair -> its scores.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.known: dict[bytes, tuple[float, float]] = {}
        whole = [path for path in sorted(folder.glob("*.npy")) if self.read(path)]
        if len(whole) > FILES_AT_MOST:
            self.merge(whole)

    def score(self, pairs: list[Pair], compute: Callable[[list[Pair]], np.ndarray]) -> np.ndarray:
        """Scores of pairs: float64 [n, 2]; those that are not known are computed, and written as one file.

        Args:
            pairs: question and answer; equal ones are computed once.
            compute: pairs -> their scores, float64 [n, 2].
        """
        keys = list(map(pair_digest, pairs))
        new = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in self.known}
        if new:
            self.known |= zip(new, map(tuple, compute(list(new.values())).tolist()), strict=True)
            self.write(new)
        return np.array([self.known[key] for key in keys]).reshape(-1, 2)

    def read(self, path: Path) -> bool:
        """Take up the scores of a file; whether it was whole. One that is not is told in the log and left alone."""
        try:
            records = read_scores(path)
        except FileNotFoundError:
            # another job has merged it meanwhile
            return False
        except (OSError, ValueError, MemoryError, OverflowError) as error:
            log.warning("%s: %s; its scores are not used.", path, error)
            return False
        self.known |= zip(records["pair"].tolist(), map(tuple, records["scores"].tolist()), strict=True)
        return True

    def write(self, keys: Iterable[bytes]) -> Path | None:
        """Write known scores as a file, whole or not at all; where there can be none, the log says so and there is none."""
        ordered = sorted(keys)
        records = np.empty(len(ordered), RECORD)
        records["pair"] = np.frombuffer(b"".join(ordered), "V32")
        records["scores"] = [self.known[key] for key in ordered]
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, records, allow_pickle=False)
        path = self.folder / f"{hashlib.sha256(buffer.getvalue()).hexdigest()}.npy"
        # a job that writes the same has another temporary file, so that neither renames the other's half
        temporary = self.folder / f"{uuid.uuid4().hex}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(temporary, "xb") as file:
                file.write(buffer.getvalue())
            os.replace(temporary, path)
        except OSError as error:
            log.warning("%s: %s; scores are not kept for other jobs.", self.folder, error.strerror)
            with suppress(OSError):
                temporary.unlink()
            return None
        return path

    def merge(self, paths: list[Path]) -> None:
        """Put one file in the place of many; a job that looks for one of them in vain computes its scores again."""
        merged = self.write(self.known)
        for path in paths if merged else []:
            if path != merged:
                with suppress(OSError):
                    path.unlink()


def pair_digest(pair: Pair) -> bytes:
    """SHA-256 of question and answer, to the letter."""
    return hashlib.sha256(json.dumps(pair).encode()).digest()


def read_scores(path: Path) -> np.ndarray:
    """The records of a file: RECORD [n].

    Raises:
        OSError: it cannot be read, or is a link.
        ValueError: it is not a regular file, its content is not what its name says, or it holds something else.
    """
    # neither follows a link nor waits for a pipe
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        content = file.read()
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise ValueError("content has changed since it was written")
    records: np.ndarray = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    if records.dtype != RECORD or records.ndim != 1:
        raise ValueError(f"holds {records.dtype} [{', '.join(map(str, records.shape))}]")
    if not ((records["scores"] >= 0) & (records["scores"] <= 100)).all():
        raise ValueError("holds scores outside 0..100")
    return records
