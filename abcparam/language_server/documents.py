"""Documents of an editor: their texts, and places in them in the units of its client."""

from __future__ import annotations

import os
from collections.abc import Iterable

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument

from abcparam.diagnostics.diagnostic import Replacement
from abcparam.diagnostics.source import START, Source, Span
from abcparam.editor.words import Position


def source_of(document: TextDocument) -> Source:
    """The text as the compiler takes it: lines end in `\\n`."""
    path = to_fs_path(document.uri) if document.uri.startswith("file:") else None
    text = document.source.replace("\r\n", "\n")
    return Source(text, path or document.uri, os.path.dirname(path) if path else None)


class ClientPlaces:
    """Converts places of a text to those of a client, whose columns count from 0 in its own units.

    A place that the text does not have becomes the nearest one that it has.
    """

    def __init__(self, document: TextDocument) -> None:
        self.lines = [line.rstrip("\r\n") for line in document.lines]
        self.codec = document.position_codec

    def position(self, position: Position) -> types.Position:
        line = min(position[0] - 1, len(self.lines))
        text = self.lines[line] if line < len(self.lines) else ""
        return types.Position(line, int(self.codec.client_num_units(text[: position[1] - 1])))

    def range(self, span: Span) -> types.Range:
        return types.Range(self.position(span.start), self.position(span.end))

    def own(self, position: types.Position) -> Position:
        """The place in the text that a client's is."""
        found = self.codec.position_from_client_units(self.lines, position)
        return found.line + 1, found.character + 1

    def whole(self) -> types.Range:
        """From the first character to the last."""
        return types.Range(types.Position(0, 0), self.position((len(self.lines) + 1, 1)))

    def edits(self, edit: Iterable[Replacement]) -> list[types.TextEdit]:
        return [types.TextEdit(self.range(made.span), made.text) for made in edit]

    def shown(self, span: Span) -> types.Range:
        """The range of a diagnostic; of one about the file as a whole, its first line."""
        if span == START and self.lines:
            return self.range(Span(1, 1, 1, len(self.lines[0]) + 1))
        return self.range(span)
