// Brings the attention explorers of a page to life. Every explorer carries this script, and the script takes
// up all boxes that are still text, so neither their order nor a second copy of an output matters. It needs no
// ids, and what it makes is built from text nodes alone: no token is ever read as HTML.
(() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const PREFIX = "lmprep-attention";
  const FAINTEST = 10; // thousandths: weaker links are not drawn, and 0.00 is not written

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function path(d, width, opacity) {
    const node = document.createElementNS(SVG, "path");
    node.setAttribute("d", d);
    node.setAttribute("stroke-width", width);
    node.setAttribute("stroke-opacity", opacity);
    return node;
  }

  // From query i to key j, rows of height 1, in a view box 100 wide.
  function curve(i, j) {
    return `M0 ${i + 0.5}C50 ${i + 0.5} 50 ${j + 0.5} 100 ${j + 0.5}`;
  }

  function decimal(thousandths) {
    return (thousandths / 1000).toFixed(2);
  }

  // "attends to “cat” 0.62, “sat” 0.20, others 0.18"
  function sentence(row, keys) {
    const order = row.map((_, j) => j).sort((a, b) => row[b] - row[a] || a - b);
    if (row[order[0]] === 0) return "attends to nothing: its row is masked";
    const named = order.slice(0, 3).filter((j, place) => place === 0 || row[j] >= 50);
    const parts = named.map((j) => `“${keys[j]}” ${decimal(row[j])}`);
    const others = 1000 - named.reduce((sum, j) => sum + row[j], 0);
    if (others >= FAINTEST) parts.push(`others ${decimal(others)}`);
    return `attends to ${parts.join(", ")}`;
  }

  // A row of numbered radio buttons; `choose(k)` is called with the one chosen.
  function choice(label, count, choose) {
    window.lmprepChoices = (window.lmprepChoices || 0) + 1;
    const name = `lmprep-choice-${window.lmprepChoices}`;
    const inputs = Array.from({ length: count }, (_, k) => {
      const input = make("input", { type: "radio", name });
      input.checked = k === 0;
      input.addEventListener("change", () => choose(k));
      return input;
    });
    const buttons = inputs.map((input, k) => make("label", {}, input, make("span", {}, String(k + 1))));
    const node = make(
      "div",
      { class: `${PREFIX}-choice`, role: "radiogroup", "aria-label": label },
      make("span", { "aria-hidden": "true" }, label),
      make("div", {}, ...buttons),
    );
    return { node, inputs };
  }

  function token(text, attributes) {
    return make("li", attributes, make("span", { class: `${PREFIX}-token`, dir: "auto", title: text }, text));
  }

  function build(box) {
    const { weights, queries, keys, queryTokens, keyTokens } = JSON.parse(
      box.querySelector("script[type='application/json']").textContent,
    );
    const layers = weights.length;
    const heads = weights[0].length;
    const rows = Math.max(queries.length, keys.length);
    let layer = 0;
    let head = 0;
    let selected = -1;
    let hovered = -1;
    let pressedAgain = false;

    const status = make("p", { class: `${PREFIX}-status`, role: "status" });
    const options = queryTokens.map((text, i) =>
      token(text, {
        role: "option",
        tabindex: i === 0 ? "0" : "-1",
        "aria-selected": "false",
        "aria-label": `${text}, ${i + 1} of ${queries.length}`,
      }),
    );
    const list = make(
      "ul",
      { class: `${PREFIX}-tokens`, role: "listbox", "aria-label": "Queries: which token attends" },
      ...options,
    );
    const numbers = keys.map(() => make("span", { class: `${PREFIX}-weight`, "aria-hidden": "true" }));
    const targets = keyTokens.map((text) => token(text, {}));
    targets.forEach((target, j) => target.append(numbers[j]));
    const lines = document.createElementNS(SVG, "svg");
    lines.setAttribute("viewBox", `0 0 100 ${rows}`);
    lines.setAttribute("preserveAspectRatio", "none");
    lines.setAttribute("aria-hidden", "true");
    lines.style.height = `calc(${rows} * var(--row))`;

    function drawAll(matrix) {
      const strengths = Array.from({ length: 11 }, () => "");
      matrix.forEach((row, i) =>
        row.forEach((weight, j) => {
          if (weight >= FAINTEST) strengths[Math.round(weight / 100)] += curve(i, j);
        }),
      );
      lines.replaceChildren(
        ...strengths.flatMap((d, k) => (d ? [path(d, 1.25, Math.max(0.07, 0.09 * k).toFixed(2))] : [])),
      );
    }

    function drawOne(row, i) {
      lines.replaceChildren(
        ...row.flatMap((weight, j) =>
          weight >= FAINTEST
            ? [path(curve(i, j), (1 + weight / 250).toFixed(2), (0.25 + 0.00075 * weight).toFixed(2))]
            : [],
        ),
      );
    }

    function draw() {
      const matrix = weights[layer][head];
      const active = hovered >= 0 ? hovered : selected;
      const row = active >= 0 ? matrix[active] : null;
      if (row) drawOne(row, active);
      else drawAll(matrix);
      options.forEach((option, i) => {
        option.classList.toggle(`${PREFIX}-active`, i === active);
        option.setAttribute("aria-selected", String(i === selected));
      });
      targets.forEach((target, j) => {
        target.style.setProperty("--weight", row ? row[j] / 1000 : 0);
        numbers[j].textContent = row && row[j] >= FAINTEST ? decimal(row[j]) : "";
      });
      const place = [layers > 1 ? `layer ${layer + 1}` : "", heads > 1 ? `head ${head + 1}` : ""].filter(Boolean);
      const what = row ? `“${queries[active]}” ${sentence(row, keys)}` : "all tokens; choose one to read its weights";
      const text = place.length ? `${place.join(", ")}: ${what}` : what;
      status.textContent = text[0].toUpperCase() + text.slice(1);
    }

    function select(i) {
      selected = i;
      hovered = -1;
      options.forEach((option, k) => {
        option.tabIndex = k === Math.max(i, 0) ? 0 : -1;
      });
      draw();
    }

    const layerChoice = choice("Layer", layers, (k) => {
      layer = k;
      draw();
    });
    const headChoice = choice("Head", heads, (k) => {
      head = k;
      draw();
    });

    function moveHead(step) {
      head = Math.min(Math.max(head + step, 0), heads - 1);
      headChoice.inputs[head].checked = true;
      draw();
    }

    options.forEach((option, i) => {
      option.addEventListener("focus", () => select(i));
      option.addEventListener("pointerdown", () => {
        pressedAgain = selected === i; // asked before the focus that a press gives
      });
      option.addEventListener("click", () => {
        if (pressedAgain) select(-1);
      });
      option.addEventListener("pointerenter", (event) => {
        if (event.pointerType !== "mouse") return; // a finger selects
        hovered = i;
        draw();
      });
    });
    list.addEventListener("pointerleave", () => {
      hovered = -1;
      draw();
    });
    list.addEventListener("keydown", (event) => {
      const last = options.length - 1;
      const moves = {
        ArrowDown: () => options[Math.min(selected + 1, last)].focus(),
        ArrowUp: () => options[Math.max(selected - 1, 0)].focus(),
        Home: () => options[0].focus(),
        End: () => options[last].focus(),
        ArrowRight: () => moveHead(1),
        ArrowLeft: () => moveHead(-1),
        Escape: () => select(-1),
      };
      if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // JupyterLab would move to another cell
      moves[event.key]();
    });

    const choices = [layers > 1 ? layerChoice.node : "", heads > 1 ? headChoice.node : ""].filter(Boolean);
    const hint = [
      "Point at a query or select it; select it again to see all.",
      `Keys: ↑\u00a0↓\u00a0query,${heads > 1 ? " ←\u00a0→\u00a0head," : ""} Esc\u00a0all.`,
    ].join(" ");
    const columns = make(
      "div",
      { class: `${PREFIX}-columns` },
      make("div", { class: `${PREFIX}-heading`, "aria-hidden": "true" }, "query"),
      make("div", { class: `${PREFIX}-heading`, "aria-hidden": "true" }, "key"),
      list,
      lines,
      make("ul", { class: `${PREFIX}-tokens`, "aria-label": "Keys: what is attended to" }, ...targets),
    );
    box
      .querySelector(`.${PREFIX}-view`)
      .replaceChildren(
        ...choices,
        status,
        make("div", { class: `${PREFIX}-stage` }, columns),
        make("p", { class: `${PREFIX}-hint` }, hint),
      );
    draw();
  }

  for (const box of document.querySelectorAll(`.${PREFIX}`)) {
    if (box.lmprepAlive) continue;
    box.lmprepAlive = true; // a property, which a copy of the element does not inherit
    build(box);
  }
})();
