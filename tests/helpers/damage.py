"""Damage to files that were written whole."""

from pathlib import Path


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, which stays readable; once more changes it back."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
