"""The server beside a client, over pipes as an editor starts it, feature by feature.

The client is pytest-lsp's, which holds what it is told against the protocol and against what
Visual Studio Code says it can do. Its fixture needs pytest-asyncio; a runner of the standard
library does here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

import abcparam
from abcparam.diagnostics.source import Span
from abcparam.language_server.documents import ClientPlaces
from abcparam.language_server.messages import LEGEND
from tests.support.paths import EXAMPLES

TEXT = (EXAMPLES / "wrong" / "standard_parametrization.param").read_text(encoding="utf-8")
PATIENCE = 60.0  # seconds, on a machine that is busy
SERVER = ClientServerConfig(
    server_command=[sys.executable, "-m", "abcparam", "lsp"], client_factory=LanguageClient
)
WHOLE = types.Range(types.Position(0, 0), types.Position(60, 0))

Answer = TypeVar("Answer")

pytestmark = pytest.mark.filterwarnings("error::pytest_lsp.LspSpecificationWarning")


class Editor:
    """An editor with one document."""

    def __init__(self, client: LanguageClient, runner: asyncio.Runner, uri: str) -> None:
        self.client = client
        self.runner = runner
        self.uri = uri
        self.text = ""
        self.version = 0
        self.said: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()

        @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _said(params: types.PublishDiagnosticsParams) -> None:
            self.said.put_nowait(params)

    @property
    def document(self) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(self.uri)

    def run(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        return self.runner.run(asyncio.wait_for(question, PATIENCE))

    def open(self, text: str) -> None:
        self.text, self.version = text, self.version + 1
        item = types.TextDocumentItem(self.uri, "abcparam", self.version, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def close(self) -> None:
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(self.document))

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

    def diagnostics(
        self, wanted: Callable[[list[types.Diagnostic]], bool] = bool
    ) -> list[types.Diagnostic]:
        """The next ones about the text as it is that are wanted."""

        async def waited() -> list[types.Diagnostic]:
            while True:
                said = await self.said.get()
                if said.version == self.version and wanted(list(said.diagnostics)):
                    return list(said.diagnostics)

        return self.run(waited())

    def hints(self) -> dict[str, bool]:
        """By its text, whether a hint tells of something wrong."""
        asked = types.InlayHintParams(self.document, WHOLE)
        found = self.run(self.client.text_document_inlay_hint_async(asked))
        return {str(hint.label): bool(hint.data and hint.data["wrong"]) for hint in found or ()}

    def applied(self, edits: list[types.TextEdit]) -> str:
        lines = self.text.split("\n")
        starts = [sum(len(line) + 1 for line in lines[:n]) for n in range(len(lines) + 1)]
        text = self.text
        for edit in reversed(edits):  # they come in order
            places = (edit.range.start, edit.range.end)
            start, stop = (starts[place.line] + place.character for place in places)
            text = text[:start] + edit.new_text + text[stop:]
        return text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    capabilities = client_capabilities("visual-studio-code")
    with asyncio.Runner() as runner:
        client = runner.run(SERVER.start())
        assert isinstance(client, LanguageClient)
        runner.run(client.initialize_session(types.InitializeParams(capabilities)))
        yield Editor(client, runner, (tmp_path_factory.mktemp("lsp") / "gpt.param").as_uri())
        runner.run(client.shutdown_session())
        runner.run(client.stop())
        assert client.error is None


@pytest.fixture
def editor(server: Editor) -> Iterator[Editor]:
    server.open(TEXT)
    yield server
    server.close()


def has_fix(found: list[types.Diagnostic]) -> bool:
    return any("help: this makes it maximal-update" in d.message for d in found)


def test_diagnostics_come_at_once_and_the_way_out_when_it_is_found(editor: Editor):
    editor.type("sp", "sp  # 𝜇")
    first = editor.diagnostics()
    assert [d.code for d in first][:2] == ["P0502", "P0502"] and not has_fix(first)
    assert "its change must not grow" in first[0].message
    editor.type("sp  # 𝜇", "sp")  # cancels the search
    found = editor.diagnostics(has_fix)
    assert any(d.related_information for d in found)
    params = types.CodeActionParams(editor.document, found[0].range, types.CodeActionContext(found))
    actions = editor.run(editor.client.text_document_code_action_async(params))
    assert actions and isinstance(actions[0], types.CodeAction)
    assert actions[0].edit and actions[0].edit.changes
    edits = list(actions[0].edit.changes[editor.uri])
    assert editor.applied(edits) == abcparam.fix(TEXT).text


def test_hover(editor: Editor):
    asked = types.HoverParams(editor.document, editor.at("project @ y"))
    hover = editor.run(editor.client.text_document_hover_async(asked))
    assert hover and isinstance(hover.contents, types.MarkupContent)
    assert "ΔW·x ~ width^2" in hover.contents.value


def test_hints_stay_while_a_text_is_half_typed(editor: Editor):
    hints = editor.hints()
    assert hints["W·x ~ 1, ΔW·x ~ width, over"] and not hints["~ 1, Δ ~ width"]
    editor.type("down @ gelu(up @ x)", "down @ gelu(upp @")
    broken = editor.diagnostics(lambda found: found[0].code != "P0502")
    assert len(broken) == 1
    assert editor.hints() == hints


def test_completion(editor: Editor):
    asked = types.CompletionParams(editor.document, editor.at("sp\n"))
    items = editor.run(editor.client.text_document_completion_async(asked))
    assert isinstance(items, list) and "mup" in [item.label for item in items]
    assert all(item.documentation for item in items if item.label == "mup")


def test_definition_references_and_highlights(editor: Editor):
    client, document, at = editor.client, editor.document, editor.at("query @ x")
    asked = types.DefinitionParams(document, at)
    defined = editor.run(client.text_document_definition_async(asked))
    assert isinstance(defined, list)
    assert [place.range.start for place in defined] == [editor.at("query, key")]
    context = types.ReferenceContext(include_declaration=True)
    places = editor.run(
        client.text_document_references_async(types.ReferenceParams(context, document, at))
    )
    marks = editor.run(
        client.text_document_document_highlight_async(types.DocumentHighlightParams(document, at))
    )
    assert places and marks and len(places) == len(marks) == 2


def test_rename(editor: Editor):
    client, document, at = editor.client, editor.document, editor.at("query @ x")
    asked = types.PrepareRenameParams(document, at)
    assert editor.run(client.text_document_prepare_rename_async(asked))
    renamed = editor.run(
        client.text_document_rename_async(types.RenameParams(document, at, new_name="q"))
    )
    assert renamed and renamed.changes and len(renamed.changes[editor.uri]) == 2
    with pytest.raises(Exception, match="cannot be a name"):
        editor.run(
            client.text_document_rename_async(types.RenameParams(document, at, new_name="1"))
        )


def test_symbols(editor: Editor):
    asked = types.DocumentSymbolParams(editor.document)
    symbols = editor.run(editor.client.text_document_document_symbol_async(asked))
    assert symbols and "Attention" in [symbol.name for symbol in symbols]


def test_semantic_tokens(editor: Editor):
    asked = types.SemanticTokensParams(editor.document)
    tokens = editor.run(editor.client.text_document_semantic_tokens_full_async(asked))
    assert tokens and tokens.data[3] == LEGEND.token_types.index("comment")


def test_formatting(editor: Editor):
    editor.type("dim depth   = 12", "dim depth=12")
    asked = types.DocumentFormattingParams(editor.document, types.FormattingOptions(4, True))
    made = editor.run(editor.client.text_document_formatting_async(asked))
    assert made and editor.applied(list(made)) == TEXT


def test_columns_count_in_the_units_of_the_client():
    from pygls.workspace import TextDocument

    places = ClientPlaces(TextDocument("file:///a.param", "# 𝜇𝜇 x\r\nab"))
    assert places.position((1, 6)) == types.Position(0, 7)
    assert places.own(types.Position(0, 7)) == (1, 6)
    assert places.range(Span(2, 1, 2, 3)).end == types.Position(1, 2)
    assert places.whole().end == types.Position(2, 0)
