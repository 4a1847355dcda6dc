#!/usr/bin/env python3
"""The published openai SDK through the gateway: the same as without it."""

import threading
import unittest

from backend import Backend, address_that_refuses, chunk, delta, json_answer, sse_head
from harness import Gateway, Sim, main
from sdk_calls import Call, call, missing
from wire import wait_until

WHY_NOT = missing()
USAGE = {"stream_options": {"include_usage": True}}


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Sdk(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.sim = Sim("--model", "sim", "--ttft", "1ms", "--itl", "1ms", "--tokens", "40",
                      "--embedding-size", "64", "--seed", "7")
        cls.addClassCleanup(cls.sim.stop)
        cls.backend = Backend()
        cls.addClassCleanup(cls.backend.stop)
        holder, refused = address_that_refuses()
        cls.addClassCleanup(holder.close)
        cls.gateway = Gateway("--model", f"sim={cls.sim.url}", "--model", f"m={cls.backend.url}",
                              "--model", f"down={refused}", "--alias", "gpt-4o-mini=sim")
        cls.addClassCleanup(cls.gateway.stop)

    def setUp(self):
        self.backend.forget()

    def same_as_direct(self, name, **arguments):
        """The call through the gateway has the outcome of the call without it."""
        direct = call(self.sim.url, name, model="sim", **arguments)
        self.assertNotIn("error", direct)
        through = call(self.gateway.url, name, model="sim", **arguments)
        self.assertEqual(through, direct)
        return through

    def test_models(self):
        seen = call(self.gateway.url, "models")
        self.assertEqual(set(seen["ids"]) - {"gpt-4o-mini"}, {"down", "m", "sim"})
        self.assertEqual(seen["one"], seen["ids"][0])

    def test_chat(self):
        seen = self.same_as_direct("chat", max_tokens=20)
        self.assertTrue(seen["message"]["content"])
        self.assertGreater(seen["usage"]["completion_tokens"], 0)

    def test_chat_by_an_alias(self):
        seen = call(self.gateway.url, "chat", model="gpt-4o-mini")
        self.assertTrue(seen["message"]["content"])

    def test_streaming_without_usage(self):
        # No other case asks for as many, so the line is this one's.
        seen = self.same_as_direct("stream", max_tokens=19)
        self.assertEqual((seen["usages"], seen["usage"]), (0, None))
        self.assertTrue(seen["finish"])
        self.gateway.logged(model="sim", stream=True, end="ok", completion_tokens=19)

    def test_streaming_with_usage(self):
        seen = self.same_as_direct("stream", max_tokens=21, **USAGE)
        self.assertEqual((seen["usages"], seen["usage"]["completion_tokens"]), (1, 21))
        self.gateway.logged(model="sim", stream=True, end="ok", completion_tokens=21)

    def test_completions(self):
        self.assertTrue(self.same_as_direct("completions", max_tokens=10)["text"])

    def test_embeddings(self):
        self.assertEqual(self.same_as_direct("embeddings")["sizes"], [64, 64])

    def test_an_upload(self):
        self.backend.script = lambda peer, _: peer.send(json_answer({"text": "heard"}))
        self.assertEqual(call(self.gateway.url, "transcription", model="m"), {"text": "heard"})
        self.assertIn(b"sound" * 1000, self.backend.requests[0].body)

    def test_an_unknown_model_is_not_found(self):
        error = call(self.gateway.url, "chat", model="nobody")["error"]
        self.assertEqual((error["kind"], error["status"], error["code"]),
                         ("NotFoundError", 404, "model_not_found"))
        self.assertTrue(error["request_id"])
        self.assertIn("sim", error["models"])

    def test_a_backend_that_is_down(self):
        for name in ("chat", "stream"):
            error = call(self.gateway.url, name, model="down")["error"]
            self.assertIn(error["status"], (502, 503))
            self.assertEqual(error["kind"], "InternalServerError")
            self.assertTrue(error["type"])

    def test_a_refusal_of_the_backend_arrives_as_it_is(self):
        self.backend.script = lambda peer, _: peer.send(json_answer(
            {"error": {"message": "too long", "type": "exceed_context_size_error", "code": 400}},
            400, "Bad Request"))
        error = call(self.gateway.url, "stream", model="m")["error"]
        self.assertEqual((error["kind"], error["type"]),
                         ("BadRequestError", "exceed_context_size_error"))

    def test_a_stream_that_dies_is_an_error_and_no_end(self):
        def script(peer, _):
            peer.send(sse_head() + chunk(delta("one")))
            seen_by_the_sdk.wait(60)
            peer.reset()
        seen_by_the_sdk = threading.Event()
        self.backend.script = script
        going = Call(self.gateway.url, "stream", model="m")
        going.wait_ready()
        seen_by_the_sdk.set()
        seen = going.result()
        self.assertEqual(seen["text"], "one")
        self.assertEqual(seen["error"]["kind"], "APIError")

    def test_leaving_a_stream_ends_it_at_the_server(self):
        def script(peer, _):
            peer.send(sse_head())
            for number in range(5):
                peer.send(chunk(delta(f"{number} ")))
            peer.wait_gone()
        self.backend.script = script
        seen = call(self.gateway.url, "leave", model="m", after=3)
        self.assertEqual(seen["events"], 3)
        self.assertTrue(self.backend.requests[0].peer.gone.wait(20))
        self.gateway.logged(model="m", end="client_gone")

    def test_aborting_in_prefill_ends_the_request_at_the_server(self):
        for stream in (True, False):
            self.backend.forget(lambda peer, _: peer.wait_gone())
            going = Call(self.gateway.url, "abort", model="m", stream=stream)
            going.wait_ready()
            self.backend.wait_requests(1)
            going.go_on()
            self.assertEqual(going.result()["error"]["kind"], "APIUserAbortError")
            self.assertTrue(self.backend.requests[0].peer.gone.wait(20))

    def test_many_streams_at_once(self):
        texts = self.same_as_direct("many", count=25)["texts"]
        self.assertEqual(len(texts), 25)

    def test_many_calls_in_turn_on_kept_connections(self):
        # More than the hundred after which llama-server, and the simulator with it, closes.
        texts = self.same_as_direct("inTurn", count=150)["texts"]
        self.assertEqual(len(texts), 150)

    def test_a_stream_that_was_relayed_is_over_for_the_server_too(self):
        call(self.gateway.url, "stream", model="sim", max_tokens=5)
        wait_until(lambda: self.sim.stats()["active"] == 0, "the server has nothing left to do")


if __name__ == "__main__":
    main()
