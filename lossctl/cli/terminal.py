"""What people see besides the result: messages on stderr, colours and the width of a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from lossctl.errors import visible

__all__ = ["say", "terminal_width", "use_color", "warn"]


def warn(warnings: Iterable[str], values: Mapping[str, Any]) -> None:
    """Each warning on a line of stderr, unless --quiet."""
    if not values["quiet"]:
        for warning in warnings:
            say(f"warning: {visible(warning, 1000)}")


def use_color(choice: str, terminal: bool) -> bool:
    """--color wins; then NO_COLOR, FORCE_COLOR and TERM=dumb as other tools read them."""
    import os

    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE"):
        return True
    return terminal and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def say(text: str) -> None:
    """One line on stderr."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
