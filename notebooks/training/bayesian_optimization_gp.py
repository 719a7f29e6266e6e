# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 1
#     level: 3
#     needs:
#     - hpo_random_halving
#     question_zh: 语言模型中的贝叶斯优化是什么？
#     short: Bayesian optimization
#     source: L23
#     tasks:
#     - expected_improvement
# ---

# %% [markdown]
# # Derive the Gaussian-process posterior and expected improvement. When do they beat random search?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Bayesian optimization spends arithmetic to save training runs. A Gaussian process turns the losses seen so far into a mean
# and a standard deviation for every untried setting. Expected improvement averages how far each would get below the best loss,
# counting zero where it does not; the highest is trained next. If neighboring settings have similar losses, a dozen trials can do the work
# of two dozen random ones or more. Shuffle the losses among the settings, and the lead is gone.
#
# :::{dropdown} The two-minute answer
# Write $k(x, x')$ for the assumed covariance of the losses at two settings, $K$ for the $(N, N)$ matrix of it among the $N$
# settings tried, $k_*$ for the $N$ numbers between them and a new one. Given losses $y$, with the prior mean taken off, the new loss is normal with mean $k_*^\top
# K^{-1} y$ and variance $k(x_*, x_*) - k_*^\top K^{-1} k_*$. One Cholesky factor of $K$, in about $N^3/3$ operations, gives both, and the
# likelihood that chooses the kernel's length scale.
#
# Expected improvement is the mean of $\max(\text{best} - f, 0)$. It is large where the mean is low or the standard deviation is high,
# with no weight to tune between the two. It looks one trial ahead, and assumes that losses come without noise.
#
# The lead over random search needs a surrogate that predicts. Many dimensions, a rough or noisy loss, or a length scale that
# is wrong can take it away. The control is random search, at an equal number of trials.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: names both parts, a surrogate that predicts with uncertainty, and an acquisition function that chooses.
# - Junior: says whether the objective is minimized; with the sign turned, the search finds the worst.
# - Mid: derives the posterior of the Gaussian process, and where the noise enters.
# - Mid: derives expected improvement, and what it becomes when the standard deviation is 0.
# - Senior: knows that, for a given kernel, the standard deviation depends on where one has tried, not on what came out.
# - Senior: chooses length scales by marginal likelihood, and says why five trials decide little.
# - Senior: compares with random search at equal trials, and says when the lead is gone.

# %% tags=["hide-input"]
import re

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.integrate import quad
from scipy.stats import hypergeom, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from lmprep.data.corpora import english_text
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.bayesopt import GaussianProcess, expected_improvement, matern52, minimize

_ = setup()  # the page stays on the CPU

# %% [markdown]
# ## After one good run, the next is neither a neighbor nor a stranger
#
# Measure losses from their mean, in standard deviations: before any run we expect 0, give or take 1. The first run comes out at −1, which is good. Three settings could be next. How
# much each resembles the first is the correlation $\rho$ of their losses. One observation $y$ moves the expected loss to $\rho y$ and leaves a standard
# deviation of $\sqrt{1 - \rho^2}$. The last columns average how far the new loss falls below the best so far, where a loss that is no
# better counts as 0: the *expected improvement*, EI.
#
# | next setting | $\rho$ | mean | standard deviation | EI if $y = -1$ | EI if $y = +1$ |
# |---|---|---|---|---|---|
# | a neighbor | 0.98 | $0.98\, y$ | 0.20 | 0.07 | 0.09 |
# | some way off | 0.8 | $0.8\, y$ | 0.6 | **0.15** | 0.35 |
# | a stranger | 0 | 0 | 1 | 0.08 | **1.08** |
#
# After the good run, the lowest mean would try the neighbor, where little can happen, and the highest uncertainty the stranger. EI goes
# some way off. After a bad run, $y = +1$, it leaves.
#
# ## What the trials cannot explain is independent of them
#
# A *Gaussian process* is the assumption that the losses at any settings are jointly normal. A kernel $k$ gives their covariances; settings
# are points in $D$ dimensions. Here the prior mean is 0 and the prior variance 1, after the losses have been shifted and scaled.
# With noise of variance $\sigma_n^2$ in each observation, the losses $y \in \mathbb R^N$ at the settings tried, $X$, have the covariance $K = k(X, X) + \sigma_n^2 I$.
# A new setting $x_*$ has the value $f_*$, whose covariances with them are $k_* \in \mathbb R^N$. Take off the best linear guess:
#
# $$
# e = f_* - k_*^\top K^{-1} y, \qquad \operatorname{Cov}(e, y) = k_*^\top - k_*^\top K^{-1} K = 0 .
# $$
#
# Jointly normal and uncorrelated means independent. So knowing $y$ changes nothing about $e$, whose mean is 0 and whose variance is
# $k(x_*, x_*) - k_*^\top K^{-1} k_*$, and therefore
#
# $$
# f_* \mid y \;\sim\; \mathcal N\big(k_*^\top K^{-1} y,\;\; k(x_*, x_*) - k_*^\top K^{-1} k_*\big).
# $$
#
# For one trial without noise these are $\rho y$ and $1 - \rho^2$, as in the table. The inverse is never formed: with $K = LL^\top$, two triangular systems
# are solved.

# %%
show(matern52, GaussianProcess)

# %%
x, y, points = rng(1).random((12, 2)), rng(2).normal(size=12), rng(3).random((200, 2))
ours = GaussianProcess(x, y, length_scale=(0.3, 0.7), noise=1e-4)
kernel = Matern((0.3, 0.7), nu=2.5)
theirs = GaussianProcessRegressor(kernel, alpha=1e-4, optimizer=None).fit(x, y)
reference = theirs.predict(points, return_std=True)
agrees("posterior", "sklearn.gaussian_process: mean and standard deviation",
       np.stack(ours.predict(points)), np.stack(reference), atol=1e-8)  # fmt: skip
agrees("log_marginal", "sklearn.gaussian_process: log marginal likelihood",
       ours.log_marginal(), theirs.log_marginal_likelihood_value_, atol=1e-8)  # fmt: skip

other = GaussianProcess(x, 100 * y[::-1], length_scale=(0.3, 0.7), noise=1e-4)
claim("blind_to_losses", "other losses, same settings: largest change of a standard deviation",
      abs(ours.predict(points)[1] - other.predict(points)[1]).max(), at_most=0)  # fmt: skip

# %% [markdown]
# The variance contains no $y$: losses a hundred times as wild leave the same error bars. What has come out enters only through
# the scaling before and through the length scale. A length scale says how far apart two settings must be to tell little about
# each other. Choose the one under which the losses seen were most probable, $\log p(y) = -\frac12 y^\top K^{-1} y - \log \det L - \frac N2 \log 2\pi$. The
# first term punishes a process too stiff for the data, the second one that could have produced anything.
#
# ## Improvement is the part of a bell curve below the best loss
#
# Let $f = \mu + \sigma u$ with $u$ standard normal, density $\varphi$ and distribution function $\Phi$, and let $z = (\text{best} - \mu)/\sigma$. There is an improvement
# where $u < z$. Since $u\varphi(u)$ is minus the derivative of $\varphi$,
#
# $$
# \mathrm{EI} = \int_{-\infty}^{z} \sigma (z - u)\, \varphi(u)\, \mathrm du = \sigma \big( z\,\Phi(z) + \varphi(z) \big)
# = (\text{best} - \mu)\, \Phi(z) + \sigma\, \varphi(z) .
# $$
#
# Its derivative by $\sigma$ is $\varphi(z)$ and by $\mu$ it is $-\Phi(z)$: more doubt is worth something, a lower mean too. At $\sigma = 0$ it is
# $\max(\text{best} - \mu, 0)$.

# %%
show(expected_improvement)

# %%
rho = np.array([0.98, 0.8, 0.0])
mean, sd = -rho, np.sqrt(1 - rho**2)
by_integral = [quad(norm(-r, np.sqrt(1 - r**2)).cdf, -np.inf, -1)[0] for r in rho]
agrees("improvement", "scipy.integrate.quad: area under the cdf up to the best",
       expected_improvement(mean, sd, -1.0), by_integral, atol=1e-9)  # fmt: skip

# %% [markdown]
# ## The lowest mean stays in the first valley, EI leaves it
#
# A test function with two valleys {cite:p}`forrester2008engineering`, the left one shallow, and three trials. The loop fits the
# process, tries the best-scoring candidate and starts over:

# %%
show(minimize)

# %% mystnb={"image": {"alt": "Two charts over the setting from 0 to 1. Top: the true loss with a shallow valley left and a deep one right, the mean of the process, which follows it closely on the left where most of seven trials lie, and a band of two standard deviations that is wide on the right. The band misses the deep valley. Bottom: expected improvement, small in the left valley, with two high peaks in the gaps between trials; the right one, before the deep valley, is slightly higher."}} tags=["hide-input"]
line = np.linspace(0, 1, 101)
valleys = (6 * line - 2) ** 2 * np.sin(12 * line - 4)
start, trials = (10, 50, 90), 12
tried, by_ei = minimize(lambda i: valleys[i], line[:, None], start, trials)
_, by_mean = minimize(lambda i: valleys[i], line[:, None], start, trials,
                      acquisition=lambda mean, sd, best: -mean)  # fmt: skip

seen = valleys[tried[:7]]
scaled = (seen - seen.mean()) / seen.std()
# 0.1 is also the scale that the search finds most likely here
process = GaussianProcess(line[tried[:7], None], scaled, length_scale=0.1, noise=1e-4)
mean, sd = (seen.std() * part for part in process.predict(line[:, None]))
mean += seen.mean()
fig, (top, bottom) = plt.subplots(2, 1, figsize=(7, 4.6), sharex=True, height_ratios=(2, 1))
top.plot(line, valleys, "--", color="C6", label="true loss")
top.plot(line, mean, label="mean")
top.fill_between(line, mean - 2 * sd, mean + 2 * sd, alpha=0.15)
top.plot(line[tried[:7]], seen, "o", color="C6")
top.set(title="After seven trials (dots), EI looks past the left valley", ylabel="loss")
bottom.plot(line, expected_improvement(mean, sd, seen.min()), color="C1")
bottom.set(xlabel="setting", ylabel="EI", xlim=(0, 1.12))
label_lines(top)
plt.show()

# %%
claim("leaves_the_valley", "two valleys, twelve trials: lowest loss by the mean less by EI",
      min(by_mean) - min(by_ei), at_least=2.5)  # fmt: skip

# %% [markdown]
# EI peaks in the two widest gaps, slightly higher in the right one. The band even misses the
# deep valley, but doubt sends EI there. The search by the mean stays on the left. The first three trials were chosen to
# show it; from luckier ones the mean finds the deep valley too.
#
# ## A dozen trials do the work of several dozen, as long as neighbors agree
#
# Now a real objective. A linear model reads three characters of English and predicts the fourth. It learns from 500
# examples by SGD; which learning rate, which weight decay? Each has 16 values, equally spaced in the logarithm, which is scaled to run
# from 0 to 1. All 16 × 16 models are trained beforehand, on the same batches, and a search looks up
# its losses on 1,000 validation examples. A loss above $\log 27$, a uniform guess, counts as $\log 27$: the runs that diverge would otherwise set the scale.
#
# Each of 32 searches begins with five random trials, and EI chooses seven more. The length scales, from a tenth to most of
# the range, and the noise are the library's defaults. *Regret* is the best loss so far less the lowest in the
# table. The controls:
#
# - *random* search. How good the best of $n$ different settings is has a known distribution, so its mean regret is exact.
# - *shuffled*: EI on the same losses, dealt out anew among the settings.
# - *mean only* and *doubt only* try what has the lowest mean, or the highest standard deviation.

# %%
# Try: scales = (0.003,), a twentieth of the distance between neighbors in the table.
# No setting says anything about another, EI is the same for all, and the search takes
# the first in the list. The thesis breaks.
scales = (0.1, 0.2, 0.4, 0.8)
side, num_examples, num_steps, batch_size = 16, 500, 120, 32
searches, num_first, num_trials = 32, 5, 12

settings = np.indices((side, side)).reshape(2, -1).T / (side - 1)  # (N, 2), 0 to 1
N = len(settings)
points = torch.tensor(settings, dtype=torch.float32)
rate = 10 ** (4 * points[:, :1] - 2)  # 0.01 to 100
decay = 10 ** (5 * points[:, 1:] - 5)  # 0.00001 to 1

corpus = english_text()


def examples(split: str, count: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three characters, one-hot side by side, and the fourth: (count, 81), (count,)."""
    text = re.sub("[^a-z]+", " ", " ".join(corpus[split]["text"]).lower())
    ids = torch.tensor([0 if c == " " else ord(c) - 96 for c in text]).unfold(0, 4, 1)
    ids = ids[torch.randperm(len(ids), generator=generator(k))[:count]]
    return torch.nn.functional.one_hot(ids[:, :3], 27).flatten(1).float(), ids[:, 3]


inputs, targets = examples("train", num_examples, 1)
W = torch.zeros(81, N, 27)  # all models side by side
for draw in torch.randint(num_examples, (num_steps, batch_size), generator=generator(2)):
    x, y = inputs[draw], targets[draw]
    error = (x @ W.flatten(1)).view(batch_size, N, 27).softmax(dim=-1)
    error[torch.arange(batch_size), :, y] -= 1  # the gradient at the logits
    W = (1 - rate * decay) * W - rate * (x.T @ error.flatten(1)).view_as(W) / batch_size

x, y = examples("validation", 1000, 3)
each = torch.stack([-(x @ W[:, i]).log_softmax(1)[range(1000), y] for i in range(N)])
table = each.mean(dim=1).nan_to_num(np.inf).clamp(max=np.log(27)).double().numpy()

good = each[table.argsort()[:11]]  # (11, 1000), the best first
resolution = (good[1:] - good[0]).std(dim=1).mean().item() / 1000**0.5


# %%
def regrets(losses, acquisition=None) -> np.ndarray:
    """Best loss so far above the best of all, (searches, trials)."""
    found = []
    for search in range(searches):
        first = rng(100 + search).choice(N, num_first, replace=False)
        _, seen = minimize(losses(search).item, settings, first, num_trials,
                           length_scales=scales, acquisition=acquisition)  # fmt: skip
        found.append(np.minimum.accumulate(seen) - table.min())
    return np.array(found)


runs = {
    "EI": regrets(lambda search: table),
    "shuffled": regrets(lambda search: rng(200 + search).permutation(table)),
    "mean only": regrets(lambda search: table, lambda mean, sd, best: -mean),
    "doubt only": regrets(lambda search: table, lambda mean, sd, best: sd),
}

# Random search: probability of none of the best r settings among n, (N − 1, N).
missed = hypergeom.pmf(0, N, np.arange(1, N)[:, None], np.arange(1, N + 1))
random_search = np.diff(np.sort(table)) @ missed  # mean regret after n trials, (N,)

# %%
equal = {}  # how many random trials have as low a mean regret
print("mean regret, nats     8 trials  12 trials   as good as: random trials")
for name, run in {"random": random_search[None], **runs}.items():
    mean = run.mean(axis=0)
    equal[name] = 1 + np.argmax(random_search <= mean[num_trials - 1] + 1e-12)
    print(f"{name:<20}{mean[7]:10.4f}{mean[num_trials - 1]:11.4f}{equal[name]:12}")
print(f"difference between good settings: standard error {resolution:.4f}")

# %% mystnb={"image": {"alt": "Mean regret on a logarithmic axis against trials, from 5 to 12. The curves of expected improvement and of the lowest mean fall steeply, far below the dashed curve of random search, and end near a dotted line, the standard error. Those of the shuffled losses and of the highest doubt stay near random search."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 3.6))
count = np.arange(num_first, num_trials + 1)
ax.plot(count, random_search[count - 1], "--", color="C6", label="random")
for name, run in runs.items():
    ax.plot(count, run.mean(axis=0)[count - 1], label=name)
ax.plot(count, np.full(len(count), resolution), ":", color="0.5", label="standard error")
ax.set(title="EI leaves random search behind, unless losses are shuffled", xlim=(5, 13.7),
       xlabel="trials", ylabel="mean regret (nats)", yscale="log")  # fmt: skip
label_lines(ax)
plt.show()

# %%
claim("worth_of_a_trial", "random trials that are as good, on average, as twelve with EI",
      equal["EI"], at_least=24, thesis=True)  # fmt: skip
claim("shuffled", "random trials that are as good as twelve with EI on shuffled losses",
      equal["shuffled"], at_most=24)  # fmt: skip
claim("doubt_only", "random trials that are as good as twelve at the highest doubt",
      equal["doubt only"], at_most=26)  # fmt: skip
claim("mean_only", "random trials that are as good as twelve at the lowest mean",
      equal["mean only"], at_least=20)  # fmt: skip

# %% [markdown]
# *Shuffled* had to come out near *random*: whichever untried setting a search picks there, its loss
# is a random one of those left. On average no search beats random search on a shuffled table, so EI's lead comes from how the losses are
# arranged. *Doubt only* sees the settings but no losses; it spreads its trials and gains little. So the lead comes from what losses say about
# their neighbors.
#
# *Mean only* has much of the lead too: in one smooth valley, predicting matters more than doubting.
# With two valleys, above, doubt paid off. The dotted line is the standard error, on 1,000 validation examples, of the difference between two good
# settings. EI gets near it in a dozen trials, and lower regrets would mean nothing to the model's user.
#
# ## Five trials do not choose a length scale


# %%
def lead(count: int, search: int) -> float:
    drawn = rng(300 + search).choice(N, count, replace=False)
    y = (table[drawn] - table[drawn].mean()) / table[drawn].std()
    processes = [GaussianProcess(settings[drawn], y, length_scale=scale, noise=1e-4)
                 for scale in (0.1, 0.2, 0.4, 0.8)]  # fmt: skip
    return np.diff(sorted(process.log_marginal() for process in processes))[-1]


five, twenty = (np.mean([lead(n, k) for k in range(searches)]) for n in (5, 20))
claim("five_say_little", "five random trials: lead of the likeliest length scale, mean",
      five, at_most=1.2, unit="nats")  # fmt: skip
claim("twenty_say_more", "twenty random trials: lead of the likeliest length scale, mean",
      twenty, at_least=1.8, unit="nats")  # fmt: skip

# %% [markdown]
# The lead is that over the next best length scale, in log likelihood. Half a nat is a ratio of likelihoods of 1.6: hardly more than a guess. Four nats are a ratio of 55. That is why
# the scales to choose from, or a prior over them, matter most at the start.
#
# ## With the sign turned, the search runs to a corner
#
# A snippet on this topic defines $-x_1^2 - x_2^2$ on $[-10, 10]^2$, to be maximized, and hands it to a library that *minimizes*. Both signs,
# on a grid of 41 × 41:

# %%
square = np.linspace(-10, 10, 41)
plane = np.stack(np.meshgrid(square, square), axis=-1).reshape(-1, 2)
bowl, ends = (plane**2).sum(axis=1), []
for losses in (bowl, -bowl):
    first = rng(7).choice(len(plane), 5, replace=False)
    tried, seen = minimize(losses.item, (plane + 10) / 20, first, 25)
    ends.append(plane[tried[np.argmin(seen)]])
print("minimizing the bowl:", ends[0], "  minimizing its negative:", ends[1])

# %%
claim("center", "minimizing a bowl: the best trial's larger coordinate, absolute",
      abs(ends[0]).max(), at_most=1)  # fmt: skip
claim("corner", "minimizing its negative: the best trial's smaller coordinate, absolute",
      abs(ends[1]).min(), at_least=9)  # fmt: skip

# %% [markdown]
# Nothing crashes, and the best value improves from trial to trial; it is only the wrong end. Negate an accuracy before you minimize it.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"It searches globally, so it avoids local optima."** It has seen only its trials. Take $\cos 6\pi x$ on $[0, 1]$ and try 0, ⅓, ⅔ and 1: four equal losses.
# The most likely of our length scales is then the longest, and the process is nearly certain of a plain, where the function
# falls by 2 in between. EI recovers here, but on an interval no finite number of trials gives a guarantee.
#
# **"The run diverged, so I left it out."** Then the process keeps its prior there, doubt stays high, and the next proposal may lie a step
# beside the cliff. Record the failure at a bad, finite value, as the table did with $\log 27$. With the raw loss of $10^6$ instead, all
# good runs would look the same after scaling.
#
# **"The best trial's loss is what we will get."** The lowest of many noisy losses is low partly by luck, [the more so the more
# trials](hpo_random_halving). Let the process fit the noise, choose the
# setting with the lowest posterior mean, and run it again with fresh seeds and data.
#
# **"We let it tune fifteen hyperparameters in thirty trials."** Two random points of a 15-dimensional unit cube are about
# $\sqrt{15/6} \approx 1.6$ apart. With our kernel and a length scale of half the range, their losses correlate by 0.02. Unless only a few axes matter or length
# scales are longer, thirty trials leave the process at its prior nearly everywhere.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why Cholesky, and why is there noise on the diagonal of a deterministic objective?
# $K$ is symmetric and positive definite, so the factor is the cheapest stable way to solve with it, and the determinant comes for free. Trials
# close together make two rows nearly equal, and rounding can push an eigenvalue below zero; $10^{-6}$ to $10^{-4}$ on the diagonal prevents
# that. Fitting costs $O(N^3)$, each prediction $O(N^2)$: nothing beside a training run.
# :::
#
# :::{dropdown} What changes when the losses are noisy?
# The noise variance goes on the diagonal and is fitted with the length scale. "Best so far" is then itself unknown; a common plug-in is the lowest posterior mean at a tried
# setting. {cite:t}`frazier2018tutorial` derives EI for noise properly.
# :::
#
# :::{dropdown} EI, probability of improvement, confidence bound, Thompson sampling?
# Probability of improvement, $\Phi(z)$, ignores by how much and so stays close to the best trial. A lower confidence bound, $\mu - \beta\sigma$, makes the
# trade explicit in $\beta$. Thompson sampling draws a function from the posterior and tries its minimum, which is easy to run in parallel.
# :::
#
# :::{dropdown} What does Optuna do by default?
# TPE: it models which settings good and bad trials had {cite:p}`bergstra2011algorithms`, as [the page on random search](hpo_random_halving) shows.
# Categories and conditional settings fit in easily; a Gaussian process needs a kernel for them. By default each hyperparameter
# is modeled alone, so interactions are missed.
# :::
#
# :::{dropdown} How do you run eight trials at once?
# Choose one, pretend that it came out as predicted, condition on that, and choose the next. Or maximize the expected
# improvement of the batch, or draw eight Thompson samples.
# :::
#
# :::{dropdown} And with many dimensions?
# Success is reported mostly up to about 20 {cite:p}`frazier2018tutorial`. A length scale for each axis lets unimportant axes fade; TuRBO models
# only trust regions around good trials {cite:p}`eriksson2019scalable`. Distances grow like $\sqrt D$, and a prior under which length scales
# grow likewise helps much on its own {cite:p}`hvarfner2024vanilla`.
# :::
#
# :::{dropdown} Does it win outside of toy tables?
# In a challenge on tuning classical models, with hidden test problems, surrogate-based methods clearly beat random search
# {cite:p}`turner2021bayesian`.
# :::
#
# :::{dropdown} Can it stop bad runs early?
# Not by itself. BOHB lets a model propose the settings and Hyperband decide how long each runs {cite:p}`falkner2018bohb`.
# :::
#
# :::{dropdown} Would you tune a large language model's learning rate like this?
# Twenty full runs are out of reach. Tune a small proxy, and transfer: with µP the best learning rate carries over to greater width
# {cite:p}`yang2022tensor`.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} expected_improvement
# ```

# %%
import numpy as np


def expected_improvement(
    mean: np.ndarray, sd: np.ndarray, best: float, minimize: bool = True
) -> np.ndarray:
    """How far a normal draw beats best, on average; 0 where it does not.

    mean, sd: of one shape, float32 or float64; sd is at least 0.
    Returns an array of that shape and dtype.
    """
    raise NotImplementedError


check("expected_improvement", expected_improvement)

# %% [markdown]
# ```{solution} expected_improvement
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`rasmussen2006gaussian`: the posterior, algorithm 2.1, and the marginal likelihood.
# - {cite:t}`jones1998efficient`: expected improvement. {cite:t}`snoek2012practical`: for hyperparameters, with this kernel.
# - {cite:t}`frazier2018tutorial`: a tutorial. {cite:t}`bergstra2011algorithms`: TPE.
# - {cite:t}`turner2021bayesian`: against random search. {cite:t}`forrester2008engineering`: the function with two valleys.
