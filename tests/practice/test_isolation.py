"""The worker: whatever an answer does, its grading ends with a message, and the next one works."""

import linecache
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lmprep.practice.isolation as isolation
from lmprep.practice import TASKS, Report, check, grade

SIGNATURE = "def causal_attention(q, k, v):\n"
RIGHT = """
import torch

def score(q, k):
    return q @ k.mT / q.size(-1) ** 0.5

class Masked:
    def __init__(self, visible):
        self.visible = visible

    def __call__(self, scores):
        return scores.masked_fill(~self.visible, INFINITY).softmax(dim=-1)

INFINITY = float("-inf")
unused = (number for number in range(3))  # cannot be copied

def causal_attention(q, k, v):
    T, S = q.size(-2), k.size(-2)
    w = Masked(torch.ones(T, S, dtype=torch.bool).tril(S - T))(score(q, k))
    return [(lambda weights: weights @ v)(w), w]
"""


@pytest.fixture(scope="module", autouse=True)
def end_the_worker() -> Iterator[None]:
    yield
    isolation.stop()


def cell(source: str) -> Any:
    """`causal_attention` as a notebook's cell defines it: in `__main__`, its text in the line cache."""
    name = f"<cell {abs(hash(source))}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)
    return namespace["causal_attention"]


def graded(body: str, *, before: str = "", time_limit: float = 30.0) -> Report:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return grade("causal_attention", cell(before + SIGNATURE + lines), time_limit=time_limit)


def works() -> bool:
    return grade("causal_attention", cell(RIGHT), time_limit=60.0).passed


def worker_process() -> int:
    assert isolation._worker is not None
    return isolation._worker._process.pid


# Right answers.


def test_an_answer_of_several_cells_passes() -> None:
    """Functions, classes, constants, lambdas of a notebook travel along; what is not used does not."""
    report = grade("causal_attention", cell(RIGHT), time_limit=60.0)
    assert report.passed, str(report)
    assert [result.property for result in report.results] == list(TASKS["causal_attention"].properties)
    assert all(0 < result.seconds < 60 for result in report.results)


def test_the_worker_is_used_again() -> None:
    assert works()
    process = worker_process()
    assert works() and works()
    assert worker_process() == process


def test_a_module_travels_too() -> None:
    answer = cell(
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.one = torch.nn.Parameter(torch.ones(()))\n"
        "    def forward(self, q, k, v):\n        return self.one\n"
        "causal_attention = Net()\n"
    )
    report = grade("causal_attention", answer, time_limit=60.0)
    assert report.failures[0].got == "torch.nn.parameter.Parameter"


def test_one_answer_leaves_nothing_behind_for_the_next() -> None:
    spoil = "import torch, numpy, sys\n"
    body = (
        "torch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\ntorch.Tensor.softmax = None\n"
        "torch.manual_seed(0)\nnumpy.random.default_rng = None\nsys.modules.pop('lmprep')\nreturn q, k"
    )
    assert not graded(body, before=spoil).passed
    assert works()


# Wrong answers that would take the kernel along.

STARTS = "an answer may not start or end a process"
HAZARDS = {
    "endless loop": ("while True:\n    pass", "still running in line 2: `while True:`"),
    "endless loop that catches everything": (
        "while True:\n    try:\n        q = q + 0\n    except BaseException:\n        pass",
        "still running in line",
    ),
    "sleep": ("import time\ntime.sleep(1e6)", "still running in line 3: `time.sleep(1e6)`"),
    "one endless operation": ("str(7 ** 10**9)", "still running, inside one operation"),
    "prints for ever": ("while True:\n    print('x' * 1000)", "still running in line"),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n):\n    return f(n + 1) + 1\nreturn f(0)",
        "still running",
    ),
    "sys.exit": ("import sys\nsys.exit(3)", "SystemExit: 3 in line 3: `sys.exit(3)`"),
    "os._exit": ("import os\nos._exit(0)", "the end of the whole process (status 0)"),
    "abort": ("import os\nos.abort()", "a crash of the whole process (SIGABRT)"),
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", "a crash of the whole process (SIGSEGV)"),
    "fork": ("import os\nos.fork()\nreturn q, k", STARTS),
    "fork that is insisted on": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except PermissionError:\n        pass",
        "still running",
    ),
    "subprocess": ("import subprocess\nsubprocess.run(['sleep', '1000'])", STARTS),
    "os.system": ("import os\nos.system('sleep 1000')", STARTS),
    "kills the worker": ("import os\nos.kill(os.getppid(), 9)", STARTS),
    "an absurd allocation": ("import torch\nreturn torch.zeros(10**15)", "MemoryError"),
    "closes stdout": ("import sys\nsys.stdout.close()\nprint('a')\nreturn None", "None"),
    "closes every file": ("import os\nos.closerange(0, 1000)\nreturn q, k", "the end of the whole process"),
    "raises a base exception": ("raise KeyboardInterrupt", "the end of the whole process"),
    "threads left running": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,)).start()\nreturn None",
        "None",
    ),
}


@pytest.mark.parametrize("hazard", HAZARDS)
def test_a_hazard_is_a_failed_check(hazard: str) -> None:
    body, got = HAZARDS[hazard]
    endless = "still running" in got
    assert works()  # the worker is warm, so that what is measured is the grading
    started = time.monotonic()
    report = graded(body, time_limit=1.0 if endless else 30.0)
    assert time.monotonic() - started < 30.0
    assert report.tried and not report.passed
    failure = report.failures[0]
    assert failure.property == TASKS["causal_attention"].properties[0]
    assert got in failure.got
    assert failure.expected and failure.cause
    if endless:
        assert failure.expected == "all checks done within 1 s"
    assert works()


def test_an_endless_loop_names_the_inputs() -> None:
    report = graded("while k.size(2) > 1:\n    pass\nreturn q, k", time_limit=1.0)
    late = report.results[-1]
    assert late.case.startswith("q = [[[[") and late.got == "still running in line 2: `while k.size(2) > 1:`"


def test_what_passed_before_the_end_is_kept() -> None:
    source = RIGHT.replace("def causal_attention(q, k, v):", "def right(q, k, v):") + (
        "import os\ndef causal_attention(q, k, v):\n    if q.dtype == torch.float64:\n        os.abort()\n"
        "    return right(q, k, v)\n"
    )
    report = grade("causal_attention", cell(source), time_limit=60.0)
    passed = [result.passed for result in report.results]
    assert passed == [True] * (len(passed) - 1) + [False] and len(passed) > 3
    assert report.results[-1].property.startswith("Works in the dtype")
    assert "did not run" in report.headline


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "MEMORY_LIMIT", 600 * 2**20)
    report = graded(
        "import numpy\nkept = []\nwhile True:\n    kept.append(numpy.ones(10**6))", time_limit=60.0
    )
    assert report.failures[0].expected == "less than 0.586 GiB of memory"
    assert report.failures[0].got == "more"
    monkeypatch.undo()
    assert works()


def test_a_starter_behind_a_comment_is_not_tried() -> None:
    report = graded("T = q.size(2)\nraise NotImplementedError")
    assert not report.tried and report.results == ()


def test_a_library_that_lacks_something_is_no_starter() -> None:
    report = graded("raise_it(q)", before="def raise_it(x):\n    return NotImplemented + x\n")
    assert report.tried


def test_what_the_failing_case_printed_is_shown_up_to_a_limit() -> None:
    assert graded("print('q is', tuple(q.shape))\nreturn None").printed == "q is (1, 1, 1, 1)\n"
    assert len(graded("print('x' * 10**7)\nreturn None").printed) == 2000
    assert graded("while True:\n    print('round')", time_limit=1.0).printed.startswith("round\nround\n")
    assert graded("if k.size(2) == 1:\n    print('one')\nreturn q, k[..., :1]").printed == ""


def test_only_the_first_failing_case_is_shown() -> None:
    shapes = "print(tuple(q.shape))\n"
    report = graded(shapes + "return q, (q @ k.mT)[..., :2].softmax(-1)")
    assert report.failures[0].expected == "w of shape (1, 1, 1, 3)" and report.printed == "(1, 1, 1, 2)\n"
    assert len(report.failures) > 1
    passing = RIGHT.replace("    T, S =", "    print(1)\n    T, S =")
    assert grade("causal_attention", cell(passing), time_limit=60.0).printed == ""


# What cannot be sent.


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("numbers = (n for n in range(3))\n", "return next(numbers)"),
        ("import sys\nframe = sys._getframe()\n", "return frame"),
    ],
    ids=["generator", "frame"],
)
def test_what_cannot_be_copied_is_told(before: str, body: str) -> None:
    report = graded(body, before=before)
    assert not report.passed and report.headline == "✗ causal_attention: not graded"
    assert (
        "cannot pickle" in report.failures[0].got
        and "create it inside the function" in report.failures[0].cause
    )


def test_what_cannot_be_unpacked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", module)
    exec(SIGNATURE + "    return q, k", module.__dict__)
    report = grade("causal_attention", module.causal_attention)
    assert report.headline == "✗ causal_attention: not graded"
    assert "No module named 'only_here'" in report.failures[0].got
    assert works()


@pytest.mark.parametrize("value", [None, 3, (1, 2)])
def test_a_value_is_no_function(value: Any) -> None:
    report = grade("causal_attention", value)
    assert report.headline == "✗ causal_attention: not graded"
    assert "not `f(...)`" in report.failures[0].cause


# The worker's life.


def test_a_worker_that_has_died_is_replaced() -> None:
    assert works()
    os.kill(worker_process(), 9)
    assert works()


def test_the_stop_button_ends_the_grading(monkeypatch: pytest.MonkeyPatch) -> None:
    assert works()
    process = worker_process()

    def pressed(outcome: Any, message: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(isolation._Outcome, "take", pressed)
        with pytest.raises(KeyboardInterrupt):
            graded("while True:\n    pass", time_limit=60.0)
    assert not Path(f"/proc/{process}").exists()
    assert works()


def test_a_worker_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    isolation.stop()
    with monkeypatch.context() as patched:
        patched.setattr(isolation, "_START", "raise SystemExit(1)")
        with pytest.raises(RuntimeError, match=r"does not start: does .* -c 'import torch, dill'"):
            works()
        report = check("causal_attention", cell(RIGHT))
    assert not report.passed and report.hint is None
    assert "does not start" in capsys.readouterr().out
    assert works()


def test_gradings_from_several_threads_wait_for_each_other() -> None:
    passed: list[bool] = []
    threads = [threading.Thread(target=lambda: passed.append(works())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == [True] * 3


READER = """
import sys, time
import lmprep.practice.isolation as isolation
from lmprep.practice import TASKS, grade
isolation.FORKS = sys.argv[1] == "forks"
assert grade("causal_attention", TASKS["causal_attention"].reference, time_limit=60.0).passed
print(isolation._worker._process.pid, flush=True)
if sys.argv[2] == "killed":
    time.sleep(1000)
"""


@pytest.mark.parametrize("forks", ["forks", "single"])
@pytest.mark.parametrize("end", ["exits", "killed"])
def test_the_worker_ends_with_its_reader(forks: str, end: str) -> None:
    reader = subprocess.Popen([sys.executable, "-c", READER, forks, end], stdout=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    with reader.stdout:
        worker = int(reader.stdout.readline())
    if end == "killed":
        reader.kill()
    reader.wait(timeout=60)
    deadline = time.monotonic() + 60
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(worker)


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_without_fork_each_answer_has_a_worker_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    isolation.stop()
    monkeypatch.setattr(isolation, "FORKS", False)
    assert works()
    process = worker_process()
    assert graded("import os\nos.abort()").failures[0].got == "a crash of the whole process (SIGABRT)"
    assert process != worker_process()
    assert (
        graded("import os\nos.closerange(0, 1000)").failures[0].got.startswith("the end of the whole process")
    )
    assert (
        graded("while True:\n    pass", time_limit=1.0).failures[0].got.startswith("still running in line 2")
    )
    assert works()
    isolation.stop()


def test_memory_is_found_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = isolation._resident(os.getpid())
    monkeypatch.setattr(isolation.sys, "platform", "darwin")
    assert 0.5 * usual < isolation._resident(os.getpid()) < 2 * usual
    assert isolation._resident(2**22 + 1) == 0
