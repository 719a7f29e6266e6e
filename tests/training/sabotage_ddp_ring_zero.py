"""A ZeRO-1 that all-reduces the gradients, though each rank needs one part of them."""

from collections.abc import Sequence

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.training import collectives
from lmprep.training.optim import Optimizer

THESIS = "same_traffic"


def sabotage(patch: MonkeyPatch) -> None:
    def all_reduces(
        shards: Sequence[Tensor],
        gradients: Sequence[Tensor],
        optimizers: Sequence[Optimizer],
        send: collectives.Send,
    ) -> list[Tensor]:
        totals = collectives.ring_all_reduce(gradients, send)
        for rank, (shard, total, optimizer) in enumerate(zip(shards, totals, optimizers, strict=True)):
            shard.grad = total.tensor_split(len(shards))[rank] / len(shards)
            optimizer.step()
        return collectives.all_gather([shard.detach() for shard in shards], send)

    patch.setattr(collectives, "zero1_step", all_reduces)
