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
#     question_zh: 语言模型中的学习率调度是什么？
#     short: Learning-rate schedules
#     source: L25
#     tasks:
#     - wsd_factor
# ---

# %% [markdown]
# # Warmup, cosine, WSD: what does learning-rate decay buy?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# A schedule multiplies the peak learning rate, update by update. Warm up first: Adam's first update has full size however
# noisy the gradient. At a constant rate, mini-batch noise keeps the weights bouncing, further at a higher rate; decay lets
# them settle. Training loss falls as well, so it is not there against overfitting. A cosine must know its last update in
# advance. With warmup–stable–decay, WSD, one trunk at a constant rate can be decayed whenever a model is wanted.
#
# :::{dropdown} The two-minute answer
# An update is $\theta_{t+1} = \theta_t - \eta\, m(t)\, u_t$, with the peak rate $\eta$, the multiplier $m(t)$ and the
# optimizer's direction $u_t$. Two things happen at once. Along directions of low curvature the model still has far to go,
# and the ground it covers grows with the sum of all rates. Across directions of high curvature it arrived long ago, and noisy
# gradients throw it back and forth, in proportion to the current rate. A high rate serves the first, a low one
# the second; so go high first, and low at the end.
#
# Cosine falls all the way from the peak to 0, or to a tenth of it, and depends on the total from its first update on. WSD
# holds the peak and falls over the last 10 to 20 %; before the fall it is the same for every total. The inverse square
# root needs no total either, but never gets low. One-cycle is a long warmup and a cosine.
#
# Three other ways to less noise are larger batches, an average of the weights, and a lower constant rate. The last
# one pays with ground. And each schedule has a best peak of its own: compare them tuned.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: the rate is a function of the update, not of the epoch: warmup, then a decay.
# - Junior: what a constant rate lacks: its noise stays, in proportion to the rate.
# - Mid: writes warmup plus cosine or WSD from memory, and says which update has the multiplier 0.
# - Mid: Adam's first update is the rate times the gradient's sign, so its size says nothing about certainty.
# - Mid: training loss falls with the decay as well; it does not work by limiting the fit.
# - Senior: WSD keeps one trunk for every length, cosine needs a run for each; each must be compared at its own best peak.
# - Senior: separates less noise from more learning: average undecayed weights, or take the noise away.

# %% tags=["hide-input"]
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, seed, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam
from lmprep.training.schedules import cosine, inverse_sqrt, linear_warmup, plateau, wsd

device = setup()

# %% [markdown]
# ## A model planned for update 500 is wanted at 250
#
# A small network reads eight characters of English and predicts the ninth. Adam trains it on batches of 32 such windows, none used
# twice. The plan was 500 updates; now somebody wants a good model at update 250, and still the one at 500.
#
# A cosine is planned for one end, so it takes two runs. WSD takes one run at a constant rate, the *trunk*, and two
# *branches*: at updates 200 and 400 the weights and Adam's averages are copied, and the copy goes on with the next batches
# while its rate falls in a straight line to 0. All share one peak, 0.01: of five tried on validation text, it lies between the best
# for WSD and the best for the cosine. A last run holds two fifths of it, about where a constant rate does best. The
# rows *8 B* take the last fifth in batches of 256. The losses are on new text.

# %%
# Try: peak = 0.003. Now noise is small beside the ground still to cover. The cosine, which
# covers least, ends above the constant rate, and the thesis breaks.
peak, tail, lengths, batch_size, warmup = 0.01, 0.2, (250, 500), 32, 20

corpus = english_text()
texts = {name: normalize_text(" ".join(corpus[name]["text"])) for name in ("train", "test")}
vocabulary = CharVocabulary.from_text(texts["train"] + texts["test"])
V = len(vocabulary)
ids = [torch.tensor(vocabulary.encode(text), device=device) for text in texts.values()]
windows, unseen = ids[0].unfold(0, 9, 1), ids[1].unfold(0, 9, 1)  # (N, 9): eight, and the ninth
order = torch.randperm(len(windows), generator=generator(1))
batches = order[: lengths[-1] * batch_size].view(-1, batch_size)  # (updates, B)
wide = order[-100 * 8 * batch_size :].view(100, -1)  # (100, 8 B), none in `batches`
new = unseen[torch.randperm(len(unseen), generator=generator(2))[:3000]]


# %%
def start(rate: float) -> tuple[nn.Module, Adam]:
    torch.manual_seed(seed(3))  # the same weights for all
    hidden = [nn.Linear(8 * 16, 128, bias=False), nn.Tanh(), nn.Linear(128, V, bias=False)]
    model = nn.Sequential(nn.Embedding(V, 16), nn.Flatten(), *hidden).to(device)
    return model, Adam(model.parameters(), lr=rate, betas=(0.9, 0.99))


def loss_on(model: nn.Module, ids: Tensor) -> Tensor:  # ids (B, 9)
    return nn.functional.cross_entropy(model(ids[:, :-1]), ids[:, -1])


def weights_of(model: nn.Module) -> Tensor:
    return parameters_to_vector(model.parameters()).detach()


# Go on from `state`, after `first` updates, until there are `last`. `watch` sees the model before each.
def train(schedule, last, state=None, first=0, rate=peak, stock=batches, watch=lambda model: 0):
    model, adam = start(rate) if state is None else copy.deepcopy(state)

    def batch(step: int) -> Tensor:
        watch(model)
        return windows[stock[(first + step) % len(stock)]]

    log = fit(model, batch, loss_on, optimizer=adam, num_steps=last - first, eval_every=25,
              schedule=lambda step: schedule(first + step),
              evaluate=lambda m: loss_on(m, new[:1000]).item())  # fmt: skip
    trace = [(first + r.step, r.learning_rate / peak, r.eval_loss) for r in log.records]
    return (model, adam), trace


states, curves, path = {}, {("constant", 500): []}, []


def keep(model: nn.Module) -> None:  # the trunk's weights before each update
    path.append(weights_of(model))


hold, trunk, made = linear_warmup(warmup), None, 0
for length in lengths:
    first = length - round(tail * length)
    ready, before_branch = train(hold, first, trunk, made, watch=keep)
    trunk, beside_branch = train(hold, length, ready, first, watch=keep)
    curves["constant", 500] += before_branch + beside_branch
    mean, _ = start(peak)
    vector_to_parameters(torch.stack(path[first:]).mean(dim=0), mean.parameters())
    states["constant", length], states["averaged", length], made = trunk, (mean, None), length
    plans = {"WSD": (wsd(length, warmup=warmup, decay=length - first), length, ready, first),
             "cosine": (cosine(length, warmup=warmup), length)}  # fmt: skip
    for name, plan in plans.items():
        states[name, length], curves[name, length] = train(*plan)
    curves["WSD", length].insert(0, before_branch[-1])
states["lower rate", 500], _ = train(hold, lengths[-1], rate=0.4 * peak)
states["8 B, held", 500], _ = train(hold, length, ready, first, stock=wide)
states["8 B, WSD", 500], _ = train(plans["WSD"][0], length, ready, first, stock=wide)
found = {key: loss_on(model, new).item() for key, (model, _) in states.items()}
for (name, length), loss in found.items():
    print(f"{name:<11}{length:4} updates: {loss:.3f} nats")

# %% mystnb={"image": {"alt": "Two panels against the update, 0 to 500. Top, the multiplier: the constant trunk rises and stays at 1, two branches fall from it in straight lines and reach 0 at updates 250 and 500, as do two cosines, which fall from the start. Bottom, loss on new text: the trunk's jagged curve lies highest; each branch drops steeply from it and ends close to the cosine that was planned for its length."}} tags=["hide-input"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True, height_ratios=(2, 3))
for (name, length), trace in curves.items():
    style = {"color": {"constant": "C6", "WSD": "C1", "cosine": "C0"}[name]}
    step, rate, loss = np.array(trace, dtype=float).T  # a loss that was not measured is NaN
    measured, label = np.isfinite(loss), name if length == 500 else "_"
    top.plot(step, rate, **style)
    bottom.plot(step[measured] + 1, loss[measured], "o-", markersize=3, label=label, **style)
top.set(title="Branches of one trunk end where planned cosines end", ylabel="multiplier")
bottom.set(xlabel="update", ylabel="loss on new text (nats)", xlim=(0, 500), ylim=(None, 3))
label_lines(bottom)
plt.show()


# %%
def gain(name: str, length: int) -> float:
    return found["constant", length] - found[name, length]


claim("one_trunk", "gain of decaying only the last fifth over a cosine's gain, lower of two lengths",
      min(gain("WSD", n) / gain("cosine", n) for n in lengths), at_least=0.5, thesis=True)  # fmt: skip
claim("lower_rate", "new text: loss at two fifths of the rate, held constant, minus loss after WSD",
      gain("WSD", 500) - gain("lower rate", 500), at_least=0.03, unit="nats")  # fmt: skip
claim("settles", "gain of averaging the last fifth over gain of decaying it, lower of two lengths",
      min(gain("averaged", n) / gain("WSD", n) for n in lengths), at_least=0.6)  # fmt: skip
claim("noise_is_why", "last fifth in batches eight times as large: loss with the decay minus without",
      found["8 B, WSD", 500] - found["8 B, held", 500], at_least=0.03, unit="nats")  # fmt: skip

# %% [markdown]
# Each branch wins most of what its cosine wins, and the trunk never had to know when it would end. A lower constant
# rate beats the peak held to the end, and loses to the peak decayed.
#
# The rows *averaged* hint at what the decay does. They take the mean of the trunk's weights over the last fifth, *not one of
# them from an update at a lower rate*, and it is about as good as the decayed model, or better. So the decayed model need not have
# learned anything that the trunk had not. The trunk's weights were scattered around a better place; averaging finds it, and so
# does a falling rate.
#
# An average might help for other reasons, so remove the suspected cause. In the rows *8 B* the gradients of the last fifth have an
# eighth of the variance. Now the decay costs: where there is little noise to lose, a lower rate only
# covers less ground.
#
# ## In a noisy bowl, ground and noise can be computed apart
#
# Take the loss $L(x) = \frac12 \sum_i \lambda_i x_i^2$ with 200 curvatures $\lambda_i$ between 0.003 and 1, start at
# $x_i = 1$, and let SGD see the gradients $\lambda_i x_i + \sqrt{\lambda_i}\,\sigma\,\varepsilon$ with fresh standard normal
# $\varepsilon$: noise that is larger where the curvature is, as in least squares with noisy labels. With the rate $\eta_t$ at
# update $t$, the mean $\mu_i$ and the variance $v_i$ of $x_i$ follow exactly
#
# $$
# \begin{aligned}
# \mu_i &\leftarrow (1 - \eta_t \lambda_i)\, \mu_i, \\
# v_i &\leftarrow (1 - \eta_t \lambda_i)^2\, v_i + \eta_t^2 \lambda_i \sigma^2 .
# \end{aligned}
# $$
#
# The expected loss is the sum of $\frac12 \sum_i \lambda_i \mu_i^2$, the *ground* still to cover, and $\frac12 \sum_i \lambda_i v_i$,
# the *noise*. At a constant rate $v_i$ settles where both sides are equal, at $\eta \sigma^2 / (2 - \eta \lambda_i)$: about half of
# $\eta \sigma^2$, however long one trains. No random number is drawn; each schedule is also given the best of ten peaks.

# %%
T, curvature, sigma2 = 1000, np.logspace(-2.5, 0, 200), 0.1
peaks = np.array([0.02, 0.04, 0.08, 0.12, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5])  # stable below 2


def bowl(schedule, peaks: np.ndarray, updates: int = T) -> tuple[np.ndarray, np.ndarray]:
    """Ground and noise after the updates: (peaks,) each."""
    mean, variance = np.ones((len(peaks), 200)), np.zeros((len(peaks), 200))
    for step in range(updates):
        rate = peaks[:, None] * schedule(step)
        shrink = 1 - rate * curvature
        mean, variance = mean * shrink, variance * shrink**2 + rate**2 * curvature * sigma2
    return mean**2 @ curvature / 2, variance @ curvature / 2


schedules = {"constant": linear_warmup(0), "inverse root": inverse_sqrt(warmup=0, timescale=100),
             "WSD": wsd(T, decay=T // 5), "cosine": cosine(T)}  # fmt: skip
print("peak 0.5:         ground    noise   best peak: loss there")
tuned, ground = {}, {}
for name, schedule in schedules.items():
    ground[name], noise = bowl(schedule, peaks)
    loss, half = ground[name] + noise, peaks == 0.5
    tuned[name] = loss.min()
    print(f"{name:<16}{ground[name][half].item():8.4f}{noise[half].item():9.3f}"
          f"{peaks[loss.argmin()]:12.2f}{tuned[name]:12.3f}")  # fmt: skip

floor = (curvature * 1.5 * sigma2 / (2 - 1.5 * curvature)).sum() / 2
agrees("noise_floor", "the closed form above, rate 1.5",
       bowl(linear_warmup(0), peaks[-1:], 4000)[1].item(), floor, atol=1e-12)  # fmt: skip

# %%
claim("best_peaks", "noisy bowl, each at its best peak: loss at a constant rate over loss with WSD",
      tuned["constant"] / tuned["WSD"], at_least=1.6, unit="×")  # fmt: skip
claim("no_noise_no_gain", "bowl without noise, peak 0.5: loss with WSD over loss at a constant rate",
      ground["WSD"][half] / ground["constant"][half], at_least=1.2, unit="×")  # fmt: skip

# %% [markdown]
# The column *ground* is also the loss that each would reach without noise, and there every decay loses: it covers less ground. With noise the
# order turns over, also when each schedule has its best peak, which is higher for those that end low. Here the cosine beats WSD,
# whose fall over a fifth is short for so many flat directions. Language models are kinder: {cite:t}`hagele2024scaling` find
# the two about equal.
#
# ## With warmup, the first update does nothing

# %%
show(linear_warmup, cosine)

# %%
plans = {"linear_warmup": linear_warmup(4), "cosine": cosine(10, warmup=4),
         "wsd": wsd(10, warmup=4, decay=2), "inverse_sqrt": inverse_sqrt(warmup=4)}  # fmt: skip
for name, schedule in plans.items():
    print(f"{name:<14}", *(f"{schedule(step):4.2f}" for step in range(11)))

knots = np.interp(range(1100), [0, 100, 800, 1000], [0, 1, 1, 0])
agrees("four_corners", "numpy.interp", [wsd(1000, warmup=100, decay=200)(s) for s in range(1100)],
       knots, atol=1e-15)  # fmt: skip

# %% [markdown]
# Ten updates, of which four warm up and, in WSD, two decay. They count from 0, so the run ends with the tenth column. A warmup over $W$ updates has the multiplier $t/W$:
# its first batch is computed and thrown away. A decay to 0 at update 10 is not finished by the last one, number 9. Transformers' schedulers count
# like this, and ours equal them at every update. With `schedule(step + 1)` the first batch counts and the last is
# lost. PyTorch's `OneCycleLR`, the library's `one_cycle`, has both ends inside the run, and takes its last update at 1/250,000
# of the peak.
#
# ## Adam's first update is all certainty
#
# With bias correction, Adam's first step in a coordinate with gradient $g$ is $\eta\, g / (|g| + \epsilon)$: the full rate, unless
# $g$ is as tiny as $\epsilon$. Later it is $\eta\, \hat m / (\sqrt{\hat v} + \epsilon)$, with the averages $\hat m$ of $g$ and $\hat v$ of
# $g^2$: a gradient that keeps changing its sign has a small $\hat m$, and takes small steps. How many of the first
# steps go uphill, by the gradient of 4,000 windows?

# %%
before, (model, _) = weights_of(start(peak)[0]), start(peak)
step = (before - weights_of(train(linear_warmup(0), 1)[0][0])) / peak
many = loss_on(model, windows[batches[:125].flatten()])
slope = parameters_to_vector(torch.autograd.grad(many, model.parameters()))
moved = step != 0  # all but the embeddings of characters that the batch lacks
late = (path[400] - path[401]).abs().median() / peak
print(f"median step / rate: first {step[moved].abs().median():.3f}, late {late:.3f}")

# %%
uphill = (step.abs() > 0.99) & (step * slope < 0)
claim("full_size_uphill", "Adam's first update: share of moved weights that go a full step uphill",
      uphill[moved].double().mean(), at_least=0.15)  # fmt: skip

# %% [markdown]
# Full steps everywhere, a good part of them wrong: warmup makes them small. That is not its whole use.
# {cite:t}`kalra2024why` find that its main benefit is to tolerate higher peaks, with SGD as with Adam, since the early
# updates lead to regions of lower curvature.
#
# ## On repeated text, the decay fits the training windows closer
#
# If decay worked against overfitting as dropout does, it would give up some fit to the training data. So train four passes
# over the same 4,000 windows, with and without a decay in the last fifth.

# %%
few, repeated = batches[:125], {}
ready, _ = train(hold, 400, stock=few)
for name, schedule in {"constant": hold, "WSD": wsd(500, warmup=warmup, decay=100)}.items():
    (model, _), _ = train(schedule, 500, ready, 400, stock=few)
    repeated[name] = [loss_on(model, ids).item() for ids in (windows[few.flatten()], new)]
    print("{:<8}  trained on: {:.3f}  new text: {:.3f}".format(name, *repeated[name]))

# %%
claim("closer_fit", "four passes over the same windows: training loss at a constant rate minus with WSD",
      repeated["constant"][0] - repeated["WSD"][0], at_least=0.05, unit="nats")  # fmt: skip

# %% [markdown]
# Both losses end lower with the decay. Noise in the weights costs on any text, here on new text more than on the
# windows just fitted; no fit is given up for it.
#
# A decay that answers to overfitting is a rule like Keras's `ReduceLROnPlateau`: after five passes in a row without a better
# validation loss, halve the rate. It needs a validation loss, and repeated passes. Here it gets ten passes over 960 windows:

# %%
show(plateau)


# %%
def ten_passes(rule) -> list[float]:  # the loss on new text after each
    (model, adam), losses = start(peak), []

    def validate(model: nn.Module) -> float:
        losses.append(loss_on(model, new).item())
        return losses[-1]

    fit(model, lambda step: windows[few[step % 30]], loss_on, optimizer=adam, num_steps=300,
        schedule=lambda step: rule(losses), evaluate=validate, eval_every=30)  # fmt: skip
    return losses


ruled, free = ten_passes(plateau), ten_passes(lambda losses: 1.0)
print(f"with the rule, × {plateau(ruled)} at the end:", *(f"{loss:5.2f}" for loss in ruled))
print("at a constant rate:             ", *(f"{loss:5.2f}" for loss in free))

# %%
claim("little_saved", "of the rise that the constant rate ends with, the share that the rule prevents",
      (free[-1] - ruled[-1]) / (free[-1] - min(free)), at_most=0.4)  # fmt: skip

# %% [markdown]
# In ten passes the rule can cut at most once: the first pass always sets a best loss, so five without a better one end with
# the sixth at the earliest, and the next five with the eleventh. At the cut, the loss on new text has been rising for passes, and it
# goes on rising, only more slowly than without the rule. The best model was there early; *early stopping* keeps it. A large
# corpus read once has no passes to count.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"We decay the learning rate to avoid overfitting."** Test error does drop at each cut of the rate in the famous plots of
# residual networks {cite:p}`he2016deep`. The thin curves in the same plots are training error, and they drop at the same updates.
#
# **"Warmup is there because Adam's averages start at zero and are biased."** Dividing by $1 - \beta^t$ removes that bias from the
# first update on. What remains is variance: after one batch, $\hat v$ is one squared sample {cite:p}`liu2020variance`.
#
# **"I set 2,000 warmup steps and call `scheduler.step()` after each epoch."** Then the warmup takes 2,000 epochs, and in a
# run of three the rate stays at 0, 0.05 and 0.1 % of the peak. A sibling: with four accumulated batches per update, a total
# counted in batches is four times too long, and a cosine ends at $\frac12(1 + \cos\frac\pi4) = 0.85$ of the peak.
#
# **"The cosine is done, but the loss still falls, so I train on with the same scheduler."** In transformers that cosine goes on
# beyond its end: a quarter of the run later the multiplier is $\frac12(1 + \cos\frac{5\pi}4) = 0.15$, after a whole one it is back at 1. PyTorch's
# `CosineAnnealingLR` climbs as well. The `cosine` above stays at the floor.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} How long a decay, and of what shape?
# For MiniCPM 10 % of the tokens sufficed and 2.5 % did not {cite:p}`hu2024minicpm`. {cite:t}`hagele2024scaling` use up to 20 % and find
# $1 - \sqrt{\text{progress}}$ better than a straight line: it leaves the peak quickly and spends more updates at low rates. Many labs put their best data into the decay.
# :::
#
# :::{dropdown} Must the cosine's length match the run?
# Yes. {cite:t}`hoffmann2022training` saw losses worsen when the cycle overshot the run by more than 25 %, since the rate is
# still high at the end. They suspected that earlier scaling laws asked for too little data for this reason;
# {cite:t}`porian2024resolving` found others: counting the last layer's cost, too long a warmup, and untuned optimizers.
# :::
#
# :::{dropdown} Decay to zero or to 10 %?
# A floor of 10 % was the habit of many large runs. It leaves a tenth of the noise, by the formula above, which matters if the model is used
# as it is; if training goes on, a rate above zero is where it resumes.
# :::
#
# :::{dropdown} Could larger batches replace the decay?
# Largely: they lower the noise instead of the rate. {cite:t}`smith2018dont` get the same curves per epoch with fewer
# updates, which pays if the hardware can use the larger batch.
# :::
#
# :::{dropdown} And averages instead of a schedule?
# Schedule-free optimizers take gradients between the running point and its average, and return the average
# {cite:p}`defazio2024road`: no total needed. Plain averages along the trunk are a cheap look at what
# a decay would give {cite:p}`hagele2024scaling`.
# :::
#
# :::{dropdown} How long a warmup?
# Long enough that nothing spikes: one to a few percent of a long run, often 2,000 updates. It grew up with large batches
# {cite:p}`goyal2017accurate`, whose rate, scaled up with the batch, is too high for the first weights.
# :::
#
# :::{dropdown} Does the best peak carry over to a larger model?
# Not by itself: with standard parametrization it falls with width. µP rescales initialization and rates per layer so that a
# small model's best peak serves a wider one {cite:p}`yang2022tensor`.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} wsd_factor
# ```


# %%
def wsd_factor(step: int, total: int, warmup: int, decay_frac: float) -> float:
    """The multiplier at a step: warmup, then 1, then down to 0 at step total."""
    raise NotImplementedError


check("wsd_factor", wsd_factor)

# %% [markdown]
# ```{solution} wsd_factor
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`loshchilov2017sgdr`: the cosine. {cite:t}`goyal2017accurate`: gradual warmup. {cite:t}`smith2019super`: one-cycle.
# - {cite:t}`hu2024minicpm`: WSD. {cite:t}`hagele2024scaling`: its decay's length and shape, and averages.
# - {cite:t}`wen2025understanding`: WSD as a river between steep hills, which the bowl above simplifies.
# - {cite:t}`kalra2024why`, {cite:t}`liu2020variance`: what warmup does.
