// The models that a published client for Node.js finds; as one line of JSON.
//
//     BASE_URL=http://127.0.0.1:PORT node lists.mjs PACKAGE MODEL
const [name, model] = process.argv.slice(2);
const url = process.env.BASE_URL;
const seen = { ids: [] };

const readers = {
  async openai() {
    const { default: OpenAI } = await import("openai");
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
    for await (const each of client.models.list()) seen.ids.push(each.id);
    seen.one = await client.models.retrieve(model);
  },
  async anthropic(from) {
    const { default: Anthropic } = await import(from);
    const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
    // A page at a time, as the client pages.
    for await (const each of client.models.list({ limit: 1 })) seen.ids.push(each.id);
    seen.whole = (await client.models.list()).data.map((each) => each.display_name);
    seen.one = await client.models.retrieve(model);
    try {
      await client.models.retrieve("nobody");
    } catch (error) {
      seen.refusal = { kind: error.constructor.name, type: error.error?.error?.type };
    }
  },
  async ollama() {
    const { Ollama } = await import("ollama");
    const client = new Ollama({ host: url });
    seen.ids = (await client.list()).models.map((each) => each.name);
    seen.running = (await client.ps()).models.map((each) => each.name);
    seen.one = await client.show({ model });
    seen.version = (await client.version?.())?.version;
    try {
      await client.chat({ model, messages: [{ role: "user", content: "hello" }] });
    } catch (error) {
      seen.refusal = error.message;
    }
  },
};

if (name === "openai") await readers.openai();
else if (name === "ollama") await readers.ollama();
else await readers.anthropic(name);
console.log(JSON.stringify(seen));
