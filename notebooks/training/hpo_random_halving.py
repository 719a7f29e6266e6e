# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs:
#     - adam_from_sgd
#     question_zh: 如何进行语言模型的超参数优化？
#     short: Random search and halving
#     source: S13
#     tasks:
#     - successive_halving
# ---

# %% [markdown]
# # Grid, random or successive halving: how do you spend 60 trials?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Sample at random, on a log scale where magnitudes matter. If one setting dominates, twenty-five random trials try
# twenty-five values of it, a five-by-five grid only five. Then do not train every trial to the end. Successive halving
# trains all a little, keeps, say, the best third and triples their budget. With learning rates from four decades, it usually beat four
# full runs at equal cost here, although it often dropped the eventual winner. The best of sixty looks too good on validation
# data, so report a test score.
#
# :::{dropdown} The two-minute answer
# A grid with $k$ values on each of $d$ axes costs $k^d$ trials and shows $k$ values of each setting. Random trials show a new
# value of every setting each time, which pays if few settings matter; where all matter equally, a grid is no worse. The trials are
# independent: none learns from another, all can run at once, and one can stop at any time.
#
# Successive halving with factor $\eta = 3$ trains $n$ configurations for $r$ steps, the best $n/3$ for $3r$ steps, and so on.
# Every rung costs about $nr$, so the price grows with the number of rungs, the logarithm of $n$. It needs a wide search and early losses that
# tell good from hopeless. A slow starter that would win late is dropped.
#
# Hyperband does not choose $r$. It runs one halving, called a bracket, for each first budget $R/\eta^s$, from many configurations
# cut early to a few trained to the end, at about equal cost. All brackets are paid for: the price of not knowing which is best.
#
# Choose by validation loss, never by the test set. The best of $n$ validation scores is partly luck, more so for large $n$ and small
# validation sets.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: random trials are independent, so nothing "improves iteratively"; a grid of $k$ values on $d$ axes costs $k^d$.
# - Junior: draws learning rate and decay on a log scale, and says what a linear scale does to the small values.
# - Mid: writes successive halving and counts its cost, with and without resuming paused runs.
# - Mid: compares searches at equal cost, chooses on validation data and reports test data.
# - Senior: says when early losses mislead, and what Hyperband's brackets hedge against at which price.
# - Senior: explains why the best of $n$ scores is optimistic, and what makes it more so.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import optuna
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV
from torch import Tensor

from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, seed, setup, show
from lmprep.practice import check
from lmprep.training import search

device = setup()

# %% [markdown]
# ## Twenty-five runs overnight, and five learning rates in the morning
#
# A colleague tunes learning rate and weight decay on a five-by-five grid. In the morning 25 runs are done. They have tried
# learning rates $10^{-5}, 10^{-4}, \dots, 10^{-1}$, each with five decays, and the decay hardly mattered. Nothing is known
# about rates between the powers of ten, and $k$ values on each of $d$ axes take $k^d$ runs, 125 with a third setting. Random search draws each
# trial independently, and tries 25 rates.

# %%
show(search.grid, search.loguniform)

# %% [markdown]
# `loguniform` draws the *logarithm* uniformly, so each decade gets the same share of the trials. A linear draw from
# $[10^{-5}, 10^{-2}]$ would put 90 % of them above $10^{-3}$.
#
# Do random trials pay? Let the best point be hidden somewhere in the square that the grid spans, and let the *regret*, the loss above the best possible,
# be $a^2 + w\,b^2$, where $a$ and $b$ say how many decades off rate and decay are. With $w = 0.01$ the rate decides; with
# $w = 1$ both count alike. Mean regret of the best of 25 trials, over 2,000 hidden points:

# %%
random, regret = rng(1), {}
square = search.grid({"rate": range(-5, 0), "decay": range(-6, -1)})  # log10
lattice = np.array([list(point.values()) for point in square])  # (25, 2)
hidden = random.uniform((-5, -6), (-1, -2), (2000, 1, 2))
scattered = random.uniform((-5, -6), (-1, -2), (2000, 25, 2))
for weight in (0.01, 1.0):
    for name, trials in (("grid", lattice), ("random", scattered)):
        each = (trials - hidden) ** 2 @ np.array([1, weight])  # (2000, 25)
        regret[name, weight] = each.min(axis=1).mean()
        print(f"w = {weight:<4}  {name:<6}  regret {regret[name, weight]:.3f}")

# %%
claim("one_setting_matters", "one of two settings matters: mean regret of random trials over the grid's",
      regret["random", 0.01] / regret["grid", 0.01], at_most=0.6)  # fmt: skip
claim("both_matter", "both settings matter alike: mean regret of random trials over the grid's",
      regret["random", 1.0] / regret["grid", 1.0], at_least=1.2)  # fmt: skip

# %% [markdown]
# If only the rate counts, the grid is off by anything up to half a decade, while the nearest of 25 random rates in four decades is
# much closer. Where both settings count alike, even spacing wins. {cite:t}`bergstra2012random` found that for most data sets only
# a few settings matter, and not the same ones.
#
# ## Every rung costs the same, so 27 networks cost as much as four
#
# Now a real search: networks that read 8 × 8 digits, with 64 inputs, 32 hidden units and 10 outputs. Each has its own learning rate,
# weight decay and momentum, drawn at random. All train side by side: weights get a first axis for the network, and the gradient of the summed
# losses gives each network its own. We train them *all* to the end and note their validation losses on the way, so that any search can be
# replayed and we know what it missed.

# %%
# Try: low, high = 0.05, 0.5. Within one decade nearly every network is decent and there is
# little to weed out: halving gains nothing over four full runs, and the thesis fails.
low, high, num_networks, full = 0.0005, 5.0, 108, 270  # learning rates; networks; updates

digits = load_digits()
images, labels = torch.tensor(digits.data).float() / 16, torch.tensor(digits.target)
order = torch.randperm(len(labels), generator=generator(1))
used, held_out = order[:400], order[400:]  # of the held out, 400 validate and 997 test


def train(settings: list, width: int = 32, num_steps: int = full) -> dict[int, Tensor]:
    return search.train_side_by_side(
        images[used], labels[used], settings, generator=generator(2), read_on=images[held_out],
        read_after=(10, 30, 90, 270), width=width, num_steps=num_steps)  # fmt: skip


def valid_losses(logits: Tensor) -> list[float]:  # (N, M, 10): one for each of N networks
    wanted = labels[held_out[:400]].expand(len(logits), -1)
    return F.cross_entropy(logits[:, :400].mT, wanted, reduction="none").mean(dim=1).tolist()


random = rng(2)
settings = [(search.loguniform(random, low, high), search.loguniform(random, 1e-6, 1e-2),
             random.uniform(0, 0.95)) for _ in range(num_networks)]  # fmt: skip
read = train(settings)  # after 10, 30, 90 and 270 updates: logits (N, M, 10)
valid = {step: valid_losses(logits) for step, logits in read.items()}
right = (read[full].argmax(dim=-1) == labels[held_out]).double().numpy()  # (N, M)
error = 100 * (1 - right[:, 400:].mean(axis=1))  # (N,) test error at the end, in %

# %% [markdown]
# Successive halving, the function that you will write below, starts with 27 networks for 10 updates. The best nine by validation loss go
# on to 30 updates in all, the best three of those to 90, the last one to 270:

# %%
budgets = {"min_budget": 10, "max_budget": full}
best, rungs = search.successive_halving(lambda i, steps: valid[steps][i], 27, **budgets)
for rung in rungs:
    print(f"{len(rung.indices):2} of 27 networks trained to {rung.budget:3} updates")
print(f"test error {error[best]:.1f} %, mean of all 27 {error[:27].mean():.1f} %")

# %% [markdown]
# A third of the networks for three times as long: each rung costs $27 \cdot 10 = 9 \cdot 30 = 3 \cdot 90 = 270$ updates, and all four rungs
# 1,080, the price of four full runs. If the networks that stay are paused and resumed, a rung only pays for its new updates:
# $27 \cdot 10 + 9 \cdot 20 + 3 \cdot 60 + 180 = 810$, three full runs.
#
# scikit-learn's halving, given an estimator that looks its losses up, must keep the same networks on each rung:


# %%
class Lookup(BaseEstimator):
    def __init__(self, index: int = 0, steps: int = 10) -> None:
        self.index, self.steps = index, steps

    def fit(self, X, y=None) -> "Lookup":
        return self

    def score(self, X, y=None) -> float:
        return -valid[self.steps][self.index]


halving = HalvingGridSearchCV(Lookup(), {"index": range(27)}, resource="steps", min_resources=10,
                              max_resources=full, cv=[([0], [1])], refit=False)  # fmt: skip
table = halving.fit([[0], [1]]).cv_results_
theirs = zip(table["n_resources"], table["param_index"].astype(int), strict=True)
ours = [(rung.budget, i) for rung in rungs for i in rung.indices]
agrees("survivors", "sklearn.model_selection.HalvingGridSearchCV", ours, sorted(theirs), atol=0)

# %% [markdown]
# ## For the price of four full runs, halving weeds out the hopeless
#
# One draw proves little, so draw 300 times from the 108 networks. (Draws share networks, so these are not 300 independent experiments.) Each
# time spend the price of about four full runs in several ways: halve 27 networks from 10 updates on, 12 from 30, or 6 from 90; or cut
# the 27 once, after 10 updates, to three that go to the end; or train four of them to the end, which is plain random search. Networks
# are chosen by validation loss and judged by their error on test images. For comparison, all 27 are also trained to the end.

# %%
first_cut = {"27 halved": 10, "12 halved": 30, "6 halved": 90, "4 others": full}  # updates
costs = [sum(n * budget for n, budget in rungs) / 27 for rungs in search.hyperband_brackets(27)]
price = dict(zip(first_cut, costs, strict=True))  # in full runs, each rung from the start
price |= {"27 cut to 3": 4, "4 to the end": 4, "all brackets": sum(costs), "27 to the end": 27}
random, sizes, found, dropped = rng(3), (1, 2, 3, 4, 6, 9, 14, 20, 27), {}, []


def choose(networks, first: int) -> int:
    """Halve these networks, first cut after `first` updates: the one that is left."""
    left, _ = search.successive_halving(lambda i, steps: valid[steps][networks[i]], len(networks),
                                        min_budget=first, max_budget=full)  # fmt: skip
    return networks[left]


for _ in range(300):
    drawn = np.split(random.choice(num_networks, 49, replace=False), (27, 39, 45))
    plans = zip(first_cut.items(), drawn, strict=True)
    picks = {name: choose(networks, first) for (name, first), networks in plans}
    picks["all brackets"] = choose(list(picks.values()), full)
    early = np.argsort(np.array(valid[10])[drawn[0]])[:3]  # the best three after 10 updates
    picks["27 cut to 3"] = choose(drawn[0][early], full)
    picks |= {f"{size} to the end": choose(drawn[0][:size], full) for size in sizes}
    dropped.append(picks["27 halved"] != picks["27 to the end"])
    for name, network in picks.items():
        found.setdefault(name, []).append(error[network])
errors = {name: np.array(each) for name, each in found.items()}  # (300,) each
for name, cost in price.items():
    mean, median = errors[name].mean(), np.median(errors[name])
    print(f"{name:<13} price {cost:5.2f}, test error {mean:5.2f} % (median {median:.2f} %)")

# %% mystnb={"image": {"alt": "Two panels. Top: validation loss of 27 networks against updates, from 10 to 270, both axes logarithmic. Colored lines end where halving drops a network, gray lines show how it would have gone on; one thick blue line reaches 270. Bottom: mean test error against the price in full runs. The line of random search falls steeply from about forty percent at one run to about ten at four, then slowly. At a price of about four, diamonds for halving from 27, 12 and 6 networks lie below that line."}} tags=["hide-input"]
_, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 6.6), height_ratios=(2, 3))
for i in range(27):
    color, width = ("C0", 3) if i == best else ("C4", 1)
    kept = [rung.budget for rung in rungs if i in rung.indices]
    curve = [valid[step][i] for step in valid]
    top.plot(list(valid), curve, color="#cccccc", linewidth=0.8, zorder=1)
    top.plot(kept, curve[: len(kept)], "o-", color=color, linewidth=width, zorder=width + 2)
line = [errors[f"{size} to the end"].mean() for size in sizes]
bottom.plot(sizes, line, "o-", color="C6")
bottom.text(2.2, line[1], "random search, all to the end", color="C6")
for name in ("27 halved", "12 halved", "6 halved", "all brackets"):
    bottom.plot(price[name], errors[name].mean(), "D", color="C1")
    bottom.text(0.93 * price[name], errors[name].mean(), name, color="C1", ha="right", va="top")
top.set(title="Halving stops most networks early (gray: how they go on)", xlabel="updates")
bottom.set_title("For four full runs, halving finds what random search needs many for")
bottom.set(xlabel="price in full runs", ylabel="mean test error, %")
for ax, ticks in ((top, list(valid)), (bottom, sizes)):
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(ticks, ticks)
    ax.minorticks_off()
top.set_yticks([0.1, 0.2, 0.5, 1, 2], [0.1, 0.2, 0.5, 1, 2])
bottom.set_yticks([5, 10, 20, 40], [5, 10, 20, 40])
top.set_ylabel("validation loss, nats")
plt.show()

# %%
gain = errors["4 to the end"] - errors["27 halved"]  # (300,)
lost = errors["27 halved"] - errors["27 to the end"]
claim("halving_at_equal_cost", "at equal cost: test error of the best of four full runs minus halving's, median",
      np.median(gain), at_least=0.3, unit="points", thesis=True)  # fmt: skip
claim("bad_luck", "at equal cost: test error of the best of four full runs minus halving's, mean",
      gain.mean(), at_least=1.5, unit="points")  # fmt: skip
claim("one_cut", "mean test error of one cut to three networks minus that of halving",
      (errors["27 cut to 3"] - errors["27 halved"]).mean(), at_most=0.6, unit="points")  # fmt: skip
claim("winner_dropped", "share of draws in which halving drops the network that would win at the end",
      np.mean(dropped), at_least=0.12)  # fmt: skip
claim("little_lost", "where it drops the winner: test error of the one left minus the winner's, mean",
      lost[dropped].mean(), at_most=1.5, unit="points")  # fmt: skip

# %% [markdown]
# In the typical draw halving beats the best of four full runs by a little. The mean gain is several times the median, because now and
# then none of the four is any good. What pays is that 10 updates tell the hopeless from the rest: a single cut to three networks
# does as well, and the later cuts bring nothing here. Early losses do not tell the best from the second best: in a good part of the
# draws halving drops the network that would have won, and what it keeps is then nearly as good. All of it hangs on a wide search.
# With rates from one good decade, as the cell with `# Try:` proposes, hardly a network is hopeless, and the gain is gone.
#
# ## Hyperband buys a ticket for every place to cut
#
# An early first cut looks at many networks and judges each by little. With slow starters that would mislead, and one cannot know
# beforehand. Hyperband {cite:p}`li2018hyperband` therefore makes several runs of halving, called *brackets*, which differ in the first cut. The first four
# rows of the table, 49 networks in all, are its brackets for $R = 27$. With $R$ the budget of one full run and
# $s_{\max} = \lfloor \log_\eta R \rfloor$, bracket $s$ starts with
#
# $$
# n = \left\lceil \frac{s_{\max} + 1}{s + 1}\, \eta^s \right\rceil \text{ configurations on } r = R\,\eta^{-s} \text{ each:}
# $$

# %%
for bracket in search.hyperband_brackets(81):
    cost = sum(n * budget for n, budget in bracket) / 81
    print(f"price {cost:.2f}:", *(f"{n:3} × {budget:<2g}" for n, budget in bracket))

# %% [markdown]
# This is the formula of the paper's algorithm 1, which Optuna follows. The paper's Table 1 starts the same five brackets with 81, 27, 9,
# 6 and 5, as if the fraction were rounded down before it is multiplied; HpBandSter does that. No bracket here costs
# more than $s_{\max} + 1 = 5$ full runs. All five are paid for, so the hedge costs about five times as much as knowing the best bracket.
#
# ## A width is a whole number, and a rate wants a log scale
#
# Libraries such as `bayes_opt` or Optuna {cite:p}`akiba2019optuna` replace the random draw by a model of what has worked. A search of width and learning
# rate needs four things from you: a width drawn as an integer (a continuous range proposes 296.97, which no layer takes),
# a log scale, an objective that *returns* its score, and validation data that are not the test.

# %%
optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(trial: optuna.Trial) -> float:
    width = trial.suggest_int("width", 8, 128, log=True)
    rate = trial.suggest_float("rate", low, high, log=True)
    return valid_losses(train([(rate, 1e-4, 0.9)], width, 30)[30])[0]


sampler = optuna.samplers.TPESampler(n_startup_trials=2, seed=seed(4))
study = optuna.create_study(sampler=sampler)
study.optimize(objective, n_trials=12)
print("width {width}, rate {rate:.3f}:".format(**study.best_params), f"{study.best_value:.3f}")

# %% [markdown]
# The first two trials are random. From then on the sampler splits past trials into good and bad, estimates how densely each kind
# lies where, and proposes points where the good outweigh the bad. These trials do learn from one another.
#
# ## The best of sixty looks better than it is
#
# A validation score is the true accuracy plus luck, and choosing the highest favors luck. Take $n$ fully trained networks,
# choose the best on 100 images, and score it on all other held-out images:

# %%
luck = {}
for size in (1, 5, 20, 60):
    scores = []
    for _ in range(300):
        image = random.permutation(right.shape[1])
        drawn = random.choice(num_networks, size, replace=False)
        winner = drawn[right[drawn][:, image[:100]].mean(axis=1).argmax()]
        scores.append([right[winner, image[:100]].mean(), right[winner, image[100:]].mean()])
    chosen, elsewhere = 100 * np.mean(scores, axis=0)
    luck[size] = chosen - elsewhere
    print(f"best of {size:2}: {chosen:5.1f} % where chosen, {elsewhere:5.1f} % elsewhere")
claim("winners_luck", "accuracy where chosen minus elsewhere: best of sixty networks minus a random one",
      luck[60] - luck[1], at_least=1, unit="points")  # fmt: skip

# %% [markdown]
# A network taken at random scores about the same on both. The best of 60 is also better elsewhere than the best of 5, so the search did pay, but
# its validation score promises too much. For equally good candidates with independent normal noise of standard deviation $\sigma$, the expected
# excess stays below $\sigma\sqrt{2\ln n}$. At 95 % accuracy 100 images give $\sigma = \sqrt{0.95 \cdot 0.05/100}$, 2.2 points, and 10,000
# images a tenth of that. Here candidates differ and share their images, which lowers the excess.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Random search improves the settings iteratively."** The best so far improves, as a maximum of more numbers does. The draws do not: trial
# 60 comes from the same distribution as trial 1. That is why all sixty can run at once, and why a crashed one costs nothing but itself.
#
# **"The number of brackets is `int(log(R) / log(eta)) + 1`."** On paper it is. In floating point
# `math.log(243) / math.log(3)` is 4.999999999999999, `int` makes it 4, and the bracket with the earliest cut is missing. Multiply
# whole numbers until they exceed $R$, as `hyperband_brackets` does.
#
# **"Our method beats the baseline by a point, each with its best settings."** It turned out that ours had been searched with 200
# trials, and the baseline ran with the settings of its paper. Part of that point is what choosing among 200 buys. Give both the same trials and the
# same validation data.
#
# **"We stop early anyway, so any learning-rate schedule will do."** A cosine planned for the full run is near its peak at the first rung, where noise hides differences;
# one planned for each rung's end cannot be resumed. A constant rate can, with the decay branched off, as on [the page on schedules](lr_schedules).

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} When does halving drop the wrong one, and how would you notice?
# When learning curves cross: low rates, long warmups and strong regularization start slowly and may end well. Train a few configurations to the end and correlate
# their ranks at the first rung with the final ones. If the correlation is weak, raise the first budget.
# :::
#
# :::{dropdown} What does ASHA change?
# Halving waits for the slowest run of a rung. ASHA promotes a configuration as soon as it is among the best $1/\eta$ of those that have finished its
# rung so far, and otherwise starts a new one, so no worker waits {cite:p}`li2020system`.
# :::
#
# :::{dropdown} Why 60 trials?
# A random trial lands in the best 5 % *of the space you sample from* with probability 0.05, so 60 miss it with $0.95^{60} = 0.046$, in any dimension. That says nothing
# about how good those 5 % are.
# :::
#
# :::{dropdown} How do several machines share one search?
# Random trials need only different seeds. Otherwise all workers read one store of trials: Optuna's `storage` is a database or a journal file
# on a shared disk, and each process opens the same study by its name. Run `.venv/bin/python examples/search.py --storage sqlite:///search.db`
# in two terminals, and both search for a tiny GPT's settings.
# :::
#
# :::{dropdown} Random, halving or Bayesian?
# A model says where to look next, halving how long to look. BOHB combines both {cite:p}`falkner2018bohb`. A model helps most with few, expensive
# trials that run one after another.
# :::
#
# :::{dropdown} The top two differ by 0.2 points. Which one?
# Train both again with several seeds: the seed alone may move the score by more. If they still tie, take the cheaper one.
# :::
#
# :::{dropdown} And for a language model that one can train once?
# Tune small models and extrapolate. With µP the best learning rate of a narrow model serves a wide one {cite:p}`yang2022tensor`; other choices, such as
# the number of tokens, are extrapolated with scaling laws, curves fitted to the best values at several small sizes.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} successive_halving
# ```

# %%
from collections.abc import Callable


def successive_halving(
    train_fn: Callable[[int, float], float], n: int, eta: int, r_min: float
) -> tuple[int, list]:
    """The configuration that is left, and (rung, indices, total budget) of each rung."""
    raise NotImplementedError


check("successive_halving", successive_halving)

# %% [markdown]
# ```{solution} successive_halving
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`bergstra2012random`: random search, and why few settings matter.
# - {cite:t}`jamieson2016nonstochastic`: successive halving. {cite:t}`li2018hyperband`: Hyperband. {cite:t}`li2020system`: ASHA.
# - {cite:t}`falkner2018bohb`: Hyperband with a model. {cite:t}`akiba2019optuna`: Optuna. {cite:t}`yang2022tensor`: µP.
# - {cite:t}`cawley2010overfitting`: overfitting in model selection, and the bias that it leaves.
