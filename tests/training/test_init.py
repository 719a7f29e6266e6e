"""First weights: the same numbers as torch's and as the library's GPT, the right spread, and bad input."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from lmprep.architectures.transformer import GPT, Encoder, EncoderConfig, GPTConfig
from lmprep.training.init import fans, gain_for, gpt2_init, he_, orthogonal_, xavier_

SHAPES = [(1, 1), (7, 3), (3, 7), (4, 3, 5), (2, 5, 3, 2)]


def source(k: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(k)


# Equal to the references.


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["in", "out"])
@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0, -2.0])
def test_he_equals_torch(shape: tuple[int, ...], mode: str, slope: float) -> None:
    weight = torch.empty(shape, dtype=torch.float64)
    expected = nn.init.kaiming_normal_(weight.clone(), slope, f"fan_{mode}", generator=source())
    assert he_(weight, source(), slope=slope, mode=mode) is weight
    torch.testing.assert_close(weight, expected, rtol=1e-12, atol=0)


def test_he_with_a_steep_slope_is_small_not_an_error() -> None:
    assert he_(torch.empty(2, 3), source(), slope=1e200).abs().max() == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gain", [1.0, 5 / 3])
def test_xavier_equals_torch(shape: tuple[int, ...], gain: float) -> None:
    weight = torch.empty(shape, dtype=torch.float64)
    expected = nn.init.xavier_uniform_(weight.clone(), gain, generator=source())
    assert xavier_(weight, source(), gain=gain) is weight
    torch.testing.assert_close(weight, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_equals_torch(shape: tuple[int, ...]) -> None:
    weight = torch.empty(shape, dtype=torch.float64)
    expected = nn.init.orthogonal_(weight.clone(), 1.5, generator=source())
    assert orthogonal_(weight, source(), gain=1.5) is weight
    torch.testing.assert_close(weight, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_fans_equal_torch_in_its_layout(shape: tuple[int, ...]) -> None:
    theirs = nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    assert fans(shape) == theirs
    keras = (*shape[2:], shape[1], shape[0])
    assert fans(keras, "keras") == theirs


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (F.relu, math.sqrt(2)),
        (lambda z: F.leaky_relu(z, 0.3), math.sqrt(2 / 1.09)),
        (lambda z: z, 1.0),
        (torch.sign, 1.0),
        (lambda z: z.square(), 1 / math.sqrt(3)),
        (torch.sin, 1 / math.sqrt((1 - math.exp(-2)) / 2)),
    ],
)
def test_gain_equals_closed_forms(activation: Callable[[Tensor], Tensor], expected: float) -> None:
    assert gain_for(activation) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_gain_equals_torch_where_that_is_derived(name: Any) -> None:
    activation = {"relu": F.relu, "leaky_relu": F.leaky_relu}[name]
    assert gain_for(activation) == pytest.approx(nn.init.calculate_gain(name), abs=1e-9)


@pytest.mark.parametrize("scale", [None, 1.0, 0.3])
def test_gpt2_init_is_how_the_library_starts_its_transformers(scale: float | None) -> None:
    sizes: dict[str, Any] = {
        "vocab_size": 11,
        "context_length": 5,
        "width": 8,
        "num_layers": 3,
        "num_heads": 2,
    }
    for build, config in (
        (GPT, GPTConfig(**sizes, init_std=0.05, residual_scale=scale)),
        (Encoder, EncoderConfig(**sizes, init_std=0.05, residual_scale=scale)),
    ):
        generator = source(1)
        for name, parameter in build(config, source(1)).named_parameters():
            if parameter.ndim == 2:
                writes = "attention.output" in name or "mlp.output" in name
                factor = (6**-0.5 if scale is None else scale) if writes else 1.0
                expected = torch.empty_like(parameter).normal_(0, 0.05 * factor, generator=generator)
                torch.testing.assert_close(parameter, expected, msg=name)
            else:
                assert (parameter == (0 if name.endswith("bias") else 1)).all(), name


def test_gpt2_init_has_the_spread_of_transformers() -> None:
    config = GPT2Config(
        vocab_size=500, n_positions=64, n_embd=128, n_layer=4, n_head=4, bos_token_id=0, eos_token_id=0
    )
    theirs, ours = GPT2LMHeadModel(config), GPT2LMHeadModel(config)
    gpt2_init(ours, 4, source(), writes=("c_proj.weight",))
    for (name, ours_parameter), theirs_parameter in zip(
        ours.named_parameters(), theirs.parameters(), strict=True
    ):
        if ours_parameter.ndim == 2:
            assert ours_parameter.std().item() == pytest.approx(theirs_parameter.std().item(), rel=0.05), name
        else:
            assert torch.equal(ours_parameter, theirs_parameter), name


# Properties.


@settings(max_examples=20)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    kernel=st.lists(st.integers(1, 3), max_size=2),
    gain=st.floats(0.1, 5),
)
def test_orthogonal_rows_or_columns(rows: int, columns: int, kernel: list[int], gain: float) -> None:
    weight = orthogonal_(torch.empty(rows, columns, *kernel, dtype=torch.float64), source(), gain=gain)
    flat = weight.reshape(rows, -1)
    square = flat @ flat.mT if rows <= flat.size(1) else flat.mT @ flat
    torch.testing.assert_close(square, gain**2 * torch.eye(len(square), dtype=torch.float64))


@settings(max_examples=30)
@given(shape=st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_fans_count_products(shape: list[int]) -> None:
    fan_in, fan_out = fans(shape)
    assert fan_in * shape[0] == fan_out * shape[1] == math.prod(shape)
    assert fans(shape, "keras") == (math.prod(shape[:-1]), math.prod(shape) // shape[-2])


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), gain=st.floats(0.1, 3))
def test_xavier_stays_within_its_bound(seed: int, gain: float) -> None:
    weight = xavier_(torch.empty(40, 20), source(seed), gain=gain)
    bound = gain * math.sqrt(6 / 60)
    assert 0.97 * bound < weight.abs().max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("layout", ["torch", "keras"])
def test_a_layer_keeps_the_mean_square(layout: str) -> None:
    x = torch.randn(400, 300, generator=source(1))
    shape = (500, 300) if layout == "torch" else (300, 500)
    weight = he_(torch.empty(shape), source(), layout=layout)
    y = (x @ (weight.mT if layout == "torch" else weight)).relu()
    assert y.square().mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("activation", [F.relu, torch.tanh, F.gelu])
def test_the_gain_keeps_what_enters_the_activation(activation: Callable[[Tensor], Tensor]) -> None:
    z = torch.randn(200, 600, generator=source(1))
    for k in range(3):
        weight = he_(torch.empty(600, 600), source(2 + k), slope=1.0)
        z = gain_for(activation) * activation(z) @ weight.mT
    assert z.square().mean().item() == pytest.approx(1, abs=0.15)


def test_same_generator_same_numbers_and_global_state_untouched() -> None:
    before = torch.get_rng_state()
    for fill in (he_, xavier_, orthogonal_):
        first, second = (fill(torch.empty(4, 6), source(3)) for _ in range(2))
        assert torch.equal(first, second)
        assert not torch.equal(first, fill(torch.empty(4, 6), source(4)))
    assert torch.equal(before, torch.get_rng_state())


def test_memory_that_is_not_contiguous_and_parameters_are_filled() -> None:
    for fill in (he_, xavier_, orthogonal_):
        turned = torch.zeros(6, 4).mT
        fill(turned, source())
        assert (turned != 0).all()
        layer = nn.Linear(3, 2)
        fill(layer.weight, source())
        assert layer.weight.requires_grad and layer.weight.grad_fn is None


def test_gpt2_init_draws_a_shared_matrix_once_and_keeps_norms() -> None:
    config = GPTConfig(vocab_size=300, context_length=8, width=64, num_layers=2, num_heads=2)
    model = GPT(config, source())
    for parameter in model.parameters():
        parameter.data.fill_(0.7)
    gpt2_init(model, 2, source())
    assert model.head.weight is model.tokens.weight
    spreads = {name: parameter.std().item() for name, parameter in model.named_parameters()}
    assert spreads["tokens.weight"] == pytest.approx(0.02, rel=0.05)
    assert spreads["blocks.0.mlp.input.weight"] == pytest.approx(0.02, rel=0.05)
    assert spreads["blocks.1.mlp.output.weight"] == pytest.approx(0.01, rel=0.05)  # 0.02 / √4
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            value = 0.0 if name.endswith("bias") else 0.7
            np.testing.assert_allclose(parameter.detach(), value, rtol=1e-6)


# Bad input.


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 4, 0)])
def test_shapes_without_fans(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two axes"):
        fans(shape)
    for fill in (he_, xavier_, orthogonal_):
        with pytest.raises(ValueError, match="two axes"):
            fill(torch.empty(shape), source())


def test_unknown_words_and_numbers_out_of_range() -> None:
    weight = torch.empty(2, 3)
    with pytest.raises(ValueError, match="layout"):
        fans((2, 3), "jax")
    with pytest.raises(ValueError, match="mode"):
        he_(weight, source(), mode="fan_in")
    for slope in (math.nan, math.inf):
        with pytest.raises(ValueError, match="slope"):
            he_(weight, source(), slope=slope)
    for gain in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="gain"):
            xavier_(weight, source(), gain=gain)
        with pytest.raises(ValueError, match="gain"):
            orthogonal_(weight, source(), gain=gain)
    for activation in (torch.zeros_like, lambda z: z / 0):
        with pytest.raises(ValueError, match="activation"):
            gain_for(activation)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "num_layers"),
        ({"num_layers": 3}, "writes"),
        ({"num_layers": 2, "writes": ("c_proj.weight",)}, "writes"),
        ({"num_layers": 2, "std": -0.1}, "std"),
        ({"num_layers": 2, "std": math.nan}, "std"),
        ({"num_layers": 2, "residual_scale": math.inf}, "residual_scale"),
    ],
)
def test_gpt2_init_refuses(options: dict[str, Any], message: str) -> None:
    config = GPTConfig(vocab_size=5, context_length=4, width=4, num_layers=2, num_heads=1)
    model = GPT(config, source())
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(ValueError, match=message):
        gpt2_init(model, generator=source(), **options)
    assert all(map(torch.equal, before, model.parameters()))
