# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 1
#     needs: []
#     question_zh: 如何在语言模型中处理词级别和句子级别的上下文信息？
#     short: Which context it sees
#     source: L03
#     tasks:
#     - attention_mask
# ---

# %% [markdown]
# # Static, left-to-right or bidirectional: which context does each architecture really see?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# An embedding table gives a word one vector, whatever the sentence; context only shaped its training. A left-to-right model's
# vector at a word depends on the words up to there, so a cue further right cannot help it, however large the model is; a later
# position can use both. A bidirectional model sees both sides, and so it sees the next token: trained to predict it, it
# copies. A Jacobian shows what can reach what. Whether the model uses it is another measurement.
#
# :::{dropdown} The two-minute answer
# Let $x_s$ be the vector that goes in at position $s$, $y_t$ the one that comes out at $t$. If $\partial y_t/\partial x_s \neq 0$,
# there is a path from $s$ to $t$. All pairs make a $(T, T)$ picture, the *receptive field*: the diagonal for an embedding, the lower triangle for
# an RNN or causal attention, the full square for two RNNs from both ends or for attention without a mask, a band for a
# sliding window. Each layer with a window of $w$, the position itself included, reaches $w-1$ further back, so $L$ layers reach
# $L(w-1)+1$ positions.
#
# At a given position the mask decides. From the same first weights, with the same training, a block tells a word's sense from a cue
# on the right if the mask lets it through, and tosses a coin if not.
#
# Next-token training needs the lower triangle, because at position $t$ the target is the token at $t+1$. Let it through, and the loss
# falls below the entropy of the source. On fresh text no model of the past can do that on average; on its training text it can, by
# memorizing. At generation there is nothing to copy. Typical culprits: a convolution padded on both sides, statistics taken over time.
#
# A path is not a use. Through causal layers that average, the reach grows with $L$, and nearly all influence comes from a stretch in its middle that
# widens with $\sqrt L$. In training mode a batch norm lets every position touch every other, and a model may gain nothing from it.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: a static embedding has one vector per word type; its training used context, its lookup does not.
# - Junior: draws the field of an RNN, a bidirectional RNN and causal attention; rows are outputs.
# - Mid: a left-to-right state at a word misses the right context, and a later state does not.
# - Mid: writes causal, sliding and prefix masks, and derives $L(w-1)+1$.
# - Mid: explains why bidirectional and next-token do not go together, with the target's position.
# - Senior: tests for leaks in training mode; a loss on fresh text below the entropy gives one away, a normal loss excludes none.
# - Senior: keeps reach and use apart: zero entries that hide a path, paths that carry next to nothing.

# %% tags=["hide-input"]
import math
from itertools import permutations, product

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.architectures import rnn
from lmprep.architectures.attention import attention
from lmprep.architectures.context import (
    MaskedBlocks,
    attention_mask,
    influence,
    receptive_field,
)
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, seed, setup, show
from lmprep.plotting import heatmap
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

device = setup()

# %% [markdown]
# ## "The bank was …": river or money, and nothing has been said yet
#
# *The bank was steep, so we left the boat.* *The bank was shut, so we left the form.* Up to *bank* the sentences agree, so
# a model that reads from left to right has the same vector at *bank* in both. No training can change that. In Chinese, 他在打电话 and 他在打篮球: what 打 means, *making* a call or *playing* a ball game, stands right of it.
#
# So before asking how good a model is, ask what it can see. Autograd knows: take the norm of the derivative of each output by each input.
# The receptive field is where it is not zero.

# %%
show(influence, rnn.bidirectional)

# %% [markdown]
# Four models, $x$ of shape $(1, T, D)$, random weights. `MaskedBlocks` are Transformer blocks that differ in their mask
# only; the function that builds the mask is your exercise, so its code is not shown here.


# %%
torch.manual_seed(seed(1))
T, D = 10, 4
x = torch.randn(1, T, D, dtype=torch.float64)
ahead, behind = (rnn.RNNCell(D, D, generator(k)).double() for k in (2, 3))
layers = {
    "Embedding: itself": lambda x: x,
    "RNN: the past": lambda x: rnn.unroll(ahead, x)[0],
    "Two RNNs: everything": lambda x: rnn.bidirectional(ahead, behind, x),
    "Three windows of 3: reach 7": MaskedBlocks(D, "sliding", 3, window=3).double(),
}
sizes = torch.stack([influence(layer, x) for layer in layers.values()])  # (4, T, T)
full = torch.ones(T, T, dtype=torch.bool)
expected = [full.tril().triu(), full.tril(), full, full.tril().triu(-6)]
agrees("receptive_fields", "torch.tril, triu", sizes > 0, torch.stack(expected), atol=0)

# %% mystnb={"image": {"alt": "Four square pictures, rows are output positions, columns input positions, blue by the logarithm of the influence, gray where there is no path. Embedding: the diagonal. RNN: the lower triangle, fading away from the diagonal. Two RNNs: the whole square, fading. Three layers with a window of three: a band of seven diagonals, palest at its far edge."}} tags=["hide-input"]
fig, axes = plt.subplots(2, 2, figsize=(5.2, 6.2), layout="constrained")
for ax, name, size in zip(axes.flat, layers, sizes.cpu(), strict=True):
    shade = torch.where(size > 0, (size / size.max()).log10(), torch.nan)
    ax.set_facecolor("0.8")
    image = heatmap(ax, shade, vmin=-5, vmax=0, row_title="output", column_title="input")
    ax.set_title(name, fontsize=10)
fig.colorbar(image, ax=axes, location="bottom", shrink=0.8, aspect=30,
             label="log10 of influence / largest; gray: no path")  # fmt: skip
fig.suptitle("The wiring sets who is reached, not how much", fontsize=12)
plt.show()

# %% [markdown]
# A blue cell proves a path. We know the wiring here, and none leads to a gray cell. Of a layer that you have not built yourself, gray says
# less: the derivative is zero at these weights and this $x$. And a blue cell may carry little: along this RNN the influence shrinks with distance.
#
# ## One word, one cue: the mask decides who gets it
#
# Sentences of eleven tokens. The sixth is always *bank*; one cue, left or right of it with equal probability, tells which sense
# it has; the rest is filler. Four models, each an embedding, one block and a linear head, start from the same weights and see the
# same batches. Three of them answer at *bank* and differ in the mask: itself alone (a static lookup, with an MLP on top),
# causal, everything. The fourth is causal as well and answers at the last token. *Mirrored* rows show the same test
# sentences backwards to the same trained model.

# %%
# Try: num_blocks = 3, about three times the parameters. The thesis holds: depth opens no path.
# Or num_steps = 1: nobody has learned anything yet, and the thesis breaks.
num_blocks, num_steps, length, bank = 1, 30, 11, 5


def senses(n: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    # Ids (n, length), the sense (n,), and whether the cue stands right of the word (n,).
    ids = torch.randint(3, 20, (n, length), generator=g)
    sense, right = torch.randint(2, (2, n), generator=g)
    away = torch.randint(1, bank + 1, (n,), generator=g)
    ids[:, bank] = 0
    ids[torch.arange(n), bank + (2 * right - 1) * away] = 1 + sense
    return ids.to(device), sense.to(device), right.to(device) == 1


def train(model: nn.Module, batch, loss, num_steps: int) -> float:
    """On batches batch(g). Returns the mean of the last ten losses."""
    g, adam = generator(11), Adam(model.parameters(), 1e-2)
    run = fit(model, lambda step: batch(g), lambda model, b: loss(model, *b),
              optimizer=adam, num_steps=num_steps, max_norm=1.0)  # fmt: skip
    return sum(record.train_loss for record in run.records[-10:]) / 10


arms = {  # the mask, a window, and where the answer is read
    "itself": ("sliding", 1, bank), "causal": ("causal", 0, bank),
    "everything": ("bidirectional", 0, bank), "causal, at the end": ("causal", 0, -1),
}  # fmt: skip
ids, sense, right = senses(1000, generator(12))
accuracy = {}
for name, (kind, window, read) in arms.items():
    torch.manual_seed(seed(10))  # the same weights for all
    blocks = MaskedBlocks(24, kind, num_blocks, window=window)
    model = nn.Sequential(nn.Embedding(20, 24), blocks, nn.Linear(24, 2)).to(device)
    train(model, lambda g: senses(48, g), num_steps=num_steps,
          loss=lambda model, x, y, _, t=read: F.cross_entropy(model(x)[:, t], y))  # fmt: skip
    for view, tokens in ((name, ids), (name + ", mirrored", ids.flip(1))):
        correct = (model(tokens)[:, read].argmax(dim=1) == sense).double()
        accuracy[view] = correct[~right].mean().item(), correct[right].mean().item()
        print("{:<30} cue left {:4.0%}   cue right {:4.0%}".format(view, *accuracy[view]))

# %%
claim("the_mask_decides", "accuracy on cues to the right of the word, all visible minus "
      "causal mask; first weights, batches and updates are the same",
      accuracy["everything"][1] - accuracy["causal"][1], at_least=0.25, thesis=True)  # fmt: skip
claim("a_later_state_knows", "accuracy on right-hand cues, causal mask, read at the end",
      accuracy["causal, at the end"][1], at_least=0.95)  # fmt: skip

# %% [markdown]
# Read at *bank*, the causal model gets the left half right and tosses a coin on the right half. Mirrored,
# the halves swap, so it knows what the cues mean. Read at the
# end, the causal mask is enough. Neither size nor training was missing, only access at that position. The lookup is at chance on both sides.
#
# ## A path may be invisible, and a visible one may carry nothing
#
# A zero derivative disproves a path only if it is no accident. Some recipes start a layer's output matrix at zero, so that the block
# first passes its input on. Then a causal block shows the field of a lookup, and every path is still there:

# %%
block = MaskedBlocks(D, "causal").double()
open_paths = receptive_field(block, x)
nn.init.zeros_(block.blocks[0].attention.output.weight)
claim("zero_hides_paths", "causal block over 10 positions: paths the Jacobian misses "
      "while attention's output matrix is zero",
      (open_paths & ~receptive_field(block, x)).sum(), at_least=T * (T - 1) / 2)  # fmt: skip

# %% [markdown]
# The converse can be worked out. Let $L$ causal layers, without residuals, average $w$ positions each. A path then carries
# $w^{-L}$, and the share of lag $\ell$, the input $\ell$ positions back, is the probability that $L$ draws from $\{0, \dots, w-1\}$ sum to $\ell$: a
# bell around $L(w-1)/2$ with a standard deviation of $\sqrt{L (w^2-1)/12}$. Four times the layers reach four times as far, and the bell
# is only twice as wide. {cite:t}`luo2016understanding` showed the same for convolutions, where it sits on the position itself. For $w = 5$ and
# $L = 16$ the reach is $16 \cdot 4 + 1 = 65$ positions, the bell's middle is lag 32, its standard deviation $\sqrt{32} \approx 5.7$.


# %%
def sixteen_averages(x: Tensor) -> Tensor:
    mask = attention_mask(x.size(1), "sliding", window=5)
    for _ in range(16):  # equal scores give equal weights
        x, _ = attention(0 * x, 0 * x, x, mask)
    return x


x = torch.randn(1, 80, 1, generator=generator(6), dtype=torch.float64)
shares = influence(sixteen_averages, x)[-1].flip(0)  # of the last output, by lag: (80,)
bell = np.polynomial.polynomial.polypow(np.full(5, 1 / 5), 16)  # 16-fold: (65,)
agrees("shares_by_lag", "numpy.polynomial.polynomial.polypow",
       shares, np.pad(bell, (0, 15)), atol=1e-15)  # fmt: skip
claim("reached_and_lost", "16 averages: influence of the furthest input over middle one",
      shares[64] / shares[32], above=0, at_most=1e-9)  # fmt: skip

# %% [markdown]
# The furthest input has a share of $5^{-16}$, about $7 \cdot 10^{-12}$, and so has the output's own position. Both paths exist, and both are lost:
# float32 rounds at about $6 \cdot 10^{-8}$ of a number. Residuals move the bell towards the position itself, as in the figure's last panel.
# Trained attention need not average; it can pass one token on unharmed, and no picture of the
# wiring shows whether it does.
#
# ## A loss below the entropy: someone reads ahead
#
# Now language models. The grammar: `<s> I am happy and you are late .`, with two different persons out of three, a verb that agrees, one of four adjectives each. That makes
# $6 \cdot 4 \cdot 4 = 96$ sentences, equally probable. Eight tokens are predicted, so no model that sees only the past can average less than the entropy, $\log(96)/8$
# nats per token. Memorizing does not help, because the 96 are the whole language; of a real training text it would.
#
# The first model is the classic recipe in words: embedding, LSTM, a state for every step, a softmax over the vocabulary at each. Its targets are the ids moved by one,
# `model(ids[:, :-1])` against `ids[:, 1:]`. The other models exchange what stands between embedding and head. The last two put something in front of the causal block.


# %%
class Recurrent(nn.LSTM):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[0]  # the state of every step: (B, T, D)


class OnChannels(nn.Sequential):
    """For layers of torch's that want (B, D, T)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


people, moods = ("I am", "you are", "she is"), ("happy", "fine", "late", "ill")
texts = [f"<s> {a} {x} and {b} {y} ." for a, b in permutations(people, 2)
         for x, y in product(moods, moods)]  # fmt: skip
words = sorted(set(" ".join(texts).split()))
every = torch.tensor([[words.index(w) for w in t.split()] for t in texts]).to(device)


def next_token_loss(model: nn.Module, ids: Tensor) -> Tensor:
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def after(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(OnChannels(*layers), MaskedBlocks(D, "causal"))


torch.manual_seed(seed(20))
V, D, entropy = len(words), 24, math.log(len(texts)) / 8
mixers = {
    "LSTM": Recurrent(D, D, batch_first=True),
    "attention, no mask": MaskedBlocks(D, "bidirectional"),
    "attention, causal": MaskedBlocks(D, "causal"),
    "… after a convolution": after(nn.Conv1d(D, D, 3, padding="same")),
    "… after batch norm": after(nn.BatchNorm1d(D)),
}
x, probe = torch.randn(1, 8, D).to(device), nn.Linear(D, 1).to(device)
trained, honest = {}, {}
print(f"entropy {entropy:.3f}, guessing {math.log(V):.3f} nats per token\n")
print("                          training   from prefixes   sees ahead   in eval mode")
for name, mix in mixers.items():
    model = nn.Sequential(nn.Embedding(V, D), mix, nn.Linear(D, V)).to(device)
    ahead = [receptive_field(nn.Sequential(mix, probe), x).triu(1).sum()]
    trained[name] = train(model, lambda g: [every[torch.randint(96, (32,), generator=g)]],
                          next_token_loss, 90)  # leaves it in eval mode  # fmt: skip
    ahead += [receptive_field(nn.Sequential(mix, probe), x).triu(1).sum()]
    losses = [F.cross_entropy(model(every[:, :t])[:, -1], every[:, t]) for t in range(1, 9)]
    honest[name] = torch.stack(losses).mean().item()
    print(f"{name:<26}{trained[name]:8.3f}{honest[name]:16.3f}{ahead[0]:13}{ahead[1]:15}")

# %%
claim("snippet_works", "LSTM, next-token loss on all 96 sentences minus their entropy",
      honest["LSTM"] - entropy, at_least=0, at_most=0.06, unit="nats")  # fmt: skip
claim("below_the_entropy", "attention without a mask: entropy minus training loss",
      entropy - trained["attention, no mask"], at_least=0.3, unit="nats")  # fmt: skip
claim("useless_without_the_answer", "attention without a mask: loss from prefixes minus "
      "loss of guessing",
      honest["attention, no mask"] - math.log(V), at_least=0.1, unit="nats")  # fmt: skip
claim("batch_norm_gains_nothing", "batch norm before causal attention: training loss "
      "minus entropy", trained["… after batch norm"] - entropy,
      at_least=-0.02, at_most=0.06, unit="nats")  # fmt: skip

# %% [markdown]
# *Training* is the loss at the end of training, *from prefixes* the loss over all 96 sentences when the model gets only what comes before the token, as in generation. *Sees ahead* counts,
# of the 28 pairs of an output and a later input, those with a path, in training mode and in eval mode.
#
# - The LSTM and causal attention end slightly above the entropy, by either loss.
# - Attention without a mask falls to zero, and from prefixes it is worse than guessing. Its answer stood one step to the right, where now nothing stands.
# - A kernel of 3 with `padding="same"`, that is, padded on both sides, sees one step ahead, seven pairs in all, and that is enough.
# - Batch norm pools all positions of the batch. Every output depends on every later input, and yet the loss stays where causal attention's is. Among 32 sentences
#   one sentence's future hardly shows. Draw `(1,)` instead of `(32,)`, and the training loss falls well below causal attention's. In eval mode it uses stored
#   statistics, and the path is gone. So look for leaks in training mode, with dropout off.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Embeddings capture the context of a word, RNNs that of the sentence."** The first half confuses a table with how it was made. Windows of text went into training word vectors, and out came one row per
# word type, a compromise between all its senses. The second half holds for the last state only. `return_sequences=True` in Keras hands out a state per step, and each has read a prefix.
#
# **Calling ELMo a deep bidirectional model like BERT.** ELMo runs two language models, one per direction, and joins their states afterwards {cite:p}`peters2018deep`. Within each
# stack nothing flows from the other side, which is why both could be trained on the next token. In BERT every layer mixes both sides, so the target has to be hidden {cite:p}`devlin2019bert`.
#
# **Poisoning an input with NaN to see where it spreads.** A fine test for an RNN. In masked attention it accuses the innocent: the weight of a hidden position is exactly zero, and zero times NaN is NaN, so the NaN
# comes through the mask. Change the input to another finite number instead.
#
# **"It takes 128,000 tokens, so it has read the contract."** The window is reach. With the relevant passage in the middle of a long input, models answered markedly worse than with the same passage at either end
# {cite:p}`liu2024lost`.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} How do you get word vectors with right context out of a causal model?
# Say the sentence twice and read the second copy: each of its words can see the whole first one {cite:p}`springer2025repetition`. Or remove the mask and train on, first to predict
# masked tokens, then contrastively {cite:p}`behnamghader2024llm2vec`. For one vector per text, the last token's state has seen everything.
# :::
#
# :::{dropdown} 32 layers, a window of 4,096: how far does it see?
# If a window counts the position itself, $32 \cdot 4095 + 1 = 131{,}041$ positions. Mistral 7B's paper says about 131K {cite:p}`jiang2023mistral`. It lets position $i$ attend to $i - W$ to $i$, which would be $W + 1$ positions;
# the mask in transformers keeps $W$. Ask which of the two is meant.
# :::
#
# :::{dropdown} Why does the KV cache need a causal mask?
# A cached key of an upper layer is a function of what its position has seen. Under a causal mask, a new token changes no earlier state. Without one it changes all states above the embeddings, and every
# step would start over.
# :::
#
# :::{dropdown} What does a prefix mask buy, and cost?
# The prompt is given, so its positions may see each other both ways; only what follows has to be causal {cite:p}`raffel2020exploring`. Prefix tokens cannot serve as next-token targets, so part
# of each training text has no loss, and a prompt that grows turn by turn has to be encoded again.
# :::
#
# :::{dropdown} How do you test for a leak without gradients?
# Run a text, change its last token to another one, run again: no earlier output may move. Or run a prefix alone and compare. Both belong into training mode with dropout off. Like a Jacobian, they
# can miss a path that is closed at these weights.
# :::
#
# :::{dropdown} How much of its context does a trained LSTM use?
# On Penn Treebank and WikiText-2, by ablation, about 200 tokens on average, and their order only within the nearest 50 or so {cite:p}`khandelwal2018sharp`. Its field is the whole past.
# :::
#
# :::{dropdown} Does a loss at or above the entropy prove that nothing leaks?
# No. Batch norm above leaks, and with 32 sentences gains nothing. And of a real text nobody knows the entropy: what one sees is a loss that is suspiciously good, or a gap between it and the loss
# from prefixes.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} attention_mask
# ```

# %%
import torch


def attention_mask(T: int, kind: str, window: int = 0, prefix: int = 0) -> torch.Tensor:
    """Who may attend to whom.

    kind: "causal", "bidirectional", "sliding" or "prefix".
    Returns (T, T), bool: row = query, column = key, True = may attend.
    """
    raise NotImplementedError


check("attention_mask", attention_mask)

# %% [markdown]
# ```{solution} attention_mask
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`elman1990finding`: the simple recurrent network. {cite:t}`schuster1997bidirectional`: one from each end.
# - {cite:t}`peters2018deep`, {cite:t}`devlin2019bert`: two directions side by side, and in every layer.
# - {cite:t}`luo2016understanding`: effective receptive fields. {cite:t}`beltagy2020longformer`, {cite:t}`jiang2023mistral`: windows.
#   {cite:t}`raffel2020exploring`: the prefix mask.
# - {cite:t}`khandelwal2018sharp`, {cite:t}`liu2024lost`: use, measured. {cite:t}`springer2025repetition`,
#   {cite:t}`behnamghader2024llm2vec`: right context for causal models.
