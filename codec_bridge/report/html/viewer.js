// Two pictures of the same area behind each other, a divider to move; their differences to the original; the unit map above them.

class Viewer {
  // pictures: [{images: {original, anchor, ...}: keys of files, ...}], files: data URLs.
  constructor(root, pictures, files) {
    this.pictures = pictures;
    this.files = files;
    this.root = root;
    const part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.parts = Object.fromEntries(
      ["picture", "left", "right", "difference", "amplification", "amplified", "units", "zoom", "stage", "frame", "scroll", "canvas", "map",
        "split", "divider", "left-name", "right-name", "left-psnr", "right-psnr", "legend", "note"].map((name) => [name, part(name)]),
    );
    const { picture, left, right, difference, amplification, units, zoom, split, stage } = this.parts;
    picture.addEventListener("change", () => this.open(Number(picture.value)));
    for (const control of [left, right, difference]) control.addEventListener("change", () => this.render());
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
    const { left, right } = this.parts;
    const names = Object.keys(picture.images);
    const chosen = [left.value || picture.left, right.value || picture.right].map((name) => (names.includes(name) ? name : names.at(-1)));
    [left, right].forEach((select, side) => {
      select.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen[side])));
    });
    const samples = await Promise.all(names.map((name) => this.read(this.files[picture.images[name]])));
    if (Number(this.parts.picture.value) !== index) return; // another one was chosen meanwhile
    this.picture = picture;
    this.samples = Object.fromEntries(names.map((name, k) => [name, samples[k]]));
    this.render();
    this.root.dataset.open = String(index);
  }

  async read(source) {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  // Samples as they are, or 128 + amplification x (picture - original), clipped.
  shown(name) {
    const image = this.samples[name];
    if (!this.parts.difference.checked) return image;
    const factor = Number(this.parts.amplification.value);
    const original = this.samples.original.data;
    const result = new ImageData(image.width, image.height);
    for (let k = 0; k < original.length; k++) {
      result.data[k] = k % 4 === 3 ? 255 : 128 + factor * (image.data[k] - original[k]);
    }
    return result;
  }

  psnr(name) {
    const [a, b] = [this.samples[name].data, this.samples.original.data];
    let squares = 0;
    for (let k = 0; k < a.length; k += 4) squares += (a[k] - b[k]) ** 2;
    return squares ? `${(10 * Math.log10((255 ** 2 * a.length) / 4 / squares)).toFixed(2)} dB` : "equal to the original";
  }

  render() {
    const { left, right, difference, amplification, amplified } = this.parts;
    amplification.disabled = !difference.checked;
    amplified.textContent = `${amplification.value}×`;
    for (const [side, { value }] of [["left", left], ["right", right]]) {
      this.parts[`${side}-name`].textContent = value;
      this.parts[`${side}-psnr`].textContent = value === "original" ? "" : `${this.psnr(value)} in this area`;
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
    split.setAttribute("aria-valuetext", `${left.value} on ${Math.round(Number(split.value))} percent of the width, then ${right.value}`);
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
    const maps = this.picture.maps;
    const variant = [right.value, left.value].find((name) => maps[name]);
    units.disabled = !variant;
    const explained = variant && !units.checked ? `${variant} has a unit map.` : variant ? `Unit map of ${variant}.` : "No unit map.";
    note.textContent = `${this.picture.note} ${explained}`;
    this.draw(units.checked && variant ? maps[variant] : null);
  }

  draw(map) {
    const { map: svg, legend } = this.parts;
    svg.replaceChildren();
    legend.replaceChildren();
    if (!map) return;
    const { width, height } = this.sides[0];
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const add = (parent, name, attributes) => {
      const element = document.createElementNS(svg.namespaceURI, name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      parent.append(element);
      return element;
    };
    for (const { x, y, width: w, height: h, network } of map.units) {
      const unit = add(svg, "rect", { x, y, width: w, height: h, class: `unit ${map.looks[network]}` });
      add(unit, "title", {}).textContent = map.names[network];
    }
    map.names.forEach((name, network) => {
      const item = document.createElement("li");
      const swatch = document.createElement("span");
      swatch.className = `swatch ${map.looks[network]}`;
      const count = map.units.filter((unit) => unit.network === network).length;
      item.append(swatch, `${name}: ${count} of ${map.units.length} units`);
      legend.append(item);
    });
  }
}
