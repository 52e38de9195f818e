// Names in the editor: where they are declared, and another one for them.
import { EditorView, keymap, showDialog } from "@codemirror/view";
import { place } from "./places.js";

/** Keys and clicks; `show` selects a stretch, `edit` makes replacements, `refused` says what went wrong. */
export function names({ ask, show, edit, refused }) {
  /** What the compiler says of the name at a place; nothing where the text has changed meanwhile. */
  async function asked(view, what, at, more = {}) {
    const { doc } = view.state;
    const reply = await ask(what, { ...place(doc, at), ...more });
    return view.state.doc === doc && !refused(reply) ? reply : null;
  }

  async function toDefinition(view, at) {
    const found = await asked(view, "definition", at);
    if (found) show(found.declared);
  }

  async function rename(view, at) {
    const found = await asked(view, "definition", at);
    if (!found) return;
    const { result } = showDialog(view, {
      label: `another name for ${found.name}`,
      input: { type: "text", name: "name", value: found.name, size: "24", autocomplete: "off", spellcheck: "false" },
      submitLabel: "Rename",
      focus: true,
    });
    const name = (await result)?.elements.name.value.trim();
    if (!name || name === found.name) return;
    const reply = await asked(view, "rename", at, { name });
    if (reply) edit(reply.edit);
  }

  const here = (run) => (view) => {
    run(view, view.state.selection.main.head);
    return true;
  };
  return [
    keymap.of([{ key: "F12", run: here(toDefinition) }, { key: "F2", run: here(rename) }]),
    EditorView.domEventHandlers({
      mousedown(event, view) {
        const at = event.ctrlKey || event.metaKey ? view.posAtCoords({ x: event.clientX, y: event.clientY }) : null;
        if (event.button || at === null) return false;
        toDefinition(view, at);
        return true;
      },
    }),
  ];
}
