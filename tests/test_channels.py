"""The channels on a toy vocabulary of five tokens and four prefixes, where every gradient has a closed form."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from emtransfer.distilling.channels import CHANNELS, least_variance_baseline, opd_full, opd_sampled, optd, sft

N_TOKENS, VOCABULARY = 4, 5


def draw_logits(seed):
    return torch.randn(N_TOKENS, VOCABULARY, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


STUDENT, TEACHER = draw_logits(1), draw_logits(2)
TOKENS = torch.tensor([0, 3, 3, 4])


def gradient(channel, student=STUDENT, teacher=TEACHER, tokens=TOKENS):
    student = student.clone().requires_grad_()
    channel(student, teacher, tokens).backward()
    return student.grad


def test_sft_is_the_cross_entropy_and_pulls_towards_the_token():
    assert sft(STUDENT, None, TOKENS).item() == pytest.approx(
        -Categorical(logits=STUDENT).log_prob(TOKENS).sum().item()
    )
    one_hot = torch.nn.functional.one_hot(TOKENS, VOCABULARY)
    torch.testing.assert_close(gradient(sft), STUDENT.softmax(-1) - one_hot)


def test_optd_is_the_forward_kl_with_gradient_student_minus_teacher():
    expected = kl_divergence(Categorical(logits=TEACHER), Categorical(logits=STUDENT)).sum()
    torch.testing.assert_close(optd(STUDENT, TEACHER, TOKENS), expected)
    torch.testing.assert_close(gradient(optd), STUDENT.softmax(-1) - TEACHER.softmax(-1))


def reverse_kl(student, teacher):
    return kl_divergence(Categorical(logits=student), Categorical(logits=teacher))


def test_opd_full_is_the_reverse_kl_with_its_closed_form_gradient():
    torch.testing.assert_close(opd_full(STUDENT, TEACHER, TOKENS), reverse_kl(STUDENT, TEACHER).sum())
    log_ratio = STUDENT.log_softmax(-1) - TEACHER.log_softmax(-1)
    closed_form = STUDENT.softmax(-1) * (log_ratio - reverse_kl(STUDENT, TEACHER)[:, None])
    torch.testing.assert_close(gradient(opd_full), closed_form)


@pytest.mark.parametrize("channel", [optd, opd_full])
def test_the_full_channels_have_the_gradient_that_autograd_finds_for_the_kl(channel):
    student = STUDENT.clone().requires_grad_()
    pair = Categorical(logits=TEACHER), Categorical(logits=student)
    kl_divergence(*(pair if channel is optd else pair[::-1])).sum().backward()
    torch.testing.assert_close(gradient(channel), student.grad)


def test_the_sampled_estimator_has_exactly_the_full_gradient_in_expectation():
    # all tokens at every prefix, weighted by how often the student draws them
    probabilities = STUDENT.softmax(-1)
    expected = sum(
        probabilities[:, [token]] * gradient(opd_sampled, tokens=torch.full((N_TOKENS,), token))
        for token in range(VOCABULARY)
    )
    torch.testing.assert_close(expected, gradient(opd_full))


def test_the_sampled_estimator_converges_to_the_full_one():
    generator = torch.Generator().manual_seed(3)
    widths = []
    for n_draws in (400, 40_000):
        # every prefix n_draws times, each time with a token of its own
        tokens = torch.multinomial(STUDENT.softmax(-1), n_draws, replacement=True, generator=generator)
        repeated = STUDENT.repeat_interleave(n_draws, 0), TEACHER.repeat_interleave(n_draws, 0)
        draws = gradient(opd_sampled, *repeated, tokens.flatten()).view(N_TOKENS, n_draws, VOCABULARY)
        standard_error = draws.std(1) / n_draws**0.5
        assert torch.all((draws.mean(1) - gradient(opd_full)).abs() < 5 * standard_error)
        widths.append(standard_error.max().item())
    assert widths[1] < 0.01
    assert widths[1] < widths[0] / 5


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_the_baseline_lowers_the_variance_of_the_sampled_gradient_as_normal_log_ratios_would_have_it(spread):
    # to a uniform student all baselines but the mean are worse; log ratios of deviation s have mean −s²/2 and mean square s² + s⁴/4
    vocabulary = 1000
    student = torch.zeros(vocabulary, vocabulary, dtype=torch.float64)
    teacher = torch.distributions.Normal(0, spread).icdf(
        (torch.arange(vocabulary, dtype=torch.float64) + 0.5) / vocabulary
    )
    draws = gradient(opd_sampled, student, teacher.expand_as(student), torch.arange(vocabulary))
    log_ratio = teacher.log_softmax(-1) - student[0].log_softmax(-1)
    without = -log_ratio[:, None] * (torch.eye(vocabulary, dtype=torch.float64) - 1 / vocabulary)
    torch.testing.assert_close(draws.mean(0), without.mean(0))
    remaining = draws.var(0).sum() / without.var(0).sum()
    assert remaining.item() == pytest.approx(1 / (1 + spread**2 / 4), rel=0.03)


def variance_at(baseline, student, teacher):
    """Variance of the gradient at one prefix, over all tokens that may be drawn there, with a given baseline."""
    probabilities, log_ratios = student.softmax(-1), teacher.log_softmax(-1) - student.log_softmax(-1)
    draws = -(log_ratios - baseline)[:, None] * (torch.eye(VOCABULARY, dtype=torch.float64) - probabilities)
    return ((draws - probabilities @ draws).square().sum(-1) @ probabilities).item()


def test_no_baseline_makes_the_variance_of_the_sampled_gradient_smaller():
    # the variance is a parabola in the baseline, which three points fix; peaked students, where the mean log ratio is a bad one
    for student, teacher in zip(3 * draw_logits(5), 3 * draw_logits(6), strict=True):
        log_ratios, probabilities = teacher.log_softmax(-1) - student.log_softmax(-1), student.softmax(-1)
        second, first, _ = np.polyfit([-1, 0, 1], [variance_at(b, student, teacher) for b in (-1, 0, 1)], deg=2)
        best = least_variance_baseline(log_ratios[None], probabilities[None]).item()
        assert best == pytest.approx(-first / (2 * second))
        assert variance_at(best, student, teacher) < variance_at(probabilities @ log_ratios, student, teacher)


def test_the_baseline_of_a_student_that_is_certain_is_finite():
    student = torch.tensor([[200.0, 0, 0], [20.0, 0, 0], [0, 0, 0]], requires_grad=True)
    opd_sampled(student, torch.zeros(3, 3), torch.tensor([0, 0, 0])).backward()
    assert torch.all(student.grad.abs() < 1e-3)


def test_the_sampled_loss_is_the_log_ratio_of_the_sampled_tokens():
    log_ratio = Categorical(logits=STUDENT).log_prob(TOKENS) - Categorical(logits=TEACHER).log_prob(TOKENS)
    torch.testing.assert_close(opd_sampled(STUDENT, TEACHER, TOKENS), log_ratio.sum())


def test_the_sampled_gradient_looks_at_the_sampled_token():
    # a reward that ignores the token would give the same gradient for all of them
    gradients = [gradient(opd_sampled, tokens=torch.full((N_TOKENS,), token)) for token in range(VOCABULARY)]
    assert all(not torch.allclose(gradients[0], other) for other in gradients[1:])


@pytest.mark.parametrize("name", ["optd", "opd-full", "opd-sampled"])
def test_student_equal_to_teacher_gets_zero_loss_and_zero_gradient(name):
    # logits that differ by a constant are the same distribution
    loss, change = CHANNELS[name](STUDENT, STUDENT + 1.5, TOKENS), gradient(CHANNELS[name], teacher=STUDENT + 1.5)
    torch.testing.assert_close(loss, torch.zeros_like(loss))
    torch.testing.assert_close(change, torch.zeros_like(change))


@pytest.mark.parametrize("name", CHANNELS)
def test_a_loss_is_a_sum_over_tokens(name):
    parts = [CHANNELS[name](STUDENT[i : i + 1], TEACHER[i : i + 1], TOKENS[i : i + 1]) for i in range(N_TOKENS)]
    torch.testing.assert_close(CHANNELS[name](STUDENT, TEACHER, TOKENS), sum(parts))
