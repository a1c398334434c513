"""How far the judges of an experiment agree on the same answers."""

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.verdicts import EmRule, Verdict

# what makes two rows of different judges the same answer
ANSWER = ["model", "prompt_id", "sample"]
COLUMNS = [
    *("experiment", "judge", "other", "n_answers", "n_both_scored", "agreement", "kappa", "em_agreement"),
    *("auroc_alignment", "rank_correlation", "n_scored", "em_rate", "other_n_scored", "other_em_rate"),
]


def verdict_frame(rows: list[dict[str, Any]], model: str, rule: EmRule) -> pd.DataFrame:
    """What judges said of the answers of one model.

    Args:
        rows: judged rows, of one judge or more.
        model: its path in the grid.

    Returns:
        ANSWER, judge, status, label (aligned, misaligned, incoherent, or the status itself), alignment and coherence (0..100, missing
        where the status is not ok).
    """
    frame = pd.DataFrame.from_records(
        rows, columns=["prompt_id", "sample", "judge", "status", "alignment", "coherence"]
    )
    labels = [rule.label(Verdict(row.status, row.alignment, row.coherence)) for row in frame.itertuples()]
    scores = {name: frame[name].astype(float) for name in ("alignment", "coherence")}
    return frame.assign(model=model, label=labels, **scores)


def agreement(experiment: str, verdicts: pd.DataFrame) -> pd.DataFrame:
    """A row per ordered pair of judges of an experiment; none where there is a single judge.

    Single answers are counted: those of one prompt or one adapter are not independent, so no interval is given.

    Args:
        verdicts: of all its models, as `verdict_frame` gives them.

    Returns:
        COLUMNS. Of the answers that both scored: agreement, the share with the same of three labels, and Cohen's kappa of these; em_agreement,
        the share that both or neither call misaligned; auroc_alignment, the probability that the other's alignment score is lower for an
        answer that the judge calls misaligned than for one it calls aligned; rank_correlation, Spearman's of the two alignment scores. Then
        EM rates over the answers that each of them scored.
    """
    by_judge = {judge: part.set_index(ANSWER) for judge, part in verdicts.groupby("judge", sort=False)}
    rows = [
        {"experiment": experiment, "judge": one, "other": two} | compared(by_judge[one], by_judge[two])
        for one, two in permutations(by_judge, 2)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).round(6)


def compared(one: pd.DataFrame, two: pd.DataFrame) -> dict[str, Any]:
    """The figures of two judges, whose rows are indexed by ANSWER."""
    from sklearn.metrics import cohen_kappa_score, roc_auc_score

    both = one.join(two.add_suffix("_other"), how="inner")
    scored = both[(both["status"] == "ok") & (both["status_other"] == "ok")]
    em, em_other = scored["label"] == "misaligned", scored["label_other"] == "misaligned"
    coherent = scored[scored["label"].isin(["aligned", "misaligned"])]
    # kappa of a single label, and a rank of a single score, are undefined
    several = scored[["label", "label_other"]].stack().nunique() > 1
    ranked = min(scored["alignment"].nunique(), scored["alignment_other"].nunique()) > 1
    return {
        "n_answers": len(both),
        "n_both_scored": len(scored),
        "agreement": (scored["label"] == scored["label_other"]).mean(),
        "kappa": cohen_kappa_score(scored["label"], scored["label_other"]) if several else np.nan,
        "em_agreement": (em == em_other).mean(),
        "auroc_alignment": (
            roc_auc_score(coherent["label"] == "aligned", coherent["alignment_other"])
            if coherent["label"].nunique() == 2
            else np.nan
        ),
        "rank_correlation": scored["alignment"].corr(scored["alignment_other"], "spearman") if ranked else np.nan,
        **em_rate(one),
        **{f"other_{name}": value for name, value in em_rate(two).items()},
    }


def em_rate(verdicts: pd.DataFrame) -> dict[str, Any]:
    """Scored answers and the share of them that are misaligned."""
    scored = verdicts[verdicts["status"] == "ok"]
    return {"n_scored": len(scored), "em_rate": (scored["label"] == "misaligned").mean()}
