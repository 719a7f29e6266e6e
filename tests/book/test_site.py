"""Every page of the built book in a real browser: `pytest -m site`, after `make book`.

Skipped where there is no Chromium or no built book.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from browser import CHROMIUM, chromium, open_page, problems, served
from playwright.sync_api import Browser

from lmprep.entries import Entry, read_entries

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
HTML = {
    path.relative_to(SITE).as_posix(): path
    for path in sorted(SITE.rglob("*.html"))
    if "_static" not in path.parts
}
PAGES = [name for name, path in HTML.items() if 'http-equiv="Refresh"' not in path.read_text(encoding="utf8")]

pytestmark = [
    pytest.mark.site,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: apt install chromium fonts-noto-cjk"),
]
needs_site = pytest.mark.skipif(not PAGES, reason="no built book in _build/html: run make book")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with served(SITE) as address:
        yield address


# --- this book ---------------------------------------------------------------------------------------------


@needs_site
@pytest.mark.parametrize("name", PAGES)
def test_page(browser: Browser, address: str, name: str) -> None:
    found = problems(browser, address, SITE, name)
    assert not found, "\n" + "\n".join(found)


@needs_site
def test_every_entry_has_its_page() -> None:
    assert {f"{entry.docname}.html" for entry in read_entries(ROOT)} <= set(PAGES)


def links_of(path: Path) -> set[str]:
    return set(
        re.findall(r'<(?:a|link|meta)\b[^>]*?(?:href="|url=)([^"]+)"', path.read_text(encoding="utf8"))
    )


def ids_of(path: Path) -> set[str]:
    return set(re.findall(r'\b(?:id|name)="([^"]+)"', path.read_text(encoding="utf8")))


def dead_links(name: str, path: Path) -> list[str]:
    """Links within the site that lead to no file, or to no place in it."""
    dead = []
    for link in sorted(links_of(path)):
        there = urlsplit(link)
        if there.scheme or there.netloc or link == "#":
            continue
        target = (path.parent / unquote(there.path)).resolve() if there.path else path
        found = target.is_file() and (not there.fragment or unquote(there.fragment) in ids_of(target))
        dead += [] if found else [f"{name}: {link}"]
    return dead


@needs_site
def test_no_link_leads_nowhere() -> None:
    assert [fault for name, path in HTML.items() for fault in dead_links(name, path)] == []


def searches(entry: Entry) -> dict[str, str]:
    """An English word, a Chinese word and an identifier that must each find the entry."""
    import jieba

    chinese = max(jieba.cut(entry.question_zh), key=len)
    english = max(re.findall(r"[A-Za-z]{4,}", entry.question), key=len)
    return {"English": english, "Chinese": chinese, "identifier": entry.tasks[0]}


@needs_site
@pytest.mark.parametrize("kind", ["English", "Chinese", "identifier"])
@pytest.mark.parametrize("start", ["server", "disk"])
def test_search_finds(browser: Browser, address: str, kind: str, start: str) -> None:
    for entry in (read_entries(ROOT)[0], read_entries(ROOT)[-1]):
        word = searches(entry)[kind]
        base = address if start == "server" else SITE.as_uri()
        with browser.new_context() as context:
            page, faults = open_page(context, f"{base}/search.html?q={quote(word)}")
            page.wait_for_selector("#search-results li a")
            page.wait_for_function(
                "!document.querySelector('#search-results h2').textContent.includes('Searching')"
            )
            found = page.eval_on_selector_all("#search-results li a", "links => links.map(link => link.href)")
        assert any(f"/{entry.docname}.html" in link for link in found), f"{word!r} finds only {found}"
        assert faults == []


@needs_site
def test_search_finds_nothing_where_there_is_nothing(browser: Browser, address: str) -> None:
    with browser.new_context() as context:
        page, _ = open_page(context, f"{address}/search.html?q=zyzzyva")
        page.wait_for_function(
            "!document.querySelector('#search-results h2').textContent.includes('Searching')"
        )
        assert page.query_selector_all("#search-results li") == []


@needs_site
def test_search_starts_from_the_keyboard(browser: Browser, address: str) -> None:
    entry = read_entries(ROOT)[0]
    with browser.new_context() as context:
        page, faults = open_page(context, f"{address}/{entry.docname}.html")
        page.wait_for_load_state("networkidle")
        page.keyboard.press("Control+K")
        page.keyboard.type(entry.tasks[0])
        page.keyboard.press("Enter")
        page.wait_for_selector(f'#search-results a[href*="{entry.slug}"]')
        assert faults == []


# --- faults are noticed ------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,">
<style>@media (prefers-color-scheme: dark) {{ body, a {{ background: #111; color: #eee; }} {dark} }}</style>
</head><body><main><h1>A page</h1><p>Text.</p>{body}</main></body></html>"""
WIDE = '<div style="width: 900px">Wide.</div>'
FAINT = '<p style="color: #ccc; background: #fff">Faint.</p>'
TYPESET = '<span class="math">x<mjx-container></mjx-container></span>'


@pytest.fixture
def small(tmp_path: Path, browser: Browser) -> Iterator["Small"]:
    with served(tmp_path) as address:
        yield Small(tmp_path, browser, address)


class Small:
    """A site of one page."""

    def __init__(self, folder: Path, browser: Browser, address: str) -> None:
        self.folder, self.browser, self.address = folder, browser, address

    def problems(self, body: str, dark: str = "") -> list[str]:
        (self.folder / "page.html").write_text(PAGE.format(body=body, dark=dark), encoding="utf8")
        return problems(self.browser, self.address, self.folder, "page.html")


@pytest.mark.parametrize(
    "body",
    [
        "",
        '<img src="data:image/png;base64,iVBORw0KGgo=" alt="a figure">',
        f'<div style="overflow-x: auto" tabindex="0">{WIDE}</div>',
        "<p>It costs $5. <code>$x$</code></p>",
        TYPESET,
        '<a href="https://example.org">a link that nobody follows</a>',
        "<script>console.warn('a warning')</script>",
    ],
)
def test_what_is_fine_is_no_problem(small: Small, body: str) -> None:
    assert small.problems(body) == []


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ("console", "<script>console.error('broken')</script>"),
        ("console", "<script>undefined_function()</script>"),
        ("console", "<script>Promise.reject(new Error('late'))</script>"),
        ("failed", '<script src="absent.js"></script>'),
        ("failed", '<img src="absent.png" alt="a figure">'),
        ("foreign", '<script src="https://example.org/library.js"></script>'),
        ("foreign", '<img src="//example.org/pixel.png" alt="a figure">'),
        ("foreign", "<script>fetch('http://localhost:1/').catch(() => {})</script>"),
        ("foreign", "<script>new WebSocket('ws://example.org/')</script>"),
        ("math", '<span class="math">\\(x\\)</span>'),
        ("math", "<p>where $x^2$ is</p>"),
        ("math", "<p>where \\[ x \\] is</p>"),
        ("math", f'{TYPESET}<mjx-merror title="Undefined control sequence">x</mjx-merror>'),
        ("sideways", WIDE),
        ("sideways", f"<p>{'long' * 100}</p>"),
        ("sideways", f"<details><summary>More</summary>{WIDE}</details>"),
        ("alt", '<img src="data:image/png;base64,iVBORw0KGgo=">'),
        ("alt", '<img src="data:image/png;base64,iVBORw0KGgo=" alt=" ">'),
        ("light", FAINT),
        ("light", "<button></button>"),
        (
            "light",
            '<details><summary>More</summary><p style="color: #ccc; background: #fff">Faint.</p></details>',
        ),
    ],
)
def test_a_problem_is_noticed(small: Small, rule: str, body: str) -> None:
    assert rule in {problem.split(":")[0] for problem in small.problems(body)}


def test_a_problem_of_the_dark_scheme_alone_is_noticed(small: Small) -> None:
    found = small.problems('<p class="note">A note.</p>', dark=".note { color: #333; }")
    assert {problem.split(":")[0] for problem in found} == {"dark"}


def test_colors_are_looked_at_when_they_have_settled(small: Small) -> None:
    style = "p { transition: all 60s; }"
    assert small.problems(f"<style>{style}</style><p>Text.</p>") == []


def test_repeated_code_is_looked_at_once_and_every_kind_of_it(small: Small) -> None:
    plain = '<span class="k">if</span> ' * 50
    start = '<pre style="white-space: pre-wrap">'
    assert small.problems(f"{start}{plain}</pre>") == []
    faint = '<span class="c" style="color: #ccc; background: #fff">note</span>'
    found = small.problems(f"{start}{plain}{faint * 3}</pre>")
    assert [problem.split(",")[0] for problem in found] == ["light: color-contrast", "dark: color-contrast"]
    assert all("1 times" in problem for problem in found)


def test_a_problem_from_disk_alone_is_noticed(small: Small) -> None:
    (small.folder / "data.json").write_text("{}", encoding="utf8")
    found = small.problems("<script>fetch('data.json')</script>")
    assert found
    assert all(problem.endswith("(from disk)") for problem in found)


def test_dead_links_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    links = [
        "other.html",
        "other.html#there",
        "#here",
        "https://example.org",
        "absent.html",
        "other.html#gone",
        "#gone",
    ]
    anchors = "".join(f'<a class="x" href="{link}">link</a>' for link in links)
    page.write_text(f'<p id="here"></p>{anchors}', encoding="utf8")
    (tmp_path / "other.html").write_text('<p id="there"></p>', encoding="utf8")
    assert dead_links("page", page) == ["page: #gone", "page: absent.html", "page: other.html#gone"]
