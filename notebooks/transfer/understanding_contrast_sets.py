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
#     - self_attention_math
#     - task_metrics
#     question_zh: 模型在测试集上得了 95 分，它真的理解“谁对谁做了什么”吗？
#     short: Contrast sets, semantic roles
#     source: S05
#     tasks:
#     - bio_spans
# ---

# %% [markdown]
# # Your model scores 95 %. Does it understand who did what to whom?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# The score says that it is right on sentences like those it was trained on. A shortcut that holds in that data costs nothing
# there. So I write contrast sets: small edits that change the answer, such as exchanging the two participants, or that
# keep it, such as the passive voice. A sentence counts only if all its versions come out right. A tagger that is perfect on
# held-out active sentences can fail every passive, and one that ignores word order can score ninety-five percent.
#
# :::{dropdown} The two-minute answer
# *What is tested.* Semantic role labeling marks who acts (ARG0), who is acted on (ARG1), the verb and when it happened. It is
# a task with labels, not a way of making a model understand; here it makes visible what a model takes a sentence to say.
#
# *Why the test set is blind.* If hunters chase and the hunted run in 95 % of the sentences, both in training and in the test, then
# "the hunter did it" is right in 95 % of the test. If all sentences are active, "the first noun did it" is always right. The test
# cannot tell these rules from the right one, because on its sentences they agree.
#
# *What a contrast set adds.* Sentences on which the rules disagree: *cats chased dogs*, *cats were chased by dogs*. Members of a
# group differ in known ways, so the group hints at what the model went by. The score is the share of groups that are right as a whole.
#
# *What a failure means.* A model without positions cannot tell *dogs chased cats* from *cats chased dogs*: no data will help. A
# model that could tell them apart and did not learn to needs other data: enough sentences of each kind in which the shortcut is wrong.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: a held-out test from the same source repeats the training data's regularities, so it rewards shortcuts that use them.
# - Junior: semantic role labeling is a task. It takes an encoder, a layer of tag scores, labeled sentences and a way to read spans.
# - Mid: edits that flip the label and edits that keep it; a group counts only if every member is right.
# - Mid: BIO tags can come in an impossible order. Viterbi over the allowed ones mends the form, not the roles.
# - Senior: asked which of the two acts, an order-blind model is right on exactly one of *dogs chased cats* and *cats chased dogs*.
# - Senior: tells a model that cannot see a difference from one that was never shown it, by changing one thing at a time.
# - Senior: compares sentence vectors on candidates with the same words, and does not take a high cosine for agreement.

# %% tags=["hide-input"]
import itertools
import re

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, setup, show
from lmprep.practice import check
from lmprep.pretraining.minilm import minilm
from lmprep.training.loop import fit
from lmprep.training.losses import cross_entropy
from lmprep.training.optim import Adam
from lmprep.transfer import roles
from lmprep.transfer.roles import TAGS, WORDS, Frame, best_valid_tags, bio_spans
from lmprep.transfer.strategies import fit_probe

device = setup()

# %% [markdown]
# ## Dogs chased cats; the cats were not the ones chasing
#
# English says who did it by order, by *were* and by *by*. Take one event and say it four ways: active or passive, and with the two
# participants exchanged. Below each word stands its tag. B begins a span and I goes on with it. ARG0 is the one who acts, ARG1 the one
# acted on. We count the *by* of *by dogs* to the agent and that of *by night* to the time.

# %%
frame = Frame(agent=("old", "dogs"), patient=("cats",), verb="chased", time="night")
versions = tuple(itertools.product((False, True), repeat=2))  # (passive, exchanged)
for passive, exchanged in versions:
    words, tags = (frame.exchanged() if exchanged else frame).say(passive=passive)
    widths = [max(len(word), len(tag)) + 2 for word, tag in zip(words, tags, strict=True)]
    print("".join(map(str.ljust, words, widths)))
    print("".join(map(str.ljust, tags, widths)) + "\n")

# %%
show(Frame.say)

# %% [markdown]
# `exchanged()` swaps the two phrases and keeps everything else, so within one voice both versions consist of the same words, each as often.
# The one thing that differs is who acts.
#
# ## One layer of scores above an encoder: a role labeler
#
# An encoder returns vectors, $(B, T, D)$. A role labeler needs three things on top: a linear layer to $K$ = 9 tags per token, labeled
# sentences, and a loss. (In sentences with several verbs it also needs to be told which verb is meant, say by a marked token.
# Ours have one.)


# %%
show(roles.RoleTagger)


# %%
def train(sentences: roles.RoleBatch, sees_order: bool) -> roles.RoleTagger:
    model = roles.RoleTagger(sees_order, generator(1)).to(device)
    ids, tags = sentences.ids.to(device), sentences.tags.to(device)
    rows = torch.randint(len(ids), (num_steps, 40), generator=generator(3))
    adam = Adam([weight for weight in model.parameters() if weight.requires_grad], lr=0.02)
    fit(model, lambda step: rows[step],
        lambda model, rows: cross_entropy(model(ids[rows]).flatten(0, 1), tags[rows].flatten()),
        optimizer=adam, num_steps=num_steps,
        schedule=lambda step: min((step + 1) / 20, 1 - step / num_steps))  # fmt: skip
    return model


# %% [markdown]
# ## Five training runs, five good scores
#
# The world: dogs, guards or teachers chase, follow or help; cats, thieves or students are chased, followed or helped. The first group acts in
# 95 % of the events. Half of the sentences are passive. From this reference each of the other four runs changes one thing:
#
# - *no word order*: the same sentences, but a model without positions;
# - *typical events*: never a student who helps a teacher;
# - *no passives*: active sentences only. They too contain *were* (in *dogs that were old*) and *by* (in *by night*), so no word of
#   a passive is new to the model;
# - *few passives*: two sentences in a hundred.
#
# Each is tested twice: on new sentences of its own kind, and on groups of four as above.

# %%
# Try: typical = 0.5. Who usually acts then says nothing: the run without word order is right about half
# of the time on its own test, and the first claim breaks. Or num_steps = 30: all still pass their own
# tests, but the reference too goes mostly by who usually acts. The shortcut is learned first.
typical, passive, few, num_steps, num_sentences = 0.95, 0.5, 0.02, 100, 1500

runs = {
    "reference": (typical, passive, True),
    "no word order": (typical, passive, False),
    "typical events": (1.0, passive, True),
    "no passives": (typical, 0.0, True),
    "few passives": (typical, few, True),
}


# %%
def sentences(count: int, typical: float, passive: float, k: int) -> roles.RoleBatch:
    random = rng(k)
    frames = roles.draw_frames(count, typical, random)
    return roles.role_batch(frames, random.random(count) < passive)


@torch.no_grad()
def finds_agent(model, batch: roles.RoleBatch) -> Tensor:
    """(B,): whether the noun that gets more of ARG0, against ARG1, is the one that acts."""
    return roles.first_acts(model(batch.ids.to(device)).cpu(), batch.nouns) == batch.first_acts


contents = roles.draw_frames(120, 1.0, rng(5))
exchanges = {False: contents, True: [frame.exchanged() for frame in contents]}
groups = {
    (voice, swap): roles.role_batch(exchanges[swap], [voice] * 120) for voice, swap in versions
}

models, own, right = {}, {}, {}
for name, (share, voice_share, sees_order) in runs.items():
    models[name] = train(sentences(num_sentences, share, voice_share, 6), sees_order)
    own[name] = finds_agent(models[name], sentences(400, share, voice_share, 7)).double().mean()
    right[name] = torch.stack([finds_agent(models[name], group) for group in groups.values()])
whole = {name: each.all(dim=0).double().mean() for name, each in right.items()}  # of (4, 120)

# %% mystnb={"image": {"alt": "A grid of shares for five training runs. In the first column, the test of the run's own kind, all are near one. In the four columns of the contrast set, the reference is high everywhere: without word order and with typical events most exchanged sentences fail, without passives both passive columns are about zero, and with few passives most exchanged passives fail. The last column, all four versions right, is high for the reference and low or zero for the others."}} tags=["hide-input"]
columns = ["own\ntest", "active", "active,\nexch.", "passive", "passive,\nexch.", "all\nfour"]
values = [[own[name], *right[name].double().mean(dim=1), whole[name]] for name in runs]
_, ax = plt.subplots(figsize=(7.2, 3.9))
ax.imshow(values, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto", alpha=0.65)
for i, j in itertools.product(range(len(runs)), range(len(columns))):
    ax.text(j, i, f"{values[i][j]:.2f}", ha="center", va="center", color="black")
for x in (0.5, 4.5):
    ax.axvline(x, color="black")
ax.set_xticks(range(len(columns)), columns)
ax.set_yticks(range(len(runs)), runs)
ax.grid(False)
ax.set_title("Every run passes its own test; one gets most groups of four right")
plt.show()

# %%
cheaters = [whole[name] for name in ("no word order", "typical events", "no passives")]
pairs = right["no word order"].view(2, 2, -1).sum(dim=1)  # right of two, by voice and event
rare = right["few passives"].double().mean(dim=1)
claim("own_test_is_blind", "lowest of the five scores on a run's own new sentences, share right",
      min(own.values()), at_least=0.9)  # fmt: skip
claim("all_four_tell", "right in all four versions: the reference minus the best of the runs "
      "without word order, untypical events or passives", whole["reference"] - max(cheaters),
      at_least=0.5, thesis=True)  # fmt: skip
claim("one_of_two", "no word order: pairs of a sentence and its exchange with just one right, share",
      (pairs == 1).double().mean(), at_least=1.0)  # fmt: skip
claim("wrong_not_lost", "no passives in training: passive sentences with the right agent, share",
      right["no passives"][2:].double().mean(), at_most=0.1)  # fmt: skip
claim("few_passives_lean", "few passives: typical passives right minus exchanged ones, share",
      rare[2] - rare[3], at_least=0.15)  # fmt: skip

# %% [markdown]
# On sentences of its own kind each run scores about as well as the reference; the one without word order loses just the events in
# which the untypical group acts. The groups tell the runs apart:
#
# - Without word order, each word's vector depends on the word and on which others there are. Exchange the participants, and none of that
#   changes. So the model names the same agent, and is right exactly once in each pair.
# - The run that saw typical events had order to go by, and mostly did not use it. Knowing who usually acts is enough for all that it was shown.
# - Without passives, nearly all passives are wrong, not half of them. The run behaves as if it had learned "the first noun acts", which
#   is right for all that it saw. It could as well be "the noun before the verb acts": in these sentences the two rules agree.
# - Two percent of 1,500 sentences are about thirty passives, too few to learn the passive well. Most typical ones come out right
#   because who usually acts is right there. In an exchanged passive it is wrong, and most of those fail:
#   on average, 1.5 of the thirty are exchanged.
#
# ## MiniLM puts the opposite next to the sentence
#
# Did a real pretrained encoder learn the difference? Compare a sentence with two passives: the one that says the same and the
# one that says the opposite. Both consist of the same words, so word overlap cannot decide. Vectors that go by who did what to whom put the first one closer.

# %%
encoder = minilm()
vectors = {}
for voice, swap in ((False, False), (True, False), (True, True)):
    texts = [" ".join(f.say(passive=voice)[0]) for f in exchanges[swap][:60]]
    vectors[voice, swap] = encoder.encode(texts)
cosine = {key: (vectors[False, False] * other).sum(dim=1) for key, other in vectors.items()}
print(f"passive, the same: mean cosine {cosine[True, False].mean():.3f}")
print(f"passive, opposite: mean cosine {cosine[True, True].mean():.3f}")


# %%
@torch.no_grad()
def states(batch: roles.RoleBatch) -> Tensor:
    """(B, T, 384): MiniLM's vector at each word. All are single pieces; [CLS] is first."""
    texts = [" ".join(WORDS[i] for i in row if i) for row in batch.ids.tolist()]
    ids, mask = encoder.read(texts)
    return encoder.model(ids, mask)[:, 1 : batch.ids.size(1) + 1]


def nouns(count: int, voice: bool, k: int) -> tuple[Tensor, Tensor]:
    """Of events in which either group acts: vectors of both nouns, (B, 2, 384), and who acts."""
    batch = roles.role_batch(roles.draw_frames(count, 0.5, rng(k)), [voice] * count)
    acts = torch.stack([batch.first_acts, ~batch.first_acts], dim=1).long()  # (B, 2)
    return states(batch)[torch.arange(count)[:, None], batch.nouns], acts


taught, asked = (
    [nouns(count, voice, k) for voice in (False, True)] for count, k in ((60, 8), (40, 9))
)
probed = {}
for kind, lessons in (("actives", taught[:1]), ("both", taught)):
    features, labels = map(torch.cat, zip(*lessons, strict=True))
    probe = fit_probe(features.flatten(0, 1), labels.flatten(), 2, penalty=0.001)
    for voice, (vectors_of_two, acts) in zip(("actives", "passives"), asked, strict=True):
        odds = probe(vectors_of_two).diff(dim=2)[:, :, 0]  # (B, 2), of acting
        probed[kind, voice] = (odds.argmax(dim=1) == acts.argmax(dim=1)).double().mean()
    print(f"a layer on MiniLM, taught {kind:7}: right in {probed[kind, 'actives']:.2f} "
          f"of actives, {probed[kind, 'passives']:.2f} of passives")  # fmt: skip

opposite_wins = cosine[True, True] > cosine[True, False]
claim("opposite_is_closer", "MiniLM, two passives of the same words: the opposite is closer to the "
      "active than the paraphrase, share", opposite_wins.double().mean(), at_least=0.65)  # fmt: skip
claim("actives_do_not_teach_passives", "a layer on frozen MiniLM, taught actives: agent found, actives "
      "minus passives", probed["actives", "actives"] - probed["actives", "passives"], at_least=0.5)  # fmt: skip
claim("passives_teach_passives", "the layer on frozen MiniLM, passives: agent found when taught both "
      "voices minus when taught actives", probed["both", "passives"] - probed["actives", "passives"],
      at_least=0.4)  # fmt: skip

# %% [markdown]
# MiniLM mostly prefers the passive that has the participants in the same order. That does not show that the roles are nowhere in it: this vector
# was trained so that texts on the same matter are close, and *dogs chased cats* and *cats chased dogs* are. It shows that a high cosine
# is no agreement on who did it, a reason not to use it alone for deduplicating claims or checking facts.
#
# The last two lines ask the vectors of the nouns instead: does this one act? Taught actives alone, a linear layer gets nearly all
# passives wrong, like the small model: "the first noun acts" was enough for its labels. Taught passives too, it gets most of them right. So the frozen
# vectors hold much of what a passive takes, and labels on actives did not bring it out.
#
# ## A valid sequence is not a right one
#
# The head scores each token alone, so nothing keeps `I-ARG0` from following `O`. Two remedies. Read leniently: an I without its B begins a
# span; so do CoNLL-2003's `conlleval` and seqeval by default. Or decode under constraints: Viterbi, as in [HMM and CRF](../foundations/hmm_vs_crf), with $-\infty$
# for what BIO forbids. Scores count spans: label and both ends must match.

# %%
show(bio_spans, roles.bio_transitions, best_valid_tags)


# %%
f1, group = {}, groups[True, False]  # typical passives
actual = [[TAGS[t] for t in row[row >= 0]] for row in group.tags]
for name in ("no word order", "no passives"):
    with torch.no_grad():
        logits = models[name](group.ids.to(device)).cpu()
    ways = {"argmax": logits.argmax(dim=2), "Viterbi": best_valid_tags(logits, group.mask)}
    for way, best in ways.items():
        found = [
            [TAGS[t] for t in row[real]] for row, real in zip(best, group.mask, strict=True)
        ]
        f1[name, way] = roles.span_scores(found, actual).f1
        invalid = 1 - sum(map(roles.is_valid_bio, found)) / len(found)
        print(f"{name:13} {way:7}  invalid {invalid:.2f}   span F1 {f1[name, way]:.2f}")

scores = torch.randn(1, 4, len(TAGS), generator=generator(9), dtype=torch.float64)
allowed = re.compile(r"(O |B-(\S+) (I-\2 )*)*")  # each I goes on with the label before it
paths = [path for path in itertools.product(range(len(TAGS)), repeat=4)
         if allowed.fullmatch("".join(TAGS[t] + " " for t in path))]  # fmt: skip
best = max(paths, key=lambda path: sum(scores[0, t, k].item() for t, k in enumerate(path)))
agrees("valid_viterbi", "the best of all valid sequences of four tags, by enumeration",
       best_valid_tags(scores, torch.ones(1, 4).bool())[0], torch.tensor(best), atol=0)  # fmt: skip
claim("constraint_lends_order", "passives, run without word order: span F1 by Viterbi minus argmax",
      f1["no word order", "Viterbi"] - f1["no word order", "argmax"], at_least=0.15)  # fmt: skip
claim("valid_is_not_right", "passives, run without passives: span F1 by Viterbi minus argmax",
      f1["no passives", "Viterbi"] - f1["no passives", "argmax"], at_most=0.12)  # fmt: skip

# %% [markdown]
# Both runs tag most of these typical passives in an impossible order, and Viterbi ends that. What it is worth differs. The run without word
# order mostly has the right nouns, as typical actors act here. But it gives the two *by* of a sentence the same scores, so it cannot say where each span
# begins; the transitions know order, and supply some. The run without passives gives the roles to the wrong nouns, and valid spans with wrong
# labels stay wrong.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"To improve understanding, run semantic role labeling on the text."** Labeling is a task, and running it changes no model. A common
# snippet calls `BertModel` and stops there. What comes out has shape `(1, T, 768)`: vectors, no tags. The layer
# above, the labels, the mark on the verb and the decoding are all missing. Role labels can serve as an extra training signal; whether that helps needs a
# measurement.
#
# **"It got 95 % on held-out data, so it generalizes."** It does, to that data. People who say this often hold out at random, which
# makes the test a copy of the training distribution. Ask which rule simpler than the intended one would also get 95 %, and then for ten
# sentences on which the two disagree.
#
# **"Distill a large model into it, and it will understand more."** *More than what?* A student can do better than it would on labels alone.
# The teacher's answers on the same kind of sentences carry the teacher's shortcut along: if neither saw a passive, soft labels on
# actives say nothing about passives.
#
# **"The embedding has a high cosine with the reference, so the meaning is kept."** Cosines have no absolute scale, and MiniLM's are high for
# any two sentences on the same dogs and cats. Compare with the cosine of a sentence that says the opposite in the same words.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Contrast set, adversarial set, challenge set: what is the difference?
# A contrast set takes test sentences and edits each a little, typically so that the answer changes, whatever any model says. Built by hand
# for ten data sets, they cost models up to 25 % of performance {cite:p}`gardner2020contrast`. An adversarial set is searched for against a given model. A challenge set, such as HANS, is
# written for one phenomenon {cite:p}`mccoy2019hans`.
# :::
#
# :::{dropdown} Does BERT use word order at all?
# Less than one would think, on common benchmarks: pre-trained on sentences with shuffled words and then fine-tuned, it lost little on many of them
# {cite:p}`sinha2021order`. But shuffling whole words left traces of their order, and other tasks do need order, often more than
# fine-tuning can supply {cite:p}`abdou2022order`.
# :::
#
# :::{dropdown} Does pretraining help, then?
# It helps to generalize from few counterexamples. With hardly any, pretrained models did as badly on challenge sets as
# models trained from scratch {cite:p}`tu2020spurious`. Our layer on frozen MiniLM, shown none, fails as well.
# :::
#
# :::{dropdown} You add the contrast set to the training data. Solved?
# For that edit, often. Fine-tuning on a few challenge examples tells you which it was: a gap in the data, if both tests end well; a
# weakness of the model, if the challenge stays hard; or the model now fits the challenge set's own quirks, and the original test suffers
# {cite:p}`liu2019inoculation`. Keep edits of another kind for testing.
# :::
#
# :::{dropdown} How would you build such a suite for a product?
# A table of abilities against kinds of test: sentences a model must get right, edits that must not change the answer (names, paraphrases),
# edits that must change it in a known direction (negation). Templates fill each cell with hundreds of cases {cite:p}`ribeiro2020checklist`. Report cells,
# not their mean: the mean hides the failing one.
# :::
#
# :::{dropdown} Is passing all four versions understanding?
# No more than it says: this model assigns these roles in these constructions. It has not met *the cats the dogs chased* or a verb it does not know. A test
# can refute a claim about understanding; passing one narrows what is left to refute.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} bio_spans
# ```


# %%
def bio_spans(tags: list[str]) -> list[tuple[str, int, int]]:
    """The spans that BIO tags mark: (label, start, end), end excluded, from left to right.

    tags: "O", or "B-" or "I-" and a label, in any order.
    """
    raise NotImplementedError


check("bio_spans", bio_spans)

# %% [markdown]
# ```{solution} bio_spans
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`gardner2020contrast`: contrast sets. {cite:t}`mccoy2019hans`: right for the wrong reasons. {cite:t}`ribeiro2020checklist`: tests of behavior.
# - {cite:t}`gildea2002srl`, {cite:t}`palmer2005propbank`, {cite:t}`carreras2005conll`: semantic roles, their annotation, their scoring.
# - {cite:t}`tu2020spurious`, {cite:t}`liu2019inoculation`: what counterexamples do.
# - {cite:t}`sinha2021order`, {cite:t}`abdou2022order`: word order and benchmarks.
