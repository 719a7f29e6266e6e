"""Affine quantization to uint8, with the range from calibration."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, as_array, compact, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `quantize_affine(x, low, high)`: activations rounded to bytes on an affine grid. Calibration saw values
from `low` to `high`; if 0 is not among them, widen the range until it is. The scale is the width of that
range over 255, and the zero point the whole number nearest to minus its lower end over the scale, so that 0.0
is exact; a range of nothing but 0 gets scale 1 and zero point 0. The code of a value is `x / scale`, rounded
to the nearest whole number, plus the zero point; what lies beyond the codes 0 and 255, infinities too, is cut
off there. Exactly halfway, either neighbor is right, for codes and zero point. Return the codes, the scale
and the zero point.
"""

STARTER = '''
import torch


def quantize_affine(
    x: torch.Tensor, low: float, high: float
) -> tuple[torch.Tensor, float, int]:
    """Codes (uint8, the shape of x), scale and zero point.

    x: any shape, float32 or float64, no NaN; may leave [low, high].
    low, high: low <= high, the range seen in calibration.
    """
    raise NotImplementedError
'''

HINTS = (
    "Work out the range first, then two numbers, then the codes. What should happen to a range from 2 to 5, "
    "and what to one from 0 to 0?",
    "The zero point is a code: a whole number from 0 to 255. If it is rounded before it is added, which code "
    "does 0.0 get, and what comes back from it? And what does a cast to uint8 do with 256?",
    "Take the smaller of low and 0 and the larger of high and 0. Their difference over 255 is the scale, or "
    "1 if it is 0; minus the lower end over the scale, rounded, is the zero point. Divide x by the scale, "
    "round, add the zero point, clamp to 0 and 255, and only then cast.",
)


def quantize_affine(x: torch.Tensor, low: float, high: float) -> tuple[torch.Tensor, float, int]:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    zero_point = round(-low / scale)
    codes = ((x / scale).round() + zero_point).clamp(0, 255)
    return codes.to(torch.uint8), scale, zero_point


# What the checks compare with: the definition, in float64, with room for either neighbor halfway.

ROOM = 1e-3  # in steps: float32 places 255 steps to within 1e-5 or so
RANGES = ((0.0, 1.0), (-1.0, 0.0), (-0.4, 1.4), (-1.0, 3.0), (-7.0, 0.3))
ONE_SIDED = ((2.0, 5.0), (0.3, 0.4), (-5.0, -2.0), (3.0, 3.0), (-3.0, -3.0))


def inputs(
    rng: Rng, low: float, high: float, *shape: int, dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Values in a range that is widened to include 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    x = torch.from_numpy(low + (high - low) * rng.random(shape))
    return {"x": x.to(dtype), "low": low, "high": high}


def drawn(rng: Rng, *shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Some of x beyond a range that holds 0."""
    low, high = -float(rng.uniform(0.2, 2.0)), float(rng.uniform(0.2, 2.0))
    return {"x": 1.5 * normal(rng, *shape, dtype=dtype), "low": low, "high": high}


def definition(low: float, high: float) -> tuple[float, float]:
    """The scale, and where 0 lies before it is rounded."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    return scale, -low / scale


def answer(candidate: Candidate, given: dict[str, Any]) -> tuple[Call, np.ndarray, float, float]:
    """The call, codes as float64, scale and zero point, if they are of the right kind."""
    call = Call(candidate, **given)
    value = call.value
    if not isinstance(value, tuple | list) or len(value) != 3:
        cause = "a missing `return`" if value is None else "a result left out of the `return`"
        call.fail("a tuple of 3: (codes, scale, zero_point)", type(value).__name__, cause)
    codes, *numbers = value
    if not isinstance(codes, Tensor) or codes.dtype != torch.uint8 or codes.shape != given["x"].shape:
        cause = "a missing cast, int8 in place of uint8, or the values instead of their codes"
        shape = tuple(given["x"].shape)
        call.fail(f"codes: a torch.uint8 tensor of shape {shape}", _kind(codes), cause)
    found = []
    for name, number in zip(("scale", "zero_point"), numbers, strict=True):
        array = as_array(number) if not isinstance(number, str | bool | None) else np.zeros(0)
        if array.size != 1 or not np.isfinite(array).all():
            call.fail(f"{name}: one finite number", compact(number), "division by a range of 0, or one value "
                      "for each x")  # fmt: skip
        found.append(float(array.reshape(())))
    scale, zero_point = found
    call.holds(scale > 0, expected="scale above 0", got=f"scale = {scale:.4g}",
               cause="a range of 0 that is not treated by itself")  # fmt: skip
    whole = zero_point == round(zero_point)
    call.holds(whole and 0 <= zero_point <= 255,
               expected="zero_point: a whole number from 0 to 255", got=f"zero_point = {zero_point:.6g}",
               cause="a wrong sign, or a range that lacks 0" if whole else
               "a zero point that is not rounded")  # fmt: skip
    return call, as_array(codes), scale, zero_point


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return type(value).__name__


def compare(candidate: Candidate, given: dict[str, Any], cause: str) -> Call:
    """Scale, zero point and codes as defined."""
    call, codes, scale, zero_point = answer(candidate, given)
    wanted, place = definition(given["low"], given["high"])
    call.holds(math.isclose(scale, wanted, rel_tol=1e-5), expected=f"scale = {wanted:.6g}",
               got=f"scale = {scale:.6g}", cause="255 steps lie between 256 codes; or " + cause)  # fmt: skip
    call.holds(abs(zero_point - place) <= 0.5 + ROOM, expected=f"zero_point = {round(place)}",
               got=f"zero_point = {zero_point:.0f}", cause="rounding down or up, the wrong end, or a wrong "
               "sign")  # fmt: skip
    exact = np.clip(as_array(given["x"]) / wanted + zero_point, 0, 255)
    off = np.abs(codes - exact)
    if off.size and off.max() > 0.5 + ROOM:
        worst = np.unravel_index(int(off.argmax()), off.shape)
        value = as_array(given["x"])[worst]
        call.fail(f"x = {value:.6g} gets code {exact[worst]:.2f}, rounded", f"{codes[worst]:.0f}", cause)
    return call


# Checks.


def kinds(candidate: Candidate, rng: Rng) -> None:
    """Returns uint8 codes in the shape of x, a scale above 0 and a whole zero point."""
    for shape in ((1,), (2,), (2, 3)):
        answer(candidate, drawn(rng, *shape))


def zero_is_exact(candidate: Candidate, rng: Rng) -> None:
    """0.0 gets the zero point as its code, and so comes back as 0.0."""
    del rng
    for low, high in RANGES:
        given = {"x": torch.zeros(1), "low": low, "high": high}
        call, codes, _, zero_point = answer(candidate, given)
        call.holds(codes[0] == zero_point, expected=f"x = 0 gets code {zero_point:.0f}, the zero point",
                   got=f"{codes[0]:.0f}", cause="a zero point added before rounding")  # fmt: skip


def half_a_step(candidate: Candidate, rng: Rng) -> None:
    """Within the range, no value moves by more than half a step."""
    for low, high in RANGES:
        for size in (1, 3, 50):
            given = inputs(rng, low, high, size)
            call, codes, scale, zero_point = answer(candidate, given)
            step = (max(high, 0.0) - min(low, 0.0)) / 255
            moved = np.abs(scale * (codes - zero_point) - as_array(given["x"])).max() / step
            call.holds(moved <= 0.5 + ROOM, expected="moved by at most 0.5 steps", got=f"{moved:.3g} steps",
                       cause="rounding down or cutting off digits in place of rounding, or codes and "
                       "scale that do not belong together")  # fmt: skip


def values(candidate: Candidate, rng: Rng) -> None:
    """Scale, zero point and codes are those of the definition."""
    cause = "a symmetric scale, the range of x in place of the calibrated one, or half precision inside"
    for low, high in RANGES:
        for size in (1, 4, 300):
            for dtype in (torch.float32, torch.float64):
                compare(candidate, inputs(rng, low, high, size, dtype=dtype), cause)


def includes_zero(candidate: Candidate, rng: Rng) -> None:
    """A range that lacks 0 is widened until it has it."""
    for low, high in ONE_SIDED:
        given = inputs(rng, low, high, 4) | {"low": low, "high": high}
        compare(candidate, given, "a range that was not widened: from 0 to high, or from low to 0")


def cut_off(candidate: Candidate, rng: Rng) -> None:
    """What lies beyond the range gets code 0 or 255, however far out it is."""
    for low, high in RANGES:
        far = [1.01, 1.3, 3.0, 1e3, 1e20, math.inf]
        x = torch.tensor([low - f for f in far] + [high + f for f in far])
        cause = "a cast before the clamp, which wraps around, or no clamp at all"
        compare(candidate, {"x": x[:1], "low": low, "high": high}, cause)
        compare(candidate, {"x": x, "low": low, "high": high}, cause)
    for shape in ((3,), (5, 7)):
        compare(candidate, drawn(rng, *shape), cause)


def nothing_but_zero(candidate: Candidate, rng: Rng) -> None:
    """A range of nothing but 0 has scale 1 and zero point 0."""
    del rng
    for size in (1, 4):
        given = {"x": torch.zeros(size), "low": 0.0, "high": 0.0}
        compare(candidate, given, "0/0, or a small number added to the scale")


def any_shape(candidate: Candidate, rng: Rng) -> None:
    """Takes any shape, also none, empty, and memory that is not contiguous."""
    for shape in ((), (0,), (2, 0), (2, 3), (4, 2, 3), (1, 2, 1, 3)):
        compare(candidate, drawn(rng, *shape), "an axis taken for granted, or the minimum of an empty x")
    given = drawn(rng, 3, 4)
    compare(candidate, given | {"x": strided(given["x"])}, "`.view` of an input")


def input_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves x as it was."""
    for shape in ((2,), (3, 4)):
        Call(candidate, **drawn(rng, *shape)).unchanged()


# Right answers of other style, and wrong ones.


def by_inverse(x: Tensor, low: float, high: float) -> tuple[Tensor, Tensor, Tensor]:
    ends = torch.tensor([low, high, 0.0], dtype=torch.float64)
    scale = (ends.max() - ends.min()) / 255
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero_point = torch.round(-ends.min() / scale)
    q = torch.round(x.double() * (1 / scale) + zero_point)
    return torch.clamp(q, 0, 255).byte(), scale, zero_point.int()


def by_numpy(x: Tensor, low: float, high: float) -> list[Any]:
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    scale = np.float64(1.0) if low == high else (high - low) / 255
    zero_point = int(np.rint(-low / scale))
    q = np.clip(np.rint(x.numpy() / scale) + zero_point, 0, 255).astype(np.uint8)
    return [torch.from_numpy(np.asarray(q)), scale, zero_point]


def half_up(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / 255 if high > low else 1.0
    zero_point = math.floor(-low / scale + 0.5)
    q = torch.floor(x / scale + 0.5) + zero_point
    return torch.where(q < 0, 0.0, torch.where(q > 255, 255.0, q)).to(torch.uint8), scale, zero_point


def values_cut_off(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    """The values are cut off at the range before they are rounded, and the codes again."""
    low, high = min(low, 0.0), max(high, 0.0)
    _, scale, zero_point = quantize_affine(x, low, high)
    return ((x.clamp(low, high) / scale).round() + zero_point).clamp(0, 255).byte(), scale, zero_point


def by_loop(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    zero_point = round(-low / scale)
    steps = [max(-1000.0, min(1000.0, v / scale)) for v in x.flatten().tolist()]
    codes = [max(0, min(255, round(v) + zero_point)) for v in steps]
    return torch.tensor(codes, dtype=torch.uint8).reshape(x.shape), scale, zero_point


def in_place(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    """In place, but on a copy."""
    _, scale, zero_point = quantize_affine(x, low, high)
    y = x.clone().div_(scale).round_().add_(zero_point).clamp_(0, 255)
    return y.byte(), scale, zero_point


def grid(
    ends: Callable[[float, float], tuple[float, float]] = lambda low, high: (min(low, 0.0), max(high, 0.0)),
    steps: int = 255,
    place: Callable[[float], float] = round,
    width: Callable[[float], float] = lambda scale: scale or 1.0,
    codes: Callable[[Tensor], Tensor] = lambda q: q.clamp(0, 255).to(torch.uint8),
    nearest: Callable[[Tensor], Tensor] = torch.round,
) -> Candidate:
    """An answer right in everything but the part that is given."""

    def answer(x: Tensor, low: float, high: float) -> tuple[Tensor, float, float]:
        low, high = ends(low, high)
        scale = width((high - low) / steps)
        zero_point = place(-low / scale)
        return codes(nearest(x / scale) + zero_point), scale, zero_point

    return answer


def zero_point_added_first(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    """Rounds x / scale − low / scale in one go, and reports a whole zero point."""
    _, scale, zero_point = quantize_affine(x, low, high)
    q = torch.round(x / scale - min(low, 0.0) / scale)
    return q.clamp(0, 255).to(torch.uint8), scale, zero_point


def from_x(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    del low, high
    return quantize_affine(x, x.min().item(), x.max().item()) if x.numel() else quantize_affine(x, 0, 1)


def symmetric(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    scale = max(-low, high, 0.0) / 127 or 1.0
    return ((x / scale).round() + 128).clamp(0, 255).to(torch.uint8), scale, 128


def signed(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    codes, scale, zero_point = quantize_affine(x, low, high)
    return (codes.int() - 128).to(torch.int8), scale, zero_point - 128


def dequantized(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    codes, scale, zero_point = quantize_affine(x, low, high)
    return scale * (codes.float() - zero_point), scale, zero_point


def minus_zero_point(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    codes, scale, zero_point = quantize_affine(x, low, high)
    return codes, scale, -zero_point


def in_half(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    return quantize_affine(x.half(), low, high)


def changes_x(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    _, scale, zero_point = quantize_affine(x, low, high)
    return x.div_(scale).round_().add_(zero_point).clamp_(0, 255).to(torch.uint8), scale, zero_point


def viewed(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    codes, scale, zero_point = quantize_affine(x.view(-1), low, high)
    return codes.view(x.shape), scale, zero_point


def inverse_scale(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    codes, scale, zero_point = quantize_affine(x, low, high)
    return codes, 1 / scale, zero_point


TASK = Task(
    name="quantize_affine",
    entry="quantization_ptq_qat",
    statement=STATEMENT,
    starter=STARTER,
    reference=quantize_affine,
    hints=HINTS,
    checks=(
        kinds,
        zero_is_exact,
        half_a_step,
        includes_zero,
        values,
        cut_off,
        nothing_but_zero,
        any_shape,
        input_kept,
    ),
    wrong={
        "range not widened": grid(ends=lambda low, high: (low, high)),
        "widened downwards only": grid(ends=lambda low, high: (min(low, 0.0), high)),
        "widened upwards only": grid(ends=lambda low, high: (low, max(high, 0.0))),
        "256 steps": grid(steps=256),
        "digits cut off": grid(nearest=torch.trunc),
        "rounded down": grid(nearest=torch.floor),
        "not rounded but cast": grid(nearest=lambda r: r),
        "zero point left a fraction": grid(place=lambda place: place),
        "zero point cut off": grid(place=int),
        "zero point rounded up": grid(place=math.ceil),
        "zero point added before rounding": zero_point_added_first,
        "scale of 0": grid(width=lambda scale: scale),
        "scale of at least 1e-8": grid(width=lambda scale: max(scale, 1e-8)),
        "scale plus 1e-8, scale 1e-8 for 0": grid(width=lambda scale: scale + 1e-8),
        "cast before the clamp": grid(codes=lambda q: q.to(torch.int64).byte().clamp(0, 255)),
        "clamped below only": grid(codes=lambda q: q.clamp(min=0).to(torch.int64).to(torch.uint8)),
        "clamped to 254": grid(codes=lambda q: q.clamp(0, 254).to(torch.uint8)),
        "codes as int32": grid(codes=lambda q: q.clamp(0, 255).int()),
        "range of x, not of the calibration": from_x,
        "symmetric about 128": symmetric,
        "signed codes": signed,
        "values, not codes": dequantized,
        "sign of the zero point": minus_zero_point,
        "half precision inside": in_half,
        "x changed in place": changes_x,
        "view of x": viewed,
        "one over the scale returned": inverse_scale,
    },
    also_right={
        "the inverse scale, and tensors": by_inverse,
        "numpy, and a list": by_numpy,
        "halves rounded up": half_up,
        "values cut off, then codes": values_cut_off,
        "one value at a time": by_loop,
        "in place on a copy": in_place,
    },
    asked=2,
)
