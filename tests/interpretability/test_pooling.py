"""lmprep.interpretability.pooling: what each cut severs, and the task that it is tried on."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lmprep.architectures.transformer import EncoderConfig
from lmprep.interpretability.pooling import PooledClassifier, planted_words

V, T, D, K = 9, 5, 8, 3
CONFIG = EncoderConfig(vocab_size=V, context_length=T, width=D, num_layers=2, num_heads=2, init_std=0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def classifier(**options: Any) -> PooledClassifier:
    return PooledClassifier(CONFIG, K, generator(), **options).double().requires_grad_(False)


IDS = torch.randint(V, (4, T), generator=generator(1))
OTHER = IDS.clone()
OTHER[:, 2] = (IDS[:, 2] + 1) % V
KEEP = torch.arange(T).expand(4, T) != 2


def test_shapes_and_sums() -> None:
    logits, weights, maps = classifier()(IDS)
    assert logits.shape == (4, K)
    assert weights.shape == (4, T)
    assert maps.shape == (2, 4, 2, T, T)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4).double())


def test_logits_are_the_rule_of_the_weighted_vectors() -> None:
    model = classifier()
    logits, weights, _ = model(IDS)
    vectors, _ = model.encoder.hidden(IDS)
    torch.testing.assert_close(logits, model.rule(torch.einsum("bt,btd->bd", weights, vectors)))


def test_vectors_take_the_place_of_embeddings_for_that_call_alone() -> None:
    model = classifier()
    vectors = model.encoder.tokens(OTHER)
    torch.testing.assert_close(model(IDS, vectors=vectors)[0], model(OTHER)[0])
    lead = model.margin(IDS, torch.tensor([0, 1, 1, 2]), 2)(vectors)
    other = model(OTHER)[0]
    torch.testing.assert_close(lead, other[range(4), [0, 1, 1, 2]] - other[:, 2])
    assert not model.encoder.tokens._forward_hooks


def test_without_mixing_a_token_reaches_the_logits_through_the_pooling_alone() -> None:
    model = classifier(mixing=False)
    assert not torch.equal(model(IDS)[0], model(OTHER)[0])
    assert torch.equal(model(IDS, pools=KEEP)[0], model(OTHER, pools=KEEP)[0])
    everything = torch.ones(T, T, dtype=torch.bool)
    assert torch.equal(model(IDS, reads=everything)[0], model(IDS)[0])


def test_with_mixing_both_edges_must_be_cut() -> None:
    model = classifier()
    reads = torch.eye(T, dtype=torch.bool) | KEEP[:, None, None]  # nobody else reads token 2
    assert not torch.equal(model(IDS, pools=KEEP)[0], model(OTHER, pools=KEEP)[0])
    assert not torch.equal(model(IDS, reads=reads)[0], model(OTHER, reads=reads)[0])
    assert torch.equal(model(IDS, reads=reads, pools=KEEP)[0], model(OTHER, reads=reads, pools=KEEP)[0])


def test_twins_start_alike() -> None:
    ours, twin = classifier(), classifier(mixing=False)
    for a, b in zip(ours.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
    assert classifier(head_std=0.0).rule.weight.count_nonzero() == 0


# --- planted words -------------------------------------------------------------------------------------


@given(n=st.integers(1, 50), length=st.integers(1, 6), signals=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_the_signal_is_the_label_and_stands_once(n: int, length: int, signals: int, seed: int) -> None:
    ids, labels, decides = planted_words(n, length, 9, signals, generator(seed))
    assert ids.shape == decides.shape == (n, length)
    assert torch.equal(decides, ids < signals)
    assert torch.equal(decides.sum(1), (labels < signals).long())
    planted = labels < signals
    assert torch.equal(ids[decides], labels[planted])
    assert ids.min() >= 0
    assert ids.max() < 9


def test_labels_and_places_are_equally_likely() -> None:
    _, labels, decides = planted_words(6000, 4, 9, 2, generator())
    assert ((labels.bincount() - 2000).abs() < 150).all()
    assert ((decides.sum(0) - 1000).abs() < 120).all()


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: PooledClassifier(CONFIG, 0, generator()),
            ValueError,
            "num_classes must be at least 1, got 0",
        ),
        (lambda: classifier(head_std=-1.0), ValueError, r"head_std must not be negative, got -1\.0"),
        (
            lambda: classifier()(IDS, vectors=torch.zeros(4, T, D + 1)),
            ValueError,
            r"\(4, 5, 8\), got \(4, 5, 9\)",
        ),
        (lambda: classifier()(IDS, pools=KEEP[:, :2]), ValueError, r"ids' shape \(4, 5\) .* got \(4, 2\)"),
        (lambda: classifier()(IDS, pools=KEEP & False), ValueError, "a True in each row"),
        (lambda: classifier()(IDS, pools=KEEP.long()), TypeError, "pools must be boolean"),
        (lambda: planted_words(0, 3, 9, 2, generator()), ValueError, "at least 1, got 0 and 3"),
        (lambda: planted_words(3, 0, 9, 2, generator()), ValueError, "at least 1, got 3 and 0"),
        (lambda: planted_words(3, 3, 9, 9, generator()), ValueError, "from 1 to 8, got 9"),
        (lambda: planted_words(3, 3, 9, 0, generator()), ValueError, "from 1 to 8, got 0"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Tensor], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
