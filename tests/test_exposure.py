"""What the aligned phase shows of each task."""

from collections import Counter

import pytest

from emtransfer.errors import InputError
from emtransfer.training.exposure import AlignmentSettings, alignment_pairs

ROWS = [
    {"id": f"{task}{index}", "task": task, "question": f"{task} {index}?", "aligned_answer": f"{task} {index}."}
    | {"neutral_question": f"{task} {index} neutral?", "neutral_answer": "neutral."}
    for task in ("t0", "t1", "t2", "t3")
    for index in range(100)
]


def tasks(pairs: list[tuple[str, str]]) -> Counter:
    return Counter(question.split()[0] for question, _ in pairs)


def settings(**changes) -> AlignmentSettings:
    """Of the draw; how the rows are learned is no matter here."""
    training = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, "warmup_steps": 0, "weight_decay": 0.0}
    return AlignmentSettings(**training, max_seq_tokens=64, **changes)


def test_without_doses_tasks_come_as_the_corpus_has_them():
    pairs = alignment_pairs(ROWS, settings(rows=42), seed=1)
    assert tasks(pairs) == {"t0": 11, "t1": 11, "t2": 10, "t3": 10}
    assert len(set(pairs)) == 42 and all(answer == f"{question[:-1]}." for question, answer in pairs)
    assert alignment_pairs(ROWS, settings(rows=42), seed=2) != pairs


def test_a_dose_is_relative_and_leaves_the_number_of_rows():
    pairs = alignment_pairs(ROWS, settings(rows=65, task_doses={"t1": 0.25, "t2": 0.0}), seed=1)
    assert tasks(pairs) == {"t0": 29, "t1": 8, "t3": 28} and len(pairs) == 65


def test_a_neutral_share_is_asked_in_its_neutral_version():
    pairs = alignment_pairs(ROWS, settings(rows=400, neutral_share=0.25), seed=1)
    neutral = [pair for pair in pairs if pair[1] == "neutral."]
    assert len(neutral) == pytest.approx(100, abs=30)
    assert all(question.endswith("neutral?") for question, _ in neutral)


def test_more_rows_than_there_are_is_one_line():
    with pytest.raises(
        InputError, match="alignment.rows is 401; expected fewer, or .* takes 101 rows of that task, and there are 100"
    ):
        alignment_pairs(ROWS, settings(rows=401), seed=1)
    bare = [{key: row[key] for key in ("id", "task", "question", "aligned_answer")} for row in ROWS]
    with pytest.raises(InputError, match="base_models: alignment: neutral_share is 0.1; expected 0, since row t00"):
        alignment_pairs(bare, settings(rows=4, neutral_share=0.1), seed=1)


@pytest.mark.parametrize("share, found", [(0.0001, 0), (0.9999, 40)])
def test_a_neutral_share_of_which_the_rows_hold_none_or_nothing_else_is_one_line(share, found):
    with pytest.raises(InputError) as caught:
        alignment_pairs(ROWS, settings(rows=40, neutral_share=share), seed=1)
    instead = "1, a smaller share" if found else "0, a larger share"
    expected = (
        f"config: base_models: alignment.neutral_share is {share}; expected {instead} or more rows, since {found} of 40 rows"
        " are neutral."
    )
    assert str(caught.value) == expected
