// Wires the page's controls to the chart and the viewer. What they show is the JSON in the page.

const data = JSON.parse(document.getElementById("data").textContent);

function curves() {
  const section = document.getElementById("curves");
  const [chart, gain] = ["svg.plot", "svg.gains"].map((name) => {
    const svg = section.querySelector(name);
    return new Chart(svg, svg.parentElement.querySelector(".tip"));
  });
  const sequence = document.getElementById("curve-sequence");
  const plane = document.getElementById("curve-plane");
  const log = document.getElementById("curve-log");
  const variants = [...section.querySelectorAll("button.variant")];
  const body = section.querySelector("tbody");
  const number = (value, digits) => value.toFixed(digits).replace("-", "\u2212");
  const signed = (value, digits) => (value > 0 ? "+" : "") + number(value, digits);

  // A quality with its unit. how: number or signed.
  const text = (value, key, how) => `${how(value, data.metrics[key].digits)} ${data.metrics[key].unit}`.trimEnd();

  // Against the anchor at the same QP: what a point of the curve differs by, which is not the BD-rate.
  function against(point, anchor, key) {
    const same = anchor?.find((other) => other.qp === point.qp && other[key] !== null);
    if (!same || same === point) return [];
    const rate = signed(100 * (point.kbps / same.kbps - 1), 2);
    return [`against the anchor at this QP: ${rate} % rate, ${text(point[key] - same[key], key, signed)}`];
  }

  // The gain at equal rate; the anchor's own is zero.
  function gains(entry, variant, key, anchor) {
    const zero = anchor && variant === data.reference ? [anchor[0], anchor.at(-1)].map((point) => [point.kbps, 0]) : [];
    const line = (x, y) => [data.names[variant], `${text(y, key, signed)} at ${number(x, 1)} kbit/s`];
    return (entry.gains[variant]?.[key] ?? zero).map(([x, y]) => ({ x, y, lines: line(x, y) }));
  }

  function show(keepView) {
    const entry = data.curves[Number(sequence.value)];
    const key = plane.value;
    const { name, unit, digits } = data.metrics[key];
    const anchor = entry.variants[data.reference];
    const shown = [];
    const gained = [];
    body.replaceChildren();
    for (const button of variants) {
      const variant = button.dataset.variant;
      const points = (entry.variants[variant] ?? []).filter((point) => point[key] !== null);
      button.disabled = !points.length;
      if (!pressed(button) || !points.length) continue;
      const look = data.looks[variant];
      const lines = (point) => [
        `${data.names[variant]}, QP ${point.qp}`, `${number(point.kbps, 1)} kbit/s, ${text(point[key], key, number)}`, ...against(point, anchor, key),
      ];
      gained.push({ ...look, marker: null, points: gains(entry, variant, key, anchor) });
      shown.push({ ...look, points: points.map((point) => ({ x: point.kbps, y: point[key], lines: lines(point) })) });
      for (const point of points) {
        const row = body.insertRow();
        for (const cell of [data.names[variant], point.qp, number(point.kbps, 1), number(point[key], digits)]) row.insertCell().textContent = cell;
        row.cells[0].className = "text";
      }
    }
    for (const [drawn, curves, what] of [[chart, shown, ""], [gain, gained, "gain, "]]) {
      drawn.show(curves, { x: "rate (kbit/s)", y: what + name + (unit ? ` (${unit})` : "") }, pressed(log), keepView);
    }
    chart.svg.setAttribute("aria-label", `${name} over rate, ${entry.label}; the values are in the table of points`);
    gain.svg.setAttribute("aria-label", `gain over the anchor at equal rate, ${name}, ${entry.label}`);
    document.getElementById("curve-figures").textContent = entry.figures;
  }

  for (const button of variants) {
    button.addEventListener("click", () => {
      pressed(button, !pressed(button));
      show(true);
    });
  }
  log.addEventListener("click", () => {
    pressed(log, !pressed(log));
    show(false);
  });
  for (const select of [sequence, plane]) select.addEventListener("change", () => show(false));
  for (const [id, step] of [["curve-previous", -1], ["curve-next", 1]]) {
    document.getElementById(id).addEventListener("click", () => {
      sequence.selectedIndex = (sequence.selectedIndex + step + sequence.length) % sequence.length;
      show(false);
    });
  }
  document.getElementById("zoom-in").addEventListener("click", () => [chart, gain].forEach((each) => each.zoom(0.7)));
  document.getElementById("zoom-out").addEventListener("click", () => [chart, gain].forEach((each) => each.zoom(1 / 0.7)));
  document.getElementById("zoom-reset").addEventListener("click", () => [chart, gain].forEach((each) => each.reset()));
  show(false);
}

if (data.curves.length) curves();
if (data.pictures.length) new Viewer(document.getElementById("pictures"), data.pictures, data.images, data.names);
