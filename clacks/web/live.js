// The live table: a filter that is checked as one types, a stream, rows that come on top.

import { send, session, Stream } from "/web/bus.js";
import { Rates } from "/web/charts.js";
import { $, element, eventRow, note } from "/web/dom.js";

const MOST_ROWS = 500;
let stream = null, rates = null, paused = false, waiting = [], seen = 0, checking = 0, scheduled = false;

export function begin(state) {
  rates ??= new Rates($("#rates"));
  $("#types .choices").replaceChildren(...session.read.map((kind) =>
    element("label", { class: "inline" }, element("input", { type: "checkbox", value: kind }), kind)));
  named();
  $("#query").disabled = !session.query;
  if (!session.query) note($("#query-note"), "You may choose types; queries need the right web.xquery.", false);
  subscribe(state);
}

export function end() { stream?.close(); stream = null; }

const chosen = () => [...document.querySelectorAll("#types input:checked")].map((box) => box.value);

function named() {
  const types = chosen();
  $("#types summary").textContent = types.length > 2 ? `${types.length} types` : types.join(", ") || "All types";
}

function subscribe(state) {
  stream?.close();
  const parameters = [["format", "both"]];
  const query = $("#query").value.trim();
  if (query && session.query) parameters.push(["xquery", query]);
  const types = chosen();
  if (types.length) parameters.push(["type", types.join(",")]);
  stream = new Stream(parameters, {
    state,
    event: (event) => { seen += 1; rates.count(event.type); waiting.push(event); if (waiting.length > MOST_ROWS) waiting.shift(); show(); },
    failed: (error) => wrong(error.message, error.body),
  });
}

function show() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    $("#count").textContent = `${seen} events${paused ? `, ${waiting.length} waiting` : ""}`;
    if (paused || !waiting.length) return;
    const body = $("#events tbody");
    body.prepend(...waiting.reverse().map(eventRow));
    waiting = [];
    while (body.rows.length > MOST_ROWS) body.deleteRow(-1);
  });
}

// Shows an error with its line and a caret under its column, as the command line does.
function wrong(message, place = {}) {
  $("#query").classList.add("wrong");
  const line = place.line ? $("#query").value.split("\n")[place.line - 1] : null;
  note($("#query-note"), line === null || line === undefined ? message
    : `${message}\n${line}\n${" ".repeat(Math.max(0, (place.column ?? 1) - 1))}^`, false);
}

async function check() {
  const query = $("#query").value.trim(), mine = ++checking;
  $("#query").classList.remove("wrong");
  if (!query) { note($("#query-note"), ""); return; }
  try {
    const found = await send("/xquery", { xquery: query });
    if (mine !== checking) return;  // typed on meanwhile
    if (!found.ok) wrong(found.message, found);
    else note($("#query-note"), `can match: ${found.kinds ? found.kinds.join(", ") || "nothing" : "any type"}`);
  } catch (error) {
    if (mine === checking) note($("#query-note"), error.message, false);
  }
}

export function prepare(state) {
  let timer = null;
  $("#query").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(check, 250); });
  $("#query").addEventListener("keydown", (pressed) => {
    if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) $("#live-filter").requestSubmit();
  });
  $("#live-filter").addEventListener("submit", (event) => { event.preventDefault(); check(); subscribe(state); });
  $("#types").addEventListener("change", () => { named(); subscribe(state); });
  $("#types").addEventListener("keydown", (pressed) => {
    if (pressed.key === "Escape") { $("#types").open = false; $("#types summary").focus(); }
  });
  document.addEventListener("click", (event) => { if (!$("#types").contains(event.target)) $("#types").open = false; });
  $("#pause").addEventListener("click", () => {
    paused = !paused;
    $("#pause").setAttribute("aria-pressed", paused);
    $("#pause").textContent = paused ? "Go on" : "Pause";
    show();
  });
  $("#clear").addEventListener("click", () => { $("#events tbody").replaceChildren(); waiting = []; seen = 0; show(); });
}
