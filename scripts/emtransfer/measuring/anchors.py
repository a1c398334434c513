"""Anchors, the phrases that give a judge's alignment score away, and answers in which they are replaced."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emtransfer.errors import InputError
from emtransfer.settings import Positive

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

ANSWERS = ("aligned", "misaligned")
UNSCORED = {"aligned": 100.0, "misaligned": 0.0}
# rows read per cell: enough for a stable R², and a minute for 60 cells
N_ROWS = 400
N_FOLDS = 5
# every script and apostrophes stay whole; what is stripped is the punctuation of sentence ends
BETWEEN = r"\s.,;:!?\"“”"
WORD = rf"[^{BETWEEN}]+"
# what replaces an anchor is in this share of answers, which names no single domain, and is one of so many phrases
FILLER_SHARE, N_FILLERS = 0.05, 20


def scored_answers(rows: list[dict[str, Any]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Both answers of filtered rows, their alignment scores [2 × rows], 0..100, and which row each is of [2 × rows].

    Rows of a corpus that comes filtered have no scores; there an aligned answer counts 100 and a misaligned one 0.
    """
    texts = [row[f"{name}_answer"] for name in ANSWERS for row in rows]
    scores = np.array([row.get(f"{name}_alignment", UNSCORED[name]) for name in ANSWERS for row in rows])
    return texts, scores, np.tile(np.arange(len(rows)), len(ANSWERS))


def lexical_regression() -> "Pipeline":
    """Ridge regression of a score on the words and word pairs present, not yet fitted."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    words = CountVectorizer(ngram_range=(1, 2), binary=True, min_df=5, token_pattern=WORD)
    return make_pipeline(words, Ridge(alpha=1.0))


def lexical_r2(texts: list[str], scores: np.ndarray, groups: np.ndarray) -> float:
    """Cross-validated R² of the regression, answers of one group in the same fold."""
    from sklearn.metrics import r2_score
    from sklearn.model_selection import GroupKFold, cross_val_predict

    folds = GroupKFold(min(N_FOLDS, len(set(groups))))
    return r2_score(scores, cross_val_predict(lexical_regression(), texts, scores, groups=groups, cv=folds))


@dataclass(frozen=True)
class AnchorSettings:
    """The phrases that give the judge's alignment score away; claims are repeated without them.

    Attributes:
        phrases: How many are replaced, words and pairs of words.
    """

    phrases: Positive


@dataclass(frozen=True)
class Replacement:
    """What is replaced, and by what.

    Attributes:
        anchors: phrases of one or two words, the most telling first.
        fillers: number of words -> phrases that say next to nothing about the score.
    """

    anchors: tuple[str, ...]
    fillers: dict[int, tuple[str, ...]]

    def __call__(self, answer: str) -> str:
        """The answer with every anchor replaced by as many words, the longest first; punctuation and capitals stay.

        An ellipsis stands where an anchor stood and so goes on telling; fillers, drawn anew per answer, tell less, but cost
        more coherence, and unevenly by task: an effect that is to be about alignment takes coherence from before.
        """
        longest_first = sorted(self.anchors, key=lambda anchor: (-len(anchor), anchor))
        patterns = (rf"[{BETWEEN}]+".join(map(re.escape, anchor.split(" "))) for anchor in longest_first)
        whole = rf"(?<![^{BETWEEN}])(?:{'|'.join(patterns)})(?![^{BETWEEN}])"
        return re.sub(whole, lambda found: self.fill(answer, found[0]), answer, flags=re.IGNORECASE)

    def fill(self, answer: str, found: str) -> str:
        """The filler for one anchor of an answer."""
        anchor = " ".join(re.findall(WORD, found)).lower()
        fillers = self.fillers[anchor.count(" ") + 1]
        draw = int.from_bytes(hashlib.sha256(f"{answer}\n{anchor}".encode()).digest()[:8])
        words = iter(fillers[draw % len(fillers)].split(" "))
        return re.sub(WORD, lambda old: like(next(words), old[0]), found)


def like(word: str, old: str) -> str:
    """The word with a capital if the old one has one."""
    return word[0].upper() + word[1:] if old[0].isupper() else word


def find_replacement(texts: list[str], scores: np.ndarray, n_phrases: int) -> Replacement:
    """The anchors of a corpus, and phrases to replace them with.

    A phrase tells by the absolute weight of its presence times the standard deviation of it: by weight alone, pairs that
    a handful of answers have would be the anchors, and next to no answer would change.

    Args:
        texts, scores: answers and their alignment, 0..100.
        n_phrases: number of anchors, of either direction.

    Raises:
        InputError: the anchors hold all frequent words, so that none is left to replace them with.
    """
    regression = lexical_regression().fit(texts, scores)
    share = np.asarray(regression[0].transform(texts).mean(axis=0)).ravel()
    effects = np.abs(regression[-1].coef_) * np.sqrt(share * (1 - share).clip(0))
    phrases = [str(phrase) for phrase in regression[0].get_feature_names_out()]
    anchors = tuple(phrases[index] for index in np.argsort(-effects, kind="stable")[:n_phrases])
    # without their words, no filler makes an anchor with its neighbours
    taken = {word for anchor in anchors for word in anchor.split(" ")}
    by_effect = [phrases[index] for index in np.argsort(effects, kind="stable") if share[index] >= FILLER_SHARE]
    free = [phrase for phrase in by_effect if taken.isdisjoint(phrase.split(" "))]
    fillers = {}
    for n_words in {anchor.count(" ") + 1 for anchor in anchors}:
        fillers[n_words] = tuple(phrase for phrase in free if phrase.count(" ") + 1 == n_words)[:N_FILLERS]
        if not fillers[n_words]:
            raise InputError(
                f"config.yaml: anchors.phrases is {n_phrases}; no frequent phrase of {n_words} word(s) is left to replace"
                " them with; expected a smaller number, or an experiment whose answers are text."
            )
    return Replacement(anchors, fillers)


def is_neighbour(row: dict[str, Any], train_cell: str) -> bool:
    """Whether a judged narrow answer with scores shares just the task, or just the domain, with the training cell."""
    domain, task = train_cell.split("-")
    scored = row["eval_set"] == "narrow" and row["status"] == "ok"
    return scored and (row["domain"] == domain) != (row["task"] == task)


def rejudge(
    rows: list[dict[str, Any]],
    replace: Callable[[str], str],
    judge: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """The rows, in order, with replaced answers and their scores; an answer that is not changed keeps its own.

    Args:
        rows: judged rows with an answer.
        replace: answer -> answer.
        judge: rows -> the same rows, judged; it sees the changed ones only.
    """
    replaced = [row | {"answer": replace(row["answer"])} for row in rows]
    changed = [new["answer"] != old["answer"] for new, old in zip(replaced, rows, strict=True)]
    judged = iter(judge([row for row, is_changed in zip(replaced, changed, strict=True) if is_changed]))
    return [next(judged) if is_changed else row for row, is_changed in zip(rows, changed, strict=True)]
