"""What every notebook opens with: one quiet, deterministic, offline process, and code shown from the library.

Nothing here is imported by the rest of the library.
"""

import ast
import inspect
import itertools
import os
import random
import textwrap
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
# Read when a math library loads; `setup` limits those that are loaded already.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_STREAMS = 10_000  # how many streams `seed` keeps apart within one LMPREP_SEED


def setup() -> "torch.device":
    """Make this process deterministic, single-threaded and offline; return the device to work on.

    CUDA where there is a device, unless the environment variable `LMPREP_DEVICE` says `cpu`. Call it
    before importing `transformers` or `datasets`, which read their offline flags on import.

    Raises:
        ValueError: `LMPREP_DEVICE` is neither `cpu` nor `cuda`, or asks for a GPU that is not there.
    """
    os.environ.update(_OFFLINE | _ONE_THREAD)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    import numpy as np
    import torch
    from threadpoolctl import threadpool_limits

    from lmprep.plotting import use_style

    torch.set_num_threads(1)
    threadpool_limits(limits=1)
    # As use_deterministic_algorithms(True), which also imports torch.compile: two CPU-seconds.
    torch.set_deterministic_debug_mode("error")
    random.seed(seed(0))
    np.random.seed(seed(0))  # noqa: NPY002 — libraries that draw from numpy's global state
    torch.manual_seed(seed(0))
    use_style()
    return torch.device(_device_name(torch.cuda.is_available()))


def seed(k: int = 0) -> int:
    """The k-th of this run's seeds, as an int for others' `random_state`; `LMPREP_SEED` shifts them all."""
    if not (isinstance(k, Integral) and 0 <= k < _STREAMS):
        raise ValueError(f"k must be a whole number from 0 to {_STREAMS - 1}, got {k!r}")
    shift = os.environ.get("LMPREP_SEED", "0")
    if not shift.isdecimal():
        raise ValueError(f"LMPREP_SEED must be a whole number from 0, got {shift!r}")
    return int(shift) * _STREAMS + int(k)


def generator(k: int = 0) -> "torch.Generator":
    """A fresh torch generator on the CPU. Draw there and move the result: the numbers then do not depend on
    the device."""
    import torch

    return torch.Generator().manual_seed(seed(k))


def rng(k: int = 0) -> "np.random.Generator":
    """A fresh numpy generator."""
    import numpy as np

    return np.random.default_rng(seed(k))


def show(*objects: Callable[..., Any] | type) -> None:
    """Display the source of library functions or classes, as they run on this page.

    Of each docstring only the first paragraph: the page's prose says the rest, and `help` has all of it.
    """
    from IPython.display import display

    if not objects:
        raise TypeError("show wants at least one function or class")
    source = "\n\n".join(_brief(textwrap.dedent(inspect.getsource(item)).rstrip()) for item in objects)
    fence = "````" if "```" in source else "```"
    display({"text/markdown": f"{fence}python\n{source}\n{fence}", "text/plain": source}, raw=True)


def _brief(source: str) -> str:
    """The source with each docstring cut after its first paragraph."""
    lines = source.splitlines()
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in sorted(nodes, key=lambda node: node.lineno, reverse=True):  # from below: line numbers hold
        if ast.get_docstring(node) is None:
            continue
        docstring = node.body[0]
        start, end = docstring.lineno - 1, docstring.end_lineno
        first = list(itertools.takewhile(str.strip, lines[start:end]))
        if len(first) < len(lines[start:end]):
            lines[start:end] = [*first[:-1], first[-1] + '"""']
    return "\n".join(lines)


def _device_name(has_cuda: bool) -> str:
    wanted = os.environ.get("LMPREP_DEVICE", "cuda" if has_cuda else "cpu")
    if wanted not in ("cpu", "cuda"):
        raise ValueError(f"LMPREP_DEVICE must be 'cpu' or 'cuda', got {wanted!r}")
    if wanted == "cuda" and not has_cuda:
        raise ValueError("LMPREP_DEVICE is 'cuda' but torch finds no CUDA device: unset it or use 'cpu'")
    return wanted
