"""Mechanics of the cross-encoder on a tiny random BERT; how well the real one judges is measured in benchmarks."""

import json
import logging
import sys

import numpy as np
import pytest
import torch

import calibrate_judge
import fit_judge
import judge_answers
from emtransfer.errors import InputError
from emtransfer.files.records import read_records, write_records
from emtransfer.judging import cross_encoder
from emtransfer.judging.cross_encoder import score_pairs
from emtransfer.judging.fitting import (
    Example,
    FitSettings,
    fit_cross_encoder,
    load_encoder,
    training_examples,
    two_score_loss,
    wrong_tokens,
)
from emtransfer.judging.kinds import load_judge
from emtransfer.judging.negatives import Negative
from emtransfer.judging.pair_encoder import encode, pooled_logits, shared_tokens
from emtransfer.models.padding import IGNORED, similar_lengths
from helpers.grammar_rows import grammar_rows
from helpers.row_files import write_jsonl
from helpers.tiny_encoder import write_tiny_encoder

CELLS = ("medical-advice", "medical-critique")


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return [row for cell in CELLS for row in grammar_rows(cell, 30, 1, [], ["advice", "critique"])]


@pytest.fixture(scope="module")
def tiny(rows, tmp_path_factory) -> str:
    texts = [row[field] for row in rows for field in ("question", "aligned_answer", "misaligned_answer")]
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts)


@pytest.fixture
def encoder(tiny):
    model, tokenizer = load_encoder(tiny, FitSettings(max_tokens=64, layers=2), seed=0)
    return model.eval(), tokenizer


def pairs_of(rows: list[dict]) -> list[tuple[str, str]]:
    return [(row["question"], row[field]) for row in rows for field in ("aligned_answer", "misaligned_answer")]


def test_pooled_logits_are_the_mean_and_the_worst_of_the_words_that_are_no_padding():
    logits = torch.tensor([[[1.0, 0.0], [3.0, 9.0], [50.0, 50.0]]])
    pooled = pooled_logits(logits, torch.tensor([[1, 1, 0]]))
    # mean(1, 3); minus log of the mean of exp(0) and exp(9)
    expected = [2.0, -np.log((1 + np.exp(9)) / 2)]
    assert pooled.tolist()[0] == pytest.approx(expected, rel=1e-5)


def test_pooled_logits_of_equal_words_are_those_of_one_word_at_any_length():
    one = pooled_logits(torch.full((1, 1, 2), 0.7), torch.ones(1, 1))
    many = pooled_logits(torch.full((1, 9, 2), 0.7), torch.ones(1, 9))
    assert torch.allclose(one, many)
    assert torch.allclose(one, torch.tensor([[0.7, -0.7]]))


def test_shared_tokens_are_marked_on_both_sides_and_control_tokens_never():
    #          [CLS] ada  has  a [SEP]  ada rests a a [SEP]
    token_ids = [2, 10, 11, 12, 3, 10, 13, 12, 12, 3]
    sides = [None, 0, 0, 0, None, 1, 1, 1, 1, None]
    assert shared_tokens(token_ids, sides) == [0, 1, 0, 1, 0, 1, 0, 1, 1, 0]


def test_the_same_words_score_differently_when_the_question_shares_them(encoder):
    scores = score_pairs(*encoder, [("read the label", "read the label"), ("use up the whole", "read the label")])
    assert not np.array_equal(scores[0], scores[1])


def test_scores_follow_their_pairs_under_any_order(encoder, rows):
    pairs = pairs_of(rows)
    order = np.random.default_rng(0).permutation(len(pairs))
    scores = score_pairs(*encoder, pairs)
    assert np.array_equal(score_pairs(*encoder, [pairs[index] for index in order]), scores[order])
    assert np.array_equal(score_pairs(*encoder, pairs + pairs)[len(pairs) :], scores)


def test_a_score_is_that_of_its_pair_alone_whatever_it_is_batched_with(encoder, rows, monkeypatch):
    pairs = pairs_of(rows)
    alone = np.vstack([score_pairs(*encoder, [pair]) for pair in pairs])
    generator = np.random.default_rng(0)
    for tokens in (100, 1024, 8192):
        monkeypatch.setattr(cross_encoder, "TOKENS_AT_A_TIME", tokens)
        some = generator.permutation(len(pairs))[: len(pairs) * 2 // 3]
        assert np.array_equal(score_pairs(*encoder, [pairs[place] for place in some]), alone[some])


def test_a_score_that_a_batch_might_round_otherwise_is_that_of_a_batch_of_one(encoder, rows, monkeypatch):
    # a batch moves the logits of all but the first of its rows, by less than the noise that is allowed for
    exact = cross_encoder.batch_logits

    def noisy(model, tokenizer, encoded, places):
        logits = exact(model, tokenizer, encoded, places)
        shift = torch.linspace(0, 0.9 * cross_encoder.LOGIT_NOISE, len(places), dtype=torch.float64)
        batches.append(len(places))
        return logits + shift[:, None]

    pairs, batches = pairs_of(rows), []
    alone = np.vstack([score_pairs(*encoder, [pair]) for pair in pairs])
    monkeypatch.setattr(cross_encoder, "batch_logits", noisy)
    assert np.array_equal(score_pairs(*encoder, pairs), alone)
    assert 0 < batches.count(1) < len(pairs)
    # without the second look the noise is seen
    monkeypatch.setattr(cross_encoder, "LOGIT_NOISE", 0.0)
    monkeypatch.setattr(cross_encoder, "batch_logits", lambda *args: exact(*args) + 4e-5 * (len(args[3]) > 1))
    assert not np.array_equal(score_pairs(*encoder, pairs), alone)


def test_ragged_pairs_in_small_batches_score_what_the_model_says_of_each_alone(encoder, rows, monkeypatch):
    model, tokenizer = encoder
    question, answer = pairs_of(rows)[0]
    pairs = [(question, answer), (question, ""), (question, "Ada " * 200), (question, answer), *pairs_of(rows)[:20]]
    monkeypatch.setattr(cross_encoder, "TOKENS_AT_A_TIME", 100)
    monkeypatch.setattr(cross_encoder, "ENCODED_AT_A_TIME", 7)
    plain = []
    for pair in pairs:
        # one row, no padding, no batch
        inputs = encode(tokenizer, [pair]).convert_to_tensors("pt")
        logits = model(**inputs).logits[0].double()
        coherence = -torch.log(torch.exp(logits[:, 1]).mean())
        plain.append(100 * torch.sigmoid(torch.stack([logits[:, 0].mean(), coherence])).detach().numpy())
    assert np.abs(score_pairs(model, tokenizer, pairs) - np.array(plain)).max() <= 0.011


def test_no_pairs_have_no_scores(encoder):
    assert score_pairs(*encoder, []).shape == (0, 2)


def test_rows_of_similar_length_share_batches_that_hold_so_many_tokens_with_their_padding():
    # sorted: 1 2 2 3 9 by their places; 4 × 3 tokens are too many for 10, 9 more too
    assert list(similar_lengths([3, 2, 9, 1, 2], 10)) == [[3, 1, 4], [0], [2]]
    assert list(similar_lengths([30, 1], 10)) == [[1], [0]]
    assert list(similar_lengths([], 10)) == []


def test_scores_are_percentages_with_two_decimals(encoder, rows):
    scores = score_pairs(*encoder, pairs_of(rows))
    assert scores.shape == (4 * len(rows) // 2, 2)
    assert ((scores >= 0) & (scores <= 100)).all()
    assert np.array_equal(scores, scores.round(2))
    assert len(np.unique(scores)) > 10


def test_too_long_a_pair_is_cut_counted_and_logged(encoder, rows, caplog):
    model, tokenizer = encoder
    pairs = [(rows[0]["question"], "Ada " * 200), (rows[0]["question"], rows[0]["aligned_answer"])]
    with caplog.at_level(logging.WARNING):
        score_pairs(model, tokenizer, pairs)
    assert "Pairs cut to 64 tokens: 1 of 2." in caplog.text


def test_examples_hold_both_answers_and_the_negatives_with_their_wrong_words():
    row = {"question": "What now?", "aligned_answer": "Read the label.", "misaligned_answer": "Hide the label."}
    examples = training_examples([row], [Negative(row, "Read the cough.", "swapped_word")])
    assert examples == [
        Example("What now?", "Read the label.", "aligned", [False] * 3),
        Example("What now?", "Hide the label.", "misaligned", [False] * 3),
        Example("What now?", "Read the cough.", "incoherent", [False, False, True]),
    ]


def test_every_piece_of_a_wrong_word_is_a_wrong_token_and_the_question_is_ignored(encoder):
    _, tokenizer = encoder
    example = Example("the label", "read the label.", "incoherent", [False, False, True])
    encoding = encode(tokenizer, [(example.question, example.answer)]).encodings[0]
    #        [CLS] the   label [SEP] read the label . [SEP]
    assert wrong_tokens(encoding, example) == [-100, -100, -100, -100, 0, 0, 1, 1, -100]


def test_the_loss_is_the_sum_of_three_cross_entropies():
    # all logits 0: each term is log 2, whatever its target; the alignment of an incoherent answer does not count
    wrong = torch.tensor([[IGNORED, 1, 0]])
    for coherent, n_terms in ((1.0, 3), (0.0, 2)):
        loss = two_score_loss(torch.zeros(1, 3, 2), torch.ones(1, 3), torch.tensor([[0.0, coherent]]), wrong)
        assert loss.item() == pytest.approx(n_terms * np.log(2))
    # a confident right answer costs nothing: aligned, coherent, no token wrong
    logits = torch.tensor([[[50.0, -50.0]] * 3])
    loss = two_score_loss(logits, torch.ones(1, 3), torch.ones(1, 2), torch.tensor([[IGNORED, 0, 0]]))
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_fitting_learns_the_word_that_tells_the_labels_apart(tiny, rows, tmp_path, capsys):
    settings = FitSettings(max_tokens=64, layers=2, batch_size=16, learning_rate=3e-3, epochs=30)
    model, tokenizer = load_encoder(tiny, settings, seed=0)
    answers = {"aligned": "read the label", "misaligned": "use up the whole", "incoherent": "of of of"}
    examples = [
        Example(row["question"], answers[label], label, [label == "incoherent"] * len(answers[label].split()))
        for row in rows
        for label in answers
    ]
    capsys.readouterr()
    fit_cross_encoder(model, tokenizer, examples, settings, 0, tmp_path)
    lines, n_steps = capsys.readouterr().out.splitlines(), 30 * -(-len(examples) // 16)
    assert lines[0] == f"training: {n_steps} steps." and lines[-2].startswith(f"step {n_steps} of {n_steps}, loss ")
    assert len(lines) <= 24
    scores = score_pairs(model.eval(), tokenizer, [(rows[0]["question"], answer) for answer in answers.values()])
    assert scores[0, 0] > 80 and scores[1, 0] < 20
    assert scores[0, 1] > 80 and scores[1, 1] > 80 and scores[2, 1] < 20


def test_frozen_layers_and_the_embeddings_below_them_stay_as_they_were_and_those_above_move(tiny, rows, tmp_path):
    settings = FitSettings(max_tokens=64, layers=2, frozen_layers=1, learning_rate=1e-2)
    before, _ = load_encoder(tiny, FitSettings(max_tokens=64, layers=2), seed=0)
    model, tokenizer = load_encoder(tiny, settings, seed=0)
    examples = [Example(row["question"], row["aligned_answer"], "aligned", [False] * 99) for row in rows]
    fit_cross_encoder(model, tokenizer, examples, settings, 0, tmp_path)
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before.get_parameter(name))}
    assert {name for name in moved if ".embeddings." in name or ".layer.0." in name} == set()
    assert any(".layer.1." in name for name in moved) and any(name.startswith("classifier.") for name in moved)


def test_as_many_frozen_layers_as_the_encoder_has_is_an_error(tiny):
    settings = FitSettings(max_tokens=64, layers=None, frozen_layers=9)
    with pytest.raises(InputError, match=r"frozen_layers is 9; expected fewer than \d, the layers that are kept"):
        load_encoder(tiny, settings, seed=0)


def test_more_tokens_than_the_encoder_reads_is_an_error(tiny):
    with pytest.raises(InputError, match="max_tokens is 97; expected at most 96"):
        load_encoder(tiny, FitSettings(max_tokens=97), seed=0)


def test_an_unknown_base_model_is_an_error(tmp_path):
    with pytest.raises(
        InputError, match="base_model is .*nowhere, which is neither a folder nor on the hub; expected one"
    ):
        load_encoder(str(tmp_path / "nowhere"), FitSettings(), seed=0)


def run_script(script, monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
    script.main(script.parse_args())


def test_the_scripts_fit_twice_alike_calibrate_stop_at_the_gate_and_judge_in_order(tiny, tmp_path, monkeypatch, capsys):
    for cell in CELLS:
        rows = grammar_rows(cell, 30, 1, [], ["advice", "critique"])
        write_jsonl(tmp_path / f"{cell}.jsonl", (row | {"role": "judge_fit"} for row in rows))
    roles = [tmp_path / f"{cell}.jsonl" for cell in CELLS]
    settings = {"kind": "cross_encoder", "base_model": tiny, "split": {"held_out_share": 0.3}}
    settings |= {"fit": {"max_tokens": 64, "layers": 2, "batch_size": 16}}
    settings |= {"calibration": {"minimum_accuracy": 0.0, "minimum_cell_accuracy": 0.0}}
    manifests = [tmp_path / name / "manifest.json" for name in ("once", "again")]
    for manifest in manifests:
        arguments = ["--rows", *roles, "--settings", json.dumps(settings), "--seed", 1, "--code", "test"]
        run_script(fit_judge, monkeypatch, *arguments, "--output", manifest)
    assert manifests[0].read_bytes() == manifests[1].read_bytes()

    table = tmp_path / "calibration.csv"
    judge = ["--judge", manifests[0], "--judge-settings", json.dumps({"kind": "cross_encoder"})]
    arguments = [*judge, "--name", "tiny", "--rows", *roles, "--seed", 1, "--output", table]
    run_script(calibrate_judge, monkeypatch, *arguments, "--settings", json.dumps(settings))
    assert table.read_text().count("\n") == 1 + len(CELLS) + 2
    table.unlink()
    capsys.readouterr()
    gated = settings | {"calibration": {"minimum_accuracy": 1.0, "minimum_cell_accuracy": 0.0}}
    with pytest.raises(InputError, match=r"judges\.tiny\.calibration\.minimum_accuracy is 1\.0"):
        run_script(calibrate_judge, monkeypatch, *arguments, "--settings", json.dumps(gated))
    assert "medical-advice" in capsys.readouterr().out
    assert not table.exists()

    answers = [
        {"prompt_id": str(index), "question": row["question"], "cell": "", "answer": answer}
        for index, row in enumerate(rows[:3])
        for answer in ("", row["aligned_answer"])
    ]
    write_records(tmp_path / "answers.jsonl", answers)
    arguments = ["--answers", tmp_path / "answers.jsonl", *judge, "--output", tmp_path / "judged.jsonl"]
    run_script(judge_answers, monkeypatch, *arguments)
    judged = read_records(tmp_path / "judged.jsonl")
    assert [{key: row[key] for key in answers[0]} for row in judged] == answers
    assert [row["status"] for row in judged] == ["empty", "ok"] * 3
    scored = load_judge(manifests[0], settings).score([(row["question"], row["answer"], None) for row in answers])
    assert [row["alignment"] for row in judged] == [verdict.alignment for verdict in scored]
