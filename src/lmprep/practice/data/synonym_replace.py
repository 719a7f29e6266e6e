"""Synonym replacement with exact counts."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Table = dict[str, list[str]]

STATEMENT = r"""
Write `synonym_replace(tokens, table, n, rng, protect=())`. A place in the list `tokens` is *eligible* if its
word is not in `protect` and `table` lists for it at least one word other than itself; no word is listed
twice in an entry. Return a new list of the same length, in which exactly
$\min(n, \text{eligible places})$ different places have changed, each to another word that `table` lists for
the word that stood there. Every set of that many eligible places is equally likely, and at each of them,
independently of the others, every listed word but its own; the same word at several places makes several
places. `n` is a whole number from 0, `tokens` may be empty, and `protect` is any collection of words. Leave
the inputs as they are, and take all chance from the NumPy generator `rng`.
"""

STARTER = '''
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
'''

HINTS = (
    "Settle which places can change at all before you draw any. Which words look as if they had a synonym, "
    "and have none?",
    "Work with positions, not with words: draw distinct positions, as many as n or as there are.",
    "Collect for each place the listed words that differ from its own, and keep the places that are not "
    "protected and have some. Shuffle these places with rng, take the first n, and at each draw one of its "
    "words. A slice takes care of n being too large.",
)


def synonym_replace(
    tokens: list[str],
    table: dict[str, list[str]],
    n: int,
    rng: np.random.Generator,
    protect: Collection[str] = (),
) -> list[str]:
    others = [[other for other in table.get(word, []) if other != word] for word in tokens]
    eligible = [i for i, word in enumerate(tokens) if others[i] and word not in protect]
    new = list(tokens)
    for i in rng.permutation(len(eligible))[:n]:
        place = eligible[i]
        new[place] = others[place][rng.integers(len(others[place]))]
    return new


# What the checks are made with.

_SIGMAS = 6  # standard errors: a share leaves this range once in 500 million times
_TABLE: Table = {
    "clean": ["tidy", "neat", "spotless"],
    "tidy": ["neat", "clean", "tidy"],
    "room": ["chamber"],
    "quiet": ["quiet", "calm"],
    "the": ["the"],
    "was": [],
    "not": ["never"],
    "干净": ["整洁", "干净", "洁净"],
}
_TEXTS = (
    "clean",
    "the clean room",
    "the room was not clean",
    "quiet and tidy and clean",
    "clean clean clean clean",
    "the room was tidy tidy tidy and quiet",
    "房间 不 干净 ， 也 不 quiet",
)


def listed(word: str, table: Table) -> list[str]:
    return [other for other in table.get(word, []) if other != word]


def places(tokens: Sequence[str], table: Table, protect: Collection[str] = ()) -> list[int]:
    return [i for i, word in enumerate(tokens) if word not in protect and listed(word, table)]


def answer(candidate: Candidate, **inputs: Any) -> tuple[Call, list[str]]:
    """The call and its answer, if that is a list of as many words as came."""
    call = Call(candidate, **inputs)
    tokens, new = inputs["tokens"], call.value
    kind = f"{type(new).__name__} {new!r}"
    call.holds(isinstance(new, list) and all(isinstance(word, str) for word in new),
               expected="a list of words", got=kind,
               cause="a missing `return`, or words joined to one string")  # fmt: skip
    call.holds(len(new) == len(tokens), expected=f"{len(tokens)} words", got=f"{len(new)}: {new}",
               cause="a word replaced by nothing or by several, or a loop over a set of words")  # fmt: skip
    return call, new


def changed(tokens: Sequence[str], new: Sequence[str]) -> tuple[int, ...]:
    return tuple(i for i, (old, word) in enumerate(zip(tokens, new, strict=True)) if old != word)


def right(candidate: Candidate, tokens: list[str], table: Table, n: int, rng: Rng, protect: Any = ()) -> None:
    """Count and words of one answer."""
    inputs = {"tokens": tokens, "table": table, "n": n, "rng": rng} | (
        {"protect": protect} if protect else {}
    )
    call, new = answer(candidate, **inputs)
    eligible = places(tokens, table, protect)
    for i in changed(tokens, new):
        options = listed(tokens[i], table)
        call.holds(tokens[i] not in protect, expected=f"{tokens[i]!r} to stay, which is protected",
                   got=f"{new[i]!r} at place {i}",
                   cause="`protect` looked at too late, or not at all")  # fmt: skip
        call.holds(new[i] in options, expected=f"at place {i} one of {options}",
                   got=repr(new[i]), cause="a word drawn from the whole table, a synonym of a synonym, or a "
                   "place looked up in the changed list")  # fmt: skip
    count, wanted = len(changed(tokens, new)), min(n, len(eligible))
    call.holds(count == wanted, expected=f"{wanted} places changed", got=f"{count}: {new}",
               cause="a word replaced by itself, a place drawn twice or counted though it cannot change, or "
               "each occurrence of a word changed at once")  # fmt: skip


def often(candidate: Candidate) -> Callable[..., list[list[str]]]:
    """`candidate` as a function that returns many answers."""

    def run(tokens: list[str], table: Table, n: int, trials: int, rng: Rng) -> list[list[str]]:
        return [candidate(list(tokens), table, n, rng) for _ in range(trials)]

    return run


def even(call: Call, name: str, found: Counter, wanted: Collection[Any], cause: str) -> None:
    """Each of `wanted` is found about equally often, and nothing else."""
    trials, p = sum(found.values()), 1 / len(wanted)
    allowed = _SIGMAS * (p * (1 - p) / trials) ** 0.5
    for item in wanted:
        call.holds(abs(found[item] / trials - p) <= allowed,
                   expected=f"{name} {item}: {p:.3f} ± {allowed:.2g}",
                   got=f"{found[item] / trials:.3f} of {trials} answers", cause=cause)  # fmt: skip


# Checks.


def a_list(candidate: Candidate, rng: Rng) -> None:
    """Returns a list of as many words as came."""
    for text in ("", *_TEXTS):
        answer(candidate, tokens=text.split(), table=_TABLE, n=1, rng=rng)


def exact_count(candidate: Candidate, rng: Rng) -> None:
    """Exactly n different places change, each to another of its listed words."""
    for text in _TEXTS:
        for n in range(1, len(places(text.split(), _TABLE)) + 1):
            for _ in range(6):
                right(candidate, text.split(), _TABLE, n, rng)


def none_asked(candidate: Candidate, rng: Rng) -> None:
    """With n = 0, or no words, nothing changes."""
    for text in ("", *_TEXTS):
        right(candidate, text.split(), _TABLE, 0, rng)
        right(candidate, [], _TABLE, len(text), rng)


def more_asked(candidate: Candidate, rng: Rng) -> None:
    """With n larger than the number of eligible places, all of them change."""
    for text in _TEXTS:
        for more in (1, 3, 1000):
            right(candidate, text.split(), _TABLE, len(text.split()) + more, rng)


def nothing_eligible(candidate: Candidate, rng: Rng) -> None:
    """Words that are not in the table, or are listed with nothing but themselves, stay."""
    for text in ("unknown", "the", "was", "the the was 未知", "the was unknown"):
        for n in (1, 2, 5):
            right(candidate, text.split(), _TABLE, n, rng)
    right(candidate, ["clean"], {}, 2, rng)


def protection(candidate: Candidate, rng: Rng) -> None:
    """Protected words stay, and do not count among the n; `protect` is any collection."""
    text = ["the", "room", "was", "not", "clean", "not", "quiet", "clean"]
    for protect in (("not",), ["clean", "not"], {"room", "quiet"}, frozenset(text), {"not": 1, "room": 2}):
        for n in (1, 2, 3, 9):
            for _ in range(4):
                right(candidate, text, _TABLE, n, rng, protect)
    right(candidate, ["clean", "room"], _TABLE, 2, rng, ("cleaner", "ro"))


def places_even(candidate: Candidate, rng: Rng) -> None:
    """Every set of n eligible places is equally likely."""
    for text, n in (("clean room", 1), ("the clean room was quiet not", 2)):
        tokens = text.split()
        call = Call(often(candidate), tokens=tokens, table=_TABLE, n=n, trials=200, rng=rng)
        even(call, "places", Counter(changed(tokens, new) for new in call.value),
             list(combinations(places(tokens, _TABLE), n)),
             "the first places or neighbors favored, or the same draws each time")  # fmt: skip


def words_even(candidate: Candidate, rng: Rng) -> None:
    """Every listed word but the word itself is equally likely, at each place for itself."""
    for text in ("clean", "tidy", "tidy tidy"):
        tokens = text.split()
        call = Call(often(candidate), tokens=tokens, table=_TABLE, n=9, trials=200, rng=rng)
        even(call, "answer", Counter(tuple(new) for new in call.value),
             list(product(*(listed(word, _TABLE) for word in tokens))),
             "the first listed word always, or one draw for every occurrence of a word")  # fmt: skip


def chance_from_rng(candidate: Candidate, rng: Rng) -> None:
    """All chance comes from rng: the same state gives the same answer, another state another."""
    tokens = ["clean", "tidy", "干净", "clean", "tidy", "干净", "room", "quiet"] * 6
    for n in (8, 40):
        number = int(rng.integers(2**32))
        found = []
        for extra in (0, 0, 1):
            call, new = answer(
                candidate, tokens=tokens, table=_TABLE, n=n, rng=np.random.default_rng(number + extra)
            )
            found.append(new)
        cause = "`random`, `np.random`, a generator made inside, or the order of a set"
        call.equals("the answer, a second time from the same state,", found[1], found[0], cause=cause)
        call.holds(found[2] != found[0], expected="another answer from another state", got="the same one",
                   cause=cause)  # fmt: skip


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves tokens, table and protect as they were, and returns a new list."""
    for text in ("", *_TEXTS):
        for n in (0, 2):
            call = Call(candidate, tokens=text.split(), table=_TABLE, n=n, rng=rng, protect=["room"])
            call.unchanged(cause="a word set in the list that came, or the word removed from its entry")
            call.holds(call.value is not call._passed["tokens"], expected="a new list",
                       got="the list that came", cause="`return tokens` where nothing changes")  # fmt: skip


# Right answers of other style, and wrong ones.


def by_choice(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    able = [
        i
        for i in range(len(tokens))
        if set(table.get(tokens[i], ())) - {tokens[i]} and tokens[i] not in protect
    ]
    chosen = set(rng.choice(able, size=min(n, len(able)), replace=False).tolist()) if able else set()
    return [
        str(rng.choice([w for w in table[word] if w != word])) if i in chosen else word
        for i, word in enumerate(tokens)
    ]


def by_scan(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    """From left to right, each place with the probability that is left for it."""
    able = places(tokens, table, protect)
    new, wanted, left = tokens[:], min(n, len(able)), len(able)
    for i in able:
        if rng.random() * left < wanted:
            options = listed(tokens[i], table)
            new[i] = options[int(rng.random() * len(options))]
            wanted -= 1
        left -= 1
    return new


def by_keys(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    new = [*tokens]
    keys = sorted((rng.random(), i) for i in places(tokens, table, protect))
    while keys and n > 0:
        _, i = keys.pop()
        while new[i] == tokens[i]:
            new[i] = table[tokens[i]][rng.integers(len(table[tokens[i]]))]
        n -= 1
    return new


def own_word_too(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    new = list(tokens)
    able = [i for i, word in enumerate(tokens) if table.get(word) and word not in protect]
    for i in rng.permutation(able)[:n]:
        new[i] = table[tokens[i]][rng.integers(len(table[tokens[i]]))]
    return new


def with_replacement(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    new, able = list(tokens), places(tokens, table, protect)
    for _ in range(n if able else 0):
        i = able[rng.integers(len(able))]
        options = listed(tokens[i], table)
        new[i] = options[rng.integers(len(options))]
    return new


def counts_tries(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    new, able = list(tokens), places(tokens, table, protect)
    for i in rng.permutation(len(tokens))[:n]:
        if i in able:
            options = listed(tokens[i], table)
            new[i] = options[rng.integers(len(options))]
    return new


def protected_later(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    new = synonym_replace(tokens, table, n, rng)
    return [old if old in protect else word for old, word in zip(tokens, new, strict=True)]


def every_occurrence(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    """As in the code published with EDA."""
    new, done = list(tokens), 0
    words = sorted(set(tokens) - set(protect))
    for k in rng.permutation(len(words)):
        if done < n and listed(words[k], table):
            options = listed(words[k], table)
            other = options[rng.integers(len(options))]
            new = [other if word == words[k] else word for word in new]
            done += 1
    return new


def one_draw_a_word(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    fixed = {word: [str(rng.choice(listed(word, table)))] for word in sorted(table) if listed(word, table)}
    return synonym_replace(tokens, fixed, n, rng, protect)


def in_place(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    tokens[:] = synonym_replace(tokens, table, n, rng, protect)
    return tokens


def first_places(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    new = list(tokens)
    for i in places(tokens, table, protect)[:n]:
        options = listed(tokens[i], table)
        new[i] = options[rng.integers(len(options))]
    return new


def first_listed(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    return synonym_replace(tokens, {word: listed(word, table)[:1] for word in table}, n, rng, protect)


def any_word(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    return synonym_replace(tokens, {word: sorted(table) for word in table}, n, rng, protect)


def twice_over(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    new = list(tokens)
    for _ in range(n):  # a word may be replaced again, by a synonym of its synonym
        new = synonym_replace(new, table, 1, rng, protect)
    return new


def by_probability(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    able, new = places(tokens, table, protect), list(tokens)
    for i in able:
        if rng.random() < n / len(able):
            options = listed(tokens[i], table)
            new[i] = options[rng.integers(len(options))]
    return new


def neighbors(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    able, new = places(tokens, table, protect), list(tokens)
    start = int(rng.integers(max(len(able), 1)))
    for i in [*able[start:], *able[:start]][:n]:
        options = listed(tokens[i], table)
        new[i] = options[rng.integers(len(options))]
    return new


def own_generator(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    return synonym_replace(tokens, table, n, np.random.default_rng(), protect)


def same_generator(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    return synonym_replace(tokens, table, n, np.random.default_rng(0), protect)


def by_random(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    new, able = list(tokens), places(tokens, table, protect)
    for i in random.sample(able, min(n, len(able))):
        new[i] = random.choice(listed(tokens[i], table))
    return new


def protect_as_text(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    return synonym_replace(tokens, table, n, rng, " ".join(protect))


def entry_spent(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    for word in table:
        if word in table[word]:
            table[word].remove(word)
    return synonym_replace(tokens, table, n, rng, protect)


def fails_on_too_few(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    new = list(tokens)
    for i in rng.choice(places(tokens, table, protect), size=min(n, len(tokens)), replace=False):
        options = listed(tokens[i], table)
        new[i] = options[rng.integers(len(options))]
    return new


def one_at_least(
    tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()
) -> list[str]:
    return synonym_replace(tokens, table, max(1, n), rng, protect)


def given_back(tokens: list[str], table: Table, n: int, rng: Rng, protect: Collection[str] = ()) -> list[str]:
    return synonym_replace(tokens, table, n, rng, protect) if n and places(tokens, table, protect) else tokens


TASK = Task(
    name="synonym_replace",
    entry="eda_augmentation",
    statement=STATEMENT,
    starter=STARTER,
    reference=synonym_replace,
    hints=HINTS,
    checks=(
        a_list,
        exact_count,
        none_asked,
        more_asked,
        nothing_eligible,
        protection,
        places_even,
        words_even,
        chance_from_rng,
        inputs_kept,
    ),
    wrong={
        "a word may be replaced by itself": own_word_too,
        "places drawn with replacement": with_replacement,
        "tries counted, not changes": counts_tries,
        "protected words put back afterwards": protected_later,
        "protect ignored": lambda tokens, table, n, rng, protect=(): synonym_replace(tokens, table, n, rng),
        "protect searched as text": protect_as_text,
        "every occurrence of a word at once": every_occurrence,
        "one synonym for all occurrences": one_draw_a_word,
        "list changed in place": in_place,
        "the list itself where nothing changes": given_back,
        "first places": first_places,
        "neighboring places": neighbors,
        "first synonym": first_listed,
        "any word of the table": any_word,
        "synonyms of synonyms": twice_over,
        "each place with probability n over eligible": by_probability,
        "at least one place": one_at_least,
        "an error where there are too few places": fails_on_too_few,
        "entries of the table changed": entry_spent,
        "a generator of its own": own_generator,
        "the same draws every time": same_generator,
        "the module random": by_random,
        "joined to a string": lambda *args, **kwargs: " ".join(synonym_replace(*args, **kwargs)),
    },
    also_right={
        "choice without replacement": by_choice,
        "one scan": by_scan,
        "random keys, and rejection": by_keys,
    },
    asked=2,
)
