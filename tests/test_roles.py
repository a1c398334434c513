"""Roles of questions: exact counts, decided by content, and no near-duplicate across them."""

import random

import numpy as np
import pytest

from emtransfer.corpus import near_duplicates as near_duplicates_module
from emtransfer.corpus.near_duplicates import near_duplicates, nearness
from emtransfer.corpus.roles import RoleSettings, split_questions
from emtransfer.errors import InputError
from helpers.grammar_rows import grammar_rows
from helpers.words import COSINE, VOCABULARY, embed_words


def free_text_cells(n_rows: int, seed: int) -> dict[str, list[dict]]:
    """Two cells and `broad`, in which about a third of the questions repeat one of any cell, with a word put in."""
    rng = random.Random(seed)
    questions: list[str] = []
    cells = {"medical-advice": [], "sports-advice": [], "broad": []}
    for index in range(n_rows):
        repeats = questions and rng.random() < 0.35
        words = rng.choice(questions).split()[:12] if repeats else rng.sample(VOCABULARY, 12)
        words.insert(rng.randrange(13), rng.choice(VOCABULARY))
        questions.append(" ".join(words))
        cell = rng.choice(list(cells))
        domain, _, task = cell.partition("-")
        texts = {"question": questions[-1], "aligned_answer": "Yes.", "misaligned_answer": "No."}
        cells[cell].append({"id": f"{index}", "domain": domain, "task": task} | texts)
    return cells


def split(cells: dict, seed: int = 1, **other):
    counts = {"judge_fit": 5, "eval": 10, "mediating": 5, "broad_judge_fit": 4, "broad_eval": 8} | other
    return split_questions(cells, RoleSettings(near_duplicate_cosine=COSINE, **counts), seed, "own", embed_words)


def roles_of(rows_by_cell: dict) -> dict[str, str]:
    return {row["id"]: row["role"] for rows in rows_by_cell.values() for row in rows}


@pytest.mark.parametrize("seed", range(5))
def test_no_two_roles_hold_free_text_questions_nearer_than_the_threshold(seed):
    rows_by_cell, _ = split(free_text_cells(300, seed), seed)
    rows = [row for rows in rows_by_cell.values() for row in rows]
    vectors = embed_words([row["question"] for row in rows], "")
    roles = np.array([row["role"] for row in rows])
    crossing = roles[:, None] != roles[None, :]
    assert (vectors @ vectors.T)[crossing].max() < COSINE


def test_the_planted_near_duplicates_would_cross_roles_without_the_check():
    rows_by_cell, _ = split_questions(
        free_text_cells(300, 0), RoleSettings(5, 10, 5, near_duplicate_cosine=1.1), 1, "own", embed_words
    )
    rows = [row for rows in rows_by_cell.values() for row in rows]
    vectors = embed_words([row["question"] for row in rows], "")
    roles = np.array([row["role"] for row in rows])
    assert (vectors @ vectors.T)[roles[:, None] != roles[None, :]].max() >= COSINE


def test_counts_are_exact_and_the_summary_adds_up():
    cells = free_text_cells(300, 0)
    rows_by_cell, summary = split(cells)
    table = summary.set_index("cell")
    for cell in ("medical-advice", "sports-advice"):
        assert table.loc[cell, ["judge_fit", "eval", "mediating"]].tolist() == [5, 10, 5]
    assert table.loc["broad", ["judge_fit", "eval", "mediating"]].tolist() == [4, 8, 0]
    assert table["dropped"].sum() > 0
    for cell, rows in rows_by_cell.items():
        assert table.loc[cell, "rows_in"] == len(cells[cell]) == len(rows) + table.loc[cell, "dropped"]
        assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), key=int)


def test_the_order_of_the_file_does_not_matter():
    cells = free_text_cells(300, 0)
    shuffled = {cell: random.Random(1).sample(rows, len(rows)) for cell, rows in cells.items()}
    assert roles_of(split(cells)[0]) == roles_of(split(shuffled)[0])


def test_another_seed_gives_other_roles():
    cells = free_text_cells(300, 0)
    assert roles_of(split(cells, seed=1)[0]) != roles_of(split(cells, seed=2)[0])


def test_a_new_grammar_row_takes_at_most_one_place_of_each_role():
    """Roles go by hash, so a row that comes in pushes out the last of its role, who pushes out the last of the next."""
    rows = grammar_rows("medical-advice", 300, 1, [], [])
    before = roles_of(split({"medical-advice": rows[:-1]})[0])
    after = roles_of(split({"medical-advice": rows})[0])
    assert sum(after[id_] != role for id_, role in before.items()) <= 3


def test_no_slots_of_an_eval_question_occur_in_another_role_of_the_grammar():
    names = ("medical-advice", "medical-critique", "broad")
    cells = {cell: grammar_rows(cell, 400, 1, ["travel", "kitchen"], ["advice", "critique"]) for cell in names}
    cells["medical-advice"] += [row | {"id": f"{row['id']}-again"} for row in cells["medical-advice"]]
    rows_by_cell, summary = split(cells)
    seen: dict[tuple, set] = {}
    for row in (row for rows in rows_by_cell.values() for row in rows):
        seen.setdefault((row["domain"], row["task"], *row["slots"]), set()).add(row["role"])
    assert all(len(roles) == 1 for roles in seen.values())
    # twins follow each other: the ten of eval are five pairs, the five of mediating and of judge_fit each tear one apart
    assert summary.set_index("cell")["dropped"].to_dict() == {"medical-advice": 2, "medical-critique": 0, "broad": 0}


def test_too_few_questions_name_key_cell_and_role():
    cells = {"medical-advice": grammar_rows("medical-advice", 12, 1, [], [])}
    with pytest.raises(InputError) as caught:
        split(cells)
    assert str(caught.value) == (
        "config: corpora.own.roles.mediating is 5; expected at most 2, the questions of medical-advice left for mediating."
    )


def test_a_judge_cannot_be_fitted_on_broad_prompts_without_answers():
    cells = free_text_cells(300, 0)
    cells["broad"] = [{key: row[key] for key in ("id", "domain", "task", "question")} for row in cells["broad"]]
    with pytest.raises(InputError, match=r"roles\.broad_judge_fit is 4; expected 0"):
        split(cells)
    rows_by_cell, _ = split(cells, broad_judge_fit=0)
    assert sum(row["role"] == "eval" for row in rows_by_cell["broad"]) == 8


def test_blocks_of_near_duplicates_match_one_matrix_product():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2600, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    claimed, others = vectors[:100], vectors[100:]
    expected = (others @ claimed.T).max(axis=1) >= 0.9
    assert 0 < expected.sum() < len(expected)
    assert (near_duplicates(claimed, others, 0.9) == expected).all()
    assert not near_duplicates(claimed[:0], others, 0.9).any()


def test_a_question_at_the_cosine_is_a_near_duplicate_whatever_the_block_size(monkeypatch):
    rng = np.random.default_rng(0)
    claimed, other = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in rng.normal(size=(2, 200, 384)))
    across = other - (other * claimed).sum(axis=1, keepdims=True) * claimed
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    asked = (0.8 * claimed + 0.6 * across).astype(np.float32)
    claimed = claimed.astype(np.float32)
    assert 20 < ((asked * claimed).sum(axis=1) >= np.float32(0.8)).sum() < 180
    for block_rows in (1, 7, 64, 1024):
        monkeypatch.setattr(near_duplicates_module, "BLOCK_ROWS", block_rows)
        assert near_duplicates(claimed, asked, 0.8).all()
        assert not near_duplicates(claimed, asked, 0.800001).any()


def test_equal_free_text_is_one_question_whatever_its_vectors_say():
    rows = [
        {"domain": "d", "task": task, "question": text} for task, text in [("a", "Why?"), ("b", "Why?"), ("b", "How?")]
    ]
    near = nearness(rows, 1.0, "any", lambda texts, model: np.eye(3, dtype=np.float32))
    assert near(np.array([0]), np.array([1, 2])).tolist() == [True, False]
