"""A configuration as settings by name, each with its place: flags, `key: value`, `key = value`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import DiagnosticRule, SpecError
from abcparam.diagnostics.rules import recipes as rules
from abcparam.diagnostics.source import START, Source, Span
from abcparam.pipeline import exact
from abcparam.python_code.layout import decimal

VALUE = r"(\"[^\"]*\"|'[^']*'|[^\s,;}\]#\\]+)"
FLAG = re.compile(rf"--([A-Za-z][\w-]*)(?:(?:\s*[=:]\s*|\s+)(?!--){VALUE})?")
PAIR = re.compile(rf"[\"']?\b([A-Za-z]\w*)[\"']?\s*[:=]\s*{VALUE}")
COMMENT = re.compile(r"(^|\s)#.*")
YES, NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class WrittenSetting(Record):
    """What a configuration says of one name; a flag without a value says `true`."""

    text: str
    span: Span


class ConfigSettings(Record):
    """The settings of a configuration by name, in small letters with `_` between words.

    Of a name that is written twice the last counts, as it does for projects.
    """

    source: Source
    written: Mapping[str, WrittenSetting]

    def has(self, name: str) -> bool:
        return name in self.written

    def place(self, *names: str) -> Span:
        """Where the first of these that is written stands; the whole file where none is."""
        return next((self.written[name].span for name in names if name in self.written), START)

    def word(self, name: str, default: str | None = None) -> str:
        if name in self.written:
            return self.written[name].text
        if default is not None:
            return default
        raise self.refusal(rules.MissingConfigSetting, name)

    def number(self, name: str, default: str | None = None) -> Fraction:
        text = self.word(name, default)
        try:
            return exact(text.replace("_", ""))
        except ValueError:
            raise self.refusal(rules.UnreadableSetting, name, wanted="a number") from None

    def text(self, name: str, default: str | None = None) -> str:
        """A number as the language writes it."""
        return text_of(self.number(name, default))

    def positive(self, name: str, default: str | None = None) -> Fraction:
        found = self.number(name, default)
        if found <= 0:
            raise self.refusal(rules.UnreadableSetting, name, wanted="a positive number")
        return found

    def whole(self, name: str, default: int | None = None) -> int:
        found = self.number(name, None if default is None else str(default))
        if found.denominator != 1 or found < 1:
            raise self.refusal(rules.UnreadableSetting, name, wanted="a positive whole number")
        return int(found)

    def flag(self, name: str, default: bool = False) -> bool:
        text = self.word(name, str(default)).lower()
        if text not in YES | NO:
            raise self.refusal(rules.UnreadableSetting, name, wanted="true or false")
        return text in YES

    def refusal(self, rule: type[DiagnosticRule], name: str, **fields: object) -> SpecError:
        """The error of a rule at the place of a setting."""
        value = self.written[name].text if name in self.written else ""
        return SpecError(self.source, [rule.at(self.place(name), name=name, value=value, **fields)])


def text_of(value: Fraction) -> str:
    """A number as the language and configurations write it; a quotient where it has no decimals."""
    return decimal(value) or str(value)


def settings_of(source: Source) -> ConfigSettings:
    """The settings of a configuration, whatever the format: they are found line by line."""
    found: dict[str, WrittenSetting] = {}
    for number, line in enumerate(source.lines, 1):
        for name, text, start, end in _pairs(COMMENT.sub(r"\1", line)):
            span = Span(number, start + 1, number, end + 1)
            found[name.lower().replace("-", "_")] = WrittenSetting(text, span)
    return ConfigSettings(source, found)


def _pairs(line: str) -> Iterator[tuple[str, str, int, int]]:
    pattern = FLAG if FLAG.search(line) else PAIR
    for match in pattern.finditer(line):
        yield match[1], (match[2] or "true").strip("\"'"), match.start(), match.end()
