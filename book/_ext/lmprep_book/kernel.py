"""Run one notebook in a kernel of its own, where nothing of the reader's settings reaches it."""

import ast
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from lmprep.entries import Entry
from lmprep.notebook import _OFFLINE, _ONE_THREAD

CELL_SECONDS = 300

# Asked after the last cell: the CPU time so far, ended child processes included; the peak memory of the
# largest of these processes (not a sum: a child's peak starts from its parent's); the files loaded.
_PROBE = """
import json as _json, resource as _resource, sys as _sys
_own, _ended = (_resource.getrusage(who) for who in (_resource.RUSAGE_SELF, _resource.RUSAGE_CHILDREN))
try:  # in kB; unlike ru_maxrss it does not start from the peak of the process that started this one
    _peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
except OSError:
    _peak = _own.ru_maxrss
_files = [getattr(m, "__file__", None) for name, m in _sys.modules.items() if name.split(".")[0] == "lmprep"]
_probe = _json.dumps({
    "cpu_seconds": round(_own.ru_utime + _own.ru_stime + _ended.ru_utime + _ended.ru_stime, 2),
    "peak_mb": round(max(_peak, _ended.ru_maxrss) / (1e6 if _sys.platform == "darwin" else 1e3)),
    "files": [file for file in _files if file],
})
"""


class NotebookFailed(Exception):
    """A cell raised, wrote to stderr or took too long, or the kernel died; the message says where and why."""


def run(entry: Entry, root: Path, seed: int) -> tuple[nbformat.NotebookNode, dict[str, Any]]:
    """The notebook with its outputs; its `cpu_seconds`, `peak_mb` and the `files` of `lmprep` that it loaded.

    Raises:
        NotebookFailed: see there.
    """
    with (
        tempfile.TemporaryDirectory(prefix="lmprep-") as folder,
        tempfile.TemporaryDirectory(prefix="lmprep-kernel-") as own,
    ):
        return asyncio.run(_run(entry, environment(root, seed, own), folder, Path(own)))


async def _run(
    entry: Entry, environment: dict[str, str], folder: str, own: Path
) -> tuple[nbformat.NotebookNode, dict[str, Any]]:
    notebook = jupytext.read(entry.path, fmt="py:percent")
    manager = AsyncKernelManager(
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),  # the kernel of this very Python
        transport="ipc",
        connection_file=str(own / "kernel.json"),
    )
    client = NotebookClient(notebook, km=manager, timeout=CELL_SECONDS, record_timing=False)
    index = 0
    with (own / "log").open("w+") as log:  # the kernel's own; what cells print does not go there
        try:
            async with client.async_setup_kernel(env=environment, cwd=folder, stderr=log, cleanup_kc=True):
                for index, cell in enumerate(notebook.cells):
                    cell.id = f"cell-{index}"  # jupytext draws a new one each time
                    if problem := await _problem(client, index):
                        raise NotebookFailed(_report(entry, notebook, index, problem))
                assert client.kc is not None
                request = client.kc.execute(_PROBE, silent=True, user_expressions={"x": "_probe"})
                reply = await client.async_wait_for_reply(request)
        except RuntimeError as error:  # the kernel has died, or has not come up
            log.seek(0)
            raise NotebookFailed(_report(entry, notebook, index, f"{error}\n{log.read()}")) from None
    assert reply is not None
    answer = reply["content"]["user_expressions"]["x"]["data"]["text/plain"]
    return notebook, json.loads(ast.literal_eval(answer))


async def _problem(client: NotebookClient, index: int) -> str:
    """Execute a cell; what is wrong with it, or nothing."""
    cell = client.nb.cells[index]
    try:
        await client.async_execute_cell(cell, index)
    except CellExecutionError as error:
        return error.traceback.rpartition("-" * 18 + "\n")[2]  # what comes before is the cell's source
    except CellTimeoutError:
        return f"it has run for {CELL_SECONDS} seconds without an end"
    streams = [output for output in cell.get("outputs", []) if output.output_type == "stream"]
    warnings = "".join(stream.text for stream in streams if stream.name == "stderr")
    return f"it writes to stderr:\n{warnings}" if warnings else ""


def list_fonts(root: Path) -> None:
    """Have matplotlib list the fonts before any notebook does: it is slow and warns when it takes long."""
    folder = root / "_build/matplotlib"
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("fontlist-*")):
        return
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        subprocess.run(
            command, env=os.environ | {"MPLCONFIGDIR": fresh}, check=True, stderr=subprocess.DEVNULL
        )
        for file in Path(fresh).glob("fontlist-*"):
            file.replace(folder / file.name)


def environment(root: Path, seed: int, own: str) -> dict[str, str]:
    """This process's, less a reader's own settings of Python, Jupyter, matplotlib and Hugging Face."""
    foreign = ("PYTHON", "IPYTHON", "JUPYTER", "JPY", "MPL", "MATPLOTLIB", "HF_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    set_here = {
        "PYTHONPATH": str(root / "src"),
        "PYTHONHASHSEED": "0",
        "LMPREP_SEED": str(seed),
        "IPYTHONDIR": own,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": str(root / "_build/matplotlib"),
        "HF_HOME": str(root / "_build/huggingface"),
    }
    return inherited | _OFFLINE | _ONE_THREAD | set_here


def _report(entry: Entry, notebook: nbformat.NotebookNode, failed: int, problem: str) -> str:
    """Where in the source the failed cell stands, and what is wrong with it."""
    text = entry.path.read_text(encoding="utf8")
    codes = [cell.source for cell in notebook.cells[: failed + 1] if cell.cell_type == "code"]
    start = 0
    end = 0
    for code in codes:  # from the end of the last one: two cells may hold the same code
        start = text.find(code, end)
        end = start + len(code)
    problem = re.sub(r"\x1b\[[0-9;]*m", "", problem)
    inside = re.search(r"Cell In\[\d+\], line (\d+)", problem)
    line = text.count("\n", 0, start) + (int(inside[1]) if inside else 1)
    return f"{os.path.relpath(entry.path)}:{line}: code cell {len(codes)} fails\n{problem.rstrip()}"
