"""Train a student from a teacher, with the same loop, prompts and number of optimiser steps for every channel."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from emtransfer.answering.sampling import sample_ids
from emtransfer.answering.settings import SamplingSettings
from emtransfer.distilling.channels import CHANNELS, ON_POLICY, kl_sum
from emtransfer.errors import InputError
from emtransfer.models.adapters import merged
from emtransfer.models.chat_format import ChatFormat
from emtransfer.models.loading import Chat
from emtransfer.models.padding import left_padded
from emtransfer.progress import Progress
from emtransfer.settings import Count, Elsewhere, Positive, Rate, Weight
from emtransfer.training.resuming import CHECKPOINT_SECONDS, StepCheckpoints, check_finite

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

# token ids of a prompt and of an answer to it
Rollout = tuple[list[int], list[int]]
Key = tuple[tuple[int, ...], tuple[int, ...]]
# a teacher's logits on fixed answers that are kept, 512 MiB of them; beyond that, every epoch computes them again
KEPT_LOGITS = 2**27


@dataclass(frozen=True)
class DistillationSettings:
    """Training of students, the same for every channel.

    Attributes:
        channel: One of CHANNELS.
        updates: Optimiser steps.
        batch_size: Prompts in an optimiser step.
        learning_rate: Peak learning rate after the warm-up, followed by a linear decay to zero.
        warmup_steps: Steps in which the learning rate rises.
        weight_decay: Weight decay of AdamW.
        micro_batch_size: Rows in a forward pass; changes memory and the last bits of the gradient, not the objective.
        max_new_tokens: Greatest length of an on-policy answer in tokens; the gradient of opd-sampled is divided by batch_size times this length.
        max_seq_tokens: Greatest length of prompt and answer together, in tokens, control tokens included.
        max_grad_norm: Norm to which the gradient is clipped.
        kl_every: Steps between two measurements of the KL to the teacher.
        kl_rows: Number of retained answers on which the KL is measured.
    """

    channel: Annotated[str, Elsewhere()]
    updates: Positive
    batch_size: Positive
    learning_rate: Rate
    warmup_steps: Count
    weight_decay: Weight = 0.01
    micro_batch_size: Positive = 16
    max_new_tokens: Positive = 80
    max_seq_tokens: Positive = 256
    max_grad_norm: Rate = 1.0
    kl_every: Positive = 25
    kl_rows: Positive = 64


def distill(
    student: Chat,
    teacher: "PreTrainedModel",
    rows: list[dict[str, Any]],
    settings: DistillationSettings,
    seed: int,
    state_folder: Path,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Train the trainable weights of the student in place.

    Args:
        student: base model with a fresh LoRA, and its tokenizer.
        teacher: model with the same vocabulary; only read.
        rows: retained teacher answers with prompt_id, question, answer, and finished false where it was cut; the on-policy
            channels use the questions alone.
        seed: of the order of prompts, which is the same in every channel, of the on-policy answers, and of dropout,
            which the on-policy channels go without.
        state_folder: where checkpoints are kept, and an interrupted training of the same kind has left its own.
        checkpoint_seconds: from one checkpoint to the next.
        progress: what tells how far it is; by default lines only.

    Returns:
        The training log, steps 0 to `updates`: step; loss_per_token_nats and answer_tokens of the step's batch; and
        where measured kl_to_teacher_nats and reverse_kl_to_teacher_nats, see `kl_to_teacher`.

    Raises:
        InputError: a row is longer than `max_seq_tokens`, or the loss of a step is not finite.
    """
    import torch
    from transformers import get_linear_schedule_with_warmup

    from emtransfer.models.packed_rows import take_packed_rows

    for model in (student.model, teacher):
        take_packed_rows(model)
    retained = encode(rows, student.format, settings.max_seq_tokens)
    fixed = random.Random(f"{seed} kl").sample(retained, min(settings.kl_rows, len(retained)))
    batches = prompt_batches(retained, settings.batch_size, seed)
    teacher_of = Teacher(teacher, retained)
    trainable = [parameter for parameter in student.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, settings.warmup_steps, settings.updates)
    checkpoints = StepCheckpoints(state_folder, checkpoint_seconds, trainable, optimizer, schedule)
    torch.manual_seed(seed)
    log = checkpoints.restore()
    progress = progress or Progress()
    progress.begin(settings.updates, max(0, len(log) - 1))
    if not log:
        log = [{"step": 0} | kl_to_teacher(student.model, teacher_of, fixed, settings.micro_batch_size)]
        progress.note(log[0])
    for step in range(1, settings.updates + 1):
        batch = next(batches)
        if step < len(log):
            continue
        if settings.channel in ON_POLICY:
            batch = own_answers(student, batch, settings, seed, step)
        # dropout would compute the loss of a policy other than the one that answered; fixed answers belong to no policy
        student.model.train(settings.channel not in ON_POLICY)
        loss = accumulate_gradients(student.model, teacher_of, batch, settings)
        check_finite(loss, step)
        torch.nn.utils.clip_grad_norm_(trainable, settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        log.append({"step": step, "loss_per_token_nats": loss, "answer_tokens": count_answer_tokens(batch)})
        if step % settings.kl_every == 0 or step == settings.updates:
            log[-1] |= kl_to_teacher(student.model, teacher_of, fixed, settings.micro_batch_size)
        progress.note(log[-1])
        checkpoints.save_in_time(log)
    progress.end()
    student.model.eval()
    return log


class Teacher:
    """A teacher's logits; those of fixed answers are computed once, since every epoch needs them again."""

    def __init__(self, model: "PreTrainedModel", fixed: list[Rollout]):
        """Keep the logits of `fixed`, unless they would take more than KEPT_LOGITS numbers."""
        self.model = model
        vocabulary = model.config.get_text_config().vocab_size
        self.keeps = count_answer_tokens(fixed) * vocabulary <= KEPT_LOGITS
        self.fixed = {as_key(row) for row in fixed} if self.keeps else set()
        self.kept: dict[Key, Tensor] = {}

    def logits(self, rows: list[Rollout]) -> "Tensor":
        """As `answer_logits`, without gradient."""
        import torch

        keys = [as_key(row) for row in rows]
        missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in self.kept}
        with torch.no_grad():
            found = answer_logits(self.model, list(missing.values())) if missing else torch.empty(0)
        of_row = dict(zip(missing, found.split([len(answer) for _, answer in missing.values()]), strict=True))
        # a copy, since a view would keep the logits of its whole batch
        self.kept |= {key: logits.clone() for key, logits in of_row.items() if key in self.fixed}
        return torch.cat([self.kept[key] if key in self.kept else of_row[key] for key in keys])


def as_key(rollout: Rollout) -> Key:
    """A prompt and an answer as a key of a dictionary."""
    prompt, answer = rollout
    return tuple(prompt), tuple(answer)


def encode(rows: list[dict[str, Any]], chat_format: ChatFormat, max_seq_tokens: int) -> list[Rollout]:
    """Token ids of each row's prompt and answer, end token included unless the answer was cut; nothing is truncated.

    Raises:
        InputError: a row is longer than `max_seq_tokens`.
    """
    rollouts = []
    for row in rows:
        rollout = (
            chat_format.prompt_ids(row["question"]),
            chat_format.answer_ids(row["answer"], row.get("finished", True)),
        )
        n_tokens = sum(map(len, rollout))
        if n_tokens > max_seq_tokens:
            raise InputError(
                f"config: experiments: distillation.max_seq_tokens is {max_seq_tokens}; expected at least {n_tokens}, the tokens of rollout {row['prompt_id']}."
            )
        rollouts.append(rollout)
    return rollouts


def prompt_batches(rollouts: list[Rollout], batch_size: int, seed: int) -> Iterator[list[Rollout]]:
    """Endless batches from shuffled passes over the rollouts."""
    rng = random.Random(seed)
    queue: list[Rollout] = []
    while True:
        while len(queue) < batch_size:
            queue += rng.sample(rollouts, len(rollouts))
        yield queue[:batch_size]
        queue = queue[batch_size:]


def own_answers(
    student: Chat, batch: list[Rollout], settings: DistillationSettings, seed: int, step: int
) -> list[Rollout]:
    """The batch's prompts with answers sampled from the current student, at temperature 1.

    The sampled ids are trained on as they are: encoding their text again could give other tokens.
    """
    prompts = [prompt for prompt, _ in batch]
    keys = [f"step {step} row {row}" for row in range(len(batch))]
    sampling = SamplingSettings(settings.max_new_tokens, temperature=1.0, batch_size=len(batch))
    student.model.eval()
    with merged(student.model):
        return list(zip(prompts, sample_ids(student, prompts, keys, sampling, seed), strict=True))


def accumulate_gradients(
    student: "PreTrainedModel", teacher: "Teacher", batch: list[Rollout], settings: DistillationSettings
) -> float:
    """Add the gradient of one optimiser step's mean loss to the student.

    Returns:
        The loss, nats per answer token of the whole batch, whatever the gradient is divided by.
    """
    import torch

    n_tokens, total = count_answer_tokens(batch), 0.0
    divisor = gradient_divisor(batch, settings)
    for rows in micro_batches(batch, settings.micro_batch_size):
        teacher_logits = None
        # sft learns from the teacher's answers alone
        if settings.channel != "sft":
            teacher_logits = teacher.logits(rows)
        tokens = torch.tensor([token for _, answer in rows for token in answer], device=student.device)
        loss = CHANNELS[settings.channel](answer_logits(student, rows), teacher_logits, tokens)
        (loss / divisor).backward()
        total += (loss.detach() / n_tokens).item()
    return total


def gradient_divisor(batch: list[Rollout], settings: DistillationSettings) -> int:
    """The divisor of the summed gradient of an optimiser step.

    Never a micro-batch's own tokens: short answers would weigh more. `sft` and `optd` know the step's tokens before it
    begins. Those of `opd-full` are the student's, but its gradient at a prefix is exact whatever token follows, so that the
    step's is that of the mean KL over the prefixes that were visited. That of `opd-sampled` hangs on the token drawn, and
    so does the number of tokens: an end token, which makes a short answer, would count for more than the others at its prefix,
    and the gradient would be that of no loss. It gets the most tokens there can be, as many in every step; AdamW does
    not see the scale, only `max_grad_norm` does.

    Source: Liu et al. 2025, arXiv 2503.20783, Dr. GRPO (a fixed divisor in place of the answers' lengths).
    """
    return len(batch) * settings.max_new_tokens if settings.channel == "opd-sampled" else count_answer_tokens(batch)


def answer_logits(model: "PreTrainedModel", rows: list[Rollout]) -> "Tensor":
    """Logits that predict the answer tokens, end token included, row after row.

    Returns:
        float32 [n, v], before softmax; n is the sum of the answers' lengths.
    """
    import torch

    from emtransfer.models.packed_rows import takes_packed_rows

    if takes_packed_rows(model):
        return packed_answer_logits(model, rows)
    # padding is on the left, so that all answers end in the last column
    ids, mask, positions = left_padded([prompt + answer for prompt, answer in rows], model.device)
    longest = max(len(answer) for _, answer in rows)
    # [b, longest + 1, v]; the last position predicts what comes after the end
    logits = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=longest + 1
    ).logits[:, :-1]
    # a sum of divergences over a vocabulary is far too coarse in the two bytes of a large model's logits
    return torch.cat([logits[row, longest - len(answer) :] for row, (_, answer) in enumerate(rows)]).float()


def packed_answer_logits(model: "PreTrainedModel", rows: list[Rollout]) -> "Tensor":
    """As `answer_logits`, of a model that takes packed rows."""
    import torch

    lengths = torch.tensor([len(prompt) + len(answer) for prompt, answer in rows])
    ends = lengths.cumsum(0).tolist()
    # the tokens before those of the answer
    asked = [torch.arange(end - len(answer) - 1, end - 1) for end, (_, answer) in zip(ends, rows, strict=True)]
    ids = torch.tensor([token for prompt, answer in rows for token in prompt + answer])
    return model(input_ids=ids, lengths=lengths, asked=torch.cat(asked))


def kl_to_teacher(
    student: "PreTrainedModel", teacher: "Teacher", rows: list[Rollout], micro_batch_size: int
) -> dict[str, float]:
    """Mean KL per answer token between student and teacher on fixed answers, full vocabulary.

    Returns:
        kl_to_teacher_nats, KL(π_T ‖ π_S), and reverse_kl_to_teacher_nats, KL(π_S ‖ π_T), at the same prefixes.
    """
    import torch

    forward = reverse = 0.0
    student.eval()
    with torch.inference_mode():
        for part in micro_batches(rows, micro_batch_size):
            student_logits, teacher_logits = answer_logits(student, part), teacher.logits(part)
            forward += kl_sum(teacher_logits, student_logits).item()
            reverse += kl_sum(student_logits, teacher_logits).item()
    n_tokens = count_answer_tokens(rows)
    return {"kl_to_teacher_nats": forward / n_tokens, "reverse_kl_to_teacher_nats": reverse / n_tokens}


def micro_batches(rows: list[Rollout], size: int) -> Iterator[list[Rollout]]:
    """The rows in groups of at most `size`."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def count_answer_tokens(rows: list[Rollout]) -> int:
    """Answer tokens of all rows, end tokens included."""
    return sum(len(answer) for _, answer in rows)
