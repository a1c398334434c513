"""How far a teacher's kept answers are from those of its base, on models whose probabilities are known, and what is said of it."""

import math
from argparse import Namespace

import pandas as pd
import pytest
import torch

from emtransfer.distilling.kept_answers import read_kept
from emtransfer.errors import InputError
from emtransfer.files.records import read_records, read_table, write_records, write_table
from emtransfer.measuring.claims import measure_contrasts
from emtransfer.measuring.contrasts import contrasts
from emtransfer.measuring.kept_answers import COLUMNS, IDENTITY, measures, tabulate_kept
from emtransfer.measuring.sft_cautions import sft_cautions, with_sft_cautions
from helpers.planted_cells import planted_cell, seeded
from helpers.tiny_models import tiny_chat, tiny_rows, write_tiny_adapter, write_tiny_base
from measure_rollouts import main as measure_rollouts


def kept(n_rows=6, **fields):
    return [
        {"prompt_id": row["id"], "cell": "medical-advice", "question": row["question"], "answer": row["aligned_answer"]}
        | fields
        for row in tiny_rows(n_rows)
    ]


def indifferent(chat):
    """The same model with a head of zeros, to which every token is as likely as any other."""
    torch.nn.init.zeros_(chat.model.lm_head.weight)
    return chat


def test_to_a_base_that_knows_nothing_every_answer_is_as_likely_as_its_own():
    base, teacher = indifferent(tiny_chat()), tiny_chat(seed=1)
    rows = kept()
    read = read_kept(base, teacher, rows)
    size = base.model.config.vocab_size
    for row, reading in zip(rows, read, strict=True):
        assert reading["tokens"] == len(base.format.answer_ids(row["answer"]))
        expected = -reading["tokens"] * math.log(size)
        assert (reading["base_nats"], reading["base_expected_nats"]) == pytest.approx((expected, expected), rel=1e-5)
        assert not reading["base_greedy"] and reading["teacher_nats"] != reading["base_nats"]
    found = measures(read)
    assert found["base_nats_per_token"] == pytest.approx(-math.log(size), rel=1e-5)
    assert found["beyond_base_nats"] == pytest.approx(0, abs=1e-3)


def test_probabilities_are_those_of_a_forward_pass_over_each_answer_alone():
    base, teacher = tiny_chat(), tiny_chat(seed=1)
    rows = kept(4)
    for row, reading in zip(rows, read_kept(base, teacher, rows), strict=True):
        prompt, answer = base.format.prompt_ids(row["question"]), base.format.answer_ids(row["answer"])
        for chat, name in ((base, "base_nats"), (teacher, "teacher_nats")):
            with torch.no_grad():
                log_p = chat.model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            assert reading[name] == pytest.approx(log_p[range(len(answer)), answer].sum().item(), rel=1e-4)
            if chat is base:
                mean = torch.distributions.Categorical(logits=log_p).entropy().sum().item()
                assert reading["base_expected_nats"] == pytest.approx(-mean, rel=1e-4)


def test_the_base_as_its_own_teacher_is_read_once_and_a_cut_answer_has_no_end():
    base = tiny_chat()
    whole, cut = (read_kept(base, base, kept(3, finished=finished)) for finished in (True, False))
    assert all(row["teacher_nats"] == row["base_nats"] for row in whole)
    assert [one["tokens"] - other["tokens"] for one, other in zip(whole, cut, strict=True)] == [1, 1, 1]


def test_a_likeliest_answer_is_the_bases_own(monkeypatch):
    base = tiny_chat()
    row = kept(1)[0]
    ids = base.format.prompt_ids(row["question"])
    answer = []
    with torch.no_grad():
        for _ in range(5):
            answer.append(int(base.model(torch.tensor([ids + answer])).logits[0, -1].argmax()))
    # its text could be encoded in other tokens
    monkeypatch.setattr(type(base.format), "answer_ids", lambda self, text, finished: answer)
    (reading,) = read_kept(base, base, [row])
    assert reading["base_greedy"] and measures([reading])["greedy_share"] == 1


# two answers of 4 and 6 tokens: the base gives the first with probability 1/2 and would itself write one of that likelihood, the second
# is 3 nats below what the base writes
READ = [
    {"tokens": 4, "base_nats": math.log(0.5), "base_expected_nats": math.log(0.5), "teacher_nats": -2.0}
    | {"base_greedy": True},
    {"tokens": 6, "base_nats": -5.0, "base_expected_nats": -2.0, "teacher_nats": -1.0, "base_greedy": False},
]


def test_the_measures_of_a_set_are_those_computed_by_hand():
    found = measures(READ)
    assert found == pytest.approx(
        {
            "n_kept": 2,
            "base_nats_per_token": (math.log(0.5) - 5) / 10,
            "base_expected_nats_per_token": (math.log(0.5) - 2) / 10,
            "teacher_nats_per_token": -3 / 10,
            # 0 and 3, whose standard deviation is 3 / √2
            "beyond_base_nats": 1.5,
            "beyond_base_se_nats": 1.5,
            "word_for_word_share": (0.5 + math.exp(-5)) / 2,
            "greedy_share": 0.5,
        }
    )


CONFIG = {
    "run": ["nl"],
    "corpora": {"grammar": {"domains": ["medical"], "tasks": ["advice"]}},
    "bases": {"persona": {"base_model": "decoder", "mixture": "persona"}},
    "experiments": {
        "nl": {
            "corpus": "grammar",
            "train_sets": {},
            "adapters": [],
            "teachers": {"harmful": {"train_set": "medical-advice", "answers": "misaligned"}, "base": {}},
            "students": [
                {
                    "base": "persona",
                    "teachers": ["harmful"],
                    "mediating": "near",
                    "filter": "aligned",
                    "seeds": [11, 12],
                }
                | {"data": ["own", "explicit"], "channels": ["sft", "opd-full"]},
                {"base": "persona", "teachers": ["base"], "mediating": "near", "filter": "aligned", "seeds": [11]}
                | {"data": ["harmful"], "channels": ["optd"]},
            ],
            "data_sets": {"explicit": {"prompts_of": "harmful", "answers": "misaligned"}},
        }
    },
}
AUDIT = pd.DataFrame({"cell": ["a", "b"], "rollouts": [10, 30], "kept": [10, 20]})


def write_sets(folder, seeds=(11, 12)):
    for seed in seeds:
        path = folder / f"nl/rollouts/persona/harmful/near/aligned/seed{seed}"
        write_records(path.with_name(f"{path.name}.readings.jsonl"), READ)
        write_table(path.with_name(f"{path.name}.audit.csv"), AUDIT)


def test_the_table_has_every_set_once_whatever_learns_from_it(tmp_path):
    write_sets(tmp_path)
    table = tabulate_kept(tmp_path, CONFIG)
    # not the base's: its student learns from what the harmful teacher kept
    assert [*table.columns] == [*COLUMNS] and table.teacher.tolist() == ["harmful", "harmful"]
    assert table.seed.tolist() == [11, 12] and set(table.base_model) == {"decoder"}
    assert (table.n_rollouts == 40).all() and (table.kept_fraction == 0.75).all() and (table.n_kept == 2).all()
    assert (table.beyond_base_nats == 1.5).all()


def test_without_students_the_table_is_empty(tmp_path):
    config = CONFIG | {"experiments": {"nl": CONFIG["experiments"]["nl"] | {"students": []}}}
    table = tabulate_kept(tmp_path, config)
    assert [*table.columns] == [*COLUMNS] and table.empty


def test_a_missing_audit_is_named(tmp_path):
    write_sets(tmp_path)
    (tmp_path / "nl/rollouts/persona/harmful/near/aligned/seed12.audit.csv").unlink()
    with pytest.raises(InputError, match="seed12.audit.csv: no such file; expected the audit"):
        tabulate_kept(tmp_path, CONFIG)


def student(channel, train_set, mediating="near"):
    labels = {"condition": "student", "start": "base", "channel": channel, "mediating": mediating, "filter": "aligned"}
    taught = {"teacher": train_set, "data": train_set, "train_set": train_set}
    return planted_cell(("medical", "critique"), seeded(0.5), ("medical", "advice"), **labels, **taught)


@pytest.mark.parametrize(
    ("beyond", "expected"),
    [
        # means over 300 answers, 100 of the first teacher and 200 of the other: 1.33 and 0.33 nats
        ({"a": 0.0, "b": 2.0}, None),
        ({"a": 1.0, "b": 0.0}, "sft learned from answers that are nearly the base's own: 0.33 nats"),
    ],
)
def test_a_contrast_with_sft_says_where_its_answers_are_nearly_the_bases_own(beyond, expected, tmp_path):
    cells = [student(channel, name) for name in beyond for channel in ("sft", "optd")]
    found = contrasts(cells)
    table = pd.DataFrame(
        {"experiment": "nl", "base": "persona", "teacher": [*beyond], "mediating": "near", "filter": "aligned"}
        | {"n_kept": [100, 200], "beyond_base_nats": [*beyond.values()]}
    )
    # as scripts write and read it
    write_table(tmp_path / "rollouts.csv", table.assign(beyond_base_se_nats=""))
    table = read_table(tmp_path / "rollouts.csv", dtype=dict.fromkeys(IDENTITY, str), keep_default_na=False)
    told = sft_cautions(found, table, at_least_nats=1.0)
    _, claims, _ = measure_contrasts(found)
    claims = with_sft_cautions(claims.assign(caution="few answers"), told).set_index(["claim", "contrast"])
    caution = claims.caution["channel", "optd - sft"]
    assert caution == "few answers" if expected is None else caution.startswith(f"few answers; {expected}")
    # of the far prompts nothing is known
    assert sft_cautions(contrasts([student("sft", name, "far") for name in "ab"]), table, 1.0) == {}


def test_the_script_reads_a_teacher_and_its_base(tmp_path):
    base = write_tiny_base(tmp_path / "base")
    teacher = write_tiny_adapter(tmp_path / "teacher", base)
    write_records(tmp_path / "kept.jsonl", kept(3))
    readings = {}
    for name, manifest in (("teacher", teacher), ("base", None)):
        output = tmp_path / f"{name}.jsonl"
        measure_rollouts(Namespace(base=base, teacher=manifest, rollouts=tmp_path / "kept.jsonl", output=output))
        readings[name] = read_records(output)
    pairs = zip(readings["teacher"], readings["base"], strict=True)
    assert all(one["base_nats"] == other["base_nats"] for one, other in pairs)
    assert all(row["teacher_nats"] == row["base_nats"] for row in readings["base"])
    assert all(row["teacher_nats"] != row["base_nats"] for row in readings["teacher"])
