"use strict";
// The explorer: one item of the run, its picture, its map and its curves, step by step.
// Everything comes from the JSON in the page; report/exploring.py says what that holds.
(() => {
  const element = (name) => document.getElementById(`explorer-${name}`);
  const data = JSON.parse(element("data").textContent);
  const colours = decode(data.colours, Uint8Array);
  const selects = ["experiment", "task", "sparsity", "seed", "image", "group"];
  const CHART = { width: 520, height: 330, left: 46, right: 14, top: 14, bottom: 42 };
  const OUTLINE = [213, 94, 0];
  const pictures = new Map();
  let latest = 0;
  let shown = null;
  let isMoving = false;

  function decode(base64, Numbers) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return new Numbers(bytes.buffer);
  }

  // ---- What is chosen

  function offer(name, options) {
    const select = element(name);
    const before = select.value;
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    if (options.some(([value]) => value === before)) select.value = before;
    return select.value;
  }

  const named = (names) => names.map((name) => [name, name]);
  const numbered = (names) => names.map((name, index) => [String(index), name]);

  // Each choice offers what the ones before it leave; what was chosen stays where it can.
  function choose() {
    const name = offer("experiment", named(Object.keys(data.experiments)));
    const experiment = data.experiments[name];
    const sparsity = Number(offer("sparsity", numbered(experiment.sparsities)));
    const seed = offer("seed", named(Object.keys(experiment.seeds)));
    const images = experiment.seeds[seed];
    const task = offer("task", named(Object.keys(experiment.groups)));
    const image = offer("image", named(Object.keys(images).filter((id) => task in images[id])));
    const items = image ? images[image][task] : null;
    const labels = experiment.groups[task];
    const groups = items ? items.groups.map((index, at) => [String(at), labels[index]]) : [];
    // A group has another place in every image: it is kept by its name.
    const before = element("group").selectedOptions[0]?.text;
    offer("group", groups);
    const same = groups.find(([, label]) => label === before);
    if (same) element("group").value = same[0];
    return { experiment, task, sparsity, image, items, group: Number(element("group").value) };
  }

  // ---- Numbers of an item

  // One item at one sparsity: its place in arrays that run over sparsity and group.
  function readItem(items, sparsity, group, parts) {
    const place = sparsity * items.groups.length + group;
    const slice = (name, Numbers, length) => {
      if (typeof items[name] === "string") items[name] = decode(items[name], Numbers); // once
      return items[name].subarray(place * length, (place + 1) * length);
    };
    const status = items.status[sparsity][group];
    if (status !== data.ok) return { status, aoc: null, curve: null, order: null, map: null, scores: null };
    const unit = (items.high - items.low) / 65534;
    return {
      status,
      aoc: items.aoc[sparsity][group],
      curve: Array.from(slice("curves", Uint16Array, parts + 1), (step) => items.low + step * unit),
      order: slice("order", Uint16Array, parts),
      map: items.map ? slice("map", Uint8Array, items.mapSize[0] * items.mapSize[1]) : null,
      scores: items.scores ? slice("scores", Uint8Array, parts) : null,
    };
  }

  async function loadPicture(packed) {
    const { rows, columns, parts } = packed;
    const segments = new Uint16Array(rows * columns);
    const runs = decode(packed.runs, Uint16Array);
    for (let at = 0, pixel = 0; at < runs.length; at += 2) {
      segments.fill(runs[at], pixel, (pixel += runs[at + 1]));
    }
    const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#b4b4b4";
    context.fillRect(0, 0, columns, rows);
    if (packed.jpeg) {
      const image = new Image();
      image.src = `data:image/jpeg;base64,${packed.jpeg}`;
      await image.decode();
      context.drawImage(image, 0, 0);
    }
    const { data: pixels } = context.getImageData(0, 0, columns, rows);
    const hasImage = Boolean(packed.jpeg);
    return { rows, columns, parts, segments, pixels, hasImage, ...addUp(segments, pixels, parts) };
  }

  // Pixels of each superpixel, the sum of its values, and the sum of each channel.
  function addUp(segments, pixels, parts) {
    const counts = new Float64Array(parts);
    const sums = new Float64Array(parts);
    const totals = [0, 0, 0];
    segments.forEach((segment, pixel) => {
      counts[segment] += 1;
      for (let channel = 0; channel < 3; channel += 1) {
        sums[segment] += pixels[4 * pixel + channel];
        totals[channel] += pixels[4 * pixel + channel];
      }
    });
    return { counts, sums, totals };
  }

  function findPicture(experiment, image) {
    const packed = experiment.pictures[image];
    if (!pictures.has(packed)) pictures.set(packed, loadPicture(packed));
    return pictures.get(packed);
  }

  // What each step fills in, as explain/removal.py does it, from the picture in the page.
  function fillsOf({ segments, counts, sums, totals }, order, rule) {
    const size = segments.length;
    if (rule === "channels") return Array.from(order, () => totals.map((total) => total / size));
    let total = totals[0] + totals[1] + totals[2];
    return Array.from(order, (segment) => {
      const grey = total / (3 * size);
      if (rule === "drifting") total += 3 * counts[segment] * grey - sums[segment];
      return [grey, grey, grey];
    });
  }

  // The map at the picture's size, 0 to 255: bilinear between the centres of its positions.
  function spreadMap(item, mapSize, picture) {
    if (item.scores) return Uint8Array.from(picture.segments, (segment) => item.scores[segment]);
    if (!item.map) return null;
    const [mapRows, mapColumns] = mapSize;
    const between = (index, length, count) => {
      const at = Math.min(Math.max(((index + 0.5) * count) / length - 0.5, 0), count - 1);
      const low = Math.floor(at);
      return [low, Math.min(low + 1, count - 1), at - low];
    };
    const across = Array.from({ length: picture.columns }, (_, x) => between(x, picture.columns, mapColumns));
    const spread = new Uint8Array(picture.segments.length);
    let peak = 1;
    for (let y = 0, pixel = 0; y < picture.rows; y += 1) {
      const [up, down, below] = between(y, picture.rows, mapRows);
      for (const [left, right, beside] of across) {
        const value = (row) =>
          item.map[row * mapColumns + left] * (1 - beside) + item.map[row * mapColumns + right] * beside;
        spread[pixel] = value(up) * (1 - below) + value(down) * below;
        peak = Math.max(peak, spread[pixel]);
        pixel += 1;
      }
    }
    return spread.map((value) => (255 * value) / peak);
  }

  // As in the report's figures: colour over the image in pale grey, which stays where the map is 0.
  function blend(pixels, saliency) {
    if (saliency === null) return null;
    const blended = new Uint8ClampedArray(pixels);
    saliency.forEach((share, pixel) => {
      const at = 4 * pixel;
      const grey = 89 + 0.65 * (0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2]);
      const weight = 0.85 * Math.sqrt(share / 255);
      for (let channel = 0; channel < 3; channel += 1) {
        blended[at + channel] = grey * (1 - weight) + colours[3 * share + channel] * weight;
      }
    });
    return blended;
  }

  // Everything about one item that the slider does not change.
  function prepare(item, choice, picture) {
    const ranks = new Uint16Array(picture.parts).fill(65535);
    const removes = choice.experiment.fill !== null && item.order !== null;
    if (removes) item.order.forEach((segment, rank) => { ranks[segment] = rank; });
    return {
      ...item,
      ranks,
      fills: removes ? fillsOf(picture, item.order, choice.experiment.fill) : [],
      blended: blend(picture.pixels, spreadMap(item, choice.items.mapSize, picture)),
    };
  }

  // ---- Pictures

  function paint(canvas, picture, item, step) {
    const { rows, columns, segments, pixels } = picture;
    const withMap = item.blended && element("with-map").checked;
    const image = new ImageData(new Uint8ClampedArray(withMap ? item.blended : pixels), columns, rows);
    for (let pixel = 0; pixel < segments.length; pixel += 1) {
      const rank = item.ranks[segments[pixel]];
      if (rank < step) {
        const isOutline = rank === step - 1 && isBoundary(segments, pixel, columns);
        const colour = isOutline ? OUTLINE : item.fills[rank];
        for (let channel = 0; channel < 3; channel += 1) image.data[4 * pixel + channel] = colour[channel];
      }
    }
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // Whether a superpixel ends within a line's width of a pixel.
  function isBoundary(segments, pixel, columns) {
    const reach = Math.ceil(columns / 240);
    const column = pixel % columns;
    const leaves = (other, isInside) => isInside && segments[other] !== segments[pixel];
    return leaves(pixel - reach, column >= reach)
      || leaves(pixel + reach, column + reach < columns)
      || leaves(pixel - reach * columns, pixel >= reach * columns)
      || leaves(pixel + reach * columns, pixel + reach * columns < segments.length);
  }

  // ---- The chart

  function draw(parent, tag, attributes, text = "") {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.textContent = text;
    parent.append(node);
    return node;
  }

  function scales(curves, parts) {
    const values = curves.flat();
    const low = Math.min(0, ...values);
    const high = Math.max(1, ...values);
    const margin = 0.03 * (high - low);
    const { width, height, left, right, top, bottom } = CHART;
    return {
      low,
      high,
      x: (step) => left + (step / parts) * (width - left - right),
      y: (value) => top + ((high + margin - value) / (high - low + 2 * margin)) * (height - top - bottom),
    };
  }

  function ticks(low, high) {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const unit = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough);
    const first = Math.ceil(low / unit - 1e-9);
    const count = Math.floor(high / unit + 1e-9) - first + 1;
    return Array.from({ length: count }, (_, index) => Number(((first + index) * unit).toPrecision(6)));
  }

  function drawChart({ choice, picture, items, mean }) {
    const chart = element("chart");
    chart.replaceChildren();
    const curves = items.map((item) => item.curve).filter(Boolean);
    const parts = picture.parts;
    const scale = scales(mean ? [...curves, mean] : curves, parts);
    drawAxes(chart, scale, parts);
    const line = (values, attributes) => draw(chart, "polyline", {
      points: values.map((value, index) =>
        `${scale.x((index * parts) / (values.length - 1)).toFixed(1)},${scale.y(value).toFixed(1)}`).join(" "),
      fill: "none",
      ...attributes,
    });
    if (mean) line(mean, { class: "mean" });
    const own = items[choice.sparsity];
    items.forEach((item, sparsity) => {
      const look = { stroke: choice.experiment.colours[sparsity], class: "other" };
      if (item !== own && item.curve) line(item.curve, look);
    });
    const colour = choice.experiment.colours[choice.sparsity];
    if (own.curve) line(own.curve, { stroke: colour, class: "chosen" });
    const dot = own.curve && draw(chart, "circle", { id: "explorer-dot", r: 6 });
    return { scale, dot };
  }

  function drawAxes(chart, scale, parts) {
    const { width, height, left, right, bottom } = CHART;
    for (const value of ticks(scale.low, scale.high)) {
      const y = scale.y(value);
      draw(chart, "line", { x1: left, x2: width - right, y1: y, y2: y, class: value === 0 ? "zero" : "rule" });
      draw(chart, "text", { x: left - 8, y: y + 4, "text-anchor": "end" }, String(value));
    }
    for (const step of ticks(0, parts).filter(Number.isInteger)) {
      draw(chart, "text", { x: scale.x(step), y: height - bottom + 18, "text-anchor": "middle" }, String(step));
    }
    const middle = (left + width - right) / 2;
    draw(chart, "text", { x: middle, y: height - 6, "text-anchor": "middle" }, "parts removed");
  }

  // ---- Putting it together

  async function refresh() {
    const turn = (latest += 1);
    const choice = choose();
    element("work").hidden = !choice.items;
    if (!choice.items) {
      say("No image in this page has a curve of this task with this seed.");
      return;
    }
    const picture = await findPicture(choice.experiment, choice.image);
    if (turn !== latest) return; // another choice came while the picture was decoded
    const items = choice.experiment.sparsities.map((_, sparsity) =>
      prepare(readItem(choice.items, sparsity, choice.group, picture.parts), choice, picture));
    const mean = choice.experiment.means[choice.task][choice.sparsity];
    shown = { choice, picture, items, mean };
    Object.assign(shown, drawChart(shown));
    element("step").max = picture.parts;
    element("step").disabled = !items[choice.sparsity].curve;
    offerSparsities();
    move();
  }

  function offerSparsities() {
    const { choice, items } = shown;
    const buttons = items.map((item, sparsity) => {
      const button = document.createElement("button");
      const label = document.createElement("span");
      const swatch = document.createElement("i");
      button.type = "button";
      button.setAttribute("aria-pressed", String(sparsity === choice.sparsity));
      swatch.style.backgroundColor = choice.experiment.colours[sparsity];
      label.append(swatch, `${choice.experiment.sparsities[sparsity]}: ${describe(item)}`);
      button.append(document.createElement("canvas"), label);
      button.addEventListener("click", () => {
        element("sparsity").value = String(sparsity);
        refresh().then(() => element("strip").children[sparsity].focus());
      });
      return button;
    });
    element("strip").replaceChildren(...buttons);
  }

  function describe(item) {
    return item.curve ? `AOC ${item.aoc.toFixed(3)}` : data.statuses[item.status];
  }

  function move() {
    const { choice, picture, items, scale, dot } = shown;
    const step = Number(element("step").value);
    const own = items[choice.sparsity];
    paint(element("picture"), picture, own, own.curve ? step : 0);
    items.forEach((item, sparsity) => {
      paint(element("strip").children[sparsity].firstChild, picture, item, item.curve ? step : 0);
    });
    element("count").textContent = `${step} of ${picture.parts}`;
    element("step").setAttribute("aria-valuetext", `${step} of ${picture.parts} parts removed`);
    if (dot) {
      dot.setAttribute("cx", scale.x(step));
      dot.setAttribute("cy", scale.y(own.curve[step]));
      say(`Score after step ${step}: ${own.curve[step].toFixed(3)} of the clean score. ` +
        `Area over this curve: ${own.aoc.toFixed(3)}.`);
    } else {
      say(`This item has no curve at ${choice.experiment.sparsities[choice.sparsity]}: ` +
        `${data.statuses[own.status]}.`);
    }
    element("with-map").disabled = !own.blended;
    element("unseen").hidden = picture.hasImage;
    element("unmoved").hidden = choice.experiment.fill !== null;
  }

  // A slider may say more often than pictures can be painted where it is.
  function moveSoon() {
    if (!isMoving) requestAnimationFrame(() => { isMoving = false; move(); });
    isMoving = true;
  }

  function say(text) {
    element("said").textContent = text;
  }

  if (!Object.keys(data.experiments).length) {
    element("without-script").textContent = "There is nothing to explore: no image has a curve yet.";
    return;
  }
  element("controls").hidden = false;
  element("without-script").hidden = true;
  for (const name of selects) element(name).addEventListener("change", refresh);
  element("step").addEventListener("input", moveSoon);
  element("with-map").addEventListener("change", move);
  refresh();
})();
