"""Verdicts as workflow commands that GitHub shows as annotations, and the step summary's size."""

from __future__ import annotations

from lossctl.render.gate_table import compared, explained, gate_markdown, summary
from lossctl.render.text import shown
from lossctl.verdicts import Report, Verdict

__all__ = ["render_github", "step_summary"]

MOST = 10  # what GitHub shows of one step
SUMMARY_BYTES = 1 << 20  # a larger one is refused whole
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def render_github(report: Report) -> str:
    """An error or warning per check that is no plain pass, failures first, at most ten; then the summary."""
    told = [v for v in report.verdicts if v.counts_as == "failure"]
    told += [v for v in report.verdicts if v.counts_as == "warning"]
    told += [v for v in report.verdicts if v.counts_as == "pass" and v.outcome != "pass"]
    lines = [_annotation(verdict) for verdict in told[:MOST]]
    if len(told) > MOST:
        lines.append(f"and {len(told) - MOST} more, {len(told)} in all")
    return "\n".join([*lines, summary(report)]) + "\n"


def _annotation(verdict: Verdict) -> str:
    level = {"failure": "error", "warning": "warning", "pass": "notice"}[verdict.counts_as]
    parts = [
        " ".join(filter(None, (compared(verdict, rule), f"({explained(verdict, rule)})")))
        for rule in verdict.rules
        if rule.outcome != "pass"
    ]
    title = shown(f"lossctl gate: {verdict.label}").translate(_PROPERTY)
    return f"::{level} title={title}::{shown(f'{verdict.label}: ' + '; '.join(parts)).translate(_DATA)}"


def step_summary(report: Report, room: int = SUMMARY_BYTES) -> str:
    """The Markdown table, cut at a line with a note when it would not fit."""
    text = gate_markdown(report)
    if len(text.encode()) <= room:
        return text
    note = f"\n\n{summary(report)}; the table is cut: it is larger than GitHub takes\n"
    kept = text.encode()[: max(room - len(note.encode()), 0)].decode("utf-8", "ignore")
    return kept.rpartition("\n")[0] + note
