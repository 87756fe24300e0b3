// Picks one class in all scenes of the gallery, and turns the scenes together.
(() => {
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
})();
