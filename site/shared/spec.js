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

/** The first rule that matches from a place on, and where; `ahead` keeps the next match of each. */
function next(line, from, ahead) {
  let best = null;
  for (const rule of rules) {
    let found = ahead.get(rule);
    if (found === undefined || found?.index < from) {
      rule.pattern.lastIndex = from;
      ahead.set(rule, (found = rule.pattern.exec(line)));
    }
    if (found && (!best || found.index < best.found.index)) best = { rule, found };
    if (best?.found.index === from) break;
  }
  return best;
}

export function words(line) {
  const made = [];
  const ahead = new Map();
  for (let at = 0, best; at < line.length && (best = next(line, at, ahead)); ) {
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
  startState: () => ({ words: [], at: 0 }),
  copyState: (state) => ({ ...state }),
  token(stream, state) {
    if (stream.sol()) Object.assign(state, { words: words(stream.string), at: 0 });
    const [from, to, what] = state.words[state.at] ?? [Infinity, Infinity, null];
    if (stream.pos < from) {
      stream.pos = Math.min(from, stream.string.length);
      return null;
    }
    state.at++;
    stream.pos = to;
    return ["comment", "string", "number", "keyword"].includes(what) ? what : null;
  },
  languageData: { commentTokens: { line: "#" } },
};
