"""SciPy, scoringrules, properscoring and utilsforecast."""

from __future__ import annotations

import data as d
import numpy as np
import pandas as pd
import properscoring as ps
import scoringrules as sr
import utilsforecast.losses as u
from common import Golden
from scipy import special, stats
from scipy.optimize._lsq.least_squares import construct_loss_function
from scipy.spatial.distance import cosine, jensenshannon


def scipy_() -> Golden:
    g = Golden("scipy", ("scipy",))
    r, both = np.array(d.P) - d.Y, {"target": d.Y, "pred": d.P}
    tail = {"target": d.Y_TAIL, "pred": d.P_TAIL}
    for v in (1.0, 1.5, 0.1):
        for inputs in (both, tail):
            gap = np.array(inputs["pred"]) - inputs["target"]
            g.add(
                f"huber:delta={v}", "scipy.special.huber", special.huber(v, gap), reduction="none", **inputs
            )
        g.add(
            f"pseudo-huber:delta={v}",
            "scipy.special.pseudo_huber",
            special.pseudo_huber(v, r),
            reduction="none",
            rtol=1e-11,
            **both,
        )
        value = [2 * construct_loss_function(1, "cauchy", v)(np.array([x]), cost_only=True) / 2 for x in r]
        g.add(f"cauchy:c={v}", "scipy least_squares loss 'cauchy'", value, reduction="none", **both)
    p, q = np.array(d.SOFT_ROWS), np.array(d.PROBS)
    rows = {"target": p, "pred": q}
    g.add(
        "kl",
        "scipy.special.rel_entr(p, q).sum(1)",
        special.rel_entr(p, q).sum(1),
        reduction="none",
        rtol=1e-11,
        **rows,
    )
    ends = {"target": p, "pred": np.array(d.PROBS_END)}
    g.add(
        "kl",
        "scipy.special.rel_entr(p, q).sum(1)",
        special.rel_entr(p, d.PROBS_END).sum(1),
        reduction="none",
        **ends,
    )
    g.add(
        "reverse-kl",
        "scipy.special.rel_entr(q, p).sum(1)",
        special.rel_entr(q, p).sum(1),
        reduction="none",
        **rows,
    )
    for base in (None, 2, 10):
        tail_ = f":base={base}" if base else ""
        counts = {"target": [[2.0, 5.0, 3.0], [1.0, 0.0, 7.0]], "pred": [[3.0, 4.0, 3.0], [0.5, 0.25, 1.0]]}
        a, b = np.array(counts["target"]), np.array(counts["pred"])
        g.add(
            f"kl:normalize=true{tail_}",
            f"scipy.stats.entropy(p, q, base={base})",
            stats.entropy(a, b, base=base, axis=1),
            reduction="none",
            rtol=1e-11,
            **counts,
        )
        g.add(
            f"js:normalize=true{tail_}",
            f"scipy.spatial.distance.jensenshannon(p, q, base={base}) ** 2",
            jensenshannon(a, b, base=base, axis=1) ** 2,
            reduction="none",
            rtol=1e-10,
            **counts,
        )
        g.add(
            f"entropy{tail_}",
            f"scipy.stats.entropy(pred, base={base})",
            stats.entropy(q, base=base, axis=1),
            reduction="none",
            rtol=1e-11,
            pred=q,
        )
    g.add(
        "js",
        "scipy.spatial.distance.jensenshannon ** 2",
        jensenshannon(p, d.PROBS_END, axis=1) ** 2,
        reduction="none",
        rtol=1e-10,
        **ends,
    )
    bins = np.arange(3)
    value = [stats.wasserstein_distance(bins, bins, a, b) for a, b in zip(p, q, strict=True)]
    g.add(
        "emd",
        "scipy.stats.wasserstein_distance(bins, bins, p, q)",
        value,
        reduction="none",
        rtol=1e-11,
        **rows,
    )
    value = [stats.energy_distance(bins, bins, a, b) / 2**0.5 for a, b in zip(p, q, strict=True)]
    g.add(
        "emd:p=2",
        "scipy.stats.energy_distance(bins, bins, p, q) / sqrt(2)",
        value,
        reduction="none",
        rtol=1e-11,
        **rows,
    )
    for inputs in (both, tail):
        value = stats.wasserstein_distance(inputs["target"], inputs["pred"])
        g.add("wasserstein", "scipy.stats.wasserstein_distance", value, reduction="pooled", **inputs)
    value = stats.wasserstein_distance(d.Y, d.P, d.W, d.W)
    g.add(
        "wasserstein",
        "scipy.stats.wasserstein_distance(y, p, w, w)",
        value,
        reduction="pooled",
        weight=d.W,
        **both,
    )
    value = [cosine(a, b) for a, b in zip(d.A, d.B, strict=True)]
    g.add(
        "cosine-distance",
        "scipy.spatial.distance.cosine",
        value,
        reduction="none",
        rtol=1e-11,
        target=d.A,
        pred=d.B,
    )
    scale = np.array(d.SCALE)
    normal = {"variance": scale, "target": d.Y, "pred": d.P}
    g.add(
        "gaussian-nll:full=true",
        "-scipy.stats.norm.logpdf",
        -stats.norm.logpdf(d.Y, d.P, np.sqrt(scale)),
        reduction="none",
        rtol=1e-11,
        **normal,
    )
    g.add(
        "laplace-nll",
        "-scipy.stats.laplace.logpdf",
        -stats.laplace.logpdf(d.Y, d.P, scale),
        reduction="none",
        scale=scale,
        **both,
    )
    count, rate = np.array(d.COUNT), np.array(d.RATE)
    g.add(
        "poisson-nll:full=true",
        "-scipy.stats.poisson.logpmf",
        -stats.poisson.logpmf(count, rate),
        reduction="none",
        rtol=1e-11,
        target=count,
        pred=rate,
    )
    g.add(
        "negative-binomial-nll",
        "-scipy.stats.nbinom.logpmf(y, k, k / (k + mu))",
        -stats.nbinom.logpmf(count, scale, scale / (scale + rate)),
        reduction="none",
        rtol=1e-10,
        target=count,
        pred=rate,
        dispersion=scale,
    )
    value = special.logsumexp(d.LOGITS_TAIL, axis=1) - np.array(d.LOGITS_TAIL)[np.arange(4), d.LABEL]
    g.add(
        "cross-entropy:from-logits=true",
        "scipy.special.logsumexp(z) - z_y",
        value,
        reduction="none",
        target=d.LABEL,
        pred=d.LOGITS_TAIL,
    )
    return g


def scoring() -> list[Golden]:
    s, p = Golden("scoringrules", ("scoringrules",)), Golden("properscoring", ("properscoring",))
    obs, ens = np.array(d.OBSERVED), np.array(d.ENSEMBLE)
    forecast = {"target": obs, "pred": ens}
    for estimator in ("nrg", "fair"):
        value = sr.crps_ensemble(obs, ens, estimator=estimator)
        s.add(
            f"crps-ensemble:estimator={estimator}",
            f"scoringrules.crps_ensemble(estimator={estimator!r})",
            value,
            reduction="none",
            rtol=1e-11,
            **forecast,
        )
    s.add(
        "crps-ensemble",
        "scoringrules.crps_ensemble(estimator='qd')",
        sr.crps_ensemble(obs, ens, estimator="qd"),
        reduction="none",
        rtol=1e-11,
        **forecast,
    )
    normal = {"target": obs, "pred": d.CENTRE, "scale": d.SPREAD}
    value = sr.crps_normal(obs, np.array(d.CENTRE), np.array(d.SPREAD))
    s.add("crps-normal", "scoringrules.crps_normal", value, reduction="none", rtol=1e-11, **normal)
    p.add(
        "crps-normal",
        "properscoring.crps_gaussian",
        ps.crps_gaussian(obs, np.array(d.CENTRE), np.array(d.SPREAD)),
        reduction="none",
        rtol=1e-11,
        **normal,
    )
    p.add(
        "crps-ensemble",
        "properscoring.crps_ensemble",
        ps.crps_ensemble(obs, ens),
        reduction="none",
        rtol=1e-11,
        **forecast,
    )
    p.add(
        "brier",
        "properscoring.brier_score",
        ps.brier_score(np.array(d.BIN), np.array(d.PROB)),
        reduction="none",
        target=d.BIN,
        pred=d.PROB,
    )
    s.add(
        "brier",
        "scoringrules.brier_score",
        sr.brier_score(np.array(d.BIN), np.array(d.PROB)),
        reduction="none",
        target=d.BIN,
        pred=d.PROB,
    )
    for alpha in (0.1, 0.5):
        value = sr.interval_score(obs, np.array(d.LOWER), np.array(d.UPPER), alpha)
        s.add(
            f"interval-score:alpha={alpha}",
            f"scoringrules.interval_score(alpha={alpha})",
            value,
            reduction="none",
            rtol=1e-11,
            target=obs,
            lower=d.LOWER,
            upper=d.UPPER,
        )
        value = sr.quantile_score(np.array(d.Y), np.array(d.P), alpha)
        s.add(
            f"quantile:tau={alpha}",
            f"scoringrules.quantile_score(alpha={alpha})",
            value,
            reduction="none",
            target=d.Y,
            pred=d.P,
        )
    levels = np.array([0.1, 0.5, 0.75, 0.9])
    value = sr.crps_quantile(obs, np.sort(ens, axis=1), levels) / 2
    s.add(
        "multi-quantile:quantiles=[0.1,0.5,0.75,0.9]",
        "scoringrules.crps_quantile / 2",
        value,
        reduction="none",
        rtol=1e-11,
        target=obs,
        pred=np.sort(ens, axis=1),
    )
    y, mean, scale = np.array(d.Y), np.array(d.P), np.array(d.SCALE)
    s.add(
        "gaussian-nll:full=true",
        "scoringrules.logs_normal(sigma = sqrt(variance))",
        sr.logs_normal(y, mean, np.sqrt(scale)),
        reduction="none",
        rtol=1e-11,
        target=y,
        pred=mean,
        variance=scale,
    )
    s.add(
        "laplace-nll",
        "scoringrules.logs_laplace",
        sr.logs_laplace(y, mean, scale),
        reduction="none",
        rtol=1e-11,
        target=y,
        pred=mean,
        scale=scale,
    )
    s.add(
        "poisson-nll:full=true",
        "scoringrules.logs_poisson",
        sr.logs_poisson(np.array(d.COUNT[:4]), np.array(d.RATE[:4])),
        reduction="none",
        rtol=1e-10,
        target=d.COUNT[:4],
        pred=d.RATE[:4],
    )  # its factorial of 250 is nan
    return [s, p]


def forecasting() -> Golden:
    g = Golden("utilsforecast", ("utilsforecast",))
    frame = pd.DataFrame(
        {"unique_id": "one", "y": d.Y, "m": d.P, "lo": np.array(d.P) - 1, "hi": np.array(d.P) + 0.5}
    )
    both = {"target": d.Y, "pred": d.P}

    def value(fn, **more):  # type: ignore[no-untyped-def]
        return float(fn(frame, models=["m"], **more)["m"].iloc[0])

    for spec, reduction, fn in (
        ("mse", "mean", u.mse),
        ("rmse", "pooled", u.rmse),
        ("mae", "mean", u.mae),
        ("bias", "mean", u.bias),
        ("mape", "mean", u.mape),
        ("smape:scale=1", "mean", u.smape),
        ("wape", "pooled", u.wape),
        ("wape", "pooled", u.nd),
    ):
        g.add(spec, f"utilsforecast.losses.{fn.__name__}", value(fn), reduction=reduction, **both)
    for a in (1.0, -0.5):
        g.add(f"linex:a={a}", f"utilsforecast.losses.linex(a={a})", value(u.linex, a=a), rtol=1e-11, **both)
    for tau in (0.2, 0.9):
        found = u.quantile_loss(frame, models={"m": "m"}, q=tau)["m"].iloc[0]
        g.add(f"quantile:tau={tau}", f"utilsforecast.losses.quantile_loss(q={tau})", float(found), **both)
    found = u.winkler_score(frame.rename(columns={"lo": "m-lo-90", "hi": "m-hi-90"}), models=["m"], level=90)[
        "m"
    ].iloc[0]
    g.add(
        "interval-score:alpha=0.1",
        "utilsforecast.losses.winkler_score(level=90)",
        float(found),
        rtol=1e-11,
        target=d.Y,
        lower=frame["lo"].to_numpy(),
        upper=frame["hi"].to_numpy(),
    )
    return g


def make() -> list[Golden]:
    return [scipy_(), *scoring(), forecasting()]
