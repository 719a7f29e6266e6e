"""lmprep.transfer.roles against seqeval, against enumeration, and at the edges."""

import itertools
import re
from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.scheme import IOB2, Entities

from lmprep.transfer.roles import (
    HUNTED,
    HUNTERS,
    TAGS,
    WORDS,
    Frame,
    RoleTagger,
    best_valid_tags,
    bio_spans,
    bio_transitions,
    draw_frames,
    first_acts,
    is_valid_bio,
    role_batch,
    span_scores,
)

FRAME = Frame(("old", "dogs"), ("cats", "that", "were", "tired"), "chased", "night")
VOICES = (False, True)


def test_a_frame_is_said_in_both_voices() -> None:
    words, tags = FRAME.say(passive=False)
    assert " ".join(words) == "old dogs chased cats that were tired by night"
    assert bio_spans(tags) == [("ARG0", 0, 2), ("V", 2, 3), ("ARG1", 3, 7), ("ARGM-TMP", 7, 9)]
    words, tags = FRAME.say(passive=True)
    assert " ".join(words) == "cats that were tired were chased by old dogs by night"
    assert bio_spans(tags) == [("ARG1", 0, 4), ("V", 5, 6), ("ARG0", 6, 9), ("ARGM-TMP", 9, 11)]
    assert tags[4] == "O"


@pytest.mark.parametrize("passive", VOICES)
def test_exchanging_keeps_the_words_and_turns_the_roles(passive: bool) -> None:
    for frame in draw_frames(50, 0.5, np.random.default_rng(0)):
        assert frame.exchanged().exchanged() == frame
        here, there = frame.say(passive=passive)[0], frame.exchanged().say(passive=passive)[0]
        assert Counter(here) == Counter(there)
        assert here != there
        first = [role_batch([f], [passive]).first_acts.item() for f in (frame, frame.exchanged())]
        assert first == [not passive, not passive]  # who comes first depends on the voice alone


def test_frames_are_typical_as_often_as_asked() -> None:
    def share(typical: float) -> float:
        frames = draw_frames(1000, typical, np.random.default_rng(1))
        return float(np.mean([bool(set(frame.agent) & set(HUNTERS)) for frame in frames]))

    assert (share(1.0), share(0.0)) == (1.0, 0.0)
    assert share(0.9) == pytest.approx(0.9, abs=0.04)
    assert draw_frames(0, 0.5, np.random.default_rng(2)) == []


def test_actives_leave_no_word_of_passives_unseen() -> None:
    frames = draw_frames(500, 0.9, np.random.default_rng(3))
    seen = [{word for frame in frames for word in frame.say(passive=voice)[0]} for voice in VOICES]
    assert seen[1] <= seen[0] <= set(WORDS)


@pytest.mark.parametrize(
    ("count", "typical", "named"), [(-1, 0.5, "count"), (3, 1.5, "typical"), (3, -0.1, "typical")]
)
def test_frames_out_of_range_are_refused(count: int, typical: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        draw_frames(count, typical, np.random.default_rng(0))


def test_a_batch_holds_what_was_said() -> None:
    frames = draw_frames(40, 0.7, np.random.default_rng(4))
    voices = [bool(n % 2) for n in range(40)]
    batch = role_batch(frames, voices)
    for n, (frame, voice) in enumerate(zip(frames, voices, strict=True)):
        words, tags = frame.say(passive=voice)
        length = int(batch.mask[n].sum())
        assert [WORDS[i] for i in batch.ids[n, :length]] == words
        assert [TAGS[i] for i in batch.tags[n, :length]] == tags
        assert (batch.ids[n, length:] == 0).all() and (batch.tags[n, length:] == -100).all()
        assert all(words[i] in HUNTERS + HUNTED for i in batch.nouns[n])
        assert batch.first_acts[n].item() == (not voice)


def test_a_batch_needs_a_voice_for_each_frame() -> None:
    for frames, voices in (([], []), ([FRAME], []), ([FRAME], VOICES)):
        with pytest.raises(ValueError, match="equally many"):
            role_batch(frames, voices)


def test_the_agent_is_who_has_more_of_its_tags() -> None:
    batch = role_batch([FRAME, FRAME], VOICES)
    logits = torch.nn.functional.one_hot(batch.tags.clamp(min=0), len(TAGS)).float()
    assert torch.equal(first_acts(logits, batch.nouns), batch.first_acts)
    assert torch.equal(first_acts(-logits, batch.nouns), ~batch.first_acts)


def test_begun_and_continued_spans_count_alike() -> None:
    logits = torch.full((1, 2, len(TAGS)), -9.0)
    logits[0, 0, TAGS.index("I-ARG0")] = 1.0
    logits[0, 1, TAGS.index("B-ARG0")] = 0.0
    assert first_acts(logits, torch.tensor([[0, 1]])).item()


def test_first_acts_refuses_other_shapes() -> None:
    for logits, nouns in ((torch.zeros(2, 3), torch.zeros(2, 2)), (torch.zeros(2, 3, 4), torch.zeros(2, 2)),
                          (torch.zeros(2, 3, len(TAGS)), torch.zeros(2, 3))):  # fmt: skip
        with pytest.raises(ValueError, match="nouns"):
            first_acts(logits, nouns.long())


any_tag = st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B", "B-A-B", "I-A-B", "B-O", "I-时间"])


@given(st.lists(any_tag, max_size=12))
def test_spans_are_seqevals(tags: list[str]) -> None:
    assert bio_spans(tags) == [(label, start, last + 1) for label, start, last in get_entities(list(tags))]


@given(st.lists(any_tag, max_size=12))
def test_spans_are_in_order_and_apart(tags: list[str]) -> None:
    spans = bio_spans(tags)
    assert all(start < end for _, start, end in spans)
    assert all(a[2] <= b[1] for a, b in itertools.pairwise(spans))
    assert sum(end - start for _, start, end in spans) == sum(tag != "O" for tag in tags)


@pytest.mark.parametrize("tag", ["", "B", "I-", "X-A", "b-A", "A"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(tag))):
        bio_spans(["O", tag])


def test_a_string_is_no_list_of_tags() -> None:
    with pytest.raises(TypeError, match="string"):
        bio_spans("OO")
    with pytest.raises(ValueError, match="empty"):
        bio_transitions([])


def test_transitions_allow_what_bio_allows() -> None:
    start, after = bio_transitions(TAGS)
    for tag, score in zip(TAGS, start, strict=True):
        assert (score == 0) == (not tag.startswith("I-"))
    for (i, before), (j, tag) in itertools.product(enumerate(TAGS), repeat=2):
        goes_on = before != "O" and before[2:] == tag[2:]
        assert (after[i, j] == 0) == (not tag.startswith("I-") or goes_on)


@given(st.lists(any_tag, max_size=8))
def test_valid_is_what_a_strict_reader_reads_as_well(tags: list[str]) -> None:
    """The strict reading drops each I that nothing begins; the lenient one makes a span of it."""
    strict = Entities([tags], IOB2).entities[0]
    assert is_valid_bio(tags) == (len(strict) == len(bio_spans(tags)))


@given(st.lists(st.lists(any_tag, min_size=1, max_size=6), min_size=1, max_size=4), st.randoms())
def test_span_scores_are_seqevals(actual: list[list[str]], random: Random) -> None:
    predicted = [[random.choice([tag, "O", "B-A", "I-A"]) for tag in tags] for tags in actual]
    theirs = precision_recall_fscore_support(actual, predicted, average="micro", zero_division=0)[:3]
    assert span_scores(predicted, actual) == pytest.approx(tuple(map(float, theirs)))


def test_span_scores_want_as_many_sentences() -> None:
    with pytest.raises(ValueError, match="as many"):
        span_scores([["O"]], [])


def test_without_positions_only_the_words_count() -> None:
    contents = draw_frames(30, 0.5, np.random.default_rng(6))
    said = [
        role_batch([frame.exchanged() if turn else frame for frame in contents], [True] * 30)
        for turn in (0, 1)
    ]
    answers = {}
    for sees_order in (False, True):
        tagger = RoleTagger(sees_order, torch.Generator().manual_seed(7)).double()
        trained = {name for name, weight in tagger.named_parameters() if weight.requires_grad}
        assert ("encoder.positions.weight" in trained) == sees_order
        with torch.no_grad():
            answers[sees_order] = [first_acts(tagger(batch.ids), batch.nouns) for batch in said]
    assert torch.equal(answers[False][0], ~answers[False][1])  # the same noun, which now stands elsewhere
    assert not torch.equal(answers[True][0], ~answers[True][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_viterbi_finds_the_best_valid_sequence(dtype: torch.dtype) -> None:
    logits = torch.randn(5, 3, len(TAGS), generator=torch.Generator().manual_seed(5), dtype=dtype)
    mask = torch.tensor([[True] * 3, [True] * 3, [True] * 3, [True, True, False], [True, False, False]])
    found = best_valid_tags(logits, mask)
    for scores, length, tags in zip(logits, mask.sum(dim=1).tolist(), found.tolist(), strict=True):
        valid = [
            path
            for path in itertools.product(range(len(TAGS)), repeat=length)
            if is_valid_bio([TAGS[t] for t in path])
        ]
        best = max(valid, key=lambda path: sum(scores[t, tag].item() for t, tag in enumerate(path)))
        assert tags == [*best, *[-1] * (3 - length)]
