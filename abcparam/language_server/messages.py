"""What `abcparam.editor` says, as messages of the protocol."""

from __future__ import annotations

from collections.abc import Iterable

from lsprotocol import types

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.editor.colours import Coloured
from abcparam.editor.completion import Completion
from abcparam.editor.hints import Hint
from abcparam.editor.outline import Symbol
from abcparam.language_server.documents import ClientPlaces

SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}
SYMBOLS = {
    "model": types.SymbolKind.Module,
    "dim": types.SymbolKind.TypeParameter,
    "hyper": types.SymbolKind.Constant,
    "symbol": types.SymbolKind.Constant,
    "parametrization": types.SymbolKind.Object,
    "tensor": types.SymbolKind.Array,
    "block": types.SymbolKind.Class,
    "forward": types.SymbolKind.Function,
    "label": types.SymbolKind.Namespace,
    "optimizer": types.SymbolKind.Event,
}
ITEMS = {
    "keyword": types.CompletionItemKind.Keyword,
    "function": types.CompletionItemKind.Function,
    "constant": types.CompletionItemKind.EnumMember,
    "key": types.CompletionItemKind.Property,
    "dim": types.CompletionItemKind.TypeParameter,
    "hyper": types.CompletionItemKind.Constant,
    "symbol": types.CompletionItemKind.Constant,
    "tensor": types.CompletionItemKind.Field,
    "block": types.CompletionItemKind.Class,
    "instance": types.CompletionItemKind.Module,
    "label": types.CompletionItemKind.Module,
}
TOKENS = {  # of `colours`: the protocol's own
    "comment": "comment",
    "keyword": "keyword",
    "number": "number",
    "string": "string",
    "operator": "operator",
    "function": "function",
    "constant": "enumMember",
    "key": "property",
    "model": "namespace",
    "dim": "type",
    "hyper": "variable",
    "symbol": "variable",
    "tensor": "property",
    "block": "class",
    "instance": "namespace",
    "label": "namespace",
    "parameter": "parameter",
    "local": "variable",
}
TYPES = sorted(set(TOKENS.values()))
LEGEND = types.SemanticTokensLegend(TYPES, ["declaration"])


def diagnostic(found: Diagnostic, places: ClientPlaces, uri: str) -> types.Diagnostic:
    """The message, what stands beside the caret, the way out; notes as related information."""
    place = types.Location(uri, places.shown(found.span))
    texts = (found.message, found.label, found.help and f"help: {found.help}")
    return types.Diagnostic(
        place.range,
        "\n".join(text for text in texts if text),
        SEVERITIES[found.severity],
        found.code,
        source="abcparam",
        related_information=[
            types.DiagnosticRelatedInformation(place, note) for note in found.notes
        ],
    )


def hint(found: Hint, places: ClientPlaces) -> types.InlayHint:
    """A client that can colour hints finds in the data whether one tells of something wrong."""
    data = {"wrong": found.wrong}
    return types.InlayHint(
        places.position(found.position), found.text, padding_left=True, data=data
    )


def item(found: Completion, rank: int, places: ClientPlaces) -> types.CompletionItem:
    return types.CompletionItem(
        found.label,
        kind=ITEMS.get(found.kind, types.CompletionItemKind.Variable),
        label_details=types.CompletionItemLabelDetails(description=found.detail),
        documentation=markdown(found.documentation) if found.documentation else None,
        sort_text=f"{rank:03}",
        filter_text=found.label,
        text_edit=types.TextEdit(places.range(found.span), found.label),
    )


def symbol(found: Symbol, places: ClientPlaces) -> types.DocumentSymbol:
    return types.DocumentSymbol(
        found.name,
        SYMBOLS[found.kind],
        places.range(found.span),
        places.range(found.name_span),
        found.detail,
        children=[symbol(inner, places) for inner in found.inside],
    )


def tokens(found: Iterable[Coloured], places: ClientPlaces) -> types.SemanticTokens:
    """Each as the protocol has it: by how much it is further than the one before."""
    data: list[int] = []
    line, character = 0, 0
    for word in found:
        if word.kind in TOKENS:
            place = places.range(word.span)
            start = place.start
            data += [
                start.line - line,
                start.character - (character if start.line == line else 0),
                place.end.character - start.character,
                TYPES.index(TOKENS[word.kind]),
                int(word.declares),
            ]
            line, character = start.line, start.character
    return types.SemanticTokens(data)


def markdown(text: str) -> types.MarkupContent:
    return types.MarkupContent(types.MarkupKind.Markdown, text)
