"""A path or stream -> Arrow record batches of the wanted columns, rows counted; one file per format."""

from __future__ import annotations

from lossctl.sources.base import Column, Piece, Source
from lossctl.sources.dataset import Dataset, open_dataset

__all__ = ["Column", "Dataset", "Piece", "Source", "open_dataset"]
