// Builds the site: `node build.mjs ROOT PYTHON OUT`, of a checkout, with the Python of its environment.
import { execFileSync } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";
import { archive, snapshot } from "./archive.mjs";
import { documents } from "./documents.mjs";

const [root, python, out] = process.argv.slice(2).map((given) => path.resolve(given));
const here = import.meta.dirname;
const RUNTIME = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"];

const to = (...parts) => path.join(out, ...parts);
const common = { bundle: true, minify: true, format: "esm", target: "es2022", logLevel: "warning", legalComments: "linked" };

async function playground() {
  await build({
    ...common,
    entryPoints: ["main.js", "worker.js", "main.css"].map((name) => path.join(here, "playground", name)),
    outdir: to("playground"),
    external: ["./pyodide/*"],
  });
  await fs.copyFile(path.join(here, "playground", "index.html"), to("playground", "index.html"));
  await fs.mkdir(to("playground", "pyodide"), { recursive: true });
  const runtime = path.join(here, "node_modules", "pyodide");
  for (const name of RUNTIME) await fs.copyFile(path.join(runtime, name), to("playground", "pyodide", name));
  const lock = JSON.parse(await fs.readFile(path.join(runtime, "pyodide-lock.json"), "utf-8"));
  await fs.writeFile(to("playground", "pyodide", "pyodide-lock.json"), JSON.stringify({ ...lock, packages: {} }));
  await archive(root, python, to("playground", "abcparam.zip"));
  await snapshot(to("playground", "abcparam.zip"), to("playground", "snapshot.dat"));
  const code = 'from abcparam.playground.session import Session; print(Session().answer(\'{"do": "examples"}\'))';
  await fs.writeFile(to("playground", "examples.json"), execFileSync(python, ["-c", code], { cwd: root }));
}

async function assets() {
  await fs.mkdir(to("assets"), { recursive: true });
  await fs.copyFile(path.join(root, "templates", "style.css"), to("assets", "style.css"));
  await build({
    ...common,
    entryPoints: [path.join(here, "shared", "site.css")],
    outdir: to("assets"),
    loader: { ".woff2": "file", ".woff": "empty", ".ttf": "empty" },
    assetNames: "fonts/[name]",
  });
  await fs.copyFile(path.join(here, "shared", "icon.svg"), to("assets", "icon.svg"));
}

await fs.rm(out, { recursive: true, force: true });
await fs.mkdir(out, { recursive: true });
await assets();
await documents(root, out, common);
await playground();
