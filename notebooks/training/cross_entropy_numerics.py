# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 3
#     level: 2
#     needs: []
#     question_zh: 语言模型中的损失函数是什么？
#     short: Cross-entropy
#     source: L27
#     tasks:
#     - cross_entropy
# ---

# %% [markdown]
# # Implement cross-entropy from logits. When would the loss start at log V and never fall by a full nat?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Cross-entropy is minus the log-probability that the model gave the right token, averaged over real tokens: labels
# shifted by one, padding left out. From logits it is log-sum-exp minus the target's logit, with the largest logit
# subtracted first. The gradient is probabilities minus one-hot. Hand it probabilities and nothing crashes, but the
# loss never falls a full nat below log V, however good the model: it has become the error rate plus a constant.
#
# :::{dropdown} The two-minute answer
# Logits $z$ have shape $(N, V)$, with $N = B \cdot T$ positions and $V$ tokens, targets $y$ have shape $(N,)$, and $M$
# of the positions count: $L = \frac1M \sum_{i \text{ counts}} \big(\log \sum_v e^{z_{iv}} - z_{i y_i}\big)$. It starts
# near $\log V$ and ends, at best, at the entropy of the text, not at zero. $e^L$ is the perplexity, $L / \log 2$ the bits
# per token.
#
# The gradient of a row is $(p - y)/M$ with $p = \mathrm{softmax}(z)$ and $y$ one-hot: it sums to zero, no entry exceeds
# $1/M$, and a token that was badly wrong gets the full $1/M$. An epsilon inside the logarithm takes exactly that away.
#
# With a softmax in front, the loss sees numbers between 0 and 1 in place of logits, and its own softmax cannot push them
# far apart. The least it can show is $\log(1 + (V-1)/e)$. The best a model can then do is to put everything on the likeliest
# token, wherever that leads the next by more than $(e-1)/(e+V-1)$: guesses stay good, probabilities are ruined.
#
# At a large vocabulary the logits are often the largest tensor of a training step. Computed in chunks, and once more in
# the backward pass, they never exist all at once.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: minus the log-probability of the right token, averaged; token $t$ is scored against the logits at $t - 1$.
# - Junior: subtracts each row's maximum, and works with logits, never with the log of a softmax.
# - Mid: derives the gradient $p - y$.
# - Mid: says what the mean is divided by when some positions are padding, and what happens if all are.
# - Mid: knows what an untrained model should score: $\log V$.
# - Senior: diagnoses a wrong loss from its curve: too low, zero, or stuck below $\log V$.
# - Senior: derives the floor of a second softmax and says what such a model learns.
# - Senior: knows that the logits dominate memory, and why a loop over chunks alone does not help.

# %%
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.measure import LargestTensor
from lmprep.notebook import generator, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.losses import ChunkedLoss, chunked_cross_entropy, cross_entropy, logsumexp

device = setup()

# %% [markdown]
# ## Four runs of one model, and only one curve tells the truth
#
# A colleague shows you four training curves. The text is the same, English sentences padded to one length, and so is the
# model, the smallest language model there is: a table with a row of $V$ logits for each character, its prediction of
# what follows. It starts at zero, so the first loss is $\log V$. The runs differ in one line, the one that computes the
# loss.

# %%
# Try: longest = 200. More padding comes in, and the loss that counts it
# sinks further; the model gets no better. Or gain = 20.0, a factor on the
# probabilities. Now they can differ by 20 instead of 1: the floor drops to
# nearly 0, and the thesis breaks.
longest = 96  # characters a sentence may have
gain = 1.0  # factor on what the first softmax hands to the second
steps, batch_size, learning_rate = 150, 16, 0.1

corpus = english_text()
train_text, test_text = (normalize_text(" ".join(corpus[s]["text"])) for s in ("train", "test"))
vocabulary = CharVocabulary.from_text(train_text + test_text)
PAD, V = len(vocabulary), len(vocabulary) + 1


def padded(text: str) -> Tensor:
    """Its sentences as ids (N, T), filled up with PAD."""
    sentences = [s for s in text.split(". ") if 16 <= len(s) <= longest]
    rows = [torch.tensor(vocabulary.encode(s)) for s in sentences]
    return pad_sequence(rows, batch_first=True, padding_value=PAD).to(device)


train_ids, held_out = padded(train_text), padded(test_text)


# %%
def mean_loss(logits: Tensor, targets: Tensor, ignore_index: int = PAD) -> Tensor:
    """From logits (B, T, V) and targets (B, T)."""
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=ignore_index)


losses = {  # of a model m and ids x (B, T); position t predicts token t + 1
    "honest": lambda m, x: mean_loss(m(x[:, :-1]), x[:, 1:]),
    "softmax twice": lambda m, x: mean_loss(gain * m(x[:, :-1]).softmax(-1), x[:, 1:]),
    "padding counted": lambda m, x: mean_loss(m(x[:, :-1]), x[:, 1:], -100),
    "not shifted": lambda m, x: mean_loss(m(x), x),
}


def train(loss) -> tuple[nn.Module, list[float]]:
    """A trained table, and the loss that was reported at each step."""
    model = nn.Embedding.from_pretrained(torch.zeros(V, V, device=device), freeze=False)
    draws = torch.randint(len(train_ids), (steps, batch_size), generator=generator(1))
    adam = torch.optim.Adam(model.parameters(), lr=learning_rate)
    run = fit(model, lambda k: train_ids[draws[k]], loss, optimizer=adam, num_steps=steps)
    return model, [record.train_loss for record in run.records]


models, curves, reported, true, right = {}, {}, {}, {}, {}
print("held out         its own loss   honest loss   right guesses")
for name, loss in losses.items():
    models[name], curves[name] = train(loss)
    with torch.no_grad():
        reported[name] = loss(models[name], held_out).item()
        true[name] = losses["honest"](models[name], held_out).item()
        hits = models[name](held_out[:, :-1]).argmax(-1) == held_out[:, 1:]
    right[name] = hits[held_out[:, 1:] != PAD].double().mean().item()
    print(f"{name:<16}{reported[name]:13.2f}{true[name]:14.2f}{right[name]:16.1%}")

# %% mystnb={"image": {"alt": "Left: four training curves that start at log V. The honest one falls steadily; the one that counts padding lies below it; the unshifted one drops to zero; the one with two softmaxes stays inside a band of one nat under log V. Right: bars of the next character's probability after t. The honest model spreads them over several characters; the model trained through two softmaxes puts everything on one."}}
log_v, floor = math.log(V), math.log(1 + (V - 1) * math.exp(-gain))
fig, (left, bars) = plt.subplots(1, 2, figsize=(7.6, 3.4), width_ratios=[8, 5])
left.axhspan(floor, log_v, color="#f3e3d6", zorder=0)
for level, name in ((log_v, "log V"), (floor, "floor of a second softmax")):
    left.text(steps / 2, level + 0.08, name, fontsize=8, color="#666666", ha="center")
for name, curve in curves.items():
    left.plot(curve, label=name, linewidth=1.4)
left.set(title="One model, four losses, one of them true", xlim=(0, 1.5 * steps))
left.set(xlabel="step", ylabel="reported loss (nats)", ylim=(-0.1, log_v + 0.5))
left.set_xticks(range(0, steps + 1, steps // 3))
label_lines(left)

after_t = torch.tensor(vocabulary.encode("t"), device=device)
top = models["honest"](after_t)[0].topk(6).indices.cpu()
for shift, name in ((-0.2, "honest"), (0.2, "softmax twice")):
    p = models[name](after_t)[0].detach().softmax(-1).cpu()  # (V,)
    bars.bar(torch.arange(6) + shift, 100 * p[top], 0.4, label=name)
bars.set(title="After “t”: six answers or one", xlabel="next character")
bars.set_ylabel("probability (%)")
bars.set_xticks(range(6), ["space" if c == " " else c for c in vocabulary.decode(top)])
bars.legend()
plt.show()

# %%
claim("within_a_nat", "trained through two softmaxes: how far below log V the loss ever gets",
      log_v - min(curves["softmax twice"]), below=1.0, unit="nats", thesis=True)  # fmt: skip
claim("error_rate_in_disguise", "through two softmaxes: held-out loss minus floor, against the error rate",
      abs(reported["softmax twice"] - floor - (1 - right["softmax twice"])), at_most=0.02)  # fmt: skip
claim("guesses_survive", "share of right guesses that a second softmax loses",
      right["honest"] - right["softmax twice"], at_most=0.03)  # fmt: skip
claim("worse_than_uniform", "honest loss after training through two softmaxes, or unshifted, minus log V: the smaller",
      min(true["softmax twice"], true["not shifted"]) - log_v, at_least=0.6, unit="nats")  # fmt: skip
claim("padding_flatters", "reported loss that vanishes when padding is counted",
      reported["honest"] - reported["padding counted"], at_least=0.3, unit="nats")  # fmt: skip
claim("padding_teaches_nothing", "honest loss that vanishes when padding is counted",
      true["honest"] - true["padding counted"], at_most=0.1, unit="nats")  # fmt: skip

# %% [markdown]
# By the first column, the winner is the run that copies its input. By the last, two softmaxes look harmless: as many
# right guesses as the honest run. Only the middle column shows that its probabilities are worse than no model at all,
# and a language model is used by sampling from its probabilities.
#
# ## One nat is all that two softmaxes can tell apart
#
# Let $p$ be what the first softmax hands over: $V$ numbers between 0 and 1. The second one computes
#
# $$
# \begin{aligned}
# L = -\log \frac{e^{p_y}}{\sum_j e^{p_j}} &= \log \Big( 1 + \sum_{j \ne y} e^{p_j - p_y} \Big) \\
# &\ge \log\Big(1 + \frac{V - 1}{e}\Big) = \log(V - 1 + e) - 1 > \log V - 1 ,
# \end{aligned}
# $$
#
# because no difference $p_j - p_y$ is below $-1$. Equality needs $p_y = 1$: a perfect model. Put all mass on one token, and
# the loss is the floor where that token is right and the floor plus one where it is wrong. So its mean is the
# floor plus the error rate, which is what the second claim measures. Nor is there a reason to spread the mass: to first
# order the loss is a constant minus $p_y$, the linear score, which is not proper {cite:p}`gneiting2007strictly`. Whoever
# states their true uncertainty scores worse than whoever pretends to be sure.

# %%
for n in (10, 100, 50_257):
    print(f"V = {n:>6,}:  log V {math.log(n):7.4f}   floor {math.log(n - 1 + math.e) - 1:7.4f}")
theirs = F.cross_entropy(torch.eye(V).double(), torch.arange(V))  # all mass on the target
agrees("floor", "torch.nn.functional.cross_entropy of a perfect model's probabilities",
       math.log(1 + (V - 1) / math.e), theirs, atol=1e-12)  # fmt: skip

# %% [markdown]
# ## A softmax forgets the tokens that went most wrong
#
# Why do losses want logits in the first place? Take two classes, and let the wrong one lead by a gap. The loss is the
# gap, almost exactly. In float32 $e^{89}$ is infinite, and a probability below $10^{-45}$ is zero. The common patch is a
# small number inside the logarithm.

# %%
print("gap     exp/sum   log(p + 1e-9)   its gradient   from logits   its gradient")
for gap in (10.0, 20.0, 50.0, 200.0):
    z = torch.tensor([[gap, 0.0]], requires_grad=True)
    naive = -torch.log(z.exp()[0, 1] / z.exp().sum())
    patched = -torch.log(z.softmax(dim=-1)[0, 1] + 1e-9)
    stable = cross_entropy(z, torch.tensor([1]))
    slope, expected = (torch.autograd.grad(x, z)[0][0, 1].item() for x in (patched, stable))
    print(f"{gap:3.0f}{naive:12.2f}{patched:16.2f}{slope:15.2f}{stable:14.2f}{expected:15.2f}")

# %%
claim("epsilon_starves", "at a gap of 200: gradient of log(p + 1e-9) relative to that of the loss itself",
      slope / expected, at_most=0.01)  # fmt: skip

# %% [markdown]
# The patch caps the loss at $-\log \varepsilon$, and past the cap there is no slope: the tokens that the model got most
# wrong stop teaching it. From logits nothing is lost, because the softmax never exists.

# %%
show(logsumexp, cross_entropy)

# %%
g = generator(2)
z = 10 * torch.randn(64, 100, dtype=torch.float64, generator=g)
y = torch.randint(100, (64,), generator=g)
y[::4] = -100  # every fourth row does not count
theirs = F.cross_entropy(z, y, label_smoothing=0.1)
agrees("cross_entropy", "torch.nn.functional.cross_entropy with ignored rows and smoothing",
       cross_entropy(z, y, label_smoothing=0.1), theirs, atol=1e-12)  # fmt: skip
agrees("logsumexp", "torch.logsumexp, logits in the tens of thousands",
       logsumexp(1000 * z), torch.logsumexp(1000 * z, dim=-1), atol=0, rtol=1e-15)  # fmt: skip
y[:] = -100
print(f"no row counts: {cross_entropy(z, y):.1f} here, {F.cross_entropy(z, y):.1f} in PyTorch")

# %% [markdown]
# ## With p − y in hand, the logits need not be kept
#
# For one row, $\partial L/\partial z_k = e^{z_k} / \sum_j e^{z_j} - [k = y] = p_k - y_k$. It needs nothing but the row's
# logits, which is worth money: eight sequences of 4,096 tokens over a vocabulary of 128,256 make 16.8 GB of float32
# logits. They can be computed a chunk of rows at a time. But write that as a loop, and autograd keeps every chunk for the
# backward pass. So this function has a backward pass of its own, which computes each chunk again and turns it
# into $p - y$ on the spot. Fused kernels go further and do not even write the chunk to memory {cite:p}`wijmans2025cut`.

# %%
show(chunked_cross_entropy, ChunkedLoss)

# %%
N, D, chunk, tokens = 1024, 32, 64, 4096
g = generator(3)
y = torch.randint(tokens, (N,), generator=g)
leaves = [torch.randn(n, D, dtype=torch.float64, generator=g) / D**0.5 for n in (N, tokens)]


def looped(hidden: Tensor, weight: Tensor) -> Tensor:
    parts = zip(hidden.split(chunk), y.split(chunk), strict=True)
    return sum(cross_entropy(h @ weight.T, t, reduction="sum") for h, t in parts) / N


def measured(loss) -> tuple[Tensor, int, int]:
    """Gradients, elements of the largest tensor, elements kept for the backward pass."""
    hidden, weight = (leaf.clone().requires_grad_() for leaf in leaves)
    sizes = []
    note = torch.autograd.graph.saved_tensors_hooks(
        lambda x: sizes.append(x.numel()) or x, lambda x: x
    )
    with LargestTensor() as largest, note:
        gradients = torch.autograd.grad(loss(hidden, weight), (hidden, weight))
    return torch.cat(gradients), largest.elements, sum(sizes)


theirs, whole, all_kept = measured(lambda h, w: F.cross_entropy(h @ w.T, y))
_, _, loop_kept = measured(looped)
ours, chunked, few_kept = measured(lambda h, w: chunked_cross_entropy(h, w, y, chunk=chunk))
agrees("gradient", "autograd of torch.nn.functional.cross_entropy", ours, theirs, atol=1e-12)
claim("smaller_peak", "largest tensor: all logits against chunks of 64 rows",
      whole / chunked, at_least=8, unit="×")  # fmt: skip
claim("a_loop_keeps_all", "kept for the backward pass: a plain loop over chunks against all logits at once",
      loop_kept / all_kept, at_least=0.8, unit="×")  # fmt: skip
claim("ours_keeps_little", "kept for the backward pass: chunked_cross_entropy against all logits at once",
      few_kept / all_kept, at_most=0.1, unit="×")  # fmt: skip

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"The lower the loss, the better the model."** Ask: *averaged over which positions, against which labels?* Two of the
# four runs report less than the honest one; one has learned to copy, the other that padding follows padding. Losses compare
# only on the same held-out tokens. Across tokenizers, not even then.
#
# **"My model ends in a softmax, because cross-entropy compares probabilities."** Ask: *what loss does a perfect model
# get?* With PyTorch's function, or Keras's `from_logits=True` where it does not notice, the floor. Keras's default wants
# probabilities, clips them and takes the logarithm. Hand over logits and say so.
#
# **"I add 1e-9 inside the log, so it is stable."** Ask: *what gradient does a token with probability 1e-20 get?* Practically
# none. It no longer crashes, which is worse than crashing.
#
# **"To accumulate gradients, I average the losses of the micro-batches."** Ask: *what if one of them is mostly padding?*
# Its few tokens weigh as much as the other's many. Add up sums and divide once, by the number of tokens in all of them.
# Hugging Face's trainer got this wrong until October 2024.

# %% tags=["errors"]
two = held_out[:2].clone()
two[0, 12:] = PAD  # the first has few tokens left
once, first, second = (losses["honest"](models["honest"], x) for x in (two, two[:1], two[1:]))
print(f"{once:.4f} at once, {(first + second) / 2:.4f} as a mean of means")

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Your first loss is 30, with V = 50,257. What do you check?
# A model that knows nothing should score $\log V$, here a little under 11. Far above it, the initial logits are too large: look at the
# scale of the head's weights. Far below, the answer leaks in: an unshifted label or a missing causal mask.
# :::
#
# :::{dropdown} Where is the minimum with label smoothing?
# At the entropy of the smoothed target, which is above zero {cite:p}`szegedy2016rethinking`. So a smoothed training loss
# must not be exponentiated into a perplexity, nor compared with an unsmoothed one.
# :::
#
# :::{dropdown} What is z-loss for?
# Adding a constant to all logits changes no loss, so nothing keeps them from drifting to where bfloat16 is coarse. PaLM
# adds $10^{-4} \log^2 Z$, with $Z = \sum_j e^{z_j}$, which pulls the normalizer back to one {cite:p}`chowdhery2023palm`.
# :::
#
# :::{dropdown} Why is the loss computed in float32 when the model runs in bfloat16?
# Between 16 and 32 bfloat16 has steps of 0.125, and a sum of a hundred thousand exponentials loses its small terms.
# Casting the logits up costs memory, which is one more reason to fuse or chunk.
# :::
#
# :::{dropdown} Why not the squared error between probabilities and one-hot?
# Its gradient with respect to the target's logit has a factor $p_y$, so a confident mistake gets almost none: the flat
# region of the patched logarithm again. Cross-entropy is also the likelihood of the data, which makes it add up to a code length.
# :::
#
# :::{dropdown} Is a bounded loss ever wanted?
# With wrong labels, yes: one of them cannot dominate. To first order the loss behind two softmaxes is $1 - p_y$ plus a constant,
# the mean absolute error, which tolerates label noise but trains poorly on hard tasks; generalized cross-entropy lies in
# between {cite:p}`zhang2018generalized`.
# :::
#
# :::{dropdown} Which tokens count in instruction tuning?
# Usually the answer's; the prompt gets the ignored target −100. Divide by the answer tokens of the whole batch, on all
# devices. If every sequence was cut off before its answer there are none, and PyTorch's mean is 0/0.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} cross_entropy
# ```

# %%
import torch


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, ignore_index: int = -100
) -> torch.Tensor:
    """Mean of −log softmax(logits)[target] over the rows that count.

    logits: (N, V), float32 or float64.
    targets: (N,), long: 0 to V − 1, or ignore_index: does not count.
    Returns a tensor of shape (), in the dtype of logits.
    """
    raise NotImplementedError


check("cross_entropy", cross_entropy)

# %% [markdown]
# ```{solution} cross_entropy
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`bridle1990probabilistic`: the softmax, and the likelihood as its training criterion.
# - {cite:t}`gneiting2007strictly`: proper scoring rules, the logarithmic one among them.
# - {cite:t}`szegedy2016rethinking`: label smoothing. {cite:t}`chowdhery2023palm`: z-loss.
# - {cite:t}`zhang2018generalized`: between cross-entropy and mean absolute error.
# - {cite:t}`wijmans2025cut`: cross-entropy without logits in memory.
