"""Files as people have them: what is read as it is meant, and the one line that everything else ends in."""

import codecs
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from emtransfer.corpus.sources import CorpusSettings, load_cell
from emtransfer.errors import InputError
from emtransfer.files.json_text import json_rows
from emtransfer.files.tables import placed_rows, read_rows
from emtransfer.files.text import is_blank
from emtransfer.files.yaml_text import read_yaml
from emtransfer.measuring.imported_rows import read_imported
from helpers.paths import ROOT

CASES = ROOT / "tests/data/files"
PAIR = {"domain": "medical", "task": "advice", "question": "A?", "aligned_answer": "x", "misaligned_answer": "y"}


def corpus_rows(path: Path) -> list[dict]:
    return load_cell("own", "medical-advice", CorpusSettings("jsonl", ["medical"], ["advice"], path=str(path)), 1)[0]


def judged_rows(path: Path) -> list:
    return list(read_imported(path))


def line_of(read, path: Path) -> str:
    """The line that reading ends in, from the file's name on."""
    with pytest.raises(InputError) as caught:
        read(path)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(str(path))
    return line.removeprefix(str(path))


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---- the files that once went wrong


@pytest.mark.parametrize(
    ("name", "read", "line"),
    [
        ("utf16.jsonl", corpus_rows, ": encoding is UTF-16; expected UTF-8."),
        ("dupkey.jsonl", corpus_rows, ':1: key "question" appears twice; expected every key once.'),
        ("surrextra.jsonl", corpus_rows, ":1: note holds half of a surrogate pair; expected valid Unicode text."),
        ("bigint.jsonl", corpus_rows, ":1: a whole number of more than 4,300 digits; expected fewer."),
        ("zw.jsonl", corpus_rows, r':1: question is "\u200b\ufeff\u200d"; expected text that is not blank.'),
        ("dup.yaml", read_yaml, ":2: key run appears twice; expected it once, here or in line 1."),
        ("dup2.yaml", read_yaml, ":3: key experiments.smoke.lora.rank appears twice; expected it once, here or in line 3."),
        ("tab.yaml", read_yaml, ":2: found character '\\t' that cannot start any token; expected YAML, indented with blanks, not tabs."),
        ("j_latin.csv", judged_rows, ":2: byte 0xe9, as in Latin-1 or Windows-1252; expected UTF-8."),
        ("j_semi.csv", judged_rows, ': columns are separated by ";"; expected commas.'),
        ("j_ragged.csv", judged_rows, ":26: 14 cells; expected 12, as in the header."),
        ("j_header.csv", judged_rows, ": 0 rows; expected at least one."),
        ("j_line.csv", judged_rows, ':10: alignment is "oops"; expected a number in 0..100 where the status is ok.'),
        ("j_boolscore.jsonl", judged_rows, ":1: alignment is true; expected a number in 0..100 where the status is ok."),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_ends_in_its_line(name, read, line):
    assert line_of(read, CASES / name) == line


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    assert [row["question"] for row in corpus_rows(CASES / "bom.jsonl")] == ["My ankle hurts?"]
    marked = written(tmp_path / "marked.yaml", codecs.BOM_UTF8 + b"a: 1\n")
    assert read_yaml(marked) == {"a": 1}
    assert list(read_rows(written(tmp_path / "marked.csv", codecs.BOM_UTF8 + b"a,b\n1,2\n"))) == ["a", "b"]


def test_the_published_form_is_read_through_a_mapping_of_columns():
    value = {"eval_set": "broad", "eval_domain": "open", "eval_task": "question"}
    columns = {"alignment": "aligned", "coherence": "coherent"} | {
        name: {"value": text} for name, text in value.items()
    }
    ((_, rows),) = read_imported(CASES / "j_betley.csv", columns)
    assert (rows.alignment.item(), rows.coherence.item(), rows.status.item()) == (90.1, 99.0, "ok")


# ---- their kinds


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": {"b": 1, "b": 2}}', ':1: key "b" appears twice; expected every key once.'),
        ('{"a": 1}\n{"a": NaN}', ":2: NaN, which is not a number; expected null or a number."),
        ('{"a": 1e999}', ":1: 1e999, which is not a number; expected null or a number."),
        ('{"a": ' + "[" * 100_000, ":1: too deeply nested; expected one JSON object with fewer levels."),
        ('{"a": 1} {"a": 2}', ":1: Extra data at column 10; expected one JSON object."),
        ('{"a": [{"b": "\\uD83D"}]}', ":1: a holds half of a surrogate pair; expected valid Unicode text."),
        ('{"\\udc00": 1}', ":1: \\udc00 holds half of a surrogate pair; expected valid Unicode text."),
        ('[{"a": 1},\n {"a": 1, "a": 2}]', ':2: key "a" appears twice; expected every key once.'),
        ('[{"a": 1},\n 5]', ":2: found a number; expected one JSON object."),
        ('[{"a": 1}', ":1: no comma or bracket after this object; expected one list of JSON objects."),
        ('[{"a": 1}]\n{"a": 1}', ": text follows the list; expected one list of JSON objects."),
    ],
)
def test_json_that_says_two_things_or_nothing_is_one_line(text, line, tmp_path):
    assert line_of(lambda path: list(json_rows(path)), written(tmp_path / "x.jsonl", text)) == line


def test_rows_of_a_list_stand_where_they_begin(tmp_path):
    path = written(tmp_path / "x.json", ' [\n{"a": "[1,\\n2]"},\n\n{"a": "\\ud83d\\ude00"} , {"a": 3}\n]\n')
    assert list(json_rows(path)) == [(f"{path}:{line}", {"a": a}) for line, a in [(2, "[1,\n2]"), (4, "😀"), (4, 3)]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &a\n  b: *a\n", ":1: a.b refers to itself; expected values that end."),
        ('a: "\\ud800"\n', ":1: a holds half of a surrogate pair; expected valid Unicode text."),
        ("a: 2024-13-45\n", ": month must be in 1..12; expected YAML."),
        ("a: " + "[" * 5000, ": too deeply nested; expected YAML with fewer levels."),
        ("a: *b\n", ":1: found undefined alias 'b'; expected YAML."),
        ("a: \x07\n", ": unacceptable character"),
    ],
)
def test_yaml_that_says_two_things_or_nothing_is_one_line(text, line, tmp_path):
    assert line_of(read_yaml, written(tmp_path / "x.yaml", text)).startswith(line)


def test_a_few_lines_of_yaml_do_not_stand_for_millions_of_values(tmp_path):
    ten = ", ".join(["*{}"] * 10)
    lines = ["a0: &a0 [" + ", ".join("x" * 10) + "]"]
    lines += [f"a{level}: &a{level} [{ten.replace('{}', f'a{level - 1}')}]" for level in range(1, 9)]
    line = line_of(read_yaml, written(tmp_path / "x.yaml", "\n".join(lines)))
    assert line == ":6: a5 stands for more than 1,000,000 values; expected fewer aliases."


def test_a_merge_key_may_be_overridden_and_an_alias_used_twice(tmp_path):
    path = written(tmp_path / "x.yaml", "a: &a {b: 1, c: 2}\nd: {<<: *a, b: 3}\ne: *a\n")
    assert read_yaml(path) == {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}, "e": {"b": 1, "c": 2}}


@pytest.mark.parametrize(
    "text", ["", " \n", "\u200b\ufeff\u200d", "\u00ad\u2060", "\u3164", "\u2800", "\ufe0f", "\x00"]
)
def test_text_of_which_nothing_can_be_seen_is_blank(text):
    assert is_blank(text)
    assert not is_blank(f"{text}.{text}")


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("utf-16", ": encoding is UTF-16; expected UTF-8."),
        ("utf-32", ": encoding is UTF-32; expected UTF-8."),
        ("cp1252", ":1: byte 0xe9, as in Latin-1 or Windows-1252; expected UTF-8."),
    ],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.tsv", "x.yaml", "x.jsonl.gz"])
def test_another_encoding_is_named_in_whatever_type_of_file(encoding, line, name, tmp_path):
    content = '{"a": "café"}\n'.encode(encoding)
    path = written(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    read = read_yaml if name.endswith(".yaml") else lambda path: list(placed_rows(path))
    assert line_of(read, path) == line


def test_every_type_of_file_gives_the_same_rows_and_their_places(tmp_path):
    rows = [{"a": "one,\ntwo\tthree", "b": "é"}, {"a": "four", "b": "five"}]
    texts = {
        "x.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "x.json": json.dumps(rows, indent=1),
        "x.csv": pd.DataFrame(rows).to_csv(index=False),
        "x.tsv": pd.DataFrame(rows).to_csv(index=False, sep="\t"),
    }
    for name, text in texts.items():
        written(tmp_path / name, text)
        written(tmp_path / f"{name}.gz", gzip.compress(text.encode()))
    pd.DataFrame(rows).to_parquet(tmp_path / "x.parquet")
    lines = {"jsonl": [1, 2], "json": [2, 6], "csv": [2, 4], "tsv": [2, 4], "parquet": [" row 1", " row 2"]}
    for path in sorted(tmp_path.iterdir()):
        places, found = zip(*placed_rows(path), strict=True)
        assert list(found) == rows == read_rows(path).to_dict("records")
        assert list(places) == [f"{path}:{number}" for number in lines[path.name.split(".")[1]]]


def test_times_and_decimals_of_a_parquet_file_are_values_as_json_has_them(tmp_path):
    frame = pd.DataFrame(
        {"at": [pd.Timestamp("2025-02-24 10:00")], "price": [Decimal("1.50")], "turns": [[{"role": "user"}]]}
    )
    frame.to_parquet(tmp_path / "x.parquet")
    ((_, row),) = placed_rows(tmp_path / "x.parquet")
    assert row == {"at": "2025-02-24T10:00:00", "price": 1.5, "turns": [{"role": "user"}]}
    pd.DataFrame({"a": [b"\xff"]}).to_parquet(tmp_path / "x.parquet")
    line = line_of(lambda path: list(placed_rows(path)), tmp_path / "x.parquet")
    assert line == ": row 1: a is binary data; expected text, numbers, or lists and mappings of them."


def test_a_file_of_another_type_or_none_is_named(tmp_path):
    line = line_of(corpus_rows, written(tmp_path / "x.xlsx", b"PK"))
    assert line == ": file type .xlsx; expected .jsonl, .json, .csv, .tsv, .parquet, or .gz of one but .parquet."
    assert line_of(read_rows, tmp_path / "x.csv") == ": no such file; expected a file of rows."
    assert line_of(read_rows, written(tmp_path / "x.jsonl", "\n")) == ": 0 rows; expected at least one."
