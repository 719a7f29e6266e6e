import importlib.metadata
import os
import subprocess
import sys
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmprep.data import corpora

LICENSES = {  # function -> (words that its docstring must use, where the license is written)
    "english_text": ("PSF-2.0", None),
}


@pytest.fixture(scope="module")
def english():
    return corpora.english_text()


def paragraphs(split):
    return [" ".join(p.split()) for text in split["text"] for p in text.split("\n\n")]


class TestEnglishText:
    def test_splits_are_topics_in_tenths(self, english):
        sizes = {name: sum(map(len, split["text"])) for name, split in english.items()}
        assert tuple(sizes) == corpora.SPLITS
        total = sum(sizes.values())
        for held_out in ("validation", "test"):
            assert 0.09 * total < sizes[held_out] <= 0.1 * total
            assert max(map(len, english[held_out]["text"])) <= 0.25 * 0.1 * total
        topics = [topic for split in english.values() for topic in split["topic"]]
        assert len(topics) == len(set(topics))

    def test_no_paragraph_occurs_twice(self, english):
        everything = [p for split in english.values() for p in paragraphs(split)]
        assert len(everything) == len(set(everything))

    def test_no_paragraph_is_lost(self, english):
        from pydoc_data.topics import topics

        source = {" ".join(p.split()) for text in topics.values() for p in text.split("\n\n")} - {""}
        assert {p for split in english.values() for p in paragraphs(split)} == source

    def test_repeats_were_a_large_part(self, english):
        from pydoc_data.topics import topics

        kept = sum(len(text) for split in english.values() for text in split["text"])
        assert kept < 0.9 * sum(map(len, topics.values()))

    def test_splits_share_almost_no_eight_grams(self, english):
        for one, other in combinations(corpora.SPLITS, 2):
            assert corpora.ngram_overlap(english[other]["text"], english[one]["text"]) < 0.03

    def test_training_text_has_every_character(self, english):
        texts = {name: corpora.normalize_text(" ".join(split["text"])) for name, split in english.items()}
        assert set(texts["validation"] + texts["test"]) <= set(texts["train"])
        assert 60 <= len(corpora.CharVocabulary.from_text(texts["train"])) <= 100

    def test_missing_module_names_the_remedy(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
        with pytest.raises(ModuleNotFoundError, match="full CPython"):
            corpora.english_text()


class TestEveryCorpus:
    def test_same_in_every_process(self):
        code = (
            "from lmprep.data import corpora\n"
            "for load in (corpora.english_text,):\n"
            "    print(*(split._fingerprint for split in load().values()))\n"
        )
        outputs = {
            subprocess.run(
                [sys.executable, "-c", code],
                env=os.environ | {"PYTHONHASHSEED": seed, "LMPREP_SEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert len(outputs) == 1 and len(outputs.pop().split()) == 3

    def test_missing_datasets_names_the_remedy(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(
            ModuleNotFoundError, match=r'datasets is not installed: `pip install "lmprep\[book\]"`'
        ):
            corpora.english_text()


class TestNormalizeText:
    def test_example(self):
        assert corpora.normalize_text("  The\tCat\n\n sat. ") == "the cat sat."

    @given(st.text())
    def test_is_idempotent_and_has_single_spaces(self, text):
        once = corpora.normalize_text(text)
        assert corpora.normalize_text(once) == once
        assert "  " not in once and once == once.strip()

    def test_refuses_a_list(self):
        with pytest.raises(TypeError, match="join the texts first"):
            corpora.normalize_text(["The cat"])


class TestCharVocabulary:
    @given(st.text(min_size=1))
    def test_round_trip(self, text):
        vocabulary = corpora.CharVocabulary.from_text(text)
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids) == text
        assert set(ids) == set(range(len(vocabulary)))

    @given(st.text(min_size=1), st.randoms())
    def test_depends_only_on_the_set_of_characters(self, text, random):
        shuffled = random.sample(text, len(text))
        assert corpora.CharVocabulary.from_text(text) == corpora.CharVocabulary.from_text("".join(shuffled))

    def test_ids_follow_code_points(self):
        vocabulary = corpora.CharVocabulary.from_text("banana 猫")
        assert vocabulary.characters == " abn猫"
        assert vocabulary.encode("nab猫") == [3, 1, 2, 4]

    def test_decodes_tensors_and_arrays(self):
        import numpy as np
        import torch

        vocabulary = corpora.CharVocabulary("abc")
        assert vocabulary.decode(torch.tensor([2, 0, 1])) == "cab"
        assert vocabulary.decode(np.array([2, 0, 1])) == "cab"
        assert vocabulary.decode([]) == "" and vocabulary.encode("") == []

    def test_bad_input(self):
        vocabulary = corpora.CharVocabulary("abc")
        with pytest.raises(ValueError, match=r"text holds 'd'.* 3 characters"):
            vocabulary.encode("abcd")
        for wrong in (-1, 3):
            with pytest.raises(ValueError, match=f"from 0 to 2, got {wrong}"):
                vocabulary.decode([0, wrong])
        with pytest.raises(TypeError):
            vocabulary.decode([0.5])
        for characters in ("", "aba"):
            with pytest.raises(ValueError, match="distinct and at least one"):
                corpora.CharVocabulary(characters)
        with pytest.raises(TypeError, match="text must be one string, got list"):
            corpora.CharVocabulary.from_text(["ab", "c"])


class TestNgramOverlap:
    def test_counted_by_hand(self):
        reference = ["the cat sat on the mat", "dogs bark"]
        assert corpora.ngram_overlap(["a cat sat on a mat"], reference, n=3) == 1 / 4
        assert corpora.ngram_overlap(["the cat sat"], reference, n=3) == 1
        assert corpora.ngram_overlap(["mat dogs", "dogs bark"], reference, n=2) == 1 / 2

    def test_bad_input(self):
        with pytest.raises(ValueError, match="n must be at least 1, got 0"):
            corpora.ngram_overlap(["a b"], ["a b"], n=0)
        with pytest.raises(ValueError, match="no run of 8 words"):
            corpora.ngram_overlap(["too short"], ["a b"])


@pytest.mark.parametrize("function", LICENSES)
def test_license_is_named_and_is_the_package_s_own(function):
    named, package = LICENSES[function]
    assert f"License: {named}" in getattr(corpora, function).__doc__
    if package:
        metadata = importlib.metadata.metadata(package)
        assert named in f"{metadata['License']} {metadata.get_all('Classifier')}"
