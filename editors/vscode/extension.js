// Starts `abcparam lsp` and hands it every spec that is open.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = async function (context) {
  const [command, ...args] = vscode.workspace.getConfiguration("abcparam").get("command");
  const laws = new WrongLaws(context.subscriptions);
  client = new LanguageClient(
    "abcparam",
    "abcparam",
    { command, args },
    {
      documentSelector: [{ language: "abcparam" }],
      middleware: { provideInlayHints: (...asked) => laws.hints(...asked) },
    },
  );
  try {
    await client.start();
  } catch (error) {
    vscode.window.showErrorMessage(
      `${command} could not be started: pip install 'abcparam[lsp]', or set abcparam.command (${error.message})`,
    );
  }
};

exports.deactivate = () => client && client.stop();

/** Laws of tensors that are not maximal: hints have no colours, so these are decorations. */
class WrongLaws {
  constructor(subscriptions) {
    this.found = new Map(); // by document
    this.style = vscode.window.createTextEditorDecorationType({
      after: {
        margin: "0 0 0 1ch",
        color: new vscode.ThemeColor("editorError.foreground"),
        backgroundColor: new vscode.ThemeColor("editorInlayHint.background"),
      },
      rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
    });
    subscriptions.push(
      this.style,
      vscode.window.onDidChangeVisibleTextEditors(() => this.show()),
      vscode.workspace.onDidCloseTextDocument((document) => this.found.delete(document)),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (!change.affectsConfiguration("editor.inlayHints")) return;
        this.found.clear();
        this.show();
      }),
    );
  }

  /** The hints of a range without the wrong ones, which are shown in all of the document. */
  async hints(document, range, token, next) {
    const all = await next(document, new vscode.Range(0, 0, document.lineCount, 0), token);
    if (!all || token.isCancellationRequested) return all;
    this.found.set(document, all.filter(isWrong).map(decoration));
    this.show();
    return all.filter((hint) => !isWrong(hint) && range.contains(hint.position));
  }

  show() {
    for (const editor of vscode.window.visibleTextEditors)
      if (editor.document.languageId === "abcparam")
        editor.setDecorations(this.style, this.found.get(editor.document) ?? []);
  }
}

const isWrong = (hint) => hint.data?.wrong === true;

const decoration = ({ position, label }) => ({
  range: new vscode.Range(position, position),
  renderOptions: { after: { contentText: label } },
});
