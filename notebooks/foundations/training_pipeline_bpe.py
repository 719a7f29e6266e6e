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
#     - next_token_prediction
#     question_zh: 语言模型中的语言模型是怎么训练的？
#     short: Training pipeline and BPE
#     source: L17
#     tasks:
#     - pack_documents
# ---

# %% [markdown]
# # Walk through language-model training: tokenizer, packing, loop, checks. What do you report?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# De-duplicate, then split by document. Train a tokenizer on the training text, usually byte-level BPE. End each document with a
# special token, join them, cut the stream into rows, targets shifted by one. Before the long run, the first loss must be about
# log V, and the model must learn one batch by heart; several bugs pass both. Train, tune on validation, test once. Across
# tokenizers report bits per byte: in our runs, token perplexity chose the model that spent the most bits.
#
# :::{dropdown} The two-minute answer
# *Data.* Collect, filter, drop duplicates and near-duplicates, only then split, by document. Nothing is removed from inside a
# sentence: a language model is asked for stop words too.
#
# *Tokenizer.* Byte-level BPE starts from 256 tokens, the bytes, and keeps merging the most frequent pair of neighbors until there
# are $V$ tokens. Any text can be written. What the tokenizer was not trained on is cut into many short tokens.
#
# *Packing.* Documents, each with an end token, form one stream, cut into rows of $T$. Row $x$ of shape $(T,)$ has targets $y$, the same
# stream one token on. A document mask keeps attention inside a document.
#
# *Checks.* Loss at the start near $\log V$; one batch learned by heart; no output moved by a later input; $y$ read beside $x$.
#
# *Loop.* Forward, cross-entropy, backward, clip, step; warmup, then a falling learning rate; checkpoints. Watch loss, gradient
# norm, learning rate, tokens per second and validation loss.
#
# *Report.* The bits of all tokens over the bytes of the text. Perplexity is per token, so it grows with the length of the tokens.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: the stages in order, tokenizer trained on training text only, targets shifted by one, test set used once.
# - Junior: writes the BPE loop: count pairs, merge the most frequent, repeat; encodes by replaying the merges in order.
# - Mid: why bytes: no unknown token, and any text comes back; what untrained-for Chinese costs.
# - Mid: packs with an end token and loses no target at a row's boundary; says what a document mask is for.
# - Mid: first loss near $\log V$, one batch overfitted, and what each of the two can catch.
# - Senior: names bugs that pass both checks, and checks that catch them.
# - Senior: derives that perplexity grows with bytes per token, and converts to bits per byte.
# - Senior: says why duplicates must go before the split.

# %% tags=["hide-input"]
import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lmprep.architectures.transformer import GPT, GPTConfig
from lmprep.data.corpora import english_chinese_pairs, english_text, ngram_overlap
from lmprep.data.packing import document_mask, pack
from lmprep.evidence import agrees, claim
from lmprep.foundations.bpe import BPE, chunks
from lmprep.foundations.ngram import WittenBellLM
from lmprep.notebook import generator, rng, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam, AdamW

_ = setup()  # the page stays on the CPU

# %% [markdown]
# ## *ew*, *new*, *␣new*: counting makes the words
#
# Take *new newer newest renew* (␣ marks a space). The pairs *ne* and *ew* stand side by side four times each, more often than any
# other. A tie goes to the pair whose first id is smaller, and ids of single bytes are the bytes: e is 101, n is 110, so *ew* is merged first and becomes token 256.
# Now *n* + *ew* leads with four: token 257 is *new*. Then *␣* + *new* with two, and *␣new* + *e* with two. That is all of byte-pair
# encoding. Text is cut into chunks before, words with the space in front of them, numbers, signs; no merge crosses a cut.

# %%
toy = BPE.train("new newer newest renew", 260)
print(toy.tokens[256:], [toy.tokens[i] for i in toy.encode("a newt")])
show(BPE.train, BPE._merged)

# %% [markdown]
# A merge changes only the pairs beside it, so counts are updated there and not taken anew. Encoding replays the merges in
# the order in which they were learned. The reference is Hugging Face's Rust library. It spells bytes as characters; spelling
# them in the order of the bytes makes its ties fall as ours do.

# %%
# Try: sizes = {256: 5, 260: 5}. After four merges tokens are hardly longer, perplexities nearly
# meet, and the thesis breaks. Or read = 40_000: with less text, long tokens gain less.
sizes = {256: 5, 512: 3, 1024: 3}  # V: order of its n-gram model, best on validation
read, held_out, steps, batch_size, row_bytes = 120_000, 4_000, 80, 12, 72
rate = 0.008  # of both GPTs: of four, the best on validation or within a percent of it
small, large = min(sizes), max(sizes)

corpus = english_text()


# Chapters in random order, one a line.
def text_of(split: str, k: int, length: int) -> str:
    chapters = [" ".join(text.split()) for text in corpus[split]["text"]]
    return "\n".join(chapters[i] for i in rng(k).permutation(len(chapters)))[:length]


train, test = text_of("train", 1, read), text_of("test", 2, held_out)
bpe = BPE.train(train, large)

alphabet = [chr(0x4E00 + byte) for byte in range(256)]
words = " ".join("".join(alphabet[i] for i in chunk) for chunk in chunks(train))
theirs = Tokenizer(models.BPE())
theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
theirs.train_from_iterator([words], trainers.BpeTrainer(vocab_size=large, min_frequency=2,
                           initial_alphabet=alphabet, show_progress=False))  # fmt: skip
agrees("ids", "tokenizers.models.BPE, trained on the same text", bpe.encode(train),
       theirs.encode(words).ids, atol=0)  # fmt: skip

odd = ["明月出天山".encode(), "👩‍🚀 ñ ﷽".encode(), bytes(range(256)), b"\xff caf\xc3"]
claim("round_trip", "Chinese, emoji, all 256 bytes, broken UTF-8: how many of four come back",
      sum(bpe.decode(bpe.encode(data)) == data for data in odd), at_least=4)  # fmt: skip
print(bpe.decode(bpe.encode("月出")[:4]).decode(errors="replace"))

# %% [markdown]
# Bytes are why nothing is unknown. The last line shows the price: this tokenizer has read English, so a Chinese character is three
# tokens, and two of them are no character yet. A program that streams text must wait for the rest.
#
# ## A tokenizer that has read no Chinese charges double for it, and more
#
# Bytes per token alone do not compare languages, since a Chinese character takes three bytes and says more than a letter. So take the
# same messages in both languages, JupyterLab's menus and help texts. Two tokenizers of 1,024 tokens: one is trained on the English side, the other
# on both sides. Everything else is equal. No randomness enters.

# %%
pairs = english_chinese_pairs()
unseen = ["\n".join(pairs["test"][side]) for side in ("english", "chinese")]
tokens = {}
for name, sides in (("English", ["english"]), ("both", ["english", "chinese"])):
    lines = [line for side in sides for line in pairs["train"][side]]
    tokenizer = BPE.train("\n".join(lines), 1024)
    tokens[name] = [len(tokenizer.encode(text)) for text in unseen]
    shown = (f"{n:6} tokens of {len(text.encode()) / n:.2f} bytes"
             for n, text in zip(tokens[name], unseen, strict=True))  # fmt: skip
    print(f"read {name:<8}| English: {next(shown)} | Chinese: {next(shown)}")

claim("chinese_premium", "tokenizer that read English: tokens of Chinese messages over English",
      tokens["English"][1] / tokens["English"][0], at_least=1.7, unit="×")  # fmt: skip
claim("premium_goes", "tokenizer of the same size that read both languages: the same ratio",
      tokens["both"][1] / tokens["both"][0], at_most=1.1, unit="×")  # fmt: skip

# %% [markdown]
# Trained on English, nearly every Chinese byte stays a token by itself: a Chinese user pays, waits and fills the context for more than twice the tokens.
# Trained on both, Chinese needs even fewer tokens than English. The merges that it won are lost to English, which now needs more.
#
# ## One stream, cut anywhere, and every token asked for once
#
# `pack` puts documents one after the other, each with an end token, and cuts. Row $n$ reads tokens $nT$ to $nT + T - 1$ and
# is asked for $nT + 1$ to $nT + T$, so its last target is the first token that the next row reads. Nothing is padded, and only
# the tail is dropped. Cuts fall anywhere, and a row may hold the end of one document and the beginning of another.

# %%
show(pack, document_mask)

# %%
cut = {V: BPE(bpe.merges[: V - 256]) for V in sizes}  # the first merges are a tokenizer
packed = {}
for V in (small, large):
    documents = [cut[V].encode(line) for line in train.split("\n")]
    T = round(row_bytes * sum(map(len, documents)) / len(train.encode()))
    packed[V] = pack(documents, T, end=V)  # one more id, after the tokenizer's


def gpt(V: int, head_std: float = 0.02) -> GPT:
    return GPT(GPTConfig(vocab_size=V + 1, context_length=packed[V][0].size(1), width=48,
                         num_layers=1, num_heads=4, init_std=0.1, residual_scale=0.7,
                         tied_head=False, head_std=head_std), generator(5))  # fmt: skip


model, (x, y, doc_id) = gpt(large), packed[large]  # (N, T) each
n = (doc_id[:, 0] != doc_id[:, -1]).nonzero()[0]  # the first row with two documents
second = (doc_id[n] == doc_id[n, -1])[0]  # (T,)
looks_back = []
for mask in (None, document_mask(doc_id[n])):
    _, maps = model.hidden(x[n], mask=mask, causal=True, return_weights=True)
    looks_back.append(maps[..., second, :][..., ~second].sum(-1).mean().item())
claim("neighbors_reach_in", "causal mask: share of its attention a second document pays the first",
      looks_back[0], at_least=0.05)  # fmt: skip
claim("mask_keeps_them_out", "document mask added: the same share", looks_back[1], at_most=0)

# %% [markdown]
# ## Three of five bugs pass both famous checks
#
# {cite:t}`karpathy2019recipe` checks two things before any long run. Untrained, a model should give each of its $V + 1$ tokens about
# the same probability, so the first loss is $\log(V + 1)$. And on one small batch, trained on again and again, the loss should fall
# to nearly zero. Here are five bugs, each in one line, under both checks. Two further checks train nothing: change each row's
# last input and see whether any earlier output moves; compare $y$ with $x$, one place on.

# %%
rows = torch.randperm(len(x), generator=generator(6))[:4]
x8, y8 = x[rows, :20], y[rows, :20]  # (4, T), T = 20
other = torch.cat([x8[:, :-1], x8[:, -1:].flip(0)], dim=1)  # another last input
trials = {  # standard deviation of the head's first weights, logits, targets
    "no bug": (0.02, GPT.forward, y8),
    "head 50 times too large": (1.0, GPT.forward, y8),
    "softmax before the loss": (0.02, lambda m, x: m(x).softmax(-1), y8),
    "causal mask forgotten": (0.02, lambda m, x: m.head(m.hidden(x)[0]), y8),
    "rows and columns mixed": (0.02, lambda m, x: m(x.T.reshape(x.shape)), y8),
    "targets not shifted": (0.02, GPT.forward, x8),
}
chance, famous, free = math.log(large + 1), [], []


def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


print(f"log(V + 1) = {chance:.2f}       first loss  25 steps on  past moves  y is x shifted")
for name, (head_std, logits, targets) in trials.items():
    model = gpt(large, head_std)
    moves = bool((logits(model, other) - logits(model, x8))[:, :-1].any())
    shifted = targets[:, :-1].equal(x8[:, 1:])
    adam = Adam(model.parameters(), lr=0.01)
    log = fit(model, [(x8, targets)], lambda m, b, f=logits: loss(f(m, b[0]), b[1]),
              optimizer=adam, num_steps=25).records  # fmt: skip
    first, last = log[0].train_loss, log[-1].train_loss
    famous.append(abs(first - chance) < 0.3 and last < 0.1)
    free.append(shifted and not moves)
    print(f"{name:<23}{first:11.3f}{last:13.3f}{moves!s:>12}{shifted!s:>16}")

claim("both_checks_miss", "five bugs: how many pass the first-loss and the one-batch check",
      sum(famous[1:]), at_least=3)  # fmt: skip
claim("only_sound_code_passes", "one sound and five broken versions: how many pass all four",
      sum(map(min, famous, free)), at_least=1, at_most=1)  # fmt: skip

# %% [markdown]
# Read the table by column. Only the first loss betrays the large head: that model learns its batch even sooner. Only the one batch
# betrays a second softmax, whose first loss is perfect. The last three learn one batch as well as sound code,
# because any fixed pairing of inputs and targets can be memorized. The model without a mask reads its answers, the mixed-up one reads other rows, the last one
# repeats its input. All of them would show a splendid or a hopeless loss much later.
#
# ## The fewest bits come with the highest perplexity
#
# Now the run. For each vocabulary, an n-gram model counts the text; for the smallest and the largest a GPT takes 80 updates on rows
# that hold equally much text. All of them score the same unseen bytes, each line end as one end token. The loss $L$ is in nats
# per token; with $b$ bytes per token,
#
# $$
# \text{perplexity} = e^{L}, \qquad \text{bits per byte} = \frac{L}{b \log 2}, \qquad \text{so perplexity} = 2^{\,b \,\cdot\, \text{bits per byte}} .
# $$
#
# Where the price of the text is equal, perplexity is exponential in the length of tokens. So one more curve: the byte model's own
# bits, divided by the number of *longer* tokens in the same text. Not one of its predictions changes.


# %%
def stream(V: int, text: str) -> list[int]:
    return [i for line in text.split("\n") for i in (V, *cut[V].encode(line))]


# The cost in nats of the unseen text, if `text` was counted.
def ngram_nats(V: int, text: str) -> float:
    counts = WittenBellLM(sizes[V], V + 1).fit(stream(V, text))
    return counts.surprisals(stream(V, test))[1:].sum()


# The cost in nats of the unseen text, after training.
def train_gpt(V: int, x: torch.Tensor, y: torch.Tensor) -> float:
    model, rows = gpt(V), torch.randint(len(x), (steps, batch_size), generator=generator(7))
    adamw = AdamW(model.parameters(), rate, betas=(0.9, 0.95))
    log = fit(model, lambda step: (x[rows[step]], y[rows[step]]), num_steps=steps,
              loss=lambda m, b: loss(m(b[0]), b[1]), optimizer=adamw, max_norm=1.0,
              schedule=lambda step: min((step + 1) / 20, 1 - step / steps)).records  # fmt: skip
    print(f"GPT, V = {V}: training loss {log[0].train_loss:.2f} to {log[-1].train_loss:.2f}")
    ids = torch.tensor(stream(V, test))
    pairs = zip(ids[:-1].split(x.size(1)), ids[1:].split(x.size(1)), strict=True)
    return sum(len(b) * loss(model(a[None]), b).item() for a, b in pairs)


num_bytes, length = len(test.encode()), {V: len(stream(V, test)) - 1 for V in sizes}
nats = {"n-gram": {V: ngram_nats(V, train) for V in sizes},
        "GPT": {V: train_gpt(V, *packed[V][:2]) for V in (small, large)}}  # fmt: skip
nats["bytes, recounted"] = dict.fromkeys(sizes, nats["n-gram"][small])
perplexity = {k: {V: math.exp(n / length[V]) for V, n in v.items()} for k, v in nats.items()}
bits = {k: {V: n / math.log(2) / num_bytes for V, n in v.items()} for k, v in nats.items()}

# %% mystnb={"image": {"alt": "Two panels against the size of the vocabulary, 256, 512 and 1024. Top, perplexity per token on a logarithmic axis: the n-gram model rises more than tenfold, the GPT more than tenfold, and the byte model's predictions recounted in longer tokens rise even above the n-gram model trained on them. Bottom, bits per byte: the n-gram line falls a little and the GPT line falls steeply."}} tags=["hide-input"]
_, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True)
for ax, table in ((top, perplexity), (bottom, bits)):
    for (name, by_size), style in zip(table.items(), ("o-", "s-", "^--"), strict=True):
        ax.plot([str(V) for V in by_size], by_size.values(), style, label=name)
top.set(title="Perplexity calls bytes best", ylabel="perplexity per token", yscale="log")
bottom.set(title="The text costs least in long tokens", ylabel="bits per byte")
bottom.set(xlabel="vocabulary V", xlim=(-0.1, len(sizes) - 0.2), ylim=(0, None))
label_lines(top)
label_lines(bottom)
plt.show()

# %%
best = min(sizes, key=bits["n-gram"].get)
claim("perplexity_ranks_backwards", "n-gram models: perplexity of the one with the fewest bits "
      "per byte over the lowest perplexity", at_least=4, unit="×", thesis=True,
      value=perplexity["n-gram"][best] / min(perplexity["n-gram"].values()))  # fmt: skip
claim("the_unit_does_it", "perplexity per BPE token: byte n-gram model over BPE n-gram model",
      perplexity["bytes, recounted"][large] / perplexity["n-gram"][large], at_least=1.07, unit="×")  # fmt: skip
claim("gpt_perplexity", "GPT, equal text per update: perplexity, 1,024 tokens over bytes",
      perplexity["GPT"][large] / perplexity["GPT"][small], at_least=8, unit="×")  # fmt: skip
claim("gpt_bits", "GPT, equal text per update: bits per byte, 1,024 tokens over bytes",
      bits["GPT"][large] / bits["GPT"][small], at_most=0.85, unit="×")  # fmt: skip

# %% [markdown]
# Perplexity puts bytes first for both kinds of model; the text itself is cheapest in 1,024 tokens. The dashed curve isolates the cause. The byte model's unchanged
# predictions, counted per long token, have a higher perplexity than the model that was trained on those tokens: the ranking turns once the
# unit is equal. Perplexity is comparable where the tokens are the same.
#
# This is no verdict against bytes. Eighty updates are a smoke test, both GPTs are far behind the counts, and longer training may well narrow
# the gap, though a byte model works through about three times as many positions for the same text.
#
# ## Copies of the test flatter the score
#
# Split a text with repeats first, clean it later, and unseen sentences stand in the training text too. (The manual repeats about a fifth
# of its characters. `english_text` keeps each paragraph once, *then* splits.) Here every fourth unseen sentence is copied into the
# training text of the byte n-gram model; nothing else changes.

# %%
leaked = train + "\n" + ". ".join(test.split(". ")[::4])
print("8-word overlap:", *(f"{ngram_overlap([test], [t]):.0%}" for t in (train, leaked)))
claim("copies_flatter", "bits per byte, every fourth unseen sentence copied into training over none",
      ngram_nats(small, leaked) / nats["n-gram"][small], at_most=0.95)  # fmt: skip

# %% [markdown]
# The copies take several percent off the price, and the model is no better. The overlap, the share of the unseen text's runs of eight words that
# also stand in the training text, shows it without any model.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **Preparing text as for a search index.** Lower-casing, stemming, dropping stop words: a bag-of-words retriever gains from them. A generator
# can only write what it has been asked for, so this one would write telegrams. What is removed before training are whole documents and
# lines: copies, boilerplate, broken markup, other people's personal data.
#
# **"First vectorize the words, then train."** The tokenizer hands over ids. Vectors are the first layer's rows, random at the start,
# and the same loss trains them. Frozen word vectors were the way before that, and they fix one vector for each word.
#
# **`model.fit([encoder_inputs, decoder_inputs], decoder_inputs)`**, from a much-copied recipe for "a language model". Its targets are the
# decoder's own inputs, so it is the last row of the table of bugs. And it needs pairs; for plain text there is no second input, and a decoder
# without an encoder does. The sections above are this recipe in a version that works.
#
# **A lower perplexity than published, on the same test set.** WikiText's are per word of the data set. A script that averages over its own
# subword tokens reports a far smaller number for the same model. GPT-2's authors took the log-probability of the whole text
# and divided by the data set's units {cite:p}`radford2019language`.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Does the document mask matter?
# Without it a token can attend to an unrelated document, and the end token is its only hint. {cite:t}`zhao2024analysing` found
# better language modeling and downstream scores with the mask. It must hold in every layer. Positions still count on through the row, unless they are reset too.
# :::
#
# :::{dropdown} How large should the vocabulary be?
# Each token more costs a row of width $D$ in the embedding and one in the head, and makes the text shorter by ever less. Rare tokens
# are seldom trained: {cite:t}`land2024fishing` found tokens in many public models that had hardly been trained at all. GPT-2 has 50,257: the bytes, 50,000 merges and an end token.
# :::
#
# :::{dropdown} The loss spikes in the middle of the run. What now?
# Look at gradient norm and batch; clip; check for a run of repeated text. PaLM's authors restarted about 100 steps before the spike and
# skipped 200 to 500 batches. The same batches did no harm from another checkpoint, so bad data alone was not the cause {cite:p}`chowdhery2023palm`.
# :::
#
# :::{dropdown} May you go through the data several times?
# Up to about four epochs cost almost nothing against fresh text; with many more, further passes add nothing {cite:p}`muennighoff2023scaling`.
# That is about all data repeated evenly. A few documents repeated far more often than the rest are learned by heart.
# :::
#
# :::{dropdown} How are near-duplicates found in terabytes?
# MinHash signatures find documents with many n-grams in common, suffix arrays find long exact strings. {cite:t}`lee2022deduplicating` used both: models then emit memorized text
# ten times less often, and over 4 % of common validation sets had overlapped with training text.
# :::
#
# :::{dropdown} Why can a prompt that ends in a space go wrong?
# Tokens carry the space in front of them. After a lone space the model has to continue with a word that has no space in front, a cut that its training
# text rarely or never had. Strip the space, or back up by a token.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} pack_documents
# ```

# %%
import torch


def pack_documents(docs: list[list[int]], T: int, end: int) -> tuple[torch.Tensor, ...]:
    """Rows for training a language model.

    docs: any number of lists of token ids, which may be empty.
    T: tokens a row, at least 1; end: the id that ends a document.
    Returns x, y, doc_id: (N, T) each, long.
    """
    raise NotImplementedError


check("pack_documents", pack_documents)

# %% [markdown]
# ```{solution} pack_documents
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`gage1994new`: byte-pair encoding as compression. {cite:t}`sennrich2016neural`: as subwords. {cite:t}`radford2019language`: on bytes.
# - {cite:t}`petrov2023language`: the same text in different languages, up to 15 times as many tokens.
# - {cite:t}`karpathy2019recipe`: checks before a long run.
# - {cite:t}`lee2022deduplicating`, {cite:t}`muennighoff2023scaling`: duplicates, and repeated data.
# - {cite:t}`zhao2024analysing`: packing and masks. {cite:t}`land2024fishing`: tokens that were hardly trained.
# - {cite:t}`chowdhery2023palm`: loss spikes, and what was done about them.
