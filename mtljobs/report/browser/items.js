// What the page holds of its items; report/exploring.py says in which form.

const element = (name) => document.getElementById(`explorer-${name}`);
const data = JSON.parse(element("data").textContent);

function decode(base64, Numbers) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Numbers(bytes.buffer);
}

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
