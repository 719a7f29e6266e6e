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
#     - sequence_models_gates
#     question_zh: 语言模型中的正则化和避免过拟合的方法有哪些？
#     short: Dropout and early stopping
#     source: L04
#     tasks:
#     - dropout
# ---

# %% [markdown]
# # What does dropout do mathematically, and what is it not?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# In training, dropout zeroes each activation with probability p and divides the rest by one minus p, so the mean stays and evaluation
# changes nothing. In a linear model with squared loss, the noise adds, on average, a ridge penalty weighted by each feature's mean
# square: centered, uncorrelated features shrink alike, rare or common, while plain ridge shrinks the rare ones most.
# In deep networks this is approximate. Early stopping keeps the weights with the best validation loss. Both fight
# overfitting on repeated data; single-pass pretraining usually needs neither.
#
# :::{dropdown} The two-minute answer
# A kept entry becomes $x/(1-p)$, a dropped one 0. The mean is $x$ and the variance $x^2\,p/(1-p)$. A linear prediction thus keeps
# its mean and gains the variance $\frac{p}{1-p}\sum_j w_j^2 x_j^2$. Squared error is squared bias plus variance, so over all
# rows the average loss is the plain loss plus $\frac{p}{1-p}\sum_j w_j^2\,\|x_j\|^2$, with $x_j$ the column of feature $j$. Training with noise settles around its minimum.
#
# Ridge charges $\lambda w_j^2$ for every feature. Dropout's charge is in proportion to the column's squared length, and so is the
# column's part in the loss. If the columns are orthogonal (centered and uncorrelated), all weights therefore shrink by the factor $1-p$.
# If they are redundant, sharing the weight is cheaper. In a linear model, that is what "prevents co-adaptation" amounts to.
#
# Each mask thins the model. For a single softmax layer, the pass in eval mode is the normalized geometric mean of what all thinned
# models predict. Deeper, this is an approximation that usually works well.
#
# Early stopping limits how far weights travel, which for least squares resembles ridge too. It needs validation data that
# training never sees, patience for noise, the best weights put back, and a third set for the number to report.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: zeroes with probability $p$, divides by $1-p$, does nothing in eval mode; asks whether $p$ means drop or keep.
# - Junior: early stopping watches validation loss, has patience, puts the best weights back and reports on a third set.
# - Mid: derives mean and variance of a kept entry, and from them the penalty.
# - Mid: knows what forgetting `model.eval()` costs, and that dropout inflates the training loss.
# - Senior: compares the penalty with plain ridge, for rare features and for redundant ones.
# - Senior: says of what the eval pass is an average, and where that is exact.
# - Senior: places dropout in an LSTM and a Transformer, and says why pretraining often leaves it out.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.architectures.rnn import LSTMConfig, LSTMLanguageModel
from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, seed, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.dropout import dropout_ridge, inverted_dropout
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

device = setup()

# %% [markdown]
# ## A perfect fit is no longer cheapest
#
# One feature, always 1, with target 1, and $p = \frac12$. Training shows the feature as 0 or, divided by $1-p$, as 2, equally often. A weight
# $w$ thus predicts 0 or $2w$; the table gives the two squared errors, their mean, the error without dropout, and the difference.
#
# | $w$ | predicts | errors | mean | without | extra |
# |---|---|---|---|---|---|
# | 1 | 0, 2 | 1, 1 | 1 | 0 | 1 |
# | 3/4 | 0, 3/2 | 1, 1/4 | 10/16 | 1/16 | 9/16 |
# | 1/2 | 0, 1 | 1, 0 | 8/16 | 4/16 | 4/16 |
# | 1/4 | 0, 1/2 | 1, 1/4 | 10/16 | 9/16 | 1/16 |
#
# The weight that fits perfectly now costs as much as no weight at all, and $w = \frac12$ is cheapest. The last column is $w^2$: the noise has added a penalty.
#
# In general an entry becomes $x/(1-p)$ with probability $1-p$, else 0. Its mean is $x$, its mean square $x^2/(1-p)$, and the
# difference $x^2/(1-p) - x^2 = x^2\,p/(1-p)$ is its variance. Take features $X$, $(N, d)$, targets
# $y$, $(N,)$, weights $w$, $(d,)$, and a mask $M$, $(N, d)$, of independent zeros and ones. A row's prediction is a sum of independent terms:
# its mean stays, and its variance is the sum of theirs. Squared error is squared bias plus variance, so over all rows
#
# $$
# \begin{aligned}
# &\mathbb E\,\Big\|y - \frac{(X \circ M)\,w}{1-p}\Big\|^2 \\
# &\quad = \|y - Xw\|^2 + \frac{p}{1-p} \sum_{j=1}^{d} w_j^2\,\|x_j\|^2 ,
# \end{aligned}
# $$
#
# with $x_j$ column $j$ of $X$ and $\circ$ the product entry by entry. Eight features have only $2^8$ masks, each with its
# probability, so the formula can be checked by adding all of them up. (The function that draws masks is
# your exercise, so its code is not shown.)

# %%
rate = 0.3
masks = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 8)  # (256, 8)
kept = masks.sum(dim=1)
chance = (1 - rate) ** kept * rate ** (8 - kept)  # (256,), adds up to 1


def normal(k: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(k), dtype=torch.float64)


X, y, w = normal(1, 30, 8), normal(2, 30), normal(3, 8)
predictions = (masks[:, None] * X / (1 - rate)) @ w  # (256, 30)
average = chance @ (y - predictions).square()  # (30,)
penalty = rate / (1 - rate) * X.square().sum(dim=0) @ w.square()
agrees("penalty_over_all_masks", "squared error plus closed form",
       average.sum(), (y - X @ w).square().sum() + penalty, atol=1e-10)  # fmt: skip

state = torch.manual_seed(seed(7)).get_state()
theirs = F.dropout(X, rate)
agrees("inverted_dropout", "torch.nn.functional.dropout",
       inverted_dropout(X, rate, generator=torch.Generator().set_state(state)), theirs, atol=0)  # fmt: skip

# %% [markdown]
# The second comparison says that our function equals PyTorch's, mask
# by mask. In both, and in Keras, $p$ is the probability of *dropping*. In the paper {cite:p}`srivastava2014dropout` it is that of *keeping*,
# and nothing is divided in training; weights are multiplied by $p$ at test time instead. **DropConnect** {cite:p}`wan2013regularization` drops
# entries of the weight matrix; in one linear layer with squared loss, that averages to the same penalty.
#
# ## Rare words shrink no more than common ones
#
# Set the derivative to zero, with $G = X^\top X$: the penalized loss is least at
# $\big(G + \frac{p}{1-p}\operatorname{diag} G\big)\,w = X^\top y$. Two cases can be solved by hand, where plain least squares has the weight $\hat w_j$.
#
# - *Orthogonal columns*: $w_j = (1-p)\,\hat w_j$, the same factor for all. Plain ridge, $\|y - Xw\|^2 + \lambda\|w\|^2$, has
#   $w_j = \hat w_j\,\|x_j\|^2 / (\|x_j\|^2 + \lambda)$. It spares a common word and all but deletes a rare one.
# - *$k$ copies of one column*: each copy gets $\hat w/(k + \frac{p}{1-p})$, if the column alone would get $\hat w$ from least squares. At
#   $p = \frac12$ one copy keeps half of the effect, two copies together keep two thirds.
#
# Uncorrelated columns are orthogonal once they are centered. Without that, dropout, which pulls a feature to zero and not to its mean, charges
# for the mean as well: raw zeros and ones, beside an intercept that is not dropped, make common words shrink more than rare ones.
#
# Does training end there? It never sees a formula, only masks. Let 2,000 texts contain each of twelve words independently, the rarest in
# 1 % of them, the commonest in half. A thirteenth word always comes with the fifth. Each word adds 1 to the target, plus noise.
# Columns are centered. Gradient descent gets a fresh mask at each step; the weights are averaged over the later steps, and compared with the
# closed form and with the *nearest* of 200 plain ridges.

# %%
show(dropout_ridge)

# %%
# Try: rarest = 0.5. All words are equally common, plain ridge charges as dropout
# does, and the thesis breaks, as do the claims about ridge. (p = 0.8: lower the rate.)
rarest, commonest = 0.01, 0.5
p, learning_rate, steps, burn_in = 0.5, 2.0, 600, 200

frequency = torch.logspace(*torch.tensor([rarest, commonest]).log10(), 12, dtype=torch.float64)
present = (torch.rand(2000, 12, generator=generator(8)) < frequency).double()
present = torch.cat([present, present[:, 4:5]], dim=1)  # (2000, 13)
X = present - present.mean(dim=0)
y = X.sum(dim=1) + 0.5 * normal(9, 2000)

w, total, masks_of = torch.zeros(13, dtype=torch.float64), 0, generator(10)
for step in range(steps):
    noisy = inverted_dropout(X, p, generator=masks_of)
    w = w - learning_rate * noisy.T @ (noisy @ w - y) / len(X)
    total = total + (w if step >= burn_in else 0)
trained = total / (steps - burn_in)

G = X.T @ X
strengths = torch.logspace(-1, 5, 200, dtype=torch.float64)
ridges = torch.linalg.solve(G + strengths[:, None, None] * torch.eye(13), X.T @ y)  # (200, 13)
ridge = ridges[(ridges - trained).norm(dim=1).argmin()]
closed = dropout_ridge(X, y, p)

# %% mystnb={"image": {"alt": "Weight against the share of texts that contain a word, from 1 to 50 percent. Dots of the weights trained with dropout lie on the line of the closed form, which stays near one half, except for two words that always come together, at two thirds. The nearest plain ridge rises steeply, with a bump at the pair, from close to zero for the rarest word to above one half for the commonest. Least squares lies near one throughout."}} tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6.4, 3.4))
percent = 100 * frequency
ax.plot(percent, (torch.linalg.pinv(X) @ y)[:12], label="least squares", color="C6")
ax.plot(percent, closed[:12], label="closed form", color="C0")
ax.plot(percent, trained[:12], "o", color="C0", label="_")
ax.plot(percent, ridge[:12], label="nearest ridge", color="C1")
for k, text in (4, "two words, always together"), (8, "dots: trained with dropout"):
    ax.annotate(text, (percent[k], trained[k]), xytext=(-8, 8 if k == 4 else -16), color="C0",
                textcoords="offset points", fontsize=9)  # fmt: skip
ax.set(title="Dropout shrinks rare and common words alike, ridge the rare most", xscale="log",
       xlabel="texts that contain the word (%)", ylabel="weight (true: 1)", xlim=(0.9, 130),
       ylim=(0, 1.25))  # fmt: skip
ax.set_xticks([1, 3, 10, 30], [1, 3, 10, 30])
label_lines(ax)
plt.show()

# %%
rows = torch.cat([X, (p / (1 - p) * G.diagonal()).sqrt().diag()])  # the penalty as more rows
agrees("minimum", "torch.linalg.lstsq, with the penalty as further rows", closed,
       torch.linalg.lstsq(rows, torch.cat([y, y.new_zeros(13)])).solution, atol=1e-10)  # fmt: skip
claim("own_units", "weights trained with dropout: distance to the closed form over distance to the "
      "nearest plain ridge", (trained - closed).norm() / (trained - ridge).norm(),
      at_most=0.1, thesis=True)  # fmt: skip
gaps = ((ridges - trained) @ X.T).norm(dim=1) / (X @ trained).norm()  # (200,)
claim("no_ridge_predicts_alike", "smallest difference of any plain ridge's predictions, over the size "
      "of those trained with dropout", gaps.min(), at_least=0.13)  # fmt: skip
claim("rare_words_kept", "trained with dropout: weight of the rarest word over that of the commonest",
      trained[0] / trained[11], at_least=0.5)  # fmt: skip
claim("ridge_deletes_them", "nearest plain ridge: weight of the rarest word over that of the commonest",
      ridge[0] / ridge[11], at_most=0.4)  # fmt: skip
claim("pair_shares", "trained with dropout: weight of a word that always comes with another, over the "
      "median weight", trained[4] / trained.median(), at_least=1.12)  # fmt: skip

# %% [markdown]
# The dots lie on the closed form, and no plain ridge predicts as dropout does. Whether that is good depends on the data. A rare word's
# weight is the least certain, and ridge distrusts it; dropout keeps it. {cite:t}`wager2013dropout` extend the penalty to logistic loss, to second
# order: each example's part $w_j^2 x_j^2$ is weighted by $\sigma(1-\sigma)/2$, with $\sigma$ the predicted probability. A rare word
# whose few texts are classified with confidence is thus charged little, which suits documents.
#
# ## The eval pass is a geometric mean, exact for one layer
#
# Each mask makes a thinned model. Average the *log*-probabilities of all of them, each with its chance, and normalize. The
# logits average to those of the full input; what each model subtracted to normalize is the same for all classes, and cancels.
# The result is the eval pass {cite:p}`baldi2013understanding`. Averaging the *probabilities* gives something else, as the two
# rows show, and behind a hidden layer with a nonlinearity, neither mean is exact in general.

# %%
x, W = normal(11, 8), normal(12, 8, 5)
logs = F.log_softmax((masks * x / (1 - rate)) @ W, dim=-1)  # (256, 5)
agrees("geometric_mean", "the softmax of the full logits", (chance @ logs).softmax(dim=-1),
       (x @ W).softmax(dim=-1), atol=1e-12)  # fmt: skip
print("all thinned models' mean:", *(f"{q:.3f}" for q in chance @ logs.exp()))
print("one pass in eval mode:   ", *(f"{q:.3f}" for q in (x @ W).softmax(dim=-1)))

# %% [markdown]
# ## Over 25 passes, stopping pays about as much as dropout
#
# The usual snippet stacks embedding, LSTM, dropout of 0.5 and an output layer, trains for ten epochs, and looks at a validation loss
# without acting on it. Here is such a model on 128 snippets of 17 characters from Python's manual, for 25 passes at a learning rate
# high enough to overfit them. It drops what enters the LSTM, too, but nothing from step to step: a value in the cell, dropped anew with
# $p = \frac12$ at each step, would survive ten steps with probability $2^{-10}$. Validation and test snippets come from other chapters. (Keras's
# `validation_split` takes the *last* rows, before shuffling; in sorted text, another topic.)
#
# The book's training loop, `fit`, evaluates after each pass, in eval mode. With *patience* 3 it stops after three evaluations in a
# row that do not beat the best, and puts the best one's weights back. Keras does the second only with
# `restore_best_weights=True`. The best of many validation losses was chosen for being low, so it flatters a little: the number to
# report comes from a third set, here the test snippets.

# %%
corpus, data, passes, batch_size = english_text(), {}, 25, 16
texts = {name: normalize_text(" ".join(corpus[name]["text"])) for name in corpus}
vocabulary = CharVocabulary.from_text("".join(texts.values()))
for k, (name, text) in enumerate(texts.items()):
    windows = torch.tensor(vocabulary.encode(text), device=device).unfold(0, 17, 17)  # (N, 17)
    chosen = torch.randperm(len(windows), generator=generator(13 + k))
    data[name] = windows[chosen[: 128 if name == "train" else 200]]


def loss_on(model: nn.Module, ids: Tensor) -> Tensor:  # (B, 17)
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def run(p: float, patience: int | None = None):
    torch.manual_seed(seed(16))  # of the masks
    config = LSTMConfig(vocab_size=len(vocabulary), width=48, dropout=p, tied_head=False)
    model = LSTMLanguageModel(config, generator(17)).to(device)
    shuffles, curves = generator(18), []

    def one_pass():
        return data["train"][torch.randperm(128, generator=shuffles)].split(batch_size)

    def evaluate(model: nn.Module) -> float:
        curves.append([loss_on(model, data[name]).item() for name in ("train", "validation")])
        return curves[-1][1]

    batches = [batch for _ in range(passes) for batch in one_pass()]
    fit(model, batches, loss_on, optimizer=Adam(model.parameters(), lr=0.03), max_norm=1.0,
        num_steps=len(batches), evaluate=evaluate, eval_every=128 // batch_size,
        patience=patience)  # fmt: skip
    return model, torch.tensor(curves)  # (passes, 2)


plain, plain_curves = run(0.0)
stopped, stopped_curves = run(0.0, patience=3)
noisy, noisy_curves = run(0.5)
found = {
    "no dropout, to the end": plain,
    "no dropout, stopped": stopped,
    "dropout, to the end": noisy,
}
with torch.no_grad():
    found = {name: loss_on(model, data["test"]).item() for name, model in found.items()}
for name, loss in found.items():
    print(f"{name:<24}{loss:.2f} nats per character on test snippets")
print(f"stopped after {len(stopped_curves)} of {passes} passes")

# %% mystnb={"image": {"alt": "Two charts, one above the other, of training and validation loss over 25 passes, both measured without dropout. Above, trained without dropout: training loss keeps falling, validation loss reaches a minimum in the first half and rises again; a dashed line marks where training stops early. Below, trained with dropout: training loss falls more slowly, and validation loss goes down and stays down."}} tags=["hide-input"]
fig, axes = plt.subplots(2, 1, figsize=(6.4, 5.4), sharex=True, sharey=True)
titles = "Without dropout, validation loss turns upward", "With dropout of 0.5, it stays down"
for ax, curves, title in zip(axes, (plain_curves, noisy_curves), titles, strict=True):
    for column, name in enumerate(("training", "validation")):
        ax.plot(range(1, passes + 1), curves[:, column], "o-", markersize=3, label=name)
    ax.set(title=title, ylabel="nats per character", xlim=(0, passes + 6))
    label_lines(ax)
axes[0].axvline(len(stopped_curves), color="C6", linestyle="--")
axes[0].annotate("patience ends", (len(stopped_curves), 3.2), xytext=(4, 0), color="C6",
                 textcoords="offset points", fontsize=9)  # fmt: skip
axes[1].set_xlabel("passes over the training snippets")
plt.show()

# %%
torch.manual_seed(seed(19))
noisy.train()  # the call that someone forgot to undo
with torch.no_grad():
    first, second = noisy(data["test"][:, :-1]), noisy(data["test"][:, :-1])  # (200, 16, V)
    left_on = loss_on(noisy, data["test"]).item()

to_end, early, with_dropout = found.values()
claim("stopping_pays", "test loss without dropout: after all passes minus stopped early",
      to_end - early, at_least=0.12, unit="nats")  # fmt: skip
claim("dropout_pays", "test loss after all passes: without dropout minus with dropout",
      to_end - with_dropout, at_least=0.1, unit="nats")  # fmt: skip
claim("about_as_much", "what stopping gains over what dropout gains",
      (to_end - early) / (to_end - with_dropout), at_least=0.5, at_most=2)  # fmt: skip
claim("eval_forgotten", "trained with dropout: test loss with dropout left on minus in eval mode",
      left_on - with_dropout, at_least=0.12, unit="nats")  # fmt: skip
claim("two_answers", "dropout left on: share of characters predicted differently by two calls",
      (first.argmax(dim=-1) != second.argmax(dim=-1)).double().mean(), at_least=0.25)  # fmt: skip

# %% [markdown]
# Run to the end, the plain model fits its snippets ever better and predicts new ones worse. Stopping repairs that without touching the
# model, and dropout without touching the schedule. They gain about the same; which one leads changes with the seed. With dropout
# the training loss falls more slowly, and the moment of stopping matters less. That holds for this rate and length: set
# `lr=0.003`, and in 25 passes nothing overfits, so dropout only slows training down.
#
# With dropout left on, the same model predicts worse, and contradicts itself from call to call. Two identical calls,
# two answers: the sign to look for.
#
# Two more regularizers have pages of their own: [weight decay](adam_from_sgd) and
# [label smoothing](cross_entropy_numerics).

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"We use cross-validation to avoid overfitting."** It stands on many lists beside dropout. Cross-validation changes no weight:
# it *estimates* how well a recipe generalizes, so that you can choose a dropout rate or a stopping time. With $K$ folds it costs $K$
# trainings; language models get one held-out split.
#
# **"Dropout trains $2^n$ networks and averages them."** A layer of 1,000 units has about $10^{301}$ masks, and a run of a million updates
# on batches of 1,000 examples draws $10^9$. Nearly all of these networks are never trained; they exist because all share one set of
# weights. Say that dropout trains one network to be good under noise.
#
# **"My training loss is above my validation loss, so the validation data leaked."** Perhaps. But the logged training loss was
# measured with dropout on, before the epoch's updates were done, and the validation loss with dropout off, after them. The curves
# above were both taken in eval mode, and there the order is the usual one.
#
# **"I gave `nn.LSTM` a dropout of 0.5."** With one layer this does nothing but print a warning: the argument acts between stacked
# layers, so the last one's output is not dropped. Put an `nn.Dropout` behind it.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Do large language models use dropout?
# In pretraining mostly not: in a single pass no text is seen twice, and there is little overfitting to prevent. {cite:t}`liu2025drop` pretrained
# BERT and Pythia models for one epoch and found language modeling and all downstream tasks that they tried better without.
# Fine-tuning repeats small data, and a little dropout is back: `peft` has `lora_dropout` for it, 0 by default.
# :::
#
# :::{dropdown} Where does dropout go in a Transformer?
# {cite:t}`vaswani2017attention` drop each sublayer's output before it is added to the residual stream, and the sum of
# embeddings and positions. The first GPT {cite:p}`radford2018improving` also drops attention weights, so in training a row no longer sums
# to one. In PyTorch, `F.scaled_dot_product_attention` knows nothing of eval mode: pass it `dropout_p=0.0` there.
# :::
#
# :::{dropdown} And on the recurrent path of an LSTM?
# A fresh mask per step on the cell erases memory. {cite:t}`gal2016theoretically` keep one mask for the whole sequence;
# {cite:t}`semeniuta2016recurrent` drop only the candidate values, before they are *written* into the cell. One mask for all $T$ steps is
# `x * F.dropout(torch.ones(B, 1, D), p)`.
# :::
#
# :::{dropdown} Is early stopping a penalty, too?
# Nearly, for least squares: gradient descent from zero fits strong directions first. For small steps, and with time (steps times
# learning rate) set to $1/\lambda$, its risk is at most 1.69 times that of ridge {cite:p}`ali2019continuous`. [L1, L2 and priors](l1_l2_bayes) compares the two filters.
# :::
#
# :::{dropdown} How much patience?
# Enough to cross the bumps of a noisy validation loss. {cite:t}`prechelt1998early` compared criteria in 1,296 runs of small networks: slower ones generalized about
# 4 % better and took about four times as long.
# :::
#
# :::{dropdown} What is MC dropout?
# Leave dropout on at test time, predict many times, and read the spread as uncertainty. {cite:t}`gal2016bayesian` justify it as
# approximate Bayesian inference. The spread depends on the chosen $p$, so check its calibration before you rely on it.
# :::
#
# :::{dropdown} Why do dropout and BatchNorm clash?
# Dropout raises the variance of activations in training only. BatchNorm behind it stores that variance and meets a smaller one in
# eval mode {cite:p}`li2019understanding`. Put dropout after the last BatchNorm.
# :::
#
# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} dropout
# ```

# %%
import torch


def dropout(
    x: torch.Tensor,
    p: float,
    training: bool,
    generator: torch.Generator,
) -> torch.Tensor:
    """Drop entries of x with probability p, and scale what is left."""
    raise NotImplementedError


check("dropout", dropout)

# %% [markdown]
# ```{solution} dropout
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`srivastava2014dropout`: dropout; they scale at test time, and derive the penalty for linear regression.
# - {cite:t}`wager2013dropout`: the penalty as adaptive ridge, also for logistic loss. {cite:t}`wan2013regularization`: DropConnect.
# - {cite:t}`baldi2013understanding`: the eval pass as a geometric mean.
# - {cite:t}`prechelt1998early`: when to stop. {cite:t}`ali2019continuous`: early stopping and ridge.
# - {cite:t}`gal2016theoretically`, {cite:t}`semeniuta2016recurrent`: dropout in recurrent networks. {cite:t}`liu2025drop`: and in pretraining.
