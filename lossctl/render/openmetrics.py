"""Verdicts as OpenMetrics text: values, limits and verdicts as gauges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from lossctl.render.text import shown
from lossctl.verdicts import Report, Verdict

__all__ = ["render_openmetrics"]

Sample = tuple[dict[str, str], float]


def render_openmetrics(report: Report) -> str:
    """Every sample carries check, spec and group; ends in `# EOF` as the format wants."""
    values = [(_labels(v), v.value) for v in report.verdicts if v.value is not None]
    rules = [(v, rule) for v in report.verdicts for rule in v.rules]
    limits = [({**_labels(v), "rule": r.kind}, r.limit) for v, r in rules if r.limit is not None]
    before = [(_labels(v), r.baseline) for v, r in rules if r.baseline is not None]
    lines = [
        *_family("lossctl_value", "the number that was judged", values),
        *_family("lossctl_limit", "what it was compared with", limits),
        *_family("lossctl_baseline", "what it was before", before),
        *_family("lossctl_ci_low", "lower end of its confidence interval", _ends(report, "low")),
        *_family("lossctl_ci_high", "upper end of its confidence interval", _ends(report, "high")),
        *_family("lossctl_rows", "rows behind the number", [(_labels(v), v.rows) for v in report.verdicts]),
        *_family(
            "lossctl_check_passed",
            "1 passed, 0 failed, NaN inconclusive or not significant",
            [(_labels(v), _passed(v)) for v in report.verdicts],
        ),
        *_family("lossctl_gate_passed", "1 when nothing failed", [({}, float(not report.failed))]),
        "# EOF",
    ]
    return "\n".join(lines) + "\n"


def _passed(verdict: Verdict) -> float:
    return {"pass": 1.0, "fail": 0.0}.get(verdict.outcome, math.nan)


def _ends(report: Report, end: str) -> Iterator[Sample]:
    for verdict in report.verdicts:
        found = verdict.interval
        if found is not None and not math.isnan(found.low):
            yield {**_labels(verdict), "level": repr(found.level)}, getattr(found, end)


def _labels(verdict: Verdict) -> dict[str, str]:
    made = {"check": verdict.check.name, "spec": verdict.check.spec}
    if verdict.group:
        made["group"] = ",".join(f"{name}={value}" for name, value in verdict.group.items())
    return made


def _family(name: str, help_: str, samples: Iterable[Sample]) -> Iterator[str]:
    found = list(samples)
    if found:
        yield f"# TYPE {name} gauge"
        yield f"# HELP {name} {help_}"
    for labels, value in found:
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return shown(text).replace("\\", "\\\\").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
