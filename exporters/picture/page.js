
"use strict";
// The view box of the picture is what is moved, so that lines and texts stay sharp.
const svg = document.querySelector("main svg");
const whole = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
const boxes = [...svg.querySelectorAll(".node")];
const known = new Map(boxes.map((box) => [box.querySelector("title").textContent, box]));
let view = [...whole];
svg.removeAttribute("width");
svg.removeAttribute("height");
// The keys reach the boxes; the picture as a whole has nothing to be pressed.
svg.setAttribute("tabindex", "-1");
for (const box of svg.querySelectorAll("a")) {
  // Browsers show the text of `title` to a pointer that rests; Graphviz puts names there that nobody knows.
  const tip = box.getAttributeNS("http://www.w3.org/1999/xlink", "title");
  const title = box.closest("g.node, g.edge, g.graph")?.querySelector(":scope > title");
  if (title && tip !== null) title.textContent = tip;
  box.removeAttributeNS("http://www.w3.org/1999/xlink", "title");
}

const show = () => svg.setAttribute("viewBox", view.join(" "));
const scale = () => Math.max(view[2] / svg.clientWidth, view[3] / svg.clientHeight);
const place = (x, y) => new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse());
const zoom = (factor, x, y) => {
  const width = Math.min(Math.max(view[2] * factor, 40), whole[2] * 8);
  factor = width / view[2];
  view = [x - (x - view[0]) * factor, y - (y - view[1]) * factor, width, view[3] * factor];
  show();
};
const zoomMiddle = (factor) => zoom(factor, view[0] + view[2] / 2, view[1] + view[3] / 2);
const move = (right, down) => { view[0] += right * scale(); view[1] += down * scale(); show(); };
const all = () => {
  view = [...whole];
  show();
  // A small picture does not fill the page with letters that shout.
  if (scale() < 0.6) zoomMiddle(0.6 / scale());
};
const middle = (box) => {
  const at = box.getBoundingClientRect();
  const { x, y } = place(at.left + at.width / 2, at.top + at.height / 2);
  view[0] = x - view[2] / 2;
  view[1] = y - view[3] / 2;
  show();
};

all();
// Where the whole would be too small to read, the picture begins at its subject, at the size of the page's own letters.
if (scale() > 1.8) {
  const size = 0.8 / scale();
  view[2] *= size;
  view[3] *= size;
  show();
  middle(known.get(document.querySelector("main").dataset.subject) ?? boxes[0]);
}

let held = null;
let dragged = false;
svg.addEventListener("pointerdown", (event) => {
  if (event.button === 0) { held = event.pointerId; dragged = false; }
});
svg.addEventListener("pointermove", (event) => {
  if (held !== event.pointerId) return;
  if (!dragged) {
    if (Math.abs(event.movementX) + Math.abs(event.movementY) === 0) return;
    dragged = true;
    svg.setPointerCapture(held);
    svg.classList.add("held");
  }
  move(-event.movementX, -event.movementY);
});
const release = () => { held = null; svg.classList.remove("held"); };
svg.addEventListener("pointerup", release);
svg.addEventListener("pointercancel", release);
// A picture that was moved by one of its boxes does not open it; nor does the browser drag the link away. The Enter key is no
// click of a pointer.
svg.addEventListener("click", (event) => { if (dragged && event.detail > 0) event.preventDefault(); dragged = false; }, true);
svg.addEventListener("dragstart", (event) => event.preventDefault());
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { x, y } = place(event.clientX, event.clientY);
  zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), x, y);
}, { passive: false });
svg.addEventListener("dblclick", all);
svg.addEventListener("focusin", (event) => {
  const box = event.target.closest(".node");
  if (box === null || !event.target.matches(":focus-visible")) return;
  const at = box.getBoundingClientRect();
  const frame = svg.getBoundingClientRect();
  if (at.left < frame.left || at.right > frame.right || at.top < frame.top || at.bottom > frame.bottom) middle(box);
});

const choose = () => {
  for (const box of boxes) box.classList.remove("chosen");
  known.get(decodeURIComponent(location.hash.slice(1)))?.classList.add("chosen");
};
addEventListener("hashchange", choose);
choose();

const find = document.getElementById("find");
const found = document.getElementById("found");
let matches = [];
let next = 0;
find.addEventListener("input", () => {
  const sought = find.value.trim().toLowerCase();
  matches = sought === "" ? [] : boxes.filter((box) => box.textContent.toLowerCase().includes(sought));
  next = 0;
  for (const box of boxes) box.classList.toggle("found", matches.includes(box));
  found.textContent = sought === "" ? "" : `${matches.length} found`;
});
find.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && matches.length > 0) {
    middle(matches[next % matches.length]);
    next += 1;
  }
});

document.getElementById("in").addEventListener("click", () => zoomMiddle(1 / 1.4));
document.getElementById("out").addEventListener("click", () => zoomMiddle(1.4));
document.getElementById("all").addEventListener("click", all);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") { find.blur(); location.hash = ""; return; }
  if (event.target === find || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = {
    "+": () => zoomMiddle(1 / 1.4), "=": () => zoomMiddle(1 / 1.4), "-": () => zoomMiddle(1.4), "0": all, "/": () => find.focus(),
    ArrowLeft: () => move(-60, 0), ArrowRight: () => move(60, 0), ArrowUp: () => move(0, -60), ArrowDown: () => move(0, 60),
  };
  if (event.key in keys) { keys[event.key](); event.preventDefault(); }
});
