// The words of a spec by the grammar of editors, line by line: `[from, to, kind]`.
import grammar from "../../editors/vscode/syntaxes/abcparam.tmLanguage.json" with { type: "json" };

const KINDS = [
  ["comment", "comment"], ["string", "string"], ["constant.numeric", "number"],
  ["keyword.operator", "operator"], ["keyword", "keyword"],
  ["entity.name.function", "function"], ["entity.name.type", "block"],
];

const kind = (scope) => KINDS.find(([start]) => scope?.startsWith(start))?.[1] ?? null;

const rules = grammar.patterns.map(({ match, name, captures = {} }) => ({
  pattern: new RegExp(match, "gd"),
  whole: kind(name),
  inner: Object.entries(captures).map(([group, { name }]) => [Number(group), kind(name)]),
}));

/** The first rule that matches from a place on, and where. */
function next(line, from) {
  let best = null;
  for (const rule of rules) {
    rule.pattern.lastIndex = from;
    const found = rule.pattern.exec(line);
    if (found && (!best || found.index < best.found.index)) best = { rule, found };
    if (best?.found.index === from) break;
  }
  return best;
}

export function words(line) {
  const made = [];
  for (let at = 0, best; at < line.length && (best = next(line, at)); ) {
    const { rule, found } = best;
    const end = found.index + found[0].length;
    if (rule.inner.length)
      for (const [group, what] of rule.inner)
        found.indices[group] && made.push([...found.indices[group], what]);
    else made.push([found.index, end, rule.whole]);
    at = Math.max(end, at + 1);
  }
  return made.filter(([, , what]) => what);
}

/** The same for a stream parser of CodeMirror. */
export const spec = {
  name: "abcparam",
  startState: () => ({ rest: [] }),
  copyState: ({ rest }) => ({ rest: [...rest] }),
  token(stream, state) {
    if (stream.sol()) state.rest = words(stream.string);
    const [from, to, what] = state.rest[0] ?? [Infinity, Infinity, null];
    if (stream.pos < from) {
      stream.pos = Math.min(from, stream.string.length);
      return null;
    }
    state.rest.shift();
    stream.pos = to;
    return ["comment", "string", "number", "keyword"].includes(what) ? what : null;
  },
  languageData: { commentTokens: { line: "#" } },
};
