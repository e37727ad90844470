/* What the explorer's controls are set to: their values, the address that keeps them, and the
Python that gives the same numbers. */

"use strict";

const Settings = (() => {
  /** Every hundredth from first to last. */
  function hundredths(first, last) {
    return Array.from({ length: last - first + 1 }, (_, i) => (first + i) / 100);
  }

  const VALUES = {
    s: hundredths(50, 98),
    slope: hundredths(5, 99),
    q_star: [0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10],
    width: [10, 15, 20, 30, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500, 600, 800, 1000],
    depth: [2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200],
    time: [0.5, 1, 2, 3, 5, 8, 10.8, 15, 20, 30, 50],
    start: [0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 8, 10],
  };
  const INITIAL = {
    kind: "crelu", s: 0.85, slope: 0.7, q_star: 1, width: 300, depth: 100, time: 10.8, start: 2.5,
  };

  /** The place of the nearest allowed value. */
  function place(name, value) {
    const values = VALUES[name];
    return values.reduce(
      (best, each, i) => Math.abs(each - value) < Math.abs(values[best] - value) ? i : best, 0);
  }

  /** The settings that an address keeps after its #, others where it has none; null where it has
      nothing of the kind, as the address of a section. */
  function read(hash, others = INITIAL) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    if (!Object.hasOwn(Theory.KINDS, given.get("kind") ?? "")) return null;
    const settings = { ...others, kind: given.get("kind") };
    for (const name of Object.keys(VALUES)) {
      const value = given.get(name)?.trim();
      if (value && Number.isFinite(Number(value)))
        settings[name] = VALUES[name][place(name, Number(value))];
    }
    return settings;
  }

  /** The address of settings, from its # on. */
  function written(settings) {
    return `#${new URLSearchParams(Object.keys(INITIAL).map(name => [name, settings[name]]))}`;
  }

  /** The Python that gives the network and its forecast. */
  function python({ kind, s, slope, q_star, width, depth, time }) {
    const { className, clipped } = Theory.KINDS[kind];
    const at = q_star === 1 ? "" : `, q_star=${q_star}`;
    const wanted = clipped ? `${s}, slope=${slope}` : `${s}`;
    const during = time === Forecast.PAPER_TIME ? "" : `, training_time=${time}`;
    return [
      "import sparsity_theory as st",
      `net = st.edge_of_chaos(st.${className}.for_sparsity(${wanted}${at})${at})`,
      `found = st.forecast(net, width=${width}, depth=${depth}${during})`,
    ].join("\n");
  }

  return { VALUES, INITIAL, place, read, written, python };
})();
