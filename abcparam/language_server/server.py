"""The server: each request of an editor is answered from the analysis of the text as it is.

What takes a search runs apart from typing, and is cancelled by the next edit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.editor.actions import quick_fixes
from abcparam.editor.analysis import Analysis, analyse
from abcparam.editor.colours import coloured
from abcparam.editor.completion import complete
from abcparam.editor.hints import hints
from abcparam.editor.hover import hover
from abcparam.editor.index import Occurrence
from abcparam.editor.outline import outline
from abcparam.editor.rename import rename
from abcparam.editor.words import Position
from abcparam.language.formatter import format_source
from abcparam.language_server import messages
from abcparam.language_server.documents import ClientPlaces, source_of
from abcparam.language_server.search import searched

TRIGGERS = [" ", ".", "(", "[", "="]  # after these completions are offered unasked


class PlaceParams(Protocol):
    """What all requests about a place in a document have."""

    text_document: types.TextDocumentIdentifier
    position: types.Position


class KnownDocument(Record):
    """What is known of a version of a document; `diagnostics` after a search, its own."""

    version: int | None
    analysis: Analysis
    diagnostics: tuple[Diagnostic, ...]


class SpecServer(LanguageServer):
    """A server that knows each open document."""

    def __init__(self, version: str) -> None:
        super().__init__("abcparam", version)
        self.known: dict[str, KnownDocument] = {}
        self.following: dict[str, asyncio.Task[None]] = {}

    def analysis(self, uri: str) -> Analysis:
        """The analysis of a document as it is now."""
        document = self.workspace.get_text_document(uri)
        known = self.known.get(uri)
        if known is None or known.version != document.version:
            analysis = analyse(source_of(document), known.analysis if known else None)
            self.known[uri] = known = KnownDocument(
                document.version, analysis, analysis.diagnostics
            )
        return known.analysis

    def places(self, uri: str) -> ClientPlaces:
        return ClientPlaces(self.workspace.get_text_document(uri))

    def asked(self, params: PlaceParams) -> tuple[Analysis, ClientPlaces, Position]:
        """What is known of the document that is asked about, and the place in it."""
        uri = params.text_document.uri
        places = self.places(uri)
        return self.analysis(uri), places, places.own(params.position)

    # Diagnostics

    def edited(self, uri: str) -> None:
        """Says what there is to say of a document, then what takes a search."""
        self.forget(uri)
        self.following[uri] = asyncio.get_running_loop().create_task(self.follow(uri))

    def forget(self, uri: str) -> None:
        """Cancels the search that may be under way."""
        task = self.following.pop(uri, None)
        if task is not None:
            task.cancel()

    async def follow(self, uri: str) -> None:
        await asyncio.sleep(0)  # edits that have come together are analysed together
        analysis = self.analysis(uri)
        self.publish(uri)
        if analysis.open:
            found = await searched(analysis.source)
            if found is not None:
                self.known[uri] = KnownDocument(self.known[uri].version, analysis, found)
                self.publish(uri)

    def publish(self, uri: str) -> None:
        known, places = self.known[uri], self.places(uri)
        said = [messages.diagnostic(d, places, uri) for d in known.diagnostics]
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, said, known.version)
        )


def make_server(version: str) -> SpecServer:
    """A server with all that it answers."""
    server = SpecServer(version)
    for feature, answer, options in FEATURES:
        server.feature(feature, options)(answer)
    return server


# Documents


def opened(server: SpecServer, params: types.DidOpenTextDocumentParams) -> None:
    server.edited(params.text_document.uri)


def changed(server: SpecServer, params: types.DidChangeTextDocumentParams) -> None:
    server.edited(params.text_document.uri)


def closed(server: SpecServer, params: types.DidCloseTextDocumentParams) -> None:
    uri = params.text_document.uri
    server.forget(uri)
    server.known.pop(uri, None)
    server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


# Answers


def completions(server: SpecServer, params: types.CompletionParams) -> list[types.CompletionItem]:
    analysis, places, position = server.asked(params)
    unasked = (
        params.context is not None
        and params.context.trigger_kind is types.CompletionTriggerKind.TriggerCharacter
    )
    found = complete(analysis, position, unasked)
    return [messages.item(completion, rank, places) for rank, completion in enumerate(found)]


def hovered(server: SpecServer, params: types.HoverParams) -> types.Hover | None:
    analysis, places, position = server.asked(params)
    found = hover(analysis, position)
    return types.Hover(messages.markdown(found.text), places.range(found.span)) if found else None


def inlay_hints(server: SpecServer, params: types.InlayHintParams) -> list[types.InlayHint]:
    uri = params.text_document.uri
    places, shown = server.places(uri), params.range
    return [
        messages.hint(hint, places)
        for hint in hints(server.analysis(uri))
        if shown.start.line < hint.position[0] <= shown.end.line + 1
    ]


def _occurrences(server: SpecServer, params: PlaceParams) -> list[tuple[Occurrence, types.Range]]:
    """The places of what is named at a place."""
    analysis, places, position = server.asked(params)
    what = analysis.index.at(position)
    found = analysis.index.of(what) if what else ()
    return [(occurrence, places.range(occurrence.span)) for occurrence in found]


def definition(server: SpecServer, params: types.DefinitionParams) -> list[types.Location]:
    uri = params.text_document.uri
    return [types.Location(uri, at) for o, at in _occurrences(server, params) if o.declares]


def references(server: SpecServer, params: types.ReferenceParams) -> list[types.Location]:
    uri, whole = params.text_document.uri, params.context.include_declaration
    found = _occurrences(server, params)
    return [types.Location(uri, at) for o, at in found if whole or not o.declares]


def highlights(
    server: SpecServer, params: types.DocumentHighlightParams
) -> list[types.DocumentHighlight]:
    return [types.DocumentHighlight(at) for _, at in _occurrences(server, params)]


def prepare_rename(server: SpecServer, params: types.PrepareRenameParams) -> types.Range | None:
    analysis, places, position = server.asked(params)
    what = analysis.index.at(position)
    return places.range(what.span) if what else None


def renamed(server: SpecServer, params: types.RenameParams) -> types.WorkspaceEdit:
    analysis, places, position = server.asked(params)
    made = rename(analysis, position, params.new_name)
    if made.problem:
        raise JsonRpcInvalidParams(made.problem)
    return types.WorkspaceEdit({params.text_document.uri: places.edits(made.edit)})


def symbols(server: SpecServer, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    uri = params.text_document.uri
    places = server.places(uri)
    return [messages.symbol(found, places) for found in outline(server.analysis(uri))]


def semantic_tokens(server: SpecServer, params: types.SemanticTokensParams) -> types.SemanticTokens:
    uri = params.text_document.uri
    return messages.tokens(coloured(server.analysis(uri)), server.places(uri))


def formatting(
    server: SpecServer, params: types.DocumentFormattingParams
) -> list[types.TextEdit] | None:
    uri = params.text_document.uri
    source = server.analysis(uri).source
    try:
        text = format_source(source)
    except SpecError:
        return None
    return [types.TextEdit(server.places(uri).whole(), text)] if text != source.text else []


def code_actions(server: SpecServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    uri = params.text_document.uri
    places = server.places(uri)
    server.analysis(uri)
    found = quick_fixes(server.known[uri].diagnostics)
    return [
        types.CodeAction(
            fix.title,
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[messages.diagnostic(fix.diagnostic, places, uri)],
            edit=types.WorkspaceEdit({uri: places.edits(fix.edit)}),
        )
        for fix in found
        if _touches(places.shown(fix.diagnostic.span), params.range)
    ]


def _touches(one: types.Range, other: types.Range) -> bool:
    return one.start <= other.end and other.start <= one.end


FEATURES: list[tuple[str, Callable[..., object], object]] = [
    (types.TEXT_DOCUMENT_DID_OPEN, opened, None),
    (types.TEXT_DOCUMENT_DID_CHANGE, changed, None),
    (types.TEXT_DOCUMENT_DID_CLOSE, closed, None),
    (types.TEXT_DOCUMENT_COMPLETION, completions, types.CompletionOptions(TRIGGERS)),
    (types.TEXT_DOCUMENT_HOVER, hovered, None),
    (types.TEXT_DOCUMENT_INLAY_HINT, inlay_hints, None),
    (types.TEXT_DOCUMENT_DEFINITION, definition, None),
    (types.TEXT_DOCUMENT_REFERENCES, references, None),
    (types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT, highlights, None),
    (types.TEXT_DOCUMENT_PREPARE_RENAME, prepare_rename, None),
    (types.TEXT_DOCUMENT_RENAME, renamed, types.RenameOptions(prepare_provider=True)),
    (types.TEXT_DOCUMENT_DOCUMENT_SYMBOL, symbols, None),
    (types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, semantic_tokens, messages.LEGEND),
    (types.TEXT_DOCUMENT_FORMATTING, formatting, None),
    (
        types.TEXT_DOCUMENT_CODE_ACTION,
        code_actions,
        types.CodeActionOptions([types.CodeActionKind.QuickFix]),
    ),
]
