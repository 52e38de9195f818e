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
KEY = re.compile(r"(\s*(?:-\s+)*)[\"']?([A-Za-z]\w*)[\"']?\s*:")
OPENING = re.compile(r"\s*\{?\s*$")  # what is behind the key of a block
ITEM = re.compile(rf"(\s*)-\s+{VALUE}\s*$")
SEQUENCE = re.compile(r"\[([^\]]*)\]")
COMMENT = re.compile(r"(^|\s)#.*")
OFF = {"false", "none", "null", "~", "0", "0.0"}
YES, NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class WrittenSetting(Record):
    """What a configuration says of one name; a flag without a value says `true`."""

    text: str
    span: Span


class ConfigSettings(Record):
    """The settings of a configuration by name, in small letters with `_` between words.

    Of a name that is written twice the last counts, as it does for projects. What stands in a
    block is known by itself and as `block.name`, a block in another too, an entry of a list as
    `name.0`.
    """

    source: Source
    written: Mapping[str, WrittenSetting]

    def has(self, name: str) -> bool:
        return name in self.written

    def within(self, block: str) -> tuple[str, ...]:
        """The full names of what stands in a block, in the order of writing."""
        return tuple(name for name in self.written if name.startswith(f"{block}."))

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

    def is_on(self, name: str) -> bool:
        """Whether it is written, and as something else than off, none or zero."""
        return self.has(name) and self.word(name).lower() not in OFF

    def part(self, name: str, of: int, whole: str, default: int | None = None) -> int:
        """A whole number that divides another one; `whole` says which that is."""
        found = self.whole(name, default)
        if of % found:
            raise self.refusal(rules.UnreadableSetting, name, wanted=f"a part of {whole}")
        return found

    def chosen(self, name: str, known: Mapping[str, str], default: str) -> str:
        """What a word of the configuration is in a spec."""
        word = self.word(name, default)
        if word not in known:
            raise self.refusal(rules.UnreadableSetting, name, wanted=" or ".join(known))
        return known[word]

    def refusal(self, rule: type[DiagnosticRule], name: str, **fields: object) -> SpecError:
        """The error of a rule at the place of a setting."""
        value = self.written[name].text if name in self.written else ""
        return SpecError(self.source, [rule.at(self.place(name), name=name, value=value, **fields)])


def text_of(value: Fraction) -> str:
    """A number as the language and configurations write it; a quotient where it has no decimals."""
    return decimal(value) or str(value)


def in_digits(value: float) -> Fraction:
    """A number in as many digits as a configuration has."""
    return Fraction(f"{value:.12g}")


def yaml_of(value: object) -> str:
    """A value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def word_for(known: Mapping[str, str], chosen: str) -> str:
    """What a configuration calls it."""
    return next(word for word, meant in known.items() if meant == chosen)


def settings_of(source: Source) -> ConfigSettings:
    """The settings of a configuration, whatever the format: they are found line by line."""
    found: dict[str, WrittenSetting] = {}
    blocks = _Blocks()
    for number, line in enumerate(source.lines, 1):
        said = COMMENT.sub(r"\1", line)
        block = blocks.around(said)
        pairs = [*_pairs(said)]
        for name, text, start, end in pairs:
            span = Span(number, start + 1, number, end + 1)
            _keep(found, block, _setting(name), WrittenSetting(text, span))
            for place, entry in enumerate(_entries(said[start:]) if len(pairs) == 1 else ()):
                found[f"{_setting(name)}.{place}"] = WrittenSetting(entry, span)
        for name, text, start, end in blocks.opened(said):
            found[name] = WrittenSetting(text, Span(number, start + 1, number, end + 1))
    return ConfigSettings(source, found)


def _setting(name: str) -> str:
    return name.lower().replace("-", "_")


def _keep(found: dict[str, WrittenSetting], block: str, name: str, setting: WrittenSetting) -> None:
    found[name] = setting
    if block:
        found[f"{block}.{name}"] = setting


def _pairs(line: str) -> Iterator[tuple[str, str, int, int]]:
    pattern = FLAG if FLAG.search(line) else PAIR
    for match in pattern.finditer(line):
        yield match[1], (match[2] or "true").strip("\"'"), match.start(), match.end()


def _entries(text: str) -> list[str]:
    """Those of a list on one line."""
    match = SEQUENCE.search(text)
    return [entry.strip().strip("\"'") for entry in match[1].split(",")] if match else []


class _Blocks:
    """The blocks that lines are indented into."""

    def __init__(self) -> None:
        self.open: list[tuple[int, str]] = []
        self.entries = 0  # of the innermost

    def around(self, line: str) -> str:
        """The block in which the key of a line stands; none where it has no key."""
        key = KEY.match(line)
        if not key:
            return ""
        while self.open and self.open[-1][0] >= len(key[1]):
            self.open.pop()
        return self.open[-1][1] if self.open else ""

    def opened(self, line: str) -> Iterator[tuple[str, str, int, int]]:
        """The block that a line opens within another; an entry of a list in one."""
        key, entry = KEY.match(line), ITEM.match(line)
        if key and OPENING.match(line, key.end()):
            name = _setting(key[2])
            if self.open:
                yield f"{self.open[-1][1]}.{name}", "", key.start(2), key.end(2)
            self.open.append((len(key[1]), name))
            self.entries = 0
        elif entry and self.open:
            yield f"{self.open[-1][1]}.{self.entries}", entry[2], entry.start(2), entry.end(2)
            self.entries += 1
