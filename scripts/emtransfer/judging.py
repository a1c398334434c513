"""One interface to every judge: questions and answers in, one verdict each out."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from emtransfer.causal_judge import load_causal_judge
from emtransfer.cross_encoder import load_cross_encoder
from emtransfer.errors import InputError
from emtransfer.exact_judge import load_exact_judge
from emtransfer.remote.access import PROVIDERS, RemoteSettings, remote_asker
from emtransfer.remote_judge import OwnPrompts, RemoteJudgeSettings, remote_scorer
from emtransfer.verdicts import Item, Scorer, Verdict

# kind of judge -> loader of its manifest and settings; a later kind is one more entry here
LOCAL_KINDS: dict[str, Callable[[Path | None, dict], Scorer]] = {
    "causal_lm": load_causal_judge,
    "cross_encoder": load_cross_encoder,
    "exact": load_exact_judge,
}
KINDS = (*LOCAL_KINDS, *PROVIDERS)


class Judge:
    """A judge of any kind."""

    def __init__(self, scorer: Scorer):
        self.scorer = scorer

    def score(self, items: list[Item]) -> list[Verdict]:
        """Judge answers; an empty answer has no scores and is not shown to the judge.

        Args:
            items: question, answer, and the cell whose rubric applies; None, or the id of a question of a question file,
                for the task-agnostic one.

        Returns:
            One verdict per item, in order.
        """
        verdicts = [Verdict("empty") if not answer.strip() else None for _, answer, _ in items]
        scored = iter(self.scorer([item for item, verdict in zip(items, verdicts, strict=True) if verdict is None]))
        return [verdict or next(scored) for verdict in verdicts]


def load_judge(
    path: Path | None,
    settings: dict,
    remote: dict | None = None,
    purpose: str = "",
    own_prompts: OwnPrompts | None = None,
) -> Judge:
    """Load a judge.

    Args:
        path: manifest.json of the judge's folder, or the rubric of a remote model; None for a kind that needs neither. A
            model that has a folder and is told a rubric has the rubric in its settings.
        settings: the judge's config section; `kind` is one of KINDS.
        remote: fields of RemoteSettings, for a remote model.
        purpose: what a remote model's calls are for, a word in the ledger.
        own_prompts: of questions that come with their own, for a remote model.

    Raises:
        InputError: the kind is unknown, or a file of the folder is missing or has changed.
    """
    kind = settings["kind"]
    if kind in PROVIDERS:
        judge_settings = RemoteJudgeSettings(**settings)
        asker = remote_asker(kind, judge_settings.model, RemoteSettings(**remote), purpose)
        return Judge(remote_scorer(path, judge_settings, asker, own_prompts))
    if kind not in LOCAL_KINDS:
        raise InputError(f"config.yaml: judges: kind is {kind}; expected one of {', '.join(KINDS)}.")
    return Judge(LOCAL_KINDS[kind](path, settings))


def judge_rows(rows: list[dict], judge: Judge) -> list[dict]:
    """The rows, in order, with status, alignment, coherence and reply of their answers."""
    items = [(row["question"], row["answer"], row.get("cell") or None) for row in rows]
    return [row | asdict(verdict) for row, verdict in zip(rows, judge.score(items), strict=True)]


def check_answers(path: str | Path, rows: list[dict]) -> None:
    """Raise InputError unless every row has an answer; an empty text is one."""
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get("answer"), str):
            raise InputError(f"{path}: row {number}: answer is {json.dumps(row.get('answer'))}; expected text.")
