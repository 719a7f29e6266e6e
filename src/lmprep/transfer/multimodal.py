"""Images and captions in one space: CLIP's loss, zero-shot names, retrieval, and pictures of two digits.

A picture shows two handwritten digits side by side, and its caption names them from left to right. There are
100 captions, 00 to 99, and a model can be trained on pictures of some and asked for all.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.pretraining.contrastive import partner_loss
from lmprep.training.init import he_

CAPTIONS = torch.cartesian_prod(torch.arange(10), torch.arange(10))
"""All captions, (100, 2): row 10 a + b is "a b"."""

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


# --- the loss and what is done with the space ------------------------------------------------------------


def cosines(images: Tensor, texts: Tensor) -> Tensor:
    """Cosine of each image's embedding with each text's.

    Args:
        images: (N, D), of any length.
        texts: (M, D), of any length.

    Returns:
        (N, M).

    Raises:
        TypeError: images or texts are not floating point, or their dtypes differ.
        ValueError: they are not (N, D) and (M, D), none of the three zero.
    """
    for name, rows in (("images", images), ("texts", texts)):
        if not rows.is_floating_point():
            raise TypeError(f"{name} must be floating point, got {rows.dtype}")
        if rows.ndim != 2 or rows.numel() == 0:
            raise ValueError(f"{name} must have two axes, neither empty, got shape {tuple(rows.shape)}")
    if images.size(1) != texts.size(1):
        raise ValueError(f"images and texts must have one width, got {images.size(1)} and {texts.size(1)}: "
                         "end both towers in a layer of the same size")  # fmt: skip
    if images.dtype != texts.dtype:
        raise TypeError(f"images and texts must have one dtype, got {images.dtype} and {texts.dtype}")
    return F.normalize(images, dim=1) @ F.normalize(texts, dim=1).mT


def clip_loss(
    images: Tensor,
    texts: Tensor,
    logit_scale: Tensor,
    captions: Tensor | None = None,
) -> Tensor:
    """InfoNCE in both directions with a learned temperature, τ = exp(−logit_scale).

    Args:
        images, texts: (N, D), of any length; rows of the same index belong together.
        logit_scale: the logarithm of what multiplies the cosines, a scalar. Nothing is clamped here.
        captions: (N,) whole numbers. Pairs with one number are no negatives for each other: their
            scores off the diagonal are left out. None: all other pairs are negatives.

    Returns:
        A scalar in nats.

    Raises:
        TypeError: as `cosines`, or captions are not whole numbers.
        ValueError: as `cosines`; the numbers of images, texts and captions differ; or logit_scale is no
            scalar with a finite exponential.

    Source: Radford et al. (2021); the mask is an addition.
    """
    if logit_scale.ndim != 0 or not (logit_scale.isfinite() and logit_scale.exp().isfinite()):
        raise ValueError(
            f"logit_scale must be one number, log(1/τ), with a finite exponential, got {logit_scale}"
        )
    if len(images) != len(texts):
        raise ValueError(f"images and texts must be as many, got {len(images)} and {len(texts)}")
    scores = cosines(images, texts) * logit_scale.exp()  # (N, N)
    if captions is not None:
        if captions.is_floating_point() or captions.is_complex() or captions.dtype == torch.bool:
            raise TypeError(f"captions must be whole numbers, got {captions.dtype}")
        if captions.shape != scores.shape[:1]:
            raise ValueError(f"captions must be ({len(scores)},), got shape {tuple(captions.shape)}")
        twins = captions[:, None] == captions
        scores = scores.masked_fill(twins.fill_diagonal_(False), -torch.inf)
    return partner_loss(scores)


def zero_shot(images: Tensor, class_texts: Tensor) -> Tensor:
    """Name each image by the class whose text has the highest cosine; of equal ones the first.

    Args:
        images: (N, D).
        class_texts: (K, D), one row for each class. The classes need not have been trained.

    Returns:
        (N,), numbers from 0 to K − 1.

    Raises:
        TypeError, ValueError: as `cosines`.

    Source: Radford et al. (2021).
    """
    return cosines(images, class_texts).argmax(dim=1)


def recall_at_k(scores: Tensor, k: int) -> float:
    """The share of rows whose partner, on the diagonal, is among the k largest entries.

    Where other entries equal the partner's, the partner is ranked last of them: a model that cannot tell
    candidates apart is not credited with luck.

    Args:
        scores: (N, N).
        k: from 1.

    Raises:
        ValueError: scores are not square, empty or hold a NaN, or k is below 1.
    """
    if scores.ndim != 2 or scores.size(0) != scores.size(1) or not len(scores):
        raise ValueError(f"scores must be (N, N) with N from 1, got shape {tuple(scores.shape)}")
    if scores.isnan().any():
        raise ValueError("scores hold a NaN, which has no rank")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    ranks = (scores >= scores.diagonal()[:, None]).sum(dim=1)  # (N,), 1 is best
    return (ranks <= k).double().mean().item()


# --- pictures and captions -------------------------------------------------------------------------------


def held_out_pairs(generator: torch.Generator) -> Tensor:
    """Choose 20 of the 100 captions so that every digit is missing twice on each side.

    Returns:
        (100,) bool, in the order of `CAPTIONS`.
    """
    right = torch.randperm(10, generator=generator)
    held = torch.zeros(10, 10, dtype=torch.bool)
    held[torch.arange(10), right] = True
    held[torch.arange(10), right.roll(1)] = True
    return held.flatten()


def draw_pictures(images: Tensor, labels: Tensor, pairs: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures of pairs of digits: two images side by side, each drawn among those of its digit.

    Args:
        images: (M, 8, 8), of single digits.
        labels: (M,), 0 to 9, each at least once.
        pairs: (N, 2), the left and the right digit.
        generator: on the CPU.

    Returns:
        (N, 8, 16).

    Raises:
        ValueError: a digit has no image, pairs hold another number than a digit, or shapes do not fit.
    """
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"images must be (M, 8, 8) and labels (M,), got {tuple(images.shape)} and "
                         f"{tuple(labels.shape)}")  # fmt: skip
    if pairs.ndim != 2 or pairs.size(1) != 2:
        raise ValueError(f"pairs must be (N, 2), got shape {tuple(pairs.shape)}")
    if ((pairs < 0) | (pairs > 9)).any():
        raise ValueError(f"pairs must be digits, 0 to 9, got numbers from {pairs.min()} to {pairs.max()}")
    counts = labels.bincount(minlength=10)
    if not counts.all():
        raise ValueError("labels must have each digit from 0 to 9 at least once")
    by_digit = labels.argsort(stable=True)
    first = counts.cumsum(0) - counts  # where each digit begins in that order
    luck = torch.rand(pairs.shape, generator=generator, dtype=torch.float64)
    chosen = by_digit[first[pairs] + (luck * counts[pairs]).long()]  # (N, 2)
    return torch.cat([images[chosen[:, 0]], images[chosen[:, 1]]], dim=2)


def caption_ids(pairs: Tensor) -> Tensor:
    """The place of each caption, (N, 2), in `CAPTIONS`: (N,)."""
    return 10 * pairs[:, 0] + pairs[:, 1]


def spelled(pair: Tensor) -> str:
    """A caption, (2,), in words: (3, 7) is "three seven"."""
    return " ".join(_WORDS[digit] for digit in pair.tolist())


# --- two towers ------------------------------------------------------------------------------------------


class Layers(nn.Sequential):
    """Linear, ReLU, Linear, with He's start.

    Args:
        sizes: of input, hidden layer and output.
        generator: of the weights, on the CPU.
    """

    def __init__(self, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        first, last = nn.Linear(*sizes[:2]), nn.Linear(*sizes[1:])
        for layer in (first, last):
            he_(layer.weight, generator)
            nn.init.zeros_(layer.bias)
        super().__init__(first, nn.ReLU(), last)


class TextTower(nn.Module):
    """Embeds the two words of a caption and mixes them.

    Args:
        ordered: whether each place is seen by itself; if not, both places see the sum of the two.
        width: of the output.
        generator: of the weights, on the CPU.
    """

    def __init__(self, ordered: bool, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.ordered = ordered
        self.words = nn.Embedding(10, 32)
        nn.init.normal_(self.words.weight, generator=generator)
        self.mix = Layers((64, 64, width), generator)

    def forward(self, pairs: Tensor) -> Tensor:
        """Captions as digits, (N, 2), to (N, width)."""
        vectors = self.words(pairs)  # (N, 2, 32)
        if not self.ordered:
            vectors = vectors.sum(dim=1, keepdim=True).expand(-1, 2, -1)
        out: Tensor = self.mix(vectors.flatten(1))
        return out


class TwoTowers(nn.Module):
    """An image tower, a text tower and a learned scale, which starts at CLIP's 1/0.07.

    Args:
        ordered: of the text tower.
        image_generator, text_generator: of each tower's weights, so that images start alike.
        width: of the space that both share.
    """

    def __init__(
        self,
        ordered: bool,
        image_generator: torch.Generator,
        text_generator: torch.Generator,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.image = Layers((128, 128, width), image_generator)
        self.text = TextTower(ordered, width, text_generator)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, pictures: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, 8, 16) and captions (M, 2) to (N, width) and (M, width), not normalized."""
        return self.image(pictures.flatten(1)), self.text(pairs)


class Fusion(nn.Module):
    """The features of both towers side by side, and a small network's verdict: do they belong together?

    Args:
        towers: whose outputs are joined; their logit_scale is not used.
        width: of each tower's output.
        generator: of the head's weights, on the CPU.
    """

    def __init__(self, towers: TwoTowers, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.towers = towers
        self.head = Layers((2 * width, 64, 1), generator)

    def forward(self, pictures: Tensor, pairs: Tensor) -> Tensor:
        """Pictures (N, 8, 16) and as many captions (N, 2) to N logits of "they match"."""
        features = torch.cat(self.towers(pictures, pairs), dim=1).relu()  # (N, 2 · width)
        out: Tensor = self.head(features)
        return out[:, 0]
