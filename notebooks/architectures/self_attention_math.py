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
# Every position makes a query, a key and a value from the same sequence. Scores are query–key dot products, softmax over
# the keys it may see turns them into weights, and the output is the weighted average of the values. If entries are independent with
# mean zero and variance one, a dot product has variance d; dividing by root d makes attention start equally sharp at any
# width. Undivided, it starts nearly one-hot, with almost no gradient for some queries and far too much for others.
#
# :::{dropdown} The two-minute answer
# With $X$ of shape $(T, D)$ and one head of width $d$: $Q = XW_Q$, $K = XW_K$, $V = XW_V$, each $(T, d)$, then
# $\mathrm{softmax}(QK^\top/\sqrt d)\,V$, with the scores set to $-\infty$ where attention is not allowed. $H$ heads
# cut $D$ into $H$ slices of $d = D/H$, run side by side and are mixed by one output matrix. They take the same number of
# multiplications as one wide head and give $H$ different patterns, at the price of $H$ times as many softmax entries.
#
# The scale keeps the variance of a score the same at every width. Without it the softmax saturates, and its gradient,
# which needs two keys that nearly tie, reaches queries very unevenly. With $1/d$ it would start uniform, and no query
# would get much.
#
# The weights depend on content alone: shuffle the tokens, and without a mask the outputs are shuffled with them. Order
# comes from position information. Scores are $T \times T$ a head, so arithmetic grows with $T^2$; memory need not,
# because a running maximum and a running sum let the softmax be computed tile by tile, exactly. One layer can find a
# token by its content. With two, a model can find what *followed* that token the last time.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: Q, K and V are three projections of the *same* sequence; scores, softmax over the keys, weighted sum, with
#   the shapes $(T, d)$, $(T, T)$, $(T, d)$.
# - Junior: the mask goes in before the softmax, as minus infinity.
# - Mid: derives $\operatorname{Var}(q\cdot k) = d$ and names the assumption: independent, zero mean, unit variance.
# - Mid: $H$ heads of width $D/H$ multiply as much as one head of width $D$; the part that grows with $T^2$ exceeds the
#   projections only beyond $T \approx 2D$.
# - Senior: says what saturation does to gradients without claiming that all of them vanish, and why not $1/d$.
# - Senior: without positions or mask the layer is permutation-equivariant; proves it in a line.
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
# ## A dictionary that answers with averages
#
# A dictionary compares a query with its keys and returns the value of the one that is equal. Attention returns the
# average of all values, weighted by likeness. Each position $i$ of the sequence, a vector $x_i \in \mathbb R^D$, plays all
# three parts through three matrices of shape $(D, d)$:
#
# $$
# q_i = W_Q^\top x_i, \quad k_j = W_K^\top x_j, \quad v_j = W_V^\top x_j ;
# $$
#
# $$
# s_{ij} = \frac{q_i \cdot k_j}{\sqrt d}, \quad
# w_{ij} = \frac{m_{ij}\, e^{s_{ij}}}{\sum_{l} m_{il}\, e^{s_{il}}}, \quad
# o_i = \sum_j w_{ij}\, v_j .
# $$
#
# Here $m_{ij}$ is 1 where query $i$ may attend to key $j$ and 0 elsewhere; in code, those scores become minus infinity.
# There are $T$ queries and $S$ keys. In self-attention $S = T$, unless earlier keys are cached. The function below serves
# the whole book: `q` is $(B, H, T, d)$, `k` and `v` are $(B, H, S, d)$, and the weights that it returns $(B, H, T, S)$.

# %%
show(attention, causal_mask)

# %% [markdown]
# Two checks against PyTorch's own kernel. In the second, eight query heads share two key–value heads (*grouped queries*):
# each head's formula is as before, and what must be cached at generation time shrinks by four.

# %%
exact = {"dtype": torch.float64, "device": device}
q, k, v = torch.randn(3, 2, 8, 12, 16, generator=generator(1)).to(**exact)  # (B, H, T, d) each
ours, _ = attention(q, k, v, causal_mask(12, device=device))
agrees("causal_attention", "torch.nn.functional.scaled_dot_product_attention", ours,
       F.scaled_dot_product_attention(q, k, v, is_causal=True), atol=1e-12)  # fmt: skip

k, v = k[:, :2], v[:, :2]  # (B, 2, T, d): each serves four query heads
ours, _ = attention(q, k, v, causal_mask(12, device=device))
agrees("grouped_queries", "torch.nn.functional.scaled_dot_product_attention", ours,
       F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True), atol=1e-12)  # fmt: skip

# %% [markdown]
# In a decoder each step reads itself and its past. The layer around the function projects, cuts $D$ into $H$ heads,
# attends, puts the heads side by side and projects once more:

# %%
show(MultiHeadAttention.forward)

# %%
layer = MultiHeadAttention(64, num_heads=4).to(**exact)
reference = nn.MultiheadAttention(64, num_heads=4, batch_first=True).to(**exact)
with torch.no_grad():  # torch keeps Q, K and V stacked in one matrix
    layer.qkv.weight.copy_(reference.in_proj_weight)
    layer.qkv.bias.copy_(reference.in_proj_bias)
    layer.output.load_state_dict(reference.out_proj.state_dict())

x = torch.randn(2, 10, 64, generator=generator(2)).to(**exact)
mask = causal_mask(10, device=device)
ours = layer(x, mask=mask)
theirs, _ = reference(x, x, x, attn_mask=~mask)  # torch's mask says where one must NOT look
agrees("multi_head_attention", "torch.nn.MultiheadAttention", ours, theirs, atol=1e-12)

# %% [markdown]
# ## Without √d attention starts one-hot, and its gradients turn uneven
#
# Let the entries of $q$ and $k$ be independent, with mean 0 and variance 1: normalized inputs give that if the weights have
# variance $1/D$. (PyTorch's defaults are smaller, which makes attention start softer.) Each product of two entries then has
# mean 0 and variance 1, and $d$ independent ones add up:
#
# $$
# \operatorname{Var}(q \cdot k) = \sum_{c=1}^{d} \operatorname{Var}\big(q^{(c)} k^{(c)}\big) = d .
# $$
#
# So undivided scores have a standard deviation of $\sqrt d$, and softmax of numbers that far apart gives nearly all weight
# to the largest. Its Jacobian, $\partial w_j / \partial s_l = w_j(\delta_{jl} - w_l)$ for one query, is close to zero unless two
# keys nearly tie. {cite:t}`vaswani2017attention` suspected that this makes gradients extremely small. What reaches the query is
# the Jacobian times the keys, of norm about $\sqrt d$, which the scale would have brought to 1. So measure it: random
# queries, 32 random keys each, a random gradient pushed back through attention, and the norm that arrives at each query.
# A third run divides by $d$.

# %%
# Try: spread = 0.5. Undivided scores then have a standard deviation of spread² √d, which
# at d = 64 is 2 and no longer 8. The claims that attention starts one-hot and uneven
# without √d fail. The thesis holds: the scale answers to the width, not to the spread.
spread = 1.0  # standard deviation of the entries of q and k
widths, num_queries, num_keys = [4, 16, 64, 256, 1024], 400, 32
powers = {"undivided": 0.0, "÷ √d": 0.5, "÷ d": 1.0}


def experiment(d: int, power: float) -> dict[str, torch.Tensor]:
    """Attention of N separate queries of width d, and the gradient that reaches each."""
    g = generator(d)
    q, upstream = torch.randn(2, num_queries, 1, d, generator=g)
    k, v = torch.randn(2, num_queries, num_keys, d, generator=g)
    q, k, v = (spread * q).requires_grad_(), spread * k, v / d**0.5
    scale = None if power == 0.5 else d**-power  # None: attention's own
    output, weights = attention(q, k, v, scale=scale)  # weights: (N, 1, S)
    (gradient,) = torch.autograd.grad((output * upstream).sum(), q)
    gradient, weights = gradient.norm(dim=-1), weights.detach()
    return {
        "variance": (q.detach() @ k.mT).var(),
        "sharpness": math.log(num_keys) - torch.special.entr(weights).sum(-1).mean(),  # nats
        "one_hot": (weights.amax(dim=-1) > 0.5).double().mean(),  # share of queries
        "gradient": gradient.mean(),
        "quantiles": gradient.quantile(torch.tensor([0.05, 0.5, 0.95])),
    }


runs = {name: [experiment(d, power) for d in widths] for name, power in powers.items()}

# %% mystnb={"image": {"alt": "Two charts against head width d, from 4 to 1024. Left: how far the entropy of the weights lies below uniform. Divided by root d it stays at about half a nat; undivided it rises towards the one-hot limit; divided by d it falls to zero. Right: the range of gradients over queries on a logarithmic axis. Divided by root d it is a narrow band; undivided the band widens over many powers of ten; divided by d it is narrow and sinks."}} tags=["hide-input"]
fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.3))
for name, arm in runs.items():
    left.plot(widths, [run["sharpness"] for run in arm], "o-", label=name)
    low, middle, high = torch.stack([run["quantiles"] for run in arm]).T
    right.plot(widths, middle, "o-", label=name)
    right.fill_between(widths, low, high, alpha=0.15)
left.set(title="Only √d keeps attention equally sharp", ylabel="nats below uniform")
right.set(title="…and gradients even", ylabel="gradient at a query, 5–95 %", yscale="log")
right.set_ylim(1e-6, 1e2)
for ax in (left, right):
    ax.set(xscale="log", xlabel=f"head width d ({num_keys} random keys)", xlim=(3, 9000))
    ax.set_xticks(widths, widths)
    label_lines(ax)
plt.show()

# %%
sharpness = [run["sharpness"] for run in runs["÷ √d"]]
claim("equally_sharp", "÷ √d: sharpness over widths 4 to 1024, largest over smallest",
      max(sharpness) / min(sharpness), at_most=1.4, thesis=True)  # fmt: skip
claim("variance_is_d", "Var(q·k) / (spread⁴ d) at the largest width",
      runs["÷ √d"][-1]["variance"] / (spread**4 * widths[-1]), at_least=0.85, at_most=1.15)  # fmt: skip
raw, scaled, tiny = (runs[name][widths.index(64)] for name in powers)
claim("one_hot_without", "undivided, d = 64: queries with over half their weight on one key, share",
      raw["one_hot"], at_least=0.6)  # fmt: skip
claim("uneven_without", "d = 64: 95 % over 5 % quantile of gradients, undivided over ÷ √d",
      raw["quantiles"][2] / raw["quantiles"][0] / (scaled["quantiles"][2] / scaled["quantiles"][0]),
      at_least=100, unit="×")  # fmt: skip
claim("mean_gradient_grows", "d = 64: mean gradient undivided over that with ÷ √d",
      raw["gradient"] / scaled["gradient"], at_least=2, unit="×")  # fmt: skip
claim("too_little_with_d", "d = 64: mean gradient with ÷ d over that with ÷ √d",
      tiny["gradient"] / scaled["gradient"], at_most=0.3, unit="×")  # fmt: skip

# %% [markdown]
# "Gradients vanish" is half of it. Undivided, they vanish for some queries, and yet at $d = 64$ their mean (the chart shows
# medians) is several times *larger*. A query whose two best keys nearly tie still has a Jacobian, and it multiplies keys
# that were not scaled down. What √d buys is evenness, and the same start at each width.
#
# ## A set goes in, a set comes out
#
# No position appears in the formula. A layer is *permutation-equivariant* if permuting its inputs permutes its outputs
# alike. Let $P$ permute the rows of $X$. Then
# $\mathrm{softmax}(PQK^\top P^\top)\,PV = P\,\mathrm{softmax}(QK^\top)\,P^\top PV$, so outputs move with their tokens. A causal mask breaks that, but less than
# one might think: the last position sees everything, and one causal layer gives it the same output in whatever order
# the past came. With a second layer it notices, because the past positions saw different prefixes.

# %%
x = torch.randn(1, 10, 16, generator=generator(3)).double()
w_q, w_k, w_v = torch.randn(3, 16, 16, generator=generator(6)).double() / 4
# Shuffled, but for the last token.
past = torch.cat([torch.randperm(9, generator=generator(7)), torch.tensor([9])])


def differences(depth: int, mask: torch.Tensor | None) -> torch.Tensor:
    """Between shuffling the past before and after `depth` layers, for each position: (T,)."""
    before, after = x[:, past], x
    for _ in range(depth):
        before, after = (attention(h @ w_q, h @ w_k, h @ w_v, mask)[0] for h in (before, after))
    return (before - after[:, past]).abs().amax(dim=-1)[0]


claim("a_set_function", "two layers, no mask: past shuffled before or after, largest difference",
      differences(2, None).max(), at_most=1e-12)  # fmt: skip
claim("one_causal_layer", "one causal layer: past shuffled, difference at the last position",
      differences(1, causal_mask(10))[-1], at_most=1e-12)  # fmt: skip
claim("two_causal_layers", "two causal layers: past shuffled, difference at the last position",
      differences(2, causal_mask(10))[-1], above=0.2)  # fmt: skip

# %% [markdown]
# ## Two layers, set by hand, copy what came next the last time
#
# Trained language models contain heads that continue "… A B … A" with "B" {cite:p}`olsson2022context`. A query at the
# second A would have to find the position that comes *after* an A, but a key computed from B's own position does not say
# what stood before B; a small one-layer Transformer cannot do this {cite:p}`sanford2024one`. Two layers can. The first
# writes each token's predecessor into its position, the second looks for positions whose predecessor is the current
# token. Each position holds four slots, this token | its position | the token before | the prediction, and every
# matrix below is a selection of slots. Nothing is trained.

# %%
show(induction_head)

# %%
half = 1 + torch.rand(50, 50, generator=generator(4)).argsort(dim=-1)[:, :20]
# Twenty distinct tokens, said twice, with token 0 in front: (50, 41).
ids = F.pad(torch.cat([half, half], dim=1), (1, 0))


def copy_accuracy(*ablate: int) -> torch.Tensor:
    """Share of right next tokens from the first repeated token on, with some layers left out."""
    logits, _ = induction_head(ids, 51, ablate=ablate)
    return (logits[:, 21:-1].argmax(dim=-1) == ids[:, 22:]).double().mean()


claim("induction_copies", "induction head: accuracy on a sequence seen once before",
      copy_accuracy(), at_least=0.99)  # fmt: skip
claim("layer_1_needed", "induction without layer 1: accuracy", copy_accuracy(1), at_most=0.1)

# %% [markdown]
# Without layer 1 no key matches, attention is spread over the whole past, and what has been seen twice outvotes the right
# answer. Look inside: in layer 1 every token but the first points one step back. Choose layer 2, and the second "cat"
# points at the first "sat", the token after its earlier occurrence. First occurrences match nothing and spread evenly.

# %%
tokens = ["<s>", *("the", "cat", "sat", "on", "a", "mat") * 2]
_, maps = induction_head(torch.tensor([[0, *[1, 2, 3, 4, 5, 6] * 2]]), 7)
attention_explorer(maps, tokens, title="Induction by hand", alt="Repeats point past their twin")

# %% [markdown]
# ## The T × T matrix never has to exist
#
# Softmax needs a row's maximum and sum before it can normalize, which seems to call for the whole row. It does not. Keep for
# each query a running maximum $\mu = -\infty$, a running sum $\ell = 0$ and an unnormalized output $a = 0$. When a tile of keys
# with scores $s_j$ arrives, let $\mu' = \max(\mu, \max_j s_j)$ and rescale what is there {cite:p}`milakov2018online`:
#
# $$
# \ell' = e^{\mu - \mu'}\,\ell + \sum_{j} e^{s_j - \mu'}, \qquad
# a' = e^{\mu - \mu'}\,a + \sum_{j} e^{s_j - \mu'}\, v_j, \qquad
# o = a/\ell \text{ at the end.}
# $$
#
# Numerator and denominator carry the same factor $e^{-\mu}$, so the quotient is the same for any $\mu$; the maximum is there
# only to prevent overflow. That is why the result is exact. FlashAttention is this recurrence with tiles that fit into
# on-chip memory {cite:p}`dao2022flashattention`. In training, plain autograd would keep every tile for the backward pass;
# FlashAttention stores only $o$, $\mu$ and $\ell$ and computes the scores a second time.

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
claim("no_square_matrix", "forward pass, T = 512: largest tensor, whole matrix over tiles of 32",
      full.elements / tiled.elements, at_least=8, unit="×")  # fmt: skip

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Self-attention learns a weight for each position."** No parameter holds the weight of position 7. What is learned
# are the three projections; the weights are computed anew from each input, for each query. (MLP-Mixer does learn a
# weight per position, and is bound to one length.)
#
# **"Without the scale, gradients vanish."** The original paper says so too, as a suspicion. The chart shows the two
# halves of the truth: for some queries they do vanish, for those whose best keys nearly tie they grow. Say "uneven".
#
# **"Self-attention knows word order, because it sees every position."** Shuffle "dog bites man". Without a mask and
# without positions, each word keeps its output, and only the order of the outputs changes. Every position is reached
# directly; which one it was does not enter the formula.
#
# **"To mask, multiply the weights by zero."** Then the rows sum to less than one, with the future still in the
# denominator. "Then renormalize" is right on paper and 0/0 in floating point where the future had all the weight. Mask
# the scores, before the softmax.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Is FlashAttention an approximation?
# No. It computes the same softmax through a running maximum and sum and differs by rounding only. It saves traffic
# between on-chip and off-chip memory, not arithmetic: the multiplications stay quadratic in length, and the backward
# pass even repeats some.
# :::
#
# :::{dropdown} What do MQA, GQA and MLA change?
# How much has to be cached for each token. Multi-query attention shares one key–value head among all query heads,
# grouped-query attention one per group {cite:p}`ainslie2023gqa`; both leave score arithmetic as it was. Multi-head latent
# attention caches a low-rank vector, from which keys and values follow, and spends more arithmetic in that latent space
# to read less memory {cite:p}`deepseek2024v2`.
# :::
#
# :::{dropdown} Why 1/√d and not 1/d?
# At initialization 1/d leaves scores of size 1/√d: attention starts uniform and queries get almost no gradient, as the
# third run shows. Once training has aligned queries with keys their product can grow like d, and for that regime 1/d is
# the right order; μP uses it so that hyper-parameters carry over from narrow to wide models {cite:p}`yang2022tensor`.
# :::
#
# :::{dropdown} A row is masked completely. What comes out?
# Softmax of a row of minus infinities is 0/0, so a plain implementation gives NaN and the backward pass spreads it. Here
# such rows give zero output and zero gradient. Say which convention you follow; it matters for padded batches.
# :::
#
# :::{dropdown} What does QK-norm buy when there is a scale already?
# The scale assumes unit variance, which training does not preserve. Normalizing queries and keys, with a learned factor
# in place of the fixed scale, bounds every score by that factor {cite:p}`henry2020query`. Many current models apply
# RMSNorm with a gain to q and k instead and keep the 1/√d.
# :::
#
# :::{dropdown} Why do models park attention on the first token?
# A row must sum to one even if a head has nothing to read, so it needs somewhere harmless to put the weight. The first
# token is visible to everyone. Evict it from a sliding-window cache and quality collapses; keep a few such sinks and it
# does not {cite:p}`xiao2024efficient`.
# :::
#
# :::{dropdown} Write the backward pass of the softmax.
# With $W$ the weights of a row and $G$ the gradient that arrives at them: $\mathrm dS = W \circ (G - \sum_l W_l G_l)$. Only the
# weights are needed, not the scores, and a one-hot row gets zero.
# :::
#
# :::{dropdown} At what length does attention dominate the cost?
# Per layer the four projections take $4TD^2$ multiply-adds, scores and weighted sum $2T^2D$. They are equal at $T = 2D$, and
# the MLP, usually $8TD^2$, moves the point at which these two are half of everything to $T = 6D$.
# :::
#
# :::{dropdown} Adam rescales gradients anyway. Why care about √d?
# Adam rescales each parameter, not each query. $W_Q$ is shared by all of them, so its step is set by the few queries with the largest gradients, and the forward pass is still one-hot.
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
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention of the last T positions to all S.

    q: (B, H, T, d).
    k, v: (B, H, S, d), S ≥ T: the first S − T are the past.
    Returns the output (B, H, T, d) and the weights (B, H, T, S).
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
# - {cite:t}`olsson2022context`: induction heads, in trained models. {cite:t}`sanford2024one`: why one layer is not enough.
# - {cite:t}`milakov2018online`: the one-pass softmax. {cite:t}`dao2022flashattention`: what it does for attention.
# - {cite:t}`ainslie2023gqa`: grouped queries. {cite:t}`deepseek2024v2`: latent attention. {cite:t}`henry2020query`: QK-norm.
#   {cite:t}`xiao2024efficient`: sinks. {cite:t}`yang2022tensor`: μP and 1/d.
