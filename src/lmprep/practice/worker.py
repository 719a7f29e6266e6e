"""The process that runs readers' answers.

It takes requests on its standard input and replies on its standard output, in lines of JSON: `ready`; then
for each request `pid`, a `result` for every check (or `not_tried`, or a `problem`), and `ended`.

On Linux every answer is graded in a fork, so that each begins from the same clean state, whatever the last
one did to torch. Forking a process that has loaded torch is not safe elsewhere: there the worker grades one
answer and ends.
"""

import contextlib
import io
import json
import linecache
import os
import pickle
import struct
import sys
import threading
import traceback
from dataclasses import asdict
from typing import Any, NoReturn

from lmprep.practice.checks import Call, own_line
from lmprep.practice.grading import NotTried, run_checks
from lmprep.practice.report import Result

PRINTED = 2_000  # characters kept of what an answer prints
# Audit events that an answer has no business with.
_REFUSED = (
    "os.fork",
    "os.exec",
    "os.kill",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
)


def serve(forks: bool) -> None:
    """Grade one request after the other, or a single one unless the worker `forks`. Ends with its reader."""
    requests, replies = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # an answer may print gigabytes, or close them
        os.dup2(nowhere, standard)
    import torch

    torch.set_num_threads(1)
    _write(replies, ready=True)
    while request := _read(requests):
        pid = os.fork() if forks else 0
        if pid == 0:
            _grade(pickle.loads(request), requests, replies)
        _write(replies, ended=os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def frame(request: tuple[Any, ...]) -> bytes:
    """A request as it is sent: its length, then its pickle."""
    content = pickle.dumps(request)
    return struct.pack("!Q", len(content)) + content


def _grade(request: tuple[Any, ...], requests: int, replies: int) -> NoReturn:
    """Run the checks of one request, reply, and end this process."""
    import dill

    from lmprep.practice.catalog import TASKS

    name, answer, seed, time_limit, sources = request
    linecache.cache.update(sources)
    reply = _Replies(replies)
    reply.send(pid=os.getpid())
    sys.stdout = printed = _Printed()
    sys.addaudithook(_refuse)
    threading.Thread(target=_end_with_reader, args=(requests,), daemon=True).start()
    threading.Timer(time_limit, _out_of_time, (reply, printed, TASKS[name].properties, time_limit)).start()
    with contextlib.suppress(OSError):  # Linux: when memory runs out, this process goes first
        open("/proc/self/oom_score_adj", "w").write("1000")  # noqa: SIM115
    try:
        candidate = dill.loads(answer)
    except Exception as error:
        reply.send(problem=f"{type(error).__name__}: {error}"[:300])
        os._exit(0)
    try:
        for result in run_checks(TASKS[name], candidate, seed):
            reply.send_result(result, printed)
        os._exit(0)
    except NotTried:
        reply.send(not_tried=True)
        os._exit(0)
    finally:  # the answer has closed the way to reply
        os._exit(1)


class _Replies:
    """Replies of one grading, whole lines from two threads, and only from the process that it began in."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._process = os.getpid()
        self._failed = False
        self.lock = threading.RLock()
        self.results = 0

    def send(self, **message: Any) -> None:
        with self.lock:
            if os.getpid() != self._process:  # a fork of the answer has come back here
                os._exit(1)
            _write(self._descriptor, **message)

    def send_result(self, result: Result, printed: "_Printed", **more: Any) -> None:
        """Send a check's result; with the first failure, what was printed in its case."""
        with self.lock:
            if not result.passed and not self._failed:
                self._failed = True
                more["printed"] = printed.by_latest_call()
            self.results += 1
            self.send(result=asdict(result), **more)


class _Printed(io.StringIO):
    """What an answer's latest call prints, up to a limit. Closing it does nothing."""

    _call: Call | None = None

    def write(self, text: str) -> int:
        if self._call is not Call.latest:
            self._call = Call.latest
            self.seek(0)
            self.truncate()
        super().write(text[: max(0, PRINTED - self.tell())])
        return len(text)

    def by_latest_call(self) -> str:
        return self.getvalue() if self._call is Call.latest else ""

    def close(self) -> None:
        pass


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_REFUSED):
        raise PermissionError("an answer may not start or end a process")


def _end_with_reader(requests: int) -> None:
    """End this process when the reader's does: then its end of the pipe closes, and the read returns."""
    os.read(requests, 1)
    os._exit(1)


def _out_of_time(
    reply: _Replies, printed: _Printed, properties: tuple[str, ...], time_limit: float
) -> NoReturn:
    """Say which check was under way, for which inputs and in which line, and end this process."""
    innermost = sys._current_frames()[threading.main_thread().ident or 0]
    stack = traceback.extract_stack(innermost, limit=100)  # of a recursion without an end
    with reply.lock:
        if reply.results < len(properties):
            result = Result(
                property=properties[reply.results],
                passed=False,
                seconds=time_limit,
                case=Call.latest.case if Call.latest else "",
                expected=f"all checks done within {time_limit:g} s",
                got=f"still running{own_line(stack)}",
                cause="a loop that never ends, or work that grows much faster than the input",
            )
            reply.send_result(result, printed, end="told")
        os._exit(0)


def _write(descriptor: int, **message: Any) -> None:
    line = memoryview(json.dumps(message).encode() + b"\n")
    while line:
        line = line[os.write(descriptor, line) :]


def _read(descriptor: int) -> bytes:
    """The next request, or nothing when the reader has gone."""
    head = _read_exactly(descriptor, 8)
    return _read_exactly(descriptor, struct.unpack("!Q", head)[0]) if head else b""


def _read_exactly(descriptor: int, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        chunk = os.read(descriptor, min(length - len(content), 1 << 20))
        if not chunk:
            return b""
        content += chunk
    return bytes(content)
