"""Two real processes on gloo against one process with the whole batches, and against torch's own wrapper."""

import importlib.util
import runpy
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from lmprep.training.distributed import (
    average_gradients,
    copy_weights,
    in_processes,
    mean_over_processes,
    own_share,
    process_group,
    rank,
    world_size,
)

SCRIPT = Path(__file__).with_name("two_processes.py")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def seen() -> list[dict[str, Any]]:
    """What the two processes see. `torchrun` costs more; tests/test_examples.py has it."""
    path = str(SCRIPT)
    return in_processes(lambda: runpy.run_path(path)["seen"](), 2)


def test_both_processes_are_there(seen: list[dict[str, Any]]) -> None:
    assert [each["world_size"] for each in seen] == [2, 2]


def test_gradients_are_those_of_ddp(seen: list[dict[str, Any]]) -> None:
    for each in seen:
        assert each["averaged"]["ours"] == pytest.approx(each["averaged"]["theirs"], rel=1e-12)


def test_gradients_are_those_of_the_whole_batch(seen: list[dict[str, Any]]) -> None:
    script = load(SCRIPT)
    model = script.network()
    script.squared_error(model, script.batch(0)).backward()
    assert seen[0]["averaged"]["ours"] == pytest.approx(script.gradients(model), rel=1e-12)


def test_gradients_that_some_processes_lack(seen: list[dict[str, Any]]) -> None:
    for each in seen:
        everyones, ones, nobodys, frozen = each["unused"]
        assert everyones == pytest.approx([(2 + 8) / 2] * 4)
        assert ones == [1.5] * 4
        assert nobodys is None and frozen is None


def test_mean_does_not_overflow_where_the_sum_would(seen: list[dict[str, Any]]) -> None:
    assert all(each["half"] == [40_000] for each in seen)


def test_training_is_that_of_one_process_with_the_whole_batches(seen: list[dict[str, Any]]) -> None:
    script = load(SCRIPT)
    alone = script.train(script.network())
    assert alone["stopped_early"] and alone["best_step"] > 0
    for each in seen:
        assert len(each["fit"]["records"]) == len(alone["records"])
        for ours, theirs in zip(each["fit"]["records"], alone["records"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-10)
        assert each["fit"]["weights"] == pytest.approx(alone["weights"], rel=1e-10)
        assert each["fit"]["best_step"] == alone["best_step"]
        assert each["fit"]["stopped_early"]


def test_processes_end_with_the_same_weights(seen: list[dict[str, Any]]) -> None:
    assert seen[0]["fit"] == seen[1]["fit"]


def test_nan_in_one_process_stops_all(seen: list[dict[str, Any]]) -> None:
    assert all("loss is nan at step 0" in each["nan"] for each in seen)


def test_shares_must_be_equal(seen: list[dict[str, Any]]) -> None:
    assert all("7 rows for 2 processes" in each["odd_batch"] for each in seen)


def test_one_process_is_left_alone() -> None:
    with process_group():
        pass
    model = nn.Linear(2, 2)
    before = [p.detach().clone() for p in model.parameters()]
    model(torch.ones(1, 2)).sum().backward()
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    copy_weights(model)
    average_gradients(model.parameters())
    assert all(p.equal(b) for p, b in zip(model.parameters(), before, strict=True))
    assert all(p.grad is not None and p.grad.equal(g) for p, g in zip(model.parameters(), grads, strict=True))
    assert (rank(), world_size(), mean_over_processes(0.1)) == (0, 1, 0.1)
    assert own_share(torch.arange(7)).tolist() == list(range(7))


def test_an_error_in_one_process_tells_its_cause() -> None:
    def fails() -> None:
        if rank() == 1:
            raise KeyError("no such window")
        average_gradients(nn.Linear(1, 1).parameters())  # fails too, for want of process 1

    with pytest.raises(RuntimeError, match=r"(?s)in process 1 of 2.*KeyError: 'no such window'"):
        in_processes(fails, 2)
    with pytest.raises(ValueError, match="count"):
        in_processes(fails, 0)
