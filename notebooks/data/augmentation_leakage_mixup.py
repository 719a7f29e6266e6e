# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs:
#     - class_imbalance
#     question_zh: 如何进行语言模型的数据增强？验证集准确率突然提高三十个百分点，为什么不可信？
#     short: Leakage, near-duplicates, mixup
#     source: S29
#     tasks:
#     - mixup
# ---

# %% [markdown]
# # Augmentation raised validation accuracy by 30 points. Why don't you believe it?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Because one common mistake gives such a jump for free: copying texts before the split, so that nearly every validation text has an
# altered twin in training. I rerun the pipeline on coin-flip labels. It should score about fifty percent; if it scores clearly more, something leaks. Then I
# split by origin, look for near-duplicates with MinHash where the origin is unknown, and augment the training side alone.
# Mixup I judge by log loss, against label smoothing, a fitted temperature and early stopping.
#
# :::{dropdown} The two-minute answer
# A copy carries its original's label. If the two land on different sides of the split, looking up the twin is enough, whatever the label
# means. Coin flips show this because nothing else can predict them. They find leaks by *identity*; a feature that gives the true
# label away, or a date from the future, passes the test.
#
# The unit of the split is what was drawn independently: the source text, the author, the product. If nobody recorded it,
# near-duplicates stand in. Two texts are compared by the share of their shingles, short runs of characters, that they have in common (Jaccard
# similarity). MinHash estimates it from a short signature, and banding finds similar pairs without
# comparing all. Chains of pairs form groups, and whole groups are dealt to one side.
#
# Mixup trains on weighted averages of two examples and of their labels. Taken alone, the mixed labels amount on average to label smoothing. So a gain in log loss
# counts as mixup's only if it exceeds what smoothing, a fitted temperature and early stopping give.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: splits first, then augments the training side; validation and test texts stay as they came.
# - Junior: knows what random labels must score, and runs them through the whole pipeline.
# - Mid: splits by group, and says what a group is here.
# - Mid: explains why two MinHash values agree with probability Jaccard, and what bands and rows trade.
# - Mid: writes mixup with one permutation for inputs and labels.
# - Senior: names leaks that coin flips do not show, and duplicates that MinHash does not see.
# - Senior: separates mixup's inputs from its labels, and compares with a fitted temperature and early stopping.

# %% tags=["hide-input"]
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lmprep.data import leakage
from lmprep.data.corpora import chinese_reviews, english_text, normalize_text
from lmprep.data.leakage import jaccard, neighbor_accuracy, shingles
from lmprep.data.mixup import mixup
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, setup, show
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

device = setup()

# %% [markdown]
# ## Four copies per review, and coin flips score like the truth
#
# Take 400 Chinese reviews, and make four copies of each with a tenth of the characters deleted at random. The classifier answers with the label of
# the most similar training text. Similar means sharing a large part of their distinct characters: pure memory, without a knob to
# tune. Beside its true label, each review gets a second one by the toss of a coin, and its copies inherit both.

# %%
# Try: share = 0.6. The leak stays, MinHash links few of the copies, and the thesis breaks.
num_reviews, num_copies, share = 400, 4, 0.1

reviews = chinese_reviews()
order = rng(1).permutation(len(reviews["train"]))
sample = reviews["train"].select(order[:num_reviews])[:]
texts, praise = sample["text"], np.array(sample["label"])
coin = rng(2).integers(2, size=num_reviews)


# The text without a random share of its characters.
def thinned(text: str, share: float, random: np.random.Generator) -> str:
    kept = "".join(c for c in text if random.random() >= share)
    return kept if kept.strip() else text


random = rng(3)
rows = texts + [thinned(text, share, random) for _ in range(num_copies) for text in texts]
origin = np.tile(np.arange(num_reviews), 1 + num_copies)  # of each row
print(*(text[:40] for text in rows[: 3 * num_reviews : num_reviews]), sep="\n")

# %%
similarity = leakage.jaccard_matrix([shingles(row, 1) for row in rows])
score = {}  # accuracy with true labels, with coin flips


def measure(name: str, groups: np.ndarray, **sides: int) -> None:
    score[name] = [neighbor_accuracy(similarity, y[origin], groups, rng(4), **sides)
                   for y in (praise, coin)]  # fmt: skip
    print("{:36} true labels {:.3f}   coin flips {:.3f}".format(name, *score[name]))


measure("no copies", origin, trained=num_reviews, tested=num_reviews)
measure("copy, then split by row", np.arange(len(rows)))
measure("split, then copy the training side", origin, tested=num_reviews)
claim("jump_is_leak", "true labels: accuracy that copies add before the split, less what they add after it",
      score["copy, then split by row"][0] - score["split, then copy the training side"][0], at_least=0.18)  # fmt: skip

# %% [markdown]
# With copies made first, accuracy on true labels rises by about as much as the interviewer said, and on coin flips by even more: the score now measures how
# well a twin is recognized. With copies on the training side alone, coin flips are back near one half, and
# true labels gain next to nothing from them. Copies of a rare class leak in the same way: [class imbalance](class_imbalance).
#
# Grouping by origin needs a column that says where a row came from. A scraped corpus has none.
#
# ## The lowest of all ranks lies in both texts as often as they overlap
#
# A *shingle* is a run of $n$ characters. Let $A$ and $B$ be the sets of shingles of two texts; their Jaccard similarity is
# $J = |A \cap B| / |A \cup B|$. Give every shingle a random rank. Each element of $A \cup B$ is equally likely to have the lowest rank in the union.
# If that element lies in both sets, it is the minimum of both; if not, the minima differ. So
# the minima agree with probability $J$. With $k$ independent rankings, the share of agreeing places estimates $J$ without bias and with
# standard deviation $\sqrt{J(1 - J)/k}$ {cite:p}`broder1997resemblance`.
#
# *Banding* saves comparing all pairs. Cut the $k$ places into $b$ bands of $r$; two texts are reported if they agree in all of
# at least one band. One band agrees with probability $J^r$, so the pair is reported with probability $1 - (1 - J^r)^b$. The chance climbs
# steeply around $J \approx (1/b)^{1/r}$: 0.42 for $r = 4$, $b = 32$.

# %%
show(leakage.signatures, leakage.candidate_pairs)

# %% [markdown]
# Two trials on this book's English corpus. First, does banding report pairs as often as the formula says? Every other passage of 100 characters
# or more gets a planted copy with up to a fifth of its characters deleted, and the exact similarity of each copy is computed for comparison.
# Second, the corpus loader drops every paragraph that occurred before. Which near-duplicates, pairs with $J \ge 0.7$, are left? At 0.7
# banding misses a pair with probability $(1 - 0.24)^{32}$, about 2 in 10,000.

# %%
passages = [(text, split) for split, topics in english_text().items() for topic in topics["text"]
            for text in topic.split("\n\n") if len(normalize_text(text)) >= 100]  # fmt: skip
sets, random = [shingles(text) for text, _ in passages], rng(5)
planted = [shingles(thinned(text, random.uniform(0, 0.2), random)) for text, _ in passages[::2]]
exact = np.array(list(map(jaccard, sets[::2], planted)))
signature = leakage.signatures(sets[::2] + planted, 4 * 32, rng(6))
estimate = np.equal(*np.split(signature, 2)).mean(axis=1)
pairs = leakage.candidate_pairs(signature, bands=32)
reported = np.array([(i, i + len(exact)) in pairs for i in range(len(exact))])
chance = leakage.chance_of_report(exact, rows=4, bands=32)
columns = np.stack([exact, estimate, reported, chance])[:, exact.argsort()]
table = np.array([fifth.mean(axis=1) for fifth in np.array_split(columns, 5, axis=1)])
print("planted copies, in fifths: mean J, estimate, reported, 1 − (1 − Jʳ)ᵇ")
print(table.round(3))
claim("reports_as_derived", "planted copies, in fifths by similarity: largest gap between share reported and formula",
      abs(table[:, 2] - table[:, 3]).max(), at_most=0.16)  # fmt: skip

# %%
similar = leakage.near_duplicates(sets, 0.7, rng(7), rows=4, bands=32)
crossing = {pair: J for pair, J in similar.items() if len({passages[i][1] for i in pair}) > 1}
for text, split in (passages[i] for i in max(crossing, key=crossing.get)):
    print(f"{split}: {normalize_text(text)[:86]}")
claim("repeats_remain", "English corpus without repeated paragraphs: near-duplicate pairs across its split",
      len(crossing), at_least=1)  # fmt: skip

# %% [markdown]
# The estimate and the share reported follow their formulas, up to the luck of about a hundred pairs per row. Dropping equal paragraphs has left a few near-duplicates,
# and some straddle the split: the closest such pair is printed. In standard corpora of language models,
# {cite:t}`lee2022deduplicating` found over 4 % of the validation set to overlap with the training set.
#
# ## Groups found from the text alone bring coin flips back to one half
#
# Back to the reviews, now without their origins. A Chinese word has about two characters, so shingles have two here. Two copies of one review are less like each other
# than like the review, so pairs count from $J = 0.3$, and bands have three places. Chains of pairs become groups. For
# comparison, groups of the same sizes are dealt to the rows at random.

# %%
pairs = leakage.near_duplicates([shingles(row, 2) for row in rows], 0.3, rng(8), rows=3)
groups = leakage.groups_of(pairs, len(rows))
print(len(set(groups)), "groups for", num_reviews, "origins")
measure("copy, then split by groups found", groups)
scrambled = rng(9).permutation(groups)
measure("copy, then split by random groups", scrambled)
measure("copy, then split by origin", origin)

# %% mystnb={"image": {"alt": "Six rows with two marks each: accuracy with true labels and with coin flips. Split by row or by random groups: both marks near 1. No copies, copies of the training side alone, split by origin, split by groups found: coin flips near one half, on the dotted line, and true labels above it."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(6.4, 3.4))
ordered = sorted(score, key=lambda name: score[name][1])
for mark, column, label in (("o", 0, "true labels"), ("x", 1, "coin flips")):
    ax.plot([score[name][column] for name in ordered], range(6), mark, ms=8, label=label)
ax.axvline(0.5, color="#666666", linestyle=":")
ax.set_yticks(range(6), ordered)
ax.set(xlim=(0.4, 1.05), xlabel="accuracy on the test side")
ax.set_title("Only splits that keep twins together tell truth from coins", loc="right")
_ = ax.legend(loc="lower right")

# %%
claim("groups_stop_the_leak", "coin-flip labels: accuracy lost when groups are near-duplicates instead of random ones of the same sizes",
      score["copy, then split by random groups"][1] - score["copy, then split by groups found"][1], at_least=0.25, thesis=True)  # fmt: skip
claim("honest_half", "coin-flip labels, split by groups found: distance of accuracy from one half",
      abs(score["copy, then split by groups found"][1] - 0.5), at_most=0.1)  # fmt: skip

# %%
# Another classifier: ridge regression, linear in which characters a row has.
table, flips = leakage.incidence([shingles(row, 1) for row in rows]), 2.0 * coin[origin] - 1
kernel = (table @ table.T).toarray()  # how many characters two rows share
linear = []
for each in (scrambled, groups):
    train, test = leakage.group_split(each, 0.2, rng(4))
    weights = np.linalg.solve(kernel[np.ix_(train, train)] + np.eye(len(train)), flips[train])
    linear.append(np.mean(kernel[np.ix_(test, train)] @ weights * flips[test] > 0))
claim("linear_model_too", "coin-flip labels, a linear classifier: accuracy lost by the same change of groups",
      linear[0] - linear[1], at_least=0.25)  # fmt: skip

# %% [markdown]
# The split by found groups scores about what the split by origin does. Random groups of the same sizes leak as rows do, so what matters is who is grouped with whom. A linear classifier shows
# both leak and cure. An honest score strays from one half by luck: copies add no coins, so the standard error is about that of 400 flips,
# $\sqrt{0.25/400}$ or 2.5 points.
#
# ## Mixup calms an overtrained network; stopping in time calms it more
#
# Mixup {cite:p}`zhang2018mixup` leaves text alone and mixes vectors. With $\lambda \sim \text{Beta}(\alpha, \alpha)$ and a partner $j$ for each example $i$ of
# a batch, train on $\lambda x_i + (1 - \lambda) x_j$ with the label $\lambda y_i + (1 - \lambda) y_j$, where $y$ are one-hot rows. At $\alpha = 1$ the share $\lambda$ is uniform; a
# small $\alpha$ keeps it near 0 or 1.

# %%
show(mixup)
z = torch.randn(15, 3, generator=generator(1)).double()  # (B, K)
hard = torch.eye(3).double().repeat(5, 1)
_, soft, lam = mixup(z, hard, 1.0, rng(10))
own, other = (F.cross_entropy(z, part.argmax(1)) for part in (hard, soft - lam * hard))
agrees("linear_in_labels", "torch.nn.functional.cross_entropy with probabilities as targets",
       lam * own + (1 - lam) * other, F.cross_entropy(z, soft), atol=1e-12)  # fmt: skip

# %% [markdown]
# Cross-entropy is linear in the label, as the comparison checks. So if the labels *alone* are mixed, the loss is, on average over partners and $\lambda$, that of
# label smoothing: $1 - E[\lambda] = \tfrac12$ of each label goes to the classes' shares, here about one half each. Whatever else mixup does comes from the mixed inputs and
# their tie to the labels: the same $\lambda$ and partner. To cut the tie, we also train on the same mixed inputs with the mixed labels of the next step.
#
# Three draws of 200 training reviews, the 300 most frequent characters as features, one hidden layer, and training until the labels are memorized. Another 200 reviews per draw choose
# when to stop early, or a *temperature*, a number by which all logits are divided. *NLL* is the negative log-likelihood per test review, $\log 2 \approx 0.693$ for always saying ½;
# *own labels* the mean probability of the training labels, at the unmixed reviews.

# %%
num_draws, size, num_steps = 3, 200, 100  # size: of training, and of validation
pool = reviews["train"].select(order[num_reviews : num_reviews + 2 * num_draws * size])[:]
held = reviews["test"][:1000]
table = leakage.incidence([shingles(text, 1) for text in pool["text"] + held["text"]])
common = np.argsort(-table[:-1000].sum(axis=0), kind="stable")[:300]
features = 8 * F.normalize(torch.from_numpy(table[:, common].toarray()).float())  # (N, 300)
labels = torch.tensor(pool["label"] + held["label"])
x_test, y_test = features[-1000:], labels[-1000:]
start = nn.Sequential(nn.Linear(300, 32), nn.ReLU(), nn.Linear(32, 2))


@torch.no_grad()
def loss_on(model: nn.Module, x, y, temperature: float = 1.0) -> float:
    return F.cross_entropy(model(x) / temperature, y).item()


def trained(batches: list, patience: int | None = None) -> nn.Module:
    model = copy.deepcopy(start)
    fit(model, batches, lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]),
        optimizer=Adam(model.parameters(), lr=5e-3), num_steps=num_steps, patience=patience,
        evaluate=lambda model: loss_on(model, x_val, y_val), eval_every=5)  # fmt: skip
    return model


# NLL and accuracy on test reviews, and mean probability of the labels learned.
@torch.no_grad()
def scores(model: nn.Module, temperature: float) -> list[float]:
    own = (model(x) / temperature).softmax(dim=1)[range(size), y]
    accuracy = (model(x_test).argmax(dim=1) == y_test).double().mean()
    return [loss_on(model, x_test, y_test, temperature), accuracy.item(), own.mean().item()]


names = [what + how for what in ("plain", "mixup", "label smoothing ½", "mixup, labels untied")
         for how in ("", ", stopped early", ", temperature")]  # fmt: skip
grid, results = np.geomspace(0.3, 30, 41), []
for draw in range(num_draws):
    x, x_val = features[2 * size * draw :][: 2 * size].split(size)
    y, y_val = labels[2 * size * draw :][: 2 * size].split(size)
    hard = F.one_hot(y, 2).float()
    mixed = [mixup(x, hard, 1.0, rng(1000 * draw + step))[:2] for step in range(num_steps)]
    untied = [(a, b) for (a, _), (_, b) in zip(mixed, mixed[1:] + mixed[:1], strict=True)]
    ways = []  # network and temperature
    for batches in ([(x, hard)], mixed, [(x, (hard + 0.5) / 2)], untied):
        model = trained(batches)
        best = min(grid, key=lambda t: loss_on(model, x_val, y_val, t))
        ways += [(model, 1.0), (trained(batches, patience=3), 1.0), (model, best)]
    results.append([scores(model, temperature) for model, temperature in ways])

nll, accuracy, own = np.array(results).transpose(2, 1, 0)  # each (ways, draws)
for name, loss, right, sure in zip(names, nll, accuracy, own, strict=True):
    print(f"{name:36}NLL {loss.mean():.3f} ({loss.min():.3f}–{loss.max():.3f})",
          f" accuracy {right.mean():.3f}  own labels {sure.mean():.3f}")  # fmt: skip
claim("mixup_calms", "mixup: NLL over that of plain training, worst of three draws",
      (nll[3] / nll[0]).max(), at_most=0.85, unit="×")  # fmt: skip
claim("others_calm_more", "mixup: least NLL above smoothing, plain with a temperature, or either one stopped early",
      (nll[3] - nll[[1, 2, 4, 6]].max(axis=0)).min(), at_least=0.15, unit="nats")  # fmt: skip
claim("tie_keeps_it_sure", "mixup with labels untied from the inputs: NLL over that of mixup, worst of three draws",
      (nll[9] / nll[3]).max(), at_most=0.85, unit="×")  # fmt: skip

# %% [markdown]
# Memorizing makes the plain network worse than always saying ½. Trained as long, mixup improves it in every draw, without a gain in accuracy, and still ends
# above $\log 2$. Label smoothing, one fitted temperature and stopping in time each do far better. Stopped in time, mixup and plain training score about the same.
#
# The untied rows show why mixup stays half way. A mixed input tells how much of each example is in it, so a network can fit the mixed labels and remain nearly sure of the unmixed examples.
# With labels that the input cannot tell, it is no longer sure, and scores like label smoothing. On images, too, mixing inputs without labels does not calibrate as mixup does {cite:p}`thulasidasan2019mixup`.
#
# This is one small network on few reviews. On images mixup has also raised accuracy {cite:p}`zhang2018mixup`: do not carry the ranking over.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Ten-fold cross-validation would have caught it."** Each fold's test texts have their twins in the other nine. The scores above are means of ten splits
# already, and averaging ten leaks removes none. The folds must consist of whole groups.
#
# **"I shuffled the labels of all rows, and accuracy fell to 50 %. So nothing leaks."** It had to: if every copy gets its own coin, twins disagree half of the time, and the leak cannot pay. Draw the coin once per
# original, *before* anything is copied, and let the pipeline hand it on.
#
# **"The corpus went through MinHash, so the test questions are not in it."** A question of 100 shingles may stand, word for word, on a web page of
# 10,000. Their Jaccard similarity is 0.01, and one of 32 bands of four agrees with probability $3 \cdot 10^{-7}$. Containment, $|A \cap B|/|A|$, is 1. For test
# sets one therefore counts shared word n-grams.
#
# **"Mixup in two lines: `x = lam*x + (1-lam)*x[p]`, `y = lam*y + (1-lam)*y[p]`."** Right for one-hot rows. With class numbers, half of class 0 and half of class 2 make class 1, and a cross-entropy for
# class numbers refuses fractions. Mix one-hot rows, or the two losses.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} How do you mix two texts?
# Not their token ids: between 17 and 19 lies another word. {cite:t}`guo2019augmenting` average the word embeddings, padded to one length, or the sentence vectors before the
# classifier. Sentence vectors are the simpler choice: each text is encoded once, as before, and the mixing follows.
# :::
#
# :::{dropdown} Is a language model's benchmark score contaminated?
# Look for long n-grams of the test set in the training data and report the clean part separately. GPT-3's authors did so, after a bug had left some overlaps in
# {cite:p}`brown2020language`. Paraphrases and translations pass such filters: {cite:t}`yang2023rethinking` trained a 13B model on rephrased test questions to GPT-4's scores. Without the data, use questions
# written after training ended.
# :::
#
# :::{dropdown} Why remove near-duplicates from pretraining text, where nothing is tested?
# What is repeated is memorized, and compute goes into reading it again. {cite:t}`lee2022deduplicating` found that models emit memorized text ten
# times less often after de-duplication, and need as many or fewer steps. Keep one text of each group, not none.
# :::
#
# :::{dropdown} Two texts say the same in other words. Who finds them?
# Not shingles. SemDeDup {cite:p}`abbas2023semdedup` embeds the texts, clusters the vectors, and drops neighbors that are too close within a cluster; of an image–text set it dropped half with
# little loss. The embedding model then decides what counts as the same, and the threshold is yours.
# :::
#
# :::{dropdown} You augment by back-translation, on the training side alone. Can that leak?
# Yes, through the translator, if it was trained on pages that hold your test set; the same goes for a model that paraphrases. {cite:t}`yang2023rethinking` found test overlap in data
# that GPT-3.5 and GPT-4 had written. Compare what was generated with the test set, and keep a test set that is newer than the model.
# :::
#
# :::{dropdown} How do you choose rows and bands?
# From what a miss and a false report cost. With $r = 4$, $b = 32$ a pair at $J = 0.8$ is missed with probability $(1 - 0.41)^{32}$, practically never; at $J = 0.3$
# it is reported 23 % of the time, and the exact check throws it out. More rows report fewer such pairs, more bands miss fewer real ones, and $rb$ is the memory per text.
# :::
#
# :::{dropdown} Mixup, then a temperature: do the two add up?
# In the table they do not: after a temperature, plain and mixup end close together. On images, {cite:t}`wang2023pitfall` found that mixup usually leaves a model *harder* to calibrate afterwards.
# Decide by held-out loss after the temperature.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} mixup
# ```

# %%
import numpy as np
import torch


def mixup(
    x: torch.Tensor,
    y: torch.Tensor,
    alpha: float,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mix a batch with itself: x (B, ...) and the label rows y (B, K).

    Returns the mixed x, the mixed y, and the share λ of each example's own part.
    """
    raise NotImplementedError


check("mixup", mixup)

# %% [markdown]
# ```{solution} mixup
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`kaufman2012leakage`: what leakage is. {cite:t}`kapoor2023leakage`: where it has been found, in 17 fields.
# - {cite:t}`broder1997resemblance`: shingles and MinHash. {cite:t}`indyk1998approximate`: hashing that finds neighbors.
# - {cite:t}`lee2022deduplicating`, {cite:t}`abbas2023semdedup`: de-duplicating training data, by shingles and by meaning.
# - {cite:t}`brown2020language`, {cite:t}`yang2023rethinking`: test sets in training data.
# - {cite:t}`zhang2018mixup`: mixup. {cite:t}`guo2019augmenting`: for sentences.
# - {cite:t}`thulasidasan2019mixup`, {cite:t}`wang2023pitfall`: mixup and calibration, for and against.
