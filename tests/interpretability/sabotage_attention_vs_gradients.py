"""No position reads another: with its attention off the deciding word, a judge then cannot rule rightly."""

import functools
from typing import Any

import torch
from pytest import MonkeyPatch

from lmprep.architectures import attention as module

THESIS = "misled"


def sabotage(patch: MonkeyPatch) -> None:
    attention = module.attention

    @functools.wraps(attention)
    def of_itself(q: Any, k: Any, v: Any, mask: Any = None, **options: Any) -> Any:
        itself = torch.eye(q.size(-2), k.size(-2), dtype=torch.bool, device=q.device)
        return attention(q, k, v, itself, **options)

    patch.setattr(module, "attention", of_itself)
