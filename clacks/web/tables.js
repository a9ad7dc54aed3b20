// Nodes and clients, filters and counters: tables that are asked for again as long as they are shown.

import { ask } from "/web/bus.js";
import { $, element, momentOf, table } from "/web/dom.js";

async function fill(place, make) {
  try { place.replaceChildren(await make()); }
  catch (error) { place.replaceChildren(element("p", { class: "error" }, error.message)); }
}

const rounded = (value, digits) => typeof value === "number" ? Number(value.toFixed(digits)) : null;
const when = (text) => text ? momentOf(text) : null;

export async function nodes() {
  await fill($("#nodes"), async () => {
    const found = Object.entries((await ask("/nodes")).nodes);
    return table(["Node", "Load", "Latency (ms)", "Workers", "Methods", "Since", "Last heard", "Gateway"],
      found.map(([id, n]) => [id, rounded(n.load, 2), typeof n.latency === "number" ? rounded(n.latency * 1000, 1) : null,
        n.workers, n.methods, when(n.since), when(n.heard), n.gateway]), "Nodes");
  });
  await fill($("#clients"), async () => {
    const found = Object.entries((await ask("/clients?limit=500")).clients);
    return table(["Client", "Name", "Login", "Since", "Last heard", "Logged on"],
      found.map(([id, c]) => [id, c.name, c.user, when(c.since), when(c.heard), c.sessions?.join(", ")]), "Clients");
  });
}

const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

function parse(text) {
  return text.split("\n").filter((line) => line && !line.startsWith("#")).map((line) => {
    const found = /^([^{\s]+)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    const labels = Object.fromEntries([...(found?.[2] ?? "").matchAll(LABEL)].map((one) => [one[1], one[2].replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c)]));
    return found && { name: found[1], labels, value: Number(found[3]) };
  }).filter(Boolean);
}

export async function filters() {
  let samples = [];
  await fill($("#filters"), async () => {
    samples = parse(await ask("/metrics"));
    const sum = (name) => samples.filter((one) => one.name.replace(/^clacks_/, "").replace(/_total$/, "") === name).reduce((all, one) => all + one.value, 0);
    const all = sum("filters"), exact = sum("filters_exact"), evaluations = sum("filter_evaluations"), engine = sum("filter_evaluations_by_engine");
    const errors = samples.filter((one) => one.name.includes("filter_errors_by_filter") && !one.name.endsWith("_created"));
    return element("div", {},
      table(["Filters", "Read exactly", "Evaluations", "By the engine", "Errors"], [[all, exact, evaluations, engine, sum("filter_errors")]], "Filters"),
      errors.length ? table(["Filter that failed", "Errors"], errors.map((one) => [one.labels.filter, one.value]), "Filters that failed") : null);
  });
  const shown = samples.filter((one) => !/_bucket$|_created$|^python_|^process_/.test(one.name));
  $("#counters").replaceChildren(table(["Counter", "Labels", "Value"],
    shown.map((one) => [one.name, Object.entries(one.labels).map(([k, v]) => `${k} ${v}`).join(", "), one.value]), "Counters"));
}
