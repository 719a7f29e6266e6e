"""Byte-pair encoding against Hugging Face's `tokenizers`, and what it promises: any bytes come back."""

import json
import random
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from lmprep.data.corpora import chinese_reviews, english_text
from lmprep.foundations.bpe import BPE, chunks

ODD = "它's naïve: 3½ 😀👩‍🚀 tabs\t\tand\n\n  lines_of  ﷽ 明月出天山，苍茫云海间。 ①Ⅷ x² don't DON'T"
# The pattern of `chunks` in Unicode's categories, of which Python's `re` knows only a few.
PATTERN = r"'(?:s|t|re|ve|m|ll|d)| ?[\p{L}\p{Nl}\p{No}]+| ?\p{Nd}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def assigned(character: str) -> bool:
    """In Unicode 3.2 already, whose categories libraries agree on, and no control sign: they differ on what
    of those is white space."""
    return unicodedata.ucd_3_2_0.category(character) not in ("Cn", "Cc", "Cs")


TEXT = st.text(
    st.one_of(
        st.sampled_from(" \n\t'_stdlaeiou12.,，。的一是了山月😀🚀"),
        st.characters(exclude_categories=["Cs"]).filter(assigned),
    ),
    max_size=60,
)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    english = "\n".join(english_text()["train"]["text"])[:60_000]
    chinese = "\n".join(chinese_reviews()["train"]["text"])[:12_000]
    return {"english": english, "chinese": chinese, "both": english[:30_000] + chinese[:6_000]}


@pytest.fixture(scope="module")
def bpe(texts: dict[str, str]) -> BPE:
    return BPE.train(texts["both"], 800)


# --- against tokenizers ------------------------------------------------------------------------------------


def spelled(text: str) -> str:
    """Chunks as words of one character a byte, in the order of the bytes: ids, and ties, are then ours."""
    return " ".join("".join(chr(0x4E00 + byte) for byte in chunk) for chunk in chunks(text))


def trained_by_theirs(text: str, vocab_size: int) -> tuple[Tokenizer, list[tuple[int, int]]]:
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        initial_alphabet=[chr(0x4E00 + byte) for byte in range(256)],
        show_progress=False,
    )
    theirs.train_from_iterator([spelled(text)], trainer)
    merges = json.loads(theirs.to_str())["model"]["merges"]
    return theirs, [(theirs.token_to_id(first), theirs.token_to_id(second)) for first, second in merges]


@pytest.mark.parametrize("name", ["english", "chinese", "both"])
def test_trains_the_same_merges(name: str, texts: dict[str, str]) -> None:
    ours = BPE.train(texts[name], 800)
    theirs, merges = trained_by_theirs(texts[name], 800)
    assert list(ours.merges) == merges
    assert theirs.encode(spelled(texts["both"])).ids == ours.encode(texts["both"])


def test_trains_the_same_merges_where_most_pairs_tie() -> None:
    source = random.Random(0)
    for letters, size in (("ab c", 290), ("abcdefgh ,", 400), ("a ", 270)):
        for _ in range(40):
            text = "".join(source.choices(letters, k=source.randint(0, 300)))
            ours = BPE.train(text, size)
            theirs, merges = trained_by_theirs(text, size)
            assert list(ours.merges) == merges
            assert theirs.encode(spelled(text)).ids == ours.encode(text)


def as_gpt2_spells() -> dict[int, str]:
    """GPT-2's character for each byte: printable ones stand for themselves, others are 256 and up."""
    known = set(pre_tokenizers.ByteLevel.alphabet())
    printable = [byte for byte in range(256) if chr(byte) in known]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def loaded_into_theirs(bpe: BPE) -> Tokenizer:
    """Our merges in their byte-level tokenizer, which cuts and spells the text by itself."""
    alphabet = as_gpt2_spells()
    spelled = ["".join(alphabet[byte] for byte in token) for token in bpe.tokens]
    merges = [(spelled[first], spelled[second]) for first, second in bpe.merges]
    theirs = Tokenizer(models.BPE({token: i for i, token in enumerate(spelled)}, merges))
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return theirs


@settings(max_examples=200)
@given(TEXT)
def test_segments_as_theirs(bpe: BPE, text: str) -> None:
    assert bpe.encode(text) == loaded(bpe).encode(text).ids


_LOADED: dict[int, Tokenizer] = {}


def loaded(bpe: BPE) -> Tokenizer:
    if id(bpe) not in _LOADED:
        _LOADED[id(bpe)] = loaded_into_theirs(bpe)
    return _LOADED[id(bpe)]


def test_segments_english_chinese_and_emoji_as_gpt2_cuts_them(bpe: BPE, texts: dict[str, str]) -> None:
    theirs = loaded_into_theirs(bpe)
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # GPT-2's own pattern
    plain = ODD.replace("½", "").replace("²", "").replace("①Ⅷ", "")  # our letters, its digits
    for text in (texts["english"], texts["chinese"], plain):
        assert theirs.encode(text).ids == bpe.encode(text)


# --- round trips -------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_come_back(bpe: BPE, data: bytes) -> None:
    assert b"".join(chunks(data)) == data
    ids = bpe.encode(data)
    assert bpe.decode(ids) == data
    assert all(0 <= each < bpe.vocab_size for each in ids)


@given(st.text(max_size=100))
def test_any_text_comes_back(bpe: BPE, text: str) -> None:
    ids = bpe.encode(text)
    assert bpe.decode(ids).decode() == text
    assert ids == bpe.encode(text.encode())


@settings(max_examples=50)
@given(TEXT, st.integers(256, 300))
def test_trains_on_anything(text: str, vocab_size: int) -> None:
    trained = BPE.train(text, vocab_size)
    assert 256 <= trained.vocab_size <= vocab_size
    assert trained.decode(trained.encode(text)) == text.encode()


def test_odd_texts(bpe: BPE) -> None:
    for text in (ODD, "", " ", "\n", "\x00", "\u2028", "e\u0301"):
        assert bpe.decode(bpe.encode(text)).decode() == text
    for data in (bytes(range(256)), b"\xff\xfe", "月".encode()[:2], b"caf\xc3 \xa9"):
        assert bpe.decode(bpe.encode(data)) == data
    assert bpe.encode("") == []
    assert bpe.decode([]) == b""


# --- what training does ------------------------------------------------------------------------------------


def test_merges_by_hand() -> None:
    trained = BPE.train("new newer newest renew", 260)
    assert trained.tokens[256:] == (b"ew", b"new", b" new", b" newe")
    assert [trained.tokens[i] for i in trained.encode("a newt")] == [b"a", b" new", b"t"]


def test_overlapping_pairs_merge_from_the_left() -> None:
    trained = BPE([(97, 97)])
    assert trained.encode("aaaaa") == [256, 256, 97]


def test_merges_come_back_from_json() -> None:
    trained = BPE.train("new newer newest renew", 260)
    assert BPE(json.loads(json.dumps(trained.merges))).merges == trained.merges


def test_no_token_reaches_across_chunks() -> None:
    trained = BPE.train("ab 12 ab 12 ab 12, ab 12,", 400)
    assert all(len(chunks(token)) == 1 for token in trained.tokens)


def test_a_prefix_of_the_merges_is_the_smaller_tokenizer(texts: dict[str, str], bpe: BPE) -> None:
    assert BPE.train(texts["both"], 400).merges == bpe.merges[:144]
    shorter = BPE(bpe.merges[:144])
    assert len(shorter.encode(ODD)) >= len(bpe.encode(ODD))


def test_it_ends_when_no_pair_occurs_twice() -> None:
    assert BPE.train("abcd", 300).merges == ()
    assert BPE.train("", 300).vocab_size == 256


def test_the_same_bytes_are_one_token() -> None:
    bpe = BPE([(97, 98), (98, 99), (256, 99), (97, 257)])  # "ab" + "c" and "a" + "bc"
    assert bpe.tokens[256:] == (b"ab", b"bc", b"abc")
    assert bpe.encode("abc") == [258]


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: BPE.train("text", 255), ValueError, "vocab_size must be at least 256"),
        (lambda: BPE.train(["text"], 300), TypeError, "string or bytes, got list"),  # type: ignore[arg-type]
        (lambda: BPE([]).encode(None), TypeError, "string or bytes, got NoneType"),  # type: ignore[arg-type]
        (lambda: BPE([]).encode("\ud800"), ValueError, "surrogates not allowed"),
        (lambda: BPE([(97, 256)]), ValueError, r"ids from 0 to 255 here, got \(97, 256\)"),
        (lambda: BPE([(-1, 97)]), ValueError, r"got \(-1, 97\)"),
        (lambda: BPE([(97, 98), (97, 98)]), ValueError, "distinct"),
        (lambda: BPE([(97, 98, 99)]), ValueError, "too many values"),  # type: ignore[list-item]
        (lambda: BPE([]).decode([256]), ValueError, "ids must be from 0 to 255, got 256"),
        (lambda: BPE([]).decode([-1]), ValueError, "got -1"),
        (lambda: BPE([]).decode([1.0]), TypeError, "integer"),  # type: ignore[list-item]
    ],
)
def test_bad_input(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
