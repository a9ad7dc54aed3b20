// Runs the real eventhub-jsclient against a gateway and prints what it saw, as one line of JSON.
const path = require("path");
const tools = process.argv[2];
const url = process.argv[3];
const token = process.argv[4];
const found = require(path.join(tools, "node_modules", "eventhub-jsclient"));
const Eventhub = found.default || found.Eventhub || found;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(condition) {
  for (let n = 0; n < 1000; n++) {
    if (condition()) return;
    await wait(10);
  }
  throw new Error("too slow");
}

async function main() {
  const saw = {};
  const client = new Eventhub(url, token);
  let reconnects = 0;
  client.on("reconnect", () => reconnects++);
  await client.connect();
  const live = [];
  const wide = [];
  saw.subscribed = await client.subscribe("my/topic", (message) => live.push(message));
  await client.subscribe("my/#", (message) => wide.push(message));
  saw.list = (await client.listSubscriptions()).sort();
  const ids = [];
  for (const text of ["one", "two", JSON.stringify({ three: 3 })]) {
    ids.push((await client.publish("my/topic", text)).id);
  }
  await until(() => live.length === 3 && wide.length === 3);
  saw.live = live.map((message) => message.message);
  saw.sameIds = live.every((message, n) => message.id === ids[n]) && wide.every((message, n) => message.id === ids[n]);
  saw.log = (await client.getEventlog("my/topic", { since: -60000 })).items.map((item) => item.message);
  saw.after = (await client.getEventlog("my/topic", { sinceEventId: ids[0] })).items.map((item) => item.message);
  const replay = [];
  const second = new Eventhub(url, token);
  await second.connect();
  await second.subscribe("my/topic", (message) => replay.push(message.message), { sinceEventId: ids[1] });
  await until(() => replay.length === 1);
  saw.replay = replay;
  saw.set = await client.set("my/key", "value", 100);
  saw.get = (await client.get("my/key")).value;
  saw.del = (await client.del("my/key")).success;
  try {
    await client.get("my/key");
  } catch (error) {
    saw.missing = error.data;
  }
  try {
    await client.publish("my/+", "no");
  } catch (error) {
    saw.refused = error.message;
  }
  client.unsubscribe("my/topic");
  await until(() => !client.isSubscribed("my/topic"));
  await second.publish("my/topic", "four");
  await until(() => wide.length === 4);
  saw.afterUnsubscribe = live.length;
  // A broken connection: the client comes back by itself and asks for what it missed.
  client._socket.terminate();
  await until(() => reconnects === 1);
  await second.publish("my/topic", "five");
  await until(() => wide.length >= 5);
  saw.wide = wide.map((message) => message.message);
  client.disconnect();
  second.disconnect();
  console.log(JSON.stringify(saw));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
