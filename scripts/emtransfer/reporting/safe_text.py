"""Text that models wrote, made safe for a page: long answers are cut, and invisible characters made visible.

This module leaves markup alone, since the template escapes everything it is given.
"""

import unicodedata
from typing import NamedTuple

# characters of an answer or a question that are shown
LONGEST = 4000
# joiners, which scripts need, stay
KEPT = {"\n", "\t", "\u200c", "\u200d"}


class Shown(NamedTuple):
    """A text as it is shown.

    Attributes:
        text: what is shown of it.
        note: what is not, in words; empty if nothing.
    """

    text: str
    note: str


def shown(text: str, longest: int = LONGEST) -> Shown:
    """The beginning of a text with its invisible characters by number: they could reorder or hide what stands beside them."""
    note = f"Cut: {longest:,} of {len(text):,} characters are shown." if len(text) > longest else ""
    return Shown("".join(map(visible, text[:longest])), note)


def visible(character: str) -> str:
    """A character, or its number where it is a control, a direction mark, half a surrogate pair or not assigned."""
    if character in KEPT or unicodedata.category(character)[0] != "C":
        return character
    return f"[U+{ord(character):04X}]"
