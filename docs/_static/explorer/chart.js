/* Small charts as SVG in the colours of the page; explorer.css has their classes. */

"use strict";

const Chart = (() => {
  const WIDTH = 360, HEIGHT = 280;
  const PLOT = { left: 50, right: 350, top: 8, bottom: 236 };

  function element(name, attributes, text = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  /** Where a value lies between two ends, linear or logarithmic. */
  function scale({ from, to, log }, start, end) {
    const place = log ? Math.log : x => x;
    const unit = (end - start) / (place(to) - place(from));
    return value => start + unit * (place(value) - place(from));
  }

  /** Round values along an axis, about five. */
  function ticks({ from, to, log }) {
    if (log) {
      const low = Math.ceil(Math.log10(from) - 1e-9), high = Math.floor(Math.log10(to) + 1e-9);
      const step = Math.max(1, Math.ceil((high - low) / 5)), found = [];
      const within = high - low < 2 ? [1, 2, 5] : [1];
      for (let power = low - 1; power <= high; power += step)
        found.push(...within.map(digit => digit * 10 ** power));
      return found.filter(value => value >= 0.999 * from && value <= 1.001 * to);
    }
    const rough = (to - from) / 5, unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find(factor => factor * unit >= 0.999 * rough);
    const found = [];
    for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; i++)
      found.push(i * step);
    return found;
  }

  function shown(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 0.01 && size < 1e5) return String(Number(value.toPrecision(6)));
    return value.toExponential(0).replace("e+", "e");
  }

  /** Draw a chart: axes { from, to, log, label }; items in order, each
      { line: [[x, y], ...] }, { dot: [x, y] }, { area: [x0, x1, y0, y1] } or { text, at: [x, y] },
      with a name, the class that styles it. `summary` is what a screen reader says. */
  function draw(svg, { x, y, items, summary }) {
    const across = scale(x, PLOT.left, PLOT.right), up = scale(y, PLOT.bottom, PLOT.top);
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", summary);
    const inside = element("svg", {
      x: PLOT.left, y: PLOT.top, width: PLOT.right - PLOT.left, height: PLOT.bottom - PLOT.top,
      viewBox: [PLOT.left, PLOT.top, PLOT.right - PLOT.left, PLOT.bottom - PLOT.top].join(" "),
    });
    const place = ([a, b]) => [across(a), Math.min(Math.max(up(b), -1e4), 1e4)];
    const dots = [];
    for (const item of items) {
      if (item.dot) dots.push(item);
      else inside.append(shape(item, place));
    }
    svg.replaceChildren(...axes(x, y, across, up), inside, ...dots.map(item => shape(item, place)));
  }

  function shape({ name, line, dot, area, text, at }, place) {
    if (line) {
      const points = line.map(point => place(point).map(z => z.toFixed(2)).join(","));
      return element("polyline", { class: name, points: points.join(" ") });
    }
    if (dot) {
      const [cx, cy] = place(dot);
      return element("circle", { class: name, cx, cy, r: 5 });
    }
    if (area) {
      const [left, top] = place([area[0], area[3]]), [right, bottom] = place([area[1], area[2]]);
      return element("rect",
        { class: name, x: left, y: top, width: right - left, height: bottom - top });
    }
    const [left, top] = place(at);
    return element("text", { class: name, x: left, y: top }, text);
  }

  function axes(x, y, across, up) {
    const made = [];
    for (const value of ticks(x)) {
      const at = across(value);
      made.push(element("line", { class: "grid", x1: at, x2: at, y1: PLOT.top, y2: PLOT.bottom }));
      made.push(element("text", { class: "tick", x: at, y: PLOT.bottom + 16 }, shown(value)));
    }
    for (const value of ticks(y)) {
      const at = up(value);
      made.push(element("line", { class: "grid", x1: PLOT.left, x2: PLOT.right, y1: at, y2: at }));
      made.push(element("text", { class: "tick up", x: PLOT.left - 6, y: at + 4 }, shown(value)));
    }
    const middle = (PLOT.left + PLOT.right) / 2, height = (PLOT.top + PLOT.bottom) / 2;
    made.push(element("text", { class: "axis", x: middle, y: HEIGHT - 8 }, x.label));
    made.push(element("text",
      { class: "axis", transform: `translate(13 ${height}) rotate(-90)` }, y.label));
    return made;
  }

  return { draw };
})();
