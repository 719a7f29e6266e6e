"""Ways to use a pretrained sentence encoder with few labels: bag of words, frozen, tuned.

`UPDATES` is the data of the page on fine-tuning strategies: sixty short messages, written for it.
"""

import re
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.pretraining.minilm import MiniLM
from lmprep.training.loop import History, fit
from lmprep.training.losses import cross_entropy
from lmprep.training.optim import Adam, lbfgs

LABELS = ("done", "under way", "planned")

# One subject a row, one sentence a label. No word but function words occurs in two rows, so rows that a model
# was not trained on share no content with those it was; and no function word gives a label away for sure.
UPDATES = (
    ("A plumber fixed the tap", "Someone is repairing the boiler", "They will replace the pipes"),
    ("She finished her first novel", "He is halfway through a poem", "I intend to write my memoirs"),
    ("We planted the apple trees", "Grandpa is watering the beans", "Roses are going in next spring"),
    ("The exams are over", "Pupils are sitting a test", "Term starts on Monday"),
    ("Engineers completed the bridge", "The tunnel is half dug", "A motorway is to be built"),
    ("The bread has been baked", "The soup is boiling", "We shall roast a goose"),
    ("I have returned from Spain", "We are driving across Norway", "She flies to Peru soon"),
    ("The director wrapped the movie", "Actors are practicing on stage", "A sequel is scheduled"),
    ("The twins were born", "My aunt is giving birth", "They expect a daughter"),
    ("Our team won the cup", "The game is into extra time", "Boxers meet tonight"),
    ("Parliament passed the bill", "Senators are debating a tax", "Judges are to rule on bail"),
    ("We sold the flat", "Painters are doing the hall", "He plans to buy a cottage"),
    ("The wheat was harvested", "Farmers are milking the cows", "Sheep get washed in May"),
    ("You repaid the loan", "Your transfer is in progress", "Interest rates will rise"),
    ("The surgeon removed the stone", "Nurses are changing the bandage", "I see the dentist tomorrow"),
    ("The band released an album", "An orchestra is tuning up", "The choir sings on Friday"),
    ("The garage tested my brakes", "A mechanic is checking the engine", "I need to order tires"),
    ("Your parcel arrived", "The courier is on his way", "Letters go out this evening"),
    ("The rocket landed safely", "Astronauts are orbiting Mars", "A robot will visit Venus"),
    ("The storm blew over", "It is snowing in Vienna", "Heavy rain is forecast"),
)

# Pairs that say the same in other words, about none of the above.
PARAPHRASES = (
    ("A man is playing a guitar", "Someone strums an instrument"),
    ("The cat sleeps on the sofa", "A kitten naps on a couch"),
    ("London was wet all day", "It rained in the English capital"),
    ("She solved the equation", "The girl found the answer to the problem"),
    ("The river froze in January", "Winter turned the stream to ice"),
    ("Scientists discovered a planet", "Astronomers found a new world"),
    ("He runs ten miles daily", "The athlete jogs long distances"),
    ("The police caught the thief", "A robber was sent to jail"),
    ("Children build a sandcastle", "Kids play at the beach"),
    ("The volcano erupted", "Lava poured down the mountain"),
    ("She grows tomatoes", "Vegetables thrive behind the house"),
    ("The king is dead", "The monarch passed away"),
)


def messages(subjects: Iterable[int], *, device: torch.device | None = None) -> tuple[list[str], Tensor]:
    """The sentences of some rows of `UPDATES`, row by row, and their labels (N,)."""
    rows = [UPDATES[subject] for subject in subjects]
    labels = torch.arange(len(LABELS), device=device).repeat(len(rows))
    return [sentence for row in rows for sentence in row], labels


def freeze(model: nn.Module) -> None:
    """Take all parameters of `model` out of training, in place."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)


def count_trainable(model: nn.Module) -> int:
    """How many numbers training would change; a parameter used in two places counts once."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


class SentenceClassifier(nn.Module):
    """A pretrained encoder, its pooled sentence vector, and a linear head on it.

    It shares the encoder's model: tuning one tunes the other. Dropout stays off in training too, so that
    runs that differ in one thing differ in nothing else.

    Args:
        encoder: tokenizer and Transformer.
        num_classes: K; the head starts with weights from N(0, 0.02²), as Hugging Face's do, and no bias.
        generator: of the head's weights; torch's global one when None.
    """

    def __init__(
        self, encoder: MiniLM, num_classes: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.read = encoder.read
        self.encoder = encoder.model
        self.head = nn.Linear(self.encoder.config.width, num_classes)
        with torch.no_grad():
            self.head.weight.normal_(0.0, 0.02, generator=generator)
            self.head.bias.zero_()

    def features(self, sentences: Sequence[str], *, every_layer: bool = False) -> Tensor:
        """(N, D), of length √D: the mean over a sentence's tokens, of the last layer or averaged over all.

        Gradients flow. "All" begins with the embeddings; each layer's mean is scaled to one length first.
        """
        ids, mask = self.read(sentences)  # (N, T)
        layers = (
            self.encoder.layers(ids, mask) if every_layer else [self.encoder(ids, mask)]
        )  # (N, T, D) each
        mask = mask[..., None]
        means = [F.normalize((states * mask).sum(1) / mask.sum(1), dim=-1) for states in layers]
        return F.normalize(torch.stack(means).mean(0), dim=-1) * means[0].size(-1) ** 0.5

    @torch.no_grad()
    def embed(self, sentences: Sequence[str], *, every_layer: bool = False) -> Tensor:
        """`features` without gradients."""
        return self.features(sentences, every_layer=every_layer)

    def forward(self, sentences: Sequence[str]) -> Tensor:
        """Logits (N, K)."""
        logits: Tensor = self.head(self.features(sentences))
        return logits

    def train(self, mode: bool = True) -> "SentenceClassifier":
        """Stay in eval mode: no dropout."""
        return super().train(False)


def fit_probe(features: Tensor, labels: Tensor, num_classes: int, *, penalty: float = 2.0) -> nn.Linear:
    """The linear classifier of fixed features that minimizes mean cross-entropy + penalty/2 · ‖W‖².

    Convex, so it has one answer and needs no seed; found in float64 by L-BFGS.

    Args:
        features: (N, D).
        labels: (N,), long, from 0 to num_classes − 1.
        penalty: on the weights, not the bias; above 0, as separable data have no optimum without.

    Returns:
        A layer from D to K in the dtype of the features, without gradients recorded.

    Raises:
        ValueError: shapes do not fit, there are no features, a label or the penalty is out of range.
    """
    if features.ndim != 2 or features.numel() == 0:
        raise ValueError(f"features must be (N, D), not empty, got {tuple(features.shape)}")
    if labels.shape != features.shape[:1]:
        raise ValueError(f"labels must have shape ({len(features)},), got {tuple(labels.shape)}")
    if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(f"labels must be from 0 to {num_classes - 1}, got {labels.unique().tolist()}")
    if not penalty > 0:
        raise ValueError(f"penalty must be above 0, got {penalty}: the weights would grow for ever")
    x = features.detach().double()
    shape = (num_classes, x.size(1) + 1)

    def loss(entries: Tensor) -> Tensor:
        weight, bias = entries.view(shape).tensor_split([-1], dim=1)  # (K, D), (K, 1)
        return F.cross_entropy(F.linear(x, weight, bias[:, 0]), labels) + penalty / 2 * weight.square().sum()

    with torch.enable_grad():
        best = lbfgs(loss, x.new_zeros(shape).flatten(), max_iterations=500, tolerance=1e-6).view(shape)
    layer = nn.Linear(x.size(1), num_classes, dtype=features.dtype, device=x.device)
    with torch.no_grad():
        layer.weight.copy_(best[:, :-1])
        layer.bias.copy_(best[:, -1])
    return layer


def fine_tune(
    model: SentenceClassifier,
    sentences: Sequence[str],
    labels: Tensor,
    parameters: Iterable[nn.Parameter],
    *,
    rate: float,
    head_rate: float,
    num_steps: int,
) -> History:
    """Train some of the encoder's parameters and the head, all sentences in each step, with Adam.

    Args:
        model: changed in place.
        sentences, labels: N sentences and (N,) their classes.
        parameters: of the encoder, those to train.
        rate, head_rate: learning rates of `parameters` and of the head.
        num_steps: of gradient descent.

    Raises:
        ValueError: the number of labels is not that of the sentences, or as `fit` and `cross_entropy` do.
    """
    if len(labels) != len(sentences):
        raise ValueError(f"labels must be one a sentence: {len(sentences)} sentences, {len(labels)} labels")
    groups = [{"params": list(parameters), "lr": rate}, {"params": model.head.parameters(), "lr": head_rate}]
    return fit(model, lambda step: sentences, lambda model, batch: cross_entropy(model(batch), labels),
               optimizer=Adam(groups), num_steps=num_steps)  # fmt: skip


def variance_shares(features: Tensor, num_classes: int) -> tuple[float, float]:
    """How much of the vectors' variance lies between classes, and how much between subjects.

    What is left is the interaction of both. If neither mattered, K classes and S subjects would be expected
    to take (K − 1) / (S·K − 1) and (S − 1) / (S·K − 1) all the same.

    Args:
        features: (S·K, D), subject by subject, the classes in the same order within each.
        num_classes: K.

    Raises:
        ValueError: the rows are not whole subjects, fewer than two of them, or all the same.
    """
    if features.ndim != 2 or features.size(0) % num_classes or features.size(0) < 2 * num_classes:
        raise ValueError(f"features must be (S · {num_classes}, D), S ≥ 2, got {tuple(features.shape)}")
    table = features.detach().double().unflatten(0, (-1, num_classes))  # (S, K, D)
    table = table - table.mean(dim=(0, 1))
    total = table.square().sum().item()
    if total == 0:
        raise ValueError("features are all the same: there is no variance to share")
    label, subject = (table.mean(dim=axis).square().sum().item() * table.size(axis) for axis in (0, 1))
    return label / total, subject / total


def tfidf(texts: Sequence[str], reference: Sequence[str]) -> Tensor:
    """(N, V): weighted counts of the words of `reference`, each row of length 1, float32.

    The weight of a word is 1 + log((1 + R)/(1 + how many of the R reference texts hold it)), scikit-learn's
    default. Words are runs of two or more letters or digits, in lower case; a text without a known word gets
    zeros.

    Raises:
        ValueError: no word in `reference`.
    """
    bags = [re.findall(r"\b\w\w+\b", text.lower()) for text in reference]
    vocabulary = sorted({word for bag in bags for word in bag})
    if not vocabulary:
        raise ValueError("reference holds no word of two or more letters")
    found = torch.tensor([sum(word in bag for bag in bags) for word in vocabulary])
    weights = 1 + torch.log((1 + len(bags)) / (1 + found))
    words = [re.findall(r"\b\w\w+\b", text.lower()) for text in texts]
    counts = torch.tensor([[bag.count(word) for word in vocabulary] for bag in words])
    return F.normalize(counts * weights, dim=-1)


def paraphrase_accuracy(encoder: MiniLM) -> float:
    """The share of the sentences in `PARAPHRASES` whose partner is the nearest on the other side."""
    left, right = (encoder.encode(side) for side in zip(*PARAPHRASES, strict=True))
    similarity = left @ right.mT  # (P, P)
    own = torch.arange(len(PARAPHRASES), device=similarity.device)
    hits = torch.cat([similarity.argmax(dim=1) == own, similarity.argmax(dim=0) == own])
    return hits.double().mean().item()
