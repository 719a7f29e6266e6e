"""What BERT is trained on: tokens hidden from the encoder, and pairs of sentences. And a small BERT."""

import itertools
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from lmprep.architectures.transformer import Encoder, EncoderConfig, undrawn_linear
from lmprep.training.losses import cross_entropy

IGNORED = -100
"""The label of a position without a question: what `torch.nn.functional.cross_entropy` ignores by default."""

Sentence = TypeVar("Sentence")


def mlm_mask(
    ids: Tensor,
    special: Tensor,
    *,
    vocab_size: int,
    mask_id: int,
    probability: float = 0.15,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """What the encoder reads, and what it is asked: BERT's 15 % and 80/10/10.

    Every token that is not special is chosen with `probability`, independently. A chosen token is replaced by
    `mask_id` (`mask_share` of them), by any id of the vocabulary (`random_share`), or it is left as it is.
    The draws are those of transformers' `DataCollatorForLanguageModeling`: from generators in the same state
    both make the same batch.

    Args:
        ids: (B, T), from 0 to V − 1.
        special: (B, T) boolean, True where a token is never chosen: [CLS], [SEP], padding.
        vocab_size: V.
        mask_id: id of [MASK].
        probability: of a token to be chosen.
        mask_share, random_share: shares of the chosen tokens. The rest is left as it is.
        generator: on the CPU, wherever `ids` are.

    Returns:
        inputs (B, T) and labels (B, T): the token that stood there where one was chosen, −100 elsewhere.

    Raises:
        TypeError: ids are not `torch.long`, or special is not boolean.
        ValueError: ids are empty, not of shape (B, T) or out of range, special has another shape, mask_id is
            out of range, or a probability is.

    Source: Devlin et al. (2019), who choose a fixed 15 % of each sequence instead of one token at a time.
    """
    _check_batch(ids, special, vocab_size, mask_id)
    _check_shares(probability, mask_share, random_share)

    def coins(p: float) -> Tensor:
        """One for each position: True with probability p."""
        return torch.bernoulli(torch.full(ids.shape, float(p)), generator=generator).bool().to(ids.device)

    chosen = coins(probability) & ~special
    masked = chosen & coins(mask_share)
    left = 1 - mask_share  # of which random_share is to be a part: half, in BERT
    swapped = chosen & ~masked & coins(min(random_share / left, 1.0) if left else 0.0)
    any_id = torch.randint(vocab_size, ids.shape, generator=generator).to(ids.device)
    inputs = torch.where(masked, mask_id, torch.where(swapped, any_id, ids))
    return inputs, torch.where(chosen, ids, IGNORED)


def nsp_pairs(
    documents: Sequence[Sequence[Sentence]], generator: torch.Generator
) -> list[tuple[Sentence, Sentence, bool]]:
    """Pairs for next-sentence prediction: (A, B, whether B follows A), one for each A that has a next.

    B is the next sentence with probability ½, else a random one of a random other document.

    Args:
        documents: each a sequence of sentences, of whatever kind.
        generator: of the choices.

    Raises:
        ValueError: fewer than two documents, one is empty, or none has two sentences.

    Source: Devlin et al. (2019), whose A and B are runs of sentences, to fill 512 tokens.
    """
    if len(documents) < 2 or not all(map(len, documents)):
        raise ValueError(
            f"documents must be two or more, none empty, got lengths {list(map(len, documents))[:10]}: "
            "a random B comes from another document"
        )

    def below(n: int) -> int:
        return int(torch.randint(n, (), generator=generator))

    pairs = []
    for d, document in enumerate(documents):
        for a, following in itertools.pairwise(document):
            if below(2):
                pairs.append((a, following, True))
            else:
                other = documents[(d + 1 + below(len(documents) - 1)) % len(documents)]
                pairs.append((a, other[below(len(other))], False))
    if not pairs:
        raise ValueError("documents must hold one of two sentences or more: no sentence has a next one")
    return pairs


class MaskedLM(nn.Module):
    """An encoder with two heads: one predicts tokens, the other labels a text by the mean of its states.

    BERT's token head has a layer more and shares its matrix with the embeddings; its classifier reads [CLS].

    Args:
        config: of the encoder.
        num_classes: K.
        generator: the source of the first weights, on the CPU.
        token_std: of the token embeddings at the start; that of the other weights when None.
    """

    def __init__(
        self,
        config: EncoderConfig,
        num_classes: int,
        generator: torch.Generator,
        *,
        token_std: float | None = None,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(config, generator)
        self.head = undrawn_linear(config.width, config.vocab_size)
        self.classifier = undrawn_linear(config.width, num_classes)
        if token_std is not None:
            nn.init.normal_(self.encoder.tokens.weight, std=token_std, generator=generator)
        nn.init.normal_(self.head.weight, std=0.1, generator=generator)
        for zero in (self.head.bias, self.classifier.weight, self.classifier.bias):
            nn.init.zeros_(zero)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) → logits of every position's token, (B, T, V)."""
        logits: Tensor = self.head(self.encoder(ids))
        return logits

    def mlm_loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the chosen tokens; what is not asked for does not get as far as the head.

        Args:
            inputs, labels: (B, T) each, as `mlm_mask` returns them.

        Raises:
            ValueError: no token is chosen.
        """
        chosen = labels != IGNORED
        if not chosen.any():
            raise ValueError(f"labels ask for nothing, all are {IGNORED}: mask a larger batch")
        states = self.encoder(inputs)[chosen]  # (M, D)
        return cross_entropy(self.head(states), labels[chosen])

    def classify(self, ids: Tensor) -> Tensor:
        """(B, T), all tokens, no padding → logits of the classes (B, K)."""
        logits: Tensor = self.classifier(self.encoder(ids).mean(dim=1))
        return logits


def _check_batch(ids: Tensor, special: Tensor, vocab_size: int, mask_id: int) -> None:
    if ids.dtype != torch.long:
        raise TypeError(f"ids must be torch.long, got {ids.dtype}")
    if special.dtype != torch.bool:
        raise TypeError(f"special must be boolean, True = never chosen, got {special.dtype}")
    if ids.ndim != 2 or ids.numel() == 0:
        raise ValueError(f"ids must have shape (B, T), neither zero, got {tuple(ids.shape)}")
    if special.shape != ids.shape:
        raise ValueError(f"special must have ids' shape {tuple(ids.shape)}, got {tuple(special.shape)}")
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocab_size:
        raise ValueError(f"ids must be from 0 to {vocab_size - 1}, got {low} to {high}")
    if not 0 <= mask_id < vocab_size:
        raise ValueError(f"mask_id must be from 0 to {vocab_size - 1}, got {mask_id}")


def _check_shares(probability: float, mask_share: float, random_share: float) -> None:
    for name, share in (("probability", probability), ("mask_share", mask_share),
                        ("random_share", random_share)):  # fmt: skip
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    if mask_share + random_share > 1 + 1e-9:
        raise ValueError(f"mask_share + random_share must not exceed 1, got {mask_share} + {random_share}")
