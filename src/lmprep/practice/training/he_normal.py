"""He's normal initialization, for both ways to store a weight."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmprep.practice.checks import Call, Rng, raises
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `he_normal(shape, layout, nonlinearity, a, rng)`: a new float32 numpy array of that shape, filled with
independent normal numbers (not truncated) of mean 0 and standard deviation gain / √fan-in. The layout
`"torch"` is (out, in, *kernel), `"keras"` is (*kernel, in, out), with any number of kernel axes, or none;
fan-in is the number of products that one output adds up. The gain is 1 for `"linear"`, √2 for `"relu"` and
√(2 / (1 + a²)) for `"leaky_relu"`; the other two ignore `a`, a float from −100 to 100. A shape, tuple or
list, has positive sizes and stays as it is; with fewer than two axes, or with another layout or
nonlinearity, raise a `ValueError`. All randomness comes from `rng`, a `numpy.random.Generator`: in the same
state it gives the same answer, a second call gives other numbers, and numpy's global random numbers are
neither used nor changed.
"""

STARTER = '''
import numpy as np


def he_normal(shape, layout, nonlinearity, a, rng: np.random.Generator) -> np.ndarray:
    """Weights whose outputs keep the mean square of their inputs.

    shape: (out, in, *kernel) for layout "torch", (*kernel, in, out) for "keras".
    nonlinearity: "linear", "relu" or "leaky_relu", whose negative side has slope a.
    """
    raise NotImplementedError
'''

HINTS = (
    "Two numbers decide everything: how many products are added up, and what share of the mean square the "
    "nonlinearity lets through. Find each on its own, then ask which of the two needs a root.",
    "Every axis but the one of the outputs counts towards fan-in: the inputs and all of the kernel. The "
    "outputs come first in one layout and last in the other.",
    "Refuse what is unknown first. Fan-in is the product of all sizes divided by that of the output axis. "
    "The gain's square is 1, 2, or 2 over 1 plus a squared. Draw standard normal numbers of that shape from "
    "rng, multiply them by the gain over the root of fan-in, and turn them into float32.",
)


def he_normal(
    shape: tuple[int, ...], layout: str, nonlinearity: str, a: float, rng: np.random.Generator
) -> np.ndarray:
    if len(shape) < 2 or layout not in ("torch", "keras"):
        raise ValueError(f"want two axes or more, torch or keras; got {shape}, {layout!r}")
    gains = {"linear": 1.0, "relu": np.sqrt(2), "leaky_relu": np.sqrt(2 / (1 + a**2))}
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be one of {list(gains)}, got {nonlinearity!r}")
    outputs = shape[0] if layout == "torch" else shape[-1]
    fan_in = np.prod(shape) / outputs
    std = gains[nonlinearity] / np.sqrt(fan_in)
    return (std * rng.standard_normal(shape)).astype(np.float32)


# What the checks compare with.

SMALL = ((1, 1), (1, 2), (3, 1), (2, 3), (4, 2, 3), (2, 3, 1, 4))


def draw(
    candidate: Candidate,
    rng: Rng,
    shape: Sequence[int],
    layout: str = "torch",
    nonlinearity: str = "relu",
    a: float = 0.0,
) -> tuple[Call, NDArray[np.float64]]:
    """A call with a generator of its own, and the answer in float64."""
    own = np.random.default_rng(int(rng.integers(2**32)))
    call = Call(candidate, shape=shape, layout=layout, nonlinearity=nonlinearity, a=a, rng=own)
    found = call.returns(np.dtype("float32"), weight=tuple(shape))
    if not np.isfinite(found).all():
        call.fail("finite numbers", "NaN or infinity", "a division by a spread that is 0, or a root of < 0")
    return call, found.astype(np.float64)


def spread(call: Call, found: NDArray[np.float64], want: float, cause: str) -> None:
    """Raise unless the root of the mean square is within 5 % (six standard errors) of `want`."""
    got = math.sqrt(np.square(found).mean())
    call.holds(
        abs(got / want - 1) < 0.05, expected=f"standard deviation {want:.5f}", got=f"{got:.5f}", cause=cause
    )


# Checks.


def an_array(candidate: Candidate, rng: Rng) -> None:
    """Returns a float32 array of the shape asked for."""
    for shape in (*SMALL, [2, 3], [3, 2, 5]):
        for layout in ("torch", "keras"):
            draw(candidate, rng, shape, layout)
    for nonlinearity in ("linear", "leaky_relu"):
        draw(candidate, rng, (2, 3), "torch", nonlinearity, 0.5)


def torch_layout(candidate: Candidate, rng: Rng) -> None:
    """In torch's layout the second size is fan-in."""
    for outputs, inputs in ((250, 40), (40, 250), (10_000, 1), (2, 5_000)):
        call, found = draw(candidate, rng, (outputs, inputs))
        cause = "fan-in and fan-out exchanged, their mean as in Xavier, the variance in place of its root"
        spread(call, found, math.sqrt(2 / inputs), cause)


def keras_layout(candidate: Candidate, rng: Rng) -> None:
    """In Keras's layout the last size but one is fan-in."""
    for inputs, outputs in ((250, 40), (40, 250), (1, 10_000), (5_000, 2)):
        call, found = draw(candidate, rng, (inputs, outputs), "keras")
        spread(call, found, math.sqrt(2 / inputs), "the layout ignored, or the two exchanged")


def kernels(candidate: Candidate, rng: Rng) -> None:
    """Each axis of a kernel multiplies fan-in."""
    for kernel in ((3,), (3, 5), (2, 3, 4), (1, 7)):
        size = math.prod(kernel)
        inputs, outputs = 20, 9_600 // (20 * size)
        want = math.sqrt(2 / (inputs * size))
        for layout, shape in (
            ("torch", (outputs, inputs, *kernel)),
            ("keras", (*kernel, inputs, outputs)),
        ):
            call, found = draw(candidate, rng, shape, layout)
            spread(
                call, found, want, "the kernel left out, only one of its axes, or the wrong end of the shape"
            )


def gains(candidate: Candidate, rng: Rng) -> None:
    """The gain is that of the nonlinearity, and only a leaky ReLU has a slope."""
    for nonlinearity, a, squared in (
        ("relu", 0.0, 2.0),
        ("relu", 3.0, 2.0),
        ("linear", 0.0, 1.0),
        ("linear", 3.0, 1.0),
        ("leaky_relu", 0.0, 2.0),
        ("leaky_relu", 0.5, 1.6),
        ("leaky_relu", 1.0, 1.0),
        ("leaky_relu", 2.0, 0.4),
        ("leaky_relu", -0.5, 1.6),
        ("leaky_relu", 100.0, 2 / 10_001),
    ):
        for layout, shape in (("torch", (160, 60)), ("keras", (60, 160))):
            call, found = draw(candidate, rng, shape, layout, nonlinearity, a)
            cause = (
                "the gain in place of its square or the reverse, 1 + a for 1 + a², or a used by the others"
            )
            spread(call, found, math.sqrt(squared / 60), cause)


def normal_numbers(candidate: Candidate, rng: Rng) -> None:
    """The numbers are normal around 0, with both tails."""
    call, found = draw(candidate, rng, (100, 200))
    found = found * 10  # fan-in 200: standard normal
    call.holds(abs(found.mean()) < 0.05, expected="mean 0 (standard deviation 1)", got=f"{found.mean():.3f}",
               cause="absolute values, or numbers that are only positive")  # fmt: skip
    for limit, share in ((1.0, 0.31731), (2.5, 0.012419)):
        for name, got in (("above", (found > limit).mean()), ("below minus", (found < -limit).mean())):
            error = math.sqrt(share / 2 / found.size)
            call.holds(
                abs(got - share / 2) < 7 * error,
                expected=f"{share / 2:.2%} of the numbers {name} {limit:g} standard deviations",
                got=f"{got:.2%}",
                cause="a uniform or a truncated distribution, or signs alone",
            )


def independent(candidate: Candidate, rng: Rng) -> None:
    """The numbers are independent: no row repeats, and row lengths vary by chance."""
    for shape, layout in (((300, 100), "torch"), ((100, 300), "keras"), ((300, 10, 10), "torch")):
        call, found = draw(candidate, rng, shape, layout)
        for matrix in (found.reshape(shape[0], -1), found.reshape(-1, shape[-1]).T):
            matrix = matrix * math.sqrt(50)  # fan-in 100: standard normal
            neighbors = (matrix[1:] * matrix[:-1]).mean()
            call.holds(
                abs(neighbors) < 8 / math.sqrt(matrix.size),
                expected="neighboring rows that are not correlated",
                got=f"correlation {neighbors:.2f}",
                cause="one row or column drawn and repeated",
            )
            lengths = np.square(matrix).sum(axis=1)
            ratio = lengths.var() / (2 * matrix.shape[1])
            allowed = 6 * math.sqrt((2 + 12 / matrix.shape[1]) / len(lengths))
            call.holds(
                abs(ratio - 1) < allowed,
                expected="squared row lengths that vary as sums of squared normal numbers do",
                got=f"{ratio:.2f} times that variance",
                cause="rows that are orthogonal or normalized, or numbers that are repeated",
            )


def not_normalized(candidate: Candidate, rng: Rng) -> None:
    """A small array is not corrected to the exact spread."""
    own = np.random.default_rng(int(rng.integers(2**32)))
    call = Call(candidate, shape=(1, 2), layout="torch", nonlinearity="relu", a=0.0, rng=own)
    call.returns(np.dtype("float32"), weight=(1, 2))
    draws = np.array([candidate((1, 2), "torch", "relu", 0.0, own) for _ in range(400)]).reshape(400, 2)
    lengths = np.square(draws.astype(np.float64)).sum(axis=1)  # exponential, of mean 2 and deviation 2
    call.holds(
        abs(lengths.mean() - 2) < 0.6 and lengths.std() > 1,  # six standard errors, and seven
        expected="over 400 draws, squared lengths of mean 2 and standard deviation 2",
        got=f"{lengths.mean():.2f} and {lengths.std():.2f}",
        cause="numbers divided by their own spread, or centered",
    )


def from_rng(candidate: Candidate, rng: Rng) -> None:
    """All randomness comes from rng."""
    seed = int(rng.integers(2**32))
    legacy = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    own, same, other = (np.random.default_rng(k) for k in (seed, seed, seed + 1))
    settings: dict[str, Any] = {"shape": (3, 4), "layout": "torch", "nonlinearity": "relu", "a": 0.0}
    first, again, second, third = (
        Call(candidate, **settings, rng=source) for source in (own, same, own, other)
    )
    for call in (first, again, second, third):
        call.returns(np.dtype("float32"), weight=(3, 4))
    again.same("the same state's weight", again.value, first.value, tolerance=0.0,
               cause="random numbers from elsewhere, or a seed of its own")  # fmt: skip
    cause = "a generator made anew inside, from a fixed seed or a copy of rng"
    for name, call in (("the second call's", second), ("another seed's", third)):
        call.holds((call.value != first.value).all(), expected=f"{name} weight to be another", got="the same",
                   cause=cause)  # fmt: skip
    untouched = np.array_equal(legacy, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002
    first.holds(untouched, expected="numpy's global random state as it was", got="another state",
                cause="np.random.seed or np.random.randn")  # fmt: skip


def refuses(candidate: Candidate, rng: Rng) -> None:
    """Unknown names and shapes without a fan-in are refused."""
    good: dict[str, Any] = {"shape": (3, 4), "layout": "torch", "nonlinearity": "relu", "a": 0.0}
    for bad in (
        {"shape": (5,)},
        {"shape": ()},
        {"shape": [7], "layout": "keras"},
        {"layout": "jax"},
        {"nonlinearity": "gelu"},
        {"nonlinearity": "tanh"},
        {"nonlinearity": "ReLU", "layout": "keras"},
    ):
        raises(ValueError, candidate, cause="a case that falls through to a default", **(good | bad), rng=rng)


def leaves_the_shape(candidate: Candidate, rng: Rng) -> None:
    """A shape given as a list stays as it is."""
    for layout in ("torch", "keras"):
        call, _ = draw(candidate, rng, [3, 4, 5], layout)
        call.unchanged(cause="a method that changes the list, such as pop or reverse")


# Wrong answers.


def changed(
    fan: Callable[[Sequence[int], str], float] = lambda shape, layout: (
        math.prod(shape) / (shape[0] if layout == "torch" else shape[-1])
    ),
    gain: Callable[[str, float], float] = lambda name, a: {
        "linear": 1.0,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + a**2)),
    }[name],
    std: Callable[[float, float], float] = lambda gain, fan: gain / math.sqrt(fan),
    numbers: Callable[[Rng, Sequence[int]], NDArray[Any]] = lambda rng, shape: rng.standard_normal(shape),
) -> Candidate:
    """The right answer with one part changed."""

    def answer(shape: Any, layout: str, nonlinearity: str, a: float, rng: Rng) -> NDArray[np.float32]:
        if len(shape) < 2 or layout not in ("torch", "keras"):
            raise ValueError(f"{shape}, {layout}")
        if nonlinearity not in ("linear", "relu", "leaky_relu"):
            raise ValueError(nonlinearity)
        scale = std(gain(nonlinearity, a), fan(shape, layout))
        return np.asarray(scale * numbers(rng, shape), dtype=np.float32)

    return answer


def both_fans(shape: Sequence[int], layout: str) -> tuple[float, float]:
    ends = shape[:2] if layout == "torch" else shape[:-3:-1]
    kernel = math.prod(shape) / math.prod(ends)
    return kernel * ends[1], kernel * ends[0]  # in, out


def truncated(rng: Rng, shape: Sequence[int]) -> NDArray[np.float64]:
    found = rng.standard_normal(shape)
    while (beyond := np.abs(found) > 2).any():
        found[beyond] = rng.standard_normal(int(beyond.sum()))
    return found / 0.87962566103423978


def orthogonal(rng: Rng, shape: Sequence[int]) -> NDArray[np.float64]:
    rows, columns = shape[0], math.prod(shape[1:])
    q = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))[0]
    q = q if rows >= columns else q.T
    return math.sqrt(max(rows, columns)) * q.reshape(shape)


def normalized(rng: Rng, shape: Sequence[int]) -> NDArray[np.float64]:
    found = rng.standard_normal(shape)
    return found / math.sqrt(np.square(found).mean())


def centered(rng: Rng, shape: Sequence[int]) -> NDArray[np.float64]:
    found = rng.standard_normal(shape)
    return found - found.mean()


def in_float64(
    shape: Any, layout: str, nonlinearity: str, a: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    return he_normal(shape, layout, nonlinearity, a, rng).astype(np.float64)


def defaults(
    shape: Any, layout: str, nonlinearity: str, a: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    name = nonlinearity if nonlinearity in ("linear", "leaky_relu") else "relu"
    return he_normal(shape, "keras" if layout == "keras" else "torch", name, a, rng)


def pops(
    shape: Any, layout: str, nonlinearity: str, a: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    found = he_normal(tuple(shape), layout, nonlinearity, a, rng)
    if isinstance(shape, list):
        shape.pop()
    return found


# Right answers of other style.


def drawn_in_float32(
    shape: Any, layout: str, nonlinearity: str, a: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    fan_in = _fan_in(tuple(shape), layout)
    found = rng.standard_normal(tuple(shape), dtype=np.float32)
    found *= np.float32(np.sqrt(_share(nonlinearity, a) / fan_in))
    return found


def box_muller(
    shape: Any, layout: str, nonlinearity: str, a: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    fan_in = _fan_in(tuple(shape), layout)
    radius = np.sqrt(-2 * np.log1p(-rng.random(shape)))
    numbers = radius * np.cos(2 * np.pi * rng.random(shape))
    return np.asarray(numbers * (_share(nonlinearity, a) / fan_in) ** 0.5, dtype=np.float32)


def columns_first(
    shape: Any, layout: str, nonlinearity: str, a: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    std = np.sqrt(_share(nonlinearity, a) / _fan_in(tuple(shape), layout))
    backwards = rng.normal(loc=0.0, scale=std, size=tuple(shape)[::-1])
    return backwards.T.astype(np.float32)


def _fan_in(shape: tuple[int, ...], layout: str) -> int:
    if len(shape) < 2:
        raise ValueError("no fan-in")
    if layout == "torch":
        return int(np.prod(shape[1:]))
    if layout == "keras":
        return int(np.prod(shape[:-1]))
    raise ValueError(layout)


def _share(nonlinearity: str, a: float) -> float:
    slopes = {"linear": 1.0, "relu": 0.0, "leaky_relu": a}
    if nonlinearity not in slopes:
        raise ValueError(nonlinearity)
    return 2 / (1 + slopes[nonlinearity] ** 2)


TASK = Task(
    name="he_normal",
    entry="weight_initialization",
    statement=STATEMENT,
    starter=STARTER,
    reference=he_normal,
    hints=HINTS,
    checks=(
        an_array,
        torch_layout,
        keras_layout,
        kernels,
        gains,
        normal_numbers,
        independent,
        not_normalized,
        from_rng,
        refuses,
        leaves_the_shape,
    ),
    wrong={
        "the variance for its root": changed(std=lambda gain, fan: gain**2 / fan),
        "gain over fan-in": changed(std=lambda gain, fan: gain / fan),
        "root of the gain": changed(std=lambda gain, fan: math.sqrt(gain / fan)),
        "fan-out": changed(fan=lambda shape, layout: both_fans(shape, layout)[1]),
        "Xavier's mean of both": changed(fan=lambda shape, layout: sum(both_fans(shape, layout)) / 2),
        "torch's layout always": changed(fan=lambda shape, layout: math.prod(shape[1:])),
        "Keras's layout always": changed(fan=lambda shape, layout: math.prod(shape[:-1])),
        "no kernel": changed(fan=lambda shape, layout: shape[1] if layout == "torch" else shape[-2]),
        "shape[1] in both": changed(fan=lambda shape, layout: math.prod(shape) / shape[0]),
        "first kernel axis only": changed(
            fan=lambda shape, layout: math.prod(shape[1:3]) if layout == "torch" else math.prod(shape[-3:-1])
        ),
        "two for every nonlinearity": changed(gain=lambda name, a: math.sqrt(2)),
        "the slope not squared": changed(
            gain=lambda name, a: {"linear": 1.0, "relu": math.sqrt(2)}.get(name, math.sqrt(2 / (1 + abs(a))))
        ),
        "a slope for ReLU too": changed(
            gain=lambda name, a: 1.0 if name == "linear" else math.sqrt(2 / (1 + a**2))
        ),
        "a slope of 1 subtracted": changed(
            gain=lambda name, a: {"linear": 1.0, "relu": math.sqrt(2)}.get(name, math.sqrt(2 * (1 + a**2)))
        ),
        "uniform of the same variance": changed(
            numbers=lambda rng, shape: rng.uniform(-math.sqrt(3), math.sqrt(3), shape)
        ),
        "truncated as in Keras": changed(numbers=truncated),
        "orthogonal of the same variance": changed(numbers=orthogonal),
        "divided by its own spread": changed(numbers=normalized),
        "centered": changed(numbers=centered),
        "absolute values": changed(numbers=lambda rng, shape: np.abs(rng.standard_normal(shape))),
        "one row repeated": changed(
            numbers=lambda rng, shape: np.broadcast_to(rng.standard_normal(shape[1:]), shape)
        ),
        "a seed of its own": changed(
            numbers=lambda rng, shape: np.random.default_rng(0).standard_normal(shape)
        ),
        "numpy's global generator": changed(
            numbers=lambda rng, shape: np.random.standard_normal(shape)  # noqa: NPY002
        ),
        "float64": in_float64,
        "defaults for what it does not know": defaults,
        "takes the shape apart": pops,
    },
    also_right={
        "drawn in float32": drawn_in_float32,
        "Box and Muller": box_muller,
        "axes reversed": columns_first,
    },
    asked=2,
)
