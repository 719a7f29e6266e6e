"""What generating costs: the FLOPs of each pass, the bytes it reads, and what a KV cache changes in both.

A pass reads some new tokens of each sequence after others whose keys and values are cached: a prefill reads
the whole prompt after nothing, a decoding step one token after all before it. `GPTConfig` says how large the
model is; the cache itself is `lmprep.architectures.generate.KVCache`.
"""

import math

from lmprep.architectures.transformer import GPTConfig, count_params, flops_per_token

LLAMA_3_1_8B = GPTConfig(
    vocab_size=128_256,
    context_length=131_072,
    width=4096,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    mlp_width=3 * 14_336 // 2,  # two matrices as large as the three of SwiGLU with 14,336 hidden units
    position="rope",
    rope_base=500_000.0,
    norm="rms",
    bias=False,
    tied_head=False,
)
"""A model of the size of Llama 3.1 8B: as many parameters, FLOPs and bytes (Grattafiori et al., 2024),
but another function, with two matrices and an activation where Llama has SwiGLU's three."""


def cache_bytes(
    config: GPTConfig, num_tokens: int, batch_size: int = 1, *, bytes_per_number: float = 2
) -> float:
    """Bytes of the keys and values of `num_tokens` tokens in each of `batch_size` sequences, in all layers.

    Args:
        bytes_per_number: 2 for half precision; 0.5 for 4 bits.

    Raises:
        ValueError: `num_tokens` is negative, or another size is not positive.

    Source: Shazeer (2019), "Fast Transformer Decoding"; grouped heads: Ainslie et al. (2023).
    """
    _check(num_tokens=num_tokens, least=0)
    _check(batch_size=batch_size)
    _check_positive(bytes_per_number=bytes_per_number)
    kv_heads = config.num_heads if config.num_kv_heads is None else config.num_kv_heads
    numbers = 2 * config.num_layers * kv_heads * (config.width // config.num_heads)  # of one token
    return batch_size * num_tokens * numbers * bytes_per_number


def weight_bytes(config: GPTConfig, *, bytes_per_number: float = 2) -> float:
    """Bytes of the weights that every pass reads: all but tables of which it looks up single rows.

    Raises:
        ValueError: `bytes_per_number` is not positive.
    """
    _check_positive(bytes_per_number=bytes_per_number)
    looked_up = 0 if config.tied_head else config.vocab_size * config.width
    if config.position == "learned":
        looked_up += config.context_length * config.width
    return (count_params(config) - looked_up) * bytes_per_number


def pass_flops(config: GPTConfig, new_tokens: int, past: int = 0, batch_size: int = 1) -> int:
    """FLOPs of reading `new_tokens` tokens of each sequence after `past` cached ones.

    As `flops_per_token`: matrix products only, logits at every position, and scores of every new token with
    all past and new ones, also where the causal mask hides them.

    Raises:
        ValueError: `past` is negative, another size is below 1, or past and new exceed the context.
    """
    _check_pass(config, new_tokens, past, batch_size)
    return batch_size * new_tokens * flops_per_token(config, past + new_tokens)


def pass_bytes(
    config: GPTConfig, new_tokens: int, past: int = 0, batch_size: int = 1, *, bytes_per_number: float = 2
) -> float:
    """Bytes that this pass moves at least: each weight once, each key and value of each sequence once.

    Activations are left out, and that a kernel may have to read the same number twice.

    Raises:
        ValueError: as `pass_flops`; or `bytes_per_number` is not positive.
    """
    _check_pass(config, new_tokens, past, batch_size)
    weights = weight_bytes(config, bytes_per_number=bytes_per_number)
    cache = cache_bytes(config, past + new_tokens, batch_size, bytes_per_number=bytes_per_number)
    return weights + cache


def generation_flops(config: GPTConfig, prompt_length: int, new_tokens: int, *, cached: bool) -> int:
    """FLOPs of continuing one prompt by `new_tokens` tokens, one pass for each.

    With a cache the first pass reads the prompt and each later one the token before it; without, every pass
    reads the whole sequence again.

    Raises:
        ValueError: a size is below 1, or the last pass exceeds the context.
    """
    _check(prompt_length=prompt_length, new_tokens=new_tokens)
    later = range(prompt_length, prompt_length + new_tokens - 1)  # tokens before each later pass's new one
    if cached:
        steps = (pass_flops(config, 1, past) for past in later)
    else:
        steps = (pass_flops(config, past + 1) for past in later)
    return pass_flops(config, prompt_length) + sum(steps)


def break_even_batch(
    config: GPTConfig, length: int, flops_per_byte: float, *, bytes_per_number: float = 2
) -> float:
    """The batch at which a decoding step's arithmetic takes as long as its reading; infinite if none is.

    A larger batch spreads the weights over more tokens, but each sequence adds a cache of its own. Where the
    FLOPs of one more sequence take less time than reading its cache, no batch is large enough. The step is
    taken as a whole, as if arithmetic and reading overlapped throughout, with one new token per sequence and
    no cache shared between them.

    Args:
        length: tokens in each sequence, the new one included.
        flops_per_byte: of the hardware, its FLOPs per second over the bytes per second that its memory gives.

    Raises:
        ValueError: `length` is not from 1 to the context's length, or another argument is not positive.

    Source: the roofline of Williams et al. (2009); for generation: Pope et al. (2022).
    """
    _check_positive(flops_per_byte=flops_per_byte)
    flops = flops_per_token(config, length)
    cache = cache_bytes(config, length, bytes_per_number=bytes_per_number)
    room = flops / flops_per_byte - cache  # bytes of weights that a sequence's arithmetic can hide
    weights = weight_bytes(config, bytes_per_number=bytes_per_number)
    return weights / room if room > 0 else math.inf


def _check_pass(config: GPTConfig, new_tokens: int, past: int, batch_size: int) -> None:
    _check(new_tokens=new_tokens, batch_size=batch_size)
    _check(past=past, least=0)
    if past + new_tokens > config.context_length:
        raise ValueError(
            f"past + new_tokens must be at most {config.context_length}, the model's context, "
            f"got {past + new_tokens}"
        )


def _check(*, least: int = 1, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < least:
            raise ValueError(f"{name} must be at least {least}, got {size}")


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {number}")
