"""The Transformer: a causal one that predicts the next token, and a bidirectional one that encodes a text.

One block serves both. As GPT-2 (Radford et al., 2019) and BERT's encoder (Devlin et al., 2019) are
configured, they give the same numbers as these from the same weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.architectures.attention import MultiHeadAttention, check_ids
from lmprep.architectures.generate import KVCache
from lmprep.architectures.position import LearnedPositions, rope_cos_sin, rotate, sinusoidal
from lmprep.training.init import gpt2_init

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}
NORMS: dict[str, type[nn.LayerNorm | nn.RMSNorm]] = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}
POSITIONS = ("learned", "sinusoidal", "rope")
GPT2_NAMES = {
    "transformer.wte": "tokens",
    "transformer.wpe": "positions",
    "transformer.h": "blocks",
    "ln_1": "attention_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.output",
    "ln_2": "mlp_norm",
    "mlp.c_fc": "mlp.input",
    "mlp.c_proj": "mlp.output",
    "transformer.ln_f": "final_norm",
    "lm_head": "head",
}


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes and choices that `GPT` and `Encoder` share.

    Attributes:
        vocab_size: V.
        context_length: the most tokens it can read.
        width: D.
        num_layers: L.
        num_heads: H, a divisor of D.
        num_kv_heads: key and value heads, a divisor of H; H when None.
        mlp_width: hidden units of a block's MLP; 4·D when None.
        activation: of the MLP. "gelu_tanh" is the approximation in GPT-2, slower on a CPU than the exact one.
        position: vectors added to the embeddings, or queries and keys turned by `rope_base`.
        norm, norm_eps: layer norm or RMS norm, and what it adds under the root.
        norm_first: normalize what a sublayer reads, and once more at the end (pre-norm: GPT-2), or what it
            has added to (post-norm: BERT, and the first Transformer).
        embedding_norm: whether embeddings are normalized before the first block, as in BERT.
        bias: whether linear layers have one. A head never has.
        dropout: probability, for embeddings and for what each sublayer adds; masks come from torch's global
            generator.
        init_std: of all matrices and embeddings at the start.
        residual_scale: factor on `init_std` for the matrices that write to the residual stream;
            1/√(2L), as in GPT-2, when None.
    """

    vocab_size: int
    context_length: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int | None = None
    mlp_width: int | None = None
    activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu"
    position: Literal["learned", "sinusoidal", "rope"] = "learned"
    rope_base: float = 10_000.0
    norm: Literal["layer", "rms"] = "layer"
    norm_eps: float = 1e-5
    norm_first: bool = True
    embedding_norm: bool = False
    bias: bool = True
    dropout: float = 0.0
    init_std: float = 0.02
    residual_scale: float | None = None

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context_length", "width", "num_layers", "num_heads", "mlp_width"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        for name, choices in (("activation", ACTIVATIONS), ("position", POSITIONS), ("norm", NORMS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, got {self.dropout}")
        if not self.rope_base > 0:
            raise ValueError(f"rope_base must be above 0, got {self.rope_base}")
        _check_not_negative(
            norm_eps=self.norm_eps, init_std=self.init_std, residual_scale=self.residual_scale
        )
        if self.position == "rope" and self.width // self.num_heads % 2:
            raise ValueError(
                "rotary positions turn dimensions in pairs: width / num_heads must be even, "
                f"got {self.width} / {self.num_heads}"
            )


@dataclass(frozen=True, kw_only=True)
class GPTConfig(TransformerConfig):
    """A `TransformerConfig` with GPT-2's choices but for "gelu_tanh", and the head's.

    Attributes:
        tied_head: whether the head's matrix is that of the token embeddings.
        head_std: of the head's matrix at the start, if it is not tied; `init_std` when None.
    """

    tied_head: bool = True
    head_std: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_not_negative(head_std=self.head_std)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(TransformerConfig):
    """A `TransformerConfig` with BERT's choices."""

    norm_eps: float = 1e-12
    norm_first: bool = False
    embedding_norm: bool = True
    residual_scale: float | None = 1.0


class MLP(nn.Module):
    """Two linear layers with an activation between them, the same for every position."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        hidden = 4 * config.width if config.mlp_width is None else config.mlp_width
        self.input = nn.Linear(config.width, hidden, bias=config.bias)
        self.output = nn.Linear(hidden, config.width, bias=config.bias)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        output: Tensor = self.output(self.activation(self.input(x)))
        return output


class Block(nn.Module):
    """Attention, then an MLP, each added to what it read."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(
            config.width, config.num_heads, num_kv_heads=config.num_kv_heads, bias=config.bias
        )
        self.mlp = MLP(config)
        self.attention_norm = _norm(config)
        self.mlp_norm = _norm(config)
        self.dropout = _dropout(config)
        self.norm_first = config.norm_first

    def forward(self, x: Tensor, *, return_weights: bool, **attend: Any) -> tuple[Tensor, Tensor | None]:
        """(B, T, D) → (B, T, D), and the attention weights (B, H, T, S) or None.

        `attend` goes to `MultiHeadAttention`: mask, causal, rotate, cache.
        """
        read = self.attention_norm(x) if self.norm_first else x
        attended = self.attention(read, return_weights=return_weights, **attend)
        attended, weights = attended if return_weights else (attended, None)
        x = x + self.dropout(attended)
        if self.norm_first:
            return x + self.dropout(self.mlp(self.mlp_norm(x))), weights
        x = self.attention_norm(x)
        return self.mlp_norm(x + self.dropout(self.mlp(x))), weights


class Transformer(nn.Module):
    """What `GPT` and `Encoder` share: embeddings, blocks, and the norm at the end.

    Args:
        config: its sizes and choices.
        generator: the source of the first weights, on the CPU.
    """

    def __init__(self, config: TransformerConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):  # torch's layers draw weights on being built: leave no trace
            self.tokens = nn.Embedding(config.vocab_size, config.width)
            if config.position == "learned":
                self.positions = LearnedPositions(config.context_length, config.width)
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        if config.position == "sinusoidal":
            table = sinusoidal(config.context_length, config.width)
            self.sinusoids = nn.Buffer(table, persistent=False)
        self.embedding_norm = _norm(config) if config.embedding_norm else nn.Identity()
        self.dropout = _dropout(config)
        self.final_norm = _norm(config) if config.norm_first else nn.Identity()
        gpt2_init(
            self, config.num_layers, generator, std=config.init_std, residual_scale=config.residual_scale
        )

    @property
    def context_length(self) -> int:
        return self.config.context_length

    def hidden(
        self,
        ids: Tensor,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        cache: KVCache | None = None,
        return_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The last layer's vectors (B, T, D), and all layers' attention weights (L, B, H, T, S) or None.

        Args:
            ids: (B, T).
            mask, causal: as for `attention`.
            cache: the earlier tokens' keys and values; those of `ids` are added.
            return_weights: whether to return the weights.

        Raises:
            TypeError: ids are not `torch.long`.
            ValueError: ids are not of shape (B, T), not from 0 to V − 1, or more than the context takes.
        """
        start = 0 if cache is None else cache.length
        x, rotary = self._embed(ids, start)
        maps = []
        for layer, block in enumerate(self.blocks):
            extend = None if cache is None else partial(cache.update, layer)
            x, weights = block(x, mask=mask, causal=causal, rotate=rotary, cache=extend,
                               return_weights=return_weights)  # fmt: skip
            maps.append(weights)
        return self.final_norm(x), torch.stack(maps) if return_weights else None

    def _embed(self, ids: Tensor, start: int) -> tuple[Tensor, Callable[[Tensor], Tensor] | None]:
        """Token embeddings (B, T, D), positions added, and what turns queries and keys if they are rotary."""
        config = self.config
        check_ids(ids)
        end = start + ids.size(1)
        if end > config.context_length:
            raise ValueError(
                f"ids end at position {end - 1}, the model reads positions 0 to {config.context_length - 1}"
            )
        try:
            x = self.tokens(ids)
        except IndexError as error:
            raise ValueError(
                f"ids must be from 0 to {config.vocab_size - 1}, got {int(ids.min())} to {int(ids.max())}"
            ) from error
        rotary = None
        if config.position == "learned":
            x = x + self.positions(end - start, start)
        elif config.position == "sinusoidal":
            x = x + self.sinusoids[start:end]
        else:
            places = torch.arange(start, end, device=ids.device)
            cos, sin = rope_cos_sin(places, config.width // config.num_heads, config.rope_base)
            rotary = partial(rotate, cos=cos, sin=sin)
        return self.dropout(self.embedding_norm(x)), rotary


class GPT(Transformer):
    """A causal Transformer: at every position, logits of the next token.

    Args:
        config: its sizes and choices.
        generator: the source of the first weights, on the CPU.

    Source: Radford et al. (2019), GPT-2.
    """

    config: GPTConfig

    def __init__(self, config: GPTConfig, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.head = undrawn_linear(config.width, config.vocab_size, bias=False)
        if config.tied_head:
            self.head.weight = self.tokens.weight
        else:
            std = config.init_std if config.head_std is None else config.head_std
            nn.init.normal_(self.head.weight, std=std, generator=generator)

    def forward(
        self, ids: Tensor, cache: KVCache | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B, T, V): row t predicts the token after `ids[:, t]`.

        Args:
            ids: (B, T).
            cache: of the tokens before `ids`, which are added to it (see `new_cache`); without gradients.
            return_weights: whether to return the attention weights (L, B, H, T, S) too.

        Raises:
            TypeError, ValueError: as `hidden`.
        """
        hidden, weights = self.hidden(ids, causal=True, cache=cache, return_weights=return_weights)
        logits: Tensor = self.head(hidden)
        return logits if weights is None else (logits, weights)

    def new_cache(self, batch_size: int) -> KVCache:
        """An empty cache for as many tokens as the context takes."""
        config = self.config
        weight = self.tokens.weight
        return KVCache(
            config.num_layers,
            batch_size,
            config.num_heads if config.num_kv_heads is None else config.num_kv_heads,
            config.context_length,
            config.width // config.num_heads,
            dtype=weight.dtype,
            device=weight.device,
        )


def count_params(config: TransformerConfig) -> int:
    """How many parameters a `GPT` or an `Encoder` of this configuration has, without building it.

    A tied head is counted once, with the token embeddings.
    """
    D = config.width
    matrices = _block_matrices(config)
    weights = sum(rows * columns for rows, columns in matrices)
    biases = sum(rows for rows, _ in matrices) if config.bias else 0
    norm = 2 * D if config.norm == "layer" else D
    total = config.vocab_size * D + config.num_layers * (weights + biases + 2 * norm)
    if config.position == "learned":
        total += config.context_length * D
    total += norm * (config.norm_first + config.embedding_norm)  # the norms outside the blocks
    if isinstance(config, GPTConfig) and not config.tied_head:
        total += config.vocab_size * D
    return total


def flops_per_token(config: TransformerConfig, length: int) -> int:
    """Floating-point operations of a forward pass over `length` tokens, for each token.

    Counts the matrix products, a multiplication and an addition as 2, and the T × T scores in full, also
    where a mask hides half of them. Norms, softmax, activations and the look-up of embeddings are left out.
    Training takes three times as much: the backward pass needs two products for each of the forward pass.

    Raises:
        ValueError: length is not from 1 to the context's length.

    Source: Chowdhery et al. (2022), PaLM, appendix B. Their 6N + 12·L·H·Q·T for training is three times this,
    with N the parameters in matrix products and H·Q the width D.
    """
    if not 1 <= length <= config.context_length:
        raise ValueError(f"length must be from 1 to {config.context_length}, got {length}")
    matrices = config.num_layers * sum(rows * columns for rows, columns in _block_matrices(config))
    head = config.vocab_size * config.width if isinstance(config, GPTConfig) else 0
    attention = 2 * config.num_layers * length * config.width  # scores, and the weighted sum of values
    return 2 * (matrices + head + attention)


def gpt2_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of transformers' `GPT2LMHeadModel`, named and laid out as those of a `GPT`.

    Its blocks store matrices as (in, out), `nn.Linear` as (out, in). For the same logits the `GPT` needs
    `activation="gelu_tanh"`.

    Args:
        state: the `state_dict()` of a `GPT2LMHeadModel`.

    Returns:
        What `GPT.load_state_dict` takes.
    """
    weights = {}
    for name, weight in state.items():
        for theirs, ours in GPT2_NAMES.items():
            name = name.replace(theirs, ours)
        is_block_matrix = name.startswith("blocks") and weight.ndim == 2
        weights[name] = weight.mT if is_block_matrix else weight
    return weights


class Encoder(Transformer):
    """A bidirectional Transformer: at every position, a vector that depends on the whole text.

    Args:
        config: its sizes and choices.
        generator: the source of the first weights, on the CPU.

    Source: Devlin et al. (2019), BERT.
    """

    def forward(
        self, ids: Tensor, padding_mask: Tensor | None = None, *, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """(B, T, D): one vector per token.

        Args:
            ids: (B, T).
            padding_mask: (B, T) boolean, True = a token, False = padding, which no token attends to. What
                comes out at padded positions means nothing.
            return_weights: whether to return the attention weights (L, B, H, T, T) too.

        Raises:
            TypeError, ValueError: as `hidden`; or `padding_mask` is not boolean, or not of ids' shape.
        """
        hidden, weights = self.hidden(ids, mask=_key_mask(ids, padding_mask), return_weights=return_weights)
        return hidden if weights is None else (hidden, weights)

    def layers(self, ids: Tensor, padding_mask: Tensor | None = None) -> list[Tensor]:
        """What enters the first block and what leaves each: L + 1 tensors (B, T, D), arguments as above."""
        mask = _key_mask(ids, padding_mask)
        x, rotary = self._embed(ids, start=0)
        layers = [x]
        for block in self.blocks:
            x, _ = block(x, mask=mask, rotate=rotary, return_weights=False)
            layers.append(x)
        return layers


def _key_mask(ids: Tensor, padding_mask: Tensor | None) -> Tensor | None:
    """(B, 1, 1, T): which keys every query may attend to."""
    if padding_mask is not None and padding_mask.shape != ids.shape:
        raise ValueError(
            f"padding_mask must have ids' shape {tuple(ids.shape)}, got {tuple(padding_mask.shape)}"
        )
    return None if padding_mask is None else padding_mask[:, None, None, :]


def undrawn_linear(width: int, height: int, bias: bool = True) -> nn.Linear:
    """A linear layer from `width` to `height` whose weights are still to be set; torch's generator stays as
    it was. (`nn.utils.skip_init` does the same, but imports sympy first: half a CPU-second.)"""
    with torch.random.fork_rng(devices=[]):
        return nn.Linear(width, height, bias=bias)


def _check_not_negative(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")


def _block_matrices(config: TransformerConfig) -> tuple[tuple[int, int], ...]:
    """(out, in) of a block's four matrices: queries, keys and values; output; and the MLP's two."""
    D = config.width
    kv_heads = config.num_heads if config.num_kv_heads is None else config.num_kv_heads
    hidden = 4 * D if config.mlp_width is None else config.mlp_width
    return (D + 2 * kv_heads * (D // config.num_heads), D), (D, D), (hidden, D), (D, hidden)


def _norm(config: TransformerConfig) -> nn.Module:
    return NORMS[config.norm](config.width, eps=config.norm_eps)


def _dropout(config: TransformerConfig) -> nn.Module:
    return nn.Dropout(config.dropout) if config.dropout else nn.Identity()
