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
#     question_zh: 如何进行语言模型的在线更新？
#     short: Learning from a stream
#     source: S12
#     tasks:
#     - reservoir_add
# ---

# %% [markdown]
# # How do you update a deployed model on a stream without forgetting?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Gradient steps on new data alone overwrite what was learned before. My default is replay: keep a uniform sample of the stream
# and mix it into each batch. On permuted digits, at equal memory, it beats EWC, whose penalty, made strong enough to forget as little,
# keeps the network from learning new tasks. On the live stream I test each example before training on it. But that score
# trusts the labels, so updates must pass a trusted canary set, with a snapshot to roll back to.
#
# :::{dropdown} The two-minute answer
# First name the problem. If the inputs change and the question stays, it is *domain-incremental*; if the model is told which
# task it faces, *task-incremental*; if new classes join and it must tell all of them apart, *class-incremental*.
#
# Then measure two things. *Stability* is the accuracy that remains on old tasks, *plasticity* the accuracy on a new task
# when it has just been learned. A matrix of accuracies, a row after each task and a column for each task, has both.
#
# Replay needs old data. A reservoir keeps a fixed number of examples, each seen so far with equal probability. EWC
# needs none: it charges for moving each weight, by how much the old predictions depend on that weight, the Fisher information. It
# looks at weights one by one and only near the old solution, so its price for a long move can be far off.
#
# In production the hard part is labels and trust. Candidate weights are trained aside, run in shadow, compared with the serving ones on
# fixed trusted examples, released to a small share of traffic, and rolled back when a check fails. When only facts change, retrieval may
# spare the update.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: plain SGD on new data forgets; replay mixes old examples in.
# - Junior: prequential evaluation, predict first and train afterwards.
# - Mid: task-, domain- or class-incremental; which one the product has.
# - Mid: writes reservoir sampling and proves that it is uniform.
# - Mid: EWC's penalty, whose labels its Fisher averages over, and what several tasks add.
# - Senior: reports stability and plasticity, at equal memory and compute, with λ chosen on validation data.
# - Senior: gates updates on trusted data, keeps snapshots, and knows what a stale canary set does.

# %% tags=["hide-input"]
import copy
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.special import gammaincc
from torch import Tensor, nn

from lmprep.data.corpora import digits
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, setup, show
from lmprep.practice import check
from lmprep.training.optim import SGD
from lmprep.transfer.continual import (
    ReplayBuffer,
    accuracy,
    accuracy_matrix,
    cl_metrics,
    ewc_penalty,  # fmt: skip
    fisher_diag,
    guarded,
    learn_in_turn,
    prequential,
)

device = setup()

# %% [markdown]
# ## Eight sites plug in the same camera, each in its own order
#
# A network reads digits from a camera of 8 × 8 pixels, over 64 wires. Site after site comes online, and each technician
# plugs the wires in another order. Digits stay digits, the input is permuted, and nobody tells the network at which
# site it is: *domain-incremental* learning, in the terms of {cite:t}`vandeven2022three`. Once a site is done, its images are gone.

# %%
data = digits()


def load(name: str) -> tuple[Tensor, Tensor]:
    part = data[name][:]
    images = torch.from_numpy(part["image"]).flatten(1)  # (N, 64)
    return images.to(device), torch.from_numpy(part["label"]).to(device)


train, validation, test = map(load, ("train", "validation", "test"))
cables = [torch.randperm(64, generator=generator(k)) for k in range(1, 9)]
parts = {"train": train, "validation": validation, "test": test}
sites = {name: [(x[:, cable], y) for cable in cables] for name, (x, y) in parts.items()}

# %% [markdown]
# Let $R_{ij}$ be the accuracy on site $j$ after learning site $i$, of $T$. *Average accuracy* is the mean of the last row.
# *Forgetting* is the best accuracy that a site had before the end, minus its last, averaged over all sites but the last
# {cite:p}`chaudhry2018riemannian`; *backward transfer* is the last row minus the diagonal {cite:p}`lopezpaz2017gradient`. Suppose three sites
# give the rows (.9, .1, .1), (.5, .9, .1) and (.3, .7, .8). Average accuracy is .6, forgetting (.6 + .2)/2 = .4, backward transfer −.4.
#
# ## A reservoir gives every image the same chance of a seat
#
# Replay needs a sample of everything seen, without knowing how long the stream will be. Fill $k$ seats. From then on, draw a whole
# number below $n$ for the $n$-th image; if it is the number of a seat, the image takes that seat {cite:p}`vitter1985random`. The newest is in with probability
# $k/n$. An older one was in with $k/(n-1)$, by induction, and loses its seat with probability $1/n$:
#
# $$ \frac{k}{n-1}\Big(1 - \frac1n\Big) = \frac kn . $$
#
# Count who sits, over many streams of 20. If all is fair, the squared deviations, divided by the right variance, follow a
# χ² law with 19 degrees of freedom. (Seats are drawn without replacement: the variance is $\tfrac{k(n-k)}{n(n-1)}$ per stream, not $k/n$.)

# %%
n, k, streams = 20, 5, 1000
counts, draw = np.zeros(n), rng(1)
for _ in range(streams):
    buffer = ReplayBuffer(k, draw)
    for item in torch.arange(n):
        buffer.add((item, item))
    counts[[int(item) for item, _ in buffer.examples]] += 1
chi2 = ((counts - streams * k / n) ** 2).sum() / (streams * k * (n - k) / (n * (n - 1)))
claim("reservoir_is_fair", "reservoir of 5 from streams of 20: p-value of the χ² test for equal chances",
      gammaincc((n - 1) / 2, chi2 / 2), at_least=0.002)  # fmt: skip

# %% [markdown]
# ## EWC ties each weight to its old value with a spring
#
# Elastic weight consolidation stores no images {cite:p}`kirkpatrick2017overcoming`. It keeps the old weights $\theta^*$, the *anchor*, and
# one stiffness for each weight, and adds to the new loss
#
# $$ \tfrac12 \lambda \sum_i F_i\, (\theta_i - \theta^*_i)^2, \qquad
# F_i = \mathbb E_x \sum_y p(y \mid x) \Big(\frac{\partial \log p(y \mid x)}{\partial \theta_i}\Big)^2 . $$
#
# $F_i$ is the diagonal of the *Fisher information*. The sum runs over labels as *the model* expects them. The *empirical* Fisher takes
# the given labels, and is another matrix: where a wrong label surprises the model it is large, and it does not in general measure
# curvature {cite:p}`kunstner2019limitations`. For logistic regression the true one is the mean of $p(1-p)\,x_i^2$ for each class.
#
# **Several tasks.** Take one weight and three tasks with loss $\tfrac12 a (w - c)^2$: $(a, c)$ = (1, 0), (1, 4), (2, 6). The best for all
# is $(0 + 4 + 12)/4 = 4$. After two tasks EWC stands at 2. One spring of stiffness 1 + 1 at 2, and the third task:
# $(2 \cdot 2 + 2 \cdot 6)/4 = 4$, exact. With a spring for each task, at 0 and at 2: $(0 + 2 + 12)/4 = 3.5$, since the second anchor leans
# toward the first task already, which thus counts twice. Kirkpatrick kept a spring per task; this is the objection of {cite:t}`huszar2018note`. We
# add up the Fishers and keep the latest anchor.

# %%
show(ewc_penalty, fisher_diag)

# %%
linear = nn.Linear(64, 10).to(device).double()
x = train[0].double()
p = linear(x).softmax(dim=1).detach()  # (N, K)
agrees("fisher", "Σ p(1 − p) x xᵀ / N, the diagonal", fisher_diag(linear, x)["weight"].cpu(),
       np.einsum("nk,nd->kd", (p * (1 - p)).cpu().numpy(), x.cpu().numpy() ** 2) / len(x), atol=1e-12)  # fmt: skip

# %% [markdown]
# ## At equal forgetting, replay learns the new and EWC does not
#
# All methods get the same network (64-100-10), as many updates, and 32 images per update. Replay takes half of them from a
# reservoir of 230 images, so it sees *fewer* new ones. It stores 230 × 65 = 14,950 numbers; EWC's anchor and Fisher have
# 2 × 7,510 = 15,020. A third buffer of the same size holds the newest images in place of a fair sample. The learning rate is the best of three
# for the first site alone. Whatever is chosen is chosen on validation images; the table shows test images.

# %%
# Try: memory = 20, two or three images for each site:
# replay forgets more, and its lead shrinks or goes.
rates, strengths, memory, steps, batch = [0.003, 0.01, 0.03], [3, 10, 30, 100], 230, 50, 32

start = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10)).to(device)
Examples = tuple[Tensor, Tensor]


class Newest(ReplayBuffer):
    def add(self, example: Examples) -> None:
        self.examples = [*self.examples, example][-self.capacity :]


def learn(rate: float, last: int | None = None, **options: Any) -> list[nn.Module]:
    return learn_in_turn(start, sites["train"][:last], rate=rate, steps=steps, batch=batch,
                         generator=generator(5), **options)  # fmt: skip


show(learn_in_turn)

# %%
rate = max(rates, key=lambda rate: accuracy(learn(rate, 1)[0], sites["validation"][0]))
arms = {f"EWC {s:g}": {"strength": s} for s in strengths}
arms |= {"plain": {}, "newest": {"buffer": Newest(memory, rng(2))}}
arms["replay"] = {"buffer": ReplayBuffer(memory, rng(2))}
runs = {arm: learn(rate, **options) for arm, options in arms.items()}
R = {arm: accuracy_matrix(runs[arm], sites["test"]) for arm in arms}
held_out = {arm: accuracy_matrix(runs[arm], sites["validation"]) for arm in arms}
new = {arm: R[arm].diagonal()[1:].mean() for arm in arms}
print(f"rate {rate}   accuracy  forgetting  just learned  sites at the end")
for arm in arms:
    scores = cl_metrics(R[arm])
    print(f"{arm:<13}{scores.accuracy:<10.2f}{scores.forgetting:<12.2f}{new[arm]:<14.2f}",
          R[arm][-1].round(2))  # fmt: skip
springs = [f"EWC {s:g}" for s in strengths]
best = max(springs, key=lambda arm: held_out[arm][-1].mean())
forgets = {arm: cl_metrics(held_out[arm]).forgetting for arm in arms}
as_stable = next((arm for arm in springs if forgets[arm] <= forgets["replay"]), springs[-1])
print(
    "on validation images: most accurate",
    best + ", first to forget no more than replay",
    as_stable,
)

# %% mystnb={"image": {"alt": "Accuracy on sites just learned against forgetting. EWC's points form a line from plain training, high in both, down to the stiffest springs, low in both. Replay lies above this line: it forgets about as little as stiff springs and learns nearly as well as plain training. The buffer of the newest images lies between replay and plain training."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(6.4, 3.8))
line = ["plain", *springs]
forgetting = {arm: cl_metrics(R[arm]).forgetting for arm in arms}
ax.plot([forgetting[arm] for arm in line], [new[arm] for arm in line], "o-")
for arm, marker in (("newest", "s"), ("replay", "D")):
    ax.plot(forgetting[arm], new[arm], marker, markersize=8)
for arm in arms:
    ax.annotate(arm.replace("EWC", "EWC, λ ="), (forgetting[arm], new[arm]), xytext=(6, -13),
                textcoords="offset points", fontsize=9)  # fmt: skip
ax.set(xlim=(0, 0.8), ylim=(0.2, 1), xlabel="forgetting (better to the left)",
       ylabel="accuracy on sites just learned", title="Springs trade the new for the old; replay has both")  # fmt: skip
plt.show()

# %%
claim("replay_learns_and_keeps", "accuracy on new sites just learned: replay minus EWC with the softest springs that forget no more",
      new["replay"] - new[as_stable], at_least=0.12, thesis=True)  # fmt: skip
claim("replay_beats_ewc", "eight permutations of digits, equal memory: average accuracy of replay minus the best EWC's",
      R["replay"][-1].mean() - R[best][-1].mean(), at_least=0.06)  # fmt: skip
claim("plain_forgets", "eight permutations of digits: forgetting of plain training",
      cl_metrics(R["plain"]).forgetting, at_least=0.3)  # fmt: skip
claim("springs_help", "average accuracy: best EWC minus plain training",
      R[best][-1].mean() - R["plain"][-1].mean(), at_least=0.1)  # fmt: skip
claim("replay_learns_too", "accuracy on new sites just learned: plain training minus replay",
      new["plain"] - new["replay"], at_most=0.1)  # fmt: skip
claim("fair_sample_matters", "average accuracy: replay from a reservoir minus replay of the newest images",
      R["replay"][-1].mean() - R["newest"][-1].mean(), at_least=0.12)  # fmt: skip

# %% [markdown]
# EWC does help: at its best λ it beats plain training. But stiffer springs raise what remains of the old sites and lower what is
# learned of the new: *stability* is bought with *plasticity*. Replay learns new sites nearly as well as plain training, on half as many of their
# images. A site has more images than the buffer has seats, so the newest ones all come from the site before, and the earlier sites fade:
# keeping data is not enough, the sample must be fair. All this is one small benchmark. When new *classes* arrive and one head must tell all of them apart, parameter
# regularization such as EWC failed in the comparison of {cite:t}`vandeven2022three`, while replay worked.
#
# ## A live stream is graded by the labels that it brings
#
# Now the loop of every tutorial: predict, get the label, take an SGD step. Scored *before* each step, it yields the *prequential* accuracy, on examples
# that the model has not trained on {cite:p}`gama2013evaluating`. A linear model starts on one cable; after 500 images
# someone swaps the cable; after 1,000, every label that arrives is one too high, say from users who conspire. A canary set, trusted images never
# trained on, is taken with the cable of the day.

# %%
show(prequential, guarded)

# %%
order = torch.randperm(len(train[1]) + len(validation[1]), generator=generator(6))
pool = [torch.cat(parts)[order] for parts in zip(train, validation, strict=True)]


def chunks(first: int, last: int, cable: Tensor, shift: int = 0) -> list[list[Examples]]:
    """Chunks of 100 images, in batches of 4."""
    images, labels = pool[0][first:last, cable], (pool[1][first:last] + shift) % 10
    batches = list(zip(images.split(4), labels.split(4), strict=True))
    return [batches[k : k + 25] for k in range(0, len(batches), 25)]


(old_canary, new_canary), online = sites["test"][:2], nn.Linear(64, 10).to(device)
step = partial(SGD, lr=0.3)
guarded(online, chunks(0, 500, cables[0]), step(online.parameters()), old_canary)
stream = chunks(500, 1000, cables[1]) + chunks(1000, 1400, cables[1], shift=1)
static, fresh, stale = (copy.deepcopy(online) for _ in range(3))
frozen = torch.cat([prequential(static, chunk) for chunk in stream]).double()
hits, scores = guarded(online, stream, step(online.parameters()), new_canary)
guarded(fresh, stream, step(fresh.parameters()), new_canary, tolerance=0.1)
guarded(stale, stream, step(stale.parameters()), old_canary, tolerance=0.1)
served = hits.double()
print("prequential, each 100:", [f"{h:.2f}" for h in served.unflatten(0, (-1, 100)).mean(1)])
print("canary, after each 100:", [f"{score:.2f}" for score in scores[1:]])
ends = [accuracy(model, new_canary) for model in (static, online, fresh, stale)]
print(
    "canary at the end: static {:.2f}, online {:.2f}, gated {:.2f}, old gate {:.2f}".format(
        *ends
    )
)
claim("online_adapts", "after the cable swap, images 300 to 500: prequential accuracy, online minus static",
      (served[300:500] - frozen[300:500]).mean(), at_least=0.3)  # fmt: skip
claim("poison_looks_fine", "last 100 images with false labels: prequential accuracy minus accuracy on canary images",
      served[-100:].mean() - scores[-1], at_least=0.3)  # fmt: skip
claim("gate_holds", "after the false labels: accuracy on right labels, gated minus not gated",
      ends[2] - ends[1], at_least=0.3)  # fmt: skip
claim("stale_gate_blocks", "accuracy on the new cable at the end: gated by new canary images minus by old ones",
      ends[2] - ends[3], at_least=0.2)  # fmt: skip

# %% [markdown]
# The static model is lost when the cable moves; the online one recovers. Then the labels turn false, and *its own score recovers
# too*: it predicts what it is told, and canary images show that it reads almost no digit right. A gate that rolls back every chunk that
# costs canary accuracy keeps the good weights. The last line is the price: a gate whose canary images still show the old
# cable takes adaptation for damage, and rolls it back. A canary set must follow the world, from a source that users cannot write to.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Continual learning is the loop that calls `backward` on each new batch."** That loop is online SGD. It is right where the world
# drifts and the past does not return, as after the cable swap. It contains nothing that protects the past: run it over the eight sites, and it is the row *plain*.
#
# **"The Fisher is the squared gradient of the batch, which backward has computed already."** Two examples with gradients +1 and −1
# have a mean gradient of 0, and its square is 0; their Fisher entry is 1. Near a minimum that is not the exception but the rule.
# Square for each example, then average.
#
# **"Tay was hacked."** In March 2016 Microsoft's chatbot was taken down within a day. Microsoft called it a coordinated attack that
# exploited a vulnerability {cite:p}`lee2016learning`. Nobody had to break into a server: the way in was what
# users said to it. The remedy is a gate between that and what is served.
#
# **"Regularization is the private choice, because no data is kept."** Often said, and partly right: nothing is stored
# verbatim. But weights and Fisher come from those data, and models can leak what they were trained on. If a person asks for deletion, deleting
# a row from a buffer is easy. Taking it out of the weights is not.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why only the diagonal of the Fisher?
# For $P$ weights the full matrix has $P^2$ entries: 56 million for this small network. Between the two stand approximations by
# blocks, such as Kronecker factors for each layer. The diagonal prices each weight as if all others stood still, and so misses moves in
# which many small changes push the same logit.
# :::
#
# :::{dropdown} When are true and empirical Fisher close?
# If the model's probabilities are those of the data, drawing labels from the model or from the data is the same, and both agree in expectation. A
# model that is wrong, or that fits its training labels perfectly, breaks the condition: with perfect fit all gradients vanish.
# :::
#
# :::{dropdown} Replay is not allowed to keep user data. What now?
# Replay samples of a generative model of the old data {cite:p}`shin2017continual`, or licensed and synthetic data
# of the same kind. Or keep the old model as a teacher on new inputs. A generator may memorize, so it needs a privacy test too.
# :::
#
# :::{dropdown} And for a large language model?
# Continued pre-training usually replays a share of the old mixture. {cite:t}`ibrahim2024simple` found that re-warming and re-decaying the learning
# rate, together with replay, matched retraining on all data in their settings. For small updates, an adapter leaves
# [a base to return to](finetune_strategies_lora).
# :::
#
# :::{dropdown} How do you roll an update out?
# Train a candidate aside, check it offline on old, new and canary sets, run it in shadow on live traffic without showing its answers, then serve a small share
# and compare. Keep the previous weights loaded, and let an alarm switch back without a human. Log which data went into which version.
# :::
#
# :::{dropdown} Is retrieval an alternative?
# For facts that change, yes: edit the index, and the weights stay. It does not teach a new skill, format or language, and the
# index can be poisoned as well.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} reservoir_add
# ```

# %%
from typing import Any

import numpy as np


def reservoir_add(
    buf: list[Any], item: Any, n_seen: int, k: int, rng: np.random.Generator
) -> None:
    """One step of reservoir sampling, in place.

    buf: the sample so far, min(n_seen, k) items.
    n_seen: how many items came before this one. k: seats, from 0.
    """
    raise NotImplementedError


check("reservoir_add", reservoir_add)

# %% [markdown]
# ```{solution} reservoir_add
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`kirkpatrick2017overcoming`: EWC. {cite:t}`huszar2018note`: several tasks. {cite:t}`kunstner2019limitations`: which Fisher.
# - {cite:t}`vandeven2022three`: three types. {cite:t}`lopezpaz2017gradient`, {cite:t}`chaudhry2018riemannian`: what to measure.
# - {cite:t}`vitter1985random`: reservoirs. {cite:t}`gama2013evaluating`: prequential evaluation.
# - {cite:t}`shin2017continual`: generated replay. {cite:t}`ibrahim2024simple`: language models. {cite:t}`lee2016learning`: Tay.
