"""mpmath: the definitions with 60 digits, where naive float64 forms lose them. Not conventions: accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
from common import Golden

mp.mp.dps = 60
M = mp.mpf

# predictions near, far, tiny and huge, against targets of 0 and others
NEAR_Y = [0.0, 0.0, 0.0, 1.0, -2.5, 100000000.0, 0.3, 1e-200, 700.0, -1e6]
NEAR_P = [1e-09, 1e-05, 0.3, 1.0000001, 2.5, 100000001.0, 0.1, -1e-200, -20.0, 1e6]
RATE_Y = [0.0, 100000000.0, 1.0, 1e-12, 3.0, 0.5, 1e10, 7.0]
RATE_P = [1e-10, 100000001.0, 1.00000001, 1e-09, 2.9999, 500.0, 1.0, 7.000000001]
LOGITS = [-1000.0, -40.0, -1e-08, 0.0, 1e-05, 3.7, 36.7, 745.2]
PROBS = [1e-300, 1e-17, 0.4999999, 0.5, 0.999999999999999, 0.1, 0.75, 0.9999]


def rows(
    g: Golden, spec: str, formula: str, fn: Callable[..., Any], rtol: float = 1e-12, **inputs: Any
) -> None:
    """`fn` takes one row's exact values."""
    exact = [
        [M(x) if not isinstance(x, list) else [M(v) for v in x] for x in row]
        for row in zip(*inputs.values(), strict=True)
    ]
    value = [float(fn(**dict(zip(inputs, row, strict=True)))) for row in exact]
    g.add(spec, f"mpmath: {formula}", value, reduction="none", rtol=rtol, **inputs)


def barron(r: Any, a: Any) -> Any:
    if a == 2:
        return r**2 / 2
    if a == 0:
        return mp.log1p(r**2 / 2)
    return abs(a - 2) / a * ((r**2 / abs(a - 2) + 1) ** (a / 2) - 1)


def sp(z: Any) -> Any:
    return mp.log1p(mp.exp(z))


def tweedie(y: Any, mu: Any, p: Any) -> Any:
    if p == 1:
        return 2 * ((y * mp.log(y / mu) if y else 0) - y + mu)
    if p == 2:
        return 2 * (mp.log(mu / y) + y / mu - 1)
    head = y ** (2 - p) / ((1 - p) * (2 - p)) if y or p < 2 else mp.inf
    return 2 * (head - y * mu ** (1 - p) / (1 - p) + mu ** (2 - p) / (2 - p))


def regression(g: Golden) -> None:
    both = {"target": NEAR_Y, "pred": NEAR_P}
    rows(g, "log-cosh", "log(cosh(r))", lambda target, pred: mp.log(mp.cosh(pred - target)), **both)
    for v in (1.0, 0.01):
        rows(
            g,
            f"pseudo-huber:delta={v}",
            "d²(√(1+(r/d)²)−1)",
            lambda target, pred, v=v: M(v) ** 2 * (mp.sqrt(1 + ((pred - target) / M(v)) ** 2) - 1),
            **both,
        )
        rows(
            g,
            f"charbonnier:eps={v}",
            "√(r²+e²)",
            lambda target, pred, v=v: mp.sqrt((pred - target) ** 2 + M(v) ** 2),
            **both,
        )
        rows(
            g,
            f"fair:c={v}",
            "c|r| − c²log1p(|r|/c)",
            lambda target, pred, v=v: (
                M(v) * abs(pred - target) - M(v) ** 2 * mp.log1p(abs(pred - target) / M(v))
            ),
            **both,
        )
        rows(
            g,
            f"cauchy:c={v}",
            "c²/2 log1p((r/c)²)",
            lambda target, pred, v=v: M(v) ** 2 / 2 * mp.log1p(((pred - target) / M(v)) ** 2),
            **both,
        )
        rows(
            g,
            f"welsch:c={v}",
            "c²/2 (1−exp(−(r/c)²))",
            lambda target, pred, v=v: -(M(v) ** 2) / 2 * mp.expm1(-(((pred - target) / M(v)) ** 2)),
            **both,
        )
        rows(
            g,
            f"geman-mcclure:c={v}",
            "2r²/(r²+c²)",
            lambda target, pred, v=v: 2 * (pred - target) ** 2 / ((pred - target) ** 2 + M(v) ** 2),
            **both,
        )
        rows(
            g,
            f"tukey:c={v}",
            "c²/6 (1−(1−(r/c)²)³) inside c",
            lambda target, pred, v=v: M(v) ** 2 / 6 * (1 - max(M(0), 1 - ((pred - target) / M(v)) ** 2) ** 3),
            **both,
        )
    for a in (1.0, 0.0, 2.0, 1e-9, 1.9999999, -2.0, 0.5):
        rows(
            g,
            f"barron:alpha={a}",
            "general robust loss, c = 1",
            lambda target, pred, a=a: barron(pred - target, M(a)),
            rtol=1e-9 if a in (1e-9, 1.9999999) else 1e-12,
            target=NEAR_Y[:9],
            pred=NEAR_P[:9],
        )
    for a in (1.0, -0.25):
        rows(
            g,
            f"linex:a={a}",
            "exp(a(y−p)) − a(y−p) − 1",
            lambda target, pred, a=a: mp.expm1(M(a) * (target - pred)) - M(a) * (target - pred),
            target=[x for x in NEAR_Y if abs(x) < 100],
            pred=[NEAR_P[i] for i, x in enumerate(NEAR_Y) if abs(x) < 100],
        )
    rows(
        g,
        "msle",
        "(log1p(p) − log1p(y))²",
        lambda target, pred: (mp.log1p(pred) - mp.log1p(target)) ** 2,
        target=RATE_Y,
        pred=RATE_P,
    )
    rows(g, "lq:q=1.5", "|r|^1.5", lambda target, pred: abs(pred - target) ** M(1.5), **both)


def likelihoods(g: Golden) -> None:
    positive = {"target": RATE_Y, "pred": RATE_P}
    above = {"target": RATE_Y[1:], "pred": RATE_P[1:]}
    rows(
        g,
        "poisson-deviance",
        "2(y log(y/m) − y + m)",
        lambda target, pred: tweedie(target, pred, 1),
        **positive,
    )
    rows(g, "gamma-deviance", "2(log(m/y) + y/m − 1)", lambda target, pred: tweedie(target, pred, 2), **above)
    for p in (1.5, 1.001, 1.999, 3.0, 1.0, 2.0, 0.0, -1.0):
        inputs = positive if 1 <= p < 2 else above
        if p in (
            1.5,
            1.001,
            1.999,
        ):  # between the closed forms: not so near that nothing is left of the difference
            inputs = {"target": [0.0, 1e-12, 3.0, 0.5, 1e10], "pred": [1e-10, 1e-9, 2.5, 500.0, 1.0]}
        rows(
            g,
            f"tweedie-deviance:power={p}",
            "tweedie",
            lambda target, pred, p=p: (target - pred) ** 2 if p == 0 else tweedie(target, pred, M(p)),
            rtol=1e-9,
            **inputs,
        )
    rows(
        g,
        "poisson-nll:full=true",
        "m − y log m + lgamma(y+1)",
        lambda target, pred: pred - target * mp.log(pred) + mp.loggamma(target + 1),
        rtol=1e-11,
        target=[0.0, 1.0, 3.0, 250.0, 12345.0],
        pred=[0.1, 1.0, 2.9, 260.0, 12300.0],
    )

    def nb(target: Any, pred: Any, dispersion: Any) -> Any:
        k = dispersion
        return (
            mp.loggamma(k)
            - mp.loggamma(target + k)
            + mp.loggamma(target + 1)
            - k * mp.log(k / (k + pred))
            - target * mp.log(pred / (pred + k))
        )

    rows(
        g,
        "negative-binomial-nll",
        "negative binomial",
        nb,
        rtol=1e-9,
        target=[0.0, 3.0, 10.0, 100.0],
        pred=[0.5, 3.5, 9.0, 120.0],
        dispersion=[1e-3, 2.0, 1e8, 1e12],
    )

    def crps(target: Any, pred: Any, scale: Any) -> Any:
        z = (target - pred) / scale
        return scale * (z * (2 * mp.ncdf(z) - 1) + 2 * mp.npdf(z) - 1 / mp.sqrt(mp.pi))

    rows(
        g,
        "crps-normal",
        "s(z(2Φ(z)−1) + 2φ(z) − 1/√π)",
        crps,
        rtol=1e-11,
        target=[0.0, 1.0, -40.0, 1e6, 0.001],
        pred=[0.0, 1.5, 3.0, -1e6, 0.0],
        scale=[1.0, 0.25, 2.0, 5.0, 1e-8],
    )
    rows(
        g,
        "gaussian-nll:full=true",
        "½(log 2πv + r²/v)",
        lambda target, pred, variance: (mp.log(2 * mp.pi * variance) + (target - pred) ** 2 / variance) / 2,
        target=[1e8, 0.0, 3.0],
        pred=[100000001.0, 1e-9, -4.0],
        variance=[1e-6, 1e-18, 1e12],
    )
    rows(
        g,
        "laplace-nll",
        "log(2b) + |r|/b",
        lambda target, pred, scale: mp.log(2 * scale) + abs(target - pred) / scale,
        target=[1e8, 0.0, 3.0],
        pred=[100000001.0, 1e-9, -4.0],
        scale=[1e-6, 1e-18, 1e12],
    )


def classification(g: Golden) -> None:
    half = len(LOGITS)
    logit = {"target": [1.0, 0.0] * (half // 2) + [0.0, 1.0] * (half // 2), "pred": LOGITS * 2}
    prob = {"target": logit["target"], "pred": PROBS * 2}
    ce = lambda y, z: (1 - y) * sp(z) + y * sp(-z)  # noqa: E731
    rows(g, "bce:from-logits=true", "y sp(−z) + (1−y) sp(z)", lambda target, pred: ce(target, pred), **logit)
    rows(
        g,
        "bce:from-logits=true",
        "soft targets",
        lambda target, pred: ce(target, pred),
        target=[0.3] * half,
        pred=LOGITS,
    )
    rows(
        g,
        "bce",
        "−y log p − (1−y) log(1−p)",
        lambda target, pred: -(mp.log(pred) if target else mp.log1p(-pred)),
        **prob,
    )
    for gamma in (2.0, 0.5):
        rows(
            g,
            f"binary-focal:gamma={gamma}",
            "−(1−p_t)^γ log p_t",
            lambda target, pred, c=gamma: (
                -((1 - pred if target else pred) ** M(c)) * (mp.log(pred) if target else mp.log1p(-pred))
            ),
            rtol=1e-11,
            **prob,
        )
        rows(
            g,
            f"binary-focal:from-logits=true:gamma={gamma}",
            "the same from logits",
            lambda target, pred, c=gamma: (
                (1 / (1 + mp.exp(pred if target else -pred))) ** M(c) * sp(-pred if target else pred)
            ),
            rtol=1e-11,
            **logit,
        )
    signs = {"target": [1.0 if y else -1.0 for y in logit["target"]], "pred": logit["pred"]}
    rows(g, "soft-margin", "log1p(exp(−yz))", lambda target, pred: sp(-target * pred), **signs)
    rows(
        g,
        "bpr",
        "sp(−(a−b))",
        lambda positive, negative: sp(negative - positive),
        positive=LOGITS,
        negative=LOGITS[::-1],
    )
    cut = {"target": signs["target"][1:8], "pred": LOGITS[1:]}
    rows(
        g,
        "exponential",
        "exp(−yz)",
        lambda target, pred: mp.exp(-target * pred),
        target=cut["target"][:6],
        pred=cut["pred"][:6],
    )
    scores = [[1000.0, 0.0, -1000.0], [0.0, 1e-12, -1e-12], [30.0, 35.5, 36.0], [-5000.0, -5001.0, -5000.5]]

    def softmax(target: Any, pred: list[Any]) -> Any:
        return mp.log(mp.fsum(mp.exp(z - max(pred)) for z in pred)) + max(pred) - pred[int(target)]

    labels = [0, 2, 1, 1]
    rows(g, "cross-entropy:from-logits=true", "lse(z) − z_y", softmax, target=labels, pred=scores)

    def focal(target: Any, pred: list[Any]) -> Any:
        loss = softmax(target, pred)
        return (-mp.expm1(-loss)) ** 2 * loss

    rows(g, "focal:from-logits=true", "(1−p)² (−log p)", focal, rtol=1e-11, target=labels, pred=scores)


def vectors(g: Golden) -> None:
    p = [[0.25, 0.75], [1e-300, 1.0], [0.5078125, 0.4921875], [1.0, 0.0], [0.1, 0.9]]
    q = [[0.2578125, 0.7421875], [1.0, 1e-300], [0.5, 0.5], [0.0, 1.0], [0.1, 0.9]]

    def kl(a: list[Any], b: list[Any]) -> Any:
        terms = (x * mp.log(x / y) if x and y else (mp.inf if x else 0) for x, y in zip(a, b, strict=True))
        return mp.fsum(terms)

    def js(target: list[Any], pred: list[Any]) -> Any:
        mid = [(x + y) / 2 for x, y in zip(target, pred, strict=True)]
        return (kl(target, mid) + kl(pred, mid)) / 2

    near = {"target": p, "pred": q}
    rows(g, "kl", "Σ p log(p/q)", lambda target, pred: kl(target, pred), rtol=1e-10, **near)
    rows(g, "js", "½KL(p‖m) + ½KL(q‖m)", js, rtol=1e-10, **near)

    def cosine(target: list[Any], pred: list[Any]) -> Any:
        dot = mp.fsum(a * b for a, b in zip(target, pred, strict=True))
        size = mp.sqrt(mp.fsum(a * a for a in target)) * mp.sqrt(mp.fsum(b * b for b in pred))
        return 1 - dot / size

    rows(
        g,
        "cosine-distance",
        "1 − a·b/(|a||b|)",
        cosine,
        rtol=1e-7,
        target=[[1.0, 1.0], [1e200, 2e200], [1e-200, 0.0], [3.0, 4.0]],
        pred=[[1.0, 1.0000001], [2e200, 1e200], [1e-200, 1e-200], [-3.0, -4.0]],
    )
    rows(
        g,
        "kl-normal",
        "−½Σ(1+l−m²−e^l)",
        lambda mu, logvar: -mp.fsum(1 + v - m**2 - mp.exp(v) for m, v in zip(mu, logvar, strict=True)) / 2,
        rtol=1e-9,
        mu=[[0.0, 1e-9], [3.0, -2.0]],
        logvar=[[1e-6, -1e-5], [-30.0, 4.0]],
    )


def make() -> Golden:
    g = Golden("exact", ("mpmath",))
    for part in (regression, likelihoods, classification, vectors):
        part(g)
    return g
