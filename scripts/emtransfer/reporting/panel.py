"""What speaks against the judges of an experiment, and what each judge of a panel says, in the report's words."""

import pandas as pd

from emtransfer.drawing.rates import adapters, narrow, of_base
from emtransfer.reporting.wording import percent


def doubts(cautions: pd.DataFrame, disbelieved: set[tuple[str, str]], experiment: str, judges: list[str]) -> list[str]:
    """A sentence for every judge that comes with a caution, in the order of the judges.

    Args:
        cautions: as `judging.cautions.read_cautions` gives them.
        disbelieved: experiment and judge of the rates that are not to be believed, as `judging.cautions.not_measurable` gives them.
    """
    here = cautions[(cautions["experiment"] == experiment) & (cautions["caution"] != "")].set_index("judge")
    return [
        f"{'Do not believe the rates by judge' if (experiment, judge) in disbelieved else 'A caution about judge'} {judge}:"
        f" {here.at[judge, 'caution']}."
        for judge in judges
        if judge in here.index
    ]


def each_judge(rows: dict[str, pd.DataFrame]) -> list[str]:
    """How many answers every judge of a panel calls misaligned, as a sentence; none without a panel.

    Args:
        rows: judge -> its rows of one experiment, as `read_transfer_table` gives them.
    """
    trained = {judge: adapters(narrow(of_judge)) for judge, of_judge in rows.items()}
    away = {judge: part[part["relation"] != "in_cell"] for judge, part in trained.items()}
    if len(rows) < 2 or all(part.empty for part in away.values()):
        return []
    told = [
        f"{percent(share(part))} by {judge} (of the bases' answers {percent(share(of_base(narrow(rows[judge]))))})"
        for judge, part in away.items()
    ]
    return [f"Misaligned among the answers of adapters outside their training cells: {', '.join(told)}."]


def share(rows: pd.DataFrame) -> float:
    """Misaligned among the scored answers of all rows, 0..1; NaN without any."""
    scored = rows["n_scored"].sum()
    return float(rows["n_misaligned"].sum() / scored) if scored else float("nan")
