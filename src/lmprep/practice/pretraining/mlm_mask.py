"""BERT's masking, as a collator does it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `mlm_mask(ids, special, *, vocab_size, mask_id, probability=0.15, generator)`: what BERT reads and what
it is asked, as two tensors of the shape of `ids`, both long. Each token that is not special is chosen with
`probability`, independently of all others; a special one never. A chosen token becomes `mask_id` in 80 % of
the cases, a token drawn uniformly from all ids from 0 to `vocab_size` − 1 (the old one and special ones among
them) in 10 %, and stays as it is in 10 %, again independently; a token that is not chosen stays. The labels
hold the old id where a token was chosen and −100 elsewhere. `ids` and `special` are left as they were; the
batch may be empty. All randomness comes from `generator`, which is on the CPU: in the same state it gives the
same answer, and torch's global random numbers are neither used nor changed.
"""

STARTER = '''
import torch


def mlm_mask(
    ids: torch.Tensor,
    special: torch.Tensor,
    *,
    vocab_size: int,
    mask_id: int,
    probability: float = 0.15,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose tokens, hide most of them, and ask for all of them.

    ids: (B, T), long, from 0 to vocab_size − 1.
    special: (B, T), bool: True where a token must not be chosen.
    Returns inputs and labels, both (B, T) and long.
    """
    raise NotImplementedError
'''

HINTS = (
    "Two things are decided for each token, one after the other: whether it is asked for at all, and if so, "
    "what the encoder sees in its place. Which of the two do the labels depend on?",
    "One uniform number per position settles the fate of a chosen token if you cut the unit interval at 0.8 "
    "and 0.9. If you toss coins one after the other, remember what the second one is tossed for: 10 of the "
    "20 percent that are left.",
    "Draw uniform numbers of the shape of the ids for the choice, and compare them with the probability; "
    "take the special ones out. Draw a second set for the fate, and a third of whole numbers below the size "
    "of the vocabulary. Build the inputs with two nested selections and the labels with one, so that nothing "
    "is written into the ids; pass the generator to every draw.",
)


def mlm_mask(
    ids: torch.Tensor,
    special: torch.Tensor,
    *,
    vocab_size: int,
    mask_id: int,
    probability: float = 0.15,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    chosen = (torch.rand(ids.shape, generator=generator) < probability) & ~special
    fate = torch.rand(ids.shape, generator=generator)
    any_id = torch.randint(vocab_size, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), any_id, inputs)
    return inputs, torch.where(chosen, ids, -100)


# What the checks look at.

IGNORED = -100
V, MASK = 1000, 3
SIZES = ((1, 1), (1, 4), (3, 2), (5, 8))  # B, T
MANY = (300, 100)


def inputs(rng: Rng, B: int, T: int) -> dict[str, Any]:
    """Ids of words, a fifth of which are marked as special, but never the first of a row."""
    special = torch.from_numpy(rng.random((B, T)) < 0.2)
    special[:, :1] = False
    ids = torch.from_numpy(rng.integers(5, V, size=(B, T)))
    return {"ids": ids, "special": special, "vocab_size": V, "mask_id": MASK}


def source(rng: Rng) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def answer(candidate: Candidate, given: dict[str, Any]) -> tuple[Call, Tensor, Tensor]:
    """The call, the inputs and the labels, if they have the right shapes and dtype."""
    call = Call(candidate, **given)
    shape = given["ids"].shape
    x, y = call.returns(torch.long, inputs=shape, labels=shape)
    return call, x, y


# Checks.


def two_tensors(candidate: Candidate, rng: Rng) -> None:
    """Returns inputs and labels, long, of the shape of the ids."""
    for sizes in SIZES:
        answer(candidate, inputs(rng, *sizes) | {"generator": source(rng)})


def certain(candidate: Candidate, rng: Rng) -> None:
    """Probability 0 chooses no token, probability 1 all that are not special."""
    for sizes in SIZES:
        for p in (0.0, 1.0):
            given = inputs(rng, *sizes) | {"probability": p, "generator": source(rng)}
            call, _, y = answer(candidate, given)
            chosen = ~given["special"] if p else torch.zeros_like(given["special"])
            cause = (
                "special tokens chosen, `probability` not used, at least one token forced, or labels that "
                "are not the old ids"
            )
            call.same("labels", y, torch.where(chosen, given["ids"], IGNORED), cause=cause)


def nothing_to_choose(candidate: Candidate, rng: Rng) -> None:
    """A batch of special tokens alone comes back as it is, and so does an empty one."""
    for B, T in ((1, 3), (0, 4), (2, 0)):
        given = inputs(rng, B, T) | {"special": torch.ones(B, T, dtype=torch.bool), "generator": source(rng)}
        call, x, y = answer(candidate, given)
        cause = "a token forced where none may be chosen, or a quotient with a count of 0"
        call.same("inputs", x, given["ids"], cause=cause)
        call.same("labels", y, torch.full((B, T), IGNORED), cause=cause)


def rest_untouched(candidate: Candidate, rng: Rng) -> None:
    """A token that was not chosen is read as it is; a chosen one's label is the old id."""
    for sizes in (*SIZES[1:], (40, 30)):
        for p in (0.15, 0.5):
            given = inputs(rng, *sizes) | {"probability": p, "generator": source(rng)}
            call, x, y = answer(candidate, given)
            chosen = y != IGNORED
            call.same("labels", y, torch.where(chosen, given["ids"], IGNORED), tolerance=0.0,
                      cause="labels taken after the inputs were changed")  # fmt: skip
            call.same("inputs where not chosen", x[~chosen], given["ids"][~chosen], tolerance=0.0,
                      cause="random tokens or [MASK] outside the chosen positions")  # fmt: skip


def chosen_share(candidate: Candidate, rng: Rng) -> None:
    """The share `probability` of the tokens that are not special is chosen, 15 % by default."""
    cause = "a share of all tokens, special ones too, labels only where the input changed, or another default"
    for options in ({"probability": 0.4}, {"probability": 0.15}, {}):
        given = inputs(rng, *MANY) | options | {"generator": source(rng)}
        call, _, y = answer(candidate, given)
        share = options.get("probability", 0.15)
        call.rate("share of chosen tokens", (y != IGNORED)[~given["special"]], share, cause)


def independent(candidate: Candidate, rng: Rng) -> None:
    """Tokens are chosen independently: how many, and where, differs from text to text."""
    B, T, p = 2000, 20, 0.15
    given = {"ids": torch.full((B, T), 7), "special": torch.zeros(B, T, dtype=torch.bool),
             "vocab_size": V, "mask_id": MASK, "generator": source(rng)}  # fmt: skip
    call, _, y = answer(candidate, given)
    cause = "a fixed number for each text, or one mask drawn for all texts"
    for axis, name, n, least, most in ((1, "texts", T, 0.8, 1.2), (0, "positions", B, 0.0, 6.0)):
        counts = (y != IGNORED).double().sum(dim=axis)  # binomial, n draws
        spread = ((counts - n * p) ** 2).mean().item() / (n * p * (1 - p))
        call.holds(least <= spread <= most, got=f"{spread:.3g}", cause=cause,
                   expected=f"variance of the number chosen, over {name}, as a multiple of the binomial's = "
                   f"{least} to {most}")  # fmt: skip


def fates(candidate: Candidate, rng: Rng) -> None:
    """Of the chosen tokens 80 % become [MASK], 10 % another token and 10 % stay."""
    for p in (0.5, 1.0):
        given = inputs(rng, *MANY) | {"probability": p, "generator": source(rng)}
        call, x, y = answer(candidate, given)
        chosen = y != IGNORED
        call.rate("share of [MASK] among the chosen", x[chosen] == MASK, 0.8 + 0.1 / V,
             "80 % of all tokens, shares exchanged, or only [MASK]")  # fmt: skip
        call.rate("share of chosen tokens left as they are", x[chosen] == y[chosen], 0.1 + 0.1 / V,
             "a second coin with 0.1, where 0.1 of all is half of what is left: 80/2/18")  # fmt: skip


def each_its_own(candidate: Candidate, rng: Rng) -> None:
    """Every token has coins of its own, also in a tiny batch: how many are chosen or hidden varies."""
    T, N = 4, 500
    for p, name, q in ((0.5, "chosen", 0.5), (1.0, "hidden", 0.8)):
        given = {"ids": torch.full((1, T), 7), "special": torch.zeros(1, T, dtype=torch.bool),
                 "vocab_size": V, "mask_id": MASK, "probability": p, "generator": source(rng)}  # fmt: skip
        counts = torch.empty(N, dtype=torch.double)
        for n in range(N):
            call, x, y = answer(candidate, given)
            counts[n] = (y != IGNORED if name == "chosen" else x == MASK).sum()
        spread = ((counts - T * q) ** 2).mean().item() / (T * q * (1 - q))  # of a binomial: 1
        call.holds(0.7 <= spread <= 1.3, got=f"{spread:.3g}",
                   expected=f"variance of the number {name} in {T} tokens, over {N} calls, as a multiple of "
                   "the binomial's = 0.7 to 1.3", cause="a fixed number of the whole batch")  # fmt: skip


def any_token(candidate: Candidate, rng: Rng) -> None:
    """Random tokens are uniform over the whole vocabulary, first and last id and the old one included."""
    old, mask_id = 2, 1
    for vocab_size in (3, 6, 20):
        given = {"ids": torch.full(MANY, old), "special": torch.zeros(MANY, dtype=torch.bool),
                 "vocab_size": vocab_size, "mask_id": mask_id, "probability": 1.0,
                 "generator": source(rng)}  # fmt: skip
        call, x, _ = answer(candidate, given)
        low, high = int(x.min()), int(x.max())
        call.holds(0 <= low <= high < vocab_size, expected=f"inputs = 0 to {vocab_size - 1}",
                   got=f"{low} to {high}", cause="an upper end that is one too far")  # fmt: skip
        cause = (
            "an upper end left out, special ids left out, the old id excluded, ids taken from the batch, or "
            "one draw for all"
        )
        for new in range(vocab_size):
            share = 0.1 / vocab_size + {old: 0.1, mask_id: 0.8}.get(new, 0.0)
            call.rate(f"share of id {new} where {old} stood", x == new, share, cause)
        for axis in (0, 1):
            counts, p = (x == 0).double().sum(dim=axis), 0.1 / vocab_size
            n = x.size(axis)
            spread = ((counts - n * p) ** 2).mean().item() / (n * p * (1 - p))  # of a binomial: 1
            call.holds(spread <= 2.0, got=f"{spread:.3g}", cause="one draw for a whole row or column",
                       expected="variance of the number of one random id, over texts and over positions, as "
                       "a multiple of the binomial's ≤ 2")  # fmt: skip


def repeatable(candidate: Candidate, rng: Rng) -> None:
    """The generator alone decides: same state, same answer; another state, another one."""
    for sizes in ((4, 16), (8, 32)):
        given = inputs(rng, *sizes) | {"probability": 0.5}
        seed = int(rng.integers(2**31))
        first, again, other = (
            _apart(candidate, given | {"generator": torch.Generator().manual_seed(seed + k)}, elsewhere)
            for k, elsewhere in ((0, 0), (0, 1), (1, 1))
        )
        cause = "a draw that does not take the generator, or a generator seeded anew"
        call, got = again
        call.same("inputs and labels, from the same state again", got, first[1], cause=cause, tolerance=0.0)
        other[0].holds(not torch.equal(other[1], got), expected="another state = another answer",
                       got="the same answer", cause=cause)  # fmt: skip


def _apart(candidate: Candidate, given: dict[str, Any], elsewhere: int) -> tuple[Call, Tensor]:
    """The answer where the global random numbers stand at `elsewhere`, if it leaves them there."""
    before = torch.random.get_rng_state()
    try:
        state = torch.manual_seed(elsewhere).get_state()
        call, x, y = answer(candidate, given)
        moved = not torch.equal(state, torch.random.get_rng_state())
    finally:
        torch.random.set_rng_state(before)
    call.holds(not moved, expected="torch's global random state = as it was", got="another state",
               cause="a draw without `generator=generator`, or `torch.manual_seed`")  # fmt: skip
    return call, torch.stack([x, y])


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes ids that are not contiguous."""
    for sizes in ((3, 2), (5, 8)):
        given = inputs(rng, *sizes) | {"probability": 1.0, "generator": source(rng)}
        given |= {"ids": strided(given["ids"]), "special": strided(given["special"])}
        call, _, y = answer(candidate, given)
        expected = torch.where(given["special"], IGNORED, given["ids"])
        call.same("labels", y, expected, cause="`.view` of an input")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves ids and special as they were."""
    for sizes in ((3, 2), (5, 8)):
        given = inputs(rng, *sizes) | {"probability": 1.0, "generator": source(rng)}
        Call(candidate, **given).unchanged(cause="`inputs = ids` without `.clone()`, then written into")


# Right answers of other style, and wrong ones.


def _chosen(ids: Tensor, special: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(ids.shape, generator=generator) < probability) & ~special


def by_coins(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    """As transformers does it."""
    inputs, labels = ids.clone(), ids.clone()
    p = torch.full(ids.shape, probability).masked_fill(special, 0.0)
    chosen = torch.bernoulli(p, generator=generator).bool()
    labels[~chosen] = IGNORED
    masked = torch.bernoulli(torch.full(ids.shape, 0.8), generator=generator).bool() & chosen
    inputs[masked] = mask_id
    swapped = torch.bernoulli(torch.full(ids.shape, 0.5), generator=generator).bool() & chosen & ~masked
    inputs[swapped] = torch.randint(vocab_size, ids.shape, generator=generator)[swapped]
    return inputs, labels


def by_loop(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    """A place at a time, the draws in lists."""
    rows, T = ids.tolist(), ids.size(1)
    specials = special.tolist()
    u = torch.rand((2, *ids.shape), generator=generator).tolist()
    words = torch.randint(0, vocab_size, ids.shape, generator=generator).tolist()
    inputs, labels = [list(row) for row in rows], [[IGNORED] * T for _ in rows]
    for b, row in enumerate(rows):
        for t, token in enumerate(row):
            if not specials[b][t] and u[0][b][t] < probability:
                labels[b][t] = token
                if u[1][b][t] < 0.8:
                    inputs[b][t] = mask_id
                elif u[1][b][t] < 0.9:
                    inputs[b][t] = words[b][t]
    return torch.tensor(inputs).reshape(ids.shape).long(), torch.tensor(labels).reshape(ids.shape).long()


def one_draw(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    """One uniform number settles the choice and the fate, in float64."""
    u = torch.rand(ids.shape, generator=generator, dtype=torch.float64)
    chosen = (u < probability) & ~special
    words = torch.randint(0, vocab_size, ids.shape, generator=generator)
    inputs = torch.where(u < 0.9 * probability, words, ids)
    inputs = torch.where(u < 0.8 * probability, torch.full_like(ids, mask_id), inputs)
    return torch.where(chosen, inputs, ids), ids.masked_fill(~chosen, IGNORED)


def by_numpy(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    """numpy, seeded from the generator."""
    draw = np.random.default_rng(torch.randint(2**62, (2,), generator=generator).numpy())
    old = ids.numpy()
    chosen = (draw.random(old.shape) < probability) & ~special.numpy()
    fate = draw.choice(3, size=old.shape, p=[0.8, 0.1, 0.1])
    words = draw.integers(vocab_size, size=old.shape)
    inputs = np.where(chosen, np.choose(fate, [np.full_like(old, mask_id), words, old]), old)
    return torch.from_numpy(inputs), torch.from_numpy(np.where(chosen, old, IGNORED))


def only_the_chosen(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    """Draws fates and words for the chosen places only."""
    labels = torch.full_like(ids, IGNORED)
    chosen = _chosen(ids, special, probability, generator)
    labels[chosen] = ids[chosen]
    n = int(chosen.sum())
    fate = (
        torch.multinomial(torch.tensor([0.8, 0.1, 0.1]), n, True, generator=generator)
        if n
        else torch.empty(0)
    )
    words = torch.randint(vocab_size, (n,), generator=generator)
    new = ids[chosen]
    new = torch.where(fate == 0, mask_id, torch.where(fate == 1, words, new))
    inputs = ids.clone()
    inputs[chosen] = new
    return inputs, labels


def variant(
    choose: Callable[..., Tensor] = _chosen,
    fate: Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]] | None = None,
    words: Callable[[Tensor, int, torch.Generator], Tensor] | None = None,
    label: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Candidate:
    """An answer right in all but one of its four steps; `fate` says what is hidden and what is random."""

    def answer(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
        chosen = choose(ids, special, probability, generator)
        if fate is None:
            u = torch.rand(ids.shape, generator=generator)
            masked, swapped = u < 0.8, (u >= 0.8) & (u < 0.9)
        else:
            masked, swapped = fate(ids, generator)
        if words is None:
            any_id = torch.randint(vocab_size, ids.shape, generator=generator)
        else:
            any_id = words(ids, vocab_size, generator)
        x = torch.where(chosen & masked, mask_id, torch.where(chosen & swapped, any_id, ids))
        y = torch.where(chosen, ids, IGNORED) if label is None else label(ids, x, chosen, special)
        return x, y

    return answer


def uniform(ids: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(ids.shape, generator=generator)


def second_coin(ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    masked = uniform(ids, generator) < 0.8
    return masked, ~masked & (uniform(ids, generator) < 0.1)


def overwritten(ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The random tokens are drawn first, and then hidden by masks that do not know of them."""
    return uniform(ids, generator) < 0.8, uniform(ids, generator) < 0.1


def one_fate_per_text(ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    u = torch.rand((ids.size(0), 1), generator=generator).expand(ids.shape)
    return u < 0.8, (u >= 0.8) & (u < 0.9)


def fixed_number(ids: Tensor, special: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """BERT's own: the same number in each text."""
    order = uniform(ids, generator).masked_fill(special, 2.0).argsort(dim=1).argsort(dim=1)
    count = (probability * (~special).sum(dim=1, keepdim=True)).round()
    return order < count


def fixed_number_of_batch(
    ids: Tensor, special: Tensor, probability: float, generator: torch.Generator
) -> Tensor:
    """Exactly the share of the batch, wherever."""
    places = (~special).flatten().nonzero()[:, 0]
    order = torch.randperm(len(places), generator=generator)
    chosen = torch.zeros(ids.numel(), dtype=torch.bool)
    chosen[places[order[: round(probability * len(places))]]] = True
    return chosen.view(ids.shape)


def at_least_one(ids: Tensor, special: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    chosen = _chosen(ids, special, probability, generator)
    if ids.numel():
        first = (~special).long().argmax(dim=1)
        empty = ~chosen.any(dim=1)
        chosen[torch.arange(len(ids))[empty], first[empty]] = True
    return chosen


def one_mask_for_all(ids: Tensor, special: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(ids.shape[1:], generator=generator) < probability) & ~special


def of_all_tokens(ids: Tensor, special: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    return (uniform(ids, generator) < probability) if ids.numel() else special


def share_of_all(ids: Tensor, special: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """As many as the probability of all tokens, special ones counted."""
    words = (~special).sum().clamp(min=1)
    return (uniform(ids, generator) < probability * ids.numel() / words) & ~special


def zeros_are_padding(ids: Tensor, special: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    return (uniform(ids, generator) < probability) & (ids != 0)


def globally(ids: Tensor, special: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(ids.shape) < probability) & ~special


def word_globally(ids: Tensor, vocab_size: int, generator: torch.Generator) -> Tensor:
    return torch.randint(vocab_size, ids.shape)


def in_place(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    options = {
        "vocab_size": vocab_size,
        "mask_id": mask_id,
        "probability": probability,
        "generator": generator,
    }
    x, y = by_coins(ids, special, **options)
    ids.copy_(x)
    return ids, y


def labels_too_late(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    chosen = _chosen(ids, special, probability, generator)
    u = uniform(ids, generator)
    inputs = torch.where(chosen & (u < 0.8), mask_id, ids)
    return inputs, torch.where(chosen, inputs, IGNORED)


def random_anywhere(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    options = {
        "vocab_size": vocab_size,
        "mask_id": mask_id,
        "probability": probability,
        "generator": generator,
    }
    x, y = by_coins(ids, special, **options)
    anywhere = (uniform(ids, generator) < 0.015) & ~special
    return torch.where(anywhere, torch.randint(vocab_size, ids.shape, generator=generator), x), y


def cut_in_order(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    """The first 80 % of the chosen are hidden, the last 10 % kept."""
    chosen = _chosen(ids, special, probability, generator)
    places = chosen.flatten().nonzero()[:, 0]
    hidden, swapped = int(0.8 * len(places)), int(0.9 * len(places))
    x = ids.flatten().clone()
    x[places[:hidden]] = mask_id
    x[places[hidden:swapped]] = torch.randint(vocab_size, (swapped - hidden,), generator=generator)
    return x.view(ids.shape), torch.where(chosen, ids, IGNORED)


def viewed(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    x, y = mlm_mask(ids.view(1, -1), special.view(1, -1), vocab_size=vocab_size, mask_id=mask_id,
                    probability=probability, generator=generator)  # fmt: skip
    return x.view(ids.shape), y.view(ids.shape)


def seeded_anew(ids, special, *, vocab_size, mask_id, probability=0.15, generator):  # type: ignore[no-untyped-def]
    return by_coins(ids, special, vocab_size=vocab_size, mask_id=mask_id, probability=probability,
                    generator=torch.Generator().manual_seed(0))  # fmt: skip


def without_the_old(ids: Tensor, vocab_size: int, generator: torch.Generator) -> Tensor:
    return (ids + torch.randint(1, max(vocab_size, 2), ids.shape, generator=generator)) % vocab_size


def from_the_batch(ids: Tensor, vocab_size: int, generator: torch.Generator) -> Tensor:
    return ids.flatten()[torch.randperm(ids.numel(), generator=generator)].reshape(ids.shape)


TASK = Task(
    name="mlm_mask",
    entry="bert_pretraining",
    statement=STATEMENT,
    starter=STARTER,
    reference=mlm_mask,
    hints=HINTS,
    checks=(
        two_tensors,
        certain,
        nothing_to_choose,
        rest_untouched,
        chosen_share,
        independent,
        fates,
        each_its_own,
        any_token,
        repeatable,
        memory,
        inputs_kept,
    ),
    wrong={
        "second coin with 0.1: 80/2/18": variant(fate=second_coin),
        "masks over random tokens: 80/2/18": variant(fate=overwritten),
        "only [MASK]": variant(fate=lambda ids, g: (torch.ones_like(ids) > 0, torch.zeros_like(ids) > 0)),
        "80/20/0": variant(fate=lambda ids, g: (uniform(ids, g) < 0.8, torch.zeros_like(ids) > 0)),
        "80/0/20": variant(fate=lambda ids, g: (uniform(ids, g) < 0.8, torch.ones_like(ids) > 0)),
        "10 % [MASK], 80 % random": variant(
            fate=lambda ids, g: (lambda u: (u < 0.1, (u >= 0.1) & (u < 0.9)))(uniform(ids, g))
        ),
        "one fate for a text": variant(fate=one_fate_per_text),
        "labels are all ids": variant(label=lambda ids, x, chosen, special: ids.clone()),
        "labels at all words": variant(
            label=lambda ids, x, chosen, special: torch.where(special, IGNORED, ids)
        ),
        "labels only where the input changed": variant(
            label=lambda ids, x, chosen, special: torch.where(x != ids, ids, IGNORED)
        ),
        "labels only at [MASK]": variant(
            label=lambda ids, x, chosen, special: torch.where(chosen & (x == MASK), ids, IGNORED)
        ),
        "label 0 where nothing is asked": variant(
            label=lambda ids, x, chosen, special: torch.where(chosen, ids, 0)
        ),
        "labels where it was not chosen": variant(
            label=lambda ids, x, chosen, special: torch.where(chosen, IGNORED, ids)
        ),
        "labels taken too late": labels_too_late,
        "float labels": variant(
            label=lambda ids, x, chosen, special: torch.where(chosen, ids, IGNORED).float()
        ),
        "special tokens chosen": variant(choose=of_all_tokens),
        "padding told by id 0": variant(choose=zeros_are_padding),
        "15 % of all tokens, special ones counted": variant(choose=share_of_all),
        "probability kept": variant(
            choose=lambda ids, special, p, g: _chosen(ids, special, 1 - p, g),
        ),
        "a fixed number in each text": variant(choose=fixed_number),
        "a fixed number in the batch": variant(choose=fixed_number_of_batch),
        "the first 80 % of the chosen hidden": cut_in_order,
        "at least one in each text": variant(choose=at_least_one),
        "one mask for all texts": variant(choose=one_mask_for_all),
        "chosen by the global generator": variant(choose=globally),
        "random tokens from the global generator": variant(words=word_globally),
        "a generator seeded anew": seeded_anew,
        "last id never drawn": variant(
            words=lambda ids, V, g: torch.randint(max(V - 1, 1), ids.shape, generator=g)
        ),
        "id 0 never drawn": variant(
            words=lambda ids, V, g: torch.randint(min(1, V - 1), V, ids.shape, generator=g)
        ),
        "one random token for all": variant(
            words=lambda ids, V, g: torch.randint(V, (), generator=g).expand(ids.shape)
        ),
        "one random token for each text": variant(
            words=lambda ids, V, g: torch.randint(V, (ids.size(0), 1), generator=g).expand(ids.shape)
        ),
        "one random token for each position": variant(
            words=lambda ids, V, g: torch.randint(V, (1, ids.size(1)), generator=g).expand(ids.shape)
        ),
        "the old id excluded": variant(words=without_the_old),
        "random tokens from the batch": variant(words=from_the_batch),
        "random tokens outside the chosen": random_anywhere,
        "written into the ids": in_place,
        "views the ids": viewed,
    },
    also_right={
        "coins, as transformers tosses them": by_coins,
        "a loop over lists": by_loop,
        "one draw for choice and fate": one_draw,
        "numpy": by_numpy,
        "draws for the chosen only": only_the_chosen,
    },
    asked=2,
)
