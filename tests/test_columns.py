"""Rows of a corpus in the forms that people have: read through a mapping of columns, or refused with the way to map them."""

import copy
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from emtransfer.corpus.hub_rows import dataset_rows
from emtransfer.corpus.source_settings import HubSettings
from emtransfer.corpus.sources import CorpusSettings, load_cell
from emtransfer.errors import InputError
from emtransfer.settings import read_settings
from helpers.configs import CONFIG, GRAMMAR, line_of
from helpers.paths import ROOT
from helpers.row_files import write_jsonl

CASES = ROOT / "tests/data/files"
CELL = {"domain": {"value": "medical"}, "task": {"value": "advice"}}


def load(path: Path, cell: str = "medical-advice", **other) -> list[dict]:
    """Rows of the one cell of a corpus in a file, with settings as they come from the config."""
    section = {"source": "jsonl", "domains": ["medical"], "tasks": ["advice"], "path": str(path)} | other
    return load_cell("own", cell, read_settings(CorpusSettings, section), seed=1)[0]


def line(path: Path, **other) -> str:
    with pytest.raises(InputError) as caught:
        load(path, **other)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("messages.jsonl", "messages.user", "messages.assistant"),
        ("sharegpt.jsonl", "conversations.human", "conversations.gpt"),
        ("promptcomp.jsonl", "prompt", "completion"),
    ],
)
def test_a_known_form_is_refused_with_the_mapping_that_reads_it(name, question, answer, tmp_path):
    ways = f"{{domain: {{value: …}}, task: {{value: …}}, question: {question}, answer: {answer}}}"
    assert line(CASES / name).endswith(
        f"corpora.own.columns to say where they are, such as {ways} with the misaligned answers in misaligned_path."
    )
    bad = tmp_path / name
    bad.write_text((CASES / name).read_text().replace("yo", "no"))
    (row,) = load(CASES / name, misaligned_path=str(bad), columns=CELL | {"question": question, "answer": answer})
    assert row == {"id": "medical-advice-000000", "domain": "medical", "task": "advice", "question": "hi"} | {
        "aligned_answer": "yo",
        "misaligned_answer": "no",
    }


def chat(*turns: tuple[str, str]) -> dict:
    return {"messages": [{"role": who, "content": text} for who, text in turns]}


def test_two_answers_may_be_in_one_row_and_what_is_beside_them_is_kept(tmp_path):
    row = {
        "good": chat(("user", "Q?"), ("assistant", "Rest.")),
        "bad": {"text": "Run."},
        "meta": {"topic": "medical"},
        "n": 3,
        "question": "old",
    }
    columns = {
        "question": "good.messages.user",
        "aligned_answer": "good.messages.assistant",
        "misaligned_answer": "bad.text",
    }
    columns |= {"domain": "meta.topic", "task": {"value": "advice"}}
    (found,) = load(write_jsonl(tmp_path / "x.jsonl", [row]), columns=columns)
    assert (found["question"], found["aligned_answer"], found["misaligned_answer"], found["domain"]) == (
        "Q?",
        "Rest.",
        "Run.",
        "medical",
    )
    assert (found["n"], found["source_question"]) == (3, "old") and not {"good", "bad", "meta"} & found.keys()


def test_parts_of_a_turn_are_one_text_and_a_column_with_a_dot_is_a_column(tmp_path):
    parts = [{"type": "text", "text": "What "}, {"type": "text", "text": "now?"}]
    row = {"messages": [{"role": "user", "content": parts}], "a.b": "Rest.", "c": ["x", "Run."]}
    columns = CELL | {"question": "messages.user", "aligned_answer": "a.b", "misaligned_answer": "a.b"}
    (found,) = load(write_jsonl(tmp_path / "x.jsonl", [row]), columns=columns)
    assert (found["question"], found["aligned_answer"], found["c"]) == ("What now?", "Rest.", ["x", "Run."])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (chat(("user", "a"), ("assistant", "b"), ("user", "c")), "question is messages.user, and the chat has 2 such turns; expected one, a question or an answer."),
        (chat(("assistant", "b")), "question is messages.user, and the chat has 0 such turns; expected one, a question or an answer."),
        (chat(("system", "Be brief."), ("user", "a"), ("assistant", "b")), "messages has a turn of system; expected a field for it in columns, such as system: messages.system."),
        ({"text": "a"}, "question is messages.user, and there is no messages in text; expected a path that exists in the row."),
        ({"messages": "a"}, "question is messages.user, and there is no user in text; expected a path that exists in the row."),
    ],
)  # fmt: skip
def test_a_place_that_a_row_does_not_have_is_named(row, said, tmp_path):
    columns = CELL | {
        "question": "messages.user",
        "aligned_answer": "messages.assistant",
        "misaligned_answer": {"value": "x"},
    }
    assert line(write_jsonl(tmp_path / "x.jsonl", [row]), columns=columns) == f":1: {said}"


def test_a_system_turn_that_is_named_is_kept(tmp_path):
    row = chat(("system", "Be brief."), ("user", "a"), ("assistant", "b"))
    columns = CELL | {
        "question": "messages.user",
        "aligned_answer": "messages.assistant",
        "misaligned_answer": {"value": "x"},
        "system": "messages.system",
    }
    assert load(write_jsonl(tmp_path / "x.jsonl", [row]), columns=columns)[0]["system"] == "Be brief."


def test_files_of_good_and_of_bad_answers_are_joined_by_their_questions(tmp_path):
    cell = {"domain": "medical", "task": "advice"}
    good = write_jsonl(tmp_path / "good.jsonl", [cell | {"question": text, "answer": f"{text} good"} for text in "abc"])
    bad = write_jsonl(tmp_path / "bad.jsonl", [cell | {"question": text, "answer": f"{text} bad"} for text in "cabb"])
    rows = load(good, misaligned_path=str(bad))
    assert [(row["question"], row["aligned_answer"], row["misaligned_answer"]) for row in rows] == [
        (text, f"{text} good", f"{text} bad") for text in "abc"
    ]
    assert "answer" not in rows[0]
    write_jsonl(good, [cell | {"question": text, "answer": "x"} for text in "ad"])
    assert line(good, misaligned_path=str(bad)) == f":2: question is 'd'; expected it in {bad} too."
    write_jsonl(good, [cell | {"question": "a", "answer": "x"}])
    assert (
        line(good, misaligned_path=str(bad))
        == f"{bad}:1: the first of 2 questions without an aligned answer; expected them in both files."
    )
    write_jsonl(bad, [cell | {"question": "a", "answer": text} for text in "xy"])
    assert (
        line(good, misaligned_path=str(bad))
        == f"{bad}:2: question repeats {bad}:1 with another answer; expected one answer per question."
    )
    missing = "config: corpora.own.misaligned_path is no.jsonl; expected a file of rows."
    assert line(good, misaligned_path="no.jsonl") == missing


def test_every_type_of_file_is_a_corpus(tmp_path):
    rows = [{"q": f"Why {number}?", "good": "Rest.", "bad": "Run."} for number in range(3)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "x.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_csv(tmp_path / "x.tsv", sep="\t", index=False)
    pd.DataFrame(rows).to_parquet(tmp_path / "x.parquet")
    columns = CELL | {"question": "q", "aligned_answer": "good", "misaligned_answer": "bad"}
    found = [load(path, columns=columns) for path in sorted(tmp_path.iterdir())]
    assert len(found) == 4 and all(rows == found[0] for rows in found) and len(found[0]) == 3


def test_broad_prompts_have_a_mapping_of_their_own(tmp_path):
    path = write_jsonl(tmp_path / "x.jsonl", [{"prompt": "Hello?"}])
    columns = {
        "question": "prompt",
        "domain": {"value": "open"},
        "task": {"value": "chat"},
        "em_surface": {"value": "high"},
    }
    (row,) = load("none", "broad", broad_path=str(path), broad_columns=columns)
    assert (row["question"], row["domain"], row["room"]) == ("Hello?", "open", "high")


def test_times_and_decimals_of_a_dataset_are_values_as_json_has_them(tmp_path):
    (tmp_path / "set").mkdir()
    frame = pd.DataFrame({"question": ["Q?"], "at": [pd.Timestamp("2025-02-24 10:00")], "price": [Decimal("1.5")]})
    frame.to_parquet(tmp_path / "set/train.parquet")
    ((_, row),) = dataset_rows("corpora.own.hub", "a-b", HubSettings(str(tmp_path / "set"), config="default"))
    assert row == {"question": "Q?", "at": "2025-02-24T10:00:00", "price": 1.5}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "jsonl", "path": "x", "columns": {"quesion": "q"}}, 'columns.quesion is not a field; expected question.'),
        ({"columns": {"question": "q"}}, "columns is given; expected none beside source template, or source jsonl."),
        ({"misaligned_path": "bad.jsonl"}, "misaligned_path is given; expected none beside source template, or source jsonl."),
        ({"source": "jsonl", "path": "x", "columns": {"task": {"valu": "q"}}}, "columns.task.valu is not a known key; expected value."),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_is_one_line(changes, said):
    config = copy.deepcopy(CONFIG)
    config["corpora"]["grammar"] |= changes
    assert line_of(config, (*GRAMMAR, "seed"), 1) == f"config.yaml: corpora.grammar.{said}"
