"""What each of two processes sees; test_distributed.py runs `seen` in both."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lmprep.training.distributed import average_gradients, own_share, rank, world_size
from lmprep.training.loop import fit
from lmprep.training.optim import AdamW


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).double()


def batch(step: int) -> tuple[Tensor, Tensor]:
    """A batch of 8 that every process has whole; the targets are noise, so that the best step comes early."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    return x, torch.randn(8, 2, generator=generator, dtype=torch.float64)


def share(step: int) -> tuple[Tensor, Tensor]:
    x, y = batch(step)
    return own_share(x), own_share(y)


def squared_error(model: nn.Module, pair: tuple[Tensor, Tensor]) -> Tensor:
    return (model(pair[0]) - pair[1]).square().mean()


def train(model: nn.Module, loss: Any = squared_error) -> dict[str, Any]:
    """Early stopping on a batch of its own in each process."""
    history = fit(
        model,
        share,
        loss,
        optimizer=AdamW(model.parameters(), lr=0.05),
        num_steps=60,
        max_norm=0.5,
        evaluate=lambda model: squared_error(model, share(1000)).item(),
        eval_every=1,
        patience=4,
    )
    return {
        "records": [(r.train_loss, r.gradient_norm, r.eval_loss) for r in history.records],
        "best_step": history.best_step,
        "stopped_early": history.stopped_early,
        "weights": nn.utils.parameters_to_vector(model.parameters()).tolist(),
    }


def gradients(model: nn.Module) -> list[float]:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).tolist()


def averaged() -> dict[str, list[float]]:
    """The averaged gradients, and those of torch's DistributedDataParallel."""
    ours, theirs = network(), network()
    squared_error(ours, share(0)).backward()
    average_gradients(ours.parameters())
    wrapped = DistributedDataParallel(theirs)
    squared_error(wrapped, share(0)).backward()
    return {"ours": gradients(ours), "theirs": gradients(theirs)}


def unused() -> list[list[float] | None]:
    """Gradients of four parameters: of all processes, of process 1's, of nobody's, and one that is frozen."""
    everyones, ones, nobodys, frozen = (nn.Parameter(torch.ones(2, 2)) for _ in range(4))
    frozen.requires_grad_(False)
    factor = rank() + 1.0
    (everyones.t() * factor).square().sum().backward()  # a gradient that is not contiguous
    if rank() == 1:
        (3 * ones).sum().backward()
    average_gradients([everyones, ones, nobodys, frozen])
    return [None if p.grad is None else p.grad.flatten().tolist() for p in (everyones, ones, nobodys, frozen)]


def half_precision() -> list[float]:
    """The mean of gradients whose sum would overflow."""
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float16))
    parameter.grad = torch.full((1,), 40_000.0, dtype=torch.float16)
    average_gradients([parameter])
    return parameter.grad.tolist()


def nan_in_one(model: nn.Module, pair: tuple[Tensor, Tensor]) -> Tensor:
    return squared_error(model, pair) * (float("nan") if rank() == 1 else 1.0)


def error_of(call: Any) -> str:
    try:
        call()
    except (FloatingPointError, ValueError) as error:
        return str(error)
    return ""


def seen() -> dict[str, Any]:
    return {
        "world_size": world_size(),
        "averaged": averaged(),
        "unused": unused(),
        "half": half_precision(),
        # process 0's weights count, whatever the others start from
        "fit": train(network(seed=rank())),
        "nan": error_of(lambda: train(network(), nan_in_one)),
        "odd_batch": error_of(lambda: own_share(torch.zeros(7, 2))),
    }
