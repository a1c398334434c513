"""Tables for a paper: the claims, and rates pooled by relation, in LaTeX with booktabs."""

import pandas as pd

from emtransfer.drawing.rates import Pooled, pooled

HEADER = "% Needs \\usepackage{booktabs}\n"
# rows that agree in all of these columns have their rates pooled
POOLED_BY = ["experiment", "judge", "base", "condition", "answers", "teacher", "data", "channel", "relation"]


def claims_latex(claims: pd.DataFrame) -> str:
    """A row per claim and base: the difference in percentage points with its interval, q and the verdict.

    Args:
        claims: of claims.csv.
    """
    # the judge is named where there are several
    judges = ["judge"] * (claims["judge"].nunique() > 1)
    intervals = [
        f"{row.estimate_pp:+.1f} [{row.low_pp:+.1f}, {row.high_pp:+.1f}]" if pd.notna(row.estimate_pp) else ""
        for row in claims.itertuples()
    ]
    table = pd.DataFrame(
        {
            **{name: claims[name].fillna("") for name in ("experiment", *judges, "base", "claim", "contrast")},
            "difference (pp) [95 % interval]": intervals,
            "q": [shortest(q) for q in claims["q_value"]],
            "verdict": claims["verdict"],
        }
    )
    return booktabs(table, "Claims about transfer: difference of EM rates with 95 % interval, and verdict.", "claims")


def relations_latex(rows: pd.DataFrame) -> str:
    """A row per kind of model and relation of training to evaluation cell: the pooled EM rate with its interval.

    Args:
        rows: of the transfer table, as `drawing.rates.read_transfer_table` gives them for an experiment.
    """
    known = rows.assign(relation=rows["relation"].where(rows["condition"] != "base", rows["eval_set"]))
    lines = [
        dict(zip(POOLED_BY, names, strict=True)) | in_words(pooled(group))
        for names, group in known.groupby(POOLED_BY, sort=False)
    ]
    table = pd.DataFrame(lines)
    untold = [
        name for name in POOLED_BY if (table[name] == "").all() or (name == "judge" and table[name].nunique() == 1)
    ]
    return booktabs(table.drop(columns=untold), "EM rate by relation of training and evaluation cell.", "relations")


def in_words(rate: Pooled) -> dict[str, object]:
    """A pooled rate as cells of a table."""
    interval = f"{rate.rate:.1f} [{rate.low:.1f}, {rate.high:.1f}]"
    return {"EM rate (%) [95 % interval]": interval, "training sets": rate.n_train_sets, "scored": rate.n_answers}


def shortest(q: float) -> str:
    """A q value to two digits; empty where there is none."""
    return "" if pd.isna(q) else f"{q:.2g}"


def booktabs(table: pd.DataFrame, caption: str, label: str) -> str:
    """A table in LaTeX, its text escaped."""
    shown = {"index": False, "escape": True, "column_format": "l" * len(table.columns), "position": "ht"}
    # a caption is LaTeX, so pandas must not escape it
    return HEADER + table.to_latex(caption=caption.replace("%", "\\%"), label=f"tab:{label}", **shown)
