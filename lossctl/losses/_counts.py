"""What the likelihoods of counts and amounts are made of."""

from __future__ import annotations

import math

import numpy as np

from lossctl.errorfree import Double, two_sum
from lossctl.loss import Array
from lossctl.numeric import expm1_minus
from lossctl.special import gosper_rest, log_factorial_rest, log_ratio, relative_entropy


def half_deviance_of_log(target: Array, pred: Array) -> Array:
    """y·log(y/μ) − y + μ from x = log μ: y(e^t − 1 − t), t = x − log y."""
    lead = pred - np.log(np.where(target > 0.0, target, 1.0))
    far = np.exp(pred) - target * (1.0 + lead)
    value = np.where(np.abs(lead) <= 1.0, target * expm1_minus(lead), far)
    return np.where(target > 0.0, value, np.exp(pred))


def none_counted(mu: Array, k: Array) -> Array:
    """k·log(1 + μ/k), the cost of y = 0."""
    ratio = mu / k
    return k * np.where(ratio < 1e290, np.log1p(ratio), log_ratio(mu, k))


def factorials(y: Array, k: Array, total: Double) -> tuple[Array, Array]:
    """What is left of log Γ(k + 1) − log Γ(y + k + 1) + log Γ(y + 1): one logarithm, that of a ratio, and the
    rest; for y < ½ as they stand, whose sum vanishes with y."""
    sixth = np.full_like(y, 1.0 / 6.0)
    ends = [Double(*two_sum(x, sixth)) for x in (y, k, total.high)]
    share = ends[1].over(ends[2]).times(ends[0])
    bulk = 0.5 * np.log(2.0 * math.pi * share.high)
    rest = (gosper_rest(k) - gosper_rest(total.high)) + gosper_rest(y) + 0.5 * (share.low / share.high)
    low = y < 0.5
    if low.any():
        bulk[low] = log_factorial_rest(k[low]) - log_factorial_rest(total.high[low])
        rest[low] = log_factorial_rest(y[low])
    return bulk, rest


def gamma_deviance_of(target: Array, pred: Array) -> Array:
    lift = np.where(pred < 1e-150, 2.0**400, np.where(pred > 1e150, 2.0**-400, 1.0))  # no digit is lost
    value = relative_entropy(pred * lift, target * lift) / (pred * lift)
    quotient = target / pred
    apart = (quotient < 0.01) | (quotient > 100.0)
    if apart.any():  # nothing cancels
        value[apart] = (quotient[apart] - 1.0) - log_ratio(target[apart], pred[apart])
    return 2.0 * value
