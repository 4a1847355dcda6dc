#!/usr/bin/env python3
"""The ways in, with the published packages that take them: keys as each of them sends them."""

import unittest

import packages
from backend import answer_chat, event, head, json_answer
from harness import main
from packages import ANTHROPIC_NEW, ANTHROPIC_OLD
from pool_case import PoolCase, backend, consumers
from sdk_calls import call
from test_ways_in import MESSAGE, carried

KEY = "sk-published-0123456789"
BEARER, X_API_KEY = {"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}
VERSIONS = {ANTHROPIC_NEW: "2026-10-21", ANTHROPIC_OLD: "2023-06-01"}
CHAT = ["chat", {"model": "m", "messages": [{"role": "user", "content": "hello"}]}]
OLLAMAS_ANSWER = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": True,
                  "done_reason": "stop", "message": {"role": "assistant", "content": "hello"},
                  "eval_count": 1, "prompt_eval_count": 3}


def answer(peer, request):
    """In the dialect of the path."""
    if request.path == "/api/chat":
        return peer.send(json_answer(OLLAMAS_ANSWER))
    if request.path != "/v1/messages":
        return answer_chat(peer, request)
    if not request.json.get("stream"):
        return peer.send(json_answer(MESSAGE))
    said = [("message_start", {"message": {**MESSAGE, "content": [], "stop_reason": None}}),
            ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "hello"}}),
            ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None},
                               "usage": {"output_tokens": 1}}),
            ("message_stop", {})]
    body = b"".join(event({"type": name, **value}, name) for name, value in said)
    return peer.send(head(Content_Type="text/event-stream", Content_Length=len(body)) + body)


class Keys(PoolCase):
    """Each package asks a gateway that knows its key, one that does not, and one without keys."""

    def shows(self, ask, refused, form):
        """`ask(url, key)` returns the text of an answer; a refused one satisfies `refused`."""
        for known in (True, False):
            server = self.scripted(answer)
            top = {"consumers": consumers(**{"team-a": KEY})} if known else {}
            gateway = self.gateway({"m": {"backends": [backend(server)]}}, **top)
            self.assertEqual(ask(gateway.url, KEY), "hello")
            self.assertEqual(carried(server.requests[-1]), {} if known else form)
            if known:
                self.assertTrue(refused(ask(gateway.url, "another")))
                self.assertEqual(len(server.requests), 1)
            self.seen = server.requests[-1]

    def needs(self, *node, python=()):
        if why := packages.missing(*node, python=python):
            self.skipTest(why)

    def test_C3_openai_for_node(self):
        self.needs("openai")
        def ask(url, key):
            seen = call(url, "chat", model="m", key=key)
            return seen["message"]["content"] if "message" in seen else seen["error"]["status"]
        self.shows(ask, lambda status: status == 401, BEARER)

    def test_C3_anthropic_for_node_new_and_old(self):
        for package, form in ((ANTHROPIC_NEW, BEARER), (ANTHROPIC_OLD, X_API_KEY)):
            with self.subTest(package=package):
                self.needs("openai", package)
                def ask(url, key, package=package):
                    seen = packages.run("messages.mjs", package, key, url=url)
                    return seen.get("text") or seen["error"]["status"]
                self.shows(ask, lambda status: status == 401, form)
                self.assertEqual(self.seen.field("anthropic-version"), VERSIONS[package])

    def test_C3_openai_and_anthropic_for_python(self):
        self.needs(python=("openai", "anthropic"))
        for client in ("openai-chat", "anthropic"):
            def ask(url, key, client=client):
                seen = packages.run("ends.py", client, {"model": "m"}, url=f"{url}/v1", KEY=key)
                return seen["text"] or seen["errors"][0]["status"]
            self.shows(ask, lambda status: status == 401, BEARER)

    def test_C3_ollama_for_node(self):
        self.needs("ollama")
        self.shows(self.ollama("ollama.mjs"), lambda error: "key" in error, BEARER)

    def test_C3_ollama_for_python(self):
        self.needs(python=("ollama",))
        self.shows(self.ollama("ollama_calls.py"), lambda error: "key" in error, BEARER)

    def ollama(self, script):
        def ask(url, key):
            seen = packages.run(script, [CHAT], url=url, KEY=key)[0]
            return seen["value"]["message"]["content"] if "value" in seen else seen["error"]
        return ask


if __name__ == "__main__":
    main()
