"""Every sequence of a batch reads one cache, the first one's: a batch then shares it as it shares weights."""

from typing import Any

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.architectures.generate import KVCache

THESIS = "batch_shares_weights_only"


def sabotage(patch: MonkeyPatch) -> None:
    built, updated = KVCache.__init__, KVCache.update

    def for_one(self: KVCache, num_layers: int, batch_size: int, *sizes: int, **options: Any) -> None:
        built(self, num_layers, 1, *sizes, **options)

    def update(self: KVCache, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = updated(self, layer, k[:1], v[:1])
        return keys.expand(len(k), -1, -1, -1), values.expand(len(v), -1, -1, -1)

    update.__wrapped__ = updated  # type: ignore[attr-defined]  # so that show(...) finds its source
    patch.setattr(KVCache, "__init__", for_one)
    patch.setattr(KVCache, "update", update)
