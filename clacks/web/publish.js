// A form for an event, made from its schema. What the schema says that a form cannot is checked by the gateway.

import { ask, send, session } from "/web/bus.js";
import { $, element, note } from "/web/dom.js";

let schema = null;

export async function begin() {
  const form = $("#publish-form"), before = form.kind.value;
  form.kind.replaceChildren(...session.publish.map((kind) => element("option", { value: kind }, kind)));
  if (before) form.kind.value = before;
  form.stored.disabled = !session.recording;
  if (!session.publish.length) { note($("#publish-note"), "You may not publish anything.", false); return; }
  await choose();
}

async function choose() {
  const kind = $("#publish-form").kind.value;
  try {
    schema = await ask(`/schemas/${encodeURIComponent(kind)}.json`);
  } catch (error) {
    note($("#publish-note"), error.message, false);
    return;
  }
  $("#kind-about").textContent = schema.description ?? "";
  $("#fields").replaceChildren(...members(schema, []));
  note($("#publish-note"), "");
}

function members(of, path) {
  return Object.entries(of.properties ?? {}).map(([name, inner]) => field(name, inner, [...path, name], (of.required ?? []).includes(name)));
}

function field(name, of, path, required) {
  const variants = of.anyOf ?? of.oneOf;
  if (variants && !of.type) of = { ...variants.find((one) => one.type !== "null") ?? variants[0], description: of.description };
  if (of.type === "object" && of.properties) {
    return element("fieldset", {}, element("legend", { class: required ? "required" : "" }, name), ...members(of, path));
  }
  const place = JSON.stringify(path), many = of.type === "array" || !of.type;
  const values = of.enum;
  const box = values
    ? element("select", { name: place }, ...(required ? [] : [element("option", { value: "" }, "")]), ...values.map((value) => element("option", { value }, value)))
    : of.type === "boolean"
      ? element("select", { name: place }, ...["", "true", "false"].map((value) => element("option", { value }, value)))
      : many ? element("textarea", { name: place, rows: 2, placeholder: "JSON" })
        : element("input", { name: place, inputmode: /integer|number/.test(of.type) ? "decimal" : null });
  box.dataset.type = many ? "json" : String(of.type);
  return element("label", {}, element("span", { class: required ? "required" : "" }, name), box,
    of.description ? element("span", { class: "about" }, ` ${of.description}`) : null);
}

function read() {
  const value = {};
  for (const box of $("#fields").querySelectorAll("[name]")) {
    const path = JSON.parse(box.name), text = box.value, type = box.dataset.type;
    const required = box.parentElement.querySelector(".required") !== null;
    if (text === "" && !(required && type === "string")) continue;
    let made = text;
    if (type === "json") { try { made = JSON.parse(text); } catch { throw new Error(`${path.join(" / ")}: not JSON`); } }
    else if (type === "boolean") made = text === "true";
    else if (/integer|number/.test(type) && text.trim() !== "" && Number.isFinite(Number(text))) made = Number(text);
    let place = value;
    for (const step of path.slice(0, -1)) place = place[step] ??= {};
    place[path.at(-1)] = made;
  }
  return value;
}

export function prepare() {
  const form = $("#publish-form");
  form.kind.addEventListener("change", choose);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const answer = await send(`/events${form.stored.checked ? "?stored=true" : ""}`, { type: form.kind.value, data: read() });
      note($("#publish-note"), answer.id ? `published, log id ${answer.id}` : "published");
    } catch (error) {
      note($("#publish-note"), error.message, false);
    }
  });
}
