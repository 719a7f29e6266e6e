"""The chain's sums, maxima and marginals against enumeration, pytorch-crf and hmmlearn; the two fits."""

import itertools
import math
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmprep.foundations.chain import (
    Chain,
    crf_nll,
    fit_crf,
    fit_hmm,
    log_partition,
    marginals,
    path_score,
    tagged,
    viterbi,
    window_features,
)

seeds = st.integers(0, 10**6)
F64 = torch.float64


def chain(
    seed: int, lengths: tuple[int, ...] = (5, 1, 3), K: int = 3
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """unary, trans, tags, mask; NaN in the padding."""
    g = torch.Generator().manual_seed(seed)
    B, T = len(lengths), max(lengths)
    mask = torch.arange(T) < torch.tensor(lengths)[:, None]
    unary = 2 * torch.randn(B, T, K, generator=g, dtype=F64)
    trans = 2 * torch.randn(K, K, generator=g, dtype=F64)
    tags = torch.randint(K, (B, T), generator=g).masked_fill(~mask, -1)
    return unary.masked_fill(~mask[:, :, None], torch.nan), trans, tags, mask


def scores_of_all(unary: Tensor, trans: Tensor, length: int) -> dict[tuple[int, ...], float]:
    K = len(trans)
    return {
        path: sum(unary[t, k].item() for t, k in enumerate(path))
        + sum(trans[i, j].item() for i, j in itertools.pairwise(path))
        for path in itertools.product(range(K), repeat=length)
    }


@given(seed=seeds)
@settings(max_examples=10)
def test_everything_by_enumeration(seed: int) -> None:
    unary, trans, tags, mask = chain(seed)
    log_z, shares, best = (
        log_partition(unary, trans, mask),
        marginals(unary, trans, mask),
        viterbi(unary, trans, mask),
    )
    for b, length in enumerate(mask.sum(dim=1).tolist()):
        scores = scores_of_all(unary[b], trans, length)
        want = math.log(sum(math.exp(score) for score in scores.values()))
        assert log_z[b].item() == pytest.approx(want, abs=1e-10)
        assert tuple(best[b, :length].tolist()) == max(scores, key=scores.__getitem__)
        for t, k in itertools.product(range(length), range(3)):
            share = sum(math.exp(score - want) for path, score in scores.items() if path[t] == k)
            assert shares[b, t, k].item() == pytest.approx(share, abs=1e-10)
        own = scores[tuple(tags[b, :length].tolist())]
        assert path_score(unary, trans, tags, mask)[b].item() == pytest.approx(own, abs=1e-10)
        assert crf_nll(unary, trans, tags, mask)[b].item() == pytest.approx(want - own, abs=1e-10)
    assert (best[~mask] == -1).all() and (shares[~mask] == 0).all()


@given(seed=seeds)
@settings(max_examples=10)
def test_the_gradient_of_log_z_is_the_marginals(seed: int) -> None:
    unary, trans, _, mask = chain(seed, (7, 2, 1, 6), K=4)
    unary.requires_grad_()
    (gradient,) = torch.autograd.grad(log_partition(unary, trans, mask).sum(), unary)
    torch.testing.assert_close(gradient, marginals(unary.detach(), trans, mask), atol=1e-10, rtol=0)


@pytest.mark.parametrize("lengths", [(5, 1, 3), (1,), (4, 4)])
def test_pytorch_crf_agrees(lengths: tuple[int, ...]) -> None:
    from torchcrf import CRF

    unary, trans, tags, mask = chain(3, lengths, K=4)
    unary, tags = unary.nan_to_num(), tags.clamp(min=0)
    theirs = CRF(4, batch_first=True).double()
    g = torch.Generator().manual_seed(4)
    start, end = torch.randn(2, 4, generator=g, dtype=F64)
    with torch.no_grad():
        for parameter, value in ((theirs.transitions, trans), (theirs.start_transitions, start),
                                 (theirs.end_transitions, end)):  # fmt: skip
            parameter.copy_(value)
    features = torch.arange(unary[..., 0].numel()).view(*mask.shape, 1)
    scores = Chain(unary.flatten(0, 1), trans, start, end).unary(features, mask)
    torch.testing.assert_close(crf_nll(scores, trans, tags, mask), -theirs(unary, tags, mask, "none"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="where received a uint8")  # its decoder's, in torch
        wanted = theirs.decode(unary, mask)
    found = viterbi(scores, trans, mask)
    assert [row[keep].tolist() for row, keep in zip(found, mask, strict=True)] == wanted


def test_hmmlearn_agrees() -> None:
    from hmmlearn.hmm import CategoricalHMM

    g = torch.Generator().manual_seed(0)
    start, trans, emit = (torch.rand(*shape, generator=g, dtype=F64) for shape in ((3,), (3, 3), (3, 6)))
    start, trans, emit = (p / p.sum(dim=-1, keepdim=True) for p in (start, trans, emit))
    theirs = CategoricalHMM(3)
    theirs.startprob_, theirs.transmat_, theirs.emissionprob_ = start.numpy(), trans.numpy(), emit.numpy()
    symbols = torch.randint(6, (40,), generator=g)
    mask = torch.ones(1, 40, dtype=torch.bool)
    unary = Chain(emit.T.log(), trans.log(), start.log(), torch.zeros(3, dtype=F64)).unary(
        symbols[None, :, None], mask
    )
    column = symbols[:, None].numpy()
    assert log_partition(unary, trans.log(), mask).item() == pytest.approx(theirs.score(column), abs=1e-8)
    shares = torch.from_numpy(theirs.predict_proba(column))
    torch.testing.assert_close(marginals(unary, trans.log(), mask)[0], shares, atol=1e-8, rtol=0)
    score, _ = theirs.decode(column)  # its path ties with ours: two places with the same symbols swap tags
    best = viterbi(unary, trans.log(), mask)
    assert path_score(unary, trans.log(), best, mask).item() == pytest.approx(score, abs=1e-8)


@given(seed=seeds, shift=st.floats(-50, 50))
@settings(max_examples=10)
def test_shifts_move_log_z_and_nothing_else(seed: int, shift: float) -> None:
    unary, trans, tags, mask = chain(seed)
    moved = unary + shift
    lengths = mask.sum(dim=1)
    torch.testing.assert_close(
        log_partition(moved, trans, mask), log_partition(unary, trans, mask) + shift * lengths
    )
    torch.testing.assert_close(
        marginals(moved, trans, mask), marginals(unary, trans, mask), atol=1e-9, rtol=0
    )
    torch.testing.assert_close(
        crf_nll(moved, trans, tags, mask), crf_nll(unary, trans, tags, mask), atol=1e-9, rtol=0
    )


@given(seed=seeds)
@settings(max_examples=10)
def test_padding_changes_nothing(seed: int) -> None:
    unary, trans, _, mask = chain(seed, (4, 2))
    for b, length in enumerate((4, 2)):
        alone = (unary[b : b + 1, :length], trans, mask[b : b + 1, :length])
        torch.testing.assert_close(log_partition(*alone)[0], log_partition(unary, trans, mask)[b])
        assert viterbi(*alone)[0].tolist() == viterbi(unary, trans, mask)[b, :length].tolist()


def test_long_strings_neither_overflow_nor_underflow() -> None:
    unary = torch.full((1, 3000, 2), -400.0, dtype=F64)
    mask = torch.ones(1, 3000, dtype=torch.bool)
    got = log_partition(unary, torch.zeros(2, 2, dtype=F64), mask).item()
    assert got == pytest.approx(3000 * (math.log(2) - 400))


def test_forbidden_transitions() -> None:
    unary, _, _, mask = chain(1, (6, 3), K=2)
    only_stay = torch.tensor([[0.0, -math.inf], [-math.inf, 0.0]], dtype=F64)
    sums = unary.nan_to_num().sum(dim=1)
    torch.testing.assert_close(log_partition(unary, only_stay, mask), sums.logsumexp(dim=1))
    best = viterbi(unary, only_stay, mask)
    assert best[0].tolist() == [int(sums[0].argmax())] * 6
    torch.testing.assert_close(marginals(unary, only_stay, mask)[0], sums.softmax(dim=1)[0].expand(6, 2))
    nothing = torch.full((2, 2), -math.inf, dtype=F64)
    for function in (marginals, viterbi):
        with pytest.raises(ValueError, match="no tag sequence"):
            function(unary, nothing, mask)


# The two fits.


def strings(seed: int, N: int = 300, T: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    tags = torch.randint(2, (N, T), generator=g)
    features = (
        1 + (tags + 2 * torch.randint(2, (N, T), generator=g) + (torch.rand(N, T, generator=g) < 0.3)) % 4
    )
    mask = torch.arange(T) < torch.randint(1, T + 1, (N, 1), generator=g)
    return features[:, :, None], tags, mask


def test_hmm_by_hand() -> None:
    features = torch.tensor([[[1], [2]], [[2], [1]]])
    tags, mask = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[True, True], [True, False]])
    model = fit_hmm(features, tags, mask, 3, 2, alpha=1.0)
    torch.testing.assert_close(
        model.table.exp(), torch.tensor([[1, 1], [2 / 3, 1 / 4], [1 / 3, 3 / 4]], dtype=F64)
    )
    torch.testing.assert_close(model.start.exp(), torch.tensor([0.5, 0.5], dtype=F64))
    torch.testing.assert_close(model.trans.exp(), torch.tensor([[1 / 4, 2 / 4], [1 / 5, 1 / 5]], dtype=F64))
    torch.testing.assert_close(model.end.exp(), torch.tensor([1 / 4, 3 / 5], dtype=F64))


def test_hmm_has_the_largest_joint_likelihood() -> None:
    features, tags, mask = strings(0)
    model = fit_hmm(features, tags, mask, 5, 2, alpha=1e-9)

    def joint(other: Chain) -> float:
        return path_score(other.unary(features, mask), other.trans, tags, mask).sum().item()

    g = torch.Generator().manual_seed(1)
    for _ in range(5):
        noise = 0.1 * torch.randn(5, 2, generator=g, dtype=F64)
        table = model.table.clone()
        table[1:] = (table[1:] + noise[1:]).log_softmax(dim=0)
        assert joint(Chain(table, model.trans, model.start, model.end)) < joint(model)


def test_crf_gains_conditional_likelihood_and_ends_at_a_maximum() -> None:
    features, tags, mask = strings(1)
    hmm = fit_hmm(features, tags, mask, 5, 2, alpha=1.0)
    crf = fit_crf(hmm, features, tags, mask, l2=1.0, steps=200)

    def nll(model: Chain) -> Tensor:
        return crf_nll(model.unary(features, mask), model.trans, tags, mask).sum()

    assert nll(crf).item() < nll(hmm).item()
    table = crf.table.clone().requires_grad_()
    loss = nll(Chain(table, crf.trans, crf.start, crf.end)) + 0.5 * table.square().sum()
    (gradient,) = torch.autograd.grad(loss, table)
    assert gradient.abs().max().item() < 0.02
    assert (crf.table[0] == 0).all()


def test_one_position_makes_a_crf_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    g = torch.Generator().manual_seed(2)
    tags = torch.randint(3, (200, 1), generator=g)
    features = (1 + (tags + torch.randint(2, (200, 1), generator=g)) % 4)[:, :, None]
    mask = torch.ones(200, 1, dtype=torch.bool)
    zero = Chain(*(torch.zeros(*shape, dtype=F64) for shape in ((5, 3), (3, 3), (3,), (3,))))
    crf = fit_crf(zero, features, tags, mask, l2=1.0, steps=500)
    rows = torch.nn.functional.one_hot(features[:, 0, 0], 5).double()
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(rows.numpy(), tags[:, 0].numpy())
    ours = marginals(crf.unary(features, mask), crf.trans, mask)[:, 0]
    torch.testing.assert_close(ours, torch.from_numpy(theirs.predict_proba(rows.numpy())), atol=2e-3, rtol=0)


def test_a_shifted_row_of_the_table_is_the_same_beginning() -> None:
    features, tags, mask = strings(3, N=40)
    hmm = fit_hmm(features, tags, mask, 5, 2, alpha=1.0)
    moved = Chain(hmm.table + torch.arange(5.0, dtype=F64)[:, None], hmm.trans, hmm.start, hmm.end)
    ours, theirs = (fit_crf(begin, features, tags, mask, l2=1.0, steps=3) for begin in (hmm, moved))
    torch.testing.assert_close(ours.table, theirs.table)


# Strings into features.


def test_tagged_by_hand() -> None:
    characters, tags, mask = tagged([["天", "下雨"], ["图书馆", "下雨", "天"]])
    assert characters.tolist() == [[0, 1, 2, 3, 0, 0, 0, 0], [0, 4, 5, 6, 2, 3, 1, 0]]
    assert tags.tolist() == [[3, 0, 2, 0, 0, 0], [0, 1, 2, 0, 2, 3]]
    assert mask.sum(dim=1).tolist() == [3, 6]
    for bad in ([], [[]], [["天", ""]]):
        with pytest.raises(ValueError, match="sentences"):
            tagged(bad)


def test_windows_by_hand() -> None:
    characters, _, mask = tagged([["天下", "天"], ["下", "天下"]])
    features, V = window_features(characters, slice(0, 2), 5)
    keys = [
        [("here", here), ("left", left), ("right", right), ("pair", left, here), ("pair", here, right, 0)]
        for left, here, right in (" 天下", "天下天", "下天 ", " 下天", "下天下", "天下 ")
    ]
    flat = [key for row in keys for key in row]
    ids = features[mask].flatten().tolist()
    assert len(dict(zip(flat, ids, strict=True))) == len(set(zip(flat, ids, strict=True))) == V - 1
    assert sorted(set(ids)) == list(range(1, V))
    one, V = window_features(characters, slice(0, 1), 1)
    assert V == 3 and torch.equal(one[:, :, 0].masked_fill(~mask, 0), torch.from_numpy(characters[:, 1:-1]))
    unseen = window_features(tagged([["天"], ["下"]])[0], slice(0, 1), 1)[0]
    assert unseen[:, 0, 0].tolist() == [1, 0]
    for columns in (0, 6):
        with pytest.raises(ValueError, match="columns"):
            window_features(characters, slice(0, 2), columns)


# Bad input.


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"unary": torch.zeros(2, 3, 2, dtype=torch.long)}, TypeError, "unary"),
        ({"trans": torch.zeros(2, 2, dtype=torch.long)}, TypeError, "trans"),
        ({"mask": torch.ones(2, 3)}, TypeError, "mask"),
        ({"unary": torch.zeros(2, 3)}, ValueError, "unary"),
        ({"unary": torch.zeros(2, 4, 2)}, ValueError, "unary"),
        ({"trans": torch.zeros(2, 3)}, ValueError, "trans"),
        ({"unary": torch.full((2, 3, 2), torch.nan)}, ValueError, "NaN"),
        ({"trans": torch.full((2, 2), torch.inf)}, ValueError, "inf"),
        ({"mask": torch.zeros(2, 3, dtype=torch.bool)}, ValueError, "first position"),
        ({"mask": torch.tensor([[True, False, True]] * 2)}, ValueError, "gaps"),
        ({"tags": torch.zeros(2, 3)}, TypeError, "tags"),
        ({"tags": torch.zeros(2, 2, dtype=torch.long)}, ValueError, "tags"),
        ({"tags": torch.full((2, 3), 2)}, ValueError, "tags"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Tensor], error: type[Exception], match: str) -> None:
    good: dict[str, Any] = {"unary": torch.zeros(2, 3, 2), "trans": torch.zeros(2, 2),
                            "tags": torch.zeros(2, 3, dtype=torch.long),
                            "mask": torch.ones(2, 3, dtype=torch.bool)}  # fmt: skip
    with pytest.raises(error, match=match):
        crf_nll(**(good | change))


def test_fits_refuse_bad_input() -> None:
    features, tags, mask = strings(4, N=5)
    hmm = fit_hmm(features, tags, mask, 5, 2, alpha=1.0)
    for alpha in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="alpha"):
            fit_hmm(features, tags, mask, 5, 2, alpha=alpha)
    with pytest.raises(ValueError, match="features"):
        fit_hmm(features, tags, mask, 4, 2, alpha=1.0)
    with pytest.raises(ValueError, match="features"):
        fit_hmm(features - 1, tags, mask, 5, 2, alpha=1.0)
    with pytest.raises(TypeError, match="features"):
        fit_hmm(features.int(), tags, mask, 5, 2, alpha=1.0)
    with pytest.raises(ValueError, match="features"):
        fit_hmm(features[:0], tags[:0], mask[:0], 5, 2, alpha=1.0)
    with pytest.raises(ValueError, match="l2"):
        fit_crf(hmm, features, tags, mask, l2=-1.0, steps=3)
    with pytest.raises(ValueError, match="steps"):
        fit_crf(hmm, features, tags, mask, l2=1.0, steps=0)


def test_inputs_stay_as_they_were() -> None:
    unary, trans, tags, mask = chain(5)
    before = [tensor.clone() for tensor in (unary, trans, tags, mask)]
    crf_nll(unary, trans, tags, mask), marginals(unary, trans, mask), viterbi(unary, trans, mask)
    for tensor, copy in zip((unary, trans, tags, mask), before, strict=True):
        torch.testing.assert_close(tensor, copy, equal_nan=True)
