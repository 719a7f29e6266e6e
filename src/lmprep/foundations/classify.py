"""Linear classifiers of two kinds: fitted to p(x, y), class by class, or to p(y | x) alone.

The log-odds of all of them are w · x + b. They differ in what the training data is asked for.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class MultinomialNB:
    """Naive Bayes for counts: each class draws the words of a text independently, from its own frequencies.

    With two columns for each word, present and absent, it is Bernoulli naive Bayes.

    After `fit`: `log_prior` (K,), the classes' shares, and `log_word` (K, V), their smoothed frequencies.

    Args:
        alpha: added to each of the K · V counts, above 0. 1 is Laplace's rule.

    Raises:
        ValueError: alpha is not positive and finite.

    Source: McCallum and Nigam (1998).
    """

    def __init__(self, alpha: float = 1.0) -> None:
        if not 0 < alpha < math.inf:
            raise ValueError(f"alpha must be positive and finite, got {alpha}")
        self.alpha = alpha

    def fit(self, X: ArrayLike, y: ArrayLike) -> "MultinomialNB":
        """Count the words of each class.

        Args:
            X: (N, V), counts, not negative.
            y: (N,), classes 0 to K − 1, each at least once, K at least 2.

        Raises:
            TypeError: the classes are not whole numbers.
            ValueError: shapes do not fit, a count is negative, NaN or infinite, or a class is missing.
        """
        x, labels = _examples(_counts(X), y)
        totals = np.stack([x[labels == k].sum(axis=0) for k in range(labels.max() + 1)]) + self.alpha
        self.log_word = np.log(totals) - np.log(totals.sum(axis=1, keepdims=True))  # (K, V)
        self.log_prior = _log_shares(labels)
        return self

    def joint_log_prob(self, X: ArrayLike) -> Floats:
        """log p(x, y) of each text with each class, (N, K), but for the multinomial coefficient of x.

        Raises:
            ValueError: X is not (N, V), or a count is negative, NaN or infinite.
        """
        return _rows(_counts(X), self.log_word.shape[1]) @ self.log_word.T + self.log_prior

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The likelier class of each text, (N,)."""
        return self.joint_log_prob(X).argmax(axis=1)

    def linear(self) -> tuple[Floats, float]:
        """w (V,) and b, such that the log-odds of class 1 against class 0 are w · x + b.

        Raises:
            ValueError: there are more than two classes.
        """
        _two(len(self.log_prior))
        return self.log_word[1] - self.log_word[0], float(self.log_prior[1] - self.log_prior[0])


class GaussianNBShared:
    """Naive Bayes for numbers: in a class features are independent and normal; classes share variances.

    After `fit`: `log_prior` (K,), `means` (K, D) and `variances` (D,), all by maximum likelihood.

    Source: Ng and Jordan (2002).
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> "GaussianNBShared":
        """Take means and variances, one feature at a time.

        Args:
            X: (N, D), finite.
            y: (N,), classes 0 to K − 1, each at least once, K at least 2.

        Raises:
            TypeError: the classes are not whole numbers.
            ValueError: shapes do not fit, a number is NaN or infinite, a class is missing, or a feature does
                not vary within classes.
        """
        x, labels = _examples(X, y)
        self.means = np.stack([x[labels == k].mean(axis=0) for k in range(labels.max() + 1)])  # (K, D)
        self.variances = ((x - self.means[labels]) ** 2).mean(axis=0)  # (D,)
        self.log_prior = _log_shares(labels)
        _varying(x, self.variances)
        return self

    def joint_log_prob(self, X: ArrayLike) -> Floats:
        """log p(x, y) of each point with each class, (N, K).

        Raises:
            ValueError: X is not (N, D), or a number is NaN or infinite.
        """
        x = _rows(X, len(self.variances))
        squares = (x[:, None] - self.means) ** 2 / self.variances  # (N, K, D)
        return self.log_prior - 0.5 * (squares + np.log(2 * np.pi * self.variances)).sum(axis=2)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The likelier class of each point, (N,)."""
        return self.joint_log_prob(X).argmax(axis=1)

    def linear(self) -> tuple[Floats, float]:
        """w (D,) and b, such that the log-odds of class 1 against class 0 are w · x + b.

        Raises:
            ValueError: there are more than two classes.
        """
        _two(len(self.log_prior))
        w = (self.means[1] - self.means[0]) / self.variances  # (D,)
        middle = self.means.mean(axis=0)
        return w, float(self.log_prior[1] - self.log_prior[0] - w @ middle)


class LinearDiscriminant:
    """Linear discriminant analysis of two classes: normal, with one full covariance that both share.

    After `fit`: `weights` (D,) and `offset`, by maximum likelihood of p(x, y).

    Source: Efron (1975).
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> "LinearDiscriminant":
        """Take the means and the covariance within classes.

        Args:
            X: (N, D), finite.
            y: (N,), 0 or 1, both at least once.

        Raises:
            TypeError: the classes are not whole numbers.
            ValueError: shapes do not fit, a number is NaN or infinite, classes are not 0 and 1, there are
                fewer than D + 2 examples, a feature does not vary within classes, or one is a combination
                of others.
        """
        x, labels = _examples(X, y)
        _two(int(labels.max()) + 1)
        if len(x) < x.shape[1] + 2:
            raise ValueError(f"X must have at least D + 2 = {x.shape[1] + 2} rows, got {len(x)}")
        means = np.stack([x[labels == k].mean(axis=0) for k in (0, 1)])  # (2, D)
        rest = x - means[labels]
        covariance = rest.T @ rest / len(x)  # (D, D)
        _varying(x, covariance.diagonal())
        scale = np.sqrt(covariance.diagonal())  # correlations, so that units do not matter
        if np.linalg.cond(covariance / np.outer(scale, scale)) > 1e12:
            raise ValueError("a feature of X is a combination of others: leave it out")
        self.weights = np.linalg.solve(covariance, means[1] - means[0])
        log_prior = _log_shares(labels)
        self.offset = float(log_prior[1] - log_prior[0] - self.weights @ means.mean(axis=0))
        return self

    def linear(self) -> tuple[Floats, float]:
        """w (D,) and b, such that the log-odds of class 1 against class 0 are w · x + b."""
        return self.weights, self.offset


class LogisticRegressionNewton:
    """Logistic regression of two classes: w and b maximize Σ log p(y | x) − ½ l2 |w|², by Newton's method.

    After `fit`: `weights` (D,) and `offset`, which is not penalized.

    Args:
        l2: from 0; 1 / C of scikit-learn. At 0 there is a maximum only if no plane separates the classes.

    Raises:
        ValueError: l2 is negative or not finite.
    """

    def __init__(self, l2: float = 1.0) -> None:
        if not 0 <= l2 < math.inf:
            raise ValueError(f"l2 must be finite and not negative, got {l2}")
        self.l2 = l2

    def fit(self, X: ArrayLike, y: ArrayLike, *, max_steps: int = 100) -> "LogisticRegressionNewton":
        """Climb until a step changes no example's log-odds by more than 1e-6, and take that step.

        Args:
            X: (N, D), finite.
            y: (N,), 0 or 1, both at least once.
            max_steps: Newton steps, each halved until it gains.

        Raises:
            TypeError: the classes are not whole numbers.
            ValueError: shapes do not fit, a number is NaN or infinite, classes are not 0 and 1, or max_steps
                is below 1.
            RuntimeError: no maximum is found.
        """
        x, labels = _examples(X, y)
        _two(int(labels.max()) + 1)
        if max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {max_steps}")
        ones = np.hstack([x, np.ones((len(x), 1))])  # (N, D + 1), the last column for the offset
        penalty = np.append(np.full(x.shape[1], float(self.l2)), 0.0)
        theta = np.zeros(x.shape[1] + 1)
        loss = _loss(ones, labels, theta, penalty)
        for _ in range(max_steps):
            p = 0.5 * (1 + np.tanh(ones @ theta / 2))  # (N,), without overflow
            gradient = ones.T @ (p - labels) + penalty * theta
            root = ones * np.sqrt(p * (1 - p))[:, None]
            try:
                step = np.linalg.solve(root.T @ root + np.diag(penalty), gradient)
            except np.linalg.LinAlgError:
                break
            if np.abs(ones @ step).max() <= 1e-6:
                self.weights, self.offset = theta[:-1] - step[:-1], float(theta[-1] - step[-1])
                return self
            while (new := _loss(ones, labels, theta - step, penalty)) > loss * (1 + 1e-12):
                step /= 2
            theta, loss = theta - step, new
        raise RuntimeError(
            f"no maximum found with l2 = {self.l2}: a plane separates the classes, or a feature is a "
            "combination of others. Give a larger l2"
        )

    def log_odds(self, X: ArrayLike) -> Floats:
        """log p(1 | x) − log p(0 | x) at each point, (N,).

        Raises:
            ValueError: X is not (N, D), or a number is NaN or infinite.
        """
        return _rows(X, len(self.weights)) @ self.weights + self.offset

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The likelier class of each point, (N,)."""
        return (self.log_odds(X) > 0).astype(np.int64)

    def linear(self) -> tuple[Floats, float]:
        """w (D,) and b, such that the log-odds of class 1 against class 0 are w · x + b."""
        return self.weights, self.offset


def shuffle_within_classes(X: ArrayLike, y: ArrayLike, rng: np.random.Generator) -> Floats:
    """Each feature shuffled among the examples of a class: the same values, met by other values.

    What features tell together is gone; their means and variances in each class stay. X itself stays too.

    Args:
        X: (N, D), finite.
        y: (N,), classes 0 to K − 1, each at least once, K at least 2.
        rng: draws the order of each feature.

    Raises:
        TypeError: the classes are not whole numbers.
        ValueError: shapes do not fit, a number is NaN or infinite, or a class is missing.
    """
    x, labels = _examples(X, y)
    shuffled = x.copy()
    for k in range(labels.max() + 1):
        shuffled[labels == k] = rng.permuted(x[labels == k], axis=0)
    return shuffled


def error_on_normals(linear: tuple[Floats, float], mean: Floats, covariance: Floats) -> float:
    """How often the sign of w · x + b is wrong, if the classes are normal around mean and −mean, each half.

    Args:
        linear: w (D,) and b; class 1 is predicted where w · x + b > 0.
        mean: (D,), of class 1; class 0 has −mean.
        covariance: (D, D), of both.

    Raises:
        ValueError: shapes do not fit, or w · x does not vary.
    """
    w, b = linear
    if not (np.shape(w) == np.shape(mean) and np.shape(covariance) == (len(w), len(w))):
        raise ValueError(f"w and mean must be (D,) and covariance (D, D), got shapes {np.shape(w)}, "
                         f"{np.shape(mean)} and {np.shape(covariance)}")  # fmt: skip
    variance, distance = float(w @ covariance @ w), float(w @ mean)
    if not variance > 0:
        raise ValueError(f"w · x must vary within classes, got variance {variance}")
    missed, alarm = (NormalDist().cdf(z / math.sqrt(variance)) for z in (-distance - b, b - distance))
    return (missed + alarm) / 2


def _loss(ones: Floats, labels: NDArray[np.integer], theta: Floats, penalty: Floats) -> float:
    """−Σ log p(y | x) and the penalty."""
    z = ones @ theta
    return float(np.logaddexp(0, z).sum() - labels @ z + 0.5 * (penalty * theta) @ theta)


def _rows(X: ArrayLike, width: int | None = None) -> Floats:
    x = np.asarray(X, dtype=np.float64)
    if x.ndim != 2 or (width is not None and x.shape[1] != width):
        raise ValueError(f"X must have shape (N, {'D' if width is None else width}), got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("X must be finite: fill in or drop what is NaN or infinite")
    return x


def _counts(X: ArrayLike) -> Floats:
    x = _rows(X)
    if (x < 0).any():
        raise ValueError(f"X must hold counts, not negative, got {x.min()}")
    return x


def _examples(X: ArrayLike, y: ArrayLike) -> tuple[Floats, NDArray[np.integer]]:
    x, labels = _rows(X), np.asarray(y)
    if not x.size or labels.shape != x.shape[:1]:
        raise ValueError(f"X must be (N, D), neither 0, and y (N,), got {x.shape} and {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"y must be whole numbers, got {labels.dtype}: use astype(int)")
    classes = np.unique(labels)
    if len(classes) < 2 or classes.tolist() != list(range(len(classes))):
        raise ValueError(f"y must hold each of the classes 0 to K − 1, K at least 2, got {classes.tolist()}")
    return x, labels


def _varying(x: Floats, variances: Floats) -> None:
    """Refuse features whose variance within classes is rounding error."""
    constant = np.flatnonzero(np.sqrt(variances) <= 1e-12 * np.abs(x).max(axis=0)).tolist()
    if constant:
        raise ValueError(f"features {constant} do not vary within classes: leave them out")


def _log_shares(labels: NDArray[np.integer]) -> Floats:
    return np.log(np.bincount(labels) / len(labels))


def _two(num_classes: int) -> None:
    if num_classes != 2:
        raise ValueError(f"there must be two classes, 0 and 1, got {num_classes}")
