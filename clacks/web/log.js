// The event log: a time range, newest at the end as the log has it.

import { ask, session } from "/web/bus.js";
import { $, element, eventRow, note } from "/web/dom.js";

const local = (date) => new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);

export function begin() {
  const form = $("#log-form");
  form.type.replaceChildren(element("option", { value: "" }, "all"), ...session.read.map((kind) => element("option", { value: kind }, kind)));
  if (!form.since.value) form.since.value = local(new Date(Date.now() - 3600000));
  if (!session.recording) note($("#log-note"), "No event log is kept here.", false);
}

export function prepare() {
  const form = $("#log-form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const parameters = new URLSearchParams({ since: new Date(form.since.value).toISOString(), limit: 500 });
    if (form.until.value) parameters.set("until", new Date(form.until.value).toISOString());
    if (form.type.value) parameters.set("type", form.type.value);
    try {
      const found = await ask(`/log?${parameters}`);
      $("#log tbody").replaceChildren(...found.events.map(eventRow));
      note($("#log-note"), `${found.events.length} events${found.complete ? "" : "; there are more: narrow the range"}`);
    } catch (error) {
      note($("#log-note"), error.message, false);
    }
  });
}
