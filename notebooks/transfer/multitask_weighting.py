# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs:
#     - adam_from_sgd
#     question_zh: 如何进行语言模型的多任务学习？
#     short: Multitask weighting
#     source: S16
#     tasks:
#     - uncertainty_weighted
# ---

# %% [markdown]
# # Three losses on one trunk: how do you weight them?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Look at the units first. In a plain sum, a target counted in characters can have a loss in the hundreds. Under SGD it forces
# a tiny learning rate on all; under Adam it still decides nearly alone what the trunk learns. So standardize regression
# targets. Uncertainty weighting learns a variance per task. At its optimum it minimizes the sum of log losses, and a loss's scale
# cancels. But it reads training losses: a task that is memorized gets more weight. Report every task.
#
# :::{dropdown} The two-minute answer
# *Hard sharing* is one trunk and a head per task; the heads are what separates the tasks. The trunk's gradient is the sum of the tasks'
# gradients, each as large as its loss's unit makes it.
#
# A loss $L_i$ that is 900 times larger does three things. Gradient descent stays stable only at a smaller step, so every
# task learns slowly. The sum of gradients on the trunk points where that task wants. And if the target was rescaled, that head must reach
# larger outputs. Adam divides the first away, because each head has steps of its own. It cannot divide the second: it sees only the sum. No weight mends the third, a standardized target does.
#
# Uncertainty weighting minimizes $\sum_i c_i e^{-s_i} L_i + \frac12 s_i$ over network and $s_i = \log\sigma_i^2$, with $c = \frac12$ for a squared error
# and 1 for cross-entropy. For fixed losses the best $s_i$ is $\log 2c_iL_i$. Put back in, that leaves $\frac12\sum_i\log L_i$ and a constant: a factor
# on one loss adds a constant and moves nothing. For a squared error it is a Gaussian likelihood. For cross-entropy it is an approximation, which goes below zero for small losses.
#
# Unequal data are another question: how often each task is drawn. In proportion to its size a small task is hardly drawn; a
# temperature evens that out. Whether a big neighbor then helps depends on whether the two want the same features.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: a shared trunk, a head per task, one backward pass through the summed loss, gradients zeroed at each step. Independent models are the baseline, not a kind of multitask learning.
# - Junior: a loss's size comes from its unit, and standardizing the target is the first remedy.
# - Mid: derives $s^* = \log 2cL$ and the objective $\frac12\sum\log L$ that is left, so that scale cancels.
# - Mid: says that the term is exact for a Gaussian and approximate for cross-entropy, and how one can tell.
# - Senior: keeps three effects apart (forced learning rate, mixture on the trunk, scale of the head) and says which remedy touches which.
# - Senior: the learned weight follows the *training* loss, so it grows for a memorized task.
# - Senior: for unequal data, says what proportional sampling starves, and brings an unrelated task as a control.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import SGD, Adam
from lmprep.transfer.multitask import (
    Arms,
    HardShare,
    UncertaintyWeight,
    help_desk,
    help_desk_losses,
    help_desk_network,
    task_gradients,
)  # fmt: skip

device = setup()

# %% [markdown]
# ## Someone counted in characters, and the trunk belongs to the length
#
# A help desk wants three things from each message: its topic (one of 4), its sentiment (2), and how long the reply will be.
# Replies vary by 30 characters (their standard deviation). Before training, a model that guesses has cross-entropies of $\log 4 \approx 1.4$ and $\log 2 \approx 0.7$ nats
# and, with the mean subtracted, a squared error of $30^2 = 900$. Count in lines of 80 characters, and that error is 0.14. The
# messages are the same, and so is the task.
#
# One trunk serves all three, and each task has a head: *hard sharing* {cite:p}`caruana1997multitask`. `task_gradients` returns the gradient of each loss on the
# trunk's $P$ numbers, one row per task: $(n, P)$. Their sum is what the optimizer gets.

# %%
show(HardShare, task_gradients)

# %% [markdown]
# The messages are synthetic: eight hidden numbers decide all labels, and the network sees 20 noisy mixtures of them. To compare many settings
# cheaply, networks train side by side: `Arms` is a linear layer that holds $R$ copies of its weights, equal at the start. Arms share nothing, so the sum of their
# losses trains each as if it were alone. First one arm, in three units.


# %%
show(Arms, help_desk_losses)

# %%
train, validation, test = help_desk((400, 1000, 2000), generator(1))
small, shares = help_desk_network(1, 8, generator(2)).double(), {}
trunk = list(small.trunk.parameters())
for unit in (
    0.375,
    1,
    30,
):  # standard deviation of the length in lines, in itself, in characters
    losses = help_desk_losses(small, train, torch.tensor([unit], dtype=torch.float64))[
        :, 0
    ]  # (n,)
    G = task_gradients(losses, trunk)  # (n, P)
    shares[unit] = G.norm(dim=1) / G.norm(dim=1).sum()
    print(unit, losses.data.numpy().round(2), "shares", shares[unit].numpy().round(3))

losses.sum().backward(retain_graph=True)  # the last losses: characters
summed = torch.cat([parameter.grad.flatten() for parameter in trunk])
agrees("rows_add_up", "torch.Tensor.backward", G.sum(dim=0), summed, atol=1e-12, rtol=1e-12)
# %% [markdown]
# ## At its optimum, each loss is weighted by one over itself
#
# {cite:t}`kendall2018multi` give each task a learned variance $\sigma_i^2 = e^{s_i}$. A Gaussian's negative log-likelihood is
# $\frac{1}{2\sigma^2}(y - f)^2 + \frac12\log\sigma^2$ and a constant, so a mean squared error $L$ contributes $\frac12 e^{-s} L + \frac12 s$. With $c$ for the factor in front, the sum is
#
# $$
# J = \sum_i c_i e^{-s_i} L_i + \tfrac12 s_i, \qquad
# \frac{\partial J}{\partial s_i} = -c_i e^{-s_i} L_i + \tfrac12 = 0
# \;\Rightarrow\; s_i^* = \log 2c_iL_i .
# $$
#
# There the weight $c_i e^{-s_i}$ is $1/(2L_i)$, whatever $c_i$ was, and $J^* = \frac12\sum_i(1 + \log 2c_i + \log L_i)$.
# A loss times 1000 adds a constant, so the trunk's gradient stays what it was. Without the $\frac12 s_i$ there is no
# minimum: $s$ grows for ever and the task is switched off.

# %%
show(UncertaintyWeight)

# %%
kinds = ["ce", "ce", "mse"]
weighting = UncertaintyWeight(kinds, losses)  # starts at the best s for these losses
alone = UncertaintyWeight(["mse"], losses[2:] / 2)  # at a variance that is not the best one
residuals = small(train[0].double())["length"].flatten() - 30 * train[3].double()
variance = alone.log_variances.exp().expand(400)
reference = F.gaussian_nll_loss(residuals, torch.zeros_like(residuals), variance)
agrees("gaussian_likelihood", "torch.nn.functional.gaussian_nll_loss",
       alone(losses[2:]).detach(), reference.detach(), atol=1e-12)  # fmt: skip

times = torch.tensor([1, 1, 1000], dtype=torch.float64)
louder = UncertaintyWeight(kinds, times * losses)
before, after = task_gradients([weighting(losses), louder(times * losses)], trunk)
(slope,) = torch.autograd.grad(weighting(losses), weighting.log_variances, retain_graph=True)
claim("closed_form", "largest slope of the objective in s at s = log 2cL, float64",
      slope.abs().max(), at_most=1e-12)  # fmt: skip
claim("scale_cancels", "one loss × 1000, s at its best: relative change of the trunk's gradient, float64",
      (after - before).norm() / before.norm(), at_most=1e-12)  # fmt: skip

# %% [markdown]
# For classes, Kendall divides the logits by $\sigma^2$. The exact term would be cross-entropy at that temperature,
# $-f_y/\sigma^2 + \log\sum_k e^{f_k/\sigma^2}$. The paper replaces $\frac1\sigma\sum_k e^{f_k/\sigma^2}$ by $(\sum_k e^{f_k})^{1/\sigma^2}$, equal at $\sigma = 1$, and gets $L/\sigma^2 + \log\sigma$, hence $c = 1$.
# How far is that off? With four equal logits the exact term is $\log 4 = 1.39$ at any $\sigma$; the replacement at its best is $\frac12 + \frac12\log(2 \cdot 1.39) = 1.01$.
# For $L = 0.05$ it is $\frac12 + \frac12\log 0.1 = -0.65$. A probability of a label is at most 1, so no negative log-likelihood of labels is below 0. This one is
# as soon as $L < 1/(2e) \approx 0.18$, and it rewards further memorizing without end.
#
# ## Under SGD, much of the damage is the learning rate
#
# Is it the mixture on the trunk, or the step that a large loss allows? Seven arms have plain sums, each with a rate of its own: with SGD, that is
# a factor on the arm's loss. The last two, at rate 0.1, are weighted; $s$ starts at $\log 2cL$ and at 0. For lengths, $R^2$ is the share of the variance that is explained.


# %%
@torch.no_grad()
def scores(model: HardShare, data: tuple[Tensor, ...], units: Tensor) -> Tensor:
    """Accuracy, accuracy, and the share of the length's variance that is explained: (3, R)."""
    x, topic, sentiment, length = data
    out = model(x)
    error = out["length"][..., 0] / units[:, None] - length
    topics = (out["topic"].argmax(dim=-1) == topic).float().mean(dim=1)
    sentiments = (out["sentiment"].argmax(dim=-1) == sentiment).float().mean(dim=1)
    return torch.stack([topics, sentiments, 1 - error.square().mean(dim=1) / length.var()])


def table(arms: dict[str, Tensor], values: Tensor) -> None:
    print("  ".join(f"{name:>12}" for name in (*arms, "topic", "sentiment", "length, R²")))
    for arm, column in enumerate(values.T):
        settings = [f"{setting[arm].item():12.4g}" for setting in arms.values()]
        print("  ".join(settings + [f"{value:12.2f}" for value in column]))


# %%
plain = [(1, 0.3), (1, 0.1), (1, 0.03), (1, 0.01), (30, 0.01), (30, 0.005), (30, 0.002)]
units, rates = torch.tensor([*plain, (30, 0.1), (30, 0.1)]).T  # the last two are weighted
sgd_model, n = help_desk_network(len(units), 8, generator(2)), len(plain)
with torch.no_grad():
    weighting = UncertaintyWeight(kinds, help_desk_losses(sgd_model, train, units)[:, n:])
weighting.log_variances.data[:, 1] = 0  # the last arm starts at s = 0


def sgd_loss(model: HardShare, data: tuple[Tensor, ...]) -> Tensor:
    losses = help_desk_losses(model, data, units)
    objectives = torch.cat([losses[:, :n].sum(dim=0), weighting(losses[:, n:])])  # (R,)
    return (rates * objectives).sum()


parameters = [*sgd_model.parameters(), *weighting.parameters()]
fit(sgd_model, [train], sgd_loss, optimizer=SGD(parameters, lr=1.0), num_steps=200)
chosen, sgd = scores(sgd_model, validation, units), scores(sgd_model, test, units)
table({"sd of length": units, "rate": rates}, sgd)

best, forced = chosen[:, :4].mean(dim=0).argmax(), 4 + chosen[:, 4:n].mean(dim=0).argmax()
claim("sgd_characters_cost", "SGD: topic accuracy, standardized less characters, each at its best rate",
      sgd[0, best] - sgd[0, forced], at_least=0.07)  # fmt: skip
# %% [markdown]
# In characters, no larger rate than 0.01 was tried: at 0.1 the length's loss runs away. At that rate the standardized arm has lost most of its
# lead, too. So within these 200 updates the forced rate explains most of the damage, and the table cannot say what the mixture on the trunk adds.
#
# ## Under Adam, the loudest loss alone decides what the trunk learns
#
# Adam divides each parameter's gradient by its own recent size. A head belongs to one task, so a factor on that task's loss
# cancels in the head's steps. In the trunk it does not cancel: Adam sees only the sum. With Adam, then, a factor on the length's *loss*, the target left
# standardized, changes one thing: the mixture on the trunk. As a control, take the factor $10^8$. The topics' part of the sum is
# then lost in the rounding of float32, which leaves a trunk that only the length has trained.

# %%
# Try: width = 32. A wide trunk keeps something of everything, so the plain sum loses less.
width, adam_rates = 8, (0.003, 0.01, 0.03)
factors = [1e-2, 1, 10, 100, 1e4, 1e8]
plain = [(1, factor) for factor in factors] + [(30, 1)]
weighted = [(1, 1), (1, 1e4), (30, 1), (1000, 1)]  # (sd of length, factor on its loss)
units, factor = torch.tensor(plain + weighted).T
scale, n = torch.ones(3, len(units)), len(plain)
scale[2] = factor


def adam_run(rate: float) -> tuple[HardShare, UncertaintyWeight]:
    model = help_desk_network(len(units), width, generator(2))
    with torch.no_grad():
        start = (scale * help_desk_losses(model, train, units))[:, n:]
    weighting = UncertaintyWeight(kinds, start)

    def loss(model: HardShare, data: tuple[Tensor, ...]) -> Tensor:
        losses = scale * help_desk_losses(model, data, units)
        return losses[:, :n].sum() + weighting(losses[:, n:]).sum()

    groups = [{"params": model.parameters(), "lr": rate},
              {"params": weighting.parameters(), "lr": 0.02}]  # fmt: skip
    fit(model, [train], loss, optimizer=Adam(groups), num_steps=150)
    return model, weighting


runs = [adam_run(rate) for rate in adam_rates]
chosen = torch.stack([scores(model, validation, units).mean(dim=0) for model, _ in runs])
pick = chosen.argmax(dim=0)  # (R,): the rate that is best on validation data
tested = torch.stack([scores(model, test, units) for model, _ in runs])
adam = tested[pick, :, torch.arange(len(units))].T  # (3, R)
settings = {"sd of length": units, "factor": factor, "rate": torch.tensor(adam_rates)[pick]}
table(settings, adam)
# %% mystnb={"image": {"alt": "Two charts above one another, against the factor on the length's loss, from 0.01 to 100 million. Above, the length's share of the gradient on the trunk rises from near zero to one. Below, under the plain sum, topic accuracy falls between the factors 1 and 10 thousand and then stays level, while the explained variance of the length is lowest at the factor 0.01. With uncertainty weighting, both lines are level between the factors 1 and 10 thousand."}} tags=["hide-input"]
first, last = 1, factors.index(1e4)
fig, (above, below) = plt.subplots(2, 1, figsize=(6.4, 5.4), sharex=True)
own = shares[1][2]
share = [k * own / (1 - own + k * own) for k in factors]
above.plot(factors, share, "o-", color="#4d4d4d")
above.set(title="The louder the length's loss, the more of the trunk's gradient is its own …",
          ylabel="share at the start", ylim=(0, 1.05))  # fmt: skip
for task, color in (("topic", "#0072b2"), ("length", "#d55e00")):
    row = ["topic", "sentiment", "length"].index(task)
    below.plot(
        factors, adam[row, : len(factors)], "o-", color=color, label=f"{task}, plain sum"
    )
    below.plot([1, 1e4], adam[row, [n, n + 1]], "s--", color=color, label=f"{task}, weighted")
below.set(title="… and the fewer topics are right, unless weights are learned", xscale="log",
          xlabel="factor on the loss of the length", ylabel="accuracy, or R²", ylim=(0, 1))  # fmt: skip
below.legend(ncols=2, loc="lower right")
plt.show()

# %%
cost_plain = adam[0, first] - adam[0, last]
cost_weighted = adam[0, n] - adam[0, n + 1]
claim("weights_cancel_scale", "Adam: topic accuracy that a factor of 10⁴ on the length's loss costs, "
      "plain sum less uncertainty weighting", cost_plain - cost_weighted, at_least=0.06, thesis=True)  # fmt: skip
claim("alone_on_the_trunk", "Adam: topic accuracy with the factor 10⁴ less that of a trunk that only the "
      "length trained", (adam[0, last] - adam[0, last + 1]).abs(), at_most=0.05)  # fmt: skip
claim("no_better_than_standardized", "Adam: topic accuracy of uncertainty weighting less that of the plain "
      "sum, both standardized", adam[0, n] - adam[0, first], at_most=0.03)  # fmt: skip
claim("weights_do_not_grow_heads", "uncertainty weighting: length's variance explained, standardized less "
      "sd 1000", adam[2, n] - adam[2, n + 3], at_least=0.25)  # fmt: skip

# %% [markdown]
# The first seven rows are plain sums, the last four are weighted. Read the factors downward. As the length grows louder, topics fall, and at $10^4$ they do as well as on the trunk that only the length trained: nobody asks them any more.
# Characters, a factor of 900 and a larger target at once, lie on the way there. Weighted, the factor $10^4$ changes nothing: $s$ starts $\log 10^4$ higher, and all that follows is the same.
#
# Two rows are no success story. On standardized targets uncertainty weighting is no better than the plain sum. And with a
# standard deviation of 1000, its topics are fine and its lengths are not: Adam moves each number by about its rate, and 150 such steps do not
# take a head from 0 to 1000. Under SGD above, characters suffice for that: weighted from $s = \log 2cL$, the head's gradient is divided by
# $2L \approx 1800$; from $s = 0$, the first step adds $0.1\,(\frac12 \cdot 900 - \frac12) \approx 45$ to $s$, the weight becomes $e^{-45}$, and on the way back $s$ loses at most 0.05 per step.
# Both rows look well if only topics are reported. A learned weight sets the mixture; the target's scale is the head's problem. Standardize first.
#
# The weights also follow something else. Look at the sentiment under the factor 1 and the largest rate:

# %%
(model, weighting), fresh = runs[-1], help_desk_network(1, width, generator(2))
with torch.no_grad():
    began = 0.5 / help_desk_losses(fresh, train, torch.ones(1))[:, 0]
    ended = weighting.weights()[:, 0]
    on_train, on_validation = (
        help_desk_losses(model, part, units)[:, n] for part in (train, validation)
    )
claim("memorized_weighs_more", "sentiment, largest rate: factor by which its learned weight grew",
      ended[1] / began[1], at_least=2.5, unit="×")  # fmt: skip
claim("while_it_overfits", "the same network: validation loss of sentiment over its training loss",
      on_validation[1] / on_train[1], at_least=3, unit="×")  # fmt: skip

# %% [markdown]
# The sentiments of 400 messages are memorized: the training loss falls far below the validation loss, and the weight, on its way to $1/(2L)$, rises and rises. "Certain"
# here means *fits the training set*: on validation data the same network is confidently wrong. The less is left to learn, the more the task's gradient is scaled up.
#
# ## Drawing a task more often is a weight, too
#
# Tasks can be unequal in size as well. If each update draws one task, task $i$ with probability $p_i$, the trunk's expected gradient is $\sum_i p_i \nabla L_i$: sampling is weighting, with more noise.
# One thing differs. A head learns only when its task is drawn, and Adam's scaling does not make up for that.
#
# Take 50 labels beside 2000. In proportion to size, the small task gets 50 of 2050 draws, 1 update in 41. With $p_i \propto n_i^{1/T}$, the
# ratio of 40 shrinks to $40^{1/T}$: at a *temperature* of $T = 5$ it is 2.1, and the small task gets a third of the updates. $T = 1$ is proportional, large $T$ nearly equal; T5 tried these and
# a cap on the size {cite:p}`raffel2020exploring`. The price is repetition: 50 examples come again and again, and are memorized. Whether the big task helps at all,
# a temperature cannot tell. Compare with the small task trained alone, and with an unrelated big task as the control. If the two want different features of a small trunk, weights only choose who loses.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Multitask learning separates the tasks into independent models and shares information between them."** Independent models share nothing; they are the baseline that
# any sharing has to beat. What separates tasks is a head each, or adapters. Train the baseline first: several of the losses of multitask runs are found
# only by it.
#
# **"`losses = [loss1, loss2, loss3]; sum(losses).backward(); optimizer.step()`."** The losses must come from the outputs of this batch and its labels. Called in a loop
# without `zero_grad()`, it steps along the sum of all gradients so far. Print `task_gradients(losses, trunk).norm(dim=1)` once: a row of zeros is a loss that does not
# reach the trunk.
#
# **"The learned weights find out which task is important."** A product team once wanted topics to count double and multiplied their loss by 2 before weighting. Nothing changed, and nothing could: 2 is a scale, and scale
# cancels. Importance has to come from outside, $\sum_i w_i \log L_i$ with your own $w_i$, and be judged on validation data.
#
# **"I sample in proportion to size, so every example counts the same."** That is true, and right if the tasks will be used in that proportion. It is a choice of
# what to be good at. If each task is reported with equal weight, examples of the small one are worth more.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Hard or soft sharing?
# Hard sharing has one trunk. In soft sharing each task keeps its own parameters, and a penalty or learned connections tie them together; it costs $n$ trunks and cannot be forced
# into a bad compromise so easily. Adapters on a frozen trunk ([LoRA](finetune_strategies_lora)) lie between: a common base, private corrections.
# :::
#
# :::{dropdown} Why learn log σ² and not σ?
# Any real number is a valid log-variance, so no step can make the variance negative or divide by zero. The gradient in $s$ is $\frac12 - c e^{-s}L$: bounded on the way down, huge on the way
# up if $s$ starts far too low. Start it at $\log 2cL$ of the first batch.
# :::
#
# :::{dropdown} The total loss became negative. Is that a bug?
# No. A Gaussian *density* may exceed 1, and the term for cross-entropy is no likelihood anyway. {cite:t}`liebel2018auxiliary` replace $\log\sigma$ by $\log(1 + \sigma^2)$, which keeps the sum
# positive; then scale no longer cancels.
# :::
#
# :::{dropdown} What does GradNorm do instead?
# It looks at gradients rather than losses: weights are learned so that the norms of the weighted gradients on a shared layer approach a common size, larger for
# tasks whose loss has fallen less {cite:p}`chen2018gradnorm`. It needs each task's gradient on that layer.
# :::
#
# :::{dropdown} Do such methods beat plain weights?
# Often not. With well-tuned regularization {cite:p}`kurin2022defense` or well-tuned weights {cite:p}`xin2022current`, a plain weighted sum matched special multitask optimizers.
# Standardize, tune a few weights on validation data, and make the method beat that.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} uncertainty_weighted
# ```

# %%
import torch


def uncertainty_weighted(
    losses: torch.Tensor, log_variances: torch.Tensor, kinds: list[str]
) -> torch.Tensor:
    """Σ c exp(−s) L + ½ s over the tasks.

    losses, log_variances: (n,), float32 or float64. kinds: n times "mse" (c = ½) or "ce" (c = 1).
    Returns a tensor of shape (), through which gradients flow to both.
    """
    raise NotImplementedError


check("uncertainty_weighted", uncertainty_weighted)

# %% [markdown]
# ```{solution} uncertainty_weighted
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`caruana1997multitask`: hard sharing. {cite:t}`kendall2018multi`: uncertainty weighting. {cite:t}`liebel2018auxiliary`: its positive variant.
# - {cite:t}`chen2018gradnorm`: weights from gradient norms. {cite:t}`raffel2020exploring`: how T5 mixed tasks.
# - {cite:t}`kurin2022defense`, {cite:t}`xin2022current`: plain weighted sums, tuned, as the baseline to beat.
