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
# # Implement cross-entropy from logits. Why might even a perfect model stay within a nat of log V?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Cross-entropy is minus the log-probability that the model gave the right token, averaged over real tokens: labels
# shifted by one, padding left out. From logits it is log-sum-exp minus the target's logit, with the largest logit
# subtracted first; the gradient is probabilities minus one-hot. Hand the loss probabilities and it softmaxes them again:
# nothing crashes, but even a perfect model stays within a nat of log V. Up to a constant, it now scores one minus the
# right token's probability, which rewards bluffing.
#
# :::{dropdown} The two-minute answer
# Logits $z$ have shape $(N, V)$, with $N = B \cdot T$ positions and $V$ tokens, targets $y$ have shape $(N,)$, and $M$
# of the positions count: $L = \frac1M \sum_{i \text{ counts}} \big(\log \sum_v e^{z_{iv}} - z_{i y_i}\big)$. It starts
# near $\log V$ and ends, on unseen text and at best, at the entropy of the text, not at zero. $e^L$ is the perplexity,
# $L / \log 2$ the bits per token; the bits of all tokens over the bytes of the text are the bits per byte.
#
# Minimizing it is maximum likelihood. It equals the entropy of the data plus the KL divergence of the model from the data,
# and the entropy is not the model's to change.
#
# The gradient of a row is $(p - \mathbf 1_y)/M$ with $p = \mathrm{softmax}(z)$ and $\mathbf 1_y$ one-hot: it sums to zero, no
# entry exceeds $1/M$, and a token that was badly wrong gets the full $1/M$. An epsilon inside the logarithm takes exactly
# that away.
#
# With a softmax in front, the loss sees numbers between 0 and 1 in place of logits, and cannot fall below
# $\log(1 + (V-1)/e)$. The best a model can do is to put everything on the likeliest token; once it has, the loss is
# that floor plus the error rate.
#
# At a large vocabulary the logits are often the largest tensor of a training step. Compute them in chunks, and each chunk
# again in the backward pass.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: minus the log-probability of the right token, averaged; token $t$ is scored against the logits at $t - 1$.
# - Junior: subtracts each row's maximum, says why that is exact, and works with logits, never with the log of a softmax.
# - Mid: derives the gradient $p - \mathbf 1_y$.
# - Mid: says what the mean is divided by when some positions are padding, and what happens if all are.
# - Mid: knows what an untrained model should score, $\log V$, and why maximum likelihood and KL lead to the same loss.
# - Senior: diagnoses a wrong loss from its curve: too low, zero, or stuck below $\log V$.
# - Senior: derives the floor of a second softmax and says what such a model learns.
# - Senior: knows that the logits dominate memory, and why a loop over chunks alone does not help.

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.measure import KeptForBackward, LargestTensor
from lmprep.notebook import generator, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.losses import ChunkedLoss, chunked_cross_entropy, cross_entropy, logsumexp
from lmprep.training.optim import Adam

device = setup()

# %% [markdown]
# ## Four runs of one model, and only one curve tells the truth
#
# A colleague shows you four training curves. The text is the same, English sentences padded to one length, and so is the
# model, the smallest language model there is: a table with a row of $V$ logits for each character, its prediction of
# what follows. It starts at zero, so the first loss is $\log V$. The runs differ in one line, the one that computes the
# loss. A fifth run has a text on which a model can be perfect: the characters in a fixed order, over and over.

# %%
# Try: longest = 200. More padding comes in, and the loss that counts it sinks further; the
# model gets no better. Or gain = 2.0, a factor on the probabilities: they can differ by 2
# instead of 1, the perfect model falls by nearly two nats, and the thesis breaks.
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
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD).to(device)


train_ids, held_out = padded(train_text), padded(test_text)
recited = (torch.arange(PAD + 1, device=device) % PAD)[None]  # each character has one successor


# %%
def mean_loss(logits: Tensor, targets: Tensor, ignore_index: int = PAD) -> Tensor:
    # logits (B, T, V), targets (B, T)
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=ignore_index)


losses = {  # of ids x (B, T + 1) and the logits z (B, T, V) after all but the last
    "honest": lambda z, x: mean_loss(z, x[:, 1:]),
    "softmax twice": lambda z, x: mean_loss(gain * z.softmax(-1), x[:, 1:]),
    "padding counted": lambda z, x: mean_loss(z, x[:, 1:], -100),
    "not shifted": lambda z, x: mean_loss(z, x[:, :-1]),
}


def train(loss, text: Tensor) -> tuple[list[Tensor], list[float]]:
    """The table (V, V) before each step and after the last, and the loss reported at each."""
    model = nn.Embedding.from_pretrained(torch.zeros(V, V, device=device), freeze=False)
    draws = torch.randint(len(text), (steps, batch_size), generator=generator(1))
    tables = []

    def batch(step: int) -> Tensor:
        tables.append(model.weight.detach().clone())
        return text[draws[step]]

    adam = Adam(model.parameters(), lr=learning_rate)
    run = fit(model, batch, lambda m, x: loss(m(x[:, :-1]), x), optimizer=adam, num_steps=steps)
    return [*tables, model.weight.detach()], [record.train_loss for record in run.records]


def scores(table: Tensor, loss, x: Tensor) -> tuple[float, float, float, float]:
    """Its own loss, the honest one, the share of right guesses and the mean of p_y."""
    z, y, counts = table[x[:, :-1]], x[:, 1:], x[:, 1:] != PAD
    p_y = z.softmax(-1).gather(-1, y[..., None])[..., 0][counts].mean()
    right = (z.argmax(-1) == y)[counts].double().mean()
    return tuple(a.item() for a in (loss(z, x), losses["honest"](z, x), right, p_y))


PERFECT = "softmax twice, perfect model"
tables, curves, own, true, right = {}, {}, {}, {}, {}
print("on held-out text             its own loss   honest loss   right guesses")
for name in (*losses, PERFECT):
    loss = losses.get(name, losses["softmax twice"])
    text, unseen = (recited, recited) if name == PERFECT else (train_ids, held_out)
    tables[name], curves[name] = train(loss, text)
    own[name], true[name], right[name], _ = scores(tables[name][-1], loss, unseen)
    print(f"{name:<28}{own[name]:13.2f}{true[name]:14.2f}{right[name]:16.1%}")

log_v, floor = math.log(V), math.log(1 + (V - 1) * math.exp(-gain))
watched = [scores(t, losses["softmax twice"], held_out[:64]) for t in tables["softmax twice"]]
off = max(abs(loss - floor - (1 - p_y)) for loss, _, _, p_y in watched)

# %% mystnb={"image": {"alt": "Loss against step for five runs that start at log V. Through two softmaxes, the English run ends a little below log V, and the recited text falls to the floor, one nat below log V, and stays there. The English run's honest loss, dashed, first dips and then rises above log V. The honest run flattens between two and three nats, the run that counts padding below it, and the unshifted run at zero."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(7.2, 4.2))
ax.axhspan(floor, log_v, color="#f3e3d6", zorder=0)
for level, name in ((log_v + 0.06, "log V"), (floor - 0.2, "floor")):
    ax.text(steps, level, name, fontsize=8, color="#666666", ha="right")
curves["softmax twice, honestly scored"] = [honest for _, honest, _, _ in watched[:-1]]
for name, curve in curves.items():
    ax.plot(curve, "C1--" if "honestly" in name else "-", label=name, linewidth=1.4)
ax.set(title="Through two softmaxes even a perfect model stays within a nat", xlim=(0, steps))
ax.set(xlabel="step", ylabel="loss (nats)", ylim=(-0.1, log_v + 2))
label_lines(ax)
plt.show()

# %%
claim("within_a_nat", "a perfect model behind two softmaxes: fall of its loss below log V",
      log_v - min(curves[PERFECT]), at_least=0.9, below=1.0, unit="nats", thesis=True)  # fmt: skip
claim("perfect_guesses", "perfect model: right guesses", right[PERFECT], at_least=0.99)
claim("perfect_loss", "perfect model: honest loss", true[PERFECT], at_most=0.1, unit="nats")
claim("linear_score", "two softmaxes: V · |loss − floor − (1 − p_y)|, largest over all steps",
      V * off, at_most=math.e - 2)  # fmt: skip
claim("guesses_survive", "share of right guesses that a second softmax loses",
      right["honest"] - right["softmax twice"], at_most=0.03)  # fmt: skip
claim("worse_than_uniform", "in the end, honest loss behind two softmaxes minus log V",
      true["softmax twice"] - log_v, at_least=0.6, unit="nats")  # fmt: skip
claim("padding_flatters", "loss that vanishes when padding is counted",
      own["honest"] - own["padding counted"], at_least=0.3, unit="nats")  # fmt: skip
claim("padding_teaches_nothing", "honest loss that vanishes when padding is counted",
      true["honest"] - true["padding counted"], at_most=0.1, unit="nats")  # fmt: skip

# %% [markdown]
# On English, by the first column, the winner is the run that copies its input. By the last, two softmaxes look harmless: as
# many right guesses as the honest run. The middle column, and the dashed line, show that by the end its probabilities are worse than
# no model at all, and longer training makes them worse: nothing stops the logits from growing. A language model is used by
# sampling from its probabilities.
#
# ## One nat is all that two softmaxes can tell apart
#
# Let $p$ be what the first softmax hands over: $V$ numbers between 0 and 1. The second one computes, for one row,
#
# $$
# \begin{aligned}
# \ell = -\log \frac{e^{p_y}}{\sum_j e^{p_j}} &= \log \Big( 1 + \sum_{j \ne y} e^{p_j - p_y} \Big) \\
# &\ge \log\Big(1 + \frac{V - 1}{e}\Big) = \log(V - 1 + e) - 1 > \log V - 1 ,
# \end{aligned}
# $$
#
# because no difference $p_j - p_y$ is below $-1$. Equality needs $p_y = 1$: a perfect model. And the sum hardly depends
# on $p$: $\log \sum_j e^{p_j}$ lies between $\log V + 1/V$ (all equal) and $\log(V - 1 + e) < \log V + (e-1)/V$
# (one-hot). So $\ell$ is the floor plus $1 - p_y$, to within $(e-2)/V$, for any model at any step: the linear score. A
# proper score is best, on average, for whoever states the true probabilities. The linear score is not proper
# {cite:p}`gneiting2007strictly`: unless two tokens nearly tie, whoever pretends to be sure scores better.

# %%
for n in (10, 100, 50_257):
    print(f"V = {n:>6,}:  log V {math.log(n):7.4f}   floor {math.log(n - 1 + math.e) - 1:7.4f}")
agrees("floor", "torch.nn.functional.cross_entropy of a perfect model's probabilities",
       math.log(1 + (V - 1) / math.e),
       F.cross_entropy(torch.eye(V).double(), torch.arange(V)), atol=1e-12)  # fmt: skip

# %% [markdown]
# ## A softmax forgets the tokens that went most wrong
#
# Why do losses want logits in the first place? Take two classes, and let the wrong one lead by a gap. The loss is the
# gap, almost exactly. In float32 $e^{89}$ is infinite, and a probability below $10^{-46}$ is zero. The common patch is a
# small number inside the logarithm.

# %%
print("wrong right  exp/sum   log(p + 1e-9)   its gradient   from logits   its gradient")
for wrong, good in ((0, 200), (10, 0), (20, 0), (50, 0), (200, 0)):
    z = torch.tensor([[wrong, good]], dtype=torch.float32, requires_grad=True)
    naive = -torch.log(z.exp()[0, 1] / z.exp().sum())
    patched = -torch.log(z.softmax(dim=-1)[0, 1] + 1e-9)
    stable = cross_entropy(z, torch.tensor([1]))
    slope, expected = (torch.autograd.grad(x, z)[0][0, 1].item() for x in (patched, stable))
    print(
        f"{wrong:5}{good:6}{naive:9.2f}{patched:16.2f}{slope:15.2f}{stable:14.2f}{expected:15.2f}"
    )

# %%
claim("epsilon_starves", "at a gap of 200: gradient of log(p + 1e-9) over that of the loss itself",
      slope / expected, at_most=0.01)  # fmt: skip

# %% [markdown]
# The patch caps the loss at $-\log \varepsilon$, and past the cap there is no slope: the tokens that the model got most
# wrong stop teaching it. From logits, pull the largest out: with $m = \max_j z_j$,
# $\log \sum_j e^{z_j} = m + \log \sum_j e^{z_j - m}$. No exponent is positive and one is exactly zero, so the sum lies between
# 1 and $V$; whatever underflows was negligible.

# %%
show(logsumexp, cross_entropy)

# %%
z = 10 * torch.randn(64, 100, dtype=torch.float64, generator=generator(2))
y = torch.randint(100, (64,), generator=generator(3))
y[::4] = -100  # every fourth row does not count
ours = cross_entropy(z.requires_grad_(), y, label_smoothing=0.1, z_loss=1e-4)
z_loss = 1e-4 * torch.logsumexp(z[y != -100], dim=1).square().mean()
theirs = F.cross_entropy(z, y, label_smoothing=0.1) + z_loss
found, wanted = (torch.cat([x[None], *torch.autograd.grad(x, z)[0]]) for x in (ours, theirs))
agrees("cross_entropy", "torch.nn.functional.cross_entropy plus z-loss: value and gradient",
       found, wanted, atol=1e-12)  # fmt: skip
z = torch.cat([z.detach(), 1000 * z.detach()])
agrees("logsumexp", "torch.logsumexp, logits in the tens and the tens of thousands",
       logsumexp(z), torch.logsumexp(z, dim=-1), atol=0, rtol=1e-15)  # fmt: skip
y[:] = -100
empty = cross_entropy(z[:64], y), F.cross_entropy(z[:64], y)
print("no row counts: {:.1f} here, {:.1f} in PyTorch".format(*empty))

# %% [markdown]
# ## 16.8 GB of logits, a chunk at a time
#
# Eight sequences of 4,096 tokens over a vocabulary of 128,256 make 16.8 GB of float32 logits. They can be computed a chunk of
# rows at a time, but autograd saves what each chunk's backward pass needs, so a plain loop keeps as much as before. The
# gradient of a row asks for less: $\partial \ell/\partial z_k = e^{z_k} / \sum_j e^{z_j} - [k = y] = p_k - [k = y]$, which follows
# from that row's logits alone. So this function has a backward pass of its own, which computes each chunk again and turns
# it into $p - \mathbf 1_y$ on the spot. `torch.utils.checkpoint` around each chunk does the same; [Liger Kernel](https://arxiv.org/abs/2410.10989)
# computes the gradient in the forward pass already; and fused kernels do not even write the chunk to memory
# {cite:p}`wijmans2025cut`.

# %%
show(chunked_cross_entropy, ChunkedLoss)

# %%
N, D, chunk, tokens = 1024, 32, 64, 4096
y = torch.randint(tokens, (N,), generator=generator(4))
rows = torch.randn(N + tokens, D, dtype=torch.float64, generator=generator(5)) / D**0.5


def looped(hidden: Tensor, weight: Tensor) -> Tensor:
    parts = zip(hidden.split(chunk), y.split(chunk), strict=True)
    return sum(F.cross_entropy(h @ weight.T, t, reduction="sum") for h, t in parts) / N


def measured(loss) -> tuple[Tensor, int, int]:
    """Gradients, elements of the largest tensor, bytes kept for the backward pass."""
    hidden, weight = (x.clone().requires_grad_() for x in rows.split([N, tokens]))
    with LargestTensor() as largest, KeptForBackward() as kept:
        gradients = torch.autograd.grad(loss(hidden, weight), (hidden, weight))
    return torch.cat(gradients), largest.elements, kept.bytes


theirs, whole, all_kept = measured(lambda h, w: F.cross_entropy(h @ w.T, y))
_, _, loop_kept = measured(looped)
ours, chunked, few_kept = measured(lambda h, w: chunked_cross_entropy(h, w, y, chunk=chunk))
agrees("gradient", "autograd of torch.nn.functional.cross_entropy", ours, theirs, atol=1e-12)
claim("smaller_peak", "largest tensor: all logits against chunks of 64 rows",
      whole / chunked, at_least=8, unit="×")  # fmt: skip
claim("a_loop_keeps_all", "plain loop over chunks: bytes kept, against all logits at once",
      loop_kept / all_kept, at_least=0.9, at_most=1.1, unit="×")  # fmt: skip
claim("ours_keeps_little", "chunked_cross_entropy: bytes kept, against all logits at once",
      few_kept / all_kept, at_most=0.1, unit="×")  # fmt: skip

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"The lower the loss, the better the model."** It depends on what is averaged. Count padding, and the model is
# praised for knowing that padding follows padding; forget the shift, and it learns to copy, at a loss near zero. Losses
# compare only on the same held-out text and the same tokenizer; across tokenizers, divide the summed nats by the number
# of bytes.
#
# **"My model ends in a softmax, because cross-entropy compares probabilities."** Then PyTorch's function, which has a softmax
# of its own, gives a perfect model $\log(1 + (V-1)/e)$, a nat below $\log V$. Keras's default does want probabilities: it
# clips them and takes the logarithm, unless its TensorFlow backend still finds the logits. Hand over logits and say so.
#
# **"I add 1e-9 inside the log, so it is stable."** It is finite, which is not the same. For a token with probability
# 1e-20 the epsilon is all that the logarithm sees, so its logit gets next to no gradient, and it is the token with the
# most to teach.
#
# **"To accumulate gradients, I average the losses of the micro-batches."** Let one of them be mostly padding: its few tokens
# weigh as much as the other's many. Add up sums and divide once, by the number of tokens in all of them. Hugging Face's
# trainer [shipped a fix](https://github.com/huggingface/transformers/pull/34191) in October 2024.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Your first loss is 30, with V = 50,257. What do you check?
# A model that knows nothing should score $\log V$, here a little under 11. Far above it, the initial logits are too large: a
# standard deviation of $\sigma$ adds about $\sigma^2/2$ nats while $\sigma$ is small, and 30 takes $\sigma$ near 7. The usual cause is
# a head tied to an embedding initialized with standard deviation 1. Far below at step 0: pretrained weights, or a mean
# that divides by positions that were never added. A missing shift or mask does not show at step 0; it shows as a fall
# that is too fast and too deep.
# :::
#
# :::{dropdown} The loss hardly moves. Second softmax, or dead optimizer?
# With two softmaxes accuracy can rise while the loss hardly falls. Or hand the loss 100 times the targets' one-hot in
# place of the model's output: a right loss is 0, one with a softmax of its own in front shows the floor. At the optimum,
# guesses stay good and probabilities are ruined. Getting there is another matter: the first softmax shrinks the initial
# gradient by a factor $V$. Adam undoes that; plain SGD hardly moves.
# :::
#
# :::{dropdown} Why cross-entropy and not the KL divergence?
# Against fixed data they differ by the entropy of the data, a constant: same gradient, same optimum. The difference matters
# when the target is trained too, or when zero should mean a perfect match, as in distillation.
# :::
#
# :::{dropdown} Where is the minimum with label smoothing?
# At the entropy of the smoothed target, 1.41 nats for $\varepsilon = 0.1$ and $V$ = 50,257 {cite:p}`szegedy2016rethinking`. So
# a smoothed training loss must not be exponentiated into a perplexity, nor compared with an unsmoothed one.
# :::
#
# :::{dropdown} What is z-loss for?
# Adding a constant to all logits changes no loss, so nothing keeps them from drifting to where bfloat16 is coarse. PaLM
# adds $10^{-4} \log^2 Z$, with $Z = \sum_j e^{z_j}$, which pulls the normalizer back to one {cite:p}`chowdhery2023palm`.
# :::
#
# :::{dropdown} Why is the loss computed in float32 when the model runs in bfloat16?
# A cast cannot restore what the head's product already rounded: between 16 and 32 bfloat16 has steps of 0.125. What float32
# saves is the sum: with 8 significant bits, 256 + 1 is 256, and a hundred thousand small terms vanish. So accumulate in
# float32, or let the product itself return it.
# :::
#
# :::{dropdown} Why not the squared error between probabilities and one-hot?
# It is proper too, but its gradient with respect to the target's logit has a factor $p_y$, so a confident mistake gets almost
# none: the flat region of the patched logarithm again. Cross-entropy is also minus the log-likelihood per token, so it adds
# up to a code length.
# :::
#
# :::{dropdown} Is a bounded loss ever wanted?
# With wrong labels, yes: one of them cannot dominate. The loss behind two softmaxes is nearly $1 - p_y$ plus a constant,
# half the mean absolute error, which tolerates label noise but trains poorly on hard tasks; generalized cross-entropy lies
# in between {cite:p}`zhang2018generalized`.
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
