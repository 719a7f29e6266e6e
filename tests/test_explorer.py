import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from lmprep.explorer import AttentionExplorer, attention_explorer

CHROMIUM = shutil.which("chromium")
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Layer 1: head 1 uniform, head 2 the token before; layer 2: head 1 itself, head 2 the first token.
TOKENS = ["The", " cat", " sat", "The"]
WEIGHTS = np.array(
    [
        [np.full((4, 4), 0.25), np.eye(4)[[0, 0, 1, 2]]],
        [0.7 * np.eye(4) + 0.3 * np.eye(4)[::-1], np.eye(4)[[0, 0, 0, 0]]],
    ]
)
HOSTILE = [
    "</script>",
    "<b>bold</b>",
    "<img/src=x/onerror='window.hacked=1'>",
    '"&amp;',
    "猫",
    "🐱",
    "<!--",
    "\n",
]


def data_of(explorer: AttentionExplorer) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', explorer.html, re.S)[1])


class Tags(HTMLParser):
    """The elements and the text of a document, script and style left out."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.opened.append(tag)

    def handle_endtag(self, tag):
        self.closed.append(tag)

    def handle_data(self, data):
        if self.opened[-1:] not in (["script"], ["style"]) or self.closed[-1:] == self.opened[-1:]:
            self.text += data


class TestContent:
    def test_weights_and_tokens_are_carried(self):
        data = data_of(attention_explorer(WEIGHTS, TOKENS))
        assert data["weights"] == (WEIGHTS * 1000).round().astype(int).tolist()
        assert data["queryTokens"] == data["keyTokens"] == ["The", "␣cat", "␣sat", "The"]
        assert data["queries"] == data["keys"] == ["The [1]", "␣cat", "␣sat", "The [4]"]

    def test_rounds_to_three_decimals(self):
        assert data_of(attention_explorer([[0.12345, 0.87655]], ["a"], key_tokens=["b", "c"]))["weights"] == [
            [[[123, 877]]]
        ]

    def test_lower_ranks_are_one_layer_and_one_head(self):
        assert data_of(attention_explorer(WEIGHTS[0], TOKENS))["weights"] == [
            (WEIGHTS[0] * 1000).astype(int).tolist()
        ]
        assert np.shape(data_of(attention_explorer(WEIGHTS[0, 1], TOKENS))["weights"]) == (1, 1, 4, 4)

    def test_tensors_of_any_kind(self):
        import torch

        expected = attention_explorer(WEIGHTS, TOKENS)
        for tensor in (torch.tensor(WEIGHTS, requires_grad=True), torch.tensor(WEIGHTS).bfloat16()):
            assert np.allclose(
                data_of(attention_explorer(tensor, TOKENS))["weights"], data_of(expected)["weights"], atol=2
            )
        assert attention_explorer(WEIGHTS.tolist(), TOKENS) == expected

    def test_text_names_the_strongest_link_of_each_token(self):
        text = repr(attention_explorer(WEIGHTS[1, 0], TOKENS, title="Second layer", alt="Mostly itself."))
        assert text.splitlines() == [
            "Second layer. Mostly itself.",
            "Strongest link of each token:",
            "“The [1]” → “The [1]” 0.70",
            "“␣cat” → “␣cat” 0.70",
            "“␣sat” → “␣sat” 0.70",
            "“The [4]” → “The [4]” 0.70",
        ]
        assert "of layer 1, head 1:" in repr(attention_explorer(WEIGHTS, TOKENS))

    def test_the_same_text_stands_in_the_html(self):
        explorer = attention_explorer(WEIGHTS[1, 0], TOKENS, title="Second layer", alt="Mostly itself.")
        parsed = Tags(explorer.html)
        for line in explorer.text.splitlines()[1:]:
            assert line in parsed.text
        assert 'role="figure" aria-label="Second layer. Mostly itself."' in explorer.html

    def test_masked_rows(self):
        explorer = attention_explorer([[0.0, 0.0], [0.4, 0.6]], ["pad", "a"])
        assert "“pad” → nothing (masked)" in explorer.text

    def test_cross_attention(self):
        data = data_of(attention_explorer([[0.2, 0.3, 0.5]], ["chat"], key_tokens=["the", "cat", "sat"]))
        assert (data["queries"], data["keys"]) == (["chat"], ["the", "cat", "sat"])

    @pytest.mark.parametrize(
        ("token", "shown"),
        [
            (" a b", "␣a␣b"),
            ("\n", "⏎"),
            ("a\tb", "a⇥b"),
            ("", "∅"),
            ("\u00a0", "␣"),
            ("\x00", "\\u0000"),
            ("\u202e", "\\u202e"),
            ("\u200b", "\\u200b"),
            ("\ud800", "\\ud800"),
            ("猫", "猫"),
            ("👩\u200d💻", "👩\u200d💻"),
            ("Ġcat", "Ġcat"),
        ],
    )
    def test_what_cannot_be_seen_is_marked(self, token, shown):
        assert data_of(attention_explorer([[1.0]], [token]))["queryTokens"] == [shown]

    @given(st.lists(st.text(st.characters(), max_size=6) | st.sampled_from(HOSTILE), min_size=1, max_size=5))
    def test_no_token_becomes_html(self, tokens):
        harmless = attention_explorer(np.eye(len(tokens)), ["x"] * len(tokens), title="x", alt="y")
        explorer = attention_explorer(np.eye(len(tokens)), tokens, title=tokens[0], alt=tokens[-1])
        parsed = Tags(explorer.html)
        assert parsed.opened == Tags(harmless.html).opened
        assert len(data_of(explorer)["queryTokens"]) == len(tokens)
        explorer.html.encode()  # lone surrogates would fail here

    def test_asks_for_nothing_from_elsewhere(self):
        html = attention_explorer(WEIGHTS, TOKENS).html.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//\w|src=|href=|url\(|@import|fetch\(", html)
        assert " id=" not in html
        assert len(html) < 25_000

    def test_bit_equal_in_another_process(self):
        code = (
            "import hashlib, sys; from lmprep.explorer import attention_explorer\n"
            "html = attention_explorer([[.5, .5], [0, 0]], ['a', '猫']).html\n"
            "print(hashlib.sha256(html.encode()).hexdigest())\n"
            "assert 'torch' not in sys.modules"
        )
        here = hashlib.sha256(attention_explorer([[0.5, 0.5], [0, 0]], ["a", "猫"]).html.encode()).hexdigest()
        there = subprocess.check_output(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": "7"}, text=True
        )
        assert there.strip() == here


class TestBadInput:
    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            (np.ones(4), r"weights must have shape \(L, H, T, S\), \(H, T, S\) or \(T, S\), got \(4,\)"),
            (np.ones((1, 1, 1, 4, 4)), r"got \(1, 1, 1, 4, 4\)"),
            (np.ones((0, 4, 4)), "weights is empty"),
            ([[1.0, 0.0], [1.0]], "weights must be an array of numbers"),
            ([["a", "b"]], "weights must be an array of numbers"),
            (np.full((4, 4), np.nan), "weights holds NaN"),
            (np.eye(4) * 2 - np.eye(4)[::-1], "weights must not be negative, got -1"),
            (np.full((4, 4), np.inf), "sums to inf"),
            (WEIGHTS * 0.9, r"row 0 of layer 0, head 0 .*sums to 0.9"),
            (WEIGHTS.sum(0), "sums to 2"),
            (np.full((129, 129), 1 / 129), "129 by 129 tokens, more than the 128"),
            (np.full((13, 128, 128), 1 / 128), r"212,992 numbers, more than the 200,000"),
        ],
    )
    def test_weights(self, weights, message):
        with pytest.raises(ValueError, match=message):
            attention_explorer(weights, TOKENS)

    def test_half_precision_is_near_enough_to_one(self):
        row = np.full(96, 1 / 96).astype(np.float16)
        assert abs(row.astype(float).sum() - 1) > 1e-5
        attention_explorer(np.stack([row] * 96), ["a"] * 96)

    def test_tokens(self):
        with pytest.raises(ValueError, match=r"tokens has 3 tokens, but weights of shape .* wants 4"):
            attention_explorer(WEIGHTS, TOKENS[:3])
        with pytest.raises(ValueError, match=r"key_tokens has 1 tokens, but weights of shape .* wants 2"):
            attention_explorer([[0.5, 0.5]], ["a"], key_tokens=["b"])
        with pytest.raises(TypeError, match="tokens must be strings, got int: decode the ids first"):
            attention_explorer(np.eye(2), [101, 102])


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


# As sphinx-book-theme and JupyterLab set them.
THEMES = {
    "light": ("<html lang=en data-theme=light>", "<body>"),
    "dark": (
        "<html lang=en data-theme=dark style='background: #121212; color: #ced6dd; "
        "--pst-color-text-base: #ced6dd; --pst-color-text-muted: #9ca4af; --pst-color-background: #121212'>",
        "<body>",
    ),
    "lab-dark": (
        "<html lang=en>",
        "<body data-jp-theme-light=false style='background: #111; color: #fff; --jp-layout-color0: #111; "
        "--jp-content-font-color1: #fff; --jp-content-font-color2: rgba(255, 255, 255, 0.7)'>",
    ),
}


@pytest.fixture
def open_page(browser):
    """A function that opens explorers on one page; the page must stay silent and ask for nothing."""
    heard, contexts = [], []

    def open_page(*explorers, theme="light", width=900, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url))
        html, body = THEMES[theme]
        outputs = "".join(f"<div>{explorer.html}</div>" for explorer in explorers)
        page.set_content(
            f"<!doctype html>{html}<meta charset=utf-8><title>Test</title>{body}"
            f"<main><h1>Test</h1>{outputs}</main>"
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert heard == []


def parts(page, k=0):
    """The k-th explorer's box, its status line and a function that finds a query by its place."""
    box = page.locator(".lmprep-attention").nth(k)
    return box, box.get_by_role("status"), box.get_by_role("option")


class TestInTheBrowser:
    def test_two_explorers_and_a_copy_do_not_meet(self, open_page):
        explorer = attention_explorer(WEIGHTS, TOKENS, title="One")
        page = open_page(explorer, attention_explorer(WEIGHTS[0, 0], TOKENS, title="Two"), explorer)
        first, status, options = parts(page)
        assert status.text_content() == "Layer 1, head 1: all tokens; choose one to read its weights"

        options.nth(2).focus()
        assert status.text_content() == (
            "Layer 1, head 1: “␣sat” attends to “The [1]” 0.25, “␣cat” 0.25, “␣sat” 0.25, others 0.25"
        )
        first.get_by_role("radiogroup", name="Head").get_by_role("radio", name="2").check()
        assert status.text_content() == "Layer 1, head 2: “␣sat” attends to “␣cat” 1.00"
        first.get_by_role("radiogroup", name="Layer").get_by_role("radio", name="2").check()
        assert status.text_content() == "Layer 2, head 2: “␣sat” attends to “The [1]” 1.00"
        assert options.nth(2).get_attribute("aria-selected") == "true"

        second, second_status, second_options = parts(page, 1)
        assert second.get_by_role("radio").count() == 0
        assert second_status.text_content() == "All tokens; choose one to read its weights"
        second_options.first.click()
        assert second_status.text_content().startswith("“The [1]” attends to")

        copy, copy_status, _ = parts(page, 2)
        assert copy_status.text_content() == "Layer 1, head 1: all tokens; choose one to read its weights"
        copy.get_by_role("radiogroup", name="Head").get_by_role("radio", name="2").check()
        assert first.get_by_role("radiogroup", name="Layer").get_by_role("radio", name="2").is_checked()
        assert "Layer 2, head 2" in status.text_content()

    def test_a_later_output_leaves_earlier_ones_as_they_are(self, open_page):
        explorer = attention_explorer(WEIGHTS[1, 0], TOKENS)
        page = open_page(explorer)
        parts(page)[2].nth(1).focus()
        page.evaluate(  # as JupyterLab inserts an output: the HTML first, then its scripts anew
            """html => {
                const output = document.createElement("div");
                output.innerHTML = html;
                for (const old of output.querySelectorAll("script")) {
                    const script = document.createElement("script");
                    for (const { name, value } of old.attributes) script.setAttribute(name, value);
                    script.textContent = old.textContent;
                    old.replaceWith(script);
                }
                document.querySelector("main").append(output);
            }""",
            explorer.html,
        )
        assert parts(page)[1].text_content().startswith("“␣cat” attends to")
        assert "choose one" in parts(page, 1)[1].text_content()
        assert page.get_by_role("option").count() == 8

    def test_keyboard_alone(self, open_page):
        page = open_page(attention_explorer(WEIGHTS, TOKENS))
        _, status, options = parts(page)
        for _ in range(3):  # the two radio groups, then the list
            page.keyboard.press("Tab")
        said = []
        for key in (
            "ArrowDown",
            "End",
            "ArrowDown",
            "ArrowUp",
            "Home",
            "ArrowRight",
            "ArrowRight",
            "ArrowLeft",
        ):
            page.keyboard.press(key)
            said.append(re.match(r"Layer 1, head (\d): “(.+?)”", status.text_content()).groups())
        assert said == [
            ("1", "␣cat"),
            ("1", "The [4]"),
            ("1", "The [4]"),
            ("1", "␣sat"),
            ("1", "The [1]"),
            ("2", "The [1]"),
            ("2", "The [1]"),
            ("1", "The [1]"),
        ]
        page.keyboard.press("Escape")
        assert "all tokens" in status.text_content()
        assert [options.nth(i).get_attribute("tabindex") for i in range(4)] == ["0", "-1", "-1", "-1"]

    def test_pointing_previews_and_clicking_again_lets_go(self, open_page):
        page = open_page(attention_explorer(WEIGHTS[1, 0], TOKENS))
        box, status, options = parts(page)
        options.nth(1).hover()
        assert status.text_content() == "“␣cat” attends to “␣cat” 0.70, “␣sat” 0.30"
        assert [n for n in box.locator(".lmprep-attention-weight").all_text_contents() if n] == [
            "0.70",
            "0.30",
        ]
        assert box.locator("path").count() == 2
        page.mouse.move(0, 0)
        assert "choose one" in status.text_content().lower()
        options.nth(2).click()
        options.nth(1).hover()
        page.mouse.move(0, 0)
        assert status.text_content().startswith("“␣sat”")
        options.nth(2).click()
        assert "choose one" in status.text_content()

    def test_masked_row(self, open_page):
        page = open_page(attention_explorer([[0.0, 0.0], [0.4, 0.6]], ["pad", "a"]))
        box, status, options = parts(page)
        options.first.focus()
        assert status.text_content() == "“pad” attends to nothing: its row is masked"
        assert box.locator("path").count() == 0

    def test_hostile_tokens_stay_text(self, open_page):
        size = len(HOSTILE)
        page = open_page(attention_explorer(np.eye(size), HOSTILE, title=HOSTILE[2]))
        box, status, options = parts(page)
        shown = [*HOSTILE[:-1], "⏎"]
        assert options.all_text_contents() == shown
        for i in range(size):
            options.nth(i).focus()
            assert status.text_content() == f"“{shown[i]}” attends to “{shown[i]}” 1.00"
        assert box.locator("b, img").count() == 0
        assert page.evaluate("window.hacked") is None

    def test_without_scripts_the_text_is_there(self, open_page):
        page = open_page(attention_explorer(WEIGHTS, TOKENS), java_script_enabled=False)
        box, _, _ = parts(page)
        assert box.get_by_text("“␣cat” → “The [1]” 0.25").is_visible()

    def test_a_phone_does_not_scroll_sideways(self, open_page):
        size = 100
        weights = np.full((2, 9, size, size), 1 / size)
        long = attention_explorer(weights, [f"quite a long token {i}" for i in range(size)], title="Long")
        page = open_page(long, width=390)
        _, _, options = parts(page)
        options.nth(size - 1).focus()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        stage = page.locator(".lmprep-attention-stage")
        assert (
            stage.evaluate("node => node.clientHeight") <= 600 < stage.evaluate("node => node.scrollHeight")
        )

    @pytest.mark.parametrize("theme", THEMES)
    def test_no_serious_fault_of_accessibility(self, open_page, theme):
        from axe_playwright_python.sync_playwright import Axe

        page = open_page(attention_explorer(WEIGHTS, TOKENS, alt="Examples."), theme=theme)
        for chosen in (False, True):
            if chosen:
                parts(page)[2].nth(2).focus()
            found = Axe().run(page).response
            faults = [f["id"] for f in found["violations"] if f["impact"] in ("serious", "critical")]
            assert faults == [] and len(found["passes"]) > 10

    @pytest.mark.parametrize("theme", THEMES)
    def test_a_fully_shaded_key_is_legible(self, open_page, theme):
        """Axe cannot see through the shade, so its contrast is read off a picture. WCAG wants 4.5 : 1."""
        page = open_page(attention_explorer([[1.0]], ["█"]), theme=theme)  # one solid block of ink
        _, _, options = parts(page)
        options.first.focus()
        key = page.locator(".lmprep-attention-tokens:not([role]) > li")
        image = imread(io.BytesIO(key.screenshot()))[..., :3]
        linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        row = luminance[image.shape[0] // 2]
        ink, shade = np.median(row[8:12]), np.median(row[-6:-2])
        assert (max(ink, shade) + 0.05) / (min(ink, shade) + 0.05) >= 4.5
