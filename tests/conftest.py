"""For every test: processes that are started find their modules compiled, whatever this shell forbids."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Compiling the package anew takes a tenth of a second, and the tests start over a thousand processes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(tempfile.gettempdir()) / "lossctl-pycache"))
