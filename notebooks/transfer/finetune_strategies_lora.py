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
#     - self_attention_math
#     question_zh: 描述一种语言模型的迁移学习方法。
#     short: Freeze, fine-tune or LoRA
#     source: S08
#     tasks:
#     - lora_linear
# ---

# %% [markdown]
# # Freeze, full fine-tune or LoRA — with 18 labelled sentences?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Freeze first: fit a linear head, and look at every layer, not only the last. If that falls short, tune, starting from
# that head. Eighteen labels do not rule tuning out. Here LoRA beats the frozen last layer on subjects never seen, in
# most draws of the labels, and full fine-tuning gains as much: it is the encoder that improves, not the head. LoRA
# trains under a percent of the numbers and comes off again. While it is on, it can forget too.
#
# :::{dropdown} The two-minute answer
# Transfer means: keep what pre-training learned, and let few labels say what it is for. The strategies differ in what the
# labels may change. *Frozen*: only a head, $K(D+1)$ numbers. *Full*: everything. *LoRA*: each chosen weight $W$ of shape
# (out, in) becomes $W + \frac{\alpha}{r}BA$, with $W$ frozen, $A$ of shape $(r, \text{in})$ and $B$ of shape $(\text{out}, r)$.
#
# $B$ starts at zero, so the tuned model starts as the base, and $A$ does not, so that $B$ gets a gradient. After
# training, $BA$ can be added to $W$: no extra arithmetic at inference. Or it stays apart, a small file per task, one
# base for all.
#
# With few labels the number of trained parameters says little. Where they start matters, at a good encoder and a head that
# already fits it: a random head sends its first gradients into the encoder before it means anything. And how far they go.
#
# A frozen last layer fails where its training did not want the label. A sentence encoder is trained to bring paraphrases
# together, so the subject fills its vector. Lower layers may still have what the last one dropped, and a little tuning
# brings it back. A lot of tuning costs what the vector was good for. So stop early, measure that too, and keep the base.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: names the three strategies, says what each trains, and tries the cheapest first.
# - Junior: knows that a classifier loaded from a base checkpoint has a random head.
# - Mid: writes LoRA's update with shapes and scale, counts its parameters, and says why exactly one factor starts at zero.
# - Mid: merging costs nothing at inference; what LoRA saves in training is gradients and optimizer state, not the forward pass.
# - Mid: repeats over draws of the training set; with eighteen labels one split proves little.
# - Senior: does not equate trainable parameters with overfitting; names the starting point and how far one moves from it.
# - Senior: probes other layers before tuning, starts tuning from the probe's head, and measures what the base could do before.

# %% tags=["hide-input"]
import copy
from statistics import mean

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, setup, show
from lmprep.practice import check
from lmprep.pretraining.lora import LoRALinear, add_lora, remove_lora
from lmprep.pretraining.minilm import minilm
from lmprep.training.losses import cross_entropy
from lmprep.transfer import strategies
from lmprep.transfer.strategies import LABELS, UPDATES, count_trainable, fine_tune, messages

device = setup()

# %% [markdown]
# ## Eighteen sentences on the table, three colleagues, one evening
#
# Status messages are to be sorted: is the thing done, under way or planned? Six subjects have been labelled, three messages each.

# %%
draws = torch.randperm(len(UPDATES), generator=generator(1))[:18].view(3, 6).tolist()
unseen = [sorted(set(range(len(UPDATES))) - set(draw)) for draw in draws]  # 14 subjects each
for row in (map(str.upper, LABELS), *(UPDATES[subject] for subject in draws[0])):
    print("".join(f"{cell:<36}" for cell in row))

# %% [markdown]
# The test sentences are about fourteen other subjects. Besides function words they share nothing with the table,
# so a content word that is merely memorized helps nobody.
#
# *Ana:* freeze the encoder and fit a linear head. A thousand parameters are all that eighteen labels can pay for. *Ben:*
# fine-tune all of it; it knows English, let it use what it knows. *Chiara:* LoRA. So few parameters can neither overfit nor
# forget. Which do you run tonight? Each is wrong about something.
#
# ## LoRA starts as its base, and A waits one step for B
#
# Around a frozen linear layer with weight $W$ and bias $b$, for an input $x$ of width in and an output of width out,
#
# $$
# y = W x + b + \frac{\alpha}{r}\, B A x, \qquad A: (r, \text{in}), \quad B: (\text{out}, r),
# $$
#
# with rank $r$ much smaller than both widths and a constant $\alpha$; dividing by $r$ is meant to spare a new search for the
# learning rate when $r$ changes {cite:p}`hu2022lora`. Only $A$ and $B$ are trained. With $g = \partial L/\partial y$,
#
# $$
# \frac{\partial L}{\partial B} = \frac{\alpha}{r}\, g\, (A x)^\top, \qquad
# \frac{\partial L}{\partial A} = \frac{\alpha}{r}\, B^\top g\, x^\top .
# $$
#
# At $B = 0$ the model is its base, $A$'s gradient is zero, and $B$ moves first. Were both zero, neither would ever move.

# %%
show(LoRALinear.forward, LoRALinear.merge, LoRALinear.unmerge)

# %%
base = nn.Linear(12, 7, dtype=torch.float64)
layer = LoRALinear(copy.deepcopy(base), rank=3, alpha=5.0)
layer.B.data = torch.randn(7, 3, generator=generator(2)).double()  # as if trained
x = torch.randn(2, 5, 12, generator=generator(5)).double()
dense = base.weight + 5 / 3 * layer.B @ layer.A  # (7, 12)
expected = F.linear(x, dense, base.bias)
agrees("lora_layer", "one dense matrix, W + α/r · BA", layer(x), expected, atol=1e-12)
layer.merge()
layer.merge()  # the second does nothing
agrees("merged_layer", "the same matrix", layer.base.weight, dense, atol=1e-12)

# %% [markdown]
# (`LoraConfig` and `get_peft_model` of Hugging Face's `peft` make the same layer; the book's tests hold one against the other.)
#
# Now a real encoder: MiniLM, six layers of width 384, 22.6 million parameters, with an adapter in each layer, on the one
# projection to queries, keys and values. By hand, LoRA has 6 · 4 · (384 + 3 · 384) = 36,864
# numbers; its head adds 3 · 385. One step tells what else the formulas predict.

# %%
# Try: shuffled = True, which deals the eighteen labels out at random. A head can still fit
# them, but nothing is learned for other subjects, and the thesis breaks.
shuffled = False
names, rank, alpha = ["attention.qkv"], 4, 8.0
settings = {"full": {"rate": 3e-4, "num_steps": 2}, "LoRA": {"rate": 1e-2, "num_steps": 5}}

encoder = minilm()
checkpoint = copy.deepcopy(encoder.model.state_dict())
model = strategies.SentenceClassifier(encoder, len(LABELS), generator=generator(3)).to(device)
whole, word_vectors = count_trainable(model), encoder.model.tokens
strategies.freeze(word_vectors)
trained = {"head": count_trainable(model.head), "full": count_trainable(model)}

strategies.freeze(model.encoder)
adapters = add_lora(model.encoder, names, rank=rank, alpha=alpha, generator=generator(4))
trained["LoRA"] = count_trainable(model)
cross_entropy(model(UPDATES[0]), torch.arange(3, device=device)).backward()
a_moves, b_moves = (max(p.grad.abs().max() for p in adapters[k::2]) for k in (0, 1))
remove_lora(model.encoder)
print(
    f"Of {whole:,} numbers",
    "LoRA trains {LoRA:,}, full {full:,}, a head {head:,}".format(**trained),
)

# %%
claim("a_waits", "first step of LoRA: largest absolute gradient of any A",
      a_moves, at_least=0, at_most=0)  # fmt: skip
claim("b_moves", "first step of LoRA: largest absolute gradient of any B", b_moves, above=1e-4)

# %% [markdown]
# ## Tuning improves the vectors of subjects that it never saw
#
# Five runs, for each of three training sets without a common subject: counted words (TF–IDF); a linear head on the frozen
# encoder, on the mean token of its last layer or on the average of all layers; LoRA; full fine-tuning. Heads on frozen
# features are the exact optimum of a convex problem, and the tuned runs start from Ana's. Below is what a snippet that loads a
# checkpoint still lacks before it may be called fine-tuning: labels, a loss, an optimizer, steps. Full means every layer: the
# table of word vectors, half of the model, rests, as nearly all of its rows are of words that eighteen sentences do not hold.
#
# A tuned model has a new encoder and a new head. To see which of them helps, it is also scored with Ana's head,
# unchanged. And what are its vectors about? Look at the part of their variance that lies between labels, and the part
# between subjects. Pure noise has such parts too: of 42 random vectors, 14 groups of three would show 13/41 of the
# variance between them, and three groups 2/41.

# %%
show(fine_tune)

# %%
arms = ("counted words", "frozen, last layer", "frozen, all layers", "LoRA", "full")
results, anas_head, heads = ({arm: [] for arm in arms} for _ in range(3))


def tune(arm: str, sentences: list[str], labels: torch.Tensor, draw: int) -> None:
    remove_lora(model.encoder)
    model.encoder.load_state_dict(checkpoint)
    model.encoder.requires_grad_(arm == "full")
    strategies.freeze(word_vectors)
    if arm == "LoRA":
        add_lora(model.encoder, names, rank=rank, alpha=alpha, generator=generator(10 + draw))
    parameters = [weight for weight in model.encoder.parameters() if weight.requires_grad]
    model.head.load_state_dict(heads["frozen, last layer"].state_dict())
    fine_tune(model, sentences, labels, parameters, head_rate=3e-4, **settings[arm])


@torch.no_grad()
def accuracy(head: nn.Linear, features: torch.Tensor, answers: torch.Tensor) -> float:
    return (head(features).argmax(dim=1) == answers).double().mean().item()


def measure(arm: str, head: nn.Linear, features: torch.Tensor, answers: torch.Tensor) -> None:
    shares = strategies.variance_shares(features, len(LABELS))
    results[arm].append((accuracy(head, features, answers), *shares))


everything, _ = messages(range(len(UPDATES)))
last, every = (model.embed(everything, every_layer=every) for every in (False, True))
for draw, subjects in enumerate(draws):
    sentences, labels = messages(subjects, device=device)
    others, answers = messages(unseen[draw], device=device)
    if shuffled:
        labels = labels[torch.randperm(len(labels), generator=generator(20 + draw))]
    words = strategies.tfidf(everything, sentences).to(device)
    for arm, table in zip(arms, (words, last, every), strict=False):
        table = table.unflatten(0, (-1, len(LABELS)))  # (20, K, D)
        x, y = (table[rows].flatten(0, 1) for rows in (subjects, unseen[draw]))
        heads[arm] = strategies.fit_probe(x, labels, len(LABELS))
        trained[arm] = count_trainable(heads[arm])
        measure(arm, heads[arm], y, answers)
    for arm in settings:
        tune(arm, sentences, labels, draw)
        features = model.embed(others)
        measure(arm, model.head, features, answers)
        anas_head[arm].append(accuracy(heads["frozen, last layer"], features, answers))

means = {arm: [mean(column) for column in zip(*results[arm], strict=True)] for arm in arms}
print(f"{'means, unseen subjects':<24}accuracy   label's share   subject's share")
for arm, row in (means | {"vectors of pure noise": [1 / 3, 2 / 41, 13 / 41]}).items():
    print(f"{arm:<24}" + "{:<11.2f}{:<16.2f}{:.2f}".format(*row))

# %% mystnb={"image": {"alt": "Accuracy on unseen subjects, one column a strategy, with the number of trained parameters below each, and one line a draw of the labels through all columns. Each line is lowest or nearly so at the frozen last layer and higher at the average of all layers, at LoRA with tens of thousands of parameters and at full fine-tuning with eleven million. The means of these two are level."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(7.2, 3.8))
accuracies = torch.tensor([[row[0] for row in results[arm]] for arm in arms])  # (5, draws)
ax.axhline(1 / 3, color="#666666", linestyle=":", linewidth=1.2, label="chance")
ax.plot(accuracies, "o-", color="C0", markersize=4, linewidth=1, alpha=0.5)
ax.plot(accuracies.mean(1), "D", color="C1", markersize=8, label="mean of the three draws")
ax.set_xticks(range(5), [arm.replace(", ", "\n") + f"\n{trained[arm]:,}" for arm in arms])
ax.set(ylim=(0.28, 1.0), xlabel="trained parameters", ylabel="accuracy on unseen subjects",
       title="Draw by draw, tuning beats the frozen last layer")  # fmt: skip
ax.legend(loc="lower left", bbox_to_anchor=(0, 0.1))
plt.show()

# %%
counted, base, layers, lora, full = (means[arm] for arm in arms)
claim("encoder_improves", "18 labels, other subjects: one unchanged head on LoRA's vectors, accuracy minus frozen (or chance)",
      mean(anas_head["LoRA"]) - max(base[0], 1 / 3), at_least=0.04, thesis=True)  # fmt: skip
claim("draws_that_gain", "18 labels, other subjects: draws, of three, in which LoRA beats the frozen last layer",
      (accuracies[3] > accuracies[1]).sum(), at_least=2)  # fmt: skip
claim("full_gains_too", "18 labels, other subjects: accuracy of full fine-tuning minus frozen last layer",
      full[0] - base[0], at_least=0.05)  # fmt: skip
claim("size_does_not_decide", "18 labels, other subjects: accuracies of full fine-tuning and LoRA apart by",
      abs(full[0] - lora[0]), at_most=0.12)  # fmt: skip
claim("other_layers_hold_more", "18 labels, frozen MiniLM: accuracy on the average of all layers minus the last",
      layers[0] - base[0], at_least=0.02)  # fmt: skip

# %% [markdown]
# Ana is right to begin with a head, and wrong about the vector. On its last layer she does about as well as counting function
# words. The encoder was trained to bring paraphrases together, and whether the tap *was* fixed or *will be* hardly moves
# that vector. The average of all layers, frozen too and with as few parameters, does better: what the label needs was there.
#
# Ben and Chiara are level, above her last layer, though not in every draw above her average of all layers. A thousand
# numbers fit any eighteen labels; beyond that, size is not what counts. Nor is it the head: Ana's own gains as much on
# the tuned vectors. On subjects that they never saw, the label's share of the variance has multiplied. That share is
# not accuracy, though. Counted words have more of it, and the average of all layers hardly more than the last: a head
# finds even a small direction, if it is the same for all subjects.
#
# Two cautions. Steps and rates were chosen on these sixty sentences, which favors the tuned runs; eighteen labels alone
# would not have shown them to you. And where the label is close to what the encoder was trained for, expect the frozen
# head to win more often: which is better depends on how alike the two tasks are {cite:p}`peters2019tune`.
#
# ## LoRA forgets if it goes far; what it can do is come off
#
# What does the gain cost? Take twelve pairs of paraphrases about none of this: of the other side, is each sentence's partner
# the nearest? The last adapter is still on. Its scale is a knob: 0 is the base, 1 the tuned model, 3 one that goes three times
# as far in the same direction. Then merge it, and take it off.

# %%
learned = [module for module in model.modules() if isinstance(module, LoRALinear)]
matched = {}
print("strength   accuracy, unseen subjects   paraphrases matched")
for strength in (0, 1, 3):
    for adapter in learned:
        adapter.scale = strength * alpha / rank
    matched[strength] = strategies.paraphrase_accuracy(encoder)
    gained = accuracy(model.head, model.embed(others), answers)
    print(f"{strength:<11}{gained:<28.2f}{matched[strength]:.2f}")

apart = model.embed(sentences[:6])
for adapter in learned:
    adapter.merge()
difference = (model.embed(sentences[:6]) - apart).norm(dim=1) / apart.norm(dim=1)
remove_lora(model.encoder)
left = model.encoder.state_dict()
differ = sum((left[name] != entries).sum().item() for name, entries in checkpoint.items())

claim("forgets_too", "LoRA at triple strength: share of MiniLM's paraphrases that are lost, base frozen",
      matched[0] - matched[3], at_least=0.2)  # fmt: skip
claim("gains_before_it_forgets", "LoRA as trained: share of MiniLM's paraphrases that are lost",
      matched[0] - matched[1], at_most=0.2)  # fmt: skip
claim("merged_is_unmerged", "LoRA merged or not: largest relative difference of a sentence vector, float32",
      difference.max(), at_most=1e-5)  # fmt: skip
claim("removal_is_exact", "entries of the encoder that differ from the checkpoint after LoRA is removed",
      differ, at_least=0, at_most=0)  # fmt: skip

# %% [markdown]
# As trained, Chiara's adapter gains and loses few pairs. Tripled, it loses most of the gain and much of what MiniLM could do, frozen
# base or not: what the layer computes is the sum. But her base comes back bit for bit:
# `merge` kept a copy, since subtracting $BA$ again would leave rounding. Ben needs a checkpoint.
#
# Tonight, then: Ana's head, on all layers. If that is not enough, Chiara's adapter, started from a head that fits, and taken
# off whenever the base is asked for something else.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Eighteen labels, millions of parameters: full fine-tuning must overfit."** It does not lose to the head above. Even
# the head has more parameters than there are labels, and fits them perfectly. Count less, and ask where training
# starts, how far it goes, and what a held-out subject says. On your data it may well lose: measure it.
#
# **"LoRA cannot forget: the base is frozen."** The base is frozen, but what the sum computes is not. Run the old task
# *with the adapter on*. At the scale of language models LoRA did forget less than full fine-tuning, and usually learned
# less {cite:p}`biderman2024lora`. That is an observation; only the way back is guaranteed.
#
# **"A and B start at zero, so that nothing changes at first."** Write down the gradient of $A$ when $B = 0$, and of $B$ when $A = 0$. Both
# vanish, so both stay at zero for good. One factor is zero, the other is not.
#
# **"I load the checkpoint with `BertForSequenceClassification` and predict; the warning is noise."** Ask which file its
# last matrix came from. None: from a base checkpoint only the encoder is loaded, and the warning lists the weights drawn at
# random. Fine-tuning needs labels, a loss and an optimizer; one forward pass is not it.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why is B zero and A random, rather than the other way round?
# Either way $BA = 0$, and either way one factor waits for the other. They are not equivalent: in theory and experiment a random $A$
# with $B = 0$ allows larger learning rates and does better on average {cite:p}`hayou2024impact`.
# :::
#
# :::{dropdown} What does LoRA save, in bytes?
# Gradients and optimizer state. AdamW in float32 keeps 4 bytes of weight, 4 of gradient and 8 of moments for each trained number:
# 16 bytes times 7 billion is 112 GB. With LoRA the last 12 shrink to almost nothing, leaving 28 GB of frozen weights. Activations
# mostly stay, because gradients must still travel back to the lowest adapter.
# :::
#
# :::{dropdown} And at inference?
# Merged, nothing: the shapes are the base's. Unmerged, two thin products a layer, in exchange for serving many tasks from one
# copy of the base. In low precision, merging rounds $W + \Delta W$ once more, so test the merged model.
# :::
#
# :::{dropdown} Which layers, and what rank?
# For a fixed number of parameters {cite:t}`hu2022lora` found query and value together better than one of them at a higher rank;
# {cite:t}`biderman2024lora` advise all linear layers. Small ranks often do when the task is close to what the base can
# do; learning much that is new takes more.
# :::
#
# :::{dropdown} Why is LoRA's learning rate so much higher than full fine-tuning's?
# Adam moves each trained number by about $\eta$ in the first step. That moves an entry of $\Delta W$ by about
# $\frac{\alpha}{r}\,\eta\sqrt{r/\text{in}}$ when $A$ has entries of variance $1/\text{in}$: here $2\,\eta\sqrt{4/384}$, a fifth
# of $\eta$. Full fine-tuning also moves every matrix, here six a layer and not two, so equal moves add up to more.
# :::
#
# :::{dropdown} What is linear probing, then fine-tuning, for?
# A random head sends gradients into the encoder before it is right, and they distort features that were good. Fitted first, it
# leaves less to do. On ten data sets with a distribution shift, plain fine-tuning did worse out of distribution than a
# frozen probe, and probe-then-tune better than both {cite:p}`kumar2022fine`.
# :::
#
# :::{dropdown} And QLoRA?
# The frozen base is stored in 4 bits and dequantized on the fly; gradients pass through it to adapters in 16 bits
# {cite:p}`dettmers2023qlora`. It attacks the term that LoRA leaves, the frozen weights.
# :::
#
# :::{dropdown} What else would you try with a sentence encoder and eighteen labels?
# SetFit: pairs with equal and with different labels train the encoder contrastively, then a head is fitted
# {cite:p}`tunstall2022efficient`. Eighteen sentences make 153 pairs. With thousands of *unlabeled* messages, continue pre-training on
# them first, as ULMFiT does {cite:p}`howard2018universal`; that, or self-training, is semi-supervised learning, which goes well with
# transfer and is not the same.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} lora_linear
# ```

# %%
import torch
from torch import nn


class LoRALinear(nn.Module):
    """y = base(x) + (alpha / rank) · B A x, with the base frozen.

    base: nn.Linear, with or without bias; kept as self.base.
    self.A: parameter (rank, in), random. self.B: parameter (out, rank), zero.
    x: (…, in) to (…, out). merge() and unmerge() change base.weight, in place.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def merge(self) -> None:
        raise NotImplementedError

    def unmerge(self) -> None:
        raise NotImplementedError


check("lora_linear", LoRALinear)

# %% [markdown]
# ```{solution} lora_linear
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`hu2022lora`: LoRA. {cite:t}`hayou2024impact`: which factor starts at zero. {cite:t}`dettmers2023qlora`: on a 4-bit base.
# - {cite:t}`biderman2024lora`: what LoRA learns and forgets, at scale.
# - {cite:t}`kumar2022fine`: probe, then tune. {cite:t}`peters2019tune`: frozen or tuned depends on how close the tasks are.
# - {cite:t}`howard2018universal`: ULMFiT. {cite:t}`tunstall2022efficient`: SetFit.
