#!/usr/bin/env bash
# ollama (Python) 0.6.3: a NEXT LINE character, U+0085, inside a text ends a line of its stream.
#
# A stream of Ollama's API is JSON objects with a line feed behind each. JSON allows U+0085 in a
# string as it is, and Go's encoding/json, by which an Ollama server writes, leaves it so (of its
# kind it escapes only U+2028 and U+2029). The client takes its lines from httpx, whose iter_lines()
# splits as str.splitlines() does: at U+0085 too. Half an object is then parsed, and the application
# gets a JSONDecodeError in the middle of a good stream. The same answer in one piece arrives whole,
# and so does the stream for the JavaScript client, which splits at line feeds only.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"

python3 -m venv v
v/bin/pip install -q --disable-pip-version-check ollama==0.6.3 httpx==0.28.1
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts ollama@0.6.4

cat >server.py <<'PY'
import http.server
import json
import sys
import threading

WORDS = ("one", "two\u0085three", "")


def line(text, done):
    message = {"role": "assistant", "content": text}
    return json.dumps({"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message,
                       "done": done}, ensure_ascii=False).encode() + b"\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        stream = asked.get("stream")
        body = b"".join(line(word, word == "") for word in WORDS) if stream else \
            line("".join(WORDS), True)
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson" if stream else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def start():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
PY
cat >run.py <<'PY'
import subprocess

import ollama

import server

url = server.start()
client = ollama.Client(host=url)
whole = client.chat(model="m", messages=[])
print("python, whole:", ascii(whole.message.content))
seen = []
try:
    for part in client.chat(model="m", messages=[], stream=True):
        seen.append(part.message.content)
except ValueError as error:
    seen.append(type(error).__name__)
print("python, stream:", ascii(seen))
print(subprocess.run(["node", "run.mjs", url], capture_output=True, text=True, check=True).stdout,
      end="")
PY
cat >run.mjs <<'JS'
import { Ollama } from "ollama";
const client = new Ollama({ host: process.argv[2] });
const seen = [];
for await (const part of await client.chat({ model: "m", messages: [], stream: true })) {
  seen.push(part.message.content);
}
console.log("javascript, stream:", JSON.stringify(seen).replace(/\u0085/g, "\\x85"));
JS

v/bin/python run.py | tee seen
cat >expected <<'TEXT'
python, whole: 'onetwo\x85three'
python, stream: ['one', 'JSONDecodeError']
javascript, stream: ["one","two\x85three",""]
TEXT
diff expected seen && echo "still so"
