"""lmprep.compression.kvcache against torch's FLOP counter, transformers' cache and published sizes."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lmprep.architectures.generate import KVCache, generate
from lmprep.architectures.transformer import GPT, GPTConfig, count_params, gpt2_weights
from lmprep.compression.kvcache import LLAMA_3_1_8B as LLAMA
from lmprep.compression.kvcache import (
    break_even_batch,
    cache_bytes,
    generation_flops,
    pass_bytes,
    pass_flops,
    weight_bytes,
)

CONFIG = GPTConfig(vocab_size=31, context_length=32, width=16, num_layers=2, num_heads=4, mlp_width=24)


class Explicit(GPT):
    """Attention in matrix products that torch's counter sees."""

    def forward(self, ids: Tensor, cache: KVCache | None = None, **options: Any) -> Any:
        return super().forward(ids, cache, return_weights=True)[0]


def build(config: GPTConfig) -> Explicit:
    return Explicit(config, torch.Generator().manual_seed(0)).requires_grad_(False)


def most_likely(logits: Tensor, generator: object) -> Tensor:
    return logits.argmax(dim=-1)


# --- bytes ---------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    layers=st.integers(1, 3),
    batch=st.integers(1, 3),
    heads=st.sampled_from([(4, None), (4, 4), (4, 2), (4, 1)]),
    used=st.integers(0, 7),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
)
def test_cache_bytes_are_those_of_the_cache(
    layers: int, batch: int, heads: tuple[int, int | None], used: int, dtype: torch.dtype
) -> None:
    config = replace(CONFIG, num_layers=layers, num_heads=heads[0], num_kv_heads=heads[1], context_length=7)
    cache = build(config).to(dtype).new_cache(batch)
    real = sum(part.untyped_storage().nbytes() for part in (cache.keys, cache.values))
    assert cache_bytes(config, 7, batch, bytes_per_number=dtype.itemsize) == real
    in_use = sum(part[..., :used, :].nbytes for part in (cache.keys, cache.values))
    assert cache_bytes(config, used, batch, bytes_per_number=dtype.itemsize) == in_use


def test_published_sizes() -> None:
    assert count_params(LLAMA) == 8_030_261_248
    assert cache_bytes(LLAMA, 1) == 128 * 1024
    assert cache_bytes(LLAMA, 131_072) == 16 * 2**30
    # A 7 B model of 32 layers and width 4,096 with a key for each head: half a MiB per token.
    assert cache_bytes(replace(LLAMA, num_kv_heads=None), 1) == 2**19
    assert cache_bytes(LLAMA, 1, bytes_per_number=0.5) == 32 * 1024


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("position", ["learned", "rope"])
def test_weight_bytes_leave_out_what_is_looked_up(tied: bool, position: Any) -> None:
    config = replace(CONFIG, tied_head=tied, position=position)
    model = build(config)
    tables = {"positions.weight"} if tied else {"positions.weight", "tokens.weight"}
    real = sum(p.nbytes for name, p in model.named_parameters() if name not in tables)
    assert weight_bytes(config, bytes_per_number=4) == real


def test_a_pass_moves_weights_once_and_each_sequence_its_own_cache() -> None:
    weights, cache = weight_bytes(CONFIG), cache_bytes(CONFIG, 9)
    assert pass_bytes(CONFIG, 1, 8) == weights + cache
    assert pass_bytes(CONFIG, 9) == weights + cache
    assert pass_bytes(CONFIG, 4, 5, 7) == weights + 7 * cache
    assert pass_bytes(CONFIG, 4, 5, 7, bytes_per_number=1) == (weights + 7 * cache) / 2


# --- FLOPs ---------------------------------------------------------------------------------------------


@settings(max_examples=5, deadline=None)
@given(
    new=st.integers(1, 5),
    past=st.integers(0, 5),
    batch=st.integers(1, 3),
    kv_heads=st.sampled_from([None, 2, 1]),
)
def test_pass_flops_are_those_torch_counts(new: int, past: int, batch: int, kv_heads: int | None) -> None:
    config = replace(CONFIG, num_kv_heads=kv_heads)
    model = build(config)
    cache = model.new_cache(batch)
    if past:
        model(torch.zeros(batch, past, dtype=torch.long), cache)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(batch, new, dtype=torch.long), cache)
    assert pass_flops(config, new, past, batch) == counter.get_total_flops()


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(("prompt", "new"), [(1, 1), (1, 6), (5, 3)])
def test_generation_flops_are_those_torch_counts(prompt: int, new: int, cached: bool) -> None:
    with FlopCounterMode(display=False) as counter:
        generate(build(CONFIG), torch.zeros(1, prompt, dtype=torch.long), new, most_likely, cache=cached)
    assert generation_flops(CONFIG, prompt, new, cached=cached) == counter.get_total_flops()


@given(n=st.integers(1, 32))
def test_the_ratio_lies_between_that_of_weights_and_that_of_attention(n: int) -> None:
    """Weights alone cost (n + 1) / 2 times as much without a cache, attention alone (2 n + 1) / 3 times."""
    cached, uncached = (generation_flops(CONFIG, 1, n, cached=choice) for choice in (True, False))
    assert (n + 1) / 2 <= uncached / cached <= (2 * n + 1) / 3


# --- the break-even ------------------------------------------------------------------------------------


@given(length=st.integers(1, 392), kv_heads=st.sampled_from([8, 4, 1]))
def test_at_the_break_even_arithmetic_takes_as_long_as_reading(length: int, kv_heads: int) -> None:
    config = replace(LLAMA, num_kv_heads=kv_heads)
    batch = break_even_batch(config, length, 295)
    flops = batch * pass_flops(config, 1, length - 1)
    moved = weight_bytes(config) + batch * cache_bytes(config, length)
    assert flops / moved == pytest.approx(295)


def test_beyond_a_length_no_batch_is_large_enough() -> None:
    assert math.isfinite(break_even_batch(LLAMA, 390, 295))
    assert break_even_batch(LLAMA, 400, 295) == math.inf
    for batch in (1, 1000, 10**9):
        assert pass_flops(LLAMA, 1, 399, batch) < 295 * pass_bytes(LLAMA, 1, 399, batch)


def test_with_an_empty_context_it_is_the_ratio_of_the_peaks() -> None:
    """Each weight is two FLOPs and two bytes; keys and values of a single token hardly matter."""
    assert break_even_batch(LLAMA, 1, 295) == pytest.approx(295, rel=0.01)


# --- the cache gives the same logits as transformers' --------------------------------------------------


def test_cached_logits_are_those_of_transformers_with_its_own_cache() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=31, n_positions=32, n_embd=16, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0,
        attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(config).double().eval().requires_grad_(False)
    for parameter in theirs.parameters():  # biases are 0 at the start
        parameter.add_(0.1 * torch.randn_like(parameter))
    ours = GPT(
        replace(CONFIG, mlp_width=None, activation="gelu_tanh"), torch.Generator().manual_seed(1)
    ).double()
    ours.requires_grad_(False).load_state_dict(gpt2_weights(theirs.state_dict()))
    ids = torch.randint(31, (3, 20), generator=torch.Generator().manual_seed(2))
    cache = ours.new_cache(3)
    past: Any = None
    for part in (ids[:, :7], *ids[:, 7:].split(1, dim=1)):
        output = theirs(part, past_key_values=past, use_cache=True)
        past = output.past_key_values
        torch.testing.assert_close(ours(part, cache), output.logits, atol=1e-11, rtol=0)
    stored = sum(layer.keys.nbytes + layer.values.nbytes for layer in past.layers)
    assert stored == cache_bytes(ours.config, 20, 3, bytes_per_number=8)
    whole = theirs(ids).logits[:, -1:]
    torch.testing.assert_close(output.logits, whole, atol=1e-11, rtol=0)


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cache_bytes(CONFIG, -1), "num_tokens must be at least 0, got -1"),
        (lambda: cache_bytes(CONFIG, 3, 0), "batch_size must be at least 1, got 0"),
        (lambda: cache_bytes(CONFIG, 3, bytes_per_number=0), "bytes_per_number must be positive"),
        (lambda: weight_bytes(CONFIG, bytes_per_number=math.nan), "bytes_per_number must be positive"),
        (lambda: pass_flops(CONFIG, 0), "new_tokens must be at least 1, got 0"),
        (lambda: pass_flops(CONFIG, 1, -1), "past must be at least 0, got -1"),
        (lambda: pass_flops(CONFIG, 1, 1, 0), "batch_size must be at least 1, got 0"),
        (lambda: pass_flops(CONFIG, 30, 3), "must be at most 32, the model's context, got 33"),
        (lambda: pass_bytes(CONFIG, 0), "new_tokens must be at least 1, got 0"),
        (lambda: pass_bytes(CONFIG, 1, -1), "past must be at least 0, got -1"),
        (lambda: pass_bytes(CONFIG, 30, 3), "must be at most 32, the model's context, got 33"),
        (lambda: generation_flops(CONFIG, 0, 1, cached=True), "prompt_length must be at least 1"),
        (lambda: generation_flops(CONFIG, 1, 0, cached=False), "new_tokens must be at least 1"),
        (
            lambda: generation_flops(CONFIG, 30, 4, cached=True),
            "must be at most 32, the model's context, got 33",
        ),
        (lambda: break_even_batch(CONFIG, 33, 295), "length must be from 1 to 32, got 33"),
        (lambda: break_even_batch(CONFIG, 3, 0), "flops_per_byte must be positive and finite, got 0"),
        (lambda: break_even_batch(CONFIG, 3, math.inf), "flops_per_byte must be positive and finite"),
    ],
)
def test_bad_input_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
