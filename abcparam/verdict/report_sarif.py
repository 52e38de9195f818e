"""Checks as SARIF 2.1.0, which code scanning of GitHub, GitLab and editors read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.explain import codes, meaning, told
from abcparam.diagnostics.source import Source, Span
from abcparam.editing.exponents import UnwritableError, edited
from abcparam.verdict.changes import texts_of, values_of
from abcparam.verdict.report import Report
from abcparam.verdict.results import CheckResult, placed, source_of, whole_message

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def report_sarif(results: Iterable[CheckResult], version: str) -> dict[str, Any]:
    """The log of one run of this `version`: its rules, and a result for each diagnostic."""
    found = [entry for result in results for entry in _results(result)]
    named = sorted({entry["ruleId"] for entry in found})
    for entry in found:
        entry["ruleIndex"] = named.index(entry["ruleId"])
    driver = {"name": "abcparam", "version": version, "rules": [_rule(code) for code in named]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": found}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    rule = codes()[code]
    return {
        "id": code,
        "name": rule.__name__,
        "shortDescription": {"text": told(rule)},
        "fullDescription": {"text": meaning(rule)},
        "help": {"text": f"{meaning(rule)}\n\nabcparam explain {code} says this too."},
        "defaultConfiguration": {"level": rule.severity},
    }


def _results(result: CheckResult) -> Iterator[dict[str, Any]]:
    fixes = _fixes(result) if isinstance(result, Report) else []
    for diagnostic, file, span in placed(result):
        place: dict[str, Any] = {"artifactLocation": _artifact(file)}
        if span is not None:
            place["region"] = _region(span)
        yield {
            "ruleId": diagnostic.code,
            "level": diagnostic.severity,
            "message": {"text": whole_message(diagnostic)},
            "locations": [{"physicalLocation": place}],
            **({"fixes": fixes} if fixes and _told_by(diagnostic, result) else {}),
        }


def _artifact(file: str) -> dict[str, str]:
    from pathlib import Path
    from urllib.parse import quote

    path = Path(file)
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix()), "uriBaseId": "%SRCROOT%"}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _told_by(diagnostic: Diagnostic, result: CheckResult) -> bool:
    """Whether the way out that a diagnostic tells of is the fix."""
    changes = ", ".join(dict.fromkeys(map(str, result.fix))) if isinstance(result, Report) else ""
    return bool(changes) and changes in diagnostic.help


def _fixes(report: Report) -> list[dict[str, Any]]:
    """The fix as what takes the place of which lines; none where there is none to be written."""
    if not report.fix:
        return []
    source = source_of(report)
    try:
        text = edited(report.program, values_of(report.fix), texts_of(report.fix))
    except UnwritableError:
        return []
    change = {
        "artifactLocation": _artifact(source.file),
        "replacements": list(_replacements(source, text)),
    }
    what = ", ".join(dict.fromkeys(map(str, report.fix)))
    return [{"description": {"text": what}, "artifactChanges": [change]}]


def _replacements(source: Source, text: str) -> Iterator[dict[str, Any]]:
    """The lines of the source that another text has otherwise, and its own."""
    before, after = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if tag != "equal":
            deleted = Span(start + 1, 1, *_line_after(before, end))
            yield {
                "deletedRegion": _region(deleted),
                "insertedContent": {"text": "".join(after[first:last])},
            }


def _line_after(lines: list[str], count: int) -> tuple[int, int]:
    """Where the lines so far end: at the start of the next one, or of the text."""
    if 0 < count == len(lines) and not lines[-1].endswith("\n"):
        return count, len(lines[-1]) + 1
    return count + 1, 1
