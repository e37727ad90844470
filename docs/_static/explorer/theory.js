/* Mean-field theory on the edge of chaos, for the four activations and sparsities from 1/2 on.

All four rise with slope one from tau >= 0 to tau + m on one side or on both, m = Infinity without a
clip. So every expectation is that of one ramp, once or twice. Formulas are those of
sparsity_theory, and property_tests/library/test_explorer.py holds them to it. */

"use strict";

const Theory = (() => {
  const KINDS = {
    relu: { label: "ReLU", className: "ShiftedReLU", sides: 1, clipped: false },
    st: { label: "ST", className: "SoftThreshold", sides: 2, clipped: false },
    crelu: { label: "CReLU", className: "ClippedReLU", sides: 1, clipped: true },
    cst: { label: "CST", className: "ClippedSoftThreshold", sides: 2, clipped: true },
  };
  const REFERENCE_GAP = 0.5;  // 1 - rho of two images in layer 1, as learnability.py has it
  const NODES = gaussLegendre(20);
  const THIN = 2;  // gamma falls by at most exp(2) over a thin ramp; nodes are exact there
  const POINTS_PER_E_FOLD = 64;

  /** Nodes and weights of the Gauss-Legendre rule on [0, 1]. */
  function gaussLegendre(count) {
    return Array.from({ length: count }, (_, i) => {
      let x = Math.cos(Math.PI * (i + 0.75) / (count + 0.5)), slope = 1;
      for (let round = 0; round < 8; round++) {
        let before = 1, value = x;
        for (let n = 2; n <= count; n++)
          [before, value] = [value, ((2 * n - 1) * x * value - (n - 1) * before) / n];
        slope = count * (x * value - before) / (x * x - 1);
        x -= value / slope;
      }
      return { node: (1 - x) / 2, weight: 1 / ((1 - x * x) * slope * slope) };
    });
  }

  /** int_0^length f by the rule. */
  function integral(f, length) {
    let sum = 0;
    for (const { node, weight } of NODES) sum += weight * f(node * length);
    return length * sum;
  }

  /** T_k(a) = int_a^inf (z - a)^k gamma(dz), k = 0, 1, 2; zeros at infinity. */
  function tail(a) {
    if (a === Infinity) return { density: 0, moments: [0, 0, 0] };
    const density = Normal.density(a);
    return { density, moments: Normal.scaledTailMoments(a).map(t => density * t) };
  }

  /** Integrals over the ramp from a to a + w, a >= 0, against the normal density of z. */
  function ramp(a, w) {
    const left = tail(a), right = tail(a + w), b = a + w;
    const [t0, t1, t2] = left.moments, [u0, u1, u2] = right.moments;
    const found = {
      probability: t0,  // of z on the ramp
      beyond: u0,
      beyondMean: u1,
      first: t1,  // of z - a
      second: t2,  // of (z - a)^2
      rise: t0,  // of (z - a) z
      hermite: a * left.density,  // of (z - a) (z^3 - 3 z)
      hermiteSize: a * left.density,  // the sum of the sizes of its terms
    };
    if (w === Infinity) return found;
    found.hermiteSize += (a + w * b * b) * right.density;
    if (w * (a + 0.5 * w) <= THIN) {
      const over = f =>
        left.density * integral(t => f(t, a + t) * Math.exp(-t * (a + 0.5 * t)), w);
      found.probability = over(() => 1);
      found.first = over(t => t);
      found.second = over(t => t * t);
      found.rise = over((t, z) => t * z);
      found.hermite = over((t, z) => t * z * (z * z - 3));
    } else {
      found.probability = t0 - u0;
      found.first = t1 - u1 - w * u0;
      found.second = t2 - u2 - w * (2 * u1 + w * u0);
      found.rise = t0 - u0 - w * right.density;
      found.hermite = a * left.density - (a + w * b * b) * right.density;
    }
    return found;
  }

  /** tau / sqrt(q*) for the sparsity s (Eqs. 57 and 58). */
  function threshold(sides, s) {
    return s === 0.5 && sides === 1 ? 0 : Normal.tailQuantile((1 - s) / sides);
  }

  /** m / sqrt(q*) with V'(q*) = slope: by bisection, as V'(q*) grows with it (Eqs. 52 and 55). */
  function clip(a, slope) {
    const target = Math.log(slope / (1 - slope));
    const logit = w => Math.log(ramp(a, w).rise / (w * Normal.density(a + w)));
    let low = -30, high = Math.log(30);
    for (let i = 0; i < 70; i++) {
      const middle = 0.5 * (low + high);
      if (logit(Math.exp(middle)) < target) low = middle;
      else high = middle;
    }
    return Math.exp(0.5 * (low + high));
  }

  /** The network on the edge of chaos: chi_1 = 1 and V(q*) = q* (Eqs. 59-62).

      kind is a key of KINDS, s in [1/2, 1), slope = V'(q*) in (0, 1), which only the clipped kinds
      need, q_star > 0. */
  function edgeOfChaos({ kind, s, slope, qStar }) {
    const { sides, clipped } = KINDS[kind];
    const a = threshold(sides, s), w = clipped ? clip(a, slope) : Infinity;
    const on = ramp(a, w), root = Math.sqrt(qStar);
    const sigmaW2 = 1 / (sides * on.probability);
    // Of the quadratic form in the kinks, as `PiecewiseLinear.edge_deficit` has it.
    const deficit = clipped
      ? a * (on.first + w * on.beyond) + w * on.beyondMean
      : a * on.first;
    return {
      sides, a, w, qStar, tau: root * a, m: root * w, sigmaW2,
      sigmaB2: qStar * sigmaW2 * sides * deficit,
    };
  }

  /** The ramp in standard deviations of pre-activations of variance q > 0. */
  function rampAt(net, q) {
    const root = Math.sqrt(q);
    return ramp(net.tau / root, net.m / root);
  }

  /** V(q) (Eqs. 37, 41, 44 and 53). */
  function varianceMap(net, q) {
    if (q === 0) return net.sigmaB2;
    const on = rampAt(net, q);
    const clipped = net.m < Infinity ? net.m ** 2 * on.beyond : 0;
    return net.sigmaW2 * net.sides * (q * on.second + clipped) + net.sigmaB2;
  }

  /** V'(q) (Eqs. 38, 43 and 50). */
  function varianceSlope(net, q) {
    return net.sigmaW2 * net.sides * rampAt(net, q).rise;
  }

  /** V''(q) (Eqs. 40 and 43). */
  function varianceCurvature(net, q) {
    return 0.5 * net.sigmaW2 * net.sides * rampAt(net, q).hermite / q;
  }

  /** sigma_w^2 E phi'^2 at variance q: chi_1 at q* (Eqs. 11 and 19). */
  function chi(net, q) {
    return net.sigmaW2 * net.sides * rampAt(net, q).probability;
  }

  /** The expected share of zeros at variance q (Eqs. 12 and 56). */
  function sparsity(net, q) {
    const { probability, beyond } = rampAt(net, q);
    return 1 - net.sides * (probability + beyond);
  }

  /** Every fixed point of V, ascending: { q, slope, chi, stable, sparsity }; null if V is the
      identity. Between neighbouring zeros of V' - 1, V - q has at most one root. */
  function fixedPoints(net) {
    if (net.w === Infinity && net.a === 0) return null;
    // V is convex without a clip, and touches the identity at q*.
    if (net.w === Infinity) return [fixedPoint(net, net.qStar, true)];
    const low = Math.log(0.99 * net.sigmaB2);
    const high = Math.log(1.01 * (net.sigmaW2 * net.m * net.m + net.sigmaB2));
    const count = Math.ceil(POINTS_PER_E_FOLD * (high - low));
    const grid = Array.from({ length: count + 1 }, (_, i) => low + (high - low) * i / count);
    const turning = changes(x => varianceSlope(net, Math.exp(x)) - 1, grid);
    const excess = x => varianceMap(net, Math.exp(x)) / Math.exp(x) - 1;
    return changes(excess, [low, ...turning, high]).map(x => fixedPoint(net, Math.exp(x), false));
  }

  function fixedPoint(net, q, touching) {
    const slope = varianceSlope(net, q);
    return {
      q, slope, chi: chi(net, q), sparsity: sparsity(net, q),
      stable: !touching && Math.abs(slope) < 1,
    };
  }

  /** A root of f for each change of sign on the grid. */
  function changes(f, grid) {
    const values = grid.map(f), found = [];
    for (let i = 0; i + 1 < grid.length; i++)
      if (values[i] < 0 !== values[i + 1] < 0) found.push(root(f, grid[i], grid[i + 1], values[i]));
    return found;
  }

  function root(f, low, high, atLow) {
    for (let i = 0; i < 60; i++) {
      const middle = 0.5 * (low + high);
      if (f(middle) < 0 === atLow < 0) low = middle;
      else high = middle;
    }
    return 0.5 * (low + high);
  }

  /** R''(cos u) sin u: a sum over pairs of kinks of their joint normal density. */
  function bend(net, u) {
    const { a, w, sides } = net, b = a + w, sin2 = Math.sin(u) ** 2;
    const half = 2 * Math.cos(u / 2) ** 2, mirrored = 2 * Math.sin(u / 2) ** 2;  // 1 +- cos u
    const pair = (k, l, both) =>
      Math.exp(-0.5 * (k - l) ** 2 / sin2 - k * l / both) / (2 * Math.PI);
    const kinks = both => w === Infinity
      ? pair(a, a, both)
      : pair(a, a, both) + pair(b, b, both) - 2 * pair(a, b, both);
    if (sides === 1) return net.sigmaW2 * kinks(half);
    // The mirrored kinks, at correlation -cos u.
    const far = (k, l) =>
      Math.exp(-0.5 * (k - l) ** 2 / sin2 - k * l / mirrored) / (2 * Math.PI);
    const farKinks = w === Infinity ? far(a, a) : far(a, a) + far(b, b) - 2 * far(a, b);
    return 2 * net.sigmaW2 * (kinks(half) - farKinks);
  }

  /** int_0^angle f(u) bend(u) du, in panels that halve down to the scales of the kinks. */
  function bendIntegral(net, f, angle) {
    const finest = 0.125 * Math.min(net.w, net.a > 0 ? net.a : Infinity, 1);
    let high = angle, sum = 0;
    while (high > 0) {
      const low = high > finest ? 0.5 * high : 0;
      sum += integral(t => f(low + t) * bend(net, low + t), high - low);
      high = low;
    }
    return sum;
  }

  /** The angle between inputs of correlation 1 - gap. */
  function angleOf(gap) {
    return 2 * Math.asin(Math.sqrt(0.5 * gap));
  }

  /** 1 - R(1 - gap) for gap in [0, 1], at q*, without cancellation (Eq. 6). */
  function correlationGap(net, gap) {
    const angle = angleOf(gap);
    const left = u => 2 * Math.sin(0.5 * (angle + u)) * Math.sin(0.5 * (angle - u));
    return gap - bendIntegral(net, left, angle);
  }

  /** R'(1 - gap) for gap in [0, 1], at q*. */
  function correlationSlope(net, gap) {
    return 1 - bendIntegral(net, () => 1, angleOf(gap));
  }

  /** 1 - rho in layers 1 to depth: R is interpolated in the root of the gap, at Chebyshev's nodes,
      as learnability.py does. */
  function correlationGaps(net, depth, start = REFERENCE_GAP) {
    const count = 32;
    const nodes = Array.from({ length: count }, (_, i) => {
      const angle = Math.PI * (i + 0.5) / count, x = 0.5 - 0.5 * Math.cos(angle);
      const ratio = correlationGap(net, x * x) / (x * x);
      return { x, ratio, weight: (i % 2 ? -1 : 1) * Math.sin(angle) };
    });
    const ratio = x => {
      let above = 0, below = 0;
      for (const node of nodes) {
        if (x === node.x) return node.ratio;
        above += node.weight / (x - node.x) * node.ratio;
        below += node.weight / (x - node.x);
      }
      return above / below;
    };
    const gaps = [start];
    while (gaps.length < depth) {
      const gap = gaps.at(-1);
      gaps.push(Math.min(Math.max(gap * ratio(Math.sqrt(gap)), 0), 1));
    }
    return gaps;
  }

  /** log10 of the rate at which a typical network's outputs are told apart. */
  function learnability(net, width, depth) {
    const gaps = correlationGaps(net, depth + 1);
    let backward = 1, sum = 0;
    for (let layer = depth; layer >= 1; layer--) {
      sum += net.qStar * gaps[layer] * backward;
      if (layer > 1) backward *= correlationSlope(net, gaps[layer - 1]);
    }
    const spread = depth * (net.sigmaW2 - 1) / width;
    return (Math.log(width / net.sigmaW2 * sum) - 0.5 * spread) / Math.LN10;
  }

  return {
    KINDS, NODES, REFERENCE_GAP, edgeOfChaos, varianceMap, varianceSlope, varianceCurvature, chi,
    sparsity, fixedPoints, correlationGap, correlationSlope, correlationGaps, learnability,
  };
})();
