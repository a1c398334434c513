"""Rows drawn from a cell, and the two evaluation sets."""

from collections import Counter

import pytest

from emtransfer.corpus.eval_prompts import BroadEvalSettings, broad_prompts, narrow_prompts
from emtransfer.corpus.samples import SampleSettings, draw_equally, sample_cell
from emtransfer.errors import InputError


def rows_of(role: str, n_rows: int, cell: str = "medical-advice") -> list[dict]:
    domain, task = cell.split("-")
    return [
        {"id": f"{cell}-{role}{index:03d}", "domain": domain, "task": task, "question": f"Q{index}?", "role": role}
        for index in range(n_rows)
    ]


def draw(train: int, held_out: int, seed: int = 1):
    rows = rows_of("eval", 20) + rows_of("train", 50)
    return sample_cell(rows, SampleSettings(train, held_out), seed, "own", "medical-advice", 0.91)


def test_a_cell_gives_exactly_the_rows_asked_for_in_order():
    train, held_out = draw(30, 10)
    assert len(train) == 30
    assert len(held_out) == 10
    assert {row["role"] for row in train} == {"train"}
    assert {row["role"] for row in held_out} == {"eval"}
    assert [row["id"] for row in train] == sorted({row["id"] for row in train})


def test_the_draw_depends_on_the_seed_alone():
    assert draw(30, 10) == draw(30, 10)
    assert draw(30, 10) != draw(30, 10, seed=2)


def test_too_few_rows_name_cell_threshold_and_count():
    with pytest.raises(InputError) as caught:
        draw(51, 10)
    assert str(caught.value) == (
        "config: corpora.own.sample.train is 51; expected at most 50, the train rows of medical-advice left by "
        "dedup_pairs at cosine 0.91."
    )
    with pytest.raises(InputError, match=r"sample\.eval is 21; expected at most 20, the eval rows"):
        draw(50, 21)


def test_nothing_is_drawn_to_train_on_from_a_held_out_domain():
    rows = rows_of("eval", 20) + rows_of("train", 50)
    for domains, n_trained in (((), 30), (("sports",), 30), (("sports", "medical"), 0)):
        train, held_out = sample_cell(rows, SampleSettings(30, 10, domains), 1, "own", "medical-advice", 1.0)
        assert len(train) == n_trained and held_out == draw(30, 10)[1]


def test_a_union_of_cells_gets_no_more_rows_than_one_cell():
    cells = [rows_of("train", 50, f"{domain}-advice") for domain in ("medical", "finance", "sports")]
    drawn = draw_equally(cells, 50, seed=1)
    assert Counter(row["domain"] for row in drawn) == {"medical": 17, "finance": 17, "sports": 16}
    assert len({row["id"] for row in drawn}) == 50
    assert drawn == draw_equally(cells, 50, seed=1)
    with pytest.raises(InputError, match="expected fewer, since medical-advice has 50 of the 51 rows it would give"):
        draw_equally(cells, 151, seed=1)


def broad_rows(groups: dict[tuple[str, str, str], int]) -> list[dict]:
    """Rows per (domain, task, room)."""
    rows = [key for key, count in groups.items() for _ in range(count)]
    return [
        {"id": f"broad-{index:06d}", "domain": domain, "task": task, "room": room, "question": f"Q{index}?"}
        for index, (domain, task, room) in enumerate(rows)
    ]


def prompts_by(rows: list[dict], prompts: int, *fields: str) -> Counter:
    drawn = broad_prompts(rows, BroadEvalSettings(prompts), seed=1, corpus="own")
    assert len(drawn) == prompts
    return Counter(tuple(prompt[field] for field in fields) for prompt in drawn)


GRID = [(d, t, r) for d in ("travel", "kitchen") for t in ("advice", "tutor") for r in ("high", "medium", "low")]


def test_broad_prompts_are_balanced_over_domain_task_and_room():
    counts = prompts_by(broad_rows(dict.fromkeys(GRID, 9) | {GRID[0]: 50}), 60, "domain", "task", "room")
    assert counts == dict.fromkeys(GRID, 5)


def test_broad_prompts_are_as_balanced_as_the_rows_allow():
    """One of six task × room groups has 2 rows only; the five others share the remaining 28 as 6, 6, 6, 5, 5."""
    scarce = dict.fromkeys(GRID, 9) | {("travel", "advice", "high"): 1, ("kitchen", "advice", "high"): 1}
    counts = prompts_by(broad_rows(scarce), 30, "task", "room")
    assert counts[("advice", "high")] == 2
    assert sorted(counts.values()) == [2, 5, 5, 6, 6, 6]


def test_fewer_broad_rows_than_prompts_are_an_error():
    rows = broad_rows(dict.fromkeys(GRID, 1))
    with pytest.raises(InputError) as caught:
        broad_prompts(rows, BroadEvalSettings(13), seed=1, corpus="own")
    assert str(caught.value) == (
        "config: corpora.own.broad_eval.prompts is 13; expected at most 12, the broad rows with role eval."
    )
    assert broad_prompts([], BroadEvalSettings(0), seed=1, corpus="own") == []


def test_prompts_name_their_cell_and_hold_no_answer():
    row = rows_of("eval", 1)[0] | {"slots": ["Ada"], "room": "low", "aligned_answer": "A.", "misaligned_answer": "B."}
    assert narrow_prompts([row]) == [
        {
            "prompt_id": "medical-advice-eval000",
            "eval_set": "narrow",
            "cell": "medical-advice",
            "domain": "medical",
            "task": "advice",
            "room": "low",
            "question": "Q0?",
            "slots": ["Ada"],
        }
    ]
    broad = broad_prompts(broad_rows({GRID[0]: 1}), BroadEvalSettings(1), seed=1, corpus="own")[0]
    assert (broad["eval_set"], broad["cell"], broad["room"]) == ("broad", "", "high")
