# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 3
#     level: 2
#     needs: []
#     question_zh: 语言模型中的自回归模型是什么？
#     short: Decoding
#     source: L16
#     tasks:
#     - top_p_filter
# ---

# %% [markdown]
# # Ancestral sampling, greedy, beam, top-k, top-p: which are exact, and why is the mode bad?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# An autoregressive model multiplies next-token probabilities. Drawing token after token from them, ancestral sampling,
# gives an exact sample of the model. Temperature, top-k and top-p sample exactly too, but from another distribution.
# Greedy and beam search draw nothing, and as they drop prefixes, they can miss it. The mode, the single most probable
# string, need not help: typical text is about as surprising as the entropy says, the likeliest far less. Even a perfect
# model's mode can be a loop or an empty string.
#
# :::{dropdown} The two-minute answer
# The model factors a string $x$ of $T$ tokens as $p(x) = \prod_t p(x_t \mid x_{<t})$; a stop symbol makes the lengths part of it. Training
# scores every position at once, given the *true* prefix; generation feeds back its own tokens, one at a time.
#
# | decoder | returns | exact? |
# |---|---|---|
# | ancestral | a draw from $p$ | yes |
# | temperature, top-k, top-p, min-p | a draw from some $q \ne p$ | yes, for $q$ |
# | greedy; beam of width $W$ | one string, no draw | no: it may miss the mode |
# | beam with $W \ge V^{T-1}$ | the mode | yes, at exponential cost |
# | Viterbi, if the last $m$ tokens tell all | the mode | yes, in $T V^{m+1}$ steps |
#
# Top-k keeps the $k$ most probable tokens, top-p the most probable ones until their probabilities reach $p$, the one that
# crosses included; what is kept is renormalized and drawn from.
#
# A drawn string's surprisal, $-\log p(x)$, is a sum of many terms and comes out close to its mean, the entropy. Strings of much
# higher probability exist, but so few that nobody draws one, and search goes after just these. In the text below they
# are loops; with a stop symbol they tend to be short, because every further token costs probability.
#
# Where one answer is right and the entropy is low, as in arithmetic or transcription, mode and sample nearly coincide, and
# search pays. For open-ended text, truncated sampling is the compromise: it gives up the exact distribution together with a tail that
# {cite:t}`holtzman2020curious` found unreliable.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: writes $p(x) = \prod_t p(x_t \mid x_{<t})$ with a stop symbol; true prefixes in training, own tokens in generation.
# - Junior: says what greedy, beam, top-k and top-p each keep, and that top-p keeps the token that crosses $p$.
# - Mid: gives a case in which greedy misses the mode, in numbers.
# - Mid: truncation and temperature change the distribution; temperature $t$ per token is not $p^{1/t}$ of whole strings.
# - Senior: explains the bad mode by typicality, without blaming the model: all heads from a biased coin.
# - Senior: keeps two causes of loops apart: a fixed rule on a finite memory, and the search for probability.
# - Senior: knows that a wider beam can make text worse or shorter, and where the mode is the right goal all the same.

# %% tags=["hide-input"]
import itertools
import re

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy import special

from lmprep.architectures.generate import generate
from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.foundations.decoding import (
    beam_search,
    greedy,
    sample,
    sampler,
    top_k,
    top_p,
    viterbi,
)
from lmprep.foundations.ngram import CausalNGram, WittenBellLM
from lmprep.notebook import generator, rng, setup, show
from lmprep.practice import check

setup()

# %% [markdown]
# ## Guess the decoder: one prompt, one model, six continuations
#
# The model counts what followed each three letters in Python's manual, smoothed with what followed two, one and none.
# Its alphabet is Shannon's, 26 letters and the space. Counting is training on true prefixes; below, the model goes on
# from its own letters. The prompt comes from pages that it has not seen. Which three decoders only search? (Of the
# others, two cut off the tail of each distribution; from one sample you will hardly tell which.)

# %%
# Try: new = 12, too short to go round a loop: the mode is still likelier than what is drawn,
# but it repeats nothing, and the thesis breaks. Or order = 3: the thesis holds, with a loop of
# another word, because any chain with a finite memory has a cheapest cycle.
order, width, p, k = 4, 16, 0.9, 10
num_prompts, before, new = 12, 40, 120  # prompts, and letters of prompt and continuation

splits = [" ".join(english_text()[name]["text"]) for name in ("train", "test")]
splits = [re.sub("[^a-z]+", " ", normalize_text(text)) for text in splits]
# No English word has a letter three times in a row; the manual's "xxx" would be the best loop.
train_text, test_text = (re.sub(r"([a-z])\1\1+", "", text) for text in splits)
vocabulary = CharVocabulary.from_text(train_text)
V = len(vocabulary)
counts = WittenBellLM(order, V).fit(vocabulary.encode(train_text))
contexts = itertools.product(range(V), repeat=order - 1)
chain = torch.from_numpy(np.log([counts.probs(c) for c in contexts])).view([V] * order)


def recent(ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    # The index into the chain of what (N, T) end in.
    return tuple(ids[:, 1 - order :].T)


# %% tags=["hide-input"]
ngram = CausalNGram(counts)
spaces = [i for i in range(before, len(test_text) - new) if test_text[i - 1] == " "]
starts = rng(1).choice(spaces, num_prompts, replace=False)
human = torch.tensor([vocabulary.encode(test_text[i - before : i + new]) for i in starts])
prompts, texts = human[:, :before], {"human": human}  # (N, before) and (N, before + new)
cut_k, cut_p = sampler(lambda z: top_k(z, k)), sampler(lambda z: top_p(z, p))
draws = {"ancestral": sample, "top-k": cut_k, "top-p": cut_p, "greedy": greedy}
for number, (name, draw) in enumerate(draws.items()):
    texts[name] = generate(ngram, prompts, new, draw, cache=False, generator=generator(number))
best = [beam_search(lambda ids: chain[recent(ids)], row, width, new)[0][0] for row in prompts]
texts |= {"beam": torch.stack(best), "mode": viterbi(chain, prompts, new)}

shuffled = rng(2).permutation([*draws, "beam", "mode"]).tolist()
print("…" + vocabulary.decode(prompts[0]))
for letter, name in zip("ABCDEF", shuffled, strict=True):
    print(f"\n{letter}  {vocabulary.decode(texts[name][0, before:])[:88]}")

# %% mystnb={"code_prompt_show": "Show the key"} tags=["hide-output"]
print(*map(": ".join, zip("ABCDEF", shuffled, strict=True)), sep=", ")
print(f"and the human author: {vocabulary.decode(texts['human'][0, before:])[:88]}")

# %% [markdown]
# ## Small enough to list every string: sampling is exact, search is not
#
# To tell exact from plausible, take a model whose strings can all be listed. A table gives the probabilities of the next
# token after each token, and in its last row those of the first; one of four tokens is the stop symbol, and a string
# has at most five.

# %%
K, T, STOP, START, n = 4, 5, 0, 4, 20_000  # K tokens; n: strings to draw
# Every string, filled up with STOP, behind the START that it is drawn from: (K**T, T + 1).
path = F.pad(torch.cartesian_prod(*[torch.arange(K)] * T), (1, 0), value=START)
# A hundred models: log-probabilities of the next token (K) after each of K + 1.
tables = torch.randn(100, K + 1, K, generator=generator(10)).double().log_softmax(-1)
tables[:, STOP] = torch.eye(K)[STOP].log()  # after STOP comes STOP


def all_log_p(tables: torch.Tensor) -> torch.Tensor:
    # The sum of each string's steps: (models, K**T).
    return tables[:, path[:, :-1], path[:, 1:]].sum(-1)


def apart(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    # Total variation: the largest difference in the probability of any event. Mean of models.
    return (log_p.exp() - log_q.exp()).abs().sum(-1).mean() / 2


def p_value(draw, log_p: torch.Tensor, g: torch.Generator) -> float:
    # Of a chi-square test: n strings drawn from model 0, token by token, against log_p.
    ids = torch.full((n, 1), START)
    for _ in range(T):
        ids = torch.cat([ids, draw(tables[0, ids[:, -1]], g)[:, None]], dim=1)
    seen = torch.bincount(ids[:, 1:] @ K ** torch.arange(T).flip(0), minlength=K**T)
    expected = n * log_p.exp()
    often = expected >= 5  # the others count as one
    seen, expected = (torch.cat([x[often], x[~often].sum()[None]]) for x in (seen, expected))
    terms = ((seen - expected) ** 2 / expected).nan_to_num(0)  # none expected, none seen: 0
    return special.chdtrc(len(seen) - 1, terms.sum().item())


log_p, log_q = all_log_p(tables), all_log_p(top_p(tables, 0.8).log_softmax(-1))
cold, squared = all_log_p((2 * tables).log_softmax(-1)), (2 * log_p).log_softmax(-1)
claim("ancestral_exact", "ancestral sampling tested against all strings' probabilities: p-value",
      p_value(sample, log_p[0], generator(11)), at_least=1e-3)  # fmt: skip
claim("top_p_exact", "top-p tested against all strings' probabilities under top-p: p-value",
      p_value(sampler(lambda z: top_p(z, 0.8)), log_q[0], generator(12)), at_least=1e-3)  # fmt: skip
claim("top_p_elsewhere", "mean total variation between 100 models with top-p 0.8 and without",
      apart(log_p, log_q), at_least=0.15)  # fmt: skip
claim("temperature_is_local", "mean total variation between p² per token and p² per string, 100 models",
      apart(cold, squared), at_least=0.2)  # fmt: skip

# %% [markdown]
# Top-p is no approximate sampler of the model; it is an exact sampler of something else. So is temperature: dividing each
# step's logits by ½ squares each step's probabilities, but the normalizer, $\sum_v p(v \mid x_{<t})^2$, depends on the prefix, so
# a string's probability is not $p(x)^2$ over one constant.
#
# Beam search needs only a function from prefixes to log-probabilities. Where the last few tokens tell all that matters, as here,
# Viterbi's algorithm finds the mode without a list: of all continuations from one memory, only the best can be part of it.

# %%
show(beam_search, viterbi)

# %%
modes, begin, found, tokens = log_p.amax(1), path[0, :1], {}, {}
print("width   finds the mode   tokens before the stop")
for W in (1, 2, 4, K ** (T - 1)):
    runs = [beam_search(lambda x, t=t: t[x[:, -1]], begin, W, T, stop=STOP) for t in tables]
    best = torch.stack([scores[0] for _, scores in runs])
    found[W] = (best > modes - 1e-12).double().mean()
    tokens[W] = np.mean([(ids[0, 1:] != STOP).sum() for ids, _ in runs])
    print(f"{W:5}{found[W]:17.0%}{tokens[W]:25.2f}")
drawn = (log_p.exp() @ (path[:, 1:] != STOP).sum(1).double()).mean()
print(f"drawn from the model:{drawn:26.2f}")
agrees("full_beam", "the largest of all listed probabilities", best, modes, atol=1e-12)
chains = F.pad(tables, (0, 1), value=-torch.inf)  # nothing leads to START: (100, K + 1, K + 1)
paths = torch.cat([viterbi(each, begin[None], T) for each in chains])
best = chains[torch.arange(100)[:, None], paths[:, :-1], paths[:, 1:]].sum(1)
agrees("viterbi", "the largest of all listed probabilities", best, modes, atol=1e-12)
claim("greedy_misses", "100 models: share in which greedy misses the mode",
      1 - found[1], at_least=0.3)  # fmt: skip
claim("wider_is_shorter", "100 models: mean length found by greedy minus that of the mode",
      tokens[1] - tokens[W], at_least=1.0, unit="tokens")  # fmt: skip

# %% [markdown]
# Greedy's trap in numbers: let $p(a) = 0.6$ and $p(b) = 0.4$; after $a$, three tokens share the probability, 0.2 each for the pair; after
# $b$, one token has 0.9, so 0.36 for the pair. Greedy starts with $a$ and cannot get beyond 0.2. A beam of two finds 0.36.
#
# And here the better search returns the *shorter* string: the empty one pays for a single token, its stop. {cite:t}`stahlberg2019nmt`
# searched a translation model exactly, and for more than half of the sentences the best translation was the empty one.
#
# What top-p keeps is the *smallest* set of tokens that reaches $p$. So, of all $2^{10}$ sets of ten tokens:

# %%
logits = 2 * torch.randn(64, 10, generator=generator(13)).double()
sets = torch.cartesian_prod(*[torch.tensor([False, True])] * 10)  # (1024, 10)
mass = logits.softmax(1) @ sets.double().T  # (64, 1024)
# The fewest tokens of enough mass, and among equally few the likeliest.
smallest = sets[(sets.sum(1) - mass).masked_fill(mass < p, torch.inf).argmin(1)]
agrees("top_p", "the smallest of all sets that reach p", top_p(logits, p),
       logits.masked_fill(~smallest, -torch.inf), atol=0)  # fmt: skip
show(top_p)

# %% [markdown]
# ## All heads: the likeliest outcome of a perfect model, and nobody draws it
#
# A coin shows heads with probability 0.6. Nothing is left to learn, so no model error can be blamed. The mode of a hundred
# flips is all heads, with $0.6^{100} \approx 7 \cdot 10^{-23}$. A string with 60 heads has $0.6^{60} \cdot 0.4^{40} \approx 6 \cdot 10^{-30}$,
# ten million times less; but there are $\binom{100}{60} \approx 10^{28}$ of them. What one draws is decided by number times
# probability, and what a search returns by probability alone. A string's surprisal, $-\log p$, falls evenly with each head, from
# the mean at 60 to the mode's at 100. No randomness enters here.

# %%
claim("coin_mode_is_alone", "100 flips: chance of 80 heads or more, half way from mean to mode",
      special.bdtrc(79, 100, 0.6), at_most=1e-4)  # fmt: skip

# %% [markdown]
# ## On text, too: the likeliest of all continuations is a loop
#
# Text is a coin with a memory. To keep the model's faults out of it, let the model be the truth: the reference is what ancestral
# sampling wrote. A continuation has *degenerated* if it has at most two thirds of the reference's mean surprisal, in nats
# per letter, and at most half its share of distinct letter trigrams.
#
# Both, because repetition alone proves little. The control is a *fixed rule*: what follows each three letters is drawn from the
# model, once for each prompt, and is the same ever after. It maximizes nothing, and like every fixed rule with a finite memory it
# must run into a cycle.

# %%
# (N, V, …, V): each prompt's rule
rules = sample(chain.expand(num_prompts, *chain.shape), generator(5))
fixed = prompts
for _ in range(new):
    fixed = torch.cat([fixed, rules[range(num_prompts), *recent(fixed)][:, None]], dim=1)
texts["fixed rule"] = fixed


def distinct(ids: torch.Tensor) -> np.ndarray:
    # Share of distinct trigrams in each continuation: (N,).
    rows = ids[:, before:].tolist()
    return np.array([len(set(zip(r, r[1:], r[2:], strict=False))) / (len(r) - 2) for r in rows])


surprisals = {n: [counts.surprisals(r)[before:] for r in t.tolist()] for n, t in texts.items()}
nats = {name: np.mean(rows, axis=1) for name, rows in surprisals.items()}  # per letter: (N,)
variety = {name: distinct(ids) for name, ids in texts.items()}
likely = {name: nats[name] <= nats["ancestral"].mean() * 2 / 3 for name in texts}
poor = {name: variety[name] <= variety["ancestral"].mean() / 2 for name in texts}
degenerated = {name: np.mean(likely[name] & poor[name]) for name in texts}
print("             nats per letter   distinct trigrams   degenerated")
for name in sorted(texts, key=lambda name: -nats[name].mean()):
    means = f"{nats[name].mean():15.2f}{variety[name].mean():20.2f}"
    print(f"{name:<13}{means}{degenerated[name]:14.0%}")

claim("mode_degenerates", "the mode has at most ⅔ of the surprisal and half of the distinct trigrams of "
      "text drawn from the same model: share of prompts",
      degenerated["mode"], at_least=0.5, thesis=True)  # fmt: skip
claim("rule_does_not", "a fixed rule's text has at most ⅔ of the surprisal and half of the distinct trigrams "
      "of text drawn from the same model: share of prompts",
      degenerated["fixed rule"], at_most=0.25)  # fmt: skip
claim("top_p_does_not", "top-p's text has at most ⅔ of the surprisal and half of the distinct trigrams of "
      "text drawn from the same model: share of prompts",
      degenerated["top-p"], at_most=0.2)  # fmt: skip
claim("no_overlap", "nats per letter: least among texts drawn minus most among the modes",
      nats["ancestral"].min() - nats["mode"].max(), at_least=0.2)  # fmt: skip
claim("beam_misses", "share of prompts for which a beam of 16 misses the mode",
      np.mean(nats["beam"] > nats["mode"] + 1e-9), at_least=0.4)  # fmt: skip

# %% mystnb={"image": {"alt": "Four rows of bars, one bar a letter, the letter below: surprisal in nats along the first seventy letters of the continuation by the human, ancestral sampling, the fixed rule and the mode. In the first two, tall bars at the beginnings of words stand among short ones to the end. The fixed rule falls into a pattern that repeats, with tall bars in it. The mode's pattern repeats too, and its bars are low."}} tags=["hide-input"]
fig, axes = plt.subplots(4, 1, figsize=(7.4, 5.4), sharey=True)
colors = {"human": "C6", "ancestral": "C0", "fixed rule": "C2", "mode": "C1"}
for ax, (name, color) in zip(axes, colors.items(), strict=True):
    ax.bar(range(70), surprisals[name][0][:70], color=color, width=0.8)
    ax.set_xticks(range(70), list(vocabulary.decode(texts[name][0, before:][:70])), fontsize=7)
    ax.set_title(f"{name}: {nats[name][0]:.2f} nats per letter", fontsize=9)
    ax.set(xlim=(-1, 70), ylabel="nats")
    ax.tick_params("x", length=0, grid_alpha=0)
fig.suptitle("A fixed rule loops too, but only the mode's loop is cheap", x=0.01, ha="left")
plt.show()

# %% [markdown]
# So there are two ways into a loop. Whatever decides by a fixed rule on a finite memory must cycle in the end, at
# whatever surprisal. The mode is bound to no rule. Its best letter depends on the letters still to come, so it may go
# on differently each time from the same three letters. It loops all the same, because no other path is as cheap. Apart
# from its beginning and end, a long enough likeliest string of a chain with a finite memory and no stop symbol runs
# round the cycle of lowest mean surprisal. Greedy does both: its rule is fixed, and takes the likeliest step.
#
# The beam is no exact search here either. Truncation errs on the same side, mildly, and it makes real text impossible: one token outside a nucleus, and a text's probability under top-p is zero, its
# perplexity infinite.
#
# Three letters of memory are few. {cite:t}`holtzman2020curious` saw the same on GPT-2: beam search of width 32 loops, and human text stays
# far more surprising to the model. What the exact mode of a large model's long text looks like is open: exact search is out of reach there.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Greedy decoding returns the most probable sequence."** Ask for the pair above: 0.6 · ⅓ against 0.4 · 0.9. The best first token need not
# begin the best string, and a beam that drops prefixes can fail in the same way.
#
# **"The output is dull, so search harder: a wider beam."** A wider beam serves probability, and the dull text *is* the
# more probable one. Where a better search does not make better text, mend the objective.
#
# **"Temperature ½ samples from the squared distribution."** Of each next token, yes. Of strings, no: multiply two steps out and the
# normalizers depend on the prefix. The comparison with the enumerated $p^2$ shows how far apart they are.
#
# **"In training, too, each element depends on those generated before."** *What is the input at position 7 if the model got position 6
# wrong?* The true token. That is why training is parallel over positions, and why generation meets prefixes that training
# never showed.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} When is beam search the right choice?
# When the task leaves little open, so that the best strings carry much of the probability: transcription, a short exact answer,
# often translation. Even there minimum Bayes risk competes: draw some outputs, return the one most similar to the
# others {cite:p}`eikema2020map`. It uses the distribution, not its peak.
# :::
#
# :::{dropdown} Can the mode of a neural model be found exactly?
# Its memory is too long for Viterbi's algorithm. But a prefix only gets less likely as it grows, so depth-first search may drop each
# prefix that is no likelier than the best finished string. {cite:t}`stahlberg2019nmt` did so, with a beam's result as the first
# bound. It worked because that mode is short; over long text the prefixes are too many.
# :::
#
# :::{dropdown} Is the loop not simply exposure bias?
# Exposure bias is the mismatch between true prefixes in training and the model's own in generation {cite:p}`ranzato2016sequence`.
# The coin and the counted model have none, since they are the truth here, and their modes are bad all the same. It can make matters worse: in trained
# Transformers, each repetition of a sentence makes the next more probable {cite:p}`xu2022learning`.
# :::
#
# :::{dropdown} Does the order of temperature and top-p matter?
# Yes. A high temperature first flattens the distribution, so that the nucleus grows; top-p first fixes the set on the model's own
# probabilities. transformers applies temperature, then top-k, top-p, min-p. Top-k and temperature commute: order survives division.
# :::
#
# :::{dropdown} Top-p or min-p?
# Top-p keeps a set by its total mass, so a flat distribution lets many unlikely tokens in. Min-p keeps tokens with at least a
# given fraction of the largest probability, so the cut follows the model's confidence {cite:p}`nguyen2025turning`. Both are heuristics.
# :::
#
# :::{dropdown} What does a repetition penalty change?
# CTRL's penalty {cite:p}`keskar2019ctrl`, as transformers implements it, divides the positive logits of all tokens seen so far by a constant
# and multiplies the negative ones. So the result depends on an additive constant that the softmax ignores, and "the" is
# punished like a loop.
# :::
#
# :::{dropdown} How do you keep beam search from favoring short outputs?
# Rank by $\log p(x)/n^{\alpha}$ for $n$ tokens, require a minimum length, or reward each token. All of them give up the mode as the
# objective, which is the point. Pure averaging, $\alpha = 1$, can overshoot: a few confident extra tokens raise the mean.
# :::
#
# :::{dropdown} Is temperature 0 deterministic?
# Mathematically it is greedy. In practice, sums in another order, because of another batch size or kernel, can swap two nearly
# tied logits, and one other token changes everything after it.
# :::
#
# :::{dropdown} Does speculative decoding change the distribution?
# Not if drafts are accepted with probability $\min(1, p/q)$ and rejections redrawn from the normalized positive part of $p - q$: then it
# is ancestral sampling, exactly, of whatever $p$ is, truncated or not {cite:p}`leviathan2023fast`.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} top_p_filter
# ```

# %%
import torch


def top_p_filter(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Keep each row's smallest set of most likely tokens that reaches probability p.

    logits: (..., V), float32 or float64.
    p: from 0 to 1.
    Returns (..., V), in the dtype of logits: −inf for what is dropped, the rest as it was.
    """
    raise NotImplementedError


check("top_p_filter", top_p_filter)

# %% [markdown]
# ```{solution} top_p_filter
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`holtzman2020curious`: degeneration, and top-p. {cite:t}`fan2018hierarchical`: top-k. {cite:t}`nguyen2025turning`: min-p.
# - {cite:t}`stahlberg2019nmt`: the exact mode of a translation model. {cite:t}`eikema2020map`: why not to look for it.
# - {cite:t}`meister2023locally`: typicality as the aim of a decoder. {cite:t}`xu2022learning`: how loops reinforce themselves.
# - {cite:t}`keskar2019ctrl`: the repetition penalty. {cite:t}`ranzato2016sequence`: exposure bias. {cite:t}`leviathan2023fast`: speculative decoding, exact.
# - {cite:t}`witten1991zero`: the smoothing of the counts.
