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
#     - training_pipeline_bpe
#     question_zh: 描述一种语言模型的多语言学习方法。
#     short: Multilingual data mixture
#     source: S22
#     tasks:
#     - temperature_mix
# ---

# %% [markdown]
# # One tokenizer, one model, unequal languages: how do you share the budget?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Sample each language in proportion to its size to a power alpha, say 0.3: below one, the small language gains and the large one
# pays. In our test that saved Chinese far more tokens than it cost English. The step to equal shares cost English more than it
# saved Chinese, and the model read the few Chinese messages so often that it recited them. Even a lower learning rate left new messages
# hardly better predicted; fresh text helped. So count the passes over each corpus, and cap them.
#
# :::{dropdown} The two-minute answer
# *Shares.* $p_k \propto n_k^\alpha$. At $\alpha = 1$ languages keep their natural shares, at 0 all are equal. Multilingual BERT took
# 0.7, XLM-R and mT5 took 0.3.
#
# *Tokenizer.* Merges go to the most frequent pairs, so a language with a share of one percent gets hardly any, and its users pay more
# tokens for the same content: price, latency, context. Measure it on the same content in both languages; a character is
# no common unit.
#
# *Model.* With a budget of $N$ bytes, language $k$ is read $p_k N / n_k$ times. Far below one pass it is starved. After many passes
# the model recites it, and a larger share buys little. The exponent does not know $N$: an $\alpha$ that is harmless in a short run can be
# wasteful in a long one. UniMax caps the passes instead and spreads the rest evenly. Compare bits per byte only within a language.
#
# *Who pays.* The budget is fixed, so every byte of the small language is one less of the large. That alone is no curse of
# multilinguality, which is about the model's capacity.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: writes $p_k \propto n_k^\alpha$ and says what $\alpha = 1$ and $\alpha = 0$ do.
# - Junior: knows that the tokenizer has a mixture too, and that a rare language is cut into more tokens.
# - Mid: measures the tokenizer on parallel text and says why tokens per character mislead.
# - Mid: computes passes as $p N / n$, and names both dangers, starving and repeating.
# - Mid: compares bits per byte only within a language, and says why.
# - Senior: separates "too large a share" from "too little distinct text" by an experiment.
# - Senior: explains why a fixed $\alpha$ cannot be right for every budget, and what UniMax does instead.
# - Senior: does not call a smaller share of the budget a curse of multilinguality.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lmprep.data.corpora import english_chinese_pairs
from lmprep.evidence import agrees, claim
from lmprep.foundations.bpe import BPE, chunks
from lmprep.notebook import generator, rng, setup, show
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam
from lmprep.transfer import multilingual
from lmprep.transfer.multilingual import (
    ByteModels,
    byte_windows,
    draw_lines,
    encoder_pieces,
    fertility,
)

_ = setup()  # the page stays on the CPU

# %% [markdown]
# ## One message in 75 is translated, and α decides how often it is read
#
# JupyterLab's menus and help exist in English and, by now, in Chinese. Turn the clock back: all of the English is there,
# and volunteers have translated one message in 75. One tokenizer and one model are to serve both languages. Each may
# read $N$ bytes. How many of them should be Chinese?

# %%
# Try: steps = 50, a quarter of the budget. Equal shares then read each message two or three times,
# and the few messages help Chinese nearly as much as fresh text does: the thesis breaks. Which α
# is best depends on the budget. The claims on tokens still hold.
one_in = 75
alphas = (1.0, 0.7, 0.3, 0.0)
steps, batch_size = 200, 128  # of the models
rates = (0.02, 0.005)  # learning rates, of which each mixture keeps the better one
budget = steps * batch_size  # N: bytes that each tokenizer and each model reads
vocab_size = 768

pairs = english_chinese_pairs()
english, every = pairs["train"]["english"], pairs["train"]["chinese"]
few = [every[i] for i in rng(1).permutation(len(every))[: len(every) // one_in]]
sizes = [sum(len(line.encode()) + 1 for line in lines) for lines in (english, few)]
print(f"{len(english)} English messages, {sizes[0]} bytes")
print(f"{len(few)} in Chinese, {sizes[1]} bytes, such as {few[0]}")

# %% [markdown]
# If language $k$ of $K$ has $n_k$ bytes of text, give it the share
#
# $$
# p_k = \frac{n_k^\alpha}{\sum_{j=1}^K n_j^\alpha}, \qquad \text{and it is read } \frac{p_k N}{n_k} \text{ times}.
# $$
#
# With sizes 50 : 1 and $\alpha = 0.3$ the weights are $50^{0.3} = 3.2$ and 1, so the small language's share goes up from 2 % to
# 24 %. Many texts call $1/\alpha$ the *temperature*: a softmax of $\log n$ at that temperature gives the same shares.

# %%
show(multilingual.temperature_mix)

# %%
mixes = [multilingual.temperature_mix(sizes, alpha) for alpha in alphas]
logs = torch.tensor(sizes, dtype=torch.float64).log()
agrees("shares", "torch.softmax of α log n", mixes,
       torch.stack([torch.softmax(alpha * logs, 0) for alpha in alphas]), atol=1e-14)  # fmt: skip

# The last two are controls: the same shares, drawn from every translation, not the few.
arms = [(alpha, "few") for alpha in alphas] + [(alpha, "every") for alpha in alphas[-2:]]
shares = [multilingual.temperature_mix(sizes, alpha)[1] for alpha, _ in arms]  # of Chinese
print("α     share of Chinese   the few messages are read")
for alpha, share in zip(alphas, shares, strict=False):
    print(f"{alpha:<6}{share:<19.3f}{share * budget / sizes[1]:.1f} times")

# %% [markdown]
# ## The first merges a language gets save most
#
# [Byte-level BPE](../foundations/training_pipeline_bpe) merges the most frequent pairs, so shares of the text become shares of the vocabulary.
# Six tokenizers of 768 tokens each read $N$ bytes: four exponents, and two controls with the same shares but
# fresh Chinese, drawn from all translations. All are asked for the same held-out messages in both languages. The *premium*
# is the ratio of tokens for the same content, Chinese over English {cite:p}`petrov2023language`.
#
# For scale, the last row is the tokenizer of a real encoder for 16 languages, which has 128,000 pieces. (They come from
# a unigram model, not from merges.)

# %%
chinese = {"few": few, "every": every}
sides = pairs["test"]["english"], pairs["test"]["chinese"]
tokenizers, tokens, texts = [], [], []
for (_, pool), share in zip(arms, shares, strict=True):
    lines = draw_lines(english, (1 - share) * budget, rng(2))
    lines += draw_lines(chinese[pool], share * budget, rng(3))
    texts.append("\n".join(lines))
    tokenizers.append(BPE.train(texts[-1], vocab_size))
    tokens.append([fertility(tokenizers[-1].encode, list(side)) for side in sides])

pieces = encoder_pieces()
encoder = [fertility(pieces, list(side)) for side in sides]
print(f"{'':18}tokens per message         tokens per character")
print(f"{'':18}English  Chinese  premium  English  Chinese")
for arm, (en, zh) in zip([*arms, "encoder"], [*tokens, encoder], strict=True):
    name = arm if isinstance(arm, str) else "α = {}, {}".format(*arm)
    print(f"{name:18}{en.per_text:<9.2f}{zh.per_text:<9.2f}{zh.per_text / en.per_text:<9.2f}"
          f"{en.per_character:<9.2f}{zh.per_character:.2f}")  # fmt: skip

# %%
pairs_of_tokens = [(en.per_text, zh.per_text) for en, zh in tokens]
(en_1, zh_1), _, (en_3, zh_3), (en_0, zh_0), (en_f3, zh_f3), (en_f0, zh_f0) = pairs_of_tokens
claim("small_gains_more", "α from 1 to 0.3: tokens per message that Chinese saves, "
      "less those that English adds", (zh_1 - zh_3) - (en_3 - en_1), at_least=4.5)  # fmt: skip
claim("then_it_turns", "α from 0.3 to 0: tokens per message that English adds, "
      "less those that Chinese saves", (en_0 - en_3) - (zh_3 - zh_0), at_least=0.5)  # fmt: skip
claim("fresh_text_does_not_turn", "α from 0.3 to 0, all translations: tokens per message that "
      "Chinese saves, less those that English adds",
      (zh_f3 - zh_f0) - (en_f0 - en_f3), at_least=0.7)  # fmt: skip
claim("few_texts_cost_merges", "α = 0: Chinese tokens per message, with the few translations "
      "minus with all", zh_0 - zh_f0, at_least=1.3)  # fmt: skip

# %% [markdown]
# Down to 0.3 the exchange is lopsided. In the text it is learned from, a merge saves as many tokens as its pair occurs, and the most
# frequent pairs are merged first. So the first Chinese merges save much, and they take the places of the last English ones, which save
# least. From 0.3 to 0 English pays more than Chinese saves. The share of one half is not the reason: the controls, which read fresh
# Chinese, still save more than they cost. A few messages, read again and again, fill the vocabulary with merges that fit new
# messages worse, and English pays for those places, too.
#
# Now look at the row of $\alpha = 0$. A message costs about the same in both languages, and a Chinese *character* costs more than
# twice as many tokens, because a Chinese message has far fewer characters. So judge a tokenizer by content. The real
# encoder, with a vocabulary far larger than ours, still charges Chinese somewhat more.
#
# Hugging Face's library, given the same mixture, cuts the held-out messages in the same places:

# %%
alphabet = [chr(0x4E00 + byte) for byte in range(256)]  # in the order of bytes, for ties


def spelled(text: str) -> str:
    return " ".join("".join(alphabet[byte] for byte in chunk) for chunk in chunks(text))


theirs = Tokenizer(models.BPE())
theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
theirs.train_from_iterator([spelled(texts[2])], trainers.BpeTrainer(
    vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False))  # fmt: skip
held_out = "\n".join([*sides[0], *sides[1]])
agrees("ids_of_both_languages", "tokenizers.models.BPE, trained on the mixture of α = 0.3",
       tokenizers[2].encode(held_out), theirs.encode(spelled(held_out)).ids, atol=0)  # fmt: skip

# %% [markdown]
# ## More of the same few messages buys little
#
# Now the model. Six networks read four bytes and predict the next; bytes, so that the tokenizer has no part in it. They
# start from the same weights and read $N$ bytes each, at places drawn by the same random numbers. Only the share of Chinese differs,
# and in the two controls the text it is drawn from.
#
# Text that is read often calls for a lower learning rate. So all six are trained at two rates, and each mixture keeps the rate that does
# better on Chinese messages of the validation split. Otherwise we would blame the mixture for our choice of rate.

# %%
show(ByteModels.forward, ByteModels.bits)

# %%
pools = {"english": english, "few": few, "every": every}
windows = {name: byte_windows("\n".join(lines), 4) for name, lines in pools.items()}
x, y = (torch.cat(parts) for parts in zip(*windows.values(), strict=True))  # (N, 4), (N,)
count = {name: len(targets) for name, (_, targets) in windows.items()}
start = {"few": count["english"], "every": count["english"] + count["few"]}

first, length = (
    torch.tensor([table[pool] for _, pool in arms])[:, None] for table in (start, count)
)
language, place = torch.rand(2, steps, 1, batch_size, generator=generator(4))
rows = torch.where(
    language < torch.tensor(shares)[:, None],
    first + (place * length).long(),
    (place * count["english"]).long(),
)  # (steps, R, B)


def train(rate: float) -> ByteModels:
    model = ByteModels(len(arms), 4, generator=generator(5))
    fit(model, lambda n: (x[rows[n]], y[rows[n]]), lambda m, b: m.bits(*b).sum(),
        optimizer=Adam(model.parameters(), rate), num_steps=steps,
        schedule=lambda n: 1 - n / steps)  # fmt: skip
    return model


@torch.no_grad()
def bits(model: ByteModels, lines: list[str]) -> torch.Tensor:
    parts = (part[:3000] for part in byte_windows("\n".join(lines), 4))
    return model.bits(*(part.expand(len(arms), *part.shape) for part in parts))


asked = [list(pairs["validation"]["chinese"]), *map(list, sides), few]
measured = torch.stack(
    [torch.stack([bits(model, lines) for lines in asked]) for model in map(train, rates)]
)  # (rates, 4, R)
better = measured[:, 0].argmin(dim=0)  # of the rates, for each mixture

for number, rate in enumerate(rates):
    print(f"bits per byte, rate {rate:<6}new English  new Chinese  the few messages")
    for arm, row, kept in zip(arms, measured[number, 1:].T, better == number, strict=True):
        print("   α = {}, {:<14}".format(*arm), "   {:<13.2f}{:<13.2f}{:.2f}".format(*row),
              "   kept" if kept else "")  # fmt: skip

# %%
_, bits_en, bits_zh, _ = measured.take_along_dim(better[None, None], dim=0)[0].tolist()
natural, _, middle, equal, fresh_middle, fresh_equal = bits_zh
one_rate = measured[0, 2].tolist()  # of new Chinese
claim("fresh_text_gains_more", "new Chinese, α from 0.3 to 0: bits per byte saved "
      "with fresh text, less those saved with the few messages",
      (fresh_middle - fresh_equal) - (middle - equal), at_least=0.2, thesis=True)  # fmt: skip
claim("fresh_text_keeps_gaining", "new Chinese, all translations: bits per byte saved from α = 0.3 to 0",
      fresh_middle - fresh_equal, at_least=0.28)  # fmt: skip
claim("starved", "new Chinese: bits per byte at α = 1 minus α = 0.3", natural - middle,
      at_least=1.7)  # fmt: skip
claim("one_rate_hurts", "new Chinese, higher rate for both: bits per byte at α = 0 minus α = 0.3",
      one_rate[3] - one_rate[2], at_least=0.25)  # fmt: skip
claim("recited", "α = 0, higher rate: bits per byte of new Chinese minus of the few messages",
      one_rate[3] - measured[0, 3, 3], at_least=2)  # fmt: skip
claim("english_pays", "new English: bits per byte at α = 0 minus α = 0.3", bits_en[3] - bits_en[2],
      at_least=0.33)  # fmt: skip

# %% mystnb={"image": {"alt": "Two panels, one above the other, with English cost on the horizontal and Chinese cost on the vertical axis, one point an exponent. Top, tokens per message: from alpha 1 to 0.3 the line falls steeply, from 0.3 to 0 it runs mostly to the right; a dashed line for all translations falls on. Bottom, bits per byte: the line falls steeply to alpha 0.3 and then runs almost level to the right; a hollow point for alpha 0 at the higher rate lies above its end; the dashed line for all translations falls on."}} tags=["hide-input"]
_, (top, bottom) = plt.subplots(2, 1, figsize=(6.2, 7.0))
for ax, points in ((top, pairs_of_tokens), (bottom, list(zip(bits_en, bits_zh, strict=True)))):
    ax.plot(*zip(*points[:4], strict=True), "o-", label="one message in 75 translated")
    ax.plot(*zip(*points[4:], strict=True), "s--", label="same shares, all translations")
    for (alpha, pool), point in zip(arms, points, strict=True):
        ax.annotate(f"α = {alpha:g}", point, xytext=(6, 6) if pool == "few" else (-4, -15),
                    textcoords="offset points", fontsize=9)  # fmt: skip
    ax.margins(0.15)
bottom.plot(measured[0, 1, 3], one_rate[3], "oC0", mfc="white", label="α = 0, higher rate")
top.set(title="Tokenizer: a bargain for Chinese, down to about 0.3",
        xlabel="English tokens per message", ylabel="Chinese tokens per message")  # fmt: skip
bottom.set(title="Model: below about 0.3, only fresh text helps Chinese much",
           xlabel="English bits per byte", ylabel="Chinese bits per byte")  # fmt: skip
top.legend()
bottom.legend()
plt.show()

# %% [markdown]
# At $\alpha = 1$ Chinese starves. A model that finds all 256 bytes equally likely pays 8 bits. This one pays about as much, or more:
# it has mostly learned that Chinese bytes do not occur, and each one that does is expensive.
#
# At $\alpha = 0$ and the higher rate the model recites: the few messages cost it little, as the last column shows, and new ones cost more
# than at 0.3. The lower rate mends that, but leaves Chinese about where 0.3 had it, and English pays twice: it is read less often,
# and learned more slowly. Is the large share to blame? The controls say no. With fresh text, the same share and the same
# steps still save Chinese a lot. What buys little is a large share of too little text.
#
# This is one small network, one pair of languages and a scarcity that we made; where the gains end depends on $N$, on the sizes and on
# the model. Nor did we run a cap: with two languages and one budget, cap and exponent are the same knob, since either sets one share. They part
# where there are many languages, or several budgets. And nothing here shows that one language helps the other;
# [another page](crosslingual_transfer) asks that.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"My batch holds Chinese text, so the training is multilingual."** A much-copied snippet feeds one Chinese sentence twice and
# computes no loss. Multilingual training draws batches of several languages in chosen shares, with one loss and one optimizer, as
# above. Machine translation can add text, but with the translator's errors and style, so test on text written in the language.
#
# **"English costs fewer bits per byte than Chinese, so the model knows English better."** UTF-8 writes most Chinese characters in three bytes and
# ASCII letters in one, so the units differ. Within a language the unit is fixed, and differences count.
#
# **Turning the knob the wrong way.** Papers give either $\alpha$ or a temperature $T = 1/\alpha$, so $\alpha = 0.3$ is $T \approx 3.3$. And the softmax is of
# $\log n$. Of the sizes 50 and 1 themselves, it gives the small language $e^{-49}$, about $5 \cdot 10^{-22}$.
#
# **"XLM-R used 0.3, so do we."** They chose it by accuracy, for their data and their budget. Ask for $N$: train ten
# times as long at the same $\alpha$, and each corpus is read ten times as often.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Which α do known models use?
# Multilingual BERT took 0.7, for its data and its word pieces alike {cite:p}`devlin2018multilingual`; by its authors' account English was then sampled 100 times as
# often as Icelandic, not 1,000 times. XLM-R {cite:p}`conneau2020unsupervised` and mT5 {cite:p}`xue2021mt5` took 0.3.
# :::
#
# :::{dropdown} How many passes are harmless, and what does UniMax do?
# For English, {cite:t}`muennighoff2023scaling` found up to four passes nearly as good as fresh text, and less and less gained after that. UniMax
# goes from the smallest language to the largest and offers each an equal part of what is left of the budget, but no more than a
# fixed number of passes over its text {cite:p}`chung2023unimax`. What a small language cannot take goes to the others.
# :::
#
# :::{dropdown} What is the curse of multilinguality?
# At a fixed model size, more languages first help the small ones and then cost all of them; a larger model relieves it {cite:p}`conneau2020unsupervised`.
# To show it, add languages, then enlarge the model and see whether the loss goes away. Here both are fixed, and only the share changed.
# :::
#
# :::{dropdown} Why does fertility matter, if the model can learn anyway?
# Fertility is the number of tokens for each word, or for each character where words are not marked. Users pay, wait and fill the context by tokens. {cite:t}`rust2021good` found that
# a tokenizer made for the language matters for the quality of downstream tasks about as much as the size of the training data.
# :::
#
# :::{dropdown} Do bytes instead of tokens make it fair?
# They need no merges, but scripts take unlike numbers of bytes. {cite:t}`petrov2023language` report differences above four times between some languages for
# byte-level and character-level models, and up to 15 times for tokenizers.
# :::
#
# :::{dropdown} Must tokenizer and model share one mixture?
# No. The tokenizer is cheap to train on a sample, and its repeated text costs only poor merges. Choose its mixture by parity on parallel
# text, the model's by passes and validation loss in each language.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} temperature_mix
# ```

# %%
import numpy as np


def temperature_mix(sizes: list[int], alpha: float) -> np.ndarray:
    """Sampling shares in proportion to sizes to the power of alpha.

    sizes: K whole numbers from 0 to 10**30, not all 0; alpha: from 0 to 2.
    Returns (K,), float64.
    """
    raise NotImplementedError


check("temperature_mix", temperature_mix)

# %% [markdown]
# ```{solution} temperature_mix
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`devlin2018multilingual`, {cite:t}`conneau2020unsupervised`, {cite:t}`xue2021mt5`: exponents in use, and the curse.
# - {cite:t}`chung2023unimax`: capped passes instead of an exponent. {cite:t}`muennighoff2023scaling`: what passes are worth.
# - {cite:t}`petrov2023language`: the same content, unequal tokens. {cite:t}`rust2021good`: what a tokenizer does to a language.
# - {cite:t}`sennrich2016neural`: byte-pair encoding for text.
