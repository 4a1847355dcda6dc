// One call of a published `@anthropic-ai/sdk`; what came of it goes to stdout as one line of JSON.
//
//   BASE_URL=http://127.0.0.1:PORT node messages.mjs PACKAGE KEY
const [name, key] = process.argv.slice(2);
const { default: Anthropic } = await import(name);
const client = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: key, maxRetries: 0 });
const seen = {};
try {
  const messages = [{ role: "user", content: "hello" }];
  const answer = await client.messages.create({ model: "m", max_tokens: 8, messages });
  seen.text = answer.content[0].text;
} catch (error) {
  seen.error = { kind: error.constructor.name, status: error.status ?? null,
                 message: error.message };
}
console.log(JSON.stringify(seen));
