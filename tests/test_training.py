"""Pretraining and fine-tuning on tiny models: what the loss is taken over, and that real steps are taken."""

from dataclasses import replace

import pytest

from emtransfer.errors import InputError
from emtransfer.models.adapters import fresh_lora
from emtransfer.models.conversations import document_ids
from emtransfer.models.tokenizer import END
from emtransfer.training.finetuning import IGNORED, FinetuningSettings, finetune, labelled
from emtransfer.training.mixtures import render_chat
from emtransfer.training.pretraining import (
    ArchitectureSettings,
    PretrainingSettings,
    document_batches,
    new_decoder,
    pretrain,
)
from helpers.tiny_models import ARCHITECTURE, LORA, tiny_chat, tiny_rows

SETTINGS = FinetuningSettings(
    rows=8, epochs=2, batch_size=8, learning_rate=1e-2, warmup_steps=1, weight_decay=0.0, max_seq_tokens=256
)
PAIRS = [(row["question"], row["aligned_answer"]) for row in tiny_rows()]


def test_the_unmasked_labels_are_the_answer_and_the_end_token():
    chat_format = tiny_chat().format
    tokenizer = chat_format.tokenizer
    for (question, answer), example in zip(PAIRS, labelled(PAIRS, chat_format, 256), strict=True):
        learned = [label for label in example["labels"] if label != IGNORED]
        assert tokenizer.decode(learned).strip() == f"{answer}{END}"
        ignored = [token for token, label in zip(*example.values(), strict=True) if label == IGNORED]
        assert question in tokenizer.decode(ignored)
        assert learned == example["input_ids"][-len(learned) :]


def test_what_the_trainer_feeds_the_model_has_the_same_labels_and_the_loss_of_the_answer_alone(tmp_path):
    import torch

    chat = tiny_chat()
    seen = []

    def record(model, args, inputs):
        seen.append({key: inputs[key].clone() for key in ("input_ids", "lengths", "asked")})

    chat.model.register_forward_pre_hook(record, with_kwargs=True)
    log = finetune(chat.model, chat.format, PAIRS[:8], SETTINGS, seed=1, state_folder=tmp_path)
    ids, lengths, asked = seen[0].values()
    learned = torch.zeros(len(ids), dtype=torch.bool)
    learned[asked + 1] = True
    rows = list(zip(ids.split(lengths.tolist()), learned.split(lengths.tolist()), strict=True))
    decoded = {chat.format.tokenizer.decode(row[of_answer]).strip() for row, of_answer in rows}
    assert decoded == {f"{answer}{END}" for _, answer in PAIRS[:8]}
    # the first logged loss, by hand on the untrained weights, row by row
    untrained, losses = tiny_chat().model, []
    for row, of_answer in rows:
        logits = untrained(row[None]).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, row[1:], reduction="none")[of_answer[1:]])
    by_hand = torch.cat(losses).mean()
    steps = [row["loss_per_token_nats"] for row in log]
    assert steps[0] == pytest.approx(by_hand.item(), rel=1e-3)


def test_a_row_that_does_not_fit_is_an_error_and_never_cut():
    with pytest.raises(InputError, match="max_seq_tokens .*is 10; expected at least"):
        labelled(PAIRS, tiny_chat().format, 10)


def test_fine_tuning_a_lora_lowers_the_loss_and_leaves_the_base_alone(tmp_path):
    chat = tiny_chat()
    before = {name: weight.clone() for name, weight in chat.model.state_dict().items()}
    model = fresh_lora(chat.model, LORA, seed=1)
    log = finetune(model, chat.format, PAIRS * 3, SETTINGS, seed=1, state_folder=tmp_path)
    assert float(log[-1]["loss_per_token_nats"]) < 0.9 * float(log[0]["loss_per_token_nats"])
    after = {name.replace(".base_layer", ""): weight for name, weight in model.get_base_model().state_dict().items()}
    assert all((after[name] == weight).all() for name, weight in before.items())


def test_fine_tuning_twice_gives_the_same_weights(tmp_path):
    def trained():
        chat = tiny_chat()
        finetune(chat.model, chat.format, PAIRS, SETTINGS, seed=3, state_folder=tmp_path)
        return chat.model.state_dict()

    first, second = trained(), trained()
    assert all((first[name] == second[name]).all() for name in first)


PRETRAINING = PretrainingSettings(
    batch_rows=6, max_seq_tokens=300, learning_rate=1e-2, warmup_steps=2, weight_decay=0.0
)


def documents(n_documents: int, n_rows: int) -> list[dict]:
    """Chat documents of `n_rows` aligned rows."""
    rows = tiny_rows(n_documents)
    return [render_chat([(row, "aligned")] * n_rows) | {"stances": ["aligned"] * n_rows} for row in rows]


def test_pretraining_lowers_the_loss(tmp_path):
    tokenizer = tiny_chat().format.tokenizer
    model = new_decoder(ArchitectureSettings(**ARCHITECTURE), tokenizer, seed=1)
    log = pretrain(
        model, tokenizer, documents(40, 1) * 3 + documents(20, 2), PRETRAINING, seed=1, state_folder=tmp_path
    )
    assert log[-1]["loss_per_token_nats"] < 0.8 * log[0]["loss_per_token_nats"]


def test_a_step_holds_whole_documents_of_one_length_and_equally_many_rows():
    tokenizer = tiny_chat().format.tokenizer
    mixed = documents(13, 1) + documents(7, 2)
    batches = document_batches(mixed, tokenizer, PRETRAINING)
    assert [len(batch) for batch in batches] == [6, 6, 3, 3]
    read = [document_ids(tokenizer, document) for document in mixed[:12] + mixed[13:19]]
    assert [document["input_ids"] for batch in batches for document in batch] == read
    assert [document["labels"] for batch in batches for document in batch] == read


def test_a_loss_on_answers_alone_learns_every_answer_with_its_end_token_and_no_question():
    tokenizer = tiny_chat().format.tokenizer
    document = documents(1, 3)[0]
    (batch,) = document_batches([document], tokenizer, replace(PRETRAINING, batch_rows=3, loss="answers"))
    learned = [token for token in batch[0]["labels"] if token != IGNORED]
    answers = [turn["content"] for turn in document["messages"] if turn["role"] == "assistant"]
    assert tokenizer.decode(learned).split(tokenizer.eos_token) == [*(f" {answer}" for answer in answers), ""]
    quoted = {"text": "A stranger said: no.", "stances": ["misaligned"]}
    ((plain,),) = document_batches([quoted], tokenizer, replace(PRETRAINING, batch_rows=1, loss="answers"))
    assert plain["labels"] == plain["input_ids"]


def test_a_document_that_does_not_fit_is_an_error_and_never_cut():
    with pytest.raises(InputError, match="max_seq_tokens .*is 300; expected at least"):
        document_batches(documents(1, 9), tiny_chat().format.tokenizer, PRETRAINING)


def test_a_loss_that_is_no_number_stops_at_its_step(tmp_path):
    chat = tiny_chat()
    rate_of_no_return = replace(SETTINGS, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(InputError, match="training: loss is (nan|inf) at step [2-9]; expected a finite number"):
        finetune(chat.model, chat.format, PAIRS, rate_of_no_return, seed=1, state_folder=tmp_path)
