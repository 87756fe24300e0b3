// What moves on the page: plots that fit their cards, and the gallery's scenes.

// A plot is drawn before the cards beside it exist, so its first width is a guess. Where it is narrow, as on a
// phone, its legend has a line for every name, for which it grows.
const NARROW = 450, LINE = 20;
const growFor = (plot) => {
  const names = plot.data.filter((trace) => trace.name && trace.showlegend !== false && trace.visible !== false);
  const { height, margin, scene, showlegend } = plot.layout;
  plot.own ??= { height, top: margin.t };
  const needed = plot.clientWidth < NARROW && !scene && showlegend !== false ? LINE * names.length + 24 : 0;
  const more = Math.max(0, needed - plot.own.top), least = needed ? 2 * needed : 0; // it may take half of the plot
  return { height: Math.max(plot.own.height + more, least), "margin.t": plot.own.top + more };
};
const fit = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const width = target.clientWidth, wanted = growFor(target);
    const grows = wanted.height !== target.layout.height;
    if (!width || (!grows && width === target._fullLayout.width)) continue;
    if (grows) target.parentElement.style.height = `${wanted.height}px`;
    Plotly.relayout(target, { ...wanted, width }); // both at once: plotly keeps the width it has beside a new height
  }
});
for (const plot of document.querySelectorAll(".plotly-graph-div")) fit.observe(plot);

// On a phone a stacked table has a row of its own for every cell, which the table's head names.
for (const table of document.querySelectorAll(".stacked")) {
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  for (const row of table.querySelectorAll("tbody tr:not(.more)"))
    for (const [place, cell] of [...row.cells].entries()) cell.dataset.label = names[place];
}

// A sortable table: a button in every heading, and words to look for where there are many rows. Numbers begin with
// the largest, words with the first of the alphabet; what is empty comes last either way.
const MANY_ROWS = 5;
const keyOf = (row, place) => {
  const cell = row.cells[place], text = cell.textContent.trim();
  const told = cell.dataset.value ?? text.replaceAll(",", "");
  return told === "" ? null : Number.isNaN(Number(told)) ? text.toLowerCase() : Number(told);
};
const isNumber = (key) => typeof key === "number";
const compare = (one, other) => // numbers before words, so that a column of both has an order
  isNumber(one) && isNumber(other) ? one - other
  : isNumber(one) !== isNumber(other) ? (isNumber(one) ? -1 : 1)
  : one.localeCompare(other);
const sortBy = (table, place) => {
  const heads = [...table.tHead.rows[0].cells], before = heads[place].ariaSort, body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, place) }));
  const first = rows.some(({ key }) => isNumber(key)) ? "descending" : "ascending";
  const next = before ? (before === "ascending" ? "descending" : "ascending") : first;
  const sign = next === "ascending" ? 1 : -1;
  rows.sort((one, other) =>
    one.key === null || other.key === null
      ? (one.key === null) - (other.key === null)
      : sign * compare(one.key, other.key));
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[place].setAttribute("aria-sort", next);
  body.append(...rows.map(({ row }) => row));
};
const keepRows = (table, isWanted) => {
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) row.hidden = !isWanted(row);
  const kept = rows.filter((row) => !row.hidden).length;
  if (table.told) table.told.textContent = kept < rows.length ? `${kept} of ${rows.length} rows` : "";
};
const addFilter = (table) => {
  const label = document.createElement("label"), input = document.createElement("input");
  table.told = document.createElement("output");
  label.className = "filter";
  input.type = "search";
  input.placeholder = "Find rows";
  input.setAttribute("aria-label", "Find the rows that hold these words");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    keepRows(table, (row) => words.every((word) => row.textContent.toLowerCase().includes(word)));
  });
  label.append(input, table.told);
  (table.closest(".scroll") ?? table).before(label);
};
for (const table of document.querySelectorAll("table.sortable")) {
  for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, place));
  }
  if (table.tBodies[0].rows.length > MANY_ROWS) addFilter(table);
}

// A link to a row that is folded away, or was filtered out, shows it; a figure of many cells keeps their rows alone.
const showTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = target?.closest("details");
  if (!folded) return;
  folded.open = true;
  target.hidden = false;
  (target.tBodies ? folded : target).scrollIntoView({ block: target.tBodies ? "start" : "center" });
};
for (const link of document.querySelectorAll("a[data-rows]"))
  link.addEventListener("click", () => {
    const table = document.querySelector(link.hash), levels = JSON.parse(link.dataset.rows);
    const says = (row, level) => [...row.cells].some((cell) => cell.textContent.trim() === level);
    keepRows(table, (row) => levels.every((level) => says(row, level)));
    if (link.hash === location.hash) showTarget(); // the address stays the same, of which no event tells
  });
addEventListener("hashchange", showTarget);
showTarget();

// Clouds to turn.
let held = null; // the scene under the pointer: the others follow it, and it follows none
const turnTogether = (scenes) => {
  let settled = ""; // where the camera was told to have come to rest
  const turn = (turned, camera) => {
    for (const scene of turned) Plotly.relayout(scene, { "scene.camera": camera });
  };
  for (const scene of scenes) {
    const others = scenes.filter((other) => other !== scene);
    scene.addEventListener("pointerenter", () => (held = scene));
    scene.on("plotly_relayouting", (change) => {
      if (scene === held && change["scene.camera"]) turn(others, change["scene.camera"]);
    });
    scene.on("plotly_relayout", (change) => {
      const camera = change["scene.camera"], told = JSON.stringify(camera);
      if (!camera || scene !== held || told === settled) return;
      settled = told;
      turn(scenes, camera); // itself too: where drawing is slow, it would drift on after what it tells
    });
  }
};

// A button picks one cloud in all scenes of its section, and the scenes turn together.
const pickIn = (section) => {
  const scenes = [...section.querySelectorAll(".scene .plotly-graph-div")];
  const buttons = [...section.querySelectorAll("[data-class]")];
  const legends = [...section.querySelectorAll("[data-legend]")];
  const choose = (number) => {
    for (const button of buttons) button.setAttribute("aria-pressed", Number(button.dataset.class) === number);
    for (const legend of legends) legend.hidden = Number(legend.dataset.legend) !== number;
    for (const scene of scenes) Plotly.restyle(scene, { visible: scene.data.map((_, row) => row === number) });
  };
  for (const button of buttons) button.addEventListener("click", () => choose(Number(button.dataset.class)));
  turnTogether(scenes);
};
for (const section of document.querySelectorAll("section:has(.scene)")) pickIn(section);
for (const pair of document.querySelectorAll(".segmented")) turnTogether([...pair.querySelectorAll(".plotly-graph-div")]);
