// One streamed call with a published client; how it ended goes to stdout as one line of JSON:
// {"text", "events", "errors": [...], "finish"}, where errors are all that the application is told.
//
//   BASE_URL=http://127.0.0.1:PORT/v1 node ends.mjs CLIENT [ARGUMENTS as JSON]
//
// `retries` in the arguments: as many as the client does by itself where it is not given.
const [name, text] = process.argv.slice(2);
const { retries, ...given } = JSON.parse(text ?? "{}");
const baseURL = process.env.BASE_URL;
const messages = [{ role: "user", content: "hello" }];
const seen = { text: "", events: [], errors: [], finish: null };
const options = retries === undefined ? {} : { maxRetries: retries };

function tell(error) {
  const { name: kind, message, status, code, type, param, error: body } = error;
  // The reason may stand one level down: fetch wraps what broke the connection.
  seen.errors.push({
    kind: kind ?? error.constructor?.name, message: message ?? String(error), status, code, type,
    param, body, id: error.requestID ?? error.request_id,
    cause: error.cause?.code,
  });
}

async function openai() {
  const { default: OpenAI } = await import("openai");
  return new OpenAI({ baseURL, apiKey: "none", timeout: 60_000, ...options });
}

async function iterate(stream, take) {
  for await (const event of stream) {
    seen.events.push(event.type ?? "chunk");
    take(event);
  }
}

function takeResponse(event) {
  if (event.type === "response.output_text.delta") seen.text += event.delta;
  if (event.type === "error") tell(event);
  if (event.type === "response.failed") tell(event.response.error);
}

async function ai(model) {
  const { streamText } = await import("ai");
  const result = streamText({
    model, messages, onError: ({ error }) => tell(error),
    ...(retries === undefined ? {} : { maxRetries: retries }),
  });
  for await (const part of result.fullStream) {
    seen.events.push(part.type);
    if (part.type === "text-delta") seen.text += part.text;
    if (part.type === "finish") seen.finish = part.finishReason;
  }
}

const clients = {
  async "openai-chat"() {
    const client = await openai();
    await iterate(await client.chat.completions.create({ messages, stream: true, ...given }),
      (event) => {
        seen.text += event.choices[0]?.delta?.content ?? "";
        seen.finish = event.choices[0]?.finish_reason ?? seen.finish;
      });
  },
  async "openai-responses"() {
    const client = await openai();
    await iterate(await client.responses.create({ input: "hello", stream: true, ...given }),
      takeResponse);
  },
  // The helper, which wants a response.created first.
  async "openai-responses-stream"() {
    const client = await openai();
    const stream = client.responses.stream({ input: "hello", ...given });
    await iterate(stream, takeResponse);
    seen.finish = (await stream.finalResponse()).status;
  },
  async anthropic() {
    const { default: Anthropic } = await import("@anthropic-ai/sdk");
    const client = new Anthropic({
      baseURL: baseURL.replace(/\/v1$/, ""), apiKey: "none", timeout: 60_000, ...options,
    });
    await iterate(await client.messages.create(
      { messages, max_tokens: 9, stream: true, ...given }), (event) => {
      seen.text += event.delta?.text ?? "";
    });
  },
  async "ai-chat"() {
    const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
    await ai(createOpenAICompatible({ name: "sluice", baseURL })(given.model));
  },
  async "ai-responses"() {
    const { createOpenAI } = await import("@ai-sdk/openai");
    await ai(createOpenAI({ baseURL, apiKey: "none" })(given.model));
  },
  async fetch() {
    const answer = await fetch(`${baseURL}/chat/completions`, {
      method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages, stream: true, ...given }),
    });
    seen.status = answer.status;
    const decoder = new TextDecoder();
    for await (const part of answer.body) seen.text += decoder.decode(part, { stream: true });
  },
};

try {
  await clients[name]();
} catch (error) {
  tell(error);
}
console.log(JSON.stringify(seen));
process.exit(0);
