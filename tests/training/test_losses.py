"""lmprep.training.losses against torch's and SciPy's, against finite differences, and at the edges."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from lmprep.measure import KeptForBackward, LargestTensor
from lmprep.training.losses import chunked_cross_entropy, cross_entropy, logsumexp

sizes = st.integers(1, 7)
seeds = st.integers(0, 2**32)
IGNORED = -100


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def classes(N: int, V: int, seed: int = 0, ignored: float = 0.3) -> Tensor:
    """(N,) targets, of which about the share `ignored` is ignored, but never the first."""
    g = torch.Generator().manual_seed(seed)
    targets = torch.randint(V, (N,), generator=g)
    drop = torch.rand(N, generator=g) < ignored
    drop[0] = False
    return targets.masked_fill(drop, IGNORED)


# --- logsumexp -----------------------------------------------------------------------------------------


@given(N=sizes, V=sizes, scale=st.sampled_from([1.0, 1e3, 1e6]), dim=st.sampled_from([0, 1, -1]), seed=seeds)
def test_logsumexp_is_scipys(N: int, V: int, scale: float, dim: int, seed: int) -> None:
    x = scale * normal(N, V, seed=seed)
    expected = torch.from_numpy(np.asarray(scipy.special.logsumexp(x.numpy(), axis=dim)))
    torch.testing.assert_close(logsumexp(x, dim), expected, atol=1e-12, rtol=1e-15)


@pytest.mark.parametrize("value", [1000.0, -1000.0, 3e38, -3e38])
def test_logsumexp_neither_overflows_nor_underflows_in_float32(value: float) -> None:
    x = torch.full((4,), value)
    assert logsumexp(x).item() == pytest.approx(value + math.log(4), rel=1e-6)


def test_logsumexp_of_infinities() -> None:
    inf = math.inf
    x = torch.tensor([[-inf, -inf], [-inf, 2.0], [inf, 0.0], [inf, -inf], [math.nan, 0.0]])
    torch.testing.assert_close(
        logsumexp(x), torch.tensor([-inf, 2.0, inf, inf, math.nan]), equal_nan=True, rtol=0, atol=0
    )
    with_zero = torch.tensor([-inf, 2.0, 2.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(logsumexp(with_zero), with_zero)
    assert gradient.tolist() == [0.0, 0.5, 0.5]


def test_the_gradient_of_logsumexp_is_softmax() -> None:
    x = normal(3, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(logsumexp(x).sum(), x)
    torch.testing.assert_close(gradient, scipy_softmax(x), atol=1e-15, rtol=0)
    assert gradcheck(logsumexp, (x,))
    assert gradgradcheck(logsumexp, (x,))


def scipy_softmax(x: Tensor) -> Tensor:
    return torch.from_numpy(scipy.special.softmax(x.detach().numpy(), axis=-1))


# --- cross_entropy against torch -----------------------------------------------------------------------


@given(
    N=sizes,
    V=sizes,
    scale=st.sampled_from([1.0, 100.0]),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    reduction=st.sampled_from(["mean", "sum"]),
    ignore_index=st.sampled_from([-100, -1, 0]),
    seed=seeds,
)
def test_cross_entropy_is_torchs(
    N: int, V: int, scale: float, smoothing: float, reduction: Any, ignore_index: int, seed: int
) -> None:
    assume(ignore_index != V - 1)  # else the first row would not count; torch's NaN is tested below
    logits, targets = scale * normal(N, V, seed=seed), classes(N, V, seed)
    targets = targets.where(targets != IGNORED, ignore_index)
    targets[0] = V - 1
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    options: dict[str, Any] = {
        "ignore_index": ignore_index, "label_smoothing": smoothing, "reduction": reduction
    }  # fmt: skip
    found, expected = cross_entropy(ours, targets, **options), F.cross_entropy(theirs, targets, **options)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-14)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-12, rtol=0)


@given(N=sizes, V=sizes, coefficient=st.sampled_from([1e-4, 0.5]), seed=seeds)
def test_z_loss_adds_the_squared_normalizer_of_the_rows_that_count(
    N: int, V: int, coefficient: float, seed: int
) -> None:
    logits, targets = normal(N, V, seed=seed), classes(N, V, seed)
    log_normalizers = scipy.special.logsumexp(logits.numpy(), axis=1)[targets.numpy() != IGNORED]
    expected = F.cross_entropy(logits, targets) + coefficient * (log_normalizers**2).mean()
    torch.testing.assert_close(
        cross_entropy(logits, targets, z_loss=coefficient), expected, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"z_loss": 0.3}, {"reduction": "sum"}])
def test_gradients_of_every_option_are_those_of_finite_differences(options: dict[str, Any]) -> None:
    logits, targets = normal(5, 4).requires_grad_(), torch.tensor([2, IGNORED, 0, 3, 3])
    assert gradcheck(lambda z: cross_entropy(z, targets, **options), (logits,))
    assert gradgradcheck(lambda z: cross_entropy(z, targets, **options), (logits,))


def test_the_gradient_is_p_minus_y_over_the_number_of_rows_that_count() -> None:
    logits, targets = normal(3, 4).requires_grad_(), torch.tensor([1, IGNORED, 3])
    (gradient,) = torch.autograd.grad(cross_entropy(logits, targets), logits)
    expected = scipy_softmax(logits)
    expected[0, 1] -= 1
    expected[2, 3] -= 1
    expected[1] = 0
    torch.testing.assert_close(gradient, expected / 2, atol=1e-15, rtol=0)


def test_label_smoothing_cannot_reach_zero() -> None:
    """Its least value is the entropy of the smoothed target, worked out here for ε = 0.1 and V = 4."""
    smoothed = torch.tensor([0.925, 0.025, 0.025, 0.025], dtype=torch.float64)
    least = cross_entropy(smoothed.log()[None], torch.tensor([0]), label_smoothing=0.1)
    assert least.item() == pytest.approx(-(0.925 * math.log(0.925) + 0.075 * math.log(0.025)), abs=1e-14)
    for other in (0.9, 0.95):
        logits = torch.tensor([[other, *[(1 - other) / 3] * 3]], dtype=torch.float64).log()
        assert cross_entropy(logits, torch.tensor([0]), label_smoothing=0.1) > least


# --- properties ----------------------------------------------------------------------------------------


@given(N=sizes, V=sizes, shift=st.integers(-(2**20), 2**20), seed=seeds)
def test_a_constant_added_to_a_row_changes_nothing(N: int, V: int, shift: int, seed: int) -> None:
    logits, targets = normal(N, V, seed=seed), classes(N, V, seed)
    shifts = torch.linspace(0, 1, N, dtype=torch.float64).round()[:, None] * shift
    torch.testing.assert_close(
        cross_entropy(logits + shifts, targets), cross_entropy(logits, targets), atol=1e-8, rtol=0
    )


@given(N=sizes, V=sizes, smoothing=st.sampled_from([0.0, 0.3]), seed=seeds)
def test_the_classes_names_do_not_matter(N: int, V: int, smoothing: float, seed: int) -> None:
    logits, targets = normal(N, V, seed=seed), classes(N, V, seed, ignored=0)
    order = torch.randperm(V, generator=torch.Generator().manual_seed(seed))
    renamed = cross_entropy(logits[:, order], order.argsort()[targets], label_smoothing=smoothing)
    expected = cross_entropy(logits, targets, label_smoothing=smoothing)
    torch.testing.assert_close(renamed, expected, atol=1e-12, rtol=0)


@given(N=st.integers(2, 9), V=sizes, cut=st.integers(1, 8), seed=seeds)
def test_sums_over_parts_of_a_batch_add_up_and_means_do_not(N: int, V: int, cut: int, seed: int) -> None:
    logits, targets = normal(N, V, seed=seed), classes(N, V, seed)
    parts = zip(logits.split(cut), targets.split(cut), strict=True)
    total = torch.stack([cross_entropy(z, t, reduction="sum") for z, t in parts]).sum()
    mean = total / (targets != IGNORED).sum()
    torch.testing.assert_close(mean, cross_entropy(logits, targets), atol=1e-12, rtol=1e-12)
    assert cross_entropy(logits, targets) >= -1e-15


def test_the_mean_of_means_weighs_tokens_of_short_parts_more() -> None:
    logits, targets = normal(4, 3), torch.tensor([0, 1, 2, IGNORED])
    means = [cross_entropy(logits[rows], targets[rows]) for rows in (slice(2), slice(2, 4))]
    assert abs(sum(means) / 2 - cross_entropy(logits, targets)) > 0.01


# --- edges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e4, -1e4, 1e30])
def test_logits_of_any_size_are_exact_in_float32(scale: float) -> None:
    logits = torch.tensor([[0.0, scale, -scale]], requires_grad=True)
    best, worst = (1, 2) if scale > 0 else (2, 1)
    assert cross_entropy(logits, torch.tensor([best])).item() == 0.0
    loss = cross_entropy(logits, torch.tensor([worst]))
    assert loss.item() == pytest.approx(2 * abs(scale), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[0, best] == 1
    assert gradient[0, worst] == -1


def test_large_logits_that_hardly_differ_keep_their_digits() -> None:
    logits = torch.tensor([[10_000.0, 10_000.5, 9_998.0]])
    for target in range(3):
        exact = F.cross_entropy(logits.double(), torch.tensor([target])).item()
        assert cross_entropy(logits, torch.tensor([target])).item() == pytest.approx(exact, abs=1e-6)


def test_a_class_ruled_out_by_minus_infinity_takes_no_mass() -> None:
    logits = torch.tensor([[0.0, -math.inf, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-15)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.tolist() == [[-0.5, 0.0, 0.5]]
    for options in ({}, {"label_smoothing": 0.1}):
        assert cross_entropy(logits, torch.tensor([1]), **options).item() == math.inf


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2, "z_loss": 0.3}, {"reduction": "sum"}])
def test_nothing_to_count_is_zero_where_torch_says_nan(options: dict[str, Any]) -> None:
    logits, targets = normal(3, 4).requires_grad_(), torch.full((3,), IGNORED)
    assert F.cross_entropy(logits, targets).isnan()
    loss = cross_entropy(logits, targets, **options)
    assert loss.item() == 0.0
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.count_nonzero() == 0


@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf])
def test_what_is_ignored_leaves_no_trace(junk: float) -> None:
    logits = normal(3, 4)
    logits[1] = junk
    logits.requires_grad_()
    targets = torch.tensor([2, IGNORED, 0])
    loss = cross_entropy(logits, targets, label_smoothing=0.1, z_loss=0.1)
    kept = cross_entropy(logits[[0, 2]], targets[[0, 2]], label_smoothing=0.1, z_loss=0.1)
    assert loss == kept
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[1].tolist() == [0.0] * 4
    assert logits.grad.isfinite().all()


def test_one_class_costs_nothing() -> None:
    logits = normal(3, 1).requires_grad_()
    loss = cross_entropy(logits, torch.zeros(3, dtype=torch.long))
    assert loss.item() == 0.0
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.count_nonzero() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    logits, targets = normal(64, 1000, dtype=torch.float32).to(dtype).requires_grad_(), classes(64, 1000)
    loss = cross_entropy(logits, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits.float(), targets), atol=1e-5, rtol=0)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.dtype == dtype


def test_a_second_softmax_cannot_get_below_the_floor() -> None:
    """The page's closed form, against rows that are as right as probabilities can be."""
    for V in (2, 10, 100):
        right = torch.eye(V, dtype=torch.float64)
        floor = F.cross_entropy(right, torch.arange(V))
        assert floor.item() == pytest.approx(math.log(1 + (V - 1) / math.e), abs=1e-12)


def test_a_second_softmax_shrinks_the_first_gradient_by_the_number_of_classes() -> None:
    for V in (10, 1000):
        logits, target = torch.zeros(1, V, dtype=torch.float64, requires_grad=True), torch.tensor([3])
        (once,) = torch.autograd.grad(F.cross_entropy(logits, target), logits)
        (twice,) = torch.autograd.grad(cross_entropy(logits.softmax(1), target), logits)
        torch.testing.assert_close(V * twice, once, atol=1e-12, rtol=0)


# --- chunked -------------------------------------------------------------------------------------------


@given(N=sizes, D=sizes, V=sizes, chunk=st.integers(1, 9), seed=seeds)
def test_chunked_is_torchs_loss_of_all_logits_at_once(N: int, D: int, V: int, chunk: int, seed: int) -> None:
    targets = classes(N, V, seed)
    ours = [normal(N, D, seed=seed).requires_grad_(), normal(V, D, seed=seed + 1).requires_grad_()]
    theirs = [x.detach().clone().requires_grad_() for x in ours]
    found = chunked_cross_entropy(*ours, targets, chunk=chunk)
    expected = F.cross_entropy(theirs[0] @ theirs[1].mT, targets)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-13)
    (2 * found).backward()
    (2 * expected).backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-12, rtol=1e-13)


def test_chunked_gradients_are_those_of_finite_differences() -> None:
    hidden, weight = normal(5, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    targets = torch.tensor([2, IGNORED, 0, 3, 3])
    assert gradcheck(lambda h, w: chunked_cross_entropy(h, w, targets, chunk=2), (hidden, weight))


def test_chunked_with_nothing_to_count_is_zero() -> None:
    hidden, weight = normal(3, 2).requires_grad_(), normal(4, 2, seed=1).requires_grad_()
    loss = chunked_cross_entropy(hidden, weight, torch.full((3,), IGNORED), chunk=2)
    assert loss.item() == 0.0
    loss.backward()
    for x in (hidden, weight):
        assert x.grad is not None
        assert x.grad.count_nonzero() == 0


def test_chunked_takes_half_precision() -> None:
    hidden, weight = (normal(64, 16, seed=s, dtype=torch.float32).to(torch.bfloat16) for s in (0, 1))
    hidden.requires_grad_()
    weight.requires_grad_()
    targets = classes(64, 64)
    loss = chunked_cross_entropy(hidden, weight, targets, chunk=8)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy((hidden @ weight.mT).float(), targets))
    loss.backward()
    exact = [x.detach().float().requires_grad_() for x in (hidden, weight)]
    F.cross_entropy(exact[0] @ exact[1].mT, targets).backward()
    for x, reference in zip((hidden, weight), exact, strict=True):
        assert x.grad is not None
        assert x.grad.dtype == torch.bfloat16
        torch.testing.assert_close(x.grad.float(), reference.grad, atol=2e-3, rtol=0.05)


def largest_and_kept(loss: Callable[[], Tensor]) -> tuple[int, int]:
    """Elements of forward and backward pass's largest tensor; bytes kept from one for the other."""
    with LargestTensor() as largest, KeptForBackward() as kept:
        loss().backward()
    return largest.elements, kept.bytes


def test_chunked_never_holds_all_logits_and_a_loop_keeps_them() -> None:
    N, D, V, chunk = 128, 8, 256, 16
    targets = classes(N, V, ignored=0)

    def leaves() -> tuple[Tensor, Tensor]:
        return normal(N, D).requires_grad_(), normal(V, D, seed=1).requires_grad_()

    def whole() -> Tensor:
        hidden, weight = leaves()
        return cross_entropy(hidden @ weight.mT, targets)

    def loop() -> Tensor:
        hidden, weight = leaves()
        parts = zip(hidden.split(chunk), targets.split(chunk), strict=True)
        return torch.stack([cross_entropy(h @ weight.mT, t, reduction="sum") for h, t in parts]).sum() / N

    (full, full_kept), (looped, loop_kept), (ours, ours_kept) = map(
        largest_and_kept, (whole, loop, lambda: chunked_cross_entropy(*leaves(), targets, chunk=chunk))
    )
    assert full == N * V
    logits, leaf_bytes = 8 * N * V, 8 * D * (N + V)
    assert logits <= full_kept <= 1.01 * logits + leaf_bytes + 8 * 4 * N  # once, not once per operation
    assert looped == ours == chunk * V
    assert loop_kept >= logits
    assert ours_kept <= leaf_bytes + 8 * 2 * N


# --- bad input -----------------------------------------------------------------------------------------

Z, T = normal(3, 4), torch.tensor([0, 1, 3])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: logsumexp(torch.arange(3)), TypeError, "x must be floating point, got torch.int64"),
        (lambda: logsumexp(torch.tensor(1.0)), ValueError, r"entry along dim=-1, got shape \(\)"),
        (lambda: logsumexp(torch.ones(2, 0)), ValueError, r"entry along dim=-1, got shape \(2, 0\)"),
        (lambda: cross_entropy(Z.long(), T), TypeError, "logits must be floating point"),
        (lambda: cross_entropy(Z, T.int()), TypeError, r"targets must be torch\.long .* got torch\.int32"),
        (lambda: cross_entropy(Z, F.one_hot(T, 4).double()), TypeError, "class numbers"),
        (lambda: cross_entropy(Z[None], T[None]), ValueError, r"got \(1, 3, 4\): flatten"),
        (lambda: cross_entropy(torch.tensor(1.0), T), ValueError, r"got \(\): flatten"),
        (lambda: cross_entropy(Z[:0], T[:0]), ValueError, r"neither empty, got \(0, 4\)"),
        (lambda: cross_entropy(Z, T[:2]), ValueError, r"targets must have shape \(3,\), got \(2,\)"),
        (lambda: cross_entropy(Z, T + 1), ValueError, "from 0 to 3, or -100 to be ignored, got 4"),
        (lambda: cross_entropy(Z, -T), ValueError, "got -1"),
        (lambda: cross_entropy(Z, -100 * T, ignore_index=-1), ValueError, "or -1 to be ignored, got -100"),
        (lambda: cross_entropy(Z, T, label_smoothing=1.1), ValueError, r"from 0 to 1, got 1\.1"),
        (lambda: cross_entropy(Z, T, label_smoothing=math.nan), ValueError, "label_smoothing"),
        (lambda: cross_entropy(Z, T, z_loss=-1.0), ValueError, r"z_loss must not be negative, got -1\.0"),
        (lambda: cross_entropy(Z, T, reduction="none"), ValueError, "'mean' or 'sum', got 'none'"),
        (lambda: chunked_cross_entropy(Z, Z, T, chunk=0), ValueError, "chunk must be at least 1, got 0"),
        (lambda: chunked_cross_entropy(Z, Z[:, :3], T, chunk=1), ValueError, r"weight must be \(V, D\)"),
        (lambda: chunked_cross_entropy(Z, Z.float(), T, chunk=1), ValueError, "of one dtype"),
        (lambda: chunked_cross_entropy(Z, Z[0], T, chunk=1), ValueError, r"weight must be \(V, D\)"),
        (lambda: chunked_cross_entropy(torch.tensor(1.0), Z, T, chunk=1), ValueError, "weight must be"),
        (lambda: chunked_cross_entropy(Z, Z, T, chunk=1), ValueError, "from 0 to 2, or -100 .* got 3"),
        (lambda: chunked_cross_entropy(Z.long(), Z.long(), T, chunk=1), TypeError, "hidden must be floating"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
