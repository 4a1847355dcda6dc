#!/usr/bin/env python3
"""Answers of backends that are odd, late or no: rows 79 to 91 and 150 of the fault list."""

import gzip
import json
import threading
import time

from backend import (DONE, LAST_CHUNK, answer_chat, chunk, delta, head, json_answer, loading_answer,
                     sse_head, usage_event)
from harness import NO_BREAKER, NO_NOTICES, defaults, error_in, events, main
from test_backend import BackendCase
from wire import wait_until


class OddAnswers(BackendCase):
    flags = defaults(NO_BREAKER)

    def test_row_079_a_compressed_stream_is_relayed_untouched(self):
        packed = gzip.compress(delta("a") + usage_event() + DONE)
        answer = self.ask(self.raw(sse_head(Content_Encoding="gzip") + chunk(packed) + LAST_CHUNK),
                          stream=True)
        self.assertEqual((answer.body, answer.complete), (packed, True))
        self.assertEqual(answer.field("content-encoding"), "gzip")
        line = self.gateway.logged(id=answer.field("x-request-id"))
        self.assertIsNone(line.get("prompt_tokens"))
        self.assertIn((self.backend.requests[0].field("accept-encoding") or "identity").lower(),
                      ("identity",))

    def test_row_081_refusals_of_the_moment_pass_with_their_advice(self):
        busy = {"error": {"message": "no slot is free", "type": "unavailable_error", "code": 503}}
        # The limit comes last: how long it lasts is known from then on, and told.
        cases = (json_answer(busy, 503, "Service Unavailable"),
                 json_answer(busy, 503, "Service Unavailable", Retry_After="2"),
                 json_answer({"error": {"message": "slow down", "type": "rate_limit_error"}}, 429,
                             "Too Many Requests", Retry_After="7", retry_after_ms="6500",
                             x_should_retry="true"))
        for data in cases:
            for stream in (False, True):
                with self.subTest(data[:20], stream=stream):
                    answer = self.ask(self.raw(data, close=False), stream=stream)
                    self.assertEqual(answer.status, int(data[9:12]))
                    self.assertEqual(answer.body, data.split(b"\r\n\r\n")[1])
                    for name in ("retry-after", "retry-after-ms", "x-should-retry"):
                        if name.encode() + b":" in data.lower():
                            self.assertIn((name + ": " + answer.field(name)).encode(),
                                          data.lower())
                    self.assertEqual(len(self.backend.requests), 1)

    def test_row_091_a_model_that_loads_is_waited_for(self):
        def script(peer, request):
            if self.backend.loading:
                peer.send(loading_answer())
                loads.set()
            else:
                answer_chat(peer, request)
        for stream in (False, True):
            with self.subTest(stream=stream), self.gateway.client() as client:
                loads = threading.Event()
                self.backend.forget(script)
                self.backend.loading = True
                client.send(self.chat(stream=stream))
                self.assertTrue(loads.wait(10))
                self.assertTrue(client.silent_for(0.2))
                self.backend.loading = False
                answer = client.read()
                self.assertEqual(answer.status, 200)
                self.assertIn(b"hel", answer.body)
                self.assertEqual(len(self.backend.requests), 2)

    def test_row_082_the_clients_own_faults_pass_and_are_not_tried_again(self):
        context = {"error": {"code": 400, "message": "too long", "n_prompt_tokens": 9, "n_ctx": 4,
                             "type": "exceed_context_size_error"}}
        for status in (400, 401, 403, 404, 422, 500, 501):
            with self.subTest(status):
                data = json_answer(context, status, "No")
                answer = self.ask(self.raw(data, close=False), stream=True)
                self.assertEqual((answer.status, answer.json), (status, context))
                self.assertEqual(len(self.backend.requests), 1)

    def test_row_090_what_is_no_stream_is_not_read_as_one(self):
        page = b"<html>data: {\"error\": 1}\n\ndata: [DONE]\n\n</html>"
        for kind, body in (("text/html", page), ("application/json", b'{"choices":[]}')):
            with self.subTest(kind):
                answer = self.ask(self.raw(head(Content_Type=kind, Content_Length=len(body)) +
                                           body, close=False), stream=True)
                self.assertIn(answer.status, (200, 502))
                if answer.status == 200:
                    self.assertEqual((answer.body, answer.field("content-type")), (body, kind))
                    self.assertTrue(answer.complete)

    def test_row_150_redirects_are_not_followed(self):
        answer = self.ask(self.raw(head(302, "Found", Location="http://127.0.0.1:1/",
                                        Content_Length=0), close=False))
        self.assertEqual(answer.status, 302)
        self.assertEqual(len(self.backend.requests), 1)


class Timeouts(BackendCase):

    flags = ("--timeout-first-byte", "500ms", "--timeout-gap", "500ms",
             *defaults(NO_BREAKER, NO_NOTICES, {"timeouts": {"load": "500ms"}}))

    def test_row_083_no_first_byte_gets_504(self):
        for stream in (False, True):
            with self.subTest(stream=stream):
                answer = self.ask(lambda peer, _: peer.wait_gone(), stream=stream)
                self.assertEqual(answer.status, 504)
                error_in(answer)
                self.assertTrue(self.backend.requests[0].peer.gone.wait(10))
                self.assertEqual(self.gateway.logged(id=answer.field("x-request-id"))["end"],
                                 "timeout")

    def test_row_084_a_stream_that_stalls_ends_in_an_error_event(self):
        def script(peer, _):
            peer.send(sse_head() + chunk(delta("one")))
            peer.wait_gone()
        answer = self.ask(script, stream=True)
        self.assertIn("error", json.loads(events(answer.body)[-1]))
        self.assertNotIn(b"[DONE]", answer.body)
        self.assertTrue(answer.complete)
        self.assertTrue(self.backend.requests[0].peer.gone.wait(10))
        self.assertEqual(self.gateway.logged(id=answer.field("x-request-id"))["end"], "timeout")

    def test_row_084_a_stream_that_goes_on_slowly_does_not(self):
        def script(peer, _):
            peer.send(sse_head())
            for _ in range(8):
                peer.wait_gone(0.2)
                peer.send(chunk(delta("a")))
            peer.send(chunk(DONE) + LAST_CHUNK)
        answer = self.ask(script, stream=True)
        self.assertTrue(answer.complete)
        self.assertIn(b"[DONE]", answer.body)

    def test_row_084_comments_put_it_off_while_they_come(self):
        for begin in (b"", chunk(delta("a"))):
            def script(peer, _, begin=begin):
                peer.send(sse_head() + begin)
                for _ in range(10):
                    peer.wait_gone(0.1)
                    peer.send(chunk(b":\n\n"))
                said_at.append(time.monotonic())
                peer.wait_gone()
                said_at.append(time.monotonic())
            with self.subTest(begin):
                said_at = []
                answer = self.ask(script, stream=True)
                if begin:
                    self.assertIn("error", json.loads(events(answer.body)[-1]))
                else:  # before its first word a failure has a status
                    self.assertEqual(answer.status, 504)
                    self.assertIn("(first_byte)", error_in(answer)["message"])
                self.assertNotIn(b"[DONE]", answer.body)
                self.assertEqual(self.gateway.logged(id=answer.field("x-request-id"))["end"],
                                 "timeout")
                wait_until(lambda: len(said_at) == 2, "it is left")
                self.assertGreater(said_at[1] - said_at[0], 0.4)

    def test_row_091_a_model_that_does_not_load_in_time_gets_503(self):
        def script(peer, _):
            peer.send(loading_answer())
        self.backend.forget(script)
        self.backend.loading = True
        with self.gateway.client() as client:
            answer = client.ask(self.chat())
        self.assertEqual(answer.status, 503)
        self.assertIn("was not loaded within 0.5s (load)", error_in(answer)["message"])
        self.assertEqual(len(self.backend.requests), 1)
        self.backend.loading = False
        wait_until(lambda: self.gateway.logged(event="health", state="up"), "it is up again")


if __name__ == "__main__":
    main()
