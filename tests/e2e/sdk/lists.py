"""What the published Python clients make of the lists of models, as lists.mjs says it.

    BASE_URL=http://127.0.0.1:PORT python lists.py openai|anthropic|ollama [NAME...]
"""

import json
import os
import sys

PACKAGE, NAMES = sys.argv[1], sys.argv[2:]
URL = os.environ["BASE_URL"]
OPTIONS = {"api_key": os.environ.get("KEY", "none"), "max_retries": 0, "timeout": 60}
SEEN = {"ids": [], "entries": [], "asked": {}}


def ask(retrieve):
    for name in NAMES:
        try:
            SEEN["asked"][name] = retrieve(name).model_dump(mode="json")
        except Exception as error:  # whatever it is, it is the result
            SEEN["asked"][name] = {"status": getattr(error, "status_code", None),
                                   "error": str(error)}


def take(entries, retrieve):
    SEEN["entries"] = [entry.model_dump(mode="json") for entry in entries]
    SEEN["ids"] = [entry["id"] for entry in SEEN["entries"]]
    ask(retrieve)


if PACKAGE == "openai":
    import openai
    client = openai.OpenAI(base_url=f"{URL}/v1", **OPTIONS)
    take(client.models.list(), client.models.retrieve)
elif PACKAGE == "anthropic":
    import anthropic
    client = anthropic.Anthropic(base_url=URL, **OPTIONS)
    take(client.models.list(limit=1000), client.models.retrieve)
else:
    import ollama
    client = ollama.Client(host=URL)
    SEEN["entries"] = [entry.model_dump(mode="json") for entry in client.list().models]
    SEEN["ids"] = [entry["model"] for entry in SEEN["entries"]]
    SEEN["running"] = [entry.model_dump(mode="json") for entry in client.ps().models]
    ask(client.show)
print(json.dumps(SEEN))
