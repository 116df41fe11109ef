"""Verdicts as a table for people, and as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator

from lossctl.errors import counted
from lossctl.render.text import cells, markdown_code, markdown_text, pad, shown
from lossctl.verdicts import FAIL, INCONCLUSIVE, NOT_SIGNIFICANT, Report, Rule, Verdict

__all__ = ["compared", "explained", "gate_markdown", "gate_table", "summary"]

DIGITS = 6
_MARKS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "????", "not-significant": "WARN"}
_COLORS = {"PASS": "32", "FAIL": "1;31", "WARN": "33", "????": "33"}
_SIGNS = {("max", False): "<=", ("max", True): ">", ("min", False): ">=", ("min", True): "<"}


def gate_table(report: Report, *, digits: int = DIGITS, color: bool = False, verbose: bool = False) -> str:
    """One line per check, group and rule; the account below."""
    rows = [
        [_mark(verdict, rule), shown(verdict.label), compared(verdict, rule, digits), shown(text)]
        for verdict in report.verdicts
        for rule, text in ((rule, explained(verdict, rule, digits)) for rule in verdict.rules)
    ]
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        padded = [pad(text, width, False) for text, width in zip(row, widths, strict=True)]
        if color:
            padded[0] = f"\x1b[{_COLORS[row[0]]}m{padded[0]}\x1b[0m"
        lines.append("  ".join(padded).rstrip())
    return "\n".join([*lines, "", *map(shown, report.row_notes(verbose)), summary(report)]) + "\n"


def gate_markdown(report: Report, *, digits: int = DIGITS) -> str:
    """The same as a Markdown table under a heading that says the verdict."""
    lines = [
        f"### lossctl gate: {'failed' if report.failed else 'passed'}",
        "",
        "| verdict | check | value | note |",
        "| --- | --- | --- | --- |",
    ]
    for verdict in report.verdicts:
        for rule in verdict.rules:
            texts = (verdict.label, compared(verdict, rule, digits), explained(verdict, rule, digits))
            cells_ = " | ".join(markdown_text(text) for text in texts)
            mark = "not significant" if rule.outcome == NOT_SIGNIFICANT else _mark(verdict, rule)
            lines.append(f"| {mark.replace('????', 'inconclusive')} | {cells_} |")
    signatures = dict.fromkeys(v.signature for v in report.verdicts if v.signature)
    for note in (*report.row_notes(), summary(report)):
        lines += ["", markdown_text(note)]
    if signatures:
        lines += ["", "Signature: " + ", ".join(map(markdown_code, signatures))]
    return "\n".join(lines) + "\n"


def summary(report: Report) -> str:
    counts = report.counts
    noun = "check" if counts["checks"] == 1 else "checks"
    names = ("passed", "failed", "inconclusive", "not_significant")
    parts = [f"{counts[name]} {name.replace('_', ' ')}" for name in names if counts[name]]
    warned = f" ({counts['warnings']} only warned of)" if counts["warnings"] else ""
    return f"{counts['checks']} {noun}: {', '.join(parts)}{warned}"


def compared(verdict: Verdict, rule: Rule, digits: int = DIGITS) -> str:
    """`0.12535 <= 0.13`, with as many digits as it takes to look as it is."""
    if rule.kind == "min-rows":
        return f"{counted(verdict.rows - verdict.weightless, 'row', 'rows')} < {rule.limit:,.0f}"
    if verdict.value is None:
        return ""
    if rule.limit is None:
        return _number(verdict.value, digits)
    value = verdict.value
    breached = rule.outcome == FAIL or (rule.margin is not None and rule.margin < 0)
    if rule.kind == "max-regression":
        higher = verdict.check.direction == "higher"
        sign = _SIGNS["min" if higher else "max", breached]
        value = abs(value) if verdict.check.direction == "zero" else value
    else:
        sign = _SIGNS[rule.kind, breached]
    left, right = _pair(value, rule.limit, digits)
    bars = "|" if verdict.check.direction == "zero" and rule.kind == "max-regression" else ""
    return f"{bars}{left}{bars} {sign} {right}"


def explained(verdict: Verdict, rule: Rule, digits: int = DIGITS) -> str:
    """Margin, baseline, reason, and what an outcome counts as where that is not plain."""
    return "; ".join(_notes(verdict, rule, digits))


def _notes(verdict: Verdict, rule: Rule, digits: int) -> Iterator[str]:
    if rule.reason and rule.outcome != NOT_SIGNIFICANT:
        yield rule.reason
    if rule.baseline is not None:
        before = rule.baseline
        change = ""
        if before and verdict.value is not None and verdict.check.direction != "zero":
            change = f" ({(verdict.value - before) / abs(before):+.2%})"
        yield f"was {_number(before, digits)}{change}, allowed {rule.allowed}"
    elif rule.margin is not None:
        yield f"margin {_number(rule.margin, 3)}"
    yield from _interval(verdict, rule, digits)
    if rule.outcome == NOT_SIGNIFICANT:
        yield "not significant, a warning"
    elif rule.outcome == INCONCLUSIVE:
        yield {"failure": "counts as failure", "warning": "a warning", "pass": "let pass"}[verdict.counts_as]
    elif rule.outcome == FAIL and verdict.counts_as == "warning":
        yield "a warning"


def _interval(verdict: Verdict, rule: Rule, digits: int) -> Iterator[str]:
    """The interval, or why there is none where the rule does not say so itself."""
    found = verdict.interval
    if found is None:
        return
    if found.low == found.low:
        ends = f"{_number(found.low, digits)}, {_number(found.high, digits)}"
        yield f"{100 * found.level:g}% CI [{ends}]"
    elif not (rule.reason and found.note in rule.reason):
        yield f"no interval: {found.note}"


def _mark(verdict: Verdict, rule: Rule) -> str:
    if rule.outcome == FAIL and verdict.counts_as == "warning":
        return "WARN"
    return _MARKS[rule.outcome]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}g}"


def _pair(value: float, limit: float, digits: int) -> tuple[str, str]:
    """Both numbers rounded, unless rounding would make different ones look the same or swap them."""
    for count in range(digits, 17):
        left, right = _number(value, count), _number(limit, count)
        if (float(left) > float(right)) == (value > limit) and (left == right) == (value == limit):
            return left, right
    return repr(value), repr(limit)
