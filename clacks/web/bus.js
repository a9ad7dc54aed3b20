// What the page says to the gateway: requests with a token, and the stream of events, which comes back by itself.

let token = sessionStorage.getItem("clacks-token");
export let session = { user: "" };
const lost = new Set();
export const onLost = (callback) => lost.add(callback);

function keep(text) {
  token = text;
  if (text) sessionStorage.setItem("clacks-token", text);
  else sessionStorage.removeItem("clacks-token");
}

const headers = (more = {}) => ({ ...(token ? { Authorization: `Bearer ${token}` } : {}), ...more });

export async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: headers(options.headers), cache: "no-store" });
  const body = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : await answer.text();
  if (answer.status === 401 && token) { keep(null); session = { user: "" }; for (const call of lost) call(); }
  if (!answer.ok) throw Object.assign(new Error(body.detail ?? `${answer.status} ${answer.statusText}`), { body, status: answer.status });
  return body;
}

export const send = (path, value, options = {}) =>
  ask(path, { method: "POST", body: JSON.stringify(value), ...options, headers: { "Content-Type": "application/json" } });

export async function call(method, params = []) {
  const answer = await send("/rpc", { jsonrpc: "2.0", id: 1, method, params });
  if (answer.error) throw new Error(answer.error.message);
  return answer.result;
}

export async function who() {
  try {
    session = await ask("/session");
  } catch (error) {
    if (error.status !== 401) throw error;  // a token that ran out is nobody's
    session = await ask("/session");
  }
  return session;
}

export async function logIn(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  const basic = btoa(String.fromCharCode(...bytes));
  const answer = await fetch("/session", { method: "POST", headers: { Authorization: `Basic ${basic}` } });
  if (answer.status === 401) throw new Error("wrong user or password");
  const body = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(body.detail ?? `${answer.status} ${answer.statusText}`);
  keep(body.token);
  session = body;
}

export async function logOut() {
  try { await ask("/session", { method: "DELETE" }); } catch { /* it ends here whatever becomes of it there */ }
  keep(null);
  session = { user: "" };
}

// A stream of server-sent events by fetch: EventSource cannot send a token but in the address, where logs see it.
export class Stream {
  constructor(parameters, { event, state, failed }) {
    Object.assign(this, { parameters, event, state, failed, last: null, over: false, pause: 500 });
    this.state(false, "connecting");
    this.run();
  }

  close() { this.over = true; this.abort?.abort(); }

  async run() {
    while (!this.over) {
      try {
        await this.read();
        this.state(false, "the gateway ended the stream");
      } catch (error) {
        if (this.over) return;
        if (error.refused) { this.state(false, error.message); this.failed(error); return; }
        this.state(false, "no connection");
      }
      if (this.over) return;
      await new Promise((done) => setTimeout(done, this.pause * (0.5 + Math.random())));
      this.pause = Math.min(this.pause * 2, 10000);
    }
  }

  async read() {
    this.abort = new AbortController();
    const parameters = new URLSearchParams(this.parameters);
    const answer = await fetch(`/events?${parameters}`, {
      headers: headers(this.last && session.recording ? { "Last-Event-ID": this.last } : {}),
      signal: this.abort.signal, cache: "no-store",
    });
    if (!answer.ok) {
      const body = await answer.json().catch(() => ({}));
      if (answer.status === 401) { keep(null); for (const call of lost) call(); }
      throw Object.assign(new Error(body.detail ?? answer.statusText), { refused: answer.status < 500, body });
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.over) return;
      this.pause = 500;
      this.state(true, "live");
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) this.take(block);
    }
  }

  take(block) {
    let name = "message", id = null;
    const data = [];
    for (const line of block.split("\n")) {
      if (line.startsWith("data: ")) data.push(line.slice(6));
      else if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("id: ")) id = line.slice(4);
    }
    if (!data.length) return;
    if (id) this.last = id;
    const value = JSON.parse(data.join("\n"));
    if (name === "error") throw Object.assign(new Error(value.detail), { refused: value.status < 500, body: value });
    this.event(value);
  }
}
