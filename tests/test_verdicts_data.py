"""Verdicts against chance and against a baseline made otherwise, and the form they take as data."""

from __future__ import annotations

from typing import Any

import pytest
from test_verdicts import INF, MADE, NAN, TENTH, baseline, entry, one, rule, score

from lossctl.errors import UsageError
from lossctl.gate import Baseline, judge, unjudged
from lossctl.result import Confidence, InputFile
from lossctl.saved import Saved
from lossctl.verdicts import Check, Report, Rule, Verdict
from lossctl.version import __version__


class TestSignificance:
    def judged(self, value: float, low: float | None, high: float, **limits: Any) -> Rule:
        note = limits.pop("note", "")
        then = baseline(entry(limits.pop("before"))) if "before" in limits else None
        check = Check("c", "mae", needs="significant", level=0.9, **limits)
        return rule(check, score(value, low, high, **({"note": note} if note else {})), then)

    def test_beyond_by_chance(self) -> None:
        made = self.judged(2.5, 1.5, 3.0, maximum=2.0)
        assert made == Rule("max", "not-significant", 2.0, margin=-0.5, reason="not significant")
        assert self.judged(2.5, 2.25, 3.0, maximum=2.0) == Rule("max", "fail", 2.0, margin=-0.5)
        assert self.judged(1.5, 1.0, 3.0, maximum=2.0) == Rule("max", "pass", 2.0, margin=0.5)

    def test_no_interval(self) -> None:
        why = "no interval to judge by"
        for value in (1.5, 2.5):
            assert self.judged(value, None, NAN, maximum=2.0).reason == why
            assert self.judged(value, NAN, NAN, maximum=2.0).reason == why
            made = self.judged(value, NAN, NAN, maximum=2.0, note="one row")
            assert (made.outcome, made.reason, made.limit) == ("inconclusive", f"{why}: one row", 2.0)

    def test_infinity_is_no_chance(self) -> None:
        assert self.judged(INF, None, NAN, maximum=2.0) == Rule("max", "fail", 2.0)
        assert self.judged(-INF, None, NAN, maximum=2.0).outcome == "inconclusive"
        assert self.judged(-INF, None, NAN, minimum=2.0) == Rule("min", "fail", 2.0)

    def test_what_has_no_limit_stays(self) -> None:
        made = self.judged(INF, 1.0, 2.0, regression=TENTH, before=3.0)
        assert (made.outcome, made.reason) == ("fail", "it is infinite")
        assert self.judged(1.0, 1.0, 2.0, regression=TENTH).reason == "no baseline is named"

    @pytest.mark.parametrize(
        ("direction", "value", "low", "high", "outcome"),
        [
            ("lower", 12.0, 11.5, 13.0, "fail"),
            ("lower", 12.0, 11.0, 13.0, "not-significant"),
            ("higher", 8.0, 7.0, 8.5, "fail"),
            ("higher", 8.0, 7.0, 9.0, "not-significant"),
            ("zero", 12.0, 11.5, 13.0, "fail"),
            ("zero", -12.0, -13.0, -11.5, "fail"),
            ("zero", -12.0, -13.0, -10.5, "not-significant"),
            ("zero", 12.0, 0.0, 13.0, "not-significant"),
            ("zero", -12.0, -13.0, 0.0, "not-significant"),
            ("zero", 12.0, -12.0, 24.0, "not-significant"),
        ],
    )
    def test_regressions(self, direction: str, value: float, low: float, high: float, outcome: str) -> None:
        made = self.judged(value, low, high, regression=TENTH, before=10.0, direction=direction)
        assert made.outcome == outcome

    @pytest.mark.parametrize(
        ("value", "low", "high", "outcome"),
        [(1.0, 0.5, 2.0, "fail"), (-1.0, -2.0, -0.5, "fail"), (1.0, -1.0, 3.0, "not-significant")],
    )
    def test_intervals_on_one_side_of_zero(self, value: float, low: float, high: float, outcome: str) -> None:
        made = self.judged(value, low, high, regression=TENTH, before=0.25, direction="zero")
        assert made.outcome == outcome

    def test_plain_limits_of_signed_losses_have_a_side(self) -> None:
        assert self.judged(-3.0, -4.0, -2.5, minimum=-2.0, direction="zero").outcome == "fail"
        assert self.judged(-3.0, -4.0, -1.0, minimum=-2.0, direction="zero").outcome == "not-significant"
        assert self.judged(3.0, 2.5, 4.0, maximum=2.0, direction="higher").outcome == "fail"
        assert self.judged(3.0, 1.5, 1.9, maximum=2.0, direction="higher").outcome == "not-significant"


class TestMaking:
    def changes(self, check: Check, then: Baseline) -> list[str]:
        with pytest.raises(
            UsageError, match=r"check 'c': the baseline base\.json was made in another way"
        ) as e:
            judge(check, [score(1.0)], then)
        assert e.value.facts["check"] == "c"
        return list(e.value.facts["differs"])

    def test_conditions_of_gate(self) -> None:
        check = Check("c", "mae", regression=TENTH, conditions={"weight": "w", "where": "a > 1", "nan": None})
        own = {"check": "c", "conditions": {"weight": "v", "where": "a > 1", "join": "b"}}
        assert self.changes(check, baseline(entry(1.0, **own))) == [
            "join=b -> join=none",
            "weight=v -> weight=w",
        ]
        same = {"check": "c", "conditions": {"weight": "w", "where": "a > 1"}}
        assert one(check, score(1.0), baseline(entry(1.0, **same))).outcome == "pass"

    def test_a_result_of_compute_has_the_conditions_of_its_run(self) -> None:
        check = Check("c", "mae", regression=TENTH, conditions={"weight": "w", "where": "a > 1"})
        same = Baseline(Saved("base.json", [entry(1.0)], "w", {"where": "a > 1"}))
        assert one(check, score(1.0), same).outcome == "pass"
        assert self.changes(check, baseline(entry(1.0), weight="w")) == ["where=none -> where=a > 1"]
        weighted = Check("c", "mae", regression=TENTH, conditions={"weight": "w"})
        assert one(weighted, score(1.0), baseline(entry(1.0), weight="w")).outcome == "pass"
        assert self.changes(weighted, baseline(entry(1.0), weight="v")) == ["weight=v -> weight=w"]
        assert self.changes(weighted, baseline(entry(1.0))) == ["weight=none -> weight=w"]
        unweighted = Check("c", "mae", regression=TENTH)
        assert self.changes(unweighted, baseline(entry(1.0), weight="v")) == ["weight=v -> weight=none"]

    def test_signatures_come_first(self) -> None:
        check = Check("c", "mae", regression=TENTH, conditions={"weight": "w"})
        then = baseline(entry(1.0, signature="mae|sum|v1"))
        assert self.changes(check, then) == ["sum -> mean", "weight=none -> weight=w"]


class TestData:
    def test_rule(self) -> None:
        assert Rule("max", "fail", 2.0, 1.0, -0.5, "10%", "why").to_dict() == {
            "rule": "max",
            "verdict": "fail",
            "limit": 2.0,
            "baseline": 1.0,
            "margin": -0.5,
            "allowed": "10%",
            "reason": "why",
        }

    def test_report(self) -> None:
        interval = Confidence(0.9, 1.0, 2.0, "row-bootstrap", 200, 7)
        check = Check("c", "mae", severity="warning", needs="significant", level=0.9)
        rules = (Rule("max", "fail", 2.0, margin=-0.5),)
        verdict = Verdict(check, {"g": "a"}, rules, 2.5, "ok", 10, MADE, interval)
        report = Report([verdict], [InputFile("p.csv", "csv", 10)], "base.json", ["look"])
        assert report.to_dict() == {
            "schema": "lossctl.gate/1",
            "lossctl": __version__,
            "verdict": "pass",
            "counts": report.counts,
            "baseline": "base.json",
            "inputs": [{"path": "p.csv", "format": "csv", "rows": 10}],
            "checks": [
                {
                    "name": "c",
                    "spec": "mae",
                    "group": {"g": "a"},
                    "verdict": "fail",
                    "severity": "warning",
                    "needs": "significant",
                    "counts_as": "warning",
                    "value": 2.5,
                    "status": "ok",
                    "ci": interval.to_dict(),
                    "rows": 10,
                    "signature": MADE,
                    "account": None,
                    "rules": [rules[0].to_dict()],
                }
            ],
            "warnings": ["look"],
        }
        assert unjudged(check, "why").to_dict()["ci"] is None
        assert Verdict(check, {}, rules).to_dict()["status"] == "missing"
        assert Verdict(check, {}, rules).to_dict()["rows"] == 0
        assert Verdict(check, {}, rules).to_dict()["signature"] == ""

    def test_counts(self) -> None:
        outcomes = ["pass"] * 5 + ["fail"] * 4 + ["inconclusive"] * 3 + ["not-significant"] * 2
        report = Report([Verdict(Check("c", "mae"), {}, (Rule("max", each),)) for each in outcomes])
        assert report.counts == {
            "checks": 14,
            "passed": 5,
            "failed": 4,
            "inconclusive": 3,
            "not_significant": 2,
            "warnings": 2,
        }
        assert report.failed
        assert report.to_dict()["verdict"] == "fail"
        assert not Report(report.verdicts[:5]).failed
        assert not Report([]).failed
