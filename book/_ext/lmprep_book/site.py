"""The Sphinx extension: a site that needs nothing from any other host, and the notebooks' outputs in it."""

import re
from importlib.metadata import distribution
from pathlib import Path
from shutil import copyfile
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from lmprep_book.execute import executed_path
from lmprep_book.reader import book_entries
from lmprep_book.search import SearchBoth

_MATHJAX = "sphinx-mathjax-offline/static/mathjax"
_SCRIPT = "tex-chtml-full.js"
_FONTS = "output/chtml/fonts/woff-v2"
_MENDED = {
    '<div class="pst-scrollable-table-container"': '<div tabindex="0" class="pst-scrollable-table-container"',
    '<div role="list" class="citation-list"': '<div class="citation-list"',  # it holds more than items
    ' role="doc-biblioentry"': "",
}
_NOT_NEEDED = re.compile(r'<script src="[^"]*fontawesome[^>]*></script>|<link rel="preload" as="font"[^>]*>')


def connect(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_search_language(SearchBoth)
    app.connect("config-inited", read_notebooks, priority=100)  # before MyST-NB registers the formats
    app.connect(
        "config-inited", name_in_sidebar, priority=950
    )  # after sphinx-external-toc has read the order
    app.connect("source-read", note_what_a_page_is_made_of)
    app.connect("doctree-read", mark_header_line)
    app.connect("html-page-context", adapt_page)
    app.connect("build-finished", settle_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def read_notebooks(app: Sphinx, config: Config) -> None:
    """Have sources read with the outputs of their last run, and the page template found."""
    config.nb_custom_formats = {".py": ["lmprep_book.reader.reads", {"root": str(app.srcdir)}]}
    config.templates_path = [*config.templates_path, str(Path(__file__).parent / "templates")]


def name_in_sidebar(app: Sphinx, config: Config) -> None:
    """Title each entry in the sidebar by the `short` of its header; its H1 is a whole question."""
    for entry in book_entries(Path(app.srcdir)):
        if entry.docname in config.external_site_map:  # a book of one page has only its own
            config.external_site_map[entry.docname].title = entry.short


def note_what_a_page_is_made_of(app: Sphinx, docname: str, source: list[str]) -> None:
    """Have Sphinx read a notebook anew also when its outputs, the entries it links to or its tasks change."""
    root = Path(app.srcdir)
    entries = {entry.docname: entry for entry in book_entries(root)}
    if docname not in entries:
        return
    entry = entries[docname]
    needed = [other.path for other in entries.values() if other.slug in entry.needs]
    tasks = [path for name in entry.tasks for path in root.glob(f"src/lmprep/practice/*/{name}.py")]
    for path in (executed_path(entry, root / "_build/executed"), root / "_toc.yml", *needed, *tasks):
        app.env.note_dependency(str(path))


def mark_header_line(app: Sphinx, doctree: nodes.document) -> None:
    """Give the generated line under an entry's title a class of its own."""
    title = next(iter(doctree.findall(nodes.title)), None)
    if app.env.docname.startswith("notebooks/") and title is not None:
        title.next_node(nodes.paragraph, ascend=True, siblings=True)["classes"].append("lmprep-header")


def adapt_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load MathJax only where there is a formula, mend what stops a keyboard or a screen reader, and give the
    template `layout.html` what takes Font Awesome's script out of the head: its fonts draw the same icons."""
    formulas = app.env.get_domain("math").data["has_equations"]
    if not formulas.get(pagename):  # Sphinx loads it also where only a page's children have some
        mathjax = app.config.mathjax_path
        context["script_files"] = [
            file for file in context["script_files"] if mathjax not in str(file.filename)
        ]
    for found, mended in _MENDED.items():
        context["body"] = context.get("body", "").replace(found, mended)
    context["lean"] = lambda head: _NOT_NEEDED.sub("", head)


def settle_scripts(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax beside the pages; take out the script that none of them loads."""
    if error is not None or app.builder.format != "html":
        return
    source = Path(str(distribution("sphinx-mathjax-offline").locate_file(_MATHJAX)))
    target = Path(app.outdir) / "_static/mathjax"
    (target / _FONTS).mkdir(parents=True, exist_ok=True)
    for file in [source / _SCRIPT, *(source / _FONTS).iterdir()]:
        copyfile(file, target / file.relative_to(source))
    for script in (Path(app.outdir) / "_static/vendor/fontawesome").glob("*/js/*.js"):
        script.unlink()
