// Laws in tables as mathematics, and emitted code in colours.
import katex from "katex";
import { typeset } from "../shared/typeset.js";
import { python } from "../shared/python.js";
import { rows } from "./lines.js";

const HEADS = new Set(["W·x at init", "ΔW·x", "gradient", "at init", "change"]);
const LETTERS = new Set(["a", "b", "c"]);
const made = new Map();

export function mathematics(law) {
  if (!made.has(law)) {
    const tex = typeset(law);
    made.set(law, tex && katex.renderToString(tex, { throwOnError: false, output: "htmlAndMathml" }));
  }
  return made.get(law);
}

/** Typesets the laws of a panel, and colours its code. */
export function adorned(panel) {
  for (const table of panel.querySelectorAll("table:not(.spec)")) {
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
    for (const row of table.querySelectorAll("tbody tr"))
      [...row.children].forEach((cell, column) => {
        if (!HEADS.has(heads[column])) return;
        const law = mathematics(cell.textContent);
        if (law) cell.innerHTML = law;
      });
    heads.forEach((head, column) => {
      if (LETTERS.has(head)) table.querySelectorAll("thead th")[column].classList.add("letter");
    });
    for (const name of table.querySelectorAll("tbody :is(td:first-child a, th)")) breakable(name);
  }
  for (const item of panel.querySelectorAll("details li")) conditions(item);
  for (const code of panel.querySelectorAll("pre.python")) {
    const text = code.textContent;
    code.innerHTML = rows(python(text), code.dataset.lines ?? "");
    code.before(copier(text));
  }
}

/** Lets a name of many parts go over lines, after its dots. */
function breakable(name) {
  const parts = name.textContent.split(/(?<=\.)/);
  name.replaceChildren(...parts.flatMap((part, index) => (index ? [document.createElement("wbr"), part] : [part])));
}

/** Conditions on exponents: `b_hidden >= 1/2 or c_hidden = 1`. */
function conditions(item) {
  const parts = item.textContent.split(/ (and|or) /);
  const laws = parts.map((part, index) => (index % 2 ? ` ${part} ` : mathematics(part)));
  if (!laws.includes(null)) item.innerHTML = laws.join("");
}

function copier(text) {
  const button = Object.assign(document.createElement("button"), { textContent: "Copy", className: "copy" });
  button.onclick = async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  };
  return button;
}
