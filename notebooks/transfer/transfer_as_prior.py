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
# alike in all directions, at equal penalty, that helps on average exactly when the source is closer to the target than zero
# is. The number of examples decides how much, not whether. A bad source hurts most where training cannot leave it, as in frozen
# layers. So choose learning rate, penalty and starting point, with scratch among them, on held-out data.
#
# :::{dropdown} The two-minute answer
# *Biased ridge* minimizes squared error plus $\lambda\lVert w - w_s\rVert^2$, with the source's weights $w_s$ as center: ridge on what the
# source fails to predict. Its expected error is squared bias plus variance. The variance does not know where
# the center lies. If inputs vary alike, the squared bias is the squared distance from center to target $w_t$, times a factor that
# data and $\lambda$ set. So the center $w_s$ beats the center zero if $\lVert w_s - w_t\rVert < \lVert w_t\rVert$. If inputs do not vary alike, it
# also matters *where* the source errs, and then the number of examples can change the sign too.
#
# The best $\lambda$ is $D\sigma^2/\lVert w_s - w_t\rVert^2$, for $D$ weights and noise $\sigma$: the farther the source, the looser. With
# each side at its best $\lambda$ the crossing stays where it was. With more examples than weights, a bad source then costs at
# most what least squares costs. With fewer, directions that no example shows keep the source's weights
# at any $\lambda$, so the harm has no bound, unless held-out error may choose another center.
#
# Few steps and a small learning rate are the same prior without a penalty. A *probe*, a new head on frozen features, is the
# extreme: the features cannot move at all. In a network there is no such formula; distances between weights mean little
# there. But the order is the same: the frozen base wins most with a near source and loses most with a far one.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: tells *feature extraction* (frozen base, new head) from *fine-tuning* (source weights as a start) and *domain
#   adaptation* (same task, other inputs); knows that transfer can hurt.
# - Mid: writes the penalty around $w_s$, solves it as ridge on residuals, and reads it as a Gaussian prior.
# - Mid: splits the error into bias and variance, finds the crossing, and names the assumption: inputs that vary alike.
# - Mid: few steps or a small learning rate act as the same prior, and the best strength falls with distance.
# - Senior: with fewer examples than weights no penalty removes a bad source; lets held-out error choose, with scratch among the choices.
# - Senior: asks where a source errs: along inputs that vary much it costs most, until the data have corrected it.
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
# Your eyes need −3 diopters. Your uncle's glasses, −4.5, leave you off by 1.5, better than none. Your
# daughter's, +1, leave you off by 4, worse than none. Now an optician takes readings, each with the same noise, and averages
# them with the pair in your hand, counted as four readings. After four readings, half of the first error is gone on average;
# after 36, nine tenths:
#
# | off on average by | no glasses | uncle's | daughter's |
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
# every vector $v$, and the expected errors differ by $c\,(\lVert w_s - w_t\rVert^2 - \lVert w_t\rVert^2)$. Data and penalty set $c$; only distances set the sign.

# %%
show(biased_ridge, expected_error)

# %%
X = rng(8).standard_normal((12, 30))
y, w_s = X.sum(axis=1) ** 2, np.linspace(1, 3, 30)
# λ = 3. As a penalty, it is D more examples that say √λ w = √λ w_s.
longer = np.vstack([X, np.sqrt(3.0) * np.eye(30)])
theirs = np.linalg.lstsq(longer, np.append(y, np.sqrt(3.0) * w_s))[0]
agrees("biased_ridge", "numpy.linalg.lstsq, one more row per weight",
       biased_ridge(X, y, w_s, 3.0), theirs, atol=1e-10)  # fmt: skip

# %% [markdown]
# Now simulate: one target of length 1, and sources
# that differ from it only in the first half of the weights, or only in the second. Nothing about the weights is random; if no direction is
# special, that comes from the inputs. The error is that of predictions for new inputs, the mean of $(x \cdot (\hat w - w_t))^2$.

# %%
# Try: loud = 2.0. The first half of the inputs then varies twice as much as the second,
# directions differ, and the thesis breaks.
loud = 1.0
D, noise, draws = 40, 0.5, 80
distances = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 3.0])
target = np.full(D, D**-0.5)
first, second = np.repeat(np.eye(2), D // 2, axis=1) / (D // 2) ** 0.5  # of length 1


def errors(wrong: np.ndarray, N: int, lam: float, loud: float) -> np.ndarray:  # (1 + R,)
    """From zero, and from sources at R distances in the direction `wrong`."""
    random, scale, found = rng(1), np.where(first > 0, loud, 1.0), []
    starts = np.vstack([np.zeros(D), target + distances[:, None] * wrong])
    for _ in range(draws):
        X, y = prior.noisy_examples(N, target, scale, noise, random)
        for outputs in (y, 2 * X @ target - y):  # the noise with both signs: less chance
            fits = np.array([biased_ridge(X, outputs, start, lam) for start in starts])
            found.append((((fits - target) * scale) ** 2).sum(axis=1))
    return np.mean(found, axis=0)


def helps_up_to(found: np.ndarray) -> float:
    return np.interp(0, found[1:] - found[0], distances**2) ** 0.5


simulated = {}
for N, lam in ((10, 10.0), (10, 50.0), (20, 10.0), (80, 10.0), (80, 50.0)):
    simulated[N, lam] = [errors(wrong, N, lam, loud) for wrong in (first, second)]
    print(f"{N} examples, λ = {lam:.0f}: sources help up to distance",
          *(f"{helps_up_to(found):.3f}" for found in simulated[N, lam]))  # fmt: skip

# %%
claim("sign_flips_at_the_norm", "where sources stop helping, in lengths of the target: largest deviation from 1",
      max(abs(helps_up_to(found) - 1) for pair in simulated.values() for found in pair),
      at_most=0.12, thesis=True)  # fmt: skip

# %% [markdown]
# With 10 examples for 40 weights or with 80, and wherever the source errs, its gain changes sign at the same distance.
#
# ## If inputs vary unequally, it matters where a source errs
#
# Now let the first half of the inputs be *loud* and vary three times as much as the second. There a squared error in a weight counts ninefold, but data also correct
# it first: the bias is $\lambda A^{-1}(w_s - w_t)$, and $A^{-1}$ is small along directions with much variation.

# %%
loud_few, loud_many = (helps_up_to(errors(first, N, 10.0, loud=3.0)) for N in (10, 80))
quiet_many = helps_up_to(errors(second, 80, 10.0, loud=3.0))
claim("loud_errors_cost_first", "10 examples, source wrong in the loud half: helps up to distance",
      loud_few, at_most=0.9)  # fmt: skip
claim("loud_errors_are_corrected", "80 examples, source wrong in the loud half: helps up to distance",
      loud_many, at_least=1.4)  # fmt: skip
claim("quiet_errors_stay", "80 examples, source wrong in the quiet half: helps up to distance",
      quiet_many, at_most=0.88)  # fmt: skip

# %% [markdown]
# With few examples the loud error is not corrected yet, and its weight decides: such a source has to be nearer than zero is. With many, it is
# corrected, and a source may be wrong there by far more. The quiet half is then what remains: a source that errs there can be nearer than zero and
# hurt. So the number of examples decides *how much* if inputs vary alike; if they do not, it can decide *whether*.
#
# ## A penalty can loosen a bad source; with few examples only another center removes it
#
# Back to inputs that vary alike. Along a direction in which $X^\top X$ has the eigenvalue $s^2$, a source at distance $\delta = \lVert w_s - w_t\rVert$ has on average the squared error
# $(\lambda^2\delta^2/D + \sigma^2 s^2)/(s^2+\lambda)^2$, least at $\lambda = D\sigma^2/\delta^2$ for every $s$. Give each side its
# best $\lambda$: the error still grows with $\delta$, so the crossing stays. And as $\delta$ grows, $\lambda$ goes to zero. For $N \ge D$ that leaves
# least squares. For $N < D$ some directions are in no example. There $s = 0$, every $\lambda$ keeps the source's
# weights, and on average a share $1 - N/D$ of $\delta^2$ stays.
#
# Nobody knows $\delta$, though. *Leave-one-out* error, each example predicted by a fit to the others, can choose $\lambda$ and
# the center, source or zero. For ridge it needs no refitting: divide each residual by one minus the matching diagonal entry of $XA^{-1}X^\top$.

# %%
centers = np.vstack([np.zeros(D), target + distances[:, None] * first])


def with_best_penalty(N: int, distance: float) -> float:
    random, lam = rng(2), D * noise**2 / distance**2
    inputs = [prior.noisy_examples(N, target, np.ones(D), noise, random)[0] for _ in range(40)]
    return np.mean([sum(expected_error(X, distance * first, noise, lam)) for X in inputs])


def chosen_by_leave_one_out(N: int) -> np.ndarray:  # (R,)
    random, found = rng(3), []
    for _ in range(100):
        X, y = prior.noisy_examples(N, target, np.ones(D), noise, random)
        # (L, 1 + R) and (L, 1 + R, D) for L penalties, zero and R sources
        losses, fits = prior.leave_one_out(X, y, centers, [1, 3, 10, 30, 100, 300])
        error = ((fits - target) ** 2).sum(axis=2)[losses.argmin(axis=0), range(len(centers))]
        leave = losses.min(axis=0)[1:] >= losses[:, 0].min()  # the source for zero
        found.append(np.where(leave, error[0], error[1:]))
    return np.mean(found, axis=0)


tuned = {N: np.array([with_best_penalty(N, r) for r in (*distances, 30)]) for N in (20, 80)}
chosen = {N: chosen_by_leave_one_out(N) for N in (20, 80)}

# %% mystnb={"image": {"alt": "Two charts, 20 examples above and 80 below, of error on a logarithmic axis against the distance of source and target, from a quarter of the target's length to three lengths. Both charts share one scale. The flat line of ridge from zero meets both rising lines from the source at distance 1. Above, both keep rising steeply. Below, the line with the best penalty flattens, the one with a fixed penalty goes on. Diamonds, chosen by leave-one-out, start far below the flat line and stay near it beyond distance 1, in both charts."}} tags=["hide-input"]
fig, panels = plt.subplots(2, 1, figsize=(6.6, 6.4), sharex=True, sharey=True)
panels[0].set_title("20 examples: no λ removes a bad source, zero does")
panels[1].set_title("80 examples: a loose λ limits the harm")
for ax, N in zip(panels, (20, 80), strict=True):
    zero, *sources = simulated[N, 10.0][0]
    ax.plot(distances, np.full(len(distances), zero), color="C6", label="from zero")
    ax.plot(distances, sources, "o-", color="C1", label="source, λ = 10")
    ax.plot(distances, tuned[N][:-1], "--", color="C0", label="source, best λ")
    ax.plot(distances, chosen[N], "D:", color="C2", label="leave-one-out")
    ax.set(ylabel="squared error", yscale="log", xlim=(0.2, 4), ylim=(0.04, 8))
    label_lines(ax)
panels[-1].set_xlabel("distance from source to target, in lengths of the target")
plt.show()

# %%
claim("few_leave_no_bound", "20 examples, best λ: error at distance 30 over error at distance 3",
      tuned[20][-1] / tuned[20][-2], at_least=50, unit="×")  # fmt: skip
claim("many_leave_a_bound", "80 examples, best λ: error at distance 30 over error at distance 3",
      tuned[80][-1] / tuned[80][-2], at_most=2, unit="×")  # fmt: skip
claim("choice_removes_the_harm", "20 examples, source at distance 3: error with its best λ over leave-one-out's",
      tuned[20][-2] / chosen[20][-1], at_least=3, unit="×")  # fmt: skip

# %% [markdown]
# Near distance 1 leave-one-out pays a little for choosing from few examples. Far out it sees the harm and goes back to zero.
# (Here $\lambda = 10$ is the best for zero: $40 \cdot 0.25 / 1$.)
#
# ## A few steps from the source are the same prior
#
# Fine-tuning has no penalty. But gradient descent from $w_s$ with rate $\eta$, stopped after $t$ steps, has shrunk the residual along
# each direction by $(1-\eta s^2)^t$, [nearly what ridge does](../training/l1_l2_bayes) at $\lambda = 1/(\eta t)$. So the rule for $\lambda$ turns into one for steps:
# $\eta t = \delta^2/(D\sigma^2)$. A source at half the distance wants a quarter of the steps. Each step adds only rows of $X$: along
# directions that no example shows, plain descent leaves the source's weights as they are.

# %%
random, lam, found = rng(4), D * noise**2 / 0.5**2, []
source = target + 0.5 * first
for _ in range(draws):
    X, y = prior.noisy_examples(20, target, np.ones(D), noise, random)
    rate, stopped = 0.2 / np.linalg.norm(X, 2) ** 2, source
    for _ in range(round(1 / (rate * lam))):
        stopped = stopped + rate * X.T @ (y - X @ stopped)
    fits = np.array([source, stopped, biased_ridge(X, y, source, lam)])
    found.append(((fits - target) ** 2).sum(axis=1))
untrained, stopped, ridge = np.mean(found, axis=0)
claim("stopping_is_the_prior", "gain over the untrained source: stopped descent's share of biased ridge's",
      (untrained - stopped) / (untrained - ridge), at_least=0.7)  # fmt: skip

# %% [markdown]
# ## On digits the frozen base wins most and loses most
#
# In networks no such formula holds: permute the hidden units, and the function is the same at another place. So measure, on 8 × 8 digits, with one
# hidden layer of 64 units (the *base*) and a linear head. The source has seen 350 images of all ten digits. The target has twenty labeled images and comes in four
# forms: the same task; the same with all pixels permuted in a fixed way; only the digits 5–9; and 5–9 again, from a second
# source that has seen as many images, but only of 0–4.
#
# Four arms: the base comes from the source or is random, and it is frozen or tuned. A frozen base with a new head is *feature
# extraction*, or a *probe*; "random base, tuned" is scratch. Every arm has the same new head, images and 30 updates, in five draws. Each
# chooses the best of three learning rates on 355 validation images. That is more help than a target of twenty images would have, but the same for all.
# The networks of all draws and targets train side by side, as a first axis $R$ of the weights.

# %%
show(prior.Networks.forward, prior.train_networks)

# %%
splits = digits().with_format("torch")
images = {name: split[:]["image"].flatten(1) for name, split in splits.items()}
labels = {name: split[:]["label"] for name, split in splits.items()}
targets = ("same", "permuted", "0–9 → 5–9", "0–4 → 5–9")
R, S, sizes, g = 5, len(targets), (64, 64, 10), generator(5)


def trained_source(pool: torch.Tensor) -> prior.Networks:
    picks = pool[torch.randint(len(pool), (80, R, 64), generator=g)]
    batches = [(images["train"][pick], labels["train"][pick]) for pick in picks]
    networks = prior.Networks(R, sizes, g)
    prior.train_networks(networks, batches, lr=0.01, num_steps=80)
    return networks


wide = trained_source(torch.arange(350))
narrow = trained_source((labels["train"][:720] < 5).nonzero()[:350, 0])

orders, rows = torch.arange(64).repeat(S * R, 1), []
orders[R : 2 * R] = torch.rand(R, 64, generator=g).argsort()  # the second target's
for name in targets:
    asked, each = (range(5, 10), 4) if "→" in name else (range(10), 2)
    for _ in range(R):
        pool = 720 + torch.randperm(len(labels["train"]) - 720, generator=g)
        rows.append(torch.cat([pool[labels["train"][pool] == k][:each] for k in asked]))
rows = torch.stack(rows)  # (SR, 20)
seen = {name: split[:, orders].transpose(0, 1) for name, split in images.items()}
shots = seen["train"].gather(1, rows[..., None].expand(-1, -1, 64)), labels["train"][rows]
start = prior.Networks(S * R, sizes, g)  # for every arm the same heads and random bases
bases_from = [wide, wide, wide, narrow]


@torch.no_grad()
def right(model: prior.Networks, split: str) -> torch.Tensor:  # (S, R) shares
    hits = (model(seen[split]).argmax(dim=-1) == labels[split]).double()  # (SR, M)
    high = hits[:, labels[split] >= 5].mean(dim=1).view(S, R)
    return torch.cat([hits.mean(dim=1).view(S, R)[:2], high[2:]])


def arm(from_source: bool, frozen: bool) -> torch.Tensor:  # (S,)
    valid, test = [], []
    for lr in (0.003, 0.01, 0.03):
        model = copy.deepcopy(start)
        if from_source:
            model.base.data = torch.cat([source.base.data for source in bases_from])
            model.base_bias.data = torch.cat([source.base_bias.data for source in bases_from])
        prior.train_networks(model, [shots], lr=lr, num_steps=30, frozen=frozen)
        valid.append(right(model, "validation").mean(dim=1))
        test.append(right(model, "test").mean(dim=1))
    return torch.stack(test)[torch.stack(valid).argmax(dim=0), range(S)]  # each target's best


arms = {"source, frozen": arm(True, True), "source, tuned": arm(True, False),
        "random, frozen": arm(False, True), "random, tuned": arm(False, False)}  # fmt: skip
print(f"{'right on test':<15}", *(f"{name:>11}" for name in targets))
for name, found in arms.items():
    print(f"{name:<15}", *(f"{value:11.3f}" for value in found))

# %%
frozen, tuning, _, scratch = arms.values()
claim("frozen_wins_if_near", "same task: share right, frozen base of the source minus scratch",
      frozen[0] - scratch[0], at_least=0.06)  # fmt: skip
claim("frozen_loses_if_far", "permuted pixels: share right, frozen base of the source minus scratch",
      frozen[1] - scratch[1], at_most=-0.05)  # fmt: skip
claim("tuning_leaves", "permuted pixels: share right, source's base tuned minus frozen",
      tuning[1] - frozen[1], at_least=0.06)  # fmt: skip
claim("source_classes_decide", "5–9, frozen base: share right, source of 0–9 minus source of 0–4",
      frozen[2] - frozen[3], at_least=0.1)  # fmt: skip

# %% [markdown]
# On the same task both source bases beat scratch clearly. With permuted pixels the frozen one is last, behind even a frozen *random* base:
# what it has learned is worse than nothing here. Tuning on the same twenty images gets most of the loss back, since it may leave the source;
# that is the loose $\lambda$ of this model. It is no gain over scratch.
#
# The last two columns share their target, in fresh draws; only the classes that shaped the source's features differ. The base from a source
# that has seen 5–9 among others beats scratch, frozen or tuned. The one from 0–4 is, frozen, behind a random one; tuned, it does not beat scratch. The networks are tiny;
# what carries over is the comparison, with scratch and random features in it.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"I load VGG16, `model.layers.pop()`, add `Dense(10)` on `model.output`, and fit."** The pop only
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
# **"A small learning rate is the careful choice."** Careful about what? Rate times steps says how far the source is trusted. It is careful near a good source; with
# permuted pixels, the frozen base, which has rate zero, comes out last.
#
# **"The farthest source is the least useful."** Let $w_s = -w_t$. It is at distance 2 and hurts more than any orthogonal source of its length. Yet
# the center $\alpha w_s$ with $\alpha = -1$ is perfect. A fitted $\alpha$ leaves at best the distance $\lVert w_t\rVert\sin\theta$, with $\theta$ the angle between both: never more than from zero.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} How does L2-SP differ from weight decay?
# It penalizes the distance from the *starting point*: biased ridge for networks. {cite:t}`li2018explicit` recommend it as the baseline penalty for fine-tuning.
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
# It is a prior of different strength per layer: early features tend to be general and are trusted more. ULMFiT does so
# {cite:p}`howard2018universal`. Freezing is rate zero. See [freeze, fine-tune or LoRA](finetune_strategies_lora).
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
# - {cite:t}`howard2018universal`: a rate per layer.
