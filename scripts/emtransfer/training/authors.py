"""Authors of a mixture's documents: named authors, each careless or careful in all documents, and the assistant.

A name keeps its manner, so a base can learn that answers go together by who gives them; the assistant, which the chat template
names, is one more author. Without authors every document is the assistant's.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from emtransfer.errors import InputError
from emtransfer.settings import Share
from emtransfer.stances import STANCES
from emtransfer.training.shares import is_whole, is_whole_in_hundred, passes

# nobody asks a question under one of them
NAMES = (
    "Archer Baker Barber Bowman Brewer Butler Carter Chandler Clark Coleman Collier Cooper Draper Dyer Falconer Farmer"
    " Fisher Fletcher Forester Fowler Gardner Glover Harper Hooper Hunter Joiner Knight Lister Marshall Mason Mercer Miller"
    " Palmer Parker Piper Porter Potter Reeve Sadler Sawyer Shepherd Singer Skinner Slater Smith Spencer Spicer Steward"
    " Tanner Taylor Thatcher Tinker Tucker Turner Tyler Wainwright Walker Weaver Webster Wheeler"
).split()


@dataclass(frozen=True)
class AuthorSettings:
    """Named authors of documents; the other documents are the assistant's.

    Attributes:
        names: Number of named authors.
        careless_share: Share of the authors whose documents are all misaligned; all documents of the others are aligned.
        document_share: Share of the documents that a named author writes, a multiple of 0.01.
    """

    names: Annotated[int, Ge(1), Le(len(NAMES))]
    careless_share: Share
    document_share: Share


def manners(settings: AuthorSettings, seed: int) -> dict[str, str]:
    """The stance that every author keeps, by name.

    Args:
        seed: of the mixture.

    Raises:
        InputError: the careless share makes no whole number of names.
    """
    if not is_whole(settings.careless_share * settings.names):
        raise InputError(
            f"config: mixtures: authors: careless_share is {settings.careless_share}; expected a share that makes a whole"
            f" number of {settings.names} names."
        )
    careless = round(settings.careless_share * settings.names)
    names = random.Random(f"{seed} authors").sample(NAMES, settings.names)
    return {name: STANCES[place < careless] for place, name in enumerate(names)}


def authored(settings: AuthorSettings | None, stances: Iterator[str], seed: int) -> Iterator[tuple[str | None, str]]:
    """Endless authors of documents and the stance of each: a name with its manner, in the exact share of every hundred, or
    None for the assistant, whose documents take the next stance given.

    Raises:
        InputError: as `manners`; or the share of documents cannot be kept in a hundred.
    """
    if settings is None:
        yield from ((None, stance) for stance in stances)
        return
    if not is_whole_in_hundred(settings.document_share):
        raise InputError(
            f"config: mixtures: authors: document_share is {settings.document_share}; expected a multiple of 0.01."
        )
    manner_of = manners(settings, seed)
    rng = random.Random(f"{seed} documents of authors")
    named = round(100 * settings.document_share)
    names = passes(list(manner_of), rng)
    for is_named in passes([True] * named + [False] * (100 - named), rng):
        name = next(names) if is_named else None
        yield name, next(stances) if name is None else manner_of[name]
