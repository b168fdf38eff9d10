// The curves of `codec-bridge bd`: a sequence's points in one metric, and beside them what each test gains over the anchor at equal rate.

const data = JSON.parse(document.getElementById("data").textContent);
const MARKS = Object.keys(MARKERS);

function curves() {
  const chart = (id) => {
    const svg = document.getElementById(id);
    return new Chart(svg, svg.parentElement.querySelector(".tip"));
  };
  const [rd, gain] = [chart("rd"), chart("gain")];
  const choice = document.getElementById("curve");
  const log = document.getElementById("log");
  const number = (value, digits) => value.toFixed(digits).replace("-", "\u2212");

  function show() {
    const entry = data.curves[Number(choice.value)];
    const digits = entry.unit ? 3 : 5;
    const text = (value) => number(value, digits) + entry.unit;
    const looks = entry.tests.map((_, index) => ({ look: `v${index % 8}`, marker: MARKS[index % MARKS.length] }));
    const names = entry.tests.map((test) => test.name);
    rd.show(
      entry.tests.map(({ name, points }, index) => ({
        ...looks[index], points: points.map(([x, y]) => ({ x, y, lines: [name, `${text(y)} at ${number(x, 2)} ${entry.rate}`] })),
      })),
      { x: `rate (${entry.rate || "as given"})`, y: entry.metric }, pressed(log), false,
    );
    gain.show(
      entry.tests.map(({ name, gains }, index) => ({
        ...looks[index], marker: null,
        points: gains.map(([x, y]) => ({ x, y, lines: [name, `${y > 0 ? "+" : ""}${text(y)} at ${number(x, 2)} ${entry.rate}`] })),
      })),
      { x: `rate (${entry.rate || "as given"})`, y: `gain, ${entry.metric}` }, pressed(log), false,
    );
    rd.svg.setAttribute("aria-label", `${entry.metric} over rate, ${entry.label}; the values are in the table of points`);
    gain.svg.setAttribute("aria-label", `gain over the anchor at equal rate, ${entry.metric}, ${entry.label}`);
    document.getElementById("legend").replaceChildren(...names.map((name, index) => {
      const item = document.createElement("li");
      const key = document.createElement("span");
      key.className = `key ${looks[index].look}`;
      item.append(key, name);
      return item;
    }));
    const body = document.getElementById("points");
    body.replaceChildren();
    for (const { name, points } of entry.tests) {
      for (const [rate, quality] of points) {
        const row = body.insertRow();
        for (const cell of [name, number(rate, 2), number(quality, digits)]) row.insertCell().textContent = cell;
        row.cells[0].className = "text";
      }
    }
  }

  choice.addEventListener("change", show);
  log.addEventListener("click", () => {
    pressed(log, !pressed(log));
    show();
  });
  show();
}

if (data.curves.length) curves();
