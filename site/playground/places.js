// Places: lines and columns of characters, from 1, as the compiler counts, and offsets of the editor.

const PAIRS = /[\ud800-\udbff][\udc00-\udfff]/;

/** Where each character of a line begins, if one is longer than a unit. */
function begins(text) {
  let at = 0;
  return PAIRS.test(text) ? Array.from(text, (letter) => (at += letter.length) - letter.length) : null;
}

let last = {}; // the line that was asked for, of which many places are

function lineOf(doc, number) {
  if (last.doc !== doc || last.number !== number) {
    const { from, text } = doc.line(number);
    last = { doc, number, from, length: text.length, begins: begins(text) };
  }
  return last;
}

export function offset(doc, line, column) {
  if (line > doc.lines) return doc.length;
  const { from, length, begins } = lineOf(doc, Math.max(line, 1));
  return from + (begins ? begins[column - 1] ?? length : Math.min(column - 1, length));
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
