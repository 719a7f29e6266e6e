"""lmprep.architectures.norms against torch's, and what each leaves alone."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmprep.architectures.norms import layer_norm, rms_norm


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@settings(max_examples=30, deadline=None)
@given(
    leading=st.lists(st.integers(1, 4), max_size=3),
    D=st.integers(1, 9),
    eps=st.sampled_from([1e-12, 1e-5, 0.1]),
    seed=st.integers(0, 2**31),
)
def test_equal_torchs_with_their_gradients(leading: list[int], D: int, eps: float, seed: int) -> None:
    x = normal(*leading, D, seed=seed).requires_grad_()
    gain, bias = (normal(D, seed=seed + k).requires_grad_() for k in (1, 2))
    weight = normal(*leading, D, seed=seed + 3)
    pairs: list[tuple[Tensor, Tensor, list[Tensor]]] = [
        (layer_norm(x, gain, bias, eps), F.layer_norm(x, (D,), gain, bias, eps), [x, gain, bias]),
        (rms_norm(x, gain, eps), F.rms_norm(x, (D,), gain, eps), [x, gain]),
    ]
    for ours, theirs, inputs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
        gradients = (torch.autograd.grad((weight * y).sum(), inputs) for y in (ours, theirs))
        for own, reference in zip(*gradients, strict=True):
            torch.testing.assert_close(own, reference, rtol=1e-7, atol=1e-7)


def test_by_hand() -> None:
    x = torch.tensor([[1.0, 3.0], [5.0, 5.0]], dtype=torch.float64)
    one, half = torch.ones(2).double(), torch.full((2,), 0.5).double()
    assert layer_norm(x, one, half, eps=0.0)[0].tolist() == [-0.5, 1.5]
    assert layer_norm(x, one, half)[1].tolist() == [0.5, 0.5]  # a constant vector
    torch.testing.assert_close(rms_norm(x, one, eps=0.0)[0], x[0] / 5**0.5)
    assert rms_norm(torch.zeros(2).double(), one).tolist() == [0, 0]


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_scale_goes_from_both_and_shift_from_one(scale: float, shift: float) -> None:
    x, one, zero = normal(3, 8), torch.ones(8).double(), torch.zeros(8).double()
    moved = scale * x + shift
    torch.testing.assert_close(
        layer_norm(moved, one, zero, 0.0), layer_norm(x, one, zero, 0.0), rtol=0, atol=1e-7
    )
    torch.testing.assert_close(rms_norm(scale * x, one, 0.0), rms_norm(x, one, 0.0), rtol=0, atol=1e-12)
    if abs(shift) > 1:
        assert (rms_norm(x + shift, one) - rms_norm(x, one)).abs().max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((torch.ones(2, 3, dtype=torch.long), torch.ones(3)), TypeError, "x must be floating"),
        ((torch.ones(2, 3), torch.ones(2)), ValueError, "gain must have shape"),
        ((torch.ones(2, 3), torch.ones(1)), ValueError, "gain must have shape"),
        ((torch.ones(2, 3), torch.ones(3), -1.0), ValueError, "eps must not be"),
        ((torch.tensor(1.0), torch.ones(1)), ValueError, "gain must have shape"),
    ],
)
def test_bad_input_is_named(arguments: tuple[Any, ...], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        rms_norm(*arguments)


def test_a_bad_bias_is_named() -> None:
    with pytest.raises(ValueError, match="bias must have shape"):
        layer_norm(torch.ones(2, 3), torch.ones(3), torch.ones(2))
