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
#     - multitask_weighting
#     question_zh: 如何进行语言模型的多任务学习？任务互相冲突时怎么办？
#     short: Negative transfer, PCGrad
#     source: S27
#     tasks:
#     - pcgrad
# ---

# %% [markdown]
# # Two tasks fight over the trunk: how do you see it, and what do you do?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Take each task's gradient on the shared weights, and say where you took it. At the optimum of the summed training loss,
# two tasks' gradients are exactly opposed, or both zero, even if sharing helps. So a negative cosine is no verdict: train
# each task alone and compare on held-out data. PCGrad only reweights the same gradients. It chooses among shared
# weights, and no shared weights fit opposed tasks. For those, give each task weights of its own: a head, an adapter, a model.
#
# :::{dropdown} The two-minute answer
# *Negative transfer* means that a task does worse in the shared model than alone. The *cosine* of two tasks' gradients, their dot product over
# their lengths, says whether a small step along one gradient also lowers the other loss. It says so for the place
# where the weights are now. Where the summed loss is least, the gradients add up to zero, so two of them are opposed whatever the tasks.
# At the start of the regressions below, the cosine does follow how alike the tasks are. But whether sharing helps also depends on how well each
# task would do alone, hence on its labels, and that is in no cosine.
#
# PCGrad projects each gradient onto the plane normal to those that it conflicts with, one after the other, and adds up. That
# is a sum with weights of at least 1. For two tasks it is zero where the gradients are opposed: at *Pareto-stationary* points,
# where no step lowers both losses to first order. There are many, and the start decides which one it reaches. MGDA, the shortest convex combination of
# the gradients, stops there too.
#
# If the tasks want weights that far apart, every shared vector pays. Private weights do not: a head of its own, a
# small penalized part, an adapter, or two models.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: defines negative transfer against each task trained alone, on held-out data; sharing need not help.
# - Junior: writes PCGrad for two tasks, projecting against the *original* other gradient, and only if the dot product is negative.
# - Mid: says where a cosine was measured, and why it is −1 at the joint optimum of two tasks.
# - Mid: shows that PCGrad is a weighted sum with positive weights, and where it stops.
# - Senior: the same relation between tasks helps with few labels and hurts with many.
# - Senior: bounds what any shared weights can reach, then asks *what* is shared: head, trunk or all.
# - Senior: brings controls: alone, plain sum, private weights, with equal updates and tuned rates.

# %% tags=["hide-input"]
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor, nn

from lmprep.data.corpora import chinese_reviews
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.optim import Adam
from lmprep.transfer import multitask
from lmprep.transfer.multitask import Arms, LinearTasks, mgda_two

_ = setup()  # the page stays on the CPU: its models are tiny

# %% [markdown]
# ## One thermostat, two rooms: the cosine says where the dial stands
#
# One dial $\theta$ heats two rooms. The first wants 19 degrees, the second 25, and their losses are $\frac12(\theta - 19)^2$ and
# $\frac12(\theta - 25)^2$. At 24 degrees the gradients are 5 and −1, with cosine −1. At 27 they are 8 and 2, with cosine +1. The wishes have not
# changed; the dial has moved. Now let the wishes be 21.9 and 22.1. One dial is fine, and yet anywhere between them the cosine is −1.
#
# PCGrad {cite:p}`yu2020gradient` takes from each gradient what points against another one:
#
# $$
# g_i \leftarrow g_i - \frac{g_i \cdot g_j}{\lVert g_j\rVert^2}\, g_j \qquad \text{if } g_i \cdot g_j < 0,
# $$
#
# with the other's original $g_j$, and adds the results. Take $g_1 = (2, 0)$ and $g_2 = (-1, 1)$: the dot product is −2, so
# $g_1$ becomes $(2, 0) + \frac22(-1, 1) = (1, 1)$, $g_2$ becomes $(-1, 1) + \frac24(2, 0) = (0, 1)$, and the step is along $(1, 2)$, which has
# a positive product with both. The library's `pcgrad(G, generator)` takes the gradients
# as the rows of $G$, $(n, P)$; writing it is the exercise below.

# %%
show(multitask.cosine_matrix)

# %%
any_order = generator(0)  # two tasks: there is only one order
g1, g2 = torch.tensor([[2, 0, 1], [-1, 1, -3]], dtype=torch.float64)
# What least squares cannot explain of one gradient by the other.
both = [(g1.numpy(), g2.numpy()), (g2.numpy(), g1.numpy())]
left = [a - b * np.linalg.lstsq(b[:, None], a)[0] for a, b in both]
agrees("two_tasks_in_conflict", "residuals of numpy.linalg.lstsq",
       multitask.pcgrad(torch.stack([g1, g2]), any_order), sum(left), atol=1e-12)  # fmt: skip
plain = multitask.pcgrad(torch.stack([g1, -g2]), any_order)
claim("no_conflict_is_the_sum", "without conflict: largest difference between PCGrad and the sum",
      (plain - (g1 - g2)).abs().max(), at_most=0)  # fmt: skip

dial, wishes = torch.tensor([24.0]), torch.tensor([[19.0], [25.0]])
for _ in range(100):
    dial = dial - 0.1 * multitask.pcgrad(dial - wishes, any_order)
claim("the_dial_stands_still", "thermostat, from 24 degrees: how far 100 steps of PCGrad move the dial",
      (dial - 24).abs(), at_most=0, unit="degrees")  # fmt: skip

# %% [markdown]
# Gradient descent on the sum goes to 22. PCGrad stays at 24, 2 degrees off the optimum of the sum, and would stay at 19.1, too. Two dials would end the matter.
#
# ## In conflict, PCGrad is a weighted sum, and it can stop anywhere on the trade-off
#
# With $c < 0$ for the cosine, the two projections add up to
#
# $$
# \Big(1 - c\,\frac{\lVert g_2\rVert}{\lVert g_1\rVert}\Big) g_1 + \Big(1 - c\,\frac{\lVert g_1\rVert}{\lVert g_2\rVert}\Big) g_2 .
# $$
#
# Both weights are above 1, and the shorter gradient gets the larger one. With more tasks it is alike: each projection adds a
# positive multiple of another task's gradient. So PCGrad chooses loss weights anew at each step. For two tasks
# it is zero only where $c = -1$ or both gradients are zero. {cite:t}`yu2020gradient` prove just that: for two convex losses and small steps, PCGrad converges to the optimum of the sum or to a place where the cosine
# is −1. In the thermostat that is any temperature from 19 to 25.
#
# MGDA {cite:p}`desideri2012multiple` steps along the shortest vector $\alpha g_1 + (1 - \alpha) g_2$, $0 \le \alpha \le 1$. For two tasks
# {cite:t}`sener2018multi` give $\alpha = (g_2 - g_1)\cdot g_2 / \lVert g_1 - g_2\rVert^2$, clipped to that range. The vector is zero at the same
# places, and also as soon as one gradient alone is zero.

# %%
show(mgda_two)

# %%
pairs = torch.randn(6, 2, 5, generator=generator(1), dtype=torch.float64)
pairs[:3, 1] = pairs[:3, 0] * torch.tensor([[3.0], [0.2], [-0.5]]) + 0.1 * pairs[:3, 1]
ours = torch.stack([mgda_two(a, b) for a, b in pairs])
solver = {"x0": 0.4, "method": "SLSQP", "bounds": [(0, 1)], "options": {"ftol": 1e-14}}
theirs = [minimize(lambda s, a=a, b=b: ((s * a + (1 - s) * b) ** 2).sum(), **solver).x[0]
          for a, b in pairs.numpy()]  # fmt: skip
agrees("shortest_combination", "scipy.optimize.minimize, SLSQP", ours, theirs, atol=1e-6)

# %% [markdown]
# ## At the joint optimum all pairs are opposed, also those that gain
#
# Where $L_1 + L_2$ is least, $g_1 + g_2 = 0$. So the cosine is −1, or both gradients are zero. Positive weights on the losses change nothing, and for $n$ tasks
# $\sum_{i \ne j} g_i \cdot g_j = -\sum_i \lVert g_i\rVert^2$: some pair conflicts. (A regularizer is one more term in the sum. A network that fits both training sets
# perfectly has two zero gradients, and small batches blur everything.)
#
# Linear regression lets us compute what sharing costs. Two tasks have 20 weights each, vectors of length 1 with a chosen angle between
# them; the first has 30 examples, the second 600. *Error* is the squared error on new inputs beyond the noise, averaged over both tasks. *Alone* is each
# task's least squares; *shared* is one vector with the least sum of losses; *PCGrad* starts at zero and runs until it stands still; the cosine there is listed as *stop*. *New data* takes the gradients at the shared optimum on endless new examples. *Partly shared* adds a private
# part to a shared vector, with a penalty on it {cite:p}`evgeniou2004regularized`.

# %%
show(LinearTasks)

# %%
# Try: sizes = (300, 600). Alone, the first task is then much better: sharing gains little
# at 0 degrees and hurts from 15 on. The claims about gains fail, the thesis holds.
sizes, penalty, draws = (30, 600), 0.1, 5
angles = [0, 15, 30, 60, 90, 135, 180]
columns = ["start", "optimum", "stop", "new data", "alone", "shared", "PCGrad", "partly"]


def measure(angle: float, sizes: tuple[int, int]) -> Tensor:  # (draws, columns)
    g, rows = generator(2), []
    for _ in range(draws):
        tasks = multitask.linear_tasks(angle, sizes, g)
        shared, surgery = tasks.shared(), torch.zeros(20, dtype=torch.float64)
        places = [tasks.gradients(surgery), tasks.gradients(shared)]
        for _ in range(150):
            surgery = surgery - 0.1 * multitask.pcgrad(tasks.gradients(surgery), g)
        places += [tasks.gradients(surgery), 2 * (shared - tasks.truth)]
        weights = [tasks.alone(), shared, surgery, tasks.partly_shared(penalty)]
        cosines = [multitask.cosine_matrix(G)[0, 1] for G in places]
        rows.append(torch.stack(cosines + [tasks.excess(w).mean() for w in weights]))
    return torch.stack(rows)


found = torch.stack([measure(angle, sizes) for angle in angles])  # (angles, draws, columns)
print(f"{'cosines':>14} {'errors':>35}\nangle", *(f"{name:>8}" for name in columns))
for angle, row in zip(angles, found.mean(dim=1), strict=True):
    print(f"{angle:5}", *(f"{value:8.3f}" for value in row))
start, optimum, stop, new, alone, shared, surgery, partly = found.mean(dim=1).T

# %% mystnb={"image": {"alt": "Two charts over the angle between the tasks, 0 to 180 degrees. Above, the cosine of the two gradients: at the joint optimum a flat line at minus 1; at the start it falls from about 0.8, is positive at 60 degrees and ends well below zero; on new data it starts at 1 and is negative from 30 degrees on. Below, errors: alone is flat and low. Shared starts below it, crosses it near 30 degrees and rises to more than one; PCGrad lies on the same line, above the dotted floor. Partly shared starts below alone and ends close to it."}} tags=["hide-input"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.6, 6.6), sharex=True)
names = ["at the start", "at the optimum", "optimum,\nnew data"]
for values, name in zip((start, optimum, new), names, strict=True):
    top.plot(angles, values, "o-", label=name)
top.set(title="At the joint optimum, the cosine is −1 for every pair…",
        ylabel="cosine of the gradients", ylim=(-1.1, 1.1))  # fmt: skip
bottom.plot(angles, alone, "o-", label="alone")
bottom.plot(angles, shared, "o-", label="shared")
bottom.plot(angles, surgery, "x--", label="PCGrad")
bottom.plot(angles, partly, "s-", label="partly shared")
bottom.plot(angles, np.sin(np.radians(angles) / 2) ** 2, ":", color="C6", label="floor")
bottom.set(title="…and sharing helps some, ruins others, also with PCGrad", ylabel="squared error",
           xlabel="angle between the two tasks, degrees", xlim=(-5, 235), xticks=angles)  # fmt: skip
label_lines(top)
label_lines(bottom)
plt.show()

# %%
claim("opposed_at_the_optimum", "all angles and draws: largest distance from −1 of the cosine of the two "
      "training gradients at the joint optimum", found[..., 1].max() + 1,
      at_most=1e-9, thesis=True)  # fmt: skip
claim("opposed_and_helpful", "same task twice: error alone over error shared, where that cosine is −1",
      alone[0] / shared[0], at_least=3.5, unit="×")  # fmt: skip
claim("friendly_at_first", "tasks at 60 degrees: mean cosine of the gradients at the start",
      start[3], at_least=0.15)  # fmt: skip
claim("friendly_and_harmful", "tasks at 60 degrees: error shared over error alone",
      shared[3] / alone[3], at_least=1.5, unit="×")  # fmt: skip

# %% [markdown]
# Read the first row: the same task twice. Sharing removes most of the error, and the gradients at the optimum are opposed, since each
# training set pulls toward its own noise. On new data the two agree. At 60 degrees they agree at the start, and
# sharing costs a multiple of the error alone. The column for new data is no oracle either: at 15 degrees it is near zero, while
# sharing cuts the error by more than half. PCGrad's errors stay close to those of the sum, at 0 degrees a little above.
#
# ## The same angle helps with 30 labels and hurts with 300
#
# What every cosine lacks is the other side of the comparison: how good a task is alone. So keep the angle at 15 degrees and change only the number of examples.

# %%
few, many = found[1].mean(dim=0), measure(15, (300, 600)).mean(dim=0)
for n, row in ((30, few), (300, many)):
    print(f"{n:3} examples: start {row[0]:.2f}, alone {row[4]:.4f}, shared {row[5]:.4f}")
claim("helps_with_few", "tasks at 15 degrees, 30 examples: error alone over error shared",
      few[4] / few[5], at_least=1.7, unit="×")  # fmt: skip
claim("hurts_with_many", "tasks at 15 degrees, 300 examples: error shared over error alone",
      many[5] / many[4], at_least=2, unit="×")  # fmt: skip

# %% [markdown]
# With 300 examples the starting gradients are even *better* aligned. The shared vector trades noise for bias, as
# [a prior around the wrong place](transfer_as_prior) does, and there is less noise left to save.
#
# ## No shared vector gets below the floor, however gradients are added
#
# For inputs that vary alike, the errors of a shared vector $\theta$ are $\lVert\theta - w_1\rVert^2$ and $\lVert\theta - w_2\rVert^2$, with $w_1$, $w_2$ the true weights. By the parallelogram law their
# mean is $\lVert\theta - \bar w\rVert^2 + \frac14\lVert w_1 - w_2\rVert^2$, with $\bar w$ halfway. So nothing shared gets below $\frac14\lVert w_1 - w_2\rVert^2$. For vectors of length 1
# at an angle $\varphi$ that is $\sin^2(\varphi/2)$, the dotted line. PCGrad picks another shared vector; the floor stays.

# %%
claim("surgery_keeps_the_harm", "opposed tasks: share of the harm of sharing that PCGrad leaves",
      (surgery - alone)[-1] / (shared - alone)[-1], at_least=0.9)  # fmt: skip
claim("private_parts_end_it", "opposed tasks: share of that harm that private parts leave",
      (partly - alone)[-1] / (shared - alone)[-1], at_most=0.1)  # fmt: skip

# %% [markdown]
# One penalty serves all angles: the private parts keep part of the gain at 0 degrees and avoid nearly all of the harm at 180.
#
# ## Reviews coded backwards: a head repairs what surgery cannot
#
# Real reviews, two labels. The small task marks *praise* with 1 (150 reviews), the large one, from another team, *complaints* (600 others). The
# model is a trunk of eight units on the 200 commonest characters, and a head. Five arms train with Adam for 50 updates, each with the better of two rates
# by validation loss: separate models; trunk and head shared, with the plain sum or PCGrad; a shared trunk with two heads, with either. The sixth, a control,
# shares everything, but the large task is coded like the small one.


# %%
splits = [
    (part["text"][:], torch.tensor(part["label"][:])) for part in chinese_reviews().values()
]
letters = Counter("".join(splits[0][0])).most_common()
common = [c for c, _ in letters if "\u4e00" <= c <= "\u9fff"][:200]


def features(texts: list[str]) -> Tensor:  # (N, 200), 0 or 1
    return torch.tensor([[c in text for c in common] for text in texts]).float()


rows = rng(3).permutation(len(splits[0][0]))[:750]
texts, labels = [splits[0][0][i] for i in rows], splits[0][1][rows]
drawn = [(texts[:150], labels[:150]), (texts[150:], labels[150:]), *splits[1:]]
small, large, validation, test = ((features(x), y.float()) for x, y in drawn)
# Training, validation and test data of both tasks.
alike = [[small, large], [validation, validation], [test, test]]
backwards = [[first, (x, 1 - y)] for first, (x, y) in alike]


# %%
def learn(data: list, own_heads: bool, surgery: bool, rate: float) -> tuple[Tensor, Tensor]:
    """Validation loss, and the share right on test data of each task."""
    g = generator(4)
    trunk = nn.Sequential(Arms((1, 200, 8), g), nn.Tanh())
    heads = nn.ModuleList(Arms((1, 8, 1), g) for _ in range(1 + own_heads))
    shared = [*trunk.parameters(), *(() if own_heads else heads.parameters())]
    optimizer = Adam([*trunk.parameters(), *heads.parameters()], lr=rate)

    def outputs(sets: list) -> list[tuple[Tensor, Tensor]]:
        by_task = zip((heads[0], heads[-1]), sets, strict=False)  # the same one, if shared
        return [(head(trunk(x)).flatten(), y) for head, (x, y) in by_task]

    def losses(sets: list) -> Tensor:
        return torch.stack(
            [F.binary_cross_entropy_with_logits(*pair) for pair in outputs(sets)]
        )

    for _ in range(50):
        optimizer.zero_grad()
        values = losses(data[0])
        values.sum().backward(retain_graph=True)
        if surgery:  # on what is shared; heads of their own keep their gradients
            step = multitask.pcgrad(multitask.task_gradients(values, shared), g)
            parts = step.split([parameter.numel() for parameter in shared])
            for parameter, part in zip(shared, parts, strict=True):
                parameter.grad = part.view_as(parameter)
        optimizer.step()
    with torch.no_grad():
        right = [((out > 0) == y).double().mean() for out, y in outputs(data[2])]
        return losses(data[1]).sum(), torch.stack(right)


def tuned(data: list, own_heads: bool = False, surgery: bool = False) -> Tensor:
    runs = [learn(data, own_heads, surgery, rate) for rate in (0.01, 0.03)]
    return min(runs, key=lambda run: run[0])[1]


separate = [tuned([[sets[task]] for sets in backwards]) for task in (0, 1)]
arms = {"separate models": torch.cat(separate),
        "all shared, sum": tuned(backwards),
        "all shared, PCGrad": tuned(backwards, surgery=True),
        "own heads, sum": tuned(backwards, own_heads=True),
        "own heads, PCGrad": tuned(backwards, own_heads=True, surgery=True),
        "coded alike, all shared": tuned(alike)}  # fmt: skip
print("share right", 11 * " ", "small  large   mean")
for name, right in arms.items():
    print(f"{name:<24}", *(f"{value:.3f} " for value in (*right, right.mean())))

# %%
claim("half_at_most", "all shared: distance of the mean accuracy from one half, with the sum or PCGrad",
      max(abs(arms[f"all shared, {rule}"].mean() - 0.5) for rule in ("sum", "PCGrad")),
      at_most=1e-12)  # fmt: skip
claim("heads_repair", "own heads with the plain sum: mean accuracy less that of all shared, PCGrad",
      arms["own heads, sum"].mean() - arms["all shared, PCGrad"].mean(), at_least=0.08)  # fmt: skip

# %% [markdown]
# With everything shared, one task is right exactly where the other is wrong. So the mean is one half for every optimizer, and the small
# task falls below a coin. With two heads, the same tasks share a trunk and do about as well as separate models, or a little better: one head learns the other sign.
# The tasks never needed different features; "opposed" described the shared *head*. PCGrad does not visibly change either mean. The control shows that pooling was
# not the problem. Between a head and a model of one's own lie [adapters](finetune_strategies_lora).

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Sharing the trunk improves all tasks."** So says many a list of advantages of multitask learning, the source of this question included. The figure has both signs. Sharing is a bet that
# the tasks want nearly the same weights, and it is won more easily with few labels.
#
# **"The dashboard shows a cosine of −0.9, so these tasks must be split."** A team logs cosines once training has settled, sees them sink for
# every pair, and splits a model that was working. Near its optimum, full-batch training does that to every pair. Cosines averaged over early training can compare
# pairs; only runs alone answer whether to split.
#
# **"After PCGrad no task's loss rises."** To first order that holds for two tasks. Take three gradients, $(-1, -2)$, $(0, 1)$ and $(2, 0)$. The first conflicts with both others, which
# are orthogonal, so nothing is left of it. The others keep $(0, 0.2)$ and $(1.6, 0)$ if they meet the first one first and each other next. The step's
# product with the first gradient is $-1.6 - 0.4 = -2$: its loss goes up.
#
# **"I project in place, `G[i] -= …`, task by task."** The second task then meets a gradient that no longer conflicts: in the example above, $g_2 = (-1, 1)$ meets $(1, 1)$, is left alone,
# and the step is along $(0, 2)$ in place of $(1, 2)$. Keep a copy.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Does PCGrad beat a tuned weighted sum?
# {cite:t}`xin2022current` ran large experiments on language and vision and found no gain of such optimizers beyond what traditional optimization of weighted sums achieves. {cite:t}`kurin2022defense` found that the plain
# sum with standard regularization matches or beats them. Tune [the weights](multitask_weighting) first.
# :::
#
# :::{dropdown} When should PCGrad help at all?
# {cite:t}`yu2020gradient` name three conditions that together do harm: conflicting gradients, high curvature and very different lengths. That is a problem
# of optimization, and they report large gains in efficiency and performance. Tasks that need different weights are another problem.
# :::
#
# :::{dropdown} How do you decide which tasks to train together?
# {cite:t}`standley2020tasks` study which tasks cooperate, and assign tasks to a few networks so that cooperating ones share one. {cite:t}`fifty2021efficiently` measure in
# one joint run how a step on one task changes another's loss. Either way, the judge is the loss, not the angle.
# :::
#
# :::{dropdown} Are gradient cosines useless, then?
# No. {cite:t}`wang2021gradient` found that similarity along the training path follows how close languages are, and model quality. Their Gradient Vaccine sets a target for the cosine, which may be positive, where PCGrad only acts below zero.
# Averages over a path compare pairs with each other; the sign at one place decides little.
# :::
#
# :::{dropdown} What does it cost, and why a random order?
# $n$ backward passes, $n$ stored gradients and up to $n(n-1)$ projections per step. The order matters from three tasks on: what one projection removed, the next may bring
# back in part. A fixed order would favor some tasks in every step.
# :::
#
# :::{dropdown} Which method does reach the optimum of the sum?
# Gradient descent on it. CAGrad {cite:p}`liu2021conflict` looks for the step that helps the worst-off task most, near the average gradient, and is built to converge to the optimum of the average loss, not to any Pareto-stationary point.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} pcgrad
# ```

# %%
import torch


def pcgrad(G: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The tasks' gradients, the rows of G (n, P), projected where they conflict, summed (P,)."""
    raise NotImplementedError


check("pcgrad", pcgrad)

# %% [markdown]
# ```{solution} pcgrad
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`yu2020gradient`: PCGrad. {cite:t}`desideri2012multiple`, {cite:t}`sener2018multi`: MGDA, and its form for two tasks. {cite:t}`liu2021conflict`: CAGrad.
# - {cite:t}`evgeniou2004regularized`: a shared vector and private parts.
# - {cite:t}`standley2020tasks`, {cite:t}`fifty2021efficiently`: which tasks to group. {cite:t}`wang2021gradient`: gradient similarity between languages.
# - {cite:t}`xin2022current`, {cite:t}`kurin2022defense`: tuned sums as the baseline.
