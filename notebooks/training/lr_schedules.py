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
# them settle. Loss falls on training and new text alike, so this is no cure for overfitting. A cosine must know
# its last update in advance. With warmup–stable–decay, WSD, one trunk at a constant rate is decayed whenever a model is wanted.
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
# - Mid: decay is no regularizer: training loss falls as well.
# - Senior: WSD keeps one trunk for every length, cosine needs a run for each; each must be compared at its own best peak.
# - Senior: separates less noise from more learning: average undecayed weights, or take the noise away.

# %% tags=["hide-input"]
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, seed, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam
from lmprep.training.schedules import (
    cosine,
    inverse_sqrt,
    linear_warmup,
    one_cycle,
    plateau,
    wsd,
)

device = setup()

# %% [markdown]
# ## A model planned for update 600 is wanted at 300
#
# A small network reads eight characters of English and predicts the ninth. It is trained by Adam on batches of 32 windows,
# none used twice. The plan was 600 updates; now somebody wants a good model at update 300, and the one at 600 as well.
#
# A cosine decays towards one end, so it takes two runs. WSD takes one run at a constant rate, the *trunk*, and two branches: at
# updates 240 and 480 the weights and Adam's averages are copied, and the copy goes on with the next batches, its
# rate falling in a straight line to 0 over the last fifth. All share one peak rate, the best of five for the cosine
# on validation text. A last run holds two fifths of the peak: would a lower constant rate do?

# %%
# Try: peak = 0.003. Now noise is small beside the ground still to cover. The cosine, which
# covers least, ends above the constant rate, and the thesis breaks.
peak, tail, lengths, batch_size, warmup = 0.01, 0.2, (300, 600), 32, 20

corpus = english_text()
texts = {name: normalize_text(" ".join(corpus[name]["text"])) for name in ("train", "test")}
vocabulary = CharVocabulary.from_text(texts["train"] + texts["test"])
V = len(vocabulary)
windows, unseen = (
    torch.tensor(vocabulary.encode(text), device=device).unfold(0, 9, 1)
    for text in texts.values()
)  # (N, 9): eight characters and the ninth
batches = torch.randperm(len(windows), generator=generator(1))[: lengths[-1] * batch_size]
batches = batches.view(-1, batch_size)  # (updates, B)
new = unseen[torch.randperm(len(unseen), generator=generator(2))[:3000]]
seen = windows[batches[: lengths[0], :10].flatten()]
branch_at = {length - round(tail * length): length for length in lengths}


# %%
def start(rate: float) -> tuple[nn.Module, Adam]:
    torch.manual_seed(seed(3))  # the same weights for all
    hidden = [nn.Linear(8 * 16, 128, bias=False), nn.Tanh(), nn.Linear(128, V, bias=False)]
    model = nn.Sequential(nn.Embedding(V, 16), nn.Flatten(), *hidden).to(device)
    return model, Adam(model.parameters(), lr=rate, betas=(0.9, 0.99))


def loss_on(model: nn.Module, ids: Tensor) -> Tensor:  # ids (B, 9)
    return F.cross_entropy(model(ids[:, :-1]), ids[:, -1])


def weights_of(model: nn.Module) -> Tensor:
    return parameters_to_vector(model.parameters()).detach()


# From update `first` on, until `last` updates are made. `watch` sees each state before its update.
def train(schedule, last, state=None, first=0, rate=peak, watch=lambda step, state: None):
    model, adam = start(rate) if state is None else copy.deepcopy(state)

    def batch(step: int) -> Tensor:
        watch(first + step, (model, adam))
        return windows[batches[first + step]]

    log = fit(model, batch, loss_on, optimizer=adam, num_steps=last - first, eval_every=20,
              schedule=lambda step: schedule(first + step),
              evaluate=lambda m: loss_on(m, new[:1000]).item())  # fmt: skip
    return model, (first, log.records)


path, copies = [], {}  # the trunk's weights before each update, and states to branch from


def keep(step: int, state: tuple[nn.Module, Adam]) -> None:
    path.append(weights_of(state[0]))
    if step in branch_at:
        copies[step] = copy.deepcopy(state)


def at(weights: Tensor) -> nn.Module:
    model, _ = start(peak)
    vector_to_parameters(weights, model.parameters())
    return model


models, curves = {}, {}
trunk, curves["constant", ""] = train(linear_warmup(warmup), lengths[-1], watch=keep)
path = torch.stack([*path, weights_of(trunk)])  # (601, weights)
for first, length in branch_at.items():
    key, planned = ("WSD", length), cosine(length, warmup=warmup)
    fall = wsd(length, warmup=warmup, decay=length - first)
    models["constant", length] = at(path[length])
    models["averaged", length] = at(path[first + 1 : length + 1].mean(dim=0))
    models[key], curves[key] = train(fall, length, copies[first], first)
    models["cosine", length], curves["cosine", length] = train(planned, length)
models["lower rate", lengths[-1]], _ = train(
    linear_warmup(warmup), lengths[-1], rate=0.4 * peak
)
found = {}
print("          updates   new text   trained on")
for (name, length), model in models.items():
    with torch.no_grad():
        found[name, length] = [loss_on(model, ids).item() for ids in (new, seen)]
    print("{:<10}{:7}{:11.3f}{:13.3f}".format(name, length, *found[name, length]))

# %% mystnb={"image": {"alt": "Two panels against the update, 0 to 600. Top, the multiplier: the trunk rises and stays at 1, two branches fall from it in straight lines and reach 0 at updates 300 and 600, as do two cosines, which fall from the start. Bottom, loss on new text: the trunk's jagged curve lies highest; each branch drops steeply from it and ends close to the cosine that was planned for its length."}} tags=["hide-input"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True, height_ratios=(2, 3))
for (name, length), (first, records) in curves.items():
    style = {
        "color": {"WSD": "C1", "cosine": "C0"}.get(name, "C6"),
        "label": f"{name} {length}",
    }
    top.plot(
        [first + r.step for r in records], [r.learning_rate / peak for r in records], **style
    )
    measured = [r for r in records if r.eval_loss is not None and first + r.step >= 60]
    x, y = [first + r.step + 1 for r in measured], [r.eval_loss for r in measured]
    bottom.plot(x, y, "o-", markersize=3, **style)
top.set(title="Branches of one trunk end where planned cosines end", ylabel="multiplier")
bottom.set(xlabel="update", ylabel="loss on new text (nats)", xlim=(0, lengths[-1]))
label_lines(bottom)
plt.show()


# %%
def gain(name: str, length: int, text: int = 0) -> float:  # text 0 is new, 1 trained on
    return found["constant", length][text] - found[name, length][text]


claim("one_trunk", "of what a cosine planned for the length gains over the constant rate, share that "
      "decaying the trunk gains, lower of two lengths",
      min(gain("WSD", n) / gain("cosine", n) for n in lengths), at_least=0.4, thesis=True)  # fmt: skip
claim("lower_rate", "new text: loss at two fifths of the rate, held constant, minus loss after WSD",
      gain("WSD", 600) - gain("lower rate", 600), at_least=0.03, unit="nats")  # fmt: skip
claim("both_texts", "gain by WSD's decay on windows trained on over that on new ones, lower of two",
      min(gain("WSD", n, 1) / gain("WSD", n) for n in lengths), at_least=0.5)  # fmt: skip
claim("settles", "averaging the trunk's weights over the last fifth, without decay: gain over that "
      "of decaying there, lower of two lengths",
      min(gain("averaged", n) / gain("WSD", n) for n in lengths), at_least=0.6)  # fmt: skip

# %% [markdown]
# The branches win most of what the cosines win, and the trunk never had to know when it would end. A lower constant
# rate is better than the peak held to the end, and worse than the peak decayed. Text that the model was trained on and text that it has never seen gain
# about alike, so the decay does not work by preventing overfitting.
#
# The row *averaged* says what it does. It takes the trunk's weights over the last fifth, *none of them from an
# update at a lower rate*, and their mean is at least as good as the decayed model. Nothing more had to be learned; the trunk's
# last weights were scattered around a good place, and the decay moved to its middle.
#
# ## In a noisy bowl, ground and noise can be computed apart
#
# Take the loss $L(x) = \frac12 \sum_i \lambda_i x_i^2$ with 200 curvatures $\lambda_i$ between 0.003 and 1, start at
# $x_i = 1$, and let SGD see gradients $\lambda_i x_i + \sqrt{\lambda_i}\,\sigma\,\varepsilon$ with fresh standard normal
# $\varepsilon$, the noise of least squares with noisy labels. With rate $\eta_t$, the mean $\mu_i$ and the variance
# $v_i$ of $x_i$ follow exactly
#
# $$
# \mu_i \leftarrow (1 - \eta_t \lambda_i)\, \mu_i, \qquad
# v_i \leftarrow (1 - \eta_t \lambda_i)^2\, v_i + \eta_t^2 \lambda_i \sigma^2 ,
# $$
#
# and the expected loss is $\frac12 \sum_i \lambda_i \mu_i^2$, ground still to cover, plus $\frac12 \sum_i \lambda_i v_i$, noise. At a
# constant rate $v_i$ settles at $\eta \sigma^2 / (2 - \eta \lambda_i)$: about half the rate times $\sigma^2$, however long one trains.

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
claim("short_tail", "noisy bowl, each at its best peak: loss with WSD over loss with a cosine",
      tuned["WSD"] / tuned["cosine"], at_least=1.4, unit="×")  # fmt: skip

# %% [markdown]
# Without noise every decay loses, because it covers less ground. With noise the order turns over, also when
# each schedule has its best peak; the decaying ones can afford higher peaks. Here the cosine beats WSD, whose fall over a
# fifth is too short for so many flat directions. Language models are kinder: {cite:t}`hagele2024scaling` find
# the two equal or WSD ahead.
#
# ## With warmup, the first update does nothing

# %%
show(linear_warmup, cosine)

# %%
plans = {"linear_warmup(4)": linear_warmup(4), "cosine(10, warmup=4)": cosine(10, warmup=4),
         "wsd(10, warmup=4, decay=2)": wsd(10, warmup=4, decay=2),
         "inverse_sqrt(warmup=4)": inverse_sqrt(warmup=4), "one_cycle(10)": one_cycle(10)}  # fmt: skip
for name, schedule in plans.items():
    print(f"{name:<28}", *(f"{schedule(step):5.2f}" for step in range(11)))

knots = np.interp(range(1100), [0, 100, 800, 1000], [0, 1, 1, 0])
agrees("four_corners", "numpy.interp", [wsd(1000, warmup=100, decay=200)(s) for s in range(1100)],
       knots, atol=1e-15)  # fmt: skip

# %% [markdown]
# Updates count from 0; the eleventh column is what an eleventh of ten updates would get. A warmup of $W$ has the multiplier $t/W$, so its first batch is thrown
# away, in transformers' schedulers too, to which these are equal at every step. A decay to 0 at `total` is
# not finished by the last update, number `total` − 1. `schedule(step + 1)` shifts both by one: the first update counts, the
# last is lost. PyTorch's `OneCycleLR` includes both ends and wastes neither.
#
# ## Adam's first update is all certainty
#
# With bias correction, Adam's first step in a coordinate with gradient $g$ is $\eta\, g / (|g| + \epsilon)$: the full rate, whatever
# the size. Later the step is $\eta\, \hat m / (\sqrt{\hat v} + \epsilon)$, where the averages $\hat m$ of $g$ and $\hat v$ of
# $g^2$ disagree if the gradient's sign keeps changing. Compare the first batch's signs with those of 4,000 windows:


# %%
before, (model, _) = weights_of(start(peak)[0]), start(peak)
step = (before - weights_of(train(linear_warmup(0), 1)[0])) / peak
many = loss_on(model, windows[batches[:125].flatten()])
slope = parameters_to_vector(torch.autograd.grad(many, model.parameters()))
moved = step != 0  # all but the embeddings of characters that the batch lacks
late = (path[480] - path[481]).abs() / peak
print(f"median step in units of the rate: first {step[moved].abs().median():.3f}, "
      f"update 480 {late.median():.3f}")  # fmt: skip
cold = loss_on(train(cosine(300), 300)[0], new).item() - found["cosine", 300][0]
print(f"cosine over 300 updates, loss without warmup minus loss with: {cold:+.3f}")

# %%
uphill = (step.abs() > 0.99) & (step * slope < 0)
claim("full_size_uphill", "Adam's first update: share of moved weights that go a full step uphill",
      uphill[moved].double().mean(), at_least=0.15)  # fmt: skip
claim("later_steps_shrink", "late in the trunk: median step in units of the rate",
      late.median(), at_most=0.6)  # fmt: skip

# %% [markdown]
# Full steps in all directions, a good part of them wrong, are what warmup makes small. This network shrugs them off: the last line is about
# zero. Deep Transformers may not, and {cite:t}`kalra2024why` find that the main benefit is to tolerate higher peaks,
# as the early updates lead to regions of lower curvature.
#
# ## A plateau rule: one cut in ten passes, and no cure
#
# Keras's `ReduceLROnPlateau` asks the validation loss: after five passes in a row without improvement, halve the rate. Nothing is
# scheduled ahead, so it has to be fed a validation loss. Here it gets one, in ten passes over 960 windows, a set small enough to memorize.


# %%
show(plateau)

# %%
few, losses = batches[:30], []
model, adam = start(peak)


def validate(model: nn.Module) -> float:
    losses.append(loss_on(model, new).item())
    return losses[-1]


log = fit(model, lambda step: windows[few[step % 30]], loss_on, optimizer=adam, num_steps=300,
          schedule=lambda step: plateau(losses), evaluate=validate, eval_every=30)  # fmt: skip
passes = log.records[29::30]
print("rate     ", *(f"{record.learning_rate:6.3f}" for record in passes))
print("new text ", *(f"{loss:6.2f}" for loss in losses))
print(f"windows trained on, in the end: {loss_on(model, windows[few.flatten()]).item():.2f}")

# %%
claim("no_cure", "plateau rule: last loss on new text minus the lowest of the ten passes",
      losses[-1] - min(losses), at_least=0.4, unit="nats")  # fmt: skip

# %% [markdown]
# The cut comes after most of the damage, and new text goes on getting worse, only more slowly. The best model is that of the first passes:
# keeping it, *early stopping*, is the regularizer here.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"We decay the learning rate to avoid overfitting."** It has a grain of truth: with image classifiers trained for many epochs, test error
# drops at each cut of the rate, and papers show it. Look at the training error in the same plots: it drops too. Weight decay,
# dropout and early stopping restrain the fit; a decay completes it.
#
# **"Warmup is there because Adam's averages start at zero and are biased."** Dividing by $1 - \beta^t$ removes that bias from the
# first update on. What remains is variance: after one batch, $\hat v$ is one squared sample {cite:p}`liu2020variance`.
#
# **"I set 2,000 warmup steps and call `scheduler.step()` after each epoch."** Then the warmup takes 2,000 epochs, and in a
# run of three the rate never passes 0.15 % of the peak. A sibling: with four accumulated batches per update, a total
# counted in batches is four times too long, and a cosine ends at $\frac12(1 + \cos\frac\pi4) = 0.85$ of the peak.
#
# **"The cosine is done, but the loss still falls, so I train on with the same scheduler."** In transformers that cosine goes on
# beyond its end: a quarter of the run later the multiplier is $\frac12(1 + \cos\frac{5\pi}4) = 0.15$, after a whole one it is back at 1. PyTorch's
# `CosineAnnealingLR` climbs as well. Ours stays at the floor.

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
# still high at the end. That is one reason why earlier scaling laws asked for too little data.
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
# {cite:p}`defazio2024road`: no total needed. Plain averages over the trunk help as well, but in {cite:t}`hagele2024scaling` a decay
# still came out ahead, unlike here.
# :::
#
# :::{dropdown} How long a warmup?
# Long enough that nothing spikes: one to a few percent of a long run, often 2,000 updates. It grew up with large batches
# {cite:p}`goyal2017accurate`, whose scaled rate is high from the start, and post-norm Transformers, which hardly train without it.
# :::
#
# :::{dropdown} Does the best peak carry over to a larger model?
# Not by itself: with standard parametrization it falls with width. µP rescales initialization and rates per layer so that a
# small model's best peak serves a wider one {cite:p}`yang2022tensor`. It says nothing of longer training.
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
