"""Expected improvement, the acquisition function, for losses or for scores."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtr

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Array = NDArray[np.floating]

STATEMENT = r"""
A surrogate predicts for each candidate a normal distribution with mean `mean` and standard deviation `sd`.
Write `expected_improvement(mean, sd, best, minimize=True)`: the average amount by which a draw beats `best`,
where a draw that does not beat it counts as 0. With `minimize` true, to beat is to be lower; otherwise, to be
higher. `mean` and `sd` are arrays of one shape, with any number of axes and maybe empty, both float32 or both
float64; `best` is a number. All are finite, and `sd` $\geq 0$: where it is 0, the draw is `mean` itself. The
result has the shape and dtype of `mean`, holds no NaN, and the inputs stay as they are.
"""

STARTER = '''
import numpy as np


def expected_improvement(
    mean: np.ndarray, sd: np.ndarray, best: float, minimize: bool = True
) -> np.ndarray:
    """How far a normal draw beats best, on average; 0 where it does not.

    mean, sd: of one shape, float32 or float64; sd is at least 0.
    Returns an array of that shape and dtype.
    """
    raise NotImplementedError
'''

HINTS = (
    "Write the draw as mean plus sd times a standard normal u. For which u does it beat best, and by how "
    "much?",
    "The integral over those u has two parts: the gap between best and mean times a probability, and sd "
    "times a density, both taken at the gap in standard deviations.",
    "With gap = best − mean (turned round for a maximum) and z = gap / sd, the answer is gap · Φ(z) + "
    "sd · φ(z), with Φ in `scipy.special.ndtr`. Put something harmless for sd where it is 0, and there take "
    "the gap, or 0 if it is negative.",
)


def expected_improvement(mean: np.ndarray, sd: np.ndarray, best: float, minimize: bool = True) -> np.ndarray:
    from scipy.special import ndtr  # the normal distribution function

    gap = best - mean if minimize else mean - best
    certain = sd == 0
    z = gap / np.where(certain, 1, sd)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    improvement = np.where(certain, np.maximum(gap, 0), gap * ndtr(z) + sd * density)
    return improvement.astype(mean.dtype)


# What the checks compare with: sd times the area under Φ up to z.


def exact(mean: Array, sd: Array, best: float, minimize: bool) -> Array:
    want = np.empty(mean.shape)
    for place, m in np.ndenumerate(mean.astype(np.float64)):
        gap, s = (best - m if minimize else m - best), float(sd[place])
        z = gap / s if s else math.copysign(math.inf, gap)
        if abs(z) > 10:  # the rest is below 1e-24
            want[place] = max(gap, 0.0)
        else:
            want[place] = s * quad(ndtr, -14, z, epsabs=1e-13, epsrel=1e-13)[0]
    return want


def ask(
    candidate: Candidate, mean: Array, sd: Array, best: float, minimize: bool, cause: str
) -> tuple[Call, Array]:
    """Compare with the integral, element by element."""
    call = Call(candidate, mean=mean, sd=sd, best=best, minimize=minimize)
    found = call.returns(mean.dtype, result=mean.shape)
    call.same("improvement", found, exact(mean, sd, best, minimize), cause=cause)
    return call, found


def predictions(rng: Rng, *shape: int) -> tuple[Array, Array]:
    """Means around 0 and standard deviations from 0.2 to 3."""
    return rng.normal(size=shape), rng.uniform(0.2, 3.0, shape)


# Checks.


def shape_and_dtype(candidate: Candidate, rng: Rng) -> None:
    """Returns the shape and dtype of mean."""
    for shape in ((1,), (4,), (2, 3), (0,)):
        for dtype in (np.float64, np.float32):
            mean, sd = (part.astype(dtype) for part in predictions(rng, *shape))
            call = Call(candidate, mean=mean, sd=sd, best=0.5, minimize=True)
            call.returns(np.dtype(dtype), result=shape)


def at_the_best(candidate: Candidate, rng: Rng) -> None:
    """Where the mean equals the best, is sd times φ(0) = 0.3989…"""
    for minimize in (True, False):
        for best in (0.0, float(rng.normal())):
            sd = np.array([1.0, 2.0, float(rng.uniform(0.3, 3))])
            ask(candidate, np.full(3, best), sd, best, minimize,
                "a variance where the standard deviation belongs, the density at another place or without "
                "1/√(2π), or a probability in its stead")  # fmt: skip


def a_lower_loss(candidate: Candidate, rng: Rng) -> None:
    """Minimizing, a lower mean promises more."""
    for mean, best in ((-1.0, 0.0), (1.0, 0.0), (float(rng.normal()), float(rng.normal()))):
        ask(candidate, np.array([mean]), np.array([1.0]), best, True,
            "the gap turned round: below the best is better here")  # fmt: skip


def a_higher_score(candidate: Candidate, rng: Rng) -> None:
    """Maximizing, a higher mean promises more."""
    for mean, best in ((1.0, 0.0), (-1.0, 0.0), (float(rng.normal()), float(rng.normal()))):
        ask(candidate, np.array([mean]), np.array([1.0]), best, False,
            "minimize ignored, or only one of the two signs turned")  # fmt: skip


def against_the_integral(candidate: Candidate, rng: Rng) -> None:
    """Equals the integral, for any gap and standard deviation."""
    cause = "one of the two terms missing or with another factor; or one sd for all candidates"
    for shape in ((2,), (7,), (3, 4), (2, 1, 3)):
        for minimize in (True, False):
            mean, sd = predictions(rng, *shape)
            ask(candidate, mean, sd, float(rng.normal()), minimize, cause)


def minimizes_by_default(candidate: Candidate, rng: Rng) -> None:
    """Minimizes when nothing is said."""
    mean, sd = predictions(rng, 3)
    call = Call(candidate, mean=mean, sd=sd, best=0.3)
    found = call.returns(np.dtype(np.float64), result=(3,))
    call.same("improvement", found, exact(mean, sd, 0.3, True), cause="a default of False")


def in_any_unit(candidate: Candidate, rng: Rng) -> None:
    """In another unit, and from another zero, is the same improvement."""
    for unit, zero in ((1e-6, 0.0), (1e6, 0.0), (1.0, 300.0)):
        mean, sd = predictions(rng, 5)
        call = Call(candidate, mean=zero + unit * mean, sd=unit * sd, best=zero, minimize=True)
        found = call.returns(np.dtype(np.float64), result=(5,))
        call.same("improvement over the unit", found / unit, exact(mean, sd, 0.0, True), tolerance=1e-8,
                  cause="an ε added to sd, a margin ξ, a clip, or a rounding")  # fmt: skip


def certain_ones(candidate: Candidate, rng: Rng) -> None:
    """Where sd is 0, is the gap, or 0: no NaN."""
    cause = "a division by 0, which gives NaN where mean equals best; or 0 for all that are certain"
    for minimize in (True, False):
        for mean in (np.array([0.0]), np.array([-2.0, 0.0, 2.0]), rng.normal(size=(2, 3))):
            ask(candidate, mean, np.zeros(mean.shape), 0.0, minimize, cause)
        mean, sd = predictions(rng, 6)
        sd[[1, 4]] = 0
        mean[4] = 0.25
        ask(candidate, mean, sd, 0.25, minimize, cause)


def far_away(candidate: Candidate, rng: Rng) -> None:
    """Far above or below the best, is 0 or the gap, never negative."""
    mean = np.array([-60.0, -9.0, -5.0, 5.0, 9.0, 60.0, 1e6])
    for minimize in (True, False):
        call, found = ask(candidate, mean, np.ones(7), 0.0, minimize, "z clipped, or an overflow")
        call.holds((found >= -1e-12).all(), expected="nothing below 0", got=f"{found.min():.3g}",
                   cause="a distribution function that is not accurate far from 0")  # fmt: skip
    sd = np.array([1e-12, 1e-30])
    ask(candidate, np.array([-1.0, 1.0]), sd, 0.0, True, "an sd below some ε treated as ε")


def in_float32(candidate: Candidate, rng: Rng) -> None:
    """Serves float32 and memory that is not contiguous."""
    for shape in ((3, 4), (5, 2)):
        mean, sd = (part.astype(np.float32) for part in predictions(rng, *shape))
        ask(candidate, mean, sd, 0.5, False, "float32 rounded further, or rows and columns mixed up")
        mean, sd = (np.asfortranarray(part) for part in predictions(rng, *shape))
        ask(candidate, mean, sd, 0.5, True, "a reshape that takes memory for order")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves mean and sd as they were."""
    for minimize in (True, False):
        mean, sd = predictions(rng, 4)
        sd[2] = 0
        call, _ = ask(candidate, mean, sd, 0.1, minimize, "a division by 0")
        call.unchanged()


# Right answers of other style, and wrong ones.


def by_loop(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    sign = 1 if minimize else -1
    out = np.empty_like(mean)
    for place in np.ndindex(mean.shape):
        gap, s = sign * (best - float(mean[place])), float(sd[place])
        if s == 0:
            out[place] = max(gap, 0.0)
            continue
        z = max(-1e100, min(1e100, gap / s))
        density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        out[place] = gap * 0.5 * (1 + math.erf(z / math.sqrt(2))) + s * density
    return out


def flipped(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    """Maximizing is minimizing the negative; errors of division silenced and mended."""
    if not minimize:
        return flipped(-mean, sd, -best)
    from scipy.stats import norm

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = (best - mean) / sd
        value = sd * (z * norm.cdf(z) + norm.pdf(z))
    return np.asarray(np.where(sd == 0, np.maximum(best - mean, 0), value), dtype=mean.dtype)


def masked(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    gap = (best - mean).astype(np.float64) * (1 if minimize else -1)
    out = np.maximum(gap, 0.0)
    some = sd > 0
    s = sd[some].astype(np.float64)
    z = gap[some] / s
    out[some] = np.maximum(gap[some] * ndtr(z) + s * np.exp(-z * z / 2) / np.sqrt(2 * np.pi), 0)
    return out.astype(mean.dtype)


def changed(
    terms: Callable[[Array, Array, Array], Array] = lambda gap, s, z: gap * ndtr(z) + s * phi(z),
    gap: Callable[[Array, float, bool], Array] = lambda mean, best, minimize: (
        best - mean if minimize else mean - best
    ),
    spread: Callable[[Array], Array] = lambda sd: sd,
    certain: Callable[[Array], Array] = lambda gap: np.maximum(gap, 0),
) -> Candidate:
    """The right answer with one part changed."""

    def answer(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
        s = spread(sd)
        delta = gap(mean, best, minimize)
        z = delta / np.where(s == 0, 1, s)
        value = terms(delta, s, z)
        return np.where(s == 0, certain(delta), value).astype(mean.dtype)

    return answer


def phi(z: Array) -> Array:
    density: Array = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return density


def bare_division(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    gap = best - mean if minimize else mean - best
    with np.errstate(divide="ignore", invalid="ignore"):
        z = gap / sd
        return (gap * ndtr(z) + sd * phi(z)).astype(mean.dtype)


def nan_set_to_0(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    return np.nan_to_num(bare_division(mean, sd, best, minimize))


def mended_division(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    return np.where(sd > 0, bare_division(mean, sd, best, minimize), 0).astype(mean.dtype)


def padded(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    return bare_division(mean, sd + 1e-9 * (sd.dtype == np.float64), best, minimize)


def always_float64(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    return expected_improvement(mean.astype(np.float64), sd.astype(np.float64), best, minimize)


def in_place(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    certain = sd == 0
    sd[certain] = 1
    gap = best - mean if minimize else mean - best
    z = gap / sd
    return np.where(certain, np.maximum(gap, 0), gap * ndtr(z) + sd * phi(z)).astype(mean.dtype)


def half_flipped(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    return expected_improvement(mean if minimize else -mean, sd, best)


def factored(gap: Array, s: Array, z: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return s * phi(z) * (1 + z * (ndtr(z) / phi(z)))


def in_memory_order(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    flat = expected_improvement(mean.ravel(order="K"), sd.ravel(order="K"), best, minimize)
    return flat.reshape(mean.shape)


def maximizes_by_default(mean: Array, sd: Array, best: float, minimize: bool = False) -> Array:
    return expected_improvement(mean, sd, best, minimize)


def by_sampling(mean: Array, sd: Array, best: float, minimize: bool = True) -> Array:
    u = np.random.default_rng(0).standard_normal((1000, *mean.shape))
    gap = (best - mean - sd * u) * (1 if minimize else -1)
    return np.maximum(gap, 0).mean(axis=0).astype(mean.dtype)


TASK = Task(
    name="expected_improvement",
    entry="bayesian_optimization_gp",
    statement=STATEMENT,
    starter=STARTER,
    reference=expected_improvement,
    hints=HINTS,
    checks=(
        shape_and_dtype,
        at_the_best,
        a_lower_loss,
        a_higher_score,
        against_the_integral,
        minimizes_by_default,
        in_any_unit,
        certain_ones,
        far_away,
        in_float32,
        inputs_kept,
    ),
    wrong={
        "the sign for maximizing": changed(gap=lambda mean, best, minimize: mean - best),
        "the sign turned round": changed(
            gap=lambda mean, best, minimize: mean - best if minimize else best - mean
        ),
        "only the mean's sign turned": half_flipped,
        "maximizes by default": maximizes_by_default,
        "a variance taken for the standard deviation": changed(spread=np.sqrt),
        "the standard deviation squared": changed(spread=np.square),
        "probability of improvement": changed(lambda gap, s, z: ndtr(z)),
        "without the density": changed(lambda gap, s, z: gap * ndtr(z)),
        "density not times sd": changed(lambda gap, s, z: gap * ndtr(z) + phi(z)),
        "density over sd": changed(lambda gap, s, z: gap * ndtr(z) + phi(z) / np.where(s == 0, 1, s)),
        "density without 1/√(2π)": changed(lambda gap, s, z: gap * ndtr(z) + s * np.exp(-(z**2) / 2)),
        "gap in standard deviations": changed(lambda gap, s, z: z * ndtr(z) + phi(z)),
        "gap not divided by sd": changed(lambda gap, s, z: gap * ndtr(gap) + s * phi(gap)),
        "ratio of two vanishing numbers": changed(factored),
        "in the order of memory": in_memory_order,
        "the improvement, given that there is one": changed(
            lambda gap, s, z: gap + s * phi(z) / np.maximum(ndtr(z), 1e-300)
        ),
        "a tanh for the probability": changed(
            lambda gap, s, z: gap * (1 + np.tanh(0.797885 * (z + 0.044715 * z**3))) / 2 + s * phi(z)
        ),
        "density subtracted": changed(lambda gap, s, z: gap * ndtr(z) - s * phi(z)),
        "the gap, cut off at 0": changed(lambda gap, s, z: np.maximum(gap, 0)),
        "a confidence bound": changed(lambda gap, s, z: np.maximum(gap + 2 * s, 0)),
        "a margin of 0.01": changed(
            gap=lambda mean, best, minimize: (best - mean if minimize else mean - best) - 0.01
        ),
        "divides by 0": bare_division,
        "0 where sd is 0": mended_division,
        "certain gap not cut off": changed(certain=lambda gap: gap),
        "an ε added to sd": padded,
        "sd changed in place": in_place,
        "float64 whatever comes": always_float64,
        "a thousand samples": by_sampling,
        "cannot be less than 0.001": changed(spread=lambda sd: np.maximum(sd, 1e-3)),
        "only one sd": changed(spread=lambda sd: np.full_like(sd, sd.mean() if sd.size else 0)),
    },
    also_right={
        "one at a time, with math.erf": by_loop,
        "the negative for a maximum, scipy.stats": flipped,
        "masked, float64 inside": masked,
        "0/0 set to 0 afterwards": nan_set_to_0,
    },
    asked=1,
)
