# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 3
#     level: 2
#     needs:
#     - cross_entropy_numerics
#     question_zh: 语言模型的训练过程中有哪些常用的优化方法？
#     short: Adam from SGD
#     source: L02
#     tasks:
#     - adamw_step
# ---

# %% [markdown]
# # Derive Adam and AdamW from SGD. Why do language models need them?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# SGD steps along the gradient, momentum along a fading sum of gradients. Adam averages the gradient, averages its
# square, corrects both averages for starting at zero, and divides the first by the root of the second, coordinate by
# coordinate. In large batches a rare word's own parameters get gradients as small as the word is rare; the division cancels
# that: one reason for Adam in language models, not the only one. AdamW shrinks the weights outside the
# division, so decay does not depend on the gradient's size.
#
# :::{dropdown} The two-minute answer
# Training minimizes a mean over tokens, so a word with share $\pi$ of the text sends a gradient proportional to
# $\pi$ to the parameters that only it uses. In SGD such a word has, in effect, the learning rate $\eta\pi$. The
# commonest word limits $\eta$, because its own step must stay stable, and the rare ones crawl. Momentum lengthens all
# steps alike, so the ratio between words stays.
#
# Adam keeps two numbers per parameter: $m$, an average of gradients $g$, and $v$, an average of $g^2$. If a
# parameter's gradients are all scaled by $\pi$, then $m$ is scaled by $\pi$ and $\sqrt v$ too, and $m/\sqrt v$ does not
# change. Hence each parameter moves by about $\eta$ per step at first, whatever its gradient's scale.
#
# Both averages start at 0. After $t$ steps their weights sum to $1-\beta^t$; dividing by that makes them proper means.
# A small $\varepsilon$ outside the root guards the division by zero.
#
# A penalty $\frac\lambda2\|\theta\|^2$ adds $\lambda\theta$ to the gradient, and then $\sqrt v$ divides it as well.
# AdamW multiplies $\theta$ by $1-\eta\lambda$ instead.
#
# All this is about training speed. It promises nothing for unseen text. Rarity is not the whole story either: in small
# batches well-tuned momentum can keep up although words are as rare as ever.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: writes momentum, Adam's two averages and the update, with $\varepsilon$ outside the root.
# - Junior: tells a schedule and a penalty from an optimizer.
# - Mid: derives bias correction from weights that sum to $1-\beta^t$.
# - Mid: shows that scaling a gradient by a constant scales SGD's steps and leaves Adam's alone.
# - Mid: explains why L2 inside Adam and AdamW's decay differ, and why in plain SGD they are the same.
# - Senior: explains why rare words suffer under one learning rate, and says how to isolate that cause.
# - Senior: compares optimizers at each one's own best learning rate, and knows where the gap shrinks.

# %% tags=["hide-input"]
import re
from collections import Counter
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from lmprep.data.corpora import english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.optim import SGD, Adam, AdamW, PooledAdam

device = setup()

# %% [markdown]
# ## One learning rate means 256 different ones
#
# Take the smallest language model: a table with one row of logits per word, its prediction of the word that follows. For row
# $k$ let $\pi_k$ be the word's share of the text, $q_k$ how often each word follows it, and $p_k$ the softmax of the row.
# Loss and gradient are
#
# $$
# L = -\sum_k \pi_k \sum_y q_{ky} \log p_{ky}, \qquad \frac{\partial L}{\partial \theta_k} = \pi_k\,(p_k - q_k) .
# $$
#
# The rows never meet. Gradient descent, $\theta \leftarrow \theta - \eta g$, thus trains each row alone, with its own
# learning rate $\eta\pi_k$. Say $\eta = 10$: a word with 7 % of the text is trained at rate 0.7, a word with 0.1 % at
# rate 0.01. Raising $\eta$ does not help for long, because the *commonest* row (here row 0, all other words) must stay stable. Gradient descent
# overshoots where $\eta$ exceeds 2 over the curvature. That of row $k$ is at most $\pi_k/2$, less where many words may follow.
#
# The optimum is known: $p_k = q_k$, the counts. So we can say exactly how far each word is from it. The text is Python's
# language reference.

# %%
V, corpus = 256, english_text()  # the commonest 255 words, and row 0 for all others


def words(split: str) -> list[str]:
    return re.findall("[a-z]+", normalize_text(" ".join(corpus[split]["text"])))


common = Counter(words("train")).most_common(V - 1)
rank = {word: i for i, (word, _) in enumerate(common, start=1)}
joint = {}  # share of each pair of neighbors: (V, V)
for split in ("train", "test"):
    ids = torch.tensor([rank.get(word, 0) for word in words(split)])
    counts = torch.bincount(V * ids[:-1] + ids[1:], minlength=V * V).view(V, V)
    joint[split] = counts.double() / counts.sum()
share = joint["train"].sum(dim=1)  # π: (V,)
following = joint["train"] / share[:, None]  # q: (V, V)
for name in ("the", "is", "of", "evaluated", "block"):
    print(f"{name:<10}{share[rank[name]]:8.2%} of the words")

# %% [markdown]
# ## Four changes turn gradient descent into AdamW
#
# **Momentum** steps along a velocity, $v \leftarrow \mu v + g$. Unrolled, $v_t = \sum_{i\le t} \mu^{t-i} g_i$: a steady
# gradient is amplified by $1/(1-\mu)$, ten for $\mu = 0.9$; one that flips its sign at each step is about halved. A factor $\pi_k$ in
# all of a row's gradients stays a factor in its steps, so the ratio between words stays too.
#
# **Division.** To cancel $\pi_k$, divide by something proportional to it that the optimizer can observe: the size of
# the gradients. From here on $v$ is no velocity but an average of squares, one number per coordinate:
#
# $$
# m \leftarrow \beta_1 m + (1-\beta_1)\,g, \qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2, \qquad
# \theta \leftarrow \theta - \eta\,\frac{\hat m}{\sqrt{\hat v} + \varepsilon} .
# $$
#
# **Bias correction.** Unrolled from $m_0 = 0$, $m_t = (1-\beta_1)\sum_{i\le t} \beta_1^{t-i} g_i$, and the weights sum to
# $1-\beta_1^t$, at $t = 1$ only 0.1. So $\hat m = m/(1-\beta_1^t)$, and likewise $\hat v = v/(1-\beta_2^t)$: proper weighted
# means. Without it the first step would be $0.1\,g$ over $\sqrt{0.001}\,|g|$, three times too long.
#
# **Decoupled decay.** AdamW first multiplies $\theta$ by $1-\eta\lambda$, then takes Adam's step. The last
# function below is a variant whose coordinates share one $v$; it will tell us what the division is good for.

# %%
show(SGD.update, Adam.move, AdamW.update, PooledAdam.move)

# %% [markdown]
# The library's tests compare the first three with `torch.optim`, 100 steps at $10^{-12}$. Here is another check: feed in gradients
# whose scales span six powers of ten, and write the loops out as explicit weighted sums.

# %%
lr, T = 0.1, 100
gradients = torch.randn(T, 7, generator=generator(1)).double() * torch.logspace(-3, 3, 7)
age = torch.arange(T).double()[:, None] - torch.arange(T)  # (T, T): steps since a gradient


# Where the gradients take weights that start at 0: (T, 7).
def fed(make, **settings: float) -> Tensor:
    weights, path = torch.zeros(7, dtype=torch.float64), []
    optimizer = make([weights], lr, **settings)
    for gradient in gradients:
        weights.grad = gradient
        optimizer.step()
        path.append(weights.clone())
    return torch.stack(path)


def weighted_sum(beta: float, values: Tensor) -> Tensor:
    return (beta**age).tril() @ values


def weighted_mean(beta: float, values: Tensor) -> Tensor:
    return weighted_sum(beta, values) / weighted_sum(beta, torch.ones_like(values))


step = weighted_mean(0.9, gradients) / (weighted_mean(0.999, gradients**2).sqrt() + 1e-8)
agrees("momentum", "gradients weighted with 0.9^age, added up", fed(SGD, momentum=0.9),
       -lr * weighted_sum(0.9, gradients).cumsum(dim=0), atol=0, rtol=1e-9)  # fmt: skip
agrees("adam", "quotients of weighted means, added up", fed(Adam),
       -lr * step.cumsum(dim=0), atol=1e-10)  # fmt: skip
agrees("adamw", "the same quotients, each decayed by 0.95^age", fed(AdamW, weight_decay=0.5),
       -lr * weighted_sum(0.95, step), atol=1e-10)  # fmt: skip

# %% [markdown]
# Back to the table. With $\varepsilon = 0$ Adam's path should not depend on how common a word is. Train the table on the
# text, then with all words made equally frequent and nothing else changed:


# %%
# The table (V, V) after full-batch steps from zero: no randomness enters.
def train(make, share: Tensor, scale: float = 1.0, num_steps: int = 50) -> Tensor:
    table = torch.zeros(V, V, dtype=share.dtype)
    optimizer = make([table])
    for _ in range(num_steps):
        table.grad = scale * share[:, None] * (table.softmax(dim=1) - following.to(share.dtype))
        optimizer.step()
    return table


equal, exact_adam = torch.full_like(share, 1 / V), partial(Adam, lr=0.3, eps=0.0)
plain = train(exact_adam, share)
claim("rarity_cancels", "Adam, ε = 0: change of any logit if all words are made equally frequent",
      (train(exact_adam, equal) - plain).abs().max(), at_most=1e-8)  # fmt: skip

# %% [markdown]
# ## A v per word closes the gap, one v for all does not
#
# Adam differs from momentum in several ways. Which of them matters? Change one thing: `PooledAdam` is Adam, except that
# $g^2$ is averaged over the whole table, or over each word's row, before it enters $v$. Every optimizer gets 50 full-batch
# steps, each on the gradient of the entire text, at five learning rates about a factor of three apart, and keeps the
# rate with its lowest training loss. A second series repeats everything with equally frequent words.

# %%
# Try: equalize = 0.5, which takes the square root of all frequencies in the "text" runs.
# The shared v catches up, and the thesis breaks. At 1.0 both panels are the same.
equalize = 0.0
rates = [0.03, 0.1, 0.3, 1.0, 3.0]  # SGD's are in units of 30 / the largest share
optimizers = {
    "SGD": SGD,
    "momentum": partial(SGD, momentum=0.9),
    "Adam, one v": partial(PooledAdam, over=(0, 1)),
    "Adam, v per word": partial(PooledAdam, over=(1,)),
    "Adam, β₁ = 0": partial(Adam, betas=(0.0, 0.999)),
    "Adam": Adam,
}


# Nats above the optimum, by pair of words (V, V); a row sums to a KL divergence.
def excess(table: Tensor) -> Tensor:
    return torch.xlogy(following, following) - following * table.double().log_softmax(dim=1)


def loss_on(split: str, table: Tensor) -> float:
    return -(joint[split] * table.double().log_softmax(dim=1)).sum().item()


# Nats per token for each group of 32 words, commonest first: (8,).
def by_rank(costs: Tensor, tokens: Tensor) -> Tensor:
    return costs.view(8, 32).sum(dim=1) / tokens.view(8, 32).sum(dim=1)


shares = {"text": share ** (1 - equalize), "equal": equal}
shares["text"] /= shares["text"].sum()
read, predicted, tested, positions = {}, {}, {}, []
print("words   optimizer              rate   nats above optimum   rarest 32   test loss")
for words_are, weight in shares.items():
    for name, make in optimizers.items():
        unit = 30 / weight.max().item() if name in ("SGD", "momentum") else 1.0
        tables = [train(partial(make, lr=rate * unit), weight.float()) for rate in rates]
        costs = [weight[:, None] * excess(table) for table in tables]  # (V, V) each
        losses = [cost.sum().item() for cost in costs]
        i, key = losses.index(min(losses)), (words_are, name)
        positions.append(i)
        tested[key] = loss_on("test", tables[i])
        read[key] = by_rank(costs[i].sum(dim=1), weight)
        predicted[key] = by_rank(costs[i].sum(dim=0), weight @ following)
        print(f"{words_are:<8}{name:<18}{rates[i] * unit:9.4g}{losses[i]:21.3f}"
              f"{read[key][-1]:12.3f}{tested[key]:12.2f}")  # fmt: skip

# %% mystnb={"image": {"alt": "Two charts, one above the other, of nats above the optimum for eight groups of words from common to rare. Above, words as frequent as in the text: SGD climbs steeply to over two nats, Adam with one v for all and momentum climb nearly as far, and Adam with one v per word, Adam without momentum and Adam stay at zero. Below, all words equally frequent: every optimizer is flat, SGD a little above zero, the others at zero."}} tags=["hide-input"]
fig, rows = plt.subplots(2, 1, figsize=(7.2, 5.6), sharex=True, sharey=True)
titles = "One v for all leaves rare words behind", "Equal frequencies close the gap"
for ax, words_are, title in zip(rows, shares, titles, strict=True):
    for name in optimizers:
        ax.plot(range(1, 9), read[words_are, name], "o-", label=name)
    ax.set(title=title, ylabel="nats above optimum", xlim=(0.7, 10.6))
    ax.set_xticks(range(1, 9), [f"{32 * i + 1}–{32 * i + 32}" for i in range(8)], fontsize=8)
    label_lines(ax)
rows[-1].set_xlabel("rank of the word that is read, by frequency")
plt.show()

# %%
one_v, own_v = ("text", "Adam, one v"), ("text", "Adam")
claim("rare_words_starve", "loss on the rarest words: Adam with one v for all weights minus Adam",
      (read[one_v] - read[own_v])[-1], at_least=1.0, unit="nats", thesis=True)  # fmt: skip
claim("rarity_is_why", "loss on the same words made equally frequent: Adam with one v minus Adam",
      (read["equal", "Adam, one v"] - read["equal", "Adam"])[-1], at_most=0.1, unit="nats")  # fmt: skip
claim("one_v_per_word", "loss on the rarest words above optimum: Adam with one v per word",
      read["text", "Adam, v per word"][-1], at_most=0.1, unit="nats")  # fmt: skip
claim("rare_next_too", "loss where a rare word follows: Adam with one v for all minus Adam",
      (predicted[one_v] - predicted[own_v])[-1], at_least=0.4, unit="nats")  # fmt: skip
# After ten steps one v has not arrived in either series. The rates are chosen anew.
early = {}
for words_are, weight in shares.items():
    for name in ("Adam, one v", "Adam"):
        tables = [train(partial(optimizers[name], lr=rate), weight.float(), num_steps=10)
                  for rate in (0.01, *rates)]  # fmt: skip
        costs = min((weight[:, None] * excess(table) for table in tables), key=torch.sum)
        early[words_are, name] = by_rank(costs.sum(dim=1), weight)[-1]
gaps = [early[words_are, "Adam, one v"] - early[words_are, "Adam"] for words_are in shares]
claim("early_too", "gap on the rarest words after ten steps: if equally frequent, over as in the text",
      gaps[1] / gaps[0], at_most=0.3)  # fmt: skip
claim("rates_inside", "best learning rates that lie at an end of their grid",
      sum(i in (0, len(rates) - 1) for i in positions), at_most=0)  # fmt: skip
claim("faster_is_not_better", "test loss without regularization: Adam minus momentum",
      tested[own_v] - tested["text", "momentum"], at_least=0.4, unit="nats")  # fmt: skip

# %% [markdown]
# SGD leaves rare words far from their optimum. Momentum removes about half of what is missing.
# Adam with one $v$ averages, corrects and adapts too, and does no better than momentum. One $v$ per word closes nearly all of the
# gap, and Adam's own, one per coordinate, the rest. Without momentum, at $\beta_1 = 0$, the gap stays closed. With
# equal frequencies one $v$ serves all words, and not only because 50 steps are then enough: the claim
# *after ten steps* looks before it has arrived. Rare words suffer as *predicted* words too, though less.
#
# In this table words share no parameters. In a Transformer they do, and nothing cancels exactly. Still,
# {cite:t}`kunstner2024heavy` found gradient descent slow on rare words there, and also in vision models and linear models
# whose classes they made heavy-tailed: a few common ones, and very many rare ones that add up. For a simple case in
# continuous time they prove that sign descent, which steps by the sign of each gradient as Adam nearly does, is not slowed.
#
# The last column is a warning. The optimum of the training text repeats its accidents, and Adam gets there first: on test text
# it is the worst of all, until something regularizes it.
#
# ## A penalty is divided by √v, AdamW's decay is not
#
# The L2 penalty $\frac\lambda2\|\theta\|^2$ adds $\lambda\theta$ to the gradient. In plain SGD that shrinks $\theta$ by the factor
# $1-\eta\lambda$: decay and penalty are the same. In Adam $\lambda\theta$ enters $m$ and $v$. Where the data's gradient dominates
# them, $\theta$ shrinks by about $\eta\lambda\theta/\sqrt v$ per step, so a word with small gradients shrinks more. AdamW shrinks
# all words by the same factor. The table shows how much of each word's norm is left, and what remains when the loss is
# multiplied by 1,000.

# %%
decayed = {"Adam": (Adam, 0.0), "Adam + L2": (Adam, 1e-6), "AdamW": (AdamW, 0.1)}
kept, moved, plain_norms = {}, {}, plain.view(8, -1).norm(dim=1)
print("norm kept by            words 1–32, 225–256   same, loss × 1,000   test loss")
for name, (make, decay) in decayed.items():
    setting = partial(make, lr=0.3, eps=0.0, weight_decay=decay)
    once, scaled = train(setting, share), train(setting, share, scale=1000)
    a, b = (t.view(8, -1).norm(dim=1) / plain_norms for t in (once, scaled))
    kept[name], moved[name] = a[-1] / a[0], (scaled - once).abs().max()
    print(f"{name:<10} λ = {decay:<8.3g}{a[0]:11.2f}{a[-1]:10.2f}{b[0]:11.2f}{b[-1]:10.2f}"
          f"{loss_on('test', once):12.2f}")  # fmt: skip
claim("l2_uneven", "Adam + L2: norm kept by the rarest words over norm kept by the commonest",
      kept["Adam + L2"], at_most=0.7, unit="×")  # fmt: skip
claim("adamw_even", "AdamW: norm kept by the rarest words over norm kept by the commonest",
      kept["AdamW"], at_least=0.85, at_most=1.15, unit="×")  # fmt: skip
claim("adamw_unscaled", "AdamW, ε = 0: change of any logit if the loss is 1,000 times larger",
      moved["AdamW"], at_most=1e-8)  # fmt: skip

# %% [markdown]
# Both make test text much cheaper. L2 is no mistake: it heads for the minimum of loss plus penalty, where words with little
# evidence are pulled harder, and here it serves as well as AdamW. But its λ is weighed against the loss, so at 1,000 times
# the loss it all but vanishes. AdamW's decay per step is $\eta\lambda$ whatever the gradients are: one knob less to retune.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Adam is SGD plus momentum."** The name says *adaptive moment estimation*, and the second moment is what SGD lacks. The row
# $\beta_1 = 0$ of the experiment has no momentum at all (RMSProp, but for bias correction) and beats SGD with momentum.
#
# **"Adam sets its own learning rates, so there is nothing to tune."** It sets their ratios. At $t = 1$ each
# coordinate moves by $\eta$, up to $\varepsilon$, so $\eta$ has the units of a weight. If weights start with standard deviation
# 0.02, then $\eta = 0.1$ throws all of them away in one step.
#
# **"`weight_decay` means the same in Adam and AdamW."** Replace one by the other, keep the value, and the model may hardly be
# regularized any more, or far too much. The two values above do about equally well on test text and differ by five powers
# of ten.
#
# **"As optimizer I use `ReduceLROnPlateau`, against overfitting."** A schedule is no optimizer: it changes $\eta$ during
# training. This one, in a Keras `fit` without validation data, only prints a warning; with patience 5 in 10 epochs it could
# cut once at most. Language models' rates fall by plan, so that the noise of the batches averages out, as the
# [page on schedules](lr_schedules) shows.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} What does Adam cost in memory?
# Two float32 numbers per parameter, 8 bytes. In mixed precision come 4 for a float32 copy of the weights, 2 for the 16-bit
# weights and 2 for their gradients: 16 bytes, or 112 GB for 7 billion parameters before any activation.
# :::
#
# :::{dropdown} Can v be smaller?
# Adam-mini keeps one $v$ per block of parameters and so saves about half of the optimizer's memory
# {cite:p}`zhang2025adammini`. In embedding and output layer its code, from version 1.1 on, keeps one per token, as in the
# experiment; before, these two layers got plain AdamW.
# :::
#
# :::{dropdown} Is noise not the reason?
# Not the main one: {cite:t}`kunstner2023noise` enlarged the batch up to the whole data set, and Adam gained more from that
# than SGD. Small batches are the other end: a rare word's gradient is then mostly zero, its mean scales with $\pi$, the mean
# of its square too, so $\sqrt v$ with $\sqrt\pi$, and the division cancels only part of the rarity.
# :::
#
# :::{dropdown} Are rare words the whole reason?
# No. {cite:t}`sreckovic2025batch` found that in small batches tuned momentum performs much like Adam, on text whose words are as
# rare as ever, so they doubt this explanation and its rivals. {cite:t}`zhang2026beyond` saw Adam's lead persist under a uniform
# vocabulary and nearly disappear under a heavy-tailed one, depending on data, architecture and batch size. The table above isolates
# one cause; in a Transformer several meet.
# :::
#
# :::{dropdown} Why β₂ = 0.95 for large models?
# $v$ then remembers about 20 steps instead of 1,000, so it follows a jump in gradient size before many oversized steps
# are taken. Llama 2 was trained with $\beta_2 = 0.95$, decay 0.1 and clipping at norm 1 {cite:p}`touvron2023llama2`.
# :::
#
# :::{dropdown} Does Adam need gradient clipping?
# A gradient 1,000 times its usual size enters $m$ with weight 0.1 and $\sqrt v$ with $\sqrt{0.001}$: the step is about three
# times $\eta$, and $v$ stays inflated long after, so later steps shrink. Clipping bounds both.
# :::
#
# :::{dropdown} Why are norms and biases not decayed?
# They are few, and they scale or shift whole channels, so pulling them to 0 constrains the model oddly. It is a convention
# more than a theorem. Pass two parameter groups, one with decay 0.
# :::
#
# :::{dropdown} What is ε = 1e-8 in half precision?
# In float16 it rounds to 0, and 0/0 follows where a gradient vanishes. bfloat16 can hold it. Keep $m$ and $v$ in float32.
# :::
#
# :::{dropdown} A word is missing from the batch. What happens to its row?
# Its gradient is 0, and yet the row moves: $m$ is not 0 yet, and AdamW decays the row. `torch.optim.SparseAdam` skips such rows.
# :::
#
# :::{dropdown} Does Adam always converge?
# No. {cite:t}`reddi2018convergence` construct a convex problem on which it does not: a rare, large gradient is divided by its own
# size and forgotten. AMSGrad divides by the largest $v$ so far.
# :::
#
# :::{dropdown} What comes after AdamW?
# [Muon](https://kellerjordan.github.io/posts/muon/) treats a hidden layer's weights as a matrix and orthogonalizes its
# momentum. Embeddings and the output layer, with their rows of words, are left to AdamW.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} adamw_step
# ```

# %%
import torch


def adamw_step(p, g, m, v, t, lr, b1, b2, eps, wd):
    """The new (p, m, v) after step t = 1, 2, … of AdamW.

    p, g, m, v: tensors of one shape, float32 or float64; the rest are numbers.
    """
    raise NotImplementedError


check("adamw_step", adamw_step)

# %% [markdown]
# ```{solution} adamw_step
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`kingma2015adam`: Adam. {cite:t}`loshchilov2019decoupled`: AdamW.
# - {cite:t}`kunstner2024heavy`: rare words and gradient descent. {cite:t}`kunstner2023noise`: the gap without noise.
# - {cite:t}`sreckovic2025batch`: small batches, where momentum keeps up. {cite:t}`zhang2026beyond`: no single cause.
# - {cite:t}`zhang2025adammini`: one $v$ per block.
# - {cite:t}`reddi2018convergence`: where Adam fails.
