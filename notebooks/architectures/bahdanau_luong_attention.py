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
# states already helps; choosing among them, by content and not by place, brings most of the rest.
#
# :::{dropdown} The two-minute answer
# The decoder's state is the query; the encoder's states are keys and values. With $T$ target and $S$ source positions there are $T \times S$ scores, normalized
# over the source, with padding masked. The context goes to the decoder: with Bahdanau into its next state and its output, with Luong beside its
# state into the output layer. All of it is differentiable, so no alignments are needed to train it.
#
# Two things come with attention: another path to the states, and a choice among them. Uniform weights keep the path and remove
# the choice, so train that as a control.
#
# The weights look like an alignment. Whether they are one takes an intervention: exchange the state at one source position, and see which output changes. In the
# experiment that is the step that attends there. Exchanging keys and values apart says more: a state is found by the digit before it, which its key remembers, and read by its
# value. So repeated digits mislead the model.
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
# - Senior: tests an alignment by intervention, and tells what finds a state (its key) from what is read there (its value).
# - Senior: says what attention leaves open: states that look alike, cost $T \cdot S$, streaming.

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
# | context goes into | the GRU that computes $s_t$, and the output layer | beside $s_t$, into a tanh layer, then the output |
# | encoder | both directions | one direction, over the reversed source |
#
# With Luong's order all steps can be attended in one call, so it is the one here; our encoder reads left to right, and our head reads $s_t$ and $c_t$ without the tanh layer.

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
claim("softmax_of_one", "softmax over an axis of size 1: largest change it makes to the "
      "encoder's outputs", (context - encoder_outputs).abs().max(), at_most=0)  # fmt: skip

# %% [markdown]
# Joining them requires $S = T$ and scores only pairs of equal positions. There is no $T \times S$ table, and nothing is summed over the source. The
# context equals the encoder's outputs bit for bit, and a constant weight passes no gradient to its score. The snippet then does not use it: its model returns what its decoder computed without the source.
#
# ## The path helps, the choice helps again
#
# The task, the sizes and the kind of data are those of the page before: numbers of one to six digits, some followed by pauses, GRUs of width 64, and a vector of four numbers from encoder to decoder. Three
# models: without attention; with *uniform* weights, so that the context is the plain mean of the states; with Luong's dot product. The last two have exactly the same parameters and first
# weights, and differ in whether the weights depend on the scores. Lest slow learning be what the first two lack, they get twice the updates.

# %%
# Try: narrow = 64, a wide vector. Their mean then adds next to nothing to it, path_helps
# breaks, and the thesis holds: choosing is worth nearly as much as before.
narrow, width, updates = 4, 64, 100  # C, H
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


def train(attend: nn.Module | None, num_steps: int) -> Seq2Seq:
    config = Seq2SeqConfig(vocab_size=13, width=width, summary_width=narrow)
    model, g = Seq2Seq(config, generator(10), attend), generator(11)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        digits = int(torch.randint(1, longest + 1, (), generator=g))
        pauses = int(torch.randint(longest - digits + 1, (), generator=g))
        return dictate(batch_size, digits, pauses, g)

    fit(model, batch, forced_loss, optimizer=Adam(model.parameters(), learning_rate),
        num_steps=num_steps, schedule=lambda step: 1 - step / num_steps, max_norm=1.0)  # fmt: skip
    return model.requires_grad_(False)


def accuracy(model: Seq2Seq, source: Tensor) -> Tensor:
    """Teacher-forced share of right digits; EOS does not count."""
    choices = model(source, shift_right(source, BOS)).argmax(dim=-1)  # (n, T)
    return (choices == source).double().mean()


models = {"no attention": train(None, 2 * updates)}
models["uniform"] = train(UniformAttention(), 2 * updates)
models["chosen"] = train(kinds.LuongAttention(width), updates)
lengths = [1, 2, 3, 4, 5, 6, 8, 10]
sources = [torch.randint(10, (300, n), generator=generator(20 + n)) for n in lengths]
curves = {name: [accuracy(model, x) for x in sources] for name, model in models.items()}
shuffled = torch.rand(300, 10, generator=generator(29)).argsort(dim=-1)  # all ten digits
no_repeats = accuracy(models["chosen"], shuffled)

# %% mystnb={"image": {"alt": "Line chart: teacher-forced accuracy against the number of digits, for three models. Without attention the line falls from the start. With uniform weights it falls later and ends at six digits well above. With chosen weights it stays high up to six digits, the longest in training, marked by a dashed line, and falls beyond it. An open circle at ten digits, for numbers in which no digit occurs twice, lies well above the end of that line."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(6.4, 3.4))
for name, curve in curves.items():
    ax.plot(lengths, curve, "o-", label=name)
ax.plot(10, no_repeats, "o", color="C2", markerfacecolor="white", label="_")
ax.annotate("no digit twice", (10, no_repeats), (8, -3), textcoords="offset points", fontsize=9)
ax.axvline(longest, color="#777777", linestyle="--", linewidth=1)
ax.set(title="A mean of the states helps; choosing among them helps again",
       xlabel="digits in the number (dashed: longest in training)",
       ylabel="teacher-forced accuracy", xlim=(0.8, 12.4), ylim=(0, 1.05), xticks=lengths)  # fmt: skip
label_lines(ax)
plt.show()

# %%
without, mean, chosen = curves.values()
claim("choosing_helps", "copying six digits: accuracy with dot-product weights minus with "
      "uniform weights, same parameters, twice the updates for the latter",
      chosen[5] - mean[5], at_least=0.16, thesis=True)  # fmt: skip
claim("path_helps", "copying six digits: accuracy with uniform weights minus without "
      "attention", mean[5] - without[5], at_least=0.17)  # fmt: skip
claim("fall_is_small", "dot-product weights: accuracy on one digit minus on six",
      chosen[0] - chosen[5], at_most=0.2)  # fmt: skip
claim("repeats_mislead", "dot-product weights, ten digits: accuracy if no digit occurs twice "
      "minus on random digits", no_repeats - chosen[7], at_least=0.07)  # fmt: skip

# %% [markdown]
# The mean of the states is one vector again, but 64 numbers wide instead of four, and close to every step: it brings a large part of the gain. The choice brings most of the rest, with
# no parameter more and half the updates. What all three would reach with many, this page does not show.
#
# Beyond six digits accuracy falls again. It is tempting to say that the model was never shown a seventh place. But ten digits of which none occurs twice are copied clearly better than ten
# random ones, at the same places. So something else goes wrong, and the weights can tell what.
#
# ## It finds its place by the digit before, not by counting
#
# A map of the weights is a picture. An intervention asks what the model uses. Take a number, let one digit be another one, and encode both. Then put *one* state of the second encoding into the
# first, at place $j$, and decode, with the true digits of the first as prefix. Which outputs change? The two numbers differ in digit $j$ alone, so up to there the encoder read the same.

# %%
model = models["chosen"].double()  # no two choices closer than rounding
place = torch.arange(longest)
source = torch.randint(10, (500, longest), generator=generator(30))
prefix, stranger = shift_right(source, BOS), source.roll(1, dims=0)
own = model.encode(source)
queries, _ = model.decoder(model.tokens(prefix), model.unfold(own.summary).tanh()[None])


def written(keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """As `Seq2Seq.decode`, keys and values apart: digits (n, T) and weights (n, T, S)."""
    context, weights = kinds.luong_attention(queries, keys, values)
    return model.head(torch.cat([queries, context], dim=-1)).argmax(dim=-1), weights


def exchanged(donor: Tensor, j: int) -> Tensor:
    """The states (n, S, H), with the donor's at place j."""
    return torch.where((place == j)[:, None], model.encode(donor).states, own.states)


before, weights = written(own.states, own.states)
others = [torch.where(place == j, (source + 1) % 10, source) for j in range(longest)]
variants = [exchanged(donor, j) for j, donor in enumerate(others)]
swapped = torch.stack([written(states, states)[0] for states in variants], dim=2)  # (n, T, S)
effect = (swapped != before[..., None]).double().mean(dim=0)  # (T, S)
on = torch.eye(longest, dtype=torch.bool)

# %% mystnb={"image": {"alt": "Two square maps side by side, rows are output steps one to six, columns source places one to six. Left, mean attention weights: dark diagonal, light elsewhere. Right, share of outputs that change when the state at one place is exchanged: again a dark diagonal and little elsewhere."}} tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.5), sharey=True)
numbers, maps = [str(n + 1) for n in range(longest)], (weights.mean(dim=0), effect)
for ax, values, title in zip(axes, maps, ("mean weight", "outputs changed"), strict=True):
    heatmap(ax, values, rows=numbers, columns=numbers, vmin=0, vmax=1,
            row_title="output step" if ax is axes[0] else "", column_title="source place")  # fmt: skip
    ax.set_title(title, fontsize=11)
figure.suptitle("An output changes with the state that it attends to")
plt.show()

# %% [markdown]
# In both maps white is 0 and the darkest blue 1. Now borrow the state of the fourth digit from an unrelated number, once as key and value, once as value alone under the own keys. And once more from an unrelated
# number whose third digit alone is as in the own one.


# %%
def borrowed(donor: Tensor, j: int) -> tuple[Tensor, Tensor, Tensor]:
    """A donor's state at place j: its weight at step j, and the share of the donor's digits
    written there, with the state as key and value and with it as value alone."""
    states = exchanged(donor, j)
    (both, weights), (value, _) = written(states, states), written(own.states, states)
    copied = [(digits[:, j] == donor[:, j]).double().mean() for digits in (both, value)]
    return weights[:, j, j].mean(), *copied


unlike, as_both, as_value = borrowed(stranger, 3)  # the fourth digit
alike, _, _ = borrowed(torch.where(place == 2, source, stranger), 3)
other = Encoded(own.states, own.lengths, own.summary.roll(1, dims=0))
misled = model.decode(prefix, other)[0].argmax(dim=-1)
claim("changes_there", "one state exchanged: share of outputs changed, own step minus others",
      effect[on].mean() - effect[~on].mean(), at_least=0.6)  # fmt: skip
claim("found_by_digit", "weight of an unrelated number's state: with the own digit before it "
      "minus with a random one", alike - unlike, at_least=0.25)  # fmt: skip
claim("readable_unfound", "unrelated number's state: its digit written, if borrowed as value "
      "alone minus as key and value", as_value - as_both, at_least=0.3)  # fmt: skip
claim("vector_bypassed", "accuracy lost when the decoder starts from another number's vector",
      (misled != source).double().mean() - (before != source).double().mean(), at_most=0.05)  # fmt: skip

# %% [markdown]
# How does a step find its state? Not by order: attention is a sum over a set, and shuffling the states changes nothing. Nor by counting: the state at the same place of an
# unrelated number gets little weight. With the own digit before it, most of the weight is back. The decoder has just read a digit, and looks for the state that came right after
# it. Where that digit occurs twice, two states answer.
#
# The unrelated state is not misread, it is not found. Under the own keys, its digit is mostly written. The key is the address, the value the content, and here one
# vector must be both. A Transformer projects them apart; its induction heads, too, look for what followed the current token before {cite:p}`olsson2022context`. A map of weights shows what the keys do; about the values it is silent.
#
# The narrow vector, which was all the decoder had, is hardly used any more: another number's does no harm to speak of.
#
# ## Wide dot products start sharp, additive scores do not
#
# How far does the entropy of the first weights lie below that of uniform ones, in nats, with 32 source positions and untrained GRUs?

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
claim("dot_is_sharp", "nats below uniform at width 512: unscaled dot minus additive score",
      sharpness[512][0] - sharpness[512][1], at_least=0.4)  # fmt: skip

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
# dependencies reachable. Whether the right state is found is another matter: here a repeated digit can mislead the model.

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
# $T \cdot S$ scores and as many weighted sums, so twice the lengths cost four times as much. Memory for the states grows with $S$, the price of not compressing. Luong's *local* attention looks at a window around one predicted position.
# :::
#
# :::{dropdown} Can it stream?
# Not as it stands: the softmax needs all scores, hence the whole source. Monotonic attention decides for each state whether to stop there, and never goes back, which is online and linear in time {cite:p}`raffel2017online`.
# :::
#
# :::{dropdown} What is hard attention?
# It reads one position, drawn from the weights, instead of the average. Sampling has no derivative, so it is trained with a REINFORCE-like estimate of the gradient {cite:p}`xu2015show`.
# :::
#
# :::{dropdown} The model repeats a phrase or skips one. Why, and what helps?
# No explicit record of what has been read enters the scores. A coverage vector, the sum of all weights so far, enters the score, and a loss punishes reading again what is covered {cite:p}`see2017point`.
# :::
#
# :::{dropdown} Does attention act as a memory?
# {cite:t}`britz2017massive` compare gradients and suggest that in their models it acted more like a weighted skip connection than a memory. Here it carries content: exchange a state, and the output follows.
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
# - {cite:t}`olsson2022context`: induction heads. {cite:t}`xu2015show`: hard attention. {cite:t}`raffel2017online`: monotonic attention.
