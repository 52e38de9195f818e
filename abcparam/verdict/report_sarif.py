"""Checks as SARIF 2.1.0, which code scanning of GitHub, GitLab and editors read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.explain import codes, meaning, told
from abcparam.diagnostics.source import Span
from abcparam.verdict.results import CheckResult, placed, whole_message

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
    for diagnostic, file, span in placed(result):
        place: dict[str, Any] = {"artifactLocation": _artifact(file)}
        if span is not None:
            place["region"] = _region(span)
        yield {
            "ruleId": diagnostic.code,
            "level": diagnostic.severity,
            "message": {"text": whole_message(diagnostic)},
            "locations": [{"physicalLocation": place}],
            **({"fixes": [_fix(diagnostic, file)]} if diagnostic.edit else {}),
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


def _fix(diagnostic: Diagnostic, file: str) -> dict[str, Any]:
    """What its help says, as what takes the place of which stretches."""
    change = {
        "artifactLocation": _artifact(file),
        "replacements": [
            {"deletedRegion": _region(made.span), "insertedContent": {"text": made.text}}
            for made in diagnostic.edit
        ],
    }
    return {"description": {"text": diagnostic.help}, "artifactChanges": [change]}
