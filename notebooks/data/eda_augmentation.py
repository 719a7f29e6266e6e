# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs: [naive_bayes_vs_logistic]
#     question_zh: 如何进行语言模型的数据增强？
#     short: Text augmentation with EDA
#     source: S18
#     tasks:
#     - synonym_replace
# ---

# %% [markdown]
# # Implement EDA. When does it help, and when does it flip labels?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# EDA makes copies of training texts by four edits: replace words by synonyms, insert a synonym, swap two words, delete words.
# Synonyms help if they carry the label to words that the training set lacks and the test set has. That gain is largest at middle
# sizes. Deleting or moving a negation can reverse a label, so I protect negations and the words they act on. Plain copies, with
# regularization tuned for each arm, are the control. For Chinese I segment first.
#
# :::{dropdown} The two-minute answer
# A synonym table is knowledge from outside. A model that counts words knows nothing of *spotless* until *spotless* turns up; the table lets a
# text with *clean* speak for it. With very few texts, most groups of synonyms are still unseen. With many, each word has been seen by itself. So the gain
# rises and falls, and I can estimate it without training: which share of the test's unseen words has a synonym in the training texts?
#
# Eight copies beside each original also multiply its weight in the loss by nine, which is the same as a penalty nine times weaker.
# Whoever keeps the penalty fixed measures both at once. So every arm gets a penalty of its own, chosen on held-out texts; then plain
# copies do nothing.
#
# Labels: deleting *not* reverses one, deleting the adjective leaves none. Swaps move *not* behind its adjective, and insertion adds the adjective without *not*.
# In Chinese the same holds for 不 and 没, which a segmenter often glues to the next character: 不好吃 becomes 不好/吃. So I list such
# words too. I read twenty copies before I train on twenty thousand.
#
# On a pretrained model I expect little: it has met the synonyms already.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: names the four edits; applies them to training texts alone, after the split.
# - Junior: segments Chinese first, because splitting at spaces finds a single word.
# - Mid: exact counts: n different places or all that can change, each to another word; the number of deletions is binomial.
# - Mid: says how each edit can spoil a label, and what to protect.
# - Mid: compares with plain copies, and tunes regularization for each arm.
# - Senior: explains why the gain is a hump over the number of texts, and estimates it before training.
# - Senior: asks which knowledge the table brings in, and why a pretrained model may have it already.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

from lmprep.data import augment
from lmprep.data.augment import WordColumns, eda, hotel_remarks, spoiled, synonym_replace
from lmprep.data.corpora import chinese_reviews, chinese_words
from lmprep.evidence import agrees, claim
from lmprep.foundations.classify import MultinomialNB
from lmprep.notebook import rng, setup, show
from lmprep.practice import check

_ = setup()  # the page stays on the CPU

# %% [markdown]
# ## 不推荐 without 不 is a recommendation
#
# 房间很安静，但是卫生间不干净，不推荐。 *The room is quiet, but the bathroom is not clean; not recommended.* Python's `split()` finds one
# word in it, as in any Chinese sentence without spaces, and no English thesaurus lists that word. So nothing can be replaced, and deletion
# takes all or nothing. [The code published with EDA](https://github.com/jasonwei20/eda_nlp) keeps only the letters a to z, which leaves nothing of Chinese.
#
# Words come first. Here a segmenter takes, at each place, the longest word of a dictionary. Then a table of synonyms, written for this page,
# and the edits of {cite:t}`wei2019eda`:

# %%
show(augment.segment, augment.random_insert, augment.random_swap, augment.random_delete)

# %%
chinese = augment.synonym_table(augment.CHINESE_GROUPS)
words = chinese_words().keys() | chinese.keys()
source, review = "你好，世界！", "房间很安静，但是卫生间不干净，不推荐。"
print(source.split(), augment.segment(source, words))
print("".join(synonym_replace(augment.segment(source, words), chinese, 1, rng(1))))
print(" ".join(tokens := augment.segment(review, words)))
print(*map("".join, eda(tokens, chinese, rng(2), n_aug=8)), sep="\n")

# %% [markdown]
# `eda` uses each edit equally often, here twice. An edit changes a tenth of the words, but at least one; deletion drops each word with
# that probability, so the number of deletions is binomial. Synonym replacement, the edit that your turn below asks for, changes exactly $n$ different places,
# or all that have a synonym if those are fewer. Read the copies as a customer would: which
# of them has lost or moved a 不?
#
# ## A table tells what a word means before it has been seen
#
# To count accidents we need texts whose label is known after any edit. `hotel_remarks` draws some: *last week the inn was not tidy for us*. Each has
# one adjective of 80: eight groups of five synonyms for praise, and eight for complaints. Before it stands *not* in 30 % of the remarks, else a word
# such as *very*. *Not* turns around every adjective after it. `remark_label` reads the label off any list of words; it says `None` where
# praise and complaint cancel or no adjective is left.
#
# The classifier is [naive Bayes](../foundations/naive_bayes_vs_logistic). Words after a negator count as words of their own, such as `not_tidy`
# {cite:p}`pang2002thumbs`. A word that occurs $c_1$ times in praise and $c_0$ times in complaints weighs $\log \frac{c_1 + a}{c_0 + a}$,
# up to a constant. The smoothing $a$ is its regularization.

# %%
# Try: negated = 0.0. Nothing is left to flip, so deletion costs nothing in the table below. The
# peak moves to fewer remarks, and the claim on the hump breaks.
# Or num_copies = 1: less of the table reaches the training set, and the thesis breaks.
# The sizes are numbers of remarks to train on, each drawn three times.
sizes, middle, draws = (25, 50, 100, 200, 400), 100, 3
num_copies, negated, smoothings = 8, 0.3, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)

adjectives = augment.POSITIVE_GROUPS + augment.NEGATIVE_GROUPS
synonyms = augment.synonym_table(adjectives + augment.PLACE_GROUPS)
deck = rng(3).permutation(np.concatenate(adjectives)).reshape(-1, 5).tolist()
shuffled = augment.synonym_table([*deck, *augment.PLACE_GROUPS])
protected = augment.NEGATORS.union(*adjectives)


# %%
def accuracies(counts, sets) -> tuple[float, float]:
    """On the test set, with smoothing 1 and with the smoothing that is best on the held-out set."""
    found = []
    for smoothing in smoothings:
        # Naive Bayes reads sums over a class, so two sums may stand for all texts.
        w, b = MultinomialNB(smoothing).fit(counts, [0, 1]).linear()
        found.append([((np.add.reduceat(w[flat], starts) + b > 0) == labels).mean()
                      for (flat, starts), labels in sets])  # fmt: skip
    return found[smoothings.index(1.0)][1], max(found, key=lambda pair: pair[0])[1]


def copied(edit, texts, labels) -> tuple[list, list]:
    """The copies that an edit makes of each text, and their labels."""
    pairs = [(copy, y) for text, y in zip(texts, labels, strict=True) for copy in edit(text)]
    return tuple(map(list, zip(*pairs, strict=True)))


def compare(words, held, test, training, arms) -> dict[str, np.ndarray]:
    """Both accuracies of each arm, (2,), averaged over training sets."""
    columns = WordColumns(words)
    sets = [(columns.encode(texts), np.array(labels)) for texts, labels in (held, test)]
    alone = [columns.count(*known) for known in training]
    found = {"no copies": np.mean([accuracies(counts, sets) for counts in alone], axis=0)}
    for name, edit in arms.items():
        copies = [columns.count(*copied(edit, *known)) for known in training]
        pairs = zip(alone, copies, strict=True)
        found[name] = np.mean([accuracies(a + b, sets) for a, b in pairs], axis=0)
    return found


def report(title, rows) -> None:
    print(f"{title:17}smoothing 1  chosen")
    for name, (fixed, chosen) in rows.items():
        print(f"{name:21}{fixed:7.3f}{chosen:8.3f}")


# %% [markdown]
# Each arm adds eight copies of every remark. *Shuffled table* is the same edit, but the 80 adjectives were dealt into groups at random.
# *Deletion* drops each word with probability 0.3. Below it, the same copies without those whose label became the opposite one, and
# without those that have no label left.

# %%
random, negators = rng(4), augment.NEGATORS


def copies_by(edit, *settings):
    return lambda text: [edit(text, *settings) for _ in range(num_copies)]


def mixed(table, protect=()):
    return lambda text: eda(text, table, random, n_aug=num_copies, protect=protect)


def deletion(is_kept):
    """Deletes 30 % of the words; old and new label decide whether a copy is kept."""
    # One seed, so that all these arms draw the same copies.
    label, edit = augment.remark_label, copies_by(augment.random_delete, 0.3, rng(9))
    return lambda text: [copy for copy in edit(text) if is_kept(label(text), label(copy))]


arms = {"plain copies": copies_by(list),
        "synonyms": copies_by(synonym_replace, synonyms, 1, random),
        "shuffled table": copies_by(synonym_replace, shuffled, 1, random)}  # fmt: skip
more = {"EDA": mixed(synonyms), "EDA, protected": mixed(synonyms, protected),
        "deletion": deletion(lambda old, new: True),
        "  none opposite": deletion(lambda old, new: new != 1 - old),
        "  none unlabeled": deletion(lambda old, new: new is not None)}  # fmt: skip
held, test = (hotel_remarks(n, rng(k), negated=negated) for n, k in ((500, 5), (1500, 6)))
vocabulary = {word for text in held[0] + test[0] for word in text} | synonyms.keys()
training = {n: [hotel_remarks(n, rng(10 * n + k), negated=negated) for k in range(draws)]
            for n in sizes}  # fmt: skip
accuracy = {n: compare(vocabulary, held, test, training[n], arms | (more if n == middle else {}))
            for n in sizes}  # fmt: skip
report(f"{middle} remarks", accuracy[middle])

# %%
at = accuracy[middle]
gain = {n: (accuracy[n]["synonyms"] - accuracy[n]["no copies"])[1] for n in sizes}
claim("synonyms_beat_copies", f"{middle} remarks, smoothing chosen for each arm: accuracy that synonym "
      "copies add to plain copies",
      (at["synonyms"] - at["plain copies"])[1], at_least=0.09, thesis=True)  # fmt: skip
claim("shuffled_table", f"{middle} remarks, smoothing chosen: accuracy that the same edit adds with a "
      "shuffled table", (at["shuffled table"] - at["no copies"])[1], at_most=-0.02)  # fmt: skip
claim("hump", f"gain from synonyms with {middle} remarks, minus the larger of the gains with {sizes[0]} "
      f"and {sizes[-1]}", gain[middle] - max(gain[sizes[0]], gain[sizes[-1]]), at_least=0.05)  # fmt: skip

# %% [markdown]
# With the smoothing chosen for each arm, synonyms lead by far, and the shuffled table falls below no copies at all. So it is the table's
# knowledge that helps, not the variety. EDA gains less: a quarter of its copies replace a word and a quarter insert a synonym,
# but the other half bring no new word.
#
# When does such knowledge count? One particular adjective without *not* occurs in 0.7/80 of all remarks, as seven in ten have no *not* and
# 80 adjectives are equally likely; behind *not*, in 0.3/80. Write $s/80$ for either. Then $n$ training remarks lack the word of a new remark with
# probability $(1 - s/80)^n$, and the classifier tosses a coin. They lack its whole group of five with probability $(1 - s/16)^n$. In
# between, the remark is within reach of the table, which can turn the coin into an answer:
#
# $$
# \text{gain} \approx \tfrac12 \sum_{s = 0.7,\, 0.3} s \left[ (1 - \tfrac{s}{80})^n - (1 - \tfrac{s}{16})^n \right]
# $$
#
# For small $n$ both powers are near 1, for large $n$ both near 0: a hump, dashed in the figure.

# %% mystnb={"image": {"alt": "Accuracy gained over no copies against the number of training remarks, 25 to 400. Synonyms rise to a peak near 100 remarks and fall again; a dashed curve, half of the remarks within reach, has the same hump, higher at small sizes. Plain copies at a smoothing fixed at 1 gain too. The shuffled table lies below zero from 50 or 100 remarks on and ever further."}} tags=["hide-input"]
_, above = plt.subplots(figsize=(6.4, 3.9))
for name, column in zip(arms, (0, 1, 1), strict=True):
    line = [(accuracy[n][name] - accuracy[n]["no copies"])[column] for n in sizes]
    above.plot(sizes, line, "o-", label=name + ("" if column else ", smoothing fixed at 1"))
n = np.geomspace(sizes[0], sizes[-1], 60)
reached = sum(s / 2 * ((1 - s / 80) ** n - (1 - s / 16) ** n) for s in (0.7, 0.3))
above.plot(n, reached, "k--", linewidth=1, label="≈ half of the remarks within reach")
above.set(xscale="log", xticks=sizes, xticklabels=sizes, ylabel="accuracy gained", xlabel="remarks to train on",
          title="Synonyms help most at middle sizes; a shuffled table harms")  # fmt: skip
above.minorticks_off()
above.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=2, frameon=False)
plt.show()

# %% [markdown]
# The estimate is no bound. It supposes that an adjective seen once always decides. With few remarks the gain falls well short: the
# other words add noise, and half of the copies replace only the word for the place. With many it can lie above.
#
# ## With a fixed smoothing, plain copies already gain
#
# With smoothing 1, *plain copies* gain too, though they bring no word that was not there. Eight copies
# beside the original multiply counts by nine, and
#
# $$
# \log \frac{9c_1 + a}{9c_0 + a} = \log \frac{c_1 + a/9}{c_0 + a/9} .
# $$
#
# Copying *is* a smoothing nine times weaker, and smoothing 1 happened to be too strong. In logistic regression the sum of the losses grows ninefold against the same
# penalty, which comes to $9C$ in scikit-learn's terms.

# %%
counts = WordColumns(vocabulary).count(*training[middle][0])
copied_weights, _ = MultinomialNB(9.0).fit(9 * counts, [0, 1]).linear()
weights, _ = MultinomialNB(1.0).fit(counts, [0, 1]).linear()
claim("copies_are_smoothing", "weights after nine times the counts with smoothing 9, and after the counts with "
      "smoothing 1: largest difference", abs(copied_weights - weights).max(), at_most=1e-12)  # fmt: skip
claim("copies_share", f"{middle} remarks, smoothing 1: share of the gain from synonyms that plain copies bring",
      ((at["plain copies"] - at["no copies"]) / (at["synonyms"] - at["no copies"]))[0], at_least=0.25)  # fmt: skip

# %% [markdown]
# So whoever compares synonyms with no copies at one fixed setting reports two effects as one. Plain copies
# tell them apart, and a smoothing chosen for each arm removes the second effect. Our 500 held-out remarks are more than a small project has;
# cross-validation would do, if copies stay in the fold of their original.
#
# ## Three of the four edits can spoil a label
#
# *last week the inn was **not tidy** for us*: nine words, *not* the sixth, the adjective the seventh, and two words with synonyms, *inn* and *tidy*.
# One edit of each kind, counted by hand:
#
# | edit | opposite label | no label | because |
# |---|---|---|---|
# | replace | 0 | 0 | the table keeps praise and complaint apart |
# | insert | 0 | ½ · 6/10 | a synonym of *tidy* lands in one of the six gaps before *not*, and cancels *not tidy* |
# | swap | 8/36 | 0 | of 36 pairs, 8 leave *not* behind the adjective |
# | delete, p = 0.1 | 0.1 · 0.9 | 0.1 | *not* goes and *tidy* stays; *tidy* goes |


# %%
turned, labels = hotel_remarks(4000, rng(8), negated=1.0)


def audit(keep=()) -> list[tuple[float, float]]:
    edits = ((synonym_replace, synonyms, 1, random),
             (augment.random_insert, synonyms, 1, random, keep),
             (augment.random_swap, 1, random, keep), (augment.random_delete, 0.1, random, keep))  # fmt: skip
    return [spoiled([edit(text, *rest) for text in turned], labels) for edit, *rest in edits]


by_hand = [[0, 0], [0, 0.5 * 6 / 10], [8 / 36, 0], [0.1 * 0.9, 0.1]]
agrees("label_audit", "the fractions in the table", audit(), by_hand, atol=0.04)
claim("protected", "copies of remarks with “not” whose label changed or went, if negators and adjectives are "
      "protected in all but replacement", np.sum(audit(protected)), at_most=0)  # fmt: skip
claim("deletion_costs", f"{middle} remarks, smoothing chosen: accuracy lost by adding copies with 30 % deletion",
      (at["no copies"] - at["deletion"])[1], at_least=0.025)  # fmt: skip
claim("opposite_labels", f"{middle} remarks, smoothing chosen: accuracy lost by the same copies without those of "
      "opposite label", (at["no copies"] - at["  none opposite"])[1], at_most=0.015)  # fmt: skip
claim("missing_labels", f"{middle} remarks, smoothing chosen: accuracy lost by the same copies without those "
      "that lost their label", (at["no copies"] - at["  none unlabeled"])[1], at_least=0.025)  # fmt: skip

# %% [markdown]
# Protected words are not deleted or moved, and no synonym of them is inserted. Replacing them is still allowed: there the table
# vouches for the label. At a tenth of the words, EDA flips so few labels that its accuracy hardly shows them.
#
# Deletion costs accuracy. Without the copies of opposite label the loss is gone; without those that have no label it stays. So the opposite labels
# do the harm, and on the wrong word, too: *not tidy* without *not* counts *tidy* as a complaint. Even without them, deletion gains nothing
# here. Models that read word order are not tested. Real labels cannot be audited like this; read a sample.
#
# ## On real reviews the gain lasts until the smoothing is chosen
#
# Now Chinese customers' reviews of hotels, books and computers, segmented as above, with the table of 46 groups, four copies, and negators protected.

# %%
parts, num_copies = chinese_reviews(), 4
split = {name: ([augment.segment(text, words) for text in parts[name]["text"][:most]],
                parts[name]["label"][:most])
         for name, most in (("train", 1600), ("validation", 500), ("test", 1000))}  # fmt: skip
every = [text for texts, _ in split.values() for text in texts]
known = chinese.keys() | {word for text in every for word in text}


def deal(n: int, k: int) -> list[list]:
    chosen = rng(10 * n + k).choice(len(split["train"][0]), n, replace=False)
    return [[column[i] for i in chosen] for column in split["train"]]


arms = {"plain copies": copies_by(list),
        "synonyms": copies_by(synonym_replace, chinese, 2, random),
        "EDA, protected": mixed(chinese, negators)}  # fmt: skip
rows = {n: compare(known, split["validation"], split["test"], [deal(n, k) for k in range(4)], arms)
        for n in (100, 400)}  # fmt: skip
for n in rows:
    report(f"{n} reviews", rows[n])
reach = [augment.within_reach(training[middle][0][0], test[0], synonyms),
         augment.within_reach(deal(400, 0)[0], split["test"][0], chinese)]  # fmt: skip
print("test texts within reach of the table, remarks and reviews:", np.round(reach, 3))

# %%
gains = [rows[400][name] - rows[400]["no copies"] for name in list(arms)[1:]]
claim("reviews_fixed", "400 reviews, smoothing 1: accuracy gained with synonyms or EDA, the smaller gain",
      min(gain[0] for gain in gains), at_least=0.02)  # fmt: skip
claim("reviews_chosen", "400 reviews: accuracy gained with smoothing 1 minus that with smoothing chosen, "
      "the smaller", min(fixed - chosen for fixed, chosen in gains), at_least=0.02)  # fmt: skip
claim("reach", "test texts with a new word that a synonym in training could explain: share among remarks "
      "minus share among reviews", reach[0] - reach[1], at_least=0.15)  # fmt: skip

# %% [markdown]
# At the fixed smoothing both look like a success. So do plain copies, by about as much. Choosing the smoothing for each arm takes most of the
# gain away: on these reviews, with this table and this model, it was mostly regularization.
#
# The line below the table could have told us before any training. It counts test texts that have a new word whose synonym occurs in the training texts, under the same
# negation. Among the remarks that is a large share, among the reviews a few texts in a hundred, each with many other words to judge by. Words with true
# synonyms are a small part of the vocabulary {cite:p}`kobayashi2018contextual`.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Negations are stop words, so EDA leaves them alone."** Half right. The published code has *no*, *nor* and *not* in its stop list, and the list
# spares them from replacement. Its functions for insertion, swap and deletion never look at the list.
#
# **`[s.name() for s in wordnet.synsets("dog")]`** stands in many repositories as the synonym table. Each `s` is a set of synonyms, and its name is an
# identifier: the copies bark like a `dog.n.01`. The words are in `s.lemmas()`, with underscores for spaces, and the word itself is among them. They also mix
# senses: a 好看 room is *pretty*, a 好看 book is a good read, so our table leaves 好看 out.
#
# **Stemming, listed as a fifth edit.** Porter's stemmer turns *this was tidy* into *thi wa tidi*. That is normalization:
# one output per input, and due at test time as well.
#
# **"Change half of the words, for variety."** A recipe that replaces half of the words and deletes every fourth leaves *not tidy* without its *not*, but with an adjective, in
# ¼ · ¾ of the copies, 19 %, and without adjective in 25 %. EDA's code changes a tenth by default.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Would you use EDA before fine-tuning BERT?
# Only after a trial against no augmentation. {cite:t}`longpre2020effective` tried EDA and back-translation with BERT, XLNet and RoBERTa on six
# data sets and found no consistent gain, even with little training data. A plausible reason is that pretraining supplies what the table would.
# :::
#
# :::{dropdown} What is back-translation, and is it safer?
# In machine translation it makes source sentences for real target sentences with a reverse model {cite:p}`sennrich2016improving`. To augment a classifier's data, translate a
# text into another language and back. Whole sentences are rephrased, so grammar survives better than under EDA. The translator can still drop a negation or soften a
# word, so the audit stays.
# :::
#
# :::{dropdown} Can a language model choose the replacements?
# Yes: mask a word and draw from what the model predicts there. It fits the context, but *the film was ___* welcomes *terrible* as much as *fantastic*.
# {cite:t}`kobayashi2018contextual` therefore conditions the model on the label.
# :::
#
# :::{dropdown} Where in the pipeline does augmentation go?
# After the split, in the training part alone, and in cross-validation inside each fold; otherwise a copy of a test text is trained on. Fresh copies in each epoch cost no
# storage and vary more. Report the number of original texts, since copies are not new evidence.
# :::
#
# :::{dropdown} The task is named-entity recognition. What changes?
# Labels sit on words, so every edit must carry them along: a synonym of two words needs two tags, and a deletion or swap inside a span breaks it. Replacing
# a whole entity by another of its type keeps tags valid.
# :::
#
# :::{dropdown} Which other augmentations do you know for text?
# {cite:t}`feng2021survey` sort them into rules (EDA), interpolation of examples (mixup), and models (back-translation, generation). Ask of each: what
# knowledge does it add, and whose label does it trust?
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} synonym_replace
# ```

# %%
from collections.abc import Collection

import numpy as np


def synonym_replace(
    tokens: list[str],
    table: dict[str, list[str]],
    n: int,
    rng: np.random.Generator,
    protect: Collection[str] = (),
) -> list[str]:
    """A copy of tokens with n words replaced by synonyms, or all that can be.

    table: from a word to its synonyms, which may include the word itself.
    protect: words that stay.
    """
    raise NotImplementedError


check("synonym_replace", synonym_replace)

# %% [markdown]
# ```{solution} synonym_replace
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`wei2019eda`: EDA. {cite:t}`longpre2020effective`: on pretrained Transformers.
# - {cite:t}`kobayashi2018contextual`: replacements by a label-conditional language model.
# - {cite:t}`sennrich2016improving`: back-translation. {cite:t}`feng2021survey`: a survey.
# - {cite:t}`pang2002thumbs`: sentiment by counting words, with marked negation.
