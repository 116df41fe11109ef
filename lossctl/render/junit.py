"""Verdicts as JUnit XML: one test case per check and group, with unique names."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from lossctl.render.gate_table import compared, explained, summary
from lossctl.render.text import shown
from lossctl.verdicts import Report, Verdict

__all__ = ["render_junit"]

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: object) -> str:
    """`text` with what XML cannot hold spelt out."""
    return _ILLEGAL.sub(lambda found: f"\\u{ord(found[0]):04x}", shown(text))


def render_junit(report: Report) -> str:
    """A failing verdict is a failure, one that is let pass or only warned of is skipped with its reason."""
    failures = sum(verdict.counts_as == "failure" for verdict in report.verdicts)
    skipped = sum(_skipped(verdict) for verdict in report.verdicts)
    counts = {
        "tests": str(len(report.verdicts)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
    }
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "lossctl gate", **counts})
    taken: set[str] = set()
    for verdict in report.verdicts:
        _case(suite, verdict, _unique(xml_text(verdict.label), taken))
    ET.SubElement(suite, "system-out").text = xml_text(summary(report))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, verdict: Verdict, name: str) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": "lossctl.gate", "name": name})
    properties = ET.SubElement(case, "properties")
    for key, value in _properties(verdict):
        ET.SubElement(properties, "property", {"name": key, "value": xml_text(value)})
    if verdict.counts_as == "pass" and verdict.outcome == "pass":
        return
    rules = [rule for rule in verdict.rules if rule.outcome != "pass"]
    lines = [
        ": ".join(filter(None, (rule.kind, compared(verdict, rule, 17), explained(verdict, rule, 17))))
        for rule in rules
    ]
    tag = "skipped" if _skipped(verdict) else "failure"
    details = {"message": xml_text("; ".join(lines))}
    if tag == "failure":
        details["type"] = verdict.outcome
    ET.SubElement(case, tag, details)


def _skipped(verdict: Verdict) -> bool:
    return verdict.outcome != "pass" and verdict.counts_as != "failure"


def _properties(verdict: Verdict) -> list[tuple[str, object]]:
    made: list[tuple[str, object]] = [("spec", verdict.check.spec), ("rows", verdict.rows)]
    if verdict.value is not None:
        made.append(("value", repr(verdict.value)))
    if verdict.interval is not None and verdict.interval.low == verdict.interval.low:
        found = verdict.interval
        made += [("ci.level", repr(found.level)), ("ci.low", repr(found.low)), ("ci.high", repr(found.high))]
    for rule in verdict.rules:
        if rule.limit is not None:
            made.append((f"limit.{rule.kind}", repr(rule.limit)))
        if rule.baseline is not None:
            made.append(("baseline", repr(rule.baseline)))
    if verdict.signature:
        made.append(("signature", verdict.signature))
    return [
        *made,
        ("verdict", verdict.outcome),
        ("severity", verdict.check.severity),
        ("needs", verdict.check.needs),
    ]


def _unique(name: str, taken: set[str]) -> str:
    made, count = name, 1
    while made in taken:
        count += 1
        made = f"{name} ({count})"
    taken.add(made)
    return made
