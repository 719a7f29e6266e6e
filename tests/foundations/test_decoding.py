"""Filters and beam search against transformers' own and enumeration, samplers against enumerated
probabilities, and the edges of all."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lmprep.foundations.decoding import (
    Filter,
    beam_search,
    greedy,
    min_p,
    sample,
    sampler,
    temperature,
    top_k,
    top_p,
    viterbi,
)

FILTERS = [partial(temperature, t=0.7), partial(top_k, k=2), partial(top_p, p=0.8), partial(min_p, p=0.1)]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logits_without_ties(rows: int, vocabulary: int, scale: float, seed: int) -> Tensor:
    logits = scale * torch.randn(rows, vocabulary, generator=generator(seed))
    assert all(len(row.unique()) == vocabulary for row in logits)
    return logits


# Values whose spacing is far above rounding, and ties among them.
logit_rows = st.lists(st.integers(-8, 8).map(lambda n: n / 2), min_size=1, max_size=12).map(torch.tensor)


# --- reference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.3, 3.0, 20.0])
@pytest.mark.parametrize("vocabulary", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *[(partial(temperature, t=t), TemperatureLogitsWarper(t)) for t in (0.1, 1.0, 2.5)],
        *[(partial(top_k, k=k), TopKLogitsWarper(k)) for k in (1, 3, 50, 5000)],
        *[(partial(top_p, p=p), TopPLogitsWarper(p)) for p in (0.0, 0.3, 0.9, 0.999)],
        *[(partial(min_p, p=p), MinPLogitsWarper(p)) for p in (0.0, 0.05, 0.5, 1.0)],
    ],
)
def test_filters_equal_those_of_transformers(
    ours: Filter, theirs: LogitsProcessor, vocabulary: int, scale: float
) -> None:
    logits = logits_without_ties(6, vocabulary, scale, seed=vocabulary)
    torch.testing.assert_close(ours(logits), theirs(torch.empty(0), logits), rtol=0, atol=0)


def test_a_chain_of_filters_equals_the_chain_of_transformers() -> None:
    logits = logits_without_ties(8, 200, 3.0, seed=1)
    warpers: list[Callable[..., Tensor]] = [
        TemperatureLogitsWarper(1.5),
        TopKLogitsWarper(40),
        TopPLogitsWarper(0.9),
        MinPLogitsWarper(0.02),
    ]
    theirs = logits
    for warper in warpers:
        theirs = warper(torch.empty(0), theirs)
    ours = min_p(top_p(top_k(temperature(logits, 1.5), 40), 0.9), 0.02)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    kept = (ours > -math.inf).sum(dim=-1)
    assert ((kept > 1) & (kept < 40)).all()  # every filter had something to do


# --- worked by hand --------------------------------------------------------------------------------------

# Probabilities in an order that is neither rising nor falling.
HAND = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15]).log()


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (partial(top_k, k=1), [1]),
        (partial(top_k, k=3), [1, 3, 4]),
        (partial(top_k, k=5), [0, 1, 2, 3, 4]),
        (partial(top_k, k=6), [0, 1, 2, 3, 4]),
        (partial(top_p, p=0.0), [1]),
        (partial(top_p, p=0.39), [1]),
        (partial(top_p, p=0.41), [1, 3]),
        (partial(top_p, p=0.84), [1, 3, 4]),
        (partial(top_p, p=0.86), [0, 1, 3, 4]),
        (partial(top_p, p=1.0), [0, 1, 2, 3, 4]),
        (partial(min_p, p=0.0), [0, 1, 2, 3, 4]),
        (partial(min_p, p=0.24), [0, 1, 3, 4]),
        (partial(min_p, p=0.26), [1, 3, 4]),
        (partial(min_p, p=1.0), [1]),
    ],
)
def test_hand_worked_sets(keep: Filter, kept: list[int]) -> None:
    filtered = keep(HAND)
    assert (filtered > -math.inf).nonzero().flatten().tolist() == kept
    assert filtered[kept].equal(HAND[kept])


def test_order_of_temperature_and_top_p_matters() -> None:
    first_hot = top_p(temperature(HAND, 4.0), 0.6)
    first_cut = temperature(top_p(HAND, 0.6), 4.0)
    assert (first_hot > -math.inf).sum() == 3
    assert (first_cut > -math.inf).sum() == 2


def test_ties() -> None:
    tied = torch.tensor([1.0, 2.0, 2.0, 2.0, 0.0])
    assert (top_k(tied, 2) > -math.inf).tolist() == [False, True, True, True, False]  # all that tie
    assert (top_p(tied, 0.5) > -math.inf).tolist() == [False, True, True, False, False]  # the smallest set
    assert (min_p(tied, 1.0) > -math.inf).tolist() == [False, True, True, True, False]
    assert greedy(tied) == 1
    assert (top_p(torch.zeros(100), 0.245) > -math.inf).nonzero().flatten().tolist() == list(range(25))


@pytest.mark.parametrize(("p", "kept"), [(0.25, 1), (0.5, 2), (0.75, 3)])
def test_a_set_that_reaches_p_exactly_is_large_enough(p: float, kept: int) -> None:
    assert (top_p(torch.zeros(4), p) > -math.inf).sum() == kept


def test_double_precision_is_kept() -> None:
    logits = torch.tensor([0.0, -27.0], dtype=torch.float64)  # probabilities 1 − 2e-12 and 2e-12
    assert top_p(logits, 1 - 1e-12).equal(logits)


def test_p_of_one_keeps_what_rounds_to_nothing() -> None:
    logits = torch.tensor([[0.0, -200.0, -40.0, -math.inf]])
    assert top_p(logits, 1.0).equal(logits)
    assert logits.softmax(-1)[0, 1] == 0


# --- properties ------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(logit_rows, st.floats(0, 1))
def test_top_p_keeps_the_smallest_set_that_reaches_p(logits: Tensor, p: float) -> None:
    probabilities = logits.double().softmax(-1)
    kept = top_p(logits, p) > -math.inf
    assert kept.any()
    assert probabilities[kept].sum() >= p - 1e-6
    if kept.sum() > 1 and p < 1:  # without its least likely member the set falls short
        assert probabilities[kept].sum() - probabilities[kept].min() < p + 1e-6
    if not kept.all():
        assert probabilities[kept].min() >= probabilities[~kept].max()


@settings(max_examples=100, deadline=None)
@given(logit_rows, st.integers(1, 15))
def test_top_k_keeps_exactly_what_fewer_than_k_tokens_beat(logits: Tensor, k: int) -> None:
    beaten_by = (logits[None, :] > logits[:, None]).sum(dim=1)
    assert (top_k(logits, k) > -math.inf).equal(beaten_by < k)


@settings(max_examples=100, deadline=None)
@given(logit_rows, st.sampled_from(FILTERS), st.integers(-50, 50))
def test_filters_ignore_a_common_shift(logits: Tensor, keep: Filter, shift: int) -> None:
    """Logits are known up to a constant: shifted ones give the same distribution."""
    torch.testing.assert_close(keep(logits + shift).softmax(-1), keep(logits).softmax(-1), rtol=0, atol=2e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(FILTERS))
def test_leading_dimensions_are_independent_rows(seed: int, keep: Filter) -> None:
    logits = torch.randn(2, 3, 9, generator=generator(seed))
    before = logits.clone()
    stacked = torch.stack([torch.stack([keep(row) for row in rows]) for rows in logits])
    assert keep(logits).equal(stacked)
    assert logits.equal(before)


@pytest.mark.parametrize("keep", FILTERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtype_and_masked_entries_survive(keep: Filter, dtype: torch.dtype) -> None:
    logits = torch.tensor([[0.5, -math.inf, 2.0, -1.0]], dtype=dtype)
    filtered = keep(logits)
    assert filtered.dtype == dtype
    assert filtered[0, 1] == -math.inf
    assert filtered[0, 2] > -math.inf


def test_sixteen_bit_logits_keep_the_float32_nucleus() -> None:
    logits = torch.randn(4, 50_000, generator=generator(2)).bfloat16()
    kept = (top_p(logits, 0.9) > -math.inf).sum(-1)
    assert kept.equal((top_p(logits.float(), 0.9) > -math.inf).sum(-1))
    assert ((kept > 20_000) & (kept < 45_000)).all()


# --- samplers --------------------------------------------------------------------------------------------


def test_samples_follow_the_probabilities() -> None:
    probabilities = torch.tensor([0.05, 0.5, 0.15, 0.3], dtype=torch.float64)
    ids = sample(probabilities.log().expand(20_000, 4), generator(3))
    counts = torch.bincount(ids, minlength=4)
    assert chisquare(counts.numpy(), (20_000 * probabilities).numpy()).pvalue > 1e-3


def test_a_filtered_sampler_follows_the_renormalized_probabilities() -> None:
    draw = sampler(partial(temperature, t=0.5), partial(top_p, p=0.9))
    # Squared and renormalized: .01 .16 .0025 .09 .0225 of .285; .16 + .09 reach 88 %, .0225 crosses 90 %.
    expected = torch.tensor([0, 0.16, 0, 0.09, 0.0225], dtype=torch.float64) / 0.2725
    counts = torch.bincount(draw(HAND.expand(20_000, 5), generator(4)), minlength=5)
    kept = [1, 3, 4]
    assert counts[0] == counts[2] == 0
    assert chisquare(counts[kept].numpy(), 20_000 * expected[kept].numpy()).pvalue > 1e-3


@pytest.mark.parametrize("draw", [sample, sampler(), sampler(partial(top_k, k=3))])
def test_equal_generators_give_equal_ids(draw: object) -> None:
    assert callable(draw)
    logits = torch.randn(500, 7, generator=generator(5))
    first, again, other = (draw(logits, generator(seed)) for seed in (6, 6, 7))
    assert first.equal(again)
    assert not first.equal(other)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("draw", [greedy, sample, sampler(partial(top_p, p=0.9))])
def test_ids_are_int64_and_lack_the_last_dimension(
    draw: object, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    assert callable(draw)
    logits = torch.full(shape, -math.inf, dtype=dtype)
    logits[..., 2] = 1.0  # the only token that can be drawn
    ids = draw(logits, generator(8))
    assert ids.dtype == torch.int64
    assert ids.equal(torch.full(shape[:-1], 2))


def test_greedy_is_the_limit_of_low_temperature() -> None:
    logits = logits_without_ties(50, 20, 3.0, seed=9)
    cold = sampler(partial(temperature, t=1e-6))
    assert cold(logits, generator(10)).equal(greedy(logits))
    assert greedy(logits, generator(11)).equal(greedy(logits))


# --- beam search -----------------------------------------------------------------------------------------

EMPTY = torch.empty(0, dtype=torch.long)


class RandomModel:
    """A row of log-probabilities for every prefix of up to T tokens: everything can be enumerated."""

    def __init__(self, vocabulary: int, length: int, seed: int, stop: int | None = None) -> None:
        self.V, self.T, self.stop, g = vocabulary, length, stop, generator(seed)
        self.rows = [
            torch.randn(vocabulary**t, vocabulary, generator=g, dtype=torch.float64).log_softmax(-1)
            for t in range(length)
        ]

    def __call__(self, ids: Tensor) -> Tensor:
        t = ids.size(1)
        return self.rows[t][(ids * self.V ** torch.arange(t).flip(0)).sum(1)]

    def best(self, length_penalty: float = 0.0) -> tuple[tuple[int, ...], float]:
        """The best of all strings, by recursion over plain Python numbers."""
        found: list[tuple[tuple[int, ...], float]] = []

        def extend(ids: tuple[int, ...], log_p: float) -> None:
            if len(ids) == self.T or (ids and ids[-1] == self.stop):
                found.append((ids, log_p / len(ids) ** length_penalty))
                return
            for token, step in enumerate(self(torch.tensor([ids], dtype=torch.long).view(1, -1))[0].tolist()):
                extend((*ids, token), log_p + step)

        extend((), 0.0)
        return max(found, key=lambda item: item[1])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stop", [None, 0, 2])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_a_full_beam_finds_the_best_of_all_strings(
    seed: int, stop: int | None, length_penalty: float
) -> None:
    model = RandomModel(3, 4, seed, stop)
    ids, scores = beam_search(model, EMPTY, 3**3, 4, stop=stop, length_penalty=length_penalty)
    wanted, score = model.best(length_penalty)
    assert tuple(ids[0].tolist())[: len(wanted)] == wanted
    assert set(ids[0, len(wanted) :].tolist()) <= {stop}
    assert scores[0].item() == pytest.approx(score, abs=1e-12)
    assert scores.dtype == torch.float64
    assert (scores[:-1] >= scores[1:]).all()
    assert len(ids.unique(dim=0)) == len(ids)  # no string twice


def tiny_gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=11, n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.5,
                        bos_token_id=0, eos_token_id=None, pad_token_id=0)  # fmt: skip
    return GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize("width", [2, 3, 6])
def test_beam_search_equals_that_of_transformers(width: int) -> None:
    model = tiny_gpt2()
    prompt = torch.tensor([3, 1, 4])
    with torch.no_grad():
        ids, scores = beam_search(lambda x: model(x).logits[:, -1].log_softmax(-1), prompt, width, 9)
        theirs = model.generate(
            prompt[None], attention_mask=torch.ones(1, 3, dtype=torch.long), num_beams=width, do_sample=False,
            num_return_sequences=width, max_new_tokens=9, length_penalty=0.0, output_scores=True,
            return_dict_in_generate=True,
        )  # fmt: skip
    assert ids.equal(theirs.sequences)
    torch.testing.assert_close(scores, theirs.sequences_scores.double(), rtol=0, atol=1e-4)


def test_width_one_is_greedy_also_where_tokens_tie() -> None:
    for seed in range(20):
        model = RandomModel(4, 5, seed)
        ids = EMPTY[None]
        for _ in range(5):
            ids = torch.cat([ids, greedy(model(ids))[:, None]], dim=1)
        assert beam_search(model, EMPTY, 1, 5)[0].equal(ids)
    ids, scores = beam_search(lambda x: torch.full((len(x), 3), -math.log(3)), EMPTY, 1, 4)
    assert ids.tolist() == [[0, 0, 0, 0]]
    assert scores.item() == pytest.approx(-4 * math.log(3))


def test_greedy_misses_the_mode_that_a_beam_of_two_finds() -> None:
    first, after = torch.tensor([0.6, 0.4, 0.0]), torch.tensor([[0.2, 0.2, 0.2], [0.9, 0.1, 0.0]])
    after[0] = 1 / 3

    def log_probs(ids: Tensor) -> Tensor:
        return (first.expand(len(ids), 3) if ids.size(1) == 0 else after[ids[:, 0]]).log()

    assert beam_search(log_probs, EMPTY, 1, 2)[1].exp().item() == pytest.approx(0.2)
    ids, scores = beam_search(log_probs, EMPTY, 2, 2)
    assert ids[0].tolist() == [1, 0]
    assert scores[0].exp().item() == pytest.approx(0.36)


def test_impossible_continuations_are_no_results() -> None:
    log_p = torch.tensor([0.5, 0.5, 0.0]).log()
    ids, scores = beam_search(lambda x: log_p.expand(len(x), 3), torch.tensor([2]), 100, 3)
    assert ids.shape == (8, 4)
    assert (ids[:, 0] == 2).all() and (ids[:, 1:] < 2).all()
    assert scores.isfinite().all()


def test_the_search_ends_when_every_continuation_has() -> None:
    calls = []

    def log_probs(ids: Tensor) -> Tensor:
        calls.append(ids.size(1))
        return torch.tensor([0.0, -math.inf]).expand(len(ids), 2)

    ids, _ = beam_search(log_probs, EMPTY, 2, 10, stop=0)
    assert ids.tolist() == [[0]]
    assert calls == [0]


def test_a_penalty_prefers_longer_continuations() -> None:
    log_p = torch.tensor([0.3, 0.7]).log()  # token 0 stops

    def length(penalty: float) -> int:
        ids, _ = beam_search(lambda x: log_p.expand(len(x), 2), EMPTY, 64, 6, stop=0, length_penalty=penalty)
        return int((ids[0] != 0).sum())

    assert length(0.0) == 0  # 0.3 against 0.7⁶ = 0.12
    assert length(1.0) == 6  # log 0.7 is more than log 0.3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prompt": torch.tensor([0.5])}, TypeError, "prompt must be torch.long, got torch.float32"),
        ({"prompt": torch.tensor([[1]])}, ValueError, r"one sequence \(T,\), got shape \(1, 1\)"),
        ({"width": 0}, ValueError, "width must be at least 1, got 0"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens must be at least 1, got 0"),
        ({"stop": 3}, ValueError, "stop must be a token id from 0 to 2, got 3"),
        ({"log_probs": lambda x: torch.zeros(len(x), 3)}, ValueError, "sum to 3: apply log_softmax"),
        ({"log_probs": lambda x: torch.full((len(x), 3), math.nan)}, ValueError, "sum to nan"),
        (
            {"log_probs": lambda x: torch.zeros(3)},
            ValueError,
            r"must return \(1, V\) for 1 sequences, got \(3,\)",
        ),
        (
            {"log_probs": lambda x: torch.zeros(2, 3)},
            ValueError,
            r"must return \(1, V\) for 1 sequences, got \(2, 3\)",
        ),
        ({"log_probs": lambda x: torch.zeros(1, 3).long()}, TypeError, "floating point, got torch.int64"),
        ({"log_probs": lambda x: torch.full((1, 3), -math.inf)}, ValueError, "leaves no continuation"),
    ],
)
def test_bad_searches(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    uniform = torch.full((1, 3), -math.log(3))
    good = {
        "log_probs": lambda x: uniform.expand(len(x), 3),
        "prompt": EMPTY,
        "width": 2,
        "max_new_tokens": 2,
    }
    with pytest.raises(error, match=message):
        beam_search(**{**good, **arguments})  # type: ignore[arg-type]


# --- Viterbi ---------------------------------------------------------------------------------------------


def chain(vocabulary: int, order: int, seed: int) -> Tensor:
    shape = (vocabulary,) * order
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64).log_softmax(-1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("order", "length"), [(2, 1), (2, 5), (3, 4), (4, 2), (4, 5)])
def test_viterbi_finds_the_likeliest_of_all_strings(order: int, length: int, seed: int) -> None:
    log_p = chain(3, order, seed)
    prompts = torch.randint(3, (4, 5), generator=generator(seed))
    found = viterbi(log_p, prompts, length)
    assert found.dtype == torch.long
    assert found[:, :5].equal(prompts)
    for prompt, ids in zip(prompts.tolist(), found.tolist(), strict=True):
        scores = {}
        for string in itertools.product(range(3), repeat=length):
            whole = [*prompt, *string]
            steps = (tuple(whole[t - order + 1 : t + 1]) for t in range(5, 5 + length))
            scores[string] = sum(log_p[step].item() for step in steps)
        assert scores[tuple(ids[5:])] == pytest.approx(max(scores.values()), abs=1e-12)  # strings can tie


def test_viterbi_beats_greedy_where_the_first_step_misleads() -> None:
    probabilities = torch.tensor([[0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.9, 0.1, 0.0]])
    assert viterbi(probabilities.log(), torch.tensor([[1, 0]]), 2).tolist() == [[1, 0, 2, 0]]
    assert viterbi(probabilities.log(), torch.tensor([[1, 0]]), 1).tolist() == [[1, 0, 1]]


def test_viterbi_goes_round_what_is_impossible() -> None:
    log_p = torch.tensor([[0.0, 0.1, 0.9], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]).log()  # 2 has no way on
    assert viterbi(log_p, torch.tensor([[0]]), 3).tolist() == [[0, 1, 0, 2]]
    with pytest.raises(ValueError, match="leaves a prompt no continuation"):
        viterbi(log_p, torch.tensor([[0], [2]]), 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"log_probs": torch.zeros(3).log()}, ValueError, r"must be \(V, …, V\)"),
        ({"log_probs": torch.zeros(3, 2).log()}, ValueError, r"two dimensions or more, got \(3, 2\)"),
        ({"log_probs": torch.zeros(3, 3).long()}, TypeError, "floating point, got torch.int64"),
        ({"log_probs": torch.zeros(3, 3)}, ValueError, "sum to 3: apply log_softmax"),
        ({"log_probs": torch.full((3, 3), math.nan)}, ValueError, "sum to nan"),
        ({"prompts": torch.tensor([[0.5]])}, TypeError, "prompts must be torch.long"),
        ({"prompts": torch.tensor([0])}, ValueError, r"must be \(B, T\), B ≥ 1 and T ≥ 1, got \(1,\)"),
        ({"prompts": torch.empty(2, 0, dtype=torch.long)}, ValueError, r"got \(2, 0\)"),
        ({"prompts": torch.tensor([[3]])}, ValueError, "ids from 0 to 2"),
        ({"prompts": torch.tensor([[-1]])}, ValueError, "ids from 0 to 2"),
        ({"new_tokens": 0}, ValueError, "new_tokens must be at least 1, got 0"),
    ],
)
def test_bad_chains(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    good = {"log_probs": chain(3, 2, 0), "prompts": torch.tensor([[0]]), "new_tokens": 2}
    with pytest.raises(error, match=message):
        viterbi(**{**good, **arguments})  # type: ignore[arg-type]


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("use", [*FILTERS, greedy, lambda logits: sample(logits, generator(0))])
def test_a_row_without_a_finite_largest_entry_is_an_error(use: Filter, broken: float) -> None:
    logits = torch.zeros(2, 3)
    logits[1] = broken
    with pytest.raises(ValueError, match="largest entry is"):
        use(logits)
    if broken != -math.inf:  # a single one spoils the row
        logits = torch.zeros(2, 3)
        logits[1, 1] = broken
        with pytest.raises(ValueError, match="largest entry is"):
            use(logits)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: temperature(HAND, 0), ValueError, "take greedy"),
        (lambda: temperature(HAND, 1e-320), ValueError, "take greedy"),
        (lambda: temperature(HAND, -1.0), ValueError, "t must be a finite number above 0, got -1.0"),
        (lambda: temperature(HAND, math.inf), ValueError, "above 0, got inf"),
        (lambda: temperature(HAND, math.nan), ValueError, "above 0, got nan"),
        (lambda: top_k(HAND, 0), ValueError, "k must be at least 1, got 0"),
        (lambda: top_k(HAND, 2.0), TypeError, "k must be an int, got 2.0"),  # type: ignore[arg-type]
        (lambda: top_p(HAND, 1.1), ValueError, r"p must lie in \[0, 1\], got 1.1"),
        (lambda: top_p(HAND, math.nan), ValueError, "got nan"),
        (lambda: min_p(HAND, -0.1), ValueError, r"p must lie in \[0, 1\], got -0.1"),
        (lambda: greedy(torch.zeros(2, 0)), ValueError, r"not empty, got shape \(2, 0\)"),
        (lambda: greedy(torch.tensor(1.0)), ValueError, r"got shape \(\)"),
        (lambda: greedy(torch.tensor([1, 2])), TypeError, "floating point, got torch.int64"),
        (lambda: sample(HAND, None), TypeError, "generator must be a torch.Generator, got None"),  # type: ignore[arg-type]
        (lambda: sampler(0.9), TypeError, r"filters\[0\] must map logits to logits, got 0.9"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments(use: object, error: type[Exception], message: str) -> None:
    assert callable(use)
    with pytest.raises(error, match=message):
        use()
