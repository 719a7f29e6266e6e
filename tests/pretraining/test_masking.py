"""lmprep.pretraining.masking against transformers' collator, against binomial counts, and at the edges."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lmprep.architectures.transformer import EncoderConfig
from lmprep.pretraining.masking import IGNORED, MaskedLM, mlm_mask, nsp_pairs

V, MASK = 50, 3
seeds = st.integers(0, 2**32)
sizes = st.integers(1, 9)
shares = st.sampled_from([0.0, 0.1, 0.15, 0.5, 0.8, 1.0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(B: int, T: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Ids that are no [MASK], and which of them are special: a fifth."""
    g = generator(seed)
    return torch.randint(MASK + 1, V, (B, T), generator=g), torch.rand(B, T, generator=g) < 0.2


def masked(ids: Tensor, special: Tensor, seed: int = 0, **options: Any) -> tuple[Tensor, Tensor]:
    return mlm_mask(ids, special, vocab_size=V, mask_id=MASK, generator=generator(seed), **options)


# --- against transformers ------------------------------------------------------------------------------


class Tokens:
    """What transformers' collator asks of a tokenizer."""

    mask_token = "[MASK]"

    def convert_tokens_to_ids(self, token: str) -> int:
        assert token == self.mask_token
        return MASK

    def __len__(self) -> int:
        return V


def by_transformers(
    ids: Tensor, special: Tensor, seed: int, probability: float, mask_share: float, random_share: float
) -> tuple[Tensor, Tensor]:
    from transformers import DataCollatorForLanguageModeling

    collator = DataCollatorForLanguageModeling(
        tokenizer=Tokens(),  # type: ignore[arg-type]
        mlm_probability=probability,
        mask_replace_prob=mask_share,
        random_replace_prob=random_share,
    )
    collator.generator = generator(seed)
    inputs, labels = collator.torch_mask_tokens(ids.clone(), special_tokens_mask=special)
    return inputs, labels


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("probability", [0.15, 0.4, 1.0])
@pytest.mark.parametrize("mix", [(0.8, 0.1), (1.0, 0.0), (0.8, 0.2), (0.5, 0.3), (0.0, 1.0), (0.9, 0.1)])
def test_it_is_transformers_collator_draw_for_draw(
    mix: tuple[float, float], probability: float, seed: int
) -> None:
    ids, special = batch(32, 16, seed)
    ours = masked(ids, special, seed, probability=probability, mask_share=mix[0], random_share=mix[1])
    theirs = by_transformers(ids, special, seed, probability, *mix)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


def within(hits: Tensor, p: float, sigmas: float = 4.0) -> bool:
    """Whether the share of hits is what a coin with p could give."""
    deviation = abs(hits.double().mean().item() - p)
    return deviation <= sigmas * (p * (1 - p) / hits.numel()) ** 0.5


def test_rates_are_15_percent_and_80_10_10() -> None:
    ids, special = batch(2000, 125)  # 200,000 words
    inputs, labels = masked(ids, special, seed=1)
    chosen = labels != IGNORED
    assert within(chosen[~special], 0.15)
    x, y = inputs[chosen], labels[chosen]
    assert within(x == MASK, 0.8 + 0.1 / V)
    assert within(x == y, 0.1 + 0.1 / V)
    for new in range(V):  # uniform over all ids, special ones too
        assert within((x == new)[y != new], (0.8 if new == MASK else 0.0) + 0.1 / V)
    theirs = by_transformers(ids, special, 2, 0.15, 0.8, 0.1)  # another seed: the same law, other draws
    for measure in (lambda a, b: (b != IGNORED).double(), lambda a, b: (a == MASK).double()):
        a, b = measure(inputs, labels), measure(*theirs)
        allowed = 4 * ((a.var() + b.var()) / a.numel()) ** 0.5
        assert abs(a.mean() - b.mean()) <= allowed


def test_the_loss_is_that_of_the_chosen_positions() -> None:
    ids, special = batch(8, 16)
    _, labels = masked(ids, special)
    logits = torch.randn(8, 16, V, generator=generator(1), dtype=torch.float64)
    chosen = labels != IGNORED
    by_hand = -logits.log_softmax(-1)[chosen].gather(1, labels[chosen, None]).mean()
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    torch.testing.assert_close(loss, by_hand, atol=1e-12, rtol=0)
    assert torch.nn.CrossEntropyLoss().ignore_index == IGNORED


# --- properties ----------------------------------------------------------------------------------------


@given(B=sizes, T=sizes, p=shares, mask_share=shares, random_share=shares, seed=seeds)
def test_the_spec(B: int, T: int, p: float, mask_share: float, random_share: float, seed: int) -> None:
    if mask_share + random_share > 1:
        mask_share, random_share = mask_share / 2, random_share / 2
    ids, special = batch(B, T, seed)
    before = ids.clone(), special.clone()
    options = {"probability": p, "mask_share": mask_share, "random_share": random_share}
    inputs, labels = masked(ids, special, seed, **options)
    assert torch.equal(ids, before[0])
    assert torch.equal(special, before[1])
    assert inputs.shape == labels.shape == ids.shape
    assert inputs.dtype == labels.dtype == torch.long
    chosen = labels != IGNORED
    assert not (chosen & special).any()
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(inputs[~chosen], ids[~chosen])
    assert inputs.min() >= 0
    assert inputs.max() < V
    if p in (0.0, 1.0):
        assert torch.equal(chosen, ~special if p else torch.zeros_like(special))
    if mask_share == 1:
        assert (inputs[chosen] == MASK).all()
    if mask_share == random_share == 0:
        assert torch.equal(inputs, ids)
    again = masked(ids, special, seed, **options)
    assert torch.equal(inputs, again[0])
    assert torch.equal(labels, again[1])


def test_each_epoch_masks_anew_and_the_global_generator_is_left_alone() -> None:
    ids, special = batch(16, 16)
    g = generator()
    state = torch.random.get_rng_state()
    first, second = (mlm_mask(ids, special, vocab_size=V, mask_id=MASK, generator=g) for _ in range(2))
    assert not torch.equal(first[1], second[1])
    assert torch.equal(state, torch.random.get_rng_state())


def test_nothing_to_choose_from() -> None:
    ids, _ = batch(2, 3)
    inputs, labels = masked(ids, torch.ones(2, 3, dtype=torch.bool), probability=1.0)
    assert torch.equal(inputs, ids)
    assert (labels == IGNORED).all()


def test_ids_need_not_be_contiguous() -> None:
    ids, special = batch(5, 4)
    inputs, labels = masked(ids.T, special.T, probability=0.5)
    other = masked(ids.T.contiguous(), special.T.contiguous(), probability=0.5)
    assert torch.equal(inputs, other[0])
    assert torch.equal(labels, other[1])


# --- pairs of sentences --------------------------------------------------------------------------------


@given(lengths=st.lists(st.integers(1, 6), min_size=2, max_size=5).filter(lambda n: max(n) > 1), seed=seeds)
def test_pairs(lengths: list[int], seed: int) -> None:
    documents = [[(d, s) for s in range(length)] for d, length in enumerate(lengths)]
    pairs = nsp_pairs(documents, generator(seed))
    assert [a for a, _, _ in pairs] == [a for document in documents for a in document[:-1]]
    for (d, s), (other, place), is_next in pairs:
        assert is_next == (other == d)
        if is_next:
            assert place == s + 1
    assert pairs == nsp_pairs(documents, generator(seed))


def test_half_of_the_pairs_are_true_and_the_others_come_from_all_other_documents_alike() -> None:
    documents = [[(d, s) for s in range(1000 * (d + 1))] for d in range(4)]
    pairs = nsp_pairs(documents, generator())
    assert within(torch.tensor([is_next for _, _, is_next in pairs]), 0.5)
    false = [(a[0], b[0]) for a, b, is_next in pairs if not is_next]
    totals, counts = Counter(a for a, _ in false), Counter(false)
    for a in range(4):
        for b in set(range(4)) - {a}:  # each document is as likely, however long it is
            assert abs(counts[a, b] / totals[a] - 1 / 3) <= 4 * (2 / 9 / totals[a]) ** 0.5
    assert {b[1] for a, b, is_next in pairs if not is_next and b[0] == 0} <= set(range(1000))


def test_sentences_may_be_anything() -> None:
    documents = [["a", "b"], [torch.zeros(2), torch.ones(2)]]
    assert len(nsp_pairs(documents, generator())) == 2


# --- the model -----------------------------------------------------------------------------------------


def small_bert(**options: Any) -> MaskedLM:
    config = EncoderConfig(vocab_size=V, context_length=8, width=8, num_layers=2, num_heads=2)
    return MaskedLM(config, 3, generator(), **options)


def test_the_models_loss_is_torchs_over_all_positions() -> None:
    model = small_bert(token_std=1.0).double()
    ids, special = batch(6, 8)
    inputs, labels = masked(ids, special, seed=1)
    logits = model(inputs)
    assert logits.shape == (6, 8, V)
    expected = F.cross_entropy(logits.flatten(0, 1), labels.flatten())  # its ignore_index is −100
    found = model.mlm_loss(inputs, labels)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    ours, theirs = (torch.autograd.grad(x, model.encoder.tokens.weight)[0] for x in (found, expected))
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_the_models_weights_come_from_its_generator() -> None:
    state = torch.random.get_rng_state()
    first, again = small_bert(), small_bert()
    assert torch.equal(state, torch.random.get_rng_state())
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert small_bert(token_std=1.0).encoder.tokens.weight.std().item() == pytest.approx(1, rel=0.2)
    assert first.encoder.tokens.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_classification_reads_the_mean_state_and_starts_undecided() -> None:
    model = small_bert()
    ids, _ = batch(4, 8)
    assert model.classify(ids).tolist() == [[0.0] * 3] * 4
    torch.nn.init.normal_(model.classifier.weight, generator=generator(2))
    expected = model.encoder(ids).mean(1) @ model.classifier.weight.mT
    torch.testing.assert_close(model.classify(ids), expected)


# --- bad input -----------------------------------------------------------------------------------------

IDS, NONE = torch.tensor([[4, 5, 6]]), torch.zeros(1, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: masked(IDS.int(), NONE), TypeError, r"ids must be torch\.long, got torch\.int32"),
        (lambda: masked(IDS, NONE.long()), TypeError, r"special must be boolean.* got torch\.int64"),
        (lambda: masked(IDS[0], NONE[0]), ValueError, r"shape \(B, T\), neither zero, got \(3,\)"),
        (lambda: masked(IDS[:0], NONE[:0]), ValueError, r"neither zero, got \(0, 3\)"),
        (lambda: masked(IDS, NONE[:, :2]), ValueError, r"ids' shape \(1, 3\), got \(1, 2\)"),
        (lambda: masked(IDS + V, NONE), ValueError, "ids must be from 0 to 49, got 54 to 56"),
        (lambda: masked(-IDS, NONE), ValueError, "ids must be from 0 to 49, got -6 to -4"),
        (
            lambda: mlm_mask(IDS, NONE, vocab_size=V, mask_id=V, generator=generator()),
            ValueError,
            "mask_id must be from 0 to 49, got 50",
        ),
        (
            lambda: masked(IDS, NONE, probability=1.5),
            ValueError,
            r"probability must be from 0 to 1, got 1\.5",
        ),
        (lambda: masked(IDS, NONE, probability=float("nan")), ValueError, "probability must be"),
        (lambda: masked(IDS, NONE, mask_share=-0.1), ValueError, r"mask_share must be .* got -0\.1"),
        (lambda: masked(IDS, NONE, mask_share=0.95), ValueError, r"must not exceed 1, got 0\.95 \+ 0\.1"),
        (
            lambda: small_bert().mlm_loss(IDS, torch.full_like(IDS, IGNORED)),
            ValueError,
            "labels ask for nothing, all are -100",
        ),
        (lambda: nsp_pairs([["a", "b"]], generator()), ValueError, r"two or more.* got lengths \[2\]"),
        (lambda: nsp_pairs([["a", "b"], []], generator()), ValueError, r"none empty, got lengths \[2, 0\]"),
        (lambda: nsp_pairs([["a"], ["b"]], generator()), ValueError, "no sentence has a next one"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
