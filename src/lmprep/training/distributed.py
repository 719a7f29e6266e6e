"""Several processes that train one model, each on its share of every batch.

`fit` needs nothing else: between `with process_group():` and its end, it starts all processes from the same
weights, averages their gradients and reports the mean of their losses. Alone, a process does none of it.
"""

import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessContext, ProcessRaisedException, start_processes


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Join the processes that `torchrun` started and part from them at the end; yields this one's device.

    NCCL with one GPU per process where there are GPUs, else gloo on the CPU; the environment variable
    `LMPREP_DEVICE=cpu` asks for the CPU. Without `torchrun` there is nothing to join.

    Raises:
        ValueError: `torchrun` started more processes here than there are GPUs.
    """
    has_cuda = torch.cuda.is_available() and os.environ.get("LMPREP_DEVICE") != "cpu"
    if "WORLD_SIZE" not in os.environ:
        yield torch.device("cuda" if has_cuda else "cpu")
        return
    device = torch.device("cpu")
    if has_cuda:
        local_rank = int(os.environ["LOCAL_RANK"])
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"LOCAL_RANK is {local_rank}, but there are {torch.cuda.device_count()} GPUs: lower "
                "--nproc-per-node, or set LMPREP_DEVICE=cpu"
            )
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if has_cuda else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def in_processes(function: Callable[[], Any], count: int) -> list[Any]:
    """Call `function` in `count` new processes on this machine, joined by gloo; what each returns, by rank.

    For a look at several processes from a notebook; `torchrun` is the tool for training. The function is
    sent along with whatever it refers to, and the results come back as pickles. No process outlives the call.

    Raises:
        ValueError: `count` is below 1.
        RuntimeError: the function raised; the message has the traceback of the process that failed first.
    """
    import dill

    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    with tempfile.TemporaryDirectory() as folder:
        call = dill.dumps(function, recurse=True)
        try:
            arguments = (call, count, folder)
            _wait_for(start_processes(_start_group, arguments, 1, join=False, start_method="spawn"))
        except ProcessRaisedException as error:
            first = Path(folder) / "error"
            raise RuntimeError(first.read_text() if first.exists() else str(error)) from None
        return [pickle.loads((Path(folder) / str(number)).read_bytes()) for number in range(count)]


def _start_group(_: int, call: bytes, count: int, folder: str) -> None:
    """Start the processes from one that has just imported torch. On Linux they are copies of it, which saves
    each the import; it has used no thread and no GPU yet, so that it can be copied."""
    method = "fork" if sys.platform == "linux" else "spawn"
    _wait_for(start_processes(_call_in_group, (call, count, folder), count, join=False, start_method=method))


def _call_in_group(number: int, call: bytes, count: int, folder: str) -> None:
    import dill

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/join", rank=number, world_size=count)
    try:
        (Path(folder) / str(number)).write_bytes(pickle.dumps(dill.loads(call)()))
    except Exception:  # the others fail in turn, for want of this one: only the first says why
        with suppress(FileExistsError), (Path(folder) / "error").open("x") as file:
            file.write(f"in process {number} of {count}:\n{traceback.format_exc()}")
        raise
    finally:
        dist.destroy_process_group()


def _wait_for(started: ProcessContext) -> None:
    """Wait until all have ended; where one raises, or this process is interrupted, end the others."""
    try:
        while not started.join():
            pass
    finally:
        for process in started.processes:
            process.terminate()
            process.join()


def rank() -> int:
    """This process's number, from 0; 0 when it is alone."""
    return dist.get_rank() if _joined() else 0


def world_size() -> int:
    """How many processes train together; 1 when this one is alone."""
    return dist.get_world_size() if _joined() else 1


def own_share(batch: Tensor) -> Tensor:
    """This process's rows of a batch that every process has whole: (B, …) → (B / n, …).

    Shares of one size make the mean over processes of their mean losses the mean over the batch.

    Raises:
        ValueError: the processes cannot have equally many rows.
    """
    if len(batch) % world_size():
        raise ValueError(
            f"batch has {len(batch)} rows for {world_size()} processes: make it a multiple of that"
        )
    return batch[rank() :: world_size()]


def mean_over_processes(value: float) -> float:
    """The mean of a number over the processes; if it is NaN or infinite in one, then in all."""
    if world_size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=_device())
    dist.all_reduce(total)
    return total.item() / world_size()


def copy_weights(model: nn.Module) -> None:
    """Give every process the parameters and buffers of process 0, in place."""
    if world_size() == 1:
        return
    for tensor in model.state_dict().values():
        weights = tensor.contiguous()
        dist.broadcast(weights, src=0)
        tensor.copy_(weights)


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its mean over the processes.

    Where some processes have no gradient of a parameter, theirs counts as zeros; where all have none, it
    stays so. This is the arithmetic of `torch.nn.parallel.DistributedDataParallel` (Li et al., 2020), which
    besides sends gradients off while the backward pass is still at work on others.
    """
    if world_size() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    users = torch.tensor([parameter.grad is not None for parameter in trained], device=_device()).long()
    dist.all_reduce(users)
    for parameter, count in zip(trained, users.tolist(), strict=True):
        if count > 0:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            # Divided before the sum, which might overflow in half precision.
            mean = own.contiguous() / world_size()
            dist.all_reduce(mean)
            parameter.grad = mean


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()


def _device() -> torch.device:
    """Where the processes exchange small tensors: NCCL moves only what is on a GPU."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
