// Places: lines and columns of characters, from 1, as the compiler counts, and offsets of the editor.

const PAIRS = /[\ud800-\udbff][\udc00-\udfff]/;

export function offset(doc, line, column) {
  if (line > doc.lines) return doc.length;
  const { from, text } = doc.line(Math.max(line, 1));
  const before = PAIRS.test(text)
    ? Array.from(text).slice(0, column - 1).join("").length
    : Math.min(column - 1, text.length);
  return from + before;
}

export function range(doc, span) {
  return { from: offset(doc, span.line, span.column), to: offset(doc, span.end_line, span.end_column) };
}

export function place(doc, at) {
  const { number, from, text } = doc.lineAt(at);
  return { line: number, column: Array.from(text.slice(0, at - from)).length + 1 };
}

/** The one change that makes a text another one. */
export function change(before, after) {
  let start = 0;
  const shorter = Math.min(before.length, after.length);
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  return { from: start, to: before.length - end, insert: after.slice(start, after.length - end) };
}
