"""Result of a comparison of two runs, in a few lines for the screen."""

import pandas as pd

from emtransfer.errors import counted

MOST = 12
# key columns that name a row, shortest way first: whose model, then what it was asked
MODEL = (
    "experiment",
    "base",
    "condition",
    "train_set",
    "answers",
    "capacity",
    "teacher",
    "data",
    "channel",
    "estimator",
)
ASKED = ("eval_domain", "eval_task", "room")


def summary(a: str, b: str, rows: pd.DataFrame, claims: pd.DataFrame | None, apart: dict[str, tuple[str, str]]) -> str:
    """The comparison in words: what is compared, which rates differ, which verdicts differ, what only one side has."""
    lines = [f"A is {a}, B is {b}; differences are B - A."]
    lines += [f"They differ in {name}: {one} and {other}." for name, (one, other) in apart.items()]
    return "\n".join([*lines, "", *row_lines(rows), "", *claim_lines(claims)])


def row_lines(rows: pd.DataFrame) -> list[str]:
    """Which EM rates differ."""
    both = rows[rows["found_in"] == "both"]
    tested = both["beyond_interval"].notna()
    beyond = both[both["beyond_interval"].fillna(False).astype(bool)]
    lines = [
        f"Rows of the table: {found_in(rows)}.",
        f"{counted(tested.sum(), 'row has', 'rows have')} two seeds or more on both sides. {counted(len(beyond), 'of them differs', 'of them differ')} beyond the 95 % interval"
        f" ({0.05 * tested.sum():.1f} at most are expected by chance), {(beyond['q_value'] < 0.05).sum()} with q < 0.05.",
    ]
    if not tested.all():
        lines.append(
            f"{counted((~tested).sum(), 'row has', 'rows have')} a single seed or prompt, which cannot be told from chance."
        )
    largest = beyond.reindex(beyond["em_difference"].abs().sort_values(ascending=False).index)
    for row in largest.head(MOST).to_dict("records"):
        limits = f"{100 * row['em_difference_low']:+.0f} to {100 * row['em_difference_high']:+.0f}"
        rates = f"{100 * row['em_rate_a']:.0f} % -> {100 * row['em_rate_b']:.0f} %"
        lines.append(
            f"  {rates}, {100 * row['em_difference']:+.0f} points ({limits}), q {row['q_value']:.2g}: {named(row)}"
        )
    return lines + more(len(beyond))


def claim_lines(claims: pd.DataFrame | None) -> list[str]:
    """Which verdicts differ."""
    if claims is None:
        return ["Claims are not compared: they need claims.csv beside the table, on both sides."]
    differing = claims[claims["verdict_differs"]]
    lines = [f"Claims: {found_in(claims)}; {counted(len(differing), 'verdict differs', 'verdicts differ')}."]
    for row in differing.head(MOST).to_dict("records"):
        limits = f"{row['difference_low_pp']:+.0f} to {row['difference_high_pp']:+.0f}"
        change = f"{row['difference_pp']:+.0f} points ({limits})"
        where = ", ".join(str(row[name]) for name in ("experiment", "base") if row.get(name))
        lines.append(
            f"  {row['claim']}, {row['contrast']}{f' [{where}]' if where else ''}: {row['verdict_a']} -> {row['verdict_b']}; {change}"
        )
    return lines + more(len(differing))


def found_in(table: pd.DataFrame) -> str:
    """How many rows both sides have, and how many one alone."""
    counts = table["found_in"].value_counts()
    return ", ".join(
        f"{counts.get(side, 0)} {words}"
        for side, words in {"both": "in both", "a": "only in A", "b": "only in B"}.items()
    )


def named(row: dict[str, object]) -> str:
    """A row of the table by its model and what it was asked."""
    model, asked = (" ".join(str(row[name]) for name in names if row.get(name)) for names in (MODEL, ASKED))
    return f"{model}, asked {asked}"


def more(count: int) -> list[str]:
    """That there is more than is listed."""
    return [f"  and {count - MOST} more, in the file."] if count > MOST else []
