/* The explorer's page: reads its controls, shows what the theory says, and draws networks. */

"use strict";

(() => {
  const NETWORKS = 1000;
  const SEED = 0;
  const PAUSE = 120;  // milliseconds without a change before networks are drawn
  const TURN = 12;  // milliseconds of drawing before the page may respond
  const COBWEB_STEPS = 60;
  const SMALLEST_GAP = 1e-16;

  const root = document.getElementById("explorer");
  const form = root.querySelector("form");
  const names = Object.keys(Settings.VALUES);
  const part = name => root.querySelector(`[data-part="${name}"]`);
  let waiting = 0;

  /** A number to five digits. */
  function rounded(value) {
    const size = Math.abs(value);
    if (value === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(5)));
    return value.toExponential(3);
  }

  /** A share to two digits, at most four behind the point. */
  function percent(share) {
    const places = share === 0 || share >= 0.0995 ? 0 : share >= 0.00995 ? 1 : 2;
    return `${(100 * share).toFixed(places)}%`;
  }

  function current() {
    const chosen = { kind: form.elements.kind.value };
    for (const name of names)
      chosen[name] = Settings.VALUES[name][Number(form.elements[name].value)];
    return chosen;
  }

  function set(settings) {
    form.elements.kind.value = settings.kind;
    for (const name of names)
      form.elements[name].value = Settings.place(name, settings[name]);
  }

  function prepare() {
    for (const name of names) {
      form.elements[name].max = Settings.VALUES[name].length - 1;
      form.elements[name].min = 0;
    }
    set(Settings.read(location.hash) ?? Settings.INITIAL);
    form.hidden = false;
    part("outcome").hidden = false;
    part("shown").hidden = false;
  }

  /** Show everything for the current settings, and have networks drawn. */
  function show() {
    const settings = current();
    const net = Theory.edgeOfChaos({ ...settings, qStar: settings.q_star });
    const points = Theory.fixedPoints(net);
    const learnability = Theory.learnability(net, settings.width, settings.depth);
    showControls(settings);
    showPoints(points);
    showNumbers(net, settings, learnability);
    part("python").textContent = Settings.python(settings);
    drawVarianceMap(net, settings, points);
    drawCorrelations(net, settings.depth);
    showForecast(null, learnability, settings);
    clearTimeout(waiting);
    waiting = setTimeout(() => drawNetworks(net, settings, learnability), PAUSE);
  }

  function showControls(settings) {
    for (const name of names) {
      const control = form.elements[name], value = String(settings[name]);
      control.setAttribute("aria-valuetext", value);
      form.querySelector(`output[for="${control.id}"]`).value = value;
    }
    form.elements.slope.disabled = !Theory.KINDS[settings.kind].clipped;
  }

  function row(cells, name = "") {
    const made = document.createElement("tr");
    made.className = name;
    cells.forEach((text, i) => {
      const cell = document.createElement(i === 0 ? "th" : "td");
      if (i === 0) cell.scope = "row";
      cell.textContent = text;
      made.append(cell);
    });
    return made;
  }

  function showPoints(points) {
    part("no-points").hidden = points !== null;
    part("points").hidden = points === null;
    part("point-rows").replaceChildren(...(points ?? []).map(point => row([
      rounded(point.q), point.stable ? "stable" : "not stable", rounded(point.slope),
      rounded(point.chi), percent(point.sparsity),
    ])));
  }

  function showNumbers(net, { s, q_star, width, depth }, learnability) {
    const rows = [["threshold tau (τ)", rounded(net.tau)]];
    if (net.m < Infinity) rows.push(["clip m", rounded(net.m)]);
    rows.push(
      ["weight variance times N, sigma_w² (σ_w²)", rounded(net.sigmaW2)],
      ["bias variance sigma_b² (σ_b²)", rounded(net.sigmaB2)],
      ["slope of the variance map V′(q*)", rounded(Theory.varianceSlope(net, q_star))],
      ["curvature of the variance map V″(q*)", rounded(Theory.varianceCurvature(net, q_star))],
      ["slope of the correlation map R′(1)", rounded(Theory.chi(net, q_star))],
      ["share of zeros at q*", percent(s)],
      [`learnability, width ${width}, depth ${depth}`, rounded(learnability)],
    );
    part("numbers").replaceChildren(...rows.map(cells => row(cells)));
  }

  /** Points of a function over an axis. */
  function curve(f, { from, to, log }) {
    return Array.from({ length: 181 }, (_, i) => {
      const share = i / 180;
      const x = log ? from * (to / from) ** share : from + (to - from) * share;
      return [x, f(x)];
    });
  }

  /** x, f(x), f(f(x)), ... as a line between f and the identity. */
  function cobweb(f, start, steps, bottom) {
    const line = [[start, bottom]];
    let x = start;
    for (let i = 0; i < steps && Number.isFinite(x); i++) {
      const y = f(x);
      line.push([x, y], [y, y]);
      x = y;
    }
    return line;
  }

  function drawVarianceMap(net, { q_star, start }, points) {
    const map = q => Theory.varianceMap(net, q);
    const largest = Math.max(...(points ?? []).map(point => point.q), q_star);
    const to = Math.max(2.5 * q_star, 1.15 * largest, 1.1 * start * q_star);
    const log = to > 12 * q_star;
    const axis = log ? { from: 0.1 * q_star, to, log } : { from: 0, to };
    const first = start * q_star;
    const found = (points ?? []).map(
      ({ q, stable }) => `${rounded(q)} ${stable ? "stable" : "not stable"}`);
    const dots = (points ?? []).map(
      ({ q, stable }) => ({ name: stable ? "stable" : "unstable", dot: [q, q] }));
    Chart.draw(part("variance-map"), {
      x: { ...axis, label: "variance q of a layer" },
      y: { ...axis, label: "V(q), of the next layer" },
      items: [
        { name: "identity", line: [[axis.from, axis.from], [to, to]] },
        { name: "map", line: curve(map, axis) },
        { name: "cobweb", line: cobweb(map, first, COBWEB_STEPS, axis.from) },
        ...dots,
      ],
      summary: `The variance map V and its cobweb from ${rounded(first)}; `
        + `fixed points: ${found.join(", ") || "every variance"}.`,
    });
  }

  function drawCorrelations(net, depth) {
    const start = 1 - Theory.REFERENCE_GAP, axis = { from: start, to: 1 };
    const gaps = Theory.correlationGaps(net, depth);
    const line = [[start, start]];
    gaps.slice(1).forEach((gap, i) => line.push([1 - gaps[i], 1 - gap], [1 - gap, 1 - gap]));
    Chart.draw(part("correlation-map"), {
      x: { ...axis, label: "correlation ρ of two inputs in a layer" },
      y: { ...axis, label: "R(ρ), in the next layer" },
      items: [
        { name: "identity", line: [[start, start], [1, 1]] },
        { name: "map", line: curve(rho => 1 - Theory.correlationGap(net, 1 - rho), axis) },
        { name: "cobweb", line },
        { name: "end", dot: [1 - gaps.at(-1), 1 - gaps.at(-1)] },
      ],
      summary: `The correlation map R from ${start} to 1, and the layers of two inputs from `
        + `${start} on.`,
    });
    const lowest = Math.max(gaps.at(-1), SMALLEST_GAP);
    const bottom = 10 ** Math.floor(Math.log10(lowest));
    Chart.draw(part("gaps"), {
      x: { from: 1, to: depth, label: "layer" },
      y: { from: bottom, to: 1, log: true, label: "difference left, 1 − ρ" },
      items: [
        { name: "map", line: gaps.map((gap, i) => [i + 1, Math.max(gap, SMALLEST_GAP)]) },
        { name: "end", dot: [depth, lowest] },
      ],
      summary: `Of a difference of ${Theory.REFERENCE_GAP} in layer 1, `
        + `${rounded(gaps.at(-1))} is left in layer ${depth}.`,
    });
  }

  /** Draw networks in turns; a later change of the settings ends it. */
  function drawNetworks(net, settings, learnability) {
    const random = Law.generator(SEED), networks = [];
    const turn = () => {
      const end = performance.now() + TURN;
      do networks.push(Law.drawNetwork(random, net, settings.width, settings.depth));
      while (networks.length < NETWORKS && performance.now() < end);
      showForecast(networks, learnability, settings);
      if (networks.length < NETWORKS) waiting = setTimeout(turn);
    };
    turn();
  }

  /** The forecast from the networks drawn so far; none yet if null. */
  function showForecast(networks, learnability, { time }) {
    const found = networks && Forecast.failure(networks, time);
    const done = networks?.length === NETWORKS;
    root.dataset.networks = networks?.length ?? 0;
    part("outcome").classList.toggle("of-before", !done);
    part("progress").textContent = done
      ? `${NETWORKS} networks drawn`
      : `drawing networks: ${networks?.length ?? 0} of ${NETWORKS}`;
    drawPlane(found, learnability, time);
    const risk = found ? `${percent(found.probability)} ± ${percent(found.error)}` : "…";
    const dead = found ? percent(found.deadShare) : "…";
    part("drawn").replaceChildren(
      row(["probability that training fails", risk]),
      row(["share of networks that pass no gradient", dead]),
    );
    if (!done) return;
    const outcome = Forecast.outcome(found, learnability, time);
    part("outcome").dataset.outcome = outcome;
    part("outcome-word").textContent = outcome;
    part("verdict").textContent = verdict(outcome, found, learnability, time);
  }

  function verdict(outcome, { probability, deadShare }, learnability, time) {
    const risk = `${percent(probability)} of runs are expected to explode or lose their sparsity`;
    const speed = `learnability ${learnability.toFixed(2)}`;
    const least = Forecast.slowBelow(time).toFixed(2);
    return {
      dead: `${percent(deadShare)} of networks pass no gradient from the last layer to the first.`,
      explodes: `${risk}.`,
      "learns slowly": `${speed} is below ${least}, so inputs merge; ${risk}.`,
      trains: `${speed} is at least ${least}; ${risk}.`,
    }[outcome];
  }

  function drawPlane(found, learnability, time) {
    const least = Forecast.slowBelow(time);
    const from = Math.min(-3, Math.floor(learnability - 0.5), Math.floor(least - 1));
    const to = Math.max(2, Math.ceil(learnability + 0.5), Math.ceil(least + 1));
    const items = [
      { name: "explodes", area: [from, to, Forecast.MOST, 1] },
      { name: "slow", area: [from, least, 0, Forecast.MOST] },
      { name: "trains", area: [least, to, 0, Forecast.MOST] },
      { name: "identity", line: [[learnability, 0], [learnability, 1]] },
      { name: "region", text: "explodes", at: [(from + to) / 2, 0.74] },
      { name: "region", text: "learns slowly", at: [(from + least) / 2, 0.24] },
      { name: "region", text: "trains", at: [(least + to) / 2, 0.24] },
    ];
    if (found) {
      const { probability, error } = found;
      items.push({
        name: "error",
        line: [[learnability, probability - error], [learnability, probability + error]],
      });
      items.push({ name: "end", dot: [learnability, probability] });
    }
    Chart.draw(part("plane"), {
      x: { from, to, label: "learnability" },
      y: { from: 0, to: 1, label: "failure probability" },
      items,
      summary: `Learnability ${rounded(learnability)}`
        + (found ? `, failure probability ${percent(found.probability)}.` : "."),
    });
  }

  prepare();
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", () => {
    history.replaceState(null, "", Settings.written(current()));
    show();
  });
  form.addEventListener("reset", event => {
    event.preventDefault();
    history.replaceState(null, "", location.pathname + location.search);
    set(Settings.INITIAL);
    show();
  });
  addEventListener("hashchange", () => {
    const kept = Settings.read(location.hash, current());
    if (kept === null) return;
    set(kept);
    show();
  });
  show();
})();
