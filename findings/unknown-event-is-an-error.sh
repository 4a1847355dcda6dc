#!/usr/bin/env bash
# @ai-sdk/anthropic 3.0.140: an event of an unknown type is an error to the application, and the
# stream is finished well all the same.
#
# Anthropic's versioning page tells clients to expect new types of events and to pass over them. The
# official SDK hands them on; the AI SDK's provider checks each event against a closed union. One
# unknown event in the middle of a stream calls onError with a type validation error, while all of
# the text arrives and the finish reason is "stop": an application that gives up in onError loses a
# good answer, one that looks at the finish reason never learns of it. A ping does no harm.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"

echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts \
    ai@6.0.326 @ai-sdk/anthropic@3.0.140 @anthropic-ai/sdk@1.14.0

cat >run.mjs <<'JS'
import http from "node:http";
import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import { streamText } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false;
const delta = (text) => ({ type: "content_block_delta", index: 0,
                           delta: { type: "text_delta", text } });
const stream = (more) => [
  { type: "message_start", message: {
    id: "msg_1", type: "message", role: "assistant", model: "m", content: [], stop_reason: null,
    stop_sequence: null, usage: { input_tokens: 3, output_tokens: 1 } } },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  delta("hello"), ...more, delta(" world"),
  { type: "content_block_stop", index: 0 },
  { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null },
    usage: { output_tokens: 2 } },
  { type: "message_stop" },
];

let events = [];
const server = http.createServer((asked, answer) => {
  asked.resume().on("end", () => {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    for (const each of events) {
      answer.write(`event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`);
    }
    answer.end();
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const url = `http://127.0.0.1:${server.address().port}`;

async function aiSdk() {
  const errors = [];
  const result = streamText({
    model: createAnthropic({ baseURL: `${url}/v1`, apiKey: "none" })("m"), prompt: "hi",
    maxRetries: 0, maxOutputTokens: 9, onError: ({ error }) => errors.push(error.name),
  });
  let text = "";
  for await (const part of result.textStream) text += part;
  return [text, await result.finishReason, ...errors];
}
async function official() {
  const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
  const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
  let text = "";
  for await (const event of await client.messages.create({ ...asked, stream: true })) {
    text += event.delta?.text ?? "";
  }
  return [text];
}

for (const [name, more] of [["a ping", [{ type: "ping" }]],
                            ["an unknown event", [{ type: "progress", percent: 50 }]]]) {
  events = stream(more);
  console.log(`${name}, AI SDK: ${JSON.stringify(await aiSdk())}`);
  console.log(`${name}, official SDK: ${JSON.stringify(await official())}`);
}
process.exit(0);
JS
node run.mjs 2>/dev/null | tee seen
cat >expected <<'TEXT'
a ping, AI SDK: ["hello world","stop"]
a ping, official SDK: ["hello world"]
an unknown event, AI SDK: ["hello world","stop","AI_TypeValidationError"]
an unknown event, official SDK: ["hello world"]
TEXT
diff expected seen && echo "still so"
