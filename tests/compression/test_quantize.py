"""lmprep.compression.quantize against torch's quantization and plain arithmetic, and at the edges."""

import itertools
import math
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lmprep.compression.quantize import (
    Grid,
    best_ranges,
    dequantize,
    fake_quantize,
    int_linear,
    linear_inputs,
    pack_int4,
    qparams,
    quantize,
    simulate,
    sqnr,
    unpack_int4,
)

sizes = st.integers(1, 7)
seeds = st.integers(0, 2**32)
some_bits = st.integers(2, 8)
scales = st.sampled_from([1e-6, 1.0, 1e4])
shifts = st.sampled_from([-5.0, -1.0, 0.0, 0.3, 5.0])


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- grids ---------------------------------------------------------------------------------------------


def test_eight_weights_by_hand() -> None:
    row = torch.tensor([-0.40, -0.13, 0.00, 0.05, 0.31, 0.57, 0.92, 1.40], dtype=torch.float64)
    grid = qparams(row, 4)
    assert (grid.low, grid.high, grid.zero_point.item()) == (-7, 7, 0)
    assert grid.scale.item() == pytest.approx(0.2)
    assert quantize(row, grid).tolist() == [-2, -1, 0, 0, 2, 3, 5, 7]
    grid = qparams(row, 4, symmetric=False)
    assert (grid.low, grid.high, grid.zero_point.item()) == (0, 15, 3)
    assert grid.scale.item() == pytest.approx(0.12)
    assert quantize(row, grid).tolist() == [0, 2, 3, 3, 6, 8, 11, 15]
    expected = [-0.36, -0.12, 0, 0, 0.36, 0.60, 0.96, 1.44]
    assert dequantize(quantize(row, grid), grid).tolist() == pytest.approx(expected)


@given(N=sizes, C=sizes, bits=some_bits, symmetric=st.booleans(), scale=scales, shift=shifts, seed=seeds)
def test_within_the_range_nothing_moves_by_more_than_half_a_step(
    N: int, C: int, bits: int, symmetric: bool, scale: float, shift: float, seed: int
) -> None:
    x = scale * (normal(N, C, seed=seed) + shift)
    for axis in (None, 0, 1, -1, (0, 1), ()):
        grid = qparams(x, bits, symmetric=symmetric, axis=axis)
        moved = (dequantize(quantize(x, grid), grid) - x).abs()
        assert (moved <= grid.scale * (0.5 + 1e-9)).all()
        zeros = torch.zeros_like(x)
        assert torch.equal(dequantize(quantize(zeros, grid), grid), zeros)  # exactly
        codes = quantize(x, grid)
        assert codes.min() >= grid.low and codes.max() <= grid.high
        assert codes.dtype == (torch.int8 if symmetric else torch.uint8)


@given(N=sizes, C=sizes, bits=some_bits, symmetric=st.booleans(), shift=shifts, seed=seeds)
def test_the_grid_is_as_fine_as_the_range_allows(
    N: int, C: int, bits: int, symmetric: bool, shift: float, seed: int
) -> None:
    x = normal(N, C, seed=seed) + shift
    grid = qparams(x, bits, symmetric=symmetric)
    low, high = min(x.min().item(), 0.0), max(x.max().item(), 0.0)
    width = 2 * max(-low, high) if symmetric else high - low
    steps = 2**bits - (2 if symmetric else 1)
    assert grid.scale.item() == pytest.approx(width / steps)
    assert steps == grid.high - grid.low


def test_shapes_of_grids() -> None:
    x = normal(4, 6)
    assert qparams(x, 4).scale.shape == ()
    assert qparams(x, 4, axis=0).scale.shape == (4, 1)
    assert qparams(x, 4, axis=-1).scale.shape == (1, 6)
    assert qparams(x, 4, axis=(0, 1)).scale.shape == (4, 6)
    assert qparams(x.reshape(4, 2, 3), 4, axis=(0, 1)).zero_point.shape == (4, 2, 1)
    assert qparams(x[0, 0], 4).scale.shape == ()
    rows = torch.stack([qparams(row, 5, symmetric=False).scale for row in x])
    assert torch.equal(qparams(x, 5, symmetric=False, axis=0).scale[:, 0], rows)


@pytest.mark.parametrize("symmetric", [True, False])
def test_constant_one_sided_and_zero_tensors(symmetric: bool) -> None:
    zero = qparams(torch.zeros(3, 2), 4, symmetric=symmetric, axis=0)
    assert zero.scale.tolist() == [[1.0]] * 3
    assert zero.zero_point.tolist() == [[0]] * 3
    assert quantize(torch.zeros(3, 2), zero).count_nonzero() == 0
    for value in (2.5, -2.5):
        grid = qparams(torch.full((3,), value), 8, symmetric=symmetric)
        assert dequantize(quantize(torch.full((3,), value), grid), grid).tolist() == pytest.approx(
            [value] * 3
        )
    if not symmetric:
        assert qparams(torch.tensor([2.0, 5.0]), 8, symmetric=False).zero_point == 0
        assert qparams(torch.tensor([-2.0, -5.0]), 8, symmetric=False).zero_point == 255


def test_the_largest_floats_have_a_grid() -> None:
    x = torch.tensor([-3.4e38, 0.0, 3.4e38])
    for symmetric in (True, False):
        grid = qparams(x, 8, symmetric=symmetric)
        assert grid.scale.isfinite() and quantize(x, grid)[1] == grid.zero_point


def test_beyond_the_range_codes_are_those_of_the_ends() -> None:
    for symmetric, low, high in ((True, -7, 7), (False, 0, 15)):
        grid = qparams(torch.tensor([-1.0, 2.0]), 4, symmetric=symmetric)
        x = torch.tensor([-math.inf, -1e30, -9.0, 9.0, 1e30, math.inf])
        assert quantize(x, grid).tolist() == [low] * 3 + [high] * 3


def test_half_precision_is_taken_as_float32() -> None:
    x = normal(5, 6, dtype=torch.float32).bfloat16()
    grid = qparams(x, 4, axis=0)
    assert grid.scale.dtype == torch.float32
    assert torch.equal(grid.scale, qparams(x.float(), 4, axis=0).scale)
    assert fake_quantize(x, grid).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("axis", [None, 0])
def test_codes_of_half_precision_are_those_of_float32(dtype: torch.dtype, axis: int | None) -> None:
    x = normal(5, 400, dtype=torch.float32).to(dtype).requires_grad_()
    for symmetric in (True, False):
        grid = qparams(x, 8, symmetric=symmetric, axis=axis)
        assert torch.equal(quantize(x, grid), quantize(x.float(), grid))
        assert torch.equal(fake_quantize(x, grid), fake_quantize(x.float(), grid).to(dtype))
    (gradient,) = torch.autograd.grad(fake_quantize(x, grid).sum(), x)
    assert gradient.dtype == dtype and (gradient == 1).all()


def test_double_precision_is_kept_on_a_grid_in_float32() -> None:
    grid = Grid(torch.tensor(1.0), torch.tensor(0, dtype=torch.int32), -127, 127)
    assert quantize(torch.tensor([0.5 + 1e-12], dtype=torch.float64), grid).item() == 1


# --- against torch -------------------------------------------------------------------------------------


def away_from_ties(codes: Tensor, scale: Tensor) -> Tensor:
    """Values up to 0.4 steps from those of the codes: however a library rounds, there is one answer."""
    return ((codes + 0.4 * torch.sin(1000 * codes)) * scale).float()


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_codes_are_those_of_torchs_quantized_tensors() -> None:
    x = away_from_ties(torch.arange(-20.0, 300.0), torch.tensor(0.05))
    grid = Grid(torch.tensor(0.05), torch.tensor(9, dtype=torch.int32), 0, 255)
    theirs = torch.quantize_per_tensor(x, 0.05, 9, torch.quint8)
    assert torch.equal(quantize(x, grid), theirs.int_repr())
    torch.testing.assert_close(dequantize(quantize(x, grid), grid), theirs.dequantize())

    scale = torch.tensor([0.5, 0.01, 3.0])
    w = away_from_ties(torch.arange(-120.0, 120.0).reshape(3, 80), scale[:, None])
    grid = Grid(scale[:, None], torch.zeros(3, 1, dtype=torch.int32), -127, 127)
    theirs = torch.quantize_per_channel(w, scale, torch.zeros(3), 0, torch.qint8)
    assert torch.equal(quantize(w, grid), theirs.int_repr())


@pytest.mark.parametrize("symmetric", [True, False])
def test_qparams_are_those_of_torchs_observers(symmetric: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.ao.quantization.observer import MinMaxObserver

        for shift in (-3.0, -0.2, 0.0, 0.4, 3.0):
            x = normal(50, dtype=torch.float32) + shift
            ends = (-127, 127) if symmetric else (0, 255)
            scheme = torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine
            dtype = torch.qint8 if symmetric else torch.quint8
            observer = MinMaxObserver(dtype=dtype, qscheme=scheme, quant_min=ends[0], quant_max=ends[1])
            observer(x)
            scale, zero_point = observer.calculate_qparams()
            grid = qparams(x, 8, symmetric=symmetric)
            assert grid.scale.item() == pytest.approx(scale.item(), rel=1e-5)
            assert grid.zero_point.item() == zero_point.item()


@given(bits=some_bits, symmetric=st.booleans(), narrower=st.sampled_from([1.0, 0.5]), seed=seeds)
def test_values_and_gradients_are_those_of_torchs_fake_quantization(
    bits: int, symmetric: bool, narrower: float, seed: int
) -> None:
    sample = normal(3, 9, seed=seed, dtype=torch.float32)
    grid = qparams(narrower * sample, bits, symmetric=symmetric, axis=0)
    first, last = grid.low - grid.zero_point - 6, grid.high - grid.zero_point + 6
    codes = (
        first + (last - first) * torch.rand(3, 20, generator=torch.Generator().manual_seed(seed))
    ).round()
    x = away_from_ties(codes, grid.scale)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    found = fake_quantize(ours, grid)
    expected = torch.fake_quantize_per_channel_affine(
        theirs, grid.scale[:, 0], grid.zero_point[:, 0], 0, grid.low, grid.high
    )
    torch.testing.assert_close(found, expected, atol=0, rtol=1e-6)
    upstream = normal(3, 20, dtype=torch.float32)
    found.backward(upstream)
    expected.backward(upstream)
    assert ours.grad is not None and torch.equal(ours.grad, theirs.grad)


def test_fake_quantization_is_a_round_trip_and_cuts_gradients_beyond_the_ends() -> None:
    grid = Grid(torch.tensor(0.5), torch.tensor(0, dtype=torch.int32), -3, 3)
    x = torch.tensor([-math.inf, -9.0, -1.6, -0.1, 0.0, 0.8, 1.7, 1.8, math.inf], requires_grad=True)
    y = fake_quantize(x, grid)
    assert y.tolist() == [-1.5, -1.5, -1.5, 0.0, 0.0, 1.0, 1.5, 1.5, 1.5]
    assert torch.equal(y, dequantize(quantize(x.detach(), grid), grid))
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]


# --- granularity ---------------------------------------------------------------------------------------


@given(R=sizes, G=sizes, size=sizes, bits=some_bits, symmetric=st.booleans(), seed=seeds)
def test_granularity_is_rounding_the_parts_one_by_one(
    R: int, G: int, size: int, bits: int, symmetric: bool, seed: int
) -> None:
    w = normal(R, G * size, seed=seed)

    def alone(part: Tensor) -> Tensor:
        return fake_quantize(part, qparams(part, bits, symmetric=symmetric))

    def found(granularity: Any) -> Tensor:
        return simulate(w, bits, granularity, symmetric=symmetric)

    assert torch.equal(found("tensor"), alone(w))
    assert torch.equal(found("row"), torch.stack([alone(row) for row in w]))
    pieces = [torch.cat([alone(part) for part in row.split(size)]) for row in w]
    assert torch.equal(found(size), torch.stack(pieces))
    assert torch.equal(found(G * size), found("row"))


@given(R=sizes, C=sizes, bits=some_bits, seed=seeds)
def test_with_a_scale_each_row_powers_of_two_change_nothing(R: int, C: int, bits: int, seed: int) -> None:
    w = normal(R, C, seed=seed)
    factor = 2.0 ** torch.randint(-9, 9, (R, 1), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(simulate(factor * w, bits), factor * simulate(w, bits))


@pytest.mark.parametrize("symmetric", [True, False])
def test_one_bit_is_worth_six_decibels_where_steps_are_fine(symmetric: bool) -> None:
    x = 2 * torch.rand(1, 200_000, generator=torch.Generator().manual_seed(0)) - 1
    levels = [sqnr(x, simulate(x, bits, "tensor", symmetric=symmetric)) for bits in (6, 7, 8)]
    steps = [2**bits - (2 if symmetric else 1) for bits in (6, 7, 8)]
    for level, step in zip(levels, steps, strict=True):
        assert level == pytest.approx(20 * math.log10(step), abs=0.1)  # x² is 1/3, s²/12 is (2/step)²/12


def test_sqnr() -> None:
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    assert sqnr(x, torch.tensor([3.0, 4.5])) == pytest.approx(20)
    assert sqnr(x, torch.zeros(2)) == 0
    assert sqnr(x, x) == math.inf


# --- integers ------------------------------------------------------------------------------------------


@given(
    shape=st.sampled_from([(3,), (4, 3), (2, 4, 3), (0, 3)]),
    R=sizes,
    schemes=st.tuples(st.booleans(), st.booleans()),
    axes=st.tuples(st.booleans(), st.booleans()),
    shift=shifts,
    seed=seeds,
)
def test_int_linear_is_linear_of_what_the_codes_stand_for(
    shape: tuple[int, ...],
    R: int,
    schemes: tuple[bool, bool],
    axes: tuple[bool, bool],
    shift: float,
    seed: int,
) -> None:
    x, w, bias = normal(*shape, seed=seed) + shift, normal(R, 3, seed=seed + 1) - shift, normal(R)
    sample = x if x.numel() else torch.ones(1, 3, dtype=torch.float64)
    tokens = tuple(range(x.ndim - 1)) if axes[0] and x.numel() else None
    x_grid = qparams(sample, 8, symmetric=schemes[0], axis=tokens)
    w_grid = qparams(w, 8, symmetric=schemes[1], axis=0 if axes[1] else None)
    x_q, w_q = quantize(x, x_grid), quantize(w, w_grid)
    x_value = (x_q.double() - x_grid.zero_point) * x_grid.scale
    w_value = (w_q.double() - w_grid.zero_point) * w_grid.scale
    found = int_linear(x_q, x_grid, w_q, w_grid, bias)
    torch.testing.assert_close(found, F.linear(x_value, w_value, bias), atol=1e-9, rtol=1e-12)
    torch.testing.assert_close(
        int_linear(x_q, x_grid, w_q, w_grid), F.linear(x_value, w_value), atol=1e-9, rtol=1e-12
    )


def test_sums_do_not_overflow_at_the_largest_size() -> None:
    size = 2**31 // 255**2
    ones, grid = (
        torch.full((1, size), 255, dtype=torch.uint8),
        Grid(*(torch.tensor(1.0), torch.tensor(0)), 0, 255),
    )
    assert int_linear(ones, grid, ones, grid).item() == pytest.approx(255**2 * size, rel=1e-6)
    at_255 = Grid(torch.tensor(1.0), torch.tensor(255, dtype=torch.int32), 0, 255)
    zeros = torch.zeros_like(ones)
    assert int_linear(zeros, at_255, zeros, at_255).item() == pytest.approx(255**2 * size, rel=1e-6)
    with pytest.raises(ValueError, match="overflow"):
        long = torch.zeros(1, size + 1, dtype=torch.uint8)
        int_linear(long, grid, long, grid)


@given(bits=some_bits, seed=seeds)
def test_the_best_range_of_each_row_is_found_alone_and_never_worse(bits: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(4, 12, generator=g) * torch.exp(2 * torch.randn(4, 1, generator=g))
    ours = best_ranges(w, bits, "row")
    for row, rounded in zip(w, ours, strict=True):
        widest = row.abs().max().item()
        tries = []
        for part in (0.15, 0.4, 0.7, 1.0):
            step = part * widest / (2 ** (bits - 1) - 1)
            low, high = 1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1
            tries.append(torch.fake_quantize_per_tensor_affine(row, step, 0, low, high))
        errors = torch.stack([(found - row).square().sum() for found in tries])
        torch.testing.assert_close((rounded - row).square().sum(), errors.min(), rtol=1e-4, atol=1e-6)
    for share in ("row", "tensor"):
        fitted, plain = best_ranges(w, bits, share), simulate(w, bits, share)  # type: ignore[arg-type]
        assert (fitted - w).square().sum() <= (plain - w).square().sum()
    flat = best_ranges(w.reshape(1, -1), bits, "row").reshape(w.shape)
    assert torch.equal(best_ranges(w, bits, "tensor"), flat)


def test_one_outlier_is_cut_off() -> None:
    w = torch.cat([torch.linspace(-1, 1, 2000), torch.tensor([10.0])])[None]
    assert best_ranges(w, 4, "row").max() < 5
    assert torch.equal(best_ranges(w[:, :2000], 8, "row"), simulate(w[:, :2000], 8))


@given(rows=st.integers(0, 5), pairs=st.integers(0, 5), seed=seeds)
def test_two_codes_fit_a_byte(rows: int, pairs: int, seed: int) -> None:
    q = torch.randint(
        -8, 8, (rows, 2 * pairs), generator=torch.Generator().manual_seed(seed), dtype=torch.int8
    )
    packed = pack_int4(q)
    assert packed.dtype == torch.uint8 and packed.shape == (rows, pairs)
    assert torch.equal(unpack_int4(packed), q)


def test_packing_puts_the_first_code_low_and_knows_all_pairs() -> None:
    assert pack_int4(torch.tensor([1, -1], dtype=torch.int8)).tolist() == [0xF1]
    pairs = torch.tensor(list(itertools.product(range(-8, 8), repeat=2)), dtype=torch.int8)
    assert torch.equal(unpack_int4(pack_int4(pairs)), pairs)
    assert pack_int4(pairs).unique().numel() == 256
    strided = pairs.T[:, ::2].T
    assert torch.equal(unpack_int4(pack_int4(strided)), strided)


# --- calibration ---------------------------------------------------------------------------------------


def test_linear_inputs_are_what_layers_read() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x, y = normal(2, 5, 3, dtype=torch.float32), normal(1, 3, dtype=torch.float32)
    found = linear_inputs(model, lambda: (model(x), model(y)))
    assert list(found) == ["0", "2"]
    assert torch.equal(found["0"], torch.cat([x.reshape(10, 3), y]))
    assert found["2"].shape == (11, 4) and not found["2"].requires_grad
    torch.testing.assert_close(found["2"], model[0](found["0"]).relu().detach())
    assert not model[0]._forward_pre_hooks


def test_hooks_are_removed_when_a_run_fails() -> None:
    model = nn.Linear(3, 4)
    with pytest.raises(RuntimeError):
        linear_inputs(model, lambda: model(torch.zeros(2, 7)))
    assert not model._forward_pre_hooks


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 0, 9, -4])
def test_bits_out_of_range(bits: int) -> None:
    with pytest.raises(ValueError, match="bits must be"):
        qparams(torch.ones(3), bits)


@pytest.mark.parametrize("x", [torch.ones(0), torch.tensor([math.nan]), torch.tensor([1.0, math.inf])])
def test_nothing_to_fit_a_grid_to(x: Tensor) -> None:
    with pytest.raises(ValueError, match="finite and not empty"):
        qparams(x, 8)


def test_other_bad_input() -> None:
    x, grid = torch.ones(2, 4), qparams(torch.ones(2, 4), 8)
    q, codes = quantize(x, grid), qparams(torch.ones(2, 4), 8, axis=1)
    with pytest.raises(TypeError, match="floating point"):
        qparams(torch.ones(3, dtype=torch.int32), 8)
    for axis in (2, -3, (0, 2)):
        with pytest.raises(ValueError, match="axis must be"):
            qparams(x, 8, axis=axis)
    for function in (quantize, fake_quantize):
        with pytest.raises(ValueError, match="NaN"):
            function(torch.tensor([math.nan]), grid)
        with pytest.raises(TypeError, match="floating point"):
            function(torch.arange(3), grid)
        for shape, axis in (((5, 3), 0), ((3, 4), 1), ((1, 4), (0, 1))):
            with pytest.raises(ValueError, match="does not fit"):
                function(torch.ones(3), qparams(torch.ones(shape), 8, axis=axis))
    with pytest.raises(ValueError, match="two axes"):
        simulate(torch.ones(3), 4)
    for granularity in (3, 0, -2):
        with pytest.raises(ValueError, match="divide"):
            simulate(x, 4, granularity)
    with pytest.raises(ValueError, match="'row'"):
        simulate(x, 4, "channel")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two axes"):
        best_ranges(torch.ones(3), 4, "row")
    with pytest.raises(ValueError, match="'row'"):
        best_ranges(x, 4, "channel")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="quantize it first"):
        int_linear(x, grid, q, grid)
    with pytest.raises(ValueError, match="no common factor"):
        int_linear(q, codes, q, grid)
    with pytest.raises(ValueError, match="no common factor"):
        int_linear(q, grid, q, codes)
    with pytest.raises(ValueError, match="must be"):
        int_linear(q, grid, q[:, :3], grid)
    other = qparams(torch.ones(5, 4), 8, axis=0)
    groups = qparams(torch.ones(2, 1, 4), 8, axis=(0, 1))
    for wrong in (other, groups):
        with pytest.raises(ValueError, match="x_grid"):
            int_linear(q, wrong, q, grid)
        with pytest.raises(ValueError, match="weight_grid"):
            int_linear(q, grid, q, wrong)
    for bias in (torch.ones(4), torch.ones(2, 1), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="bias"):
            int_linear(q, grid, q, grid, bias)
    with pytest.raises(TypeError, match="int8"):
        pack_int4(torch.ones(2, dtype=torch.uint8))
    with pytest.raises(ValueError, match="even"):
        pack_int4(torch.ones(3, dtype=torch.int8))
    with pytest.raises(ValueError, match="−8 to 7"):
        pack_int4(torch.tensor([8, 0], dtype=torch.int8))
    with pytest.raises(TypeError, match="uint8"):
        unpack_int4(torch.ones(2, dtype=torch.int8))
    with pytest.raises(ValueError, match="axis"):
        unpack_int4(torch.tensor(1, dtype=torch.uint8))
    with pytest.raises(ValueError, match="one shape"):
        sqnr(x, x[0])
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            sqnr(torch.ones(2), torch.tensor([1.0, value]))
    with pytest.raises(ValueError, match="no signal"):
        sqnr(torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match="reached"):
        linear_inputs(nn.Linear(2, 2), lambda: None)
