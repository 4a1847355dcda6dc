#!/usr/bin/env python3
"""Published SDKs in front of refusals and of streams that break: whether they try again (R6), and
whether the application is told why (R7)."""

import json
import os
import subprocess
import time
import unittest

from backend import chunk, delta, event, json_answer, sse_head
from harness import main
from pool_case import PoolCase, backend
from sdk_calls import HERE, NODE, missing
from test_fallback import BLIND, NEVER, refuse
from test_honest_ends import OVERFLOW, numbered

PYTHON = os.path.join(HERE, ".venv", "bin", "python")
# The package of each client, and the language.
NODE_CLIENTS = {"openai-chat": "openai", "openai-responses": "openai",
                "openai-responses-stream": "openai", "anthropic": "@anthropic-ai/sdk",
                "ai-chat": "@ai-sdk/openai-compatible", "ai-responses": "@ai-sdk/openai",
                "fetch": ""}
PYTHON_CLIENTS = {"openai-chat": "openai", "openai-responses": "openai", "anthropic": "anthropic"}
CLIENTS = [("node", name) for name in NODE_CLIENTS] + [("python", name) for name in PYTHON_CLIENTS]
DIALECT = {"openai-responses": "responses", "openai-responses-stream": "responses",
           "ai-responses": "responses", "anthropic": "messages"}
BEGIN = {
    "chat": delta("hel"),
    "responses": numbered(1) + event({
        "type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": {
            "id": "x", "type": "message", "role": "assistant", "status": "in_progress",
            "content": []}}, "response.output_item.added") + event({
                "type": "response.content_part.added", "sequence_number": 2, "item_id": "x",
                "output_index": 0, "content_index": 0, "part": {
                    "type": "output_text", "text": "", "annotations": []}},
                "response.content_part.added") + event({
                    "type": "response.output_text.delta", "sequence_number": 3, "item_id": "x",
                    "output_index": 0, "content_index": 0, "delta": "hel", "logprobs": []},
                    "response.output_text.delta"),
    "messages": event({"type": "message_start", "message": {
        "id": "x", "type": "message", "role": "assistant", "content": [], "model": "m",
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 1}}}, "message_start") +
    event({"type": "content_block_start", "index": 0,
           "content_block": {"type": "text", "text": ""}}, "content_block_start") +
    event({"type": "content_block_delta", "index": 0,
           "delta": {"type": "text_delta", "text": "hel"}}, "content_block_delta"),
}


def why_not(language, name):
    """Why that client cannot be run here; empty when it can."""
    if language == "python":
        there = os.path.exists(os.path.join(HERE, ".venv", "complete"))
        return "" if there else "the Python SDKs are not installed: tools/setup-sdk"
    package = NODE_CLIENTS[name]
    if package and not os.path.isdir(os.path.join(HERE, "node_modules", package)):
        return f"{package} is not installed: tools/setup-sdk"
    return missing()


def run(gateway, language, name, model="m", **given):
    command = [PYTHON if language == "python" else NODE,
               os.path.join(HERE, "sdk", "ends.py" if language == "python" else "ends.mjs"),
               name, json.dumps({"model": model, **given})]
    done = subprocess.run(command, env={**os.environ, "BASE_URL": f"{gateway.url}/v1"}, text=True,
                          capture_output=True, timeout=90, check=False)
    try:
        return json.loads(done.stdout.rstrip("\n").split("\n")[-1])
    except ValueError:
        raise AssertionError(f"{language} {name}: {done.stdout!r} "
                             f"{done.stderr[-2000:]!r}") from None


class Ends(PoolCase):

    def each(self, clients):
        """The clients of these that can be run; tells of the others."""
        found = []
        for language, name in clients:
            why = why_not(language, name)
            if why:
                print(f"SKIP: {language} {name}: {why}", flush=True)
            else:
                found.append((language, name))
        if not found:
            self.skipTest("none of the SDKs is installed")
        return found

    def breaking(self, **models):
        """A gateway whose streams break behind "hel", in the dialect of who asks."""
        def script(peer, asked):
            dialect = {"/v1/responses": "responses", "/v1/messages": "messages"}.get(
                asked.path, "chat")
            peer.send(sse_head() + chunk(BEGIN[dialect]))
            time.sleep(0.1)
            peer.reset()
        server = self.scripted(script)
        return self.gateway({name: {"backends": [backend(server)], "health": BLIND,
                                    "breaker": NEVER, **more} for name, more in models.items()})

    def test_R7a_a_responses_stream_that_breaks_tells_its_reason(self):
        gateway = self.breaking(m={"broken_stream": "cut"})
        for language, name in self.each([one for one in CLIENTS
                                         if DIALECT.get(one[1]) == "responses"]):
            with self.subTest(language, client=name):
                seen = run(gateway, language, name)
                self.assertEqual(seen["text"], "hel", seen)
                self.assertTrue(seen["errors"], seen)
                for error in seen["errors"]:
                    self.assertIn("The backend broke off", error["message"], seen)
                if name == "openai-responses":
                    self.assertEqual(seen["events"][-2:], ["error", "response.failed"])

    def test_R7b_a_stream_that_breaks_tells_its_reason_and_it_alone(self):
        gateway = self.breaking(m={}, cut={"broken_stream": "cut"})
        clients = [one for one in CLIENTS if DIALECT.get(one[1]) != "responses"]
        for language, name in self.each(clients):
            with self.subTest(language, client=name):
                for model in ("m", "cut"):
                    seen = run(gateway, language, name, model)
                    kinds = [error["message"] for error in seen["errors"]]
                    if name == "fetch":
                        self.assertIn("The backend broke off", seen["text"])
                        self.assertNotIn("[DONE]", seen["text"])
                        self.assertEqual(kinds, [] if model == "m" else ["terminated"])
                        continue
                    self.assertEqual(seen["text"], "hel", seen)
                    self.assertIn("The backend broke off", kinds[0], seen)
                    # Whom a cut distracts from the reason.
                    distracted = name == "ai-chat" and model == "cut"
                    self.assertEqual(len(kinds), 2 if distracted else 1, seen)
                    self.assertNotIn(seen["finish"], ("stop", "length"))

    def test_R7c_an_overflow_behind_a_notice_is_told_as_the_backend_said_it(self):
        def script(peer, _):
            time.sleep(0.4)
            peer.send(json_answer(OVERFLOW, 400, "Bad Request"))
        server = self.scripted(script)
        gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND,
                                      "queue": {"notice_first": "50ms"}}})
        for language, name in self.each(CLIENTS):
            with self.subTest(language, client=name):
                seen = run(gateway, language, name)
                if name == "fetch":
                    self.assertIn('"n_ctx":4096', seen["text"])
                    continue
                self.assertTrue(seen["errors"], seen)
                error = seen["errors"][0]
                self.assertIn("exceeds the available context size", error["message"], seen)
                if name.startswith("openai-chat"):
                    self.assertEqual(error["type"], "exceed_context_size_error", seen)
                if DIALECT.get(name) == "responses" and name.startswith("openai"):
                    self.assertEqual(error["code"], "context_length_exceeded", seen)
                if name == "anthropic":
                    self.assertIn("n_prompt_tokens", json.dumps(seen), seen)
                    self.assertIn("invalid_request_error", json.dumps(seen), seen)

    def test_R6a_what_is_refused_for_good_is_asked_once(self):
        server = self.scripted(refuse(500))
        gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND,
                                      "breaker": NEVER}})
        for language, name in self.each([one for one in CLIENTS if one[1] != "fetch"]):
            with self.subTest(language, client=name):
                before = len(gateway.log())
                seen = run(gateway, language, name, model="nobody-503")
                self.assertEqual(len(seen["errors"]), 1, seen)
                self.assertIn("is not served here", seen["errors"][0]["message"])
                # Some show the whole body.
                self.assertNotIn("503", seen["errors"][0]["message"])
                posts = [line for line in gateway.log()[before:] if line.get("status") == 404]
                self.assertLessEqual(len(posts), 1, posts)
                if name == "anthropic":
                    self.assertTrue(seen["errors"][0]["id"], seen)

    def test_R6b_a_failure_is_asked_again_unless_it_was_tried_elsewhere(self):
        servers = [self.scripted(refuse(500)) for _ in range(3)]
        gateway = self.gateway({
            "once": {"backends": [backend(servers[0])], "health": BLIND, "breaker": NEVER},
            "twice": {"backends": [backend(server) for server in servers[1:]], "health": BLIND,
                      "breaker": NEVER}})
        clients = [one for one in CLIENTS if one[1] in ("openai-chat", "anthropic")]
        for language, name in self.each(clients):
            with self.subTest(language, client=name):
                asked = [len(server.requests) for server in servers]
                run(gateway, language, name, model="once", retries=1)
                run(gateway, language, name, model="twice", retries=1)
                asked = [len(server.requests) - before for server, before in zip(servers, asked)]
                self.assertEqual(asked, [2, 1, 1])


if __name__ == "__main__":
    main()
