"""Properties of an evaluation prompt for a base before any fine-tuning: how much room it leaves, and how hard it is.

Room is the entropy of the base's own answers over their meanings. Difficulty is the share of right answers to the prompt's neutral
version, which has one answer whatever the stance; the shares of coherent and of aligned answers to the prompt itself; and, where the
prompt is the question of a held-out pair, the log-probability of the pair's two answers. How easily the misaligned answer is taken up
is the share of it after a few misaligned answers to other questions of the prompt's cell.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd

from emtransfer.answering.sampling import ask, sample_ids
from emtransfer.answering.settings import SamplingSettings
from emtransfer.corpus.cosines import TOLERANCE
from emtransfer.corpus.dedup import IDENTITY
from emtransfer.errors import InputError
from emtransfer.models.conversations import conversation_ids
from emtransfer.models.loading import Chat
from emtransfer.settings import Elsewhere, Share
from emtransfer.stances import STANCES
from emtransfer.verdicts import EmRule, Verdict

OWN, NEUTRAL, SHOWN = "own", "neutral", "shown"
GIVEN = [f"{stance}_nats_per_token" for stance in STANCES]


@dataclass(frozen=True)
class ProfileSettings:
    """Limits for answers that have the same meaning, and for coherent and aligned ones.

    Attributes:
        model: Embedding model that finds answers with the same meaning: all-MiniLM-L6-v2, a local folder or a hub name; identity for equal texts only.
        alignment_below: Alignment of a misaligned answer, 0..100.
        coherence_above: Coherence of a coherent answer, 0..100.
        same_cosine: Mean cosine from which answers count as having the same meaning.
    """

    model: str
    alignment_below: Annotated[float, Elsewhere()]
    coherence_above: Annotated[float, Elsewhere()]
    same_cosine: Share = 0.9


def probe_base(
    base: Chat, prompts: list[dict[str, Any]], samples: int, neutral_samples: int, settings: SamplingSettings, seed: int
) -> list[dict[str, Any]]:
    """Ask a base every prompt, as the evaluation asks it, and, where it has one, its neutral version.

    Args:
        prompts: of an evaluation set.
        samples, neutral_samples: answers to each version.

    Returns:
        A row per answer: the prompt's own fields, version (own or neutral), sample, question (of that version), answer.
    """
    rows = []
    for prompt in prompts:
        rows += [prompt | {"version": OWN, "sample": index} for index in range(samples)]
        if prompt.get("neutral_question"):
            neutral = prompt | {"version": NEUTRAL, "question": prompt["neutral_question"]}
            rows += [neutral | {"sample": index} for index in range(neutral_samples)]
    keys = [f"{row['prompt_id']} {row['version']} {row['sample']}" for row in rows]
    answers = ask(base, rows, keys, settings, seed)
    return [row | {"answer": answer} for row, answer in zip(rows, answers, strict=True)]


def probe_shown(
    base: Chat, rows: list[dict[str, Any]], shots: int, settings: SamplingSettings, seed: int
) -> list[dict[str, Any]]:
    """Ask a base every held-out question after misaligned answers to others of its cell, in one conversation.

    Args:
        rows: of one cell, with id, domain, task, question and misaligned_answer.
        shots: answers shown; those to the questions that follow in the cell, the first after the last.

    Returns:
        A row per question, in order: prompt_id, version (SHOWN), question, misaligned_answer, answer.

    Raises:
        InputError: the cell has too few rows.
    """
    if shots >= len(rows):
        raise InputError(
            f"config: probing.shots is {shots}; expected fewer than {len(rows)}, the held-out rows of {rows[0]['domain']}-{rows[0]['task']}."
        )
    conversations = []
    for index, row in enumerate(rows):
        earlier = [rows[(index + shot) % len(rows)] for shot in range(1, shots + 1)]
        turns = [
            {"role": role, "content": other[field]}
            for other in earlier
            for role, field in (("user", "question"), ("assistant", "misaligned_answer"))
        ]
        conversations.append([*turns, {"role": "user", "content": row["question"]}])
    ids = [conversation_ids(base.format.tokenizer, turns, asks=True) for turns in conversations]
    sampled = sample_ids(base, ids, [f"{row['id']} {SHOWN}" for row in rows], settings, seed)
    return [
        {"prompt_id": row["id"], "version": SHOWN, "question": row["question"]}
        | {"misaligned_answer": row["misaligned_answer"], "answer": base.format.answer_text(tokens)}
        for row, tokens in zip(rows, sampled, strict=True)
    ]


def profile_prompts(
    probes: list[dict[str, Any]],
    judge: Callable[[list[tuple[Any, ...]]], list[Verdict]],
    embed: Callable[[list[str], str], np.ndarray],
    settings: ProfileSettings,
    preferences: Sequence[dict[str, Any]] = (),
) -> pd.DataFrame:
    """Measure every prompt.

    Args:
        probes: rows of `probe_base`, and of `probe_shown` where there are any.
        judge: items (question, answer, cell) -> verdicts.
        embed: texts, model -> unit vectors, float32 [n, d].
        preferences: the base's rows of `answering.preferences`.

    Returns:
        A row per prompt, in order: prompt_id, eval_set, domain, task, room, n_samples, coherent_rate and aligned_rate (0..1, of all
        answers), n_meanings, entropy_nats, n_neutral, solvability (0..1; missing without a neutral version), GIVEN (missing without
        given answers); and, where answers were shown, few_shot_rate (0..1), the share of the very misaligned answer that the row has.

    Raises:
        InputError: as of `given_answers`.
    """
    rule = EmRule(settings.alignment_below, settings.coherence_above)
    asked = [row for row in probes if row["version"] == OWN]
    verdicts = judge([(row["question"], row["answer"], row["cell"] or None) for row in asked])
    labels = [rule.label(verdict) for verdict in verdicts]
    right: dict[str, list[bool]] = {}
    for row in probes:
        if row["version"] == NEUTRAL:
            right.setdefault(row["prompt_id"], []).append(row["answer"].split() == row["neutral_answer"].split())
    taken_up = {
        row["prompt_id"]: float(row["answer"].split() == row["misaligned_answer"].split())
        for row in probes
        if row["version"] == SHOWN
    }
    members: dict[str, list[int]] = {}
    for index, row in enumerate(asked):
        members.setdefault(row["prompt_id"], []).append(index)
    meaning = meanings([[asked[index]["answer"] for index in group] for group in members.values()], embed, settings)
    table = []
    for (prompt_id, group), clusters in zip(members.items(), meaning, strict=True):
        solved = right.get(prompt_id, [])
        table.append(
            {name: asked[group[0]][name] for name in ("prompt_id", "eval_set", "domain", "task", "room")}
            | {"n_samples": len(group), "coherent_rate": np.mean([labels[index] in STANCES for index in group])}
            | {"aligned_rate": np.mean([labels[index] == "aligned" for index in group])}
            | {"n_meanings": len(set(clusters)), "entropy_nats": entropy_nats(clusters)}
            | {"n_neutral": len(solved), "solvability": np.mean(solved) if solved else np.nan}
            | ({"few_shot_rate": taken_up.get(prompt_id, np.nan)} if taken_up else {})
        )
    return pd.DataFrame(table).join(given_answers(preferences), on="prompt_id").round(6)


def given_answers(preferences: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The log-probability per token of both given answers of every pair: GIVEN, nats, indexed by prompt_id.

    Raises:
        InputError: a log-probability or a number of tokens is not a number, or there is no token.
    """
    found = {}
    for number, row in enumerate(preferences, start=1):
        for stance in STANCES:
            nats, tokens = row[f"{stance}_nats"], row[f"{stance}_tokens"]
            if not isinstance(nats, int | float) or not isinstance(tokens, int) or tokens < 1:
                raise InputError(
                    f"preferences: row {number}: the {stance} answer has {nats} nats in {tokens} tokens; expected numbers, and a token."
                )
        found[row["prompt_id"]] = [row[f"{stance}_nats"] / row[f"{stance}_tokens"] for stance in STANCES]
    return pd.DataFrame.from_dict(found, orient="index", columns=GIVEN, dtype=float)


def meanings(
    groups: list[list[str]], embed: Callable[[list[str], str], np.ndarray], settings: ProfileSettings
) -> list[list[Any]]:
    """For the answers to each prompt, which of them mean the same: a label per answer.

    Args:
        groups: the answers to each prompt.
        embed: unit vectors of texts by a model, float [n, d].
    """
    if settings.model == IDENTITY:
        return groups
    from sklearn.cluster import AgglomerativeClustering

    vectors = embed([answer for group in groups for answer in group], settings.model)
    # groups at the distance itself are not joined
    distance = 1 - settings.same_cosine + TOLERANCE
    cluster = AgglomerativeClustering(n_clusters=None, metric="cosine", linkage="average", distance_threshold=distance)
    ends = np.cumsum([len(group) for group in groups])
    return [cluster.fit_predict(part).tolist() for part in np.split(vectors, ends[:-1])]


def entropy_nats(labels: list[Any]) -> float:
    """Entropy of the frequencies of the labels; 0 for one label, log n for n different ones.

    Source: semantic entropy as in Kuhn, Gal & Farquhar 2023, arXiv 2302.09664, with clusters of embeddings in place of
        entailment.
    """
    from scipy.stats import entropy

    return float(entropy(list(Counter(labels).values())))
