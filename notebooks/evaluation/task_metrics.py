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
#     question_zh: 描述一种评估语言模型的方法。
#     short: Accuracy, F1, BLEU, ROUGE
#     source: S06
#     tasks:
#     - corpus_bleu
# ---

# %% [markdown]
# # Accuracy, F1, BLEU, ROUGE: compute each by hand; where do they lie?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Accuracy counts items, so a majority class can carry it; macro-F1 gives each class one vote. BLEU is clipped n-gram
# precision, pooled over the corpus, times a brevity penalty; ROUGE is overlap with a reference summary. Both count shared
# words: a "not" too many hardly hurts, a good paraphrase may score next to nothing. And a gain of 0.3 BLEU on a thousand
# sentences drowns in noise between systems trained apart, yet can be real between a system and its patched copy. A paired
# test can tell; the scores cannot.
#
# :::{dropdown} The two-minute answer
# For one class, with TP items that are both predicted and true: precision $P$ = TP / predicted, recall $R$ = TP / actual, and
# $F_1 = 2PR/(P+R)$ = 2 TP / (predicted + actual). Macro averages the classes' $F_1$; micro adds up their counts first
# and, with one label an item, *is* accuracy.
#
# BLEU adds, over all sentences, the n-grams that match (each at most as often as in one reference), divides by all n-grams of
# the output, takes the geometric mean over n = 1 to 4, and multiplies by $\min(1, e^{1-r/c})$: $c$ tokens of output, $r$
# of reference. ROUGE-N is recall (today mostly $F_1$) of n-grams against a reference summary; ROUGE-L uses the longest
# common subsequence.
#
# What to distrust: the words, since neither metric knows which of them carry the meaning; the tokens, since for Chinese an
# English tokenizer gives zero or nonsense; the averaging, since pooled counts and averaged ratios are different numbers;
# and the last digit. For the last, resample sentences, the same ones for both systems, with their counts, recompute both
# scores, and look at the interval of the difference. It is narrow where outputs are mostly shared, and wide where not.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: F1 from counts, and that micro-F1 is accuracy where each item has one label.
# - Junior: ROUGE compares a summary with a *reference summary*, not with the source text.
# - Mid: computes a BLEU on the whiteboard: clipping, four precisions, geometric mean, brevity penalty.
# - Mid: pools counts over the corpus before dividing, and says why averaging sentence scores is another metric.
# - Mid: asks which tokenizer made the tokens, above all for Chinese; reports the sacreBLEU signature.
# - Senior: puts an interval on a *difference*, resampling the same sentences of both systems.
# - Senior: says when 0.3 points are noise, when not, and that neither case says anything about meaning.

# %% tags=["hide-input"]
import math
import re

import matplotlib.pyplot as plt
import numpy as np
import sacrebleu
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score

from lmprep.data.corpora import english_chinese_pairs
from lmprep.evaluation.classification import accuracy, precision_recall_f1
from lmprep.evaluation.significance import paired_bootstrap
from lmprep.evaluation.text import bleu_from_statistics, bleu_statistics, corpus_bleu
from lmprep.evidence import agrees, claim
from lmprep.notebook import rng, setup, show
from lmprep.practice import check

device = setup()

# %% [markdown]
# ## Rank four translations before you scroll
#
# The reference: *the council , which met this morning , has approved a budget for five schools .* In Chinese:
# 委员会今天上午已批准五所学校的新预算。 Order four candidates by how far a reader may rely on them: what is true comes before
# what is well put.
#
# | | English | Chinese |
# |---|---|---|
# | A | the council , which met this evening , has approved a budget for five schools . | 委员会今天傍晚已批准五所学校的新预算。 |
# | B | when the panel sat today , it passed a spending plan for each of the five schools . | 五校的新经费方案今早获委员们通过。 |
# | C | the council , which met this morning , has not approved a budget for five schools . | 委员会今天上午未批准五所学校的新预算。 |
# | D | the council , it meet this morning , have approve a budget for five school . | 委员会它今天上午开会给批准了五所学校的预算新。 |
#
# :::{dropdown} Our order
# By meaning: B, D, A, C. B says everything, well. D says everything, badly. A gets the time of day wrong. C says the opposite; in Chinese it differs
# from the reference by one character: 未, *not*, in place of 已, *already*.
# :::

# %% tags=["hide-input"]
from lmprep.evaluation.text import rouge_l, rouge_n

english = "the council , which met this morning , has approved a budget for five schools ."
chinese = "委员会今天上午已批准五所学校的新预算。"
candidates = {  # in their order by meaning
    "B": ("when the panel sat today , it passed a spending plan for each of the five schools .",
          "五校的新经费方案今早获委员们通过。"),
    "D": ("the council , it meet this morning , have approve a budget for five school .",
          "委员会它今天上午开会给批准了五所学校的预算新。"),
    "A": (english.replace("morning", "evening"), chinese.replace("上午", "傍晚")),
    "C": (english.replace("has", "has not"), chinese.replace("已", "未")),
}  # fmt: skip
metrics = {
    "BLEU": lambda h, r: corpus_bleu([h], [[r]]).score,
    "ROUGE-1": lambda h, r: 100 * rouge_n(h, r, 1).f1,
    "ROUGE-L": lambda h, r: 100 * rouge_l(h, r).f1,
}
words, characters = (
    np.array([[metric(split(pair[k]), split(reference)) for metric in metrics.values()]
              for pair in candidates.values()])
    for k, reference, split in ((0, english, str.split), (1, chinese, list))
)  # fmt: skip

# %% mystnb={"image": {"alt": "Two slope charts, for English words and for Chinese characters, with scores below each point. The four candidates start at the left in their order by meaning, B, D, A, C. In both, all lines cross, and the order by BLEU, by ROUGE-1 and by ROUGE-L is C, A, D, B: upside down."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
for ax, title, scores in zip(axes, ("English", "Chinese"), (words, characters), strict=True):
    ranks = np.column_stack([range(4), (-scores).argsort(axis=0).argsort(axis=0)]) + 1
    for name, line, row in zip(candidates, ranks, scores, strict=True):
        ax.plot(line, "o-", markersize=16, clip_on=False)
        for x, y in enumerate(line):
            ax.text(x, y, name, color="white", ha="center", va="center")
            ax.text(x, y + 0.36, f"{row[x - 1]:.0f}" if x else "", ha="center", va="center")
    ax.set(title=title, ylim=(4.6, 0.6), yticks=range(1, 5), ylabel="rank, 1 = best")
    ax.set_xticks(range(4), ["meaning", *metrics])
fig.suptitle("Counting shared words turns the order by meaning upside down", fontsize=12)
plt.show()

# %%
claim("upside_down", "six scores: least rise from one translation to the next worse in meaning",
      np.diff(np.hstack([words, characters]), axis=0).min(), at_least=0.5, unit="points")  # fmt: skip
claim("negation_is_cheap", "BLEU of a translation with a 'not' too many, above a true paraphrase's",
      min((scores[3] - scores[0])[0] for scores in (words, characters)), at_least=40)  # fmt: skip
latin = re.findall("[a-z0-9]+", chinese)  # what the package rouge-score takes for tokens
claim("blind_by_default", "BLEU plus ROUGE-L of Chinese against itself, default tokenizers",
      sacrebleu.corpus_bleu([chinese], [[chinese]]).score + rouge_l(latin, latin).f1, at_most=0)  # fmt: skip

# %% [markdown]
# Four sentences made to fail show that this can happen, not how often. Over whole systems of different quality, BLEU's order
# follows people's well enough to be useful {cite:p}`papineni2002bleu`, and poorly enough to mislead
# {cite:p}`callisonburch2006reevaluating`. Nothing in the counts says which word matters. And to the default tokenizers a
# Chinese sentence is one token, which has no 2-grams (sacreBLEU), or none at all (rouge-score): even the reference scores
# zero against itself.
#
# ## BLEU by hand: ten counts a sentence are enough
#
# Reference: *the cat sat on a mat by the door* ($r$ = 9 tokens). Output: *the cat sat on the the mat* ($c$ = 7). A count is
# *clipped*: an n-gram matches at most as often as it occurs in the reference.
#
# | n | n-grams of the output (✓ matches) | clipped | all |
# |---|---|---|---|
# | 1 | the ✓, cat ✓, sat ✓, on ✓, the ✓, the, mat ✓: three *the*, but two in the reference | 6 | 7 |
# | 2 | the cat ✓, cat sat ✓, sat on ✓, on the, the the, the mat | 3 | 6 |
# | 3 | the cat sat ✓, cat sat on ✓, sat on the, on the the, the the mat | 2 | 5 |
# | 4 | the cat sat on ✓, cat sat on the, sat on the the, on the the mat | 1 | 4 |
#
# $$
# \begin{aligned}
# \text{BLEU} &= 100 \cdot e^{\min(0,\,1 - 9/7)} \cdot \Big(\tfrac67 \cdot \tfrac36 \cdot \tfrac25 \cdot \tfrac14\Big)^{1/4} \\
# &= 100 \cdot e^{-2/7} \cdot \Big(\tfrac{3}{70}\Big)^{1/4} \approx 34.2
# \end{aligned}
# $$
#
# ROUGE-1 reads the same six matches: $R = 6/9$, $P = 6/7$, $F_1 = 12/16$. ROUGE-L keeps order and allows gaps; *the cat sat
# on mat* has length 5, so $F_1 = 10/16$. Of a corpus, BLEU adds up the columns *clipped* and *all*, and the lengths, and only
# then divides. So ten numbers a sentence are all it has to know:

# %%
show(bleu_statistics, bleu_from_statistics)

# %%
output = ["the", "cat", "sat", "on", "the", "the", "mat"]
target = ["the", "cat", "sat", "on", "a", "mat", "by", "the", "door"]
agrees("by_hand", "the fractions above", [metric(output, target) for metric in metrics.values()],
       [100 * math.exp(-2 / 7) * (3 / 70) ** 0.25, 1200 / 16, 1000 / 16], atol=1e-12)  # fmt: skip

# %% [markdown]
# ## One F1, twice: micro is accuracy, macro hears the class that was missed
#
# Ten reviews: 6 positive, 3 negative, 1 neutral. The classifier says positive 7 times (5 right), negative 3 times (2 right),
# neutral never. $F_1$ = 2 TP / (predicted + actual): 10/13, 4/6, and 0/1. Macro is their mean, 0.479. Micro adds up first:
# 2·7/(10 + 10) = 0.7, which is accuracy, since every wrong item is one false positive and one false negative.

# %%
# 0 positive, 1 negative, 2 neutral
truth, guess = [0] * 6 + [1] * 3 + [2], [0] * 5 + [1] * 3 + [0] * 2
ours = [precision_recall_f1(truth, guess, average).f1 for average in ("macro", "micro")]
theirs = [f1_score(truth, guess, average=average) for average in ("macro", "micro")]
agrees("f1", "sklearn.metrics.f1_score", ours, theirs, atol=1e-12)
agrees("f1_by_hand", "the fractions above", ours, [(10 / 13 + 4 / 6) / 3, 0.7], atol=1e-12)

# %% [markdown]
# ## On real outputs, silence is nearly as accurate as translation
#
# A translation memory returns the stored translation of the most similar source, as translators' software does. Two of
# them, one comparing words and one comparing pieces of words, translate 307 of JupyterLab's English menu and help texts.
# BLEU and ROUGE compare strings; accuracy and F1 need labels, and the trouble above suggests one: does the Chinese contain
# a negation?

# %%
pairs = english_chinese_pairs()
train, test = pairs["train"][:], pairs["test"][:]
systems = {"nothing": [""] * len(test["english"])}
memories = {"words": TfidfVectorizer(),
            "pieces": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))}  # fmt: skip
for name, memory in memories.items():
    similarity = memory.fit_transform(train["english"]) @ memory.transform(test["english"]).T
    systems[name] = [train["chinese"][i] for i in similarity.toarray().argmax(axis=0)]

zh, char = (sacrebleu.BLEU(tokenize=name, smooth_method="none") for name in ("zh", "char"))
wanted = [zh.tokenizer(text).split() for text in test["chinese"]]
negation, found = re.compile("[不无未没非勿]").search, {}
print("output   accuracy  macro-F1   ROUGE-L   sentence BLEU   corpus BLEU")
for name, outputs in systems.items():
    negated = [list(map(bool, map(negation, side))) for side in (test["chinese"], outputs)]
    tokens = [zh.tokenizer(text).split() for text in outputs]
    counts = np.array(list(map(bleu_statistics, tokens, [[r] for r in wanted])))  # (N, 10)
    found[name] = [accuracy(*negated), precision_recall_f1(*negated).f1,
                   np.mean([rouge.f1 for rouge in map(rouge_l, tokens, wanted)]),
                   bleu_from_statistics(counts).mean(), bleu_from_statistics(counts.sum(axis=0))]  # fmt: skip
    print("{:<8}{:9.3f}{:10.3f}{:10.3f}{:16.1f}{:14.1f}".format(name, *found[name]))
i = test["english"].index("Notebook metadata changed")
print(test["english"][i], "| wanted", test["chinese"][i], "| pieces", systems["pieces"][i])

# %%
agrees("corpus_bleu", "sacrebleu.BLEU, zh, unsmoothed", [row[4] for row in found.values()],
       [zh.corpus_score(h, [test["chinese"]]).score for h in systems.values()], atol=1e-9)  # fmt: skip
nothing, by_words, by_pieces = found.values()
claim("majority_carries", "outputs all empty, 'negated or not': accuracy minus macro-F1",
      nothing[0] - nothing[1], at_least=0.2)  # fmt: skip
by_character = char.corpus_score(systems["pieces"], [test["chinese"]]).score
claim("tokens_outweigh_systems", "BLEU: gain from another tokenizer over gain from another system",
      (by_character - by_pieces[4]) / (by_pieces[4] - by_words[4]), at_least=1.5, unit="×")  # fmt: skip
averaged = paired_bootstrap(np.zeros(len(counts)), bleu_from_statistics(counts), rng=rng(1))
claim("averages_miss", "corpus BLEU above the 95 % interval of the mean of its sentences' BLEU",
      by_pieces[4] - averaged.high, at_least=4, unit="points")  # fmt: skip

# %% [markdown]
# Outputs that are empty are nearly as accurate as translations, because few texts are negated; macro-F1 notices. Averaging
# sentences instead of pooling them is another metric, whose interval lies far from the BLEU that is reported. Going from
# sacreBLEU's `zh` to its `char` tokenizer gains more than going to the better system. And the last line is no invention: what
# says *changed* came out as 未更改, *not changed*, one character off.
#
# ## The same 0.3 points: noise for a rival, real for a patch
#
# To know whether a test finds a gain, one must know the gain. So build systems that garble words, more of them in
# sentences that are hard for all. The *rival* keeps half of the old system's words and decides anew about the others; the
# *patch* changes a few words in few sentences, not always for the better. Both are tuned so that over all sentences they
# are better by the same 0.3 BLEU, and test sets are drawn from these. A paired bootstrap {cite:p}`koehn2004statistical`
# draws each test set again and again, with replacement, the *same* sentences for both systems, and adds up their statistics:

# %%
show(paired_bootstrap)

# %%
# Try: gain = 2.0. The rival's gain is found too, and the thesis breaks: it is about gains that
# are small against the noise. Or size = 40_000, some minutes' work: the same happens.
# quality: chance of a right word; fresh: share of its words that the rival chooses anew.
gain, size, quality, fresh = 0.3, 1000, 0.6, 0.5
references = rng(11).integers(1000, size=(1500, 20))  # (N, T) words, of a vocabulary of 1,000
ease = rng(2).normal(0, 0.12, (1500, 1))  # of a sentence, the same for every system


# `base` with a share of its words chosen anew, each right with the chance quality + ease.
def garbled(base: np.ndarray, share: float, quality: float, k: int) -> np.ndarray:
    luck, turn = rng(k).random((2, *base.shape))
    other = rng(k + 1).integers(1000, size=base.shape)
    return np.where(turn < share, np.where(luck < quality + ease, references, other), base)


def statistics(outputs: np.ndarray) -> np.ndarray:  # (N, 10)
    return np.array(list(map(bleu_statistics, outputs.tolist(), references[:, None].tolist())))


# The first sentences of `better` and the rest of `other`, so many that the gain over old is as wanted.
def tuned(better: np.ndarray, other: np.ndarray, gain: float) -> np.ndarray:
    mixed = better.cumsum(axis=0) + other.sum(axis=0) - other.cumsum(axis=0)  # (N, 10)
    gains = bleu_from_statistics(mixed) - bleu_from_statistics(old.sum(axis=0))
    first = abs(gains - gain).argmin() + 1
    return np.concatenate([better[:first], other[first:]])


outputs = garbled(references, 1.0, quality, 3)
old, patched = statistics(outputs), statistics(garbled(outputs, 0.1, 0.9, 5))
worse, better = (statistics(garbled(outputs, fresh, quality + step, 7)) for step in (-0.1, 0.1))
trials = {  # what: its statistics, sentences in a test set, number of test sets
    f"rival, +{gain}": (tuned(better, worse, gain), size, 40),
    f"patch, +{gain}": (tuned(patched, old, gain), size, 40),
    f"patch, +{gain}, pairs shuffled": (tuned(patched, old, gain), size, 40),
    "rival, no gain": (tuned(better, worse, 0.0), size, 40),
    "rival, +2": (tuned(better, worse, 2.0), size, 40),
    "rival, +1, 2 × the sentences": (tuned(better, worse, 1.0), 2 * size, 40),
    f"rival, +{gain}, 40 × the sentences": (tuned(better, worse, gain), 40 * size, 5),
}
random, verdicts = rng(9), []
for name, (new, n, count) in trials.items():
    draws = random.integers(len(old), size=(count, n))
    others = random.permuted(draws, axis=1) if "shuffled" in name else draws
    verdicts.append([paired_bootstrap(old[a], new[b], bleu_from_statistics, rng=random, num_samples=200)
                     for a, b in zip(draws, others, strict=True)])  # fmt: skip
shares = [np.mean([verdict.low > 0 for verdict in sets]) for sets in verdicts]

# %% mystnb={"image": {"alt": "Seven rows of dots, each dot the difference in BLEU on one test set, orange where its 95 percent interval lies above zero. Rival plus 0.3: dots from minus one to above one, few orange. Patch plus 0.3: a narrow cluster at 0.3, all or nearly all orange. The same with pairs shuffled: the same cluster, hardly any orange. Rival without gain: spread around zero, hardly any orange. Rival plus 2: the same spread around two, nearly all orange. Rival plus 1 on twice the sentences: most orange. Rival plus 0.3 on 40 times the sentences: a narrow cluster, nearly all orange."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(7.2, 3.8))
for y, sets in enumerate(verdicts):
    spread = y + np.linspace(-0.25, 0.25, len(sets))
    colors = ["C1" if verdict.low > 0 else "C0" for verdict in sets]
    ax.scatter([verdict.difference for verdict in sets], spread, s=12, c=colors)
    ax.text(4, y, f"gain found: {shares[y]:.0%}", va="center", fontsize=9)
ax.axvline(0, color="#444444", linewidth=1)
ax.set(title="The same gain of 0.3 is noise for a rival and real for a patch", xlim=(-2, 5.5))
ax.set(xlabel="difference in BLEU; orange: 95 % interval above 0", ylim=(6.6, -0.6))
ax.set_yticks(range(len(trials)), trials)
plt.show()

# %%
claim("noise_or_real", "0.3 BLEU gained: share of test sets that show it, small patch minus rival",
      shares[1] - shares[0], at_least=0.6, thesis=True)  # fmt: skip
claim("pairing_shows_it", "0.3 BLEU gained by a patch: share that show it, paired minus shuffled",
      shares[1] - shares[2], at_least=0.6)  # fmt: skip
claim("no_false_alarms", "no BLEU gained by a rival system: share of test sets that show a gain",
      shares[3], at_most=0.15)  # fmt: skip
claim("noise_is_realistic", "1 BLEU gained by a rival system: share of 2,000-sentence sets that show it",
      shares[5], at_least=0.5, at_most=0.95)  # fmt: skip
claim("not_for_want_of_power", "rival gains 2 BLEU, or 0.3 on 40,000 sentences: least share shown",
      min(shares[4], shares[6]), at_least=0.5)  # fmt: skip

# %% [markdown]
# Same scores, same gain, same test. What a test set draws is mistakes that one system makes and the other does not. The rival
# differs from the old system in nearly every sentence, so its gain drowns; the patch differs in few, and in all others the
# difference is exactly zero. Shuffle the pairs and the two scores stay as they are, yet the patch's gain is lost. Nor is the
# test too weak: it finds the rival's 2 points, finds its 0.3 given enough sentences, and stays silent where there is nothing.
# And the noise is not made up: for real systems {cite:t}`card2020little` put the power to see 1 point on 2,000 sentences at
# about 75 %, and the simulated rival lands near that.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Classes are unbalanced, so I report F1 instead of accuracy."** Which F1? Micro *is* accuracy if each item has one label,
# and binary F1 depends on which class is called positive. Say macro, or name the class.
#
# **"ROUGE measures how much of the source text the summary covers."** Ask what the summary is compared with when the source has ten
# pages: a *reference summary*, written by someone. A summary that copies the first page verbatim can score badly.
#
# **"BLEU is the average similarity of the sentences with their references."** Hand over two sentences, one of them a correct *Yes .*
# It has no 4-gram: unsmoothed, its own BLEU is 0, and the average falls to half of the other's. The corpus score adds two
# matches to its counts.
#
# **"28.4 beats 28.1, so the first system is better."** Same test set, same tokenizer? A tokenizer alone moves more than that. And on
# how many sentences do the two differ, and what is the interval of the difference?

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why clip?
# Without it, *the the the the the the the* has unigram precision 7/7 against any reference with a *the*. Clipped at the
# reference's two, it has 2/7 {cite:p}`papineni2002bleu`. With several references, clip at the largest count in any one.
# :::
#
# :::{dropdown} Why the geometric mean, and what if no 4-gram matches?
# Precision falls steeply with n, so an arithmetic mean would mostly be unigram precision. The price: one zero makes BLEU
# zero. Over a corpus that is rare; for single sentences one smooths, and must say how. sacreBLEU's default counts half
# a match at the first order that has none, a quarter at the next.
# :::
#
# :::{dropdown} Where is the recall in BLEU?
# With several references, recall would ask for all their wordings at once. The brevity penalty stands in: leaving words
# out raises precision, but makes $c < r$. It is taken once for the corpus, so one short sentence can be made up for by another.
# :::
#
# :::{dropdown} ROUGE-2 or ROUGE-L?
# ROUGE-2 wants neighbors; ROUGE-L wants order and lets gaps pass, so it needs no n. For summaries of several sentences
# ask which ROUGE-L: `rougeL` reads the text as one sequence, `rougeLsum` goes sentence by sentence.
# :::
#
# :::{dropdown} What does "tok:13a, smooth:exp" under a table say?
# It is part of sacreBLEU's signature: tokenizer and smoothing. BLEU has settings, and {cite:t}`post2018call` found differences of up to 1.8 points between
# common ones, mostly from the reference's tokenization. Without a signature two papers' scores do not compare.
# :::
#
# :::{dropdown} Bootstrap or approximate randomization?
# Randomization swaps the two systems' outputs at random, sentence by sentence, which makes the null hypothesis true, and
# counts how often the difference comes out as large. It gives a p-value, the bootstrap an interval as well.
# {cite:t}`riezler2005pitfalls` found it the more conservative of the two.
# :::
#
# :::{dropdown} You tried twenty variants and one gained significantly. Ship it?
# Not on that test. At 5 % one in twenty comes out by chance, and the winner's gain is inflated by the choice. Correct for
# the number of comparisons or, better, confirm on fresh sentences. And the interval covers the draw of sentences only, not the
# luck of the training seed.
# :::
#
# :::{dropdown} What replaces BLEU?
# Learned metrics such as COMET agree with people more often on which of two systems is better {cite:p}`kocmi2021ship`, and
# have blind spots of their own. For open-ended text, people or a model as judge, which favors positions, long answers and its
# own {cite:p}`zheng2023judging`: swap the order, control for length, check against people.
# :::
#
# :::{dropdown} Why is perplexity not on the list?
# It needs no reference text, but it is a number per token, so it compares only models that share a tokenizer. Divide the
# summed bits by the bytes of the text instead: bits per byte know nothing of tokens. Neither says whether an answer is
# right.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} corpus_bleu
# ```

# %%
import math


def corpus_bleu(hypotheses: list, references: list, max_n: int = 4) -> float:
    """BLEU of a corpus, from 0 to 100.

    hypotheses: N lists of tokens; references: for each, one or more lists of tokens.
    """
    raise NotImplementedError


check("corpus_bleu", corpus_bleu)

# %% [markdown]
# ```{solution} corpus_bleu
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`papineni2002bleu`: BLEU. {cite:t}`lin2004rouge`: ROUGE. {cite:t}`post2018call`: sacreBLEU.
# - {cite:t}`callisonburch2006reevaluating`: translations that BLEU cannot tell apart, and people can.
# - {cite:t}`koehn2004statistical`: the paired bootstrap for BLEU. {cite:t}`riezler2005pitfalls`: against randomization.
# - {cite:t}`card2020little`: how large a gain a test set of given size can show.
# - {cite:t}`kocmi2021ship`: metrics against people, on thousands of systems. {cite:t}`zheng2023judging`: models as judges.
