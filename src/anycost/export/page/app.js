// The page of an exported generator. `anycost` comes from runtime.js (ONNX Runtime Web) and generator.js (the generator,
// the styles w of its seeds, its card): scripts that hold compressed bytes as text, because a page that is opened from
// a folder may load scripts, but may not fetch files.
"use strict";

const { card } = anycost;
const $ = (id) => document.getElementById(id);
const [figure, canvas, caption] = [$("figure"), $("image"), $("caption")];

// ---- what the scripts brought

async function unpack(name) {
  const text = atob(anycost.packed[name]);
  delete anycost.packed[name];
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// Runs in a worker, so that the sliders follow the hand whatever a picture takes: a message is W+ and the strength of
// the noise, the answer the picture [3, r, r] and its milliseconds.
function worker() {
  let session = null;
  async function start({ library, wasm, model, first }) {
    self.ort = await import(URL.createObjectURL(new Blob([library], { type: "text/javascript" })));
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = wasm;
    session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
    return render(first); // takes longer than those that follow, and is not shown
  }
  async function render({ styles, shape, noise }) {
    const began = performance.now();
    const { image } = await session.run({
      w: new ort.Tensor("float32", styles, shape),
      noise_strength: new ort.Tensor("float32", [noise], []),
    });
    return { image: image.data, milliseconds: performance.now() - began };
  }
  self.onmessage = async ({ data }) => {
    try {
      self.postMessage(await (session ? render(data) : start(data)));
    } catch (error) {
      self.postMessage({ failure: String(error.message || error) });
    }
  };
}

class Renderer {
  constructor() {
    const source = new Blob([`(${worker})()`], { type: "text/javascript" });
    this.worker = new Worker(URL.createObjectURL(source));
  }

  ask(message, moved = []) {
    return new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => (data.failure ? reject(new Error(data.failure)) : resolve(data));
      this.worker.onerror = (event) => reject(new Error(event.message || "the worker cannot be started"));
      this.worker.postMessage(message, moved);
    });
  }
}

// ---- from the controls to W+

let seeds = null; // Float32Array, [card.seeds, latent_dim]
let center = null; // Float32Array, [latent_dim]

const state = () => ({
  first: Number($("first").value),
  second: Number($("second").value),
  blend: Number($("blend").value) / 100,
  part: $("part").value,
  truncation: Number($("truncation").value),
  noise: Number($("noise").value),
});

function stylesOf({ first, second, blend, part, truncation }) {
  const { latent_dim: size, num_styles: count } = card;
  const a = seeds.subarray(first * size, (first + 1) * size);
  const b = seeds.subarray(second * size, (second + 1) * size);
  const styles = new Float32Array(count * size);
  for (let style = 0; style < count; style++) {
    const chosen = part === "all" || (part === "coarse") === style < card.coarse_styles;
    const amount = chosen ? blend : 0;
    for (let i = 0; i < size; i++) {
      const w = a[i] + amount * (b[i] - a[i]);
      styles[style * size + i] = center[i] + truncation * (w - center[i]);
    }
  }
  return styles;
}

const wish = (now) => ({ styles: stylesOf(now), shape: [1, card.num_styles, card.latent_dim], noise: now.noise });

// ---- pictures: one is on its way at a time, and the newest wish is the next

const renderer = new Renderer();
let wanted = false;
let running = false;
let walking = false;

async function render() {
  wanted = true;
  figure.setAttribute("aria-busy", "true");
  if (running) return;
  running = true;
  try {
    while (wanted) {
      wanted = false;
      const now = state();
      draw(now, await renderer.ask(wish(now)));
      if (walking) takeStep();
    }
    figure.setAttribute("aria-busy", "false");
  } catch (error) {
    fail(error);
  } finally {
    running = false;
  }
}

function draw(now, { image, milliseconds }) {
  const area = canvas.width * canvas.height;
  const pixels = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < area; i++) {
    // A clamped array rounds to the nearest and keeps to 0 .. 255, as anycost does when it saves.
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = (image[c * area + i] + 1) * 127.5;
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const who = `seed ${now.first}` + (now.blend ? `, ${Math.round(100 * now.blend)} % of seed ${now.second}` : "");
  canvas.setAttribute("aria-label", `Generated picture: ${who}`);
  const size = `${card.resolution} × ${card.resolution} px`.replaceAll(" ", "\u00a0"); // is not broken over two lines
  caption.textContent = `S${who.slice(1)} · ${size} · ${milliseconds.toFixed(0)}\u00a0ms`;
}

function fail(error) {
  setWalking(false);
  caption.className = "failed";
  caption.textContent = `This browser cannot run the generator: ${error.message}`;
  figure.setAttribute("aria-busy", "false");
}

// ---- the controls

const randomSeed = () => Math.floor(Math.random() * card.seeds);

function change(values) {
  for (const [id, value] of Object.entries(values)) $(id).value = value;
  show();
  render();
}

function show() {
  $("first-number").value = $("first").value;
  $("second-number").value = $("second").value;
  $("blend-value").textContent = `${$("blend").value} %`;
  $("truncation-value").textContent = Number($("truncation").value).toFixed(2);
  $("noise-value").textContent = Number($("noise").value).toFixed(2);
}

function takeStep() {
  const { second, blend } = state();
  change(blend < 1 ? { blend: Math.round(100 * blend) + 2 } : { first: second, second: randomSeed(), blend: 0 });
}

function setWalking(on) {
  walking = on;
  $("walk").setAttribute("aria-pressed", String(on));
  caption.setAttribute("aria-live", on ? "off" : "polite"); // nobody wants to hear every step
}

function listen() {
  const step = (by) => change({ first: (state().first + by + card.seeds) % card.seeds });
  $("controls").addEventListener("input", ({ target }) => {
    const seed = target.type === "number" && Math.min(Math.max(Math.round(target.value) || 0, 0), card.seeds - 1);
    if (target.type !== "number") change({});
    else if (target.value !== "") change({ [target.id.replace("-number", "")]: seed });
  });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("reset", () => {
    setWalking(false);
    setTimeout(start); // the browser resets the values after this event
  });
  $("previous").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("random").onclick = () => change({ first: randomSeed() });
  $("walk").onclick = () => {
    setWalking(!walking);
    if (walking) change({ part: "all" });
  };
  $("save").onclick = () => {
    const link = document.createElement("a");
    link.download = `seed_${state().first}.png`;
    canvas.toBlob((blob) => {
      link.href = URL.createObjectURL(blob);
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  };
}

const start = () => change({ second: Math.min(1, card.seeds - 1) });

// ---- once

function describe() {
  document.title = `anycost: ${card.name}`;
  $("about").textContent = card.about;
  for (const [term, text] of Object.entries(card.facts)) {
    const entry = document.createElement("div");
    entry.append(Object.assign(document.createElement("dt"), { textContent: term }),
                 Object.assign(document.createElement("dd"), { textContent: text }));
    $("card").append(entry);
  }
  for (const id of ["first", "first-number", "second", "second-number"]) $(id).max = card.seeds - 1;
  $("part-row").hidden = card.coarse_styles >= card.num_styles;
  canvas.width = canvas.height = card.resolution;
  if (card.resolution <= 32) canvas.style.imageRendering = "pixelated"; // smoothed, so few pixels are a blur
}

async function main() {
  describe();
  try {
    const [library, wasm, model, styles] = await Promise.all(["ort.mjs", "ort.wasm", "model.onnx", "styles"].map(unpack));
    center = new Float32Array(styles, 0, card.latent_dim);
    seeds = new Float32Array(styles, 4 * card.latent_dim);
    await renderer.ask({ library, wasm, model, first: wish(state()) }, [wasm, model]);
  } catch (error) {
    fail(error);
    return;
  }
  for (const fieldset of document.querySelectorAll("fieldset")) fieldset.disabled = false;
  listen();
  start();
}

main();
