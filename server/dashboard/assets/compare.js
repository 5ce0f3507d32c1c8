// Runs one over the other: the tasks that the page came with, and files of `tutti run export`, which are read here and sent nowhere.
const main = document.getElementById("main"), drop = document.getElementById("drop"), input = document.getElementById("files");
const loaded = document.getElementById("loaded"), clear = document.getElementById("clear"), legend = document.getElementById("legend"), figures = document.getElementById("figures");
const known = [
  ["ndcg10", "NDCG@10", "share of the best ranking, 0 to 1: higher is better"], ["hit10", "Hits in the first ten", "share of devices, 0 to 1: higher is better"],
  ["mrr", "Mean reciprocal rank", "0 to 1: higher is better"], ["loss", "Loss", "over that of a guess: lower is better"], ["clip", "Within the clip", "share of devices whose update was not cut"],
  ["epsilon", "Epsilon spent", "of the claim, in all: lower is better for the same quality"], ["counted", "Devices counted", "in each published round"],
];
const largest = 64 << 20, mostLines = 100000, mostRuns = 6, W = 1000, H = 300;
const served = JSON.parse(main.dataset.runs), before = { legend: [...legend.childNodes], figures: [...figures.childNodes] };
let runs = [];

const number = x => typeof x === "number" && Number.isFinite(x) ? x : typeof x === "string" && x.trim() !== "" && Number.isFinite(Number(x)) ? Number(x) : undefined;

// read makes a run of the lines of an export: one JSON object each, those with a round's number count.
function read(name, text) {
  const series = Object.create(null); // the names of figures come from a file
  const add = (figure, round, value, low, high) => {
    if (number(value) !== undefined) (series[figure] ??= new Map()).set(round, [round, number(value), number(low) ?? number(value), number(high) ?? number(value)]);
  };
  let task = "", rounds = 0;
  for (const [i, line] of text.split("\n").slice(0, mostLines).entries()) {
    if (!line.trim()) continue;
    let x;
    try { x = JSON.parse(line); } catch { throw new Error(`line ${i + 1} is not JSON`); }
    if (typeof x?.task === "string") task = x.task;
    const r = number(x?.round ?? x?.number);
    if (r === undefined) continue;
    rounds++;
    for (const f of [x.figures, x.measured, x.quality].find(Array.isArray) ?? []) if (f && typeof f.name === "string") add(f.name, r, f.value, f.low, f.high);
    if (x.metrics && !Array.isArray(x.metrics)) for (const [k, f] of Object.entries(x.metrics)) typeof f === "object" && f ? add(k, r, f.value, f.low, f.high) : add(k, r, f);
    add("epsilon", r, x.epsilon_spent ?? x.epsilon ?? x.spent?.epsilon);
    if (x.state === undefined || x.state === "published") add("counted", r, x.counted ?? x.survived);
  }
  if (!rounds) throw new Error("holds no rounds; tutti run export --jsonl FILE writes one");
  for (const k of Object.keys(series)) series[k] = [...series[k].values()].sort((a, b) => a[0] - b[0]);
  return { name: task && !name.includes(task) ? `${task} (${name})` : name, series };
}

const svg = (tag, attributes, text) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  return e;
};
const html = (tag, className, ...children) => {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
};
const hue = i => i ? " s" + (i % 6 + 1) : "";

// ticks are five round numbers that span the values.
function ticks(low, high) {
  if (!(high > low)) { const d = Math.max(Math.abs(low) * 0.1, 1e-3); low -= d; high += d; }
  const power = 10 ** Math.floor(Math.log10((high - low) / 4));
  for (let p = power; ; p *= 10) for (const m of [1, 2, 2.5, 5]) {
    const step = m * p, from = Math.floor(low / step + 1e-9) * step;
    if (from + 4 * step >= high - 1e-9 * step) return { from, to: from + 4 * step, step, digits: Math.min(6, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9) + (m === 2.5 ? 1 : 0))) };
  }
}

function draw(title, all) {
  const points = all.flatMap(a => a.points), rounds = points.map(p => p[0]);
  const first = Math.min(...rounds), last = Math.max(...rounds), t = ticks(Math.min(...points.map(p => Math.min(p[1], p[2]))), Math.max(...points.map(p => Math.max(p[1], p[3]))));
  const x = r => first === last ? W / 2 : 12 + (W - 24) * (r - first) / (last - first), y = v => H * (1 - (v - t.from) / (t.to - t.from));
  const path = ps => ps.map((p, i) => (i ? "L" : "M") + p[0].toFixed(1) + " " + p[1].toFixed(1)).join("");
  const label = all.map(a => `${a.name}: ${title} ${a.points.at(-1)[1].toFixed(t.digits + 1)} in round ${a.points.at(-1)[0]}`).join("; ");
  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": label }), axis = html("div", "axis");
  axis.setAttribute("aria-hidden", "true");
  for (let i = 4; i >= 0; i--) {
    axis.append(html("span", "", (t.from + i * t.step).toFixed(t.digits)));
    picture.append(svg("path", { class: "rule", d: `M0 ${H * (1 - i / 4)}H${W}` }));
  }
  for (const a of all) {
    const wide = a.points.length === 1 ? 6 : 0, at = p => x(p[0]);
    const top = a.points.flatMap(p => wide ? [[at(p) - wide, y(p[3])], [at(p) + wide, y(p[3])]] : [[at(p), y(p[3])]]), low = a.points.flatMap(p => wide ? [[at(p) - wide, y(p[2])], [at(p) + wide, y(p[2])]] : [[at(p), y(p[2])]]);
    if (a.points.some(p => p[3] > p[2])) picture.append(svg("path", { class: "band" + hue(a.i), d: path([...top, ...low.reverse()]) + "Z" }));
    if (a.points.length > 1) picture.append(svg("path", { class: "line" + hue(a.i), d: path(a.points.map(p => [at(p), y(p[1])])) }));
    for (const p of a.points) {
      const dot = svg("path", { class: "dot" + hue(a.i), d: path([[at(p), y(p[1])]]) + "h0" });
      dot.append(svg("title", {}, `${a.name}, round ${p[0]}: ${p[1].toFixed(t.digits + 2)}`));
      picture.append(dot);
    }
  }
  const under = html("div", "under", html("span", "", "round " + first), ...(last > first ? [html("span", "", "round " + last)] : []));
  under.setAttribute("aria-hidden", "true");
  return html("div", "chart", axis, picture, under);
}

function table(title, all) {
  const rounds = [...new Set(all.flatMap(a => a.points.map(p => p[0])))].sort((a, b) => b - a).slice(0, 60), t = html("table"), caption = html("caption", "", title + ", newest round first");
  const head = html("tr", "", html("th", "", "round"), ...all.map(a => html("th", "n", a.name)));
  for (const th of head.children) th.scope = "col";
  t.append(caption, html("thead", "", head), html("tbody", "", ...rounds.map(r => html("tr", "", html("td", "", String(r)), ...all.map(a => {
    const p = a.points.find(p => p[0] === r);
    return html("td", "n", p ? p[1].toFixed(4) + (p[3] > p[2] ? ` [${p[2].toFixed(4)}, ${p[3].toFixed(4)}]` : "") : "–");
  })))));
  const scroll = html("div", "scroll", t);
  scroll.tabIndex = 0;
  return html("details", "", html("summary", "", "Figures"), scroll);
}

function show() {
  if (!runs.length) {
    legend.replaceChildren(...before.legend);
    figures.replaceChildren(...before.figures);
    clear.hidden = true;
    return;
  }
  clear.hidden = false;
  const all = [...served, ...runs].slice(0, mostRuns);
  legend.replaceChildren(...all.map((r, i) => {
    const mark = svg("svg", { viewBox: "0 0 9 7", "aria-hidden": "true" });
    mark.append(svg("rect", { class: "key" + hue(i), width: 9, height: 7, rx: 2 }));
    return html("li", "", mark, html("strong", "", r.name));
  }));
  figures.replaceChildren();
  for (const [name, title, note] of known) {
    const lines = all.map((r, i) => ({ name: r.name, i, points: r.series[name] ?? [] })).filter(a => a.points.length);
    if (!lines.length) continue;
    const small = html("span", "soft small", note);
    figures.append(html("section", "box", html("h2", "", title + " ", small), draw(title, lines), table(title, lines)));
  }
}

async function take(files) {
  const wrong = [], right = [];
  for (const file of files) {
    try {
      if (file.size > largest) throw new Error("is larger than 64 MiB");
      runs.push(read(file.name, await file.text()));
      right.push(file.name);
    } catch (e) { wrong.push(`${file.name}: ${e.message}`); }
  }
  if (served.length + runs.length > mostRuns) {
    runs = runs.slice(0, mostRuns - served.length);
    wrong.push(`at most ${mostRuns} runs are shown`);
  }
  loaded.textContent = [right.length ? "Shown: " + right.join(", ") : "", ...wrong].filter(Boolean).join(". ");
  loaded.className = wrong.length ? "bad" : "";
  show();
}

drop.hidden = false;
input.addEventListener("change", () => { take([...input.files]); input.value = ""; });
clear.addEventListener("click", () => { runs = []; loaded.textContent = ""; show(); input.focus(); });
for (const name of ["dragover", "dragleave", "drop"]) addEventListener(name, e => { e.preventDefault(); drop.classList.toggle("over", name === "dragover"); });
addEventListener("drop", e => take([...e.dataTransfer.files]));
