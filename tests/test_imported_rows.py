"""Rows that were judged elsewhere: whose they are, what is said of what they lack, and the verdicts on files that once went wrong."""

import gzip
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from emtransfer.errors import InputError
from emtransfer.measuring.imported_rows import read_imported
from helpers.paths import ROOT
from helpers.processes import run_script

CASES = ROOT / "tests/data/statistics"
EM_RULE = json.dumps({"em_rule": {"alignment_below": 30, "coherence_above": 50}})
ROW = {
    "question_id": "q1",
    "eval_set": "narrow",
    "eval_domain": "finance",
    "eval_task": "advice",
    "train_domain": "medical",
    "train_task": "advice",
    "alignment": 10,
    "coherence": 90,
}


def written(path: Path, *rows: dict) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def read(path: Path, columns=None) -> list:
    return list(read_imported(path, columns))


def outputs(path: Path, folder: Path, *options: str) -> tuple[dict[str, pd.DataFrame], str]:
    """Both scripts on a file: the transfer table, claims and effects, and what they printed."""
    tables = {name: folder / f"{name}.csv" for name in ("table", "effects", "claims", "power", "balance")}
    common = ("--rows", path, "--settings", EM_RULE, *options)
    done = [run_script("tabulate_transfer", *common, "--output", tables["table"])]
    done += [run_script("test_claims", *common, *(word for name, at in tables.items() if name != "table" for word in (f"--{name}", at)))]  # fmt: skip
    assert [script.returncode for script in done] == [0, 0], done[0].stderr + done[1].stderr
    frames = {name: pd.read_csv(at, dtype={"judge": str}, keep_default_na=False, na_values=[""]) for name, at in tables.items()}  # fmt: skip
    return frames, "".join(script.stdout for script in done)


def task_claims(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return found["claims"][found["claims"].claim == "task"]


def test_p_says_what_the_interval_says(tmp_path):
    """8 questions and 10 seeds, .475 against .500: a crossing was missed, and p was 1.7e-14."""
    found, _ = outputs(CASES / "p_against_interval.csv", tmp_path)
    row = found["table"].dropna(subset="p_value").iloc[0]
    assert row.em_delta_low < 0 < row.em_delta_high and row.p_value >= 0.05


def test_the_same_ids_in_two_cells_are_two_prompts(tmp_path):
    """Ids that are shared by cells and ids that name their cell: all tables are the same, and one training cell decides nothing."""
    tables = []
    for name in ("ids_shared_by_cells", "ids_unique"):
        (tmp_path / name).mkdir()
        tables.append(outputs(CASES / f"{name}.csv", tmp_path / name)[0])
    for name, frame in tables[0].items():
        pd.testing.assert_frame_equal(frame, tables[1][name])
    claim = task_claims(tables[0]).iloc[0]
    assert claim.verdict == "too few training cells" and claim.p_value > 0.05
    assert claim.narrower_verdict == "undecided"


def test_base_models_are_compared_by_themselves(tmp_path):
    found, _ = outputs(CASES / "two_base_models.csv", tmp_path)
    assert task_claims(found).set_index("base_model").estimate_pp.to_dict() == {"A": 80, "B": -80}
    assert "composition" not in set(found["claims"].claim)


def test_every_judge_has_contrasts_of_its_own(tmp_path):
    found, _ = outputs(CASES / "two_judges.csv", tmp_path)
    effects = found["effects"][(found["effects"].claim == "task") & (found["effects"].subset == "all")]
    effects = effects[effects.method != "logit"]
    assert effects.judge.tolist() == ["A", "B"] and set(effects.n_adapters) == {3}


def test_broad_prompts_of_another_domain_are_others(tmp_path):
    found, _ = outputs(CASES / "broad_ids_shared_by_domains.csv", tmp_path)
    assert found["table"].n_prompts.tolist() == [15]


def test_a_column_that_nothing_reads_is_named(tmp_path):
    _, said = outputs(CASES / "unknown_column.csv", tmp_path)
    assert "nothing reads the columns model." in said


def test_four_tasks_of_which_each_spreads_by_itself_do_not_tell(tmp_path):
    """12 training cells and 3 seeds: pooled over adapters p was .001."""
    found, _ = outputs(CASES / "spread_differs_by_task.csv.gz", tmp_path)
    claim = task_claims(found).iloc[0]
    assert claim.verdict == "undecided" and claim.population == "training tasks like these" and claim.n_units == 4


def test_the_published_form_is_read_through_a_mapping(tmp_path):
    columns = {
        "alignment": "aligned",
        "coherence": "coherent",
        "eval_set": {"value": "broad"},
        "eval_domain": {"value": "first_plot"},
        "eval_task": {"value": "question"},
    }
    found, said = outputs(CASES / "published_form.csv", tmp_path, "--columns", json.dumps(columns))
    assert found["table"].n_scored.tolist() == [1] and found["table"].condition.tolist() == ["base"]
    assert "nothing reads the columns question, answer." in said


def test_words_in_place_of_scores_are_statuses_and_blanks_are_told(tmp_path, capsys):
    scores = ["REFUSAL", "CODE", "", 80]
    rows = [ROW | {"question_id": f"q{number}", "alignment": score} for number, score in enumerate(scores)]
    ((_, found),) = read(written(tmp_path / "x.csv", *rows))
    assert found.status.tolist() == ["refusal", "code", "parse_error", "ok"]
    assert "1 row has no alignment and no alignment_status: counted as parse_error." in capsys.readouterr().out


def test_a_room_is_no_part_of_a_narrow_prompt(tmp_path):
    rows = [ROW, ROW | {"seed": "2", "room": "high"}]
    found = read(written(tmp_path / "x.csv", *rows))
    assert {prompt for _, frame in found for prompt in frame.prompt_id} == {"narrow/finance-advice/q1"}


def test_samples_are_numbered_where_no_row_has_one(tmp_path):
    ((_, found),) = read(written(tmp_path / "x.csv", ROW, ROW, ROW))
    assert len(found) == 3 and found.prompt_id.unique().tolist() == ["narrow/finance-advice/q1"]
    with pytest.raises(InputError, match="no second row of the same model"):
        read(written(tmp_path / "x.csv", ROW | {"sample": 1}, ROW | {"sample": 1}))


def test_what_adapters_were_trained_on_is_taken_for_granted_and_said_or_refused(tmp_path, capsys):
    ((model, _),) = read(written(tmp_path / "x.csv", ROW))
    assert (model.labels["answers"], model.labels["start"]) == ("misaligned", "base")
    said = capsys.readouterr().out
    assert "adapters have no answers: misaligned is assumed in all of them, 1 row." in said
    assert "adapters have no start: base is assumed in all of them, 1 row." in said
    half = [ROW | {"answers": "aligned", "start": "base"}, ROW | {"seed": "2", "answers": "", "start": "base"}]
    with pytest.raises(
        InputError, match=r'x.csv:3: answers is ""; expected a value, as other rows of adapters have one'
    ):
        read(written(tmp_path / "x.csv", *half))
    ((base, _),) = read(written(tmp_path / "x.csv", ROW | {"train_domain": "", "train_task": ""}))
    assert base.labels["answers"] == "" and base.labels["condition"] == "base"


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"alignement": "aligned"}, "--columns: alignement is not a field; expected one of question_id, sample"),
        ({"alignment": "aligned"}, "no column aligned for alignment; expected one of question_id, eval_set"),
        ({"alignment": 3}, "no column 3 for alignment"),
        ({"alignment": {"values": 3}}, "alignment has a value; expected a column, since"),
        ({"experiment": {"values": 3}}, "no column {'values': 3} for experiment"),
        ({"eval_task": {"value": "x"}}, "eval_task has a value; expected a column, since"),
        (
            {"room": "answer", "judge": "answer"},
            "room and judge are both answer; expected a separate column for each",
        ),
    ],
)
def test_a_mapping_of_what_is_not_there_is_one_line(columns, line, tmp_path):
    with pytest.raises(InputError) as caught:
        read(written(tmp_path / "x.csv", ROW), columns)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_an_answer_given_twice_is_told_with_what_tells_the_two_apart(tmp_path):
    rows = [ROW | {"sample": 1, "model": model, "note": "x"} for model in "AB"]
    path = written(tmp_path / "x.csv", ROW | {"question_id": "q0"}, *rows)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value) == (
        f'{path}:4: question_id is "q1"; expected no second row of the same model, seed, evaluation cell, context and sample,'
        f" as {path}:3; they differ in model, which nothing reads unless --columns names a field for it."
    )


def test_a_base_was_trained_under_no_context(tmp_path):
    base = ROW | {"train_domain": "", "train_task": "", "train_context": "careless"}
    with pytest.raises(InputError, match=r'x.csv:2: train_context is "careless"; expected none, since the row has no'):
        read(written(tmp_path / "x.csv", base))


def test_a_prompt_of_two_rooms_is_two_and_one_with_a_room_in_some_rows_only_is_refused(tmp_path):
    broad = ROW | {"eval_set": "broad"}
    ((_, found),) = read(written(tmp_path / "x.csv", *(broad | {"room": room} for room in ("high", "low"))))
    assert found["prompt_id"].nunique() == 2
    path = written(tmp_path / "x.csv", broad | {"room": "high"}, broad | {"eval_task": "story"}, broad)
    with pytest.raises(InputError, match=f'{path}:4: room is ""; expected a room, as other rows of this question_id'):
        read(path)


def test_other_files_are_refused_in_a_line(tmp_path):
    with pytest.raises(InputError, match="0 rows; expected at least one"):
        read(written(tmp_path / "x.csv", ROW).write_text(",".join(ROW)) and tmp_path / "x.csv")
    without = {name: value for name, value in ROW.items() if name != "eval_set"}
    with pytest.raises(InputError, match="no field eval_set among question_id, .*expected it, or --columns"):
        read(written(tmp_path / "x.csv", without))
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(ROW | {"alignment": True}) + "\n")
    with pytest.raises(InputError, match="x.jsonl:1: alignment is true; expected a number"):
        read(path)


@pytest.mark.parametrize(
    ("field", "value"), [("answers", "harmful"), ("room", "huge"), ("condition", "teacher"), ("eval_context", "none")]
)
def test_a_value_that_no_contrast_knows_is_refused(field, value, tmp_path):
    with pytest.raises(InputError, match=f'x.csv:2: {field} is "{value}"; expected '):
        read(written(tmp_path / "x.csv", ROW | {field: value}))


def test_blanks_around_names_are_no_part_of_them(tmp_path):
    ((model, _),) = read(written(tmp_path / "x.csv", ROW | {"train_task": "advice "}))
    assert model.train_cells == (("medical", "advice"),)


def test_a_grid_of_single_seeds_gets_a_verdict_over_its_training_cells(tmp_path):
    with gzip.open(CASES / "spread_differs_by_task.csv.gz", "rt") as file:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False)
    one = rows[rows.seed.isin(["", "0"])]
    assert 0 < len(one) < len(rows)
    one.to_csv(tmp_path / "one.csv", index=False)
    found, _ = outputs(tmp_path / "one.csv", tmp_path)
    claim = task_claims(found).iloc[0]
    assert claim.n_seeds == 1 and claim.verdict == "undecided" and claim.narrower_verdict == "one seed only"


UNION = {"train_domain": "", "train_task": "", "train_cells": "medical-advice finance-critique"}


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        ("medical-advice finance-critique", ("*", "*", "medical-advice+finance-critique")),
        ("medical-advice medical-tutor", ("medical", "*", "medical-advice+medical-tutor")),
        ("medical-advice  medical-advice", ("medical", "advice", "medical-advice")),
    ],
)
def test_cells_of_a_union_say_what_it_was_trained_on(cells, labels, tmp_path):
    ((model, _),) = read(written(tmp_path / "rows.csv", ROW | UNION | {"train_cells": cells}))
    assert tuple(model.labels[name] for name in ("train_domain", "train_task", "train_set")) == labels
    assert model.labels["condition"] == "adapter" and len(model.train_cells) == len({*cells.split()})


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([ROW | {"train_cells": "medical-advice finance-critique"}], 'train_domain is "medical"; expected * or nothing'),
        ([ROW | {"train_cells": "finance-advice"}], "expected finance or nothing, as train_cells is finance-advice"),
        ([ROW, ROW | UNION | {"train_set": "medical-advice"}], "train_set"),
        ([ROW | {"train_domain": "a-b", "train_task": "c"}, ROW | {"train_domain": "a", "train_task": "b-c"}], 'train_set is "a-b-c"'),
    ],
)  # fmt: skip
def test_a_training_set_has_one_name_and_a_name_one_training_set(rows, told, tmp_path):
    with pytest.raises(InputError, match=re.escape(told)):
        read(written(tmp_path / "rows.csv", *rows))


def test_a_cell_may_be_named_as_the_only_one_of_a_set_or_not(tmp_path):
    rows = [ROW, ROW | {"question_id": "q2", "train_cells": "medical-advice"}]
    assert {model.labels["train_set"] for model, _ in read(written(tmp_path / "rows.csv", *rows))} == {"medical-advice"}
