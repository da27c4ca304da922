// The curves of an item.

const CHART = { width: 520, height: 330, left: 46, right: 14, top: 14, bottom: 42 };

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
