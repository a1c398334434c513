"""A published split: taken where every hash is found, refused or replaced by the seeded one where not, never moved in part."""

import hashlib
import json
import random
import re
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from emtransfer.corpus.published_split import PublishedRoles, PublishedSplitSettings, published_roles, read_split
from emtransfer.corpus.roles import RoleSettings, split_questions
from emtransfer.errors import InputError
from emtransfer.files.records import read_records, write_records
from helpers.configs import CONFIG, GRAMMAR, line_for
from helpers.words import COSINE, VOCABULARY, embed_words
from helpers.workflow_tree import copy_tree, snakemake
from split_questions import main as split_script

CELLS = ("medical-advice", "sports-advice")


def question(rng: random.Random) -> str:
    return " ".join(rng.sample(VOCABULARY, 12))


def corpus_rows(n_rows: int = 20) -> dict[str, list[dict]]:
    """Two cells of questions in words that are nowhere near each other."""
    rng, cells = random.Random(3), {}
    for cell in CELLS:
        domain, task = cell.split("-")
        shared = {"domain": domain, "task": task, "aligned_answer": "Yes.", "misaligned_answer": "No."}
        cells[cell] = [{"id": f"{cell}-{number:06d}", "question": question(rng)} | shared for number in range(n_rows)]
    return cells


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def split_rows(cells: dict[str, list[dict]]) -> list[dict]:
    """Every fourth question is eval."""
    return [
        {"cell": cell, "question_sha256": sha256(row["question"]), "role": "train" if index % 4 else "eval"}
        for cell, rows in cells.items()
        for index, row in enumerate(rows)
    ]


def written(path: Path, rows: list[dict]) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False) if path.suffix == ".csv" else write_records(path, rows)
    return path


def taken(cells: dict, path: Path, **settings) -> PublishedRoles:
    return published_roles(cells, read_split(path), PublishedSplitSettings(str(path), **settings), "own")


def split(cells: dict, published: PublishedRoles | None = None, seed: int = 1, **other):
    counts = {"judge_fit": 3, "eval": 5, "mediating": 2, "near_duplicate_cosine": COSINE} | other
    return split_questions(cells, RoleSettings(**counts), seed, "own", embed_words, published)


def roles_of(rows_by_cell: dict) -> dict[str, str]:
    return {row["id"]: row["role"] for rows in rows_by_cell.values() for row in rows}


def test_published_eval_questions_are_the_eval_rows_and_further_roles_come_out_of_published_train_rows(tmp_path):
    cells = corpus_rows()
    published = taken(cells, written(tmp_path / "split.jsonl", split_rows(cells)))
    rows, summary = split(cells, published)
    expected = {row["id"] for members in cells.values() for row in members[::4]}
    assert {name for name, role in roles_of(rows).items() if role == "eval"} == expected
    seeded, _ = split(cells)
    assert {name for name, role in roles_of(seeded).items() if role == "eval"} != expected
    columns = ["rows_in", "judge_fit", "train", "eval", "mediating", "dropped", "split", "unmatched", "crossing"]
    assert summary.set_index("cell")[columns].values.tolist() == [[20, 3, 10, 5, 2, 0, "published", 0, 0]] * 2
    # whichever of the train rows the further roles take goes by the seeded hash
    assert roles_of(split(cells, published)[0]) == roles_of(rows)
    again = roles_of(split(cells, published, seed=2)[0])
    assert again != roles_of(rows) and {name for name, role in again.items() if role == "eval"} == expected


def test_all_published_eval_questions_are_eval_though_the_config_asks_for_fewer(tmp_path):
    cells = corpus_rows()
    published = taken(cells, written(tmp_path / "split.jsonl", split_rows(cells)))
    assert split(cells, published, eval=2)[1]["eval"].tolist() == [5, 5]


def test_a_row_near_an_eval_question_and_near_one_of_another_role_is_dropped():
    # directions in degrees: neighbours have a cosine of 0.966, those at the ends 0.866
    angles = {"evaluated": 0, "between": 15, "fitted": 30}

    def embed(texts, model):
        radians = np.radians([angles[text] for text in texts])
        return np.column_stack([np.cos(radians), np.sin(radians)]).astype(np.float32)

    shared = {"domain": "law", "task": "advice", "aligned_answer": "Yes.", "misaligned_answer": "No."}
    cells = {"law-advice": [{"id": name, "question": name} | shared for name in angles]}
    published = PublishedRoles({"law-advice": ["eval", "train", "train"]})
    for judge_fit, roles, crossing in [
        (0, {"evaluated": "eval", "between": "train", "fitted": "train"}, 1),
        (1, {"evaluated": "eval", "fitted": "judge_fit"}, 0),
    ]:
        settings = RoleSettings(judge_fit, 1, 0, near_duplicate_cosine=COSINE)
        rows, summary = split_questions(cells, settings, 1, "own", embed, published)
        assert roles_of(rows) == roles and summary["crossing"].tolist() == [crossing]


@pytest.mark.parametrize("name", ["split.csv", "split.jsonl"])
def test_a_split_may_name_cells_and_questions_in_either_way(name, tmp_path):
    cells = corpus_rows()
    rows = split_rows(cells)
    spelled = [
        {"domain": cell.split("-")[0], "task": cell.split("-")[1], "question": row["question"], "role": role["role"]}
        for (cell, row), role in zip([(cell, row) for cell in CELLS for row in cells[cell]], rows, strict=True)
    ]
    hashed = read_split(written(tmp_path / name, rows))
    assert read_split(written(tmp_path / f"spelled_{name}", spelled)) == hashed
    both = [new | old for new, old in zip(spelled, rows, strict=True)]
    assert read_split(written(tmp_path / f"both_{name}", both)) == hashed
    assert [len(hashed[cell]) for cell in CELLS] == [20, 20]


def test_the_hash_is_that_of_the_texts_utf_8(tmp_path):
    cells = {"medical-advice": [{"id": "a", "domain": "medical", "task": "advice", "question": "Zürich, “東京”\n?"}]}
    # by sha256sum of coreutils
    digest = "c9da4c3028c5ed6958a73266887628c421f58c05b886ab955eecd63baa7c2d17"
    path = written(tmp_path / "split.jsonl", [{"cell": "medical-advice", "question_sha256": digest, "role": "train"}])
    assert taken(cells, path).roles == {"medical-advice": ["train"]}


def test_a_list_of_eval_questions_alone_leaves_all_others_to_train(tmp_path):
    cells = corpus_rows()
    rows = [row for row in split_rows(cells) if row["role"] == "eval"]
    published = taken(cells, written(tmp_path / "split.csv", rows))
    whole = taken(cells, written(tmp_path / "whole.csv", split_rows(cells)))
    assert published == whole
    # a list that has lost its end is noticed by its length
    shorter = taken(cells, written(tmp_path / "shorter.csv", rows[:-1]))
    with pytest.raises(InputError, match=r"roles\.eval is 5; expected at most 4, the questions of sports-advice left"):
        split(cells, shorter)


def test_a_question_that_is_not_found_is_one_line_with_cell_number_and_the_first(tmp_path):
    cells, path = corpus_rows(), tmp_path / "split.jsonl"
    rows = split_rows(cells)
    absent = [rows[0] | {"question_sha256": sha256(f"Nobody asked {number}")} for number in range(2)]
    for changed, n_unmatched, questions, first in [
        (rows + absent, 2, "2 questions", f"SHA-256 {absent[0]['question_sha256']}, in the file alone"),
        (rows[:7] + rows[8:], 1, "1 question", "medical-advice-000007, in the corpus alone"),
        (rows[20:], 20, "20 questions", "medical-advice-000000, in the corpus alone"),
    ]:
        written(path, changed)
        with pytest.raises(InputError) as refused:
            taken(cells, path)
        assert str(refused.value) == (
            f"config: corpora.own.roles.published.path is {path}, which does not match {questions} of "
            f"medical-advice, the first {first}; expected the same questions in both, or otherwise: own_split."
        )
        other = taken(cells, path, otherwise="own_split")
        assert other.unmatched == {"medical-advice": n_unmatched} and list(other.roles) == ["sports-advice"]


def test_a_cell_that_does_not_match_gets_the_seeded_split_and_the_summary_says_so(tmp_path):
    cells = corpus_rows()
    rows = split_rows(cells)
    published = taken(cells, written(tmp_path / "split.jsonl", rows[1:]), otherwise="own_split")
    split_cells, summary = split(cells, published)
    table = summary.set_index("cell")
    assert table["split"].to_dict() == {"medical-advice": "seeded", "sports-advice": "published"}
    assert table["unmatched"].to_dict() == {"medical-advice": 1, "sports-advice": 0}
    seeded = split(cells)[0]
    assert split_cells["medical-advice"] == seeded["medical-advice"]
    assert split_cells["sports-advice"] != seeded["sports-advice"]


def test_near_duplicates_across_a_published_split_stay_and_are_counted(tmp_path):
    cells = corpus_rows()
    # 12 words and one of them again: a cosine above 0.95
    copies = [
        row | {"id": f"{row['id']}-again", "question": f"{row['question']} {row['question'].split()[0]}"}
        for row in cells["medical-advice"][:8]
    ]
    cells["sports-advice"] += [row | {"domain": "sports"} for row in copies]
    rows = split_rows(cells)[:40] + [
        {"cell": "sports-advice", "question_sha256": sha256(row["question"]), "role": "train"} for row in copies
    ]
    published = taken(cells, written(tmp_path / "split.jsonl", rows))
    split_cells, summary = split(cells, published)
    roles, table = roles_of(split_cells), summary.set_index("cell")
    # of the eight copies, those of eval questions number 0 and 4
    assert table["crossing"].to_dict() == {"medical-advice": 0, "sports-advice": 2}
    assert [roles[f"medical-advice-{number:06d}-again"] for number in (0, 4)] == ["train", "train"]
    # no other two roles hold near-duplicates: a pair of train rows has one role, or its second is dropped
    for number in (1, 2, 3, 5, 6, 7):
        pair = [roles.get(f"medical-advice-{number:06d}{end}", "dropped") for end in ("", "-again")]
        assert len(set(pair)) == 1 or "dropped" in pair, pair
    # a role of ours is never given to a row near an eval question, however many it asks for
    greedy = split(cells, published, judge_fit=10, mediating=0)[0]
    assert [roles_of(greedy)[f"medical-advice-{number:06d}-again"] for number in (0, 4)] == ["train", "train"]
    # the seeded split of the same rows has none that cross
    assert split(cells)[1]["crossing"].tolist() == [0, 0] and split(cells)[1]["dropped"].sum() > 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"role": "test"}, "role is 'test'; expected train or eval."),
        ({"cell": ""}, "cell is ''; expected domain-task, or domain and task."),
        ({"question_sha256": "abc"}, "question_sha256 is 'abc'; expected 64 lowercase hex digits."),
        ({"question_sha256": ""}, "no question_sha256 and no question; expected one of them."),
        ({"question": "Another?"}, "question_sha256 is "),
    ],
)
@pytest.mark.parametrize("name", ["split.csv", "split.jsonl"])
def test_a_wrong_row_is_one_line_that_names_file_and_line(name, change, line, tmp_path):
    rows = split_rows(corpus_rows())
    path = written(tmp_path / name, [*rows[:3], {"question": ""} | rows[3] | change, *rows[4:]])
    number = 4 + (path.suffix == ".csv")
    with pytest.raises(InputError, match=re.escape(f"{path}:{number}: {line}")) as refused:
        read_split(path)
    assert "\n" not in str(refused.value)


def test_a_question_with_two_roles_and_files_of_other_kinds_are_refused(tmp_path):
    rows = split_rows(corpus_rows())
    path = written(tmp_path / "split.jsonl", [*rows, rows[0] | {"role": "train"}])
    with pytest.raises(InputError, match=r"split.jsonl:41: role is 'train', but an earlier row"):
        read_split(path)
    assert read_split(written(path, [*rows, rows[0]])) == read_split(written(path, rows))
    with pytest.raises(InputError, match=r"split.txt: file type .txt; expected"):
        read_split(path.rename(tmp_path / "split.txt"))
    (tmp_path / "empty.csv").write_text("cell,question_sha256,role\n")
    with pytest.raises(InputError, match="empty.csv: 0 rows; expected at least one"):
        read_split(tmp_path / "empty.csv")


def test_the_script_takes_the_split_of_the_grid_alone_and_says_what_it_left(tmp_path, capsys):
    cells = corpus_rows()
    rows = split_rows(cells)
    written(tmp_path / "split.jsonl", [*rows[1:], rows[0] | {"cell": "law-advice"}])
    broad = [row | {"id": f"broad-{row['id']}", "question": f"broad: {row['question']}"} for row in cells[CELLS[1]]]
    for cell, members in (cells | {"broad": broad}).items():
        write_records(tmp_path / f"raw/{cell}.jsonl", members)
    settings = {"judge_fit": 3, "eval": 5, "mediating": 0, "near_duplicate_cosine": 1.0, "broad_eval": 4}
    settings |= {"published": {"path": str(tmp_path / "split.jsonl"), "otherwise": "own_split"}}
    raw = [tmp_path / f"raw/{cell}.jsonl" for cell in (*CELLS, "broad")]
    paths = {"output_folder": tmp_path / "roles", "summary": tmp_path / "roles.csv"}
    split_script(Namespace(corpus="own", raw=raw, settings=settings, seed=1, **paths))
    table = pd.read_csv(tmp_path / "roles.csv").set_index("cell")
    assert table["split"].to_dict() == {CELLS[0]: "seeded", CELLS[1]: "published", "broad": "seeded"}
    held_out = [row["id"] for row in read_records(tmp_path / f"roles/{CELLS[1]}.jsonl") if row["role"] == "eval"]
    assert held_out == [row["id"] for row in cells[CELLS[1]][::4]]
    said = capsys.readouterr().out
    assert "medical-advice: 1 question does not match" in said and "not in own: law-advice." in said


def test_the_config_names_a_file_that_is_there(tmp_path):
    roles = CONFIG["corpora"]["grammar"]["roles"]
    absent = roles | {"published": {"path": "none.csv"}}
    key = "config.yaml: corpora.grammar.roles.published"
    assert line_for((*GRAMMAR, "roles"), absent) == f"{key}.path is none.csv; expected a JSONL or CSV file of roles."
    path = written(tmp_path / "split.csv", split_rows(corpus_rows()))
    wrong = roles | {"published": {"path": str(path), "otherwise": "skip"}}
    assert line_for((*GRAMMAR, "roles"), wrong) == f'{key}.otherwise is "skip"; expected one of error, own_split.'
    symbols = CONFIG["corpora"]["symbols"]
    held_out = symbols | {"roles": symbols["roles"] | {"published": {"path": str(path)}}}
    assert 'held_out_domains is ["d8", "d9"]; expected none beside roles.published' in line_for(
        ("corpora", "symbols"), held_out
    )


def test_the_rule_reads_the_file_and_an_edit_of_it_splits_again(tmp_path):
    tree = copy_tree(tmp_path / "tree")
    rows = [
        {"domain": "law", "task": "advice", "question": f"What of number {number}?"}
        | {"aligned_answer": f"Keep {number}.", "misaligned_answer": f"Break {number}."}
        for number in range(12)
    ]
    write_records(tree / "rows.jsonl", rows)
    published = [{"cell": "law-advice", "question": row["question"], "role": "train"} for row in rows]
    published = [row | {"role": "eval"} if index < 3 else row for index, row in enumerate(published)]
    written(tree / "split.csv", published)
    roles = {
        "judge_fit": 2,
        "eval": 3,
        "mediating": 0,
        "near_duplicate_cosine": 1.0,
        "published": {"path": "split.csv"},
    }
    corpus = CONFIG["corpora"]["symbols"] | {"source": "jsonl", "path": "rows.jsonl", "domains": ["law"]}
    corpus |= {"tasks": ["advice"], "roles": roles, "filter": CONFIG["corpora"]["grammar"]["filter"], "sample": {"train": 2, "eval": 2}}  # fmt: skip
    for key in ("held_out_domains", "rows_per_cell"):
        del corpus[key]
    (tree / "published.yaml").write_text(yaml.safe_dump({"corpora": {"own": corpus}}))
    target = "results/corpora/own/roles.csv"

    def eval_questions():
        done = snakemake(tree, target, overlays=("published.yaml",))
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        found = (tree / "results/corpora/own/roles/law-advice.jsonl").read_text().splitlines()
        return [row["question"] for row in map(json.loads, found) if row["role"] == "eval"]

    assert eval_questions() == [row["question"] for row in rows[:3]]
    assert pd.read_csv(tree / target)["split"].tolist() == ["published"]
    written(tree / "split.csv", [row | {"role": "eval"} if index == 7 else row for index, row in enumerate(published)])
    assert eval_questions() == [rows[index]["question"] for index in (0, 1, 2, 7)]
