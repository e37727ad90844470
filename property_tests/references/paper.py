"""The paper's formulas, typed from its text with their numbers, with many digits.

Where the text is misprinted there are two: ``..._printed`` and what must be meant.
Variances sigma_w^2 and sigma_b^2 are written ``w2`` and ``b2``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from property_tests.references.definitions import Number, mp, normal_cdf, normal_quantile

P = ParamSpec("P")


def _deep(formula: Callable[P, Number]) -> Callable[P, Number]:
    """Evaluate with digits enough to take 1 - Phi(30) and erf(b) - erf(a) as they are written."""
    deep: Callable[P, Number] = mp.workdps(300)(formula)
    return deep


def _e(x: Number, q: Number) -> Number:
    return mp.exp(-(mp.mpf(x) ** 2) / (2 * mp.mpf(q)))


def _root(x: Number) -> Number:
    return mp.sqrt(x)


# ---------------------------------------------------------------- Appendix B, unclipped


@_deep
def eq_37(q: Number, tau: Number, w2: Number, b2: Number) -> Number:
    """V of ReLU_tau, last line."""
    q, tau = mp.mpf(q), mp.mpf(tau)
    tail = 1 - normal_cdf(tau / _root(q))
    return w2 * ((q + tau**2) * tail - _root(q) * tau / _root(2 * mp.pi) * _e(tau, q)) + b2


@_deep
def eq_37_fourth_line(q: Number, tau: Number, w2: Number, b2: Number) -> Number:
    """V of ReLU_tau, fourth line, with sqrt(2 pi q) in its first term."""
    q, tau = mp.mpf(q), mp.mpf(tau)
    return _eq_37_fourth_line(q, tau, w2, b2, _root(2 * mp.pi * q))


@_deep
def eq_37_fourth_line_printed(q: Number, tau: Number, w2: Number, b2: Number) -> Number:
    """The same as printed, with sqrt(2 pi) q."""
    q, tau = mp.mpf(q), mp.mpf(tau)
    return _eq_37_fourth_line(q, tau, w2, b2, _root(2 * mp.pi) * q)


def _eq_37_fourth_line(q: Number, tau: Number, w2: Number, b2: Number, under: Number) -> Number:
    tail = 1 - normal_cdf(tau / _root(q))
    second = 2 * _root(q) * tau / _root(2 * mp.pi) * _e(tau, q)
    return w2 * (q * (tau / under * _e(tau, q) + tail) - second + tau**2 * tail) + b2


@_deep
def eq_38(q: Number, tau: Number, w2: Number) -> Number:
    """V' of ReLU_tau, last line."""
    return w2 * normal_cdf(-mp.mpf(tau) / _root(mp.mpf(q)))


@_deep
def eq_38_first_line(q: Number, tau: Number, w2: Number) -> Number:
    """V' of ReLU_tau, first line, with a plus before its second term and sqrt(2 pi q)."""
    q, tau = mp.mpf(q), mp.mpf(tau)
    return _eq_38_first_line(q, tau, w2, mp.mpf(1), _root(2 * mp.pi * q))


@_deep
def eq_38_first_line_printed(q: Number, tau: Number, w2: Number) -> Number:
    """The same as printed, with a minus and sqrt(2 pi) q."""
    q, tau = mp.mpf(q), mp.mpf(tau)
    return _eq_38_first_line(q, tau, w2, mp.mpf(-1), _root(2 * mp.pi) * q)


def _eq_38_first_line(q: Number, tau: Number, w2: Number, sign: Number, under: Number) -> Number:
    e = _e(tau, q)
    second = tau * (q + tau**2) / (2 * q ** mp.mpf(1.5) * _root(2 * mp.pi)) * e
    third = tau / (2 * under) * e
    fourth = _root(q) * tau * (tau / under) * e * tau / (2 * q ** mp.mpf(1.5))
    return w2 * (1 - normal_cdf(tau / _root(q)) + sign * second - third - fourth)


@_deep
def eq_39(q_star: Number, tau: Number, w2: Number) -> Number:
    """chi_1 of ReLU_tau."""
    return w2 * (1 - normal_cdf(mp.mpf(tau) / _root(mp.mpf(q_star))))


@_deep
def eq_40(q: Number, tau: Number, w2: Number) -> Number:
    """V'' of ReLU_tau."""
    q, tau = mp.mpf(q), mp.mpf(tau)
    return w2 * tau / (2 * _root(2 * mp.pi) * q ** mp.mpf(1.5)) * _e(tau, q)


@_deep
def eq_41(q: Number, tau: Number, w2: Number, b2: Number) -> Number:
    """V of ST_tau."""
    return 2 * eq_37(q, tau, w2, b2) - b2


@_deep
def eq_42(q_star: Number, tau: Number, w2: Number) -> Number:
    """chi_1 of ST_tau."""
    return 2 * w2 * (1 - normal_cdf(mp.mpf(tau) / _root(mp.mpf(q_star))))


# ---------------------------------------------------------------- Appendix E, clipped


@_deep
def eq_44(q: Number, tau: Number, m: Number, w2: Number, b2: Number) -> Number:
    """V of CReLU_{tau,m}, from Eqs. 45 and 46."""
    return w2 * (eq_46(q, tau, tau) - eq_46(q, tau, mp.mpf(tau) + m) + eq_45_v3(q, tau, m)) + b2


@_deep
def eq_45_v3(q: Number, tau: Number, m: Number) -> Number:
    """v_3, the clipped part."""
    return mp.mpf(m) ** 2 * (1 - normal_cdf((mp.mpf(tau) + m) / _root(mp.mpf(q))))


@_deep
def eq_46(q: Number, tau: Number, start: Number) -> Number:
    """v_11 - tau v_12 + tau^2 v_13 above ``start`` (v_1 at tau, v_2 at tau + m), with Eq. 36."""
    q, tau = mp.mpf(q), mp.mpf(tau)
    z = mp.mpf(start) / _root(q)
    tail = 1 - normal_cdf(z)
    density = mp.exp(-(z**2) / 2) / _root(2 * mp.pi)
    return q * (z * density + tail) - tau * 2 * _root(q) * density + tau**2 * tail


@_deep
def eq_47(q: Number, tau: Number) -> Number:
    """dv_1/dq."""
    return 1 - normal_cdf(mp.mpf(tau) / _root(mp.mpf(q)))


@_deep
def eq_48(q: Number, tau: Number, m: Number) -> Number:
    """dv_2/dq."""
    q, end = mp.mpf(q), mp.mpf(tau) + m
    e = _e(end, q)
    first = m / _root(2 * mp.pi * q) * e + 1 - normal_cdf(end / _root(q))
    return first + eq_49(q, tau, m)


@_deep
def eq_49(q: Number, tau: Number, m: Number) -> Number:
    """dv_3/dq."""
    q, end, m = mp.mpf(q), mp.mpf(tau) + m, mp.mpf(m)
    return m**2 * end / (2 * _root(2 * mp.pi) * q ** mp.mpf(1.5)) * _e(end, q)


@_deep
def eq_50(q: Number, tau: Number, m: Number, w2: Number) -> Number:
    """V' of CReLU_{tau,m}."""
    q, tau, end = mp.mpf(q), mp.mpf(tau), mp.mpf(tau) + m
    mass = normal_cdf(end / _root(q)) - normal_cdf(tau / _root(q))
    return w2 * (mass - m / _root(2 * mp.pi * q) * _e(end, q))


@_deep
def eq_13(q: Number, tau: Number, m: Number, w2: Number) -> Number:
    """V' of CReLU_{tau,m}, with m / sqrt(2 pi q)."""
    return _eq_13(q, tau, m, w2, _root(2 * mp.pi * mp.mpf(q)))


@_deep
def eq_13_printed(q: Number, tau: Number, m: Number, w2: Number) -> Number:
    """The same as printed, with m / (sqrt(2 pi) q)."""
    return _eq_13(q, tau, m, w2, _root(2 * mp.pi) * mp.mpf(q))


def _eq_13(q: Number, tau: Number, m: Number, w2: Number, under: Number) -> Number:
    q, tau, m = mp.mpf(q), mp.mpf(tau), mp.mpf(m)
    erfs = mp.erf((m + tau) / _root(2 * q)) - mp.erf(tau / _root(2 * q))
    return w2 * (-m / under * mp.exp(-(((m + tau) / _root(q)) ** 2) / 2) + erfs / 2)


@_deep
def eq_15(q_star: Number, tau: Number, m: Number, w2: Number) -> Number:
    """chi_1 of CReLU_{tau,m}."""
    q, tau, m = mp.mpf(q_star), mp.mpf(tau), mp.mpf(m)
    return w2 / 2 * (mp.erf((m + tau) / _root(2 * q)) - mp.erf(tau / _root(2 * q)))


@_deep
def eq_17_gap(q_star: Number, tau: Number, m: Number, w2: Number) -> Number:
    """chi_1 - V'(q*) of CReLU_{tau,m}; also Eq. 52."""
    q, m = mp.mpf(q_star), mp.mpf(m)
    return w2 * m / _root(2 * mp.pi * q) * _e(m + tau, q)


@_deep
def eq_17_gap_printed(q_star: Number, tau: Number, m: Number, w2: Number) -> Number:
    """The same as Eq. 17 is printed, with sqrt(2 pi) q*."""
    q, m = mp.mpf(q_star), mp.mpf(m)
    return w2 * m / (_root(2 * mp.pi) * q) * _e(m + tau, q)


@_deep
def eq_18_gap(q_star: Number, tau: Number, m: Number, w2: Number) -> Number:
    """chi_1 - V'(q*) of CST_{tau,m}; also Eq. 55."""
    q, m = mp.mpf(q_star), mp.mpf(m)
    return _root(2) * w2 * m / _root(mp.pi * q) * _e(m + tau, q)


@_deep
def eq_18_gap_printed(q_star: Number, tau: Number, m: Number, w2: Number) -> Number:
    """The same as Eq. 18 is printed, with sqrt(pi) q*."""
    q, m = mp.mpf(q_star), mp.mpf(m)
    return _root(2) * w2 * m / (_root(mp.pi) * q) * _e(m + tau, q)


@_deep
def clipped_curvature(q: Number, tau: Number, m: Number, w2: Number) -> Number:
    """V'' of CReLU_{tau,m}, which the paper plots and tabulates without a formula."""
    q, tau, m = mp.mpf(q), mp.mpf(tau), mp.mpf(m)
    end = tau + m
    fall = (tau + m * end**2 / q) * _e(end, q)
    return w2 * (tau * _e(tau, q) - fall) / (2 * _root(2 * mp.pi) * q ** mp.mpf(1.5))


# ---------------------------------------------------------------- Appendix F and Table 1


def eq_57(s: Number, q_star: Number) -> Number:
    """tau-hat of the one-sided kinds."""
    return _root(mp.mpf(q_star)) * normal_quantile(s)


def eq_58(s: Number, q_star: Number) -> Number:
    """tau-hat of the odd kinds."""
    return _root(2 * mp.mpf(q_star)) * mp.erfinv(mp.mpf(s))


def eq_59(s: Number) -> Number:
    """sigma_w^2 of ReLU_tau and (Eq. 60) of ST_tau on the edge of chaos."""
    return 1 / (1 - mp.mpf(s))


def eq_61(s: Number, m: Number, q_star: Number) -> Number:
    """sigma_w^2 of CReLU_{tau,m} on the edge of chaos, last line."""
    s, scaled = mp.mpf(s), mp.mpf(m) / _root(2 * mp.mpf(q_star))
    return 2 / (mp.erf(scaled + mp.erfinv(2 * s - 1)) - 2 * s + 1)


def eq_62(s: Number, m: Number, q_star: Number) -> Number:
    """sigma_w^2 of CST_{tau,m} on the edge of chaos, last line."""
    s, scaled = mp.mpf(s), mp.mpf(m) / _root(2 * mp.mpf(q_star))
    return 1 / (mp.erf(scaled + mp.erfinv(s)) - s)


@_deep
def table_1_curvature(q: Number, tau: Number, q_star: Number) -> Number:
    """V'' of ReLU_tau and ST_tau on the edge of chaos, the same for both."""
    return eq_40(q, tau, 1 / normal_cdf(-mp.mpf(tau) / _root(mp.mpf(q_star))))


@_deep
def table_1_curvature_printed(kind: str, q: Number, tau: Number) -> Number:
    """V'' as Table 1 prints it: with q where q* must be, and twice as much for ST."""
    once = eq_40(q, tau, 1 / normal_cdf(-mp.mpf(tau) / _root(mp.mpf(q))))
    return once if kind == "relu" else 2 * once
