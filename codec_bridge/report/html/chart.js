// RD curves as SVG: measured points joined by lines. Zoom: drag a box, buttons, or the keys + - 0 and arrows; a double click resets.

const MARGIN = { left: 56, right: 16, top: 12, bottom: 46 };
const MARKERS = {
  circle: "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z",
  square: "M-3.6,-3.6H3.6V3.6H-3.6Z",
  triangle: "M0,-4.8L4.6,3.6H-4.6Z",
  diamond: "M0,-5L5,0L0,5L-5,0Z",
  down: "M0,4.8L4.6,-3.6H-4.6Z",
  plus: "M-1.6,-5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z",
  pentagon: "M0,-5L4.8,-1.5L2.9,4H-2.9L-4.8,-1.5Z",
  star: "M0,-6L1.4,-1.9L5.7,-1.9L2.3,0.7L3.5,4.9L0,2.4L-3.5,4.9L-2.3,0.7L-5.7,-1.9L-1.4,-1.9Z",
};

function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((multiple) => multiple * power >= rough * 0.999);
  const values = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) values.push(Number((k * step).toPrecision(12)));
  return values;
}

function logTicks(low, high, count) {
  const values = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const multiple of [1, 2, 5]) values.push(Number((multiple * 10 ** power).toPrecision(12)));
  }
  const inside = values.filter((value) => value >= low && value <= high);
  return inside.length > 2 ? inside : linearTicks(low, high, count);
}

let charts = 0;

class Chart {
  constructor(svg, tip) {
    this.svg = svg;
    this.tip = tip;
    this.clip = `plot-area-${charts++}`;
    this.series = [];
    this.log = false;
    this.view = null;
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    svg.addEventListener("pointerup", (event) => this.release(event));
    svg.addEventListener("pointercancel", () => this.cancel());
    svg.addEventListener("pointerleave", () => this.hover(null));
    svg.addEventListener("dblclick", () => this.reset());
    svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(svg);
  }

  // series: [{look, marker (none: a line only), points: [{x, y, lines}]}]; lines: what the tooltip says.
  show(series, labels, log, keepView) {
    this.series = series;
    this.labels = labels;
    if (log !== this.log || !keepView) this.view = null;
    this.log = log;
    this.draw();
  }

  reset() {
    this.view = null;
    this.draw();
  }

  // Views are kept in the axes' own coordinates, so that every zoom is linear in them.
  coordinate(x) {
    return this.log ? Math.log10(x) : x;
  }

  extent() {
    const points = this.series.flatMap((curve) => curve.points);
    const range = (values) => {
      const low = Math.min(...values);
      const high = Math.max(...values);
      const margin = 0.05 * (high - low) || 0.5;
      return [low - margin, high + margin];
    };
    return { x: range(points.map((point) => this.coordinate(point.x))), y: range(points.map((point) => point.y)) };
  }

  zoom(factor) {
    if (!this.scale) return;
    const grow = ([low, high]) => {
      const half = ((high - low) / 2) * factor;
      return [(low + high) / 2 - half, (low + high) / 2 + half];
    };
    this.look({ x: grow(this.shown.x), y: grow(this.shown.y) });
  }

  pan(right, up) {
    if (!this.scale) return;
    const shift = ([low, high], part) => [low + part * (high - low), high + part * (high - low)];
    this.look({ x: shift(this.shown.x, right), y: shift(this.shown.y, up) });
  }

  look(view) {
    const whole = this.extent();
    const usable = ([low, high], [first, last]) => high - low > 1e-4 * (last - first) && high - low < 20 * (last - first);
    if (usable(view.x, whole.x) && usable(view.y, whole.y)) this.view = view;
    this.draw();
  }

  key(event) {
    const actions = {
      "+": () => this.zoom(0.7), "=": () => this.zoom(0.7), "-": () => this.zoom(1 / 0.7), 0: () => this.reset(),
      ArrowLeft: () => this.pan(-0.15, 0), ArrowRight: () => this.pan(0.15, 0),
      ArrowUp: () => this.pan(0, 0.15), ArrowDown: () => this.pan(0, -0.15),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }

  position(event) {
    const box = this.svg.getBoundingClientRect();
    const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
    return [
      clamp(event.clientX - box.left, MARGIN.left, this.width - MARGIN.right),
      clamp(event.clientY - box.top, MARGIN.top, this.height - MARGIN.bottom),
    ];
  }

  press(event) {
    if (event.button !== 0 || !this.scale) return;
    this.start = this.position(event);
    this.svg.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.scale) return;
    const [x, y] = this.position(event);
    if (!this.start) {
      this.hover([x, y]);
      return;
    }
    this.hover(null);
    const box = { x: Math.min(x, this.start[0]), y: Math.min(y, this.start[1]) };
    Object.assign(box, { width: Math.abs(x - this.start[0]), height: Math.abs(y - this.start[1]) });
    if (!this.box) this.box = this.add(this.svg, "rect", { class: "zoom-box" });
    for (const [name, value] of Object.entries(box)) this.box.setAttribute(name, value);
  }

  release(event) {
    const start = this.start;
    this.cancel();
    if (!start) return;
    const [x, y] = this.position(event);
    if (Math.abs(x - start[0]) < 6 || Math.abs(y - start[1]) < 6) return;
    const sorted = (a, b) => [Math.min(a, b), Math.max(a, b)];
    this.look({
      x: sorted(this.scale.fromX(start[0]), this.scale.fromX(x)),
      y: sorted(this.scale.fromY(start[1]), this.scale.fromY(y)),
    });
  }

  cancel() {
    this.start = null;
    this.box?.remove();
    this.box = null;
  }

  hover(at) {
    let nearest = null;
    if (at) {
      for (const place of this.places) {
        const distance = Math.hypot(place.x - at[0], place.y - at[1]);
        if (distance < 36 && (!nearest || distance < nearest.distance)) nearest = { ...place, distance };
      }
    }
    this.tip.hidden = !nearest;
    this.mark?.remove();
    this.mark = null;
    if (!nearest) return;
    this.tip.replaceChildren(...nearest.lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    this.mark = this.add(this.svg, "circle", { class: `ring ${nearest.look}`, cx: nearest.x, cy: nearest.y, r: 9 });
    const left = Math.min(Math.max(nearest.x - this.tip.offsetWidth / 2, 0), this.width - this.tip.offsetWidth);
    const above = nearest.y - this.tip.offsetHeight - 16;
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${above < 0 ? nearest.y + 16 : above}px`;
  }

  add(parent, name, attributes, text) {
    // The namespace is that of the element in the page, which needs no name for it.
    const element = document.createElementNS(this.svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  }

  draw() {
    this.hover(null);
    this.cancel();
    this.svg.replaceChildren();
    this.places = [];
    this.scale = null;
    this.width = this.svg.clientWidth;
    this.height = this.svg.clientHeight;
    if (!this.width) return;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    if (!this.series.some((curve) => curve.points.length)) {
      this.add(this.svg, "text", { x: this.width / 2, y: this.height / 2, class: "empty" }, "no curve is chosen, or none has points");
      return;
    }
    this.shown = this.view ?? this.extent();
    const { x: [x0, x1], y: [y0, y1] } = this.shown;
    const [left, right] = [MARGIN.left, this.width - MARGIN.right];
    const [top, bottom] = [MARGIN.top, this.height - MARGIN.bottom];
    this.scale = {
      x: (x) => left + ((this.coordinate(x) - x0) / (x1 - x0)) * (right - left),
      y: (y) => bottom - ((y - y0) / (y1 - y0)) * (bottom - top),
      fromX: (pixel) => x0 + ((pixel - left) / (right - left)) * (x1 - x0),
      fromY: (pixel) => y0 + ((bottom - pixel) / (bottom - top)) * (y1 - y0),
    };
    this.axes(left, right, top, bottom);
    const clip = this.add(this.add(this.svg, "defs", {}), "clipPath", { id: this.clip });
    this.add(clip, "rect", { x: left, y: top - 6, width: right - left + 6, height: bottom - top + 12 });
    const area = this.add(this.svg, "g", { "clip-path": `url(#${this.clip})` });
    for (const curve of this.series) {
      const group = this.add(area, "g", { class: `curve ${curve.look}` });
      const points = curve.points.map((point) => ({ ...point, x: this.scale.x(point.x), y: this.scale.y(point.y) }));
      this.add(group, "polyline", { points: points.map((point) => `${point.x.toFixed(2)},${point.y.toFixed(2)}`).join(" ") });
      for (const { x, y, lines } of points) {
        if (curve.marker) this.add(group, "path", { d: MARKERS[curve.marker], transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})` });
        const inside = x >= left - 1 && x <= right + 1 && y >= top - 1 && y <= bottom + 1;
        if (inside) this.places.push({ x, y, lines, look: curve.look });
      }
    }
  }

  axes(left, right, top, bottom) {
    const grid = this.add(this.svg, "g", { class: "grid" });
    const { x: [x0, x1], y: [y0, y1] } = this.shown;
    const across = Math.max(3, Math.floor((right - left) / 90));
    const values = this.log ? logTicks(10 ** x0, 10 ** x1, across) : linearTicks(x0, x1, across);
    let free = -Infinity; // labels that would touch are left out, their lines are not
    for (const value of values) {
      const x = this.scale.x(value);
      this.add(grid, "line", { x1: x, x2: x, y1: top, y2: bottom });
      const text = value.toLocaleString("en-US", { maximumSignificantDigits: 12 }).replaceAll(",", "\u202f");
      const half = 3.6 * text.length;
      if (x - half < free || x + half > this.width) continue;
      this.add(grid, "text", { x, y: bottom + 18, class: "tick-x" }, text);
      free = x + half + 6;
    }
    const levels = linearTicks(y0, y1, Math.max(3, Math.floor((bottom - top) / 50)));
    for (const value of levels) {
      const y = this.scale.y(value);
      this.add(grid, "line", { x1: left, x2: right, y1: y, y2: y });
      this.add(grid, "text", { x: left - 8, y: y + 4, class: "tick-y" }, String(value).replace("-", "\u2212"));
    }
    this.add(this.svg, "rect", { class: "frame", x: left, y: top, width: right - left, height: bottom - top });
    this.add(this.svg, "text", { class: "axis", x: (left + right) / 2, y: this.height - 8 }, this.labels.x);
    const middle = (top + bottom) / 2;
    this.add(this.svg, "text", { class: "axis", x: 13, y: middle, transform: `rotate(-90 13 ${middle})` }, this.labels.y);
  }
}
