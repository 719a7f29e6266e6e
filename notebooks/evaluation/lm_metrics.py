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
#     - task_metrics
#     question_zh: 语言模型的评估指标有哪些？
#     short: Perplexity, ECE, chrF, pass@k
#     source: L05
#     tasks:
#     - pass_at_k
# ---

# %% [markdown]
# # Which metrics judge a language model, and what does each ignore?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# A language model states probabilities, so I begin with its likelihood on unseen text: perplexity, or bits per byte
# where tokenizers differ. It reads the probability of every token that came. Accuracy and the usual calibration error read only the
# top guess: two models can tie on both, and differ severalfold in perplexity. For written answers, BLEU, chrF and ROUGE
# count shared pieces: where *very good* was wanted, *not good* can score like *quite good*. For code, run tests and report pass@k, estimated without bias.
#
# :::{dropdown} The two-minute answer
# *Likelihood.* The surprisal of a token is $-\log p$ of what came. Perplexity is $e$ to its mean: as uncertain as a choice among so many
# equal options. It is a mean over tokens, so it compares only models that cut the text alike. The sum in bits, divided by the text's bytes,
# compares any.
#
# *Labels.* Accuracy, precision, recall and F1 treat the top guess as a class. Macro-F1 gives each class one vote.
# None of them sees how sure the model was. Expected calibration error does: it sorts guesses by confidence and averages the gap
# between confidence and accuracy. It does not reward knowing more: whoever always names the commonest token, with its true
# frequency, is calibrated.
#
# *References.* BLEU, chrF and ROUGE reward the overlap with a reference: of word n-grams, of character n-grams, of a longest common
# subsequence. A synonym and a negation in the same place can cost the same.
#
# *Programs.* pass@k is the chance that one of $k$ samples passes the tests. From $n$ samples of which $c$ pass, it is estimated by $1 -
# \binom{n-c}{k} / \binom{n}{k}$. Putting $c/n$ into $1 - (1-p)^k$ gives less, on average, than the truth.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: names perplexity, and says that it is $e$ to the mean negative log-likelihood on unseen text.
# - Junior: says that accuracy, precision, recall and F1 see only which guess came first.
# - Mid: gives two models of equal accuracy and different perplexity, and says where they differ: in what they gave to tokens that came
#   and were not the guess.
# - Mid: defines ECE, knows that temperature changes it and no guess, and that a constant guess can have nearly none.
# - Mid: compares models with different tokenizers in bits per byte, not in perplexity.
# - Senior: knows that overlap does not know a synonym from a negation, and tests a metric by edits of known meaning.
# - Senior: derives the pass@k estimator, and says in which direction the plug-in is biased.

# %% tags=["hide-input"]
import itertools
import math
import re

import matplotlib.pyplot as plt
import numpy as np
import sacrebleu
import torch

from lmprep.data.corpora import CharVocabulary, chinese_reviews
from lmprep.evaluation.calibration import expected_calibration_error, reliability_bins
from lmprep.evaluation.classification import accuracy, precision_recall_f1
from lmprep.evaluation.generation import pass_at_k
from lmprep.evaluation.likelihood import bits_per_byte, perplexity
from lmprep.evaluation.text import chrf, chrf_from_statistics, corpus_bleu, rouge_l, rouge_n
from lmprep.evidence import agrees, claim
from lmprep.foundations.ngram import WittenBellLM
from lmprep.notebook import rng, setup, show
from lmprep.plotting import heatmap
from lmprep.practice import check

_ = setup()

# %% [markdown]
# ## Two keyboards offer 大; the guest goes on to write 小
#
# A guest types a review: 房间很, *the room is very*. Keyboards A and B both offer 大, *big*, and both give it 0.4. They differ in the
# other 3,000 characters:
#
# | next character | keyboard A | keyboard B | four guests wrote |
# |---|---|---|---|
# | 大 big | 0.4 | 0.4 | twice |
# | 小 small | 0.3 | 0.0002 | once |
# | 好 good | 0.2 | 0.0002 | once |
# | each of 2,998 others | 0.1 / 2,998 | 0.0002 | |
#
# Accuracy is 2/4 for both. *Confidence* is the probability of the top guess, here always 0.4. Both claim 0.4 and are right
# in 0.5 of the cases; the gap of 0.1 is their calibration error. Perplexity reads what each of the four guests wrote:
# $(0.4 \cdot 0.4 \cdot 0.3 \cdot 0.2)^{-1/4} \approx 3.2$ for A, and $(0.4^2 \cdot 0.0002^2)^{-1/4} > 100$ for B.
#
# In general, for $T$ tokens $x_t$, and $N$ guesses sorted by confidence into bins of which bin $m$ holds $n_m$:
#
# $$
# \begin{aligned}
# \text{perplexity} &= \exp\Big(-\tfrac1T \textstyle\sum_t \log p(x_t \mid x_{<t})\Big), \\
# \text{bits per byte} &= \tfrac{1}{\text{bytes}} \textstyle\sum_t -\log_2 p(x_t \mid x_{<t}), \\
# \text{ECE} &= \textstyle\sum_m \tfrac{n_m}{N}\, |\text{accuracy}_m - \text{confidence}_m| .
# \end{aligned}
# $$

# %%
show(perplexity, bits_per_byte, reliability_bins, expected_calibration_error)

# %%
agrees("by_hand", "the products and the gap above", [perplexity(-np.log([0.4, 0.4, 0.3, 0.2])),
       perplexity(-np.log([0.4, 0.4, 0.0002, 0.0002])),
       expected_calibration_error([0.4] * 4, [True, True, False, False])],
       [0.0096**-0.25, 6.4e-9**-0.25, 0.1], atol=1e-10)  # fmt: skip

# %% [markdown]
# ## The same guesses, equally sure, at several times the perplexity
#
# A model counts which character follows which in 2,500 Chinese reviews of hotels,
# books and computers; its vocabulary lists all characters of the corpus. Whatever never followed gets a share by its overall frequency
# (Witten–Bell smoothing). Then we change one thing at a time:
#
# - *tail flattened*: each top guess keeps its probability to the last bit; the rest is spread evenly, as on keyboard B;
# - *0.001 added*: the same counts of pairs, smoothed by adding 0.001 to each: whatever never followed gets equal shares;
# - *temperature 2* and *½*: $p^{1/2}$ and $p^2$, rescaled to add up to 1; no top guess changes;
# - *counts alone*: characters by frequency, without context;
# - *read in bytes*: the trained model again, each character's surprisal shared among its UTF-8 bytes.

# %%
# Try: flat = 0.5. Every other character keeps at least half of its probability, so perplexity
# cannot more than double, and the thesis breaks. added = 1: ECE notices, and that claim breaks.
flat, added, length = 1.0, 0.001, 1000

reviews = chinese_reviews()
unseen = rng(1).permutation(list(reviews["test"]["text"])).tolist()
text = "\n".join(unseen)[:length]
known = list(reviews["train"]["text"])
vocabulary = CharVocabulary.from_text("\n".join([*known, *unseen]))
V, train = len(vocabulary), np.array(vocabulary.encode("\n".join(known[:2500])))
before, ids = (np.array(vocabulary.encode(part)) for part in ("\n" + text[:-1], text))  # (T,)

model = WittenBellLM(2, V).fit(train)
trained = np.array([model.probs([b]) for b in before])  # (T, V)
guess, top = trained.argmax(axis=1), trained.max(axis=1, keepdims=True)  # (T,), (T, 1)
follows = (train[1:][train[:-1] == b] for b in before)
pairs = np.array([np.bincount(each, minlength=V) for each in follows]) + added  # (T, V)
models = {
    "as trained": trained,
    "tail flattened": np.where(np.arange(V) == guess[:, None], trained,
                               (1 - flat) * trained + flat * (1 - top) / (V - 1)),
    f"{added} added": pairs / pairs.sum(axis=1, keepdims=True),
    "temperature 2": trained**0.5 / (trained**0.5).sum(axis=1, keepdims=True),
    "temperature ½": trained**2 / (trained**2).sum(axis=1, keepdims=True),
    "counts alone": np.tile(WittenBellLM(1, V).fit(train).probs([]), (length, 1)),
}  # fmt: skip
came = (np.arange(length), ids)  # where the tables hold the characters that came


def judged(p: np.ndarray) -> list[float]:
    best, surprisal = p.argmax(axis=1), -np.log(p[came])  # (T,) each
    return [accuracy(ids, best), precision_recall_f1(ids, best, "macro").f1,
            expected_calibration_error(p.max(axis=1), best == ids),
            perplexity(surprisal), bits_per_byte(surprisal, text)]  # fmt: skip


columns = ["accuracy", "macro-F1", "ECE", "perplexity", "bits/byte"]
table = {name: judged(p) for name, p in models.items()}
price, flattened, smoothed = (-np.log(p[came]) for p in list(models.values())[:3])
size = [len(character.encode()) for character in text]
per_byte = np.repeat(price / size, size)
table["read in bytes"] = [np.nan] * 3 + [perplexity(per_byte), bits_per_byte(per_byte, text)]
print(f"{V} characters", *(f"{column:>13}" for column in columns))
for name, row in table.items():
    print(f"{name:<15}", *(f"{number:13.4g}" for number in row))
for average in ("macro", "micro", "weighted"):
    print(f"{average} P, R, F1:", *np.round(precision_recall_f1(ids, guess, average), 3))
for name, where in (("right", guess == ids), ("wrong", guess != ids)):
    nats = [f"{each[where].mean():.2f}" for each in (price, flattened, smoothed)]
    print(f"guess {name}: surprisal as trained, flattened, {added} added:", *nats, "nats")

# %%
as_trained, flat_tail, other, hot, cold, counts, _ = table.values()
claim("guesses_see_nothing", "tail flattened: largest change of accuracy, macro-F1 and ECE",
      max(abs(a - b) for a, b in zip(as_trained[:3], flat_tail[:3], strict=True)), at_most=0)  # fmt: skip
claim("the_tail_decides", "same guesses at the same confidence, tail flattened: perplexity over before",
      flat_tail[3] / as_trained[3], at_least=4, unit="×", thesis=True)  # fmt: skip
claim("worse_at_pricing", "tail flattened: perplexity over that of character counts alone",
      flat_tail[3] / counts[3], at_least=1.5, unit="×")  # fmt: skip
claim("smoothing_looks_alike", "0.001 added: larger of its loss of accuracy and its rise of ECE",
      max(as_trained[0] - other[0], other[2] - as_trained[2]), at_most=0.015)  # fmt: skip
claim("smoothing_decides", "0.001 added: perplexity over that of the trained model",
      other[3] / as_trained[3], at_least=1.3, unit="×")  # fmt: skip
log_p, targets = torch.from_numpy(np.log(trained)), torch.from_numpy(ids)
agrees("perplexity", "exp of torch.nn.functional.nll_loss", as_trained[3],
       torch.nn.functional.nll_loss(log_p, targets).exp().item(), atol=0, rtol=1e-12)  # fmt: skip

# %% [markdown]
# The first two rows are keyboards A and B. Guesses and confidence are equal, so whatever is computed from them is: accuracy, F1,
# calibration error. The output's last lines show where the difference lies: all of it where the
# guess was wrong, that is, in most of the text. The flattened model guesses several times better than counts without context, and yet
# prices the text worse: a keyboard that offers one character needs the guesses, a compressor the prices.
#
# This pair was built. *0.001 added* was not: two ways of smoothing the same counts, nearly level in accuracy and calibration error, are
# still far apart in perplexity.
#
# With more than two classes, scikit-learn's precision, recall and F1 raise an error until one chooses an average, as in the output: micro repeats the
# accuracy three times; [macro gives each character one vote](task_metrics), and many that occur were never guessed.
#
# In the last row only the unit changes. Perplexity falls because a byte is less than a character; the bits per byte stay. [Tokenizers](../foundations/training_pipeline_bpe)
# do the same on a larger scale.
#
# ## Calibration forgives a model that ignores its context
#
# *Calibrated* means: of all guesses at confidence 0.7, seven in ten are right. Both temperatures leave every guess as it was and spoil this,
# one by timidity, the other by boasting. ECE takes absolute values, so it does not say which; here perplexity charges boasting more.

# %%
confidence, hits = trained.max(axis=1), guess == ids
draws = rng(3).random((200, length)) < confidence  # right exactly as often as they say
floor = np.mean([expected_calibration_error(confidence, right) for right in draws])
print(f"perfectly calibrated, at these confidences: ECE {floor:.3f} on average")
edges = -np.linspace(0, 1, 11)[::-1]  # numpy closes bins on the left, so turn the axis around
right, sure = (np.histogram(-confidence, edges, weights=w)[0] for w in (1.0 * hits, confidence))
agrees("calibration", "numpy.histogram, summed by bin", as_trained[2],
       abs(right - sure).sum() / length, atol=1e-12)  # fmt: skip

# %%
claim("temperature_shows", "temperatures 2 and ½, same guesses: smaller of the two rises of ECE",
      min(hot[2], cold[2]) - as_trained[2], at_least=0.07)  # fmt: skip
claim("useless_is_calibrated", "1,000 guesses: mean ECE of a perfectly calibrated model minus a constant guess's",
      floor - counts[2], at_least=0.008)  # fmt: skip

# %% [markdown]
# *Counts alone* name one character everywhere, with its frequency in training. They are nearly always wrong, and their measured ECE is lower than what a
# perfectly calibrated model with the trained model's confidences would average: a thousand guesses spread over ten bins leave gaps by chance, and a constant guess fills one bin. So compare ECE at
# equal numbers of guesses and bins, and *at a given* accuracy or likelihood. Log-likelihood needs no such company: it is a *proper* score,
# [best on average for whoever states the true probabilities](../training/cross_entropy_numerics).
#
# ## *Quite* or *not* in place of *very*: overlap charges for length
#
# A written answer is compared with a reference. [The page before](task_metrics) computes BLEU, ROUGE and F1 by hand; chrF {cite:p}`popovic2015chrf`
# does without words. It takes character n-grams for n = 1 to 6, without spaces, averages precision $P$ and recall $R$ over n, and
# combines them to $(1+\beta^2) PR / (\beta^2 P + R)$; $\beta = 2$ makes recall twice as important.
#
# Now break the four with edits whose meaning is known. In Chinese reviews that call something 很大, *very big*, or 很干净, *very clean*, and the like, one 很 is replaced: by 挺, *quite*, or 非常, *extremely*, and the
# judgment stays; by 不, *not*, or 并不, *in fact not*, and it is turned around. (The rest of the review may then contradict it.) Other edits leave all the words: ASCII punctuation in place of Chinese, clauses in reversed order, characters
# shuffled.

# %%
show(chrf_from_statistics)

# %%
ADJECTIVES = "好|小|大|高|旧|贵|新|快|近|轻|干净|方便|舒服|满意|漂亮|热情|安静|便宜"
# At a clause's end, and not after a word that needs its 很, as in 不是很好.
very = re.compile(f"(?<=[一-龥])(?<![也还但都却不算是会的])很(?=({ADJECTIVES})[，。！,.!])")
chosen = [s for s in unseen if very.search(s) and "而且" not in s and len(s) <= 60][:50]
edits = {
    "quite (same)": lambda s: very.sub("挺", s, count=1),
    "not (opposite)": lambda s: very.sub("不", s, count=1),
    "extremely (same)": lambda s: very.sub("非常", s, count=1),
    "in fact not (opposite)": lambda s: very.sub("并不", s, count=1),
    "ASCII punctuation": lambda s: s.translate(str.maketrans("，。！？；：、", ",.!?;:,")),
    "clauses reversed": lambda s: "".join(re.split("([，,])", s)[::-1]),
    "shuffled": lambda s: "".join(rng(2).permutation(list(s))),
    "said twice": lambda s: s + s,
}


def overlap(outputs: list[str], references: list[str]) -> list[float]:
    pairs = [(list(h), list(r)) for h, r in zip(outputs, references, strict=True)]
    return [corpus_bleu([h for h, _ in pairs], [[r] for _, r in pairs]).score,
            chrf(outputs, [[r] for r in references]),
            *(100 * np.mean([[rouge_n(*pair, 1).f1, rouge_l(*pair).f1] for pair in pairs], axis=0))]  # fmt: skip


edited = {name: [edit(review) for review in chosen] for name, edit in edits.items()}
scores = {name: overlap(outputs, chosen) for name, outputs in edited.items()}
print(*(edited[name][0] for name in list(edits)[:4]), sep="\n")

# %% mystnb={"image": {"alt": "Two tables colored by how far each number moved from the unharmed case. Above, for the language model: in the row tail flattened, accuracy, macro-F1 and ECE are white and perplexity is dark; 0.001 added looks the same but paler, with a slightly lower ECE; in the temperature rows ECE and perplexity are colored, accuracy and macro-F1 white; counts alone have the lowest accuracy and ECE. Below, for edited text, by BLEU, chrF, ROUGE-1 and ROUGE-L: quite and not have the same numbers, extremely and in fact not have the same, a little lower; ASCII punctuation is lower than all four; clauses reversed and shuffled score 100 in ROUGE-1, and shuffled 0 in BLEU; said twice is highest in chrF."}} tags=["hide-input"]
fig, (above, below) = plt.subplots(2, 1, figsize=(5.8, 7.2), height_ratios=(7, 8))
values, texts = (np.array(list(rows.values())) for rows in (table, scores))
panels = [(above, table, columns, values, abs(np.log2(values / values[0])), 4),
          (below, scores, ["BLEU", "chrF", "ROUGE-1", "ROUGE-L"], texts, 100 - texts, 100)]  # fmt: skip
for ax, rows, names, numbers, shade, most in panels:
    heatmap(ax, shade, rows=list(rows), columns=names, vmax=most)
    for (y, x), number in np.ndenumerate(numbers):
        digits = 3 if 0 < number < 1 else 1 if number < 100 else 0
        shown = "n/a" if math.isnan(number) else f"{number:.{digits}f}"
        ax.text(x, y, shown, ha="center", va="center", fontsize=9,
                color="white" if shade[y, x] > 0.6 * most else "black")  # fmt: skip
above.set(title="Same guesses, new tail: only likelihood moves", xlabel="dark: far from row 1")
below.set(title="Overlap charges for length, not for meaning", xlabel="dark: far below 100")
plt.show()

# %%
quite, negated, extremely, refused, ascii_marks = texts[:5]
claim("opposite_as_dear_as_synonym", "“very” made its synonym or opposite, equally long: largest gap in four scores",
      max(abs(quite - negated).max(), abs(extremely - refused).max()), at_most=0, unit="points")  # fmt: skip
claim("length_is_dear", "“very” made “not” or “extremely”: least lead of “not” in four scores",
      (negated - extremely).min(), at_least=0.3, unit="points")  # fmt: skip
claim("commas_cost_more", "reviews: BLEU lost to ASCII punctuation over that lost to “not” for “very”",
      (100 - ascii_marks[0]) / (100 - negated[0]), at_least=1.7, unit="×")  # fmt: skip
theirs = [sacrebleu.corpus_chrf(outputs, [chosen]).score for outputs in edited.values()]
agrees("chrf", "sacrebleu.corpus_chrf", texts[:, 1].tolist(), theirs, atol=1e-9)

# %% [markdown]
# *Quite* and *not* replace the same character, so they break the same n-grams and score alike; so do
# *extremely* and *in fact not*, one character longer. *Extremely* keeps the meaning and scores below *not*. ASCII punctuation changes no word and, there being more of it, costs more
# BLEU than turning the judgment around. *Shuffled* is nonsense that ROUGE-1 finds perfect: it ignores order.
# *Said twice*: chrF, which prizes recall, minds least.
# These edits were chosen to mislead; they say what the metrics cannot see, not how often outputs differ that way.
#
# ## pass@k: with c/n in the formula, the average is too low
#
# Five programs were sampled, $c = 2$ of $n = 5$ pass their tests. Would one of $k = 2$ have passed? There are 10 pairs, 3 of them
# without a passing program, so the estimate is 1 − 3/10 = 0.7. In general
#
# $$
# \widehat{\text{pass@}k} = 1 - \binom{n-c}{k} \Big/ \binom nk .
# $$
#
# The short cut, $p \approx c/n = 0.4$ in $1 - (1-p)^k$, gives 0.64: it draws with replacement, and may try the same program twice.
# Which of the two is right on average? If each program passes with chance $p$, then $c$ is binomial, and the average is a sum over $n + 1$ cases,
# exact, without sampling.

# %%
cases = [(n, c, k) for n in range(1, 8) for c in range(n + 1) for k in range(1, n + 1)]
found = [np.mean([any(picked) for picked in itertools.combinations([1] * c + [0] * (n - c), k)])
         for n, c, k in cases]  # fmt: skip
agrees("every_choice", "every choice of k from n answers, by itertools.combinations",
       [pass_at_k(*case) for case in cases], found, atol=1e-12)  # fmt: skip

k, unbiased, plugged, truth = 10, [], [], []
print("pass@10   n     p   truth  estimator  plug-in   (averages over all c)")
for n, p in itertools.product((10, 20, 200), (0.02, 0.05, 0.2)):
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    unbiased.append(np.dot(chance, [pass_at_k(n, c, k) for c in range(n + 1)]))
    plugged.append(np.dot(chance, [1 - (1 - c / n) ** k for c in range(n + 1)]))
    truth.append(1 - (1 - p) ** k)
    print(f"{n:12}{p:6.2f}{truth[-1]:8.3f}{unbiased[-1]:11.3f}{plugged[-1]:9.3f}")
agrees("unbiased", "1 − (1 − p)^k", unbiased, truth, atol=1e-12)
claim("plug_in_is_low", "pass@10 from 10 answers, each right with chance 1/20: truth minus mean plug-in",
      truth[1] - plugged[1], at_least=0.06)  # fmt: skip

# %% [markdown]
# The estimator hits the truth in every row, since any $k$ of the $n$ answers are $k$ independent tries, and it averages over all such sets. The plug-in falls short in every row, most where $n = k$, and hardly at $n = 200$. The reason is the bend: $1 - (1 - p)^k$ is
# concave in $p$ for $k \ge 2$, so an average over scattered $c/n$ lies below the value at their mean (Jensen).
#
# What pass@k ignores: how the user finds the one that passes, and what the tests do not test. And pass@1 hides the spread over problems.
# A model that always solves one problem of ten and never the others has pass@1 = pass@10 = 0.1. One that solves each of
# the ten with chance 0.1 has the same pass@1, and pass@10 = $1 - 0.9^{10} \approx 0.65$.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Cross-entropy measures the difference between prediction and truth; a perfect model has zero."** The difference from the true distribution is
# the KL divergence, and it can be zero. Cross-entropy adds the entropy of the text itself, which no model removes. A fair coin costs the model that knows it is
# fair one bit per toss.
#
# **"Our chat model has a lower perplexity than yours: 8 against 11."** Said of two tokenizers, this compares a price per
# piece with a price per other piece. Let a text of 4,000 bytes be 1,000 tokens for one and 800 for the other. Then 8 means 3 bits per
# token, 3,000 bits in all, and 11 means 3.46 · 800 ≈ 2,770: the higher perplexity belongs to the better model.
#
# **"ECE is 0.02, so we can trust its confidence."** Ask three more things: how many bins, how accurate the model is, and
# whether the gap is as small among the cases that matter. Take ten guesses at 0.9 and ten at 0.1, five of each right. In one bin, confidence and accuracy
# are both 0.5, and ECE is 0. In two bins, each gap is 0.4.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} The text is longer than the context. How do you compute perplexity?
# Cutting it into separate blocks is cheap, and every block's first tokens are scored with hardly any context, so perplexity comes out too high. Slide the
# window by a stride and score only the tokens that the last window had not. A smaller stride gives more context and costs more passes. Report both.
# :::
#
# :::{dropdown} When is micro-F1 equal to accuracy?
# When each item has one true and one predicted label, and all classes are counted: every wrong item is one false positive and one false
# negative. Leave out a class, such as "other", or allow several labels, and they part.
# :::
#
# :::{dropdown} Why not draw exactly k samples and see whether one passes?
# That is unbiased too, the case $n = k$ of the estimator, but each problem then yields 0 or 1, which is noisy. {cite:t}`chen2021evaluating` drew 200 and
# averaged over all choices of $k$. One set of samples then serves every $k \le n$.
# :::
#
# :::{dropdown} Does chat training harm calibration?
# It can. OpenAI's GPT-4 report shows a base model well calibrated on multiple-choice questions, and less so after post-training
# {cite:p}`openai2023gpt4`. A temperature fitted on held-out data repairs a lot in many classifiers and changes no top guess
# {cite:p}`guo2017calibration`.
# :::
#
# :::{dropdown} Let a strong model judge instead?
# It reads meaning, and has tastes. Position: by choosing the order, {cite:t}`wang2024fair` made Vicuna-13B beat ChatGPT on 66 of 80 questions, with ChatGPT as judge. Length, and
# itself: see {cite:t}`zheng2023judging` and {cite:t}`panickssery2024evaluators`. Judge both orders, control for length, use another family as
# judge, and check it against people on a sample.
# :::
#
# :::{dropdown} The benchmark may be in the training data. How would you know?
# Search for long n-grams in common, if you have the data. Or write fresh questions of equal difficulty: on a twin of GSM8k, {cite:t}`zhang2024careful`
# saw several families of models drop, and frontier models hardly. A suspiciously high likelihood of the test questions is a hint, no proof.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} pass_at_k
# ```


# %%
import math


def pass_at_k(results: list[list[bool]], k: int) -> float:
    """Mean over problems of the unbiased estimate of pass@k.

    results: for each problem, whether each of its sampled answers is right; lengths may differ.
    """
    raise NotImplementedError


check("pass_at_k", pass_at_k)

# %% [markdown]
# ```{solution} pass_at_k
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`jelinek1977perplexity`: perplexity. {cite:t}`popovic2015chrf`: chrF.
# - {cite:t}`naeini2015obtaining`, {cite:t}`guo2017calibration`: ECE, and temperature scaling.
# - {cite:t}`chen2021evaluating`: pass@k and its estimator.
# - {cite:t}`wang2024fair`, {cite:t}`zheng2023judging`, {cite:t}`panickssery2024evaluators`: biases of models as judges.
# - {cite:t}`zhang2024careful`: contamination, measured with fresh questions.
