// The editor: what the compiler knows of the text, shown in it.
import { autocompletion, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyField, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, StateEffect, StateField, Transaction } from "@codemirror/state";
import {
  Decoration, drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter,
  hoverTooltip, keymap, lineNumbers, WidgetType,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { names } from "./names.js";
import { spoken } from "./prose.js";
import { change, offset, place, range } from "./places.js";
import { spec } from "../shared/spec.js";

class Law extends WidgetType {
  constructor(text, wrong) {
    super();
    this.text = text;
    this.wrong = wrong;
  }

  eq(other) {
    return other.text === this.text && other.wrong === this.wrong;
  }

  toDOM() {
    const made = document.createElement("span");
    made.className = this.wrong ? "law-hint wrong" : "law-hint";
    made.textContent = this.text;
    return made;
  }
}

/** Decorations that stay with the text until the next ones come. */
function shown() {
  const effect = StateEffect.define();
  const field = StateField.define({
    create: () => Decoration.none,
    update(found, transaction) {
      const made = transaction.effects.find((one) => one.is(effect));
      return made ? made.value : found.map(transaction.changes);
    },
    provide: (own) => EditorView.decorations.from(own),
  });
  return { effect, field };
}

const laws = shown();
const colours = shown();
const pointed = shown();
const KEPT = { history: historyField };
const external = Transaction.userEvent.of("external");

const palette = HighlightStyle.define([
  { tag: tags.comment, class: "tok-comment" },
  { tag: tags.keyword, class: "tok-keyword" },
  { tag: tags.number, class: "tok-number" },
  { tag: tags.string, class: "tok-string" },
]);

const ITEMS = {
  keyword: "keyword", function: "function", constant: "enum", key: "property", dim: "type",
  hyper: "constant", symbol: "constant", tensor: "variable", block: "class",
};

export class Editor {
  /**
   * `ask` is of the compiler, once it knows the text as it is; `changed` is told of each edit,
   * `refused` of each answer: it says what went wrong, and whether anything did; `moved` of the
   * line that the cursor came to.
   */
  constructor(parent, { ask, changed, refused, moved }) {
    this.extensions = [
      lineNumbers(), history(), drawSelection(), bracketMatching(), lintGutter(),
      highlightActiveLine(), highlightActiveLineGutter(), highlightSelectionMatches(),
      StreamLanguage.define(spec), syntaxHighlighting(palette), laws.field, colours.field, pointed.field,
      autocompletion({ icons: false, override: [(context) => completions(context, ask)] }),
      hoverTooltip((view, at) => hovered(view, at, ask), { hoverTime: 250, hideOnChange: true }),
      names({ ask, refused, edit: (edit) => this.edit(edit), show: (span) => this.select(span) }),
      keymap.of([...completionKeymap, ...lintKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap]),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": "the spec", spellcheck: "false" }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) changed();
        if (lineOf(update.startState) !== lineOf(update.state)) moved(lineOf(update.state));
      }),
      EditorState.phrases.of({ "No diagnostics": "Nothing to say" }),
    ];
    this.view = new EditorView({ parent, state: EditorState.create({ extensions: this.extensions }) });
  }

  get text() {
    return this.view.state.doc.toString();
  }

  /** The line of the cursor. */
  get line() {
    return lineOf(this.view.state);
  }

  /** The text and what can be undone of it, to be kept. */
  get kept() {
    return this.view.state.toJSON(KEPT);
  }

  /** Takes a text that was kept. */
  take(kept) {
    this.view.setState(EditorState.fromJSON(kept, { extensions: this.extensions }, KEPT));
  }

  /** Points at a line from outside; at none, if it has no such. */
  point(line) {
    const { doc } = this.view.state;
    const found = line >= 1 && line <= doc.lines ? [Decoration.line({ class: "pointed" }).range(doc.line(line).from)] : [];
    this.view.dispatch({ effects: pointed.effect.of(Decoration.set(found)) });
  }

  /** Writes another text, as one edit that can be undone. */
  write(text) {
    if (text !== this.text)
      this.view.dispatch({ changes: change(this.text, text), annotations: external });
  }

  show({ hints, colours: words, diagnostics, fixes }) {
    const { doc } = this.view.state;
    this.view.dispatch({
      effects: [
        laws.effect.of(Decoration.set(hints.map((hint) => law(doc, hint)), true)),
        colours.effect.of(Decoration.set(words.flatMap((word) => coloured(doc, word)), true)),
      ],
    });
    this.say(diagnostics, fixes);
  }

  say(diagnostics, fixes) {
    const { doc } = this.view.state;
    const found = diagnostics.map((said, number) => ({
      ...stretch(doc, said.span),
      severity: said.severity === "note" ? "info" : said.severity,
      source: said.code,
      message: [said.message, said.label, ...said.notes, said.help && `help: ${said.help}`]
        .filter(Boolean).join("\n"),
      renderMessage: () => explained(said),
      actions: fixes
        .filter((fix) => fix.diagnostic === number)
        .map((fix) => ({ name: short(fix.title), apply: () => this.edit(fix.edit) })),
    }));
    this.view.dispatch(setDiagnostics(this.view.state, found));
  }

  edit(replacements) {
    const { doc } = this.view.state;
    const changes = replacements.map(({ span, text }) => ({ ...range(doc, span), insert: text }));
    this.view.dispatch({ changes, annotations: external });
  }

  goto(line) {
    this.select({ line, column: 1, end_line: line, end_column: 1 });
  }

  select(span) {
    const { from, to } = range(this.view.state.doc, span);
    this.view.dispatch({
      selection: { anchor: from, head: to },
      effects: EditorView.scrollIntoView(from, { y: "center" }),
    });
    this.view.focus();
  }
}

function lineOf({ doc, selection }) {
  return doc.lineAt(selection.main.head).number;
}

function law(doc, { line, column, text, wrong }) {
  const widget = new Law(text, wrong);
  return Decoration.widget({ widget, side: 1 }).range(offset(doc, line, column));
}

function coloured(doc, [line, column, endLine, endColumn, kind]) {
  const from = offset(doc, line, column);
  const to = offset(doc, endLine, endColumn);
  return from < to ? [Decoration.mark({ class: `tok-${kind}` }).range(from, to)] : [];
}

/** Where a diagnostic is seen: of one about the file as a whole its first line. */
function stretch(doc, span) {
  const whole = span.file || (span.line === 1 && span.end_line === 1 && span.end_column === 1);
  if (whole) return { from: 0, to: doc.line(1).to };
  const { from, to } = range(doc, span);
  return { from, to: Math.max(to, Math.min(from + 1, doc.length)) };
}

function explained({ message, label, notes, help }) {
  const made = document.createElement("div");
  made.className = "said";
  made.append(spoken("p", message + (label ? `, ${label}` : "")));
  made.append(...notes.map((note) => spoken("p", note, "soft")));
  if (help) made.append(spoken("p", `help: ${help}`));
  return made;
}

function short(title) {
  return title.length > 60 ? "apply the fix" : title;
}

async function completions(context, ask) {
  const word = context.matchBefore(/[\p{L}\p{N}_]+/u);
  const before = context.state.sliceDoc(context.pos - 1, context.pos);
  const unasked = !context.explicit && !word;
  if (unasked && !/[ .([=]/.test(before)) return null;
  const { items = [] } = await ask("complete", { ...place(context.state.doc, context.pos), unasked });
  if (!items.length || context.aborted) return null;
  return {
    from: offset(context.state.doc, items[0].span.line, items[0].span.column),
    validFor: /^[\p{L}\p{N}_-]*$/u,
    options: items.map(({ label, kind, detail, documentation }) => ({
      label, type: ITEMS[kind], boost: kind === "function" ? -1 : 0, detail: detail.length > 48 ? "" : detail,
      info: documentation ? () => prosed(documentation) : undefined,
    })),
  };
}

async function hovered(view, at, ask) {
  const { text, span } = await ask("hover", place(view.state.doc, at));
  if (!text) return null;
  const { from, to } = range(view.state.doc, span);
  return { pos: from, end: to, above: true, create: () => ({ dom: prosed(text) }) };
}

function prosed(text) {
  const made = document.createElement("div");
  made.className = "hover";
  for (const part of text.split(/\n{2,}/)) {
    const fenced = /^```\w*\n([\s\S]*?)\n?```$/.exec(part.trim());
    if (part.trim() === "---") made.append(document.createElement("hr"));
    else if (fenced) made.append(Object.assign(document.createElement("pre"), { textContent: fenced[1] }));
    else made.append(spoken("p", part));
  }
  return made;
}
