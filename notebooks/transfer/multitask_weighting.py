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
# a tiny learning rate on all; under Adam it still decides most of what the trunk learns. So standardize regression
# targets. Uncertainty weighting learns a variance per task. At its optimum it minimizes the sum of log losses, so a loss's scale
# cancels; start it there. But it follows training losses: a memorized task gets more weight. Report every task.
#
# :::{dropdown} The two-minute answer
# *Hard sharing* is one trunk and a head per task; the heads are what separates the tasks. The trunk's gradient is the sum of the tasks'
# gradients, each as large as its loss's unit makes it.
#
# Count a target in units 30 times smaller, and its squared error is 900 times larger. That does three things. Gradient descent
# stays stable only at a smaller step, so every task learns slowly. The summed gradient on the trunk points where that task wants. And
# that task's head has to reach outputs 30 times larger. Adam removes the first, because it scales every parameter's step. It
# cannot remove the second, because in the trunk it sees only the sum. No weight mends the third; a standardized target does.
#
# Uncertainty weighting minimizes $\sum_i c_i e^{-s_i} L_i + \frac12 s_i$ over network and $s_i = \log\sigma_i^2$, with $c = \frac12$ for a squared error
# and 1 for cross-entropy. For fixed losses the best $s_i$ is $\log 2c_iL_i$. Put back in, that leaves $\frac12\sum_i\log L_i$ and a constant: a factor
# on one loss adds a constant and moves nothing. That holds where $s$ has arrived, so start it there. For a squared error the objective is a Gaussian likelihood. For cross-entropy it is an approximation, which goes below zero for small losses.
#
# Unequal data are another question: how often is each task drawn? In proportion to its size, a small task is hardly drawn; a
# temperature evens that out. Whether a big neighbor then helps depends on whether the two want the same features.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: a shared trunk, a head per task, one backward pass through the summed loss, gradients zeroed at each step. Independent models are the baseline, not a kind of multitask learning.
# - Junior: a loss's size comes from its unit, and standardizing the target is the first remedy.
# - Mid: derives $s^* = \log 2cL$ and the objective $\frac12\sum\log L$ that is left, so that scale cancels, and starts $s$ there.
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
from lmprep.transfer import multitask
from lmprep.transfer.multilingual import temperature_mix
from lmprep.transfer.multitask import HardShare, UncertaintyWeight, help_desk_losses

device = setup()

# %% [markdown]
# ## Someone counted in characters, and the trunk belongs to the length
#
# A help desk wants three things from each message: its topic (one of 4), its sentiment (2), and how long the reply will be.
# Replies vary by 30 characters (their standard deviation). Before training, a model that guesses has cross-entropies of $\log 4 \approx 1.4$ and $\log 2 \approx 0.7$ nats
# and, with the mean subtracted, a squared error of $30^2 = 900$. Count in lines of 80 characters, and that error is 0.14. The task is the same.
#
# One trunk serves all three, and each task has a head: *hard sharing* {cite:p}`caruana1997multitask`. `task_gradients` returns the gradient of each loss on the
# trunk's $P$ numbers, one row per task: $(n, P)$. Their sum is what the optimizer gets.

# %%
show(HardShare, multitask.task_gradients)

# %% [markdown]
# The messages are synthetic: eight hidden numbers decide all labels, and the network sees 20 noisy mixtures of them. To compare many settings
# cheaply, networks train side by side: `Arms` is a linear layer that holds $R$ copies of its weights, equal at the start. Arms share nothing, so the sum of their
# losses trains each as if it were alone. First one arm, in three units.

# %%
show(multitask.Arms, help_desk_losses)

# %%
train, validation, test = multitask.help_desk((400, 1000, 2000), generator(1))
small = multitask.help_desk_network(1, 8, generator(2)).double()
trunk = list(small.trunk.parameters())
# The standard deviation of the length: in lines, in itself, in characters.
for unit in torch.tensor([[0.375], [1], [30]], dtype=torch.float64):
    losses = help_desk_losses(small, train, unit)[:, 0]  # (n,)
    G = multitask.task_gradients(losses, trunk)  # (n, P)
    share = G.norm(dim=1) / G.norm(dim=1).sum()
    print(unit.item(), losses.data.numpy().round(2), "shares", share.numpy().round(3))

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
before, after = multitask.task_gradients([weighting(losses), louder(times * losses)], trunk)
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
# Is it the mixture on the trunk, or the step that a large loss allows? Eight arms have plain sums, each with a learning rate of its
# own: with SGD, a rate is a factor on the arm's loss. Two more arms, at rate 0.1, are weighted; $s$ starts at $\log 2cL$ in one and at 0 in the
# other. Topics and sentiments are scored by accuracy, lengths by $R^2$, the share of their variance that is explained.


# %%
@torch.no_grad()
def scores(model: HardShare, data: tuple[Tensor, ...], units: Tensor) -> Tensor:
    """Accuracy of topic and of sentiment, R² of the length, for every arm: (3, R)."""
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
# (sd of length, rate). At 0.05, characters make the loss run away.
plain = [(1, rate) for rate in (0.3, 0.1, 0.02, 0.01, 0.005)]
plain += [(30, rate) for rate in (0.02, 0.01, 0.005)]
units, rates = torch.tensor([*plain, (30, 0.1), (30, 0.1)]).T  # the last two are weighted
sgd_model, n = multitask.help_desk_network(len(units), 8, generator(2)), len(plain)
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

best = chosen[:, :5].mean(dim=0).argmax()  # best on validation data
slow = chosen[:, 5:n].mean(dim=0).argmax()  # 0, 1 or 2: the rate that is best for characters
standardized, same_rate, characters = sgd[0, [best, 2 + slow, 5 + slow]]
claim("sgd_characters_cost", "SGD: topic accuracy, standardized less characters, each at its best rate",
      standardized - characters, at_least=0.07)  # fmt: skip
claim("sgd_rate_explains", "SGD: the standardized arm at the characters' rate loses this share of that",
      (standardized - same_rate) / (standardized - characters), at_least=0.3)  # fmt: skip

# %% [markdown]
# At the rate that characters force, the standardized arm has lost much of its lead, or all of it. So within these 200 updates much of the
# damage comes from slow learning, not from the mixture on the trunk.
#
# ## Under Adam, the loudest loss still decides what the trunk learns
#
# Adam divides each parameter's gradient by its own recent size. A head belongs to one task, so a factor on that task's loss
# cancels in the head's steps. In the trunk it does not cancel: Adam sees only the sum. With Adam, then, a factor on the length's *loss*, the target left
# standardized, changes one thing: the mixture on the trunk. In one more arm, the control, only the length
# trains the trunk: the other heads read it, but their gradients stop before it.

# %%
# Try: width = 32. Even a trunk that only the length trains then holds enough for the other
# heads, so the plain sum loses less, and the thesis misses its bound.
width, adam_rates = 8, (0.003, 0.01, 0.03)
factors = [1e-2, 1, 10, 100, 900, 1e4]
# (sd of length, factor on its loss); the last of the plain sums is the control
plain = [(1, factor) for factor in factors] + [(30, 1), (1, 1)]
weighted = [(1, 1), (1, 900), (30, 1), (1000, 1), (1, 900)]
units, factor = torch.tensor(plain + weighted).T
scale, n = torch.ones(3, len(units)), len(plain)
scale[2] = factor


class WithControl(HardShare):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.trunk(x)  # (R, N, D)
        stopped = features.clone()
        stopped[n - 1] = features[n - 1].detach()  # only the length trains this arm's trunk
        names = {"topic": stopped, "sentiment": stopped, "length": features}
        return {name: self.heads[name](seen) for name, seen in names.items()}


def adam_run(rate: float) -> tuple[HardShare, UncertaintyWeight]:
    start = multitask.help_desk_network(len(units), width, generator(2))
    model = WithControl(start.trunk, dict(start.heads))
    with torch.no_grad():
        first = (scale * help_desk_losses(model, train, units))[:, n:]
    weighting = UncertaintyWeight(kinds, first)
    weighting.log_variances.data[:, -1] = 0  # the last arm starts at s = 0

    def loss(model: HardShare, data: tuple[Tensor, ...]) -> Tensor:
        losses = scale * help_desk_losses(model, data, units)
        return losses[:, :n].sum() + weighting(losses[:, n:]).sum()

    groups = [{"params": model.parameters(), "lr": rate},
              {"params": weighting.parameters(), "lr": 0.02}]  # fmt: skip
    fit(model, [train], loss, optimizer=Adam(groups), num_steps=150)
    return model, weighting


runs = [adam_run(rate) for rate in adam_rates]
chosen = torch.stack([scores(model, validation, units) for model, _ in runs])  # (rates, 3, R)
pick = chosen.mean(dim=1).argmax(dim=0)  # (R,)
tested = torch.stack([scores(model, test, units) for model, _ in runs])
adam = tested[pick, :, torch.arange(len(units))].T  # (3, R), at each arm's best rate
table({"sd of length": units, "factor": factor, "rate": torch.tensor(adam_rates)[pick]}, adam)

# %% mystnb={"image": {"alt": "Topic accuracy and explained variance of the length against the factor on the length's loss, from 0.01 to 10 thousand. Under the plain sum, topic accuracy falls between the factors 1 and 900 and then stays level, near a dotted line that marks a trunk which only the length trained. The explained variance of the length is lowest at the factor 0.01. With uncertainty weighting, both lines are level between the factors 1 and 900."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6.4, 4.2))
for row, task, color in ((0, "topic", "#0072b2"), (2, "length", "#d55e00")):
    ax.plot(factors, adam[row, : len(factors)], "o-", color=color, label=f"{task}, plain sum")
    ax.plot([1, 900], adam[row, [n, n + 1]], "s--", color=color, label=f"{task}, weighted")
ax.axhline(
    adam[0, n - 1], color="#0072b2", ls=":", label="topic, only the length trains the trunk"
)
ax.set(title="The louder the length's loss, the fewer topics are right,\nunless weights are learned",
       xlabel="factor on the loss of the length", ylabel="accuracy of topic, R² of length",
       xscale="log", ylim=(0, 1))  # fmt: skip
ax.legend(ncols=2, loc="lower left")
plt.show()

# %%
first, loud = 1, factors.index(900)
cost_plain, cost_weighted = adam[0, first] - adam[0, loud], adam[0, n] - adam[0, n + 1]
claim("weights_cancel_scale", "Adam: topic accuracy that a factor of 900 on the length's loss costs, "
      "plain sum less uncertainty weighting", cost_plain - cost_weighted, at_least=0.06, thesis=True)  # fmt: skip
claim("nearly_alone_on_the_trunk", "Adam: that cost to the plain sum as a share of the cost of a trunk that "
      "only the length trains", cost_plain / (adam[0, first] - adam[0, n - 1]), at_least=0.5)  # fmt: skip
claim("start_at_the_optimum", "Adam, factor 900, weighted: topic accuracy, s from log 2cL less s from 0",
      adam[0, n + 1] - adam[0, n + 4], at_least=0.06)  # fmt: skip
claim("no_better_than_standardized", "Adam: topic accuracy of uncertainty weighting less that of the plain "
      "sum, both standardized", adam[0, n] - adam[0, first], at_most=0.03)  # fmt: skip
claim("weights_do_not_grow_heads", "uncertainty weighting: length's variance explained, standardized less "
      "sd 1000", adam[2, n] - adam[2, n + 3], at_least=0.25)  # fmt: skip

# %% [markdown]
# The first seven rows are plain sums, the eighth is the control, and the last five are weighted. As the length grows louder, topics fall, and at 900 they do
# about as badly as on a trunk that only the length trains. Weighted from $s = \log 2cL$, the factor changes
# nothing: that $s$ starts $\log 900 \approx 6.8$ higher, and all that follows is the same.
#
# In the last row $s$ starts at 0 ($\sigma = 1$), as in many implementations. Adam moves $s$ by about its rate of 0.02, so 6.8 takes some 340 updates. Training has
# only 150, and the factor acts as in the plain sum. Scale cancels at the optimum of $s$, so put $s$ there.
#
# Two other rows are no success either. On standardized targets uncertainty weighting is no better than the plain sum. And with a
# standard deviation of 1000, its topics are fine and its lengths are not: Adam moves each number by about its rate, and 150 such steps do not
# take a head from 0 to 1000. Under SGD above, characters suffice for that: weighted from $s = \log 2cL$, the head's gradient is divided by
# $2L \approx 1800$; from $s = 0$, the first step adds $0.1\,(\frac12 \cdot 900 - \frac12) \approx 45$ to $s$, the weight becomes $e^{-45}$, and on the way back $s$ loses at most 0.05 per step.
# Both rows look well if only topics are reported. A learned weight sets the mixture; the target's scale is the head's problem. Standardize first.
#
# The weights also follow something else. Look at the sentiment under the factor 1 and the largest rate:

# %%
model, weighting = runs[-1]
with torch.no_grad():
    weights = weighting.weights()[:, 0]
    for name, part in (("training", train), ("validation", validation)):
        losses = help_desk_losses(model, part, units)[:, n]
        print(
            f"1/(2L) of topic, sentiment, length on {name} data:",
            (0.5 / losses).numpy().round(2),
        )
print("learned weights:", weights.numpy().round(2))
claim("memorized_weighs_more", "sentiment, largest rate: learned weight over the 1/(2L) of its validation "
      "loss", weights[1] * 2 * losses[1], at_least=2.5, unit="×")  # fmt: skip

# %% [markdown]
# The sentiments of 400 messages are memorized: the training loss falls far below the validation loss, and the weight follows the training loss
# toward its $1/(2L)$. A small $\sigma$ is read as *certain*, but here it means *fits the training set*. The less is left to learn, the more the task's gradient is scaled up.
#
# ## Drawing a task more often is a weight, too
#
# Tasks can be unequal in size as well. If each update draws one task, task $i$ with probability $p_i$, the trunk's expected gradient is $\sum_i p_i \nabla L_i$: sampling is weighting, with more noise.
# One thing differs: a head moves only when its task is drawn. Adam divides a small weight out of the head's steps, but it cannot
# fully make up for updates in which the head had no gradient.
#
# Take 50 labels beside 2000. With $p_i \propto n_i^{1/T}$, where $T$ is
# called a *temperature*, it gets more:

# %%
for T in (1, 2, 5, 100):
    print(f"T = {T}: small task {temperature_mix([50, 2000], alpha=1 / T)[0]:.3f} of all draws")

# %% [markdown]
# T5 tried such temperatures, equal shares, and a cap on the size that counts {cite:p}`raffel2020exploring`. The price is repetition: 50 examples come again and again,
# and are memorized. The page on [multilingual mixtures](multilingual_mixture) measures it. Whether the big task helps at all,
# a temperature cannot tell. Compare with the small task trained alone, and with an unrelated big task as the control. If the two want different features of a small trunk, weights only choose who loses.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Multitask learning separates the tasks into independent models and shares information between them."** Independent models share nothing; they are the baseline that
# any sharing has to beat. What separates tasks is a head each, or adapters. Train the baseline first: only it shows what sharing costs.
#
# **"`losses = [loss1, loss2, loss3]; sum(losses).backward(); optimizer.step()`."** The losses must come from the outputs of this batch and its labels. Called in a loop
# without `zero_grad()`, it steps along the sum of all gradients so far. Print `task_gradients(losses, trunk).norm(dim=1)` once: a row of zeros is a loss that does not
# reach the trunk.
#
# **"The learned weights find out which task is important."** Let topics count double: multiply their loss by 2 before the weighting. Once $s$ has followed, nothing has changed: 2 is a scale, and scale
# cancels. Importance has to come from outside, $\sum_i w_i \log L_i$ with your own $w_i$, and be judged on validation data.
#
# **"I sample in proportion to size, so every example counts the same."** That is true, and right if the tasks will be used in that proportion.
# If each task is reported with equal weight, examples of the small one are worth more.

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
