// Starts `abcparam lsp` and hands it every spec that is open.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

exports.activate = async function () {
  const [command, ...args] = vscode.workspace.getConfiguration("abcparam").get("command");
  client = new LanguageClient(
    "abcparam",
    "abcparam",
    { command, args },
    { documentSelector: [{ language: "abcparam" }] },
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
