# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs: [cross_entropy_numerics]
#     question_zh: 语言模型中的批处理是什么？
#     short: Batching and accumulation
#     source: L26
#     tasks:
#     - accumulated_loss
# ---

# %% [markdown]
# # Padding, bucketing, gradient accumulation: when do micro-batches add up to the batch?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Without dropout, and if rows do not mix, micro-batches add up to the batch, provided each sum of token losses is divided by
# the whole batch's token count. Average the micro-batches' own means instead, and a token counts for more, the fewer
# tokens share its micro-batch. That does not average out: with one sequence per micro-batch, the model learns as if every sequence of
# n tokens occurred one n-th as often, so it writes short ones. Sorting by length saves padding and worsens this fault.
#
# :::{dropdown} The two-minute answer
# A batch with $N$ tokens that count is cut into $K$ micro-batches; the $k$-th has $n_k$ tokens and the sum of losses $S_k$. The batch's
# mean is $\sum_k S_k / N$. Each term can be backpropagated and forgotten, so memory holds one micro-batch at a time. The mean of means,
# $\frac1K \sum_k S_k / n_k$, weighs a token by $1/(K n_k)$ where $1/N$ was meant. Both agree if all $n_k$ are equal.
#
# With one sequence $x$ per micro-batch, the loss is the mean of $-\log p(x)/|x|$: maximum likelihood on data in which $x$
# occurs in proportion to $1/|x|$. The mean length that such a model generates is the harmonic mean of the training
# lengths. With more sequences per micro-batch the $n_k$ grow alike and the fault fades, unless sequences are grouped by length.
#
# Rows of unequal length are filled up with padding. The loss masks it, and on the right a causal model cannot see it. Grouping
# similar lengths removes most of it, packing nearly all. Micro-batches do not add up where rows mix, as in batch norm or with
# in-batch negatives; with dropout they do so only in distribution.
#
# A batch saves time, since hardware computes many rows at once, and its mean has a variance that falls as $1/B$ with $B$ rows.
# Cut into micro-batches, it keeps the second gain and loses part of the first.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: accumulation trades time for memory: several backward passes, then one step and one `zero_grad`.
# - Junior: padding is masked in the loss; on the right, a causal model's real tokens do not see it.
# - Mid: divides every sum by the token count of all micro-batches, or all gradients by it after the last.
# - Mid: shuffles, sorts by length within pools, fills batches to a budget of tokens, and shuffles the batches.
# - Mid: names what mixes rows and so breaks the equality: batch norm, in-batch negatives.
# - Senior: the mean of means is no noise but another objective: it weighs a sequence by one over its length, and grouping
#   by length makes it worse.
# - Senior: data-parallel ranks need the same common divisor.

# %% tags=["hide-input"]
from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.architectures.transformer import GPT, GPTConfig
from lmprep.data.packing import pack
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.practice import check
from lmprep.training.batching import accumulate, bucket_batches, pad_batch
from lmprep.training.loop import fit
from lmprep.training.optim import Adam
from lmprep.training.schedules import cosine

device = setup()

# %% [markdown]
# ## "Yes." has two tokens of sixteen and half of the vote
#
# A batch holds two replies: "Yes." and its end token, 2 tokens at a loss of 4 nats each, and a reply of 14 tokens at 2 nats each. The
# mean over the batch is $(2 \cdot 4 + 14 \cdot 2)/16 = 2.25$. Memory is short, so the replies go through one by one, as two
# *micro-batches*. Their means are 4 and 2; their average is 3. In it, a token of the short reply weighs
# $\frac12 \cdot \frac12$, a token of the long one $\frac12 \cdot \frac1{14}$: seven times less, where they should weigh the same.
#
# So count the tokens of all micro-batches first and divide every sum by that. Gradients are sums too: `backward` adds to
# `.grad` until somebody zeroes it, so one optimizer step after the last part sees the gradient of the whole batch.

# %%
show(pad_batch, accumulate)

# %% [markdown]
# Sixteen sequences of unequal lengths go through a GPT in double precision, three at a time. The reference takes them as one padded batch,
# with PyTorch's own mean. The last micro-batch holds a single sequence and needs no care: its tokens are in the count.

# %%
g, V, longest = generator(1), 64, 120
lengths = torch.exp(3.2 + 0.6 * torch.randn(2000, generator=g)).round().clamp(5, longest).long()
sequences = [torch.randint(V, (int(n),), generator=g).to(device) for n in lengths[:16]]
sizes = {"width": 32, "num_layers": 1, "num_heads": 2, "init_std": 0.1}
model = GPT(GPTConfig(vocab_size=V, context_length=longest, **sizes), generator(2))
model = model.to(device).double()


def token_losses(model: GPT, ids: Tensor, mask: Tensor) -> Tensor:
    """The loss of every token but the first, 0 at padding: (B, T) → (B, T − 1)."""
    targets = ids[:, 1:].masked_fill(~mask[:, 1:], -100)
    logits = model(ids[:, :-1]).flatten(0, 1)
    return F.cross_entropy(logits, targets.flatten(), reduction="none").view_as(targets)


def gradient(backward) -> Tensor:
    model.zero_grad()
    backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def loss_sum(model: GPT, part: tuple[Tensor, Tensor]) -> Tensor:
    return token_losses(model, *part).sum()


def loss_mean(model: GPT, part: tuple[Tensor, Tensor]) -> Tensor:
    return loss_sum(model, part) / part[1][:, 1:].sum()


ids, mask = pad_batch(sequences, pad=0)  # (16, T) each
agrees("pad_batch", "torch.nn.utils.rnn.pad_sequence", ids,
       torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True), atol=0)  # fmt: skip
targets = ids[:, 1:].masked_fill(~mask[:, 1:], -100).flatten()
whole = gradient(lambda: F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), targets).backward())

parts = [pad_batch(sequences[i : i + 3], pad=0) for i in range(0, 16, 3)]  # the last holds one
total = mask[:, 1:].sum()
ours = gradient(lambda: accumulate(model, parts, loss_sum, total))
agrees("accumulated", "autograd of torch.nn.functional.cross_entropy on the whole batch",
       ours, whole, atol=1e-12)  # fmt: skip

# %%
singles = [pad_batch([sequence], pad=0) for sequence in sequences]
for name, cut in {"six": parts, "sixteen": singles}.items():
    faulty = gradient(lambda cut=cut: accumulate(model, cut, loss_mean, len(cut)))
    error = (faulty - whole).norm() / whole.norm()
    print(f"mean of {name} means: the gradient is off by {error:.0%} of its length")
claim("mean_of_means", "mean of the means of single sequences: distance of its gradient from that of "
      "the whole batch, over the latter's length", error, at_least=0.2)  # fmt: skip

# %% [markdown]
# Both faulty gradients came from the same function, given means and the number of parts; nothing raised an error. `backward` stands
# inside the loop: whoever adds up the losses and calls it once gets the same gradient, but keeps every
# micro-batch's activations until then.
#
# ## The model answers "Yes." seven times in eight
#
# A gradient that is off could still be right on average. It is not. With one sequence $x$ of $|x|$ tokens
# per micro-batch, the loss is the mean of $-\log p(x)/|x|$. A model minimizes that if it fits data in which every $x$ occurs
# $1/|x|$ times as often. Let half of all replies be "Yes." with 2 tokens, and half have 14. A model of these data begins with "Yes" half of the time.
# Under the mean of means the share becomes $\frac12 / (\frac12 + \frac1{14}) = \frac78$, and the mean length of what the model
# writes falls from 8 tokens to the harmonic mean of the two lengths, $2/(\frac12 + \frac1{14}) = 3.5$.
#
# Small GPTs train on such replies; the long ones are random words. A batch holds 16 replies of each kind in random order. (Batches
# of unequal token counts, each divided by its own, would bring a little of the fault by themselves.) The first four runs see the same
# batches from the same first weights, and differ in the cut alone. (`fit` takes one loss per update, so here the parts share one graph.)
#
# Four more runs change the order. "8, sorted" sorts each batch before cutting it. "whole, sorted" cuts nothing, but each batch of 32 holds
# one kind; the batches are shuffled. "16 buckets" fills buckets up to 14 tokens, one long reply or seven short ones; an update
# divides the losses of 16 by their common count. "file order" is "whole, sorted" without the shuffle: short replies first.
# *Predicted* is what falls to short replies when every reply's first token has the weight $1/(K n_k)$.

# %%
# Try: long = 2. All replies have equally many tokens, every cut learns one half, and the
# thesis breaks. Or long = 20: with one reply per part, the share rises to 10 in 11.
short, long, half = 2, 14, 1280  # tokens in a reply of either kind, replies of either kind
END, YES, OTHERS = 0, 1, range(2, 10)

g = generator(3)
replies = [torch.tensor([END, YES, END])] * half  # every reply follows an END
for words in torch.randint(OTHERS.start, OTHERS.stop, (half, long - 1), generator=g):
    replies.append(F.pad(words, (1, 1), value=END))
ids, mask = (x.to(device) for x in pad_batch(replies, pad=END))  # the mask knows the real ENDs
counts = mask[:, 1:].sum(dim=1).cpu()  # (N,) tokens to predict

first, second = (k * half + torch.randperm(half, generator=g) for k in (0, 1))
by_length = torch.cat([first.view(-1, 16), second.view(-1, 16)], dim=1)  # (updates, 32)
mixed = by_length.gather(1, torch.rand(by_length.shape, generator=g).argsort(dim=1))
in_order = torch.cat([first, second]).view(-1, 32)  # one kind in each batch
grouped = in_order[torch.randperm(len(in_order), generator=g)]
buckets = bucket_batches(counts, long, generator=g)  # each one long reply, or seven short ones
balanced = [torch.cat(buckets[i : i + 16]) for i in range(0, len(buckets), 16)]
plans = {f"{32 // parts} per part": (mixed, parts) for parts in (32, 16, 4)}
plans |= {"whole batch": (mixed, 1), "8, sorted": (by_length, 4), "whole, sorted": (grouped, 1)}
plans |= {"16 buckets": (balanced, 1), "file order": (in_order, 1)}


def train(batches: Sequence[Tensor], parts: int) -> float:
    """Share of replies that begin with YES, after one pass over the batches."""

    def mean_of_means(model: GPT, rows: Tensor) -> Tensor:
        cells = token_losses(model, ids[rows], mask[rows]), mask[rows, 1:]  # (B, T) each
        sums, tokens = (x.unflatten(0, (parts, -1)).sum((1, 2)) for x in cells)  # (K,)
        return (sums / tokens).mean()

    config = GPTConfig(vocab_size=OTHERS.stop, context_length=long, **sizes)
    model, updates = GPT(config, generator(4)).to(device), len(batches)
    adam = Adam(model.parameters(), lr=0.01, betas=(0.9, 0.99))
    fit(model, batches, mean_of_means, optimizer=adam, num_steps=updates,
        schedule=cosine(updates))  # fmt: skip
    return model(torch.tensor([[END]], device=device))[0, 0].softmax(-1)[YES].item()


def predict(batches: Sequence[Tensor], parts: int) -> float:
    """The same share from the weights alone."""
    weight = torch.zeros(2 * half)  # of each reply's first token
    for rows in batches:
        tokens = counts[rows].view(parts, -1).sum(dim=1)  # (K,)
        weight[rows] = (1 / (parts * tokens)).repeat_interleave(len(rows) // parts)
    return (weight[:half].sum() / weight.sum()).item()


predicted = {name: predict(*plan) for name, plan in plans.items()}
learned = {name: train(*plan) for name, plan in plans.items()}
print("share of short replies  predicted   learned    (one half in the data)")
for name in plans:
    print(f"{name:<22}{predicted[name]:11.3f}{learned[name]:10.3f}")

# %% mystnb={"image": {"alt": "Share of short replies that a model gives, against the number of replies in a micro-batch, from 1 to 32. The data's share, one half, is a horizontal line. The predicted curve for means of micro-batches starts near seven eighths at 1 and falls towards one half at 32, and the trained models' dots lie close to it. Two more points, for replies sorted by length, lie high above the curve at 8 and at 32."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6.4, 4.2))
points = list(learned.values())
curve = {2**k: predict(mixed, 32 // 2**k) for k in range(6)}
ax.axhline(0.5, color="#777777", linestyle="--", linewidth=1, label="in the data")
ax.plot(curve.keys(), curve.values(), label="predicted, random order")
ax.plot([1, 2, 8, 32], points[:4], "o", color="C0", label="GPT, random order")
ax.plot([8, 32], points[4:6], "s", color="C1", label="GPT, sorted by length")
ax.set(title="Few or sorted replies per micro-batch: “Yes.” takes over", xscale="log")
ax.set(xlabel="replies in a micro-batch", ylabel="share of short replies", ylim=(0.45, 1.15))
ax.set(xticks=list(curve), xticklabels=list(curve), yticks=[0.5, 0.6, 0.7, 0.8, 0.9, 1])
ax.legend(loc="upper right", ncols=2)
plt.show()

# %%
claim("learns_short_replies", "share of short replies that a GPT gives: trained on the average of "
      "single replies' mean losses, minus trained on the mean loss of the same whole batches",
      learned["1 per part"] - learned["whole batch"], at_least=0.2, thesis=True)  # fmt: skip
claim("as_predicted", "random order: largest distance between the share of short replies that a GPT "
      "gives and the share predicted from the tokens' weights",
      max(abs(learned[name] - predicted[name]) for name in list(plans)[:4]), at_most=0.1)  # fmt: skip
claim("sorting_restores_it", "8 replies per micro-batch: share of short replies when each batch is "
      "sorted by length before it is cut, minus that in random order",
      learned["8, sorted"] - learned["8 per part"], at_least=0.12)  # fmt: skip
claim("without_accumulation", "whole batches of 32 replies of similar length: share of short replies "
      "that a GPT gives, minus that in batches of mixed length",
      learned["whole, sorted"] - learned["whole batch"], at_least=0.15)  # fmt: skip
claim("equal_budgets", "16 buckets of equal token counts per update: distance of the share of short "
      "replies from one half", abs(learned["16 buckets"] - 0.5), at_most=0.15)  # fmt: skip
claim("unshuffled", "share of short replies after mixed batches, minus that after all short replies before "
      "all long ones", learned["whole batch"] - learned["file order"], at_least=0.2)  # fmt: skip

# %% [markdown]
# The dots follow the curve. At 8 replies per part the fault has nearly faded, because random parts of 8 hold about equally many
# tokens. Sorting brings all of it back: in a part of one length, the mean over tokens is the mean of the replies' means. With
# sums over the total, every cut of these batches would give the row "whole batch".
#
# That remedy does not reach "whole, sorted", which never accumulates: a batch of 32 short replies has 64 tokens, one of long replies 448, and
# each makes one update from its own mean. Buckets with equal budgets of tokens, not of rows, take this bias out. One bucket per update would still
# pull to one side each time; 16 with a common divisor end near one half. In file order, the order wins over the weights: the model
# forgets the short replies while it learns the long ones.
#
# ## On the right, a causal model cannot see padding; on the left, it does
#
# In a causal model, a position reads itself and what stands before it. So padding on the right changes no real token's logits, and
# the loss leaves out its own. An encoder reads both sides, and needs a mask in attention as well.

# %%
alone = torch.cat(sequences)[None, :80]
filled = F.pad(alone, (0, 20))
with torch.no_grad():
    logits = model(alone)
    right = (model(filled)[:, :80] - logits).abs().max() / logits.std()
    left = (model(filled.roll(20, dims=1))[:, 20:] - logits).abs().max() / logits.std()
claim("right_padding", "20 padding tokens on the right: largest change of a real token's logits, over "
      "the logits' standard deviation", right, at_most=1e-12)  # fmt: skip
claim("left_padding", "20 unmasked padding tokens on the left: largest change of a real token's "
      "logits, over the logits' standard deviation", left, at_least=1)  # fmt: skip

# %% [markdown]
# On the left, padding does two things: real tokens attend to it, and their absolute positions shift. Generation in batches pads there all
# the same, since every row appends its new token at the right end. So it needs the attention mask, and positions that
# count from the first real token.
#
# ## Pools of 512 remove most of the padding and keep much of the shuffle
#
# Two thousand sequences with log-normal lengths, 25 tokens in the median, go into batches of at most 2,048 tokens with padding. Sorting
# all of them leaves little padding, but a batch then holds nearly the same sequences in every epoch. The compromise is to shuffle, sort
# within pools, cut, and shuffle the batches. In translation, {cite:t}`morishita2017empirical` find
# that sorting does not always beat plain shuffling.

# %%
show(bucket_batches)


# %%
def wasted(pool: int | None) -> float:
    """Share of padding."""
    batches = bucket_batches(lengths, 2048, pool=pool, generator=generator(5))
    slots = sum(len(rows) * int(lengths[rows].max()) for rows in batches)
    return 1 - lengths.sum().item() / slots


stream, _, _ = pack([[1] * n for n in lengths.tolist()], 128, end=0)  # (rows, 128)
tokens = lengths.sum().item() + len(lengths)  # every text gets an end token
dropped = 1 - stream.numel() / tokens
waste = {"random order": wasted(1), "sorted in pools of 512": wasted(512),
         "all sorted": wasted(None), "packed into rows of 128": dropped}  # fmt: skip

# %% mystnb={"image": {"alt": "Four bars, the share of positions that is wasted. Random order wastes by far the most, more than half. Sorting in pools of 512 wastes well under half of that, sorting everything a few percent, and packing into rows of 128 next to nothing."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6.4, 2.8))
ax.bar_label(ax.barh(list(waste), [100 * x for x in waste.values()]), fmt="%.1f %%", padding=3)
ax.set(title="Pools save most of the padding, packing all of it", xlabel="wasted positions (%)")
ax.set_xlim(0, 100)
ax.invert_yaxis()
plt.show()

# %%
claim("pools", "share of positions wasted in random order minus that in pools of 512",
      waste["random order"] - waste["sorted in pools of 512"], at_least=0.25)  # fmt: skip

# %% [markdown]
# `pack` joins all texts into one stream, an end token after each, and cuts it into rows. It drops only the tail, but texts are cut
# anywhere and share rows, so they need a document mask if they are not to read their neighbors. To put whole texts into rows is a bin-packing
# problem, which {cite:t}`krell2021efficient` solve almost without waste; in common data sets they find up to half of all tokens to be padding.
#
# An epoch is then a loop over a fresh `bucket_batches(…)`: for each update take several buckets, `pad_batch` each, and hand them to
# `accumulate` with the token count of all.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"I divide every micro-batch's loss by the number of micro-batches."** Right only if they hold equally many tokens. Hugging Face's trainer averaged
# means until October 2024; then its models [learned to divide](https://github.com/huggingface/transformers/pull/34191) by the tokens of all
# micro-batches. Later a factor was wrong: under 4.47.0 a user's loss
# [doubled](https://github.com/huggingface/transformers/pull/35438) with two micro-batches. Let one place divide, and test it with unequal lengths.
#
# **"I compared the curves with and without accumulation, and they agree."** They do if the texts were cut into blocks of one length, as in a
# [test of that fix](https://github.com/huggingface/transformers/pull/34191) on Wikitext: then all $n_k$ are equal.
#
# **"My pad token is the end token, so I mask by its id."** Transformers' language-modeling collator does it, by
# `labels[labels == pad_token_id] = -100`. But that also masks the true end of every text, so nothing teaches the model to stop. Build
# the mask from lengths, as `pad_batch` does.
#
# **"`Dataset.from_tensor_slices((x, y)).batch(32)` shows the model everything once per epoch."** In the order of the file, and in the same batches
# every time: a sorted file ends like the row "file order". Add `shuffle`. Pad texts first, or there is no tensor. And of 1,000
# examples the last batch gets 8, each with four times the weight of the others.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Eight GPUs with unequal token counts: what changes?
# `DistributedDataParallel` averages gradients over ranks, so if each rank divides by its own count, that is the mean of means again,
# as [two processes show](ddp_ring_zero). Sum the counts over ranks, divide every local sum by that total, and multiply by the number of
# ranks to undo the average.
# :::
#
# :::{dropdown} Which losses cannot simply be accumulated?
# Those in which rows meet. Batch norm takes its statistics per micro-batch. With in-batch negatives, a micro-batch of $m$ pairs offers each
# anchor $m - 1$ negatives instead of $Km - 1$. A way out is to compute all embeddings without a graph, take the loss's gradient with respect to
# them, and backpropagate that part by part {cite:p}`gao2021scaling`.
# :::
#
# :::{dropdown} Where do clipping, the schedule and dropout belong?
# Clip once, after the last micro-batch: the norm is that of the whole gradient. The optimizer and its schedule step once per update.
# Dropout draws new masks in each forward pass: the same distribution, other numbers.
# :::
#
# :::{dropdown} Should I accumulate up to the largest batch I can wait for?
# The variance of the mean falls as $1/B$, but once noise is small beside the gradient, a larger batch takes almost the same step for more
# work. The [gradient noise scale](sgd_noise) estimates where {cite:p}`mccandlish2018empirical`. On one device, micro-batches run
# one after the other, so accumulation saves memory and no time.
# :::
#
# :::{dropdown} Is a mean per sequence ever what you want?
# Yes, if each example should count the same; then write it into the loss, and the cut no longer matters. In reinforcement learning,
# GRPO divides each response's loss by its length, which {cite:t}`liu2025understanding` blame for ever longer wrong answers; {cite:t}`yu2025dapo` divide by the
# tokens of the whole group.
# :::
#
# :::{dropdown} How does serving avoid padding?
# By continuous batching: after each step of generation, finished sequences leave the batch and waiting ones enter {cite:p}`yu2022orca`.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} accumulated_loss
# ```

# %%
import torch


def accumulated_loss(losses: list[torch.Tensor], masks: list[torch.Tensor]) -> torch.Tensor:
    """The mean loss of all tokens that count, over all micro-batches.

    losses: K tensors (B_k, T_k), the tokens' losses.
    masks: K boolean tensors (B_k, T_k), True = counts.
    Returns a tensor of shape (), in the dtype of the losses.
    """
    raise NotImplementedError


check("accumulated_loss", accumulated_loss)

# %% [markdown]
# ```{solution} accumulated_loss
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`ott2018scaling`: large batches by accumulation. Hugging Face on the fault and its fix: [blog, 2024](https://huggingface.co/blog/gradient_accumulation).
# - {cite:t}`morishita2017empirical`: orders and buckets compared. {cite:t}`krell2021efficient`: packing without cross-contamination.
# - {cite:t}`gao2021scaling`: contrastive losses in parts. {cite:t}`mccandlish2018empirical`: the useful batch size.
# - {cite:t}`liu2025understanding`, {cite:t}`yu2025dapo`: the same divisor in reinforcement learning. {cite:t}`yu2022orca`: continuous batching.
