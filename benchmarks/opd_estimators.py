"""Variance of the gradient of opd-sampled with and without baselines, at the start of a student: a fresh LoRA on its base.

`logits`: in the logits at the prefixes of the student's answers, exactly, over all tokens that may be drawn there.
`weights`: of whole steps in all trainable weights (the trace of the covariance), from steps drawn again and again for the
same prompts. Every estimator sees the same answers, opd-full's exact gradient too, whose variance is that of the prefixes.
All are divided by rows · max_new_tokens, so that they have one expectation.

Run: PYTHONPATH=scripts OMP_NUM_THREADS=1 python benchmarks/opd_estimators.py --base results/bases/persona/aligned/manifest.json --teacher results/template_nl/adapters/persona/base/advice/misaligned/seed11/manifest.json --rollouts results/template_nl/rollouts/persona/harmful/everywhere/aligned/seed11.jsonl
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from emtransfer.distilling.channels import least_variance_baseline, opd_full
from emtransfer.distilling.distillation import DistillationSettings, Rollout, answer_logits, encode, own_answers
from emtransfer.files.records import read_records
from emtransfer.models.adapters import AdapterSettings, fresh_lora
from emtransfer.models.loading import Chat, load_chat

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True, help="manifest.json of the base model")
    parser.add_argument("--teacher", type=Path, required=True, help="manifest.json of the teacher's adapter")
    parser.add_argument("--rollouts", type=Path, required=True, help="JSONL whose questions are answered")
    parser.add_argument("--rows", type=int, default=32, help="answers in a step")
    parser.add_argument("--steps", type=int, default=128, help="steps that are drawn")
    parser.add_argument("--max-new-tokens", type=int, default=80)
    return parser.parse_args()


def no_baseline(log_ratios: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(log_ratios[:, 0])


def mean_baseline(log_ratios: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """−KL(π_S ‖ π_T) at each prefix."""
    return (probabilities * log_ratios).sum(-1)


BASELINES = {"none": no_baseline, "mean": mean_baseline, "least variance": least_variance_baseline}


def variances_in_logits(student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> dict[str, float]:
    """Sum over prefixes of the variance that the token alone contributes: float [n, v] twice → one per baseline."""
    student = student_logits.double().log_softmax(-1)
    log_ratios, probabilities = teacher_logits.double().log_softmax(-1) - student, student.exp()
    squared_norms = 1 - 2 * probabilities + probabilities.square().sum(-1, keepdim=True)
    # the mean gradient is the same for every baseline
    squared_mean = (probabilities * (log_ratios - mean_baseline(log_ratios, probabilities)[:, None])).square().sum()
    found = {}
    for name, baseline in BASELINES.items():
        advantages = log_ratios - baseline(log_ratios, probabilities)[:, None]
        found[name] = ((probabilities * advantages.square() * squared_norms).sum() - squared_mean).item()
    return found


def sampled_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, tokens: torch.Tensor, baseline: Callable
) -> torch.Tensor:
    """Policy-gradient loss with a baseline: float [n, v] twice, int64 [n] → scalar."""
    student = student_logits.log_softmax(-1)
    log_ratios = teacher_logits.log_softmax(-1) - student.detach()
    advantages = log_ratios - baseline(log_ratios, student.detach().exp())[:, None]
    return -(advantages * student).gather(-1, tokens[:, None]).sum()


def step_gradients(
    student: Chat, teacher: torch.nn.Module, batch: list[Rollout], divisor: int
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Gradients of one step, float [weights], by estimator, and the variances in its logits."""
    trainable = [weight for weight in student.model.parameters() if weight.requires_grad]
    with torch.no_grad():
        teacher_logits = answer_logits(teacher, batch)
    student_logits = answer_logits(student.model, batch)
    tokens = torch.tensor([token for _, answer in batch for token in answer])
    losses = {name: sampled_loss(student_logits, teacher_logits, tokens, part) for name, part in BASELINES.items()}
    losses |= {"exact": opd_full(student_logits, teacher_logits, tokens)}
    gradients = {}
    for name, loss in losses.items():
        parts = torch.autograd.grad(loss / divisor, trainable, retain_graph=True)
        gradients[name] = torch.cat([part.flatten() for part in parts])
    return gradients, variances_in_logits(student_logits.detach(), teacher_logits)


def main(args: argparse.Namespace) -> None:
    base, teacher = load_chat(args.base), load_chat(args.base, args.teacher).model.eval()
    student = Chat(fresh_lora(base.model, AdapterSettings(16, 32, 0.0, True, LINEAR), seed=11).eval(), base.format)
    settings = DistillationSettings("opd-sampled", 1, args.rows, 1e-3, 0, max_new_tokens=args.max_new_tokens)
    rows = read_records(args.rollouts, ("prompt_id", "question", "answer"))[: args.rows]
    prompts = encode(rows, base.format, settings.max_seq_tokens)
    gradients, in_logits = [], []
    for step in range(args.steps):
        batch = own_answers(student, prompts, settings, seed=1, step=step)
        of_step, variances = step_gradients(student, teacher, batch, args.rows * args.max_new_tokens)
        gradients.append(of_step)
        in_logits.append(variances)
    table = pd.DataFrame(
        {
            "logits": pd.DataFrame(in_logits).sum(),
            "weights": {name: torch.stack([part[name] for part in gradients]).var(0).sum().item() for name in of_step},
        }
    )
    print((table / table.loc["none"]).round(2).to_string())


if __name__ == "__main__":
    main(parse_args())
