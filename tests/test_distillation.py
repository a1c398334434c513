"""Distillation on tiny random Llamas: two computations of the same loss agree, and training approaches the teacher."""

import json
from argparse import Namespace
from dataclasses import replace

import pandas as pd
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from distill_student import main as distill_student
from emtransfer.distilling import distillation
from emtransfer.distilling.channels import CHANNELS
from emtransfer.distilling.distillation import (
    DistillationSettings,
    Teacher,
    accumulate_gradients,
    answer_logits,
    as_key,
    count_answer_tokens,
    distill,
    encode,
    kl_to_teacher,
    own_answers,
    prompt_batches,
)
from emtransfer.errors import InputError
from emtransfer.files.records import write_records
from emtransfer.models.adapters import fresh_lora
from emtransfer.models.loading import Chat
from helpers.tiny_models import ARCHITECTURE, LORA, perturb, tiny_chat, tiny_rows, write_tiny_adapter, write_tiny_base

ROWS = [{"prompt_id": row["id"], "question": row["question"], "answer": row["aligned_answer"]} for row in tiny_rows(16)]


def settings(channel, **changes):
    defaults = {"updates": 2, "batch_size": 8, "learning_rate": 1e-2, "warmup_steps": 1, "max_new_tokens": 8}
    return DistillationSettings(channel, **defaults | changes)


def student_and_teacher(teacher_scale):
    """A fresh LoRA (the base itself) and a teacher on the same base whose B matrices are random."""
    base = tiny_chat()
    teacher = fresh_lora(tiny_chat().model, LORA, seed=2)
    perturb(teacher, seed=2, scale=teacher_scale)
    return Chat(fresh_lora(base.model, LORA, seed=1), base.format), teacher.eval()


def gradients(model):
    return {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}


def test_an_encoded_answer_is_the_answer_and_its_end_token():
    chat_format = tiny_chat().format
    tokenizer = chat_format.tokenizer
    for row, (prompt, answer) in zip(ROWS, encode(ROWS, chat_format, 256), strict=True):
        assert tokenizer.decode(answer[:-1]).strip() == row["answer"]
        assert answer[-1] == tokenizer.eos_token_id
        assert row["question"] in tokenizer.decode(prompt)


def test_an_answer_that_was_cut_has_no_end_token():
    chat_format = tiny_chat().format
    whole, cut = (encode([row], chat_format, 256)[0] for row in (ROWS[0], ROWS[0] | {"finished": False}))
    assert (cut[0], cut[1]) == (whole[0], whole[1][:-1])


def test_a_row_that_is_too_long_is_an_error_and_never_cut():
    with pytest.raises(InputError, match=f"max_seq_tokens is 20; expected at least .* rollout {ROWS[0]['prompt_id']}"):
        encode(ROWS, tiny_chat().format, 20)


def test_answer_logits_are_those_of_each_row_alone_and_of_padding_on_the_right():
    chat = tiny_chat()
    rows = encode(ROWS[:5], chat.format, 256)
    assert len({len(prompt) + len(answer) for prompt, answer in rows}) > 1
    together = answer_logits(chat.model, rows)
    torch.testing.assert_close(
        together, torch.cat([answer_logits(chat.model, [row]) for row in rows]), atol=1e-4, rtol=0
    )
    right = torch.nn.utils.rnn.pad_sequence([torch.tensor(p + a) for p, a in rows], batch_first=True)
    logits = chat.model(right, attention_mask=(right != chat.format.tokenizer.pad_token_id).long()).logits
    picked = [logits[i, len(p) - 1 : len(p) + len(a) - 1] for i, (p, a) in enumerate(rows)]
    torch.testing.assert_close(together, torch.cat(picked), atol=1e-4, rtol=0)


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_gradient_of_a_step_does_not_depend_on_the_micro_batches(channel):
    found = []
    for micro_batch_size in (8, 3, 1):
        student, teacher = student_and_teacher(0.2)
        perturb(student.model, seed=3, scale=0.1)
        batch = encode(ROWS[:8], student.format, 256)
        loss = accumulate_gradients(
            student.model, Teacher(teacher, []), batch, settings(channel, micro_batch_size=micro_batch_size)
        )
        found.append((loss, gradients(student.model)))
    for loss, change in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-4)
        torch.testing.assert_close(change, found[0][1], rtol=1e-3, atol=1e-4)


def decoder_of(vocabulary, seed):
    """A random Llama of so many tokens."""
    config = LlamaConfig(vocab_size=vocabulary, initializer_range=0.5, **ARCHITECTURE)
    torch.manual_seed(seed)
    return LlamaForCausalLM(config).eval()


def all_answers(max_new_tokens, vocabulary, end):
    """Every answer that can be drawn: token ids up to the end token, or as many as there may be."""
    unfinished = [[]]
    for _ in range(max_new_tokens):
        longer = [answer + [token] for answer in unfinished for token in range(vocabulary)]
        yield from (answer for answer in longer if answer[-1] == end)
        unfinished = [answer for answer in longer if answer[-1] != end]
    yield from unfinished


def test_a_step_of_the_sampled_estimator_has_the_gradient_of_the_exact_one_over_all_answers():
    # over answers of 1 to 3 tokens; divided by their own number, those at the end token would count for more
    vocabulary, max_new_tokens, prompt = 4, 3, [1, 2]
    student, teacher = (decoder_of(vocabulary, seed) for seed in (1, 2))
    expected = {"opd-sampled": 0.0, "opd-full": 0.0}
    for answer in all_answers(max_new_tokens, vocabulary, end=0):
        row = prompt, answer
        log_probs = answer_logits(student, [row]).detach().log_softmax(-1)
        probability = log_probs.gather(-1, torch.tensor(answer)[:, None]).sum().exp()
        for channel in expected:
            accumulate_gradients(student, Teacher(teacher, []), [row], settings(channel, max_new_tokens=max_new_tokens))
            # the exact one has the mean of the answer's tokens
            weight = probability * (len(answer) / max_new_tokens if channel == "opd-full" else 1)
            change = torch.cat([weights.grad.flatten() for weights in student.parameters()])
            expected[channel] += weight * change
            student.zero_grad()
    scale = expected["opd-full"].abs().max().item()
    torch.testing.assert_close(expected["opd-sampled"], expected["opd-full"], rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("channel", CHANNELS)
def test_dropout_is_for_fixed_answers_and_the_policy_of_on_policy_channels_has_none(channel, tmp_path):
    logs = []
    for dropout in (0.0, 0.5):
        base, (_, teacher) = tiny_chat(), student_and_teacher(0.1)
        student = Chat(fresh_lora(base.model, replace(LORA, dropout=dropout), seed=1), base.format)
        logs.append(distill(student, teacher, ROWS, settings(channel), 1, tmp_path / str(dropout)))
    assert (logs[0] == logs[1]) == channel.startswith("opd")


@pytest.mark.parametrize("channel", ["optd", "opd-full", "opd-sampled"])
def test_student_equal_to_teacher_gets_zero_gradient(channel):
    student, teacher = student_and_teacher(teacher_scale=0.0)
    batch = encode(ROWS[:8], student.format, 256)
    loss = accumulate_gradients(student.model, Teacher(teacher, []), batch, settings(channel))
    assert loss == pytest.approx(0, abs=1e-5)
    assert all(change.abs().max() < 1e-4 for change in gradients(student.model).values())


def test_the_kl_of_equal_models_is_zero_and_of_different_ones_is_not():
    for scale, equal in ((0.0, True), (0.3, False)):
        student, teacher = student_and_teacher(scale)
        found = kl_to_teacher(student.model, Teacher(teacher, []), encode(ROWS, student.format, 256), 4)
        assert all((value == pytest.approx(0, abs=1e-5)) == equal for value in found.values())


def test_logits_that_a_teacher_keeps_are_those_it_computes(monkeypatch):
    """Kept of answers of an earlier batch, and asked for among others, in another order and twice."""
    student, model = student_and_teacher(0.2)
    rows = encode(ROWS[:6], student.format, 256)
    teacher = Teacher(model, rows[:4])
    teacher.logits(rows[1:4])
    mixed = [rows[3], rows[0], rows[5], rows[1], rows[3]]
    with torch.no_grad():
        expected = answer_logits(model, mixed)
    torch.testing.assert_close(teacher.logits(mixed), expected, atol=1e-4, rtol=0)
    assert teacher.kept.keys() == {as_key(row) for row in rows[:4]}
    monkeypatch.setattr(distillation, "KEPT_LOGITS", 1000)
    bounded = Teacher(model, rows[:4])
    torch.testing.assert_close(bounded.logits(mixed), expected, atol=1e-4, rtol=0)
    assert not bounded.kept


def test_own_answers_are_the_sampled_ids_with_their_end_token():
    student, _ = student_and_teacher(0.1)
    batch = encode(ROWS[:8], student.format, 256)
    student.model.base_model.model.lm_head.weight.data[student.format.tokenizer.eos_token_id] *= 6
    first, again, next_step = (own_answers(student, batch, settings("opd-full"), 1, step) for step in (1, 1, 2))
    assert [prompt for prompt, _ in first] == [prompt for prompt, _ in batch]
    assert first == again != next_step
    ended = [answer[-1] == student.format.tokenizer.eos_token_id for _, answer in first]
    assert any(ended) and all(end or len(answer) == 8 for end, (_, answer) in zip(ended, first, strict=True))


def test_batches_go_through_all_prompts_before_one_comes_again():
    rollouts = [([index], [index]) for index in range(6)]
    batches = prompt_batches(rollouts, 4, seed=1)
    drawn = [prompt[0] for _ in range(3) for prompt, _ in next(batches)]
    assert sorted(drawn[:6]) == sorted(drawn[6:]) == list(range(6))


def test_off_policy_distillation_lowers_the_kl_to_a_perturbed_teacher_on_its_answers(tmp_path):
    student, teacher = student_and_teacher(0.1)
    log = distill(student, teacher, ROWS, settings("optd", updates=25, batch_size=16), 1, tmp_path)
    for measure in ("kl_to_teacher_nats", "reverse_kl_to_teacher_nats"):
        assert log[-1][measure] < 0.7 * log[0][measure]


def test_on_policy_distillation_lowers_the_kl_to_a_perturbed_teacher_on_the_students_answers(tmp_path):
    student, teacher = student_and_teacher(0.1)
    on_policy = settings("opd-full", updates=30, batch_size=16, max_new_tokens=16)
    prompts = encode(ROWS, student.format, 256)

    def reverse_kl():
        answers = own_answers(student, prompts, on_policy, seed=2, step=0)
        return kl_to_teacher(student.model, Teacher(teacher, []), answers, 16)["reverse_kl_to_teacher_nats"]

    before = reverse_kl()
    distill(student, teacher, ROWS, on_policy, 1, tmp_path)
    assert reverse_kl() < 0.7 * before


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_takes_the_same_number_of_updates_and_logs_them(channel, tmp_path):
    student, teacher = student_and_teacher(0.1)
    log = distill(student, teacher, ROWS, settings(channel, updates=3, kl_every=2), 1, tmp_path)
    assert [row["step"] for row in log] == [0, 1, 2, 3]
    assert ["kl_to_teacher_nats" in row for row in log] == [True, False, True, True]
    assert all("loss_per_token_nats" in row for row in log[1:])


def test_sft_and_optd_are_trained_on_the_same_answers(tmp_path):
    counts = []
    for channel in ("sft", "optd"):
        student, teacher = student_and_teacher(0.1)
        log = distill(student, teacher, ROWS, settings(channel), 1, tmp_path)
        counts.append([row["answer_tokens"] for row in log[1:]])
    assert counts[0] == counts[1]
    assert sum(counts[0]) == count_answer_tokens(encode(ROWS, student.format, 256))


def test_a_loss_that_is_not_finite_names_the_step(tmp_path):
    student, teacher = student_and_teacher(0.1)
    with pytest.raises(InputError, match="training: loss is (nan|inf) at step 2; expected a finite number"):
        distill(student, teacher, ROWS, settings("optd", updates=5, learning_rate=1e30, warmup_steps=0), 1, tmp_path)


@pytest.fixture
def distil_to(tmp_path):
    """A function that runs the script on a tiny teacher into a named folder, and that teacher's manifest."""
    base = write_tiny_base(tmp_path / "base")
    teacher = write_tiny_adapter(tmp_path / "teacher", base)
    rollouts = tmp_path / "kept.jsonl"
    write_records(rollouts, ROWS)
    lora = {"rank": 4, "alpha": 8, "dropout": 0.0, "rslora": True, "target_modules": ["q_proj", "v_proj"]}
    distillation = {"updates": 2, "batch_size": 4, "learning_rate": 1e-3, "warmup_steps": 1, "max_new_tokens": 6}

    def distil(name, channel, estimator="", start=None):
        given = {"channel": channel, "estimator": estimator, "lora": lora, "distillation": distillation}
        output = tmp_path / name / "manifest.json"
        files = {"base": base, "teacher": teacher, "start": start, "rollouts": rollouts, "output": output}
        distill_student(Namespace(**files, settings=given, seed=1, code="test"))
        return output

    return distil, teacher


def test_the_script_writes_the_same_bytes_twice_and_a_log(distil_to):
    distil, _ = distil_to
    manifests = [distil(name, "opd", "full") for name in ("first", "second")]
    assert manifests[0].read_bytes() == manifests[1].read_bytes()
    header = (manifests[0].parent / "training_log.csv").read_text().split("\n")[0]
    assert header == "step,kl_to_teacher_nats,reverse_kl_to_teacher_nats,loss_per_token_nats,answer_tokens"


def test_a_student_that_starts_from_its_teachers_adapter_is_at_its_teacher(distil_to):
    distil, teacher = distil_to
    distances = {}
    for name, start in (("fresh", None), ("from_teacher", teacher)):
        output = distil(name, "optd", start=start)
        distances[name] = pd.read_csv(output.parent / "training_log.csv").kl_to_teacher_nats.iloc[0]
        assert ("start" in json.loads(output.read_text())["inputs"]) == (start is not None)
    assert distances["from_teacher"] < 1e-5 < distances["fresh"]
