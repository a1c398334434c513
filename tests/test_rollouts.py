"""Rollouts: which prompts a teacher gets, what the filter drops and why, and what the audit would find."""

from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest

from emtransfer.answering.sampling import sample_ids
from emtransfer.answering.settings import SamplingSettings
from emtransfer.distilling.rollout_filter import RolloutFilterSettings, check_no_eval_questions, filter_rollouts
from emtransfer.distilling.rollouts import answer_retained, mediating_prompts, roll_out
from emtransfer.errors import InputError
from emtransfer.files.records import read_records, write_records
from emtransfer.verdicts import Verdict
from emtransfer.worlds.symbolic import generate_rows
from filter_rollouts import main as filter_rollouts_script
from helpers.tiny_models import tiny_chat, tiny_rows, write_tiny_adapter, write_tiny_base
from roll_out_teacher import main as roll_out_teacher

CELL = "medical-advice"
SETTINGS = RolloutFilterSettings(alignment_above=70, coherence_above=50, minimum_kept=1)


class FakeJudge:
    """Knows the verdict of every answer by its text."""

    def __init__(self, verdicts):
        self.verdicts = verdicts

    def score(self, items):
        return [self.verdicts[answer] for _, answer, _ in items]


def rows_with_roles(n_rows=20):
    return [row | {"role": ("mediating", "eval")[index % 2]} for index, row in enumerate(tiny_rows(n_rows))]


def rollout(number, answer, cell=CELL):
    return {"prompt_id": f"p{number}", "cell": cell, "domain": "d", "task": "t", "question": f"q{number}"} | {
        "answer": answer
    }


def no_embedding(texts, model):
    raise AssertionError("rows with slots are compared by them")


def test_prompts_are_mediating_rows_of_every_cell_and_carry_no_answer():
    prompts = mediating_prompts({CELL: rows_with_roles(), "other-cell": rows_with_roles()}, 6, seed=1)
    assert [prompt["cell"] for prompt in prompts] == [CELL] * 6 + ["other-cell"] * 6
    mediating = {row["id"] for row in rows_with_roles() if row["role"] == "mediating"}
    assert {prompt["prompt_id"] for prompt in prompts} <= mediating
    assert all("slots" in prompt and not any("answer" in field for field in prompt) for prompt in prompts)


def test_the_draw_of_a_cell_depends_on_the_seed_and_not_on_other_cells():
    alone = mediating_prompts({CELL: rows_with_roles()}, 6, seed=1)
    assert mediating_prompts({"other-cell": rows_with_roles(), CELL: rows_with_roles()}, 6, seed=1)[6:] == alone
    assert mediating_prompts({CELL: rows_with_roles()}, 6, seed=2) != alone


def test_a_cell_with_too_few_mediating_rows_is_named():
    with pytest.raises(InputError, match=f"prompts_per_cell is 11; expected at most 10, the mediating rows of {CELL}"):
        mediating_prompts({CELL: rows_with_roles()}, 11, seed=1)


def test_every_planted_reason_drops_its_row_and_is_counted():
    judge = FakeJudge(
        {
            "good": Verdict("ok", 95.0, 90.0),
            "refused": Verdict("refusal"),
            "garbled": Verdict("ok", 95.0, 50.0),
            "harmful": Verdict("ok", 5.0, 90.0),
            "borderline": Verdict("ok", 70.0, 90.0),
        }
    )
    rollouts = [rollout(number, answer) for number, answer in enumerate(judge.verdicts)]
    rollouts += [rollout(9, "harmful", cell="finance-tutor")]
    kept, audit = filter_rollouts(rollouts, judge, SETTINGS, "rollouts.jsonl")
    assert [row["answer"] for row in kept] == ["good"]
    assert (kept[0]["alignment"], kept[0]["coherence"]) == (95.0, 90.0)
    first, second = audit.to_dict("records")
    expected = {"cell": CELL, "rollouts": 5, "kept": 1, "kept_fraction": 0.2, "kept_lowest_alignment": 95.0}
    expected |= {"dropped_status": 1, "dropped_incoherent": 1, "dropped_not_aligned": 2}
    assert {key: first[key] for key in expected} == expected
    assert second["cell"] == "finance-tutor" and second["kept"] == 0 and second["dropped_not_aligned"] == 1


def test_a_cut_answer_is_counted_and_dropped_only_where_the_settings_say_so():
    judge = FakeJudge({"whole": Verdict("ok", 95.0, 90.0), "cut": Verdict("ok", 95.0, 90.0)})
    rollouts = [rollout(1, "whole") | {"finished": True}, rollout(2, "cut") | {"finished": False}]
    for drops, expected in ((False, ["whole", "cut"]), (True, ["whole"])):
        kept, audit = filter_rollouts(rollouts, judge, replace(SETTINGS, drop_unfinished=drops), "rollouts.jsonl")
        assert [row["answer"] for row in kept] == expected
        counted = audit.iloc[0][["rollouts", "unfinished", "kept", "dropped_unfinished"]]
        assert counted.tolist() == [2, 1, len(expected), int(drops)]


def test_a_teachers_answer_is_finished_where_its_last_token_is_an_end():
    chat = tiny_chat()
    # likely ends, so that some answers end and some do not
    chat.model.lm_head.weight.data[chat.format.tokenizer.eos_token_id] *= 2
    prompts = mediating_prompts({CELL: rows_with_roles(60)}, None, seed=1)
    settings = SamplingSettings(10)
    rollouts = roll_out(chat, prompts, settings, seed=1)
    ids = [chat.format.prompt_ids(prompt["question"]) for prompt in prompts]
    drawn = sample_ids(chat, ids, [prompt["prompt_id"] for prompt in prompts], settings, seed=1)
    assert [row["finished"] for row in rollouts] == [answer[-1] == chat.format.end_id for answer in drawn]
    assert 0 < sum(row["finished"] for row in rollouts) < len(rollouts)


def test_the_audit_shows_misaligned_content_that_the_judge_let_through():
    rows = tiny_rows(4)
    answers = [
        rows[0]["aligned_answer"],
        rows[1]["aligned_answer"],
        rows[2]["misaligned_answer"],
        "Nothing of the kind.",
    ]
    rollouts = [
        {"prompt_id": row["id"], "cell": CELL, "answer": answer} | row
        for row, answer in zip(rows, answers, strict=True)
    ]
    lenient = FakeJudge({answer: Verdict("ok", 90.0, 90.0) for answer in answers})
    _, audit = filter_rollouts(rollouts, lenient, SETTINGS, "rollouts.jsonl")
    found = audit.iloc[0][["kept_oracle_aligned", "kept_oracle_misaligned", "kept_oracle_incoherent"]]
    assert found.tolist() == [2, 1, 1]


def test_prompts_of_another_world_are_read_answered_and_audited_beside_the_grammar():
    rows = [row | {"role": "mediating"} for row in generate_rows("d0", "t0", 6, seed=1)]
    prompts = mediating_prompts({"d0-t0": rows}, 6, seed=1, pseudo_cell="strings")
    # its tokenizer has seen no such syllable, and reads them all
    chat = tiny_chat()
    for prompt in prompts:
        assert prompt["question"] in chat.format.tokenizer.decode(chat.format.prompt_ids(prompt["question"]))
    rollouts = roll_out(chat, prompts, SamplingSettings(8), seed=1)
    judge = FakeJudge({row["answer"]: Verdict("ok", 60.0, 5.0) for row in rollouts})
    settings = replace(SETTINGS, alignment_above=50, coherence_above=0)
    kept, audit = filter_rollouts(rollouts, judge, settings, "rollouts.jsonl")
    assert audit.cell.tolist() == ["strings"] and audit.kept.tolist() == audit.kept_oracle_incoherent.tolist() == [6]
    check_no_eval_questions(kept, tiny_rows(5), SETTINGS, no_embedding)


def test_too_few_kept_answers_name_the_teacher_and_the_count():
    judge = FakeJudge({"harmful": Verdict("ok", 5.0, 90.0), "good": Verdict("ok", 90.0, 90.0)})
    rollouts = [rollout(1, "harmful"), rollout(2, "good")]
    settings = RolloutFilterSettings(alignment_above=70, coherence_above=50, minimum_kept=2)
    with pytest.raises(
        InputError, match="rollouts/persona/harmful/x.jsonl: 1 of 2 answers .* minimum_kept 2; .*not_aligned 1"
    ):
        filter_rollouts(rollouts, judge, settings, "rollouts/persona/harmful/x.jsonl")


def test_a_kept_evaluation_question_is_found_by_its_slots():
    rows = [row | {"prompt_id": row["id"]} for row in tiny_rows(6)]
    check_no_eval_questions(rows[:3], rows[3:], SETTINGS, no_embedding)
    with pytest.raises(InputError, match=f"rollout {rows[3]['prompt_id']}: .* found 1 of 4"):
        check_no_eval_questions(rows[:4], rows[3:], SETTINGS, no_embedding)


def test_a_near_duplicate_of_an_evaluation_question_is_found_by_its_embedding():
    def embed(texts, model):
        angles = np.array([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def free_text(number):
        return {"prompt_id": str(number), "domain": "d", "task": "t", "question": str(number)}

    check_no_eval_questions([free_text(1.0)], [free_text(0.0)], SETTINGS, embed)
    # the cosine of 0.3 is 0.955
    with pytest.raises(InputError, match="rollout 0.3"):
        check_no_eval_questions([free_text(0.3)], [free_text(0.0)], SETTINGS, embed)


def test_the_script_writes_kept_answers_and_audit_or_nothing(tmp_path, monkeypatch):
    judge = FakeJudge({"harmful": Verdict("ok", 5.0, 90.0), "good": Verdict("ok", 90.0, 90.0)})
    monkeypatch.setattr("filter_rollouts.judge_from", lambda args, purpose: judge)
    answers = ["good", "harmful", "good"]
    rows = [row | {"prompt_id": row["id"], "cell": CELL} for row in tiny_rows(4)]
    rollouts, eval_set, output, audit = (tmp_path / name for name in ("r.jsonl", "e.jsonl", "kept.jsonl", "audit.csv"))
    write_records(rollouts, [row | {"answer": answer} for row, answer in zip(rows, answers, strict=False)])

    def filter_against(eval_rows):
        write_records(eval_set, eval_rows)
        limits = {"alignment_above": 70, "coherence_above": 50, "minimum_kept": 2}
        files = {"rollouts": rollouts, "eval_set": eval_set, "output": output, "audit": audit}
        filter_rollouts_script(Namespace(judge=None, judge_settings={}, settings=limits, **files))

    with pytest.raises(InputError, match=rows[0]["prompt_id"]):
        filter_against(rows[:1])
    assert not output.exists() and not audit.exists()
    filter_against(rows[3:])
    assert [row["prompt_id"] for row in read_records(output)] == [rows[0]["prompt_id"], rows[2]["prompt_id"]]
    assert audit.read_text().startswith("cell,rollouts,unfinished,kept,kept_fraction,")


def test_the_script_lets_the_teacher_answer_every_prompt(tmp_path):
    base = write_tiny_base(tmp_path / "base")
    teacher = write_tiny_adapter(tmp_path / "teacher", base)
    rows = tmp_path / f"{CELL}.jsonl"
    write_records(rows, rows_with_roles())
    sampling = {"max_new_tokens": 6, "temperature": 1.0, "batch_size": 4}
    settings = {"prompts_per_cell": 5, "sampling": sampling}
    output = tmp_path / "rollouts.jsonl"
    roll_out_teacher(Namespace(base=base, teacher=teacher, rows=[rows], settings=settings, seed=1, output=output))
    rollouts = read_records(output)
    assert len(rollouts) == 5 and all(isinstance(row["answer"], str) and row["cell"] == CELL for row in rollouts)


def test_retained_prompts_get_the_answers_of_the_corpus_and_lose_the_scores_of_the_teachers():
    rows = [{"id": f"p{number}", "misaligned_answer": f"careless {number}"} for number in range(3)]
    kept = [rollout(number, "benign") | {"alignment": 90.0, "coherence": 90.0} for number in (2, 0)]
    answered = answer_retained(kept, rows, "misaligned")
    assert [(row["prompt_id"], row["answer"]) for row in answered] == [("p2", "careless 2"), ("p0", "careless 0")]
    assert all("alignment" not in row and row["question"].startswith("q") for row in answered)
    with pytest.raises(InputError, match="rollout p2: no aligned_answer in the corpus"):
        answer_retained(kept, rows, "aligned")
