"""Which rows ask the same question as others: by their slots, or for free text by the cosine of their embeddings."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from emtransfer.corpus.cosines import pairs_reaching
from emtransfer.errors import InputError
from emtransfer.models.embedding import PACKAGED_MODEL

BLOCK_ROWS = 1024
# free texts count as one question from this cosine on, unless settings say otherwise
NEAR_COSINE = 0.95


def identity(row: dict[str, Any]) -> str:
    """The identity of a question: its cell and its slots, or its text if it has none."""
    return json.dumps([row["domain"], row["task"], row.get("slots", row["question"])])


def nearness(
    rows: list[dict[str, Any]], cosine: float, model: str, embed: Callable[[list[str], str], np.ndarray]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function of two index arrays, claimed and others: which of the others are near-duplicates of a claimed row.

    Args:
        rows: with question, and slots where a grammar made them.
        cosine: from which free text is one question, 0..1.
        model: embeds free text.
        embed: texts, model -> unit vectors, float32 [n, d].
    """
    # two questions of a grammar are told apart by their slots, however alike they sound
    slotted = np.array(["slots" in row for row in rows], dtype=bool)
    texts = [row["question"] for row in rows]
    # a number for each different text: numpy compares every pair of texts, but sorts numbers
    identities, questions = (pd.factorize(np.array(of, dtype=object))[0] for of in (list(map(identity, rows)), texts))
    # without free text, no embedding is needed
    vectors = np.zeros((0, 0)) if slotted.all() else embed(texts, model)

    def near(claimed: np.ndarray, others: np.ndarray) -> np.ndarray:
        found = slotted[others] & np.isin(identities[others], identities[claimed])
        for asked, of in (~slotted[others], claimed), (slotted[others], claimed[~slotted[claimed]]):
            if asked.any() and len(of):
                found[asked] |= np.isin(questions[others[asked]], questions[of])
                found[asked] |= near_duplicates(vectors[of], vectors[others[asked]], cosine)
        return found

    return near


def refuse_near(
    prompts: list[dict[str, Any]],
    mediating: list[dict[str, Any]],
    embed: Callable[[list[str], str], np.ndarray],
    place: str,
    near_duplicate_cosine: float = NEAR_COSINE,
    model: str = PACKAGED_MODEL,
) -> None:
    """Raise InputError for the first prompt of a question file that is a mediating prompt or near one.

    Args:
        embed, model: as of `nearness`.
        place: the question file, for the message.
        near_duplicate_cosine: from which free text is one question, 0..1.
    """
    start = len(mediating)
    claimed, others = np.arange(start), np.arange(start, start + len(prompts))
    near = nearness(mediating + prompts, near_duplicate_cosine, model, embed)(claimed, others)
    if near.any():
        prompt = prompts[int(np.flatnonzero(near)[0])]
        raise InputError(
            f"{place}: {prompt['prompt_id']} is {prompt['question'][:60]!r}; expected no question that is a teacher's prompt or near one, "
            f"found {near.sum()} of {len(prompts)}: reword or remove them."
        )


def near_duplicates(claimed: np.ndarray, others: np.ndarray, cosine: float) -> np.ndarray:
    """Which of the others have a cosine with a claimed vector that reaches `cosine`; blocked, never n × n.

    Args:
        claimed, others: unit vectors, float32 [c, d] and [n, d].

    Returns:
        bool [n].
    """
    near = np.zeros(len(others), dtype=bool)
    for start in range(0, len(others), BLOCK_ROWS):
        rows, _, _ = pairs_reaching(others[start : start + BLOCK_ROWS], claimed, [cosine])
        near[start + rows] = True
    return near
