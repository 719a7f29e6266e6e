"""An encoder–decoder of two GRUs: all that the decoder learns of the source passes through one vector.

`Encoded` keeps the encoder's states of all steps as well: with `attend=`, the decoder looks back at them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lmprep.architectures.attention import check_ids
from lmprep.architectures.generate import generate
from lmprep.architectures.rnn import last_valid


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig:
    """Sizes of a `Seq2Seq`.

    Attributes:
        vocab_size: V, of source and target together.
        width: H, of embeddings and of both GRUs.
        summary_width: C, of the vector that the encoder hands to the decoder.
    """

    vocab_size: int
    width: int
    summary_width: int

    def __post_init__(self) -> None:
        for name in ("vocab_size", "width", "summary_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Encoded:
    """What the encoder has made of the sources.

    Attributes:
        states: (B, S, H), one after each step, those on padding included.
        lengths: (B,), how many of them belong to the source.
        summary: (B, C), the vector handed to the decoder.
    """

    states: Tensor
    lengths: Tensor
    summary: Tensor


class Seq2Seq(nn.Module):
    """An encoder GRU, a vector of fixed width, a decoder GRU that starts from it.

    Embeddings start standard normal, all other weights uniform in ±1/√H.

    Args:
        config: its sizes.
        generator: the source of the first weights, on the CPU.
        attend: maps decoder states (B, T, H), encoder states (B, S, H) and a mask (B, 1, S) to contexts
            (B, T, H) and weights, such as `LuongAttention`. The head then reads each state and its context.

    Source: Cho et al. (2014), whose decoder reads the vector at each step too; Sutskever et al. (2014);
    attention between GRU and head as in Luong et al. (2015), without their extra tanh layer.
    """

    def __init__(
        self, config: Seq2SeqConfig, generator: torch.Generator, attend: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.config = config
        V, H, C = config.vocab_size, config.width, config.summary_width
        with torch.random.fork_rng(devices=[]):  # torch's layers draw weights on being built: leave no trace
            self.tokens = nn.Embedding(V, H)
            self.encoder = nn.GRU(H, H, batch_first=True)
            self.decoder = nn.GRU(H, H, batch_first=True)
            self.head = nn.Linear(H if attend is None else 2 * H, V)
            self.squeeze = nn.Linear(H, C)  # last, so that C changes no other first weight
            self.unfold = nn.Linear(C, H)
        self.attend = attend
        for name, parameter in self.named_parameters():
            if name == "tokens.weight":
                nn.init.normal_(parameter, generator=generator)
            else:
                nn.init.uniform_(parameter, -1 / math.sqrt(H), 1 / math.sqrt(H), generator=generator)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> Encoded:
        """Read the sources.

        Args:
            source: (B, S), padded at the end with any id.
            lengths: (B,), from 1 to S; S for all when None.

        Raises:
            TypeError: source is not `torch.long`, or lengths are not whole numbers.
            ValueError: shapes do not fit, or an id or a length is out of range.
        """
        states, _ = self.encoder(self._embed("source", source))  # (B, S, H)
        if lengths is None:
            lengths = source.new_full(source.shape[:1], source.size(1))
        summary = torch.tanh(self.squeeze(last_valid(states, lengths)))  # (B, C)
        return Encoded(states, lengths, summary)

    def decode(
        self, target_in: Tensor, encoded: Encoded, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) of the token after each of `target_in`, and the last state.

        Args:
            target_in: (B, T), what stands before each token to predict; begins with BOS.
            encoded: the sources.
            state: (1, B, H), to go on after an earlier call; from the summary when None.

        Raises:
            TypeError: target_in is not `torch.long`.
            ValueError: shapes do not fit, or an id is out of range.
        """
        x = self._embed("target_in", target_in)
        if len(x) != len(encoded.summary):
            counts = f"{len(x)} sequences, encoded {len(encoded.summary)}"
            raise ValueError(f"target_in holds {counts}")
        if state is None:
            state = torch.tanh(self.unfold(encoded.summary))[None]  # (1, B, H)
        x, state = self.decoder(x, state)  # (B, T, H)
        if self.attend is not None:
            places = torch.arange(encoded.states.size(1), device=x.device)
            mask = places < encoded.lengths[:, None, None]  # (B, 1, S)
            context, _ = self.attend(x, encoded.states, mask)
            x = torch.cat([x, context], dim=-1)  # (B, T, 2H)
        return self.head(x), state

    def forward(self, source: Tensor, target_in: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Teacher-forced logits (B, T, V): `decode` after `encode`."""
        logits, _ = self.decode(target_in, self.encode(source, lengths))
        return logits

    def greedy(
        self, source: Tensor, lengths: Tensor | None = None, *, bos: int, eos: int, max_new_tokens: int
    ) -> Tensor:
        """The likeliest token at each step, read back as the next input.

        Args:
            source, lengths: as for `encode`.
            bos: the id that the decoder reads first.
            eos: the id after which a sequence ends. It is kept, and repeated until the longest one ends too.
            max_new_tokens: the most to write.

        Returns:
            (B, n), n ≤ `max_new_tokens`, without BOS and without gradients.

        Raises:
            TypeError, ValueError: as `encode`, and `generate`.
        """
        with torch.no_grad():
            decoder = _Conditioned(self, self.encode(source, lengths))
        first = source.new_full((len(source), 1), bos)

        def likeliest(logits: Tensor, _: torch.Generator | None) -> Tensor:
            return logits.argmax(dim=-1)  # (B,)

        written = generate(decoder, first, max_new_tokens, likeliest, stop=eos)
        return written[:, 1:]

    def _embed(self, name: str, ids: Tensor) -> Tensor:
        check_ids(ids)
        try:
            embedded: Tensor = self.tokens(ids)
        except IndexError as error:
            last, found = self.config.vocab_size - 1, f"{int(ids.min())} to {int(ids.max())}"
            raise ValueError(f"{name} must hold ids from 0 to {last}, got {found}") from error
        return embedded


@dataclass
class _State:
    """The decoder's state, (1, B, H), None before the first token."""

    value: Tensor | None = None


class _Conditioned:
    """The decoder, given its sources: a `CausalLM` for `generate`."""

    context_length = None

    def __init__(self, model: Seq2Seq, encoded: Encoded) -> None:
        self.model, self.encoded = model, encoded

    def new_cache(self, batch_size: int) -> _State:
        return _State()

    def modules(self) -> Iterator[nn.Module]:
        return self.model.modules()

    def __call__(self, ids: Tensor, /, cache: _State | None = None) -> Tensor:
        state = self.new_cache(len(ids)) if cache is None else cache
        logits, state.value = self.model.decode(ids, self.encoded, state.value)
        return logits


def shift_right(targets: Tensor, bos: int) -> Tensor:
    """What the decoder reads to predict `targets`: BOS, then all but the last, (B, T).

    Args:
        targets: (B, T), T ≥ 1.
        bos: the id that stands for "begin", not negative.

    Raises:
        TypeError: targets are not `torch.long`.
        ValueError: targets are not of shape (B, T) or hold no token, or bos is negative.
    """
    check_ids(targets)
    if bos < 0:
        raise ValueError(f"bos must be a token id, got {bos}")
    return torch.cat([targets.new_full((len(targets), 1), bos), targets[:, :-1]], dim=1)
