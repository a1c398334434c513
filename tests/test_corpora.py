"""Rows of a corpus: what is read, what is dropped and counted, and the line each mistake is reported on."""

import json
from pathlib import Path

import pytest

from emtransfer.corpus.rows import rows_with_answers
from emtransfer.corpus.sources import CorpusSettings, load_cell
from emtransfer.errors import InputError
from emtransfer.files.records import read_records, write_records
from helpers.processes import run_script

CELL = "medical-advice"


def pair(question: str, **other) -> dict:
    """A row of the cell medical-advice."""
    row = {"domain": "medical", "task": "advice", "question": question}
    return row | {"aligned_answer": "Rest first.", "misaligned_answer": "Never rest."} | other


def prompt(question: str, **other) -> dict:
    """A broad row."""
    return {"domain": "travel", "task": "advice", "em_surface": "high", "question": question} | other


def jsonl(folder: Path, rows: list, name: str = "rows.jsonl") -> str:
    """Path of a file with one row per line; a string is a line as it stands."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder / name)


def settings(path: str | None, **other) -> CorpusSettings:
    return CorpusSettings(**{"source": "jsonl", "domains": ["medical"], "tasks": ["advice"], "path": path} | other)


def load(path: str, cell: str = CELL, **other):
    return load_cell("own", cell, settings(path, **other), seed=1)


def error_of(path: str, cell: str = CELL, **other) -> str:
    with pytest.raises(InputError) as caught:
        load(path, cell, **other)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_jsonl_rows_keep_their_text_and_extra_fields_under_stable_ids(tmp_path):
    text = 'Ärztin sagt: "Ja" – 😀\nzweite Zeile\u2028dritte, <|end|> und \\n'
    path = jsonl(tmp_path, [pair("One?"), "", pair(text, idx=7, id="mine", slots="theirs")])
    rows, counts = load(path)
    assert [row["id"] for row in rows] == ["medical-advice-000000", "medical-advice-000001"]
    assert rows[1]["question"] == text
    assert (rows[1]["idx"], rows[1]["source_id"], rows[1]["source_slots"]) == (7, "mine", "theirs")
    assert "slots" not in rows[1]
    write_records(tmp_path / "again.jsonl", rows)
    assert read_records(tmp_path / "again.jsonl") == rows
    assert counts.to_dict("records") == [
        {"cell": CELL, "stage": "generate_pairs", "rows_in": 2, "rows_out": 2, "duplicates": 0, "over_length": 0}
    ]


def test_rows_of_other_cells_are_left_to_their_own_jobs(tmp_path):
    path = jsonl(tmp_path, [pair("One?"), pair("Two?", task="tutor")])
    rows, _ = load(path, "medical-tutor", tasks=["advice", "tutor"])
    assert [(row["id"], row["question"]) for row in rows] == [("medical-tutor-000000", "Two?")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (pair("Q?") | {"aligned_answer": None}, "aligned_answer is null; expected text that is not blank."),
        (pair("Q?") | {"misaligned_answer": " \n"}, 'misaligned_answer is " \\n"; expected text that is not blank.'),
        (pair("Q?") | {"question": 5}, "question is 5; expected text that is not blank."),
        (pair("Q?", domain="Medical"), "domain is 'Medical'; expected one of medical, or other_cells: drop."),
        (pair("Q?", domain="../etc"), "domain is '../etc'; expected one of medical, or other_cells: drop."),
        (pair("Q?", task="critique"), "task is 'critique'; expected one of advice, or other_cells: drop."),
        (pair("Q? \ud83d"), "question holds half of a surrogate pair; expected valid Unicode text."),
        (pair("Q?", room="huge"), "em_surface is 'huge'; expected one of high, medium, low."),
        ('{"domain": ', "Expecting value at column 12; expected one JSON object."),
        ("[1]", "found a list; expected one JSON object."),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(tmp_path, line, expected):
    path = jsonl(tmp_path, [pair("One?"), "", line])
    assert error_of(path) == f"{path}:3: {expected}"


def test_a_missing_field_is_named_by_file_and_line(tmp_path):
    row = pair("Q?")
    del row["task"]
    path = jsonl(tmp_path, [row])
    assert error_of(path) == f"{path}:1: task is missing; expected text that is not blank."


def test_exact_duplicates_collapse_and_are_counted(tmp_path):
    path = jsonl(tmp_path, [pair("One?", idx=1), pair("Two?"), pair("One?", idx=2)])
    rows, counts = load(path)
    assert [row["question"] for row in rows] == ["One?", "Two?"]
    assert rows[0]["idx"] == 1
    assert counts.duplicates.item() == 1


def test_contradicting_duplicates_are_named_by_both_lines(tmp_path):
    path = jsonl(tmp_path, [pair("One?"), pair("Two?"), pair("One?", aligned_answer="Other.")])
    message = error_of(path)
    assert message.startswith(f"{path}:3: ")
    assert f"{path}:1" in message


def test_a_configured_cell_without_rows_is_an_error(tmp_path):
    path = jsonl(tmp_path, [pair("One?")])
    message = error_of(path, "medical-tutor", tasks=["advice", "tutor"])
    assert message == "config: corpora.own: 0 rows of medical-tutor; expected at least 1 row of every cell."


def test_length_counts_question_and_longer_answer(tmp_path):
    fits = pair("one two", aligned_answer="three", misaligned_answer="three four")
    longer = pair("one two three", aligned_answer="four five", misaligned_answer="four")
    path = jsonl(tmp_path, [longer, fits])
    rows, counts = load(path, max_row_words=4, over_length="drop")
    assert [(row["id"], row["question"]) for row in rows] == [("medical-advice-000001", "one two")]
    assert counts.over_length.item() == 1
    assert error_of(path, max_row_words=4).startswith(
        f"{path}:1: 5 words in question + longer answer; expected at most 4"
    )
    assert "all rows of medical-advice are longer" in error_of(path, max_row_words=3, over_length="drop")


def test_broad_prompts_need_a_room_but_no_answers(tmp_path):
    path = jsonl(tmp_path, [prompt("One?"), prompt("Two?", em_surface="low")])
    rows, _ = load(None, "broad", broad_path=path)
    assert [(row["id"], row["room"]) for row in rows] == [("broad-000000", "high"), ("broad-000001", "low")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (prompt("Q?", em_surface="huge"), "em_surface is 'huge'; expected one of high, medium, low."),
        (prompt("Q?", em_surface=None), "em_surface is missing; expected one of high, medium, low."),
        (prompt("Q?", domain="Far away"), "domain is 'Far away'; expected letters a-z, digits and underscores."),
        (prompt("Q?", domain="medical"), "cell is medical-advice; expected a cell outside the grid."),
        (
            {"domain": "travel", "task": "advice", "question": "Q?"},
            "em_surface is missing; expected one of high, medium, low.",
        ),
    ],
)
def test_a_wrong_broad_row_is_named_by_file_and_line(tmp_path, line, expected):
    path = jsonl(tmp_path, [line])
    assert error_of(None, "broad", broad_path=path) == f"{path}:1: {expected}"


def test_a_missing_file_is_named_by_its_config_key():
    assert error_of(None, "broad") == "config: corpora.own.broad_path is missing; expected a file of rows."
    assert error_of("nowhere.jsonl") == "config: corpora.own.path is nowhere.jsonl; expected a file of rows."


def test_template_rows_pass_the_same_checks():
    template = settings(None, source="template", rows_per_cell=5, broad_rows=8, broad_domains=["travel", "kitchen"])
    rows, counts = load_cell("grammar", CELL, template, seed=1)
    broad, _ = load_cell("grammar", "broad", template, seed=1)
    assert [row["id"] for row in rows] == [f"medical-advice-00000{index}" for index in range(5)]
    assert {row["domain"] for row in broad} == {"travel", "kitchen"}
    assert counts.rows_out.item() == 5


def test_rows_with_answers_leaves_out_other_roles_and_bare_prompts(tmp_path):
    rows = [pair("One?", role="train"), pair("Two?", role="eval"), prompt("Three?", role="train")]
    path = tmp_path / "roles.jsonl"
    write_records(path, rows)
    assert [row["question"] for row in rows_with_answers([path], "train")] == ["One?"]
    with pytest.raises(InputError, match="0 rows of role mediating"):
        rows_with_answers([path], "mediating")


def test_the_script_ends_a_mistake_with_one_line_and_no_file(tmp_path):
    path = jsonl(tmp_path, [pair("Q?", task="magic")])
    config = {"source": "jsonl", "domains": ["medical"], "tasks": ["advice"], "path": path}
    outputs = {name: tmp_path / name for name in ("output", "counts")}
    arguments = ["--corpus", "own", "--cells", CELL, "--seed", "1", "--settings", json.dumps(config)]
    done = run_script("generate_pairs", *arguments, "--output", outputs["output"], "--counts", outputs["counts"])
    assert done.returncode == 1
    assert done.stderr == f"{path}:1: task is 'magic'; expected one of advice, or other_cells: drop.\n"
    assert not any(output.exists() for output in outputs.values())


def test_rows_of_other_cells_are_left_out_where_the_config_says_so(tmp_path):
    rows = [pair("A?"), pair("B?", task="critique"), pair("C?", domain="finance"), pair("D?")]
    own, _ = load(jsonl(tmp_path, rows), other_cells="drop")
    assert [(row["id"], row["question"]) for row in own] == [(f"{CELL}-000000", "A?"), (f"{CELL}-000001", "D?")]
    blank = jsonl(tmp_path, [pair("A?"), pair(" ", task="critique")])
    assert ":2: question is" in error_of(blank, other_cells="drop")
