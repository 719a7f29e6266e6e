# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs: []
#     question_zh: 语言模型中的随机梯度下降是什么？
#     short: SGD noise, batch size
#     source: L24
#     tasks:
#     - noise_scale
# ---

# %% [markdown]
# # SGD: unbiased how, noisy how much, and what batch size is worth it?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# SGD steps along the mean gradient of a random batch. At fixed weights its expectation is the full gradient; its variance
# falls like one over the batch size. Shuffled passes beat independent draws: near the training minimum, at a small rate,
# the errors of one pass nearly cancel, and the weights stay closer. Larger batches pay up to about the
# noise scale, the per-example variance over the squared gradient. It is a rough guide, and usually grows early in training.
#
# :::{dropdown} The two-minute answer
# Let $\bar g$ be the gradient of the training loss, and $\sigma^2$ the mean squared distance of an example's gradient
# from it. A batch of $B$ examples has a mean gradient with expectation $\bar g$ and expected squared error $\sigma^2/B$. Drawn
# without replacement from $n$ examples, the squared error is smaller by the factor $(n-B)/(n-1)$, which matters only if $B$ is a sizable part of $n$.
#
# A shuffled pass adds something else. Once some examples are used up, the next batch is no longer unbiased given the past: it
# leans toward what is still missing. Over the pass the errors add up to zero if the weights stay put, and
# nearly so if they move little.
#
# How large a batch? With squared gradient $G$ and noise $S$ per example, the step with the best rate makes a share $1/(1 + (S/G)/B)$ of the full
# gradient's progress, if the loss is equally curved in all directions. Well below $S/G$, doubling the batch nearly doubles the progress per step; well above,
# it buys little. Real losses are not equally curved, and the ratio changes during training, so measure it more than once, and test it.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: expectation over the draw, at fixed weights; the noise falls with the root of the batch size.
# - Junior: per step SGD makes less progress than the full gradient; per example processed, more.
# - Mid: writes the variance with and without replacement, and says when the difference matters.
# - Mid: a shuffled pass is not a series of independent draws; why its errors cancel, and at which rates.
# - Mid: derives the noise scale from one step on a quadratic.
# - Senior: estimates it without bias, from gradients that a data-parallel run has anyway.
# - Senior: says what makes it grow in training, and why it is only a rough guide.

# %% tags=["hide-input"]
from functools import partial
from itertools import combinations, pairwise, product

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, seed, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.noise import batch_variance, epoch_batches, gradient_noise
from lmprep.training.optim import SGD

device = setup()

# %% [markdown]
# ## Of fifteen batches, four step backward, and the mean is exact
#
# One weight, six examples. Their gradients are −4, −1, 0, 2, 4, 5, so the full gradient is 1 and every step should lower the weight.
# Draw two examples. There are 15 pairs. Four of them, such as (−4, 2), have a negative mean and push the weight up, (−4, 4) does nothing, and the
# average over all 15 is 1: the batch gradient is *unbiased*: its expectation is the full gradient.
#
# Its *variance* is the mean squared distance from 1. For single examples it is
# $\sigma^2 = (25 + 4 + 1 + 1 + 9 + 16)/6 = 28/3$. A mean of $B$ independent draws has $\sigma^2/B$, here 14/3. A pair
# without replacement cannot hold the same example twice, and for $n$ examples this takes off a factor, the *finite-population correction*:
#
# $$
# \operatorname{Var}(g_B) = \frac{n - B}{n - 1} \cdot \frac{\sigma^2}{B} = \frac45 \cdot \frac{14}{3} = \frac{56}{15} .
# $$
#
# At $B = n$ it is zero, since there is only one batch. For 1,000 of a million examples it is 0.999: there the two ways to fill *one batch*
# cannot be told apart. With $p$ weights, variances are summed over all of them.

# %%
six = torch.tensor([[-4.0], [-1], [0], [2], [4], [5]], dtype=torch.float64)  # (n, p), p = 1
pairs = torch.stack([six[list(chosen)].mean() for chosen in combinations(range(6), 2)])  # (15,)
agrees("fifteen_batches", "itertools.combinations, n = 6 and B = 2",
       [six.mean().item(), batch_variance(six, 2), batch_variance(six, 2, replace=True)],
       [pairs.mean().item(), pairs.var(correction=0).item(), 14 / 3], atol=1e-12)  # fmt: skip

# %% [markdown]
# "Unbiased" needs its conditions. It holds for a batch drawn anew *at fixed weights*. Loops usually shuffle, and deal the
# examples out until none is left. Suppose −4 came first: the other five have mean 2, so given the past, the next draw is
# biased toward 2. Weights that have already moved because of the −4 meet a batch that is not independent of them.

# %%
show(epoch_batches)

# %% [markdown]
# ## This bias helps: what one step pulls too far, a later one takes back
#
# In a shuffled pass every example comes once. If the weights stood still, the $n$ gradients would add up to exactly $n$ times
# the full one, whatever the order: the errors sum to zero. Independent draws leave a sum of errors that grows with
# $\sqrt n$. The less the weights move during a pass, the more of the cancellation should survive.
#
# Test it on least squares, where the minimum is known: 200 noisy examples, 10 weights, one example per step. The examples are drawn
# independently, or shuffled anew for *each pass*, or, as a control, shuffled once over the *whole run*, 20 copies of each, which uses
# them as evenly in the end. At the same weights all three are equally noisy step by step. Forty runs for each rate start at the
# minimum; the table has their mean squared distance from it after the first ten passes, and the gain over independent draws.

# %%
# Try: rates = [0.03, 0.05]. The weights move far within a pass, shuffling gains little, and
# the thesis fails. Or batch = 10 and ten times the rates: the ratios hardly change.
rates, batch, epochs, n, d, runs = [0.003, 0.01, 0.03], 1, 20, 200, 10, 40

draw, deal = rng(1), partial(epoch_batches, batch_size=batch, generator=generator(2))
X = draw.standard_normal((n, d))
y = X @ draw.standard_normal(d) + draw.standard_normal(n)
minimum = np.linalg.lstsq(X, y)[0]
orders = {  # each returns one run's batches: (updates, batch)
    "independent": lambda: deal(epochs * n, replace=True) % n,
    "whole run": lambda: deal(epochs * n) % n,
    "each pass": lambda: torch.cat([deal(n) for _ in range(epochs)]),
}
drawn = [torch.stack([order() for _ in range(runs)], dim=1) for order in orders.values()]
w = np.tile(minimum, (len(rates), len(orders), runs, 1))  # (rates, orders, runs, d)
found = []
for i in torch.stack(drawn, dim=1).numpy():  # (orders, runs, batch): the examples of one update
    residual = (X[i] * w[..., None, :]).sum(axis=-1) - y[i]  # (rates, orders, runs, batch)
    mean_gradient = (residual[..., None] * X[i]).mean(axis=-2)  # (rates, orders, runs, d)
    w = w - np.array(rates)[:, None, None, None] * mean_gradient  # w ← w − η · gradient
    found.append(((w - minimum) ** 2).sum(axis=-1).mean(axis=-1))
distance = np.array(found).reshape(epochs, -1, len(rates), len(orders))[10:]
independent, whole_run, each_pass = distance.mean(axis=(0, 1)).T  # (rates,)
ends = distance[:, -1, :, -1].mean(axis=0)
gains = independent / each_pass
print("rate    independent  whole run  each pass    gain  ends of passes")
for k, rate in enumerate(rates):
    print(f"{rate:<8}{independent[k]:11.4f}{whole_run[k]:11.4f}{each_pass[k]:11.4f}"
          f"{gains[k]:8.2f}{ends[k]:16.4f}")  # fmt: skip

# %%
claim("shuffling_cancels", "lowest rate: mean squared distance from the minimum, independent draws over "
      "a shuffle for each pass", gains[0], at_least=2.5, unit="×", thesis=True)  # fmt: skip
claim("balance_per_pass", "lowest rate: the same distance, one shuffle of the whole run over a shuffle for each pass",
      whole_run[0] / each_pass[0], at_least=2.5, unit="×")  # fmt: skip
claim("small_steps_only", "independent draws over a shuffle for each pass: at the lowest rate over at the highest",
      gains[0] / gains[-1], at_least=2, unit="×")  # fmt: skip

# %% [markdown]
# At the lowest rate shuffled passes win by a multiple, at the highest by little. The control gains little: equal use is not enough, errors must
# cancel before they fade. In one direction with curvature $h$, a step's effect
# fades by the factor $1 - \eta h$ with each further step, and so lasts for about $1/(\eta h)$ steps. Here $h$ is near 1: at rate 0.03 the effect of an error is gone before the
# same pass makes up for it. At the ends of passes the books are balanced: see the last column.
#
# All this concerns the minimum of the *training* loss, not of new data.
#
# ## Noise over squared gradient is a batch size
#
# Near weights $\theta$ let the loss be quadratic with the same curvature $h$ in all directions. $G = \lVert\bar g\rVert^2$ is the *signal*,
# $S$ the *noise*: one example's variance, summed over all weights. A step of rate $\eta$ with a batch of $B$ lowers the loss on average by
#
# $$
# \eta\, G - \tfrac12 \eta^2 h \Big(G + \frac SB\Big), \quad\text{at best by}\quad
# \frac{G}{2h} \cdot \frac{1}{1 + \mathcal B / B}, \quad \mathcal B = \frac SG ,
# $$
#
# for $\eta = \frac1h \cdot \frac{1}{1 + \mathcal B/B}$. The full gradient gets $G/2h$. So a batch as large as the *noise scale* $\mathcal B$
# gets half of that, four times as much gets 80 %, a quarter 20 %. Far below $\mathcal B$ the progress, and the best rate, grow in proportion to $B$; far above,
# neither grows.
#
# To estimate $G$ take care: the mean of $n$ gradients still contains noise $S/n$, so its squared norm is too large by that much. Subtract it, with
# $S$ computed with $n - 1$ below. Rows may also be means of $b$ examples each; then a row's noise is $S/b$. That is what data-parallel
# workers hold before they average {cite:p}`mccandlish2018empirical`.

# %%
show(gradient_noise)

# %%
triples = [gradient_noise(six[list(i)]) for i in product(range(6), repeat=3)]
agrees("no_bias", "the six gradients' 28/3 and 1, over all 216 draws of three",
       [np.mean([t.noise for t in triples]), np.mean([t.signal for t in triples])],
       [28 / 3, 1.0], atol=1e-12)  # fmt: skip
sample = gradient_noise(six)
print(f"all six as a sample: noise {sample.noise:.2f}, signal {sample.signal:.2f}")

# %% [markdown]
# Without the correction, the squared mean of three would average $1 + \frac{28}{3}/3 \approx 4.1$, not 1. All six, treated as a sample, give a
# *negative* signal: too few to tell the mean from zero, and then the estimate of $\mathcal B$ is infinite. Both parts are unbiased; their ratio is not, so average $S$ and $G$ over
# many updates before dividing.
#
# ## In a real run the batch that pays grows: less gradient, and more noise
#
# A small network reads four characters of English and predicts the fifth. SGD trains it for 1,000 updates on batches of 128 windows from one shuffled
# pass. On the way, 300 gradients of 16 windows each give $S$ and $G$. At the beginning and the end comes the real test: take one step with a batch of size
# $B$, at the best of ten rates, and measure how much the loss on 2,048 other windows falls, averaged over six draws. A batch of 65,536 stands in for the full gradient, so a share can exceed 1.

# %%
stages, sizes = (0, 30, 300, 1000), [16, 64, 256, 1024, 4096]
step_sizes = 2.0 ** np.arange(-5, 5)  # from 1/32 to 16
text = normalize_text(" ".join(english_text()["train"]["text"]))
vocabulary = CharVocabulary.from_text(text)
V = len(vocabulary)
windows = torch.tensor(vocabulary.encode(text), device=device).unfold(0, 5, 1)  # (N, 5)
mixed = windows[torch.randperm(len(windows), generator=generator(3))]
ruler, windows = mixed[:2048], mixed[2048:]
torch.manual_seed(seed(4))
layers = [nn.Linear(4 * 8, 32), nn.Tanh(), nn.Linear(32, V)]
model = nn.Sequential(nn.Embedding(V, 8), nn.Flatten(), *layers).to(device)
weights, g = list(model.parameters()), generator(5)
epoch = epoch_batches(len(windows), 128, generator=g)


def loss_on(model: nn.Module, batch: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(batch[:, :-1]), batch[:, -1])


def gradient(size: int) -> Tensor:
    """The mean gradient of freshly drawn windows: (p,)."""
    batch = windows[torch.randint(len(windows), (size,), generator=g)]
    return parameters_to_vector(torch.autograd.grad(loss_on(model, batch), weights))


def bends(directions: Tensor) -> Tensor:
    """The loss's curvature along each row v, times its squared length: v · Hv."""
    slope = torch.autograd.grad(loss_on(model, ruler), weights, create_graph=True)
    slopes = directions @ parameters_to_vector(slope)
    turns = [torch.autograd.grad(s, weights, retain_graph=True) for s in slopes]
    return (torch.stack([parameters_to_vector(t) for t in turns]) * directions).sum(dim=1)


@torch.no_grad()
def progress(directions: list[Tensor]) -> float:
    """How far one step lowers the loss on the ruler, averaged, at the best rate."""
    start = parameters_to_vector(weights).clone()
    falls = np.full((len(step_sizes), len(directions)), loss_on(model, ruler).item())
    for (k, j), _ in np.ndenumerate(falls):
        vector_to_parameters(start - step_sizes[k] * directions[j], weights)
        falls[k, j] -= loss_on(model, ruler).item()
    vector_to_parameters(start, weights)
    return falls.mean(axis=1).max()


noises, shares, weighted = {}, {}, {}
print("updates    loss   noise S   signal G   noise scale")
for done, stage in pairwise((0, *stages)):
    if stage > done:
        fit(model, [windows[i] for i in epoch[done:stage]], loss_on, num_steps=stage - done,
            optimizer=SGD(weights, lr=0.5))  # fmt: skip
    rows = torch.stack([gradient(16) for _ in range(300)])
    found = noises[stage] = gradient_noise(rows, batch_size=16)
    if stage in (stages[0], stages[-1]):
        full = gradient(65_536)
        weighted[stage] = 16 * ((bends(rows[:50]).mean() / bends(full[None])).item() - 1)
        best = progress([full])
        shares[stage] = [progress([gradient(B) for _ in range(6)]) / best for B in sizes]
    print(f"{stage:7}{loss_on(model, ruler).item():8.2f}{found.noise:10.1f}"
          f"{found.signal:11.4f}{found.scale:14.0f}")  # fmt: skip

# %% mystnb={"image": {"alt": "Two stacked charts. Top, against updates: noise rises a few times, signal falls several times in all, and their ratio, the noise scale, rises about tenfold or more, steeply in the first thirty updates. Bottom, against batch size: the measured share of the full gradient's progress, as points, rises toward one, much further right after 1,000 updates than before training. Dotted curves predicted from the noise scale lie below most points and move right with them; thin solid curves from the scale weighted by curvature pass near the points."}} tags=["hide-input"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(5.6, 6.4))
for name, label in {"noise": "noise", "signal": "signal", "scale": "noise scale"}.items():
    values = np.array([getattr(noises[stage], name) for stage in stages])
    top.plot([1, *stages[1:]], values / values[0], "o-", label=label)
top.set(title="The noise scale rises, by less signal and more noise", xscale="log", yscale="log",
        xlabel="updates (first point: none)", ylabel="relative to the start", xlim=(0.8, 8000))  # fmt: skip
many = np.geomspace(sizes[0], sizes[-1], 100)
for color, (stage, share) in zip(("C0", "C1"), shares.items(), strict=True):
    label = f"measured, after {stage:,} updates" if stage else "measured, before training"
    bottom.plot(sizes, share, "o", color=color, label=label)
    for scale, style in ((noises[stage].scale, ":"), (weighted[stage], "-")):
        bottom.plot(many, 1 / (1 + scale / many), style, color=color, linewidth=1.2)
bottom.plot([], [], ":", color="C6", label="predicted, noise scale")
bottom.plot([], [], "-", color="C6", linewidth=1.2, label="predicted, weighted by curvature")
bottom.set(title="Late in training, the same batch buys less of the full step", xscale="log",
           xlabel="batch size (windows)", ylabel="share of full progress", ylim=(-0.05, 1.1))  # fmt: skip
bottom.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
label_lines(top)
plt.show()

# %%
first, last = noises[stages[0]], noises[stages[-1]]
# Where the measured share crosses a half, on a logarithmic axis of batch sizes.
half = [float(np.exp(np.interp(0.5, share, np.log(sizes)))) for share in shares.values()]
print(f"half of the full progress: batch of {half[0]:.0f} early, {half[1]:.0f} late")
claim("scale_grows", "noise scale after 1,000 updates over that before training",
      last.scale / first.scale, at_least=5, unit="×")  # fmt: skip
claim("signal_falls", "squared gradient before training over that after 1,000 updates",
      first.signal / last.signal, at_least=2, unit="×")  # fmt: skip
claim("noise_rises", "variance of one window's gradient after 1,000 updates over that before training",
      last.noise / first.noise, at_least=1.7, unit="×")  # fmt: skip
claim("half_moves", "batch with half of the full progress, measured: after 1,000 updates over before",
      half[1] / half[0], at_least=3.5, unit="×")  # fmt: skip
ratios = np.array([[noises[k].scale, weighted[k]] for k in shares]) / np.array(half)[:, None]
simple, curved = np.exp(np.log(ratios).mean(axis=0))  # geometric means of the two stages
print("relative to these batches: noise scale {:.1f} and {:.1f}, weighted by curvature {:.1f} and {:.1f}"
      .format(*ratios.T.flatten()))  # fmt: skip
claim("scale_is_too_high", "noise scale over the batch that measurably makes half of the full progress: "
      "geometric mean of the two stages", simple, at_least=1.7, at_most=8, unit="×")  # fmt: skip
claim("curvature_explains", "factor by which the noise scale misses that batch, over the factor by which the "
      "scale weighted by curvature does",
      simple / max(curved, 1 / curved), at_least=1.5, unit="×")  # fmt: skip

# %% [markdown]
# Before training, a batch smaller than the 128 that the run uses makes half of the full gradient's progress. After 1,000
# updates half takes a many times larger batch. The noise scale announced that, from small gradients alone. It rises because the gradient
# falls, as usual, and here also because single windows pull harder than before. How far it rises is this run's own: another rate or batch size leads
# the weights elsewhere. The rows between jump from seed to seed, as the gradient does from update to update.
#
# The dotted curves promise too little: half the progress takes a smaller batch than the noise scale says. They assume
# one curvature for all directions. {cite:t}`mccandlish2018empirical` weight both parts by the curvature $H$, as
# $\operatorname{tr}(H\Sigma) / (\bar g^\top H \bar g)$, where $\Sigma$ is the covariance of one example's gradient, and call the unweighted ratio *simple*. The solid curves,
# weighted so, come much closer: the gradient lies along steeper directions than the noise. The simple scale needs no second derivatives, but here
# it is too high, and for OLMo {cite:t}`merrill2025critical` found it too low, by orders of magnitude.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Sampling keeps SGD from overfitting, because it depends less on each example."** Over an epoch every example is used as often as
# with full gradients. Small batches may favor other minima, but {cite:t}`geiping2022stochastic` reached the test accuracy
# of SGD on CIFAR-10 without any sampling, by penalizing explicitly what the noise had penalized on the side.
#
# **"SGD converges faster."** Faster per what? Take 50,000 examples and a noise scale of 1,000. In the time of one full gradient, batches of
# 100 allow 500 steps, each with 1/11 of a full step's progress by the formula above: 45 times as much per example. Near the minimum the gradient
# vanishes and the noise may not: at a constant rate SGD stalls, until [the rate falls](lr_schedules).
#
# **"The gradient is unbiased, so the step is."** Clip the six gradients to [−2, 2], as per-example clipping does: their mean falls from 1 to
# 1/2. Take signs, as Adam nearly does at first: the six signs average 1/6, while the full gradient has sign 1. An expectation
# passes through a linear update, and through few others.
#
# **"Our critical batch size is two million tokens."** Measured when? In the middle of
# a run it may be right. At the start of the next run most of such a batch is wasted; batch-size warmup avoids that {cite:p}`merrill2025critical`.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} The batch is k times larger. What learning rate?
# For SGD well below the noise scale, $k$ times the rate: the best rate above is proportional to $B$ there, and flattens
# beyond. {cite:t}`goyal2017accurate` used it up to batches of 8,192, with warmup. For Adam, {cite:t}`malladi2022sdes` derive $\sqrt k$, with the
# moments' memories adjusted as well.
# :::
#
# :::{dropdown} How do you measure it on a cluster?
# Each of $K$ workers has the gradient of $b$ examples; compute its squared norm before the all-reduce, and that of the mean after. Their expectations
# are $G + S/b$ and $G + S/(Kb)$: two equations for $S$ and $G$. Smooth each over many updates, then divide
# {cite:p}`mccandlish2018empirical`.
# :::
#
# :::{dropdown} Should I train at the noise scale?
# It is the even trade. By the same formula, steps grow with $1 + \mathcal B/B$ and examples with $1 + B/\mathcal B$, each relative to its
# minimum: at $B = \mathcal B$ both are doubled. If machines are idle, go larger; if compute is the bill, smaller.
# :::
#
# :::{dropdown} Why do large language models take millions of tokens per batch?
# Parallel machines need them, and they still pay. GPT-3 ended at 3.2 million tokens, after a ramp from 32 thousand, with the noise
# scale as a guide {cite:p}`brown2020language`. {cite:t}`merrill2025critical` instead trained branches of OLMo runs with larger batches: the size at which the
# loss suffers starts near zero, rises quickly, and levels off near 17 million tokens.
# :::
#
# :::{dropdown} Must I shuffle anew in every epoch?
# Usually it matters little: for strongly convex losses {cite:t}`mishchenko2020random` prove that one shuffle, reused, converges fast, too. What hurts is
# sorted data without any shuffle: the batches of a stretch all err in the same direction.
# :::
#
# :::{dropdown} And in a single pass over a huge corpus?
# If the corpus is a random sample, each batch of a pass without repetition is a fresh draw from the source of the text, and unbiased for the loss
# on *all* text. Independent draws would repeat some documents and miss about $1/e$, or 37 %, of them.
# :::
#
# :::{dropdown} What does momentum do to the noise?
# With momentum $\mu$ a gradient moves the weights by $\eta(1 + \mu + \mu^2 + \dots) = \eta/(1-\mu)$ in all, so $\mu = 0.9$ acts, at small rates, like
# ten times the rate. It spreads each gradient's effect over about ten steps, and the noise with it.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} noise_scale
# ```

# %%
import torch


def noise_scale(per_sample_grads: torch.Tensor) -> float:
    """The noise scale S / G, estimated from one gradient per row: (n, p), n ≥ 2."""
    raise NotImplementedError


check("noise_scale", noise_scale)

# %% [markdown]
# ```{solution} noise_scale
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`robbins1951stochastic`: the method. {cite:t}`bottou2018optimization`: its theory for machine learning.
# - {cite:t}`mccandlish2018empirical`: the noise scale. {cite:t}`merrill2025critical`: a more direct measurement.
# - {cite:t}`gurbuzbalaban2021why`, {cite:t}`mishchenko2020random`: why shuffled passes win.
# - {cite:t}`shallue2019measuring`: what larger batches buy, over many models and data sets.
