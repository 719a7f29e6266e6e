"""A classifier to try explanations on: one attention map on top, every edge open to being cut, and a task of
which it is known what decides."""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from lmprep.architectures.transformer import Encoder, EncoderConfig, undrawn_linear


class PooledClassifier(nn.Module):
    """An encoder in which tokens read each other, an attention map that pools them, and a linear rule.

    Args:
        config: the encoder's.
        num_classes: K.
        generator: the source of the first weights, on the CPU.
        mixing: whether tokens read each other; if not, each one's vector depends on itself alone.
        head_std: spread of the first weights of pooling and rule; PyTorch's own is 1/√(3D).

    Raises:
        ValueError: num_classes is below 1 or head_std negative.
    """

    def __init__(
        self,
        config: EncoderConfig,
        num_classes: int,
        generator: torch.Generator,
        *,
        mixing: bool = True,
        head_std: float = 0.1,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        if not head_std >= 0:
            raise ValueError(f"head_std must not be negative, got {head_std}")
        self.mixing = mixing
        self.encoder = Encoder(config, generator)
        self.score = undrawn_linear(config.width, 1)
        self.rule = undrawn_linear(config.width, num_classes)
        for layer in (self.score, self.rule):
            nn.init.normal_(layer.weight, std=head_std, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        ids: Tensor,
        *,
        vectors: Tensor | None = None,
        reads: Tensor | None = None,
        pools: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, K), the pooling's weights (B, T), and the encoder's (L, B, H, T, T).

        Args:
            ids: (B, T).
            vectors: (B, T, D) in place of the embeddings of `ids`, to be varied or differentiated.
            reads: boolean, broadcastable to (B, H, T, T): which token may read which, in every layer. Without
                mixing it does not matter.
            pools: (B, T) boolean: which tokens the pooling may weigh, at least one in each row.

        Raises:
            TypeError, ValueError: as the encoder; or vectors or pools do not fit ids, or a row of pools is
                empty.
        """
        _check_inputs(ids, vectors, pools, width=self.rule.in_features)
        if not self.mixing:
            reads = torch.eye(ids.size(1), dtype=torch.bool, device=ids.device)
        embed = self.encoder.tokens
        with nullcontext() if vectors is None else embed.register_forward_hook(lambda *_: vectors):
            h, maps = self.encoder.hidden(ids, mask=reads, return_weights=True)  # (B, T, D)
        assert maps is not None
        scores = self.score(h)[..., 0]  # (B, T)
        if pools is not None:
            scores = scores.masked_fill(~pools, -torch.inf)
        weights = scores.softmax(dim=-1)
        return self.rule((weights[..., None] * h).sum(dim=1)), weights, maps

    def margin(self, ids: Tensor, classes: Tensor, against: int) -> Callable[[Tensor], Tensor]:
        """The function of embedded tokens that an attribution explains: by how much a class leads another.

        Args:
            ids: (N, T), which say how long the texts are; their embeddings do not enter.
            classes: (N,), the class of each text whose lead is asked for.
            against: the class that it leads.

        Returns:
            A function from vectors (N, T, D) to differences of logits (N,).
        """

        def f(vectors: Tensor) -> Tensor:
            logits, _, _ = self(ids, vectors=vectors)
            return logits.gather(1, classes[:, None])[:, 0] - logits[:, against]

        return f


def planted_words(
    n: int, length: int, vocab_size: int, num_signals: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Texts of filler words, in most of which one signal word, at a random place, is the label.

    Args:
        n: number of texts, N.
        length: words in a text, T.
        vocab_size: V. Words below `num_signals` are the signals, the others filler.
        num_signals: signal words, S. A text has label s if it holds signal s, and S if it holds none.
        generator: on the CPU, as are the results.

    Returns:
        Ids (N, T), labels (N,) from 0 to S, all equally likely, and a boolean mask (N, T) of the signals.

    Raises:
        ValueError: n or length is below 1, num_signals is not from 1 to V − 1.
    """
    if n < 1 or length < 1:
        raise ValueError(f"n and length must be at least 1, got {n} and {length}")
    if not 1 <= num_signals < vocab_size:
        raise ValueError(f"num_signals must be from 1 to {vocab_size - 1}, got {num_signals}")
    labels = torch.randint(num_signals + 1, (n,), generator=generator)
    place = torch.randint(length, (n, 1), generator=generator)
    decides = (torch.arange(length) == place) & (labels < num_signals)[:, None]  # (N, T)
    filler = torch.randint(num_signals, vocab_size, (n, length), generator=generator)
    return filler.where(~decides, labels[:, None]), labels, decides


def _check_inputs(ids: Tensor, vectors: Tensor | None, pools: Tensor | None, width: int) -> None:
    if vectors is not None and vectors.shape != (*ids.shape, width):
        raise ValueError(f"vectors must have shape {(*ids.shape, width)}, got {tuple(vectors.shape)}")
    if pools is None:
        return
    if pools.dtype != torch.bool:
        raise TypeError(f"pools must be boolean, True = may be weighed, got {pools.dtype}")
    if pools.shape != ids.shape or not pools.any(dim=-1).all():
        raise ValueError(f"pools must have ids' shape {tuple(ids.shape)} and a True in each row, "
                         f"got {tuple(pools.shape)}")  # fmt: skip
