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
    const wanted = growFor(target), grows = wanted.height !== target.layout.height;
    if (grows) target.parentElement.style.height = `${wanted.height}px`;
    Promise.resolve(grows && Plotly.relayout(target, wanted)).then(() => Plotly.Plots.resize(target));
  }
});
for (const plot of document.querySelectorAll(".plotly-graph-div")) fit.observe(plot);

// On a phone a stacked table has a row of its own for every cell, which the table's head names.
for (const table of document.querySelectorAll(".stacked")) {
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  for (const row of table.querySelectorAll("tbody tr:not(.more)"))
    for (const [place, cell] of [...row.cells].entries()) cell.dataset.label = names[place];
}

// The gallery: a button picks one class in all scenes, and the scenes turn together.
const scenes = [...document.querySelectorAll(".scene .plotly-graph-div")];
const buttons = [...document.querySelectorAll("[data-class]")];
const legends = [...document.querySelectorAll("[data-legend]")];

const choose = (number) => {
  for (const button of buttons) button.setAttribute("aria-pressed", Number(button.dataset.class) === number);
  for (const legend of legends) legend.hidden = Number(legend.dataset.legend) !== number;
  for (const scene of scenes) Plotly.restyle(scene, { visible: scene.data.map((_, row) => row === number) });
};
for (const button of buttons) button.addEventListener("click", () => choose(Number(button.dataset.class)));

let held = null; // the scene under the pointer: the others follow it, and it follows none
const turnTogether = (scenes) => {
  for (const scene of scenes) {
    scene.addEventListener("pointerenter", () => (held = scene));
    for (const event of ["plotly_relayouting", "plotly_relayout"]) {
      scene.on(event, (change) => {
        const camera = change["scene.camera"];
        if (!camera || scene !== held) return;
        for (const other of scenes) if (other !== scene) Plotly.relayout(other, { "scene.camera": camera });
      });
    }
  }
};
turnTogether(scenes);
for (const pair of document.querySelectorAll(".segmented")) turnTogether([...pair.querySelectorAll(".plotly-graph-div")]);
