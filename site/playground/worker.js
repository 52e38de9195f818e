// The compiler in a worker: requests of `abcparam.playground.session`, one after another.
import makeModule from "./pyodide/pyodide.asm.mjs";
import { loadPyodide } from "./pyodide/pyodide.mjs";

const home = new URL(".", self.location.href).href;
const fetched = async (name) => {
  const answer = await fetch(home + name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
};

/** A Python that has the compiler loaded already, by the memory of one that had. */
async function remembered() {
  const stream = (await fetched("snapshot.dat")).body.pipeThrough(new DecompressionStream("gzip"));
  const memory = new Uint8Array(await new Response(stream).arrayBuffer());
  const createPyodideModule = async (settings) => {
    const module = await makeModule(settings);
    module._emscripten_resize_heap(memory.length);
    return module;
  };
  return loadPyodide({ indexURL: `${home}pyodide/`, _loadSnapshot: memory, createPyodideModule });
}

/** The same from its beginnings, should a browser not take the memory. */
async function begun() {
  const pyodide = await loadPyodide({ indexURL: `${home}pyodide/` });
  pyodide.runPython('import sys; sys.path.insert(0, "/abcparam")');
  return pyodide;
}

async function start() {
  const packed = fetched("abcparam.zip").then((answer) => answer.arrayBuffer());
  const known = await remembered().catch((error) => void console.warn("a start without the snapshot:", error));
  const pyodide = known ?? (await begun());
  pyodide.unpackArchive(await packed, "zip", { extractDir: "/abcparam" });
  if (!known) pyodide.runPython("from abcparam.playground.session import Session; session = Session()");
  postMessage({ state: "ready", remembered: Boolean(known) });
  return pyodide.globals.get("session");
}

const session = start();
session.catch((error) => postMessage({ state: "failed", reason: String(error.message ?? error) }));

self.onmessage = async ({ data: { id, request } }) => {
  const asked = await session.catch(() => null);
  if (!asked) return;
  const begun = performance.now();
  try {
    const reply = asked.answer(request);
    postMessage({ id, reply, took: performance.now() - begun });
  } catch (error) {
    postMessage({ state: "broken", reason: String(error.message ?? error) }); // Python itself ended
  }
};
