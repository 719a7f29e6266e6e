"""Generation: one loop for every causal language model, and the cache that spares a Transformer its past."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lmprep.architectures.attention import check_ids


class CausalLM(Protocol):
    """What `generate` asks of a model: an `nn.Module` with these three.

    `new_cache(batch_size)` returns an empty state, an object that the model changes: a `KVCache`, or what
    holds a recurrent network's hidden state. `model(ids, cache=state)` takes `ids` (B, T) as what follows the
    tokens that the state has seen, adds them to it, and returns logits (B, T, V). `model(ids)` reads `ids`
    from the start. `context_length` is the most tokens it can read in all, None where there is no limit.
    """

    @property
    def context_length(self) -> int | None: ...

    def new_cache(self, batch_size: int) -> Any: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def __call__(self, ids: Tensor, /, cache: Any = None) -> Tensor: ...


class KVCache:
    """The keys and values of the tokens read so far, layer by layer, in memory allocated once.

    Args:
        num_layers: L.
        batch_size: B.
        num_kv_heads: H_kv.
        capacity: the most tokens it can hold.
        head_width: d.
        dtype, device: of the keys and values.

    Raises:
        ValueError: a size is below 1.

    Source: Shazeer (2019), "Fast Transformer Decoding"; Pope et al. (2022).
    """

    def __init__(
        self,
        num_layers: int,
        batch_size: int,
        num_kv_heads: int,
        capacity: int,
        head_width: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> None:
        shape = (num_layers, batch_size, num_kv_heads, capacity, head_width)
        if min(shape) < 1:
            raise ValueError(
                "num_layers, batch_size, num_kv_heads, capacity and head_width must be at least 1, "
                f"got {', '.join(map(str, shape))}"
            )
        self.keys = torch.empty(shape, dtype=dtype, device=device)  # (L, B, H_kv, capacity, d)
        self.values = torch.empty_like(self.keys)
        self._lengths = [0] * num_layers

    @property
    def length(self) -> int:
        """How many tokens every layer has seen."""
        return min(self._lengths)

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new tokens to a layer, (B, H_kv, T, d) each.

        Returns:
            All of the layer's keys and values so far, (B, H_kv, length, d) each: views, good until the next
            update.

        Raises:
            ValueError: shapes do not fit, there is no room left, or gradients are asked for: writing in
                place would make them wrong.
        """
        _, B, H_kv, capacity, d = self.keys.shape
        T = k.size(-2)
        if k.shape != (B, H_kv, T, d) or v.shape != k.shape:
            raise ValueError(
                f"k and v must have shape ({B}, {H_kv}, T, {d}), got {tuple(k.shape)} and {tuple(v.shape)}"
            )
        if k.requires_grad or v.requires_grad:
            raise ValueError("the cache is for inference: call the model under torch.no_grad()")
        start = self._lengths[layer]
        end = start + T
        if end > capacity:
            raise ValueError(f"the cache holds {capacity} tokens: there is no room for {T} after {start}")
        self.keys[layer, :, :, start:end] = k
        self.values[layer, :, :, start:end] = v
        self._lengths[layer] = end
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens. Nothing is copied: the next update overwrites the rest.

        Raises:
            ValueError: `length` is not from 0 to `self.length`.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"length must be from 0 to the {self.length} tokens in the cache, got {length}")
        self._lengths = [length] * len(self._lengths)


@torch.no_grad()
def generate(
    model: CausalLM,
    ids: Tensor,
    max_new_tokens: int,
    sample: Callable[[Tensor, Any], Tensor],
    *,
    cache: bool = True,
    stop: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Continue each sequence token by token, in evaluation mode and without gradients.

    Args:
        model: see `CausalLM`.
        ids: (B, T) prompts of one length T ≥ 1.
        max_new_tokens: the most to add, 0 or more.
        sample: maps the logits (B, V) of the next token and `generator` to ids (B,), such as
            `lmprep.foundations.decoding.greedy`.
        cache: whether each token is read once; otherwise the whole sequence is read again for each new token.
        stop: id after which a sequence ends. It is kept, and repeated until the longest sequence ends too.
        generator: handed to `sample`.

    Returns:
        (B, T + n): prompts and continuations, n ≤ `max_new_tokens`.

    Raises:
        TypeError: ids, or what `sample` returns, are not `torch.long`.
        ValueError: shapes do not fit, `max_new_tokens` or `stop` is negative, or prompt and continuation
            exceed the model's context.
    """
    _check_request(model, ids, max_new_tokens, stop)
    B, T = ids.shape
    sequence = torch.cat([ids, ids.new_empty(B, max_new_tokens)], dim=1)
    finished = torch.zeros(B, dtype=torch.bool, device=ids.device)
    with _evaluating(model):
        state = model.new_cache(B) if cache else None
        read = 0  # how many tokens `state` has seen
        for t in range(T, T + max_new_tokens):
            logits = model(sequence[:, read:t], cache=state)[:, -1]  # (B, V)
            new = _checked_sample(sample(logits, generator), B)
            if stop is not None:
                new = new.masked_fill(finished, stop)
                finished |= new == stop
            sequence[:, t] = new
            if finished.all():
                return sequence[:, : t + 1]
            read = t if cache else 0
    return sequence


@contextmanager
def _evaluating(model: CausalLM) -> Iterator[None]:
    """Switch to evaluation mode, and every module back to the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _check_request(model: CausalLM, ids: Tensor, max_new_tokens: int, stop: int | None) -> None:
    check_ids(ids)
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must not be negative, got {max_new_tokens}")
    if stop is not None and stop < 0:
        raise ValueError(f"stop must be a token id, got {stop}: pass None to go on to max_new_tokens")
    needed = ids.size(1) + max_new_tokens - 1  # the last new token is not read any more
    if model.context_length is not None and needed > model.context_length:
        raise ValueError(
            f"{ids.size(1)} prompt tokens and max_new_tokens={max_new_tokens} need a context of {needed}, "
            f"the model's is {model.context_length}: shorten the prompt or ask for fewer tokens"
        )


def _checked_sample(new: Tensor, batch_size: int) -> Tensor:
    if new.dtype != torch.long:
        raise TypeError(f"sample must return torch.long ids, got {new.dtype}")
    if new.shape != (batch_size,):
        raise ValueError(f"sample must return one id per sequence, ({batch_size},), got {tuple(new.shape)}")
    return new
