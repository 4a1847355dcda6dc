#!/usr/bin/env python3
"""Status 200 with an error inside (R8): a document, or a stream before its first word."""

import json
import threading

from backend import (DONE, LAST_CHUNK, answer_chat, chunk, delta, event, finish, head, json_answer,
                     sse_head)
from harness import chat_request, main
from pool_case import PoolCase, backend
from test_reading import choice

ERRORS = {  # what stands in a 200, and the status that it says
    "llama-server": ({"error": {"code": 500, "message": "CUDA error: out of memory",
                                "type": "server_error"}}, 500),
    "a text": ({"error": "model runner has unexpectedly stopped"}, 500),
    "Anthropic": ({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, 529),
    "vLLM, older": ({"object": "error", "message": "no", "type": "x", "code": 503}, 503),
    "a code in a text": ({"error": {"message": "no", "code": "429"}}, 429),
    "beside nulls": ({"id": None, "choices": None, "error": {"message": "no", "code": 502}}, 502),
    "beside an empty list": ({"choices": [], "error": {"message": "no"}}, 500),
    "too long": ({"error": {"message": "prompt is too long: 9 tokens > 4 maximum"}}, 400),
    "a client's": ({"error": {"message": "no", "type": "invalid_request_error"}}, 400),
}


class Disguised(PoolCase):
    """Status 200 and an error inside."""

    def pair(self, script, **more):
        bad, good = self.scripted(script), self.scripted(answer_chat)
        return bad, good, self.gateway({"m": {
            "balance": "round-robin", "health": {"probe": "off"}, "breaker": {"failures": 2},
            "backends": [backend(bad), backend(good, priority=1)], **more}})

    def alone(self, script, **more):
        bad = self.scripted(script)
        return bad, self.gateway({"m": {"backends": [backend(bad)], "health": {"probe": "off"},
                                        "breaker": {"failures": 0, "error_rate": 0}, **more}})

    def line(self, gateway, told):
        return gateway.logged(id=told.answer.field("x-request-id"))

    def test_R8_a_document_that_is_an_error_has_the_status_that_it_says(self):
        now = []
        _, gateway = self.alone(lambda peer, _: now[0](peer))
        for what, (body, status) in ERRORS.items():
            raw = json.dumps(body).encode()
            ways = {
                "a length": json_answer(raw),
                "chunks": head(Content_Type="application/json", Transfer_Encoding="chunked") +
                          chunk(raw) + LAST_CHUNK,
                "bytes": head(Content_Type="application/json; charset=utf-8",
                              Transfer_Encoding="chunked") +
                         b"".join(chunk(raw[i:i + 1]) for i in range(len(raw))) + LAST_CHUNK,
                "no type": head(Content_Length=len(raw)) + raw,
                "plain": head(Content_Type="text/plain", Content_Length=len(raw)) + raw,
            }
            for way, data in ways.items():
                for stream in (False, True):
                    with self.subTest(what, way=way, stream=stream):
                        now[:] = [lambda peer, data=data: peer.send(data)]
                        told = self.ask(gateway, stream=stream)
                        self.assertEqual((told.status, json.loads(told.body)), (status, body))
                        self.assertEqual(self.line(gateway, told)["end"], "backend_error")

    def test_R8_another_backend_is_asked_and_the_breaker_hears_of_it(self):
        failing = json_answer({"error": {"message": "no GPU is left", "code": 503}})
        for stream in (False, True):
            with self.subTest(stream=stream):
                bad, good, gateway = self.pair(lambda peer, _: peer.send(failing))
                for _ in range(6):
                    told = self.ask(gateway, stream=stream)
                    self.assert_served(told)
                    self.assertEqual(self.line(gateway, told)["backend"], good.url)
                self.assertEqual(len(bad.requests), 2)

    def test_R8_an_error_before_the_first_word_of_a_stream_is_a_refusal(self):
        error = {"error": {"message": "no slot", "type": "unavailable_error", "code": 503}}
        begins = {"at once": b"", "behind a ping": b": ping\n\n",
                  "behind an empty data": b"data:\n\n",
                  "behind a role": choice(0, role="assistant"),
                  "behind all of them": b": x\n\n" + choice(0, role="assistant") + b"data:\n\n"}
        for what, begin in begins.items():
            for kind in ("text/event-stream", "text/plain"):
                with self.subTest(what, kind=kind):
                    body = begin + event(error) + DONE

                    def script(peer, _, body=body, kind=kind):
                        peer.send(head(Content_Type=kind, Transfer_Encoding="chunked") +
                                  chunk(body) + LAST_CHUNK)
                    bad, good, gateway = self.pair(script)
                    for _ in range(4):
                        self.assert_served(self.ask(gateway, stream=True))
                    self.assertEqual(len(bad.requests), 2)
                    _, single = self.alone(script)
                    told = self.ask(single, stream=True)
                    self.assertEqual((told.status, json.loads(told.body)), (503, error))

    # What may stand before the first word, and an error in its place, with the status it says.
    CREATED = [event({"type": "response." + name, "sequence_number": number, "response": {
        "id": "resp_7", "status": "in_progress", "output": []}}, "response." + name)
               for number, name in enumerate(("created", "queued", "in_progress"))]
    ITEM = event({"type": "response.output_item.added", "sequence_number": 3, "item": {
        "type": "message", "content": []}}, "response.output_item.added")
    STARTED = [event({"type": "message_start", "message": {"id": "x", "usage": {
        "input_tokens": 7, "output_tokens": 1}}}, "message_start"),
               event({"type": "ping"}, "ping"),
               event({"type": "content_block_start", "index": 0, "content_block": {
                   "type": "text", "text": ""}}, "content_block_start")]
    NATIVE = event({"index": 0, "content": "", "tokens": [], "stop": False})
    EMPTY_LINE = json.dumps({"model": "m", "message": {"role": "assistant", "content": ""},
                             "done": False}).encode() + b"\n"
    LATE = {
        "chat": ("/v1/chat/completions",
                 [b": ping\n\n", b"data:\n\n", choice(0, role="assistant"), choice(0, "")],
                 event({"error": {"message": "no slot", "type": "unavailable_error",
                                  "code": 503}}), 503),
        "a context": ("/v1/chat/completions", [choice(0, role="assistant", content=None)],
                      event({"error": {"message": "Context size has been exceeded.",
                                       "type": "server_error"}}), 500),
        "completions": ("/v1/completions", [event({"choices": [{"index": 0, "text": ""}]})],
                        event({"error": "no GPU is left"}), 500),
        "messages": ("/v1/messages", STARTED, event({"type": "error", "error": {
            "type": "overloaded_error", "message": "x"}}, "error"), 529),
        "responses": ("/v1/responses", [*CREATED, ITEM], event({
            "type": "error", "code": "rate_limit_exceeded", "message": "x", "param": None,
            "sequence_number": 4}, "error"), 429),
        "a failed one": ("/v1/responses", CREATED, event({
            "type": "response.failed", "sequence_number": 3, "response": {
                "id": "resp_7", "status": "failed",
                "error": {"code": "server_error", "message": "x"}}}, "response.failed"), 500),
        "native": ("/completion", [NATIVE], event({"error": {
            "code": 503, "message": "Loading model", "type": "unavailable_error"}}), 503),
        "Ollama's chat": ("/api/chat", [EMPTY_LINE], b'{"error":"no GPU is left"}\n', 500),
        "Ollama's, at once": ("/api/chat", [], b'{"error":"no GPU is left"}\n', 500),
        "Ollama's generate": ("/api/generate", [], b'{"error":"model requires more system memory '
                              b'(9.9 GiB) than is available (7.6 GiB)"}\n', 503),
        "another's there": ("/api/generate", [], b'{"error":{"message":"no","code":429}}\n', 429),
    }

    def assert_refused(self, gateway, path, status, settled):
        told = self.ask(gateway, path=path, stream=True, input="x", prompt="x")
        self.assertEqual(told.status, status, told)
        self.assertEqual(told.answer.field("content-type"), "application/json")
        error = json.loads(told.body)["error"]
        self.assertTrue(error if isinstance(error, str) else error["message"])
        if path.startswith("/api/"):
            self.assertIsInstance(error, str)
        advice = "false" if settled else "true" if status == 429 else None
        self.assertEqual(told.answer.field("x-should-retry"), advice)
        line = self.line(gateway, told)
        self.assertEqual((line["end"], line["status"]), ("backend_error", status))

    def late(self, path, begins, error, framing):
        """A script that sends each part when the one before was read."""
        lines = path.startswith("/api/")
        kind = "application/x-ndjson" if lines else "text/event-stream"
        pieces = [*begins, error + (b"" if lines else DONE)]
        if framing == "no last end of a line":
            pieces[-1] = error.rstrip(b"\n")
        if framing == "until the close":
            wire = [head(Content_Type=kind, Connection="close"), *pieces]
        else:
            wire = [head(Content_Type=kind, Transfer_Encoding="chunked"), *map(chunk, pieces),
                    LAST_CHUNK]
        cuts = [sum(map(len, wire[:i])) for i in range(1, len(wire))]

        def script(peer, _):
            peer.send_in_pieces(b"".join(wire), cuts)
            if framing == "until the close":
                peer.close()
        return script

    def test_R8_an_error_that_comes_later_but_before_the_first_word_is_one_all_the_same(self):
        now = []
        for what, (path, begins, error, status) in self.LATE.items():
            for queue in ({"notice_first": "20s"}, {"notice_first": 0}):
                _, alone = self.alone(lambda peer, asked: now[0](peer, asked), queue=queue)
                for framing in ("chunks", "until the close", "no last end of a line"):
                    with self.subTest(what, framing=framing, queue=queue):
                        now[:] = [self.late(path, begins, error, framing)]
                        self.assert_refused(alone, path, status, settled=what == "a context")

    def test_R8_an_error_that_comes_later_is_no_reason_not_to_ask_another(self):
        for what, (path, begins, error, _) in self.LATE.items():
            if what == "a context":
                continue  # both have the same
            with self.subTest(what):
                _, good, gateway = self.pair(self.late(path, begins, error, "chunks"),
                                             queue={"notice_first": "20s"})
                told = self.ask(gateway, path=path, stream=True, input="x", prompt="x")
                self.assertEqual(told.status, 200)
                self.assertEqual(self.line(gateway, told)["backend"], good.url)

    def test_R8_a_stream_that_ends_before_its_first_word_is_a_failure(self):
        for path, begin in (("/v1/chat/completions", choice(0, role="assistant")),
                            ("/v1/messages", self.STARTED[0]), ("/v1/responses", self.CREATED[0])):
            for what in ("a close", "a reset"):
                with self.subTest(path, what=what):
                    def script(peer, _, begin=begin, what=what):
                        data = sse_head() + chunk(begin)
                        peer.send_in_pieces(data + b"5", [len(data)])
                        peer.reset() if what == "a reset" else peer.close()
                    _, gateway = self.alone(script, queue={"notice_first": "20s"})
                    told = self.ask(gateway, path=path, stream=True, input="x")
                    self.assertEqual(told.status, 502, told)
                    self.assertTrue(json.loads(told.body)["error"]["message"])

    def read_until(self, answer, wanted):
        got = b""
        while wanted not in got:
            part = answer.read_some()
            self.assertTrue(part, got)
            got += part
        return got

    def test_R8_the_begin_is_held_back_until_the_next_heartbeat_at_most(self):
        error = event({"error": {"message": "no slot", "code": 503}})
        for path, begin, notices in (
                ("/v1/chat/completions", choice(0, role="assistant"), {"heartbeat": "300ms"}),
                ("/v1/responses", self.CREATED[0], {"heartbeat": "300ms"}),
                ("/v1/messages", self.STARTED[0], {"queue": {"notice_every": "300ms"}}),
                ("/v1/chat/completions", b": ping\n\n", {"queue": {"notice_first": "300ms"}})):
            with self.subTest(path, begin=begin):
                seen = threading.Event()

                def script(peer, _, begin=begin, seen=seen):
                    peer.send(sse_head() + chunk(begin))
                    seen.wait(20)
                    peer.send(chunk(error) + LAST_CHUNK)
                _, gateway = self.alone(script, **notices)
                with gateway.client() as client:
                    client.send(chat_request(gateway.host, path=path, stream=True, input="x"))
                    answer = client.read()
                    got = self.read_until(answer, begin)
                    seen.set()
                    while part := answer.read_some():
                        got += part
                self.assertEqual(answer.status, 200)
                self.assertTrue(answer.complete)
                self.assertIn(b"no slot", got)
                self.assertEqual(got.count(begin), 1)

    def test_R8_a_client_hears_that_it_waits_though_the_server_has_begun(self):
        for pool in (False, True):
            with self.subTest(pool=pool):
                heard = threading.Event()

                def script(peer, _, heard=heard):
                    peer.send(sse_head() + chunk(choice(0, role="assistant")))
                    heard.wait(20)
                    peer.send(chunk(delta("a")) + chunk(finish()) + chunk(DONE) + LAST_CHUNK)
                gateway = self.alone(script)[1] if not pool else self.pair(script)[2]
                with gateway.client() as client:
                    client.send(chat_request(gateway.host, stream=True))
                    answer = client.read()
                    got = self.read_until(answer, b": waiting" if pool else b"assistant")
                    self.assertNotIn(b'"content":"a"', got.replace(b" ", b""))
                    heard.set()
                    while part := answer.read_some():
                        got += part
                self.assertEqual((answer.status, answer.complete), (200, True))
                self.assertEqual(got.count(b"assistant"), 1)
                self.assertIn(b"[DONE]", got)

    def test_R8_what_is_of_use_before_the_first_word_is_not_held_back(self):
        progress = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None},
                                       "finish_reason": None}], "object": "chat.completion.chunk",
                          "prompt_progress": {"total": 9, "cache": 0, "processed": 4}})
        search = event({"type": "response.web_search_call.searching", "sequence_number": 3,
                        "output_index": 0, "item_id": "ws"}, "response.web_search_call.searching")
        for path, begin, sign, rest in (
                ("/v1/chat/completions", b"", progress, delta("a") + finish() + DONE),
                ("/v1/chat/completions", choice(0, role="assistant"), progress,
                 delta("a") + finish() + DONE),
                ("/v1/responses", self.CREATED[0], search, event(
                    {"type": "response.completed", "response": {}}, "response.completed")),
                ("/completion", b"", event({"content": "", "stop": False, "prompt_progress": {
                    "total": 9, "processed": 4}}), event({"content": "a", "stop": True}))):
            with self.subTest(path, begin=begin):
                seen = threading.Event()

                def script(peer, _, begin=begin, sign=sign, rest=rest, seen=seen):
                    peer.send(sse_head() + (chunk(begin) if begin else b""))
                    peer.send(chunk(sign))
                    if seen.wait(20):
                        peer.send(chunk(rest) + LAST_CHUNK)
                _, gateway = self.alone(script, queue={"notice_first": "60s"}, heartbeat="60s")
                with gateway.client() as client:
                    client.send(chat_request(gateway.host, path=path, stream=True, input="x"))
                    answer = client.read()
                    got = self.read_until(answer, sign)
                    seen.set()
                    while part := answer.read_some():
                        got += part
                self.assertEqual((answer.status, got, answer.complete),
                                 (200, begin + sign + rest, True))

    def test_R8_what_is_an_answer_stays_one(self):
        now = []
        _, gateway = self.alone(lambda peer, _: peer.send(json_answer(now[0])))
        said = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "error"},
                             "finish_reason": "stop"}]}
        for body in ({**said, "error": None}, {"error": None, **said},
                     {"error": {"message": "a warning"}, **said}, {**said, "error": "a warning"},
                     {"object": "list", "data": [{"embedding": [0.5] * 2000}]},
                     {"id": "x" * 3000, "content": "the \"error\" of my ways"}, {}, [],
                     {"choices": [{"index": 0, "message": {"content": "x" * 100_000}}]}):
            with self.subTest(str(body)[:60]):
                now[:] = [json.dumps(body).encode()]
                told = self.ask(gateway)
                self.assertEqual((told.status, told.body, told.complete), (200, now[0], True))
                self.assertEqual(self.line(gateway, told)["end"], "ok")

    def test_R8_the_begin_of_a_long_answer_is_not_held_back(self):
        begin, rest = b'{"object":"list","data":[' + b"1," * 1000, b"1]}"

        def script(peer, _):
            peer.send(head(Content_Type="application/json", Transfer_Encoding="chunked") +
                      chunk(begin))
            seen.wait(10)
            peer.send(chunk(rest) + LAST_CHUNK)
        seen = threading.Event()
        _, gateway = self.alone(script)
        with gateway.client() as client:
            client.send(chat_request(gateway.host))
            answer = client.read()
            got = b""
            while len(got) < len(begin):
                got += answer.read_some()
            seen.set()
            while part := answer.read_some():
                got += part
        self.assertEqual((answer.status, got, answer.complete), (200, begin + rest, True))


if __name__ == "__main__":
    main()
