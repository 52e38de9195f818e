// Search in the documentation: an index that was made with it, fetched when it is first asked for.
import MiniSearch from "minisearch";
import { options } from "./search.js";

const root = document.body.dataset.root;
const field = document.getElementById("search");
const list = document.getElementById("found");
const MOST = 12;
let index = null;
let chosen = -1;

const loaded = () =>
  (index ??= fetch(`${root}assets/search.json`)
    .then((answer) => answer.text())
    .then((text) => MiniSearch.loadJSON(text, options)));

function excerpt(text, terms) {
  const lower = text.toLowerCase();
  const at = Math.max(0, Math.min(...terms.map((term) => lower.indexOf(term)).filter((n) => n >= 0), text.length) - 40);
  return (at > 0 ? "… " : "") + text.slice(at, at + 130) + (at + 130 < text.length ? " …" : "");
}

function item(found, number) {
  const made = document.createElement("li");
  made.id = `found-${number}`;
  made.setAttribute("role", "option");
  const link = Object.assign(document.createElement("a"), { href: root + found.address, tabIndex: -1 });
  link.append(Object.assign(document.createElement("b"), { textContent: found.title }));
  link.append(Object.assign(document.createElement("small"), { textContent: found.page }));
  link.append(excerpt(found.text, found.terms));
  link.onclick = close;
  made.append(link);
  return made;
}

async function search() {
  const asked = field.value.trim();
  if (!asked) return close();
  const found = (await loaded()).search(asked).slice(0, MOST);
  if (field.value.trim() !== asked) return;
  list.replaceChildren(...found.map(item));
  if (!found.length) list.append(Object.assign(document.createElement("p"), { textContent: "nothing was found" }));
  list.hidden = false;
  field.setAttribute("aria-expanded", "true");
  choose(found.length ? 0 : -1);
}

function choose(number) {
  chosen = number;
  [...list.children].forEach((made, at) => made.setAttribute("aria-selected", at === number));
  if (number < 0) field.removeAttribute("aria-activedescendant");
  else {
    field.setAttribute("aria-activedescendant", `found-${number}`);
    list.children[number].scrollIntoView({ block: "nearest" });
  }
}

function close() {
  list.hidden = true;
  field.setAttribute("aria-expanded", "false");
  choose(-1);
}

field.addEventListener("input", search);
field.addEventListener("focus", loaded);
field.addEventListener("keydown", (event) => {
  const count = list.querySelectorAll("li").length;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && count) choose((chosen + step + count) % count);
  else if (event.key === "Enter" && chosen >= 0) list.children[chosen].firstChild.click();
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
});
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea, [contenteditable]")) return;
  field.focus();
  event.preventDefault();
});
addEventListener("click", (event) => event.target.closest("search") || close());
if (matchMedia("(max-width: 48rem)").matches) document.getElementById("pages").open = false;
