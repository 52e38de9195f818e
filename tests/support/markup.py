"""What there is to know of a page without a browser: whether it is well formed, ids, links."""

from __future__ import annotations

from html.parser import HTMLParser

EMPTY = {"meta", "br"}  # elements without an end
FETCHING = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "audio", "video"}


class Markup(HTMLParser):
    """A page or a piece of one, which must be nested: its `ids`, `links`, `classes`, `text`."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.classes: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), (tag, attrs)
        assert tag not in FETCHING and not {"src", "srcset", "style", "onclick"} & set(given), tag
        if "id" in given:
            self.ids.append(str(given["id"]))
        if "href" in given:
            assert str(given["href"]).startswith("#"), given
            self.links.append(str(given["href"])[1:])
        self.classes += str(given.get("class", "")).split()
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def stands_alone(text: str) -> Markup:
    """The page, which is well formed, refers to nothing outside, and leads only to what it has."""
    found = Markup(text)
    assert len(set(found.ids)) == len(found.ids)
    assert set(found.links) <= set(found.ids), set(found.links) - set(found.ids)
    assert not any(word in text for word in ("url(", "@import", "javascript:"))
    return found
