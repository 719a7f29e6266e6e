"""Every executed notebook gives the same outputs again, in another process with another hash seed.

`pytest -m outputs -n 2 --dist worksteal`, after `python -m lmprep_book.execute`. nbval compares text, HTML
and the evidence records strictly, and figures not at all. A notebook that nobody ran fails.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from contract import Page, _shown, notebooks

from lmprep.entries import Entry, read_entry
from lmprep.evidence import EVIDENCE_MIME
from lmprep_book.execute import execute, executed_path
from lmprep_book.kernel import environment, list_fonts
from lmprep_book.reader import executed

ROOT = Path(__file__).resolve().parents[2]
SOURCES = notebooks(ROOT)
SECONDS = 600  # by the clock, on a busy machine

# nbval's kernels listen on TCP ports, and of two that start at once both may pick the same: one then dies.
START = """
import functools, sys, pytest
from nbval import kernel
kernel.KernelManager = functools.partial(kernel.KernelManager, transport="ipc", connection_file=sys.argv[1])
sys.exit(pytest.main(sys.argv[2:]))
"""

pytestmark = pytest.mark.outputs


def differences(entry: Entry, notebook: nbformat.NotebookNode, folder: Path) -> list[str]:
    """What is missing in an executed notebook, else the cells in which another run differs from it."""
    missing = list(_shown(Page(entry, ""), notebook))
    if missing:
        return missing
    source, report = folder / f"{entry.slug}.ipynb", folder / "report.xml"
    nbformat.write(notebook, source)
    options = ["-c", "/dev/null", "--rootdir", folder, "--junitxml", report]
    options += ["-p", "nbval.plugin", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    with tempfile.TemporaryDirectory(prefix="lmprep-kernel-") as own:  # a socket's path must be short
        done = subprocess.run(
            [sys.executable, "-c", START, f"{own}/kernel.json", *options, source],
            env=environment(ROOT, 0, own) | {"PYTHONHASHSEED": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    compared = ElementTree.parse(report).findall(".//testcase")
    found = [f"{case.get('name')} {part.tag}: {part.text}" for case in compared for part in case]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if len(compared) != len(cells) or (done.returncode and not found):
        found += [f"{len(compared)} of {len(cells)} cells were compared: {done.stdout}{done.stderr}"]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_outputs_are_reproduced(path: Path, tmp_path: Path) -> None:
    list_fonts(ROOT)
    entry = read_entry(path)
    found = differences(entry, executed(entry, ROOT), tmp_path)
    assert not found, "\n".join(found)


# --- differences are noticed -------------------------------------------------------------------------------

CELLS = {
    "imports": "from IPython.display import HTML, display\n\nfrom lmprep.evidence import claim",
    "record": 'claim("first", "the sum", sum([1, 2]), above=0)',
    "no record": 'claim("second", "the sum", sum([1, 2]), above=0)',
    "false": 'claim("third", "the sum", sum([1, 2]), above=0, thesis=True)',
    "text": 'print("one", 1)',
    "html": 'display(HTML("<b>two</b>"))',
    "result": '"three"',
    "fewer": 'print("four")\ndisplay(HTML("<b>five</b>"))',
    "order": "[letter for letter in set('abcdefgh')]",
    "skipped": '"six"',
    "same": 'print("seven")',
    "ignored": "id(object())",
}
HEADER = {"asked": 1, "level": 1, "question_zh": "为什么？", "short": "Small", "source": "none"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Entry, nbformat.NotebookNode]:
    """A small entry and its executed notebook."""
    root = tmp_path_factory.mktemp("small")
    path = root / "notebooks" / "training" / "small.py"
    path.parent.mkdir(parents=True)
    header = "".join(f"#     {name}: {value}\n" for name, value in HEADER.items())
    text = f"# ---\n# jupyter:\n#   lmprep:\n{header}# ---\n\n# %% [markdown]\n# # Why is that so?\n\n"
    path.write_text(text + "\n\n".join(f"# %%\n{code}" for code in CELLS.values()) + "\n", encoding="utf8")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    entry = read_entry(path)
    execute(entry, root, root / "executed")
    notebook = nbformat.read(executed_path(entry, root / "executed"), as_version=4)
    cell(notebook, "ignored").metadata["tags"] = ["nbval-ignore-output"]
    return entry, notebook


def cell(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """The cell of that name in CELLS, after the title."""
    return notebook.cells[1 + list(CELLS).index(name)]


def test_the_same_again_is_no_difference(small: tuple[Entry, nbformat.NotebookNode], tmp_path: Path) -> None:
    entry, notebook = small
    same = nbformat.from_dict(notebook)
    cell(same, "order").metadata["tags"] = ["nbval-ignore-output"]  # its order differs with the hash seed
    assert differences(entry, same, tmp_path) == []


def test_every_kind_of_difference_is_noticed_in_its_cell(
    small: tuple[Entry, nbformat.NotebookNode], tmp_path: Path
) -> None:
    entry, notebook = small
    changed = nbformat.from_dict(notebook)
    cell(changed, "record").outputs[0].data[EVIDENCE_MIME]["value"] = 3.0000001
    del cell(changed, "no record").outputs[0].data[EVIDENCE_MIME]
    cell(changed, "false").source = CELLS["false"].replace("above=0", "above=3")
    cell(changed, "text").outputs[0].text = "one 2\n"
    cell(changed, "html").outputs[0].data["text/html"] = "<b>too</b>"
    cell(changed, "result").outputs[0].data["text/plain"] = "'tree'"
    del cell(changed, "fewer").outputs[1]
    cell(changed, "skipped").metadata["tags"] = ["nbval-skip"]
    found = differences(entry, changed, tmp_path)
    expected = [name for name in CELLS if name not in ("imports", "same", "ignored")]
    assert [line.split(":")[0] for line in found] == [
        f"Cell {list(CELLS).index(name)} {'skipped' if name == 'skipped' else 'failure'}" for name in expected
    ]
    assert "ClaimError" in found[expected.index("false")]
    assert "3.0000001" in found[expected.index("record")]


def no_outputs(notebook: nbformat.NotebookNode) -> None:
    for name in CELLS:
        cell(notebook, name).update(outputs=[], execution_count=None)


def one_missing_output(notebook: nbformat.NotebookNode) -> None:
    cell(notebook, "text").outputs = []


@pytest.mark.parametrize("change", [no_outputs, one_missing_output])
def test_a_notebook_without_its_outputs_is_noticed_without_running_it(
    small: tuple[Entry, nbformat.NotebookNode],
    tmp_path: Path,
    change: Callable[[nbformat.NotebookNode], None],
) -> None:
    entry, notebook = small
    changed = nbformat.from_dict(notebook)
    change(changed)
    assert differences(entry, changed, tmp_path)[0].startswith("a cell ")
    assert list(tmp_path.iterdir()) == []
