"""The loss of a student in each channel, as pure functions of the logits at the answer tokens.

The answer tokens of all rows lie in one dimension n, end tokens included and padding left out, so that a loss is a
plain sum over these tokens. Every function takes

    student_logits: float [n, v], before softmax, at the position before each answer token
    teacher_logits: float [n, v] at the same prefixes, without gradient
    tokens: int64 [n], the answer tokens

and returns a scalar, nats summed over the answer tokens. The prefixes are given token ids, so that no gradient runs
through them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def sft(student_logits: "Tensor", teacher_logits: "Tensor | None", tokens: "Tensor") -> "Tensor":
    """−Σ log π_S(x_i) on answers of the teacher, whose logits are not used."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(student_logits, tokens, reduction="sum")


def optd(student_logits: "Tensor", teacher_logits: "Tensor", tokens: "Tensor") -> "Tensor":
    """Σ KL(π_T ‖ π_S) over the full vocabulary, on answers of the teacher.

    The form that samples one token per position has the gradient of `sft` and would teach nothing new.
    """
    return kl_sum(teacher_logits, student_logits)


def opd_full(student_logits: "Tensor", teacher_logits: "Tensor", tokens: "Tensor") -> "Tensor":
    """Σ KL(π_S ‖ π_T) over the full vocabulary, at prefixes that the student visited.

    Source: Agarwal et al. 2023, arXiv 2306.13649, equation 4 with the reverse KL and on-policy data alone.
    """
    return kl_sum(student_logits, teacher_logits)


def opd_sampled(student_logits: "Tensor", teacher_logits: "Tensor", tokens: "Tensor") -> "Tensor":
    """Policy gradient on the student's own tokens, with the detached advantage log π_T(x_i) − log π_S(x_i) − b_i.

    The baseline b_i is of the prefix alone, see `least_variance_baseline`, so that the expected gradient over x_i is that of
    `opd_full`. The value is the log ratios' negative sum, a one-sample estimate of the same KL.
    """
    student = student_logits.log_softmax(-1)
    log_ratios = teacher_logits.log_softmax(-1) - student.detach()
    of_token, log_ratio = (values.gather(-1, tokens[:, None])[:, 0] for values in (student, log_ratios))
    advantage = log_ratio - least_variance_baseline(log_ratios, student.detach().exp())
    # the bracket is 0 in value and ∇ log π_S in gradient: the logged loss is nats of KL, not a meaningless score
    return -(log_ratio + advantage * (of_token - of_token.detach())).sum()


def least_variance_baseline(log_ratios: "Tensor", probabilities: "Tensor") -> "Tensor":
    """The baseline of log ratios that minimises the variance of the gradient in the logits: float [n, v] twice → float [n].

    It is the mean of what the student may draw, each token weighted by |∇ log π_S(x)|² = 1 − 2 π_S(x) + Σ π_S² too. The plain mean,
    −KL(π_S ‖ π_T), follows a token that is all but certain and has hardly a gradient, and can make the variance larger.

    Source: Greensmith, Bartlett and Baxter 2004, JMLR 5 (the optimal baseline), here of a prefix.
    """
    import torch

    # rounded, the norm of a certain token may be negative, and all of a prefix may be 0, where no gradient is left
    squared_norms = (1 - 2 * probabilities + probabilities.square().sum(-1, keepdim=True)).clamp(min=0)
    weights = probabilities * squared_norms
    return (weights * log_ratios).sum(-1) / weights.sum(-1).clamp(min=torch.finfo(weights.dtype).tiny)


CHANNELS = {"sft": sft, "optd": optd, "opd-full": opd_full, "opd-sampled": opd_sampled}
ON_POLICY = ("opd-full", "opd-sampled")


def kl_sum(p_logits: "Tensor", q_logits: "Tensor") -> "Tensor":
    """Σ KL(p ‖ q) over positions, full vocabulary: float [n, v] twice → scalar, nats."""
    from torch.nn.functional import kl_div, log_softmax

    # kl_div takes log q first and weighs by p, its target
    return kl_div(log_softmax(q_logits, -1), log_softmax(p_logits, -1), reduction="sum", log_target=True)
