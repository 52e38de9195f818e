"""The server beside a client, over pipes as an editor starts it: a conversation about a spec."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient

import abcparam
from abcparam.diagnostics.source import Span
from abcparam.language_server.documents import ClientPlaces
from abcparam.language_server.messages import LEGEND
from tests.support.paths import EXAMPLES

TEXT = (EXAMPLES / "wrong" / "standard_parametrization.param").read_text(encoding="utf-8")
PATIENCE = 60.0  # seconds, on a machine that is busy


class Editor:
    """An editor with one document."""

    def __init__(self, client: LanguageClient, path: Path) -> None:
        self.client = client
        self.uri = path.as_uri()
        self.text = ""
        self.version = 0
        self.said: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()

        @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _said(params: types.PublishDiagnosticsParams) -> None:
            self.said.put_nowait(params)

    @property
    def document(self) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(self.uri)

    def open(self, text: str) -> None:
        self.text, self.version = text, 1
        item = types.TextDocumentItem(self.uri, "abcparam", 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def type(self, old: str, new: str) -> None:
        """Puts a text in the place of another, as an edit of that range alone."""
        start = self.at(old)
        end = types.Position(start.line, start.character + len(old))
        self.text, self.version = self.text.replace(old, new, 1), self.version + 1
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.version, self.uri),
                [types.TextDocumentContentChangePartial(types.Range(start, end), new)],
            )
        )

    def at(self, words: str) -> types.Position:
        before = self.text[: self.text.index(words)]
        return types.Position(before.count("\n"), len(before) - before.rfind("\n") - 1)

    async def diagnostics(
        self, wanted: Callable[[list[types.Diagnostic]], bool] = bool
    ) -> list[types.Diagnostic]:
        """The next ones about the text as it is that are wanted."""
        while True:
            said = await asyncio.wait_for(self.said.get(), PATIENCE)
            if said.version == self.version and wanted(list(said.diagnostics)):
                return list(said.diagnostics)

    def applied(self, edits: list[types.TextEdit]) -> str:
        lines = self.text.split("\n")
        starts = [sum(len(line) + 1 for line in lines[:n]) for n in range(len(lines) + 1)]
        text = self.text
        for edit in reversed(edits):  # they come in order
            places = (edit.range.start, edit.range.end)
            start, stop = (starts[place.line] + place.character for place in places)
            text = text[:start] + edit.new_text + text[stop:]
        return text


def converse(path: Path, talk: Callable[[Editor], Awaitable[None]]) -> None:
    async def run() -> None:
        client = LanguageClient("tests", "1")
        await client.start_io(sys.executable, "-m", "abcparam", "lsp")
        await client.initialize_async(
            types.InitializeParams(capabilities=types.ClientCapabilities())
        )
        client.initialized(types.InitializedParams())
        await talk(Editor(client, path))
        await client.shutdown_async(None)
        client.exit(None)
        await client.stop()

    asyncio.run(asyncio.wait_for(run(), 3 * PATIENCE))


def has_fix(found: list[types.Diagnostic]) -> bool:
    return any("help: this makes it maximal-update" in d.message for d in found)


async def talk(editor: Editor) -> None:
    client, document = editor.client, editor.document
    editor.open(TEXT.replace("sp", "sp  # 𝜇", 1))
    first = await editor.diagnostics()
    assert [d.code for d in first][:2] == ["P0502", "P0502"] and not has_fix(first)
    assert "may change by 1 at most" in first[0].message
    editor.type("sp  # 𝜇", "sp")  # cancels the search
    found = await editor.diagnostics(has_fix)
    assert any(d.related_information for d in found)

    params = types.CodeActionParams(document, found[0].range, types.CodeActionContext(found))
    actions = await client.text_document_code_action_async(params)
    assert actions and isinstance(actions[0], types.CodeAction)
    assert actions[0].edit and actions[0].edit.changes
    edits = list(actions[0].edit.changes[editor.uri])
    assert editor.applied(edits) == abcparam.fix(TEXT).text

    hover = await client.text_document_hover_async(
        types.HoverParams(document, editor.at("project @ y"))
    )
    assert hover and isinstance(hover.contents, types.MarkupContent)
    assert "ΔW·x ~ width^2" in hover.contents.value
    whole = types.Range(types.Position(0, 0), types.Position(60, 0))
    hints = await client.text_document_inlay_hint_async(types.InlayHintParams(document, whole))
    assert hints and "W·x ~ 1, ΔW·x ~ width, over" in [hint.label for hint in hints]
    items = await client.text_document_completion_async(
        types.CompletionParams(document, editor.at("sp\n"))
    )
    assert isinstance(items, list) and "mup" in [item.label for item in items]
    at = editor.at("query @ x")
    defined = await client.text_document_definition_async(types.DefinitionParams(document, at))
    assert isinstance(defined, list)
    assert [place.range.start for place in defined] == [editor.at("query, key")]
    places = await client.text_document_references_async(
        types.ReferenceParams(types.ReferenceContext(True), document, at)
    )
    assert places and len(places) == 2
    assert await client.text_document_prepare_rename_async(types.PrepareRenameParams(document, at))
    renamed = await client.text_document_rename_async(
        types.RenameParams(document, at, new_name="q")
    )
    assert renamed and renamed.changes and len(renamed.changes[editor.uri]) == 2
    with pytest.raises(Exception, match="cannot be a name"):
        await client.text_document_rename_async(types.RenameParams(document, at, new_name="1"))
    symbols = await client.text_document_document_symbol_async(types.DocumentSymbolParams(document))
    assert symbols and "Attention" in [symbol.name for symbol in symbols]
    tokens = await client.text_document_semantic_tokens_full_async(
        types.SemanticTokensParams(document)
    )
    assert tokens and tokens.data[3] == LEGEND.token_types.index("comment")
    marks = await client.text_document_document_highlight_async(
        types.DocumentHighlightParams(document, at)
    )
    assert marks and len(marks) == 2

    editor.type("dim depth   = 12", "dim depth=12")
    made = await client.text_document_formatting_async(
        types.DocumentFormattingParams(document, types.FormattingOptions(4, True))
    )
    assert made and editor.applied(list(made)) == TEXT
    editor.type("down @ gelu(up @ x)", "down @ gelu(upp @")
    broken = await editor.diagnostics(lambda found: found[0].code != "P0502")
    assert len(broken) == 1
    kept = await client.text_document_inlay_hint_async(types.InlayHintParams(document, whole))
    assert kept and len(kept) == len(hints)
    client.text_document_did_close(types.DidCloseTextDocumentParams(document))


def test_a_conversation(tmp_path: Path):
    converse(tmp_path / "gpt.param", talk)


def test_columns_count_in_the_units_of_the_client():
    from pygls.workspace import TextDocument

    places = ClientPlaces(TextDocument("file:///a.param", "# 𝜇𝜇 x\r\nab"))
    assert places.position((1, 6)) == types.Position(0, 7)
    assert places.own(types.Position(0, 7)) == (1, 6)
    assert places.range(Span(2, 1, 2, 3)).end == types.Position(1, 2)
    assert places.whole().end == types.Position(2, 0)
