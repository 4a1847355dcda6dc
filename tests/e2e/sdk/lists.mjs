// What the published clients make of the lists of models; it goes to stdout as one line of JSON:
// {"ids", "entries", "asked": {NAME: the entry of that name, or its error}}.
//
//   BASE_URL=http://127.0.0.1:PORT node lists.mjs PACKAGE [NAME...]
//
// PACKAGE: openai; @anthropic-ai/sdk, or another name under which one of its versions is installed;
// ollama, whose entries of names are what show() says.
const [name, ...names] = process.argv.slice(2);
const url = process.env.BASE_URL;
const options = { apiKey: process.env.KEY ?? "none", maxRetries: 0, timeout: 60_000 };
const seen = { ids: [], entries: [], asked: {} };

async function ask(retrieve) {
  for (const each of names) {
    try {
      seen.asked[each] = await retrieve(each);
    } catch (error) {
      seen.asked[each] = { status: error.status ?? error.status_code, error: error.message };
    }
  }
}

async function take(list, retrieve) {
  for await (const entry of list) seen.entries.push(entry);
  seen.ids = seen.entries.map((entry) => entry.id);
  await ask(retrieve);
}

if (name === "openai") {
  const { default: OpenAI } = await import(name);
  const client = new OpenAI({ baseURL: `${url}/v1`, ...options });
  await take(await client.models.list(), (each) => client.models.retrieve(each));
} else if (name === "ollama") {
  const { Ollama } = await import(name);
  const client = new Ollama({ host: url });
  seen.entries = (await client.list()).models;
  seen.ids = seen.entries.map((entry) => entry.name);
  seen.running = (await client.ps()).models;
  seen.version = (await client.version()).version;
  await ask((model) => client.show({ model }));
} else {
  const { default: Anthropic } = await import(name);
  const client = new Anthropic({ baseURL: url, ...options });
  await take(await client.models.list({ limit: 1000 }), (each) => client.models.retrieve(each));
}
console.log(JSON.stringify(seen));
