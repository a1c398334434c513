"""The claims of a run in the report's words: verdict, difference, interval, and the results in other subsets."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pandas as pd

from emtransfer.measuring.measurable import NOT_MEASURABLE
from emtransfer.reporting.wording import SUBSETS, could_find, difference, in_words, nats, points

KEY = ["claim", "contrast", "experiment", "base_model", "base", "judge"]
DECIDED = ("supported", "contradicted")


class Contrast(NamedTuple):
    """A contrast in words.

    Attributes:
        contrast, base: what is set against what, and where.
        difference: in points, or of shifts in nats per token, with its interval.
        found: what could have been found.
        kind, own_kind: the first words of the two verdicts.
        verdict: for the population of the claim, or why there is none that could be measured.
        own: for the models of this run alone, with the interval of that.
        judges: how many judges of the panel say the same; empty without a panel.
        others: the same counted otherwise: how, and the difference.
    """

    contrast: str
    base: str
    difference: str
    found: str
    kind: str
    own_kind: str
    verdict: str
    own: str
    judges: str
    others: list[tuple[str, str]]


class Claim(NamedTuple):
    """A claim, whether the experiment was made to test it, and all contrasts that bear on it."""

    name: str
    is_primary: bool
    sentence: str
    contrasts: list[Contrast]


def claims_of(
    claims: pd.DataFrame, effects: pd.DataFrame, power: pd.DataFrame, experiment: str, judge: str
) -> list[Claim]:
    """All claims of an experiment by the verdicts of one judge, primary ones first, else in the order of the table."""
    here = (claims["experiment"] == experiment) & (claims["judge"] == judge)
    rows = claims[here].merge(power[[*KEY, "detectable_pp"]], on=KEY, how="left")
    return by_claim(rows, lambda row: told(row, effects))


def shifts_of(claims: pd.DataFrame, experiment: str) -> list[Claim]:
    """The same by the shifts of preferences.

    Args:
        claims: of shift_claims.csv.
    """
    return by_claim(claims[claims["experiment"] == experiment], told_of_shift)


def by_claim(rows: pd.DataFrame, tell: Callable[[dict[str, Any]], Contrast]) -> list[Claim]:
    """The claims that rows with a verdict are of, primary ones first, else in their order."""
    found = [
        Claim(
            str(name),
            bool(part["primary"].iloc[0] == "yes"),
            str(part["sentence"].iloc[0]),
            [tell(row) for row in part.to_dict("records")],
        )
        for name, part in rows.groupby("claim", sort=False)
    ]
    return sorted(found, key=lambda claim: not claim.is_primary)


def told(row: dict[str, Any], effects: pd.DataFrame) -> Contrast:
    """A row of claims.csv in words."""
    here = effects[(effects[KEY] == pd.Series({name: row[name] for name in KEY})).all(axis=1)]
    of_all = here[(here["subset"] == "all") & (here["method"] != "logit")]
    own = of_all[of_all["population"].str.startswith("these")]
    limits = [f" ({points(one.low_pp)} to {points(one.high_pp)})" for one in own.itertuples()]
    narrower = row["narrower_verdict"] if isinstance(row["narrower_verdict"], str) else ""
    return Contrast(
        *where(row),
        difference(row),
        "" if row["verdict"] == NOT_MEASURABLE else could_find(row["detectable_pp"], "slope" in row["contrast"]),
        row["verdict"].split(" ")[0],
        narrower.split(" ")[0],
        with_reason(row),
        in_words(narrower) + (limits[0] if limits and narrower else ""),
        f"{row['n_judges_agree']} of {row['n_judges']} judges say so"
        if row["n_judges"] > 1 and row["n_judges_agree"]
        else "",
        [(SUBSETS[one["subset"]], difference(one)) for one in here.to_dict("records") if one["subset"] in SUBSETS],
    )


def told_of_shift(row: dict[str, Any]) -> Contrast:
    """A row of shift_claims.csv in words."""
    narrower = row["narrower_verdict"] if isinstance(row["narrower_verdict"], str) else ""
    own = f" ({nats(row['narrower_low_nats'])} to {nats(row['narrower_high_nats'])})" if narrower else ""
    return Contrast(
        *where(row),
        f"{nats(row['estimate_nats'])} ({nats(row['low_nats'])} to {nats(row['high_nats'])})",
        "",
        row["verdict"].split(" ")[0],
        narrower.split(" ")[0],
        with_reason(row),
        in_words(narrower) + own,
        "",
        [],
    )


def with_reason(row: dict[str, Any]) -> str:
    """The verdict of a row in words, and why it has none where it is not measurable."""
    because = row["not_measurable_because"]
    whose = f" for {row['population']}" if row["verdict"] == "undecided" else ""
    return ": ".join([in_words(row["verdict"] + whose), *([because] if isinstance(because, str) and because else [])])


def where(row: dict[str, Any]) -> tuple[str, str]:
    """What a row sets against what, and its base."""
    contrast = row["contrast"].replace("_", " ").replace(" - ", " − ").replace(" x ", " × ")
    return contrast, "all bases" if row["base"] == "*" else row["base"].replace(" - ", " − ")


def tally(kinds: Iterable[str]) -> str:
    """How many contrasts have which verdict, by the first words of those."""
    counts = Counter(kinds)
    names = {
        "supported": "supported",
        "contradicted": "contradicted",
        "undecided": "undecided",
        "too": "with too few replicates to tell",
        "one": "with one seed only",
        "not": "not measurable",
        "": "without one",
    }
    return ", ".join(f"{counts[kind]} {words}" for kind, words in names.items() if counts[kind])


def in_short(claims: list[Claim]) -> list[str]:
    """The verdicts decided for the population, and the number of verdicts, as sentences."""
    if not claims:
        return ["No claim applies to these models."]
    contrasts = [(claim, contrast) for claim in claims for contrast in claim.contrasts]
    decided = [
        f"{claim.sentence.rstrip('.')}: {contrast.verdict[0].lower()}{contrast.verdict[1:]} (base {contrast.base}, {contrast.contrast}:"
        f" {contrast.difference} points)."
        for claim, contrast in contrasts
        if contrast.kind in DECIDED
    ]
    return [*(decided or ["No claim is decided for others like the models of this run."]), how_many(claims)]


def how_many(claims: list[Claim]) -> str:
    """The number of verdicts of each kind, as a sentence."""
    contrasts = [contrast for claim in claims for contrast in claim.contrasts]
    return (
        f"Verdicts of {len(contrasts)} contrast{'s' * (len(contrasts) > 1)}: {tally(contrast.kind for contrast in contrasts)};"
        f" for the models of this run alone: {tally(contrast.own_kind for contrast in contrasts)}."
    )


def preferred_in_short(claims: list[Claim]) -> list[str]:
    """The same of claims on preferences; nothing where no claim was tested on them."""
    told = in_short(claims) if claims else []
    return [
        f"By the models' preferences, which need no judge: {sentence[0].lower()}{sentence[1:]}" for sentence in told
    ]


def shifted_in_short(claims: list[Claim]) -> list[str]:
    """How many verdicts there are by the shifts of preferences; nothing where no claim was tested on them."""
    told = how_many(claims)
    return [f"By how far the models' preferences shift: {told[0].lower()}{told[1:]}"] if claims else []
