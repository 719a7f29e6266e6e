"""lmprep.compression.speculative against the chain rule, chi-square and transformers, and at the edges."""

import itertools
import os
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lmprep.architectures.generate import KVCache, generate
from lmprep.architectures.rnn import LSTMConfig, LSTMLanguageModel
from lmprep.architectures.transformer import GPT, GPTConfig, gpt2_weights
from lmprep.compression.speculative import (
    Choose,
    Scorer,
    Scores,
    acceptance,
    expected_tokens,
    generation_law,
    ngram_scores,
    outcomes,
    residual,
    sampler,
    speculative_accept,
    speculative_generate,
    speculative_step,
    tokens_per_call,
)
from lmprep.foundations.decoding import greedy, temperature, top_p
from lmprep.foundations.ngram import WittenBellLM

seeds = st.integers(0, 2**32)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distributions(*shape: int, seed: int = 0, zeros: bool = False) -> Tensor:
    g = generator(seed)
    p = torch.randn(shape, generator=g, dtype=torch.float64).mul(1.5).softmax(-1)
    if zeros:
        p = p * (torch.rand(shape, generator=g) < 0.6)
        p[..., 0] += 0.1
    return p / p.sum(-1, keepdim=True)


def random_model(V: int, longest: int, seed: int, zeros: bool = False) -> Scores:
    """Another distribution for every prefix of up to `longest` tokens."""
    table = distributions((V + 1) ** longest * 2, V, seed=seed, zeros=zeros)

    def scores(ids: list[int], n: int) -> Tensor:
        codes = itertools.accumulate(ids, lambda code, x: (V + 1) * code + x + 1, initial=0)
        return table[list(codes)[-n:]]

    return scores


def joint(model: Scores, V: int, n: int) -> dict[tuple[int, ...], float]:
    """By the chain rule."""
    return {
        x: float(torch.stack([model(list(x[:t]), 1)[0, x[t]] for t in range(n)]).prod())
        for x in itertools.product(range(V), repeat=n)
    }


def fixed(*indices: int) -> Choose:
    """Chooses these, in turn, and minds no weights."""
    left = iter(indices)
    return lambda weights: next(left)


# --- one decision ----------------------------------------------------------------------------------------


def test_residual_by_hand() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.4, 0.4])
    assert residual(p, q).tolist() == [1.0, 0.0, 0.0]
    p, q = torch.tensor([0.5, 0.4, 0.1]), torch.tensor([0.2, 0.3, 0.5])
    assert residual(p, q).tolist() == pytest.approx([0.75, 0.25, 0.0])


def test_residual_of_equal_distributions_is_the_target() -> None:
    p = distributions(4)
    assert torch.equal(residual(p, p), p)


def test_acceptance_by_hand() -> None:
    p, q = torch.tensor([0.5, 0.25, 0.25, 0.0]), torch.tensor([0.25, 0.25, 0.5, 0.0])
    assert acceptance(p, q).tolist() == [1.0, 1.0, 0.5, 0.0]


@settings(max_examples=25)
@given(V=st.integers(1, 6), zeros=st.booleans(), seed=seeds)
def test_kept_and_replaced_add_up_to_the_target(V: int, zeros: bool, seed: int) -> None:
    p, q = distributions(2, V, seed=seed, zeros=zeros)
    kept = q * acceptance(p, q)
    assert torch.allclose(kept + (1 - kept.sum()) * residual(p, q), p, atol=1e-14, rtol=0)


def test_accept_by_hand() -> None:
    p = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    q = torch.tensor([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    assert speculative_accept(p, q, [0, 1], fixed(1, 1, 2)) == [0, 1, 2]  # kept, kept, bonus
    assert speculative_accept(p, q, [2, 1], fixed(0, 0)) == [0]  # rejected at once, and replaced
    assert speculative_accept(p, q, [0, 1], fixed(1, 0, 2)) == [0, 2]


@pytest.mark.parametrize("k", [0, 1, 3])
def test_equal_distributions_keep_everything(k: int) -> None:
    p = distributions(k + 1, 5)
    draft = p[:k].argmax(-1).tolist()
    for seed in range(20):
        tokens = speculative_accept(p, p[:k], draft, sampler(generator(seed)))
        assert tokens[:k] == draft and len(tokens) == k + 1


def test_disjoint_supports_reject_the_first() -> None:
    p, q = torch.tensor([[0.0, 0.5, 0.5]] * 3), torch.tensor([[1.0, 0.0, 0.0]] * 2)
    for seed in range(20):
        (token,) = speculative_accept(p, q, [0, 0], sampler(generator(seed)))
        assert token in (1, 2)


# --- the law ---------------------------------------------------------------------------------------------


def test_outcomes_of_two_coins() -> None:
    def toss(choose: Choose) -> tuple[int, int]:
        first = choose(torch.tensor([0.25, 0.75]))
        return first, choose(torch.tensor([0.0, 1.0]) if first else torch.tensor([0.5, 0.5]))

    assert dict(outcomes(toss)) == {(0, 0): 0.125, (0, 1): 0.125, (1, 1): 0.75}


def test_outcomes_without_a_choice() -> None:
    assert list(outcomes(lambda choose: "the only one")) == [("the only one", 1.0)]


@settings(max_examples=12)
@given(V=st.integers(1, 3), k=st.integers(0, 3), n=st.integers(1, 3), zeros=st.booleans(), seed=seeds)
def test_the_law_is_the_targets(V: int, k: int, n: int, zeros: bool, seed: int) -> None:
    target, draft = (random_model(V, n + k, seed + i, zeros) for i in range(2))
    law, steps = generation_law(lambda ids, choose: speculative_step(target, draft, ids, k, choose), n)
    wanted = joint(target, V, n)
    assert set(law) <= set(wanted)
    assert max(abs(law.get(x, 0.0) - p) for x, p in wanted.items()) < 1e-13
    assert n / (k + 1) - 1e-12 <= steps <= n + 1e-12


@pytest.mark.parametrize("tokens", [2, 4])
def test_the_law_of_generate_is_the_targets(tokens: int) -> None:
    """Where the last calls draft fewer."""
    target, draft = random_model(2, 6, 0), random_model(2, 6, 1)

    def run(choose: Choose) -> tuple[int, ...]:
        calls = speculative_generate(target, draft, [0], tokens, 2, choose)
        return tuple(itertools.chain(*calls))

    law: dict[tuple[int, ...], float] = {}
    for x, p in outcomes(run):
        law[x] = law.get(x, 0.0) + p
    after = joint(lambda ids, n: target([0, *ids], n), 2, tokens)
    assert law == pytest.approx(after, abs=1e-13)


def test_draws_have_the_targets_law(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chi-square test of 700 draws of two tokens; the wrong replacement fails it."""
    scipy_special = pytest.importorskip("scipy.special")
    target, draft = random_model(3, 4, 0), random_model(3, 4, 1)
    wanted = joint(target, 3, 2)
    choose = sampler(generator(2))

    def p_value(n: int = 700) -> float:
        seen = dict.fromkeys(wanted, 0)
        for _ in range(n):
            ids: list[int] = []
            while len(ids) < 2:
                ids += speculative_step(target, draft, ids, 1, choose)
            seen[tuple(ids[:2])] += 1
        statistic = sum((seen[x] - n * p) ** 2 / (n * p) for x, p in wanted.items())
        return float(scipy_special.chdtrc(len(wanted) - 1, statistic))

    assert p_value() > 1e-3
    monkeypatch.setattr("lmprep.compression.speculative.residual", lambda p, q: p)
    assert p_value() < 1e-6


@settings(max_examples=15)
@given(V=st.integers(2, 4), seed=seeds)
def test_acceptance_is_one_minus_total_variation(V: int, seed: int) -> None:
    p, q = distributions(2, V, seed=seed)
    step = partial(speculative_step, lambda ids, n: p.expand(n, V), lambda ids, n: q.expand(n, V), [], 1)
    mean = sum(len(tokens) * chance for tokens, chance in outcomes(step))
    assert mean == pytest.approx(2 - float((p - q).abs().sum() / 2), abs=1e-12)


# --- tokens per call -------------------------------------------------------------------------------------


def test_expected_tokens() -> None:
    assert expected_tokens(0.5, 2) == 1.75
    assert expected_tokens(0.0, 5) == 1
    assert expected_tokens(1.0, 5) == 6
    assert expected_tokens(0.8, 4) == pytest.approx((1 - 0.8**5) / (1 - 0.8))


@settings(max_examples=20)
@given(T=st.integers(1, 5), k=st.integers(0, 4), seed=seeds)
def test_tokens_per_call_by_enumeration(T: int, k: int, seed: int) -> None:
    acceptance = torch.rand(1, T, generator=generator(seed), dtype=torch.float64)
    acceptance[acceptance < 0.2] = 0
    mean = 0.0
    for kept in itertools.product((0, 1), repeat=T):
        flags = torch.tensor(kept)
        chance = torch.where(flags == 1, acceptance[0], 1 - acceptance[0]).prod().item()
        t = calls = 0
        while t < T:
            calls += 1
            drafted = 0
            while drafted < k and t < T and kept[t]:
                drafted, t = drafted + 1, t + 1
            t += 1
        mean += chance * calls
    assert tokens_per_call(acceptance, k) == pytest.approx(T / mean)


def test_tokens_per_call_of_equal_acceptances_is_the_formula() -> None:
    for a, k in ((0.3, 2), (0.8, 4)):
        assert tokens_per_call(torch.full((1, 2000), a), k) == pytest.approx(expected_tokens(a, k), rel=1e-3)


def test_given_the_text_the_calls_are_those_of_the_algorithm() -> None:
    """The expected number of calls, over texts of the target and by enumerating the algorithm."""
    V, k, T = 3, 2, 3
    target, draft = random_model(V, T + k, 5), random_model(V, T + k, 6)
    _, steps = generation_law(lambda ids, choose: speculative_step(target, draft, ids, k, choose), T)
    mean = 0.0
    for x, chance in joint(target, V, T).items():
        ratios = [float(draft(list(x[:t]), 1)[0, x[t]] / target(list(x[:t]), 1)[0, x[t]]) for t in range(T)]
        mean += chance * T / tokens_per_call(torch.tensor([ratios], dtype=torch.float64).clamp(max=1), k)
    assert mean == pytest.approx(steps, abs=1e-12)


# --- models ----------------------------------------------------------------------------------------------

CONFIG = GPTConfig(vocab_size=17, context_length=40, width=16, num_layers=2, num_heads=2, init_std=0.4)


def gpt(seed: int) -> GPT:
    return GPT(CONFIG, generator(seed)).double().eval()


def near(model: GPT, seed: int) -> GPT:
    """A model that often agrees with it."""
    other = gpt(seed)
    for mine, theirs in zip(other.parameters(), model.parameters(), strict=True):
        mine.data = theirs.data + 0.15 * theirs.data.std() * torch.randn(
            mine.shape, generator=generator(seed)
        )
    return other


@pytest.mark.parametrize("k", [0, 1, 3, 6])
def test_greedy_is_plain_greedy(k: int) -> None:
    target = gpt(0)
    prompt = [3, 1, 4]
    plain = generate(target, torch.tensor([prompt]), 30, greedy)[0, 3:].tolist()
    for draft in (near(target, 1), gpt(2)):
        pair = (Scorer(model, partial(top_p, p=0)) for model in (target, draft))
        calls = speculative_generate(*pair, prompt, 30, k, sampler(generator()))
        assert list(itertools.chain(*calls)) == plain
        assert all(1 <= len(call) <= k + 1 for call in calls)


def test_the_cache_does_not_change_the_scores() -> None:
    model = gpt(0)
    scorer = Scorer(model, partial(temperature, t=0.7))
    ids = torch.randint(17, (12,), generator=generator(1)).tolist()
    other = [*ids[:5], *(16 - x for x in ids[5:9])]
    for asked, n in ((ids, 3), (ids, 12), (other, 2), (ids[:4], 1), ([*ids, 1, 2], 2), ([5], 1)):
        with torch.no_grad():
            wanted = (model(torch.tensor([asked]))[0, -n:] / 0.7).softmax(-1)
        assert torch.allclose(scorer(asked, n), wanted, atol=1e-12)


@pytest.mark.parametrize("memory", [0, 1, 2, 9])
def test_pruned_counts_are_those_of_a_lower_order(memory: int) -> None:
    text = torch.randint(4, (200,), generator=generator()).tolist()
    full, lower = WittenBellLM(4, 4).fit(text), WittenBellLM(min(memory, 3) + 1, 4).fit(text)
    found = ngram_scores(full, memory)(text[:20], 20)
    wanted = [lower.probs(text[:end]).tolist() for end in range(1, 21)]
    assert found.tolist() == wanted


def test_tokens_are_read_once() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.read = gpt(0), 0

        context_length = 40

        def new_cache(self, batch_size: int) -> KVCache:
            return self.model.new_cache(batch_size)

        def forward(self, ids: Tensor, cache: Any = None) -> Tensor:
            self.read += ids.size(1)
            return self.model(ids, cache=cache)

    model = Counting().eval()
    calls = speculative_generate(Scorer(model), Scorer(gpt(2)), [1, 2], 30, 3, sampler(generator()))
    new = sum(map(len, calls))
    assert new == 30
    starts = itertools.accumulate(map(len, calls), initial=0)
    drafted = [min(3, 30 - start - 1) for start in starts][: len(calls)]
    rejected = sum(1 + k - len(call) for k, call in zip(drafted, calls, strict=True))
    assert model.read == 2 + 29 + rejected


def test_a_recurrent_model_reads_all_again() -> None:
    g = generator(3)
    model = LSTMLanguageModel(LSTMConfig(vocab_size=17, width=8, num_layers=1), g).double().eval()
    scorer = Scorer(model)
    assert scorer.cache is None
    calls = speculative_generate(scorer, scorer, [1, 2], 8, 3, sampler(g))
    assert [len(call) for call in calls] == [4, 4]  # a draft by the target itself is kept


def test_a_failed_call_does_not_spoil_the_cache() -> None:
    model = gpt(0)
    scorer = Scorer(model)
    scorer([1, 2, 3], 1)
    with pytest.raises(ValueError, match="position"):
        scorer([1, 2, *range(17), *range(17), *range(17)], 1)
    with torch.no_grad():
        wanted = model(torch.tensor([[1, 2, 3, 4]]))[0, -1:].softmax(-1)
    assert torch.allclose(scorer([1, 2, 3, 4], 1), wanted, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_as_in_transformers(seed: int) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers = pytest.importorskip("transformers")
    models = []
    for number in range(2):
        torch.manual_seed(10 * seed + number)
        config = transformers.GPT2Config(
            vocab_size=40, n_positions=64, n_embd=16, n_layer=2 - number, n_head=2, initializer_range=0.3,
            bos_token_id=0, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        models.append(transformers.GPT2LMHeadModel(config).eval())
    ids = torch.randint(1, 40, (1, 4), generator=generator(seed))
    theirs = models[0].generate(ids, max_new_tokens=12, do_sample=False, assistant_model=models[1])
    ours = []
    for model in models:
        size = model.config
        config = GPTConfig(vocab_size=40, context_length=64, width=16, num_layers=size.n_layer, num_heads=2,
                           activation="gelu_tanh")  # fmt: skip
        gpt_like = GPT(config, generator()).eval()
        gpt_like.load_state_dict(gpt2_weights(model.state_dict()))
        ours.append(Scorer(gpt_like, partial(top_p, p=0)))
    calls = speculative_generate(*ours, ids[0].tolist(), 12, 4, sampler(generator()))
    assert list(itertools.chain(*calls)) == theirs[0, 4:].tolist()


# --- bad input -------------------------------------------------------------------------------------------

P, Q = distributions(3, 4), distributions(2, 4, seed=1)


@pytest.mark.parametrize(
    ("p", "q", "draft", "message"),
    [
        (P[:2], Q, [0, 1], "p must be"),
        (P, Q[:1], [0, 1], "q "),
        (P, Q[:, :3], [0, 1], "q "),
        (P, Q, [0], "p must be"),
        (P.log(), Q, [0, 1], "rows of p and q"),
        (P, Q * 2, [0, 1], "rows of p and q"),
        (P * torch.nan, Q, [0, 1], "rows of p and q"),
        (P, Q, [0, 4], "q = 0"),
        (P, Q, [-1, 0], "q = 0"),
        (P, torch.eye(4)[:2].double(), [0, 3], "q = 0"),
    ],
)
def test_accept_refuses(p: Tensor, q: Tensor, draft: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        speculative_accept(p, q, draft, fixed(1, 1, 1))


def test_others_refuse() -> None:
    model, choose = random_model(2, 4, 0), fixed()
    with pytest.raises(ValueError, match="k must"):
        speculative_step(model, model, [0], -1, choose)
    with pytest.raises(ValueError, match="ids is empty"):
        speculative_generate(model, model, [], 3, 1, choose)
    with pytest.raises(ValueError, match="max_new_tokens"):
        speculative_generate(model, model, [0], -1, 1, choose)
    with pytest.raises(ValueError, match="n must"):
        generation_law(lambda ids, choose: [0], 0)
    with pytest.raises(ValueError, match="emits no token"):
        generation_law(lambda ids, choose: [], 1)
    for a, k, message in ((1.1, 1, "acceptance"), (float("nan"), 1, "acceptance"), (0.5, -1, "k must")):
        with pytest.raises(ValueError, match=message):
            expected_tokens(a, k)
        with pytest.raises(ValueError, match=message):
            tokens_per_call(torch.tensor([[a]]), k)
    with pytest.raises(ValueError, match="at least one token"):
        tokens_per_call(torch.rand(3), 1)
    with pytest.raises(ValueError, match="training mode"):
        Scorer(gpt(0).train())
    with pytest.raises(ValueError, match="n must"):
        Scorer(gpt(0))([1, 2], 3)
    with pytest.raises(ValueError, match="memory must"):
        ngram_scores(WittenBellLM(2, 3), -1)
    assert speculative_generate(model, model, [0], 0, 1, choose) == []
