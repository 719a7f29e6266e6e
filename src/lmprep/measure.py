"""Counting what a computation takes, in elements rather than seconds: the same on every machine."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LargestTensor(TorchDispatchMode):
    """Within `with LargestTensor() as largest:`, record the size of the largest tensor any operation returns.

    `largest.elements` holds the number of elements, also of views; 0 before the first operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        outputs = result if isinstance(result, tuple | list) else (result,)
        sizes = (output.numel() for output in outputs if isinstance(output, Tensor))
        self.elements = max(self.elements, *sizes, 0)
        return result
