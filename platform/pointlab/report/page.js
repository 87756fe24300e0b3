// What moves on the page: plots that fit their cards, and the gallery's scenes.

// A plot is drawn before the cards beside it exist, so its first width is a guess.
const fit = new ResizeObserver((entries) => {
  for (const { target } of entries) Plotly.Plots.resize(target);
});
for (const plot of document.querySelectorAll(".plotly-graph-div")) fit.observe(plot);

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
