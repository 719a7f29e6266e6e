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
# An explanation is *plausible* if it convinces people and *faithful* if it says what the model used. A sharp attention map
# looks plausible; faithfulness must be measured.
#
# Three things come between a weight and a decision. The weight multiplies a value, which may be zero. What stands at a
# position after one layer is a mixture of other positions. And the residual stream carries information past
# every map. Rollout multiplies the layers' maps and so follows the mixing; it still knows nothing about values.
#
# Gradients ask how the output reacts to the input *embeddings*. A gradient is local and vanishes where the function is
# flat. Integrated gradients average it on the line from a baseline to the input, times the difference; the
# attributions then add up to the change in output. Which change is for the baseline to say, and where words interact, the
# sum can be right and the shares misleading.
#
# So intervene, knowing what each intervention asks. Delete words in the order of their scores, swap the word for its
# opposite, cut an attention edge, shuffle the weights and see whether the map notices. {cite:t}`jain2019attention` found
# other maps for the same output; {cite:t}`wiegreffe2019attention` replied that a second map does not make the first one false.
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

from lmprep.architectures.transformer import EncoderConfig
from lmprep.evidence import agrees, claim
from lmprep.explorer import attention_explorer
from lmprep.interpretability import gradients
from lmprep.interpretability.pooling import PooledClassifier, planted_words
from lmprep.interpretability.rollout import attention_rollout
from lmprep.notebook import generator, setup, show
from lmprep.plotting import heatmap
from lmprep.practice import check
from lmprep.pretraining.minilm import minilm
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

device = setup()

# %% [markdown]
# ## The map clears one word. Strike it out, and the verdict falls
#
# A judge reads case files of ten words. If "alibi" is among them it acquits, if "confession" is, it convicts, else it
# adjourns; no other word matters. The judge is an encoder layer, in which words read each other, and a pooling attention
# that weighs the ten results into one. Two judges start from the same weights and see the same files. One is trained
# plainly. The other pays a *penalty*, $-\log(1 - a)$, for the pooling attention $a$ that falls on the deciding word
# {cite:p}`pruthi2020learning`. A third pays too, but its words may not read each other: no mixing.

# %%
show(PooledClassifier.forward)

# %%
# Try: penalty = 0.1. Hiding hardly pays, the word keeps over 1 % of the attention in this seed,
# and the thesis breaks. Or spread = 0.0, the first weights of pooling and verdict: now the map of
# the plain judge strays as well, unpaid, and the claim that its darkest word decides breaks.
penalty, spread, steps, batch_size, learning_rate = 1.0, 0.1, 80, 32, 5e-3
nouns = "coat lamp bridge clerk letter rain dog window clock street paper key hat river map"
WORDS = ["confession", "alibi", "—", *nouns.split()]
ADJOURN, BLANK = 2, torch.tensor(2, device=device)
V, T = len(WORDS), 10
config = EncoderConfig(vocab_size=V, context_length=T, width=32, num_layers=1, num_heads=2)


def case_files(n: int, g: torch.Generator) -> list[Tensor]:
    # Ids (n, T), verdicts (n,), and where the deciding word stands, if there is one: (n, T).
    return [x.to(device) for x in planted_words(n, T, V, 2, g)]


def train(penalty: float, mixing: bool = True) -> PooledClassifier:
    judge = PooledClassifier(config, 3, generator(1), mixing=mixing, head_std=spread).to(device)
    adam, g = Adam(judge.parameters(), lr=learning_rate), generator(2)

    def loss(judge: PooledClassifier, batch: list[Tensor]) -> Tensor:
        ids, verdict, decides = batch
        logits, weights, _ = judge(ids)
        on_word = (weights * decides).sum(-1)
        return F.cross_entropy(logits, verdict) - penalty * torch.log1p(-0.999 * on_word).mean()

    fit(judge, lambda _: case_files(batch_size, g), loss, optimizer=adam, num_steps=steps)
    return judge.requires_grad_(False)


plain, hiding, unmixed = train(0.0), train(penalty), train(penalty, mixing=False)
ids, verdict, decides = case_files(160, generator(3))


# %%
def share(files: Tensor) -> Tensor:
    # Among the files with a deciding word.
    return files[verdict < ADJOURN].double().mean()


def overturned(judge: PooledClassifier, struck: Tensor) -> Tensor:
    # Files whose verdict changes when the words `struck` (N, T) are blanked out.
    return judge(ids.where(~struck, BLANK))[0].argmax(-1) != judge(ids)[0].argmax(-1)


judges = {"plain": plain, "hiding": hiding, "no mixing": unmixed}
right, darkest_decides, misled = {}, {}, {}
for name, judge in judges.items():
    logits, weights, _ = judge(ids)
    on_word, correct = (weights * decides).sum(-1), logits.argmax(-1) == verdict
    by_darkest = overturned(judge, weights == weights.amax(-1, keepdim=True))
    cleared = correct & (on_word < 0.01) & overturned(judge, decides) & ~by_darkest
    right[name] = correct.double().mean()
    darkest_decides[name], misled[name] = share(by_darkest), share(cleared)
    print(f"{name:<10}right {right[name]:4.0%}   on word {share(on_word):6.2%}   "
          f"darkest decides {share(by_darkest):4.0%}   misled {misled[name]:4.0%}")  # fmt: skip
claim("misled", "judge trained to hide: files ruled rightly, under 1 % of attention on the deciding "
      "word, whose loss overturns the verdict while that of the most attended word does not",
      misled["hiding"], at_least=0.9, thesis=True)  # fmt: skip
claim("same_accuracy", "judge trained to hide: right verdicts", right["hiding"], at_least=0.98)
claim("plain_points", "plain judge: verdicts overturned by striking the most attended word",
      darkest_decides["plain"], at_least=0.8)  # fmt: skip
claim("mixing_needed", "judge trained to hide as long, words not reading each other: files as in the thesis",
      misled["no mixing"], at_most=0.2)  # fmt: skip

# %% [markdown]
# "On word" is the attention on the deciding word, "misled" the share of files in which the map clears the guilty word. It
# accuses nobody instead: the other nine share the blame about evenly. The plain judge's map passes the test that this one
# fails, strike the darkest word and the verdict falls. So faithfulness belongs to a trained model, not to attention as such.
#
# The penalty alone did not do it: without mixing, the judge keeps looking at the word or, in some seeds, loses the
# verdict. (Trained twenty times as long, that judge too sinks below an even share. A weight multiplies a vector: where
# that is long, a small weight still moves the sum.)
#
# ## Where the word went: one layer below the map
#
# If the pooling hardly reads the word's position, the word must have left it before. Test that by cutting. In the encoder,
# forbid all *other* words to read the deciding one; or leave the encoder alone and forbid the pooling to. Cutting edges is
# how information flow is traced in large models, too {cite:p}`geva2023dissecting`.

# %%
# From here on the files that hold a deciding word, which in `reads` it alone may read: (N, 1, T, T).
ids, verdict, decides = (x[verdict < ADJOURN] for x in (ids, verdict, decides))
reads = torch.eye(T, dtype=torch.bool, device=device) | ~decides[:, None, None]
unread, unpooled = {}, {}
for name in ("plain", "hiding"):
    logits, _, _ = judges[name](ids, reads=reads)
    unread[name] = share(logits.argmax(-1) != verdict)
    logits, _, _ = judges[name](ids, pools=~decides)
    unpooled[name] = share(logits.argmax(-1) != verdict)
    print(f"{name:<8}loses {unread[name]:4.0%} if no other word may read it, "
          f"{unpooled[name]:4.0%} if it is not pooled")  # fmt: skip
claim("two_routes", "verdicts lost to the cut on a judge's own route (plain: pooling, hiding: mixing) minus "
      "those lost to the other cut, worse judge",
      min(unpooled["plain"] - unread["plain"], unread["hiding"] - unpooled["hiding"]), at_least=0.4)  # fmt: skip

# %% [markdown]
# Two judges, one rule, two routes: the plain one's word travels by the pooling weight, the other's along edges that the
# pooling map does not show.
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
    _, weights, maps = judge(ids)
    x, blank = judge.encoder.tokens(ids), judge.encoder.tokens(BLANK)  # (N, T, D), (D,)
    f = judge.margin(ids, verdict, ADJOURN)
    return {
        "attention": weights,
        "rollout": torch.einsum("nt,nts->ns", weights, attention_rollout(maps)),
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

# %% mystnb={"image": {"alt": "Eight maps of one case file of ten words, one map a row. Plain judge: attention, rollout, gradient times input and integrated gradients are all darkest on the word alibi. Hiding judge: attention is dark on all nine other words and white on alibi; its other three maps are darkest on alibi."}} tags=["hide-input"]
file = (verdict == 1).nonzero()[0, 0]  # the first that acquits
rows = {f"{name}: {method}": s[file] for name in scores for method, s in scores[name].items()}
maps = torch.stack([*rows.values()])  # (8, T)
_, ax = plt.subplots(figsize=(6, 3.6))
words = [WORDS[i] for i in ids[file]]
heatmap(ax, (maps / maps.amax(1, keepdim=True)).cpu(), rows=[*rows], columns=words)
ax.tick_params("x", rotation=40)
ax.set_title('Only one map of this file misses "alibi"')
plt.show()


# %%
def first(scores: Tensor) -> Tensor:  # share of files in which the deciding word scores highest
    return decides.gather(1, scores.argmax(1, keepdim=True)).double().mean()


print("hiding judge, verdicts overturned by striking the first 1, 5, 9, 10 words")
for method, scored in scores["hiding"].items():
    curve = gradients.deletion_curve(lambda x: hiding(x)[0].argmax(-1), ids, scored, BLANK)
    changed = (curve != curve[0]).double().mean(1)[[1, 5, 9, 10]]
    print(f"{method:<14}" + "".join(f"{x:6.0%}" for x in changed))
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
# Each row of the figure is a map of one file, scaled to its darkest word. Strike words in the order of the hiding judge's
# attention, and its verdicts hold until the deciding word comes, last of all. Rollout and integrated gradients (IG) follow the
# word in both judges. So does gradient × input in this run, but under some other seeds it misses many files: a slope at $x$
# says little of the climb that led there, not even its sign.
#
# Shuffled weights are a sanity check after {cite:t}`adebayo2018sanity`: a map that survives them was not about the model. Rollout
# does as well as integrated gradients here, since one layer of mixing is just what it undoes.
#
# ## Sums miss interactions, deletion misses substitutes
#
# Take two words, $x$ and $y$, each absent (0, the baseline) or present (1), and both present. "Either, not both", $x + y - 2xy$, is back
# at its baseline's value, so integrated gradients add up to zero, and by symmetry each is zero, though deleting either word flips the
# result; the plain gradient, $1 - 2y = -1$, sees both. "Either", $x + y - xy$, survives each deletion, and both words are guilty;
# integrated gradients give each one half. For rich model classes, methods that are complete and linear, SHAP too, can do no better
# than guessing how the model answers a change {cite:p}`bilodeau2024impossibility`: name the question, then test for it.
#
# ## In a real encoder, the verdict depends on how you cut
#
# Attention and rollout do not see values. If a token has weight $w$ and a zero value vector, taking it out of the weighted sum
# changes nothing; masking it *before* the softmax makes the others grow by $1/(1 - w)$. Real models come close to that.
#
# Take a BERT-type encoder, with maps $(1, 12, T, T)$ for each of its 6 layers. (In `transformers` they come with
# `output_attentions=True` from the eager implementation; the fused one has none to return.) Let
# $f$ be the cosine similarity of two sentences. For each token of the first: replace it by [MASK], empty its
# values in all layers, or cut all edges to it before the softmax.

# %%
real = minilm()
model, target = real.model.requires_grad_(False), real.encode(["Water covered the shore."])
sentence = real.tokenizer.encode("The bank by the river was flooded.")
tokens, ids = sentence.tokens, torch.tensor([sentence.ids])  # (1, T)
words, mask = model.tokens.weight, model.tokens.weight[real.tokenizer.token_to_id("[MASK]")]


def similarity(x: Tensor, readable: Tensor | None = None) -> Tensor:
    # x (B, T, D) in place of the tokens' vectors; readable (B, T): what may be attended to
    hook = model.tokens.register_forward_hook(lambda *_: x)
    hidden = model(ids.expand(len(x), -1), readable)
    hook.remove()
    return F.cosine_similarity(hidden.mean(1), target)


maps, x = model(ids, return_weights=True)[1][:, 0], words[ids]  # (L, H, T, T), (1, T, D)
one = torch.eye(len(tokens), dtype=torch.bool)
received, whole = maps.mean((0, 1, 2)), similarity(x)  # (T,), (1,)
saliency = gradients.integrated_gradients(similarity, x, mask, 8).sum(-1)[0]
copies = x.expand(len(tokens), -1, -1)  # text i loses token i, in three ways
replaced = whole - similarity(copies.where(~one[..., None], mask))
cut = whole - similarity(copies, ~one)


def empty_values(_layer: torch.nn.Module, _input: tuple, qkv: Tensor) -> Tensor:
    # (T, T, 3 · 384): queries, keys, values
    return torch.cat([qkv[..., :768], qkv[..., 768:].masked_fill(one[..., None], 0)], dim=-1)


for block in model.blocks:  # from here on
    block.attention.qkv.register_forward_hook(empty_values)
emptied = whole - similarity(copies)
print("           attention        IG  replaced   emptied       cut")
for token, *numbers in zip(tokens, received, saliency, replaced, emptied, cut, strict=True):
    print(f"{token:<10}" + "".join(f"{number:10.3f}" for number in numbers))
claim("watched", "MiniLM, one sentence: attention that [CLS] gets", received[0], at_least=0.35)
claim("parked", "MiniLM, one sentence, [CLS]: |effect of emptying its values| over that of cutting it off",
      emptied[0].abs() / cut[0], at_most=0.4)  # fmt: skip
claim("sink", "MiniLM, one sentence: effect of cutting [CLS] off over the largest of another token",
      cut[0] / cut[1:].abs().max(), at_least=2)  # fmt: skip
attention_explorer(maps, tokens, title="MiniLM", alt="In middle layers most look at [CLS]")

# %% [markdown]
# Does [CLS], the most watched token, matter? Emptying its values changes almost nothing: heads park weight on special
# tokens, whose transformed vectors are short {cite:p}`kobayashi2020attention`. Cutting it off changes more than any
# other cut, because the softmax then moves its weight to the other tokens, most of whose vectors are longer. And many
# effects are negative: without that word, the sentence comes closer to the other one. (In the explorer, see a middle
# layer.) An intervention, too, answers only the question that its mechanics put. This is one sentence: try yours.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"The darkest word in the map is why the model said so."** Ask for the experiment: *strike that word; what happens?* For the hiding
# judge, nothing. A weight is one factor of two, read off one layer of many.
#
# **"It was settled in 2019: attention is not explanation."** The two papers varied different things.
# {cite:t}`jain2019attention` permuted and replaced the weights of trained recurrent models and left the rest.
# {cite:t}`wiegreffe2019attention` trained whole models toward other maps, which then failed as guides for a simpler
# model, and argued that the answer depends on what an explanation is for. The plain judge's map *is* faithful, by
# deletion and by cut.
#
# **"Gradient saliency shows which parameters matter."** Gradients of parameters train the model; there is one for each
# weight, and none to draw over a word. Saliency is $\partial f/\partial x$ with $x$ the input embeddings, one row a
# token, and $f$ one chosen logit or margin. A plot of the embeddings alone, often named next, shows no decision at all.
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
