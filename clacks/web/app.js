// The page: who is there, which view is shown, keys.

import { logIn, logOut, onLost, session, who } from "/web/bus.js";
import { $, element } from "/web/dom.js";
import * as live from "/web/live.js";
import * as log from "/web/log.js";
import * as publish from "/web/publish.js";
import * as tables from "/web/tables.js";

const VIEWS = {
  live: { title: "Live", begin: () => {} },
  nodes: { title: "Nodes and clients", begin: tables.nodes, again: 5000 },
  filters: { title: "Filters", begin: tables.filters, again: 5000 },
  log: { title: "Event log", begin: log.begin },
  publish: { title: "Publish", begin: publish.begin },
};
let timer = null;

function state(on, text) {
  $("#dot").classList.toggle("on", on);
  if ($("#state-text").textContent !== text) $("#state-text").textContent = text;
}

function show(name) {
  if (!VIEWS[name]) name = "live";
  clearInterval(timer);
  for (const other of Object.keys(VIEWS)) {
    $(`#view-${other}`).hidden = other !== name;
    $(`#tab-${other}`).setAttribute("aria-selected", other === name);
    $(`#tab-${other}`).tabIndex = other === name ? 0 : -1;
  }
  if (location.hash.slice(1) !== name) history.replaceState(null, "", `#${name}`);
  const { begin, again } = VIEWS[name];
  begin();
  if (again) timer = setInterval(begin, again);
}

function tabs() {
  $("#tabs").replaceChildren(...Object.entries(VIEWS).map(([name, { title }]) =>
    element("button", { id: `tab-${name}`, role: "tab", "aria-controls": `view-${name}`, onclick: () => show(name) }, title)));
  $("#tabs").onkeydown = (pressed) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[pressed.key];
    if (!step) return;
    const all = [...$("#tabs").children], next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    next.focus();
    next.click();
  };
}

function welcome() {
  $("#login").hidden = true;
  $("#logout").hidden = session.guest;
  $("#gateway").textContent = `${session.gateway} · ${session.guest ? "guest" : session.user}`;
  tabs();
  live.begin(state);
  show(location.hash.slice(1));
}

function farewell(text = "") {
  live.end();
  clearInterval(timer);
  $("#tabs").replaceChildren();
  for (const name of Object.keys(VIEWS)) $(`#view-${name}`).hidden = true;
  for (const body of document.querySelectorAll("tbody")) body.replaceChildren();
  $("#logout").hidden = true;
  $("#login").hidden = false;
  const alert = $("#login .error");
  alert.hidden = !text;
  alert.textContent = text;
  state(false, "not logged in");
  $("#login").user.focus();
}

$("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    await logIn(form.user.value, form.password.value);
    form.password.value = "";
    welcome();
  } catch (error) {
    farewell(error.message);
    form.password.select();
  }
});
$("#logout").addEventListener("click", async () => { await logOut(); farewell(); });
onLost(() => farewell("The login has ended."));
document.addEventListener("keydown", (pressed) => {
  if (pressed.target.matches("input, textarea, select") || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
  if ($("#view-live").hidden) return;
  if (pressed.key === "/") { pressed.preventDefault(); $("#query").focus(); }
  if (pressed.key === "p") $("#pause").click();
});
addEventListener("hashchange", () => session.user && show(location.hash.slice(1)));

live.prepare(state);
log.prepare();
publish.prepare();
who().then(() => session.user ? welcome() : farewell(), (error) => farewell(error.message));
