"""Counting what a computation takes, in elements or bytes rather than seconds: the same on every machine."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LargestTensor(TorchDispatchMode):
    """Within `with LargestTensor() as largest:`, record the size of the largest tensor any operation returns.

    `largest.elements` holds the number of elements, also of views; 0 before the first operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: to be skipped by `torch.compile`, torch would import it first, which takes 2 CPU-seconds."""
        return False

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        outputs = result if isinstance(result, tuple | list) else (result,)
        sizes = (output.numel() for output in outputs if isinstance(output, Tensor))
        self.elements = max(self.elements, *sizes, 0)
        return result


class KeptForBackward(torch.autograd.graph.saved_tensors_hooks):
    """Within `with KeptForBackward() as kept:`, count the memory that autograd holds for backward passes.

    `kept.bytes` counts each storage once and whole, however many operations save it or views of it, and
    parameters and inputs too, where an operation saves them. What a backward pass has let go stays counted.
    """

    def __init__(self) -> None:
        self._storages: dict[int, torch.UntypedStorage] = {}  # alive, so that no address comes twice
        super().__init__(self._keep, lambda x: x)

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self._storages.values())

    def __enter__(self) -> "KeptForBackward":  # type: ignore[override]  # torch's returns None
        super().__enter__()
        return self

    def _keep(self, x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        self._storages[storage.data_ptr()] = storage
        return x
