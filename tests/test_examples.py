"""The example scripts, run as the README says: in two processes."""

import csv
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import optuna
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState


def torchrun(script: Path, *arguments: object) -> str:
    """Run a script in two processes on the CPU; what it printed."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(script), *map(str, arguments)],
        env=os.environ | {"LMPREP_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def train_gpt(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_gpt", root / "examples/train_gpt.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_processes_have_the_loss_curve_of_one(root: Path, tmp_path: Path, train_gpt: ModuleType) -> None:
    losses = tmp_path / "losses.csv"
    printed = torchrun(root / "examples/train_gpt.py", "--steps", 30, "--losses", losses)
    text = train_gpt.Text(torch.device("cpu"))
    alone = train_gpt.train(text, text.model(), steps=30, batch_size=24, learning_rate=8e-3)

    with losses.open() as file:
        rows = list(csv.DictReader(file))
    together = torch.tensor([float(row["train_loss"]) for row in rows])
    by_one = torch.tensor([record.train_loss for record in alone.records])
    # float32, and sums in another order: a few units in the last place after 30 updates
    torch.testing.assert_close(together, by_one, atol=1e-5, rtol=0)
    assert float(rows[-1]["eval_loss"]) == pytest.approx(alone.records[-1].eval_loss, abs=1e-5)
    assert by_one[-5:].mean() < by_one[0] - 0.5
    assert "2 processes" in printed


def test_two_processes_share_one_search(root: Path, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    optuna.storages.RDBStorage(storage)  # two that create the tables in the same instant may collide
    command = [sys.executable, str(root / "examples/search.py"), "--storage", storage, "--steps", "3"]
    logs = [tmp_path / "first.log", tmp_path / "second.log"]

    def finished(log: Path) -> set[int]:
        return set(map(int, re.findall(r"Trial (\d+) finished", log.read_text())))

    searches = []
    for log in logs:
        with log.open("w") as file:
            searches.append(subprocess.Popen([*command, "--trials", "10000"], stdout=file, stderr=file))
    deadline = time.monotonic() + 240
    try:
        while not all(map(finished, logs)):  # until both have tried something
            assert [search.poll() for search in searches] == [None, None], [log.read_text() for log in logs]
            assert time.monotonic() < deadline, [log.read_text() for log in logs]
            time.sleep(0.2)
    finally:
        for search in searches:
            search.kill()
            search.wait()
    first, second = map(finished, logs)
    assert not first & second  # no trial twice
    done = {trial.number for trial in load(storage)}
    assert first | second <= done and len(done) <= len(first | second) + 2  # killed before it said so

    # whoever comes later goes on from there, up to the number asked for
    subprocess.run([*command, "--trials", str(len(done) + 1)], check=True, capture_output=True, timeout=240)
    trials = load(storage)
    assert len(trials) == len(done) + 1
    assert len({trial.params["learning_rate"] for trial in trials}) == len(trials)


def load(storage: str) -> list[FrozenTrial]:
    study = optuna.load_study(study_name="tiny-gpt", storage=storage)
    return study.get_trials(states=(TrialState.COMPLETE,))
