"""Losses from outside: a file named with --plugin, or an installed package's entry point."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from lossctl.errors import UsageError

GROUP = "lossctl.losses"

__all__ = ["load_entry_points", "load_file"]


def load_file(path: str) -> None:
    """Run a Python file that declares losses with `@loss`; only ever by explicit request.

    Raises UsageError naming file and line when it cannot be run.
    """
    if not path or "\0" in path:
        raise UsageError("--plugin needs the path of a Python file")
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"--plugin {path}: no such file")
    from importlib.util import module_from_spec, spec_from_file_location

    name = f"lossctl_plugin_{file.stem}"
    made = spec_from_file_location(name, file)
    if made is None or made.loader is None:
        raise UsageError(f"--plugin {path}: not a Python file")
    module = module_from_spec(made)
    sys.modules[name] = module
    try:
        made.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
        line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else 0
        reason = " ".join(str(error).split())
        raise UsageError(f"--plugin {path}, line {line}: {type(error).__name__}: {reason}") from error


def load_entry_points() -> None:
    """Import what installed packages offer under `lossctl.losses`."""
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UsageError(
                f"the installed plugin '{point.name}' ({point.value}) cannot be loaded: "
                f"{type(error).__name__}: {reason}",
                hint="update or uninstall that package",
            ) from error
