"""The multiplier of the warmup–stable–decay schedule at one step."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `wsd_factor(step, total, warmup, decay_frac)`: what warmup–stable–decay multiplies the peak learning
rate with at `step`, counted from 0. The factor rises along the straight line from 0 at step 0 to 1 at step
`warmup`, stays at 1, and falls along the straight line from 1 to 0 at step `total`, over the last
`round(decay_frac * total)` steps before it; from `total` on it is 0. With `warmup` 0 there is no rise, and
with no step to decay the factor stays at 1 through step `total` − 1. Where rise and fall overlap, the lower
line counts. `step`, `warmup` $\geq 0$ and `total` $\geq 1$ are whole numbers, also huge ones,
$0 \leq$ `decay_frac` $\leq 1$; return a number.
"""

STARTER = '''
def wsd_factor(step: int, total: int, warmup: int, decay_frac: float) -> float:
    """The multiplier at a step: warmup, then 1, then down to 0 at step total."""
    raise NotImplementedError
'''

HINTS = (
    "Three lines: one that rises, one that is flat, one that falls. Write each for itself, and ask which of "
    "them counts at a given step.",
    "The rising line is the step over the warmup. For the falling one count backwards: how many steps are "
    "left until the end, and what share of the decay is that?",
    "Take the lowest of 1, the share of the warmup that is done, and the share of the decay that is left, "
    "but skip a line whose length is 0; and before all of that, the end: from there on it is 0.",
)


def wsd_factor(step: int, total: int, warmup: int, decay_frac: float) -> float:
    if step >= total:
        return 0.0
    factor = 1.0
    if warmup > 0:
        factor = min(factor, step / warmup)
    decay = round(decay_frac * total)
    if decay > 0:
        factor = min(factor, (total - step) / decay)
    return factor


# What the checks compare with: straight lines through corners.


def by_corners(step: int, total: int, warmup: int, decay: int) -> float:
    rise = np.interp(step, [0, warmup], [0.0, 1.0]) if warmup else 1.0
    fall = np.interp(step, [total - decay, total], [1.0, 0.0]) if decay else float(step < total)
    return float(min(rise, fall))


def ask(
    candidate: Candidate, steps: Any, total: int, warmup: int, frac: float, decay: int, cause: str
) -> None:
    """Compare at each of `steps`; `decay` is how many steps the fall takes."""
    for step in map(int, steps):
        call = Call(candidate, step=step, total=total, warmup=warmup, decay_frac=frac)
        call.same(
            "factor", call.number(), by_corners(step, total, warmup, decay), cause=cause, tolerance=1e-12
        )


def sizes(rng: Rng) -> tuple[int, int, int, float]:
    """A run with all three parts: total, warmup, decay, and the decay as a share."""
    decay, warmup, stable = (int(n) for n in rng.integers(5, 40, size=3))
    total = warmup + stable + decay
    return total, warmup, decay, decay / total


# Checks.


def a_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number."""
    Call(candidate, step=3, total=8, warmup=2, decay_frac=0.25).number()


def rises(candidate: Candidate, rng: Rng) -> None:
    """Rises in a straight line, from 0 at step 0 to 1 at step warmup."""
    cause = "a rise that starts above 0 or ends late, `(step + 1) / warmup`, or a factor that starts at 1"
    ask(candidate, range(3), 8, 2, 0.25, 2, cause)
    total, warmup, decay, frac = sizes(rng)
    ask(candidate, range(warmup + 1), total, warmup, frac, decay, cause)


def no_warmup(candidate: Candidate, rng: Rng) -> None:
    """Without warmup, starts at 1."""
    total, _, decay, frac = sizes(rng)
    ask(candidate, (0, 1), 8, 0, 0.25, 2, "a division by a warmup of 0, or a warmup of at least one step")
    ask(candidate, (0, 1), total, 0, frac, decay, "a division by a warmup of 0")


def stays(candidate: Candidate, rng: Rng) -> None:
    """Stays at 1 from the end of the warmup to the beginning of the decay."""
    cause = "a fall that begins at step 0 or right after the warmup, or is given a share of another length"
    ask(candidate, range(2, 7), 8, 2, 0.25, 2, cause)
    for _ in range(3):
        total, warmup, decay, frac = sizes(rng)
        ask(candidate, range(warmup, total - decay + 1), total, warmup, frac, decay, cause)


def falls(candidate: Candidate, rng: Rng) -> None:
    """Falls in a straight line to 0 at step total, not before."""
    cause = "a fall that reaches 0 one step early or late, or that is not a straight line"
    ask(candidate, range(4, 9), 8, 2, 0.5, 4, cause)
    total, warmup, decay, frac = sizes(rng)
    ask(candidate, range(total - decay, total + 1), total, warmup, frac, decay, cause)


def rounds(candidate: Candidate, rng: Rng) -> None:
    """Rounds the decay's length to the nearest whole number."""
    total, warmup, decay, _ = sizes(rng)
    cause = "`int` or `//`, which cut off, `ceil`, or no rounding at all"
    for shift in (-0.3, 0.3):
        ask(candidate, range(6, 10), 9, 1, (3 + shift) / 9, 3, cause)
        ask(candidate, range(total - decay, total), total, warmup, (decay + shift) / total, decay, cause)


def no_decay(candidate: Candidate, rng: Rng) -> None:
    """With no step to decay, stays at 1 through the last update."""
    cause = "a division by a decay of 0 steps, or a decay of at least one"
    ask(candidate, (5, 7, 8), 8, 2, 0.0, 0, cause)
    ask(candidate, (5, 7, 8), 8, 2, 0.01, 0, cause)
    total, warmup, _, _ = sizes(rng)
    ask(candidate, (warmup, total - 1, total), total, warmup, 0.0, 0, cause)


def ends(candidate: Candidate, rng: Rng) -> None:
    """Stays at 0 beyond the end."""
    total, warmup, decay, frac = sizes(rng)
    cause = "the line continued below 0, or the last branch's value beyond the end"
    ask(candidate, (9, 100), 8, 2, 0.25, 2, cause)
    ask(candidate, (total + 1, 3 * total), total, warmup, frac, decay, cause)
    ask(candidate, (9, 100), 8, 2, 0.0, 0, cause)
    ask(candidate, (8, 9, 19, 20), 8, 20, 0.0, 0, "a warmup that goes on beyond the end")


def overlaps(candidate: Candidate, rng: Rng) -> None:
    """Takes the lower line where rise and fall overlap."""
    cause = "the first branch that fits, or a product: the lower of the two lines counts"
    ask(candidate, range(9), 8, 6, 0.75, 6, cause)
    ask(candidate, range(9), 8, 4, 1.0, 8, cause)
    _, warmup, decay, _ = sizes(rng)
    ask(candidate, range(decay + 5), decay + 3, warmup + decay, decay / (decay + 3), decay, cause)


def huge(candidate: Candidate, rng: Rng) -> None:
    """Is exact for a trillion steps, too."""
    total = 10**12
    steps = [1, 12_345_678, 9 * 10**11 + 12_345_678, total - int(rng.integers(1, 1000))]
    ask(candidate, steps, total, 10**9 + 7, 0.125, 125 * 10**9, "float32, or a list of all steps")


# Right answers of other style, and wrong ones.


def clipped(step: int, total: int, warmup: int, decay_frac: float) -> Any:
    if step >= total:
        return 0
    lines = np.array([step, total - step], dtype=float)
    lengths = np.array([warmup, round(decay_frac * total)])
    return np.where(lengths > 0, lines / np.maximum(lengths, 1), 1.0).clip(0.0, 1.0).min()


def branches(step: int, total: int, warmup: int, decay_frac: float) -> float:
    decay = round(decay_frac * total)
    rising = 1 if step >= warmup else step / warmup
    if step < total - decay:
        return rising
    if step < total:
        return min(rising, 1 - (step - (total - decay)) / decay)
    return 0


def guarded(step: int, total: int, warmup: int, decay_frac: float) -> float:
    left = max(0, total - step)
    falling = left / max(1, round(total * decay_frac))
    return min(1.0, falling, step / warmup if warmup else 1.0)


def changed(
    rise: Callable[[int, int], float] = lambda step, warmup: min(1.0, step / warmup) if warmup else 1.0,
    fall: Callable[[int, int], float] = lambda left, decay: min(1.0, left / decay) if decay else 1.0,
    length: Callable[[int, int, float], Any] = lambda total, warmup, frac: round(frac * total),
    combine: Callable[..., float] = min,
) -> Candidate:
    """The right answer with one part changed."""

    def answer(step: int, total: int, warmup: int, decay_frac: float) -> float:
        if step >= total:
            return 0.0
        return combine(rise(step, warmup), fall(total - step, length(total, warmup, decay_frac)))

    return answer


def rise_first(step: int, total: int, warmup: int, decay_frac: float) -> float:
    return step / warmup if step < min(warmup, total) else wsd_factor(step, total, 0, decay_frac)


def rise_beyond(step: int, total: int, warmup: int, decay_frac: float) -> float:
    if step < warmup and round(decay_frac * total) == 0:
        return step / warmup
    return wsd_factor(step, total, warmup, decay_frac)


def below_zero(step: int, total: int, warmup: int, decay_frac: float) -> float:
    decay = round(decay_frac * total)
    if step <= total or not decay:
        return wsd_factor(step, total, warmup, decay_frac)
    return (total - step) / decay


def no_end(step: int, total: int, warmup: int, decay_frac: float) -> float:
    if round(decay_frac * total) == 0:
        return min(1.0, step / warmup) if warmup else 1.0
    return wsd_factor(step, total, warmup, decay_frac)


def all_steps(step: int, total: int, warmup: int, decay_frac: float) -> float:
    every = np.arange(min(total, 10**7), dtype=np.int32)  # a longer one would not fit into memory
    return wsd_factor(int(every[step]), total, warmup, decay_frac) if step < total else 0.0


def in_float32(step: int, total: int, warmup: int, decay_frac: float) -> float:
    one = np.float32(1)
    rise = np.float32(step) / np.float32(warmup) if warmup else one
    decay = round(decay_frac * total)
    fall = np.float32(total - step) / np.float32(decay) if decay else one
    exact = wsd_factor(step, total, warmup, decay_frac)
    return float(min(rise, fall, one)) if total > 10**6 else exact


TASK = Task(
    name="wsd_factor",
    entry="lr_schedules",
    statement=STATEMENT,
    starter=STARTER,
    reference=wsd_factor,
    hints=HINTS,
    checks=(a_number, rises, no_warmup, stays, falls, rounds, no_decay, ends, overlaps, huge),
    wrong={
        "starts at the peak": changed(rise=lambda step, warmup: 1.0),
        "first update already above 0": changed(
            rise=lambda step, warmup: min(1.0, (step + 1) / warmup) if warmup else 1.0
        ),
        "peak one step late": changed(rise=lambda step, warmup: min(1.0, step / (warmup + 1))),
        "divides by a warmup of 0": changed(rise=lambda step, warmup: min(1.0, step / warmup)),
        "a warmup of 0 taken for 1": changed(rise=lambda step, warmup: min(1.0, step / max(1, warmup))),
        "decays from step 0": changed(length=lambda total, warmup, frac: total),
        "decays right after the warmup": changed(length=lambda total, warmup, frac: total - warmup),
        "the share of what is left after the warmup": changed(
            length=lambda total, warmup, frac: round(frac * (total - warmup))
        ),
        "the share that is stable": changed(length=lambda total, warmup, frac: round((1 - frac) * total)),
        "0 at the last update": changed(
            fall=lambda left, decay: min(1.0, (left - 1) / max(1, decay - 1)) if decay else 1.0
        ),
        "a cosine's fall": changed(
            fall=lambda left, decay: 0.5 - 0.5 * np.cos(np.pi * min(1.0, left / decay)) if decay else 1.0
        ),
        "a root's fall": changed(
            fall=lambda left, decay: 1 - (1 - min(1.0, left / decay)) ** 0.5 if decay else 1.0
        ),
        "decay cut off to a whole number": changed(length=lambda total, warmup, frac: int(frac * total)),
        "decay rounded up": changed(length=lambda total, warmup, frac: int(np.ceil(frac * total - 1e-9))),
        "decay not rounded": changed(length=lambda total, warmup, frac: frac * total),
        "divides by a decay of 0": changed(fall=lambda left, decay: min(1.0, left / decay)),
        "never ends without decay": no_end,
        "negative beyond the end": below_zero,
        "warmup goes on beyond the end": rise_beyond,
        "warmup first, then decay": rise_first,
        "the lines multiplied": changed(combine=lambda rise, fall: rise * fall),
        "float32": in_float32,
        "a list of all steps": all_steps,
    },
    also_right={
        "clipped lines in numpy": clipped,
        "branches, whole numbers at the ends": branches,
        "guarded divisions": guarded,
    },
    asked=2,
)
