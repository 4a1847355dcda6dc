// Uploads with Node's own fetch, some at once; how they ended goes to stdout as one line of JSON:
// statuses and errors by number.
//
//   node uploads.mjs URL COUNT BYTES AT_ONCE [KEY]
const [url, count, bytes, atOnce, key] = process.argv.slice(2);
const body = "x".repeat(Number(bytes));
const headers = { "content-type": "application/json" };
if (key) headers.authorization = `Bearer ${key}`;
const seen = {};
let left = Number(count);

async function work() {
  while (left-- > 0) {
    let end;
    try {
      const answer = await fetch(url, { method: "POST", headers, body });
      await answer.text();
      end = String(answer.status);
    } catch (error) {
      end = String(error.cause?.code ?? error.cause ?? error);
    }
    seen[end] = (seen[end] ?? 0) + 1;
  }
}

await Promise.all(Array.from({ length: Number(atOnce) }, work));
console.log(JSON.stringify(seen));
