# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 1
#     level: 3
#     needs: []
#     question_zh: 如何进行语言模型的隐私保护？
#     short: DP-SGD
#     source: S19
#     tasks:
#     - clip_and_noise
# ---

# %% [markdown]
# # Write DP-SGD. What does ε = 2.7 promise?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Clip each example's gradient to norm C, add up the batch, add Gaussian noise of standard deviation sigma times C,
# divide by the expected batch size. Clipping caps what one example can do, noise hides it, and an accountant adds up
# the steps. Epsilon 2.7 promises: whatever an attacker knows, any test for one example calls members "in" at most about
# fifteen times as often as non-members, plus delta. Without clipping, the same noise promises next to nothing.
#
# :::{dropdown} The two-minute answer
# A mechanism $M$ is $(\varepsilon, \delta)$-differentially private if $P(M(D) \in S) \le e^\varepsilon P(M(D') \in S) + \delta$ for all
# sets $S$ of outputs and all neighbors $D$, $D'$, which here differ by one example more or less. It is a property of the training
# algorithm, not of a model or a layer, and whatever is computed from the output inherits it.
#
# Each of $T$ steps draws every example on its own with probability $q$. The sum of clipped gradients then changes by at
# most $C$ when one example comes or goes, so noise of standard deviation $\sigma C$ hides it to a degree that depends on
# $\sigma$ alone. Being drawn seldom helps too. The privacy loss of the steps adds up as Rényi divergence, from which
# $\varepsilon$ follows at a chosen $\delta$, well below one over the number of examples.
#
# Not promised: that nothing is learned about you from others' data, that five records of yours are as safe as one, or
# anything about whoever sees the raw data. $\varepsilon$ is a worst case over data and attackers, and it is spent anew with every
# further use of the data, the search for hyper-parameters included.
#
# The price is accuracy, least where many examples share one noise. For language models: start from pretrained weights
# and take large batches.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: noise goes into training, not into a layer or the data, and it is scaled to the clipping norm.
# - Junior: clips each *example's* gradient, over all parameters jointly, before anything is summed.
# - Mid: divides by the expected batch size and adds noise to an empty batch too; says why.
# - Mid: states $\varepsilon$ together with $\delta$, the unit (example or person) and the neighbors (add or remove, or replace).
# - Mid: turns $\varepsilon$ into a bound on true and false positives, and names what it leaves open.
# - Senior: explains amplification by Poisson sampling, and that shuffled epochs do not earn it.
# - Senior: knows that accountants give upper bounds and attacks lower ones, and why the two do not meet.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from lmprep.data.corpora import digits
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.practice import check
from lmprep.training.optim import SGD
from lmprep.trust.privacy import (
    ORDERS,
    clip_and_noise,
    dp_sgd,
    epsilon,
    epsilon_lower_bound,
    epsilon_of_evidence,
    membership_game,
    per_example_gradients,
    rdp_subsampled_gaussian,
    rdp_to_epsilon,
)

device = setup()

# %% [markdown]
# ## A thousand coins, and the loss gives Ada away
#
# A clinic trains a logistic regression on seven patients, two measurements and a diagnosis each, and publishes it. Before training I toss a
# coin: on heads, Ada's record is in as well, an odd one, with the measurements of a healthy person and the diagnosis "sick". You
# have all eight records and the code. You get the published model. Heads or tails? We play a thousand times, each with
# fresh training.
#
# You may rehearse with as many models of your own as you like. Let your rule be the loss of the published model on Ada's record: say
# "heads" if it is nearer to what your models with her have than to those without. Three clinics play: ordinary SGD; the same with every
# patient's gradient clipped; and DP-SGD, which adds noise. Write down eight guesses for each before you look at the coins.

# %%
# Try: noise = sigma / 4, a trainer with a bug. The accountant still reads sigma and says 2.7,
# but dp_hides_her breaks, and at the end the thesis: Eve proves more than 2.7. Or max_norm = 0.1:
# models that fit Ada well clip her no longer, and Eve's best threshold misses the tight ε.
sample_rate, steps, sigma, delta = 0.2, 33, 2.0, 1e-4
noise, max_norm, no_clip = sigma, 0.02, 1e3  # no gradient here is longer than 1e3
games, plays = 1_000, 6_000  # for you; and of each kind, for the attacker at the end

records = torch.randn(8, 3, generator=generator(1))
records[:, 2] = 1.0
sick = (records[:, 0] > 0).float()
records[0], sick[0] = torch.tensor([-3.0, 0.0, 1.0]), 1.0  # Ada


def play(member: Tensor, noise: float, max_norm: float, k: int) -> tuple[Tensor, Tensor]:
    """Published models' losses on Ada's record, and a watcher's evidence, one for each game."""
    weights, evidence = membership_game(
        records, sick, member, num_steps=steps, sample_rate=sample_rate, learning_rate=1.0,
        max_norm=max_norm, noise_multiplier=noise, generator=generator(k))  # fmt: skip
    return F.softplus(-weights @ records[0]), evidence


trainers = {"ordinary": (0.0, no_clip), "clipped": (0.0, max_norm), "DP-SGD": (noise, max_norm)}
coins = torch.rand(400 + games, generator=generator(2)) < 0.5
hits = {}
print("loss on Ada: with, without    eight published models")
for k, (name, trainer) in enumerate(trainers.items(), start=3):
    losses, _ = play(coins, *trainer, k)
    with_ada, without = (losses[:400][coins[:400] == c].mean() for c in (True, False))
    hits[name] = ((losses[400:] < (with_ada + without) / 2) == coins[400:]).double().mean()
    print(f"{name:<12}{with_ada:5.2f}{without:7.2f} ", *map("{:6.2f}".format, losses[400:408]))

# %%
print("the coins: ", *("heads" if coin else "tails" for coin in coins[400:408]))
claim("loss_gives_her_away", "ordinary SGD: share of hits, guessing membership from one loss",
      hits["ordinary"], at_least=0.75)  # fmt: skip
claim("clipping_is_not_enough", "clipped, no noise: share of hits, guessing from one loss",
      hits["clipped"], at_least=0.7)  # fmt: skip
claim("dp_hides_her", "DP-SGD with ε = 2.7: share of hits, guessing membership from one loss",
      hits["DP-SGD"], at_most=0.68)  # fmt: skip

# %% [markdown]
# Nothing in the first model *is* Ada's record. Her pull on three weights was enough. Clipping alone weakens the pull
# but does not hide it. Against the noise you are right only a little more often than a coin would be.
#
# ## Cap one person's pull, then hide it
#
# Let $N$ be the size of the data set. Each example joins the batch $B$ on its own, with probability $q$ (Poisson sampling); $g_i$ is the
# gradient of its loss, all parameters in one vector. In each step DP-SGD publishes {cite:p}`abadi2016deep`
#
# $$
# \tilde g = \frac{1}{qN} \Big( \sum_{i \in B} g_i \min\!\big(1, \tfrac{C}{\lVert g_i \rVert}\big) + \sigma C z \Big),
# \qquad z \sim \mathcal N(0, I) .
# $$
#
# Add one example to the data and the sum moves by at most $C$, its *sensitivity*, whoever that is. Only then does
# $\sigma$, the noise in units of $C$, mean anything. The divisor is a number fixed in public beforehand, about $qN$:
# $|B|$ would itself depend on who was drawn. An empty batch gets its noise too, or a bare zero would tell that nobody
# was drawn.

# %%
show(per_example_gradients, clip_and_noise)

# %%
model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
x = torch.randn(9, 6, generator=generator(5)).double()
y = torch.randint(3, (9,), generator=generator(6))
ours = per_example_gradients(model, F.cross_entropy, x, y)
private = clip_and_noise(ours, max_norm=0.5, noise_multiplier=0.0, expected_batch_size=8,
                         generator=generator(7))  # fmt: skip

reference = GradSampleModule(model)
parameters = list(reference.parameters())
optimizer = DPOptimizer(SGD(parameters, lr=1.0), noise_multiplier=0.0,
                        max_grad_norm=0.5, expected_batch_size=8)  # fmt: skip
F.cross_entropy(reference(x.clone().requires_grad_()), y).backward()
agrees("per_example_gradients", "opacus.GradSampleModule",
       torch.cat([g.flatten(1) for g in ours.values()], dim=1),
       torch.cat([p.grad_sample.flatten(1) for p in parameters], dim=1), atol=1e-12)  # fmt: skip
optimizer.pre_step()  # opacus adds 1e-6 to the norms, which keeps it from dividing by 0
agrees("noiseless_step", "opacus.optimizers.DPOptimizer",
       torch.cat([g.flatten() for g in private.values()]),
       torch.cat([p.grad.flatten() for p in parameters]), atol=1e-6)  # fmt: skip

# %% [markdown]
# ## A model with its price tag
#
# DP-SGD needs no loop of its own. The book's `fit` takes any loss, so it is handed one whose gradient is $\tilde g$: the inner product of
# $\tilde g$ with the parameters. Any optimizer may follow, since it sees only what is published already.

# %%
show(dp_sgd)

# %%
data = digits().with_format("torch")
x, test_x = (data[split][:]["image"].flatten(1) for split in ("train", "test"))
y, test_y = (data[split][:]["label"] for split in ("train", "test"))


def private_accuracy(sigma: float, k: int) -> Tensor:
    """Test accuracy of a linear classifier of digits after DP-SGD."""
    model = nn.Linear(64, 10)
    dp_sgd(model, F.cross_entropy, x, y, optimizer=SGD(model.parameters(), lr=4.0),
           num_steps=steps, sample_rate=sample_rate, max_norm=1.0, noise_multiplier=sigma,
           generator=generator(k))  # fmt: skip
    return (model(test_x).argmax(1) == test_y).double().mean()


promised = epsilon(sample_rate, sigma, steps, delta)
sigmas = [0.7, sigma, 6.0, 16.0]
curve = {epsilon(sample_rate, s, steps, delta): private_accuracy(s, 10) for s in sigmas}
noiseless = private_accuracy(0.0, 10)
print(f"accuracy {curve[promised]:.3f} at ε = {promised:.2f}, {noiseless:.3f} without noise")
claim("cheap_at_2_7", "digits, ε = 2.7: test accuracy lost to the noise",
      noiseless - curve[promised], at_most=0.04)  # fmt: skip
claim("dear_at_the_end", "digits, ε below 0.3: test accuracy lost to the noise",
      noiseless - curve[min(curve)], at_least=0.15)  # fmt: skip

# %% [markdown]
# The same $q$, $\sigma$ and $T$ as in the clinic, hence the same $\varepsilon$: the promise does not depend on $N$. What the
# model is worth does. Its noise is shared by one or two patients a batch there, by two hundred digits here.
#
# ## The accountant adds up divergences
#
# Worst case in one step: Ada's clipped gradient has norm $C$. In units of $C$ and along her gradient, the published
# number is $\mathcal N(0, \sigma^2)$ without her and $(1 - q)\,\mathcal N(0, \sigma^2) + q\,\mathcal N(1, \sigma^2)$
# with her. The *privacy loss* is the logarithm of how many times likelier a published number is under one than under
# the other; the Rényi divergence of order $\alpha$ averages it, the more on its worst values the larger $\alpha$ is,
# and adds up over steps. For whole $\alpha \ge 2$ it is {cite:p}`mironov2019renyi`
#
# $$
# D_\alpha = \frac{1}{\alpha - 1} \log \sum_{k=0}^{\alpha} \binom{\alpha}{k} (1 - q)^{\alpha - k} q^k \, e^{k(k-1)/2\sigma^2} ,
# $$
#
# and the other direction is no larger. At $q = 1$ this is $\alpha / 2\sigma^2$; at small $q$ it shrinks about like
# $q^2$, as nobody knows in which steps she was: *amplification* by sampling. $T$ steps cost $T D_\alpha$, even if each
# step looks at the results of those before {cite:p}`mironov2017renyi`; after a while $\varepsilon$ grows about like
# $\sqrt T$, in the end linearly. Every $\alpha$ gives a valid $\varepsilon$ {cite:p}`balle2020hypothesis`, and the
# accountant takes the smallest:
#
# $$
# \varepsilon = \min_\alpha \; T D_\alpha + \log \frac{\alpha - 1}{\alpha} - \frac{\log \delta + \log \alpha}{\alpha - 1} .
# $$

# %%
show(rdp_subsampled_gaussian, rdp_to_epsilon)

# %%
opacus_accountant, tight_accountant = RDPAccountant(), PRVAccountant()
opacus_accountant.history = tight_accountant.history = [(sigma, sample_rate, steps)]
deltas = [1e-2, 1e-6, 1e-12]
agrees("epsilon", "opacus.accountants.RDPAccountant, same orders, three values of δ",
       [epsilon(sample_rate, sigma, steps, d) for d in deltas],
       [opacus_accountant.get_epsilon(d, alphas=ORDERS) for d in deltas], atol=1e-9)  # fmt: skip

# %% [markdown]
# ## 94 hits would be allowed; the strongest attacker gets far fewer
#
# Take $S$, in the definition, to be the outputs on which an attacker, Eve, says "in". With Ada, $P(M(D) \in S)$ is Eve's true positive rate,
# without Ada her false positive rate, and
#
# $$
# \mathrm{TPR} \le e^\varepsilon\,\mathrm{FPR} + \delta, \qquad
# 1 - \mathrm{FPR} \le e^\varepsilon (1 - \mathrm{TPR}) + \delta .
# $$
#
# This holds for every $S$, so for every attacker {cite:p}`wasserman2010statistical`. Add the two: of fair coins Eve gets at most a
# share $(e^\varepsilon + \delta)/(1 + e^\varepsilon)$ right. For $\varepsilon = 2.7$ that is 94 of 100. Its bite is at small error rates: if she wrongly accuses one in a thousand, she finds at most 1.5 % of the members.
#
# Does the trainer keep the promise? Let Eve know all but the coin, who else is drawn included, and watch each
# update: the accountant allows her that. She subtracts the others, and the likelihood ratio of what is left is, by Neyman and Pearson,
# the best test there is; its logarithm is her *evidence*. She says "in" above 1.5, fixed beforehand. Clopper–Pearson
# intervals around her two rates give the smallest $\varepsilon$ that they leave possible, with 95 % confidence: what she has *proven*.
#
# Likelihood ratios say more than counts. Each play with Ada also tells how likely the same numbers are without her:
# $e^{-\text{evidence}}$ times. So plays with Ada alone give both rates, for every threshold.

# %%
member = torch.arange(2 * plays) < plays
losses, evidence = play(member, noise, max_norm, 8)
_, unclipped = play(coins, noise * max_norm / no_clip, no_clip, 9)
proven = epsilon_lower_bound(evidence > 1.5, member, delta)
exposed = epsilon_lower_bound(unclipped > 1.5, coins, delta)
tight = tight_accountant.get_epsilon(delta)
ladder = {
    "proven: few false alarms, 95 % intervals": proven,
    "same threshold, endless plays": epsilon_of_evidence(evidence[member], delta, 1.5),
    "best threshold: far out, few plays": epsilon_of_evidence(evidence[member], delta),
    "tight accountant: worst case, met by Ada": tight,
    "promised: loss of the Rényi conversion": promised,
}
for name, value in ladder.items():
    print(f"ε = {value:.2f}  {name}")

# %% mystnb={"image": {"alt": "Two charts. Top: true against false positive rate, both logarithmic. Above a line of slope e to the epsilon lies the shaded forbidden region. Under DP-SGD, the attacker who watches every update and the one who sees only the loss of the published model run close together below it, nearest to it at the smallest rates. Without clipping the curve lies at a true positive rate of one, in the forbidden region. Bottom: test accuracy on digits against epsilon, logarithmic. It is nearly flat from 16 down to about 1 and falls steeply below."}} tags=["hide-input"]
_, (top, bottom) = plt.subplots(2, 1, figsize=(5.0, 6.8), height_ratios=(1.4, 1))
fpr, factor = torch.logspace(-4, 0, 200), torch.tensor(promised).exp()
most = torch.minimum(factor * fpr + delta, 1 - (1 - delta - fpr) / factor)
top.fill_between(fpr, most, 1.0, color="#f3e3d6", label=f"forbidden by ε = {promised:.1f}")
for name, score, is_in in (
    ("watches updates, no clipping", unclipped, coins),
    ("watches updates, DP-SGD", evidence, member),
    ("sees the model's loss, DP-SGD", -losses, member),
):
    false, true = score[~is_in].sort(descending=True).values, score[is_in].sort().values
    found = 1 - torch.searchsorted(true, false) / len(true)
    top.plot(torch.arange(1, len(false) + 1) / len(false), found, label=name, linewidth=1.5)
top.set(xscale="log", yscale="log", xlabel="false positive rate", ylabel="true positive rate")
top.set(xlim=(3e-4, 1), ylim=(1e-3, 1.5), title="Clipped: neither attack enters what ε forbids")
top.legend(loc="lower right")
bottom.plot(list(curve), list(curve.values()), "o-")
bottom.axhline(noiseless, color="#666666", linestyle=":")
bottom.set(xscale="log", xlabel=f"ε at δ = {delta}", ylabel="test accuracy (dotted: no noise)")
bottom.set_title("Digits: accuracy falls late")
plt.show()

# %%
claim("attacker_within_promise", "DP-SGD: ε that an attacker who sees every update proves, over ε promised",
      proven / promised, at_least=0.3, at_most=1.0, thesis=True)  # fmt: skip
claim("evidence_meets_accountant", "DP-SGD: ε at the best threshold over that of a tight accountant",
      epsilon_of_evidence(evidence[member], delta) / tight, at_least=0.8, at_most=1.3)  # fmt: skip
claim("unclipped_breaks_it", "no clipping, same noise: ε that the attacker proves over ε promised",
      exposed / promised, at_least=1.6)  # fmt: skip
watcher = ((evidence > 0) == member).double().mean()
reader = ((losses < losses.mean()) == member).double().mean()
print(f"share of hits: watching every update {watcher:.3f}, from the loss alone {reader:.3f}")
claim("loss_is_enough", "DP-SGD: the watcher's share of hits minus that of one who sees only the loss",
      watcher - reader, at_most=0.03)  # fmt: skip

# %% [markdown]
# Eve proves about half of what is promised. Intervals around a handful of false alarms take the first piece, her threshold the
# second: the best lies near ε itself, where hardly a play ends. With it she meets the tight accountant {cite:p}`gopi2021numerical`, which
# tracks the whole distribution of the privacy loss, because Ada *is* its worst case: at this $C$ her gradient is always clipped to
# length $C$. The last piece is lost in converting Rényi divergences.
#
# The proof alone is a blunt test: a trainer with half the noise would pass it. The claim on her evidence fails him, but takes Eve's likelihoods
# on trust. Without clipping Ada's gradient is up to $\sqrt{10}$ long, far beyond $C$, and the same noise hides nothing.
#
# For a record this odd, the loss of the published model tells nearly as much as all its updates.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"We add Gaussian noise to the gradients, so training is private."** Ask back: *noise of what size, compared with what?* Without a bound on one
# example's gradient there is no such size: whoever's gradient is long enough is seen through any noise. That is the unclipped curve above.
#
# **"`clip_grad_norm_` is on already, so only noise is missing."** That clips the batch's mean. If her gradient is long
# enough, one person can still move it by as much as $2C$, from one end of the ball to the other, while noise of
# $\sigma C/qN$ was meant to hide a move of $C/qN$.
#
# **"With ε this small, the model cannot reveal that Ada is sick."** Suppose everyone with her measurements is. The model says so, whether or
# not she took part, and ε does not count that. It bounds what changes through *her* record.
#
# **"The names are removed, and training is federated, so we need no DP."** They are against different attackers.
# Records without names can be linked to others that have them; updates and finished models still carry what they were
# trained on. DP is the one of the three that bounds what the published model says about a member.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why Poisson sampling? My loader shuffles.
# The amplification proof needs every example drawn on its own, hidden among steps. Shuffled epochs use each example exactly once an epoch, and can
# leak substantially more than the Poisson figure that is often reported for them {cite:p}`chua2024private`. Batches of fixed size have a
# bound of their own, for neighbors that *replace* an example, where the sum can move by $2C$ {cite:p}`wang2019subsampled`.
# :::
#
# :::{dropdown} What is δ, and how small?
# The slack in the inequality: roughly, the probability that the factor $e^\varepsilon$ does not hold. Publishing one random record in the clear
# is $(0, 1/N)$-private, so $\delta$ must lie well below $1/N$. An ε without its δ says nothing.
# :::
#
# :::{dropdown} Is 2.7 a good ε?
# There is no threshold in the theory. A widely used guide calls $\varepsilon \le 1$ strong, up to 10 reasonable and more than that weak by itself
# {cite:p}`ponomareva2023dpfy`. Compare only with the same unit, neighbors and δ.
# :::
#
# :::{dropdown} One person has five records. What holds for her?
# Perhaps nothing. Pure DP degrades to $5\varepsilon$; with $\delta$, the generic bound is $(5\varepsilon, 5e^{4\varepsilon}\delta)$, and at
# $\varepsilon = 2.7$, $\delta = 10^{-4}$ that slack is above 1. If people are to be protected, sample
# and clip by person: one sum over her records, clipped once.
# :::
#
# :::{dropdown} Why is batch norm forbidden?
# Each output depends on the whole batch, so no gradient belongs to one example and clipping bounds nothing; its running
# statistics are published without noise as well. Group or layer norm takes its place.
# :::
#
# :::{dropdown} How would you fine-tune a language model with DP?
# From public pretrained weights, with large batches, so that the noise is shared, and higher learning rates; then larger models do not do worse
# {cite:p}`li2022large`. LoRA makes per-example gradients small enough to store {cite:p}`yu2022differentially`; ghost clipping gets their norms
# without storing them. Fewer trained parameters save memory, not necessarily accuracy. Ask whether the unit is a sentence, a document or an author.
# :::
#
# :::{dropdown} Does it matter which random numbers?
# Yes. The proof needs noise that an attacker cannot predict: from a known seed, or a Mersenne Twister whose outputs show its state,
# it can be subtracted. Production wants a cryptographically secure one (opacus: `secure_mode`).
# :::
#
# :::{dropdown} I tried fifty learning rates. What is my ε?
# Larger: the choice depends on the private data too. Composing all fifty is valid and wasteful; choosing the best of a random number of
# runs costs far less {cite:p}`papernot2022hyperparameter`.
# :::
#
# :::{dropdown} The attacker proved less than ε. Ship a smaller number?
# No. An audit shows a lower bound for this data, this attack and so many plays; only the proof bounds all attacks. Audits find
# bugs, where they exceed the promise {cite:p}`nasr2023tight`.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} clip_and_noise
# ```

# %%
import torch


def clip_and_noise(
    gradients: dict[str, torch.Tensor],
    max_norm: float,
    noise_multiplier: float,
    expected_batch_size: float,
    generator: torch.Generator,
) -> dict[str, torch.Tensor]:
    """The noisy mean gradient of DP-SGD.

    gradients: by parameter, (B, *shape), one row an example; B may be 0.
    Returns by parameter, (*shape), in the dtype of its gradients.
    """
    raise NotImplementedError


check("clip_and_noise", clip_and_noise)

# %% [markdown]
# ```{solution} clip_and_noise
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`abadi2016deep`: DP-SGD. {cite:t}`yousefpour2021opacus`: the library compared with.
# - {cite:t}`mironov2017renyi`, {cite:t}`mironov2019renyi`: Rényi differential privacy, and that of the sampled Gaussian.
# - {cite:t}`balle2020hypothesis`: from Rényi to ε. {cite:t}`gopi2021numerical`: the tight accountant.
# - {cite:t}`wasserman2010statistical`: privacy as a bound on tests. {cite:t}`nasr2023tight`: audits.
