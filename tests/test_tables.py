"""Files of rows that others wrote: what is read as it stands, and the one line that everything else ends with."""

import gzip

import pandas as pd
import pytest

from emtransfer.errors import InputError
from emtransfer.files.tables import place, read_rows, refuse_first
from helpers.row_files import write_jsonl

TEXT = 'line one\nline two, "x"'


def written(folder, content, name="rows.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_same_cells_come_of_every_file_type(tmp_path):
    rows = [{"id": "1", "answer": TEXT}, {"id": "02", "answer": "µ"}]
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    write_jsonl(tmp_path / "rows.jsonl", rows)
    packed = gzip.compress((tmp_path / "rows.csv").read_bytes())
    paths = [tmp_path / "rows.csv", tmp_path / "rows.parquet", tmp_path / "rows.jsonl"]
    for path in (*paths, written(tmp_path, packed, "rows.csv.gz")):
        assert read_rows(path).to_dict("records") == rows


def test_cells_of_other_types_keep_them(tmp_path):
    rows = [{"n": 1, "flag": True, "x": None}, {"n": 10**400, "flag": "yes", "y": 0.1}]
    found = read_rows(write_jsonl(tmp_path / "rows.jsonl", rows)).to_dict("records")
    assert [row["n"] for row in found] == [1, 10**400] and found[0]["flag"] is True
    assert found[1]["x"] is None and found[1]["y"] == 0.1


def test_a_mark_of_the_byte_order_windows_line_ends_blank_lines_and_a_long_cell_are_read(tmp_path):
    content = "\ufeffid,answer\r\n\r\nq0," + "x" * 200_000 + "\r\n   \r\nq1,b\r\n"
    found = read_rows(written(tmp_path, content))
    assert found["id"].tolist() == ["q0", "q1"] and len(found["answer"][0]) == 200_000


def test_a_row_stands_where_it_begins_whatever_its_cells_hold(tmp_path):
    answer = '"' + TEXT.replace('"', '""') + '"'
    path = written(tmp_path, f"id,answer\nq0,{answer}\n\nq1,{answer}\nq2,{answer}\n")
    assert [place(path, row) for row in range(3)] == [f"{path}:2", f"{path}:5", f"{path}:7"]
    frame = read_rows(path)
    with pytest.raises(InputError) as caught:
        refuse_first(frame["id"] == "q1", frame["id"], path, "id", "another")
    assert str(caught.value) == f'{path}:5: id is "q1"; expected another.'


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a;b\n1;2\n", ': columns are separated by ";"; expected commas.'),
        ("a\tb\n1\t2\n", ': columns are separated by "\\t"; expected commas.'),
        ('a,b\n"1\n1",2\n1,2,3\n', ":4: 3 cells; expected 2, as in the header."),
        ("a,b\n1\n", ":2: 1 cell; expected 2, as in the header."),
        # pandas takes the first column of such a file for an index, and shifts all others
        ("a,b\n1,2,\n3,4,\n", ":2: 3 cells; expected 2, as in the header."),
        ("a,b,a\n1,2,3\n", ': column "a" appears twice; expected every name once.'),
        ("a,b\n", ": 0 rows; expected at least one."),
        ("", ": 0 rows; expected a header and at least one row."),
        ('a,b\n1,2\n"3,4\n5,6\n', ":3: unexpected end of data; expected CSV with quotes doubled inside quoted cells."),
        (
            'a,b\n1,"say \\"x\\" twice"\n',
            ":2: ',' expected after '\"'; expected CSV with quotes doubled inside quoted cells.",
        ),
        ("a,b\n1,2\n3,café\n".encode("latin-1"), ":3: byte 0xe9, as in Latin-1 or Windows-1252; expected UTF-8."),
        ("a,b\n1,2\n".encode("utf-16"), ": encoding is UTF-16; expected UTF-8."),
    ],
)
def test_a_csv_file_of_another_form_is_one_line(tmp_path, content, line):
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_rows(path)
    assert str(caught.value) == f"{path}{line}"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("rows.csv.gz", b"a,b\n1,2\n", "expected a whole gzip file."),
        ("rows.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "expected a whole gzip file."),
        ("rows.parquet", b"PAR1", "expected a Parquet file."),
        (
            "rows.xlsx",
            b"PK",
            ": file type .xlsx; expected .jsonl, .json, .csv, .tsv, .parquet, or .gz of one but .parquet.",
        ),
    ],
)
def test_a_damaged_or_unknown_file_is_one_line(tmp_path, name, content, line):
    path = written(tmp_path, content, name)
    with pytest.raises(InputError) as caught:
        read_rows(path)
    assert str(caught.value).startswith(str(path)) and str(caught.value).endswith(line)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="rows.csv: no such file; expected a file of rows"):
        read_rows(tmp_path / "rows.csv")
