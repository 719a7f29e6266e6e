"""Spans from BIO tags, also from tags in an impossible order."""

from collections.abc import Callable
from typing import Any

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Span = tuple[str, int, int]

STATEMENT = r"""
Write `bio_spans(tags)`: the spans that a list of BIO tags marks, as a list of tuples `(label, start, end)`
from left to right, with `end` excluded, so that a span covers `tags[start:end]`. A tag is `"O"`, or `"B-"` or
`"I-"` and a label; the label is all that follows the first hyphen and may hold hyphens itself. `B-x` begins a
span of label x. `I-x` goes on with a span of label x if the tag before belongs to one; otherwise, as a
model's tags may come in any order, it begins a span of label x. The list may be empty, and it stays as it
was.
"""

STARTER = '''
def bio_spans(tags: list[str]) -> list[tuple[str, int, int]]:
    """The spans that BIO tags mark: (label, start, end), end excluded, from left to right.

    tags: "O", or "B-" or "I-" and a label, in any order.
    """
    raise NotImplementedError
'''

HINTS = (
    "Go from left to right and ask two things at each tag: does it end the span that is open, and does it "
    "begin one? What has to happen after the last tag?",
    "An open span ends at an O, at any B, and at an I of another label. A span begins at any B, and at an I "
    "when, after that first question, none is open.",
    "Keep the label and the start of the open span, if there is one. Walk over the tags with one O appended, "
    "so that what is open at the end is closed as well. Cut each tag at its first hyphen alone. Close before "
    "you open.",
)


def bio_spans(tags: list[str]) -> list[tuple[str, int, int]]:
    spans, label, start = [], None, 0
    for i, tag in enumerate([*tags, "O"]):
        if label is not None and tag != f"I-{label}":
            spans.append((label, start, i))
            label = None
        if tag != "O" and label is None:
            label, start = tag[2:], i
    return spans


# What the checks compare with.

LABELS = ("ARG0", "ARG1", "ARGM-TMP", "ARGM", "B", "I-I", "O", "时间")


def by_seqeval(tags: list[str]) -> list[Span]:
    """seqeval's reading, which includes a span's last position."""
    from seqeval.metrics.sequence_labeling import get_entities

    return [(label, start, last + 1) for label, start, last in get_entities(list(tags))]


def random_tags(rng: Rng, length: int, labels: int) -> list[str]:
    """Tags in any order, a label often kept from one to the next."""
    tags: list[str] = []
    for _ in range(length):
        prefix = "OBIII"[int(rng.integers(5))]
        label = LABELS[int(rng.integers(labels))]
        if tags and tags[-1] != "O" and rng.random() < 0.5:
            label = tags[-1][2:]
        tags.append("O" if prefix == "O" else f"{prefix}-{label}")
    return tags


def expect(candidate: Candidate, tags: list[str], want: list[Span], cause: str) -> None:
    call = Call(candidate, tags=tags)
    call.equals("the spans", call.value, want, cause=cause)


# Checks.


def list_of_tuples(candidate: Candidate, rng: Rng) -> None:
    """Returns a list of tuples (label, start, end)."""
    call = Call(candidate, tags=["B-ARG0"])
    right = (
        isinstance(call.value, list)
        and len(call.value) == 1
        and isinstance(call.value[0], tuple)
        and len(call.value[0]) == 3
    )
    call.holds(right, expected="a list that holds one tuple of three", got=repr(call.value)[:80],
               cause="a generator, a dictionary, lists in place of tuples, or spans as strings")  # fmt: skip


def end_excluded(candidate: Candidate, rng: Rng) -> None:
    """A span covers tags[start:end]."""
    cause = "end given as the last position of the span, or positions counted from 1"
    expect(candidate, ["B-ARG0", "O"], [("ARG0", 0, 1)], cause)
    expect(candidate, ["O", "B-ARG1", "I-ARG1", "I-ARG1", "O"], [("ARG1", 1, 4)], cause)


def nothing(candidate: Candidate, rng: Rng) -> None:
    """No tags, or O alone: no spans."""
    cause = "something appended for O, or a first or last tag taken for granted"
    expect(candidate, [], [], cause)
    expect(candidate, ["O"], [], cause)
    expect(candidate, ["O", "O", "O"], [], cause)


def last_span(candidate: Candidate, rng: Rng) -> None:
    """A span that reaches the end of the list is returned."""
    cause = "spans closed by the next tag, with nothing to close the last one"
    expect(candidate, ["O", "B-ARG0"], [("ARG0", 1, 2)], cause)
    expect(candidate, ["B-ARG0", "I-ARG0"], [("ARG0", 0, 2)], cause)


def neighbors(candidate: Candidate, rng: Rng) -> None:
    """B begins a new span, also right after one of the same label."""
    cause = "runs of one label merged, without a look at B"
    expect(candidate, ["B-ARG0", "B-ARG0"], [("ARG0", 0, 1), ("ARG0", 1, 2)], cause)
    expect(candidate, ["B-ARG0", "I-ARG0", "B-ARG0", "I-ARG0"], [("ARG0", 0, 2), ("ARG0", 2, 4)], cause)


def change_of_label(candidate: Candidate, rng: Rng) -> None:
    """An I of another label ends one span and begins the next."""
    cause = "I taken to go on with whatever is open, or dropped because its label does not fit"
    expect(candidate, ["B-ARG0", "I-ARG1"], [("ARG0", 0, 1), ("ARG1", 1, 2)], cause)
    expect(candidate, ["B-ARG0", "I-ARG1", "I-ARG1", "I-ARG0"],
           [("ARG0", 0, 1), ("ARG1", 1, 3), ("ARG0", 3, 4)], cause)  # fmt: skip


def inside_without_begin(candidate: Candidate, rng: Rng) -> None:
    """An I that nothing precedes begins a span."""
    cause = "an I without its B dropped: the strict reading, or a label still open from before the O"
    expect(candidate, ["I-ARG0"], [("ARG0", 0, 1)], cause)
    expect(candidate, ["O", "I-ARG0", "I-ARG0"], [("ARG0", 1, 3)], cause)
    expect(candidate, ["B-ARG0", "O", "I-ARG0"], [("ARG0", 0, 1), ("ARG0", 2, 3)], cause)


def labels_with_hyphens(candidate: Candidate, rng: Rng) -> None:
    """A label may hold hyphens, and be a prefix of another."""
    cause = "a tag cut at its last hyphen or at every one, or labels compared by how they begin"
    expect(candidate, ["B-ARGM-TMP", "I-ARGM-TMP"], [("ARGM-TMP", 0, 2)], cause)
    expect(candidate, ["B-ARGM-TMP", "I-ARGM-LOC"], [("ARGM-TMP", 0, 1), ("ARGM-LOC", 1, 2)], cause)
    expect(candidate, ["B-ARGM", "I-ARGM-TMP", "I-ARGM"],
           [("ARGM", 0, 1), ("ARGM-TMP", 1, 2), ("ARGM", 2, 3)], cause)  # fmt: skip
    expect(candidate, ["B-O", "I-O", "O", "B-I-B"], [("O", 0, 2), ("I-B", 3, 4)], cause)


def agreement(candidate: Candidate, rng: Rng) -> None:
    """Agrees with seqeval on tags in any order."""
    cause = "several of the conventions above at once"
    for length in (1, 2, 3, 4, 6, 9, 15):
        for labels in (1, 2, len(LABELS)):
            for _ in range(12):
                tags = random_tags(rng, length, labels)
                expect(candidate, tags, by_seqeval(tags), cause)


def input_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the list as it was."""
    for length in (1, 5):
        Call(candidate, tags=random_tags(rng, length, 3)).unchanged(
            cause="an O appended to the caller's list, or tags rewritten in place"
        )


# Right answers of other style, and wrong ones.


def by_positions(tags: list[str]) -> list[Span]:
    def goes_on(i: int) -> bool:
        return i > 0 and tags[i][0] == "I" and tags[i - 1] != "O" and tags[i - 1][2:] == tags[i][2:]

    starts = [i for i, tag in enumerate(tags) if tag != "O" and not goes_on(i)]
    spans = []
    for start in starts:
        end = start + 1
        while end < len(tags) and goes_on(end):
            end += 1
        spans.append((tags[start].split("-", 1)[1], start, end))
    return spans


def growing(tags: list[str]) -> list[Span]:
    spans: list[Span] = []
    for i, tag in enumerate(tags):
        prefix, _, label = tag.partition("-")
        if prefix == "I" and spans and spans[-1][0] == label and spans[-1][2] == i:
            spans[-1] = (label, spans[-1][1], i + 1)
        elif tag != "O":
            spans.append((label, i, i + 1))
    return spans


def variant(
    *,
    ends: Callable[[str, str], bool] = lambda tag, label: tag != f"I-{label}",
    begins: Callable[[str], bool] = lambda tag: tag != "O",
    label_of: Callable[[str], str] = lambda tag: tag[2:],
    closed: bool = True,
) -> Candidate:
    """An answer right in everything but what is passed."""

    def answer(tags: list[str]) -> list[Span]:
        spans: list[Span] = []
        label, start = None, 0
        for i, tag in enumerate([*tags, "O"] if closed else tags):
            if label is not None and ends(tag, label):
                spans.append((label, start, i))
                label = None
            if tag != "O" and label is None and begins(tag):
                label, start = label_of(tag), i
        return spans

    return answer


def only_after_another(tags: list[str]) -> list[Span]:
    """Drops an I that follows an O."""
    kept = list(tags)
    for i, tag in enumerate(kept):
        if tag[0] == "I" and (i == 0 or kept[i - 1] == "O"):
            kept[i] = "O"
    return bio_spans(kept)


def appended(tags: list[str]) -> list[Span]:
    tags.append("O")
    return bio_spans(tags)


def as_lists(tags: list[str]) -> Any:
    return [list(span) for span in bio_spans(tags)]


TASK = Task(
    name="bio_spans",
    entry="understanding_contrast_sets",
    statement=STATEMENT,
    starter=STARTER,
    reference=bio_spans,
    hints=HINTS,
    checks=(
        list_of_tuples,
        end_excluded,
        nothing,
        last_span,
        neighbors,
        change_of_label,
        inside_without_begin,
        labels_with_hyphens,
        agreement,
        input_kept,
    ),
    wrong={
        "the last span dropped": variant(closed=False),
        "an O after the last span taken for granted": lambda tags: variant(closed=len(tags) == 1)(tags),
        "neighbors merged": variant(ends=lambda tag, label: tag[2:] != label),
        "change of label ignored": variant(ends=lambda tag, label: not tag.startswith("I-")),
        "strict: an I without its B dropped": variant(begins=lambda tag: tag.startswith("B-")),
        "an I begins only where the label changes": only_after_another,
        "end included": lambda tags: [(label, start, end - 1) for label, start, end in bio_spans(tags)],
        "counted from 1": lambda tags: [(label, start + 1, end + 1) for label, start, end in bio_spans(tags)],
        "label cut at the last hyphen": variant(
            label_of=lambda tag: tag.rsplit("-", 1)[1],
            ends=lambda tag, label: not tag.endswith(f"-{label}") or tag.startswith("B"),
        ),
        "labels compared by how they begin": variant(
            ends=lambda tag, label: not tag.startswith(f"I-{label}")
        ),
        "start before label": lambda tags: [(start, end, label) for label, start, end in bio_spans(tags)],
        "grouped by label": lambda tags: sorted(bio_spans(tags)),
        "single tokens dropped": lambda tags: [s for s in bio_spans(tags) if s[2] - s[1] > 1],
        "lists": as_lists,
        "the first tag taken for granted": lambda tags: bio_spans(tags) if tags[0] else [],
        "two spans at most": lambda tags: bio_spans(tags)[:3],
        "O appended in place": appended,
    },
    also_right={
        "by positions": by_positions,
        "growing the last span": growing,
        "seqeval": by_seqeval,
    },
    asked=1,
)
