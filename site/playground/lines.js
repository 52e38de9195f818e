// Lines of the emitted module beside those of the spec that they are made from.

/** A row for each line of coloured code; `lines` pairs them, `67:26 69:26`. */
export function rows(html, lines) {
  const origins = new Map(lines.split(" ").filter(Boolean).map((pair) => pair.split(":").map(Number)));
  const seen = new Set();
  return html.split("\n").map((code, index) => {
    const line = origins.get(index + 1);
    if (!line) return `<span class="row"><i class="from"></i>${code}</span>`;
    const skipped = seen.has(line) ? ' tabindex="-1"' : ""; // Tab stops once for each line of the spec
    seen.add(line);
    const words = `line ${line} of the spec`;
    const link = `<a class="from" href="#spec-L${line}"${skipped} title="${words}" aria-label="${words}">${line}</a>`;
    return `<span class="row" data-from="${line}">${link}${code}</span>`;
  }).join("");
}

/** Marks the rows of a line of the spec, and brings the first of them into the panel. */
export function marked(panel, line, bring = true) {
  const found = [...panel.querySelectorAll(".row[data-from]")];
  for (const row of found) row.classList.toggle("here", Number(row.dataset.from) === line);
  const here = bring && found.filter((row) => row.classList.contains("here"));
  if (!here?.length) return;
  const [box, window] = [here[0].getBoundingClientRect(), panel.getBoundingClientRect()];
  if (box.top < window.top || box.bottom > window.bottom) panel.scrollTop += box.top - window.top - window.height / 3;
}
