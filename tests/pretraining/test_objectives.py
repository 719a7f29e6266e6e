"""lmprep.pretraining.objectives against T5's rule, transformers' losses, enumeration, and at the edges."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmprep.architectures.transformer import GPT, EncoderConfig, GPTConfig, gpt2_weights
from lmprep.pretraining.masking import IGNORED, MaskedLM
from lmprep.pretraining.objectives import (
    causal_batch,
    masked_log_probs,
    pseudo_perplexity,
    span_corrupt,
    span_restore,
)

ENDS = tuple(range(1000, 1100))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def text(T: int, seed: int = 0) -> Tensor:
    return torch.randint(1000, (T,), generator=generator(seed))


def corrupted(
    ids: Tensor, rate: float, mean_length: float = 3, seed: int = 0, sentinels: Sequence[int] = ENDS
) -> tuple[Tensor, Tensor]:
    return span_corrupt(
        ids, rate=rate, mean_length=mean_length, sentinels=sentinels, generator=generator(seed)
    )


# --- spans ---------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(T=st.integers(0, 60), rate=st.floats(0, 1), mean_length=st.floats(1, 9), seed=st.integers(0, 2**32))
def test_spans_are_replaced_listed_and_restored(T: int, rate: float, mean_length: float, seed: int) -> None:
    ids = text(T, seed)
    before = ids.clone()
    inputs, target = corrupted(ids, rate, mean_length, seed)
    assert torch.equal(ids, before)
    assert inputs.dtype == target.dtype == torch.long
    assert torch.equal(span_restore(inputs, target, ENDS), ids)
    asked = [i for i in inputs.tolist() if i >= 1000]
    listed = [i for i in target.tolist() if i >= 1000]
    k = len(asked)
    n = len(target) - k - 1
    assert listed == list(ENDS[: k + 1])
    assert asked == listed[:-1]
    assert target[-1] == ENDS[k]
    assert len(inputs) == T - n + k
    assert abs(n - rate * T) <= 0.5
    assert not any(a >= 1000 and b >= 1000 for a, b in itertools.pairwise(inputs.tolist()))  # none touch
    assert not any(a >= 1000 and b >= 1000 for a, b in itertools.pairwise(target.tolist()))  # none is empty
    if n:
        assert k == min(max(round(n / mean_length), 1), n, T - n + 1)
    again = corrupted(ids, rate, mean_length, seed)
    assert all(map(torch.equal, (inputs, target), again))


def t5_counts(length: int, density: float, mean: float) -> tuple[int, int]:
    """Hidden tokens and spans of T5's `random_spans_noise_mask`."""
    length = max(length, 2)
    hidden = min(max(round(length * density), 1), length - 1)
    return hidden, max(round(hidden / mean), 1)


@pytest.mark.parametrize(("density", "mean"), [(0.15, 3.0), (0.5, 3.0), (0.15, 10.0), (0.3, 2.0)])
def test_counts_are_t5s(density: float, mean: float) -> None:
    for T in range(4, 300):
        inputs, target = corrupted(text(T), density, mean)
        k = int((inputs >= 1000).sum())
        n = len(target) - k - 1
        if n:  # T5 hides at least one token, this rounds
            assert (n, k) == t5_counts(T, density, mean)


def hidden_places(inputs: Tensor, target: Tensor, T: int) -> tuple[int, ...]:
    """Which positions were hidden, of a text of the numbers from 0."""
    return tuple(sorted(set(range(T)) - set(inputs.tolist())))


def test_all_placements_are_equally_likely() -> None:
    T, n, k, draws = 7, 4, 2, 2400
    possible = {
        places
        for places in itertools.combinations(range(T), n)
        if 1 + sum(b - a > 1 for a, b in itertools.pairwise(places)) == k
    }
    g = generator(1)
    ids = torch.arange(T)
    counts = Counter(
        hidden_places(*span_corrupt(ids, rate=n / T, mean_length=2, sentinels=ENDS, generator=g), T)
        for _ in range(draws)
    )
    assert set(counts) == possible
    expected = draws / len(possible)
    chi2 = sum((c - expected) ** 2 / expected for c in counts.values())
    degrees = len(possible) - 1
    assert chi2 < degrees + 5 * math.sqrt(2 * degrees)


def test_edges_of_the_rate() -> None:
    ids = text(6)
    inputs, target = corrupted(ids, 0.0)
    assert torch.equal(inputs, ids)
    assert target.tolist() == [1000]
    inputs, target = corrupted(ids, 1.0)
    assert inputs.tolist() == [1000]
    assert target.tolist() == [1000, *ids.tolist(), 1001]
    inputs, target = corrupted(ids[:0], 0.5)
    assert (inputs.tolist(), target.tolist()) == ([], [1000])
    assert corrupted(ids[:1], 0.15)[1].tolist() == [1000]
    assert corrupted(ids[:1], 0.9)[0].tolist() == [1000]


def test_memory_and_the_global_generator() -> None:
    state = torch.random.get_rng_state()
    ids = text(40)
    spread = torch.stack([ids, ids], dim=1)[:, 0]
    assert not spread.is_contiguous()
    assert all(map(torch.equal, corrupted(spread, 0.3), corrupted(ids, 0.3)))
    assert torch.equal(state, torch.random.get_rng_state())


# --- next tokens ---------------------------------------------------------------------------------------


def test_causal_batch_is_transformers_shift() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_positions": 9, "n_embd": 8, "n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0}
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=12, **sizes)).eval()
    config = GPTConfig(vocab_size=12, context_length=9, width=8, num_layers=1, num_heads=2,
                       activation="gelu_tanh")  # fmt: skip
    ours = GPT(config, generator())
    ours.load_state_dict(gpt2_weights(theirs.state_dict()))
    ids = torch.randint(11, (3, 8), generator=generator(1))
    inputs, targets = causal_batch(ids, start=11)
    assert torch.equal(inputs[:, 0], torch.full((3,), 11))
    assert torch.equal(inputs[:, 1:], ids[:, :-1])
    assert torch.equal(targets, ids)
    whole = torch.cat([inputs, ids[:, -1:]], dim=1)  # transformers shifts inside
    logits = ours(inputs)
    assert isinstance(logits, Tensor)
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(loss, theirs(input_ids=whole, labels=whole).loss, atol=1e-5, rtol=0)


# --- masked scores -------------------------------------------------------------------------------------

V, MASK = 7, 6


def small_bert() -> MaskedLM:
    config = EncoderConfig(vocab_size=V, context_length=5, width=8, num_layers=1, num_heads=2)
    return MaskedLM(config, 2, generator(), token_std=1.0).double()


def test_masked_log_probs_hide_one_token_at_a_time() -> None:
    model = small_bert()
    ids = torch.randint(MASK, (3, 4), generator=generator(1))
    before = ids.clone()
    found = masked_log_probs(model, ids, MASK)
    assert torch.equal(ids, before)
    for b, t in itertools.product(range(3), range(4)):
        hidden = ids[b : b + 1].clone()
        hidden[0, t] = MASK
        expected = F.log_softmax(model(hidden)[0, t], dim=0)[ids[b, t]]
        torch.testing.assert_close(found[b, t], expected, atol=1e-12, rtol=0)
    expected = torch.exp(-found.mean()).item()
    assert pseudo_perplexity(model, ids, MASK) == pytest.approx(expected, abs=1e-12)


def test_masked_log_probs_are_transformers_losses() -> None:
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    config = BertConfig(vocab_size=V, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=16, max_position_embeddings=8)  # fmt: skip
    theirs = BertForMaskedLM(config).eval()
    ids = torch.randint(MASK, (2, 5), generator=generator(1))
    found = masked_log_probs(lambda rows: theirs(rows).logits, ids, MASK)
    for t in range(5):
        hidden, labels = ids.clone(), torch.full_like(ids, IGNORED)
        hidden[:, t], labels[:, t] = MASK, ids[:, t]
        loss = theirs(input_ids=hidden, labels=labels).loss
        torch.testing.assert_close(-found[:, t].mean(), loss, atol=1e-5, rtol=0)


def test_exact_answers_of_twins_multiply_to_k() -> None:
    """Two equal tokens: each is certain given the other, so all K² fillings' products sum to K."""
    K = 3

    def knows_twins(ids: Tensor) -> Tensor:
        logits = torch.zeros(*ids.shape, K, dtype=torch.float64)
        twin = ids.flip(1)
        seen = twin < K
        certain = torch.where(F.one_hot(twin.clamp(max=K - 1), K).bool(), 0.0, -torch.inf).double()
        return torch.where(seen[..., None], certain, logits)

    fillings = torch.cartesian_prod(torch.arange(K), torch.arange(K))
    products = masked_log_probs(knows_twins, fillings, K).sum(dim=1).exp()
    assert products.sum().item() == pytest.approx(K, abs=1e-12)
    assert pseudo_perplexity(knows_twins, torch.tensor([[1, 1]]), K) == 1.0


# --- bad input -----------------------------------------------------------------------------------------

IDS = torch.arange(8)


def restored(inputs: list[int], target: list[int]) -> Tensor:
    return span_restore(torch.tensor(inputs).long(), torch.tensor(target).long(), ENDS)


LONG = {"rate": 0.5, "mean_length": 2, "generator": generator()}


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: corrupted(IDS.int(), 0.5), TypeError, r"ids must be torch\.long, got torch\.int32"),
        (lambda: corrupted(IDS[None], 0.5), ValueError, r"shape \(T,\), one text, got \(1, 8\)"),
        (lambda: corrupted(IDS, 1.5), ValueError, r"rate must be from 0 to 1, got 1\.5"),
        (lambda: corrupted(IDS, float("nan")), ValueError, "rate must be"),
        (lambda: corrupted(IDS, 0.5, 0.5), ValueError, r"mean_length must be at least 1 token, got 0\.5"),
        (lambda: span_corrupt(IDS, sentinels=(90, 91), **LONG), ValueError, "must be 3 or more.* got 2"),
        (lambda: span_corrupt(IDS, sentinels=(), **LONG), ValueError, "or more.* got 0"),
        (lambda: span_corrupt(IDS, sentinels=(90, 90, 91), **LONG), ValueError, "sentinels must differ"),
        (lambda: span_corrupt(IDS, sentinels=(90, 7, 91), **LONG), ValueError, r"occur in ids, got \[7\]"),
        (lambda: span_restore(IDS[None], IDS, ENDS), ValueError, "inputs must have shape"),
        (lambda: span_restore(IDS, IDS.int(), ENDS), TypeError, r"target must be torch\.long"),
        (lambda: restored([1], []), ValueError, r"begin and end with a sentinel, got \[\] and \[\]"),
        (lambda: restored([1000], [2, 1000, 1001]), ValueError, r"sentinel, got \[2\] and \[1001\]"),
        (lambda: restored([1000], [1000, 1, 1001, 2]), ValueError, r"sentinel, got \[1000\] and \[2\]"),
        (lambda: restored([1000, 1000], [1000, 1, 1000, 2, 1001]), ValueError, "each once, got"),
        (
            lambda: restored([1, 1000], [1001, 2, 1002]),
            ValueError,
            r"inputs' sentinels \[1000\] and one more, each once, got \[1001, 1002\]",
        ),
        (lambda: causal_batch(IDS, 0), ValueError, r"shape \(B, T\) and hold at least one token, got \(8,\)"),
        (lambda: causal_batch(IDS[None].float(), 0), TypeError, r"ids must be torch\.long"),
        (lambda: masked_log_probs(small_bert(), IDS[None, :0], MASK), ValueError, r"got \(1, 0\)"),
        (lambda: pseudo_perplexity(small_bert(), IDS, MASK), ValueError, r"got \(8,\)"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
