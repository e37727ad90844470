/* Random networks of finite width without their weights: layer_law.py's law, drawn in the browser.

Given a layer of variance q, R units lie on the ramp and C beyond it, multinomial; the next variance
is sigma_w^2 (sum of (h - tau)^2 on the ramp + C m^2) / N + sigma_b^2, the gain of squared gradients
sigma_w^2 R / N. Up to FEW units are drawn one by one, the sum over more from a gamma distribution
with its mean, variance and third cumulant. */

"use strict";

const Law = (() => {
  const FEW = 16;
  const LARGEST_VARIANCE = 1e200;
  const LEAST_SKEWNESS = 1e-4;
  const FAR = 60;  // a ramp is cut where the density has fallen by exp(-60 / 2)

  /** Random numbers from a seed: xorshift128 of 32-bit words, two a number. */
  function generator(seed) {
    let [x, y, z, w] = [seed ^ 0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x6a09e667];
    const word = () => {
      const t = x ^ (x << 11);
      [x, y, z] = [y, z, w];
      w = w ^ (w >>> 19) ^ t ^ (t >>> 8);
      return w >>> 0;
    };
    for (let i = 0; i < 32; i++) word();
    return () => ((word() >>> 5) * 0x4000000 + (word() >>> 6) + 0.5) / 0x20000000000000;
  }

  /** A binomial number by inversion; n <= 1000, so that no term at the start underflows. */
  function binomial(random, n, p) {
    if (p > 0.5) return n - binomial(random, n, 1 - p);
    if (p <= 0 || n === 0) return 0;
    let left = random(), term = Math.pow(1 - p, n), k = 0;
    while (left > term && k < n) {
      left -= term;
      term *= (n - k) / (k + 1) * p / (1 - p);
      k++;
    }
    return k;
  }

  /** A standard normal number (Box and Muller). */
  function normal(random) {
    return Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  }

  /** A gamma number of this shape >= 1 (Marsaglia and Tsang). */
  function gamma(random, shape) {
    const d = shape - 1 / 3, c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = normal(random), v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  /** How far beyond a a unit lies, given that it is on the ramp from a to a + w: by rejection. */
  function along(random, a, w) {
    const rate = 0.5 * (a + Math.sqrt(a * a + 4));
    for (;;) {
      if (rate * w < 1) {
        const t = w * random();
        if (random() < Math.exp(-t * (a + 0.5 * t))) return t;
      } else {
        const t = -Math.log(random()) / rate;
        if (t < w && random() < Math.exp(-0.5 * (t + a - rate) ** 2)) return t;
      }
    }
  }

  /** Mean, deviation and skewness of (z - a)^2 on the ramp. */
  function cumulants(a, w) {
    const length = Math.min(w, FAR / (Math.sqrt(a * a + FAR) + a));
    let mass = 0, first = 0, second = 0, third = 0;
    for (const { node, weight } of Theory.NODES) {
      const t = length * node, x = node * node;
      const part = weight * Math.exp(-t * (a + 0.5 * t));
      mass += part;
      first += part * x;
      second += part * x * x;
      third += part * x * x * x;
    }
    first /= mass;
    second /= mass;
    third /= mass;
    const variance = second - first * first;
    const skewness = (third - 3 * first * variance - first ** 3) / variance ** 1.5;
    const unit = length * length;
    return { mean: unit * first, deviation: unit * Math.sqrt(variance), skewness };
  }

  /** The sum of (z - a)^2 over this many units on the ramp. */
  function sumOfSquares(random, number, a, w) {
    if (number <= FEW) {
      let sum = 0;
      for (let i = 0; i < number; i++) sum += along(random, a, w) ** 2;
      return sum;
    }
    const { mean, deviation, skewness } = cumulants(a, w);
    const size = Math.max(Math.abs(skewness), LEAST_SKEWNESS), shape = 4 * number / size ** 2;
    const score = Math.sign(skewness) * (gamma(random, shape) - shape) / Math.sqrt(shape);
    return Math.max(number * mean + Math.sqrt(number) * deviation * score, 0);
  }

  /** One network: the logarithms of its largest gain from h^L back and of that to h^1, and q^L. */
  function drawNetwork(random, net, width, depth) {
    let q = net.qStar, largest = 0, whole = 0;
    for (let layer = 1; layer < depth; layer++) {
      const root = Math.sqrt(q), a = net.tau / root, w = net.m / root;
      const onRampOrBeyond = q > 0 ? net.sides * Normal.cdf(-a) : 0;
      const beyond = q > 0 && w < Infinity ? net.sides * Normal.cdf(-(a + w)) : 0;
      const rising = onRampOrBeyond - beyond;
      const number = binomial(random, width, rising);
      const clipped = binomial(random, width - number, Math.min(beyond / (1 - rising), 1));
      const square = (number ? q * sumOfSquares(random, number, a, w) : 0)
        + (clipped ? clipped * net.m ** 2 : 0);
      const step = Math.log(net.sigmaW2 * number / width);
      largest = Math.max(0, largest + step);
      whole += step;
      q = Math.min(net.sigmaW2 * square / width + net.sigmaB2, LARGEST_VARIANCE);
    }
    return { largest, whole, last: q };
  }

  return { generator, drawNetwork };
})();
