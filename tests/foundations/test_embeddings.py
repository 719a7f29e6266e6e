"""lmprep.foundations.embeddings against brute force, scikit-learn, torch, closed forms, and at the edges."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD

from lmprep.foundations.embeddings import (
    common_direction,
    cooccurrence,
    mix_texts,
    ppmi,
    sentence_vectors,
    sgns_expected_loss,
    sgns_optimum,
    sif_weights,
    svd_vectors,
)
from lmprep.practice import TASKS

TEXTS = st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=6)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_counts(seed: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, 4, shape, generator=generator(seed)).double()


# --- counts --------------------------------------------------------------------------------------------


@given(texts=TEXTS, window=st.integers(1, 9))
def test_cooccurrence_counts_every_pair_within_the_window(texts: list[list[int]], window: int) -> None:
    wanted = np.zeros((6, 6))
    for text in texts:
        for i, word in enumerate(text):
            for j, context in enumerate(text):
                wanted[word, context] += 0 < abs(i - j) <= window
    np.testing.assert_array_equal(cooccurrence(texts, 6, window), wanted)


@given(texts=TEXTS, window=st.integers(1, 4))
def test_cooccurrence_is_symmetric_and_blind_to_the_order_of_texts(
    texts: list[list[int]], window: int
) -> None:
    counts = cooccurrence(texts, 6, window)
    assert torch.equal(counts, counts.T)
    assert torch.equal(counts, cooccurrence(texts[::-1], 6, window))
    assert torch.equal(counts, sum(cooccurrence([text], 6, window) for text in texts))


def test_cooccurrence_takes_tensors_and_nothing() -> None:
    ids = torch.randint(0, 5, (7, 4), generator=generator(0))
    assert torch.equal(cooccurrence(ids, 5, 2), cooccurrence(ids.tolist(), 5, 2))
    assert cooccurrence([], 3, 2).sum() == 0
    assert cooccurrence([[1], [], [2]], 3, 2).sum() == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([[0, 3]], 3, 1), "ids"),
        (([[0, -1]], 3, 1), "ids"),
        (([[0]], 0, 1), "vocab_size"),
        (([[0]], 3, 0), "window"),
    ],
)
def test_cooccurrence_refuses(arguments: tuple, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        cooccurrence(*arguments)


# --- PPMI ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_ppmi_is_the_definition(seed: int) -> None:
    counts = random_counts(seed, 5, 8)
    for shift, power in ((1, 1), (5, 1), (1, 0.75), (2, 0.5)):
        total, columns = counts.sum().item(), counts.sum(0) ** power
        for w in range(5):
            for c in range(8):
                value = 0.0
                if counts[w, c]:
                    q = (columns[c] / columns.sum()).item()
                    ratio = counts[w, c].item() / total / (counts[w].sum().item() / total * q)
                    value = max(0.0, math.log(ratio / shift))
                got = ppmi(counts, shift=shift, power=power)[w, c]
                assert got.item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_ppmi_is_what_the_task_asks_for(seed: int) -> None:
    counts = random_counts(seed, 7, 4)
    torch.testing.assert_close(ppmi(counts), TASKS["ppmi"].reference(counts), atol=1e-12, rtol=0)


@given(seed=st.integers(0, 2**32), factor=st.floats(1e-3, 1e6), power=st.sampled_from((1.0, 0.75)))
def test_ppmi_does_not_see_the_size_of_the_corpus(seed: int, factor: float, power: float) -> None:
    counts = random_counts(seed, 4, 6)
    torch.testing.assert_close(ppmi(counts, power=power), ppmi(counts * factor, power=power))


def test_ppmi_of_nothing_is_zero() -> None:
    assert torch.equal(ppmi(torch.zeros(2, 3)), torch.zeros(2, 3).double())
    counts = torch.tensor([[0, 0, 0], [1, 0, 2], [3, 0, 0]])
    assert ppmi(counts, power=0.75).isfinite().all()
    assert (ppmi(counts)[0] == 0).all() and (ppmi(counts)[:, 1] == 0).all()


def test_ppmi_refuses() -> None:
    for counts, named in (
        (torch.ones(3), "shape"),
        (torch.tensor([[1.0, -1.0]]), "negative"),
        (torch.tensor([[1.0, torch.nan]]), "negative"),
        (torch.tensor([[1.0, torch.inf]]), "finite"),
    ):
        with pytest.raises(ValueError, match=named):
            ppmi(counts)
    with pytest.raises(ValueError, match="shift"):
        ppmi(torch.ones(2, 2), shift=0.5)


# --- SVD -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_svd_vectors_are_sklearns(seed: int) -> None:
    matrix = torch.randn(12, 9, generator=generator(seed), dtype=torch.float64)
    model = TruncatedSVD(4, algorithm="arpack").fit(matrix.numpy())
    vectors = svd_vectors(matrix, 4)
    theirs = model.transform(matrix.numpy()) / np.sqrt(model.singular_values_)  # U √S, up to sign
    np.testing.assert_allclose(vectors @ vectors.T, theirs @ theirs.T, atol=1e-10)


def test_svd_vectors_refuse() -> None:
    with pytest.raises(ValueError, match="width"):
        svd_vectors(torch.ones(3, 4), 4)
    with pytest.raises(ValueError, match="width"):
        svd_vectors(torch.ones(3, 4), 0)
    with pytest.raises(ValueError, match="matrix"):
        svd_vectors(torch.ones(3), 1)


# --- skip-gram -----------------------------------------------------------------------------------------


def problem(seed: int, V: int = 4, C: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of pairs, all positive, and of noise."""
    joint = torch.rand(V, C, generator=generator(seed), dtype=torch.float64) + 0.1
    noise = torch.rand(C, generator=generator(seed + 1), dtype=torch.float64) + 0.1
    return joint / joint.sum(), noise / noise.sum()


def test_expected_loss_is_the_mean_of_sampled_losses() -> None:
    joint, noise = problem(0)
    words, contexts = (torch.randn(n, 3, generator=generator(n)).double() for n in joint.shape)
    k, draws = 3, 400_000
    cells = torch.multinomial(joint.flatten(), draws, replacement=True, generator=generator(7))
    w, c = cells // 5, cells % 5
    negatives = torch.multinomial(noise, draws * k, replacement=True, generator=generator(8)).view(draws, k)
    scores = words @ contexts.T
    sampled = -F.logsigmoid(scores[w, c]) - F.logsigmoid(-scores[w[:, None], negatives]).sum(dim=1)
    error = (sampled.std() / draws**0.5).item()
    expected = sgns_expected_loss(words, contexts, joint, k, noise).item()
    assert sampled.mean().item() == pytest.approx(expected, abs=5 * error)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 4])
def test_optimum_is_the_closed_form(seed: int, k: int) -> None:
    joint, noise = problem(seed)
    wanted = (joint / (k * joint.sum(1, keepdim=True) * noise)).log()
    got = sgns_optimum(joint, k, noise, 10, generator(9))
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)


def test_no_other_dot_products_have_a_smaller_loss() -> None:
    joint, noise = problem(1)
    best = (joint / (2 * joint.sum(1, keepdim=True) * noise)).log()
    identity = torch.eye(5, dtype=torch.float64)
    least = sgns_expected_loss(best, identity, joint, 2, noise)
    for seed in range(20):
        other = best + 0.1 * torch.randn(4, 5, generator=generator(seed)).double()
        assert sgns_expected_loss(other, identity, joint, 2, noise) > least


def test_skip_gram_refuses() -> None:
    joint, noise = problem(0)
    words, contexts = torch.zeros(4, 2).double(), torch.zeros(5, 2).double()
    for arguments, named in (
        ((contexts, words, joint, 1, noise), "joint must be"),
        ((words, contexts, joint, 1, noise[:3]), "noise"),
        ((words, contexts, 100 * joint, 1, noise), "joint must sum"),
        ((words, contexts, joint, 1, 2 * noise), "noise must sum"),
    ):
        with pytest.raises(ValueError, match=named):
            sgns_expected_loss(*arguments)
    with pytest.raises(ValueError, match="positive"):
        sgns_optimum(joint * (joint > joint.min()), 1, noise, 3, generator(0))
    with pytest.raises(ValueError, match="width"):
        sgns_optimum(joint, 1, noise, 0, generator(0))


# --- sentences -----------------------------------------------------------------------------------------


def test_sif_weights_halve_at_a_and_fall() -> None:
    weights = sif_weights(torch.tensor([0.0, 1e-3, 1.0]).double())
    torch.testing.assert_close(weights, torch.tensor([1.0, 0.5, 1 / 1001]).double())
    for frequencies, a in (([0.5, 3.0], 1e-3), ([-0.1], 1e-3), ([torch.nan], 1e-3), ([0.5], 0.0)):
        with pytest.raises(ValueError, match=r"shares|positive"):
            sif_weights(torch.tensor(frequencies), a)


@given(seed=st.integers(0, 2**32))
def test_sentence_vectors_are_torchs_embedding_bag(seed: int) -> None:
    g = generator(seed)
    texts = [torch.randint(0, 6, (int(n),), generator=g) for n in torch.randint(1, 7, (4,), generator=g)]
    vectors = torch.randn(6, 3, generator=g, dtype=torch.float64)
    weights = torch.rand(6, generator=g, dtype=torch.float64)
    ids, lengths = torch.cat(texts), torch.tensor([len(text) for text in texts])
    starts = lengths.cumsum(0) - lengths
    means = F.embedding_bag(ids, vectors, starts, mode="mean")
    torch.testing.assert_close(sentence_vectors(texts, vectors), means)
    sums = F.embedding_bag(ids, vectors, starts, mode="sum", per_sample_weights=weights[ids])
    torch.testing.assert_close(sentence_vectors(texts, vectors, weights), sums / lengths[:, None])


def test_sentence_vectors_refuse() -> None:
    vectors = torch.ones(3, 2)
    for texts, weights, named in (
        ([[0], []], None, "text 1 is empty"),
        ([[0, 3]], None, "ids"),
        ([[0]], torch.ones(2), "weights"),
    ):
        with pytest.raises(ValueError, match=named):
            sentence_vectors(texts, vectors, weights)


@pytest.mark.parametrize("seed", range(5))
def test_common_direction_is_sklearns_first_component(seed: int) -> None:
    sentences = torch.randn(30, 6, generator=generator(seed), dtype=torch.float64) + 0.5
    theirs = TruncatedSVD(1, algorithm="arpack").fit(sentences.numpy()).components_[0]
    assert abs(common_direction(sentences).numpy() @ theirs) == pytest.approx(1.0, abs=1e-12)


def test_common_direction_refuses() -> None:
    for sentences in (torch.ones(3), torch.ones(0, 3)):
        with pytest.raises(ValueError, match="sentences"):
            common_direction(sentences)


@given(seed=st.integers(0, 2**32))
def test_mixes_have_the_common_words_of_one_and_the_others_of_another(seed: int) -> None:
    g = generator(seed)
    texts = [
        torch.randint(0, 8, (int(n),), generator=g).tolist() for n in torch.randint(1, 6, (9,), generator=g)
    ]
    groups = torch.randint(0, 3, (9,), generator=g).tolist()
    fillers, contents, mixes = mix_texts(texts, groups, 3, g)
    assert len(set(fillers)) == len(fillers) and len(set(contents)) == len(contents)
    for filler, content, mix in zip(fillers, contents, mixes, strict=True):
        assert [word for word in mix if word < 3] == [word for word in texts[filler] if word < 3] != []
        assert [word for word in mix if word >= 3] == [word for word in texts[content] if word >= 3] != []
        assert groups[filler] != groups[content]


def test_mixing_wants_a_group_for_each_text() -> None:
    with pytest.raises(ValueError, match="groups"):
        mix_texts([[0], [1]], [0], 1, generator(0))
