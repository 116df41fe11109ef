"""The edges of the exact sums' own limits: text form, bounds, carries and the levels of groups."""

from __future__ import annotations

import pytest

from lossctl.errors import DataError
from lossctl.exact import ExactSum


def test_the_text_form_has_limits() -> None:
    assert ExactSum.from_hex("1p16384:0:0:0") == ExactSum(1 << 16384)
    for bad in ("1p16385:0:0:0", "1p20000:0:0:0"):
        with pytest.raises(DataError, match="it was cut or edited"):
            ExactSum.from_hex(bad)
