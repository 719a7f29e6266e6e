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
# Take each task's gradient on the shared weights, and their cosine. It says whether a step for one helps the other, here and
# now, not whether sharing pays. With more labels, the same two tasks' gradients can agree better, and yet any shared weights leave
# one task worse off than alone. At the optimum of the summed loss, gradients cancel anyway. So train each task alone and compare. PCGrad
# only reweights these gradients. Tasks that need different weights need some of their own: a head, an adapter.
#
# :::{dropdown} The two-minute answer
# *Negative transfer* means that a task does worse in the shared model than alone, on held-out data. It is a verdict per task: one of a
# pair can gain while the other loses. The *cosine* of two tasks' gradients, their dot product over
# their lengths, says whether a small step along one gradient also lowers the other loss. It says so for the place
# where the weights are now. Where the summed loss is least, the gradients add up to zero, so two of them are opposed whatever the tasks.
# At the start of the regressions below, the cosine does follow how alike the tasks are. But whether sharing pays also depends on how well each
# task would do alone, hence on its labels, and no cosine knows that.
#
# PCGrad projects each gradient onto the plane normal to those that it conflicts with, one after the other, and adds up. That
# is a sum with weights of at least 1, chosen anew at each step. For two tasks it stops where the gradients are opposed. There are many such places, and the start
# decides which one it reaches. For convex losses each of them is the optimum of some weighted sum, so tuned loss weights reach it too.
#
# If every choice of loss weights leaves one task worse off than alone, stop mixing gradients and give the tasks weights of their own: a head,
# a small penalized part, an adapter, or two models. Or tell the model which task it is: a prompt is an input.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: defines negative transfer per task, against that task trained alone, on held-out data; sharing need not help.
# - Junior: writes PCGrad for two tasks, projecting against the *original* other gradient, and only if the dot product is negative.
# - Mid: says where a cosine was measured, and why it is −1 at the joint optimum of two tasks.
# - Mid: shows that PCGrad is a weighted sum with positive weights, and where it stops.
# - Senior: the same two tasks gain from sharing with few labels and lose with many.
# - Senior: tries other loss weights before blaming the tasks, then asks *what* is shared: head, trunk or all.
# - Senior: brings controls: alone, plain sum, private weights, each with a tuned rate.

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

dial, wishes = torch.tensor([24.0]), torch.tensor([[19.0], [25.0]])
for _ in range(100):
    dial = dial - 0.1 * multitask.pcgrad(dial - wishes, any_order)
claim("the_dial_stands_still", "thermostat, from 24 degrees: how far 100 steps of PCGrad move the dial",
      (dial - 24).abs(), at_most=0, unit="degrees")  # fmt: skip

# %% [markdown]
# Gradient descent on the sum goes to 22. PCGrad stays at 24, and would stay at 19.1, too. Two dials would end the matter.
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
# the step is zero only where $c = -1$ or both gradients are zero. {cite:t}`yu2020gradient` prove that for two convex losses and small steps PCGrad converges,
# to the optimum of the sum or to a place where the cosine is −1. In the thermostat that is any temperature from 19 to 25.
#
# MGDA {cite:p}`desideri2012multiple` steps along the shortest vector $\alpha g_1 + (1 - \alpha) g_2$, $0 \le \alpha \le 1$. For two tasks
# {cite:t}`sener2018multi` give $\alpha = (g_2 - g_1)\cdot g_2 / \lVert g_1 - g_2\rVert^2$, clipped to that range. The vector is zero at the same
# places, and also where one of the gradients is zero.

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
# ## More labels: the gradients agree better, and sharing turns harmful
#
# Linear regression lets us compute what sharing costs. Two tasks have 20 weights each, true vectors $w_1$ and $w_2$ of length 1 with a chosen angle between
# them. The small task has 30 examples, later 300; the large one has 600. *Error* is a task's squared error on new inputs beyond the noise. *Alone* is each
# task's least squares; *shared* is the one vector with the least sum of the two mean squared errors; *PCGrad* starts at zero and runs until it stands still; *partly shared* adds to a shared vector a private
# part for each task, with one penalty for all angles {cite:p}`evgeniou2004regularized`. *Start* is the gradients' cosine at zero.

# %%
show(LinearTasks.gradients, LinearTasks.excess, LinearTasks.shared)

# %%
# Try: many = 60. Alone, the small task is then still far worse than with 300. Some loss
# weights cost neither task much, and the thesis fails: it takes labels for sharing to hurt.
few, many, large, penalty, draws = 30, 300, 600, 0.1, 5
angles = [0, 15, 30, 60, 90, 135, 180]


def by_pcgrad(tasks: LinearTasks) -> Tensor:
    weights = torch.zeros(20, dtype=torch.float64)
    while (step := multitask.pcgrad(tasks.gradients(weights), any_order)).norm() > 1e-6:
        weights = weights - 0.05 * step
    return weights


rules = {"alone": LinearTasks.alone, "shared": LinearTasks.shared, "PCGrad": by_pcgrad,
         "partly": lambda tasks: tasks.partly_shared(penalty)}  # fmt: skip


def pairs(angle: float, labels: int) -> list[LinearTasks]:
    g = generator(2)
    return [multitask.linear_tasks(angle, (labels, large), g) for _ in range(draws)]


def errors(drawn: list[LinearTasks], rule) -> Tensor:  # (tasks,)
    return torch.stack([tasks.excess(rule(tasks)) for tasks in drawn]).mean(dim=0)


def start(drawn: list[LinearTasks]) -> Tensor:
    zero = torch.zeros(20, dtype=torch.float64)
    return sum(multitask.cosine_matrix(tasks.gradients(zero))[0, 1] for tasks in drawn) / draws


found = {}
print(f"{'small task':>31} {'large task':>31}\nlabels angle start", *2 * [*rules], sep="   ")
for labels, angle in [(few, angle) for angle in angles] + [(many, 15)]:
    drawn = pairs(angle, labels)
    rows = torch.stack([errors(drawn, rule) for rule in rules.values()])  # (rules, tasks)
    found[labels, angle] = dict(zip(rules, rows, strict=True))
    print(f"{labels:6} {angle:5} {start(drawn):6.2f}", *(f"{x:8.4f}" for x in rows.T.flatten()))

# %% [markdown]
# At 15 degrees and 30 labels, one cosine covers two verdicts: the small task gains, the large one loses. The plain sum is to blame: it weighs 30 noisy
# examples as much as 600, so the large task loses even where the tasks are the same. Varying the weights of the two
# losses traces the whole trade-off, and PCGrad stops on it.

# %%
shares = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)  # the small task's loss weight


def front(labels: int) -> Tensor:  # (shares, tasks): error over the error alone
    drawn = pairs(15, labels)
    weighted = [errors(drawn, lambda t, s=s: t.shared(torch.stack([s, 1 - s]))) for s in shares]
    return torch.stack(weighted) / found[labels, 15]["alone"]


fronts = {labels: front(labels) for labels in (few, many)}

# %% mystnb={"image": {"alt": "Two charts. Above, on logarithmic axes, the large task's error against the small task's, each over its error alone, for all loss weights at 15 degrees. The curve for 30 labels ends at the upper edge of a green box where both ratios are below one; the curve for 300 labels stays far outside. A cross for PCGrad lies on each curve near the dot of the plain sum. Below, the mean error over the angle from 0 to 180 degrees: alone is flat and low; shared and PCGrad rise together to more than one, above a dotted floor; partly shared stays close to alone."}} tags=["hide-input"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(5, 7))
for (labels, line), color in zip(fronts.items(), ("C0", "C1"), strict=True):
    top.loglog(*line.T, color=color, label=f"{labels} labels")
    for rule, marker in (("shared", "o"), ("PCGrad", "x")):
        ratio = found[labels, 15][rule] / found[labels, 15]["alone"]
        top.plot(*ratio, marker, color=color, markersize=6 if marker == "o" else 10)
top.fill_between([0.05, 1], 0.5, 1, color="C2", alpha=0.2)
top.text(0.06, 0.6, "no task loses", color="C2")
top.set(title=f"15 degrees: with {many} labels no weights spare both", xlim=(0.05, 60), ylim=(0.5, 60),
        xlabel="small task: error over alone", ylabel="large task: error over alone")  # fmt: skip
top.plot([], [], "ko", label="plain sum")
top.plot([], [], "kx", label="PCGrad")
top.legend()
for rule, style in zip(rules, ("o-", "o-", "x--", "s-"), strict=True):
    bottom.plot(angles, [found[few, a][rule].mean() for a in angles], style, label=rule)
bottom.plot(angles, np.sin(np.radians(angles) / 2) ** 2, ":", color="C6", label="floor")
bottom.set(title="30 labels: far apart, all shared vectors fail", ylabel="mean error of both",
           xlabel="angle between the two tasks, degrees", xlim=(-5, 235), xticks=angles)  # fmt: skip
label_lines(bottom)
plt.show()

# %%
claim("agree_better_with_many", "tasks at 15 degrees: cosine at the start with 300 labels less that with 30",
      start(pairs(15, many)) - start(pairs(15, few)), at_least=0.08)  # fmt: skip
claim("no_weights_spare_both", "tasks at 15 degrees, 300 labels: error over error alone of the worse-off task, "
      "under the loss weights that are best for it", fronts[many].amax(dim=1).min(),
      at_least=2.3, unit="×", thesis=True)  # fmt: skip
claim("weights_spare_both_with_few", "the same with 30 labels", fronts[few].amax(dim=1).min(),
      at_most=1.5, unit="×")  # fmt: skip

# %% [markdown]
# With 30 labels, a small weight on the small task saves most of its error and costs the large task next to nothing. With 300 the starting gradients
# agree *better*, since there is less noise in them, and every weighting leaves a task far worse off than alone. The shared vector trades noise for bias, as
# [a prior around the wrong place](transfer_as_prior) does, and there is less noise left to save.
#
# And on the whole trade-off the cosine is −1: where $a_1L_1 + a_2L_2$ is least, $a_1g_1 + a_2g_2 = 0$, so the gradients are opposed or both
# zero, even where sharing helps. For $n$ tasks and a plain sum, $\sum_{i \ne j} g_i \cdot g_j = -\sum_i \lVert g_i\rVert^2$: some pair conflicts. (A regularizer is
# one more term. A network that fits all training sets perfectly has only zero gradients, and small batches blur everything.)
#
# ## No shared vector gets below the floor, however gradients are added
#
# For inputs that vary alike, the errors of a shared vector $\theta$ are $\lVert\theta - w_1\rVert^2$ and $\lVert\theta - w_2\rVert^2$. By the parallelogram law their
# mean is $\lVert\theta - \bar w\rVert^2 + \frac14\lVert w_1 - w_2\rVert^2$, with $\bar w$ halfway. So no shared vector has a mean below $\frac14\lVert w_1 - w_2\rVert^2$. For vectors of length 1
# at an angle $\varphi$ that is $\sin^2(\varphi/2)$, the dotted line.

# %%
opposed = {rule: error.mean() for rule, error in found[few, 180].items()}
harm = opposed["shared"] - opposed["alone"]
claim("surgery_keeps_the_harm", "opposed tasks: share of the harm of sharing that PCGrad leaves",
      (opposed["PCGrad"] - opposed["alone"]) / harm, at_least=0.9)  # fmt: skip
claim("private_parts_end_it", "opposed tasks: share of that harm that private parts leave",
      (opposed["partly"] - opposed["alone"]) / harm, at_most=0.1)  # fmt: skip

# %% [markdown]
# The penalty was not tuned. Still, private parts keep some of the gain of the small task at 0 degrees and avoid nearly all of the harm at 180.
#
# ## Reviews coded backwards: a head repairs what surgery cannot
#
# Real reviews, two tasks. The small one marks *praise* with 1 (150 reviews); the large one, from another team, marks *complaints* with 1 (600 others). The
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
claim("heads_repair", "own heads with the plain sum: mean accuracy less that of all shared, PCGrad",
      arms["own heads, sum"].mean() - arms["all shared, PCGrad"].mean(), at_least=0.08)  # fmt: skip

# %% [markdown]
# All arms are tested on the same reviews, so with everything shared one task is right exactly where the other is wrong: the mean is one half for every
# optimizer. With two heads, the same tasks share a trunk, and one head learns the other sign.
# The tasks never needed different features; "opposed" described the shared *head*. The control shows that pooling was
# not the problem. Between a head and a model of one's own lie [adapters](finetune_strategies_lora).

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Sharing the trunk improves all tasks."** So say many lists of its advantages, the source of this question included. The figure has both signs. Sharing is a bet that
# the tasks want nearly the same weights, and it is won more easily with few labels.
#
# **"The dashboard shows a cosine of −0.9, so these tasks must be split."** A team logs the cosine of its two tasks once training has settled, sees it sink,
# and splits a model that was working. Near the optimum, full-batch gradients of any two tasks do that. Only runs alone answer whether to split.
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
# {cite:t}`xin2022current` ran large experiments on language and vision and found no gain of such optimizers beyond what traditional optimization achieves. {cite:t}`kurin2022defense` found that the plain
# sum with standard regularization and stabilization matches or beats them. Tune [the weights](multitask_weighting) first.
# :::
#
# :::{dropdown} When should PCGrad help at all?
# {cite:t}`yu2020gradient` name three conditions that together do harm: conflicting gradients, high curvature and very different lengths. That is a problem
# of optimization, and they report large gains in efficiency and performance. Tasks that need different weights are another problem.
# :::
#
# :::{dropdown} A prompted language model shares every weight. Why is it not torn apart?
# Its input names the task, as T5's prefixes do {cite:p}`raffel2020exploring`. "Praise?" and "complaint?" before the same review are two inputs, and one function can answer
# both. The floor above holds for models that cannot tell the tasks apart. What remains is competition for capacity.
# :::
#
# :::{dropdown} How do you decide which tasks to train together?
# {cite:t}`standley2020tasks` study which tasks cooperate, and assign tasks to a few networks so that cooperating ones share one. {cite:t}`fifty2021efficiently` measure in
# one joint run how a step on one task changes another's loss.
# :::
#
# :::{dropdown} Are gradient cosines useless, then?
# No. {cite:t}`wang2021gradient` found that similarity along the training path follows how close languages are, and model quality. Their Gradient Vaccine sets a target for the cosine, which may be positive, where PCGrad only acts below zero.
# :::
#
# :::{dropdown} What does it cost, and why a random order?
# $n$ backward passes, $n$ stored gradients and up to $n(n-1)$ projections per step. The order matters from three tasks on: what one projection removed, the next may bring
# back in part, and a fixed order would favor some tasks.
# :::
#
# :::{dropdown} Which method does reach the optimum of the sum?
# Gradient descent on it. CAGrad {cite:p}`liu2021conflict` looks for the step that helps the worst-off task most, near the average gradient, and is built to converge to the optimum of the average loss, not to any point of the trade-off.
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
# - {cite:t}`standley2020tasks`, {cite:t}`fifty2021efficiently`: which tasks to group. {cite:t}`wang2021gradient`: gradient similarity between languages. {cite:t}`raffel2020exploring`: tasks named in the input.
# - {cite:t}`xin2022current`, {cite:t}`kurin2022defense`: tuned sums as the baseline.
