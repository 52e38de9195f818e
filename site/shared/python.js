// Python as HTML in colours.
import { parser } from "@lezer/python";
import { classHighlighter, highlightCode } from "@lezer/highlight";

const escaped = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export function python(text) {
  let made = "";
  const put = (piece, classes) => {
    made += classes ? `<span class="${classes}">${escaped(piece)}</span>` : escaped(piece);
  };
  highlightCode(text, parser.parse(text), classHighlighter, put, () => (made += "\n"));
  return made;
}
