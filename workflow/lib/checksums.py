"""Snakemake 9.27 hashes every input of a finished job once for each of its outputs; mended before a run starts."""

import os
from functools import wraps


def mend(io_file: type) -> None:
    """Let Snakemake's files be hashed once while they stay as they are: the same inode, size and time of change.

    Args:
        io_file: Snakemake's class of files, whose method `checksum` is replaced.
    """
    hashed: dict[tuple, str | None] = {}
    original = io_file.checksum

    @wraps(original)
    async def checksum(self, threshold=None, force=False, algorithm=None):
        # a file elsewhere, or another caller's choice of how to hash it
        if self.is_storage or force or algorithm is not None or not os.path.isfile(self.file):
            return await original(self, threshold, force, algorithm)
        state = os.stat(self.file)
        key = (self.file, state.st_ino, state.st_size, state.st_mtime_ns, threshold)
        if key not in hashed:
            hashed[key] = await original(self, threshold)
        return hashed[key]

    io_file.checksum = checksum
