"""lmprep.architectures.generate against transformers' generate and cache, sums by hand, and an LSTM."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lmprep.architectures.generate import KVCache, generate
from lmprep.architectures.transformer import GPT, GPTConfig, gpt2_weights

V, T, D, L, H = 31, 24, 16, 2, 4
CONFIG = GPTConfig(vocab_size=V, context_length=T, width=D, num_layers=L, num_heads=H, activation="gelu_tanh")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_ids(B: int = 3, length: int = 5, seed: int = 1) -> Tensor:
    return torch.randint(V, (B, length), generator=generator(seed))


def spread(model: nn.Module, seed: int = 0) -> Any:
    """Move every parameter: a fresh model's logits are too even to tell one continuation from another."""
    source = generator(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=source))
    return model.eval()


def most_likely(logits: Tensor, generator: object) -> Tensor:
    return logits.argmax(dim=-1)


def drawn(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


@dataclass
class Total:
    """The state of an `Adder`: the sum of the ids that it has seen."""

    sums: Tensor


class Adder(nn.Module):
    """A model without weights: the next token is the sum of all tokens so far, modulo V.

    Its state shows whether each token is read once and in order, and `tokens_read` what that costs.
    """

    context_length: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout(0.5)  # a module whose mode can be told apart from the model's
        self.tokens_read: list[int] = []
        self.seen_modes: set[bool] = set()
        self.seen_gradients: set[bool] = set()

    def new_cache(self, batch_size: int) -> Total:
        return Total(torch.zeros(batch_size, 1, dtype=torch.long))

    def forward(self, ids: Tensor, cache: Total | None = None) -> Tensor:
        self.tokens_read.append(ids.size(1))
        self.seen_modes |= {module.training for module in self.modules()}
        self.seen_gradients.add(torch.is_grad_enabled())
        sums = ids.cumsum(dim=1)
        if cache is not None:
            sums = sums + cache.sums
            cache.sums = sums[:, -1:]
        return nn.functional.one_hot(sums % V, V).float()


def summed(prompt: list[int], n: int) -> list[int]:
    for _ in range(n):
        prompt = [*prompt, sum(prompt) % V]
    return prompt


# --- the loop ------------------------------------------------------------------------------------------


@given(
    prompt=st.lists(st.integers(0, V - 1), min_size=1, max_size=6), n=st.integers(0, 12), cache=st.booleans()
)
def test_each_token_follows_from_all_before_it(prompt: list[int], n: int, cache: bool) -> None:
    ids = torch.tensor([prompt, prompt[::-1]])
    output = generate(Adder(), ids, n, most_likely, cache=cache)
    assert output.tolist() == [summed(prompt, n), summed(prompt[::-1], n)]
    assert ids.tolist() == [prompt, prompt[::-1]]


def test_with_a_cache_each_token_is_read_once() -> None:
    cached, uncached = Adder(), Adder()
    generate(cached, some_ids(2, 5), 6, most_likely)
    generate(uncached, some_ids(2, 5), 6, most_likely, cache=False)
    assert cached.tokens_read == [5, 1, 1, 1, 1, 1]
    assert uncached.tokens_read == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("cache", [True, False])
def test_a_sequence_that_stopped_repeats_the_stop(cache: bool) -> None:
    prompts = torch.tensor([[1, 2], [0, 1], [3, 3]])
    output = generate(Adder(), prompts, 8, most_likely, cache=cache, stop=24)
    assert output.tolist() == [
        [1, 2, 3, 6, 12, 24, 24, 24, 24, 24],
        [0, 1, 1, 2, 4, 8, 16, 1, 2, 4],
        [3, 3, 6, 12, 24, 24, 24, 24, 24, 24],
    ]


def test_generation_ends_when_all_have_stopped() -> None:
    prompts = torch.tensor([[1, 2], [3, 3]])  # 1 2 3 6 12 24 …, 3 3 6 12 24 …
    model = Adder()
    output = generate(model, prompts, 100, most_likely, stop=24)
    assert output.tolist() == [[1, 2, 3, 6, 12, 24], [3, 3, 6, 12, 24, 24]]
    assert len(model.tokens_read) == 4


def test_a_stop_in_the_prompt_does_not_count() -> None:
    output = generate(Adder(), torch.tensor([[3, 24]]), 3, most_likely, stop=24)
    assert output.tolist() == [summed([3, 24], 3)]


def test_modes_are_restored_and_no_gradients_kept() -> None:
    model = Adder()
    model.train()
    model.inner.eval()
    generate(model, some_ids(), 2, most_likely)
    assert (model.training, model.inner.training) == (True, False)
    assert model.seen_modes == {False} and model.seen_gradients == {False}
    assert torch.is_grad_enabled()

    def fail(logits: Tensor, generator: object) -> Tensor:
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        generate(model, some_ids(), 2, fail)
    assert (model.training, model.inner.training) == (True, False)


def test_the_generator_reaches_the_sampler() -> None:
    model = spread(GPT(CONFIG, generator()))
    one, same, other = (
        generate(model, some_ids(), 15, drawn, generator=generator(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_library_has_samplers_that_fit() -> None:
    from lmprep.foundations.decoding import greedy, sample, sampler, top_k

    model, ids = spread(GPT(CONFIG, generator())), some_ids()
    expected = generate(model, ids, 6, most_likely)
    assert torch.equal(generate(model, ids, 6, greedy), expected)
    only_best = sampler(partial(top_k, k=1))
    assert torch.equal(generate(model, ids, 6, only_best, generator=generator()), expected)
    assert generate(model, ids, 6, sample, generator=generator()).shape == (3, 11)


# --- the Transformer and its cache -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes: dict[str, Any] = {"vocab_size": V, "n_positions": T, "n_embd": D, "n_layer": L, "n_head": H}
    config = GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    return spread(GPT2LMHeadModel(config))


@pytest.fixture(scope="module")
def copy(gpt2: Any) -> GPT:
    ours = GPT(CONFIG, generator())
    ours.load_state_dict(gpt2_weights(gpt2.state_dict()))
    return ours.eval()


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_greedy_continuations_are_transformers(gpt2: Any, copy: GPT, cache: bool, seed: int) -> None:
    ids = some_ids(4, 6, seed)
    plain = {
        "do_sample": False,
        "max_new_tokens": 18,
        "pad_token_id": 0,
        "attention_mask": torch.ones_like(ids),
    }
    expected = gpt2.generate(ids, **plain, eos_token_id=None)
    output = generate(copy, ids, 18, most_likely, cache=cache)
    assert torch.equal(output, expected)
    assert expected[:, 6:].unique().numel() > 5  # not one token over and over

    stop = int(expected[0, 10])
    expected = gpt2.generate(ids, **(plain | {"pad_token_id": stop}), eos_token_id=stop)
    output = generate(copy, ids, 18, most_likely, cache=cache, stop=stop)
    assert torch.equal(output, expected)


@torch.no_grad()
def test_cached_logits_are_transformers(gpt2: Any, copy: GPT) -> None:
    ids = some_ids(3, T)
    cache = copy.new_cache(3)
    past: Any = None
    for part in ids.split([7, 1, 1, 5, 1, T - 15], dim=1):
        ours = copy(part, cache=cache)
        theirs = gpt2(part, past_key_values=past, use_cache=True)
        past = theirs.past_key_values
        torch.testing.assert_close(ours, theirs.logits, atol=1e-5, rtol=0)
        assert cache.length == past.get_seq_length()
    for layer in range(L):
        torch.testing.assert_close(cache.keys[layer], past.layers[layer].keys, atol=1e-5, rtol=0)
        torch.testing.assert_close(cache.values[layer], past.layers[layer].values, atol=1e-5, rtol=0)


@settings(max_examples=40)
@given(
    heads=st.sampled_from([(1, 1), (4, 1), (4, 2), (4, 4)]),
    position=st.sampled_from(["learned", "sinusoidal", "rope"]),
    norm_first=st.booleans(),
    parts=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    B=st.integers(1, 3),
    return_weights=st.booleans(),
)
def test_a_cache_changes_no_logits(
    heads: tuple[int, int], position: Any, norm_first: bool, parts: list[int], B: int, return_weights: bool
) -> None:
    config = GPTConfig(vocab_size=V, context_length=T, width=D, num_layers=L, num_heads=heads[0],
                       num_kv_heads=heads[1], position=position, norm_first=norm_first)  # fmt: skip
    model = spread(GPT(config, generator())).double()
    ids = some_ids(B, sum(parts))
    with torch.no_grad():
        whole, whole_weights = model(ids, return_weights=True)
        cache, start = model.new_cache(B), 0
        for part in ids.split(parts, dim=1):
            end = start + part.size(1)
            if return_weights:
                logits, weights = model(part, cache=cache, return_weights=True)
                expected = whole_weights[..., start:end, :end]
                torch.testing.assert_close(weights, expected, atol=1e-10, rtol=0)
            else:
                logits = model(part, cache=cache)
            torch.testing.assert_close(logits, whole[:, start:end], atol=1e-10, rtol=0)
            start = end
    assert cache.length == sum(parts)


@pytest.mark.parametrize("position", ["learned", "sinusoidal", "rope"])
def test_generation_fills_the_context_and_no_more(position: Any) -> None:
    model = spread(GPT(GPTConfig(**{**vars(CONFIG), "position": position}), generator()))
    ids = some_ids(2, 5)
    with_cache, without = (generate(model, ids, T - 4, most_likely, cache=cache) for cache in (True, False))
    assert with_cache.shape == (2, T + 1)  # the last token is not read
    assert torch.equal(with_cache, without)
    for cache in (True, False):
        with pytest.raises(ValueError, match=f"need a context of {T + 1}, the model's is {T}"):
            generate(model, ids, T - 3, most_likely, cache=cache)


class LSTMModel(nn.Module):
    """A recurrent language model behind the same protocol."""

    context_length: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm, self.head = nn.Embedding(V, D), nn.LSTM(D, D, 2), nn.Linear(D, V)

    def new_cache(self, batch_size: int) -> dict[str, tuple[Tensor, Tensor]]:
        return {"state": (torch.zeros(2, batch_size, D), torch.zeros(2, batch_size, D))}

    def forward(self, ids: Tensor, cache: dict[str, tuple[Tensor, Tensor]] | None = None) -> Tensor:
        cache = self.new_cache(ids.size(0)) if cache is None else cache
        outputs, cache["state"] = self.lstm(self.embedding(ids).transpose(0, 1), cache["state"])
        logits: Tensor = self.head(outputs.transpose(0, 1))
        return logits


def test_a_recurrent_model_generates_by_the_same_loop() -> None:
    torch.manual_seed(0)
    model = spread(LSTMModel())
    sequence = ids = some_ids(2, 3)
    with torch.no_grad():
        for _ in range(40):
            hidden, _ = model.lstm(model.embedding(sequence).transpose(0, 1))
            sequence = torch.cat([sequence, model.head(hidden[-1]).argmax(-1, keepdim=True)], dim=1)
    for cache in (True, False):
        assert torch.equal(generate(model, ids, 40, most_likely, cache=cache), sequence)


# --- KVCache -------------------------------------------------------------------------------------------


def test_cache_returns_all_so_far_and_keeps_sequences_and_layers_apart() -> None:
    cache = KVCache(num_layers=2, batch_size=3, num_kv_heads=2, capacity=6, head_width=4)
    k = torch.randn(2, 3, 2, 6, 4, generator=generator(0))
    v = torch.randn(2, 3, 2, 6, 4, generator=generator(1))
    for start, end in ((0, 3), (3, 4), (4, 6)):
        for layer in range(2):
            keys, values = cache.update(layer, k[layer, :, :, start:end], v[layer, :, :, start:end])
            assert torch.equal(keys, k[layer, :, :, :end])
            assert torch.equal(values, v[layer, :, :, :end])
            assert cache.length == (start if layer == 0 else end)  # until the last layer has seen them
    assert torch.equal(cache.keys, k) and torch.equal(cache.values, v)


def test_cache_takes_the_models_dtype_and_its_few_key_heads() -> None:
    config = GPTConfig(**{**vars(CONFIG), "num_kv_heads": 2})
    cache = GPT(config, generator()).double().new_cache(5)
    assert cache.keys.shape == cache.values.shape == (L, 5, 2, T, D // H)
    assert cache.keys.dtype == torch.float64


def test_cache_names_what_does_not_fit() -> None:
    cache = KVCache(1, 2, 3, 4, 5)
    k = torch.zeros(2, 3, 3, 5)
    with pytest.raises(ValueError, match=r"shape \(2, 3, T, 5\), got \(1, 3, 3, 5\)"):
        cache.update(0, k[:1], k[:1])
    with pytest.raises(ValueError, match="shape"):
        cache.update(0, k, k[:, :, :2])
    cache.update(0, k, k)
    with pytest.raises(ValueError, match="holds 4 tokens: there is no room for 3 after 3"):
        cache.update(0, k, k)
    assert cache.length == 3
    with pytest.raises(ValueError, match=r"torch\.no_grad"):
        cache.update(0, k[:, :, :1].requires_grad_(), k[:, :, :1])
    with pytest.raises(ValueError, match="at least 1, got 1, 2, 3, 0, 5"):
        KVCache(1, 2, 3, 0, 5)


def test_a_truncated_cache_goes_on_from_there() -> None:
    cache = KVCache(num_layers=2, batch_size=1, num_kv_heads=2, capacity=5, head_width=4)
    k, v = torch.randn(2, 1, 2, 5, 4, generator=generator())
    for layer in range(2):
        cache.update(layer, k, v)
    cache.truncate(5)
    assert cache.length == 5
    cache.truncate(3)
    assert cache.length == 3
    for layer in range(2):
        keys, values = cache.update(layer, k[:, :, :2], v[:, :, :2])
        assert torch.equal(keys, torch.cat([k[:, :, :3], k[:, :, :2]], dim=2))
        assert torch.equal(values, torch.cat([v[:, :, :3], v[:, :, :2]], dim=2))
    cache.truncate(0)
    assert cache.length == 0
    for length in (-1, 1):
        with pytest.raises(ValueError, match=f"from 0 to the 0 tokens in the cache, got {length}"):
            cache.truncate(length)


def test_a_full_cache_and_a_model_with_gradients_are_refused() -> None:
    model = GPT(CONFIG, generator())
    with pytest.raises(ValueError, match=r"torch\.no_grad"):
        model(some_ids(), cache=model.new_cache(3))
    cache = model.new_cache(3)
    with torch.no_grad():
        model(some_ids(3, T), cache=cache)
        with pytest.raises(ValueError, match=f"ids end at position {T}"):
            model(some_ids(3, 1), cache=cache)


# --- bad input -----------------------------------------------------------------------------------------


def returning(value: Tensor) -> Callable[[Tensor, object], Tensor]:
    return lambda logits, generator: value


@pytest.mark.parametrize(
    ("ids", "changes", "error", "says"),
    [
        (torch.zeros(2, 3), {}, TypeError, "ids must be torch.long"),
        (torch.zeros(3).long(), {}, ValueError, "shape"),
        (torch.zeros(1, 0).long(), {}, ValueError, "at least one token"),
        (some_ids(), {"max_new_tokens": -1}, ValueError, "max_new_tokens must not be negative, got -1"),
        (some_ids(), {"stop": -1}, ValueError, "stop must be a token id, got -1"),
        (some_ids(), {"sample": returning(torch.zeros(3))}, TypeError, "must return torch.long"),
        (some_ids(), {"sample": returning(torch.zeros(3, 1).long())}, ValueError, r"\(3,\), got \(3, 1\)"),
    ],
)
def test_bad_requests_are_named(
    ids: Tensor, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    request: dict[str, Any] = {"max_new_tokens": 2, "sample": most_likely} | changes
    with pytest.raises(error, match=says):
        generate(Adder(), ids, **request)
