"use strict";
(() => {
  const planes = JSON.parse(document.getElementById("data").textContent).planes;
  const slices = planes.map((plane) => plane.middle);
  const canvases = [...document.querySelectorAll("canvas[data-plane]")];
  const divider = document.getElementById("divider");
  const TILES = 8; // of the checkerboard along the longer side
  const LONGEST = 720; // pixels of a canvas
  const decoded = new Map();
  // Until the line is moved, edges are shown after registration alone and everything else half and half.
  let moved = false;
  const lineOf = (view) => (moved || view !== "edges" ? Number(divider.value) : 0);

  // A sprite is decoded when a picture first wants it; until then the picture stays black.
  function sprite(plane, layer) {
    const key = plane + layer;
    if (!decoded.has(key)) {
      const image = new Image();
      decoded.set(key, { image, ready: false });
      image.src = planes[plane].sprites[layer];
      image.decode().then(() => {
        decoded.get(key).ready = true;
        drawAll(plane);
      });
    }
    const found = decoded.get(key);
    return found.ready ? found.image : null;
  }

  function tile(context, plane, layer, opacity = 1) {
    const image = sprite(plane, layer);
    if (!image) {
      context.canvas.setAttribute("aria-busy", "true");
      return;
    }
    const { width, height, columns } = planes[plane];
    const left = (slices[plane] % columns) * width;
    const top = Math.floor(slices[plane] / columns) * height;
    context.globalAlpha = opacity;
    context.drawImage(image, left, top, width, height, 0, 0, context.canvas.width, context.canvas.height);
    context.globalAlpha = 1;
  }

  function within(context, path, draw) {
    context.save();
    context.clip(path);
    draw();
    context.restore();
  }

  // Left of the line before, right of it after registration.
  function divided(context, draw) {
    const { width, height } = context.canvas;
    const line = (width * lineOf(context.canvas.dataset.view)) / 100;
    const left = new Path2D();
    left.rect(0, 0, line, height);
    const right = new Path2D();
    right.rect(line, 0, width - line, height);
    within(context, left, () => draw("before"));
    within(context, right, () => draw("after"));
    context.fillStyle = "#000a";
    context.fillRect(line - 2.5, 0, 5, height);
    context.fillStyle = "#fff";
    context.fillRect(line - 1, 0, 2, height);
    grip(context, line, width, height);
    words(context, line, width, height);
  }

  // What shows that the line can be dragged, also where it lies at the border.
  function grip(context, line, width, height) {
    const size = Math.max(width, height) / 55;
    const x = Math.min(width - 1.6 * size, Math.max(1.6 * size, line));
    const y = height * 0.94;
    context.beginPath();
    context.arc(x, y, 1.5 * size, 0, 2 * Math.PI);
    context.fillStyle = "#000a";
    context.fill();
    context.fillStyle = "#fff";
    for (const side of [-1, 1]) {
      context.beginPath();
      context.moveTo(x + side * 1.2 * size, y);
      context.lineTo(x + side * 0.4 * size, y - 0.6 * size);
      context.lineTo(x + side * 0.4 * size, y + 0.6 * size);
      context.fill();
    }
  }

  function pen(context, size) {
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.lineWidth = size / 4;
    context.strokeStyle = "#000c";
    context.fillStyle = "#fff";
  }

  // The subject's sides, where they are known.
  function mark(context, plane) {
    const { width, height } = context.canvas;
    const size = Math.round(Math.max(width, height) / 22);
    pen(context, size);
    planes[plane].sides.forEach((text, k) => {
      context.textAlign = k ? "right" : "left";
      const x = k ? width - size / 3 : size / 3;
      context.strokeText(text, x, height / 2);
      context.fillText(text, x, height / 2);
    });
  }

  function words(context, line, width, height) {
    const size = Math.round(Math.max(width, height) / 30);
    pen(context, size);
    for (const [text, room, x] of [["before", line, size / 2], ["after", width - line, width - size / 2]]) {
      if (room < 4 * size) continue;
      context.textAlign = x > line ? "right" : "left";
      context.strokeText(text, x, height - size * 0.6);
      context.fillText(text, x, height - size * 0.6);
    }
  }

  function chequered(context) {
    const { width, height } = context.canvas;
    const side = Math.max(width, height) / TILES;
    const path = new Path2D();
    for (let row = 0; row * side < height; row++)
      for (let column = (row + 1) % 2; column * side < width; column += 2)
        path.rect(column * side, row * side, side, side);
    return path;
  }

  const views = {
    fixed: (context, plane) => tile(context, plane, "fixed"),
    moving: (context, plane) => divided(context, (when) => tile(context, plane, when)),
    checkerboard: (context, plane) => {
      const board = chequered(context);
      divided(context, (when) => {
        tile(context, plane, "fixed");
        within(context, board, () => tile(context, plane, when));
      });
    },
    edges: (context, plane) =>
      divided(context, (when) => {
        tile(context, plane, when);
        tile(context, plane, "edges");
      }),
    grid: (context, plane) => {
      tile(context, plane, "after", 0.65);
      tile(context, plane, "grid");
    },
    field: (context, plane) => {
      tile(context, plane, "field");
      tile(context, plane, "edges", 0.3);
    },
    determinant: (context, plane) => {
      tile(context, plane, "determinant");
      tile(context, plane, "edges", 0.3);
    },
  };

  function draw(canvas) {
    const plane = Number(canvas.dataset.plane);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    canvas.removeAttribute("aria-busy");
    views[canvas.dataset.view](context, plane);
    mark(context, plane);
    const where = planes.length > 1 ? `${planes[plane].name}, ${position(plane)}. ` : "";
    canvas.setAttribute("aria-label", `${canvas.dataset.title}. ${where}${canvas.dataset.caption}`);
  }

  function drawAll(plane = null) {
    for (const canvas of canvases) if (plane === null || Number(canvas.dataset.plane) === plane) draw(canvas);
  }

  function position(plane) {
    const { indices, depth } = planes[plane];
    return `voxel ${indices[slices[plane]]} (0 to ${depth - 1})`;
  }

  function say(input, text) {
    input.setAttribute("aria-valuetext", text);
    for (const output of input.parentElement.getElementsByTagName("output")) output.value = text;
  }

  function scroll(plane, value) {
    slices[plane] = value;
    for (const input of document.querySelectorAll(`input.slice[data-plane="${plane}"]`)) {
      input.value = value;
      say(input, position(plane));
    }
    drawAll(plane);
  }

  function divide() {
    say(divider, `before on ${divider.value} % of the width`);
    for (const canvas of canvases) if (canvas.dataset.group === "images") draw(canvas);
  }

  function show(radio) {
    const { group, title, caption } = radio.dataset;
    if (group === "images" && !moved) {
      divider.value = radio.value === "edges" ? 0 : 50;
      say(divider, `before on ${divider.value} % of the width`);
    }
    document.getElementById(`${group}-caption`).textContent = caption;
    for (const canvas of canvases) {
      if (canvas.dataset.group !== group) continue;
      Object.assign(canvas.dataset, { view: radio.value, title, caption });
      draw(canvas);
    }
  }

  function drag(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    divider.value = Math.round(100 * Math.min(1, Math.max(0, share)));
    moved = true;
    divide();
  }

  for (const canvas of canvases) {
    const { width, height } = planes[canvas.dataset.plane];
    const scale = Math.max(1, LONGEST / Math.max(width, height));
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    if (canvas.dataset.group !== "images") continue;
    canvas.addEventListener("pointerdown", drag);
    canvas.addEventListener("pointermove", drag);
  }
  for (const input of document.querySelectorAll("input.slice"))
    input.addEventListener("input", () => scroll(Number(input.dataset.plane), Number(input.value)));
  for (const radio of document.querySelectorAll("input[type=radio]"))
    radio.addEventListener("change", () => show(radio));
  divider.addEventListener("input", () => {
    moved = true;
    divide();
  });
  document.getElementById("theme").addEventListener("change", (event) => {
    if (event.target.value) document.documentElement.dataset.theme = event.target.value;
    else delete document.documentElement.dataset.theme;
  });
  planes.forEach((plane, index) => scroll(index, plane.middle));
  // Browsers restore controls when a page is loaded again.
  for (const radio of document.querySelectorAll("input[type=radio]:checked")) show(radio);
  divide();
})();
