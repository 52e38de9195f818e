"""Checks as workflow commands of GitHub Actions, which shows them at their lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from abcparam.verdict.results import CheckResult, placed, whole_message

LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
DATA: Mapping[str, str] = {
    "%": "%25",
    "\r": "%0D",
    "\n": "%0A",
}  # what a message may not hold, and stands for it
PROPERTY = {**DATA, ":": "%3A", ",": "%2C"}  # in a property too


def report_github(results: Iterable[CheckResult]) -> str:
    """A line for each diagnostic: `::error file=…,line=…,col=…,title=…::…`."""
    return "".join(line for result in results for line in _commands(result))


def _commands(result: CheckResult) -> Iterable[str]:
    for diagnostic, file, span in placed(result):
        properties: dict[str, object] = {"file": file}
        if span is not None:
            properties |= {"line": span.line, "endLine": span.end_line, "col": span.column}
        if span is not None and span.end_line == span.line:
            properties["endColumn"] = span.end_column
        properties["title"] = f"abcparam {diagnostic.code}"
        listed = ",".join(f"{k}={_escaped(str(v), PROPERTY)}" for k, v in properties.items())
        message = _escaped(whole_message(diagnostic), DATA)
        yield f"::{LEVELS[diagnostic.severity]} {listed}::{message}\n"


def _escaped(text: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(character, character) for character in text)
