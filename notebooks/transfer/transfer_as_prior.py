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
#     - l1_l2_bayes
#     question_zh: 语言模型中的迁移学习是什么？
#     short: Transfer as a prior
#     source: L20
#     tasks:
#     - biased_ridge
# ---

# %% [markdown]
# # When does transfer help, and when does it hurt?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Fine-tuning puts a prior around the source's weights instead of around zero. In a linear model whose inputs vary
# alike in all directions, at equal penalty, it helps on average exactly when the source is closer to the target than zero
# is. The number of examples decides how much, not whether. A bad source hurts most where training cannot leave it, as in frozen
# layers. So choose learning rate, penalty and starting point, with scratch among them, on held-out data.
#
# :::{dropdown} The two-minute answer
# *Biased ridge* minimizes squared error plus $\lambda\lVert w - w_s\rVert^2$, with the source's weights $w_s$ as center: ridge on what the
# source fails to predict. Its expected error is squared bias plus variance. The variance does not know where
# the center lies. The squared bias is the squared distance from center to target $w_t$, times a factor that data and
# $\lambda$ set. So the center $w_s$ beats the center zero if $\lVert w_s - w_t\rVert < \lVert w_t\rVert$.
#
# The best $\lambda$ is $D\sigma^2/\lVert w_s - w_t\rVert^2$, for $D$ weights and noise $\sigma$: the farther the source, the looser. With
# each side at its best $\lambda$ the crossing stays where it was. With more examples than weights, a bad source then costs at
# most what least squares costs. With fewer, directions that no example shows keep the source's weights
# at any $\lambda$, so the harm has no bound, unless held-out error may choose another center.
#
# Few steps and a small learning rate are the same prior without a penalty. A *probe*, a new head on frozen features, is the
# extreme: the features cannot move at all. In a network there is no such formula; distances between weights mean little
# there. But the order is the same: the frozen base wins with a near source, loses first with a far one, and tuning loses less.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: tells *feature extraction* (frozen base, new head) from *fine-tuning* (source weights as a start) and *domain
#   adaptation* (same task, other inputs); knows that transfer can hurt.
# - Mid: writes the penalty around $w_s$, solves it as ridge on residuals, and reads it as a Gaussian prior.
# - Mid: splits the error into bias and variance, finds the crossing, and names the assumption: no special direction.
# - Mid: few steps or a small learning rate act as the same prior, and the best strength falls with distance.
# - Senior: with fewer examples than weights no penalty removes a bad source; lets held-out error choose, with scratch among the choices.
# - Senior: a source's error costs least where the data are rich.
# - Senior: asks for controls: scratch with its own learning rate, frozen *random* features, several draws.

# %% tags=["hide-input"]
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch

from lmprep.data.corpora import digits
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.transfer import prior
from lmprep.transfer.prior import biased_ridge, expected_error

_ = setup()  # the page stays on the CPU: its models are tiny

# %% [markdown]
# ## Borrowed glasses help if they are off by less than your eyes are
#
# Your eyes need −3 diopters. Your uncle's glasses, −4.5, leave you off by 1.5, which beats no glasses. Your
# daughter's, +1, leave you off by 4, which is worse than none. Now an optician takes readings, each with the same noise, and averages
# them with the pair in your hand, counted as four readings. After four, half of the first error is gone on average,
# after 36, nine tenths:
#
# | expected to be off by | no glasses | uncle's | daughter's |
# |---|---|---|---|
# | before | 3 | 1.5 | 4 |
# | after 4 readings | 1.5 | 0.75 | 2 |
# | after 36 readings | 0.3 | 0.15 | 0.4 |
#
# The readings' noise adds the same spread to all three. More readings bring the columns together and leave their order as it is.
#
# ## Data shrink each start's error alike, so distance decides
#
# In $D$ dimensions: $N$ examples, inputs $X$ of shape $(N, D)$, targets $y = Xw_t + \varepsilon$ of shape $(N,)$, independent noise
# of standard deviation $\sigma$, and the source's weights $w_s$, like $w_t$ of shape $(D,)$. *Biased ridge* is
#
# $$
# \begin{aligned}
# \hat w &= \arg\min_w\ \lVert y - Xw\rVert^2 + \lambda\lVert w - w_s\rVert^2 \\
#        &= w_s + A^{-1}X^\top(y - Xw_s), \qquad A = X^\top X + \lambda I .
# \end{aligned}
# $$
#
# That is ridge, fitted to the residuals of the source. With Gaussian noise it is also the posterior mean if $w$ is believed to be Gaussian around $w_s$ with
# variance $\tau^2 = \sigma^2/\lambda$ per weight ([priors around zero](../training/l1_l2_bayes) work alike). Put $y$ in:
#
# $$
# \hat w - w_t = \underbrace{\lambda A^{-1}(w_s - w_t)}_{\text{bias}} + \underbrace{A^{-1}X^\top\varepsilon}_{\text{noise}} .
# $$
#
# Ridge from zero has $-w_t$ in place of $w_s - w_t$, and the same noise. Assume *isotropic* inputs: rotating them does not change their
# distribution, so no direction is special. Then over draws of $X$ the mean of $\lVert\lambda A^{-1}v\rVert^2$ is $c\lVert v\rVert^2$ with one $c > 0$ for
# every $v$, and the expected errors differ by $c\,(\lVert w_s - w_t\rVert^2 - \lVert w_t\rVert^2)$. Data and penalty set $c$; only distances set the sign.

# %%
show(biased_ridge, expected_error)

# %%
ours, theirs = [], []
for X in (rng(8).standard_normal((12, 30)), rng(9).standard_normal((30, 12))):
    y, w_s = X.sum(axis=1) ** 2, np.linspace(1, 3, X.shape[1])
    rows = np.vstack([X, np.sqrt(3.0) * np.eye(len(w_s))])  # λ = 3
    theirs.append(np.linalg.lstsq(rows, np.append(y, np.sqrt(3.0) * w_s))[0])
    ours.append(biased_ridge(X, y, w_s, 3.0))
agrees("biased_ridge", "numpy.linalg.lstsq, one more row per weight",
       np.concatenate(ours), np.concatenate(theirs), atol=1e-10)  # fmt: skip

# %% [markdown]
# ($\sqrt\lambda\,w = \sqrt\lambda\,w_s$, added as $D$ more examples, is the same penalty.) Now simulate: targets of
# length 1, sources at a given distance from them in a random direction.

# %%
# Try: loud = 3.0. Half of the inputs then vary three times as much, and sources err only
# there, where the data are rich. They help from much farther than 1: the thesis breaks.
loud = 1.0
D, noise, draws = 40, 0.5, 150
distances = np.array([0.25, 0.5, 0.75, 1.0, 1.25, 2.0, 3.0])
scale = np.where(np.arange(D) < D // 2, loud, 1.0)  # of the inputs, per feature


def errors(N: int, lam: float) -> np.ndarray:  # (1 + R,)
    """Mean squared error of the weights from zero, and from sources at R distances."""
    random, found = rng(1), []
    for _ in range(draws):
        X, y, target, wrong = prior.transfer_problem(N, scale, noise, random)
        starts = np.vstack([np.zeros(D), target + distances[:, None] * wrong])
        fits = np.array([biased_ridge(X, y, start, lam) for start in starts])
        found.append(((fits - target) ** 2).sum(axis=1))
    return np.mean(found, axis=0)


simulated = {(N, lam): errors(N, lam) for N in (10, 20, 80) for lam in (10.0, 50.0)}
ends = {key: np.interp(0, e[1:] - e[0], distances**2) ** 0.5 for key, e in simulated.items()}
for (N, lam), end in ends.items():
    print(f"{N} examples, λ = {lam:.0f}: sources help up to distance {end:.3f}")

# %%
claim("sign_flips_at_the_norm", "where a source stops helping, in lengths of the target: largest deviation from 1",
      max(abs(end - 1) for end in ends.values()), at_most=0.12, thesis=True)  # fmt: skip
gains = [simulated[N, 10.0][0] - simulated[N, 10.0][2] for N in (10, 80)]
claim("examples_set_the_size", "gain from a source at distance ½: with 10 examples over with 80",
      gains[0] / gains[1], at_least=5, unit="×")  # fmt: skip

# %% [markdown]
# From 10 examples for 40 weights to 80, the gain shrinks many times over and changes its sign at the same place.
#
# ## A penalty can loosen a bad source; with few examples only another center removes it
#
# Along a direction in which $X^\top X$ has the eigenvalue $s^2$, a source at distance $\delta = \lVert w_s - w_t\rVert$ has the expected error
# $(\lambda^2\delta^2/D + \sigma^2 s^2)/(s^2+\lambda)^2$, least at $\lambda = D\sigma^2/\delta^2$ for every $s$. Give each side its
# best $\lambda$: the error grows with $\delta$ still, so the crossing stays. And as $\delta$ grows, $\lambda$ goes to zero. For $N \ge D$ that leaves
# least squares. For $N < D$ some directions are in no example. There $s = 0$, every $\lambda$ keeps the source's
# weights, and on average a share $1 - N/D$ of $\delta^2$ stays.
#
# Nobody knows $\delta$, though. *Leave-one-out* error, each example predicted by a fit to the others, can choose $\lambda$ and
# the center, source or zero. For ridge it needs no refitting: divide each residual by one minus the matching diagonal entry of $XA^{-1}X^\top$.

# %%
chosen, tuned = {}, {}
for N in (20, 80):
    random, by_loo, exact = rng(2), [], []
    for _ in range(draws):
        X, y, target, wrong = prior.transfer_problem(N, scale, noise, random)
        centers = np.vstack([np.zeros(D), target + distances[:, None] * wrong])
        # (L, 1 + R) and (L, 1 + R, D) for L penalties, zero and R sources
        losses, fits = prior.leave_one_out(X, y, centers, [1, 3, 10, 30, 100, 300])
        found = ((fits - target) ** 2).sum(axis=2)[losses.argmin(axis=0), range(len(centers))]
        leave = losses.min(axis=0)[1:] >= losses[:, 0].min()  # the source for zero
        by_loo.append(np.where(leave, found[0], found[1:]))
    for _ in range(40):
        X, _, _, wrong = prior.transfer_problem(N, scale, noise, random)
        # At the best λ for each distance.
        exact.append([sum(expected_error(X, r * wrong, noise, D * noise**2 / r**2))
                      for r in distances])  # fmt: skip
    chosen[N], tuned[N] = np.mean(by_loo, axis=0), np.mean(exact, axis=0)

# %% mystnb={"image": {"alt": "Two charts, 20 examples above and 80 below, of error on a logarithmic axis against the distance of source and target, from a quarter of the target's length to three lengths. The flat line of ridge from zero meets both rising lines from the source at distance 1. Above, both keep rising steeply. Below, the line with the best penalty flattens, the one with a fixed penalty goes on. Diamonds, chosen by leave-one-out, start far below the flat line and stay near it beyond distance 1, in both charts."}} tags=["hide-input"]
fig, panels = plt.subplots(2, 1, figsize=(6.6, 6.4), sharex=True)
titles = {20: "no λ removes a bad source, zero does", 80: "a loose λ limits the harm"}
for ax, (N, title) in zip(panels, titles.items(), strict=True):
    zero, *sources = simulated[N, 10.0]
    ax.plot(distances, np.full(len(distances), zero), color="C6", label="from zero")
    ax.plot(distances, sources, "o-", color="C1", label="source, λ = 10")
    ax.plot(distances, tuned[N], "--", color="C0", label="source, best λ")
    ax.plot(distances, chosen[N], "D:", color="C2", label="leave-one-out")
    ax.set(
        title=f"{N} examples: {title}", ylabel="squared error", yscale="log", xlim=(0.2, 4.1)
    )
    label_lines(ax)
panels[-1].set_xlabel("distance from source to target, in lengths of the target")
plt.show()

# %%
zeros = {N: simulated[N, 10.0][0] for N in (20, 80)}
claim("bounded_if_many", "80 examples, source at distance 3, best λ: error over that from zero",
      tuned[80][-1] / zeros[80], at_most=1.7, unit="×")  # fmt: skip
claim("unbounded_if_few", "20 examples, source at distance 3, best λ: error over that from zero",
      tuned[20][-1] / zeros[20], at_least=4, unit="×")  # fmt: skip
claim("choice_caps_the_harm", "20 examples, leave-one-out chooses: largest error over that from zero",
      chosen[20].max() / zeros[20], at_most=1.6, unit="×")  # fmt: skip
claim("choice_keeps_the_gain", "20 examples, source at distance ¼, leave-one-out: error over zero's",
      chosen[20][0] / zeros[20], at_most=0.4, unit="×")  # fmt: skip

# %% [markdown]
# Near distance 1 leave-one-out pays a little for choosing from few examples. Far out it sees the harm and goes back to zero.
# (Here $\lambda = 10$ is the best for zero: $40 \cdot 0.25 / 1$.)
#
# Without isotropy, direction matters too. The bias is $\lambda A^{-1}(w_s - w_t)$, and $A^{-1}$ is small along directions in which inputs vary
# much: there, data correct a source. One that errs only there may be farther than $\lVert w_t\rVert$ and still
# help (turn the knob above). By the same formula, one that errs in quiet directions may be nearer and hurt.
#
# ## A few steps from the source are the same prior
#
# Fine-tuning has no penalty. But gradient descent from $w_s$ with rate $\eta$, stopped after $t$ steps, has shrunk the residual along
# each direction by $(1-\eta s^2)^t$, [nearly what ridge does](../training/l1_l2_bayes) at $\lambda = 1/(\eta t)$. So the rule for $\lambda$ turns into one for steps:
# $\eta t = \delta^2/(D\sigma^2)$. A source at half the distance wants a quarter of the steps. And each step adds rows of $X$: along
# directions that no example shows, the weights stay the source's forever. (Adam rescales coordinates and may leak into them.)

# %%
random, ratio, moved = rng(3), [], []
for _ in range(draws):
    X, y, target, wrong = prior.transfer_problem(20, scale, noise, random)
    source = target + 0.5 * wrong
    rate, lam = 0.2 / np.linalg.norm(X, 2) ** 2, D * noise**2 / 0.5**2
    w = source.copy()
    for _ in range(round(1 / (rate * lam))):
        w += rate * X.T @ (y - X @ w)
    ratio.append([((fit - target) ** 2).sum() for fit in (w, biased_ridge(X, y, source, lam))])
    moved.append(np.abs((w - source) - np.linalg.pinv(X) @ (X @ (w - source))).max())
claim("stopping_is_the_prior", "source at distance ½: error of stopped descent over biased ridge's",
      np.divide(*np.mean(ratio, axis=0)), at_least=0.9, at_most=1.1, unit="×")  # fmt: skip
claim("unseen_stays", "fine-tuning on 20 examples: largest move along directions that no example shows",
      max(moved), at_most=1e-12)  # fmt: skip

# %% [markdown]
# ## On scrambled digits the frozen base wins first and loses first
#
# In networks no such formula holds: permute the hidden units, and the function is the same at another place. So measure, on 8 × 8 digits, with one
# hidden layer of 64 units (the *base*) and a linear head. The source has seen 700 images. The target has twenty labeled images of
# all ten digits, in which none, half or all of the pixels are permuted in a fixed way. A last target keeps the pixels, but its
# source has seen only 0–4, and it asks for 5–9.
#
# Four arms: the base comes from the source or is random, and it is frozen or tuned. A frozen base with a new head is *feature
# extraction*, or a *probe*; "random base, tuned" is scratch. Every arm has the same new head, images and 30 updates, in five draws, and
# the best of three learning rates by validation images. The networks of all draws and targets train side by side, as a first axis $R$ of the weights.

# %%
show(prior.Networks.forward, prior.train_networks)

# %%
splits = digits().with_format("torch")
images = {name: split[:]["image"].flatten(1) for name, split in splits.items()}
labels = {name: split[:]["label"] for name, split in splits.items()}
targets = {"no pixel moved": 0, "half": 32, "all": 64, "0–4, then 5–9": 0}
R, S, sizes, g = 5, len(targets), (64, 64, 10), generator(4)


def trained_source(pool: torch.Tensor) -> prior.Networks:
    picks = pool[torch.randint(len(pool), (80, R, 64), generator=g)]
    batches = [(images["train"][pick], labels["train"][pick]) for pick in picks]
    networks = prior.Networks(R, sizes, g)
    prior.train_networks(networks, batches, lr=0.01, num_steps=80)
    return networks


wide = trained_source(torch.arange(700))
narrow = trained_source((labels["train"][:700] < 5).nonzero()[:, 0])

orders, rows = [], []
for name, moved in targets.items():
    for _ in range(R):
        orders.append(prior.scrambled(64, moved, g))
        pool = 700 + torch.randperm(len(labels["train"]) - 700, generator=g)
        asked, each = (range(5, 10), 4) if "5–9" in name else (range(10), 2)
        rows.append(torch.cat([pool[labels["train"][pool] == k][:each] for k in asked]))
orders, rows = torch.stack(orders), torch.stack(rows)  # (SR, 64), (SR, 20)
seen = {name: split[:, orders].transpose(0, 1) for name, split in images.items()}
shots = seen["train"].gather(1, rows[..., None].expand(-1, -1, 64)), labels["train"][rows]
start = prior.Networks(S * R, sizes, g)  # for every arm the same heads and random bases
bases = [torch.cat([getattr(wide, name).data.repeat(S - 1, 1, 1), getattr(narrow, name).data])
         for name in ("base", "base_bias")]  # fmt: skip


@torch.no_grad()
def right(model: prior.Networks, split: str) -> torch.Tensor:  # (S, R) shares
    hits = (model(seen[split]).argmax(dim=-1) == labels[split]).double()  # (SR, M)
    high = hits[:, labels[split] >= 5].mean(dim=1).view(S, R)
    return torch.cat([hits.mean(dim=1).view(S, R)[:-1], high[-1:]])


def arm(from_source: bool, frozen: bool) -> torch.Tensor:
    valid, test = [], []
    for lr in (0.003, 0.01, 0.03):
        model = copy.deepcopy(start)
        if from_source:
            model.base.data, model.base_bias.data = (base.clone() for base in bases)
        prior.train_networks(model, [shots], lr=lr, num_steps=30, frozen=frozen)
        valid.append(right(model, "validation").mean(dim=1))
        test.append(right(model, "test"))
    best = torch.stack(valid).argmax(dim=0)  # (S,), for each target
    return torch.stack([test[b][i] for i, b in enumerate(best)])  # (S, R)


arms = {"source's base, frozen": arm(True, True), "source's base, tuned": arm(True, False),
        "random base, tuned": arm(False, False), "random base, frozen": arm(False, True)}  # fmt: skip
print(f"{'right on test images':<24}", *(f"{name:>16}" for name in targets))
for name, found in arms.items():
    print(f"{name:<24}", *(f"{value:16.3f}" for value in found.mean(dim=1)))

# %%
frozen, tuning, scratch, features = (found.mean(dim=1) for found in arms.values())
claim("frozen_wins_if_near", "digits, no pixel moved: share right, frozen base of the source minus scratch",
      frozen[0] - scratch[0], at_least=0.04)  # fmt: skip
claim("frozen_loses_if_far", "digits, all pixels moved: share right, frozen base of the source minus scratch",
      frozen[2] - scratch[2], at_most=-0.08)  # fmt: skip
claim("tuning_leaves", "digits, all pixels moved: share right, source's base tuned minus frozen",
      tuning[2] - frozen[2], at_least=0.07)  # fmt: skip
claim("worse_than_random", "0–4 frozen for 5–9: share right, source's base minus a random one",
      frozen[3] - features[3], at_most=-0.05)  # fmt: skip
claim("narrow_does_not_help", "0–4 tuned for 5–9: share right, source's base minus scratch",
      tuning[3] - scratch[3], at_most=0.03)  # fmt: skip

# %% [markdown]
# With no pixel moved, both source bases beat scratch clearly. As pixels move, the frozen base falls fastest. With all of them moved it is last,
# behind even a frozen *random* base: those features are tuned to pixels that are elsewhere now. Tuning on the same twenty images
# gets most of the loss back, since it may leave the source; that is the loose $\lambda$ of this model. It is no gain over scratch.
#
# The last column is the second warning. Pixels are in place, images alike, source accurate; only the classes are new. Still the frozen base is
# behind a random one, and tuning it does not beat scratch. Features for telling 0 from 4 need not tell 5 from 9. These are tiny networks and one budget; what carries
# over is the comparison, with scratch and random features in it.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"I load VGG16, `model.layers.pop()`, add `Dense(10)` on `model.output`, and fit."** Beside the question, which was about language, the pop only
# edits a list. `model.output` still is the softmax over ImageNet's thousand classes, so the new head reads probabilities,
# and nothing is frozen. In Keras, say `include_top=False` and `trainable = False`. In PyTorch, with a trained `old`, this is what was meant:
#
# ```python
# model = nn.Sequential(*old[:-1], nn.Linear(64, 10))  # the old head is gone
# model[:-1].requires_grad_(False)
# ```
#
# **"Pre-training never hurts."** People who say so have large sources and networks in mind, and there is evidence: from almost any number of ImageNet layers
# {cite:t}`yosinski2014transferable` saw a gain that outlasts fine-tuning. It is a finding about those tasks. Keep scratch in the table.
#
# **"A small learning rate is the careful choice."** Careful about what? Rate times steps says how far the source is trusted. It is careful near a good source; with all
# pixels moved, the frozen base has the smallest rate of all.
#
# **"The farthest source is the least useful."** Let $w_s = -w_t$. It is at distance 2 and hurts more than any orthogonal source of its length. Yet
# the center $\alpha w_s$ with $\alpha = -1$ is perfect. A fitted $\alpha$ leaves at best $\lVert w_t\rVert\sin\theta$, with $\theta$ the angle between both, which is never more than zero leaves.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} What is L2-SP, and how does it differ from weight decay?
# A penalty on the distance from the *starting point*: biased ridge for networks. {cite:t}`li2018explicit` recommend it as the baseline penalty for fine-tuning.
# Ordinary decay pulls fine-tuned weights towards zero, away from where they started. A new head has no source and keeps ordinary decay.
# :::
#
# :::{dropdown} Has this been used in language?
# {cite:t}`chelba2004adaptation` adapted a model that restores capitals from newspaper text to broadcast transcripts, with a Gaussian prior around the
# newspaper weights. With 25 to 70 thousand words of new text they report some 20–25 % fewer errors, relative.
# :::
#
# :::{dropdown} How does domain adaptation differ from fine-tuning?
# {cite:t}`pan2010survey` call transfer *inductive* if the target's task differs, with some labels for it, and *transductive* if the task is
# the same, the domains differ, and the labels are the source's. Domain adaptation is of the second kind; fine-tuning needs target labels.
# :::
#
# :::{dropdown} Are there such thresholds beyond linear regression?
# For perceptrons, in a limit of many inputs, {cite:t}`dhifallah2021phase` derive a transition from negative to positive transfer as the two tasks get more alike. For
# large networks I know of no formula: measure.
# :::
#
# :::{dropdown} Why lower learning rates for lower layers?
# It is a prior of different strength per layer: trust the source's early features, which tend to be general, more than its late ones. ULMFiT does
# so {cite:p}`howard2018universal`. Freezing is rate zero.
# :::
#
# :::{dropdown} Probe first, then tune?
# A random head pulls at good features before it is right. Fitting it first keeps tuning nearer to the source; it helped out of distribution
# {cite:p}`kumar2022fine`. See [freeze, fine-tune or LoRA](finetune_strategies_lora).
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} biased_ridge
# ```

# %%
import numpy as np


def biased_ridge(X: np.ndarray, y: np.ndarray, w0: np.ndarray, lam: float) -> np.ndarray:
    """The w (D,) that minimizes ‖y − Xw‖² + lam ‖w − w0‖²; X (N, D), y (N,), w0 (D,)."""
    raise NotImplementedError


check("biased_ridge", biased_ridge)

# %% [markdown]
# ```{solution} biased_ridge
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`pan2010survey`: kinds of transfer, and negative transfer. {cite:t}`li2018explicit`: L2-SP.
# - {cite:t}`chelba2004adaptation`: a source as a Gaussian prior, in language.
# - {cite:t}`yosinski2014transferable`: which layers transfer. {cite:t}`dhifallah2021phase`: where transfer turns negative.
# - {cite:t}`kumar2022fine`: probe, then tune. {cite:t}`howard2018universal`: a rate per layer.
