/* The standard normal distribution to full double precision, far into its tails.

The scripts of this folder are plain ones, each a single constant, since a browser loads no module
from a page that is opened as a file. They are loaded in the order normal, theory, law, forecast,
page; all but the last are free of the page. */

"use strict";

const Normal = (() => {
  const ROOT_PI = Math.sqrt(Math.PI);
  const STEP = 0.5;  // of the trapezoidal rule: its error is exp(-(pi / STEP)^2) = 7e-18
  const TERMS = Array.from({ length: 13 }, (_, i) => ({
    square: ((i + 1) * STEP) ** 2,
    weight: Math.exp(-(((i + 1) * STEP) ** 2)),
  }));

  /** exp(-c x^2) for c = 1 or 1/2, without the rounding of x^2, which would grow with x. */
  function gaussian(x, c) {
    const high = Math.fround(x);  // has an exact square
    return Math.exp(-c * high * high) * Math.exp(-c * (x - high) * (x + high));
  }

  /** erf for |x| < 1/2, by the series whose terms all have the sign of x. */
  function seriesOfErf(x) {
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= x * x / (n + 0.5);
      sum += term;
    }
    return 2 / ROOT_PI * gaussian(x, 1) * sum;
  }

  /** exp(x^2) erfc(x) for x >= 1/2: (x / pi) int exp(-t^2) / (t^2 + x^2) dt by the trapezoidal
      rule, and the residue of the pole at t = i x where the rule's error has it. */
  function scaledErfc(x) {
    let sum = 1 / (x * x);
    for (const { square, weight } of TERMS) sum += 2 * weight / (square + x * x);
    const pole = x < Math.PI / STEP ? 2 * Math.exp(x * x) / Math.expm1(2 * Math.PI * x / STEP) : 0;
    return STEP * x / Math.PI * sum - pole;
  }

  function erf(x) {
    if (Math.abs(x) < 0.5) return seriesOfErf(x);
    return Math.sign(x) * (1 - erfc(Math.abs(x)));
  }

  function erfc(x) {
    if (x < 0.5) return 1 - erf(x);
    return gaussian(x, 1) * scaledErfc(x);
  }

  /** The density gamma(a). */
  function density(a) {
    return gaussian(a, 0.5) / Math.sqrt(2 * Math.PI);
  }

  /** Phi(x). */
  function cdf(x) {
    return 0.5 * (x < 0 ? tailFactor(-x) : 2 - tailFactor(x));
  }

  /** erfc(a / sqrt(2)) for a >= 0, with the square of a and not of a rounded quotient. */
  function tailFactor(a) {
    const x = a * Math.SQRT1_2;
    return x < 0.5 ? 1 - seriesOfErf(x) : gaussian(a, 0.5) * scaledErfc(x);
  }

  /** The a >= 0 with 1 - Phi(a) = p, for 0 < p <= 1/2: Newton's method on the logarithm. */
  function tailQuantile(p) {
    const target = Math.log(p) + 0.5 * Math.log(2 * Math.PI);
    let a = 0;
    for (let i = 0; i < 60; i++) {
      const mills = scaledTailMoments(a)[0];
      const step = (Math.log(mills) - 0.5 * a * a - target) * mills;
      a = Math.max(a + step, 0);
      if (Math.abs(step) <= 1e-15 * a) break;
    }
    return a;
  }

  /** t_0, t_1, t_2 with t_k(a) = int_0^inf t^k exp(-a t - t^2 / 2) dt, for a >= 0. */
  function scaledTailMoments(a) {
    if (a < 3) {
      const x = a * Math.SQRT1_2;
      const ratio = x < 0.5 ? (1 - seriesOfErf(x)) * Math.exp(x * x) : scaledErfc(x);
      const t0 = Math.sqrt(Math.PI / 2) * ratio;
      const t1 = 1 - a * t0;
      return [t0, t1, t0 - a * t1];
    }
    // t_k / t_(k-1) = k / (a + t_(k+1) / t_k), a continued fraction.
    let ratio = 0, second = 0;
    for (let k = 80; k >= 1; k--) {
      if (k === 1) second = ratio;
      ratio = k / (a + ratio);
    }
    const t0 = 1 / (a + ratio);
    return [t0, ratio * t0, second * ratio * t0];
  }

  return { erf, erfc, cdf, density, tailQuantile, scaledTailMoments };
})();
