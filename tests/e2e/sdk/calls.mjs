// One call with the published `openai` SDK; what came of it goes to stdout as one line of JSON.
//
//   BASE_URL=http://127.0.0.1:PORT/v1 node calls.mjs CALL [ARGUMENTS as JSON]
//
// Retries are off, so that a connection error shows. A call that throws is reported as
// {"error": {...}} beside what it had seen until then. A line "ready" says that an answer has
// begun, for callers that act in the middle of it.
import OpenAI, { toFile } from "openai";

const [name, text] = process.argv.slice(2);
const { key, ...given } = JSON.parse(text ?? "{}");
const messages = [{ role: "user", content: "hello world" }];
const client = new OpenAI({
  baseURL: process.env.BASE_URL, apiKey: key ?? "none", maxRetries: 0, timeout: 60_000,
});
const seen = {};

// Reads a stream of chat pieces into `seen`; stops after `limit` of them.
async function collect(stream, limit = Infinity) {
  Object.assign(seen, { text: "", events: 0, finish: null, usage: null, usages: 0 });
  for await (const piece of stream) {
    seen.events += 1;
    seen.text += piece.choices[0]?.delta?.content ?? piece.choices[0]?.text ?? "";
    seen.finish = piece.choices[0]?.finish_reason ?? seen.finish;
    if (piece.usage) {
      seen.usage = piece.usage;
      seen.usages += 1;
    }
    if (seen.events === 1) console.log("ready");
    if (seen.events >= limit) break;
  }
}

const calls = {
  async models() {
    seen.ids = (await client.models.list()).data.map((model) => model.id).sort();
    seen.one = (await client.models.retrieve(seen.ids[0])).id;
  },
  async chat() {
    const answer = await client.chat.completions.create({ messages, ...given });
    Object.assign(seen, { message: answer.choices[0].message, usage: answer.usage });
  },
  async stream() {
    await collect(await client.chat.completions.create({ messages, stream: true, ...given }));
  },
  async completions() {
    await collect(await client.completions.create({ prompt: "hello", stream: true, ...given }));
  },
  async embeddings() {
    const answer = await client.embeddings.create({ input: ["hello", "world"], ...given });
    Object.assign(seen, {
      sizes: answer.data.map((entry) => entry.embedding.length),
      first: answer.data[0].embedding.slice(0, 4), usage: answer.usage,
    });
  },
  async transcription() {
    const file = await toFile(Buffer.alloc(70_000, "sound"), "a.wav");
    seen.text = (await client.audio.transcriptions.create({ file, ...given })).text;
  },
  // Leaves the loop in the middle: the SDK closes the connection.
  async leave() {
    const { after, ...rest } = given;
    await collect(await client.chat.completions.create({ messages, stream: true, ...rest }), after);
  },
  // Aborts while nothing has come yet.
  async abort() {
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const answer = client.chat.completions.create({ messages, ...given }, options);
    console.log("ready");
    process.stdin.once("data", () => controller.abort());
    await answer;
  },
  async many() {
    const { count, ...rest } = given;
    let begun = 0;
    seen.finishes = [];
    const all = Array.from({ length: count }, async () => {
      let text = "";
      const create = { messages, stream: true, ...rest };
      for await (const piece of await client.chat.completions.create(create)) {
        if (text === "" && piece.choices[0]?.delta?.content && ++begun === count) {
          console.log("ready");
        }
        text += piece.choices[0]?.delta?.content ?? "";
        if (piece.choices[0]?.finish_reason) seen.finishes.push(piece.choices[0].finish_reason);
      }
      return text;
    });
    seen.texts = await Promise.all(all);
  },
  async inTurn() {
    seen.texts = [];
    for (let i = 0; i < given.count; ++i) {
      const create = { messages, model: given.model, max_tokens: 4 };
      seen.texts.push((await client.chat.completions.create(create)).choices[0].message.content);
    }
  },
};

try {
  await calls[name]();
} catch (error) {
  seen.error = {
    kind: error.constructor.name, status: error.status ?? null, code: error.code ?? null,
    type: error.type ?? null, message: error.message, request_id: error.requestID ?? null,
    models: error.error?.models ?? null,
  };
}
console.log(JSON.stringify(seen));
process.exit(0);
