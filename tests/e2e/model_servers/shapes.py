"""What model servers answer that are too large to be installed for a test. Not recorded bytes:
written after what they were seen to send, and their documentation.

Each has `models`, the answer to GET /v1/models; `chat(asked)`, that to a request for a chat, and
`text`, what the answers say.
"""

import json

from backend import chunk, json_answer, sse_head

TEXT = ("hello", " world")
CREATED = 1767225600


def chat(name, usage):
    return json_answer({
        "id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": name,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "".join(TEXT)},
                     "finish_reason": "stop"}], "usage": usage})


def stream(name, usage=None, on_finish=False, done=True):
    """A chunk an event; usage stands on the finish event, or in one of its own."""
    def event(choices, **more):
        return chunk(b"data: " + json.dumps({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": CREATED,
            "model": name, "choices": choices, **more}).encode() + b"\n\n")

    def choice(delta, reason=None):
        return [{"index": 0, "delta": delta, "finish_reason": reason}]
    answer = sse_head().replace(b"event-stream", b"event-stream; charset=utf-8")
    answer += event(choice({"role": "assistant", "content": ""}))
    for part in TEXT:
        answer += event(choice({"content": part}))
    answer += event(choice({}, "stop"), **({"usage": usage} if on_finish else {}))
    if usage and not on_finish:
        answer += event([], usage=usage)
    return answer + (chunk(b"data: [DONE]\n\n") if done else b"") + b"0\r\n\r\n"


def usage_of(**details):
    return {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, **details}


class Ollama:
    """0.17.4: names have a tag; usage in a stream comes when asked for."""

    name, text = "tiny:latest", "".join(TEXT)
    models = json_answer({"object": "list", "data": [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "library"}]})

    @classmethod
    def chat(cls, asked):
        if not asked.json.get("stream"):
            return chat(cls.name, usage_of())
        return stream(cls.name, usage_of() if asked.wants_usage else None)


class Vllm:
    """0.32.0: the tokens of the cache are null unless it was told to give them."""

    name, text = "tiny", "".join(TEXT)
    models = json_answer({"object": "list", "data": [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "vllm", "root": name,
         "parent": None, "max_model_len": 4096, "permission": []}]})

    @classmethod
    def chat(cls, asked):
        usage = usage_of(prompt_tokens_details=None)
        if not asked.json.get("stream"):
            return chat(cls.name, usage)
        return stream(cls.name, usage if asked.wants_usage else None)


class Transformers:
    """`transformers serve` 5.19.0: it lists what was downloaded and not what it serves; usage
    always stands on the finish event, and there is no [DONE]."""

    name, text = "/models/tiny", "".join(TEXT)
    models = json_answer({"object": "list", "data": []})

    @classmethod
    def chat(cls, asked):
        if not asked.json.get("stream"):
            return chat(cls.name, usage_of())
        return stream(cls.name, usage_of(), on_finish=True, done=False)
