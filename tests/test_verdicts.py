"""Verdicts in full: every rule with its limit, margin and reason, and what they come to."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from lossctl.gate import Baseline, judge, unjudged
from lossctl.result import Confidence, Score
from lossctl.saved import Entry, Saved
from lossctl.verdicts import Allowance, Check, Rule, Verdict

INF, NAN = math.inf, math.nan
MADE = "mae|mean|v1"
TENTH = Allowance("10%", relative=Decimal("0.1"))


def score(value: float, low: float | None = None, high: float = NAN, **more: Any) -> Score:
    """A score of ten rows; `low` and `high` are its interval."""
    interval = (
        None if low is None else Confidence(0.9, low, high, "row-bootstrap", 200, 7, more.pop("note", ""))
    )
    return Score("mae", "mae", {}, "mean", value, 10, 10.0, MADE, interval=interval, **more)


def entry(value: float, status: str = "ok", check: str | None = None, **more: Any) -> Entry:
    return Entry("mae", more.pop("group", {}), value, status, 10, more.pop("signature", MADE), check, **more)


def baseline(*entries: Entry, weight: str | None = None) -> Baseline:
    return Baseline(Saved("base.json", entries, weight))


def one(check: Check, now: Score, then: Baseline | None = None) -> Verdict:
    (verdict,) = judge(check, [now], then or Baseline())
    return verdict


def rule(check: Check, now: Score, then: Baseline | None = None) -> Rule:
    (only,) = one(check, now, then).rules
    return only


class TestRules:
    @pytest.mark.parametrize(
        ("limits", "value", "wanted"),
        [
            ({"maximum": 2.0}, 1.5, Rule("max", "pass", 2.0, margin=0.5)),
            ({"maximum": 2.0}, 2.5, Rule("max", "fail", 2.0, margin=-0.5)),
            ({"minimum": 2.0}, 2.5, Rule("min", "pass", 2.0, margin=0.5)),
            ({"minimum": 2.0}, 1.5, Rule("min", "fail", 2.0, margin=-0.5)),
            ({"maximum": 0.0}, 0.0, Rule("max", "pass", 0.0, margin=0.0)),
            ({"maximum": 2.0}, INF, Rule("max", "fail", 2.0)),
            ({"maximum": 2.0}, -INF, Rule("max", "pass", 2.0)),
            ({"minimum": 2.0}, INF, Rule("min", "pass", 2.0)),
            ({"minimum": 2.0}, -INF, Rule("min", "fail", 2.0)),
            ({"maximum": INF}, INF, Rule("max", "pass", INF)),
            ({"minimum": -INF}, -INF, Rule("min", "pass", -INF)),
        ],
    )
    def test_limits(self, limits: dict[str, float], value: float, wanted: Rule) -> None:
        assert rule(Check("c", "mae", **limits), score(value)) == wanted  # type: ignore[arg-type]

    def test_limits_keep_their_order(self) -> None:
        check = Check("c", "mae", maximum=3.0, minimum=1.0, regression=TENTH)
        verdict = one(check, score(2.0), baseline(entry(2.0)))
        assert [each.kind for each in verdict.rules] == ["max", "min", "max-regression"]
        assert one(Check("c", "mae", minimum=1.0), score(2.0)).outcome == "pass"

    @pytest.mark.parametrize(
        ("direction", "old", "new", "outcome", "limit", "margin"),
        [
            ("lower", 10.0, 10.5, "pass", 11.0, 0.5),
            ("lower", 10.0, 11.0, "pass", 11.0, 0.0),
            ("lower", -10.0, -9.5, "pass", -9.0, 0.5),
            ("higher", 10.0, 8.5, "fail", 9.0, -0.5),
            ("higher", 10.0, 9.0, "pass", 9.0, 0.0),
            ("zero", -10.0, -11.5, "fail", 11.0, -0.5),
            ("zero", -10.0, 10.5, "pass", 11.0, 0.5),
        ],
    )
    def test_regression(
        self, direction: str, old: float, new: float, outcome: str, limit: float, margin: float
    ) -> None:
        made = rule(Check("c", "mae", direction, regression=TENTH), score(new), baseline(entry(old)))
        assert made == Rule("max-regression", outcome, limit, old, margin, "10%")

    @pytest.mark.parametrize(
        ("direction", "value", "outcome"),
        [
            ("lower", INF, "fail"),
            ("lower", -INF, "inconclusive"),
            ("higher", -INF, "fail"),
            ("higher", INF, "inconclusive"),
            ("zero", INF, "fail"),
            ("zero", -INF, "fail"),
        ],
    )
    def test_infinite_values_against_a_baseline(self, direction: str, value: float, outcome: str) -> None:
        made = rule(Check("c", "mae", direction, regression=TENTH), score(value), baseline(entry(3.0)))
        wanted = Rule("max-regression", outcome, baseline=3.0, allowed="10%", reason="it is infinite")
        assert made == wanted

    @pytest.mark.parametrize(
        ("then", "outcome", "reason"),
        [
            (Baseline(replacing=True), "pass", "written anew"),
            (Baseline(), "inconclusive", "no baseline is named"),
            (Baseline(reason="there is none yet"), "inconclusive", "there is none yet"),
            (baseline(), "inconclusive", "this check is not in the baseline"),
            (baseline(entry(1.0, check="other")), "inconclusive", "this check is not in the baseline"),
            (baseline(entry(NAN, "nan")), "inconclusive", "the baseline is nan"),
            (baseline(entry(INF, "inf")), "inconclusive", "the baseline is inf"),
        ],
    )
    def test_nothing_to_compare_with(self, then: Baseline, outcome: str, reason: str) -> None:
        made = rule(Check("c", "mae", regression=TENTH), score(1.0), then)
        assert (made.kind, made.outcome, made.allowed) == ("max-regression", outcome, "10%")
        assert reason in (made.reason or "")
        assert (made.limit, made.baseline, made.margin) == (None, None, None)

    def test_a_new_group_is_told_from_a_new_check(self) -> None:
        check = Check("c", "mae", regression=TENTH, by=("g",))
        then = baseline(entry(1.0, group={"g": "a"}))
        new, gone = judge(check, [score(1.0, group={"g": "b"})], then)
        assert [each.reason for each in new.rules] == ["this group is not in the baseline"]
        assert gone == Verdict(
            check,
            {"g": "a"},
            (Rule("presence", "inconclusive", reason="this group is in the baseline but not in the data"),),
        )
        (alone,) = judge(check, [score(1.0, group={"g": "b"})], baseline())
        assert [each.reason for each in alone.rules] == ["this check is not in the baseline"]

    def test_a_baseline_that_is_replaced_misses_no_group(self) -> None:
        check = Check("c", "mae", regression=TENTH, by=("g",))
        then = Baseline(Saved("base.json", [entry(1.0, group={"g": "a"})]), replacing=True)
        made = judge(check, [score(1.0, group={"g": "b"})], then)
        assert [(dict(v.group), v.outcome) for v in made] == [({"g": "b"}, "pass")]

    def test_the_own_entry_of_a_check_comes_first(self) -> None:
        then = baseline(entry(1.0), entry(5.0, check="c"), entry(9.0, check="d"))
        assert rule(Check("c", "mae", regression=TENTH), score(2.0), then).baseline == 5.0
        assert rule(Check("d", "mae", regression=TENTH), score(2.0), then).baseline == 9.0
        assert rule(Check("e", "mae", regression=TENTH), score(1.0), then).baseline == 1.0
        assert Baseline().entries(Check("c", "mae")) == []
        assert baseline(Entry("rmse", {}, 1.0, "ok", 1, MADE)).entries(Check("c", "mae")) == []


class TestVerdict:
    def test_all_facts(self) -> None:
        now = score(1.5, 1.0, 2.0, group={"g": "a"})
        check = Check("c", "mae", maximum=2.0, by=("g",))
        assert one(check, now) == Verdict(
            check, {"g": "a"}, (Rule("max", "pass", 2.0, margin=0.5),), 1.5, "ok", 10, MADE, None
        )
        asked = Check("c", "mae", maximum=2.0, by=("g",), level=0.9)
        assert one(asked, now).interval == now.interval

    @pytest.mark.parametrize(
        ("now", "value", "status", "reason"),
        [
            (score(NAN), NAN, "nan", "the value is NaN"),
            (score(NAN, empty=True), None, "empty", "there are no rows to judge"),
        ],
    )
    def test_no_number(self, now: Score, value: float | None, status: str, reason: str) -> None:
        made = one(Check("c", "mae", maximum=2.0, min_rows=99), now)
        assert made.rules == (Rule("value", "inconclusive", reason=reason),)
        assert made.status == status
        assert (made.value is None) == (value is None)

    def test_too_few_rows(self) -> None:
        made = one(Check("c", "mae", maximum=2.0, min_rows=1100), score(9.0))
        assert made.rules == (
            Rule("min-rows", "inconclusive", limit=1100.0, reason="10 rows < min-rows 1,100"),
        )
        assert one(Check("c", "mae", maximum=2.0, min_rows=10), score(9.0)).outcome == "fail"

    def test_without_data(self) -> None:
        check = Check("c", "rmse", maximum=1.0)
        made = unjudged(check, "why")
        assert made == Verdict(
            check, {}, (Rule("value", "inconclusive", reason="why"),), None, "empty", 0, ""
        )
        assert judge(check, [score(1.0)], Baseline()) == [unjudged(check, "there is no such number")]

    def test_only_groups_of_the_check(self) -> None:
        scores = [score(1.0), score(2.0, group={"g": "a"}), score(3.0, group={"g": "a", "h": "b"})]
        for by, value in (((), 1.0), (("g",), 2.0), (("h", "g"), 3.0)):
            assert [v.value for v in judge(Check("c", "mae", maximum=9.0, by=by), scores, Baseline())] == [
                value
            ]
        then = baseline(entry(1.0), entry(1.0, group={"h": "x"}))
        check = Check("c", "mae", maximum=9.0, by=("g",))
        assert [dict(v.group) for v in judge(check, scores, then)] == [{"g": "a"}]

    def test_the_gravest_rule_decides(self) -> None:
        order = ["pass", "not-significant", "inconclusive", "fail"]
        for at, outcome in enumerate(order):
            rules = tuple(Rule("max", each) for each in reversed(order[: at + 1]))
            assert Verdict(Check("c", "mae"), {}, rules).outcome == outcome

    @pytest.mark.parametrize(
        ("outcome", "policy", "severity", "counts"),
        [
            ("pass", "fail", "error", "pass"),
            ("pass", "fail", "warning", "pass"),
            ("fail", "pass", "error", "failure"),
            ("fail", "pass", "warning", "warning"),
            ("not-significant", "fail", "error", "warning"),
            ("inconclusive", "warn", "error", "warning"),
            ("inconclusive", "warn", "warning", "warning"),
            ("inconclusive", "pass", "warning", "pass"),
            ("inconclusive", "fail", "warning", "warning"),
            ("inconclusive", "fail", "error", "failure"),
        ],
    )
    def test_what_it_counts_as(self, outcome: str, policy: str, severity: str, counts: str) -> None:
        check = Check("c", "mae", severity=severity, on_inconclusive=policy)
        assert Verdict(check, {}, (Rule("max", outcome),)).counts_as == counts

    def test_defaults_are_strict(self) -> None:
        check = Check("c", "mae")
        assert (check.direction, check.severity, check.on_inconclusive, check.needs) == (
            "lower",
            "error",
            "fail",
            "value",
        )
        assert Verdict(check, {}, (Rule("max", "inconclusive"),)).counts_as == "failure"
        assert Allowance("") == Allowance("", Decimal(0), Decimal(0))

    def test_labels_name_the_group(self) -> None:
        rules = (Rule("max", "pass"),)
        assert Verdict(Check("c", "mae"), {}, rules).label == "c"
        assert Verdict(Check("c", "mae"), {"a": "1", "b": "x y"}, rules).label == "c [a=1, b=x y]"
