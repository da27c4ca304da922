// The explorer: one item of the run, its picture, its map and its curves, step by step.

const selects = ["experiment", "task", "sparsity", "seed", "image", "group"];
let latest = 0;
let shown = null;
let isMoving = false;

// Offers pairs of a name and what it stands for, and returns what the chosen name stands for.
// A name stays chosen where it is offered again, whatever its place; else the first one is.
function offer(id, pairs) {
  const select = element(id);
  const before = select.value;
  select.replaceChildren(...pairs.map(([name]) => new Option(name, name)));
  if (pairs.some(([name]) => name === before)) select.value = before;
  return pairs[select.selectedIndex]?.[1];
}

// Each choice offers what the ones before it leave.
function choose() {
  const experiment = offer("experiment", data.experiments);
  const sparsity = offer("sparsity", experiment.sparsities.map((name, index) => [name, index]));
  const images = offer("seed", experiment.seeds);
  const task = offer("task", Object.keys(experiment.groups).map((name) => [name, name]));
  const items = offer("image", images.filter(([, tasks]) => task in tasks))?.[task];
  const labels = experiment.groups[task];
  const group = offer("group", items ? items.groups.map((index, at) => [labels[index], at]) : []);
  return { experiment, task, sparsity, image: element("image").value, items, group };
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
      element("sparsity").selectedIndex = sparsity;
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

function start() {
  if (!data.experiments.length) {
    element("without-script").textContent = "There is nothing to explore: no image has a curve yet.";
    return;
  }
  element("controls").hidden = false;
  element("without-script").hidden = true;
  for (const name of selects) element(name).addEventListener("change", refresh);
  element("step").addEventListener("input", moveSoon);
  element("with-map").addEventListener("change", move);
  refresh();
}

start();
