# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 3
#     level: 2
#     needs: []
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
# L1 subtracts, so weak features get exactly zero. Gradient descent stopped early does nearly what L2 does. L2 finds the
# most probable weights under a Gaussian prior, L1 under a Laplace prior. But weights drawn from a Laplace prior are
# not zero, and on them L2 can predict better. L1 pays when a handful of weights carry nearly everything.
#
# :::{dropdown} The two-minute answer
# *Ridge* minimizes squared error plus $\lambda\lVert w\rVert_2^2$. Along a direction in which the inputs have singular value $s$, it
# multiplies the least-squares fit by $s^2/(s^2+\lambda)$: directions with little variation are mostly noise, and they are turned
# down. That adds bias and saves variance. Gradient descent from zero, stopped after $t$ steps, multiplies by
# $1-(1-\eta s^2)^t$, a similar curve if $\lambda = 1/(\eta t)$.
#
# *Lasso* adds $\alpha\lVert w\rVert_1$. Its kink at zero holds a weight there as long as the feature's mean product with the residual is at
# most $\alpha$ in size. There is no closed formula, but one for each coordinate with the others fixed: soft-threshold, divide, go on to the next
# coordinate.
#
# A Gaussian prior of variance $\tau^2$ and noise of variance $\sigma^2$ give ridge with $\lambda = \sigma^2/\tau^2$. There the most
# probable weights are also the mean of the posterior, the best guess in squared error. Under a Laplace prior lasso is
# the most probable point only; the posterior mean has no zeros and errs less on average. So do not call L1 "a belief in sparsity".
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
# - Senior: knows that an L2 penalty equals decoupled weight decay for SGD and not for Adam.

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
from lmprep.training import linear
from lmprep.training.loop import fit
from lmprep.training.optim import SGD

_ = setup()  # the page stays on the CPU: its models are tiny

# %% [markdown]
# ## Asked for a few characters, lasso reads 错, *wrong*, as praise
#
# 600 Chinese reviews of books, hotels and computers, about half of them negative. Each is a row of 300 features, one for each of the commonest characters: is this
# character in it, 0 or 1? The target $y$ is 1 for a positive review and 0 for a negative one; above one half, $b + w \cdot x$
# predicts a positive one. With $N$ reviews, $D$ features, $X$ of shape $(N, D)$, $y$ of shape $(N,)$, weights $w$ of shape $(D,)$ and an intercept $b$, which is
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
# shares. The strengths are chosen on validation reviews. One lasso is so strong that few characters stay; these are refitted without a penalty.

# %%
splits = [(p["text"][:], np.array(p["label"][:])) for p in chinese_reviews().values()]
letters = Counter("".join(splits[0][0])).most_common()
common = [c for c, _ in letters if "\u4e00" <= c <= "\u9fff"][:300]


def features(texts: list[str]) -> np.ndarray:  # (N, D)
    return np.array([[c in text for c in common] for text in texts], dtype=float)


rows = rng(1).permutation(len(splits[0][0]))[:600]
train = features([splits[0][0][i] for i in rows]), splits[0][1][rows]
validation, test = ((features(texts), labels) for texts, labels in splits[1:])


def right(w: np.ndarray, b: float, data: tuple[np.ndarray, np.ndarray]) -> float:
    return ((data[0] @ w + b > 0.5) == data[1]).mean()


def tuned(fits: list) -> tuple[np.ndarray, float]:
    return max(fits, key=lambda solution: right(*solution, validation))


lassos = [linear.lasso_cd(*train, alpha, tol=1e-3) for alpha in (0.02, 0.0125, 0.008)]
few = lassos[0][0]
refitted = linear.ridge(train[0] * (few != 0), train[1], 0.0)
ridges = [linear.ridge(*train, lam) for lam in (30, 100, 300)]
reviews = {"no penalty": linear.ridge(*train, 0.0), "ridge, tuned": tuned(ridges),
           "lasso, tuned": tuned(lassos), "lasso, strong": lassos[0],
           "its few, refitted": refitted}  # fmt: skip
print("                  weights ≠ 0   right on training   right on test reviews")
for name, (w, b) in reviews.items():
    print(f"{name:<18}{sum(w**2 > 1e-9):11}{right(w, b, train):20.3f}{right(w, b, test):24.3f}")
for sign, word in ((1, "praise"), (-1, "complaint")):
    print(f"{word:<10}", *(common[j] for j in (-sign * few).argsort() if sign * few[j] > 0))

# %%
on_test = {name: right(w, b, test) for name, (w, b) in reviews.items()}
claim("wrong_is_praise", "weight of 错 (wrong) for a positive review, in the strong lasso",
      few[common.index("错")], at_least=0.05)  # fmt: skip
praise = [text for text, label in zip(*splits[0], strict=True) if label and "错" in text]
claim("wrong_is_not_wrong", "positive reviews with 错: share that say 不错, not wrong",
      np.mean(["不错" in text for text in praise]), at_least=0.8)  # fmt: skip
claim("penalty_pays", "test reviews right, of 1: tuned ridge minus no penalty",
      on_test["ridge, tuned"] - on_test["no penalty"], at_least=0.03)  # fmt: skip
claim("shrinking_costs", "test reviews right, of 1: the few refitted minus strong lasso",
      on_test["its few, refitted"] - on_test["lasso, strong"], at_least=0.007)  # fmt: skip
claim("many_small_clues", "test reviews right, of 1: tuned ridge minus the few refitted",
      on_test["ridge, tuned"] - on_test["its few, refitted"], at_least=0.01)  # fmt: skip

# %% [markdown]
# The praise in 错 is 不错, *not wrong*, which says "pretty good". A linear model of single characters cannot say "after
# 不", so it takes what is there.
#
# Without a penalty the fit is best on its own 600 reviews and far worse on new ones. Tuned, both penalties give up fit and gain
# on new text. The strong lasso can be read at a glance and is less accurate, for two reasons. Its few weights are shrunk: refitted, they do
# better. And most characters are left out: ridge, which uses all, is ahead of the refitted few as well. Text is full of small clues.
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
# over new $x$, as a share of $D$, the variance of $w \cdot x$ on average.

# %%
# Try: N = 240, three examples per weight: the two penalties come close and the thesis breaks.
# Or nonzero = 8: nine weights in ten are still zero, yet lasso's
# lead is nearly gone; at 40 ridge leads there too.
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
# weights of variance $\tau^2$ the expected squared error is squared bias plus variance:
#
# $$
# (1-f)^2\,\tau^2 + f^2\,\sigma^2/s_i^2, \quad \text{least at } f = \frac{s_i^2}{s_i^2 + \sigma^2/\tau^2} .
# $$
#
# That factor is ridge's {cite:p}`hoerl1970ridge`, with $\lambda = \sigma^2/\tau^2$: $w = \sum_i \frac{s_i^2}{s_i^2+\lambda}\,c_i v_i$. Where $s_i$ is small, it
# gives up much variance for a little bias. The sum of the factors is called the *effective degrees of freedom*.
#
# Gradient descent with rate $\eta$ on $\frac12\lVert y - Xw\rVert^2$ moves each direction by itself: what is missing shrinks by $1-\eta s_i^2$ per step.
# Started at zero, it has after $t$ steps the factor $1 - (1-\eta s_i^2)^t$.

# %%
show(linear.ridge_factors, linear.descent_factors, linear.filtered_fit)

# %%
lam = sigma**2  # over τ² = 1
x, y = X - X.mean(axis=0), Y - Y.mean(axis=0)
lr = 0.1 / np.linalg.norm(x, ord=2) ** 2  # so that η s² is at most 0.1
stopped = partial(linear.descent_factors, lr=lr, steps=round(1 / (lr * lam)))
w, _ = linear.ridge(X, Y, lam)
conditional = x.T @ np.linalg.solve(x @ x.T + lam * np.eye(N), y)
agrees(
    "posterior_mean", "Gaussian conditioning, numpy.linalg.solve", w, conditional, atol=1e-10
)

u = np.logspace(-6, -1, 300)[:, None]  # η s²
t = np.unique(np.logspace(0, 6, 400).round())
claim("nearly_one_filter", "largest gap between the factors, λ = 1/ηt, ηs² up to 0.1",
      np.abs(1 - (1 - u) ** t - u * t / (u * t + 1)).max(), at_most=0.22)  # fmt: skip

# %% [markdown]
# Descent's factor is the larger one, and the two are never far apart; {cite:t}`ali2019continuous` prove that descent in continuous time has at most 1.69 times ridge's
# risk at $\lambda = 1/(\eta t)$. Large steps break the likeness: with $\eta s^2 = 1$ the first step goes all the way, where ridge goes half.
#
# The agreement is Bayes. If $w$ is Gaussian, so is $w$ given $y$, with this mean. The negative logarithm of the posterior is
# $\lVert y - Xw\rVert^2/2\sigma^2 + \lVert w\rVert^2/2\tau^2$ plus a constant: ridge again. *Mode* (the most probable weights) and mean agree.
# In the Laplace world the last term is $\sqrt2\,\lVert w\rVert_1/\tau$, so the mode is lasso with $\alpha = \sqrt2\,\sigma^2/(\tau N)$.
#
# ### `l2(0.01)` on a layer is ridge with λ = 0.01 N
#
# Keras's `kernel_regularizer=l2(0.01)` adds $0.01 \sum w^2$ to the mean loss: no ½, no bias.
# Since its gradient is $0.02\,w$, `weight_decay=0.02` on the weights is the same in PyTorch's SGD. [AdamW's decay](adam_from_sgd) is not.


# %%
# Weights (D,) of a linear layer that starts at zero and sees all data in each step.
def layer_weights(rate: float, steps: int, l2: float) -> np.ndarray:
    inputs, target = torch.tensor(x), torch.tensor(Y[:, 0])
    layer = nn.Linear(D, 1).double()
    nn.init.zeros_(layer.weight)

    def loss(layer: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        return ((layer(inputs)[:, 0] - target) ** 2).mean() + l2 * (layer.weight**2).sum()

    fit(layer, lambda step: inputs, loss, optimizer=SGD(layer.parameters(), lr=rate * N / 2),
        num_steps=steps)  # fmt: skip
    return layer.weight.detach().numpy()[0]


to_the_end = layer_weights(10 * lr, 500, l2=0.01)
claim("keras_l2_is_ridge", "linear layer with l2(0.01): largest difference from ridge, λ = 0.01 N",
      np.abs(to_the_end - linear.ridge(X, Y[:, 0], 0.01 * N)[0]).max(), at_most=1e-6)  # fmt: skip
halfway = layer_weights(lr, stopped.keywords["steps"], l2=0.0)
claim("stopped_is_filtered", "linear layer stopped early: largest difference from the filter",
      np.abs(halfway - linear.filtered_fit(X, Y[:, 0], stopped)[0]).max(), at_most=1e-10)  # fmt: skip

# %% [markdown]
# ## Lasso has no formula, but each of its coordinates has
#
# Hold all weights but $w_j$. With $r_{(j)}$ the residual without feature $j$, and columns $x_j$ centered, the loss in $w_j$ is a parabola plus $\alpha|w_j|$. So
#
# $$
# w_j = \mathrm{soft}\big(x_j \cdot r_{(j)},\ N\alpha\big) \,/\, \lVert x_j\rVert^2 .
# $$
#
# Sweep over the coordinates until nothing moves {cite:p}`friedman2010regularization`. The loss is convex, and its kinked part is a sum of one term for each weight, so a
# point that no single coordinate can improve is the minimum. How do we know that we are there? By the *Karush–Kuhn–Tucker (KKT) conditions*: with $r = y - b - Xw$, the
# mean of $r$ is 0, $x_j \cdot r / N = \alpha\,\mathrm{sign}(w_j)$ where $w_j \ne 0$, and $|x_j \cdot r|/N \le \alpha$ where $w_j = 0$.
# At $w = 0$ they say when *all* weights are zero: from $\alpha_{\max} = \max_j |x_j \cdot (y - \bar y)|/N$ on. Once the signs are known, they are linear
# equations: that is the check below. (Tests compare with scikit-learn's `Lasso`, too.)

# %%
show(linear.soft_threshold, linear.lasso_cd)

# %%
alpha = math.sqrt(2) * sigma**2 / N  # as a Laplace prior asks
one = Y[:, 0]
w, b = linear.lasso_cd(X, one, alpha)
used, solved = w != 0, np.zeros(D)
right_side = x[:, used].T @ (one - one.mean()) - N * alpha * np.sign(w[used])
solved[used] = np.linalg.lstsq(x[:, used].T @ x[:, used], right_side)[0]
agrees("lasso", "the conditions solved for its signs, numpy.linalg.lstsq", w, solved, atol=1e-7)
claim("conditions_hold", "KKT conditions of the lasso: largest violation",
      linear.kkt_violation(X, one, w, b, alpha), at_most=1e-7)  # fmt: skip
alpha_max = np.abs(x.T @ (one - one.mean())).max() / N
for factor in (1.001, 0.99, 0.5):
    kept = np.count_nonzero(linear.lasso_cd(X, one, factor * alpha_max)[0])
    print(f"α = {factor:5.3f} α_max: {kept:2d} weights are not zero")

# %% [markdown]
# ## On weights from lasso's own prior, ridge can predict better
#
# The Laplace prior makes lasso's solution the most probable one. Is it the best guess, then? Take one weight from that prior, of
# variance 1, and one look at it. The expected squared errors are sums over a grid.

# %%
looks, weights = np.linspace(-20, 20, 1001), np.linspace(-12, 12, 601)


def squared_errors(noise: float) -> dict[str, float]:
    z = (looks[:, None] - weights) / noise
    joint = np.exp(-(z**2) / 2 - math.sqrt(2) * np.abs(weights))  # (looks, weights)
    joint /= joint.sum()
    guesses = {"ridge": looks / (1 + noise**2),
               "lasso: the mode": linear.soft_threshold(looks, math.sqrt(2) * noise**2),
               "posterior mean": joint @ weights / joint.sum(axis=1)}  # fmt: skip
    return {k: (joint * (guess[:, None] - weights) ** 2).sum() for k, guess in guesses.items()}


squared = {noise: squared_errors(noise) for noise in (0.25, 0.5, 1.0, 2.0)}
print("noise σ", *(f"{name:>18}" for name in squared[1.0]))
for noise, found in squared.items():
    print(f"{noise:7.2f}", *(f"{value:18.4f}" for value in found.values()))
claim("mode_is_not_mean", "noise 1: squared error of the mode over the posterior mean's",
      squared[1.0]["lasso: the mode"] / squared[1.0]["posterior mean"], at_least=1.1, unit="×")  # fmt: skip
claim("lasso_leads_if_quiet", "noise ¼: squared error of the mode over ridge's",
      squared[0.25]["lasso: the mode"] / squared[0.25]["ridge"], at_most=0.99, unit="×")  # fmt: skip

# %% [markdown]
# The posterior mean errs least throughout. With noise as large as the weights' spread, the mode loses even to ridge; in the least it is just
# ahead. Under a Laplace prior a weight is exactly 0 with probability
# 0, so each zero is an error, if often a small one. Now the three worlds. Strengths are in units of what the
# prior asks for, $\sigma^2/\tau^2$ and $\sqrt2\,\sigma^2/(\tau N)$. The best is chosen on half of the draws; the
# table shows errors on the other half. Predicting with $w = 0$ would cost about 1.

# %%
strengths = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
factors = [partial(stopped, steps=round(1 / (lr * c * lam))) for c in strengths]
errors = {"ridge": [error(*linear.ridge(X, Y, c * lam)) for c in strengths],
          "stopped early": [error(*linear.filtered_fit(X, Y, f)) for f in factors],
          "lasso": [error(*linear.lasso_cd(X, Y, c * alpha, tol=1e-3)) for c in strengths]}  # fmt: skip
# By world, strength and draw: (3, 5, draws).
curves = {name: np.array(found).swapaxes(0, 1) for name, found in errors.items()}
best = {name: [world[world[:, ::2].mean(axis=1).argmin(), 1::2].mean() for world in curve]
        for name, curve in curves.items()}  # fmt: skip
print(f"{'':14}", *(f"{name:>12}" for name in worlds))
for name, found in best.items():
    print(f"{name:<14}", *(f"{value:12.3f}" for value in found))

# %% mystnb={"image": {"alt": "Three charts, one above the other, of error against the strength of the penalty, from a quarter of what the prior asks for to four times it. Gaussian weights: ridge and early stopping lie close together in a flat valley, lasso well above them. Laplace weights: the same order, with lasso a little closer. Mostly zero weights: lasso dips far below the other two and climbs back up at the strongest penalty."}} tags=["hide-input"]
fig, panels = plt.subplots(3, 1, figsize=(6.4, 6.0), sharex=True, sharey=True)
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
claim("own_prior_prefers_ridge", "weights from a Laplace prior: error of lasso over ridge's",
      best["lasso"][1] / best["ridge"][1], at_least=1.06, unit="×", thesis=True)  # fmt: skip
claim("zeros_prefer_lasso", "all but three weights zero: error of lasso over ridge's",
      best["lasso"][2] / best["ridge"][2], at_most=0.7, unit="×")  # fmt: skip
claim("stopping_is_as_good", "error stopped early over ridge's, largest of three worlds",
      np.max(np.divide(best["stopped early"], best["ridge"])), at_most=1.05, unit="×")  # fmt: skip

# %% [markdown]
# Same inputs, same noise, same variance of the weights; only their distribution changes. On Gaussian weights ridge is the posterior
# mean, and at strength 1 no method has a smaller expected error. On Laplace weights, the prior whose mode lasso is, ridge still leads. Where three weights carry everything,
# lasso wins by far: it spends the examples on few weights. {cite:t}`gribonval2012compressible` prove, in the limit of many Laplace weights
# and for few enough examples per weight, that plain least squares beats even an oracle that knows the best weights to keep.
# With many examples per weight the two meet, and lasso may lead: "Laplace" decides nothing by itself.
#
# Too strong a penalty hurts in every panel: bias outweighs the variance saved. Tuned, early stopping is as good as ridge.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Regularization improves test performance."** It can, at the right strength. As $\lambda \to \infty$ every prediction becomes $\bar y$.
#
# **"Lasso found the five causes."** Feed it one feature twice. Any split of the weight into two parts of one sign has the same loss; which one
# comes out depends on the order of the columns. With the copies side by side, the first one visited takes all, up to rounding; reverse
# the columns, and the other is the "cause". Ridge gives each half. Nearly equal features, such as a word and its stem, behave alike, and a new sample may swap them.
#
# **"For a sparse network I add the L1 norm to the loss and use SGD."** A weight of 0.003, with a step of 0.005 from the penalty
# alone, goes to −0.002, to 0.003, and so on: it hovers around zero. Soft-threshold after each step instead (*proximal*
# gradient descent), or prune at the end.
#
# **"I penalize all parameters alike, the bias is just one more weight."** Let $y$ be 100 for both of two examples, and the only parameter
# the bias. With $\lambda = 2$ the minimum of $2(100-b)^2 + 2b^2$ is $b = 50$.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} What does weight decay do in a large language model?
# AdamW with decay 0.1 is common, as in Llama 2 {cite:p}`touvron2023llama2`; biases and norm gains are often left out. With nearly every token seen
# once there is little overfitting to prevent. {cite:t}`dangelo2024weight` find that decay lowers the *training* loss there and steadies training,
# and conclude that it changes the dynamics and does not act as a regularizer.
# :::
#
# :::{dropdown} What does decay do to weights in front of a normalization?
# If the layer's output does not depend on the scale of its weights, shrinking them changes no prediction. It raises the effective learning rate,
# since a step of given size turns a shorter vector further {cite:p}`vanlaarhoven2017l2`.
# :::
#
# :::{dropdown} Why bring features to one scale first?
# Measure a feature in millimeters instead of meters, and its weight is a thousandth as large and its penalty nearly gone. The
# priors above give each weight the same variance, so they make sense only for comparable features.
# :::
#
# :::{dropdown} Does the lasso that predicts best also find the true features?
# Not in general. Its threshold shrinks the large weights too, so the best-predicting $\alpha$ is small and lets others in. {cite:t}`zou2006adaptive`
# gives a necessary condition for finding the true set, and shows that weighting the penalty by a first fit, the *adaptive lasso*, can repair it.
# :::
#
# :::{dropdown} And the elastic net?
# Both penalties at once: still exact zeros, but strongly correlated features tend to come and go together {cite:p}`zou2005regularization`. In
# coordinate descent only the divisor changes, to $\lVert x_j\rVert^2 + N\alpha_2$ for an added $\frac12\alpha_2\lVert w\rVert_2^2$.
# :::
#
# :::{dropdown} What has ridge to do with double descent?
# Unpenalized error peaks where the features are about as many as the examples: some $s_i$ is then tiny, and $1/s_i$ multiplies noise. Ridge
# turns exactly those directions down. For some linear models {cite:t}`nakkiran2021optimal` prove that the best $\lambda$ removes the peak.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} lasso_cd
# ```

# %%
import numpy as np


def lasso_cd(X: np.ndarray, y: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Minimize ‖y − b − Xw‖² / 2N + alpha ‖w‖₁ over w and b.

    X: (N, D). y: (N,). alpha: above 0.
    Returns w (D,), float64, and b.
    """
    raise NotImplementedError


check("lasso_cd", lasso_cd)

# %% [markdown]
# ```{solution} lasso_cd
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`hoerl1970ridge`: ridge. {cite:t}`tibshirani1996regression`: lasso, and its Laplace prior. {cite:t}`friedman2010regularization`:
#   coordinate descent.
# - {cite:t}`yao2007early`: early stopping as regularization. {cite:t}`ali2019continuous`: its risk against ridge's.
# - {cite:t}`park2008bayesian`: the whole posterior of the Laplace prior. {cite:t}`gribonval2011penalized`: why a penalty need not be read
#   as a prior. {cite:t}`gribonval2012compressible`: Laplace weights are not compressible.
# - {cite:t}`loshchilov2019decoupled`: decay and L2 under Adam. {cite:t}`dangelo2024weight`: decay in language models.
