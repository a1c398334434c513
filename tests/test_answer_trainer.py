"""Fine-tuning of padded rows on a CPU: losses, gradients and weights of trl's own trainer, which scores prompts and padding too."""

import pytest
import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

from emtransfer.models.padding import IGNORED
from emtransfer.training.packing import answer_batch, on_answers
from helpers.tiny_models import tiny_chat

# lengths of prompt and answer: ragged, an answer of one token, a row that is all answer, one of a single prompt token
RAGGED = [(5, 9), (12, 1), (1, 30), (0, 7), (40, 2), (3, 3), (7, 11), (2, 2)]


def examples():
    generator = torch.Generator().manual_seed(3)
    rows = []
    for prompt, answer in RAGGED:
        ids = torch.randint(5, 300, (prompt + answer,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [IGNORED] * prompt + ids[prompt:]})
    return rows


@pytest.mark.parametrize("micro_batch_size", [1, 4])
def test_losses_and_weights_are_those_of_trl(tmp_path, micro_batch_size):
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    torch.manual_seed(2)
    weights = LlamaForCausalLM(config).state_dict()
    found = {}
    for name, trainer_class, collator in (("trl", SFTTrainer, None), ("ours", on_answers(SFTTrainer), answer_batch)):
        model = LlamaForCausalLM(config)
        model.load_state_dict(weights)
        arguments = SFTConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=micro_batch_size,
            gradient_accumulation_steps=4 // micro_batch_size,
            train_sampling_strategy="sequential",
            num_train_epochs=3,
            learning_rate=0.5,
            # without the quotients of Adam, which turn rounding of small gradients into steps
            optim="sgd",
            bf16=False,
            max_length=64,
            dataset_kwargs={"skip_prepare_dataset": True},
            save_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=1,
        )
        trainer = trainer_class(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(examples()),
            data_collator=collator,
            processing_class=tiny_chat().format.tokenizer,
        )
        trainer.train()
        found[name] = [row["loss"] for row in trainer.state.log_history if "loss" in row], model.state_dict()
    assert len(found["ours"][0]) == 6
    assert found["ours"][0] == pytest.approx(found["trl"][0], rel=1e-5)
    for name, weight in found["trl"][1].items():
        assert torch.allclose(found["ours"][1][name], weight, atol=1e-5), name


def test_rows_end_in_the_last_column_with_labels_on_their_answers():
    batch = answer_batch([{"input_ids": [7, 8, 9], "labels": [IGNORED, 8, 9]}, {"input_ids": [5], "labels": [5]}])
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[7, 8, 9], [0, 0, 5]],
        "labels": [[IGNORED, 8, 9], [IGNORED, IGNORED, IGNORED]],
        "attention_mask": [[1, 1, 1], [0, 0, 1]],
        "position_ids": [[0, 1, 2], [0, 0, 0]],
    }
