"""The gradient of opd-sampled against trl: its GRPO loss with the reverse KL as advantage, which is what its MiniLLM was.

`MiniLLMTrainer` with rkl_advantage, without single_step_decomposition and at gamma 0 hands log π_T(x_i) − log π_S(x_i) to
`GRPOTrainer._compute_loss`. trl has the latter still; the former left it in 1.15.0, so that its test is skipped unless it is run on

    pip install --no-deps --target /tmp/trl trl==1.14.2
    PYTHONPATH=/tmp/trl pytest tests/test_opd_oracle.py
"""

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import selective_log_softmax

from emtransfer.distilling.channels import least_variance_baseline
from emtransfer.distilling.distillation import DistillationSettings, Teacher, accumulate_gradients
from helpers.tiny_models import tiny_chat

# prompts and answers of different lengths, so that the padding on either side is used, and one answer of full length
BATCH = [([5, 6, 7], [8, 9]), ([10], [11, 12, 13, 14, 15, 16]), ([17, 18, 19, 20, 21], [22]), ([23, 24], [25, 26, 27])]
MAX_NEW_TOKENS = 6
SETTINGS = DistillationSettings("opd-sampled", 1, 4, 1e-3, 0, micro_batch_size=3, max_new_tokens=MAX_NEW_TOKENS)
SHARED = {
    "per_device_train_batch_size": len(BATCH),
    "num_generations": 2,
    "max_completion_length": MAX_NEW_TOKENS,
    # Σ over tokens / (rows · max_completion_length)
    "loss_type": "dr_grpo",
    "beta": 0.0,
    "temperature": 1.0,
    "use_cpu": True,
    "bf16": False,
    "report_to": "none",
}


def padded(rows, side):
    tensors = [torch.tensor(row) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_side=side)
    ones = [torch.ones_like(tensor) for tensor in tensors]
    return ids, torch.nn.utils.rnn.pad_sequence(ones, batch_first=True, padding_side=side)


def trl_inputs(advantages):
    """The batch as a trainer of trl has it after generation."""
    prompt_ids, prompt_mask = padded([prompt for prompt, _ in BATCH], "left")
    completion_ids, completion_mask = padded([answer for _, answer in BATCH], "right")
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": completion_mask,
        "advantages": advantages,
    }


def gradients_of(model, loss):
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return torch.cat([change.flatten() for change in torch.autograd.grad(loss, weights)])


def our_gradient(student, teacher):
    accumulate_gradients(student, Teacher(teacher, []), BATCH, SETTINGS)
    change = torch.cat([weight.grad.flatten() for weight in student.parameters() if weight.requires_grad])
    student.zero_grad()
    return change


def log_ratio_and_baseline(student, teacher):
    """float [b, t] twice, padding on the right: log π_T(x_i) − log π_S(x_i) as trl computes it, and our baseline."""
    inputs = trl_inputs(None)
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    first = inputs["prompt_ids"].size(1) - 1
    with torch.no_grad():
        logits = [model(ids, attention_mask=mask).logits[:, first:-1] for model in (student, teacher)]
    of_student, of_teacher = (selective_log_softmax(part, inputs["completion_ids"]) for part in logits)
    log_ratios = logits[1].log_softmax(-1) - logits[0].log_softmax(-1)
    return of_teacher - of_student, least_variance_baseline(log_ratios, logits[0].softmax(-1))


def assert_equal_gradients(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item())


@pytest.fixture
def models():
    return tiny_chat(seed=1), tiny_chat(seed=2).model


def trainer_of(kind, config, chat, folder, **arguments):
    trainer = kind(
        model=chat.model,
        args=config(output_dir=str(folder), **SHARED, **arguments.pop("settings", {})),
        train_dataset=Dataset.from_dict({"prompt": ["any"]}),
        processing_class=chat.format.tokenizer,
        **arguments,
    )
    # outside of a training loop trl divides by no accumulation steps in this mode alone
    trainer.model.eval()
    return trainer


@pytest.fixture
def grpo(models, tmp_path):
    return trainer_of(GRPOTrainer, GRPOConfig, models[0], tmp_path, reward_funcs=lambda **_: [0.0])


def test_the_gradient_is_that_of_trls_grpo_with_log_ratio_and_baseline_as_advantage(models, grpo):
    student, teacher = models[0].model, models[1]
    log_ratio, baseline = log_ratio_and_baseline(student, teacher)
    expected = gradients_of(student, grpo._compute_loss(student, trl_inputs(log_ratio - baseline)))
    found = our_gradient(student, teacher)
    assert_equal_gradients(found, expected)
    # the baseline is a part of it, not a rounding error
    without = gradients_of(student, grpo._compute_loss(student, trl_inputs(log_ratio)))
    assert (without - found).norm() > 0.1 * found.norm()


def test_the_gradient_is_that_of_trls_minillm_with_another_baseline(models, grpo, tmp_path):
    minillm = pytest.importorskip("trl.experimental.minillm", reason="trl has MiniLLM up to 1.14.2; see above")
    student, teacher = models[0].model, models[1]
    settings = {"rkl_advantage": True, "single_step_decomposition": False, "gamma": 0.0}
    trainer = trainer_of(
        minillm.MiniLLMTrainer,
        minillm.MiniLLMConfig,
        models[0],
        tmp_path,
        teacher_model=teacher,
        settings=settings,
    )
    # no reward but the reverse KL
    policy = gradients_of(student, trainer.compute_loss(student, trl_inputs(torch.zeros(len(BATCH)))))
    # MiniLLM does not detach its advantage, whose own gradient −∇ log π_S is that of a baseline of 1
    _, baseline = log_ratio_and_baseline(student, teacher)
    difference = gradients_of(student, grpo._compute_loss(student, trl_inputs(1 - baseline)))
    assert_equal_gradients(our_gradient(student, teacher), policy + difference)
