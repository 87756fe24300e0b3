// Pixels and points: a pixel of a frame's picture is marked, and the points of its cloud take the colours of
// their cosines with it, computed here from the features that the page holds.
{
  const decode = (text, kind) => new kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const norm = (vector) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  const STEPS = 256; // colours between the stops of a scale
  const TURN = 0.008; // radians for each pixel of a drag
  const DISTANCE = 2.6; // of the eye from the middle of a cloud, in its radii
  const STEEPEST = 1.4; // radians: short of the vertical, where a turntable would flip
  const ON_A_POINT = 0.03; // of the picture's width: how far a pixel may be from the one that shows a point

  const hex = (colour) => [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
  const palette = (stops) =>
    Array.from({ length: STEPS }, (_, step) => {
      const place = (step / (STEPS - 1)) * (stops.length - 1);
      const first = Math.min(Math.floor(place), stops.length - 2);
      const [from, to] = [hex(stops[first]), hex(stops[first + 1])];
      return `rgb(${from.map((value, i) => Math.round(value + (to[i] - value) * (place - first))).join(" ")})`;
    });

  const spelled = (channels) =>
    Array.from({ length: channels.length / 3 }, (_, i) => `rgb(${channels.slice(3 * i, 3 * i + 3).join(" ")})`);

  // What the model says of a pixel: its projected map between the four cells around it.
  const featureAt = (frame, column, row) => {
    const { cells, scales, rows, columns, width, sampling } = frame;
    const [across, down] = [columns, rows].map((count, axis) =>
      clamp([column, row][axis] * sampling[axis][0] + sampling[axis][1], 0, count - 1),
    );
    const feature = new Float64Array(width);
    for (const [y, share] of [[Math.floor(down), 1 - (down % 1)], [Math.ceil(down), down % 1]])
      for (const [x, part] of [[Math.floor(across), 1 - (across % 1)], [Math.ceil(across), across % 1]]) {
        const cell = y * columns + x;
        const weight = share * part * scales[cell];
        for (let i = 0; i < width; i++) feature[i] += weight * cells[cell * width + i];
      }
    return feature;
  };

  const cosinesAt = (frame, column, row) => {
    const { features, norms, width } = frame;
    const feature = featureAt(frame, column, row);
    const length = norm(feature);
    return Float64Array.from(norms, (each, point) => {
      let product = 0;
      for (let i = 0; i < width; i++) product += features[point * width + i] * feature[i];
      return each * length === 0 ? 0 : product / (each * length);
    });
  };

  const isSeen = (frame, point) => frame.pixels[2 * point] > -1;
  // The point with the highest value of those that the picture shows.
  const best = (frame, values) =>
    values.reduce((found, value, point) => {
      return isSeen(frame, point) && (found < 0 || value > values[found]) ? point : found;
    }, -1);

  // The point that the picture shows at a pixel, or nearest to it; -1 where none is near.
  const seenAt = (frame, column, row) => {
    const nearness = Float64Array.from(frame.norms, (_, point) =>
      -Math.hypot(frame.pixels[2 * point] - column, frame.pixels[2 * point + 1] - row),
    );
    const nearest = best(frame, nearness);
    return -nearness[nearest] <= Math.max(1, ON_A_POINT * frame.size[1]) ? nearest : -1;
  };

  const read = (figure) => {
    const frame = JSON.parse(figure.querySelector("script").textContent);
    frame.points = decode(frame.points, Float32Array);
    frame.pixels = decode(frame.pixels, Float32Array);
    frame.features = decode(frame.features, Int8Array);
    frame.cells = decode(frame.cells, Int8Array);
    frame.scales = decode(frame.scales, Float32Array);
    frame.labels = frame.labels && decode(frame.labels, Uint16Array);
    frame.colours = frame.colours && spelled(decode(frame.colours, Uint8Array));
    const { features, points, width } = frame;
    frame.norms = Float64Array.from({ length: points.length / 3 }, (_, point) =>
      norm(features.subarray(point * width, (point + 1) * width)),
    );
    const ends = [0, 1, 2].map((axis) => {
      const values = points.filter((_, i) => i % 3 === axis);
      return [Math.min(...values), Math.max(...values)];
    });
    frame.middle = ends.map(([low, high]) => (low + high) / 2);
    frame.radius = Math.hypot(...ends.map(([low, high]) => (high - low) / 2)) || 1;
    return frame;
  };

  // Places of all points around the middle of a canvas, in its widths, and how near each is to the eye.
  const project = ({ points, middle, radius }, { yaw, pitch }) => {
    const towards = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
    const across = [Math.cos(yaw), 0, -Math.sin(yaw)];
    const up = [
      towards[1] * across[2] - towards[2] * across[1],
      towards[2] * across[0] - towards[0] * across[2],
      towards[0] * across[1] - towards[1] * across[0],
    ];
    const along = (axis, point) =>
      axis.reduce((sum, value, i) => sum + (value * (points[3 * point + i] - middle[i])) / radius, 0);
    return Array.from({ length: points.length / 3 }, (_, point) => {
      const near = DISTANCE / (DISTANCE - along(towards, point)); // 1 in the middle
      return { point, near, x: near * along(across, point), y: -near * along(up, point) };
    });
  };
  // What brings the first view of a cloud just within a canvas.
  const zoomOf = (places, [height, width]) =>
    0.48 / places.reduce((most, { x, y }) => Math.max(most, Math.abs(x), (Math.abs(y) * width) / height), 1e-9);

  const ring = (context, { x, y }, size) => context.arc(x, y, size, 0, 2 * Math.PI);
  const diamond = (context, { x, y }, size) => {
    context.moveTo(x, y - size);
    for (const [dx, dy] of [[size, 0], [0, size], [-size, 0]]) context.lineTo(x + dx, y + dy);
    context.closePath();
  };
  const mark = (context, shape, place, size) => {
    for (const [colour, line] of [["#000", 4.5], ["#fff", 2]]) {
      context.beginPath();
      shape(context, place, size);
      context.lineWidth = line;
      context.strokeStyle = colour;
      context.stroke();
    }
  };

  class Viewer {
    constructor(figure, colours) {
      this.figure = figure;
      this.frame = read(figure);
      this.scale = colours;
      this.canvas = figure.querySelector("canvas");
      this.picture = figure.querySelector(".picture");
      this.turned = { ...this.frame.view };
      this.zoom = zoomOf(project(this.frame, this.turned), this.frame.size);
      this.shown = "similarity";
      this.mark(...this.frame.start);
      new ResizeObserver(() => this.draw()).observe(this.canvas);
      this.listen();
    }

    mark(column, row) {
      const { frame, figure } = this;
      const [height, width] = frame.size;
      this.marked = [clamp(column, 0, width - 1), clamp(row, 0, height - 1)];
      this.cosines = cosinesAt(frame, ...this.marked);
      this.nearest = best(frame, this.cosines);
      this.seen = seenAt(frame, ...this.marked);
      this.ends = [Math.min, Math.max].map((end) => this.cosines.reduce((a, b) => end(a, b)));
      this.place(".marked", ...this.marked);
      this.place(".found", frame.pixels[2 * this.nearest], frame.pixels[2 * this.nearest + 1]);
      for (const [end, name] of [".low", ".high"].entries())
        figure.querySelector(name).textContent = this.ends[end].toFixed(2);
      figure.querySelector("output").textContent = this.told();
      this.draw();
    }

    place(selector, column, row) {
      const [height, width] = this.frame.size;
      const marker = this.picture.querySelector(selector);
      marker.hidden = column <= -1;
      marker.style.left = `${(100 * (column + 0.5)) / width}%`;
      marker.style.top = `${(100 * (row + 0.5)) / height}%`;
    }

    told() {
      const { frame, nearest, seen } = this;
      const [column, row] = this.marked.map(Math.round);
      const start = `Pixel ${column}, ${row}: the nearest point has cosine ${this.cosines[nearest].toFixed(2)}`;
      if (seen < 0) return `${start}; no point of the cloud is seen at the pixel.`;
      const apart = Math.hypot(...[0, 1, 2].map((i) => frame.points[3 * nearest + i] - frame.points[3 * seen + i]));
      const where = `${start} and lies ${apart.toFixed(2)}${frame.unit} from the one seen at the pixel`;
      if (!frame.labels) return `${where}.`;
      const [found, right] = [nearest, seen].map((point) => frame.parts[frame.labels[point]][0]);
      return `${where}; it is ${found}, ${found === right ? "as is right" : `and the pixel shows ${right}`}.`;
    }

    colourOf(point) {
      const { frame, shown } = this;
      if (shown === "own" && frame.colours) return frame.colours[point];
      if (shown === "parts" && frame.labels) return frame.parts[frame.labels[point]][1];
      const [low, high] = this.ends;
      const share = high > low ? (this.cosines[point] - low) / (high - low) : 1;
      return this.scale[Math.round(share * (STEPS - 1))];
    }

    draw() {
      const { canvas, frame } = this;
      const dense = Math.min(window.devicePixelRatio || 1, 2);
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      if (width === 0) return;
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
      const context = canvas.getContext("2d");
      context.setTransform(dense, 0, 0, dense, 0, 0);
      const places = project(frame, this.turned).map(({ point, near, x, y }) => {
        const scale = this.zoom * width;
        return { point, near, x: width / 2 + scale * x, y: height / 2 + scale * y };
      });
      const size = Math.max(2, width / 100);
      for (const { point, near, x, y } of [...places].sort((a, b) => a.near - b.near)) {
        context.fillStyle = this.colourOf(point);
        context.fillRect(x - (size * near) / 2, y - (size * near) / 2, size * near, size * near);
      }
      mark(context, diamond, places[this.nearest], 9);
      if (this.seen >= 0) mark(context, ring, places[this.seen], 7);
    }

    turn(across, down) {
      this.turned.yaw -= across;
      this.turned.pitch = clamp(this.turned.pitch + down, -STEEPEST, STEEPEST);
      this.draw();
    }

    listen() {
      const { picture, canvas, frame } = this;
      const [height, width] = frame.size;
      const markAt = (event) => {
        const box = picture.getBoundingClientRect();
        const [across, down] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
        this.mark(across * width - 0.5, down * height - 0.5);
      };
      const whileHeld = (element, act) => {
        let last = null;
        element.addEventListener("pointerdown", (event) => {
          element.setPointerCapture(event.pointerId);
          act((last = event), 0, 0);
        });
        element.addEventListener("pointermove", (event) => {
          if (!last || !event.buttons) return;
          act(event, event.clientX - last.clientX, event.clientY - last.clientY);
          last = event;
        });
        for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => (last = null));
      };
      const onArrows = (element, act) =>
        element.addEventListener("keydown", (event) => {
          const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
          if (!step) return;
          event.preventDefault();
          act(...step.map((each) => each * (event.shiftKey ? 10 : 1)));
        });
      whileHeld(picture, markAt);
      onArrows(picture, (across, down) => this.mark(this.marked[0] + across, this.marked[1] + down));
      whileHeld(canvas, (_, across, down) => this.turn(across * TURN, down * TURN));
      onArrows(canvas, (across, down) => this.turn(across * 0.05, down * 0.05));
    }
  }

  const section = document.getElementById("matching");
  const stops = JSON.parse(section.dataset.scale);
  const viewers = [...section.querySelectorAll(".match")].map((figure) => new Viewer(figure, palette(stops)));
  for (const bar of section.querySelectorAll(".bar"))
    bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  for (const choice of section.querySelectorAll("[name=match-colours]"))
    choice.addEventListener("change", () => {
      section.dataset.shown = choice.value;
      for (const viewer of viewers) {
        viewer.shown = choice.value;
        viewer.draw();
      }
    });
}
