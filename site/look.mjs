// Looks at the built site in a browser, and prints what it saw as JSON:
//     node look.mjs CHROMIUM ADDRESS [FOLDER]
// FOLDER takes pictures of every page, at two widths, light and dark.
import path from "node:path";
import { chromium } from "playwright-core";

const [executablePath, address, pictures] = process.argv.slice(2);
const PATIENCE = 120_000;
const PLAYGROUND = "playground/index.html";
const DOCUMENTS = ["index.html", "docs/theory.html", "docs/language.html"];
const TABS = ["laws", "graph", "exponents", "plane", "derivation", "code"];
const WRONG = "standard_parametrization";
// CHROMIUM_OPTIONS: what a browser in a container may need.
const args = ["--no-sandbox", "--disable-gpu", ...(process.env.CHROMIUM_OPTIONS ?? "").split(" ").filter(Boolean)];

const seen = { away: [], errors: [] };
const browser = await chromium.launch({ executablePath, args, headless: true });

async function page(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const made = await context.newPage();
  made.setDefaultTimeout(PATIENCE);
  made.on("request", (request) => request.url().startsWith(address) || request.url().startsWith("data:") || seen.away.push(request.url()));
  made.on("pageerror", (error) => seen.errors.push(String(error)));
  made.on("console", (said) => said.type() === "error" && seen.errors.push(said.text()));
  return made;
}

const status = (shown) => shown.locator("#status").textContent();
const verdict = (shown) => shown.evaluate(() => document.documentElement.dataset.verdict);
const judged = (shown, known = "") =>
  shown.waitForFunction((before) => ![undefined, before].includes(document.documentElement.dataset.verdict), known);

/** Waits until the text as it is has been analysed. */
const settled = (shown) => shown.waitForFunction(() => document.documentElement.dataset.settled === "true");

async function started(shown, fragment) {
  await shown.goto(`${address}${PLAYGROUND}${fragment}`);
  await judged(shown);
}

async function examples(shown) {
  const names = await shown.locator("#example option").evaluateAll((all) => all.map(({ value }) => value).filter(Boolean));
  const found = {};
  for (const name of names) {
    await shown.locator("#example").selectOption(name);
    await settled(shown);
    found[name] = await verdict(shown);
  }
  return found;
}

/** Presses Tab until a place has the focus; whether it came to it. */
async function tabbed(shown, to) {
  for (let count = 0; count < 60; count++) {
    if (await shown.evaluate((selector) => document.activeElement?.closest(selector) !== null, to)) return true;
    await shown.keyboard.press("Tab");
  }
  return false;
}

/** Everything by keys: an example is chosen, edited, mended, and its graph looked at. */
async function byKeys(shown) {
  const found = {};
  await started(shown, "#example=mlp");
  found.select = await tabbed(shown, "#example");
  await shown.keyboard.type("standard");
  await shown.waitForFunction(() => document.documentElement.dataset.verdict === "unstable");
  found.fix = await tabbed(shown, "#fix");
  await shown.keyboard.press("Enter");
  await shown.waitForFunction(() => document.documentElement.dataset.verdict?.startsWith("maximal-update"));
  found.editor = await tabbed(shown, ".cm-content");
  await shown.keyboard.press("Control+z");
  await shown.waitForFunction(() => document.documentElement.dataset.verdict === "unstable");
  await shown.keyboard.press("F8");
  await shown.locator(".cm-diagnostic").first().waitFor();
  await shown.keyboard.press("Escape");
  await named(shown, found);
  await shown.keyboard.press("Control+End");
  await shown.keyboard.type("\ntens");
  await shown.keyboard.press("Control+Space");
  await shown.locator(".cm-tooltip-autocomplete li").first().waitFor();
  found.completion = await shown.locator(".cm-tooltip-autocomplete li").first().textContent();
  await shown.keyboard.press("Escape");
  for (let count = 0; count < 5; count++) await shown.keyboard.press("Backspace");
  await settled(shown);
  found.tabs = await tabbed(shown, "[role=tab]");
  await shown.keyboard.press("ArrowRight");
  await shown.locator("#panel svg.flow").waitFor();
  found.graph = await shown.locator("#tab-graph").getAttribute("aria-selected");
  await shown.keyboard.press("ArrowRight");
  await shown.locator(".slider input").first().waitFor();
  found.slider = await tabbed(shown, ".slider input");
  return found;
}

/** The definition of a name, and another name for it. */
async function named(shown, found) {
  const selected = () => shown.evaluate(() => getSelection().toString());
  await shown.keyboard.press("Control+f");
  await shown.keyboard.type("attention(query");
  await shown.keyboard.press("Enter");
  await shown.keyboard.press("Escape");
  await shown.keyboard.press("F12");
  await shown.waitForFunction(() => getSelection().toString() === "query");
  found.definition = await selected();
  await shown.keyboard.press("F2");
  await shown.locator(".cm-dialog input").waitFor();
  await shown.keyboard.type("q");
  await shown.keyboard.press("Enter");
  await shown.waitForFunction(() => document.querySelector(".cm-content").textContent.includes("attention(q @ x"));
  await shown.keyboard.press("F12");
  await shown.waitForFunction(() => getSelection().toString() === "q");
  found.name = await selected();
  await settled(shown);
}

async function stopped(shown) {
  await started(shown, "#example=mixtral");
  await shown.locator("#derive").click();
  await shown.locator("#stop").click();
  await shown.waitForFunction(() => document.getElementById("stop").hidden);
  const said = await status(shown);
  await shown.locator("#example").selectOption("mlp");
  await settled(shown);
  return { said, then: await verdict(shown) };
}

async function shared(shown) {
  await shown.goto("about:blank");
  await started(shown, `#example=${WRONG}`);
  await shown.evaluate(() => history.replaceState(null, "", "#"));
  await shown.locator("#share").click();
  await shown.waitForFunction(() => location.hash.startsWith("#example="));
  const example = new URL(shown.url()).hash;
  await written(shown, "\n# mine");
  await shown.locator("#share").click();
  await shown.waitForFunction(() => location.hash.startsWith("#spec="));
  const [link, text] = [shown.url(), await shown.locator(".cm-content").innerText()];
  await shown.goto("about:blank");
  await shown.goto(link);
  await judged(shown);
  const same = (await shown.locator(".cm-content").innerText()) === text;
  await shown.goto(`${address}index.html`);
  await shown.locator(".block .try").first().click();
  await judged(shown);
  return { same, example, length: new URL(link).hash.length, document: await verdict(shown) };
}

/** Types at the end of the text. */
async function written(shown, text) {
  await shown.locator(".cm-content").click();
  await shown.keyboard.press("Control+End");
  await shown.keyboard.type(text);
  await settled(shown);
}

const text = (shown) => shown.locator(".cm-content").innerText();

/** The emitted module beside the text: a link leads to its line, a line marks its rows. */
async function linked(shown) {
  const active = () => shown.locator(".cm-activeLine").innerText();
  await shown.goto("about:blank");
  await started(shown, "#example=mlp");
  await shown.locator("#tab-code").click();
  await shown.locator("#panel .row").first().waitFor();
  const link = shown.locator("#panel .row a.from").filter({ hasText: /^10$/ }).first();
  const code = await link.locator("xpath=..").innerText();
  await link.hover();
  const pointed = await shown.locator(".cm-line.pointed").innerText();
  await link.click();
  await shown.locator("#panel .row.here").first().waitFor();
  const found = { code, pointed, line: await active(), rows: await shown.locator("#panel .row.here").count() };
  await shown.keyboard.press("ArrowDown");
  await shown.waitForFunction(() => document.querySelector("#panel .row.here")?.dataset.from === "11");
  const next = await shown.locator("#panel .row.here").first().innerText();
  if (pictures) await shown.screenshot({ path: path.join(pictures, "playground-linked.png") });
  await shown.locator("#tab-laws").click();
  return { ...found, next };
}

/** What was typed is there after the page was left, and can be undone. */
async function remembered() {
  const shown = await page();
  await started(shown, "#example=mlp");
  await written(shown, "\n# mine");
  await shown.waitForFunction(() => localStorage.length > 0);
  await shown.reload();
  await judged(shown);
  const reloaded = (await text(shown)).includes("# mine");
  await shown.goto("about:blank");
  await started(shown, "#example=mlp");
  const fresh = !(await text(shown)).includes("# mine");
  await shown.goto("about:blank");
  await started(shown, "");
  const left = (await text(shown)).includes("# mine");
  await shown.locator(".cm-content").click();
  await shown.keyboard.press("Control+z");
  await settled(shown);
  const undone = !(await text(shown)).includes("# mine");
  await shown.context().close();
  return { reloaded, fresh, left, undone };
}

/** A part of another page: the text and what there is to say, and a way to the whole. */
async function embedded() {
  const shown = await page({ viewport: { width: 700, height: 420 } });
  await shown.goto(`${address}${PLAYGROUND}?embed#example=mlp`);
  await judged(shown);
  const hidden = await shown.locator("header .pick, header .buttons, footer .keys").evaluateAll((all) => all.every((one) => !one.checkVisibility()));
  const beyond = await shown.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (pictures) await shown.screenshot({ path: path.join(pictures, "playground-embedded.png") });
  const opening = shown.context().waitForEvent("page");
  await shown.locator("#whole").click();
  const { pathname, search, hash } = new URL((await opening).url());
  await shown.context().close();
  return { hidden, beyond, opened: [pathname.endsWith(PLAYGROUND), search, hash] };
}

/** Texts whose colour is too near to what is behind it. */
function pale() {
  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const opaque = (colour) => colour !== "transparent" && (channels(colour)[3] ?? 1) > 0.95;
  const light = (colour) => {
    const scale = colour.startsWith("color(") ? 1 : 255;
    const [r, g, b] = channels(colour.replace(/^color\(srgb/, "")).map((x) => x / scale)
      .map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const ground = getComputedStyle(at).backgroundColor;
      if (opaque(ground)) return ground;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(20, 23, 27)" : "rgb(255, 255, 255)";
  };
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("svg, script, style, .unseen, .katex-mathml, option")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(style.color), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5))
      found.set(`${element.tagName} .${element.className} ${style.color} on ${behind(element)}`, ratio.toFixed(2));
  }
  return [...found].map(([what, ratio]) => `${what}: ${ratio}`);
}

async function contrast() {
  const found = {};
  for (const colorScheme of ["light", "dark"]) {
    const shown = await page({ colorScheme });
    for (const file of DOCUMENTS) {
      await shown.goto(address + file);
      found[`${file} ${colorScheme}`] = await shown.evaluate(pale);
    }
    await shown.evaluate(() => document.body.insertAdjacentHTML("beforeend", '<p class="control" style="color: var(--line)">pale</p>'));
    seen.control = (await shown.evaluate(pale)).length;
    await started(shown, `#example=${WRONG}`);
    for (const tab of TABS) {
      await shown.locator(`#tab-${tab}`).click();
      await filled(shown, tab);
      found[`${tab} ${colorScheme}`] = await shown.evaluate(pale);
      if (pictures) await shown.screenshot({ path: path.join(pictures, `playground-${tab}-1280-${colorScheme}.png`) });
    }
    await shown.context().close();
  }
  return found;
}

const filled = (shown, tab) =>
  shown.locator({ plane: "#panel svg.plane", exponents: "#panel .slider", graph: "#panel svg.flow", code: "#panel pre.python", derivation: "#panel table", laws: "#panel table" }[tab]).first().waitFor();

/** A window of 1280 pixels at 200 %, and a telephone: what is wider than the window. */
async function narrow() {
  const found = {};
  for (const [name, options] of Object.entries({
    zoomed: { viewport: { width: 640, height: 430 }, deviceScaleFactor: 2 },
    telephone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
  })) {
    const shown = await page(options);
    const beyond = () => shown.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    for (const file of DOCUMENTS) {
      await shown.goto(address + file);
      found[`${name} ${file}`] = await beyond();
      if (pictures) await shown.screenshot({ path: path.join(pictures, `${path.basename(file, ".html")}-${name}.png`) });
    }
    await started(shown, `#example=${WRONG}`);
    for (const tab of TABS) {
      await shown.locator(`#tab-${tab}`).click();
      await filled(shown, tab);
      found[`${name} ${tab}`] = await beyond();
      if (pictures) await shown.screenshot({ path: path.join(pictures, `playground-${tab}-${name}.png`), fullPage: true });
    }
    await shown.context().close();
  }
  return found;
}

async function searched() {
  const shown = await page();
  await shown.goto(`${address}docs/theory.html`);
  const formulas = await shown.locator("main .katex").count();
  await shown.keyboard.press("/");
  await shown.keyboard.type("aligned bottleneck");
  await shown.locator("#found li").first().waitFor();
  const found = await shown.locator("#found li b").allTextContents();
  await shown.keyboard.press("Enter");
  await shown.waitForFunction(() => location.hash.length > 1);
  await shown.context().close();
  return { found, formulas };
}

/** A place in the plane is written into the text, an exponent too. */
async function moved(shown) {
  await started(shown, `#example=${WRONG}`);
  await shown.locator("#tab-plane").click();
  const svg = shown.locator("#panel svg.plane");
  await svg.waitFor();
  const box = await shown.locator("#panel .window").boundingBox();
  await shown.mouse.click(box.x + box.width * 0.25, box.y + box.height * 0.05);
  await shown.waitForFunction(() => document.querySelector(".cm-content").textContent.includes("c = 17/12"));
  await settled(shown);
  const plane = await shown.locator("#panel output").allTextContents();
  await shown.locator("#example").selectOption(WRONG);
  await shown.locator("#tab-exponents").click();
  const slider = shown.locator('.slider[data-key="c"] input');
  await slider.waitFor();
  await slider.focus();
  for (let count = 0; count < 4; count++) await shown.keyboard.press("ArrowRight");
  await shown.waitForFunction(() => document.querySelector(".cm-content").textContent.includes("hidden { c = 1 }"));
  await settled(shown);
  return { plane, exponent: await verdict(shown) };
}

async function typed(shown) {
  await started(shown, "#example=gpt");
  const times = await shown.evaluate(() => ({ ...document.documentElement.dataset }));
  const edits = [];
  await shown.locator(".cm-content").click();
  await shown.keyboard.press("Control+End");
  for (let count = 0; count < 8; count++) {
    await shown.keyboard.type("#");
    await settled(shown);
    edits.push(await shown.evaluate(() => Number(document.documentElement.dataset.edit)));
  }
  return { first: Number(times.first), remembered: times.remembered, edits };
}

try {
  const shown = await page();
  seen.times = await typed(shown);
  seen.examples = await examples(shown);
  seen.keys = await byKeys(shown);
  seen.stopped = await stopped(shown);
  seen.moved = await moved(shown);
  seen.shared = await shared(shown);
  seen.linked = await linked(shown);
  await shown.context().close();
  seen.kept = await remembered();
  seen.embedded = await embedded();
  seen.search = await searched();
  seen.narrow = await narrow();
  seen.contrast = await contrast();
} finally {
  await browser.close();
  console.log(JSON.stringify(seen));
}
