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
#     - seq2seq_bottleneck
#     question_zh: 语言模型中的注意力机制是什么？
#     short: Cross-attention
#     source: L08
#     tasks:
#     - cross_attention
# ---

# %% [markdown]
# # How does cross-attention remove the encoder–decoder's bottleneck?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# The encoder keeps one state per source position. At every step the decoder scores all of them against its own state, turns the scores
# into weights by a softmax over the source, and reads the weighted average. So the source need not pass through one vector.
# Bahdanau scores with a small network, Luong with a dot product. In the copying experiment here, a plain average of the
# states already helps; choosing among them brings most of the rest, on lengths seen in training.
#
# :::{dropdown} The two-minute answer
# The decoder's state is the query; the encoder's states are keys and values. With $T$ target and $S$ source positions there are $T \times S$ scores, normalized
# over the source, with padding masked. The context goes to the decoder: with Bahdanau into its next state, with Luong beside its
# state into the output layer. All of it is differentiable, so no alignments are needed to train it.
#
# Two things come with attention: another path to the states, and a choice among them. Uniform weights keep the path and remove
# the choice, so train that as a control.
#
# The weights look like an alignment. Whether they are one takes an intervention: exchange the state at one source position, and see which output changes. In the
# experiment that is the step that attends there. But the state also carries what came before it; put into another number, it is misread.
#
# A dot product of wide vectors has a large variance, which makes an unscaled softmax start sharp; the additive score stays flat at the first weights, at the
# price of a hidden layer for each of the $T \times S$ pairs. The Transformer kept the dot product and divided by the root of its width.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: names query, keys and values; softmax over source positions, then a weighted *sum*; the shapes $(T, S)$ and $(T, d_v)$.
# - Junior: $S$ and $T$ differ in general; source padding gets weight zero.
# - Mid: tells additive from dot and general scores, and where each paper puts the context.
# - Mid: a softmax over an axis of size 1 is the constant 1, with zero gradient.
# - Senior: separates the path from the choice, by uniform weights as the control.
# - Senior: tests an alignment by intervention, and knows that a state is more than its token.
# - Senior: says what attention leaves open: lengths beyond training, cost $T \cdot S$, streaming.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.architectures import attention as kinds
from lmprep.architectures.seq2seq import Encoded, Seq2Seq, Seq2SeqConfig, shift_right
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.plotting import heatmap, label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.losses import cross_entropy
from lmprep.training.optim import Adam

_ = setup()  # the page stays on the CPU: its models are tiny

# %% [markdown]
# ## The slip of paper stays on the table
#
# [On the page before](seq2seq_bottleneck) a number was dictated, and the listener had to say it back from one vector. Now there are notes: the
# encoder's states $h_1 \dots h_S$, one per digit, stay on the table. Before each digit that she says, she looks at them and decides where to read. Let $s_t$ be the
# decoder's state at step $t$. Then
#
# $$
# e_{tj} = \mathrm{score}(s_t, h_j), \qquad a_{tj} = \frac{\exp e_{tj}}{\sum_{l=1}^{S} \exp e_{tl}}, \qquad c_t = \sum_{j=1}^{S} a_{tj} h_j .
# $$
#
# The state $s_t$ is the *query*, the $h_j$ are *keys* where they are scored and *values* where they are averaged; $c_t$ is the *context*. Two papers wrote down the scores
# in use, with $W$, $W_q$, $W_k$ and $w$ learned:
#
# $$
# \text{dot: } s \cdot h, \qquad \text{general: } s^\top W h, \qquad \text{additive: } w \cdot \tanh(W_q s + W_k h).
# $$
#
# | | {cite:t}`bahdanau2015neural` | {cite:t}`luong2015effective` |
# |---|---|---|
# | score | additive | dot, general, and a kind of additive one |
# | query | state *before* the step, $s_{t-1}$ | state *after* it, $s_t$ |
# | context goes into | the GRU that computes $s_t$ | beside $s_t$, into a tanh layer, then the output |
# | encoder | both directions | left to right |
#
# Luong's order lets all steps be attended in one call, so it is the one here; our head reads $s_t$ and $c_t$ without the tanh layer.

# %%
show(kinds.luong_attention, kinds.additive_attention, Seq2Seq.decode)

# %%
q, k = (torch.randn(2, n, 8, generator=generator(n)).double() for n in (3, 5))  # T, S
w_q, w_k = torch.randn(2, 6, 8, generator=generator(1)).double()
w = torch.randn(6, generator=generator(2)).double()
mask = (torch.arange(5) < torch.tensor([[3], [5]]))[:, None]  # (B, 1, S)

ours, _ = kinds.luong_attention(q, k, k, mask=mask)
agrees("dot", "torch.nn.functional.scaled_dot_product_attention", ours,
       F.scaled_dot_product_attention(q, k, k, attn_mask=mask, scale=1.0), atol=1e-12)  # fmt: skip

# The additive score by NumPy, for all pairs at once, (B, T, S, A); exp and sum by hand.
hidden = np.tanh((q @ w_q.mT).numpy()[:, :, None] + (k @ w_k.mT).numpy()[:, None])
powers = np.exp(hidden @ w.numpy()) * mask.numpy()
_, ours = kinds.additive_attention(q, k, k, w_q, w_k, w, mask)
agrees("additive", "NumPy", ours.numpy(),
       powers / powers.sum(axis=-1, keepdims=True), atol=1e-12)  # fmt: skip

# %% [markdown]
# ## A softmax over one number is 1, whatever was learned
#
# A Keras snippet that goes round as "attention" joins encoder and decoder outputs feature by feature, puts `Dense(1, activation="tanh")` and a softmax on top, multiplies
# the encoder's outputs by the result, and returns a model of the decoder's outputs. In torch:

# %%
encoder_outputs, decoder_outputs = torch.randn(2, 4, 5, 8, generator=generator(4))  # (B, T, H)
dense = nn.Linear(16, 1)
score = dense(torch.cat([encoder_outputs, decoder_outputs], dim=-1)).tanh()  # (B, T, 1)
context = encoder_outputs * score.softmax(dim=-1)
context.pow(2).sum().backward()
claim("softmax_of_one", "softmax over an axis of size 1: largest change it makes to the "
      "encoder's outputs", (context - encoder_outputs).abs().max(), at_most=0)  # fmt: skip
claim("nothing_learned", "softmax over an axis of size 1: largest gradient at the scores' "
      "weights", dense.weight.grad.abs().max(), at_most=0)  # fmt: skip

# %% [markdown]
# Joining them requires $S = T$ and scores only pairs of equal positions. There is no $T \times S$ table, and nothing is summed over the source. The
# context equals the encoder's outputs bit for bit. The snippet then does not use it: its model returns what its decoder computed without the source.
#
# ## The path helps, the choice helps again
#
# The task, the sizes and the kind of data are those of the page before, with fewer updates: numbers of one to six digits, some followed by pauses, GRUs of width 64, and a vector of four numbers from encoder to decoder. Three
# models: without attention; with *uniform* weights, so that the context is the plain mean of the states; with Luong's dot product. The last two have exactly the same parameters, first
# weights, batches and updates, and differ only in whether the weights depend on the scores.

# %%
# Try: narrow = 64, a wide vector. The path to the states is then worth little, path_helps
# breaks, and the thesis holds: the choice is still worth as much.
narrow, width, updates = 4, 64, 90  # C, H
batch_size, learning_rate = 64, 0.01  # as on the page before; here it falls to 0
longest, BOS, EOS, PAUSE = 6, 10, 11, 12


class UniformAttention(nn.Module):
    """Every visible state has the same weight: a zero query ties all scores."""

    def forward(self, x: Tensor, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return kinds.luong_attention(torch.zeros_like(x), states, states, mask=mask)


def dictate(n: int, digits: int, pauses: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sources (n, digits + pauses) and targets (n, digits + 1): digits, then EOS."""
    number = torch.randint(10, (n, digits), generator=g)
    return F.pad(number, (0, pauses), value=PAUSE), F.pad(number, (0, 1), value=EOS)


def forced_loss(model: Seq2Seq, batch: tuple[Tensor, Tensor]) -> Tensor:
    logits = model(batch[0], shift_right(batch[1], BOS))  # (B, T, V)
    return cross_entropy(logits.flatten(0, 1), batch[1].flatten())


def train(attend: nn.Module | None) -> Seq2Seq:
    config = Seq2SeqConfig(vocab_size=13, width=width, summary_width=narrow)
    model, g = Seq2Seq(config, generator(10), attend), generator(11)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        digits = int(torch.randint(1, longest + 1, (), generator=g))
        pauses = int(torch.randint(longest - digits + 1, (), generator=g))
        return dictate(batch_size, digits, pauses, g)

    optimizer = Adam(model.parameters(), learning_rate)
    fit(model, batch, forced_loss, optimizer=optimizer, num_steps=updates,
        schedule=lambda step: 1 - step / updates, max_norm=1.0)  # fmt: skip
    return model.requires_grad_(False)


def accuracy(model: Seq2Seq, digits: int) -> Tensor:
    """Teacher-forced share of right digits among 300 new numbers; EOS does not count."""
    source, target = dictate(300, digits, 0, generator(20 + digits))
    right = model(source, shift_right(target, BOS)).argmax(dim=-1) == target
    return right[:, :digits].double().mean()


models = {"no attention": train(None), "uniform": train(UniformAttention())}
models["chosen"] = train(kinds.LuongAttention(width))
lengths = [1, 2, 3, 4, 5, 6, 8, 10]
curves = {name: [accuracy(model, n) for n in lengths] for name, model in models.items()}

# %% mystnb={"image": {"alt": "Line chart: teacher-forced accuracy against the number of digits, for three models. Without attention the line falls steeply from one digit on. With uniform weights it falls later and ends at six digits well above. With chosen weights it stays high up to six digits, the longest in training, marked by a dashed line, and falls beyond it."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(6.4, 3.4))
for name, curve in curves.items():
    ax.plot(lengths, curve, "o-", label=name)
ax.axvline(longest, color="#777777", linestyle="--", linewidth=1)
ax.set(title="A mean of the states helps; choosing helps again, up to trained lengths",
       xlabel="digits in the number (dashed: longest in training)",
       ylabel="teacher-forced accuracy", xlim=(0.8, 12.4), ylim=(0, 1.05), xticks=lengths)  # fmt: skip
label_lines(ax)
plt.show()

# %%
without, mean, chosen = curves.values()
claim("choosing_helps", "copying six digits: accuracy with dot-product weights minus with "
      "uniform weights, same parameters and updates",
      chosen[5] - mean[5], at_least=0.22, thesis=True)  # fmt: skip
claim("path_helps", "copying six digits: accuracy with uniform weights minus without "
      "attention", mean[5] - without[5], at_least=0.17)  # fmt: skip
claim("fall_is_small", "dot-product weights: accuracy on one digit minus on six",
      chosen[0] - chosen[5], at_most=0.25)  # fmt: skip
claim("falls_beyond", "dot-product weights, trained on up to six digits: accuracy on six "
      "digits minus on ten", chosen[5] - chosen[7], at_least=0.05)  # fmt: skip

# %% [markdown]
# The mean of the states is one vector again, but 64 numbers wide instead of four, and close to every step: it brings a large part of the gain. The choice brings the larger part, and not by
# more parameters, because both models have the same ones. All three had few updates; what they would reach with many, this page does not show.
#
# Beyond six digits accuracy falls again: the model was never shown a seventh place. Removing the bottleneck is not the same as generalizing to longer
# inputs. Also, the places here are the same in source and target, which is easier than translation, where the words decide.
#
# ## Exchange one state, and one output changes
#
# A map of the weights is a picture. An intervention asks what the model uses. Take a number, let one digit be another one, and encode both. Then put *one* state of the second encoding into the
# first, at place $j$, and decode, with the true digits of the first as prefix. Which outputs change? For the effect at place $j$ the two numbers differ in digit $j$ alone, so up to there the encoder read the same.

# %%
model = models["chosen"].double()  # no two choices closer than rounding
place = torch.arange(longest)
source, target = dictate(500, longest, 0, generator(30))
prefix, stranger = shift_right(target, BOS), source.roll(1, dims=0)
change = torch.randint(1, 10, (500, longest, 1), generator=generator(31))
# Row j of each number, (n, j, S): the number with another digit j.
others = (source[:, None] + change * torch.eye(longest, dtype=torch.long)) % 10
own = model.encode(source)
x, _ = model.decoder(model.tokens(prefix), model.unfold(own.summary).tanh()[None])
_, weights = model.attend(x[:, :longest], own.states)  # (n, T, S)


def written(encoded: Encoded) -> Tensor:
    return model.decode(prefix, encoded)[0].argmax(-1)[:, :longest]  # (n, T)


def with_state_of(donor: Tensor, j: int) -> Tensor:
    """What is written with the donor's state at place j, (n, T)."""
    states = own.states.clone()
    states[:, j] = model.encode(donor).states[:, j]
    return written(Encoded(states, own.lengths, own.summary))


before = written(own)
swapped = torch.stack([with_state_of(others[:, j], j) for j in place], dim=2)  # (n, T, S)
effect = (swapped != before[..., None]).double().mean(dim=0)  # (T, S)
on = torch.eye(longest, dtype=torch.bool)

# %% mystnb={"image": {"alt": "Two square maps, one above the other, rows are output steps one to six, columns source places one to six. Above, mean attention weights: dark diagonal, light elsewhere. Below, share of outputs that change when the state at one place is exchanged: again a dark diagonal and little elsewhere."}} tags=["hide-input"]
_, axes = plt.subplots(2, 1, figsize=(4.6, 7.8))
titles = ("Mean weight: where it looks", "Share of outputs that change: what it uses")
for ax, values, title in zip(axes, (weights.mean(dim=0), effect), titles, strict=True):
    numbers = [str(n + 1) for n in range(longest)]
    heatmap(ax, values, rows=numbers, columns=numbers, vmin=0, vmax=1,
            row_title="output step", column_title="source place")  # fmt: skip
    ax.set_title(title)
plt.show()

# %%
claim("diagonal", "share of steps whose largest weight lies on the digit to be written",
      (weights.argmax(dim=-1) == place).double().mean(), at_least=0.6)  # fmt: skip
claim("changes_there", "state exchanged at the step's own place: share of outputs that "
      "change, minus the share when it is exchanged elsewhere",
      effect[on].mean() - effect[~on].mean(), at_least=0.6)  # fmt: skip
copied = torch.stack([swapped[:, j, j] == others[:, j, j] for j in place[1:]])
foreign = torch.stack([with_state_of(stranger, j)[:, j] == stranger[:, j] for j in place[1:]])
claim("needs_its_prefix", "digits two to six: share written as in the donor, if the donor "
      "agrees up to there, minus if it is a random number",
      copied.double().mean() - foreign.double().mean(), at_least=0.35)  # fmt: skip
misled = written(Encoded(own.states, own.lengths, own.summary.roll(1, dims=0)))
claim("vector_bypassed", "accuracy lost when the vector between encoder and decoder comes "
      "from another number", (before == source).double().mean()
      - (misled == source).double().mean(), at_most=0.05)  # fmt: skip
shuffled = Encoded(own.states[:, [3, 0, 5, 1, 4, 2]], own.lengths, own.summary)
change = model.decode(prefix, shuffled)[0] - model.decode(prefix, own)[0]
claim("order_is_content", "states shuffled over the source: largest change of a logit",
      change.abs().max(), at_most=1e-9)  # fmt: skip

# %% [markdown]
# In both maps white is 0 and the darkest blue 1. They agree: an output depends on the state that it attends to. And the narrow vector, which was all the decoder had, is hardly used any more: another number's does no harm to speak of.
#
# Two results are less expected. Shuffling the states over the source changes nothing, because attention is a sum over a set; the place is written *in* the states, by the GRU. And a state is not a copy of its digit. Taken from a number
# with the same digits before, it makes the decoder write the donor's digit. From a random number it mostly does not: the GRU has mixed
# the earlier digits in, and the decoder reads the state relative to the digits that it has itself read. A map tells where a model reads, and not what it reads there.
#
# ## Wide dot products start sharp, additive scores do not
#
# How far do the first weights lie below uniform, in nats, with 32 source positions and untrained GRUs?

# %%
sharpness, ids = {}, torch.randint(10, (12, 32), generator=generator(6))
print("width       dot  additive  dot ÷ √H")
for H in (16, 64, 256, 512):
    config = Seq2SeqConfig(vocab_size=13, width=H, summary_width=narrow)
    untrained = Seq2Seq(config, generator(5), kinds.AdditiveAttention(H)).requires_grad_(False)
    keys = untrained.encode(ids).states
    queries, _ = untrained.decoder(untrained.tokens(ids[:, :6]))
    rows = (kinds.luong_attention(queries, keys, keys)[1], untrained.attend(queries, keys)[1],
            kinds.attention(queries, keys, keys)[1])  # fmt: skip
    sharpness[H] = [float(np.log(32) - torch.special.entr(row).sum(-1).mean()) for row in rows]
    print(f"{H:5}" + "".join(f"{value:10.3f}" for value in sharpness[H]))
claim("dot_sharpens", "unscaled dot product: nats below uniform at width 512 minus at 64",
      sharpness[512][0] - sharpness[64][0], at_least=0.3)  # fmt: skip
claim("additive_stays", "additive score: nats below uniform at width 512",
      sharpness[512][1], at_most=0.05)  # fmt: skip

# %% [markdown]
# At width 64 the unscaled dot product starts nearly uniform, so our model did without a scale: entries of GRU states lie between −1 and 1, and here well inside. The wider the states, the sharper it is before
# it has learned anything. The additive score is flat at every width, and so is the scaled dot product. [Self-attention](self_attention_math) derives the √d.
#
# Trained models agree with that at one width. In {cite:t}`britz2017massive`, BLEU with multiplicative attention of dimension 128, 256, 512, 1024 is 22.03, 22.33, 21.78, 18.22; with additive attention 22.23, 22.33,
# 22.47, 22.10. {cite:t}`vaswani2017attention` cite this study, suspect saturated softmaxes, and scale. An additive score needs $A$ hidden units for each of the $T \cdot S$ pairs, the dot product one matrix product.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"The difference is additive against dot."** {cite:t}`luong2015effective` try an additive kind too. The flow differs more: Bahdanau's context changes the decoder's *state*, so later
# steps know where earlier ones looked. Luong's does not, which is why that paper adds *input feeding*: the attended vector is an input of the next step.
#
# **Putting a causal mask on cross-attention.** It comes from copying the decoder's self-attention block. The whole source is known before the first target token, so nothing
# in it is the future. What must be hidden is the source's padding; if `S == T` in the test, no shape complains about the wrong mask.
#
# **Reading the attention map as a word alignment.** For translation, {cite:t}`koehn2017six` found that it need not be one and can diverge dramatically. A recurrent state carries its neighbors,
# so a model may as well read a word from the state after it.
#
# **"Attention solves long-range dependencies."** It shortens the path from any source position to any output to one step, so gradients need not pass through all states between. That makes
# dependencies reachable. Whether they are used, and at lengths not seen in training, is another matter, as the dashed line above shows.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} How large was the gain in translation?
# On English to French, trained on sentences of up to 50 words, BLEU rose from 17.82 to 26.75, and the curve over sentence length stayed flat where the fixed vector's fell {cite:p}`bahdanau2015neural`. The comparison
# changes more than the choice of weights: their encoder reads in both directions.
# :::
#
# :::{dropdown} Where is cross-attention in a Transformer?
# In an encoder–decoder such as T5 or Whisper, each decoder layer has one, between self-attention and MLP: queries from the decoder, keys and values projected from the encoder's last layer. In generation
# those keys and values are computed once and reused at each step. A decoder-only model has none; the source is part of its own sequence.
# :::
#
# :::{dropdown} What does it cost?
# $T \cdot S$ scores and as many weighted sums, so twice the lengths cost four times as much. A fixed vector costs nothing per pair. Memory for the states grows with $S$, the price of not compressing.
# :::
#
# :::{dropdown} Can it stream?
# Not as it stands: the softmax needs all scores, hence the whole source. Monotonic attention decides for each state whether to stop there, and never goes back, which is online and linear in time {cite:p}`raffel2017online`.
# :::
#
# :::{dropdown} What is hard attention?
# It reads one position, drawn from the weights, instead of the average. Sampling has no derivative, so it is trained with a REINFORCE-like estimate of the gradient {cite:p}`xu2015show`. It saves reading, and brings noise.
# :::
#
# :::{dropdown} The model repeats a phrase or skips one. Why, and what helps?
# Each step's weights are computed without a record of what has been read. A coverage vector, the sum of all weights so far, enters the score, and a loss punishes reading again what is covered {cite:p}`see2017point`.
# :::
#
# :::{dropdown} Does attention act as a memory?
# {cite:t}`britz2017massive` compare gradients and suggest that in their models it acted more like a weighted skip connection than a memory. Here it carries content: exchange a state, and the output follows. Both can be true, of different models.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} cross_attention
# ```

# %%
import torch
from torch import Tensor


def cross_attention(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple:
    """What each decoder position reads from the source, and with which weights.

    q: (B, T, d), from the decoder. k: (B, S, d), v: (B, S, d_v), from the encoder.
    key_mask: (B, S), boolean, True = a source token, False = padding.
    Returns contexts (B, T, d_v) and weights (B, T, S).
    """
    raise NotImplementedError


check("cross_attention", cross_attention)

# %% [markdown]
# ```{solution} cross_attention
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`bahdanau2015neural`: additive attention. {cite:t}`luong2015effective`: dot and general scores, input feeding.
# - {cite:t}`britz2017massive`: additive against multiplicative, by width. {cite:t}`vaswani2017attention`: the scale.
# - {cite:t}`koehn2017six`: attention against alignment. {cite:t}`see2017point`: coverage.
# - {cite:t}`xu2015show`: hard attention. {cite:t}`raffel2017online`: monotonic attention.
