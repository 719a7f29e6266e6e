"""The lasso by coordinate descent, held against its optimality conditions."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Array = NDArray[Any]

STATEMENT = r"""
Write `lasso_cd(X, y, alpha)`: return `(w, b)`, the weights, float64 of shape $(D,)$, and the unpenalized
intercept, one number, that minimize
$\frac{1}{2N}\lVert y - b - Xw\rVert^2 + \alpha\lVert w\rVert_1$. `X`, $(N, D)$, and `y`, $(N,)$, are finite
and of dtype float64 or int64, `alpha` is above 0, and any method will do. Weights that are zero at the
minimum are exactly 0.0; with $r = y - b - Xw$, the mean of $r$ is 0 and each other weight has
$x_j \cdot r / N = \alpha\,\mathrm{sign}(w_j)$, to within $10^{-6}$ of the larger of $\alpha$ and the
$\alpha$ from which on all weights are zero. Features need not be centered, scaled or independent, $D$ may
exceed $N$, and $N$ may be 1. A feature that is constant gets weight 0; copies of a feature may share its
weight in any way that reaches the minimum. No input is changed.
"""

STARTER = '''
import numpy as np


def lasso_cd(X: np.ndarray, y: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Minimize ‖y − b − Xw‖² / 2N + alpha ‖w‖₁ over w and b.

    X: (N, D). y: (N,). alpha: above 0.
    Returns w (D,), float64, and b.
    """
    raise NotImplementedError
'''

HINTS = (
    "What is the best b for a given w? Put it in, and only centered columns and a centered y remain. Then "
    "fix all weights but one: which function of that one is left?",
    "Left is a parabola plus alpha times an absolute value, and its minimum is a soft threshold. Keep the "
    "residual up to date, so that a step costs one dot product. Mind that the squared error is divided by N.",
    "Correlate the column with the residual and add the column's squared length times the old weight. Move "
    "that towards zero by N times alpha, stopping at zero, and divide by the squared length. Correct the "
    "residual. Sweep until no step moves the fit; skip columns of length zero; b comes last, from the means.",
)


def lasso_cd(X: np.ndarray, y: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    x, residual = X - X.mean(axis=0), y - y.mean()
    w, squares, size = np.zeros(X.shape[1]), (x**2).sum(axis=0), np.linalg.norm(residual)
    for _ in range(3000):
        largest = 0.0
        for j in np.flatnonzero(squares):
            z = x[:, j] @ residual + squares[j] * w[j]
            step = np.sign(z) * max(abs(z) - len(y) * alpha, 0.0) / squares[j] - w[j]
            residual -= x[:, j] * step
            w[j] += step
            largest = max(largest, abs(step) * squares[j] ** 0.5)
        if largest <= 1e-10 * size:
            break
    return w, float(y.mean() - X.mean(axis=0) @ w)


# What the checks compare with.

SIZES = ((2, 1), (6, 2), (9, 5))  # N, D


def drawn(rng: Rng, N: int, D: int, *, share: float = 0.3) -> dict[str, Any]:
    """Features of other means and scales; alpha is a share of the smallest that makes all weights zero."""
    X = rng.standard_normal((N, D)) * rng.uniform(0.5, 2.0, D) + rng.uniform(-3, 3, D)
    y = X[:, : (D + 1) // 2] @ rng.uniform(1, 2, (D + 1) // 2) + rng.standard_normal(N) + 5.0
    return {"X": X, "y": y, "alpha": share * alpha_max(X, y)}


def alpha_max(X: Array, y: Array) -> float:
    return float(np.abs((X - X.mean(axis=0)).T @ (y - y.mean())).max() / len(y))


def answered(candidate: Candidate, given: dict[str, Any]) -> tuple[Call, Array, float]:
    """The call, w of the right shape and dtype, and b as a number."""
    with np.errstate(all="ignore"):
        call = Call(candidate, **given)
    parts = call._parts("w, b", 2)
    pair, call.value = call.value, parts[0]
    w = call.returns(np.float64, w=(given["X"].shape[1],))
    call.value = parts[1]
    b = call.number()
    call.value = pair
    finite = np.isfinite(w).all() and math.isfinite(b)
    call.holds(finite, expected="finite numbers", got=f"w = {w}, b = {b}",
               cause="a division by the squared length of a constant column, which is 0")  # fmt: skip
    return call, w, b


def optimal(candidate: Candidate, given: dict[str, Any], cause: str) -> tuple[Call, Array]:
    """The optimality conditions, which hold at the minimum and nowhere else."""
    call, w, b = answered(candidate, given)
    X, y, alpha = given["X"].astype(float), given["y"].astype(float), given["alpha"]
    residual = y - b - X @ w
    allowed = 1e-6 * max(alpha, alpha_max(X, y))
    center = residual.mean()
    call.holds(abs(center) <= allowed, expected="residuals y − b − Xw of mean 0", got=f"mean {center:.4g}",
               cause="b without the mean of Xw, no intercept, a penalized one, or too few steps")  # fmt: skip
    pull = (X - X.mean(axis=0)).T @ residual / len(y)
    for j in range(len(w)):
        name = f"x{j} · r / N"
        if w[j] == 0:
            call.holds(abs(pull[j]) <= alpha + allowed, expected=f"|{name}| ≤ {alpha:.6g} where w{j} = 0",
                       got=f"{pull[j]:.6g}", cause=cause)  # fmt: skip
        else:
            want = alpha * np.sign(w[j])
            call.holds(abs(pull[j] - want) <= allowed, got=f"{pull[j]:.6g}", cause=cause,
                       expected=f"{name} = {want:.6g} where w{j} = {w[j]:.6g}")  # fmt: skip
    return call, w


def by_enumeration(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    """Every pattern of signs, solved as linear equations: the best of those that are consistent."""
    N, D = X.shape
    x, target = X - X.mean(axis=0), y - y.mean()
    best, least = np.zeros(D), math.inf
    for signs in itertools.product((-1, 0, 1), repeat=D):
        s = np.array(signs)
        active = s != 0
        w = np.zeros(D)
        gram = x[:, active].T @ x[:, active]
        w[active] = np.linalg.lstsq(gram, x[:, active].T @ target - N * alpha * s[active], rcond=None)[0]
        if (np.sign(w) != s).any():
            continue
        loss = ((target - x @ w) ** 2).sum() / (2 * N) + alpha * np.abs(w).sum()
        if loss < least:
            best, least = w, loss
    return best, float(y.mean() - X.mean(axis=0) @ best)


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns w, float64 of shape (D,), and one number."""
    for N, D in SIZES:
        answered(candidate, drawn(rng, N, D))


def one_feature(candidate: Candidate, rng: Rng) -> None:
    """One feature, by hand."""
    # Centered x = (−1, 0, 1), y = (−2, 0, 2): x·y = 4, less N alpha = 3 · 0.5, over ‖x‖² = 2.
    for shift, mean in ((0.0, 0.0), (2.0, 7.0)):
        given = {"X": np.array([[-1.0], [0.0], [1.0]]) + shift, "y": np.array([-2.0, 0.0, 2.0]) + mean,
                 "alpha": 0.5}  # fmt: skip
        call, w, b = answered(candidate, given)
        call.same("w", w, np.array([1.25]), tolerance=1e-6,
                  cause="a threshold of alpha where N · alpha is due: the error is a mean")  # fmt: skip
        call.same("b", b, mean - 1.25 * shift, tolerance=1e-6,
                  cause="an intercept left out, penalized, or set to the mean of y")  # fmt: skip


def nothing_left(candidate: Candidate, rng: Rng) -> None:
    """From the largest |x · (y − ȳ)| / N on, all weights are exactly 0 and b is the mean of y."""
    for N, D in SIZES:
        for share in (1.001, 3.0):
            given = drawn(rng, N, D, share=share)
            call, w, b = answered(candidate, given)
            call.holds(not w.any(), expected="w = 0, exactly", got=f"w = {w}",
                       cause="a subgradient, which never lands on 0, or features not centered")  # fmt: skip
            call.same("b", b, given["y"].mean(), tolerance=1e-9, cause="an intercept that is penalized")


def first_one_in(candidate: Candidate, rng: Rng) -> None:
    """Just below that, exactly one feature has a weight."""
    for N, D in SIZES:
        given = drawn(rng, N, D, share=0.9999)
        call, w, _ = answered(candidate, given)
        call.holds((w != 0).sum() == 1, expected="one weight that is not 0", got=f"w = {w}",
                   cause="weights that never become exactly 0, or too large a threshold")  # fmt: skip


def conditions(candidate: Candidate, rng: Rng) -> None:
    """Meets the optimality conditions, from weak to strong penalties."""
    for N, D in SIZES:
        for share in (0.7, 0.3, 0.05):
            optimal(candidate, drawn(rng, N, D, share=share),
                    "the old weight not added back, the residual not updated, or too few sweeps")  # fmt: skip


def constant_feature(candidate: Candidate, rng: Rng) -> None:
    """A constant feature gets weight 0, wherever it stands, and spoils nothing."""
    for place in (0, 2):
        for level in (0.0, 1.0, 0.1, 1e3):
            given = drawn(rng, 7, 3)
            given["X"][:, place] = level
            given["alpha"] = 0.2 * alpha_max(given["X"], given["y"])
            call, w = optimal(candidate, given, "a constant column that takes the intercept's place")
            call.holds(w[place] == 0, expected=f"w{place} = 0", got=f"w = {w}",
                       cause="a constant column that takes the intercept's place")  # fmt: skip
    given = {"X": rng.standard_normal((5, 2)), "y": np.full(5, 3.0), "alpha": 0.1}
    optimal(candidate, given, "a target that does not vary")


def wide_and_short(candidate: Candidate, rng: Rng) -> None:
    """One example, or more features than examples, is nothing special."""
    cause = "equations that have no single solution, or a division by N − 1"
    optimal(candidate, {"X": rng.standard_normal((1, 3)), "y": np.array([4.0]), "alpha": 0.5}, cause)
    for N, D in ((3, 8),):
        optimal(candidate, drawn(rng, N, D, share=0.1), cause)


def related_features(candidate: Candidate, rng: Rng) -> None:
    """Features that are nearly alike need many sweeps, and get them."""
    for N, D in ((15, 3),):
        common = rng.standard_normal((N, 1))
        X = common + 0.15 * rng.standard_normal((N, D))
        y = X @ np.where(np.arange(D) % 2, -1.0, 2.0) + 0.01 * rng.standard_normal(N)
        given = {"X": X, "y": y, "alpha": 0.003 * alpha_max(X, y)}
        optimal(candidate, given, "sweeps that end too early")


def copies(candidate: Candidate, rng: Rng) -> None:
    """Copies of a feature share its weight, and the minimum stays as low."""
    for N, D in ((6, 2), (9, 3)):
        given = drawn(rng, N, D, share=0.2)
        doubled = given | {"X": np.hstack([given["X"], given["X"][:, :1]])}
        call, w = optimal(candidate, doubled, "both copies given the weight of one, or too few sweeps")
        want = by_enumeration(**given)[0]
        merged = np.append(w[0] + w[-1], w[1:-1])
        call.same("w, copies added up", merged, want, tolerance=1e-4,
                  cause="both copies given the whole weight")  # fmt: skip


def scales(candidate: Candidate, rng: Rng) -> None:
    """Exact for tiny and huge targets, features of different scale, and means far from 0."""
    for scale in (1e-9, 1e6):
        given = drawn(rng, 10, 4, share=0.1)
        optimal(candidate, given | {"y": scale * given["y"], "alpha": scale * given["alpha"]},
                "a tolerance or a rounding that does not scale with y")  # fmt: skip
    given = drawn(rng, 10, 3)
    given["X"] = given["X"] * [1e-3, 1.0, 1e2]
    given["alpha"] = 0.01 * alpha_max(given["X"], given["y"])
    optimal(candidate, given,
            "features taken for standardized, whose lengths differ, or too few steps")  # fmt: skip
    given = drawn(rng, 8, 2)
    given["X"], given["y"] = given["X"] + 300.0, given["y"] - 500.0
    optimal(candidate, given, "features not centered")


def whole_numbers(candidate: Candidate, rng: Rng) -> None:
    """Takes whole numbers, and memory that is not contiguous."""
    X = rng.integers(0, 5, (9, 3))
    X[:2] = [[0, 1, 4], [3, 0, 1]]
    y = rng.integers(0, 9, 9) + 2 * X[:, 0]
    given: dict[str, Any] = {"X": X, "y": y, "alpha": 0.2 * alpha_max(X, y)}
    optimal(candidate, given, "weights or residuals kept as whole numbers")
    given = drawn(rng, 8, 3)
    given["X"], given["y"] = np.asfortranarray(given["X"]), np.repeat(given["y"], 2)[::2]
    optimal(candidate, given, "a view that needs contiguous memory")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves X and y as they were."""
    for N, D in SIZES:
        answered(candidate, drawn(rng, N, D))[0].unchanged()


# Right answers of other style, and wrong ones.


def by_gram(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    """Covariance updates: after two products, the examples are not needed any more."""
    x, target = X - X.mean(axis=0), y - y.mean()
    gram, corr = x.T @ x / len(y), x.T @ target / len(y)
    w = np.zeros(len(corr))
    for _ in range(20_000):
        before = w.copy()
        for j in range(len(w)):
            if gram[j, j] > 0:
                z = corr[j] - gram[j] @ w + gram[j, j] * w[j]
                w[j] = (max(z - alpha, 0.0) - max(-z - alpha, 0.0)) / gram[j, j]
        if (np.abs(w - before) <= 1e-10 * np.abs(w).max()).all():
            break
    return w, (y - X @ w).mean()


def backwards(X: Array, y: Array, alpha: float) -> list[Any]:
    """Sweeps from the last feature to the first."""
    w, b = lasso_cd(X[:, ::-1], y, alpha)
    return [w[::-1], np.array(b)]


def pieces(
    *,
    threshold: Callable[[float, int], float] = lambda alpha, N: N * alpha,
    shrink: Callable[[float, float], float] = lambda z, a: math.copysign(max(abs(z) - a, 0.0), z),
    length: Callable[[float, int], float] = lambda square, N: square,
    kept: float = 1.0,
    update: bool = True,
    sweeps: int = 10_000,
    tolerance: float = 1e-11,
    absolute: bool = False,
    center_x: bool = True,
    center_y: bool = True,
    intercept: Callable[[float, Array, Array], Any] = lambda y_mean, x_mean, w: y_mean - x_mean @ w,
) -> Candidate:
    """Right in everything but the piece that is replaced."""

    def answer(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
        x = X - X.mean(axis=0) * center_x
        residual = y - y.mean() * center_y
        w, size, squares = np.zeros(X.shape[1]), np.linalg.norm(residual), (x**2).sum(axis=0)
        for _ in range(sweeps):
            largest = 0.0
            for j in np.flatnonzero(squares):
                z = x[:, j] @ residual + kept * squares[j] * w[j]
                new = shrink(z, threshold(alpha, len(y))) / length(squares[j], len(y))
                if update:
                    residual = residual - x[:, j] * (new - w[j])
                if abs(new) > 1e100:
                    return w, 0.0
                largest = max(largest, abs(new - w[j]) * (1.0 if absolute else math.sqrt(squares[j])))
                w[j] = new
            if largest <= tolerance * (1.0 if absolute else size):
                break
        return w, float(intercept(y.mean(), X.mean(axis=0), w))

    return answer


def subgradient(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    x, target = X - X.mean(axis=0), y - y.mean()
    w, rate = np.zeros(X.shape[1]), 0.5 * len(y) / max(float((x**2).sum()), 1e-300)
    for _ in range(300):
        w = w - rate * (alpha * np.sign(w) - x.T @ (target - x @ w) / len(y))
    return w, float(y.mean() - X.mean(axis=0) @ w)


def penalized_intercept(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    extended = np.column_stack([X, np.ones(len(y))])
    w, _ = pieces(center_x=False, center_y=False, sweeps=2000)(extended, y, alpha)
    return w[:-1], float(w[-1])


def least_squares_thresholded(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    x, target = X - X.mean(axis=0), y - y.mean()
    w = np.linalg.lstsq(x, target, rcond=None)[0]
    w = np.sign(w) * np.maximum(np.abs(w) - alpha, 0.0)
    return w, float(y.mean() - X.mean(axis=0) @ w)


def standardized(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    spread = np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
    w, b = lasso_cd(X / spread, y, alpha)
    return w / spread, b


def no_guard(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    w, b = lasso_cd(X, y, alpha)
    squares = ((X - X.mean(axis=0)) ** 2).sum(axis=0)
    return w * squares / squares, b


def copies_counted_twice(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    """Solves for distinct columns, and gives each copy the weight."""
    _, place, which = np.unique(X, axis=1, return_index=True, return_inverse=True)
    w, b = lasso_cd(X[:, place], y, alpha)
    return w[which.ravel()], b


def wide_refused(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    if X.shape[1] > X.shape[0]:
        raise ValueError("more features than examples")
    return lasso_cd(X, y, alpha)


def float32_inside(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    w, b = pieces(tolerance=1e-6, sweeps=2000)(X.astype(np.float32), y.astype(np.float32), alpha)
    return w.astype(np.float32).astype(np.float64), b


def in_place(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    w, b = lasso_cd(X, y, alpha)
    if X.dtype.kind == "f":
        X -= X.mean(axis=0)
        y -= y.mean()
    return w, b


def rounded(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    """Small weights cut off at the end."""
    w, b = lasso_cd(X, y, alpha)
    w[np.abs(w) < 1e-3] = 0.0
    return w, b


def whole(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    """Weights in the dtype of X."""
    w, b = lasso_cd(X, y, alpha)
    return w.astype(X.dtype).astype(np.float64), b


def elastic(X: Array, y: Array, alpha: float) -> tuple[Array, float]:
    return pieces(length=lambda square, N: square + 0.01 * N)(X, y, alpha)


def swapped(X: Array, y: Array, alpha: float) -> tuple[float, Array]:
    w, b = lasso_cd(X, y, alpha)
    return b, w


TASK = Task(
    name="lasso_cd",
    entry="l1_l2_bayes",
    statement=STATEMENT,
    starter=STARTER,
    reference=lasso_cd,
    hints=HINTS,
    checks=(
        shapes,
        one_feature,
        nothing_left,
        first_one_in,
        conditions,
        constant_feature,
        wide_and_short,
        related_features,
        copies,
        scales,
        whole_numbers,
        inputs_kept,
    ),
    wrong={
        "threshold of alpha": pieces(threshold=lambda alpha, N: alpha),
        "threshold of 2 N alpha": pieces(threshold=lambda alpha, N: 2 * N * alpha),
        "threshold of N alpha / 2": pieces(threshold=lambda alpha, N: N * alpha / 2),
        "hard threshold": pieces(shrink=lambda z, a: z if abs(z) > a else 0.0, sweeps=500),
        "ridge's division": pieces(shrink=lambda z, a: z / (1 + a), sweeps=500),
        "positive weights only": pieces(shrink=lambda z, a: max(z - a, 0.0)),
        "zero below N alpha on one side only": pieces(
            shrink=lambda z, a: max(z - a, 0.0) if z > 0 else z + a, sweeps=200
        ),
        "sign lost": pieces(shrink=lambda z, a: max(abs(z) - a, 0.0), sweeps=200),
        "division by N": pieces(length=lambda square, N: N, sweeps=200),
        "elastic net": elastic,
        "residual not updated": pieces(update=False, sweeps=3),
        "old weight not added back": pieces(kept=0.0, sweeps=200),
        "one sweep": pieces(sweeps=1),
        "ten sweeps": pieces(sweeps=10),
        "a hundred sweeps": pieces(sweeps=100),
        "loose tolerance": pieces(tolerance=1e-4),
        "absolute tolerance": pieces(tolerance=1e-8, absolute=True),
        "features not centered": pieces(
            center_x=False, intercept=lambda y_mean, x_mean, w: y_mean, sweeps=500
        ),
        "target not centered": pieces(center_x=False, center_y=False, sweeps=500),
        "no intercept": pieces(intercept=lambda y_mean, x_mean, w: 0.0),
        "b is the mean of y": pieces(intercept=lambda y_mean, x_mean, w: y_mean),
        "b with the wrong sign": pieces(intercept=lambda y_mean, x_mean, w: y_mean + x_mean @ w),
        "penalized intercept": penalized_intercept,
        "subgradient descent": subgradient,
        "least squares, thresholded": least_squares_thresholded,
        "features standardized": standardized,
        "constant columns not skipped": no_guard,
        "copies counted twice": copies_counted_twice,
        "more features than examples refused": wide_refused,
        "small weights cut off": rounded,
        "float32 inside": float32_inside,
        "weights in the dtype of X": whole,
        "centered in place": in_place,
        "b first": swapped,
        "w alone": lambda X, y, alpha: lasso_cd(X, y, alpha)[0],
    },
    also_right={
        "covariance updates, b by the residuals": by_gram,
        "last feature first, a list": backwards,
        "a residual made anew": pieces(),
    },
    asked=2,
)
