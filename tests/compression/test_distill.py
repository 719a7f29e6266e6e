"""lmprep.compression.distill against torch's kl_div, autograd and torch.distributions, and at the edges."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence

from lmprep.compression.distill import kd_grad, kd_loss, reverse_kl, train_students
from lmprep.training.losses import cross_entropy

sizes = st.integers(1, 6)
seeds = st.integers(0, 2**32)
temperatures = st.sampled_from([0.5, 1.0, 4.0, 30.0])


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pair(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    s, t = 2 * normal(2, *shape, seed=seed)
    return s, t


# --- against libraries and closed forms --------------------------------------------------------------------


@given(B=sizes, V=sizes, T=temperatures, seed=seeds)
def test_loss_and_gradient_are_those_of_kl_div(B: int, V: int, T: float, seed: int) -> None:
    s, t = pair(B, V, seed=seed)
    s.requires_grad_()
    theirs = T**2 * F.kl_div(
        (s / T).log_softmax(1), (t / T).log_softmax(1), log_target=True, reduction="batchmean"
    )
    ours = kd_loss(s, t, T)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    for loss in (ours, theirs):
        (gradient,) = torch.autograd.grad(loss, s)
        torch.testing.assert_close(gradient, kd_grad(s.detach(), t, T), atol=1e-12, rtol=0)


def test_by_hand() -> None:
    t, s = torch.tensor([math.log(3), 0.0]), torch.tensor([0.0, 0.0])  # p = (3/4, 1/4), q = (1/2, 1/2)
    assert kd_loss(s, t).item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert kd_grad(s, t).tolist() == pytest.approx([-0.25, 0.25])
    assert reverse_kl(s, t).item() == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2))


@given(B=sizes, V=sizes, seed=seeds)
def test_reverse_kl_is_that_of_torch_distributions(B: int, V: int, seed: int) -> None:
    s, t = pair(B, V, seed=seed)
    theirs = kl_divergence(Categorical(logits=s), Categorical(logits=t)).mean()
    torch.testing.assert_close(reverse_kl(s, t), theirs, atol=1e-12, rtol=0)
    torch.testing.assert_close(reverse_kl(s, t), kd_loss(t, s), atol=1e-12, rtol=0)


def test_at_large_temperatures_centered_logits_are_compared() -> None:
    s, t = pair(4, 7)
    d = (s - t) - (s - t).mean(dim=1, keepdim=True)
    off = [(kd_grad(s, t, T) - d / (7 * 4)).abs().max().item() for T in (1e2, 1e3, 1e4)]
    assert off[0] / off[1] == pytest.approx(10, rel=0.1) and off[1] / off[2] == pytest.approx(10, rel=0.1)
    assert kd_loss(s, t, 1e4).item() == pytest.approx(d.square().sum().item() / (2 * 7 * 4), rel=1e-3)


def test_a_label_is_a_teacher_that_rules_out_all_else() -> None:
    s = normal(5, 4).requires_grad_()
    y = torch.tensor([0, 3, 1, 1, 2])
    ours, theirs = kd_loss(s, F.one_hot(y, 4).double().log()), cross_entropy(s, y)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, s), torch.autograd.grad(theirs, s))


# --- properties --------------------------------------------------------------------------------------------


@given(B=sizes, V=sizes, T=temperatures, seed=seeds)
def test_zero_where_both_agree_and_never_negative(B: int, V: int, T: float, seed: int) -> None:
    s, t = pair(B, V, seed=seed)
    assert kd_loss(t + normal(B, 1, seed=seed), t, T).item() == pytest.approx(0, abs=1e-10 * T**2)
    assert kd_loss(s, t, T).item() >= -1e-12 * T**2
    assert kd_grad(s, t, T).sum(dim=-1).abs().max() < 1e-12 * T


def test_leading_axes_are_rows() -> None:
    s, t = pair(2, 3, 4, 5)
    flat = (z.reshape(-1, 5) for z in (s, t))
    torch.testing.assert_close(kd_loss(s, t, 2.0), kd_loss(*flat, 2.0))
    assert kd_grad(s, t, 2.0).shape == s.shape
    torch.testing.assert_close(kd_loss(s.transpose(0, 2), t.transpose(0, 2)), kd_loss(s, t))  # not contiguous
    torch.testing.assert_close(kd_loss(s[0, 0, 0], t[0, 0, 0]), kd_loss(s[:1, 0, 0], t[:1, 0, 0]))


def test_rows_that_do_not_count_leave_no_trace() -> None:
    s, t = pair(3, 4, 5)
    counts = torch.arange(12).reshape(3, 4) % 3 != 1
    expected = kd_loss(s[counts], t[counts], 2.0), reverse_kl(s[counts], t[counts])
    s[~counts], t[~counts] = torch.nan, -torch.inf
    s.requires_grad_()
    for loss, wanted in zip(
        (kd_loss(s, t, 2.0, counts=counts), reverse_kl(s, t, counts=counts)), expected, strict=True
    ):
        torch.testing.assert_close(loss, wanted)
        (gradient,) = torch.autograd.grad(loss, s)
        assert not gradient[~counts].any() and gradient[counts].isfinite().all()
    none = kd_loss(s, t, counts=torch.zeros(3, 4, dtype=torch.bool))
    assert none.item() == 0 and not torch.autograd.grad(none, s)[0].any()


def test_the_teacher_gets_no_gradient() -> None:
    s, t = (z.requires_grad_() for z in pair(2, 3))
    for loss in (kd_loss(s, t), reverse_kl(s, t)):
        found = torch.autograd.grad(loss, (s, t), allow_unused=True)
        assert found[0] is not None and found[1] is None


def test_inputs_are_kept() -> None:
    s, t = pair(3, 4)
    before = s.clone(), t.clone()
    kd_loss(s, t, 4.0), kd_grad(s, t, 4.0), reverse_kl(s, t)
    assert torch.equal(s, before[0]) and torch.equal(t, before[1])


def test_students_share_their_start_and_nothing_else() -> None:
    torch.manual_seed(0)
    start = nn.Linear(3, 4)
    before = copy.deepcopy(start.state_dict())
    x, (s, t) = normal(50, 3, dtype=torch.float32), (z.float() for z in pair(50, 4))
    lessons = [(x, s, 1.0), (x, t, 4.0), (x, s, 1.0)]
    students = train_students(start, lessons, rate=0.1, batch_size=16)
    alone = train_students(start, lessons[1:2], rate=0.1, batch_size=16)[0]
    assert all(torch.equal(before[name], value) for name, value in start.state_dict().items())
    assert not students.training
    for (x_all, logits, T), student in zip(lessons, students, strict=True):
        assert kd_loss(student(x_all), logits, T) < kd_loss(start(x_all), logits, T)
    weights = [student.weight for student in students]
    assert torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[1])
    torch.testing.assert_close(weights[1], alone.weight)


def test_the_rows_that_fill_no_batch_are_left_out() -> None:
    start = nn.Linear(3, 4)
    x, (_, t) = normal(20, 3, dtype=torch.float32), (z.float() for z in pair(20, 4))
    broken = torch.cat([t[:16], torch.full((4, 4), torch.nan)])
    first, second = train_students(start, [(x, t, 1.0), (x, broken, 1.0)], rate=0.1, batch_size=16)
    assert torch.equal(first.weight, second.weight)


# --- extremes ----------------------------------------------------------------------------------------------


def test_ruled_out_classes() -> None:
    s, t = pair(3, 4)
    t[:, 1] = -torch.inf
    leaf = s.clone().requires_grad_()
    loss = kd_loss(leaf, t, 4.0)
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert loss.isfinite() and gradient.isfinite().all()
    torch.testing.assert_close(gradient, kd_grad(s, t, 4.0))
    assert reverse_kl(s, t).item() == math.inf  # the student says what the teacher never does
    s[:, 1] = -torch.inf
    assert kd_loss(s, t).isfinite() and reverse_kl(s, t).isfinite()
    assert kd_loss(s, pair(3, 4)[1]).item() == math.inf


def test_infinite_however_improbable_the_class() -> None:
    ruled_out = torch.tensor([[-math.inf, 0.0]])
    improbable = torch.tensor([[-200.0, 0.0]])  # e⁻²⁰⁰ is 0 in float32
    assert kd_loss(ruled_out, improbable).item() == math.inf
    assert reverse_kl(improbable, ruled_out).item() == math.inf
    leaf = improbable.clone().requires_grad_()
    for other in (improbable, improbable / 2, torch.zeros(1, 2)):  # finite: so are value and gradient
        for loss in (kd_loss(leaf, other), reverse_kl(leaf, other)):
            assert loss.isfinite() and torch.autograd.grad(loss, leaf)[0].isfinite().all()
    assert kd_loss(leaf, ruled_out).item() == 0


def test_large_logits_and_half_precision() -> None:
    far = torch.tensor([[0.0, 1e4, -1e4]])
    assert kd_loss(far, -far).item() == pytest.approx(2e4)
    assert kd_loss(far, far).item() == 0
    s, t = (z.half() for z in pair(4, 6))
    loss = kd_loss(s, t, 2.0)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, kd_loss(s.float(), t.float(), 2.0))


# --- bad input ---------------------------------------------------------------------------------------------


def test_bad_input_is_refused() -> None:
    s, t = pair(3, 4)
    for function in (kd_loss, kd_grad, reverse_kl):
        with pytest.raises(ValueError, match="teacher must have the student's shape"):
            function(s, t[:2])
        with pytest.raises(ValueError, match="teacher must have the student's shape"):
            function(s, t[:1])  # would broadcast
        with pytest.raises(TypeError, match="teacher must be floating-point logits"):
            function(s, t.long())
        with pytest.raises(ValueError, match="student must have a class"):
            function(s[:, :0], t[:, :0])
        with pytest.raises(ValueError, match="student must have a class"):
            function(s[0, 0], t[0, 0])
    for T in (0.0, -1.0, math.inf, math.nan):
        for function in (kd_loss, kd_grad):
            with pytest.raises(ValueError, match="T must be positive and finite"):
                function(s, t, T)
    with pytest.raises(TypeError, match="counts must be bool"):
        kd_loss(s, t, counts=torch.ones(3))
    with pytest.raises(ValueError, match="counts must have shape"):
        kd_loss(s, t, counts=torch.ones(3, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="at least one row"):
        kd_grad(s[:0], t[:0])
    lesson = (s, t, 1.0)
    for lessons, batch_size in (([], 1), ([lesson], 4), ([lesson], 0), ([lesson, (s[:2], t[:2], 1.0)], 1)):
        with pytest.raises(ValueError, match="lessons must be of one length"):
            train_students(nn.Linear(4, 4), lessons, rate=0.1, batch_size=batch_size)
