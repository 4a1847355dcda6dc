#!/usr/bin/env python3
"""Relaying a stream: section 2.5 of the fault list (rows 96 to 108)."""

import itertools
import json
import statistics
import threading
import time

from backend import (DONE, LAST_CHUNK, chunk, delta, event, finish, head, json_answer, sse_head,
                     usage_event)
from harness import (NO_BREAKER, NO_NOTICES, Gateway, GatewayCase, best_of, chat_body, chat_request,
                     defaults, events, main, memory_case, request)
from wire import wait_until

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16,
         "prompt_tokens_details": {"cached_tokens": 4}}
WITH_USAGE = event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                    "choices": [], "usage": USAGE})
ASKED = {"stream_options": {"include_usage": True}}


class StreamCase(GatewayCase):

    def relay(self, wire_bytes, cuts=(), path="/v1/chat/completions", **more):
        """Streams these bytes (head and all), cut there; returns the answer, read to its end."""
        def script(peer, _):
            peer.send_in_pieces(wire_bytes, cuts)
            if b"chunked" not in wire_bytes.split(b"\r\n\r\n")[0]:
                peer.close()
        self.backend.forget(script)
        with self.gateway.client() as client:
            client.send(request("POST", path, chat_body(stream=True, **more), self.gateway.host))
            answer = client.read()
            _ = answer.body
        return answer

    def relay_body(self, body, cuts=(), **more):
        """The same for a body in one chunk; it must arrive byte for byte, with its end."""
        answer = self.relay(sse_head() + chunk(body) + LAST_CHUNK, cuts, **more)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, body)
        self.assertTrue(answer.complete)
        return answer

    def logged(self, answer):
        return self.gateway.logged(id=answer.field("x-request-id"))

    def assert_usage(self, answer, prompt, completion, cached=None):
        line = self.logged(answer)
        self.assertEqual((line["prompt_tokens"], line["completion_tokens"]), (prompt, completion))
        if cached is not None:
            self.assertEqual(line["cached_tokens"], cached)
        self.assertTrue(line["stream"])


class Bytes(StreamCase):
    """What arrives is what was sent."""

    flags = defaults(NO_BREAKER)

    TEXT = (delta("caf\u00e9 \u6771\u4eac \U0001f30a") + b": a comment\r\n\r\n" +
            b'data: {"choices":[{"delta":{"content":"caf\xc3\xa9 \xf0\x9f\x8c\x8a"}}]}\r\n\r\n' +
            finish() + WITH_USAGE + DONE)

    def test_row_096_split_at_every_offset(self):
        data = (sse_head() + chunk(self.TEXT[:200]) + chunk(self.TEXT[200:]) + LAST_CHUNK)
        for cut in range(1, len(data)):
            answer = self.relay(data, [cut], **ASKED)
            self.assertTrue(answer.body == self.TEXT and answer.complete, (cut, answer))
        self.assert_usage(answer, 11, 5, 4)

    def test_row_096_byte_by_byte(self):
        data = (sse_head() + chunk(self.TEXT[:200]) + chunk(self.TEXT[200:]) + LAST_CHUNK)
        answer = self.relay(data, range(len(data)), **ASKED)
        self.assertEqual(answer.body, self.TEXT)
        self.assertTrue(answer.complete)
        self.assert_usage(answer, 11, 5, 4)

    def test_row_097_a_chunk_of_every_byte(self):
        # The chunks themselves cut through UTF-8, through CRLF and through "data:".
        body = b"".join(chunk(self.TEXT[i:i + 1]) for i in range(len(self.TEXT)))
        answer = self.relay(sse_head() + body + LAST_CHUNK, **ASKED)
        self.assertEqual(answer.body, self.TEXT)
        self.assertTrue(answer.complete)
        self.assert_usage(answer, 11, 5, 4)

    def test_row_098_every_form_of_line_end_and_field(self):
        usage = json.dumps({"choices": [], "usage": USAGE})
        lines = ["retry: 3000", "id: 7", ": comment", "data: {\"choices\":[]}", ""]
        bodies = {
            "LF": "\n".join([*lines, "data: " + usage, "", "data: [DONE]", "", ""]),
            "a comment inside": "data: " + usage + "\n: inside\n\ndata: [DONE]\n\n",
            "no space": "data:" + usage + "\n\ndata:[DONE]\n\n",
            "many lines": "data: {\ndata: " + usage[1:] + "\n\ndata: [DONE]\n\n",
            "empty data": "data\n\ndata:\n\ndata: " + usage + "\n\ndata: [DONE]\n\n",
            "a BOM": "\ufeffdata: " + usage + "\n\ndata: [DONE]\n\n",
            "unknown fields": "x: y\nx\nevent: message\ndata: " + usage + "\n\ndata: [DONE]\n\n",
            "empty lines": "\n\n\n\ndata: " + usage + "\n\n\n\ndata: [DONE]\n\n\n\n",
        }
        bodies["CRLF"] = bodies["LF"].replace("\n", "\r\n")
        bodies["CR"] = bodies["LF"].replace("\n", "\r")
        bodies["mixed"] = bodies["LF"].replace("\n", "\r\n", 3).replace("\ndata", "\rdata", 1)
        for what, text in bodies.items():
            with self.subTest(what):
                self.assert_usage(self.relay_body(text.encode(), **ASKED), 11, 5, 4)

    def test_row_099_odd_characters_in_data(self):
        for text in ('"\u2028\u2029\x85"', '"\\n\\n"', '"data: x\\n\\ndata: y"', '"\\u0000"'):
            with self.subTest(text):
                body = (f'data: {{"choices":[{{"delta":{{"content":{text}}}}}]}}\n\n'.encode() +
                        WITH_USAGE + DONE)
                self.assert_usage(self.relay_body(body, **ASKED), 11, 5, 4)
        self.relay_body(b'data: {"x":"\x00\x01\xff"}\n\n' + DONE, **ASKED)

    def test_row_101_done_inside_a_text_is_no_end(self):
        for text in ("[DONE]", "data: [DONE]", "\n\ndata: [DONE]\n\n"):
            with self.subTest(text):
                body = delta(text) + delta("more") + WITH_USAGE + DONE
                self.assert_usage(self.relay_body(body, **ASKED), 11, 5, 4)

                def script(peer, _, text=text):
                    peer.send(sse_head() + chunk(delta(text)))
                    peer.close()
                answer = self.stream_of(script)
                self.assertIn("error", json.loads(events(answer.body)[-1]))
                self.assertTrue(answer.complete)

    def test_row_104_an_end_without_done_is_relayed_as_it_is(self):
        for body in (delta("a") + finish(), b"", b": nothing\n\n"):
            with self.subTest(body):
                self.relay_body(body)

    def test_row_104_an_end_without_a_finish_reason_is_told(self):
        for more in ({}, ASKED):
            with self.subTest(more):
                body = delta("a") + delta("b")
                answer = self.relay(sse_head() + chunk(body) + LAST_CHUNK, **more)
                self.assertTrue(answer.body.startswith(body))
                self.assertIn("without a finish reason",
                              json.loads(events(answer.body[len(body):])[-1])["error"]["message"])
                self.assertTrue(answer.complete)
                self.assertEqual(self.logged(answer)["end"], "backend_error")
                self.backend.forget()
                self.assertEqual(self.client().ask(self.chat()).status, 200)

    def test_row_104_an_event_that_is_no_json_behind_others_is_told(self):
        body = delta("a")
        answer = self.relay(sse_head() + chunk(body + b"data: {nonsense\n\n" + delta("b") + DONE) +
                            LAST_CHUNK)
        self.assertTrue(answer.body.startswith(body))
        self.assertNotIn(b"nonsense", answer.body)
        self.assertIn("not JSON", json.loads(events(answer.body)[-1])["error"]["message"])
        self.assertTrue(answer.complete)
        self.assertEqual(self.logged(answer)["end"], "backend_error")

    def test_row_105_an_error_event_passes_and_nothing_behind_it(self):
        error = event({"error": {"code": 500, "message": "Context size", "type": "server_error"}})
        for tail in (b"", DONE, delta("b") + finish() + DONE):
            with self.subTest(tail):
                answer = self.relay(sse_head() + chunk(delta("a") + error + tail) + LAST_CHUNK)
                self.assertEqual((answer.status, answer.body, answer.complete),
                                 (200, delta("a") + error, True))
                self.assertEqual(self.logged(answer)["end"], "backend_error")

    def test_row_105_a_refusal_with_the_body_of_a_stream_passes(self):
        body = event({"error": {"message": "no", "type": "invalid_request_error"}}) + DONE
        answer = self.relay(head(400, "Bad Request", Content_Type="text/event-stream",
                                 Transfer_Encoding="chunked") + chunk(body) + LAST_CHUNK)
        self.assertEqual((answer.status, answer.body, answer.complete), (400, body, True))
        self.assertEqual(self.logged(answer)["status"], 400)

    def test_row_108_other_dialects_pass_unmodified(self):
        anthropic = b"".join([
            event({"type": "message_start", "message": {
                "id": "x", "role": "assistant", "content": [], "model": "m",
                "usage": {"input_tokens": 11, "output_tokens": 1}}}, "message_start"),
            event({"type": "ping"}, "ping"),
            event({"type": "content_block_start", "index": 0, "content_block": {
                "type": "tool_use", "id": "t", "name": "f", "input": {}}}, "content_block_start"),
            event({"type": "content_block_delta", "index": 0, "delta": {
                "type": "input_json_delta", "partial_json": "{\"a\":"}}, "content_block_delta"),
            event({"type": "content_block_delta", "index": 0, "delta": {
                "type": "thinking_delta", "thinking": "hm"}}, "content_block_delta"),
            event({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                   "usage": {"output_tokens": 5}}, "message_delta"),
            event({"type": "message_stop"}, "message_stop")])
        self.assert_usage(self.relay_body(anthropic, path="/v1/messages"), 11, 5)
        responses = b"".join([
            event({"type": "response.created", "response": {"id": "r", "output": []}},
                  "response.created"),
            event({"type": "response.output_text.delta", "delta": "hi"},
                  "response.output_text.delta"),
            event({"type": "response.completed", "response": {
                "id": "r", "usage": {"input_tokens": 11, "output_tokens": 5}}},
                  "response.completed")])
        self.assert_usage(self.relay_body(responses, path="/v1/responses"), 11, 5)
        tools = b"".join([
            event({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}),
            event({"choices": [{"index": 0, "delta": {"tool_calls": [{
                "index": 0, "id": "t", "type": "function",
                "function": {"name": "f", "arguments": "{\"a"}}]}}]}),
            finish("tool_calls"), DONE])
        self.relay_body(tools)

    def test_row_108_the_native_stream_of_llama_server_passes(self):
        body = (event({"content": "a", "stop": False}) +
                event({"content": "", "stop": True, "stop_type": "limit", "tokens_evaluated": 11,
                       "tokens_predicted": 5}))
        self.assert_usage(self.relay_body(body, path="/completion"), 11, 5)


class Sizes(StreamCase):

    def test_row_100_a_thousand_events_in_one_segment(self):
        body = b"".join(delta(f"word {i}") for i in range(1000)) + WITH_USAGE + DONE
        self.assert_usage(self.relay_body(body, **ASKED), 11, 5, 4)

    def big(self, size):
        """A stream with one event of that size, made piece by piece."""
        def script(peer, _):
            peer.send(sse_head() + chunk(delta("a")) + chunk(b'data: {"x":"'))
            for _ in range(size // 65536):
                peer.send(chunk(b"y" * 65536))
            peer.send(chunk(b'"}\n\n' + WITH_USAGE + DONE) + LAST_CHUNK)
        answer = self.stream_of(script, **ASKED)
        length, pieces = 0, []
        while part := answer.stream.read_some():
            length += len(part)
            pieces = [*pieces[-1:], part]
        self.assertTrue(answer.stream.complete)
        self.assertEqual(length, len(delta("a") + b'data: {"x":"' + b'"}\n\n' + WITH_USAGE + DONE) +
                         size // 65536 * 65536)
        self.assertTrue(b"".join(pieces).endswith(DONE))
        return answer

    def test_row_100_events_of_2_and_16_mib(self):
        for size in (2 << 20, 16 << 20):
            with self.subTest(size):
                answer = self.big(size)
                # What stands behind the event is read again.
                self.assert_usage(answer, 11, 5, 4)

    @memory_case
    def test_row_100_a_big_event_takes_bounded_memory(self):
        self.big(2 << 20)
        before = self.gateway.rss()
        peak = [before]
        stop = threading.Event()

        def watch():
            while not stop.wait(0.005):
                peak[0] = max(peak[0], self.gateway.rss())
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.big(64 << 20)
        finally:
            stop.set()
            watcher.join()
        self.assertLess(peak[0] - before, 4 << 20)


class Usage(StreamCase):

    def test_row_102_usage_in_every_place(self):
        first = {"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12}
        cases = {
            "only at the end": (delta("a", usage=None) + WITH_USAGE, (11, 5)),
            "in every event": (delta("a", usage=first) + delta("b", usage=USAGE), (11, 5)),
            "twice the same": (WITH_USAGE + WITH_USAGE, (11, 5)),
            "on the last piece of text": (delta("a") + delta("b", usage=USAGE), (11, 5)),
            "in timings": (delta("a") + delta("", timings={
                "cache_n": 4, "prompt_n": 7, "predicted_n": 5}), (11, 5)),
        }
        for what, (body, counts) in cases.items():
            with self.subTest(what):
                self.assert_usage(self.relay_body(body + DONE, **ASKED), *counts)

    def test_row_102_usage_of_zero_counts_as_nothing(self):
        zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        line = self.logged(self.relay_body(delta("a") + delta("b", usage=zero) + DONE, **ASKED))
        self.assertTrue(line["tokens_estimated"])
        self.assert_usage(self.relay_body(delta("a", usage=zero) + WITH_USAGE + DONE, **ASKED),
                          11, 5)

    def test_row_102_missing_usage_is_estimated_and_says_so(self):
        for body in (delta("a") + DONE, delta("a", usage=None) + DONE,
                     delta('"usage":{"prompt_tokens":999}') + DONE):
            line = self.logged(self.relay_body(body, **ASKED))
            self.assertTrue(line["tokens_estimated"])
            self.assertGreater(line["prompt_tokens"], 0)
            self.assertLess(line["prompt_tokens"], 100)
            # About one a piece, or by its bytes where it is longer than a token is.
            self.assertEqual(line["completion_tokens"], 8 if b"999" in body else 1)
        counted = self.logged(self.relay_body(delta("a") + WITH_USAGE + DONE, **ASKED))
        self.assertFalse(counted.get("tokens_estimated", False))

    def test_row_102_usage_of_answers_that_are_not_streamed(self):
        cases = {
            "/v1/chat/completions": ({"choices": [], "usage": USAGE}, (11, 5)),
            "/v1/embeddings": ({"data": [], "usage": {"prompt_tokens": 11, "total_tokens": 11}},
                               (11, 0)),
            "/v1/messages": ({"type": "message", "usage": {"input_tokens": 11, "output_tokens": 5}},
                             (11, 5)),
            "/v1/responses": ({"usage": {"input_tokens": 11, "output_tokens": 5}}, (11, 5)),
            "/completion": ({"content": "x", "tokens_evaluated": 11, "tokens_predicted": 5},
                            (11, 5)),
        }
        for path, (value, counts) in cases.items():
            with self.subTest(path):
                self.backend.forget(lambda peer, _, value=value: peer.send(json_answer(value)))
                answer = self.client().ask(request("POST", path, chat_body(), self.gateway.host))
                self.assertEqual(answer.json, value)
                line = self.logged(answer)
                self.assertEqual((line["prompt_tokens"], line["completion_tokens"] or 0), counts)
                self.assertFalse(line["stream"])

    def ask_for(self, cuts=(), **more):
        """A backend that tells usage only when asked; returns the answer."""
        def script(peer, seen):
            body = delta("a") + finish() + (usage_event(11, 5) if seen.wants_usage else b"") + DONE
            peer.send_in_pieces(sse_head() + chunk(body) + LAST_CHUNK, cuts)
        answer = self.stream_of(script, **more)
        self.assertTrue(answer.complete)
        return answer

    def test_row_103_usage_is_asked_for_and_the_extra_event_hidden(self):
        for more in ({}, {"stream_options": {}}, {"stream_options": {"include_usage": False}},
                     {"stream_options": None}, {"stream_options": {"include_obfuscation": False}}):
            with self.subTest(more):
                self.backend.requests.clear()
                answer = self.ask_for(**more)
                self.assertTrue(self.backend.requests[0].wants_usage)
                sent = self.backend.requests[0].json
                kept = (more.get("stream_options") or {}).items()
                self.assertEqual({**sent["stream_options"], "include_usage": None},
                                 {**dict(kept), "include_usage": None})
                self.assertEqual(answer.body, delta("a") + finish() + DONE)
                self.assert_usage(answer, 11, 5)

    def test_row_103_the_extra_event_is_hidden_however_it_is_cut(self):
        body = delta("a") + finish() + usage_event(11, 5) + DONE
        data = sse_head() + chunk(body) + LAST_CHUNK
        for cut in range(data.index(usage_event(11, 5)) - 3, len(data)):
            answer = self.ask_for([cut])
            self.assertTrue(answer.body == delta("a") + finish() + DONE, (cut, answer))
        answer = self.ask_for(range(len(data)))
        self.assertEqual(answer.body, delta("a") + finish() + DONE)

    def test_row_103_a_client_that_asks_gets_the_event(self):
        answer = self.ask_for(**ASKED)
        self.assertEqual(answer.body, delta("a") + finish() + usage_event(11, 5) + DONE)
        self.assert_usage(answer, 11, 5)

    def test_row_103_nothing_is_put_into_what_is_not_streamed(self):
        body = chat_body()
        self.client().ask(request("POST", "/v1/chat/completions", body, self.gateway.host))
        self.assertEqual(self.backend.requests[0].body, body)

    def test_row_103_no_other_byte_of_the_request_changes(self):
        body = b'{ "model" : "m", "x":[1.50,"\\u0041"],  "stream":true }\n'
        self.client().ask(request("POST", "/v1/chat/completions", body, self.gateway.host))
        seen = self.backend.requests[0].body
        # What was put in is one run; without it the body is the client's again.
        at = next(i for i, (a, b) in enumerate(itertools.zip_longest(seen, body)) if a != b)
        put_in = seen[at:at + len(seen) - len(body)]
        self.assertEqual(seen[:at] + seen[at + len(put_in):], body)
        self.assertIn(b"include_usage", put_in)


class Flush(StreamCase):

    def long_prefill(self, gateway, stream=True):
        """What a client hears within a second in which the backend says nothing, and then all."""
        go = threading.Event()

        def script(peer, _):
            go.wait(20)
            peer.send(sse_head() + chunk(delta("a")) + chunk(DONE) + LAST_CHUNK)
        self.backend.forget(script)
        with gateway.client() as client:
            client.send(chat_request(host=gateway.host, stream=stream))
            self.backend.wait_requests(1)
            silent = client.silent_for(1.0)
            go.set()
            answer = client.read()
            _ = answer.body
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.complete)
        return silent, answer.body

    def test_row_106_a_streaming_client_hears_that_it_waits(self):
        self.assertEqual(self.long_prefill(self.gateway),
                         (False, b": waiting\n\n" + delta("a") + DONE))

    def test_row_106_nothing_is_said_to_others_or_where_that_is_switched_off(self):
        silent, _ = self.long_prefill(self.gateway, stream=False)
        self.assertTrue(silent)
        gateway = Gateway("--model", f"m={self.backend.url}", *defaults(NO_NOTICES))
        self.addCleanup(gateway.stop)
        self.assertEqual(self.long_prefill(gateway), (True, delta("a") + DONE))

    def test_row_106_comments_of_the_backend_pass(self):
        self.relay_body(b":\n\n: ping\n\n" + delta("a") + b":\n\n" + DONE)

    def test_row_107_each_event_arrives_before_the_next_is_sent(self):
        seconds = []

        def lockstep():
            arrived = threading.Semaphore(0)

            def script(peer, _):
                peer.send(sse_head())
                for number in range(200):
                    began = time.monotonic()
                    peer.send(chunk(delta(f"word {number:04}")))
                    if not arrived.acquire(timeout=20):
                        return
                    seconds.append(time.monotonic() - began)
                peer.send(chunk(DONE) + LAST_CHUNK)
            seconds.clear()
            answer = self.stream_of(script)
            for number in range(200):
                answer.read_until(b"word %04d" % number)
                arrived.release()
            self.assertTrue(answer.complete)
            return statistics.median(seconds)
        # A delayed segment costs 40 ms (Nagle and delayed acknowledgement), a batching timer its
        # period; a relay on loopback takes far less than this.
        print(f"     median of an event's way: {best_of(lockstep, 0.005) * 1e6:.0f} us", flush=True)

    def test_row_107_the_head_is_sent_on_with_the_first_event_at_the_latest(self):
        def script(peer, _):
            peer.send(sse_head() + chunk(delta("one")))
            done.wait(20)
            peer.send(chunk(DONE) + LAST_CHUNK)
        done = threading.Event()
        answer = self.stream_of(script)
        answer.read_until(b"one")
        done.set()
        self.assertTrue(answer.complete)
        line = self.logged(answer)
        self.assertGreater(line["ttft_us"], 0)
        self.assertLessEqual(line["ttft_us"], line["duration_us"])
        wait_until(lambda: line["end"] == "ok", "the end is logged")


if __name__ == "__main__":
    main()
