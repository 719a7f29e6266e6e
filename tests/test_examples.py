"""The example scripts, run as the README says: in two processes."""

import csv
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import optuna
import pytest
import torch


@pytest.fixture(scope="module")
def train_gpt(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_gpt", root / "examples/train_gpt.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_processes_have_the_loss_curve_of_one(
    root: Path, tmp_path: Path, torchrun: Callable[..., str], train_gpt: ModuleType
) -> None:
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
    command = [sys.executable, str(root / "examples/search.py"), "--storage", storage, "--steps", "3"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, "--trials", "8"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    searches = [start(), start()]
    printed = [search.communicate(timeout=300)[0] for search in searches]
    assert [search.returncode for search in searches] == [0, 0], printed
    trials = optuna.load_study(study_name="tiny-gpt", storage=storage).trials
    finished = [set(map(int, re.findall(r"Trial (\d+) finished", text))) for text in printed]
    # both worked, no trial twice, none lost; each stops after the trial it is at
    assert all(finished) and not finished[0] & finished[1]
    assert finished[0] | finished[1] == {trial.number for trial in trials}
    assert 8 <= len(trials) <= 9
    assert len({trial.params["learning_rate"] for trial in trials}) == len(trials)
