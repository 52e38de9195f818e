// The playground: an editor, the compiler in one worker, what takes long in another.
import { Compiler, Stopped } from "./compiler.js";
import { Editor } from "./editor.js";
import { Exponents } from "./exponents.js";
import { keep, kept } from "./kept.js";
import { adorned } from "./laws.js";
import { marked } from "./lines.js";
import { PlaneView } from "./plane.js";
import { asked, packed } from "./share.js";
import { Tabs } from "./tabs.js";

const FIRST = "gpt";
const PAUSE = 600; // ms without a key before a search begins
const OWN = "your text";
const EMBEDDED = new URLSearchParams(location.search).has("embed");
const WORKER = new URL("worker.js", import.meta.url);
const $ = (id) => document.getElementById(id);

const state = { version: 0, known: -1, file: "spec.param", waiting: [], reply: null };
const begun = performance.now();

// The text and what is known of it

const compiler = new Compiler(WORKER, ({ state: what, reason, remembered }) => {
  if (what === "failed") return told(`The compiler did not start: ${reason}`, "bad");
  if (what === "broken") return told(`The compiler ended, and starts again with the next key: ${reason}`, "bad");
  document.documentElement.dataset.remembered = remembered;
});

let second = null; // for what takes long
const slow = () => (second ??= new Compiler(WORKER, () => {}));

const editor = new Editor($("editor"), { ask: fresh, changed: edited, refused, moved: (line) => marked($("panel"), line) });
const tabs = new Tabs($("tabs"), $("panel"), [
  ["laws", "Laws"], ["graph", "Graph"], ["exponents", "Exponents"], ["plane", "Plane"],
  ["derivation", "Derivation"], ["code", "PyTorch"],
], opened);
const request = () => ({ text: editor.text, file: state.file });
const tools = { fresh, revised, request, work, told, isCurrent: () => state.known === state.version };
const exponents = new Exponents(tools);
const plane = new PlaneView(tools);

function edited() {
  state.version++;
  $("example").value = state.example?.text === editor.text ? state.example.name : "";
  document.documentElement.dataset.settled = false;
  if (!EMBEDDED && editor.text !== state.given) {
    clearTimeout(state.keeping);
    state.keeping = setTimeout(keepText, PAUSE);
  }
  analyse();
}

/** Keeps the text, unless nothing of it is the reader's own. */
function keepText() {
  if (editor.text !== state.given) keep({ file: state.file, fragment: location.hash, editor: editor.kept });
}

/** Analyses the text as it is, once for all edits that come while the last one is analysed. */
async function analyse() {
  if (state.analysing) return;
  state.analysing = true;
  try {
    while (state.known !== state.version) {
      const version = state.version;
      const begun = performance.now();
      const reply = await compiler.ask("analyse", { ...request(), panel: tabs.open });
      state.known = version;
      state.reply = reply;
      if (version === state.version) show(reply, performance.now() - begun);
    }
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
  } finally {
    state.analysing = false;
    state.waiting.splice(0).forEach((go) => go());
  }
}

/** Waits until the text as it is has been analysed. */
async function known() {
  while (state.known !== state.version) await new Promise((go) => state.waiting.push(go));
}

/** A question about the text as it is. */
async function fresh(what, more) {
  await known();
  return compiler.ask(what, more);
}

/** Asks for another text, and writes it unless it has been edited meanwhile. */
async function revised(what, more) {
  await known();
  const { version } = state;
  const reply = await compiler.ask(what, { ...request(), ...more });
  if (version === state.version && reply.text) editor.write(reply.text);
  refused(reply);
  return reply;
}

function show(reply, took) {
  document.documentElement.dataset.first ??= Math.round(performance.now() - begun);
  document.documentElement.dataset.edit = Math.round(took);
  if (refused(reply)) return;
  judged(reply);
  editor.show(reply);
  document.documentElement.dataset.settled = true;
  if (state.said !== state.version) told(`${Math.round(reply.took)} ms`);
  panelled(reply.panel);
  clearTimeout(state.timer);
  if (reply.open) state.timer = setTimeout(search, PAUSE);
}

function judged({ model, verdict, tone, expected }) {
  const pill = $("verdict");
  $("model").textContent = model ?? "…";
  const words = verdict ?? (tone === "symbols" ? "depends on symbols" : "invalid");
  pill.textContent = verdict && expected !== verdict && tone === "bad" ? `${words} (expected ${expected})` : words;
  pill.className = `verdict ${{ invalid: "bad", symbols: "open" }[tone] ?? tone}`;
  document.documentElement.dataset.verdict = verdict ?? tone;
  document.title = `${model ?? "abcparam"}: ${words}`;
}

/** What takes a search: the way out, and what holds for symbols. */
async function search() {
  const version = state.version;
  const reply = await work("looking for a way out", "search", { ...request(), panel: tabs.open }, true);
  if (!reply || version !== state.version || refused(reply)) return;
  state.searched = { version, panel: tabs.open, reply };
  if (reply.verdict) judged(reply);
  editor.say(reply.diagnostics, reply.fixes);
  if (tabs.open === state.searched.panel) panelled(reply.panel);
}

// What takes long

/** Asks the second worker; nothing where it was stopped. */
async function work(what, kind, more, quiet = false) {
  const begun = performance.now();
  $("stop").hidden = false;
  told(`${what} …`);
  try {
    const reply = await slow().ask(kind, more);
    const seconds = (performance.now() - begun) / 1000;
    told(quiet ? "" : `${what}: ${seconds < 1 ? "done" : `${seconds.toFixed(1)} s`}`);
    return reply;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    told("stopped");
    return null;
  } finally {
    $("stop").hidden = !second?.busy;
  }
}

async function rewritten(what, kind) {
  const before = editor.text;
  const reply = await work(what, kind, request());
  if (!reply) return;
  if (editor.text !== before) {
    if (reply.text !== editor.text) told(`${what}: the text has changed meanwhile`, "open");
    return;
  }
  if (reply.text && reply.text !== before) editor.write(reply.text);
  if (refused(reply)) return;
  if (reply.comments?.length) return told(`comments that may now be false: ${reply.comments.join("; ")}`, "open");
  if (reply.text === before) told("nothing to change");
}

async function derive() {
  tabs.select("derivation");
  $("panel").innerHTML = "";
  const asked = request();
  const reply = await work("deriving", "derive", asked);
  if (!reply) return;
  state.derivation = { text: asked.text, panel: reply.panel ?? problem(reply.problem) };
  if (tabs.open === "derivation") panelled(reply.panel);
  refused(reply);
}

/** What went wrong, as a panel. */
const problem = (text) => Object.assign(document.createElement("pre"), { textContent: text }).outerHTML;

// Panels

function opened(name) {
  if (name === "derivation") {
    if (state.derivation?.text === editor.text) panelled(state.derivation.panel);
    else derive();
    return;
  }
  const { searched } = state;
  if (searched?.version === state.version && searched.panel === name) panelled(searched.reply.panel);
  else if (name === "exponents" || name === "plane") panelled("");
  else fresh("panel", { panel: name }).then(({ panel }) => tabs.open === name && panelled(panel ?? ""));
}

function panelled(html) {
  const { open } = tabs;
  if (open === "exponents") return exponents.show($("panel"), state.reply);
  if (open === "plane") return plane.show($("panel"));
  if (open === "derivation") {
    if (state.derivation?.text !== editor.text) {
      $("panel").innerHTML = '<p class="soft">The text has changed. <button id="again">Derive again</button></p>';
      $("again").onclick = derive;
      return;
    }
    html = state.derivation.panel;
  }
  $("panel").innerHTML = html;
  adorned($("panel"));
  marked($("panel"), editor.line, state.shown !== open);
  state.shown = open;
}

$("panel").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  const target = link?.getAttribute("href") ?? "";
  const line = /^#spec-L(\d+)$/.exec(target);
  if (line) editor.goto(Number(line[1]));
  if (target.startsWith("#")) event.preventDefault();
  if (target.startsWith("#spec-why")) $(target.slice(1))?.scrollIntoView({ block: "center" });
});

/** What a row of the emitted module is made from is pointed at. */
$("panel").addEventListener("mouseover", (event) => {
  const row = event.target.closest(".row[data-from]");
  const line = Number(row?.dataset.from ?? 0);
  if (line === (state.pointed ?? 0)) return;
  state.pointed = line;
  editor.point(line);
});
$("panel").addEventListener("mouseleave", () => editor.point((state.pointed = 0)));

// The header

/** Says something; what has a tone stays until the text is another. */
function told(text, tone = "") {
  state.said = tone ? state.version : null;
  $("status").textContent = text;
  $("status").className = tone;
}

/** Says what the compiler would not do, and whether there was such. */
function refused({ problem }) {
  if (problem) told(problem.split("\n")[0], "bad");
  return Boolean(problem);
}

/** What an address says of the text: the name of an example, or all of it. */
async function named() {
  const { example } = state;
  return example?.text === editor.text ? `example=${example.name}` : `spec=${await packed(editor.text)}`;
}

/** The whole playground with the text, from a page that shows a part of it. */
async function whole() {
  const address = new URL(location.pathname, location.href);
  address.hash = await named();
  window.open(address, "_blank", "noopener");
}

async function share() {
  const address = new URL(location.href);
  address.hash = await named();
  history.replaceState(null, "", address);
  try {
    await navigator.clipboard.writeText(address.href);
    told("a link to this text is in the clipboard");
  } catch {
    told("the address of this page holds the text now");
  }
}

$("fix").onclick = () => rewritten("fixing", "fix");
$("solve").onclick = () => rewritten("solving", "solve");
$("derive").onclick = derive;
$("share").onclick = share;
$("whole").onclick = whole;
$("stop").onclick = () => second?.stop();
$("format").onclick = () => revised("format");

// Examples

/** The text that was worked on before the page was left, and what can be undone of it. */
function restored({ file, editor: before }) {
  state.file = file;
  editor.take(before);
  edited();
  told("your text from before; Ctrl+Z goes further back", "soft");
}

/** Whether the page is shown once more, rather than come to by a link; asked once. */
function again() {
  const [{ type } = {}] = state.visited ? [] : performance.getEntriesByType("navigation");
  state.visited = true;
  return type === "reload" || type === "back_forward";
}

document.documentElement.classList.toggle("embedded", EMBEDDED);

async function begin() {
  const { examples } = await (await fetch(new URL("examples.json", import.meta.url))).json();
  const groups = { examples: "examples", "examples/wrong": "with a mistake" };
  const select = $("example");
  select.append(new Option(OWN, ""));
  for (const [folder, label] of Object.entries(groups)) {
    const group = Object.assign(document.createElement("optgroup"), { label });
    for (const { name } of examples.filter((one) => one.folder === folder))
      group.append(new Option(name.replaceAll("_", " "), name));
    select.append(group);
  }
  const write = (text) => {
    state.given = text;
    editor.write(text);
  };
  const load = (name) => {
    const found = examples.find((one) => one.name === name);
    if (!found) return false;
    state.file = `${name}.param`;
    state.example = found;
    write(found.text);
    select.value = name;
    return true;
  };
  select.onchange = () => {
    if (load(select.value)) history.replaceState(null, "", `#example=${select.value}`);
  };
  const visit = async () => {
    const wanted = await asked(location.hash);
    const before = EMBEDDED ? null : kept();
    if (before && (!location.hash || (again() && before.fragment === location.hash))) restored(before);
    else if (wanted.text === undefined) load(wanted.example) || load(FIRST);
    else {
      state.file = "spec.param";
      write(wanted.text);
    }
    if (wanted.broken) told("the link does not hold a text", "bad");
    else if (wanted.example && state.example?.name !== wanted.example) told("there is no example of that name", "bad");
  };
  addEventListener("hashchange", visit);
  await visit();
}

begin();
