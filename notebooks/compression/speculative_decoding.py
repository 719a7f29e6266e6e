# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 3
#     level: 3
#     needs:
#     - decoding_autoregressive
#     question_zh: 如何进行语言模型的推理优化？
#     short: Speculative decoding
#     source: S24
#     tasks:
#     - speculative_accept
# ---

# %% [markdown]
# # Can you decode two or three times faster without changing the output's distribution, and prove it?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Yes, with speculative decoding. A cheap draft model samples a few tokens, and the large target scores them in one pass.
# Keep each with probability target over draft, capped at one. Replace the first rejected token by a draw from target
# minus draft, negatives cut and normalized, and drop what follows; if all survive, sample one more. The output has
# exactly the target's distribution; a bad draft only costs time. The gain comes from passes that wait for memory, and
# a large batch can turn it into a loss.
#
# :::{dropdown} The two-minute answer
# At one place in the text, let the target's next-token distribution be $p$ and the draft's $q$. Token $x$ comes out in two ways. Either it
# is drafted and kept: $q(x)\min(1, p(x)/q(x)) = \min(p(x), q(x))$. Or something was rejected, with probability
# $\delta = 1 - \sum_y \min(p(y), q(y))$, and $x$ is the replacement: $\delta$ times $(p(x) - q(x))_+/\delta$, where
# $(\cdot)_+$ sets negative numbers to zero and $\sum_y (p - q)_+(y) = \delta$. The sum is $\min(p, q) + (p - q)_+ = p$.
# After a kept token the same holds at the next place, given the longer prefix. After a rejection the remaining drafts
# continue a prefix that was never written, so they go. By induction whole texts have the target's law.
#
# A place's acceptance probability is $a = \sum_y \min(p, q) = 1 - \mathrm{TV}(p, q)$, where total variation TV is half the sum of
# $|p - q|$. With $k$ drafts, kept independently with the same probability, a target call yields
# $1 + a + \dots + a^k = (1 - a^{k+1})/(1 - a)$ tokens and takes $1 + kc$ times as long as a plain one, where $c$ is the draft's time
# for a token over the target's. This supposes that a pass over $k + 1$ tokens takes as long as a pass over one. It nearly does while the pass
# waits for the [weights to be read](kv_cache_inference). Once a large batch keeps the arithmetic units busy, $k + 1$ tokens cost about $k + 1$ times as much.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: the draft proposes $k$ tokens, one target pass scores all, and each pass yields at least one token.
# - Junior: the rule: keep with $\min(1, p/q)$, else draw from $(p - q)_+$ normalized, drop what follows; all kept: a bonus token.
# - Mid: proves it in a line, and says what goes wrong when the replacement is drawn from $p$.
# - Mid: acceptance is $1 - \mathrm{TV}$; tokens per call $(1 - a^{k+1})/(1 - a)$, divided by $1 + kc$ for the speed-up.
# - Mid: $q$ must be what the draft was really drawn from; temperature and top-p on $p$ define what is sampled exactly.
# - Senior: the formula supposes independent acceptances; says which way stretches of easy and hard text move it.
# - Senior: when it slows down (large batch, costly or poor draft), and that rejected tokens must leave the KV cache.

# %% tags=["hide-input"]
import copy
import itertools
import re
from functools import partial
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from lmprep.architectures.generate import generate
from lmprep.architectures.transformer import GPT, GPTConfig
from lmprep.compression import speculative as spec
from lmprep.data.corpora import CharVocabulary, english_text, normalize_text
from lmprep.evidence import agrees, claim
from lmprep.foundations.decoding import greedy, sample, top_p
from lmprep.foundations.ngram import CausalNGram, WittenBellLM
from lmprep.notebook import generator, rng, setup, show
from lmprep.plotting import label_lines
from lmprep.practice import check

_ = setup()

# %% [markdown]
# ## Twelve target calls, letter by letter
#
# The target is a 5-gram model of the letters in Python's manual: it sees the last four letters. The draft is the same
# table of counts *pruned*: contexts of more than two letters are gone. Each line below is one call of the target. Left of the bar
# stand letters that were drafted and kept, right of it the one letter that the target adds: in place of a rejected one,
# or, after $k$ kept ones, as a bonus. The prompt is "the value of the".

# %%
# Try: memory = 1, a worse draft: fewer letters per line. Further down the claim on stretches
# fails: so few letters are kept in a row that their order hardly matters.
memory, k = 2, 4  # letters that the draft sees, and letters that it proposes for each call

text = normalize_text(" ".join(english_text()["train"]["text"]))
text = re.sub(r"(.)\1\1+", "", text)  # lines drawn with dashes or stars
vocabulary = CharVocabulary.from_text(text)
counts = WittenBellLM(5, len(vocabulary)).fit(vocabulary.encode(text))
seeing = partial(spec.ngram_scores, counts)  # the model with so many letters of context

target, draft = seeing(4), seeing(memory)
prompt = vocabulary.encode("the value of the ")
calls = spec.speculative_generate(target, draft, prompt, 40, k, spec.sampler(generator(1)))
for call in calls[:12]:
    kept, added = (vocabulary.decode(ids).replace(" ", "␣") for ids in (call[:-1], call[-1:]))
    print(f"{kept:>{k}} | {added}")

# %%
show(spec.speculative_step, spec.speculative_accept, spec.acceptance, spec.residual)

# %% [markdown]
# Work it out by hand, with three tokens: $p = (0.5, 0.3, 0.2)$ and $q = (0.2, 0.3, 0.5)$. The draft offers the first token too rarely and the third too
# often. Drafted and kept are $\min(p, q) = (0.2, 0.3, 0.2)$, in all 0.7. The rejected 0.3 were all third tokens. $(p - q)_+$ is $(0.3, 0, 0)$, so
# each becomes a first token: $0.2 + 0.3 = 0.5$, as it should be. If replacements were drawn from $p$ instead, only half of them would be first tokens:
# that token ends at $0.2 + 0.15 = 0.35$, and the third, which was drafted too often to begin with, at $0.2 + 0.06 = 0.26$.
#
# ## Every path enumerated: the law is the target's
#
# A proof is about the algorithm on paper, and a sample of outputs misses small bugs. Small models allow better: follow *every*
# draft, acceptance and replacement, multiply their probabilities, and add up what comes out. All choices of the library's code go
# through one function, so what is enumerated is the code that ran above.

# %%
show(spec.outcomes)

# %% [markdown]
# Target and draft are now independent random tables over three tokens, with another distribution for every prefix. Steps of two
# drafts are taken until three tokens are out. The reference is the chain rule, $p(x_1)\,p(x_2 \mid x_1)\,p(x_3 \mid x_1 x_2)$.

# %%
V, drafts, length = 3, 2, 3
strings = list(itertools.product(range(V), repeat=length))


def random_model(g: torch.Generator) -> spec.Scores:
    table = torch.randn(1024, V, generator=g, dtype=torch.float64).softmax(-1)

    def scores(ids: list[int], n: int) -> torch.Tensor:
        codes = itertools.accumulate(ids, lambda code, x: 4 * code + x + 1, initial=0)
        return table[list(codes)[-n:]]

    return scores


def chain_rule(model: spec.Scores) -> np.ndarray:  # (27,)
    rows = [model(list(x[:-1]), length)[range(length), x] for x in strings]
    return torch.stack(rows).prod(dim=1).numpy()


def enumerated(p: spec.Scores, q: spec.Scores) -> tuple[np.ndarray, float]:
    # The law (27,) of what comes out, and the strings' length over the mean number of calls.
    law, steps = spec.generation_law(
        lambda ids, choose: spec.speculative_step(p, q, ids, drafts, choose), length
    )
    return np.array([law.get(x, 0.0) for x in strings]), length / steps


p, q = random_model(generator(10)), random_model(generator(11))
truth, (law, tokens) = chain_rule(p), enumerated(p, q)
claim("law_is_the_targets", "largest difference between the probability of a string under speculative decoding "
      "and under the target", abs(law - truth).max(), at_most=1e-12, thesis=True)  # fmt: skip
claim("draft_is_bad", "total variation between the draft's strings and the target's",
      abs(chain_rule(q) - truth).sum() / 2, at_least=0.2)  # fmt: skip
claim("calls_are_saved", "tokens per target call", tokens, at_least=1.15)

# %% [markdown]
# Now break one thing at a time: put a wrong function in the place of one of the library's, or reshape a model.

# %%
exact = spec.speculative_accept


def squared(model: spec.Scores) -> spec.Scores:  # temperature ½
    return lambda ids, n: F.normalize(model(ids, n) ** 2, p=1, dim=-1)


def from_p(p, q):
    return p


def if_argmax(p, q):
    return (p == p.max()).double()


def told_plain_q(p, q, draft, choose):  # drawn from q, the plain model squared
    return exact(p, F.normalize(q.sqrt(), p=1, dim=-1), draft, choose)


def variant(name, target=p, draft=q, keep=spec.acceptance, redraw=spec.residual, accept=exact):
    with mock.patch.multiple(spec, acceptance=keep, residual=redraw, speculative_accept=accept):
        law, tokens = enumerated(target, draft)
    distance = abs(law - truth).sum() / 2
    print(f"{name:33} TV {distance:5.3f}   tokens per call {tokens:.2f}")
    return distance


variant("as it should be")
wrong = [variant("replaced from p", redraw=from_p),
         variant("kept if p's argmax, else from p", keep=if_argmax, redraw=from_p),
         variant("kept with min(1, q/p)", keep=lambda p, q: (q / p).clamp(max=1)),
         variant("draft at ½, tested with plain q", draft=squared(q), accept=told_plain_q)]  # fmt: skip
right = [variant("draft at ½, tested as drawn", draft=squared(q)),
         variant("no bonus token", accept=lambda *given: exact(*given)[:drafts])]  # fmt: skip
variant("target at ½, against plain p", target=squared(p))
claim("variants_fail", "smallest total variation from the target among four wrong rules",
      min(wrong), at_least=0.045)  # fmt: skip
claim("exact_all_the_same", "total variation from the target with a sharpened draft, tested as drawn, or "
      "without the bonus token", max(right), at_most=1e-12)  # fmt: skip

# %% [markdown]
# Rows two to five are wrong rules. The reversed ratio even yields the most tokens per call, so a good speed-up is no sign of a right rule. The next two rows look risky
# and are exact. Dropping the bonus token costs tokens and nothing else. A draft may be sharpened, truncated or made greedy, provided that the test uses the $q$
# from which its tokens were really drawn; row five forgets this. The last row is far from the plain $p$ because it is exact for *another* target,
# the sharpened one. So you put temperature and top-p on $p$ because you want their effect, and on $q$ because tokens of a similar $q$ are kept more often.
#
# ## Equal acceptances multiply; real ones come in stretches
#
# Take the same $p$ and the same $q$ at every place. The enumeration must then give $a = 1 - \mathrm{TV}$ and the geometric sum.

# %%
p, q = torch.randn(2, V, generator=generator(30), dtype=torch.float64).softmax(-1)
sizes = np.arange(1, 5)
steps = [partial(spec.speculative_step, lambda ids, n: p.expand(n, V), lambda ids, n: q.expand(n, V),
                 [], size) for size in sizes]  # fmt: skip
yields = np.array([sum(len(x) * chance for x, chance in spec.outcomes(step)) for step in steps])
a = 1 - (p - q).abs().sum().item() / 2
agrees("acceptance", "1 − TV: one draft yields 1 + a tokens", yields[0] - 1, a, atol=1e-12)
agrees("tokens_per_call", "the geometric sum (1 − a^(k+1)) / (1 − a)", yields,
       (1 - a ** (sizes + 1)) / (1 - a), atol=1e-12)  # fmt: skip

# %% [markdown]
# Real acceptances differ from place to place. The output is the target's, so take text that the target wrote. Where a letter was drafted, the text has
# $x$ with probability $p(x)$, and it is drafted and kept with probability $\min(p(x), q(x))$. So given that $x$ stands there, it was kept with probability
# $\min(p, q)/p = \min(1, q(x)/p(x))$. What follows depends on $x$, not on how it got there. So given the whole text, the drafted places are
# independent, and the expected number of calls can be computed without drawing anything. The control is the same acceptances *shuffled*.
# A third arrangement *sorts* those of each text, easy letters first. Printed are the mean acceptance and the tokens per call.

# %%
prompts = torch.tensor([vocabulary.encode(". ")] * 10)
text = generate(CausalNGram(counts), prompts, 500, sample, cache=False, generator=generator(3))


def log_p(letters: int) -> torch.Tensor:
    # log p of each letter under the model that sees so many: (10, 500).
    rows = torch.stack([seeing(letters)(row[:-1], 500) for row in text.tolist()])
    return rows.gather(2, text[:, 2:, None])[..., 0].log()


depths, log_target, curves = np.array([1, 2, 3, 4, 6, 8, 12, 16]), log_p(4), {}
for letters in (1, 2, 3):
    kept = (log_p(letters) - log_target).exp().clamp(max=1)  # (10, 500)
    order = torch.from_numpy(rng(4).permutation(kept.numel()))
    arranged = {"text": kept, "shuffled": kept.flatten()[order].view_as(kept),
                "sorted": kept.sort(dim=1, descending=True).values}  # fmt: skip
    curve = {name: np.array([spec.tokens_per_call(x, int(depth)) for depth in depths])
             for name, x in arranged.items()}  # fmt: skip
    a = kept.mean().item()
    curves[letters] = curve | {"formula": (1 - a ** (depths + 1)) / (1 - a)}
    shown = ", ".join(f"{name} {x[depths == k][0]:.2f}" for name, x in curves[letters].items())
    print(f"draft sees {letters}: a = {a:.2f}; k = {k}: {shown}")

mine = {name: values[depths == k].item() for name, values in curves[memory].items()}
claim("shuffled_is_formula", "acceptances shuffled: distance of tokens per call to the formula's, relative",
      abs(mine["shuffled"] / mine["formula"] - 1), at_most=0.01)  # fmt: skip
claim("stretches_cost", "tokens per call lost because acceptances are in the text's order, not shuffled",
      1 - mine["text"] / mine["shuffled"], at_least=0.005)  # fmt: skip
claim("sorted_costs_more", "tokens per call lost if each text's acceptances are sorted, not shuffled",
      1 - mine["sorted"] / mine["shuffled"], at_least=0.04)  # fmt: skip
claim("pruned_alone_is_another_model", "nats per letter that the pruned model loses on the target's text",
      (log_target - log_p(memory)).mean(), at_least=0.3)  # fmt: skip

# %% mystnb={"image": {"alt": "Two charts, one above the other, against the number of drafted letters per call, from 1 to 16. Above: tokens per target call for drafts that see one, two or three letters. Each curve rises and flattens, the first almost at once, the third latest and several times higher; dashed lines of the formula lie just above the solid ones. Below: modeled speed-up of the third draft. With a draft that costs a fiftieth of the target it rises well above 2; at a tenth it peaks and falls slowly; at three tenths it peaks early and falls below the dotted line at 1; in a full batch it lies below 1 from the start and keeps falling."}} tags=["hide-input"]
fig, (above, below) = plt.subplots(2, 1, figsize=(5.4, 7.4))
for rank, (letters, curve) in enumerate(curves.items()):
    above.plot(depths, curve["formula"], "--", color=f"C{rank}", linewidth=1)
    above.plot(depths, curve["text"], "o-", color=f"C{rank}", label=f"sees {letters}")
above.set(title="The formula (dashed) is a little too kind", ylabel="tokens per target call")
times = {f"c = {c}": curves[3]["text"] / (1 + depths * c) for c in (0.02, 0.1, 0.3)}
times["full batch"] = curves[3]["text"] / (1 + depths + depths * 0.02)
for rank, (name, curve) in enumerate(times.items(), 3):
    below.plot(depths, curve, "o-", color=f"C{rank}", label=name)
below.axhline(1, color="k", linestyle=":")
below.set(title="Costly drafts gain little, full batches lose", ylabel="speed-up, modeled")
for ax in (above, below):
    ax.set(xlabel="drafted letters per call, k", xlim=(0, 21), xticks=range(0, 17, 4))
    label_lines(ax)
plt.show()

# %% [markdown]
# Shuffled acceptances obey the formula. In the text's order they yield a little less, and sorted clearly less, although they are the same
# numbers. A call ends at a rejection or at the limit $k$. In an easy stretch it ends at the limit, and its bonus token stands where a draft
# would very likely have been kept. Without a limit, a call would end only at a rejection, and order would not matter. If easy and hard places alternated,
# the yield could exceed the formula's. For these drafts the formula is a good estimate, slightly too high.
#
# One could also decode with the pruned model alone. On average, each letter would then lose the nats claimed above. As a draft, the same model
# leaves the distribution as it is.
#
# Nothing in the lower panel was timed: it divides the tokens per call by an assumed cost. That is $1 + kc$ while passes wait for weights, and
# $k + 1 + kc$, with $c = 0.02$, once the batch keeps the arithmetic units busy. Then no draft can pay, whatever its acceptance: a call yields at most the $k + 1$
# tokens that it is charged for. Real servers lie between the two.
#
# ## Greedy needs no code of its own, and the cache must forget
#
# Sharpen both models until all probability sits on the likeliest token. Then $\min(1, p/q)$ is 1 where both agree and 0 elsewhere, the
# replacement is the target's choice, and the same functions decode greedily. With Transformers each model keeps a KV cache, and keys and
# values of rejected tokens must leave it, or later tokens attend to text that was never written.

# %%
show(spec.Scorer.__call__)

# %%
config = GPTConfig(vocab_size=50, context_length=128, width=32, num_layers=2, num_heads=4,
                   init_std=0.3)  # fmt: skip
big = GPT(config, generator(40)).double().eval()
small, g = copy.deepcopy(big), generator(41)
for weight in small.parameters():  # a draft that resembles the target
    weight.data += 0.1 * weight.data.std() * torch.randn(weight.shape, generator=g)
first = torch.randint(50, (1, 5), generator=g)
plain = generate(big, first, 100, greedy)[0, 5:]
one_hot = [spec.Scorer(model, partial(top_p, p=0)) for model in (big, small)]
fast = spec.speculative_generate(*one_hot, first[0].tolist(), 100, 4, spec.sampler(g))
print(len(fast), "target calls for 100 tokens")
claim("greedy_is_greedy", "two small Transformers with caches: tokens that differ from plain greedy decoding",
      (torch.tensor([*itertools.chain(*fast)]) != plain).sum(), at_most=0)  # fmt: skip

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"It saves computation."** It saves *passes*. In row one of the table above the target scores three places per call and
# far fewer tokens come out, and the draft's work is added. The arithmetic per token goes up; it runs on units that would have stood idle, waiting for weights.
#
# **"Prune, quantize or merge models: that speeds it up as well."** Pruning and [quantization](quantization_ptq_qat) speed up a pass if the
# kernels use them, and change the model. "Merging" names three things. An ensemble of $n$ models costs $n$ passes, averaged weights cost one and speed up nothing,
# and *operator* fusion, several operations in one kernel, does save time and leaves the function alone.
#
# **"The closer the draft, the faster."** A colleague replaces a draft of $a = 0.8$, $c = 0.05$ by one of $a = 0.9$, $c = 0.3$. At $k = 4$ the first gives
# $3.36 / 1.2 = 2.8$, the second $4.10 / 2.2 = 1.9$. Acceptance is worth what the draft does not cost.
#
# **"With the same seed it returns the same text."** *Which random numbers does it use, and for what?* Others, and more of them. Equal are the
# distributions, not the draws. Only greedy decoding gives the same text, up to ties and rounding: a pass over $k + 1$ tokens may sum in another order.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} Why can one target pass check k tokens?
# The drafted tokens are known, so the causal model reads them side by side, as in training, and row $i$ of its logits is conditioned on the drafts before it.
# Generating them would have needed one pass each, because each token is the next pass's input.
# :::
#
# :::{dropdown} How do you choose k?
# Maximize $(1 - a^{k+1}) / ((1 - a)(1 + kc))$, with measured $a$ and $c$, or rather measured tokens per call. A cheap, good draft wants a large $k$. As acceptance changes with the
# text and cost with the load, servers adapt it {cite:p}`liu2024goodput`.
# :::
#
# :::{dropdown} What do temperature and top-p do to the speed-up?
# Applied to $p$, they say what is sampled exactly. A greedy target is matched whenever the top tokens agree; a flat one only as far as the whole
# distributions overlap. If only $p$ is truncated, drafts outside its nucleus are always rejected. So reshape $q$ too, and keep the reshaped $q$ for the test.
# :::
#
# :::{dropdown} What is continuous batching, and does it get on with speculation?
# A fixed batch of 8 runs until its longest answer ends. If lengths are exponential, the expected maximum is $1 + 1/2 + \dots + 1/8 = 2.72$ means, so slots are in use 37 % of the time.
# Continuous batching refills a slot after each pass {cite:p}`yu2022orca` and keeps nearly all in use while requests wait. But batching and speculation feed on the
# same idle arithmetic: under high request rates speculation can increase latency {cite:p}`liu2024goodput`. Sequences also keep different
# numbers of tokens per pass, so the kernels must take ragged lengths.
# :::
#
# :::{dropdown} How do Medusa, EAGLE and self-speculation draft?
# Medusa adds heads that guess several positions ahead from the last hidden state {cite:p}`cai2024medusa`. EAGLE extrapolates the target's features, one
# layer below the head, from features and tokens {cite:p}`li2024eagle`. Self-speculation skips some of the target's own layers {cite:p}`zhang2023draft`. Exactness is
# a matter of the test, not of the draft: Medusa's "typical acceptance" gives it up.
# :::
#
# :::{dropdown} What is tree verification?
# Several candidates per place form a tree of prefixes. One pass scores all nodes, with an attention mask that shows each only its ancestors
# {cite:p}`miao2023specinfer`. To stay exact, siblings are tried in turn, each against the $q$ that it was drawn from; after a rejection the residual becomes the new $p$.
# :::
#
# :::{dropdown} What about the KV cache after a rejection?
# Set its length back to the kept tokens; in paged memory, free the blocks. The draft's cache needs the same. A recurrent state cannot be shortened: save
# one per drafted token, or recompute.
# :::
#
# :::{dropdown} What if the vocabularies differ?
# $p(x)/q(x)$ needs one set of tokens. Draft only tokens that both have, with $q$ renormalized over them, which is exact as for any $q$. Or pass on the draft's text, tokenize it
# anew, let the target draw its own token at each place, and keep going while the two agree. What comes out is then the target's own draw, so this is exact too; it keeps fewer {cite:p}`timor2025accelerating`.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} speculative_accept
# ```

# %%
import torch


def speculative_accept(
    p: torch.Tensor, q: torch.Tensor, draft: torch.Tensor, u: torch.Tensor, v: float
) -> torch.Tensor:
    """The drafted tokens that are kept, and one token of the target's own.

    p: (k + 1, V) and q: (k, V), distributions, float32 or float64.
    draft: (k,), int64. u: (k,), one uniform number for each drafted token. v: for the last draw.
    Returns (n,), int64, n from 1 to k + 1.
    """
    raise NotImplementedError


check("speculative_accept", speculative_accept)

# %% [markdown]
# ```{solution} speculative_accept
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`leviathan2023fast`, {cite:t}`chen2023accelerating`: the algorithm, found twice, with proofs.
# - {cite:t}`cai2024medusa`, {cite:t}`li2024eagle`, {cite:t}`zhang2023draft`: drafts made of the target. {cite:t}`miao2023specinfer`: trees.
# - {cite:t}`liu2024goodput`: speculation under load. {cite:t}`yu2022orca`: continuous batching. {cite:t}`timor2025accelerating`: two vocabularies.
