// The documents as pages: README.md and docs/*.md, with their formulas typeset and an index to search.
import fs from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";
import katex from "katex";
import MarkdownIt from "markdown-it";
import anchors from "markdown-it-anchor";
import MiniSearch from "minisearch";
import { options } from "./docs/search.js";
import { packed } from "./playground/share.js";
import { python } from "./shared/python.js";
import { words } from "./shared/spec.js";
import { display, isFormula, typeset } from "./shared/typeset.js";

const here = import.meta.dirname;
const GROUPS = [
  ["Begin", ["README.md", "docs/language.md", "docs/editor.md", "docs/troubleshooting.md"]],
  ["Your own model", ["docs/audit.md", "docs/your_model.md", "docs/training.md", "docs/recipes.md"]],
  ["Measure", ["docs/coordinates.md", "docs/transfer.md", "docs/reproduce.md", "docs/ci.md"]],
  ["How it works", ["docs/theory.md", "docs/design.md", "docs/benchmarks.md"]],
  ["The project", ["CHANGELOG.md", "CONTRIBUTING.md", "docs/site.md"]],
];
const MATHEMATICS = "docs/theory.md";
const COPIED = /\.(svg|png|ipynb)$/;

const escaped = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

export const slug = (text) =>
  text.trim().toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");

const target = (file) =>
  file === "README.md" ? "index.html" : `${file.startsWith("docs/") ? "" : "docs/"}${file.toLowerCase().replace(/\.md$/, ".html")}`;

function spec(text) {
  return text.split("\n").map((line) => {
    let [made, at] = ["", 0];
    for (const [from, to, kind] of words(line)) {
      made += `${escaped(line.slice(at, from))}<span class="tok-${kind}">${escaped(line.slice(from, to))}</span>`;
      at = to;
    }
    return made + escaped(line.slice(at));
  }).join("\n");
}

const prompted = (mark, inner) => (line) =>
  line.startsWith(mark)
    ? `<span class="prompt">${escaped(mark)}</span><span class="typed">${inner(line.slice(mark.length))}</span>`
    : null;

function session(text, marks, inner) {
  const shown = marks.map((mark) => prompted(mark, inner));
  return text.split("\n").map((line) => shown.map((show) => show(line)).find(Boolean) ?? escaped(line)).join("\n");
}

const LANGUAGES = {
  param: spec,
  python,
  pycon: (text) => session(text, [">>> ", "... "], python),
  console: (text) => session(text, ["$ "], escaped),
};

const mathematics = (tex, displayMode) => katex.renderToString(tex, { displayMode, output: "htmlAndMathml", throwOnError: true });

function renderer(titles) {
  const md = new MarkdownIt({ html: false, typographer: false });
  md.use(anchors, { slugify: slug, permalink: anchors.permalink.headerLink({ class: "anchor", safariReaderFix: true }) });
  md.renderer.rules.fence = (tokens, at, _, env) => {
    const { content, info } = tokens[at];
    const language = info.trim().split(/\s+/)[0];
    const text = content.replace(/\n$/, "");
    const inner = (LANGUAGES[language] ?? escaped)(text);
    const link = env.links?.get(content);
    const open = link ? `<a class="try" href="${link}">Open in the playground</a>` : "";
    return `<div class="block">${open}<pre tabindex="0" class="${language}"><code>${inner}</code></pre></div>\n`;
  };
  md.renderer.rules.code_block = (tokens, at, _, env) => {
    const lines = tokens[at].content.trimEnd().split("\n");
    const tex = env.file === MATHEMATICS ? display(lines) : null;
    if (tex) return `<div class="formula" tabindex="0">${mathematics(tex, true)}</div>\n`;
    const text = lines.join("\n");
    const inner = env.file === MATHEMATICS ? spec(text) : escaped(text);
    return `<pre tabindex="0"><code>${inner}</code></pre>\n`;
  };
  md.renderer.rules.code_inline = (tokens, at, _, env) => {
    const text = tokens[at].content;
    const tex = env.file === MATHEMATICS && isFormula(text) ? typeset(text) : null;
    return tex ? mathematics(tex, false) : `<code>${escaped(text)}</code>`;
  };
  md.renderer.rules.table_open = () => '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>\n';
  md.renderer.rules.table_close = () => "</table></div>\n";
  md.core.ruler.push("links", (state) => {
    for (const { children } of state.tokens)
      children?.forEach((token, at) => {
        if (token.type !== "link_open") return;
        const page = relinked(token, state.env, titles);
        const inner = children[at + 1];
        if (page && inner.content === page) inner.content = titles.get(page); // files are pages here
      });
  });
  return md;
}

/** A link to another file of the repository, as one to its page, which is given; to an example, into the playground. */
function relinked(token, env, titles) {
  const [file, hash] = token.attrGet("href").split("#");
  if (!file || /^[a-z]+:/.test(file)) return null;
  const whole = path.posix.join(path.posix.dirname(env.file), file);
  const example = /^examples\/(?:wrong\/)?(\w+)\.param$/.exec(whole);
  const away = titles.has(whole) ? target(whole) : example ? `playground/index.html#example=${example[1]}` : null;
  const kept = away ?? (COPIED.test(whole) || whole === "LICENSE" ? whole : null);
  if (!kept) throw new Error(`${env.file} leads to ${whole}, which is no page`);
  token.attrSet("href", env.root + kept + (hash ? `#${hash}` : ""));
  return titles.has(whole) ? whole : null;
}

/** Links that hold the specs of a document, by their texts. */
async function links(tokens, root) {
  const specs = tokens.filter(({ type, info, content }) => type === "fence" && /^param\b/.test(info) && /^\s*(#.*\n)*\s*model\b/.test(content));
  return new Map(await Promise.all(specs.map(async ({ content }) => [content, `${root}playground/index.html#spec=${await packed(content)}`])));
}

const plain = (token) =>
  (token.children ?? []).map(({ type, content }) => (type === "softbreak" ? " " : type === "text" || type === "code_inline" ? content : "")).join("");

/** What is searched of a document: its sections, each by its heading. */
function sections(tokens, page, address) {
  const found = [];
  tokens.forEach((token, at) => {
    if (token.type === "heading_open")
      found.push({ title: plain(tokens[at + 1]), page, address: `${address}#${token.attrGet("id")}`, text: "" });
    else if (found.length && token.type === "inline" && tokens[at - 1]?.type !== "heading_open")
      found.at(-1).text += `${plain(token)} `;
    else if (found.length && ["fence", "code_block"].includes(token.type)) found.at(-1).text += `${token.content} `;
  });
  return found;
}

function navigation(titles, current, root) {
  return GROUPS.map(([name, files]) => {
    const items = files.filter((file) => titles.has(file)).map((file) => {
      const mark = file === current ? ' aria-current="page"' : "";
      return `<li><a href="${root}${target(file)}"${mark}>${escaped(titles.get(file))}</a></li>`;
    });
    return `<h2>${name}</h2>\n<ul>${items.join("\n")}</ul>`;
  }).join("\n");
}

const headings = (tokens) => {
  const found = tokens.flatMap((token, at) =>
    token.type === "heading_open" && token.tag === "h2"
      ? [`<li><a href="#${token.attrGet("id")}">${escaped(plain(tokens[at + 1]))}</a></li>`] : []);
  return found.length > 1 ? `<ul>${found.join("\n")}</ul>` : "";
};

export async function documents(root, out, common) {
  const files = GROUPS.flatMap(([, found]) => found);
  const texts = new Map();
  for (const file of files) texts.set(file, await fs.readFile(path.join(root, file), "utf-8"));
  const others = (await fs.readdir(path.join(root, "docs"))).filter((name) => name.endsWith(".md") && !texts.has(`docs/${name}`));
  if (others.length) throw new Error(`documents in no group: ${others.join(", ")}`);
  const titles = new Map([...texts].map(([file, text]) => [file, /^# (.*)$/m.exec(text)[1].replaceAll("`", "")]));
  titles.set("README.md", "What it is");
  const template = await fs.readFile(path.join(here, "docs", "page.html"), "utf-8");
  const md = renderer(titles);
  const index = new MiniSearch(options);
  await fs.mkdir(path.join(out, "docs"), { recursive: true });
  for (const [file, text] of texts) {
    const up = file === "README.md" ? "" : "../";
    const env = { file, root: up };
    const tokens = md.parse(text, env);
    env.links = await links(tokens, up);
    const values = {
      title: file === "README.md" ? "abcparam: a compiler for neural-network parametrizations" : `${titles.get(file)} · abcparam`,
      root: up,
      pages: navigation(titles, file, up),
      headings: headings(tokens),
      body: md.renderer.render(tokens, md.options, env),
    };
    const page = template.replace(/\$(root|title|pages|body|headings)/g, (_, name) => values[name]);
    await fs.writeFile(path.join(out, target(file)), page);
    index.addAll(sections(tokens, titles.get(file), target(file)));
  }
  for (const name of await fs.readdir(path.join(root, "docs")))
    if (COPIED.test(name)) await fs.copyFile(path.join(root, "docs", name), path.join(out, "docs", name));
  await fs.copyFile(path.join(root, "LICENSE"), path.join(out, "LICENSE"));
  await fs.writeFile(path.join(out, "assets", "search.json"), JSON.stringify(index));
  await build({ ...common, entryPoints: ["docs.js", "docs.css"].map((name) => path.join(here, "docs", name)), outdir: path.join(out, "assets") });
}
