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
#     needs:
#     - self_attention_math
#     question_zh: 语言模型中的 Transformer 模型是什么？
#     short: Transformer block
#     source: L09
#     tasks:
#     - gpt_param_count
# ---

# %% [markdown]
# # Write a Transformer block. Where does the norm go, and what does its place change?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Every position carries a vector, the residual stream. A block reads it twice, through a norm: attention mixes positions,
# an MLP works on each alone, and both add their result to the stream. That order is pre-norm: the stream grows with depth, the
# final norm divides by its size, and at initialization the last block's gradient shrinks with depth. Post-norm divides after
# every addition, so that gradient does not. Starting the matrices that write to the stream smaller, by one over root two L,
# removes the difference.
#
# :::{dropdown} The two-minute answer
# With $x$ of shape $(B, T, D)$, pre-norm computes $x \leftarrow x + \mathrm{Attn}(\mathrm{LN}(x))$, then $x \leftarrow x +
# \mathrm{MLP}(\mathrm{LN}(x))$, and normalizes once more after the last of $L$ blocks; post-norm computes $x \leftarrow
# \mathrm{LN}(x + \mathrm{Attn}(x))$ and so on. The MLP widens to $4D$. GPT-2 adds learned positions to the token embeddings
# at the bottom and uses the embeddings' matrix as head at the top. The causal mask makes one pass over $T$ tokens a
# training example for every prefix; generation still goes token by token.
#
# A norm's backward pass divides by what its forward pass divided by. A pre-norm stream adds up $2L$ contributions,
# so its size grows like $\sqrt L$ and the last block's gradient falls like $1/\sqrt L$. Under post-norm it does not depend on
# depth. Adam's first step has the same size whatever the gradient, so this alone cannot explain warm-up; the same
# step also moves post-norm's output further. Both differences are nearly gone at the start with $1/\sqrt{2L}$.
#
# A block has about $12D^2$ parameters: $4D^2$ in attention, $8D^2$ in the MLP. Training takes about $6N$ FLOPs per token for
# $N$ parameters, plus $12LTD$ for attention's scores and sums.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: two sublayers, each adding to the stream; the shape stays $(B, T, D)$; only attention mixes positions.
# - Junior: one causal pass trains all $T$ positions at once; what is parallel in training is sequential in generation.
# - Mid: layer norm takes mean and variance over the $D$ numbers of one position; RMS norm drops the mean and the bias.
# - Mid: $12D^2$ parameters per block; $6N + 12LTD$ training FLOPs per token, and where the 6 comes from.
# - Mid: checks an implementation on copied weights, and knows what shapes, counts and the first loss miss.
# - Senior: at the start, the last block's gradient is set by what the last norm divides by; in pre-norm that grows like
#   $\sqrt L$, and early blocks get larger gradients than late ones.
# - Senior: $1/\sqrt{2L}$ holds the stream's size and removes this difference; Adam hides gradient sizes, and what remains is
#   sensitivity.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from lmprep.architectures import transformer
from lmprep.architectures.attention import attention
from lmprep.architectures.norms import layer_norm, rms_norm
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check

device = setup()

from transformers import GPT2Config, GPT2LMHeadModel

# %% [markdown]
# ## Twelve tensors per block, and the rest is addition
#
# Open a GPT-2 checkpoint: each block stores twelve tensors. Here is a small one of `transformers`, with random weights
# ($V = 100$ tokens, context 16, width $D = 32$, $L = 3$ blocks, $H = 4$ heads). Its biases and norms are jostled, because a bias of
# zero would hide whether it is used at all.

# %%
sizes = {"vocab_size": 100, "n_positions": 16, "n_embd": 32, "n_layer": 3, "n_head": 4}
theirs = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
theirs.double().eval()
source = generator(1)
for parameter in theirs.parameters():
    parameter.data += 0.2 * torch.randn(parameter.shape, generator=source)
weights = theirs.transformer.state_dict()
for name in (name for name in weights if name.startswith("h.0.")):
    print(f"{name:24}{tuple(weights[name].shape)}")

# %% [markdown]
# `c_attn` holds queries, keys and values side by side; `c_proj` writes back to the stream. Matrices are stored as (in, out),
# so $xW + b$ needs no transpose. The norms first. *Layer norm* takes each position's $D$ numbers alone, not the batch and not
# the sequence: subtract their mean, divide by their standard deviation, multiply by a learned gain, add a learned bias. *RMS norm*
# divides by the root mean square and has the gain only.


# %%
show(layer_norm, rms_norm)

# %%
x = torch.randn(2, 5, 32, generator=generator(2), dtype=torch.float64)
gain, bias = torch.randn(2, 32, generator=generator(3), dtype=torch.float64)
agrees("layer_norm", "torch.nn.functional.layer_norm", layer_norm(x, gain, bias),
       F.layer_norm(x, (32,), gain, bias), atol=1e-12)  # fmt: skip
agrees("rms_norm", "torch.nn.functional.rms_norm", rms_norm(x, gain),
       F.rms_norm(x, (32,), gain, eps=1e-5), atol=1e-12)  # fmt: skip

# %% [markdown]
# Then the block. `attention` is the function of the [previous page](self_attention_math). Each of the two paragraphs
# reads the stream through a norm and adds to it; nothing is overwritten.


# %%
def linear(x, w, name):
    return x @ w[f"{name}.weight"] + w[f"{name}.bias"]


def block(x, w, num_heads, causal=True, gelu="tanh"):
    read = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"])  # (B, T, D)
    qkv = linear(read, w, "attn.c_attn").chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (num_heads, -1)).transpose(1, 2) for part in qkv)
    heads, _ = attention(q, k, v, causal=causal)  # (B, H, T, d)
    x = x + linear(heads.transpose(1, 2).flatten(2), w, "attn.c_proj")  # (B, T, D)

    read = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"])
    hidden = F.gelu(linear(read, w, "mlp.c_fc"), approximate=gelu)  # (B, T, 4D)
    return x + linear(hidden, w, "mlp.c_proj")


def gpt2(ids, w, num_heads=4, **wiring):
    x = w["wte.weight"][ids] + w["wpe.weight"][: ids.size(1)]  # token + position
    for start in ("h.0.", "h.1.", "h.2."):
        own = {name.removeprefix(start): w[name] for name in w if name.startswith(start)}
        x = block(x, own, num_heads, **wiring)
    # The head is the token embeddings' matrix: (B, T, V).
    return layer_norm(x, w["ln_f.weight"], w["ln_f.bias"]) @ w["wte.weight"].T


ids = torch.randint(100, (3, 16), generator=generator(4))
logits, reference = gpt2(ids, weights), theirs(ids).logits.detach()
agrees("gpt2_by_hand", "transformers.GPT2LMHeadModel", logits, reference, atol=1e-11)

# %% [markdown]
# That is all of GPT-2. The book's library has the same block as a module, with either order of norms. It keeps torch's
# `nn.LayerNorm` and `nn.RMSNorm`, one fused operation instead of our six or four.

# %%
show(transformer.Block)

# %% [markdown]
# ## A norm's backward pass divides, too
#
# Post-norm, the order of the first Transformer {cite:p}`vaswani2017attention`, normalizes the stream after each addition. Pre-norm
# normalizes what a sublayer reads, and the stream itself once, at the very end. {cite:t}`xiong2020layer` prove what follows at
# initialization. Under pre-norm the stream's mean square grows by 1/2 to 3/2 per block in expectation; a single draw may leave
# that range. The final norm divides by its
# root, forward and backward, so their bound on the gradient of the last block's second MLP matrix falls
# like $1/\sqrt L$. Under post-norm the last norm reads the same size at any depth, and the bound does not depend on $L$.
#
# Is it the placement, or the division? If the division is all, *gradient × divisor* (the standard deviation of what the last
# norm reads) must be the same number for both placements, at all depths, and also when the stream's size is held by
# other means: GPT-2 scales the matrices that write to the stream by $1/\sqrt{2L}$, for $2L$ additions
# {cite:p}`radford2019language`. So there are four kinds of model. As in the paper, the MLP is $D$ wide with a ReLU, and there is
# one head; tokens and labels are random. Afterwards the blocks' matrices take Adam's first step, which moves each weight by the
# learning rate against the sign of its gradient, to see how far the output moves.

# %%
# Try: init_std = 0.06. Blocks add less, the stream grows less, the gradient falls less, and
# the product stays one constant. Or put model.final_norm = torch.nn.Identity() after
# `model = …`: pre-norm's gradient stops falling, and the claim breaks.
depths = (2, 8, 32)
draws = 2
init_std = 64**-0.5
learning_rate = 1e-4
# norm_first, residual_scale; None means 1/√(2L)
arms = {"post-norm": (False, 1.0), "pre-norm": (True, 1.0),
        "post-norm, 1/√(2L)": (False, None),
        "pre-norm, 1/√(2L)": (True, None)}  # fmt: skip


def at_the_start(depth, norm_first, residual_scale, draw):
    # First and last block's gradient, last norm's divisor, the output's relative move.
    config = transformer.GPTConfig(
        vocab_size=256, context_length=32, width=64, mlp_width=64, num_layers=depth,
        num_heads=1, activation="relu", norm_first=norm_first, init_std=init_std,
        residual_scale=residual_scale, embedding_norm=True, tied_head=False,
        head_std=0.02)  # fmt: skip
    source = generator(10 + draw)
    model = transformer.GPT(config, source)
    last_norm = model.final_norm if norm_first else model.blocks[-1].mlp_norm
    reads = []
    last_norm.register_forward_hook(lambda norm, read, out: reads.append(read[0]))
    ids, labels = torch.randint(256, (2, 4, 32), generator=source)
    hidden, _ = model.hidden(ids, causal=True)
    F.cross_entropy(model.head(hidden).flatten(0, 1), labels.flatten()).backward()
    first, last = (model.blocks[k].mlp.output.weight.grad.norm() for k in (0, -1))
    for matrix in model.blocks.parameters():
        if matrix.ndim == 2:
            matrix.data -= learning_rate * matrix.grad.sign()
    moved = (model.hidden(ids, causal=True)[0] - hidden).norm() / hidden.norm()
    return torch.stack([first, last, reads[0].std(dim=-1).mean(), moved]).detach()


def mean_start(depth, *arm):  # geometric, over draws
    starts = [at_the_start(depth, *arm, draw) for draw in range(draws)]
    return torch.stack(starts).log().mean(dim=0).exp()


runs = {name: torch.stack([mean_start(depth, *arm) for depth in depths])
        for name, arm in arms.items()}  # (depths, 4) each  # fmt: skip

# %% mystnb={"image": {"alt": "Two charts against depth, 2 to 32 blocks, for four kinds of model. Top: the gradient of the last block. Unscaled pre-norm falls several times over, the other three stay level. Bottom: the same gradients times what the last norm divides by. All four lines lie close together and level."}} tags=["hide-input"]
fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True)
for (name, run), style in zip(runs.items(), ("o-", "s-", "o--", "s--"), strict=True):
    top.plot(depths, run[:, 1], style, label=name)
    bottom.plot(depths, run[:, 1] * run[:, 2], style, label=name)
top.set(title="Unscaled pre-norm shrinks the last block's gradient", ylabel="gradient")
bottom.set(title="Times what the last norm divides by, all four agree", ylabel="gradient × divisor",
           xlabel="blocks", xscale="log", xlim=(1.7, 170), xticks=depths, xticklabels=depths)  # fmt: skip
for ax in (top, bottom):
    ax.set_ylim(0, 0.12)
    label_lines(ax)
plt.show()

# %%
print("at the largest depth   first block   last block   divisor   output moves")
for name, run in runs.items():
    print("{:22}{:12.4f}{:13.4f}{:10.2f}{:15.4f}".format(name, *run[-1].tolist()))
results = torch.stack(list(runs.values()))  # (arms, depths, 4)
last, product = results[..., 1], results[..., 1] * results[..., 2]
claim("one_division", "post- and pre-norm, both scalings, all depths: last block's gradient "
      "× what the last norm divides by, largest over smallest",
      product.max() / product.min(), at_most=1.6, thesis=True)  # fmt: skip
claim("gradients_differ", "the same models: last block's gradient, largest over smallest",
      last.max() / last.min(), at_least=3)  # fmt: skip
post, pre, scaled_post, scaled_pre = results[:, -1]
claim("stream_growth", "pre-norm, 32 blocks: growth of the stream's mean square per block",
      (pre[2] ** 2 - 1) / depths[-1], at_least=0.5, at_most=2)  # fmt: skip
claim("early_over_late", "pre-norm, 32 blocks: gradient of the first block over the last",
      pre[0] / pre[1], at_least=2, unit="×")  # fmt: skip
claim("post_norm_moves_more", "32 blocks: output moved by Adam's first step, post- over "
      "pre-norm", post[3] / pre[3], at_least=1.5, unit="×")  # fmt: skip
claim("scaled_alike", "32 blocks, 1/√(2L): output moved by Adam's first step, post- over "
      "pre-norm", scaled_post[3] / scaled_pre[3], at_most=1.5, unit="×")  # fmt: skip

# %% [markdown]
# Gradients differ several times over, their products with the divisor hardly. So the theorem holds here, and for a
# reason sharper than "where the norm stands": the last block's gradient follows the size of what the last norm
# reads, and $1/\sqrt{2L}$ keeps that size near one at any depth, for either placement.
#
# Two things often added to it do not show in the table. One is that pre-norm's gradients are even across depth, which the
# paper's preliminary analysis of other layers expects. Here the first block's is several times the last one's;
# {cite:t}`shleifer2021normformer` report such a mismatch in pretraining. The other is that post-norm starves the first block.
# Compare its first two columns: they are of one order, and which is larger changes with the seed.
#
# Adam divides each gradient by its running size, so size alone cannot explain why post-norm needs warm-up.
# {cite:t}`liu2020understanding` point to how strongly the output reacts when weights move. The last column fits: all weights move
# equally far, yet post-norm's output moves several times further than pre-norm's. With $1/\sqrt{2L}$ both are as calm as unscaled
# pre-norm. This is one step of untrained models. It does not show that warm-up is needed; that takes training runs.
#
# ## One pass holds T training examples
#
# Change a token, and nothing before it may move: not by little, by exactly zero, because a masked weight is exactly
# zero. Then the logits at position $t$ equal those of a pass over the first $t$ tokens alone, and one pass over $T$ tokens
# serves all $T$ prefixes. That is the Transformer's parallelism: no step waits for the hidden state of the step before.

# %%
changed = ids.clone()
changed[:, 8] = (changed[:, 8] + 1) % 100
moves = (gpt2(changed, weights) - logits).abs().amax(dim=(0, 2))  # (T,)
claim("past_untouched", "token 8 changed: earlier logits move by", moves[:8].max(), at_most=0)
each = [theirs(ids[:, :length]).logits[:, -1].detach() for length in range(1, 17)]
each = torch.stack(each, dim=1)
agrees("prefixes", "transformers.GPT2LMHeadModel by prefixes", logits, each, atol=1e-11)

# %% [markdown]
# ## Four wrong models take GPT-2's weights without complaint
#
# How do you check your own implementation? Each model below has one error that candidates make. Shapes fit and the parameter
# count is right, so nothing is raised. Printed is how far logits move, in standard deviations.


# %%
# The output matrix is square, so it fits either way.
turned = {k: w.mT if "attn.c_proj.weight" in k else w for k, w in weights.items()}
tries = {
    "exact GELU": gpt2(ids, weights, gelu="none"),
    "8 heads, not 4": gpt2(ids, weights, num_heads=8),
    "future visible": gpt2(ids, weights, causal=False),
    "c_proj transposed": gpt2(ids, turned),
    "right, in bfloat16": gpt2(ids, {k: w.bfloat16() for k, w in weights.items()}),
}
moved = {name: (tries[name] - reference).abs().max() / reference.std() for name in tries}
print(*(f"{name:20}{moved[name]:8.4f}" for name in moved), sep="\n")
claim("gelu_hides", "largest logit error: exact GELU over bfloat16 rounding",
      moved["exact GELU"] / moved["right, in bfloat16"], at_most=0.5)  # fmt: skip

# %% [markdown]
# Three are gross. The first hides: GPT-2 uses a tanh formula that approximates GELU, and the exact function is off by less than
# the right model's rounding in bfloat16, the last row. In float64, rounding is many orders of magnitude below the error. So compare
# in float64. The library's `GPT` passes the same comparison:

# %%
config = transformer.GPTConfig(vocab_size=100, context_length=16, width=32, num_layers=3,
                               num_heads=4, activation="gelu_tanh")  # fmt: skip
library = transformer.GPT(config, generator()).double()
library.load_state_dict(transformer.gpt2_weights(theirs.state_dict()))
ours = library(ids).detach()
agrees("library_gpt2", "transformers.GPT2LMHeadModel", ours, reference, atol=1e-11)

# %% [markdown]
# ## $12LD^2$ parameters, and what 6N leaves out
#
# Queries, keys, values and output are four $D \times D$ matrices, the MLP's two are $D \times 4D$: $12D^2$ per block.
# Biases and norms add $13D$, embeddings $VD + TD$, the last norm $2D$; the tied head costs no parameter. A matrix of
# $N$ parameters takes $2N$ FLOPs (floating-point operations) per token, a multiplication and an addition being two. The backward pass takes twice
# that, once for the gradient of its input and once for its own, which makes $6N$. Scores and weighted sums have no
# parameters; over the full $T \times T$ square they take $4LTD$ forward, $12LTD$ in training {cite:p}`chowdhery2023palm`.

# %%
show(transformer.flops_per_token)

# %%
small = transformer.GPTConfig(vocab_size=50_257, context_length=1024, width=768,
                              num_layers=12, num_heads=12)  # fmt: skip
params = transformer.count_params(small)
flops = transformer.flops_per_token(small, 1024)
with torch.device("meta"):  # shapes without memory
    gpt2_small, tokens = GPT2LMHeadModel(GPT2Config()), torch.zeros(1, 1024).long()
with FlopCounterMode(display=False) as counter:
    gpt2_small(tokens)
agrees("params", "transformers.GPT2LMHeadModel", params, gpt2_small.num_parameters(), atol=0)
agrees("flops", "torch.utils.flop_counter", flops * 1024, counter.get_total_flops(), atol=0)
claim("six_n", "GPT-2 small at full context: training FLOPs over 6N",
      3 * flops / (6 * params), at_least=1.1, at_most=1.2)  # fmt: skip

# %% [markdown]
# Both counts agree to the last unit. $N$ is taken as all parameters: the tied matrix does no arithmetic in the look-up and $VD$
# multiplications as head, so it counts once. What 6N leaves out is attention's $12LTD$, which grows with the context.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **The Transformer is parallel because it splits the sequence into sub-sequences.** Many study notes say so. Nothing is split:
# all $T$ positions go through the same matrix products at once. What counts is the longest chain of operations that wait for
# each other: $L$ blocks in a Transformer, $T$ steps in a one-layer LSTM. Generation has that chain of $T$ tokens again.
#
# **An LSTM decoder with queries from it and keys from an encoder, under the comment "self-attention".** That is
# *cross*-attention, and a fine translator. In self-attention queries, keys and values come from the same
# sequence; a Transformer has no recurrence beneath. In the notes' code the attended context is never used at all.
#
# **`(x - x.mean()) / x.std()`** in the whiteboard's layer norm. Without `dim=-1` it mixes positions and sequences, so the
# future leaks into the past. With it, torch's `std` divides by $D - 1$: at $D = 4$ results are 13 % too small, at
# $D = 768$ the slip hides in the fourth digit. And where a row is constant, without an epsilon it is 0/0.
#
# **"More heads, more parameters."** Ask for GPT-2's count with 24 heads in place of 12. It is the same: heads cut the
# same matrices into thinner slices. Fewer *key–value* heads do save parameters, because those matrices become narrower.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} What have open models changed since GPT-2?
# RMS norm for layer norm {cite:p}`zhang2019root`, rotary positions for learned ones, no biases, grouped key–value heads
# {cite:p}`ainslie2023gqa`, and a gated MLP: three matrices in place of two, with hidden width cut to two thirds
# so that parameters stay equal {cite:p}`shazeer2020glu`. Stream, two sublayers and addition are the same.
# :::
#
# :::{dropdown} Why not batch norm?
# Layer norm needs one token's vector and does the same in training and use. Batch norm's means and variances come from the batch: they mix in
# later tokens, which a causal model must not see, and in text fluctuate a lot during training {cite:p}`shen2020powernorm`.
# :::
#
# :::{dropdown} Encoder-only, decoder-only, encoder–decoder: what differs?
# The mask and one sublayer. An encoder block has no causal mask. A decoder-only block is this page's. In an encoder–decoder
# {cite:p}`vaswani2017attention` decoder blocks have a third sublayer between the two, cross-attention with keys and values from the encoder's output.
# :::
#
# :::{dropdown} Is pre- or post-norm the last word?
# Neither. Some recent models, Gemma 2 among them, normalize a sublayer's input and its output, inside the branch: a learned
# gain sets the size of what is added, and the stream itself stays untouched. {cite:t}`kim2025peri` study this and
# report steadier growth and gradients than with either.
# :::
#
# :::{dropdown} When does 6N mislead?
# With long contexts and with sparse models. Per block, attention's part is $12TD$ against $72D^2$ for the matrices, so it is
# as large at $T = 6D$. In a mixture of experts $N$ must be the active parameters. Recomputing all activations adds a
# forward pass: $8N$.
# :::
#
# :::{dropdown} Why tie the head to the embeddings?
# It saves $VD$ parameters, 38.6 of GPT-2 small's 124.4 million, and lowered perplexity in recurrent models
# {cite:p}`press2017using`. The wider the model, the smaller the share, and the less there is to save.
# :::
#
# :::{dropdown} What do the MLPs do that attention cannot?
# Attention's output is, for given weights, linear in the values. Without the MLP the only nonlinearity left would be
# softmax and norms. It also holds two thirds of the block's parameters.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} gpt_param_count
# ```


# %%
def gpt_param_count(
    V: int, T: int, d: int, L: int, H: int, d_ff: int, tied: bool, bias: bool = True
) -> int:
    """The parameters of a GPT-2: vocabulary V, context T, width d, L blocks, H heads."""
    raise NotImplementedError


check("gpt_param_count", gpt_param_count)

# %% [markdown]
# ```{solution} gpt_param_count
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`vaswani2017attention`: the Transformer, with post-norm. {cite:t}`radford2019language`: pre-norm, $1/\sqrt{2L}$ (its
#   $N$ counts residual layers).
# - {cite:t}`xiong2020layer`: theorem 1 and lemma 2, which the experiment checks. {cite:t}`liu2020understanding`: sensitivity.
#   {cite:t}`shleifer2021normformer`: uneven gradients under pre-norm. {cite:t}`kim2025peri`: norms on both sides.
# - {cite:t}`zhang2019root`: RMS norm. {cite:t}`shazeer2020glu`: gated MLPs. {cite:t}`ainslie2023gqa`: grouped queries.
#   {cite:t}`press2017using`: the tied head. {cite:t}`chowdhery2023palm`: FLOPs, appendix B.
