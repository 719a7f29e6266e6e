"""Run a notebook up to its thesis with its sabotage applied, and say what became of the thesis.

`python sabotaged.py SABOTAGE.py REPORT.json < CODE_CELLS.json`; the report holds the `outcome` and its
`detail`. What the notebook shows goes to stdout. There is no kernel: IPython runs the cells in this process.
"""

import importlib.util
import inspect
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from lmprep import evidence


class ThesisHolds(Exception):
    """The thesis was reached and held, so that nothing more need run."""


def outcome(cells: list[str], sabotage: ModuleType) -> tuple[str, str]:
    """What became of the thesis, and in what words.

    "broken", as it must be, or "holds", "not reached", "not finite", "another error", or "evidence patched":
    then the sabotage breaks the measuring instead of what is measured.
    """
    key = sabotage.THESIS
    originals = evidence.claim, evidence.agrees, evidence._fail
    with pytest.MonkeyPatch.context() as patch:
        sabotage.sabotage(patch)
        if (evidence.claim, evidence.agrees, evidence._fail) != originals:
            return "evidence patched", "the sabotage replaces a function of lmprep.evidence"
        measured: list[float] = []
        failures: list[AssertionError] = []

        def fail(error: AssertionError) -> None:
            if isinstance(error, evidence.ClaimError) and error.key == key:
                failures.append(error)
                raise error

        def claim(*arguments: Any, **options: Any) -> None:
            given = inspect.signature(originals[0]).bind(*arguments, **options).arguments
            if given["key"] == key:
                measured.append(float(given["value"]))
            originals[0](*arguments, **options)
            if given["key"] == key:
                raise ThesisHolds

        patch.setattr(evidence, "_fail", fail)
        patch.setattr(evidence, "claim", claim)
        error = _first_error(cells)
    if isinstance(error, ThesisHolds):
        return "holds", f"measured {measured[-1]:.4g}"
    if error is None:
        return "not reached", f"no claim with the key {key!r} was made"
    if error not in failures:
        return "another error", f"{type(error).__name__}: {error}"
    if not math.isfinite(measured[-1]):
        return "not finite", str(error)
    return "broken", str(error)


def _first_error(cells: list[str]) -> BaseException | None:
    quiet = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=quiet)
    for cell in cells:
        result = shell.run_cell(cell)
        if not result.success:
            return result.error_before_exec or result.error_in_exec
    return None


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    result = outcome(json.load(sys.stdin), _module(Path(sys.argv[1])))
    report = dict(zip(("outcome", "detail"), result, strict=True))
    Path(sys.argv[2]).write_text(json.dumps(report), encoding="utf8")
