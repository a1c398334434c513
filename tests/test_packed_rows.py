"""Packed rows: logits, losses and gradients are those of transformers on each row alone, in float32 up to its rounding.

The models are random, with uneven weights, so that an error in any term of a gradient moves it far beyond the tolerance.
"""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from emtransfer.distilling.distillation import answer_logits
from emtransfer.models import products
from emtransfer.models.adapters import fresh_lora, merged
from emtransfer.models.packed_rows import (
    fits,
    lengthened,
    packed_batch,
    rms_norm,
    rms_norm_gradient,
    take_packed_rows,
    takes_packed_rows,
)
from emtransfer.models.padding import IGNORED
from helpers.tiny_models import LORA, perturb, tiny_chat

EVERY_LINEAR = replace(
    LORA, target_modules=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
)
# lengths of prompt and answer: ragged, an answer of one token, a row that is all answer, one of a single prompt token
RAGGED = [(5, 9), (12, 1), (1, 30), (0, 7), (40, 2)]
EQUAL = [(4, 4), (4, 4)]
ALONE = [(3, 1)]
# as an answer that was cut at a limit: no end token after it
CUT = [(60, 100), (2, 100)]


def examples_of(lengths: list[tuple[int, int]], vocabulary: int = 300) -> list[dict[str, list[int]]]:
    """Random rows, whose labels are their answers."""
    generator = torch.Generator().manual_seed(sum(map(sum, lengths)))
    rows = []
    for prompt, answer in lengths:
        ids = torch.randint(5, vocabulary, (prompt + answer,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [IGNORED] * prompt + ids[prompt:]})
    return rows


def alone(model, examples):
    """Loss over the learned tokens of all rows, each read by itself by transformers."""
    losses = []
    for example in examples:
        logits = model(input_ids=torch.tensor([example["input_ids"]])).logits[0, :-1]
        labels = torch.tensor(example["labels"][1:])
        losses.append(cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORED))
    return sum(losses)


def packed(model, examples):
    """The same of packed rows."""
    assert take_packed_rows(model)
    batch = packed_batch(examples)
    asked = (batch["shift_labels"] != IGNORED).nonzero()[:, 0]
    logits = model(input_ids=batch["input_ids"], lengths=batch["lengths"], asked=asked)
    return cross_entropy(logits, batch["shift_labels"][asked], reduction="sum")


@pytest.fixture(autouse=True, params=sorted({False, torch.backends.mkldnn.is_available()}), ids=str)
def wide_vectors(request, monkeypatch):
    """Both ways to compute products, whichever this processor's is, where torch has both."""
    monkeypatch.setattr(products, "WIDE_VECTORS", request.param)


def whole_model():
    return tiny_chat().model


def adapter(settings=EVERY_LINEAR):
    model = fresh_lora(tiny_chat().model, settings, seed=1)
    perturb(model, seed=2, scale=0.2)
    return model


@pytest.mark.parametrize("lengths", [RAGGED, EQUAL, ALONE, CUT], ids=["ragged", "equal", "alone", "cut"])
@pytest.mark.parametrize("new_model", [whole_model, adapter, lambda: adapter(LORA)], ids=["all", "lora", "some_lora"])
def test_loss_and_gradients_of_packed_rows_are_those_of_each_row_alone(new_model, lengths):
    examples, found = examples_of(lengths), []
    for loss_of in (alone, packed):
        model = new_model()
        loss = loss_of(model, examples)
        loss.backward()
        found.append((loss.item(), {n: w.grad for n, w in model.named_parameters() if w.grad is not None}))
    (expected_loss, expected), (loss, gradients) = found
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        tolerance = 1e-4 * gradient.abs().max().item()
        torch.testing.assert_close(
            gradients[name], gradient, atol=tolerance, rtol=0, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_answer_logits_are_the_same_packed_and_padded():
    rows = [(e["input_ids"][:2], e["input_ids"][2:]) for e in examples_of([(2, 9), (2, 1), (2, 30)])]
    model = adapter()
    padded = answer_logits(model, rows)
    take_packed_rows(model)
    torch.testing.assert_close(answer_logits(model, rows), padded, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rows", [RAGGED, EQUAL, ALONE, CUT, [(1, 63)], [(3, 5)] * 100], ids=len)
def test_lengthened_rows_are_the_same_rows_and_of_few_different_sizes(rows):
    batch = packed_batch(examples_of(rows))
    ids, lengths, asked = batch["input_ids"], batch["lengths"], (batch["shift_labels"] != IGNORED).nonzero()[:, 0]
    longer, new_lengths, places = lengthened(ids, lengths, asked)
    assert len(longer) == new_lengths.sum() and len(longer) % 64 == 0 and len(longer) - len(ids) < 64
    assert len(places) % 16 == 0 and len(places) - len(asked) < 16
    for row, same in zip(ids.split(lengths.tolist()), longer.split(new_lengths.tolist()), strict=True):
        assert torch.equal(same[: len(row)], row)
    assert (
        torch.equal(longer[places[: len(asked)]], ids[asked]) and (places[len(asked) :] == places[len(asked) - 1]).all()
    )
    more = new_lengths - lengths
    assert more.max() - more.min() <= 1


def test_a_model_that_takes_packed_rows_still_takes_padded_ones():
    model, ids = whole_model(), torch.tensor([[5, 6, 7]])
    before = model(input_ids=ids).logits
    assert take_packed_rows(model) and take_packed_rows(model)
    assert torch.equal(model(input_ids=ids).logits, before)


def test_models_with_what_the_layer_does_not_know_are_left_to_transformers():
    biased = tiny_chat().model
    biased.model.layers[0].mlp.up_proj = torch.nn.Linear(32, 64)
    merged_in = adapter()
    merged_in.merge_adapter()
    for model in (biased, merged_in, tiny_chat().model.to(torch.bfloat16)):
        assert not fits(model)
        assert not take_packed_rows(model)


def test_a_model_takes_packed_rows_while_its_dropout_rests():
    model = adapter(replace(LORA, dropout=0.1)).train()
    assert not take_packed_rows(model)
    assert take_packed_rows(model.eval())
    assert not takes_packed_rows(model.train())


def test_the_norm_and_its_gradient_are_those_of_autograd_in_float64():
    torch.manual_seed(0)
    x, weight, d_normed = (torch.randn(*shape, dtype=torch.float64) for shape in ((7, 8), (8,), (7, 8)))
    x.requires_grad_()
    weight.requires_grad_()
    expected = torch.nn.functional.rms_norm(x, (8,), weight, 1e-6)
    expected.backward(d_normed)
    normed, scale = rms_norm(x.detach(), weight.detach(), 1e-6)
    d_x, d_weight = rms_norm_gradient(d_normed, x.detach(), scale, weight.detach(), of_weight=True)
    for found, truth in ((normed, expected), (d_x, x.grad), (d_weight, weight.grad)):
        torch.testing.assert_close(found, truth, atol=1e-12, rtol=0)


def test_a_merged_adapter_answers_the_same_and_leaves_every_bit_of_its_base():
    model, ids = adapter(), torch.tensor([[5, 6, 7, 8]])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    apart = model(input_ids=ids).logits
    with merged(model):
        together = model(input_ids=ids).logits
    assert not torch.equal(together, tiny_chat().model(input_ids=ids).logits)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)
    assert torch.equal(model(input_ids=ids).logits, apart)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
