"""A mistake in the config as one line, and checks of names and numbers that name their place in it."""

import json
from collections.abc import Collection, Iterator
from difflib import get_close_matches

from emtransfer.errors import InputError

Place = tuple[str | int, ...]


class ConfigMistake(InputError):
    """A value that is wrong in the merged config, whichever file says it."""

    def __init__(self, place: Place, found: str, expected: str) -> None:
        self.place, self.found, self.expected = place, found, expected
        super().__init__(self.line("config.yaml"))

    def line(self, file: str, written: Place | None = None) -> str:
        """`FILE: a.b[0] is FOUND; expected EXPECTED.`

        Args:
            written: the place of which the value has been taken over, where it is another than that of the mistake.
        """
        place, comma = named(self.place, written), "," * (written not in (None, self.place))
        return f"{file}: {place}{comma} is {self.found}; expected {self.expected}."


def dotted(place: Place) -> str:
    """A place in the config as `a.b[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def named(place: Place, written: Place | None) -> str:
    """A place as `a.b[0]`, or as `c.b[0], taken over as a.b[0]` where its value is written at another."""
    taken_over = "" if written in (None, place) else f"{dotted(written)}, taken over as "
    return taken_over + dotted(place)


def mistake(place: Place, found: str, expected: str) -> ConfigMistake:
    """`config.yaml: a.b[0] is FOUND; expected EXPECTED.`"""
    return ConfigMistake(place, found, expected)


def quoted(value: object) -> str:
    """A value as JSON, cut to what fits on a line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def choice(names: Collection[str], wrong: object) -> str:
    """The name that was probably meant, or all there are."""
    close = get_close_matches(str(wrong), names, n=1)
    return close[0] if close else f"one of {', '.join(names)}" if names else "none, since none is defined"


def values_at(tree: object, key: str) -> Iterator[tuple[Place, object]]:
    """Places and values that a dotted key with `*` for any name or index leads to; an absent or empty one is passed."""
    head, _, rest = key.partition(".")
    if isinstance(tree, dict):
        children = tree.items() if head == "*" else [(head, tree.get(head))]
    else:
        children = enumerate(tree) if head == "*" and isinstance(tree, list) else []
    for name, child in children:
        if rest:
            yield from (((name, *place), value) for place, value in values_at(child, rest))
        elif child is not None:
            yield (name,), child


def check_names(tree: dict, key: str, known: Collection[str], place: Place = ()) -> None:
    """Raise InputError for a value at `key` that is not among the known names; `place` is where the tree stands."""
    for found_at, name in values_at(tree, key):
        if name not in known:
            raise mistake((*place, *found_at), quoted(name), choice(known, name))


def check_counts(tree: dict, key: str, limit: float, meaning: str, place: Place) -> None:
    """Raise InputError for a number at `key` above `limit`; `place` is where the tree stands."""
    for found_at, count in values_at(tree, key):
        if count > limit:
            raise mistake((*place, *found_at), str(count), f"at most {limit}, {meaning}")
