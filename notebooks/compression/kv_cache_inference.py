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
# Each new token waits for the one before it, and each step reads all the weights. Without a cache, a step also recomputes
# the whole text. But later tokens cannot change earlier keys and values. A KV cache stores them, so a step processes one token, with the
# same result up to rounding. A lone sequence then does two operations per weight read. A batch shares the reading of the weights, but every sequence
# has its own cache to read. On long texts, a larger batch soon helps little.
#
# :::{dropdown} The two-minute answer
# Generation has two phases. **Prefill** reads the prompt in one pass and sets the time to the first token. **Decode** makes one
# pass per token and sets the time per output token. A pass takes at least as long as its arithmetic and at least as long as moving its bytes: the
# *roofline*. An H100 can do some three hundred 16-bit operations in the time it reads one byte. The prefill of a thousand tokens uses
# each weight a thousand times per reading, and waits for arithmetic. A decoding step with one sequence uses it once, and waits for memory. (A mixture of experts reads only some of the weights.)
#
# Without a cache, $n$ tokens after a short prompt cost $n/2$ to $2n/3$ times as many FLOPs (floating-point operations), after a long one nearly $n$ times.
#
# The price is $2 L H_{kv} d$ numbers per token: keys and values in $L$ layers, $H_{kv}$ heads of width $d$. A step must read all of
# them for each sequence. Batching therefore helps until the caches, not the weights, are most of what is read. Then the cache has to shrink:
# fewer key–value heads, fewer bits, a shared prefix, a sliding window.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: keys and values are cached, queries are not, and says why the past's keys are final.
# - Junior: the size of a cache, $2 \cdot L \cdot H_{kv} \cdot d$ numbers per token and sequence.
# - Mid: prefill and decode do similar arithmetic per token, and differ in how often weights are read.
# - Mid: what is left after caching: per-token attention still grows with the length.
# - Mid: a test of a cache compares logits after several single steps, not the first token.
# - Senior: computes the batch from which a step waits for arithmetic, and the length beyond which no batch is large enough.
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
# ## Writing 1,000 tokens takes the arithmetic of reading them, and reads the weights 1,000 times
#
# Llama 3.1 8B {cite:p}`grattafiori2024llama` in 16 bits on one H100 {cite:p}`nvidia2024h100`: each pass reads 15 GB of weights (the embedding table
# is only looked up), and the memory delivers 3.35 TB per second. That is 4.5 ms, whatever the pass is for, so one sequence gets at most 223 tokens per second. The arithmetic of one token,
# two operations per weight, is 15 GFLOP. At 989 TFLOP per second (dense) it takes 0.015 ms. A pass takes at least the longer of the two times:

# %%
show(kvcache.pass_flops, kvcache.pass_bytes)

# %%
# As large as the model in parameters, FLOPs and bytes; its MLP's three matrices count as two.
llama = kvcache.LLAMA_3_1_8B
compute, bandwidth, memory = 989e12, 3.35e12, 80e9  # FLOP/s in 16 bits, bytes/s, bytes
n, gain = 1000, {}
print(f"{count_params(llama):,} parameters")
print("batch × new after prompt: seconds of arithmetic  reading   least")
for batch, prompt in ((1, 1), (64, 1), (1, 7000)):
    last = prompt + n - 1  # tokens to read: the last new one is never read
    ways = {"read": [(last, 0, batch)],
            "cache": [(prompt, 0, batch), *((1, past, batch) for past in range(prompt, last))],
            "no cache": [(length, 0, batch) for length in range(prompt, last + 1)]}  # fmt: skip
    least = {}
    for way, passes in ways.items():
        arithmetic = [kvcache.pass_flops(llama, *p) / compute for p in passes]
        reading = [kvcache.pass_bytes(llama, *p) / bandwidth for p in passes]
        least[way] = sum(map(max, arithmetic, reading))  # each pass: the longer of the two
        t = sum(arithmetic), sum(reading), least[way]
        print(f"{batch:2} × {n} after {prompt:4}, {way:18}{t[0]:11.3f}{t[1]:9.3f}{t[2]:9.3f}")
    gain[batch, prompt] = least["no cache"] / least["cache"]
claim("cache_pays_in_batches", "factor by which a cache lowers the least time for 64 sequences, over that for one",
      gain[64, 1] / gain[1, 1], at_least=20, unit="×")  # fmt: skip
claim("cache_pays_after_a_prompt", "the same factor for one sequence after 7,000 tokens, over that after one token",
      gain[1, 7000] / gain[1, 1], at_least=7, unit="×")  # fmt: skip

# %% [markdown]
# The first two rows have nearly the same arithmetic, but written tokens come one at a time, and each pass waits for all the weights. The third
# row has about $n/2$ times the arithmetic, yet its least time does not even double: passes over fewer than 295 tokens
# hide behind a reading that the cache does not spare. What a cache frees is arithmetic, and with 64 sequences or after a long prompt
# almost nothing is left to hide behind. (Its arithmetic includes masked scores and all logits; skipping them spares at most a sixth.) These are bounds at peak rates, not timings, and a ratio of bounds is no bound.
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


def in_steps(read) -> Tensor:
    # The prompt in one pass, then token by token, with a cache: logits (B, T, V).
    cache = model.new_cache(len(ids))
    parts = ids[:, :prompt], *ids[:, prompt:].split(1, dim=1)
    return torch.cat([read(new, cache) for new in parts], dim=1)


cached = in_steps(model)

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

# %% [markdown]
# Not bit by bit, though: matrix products of other shapes may add in another order, which is why the comparison is made in
# float64. In half precision a near tie can go the other way, and the two texts part from there.
#
# ## Two bugs that the first token cannot show
#
# Both are about *where* the new token stands. A model may count positions from 0 in every pass. Or a mask may put its triangle at the first key, as
# torch's `is_causal=True` does: a lone query then sees key 0 only.


# %%
from_zero = copy.deepcopy(model)
from_zero.positions.forward = lambda T, start=0: model.positions.weight[:T]


def at_first_key(new: Tensor, cache: KVCache) -> Tensor:
    # Query i of a pass sees the keys up to i, cached or not.
    T, S = new.size(1), cache.length + new.size(1)
    mask = torch.ones(T, S, dtype=torch.bool, device=device).tril()
    return model.head(model.hidden(new, mask=mask, cache=cache)[0])


bugs = {"positions from 0": from_zero, "triangle at key 0": at_first_key}
errors = torch.stack([in_steps(read) - cached for read in bugs.values()]).abs()
errors = errors.amax(dim=(1, 3)) / cached.std()  # (2, T)
print("largest error of a logit at  the prompt's end   first step   tenth step")
for name, error in zip(bugs, errors.tolist(), strict=True):
    print(f"{name:26}{error[prompt - 1]:16.2f}{error[prompt]:14.2f}{error[prompt + 9]:13.2f}")
claim("bugs_pass_the_prompt", "two wrong caches: largest logit error within the prompt, in standard deviations",
      errors[:, :prompt].max(), at_most=1e-12)  # fmt: skip
claim("bugs_show_in_steps", "two wrong caches: logit error at the single step where it is smallest, in standard "
      "deviations", errors[:, prompt:].min(), at_least=0.8)  # fmt: skip

# %% [markdown]
# The prompt is right under both bugs, and so is the first new token, which comes from the prompt's last row. Test several steps, in float64, against
# one pass over the whole text, with prompts of more than one length.
#
# ## What is saved is a factor of about n/2, and what remains still grows with the square
#
# From a prompt of one token and without a cache, pass $t$ works on $t$ tokens. If one token costs $w$ FLOPs in the weights, $n$ passes take $w\,n(n+1)/2$ instead of $w\,n$, a factor of
# $(n+1)/2$. Attention takes $4LD$ FLOPs for each pair of a query and a key: with a cache $t$ pairs at step $t$, together about $n^2/2$; without, $t^2$ pairs, masked ones included, together about $n^3/3$. So cached generation
# is not linear in length. The square is small at first: for Llama 3.1 8B, $4LD\,t$ reaches the 15 GFLOP of the weights at $t \approx 29{,}000$.

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
# A prompt, too, is read again in every pass without a cache: the longer it is, the closer the factor comes to $n$.
#
# ## A batch shares the weights, and every sequence brings its own cache
#
# *FLOPs per byte* tell what limits a pass: the H100 can do 989 / 3.35 ≈ 295 while it reads a byte, and a pass that needs fewer waits for memory. Let 64 tokens go through a decoding
# step instead of one, in two ways: one new token of each of 64 sequences, or 64 new tokens of one. torch counts the FLOPs: products with
# weights are `mm` or `addmm`, those with keys and values `bmm`. Bytes are those of the stored tensors.

# %%
# Try: drafted = 4 new tokens of each sequence per step. Each key then serves 4 queries, and the
# thesis, which is the number of sequences, stays. many = 16 breaks it: fewer share the weights.
many, keys, drafted = 64, 72, 1
per_byte = {}
print("FLOPs per byte            of weights   of cache   cache bytes")
for kv_heads, batch, new in ((8, 1, 1), (8, many, drafted), (8, 1, many), (1, many, drafted)):
    grouped = Explicit(replace(config, num_kv_heads=kv_heads, position="rope"), generator(3))
    grouped.requires_grad_(False).bfloat16().to(device)
    tokens = torch.randint(60, (batch, keys), generator=generator(4)).to(device)
    cache = grouped.new_cache(batch)
    grouped(tokens[:, :-new], cache)
    with FlopCounterMode(display=False) as counter:
        grouped(tokens[:, -new:], cache)
    flops = counter.get_flop_counts()["Global"]
    in_attention = flops.pop(torch.ops.aten.bmm)
    # Each byte is read once, as by a fused kernel. One that copies shared heads first, as this
    # explicit attention does, gives their saving away.
    read = sum(part[..., : cache.length, :].nbytes for part in (cache.keys, cache.values))
    row = sum(flops.values()) / sum(p.nbytes for p in grouped.parameters()), in_attention / read
    print(
        f"H_kv = {kv_heads}, {batch:2} × {new:2} tokens {row[0]:11.2f}{row[1]:11.2f}{read:14,}"
    )
    per_byte[kv_heads, batch, new] = row

# %%
one, batched, chunk = (per_byte[8, b, t] for b, t in ((1, 1), (many, drafted), (1, many)))
claim("batch_shares_weights_only", "decoding, 64 sequences instead of one: growth of FLOPs per byte of weights, "
      "over their growth per byte of cache",
      (batched[0] / one[0]) / (batched[1] / one[1]), at_least=32, thesis=True)  # fmt: skip
claim("tokens_of_one_share_both", "64 new tokens of one sequence instead of one: growth of FLOPs per byte of cache",
      chunk[1] / one[1], at_least=32, unit="×")  # fmt: skip
claim("queries_share_heads", "FLOPs per byte of cache: one key–value head for eight query heads, over one for each",
      per_byte[1, many, drafted][1] / batched[1], at_least=4, unit="×")  # fmt: skip

# %% [markdown]
# In the second row each weight is used 64 times (norms and biases cost a little), while each key is still used once, by its own sequence's query. In the third, the 64
# queries belong to one sequence and share its keys too, as in prefill or where [drafted tokens](speculative_decoding) are checked. In the last, query heads share a key–value head: $H / H_{kv}$ FLOPs per byte in 16 bits, for any batch. The cache of
# [$2 L H_{kv} d$ numbers per token](../foundations/context_state_capacity) takes $2 \cdot 2 \cdot 8 \cdot 8 \cdot 72 \cdot 2$ bytes in the first row.
#
# So a step of $B$ sequences of $S$ tokens reads $W + B\,c\,S$ bytes and does $B f$ FLOPs: $W$ bytes of weights, $c$ bytes of cache per token, $f$ FLOPs per new token. Arithmetic takes as long as reading when
# $B f / 295 = W + B\,c\,S$, which gives $B = W / (f / 295 - c\,S)$. For Llama 3.1 8B $f / 295$ is 51 MB at short lengths and $c$ is 131,072 bytes: near
# $S = 390$ the denominator is gone. Beyond that, a sequence adds more reading than its arithmetic can hide, and no batch is large enough.
#
# That is the step as a whole, one new token per sequence, no shared prefix. Kernels run one after another: the products with weights by themselves wait for arithmetic
# from about 295 sequences on, at any length; attention waits for memory at any batch.

# %%
show(kvcache.break_even_batch)


# %%
def tokens_per_second(config: GPTConfig, length: int, batch: int) -> float:
    step = 1, length - 1, batch
    return batch / max(kvcache.pass_flops(config, *step) / compute,
                       kvcache.pass_bytes(config, *step) / bandwidth)  # fmt: skip


growth = [tokens_per_second(llama, S, 59) / tokens_per_second(llama, S, 1) for S in (128, 8192)]
claim("batching_fades_with_length", "59 sequences instead of one, at peak rates: growth of tokens per second at "
      "128 tokens each, over the growth at 8,192", growth[0] / growth[1], at_least=2.3, unit="×")  # fmt: skip

# %% mystnb={"image": {"alt": "Tokens per second, at most, against the number of sequences in a batch, both logarithmic, for an 8-billion-parameter model on one 80 GB GPU. The curves start near 200. With 128 tokens in each sequence the curve rises in proportion, and bends at several hundred sequences onto a dotted line, the limit of arithmetic, near 66,000. With 1,024 tokens it flattens below that line, with 8,192 at about 2,500, and with 65,536 it little more than doubles. Each curve ends where memory is full, the longer the texts the sooner."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(6.0, 4.6))
for length in (128, 1024, 8192, 65_536):
    most = (memory - 2 * count_params(llama)) / kvcache.cache_bytes(llama, length)
    batches = [int(most ** (k / 40)) for k in range(41)]
    rates = [tokens_per_second(llama, length, batch) for batch in batches]
    ax.plot(batches, rates, marker="o", markevery=[-1], label=f"{length:,} tokens each")
weights_alone = compute / kvcache.pass_flops(llama, 1)
ax.axhline(weights_alone, color="k", ls=":", zorder=1, label="limit of arithmetic")
ax.set(xscale="log", xlabel="sequences in the batch (dot: 80 GB are full)")
ax.set(yscale="log", ylabel="tokens per second, at most", ylim=(100, 2e6))
ax.set_title("The longer the texts, the sooner a batch stops helping")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# However large the batch, tokens per second stay below the bandwidth divided by $c\,S$. Each dot is another wall, capacity: all weights take 16 GB, and the remaining 64 GB hold at most 59 caches of 8,192 tokens, 1.07 GB each. With one head for eight, 8,192 tokens take the bytes of 1,024. But
# fewer heads must be trained for, and multi-query attention loses some quality that grouped queries mostly keep {cite:p}`ainslie2023gqa`.
#
# ## Quantize what is read most
#
# For one sequence that is the weights, 15 GB; for 32 of 8,192 tokens, 34 GB of caches. Eight bits instead of 16 take 7.5 GB off the weights at any batch, and off the
# caches half a GB for one sequence, 17 for 32.

# %%
quantized = copy.deepcopy(model)
for module in quantized.modules():
    if isinstance(module, nn.Linear):
        module.weight.data = quantize.simulate(module.weight, 8)
written = generate(quantized, ids[:, :prompt], 32, greedy)
print(f"{tuple(written.shape)} ids on {written.device.type}")

# %% [markdown]
# These lines quantize a model and generate on `device`. Random weights say nothing about
# quality: measure a trained model's loss. And `simulate` rounds in floating point; bytes fall when a kernel reads the [integers](quantization_ptq_qat).

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Wrap the model in a quantization layer, then predict on the GPU."** A layer takes tensors, not models, and Keras has no `layers.Quantize`: it is `model.quantize("int8")`, in place. Nor
# does `with tf.device(...)` around `predict` move weights made before.
#
# **"To compress the model, fuse operators and prune the neurons with small weights."** Fusing removes launches and round trips of activations; each weight is read as before. Pruning by magnitude zeroes weights, not neurons, and a dense kernel reads and
# multiplies a zero like any other number. Bytes fall when whole heads, rows or layers go, or when a kernel knows the sparse format.
#
# **"The dashboard shows 100 % GPU utilization, so we are limited by compute."** The figure is the share of time in which *some* kernel ran
# {cite:p}`nvidia2026nvml`. A step that waits for memory all along shows 100 % too. Divide achieved FLOPs and bytes per second by their peaks instead.
#
# **"With a batch of 64, generation is 64 times as fast."** At most the sum over users grows so, while weights are most of what is read. Each user's stream becomes slower, if anything: the step now reads 64 caches. State both, at a stated length.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why do serving systems measure TTFT and TPOT separately?
# Time to first token contains queueing and prefill, whose arithmetic grows with the prompt. Time per output token is decode, which waits for memory. They compete: a long prefill between two steps
# stalls every stream of the batch. Systems split prompts into chunks that ride along with decoding steps {cite:p}`agrawal2024taming`, or give the phases different machines.
# :::
#
# :::{dropdown} Does a KV cache speed up training?
# No. With teacher forcing all positions are computed in one pass, so no key is computed twice. Where training generates samples, as in reinforcement learning, that part gains.
# :::
#
# :::{dropdown} What is continuous batching, and what does PagedAttention add?
# Continuous batching admits and retires sequences after every step {cite:p}`yu2022orca`, so a short reply does not wait for the longest. Reserving the maximal length for each wastes memory: in the systems profiled by
# {cite:t}`kwon2023efficient`, 20 to 38 % of cache memory held tokens. Blocks of, say, 16 tokens behind a table leave at most one block partly empty per sequence.
# :::
#
# :::{dropdown} Requests share a long system prompt. What can you save?
# Its prefill and its memory: equal prefixes have equal keys and values, down to the first differing token, so a table of blocks can point to one copy. Reading is saved only if the kernel lets the whole batch's
# queries meet the shared keys in one product, as Hydragen does {cite:p}`juravsky2024hydragen`. Then the prefix is shared as weights are.
# :::
#
# :::{dropdown} Can the cache be quantized?
# Yes; the bytes read per sequence fall with the bits. KIVI keeps keys with a scale per channel, values with one per token, at 2 bits {cite:p}`liu2024kivi`. Unlike exact caching, it changes the output, and errors stay in the cache for all later tokens.
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
# - {cite:t}`yu2022orca`, {cite:t}`kwon2023efficient`: batching, paging. {cite:t}`nvidia2024h100`: the GPU's numbers.
