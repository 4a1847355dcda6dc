// Calls of the published `ollama` client; what came of each goes to stdout as one line of JSON, a
// list with an entry {"value"} or {"error", "status"} for each call.
//
//   BASE_URL=http://127.0.0.1:PORT node ollama.mjs '[["chat", {...}], ["embed", {...}]]'
//
// A stream's value is the list of what came.
import { Ollama } from "ollama";

const headers = process.env.KEY ? { Authorization: `Bearer ${process.env.KEY}` } : {};
const client = new Ollama({ host: process.env.BASE_URL, headers });
const seen = [];
for (const [call, given] of JSON.parse(process.argv[2])) {
  try {
    let value = await client[call](given);
    if (given?.stream) value = await gather(value);
    seen.push({ value });
  } catch (error) {
    seen.push({ error: error.message, status: error.status_code ?? null });
  }
}

async function gather(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}
console.log(JSON.stringify(seen));
