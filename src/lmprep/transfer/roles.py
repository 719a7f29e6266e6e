"""Who did what to whom: sentences whose roles are known by construction, and tags that mark them.

A `Frame` is one content. It can be said in the active or in the passive voice, and with its two participants
exchanged: four sentences made of one set of words, of which two say one thing and two the opposite.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lmprep.architectures.transformer import Encoder, EncoderConfig, undrawn_linear
from lmprep.evaluation.classification import Scores, scores_from_counts
from lmprep.foundations.chain import viterbi

HUNTERS = ("dogs", "wolves", "hawks", "guards", "soldiers", "teachers", "doctors", "lawyers")
HUNTED = ("cats", "sheep", "mice", "ducks", "thieves", "students", "nurses", "clients")
VERBS = ("chased", "followed", "watched", "found", "helped", "called", "heard", "warned")
ADJECTIVES = ("old", "young", "tired", "hungry", "quiet", "tall")
TIMES = ("night", "day", "noon", "dawn")
WORDS = ("[PAD]", "were", "by", "that", *HUNTERS, *HUNTED, *VERBS, *ADJECTIVES, *TIMES)

ROLES = ("ARG0", "ARG1", "V", "ARGM-TMP")
TAGS = ("O", *(f"{prefix}-{role}" for role in ROLES for prefix in "BI"))

_WORD_IDS = {word: number for number, word in enumerate(WORDS)}
_TAG_IDS = {tag: number for number, tag in enumerate(TAGS)}

Phrase = tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """Someone did something to someone, perhaps at a given time.

    Attributes:
        agent, patient: noun phrases, such as ("old", "dogs") or ("dogs", "that", "were", "old").
        verb: in a form that serves as past tense and as participle.
        time: one of `TIMES`, or None.
    """

    agent: Phrase
    patient: Phrase
    verb: str
    time: str | None = None

    def exchanged(self) -> "Frame":
        """The opposite: the patient does it to the agent."""
        return Frame(self.patient, self.agent, self.verb, self.time)

    def say(self, *, passive: bool) -> tuple[list[str], list[str]]:
        """Words and their BIO tags, with PropBank's names: ARG0 acts, ARG1 is acted on.

        The "by" of a passive is counted to the span of the agent, the auxiliary to none.
        """
        if passive:
            parts = [
                ("ARG1", self.patient),
                ("", ("were",)),
                ("V", (self.verb,)),
                ("ARG0", ("by", *self.agent)),
            ]
        else:
            parts = [("ARG0", self.agent), ("V", (self.verb,)), ("ARG1", self.patient)]
        if self.time is not None:
            parts.append(("ARGM-TMP", ("by", self.time)))
        words = [word for _, phrase in parts for word in phrase]
        tags = [
            f"{'I' if i else 'B'}-{role}" if role else "O"
            for role, phrase in parts
            for i in range(len(phrase))
        ]
        return words, tags


def draw_frames(count: int, typical: float, rng: np.random.Generator) -> list[Frame]:
    """Contents of a small world in which some do the chasing, and others are chased.

    Args:
        count: how many, not negative.
        typical: the share in which one of `HUNTERS` acts on one of `HUNTED`; in the others it is the reverse.
        rng: the source of randomness.

    Raises:
        ValueError: count is negative, or typical is outside [0, 1].
    """
    if count < 0:
        raise ValueError(f"count must not be negative, got {count}")
    if not 0 <= typical <= 1:
        raise ValueError(f"typical must be from 0 to 1, got {typical}")
    frames = []
    for _ in range(count):
        agent, patient = (_phrase(nouns, rng) for nouns in (HUNTERS, HUNTED))
        time = _one_of(TIMES, rng) if rng.random() < 0.5 else None
        frame = Frame(agent, patient, _one_of(VERBS, rng), time)
        frames.append(frame if rng.random() < typical else frame.exchanged())
    return frames


@dataclass(frozen=True)
class RoleBatch:
    """Tagged sentences as tensors, padded at the end.

    Attributes:
        ids: (B, T), places in `WORDS`, 0 in the padding.
        tags: (B, T), places in `TAGS`, −100 in the padding.
        nouns: (B, 2), where the two participants stand, from the left.
        first_acts: (B,), bool, whether the left one is the agent.
    """

    ids: Tensor
    tags: Tensor
    nouns: Tensor
    first_acts: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, T), bool, True on words."""
        return self.ids > 0


def role_batch(frames: Sequence[Frame], passive: Sequence[bool]) -> RoleBatch:
    """What `Frame.say` says of each frame in the voice wanted for it.

    Raises:
        ValueError: there is no frame, or not one voice for each.
    """
    if not frames or len(frames) != len(passive):
        raise ValueError(
            f"frames and passive must be equally many, at least one: got {len(frames)} and {len(passive)}"
        )
    said = [frame.say(passive=bool(voice)) for frame, voice in zip(frames, passive, strict=True)]
    T = max(len(words) for words, _ in said)
    ids = torch.tensor([[_WORD_IDS[w] for w in words] + [0] * (T - len(words)) for words, _ in said])
    tags = torch.tensor([[_TAG_IDS[t] for t in tags] + [-100] * (T - len(tags)) for _, tags in said])
    is_noun = (ids >= _WORD_IDS[HUNTERS[0]]) & (ids <= _WORD_IDS[HUNTED[-1]])
    nouns = is_noun.nonzero()[:, 1].view(-1, 2)  # (B, 2)
    first = tags.gather(1, nouns)[:, 0]  # (B,)
    return RoleBatch(ids, tags, nouns, (first == _TAG_IDS["B-ARG0"]) | (first == _TAG_IDS["I-ARG0"]))


class RoleTagger(nn.Module):
    """A one-block encoder of width 32 with a linear layer to the scores of `TAGS`.

    Args:
        sees_order: whether positions are learned. Without, attention treats a sentence as a set of words.
        generator: the source of the first weights, on the CPU.
    """

    def __init__(self, sees_order: bool, generator: torch.Generator) -> None:
        super().__init__()
        config = EncoderConfig(
            vocab_size=len(WORDS), context_length=13, width=32, num_layers=1, num_heads=4,
            mlp_width=32, norm_first=True, embedding_norm=False, init_std=0.15,
        )  # fmt: skip
        self.encoder = Encoder(config, generator)
        self.head = undrawn_linear(config.width, len(TAGS))
        nn.init.normal_(self.head.weight, std=config.init_std, generator=generator)
        nn.init.zeros_(self.head.bias)
        if not sees_order:
            nn.init.zeros_(self.encoder.positions.weight.requires_grad_(False))

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T), as in `RoleBatch`, to (B, T, K), a score for each tag."""
        return self.head(self.encoder(ids, ids > 0))  # (B, T, D), then (B, T, K)


def first_acts(logits: Tensor, nouns: Tensor) -> Tensor:
    """Whether the left participant gets more of the agent's probability against the patient's than the right.

    Args:
        logits: (B, T, K), a score for each of `TAGS`.
        nouns: (B, 2), as in `RoleBatch`.

    Returns:
        (B,), bool.

    Raises:
        ValueError: shapes do not fit.
    """
    if logits.ndim != 3 or logits.size(2) != len(TAGS) or nouns.shape != (len(logits), 2):
        raise ValueError(f"logits must be (B, T, {len(TAGS)}) and nouns (B, 2), "
                         f"got {tuple(logits.shape)} and {tuple(nouns.shape)}")  # fmt: skip
    there = logits.gather(1, nouns[:, :, None].expand(-1, -1, len(TAGS)))  # (B, 2, K)
    agent, patient = (
        there[:, :, [_TAG_IDS[f"B-{role}"], _TAG_IDS[f"I-{role}"]]].logsumexp(dim=2)
        for role in ("ARG0", "ARG1")
    )
    odds = agent - patient  # (B, 2)
    return odds[:, 0] > odds[:, 1]


def bio_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The labeled spans that BIO tags mark, as (label, start, end), end excluded, from left to right.

    A span begins at a B-, or at an I- that does not go on with a span of its label: as the CoNLL evaluation
    script and seqeval read tags that a model has put into an impossible order.

    Raises:
        TypeError: `tags` is one string.
        ValueError: a tag is neither "O" nor "B-" or "I-" with a label.

    Source: Ramshaw and Marcus (1995), for the tags; Tjong Kim Sang and De Meulder (2003), for the reading.
    """
    if isinstance(tags, str):
        raise TypeError(f"tags must be a list of tags, got the string {tags!r}")
    spans: list[tuple[str, int, int]] = []
    open_label, start = "", 0
    for i, tag in enumerate([*tags, "O"]):  # the last one closes what is open
        prefix, _, label = tag.partition("-")
        if tag != "O" and not (prefix in ("B", "I") and label):
            raise ValueError(f'tags must be "O", or "B-" or "I-" and a label, got {tag!r}')
        if open_label and (prefix != "I" or label != open_label):
            spans.append((open_label, start, i))
            open_label = ""
        if tag != "O" and not open_label:
            open_label, start = label, i
    return spans


def is_valid_bio(tags: Sequence[str]) -> bool:
    """Whether each I- goes on with a span that a B- began.

    Raises:
        TypeError, ValueError: as `bio_spans`.
    """
    return all(tags[start].startswith("B-") for _, start, _ in bio_spans(tags))


def span_scores(predicted: Sequence[Sequence[str]], actual: Sequence[Sequence[str]]) -> Scores:
    """Precision, recall and F1 of spans over all sentences: label and both ends must match.

    Raises:
        TypeError, ValueError: as `bio_spans`, or there are not equally many sentences.

    Source: Carreras and Màrquez (2005).
    """
    if len(predicted) != len(actual):
        raise ValueError(f"there must be as many predicted as actual, got {len(predicted)} and {len(actual)}")
    found, gold = (
        {(n, *span) for n, tags in enumerate(sentences) for span in bio_spans(tags)}
        for sentences in (predicted, actual)
    )
    return scores_from_counts(len(found & gold), len(found), len(gold))


def bio_transitions(tags: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Which tag may come first, and which after which: 0 where it may, −inf where it may not.

    I-x may only follow B-x or I-x.

    Returns:
        (K,) for the first tag and (K, K), entry [i, j] for tag j after tag i; float32.

    Raises:
        TypeError, ValueError: as `bio_spans`, or `tags` is empty.
    """
    if len(tags) == 0:
        raise ValueError("tags is empty: give at least one")
    bio_spans(tags)
    start, after = torch.zeros(len(tags)), torch.zeros(len(tags), len(tags))
    for j, tag in enumerate(tags):
        if tag.startswith("I-"):
            start[j] = -torch.inf
            for i, before in enumerate(tags):
                if before not in (tag, f"B-{tag[2:]}"):
                    after[i, j] = -torch.inf
    return start, after


def best_valid_tags(logits: Tensor, mask: Tensor) -> Tensor:
    """The likeliest of the tag sequences that are valid BIO, by Viterbi.

    Args:
        logits: (B, T, K), a score for each of `TAGS`.
        mask: (B, T), bool, True on words: a prefix of each row.

    Returns:
        (B, T), places in `TAGS`; −1 in the padding.

    Raises:
        TypeError, ValueError: as `foundations.chain.viterbi`.
    """
    start, after = (scores.to(logits) for scores in bio_transitions(TAGS))
    first = torch.zeros_like(logits)
    first[:, 0] = start
    return viterbi(logits + first, after, mask)


def _phrase(nouns: Sequence[str], rng: np.random.Generator) -> Phrase:
    noun, adjective = _one_of(nouns, rng), _one_of(ADJECTIVES, rng)
    phrases: tuple[Phrase, ...] = ((noun,), (adjective, noun), (noun, "that", "were", adjective))
    return phrases[int(rng.integers(3))]


def _one_of(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
