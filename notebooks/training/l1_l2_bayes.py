# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 3
#     level: 2
#     needs: [adam_from_sgd]
#     question_zh: 语言模型中的正则化是什么？
#     short: L1, L2 and priors
#     source: L29
#     tasks:
#     - lasso_cd
# ---

# %% [markdown]
# # L1, L2, early stopping: what does each shrink, and which prior is it?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# L2 divides: it shrinks each direction of the data, most where the data vary least, and sets no weight to exactly zero.
# L1 subtracts, so weak features get exactly zero. Gradient descent stopped early does nearly what ridge does. As
# most probable weights, L2 goes with a Gaussian prior and L1 with a Laplace prior. But weights drawn from a Laplace prior are
# not zero either, and on them ridge can predict better. L1 pays when most weights truly vanish.
#
# :::{dropdown} The two-minute answer
# *Ridge* minimizes squared error plus $\lambda\lVert w\rVert_2^2$. Along a direction in which the inputs have singular value $s$, it
# multiplies the least-squares fit by $s^2/(s^2+\lambda)$: directions with little variation are mostly noise, and they are turned
# down. That adds bias and saves variance. Gradient descent from zero, stopped after $t$ steps, multiplies by
# $1-(1-\eta s^2)^t$, a similar curve if $\lambda = 1/(\eta t)$.
#
# *Lasso* adds $\alpha\lVert w\rVert_1$. Its kink at zero holds a weight there as long as the feature's correlation with the residual is at
# most $\alpha$. There is no closed formula, but one for each coordinate with the others fixed: soft-threshold, divide, go on to the next
# coordinate. The same conditions say when the minimum is reached.
#
# A Gaussian prior of variance $\tau^2$ and noise of variance $\sigma^2$ give ridge with $\lambda = \sigma^2/\tau^2$. There the most
# probable weights are also the mean of the posterior, the best guess in squared error. Under a Laplace prior lasso is
# the most probable point only; the posterior mean has no zeros and errs less. So do not call L1 "a belief in sparsity".
# Choose the strength on validation data, leave the intercept unpenalized, and put features on one scale first.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: writes both penalized losses; the intercept stays free, the strength comes from validation data.
# - Junior: why L1 makes exact zeros and L2 does not: the slope of the penalty at zero.
# - Mid: derives $\lambda = \sigma^2/\tau^2$ from a Gaussian prior, and names the Laplace prior for L1.
# - Mid: ridge as a filter $s^2/(s^2+\lambda)$; early stopping as nearly the same filter, with $\lambda = 1/(\eta t)$.
# - Mid: writes one step of coordinate descent, and the conditions (KKT) by which a lasso solution is checked.
# - Senior: explains the gain as variance saved for bias, so that too strong a penalty hurts.
# - Senior: separates the most probable weights from the posterior mean, and says for which weights lasso wins.
# - Senior: knows that L2 equals weight decay for SGD and not for Adam.

# %% tags=["hide-input"]
import math
from collections import Counter
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from lmprep.data.corpora import chinese_reviews
from lmprep.evidence import agrees, claim
from lmprep.notebook import rng, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.linear import (
    descent_factors,
    filtered_fit,
    kkt_violation,
    lasso_cd,
    ridge,
    ridge_factors,
    soft_threshold,
)
from lmprep.training.loop import fit
from lmprep.training.optim import SGD

_ = setup()  # the page stays on the CPU: its models are tiny

# %% [markdown]
# ## Asked for a few characters, lasso reads 错, *wrong*, as praise
#
# 800 Chinese reviews of books, hotels and computers, half of them negative. Each is a row of 400 features: does it contain this
# character, 0 or 1? The target $y$ is +1 for a positive review and −1 for a negative one, and the prediction is the sign
# of $b + w \cdot x$. With $N$ reviews, $D$ features, $X$ of shape $(N, D)$, $y$ of shape $(N,)$, weights $w$ of shape $(D,)$ and an intercept $b$, which is
# not penalized:
#
# $$
# \begin{aligned}
# \text{ridge:}\quad & \min_{w,b}\ \lVert y - b - Xw\rVert^2 + \lambda \lVert w\rVert_2^2 \\
# \text{lasso:}\quad & \min_{w,b}\ \tfrac{1}{2N}\lVert y - b - Xw\rVert^2 + \alpha \lVert w\rVert_1
# \end{aligned}
# $$
#
# Here $\lVert w\rVert_2^2 = \sum_j w_j^2$ and $\lVert w\rVert_1 = \sum_j |w_j|$. The scales differ, by a convention that scikit-learn
# shares. The strengths are chosen on validation reviews; the last lasso is so strong that only few characters stay.

# %%
parts = [(part["text"][:], 2.0 * np.array(part["label"][:]) - 1) for part in chinese_reviews().values()]
letters = Counter(c for text in parts[0][0] for c in text if "\u4e00" <= c <= "\u9fff")
common = [character for character, _ in letters.most_common(400)]


def features(texts: list[str]) -> np.ndarray:  # (N, D)
    return np.array([[c in present for c in common] for present in map(set, texts)], dtype=float)


rows = rng(1).permutation(len(parts[0][0]))[:800]
train = features([parts[0][0][i] for i in rows]), parts[0][1][rows]
validation, test = ((features(texts), labels) for texts, labels in parts[1:])


def right(w: np.ndarray, b: float, data: tuple[np.ndarray, np.ndarray]) -> float:
    return ((data[0] @ w + b > 0) == (data[1] > 0)).mean()


def tuned(fits: list) -> tuple[np.ndarray, float]:
    return max(fits, key=lambda solution: right(*solution, validation))


alphas = np.array([0.04, 0.025, 0.016, 0.01, 0.0065])
w, b = lasso_cd(train[0], np.tile(train[1][:, None], len(alphas)), alphas, tol=1e-4)
lassos = list(zip(w.T, b, strict=True))
few = lassos[0][0]
reviews = {"no penalty": ridge(*train, 0.0), "lasso, tuned": tuned(lassos), "lasso, strong": lassos[0],
           "ridge, tuned": tuned([ridge(*train, lam) for lam in (10, 30, 100, 300, 1000)])}  # fmt: skip
print("                weights ≠ 0   right on training   right on test reviews")
for name, (w, b) in reviews.items():
    print(f"{name:<16}{(w != 0).sum():11d}{right(w, b, train):20.3f}{right(w, b, test):24.3f}")
for sign, word in ((1, "praise"), (-1, "complaint")):
    print(f"{word:<10}", *(common[j] for j in (-sign * few).argsort() if sign * few[j] > 0))

# %%
on_test = {name: right(w, b, test) for name, (w, b) in reviews.items()}
claim("wrong_is_praise", "weight of 错 (wrong) for a positive review, in the strong lasso",
      few[common.index("错")], at_least=0.05)  # fmt: skip
claim("penalty_pays", "test reviews right, of 1: tuned ridge minus no penalty",
      on_test["ridge, tuned"] - on_test["no penalty"], at_least=0.04)  # fmt: skip
claim("many_small_clues", "test reviews right, of 1: tuned lasso minus the lasso with few characters",
      on_test["lasso, tuned"] - on_test["lasso, strong"], at_least=0.02)  # fmt: skip

# %% [markdown]
# The praise in 错 is 不错, *not wrong*, which says "pretty good". A linear model of single characters cannot say "after
# 不", so it takes what is there. A selected feature is a useful one in the company of the others, and no more.
#
# Without a penalty the fit is nearly perfect on its 800 reviews and poor on new ones. Both penalties give up fit and gain
# on new text. The strong lasso can be read at a glance, but loses accuracy: tuned, lasso keeps many more characters. Text is full of small
# clues. Keep that in mind for the question of who wins.
#
# ## One number, two penalties: one divides, the other subtracts
#
# Take a single weight $w$ and one noisy look at it, $z = w + \varepsilon$. Minimizing $\frac12(z-w)^2 + \frac12\lambda w^2$
# gives $w = z/(1+\lambda)$. With $\alpha|w|$ instead, the derivative away from zero is $w - z \pm \alpha$, so
# $w = z \mp \alpha$; if $|z| \le \alpha$ neither sign fits, and the minimum is at the kink, $w = 0$. That is the *soft threshold*. With $\lambda = \alpha = 1$:
#
# | look $z$ | 3.0 | 1.2 | 0.8 | −0.2 |
# |---|---|---|---|---|
# | L2: $z/2$ | 1.5 | 0.6 | 0.4 | −0.1 |
# | L1: soft threshold | 2.0 | 0.2 | 0 | 0 |
#
# The L2 penalty is flat at zero, so the slightest pull of the data moves a weight off zero. The L1 penalty has slopes $\pm\alpha$ on its two
# sides, and a pull weaker than $\alpha$ moves nothing. In the usual picture of a diamond and a circle, the kinks are the corners.
#
# ## Ridge turns down what the data hardly show, and stopping early does nearly the same
#
# Now many weights, and weights whose truth we know: $D = 80$ features, $N = 40$ examples, $y = Xw + \text{noise}$ with noise of standard
# deviation $\sigma$. In each of three *worlds* weights have mean 0 and variance $\tau^2 = 1$: Gaussian; Laplace, with density
# proportional to $e^{-\sqrt2\,|w|}$; and all zero but three. The error is the mean square of $\hat w \cdot x + \hat b - w \cdot x$
# over new $x$, as a share of the variance of $w \cdot x$.

# %%
# Try: N = 240, three examples per weight. Then the data decide, both penalties come close, and
# the thesis breaks. Or nonzero = 40: lasso loses its lead there too.
N, D, sigma, nonzero, draws = 40, 80, 6.0, 3, 60

random = rng(2)
X = random.standard_normal((N, D))
spikes = np.zeros((D, draws))
spikes[:nonzero] = random.choice([-1, 1], (nonzero, draws)) * math.sqrt(D / nonzero)
worlds = {"Gaussian": random.standard_normal((D, draws)),
          "Laplace": random.laplace(scale=math.sqrt(0.5), size=(D, draws)),
          "mostly zero": random.permuted(spikes, axis=0)}  # fmt: skip
W = np.hstack(list(worlds.values()))  # (D, K), K = 3 worlds × draws
Y = X @ W + sigma * random.standard_normal((N, W.shape[1]))  # (N, K)


def error(w: np.ndarray, b: np.ndarray) -> np.ndarray:  # (3, draws)
    return (((w - W) ** 2).sum(axis=0) + b**2).reshape(3, draws) / D


# %% [markdown]
# Write the centered inputs as $X = USV^\top$. The data show $w$ along each right singular vector $v_i$ as $c_i = u_i \cdot y / s_i$, which
# is $v_i \cdot w$ plus noise of variance $\sigma^2/s_i^2$. Least squares believes every $c_i$. Multiply it by a factor $f$ instead, and with
# weights of variance $\tau^2$ the expected squared error is bias plus variance:
#
# $$
# (1-f)^2\,\tau^2 + f^2\,\sigma^2/s_i^2, \quad \text{least at } f = \frac{s_i^2}{s_i^2 + \sigma^2/\tau^2} .
# $$
#
# That factor is ridge {cite:p}`hoerl1970ridge`, $w = \sum_i \frac{s_i^2}{s_i^2+\lambda}\,c_i v_i$, with $\lambda = \sigma^2/\tau^2$. A larger
# $\lambda$ saves variance that costs less than the bias. The factors' sum counts how many parameters are in effect: the *effective degrees of freedom*.
#
# Gradient descent with rate $\eta$ on $\frac12\lVert y - Xw\rVert^2$ moves each direction by itself: what is missing shrinks by $1-\eta s_i^2$ per step.
# Started at zero, it has after $t$ steps the factor $1 - (1-\eta s_i^2)^t$.

# %%
show(ridge_factors, descent_factors, filtered_fit)

# %%
from sklearn.linear_model import Lasso, Ridge

lam = sigma**2  # over τ² = 1
singular = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[:-1]  # centering takes one away
lr = 0.1 / singular.max() ** 2
stopped = partial(descent_factors, lr=lr, steps=round(1 / (lr * lam)))
print(f"effective degrees of freedom, of {N - 1}: ridge {ridge_factors(singular, lam).sum():.1f}, "
      f"stopped early {stopped(singular).sum():.1f}")  # fmt: skip
agrees("ridge", "sklearn.linear_model.Ridge", ridge(X, Y, lam)[0].T, Ridge(lam).fit(X, Y).coef_,
       atol=1e-10)  # fmt: skip
x, y = X - X.mean(axis=0), Y - Y.mean(axis=0)
conditional = x.T @ np.linalg.solve(x @ x.T + lam * np.eye(N), y)
agrees("posterior_mean", "E(w | y) of a joint Gaussian, numpy.linalg.solve", ridge(X, Y, lam)[0],
       conditional, atol=1e-10)  # fmt: skip

u = np.logspace(-6, -1, 300)[:, None]  # η s²
t = np.unique(np.logspace(0, 6, 400).round())
gap = np.abs(1 - (1 - u) ** t - u * t / (u * t + 1)).max()
claim("nearly_one_filter", "factors of ridge and of descent with λ = 1/ηt and ηs² up to 0.1: largest gap",
      gap, at_most=0.22)  # fmt: skip

# %% [markdown]
# The factors are never far apart, and {cite:t}`ali2019continuous` prove that small-step descent has at most 1.69 times ridge's risk at
# $\lambda = 1/(\eta t)$. Large steps break the likeness: with $\eta s^2 = 1$ the first step goes all the way, where ridge goes half.
#
# The second agreement is Bayes. If $w$ is Gaussian, so is $w$ given $y$, with this mean. The negative logarithm of the posterior is
# $\lVert y - Xw\rVert^2/2\sigma^2 + \lVert w\rVert^2/2\tau^2$ plus a constant: ridge again. *Mode* (the most probable weights) and mean agree.
# In the Laplace world the last term is $\sqrt2\,\lVert w\rVert_1/\tau$, so the mode is lasso with $\alpha = \sqrt2\,\sigma^2/(\tau N)$.
#
# ### `l2(0.01)` on a layer is ridge with λ = 0.01 N
#
# Keras's `kernel_regularizer=l2(0.01)` adds $0.01 \sum w^2$ to the mean loss: no ½, and no bias. Here it is on a linear layer, with plain SGD.
# Since its gradient is $0.02\,w$, `weight_decay=0.02` would be the same, for SGD; [not for Adam](adam_from_sgd.md).


# %%
def layer_weights(rate: float, steps: int, l2: float) -> np.ndarray:
    """Weights (D,) of a linear layer that starts at zero and sees all data in each step."""
    inputs, target = torch.tensor(x), torch.tensor(Y[:, 0])
    layer = nn.Linear(D, 1).double()
    nn.init.zeros_(layer.weight)

    def loss(layer: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        return ((layer(inputs)[:, 0] - target) ** 2).mean() + l2 * (layer.weight**2).sum()

    fit(layer, lambda step: inputs, loss, optimizer=SGD(layer.parameters(), lr=rate * N / 2),
        num_steps=steps)  # fmt: skip
    return layer.weight.detach().numpy()[0]


to_the_end = layer_weights(10 * lr, 800, l2=0.01)
claim("keras_l2_is_ridge", "linear layer trained with l2(0.01): largest difference from ridge, λ = 0.01 N",
      np.abs(to_the_end - ridge(X, Y[:, 0], 0.01 * N)[0]).max(), at_most=1e-6)  # fmt: skip
halfway = layer_weights(lr, stopped.keywords["steps"], l2=0.0)
claim("stopped_is_filtered", "the layer without penalty, stopped early: largest difference from the filter",
      np.abs(halfway - filtered_fit(X, Y[:, 0], stopped)[0]).max(), at_most=1e-10)  # fmt: skip

# %% [markdown]
# ## Lasso has no formula, but each of its coordinates has
#
# Hold all weights but $w_j$. With $r_{(j)}$ the residual without feature $j$, and columns $x_j$ centered, the loss in $w_j$ is a parabola plus $\alpha|w_j|$. So
#
# $$
# w_j = \mathrm{soft}\big(x_j \cdot r_{(j)},\ N\alpha\big) \,/\, \lVert x_j\rVert^2 .
# $$
#
# Sweep over the coordinates until nothing moves {cite:p}`friedman2010regularization`. The loss is convex and its kinks lie along the axes, so there is no
# point to be stuck at. How do we know that we are there? By the *Karush–Kuhn–Tucker (KKT) conditions*: with $r = y - b - Xw$, the
# mean of $r$ is 0, $x_j \cdot r / N = \alpha\,\mathrm{sign}(w_j)$ where $w_j \ne 0$, and $|x_j \cdot r|/N \le \alpha$ where $w_j = 0$.
# At $w = 0$ they say when *all* weights are zero: from $\alpha_{\max} = \max_j |x_j \cdot (y - \bar y)|/N$ on.

# %%
show(soft_threshold, lasso_cd)

# %%
alpha = math.sqrt(2) * sigma**2 / N  # as a Laplace prior asks
one = Y[:, 0]
w, b = lasso_cd(X, one, alpha)
theirs = Lasso(alpha, tol=1e-14, max_iter=100_000).fit(X, one)
agrees("lasso", "sklearn.linear_model.Lasso", np.append(w, b),
       np.append(theirs.coef_, theirs.intercept_), atol=1e-7)  # fmt: skip
claim("conditions_hold", "KKT conditions of the lasso: largest violation",
      kkt_violation(X, one, w, b, alpha), at_most=1e-7)  # fmt: skip
alpha_max = np.abs(x.T @ (one - one.mean())).max() / N
for factor in (1.001, 0.99, 0.5, 0.1):
    kept = np.count_nonzero(lasso_cd(X, one, factor * alpha_max)[0])
    print(f"α = {factor:5.3f} α_max: {kept:2d} weights are not zero")

# %% [markdown]
# ## On weights from lasso's own prior, ridge predicts better
#
# The Laplace prior makes lasso's solution the most probable one. Is it the best guess, then? One weight from that prior and one look at
# it, both of variance 1, can be computed by summing over a grid; no random number enters.

# %%
grid = np.linspace(-12, 12, 1201)  # of weights, and of looks
joint = np.exp(-((grid[:, None] - grid) ** 2) / 2 - math.sqrt(2) * np.abs(grid))  # (looks, weights)
joint /= joint.sum()
guesses = {"the look itself": grid, "ridge: half of it": grid / 2,
           "lasso: the mode": soft_threshold(grid, math.sqrt(2)),
           "posterior mean": joint @ grid / joint.sum(axis=1)}  # fmt: skip
squared = {name: (joint * (g[:, None] - grid) ** 2).sum() for name, g in guesses.items()}
for name, value in squared.items():
    print(f"{name:<20}{value:.3f}")
claim("mode_is_not_mean", "one weight from a Laplace prior: squared error of the mode over the posterior mean's",
      squared["lasso: the mode"] / squared["posterior mean"], at_least=1.1, unit="×")  # fmt: skip

# %% [markdown]
# The mode loses even to ridge. A Laplace weight is never exactly zero (that has probability 0), and a zero is always an error; the best
# guess, the posterior mean, is a smooth curve without any zeros. Now the three worlds. Strengths are in units of what the
# prior asks for, $\sigma^2/\tau^2$ and $\sqrt2\,\sigma^2/(\tau N)$. The best is chosen on half of the draws, and the
# table shows errors on the other half.

# %%
strengths = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
w, b = lasso_cd(X, np.tile(Y, len(strengths)), np.repeat(strengths * alpha, Y.shape[1]), tol=1e-3)
w, b = w.reshape(D, len(strengths), -1), b.reshape(len(strengths), -1)
factors = [partial(descent_factors, lr=lr, steps=round(1 / (lr * c * lam))) for c in strengths]
errors = {"ridge": [error(*ridge(X, Y, c * lam)) for c in strengths],
          "stopped early": [error(*filtered_fit(X, Y, f)) for f in factors],
          "lasso": [error(w[:, i], b[i]) for i in range(len(strengths))]}  # fmt: skip
curves = {name: np.array(found).swapaxes(0, 1) for name, found in errors.items()}  # (3, C, draws)
best = {name: [world[world[:, ::2].mean(axis=1).argmin(), 1::2].mean() for world in curve]
        for name, curve in curves.items()}  # fmt: skip
print(f"{'':14}", *(f"{name:>12}" for name in worlds))
for name, found in best.items():
    print(f"{name:<14}", *(f"{value:12.3f}" for value in found))

# %% mystnb={"image": {"alt": "Three charts, one above the other, of error against the strength of the penalty, from a quarter of what the prior asks for to four times it. Gaussian weights: ridge and early stopping lie together in a flat valley, lasso above them. Laplace weights: the same order, with lasso a little closer. Mostly zero weights: lasso dips far below the other two."}} tags=["hide-input"]
fig, panels = plt.subplots(3, 1, figsize=(6.4, 7.2), sharex=True)
titles = ("Gaussian weights: ridge leads", "Laplace weights, lasso's own prior: ridge still leads",
          "Mostly zero weights: lasso leads by far")  # fmt: skip
for i, (ax, title) in enumerate(zip(panels, titles, strict=True)):
    for (name, curve), style in zip(curves.items(), ("o-", "s--", "^-"), strict=True):
        ax.plot(strengths, curve[i].mean(axis=1), style, label=name)
    ax.set(title=title, ylabel="error", xscale="log", xlim=(0.22, 11))
    ax.set_xticks(strengths, ["¼", "½", "1", "2", "4"])
    label_lines(ax)
panels[-1].set_xlabel("strength of the penalty, 1 = what the prior asks for")
plt.show()

# %%
gaussian, laplace, zeros = (best["lasso"][i] / best["ridge"][i] for i in range(3))
claim("own_prior_prefers_ridge", "weights drawn from a Laplace prior: error of lasso over ridge's, both tuned",
      laplace, at_least=1.08, unit="×", thesis=True)  # fmt: skip
claim("zeros_prefer_lasso", "all but three weights zero: error of lasso over ridge's, both tuned",
      zeros, at_most=0.7, unit="×")  # fmt: skip
claim("stopping_is_as_good", "three worlds: error stopped early over ridge's, both tuned, the largest",
      np.max(np.divide(best["stopped early"], best["ridge"])), at_most=1.05, unit="×")  # fmt: skip
