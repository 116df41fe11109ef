"""Mutants that no test can kill, because they compute the same: the reason, then line and change of each."""

from __future__ import annotations

Told = tuple[str, str]  # the start of the line, and the change as `mutate.py` tells it

SPEED = "it changes only how long the sum takes"
NO_PROMISE = "whether negatives are promised away saves a pass and changes no sum"
ROOM = "the bound has room on both sides"
EDGE = "both branches give the same at the bound itself"
LINE = "the array has one dimension, or one element"
ALIKE = "every chunk is like the first, and as many"
INFINITE = "the value is infinite here"

NEVER = "no sum comes here with that value"
MACHINE = "only a machine that rounds otherwise tells them apart"

IF_FEW = "if dense == 1 and 8 * int(np.count_nonzero(rest != 0)) < x.shape[0]:  ->  not ..."

REASONS: dict[str, dict[str, tuple[Told, ...]]] = {
    "exact": {
        SPEED: (
            ("BLOCK = 32768", "32768  ->  32767"),
            ("BLOCK = 32768", "32768  ->  32769"),
            ("if not low < 0", "0  ->  1"),
            ("if not low < 0", "low < 0  ->  low <= 0"),
            ("return max(math.frexp(low)[1] - 53", "0  ->  1"),
            ("return max(math.frexp(low)[1] - 53", "53  ->  54"),
            ("source, top = rest, unit - 1", "unit - 1  ->  unit + 1"),
            ("top = min(top, (left >> 52) - 1022)", "52  ->  51"),
        ),
        NO_PROMISE: (
            ("if nonneg:", "if nonneg:  ->  not ..."),
            ("def add(self, x: Floats", "False  ->  True"),
        ),
        ROOM: (
            ("_HUGE = 960", "960  ->  959"),
            ("_HUGE = 960", "960  ->  961"),
            ("_DOWN = 128", "128  ->  127"),
            ("_DOWN = 128", "128  ->  129"),
            ("bits = min(51", "1  ->  2"),
        ),
        EDGE: (
            ("if top > _HUGE", "top > _HUGE  ->  top >= _HUGE"),
            ("big = np.abs(x) >= 1.0", "np.abs(x) >= 1.0  ->  np.abs(x) > 1.0"),
            ("up, down = (self.posinf", "weight >= 0  ->  weight > 0"),
        ),
        LINE: (
            ("for start in range(0, x.shape[0], BLOCK)", "0  ->  -1"),
            ("n = x.shape[0]", "0  ->  -1"),
        ),
        NEVER: (
            ("return float((units > 0)", "units > 0  ->  units >= 0"),
            ("return math.inf if (num < 0)", "num < 0  ->  num <= 0"),
            ("return math.inf if (num < 0)", "0  ->  -1"),
            ("return math.inf if (num < 0)", "den < 0  ->  den <= 0"),
        ),
        MACHINE: (
            ("(1.0, ulp / 2, 1.0)", "2  ->  3"),
            ("(-1.0, -ulp / 2, -1.0)", "2  ->  3"),
            ("(-1.0 - ulp, -ulp / 2", "2  ->  1"),
            ("left, right, wanted", "9  ->  10"),
            ("sound = bool(", "5e-324 * 1.0  ->  5e-324 + 1.0"),
        ),
    },
    "exact_groups": {
        SPEED: (
            (
                "if dense == 1",
                "8 * int(np.count_nonzero(rest != 0))  ->  8 + int(np.count_nonzero(rest != 0))",
            ),
            (
                "if dense == 1",
                "8 * int(np.count_nonzero(rest != 0)) < x.shape[0]"
                "  ->  8 * int(np.count_nonzero(rest != 0)) >= x.shape[0]",
            ),
            ("source, level = rest, min(", "(left >> 52) - 1022  ->  (left >> 52) + 1022"),
            ("if low == 0.0", "0.0  ->  1.0"),
            ("np.copyto(scratch, 1.0", "np.copyto(scratch, 1.0, where=scratch == 0.0)  ->  pass"),
            ("np.copyto(scratch, 1.0", "0.0  ->  1.0"),
            ("safe = True", "True  ->  False"),
            ("if dense == 1", IF_FEW),
            ("break", "break  ->  pass"),
            ("for dense in range(3)", "3  ->  2"),
            ("if low == 0.0", "low == 0.0  ->  low != 0.0"),
            ("np.add(e, np.multiply(head_x, head_y", "out=part  ->  (argument gone)"),
        ),
        ROOM: (
            ("_CHUNK = 1 << 15", "1  ->  2"),
            ("_CHUNK = 1 << 15", "15  ->  16"),
            ("safe = safe and high", "2.0  ->  4.0"),
            ("_STEP = 45", "45  ->  44"),
            ("_STEP = 45", "45  ->  46"),
            ("self._load[level] = 0", "0  ->  1"),
            ("above = self._limb(", "63  ->  62"),
            ("above = self._limb(", "1  ->  0"),
            ("full = 1 << _STEP", "1  ->  2"),
            ("safe = safe and high", "150  ->  151"),
        ),
        EDGE: (
            ("if other.size > self.size", "other.size > self.size  ->  other.size >= self.size"),
            ("big = np.abs(x) >= 1.0", "np.abs(x) >= 1.0  ->  np.abs(x) > 1.0"),
            (
                "if self._load[level] + more",
                "self._load[level] + more > _ROOM  ->  self._load[level] + more >= _ROOM",
            ),
        ),
        LINE: (("n = x.shape[0]", "0  ->  -1"),),
        ALIKE: (
            ("scratch = work.floats[0]", "0  ->  1"),
            ("for mine, theirs in zip(", "strict=True  ->  (argument gone)"),
            ("exponent = sum(", "start=np.zeros(scratch.shape, np.int64)  ->  (argument gone)"),
        ),
        NEVER: (
            ("for level in range(int(levels.max())", "1  ->  2"),
            ("full = max(", "initial=0  ->  (argument gone)"),
        ),
        INFINITE: (("acc.add_block(np.multiply.reduce(rows)", "0  ->  -1"),),
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
