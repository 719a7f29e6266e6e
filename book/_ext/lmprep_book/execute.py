"""Run notebooks, by default all, and keep their outputs: `python -m lmprep_book.execute [NOTEBOOK.py ...]`.

As many at a time as there are cores. A notebook runs again when its code cells, an `lmprep` file that its
last run loaded, the lock, the seed, the device or Python has changed; a change in prose runs nothing. Several
such processes may run at once and be killed: a file gets its name only when it is whole. CPU-seconds grow by
a third or more when cores share caches and clock, also with other machines on the same hardware: what exceeds
its budget beside others runs again alone, at most twice.
"""

import argparse
import fcntl
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import nbformat

from lmprep.entries import Entry, read_entries, read_entry
from lmprep_book.kernel import NotebookFailed, list_fonts, run

CPU_SECONDS, MEMORY_MB = 15.0, 1500.0  # a notebook's budget, imports included


def executed_path(entry: Entry, out: Path) -> Path:
    """Where the entry's executed notebook is kept under `out`."""
    return out / entry.part / f"{entry.slug}.ipynb"


def last_run(entry: Entry, root: Path, out: Path, seed: int | None = None) -> dict[str, Any] | None:
    """What is recorded of the entry's last run, with `seed` if one is given; None if it no longer counts."""
    try:
        record = json.loads(executed_path(entry, out).read_text(encoding="utf8"))["metadata"]["lmprep_run"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError):  # never run, or damaged
        return None
    library = _library(root)
    files = {name: library.get(name, "") for name in record["files"]}
    current = record["key"] == _key(entry, files, record["seed"], root)
    return record if current and seed in (None, record["seed"]) else None


def execute(entry: Entry, root: Path, out: Path, seed: int = 0) -> dict[str, Any]:
    """Run one notebook unless its last run counts, keep it under `out`, and return what is recorded of it.

    Raises:
        NotebookFailed: no file is left then.
    """
    path = executed_path(entry, out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system gives it back when this process ends, however it ends
        if done := last_run(entry, root, out, seed):
            return done
        path.unlink(missing_ok=True)
        start = time.monotonic()
        library = _library(root)  # read before the kernel reads it: rather a run too many than one too few
        notebook, record = run(entry, root, seed)
        loaded = [Path(os.path.relpath(file, root)) for file in record["files"]]
        files = {name: digest for name, digest in library.items() if Path(name).with_suffix(".py") in loaded}
        record |= {"seconds": round(time.monotonic() - start, 2), "seed": seed, "files": files}
        record["key"] = _key(entry, files, seed, root)
        notebook.metadata["lmprep_run"] = record
        whole = path.with_name(f".{path.name}.new")
        nbformat.write(notebook, whole)
        whole.replace(path)
    return record


def over_budget(entry: Entry, record: dict[str, Any]) -> str:
    """A line that says what the run takes, if that is more than a notebook may; else empty."""
    if record["cpu_seconds"] <= CPU_SECONDS and record["peak_mb"] <= MEMORY_MB:
        return ""
    cpu = f"{record['cpu_seconds']:.1f} of {CPU_SECONDS:.0f} CPU-s"
    memory = f"{record['peak_mb']} of {MEMORY_MB:.0f} MB"
    return f"over budget: {entry.part}/{entry.slug}: {cpu}, {memory}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser("lmprep_book.execute", description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK.py")
    parser.add_argument("--seed", type=int, default=0, help="shift every seed of the notebooks (LMPREP_SEED)")
    parser.add_argument("--out", type=Path, help="_build/executed; for other seeds, a folder beside it")
    parser.add_argument("--jobs", type=int, default=cores, help="notebooks at a time: %(default)s")
    parser.add_argument("--root", type=Path, default=Path(), help="of the project: the current folder")
    parser.add_argument("--strict", action="store_true", help="fail if a notebook exceeds its budget")
    options = parser.parse_args(arguments)
    root, seed = options.root.resolve(), options.seed
    out = options.out or root / "_build" / (f"executed-seed-{seed}" if seed else "executed")
    try:
        entries = [read_entry(path.resolve()) for path in options.notebooks] or read_entries(root)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    failed = _execute_all(entries, root, out, seed, options.jobs)
    records = ((entry, last_run(entry, root, out, seed)) for entry in entries)
    excesses = [line for entry, record in records if record and (line := over_budget(entry, record))]
    for line in excesses:
        print(line)
    return 1 if failed or (options.strict and excesses) else 0


def _execute_all(entries: Sequence[Entry], root: Path, out: Path, seed: int, jobs: int) -> int:
    """Run what must run, with a line for each; returns how many failed."""
    todo = [entry for entry in entries if not last_run(entry, root, out, seed)]
    if not todo:
        print(f"Nothing to run: {len(entries)} notebooks are up to date.")
        return 0
    failed = 0
    list_fonts(root)
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(execute, entry, root, out, seed): entry for entry in todo}
        try:
            for count, future in enumerate(as_completed(running), 1):
                try:
                    cost = "{seconds:.1f} s, {cpu_seconds:.1f} CPU-s, {peak_mb} MB".format(**future.result())
                except NotebookFailed as failure:
                    failed += 1
                    cost = f"FAILED\n{failure}\n"
                entry = running[future]
                print(f"[{count}/{len(todo)}] {entry.part}/{entry.slug}: {cost}", flush=True)
        except KeyboardInterrupt:
            os._exit(130)  # without waiting: a kernel ends with its parent
    for entry in 2 * todo if jobs > 1 else ():
        record = last_run(entry, root, out, seed)
        if record and over_budget(entry, record):
            executed_path(entry, out).unlink()
            alone = execute(entry, root, out, seed)
            print(
                "again, alone: {0.part}/{0.slug}: {cpu_seconds:.1f} CPU-s".format(entry, **alone), flush=True
            )
    print(f"{len(todo) - failed} run, {failed} failed, {len(entries) - len(todo)} up to date.")
    return failed


def _key(entry: Entry, files: dict[str, str], seed: int, root: Path) -> str:
    lock = root / "requirements.lock"
    pins = lock.read_text(encoding="utf8") if lock.exists() else ""
    device = os.environ.get("LMPREP_DEVICE", "")
    code = [(cell.source, cell.metadata) for cell in entry.cells if cell.kind == "code"]
    parts = [code, sorted(files.items()), pins, seed, device, platform.python_version()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _library(root: Path) -> dict[str, str]:
    """File -> hash of all in the library; a script or style sheet goes with the module of the same name."""
    files = [file for file in (root / "src/lmprep").rglob("*.*") if "__pycache__" not in file.parts]
    return {os.path.relpath(file, root): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


if __name__ == "__main__":
    sys.exit(main())
