"""One streamed call with a published Python client; how it ended goes to stdout as one line of
JSON, as of ends.mjs.

    BASE_URL=http://127.0.0.1:PORT/v1 [KEY=...] python ends.py CLIENT [ARGUMENTS as JSON]
"""

import json
import os
import sys

NAME = sys.argv[1]
GIVEN = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
RETRIES = GIVEN.pop("retries", None)
OPTIONS = {} if RETRIES is None else {"max_retries": RETRIES}
URL = os.environ["BASE_URL"]
KEY = os.environ.get("KEY", "none")
MESSAGES = [{"role": "user", "content": "hello"}]
SEEN = {"text": "", "events": [], "errors": [], "finish": None}


def tell(error):
    SEEN["errors"].append({
        "kind": type(error).__name__, "message": getattr(error, "message", None) or str(error),
        "status": getattr(error, "status_code", None), "code": getattr(error, "code", None),
        "type": getattr(error, "type", None), "body": getattr(error, "body", None),
        "id": getattr(error, "request_id", None)})


def openai_client():
    import openai
    return openai.OpenAI(base_url=URL, api_key=KEY, timeout=60, **OPTIONS)


def openai_chat():
    for event in openai_client().chat.completions.create(messages=MESSAGES, stream=True, **GIVEN):
        SEEN["events"].append("chunk")
        for choice in event.choices:
            SEEN["text"] += choice.delta.content or ""
            SEEN["finish"] = choice.finish_reason or SEEN["finish"]


def openai_responses():
    for event in openai_client().responses.create(input="hello", stream=True, **GIVEN):
        SEEN["events"].append(event.type)
        if event.type == "response.output_text.delta":
            SEEN["text"] += event.delta
        elif event.type == "error":
            tell(event)
        elif event.type == "response.failed":
            tell(event.response.error)


def anthropic_messages():
    import anthropic
    client = anthropic.Anthropic(base_url=URL.removesuffix("/v1"), api_key=KEY, timeout=60,
                                 **OPTIONS)
    for event in client.messages.create(messages=MESSAGES, max_tokens=9, stream=True, **GIVEN):
        SEEN["events"].append(event.type)
        if event.type == "content_block_delta":
            SEEN["text"] += event.delta.text


CALLS = {"openai-chat": openai_chat, "openai-responses": openai_responses,
         "anthropic": anthropic_messages}

try:
    CALLS[NAME]()
except Exception as error:  # whatever it is, it is the result
    tell(error)
print(json.dumps(SEEN, default=str))
