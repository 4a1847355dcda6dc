#!/usr/bin/env bash
# litserve 0.2.19 (OpenAISpec): each chunk of one stream has another id.
#
# In OpenAI's API all chunks of a stream carry the same id, by which readers put pieces together and
# logs name the answer. LitServe draws a new one for each chunk. And the usage on the last chunk,
# which nobody asked for, is zero in all its parts, which is not the same as unknown: who bills or
# counts by it counts nothing.
set -euo pipefail
here=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -- "-$server"; rm -rf "$here"' EXIT
cd "$here"

python3 -m venv v
v/bin/pip install -q --disable-pip-version-check litserve==0.2.19

cat >server.py <<'PY'
import sys

import litserve


class Words(litserve.LitAPI):
    def setup(self, device):
        pass

    def predict(self, prompt):
        yield from ("hello", " ", "world")


if __name__ == "__main__":
    litserve.LitServer(Words(spec=litserve.OpenAISpec()), accelerator="cpu").run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
PY
cat >run.py <<'PY'
import json
import sys
import time
import urllib.request

URL = f"http://127.0.0.1:{sys.argv[1]}"


def stream():
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    asked = urllib.request.Request(f"{URL}/v1/chat/completions", json.dumps(body).encode(),
                                   {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        lines = [line[6:] for line in answer.read().decode().splitlines() if line[:6] == "data: "]
    return [json.loads(line) for line in lines if line != "[DONE]"]


for _ in range(600):
    try:
        urllib.request.urlopen(f"{URL}/health", timeout=5).read()
        break
    except OSError:
        time.sleep(0.1)
chunks = stream()
print(f"{len(chunks)} chunks, {len({chunk['id'] for chunk in chunks})} ids")
print("usage:", chunks[-1]["usage"])
PY
port=$(python3 -c 'import socket
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    print(free.getsockname()[1])')
setsid v/bin/python server.py "$port" >log 2>&1 &
server=$!
v/bin/python run.py "$port" | tee seen
cat >expected <<'TEXT'
4 chunks, 4 ids
usage: {'prompt_tokens': 0, 'total_tokens': 0, 'completion_tokens': 0}
TEXT
diff expected seen && echo "still so"
