// Elements. Text of events only ever becomes text nodes and attributes: nothing is parsed as HTML.

export const $ = (selector, root = document) => root.querySelector(selector);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") made[key] = value;
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function note(place, text, good = true) {
  place.textContent = text;
  place.classList.toggle("error", !good);
  place.classList.toggle("good", good);
}

export function table(headings, rows, label) {
  return element("table", { "aria-label": label },
    element("thead", {}, element("tr", {}, ...headings.map((text, place) =>
      element("th", { scope: "col", class: typeof rows[0]?.[place] === "number" ? "number" : "" }, text)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell, place) =>
      element("td", { class: typeof cell === "number" ? "number" : "", "data-label": headings[place] },
        cell === null || cell === undefined ? "–" : String(cell))))),
    rows.length ? null : element("tr", {}, element("td", { class: "about", colspan: headings.length }, "none"))));
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });
export const timeOf = (text) => clock.format(new Date(text));
export const momentOf = (text) => calendar.format(new Date(text));

export function brief(value, most = 300) {
  const parts = Object.entries(value ?? {}).map(([name, inner]) =>
    `${name} ${inner !== null && typeof inner === "object" ? JSON.stringify(inner) : inner}`);
  const text = parts.join(" · ");
  return text.length > most ? text.slice(0, most) + "…" : text;
}

export function showDetail(event) {
  $("#detail-title").textContent = event.type;
  $("#detail-facts").replaceChildren(...[["Time", momentOf(event.time)], ["Id", event.id]].flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value)]));
  $("#detail-xml").textContent = pretty(event.xml ?? JSON.stringify(event.data, null, 2));
  $("#detail").showModal();
}

// Indents a document for reading; the text itself stays as it came.
export function pretty(xml) {
  let depth = 0;
  return xml.replace(/>\s*</g, ">\n<").split("\n").map((line) => {
    if (line.startsWith("</")) depth = Math.max(0, depth - 1);
    const shown = "  ".repeat(depth) + line;
    if (/^<[^!?/][^>]*[^/]?>$/.test(line) && !/\/>$/.test(line)) depth += 1;
    return shown;
  }).join("\n");
}

export function eventRow(event) {
  const row = element("tr", { class: "event new", tabindex: "0", "aria-label": `${event.type}, open` },
    element("td", { class: "time" }, timeOf(event.time)),
    element("td", {}, event.type),
    element("td", { class: "content" }, brief(event.data)));
  row.addEventListener("click", () => showDetail(event));
  row.addEventListener("keydown", (pressed) => {
    if (pressed.key === "Enter") showDetail(event);
    else if (pressed.key === "ArrowDown") row.nextElementSibling?.focus();
    else if (pressed.key === "ArrowUp") row.previousElementSibling?.focus();
    else return;
    pressed.preventDefault();
  });
  return row;
}
