# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 3
#     needs:
#     - sequence_models_gates
#     - self_attention_math
#     question_zh: 语言模型中的上下文向量是什么？
#     short: Fixed state or cache
#     source: L15
#     tasks:
#     - linear_attention_causal
# ---

# %% [markdown]
# # A context vector or a KV cache: how much can a fixed-size memory hold?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# A context vector carries what was read into the next prediction. An embedding does not: it is the same in every context. RNNs and
# linear attention keep a state of fixed size, softmax attention a cache that grows. Sum N outer products under random unit keys of width
# d, and a read's expected squared error is N minus one over d times the values' mean square. Choosing among known values can work beyond d
# pairs. A cache keeps every pair, and sharp softmax finds it.
#
# :::{dropdown} The two-minute answer
# "Context vector" means three things: the vector of a token after it has read its neighbors; the weighted mean of encoder states in a
# sequence-to-sequence model with attention; the state $h_t$ of a recurrent network.
#
# The simplest state is a matrix, $S = \sum_i v_i k_i^\top$, of shape $(d_v, d)$ for any number of pairs. Asked with $k_j$, it answers $v_j$ plus
# every other value times its key's overlap with $k_j$. Random overlaps have mean 0 and variance $1/d$: hence $(N-1)/d$. Orthogonal keys have none,
# but there are only $d$ of them. So for *exact* values $d$ pairs are the capacity. To say only which of the known values it was is easier,
# because the noise spreads over all $d_v$ directions: what counts is $N$ against $d\,d_v$. And the sum is only one way to write: a matrix
# of that size, trained to choose, holds more pairs than the sum.
#
# The delta rule writes only the correction, $v - Sk$. The newest pair is exact, old ones fade within about $d$ writes.
#
# A KV cache keeps $d + d_v$ numbers for each pair and mixes nothing until it is read. Softmax then needs scores sharp enough to single out one key.
# Memory grows with the text, so hybrids mix a few attention layers into layers of fixed state.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: an embedding is looked up and the same everywhere; a context vector depends on what was read.
# - Junior: a recurrent state has the same size after ten tokens and ten thousand; a KV cache has keys and values of each token, in each layer.
# - Mid: writes linear attention as a sum of outer products, and the read as the value plus overlaps.
# - Mid: derives the error $(N-1)/d$, and what it assumes: keys of length 1, in independent random directions.
# - Mid: computes the size of a cache, $2 \cdot L \cdot H_{kv} \cdot d_h \cdot T$ numbers, and what grouped queries save.
# - Senior: tells exact recall, limited by $d$, from choosing among known values, which depends on $d \cdot d_v$ and on how the state is written.
# - Senior: says what the delta rule gains (the newest) and gives up (the oldest), and that softmax needs sharpness.

# %% tags=["hide-input"]
import lzma
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from lmprep.architectures.rnn import LSTMConfig, LSTMLanguageModel
from lmprep.architectures.transformer import GPT, GPTConfig
from lmprep.data.corpora import english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.foundations import memory
from lmprep.foundations.ngram import WittenBellLM
from lmprep.notebook import generator, seed, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

_ = setup()  # the page stays on the CPU: its matrices are small

# %% [markdown]
# ## A memory of two numbers: 5 is read as 11, and 10 as 13
#
# Let a value be one number and a key two, of length 1: $k_1 = (1, 0)$ goes with 5, $k_2 = (0.6, 0.8)$ with 10. The memory is the sum of value times key,
# $5 \cdot (1, 0) + 10 \cdot (0.6, 0.8) = (11, 8)$. Read it with $k_1$: 11. With $k_2$: $0.6 \cdot 11 + 0.8 \cdot 8 = 13$. The keys overlap
# by $k_1 \cdot k_2 = 0.6$, so each read hears 0.6 of the other value: $5 + 6$ and $10 + 3$. Orthogonal keys would give 5 and 10.
#
# In general $N$ keys of width $d$ and length 1, rows of $K$ $(N, d)$, come with values of width $d_v$, rows of $V$ $(N, d_v)$. The state is $S = \sum_i v_i k_i^\top = V^\top K$,
# of shape $(d_v, d)$ however many pairs there are, and
#
# $$
# S k_j = v_j + \sum_{i \ne j} (k_i \cdot k_j)\, v_i .
# $$
#
# For independent random directions an overlap has mean 0 and variance $1/d$, and two different overlaps with $k_j$ are uncorrelated. So cross terms vanish in the mean,
# and the expected squared error is $\sum_{i \ne j} \lVert v_i \rVert^2 / d$: averaged over the pairs, $(N-1)/d$ times the mean of $\lVert v \rVert^2$. Nothing was assumed about the values.

# %%
show(memory.hebbian_state, memory.delta_rule_state, memory.softmax_read)

# %% [markdown]
# Read $S$ with each token's query, right after the token's pair was added, and it is linear attention: trained as a masked product, run as a recurrence
# {cite:p}`katharopoulos2020transformers`. The delta rule writes $\beta\,(v - Sk)\,k^\top$ instead, a step of gradient descent on $\frac12 \lVert Sk - v \rVert^2$ {cite:p}`schlag2021linear`.

# %%
q, k, v = torch.randn(3, 100, 8, generator=generator(1)).double()  # (T, d) each
agrees("linear_attention", "torch.tril(q kᵀ) v", memory.causal_linear_attention(q, k, v)[0],
       torch.tril(q @ k.mT) @ v, atol=1e-10)  # fmt: skip
agrees("softmax_read", "torch.nn.functional.scaled_dot_product_attention",
       memory.softmax_read(q, k, v, beta=8**-0.5), F.scaled_dot_product_attention(q, k, v),
       atol=1e-12)  # fmt: skip

# %% [markdown]
# ## The error is (N − 1)/d, even if all values are the same
#
# Surely one value a hundred times is easier to remember than a hundred values? Three kinds of values, two widths of keys; the error is a share of the values' mean
# square:

# %%
# Try: keys_of = memory.tight_keys. Up to d keys then do not overlap, the error is 0 for
# N = d/2 and N = d, and the thesis breaks. Or value_width = 8: the thesis holds, but
# further down far fewer values are picked, and those claims break.
keys_of = memory.random_unit_keys
d, value_width, draws = 64, 64, 60

noise = torch.randn(draws, 8 * d, 16, generator=generator(2))
values = {"random": noise, "all equal": torch.ones_like(noise)}
values["one 100 ×"] = torch.cat([100 * noise[:, :1], noise[:, 1:]], dim=1)
print("   d    N  (N−1)/d " + "".join(f"{kind:>11}" for kind in values))
ratios = []
for width in (d, 2 * d):
    for N in (d // 2, d, 2 * d, 8 * d):
        k = keys_of(draws, N, width, generator=generator(width + N))
        law, line = (N - 1) / width, f"{width:4} {N:4} {(N - 1) / width:8.2f} "
        for v in values.values():
            error = memory.read_error(k @ memory.hebbian_state(k, v[:, :N]).mT, v[:, :N])
            ratios.append(error / law)
            line += f"{error:11.2f}"
        print(line)

spread = {}
for N in (d, 2 * d, 8 * d):
    k, v = memory.tight_keys(draws, N, d, generator=generator(N)), noise[:, :N]
    spread[N] = memory.read_error(k @ memory.hebbian_state(k, v).mT, v)
print(f"spread-out keys, d = {d}:", {N: f"{error:.2f}" for N, error in spread.items()})

# %%
claim("error_is_crowding", "sum of N outer products, random unit keys of width d, "
      "three kinds of values: error over (N − 1)/d, furthest from 1",
      max(abs(r - 1) for r in ratios), at_most=0.15, thesis=True)  # fmt: skip
claim("no_overlap_no_error", "sum of 64 outer products, orthogonal keys of width 64: error",
      spread[d], at_most=1e-9)  # fmt: skip

# %% [markdown]
# Equal values are no easier: the state does not know that they are equal, and hears the same one $N$ times, with random signs. Twice the width of the keys halves
# the error. The cause is overlap and not the number of pairs: with orthogonal keys the same sum reads back $d$ pairs exactly. More
# than $d$ vectors of length 1 must overlap: their squared overlaps, each with itself included, sum to at least $N^2/d$ {cite:p}`welch1974lower`.
# For independent values that leaves an error of $N/d - 1$ at best. The keys of the last line reach it, just under 1 below random keys.
#
# ## Twice as much noise as signal, and still the right value is picked
#
# At $N = 2d$ the error is twice the signal: answers of zeros would be closer. Let values be random directions of length 1, known to the reader as a list, and count how
# often the one nearest to the answer's direction is the right one. Four others compete: the delta rule, the matrix of least squared error over all pairs, and softmax over
# all pairs, at two sharpnesses. Attention's $1/\sqrt d$ with keys of length $\sqrt d$ is $\beta = \sqrt d$ with keys of length 1.

# %%
sizes = [8, 16, 32, 64, 128, 256, 512]


def recall(N: int, width: int, value_width: int) -> dict[str, tuple[float, float]]:
    """Error, and share of values picked, for each way to remember N pairs."""
    k = keys_of(8, N, width, generator=generator(N + width))
    v = memory.random_unit_keys(8, N, value_width, generator=generator(N + 1))
    reads = {
        "sum": k @ memory.hebbian_state(k, v).mT,
        "delta rule": k @ memory.delta_rule_state(k, v).mT,
        "least squares": k @ torch.linalg.lstsq(k, v).solution,
        "softmax, β = √d": memory.softmax_read(k, k, v, beta=width**0.5),
        "softmax, β = √d/2": memory.softmax_read(k, k, v, beta=width**0.5 / 2),
    }
    return {name: (memory.read_error(read, v), memory.share_picked(read, v))
            for name, read in reads.items()}  # fmt: skip


runs = {N: recall(N, d, value_width) for N in sizes}

# %% mystnb={"image": {"alt": "Two stacked charts against the number of pairs, 8 to 512, with keys of width 64. Top: squared error. The sum of outer products rises along a dotted line to about 8; the delta rule rises to about 2; least squares stays at zero up to 64 pairs and then rises towards 1; sharp softmax stays near zero, with half the sharpness it rises towards 1. Bottom: share of values picked. The sum stays near 1 up to 128 pairs and falls to about a third at 512, least squares just above it; the delta rule falls from 64 pairs on and is lowest; both softmax reads stay near 1."}} tags=["hide-input"]
_, axes = plt.subplots(2, 1, figsize=(6.4, 6.8))
axes[0].set(
    title="With d = 64, the sum's error follows (N − 1)/d (dotted) …", ylabel="squared error"
)
axes[0].plot(sizes, [(N - 1) / d for N in sizes], "k:", zorder=3)
axes[1].set(title="… yet at N = 2d it picks nearly every value", ylabel="share picked")
for index, ax in enumerate(axes):
    for name in runs[d]:
        ax.plot(sizes, [runs[N][name][index] for N in sizes], "o-", label=name)
    ax.set(xscale="log", xticks=sizes, xticklabels=sizes, xlim=(7, 4000), xlabel="pairs N")
    label_lines(ax)
plt.show()


# %%
two_d, most = runs[2 * d], runs[8 * d]
shapes = ((d, value_width), (d // 4, 4 * d), (4 * d, d // 4), (d, 8))
table = {shape: recall(2 * d, *shape)["sum"] for shape in shapes}
print("pairs  state      numbers   error   picked")
for (a, b), (error, picked) in table.items():
    print(f"{2 * d:5}  {a:3} × {b:<3}{a * b:9,}{error:9.2f}{picked:9.2f}")
k = keys_of(8 * d, d, generator=generator(8))
v = memory.random_unit_keys(8 * d, value_width, generator=generator(9))
state = torch.nn.Linear(d, value_width, bias=False)
torch.nn.init.zeros_(state.weight)
fit(state, [k], lambda m, k: F.cross_entropy(8 * m(k) @ v.mT, torch.arange(len(k))),
    optimizer=Adam(state.parameters(), lr=0.2), num_steps=30)  # fmt: skip
chosen = memory.share_picked(state(k).detach(), v)
summed = memory.share_picked(k @ memory.hebbian_state(k, v).mT, v)
print(f"{8 * d} pairs in {d} × {value_width}: sum {summed:.2f}, trained {chosen:.2f}")

# %%
claim("picked_beyond_d", "sum in 64 × 64 numbers, 128 pairs, error twice the signal: "
      "share of values picked", two_d["sum"][1], at_least=0.9)  # fmt: skip
claim("width_of_values_helps", "sum, 128 pairs, d = 64: share picked at d_v = 64 minus "
      "share at d_v = 8", two_d["sum"][1] - table[d, 8][1], at_least=0.4)  # fmt: skip
claim("trained_holds_more", "512 pairs in 64 × 64 numbers: share picked by a matrix "
      "trained to choose minus share picked by the sum", chosen - summed, at_least=0.3)  # fmt: skip
claim("softmax_needs_sharpness", "512 pairs, d = 64: error of softmax at β = √d/2 over its "
      "error at β = √d", most["softmax, β = √d/2"][0] / most["softmax, β = √d"][0],
      at_least=5, unit="×")  # fmt: skip

# %% [markdown]
# A pick goes wrong if a wrong value scores higher than the right one, which scores 1 on average. A wrong score is the wrong value's dot product with the answer. Its variance is
# $1/d_v$ for its overlap with the right value, $1/d$ for its key's overlap, and $N/(d\,d_v)$ for the other pairs. So what counts is $N$ against the product of the widths. The scores are not
# independent, so this sets a scale and no threshold. In the table, three shapes of 4,096 numbers
# have errors sixteen-fold apart and differ much less in picks. An eighth of the numbers picks far fewer, at the *same* error as 64 × 64.
#
# The sum is not the limit of its 4,096 numbers. The last line keeps pairs and size and changes only the writing: trained by cross-entropy over the 512 values, the matrix picks
# nearly all. It had to see every pair many times, which a model reading a text once does not.
#
# Is a cache of 4,096 numbers better? With the same list of values at hand it needs a key and a position in the list for each pair, 65 numbers, and has room for 63 pairs. (Short
# codes of the keys would take less.) Softmax wins at the right of the chart because its cache has grown, and because it is sharp. At half of $\beta$ the answer is mostly the mean of all values, though the right one still stands out a little. Sharp enough, it can tell
# exponentially many keys apart {cite:p}`ramsauer2021hopfield`; each still takes up its $d + d_v$ numbers.
#
# ## Correcting keeps the newest pair and wears out the oldest
#
# The delta rule had a smaller error than the sum and picked fewer values. Its mean hides an age. Writing with $\beta = 1$ makes the newest pair exact, by removing what
# the state held along that key: of an older value, a share $1/d$ on average. After $a$ more writes $(1 - 1/d)^a$ of it is left, plus noise that, in a long used state, keeps the
# answer's mean square at 1 for values of length 1. The error is then $1 - 2(1 - 1/d)^a + 1$.

# %%
k = keys_of(30, 8 * d, d, generator=generator(3))
v = memory.random_unit_keys(30, 8 * d, value_width, generator=generator(4))
read = k @ memory.delta_rule_state(k, v).mT
# Newest first, eight neighbors averaged:
by_age = (read - v).square().sum(-1).mean(0).flip(0).unflatten(0, (-1, 8)).mean(-1)  # (d,)
law = (2 - 2 * (1 - 1 / d) ** torch.arange(8 * d)).unflatten(0, (-1, 8)).mean(-1)
print("writes since     delta rule   2(1 − (1 − 1/d)^a)")
for a in (0, 1, 4, 8, 16, 32):
    print(f"{8 * a:4} to {8 * a + 7:<4}{by_age[a]:13.2f}{law[a]:14.2f}")

# %%
claim("delta_wears_out", "delta rule, 512 pairs, d = 64: error a writes later minus "
      "2(1 − (1 − 1/d)^a), largest over groups of 8 pairs",
      (by_age - law).abs().max(), at_most=0.2)  # fmt: skip

# %% [markdown]
# The sum treats all ages alike. The delta rule is a window with a soft edge: half is gone after about $0.7\,d$ writes. That suits text in which recent pairs matter, or keys
# return: writing a key again replaces its value, where a sum would add the two up.
#
# ## On 48 KiB of English, neither memory is what limits
#
# An LSTM whose state has $2 \cdot 96$ numbers and a GPT whose cache has $2 \cdot 2 \cdot 56$ for each byte are nearly equal in parameters. Both read the same 49,152 bytes of Python's manual
# (lower case) once, then predict 1,024 bytes of other chapters, each from the last 1 to 32 bytes before it. After one byte they can know no more than that byte's
# embedding. Beside them: interpolated counts of the same bytes, and what the new text adds to an lzma file of them.

# %%
T, B, steps, scored = 32, 8, 192, 1024
corpus = english_text().shuffle(seed=seed(1))
raw = [normalize_text("\n\n".join(corpus[part]["text"])).encode() for part in ("train", "test")]
read, new = raw[0][: steps * B * T + 1], raw[1][: T + scored]
used, ids = torch.tensor(list(read + new)).unique(return_inverse=True)
train, test = ids.split([len(read), len(new)])
starts = T * torch.randperm(steps * B, generator=generator(5)).view(steps, B, 1)
windows = test.unfold(0, T + 1, 1)  # (scored, T + 1): each ends in its byte
gpt = GPT(GPTConfig(vocab_size=len(used), context_length=T, width=56, num_layers=2, num_heads=4,
                    position="rope", tied_head=False, head_std=0.2), generator(7))  # fmt: skip
lstm = LSTMLanguageModel(LSTMConfig(vocab_size=len(used), width=96), generator(6))


def next_byte_bits(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    # x (B, T + 1) to (B, T)
    return F.cross_entropy(model(x[:, :-1]).mT, x[:, 1:], reduction="none") / math.log(2)


after = {}  # the rates are the best of three on validation text
print("bits per byte after   1    2    4    8   32 bytes")
for name, model, rate in (("LSTM", lstm, 6e-2), ("GPT", gpt, 1e-2)):
    fit(model, lambda step: train[starts[step] + torch.arange(T + 1)],
        lambda model, x: next_byte_bits(model, x).mean(), num_steps=steps, max_norm=1.0,
        optimizer=Adam(model.parameters(), lr=rate),
        schedule=lambda step: min(1, (step + 1) / 20) * (1 - 0.9 * step / steps))  # fmt: skip
    with torch.no_grad():
        after[name] = [next_byte_bits(model, windows[:, T - c :])[:, -1].mean().item()
                       for c in (1, 2, 4, 8, 32)]  # fmt: skip
    print(f"{name:18}" + "".join(f"{bits:5.2f}" for bits in after[name]))
counts, tokens = WittenBellLM(5, len(used)).fit(train), test.tolist()
p = [counts.probs(tokens[t - 4 : t])[tokens[t]] for t in range(T, T + scored)]
counted = -sum(map(math.log2, p)) / scored
packed = 8 * (len(lzma.compress(read + new)) - len(lzma.compress(read))) / len(new)
print(f"counts of four bytes {counted:.2f}, lzma {packed:.2f}")

# %%
claim("context_helps_both", "same weights and bytes, lesser of LSTM and GPT: bits after 1 byte of "
      "context minus after 32", min(row[0] - row[-1] for row in after.values()), at_least=0.25)  # fmt: skip
claim("state_ahead_here", "48 KiB read once, bits per unseen byte: GPT minus LSTM",
      after["GPT"][-1] - after["LSTM"][-1], at_least=0.12)  # fmt: skip
claim("counting_wins_here", "48 KiB read once, bits per unseen byte: LSTM minus the worse of counts and lzma",
      after["LSTM"][-1] - max(counted, packed), at_least=0.12)  # fmt: skip

# %% [markdown]
# In a model's row, weights and bytes are the same: the gain is that of having read more. It ends after about eight bytes, for the cache as well, which holds all 32. The LSTM is ahead,
# with 192 numbers against 7,168. That order tells which learns faster from 192 updates, not which can hold more: counts of four bytes, and a compressor that copies what came before,
# are ahead of both.
#
# ## A token of Llama 3.1 8B takes 128 KiB
#
# A cache holds a key and a value in each of $L$ layers, for each of $H_{kv}$ key–value heads of width $d_h$ and each of $T$ tokens: $2\,L\,H_{kv}\,d_h\,T$ numbers.
# Llama 3.1 8B has 32 layers and 8 such heads of width 128 {cite:p}`grattafiori2024llama`: $65{,}536$ numbers for a token, 128 KiB at two bytes each, 16 GiB for 131,072 tokens. Its 32 query heads
# share the 8; unshared, it would be four times that. Linear attention with the same 8 heads would keep $32 \cdot 8 \cdot 128 \cdot 128$ numbers, 8 MiB, as much as 64 tokens of cache.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"The LSTM processes the context vectors that the embedding layer produces."** The embedding layer looks up one row for *e*, whatever stands around it. The LSTM's state after that *e* differs from context to context; the state is the context vector.
#
# **The delta rule as the better memory, always.** It is ahead where keys come again with new values {cite:p}`schlag2021linear`, and in models that learn their keys and β {cite:p}`yang2024parallelizing`. Of fresh random keys, each written once with β = 1, it keeps the recent ones, and the plain sum picks more.
#
# **Attention remembers everything.** The cache does, until a window or an eviction rule drops something. The read must still find it: with half the sharpness, the same 512 pairs gave nearly their mean.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} What would you do to shrink a cache?
# Share key–value heads between queries {cite:p}`ainslie2023gqa`, store fewer bits, cache a short code from which keys and values are computed, or keep only a window. Only the last bounds the total.
# :::
#
# :::{dropdown} A sliding window breaks some models. Why do a few first tokens help?
# Many trained models put surplus attention on the first tokens. Without those every softmax changes and quality collapses; a few of them beside the window restore it {cite:p}`xiao2024efficient`. The text
# between is still lost.
# :::
#
# :::{dropdown} What does PagedAttention change?
# Where the cache lies. Blocks of fixed size are allocated as a sequence grows, and a table maps them, as an operating system maps pages. Little is reserved in vain, and sequences can share the blocks of a common prefix {cite:p}`kwon2023efficient`.
# :::
#
# :::{dropdown} Mamba keeps a fixed state. What should you test?
# Recall and copying. {cite:t}`jelassi2024repeat` prove that a fixed state limits which strings can be copied; {cite:t}`arora2024zoology` trace 82 % of the perplexity gap between gated convolutions and attention to
# recalling what stood in the context. Average perplexity can hide it.
# :::
#
# :::{dropdown} Why do hybrids work with so few attention layers?
# A plausible reason: few tokens need exact recall, and one layer that can look up serves those. In one study an 8B hybrid with 7 % attention layers beat the pure Transformer on all twelve standard tasks {cite:p}`waleffe2024empirical`.
# :::
#
# :::{dropdown} How is a recurrence like this trained in parallel?
# In chunks: inside one, a masked product of small size; between chunks, one state is handed on. The delta rule needs more algebra, because each write depends on a read {cite:p}`yang2024parallelizing`.
# :::
#
# :::{dropdown} Is the capacity a matter of bits?
# In the end. Which of $N$ known values belongs to which of $N$ known keys takes about $N \log_2 N$ bits, and a state of $b$ bits holds no more than $b$. The matrix trained on 512 pairs holds about one bit for each of its 4,096
# numbers, and the sum, at the 128 pairs it still picks, about a fifth of a bit.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} linear_attention_causal
# ```

# %%
import torch


def linear_attention_causal(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
) -> torch.Tensor:
    """For each position t, the sum of (q_t · k_s) v_s over all s ≤ t.

    q, k: (B, T, d).
    v: (B, T, d_v).
    Returns (B, T, d_v).
    """
    raise NotImplementedError


check("linear_attention_causal", linear_attention_causal)

# %% [markdown]
# ```{solution} linear_attention_causal
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`katharopoulos2020transformers`: linear attention as a recurrence. {cite:t}`schlag2021linear`: its capacity, and the delta rule.
# - {cite:t}`welch1974lower`: how little many vectors can overlap.
# - {cite:t}`ramsauer2021hopfield`: softmax attention as a memory, and its capacity.
# - {cite:t}`arora2024zoology`, {cite:t}`arora2024based`, {cite:t}`jelassi2024repeat`: recall with fixed states. {cite:t}`yang2024parallelizing`: the delta rule at scale.
# - {cite:t}`waleffe2024empirical`: Mamba, hybrids and Transformers at 8 billion parameters.
