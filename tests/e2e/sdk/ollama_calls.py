"""Calls of the published `ollama` client for Python, as ollama.mjs makes them.

    BASE_URL=http://127.0.0.1:PORT python ollama_calls.py '[["chat", {...}], ["embed", {...}]]'
"""

import json
import os
import sys

import ollama

HEADERS = {"Authorization": f"Bearer {os.environ['KEY']}"} if os.environ.get("KEY") else {}
CLIENT = ollama.Client(host=os.environ["BASE_URL"], headers=HEADERS)
SEEN = []
for call, given in json.loads(sys.argv[1]):
    try:
        value = getattr(CLIENT, call)(**given)
        if given.get("stream"):
            value = [part.model_dump(mode="json") for part in value]
        else:
            value = value.model_dump(mode="json")
        SEEN.append({"value": value})
    except Exception as error:  # whatever it is, it is the result
        SEEN.append({"error": getattr(error, "error", None) or str(error),
                     "status": getattr(error, "status_code", None)})
print(json.dumps(SEEN))
