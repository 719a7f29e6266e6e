# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 1
#     needs: []
#     question_zh: 语言模型中的语言表示是什么？
#     short: Word and sentence vectors
#     source: L11
#     tasks:
#     - ppmi
# ---

# %% [markdown]
# # What do word embeddings encode, and how do you get a sentence vector?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# A word vector encodes company: which contexts occur with the word more often than chance would have it. With k negatives drawn by
# frequency and enough dimensions, skip-gram's optimum is a dot product of word and context vector equal to PMI minus log k. For a
# sentence I average word vectors, each weighted by a over a plus its frequency; unweighted, every token votes, and common words can
# win. Subtracting the direction all sentences share centers their cosines. A trained sentence encoder is the stronger choice.
#
# :::{dropdown} The two-minute answer
# An embedding is a table $(V, d)$: a row for each of $V$ words, untrained noise until some objective moves it. The distributional hypothesis
# says what to train on: words in similar contexts mean similar things. Count how often context $c$ stands near word $w$, divide by what
# chance would give, take the logarithm: $\mathrm{PMI}(w, c) = \log \frac{p(w, c)}{p(w)\,p(c)}$. Its positive part, cut to $d$ dimensions by
# an SVD, gives good vectors without training. Skip-gram with negative sampling gets to the same table by gradient steps:
# it tells real pairs from pairs with a random context, and such a classifier's score is a log ratio of probabilities. Drawing negatives by
# frequency to the power ¾, as word2vec does, adds an offset for each context; differences between two words stay as they were.
#
# A sentence vector is a second step. A mean counts tokens, and a few dozen words make up much of most texts. Training may leave their vectors
# shorter than others, which helps; weights $a/(a + p(w))$ do the rest. Removing the first singular direction does something else: it takes off what
# nearly every sentence has in common, so that unrelated sentences have cosines around zero. All this ignores word order and gives *bank* one vector;
# encoders that read the sentence do neither.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: a table of shape $(V, d)$, one row a word; it means nothing until trained on an objective.
# - Junior: words are near because they share contexts, which antonyms do too.
# - Mid: defines PMI, and why PPMI cuts at zero: pairs never seen would be minus infinity.
# - Mid: says that PMI overrates rare pairs, and a remedy.
# - Mid: derives the optimum PMI − log k, and names the noise distribution and the width that it assumes.
# - Mid: a sentence vector needs pooling: weights by frequency, and says what a plain mean does.
# - Senior: says what the power ¾ changes in that optimum, and what it leaves alone.
# - Senior: keeps the two steps of SIF apart: weights decide *which words* count, removal *where zero is*.

# %% tags=["hide-input"]
import math
import re
from collections import Counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.data.corpora import english_text
from lmprep.data.synthetic import shuffle_between_texts, topic_language, topic_texts
from lmprep.evidence import agrees, claim
from lmprep.foundations import embeddings as emb
from lmprep.notebook import generator, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

_ = setup()  # the page stays on the CPU: its tables are small

# %% [markdown]
# ## By count, every word keeps company with *the*
#
# Python's manual is a small corpus. Keep the words that occur ten times, and the sentences with eight of them. A word's *contexts* are the
# words within five places of it. Here are those of five words: left the most counted ones; right, among those counted four times or more,
# the ones counted most often *relative to chance*.

# %%
words = re.compile("[a-z]+").findall
manual = [text.lower() for split in english_text().values() for text in split["text"]]
parts = [(k, s) for k, text in enumerate(manual) for s in re.split(r"[.:;!?]\s|\n\n", text)]
vocabulary = [w for w, n in Counter(words(" ".join(manual))).most_common() if n >= 10]
number = {word: k for k, word in enumerate(vocabulary)}  # 0 is the most frequent
known = [(k, [number[word] for word in words(s) if word in number]) for k, s in parts]
chapters, sentences = zip(*[(k, ids) for k, ids in known if len(ids) >= 8], strict=True)
V, tokens = len(vocabulary), torch.cat([torch.tensor(ids) for ids in sentences])
counts = emb.cooccurrence(sentences, V, window=5)  # (V, V)
zeros = (counts == 0).double().mean()
print(f"{len(sentences)} sentences, {len(tokens)} tokens, {V} words; table: {zeros:.0%} zeros")
for word in ("loop", "integer", "exception", "left", "bytes"):
    rows = (table[number[word]] for table in (counts, emb.ppmi(counts) * (counts >= 4)))
    often, above = (" ".join(vocabulary[i] for i in row.topk(5).indices) for row in rows)
    print(f"{word:>10}: {often:<28} | {above}")

# %% [markdown]
# Chance is what independence would give. Of all pairs, let $p(w, c)$ be the share with word $w$ and context $c$, and $p(w)$ and $p(c)$ the
# shares with that word and with that context. *Pointwise mutual information* is
#
# $$
# \mathrm{PMI}(w, c) = \log \frac{p(w, c)}{p(w)\,p(c)} .
# $$
#
# Say there are 1,000 pairs; *loop* is the word in 20 of them, *break* the context in 10. Independent, they would meet in
# $1000 \cdot 0.02 \cdot 0.01 = 0.2$ pairs. They meet in 4: twenty times as often, so PMI is $\log 20 \approx 3.0$ nats, the unit of the
# natural logarithm. *The*, context of 100 pairs, would meet *loop* in 2 and does: $\log 1 = 0$. Most pairs of words never met, and
# $\log 0 = -\infty$; hence *positive* PMI, PPMI, which is zero wherever PMI is below zero.
#
# PMI overrates rare pairs. Two words in one pair each, the same pair, get $\log 1000 \approx 6.9$ from a single observation: hence the four
# counts required above. Another remedy takes chance to be $p(w)\,q(c)$, with $q \propto p^{3/4}$, under which rare contexts are likelier
# {cite:p}`levy2015improving`.

# %%
show(emb.cooccurrence, emb.ppmi, emb.svd_vectors)

# %% [markdown]
# ## Skip-gram's dot product is PMI − log k, if it has room
#
# Skip-gram with negative sampling (SGNS) has two vectors of width $d$ for every word: $w$ as word, $c$ as context. A pair drawn from the
# text, with probability $p(w, c)$, should score high, and $k$ pairs of $w$ with a context from a noise distribution $q$ low. With
# $x = w \cdot c$ and $\sigma$ the logistic function, a cell of the table contributes
#
# $$
# -\,p(w, c) \log \sigma(x) \;-\; k\, p(w)\, q(c) \log \sigma(-x) .
# $$
#
# Its derivative in $x$ is $-\,p(w, c)\,\sigma(-x) + k\,p(w)\,q(c)\,\sigma(x)$, which is zero where $e^x = \frac{p(w, c)}{k\,p(w)\,q(c)}$. So, if every cell can
# have the $x$ it wants {cite:p}`levy2014neural`,
#
# $$
# w \cdot c = \mathrm{PMI}(w, c) - \log k - \log \frac{q(c)}{p(c)} .
# $$
#
# For noise by plain frequency, $q = p$, the last term is zero. word2vec's noise {cite:p}`mikolov2013distributed` is $q \propto p^{3/4}$.

# %%
show(emb.sgns_expected_loss, emb.sgns_optimum)

# %% [markdown]
# The sum over cells is what the sampled updates minimize on average. Algebra finds the best $x$ for each cell on its own; do two tables of
# vectors, which all cells share, get there by gradient? Try it in float64, on the counts of an invented language with three topics
# of three words and three common words, in which each word now and then turns up in any text: no cell is empty.

# %%
# Try: width = 2, fewer dimensions than the table needs: the thesis breaks. width = 12, one
# for each word, is enough in theory; the optimizer then comes near, but not within 0.001.
width, narrow, negatives, power = 24, 2, (1, 5, 20), 0.75

language = 0.8 * topic_language(3, 3, 3, topical=0.4) + 0.2 / 12  # (3, 12) probabilities
topics = torch.randint(3, (4000,), generator=generator(1))
joint = emb.cooccurrence(topic_texts(topics, language, 12, generator(2)), 12, window=3)
joint = joint / joint.sum()  # (12, 12)
p = joint.sum(dim=0)  # of contexts, and by symmetry of words
powered = p**power / (p**power).sum()
pmi = (joint / (p[:, None] * p)).log()
plain = {k: emb.sgns_optimum(joint, k, p, width, generator(3)) for k in negatives}
smoothed = emb.sgns_optimum(joint, 5, powered, width, generator(3))
squeezed = emb.sgns_optimum(joint, 5, p, narrow, generator(3))

# %% mystnb={"image": {"alt": "Scatter plot of the dot products of word and context vectors against PMI. For 1, 5 and 20 negatives the points lie on three parallel straight lines, PMI minus log k. Crosses, for vectors of two dimensions and 5 negatives, scatter widely around the middle line."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(6.2, 4.4))
line = torch.tensor([pmi.min(), pmi.max()])
for k, scores in plain.items():
    ax.plot(line, line - math.log(k), color="#4d4d4d", lw=0.8, label=f"PMI − log {k}")
    ax.plot(pmi, scores, "o", color="C0", alpha=0.5)
ax.plot(pmi, squeezed, "x", color="C1")
ax.text(-0.75, 0.9, "× two dimensions, k = 5", color="C1")
ax.set(title="With room, every dot product is PMI − log k", xlim=(None, 1.1), ylim=(None, 1.2))
ax.set(xlabel="PMI of word and context, nats", ylabel="w · c at the optimum")
label_lines(ax)
plt.show()

# %%
claim("shifted_pmi", "skip-gram's optimum, noise by frequency: largest |w·c − (PMI − log k)|, k = 1, 5, 20",
      max((x - (pmi - math.log(k))).abs().max() for k, x in plain.items()),
      at_most=1e-3, unit="nats", thesis=True)  # fmt: skip
agrees("with_power", "PMI − log k − log(q/p), k = 5", smoothed,
       pmi - math.log(5) - (powered / p).log(), atol=1e-3)  # fmt: skip
claim("too_narrow", "two dimensions: RMS of w·c − (PMI − log k) over the spread of PMI",
      (squeezed - pmi + math.log(5)).square().mean().sqrt() / pmi.std(), at_least=0.35)  # fmt: skip

# %% [markdown]
# Three things follow. The number of negatives only shifts. The power ¾ lifts common contexts and lowers rare ones, each by the same
# amount for all words ($-\log \frac{q(c)}{p(c)}$); how one word differs from another, $(w - w') \cdot c = \log \frac{p(c \mid w)}{p(c \mid w')}$, it leaves alone. And it takes
# room: twelve words never need more than twelve dimensions, but two are too few. Then errors go where they cost least: around its optimum a
# cell's loss has the curvature $ab/(a+b)$, with $a = p(w, c)$ and $b = k\,p(w)\,q(c)$, so rare pairs are cheap to get wrong. Real tables are large and full of
# cells that want $-\infty$: real vectors approximate PMI rather than equal it.
#
# ## `Embedding` has no `fit`: the objective is yours to write
#
# `nn.Embedding` is the table $(V, d)$ and nothing else. Give it the loss, and it can be trained on the manual's counts. Are
# the neighbors sensible? Twenty pairs that a Python programmer would expect, written down beforehand: in how many is the second word among
# the ten nearest to the first, by cosine?


# %%
starts = torch.randn(2, V, 50, generator=generator(4)) / 10  # of words and of contexts
model = nn.ModuleList(nn.Embedding.from_pretrained(start, freeze=False) for start in starts)
seen = (counts / counts.sum()).float()  # (V, V)
noise = seen.sum(dim=0) ** power / (seen.sum(dim=0) ** power).sum()
fit(model, lambda step: seen,
    lambda m, joint: emb.sgns_expected_loss(m[0].weight, m[1].weight, joint, 5, noise),
    optimizer=Adam(model.parameters(), lr=0.03), num_steps=100)  # fmt: skip

anew = shuffle_between_texts(tokens, generator(6)).split([len(ids) for ids in sentences])
tables = {
    "skip-gram": model[0].weight.detach().double(),
    "SVD of PPMI": emb.svd_vectors(emb.ppmi(counts), 50),
    "…, words dealt anew": emb.svd_vectors(emb.ppmi(emb.cooccurrence(anew, V, window=5)), 50),
    "rows of counts": counts,
    "untrained": torch.randn(V, 50, generator=generator(7)).double(),
}
expected = """true false, left right, first second, list tuple, integer float, bytes str, raise
exception, global nonlocal, break continue, key value, start end, keyword positional, try
except, module package, method function, class instance, get set, upper lower, add sub, enter
exit"""
pairs = torch.tensor([[number.get(w, 0) for w in pair.split()] for pair in expected.split(",")])
hits = {}
for name, vectors in tables.items():
    cosines = F.normalize(vectors)[pairs[:, 0]] @ F.normalize(vectors).T  # (pairs, V)
    above = cosines > cosines.gather(1, pairs[:, 1:])  # among them the word itself
    hits[name] = (above.sum(dim=1) <= 10).double().mean()
    near = [vocabulary[i] for i in cosines[1].topk(5).indices[1:]]
    print(f"{name:<20}{hits[name]:5.0%} of {len(pairs)} pairs; nearest to left:", *near)

# %%
claim("company_makes_them", "expected words among the ten nearest: skip-gram above untrained, SVD "
      "of PPMI above the same with words dealt anew over the text; the smaller gain",
      min(hits["skip-gram"] - hits["untrained"], hits["SVD of PPMI"] - hits["…, words dealt anew"]),
      at_least=0.3)  # fmt: skip

# %% [markdown]
# So small a text is enough for that, because a manual repeats itself. It is not enough to rank methods: twenty pairs resolve steps of five points, rarer
# words were left out, and plain rows of counts are not far behind. *Left* has *right* nearest: same contexts, opposite meaning.
#
# ## Whose sentence is it? In a plain mean, every token votes
#
# Take the *common* words, the fifty most frequent ones, from one sentence, and all others from a sentence of another chapter. The mix
# has the filler of the first and the content of the second. To which of the two is its vector nearer, by cosine? Smooth inverse frequency (SIF) does two things
# {cite:p}`arora2017simple`: it weights each word by $a/(a + p(w))$, with $a = 0.001$, the frequency that counts half; then it removes from each sentence
# vector $s$ the direction $u$ on which they all have the largest sum of squares: $s - (s \cdot u)\,u$. Switch them on one by one. (`nn.EmbeddingBag` computes such weighted sums in one call; the tests compare.)

# %%
show(emb.sif_weights, emb.sentence_vectors, emb.common_direction, emb.mix_texts)

# %%
frequency = torch.bincount(tokens, minlength=V).double() / len(tokens)  # (V,)
# 20 or 100 common words instead of 50: the levels change, the order of the methods does not.
fillers, contents, mixes = emb.mix_texts(sentences, chapters, 50, generator(8))
share = torch.tensor([sum(word < 50 for word in mix) / len(mix) for mix in mixes])
part = torch.bucketize(share, torch.tensor([0.4, 0.5, 0.6, 0.7]), right=True)  # 0 to 4
chapter = torch.tensor(chapters)
same = (chapter[:, None] == chapter).fill_diagonal_(False)  # (N, N)
other = (chapter[:, None] != chapter).flatten().nonzero()[:, 0]  # pairs of two


def judge(vectors: Tensor, weights: Tensor | None = None, remove: bool = False) -> list[float]:
    """The shares of mixes that go with the content, and how all sentences compare."""
    whole, mix = (emb.sentence_vectors(texts, vectors, weights) for texts in (sentences, mixes))
    u = emb.common_direction(whole) if remove else torch.zeros(50).double()
    whole, mix = (s - (s @ u)[:, None] * u for s in (whole, mix))
    wins = F.cosine_similarity(mix, whole[contents]) > F.cosine_similarity(mix, whole[fillers])
    units = F.normalize(whole).float()
    cosines = units @ units.T  # (N, N)
    apart = cosines.flatten()[other]
    stand_out = (cosines[same].mean() - apart.mean()) / apart.std()
    nearest = same.gather(1, cosines.fill_diagonal_(-1).argmax(dim=1, keepdim=True))
    numbers = (wins, apart, stand_out, nearest, *(wins[part == k] for k in range(5)))
    return [each.double().mean().item() for each in numbers]


sif, trained, untrained = emb.sif_weights(frequency), tables["skip-gram"], tables["untrained"]
lengths = trained.norm(dim=1, keepdim=True)  # (V, 1)
arms = {
    "untrained, mean": judge(untrained),
    "mean of unit vectors": judge(F.normalize(trained)),
    "mean": judge(trained),
    "mean, u removed": judge(trained, remove=True),
    "SIF weights": judge(trained, sif),
    "SIF weights, u removed": judge(trained, sif, remove=True),
    "trained lengths only": judge(F.normalize(untrained) * lengths),
    "untrained, SIF weights": judge(untrained, sif),
}
print(f"{'mixes':>27}  ≥ 70 %   cosine  one chapter  nearest")
for name, (won, cosine, stand_out, nearest, *_, crowded) in arms.items():
    print(f"{name:<22}{won:6.1%}{crowded:8.1%}{cosine:9.2f}{stand_out:13.2f}{nearest:9.1%}")

# %% mystnb={"image": {"alt": "Line chart: share of mixed sentences whose vector goes with the content words, against the share of common words in the mix, from under 40 to over 70 percent. Plain means fall: of untrained vectors steeply, to near zero; of trained vectors at unit length later, but far; of trained vectors as they are, least. With the shared direction removed the fall is a little smaller. With SIF weights the line stays near one."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(6.2, 3.6))
for name in list(arms)[:5]:
    ax.plot(arms[name][-5:], "o-", label=name)
ax.set(title="The more common words, the less a mean follows the content", ylim=(0, 1.05))
ax.set(xlabel="common words in the mix, %", ylabel="share with the content", xlim=(-0.2, 6))
ax.set_xticks(range(5), ["< 40", "40–50", "50–60", "60–70", "≥ 70"])
label_lines(ax)
plt.show()

# %%
blank, unit, mean, removed, weighted, _, by_length, _ = (n[-1] for n in arms.values())
claim("mean_counts_tokens", "mixed sentences, at least 70 % common words, plain mean of untrained "
      "vectors: share that goes with the content", blank, at_most=0.3)  # fmt: skip
claim("length_helps", "mixed sentences, at least 70 % common words, plain mean: what length does for "
      "the share that goes with the content, of trained or of random directions, the smaller",
      min(mean - unit, by_length - blank), at_least=0.2)  # fmt: skip
claim("weights_decide", "mixed sentences, at least 70 % common words: share that goes with the "
      "content, SIF weights minus plain mean", weighted - mean, at_least=0.15)  # fmt: skip
claim("removal_does_not", "mixed sentences, at least 70 % common words: what removing the shared "
      "direction gains over what SIF weights gain",
      (removed - mean) / (weighted - mean), at_most=0.6)  # fmt: skip
claim("chapters_part", "sentence cosines, one chapter above two, in standard deviations: gain by "
      "removing the shared direction, plain mean",
      arms["mean, u removed"][2] - arms["mean"][2], at_least=0.15)  # fmt: skip

# %% [markdown]
# Untrained vectors show what a mean is: a vote by tokens. Training gives common words less say, and nearly all of that lies in
# lengths: bring the vectors to unit length before averaging, and where common words crowd a mix it is gone; give random directions the trained
# lengths, and it is back. As trained, even the plain mean goes with the content of most mixes, but less and less reliably the more common words
# there are. SIF's weights mend nearly all of that. Removing $u$ mends little: fillers differ from sentence to sentence, and what differs is
# not shared. What $u$ carries is what *all* sentences have. With it, sentences from unrelated chapters look alike;
# without it their cosines center on zero (column *cosine*), and sentences of one chapter stand out more, with weights or without (*one
# chapter*: their mean cosine above that of two chapters, in standard deviations).
#
# With weights, untrained vectors pass as well: mixes test which words count, not what they mean. Meaning shows in the last column, *nearest*: how often the
# nearest sentence is from the same chapter. Training raises it; afterwards it hardly moves: for search, nothing here clearly beats the plain
# mean. One manual, tested on its own chapters, supports no larger claim; {cite:t}`arora2017simple` report gains of 10 to 30 % on sentence similarity.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"The embedding layer's weight matrix holds the sentence embeddings."** Ask for its shape. It is $(V, d)$, a row a *word*, whatever sentences come. $N$
# sentences need $(N, d)$, so something has to pool or read them. And before training, the rows are random.
#
# **"Negative sampling is a cheap softmax, so the dot product is log p(c | w)."** Then *the* would score high with every word. *Does it?* Its PMI
# is near zero: the noise draws it as often as chance does, and the classifier learns to expect it. Noise-contrastive estimation, which puts
# the noise probability into the logit, does estimate a conditional probability {cite:p}`levy2014neural`.
#
# **"Close vectors mean the same thing."** Look up what is nearest to *left*, above. Antonyms share their contexts; so do *true* and *false*.
#
# **"Removing the first principal component removes the stop words."** The fourth and fifth line of the table keep the two steps apart. Say what each does, and that
# SIF's $u$ is a singular vector of vectors that are *not* centered, so that it mostly is their mean.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why does king − man + woman land near queen?
# Because differences are log ratios: $(\text{king} - \text{man}) \cdot c = \log \frac{p(c \mid \text{king})}{p(c \mid \text{man})}$, and royal contexts raise it much as for
# *queen* against *woman*. The usual test excludes the three query words; without that, the answer is often one of them, so part of the
# score is neighborhood, not offset {cite:p}`linzen2016issues`.
# :::
#
# :::{dropdown} Then why train at all? Take the SVD of PPMI.
# Often one can. With the same window, smoothing and subsampling, {cite:t}`levy2015improving` found mostly small differences and no method ahead
# overall. The losses differ: SVD weighs all cells alike and sees zeros where nothing was counted, SGNS weighs by frequency. SGNS never builds the
# $V \times V$ table, so it scales.
# :::
#
# :::{dropdown} And GloVe?
# Weighted least squares on $w \cdot c + b_w + b_c = \log X_{wc}$, the counts, over counted pairs {cite:p}`pennington2014glove`. Were the biases fixed at the log counts
# of word and context, the dot product would be left with PMI up to a constant. They are learned, so it need not be.
# :::
#
# :::{dropdown} Why two vectors for each word?
# With one, $w \cdot w$ would be a squared length, so no word could score below zero beside itself, yet words rarely follow themselves. Afterwards most people keep the word
# vectors; GloVe adds the two. Language models may tie input and output tables all the same: there the score is of a hidden state with a word, not of a word with itself.
# :::
#
# :::{dropdown} A word was not in the training data.
# A table has no row for it. fastText adds up vectors of character n-grams {cite:p}`bojanowski2017enriching`; language models cut text into
# subwords, so that nothing is unknown.
# :::
#
# :::{dropdown} Cosine or dot product?
# Length depends on frequency; above, training leaves common words shorter than others. For likeness of words, cosine drops it. In a mean without other
# weights length is a useful one, so do not normalize first. How far word and context exceed chance is the dot product of a word and a context vector.
# :::
#
# :::{dropdown} What would you ship as a sentence vector today?
# An encoder trained with a contrastive loss on sentence pairs. Plain BERT, pooled, can be worse than averaged GloVe vectors; trained on pairs it is far better
# {cite:p}`reimers2019sentence`. SIF remains the baseline that costs a table lookup.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} ppmi
# ```

# %%
import torch


def ppmi(counts: torch.Tensor) -> torch.Tensor:
    """Positive PMI of each word and context.

    counts: (V, C), not negative; integer or floating point.
    Returns (V, C) in float64: nats, 0 where a pair never occurs.
    """
    raise NotImplementedError


check("ppmi", ppmi)

# %% [markdown]
# ```{solution} ppmi
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`mikolov2013distributed`: skip-gram with negative sampling, and the power ¾. {cite:t}`levy2014neural`: its optimum.
# - {cite:t}`levy2015improving`: what settings contribute, for counts and for SGNS. {cite:t}`pennington2014glove`: GloVe.
# - {cite:t}`arora2017simple`: SIF. {cite:t}`reimers2019sentence`: sentence encoders trained on pairs.
# - {cite:t}`bojanowski2017enriching`: subwords. {cite:t}`linzen2016issues`: what analogies test.
