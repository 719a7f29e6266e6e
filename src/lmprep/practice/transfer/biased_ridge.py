"""Ridge around a source's weights: a closed form, with and without a penalty."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Array = NDArray[Any]

STATEMENT = r"""
Write `biased_ridge(X, y, w0, lam)`: the weights, float64 of shape $(D,)$, that minimize
$\lVert y - Xw\rVert^2 + \lambda\lVert w - w_0\rVert^2$, with `lam` for $\lambda$. There is no intercept,
nothing is centered, and neither term is divided by $N$ or by 2. `X`, $(N, D)$, `y`, $(N,)$, and `w0`,
$(D,)$, hold finite numbers, tiny or huge, float64 or int64; $N$ may be smaller than $D$, both may be 1, and
columns of `X` may depend on one another. `lam` is at least 0. Where it is 0, several `w` may fit equally
well: return the one nearest to `w0`, in squared distance. No input is changed.
"""

STARTER = '''
import numpy as np


def biased_ridge(X: np.ndarray, y: np.ndarray, w0: np.ndarray, lam: float) -> np.ndarray:
    """The w (D,) that minimizes ‖y − Xw‖² + lam ‖w − w0‖²; X (N, D), y (N,), w0 (D,)."""
    raise NotImplementedError
'''

HINTS = (
    "Call the correction v = w − w0 and write the loss in terms of v. What is the target that v has to fit?",
    "It is ordinary ridge, from zero, on what the source leaves over: y − X w0. A penalty is the same as D "
    "more examples. And without a penalty, which least-squares solution is the shortest?",
    "Put the root of lam times the identity below X, and D zeros below the residual y − X w0. Solve by least "
    "squares with a routine that returns the solution of least norm, and add w0 at the end.",
)


def biased_ridge(X: np.ndarray, y: np.ndarray, w0: np.ndarray, lam: float) -> np.ndarray:
    D = X.shape[1]
    rows = np.vstack([X, np.sqrt(lam) * np.eye(D)])
    residual = np.append(y - X @ w0, np.zeros(D))
    correction = np.linalg.lstsq(rows, residual, rcond=None)[0]
    return w0 + correction


# What the checks compare with.

SIZES = ((1, 1), (1, 3), (5, 2), (3, 7), (12, 4))  # N, D


def drawn(rng: Rng, N: int, D: int, lam: float) -> dict[str, Any]:
    """Features of other means and scales, and a source far from the weights that fit."""
    X = rng.standard_normal((N, D)) * rng.uniform(0.5, 2.0, D) + rng.uniform(-2, 2, D)
    return {"X": X, "y": rng.uniform(-3, 3, N) + 4.0, "w0": rng.uniform(1, 3, D), "lam": lam}


def by_svd(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """Along each singular direction of X by itself."""
    U, s, Vt = np.linalg.svd(X.astype(float), full_matrices=False)
    shown = s > 1e-10 * s.max(initial=0.0)
    s, U, Vt = s[shown], U[:, shown], Vt[shown]
    return np.asarray(w0 + Vt.T @ (s / (s**2 + lam) * (U.T @ (y - X @ w0))), dtype=float)


def answered(candidate: Candidate, given: dict[str, Any]) -> tuple[Call, Array]:
    call = Call(candidate, **given)
    return call, call.returns(np.float64, w=(given["X"].shape[1],))


def compare(candidate: Candidate, given: dict[str, Any], cause: str, tolerance: float = 1e-8) -> Call:
    call, w = answered(candidate, given)
    call.same("w", w, by_svd(**given), cause=cause, tolerance=tolerance)
    return call


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns w, float64 of shape (D,)."""
    for N, D in SIZES:
        answered(candidate, drawn(rng, N, D, 0.7))


def one_weight(candidate: Candidate, rng: Rng) -> None:
    """One weight, by hand: an average of the examples and of lam readings of w0."""
    # (Σ x y + lam w0) / (Σ x² + lam), here with x = 1: four readings with mean 3, and w0 = 7.
    for lam, want in ((4.0, 5.0), (12.0, 6.0), (0.0, 3.0)):
        given = {"X": np.ones((4, 1)), "y": np.array([1.0, 2.0, 4.0, 5.0]), "w0": np.array([7.0]), "lam": lam}
        call, w = answered(candidate, given)
        cause = "a mean where the sum is due, a penalty on w instead of w − w0, or an intercept"
        call.same("w", w, np.array([want]), tolerance=1e-8, cause=cause)


def source_stays_if_perfect(candidate: Candidate, rng: Rng) -> None:
    """Where the source already predicts y, w0 comes back, with a weak and a strong penalty."""
    for N, D in SIZES:
        for lam in (0.5, 20.0):
            given = drawn(rng, N, D, lam)
            given["y"] = given["X"] @ given["w0"]
            call, w = answered(candidate, given)
            call.same("w", w, given["w0"], tolerance=1e-8,
                      cause="y fitted instead of what the source leaves over, y − X w0")  # fmt: skip


def agrees(candidate: Candidate, rng: Rng) -> None:
    """The minimum, from weak to strong penalties, for N above and below D."""
    for N, D in SIZES:
        for lam in (0.01, 1.0, 50.0):
            cause = "lam scaled by N or 2, its root, or w0 added to a fit of y instead of y − X w0"
            compare(candidate, drawn(rng, N, D, lam), cause)


def no_penalty(candidate: Candidate, rng: Rng) -> None:
    """With lam = 0, least squares where it is unique, else its solution nearest to w0."""
    for N, D in ((5, 2), (12, 4), (1, 3), (3, 7)):
        compare(candidate, drawn(rng, N, D, 0.0), tolerance=1e-7,
                cause="a singular matrix, or the shortest w instead of the one nearest to w0")  # fmt: skip


def dependent_columns(candidate: Candidate, rng: Rng) -> None:
    """Columns that are zero, equal or multiples of one another are nothing special."""
    for lam in (0.0, 2.0):
        given = drawn(rng, 8, 3, lam)
        X = given["X"]
        given["X"] = np.column_stack([X, X[:, 0], np.zeros(8), 2 * X[:, 1]])
        given["w0"] = rng.uniform(1, 3, 6)
        cause = "a solver for full rank: copies share the correction, and unseen weights keep w0"
        compare(candidate, given, cause, tolerance=1e-7)


def scales(candidate: Candidate, rng: Rng) -> None:
    """Exact for tiny and huge numbers."""
    for size in (1e-5, 1e5):
        given = drawn(rng, 7, 3, 0.8 * size**2)
        compare(candidate, given | {"X": size * given["X"]}, tolerance=1e-7,
                cause="a constant added to lam or to the diagonal")  # fmt: skip
        given = drawn(rng, 7, 3, 0.8)
        scaled = given | {"y": size * given["y"], "w0": size * given["w0"]}
        call, w = answered(candidate, scaled)
        call.same("w, over the scale of y and w0", w / size, by_svd(**given), tolerance=1e-7,
                  cause="a constant added, or float32 inside")  # fmt: skip


def whole_numbers(candidate: Candidate, rng: Rng) -> None:
    """Takes whole numbers, and memory that is not contiguous."""
    for N, D in ((6, 3), (2, 4)):
        given: dict[str, Any] = {
            "X": rng.integers(-3, 4, (N, D)),
            "y": rng.integers(0, 9, N),
            "w0": rng.integers(1, 5, D),
            "lam": 2,
        }
        given["X"][0] = np.arange(1, D + 1)
        compare(candidate, given, "whole numbers kept, so that the correction is cut off")
    given = drawn(rng, 6, 3, 1.0)
    doubled: Array = np.repeat(given["w0"], 2)
    given["X"], given["w0"] = np.asfortranarray(given["X"]), doubled[::2]
    compare(candidate, given, "a view that needs contiguous memory")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves X, y and w0 as they were."""
    for N, D in SIZES:
        answered(candidate, drawn(rng, N, D, 1.0))[0].unchanged()


# Right answers of other style, and wrong ones.


def by_pinv(X: Array, y: Array, w0: Array, lam: float) -> Array:
    rows = np.concatenate([X, np.eye(len(w0)) * lam**0.5])
    return np.asarray(np.linalg.pinv(rows) @ np.concatenate([y, lam**0.5 * w0]) if lam else
                      w0 + np.linalg.pinv(X) @ (y - X @ w0))  # fmt: skip


def normal_equations(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """With a penalty the matrix is invertible; without, the pseudo-inverse."""
    if lam == 0:
        return np.asarray(w0 + np.linalg.pinv(X) @ (y - X @ w0))
    return np.asarray(np.linalg.solve(X.T @ X + lam * np.eye(X.shape[1]), X.T @ y + lam * w0))


def dual(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """N × N instead of D × D: the correction is a combination of the rows of X."""
    if lam == 0:
        return np.asarray(w0 + np.linalg.lstsq(X, y - X @ w0, rcond=None)[0])
    return np.asarray(w0 + X.T @ np.linalg.solve(X @ X.T + lam * np.eye(len(X)), y - X @ w0))


def variant(
    *,
    penalty: Callable[[float, int], float] = lambda lam, N: lam,
    target: Callable[[Array, Array, Array], Array] = lambda X, y, w0: y - X @ w0,
    added: Callable[[Array], Array] = lambda w0: w0,
    center: bool = False,
) -> Candidate:
    """Right in everything but the piece that is replaced."""

    def answer(X: Array, y: Array, w0: Array, lam: float) -> Array:
        features, residual = X.astype(float), target(X, y, w0).astype(float)
        if center:
            features, residual = features - features.mean(axis=0), residual - residual.mean()
        return np.asarray(added(w0) + biased_ridge(features, residual, 0 * w0, penalty(lam, len(X))))

    return answer


def singular(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """No answer where the matrix has no inverse."""
    return np.asarray(w0 + np.linalg.solve(X.T @ X + lam * np.eye(len(w0)), X.T @ (y - X @ w0)))


def shortest(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """Without a penalty, the shortest solution instead of the nearest."""
    return np.linalg.lstsq(X, y, rcond=None)[0] if lam == 0 else biased_ridge(X, y, w0, lam)


def full_rank(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """Without a penalty, an inverse wherever the examples are enough."""
    if lam == 0 and X.shape[0] >= X.shape[1]:
        return np.asarray(np.linalg.solve(X.T @ X, X.T @ y))
    return biased_ridge(X, y, w0, lam)


def small_is_none(X: Array, y: Array, w0: Array, lam: float) -> Array:
    return biased_ridge(X, y, w0, 0.0 if lam < 1e-5 else lam)


def jitter(X: Array, y: Array, w0: Array, lam: float) -> Array:
    return biased_ridge(X, y, w0, lam + 1e-6)


def bias_column(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """An intercept that is fitted and thrown away."""
    return biased_ridge(np.column_stack([X, np.ones(len(X))]), y, np.append(w0, 0), lam)[:-1]


def blended(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """The source and the least-squares fit averaged, for all directions alike."""
    share = lam / (lam + len(X))
    return np.asarray(share * w0 + (1 - share) * biased_ridge(X, y, w0, 0.0))


def descent(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """A hundred steps from w0, and no penalty."""
    w = w0.astype(float)
    for _ in range(100):
        w = w + X.T @ (y - X @ w) / max(np.linalg.norm(X, 2) ** 2, 1e-300)
    return np.asarray(w)


def float32_inside(X: Array, y: Array, w0: Array, lam: float) -> Array:
    w = biased_ridge(X.astype(np.float32), y.astype(np.float32), w0.astype(np.float32), lam)
    return w.astype(np.float32).astype(np.float64)


def whole(X: Array, y: Array, w0: Array, lam: float) -> Array:
    """Weights in the dtype of w0."""
    return biased_ridge(X, y, w0, lam).astype(w0.dtype).astype(np.float64)


def in_place(X: Array, y: Array, w0: Array, lam: float) -> Array:
    w = biased_ridge(X, y, w0, lam)
    y -= (X @ w0).astype(y.dtype)
    return w


def wide_refused(X: Array, y: Array, w0: Array, lam: float) -> Array:
    if X.shape[0] < X.shape[1]:
        raise ValueError("fewer examples than weights")
    return biased_ridge(X, y, w0, lam)


TASK = Task(
    name="biased_ridge",
    entry="transfer_as_prior",
    statement=STATEMENT,
    starter=STARTER,
    reference=biased_ridge,
    hints=HINTS,
    checks=(
        shapes,
        one_weight,
        source_stays_if_perfect,
        agrees,
        no_penalty,
        dependent_columns,
        scales,
        whole_numbers,
        inputs_kept,
    ),
    wrong={
        "shrinks to zero": variant(target=lambda X, y, w0: y, added=lambda w0: 0.0 * w0),
        "w0 added to a fit of y": variant(target=lambda X, y, w0: y),
        "residual fitted, w0 not added": variant(added=lambda w0: 0.0 * w0),
        "w0 subtracted": variant(added=lambda w0: -w0),
        "residual with the wrong sign": variant(target=lambda X, y, w0: X @ w0 - y),
        "lam times N": variant(penalty=lambda lam, N: lam * N),
        "lam over N": variant(penalty=lambda lam, N: lam / N),
        "lam doubled": variant(penalty=lambda lam, N: 2 * lam),
        "lam halved": variant(penalty=lambda lam, N: lam / 2),
        "lam squared": variant(penalty=lambda lam, N: lam**2),
        "root of lam": variant(penalty=lambda lam, N: lam**0.5),
        "lam left out": variant(penalty=lambda lam, N: 0.0),
        "centered": variant(center=True),
        "an intercept thrown away": bias_column,
        "no answer without a penalty": singular,
        "the shortest without a penalty": shortest,
        "full rank taken for granted": full_rank,
        "a small penalty taken for none": small_is_none,
        "a constant added to the penalty": jitter,
        "source and fit averaged": blended,
        "a hundred steps of descent": descent,
        "fewer examples than weights refused": wide_refused,
        "float32 inside": float32_inside,
        "weights in the dtype of w0": whole,
        "residual made in place": in_place,
        "a column": lambda X, y, w0, lam: biased_ridge(X, y, w0, lam)[:, None],
    },
    also_right={
        "pseudo-inverse of the longer table": by_pinv,
        "normal equations": normal_equations,
        "a matrix of examples by examples": dual,
        "singular directions": by_svd,
    },
    asked=2,
)
