// Two pictures of the same area behind each other, a divider to move; their differences to the original; unit maps above and below them.

const PLANE_NAMES = ["colour", "luma", "Cb", "Cr"];
const STEPS = { 400: null, 420: [2, 2], 422: [2, 1], 444: [1, 1] }; // luma samples per chroma sample, across and down

class Viewer {
  // pictures: [{images: {original, anchor, ...}: keys of files, ...}], files: data URLs, names: of variants, in words.
  constructor(root, pictures, files, names) {
    this.pictures = pictures;
    this.files = files;
    this.root = root;
    this.names = { original: "original", ...names };
    const part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.parts = Object.fromEntries(
      ["picture", "left", "right", "plane", "difference", "amplification", "amplified", "units", "zoom", "stage", "frame", "scroll", "canvas",
        "map", "split", "divider", "left-name", "right-name", "left-psnr", "right-psnr", "maps", "note"].map((name) => [name, part(name)]),
    );
    const { picture, left, right, plane, difference, amplification, units, zoom, split, stage } = this.parts;
    picture.addEventListener("change", () => this.open(Number(picture.value)));
    for (const control of [left, right, plane, difference]) control.addEventListener("change", () => this.render());
    for (const control of [units, zoom]) control.addEventListener("change", () => this.arrange());
    amplification.addEventListener("input", () => this.render());
    split.addEventListener("input", () => this.compose());
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      stage.setPointerCapture(event.pointerId);
      this.drag(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (stage.hasPointerCapture(event.pointerId)) this.drag(event);
    });
    new ResizeObserver(() => this.arrange()).observe(root);
    this.open(0);
  }

  drag(event) {
    const box = this.parts.stage.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * 100;
    this.parts.split.value = Math.min(Math.max(at, 0), 100).toFixed(1);
    this.compose();
  }

  async open(index) {
    const picture = this.pictures[index];
    const { left, right, plane } = this.parts;
    const names = Object.keys(picture.images);
    const chosen = [left.value || picture.left, right.value || picture.right].map((name) => (names.includes(name) ? name : names.at(-1)));
    [left, right].forEach((select, side) => {
      select.replaceChildren(...names.map((name) => new Option(this.names[name], name, false, name === chosen[side])));
    });
    const planes = STEPS[picture.chroma] ? PLANE_NAMES : ["luma"];
    const shown = planes.includes(plane.value) ? plane.value : planes[0];
    plane.replaceChildren(...planes.map((name) => new Option(name, name, false, name === shown)));
    const samples = await Promise.all(names.map((name) => this.read(picture, this.files[picture.images[name]])));
    if (Number(this.parts.picture.value) !== index) return; // another one was chosen meanwhile
    this.picture = picture;
    this.samples = Object.fromEntries(names.map((name, k) => [name, samples[k]]));
    this.render();
    this.root.dataset.open = String(index);
  }

  // The planes of a file, each {width, height, data}: luma, U below it, V below that.
  async read(picture, source) {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const [width, height] = picture.size;
    const steps = STEPS[picture.chroma];
    const small = steps ? [Math.floor(width / steps[0]), Math.floor(height / steps[1])] : [0, 0];
    const places = [[0, width, height], ...(steps ? [[height, ...small], [height + small[1], ...small]] : [])];
    return places.map(([top, across, down]) => {
      const pixels = context.getImageData(0, top, across, down).data;
      return { width: across, height: down, data: Uint8Array.from({ length: across * down }, (_, k) => pixels[4 * k]) };
    });
  }

  // Red, green and blue of the planes of limited range, or one plane as grey, at luma's size.
  pixels(planes) {
    const [width, height] = this.picture.size;
    const result = new ImageData(width, height);
    const chosen = this.parts.plane.value;
    const steps = STEPS[this.picture.chroma] ?? [1, 1];
    const [red, blue] = this.picture.matrix === "709" ? [0.2126, 0.0722] : [0.299, 0.114];
    for (let y = 0, k = 0; y < height; y++) {
      for (let x = 0; x < width; x++, k++) {
        const [across, down] = [Math.floor(x / steps[0]), Math.floor(y / steps[1])];
        const chroma = (plane) => plane.data[Math.min(down, plane.height - 1) * plane.width + Math.min(across, plane.width - 1)];
        let colours;
        if (chosen === "colour") {
          const luma = (255 / 219) * (planes[0].data[k] - 16);
          const [u, v] = [planes[1], planes[2]].map((plane) => (255 / 224) * (chroma(plane) - 128));
          const [r, b] = [luma + 2 * (1 - red) * v, luma + 2 * (1 - blue) * u];
          colours = [r, (luma - red * r - blue * b) / (1 - red - blue), b];
        } else {
          const index = Math.max(PLANE_NAMES.indexOf(chosen) - 1, 0);
          colours = Array(3).fill(index ? chroma(planes[index]) : planes[0].data[k]);
        }
        result.data.set([...colours, 255], 4 * k);
      }
    }
    return result;
  }

  // Samples as they are, or 128 + amplification x (picture - original), clipped.
  shown(name) {
    const image = this.pixels(this.samples[name]);
    if (!this.parts.difference.checked) return image;
    const factor = Number(this.parts.amplification.value);
    const original = this.pixels(this.samples.original).data;
    const result = new ImageData(image.width, image.height);
    for (let k = 0; k < original.length; k++) {
      result.data[k] = k % 4 === 3 ? 255 : 128 + factor * (image.data[k] - original[k]);
    }
    return result;
  }

  // Of each plane, in the area.
  psnr(name) {
    const levels = this.samples[name].map(({ data }, plane) => {
      const original = this.samples.original[plane].data;
      let squares = 0;
      for (let k = 0; k < data.length; k++) squares += (data[k] - original[k]) ** 2;
      return squares ? (10 * Math.log10((255 ** 2 * data.length) / squares)).toFixed(2) : null;
    });
    return levels.every((level) => level === null) ? "equal to the original" : `${levels.map((level) => level ?? "equal").join(" / ")} dB`;
  }

  render() {
    const { left, right, difference, amplification, amplified } = this.parts;
    amplification.disabled = !difference.checked;
    amplified.textContent = `${amplification.value}×`;
    const planes = this.samples.original.length > 1 ? " (Y / Cb / Cr)" : "";
    for (const [side, { value }] of [["left", left], ["right", right]]) {
      this.parts[`${side}-name`].textContent = this.names[value];
      this.parts[`${side}-psnr`].textContent = value === "original" ? "" : `${this.psnr(value)} in this area${planes}`;
    }
    this.sides = [left, right].map((select) => {
      const image = this.shown(select.value);
      const canvas = new OffscreenCanvas(image.width, image.height);
      canvas.getContext("2d").putImageData(image, 0, 0);
      return canvas;
    });
    this.arrange();
    this.compose();
  }

  compose() {
    const { canvas, split, divider, left, right } = this.parts;
    if (!this.sides) return;
    const [a, b] = this.sides;
    if (canvas.width !== a.width || canvas.height !== a.height) [canvas.width, canvas.height] = [a.width, a.height];
    const context = canvas.getContext("2d");
    const at = Math.round((Number(split.value) / 100) * a.width);
    context.drawImage(b, 0, 0);
    if (at > 0) context.drawImage(a, 0, 0, at, a.height, 0, 0, at, a.height);
    divider.style.left = `${split.value}%`;
    const [first, second] = [left, right].map((select) => this.names[select.value]);
    split.setAttribute("aria-valuetext", `${first} on ${Math.round(Number(split.value))} percent of the width, then ${second}`);
  }

  arrange() {
    if (!this.picture) return;
    const { zoom, stage, frame, left, right, units, note } = this.parts;
    const { width } = this.sides[0];
    const border = 2;
    const space = this.root.clientWidth - border;
    // Whole numbers of the screen's pixels keep samples alike; a picture wider than the page is made to fit.
    const whole = Math.floor((space * devicePixelRatio) / width) / devicePixelRatio;
    const scale = zoom.value === "fit" ? Math.min(4, whole || space / width) : Number(zoom.value);
    stage.style.width = `${width * scale}px`;
    frame.style.maxWidth = `${width * scale + border}px`;
    const variant = [right.value, left.value].find((name) => this.picture.maps[name]);
    const maps = this.picture.maps[variant] ?? {};
    const choices = ["none", ...Object.keys(maps)];
    const chosen = choices.includes(units.value) ? units.value : "none";
    units.replaceChildren(...choices.map((name) => new Option(name, name, false, name === chosen)));
    units.disabled = choices.length === 1;
    const name = this.names[variant];
    const explained = !variant ? "No unit map." : chosen === "none" ? `“${name}” has unit maps.` : `Unit map of ${chosen} of “${name}”.`;
    note.textContent = `${this.picture.note} ${explained}`;
    this.overlay(maps[chosen]);
    this.parts.maps.replaceChildren(...Object.entries(maps).map(([plane, map]) => this.whole(plane, map)));
  }

  element(parent, name, attributes) {
    const element = document.createElementNS(this.parts.map.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent?.append(element);
    return element;
  }

  // The units that the crop shows, above it.
  overlay(map) {
    const { map: svg } = this.parts;
    svg.replaceChildren();
    if (!map) return;
    const { width, height } = this.sides[0];
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (const { x, y, width: w, height: h, network } of map.units) {
      const unit = this.element(svg, "rect", { x, y, width: w, height: h, class: `unit ${map.looks[network]}` });
      this.element(unit, "title", {}).textContent = map.names[network];
    }
  }

  // The units of the whole picture, the crop outlined, and how many chose what.
  whole(plane, map) {
    const { width, height, size, choices } = map.whole;
    const figure = document.createElement("figure");
    const svg = this.element(null, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `unit map of ${plane}` });
    const counts = map.names.map(() => 0);
    let samples = 0;
    choices.forEach((line, row) => [...line].forEach((choice, column) => {
      const [x, y] = [column * size, row * size];
      const [w, h] = [Math.min(size, width - x), Math.min(size, height - y)];
      if (w <= 0 || h <= 0) return; // coded, but not shown
      counts[Number(choice)] += w * h;
      samples += w * h;
      const unit = this.element(svg, "rect", { x, y, width: w, height: h, class: `unit ${map.looks[Number(choice)]}` });
      this.element(unit, "title", {}).textContent = map.names[Number(choice)];
    }));
    const [x, y] = this.picture.place;
    this.element(svg, "rect", { x, y, width: this.picture.size[0], height: this.picture.size[1], class: "crop" });
    const caption = document.createElement("figcaption");
    const units = choices.length * choices[0].length;
    caption.textContent = `${plane}, ${units === 1 ? "the whole picture alike" : `${units} units of ${size}x${size}`}; the crop is outlined`;
    const legend = document.createElement("ul");
    legend.className = "legend";
    map.names.forEach((name, network) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = `swatch ${map.looks[network]}`;
      item.append(swatch, `${name}: ${Math.round((100 * counts[network]) / samples)} %`);
      legend.append(item);
    });
    figure.append(caption, svg, legend);
    return figure;
  }
}
