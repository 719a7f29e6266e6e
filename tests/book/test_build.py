"""A small book, built with the real configuration: warnings are fatal, pages load what they need, no more."""

import json
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_book import notebook, write_book

from lmprep_book import derive, execute
from lmprep_book.search import SearchBoth

CLAIM = "from lmprep.evidence import claim\nclaim('sure', 'one and one', 2, at_least=1, thesis=True)"
FORMULA = "# %% [markdown]\n# With a formula, $x^2$, and a `name_of_mine`."
NOTEBOOKS = {
    "architectures/base": notebook(CLAIM, FORMULA, short="The base"),
    "training/onward": notebook("print('first run')", short="Onward", needs="base"),
}


def build(book: Path) -> subprocess.CompletedProcess[str]:
    jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
    options = ["-W", "-n", "--keep-going", "--quiet"]
    return subprocess.run([jupyter_book, "build", str(book), *options], capture_output=True, text=True)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A book that has been built."""
    folder = write_book(tmp_path_factory.mktemp("book"), NOTEBOOKS, library={"__init__.py": ""})
    shutil.copy(root / "src/lmprep/evidence.py", folder / "src/lmprep")
    shutil.copy(root / "_config.yml", folder)
    shutil.copytree(root / "book/_static", folder / "book/_static")
    (folder / "book/references.bib").write_text("")
    (folder / "book/index.md").write_text("# The front page\n")
    with (folder / "_toc.yml").open("a") as contents:
        contents.writelines(f"- file: book/derived/{name}\n" for name in ("questions", "errors", "evidence"))
    assert execute.main(["--root", str(folder)]) == 0
    assert derive.main(["--root", str(folder)]) == 0
    built = build(folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def html(book: Path, name: str) -> str:
    return (book / f"_build/html/{name}.html").read_text(encoding="utf8")


def test_pages_show_header_line_and_outputs(book: Path) -> None:
    page = html(book, "notebooks/training/onward")
    line = re.search(r'<p class="lmprep-header">(.*?)</p>', page, re.S)
    assert line is not None
    assert 'href="../architectures/base.html"' in line[1]
    assert "中文：这是什么？" in line[1]
    assert "first run" in page
    assert 'class="lmprep-evidence lmprep-thesis"' in html(book, "notebooks/architectures/base")


def test_the_sidebar_is_short_and_the_page_asks_the_question(book: Path) -> None:
    page = html(book, "notebooks/training/onward")
    sidebar = page.split('<nav class="bd-links')[1].split("</nav>")[0]
    assert re.findall(r'href="[^"]*">\s*([^<]*?)\s*<', sidebar)[:2] == ["The base", "Onward"]
    assert "<h1>What does Onward do?" in page


def test_pages_load_what_they_need_and_no_more(book: Path) -> None:
    formulas = {name: "tex-chtml-full.js" in html(book, f"notebooks/{name}") for name in NOTEBOOKS}
    assert formulas == {"architectures/base": True, "training/onward": False}
    static = book / "_build/html/_static"
    assert (static / "mathjax/tex-chtml-full.js").exists()
    assert (static / "mathjax/output/chtml/fonts/woff-v2/MathJax_Main-Regular.woff").exists()
    for page in (book / "_build/html").rglob("*.html"):
        if static in page.parents:
            continue  # a template of the theme
        text = page.read_text(encoding="utf8")
        assert not re.search(r'(src|href)="(https?:)?//(?!example)[^"]*\.(js|css|woff2?)', text), page
        assert not re.search(r"<script[^>]*fontawesome", text), page
    assert not list(static.rglob("fontawesome/**/*.js"))


def test_the_search_index_has_words_identifiers_and_chinese(book: Path) -> None:
    index = (book / "_build/html/searchindex.js").read_text(encoding="utf8")
    terms = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))["terms"]
    assert {"formula", "name_of_min", "什么", "么"} <= set(terms)  # English and identifiers as their stems


def test_new_outputs_reach_the_page_and_a_warning_fails_the_build(book: Path, tmp_path: Path) -> None:
    changed = tmp_path / "book"
    shutil.copytree(book, changed, copy_function=shutil.copy2)
    path = changed / "notebooks/training/onward.py"
    path.write_text(path.read_text().replace("first run", "second run"))
    assert execute.main(["--root", str(changed)]) == 0
    (changed / "book/index.md").write_text("# The front page\n\n[nowhere](nowhere.md)\n")
    built = build(changed)
    assert "second run" in html(changed, "notebooks/training/onward")
    assert built.returncode != 0
    assert "nowhere" in built.stderr


# --- search ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Softmax, then causal_mask(T)", ["Softmax", "then", "causal_mask", "T"]),
        ("torch.nn.functional", ["torch", "nn", "functional"]),
        ("自注意力", ["自", "注", "意", "力", "自注", "注意", "意力"]),
        ("用LoRA微调", ["用", "LoRA", "微", "调", "微调"]),
        ("熵", ["熵"]),
        ("√d, 1 %", ["d", "1"]),
    ],
)
def test_split(text: str, terms: list[str]) -> None:
    assert SearchBoth({}).split(text) == terms


@given(st.text(alphabet="注意力机制是什么", min_size=2), st.data())
def test_any_stretch_of_a_chinese_text_is_found(text: str, data: st.DataObject) -> None:
    """The browser asks for the stretch's pairs; all of them must be in the index."""
    start = data.draw(st.integers(0, len(text) - 2))
    stretch = text[start : data.draw(st.integers(start + 2, len(text)))]
    pairs = {first + second for first, second in pairwise(stretch)}
    assert pairs <= set(SearchBoth({}).split(f"before {text} after"))


@pytest.mark.site
def test_the_browser_splits_a_query_as_the_index_was_split() -> None:
    browser = pytest.importorskip("browser")
    if not browser.CHROMIUM.exists():
        pytest.skip(f"no {browser.CHROMIUM}")
    queries = ["causal_mask torch.nn", "自注意力机制", "用LoRA微调", "熵", "Größe 1e-6", "  ", "√d_k"]
    with browser.chromium() as chromium:
        page = chromium.new_page()
        code = f"(query) => {{ let splitQuery; {SearchBoth.js_splitter_code}; return splitQuery(query); }}"
        asked = {query: page.evaluate(code, query) for query in queries}
    for query, terms in asked.items():
        indexed = SearchBoth({}).split(query)
        assert set(terms) <= set(indexed), query
        assert set(indexed) - set(terms) <= set("".join(terms)), (
            query
        )  # only single characters of longer runs
