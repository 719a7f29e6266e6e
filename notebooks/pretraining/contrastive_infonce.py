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
#     question_zh: 描述一种语言模型的对比学习方法。
#     short: Contrastive learning, InfoNCE
#     source: S09
#     tasks:
#     - info_nce
# ---

# %% [markdown]
# # Derive InfoNCE. Why are in-batch negatives and temperature needed?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# InfoNCE is cross-entropy for a question: which of N candidates is this item's partner? The best score is the log of how
# much likelier a candidate is as partner than by chance. So log N minus the loss bounds the shared information from below,
# and never shows more than log N. What the pairs share is kept, even if faint; the rest is dropped, even if loud. Negatives stop
# embeddings from all becoming alike. Temperature stretches cosines, which alone cannot say "sure".
#
# :::{dropdown} The two-minute answer
# Take N pairs, two views of N things. Encode both sides to unit vectors, and put the cosines, divided by the temperature
# $\tau$, into an $N \times N$ table. Partners stand on the diagonal. The loss is the cross-entropy of finding it, along the
# rows and along the columns, averaged. The $N - 1$ negatives cost nothing: they are the other pairs of the batch.
#
# Why it works: by Bayes' rule the probability that a candidate is the partner is proportional to $p(y \mid x) / p(y)$, so the
# best score is the logarithm of that ratio. Expected over batches, $\log N - L$ is at most $I(X; Y)$, the mutual
# information, and at most $\log N$, because a question with N answers has no more to tell.
#
# What is learned is decided by the pairs: whoever chooses the crops, the dropout or the translations chooses what counts
# as noise. Without negatives, giving everything the same vector costs nothing. With a very high temperature negatives
# only push on the mean, and the embedding keeps fewer directions. With $\tau = 1$ a loss on cosines cannot show more than
# about one nat, however good the encoder. With a very low one scores claim more certainty than there is.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: a positive pair is two views of one thing, or a labeled pair; negatives are the other members of the batch.
# - Junior: writes the loss as cross-entropy on an $N \times N$ table of cosines over τ, targets on the diagonal, both directions.
# - Mid: derives the best score, $\log p(y \mid x)/p(y)$, from Bayes' rule.
# - Mid: $\log N - L \le \min(I, \log N)$ in expectation, and $L$ itself may exceed $\log N$.
# - Mid: tells the two collapses apart: to one point, and to few directions.
# - Senior: what the pairs share decides what is kept; for Gaussian factors and a linear encoder it is what canonical correlation analysis keeps.
# - Senior: unit vectors show at most about $1/\tau$ nats; at high τ all negatives weigh the same and act on the mean alone.
# - Senior: says which measure suffers at which end of a sweep of τ, and on which data.

# %% tags=["hide-input"]
import math
import re

import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F
from torch import nn

from lmprep.data.corpora import english_chinese_pairs
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.plotting import heatmap
from lmprep.practice import check
from lmprep.pretraining.contrastive import alignment, info_nce, partner_loss
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

device = setup()

# %% [markdown]
# ## Three menu entries, three translations, and the answers on the diagonal
#
# An encoder reads *Save*, *Copy*, *Run* and 保存, 复制, 运行. Say the exponentials of its scores are
#
# | | 保存 | 复制 | 运行 |
# |---|---|---|---|
# | Save | **4** | 2 | 2 |
# | Copy | 1 | **2** | 1 |
# | Run | 1 | 1 | **2** |
#
# Read a row as a question with three answers. *Save* finds its partner with probability 4/8, *Copy* and *Run* with 2/4: three times
# $\log 2$. Read a column the other way: 保存 with 4/6, the others with 2/5. The loss is the mean over both directions,
# $\tfrac12 \big(\log 2 + \tfrac13(\log\tfrac32 + 2\log\tfrac52)\big)$. Nobody labeled a negative. Every entry is one for
# the others. With $z_i$ and $z'_i$ the two sides' vectors, divided by their lengths, a score is a cosine over a temperature:
# $s_{ij} = z_i \cdot z'_j / \tau$.

# %%
show(partner_loss, info_nce)

# %%
table = torch.tensor([[4.0, 2, 2], [1, 2, 1], [1, 1, 2]], dtype=torch.float64)
by_hand = (math.log(2) + (math.log(3 / 2) + 2 * math.log(5 / 2)) / 3) / 2
agrees("by_hand", "the fractions above", partner_loss(table.log()).item(), by_hand, atol=1e-12)

a, b = torch.randn(2, 12, 5, generator=generator(1), dtype=torch.float64)
scores, diagonal = F.cosine_similarity(a[:, None], b, dim=-1) / 0.1, torch.arange(12)
theirs = (F.cross_entropy(scores, diagonal) + F.cross_entropy(scores.T, diagonal)) / 2
agrees("info_nce", "torch.nn.functional.cross_entropy", info_nce(a, b), theirs, atol=1e-12)

# %% [markdown]
# ## The best score is a density ratio, and a batch of N cannot tell more than log N
#
# One of $y_1 \dots y_N$ was drawn from $p(y \mid x)$, the others from $p(y)$; which, index $J$, is uniform. By Bayes' rule
#
# $$
# P(J = j \mid x, y_1 \dots y_N)
# = \frac{p(y_j \mid x) \prod_{k \ne j} p(y_k)}{\sum_l p(y_l \mid x) \prod_{k \ne l} p(y_k)}
# = \frac{r_j}{\sum_l r_l}, \qquad r_j = \frac{p(y_j \mid x)}{p(y_j)} .
# $$
#
# That is a softmax of $\log r_j$, so $\log r$ is the best score, up to terms that the softmax does not see {cite:p}`oord2018representation`. (Skip-gram with negative samples is after the
# same ratio: [PMI](../foundations/word_vectors_pmi).) No score beats the true posterior, so $L \ge H(J \mid x, y_1 \dots y_N)$, and with $H(J) = \log N$
#
# $$
# \log N - L \;\le\; I(J; X, Y_1 \dots Y_N) \;=\; I(J; X \mid Y_1 \dots Y_N) \;\le\; I(X; Y) .
# $$
#
# The equality holds because the $y$ alone do not betray $J$; the last step, because $J$ and the $y$ together tell about $x$ only
# through $y_J$. The left side is also at most $\log N$, since $L \ge 0$. Both hold on average over batches. To see which one binds, take
# data whose information is known: 8 coordinates with correlation $\rho$, $I = -\tfrac82 \log(1 - \rho^2)$, scored by the true log ratio.


# %%
def best_estimate(information: float, size: int) -> float:
    """log N − L of the true log ratio, for Gaussians that share so many nats."""
    g, rho, losses = generator(2), (1 - math.exp(-2 * information / 8)) ** 0.5, []
    for _ in range(max(2, 256 // size)):
        x, noise = torch.randn(2, size, 8, generator=g, dtype=torch.float64)
        y = rho * x + (1 - rho**2) ** 0.5 * noise
        squares = x.square().sum(1)[:, None] + y.square().sum(1)  # (N, N)
        log_ratio = (rho * x @ y.T - rho**2 / 2 * squares) / (1 - rho**2)  # up to a constant
        losses.append(partner_loss(log_ratio).item())
    return math.log(size) - sum(losses) / len(losses)


truth = [0.5, 1, 2, 3, 4, 6, 8, 12]
print("true nats     " + "".join(f"{nats:6.1f}" for nats in truth) + "   log N")
estimates = {N: [best_estimate(nats, N) for nats in truth] for N in (4, 64, 512)}
for N, row in estimates.items():
    print(f"N = {N:<9} " + "".join(f"{shown:6.2f}" for shown in (*row, math.log(N))))

# %%
claim("batch_of_64_is_blind", "perfect critic, N = 64: rise of log N − L when the true information goes from 8 to 12 nats",
      estimates[64][-1] - estimates[64][-2], at_most=0.3, unit="nats")  # fmt: skip

# %% [markdown]
# The critic was perfect each time. Read a row from the left: the estimate follows the truth while that is well below $\log N$, lags behind it,
# and stops at $\log N$, where 8 and 12 nats look alike. A loss near zero says that the batch was easy. How much more the views share, it cannot say.
# (Estimates slightly above the truth are chance: few batches.)
#
# ## Same inputs, other pairs, and the encoder keeps the opposite
#
# An input of 16 numbers mixes 8 quiet factors (standard deviation 1) and 8 loud ones (3) through a rotation, so that no
# coordinate is any factor. Two views of one thing share eight factors, with correlations from .95 down to .6, and draw the other
# eight afresh. First they share the quiet ones; then the loud ones. A single view has the same distribution in
# both cases. All that changes is which views are called partners. A linear encoder maps 16 numbers to 8. The runs: *InfoNCE* and *loud
# shared* at τ = 0.1, and, with the quiet factors shared again, one without negatives and two at other temperatures.

# %%
# Try: temperature = 1.0. The thesis holds: pairs decide at any temperature. But fewer
# directions are kept, and the claim that negatives keep more of them loses most of its lead.
temperature = 0.1
correlations, loudness = torch.linspace(0.95, 0.6, 8), torch.tensor([1.0] * 8 + [3.0] * 8)
num_steps, quiet, loud = 150, slice(0, 8), slice(8, 16)
rotation, _ = torch.linalg.qr(torch.randn(16, 16, generator=generator(3)))


def views(size: int, shared: slice, g: torch.Generator) -> torch.Tensor:
    rho = torch.zeros(16)
    rho[shared] = correlations
    common, own = torch.randn(3, size, 16, generator=g).split([1, 2])
    factors = rho.sqrt() * common + (1 - rho).sqrt() * own  # (2, N, 16), variance 1
    return (factors * loudness @ rotation).to(device)


def train(loss, shared: slice = quiet, bias: bool = False) -> nn.Linear:
    encoder, g = nn.Linear(16, 8, bias=bias), generator(5)
    nn.init.normal_(encoder.weight, std=0.25, generator=generator(4))
    fit(encoder.to(device), lambda step: views(128, shared, g),
        lambda model, pair: loss(*model(pair)), optimizer=Adam(encoder.parameters(), lr=0.03),
        num_steps=num_steps, schedule=lambda step: 1 - step / num_steps)  # fmt: skip
    return encoder


def contrast(tau: float):
    return lambda z1, z2: info_nce(z1, z2, tau)


encoders = {"InfoNCE": train(contrast(temperature)),
            "loud shared": train(contrast(temperature), loud),
            "no negatives": train(alignment), "τ = 50": train(contrast(50.0)),
            "τ = 0.01": train(contrast(0.01))}  # fmt: skip


def shares(encoder: nn.Linear) -> torch.Tensor:
    response = encoder.weight.detach().cpu() @ rotation.T * loudness  # to a standard deviation
    return response.square().sum(0) / response.square().sum()  # of the outputs' variance, (16,)


# %% mystnb={"image": {"alt": "A table of colored cells: 16 factors as columns, 8 quiet then 8 loud, and the training runs as rows. In the row InfoNCE, where quiet factors are shared, color lies on the first eight columns; with loud ones shared, on the last eight. Without negatives and at temperature 50 most color lies on the first few quiet factors, those that correlate best; at temperature 0.01 it is spread more, with a dark first cell."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7.0, 2.9))
image = heatmap(ax, torch.stack([shares(encoder) for encoder in encoders.values()]),
                rows=list(encoders), columns=[f"{c:.2f}"[1:] for c in [*correlations] * 2],
                column_title="8 quiet factors | 8 loud ones, each with its correlation if shared")  # fmt: skip
ax.tick_params(axis="x", labelsize=7)
ax.axvline(7.5, color="black", linewidth=1)
ax.set_title("Pairs choose the side, negatives spread it out")
fig.colorbar(image, label="share of variance", shrink=0.9)
plt.show()

# %%
claim("pairs_decide", "the quiet factors' share of the embedding's variance: where pairs share "
      "them, minus where the same inputs are paired by the loud ones",
      (shares(encoders["InfoNCE"]) - shares(encoders["loud shared"]))[quiet].sum(),
      at_least=0.8, thesis=True)  # fmt: skip

overlaps = []
for name, side in (("InfoNCE", quiet), ("loud shared", loud)):
    one, two = views(20_000, side, generator(9)).cpu().double()
    _, vectors = scipy.linalg.eigh(one.T @ two + two.T @ one, one.T @ one + two.T @ two)
    kept = encoders[name].weight.detach().cpu().double().T  # (16, 8)
    overlaps.append(np.mean(np.cos(scipy.linalg.subspace_angles(kept, vectors[:, -8:])) ** 2))
claim("as_cca_does", "share of canonical correlation analysis's space kept, smaller of both pairings",
      min(overlaps), at_least=0.85)  # fmt: skip

# %% [markdown]
# The same network on the same inputs keeps the quiet factors, a tenth of the variance, or drops all of them. *Canonical
# correlation analysis* looks for the directions in which two views correlate most. It solves an eigenproblem; the encoder, started at random, ends close to
# its space. (The share is the mean squared cosine of the *principal angles*, which compare two spaces direction by direction. Unrelated spaces of 8 directions
# out of 16 overlap by a half.)
# Principal components, which never see a pair, would take the loud factors each time.
#
# ## Without negatives: a few directions, or a single point
#
# Keep the pull on partners and drop the negatives: the loss is `alignment`, the mean squared distance of partners {cite:p}`wang2020alignment`. Its row in
# the figure is still on the right side, but most of its color is on the best-correlated factors. The loss is
# lowest on the first alone, where partners agree best. This encoder has no bias and the inputs are symmetric around zero, so outputs
# come in opposite pairs and cannot all be one point. Give it a bias, and they can. The *effective rank* below is $(\sum \lambda)^2 / \sum \lambda^2$ for the eigenvalues $\lambda$
# of the unit vectors' covariance: 8 if all directions carry the same, 1 for a line.

# %%
test = views(500, quiet, generator(6))


@torch.no_grad()
def outputs(encoder: nn.Linear) -> torch.Tensor:
    return F.normalize(encoder(test), dim=-1).cpu()  # (2, N, 8)


ranks = {}
for name, encoder in encoders.items():
    z, _ = outputs(encoder)
    spectrum = torch.linalg.svdvals(z - z.mean(0)).square()
    ranks[name] = (spectrum.sum() ** 2 / spectrum.square().sum()).item()
points = [outputs(train(loss, bias=True))[0].mean(0).norm().item()
          for loss in (alignment, contrast(temperature))]  # fmt: skip
claim("negatives_keep_rank", "effective rank, no bias: with negatives minus without",
      ranks["InfoNCE"] - ranks["no negatives"], at_least=1.2)  # fmt: skip
claim("a_bias_lets_it_collapse", "with a bias, length of the mean unit vector (1: all are one "
      "point): without negatives minus with", points[0] - points[1], at_least=0.25)  # fmt: skip
claim("hot_is_no_negatives", "effective rank at τ = 50 minus that without negatives, absolute",
      abs(ranks["τ = 50"] - ranks["no negatives"]), at_most=0.5)  # fmt: skip

# %% [markdown]
# The last claim answers half of "why a temperature". For large $\tau$ the softmax is nearly flat, and to first order
#
# $$
# L \approx \log N - \frac1\tau \Big(\frac1N \sum_i z_i \cdot z'_i \;-\; \bar z \cdot \bar z'\Big) .
# $$
#
# The negatives act through the means $\bar z$, $\bar z'$ alone, which here are zero anyway. So 127 negatives do what none would do. (Adam divides
# the small factor $1/\tau$ away; plain SGD would hardly move.) A low $\tau$ makes the nearest negatives count most {cite:p}`wang2021understanding`.
#
# ## Cosines over τ show about 1/τ nats at most, and a small τ bets too much
#
# The other half is arithmetic. Cosines end at ±1, so a score cannot be large, however sure the encoder is. By Jensen's inequality, twice, the loss depends at
# least on the mean of $z_i \cdot z'_j - z_i \cdot z'_i$ over negatives, which is no lower than $-N/(N - 1)$; all of it is reached where different
# pairs stand equally far apart, as a simplex:
#
# $$
# L \;\ge\; \log\Big(1 + (N - 1)\, e^{-\frac{N}{(N-1)\tau}}\Big) \;\ge\; \log N - \frac{N}{(N-1)\,\tau} .
# $$
#
# With $\tau = 1$ the most perfect embedding shows one nat. The next cell scores 500 unseen pairs, which share 4.4 nats, at several
# temperatures, and asks how often a view is nearest to its partner, which no $\tau$ changes.

# %%
taus, nats, found = [0.01, 0.07, 1.0, 50.0], {}, {}


def most(tau: float, N: int = 500) -> float:
    return math.log(N) - math.log1p((N - 1) * math.exp(-N / (N - 1) / tau))


print(
    "trained with      rank  found   log N − L, scored at τ" + "".join(f"{t:>7}" for t in taus)
)
for name in [name for name in encoders if name != "loud shared"]:
    z1, z2 = outputs(encoders[name])
    found[name] = ((z1 @ z2.T).argmax(1) == torch.arange(500)).double().mean().item()
    nats[name] = [math.log(500) - info_nce(z1, z2, tau).item() for tau in taus]
    numbers = "".join(f"{shown:7.2f}" for shown in nats[name])
    print(f"{name:<15}{ranks[name]:7.1f}{found[name]:7.1%}{'':25}{numbers}")
print(f"{'most possible':<54}" + "".join(f"{most(tau):7.2f}" for tau in taus))

simplex = torch.eye(40, dtype=torch.float64) - 1 / 40
agrees("simplex", "the bound above, N = 40, τ = 1", math.log(40) - info_nce(simplex, simplex, 1.0).item(),
       most(1.0, 40), atol=1e-12)  # fmt: skip
claim("cold_beats_hot", "partners found among 500, share: trained at τ = 0.01 minus at 50",
      found["τ = 0.01"] - found["τ = 50"], at_least=0.03)  # fmt: skip
claim("cold_scores_bet_too_much", "trained at τ = 0.01: log N − L scored at 0.07 minus at 0.01",
      nats["τ = 0.01"][1] - nats["τ = 0.01"][0], at_least=2, unit="nats")  # fmt: skip

# %% [markdown]
# Read the table by column. Scored at $\tau = 1$, every encoder is pressed under one nat, and at 50 under a fiftieth. Scored at 0.01, the loss exceeds $\log N$: a loss that is confident and wrong has no such ceiling. Read it by row. The encoder trained
# at 0.01 scores badly at 0.01, but at 0.07 it shows about as many nats as the first, and finds about as many partners. So here the low
# end spoils the scores and hardly the vectors, and the high end spoils the vectors: fewer directions, fewer partners found.
#
# ## An embedding table, a pool, and pairs: translations are found among 307
#
# Now the real thing: JupyterLab's English menu and help texts with their translations. The recipe is the one that a classifier with labels cannot follow:
# embed tokens (English words, Chinese characters), sum over the text, compare *two* texts. No string occurs on both sides.

# %%
pairs = english_chinese_pairs()
patterns = {"english": r"[a-z]+", "chinese": r"[\u4e00-\u9fff]"}


def token_counts(split: str, side: str) -> torch.Tensor:
    tokens = {k: [re.findall(patterns[side], text.lower()) for text in pairs[k][side]]
              for k in ("train", split)}  # fmt: skip
    ids = {token: i for i, token in enumerate(sorted(set().union(*tokens["train"])))}
    places = [(n, ids[t]) for n, text in enumerate(tokens[split]) for t in text if t in ids]
    counts = torch.zeros(len(tokens[split]), len(ids))
    np.add.at(counts.numpy(), tuple(np.array(places).T), 1)
    return counts.to(device)  # (N, V), V the tokens of the training split


texts, unseen = ([token_counts(k, side) for side in patterns] for k in ("train", "test"))


def retrieval(name: str, loss) -> float:
    g = generator(7)
    tables = nn.ParameterList([torch.randn(side.size(1), 32, generator=g) for side in texts])
    batches = [torch.randperm(len(texts[0]), generator=g)[:128] for _ in range(60)]
    fit(tables.to(device), lambda step: [side[batches[step]] for side in texts],
        lambda tables, batch: loss(batch[0] @ tables[0], batch[1] @ tables[1]), num_steps=60,
        optimizer=Adam(tables.parameters(), lr=0.05), schedule=lambda step: 1 - step / 60)  # fmt: skip
    z1, z2 = (F.normalize(unseen[k] @ tables[k].detach(), dim=1).cpu() for k in (0, 1))
    found = ((z1 @ z2.T).argmax(1) == torch.arange(len(z1))).double().mean().item()
    print(f"{name:<14}{found:6.1%} of {len(z1)} found, mean vector {z1.mean(0).norm():.2f}")
    return found


retrieval("no negatives", alignment)
claim("finds_translations", "unseen texts whose translation is nearest among all of the test's",
      retrieval("InfoNCE", contrast(temperature)), at_least=0.25)  # fmt: skip

# %% [markdown]
# Chance would find one. The run without negatives finds nearly as many: collapse is where its loss leads, and 60 updates do not get there. The
# length of the mean vector shows which way it is going. So negatives are what makes the *minimum* worth reaching. That they
# improve every short run does not follow, and here they improve this one little.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# A candidate once wrote `Embedding`, `Linear(D, 1)` and `BCEWithLogitsLoss` against `targets`, and called it contrastive. No line
# compares two texts, so it is a classifier of tokens. Binary cross-entropy is not the mistake: applied to the *table*, 1 on the
# diagonal and 0 elsewhere, it is the sigmoid loss, which needs no softmax over the batch {cite:p}`zhai2023sigmoid`.
#
# **"The loss starts at log N, and that is its maximum."** It equals $\log N$ where all scores are equal. Two pairs with opposite vectors and
# swapped partners cost $\log(1 + e^{2/\tau})$: at $\tau = 0.1$ about 20 nats, against $\log 2 \approx 0.69$.
#
# Loss curves of batch sizes 256 and 1,024 are often put into one chart, and the first looks better. It answers an easier question. Add
# $\log N$ to the negative of each, or evaluate both with one N.
#
# "My batch of 32 is accumulated to 1,024" is true of the gradient and false of the question: each micro-batch still chooses among 32.
# [Accumulation](../training/batching_grad_accumulation) is exact for losses that are sums over examples. Here each example's loss needs the others;
# caching their embeddings' gradients does it {cite:p}`gao2021scalingcontrastive`.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} What is the positive pair in SimCSE?
# One sentence, encoded twice with two dropout masks; without dropout it collapsed {cite:p}`gao2021simcse`. Such twins share their length as
# well, so length is kept too; repeating some words of one twin helps {cite:p}`wu2022esimcse`.
# :::
#
# :::{dropdown} Two texts of a batch mean the same. What happens?
# They are false negatives: the loss pushes apart what should be close, the harder the lower τ is. Remove known duplicates, mask pairs with one label or a very high score, or give several
# targets. The derivation itself allows some: negatives come from $p(y)$, which includes likenesses of the partner.
# :::
#
# :::{dropdown} Is a tighter bound a better representation?
# Not by itself. Mutual information does not change under invertible maps, which may tangle a representation at will, and encoders with equal
# bounds differ downstream. What helps comes with the architecture and the form of the critic {cite:p}`tschannen2020mutual`.
# :::
#
# :::{dropdown} Why do some methods throw the last layers away?
# SimCLR trains a small network on top of the representation, on whose output the loss acts, and drops it afterwards. The loss makes that output ignore
# whatever differs between views, color for one, and a later task may need it {cite:p}`chen2020simclr`.
# :::
#
# :::{dropdown} How do methods without negatives avoid collapse?
# By asymmetry. In SimSiam one branch has a predictor and the other gets no gradient; without that stop it
# collapses {cite:p}`chen2021simsiam`. Constant outputs still minimize its loss; training does not go there.
# :::
#
# :::{dropdown} Can negatives prevent every collapse?
# No. Embeddings may fill few directions even with them, for instance where augmentation is strong compared with the data's own variance {cite:p}`jing2022understanding`.
# Look at the spectrum, not only at the loss.
# :::
#
# :::{dropdown} How is τ set in practice?
# As any hyper-parameter, on validation data by the task's own measure, or learned. CLIP learns the logarithm of $1/\tau$, starts at 0.07 and keeps $1/\tau$ at
# 100 or below {cite:p}`radford2021clip`. A learned τ fits the scores; it need not be best for the vectors.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} info_nce
# ```

# %%
import torch
import torch.nn.functional as F


def info_nce(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    """Symmetric InfoNCE with negatives from the batch.

    z1, z2: (N, D), not normalized; rows of the same index are partners.
    Returns a tensor of shape (), in the dtype of z1.
    """
    raise NotImplementedError


check("info_nce", info_nce)

# %% [markdown]
# ```{solution} info_nce
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`oord2018representation`: InfoNCE, the density ratio, the bound. {cite:t}`poole2019variational`: a proof of it, and its bias.
# - {cite:t}`wang2020alignment`: the loss as alignment and uniformity. {cite:t}`wang2021understanding`: what τ weighs. {cite:t}`jing2022understanding`: dimensional collapse.
# - {cite:t}`gao2021simcse`, {cite:t}`wu2022esimcse`: sentences. {cite:t}`chen2020simclr`, {cite:t}`chen2021simsiam`: images. {cite:t}`radford2021clip`, {cite:t}`zhai2023sigmoid`: both.
# - {cite:t}`tschannen2020mutual`: what the bound does not explain. {cite:t}`gao2021scalingcontrastive`: large batches in little memory.
