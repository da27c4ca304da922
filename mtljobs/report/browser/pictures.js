// Pictures of images: with a map over them, and with what each step fills in.

const OUTLINE = [213, 94, 0];
const colours = decode(data.colours, Uint8Array);
const pictures = new Map();

function findPicture(experiment, image) {
  const packed = experiment.pictures[image];
  if (!pictures.has(packed)) pictures.set(packed, loadPicture(packed));
  return pictures.get(packed);
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
