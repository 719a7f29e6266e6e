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
# Accuracy counts items, so a majority class can carry it; F1 is the harmonic mean of precision and recall, and macro-F1
# gives each class one vote. BLEU is clipped n-gram precision, pooled over the corpus, times a brevity penalty; ROUGE is overlap
# with a reference summary. Both count shared words: a "not" too many can cost less than bad grammar, a paraphrase far more. A
# gain of 0.3 BLEU on a thousand sentences usually drowns in noise, but may be real between a system and its patched
# copy: test the difference, paired.
#
# :::{dropdown} The two-minute answer
# For one class, with TP items that are both predicted and true: precision $P$ = TP / predicted, recall $R$ = TP / actual, and
# $F_1 = 2PR/(P+R)$ = 2 TP / (predicted + actual). Macro averages the classes' $F_1$; micro adds up their counts first
# and, with one label an item, *is* accuracy.
#
# BLEU adds, over all sentences, the n-grams that match (each at most as often as in one reference), divides by all n-grams of
# the output, takes the geometric mean over n = 1 to 4, and multiplies by $\min(1, e^{1-r/c})$: $c$ tokens of output, $r$
# of reference. ROUGE-N is recall (today mostly $F_1$) of n-grams; ROUGE-L uses the longest common subsequence. A language
# model without a task has held-out likelihood: perplexity, or bits per byte.
#
# What to distrust: the words, since neither metric knows which of them carry the meaning; the tokens, since for Chinese an
# English tokenizer can give zero; the averaging, since pooled counts and averaged ratios are different numbers;
# and the last digit. For the last, resample sentences, the same ones for both systems, with their counts, recompute both
# scores, and look at the interval of the difference. It is narrow where outputs are mostly shared, and wide where not.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: F1 from counts, and that micro-F1 is accuracy where each item has one label.
# - Junior: what BLEU and ROUGE count, and what they compare with.
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
# The reference: *the council , which met this morning , has approved a budget for five schools .* A Chinese one like it:
# 委员会今天上午已批准五所学校的新预算。 Order four candidates by how far a reader may rely on them: what is true comes before
# what is well put.
#
# | | English | Chinese |
# |---|---|---|
# | A | the council , which met this evening , has approved a budget for five schools . | 委员会今天傍晚已批准五所学校的新预算。 |
# | B | when the council sat this morning , it passed a spending plan for the five schools . | 今早，委员们通过了五校的新经费方案。 |
# | C | the council , which met this morning , has not approved a budget for five schools . | 委员会今天上午未批准五所学校的新预算。 |
# | D | the council , it meet this morning , have approve a budget for five school . | 委员会它今天上午给批准了五个学校的新预算的。 |
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
    "B": ("when the council sat this morning , it passed a spending plan for the five schools .",
          "今早，委员们通过了五校的新经费方案。"),
    "D": ("the council , it meet this morning , have approve a budget for five school .",
          "委员会它今天上午给批准了五个学校的新预算的。"),
    "A": (english.replace("morning", "evening"), chinese.replace("上午", "傍晚")),
    "C": (english.replace("has", "has not"), chinese.replace("已", "未")),
}  # fmt: skip
unrelated = ("a ferry left the harbor before dawn .", "渡轮在黎明前离开了港口。")
sentence_bleu = sacrebleu.BLEU(tokenize="none", effective_order=True).sentence_score  # smoothed
metrics = {
    "BLEU": lambda h, r: sentence_bleu(" ".join(h), [" ".join(r)]).score,
    "ROUGE-1": lambda h, r: 100 * rouge_n(h, r, 1).f1,
    "ROUGE-L": lambda h, r: 100 * rouge_l(h, r).f1,
}
scores = [
    np.array([[metric(split(pair[k]), split(reference)) for metric in metrics.values()]
              for pair in (*candidates.values(), unrelated)])
    for k, reference, split in ((0, english, str.split), (1, chinese, list))
]  # (5, 3) each  # fmt: skip

# %% mystnb={"image": {"alt": "Two slope charts, for English words and for Chinese characters, with scores below each point. The four candidates start at the left in their order by meaning, B, D, A, C. In both, all lines cross, and the order by BLEU, by ROUGE-1 and by ROUGE-L is C, A, D, B: upside down."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
for ax, title, table in zip(axes, ("English", "Chinese"), scores, strict=True):
    ranks = np.column_stack([range(4), (-table[:4]).argsort(axis=0).argsort(axis=0)]) + 1
    for name, line, row in zip(candidates, ranks, table[:4], strict=True):
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
      np.diff(np.hstack(scores)[:4], axis=0).min(), at_least=0.5, unit="points")  # fmt: skip
claim("paraphrase_is_dear", "BLEU of a true paraphrase: 0 as an unrelated sentence's, 1 as its negation's",
      max((b - u) / (c - u) for b, _, _, c, u in np.array(scores)[:, :, 0]), at_least=0.08, at_most=0.4)  # fmt: skip
claim("blind_by_default", "sacreBLEU of a Chinese sentence against itself, default tokenizer",
      sacrebleu.corpus_bleu([chinese], [[chinese]]).score, at_most=0)  # fmt: skip

# %% [markdown]
# A "not" too many costs less than a wrong time of day, and that less than bad grammar; the paraphrase is put nearer to a
# sentence about a ferry than to its own negation. Four sentences made to fail show that this can happen, not how often. Over
# whole systems, BLEU's order follows people's well enough to be useful {cite:p}`papineni2002bleu`, and poorly enough to mislead
# {cite:p}`callisonburch2006reevaluating`. To sacreBLEU's default tokenizer
# this Chinese sentence, without space, digit or ASCII punctuation, is one token: no 2-grams, so it scores zero against itself.
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
# \text{BLEU} &= 100 \cdot e^{\min(0,\,1 - 9/7)} \\
# &\quad \cdot \Big(\tfrac67 \cdot \tfrac36 \cdot \tfrac25 \cdot \tfrac14\Big)^{1/4} \\
# &= 100 \cdot e^{-2/7} \cdot \Big(\tfrac{3}{70}\Big)^{1/4} \approx 34.2
# \end{aligned}
# $$
#
# ROUGE-1 reads the same six matches: $R = 6/9$, $P = 6/7$, $F_1 = 12/16$. ROUGE-L keeps order and allows gaps; *the cat sat
# on mat* has length 5, so $F_1 = 10/16$. Of a corpus, BLEU adds up the columns *clipped* and *all*, and the lengths, and only
# then divides, which gives long sentences more weight. Let one output have 2 of 2 words right and another 4 of 8, both as
# long as their references. BLEU of unigrams alone is 100 and 50: 75 on average, and pooled 6/10, or 60. So ten numbers a
# sentence are all BLEU has to know:

# %%
show(bleu_statistics, bleu_from_statistics)

# %%
output = ["the", "cat", "sat", "on", "the", "the", "mat"]
target = ["the", "cat", "sat", "on", "a", "mat", "by", "the", "door"]
agrees("by_hand", "the fractions above", [corpus_bleu([output], [[target]]).score,
       rouge_n(output, target, 1).f1, rouge_l(output, target).f1],
       [100 * math.exp(-2 / 7) * (3 / 70) ** 0.25, 12 / 16, 10 / 16], atol=1e-12)  # fmt: skip

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

# %% [markdown]
# ## On real outputs, silence is nearly as accurate as translation
#
# A translation memory returns the stored translation of the most similar source. Two of
# them, one comparing words and one comparing pieces of words, translate JupyterLab's English menu and help texts.
# BLEU and ROUGE compare strings; accuracy and F1 need labels, and the trouble above suggests one: does the Chinese contain
# one of six characters that mostly negate?

# %%
pairs = english_chinese_pairs()
train, test = pairs["train"][:], pairs["test"][:]
systems = {"nothing": [""] * len(test["english"]), "perfect": test["chinese"]}
memories = {"words": TfidfVectorizer(),
            "pieces": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))}  # fmt: skip
for name, memory in memories.items():
    similarity = memory.fit_transform(train["english"]) @ memory.transform(test["english"]).T
    systems[name] = [train["chinese"][i] for i in similarity.toarray().argmax(axis=0)]

zh, char = (sacrebleu.BLEU(tokenize=name, smooth_method="none") for name in ("zh", "char"))
wanted = [zh.tokenizer(text).split() for text in test["chinese"]]
negation, found, counts = re.compile("[不无未没非勿]").search, {}, {}
print(len(wanted), "texts: accuracy  macro-F1  ROUGE-L  corpus BLEU  sentence BLEU  share 0")
for name, outputs in systems.items():
    negated = [list(map(bool, map(negation, side))) for side in (test["chinese"], outputs)]
    tokens = [zh.tokenizer(text).split() for text in outputs]
    counts[name] = np.array(list(map(bleu_statistics, tokens, [[r] for r in wanted])))
    each = bleu_from_statistics(counts[name])
    found[name] = [accuracy(*negated), precision_recall_f1(*negated).f1,
                   np.mean([rouge.f1 for rouge in map(rouge_l, tokens, wanted)]),
                   bleu_from_statistics(counts[name].sum(axis=0)), each.mean(), (each == 0).mean()]  # fmt: skip
    print("{:<9}{:10.3f}{:10.3f}{:9.3f}{:13.1f}{:15.1f}{:9.3f}".format(name, *found[name]))
i = test["english"].index("Notebook metadata changed")
print(test["english"][i], "| wanted", test["chinese"][i], "| pieces", systems["pieces"][i])

# %%
agrees("corpus_bleu", "sacrebleu.BLEU, zh, unsmoothed", [row[3] for row in found.values()],
       [zh.corpus_score(h, [test["chinese"]]).score for h in systems.values()], atol=1e-9)  # fmt: skip
nothing, perfect, by_words, by_pieces = found.values()
claim("majority_carries", "outputs all empty, 'negated or not': accuracy minus macro-F1",
      nothing[0] - nothing[1], at_least=0.2)  # fmt: skip
by_character = char.corpus_score(systems["pieces"], [test["chinese"]]).score
claim("tokens_outweigh_systems", "BLEU: gain from another tokenizer over gain from another system",
      (by_character - by_pieces[3]) / (by_pieces[3] - by_words[3]), at_least=1.5, unit="×")  # fmt: skip
claim("zeros_sink_the_average", "perfect outputs: corpus BLEU minus mean of unsmoothed sentence BLEU",
      perfect[3] - perfect[4], at_least=5, unit="points")  # fmt: skip

# %% [markdown]
# Empty outputs are nearly as accurate as translations, because few texts are negated; macro-F1 notices. Unsmoothed,
# the mean of sentences' BLEU denies even perfect outputs their 100. That gap is zeros, not averaging: a text of fewer than four
# tokens has no 4-gram. Averaging in itself costs what the two sentences above show. Going from
# sacreBLEU's `zh` to its `char` tokenizer gains more than going to the better system. In the
# last line, *changed* came out as 未更改, *not changed*, one character off.
#
# ## The same 0.3 points: noise for a rival, real for a patch
#
# To know whether a test finds a gain, one must know the gain. So build systems that garble words, more of them in
# sentences that are hard for all. The *rival* keeps half of the old system's words and decides anew about the others, a little
# better in some sentences, a little worse in the rest; the *patch* changes a few words in few sentences, mostly for the better.
# Both are tuned to the same gain of 0.3 BLEU over all sentences, from which test sets are drawn. A paired bootstrap
# {cite:p}`koehn2004statistical` draws each test set again and again, with replacement, the *same* sentences for both systems,
# and adds up their statistics. First, the two memories above:

# %%
show(paired_bootstrap)
real = paired_bootstrap(counts["words"], counts["pieces"], bleu_from_statistics, rng=rng(1))
print(f"pieces minus words: {real.difference:.1f} BLEU, from {real.low:.1f} to {real.high:.1f}")

# %%
# Try: patch_quality = 0.65. The patch then breaks nearly as many sentences as it mends, its gain is
# found far less often, and the thesis breaks. size = 22_000, minutes' work, lets the rival's be found.
# quality: chance of a right word; fresh: share of its words that the rival chooses anew.
gain, size, quality, patch_quality, fresh = 0.3, 1000, 0.6, 0.9, 0.5
references = rng(11).integers(1000, size=(1000, 20))  # (N, T) words, of a vocabulary of 1,000
ease = rng(2).normal(0, 0.12, (1000, 1))  # of a sentence, the same for every system


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
old, patched = statistics(outputs), statistics(garbled(outputs, 0.1, patch_quality, 5))
worse, better = (statistics(garbled(outputs, fresh, quality + d, 7)) for d in (-0.05, 0.05))
rival, patch = tuned(better, worse, gain), tuned(patched, old, gain)
trials = {f"rival, +{gain}": rival, f"patch, +{gain}": patch,
          f"patch, +{gain}, pairs shuffled": patch,
          "rival, no gain": tuned(better, worse, 0.0)}  # fmt: skip
print("of", len(old), "sentences: differ  more matches  fewer")
for name, new in (("rival", rival), ("patch", patch)):
    change = (new - old)[:, 2:6].sum(axis=1)
    differ = (new != old).any(axis=1).sum()
    print(f"{name:<18}{differ:8}{(change > 0).sum():14}{(change < 0).sum():7}")
random, verdicts = rng(9), []
for name, new in trials.items():
    draws = random.integers(len(old), size=(40, size))
    others = random.permuted(draws, axis=1) if "shuffled" in name else draws
    verdicts.append([paired_bootstrap(old[a], new[b], bleu_from_statistics, rng=random, num_samples=200)
                     for a, b in zip(draws, others, strict=True)])  # fmt: skip
shares = [np.mean([verdict.low > 0 for verdict in sets]) for sets in verdicts]

# %% mystnb={"image": {"alt": "Four rows of dots, each dot the difference in BLEU on one test set, orange where its 95 percent interval lies above zero. Rival plus 0.3: dots from about minus one to above one, few orange. Patch plus 0.3: a narrow cluster at 0.3, all or nearly all orange. The same with pairs shuffled: the same cluster, hardly any orange. Rival without gain: spread around zero, hardly any orange. Beside each row the share of orange dots and the median half-width of the intervals, which is small for the patch alone."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(7.2, 2.8))
for y, sets in enumerate(verdicts):
    spread = y + np.linspace(-0.25, 0.25, len(sets))
    colors = ["C1" if verdict.low > 0 else "C0" for verdict in sets]
    ax.scatter([verdict.difference for verdict in sets], spread, s=12, c=colors)
    half = np.median([verdict.high - verdict.low for verdict in sets]) / 2
    ax.text(2.2, y, f"± {half:.2f}, gain found: {shares[y]:.0%}", va="center", fontsize=9)
ax.axvline(0, color="#444444", linewidth=1)
ax.set(title="The same gain is noise for a rival and real for a patch", xlim=(-2, 4.4))
ax.set(xlabel="difference in BLEU; orange: 95 % interval (±) above 0", ylim=(3.6, -0.6))
ax.set_yticks(range(len(trials)), trials)
plt.show()

# %%
claim("noise_or_real", "same small gain in BLEU: share of test sets that show it, patch minus rival",
      shares[1] - shares[0], at_least=0.6, thesis=True)  # fmt: skip
claim("pairing_shows_it", "small gain in BLEU by a patch: share that show it, paired minus shuffled",
      shares[1] - shares[2], at_least=0.6)  # fmt: skip
claim("no_false_alarms", "no BLEU gained by a rival system: share of test sets that show a gain",
      shares[3], at_most=0.15)  # fmt: skip

# %% [markdown]
# What a test set draws is mistakes that one system makes and the other does not. The rival
# differs from the old system in nearly every sentence, up in about as many as down, so its gain drowns. The patch is found
# because it changes few sentences *and* most of them for the better.
# Shuffle the pairs and the scores stay as they are, yet its gain is lost.
#
# The simulation is an illustration: how much a rival chooses anew is set by hand. For real systems
# {cite:t}`card2020little` put the power to see 1 BLEU on 2,000 sentences at about 75 %. A standard error is how far the
# measured gain typically strays from the true one. To be found in 75 % of test sets, a gain must be 1.96 + 0.67 = 2.63
# standard errors; so on 2,000 sentences one standard error is 1/2.63 = 0.38 BLEU, and on 1,000 it is 0.38 · √2 = 0.54.
# A gain of 0.3 BLEU is then 0.56 standard errors, and found in about 8 of 100 test sets. To find it in 75 of 100 takes
# 2,000/0.3², some 22,000 sentences.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Classes are unbalanced, so I report F1 instead of accuracy."** Micro-F1 *is* accuracy if each item has one label,
# and binary F1 depends on which class is called positive. Say macro, or name the class.
#
# **"ROUGE measures how much of the source text the summary covers."** Ask what the summary is compared with when the source has ten
# pages: a *reference summary*, written by someone.
#
# **"BLEU is the average similarity of the sentences with their references."** Hand over two sentences, one of them a correct *Yes .*
# It has no 4-gram: unsmoothed, its own BLEU is 0, and the average falls to half of the other's. To the corpus's counts it
# adds two 1-grams and one 2-gram, all matched.
#
# **"28.4 beats 28.1, so the first system is better."** A tokenizer alone moves more than that, so first make sure that
# both used the same one, on the same test set. Then give the interval of the difference; it is wide when the two differ
# in many sentences.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why the geometric mean, and what if no 4-gram matches?
# Precision falls steeply with n, so an arithmetic mean would mostly be unigram precision. One zero makes BLEU
# zero: rare over a corpus; for single sentences one smooths, and says how. sacreBLEU's default counts half
# a match at the first order that has none, a quarter at the next.
# :::
#
# :::{dropdown} Where is the recall in BLEU?
# With several references, recall would ask for all their wordings at once. The brevity penalty stands in: leaving words
# out raises precision, but makes $c < r$. It is taken once for the corpus: a long sentence makes up for a short one.
# :::
#
# :::{dropdown} ROUGE-2 or ROUGE-L?
# ROUGE-2 wants neighbors; ROUGE-L wants order and lets gaps pass, so it needs no n. For summaries of several sentences
# ask which ROUGE-L: `rougeL` reads the text as one sequence, `rougeLsum` splits it at newlines, so they must be there.
# :::
#
# :::{dropdown} What does "tok:13a, smooth:exp" under a table say?
# It is part of sacreBLEU's signature: tokenizer and smoothing. {cite:t}`post2018call` found differences of up to 1.8 points
# between common settings, mostly from the reference's tokenization. Without a signature two papers' scores do not compare.
# :::
#
# :::{dropdown} Bootstrap or approximate randomization?
# Randomization swaps the two systems' outputs at random, sentence by sentence, which makes the null hypothesis true, and
# counts how often the difference comes out as large: a p-value, where the bootstrap gives an interval as well.
# {cite:t}`riezler2005pitfalls` found it the more conservative.
# :::
#
# :::{dropdown} You tried twenty variants and one gained significantly. Ship it?
# Not on that test. At 5 % one in twenty comes out by chance, and the choice inflates the winner's gain. Correct for
# the number of comparisons or confirm on fresh sentences. And the interval covers the draw of sentences, not the
# luck of the training seed.
# :::
#
# :::{dropdown} What replaces BLEU?
# Learned metrics such as COMET agree with people more often on which of two systems is better {cite:p}`kocmi2021ship`, and
# have blind spots of their own. For open-ended text, people or a model as judge, which favors positions, long answers and
# perhaps its own {cite:p}`zheng2023judging`: swap the order, control for length, check against people.
# :::
#
# :::{dropdown} Why is perplexity not on the list?
# It needs held-out text instead of references, but it is a number per token, so it compares only models that share a tokenizer.
# Bits per byte of text do not depend on tokens. Neither says whether an answer is right.
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
