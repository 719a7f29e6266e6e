"""lmprep.transfer.strategies against scikit-learn and closed forms, and on the real encoder."""

import re
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from lmprep.pretraining.minilm import MiniLM, minilm
from lmprep.transfer.strategies import (
    LABELS,
    PARAPHRASES,
    UPDATES,
    SentenceClassifier,
    count_trainable,
    fine_tune,
    fit_probe,
    freeze,
    messages,
    paraphrase_accuracy,
    tfidf,
    variance_shares,
)

seeds = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return minilm()


# --- the data ------------------------------------------------------------------------------------------


def test_no_content_word_is_in_two_subjects() -> None:
    words = [
        set(re.findall(r"[a-z]+", " ".join(row).lower())) - ENGLISH_STOP_WORDS - {"soon"} for row in UPDATES
    ]
    shared = [sorted(a & b) for a, b in combinations(words, 2) if a & b]
    assert shared == []


def test_sentences_are_distinct_and_one_a_label() -> None:
    sentences, labels = messages(range(len(UPDATES)))
    assert len(set(sentences)) == len(sentences) == 60
    assert labels.bincount().tolist() == [20, 20, 20]
    assert {len(row) for row in UPDATES} == {len(LABELS)}


def test_messages_come_row_by_row() -> None:
    sentences, labels = messages([3, 1])
    assert sentences == [*UPDATES[3], *UPDATES[1]]
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_paraphrases_share_no_word_but_function_words() -> None:
    for left, right in PARAPHRASES:
        words = [set(re.findall(r"[a-z]+", text.lower())) - ENGLISH_STOP_WORDS for text in (left, right)]
        assert not words[0] & words[1]


# --- freezing and counting -----------------------------------------------------------------------------


def test_freezing_leaves_nothing_to_train() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    assert count_trainable(model) == 3 * 2 + 2 + 4
    freeze(model[0])
    assert count_trainable(model) == 4


def test_a_parameter_used_twice_counts_once() -> None:
    layer = nn.Linear(4, 4, bias=False)
    assert count_trainable(nn.Sequential(layer, layer)) == 16


# --- the probe -----------------------------------------------------------------------------------------


@given(
    N=st.integers(6, 20),
    D=st.integers(1, 8),
    K=st.integers(2, 4),
    penalty=st.sampled_from([0.02, 0.5, 2.0]),
    seed=seeds,
)
def test_the_probe_is_sklearns_logistic_regression(N: int, D: int, K: int, penalty: float, seed: int) -> None:
    x, y = normal(N, D, seed=seed), torch.arange(N) % K
    strength = 1 / (penalty * N) * (2 if K == 2 else 1)  # of two classes, it fits the difference alone
    reference = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(x.numpy(), y.numpy())
    expected = reference.coef_ if K > 2 else np.concatenate([-reference.coef_, reference.coef_]) / 2
    probe = fit_probe(x, y, K, penalty=penalty)
    np.testing.assert_allclose(probe.weight.detach().numpy(), expected, atol=2e-4)


def test_the_probe_keeps_the_dtype_of_its_features_and_needs_no_seed() -> None:
    x, y = normal(12, 4, dtype=torch.float32), torch.arange(12) % 3
    first, second = fit_probe(x, y, 3), fit_probe(x, y, 3)
    assert first.weight.dtype == torch.float32
    assert torch.equal(first.weight, second.weight)


def test_the_probe_works_where_gradients_are_off_and_cuts_its_features_off() -> None:
    x, y = normal(12, 4).requires_grad_(), torch.arange(12) % 3
    with torch.no_grad():
        inside = fit_probe(x, y, 3)
    assert torch.equal(inside.weight, fit_probe(x, y, 3).weight)
    assert x.grad is None


@pytest.mark.parametrize(
    ("shape", "labels", "penalty", "says"),
    [
        ((0, 4), [], 1.0, "features"),
        ((4,), [0, 1, 2, 0], 1.0, "features"),
        ((4, 2), [0, 1, 2], 1.0, "labels"),
        ((4, 2), [0, 1, 2, 3], 1.0, "labels"),
        ((4, 2), [0, 1, 2, -1], 1.0, "labels"),
        ((4, 2), [0, 1, 2, 0], 0.0, "penalty"),
    ],
)
def test_bad_input_of_the_probe_is_named(
    shape: tuple[int, ...], labels: list[int], penalty: float, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        fit_probe(torch.ones(shape), torch.tensor(labels, dtype=torch.long), 3, penalty=penalty)


# --- counted words -------------------------------------------------------------------------------------

words = st.sampled_from(["the", "tap", "works", "Again", "we're", "is", "i", "42"])
texts = st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=6)


@given(reference=texts, others=texts)
def test_tfidf_is_sklearns(reference: list[str], others: list[str]) -> None:
    reference = [*reference, "the tap works"]
    vectorizer = TfidfVectorizer().fit(reference)
    expected = torch.from_numpy(vectorizer.transform(others).toarray()).float()
    torch.testing.assert_close(tfidf(others, reference), expected, atol=1e-6, rtol=0)


def test_tfidf_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="reference"):
        tfidf(["the tap"], ["a", ""])


# --- shares of variance --------------------------------------------------------------------------------


def test_shares_of_pure_cases() -> None:
    labels, subjects = normal(3, 5), normal(4, 5, seed=1)
    assert variance_shares(labels.repeat(4, 1), 3) == pytest.approx((1, 0))
    assert variance_shares(subjects.repeat_interleave(3, dim=0), 3) == pytest.approx((0, 1))
    both = (subjects[:, None] + labels).flatten(0, 1)
    assert sum(variance_shares(both, 3)) == pytest.approx(1)


def test_shares_of_noise_are_their_degrees_of_freedom() -> None:
    label, subject = variance_shares(normal(14 * 3, 20_000), 3)
    assert label == pytest.approx(2 / 41, rel=0.05)
    assert subject == pytest.approx(13 / 41, rel=0.05)


@given(S=st.integers(2, 5), K=st.integers(2, 4), D=st.integers(1, 4), scale=st.floats(0.1, 10), seed=seeds)
def test_shares_do_not_depend_on_place_or_size(S: int, K: int, D: int, scale: float, seed: int) -> None:
    features = normal(S * K, D, seed=seed)
    moved = variance_shares(scale * features + normal(D, seed=seed + 1), K)
    assert moved == pytest.approx(variance_shares(features, K), abs=1e-9)
    assert 0 <= sum(moved) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("features", "says"),
    [(torch.ones(7, 2), "features"), (torch.ones(3, 2), "features"), (torch.ones(6, 2), "variance")],
)
def test_shares_of_what_has_none_are_refused(features: Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        variance_shares(features, 3)


# --- the real encoder ----------------------------------------------------------------------------------


def test_features_are_the_encoders_own_up_to_length(encoder: MiniLM) -> None:
    sentences, _ = messages(range(3))
    model = SentenceClassifier(encoder, 3)
    torch.testing.assert_close(
        model.embed(sentences) / 384**0.5, encoder.encode(sentences), atol=1e-6, rtol=0
    )
    assert model.embed(sentences, every_layer=True).norm(dim=1) == pytest.approx([384**0.5] * 9)


def test_the_average_of_all_layers_begins_with_the_embeddings(encoder: MiniLM) -> None:
    with torch.no_grad():
        layers = encoder.model.layers(*encoder.read(["The tap works"]))
    assert len(layers) == 7
    means = torch.stack([layer[0].mean(0) / layer[0].mean(0).norm() for layer in layers]).mean(0)
    ours = SentenceClassifier(encoder, 3).embed(["The tap works"], every_layer=True)[0]
    torch.testing.assert_close(ours, 384**0.5 * means / means.norm(), atol=1e-4, rtol=0)


def test_padding_changes_no_feature(encoder: MiniLM) -> None:
    model = SentenceClassifier(encoder, 3)
    alone, padded = model.embed(["The tap works"]), model.embed(["The tap works", " ".join(["long"] * 20)])
    torch.testing.assert_close(alone[0], padded[0], atol=1e-4, rtol=0)


def test_a_head_is_drawn_as_hugging_face_does_and_dropout_stays_off(encoder: MiniLM) -> None:
    first, second = (
        SentenceClassifier(encoder, 50, generator=torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert torch.equal(first.head.weight, second.head.weight)
    assert first.head.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert first.head.bias.count_nonzero() == 0
    first.train()
    assert not any(module.training for module in first.modules())


def test_paraphrases_are_matched_by_the_encoder_as_it_came(encoder: MiniLM) -> None:
    assert paraphrase_accuracy(encoder) >= 0.9


def test_fine_tuning_the_head_alone_leaves_the_encoder(encoder: MiniLM) -> None:
    model = SentenceClassifier(encoder, 3, generator=torch.Generator().manual_seed(0))
    freeze(model.encoder)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    sentences, labels = messages(range(2))
    history = fine_tune(model, sentences, labels, [], rate=0.1, head_rate=1e-2, num_steps=5)
    assert history.records[-1].train_loss < history.records[0].train_loss
    after = model.encoder.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_as_many_labels_as_sentences(encoder: MiniLM) -> None:
    sentences, labels = messages(range(2))
    with pytest.raises(ValueError, match="labels"):
        fine_tune(SentenceClassifier(encoder, 3), sentences, labels[1:], [], rate=1, head_rate=1, num_steps=1)
