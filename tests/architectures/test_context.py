"""Receptive fields by the Jacobian, the masks, and blocks that see what their mask lets through."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from lmprep.architectures.context import MaskedBlocks, attention_mask, influence, receptive_field
from lmprep.architectures.position import sinusoidal


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def blocks(kind: Any, num_blocks: int = 1, **options: Any) -> MaskedBlocks:
    torch.manual_seed(0)
    return MaskedBlocks(4, kind, num_blocks, **options).double()


# --- the Jacobian ----------------------------------------------------------------------------------------


def test_influence_of_a_linear_map_over_time_is_its_matrix() -> None:
    matrix = normal(5, 3)
    x = normal(1, 3, 1)
    torch.testing.assert_close(influence(lambda x: matrix @ x, x), matrix.abs())
    assert torch.equal(receptive_field(lambda x: matrix.tril() @ x, x), matrix.tril() != 0)


def test_influence_is_the_norm_of_torchs_jacobian() -> None:
    layer = nn.GRU(3, 2, batch_first=True).double()
    x = normal(2, 4, 3)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x)[0], x)  # (B, T, E, B, S, D)
    torch.testing.assert_close(
        influence(lambda x: layer(x)[0], x), jacobian.square().sum(dim=(0, 2, 3, 5)).sqrt()
    )


@pytest.mark.parametrize(
    ("layer", "offsets"),
    [
        (nn.Conv1d(3, 2, 3, padding=1), range(-1, 2)),
        (nn.Conv1d(3, 2, 5, padding=2, dilation=1), range(-2, 3)),
        (nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(3, 2, 3)), range(-2, 1)),
    ],
)
def test_a_convolution_has_a_band(layer: nn.Module, offsets: range) -> None:
    layer = layer.double()
    field = receptive_field(lambda x: layer(x.mT).mT, normal(1, 8, 3))
    want = torch.tensor([[s - t in offsets for s in range(8)] for t in range(8)])
    assert torch.equal(field, want)


def test_a_path_between_sequences_counts() -> None:
    x = normal(2, 3, 1)
    assert torch.equal(receptive_field(lambda x: x.flip(0), x), torch.eye(3, dtype=torch.bool))


def test_one_of_several_sequences_is_enough_to_show_a_path() -> None:
    x = torch.tensor([[[1.0], [-1.0]], [[-1.0], [1.0]]])  # each ReLU is off in one of them
    assert torch.equal(receptive_field(F.relu, x), torch.eye(2, dtype=torch.bool))
    assert not receptive_field(F.relu, x[:1])[1, 1]


def test_tiny_derivatives_are_paths_though_their_squares_underflow() -> None:
    assert receptive_field(lambda x: 1e-30 * x, torch.ones(1, 1, 1)).all()


def test_works_without_gradients_and_leaves_x_alone() -> None:
    x = normal(1, 3, 2)
    before = x.clone()
    with torch.no_grad():
        assert receptive_field(lambda x: x.cumsum(dim=1), x).equal(torch.ones(3, 3).tril() == 1)
    assert torch.equal(x, before) and not x.requires_grad


@pytest.mark.parametrize(
    ("fn", "x", "error", "message"),
    [
        (lambda x: x, torch.zeros(1, 2, 3).long(), TypeError, "embeddings"),
        (lambda x: x, torch.zeros(2, 3), ValueError, r"\(B, S, D\)"),
        (lambda x: x, torch.zeros(1, 0, 3), ValueError, "empty"),
        (lambda x: (x, x), torch.zeros(1, 2, 3), TypeError, "tuple"),
        (lambda x: x.sum(dim=1), torch.zeros(1, 2, 3), ValueError, r"\(B, T, E\)"),
        (lambda x: x.detach(), torch.zeros(1, 2, 3), ValueError, "cut off"),
        (lambda x: x.sqrt() * 0, torch.zeros(1, 2, 3), ValueError, "NaN"),
    ],
)
def test_refuses(fn: Any, x: Tensor, error: type[Exception], message: str) -> None:
    for measure in (influence, receptive_field):
        with pytest.raises(error, match=message):
            measure(fn, x)


# --- masks -----------------------------------------------------------------------------------------------


@given(T=st.integers(0, 12), window=st.integers(1, 15), prefix=st.integers(0, 15))
def test_masks_pair_by_pair(T: int, window: int, prefix: int) -> None:
    rules = {
        "causal": lambda i, j: j <= i,
        "bidirectional": lambda i, j: True,
        "sliding": lambda i, j: 0 <= i - j < window,
        "prefix": lambda i, j: j <= i or (i < prefix and j < prefix),
    }
    for kind, sees in rules.items():
        mask = attention_mask(T, kind, window=window, prefix=prefix)  # type: ignore[arg-type]
        assert mask.dtype == torch.bool and mask.shape == (T, T)
        assert mask.tolist() == [[sees(i, j) for j in range(T)] for i in range(T)]


def test_sliding_mask_is_transformers() -> None:
    masking = pytest.importorskip("transformers.masking_utils")
    allowed = masking.sliding_window_causal_mask_function(3)
    i, j = torch.arange(7)[:, None], torch.arange(7)
    assert torch.equal(attention_mask(7, "sliding", window=3), allowed(0, 0, i, j))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("full", {}, "kind must be one of causal"),
        ("sliding", {}, "at least 1, got 0"),
        ("sliding", {"window": -2}, "at least 1, got -2"),
        ("prefix", {"prefix": -1}, "not be negative, got -1"),
    ],
)
def test_masks_and_blocks_refuse(kind: Any, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention_mask(4, kind, **options)
    with pytest.raises(ValueError, match=message):
        MaskedBlocks(4, kind, **options)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        attention_mask(-1, "causal")


# --- blocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["causal", "bidirectional", "prefix"])
def test_two_blocks_see_what_one_mask_allows(kind: Any) -> None:
    field = receptive_field(blocks(kind, 2, prefix=3), normal(1, 6, 4))
    assert torch.equal(field, attention_mask(6, kind, prefix=3))


@settings(max_examples=5, deadline=None)
@given(window=st.integers(1, 3), depth=st.integers(1, 3))
def test_stacked_windows_reach_depth_times_window_minus_one(window: int, depth: int) -> None:
    field = receptive_field(blocks("sliding", depth, window=window), normal(1, 8, 4))
    assert torch.equal(field, attention_mask(8, "sliding", window=depth * (window - 1) + 1))


def test_a_prefix_gives_the_same_as_the_whole_text_under_a_causal_mask_only() -> None:
    x = normal(2, 7, 4)
    with torch.no_grad():
        for kind, same in (("causal", True), ("bidirectional", False)):
            model = blocks(kind, 2)
            assert torch.allclose(model(x)[:, :4], model(x[:, :4]), atol=1e-12) is same


def test_blocks_differ_in_their_mask_only() -> None:
    weights = [blocks(kind, window=1).state_dict() for kind in ("causal", "bidirectional", "sliding")]
    for name, weight in weights[0].items():
        assert all(torch.equal(weight, other[name]) for other in weights[1:])


def test_blocks_that_add_nothing_leave_the_input_and_its_positions() -> None:
    model = blocks("causal", 2)
    for name, parameter in model.named_parameters():
        if ".output." in name:
            nn.init.zeros_(parameter)
    x = normal(2, 5, 4)
    torch.testing.assert_close(model(x), x + sinusoidal(5, 4))
