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
#     asked: 3
#     level: 2
#     needs: []
#     question_zh: 语言模型中的自注意力机制是什么？
#     short: Self-attention
#     source: L13
#     tasks:
#     - causal_attention
#     - multi_head_attention
# ---

# %% [markdown]
# # Derive self-attention. Why divide by √d, and what would break without it?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Every position sends out a query and offers a key and a value, all computed from the same sequence. The scores are
# query–key dot products, softmax turns a row of scores into weights, and the output is the weighted average of the
# values. A dot product of d independent unit-variance features has variance d, so we divide by root d. Without it the
# softmax saturates: most queries get almost no gradient, while a few get a huge one. A causal mask removes the future
# before the softmax.
#
# :::{dropdown} The two-minute answer
# With $X$ of shape $(T, D)$ and one head of width $d$: $Q = XW_Q$, $K = XW_K$, $V = XW_V$, each $(T, d)$, then
# $\mathrm{softmax}(QK^\top/\sqrt d + M)\,V$, where $M$ is $0$ where attention is allowed and $-\infty$ elsewhere. $H$ heads
# split $D$ into $H$ slices of $d = D/H$, run side by side and are mixed by one output matrix. That costs the same as
# a single wide head and gives $H$ different patterns, each of lower rank.
#
# The scale keeps the variance of a score at one, whatever $d$ is, so at the start of training the softmax is neither
# flat nor one-hot. The weights depend on content alone: shuffle the tokens and the outputs are shuffled with them. Order
# has to come from position information or, weakly, from the causal mask. Scores and weights are $T \times T$ a head, so
# arithmetic grows with $T^2$; memory need not, because a running maximum and a running sum let the softmax be computed
# tile by tile, exactly. One layer can look up what a token says. Two layers can look up what followed the last time:
# the first writes each token's predecessor into its position, the second matches on it.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: Q, K and V are three projections of the *same* sequence; scores, softmax over the keys, weighted sum, with
#   the shapes $(T, d)$, $(T, T)$, $(T, d)$.
# - Junior: the mask goes in before the softmax, as minus infinity.
# - Mid: derives $\operatorname{Var}(q\cdot k) = d$ and names the assumption: independent, zero mean, unit variance.
# - Mid: $H$ heads of width $D/H$ cost what one head of width $D$ costs; time is quadratic in $T$.
# - Senior: says what saturation does to gradients without claiming that all of them vanish.
# - Senior: without positions or mask the layer is permutation-equivariant.
# - Senior: the $T \times T$ matrix need not be stored, and why the tiled result is exact.

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from lmprep.architectures.attention import (
    MultiHeadAttention,
    attention,
    causal_mask,
    induction_head,
    tiled_attention,
)
from lmprep.evidence import agrees, claim
from lmprep.explorer import attention_explorer
from lmprep.measure import LargestTensor
from lmprep.notebook import generator, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check

device = setup()

# %% [markdown]
# ## A soft lookup: every row of scores is one question put to all positions
#
# Write $T$ for the number of queries, $S$ for the number of keys (in self-attention $S = T$, unless earlier keys are
# cached) and $d$ for the width of a head. For query $i$ and key $j$
#
# $$
# s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}, \qquad
# w_{ij} = \frac{m_{ij}\, e^{s_{ij}}}{\sum_{j'} m_{ij'}\, e^{s_{ij'}}}, \qquad
# o_i = \sum_j w_{ij}\, v_j ,
# $$
#
# where $m_{ij} \in \{0, 1\}$ says whether $i$ may attend to $j$. In code the zeros of $m$ become scores of minus infinity.
# The function below serves the whole book; it returns its weights instead of hiding them in a module.

# %%
show(attention, causal_mask)

# %% [markdown]
# Two checks against PyTorch's own kernel. The second one uses *grouped queries*: eight query heads share two key–value
# heads. That shrinks what must be cached at generation time by four and changes nothing in the arithmetic.

# %%
B, H, T, d = 2, 8, 12, 16
exact = {"dtype": torch.float64, "device": device}
q, k, v = torch.randn(3, B, H, T, d, generator=generator(1)).to(**exact)
ours, weights = attention(q, k, v, causal_mask(T, device=device))
agrees("causal_attention", "torch.nn.functional.scaled_dot_product_attention", ours,
       F.scaled_dot_product_attention(q, k, v, is_causal=True), atol=1e-12)  # fmt: skip

few_k, few_v = k[:, :2], v[:, :2]  # (B, 2, T, d): each serves four query heads
ours, _ = attention(q, few_k, few_v, causal_mask(T, device=device))
agrees("grouped_queries", "torch.nn.functional.scaled_dot_product_attention", ours,
       F.scaled_dot_product_attention(q, few_k, few_v, is_causal=True, enable_gqa=True), atol=1e-12)  # fmt: skip

# %% [markdown]
# Put this into a decoder and each step reads its own past, which is what "self" and "causal" mean together. The layer
# projects, splits $D$ into $H$ heads, attends, joins the heads and projects again. With PyTorch's weights copied in,
# it does what `nn.MultiheadAttention` does.

# %%
D = 64
layer = MultiHeadAttention(D, num_heads=4).to(**exact)
reference = nn.MultiheadAttention(D, num_heads=4, batch_first=True).to(**exact)
with torch.no_grad():  # torch keeps Q, K and V stacked in one matrix
    layer.qkv.weight.copy_(reference.in_proj_weight)
    layer.qkv.bias.copy_(reference.in_proj_bias)
    layer.output.load_state_dict(reference.out_proj.state_dict())

x = torch.randn(2, 10, D, generator=generator(2)).to(**exact)
allowed = causal_mask(10, device=device)
theirs, _ = reference(x, x, x, attn_mask=~allowed)  # torch's mask says where one must NOT look
ours = layer(x, mask=allowed)
agrees("multi_head_attention", "torch.nn.MultiheadAttention", ours, theirs, atol=1e-12)

# %% [markdown]
# ## Without √d most queries stop learning, and a few learn far too fast
#
# Take $q$ and $k$ with independent entries of mean 0 and variance 1, which is roughly what a normalized input and a sane
# initialization give. Each product $q_i k_i$ has mean $0$ and variance $1$, and $d$ independent ones add up:
#
# $$
# \operatorname{Var}(q \cdot k) = \sum_{i=1}^{d} \operatorname{Var}(q_i k_i) = d .
# $$
#
# So scores have a standard deviation of $\sqrt d$, and softmax of numbers that far apart puts nearly all weight on the
# largest. Its Jacobian, $\partial w_i / \partial s_j = w_i(\delta_{ij} - w_j)$, is then close to zero everywhere.
# {cite:t}`vaswani2017attention` give this as the reason for the scale. What reaches the query is that Jacobian *times the
# keys*, and unscaled keys are large. Whether "gradients vanish" is the right summary is a thing to measure: draw
# queries, push a random gradient back through attention, and look at the norm that arrives at each query.

# %%
# Try: spread = 0.25. Scores then have a standard deviation of spread² √d, so that even the
# unscaled softmax stays soft, and the thesis below fails: √d answers to the variance of the
# entries, it is not a law of nature.
spread = 1.0  # standard deviation of the entries of q and k
widths = [4, 16, 64, 256, 1024]
num_queries, num_keys = 400, 32


def experiment(d: int, scale: float | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Dot products (N, S), entropy of each query's weights (N,), norm of its gradient (N,)."""
    g = generator(d)
    q, upstream = torch.randn(2, num_queries, 1, d, generator=g)  # N problems of one query each
    k, v = torch.randn(2, num_queries, num_keys, d, generator=g)
    q, k = (spread * q).requires_grad_(), spread * k
    output, weights = attention(q, k, v, scale=scale)  # weights: (N, 1, S)
    (gradient,) = torch.autograd.grad((output * upstream).sum(), q)
    entropy = torch.special.entr(weights.detach()).sum(-1)
    return (q.detach() @ k.mT)[:, 0], entropy[:, 0], gradient.norm(dim=-1)[:, 0]


scaled = [experiment(d, scale=None) for d in widths]  # None: the usual 1/√d
unscaled = [experiment(d, scale=1.0) for d in widths]


def starved(gradient: torch.Tensor) -> float:
    """Share of queries whose gradient is below 1 % of the mean."""
    return (gradient < 0.01 * gradient.mean()).double().mean().item()


# %% mystnb={"image": {"alt": "Two line charts against head width d, from 4 to 1024. Left: the entropy of attention weights stays near the uniform value with the scale and falls towards zero without it. Right: the share of queries whose gradient is below one percent of the mean is zero with the scale and rises to more than half without it."}} tags=["hide-input"]
fig, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.0))
for runs, label in ((scaled, "÷ √d"), (unscaled, "unscaled")):
    left.plot(widths, [entropy.mean() for _, entropy, _ in runs], "o-", label=label)
    right.plot(widths, [100 * starved(gradient) for _, _, gradient in runs], "o-", label=label)
left.axhline(math.log(num_keys), color="#999999", linestyle=":", linewidth=1)
left.text(4, math.log(num_keys) + 0.06, "uniform over all keys", fontsize=8, color="#666666")
left.set(title="Unscaled attention goes one-hot", ylabel="mean entropy of weights (nats)")
right.set(title="…and starves most queries", ylabel="queries below 1 % of mean gradient (%)")
for ax, top in ((left, 3.9), (right, 75)):
    ax.set(xscale="log", xlabel="width of a head, d", xlim=(3, 5000), ylim=(-0.04 * top, top))
    ax.set_xticks(widths, widths)
    ax.minorticks_off()
    label_lines(ax)
plt.show()

# %%
ratios = [scores.var().item() / d for d, (scores, _, _) in zip(widths, scaled, strict=True)]
claim("variance_is_d", "Var(q·k)/d: largest deviation from 1 over all widths",
      max(abs(ratio - 1) for ratio in ratios), at_most=0.15)  # fmt: skip
claim("scale_keeps_entropy", "with ÷ √d: change of entropy from d = 4 to d = 1024",
      (scaled[0][1].mean() - scaled[-1][1].mean()).abs(), at_most=0.3, unit="nats")  # fmt: skip

gradient, gradient_unscaled = scaled[-1][2], unscaled[-1][2]
claim("scale_feeds_all_queries", "d = 1024: share of queries that only ÷ √d saves from starving",
      starved(gradient_unscaled) - starved(gradient), at_least=0.3, thesis=True)  # fmt: skip
claim("mean_gradient_grows", "d = 1024: mean gradient without ÷ √d over that with it",
      gradient_unscaled.mean() / gradient.mean(), at_least=3, unit="×")  # fmt: skip

# %% [markdown]
# The left panel is the textbook story. The right one and the last claim add what it leaves out: the *average* gradient
# does not vanish, it grows several-fold, because the few queries whose two best keys happen to be close still have a
# Jacobian, and behind it stand unscaled keys. Training then hears nothing from most positions and far too much from
# some. With the scale, all queries of a layer are heard at about the same volume.
#
# ## A set goes in, a set comes out
#
# Nothing in the formula knows where a token stands. If $P$ permutes rows, then
# $\mathrm{attention}(PX) = P\,\mathrm{attention}(X)$: the layer is *permutation-equivariant*. The causal mask refers to
# positions and breaks the symmetry, which is why a decoder without position encodings is not completely order-blind.

# %%
g = generator(3)
x = torch.randn(1, 10, 16, generator=g, dtype=torch.float64)
w_q, w_k, w_v = torch.randn(3, 16, 16, generator=g, dtype=torch.float64) / 4
shuffle = torch.randperm(10, generator=g)


def equivariance_error(mask: torch.Tensor | None) -> float:
    """Largest difference between shuffling before and shuffling after attention."""
    before, _ = attention(x[:, shuffle] @ w_q, x[:, shuffle] @ w_k, x[:, shuffle] @ w_v, mask)
    after, _ = attention(x @ w_q, x @ w_k, x @ w_v, mask)
    return (before - after[:, shuffle]).abs().max().item()


claim("a_set_function", "no mask: shuffled before against shuffled after, difference",
      equivariance_error(None), at_most=1e-12)  # fmt: skip
claim("mask_sees_order", "causal mask: shuffled before against shuffled after, difference",
      equivariance_error(causal_mask(10)), above=0.1)  # fmt: skip

# %% [markdown]
# ## Two layers, set by hand, copy what came next the last time
#
# Trained language models contain heads that continue "… A B … A" with "B" {cite:p}`olsson2022context`. A query at the
# second A would have to find the position that comes *after* an A, but a key computed from B's own position does
# not say what stood before B. So two layers must cooperate: the first writes each token's predecessor into its position,
# the second looks for positions whose predecessor is the current token. Nothing below is trained.

# %%
show(induction_head)

# %%
num_tokens, length = 51, 20
g = generator(4)
half = 1 + torch.stack([torch.randperm(num_tokens - 1, generator=g) for _ in range(50)])
half = half[:, :length]  # 50 sequences of distinct tokens
ids = F.pad(torch.cat([half, half], dim=1), (1, 0))  # (50, 41), token 0 in front


def copy_accuracy(*ablate: int) -> float:
    """Share of right next tokens from the first repeated token on, with some layers left out."""
    logits, _ = induction_head(ids, num_tokens, ablate=ablate)
    right = logits[:, length + 1 : -1].argmax(-1) == ids[:, length + 2 :]
    return right.double().mean().item()


claim("induction_copies", "induction head: accuracy on a sequence seen once before",
      copy_accuracy(), at_least=0.99)  # fmt: skip
claim("layer_1_needed", "induction without layer 1: accuracy", copy_accuracy(1), at_most=0.1)
claim("layer_2_needed", "induction without layer 2: accuracy", copy_accuracy(2), at_most=0.1)

# %% [markdown]
# Look inside. In layer 1 every token points one step back. In layer 2 the second "cat" points at the first "sat": the
# token after its own earlier occurrence. First occurrences find no match, and spread their attention evenly.

# %%
tokens = ["<s>", *("the", "cat", "sat", "on", "a", "mat") * 2]
vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
sentence = torch.tensor([[vocabulary[token] for token in tokens]])  # (1, 13)
_, maps = induction_head(sentence, len(vocabulary))
attention_explorer(
    maps, tokens, title="One back, then the match", alt="Two layers read a repeated sentence"
)

# %% [markdown]
# ## The T × T matrix never has to exist
#
# Softmax needs the row's maximum and sum before it can normalize, which seems to call for the whole row. It does not. Keep
# for each query a running maximum $m$, a running sum $\ell$ and an unnormalized output $a$. When a tile of keys with scores
# $s$ arrives, let $m' = \max(m, \max_j s_j)$ and rescale what is there {cite:p}`milakov2018online`:
#
# $$
# \ell' = e^{m - m'}\,\ell + \sum_{j} e^{s_j - m'}, \qquad
# a' = e^{m - m'}\,a + \sum_{j} e^{s_j - m'}\, v_j, \qquad
# o = a/\ell \text{ at the end.}
# $$
#
# FlashAttention is this recurrence with tiles that fit into on-chip memory {cite:p}`dao2022flashattention`: the same
# number up to rounding, the same order $T^2$ of multiplications, but extra memory that grows with $T$ only.

# %%
show(tiled_attention)

# %%
q, k, v = torch.randn(3, 1, 1, 512, 16, generator=generator(5), dtype=torch.float64)
with LargestTensor() as full:
    attention(q, k, v)
with LargestTensor() as tiled:
    ours = tiled_attention(q, k, v, block=32)
agrees("tiled_attention", "torch.nn.functional.scaled_dot_product_attention", ours,
       F.scaled_dot_product_attention(q, k, v), atol=1e-12)  # fmt: skip
claim("no_square_matrix", "largest tensor at T = 512: whole matrix over tiles of 32 keys",
      full.elements / tiled.elements, at_least=8, unit="×")  # fmt: skip

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Self-attention learns a weight for each position."** Ask: *which parameter holds the weight of position 7?* None does;
# the weights are computed anew from each input. A layer that scores positions with a `Dense(1)` and takes a softmax over
# that axis of length one gives every position the weight 1, whatever it has learned:

# %%
scores = nn.Linear(128, 1)(torch.randn(1, 5, 128, generator=generator(6)))  # (1, 5, 1)
print("softmax over the last axis:", torch.tanh(scores).softmax(dim=-1).flatten().tolist())

# %% [markdown] tags=["errors"]
# **"Without the scale, gradients vanish."** Ask: *all of them?* For most queries, yes; for the rest they explode, and the
# mean rises (see the claims above). The scale does not make gradients larger. It makes them even.
#
# **"Attention handles long-range dependencies, because it sees every position."** Ask: *so what does it make of "dog bites
# man" shuffled?* Without position information, the same bag of outputs. Reach is not order; that comes from
# positional encodings.
#
# **"To mask, multiply the weights by zero."** Ask: *what do the rows sum to?* Less than one, and the future tokens already
# sit in the denominator, so they still shape every visible weight. Mask the scores, before the softmax.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Is FlashAttention an approximation?
# No. It computes the same softmax through a running maximum and sum, so it differs by rounding only. It saves traffic
# between on-chip and off-chip memory, not arithmetic: the multiplications stay quadratic in length.
# :::
#
# :::{dropdown} What do MQA, GQA and MLA change?
# How much has to be cached for each token. Multi-query attention shares one key–value head among all query heads,
# grouped-query attention one per group {cite:p}`ainslie2023gqa`, and multi-head latent attention caches a
# low-rank vector from which keys and values are rebuilt {cite:p}`deepseek2024v2`. Score arithmetic stays about the same.
# :::
#
# :::{dropdown} Why 1/√d and not 1/d?
# Because random q and k give a dot product of size √d. Once training has aligned them, their product can grow like d,
# and for that regime 1/d is the right scale; μP uses it so that hyper-parameters carry over from narrow to wide models
# {cite:p}`yang2022tensor`.
# :::
#
# :::{dropdown} A row is masked completely. What comes out?
# Softmax of a row of minus infinities is 0/0, so a plain implementation gives NaN and the backward pass spreads it. Here
# such rows give zero output and zero gradient. Say which convention you follow; it matters for padded batches.
# :::
#
# :::{dropdown} What does QK-norm buy when there is a scale already?
# The scale assumes unit variance, which training does not preserve. Normalizing queries and keys, with a learned
# factor in place of the fixed scale, bounds the scores for good {cite:p}`henry2020query`.
# :::
#
# :::{dropdown} Why do models park attention on the first token?
# A row must sum to one even if a head has nothing to read, so it needs somewhere harmless to put the weight. The first
# token is visible to everyone. Evict it from a sliding-window cache and quality collapses; keep a few such sinks and it
# does not {cite:p}`xiao2024efficient`.
# :::
#
# :::{dropdown} Why several heads instead of one wide head?
# One softmax gives one pattern. $H$ heads give $H$ patterns for the same number of multiplications, and the price is that
# each score matrix has rank at most $D/H$.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ### One head with cached keys
#
# ```{task} causal_attention
# ```

# %%
import torch


def causal_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention of the last T positions to all S.

    q: (B, H, T, D).
    k, v: (B, H, S, D), S ≥ T: the first S − T are the past.
    Returns the output (B, H, T, D) and the weights (B, H, T, S).
    """
    raise NotImplementedError


check("causal_attention", causal_attention)

# %% [markdown]
# ```{solution} causal_attention
# ```
#
# ### All heads
#
# ```{task} multi_head_attention
# ```

# %%
import torch


def multi_head_attention(
    x: torch.Tensor,
    w_q: torch.Tensor,
    w_k: torch.Tensor,
    w_v: torch.Tensor,
    w_o: torch.Tensor,
    num_heads: int,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Multi-head self-attention without biases.

    x: (B, T, D), with D a multiple of num_heads.
    w_q, w_k, w_v, w_o: (D, D), laid out (out, in) as in nn.Linear.
    mask: boolean, True = may attend, broadcastable to (B, H, T, T), or None.
    Returns (B, T, D), in the dtype of x.
    """
    raise NotImplementedError


check("multi_head_attention", multi_head_attention)

# %% [markdown]
# ```{solution} multi_head_attention
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`vaswani2017attention`: scaled dot-product and multi-head attention; the footnote with the variance argument.
# - {cite:t}`olsson2022context`: induction heads, in trained models.
# - {cite:t}`milakov2018online`: the one-pass softmax. {cite:t}`dao2022flashattention`: what it does for attention.
# - {cite:t}`ainslie2023gqa`: grouped queries. {cite:t}`henry2020query`: QK-norm. {cite:t}`xiao2024efficient`: sinks.
