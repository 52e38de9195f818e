// The compiler in a worker: requests of `abcparam.playground.session`, one after another.
import { loadPyodide } from "./pyodide/pyodide.mjs";

const started = performance.now();
const home = new URL(".", self.location.href).href;

async function start() {
  const [pyodide, packed] = await Promise.all([
    loadPyodide({ indexURL: `${home}pyodide/` }),
    fetch(`${home}abcparam.zip`).then((answer) => answer.arrayBuffer()),
  ]);
  const runtime = performance.now() - started;
  pyodide.unpackArchive(packed, "zip", { extractDir: "/abcparam" });
  pyodide.runPython('import sys; sys.path.insert(0, "/abcparam")');
  const session = pyodide.pyimport("abcparam.playground.session").Session();
  postMessage({ state: "ready", runtime, whole: performance.now() - started });
  return session;
}

const session = start();
session.catch((error) => postMessage({ state: "failed", reason: String(error.message ?? error) }));

self.onmessage = async ({ data: { id, request } }) => {
  const begun = await session.then(() => performance.now(), () => null);
  if (begun === null) return;
  const reply = (await session).answer(request);
  postMessage({ id, reply, took: performance.now() - begun });
};
