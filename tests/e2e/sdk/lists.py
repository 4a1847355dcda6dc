"""The models that a published client for Python finds; as one line of JSON, as of lists.mjs.

    BASE_URL=http://127.0.0.1:PORT python lists.py PACKAGE MODEL
"""

import json
import os
import sys

NAME, MODEL = sys.argv[1:3]
URL = os.environ["BASE_URL"]
SEEN = {"ids": []}


def openai():
    import openai as package
    client = package.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0)
    SEEN["ids"] = [each.id for each in client.models.list()]
    SEEN["one"] = client.models.retrieve(MODEL).model_dump()


def anthropic():
    import anthropic as package
    client = package.Anthropic(base_url=URL, api_key="none", max_retries=0)
    SEEN["ids"] = [each.id for each in client.models.list(limit=1)]
    SEEN["whole"] = [each.display_name for each in client.models.list()]
    SEEN["one"] = json.loads(client.models.retrieve(MODEL).model_dump_json())
    try:
        client.models.retrieve("nobody")
    except package.NotFoundError as error:
        SEEN["refusal"] = {"kind": type(error).__name__, "type": error.body["error"]["type"]}


def ollama():
    import ollama as package
    client = package.Client(host=URL)
    SEEN["ids"] = [each.model for each in client.list().models]
    SEEN["running"] = [each.model for each in client.ps().models]
    SEEN["one"] = json.loads(client.show(MODEL).model_dump_json())
    try:
        client.chat(MODEL, messages=[{"role": "user", "content": "hello"}])
    except package.ResponseError as error:
        SEEN["refusal"] = error.error


{"openai": openai, "anthropic": anthropic, "ollama": ollama}[NAME]()
print(json.dumps(SEEN))
