// Packs the compiler for the browser, with the very Python that the page has.
import { execFileSync } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { loadPyodide } from "pyodide";

/** Packages beside abcparam, from the environment that `python` is of. */
function folders(python, names) {
  const code = `import importlib.util as u, sys\nfor n in sys.argv[1:]: print(u.find_spec(n).submodule_search_locations[0])`;
  return execFileSync(python, ["-c", code, ...names], { encoding: "utf-8" }).trim().split("\n");
}

export async function archive(root, python, target) {
  const pyodide = await loadPyodide();
  const mount = (folder, at) => {
    pyodide.FS.mkdirTree(at);
    pyodide.mountNodeFS(at, folder);
    return at;
  };
  mount(root, "/checkout");
  mount(path.dirname(target), "/out");
  const packages = ["/checkout/abcparam"];
  for (const folder of folders(python, ["jinja2", "markupsafe"]))
    packages.push(mount(folder, `/packages/${path.basename(folder)}`));
  pyodide.runPython(`import sys; sys.dont_write_bytecode = True; sys.path.insert(0, "/checkout")`);
  const module = pyodide.pyimport("importlib.util");
  const spec = module.spec_from_file_location("archive", "/checkout/abcparam/playground/archive.py");
  const loaded = module.module_from_spec(spec);
  spec.loader.exec_module(loaded);
  return loaded.pack(`/out/${path.basename(target)}`, pyodide.toPy(packages), "/checkout");
}

/** The memory of a Python that has the compiler loaded, from which one begins in a fraction of the time. */
export async function snapshot(packed, target) {
  const pyodide = await loadPyodide({ _makeSnapshot: true });
  const { buffer } = new Uint8Array(await fs.readFile(packed));
  pyodide.unpackArchive(buffer, "zip", { extractDir: "/abcparam" });
  pyodide.runPython(`
import sys
sys.path.insert(0, "/abcparam")
from abcparam.playground.session import warmed
session = warmed()`);
  await fs.writeFile(target, gzipSync(pyodide.makeMemorySnapshot(), { level: 9 }));
}
