#!/usr/bin/env bash
# openai (JavaScript) 6.49.0: responses.stream() throws at any event before response.created.
#
# Servers that make a client wait send events of their own as signs of life; OpenAI's service has
# one of the type "keepalive". In the middle of a stream the helper passes over it, and plain
# iteration (responses.create with stream: true) takes it at any place. As the first event it ends
# the helper, and what the model says afterwards is lost. A comment in its place does no harm.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"

echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts openai@6.49.0

cat >run.mjs <<'JS'
import http from "node:http";
import OpenAI from "openai";

const item = { id: "msg_1", type: "message", role: "assistant", status: "in_progress",
               content: [] };
const part = { type: "output_text", text: "", annotations: [] };
const response = { id: "resp_1", object: "response", created_at: 1, model: "m",
                   status: "in_progress", output: [] };
const at = { item_id: "msg_1", output_index: 0, content_index: 0 };
const said = { ...item, status: "completed", content: [{ ...part, text: "hello" }] };
const events = [
  { type: "response.created", response },
  { type: "response.output_item.added", output_index: 0, item },
  { type: "response.content_part.added", ...at, part },
  { type: "response.output_text.delta", ...at, delta: "hello" },
  { type: "response.output_text.done", ...at, text: "hello" },
  { type: "response.output_item.done", output_index: 0, item: said },
  { type: "response.completed", response: { ...response, status: "completed", output: [said] } },
];
const write = (event, number) =>
  `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number: number })}\n\n`;
const life = { type: "keepalive" };

let body = "";
const server = http.createServer((asked, answer) => {
  asked.resume().on("end", () => {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    answer.end(body);
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const client = new OpenAI({ apiKey: "none", maxRetries: 0,
                            baseURL: `http://127.0.0.1:${server.address().port}/v1` });
const asked = { model: "m", input: "hi" };

async function helper() {
  return (await client.responses.stream(asked).finalResponse()).output_text;
}
async function plain() {
  let text = "";
  for await (const event of await client.responses.create({ ...asked, stream: true })) {
    text += event.type === "response.output_text.delta" ? event.delta : "";
  }
  return text;
}
async function tell(name, read) {
  const end = await read().catch((error) => `${error.constructor.name}: ${error.message}`);
  console.log(`${name}: ${end.split(",")[0]}`);
}

const all = events.map(write);
body = all.join("");
await tell("helper, nothing between", helper);
body = [...all.slice(0, 3), write(life, 9), ...all.slice(3)].join("");
await tell("helper, keepalive in the middle", helper);
body = [": waiting\n\n", ...all].join("");
await tell("helper, comment first", helper);
body = [write(life, 0), ...all].join("");
await tell("helper, keepalive first", helper);
await tell("plain, keepalive first", plain);
server.close();
process.exit(0);
JS
node run.mjs | tee seen
cat >expected <<'TEXT'
helper, nothing between: hello
helper, keepalive in the middle: hello
helper, comment first: hello
helper, keepalive first: OpenAIError: When snapshot hasn't been set yet
plain, keepalive first: hello
TEXT
diff expected seen && echo "still so"
