"""Per-sample output, streamed: blocks of rows in, bytes out, in every format.

A row that a loss ignored is null there: an empty cell, `null`, or a Parquet null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lossctl.errors import UnknownName
from lossctl.render.columns import Flags, Kind, SampleColumn, check_columns
from lossctl.render.sink import ByteSink

__all__ = ["SAMPLE_FORMATS", "Kind", "SampleColumn", "Writer", "open_writer"]

SAMPLE_FORMATS = ("table", "json", "jsonl", "csv", "tsv", "markdown", "value", "parquet")


class Writer(Protocol):
    """Takes blocks in order; only `close` makes the output complete, and it leaves the sink open."""

    def write(self, block: Mapping[str, Any], ignored: Mapping[str, Flags] | None = None) -> None:
        """Arrays or lists by column name, all of one length; `ignored` flags the null rows of a column.

        The Parquet writer keeps the arrays until their row group is full: do not reuse them.
        """

    def close(self) -> None:
        """Write what is left."""


def open_writer(format: str, sink: ByteSink, columns: Sequence[SampleColumn], *, digits: int = 6) -> Writer:  # noqa: A002
    """A writer of `columns` to `sink`; digits are the significant ones of format table."""
    if format not in SAMPLE_FORMATS:
        raise UnknownName("format", format, SAMPLE_FORMATS)
    check_columns(columns)
    if format == "parquet":
        from lossctl.render.samples_parquet import ParquetSamples

        return ParquetSamples(sink, columns)
    from lossctl.render import samples_text as text

    if format in ("csv", "tsv"):
        return text.DelimitedSamples(sink, columns, "," if format == "csv" else "\t")
    if format in ("json", "jsonl"):
        return text.JsonSamples(sink, columns, array=format == "json")
    if format == "markdown":
        return text.MarkdownSamples(sink, columns)
    if format == "value":
        return text.ValueSamples(sink, columns)
    return text.TableSamples(sink, columns, digits)
