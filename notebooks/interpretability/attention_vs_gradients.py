# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 3
#     needs: [self_attention_math]
#     question_zh: 如何进行语言模型的可解释性研究？
#     short: Attention and gradients
#     source: S07
#     tasks:
#     - integrated_gradients
# ---

# %% [markdown]
# # Is attention an explanation?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Not by itself. An attention weight says how much a layer reads from a position, not what it takes from there, nor what
# earlier layers had already moved there. A model can be trained to put almost no pooling attention on the one word that
# decides, at the same accuracy, because the layer below copies that word elsewhere. So a map is a hypothesis. Test it:
# delete, swap or cut, and see whether the verdict moves. Integrated gradients find the word here, and fail elsewhere.
#
# :::{dropdown} The two-minute answer
# An explanation is *plausible* if it convinces people and *faithful* if it says what the model used. Attention maps are
# plausible by nature; faithfulness must be measured.
#
# Three things come between a weight and a decision. The weight multiplies a value, which may be zero. What stands at a
# position after one layer is a mixture of other positions. And the residual stream and the MLPs carry information past
# every map. Rollout multiplies the layers' maps and so follows the mixing; it still knows nothing about values.
#
# Gradients ask how the output reacts to the input *embeddings*. A gradient is local and vanishes where the model is
# saturated. Integrated gradients average it on the line from a baseline to the input, times the difference; the
# attributions then add up to the change in output. Which change is for the baseline to say, and where words interact, the
# sum can be right and the shares misleading.
#
# So intervene. Delete words in the order of their scores, swap the word for its opposite, cut an attention edge, shuffle
# the weights and see whether the map notices. {cite:t}`jain2019attention` found other maps for the same output;
# {cite:t}`wiegreffe2019attention` replied that this refutes no particular model's own map. Both call for tests.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: tells faithful from plausible, and says what an attention weight multiplies.
# - Junior: saliency is the gradient with respect to the input *embeddings*, of one chosen output.
# - Mid: deeper layers attend to mixtures; names rollout and what it leaves out.
# - Mid: writes integrated gradients with baseline and completeness, and says why a plain gradient can be zero.
# - Senior: proposes an intervention with a control: deletion, a counterfactual swap, a cut edge, shuffled weights.
# - Senior: says what the "attention is (not) explanation" papers each showed, and what neither did.
# - Senior: knows where deletion misleads (redundant words, unnatural inputs) and where integrated gradients do.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients
from torch import Tensor

from lmprep.architectures.attention import attention
from lmprep.architectures.transformer import EncoderConfig
from lmprep.data.corpora import sentence_encoder
from lmprep.evidence import agrees, claim
from lmprep.explorer import attention_explorer
from lmprep.interpretability import gradients
from lmprep.interpretability.pooling import PooledClassifier, planted_words
from lmprep.interpretability.rollout import attention_rollout
from lmprep.notebook import generator, setup, show
from lmprep.plotting import heatmap
from lmprep.practice import check
from lmprep.training.loop import fit

device = setup()

# %% [markdown]
# ## The map accuses one word. Strike it out, and the verdict stands
#
# A judge reads case files of ten words. If "alibi" is among them it acquits, if "confession" is, it convicts, else it
# adjourns; no other word matters. The judge is an encoder layer, in which words read each other, and a pooling attention
# that weighs the ten results into one. Two judges start from the same weights and see the same files. One is trained
# plainly. The other pays a *penalty*, $-\log(1 - a)$, for the pooling attention $a$ that falls on the deciding word
# {cite:p}`pruthi2020learning`. A third pays too, but its words may not read each other: no mixing.

# %%
show(PooledClassifier.forward)

# %%
# Try: penalty = 0.1. Hiding hardly pays, attention stays partly on the word, and the thesis
# breaks. Or spread = 0.0, all first weights of pooling and verdict: in some seeds, this one among
# them, even the plain judge's map strays, and the claim that it points at the word breaks.
penalty, spread, steps, batch_size, learning_rate = 1.0, 0.1, 80, 32, 5e-3
nouns = "coat lamp bridge clerk letter rain dog window clock street paper key hat river map"
WORDS, VERDICTS = ["confession", "alibi", "—", *nouns.split()], ("convict", "acquit", "adjourn")
ADJOURN, BLANK, V, T = 2, torch.tensor(2), len(WORDS), 10
config = EncoderConfig(vocab_size=V, context_length=T, width=32, num_layers=1, num_heads=2)


def case_files(n: int, g: torch.Generator) -> list[Tensor]:
    # Ids (n, T), verdicts (n,), and where the deciding word stands, if there is one: (n, T).
    return [x.to(device) for x in planted_words(n, T, V, 2, g)]


def train(penalty: float, mixing: bool = True) -> PooledClassifier:
    judge = PooledClassifier(config, 3, generator(1), mixing=mixing, head_std=spread).to(device)
    adam, g = torch.optim.Adam(judge.parameters(), lr=learning_rate, fused=True), generator(2)

    def loss(judge: PooledClassifier, batch: list[Tensor]) -> Tensor:
        (logits, weights, _), (_, verdict, decides) = judge(batch[0]), batch
        on_word = (weights * decides).sum(-1)
        return F.cross_entropy(logits, verdict) - penalty * torch.log1p(-0.999 * on_word).mean()

    fit(judge, lambda _: case_files(batch_size, g), loss, optimizer=adam, num_steps=steps)
    return judge.requires_grad_(False)


plain, hiding, unmixed = train(0.0), train(penalty), train(penalty, mixing=False)
ids, verdict, decides = case_files(160, generator(3))

# %% mystnb={"image": {"alt": "Three strips of ten words, shaded by the hiding judge's pooling attention. In the first, attention lies on innocent words, the word alibi is white, and the verdict is acquit. In the second, the most attended word is struck out and the verdict is still acquit. In the third, alibi is struck out and the verdict is adjourn."}} tags=["hide-input"]
row = (hiding(ids)[1].amax(1) * (verdict == 1)).argmax()[None]
_, weights, _ = hiding(ids[row])
struck = torch.cat([weights < 0, weights == weights.amax(), decides[row]])  # (3, T): none, …
logits, shades, _ = hiding(ids[row].where(~struck, BLANK))
words = [WORDS[i] for i in ids[row][0]]
names = zip(["nothing", words[weights.argmax()], "alibi"], logits.argmax(-1), strict=True)
names = [f"{name} struck: {VERDICTS[said]}" for name, said in names]
_, ax = plt.subplots(figsize=(8, 1.8))
heatmap(ax, shades.where(~struck, torch.nan).cpu(), rows=names, columns=words)
ax.set_title("Striking the darkest word changes nothing; the lightest one decides")
plt.show()

# %%
some, misled, looks, right = verdict < ADJOURN, [], [], []
for name, judge in (("plain", plain), ("hiding", hiding), ("no mixing", unmixed)):
    logits, weights, _ = judge(ids)
    said, accused = logits.argmax(-1), weights == weights.amax(-1, keepdim=True)
    stands = judge(ids.where(~accused, BLANK))[0].argmax(-1) == said
    falls = judge(ids.where(~decides, BLANK))[0].argmax(-1) != said
    on_word, ruled = (weights * decides).sum(-1), said == verdict
    fooled = ruled & (on_word < 0.01) & stands & falls
    right += [ruled.double().mean()]
    looks, misled = [*looks, on_word[some].mean()], [*misled, fooled[some].double().mean()]
    print(f"{name:<9} right {right[-1]:.0%}, on word {looks[-1]:.2%}, misled {misled[-1]:.0%}")
claim("misled", "judge trained to hide: files ruled rightly with under 1 % of attention on the deciding "
      "word, the verdict surviving the loss of the most attended word, not of the deciding one",
      misled[1], at_least=0.9, thesis=True)  # fmt: skip
claim("same_accuracy", "judge trained to hide: right verdicts", right[1], at_least=0.98)
claim("plain_points", "plain judge: attention on the deciding word", looks[0], at_least=0.8)
claim("mixing_needed", "judge trained to hide, words not reading each other: files as in the thesis",
      misled[2], at_most=0.2)  # fmt: skip

# %% [markdown]
# "On word" is the attention on the deciding word, "misled" the share of files in which a reader of the map would accuse an innocent
# word and miss the guilty one. The penalty alone did not do it: without mixing, the judge keeps looking at the word or, in some
# seeds, loses the verdict.
#
# ## Where the word went: one layer below the map
#
# If the pooling hardly reads the word's position, the word must have left it before. Test that by cutting. In the encoder,
# forbid all *other* words to read the deciding one; or leave the encoder alone and forbid the pooling to. Cutting edges is
# how information flow is traced in large models, too {cite:p}`geva2023dissecting`.

# %%
ids, verdict, decides = ids[some], verdict[some], decides[some]
itself, lost = torch.eye(T, dtype=torch.bool, device=device), []
reads, pools = itself | ~decides[:, None, None], ~decides  # (N, 1, T, T), (N, T)
for name, judge in (("plain", plain), ("hiding", hiding)):
    unread = (judge(ids, reads=reads)[0].argmax(-1) != verdict).double().mean()
    unpooled = (judge(ids, pools=pools)[0].argmax(-1) != verdict).double().mean()
    print(f"{name:<8}loses {unread:6.1%} if no word may read it, {unpooled:6.1%} if not pooled")
    lost += [unread - unpooled]
claim("two_routes", "verdicts lost to the cut on a judge's own route (plain: pooling, hiding: mixing) minus "
      "those lost to the other cut, worse judge", min(-lost[0], lost[1]), at_least=0.4)  # fmt: skip
swap = ids.where(~decides, 1 - ids)  # alibi for confession, and the other way round
change = unmixed.double()(ids, pools=pools)[0] - unmixed(swap, pools=pools)[0]
claim("no_other_way", "no mixing, word not pooled: largest effect of swapping it on a logit",
      change.abs().max(), at_most=1e-12)  # fmt: skip

# %% [markdown]
# Two judges, one rule, two routes: the plain one's word travels mostly by the pooling weight, the other's along edges that the
# pooling map does not show. Without mixing, and at weight exactly zero, no route is left, whatever the training: swapping the word
# for its opposite does nothing. (At a small weight there is one: a long enough vector.)
#
# ## Rollout and integrated gradients find the word that the map hides
#
# *Rollout* follows the mixing {cite:p}`abnar2020quantifying`: average the heads of layer $l$ into $A_l$, count the residual
# stream as half, and multiply, $R = \prod_l (\tfrac12 I + \tfrac12 A_l)$, last layer leftmost, $(T, T)$. The pooling weights times
# $R$ are one number a word.
#
# Gradients ask the function instead. Let $f$ be the logit of the verdict minus that of "adjourn", $x$ the embeddings, $(T, D)$,
# and $x'$ those of ten blanks. *Gradient × input* is $x_i\,\partial_i f(x)$. *Integrated gradients*
# {cite:p}`sundararajan2017axiomatic` are
#
# $$
# \mathrm{IG}_i = (x_i - x'_i) \int_0^1 \partial_i f\big(x' + \alpha (x - x')\big)\, d\alpha , \qquad
# \sum_i \mathrm{IG}_i = f(x) - f(x') .
# $$
#
# The second equation is *completeness*; it holds because along the line $\tfrac{df}{d\alpha} = \sum_i (x_i - x'_i)\, \partial_i f$.
# Summed over $D$, each word gets one number.

# %%
show(gradients.integrated_gradients, attention_rollout)


# %%
def explain(judge: PooledClassifier, midpoints: int) -> dict[str, Tensor]:
    # Four scores for each word, (N, T) each, of the verdict's lead over "adjourn".
    (_, weights, maps), x = judge(ids), judge.encoder.tokens(ids)
    f, blank = judge.margin(ids, verdict, ADJOURN), judge.encoder.tokens(BLANK)
    return {
        "attention": weights,
        "rollout": (weights[:, None] @ attention_rollout(maps))[:, 0],
        "gradient × x": gradients.input_x_gradient(f, x).sum(-1),
        "IG": gradients.integrated_gradients(f, x, blank, midpoints).sum(-1),
    }


scores = {"plain": explain(plain, 24), "hiding": explain(hiding, 24)}
f, x = hiding.margin(ids, verdict, ADJOURN), hiding.encoder.tokens(ids)
blanks = hiding.encoder.tokens(BLANK.expand_as(ids))
options = {"n_steps": 24, "method": "riemann_middle", "internal_batch_size": len(ids)}
theirs = IntegratedGradients(f).attribute(x, blanks, **options).sum(-1)
ours = scores["hiding"]["IG"]
agrees("integrated_gradients", "captum.attr.IntegratedGradients", ours, theirs, atol=1e-4)

# %% mystnb={"image": {"alt": "Two rows of panels, one for each judge. Each row has four heat maps of ten files by ten words, in which the deciding word stands on the diagonal, and a chart of deletion curves. Plain judge: all four maps show the diagonal, and deleting the top word overturns the verdicts at once. Hiding judge: attention leaves the diagonal white and its deletion curve stays at zero until the last words; rollout and integrated gradients show the diagonal and overturn the verdicts at once."}} tags=["hide-input"]
pick = decides.int().argmax(0)  # for each place, a file whose deciding word stands there
rules = {"plain": lambda x: plain(x)[0].argmax(-1), "hiding": lambda x: hiding(x)[0].argmax(-1)}
_, axes = plt.subplots(2, 2, figsize=(9.6, 4.4), width_ratios=[2.6, 1])
for (name, each), (left, line) in zip(scores.items(), axes, strict=True):
    strips = [F.pad(s[pick] / s[pick].amax(1)[:, None], (0, 1)) for s in each.values()]
    heatmap(left, torch.cat(strips, 1)[:, :-1].cpu())
    left.set(xticks=range(5, 40, 11), xticklabels=each, yticks=[], title=f"{name}: 10 files")
    for method, s in each.items():
        now = gradients.deletion_curve(rules[name], ids, s, BLANK)
        line.plot((now != now[0]).double().mean(1).cpu(), lw=5 - len(line.lines), label=method)
    line.set(xlabel="words struck, highest first", title="verdicts overturned")
line.legend(fontsize=7)
plt.show()


# %%
def first(scores: Tensor) -> Tensor:  # share of files in which the deciding word scores highest
    return decides.gather(1, scores.argmax(1, keepdim=True)).double().mean()


shuffled = [gradients.with_shuffled_weights(hiding, generator(k)) for k in range(10, 14)]
claim("gradients_find_it", "integrated gradients: files with the deciding word in first place, worse judge",
      min(first(each["IG"]) for each in scores.values()), at_least=0.9)  # fmt: skip
claim("rollout_finds_it", "rollout: files with the deciding word in first place, hiding judge",
      first(scores["hiding"]["rollout"]), at_least=0.9)  # fmt: skip
claim("complete", "integrated gradients, 24 midpoints: median |Σ / (f(x) − f(x′)) − 1|",
      (ours.sum(1) / (f(x) - f(blanks)) - 1).abs().median(), at_most=0.05)  # fmt: skip
claim("weights_matter", "integrated gradients, judge's weights shuffled: deciding word in first place",
      sum(first(explain(judge, 6)["IG"]) for judge in shuffled) / 4, at_most=0.4)  # fmt: skip


# %% [markdown]
# In file $i$ the deciding word stands at place $i$, so a faithful map is a diagonal. The hiding judge's attention has a gap there; strike
# words in its order, and the verdicts hold until the deciding word comes, last of all. Rollout and integrated gradients (IG) follow the
# word in both judges. So does gradient × input in this run, but nothing guarantees it: a local gradient can vanish.
#
# Shuffled weights are a sanity check after {cite:t}`adebayo2018sanity`: a map that survives them was not about the model. Rollout
# does as well as integrated gradients here, since one layer of mixing is just what it undoes.
#
# ## Every witness has a blind spot
#
# *Attention and rollout do not see values.* Let a token have nearly all the weight $w$ and a zero value vector. Removing it from
# the weighted sum changes nothing. Masking it *before* the softmax does: the others, renormalized, grow by $1/(1 - w)$.

# %%
q, k, v = torch.randn(3, 1, 8, 16, generator=generator(4), dtype=torch.float64)
k[:, 3], v[:, 3] = 2 * q[:, 0], 0.0
output, w = (x[0, 0] for x in attention(q, k, v))  # of query 0: (16,), (8,)
masked, _ = attention(q, k, v, torch.arange(8) != 3)
claim("idle_value", "weight w on a value of zero: |output masked before softmax · (1 − w) − output|",
      (masked[0, 0] * (1 - w[3]) - output).abs().max(), at_most=1e-12)  # fmt: skip

# %% [markdown]
# *Completeness does not see interactions, deletion does not see substitutes.* Take two words, $x$ and $y$, each absent (0, the
# baseline) or present (1), and two verdicts at (1, 1): "either, not both", $x + y - 2xy$, and "either", $x + y - xy$.

# %%
both = torch.ones(1, 2, dtype=torch.float64)
share = gradients.integrated_gradients(lambda x: x.sum(1) - 2 * x.prod(1), both, 0 * both)
claim("unseen", "x + y − 2xy at (1, 1): integrated gradients", share.abs().max(), at_most=1e-12)

# %% [markdown]
# "Either, not both" is back at its baseline's value, so the attributions add up to zero, and by symmetry each is zero, though
# deleting either word flips the result; the plain gradient, $1 - 2y = -1$, sees both. "Either" survives each deletion, and both
# words are guilty; integrated gradients give each one half. No ranking of methods holds on every task {cite:p}`bilodeau2024impossibility`: name the question, then test for it.
#
# ## In a real encoder, the most watched token hardly matters
#
# Now a BERT-type model, with the right labels. `outputs[0]` would be the last hidden state, $(1, T, 384)$; the maps, $(1, 12, T, T)$
# for each of 6 layers, come with `output_attentions=True` from the eager implementation (the fused one has none to return). Let $f$ be the cosine similarity of
# two sentences, its gradient taken with respect to the first one's word embeddings, with [MASK] as the baseline.

# %%
real = sentence_encoder(attention_maps=True)
model = real.model.requires_grad_(False).to(device)
batch = real.tokenizer("The bank by the river was flooded.", return_tensors="pt").to(device)
tokens = real.tokenizer.convert_ids_to_tokens(batch.input_ids[0])
embed, target = model.embeddings.word_embeddings, real.encode(["Water covered the shore."])


def similarity(x: Tensor) -> Tensor:
    return F.cosine_similarity(model(inputs_embeds=x).last_hidden_state.mean(1), target)


maps = torch.stack(model(**batch, output_attentions=True).attentions)[:, 0]  # (L, H, T, T)
received, x = maps.mean((0, 1, 2)), embed(batch.input_ids)  # (T,), (1, T, D)
mask, one = embed.weight[real.tokenizer.mask_token_id], torch.eye(len(tokens), device=device)
baseline = x.lerp(mask, 1 - (one[0] + one[-1])[:, None])  # all masked but [CLS] and [SEP]
saliency = gradients.integrated_gradients(similarity, x, baseline, 8).sum(-1)[0]
loss = similarity(x) - similarity(x.lerp(mask, one[..., None]))  # text i has token i masked
for line in zip(tokens, received, saliency, loss, strict=True):
    print("{:<9}attention {:.2f}   integrated {:6.3f}   lost when masked {:6.3f}".format(*line))
claim("watched", "MiniLM, one sentence: attention that [CLS] gets", received[0], at_least=0.35)
claim("idle", "MiniLM, one sentence: |effect of masking [CLS]| over the largest effect of a token",
      loss[0].abs() / loss.max(), at_most=0.4)  # fmt: skip
attention_explorer(maps, tokens, title="MiniLM", alt="In middle layers most look at [CLS]")

# %% [markdown]
# One sentence is an anecdote, but the pattern is known: heads park weight on special tokens, whose transformed vectors are short
# {cite:p}`kobayashi2020attention`. [CLS] and [SEP] are in the baseline too, so their attributions are zero by construction.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"The darkest word in the map is why the model said so."** Ask for the experiment: *strike that word; what happens?* In the
# first exhibit, nothing. A weight is one factor of two, read off one layer of many.
#
# **"It was settled in 2019: attention is not explanation."** Which papers, and what did they vary?
# {cite:t}`jain2019attention` changed the weights of trained models and left the rest; {cite:t}`wiegreffe2019attention` trained
# whole models and argued that the answer depends on what an explanation is for. The plain judge's map *is* faithful; the cuts show it.
#
# **"Gradient saliency shows which parameters matter."** Then what would be drawn over the words? Gradients of parameters train
# the model. Saliency is $\partial f/\partial x$ with $x$ the input embeddings, one row a token, and $f$ one chosen logit or margin.
# A plot of the embeddings alone, often named next, shows no decision at all.
#
# **"Integrated gradients satisfy the axioms, so their ranking is the truth."** Counterexample: $x + y - 2xy$ at (1, 1). The axioms say
# how shares add up, against a baseline that you chose. They do not say that a large share means a large effect.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Which baseline for integrated gradients?
# One that the model takes for "nothing here"; check that $f(x')$ says so. For text: [PAD], [MASK], a blank that training contained, or an
# average over several. The zero embedding is usually no token at all. What the baseline shares with the input gets exactly
# zero: against a file full of "alibi", the word alibi has no attribution.
# :::
#
# :::{dropdown} Why does saturation kill plain gradients?
# $f(x) = 1 - \mathrm{ReLU}(1 - x)$ rises from 0 to 1 and then stays. At $x = 2$ the gradient is 0, although $x$ did all of it: that violates
# *sensitivity*. A confident softmax is the same case, one more reason to explain a logit or a margin and not a probability.
# :::
#
# :::{dropdown} Which axioms do integrated gradients satisfy?
# Sensitivity: a feature that alone differs from the baseline and changes the output gets credit. Implementation
# invariance: two networks computing one function get the same attributions, which rules with modified backward passes
# can violate. Completeness: they add up. Every path has these three; the straight one also treats features alike.
# :::
#
# :::{dropdown} What does a map that passes the randomization test prove?
# Little: that it depends on the weights at all. Failing it is damning. {cite:t}`adebayo2018sanity` found that guided backpropagation hardly
# changes when the upper layers are randomized; it resembles an edge detector.
# :::
#
# :::{dropdown} Raw attention or rollout?
# Raw maps of upper layers are about mixtures. Rollout is about input tokens, but averages heads, assumes half a residual, and ignores values and
# MLPs. {cite:t}`abnar2020quantifying` report a better correlation with ablation than for raw attention. A heavy token with a zero value fools both.
# :::
#
# :::{dropdown} Is deletion itself fair?
# Only if the damaged input is one the model knows; here the blank was in training. Otherwise the output may move because the
# input looks odd. {cite:t}`hooker2019benchmark` delete, retrain and then compare, at the price of explaining another model. Redundant words need
# joint deletion.
# :::
#
# :::{dropdown} Can gradients be faked as well?
# Yes. {cite:t}`wang2020gradient` merge a model with one that dominates the gradients and leaves predictions nearly alone; saliency maps can then point at
# stop words. Against an adversary, trust interventions on behavior before any map.
# :::
#
# :::{dropdown} So do you never look at attention maps?
# Constantly: to form hypotheses, to see induction heads or sinks. Then cut the edge. A head whose removal breaks the behavior is evidence;
# its picture is not.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} integrated_gradients
# ```

# %%
from collections.abc import Callable

import torch
from torch import Tensor


def integrated_gradients(
    f: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor, steps: int
) -> Tensor:
    """Attributions of f(x) − f(baseline) to the entries of x, in x's shape and dtype.

    f maps a tensor of that shape, such as (T, D), float32 or float64, to one of shape ().
    """
    raise NotImplementedError


check("integrated_gradients", integrated_gradients)

# %% [markdown]
# ```{solution} integrated_gradients
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`jain2019attention` and {cite:t}`wiegreffe2019attention`: the debate. {cite:t}`pruthi2020learning`: the penalty.
# - {cite:t}`sundararajan2017axiomatic`: integrated gradients. {cite:t}`bilodeau2024impossibility`: what complete methods cannot promise.
# - {cite:t}`abnar2020quantifying`: rollout. {cite:t}`kobayashi2020attention`: weights times values. {cite:t}`geva2023dissecting`: cut edges.
# - {cite:t}`adebayo2018sanity`, {cite:t}`hooker2019benchmark`: tests of explanations. {cite:t}`wang2020gradient`: faked gradients.
