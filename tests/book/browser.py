"""What a reader's browser finds wrong with a page, in Debian's Chromium."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SECONDS = 60  # for one page, on a busy machine

# Formulas that MathJax left alone or could not read, and TeX that never became a formula.
_MATH = r"""async () => {
    if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
    const faults = [];
    for (const formula of document.querySelectorAll(".math"))
        if (!formula.querySelector("mjx-container"))
            faults.push("not set: " + formula.textContent.slice(0, 60));
    for (const error of document.querySelectorAll("mjx-merror"))
        faults.push("MathJax says: " + (error.getAttribute("title") || error.textContent).slice(0, 60));
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode;
        if (node.parentElement.closest("code, pre, script, style, textarea, mjx-container")) continue;
        const raw = node.data.match(/\$[^$]+\$|\\\(|\\\[|\\begin\{/);
        if (raw) faults.push("raw TeX: " + node.data.slice(raw.index, raw.index + 60));
    }
    return faults;
}"""

_SIDEWAYS = """() => {
    const page = document.documentElement;
    if (page.scrollWidth <= page.clientWidth) return [];
    const contained = (element) => {
        for (let box = element.parentElement; box && box !== document.body; box = box.parentElement)
            if (getComputedStyle(box).overflowX !== "visible") return true;
        return false;
    };
    const wide = [...document.body.querySelectorAll("*")].filter(
        (element) => element.getBoundingClientRect().right > page.clientWidth + 1 && !contained(element));
    const which = wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 80));
    return [`${page.scrollWidth} pixels: ${which.join(" ")}`];
}"""

_IMAGES = """() => [...document.querySelectorAll("img")]
    .filter((image) => !(image.getAttribute("alt") || "").trim())
    .map((image) => image.outerHTML.slice(0, 80))"""

# Dropdowns open, and colors that change at once: axe must not look in the middle of a transition.
_SETTLE = """() => {
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
    const still = document.createElement("style");
    still.textContent = "*, ::before, ::after { transition: none !important; animation: none !important; }";
    document.head.append(still);
}"""

# axe looks at each element for long: of highlighted code, one span a kind is enough; of formulas, none.
_THIN_OUT = """() => {
    const seen = new Set();
    for (const span of document.querySelectorAll("pre span")) {
        const kind = span.className + " in " + span.closest("pre").parentElement.className;
        if (seen.has(kind)) span.remove();
        seen.add(kind);
    }
    document.querySelectorAll("mjx-container").forEach((formula) => formula.replaceWith("x"));
}"""

# Without `preload` axe does not fetch style sheets anew; `region` is of moderate impact and slow.
_ALL_RULES = {"resultTypes": ["violations"], "preload": False, "rules": {"region": {"enabled": False}}}
_COLOR_RULES = _ALL_RULES | {"runOnly": ["color-contrast", "link-in-text-block"], "rules": {}}


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser, with a fresh profile, that can reach no other host."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which `folder` is served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def open_page(context: BrowserContext, address: str) -> tuple[Page, list[str]]:
    """Open a page; the list collects what goes wrong from then on: errors and requests that fail or leave."""
    page = context.new_page()
    page.set_default_timeout(1000 * SECONDS)
    faults: list[str] = []
    home = urlsplit(address).netloc

    def note_request(url: str) -> None:
        there = urlsplit(url)
        if there.scheme not in ("file", "data", "blob", "about") and there.netloc != home:
            faults.append(f"foreign: a request to {url[:100]}")

    page.on("request", lambda request: note_request(request.url))
    page.on("websocket", lambda socket: note_request(socket.url))
    page.on(
        "requestfailed", lambda request: faults.append(f"failed: {request.url[:100]} ({request.failure})")
    )
    page.on(
        "response",
        lambda reply: faults.append(f"failed: {reply.url} ({reply.status})") if reply.status >= 400 else None,
    )
    page.on("pageerror", lambda error: faults.append(f"console: {error}"))
    page.on(
        "console",
        lambda message: faults.append(f"console: {message.text}") if message.type == "error" else None,
    )
    page.goto(address)
    return page, faults


def problems(browser: Browser, served_at: str, folder: Path, name: str) -> list[str]:
    """What is wrong with the page `name`, opened from disk and from a server, each under its rule's name."""
    with browser.new_context(viewport=WIDE, color_scheme="light") as context:
        from_disk, disk_faults = open_page(context, (folder / name).as_uri())
        disk_faults += [f"math: {fault}" for fault in from_disk.evaluate(_MATH)]
        from_disk.close()
        page, faults = open_page(context, f"{served_at}/{name}")
        faults += [f"math: {fault}" for fault in page.evaluate(_MATH)]
        page.evaluate(_SETTLE)
        faults += [f"alt: {image}" for image in page.evaluate(_IMAGES)]
        page.set_viewport_size(PHONE)
        faults += [f"sideways: {fault}" for fault in page.evaluate(_SIDEWAYS)]
        page.set_viewport_size(WIDE)
        page.evaluate(_THIN_OUT)
        faults += [f"light: {fault}" for fault in _accessibility(page, _ALL_RULES)]
        page.emulate_media(color_scheme="dark")
        faults += [f"dark: {fault}" for fault in _accessibility(page, _COLOR_RULES)]
    return [*faults, *(f"{fault} (from disk)" for fault in disk_faults if fault not in faults)]


def _accessibility(page: Page, options: dict[str, Any]) -> Iterator[str]:
    """Serious and critical faults that axe finds."""
    for fault in Axe().run(page, options=options).response["violations"]:
        if fault["impact"] in ("serious", "critical"):
            elements = "; ".join(node["html"][:100] for node in fault["nodes"][:3])
            yield f"{fault['id']}, {fault['help']}, {len(fault['nodes'])} times: {elements}"
