"""Grading apart from the reader's process: the worker is started, fed, watched and, if need be, killed."""

import atexit
import json
import linecache
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmprep.practice.report import Report, Result
from lmprep.practice.task import Candidate, Task
from lmprep.practice.worker import frame

MEMORY_LIMIT = 2 * 1024**3  # bytes resident; a process with torch begins at a quarter of a gigabyte
START_LIMIT = 120.0  # seconds for a worker to import torch on a busy machine
GRACE = 1.0  # seconds beyond the time limit for the answer's own process to say where it was
FORKS = sys.platform == "linux"
_KILLED = -9  # the status of a process that the system killed, which it does when memory runs out
_POLL = 0.02 if FORKS else 0.2  # seconds between two looks at an answer's memory
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_START = """\
import json, sys
sys.path[:], forks = json.loads(sys.argv[1])
from lmprep.practice.worker import serve
serve(forks)
"""


def grade_apart(task: Task, candidate: Candidate, seed: int, time_limit: float) -> Report:
    """Grade in the worker, within `time_limit` seconds and `MEMORY_LIMIT`.

    Raises:
        RuntimeError: the worker does not start.
    """
    try:
        request = _request(task, candidate, seed, time_limit)
    except _Unfit as unfit:
        return unfit.report(task)
    with _lock:
        try:
            outcome = _hired().grade(request, time_limit)
        except _Gone:  # the system has ended an idle process
            outcome = _hired().grade(request, time_limit)
        _hired()  # where this one is spent or killed, the next warms up while the reader reads
    return outcome.report(task, time_limit)


def _hired() -> "_Worker":
    """The worker that runs, or a new one."""
    global _worker
    if _worker is None or not _worker.usable:
        _worker = _Worker(FORKS)
    return _worker


def stop() -> None:
    """End the worker, if one runs."""
    global _worker
    if _worker is not None:
        _worker.kill()
    _worker = None


class _Gone(RuntimeError):
    """The worker has ended before it began with the answer."""

    def __init__(self) -> None:
        super().__init__("the grader's process ended before it began with the answer: try again")


class _Unfit(Exception):
    """What was handed in cannot be graded."""

    def __init__(self, property: str, expected: str, got: str, cause: str) -> None:
        super().__init__(got)
        self._result = Result(property, False, 0.0, "", expected, got, cause)

    def report(self, task: Task) -> Report:
        return Report(task.name, 0, (self._result,))


_SENDABLE = ("The answer can be copied to the grader's process", "a function or class that can be copied")
_UNSENDABLE = (
    "the function uses something of the notebook that exists only once, such as an open file, a lock or a "
    "generator: create it inside the function"
)


def _request(task: Task, candidate: Candidate, seed: int, time_limit: float) -> bytes:
    if not callable(candidate):
        got = f"a value of type {type(candidate).__name__}"
        raise _Unfit("The answer is a function", task.function, got, "a call: pass `f`, not `f(...)`")
    import dill

    try:
        with warnings.catch_warnings(action="ignore"):
            answer = dill.dumps(candidate, recurse=True)
    except Exception as error:
        raise _Unfit(*_SENDABLE, f"{type(error).__name__}: {error}", _UNSENDABLE) from error
    # The text of the notebook's cells, from which a failure quotes the line.
    cells = {name: entry for name, entry in linecache.cache.items() if len(entry) == 4 and entry[1] is None}
    return frame((task.name, answer, seed, time_limit, cells))


@dataclass
class _Outcome:
    """What came of one grading."""

    results: list[Result] = field(default_factory=list)
    printed: str = ""
    tried: bool = True
    problem: str = ""  # why the answer could not be unpacked
    end: str = ""  # "told" by the answer's process, or the limit that it broke: "time", "memory"
    status: int = 0  # of the answer's process

    def take(self, message: dict[str, Any]) -> None:
        if "result" in message:
            self.results.append(Result(**message["result"]))
        self.printed = message.get("printed", self.printed)
        self.tried = not message.get("not_tried", not self.tried)
        self.problem = message.get("problem", self.problem)
        self.end = message.get("end", self.end)
        self.status = message.get("ended", self.status)

    def report(self, task: Task, time_limit: float) -> Report:
        if self.problem:
            return _Unfit(*_SENDABLE, self.problem, _UNSENDABLE).report(task)
        results = list(self.results)
        if self.tried and self.end != "told" and len(results) < len(task.checks):
            property = task.properties[len(results)]
            results.append(Result(property, False, 0.0, "", *self._explained(time_limit)))
        return Report(task.name, len(task.checks), tuple(results), self.tried, printed=self.printed)

    def _explained(self, time_limit: float) -> tuple[str, str, str]:
        """What was expected of a process that ended early, what came, and what usually causes it."""
        if self.end == "time":
            got, cause = "still running, inside one operation", "numbers or arrays far larger than needed"
            return f"all checks done within {time_limit:g} s", got, cause
        if self.end == "memory" or self.status == _KILLED:
            cause = "an array far larger than the answer needs, or a list that grows in an endless loop"
            return f"less than {MEMORY_LIMIT / 1024**3:.3g} GiB of memory", "more", cause
        if self.status < 0:
            got = f"a crash of the whole process ({signal.Signals(-self.status).name})"
            return "an answer", got, "`os.abort`, a recursion too deep, or memory written to through ctypes"
        got = f"the end of the whole process (status {self.status})"
        return "an answer", got, "`os._exit`, or the grader's file descriptors closed: return the answer"


class _Worker:
    """A worker process, and the reader's end of its pipes."""

    def __init__(self, forks: bool) -> None:
        atexit.register(stop)  # registering twice does no harm: there is nothing left to stop
        path = [os.path.abspath(entry) for entry in sys.path]
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, json.dumps([path, forks])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _THREADS,
            start_new_session=True,  # one group to kill, and Ctrl-C reaches the reader's process alone
        )
        self._ready = False
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def usable(self) -> bool:
        """Whether it can take a request: it runs, and was not inherited by a fork of its owner."""
        return self._owner == os.getpid() and self._process.poll() is None

    def grade(self, request: bytes, time_limit: float) -> _Outcome:
        assert self._process.stdin is not None
        try:
            self._await_start()
            try:
                self._process.stdin.write(request)
                self._process.stdin.flush()
            except BrokenPipeError as error:
                raise _Gone from error
            return self._follow(time_limit)
        except BaseException:  # KeyboardInterrupt too: the reader's stop button
            self.kill()
            raise

    def kill(self) -> None:
        """End the worker and all that it has started, and wait until it is gone."""
        if self._owner != os.getpid():
            return
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):  # part of a request may be left in the buffer
                self._process.stdin.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as replies:
            for line in replies:
                with suppress(ValueError):  # an answer has written to a descriptor that is not its own
                    self._messages.put(json.loads(line))
        self._messages.put(None)

    def _await_start(self) -> None:
        if self._ready:
            return
        with suppress(queue.Empty):
            self._ready = self._messages.get(timeout=START_LIMIT) == {"ready": True}
        if not self._ready:
            raise RuntimeError(
                f"the grader's process does not start: does `{sys.executable} -c 'import torch, dill'` run?"
            )

    def _follow(self, time_limit: float) -> _Outcome:
        """Collect the worker's replies until the answer is graded, ends early or breaks a limit."""
        outcome = _Outcome()
        deadline = time.monotonic() + time_limit + GRACE
        process = 0
        while True:
            message: dict[str, Any] | None = {}
            with suppress(queue.Empty):
                message = self._messages.get(timeout=_POLL)
            if message is None:  # the worker itself has ended, or is about to
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(GRACE)
                self.kill()
                if not process:
                    raise _Gone
                outcome.status = self._process.returncode
                return outcome
            outcome.take(message)
            process = message.get("pid", process)
            if "ended" in message:
                return outcome
            if time.monotonic() > deadline:
                outcome.end = "time"
            elif process and _resident(process) > MEMORY_LIMIT:
                outcome.end = "memory"
            if outcome.end in ("time", "memory"):
                self.kill()
                return outcome


def _resident(process: int) -> int:
    """Bytes of memory that a process occupies; 0 where it has ended or the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        if sys.platform == "linux":
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        listed = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True)
        return int(listed.stdout) * 1024
    return 0


_worker: _Worker | None = None
_lock = threading.Lock()
