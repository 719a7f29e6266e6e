"""Learning-rate schedules, each a function of the step that `fit` takes: step 0 is the first update.

A schedule returns the multiplier of the optimizer's own learning rate, which is the peak. As in transformers,
a warmup gives the first update the multiplier 0, and a decay to 0 at `total` leaves the last update, number
total − 1, above 0. `schedule(step + 1)` shifts both: the first update counts and the last one is lost.
"""

import math
from collections.abc import Callable, Sequence

Schedule = Callable[[int], float]

_SHAPES: dict[str, Callable[[float], float]] = {  # from 1 at progress 0 to 0 at progress 1
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
    "1-sqrt": lambda progress: 1 - math.sqrt(progress),
}


def linear_warmup(warmup: int) -> Schedule:
    """Rise in a straight line from 0 to 1 at step `warmup`, then stay there: the trunk of WSD.

    Raises:
        ValueError: warmup, or a step that the schedule is called with, is no whole number from 0.
    Source: Goyal et al. (2017), who start above 0.
    """
    _check_steps(warmup=warmup)

    def schedule(step: int) -> float:
        _check_steps(step=step)
        return step / warmup if step < warmup else 1.0

    return schedule


def cosine(total: int, *, warmup: int = 0, floor: float = 0.0) -> Schedule:
    """Linear warmup, then half a cosine wave from 1 to `floor` at step `total`, where it stays.

    Args:
        total: the step at which the floor is reached, the warmup included.
        warmup: steps of the rise from 0.
        floor: the last multiplier, from 0 to 1.

    Raises:
        ValueError: a number is out of range, or warmup is not below total.
    Source: Loshchilov and Hutter (2017), without their restarts.
    """
    _check_steps(warmup=warmup, total=total)
    if warmup >= total:
        raise ValueError(f"warmup must be below total={total}, got {warmup}: no step would be left to decay")
    if not 0 <= floor <= 1:
        raise ValueError(f"floor is a share of the peak, from 0 to 1, got {floor}")
    rise = linear_warmup(warmup)

    def schedule(step: int) -> float:
        progress = min(1.0, max(0, step - warmup) / (total - warmup))
        return rise(step) * (floor + (1 - floor) * _SHAPES["cosine"](progress))

    return schedule


def wsd(total: int, *, decay: int, warmup: int = 0, shape: str = "linear") -> Schedule:
    """Warmup, stable, decay: rise, stay at 1, then fall to 0 over the last `decay` steps before `total`.

    Args:
        total: the step at which 0 is reached; the multiplier stays there.
        decay: steps of the fall. 0 never decays: the multiplier drops to 0 at step `total`.
        warmup: steps of the rise from 0.
        shape: of the fall, "linear", "cosine" or "1-sqrt".

    Raises:
        ValueError: a number is out of range, warmup and decay do not fit into total, or the shape is unknown.
    Source: Hu et al. (2024); "1-sqrt" is from Hägele et al. (2024).
    """
    _check_steps(decay=decay, warmup=warmup, total=total)
    if warmup + decay > total:
        raise ValueError(f"warmup={warmup} and decay={decay} do not fit into total={total}: shorten one")
    if shape not in _SHAPES:
        raise ValueError(f"shape must be one of {', '.join(_SHAPES)}, got {shape!r}")
    rise = linear_warmup(warmup)

    def schedule(step: int) -> float:
        if step >= total:
            return 0.0
        into_decay = step - (total - decay)
        return rise(step) if into_decay < 0 else _SHAPES[shape](into_decay / decay)

    return schedule


def inverse_sqrt(*, warmup: int, timescale: int | None = None) -> Schedule:
    """Linear warmup, then √(timescale / (step − warmup + timescale)), which needs no end.

    Args:
        warmup: steps of the rise from 0.
        timescale: after three times as many steps beyond the warmup the multiplier is ½. By default `warmup`,
            so that the multiplier is √(warmup / step).

    Raises:
        ValueError: a number is out of range, or there is neither warmup nor timescale.
    Source: Vaswani et al. (2017), whose peak is set by the width; with a timescale, Zhai et al. (2022).
    """
    scale = warmup if timescale is None else timescale
    _check_steps(warmup=warmup, timescale=scale)
    if scale == 0:
        raise ValueError("timescale must be at least 1, got 0: without warmup, say how fast to decay")
    rise = linear_warmup(warmup)
    return lambda step: rise(step) * math.sqrt(scale / (max(0, step - warmup) + scale))


def one_cycle(total: int, *, rise: float = 0.3, start: float = 1 / 25, end: float = 1 / 250_000) -> Schedule:
    """Half a cosine up from `start` to 1, and another down to `end`, both ends included.

    Args:
        total: number of updates; the last one, at step total − 1, has the multiplier `end`.
        rise: share of the steps spent rising. The peak lies at step rise · total − 1, between two steps where
            that is no whole number.
        start, end: multipliers of the first and the last update.

    Raises:
        ValueError: a number is out of range, or the rise or the fall would take no step.
    Source: Smith and Topin (2019), with PyTorch's cosines and numbers; theirs moves the momentum, too.
    """
    _check_steps(total=total)
    for name, value in (("rise", rise), ("start", start), ("end", end)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {value}")
    peak, last = rise * total - 1, total - 1
    if not 0 < peak < last:
        raise ValueError(
            f"rise={rise} of total={total} puts the peak at step {peak:g}: want it between 0 and {last}"
        )

    def schedule(step: int) -> float:
        _check_steps(step=step)
        if step <= peak:
            return start + (1 - start) * (1 - _SHAPES["cosine"](step / peak))
        progress = min(1.0, (step - peak) / (last - peak))
        return end + (1 - end) * _SHAPES["cosine"](progress)

    return schedule


def plateau(losses: Sequence[float], *, factor: float = 0.5, patience: int = 5, delta: float = 1e-4) -> float:
    """The multiplier after these validation losses: a cut for each `patience` of them without a new best.

    Not a function of the step: hand `fit` the losses so far, `schedule=lambda step: plateau(losses)`.

    Args:
        losses: one for each evaluation until now, oldest first.
        factor: of each cut, from 0 to 1.
        patience: the rate is cut at this many losses in a row that are not `delta` below the best, as in
            Keras. PyTorch cuts at one more.

    Raises:
        ValueError: a number is out of range, or a loss is NaN.
    Source: Keras's ReduceLROnPlateau.
    """
    if not 0 <= factor <= 1:
        raise ValueError(f"factor must be from 0 to 1, got {factor}")
    if patience < 1 or not delta >= 0:
        raise ValueError(f"want a patience of at least 1 and a delta from 0, got {patience} and {delta}")
    multiplier, best, waited = 1.0, math.inf, 0
    for loss in losses:
        if math.isnan(loss):
            raise ValueError("losses holds a NaN, which beats nothing: the training has diverged")
        waited = 0 if loss < best - delta else waited + 1
        if waited == 0:
            best = loss
        if waited == patience:
            multiplier, waited = multiplier * factor, 0
    return multiplier


def _check_steps(**numbers: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} must be a whole number from 0, got {value!r}")
