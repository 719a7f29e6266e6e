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
#     - self_attention_math
#     - transformer_block
#     question_zh: 如何优化语言模型的推理速度？
#     short: KV cache
#     source: S03
#     tasks:
#     - attend_step
# ---

# %% [markdown]
# # Why is generation slow, and what exactly does a KV cache save?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Every new token waits for the one before it, and each step reads all the weights; with one sequence, for two operations
# per weight. The tokens of a prompt share one such reading. A KV cache keeps each layer's keys and values, which later
# tokens cannot change: a step then processes one token instead of the whole text, with the same result up to rounding. That saves
# arithmetic and costs memory. Batching shares the weights among sequences, but each one has its own cache to read.
#
# :::{dropdown} The two-minute answer
# Generation has two phases. **Prefill** reads the prompt in one pass and sets the time to the first token. **Decode** makes one
# pass per token and sets the time per output token. A pass takes at least as long as its arithmetic and at least as long as moving its bytes, the
# *roofline*. An H100 can do some three hundred 16-bit operations in the time it reads one byte. A prompt of a thousand tokens uses
# each weight for a thousand tokens, so its prefill waits for arithmetic. A decoding step with one sequence uses it for one token, and waits for memory.
#
# With a causal mask nothing at an earlier position depends on a later one, so keys and values of the past are final. Stored, they
# leave one token to compute per step. Without a cache, $n$ tokens cost $n/2$ to $2n/3$ times as many FLOPs (floating-point operations).
#
# The price is $2 L H_{kv} d$ numbers per token: keys and values in $L$ layers, $H_{kv}$ heads of width $d$. A step must read all of
# them for each sequence. Batching therefore helps until the caches, not the weights, are most of what is read. Then the cache has to shrink:
# fewer key–value heads, fewer bits, a shared prefix, a window.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: keys and values are cached, queries are not, and says why the past's keys are final.
# - Junior: the size of a cache, $2 \cdot L \cdot H_{kv} \cdot d$ numbers per token and sequence.
# - Mid: prefill and decode do similar arithmetic per token, and differ in how often weights are read.
# - Mid: what is left after caching: per-token attention still grows with the length.
# - Mid: a test of a cache compares logits after several single steps, not the first token.
# - Senior: computes when a step is bound by arithmetic, and that beyond some length no batch makes it so.
# - Senior: chooses between quantized weights, quantized cache and fewer heads by what a step reads most.

# %% tags=["hide-input"]
import copy
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lmprep.architectures.generate import KVCache, generate
from lmprep.architectures.transformer import GPT, GPTConfig, count_params
from lmprep.compression import kvcache, quantize
from lmprep.evidence import agrees, claim
from lmprep.foundations.decoding import greedy
from lmprep.notebook import generator, setup, show
from lmprep.practice import check

device = setup()

# %% [markdown]
# ## Writing 1,000 tokens takes the arithmetic of reading them, and 1,000 times the traffic
#
# Llama 3.1 8B {cite:p}`grattafiori2024llama` in 16 bits on one H100 {cite:p}`nvidia2024h100`: each pass reads 15 GB of weights (the embedding table
# is only looked up), and the memory delivers 3.35 TB per second. That is 4.5 ms, whatever the pass is for. The arithmetic of one token, two operations per weight, is 15 GFLOP. At 989 TFLOP per second (dense)
# it takes 0.015 ms. A pass takes at least the longer of the two times:

# %%
show(kvcache.pass_flops, kvcache.pass_bytes)

# %%
llama = kvcache.LLAMA_3_1_8B
compute, bandwidth, memory = 989e12, 3.35e12, 80e9  # FLOP/s in 16 bits, bytes/s, bytes
n, least = 1000, {}
print(f"{count_params(llama):,} parameters; seconds at least:  arithmetic  reading  in all")
for batch in (1, 64):
    ways = {"read in one pass": [(n, 0, batch)],
            "written, cache": [(1, past, batch) for past in range(n)],
            "written, no cache": [(past + 1, 0, batch) for past in range(n)]}  # fmt: skip
    for way, passes in ways.items():
        seconds = torch.tensor([(kvcache.pass_flops(llama, *p) / compute,
                                 kvcache.pass_bytes(llama, *p) / bandwidth) for p in passes])  # fmt: skip
        least[way, batch] = seconds.amax(dim=1).sum().item()  # each pass: the longer of the two
        totals = *seconds.sum(dim=0).tolist(), least[way, batch]
        print(f"{batch:19} × {n:,} {way:18}" + "".join(f"{s:10.3f}" for s in totals))
gain, gain_64 = (least["written, no cache", b] / least["written, cache", b] for b in (1, 64))
claim("cache_pays_in_batches", "1,000 tokens from an 8B model on one GPU: factor by which a cache lowers the least "
      "time for 64 sequences, over the factor for one", gain_64 / gain, at_least=20, unit="×")  # fmt: skip

# %% [markdown]
# The first two rows have nearly the same arithmetic, but written tokens come one at a time, and each pass waits for all the weights. The third
# row has about $n/2$ times the arithmetic. For one sequence its least time is still less than twice the second row's, because short passes
# hide behind a reading that the cache does not spare. So for one sequence the cache mostly frees arithmetic, which a batch can use:
# with 64 sequences nothing is left to hide behind. These are bounds from peak numbers, not timings.
#
# ## The past's keys and values are final
#
# Row $t$ of causal attention is $\mathrm{softmax}(q_t K_{\le t}^\top / \sqrt d)\, V_{\le t}$: one query, of shape $(1, d)$, and all keys and
# values so far, $(t, d)$ each. Nothing in it comes from later tokens, so layer by layer the vectors at positions up to $t$ stay what they are.
# Past keys and values are asked for again by every later row, a past query by none. The cache is memory allocated once, and an index:

# %%
show(KVCache.update)

# %%
config = GPTConfig(vocab_size=60, context_length=128, width=64, num_layers=2, num_heads=8,
                   init_std=0.1)  # fmt: skip
model = GPT(config, generator(1)).double().requires_grad_(False).to(device)
ids = torch.randint(60, (4, 48), generator=generator(2)).to(device)  # (B, T)
prompt, T = 16, ids.size(1)


def in_steps(read, model: GPT) -> Tensor:
    """Logits (B, T, V): the prompt in one pass, then token by token, with a cache of the model."""
    cache = model.new_cache(len(ids))
    parts = ids[:, :prompt], *ids[:, prompt:].split(1, dim=1)
    return torch.cat([read(new, cache) for new in parts], dim=1)


cached = in_steps(model, model)

future = torch.ones(T, T, dtype=torch.bool, device=device).triu(1)  # True = hidden
x = model.tokens(ids) + model.positions(T)  # (B, T, D)
for block in model.blocks:
    layer = nn.TransformerEncoderLayer(64, 8, 256, dropout=0.0, activation="gelu",
                                       batch_first=True, norm_first=True)  # fmt: skip
    weights = block.state_dict().values()  # torch lists its own in the same order
    layer.load_state_dict(dict(zip(layer.state_dict(), weights, strict=True)))
    x = layer.double().to(device)(x, src_mask=future)
agrees("cached_logits", "torch.nn.TransformerEncoderLayer, whole text in one pass", cached,
       model.head(model.final_norm(x)).detach(), atol=1e-12)  # fmt: skip
claim("cache_changes_nothing", "float64: largest difference between logits with cache and without",
      (cached - model(ids)).abs().max(), at_most=1e-12)  # fmt: skip

# %% [markdown]
# Same result up to rounding, not bit by bit: matrix products of other shapes may add in another order. That is why the comparison is made in
# float64. In half precision a near tie can go the other way, and the two texts part from there.
#
# ## Two bugs that the first token cannot show
#
# Both are about *where* the new token stands. A model may count positions from 0 in every pass. Or a mask may put its triangle at the first key:
# torch's `is_causal=True` does so, and one query then sees key 0 alone.


# %%
from_zero = copy.deepcopy(model)
from_zero.positions.forward = lambda T, start=0: model.positions.weight[:T]


def at_first_key(new: Tensor, cache: KVCache) -> Tensor:
    # Query i of a pass sees the keys up to i, cached or not.
    T, S = new.size(1), cache.length + new.size(1)
    mask = torch.ones(T, S, dtype=torch.bool, device=device).tril()
    return model.head(model.hidden(new, mask=mask, cache=cache)[0])


bugs = {"positions from 0": from_zero, "triangle at key 0": at_first_key}
errors = torch.stack([in_steps(read, model) - cached for read in bugs.values()]).abs()
errors = errors.amax(dim=(1, 3)) / cached.std()  # (2, T)
print("largest error of a logit at  the prompt's end   first step   tenth step")
for name, error in zip(bugs, errors.tolist(), strict=True):
    print(f"{name:26}{error[prompt - 1]:16.2f}{error[prompt]:14.2f}{error[prompt + 9]:13.2f}")
claim("bugs_pass_the_prompt", "two wrong caches: largest logit error within the prompt, in standard deviations",
      errors[:, :prompt].max(), at_most=1e-12)  # fmt: skip
claim("bugs_show_in_steps", "two wrong caches: logit error at the single step where it is smallest, in standard "
      "deviations", errors[:, prompt:].min(), at_least=0.8)  # fmt: skip

# %% [markdown]
# The prompt is right under both bugs, and so is the first new token, which is taken from the prompt's last row. Any test that stops there passes. Test several single steps, in float64, against
# one pass over the whole text, and prompts of more than one length.
#
# ## What is saved is a factor of about n/2, and what remains still grows with the square
#
# Without a cache, pass $t$ works on all $t$ tokens. Let one token cost $w$ FLOPs in the matrices of weights. Their sum over $n$ passes is $w\,n(n+1)/2$ instead of $w\,n$, a factor of
# $(n+1)/2$. Attention takes $4LD$ FLOPs for each pair of a query and a key: with a cache $t$ pairs at step $t$, together about $n^2/2$; without, $t^2$ pairs, masked ones included, together about $n^3/3$. So cached generation
# is not linear in length. The square is small at first: for Llama 3.1 8B, $4LD\,t$ reaches the 15 GFLOP of the weights at $t \approx 29{,}000$.
# [`flops_per_token`](../architectures/transformer_block) has the terms.

# %%
show(kvcache.generation_flops)


# %%
# Attention in plain matrix products: in the fused kernel on a CPU, torch counts no FLOPs.
class Explicit(GPT):
    def forward(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        return super().forward(ids, cache, return_weights=True)[0]


counting = Explicit(config, generator(3)).requires_grad_(False).to(device)
ours, counted = [], []
for start, new in ((1, 8), (1, 20), (10, 8)):
    for use_cache in (True, False):
        with FlopCounterMode(display=False) as counter:
            generate(counting, ids[:1, :start], new, greedy, cache=use_cache)
        counted.append(counter.get_total_flops())
        ours.append(kvcache.generation_flops(config, start, new, cached=use_cache))
    print(f"prompt {start}, {new} new: {counted[-1] / counted[-2]:.1f} × the FLOPs uncached")
agrees("generation_flops", "torch.utils.flop_counter", ours, counted, atol=0)

# %% [markdown]
# The formula agrees to the last FLOP. Without a cache, a prompt too is read again in every pass.
#
# ## A batch shares the weights, and every sequence brings its own cache
#
# *FLOPs per byte* tell what limits a pass: the H100 can do 989 / 3.35 ≈ 295 while it reads a byte, and a pass that needs fewer waits for memory. Take one decoding step, and
# let 64 tokens go through instead of one, in two ways: one new token of each of 64 sequences, or 64 new tokens of one. torch counts the FLOPs: products with
# weights are `mm` or `addmm`, those with keys and values `bmm`. Bytes are those of the real tensors.

# %%
# Try: many = 4. Sharing gains at most what is shared among, so the thesis breaks. Another
# number of keys changes no ratio. In float32 all of them are halved.
many, keys = 64, 72
per_byte = {}
print("FLOPs per byte     of weights   of cache   cache bytes    by formula")
for kv_heads, batch, new in ((8, 1, 1), (8, many, 1), (8, 1, many), (2, many, 1), (1, many, 1)):
    grouped = Explicit(replace(config, num_kv_heads=kv_heads, position="rope"), generator(3))
    grouped.requires_grad_(False).bfloat16().to(device)
    tokens = torch.randint(60, (batch, keys), generator=generator(4)).to(device)
    cache = grouped.new_cache(batch)
    grouped(tokens[:, :-new], cache)
    with FlopCounterMode(display=False) as counter:
        grouped(tokens[:, -new:], cache)
    flops = counter.get_flop_counts()["Global"]
    in_attention = flops.pop(torch.ops.aten.bmm)
    read = sum(part[..., : cache.length, :].nbytes for part in (cache.keys, cache.values))
    by_formula = kvcache.cache_bytes(grouped.config, keys, batch)
    row = sum(flops.values()) / sum(p.nbytes for p in grouped.parameters()), in_attention / read
    print(f"{kv_heads} kv heads, {batch:2} × {new:2} tokens {row[0]:8.2f}{row[1]:11.2f}"
          f"{read:16,}{by_formula:14,.0f}")  # fmt: skip
    per_byte[kv_heads, batch, new] = row

# %%
one, batched, chunk = (per_byte[8, b, t] for b, t in ((1, 1), (many, 1), (1, many)))
claim("batch_shares_weights_only", "decoding, 64 sequences instead of one: growth of FLOPs per byte of weights, "
      "over their growth per byte of cache",
      (batched[0] / one[0]) / (batched[1] / one[1]), at_least=32, thesis=True)  # fmt: skip
claim("tokens_of_one_share_both", "64 new tokens of one sequence instead of one: growth of FLOPs per byte of cache",
      chunk[1] / one[1], at_least=32, unit="×")  # fmt: skip
claim("queries_share_heads", "FLOPs per byte of cache: one key–value head for eight query heads, over one for each",
      per_byte[1, many, 1][1] / batched[1], at_least=4, unit="×")  # fmt: skip

# %% [markdown]
# In the second row each weight is used 64 times (norms and biases, read as well, cost a little), while each key is still used once, by its own sequence's query. In the third, as in prefill, the 64
# queries belong to one sequence and share its keys too. In the last two rows, query heads share a key–value head: $H / H_{kv}$ FLOPs per byte in 16 bits, for any batch. The caches have exactly
# [the bytes of the formula](../foundations/context_state_capacity), $2 L H_{kv} d$ numbers per token.
#
# So for a step over $S$ tokens with batch $B$, weights of $W$ bytes, a cache of $c$ bytes and $f$ FLOPs per token, arithmetic takes as long as reading when
# $B f / 295 = W + B\,c\,S$, which gives $B = W / (f / 295 - c\,S)$. For Llama 3.1 8B $f / 295$ is 51 MB at short lengths and $c$ is 131,072 bytes: near
# $S = 390$ the denominator is gone. Beyond that, a sequence brings more bytes than its arithmetic can hide, and no batch is large enough.

# %%
show(kvcache.break_even_batch)

# %% mystnb={"image": {"alt": "Two stacked maps of context length, 16 to 131,072 tokens, against batch size, both logarithmic, for an 8-billion-parameter model on one 80 GB GPU. A falling line marks how many sequences fit. Below it the region bound by reading covers most of the map. A region bound by arithmetic lies between that line and a rising break-even curve. With 8 key-value heads it ends near 300 tokens, with one head near 2,500, so it is larger but still a corner."}} tags=["hide-input"]
lengths = [round(2 ** (k / 8)) for k in range(32, 137)]
_, axes = plt.subplots(2, 1, figsize=(5.6, 7.6))
for ax, kv_heads in zip(axes, (8, 1), strict=True):
    shape = replace(llama, num_kv_heads=kv_heads)
    free = memory - 2 * count_params(shape)
    fits = [free / kvcache.cache_bytes(shape, S) for S in lengths]
    even = [kvcache.break_even_batch(shape, S, compute / bandwidth) for S in lengths]
    bound = [min(pair) for pair in zip(fits, even, strict=True)]
    ax.fill_between(lengths, 1, bound, alpha=0.2, label="waits for memory")
    ax.fill_between(lengths, bound, fits, alpha=0.6, label="waits for arithmetic")
    ax.plot(lengths, fits, "k", label="80 GB are full")
    ax.legend(loc="upper right")
    ax.set(xscale="log", xlabel="tokens in each sequence")
    ax.set(yscale="log", ylim=(1, 1e5), ylabel="sequences in the batch")
axes[0].set_title("8 key–value heads: arithmetic limits short texts only")
axes[1].set_title("1 head: more fits, and the corner grows")
plt.show()

# %% [markdown]
# The other wall is capacity: all weights take 16 GB, and the remaining 64 GB hold 59 caches of 8,192 tokens, 1.07 GB each. With one head, both walls move away. Nobody shares keys for free, though: fewer heads
# must be trained for, and multi-query attention loses some quality that grouped queries mostly keep {cite:p}`ainslie2023gqa`.
#
# ## Quantize what is read most
#
# For one sequence that is the weights; for 32 of 8,192 tokens, the caches:

# %%
w, c = kvcache.weight_bytes(llama), kvcache.cache_bytes(llama, 8192)
print("a step reads, in GB:     16 bits   weights in 8   cache in 8")
for batch in (1, 32):
    read = torch.tensor([w + batch * c, w / 2 + batch * c, w + batch * c / 2]) / 1e9
    print(f"{batch:2} × 8,192 tokens {read[0]:14.1f}{read[1]:14.1f}{read[2]:14.1f}")

quantized = copy.deepcopy(model)
for module in quantized.modules():
    if isinstance(module, nn.Linear):
        module.weight.data = quantize.simulate(module.weight, 8)
moved = (quantized(ids) - cached).abs().max() / cached.std()
written = generate(quantized, ids[:, :prompt], 32, greedy)
print(f"{tuple(written.shape)} ids on {written.device.type}; logits off by {moved:.2f} σ")

# %% [markdown]
# Halving the weights nearly halves what a lone sequence reads, and saves the batch of 32 much less; halving the cache does the reverse. The last lines quantize a model and generate on `device`. Random weights say nothing about
# quality: measure a trained model's loss. And `simulate` rounds in floating point; bytes fall when a kernel reads the [integers](quantization_ptq_qat).

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Wrap the model in a quantization layer, then predict on the GPU."** A layer takes tensors, not models, and Keras has no `layers.Quantize`: it is `model.quantize("int8")`, in place. Nor
# does `with tf.device(...)` around `predict` move weights made before. In PyTorch, `model.to(device)` does.
#
# **"TPU compression", operator fusion and pruning as ways to compress.** A TPU is a chip. Fusing removes launches and round trips of activations; each weight is read as before. Pruning by magnitude zeroes weights, not neurons, and a dense kernel reads and
# multiplies a zero like any other number. Bytes fall when whole heads, rows or layers go, or when a kernel knows the sparse format.
#
# **"The dashboard shows 100 % GPU utilization, so we are limited by compute."** In training the two often go together. But the figure is the share of time in which *some* kernel ran
# {cite:p}`nvidia2026nvml`. A step that waits for memory all along shows 100 % too. Divide achieved FLOPs and bytes per second by their peaks instead.
#
# **Throughput quoted as speed.** Raising the batch from 1 to 64 multiplies tokens per second, and each user's stream becomes slower, if anything: the step now reads 64 caches. State both, at a stated length.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why do serving systems measure TTFT and TPOT separately?
# Time to first token contains queueing and prefill, whose arithmetic grows with the prompt. Time per output token is decode, which waits for memory. They compete: a long prefill between two steps
# stalls every stream of the batch. Systems split prompts into chunks that ride along with decoding steps {cite:p}`agrawal2024taming`, or give the phases different machines.
# :::
#
# :::{dropdown} Does a KV cache speed up training?
# No. With teacher forcing all positions are computed in one pass, so no key is computed twice. And gradients must reach past keys, which a cache written in place would break.
# :::
#
# :::{dropdown} What is continuous batching, and what does PagedAttention add?
# Continuous batching admits and retires sequences after every step {cite:p}`yu2022orca`, so a short reply does not wait for the longest. Reserving the maximal length for each wastes memory: in the systems profiled by
# {cite:t}`kwon2023efficient`, 20 to 38 % of cache memory held tokens. Blocks of, say, 16 tokens behind a table leave at most one block partly empty per sequence.
# :::
#
# :::{dropdown} Requests share a long system prompt. What can you save?
# Its prefill and its memory: equal prefixes have equal keys and values, down to the first differing token, so a table of blocks can point to one copy. Reading is saved only if the kernel lets the whole batch's
# queries meet the shared keys in one product, as Hydragen does {cite:p}`juravsky2024hydragen`. Then the thesis above no longer holds for that part.
# :::
#
# :::{dropdown} Can the cache be quantized?
# Yes; the bytes read per sequence fall with the bits. KIVI keeps keys with a scale per channel, values with one per token, at 2 bits {cite:p}`liu2024kivi`. Unlike exact caching, it changes the output, and errors stay in the cache for all later tokens.
# :::
#
# :::{dropdown} What does a sliding window change?
# The cache becomes a ring of $W$ slots: bytes and FLOPs per step stop growing. Slots get overwritten, so the absolute position has to be stored, not taken from the slot. Evicting the first tokens can break a model that was not trained for it; a few kept *sinks* help {cite:p}`xiao2024efficient`.
# :::
#
# :::{dropdown} How does multi-head latent attention shrink the cache?
# It caches one latent vector of width $d_c$ per token and layer, from which all heads' keys and values are projected, and one shared rotary key of width $d_R$: $(d_c + d_R) L$ numbers. DeepSeek-V2 has $d_c = 512$, $d_R = 64$, $L = 60$
# {cite:p}`deepseek2024v2`: 69,120 bytes per token in 16 bits. Its 128 heads of width 128, cached in full, would take 57 times that. The projections can be absorbed into those of queries and outputs, so keys are never formed.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} attend_step
# ```

# %%
import torch


def attend_step(
    q: torch.Tensor,
    k_new: torch.Tensor,
    v_new: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    """One decoding step of attention, for sequences of different lengths.

    q: (B, H, 1, d). k_new: (B, H_kv, 1, d). v_new: (B, H_kv, 1, d_v).
    keys: (B, H_kv, C, d). values: (B, H_kv, C, d_v). Both change in place.
    lengths: (B,) int64, tokens cached so far, from 0 to C - 1.
    Returns (B, H, 1, d_v).
    """
    raise NotImplementedError


check("attend_step", attend_step)

# %% [markdown]
# ```{solution} attend_step
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`shazeer2019fast`: multi-query attention, and why decoding waits for memory. {cite:t}`ainslie2023gqa`: grouped queries. {cite:t}`deepseek2024v2`: latent attention.
# - {cite:t}`pope2023efficiently`: a cost model of generation at scale. {cite:t}`williams2009roofline`: the roofline.
# - {cite:t}`yu2022orca`, {cite:t}`kwon2023efficient`, {cite:t}`juravsky2024hydragen`: batching, paging, shared prefixes.
# - {cite:t}`nvidia2024h100`, {cite:t}`grattafiori2024llama`: the numbers of GPU and model.
