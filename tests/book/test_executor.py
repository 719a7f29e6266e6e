"""The executor runs what must run and nothing else, and keeps only what is whole and right."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from tiny_book import notebook, write_book

from lmprep.entries import read_entries
from lmprep_book import execute, kernel
from lmprep_book.execute import executed_path, last_run, main

SECONDS = 60  # for what takes two, on a busy machine

NOTEBOOKS = {
    "training/uses_first": notebook("from lmprep.first import VALUE", "VALUE"),
    "training/uses_second": notebook("from lmprep.second import VALUE\nVALUE"),
    "architectures/uses_none": notebook("print('alone')", "# %% [markdown]\n# Prose."),
}


def run_of(root: Path, name: str, seed: int | None = None) -> dict | None:
    """What is recorded of a notebook's last run, if it counts."""
    out = root / "_build/executed"
    return {f"{e.part}/{e.slug}": last_run(e, root, out, seed) for e in read_entries(root)}[name]


def outputs_of(root: Path, name: str, out: str = "executed") -> list[nbformat.NotebookNode]:
    executed = nbformat.read(root / "_build" / out / f"{name}.ipynb", as_version=4)
    return [output for cell in executed.cells for output in cell.get("outputs", [])]


def kept(root: Path) -> set[str]:
    """The files of executed notebooks, whole or not."""
    folder = root / "_build/executed"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.suffix != ".lock"}


def command(root: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "lmprep_book.execute", "--root", str(root), *options]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def once_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_book(tmp_path_factory.mktemp("book"), NOTEBOOKS)
    assert main(["--root", str(root)]) == 0
    return root


@pytest.fixture
def book(once_run: Path, tmp_path: Path) -> Path:
    """A book that has just been run."""
    shutil.copytree(once_run, tmp_path / "book")
    return tmp_path / "book"


# --- what is kept of a run -------------------------------------------------------------------------------


def test_outputs_are_kept_and_the_run_is_recorded(book: Path) -> None:
    assert kept(book) == {f"{name}.ipynb" for name in NOTEBOOKS}
    assert outputs_of(book, "training/uses_first")[0].data["text/plain"] == "1"
    record = run_of(book, "training/uses_second")
    assert record is not None
    library = {name: (book / name).read_bytes() for name in record["files"]}
    assert set(library) == {f"src/lmprep/{name}.py" for name in ("__init__", "second", "third")}
    assert record["files"] == {name: hashlib.sha256(text).hexdigest() for name, text in library.items()}
    assert record["seed"] == 0
    assert 0.1 < record["cpu_seconds"] < 30
    assert record["seconds"] > 0.1
    assert 30 < record["peak_mb"] < 1000


def test_the_probe_leaves_no_trace_in_cells(book: Path) -> None:
    executed = nbformat.read(book / "_build/executed/architectures/uses_none.ipynb", as_version=4)
    assert [cell.cell_type for cell in executed.cells] == ["markdown", "code", "markdown"]
    assert [cell.get("execution_count") for cell in executed.cells] == [None, 1, None]
    assert [cell.id for cell in executed.cells] == ["cell-0", "cell-1", "cell-2"]
    assert [output.text for output in executed.cells[1].outputs] == ["alone\n"]


def test_memory_and_time_are_those_of_the_notebook(tmp_path: Path) -> None:
    work = "block = bytearray(300 * 2**20)\nwhile time.process_time() - start < 0.5: pass"
    child = "subprocess.run([sys.executable, '-c', 'while __import__(\"time\").process_time() < 1: pass'])"
    root = write_book(
        tmp_path,
        {
            "training/idle": notebook("1"),
            "training/works": notebook(
                f"import subprocess, sys, time\nstart = time.process_time()\n{work}\n{child};"
            ),
        },
    )
    assert main(["--root", str(root)]) == 0
    idle, works = run_of(root, "training/idle"), run_of(root, "training/works")
    assert idle is not None and works is not None
    assert idle["peak_mb"] < 250  # a kernel alone, or this process at the moment that it started it
    assert 330 < works["peak_mb"] < 500
    assert 1.1 < works["cpu_seconds"] - idle["cpu_seconds"] < 3  # 0.5 of its own, 1 of its child


# --- what runs again -------------------------------------------------------------------------------------

ALL = set(NOTEBOOKS)


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("src/lmprep/first.py", "1", "2", {"training/uses_first"}),
        ("src/lmprep/first.js", "shown", "drawn", {"training/uses_first"}),
        ("src/lmprep/third.py", "3", "4", {"training/uses_second"}),
        ("src/lmprep/__init__.py", "", "\n", {"training/uses_first", "training/uses_second"}),
        ("src/lmprep/unused.py", "", "VALUE = 0\n", set()),
        ("notebooks/training/uses_first.py", "# # What does", "# # What, please, does", set()),
        ("notebooks/architectures/uses_none.py", "Prose.", "Better prose.", set()),
        ("notebooks/architectures/uses_none.py", "alone", "all alone", {"architectures/uses_none"}),
        (
            "_build/executed/architectures/uses_none.ipynb",
            "lmprep_run",
            "lmprep_ran",
            {"architectures/uses_none"},
        ),
        ("_build/executed/architectures/uses_none.ipynb", "", "{", {"architectures/uses_none"}),
        ("requirements.lock", "nothing==1", "nothing==2", ALL),
    ],
)
def test_a_change_makes_stale_what_depends_on_it(
    book: Path, file: str, old: str, new: str, stale: set
) -> None:
    path = book / file
    text = path.read_text(encoding="utf8")
    path.write_text(text.replace(old, new, 1) if old else new, encoding="utf8")
    assert {name for name in NOTEBOOKS if run_of(book, name) is None} == stale


def test_a_changed_tag_makes_stale(book: Path) -> None:
    path = book / "notebooks/architectures/uses_none.py"
    path.write_text(path.read_text().replace("# %%\n", '# %% tags=["hide-input"]\n'))
    assert {name for name in NOTEBOOKS if run_of(book, name) is None} == {"architectures/uses_none"}


def test_a_deleted_library_file_makes_stale(book: Path) -> None:
    (book / "src/lmprep/third.py").unlink()
    assert {name for name in NOTEBOOKS if run_of(book, name) is None} == {"training/uses_second"}


def test_device_seed_and_python_are_part_of_the_key(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "architectures/uses_none"
    assert run_of(book, name, seed=0) is not None
    assert run_of(book, name, seed=1) is None
    monkeypatch.setenv("LMPREP_DEVICE", "cuda")
    assert run_of(book, name) is None
    monkeypatch.delenv("LMPREP_DEVICE")
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    assert run_of(book, name) is None


def test_only_what_is_stale_runs(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (book / f"_build/executed/{name}.ipynb").stat().st_mtime_ns for name in NOTEBOOKS}
    (book / "src/lmprep/first.py").write_text("VALUE = 'changed'\n")
    assert main(["--root", str(book)]) == 0
    after = {name: (book / f"_build/executed/{name}.ipynb").stat().st_mtime_ns for name in NOTEBOOKS}
    assert {name for name in NOTEBOOKS if before[name] != after[name]} == {"training/uses_first"}
    assert outputs_of(book, "training/uses_first")[0].data["text/plain"] == "'changed'"
    shown = capsys.readouterr().out
    assert "[1/1] training/uses_first:" in shown
    assert "1 run, 0 failed, 2 up to date." in shown


def test_unchanged_runs_nothing_and_says_so(
    book: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "run", lambda *_: pytest.fail("a kernel was asked for"))
    assert main(["--root", str(book)]) == 0
    assert capsys.readouterr().out == "Nothing to run: 3 notebooks are up to date.\n"


def test_names_choose_what_runs(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (book / "requirements.lock").write_text("nothing==3\n")
    assert main(["--root", str(book), str(book / "notebooks/architectures/uses_none.py")]) == 0
    assert "1 run, 0 failed, 0 up to date." in capsys.readouterr().out
    assert {name for name in NOTEBOOKS if run_of(book, name) is None} == ALL - {"architectures/uses_none"}


# --- what goes wrong -------------------------------------------------------------------------------------

FAILING = {
    "training/good": notebook("'kept'"),
    "training/raises": notebook("1", "# %% [markdown]\n# Prose.", "x = 0\ny = 1\ny / x"),
    "training/warns": notebook("import sys\nprint('not an error')\nprint('but this', file=sys.stderr)"),
    "training/breaks": notebook("1", "if True"),
    "training/dies": notebook("import faulthandler, os\nfaulthandler.enable()\nos.abort()"),
    "training/hangs": notebook("import time\ntime.sleep(600)"),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A book of which one notebook succeeds, the exit status and what was printed. All succeeded before."""
    root = write_book(tmp_path_factory.mktemp("failing"), FAILING)
    (root / "_build/executed/training").mkdir(parents=True)
    old = nbformat.v4.new_notebook(metadata={"lmprep_run": {"files": {}, "seed": 0, "key": "of older code"}})
    for name in FAILING:
        nbformat.write(old, root / f"_build/executed/{name}.ipynb")
    with pytest.MonkeyPatch.context() as patch, open(root / "printed", "w+", encoding="utf8") as printed:
        patch.setattr(kernel, "CELL_SECONDS", 2)
        patch.setattr(sys, "stdout", printed)
        status = main(["--root", str(root)])
    return root, status, (root / "printed").read_text(encoding="utf8")


def test_the_others_are_finished_and_kept(failed: tuple[Path, int, str]) -> None:
    root, status, printed = failed
    assert status == 1
    assert kept(root) == {"training/good.ipynb"}
    assert outputs_of(root, "training/good")[0].data["text/plain"] == "'kept'"
    assert "1 run, 5 failed, 0 up to date." in printed


@pytest.mark.parametrize(
    ("name", "marker", "cell", "told"),
    [
        ("raises", "y / x", 2, ["ZeroDivisionError: division by zero", "----> 3 y / x"]),
        ("warns", "import sys", 1, ["it writes to stderr:\nbut this"]),
        ("breaks", "if True", 2, ["SyntaxError: expected ':'"]),
        ("dies", "import faulthandler, os", 1, ["Kernel died", "Fatal Python error: Aborted"]),
        ("hangs", "import time", 1, ["it has run for 2 seconds without an end"]),
    ],
)
def test_a_failure_says_where_and_why(
    failed: tuple[Path, int, str], name: str, marker: str, cell: int, told: list[str]
) -> None:
    root, _, printed = failed
    source = (root / f"notebooks/training/{name}.py").read_text(encoding="utf8").splitlines()
    line = 1 + source.index(marker)
    place = f"notebooks/training/{name}.py:{line}: code cell {cell} fails"
    assert place in printed
    report = printed.split(place)[1].split("\n[")[0]
    for words in told:
        assert words in report
    assert "\x1b" not in printed


def test_what_is_missing_is_said_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_book(tmp_path, {})
    (root / "_toc.yml").write_text("root: book/index\nchapters:\n- file: notebooks/training/not_there\n")
    for arguments in ([], [str(root / "notebooks/training/nor_there.py")]):
        with pytest.raises(SystemExit, match="2"):
            main(["--root", str(root), *arguments])
    said = capsys.readouterr().err
    assert "_toc.yml names notebooks/training/not_there" in said
    assert "nor_there.py" in said


# --- the budget ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "value"), [("CPU_SECONDS", 0.01), ("MEMORY_MB", 1.0)])
def test_what_exceeds_the_budget_is_named_and_fails_if_strict(
    book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: str, value: float
) -> None:
    assert main(["--root", str(book), "--strict"]) == 0
    assert "over budget" not in capsys.readouterr().out
    monkeypatch.setattr(execute, limit, value)
    assert main(["--root", str(book)]) == 0
    assert main(["--root", str(book), "--strict"]) == 1
    assert capsys.readouterr().out.count("over budget: training/uses_first") == 2


# --- what a notebook runs under --------------------------------------------------------------------------

LOOKS_AROUND = notebook(
    "import json, os, sys\n"
    "names = ['LMPREP_SEED', 'PYTHONHASHSEED', 'OMP_NUM_THREADS', 'HF_HUB_OFFLINE', 'PYTHONSTARTUP']\n"
    "names += ['MPLBACKEND']\n"
    "found = {name: os.environ.get(name) for name in names}\n"
    "found |= {'folder': os.getcwd(), 'files': os.listdir(), 'leaked': 'leaked' in globals()}\n"
    "found |= {'startup': get_ipython().profile_dir.startup_dir, 'executable': sys.executable}\n"
    "print(json.dumps(found))"
)


def test_a_readers_own_settings_do_not_reach_a_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_book(tmp_path / "book", {"training/looks_around": LOOKS_AROUND})
    startup = tmp_path / "ipython/profile_default/startup/leak.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("leaked = True\n")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(startup))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("MPLBACKEND", "agg")
    specification = tmp_path / "jupyter/kernels/python3/kernel.json"
    specification.parent.mkdir(parents=True)
    specification.write_text('{"argv": ["false"], "display_name": "Python 3", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")

    assert main(["--root", str(root), "--seed", "3"]) == 0
    (shown,) = outputs_of(root, "training/looks_around", out="executed-seed-3")
    found = json.loads(shown.text)
    assert {name: found[name] for name in list(found)[:6]} == {
        "LMPREP_SEED": "3",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONSTARTUP": None,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    assert found["files"] == [] and not Path(found["folder"]).is_relative_to(root)
    assert not found["leaked"] and not Path(found["startup"]).is_relative_to(tmp_path)
    assert found["executable"] == sys.executable
    assert not (root / "_build/executed").exists()  # the book's own outputs are those of seed 0


# --- two at once, and killed -----------------------------------------------------------------------------


def test_two_at_once_run_each_notebook_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    names = ["training/a", "training/b"]
    cell = f"import time\ntime.sleep(1)\nwith open({str(log)!r}, 'a') as log:\n    log.write('NAME ')"
    root = write_book(tmp_path / "book", {name: notebook(cell.replace("NAME", name)) for name in names})
    both = [subprocess.Popen(command(root), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=SECONDS)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    assert sorted(log.read_text().split()) == names
    assert kept(root) == {f"{name}.ipynb" for name in names}
    assert all(run_of(root, name) for name in names)


def test_killed_in_the_middle_it_goes_on_with_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started, go_on = tmp_path / "started", tmp_path / "go_on"
    waits = (
        f"import os, pathlib, time\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))\n"
        f"while not pathlib.Path({str(go_on)!r}).exists():\n    time.sleep(0.05)\nprint('to the end')"
    )
    root = write_book(tmp_path / "book", {"training/quick": notebook("1"), "training/waits": notebook(waits)})
    quick = root / "_build/executed/training/quick.ipynb"
    process = subprocess.Popen(
        command(root, "--jobs", "2"), start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: quick.exists() and started.exists() and started.read_text() != "")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert kept(root) == {"training/quick.ipynb"}
    wait_until(lambda: not Path(f"/proc/{started.read_text()}").exists())  # the kernel has not outlived it

    go_on.touch()
    before = quick.stat().st_mtime_ns
    assert main(["--root", str(root)]) == 0
    assert "1 run, 0 failed, 1 up to date." in capsys.readouterr().out
    assert quick.stat().st_mtime_ns == before
    assert [output.text for output in outputs_of(root, "training/waits")] == ["to the end\n"]


def test_what_exceeds_its_budget_beside_others_is_measured_again_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    names = ["training/a", "training/b"]
    cell = f"with open({str(log)!r}, 'a') as log:\n    print('NAME', file=log)"
    root = write_book(tmp_path / "book", {name: notebook(cell.replace("NAME", name)) for name in names})
    monkeypatch.setattr("lmprep_book.execute.CPU_SECONDS", 0.0)
    assert main(["--root", str(root), "--jobs", "2"]) == 0
    assert sorted(log.read_text().split()) == sorted(names * 3)
    assert capsys.readouterr().out.count("again, alone") == 4
    for name in names:
        (root / f"_build/executed/{name}.ipynb").unlink()
    assert main(["--root", str(root), "--jobs", "1"]) == 0
    assert sorted(log.read_text().split()) == sorted(names * 4)


def test_paths_tell_part_and_slug(book: Path) -> None:
    paths = [executed_path(entry, Path("out")) for entry in read_entries(book)]
    assert paths == [Path("out") / f"{name}.ipynb" for name in NOTEBOOKS]
