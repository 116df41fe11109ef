"""A gate's report in every format, and `-o` of `lossctl gate`."""

from __future__ import annotations

import os

from lossctl.errors import BadValue, UsageError
from lossctl.render.gate_table import DIGITS, gate_markdown, gate_table
from lossctl.render.github import SUMMARY_BYTES, render_github, step_summary
from lossctl.render.junit import render_junit
from lossctl.render.openmetrics import render_openmetrics
from lossctl.render.output import Target
from lossctl.render.structured import strict_json
from lossctl.verdicts import Report

__all__ = ["GATE_FORMATS", "parse_gate_target", "render_gate", "write_summary"]

GATE_FORMATS = ("table", "json", "markdown", "github", "junit", "openmetrics")
EXTENSIONS = {
    ".json": "json",
    ".md": "markdown",
    ".xml": "junit",
    ".txt": "table",
    ".prom": "openmetrics",
}
SUMMARY = "github:step-summary"
_VARIABLE = "GITHUB_STEP_SUMMARY"


def render_gate(
    report: Report,
    format: str,  # noqa: A002
    *,
    digits: int | None = None,
    color: bool = False,
    verbose: bool = False,
) -> str:
    """`report` as text ending in a newline."""
    if format == "table":
        return gate_table(report, digits=digits or DIGITS, color=color, verbose=verbose)
    if format == "markdown":
        return gate_markdown(report, digits=digits or DIGITS)
    if format == "json":
        return strict_json(report.to_dict(), indent=2) + "\n"
    if format == "github":
        return render_github(report)
    return render_junit(report) if format == "junit" else render_openmetrics(report)


def parse_gate_target(text: str) -> Target:
    """`[FORMAT:]PATH`, or github:step-summary; the latter's path is what GitHub names."""
    if text == SUMMARY:
        path = os.environ.get(_VARIABLE)
        if not path:
            raise UsageError(
                f"{SUMMARY}: {_VARIABLE} is not set", hint="GitHub Actions sets it; use -o FILE.md here"
            )
        return Target(path, "step-summary")
    prefix, colon, rest = text.partition(":")
    named = bool(colon) and prefix in GATE_FORMATS
    path = rest if named else text
    extension = os.path.splitext(path)[1].lower()
    if not path or "\0" in path or not (named or extension in EXTENSIONS):
        formats = ", ".join(GATE_FORMATS)
        allowed = f"a path ending in {', '.join(EXTENSIONS)}, FORMAT:PATH with {formats}, or {SUMMARY}"
        raise BadValue("output", text, allowed)
    return Target("/dev/stdout" if path == "-" else path, prefix if named else EXTENSIONS[extension])


def write_summary(report: Report, path: str) -> None:
    """Append to the step summary: other steps' text in it stays."""
    from lossctl.render.sink import Sink, refusal

    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        used = os.fstat(fd).st_size
    except OSError as error:
        raise refusal(error, path) from None
    with Sink(fd, path) as sink:
        sink.write_text(step_summary(report, max(SUMMARY_BYTES - used, 0)))
