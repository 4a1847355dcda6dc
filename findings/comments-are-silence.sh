#!/usr/bin/env bash
# Codex CLI 0.171.0: comments of an event stream do not count as life, unknown events do.
#
# The standard of server-sent events recommends a comment every 15 seconds or so to keep a quiet
# stream open. Codex reads over comments and lets its idle timer (stream_idle_timeout_ms, 5 minutes
# unless set) run on: a server that keeps a slow prompt alive in the standard way is given up in the
# middle of it. An event of a type that Codex has never heard of starts the timer anew.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"

echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund --ignore-scripts @openai/codex@0.171.0

cat >run.py <<'PY'
import http.server
import json
import os
import subprocess
import sys
import threading
import time

ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "hello", "annotations": []}]}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m",
            "status": "in_progress", "output": []}
DONE = {**RESPONSE, "status": "completed", "output": [ITEM],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}
LIFE = {"comments": b": still there\n\n",
        "events": b'event: keepalive\ndata: {"type": "keepalive"}\n\n'}
IDLE_MS = 3000
kind = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        try:
            self.say("response.created", response=RESPONSE)
            for _ in range(3 * IDLE_MS // 500):  # three times as long as the timer
                time.sleep(0.5)
                self.wfile.write(LIFE[kind])
                self.wfile.flush()
            self.say("response.output_item.done", output_index=0, item=ITEM)
            self.say("response.completed", response=DONE)
        except OSError:
            pass  # it has left

    def say(self, name, **more):
        data = json.dumps({"type": name, **more})
        self.wfile.write(f"event: {name}\ndata: {data}\n\n".encode())
        self.wfile.flush()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
home = os.path.abspath("home")
os.makedirs(home, exist_ok=True)
with open(os.path.join(home, "config.toml"), "w", encoding="utf-8") as file:
    file.write(f'model = "m"\nmodel_provider = "here"\n[model_providers.here]\nname = "here"\n'
               f'base_url = "http://127.0.0.1:{server.server_port}/v1"\nwire_api = "responses"\n'
               f"stream_idle_timeout_ms = {IDLE_MS}\nstream_max_retries = 0\n")
done = subprocess.run(
    ["node_modules/.bin/codex", "exec", "--skip-git-repo-check", "hi"], stdin=subprocess.DEVNULL,
    capture_output=True, text=True, check=False,
    env={"PATH": os.environ["PATH"], "HOME": home, "CODEX_HOME": home})
last = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1]
print(f"{kind}: status {done.returncode}, {last}")
PY
python3 run.py comments | tee seen
python3 run.py events | tee -a seen
cat >expected <<'TEXT'
comments: status 1, ERROR: stream disconnected before completion: idle timeout waiting for SSE
events: status 0, hello
TEXT
diff expected seen && echo "still so"
