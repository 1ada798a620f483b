"use strict";
(() => {
  const canvas = document.getElementById("solid");
  const frame = document.getElementById("solid-frame");
  const button = document.getElementById("solid-show");
  const note = document.getElementById("solid-note");
  const controls = document.getElementById("solid-controls");
  const input = (name) => document.getElementById(`solid-${name}`);

  // A context is asked for no sooner than it is wanted: it may take a second to be had.
  const able = () => "DecompressionStream" in window && document.createElement("canvas").getContext("webgl2");
  button.hidden = false;

  function unpacked(identifier) {
    const text = document.getElementById(identifier).textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  // The policy of the page knows the hash of this text; any other would be refused.
  async function load() {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(await unpacked("niivue"));
    document.head.append(script);
    const { Niivue } = window.niivue;
    const viewer = new Niivue({ logLevel: "silent", dragAndDropEnabled: false, show3Dcrosshair: false, clipPlaneColor: [0, 0, 0, 0], loadingText: "" });
    await viewer.attachToCanvas(canvas);
    await viewer.loadFromArrayBuffer(await unpacked("volume-fixed"), "fixed.nii");
    await viewer.loadFromArrayBuffer(await unpacked("volume-warped"), "warped.nii");
    viewer.setColormap(viewer.volumes[1].id, "warm");
    return viewer;
  }

  function follow(viewer) {
    const say = (name, text) => {
      input(name).setAttribute("aria-valuetext", text);
      input(`${name}-text`).textContent = text;
    };
    const cut = () => {
      const depth = Number(input("cut").value);
      // depth 0 is the middle; beyond 1.8 nothing is cut off
      viewer.setClipPlane([depth === 0 ? 2 : 0.7 - depth / 100, Number(input("turn").value) + 180, 10]);
      say("cut", depth === 0 ? "nothing cut off" : `${depth} % cut off`);
    };
    const turn = () => {
      viewer.setRenderAzimuthElevation(Number(input("turn").value), 15);
      say("turn", `${input("turn").value} degrees`);
    };
    const blend = () => {
      viewer.setOpacity(1, Number(input("blend").value) / 100);
      say("blend", `${input("blend").value} % warped image`);
    };
    const arrange = () =>
      viewer.setSliceType(input("view").value === "planes" ? viewer.sliceTypeMultiplanar : viewer.sliceTypeRender);
    input("view").addEventListener("change", arrange);
    input("blend").addEventListener("input", blend);
    input("cut").addEventListener("input", cut);
    input("turn").addEventListener("input", turn);
    for (const each of [arrange, blend, turn, cut]) each();
  }

  button.addEventListener("click", async () => {
    button.hidden = true;
    if (!able()) {
      note.textContent = "This browser has no WebGL 2, which the picture needs. The slices above show the same images.";
      return;
    }
    note.textContent = "Loading ...";
    frame.hidden = false;
    try {
      follow(await load());
    } catch (error) {
      frame.hidden = true;
      note.textContent = `The picture could not be drawn (${error.message}). The slices above show the same images.`;
      return;
    }
    controls.hidden = false;
    note.textContent = canvas.dataset.caption;
    canvas.dataset.ready = "yes";
    input("view").focus();
  });
})();
