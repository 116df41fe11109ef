"""Mutants that no test can kill, because they compute the same: the reason, then line and change of each."""

from __future__ import annotations

Told = tuple[str, str]  # the start of the line, and the change as `mutate.py` tells it

SPEED = "it changes only how long the sum takes"
NO_PROMISE = "whether negatives are promised away saves a pass and changes no sum"
ROOM = "the bound has room on both sides"
EDGE = "both branches give the same at the bound itself"
LINE = "the array has one dimension, or one element"
SCRATCH = "any row of the scratch serves"
ALIKE = "every chunk is like the first, and as many"
INFINITE = "the value is infinite here"

NEVER = "no sum comes here with that value"
MACHINE = "only a machine that rounds or warns otherwise tells them apart"

WHEN, COUNT = "dense == 1", "8 * int(np.count_nonzero(rest != 0))"
FEW = f"{COUNT} < x.shape[0]"
IF_FEW = f"if {WHEN} and {FEW}:  ->  not ..."

REASONS: dict[str, dict[str, tuple[Told, ...]]] = {
    "exact": {
        SPEED: (
            ("BLOCK = 65536", "65536  ->  65535"),
            ("BLOCK = 65536", "65536  ->  65537"),
            ("if not low < 0", "0  ->  1"),
            ("if not low < 0", "low < 0  ->  low <= 0"),
            ("return max(math.frexp(low)[1] - 53", "0  ->  1"),
            ("return max(math.frexp(low)[1] - 53", "53  ->  54"),
            ("bits = min(51", "51  ->  50"),
            ("bits = min(51", "62  ->  61"),
            ("bits = min(51", "n - 1  ->  n + 1"),
            ("bits = min(51", "1  ->  0"),
            ("source, top = rest, unit - 1", "unit - 1  ->  unit + 1"),
            ("source, top = rest, unit - 1", "1  ->  0"),
            ("if top - bits > last", "if top - bits > last:  ->  not ..."),
            ("if top - bits > last", "top - bits > last  ->  top - bits >= last"),
            ("if top - bits > last", "top - bits > last  ->  top - bits <= last"),
            ("if top - bits > last", "top - bits  ->  top + bits"),
            ("if left == 0", "0  ->  -1"),
            ("top = min(top, (left >> 52) - 1022)", "(left >> 52) - 1022  ->  (left >> 52) + 1022"),
            ("top = min(top, (left >> 52) - 1022)", "left >> 52  ->  left << 52"),
            ("top = min(top, (left >> 52) - 1022)", "52  ->  51"),
            ("top = min(top, (left >> 52) - 1022)", "1022  ->  1021"),
        ),
        NO_PROMISE: (("def add(self, x: Floats", "False  ->  True"),),
        ROOM: (
            ("_HUGE = 960", "960  ->  959"),
            ("_HUGE = 960", "960  ->  961"),
            ("_DOWN = 128", "128  ->  127"),
            ("_DOWN = 128", "128  ->  129"),
            ("bits = min(51", "1  ->  2"),
            ("big = np.abs(x) >= 1.0", "1.0  ->  2.0"),
        ),
        EDGE: (
            ("if top > _HUGE", "top > _HUGE  ->  top >= _HUGE"),
            ("big = np.abs(x) >= 1.0", "np.abs(x) >= 1.0  ->  np.abs(x) > 1.0"),
            ("up, down = (self.posinf", "weight >= 0  ->  weight > 0"),
            ("up, down = (self.posinf", "0  ->  1"),
        ),
        SCRATCH: (("rest, high = work.floats", "0  ->  -1"),),
        ALIKE: (
            ("left, right, wanted", "strict=True  ->  (argument gone)"),
            ("left, right, wanted", "True  ->  False"),
        ),
        LINE: (
            ("for start in range(0, x.shape[0], BLOCK)", "0  ->  -1"),
            ("n = x.shape[0]", "0  ->  -1"),
        ),
        NEVER: (
            ("return float((units > 0)", "units > 0  ->  units >= 0"),
            ("return float((units > 0)", "0  ->  -1"),
            ("return math.inf if (num < 0)", "num < 0  ->  num <= 0"),
            ("return math.inf if (num < 0)", "0  ->  -1"),
            ("return math.inf if (num < 0)", "den < 0  ->  den <= 0"),
            ("return math.inf if (num < 0)", "0  ->  1"),
        ),
        MACHINE: (
            ("ulp = 2.0**-52", "2.0  ->  4.0"),
            ("(1.0, ulp / 2, 1.0)", "2  ->  3"),
            ("(1.0 + ulp, ulp / 2", "2  ->  1"),
            ("(-1.0, -ulp / 2, -1.0)", "2  ->  3"),
            ("(-1.0 - ulp, -ulp / 2", "2  ->  1"),
            ("(1.0, ulp / 2 + ulp / 4096", "2  ->  1"),
            ("(1.0, ulp / 2 + ulp / 4096", "4096  ->  4095"),
            ("(1.0, ulp / 2 + ulp / 4096", "4096  ->  4097"),
            ("left, right, wanted", "9  ->  10"),
            ("sound = bool(", "9  ->  8"),
            ("sound = bool(", "5e-324 * 1.0  ->  5e-324 + 1.0"),
            ("sound = bool(", "5e-324  ->  1e-323"),
            ("sound = bool(", "1.0  ->  2.0"),
            ("sound = bool(", "0.0  ->  1.0"),
        ),
    },
    "exact_groups": {
        SPEED: (
            ("return -((-1074 - top", "1074  ->  1075"),
            ("for dense in range(3)", "3  ->  2"),
            ("for dense in range(3)", "3  ->  4"),
            (
                "if _STEP * level - 1074 <= last",
                "_STEP * level - 1074 <= last  ->  _STEP * level - 1074 < last",
            ),
            ("if _STEP * level - 1074 <= last", "_STEP * level - 1074  ->  _STEP * level + 1074"),
            ("if _STEP * level - 1074 <= last", "1074  ->  1073"),
            ("source, level = rest, min(", "level - 1  ->  level + 1"),
            ("source, level = rest, min(", "1  ->  0"),
            ("source, level = rest, min(", "(left >> 52) - 1022  ->  (left >> 52) + 1022"),
            ("source, level = rest, min(", "left >> 52  ->  left << 52"),
            ("source, level = rest, min(", "52  ->  51"),
            ("source, level = rest, min(", "1022  ->  1021"),
            ("if dense == 1", IF_FEW),
            ("if dense == 1", f"{WHEN} and {FEW}  ->  {WHEN} or {FEW}"),
            ("if dense == 1", "dense == 1  ->  dense != 1"),
            ("if dense == 1", "1  ->  2"),
            ("if dense == 1", "1  ->  0"),
            ("if dense == 1", f"{FEW}  ->  {COUNT} <= x.shape[0]"),
            ("if dense == 1", f"{FEW}  ->  {COUNT} >= x.shape[0]"),
            ("if dense == 1", f"{COUNT}  ->  8 + int(np.count_nonzero(rest != 0))"),
            ("if dense == 1", "8  ->  9"),
            ("if dense == 1", "8  ->  7"),
            ("if dense == 1", "rest != 0  ->  rest == 0"),
            ("if dense == 1", "0  ->  1"),
            ("if dense == 1", "0  ->  -1"),
            ("break", "break  ->  pass"),
            ("levels = _level(", "1022  ->  1021"),
            ("order = np.argsort(", "stable=True  ->  (argument gone)"),
            ("order = np.argsort(", "True  ->  False"),
            ("rows = slice(", "3  ->  4"),
            ("if rows.start < rows.stop", "rows.start < rows.stop  ->  rows.start <= rows.stop"),
            ("if self._load[level] + more", "if self._load[level] + more > _ROOM:  ->  not ..."),
            (
                "if self._load[level] + more",
                "self._load[level] + more > _ROOM  ->  self._load[level] + more <= _ROOM",
            ),
            ("above = self._limb(", "63 - _STEP  ->  63 + _STEP"),
            ("self._load[level] = full", "self._load[level] = full  ->  pass"),
            ("if low == 0.0", "if low == 0.0:  ->  not ..."),
            ("if low == 0.0", "low == 0.0  ->  low != 0.0"),
            ("if low == 0.0", "0.0  ->  1.0"),
            ("np.copyto(scratch, 1.0", "np.copyto(scratch, 1.0, where=scratch == 0.0)  ->  pass"),
            ("np.copyto(scratch, 1.0", "scratch == 0.0  ->  scratch != 0.0"),
            ("np.copyto(scratch, 1.0", "0.0  ->  1.0"),
            ("safe = True", "True  ->  False"),
            ("safe = safe and high", "2.0 ** 150  ->  2.0 * 150"),
            ("safe = safe and high", "-150  ->  150"),
        ),
        NO_PROMISE: (
            ("def add(self, x: Floats", "False  ->  True"),
            ("acc.add_block(", "False  ->  True"),
        ),
        ROOM: (
            ("_STEP = 45", "45  ->  44"),
            ("_STEP = 45", "45  ->  46"),
            ("_ROOM = (1 << 63) - 1", "63  ->  62"),
            ("_ROOM = (1 << 63) - 1", "1  ->  2"),
            ("_HUGE = 900", "900  ->  899"),
            ("_HUGE = 900", "900  ->  901"),
            ("_DOWN = 8", "8  ->  7"),
            ("_DOWN = 8", "8  ->  9"),
            ("_CHUNK = 1 << 15", "1  ->  2"),
            ("_CHUNK = 1 << 15", "15  ->  14"),
            ("_CHUNK = 1 << 15", "15  ->  16"),
            ("big = np.abs(x) >= 1.0", "1.0  ->  2.0"),
            ("edges = np.concatenate(", "50  ->  49"),
            ("edges = np.concatenate(", "50  ->  51"),
            ("self._load[level] = 0", "0  ->  1"),
            ("full = max(", "0  ->  1"),
            ("full = max(", "0  ->  -1"),
            ("if full > _ROOM >> 2", "2  ->  1"),
            ("if full > _ROOM >> 2", "2  ->  3"),
            ("above = self._limb(", "1 << 63 - _STEP  ->  1 >> 63 - _STEP"),
            ("above = self._limb(", "63  ->  62"),
            ("above = self._limb(", "63  ->  64"),
            ("above = self._limb(", "1  ->  0"),
            ("above = self._limb(", "1  ->  2"),
            ("full = 1 << _STEP", "1 << _STEP  ->  1 >> _STEP"),
            ("full = 1 << _STEP", "1  ->  0"),
            ("full = 1 << _STEP", "1  ->  2"),
            ("np.copyto(scratch, 1.0", "1.0  ->  2.0"),
            ("safe = safe and high", "2.0  ->  4.0"),
            ("safe = safe and high", "150  ->  149"),
            ("safe = safe and high", "150  ->  151"),
            ("band = np.maximum(", "1000  ->  999"),
            ("band = np.maximum(", "1000  ->  1001"),
        ),
        EDGE: (
            ("if top > _HUGE", "top > _HUGE  ->  top >= _HUGE"),
            ("if other.size > self.size", "other.size > self.size  ->  other.size >= self.size"),
            ("big = np.abs(x) >= 1.0", "np.abs(x) >= 1.0  ->  np.abs(x) > 1.0"),
            (
                "if self._load[level] + more",
                "self._load[level] + more > _ROOM  ->  self._load[level] + more >= _ROOM",
            ),
            ("if full > _ROOM >> 2", "full > _ROOM >> 2  ->  full >= _ROOM >> 2"),
            ("safe = safe and high", "high < 2.0 ** 150  ->  high <= 2.0 ** 150"),
            ("safe = safe and high", "low > 2.0 ** (-150)  ->  low >= 2.0 ** (-150)"),
        ),
        LINE: (
            ("for start in range(0, x.shape[0], BLOCK)", "0  ->  -1"),
            ("n = x.shape[0]", "0  ->  -1"),
        ),
        SCRATCH: (
            ("high_value, low = bounds(", "0  ->  1"),
            ("high_value, low = bounds(", "0  ->  -1"),
            ("rest = work.floats[0]", "0  ->  -1"),
            ("high, payload = work.floats", "2  ->  3"),
            ("scratch = work.floats[0]", "0  ->  1"),
            ("scratch = work.floats[0]", "0  ->  -1"),
        ),
        ALIKE: (
            ("for mine, theirs in zip(", "strict=True  ->  (argument gone)"),
            ("for mine, theirs in zip(", "True  ->  False"),
            ("unit + (part << shift) for unit, part in zip(", "strict=True  ->  (argument gone)"),
            ("unit + (part << shift) for unit, part in zip(", "True  ->  False"),
            ("return [ExactSum(unit, *counts)", "strict=True  ->  (argument gone)"),
            ("return [ExactSum(unit, *counts)", "True  ->  False"),
            ("for start in range(0, factors[0]", "0  ->  1"),
            ("for start in range(0, factors[0]", "0  ->  -1"),
            ("exponent = sum(", "start=np.zeros(scratch.shape, np.int64)  ->  (argument gone)"),
        ),
        NEVER: (
            ("for level in range(int(levels.max())", "1  ->  2"),
            ("full = max(", "initial=0  ->  (argument gone)"),
        ),
        INFINITE: (
            ("acc.add_block(np.multiply.reduce(rows)", "0  ->  1"),
            ("acc.add_block(np.multiply.reduce(rows)", "0  ->  -1"),
        ),
        MACHINE: (("with np.errstate(", "all='ignore'  ->  (argument gone)"),),
    },
    "state": {
        NO_PROMISE: (
            ("def add(self, x: Array,", "False  ->  True"),
            ("self.single.add(", "nonneg=nonneg  ->  (argument gone)"),
            ("self._sized(groups).add(", "nonneg=nonneg  ->  (argument gone)"),
            ("def __init__(self, moments", "False  ->  True"),
            ("self.weight.add(", "True  ->  False"),
        ),
        EDGE: (
            ("elif self.groups.size < groups", "self.groups.size < groups  ->  self.groups.size <= groups"),
            ("if size > len(self.values)", "size > len(self.values)  ->  size >= len(self.values)"),
            ("if size > len(self.top)", "size > len(self.top)  ->  size >= len(self.top)"),
        ),
        LINE: (
            ("self.values[0] += number", "0  ->  -1"),
            ("self.top[0] = np.maximum(", "0  ->  -1"),
        ),
        ALIKE: (
            ("for mine, theirs in zip(", "strict=False  ->  (argument gone)"),
            ("width = len(self.chunks[0][0])", "0  ->  -1"),
            ("if self.chunks[0][1] is None", "0  ->  -1"),
            ("np.concatenate([c[0][j][p] for", "strict=True  ->  (argument gone)"),
            ("np.concatenate([c[0][j][p] for", "True  ->  False"),
            ("weights = [c[1][p] for", "strict=True  ->  (argument gone)"),
            ("weights = [c[1][p] for", "True  ->  False"),
            ("weights = [c[1][p] for", "1  ->  0"),
        ),
    },
    "gate": {
        EDGE: (
            ("low, high = (0.0 if", "low <= 0 <= high  ->  low < 0 <= high"),
            ("low, high = (0.0 if", "low <= 0 <= high  ->  low <= 0 < high"),
        ),
        INFINITE: (
            ("worse = check.direction", "score.value > 0  ->  score.value >= 0"),
            ("worse = check.direction", "0  ->  1"),
            ("worse = check.direction", "0  ->  -1"),
        ),
    },
}


def reason_of(module: str, line: str, change: str) -> str | None:
    """Why a mutant changes nothing; None when it does."""
    for reason, told in REASONS.get(module, {}).items():
        if any(line.strip().startswith(start) and change == text for start, text in told):
            return reason
    return None
