#!/usr/bin/env python3
"""How answers are read: rows R9 and R10 of the fault list."""

import gzip
import json
import threading

from backend import (DONE, LAST_CHUNK, answer_chat, chunk, delta, event, finish, head, json_answer,
                     sse_head, usage_event)
from harness import NO_BREAKER, chat_request, defaults, events, main
from pool_case import PoolCase, backend
from test_stream import StreamCase

BEATS = {
    "an empty data": b"data:\n\n",
    "a blank data": b"data: \n\n",
    "data alone": b"data\n\n",
    "a named ping with text": b"event: ping\ndata: ping\n\n",
    "a named ping with half a value": b"event: ping\ndata: {\n\n",
    "a named ping without data": b"event: ping\n\n",
    "another name": b"event: keepalive\ndata: 3 ahead\n\n",
    "an id": b"id: 7\n\n",
    "a time to retry": b"retry: 3000\n\n",
    "with CRLF": b"event: ping\r\ndata: x\r\n\r\n",
}
UNTIL_CLOSE = head(Content_Type="text/event-stream", Connection="close")


def choice(index, text=None, reason=None, **more):
    said = {} if text is None else {"content": text}
    return event({"object": "chat.completion.chunk", "choices": [
        {"index": index, "delta": {**said, **more}, "finish_reason": reason}]})


CALL = choice(0, tool_calls=[{"index": 0, "id": "t", "type": "function",
                              "function": {"name": "f", "arguments": "{"}}])


class Events(StreamCase):
    """Which events are errors, and which ends are ends."""

    flags = defaults(NO_BREAKER)

    def assert_whole(self, data, body):
        answer = self.relay(data)
        self.assertEqual((answer.status, answer.body, answer.complete), (200, body, True))
        self.assertEqual(self.logged(answer)["end"], "ok")

    def assert_broken(self, data, begin):
        answer = self.relay(data)
        self.assertTrue(answer.body.startswith(begin), answer.body)
        self.assertIn("error", json.loads(events(answer.body)[-1]))
        self.assertNotIn(b"[DONE]", answer.body[len(begin):])
        self.assertEqual(self.logged(answer)["end"], "backend_error")

    def test_R10_signs_of_life_pass_anywhere(self):
        for what, beat in BEATS.items():
            for more in ({}, {"stream_options": {"include_usage": True}}):
                with self.subTest(what, **more):
                    body = beat.join([b"", delta("a"), delta("b"), finish(), DONE])
                    answer = self.relay(sse_head() + chunk(body) + LAST_CHUNK, **more)
                    self.assertEqual((answer.body, answer.complete), (body, True))
                    line = self.logged(answer)
                    self.assertEqual((line["end"], line["completion_tokens"]), ("ok", 2))

    def test_R10_signs_of_life_pass_in_other_dialects(self):
        for beat in (BEATS["an empty data"], BEATS["a named ping with text"], BEATS["an id"]):
            with self.subTest(beat):
                body = beat.join([
                    event({"type": "message_start", "message": {
                        "usage": {"input_tokens": 11, "output_tokens": 1}}}, "message_start"),
                    event({"type": "content_block_delta", "index": 0, "delta": {
                        "type": "text_delta", "text": "a"}}, "content_block_delta"),
                    event({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                           "usage": {"output_tokens": 5}}, "message_delta"),
                    event({"type": "message_stop"}, "message_stop")])
                self.assert_usage(self.relay_body(body, path="/v1/messages"), 11, 5)

    def test_R10_an_end_mark_may_have_white_space_around_it(self):
        text = delta("a")
        for mark in (b"data: [DONE] \n\n", b"data:   [DONE]\n\n", b"data: [DONE]\t\r\n\r\n"):
            with self.subTest(mark):
                self.assert_whole(sse_head() + chunk(text + mark) + LAST_CHUNK, text + mark)
                self.assert_whole(UNTIL_CLOSE + text + mark, text + mark)

    def test_R10_an_end_mark_before_the_close_needs_no_empty_line(self):
        text = delta("a")
        for mark in (b"data: [DONE]\n", b"data: [DONE]", b"data: [DONE]\r\n", b"data: [DONE] \n"):
            with self.subTest(mark):
                self.assert_whole(sse_head() + chunk(text + mark) + LAST_CHUNK, text + mark)
                self.assert_whole(UNTIL_CLOSE + text + mark, text + mark)

    def test_R10_a_finish_reason_before_the_close_is_an_end(self):
        for body in (delta("a") + finish(), delta("a") + finish() + b": bye\n\n",
                     choice(0, "a", "stop"), choice(0, "a") + choice(1, "b") +
                     choice(1, reason="stop") + choice(0, reason="length")):
            with self.subTest(body):
                self.assert_whole(UNTIL_CLOSE + body, body)
                self.assert_whole(sse_head() + chunk(body) + LAST_CHUNK, body)

    def test_R10_a_choice_without_its_own_end_is_cut(self):
        a, b = choice(0, "a"), choice(1, "b")
        for body in (a + b + choice(0, reason="stop"), a + b + choice(1, reason="stop"),
                     a + choice(1, role="assistant") + choice(0, reason="stop"),
                     a + choice(0, reason="stop") + b, a + finish() + CALL,
                     CALL + finish("tool_calls") + CALL):
            with self.subTest(body):
                self.assert_broken(sse_head() + chunk(body) + LAST_CHUNK, body)
                self.assert_broken(UNTIL_CLOSE + body, body)

    def test_R10_a_half_event_behind_a_finish_reason_is_cut(self):
        whole = delta("a") + finish()
        half = b'data: {"choices":[{"de'
        for end in (b"", b"\n", b"\r\n"):
            self.assert_broken(UNTIL_CLOSE + whole + half + end, whole)
            self.assert_broken(sse_head() + chunk(whole + half + end) + LAST_CHUNK, whole)

    def test_R10_a_finish_reason_before_the_close_needs_no_empty_line(self):
        last = finish().rstrip(b"\n")
        for begin, last in ((delta("a"), last), (b"", choice(0, "a", "stop").rstrip(b"\n")),
                            (choice(0, "a") + choice(1, "b") + choice(1, reason="stop"),
                             choice(0, reason="length").rstrip(b"\n")),
                            (delta("a"), b"id: 7\n" + last), (delta("a"), last + b"\nid: 7"),
                            (delta("a") + finish(), usage_event(11, 1).rstrip(b"\n")),
                            (delta("a") + finish(), b": bye"), (delta("a") + finish(), b"id: 7")):
            for end in (b"", b"\n", b"\r\n", b"\r"):
                with self.subTest(begin=begin, last=last, end=end):
                    body = begin + last + end
                    asks = {"stream_options": {"include_usage": True}}
                    for data in (sse_head() + chunk(body) + LAST_CHUNK,
                                 sse_head() + chunk(body[:-5]) + chunk(body[-5:]) + LAST_CHUNK,
                                 UNTIL_CLOSE + body):
                        answer = self.relay(data, **asks)
                        self.assertEqual((answer.status, answer.body, answer.complete),
                                         (200, body, True))
                        self.assertEqual(self.logged(answer)["end"], "ok")

    def test_R10_the_same_in_other_dialects(self):
        text = event({"type": "content_block_delta", "index": 0, "delta": {
            "type": "text_delta", "text": "a"}}, "content_block_delta")
        stop = event({"type": "message_stop"}, "message_stop")
        said = event({"type": "response.output_text.delta", "delta": "a", "sequence_number": 1},
                     "response.output_text.delta")
        done = event({"type": "response.completed", "sequence_number": 2, "response": {
            "id": "r", "usage": {"input_tokens": 11, "output_tokens": 1}}}, "response.completed")
        for path, begin, last in (("/v1/messages", text, stop), ("/v1/responses", said, done),
                                  ("/completion", event({"content": "a", "stop": False}),
                                   event({"content": "", "stop": True}))):
            for cut in (1, 2):
                with self.subTest(path, cut=cut):
                    body = begin + last[:-cut]
                    for data in (sse_head() + chunk(body) + LAST_CHUNK, UNTIL_CLOSE + body):
                        answer = self.relay(data, path=path)
                        self.assertEqual((answer.body, answer.complete), (body, True))
                        line = self.logged(answer)
                        self.assertEqual(line["end"], "ok")
                        if path == "/v1/responses":
                            self.assertEqual(line["prompt_tokens"], 11)

    def test_R10_what_was_asked_for_is_hidden_without_its_empty_line_too(self):
        text = delta("a") + finish()
        for end in (b"", b"\n"):
            last = usage_event(11, 1).rstrip(b"\n") + end
            for data in (sse_head() + chunk(text + last) + LAST_CHUNK,
                         sse_head() + chunk(text) + chunk(last[:9]) + chunk(last[9:]) + LAST_CHUNK,
                         UNTIL_CLOSE + text + last):
                with self.subTest(data):
                    answer = self.relay(data)
                    self.assertEqual((answer.body, answer.complete), (text, True))
                    self.assert_usage(answer, 11, 1)

    def test_R10_an_error_without_its_empty_line_is_told(self):
        own = {"error": {"message": "no slot", "type": "server_error", "code": 503, "n": 1}}
        for end in (b"", b"\n"):
            last = event(own).rstrip(b"\n") + end
            for data in (sse_head() + chunk(delta("a") + last) + LAST_CHUNK,
                         UNTIL_CLOSE + delta("a") + last):
                with self.subTest(data):
                    answer = self.relay(data)
                    self.assertTrue(answer.body.startswith(delta("a")), answer)
                    (told,) = events(answer.body[len(delta("a")):])
                    self.assertLessEqual(own["error"].items(), json.loads(told)["error"].items())
                    self.assertEqual(self.logged(answer)["end"], "backend_error")


class Additions(PoolCase):
    """What the gateway adds to a request of a client."""

    TEXT = delta("a") + finish()

    def case(self, script):
        server = self.scripted(script)
        return server, self.gateway({"m": {"backends": [backend(server)],
                                           "health": {"probe": "off"},
                                           "breaker": {"failures": 1}}})

    REFUSALS = {
        "by name": (400, {"error": {"message": "Unrecognized request argument: stream_options"}}),
        "pydantic": (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"],
                                       "msg": "Extra inputs are not permitted"}]}),
        "not by name": (422, {"detail": "Unexpected fields in the request: ..."}),
        "no reason": (400, {"error": {"message": "Bad Request"}}),
        "no body": (400, b""),
        "as a fault": (500, {"error": "unknown field: include_usage of stream_options"}),
        "in a 200": (200, {"error": {"message": "unknown parameter: stream_options", "code": 400}}),
    }

    def test_R9_what_a_server_refuses_is_not_added_for_it_any_more(self):
        for what, (status, body) in self.REFUSALS.items():
            with self.subTest(what):
                def script(peer, seen, status=status, body=body):
                    if "stream_options" in seen.json:
                        return peer.send(json_answer(body, status, "No"))
                    return peer.send(sse_head() + chunk(self.TEXT + DONE) + LAST_CHUNK)
                server, gateway = self.case(script)
                for asked in (2, 3, 4):
                    told = self.ask(gateway, stream=True)
                    self.assertEqual((told.status, told.body), (200, self.TEXT + DONE))
                    self.assertEqual(len(server.requests), asked)
                    line = gateway.logged(id=told.answer.field("x-request-id"))
                    self.assertEqual((line["end"], line["status"], line.get("hops")),
                                     ("ok", 200, None))
                self.assertEqual(len(self.happened(gateway, "addition_refused",
                                                   backend=server.url)), 1)

    def test_R9_a_refusal_for_another_cause_is_passed_and_nothing_is_remembered(self):
        other = {"error": {"message": "temperature must be below 2",
                           "type": "invalid_request_error"}}
        for body, tries in ((other, 1), ({"error": {"message": "Bad Request"}}, 2)):
            with self.subTest(body):
                now = [json_answer(body, 400, "No")]
                server, gateway = self.case(lambda peer, _: peer.send(now[0]))
                told = self.ask(gateway, stream=True)
                self.assertEqual((told.status, json.loads(told.body)), (400, body))
                self.assertEqual(len(server.requests), tries)
                now[:] = [sse_head() + chunk(self.TEXT + DONE) + LAST_CHUNK]
                self.assertEqual(self.ask(gateway, stream=True).status, 200)
                self.assertTrue(server.requests[-1].wants_usage)
                self.assertEqual(self.happened(gateway, "addition_refused"), [])

    def test_R9_a_client_that_asks_by_itself_gets_the_refusal(self):
        body = {"error": {"message": "Unrecognized request argument: stream_options"}}
        server, gateway = self.case(lambda peer, _: peer.send(json_answer(body, 400, "No")))
        told = self.ask(gateway, stream=True, stream_options={"include_usage": True})
        self.assertEqual((told.status, json.loads(told.body)), (400, body))
        self.assertEqual(len(server.requests), 1)

    def test_R9_what_was_asked_for_is_hidden_whatever_the_type(self):
        whole = self.TEXT + usage_event(11, 5) + DONE
        now = []
        _, gateway = self.case(lambda peer, _: now[0](peer))
        for fields in ({}, *({"Content_Type": label} for label in self.LABELS)):
            begins = (b"", b"\n", b": hello\n\n", b"\xef\xbb\xbf", b"event: message\n")
            for begin in begins if "json" in str(fields) else begins[:1]:
                for cuts in ((), range(1, 500)):
                    with self.subTest(fields, begin=begin, cuts=cuts):
                        def script(peer, fields=fields, begin=begin, cuts=cuts):
                            peer.send_in_pieces(head(Transfer_Encoding="chunked", **fields) +
                                                chunk(begin + whole) + LAST_CHUNK, cuts)
                        now[:] = [script]
                        told = self.ask(gateway, stream=True)
                        self.assertEqual((told.status, told.body), (200, begin + self.TEXT + DONE))
                        line = gateway.logged(id=told.answer.field("x-request-id"))
                        self.assertEqual((line["prompt_tokens"], line["completion_tokens"]),
                                         (11, 5))
                        self.assertEqual(line["end"], "ok")

    LABELS = ("text/event-stream", "text/event-stream; charset=utf-8", "text/plain",
              "text/plain; charset=utf-8", "application/octet-stream", "application/json",
              "application/json; charset=utf-8", "application/x-ndjson", "application/jsonl",
              "text/html", "text/html; charset=utf-8", "application/stream+json", "nonsense")

    def test_R9_also_where_the_event_has_the_name_of_those_without_one(self):
        named = usage_event(11, 5).replace(b"data:", b"event: message\ndata:", 1)
        _, gateway = self.case(lambda peer, _: peer.send(
            sse_head() + chunk(self.TEXT + named + DONE) + LAST_CHUNK))
        self.assertEqual(self.ask(gateway, stream=True).body, self.TEXT + DONE)

    def test_R9_what_is_no_stream_under_any_label_is_passed_as_it_is(self):
        now = []
        _, gateway = self.case(lambda peer, _: now[0](peer))
        document = json.dumps({"choices": [{"index": 0, "message": {
            "role": "assistant", "content": "hi"}, "finish_reason": "stop"}], "usage": {
                "prompt_tokens": 11, "completion_tokens": 5}}).encode()
        for label in ("text/plain", "application/json", "application/x-ndjson", "text/html"):
            for body in (document, b" \n" + document, b"<html><body>503</body></html>", b"Hello.",
                         document + b"\n"):
                for framing in ("length", "chunks"):
                    for cuts in ((), range(1, 500)):
                        with self.subTest(label, body=body, framing=framing, cuts=cuts):
                            def script(peer, label=label, body=body, framing=framing, cuts=cuts):
                                data = (head(Content_Type=label, Content_Length=len(body)) + body
                                        if framing == "length" else
                                        head(Content_Type=label, Transfer_Encoding="chunked") +
                                        chunk(body) + LAST_CHUNK)
                                peer.send_in_pieces(data, cuts)
                            now[:] = [script]
                            told = self.ask(gateway, stream=True)
                            self.assertEqual((told.status, told.body, told.complete),
                                             (200, body, True))

    def test_R9_behind_a_notice_a_document_is_no_stream(self):
        release = threading.Event()

        def script(peer, _):
            release.wait(20)
            peer.send(json_answer({"choices": [{"message": {"content": "hi"}}]}))
        server = self.scripted(script)
        gateway = self.gateway({"m": {"backends": [backend(server)], "health": {"probe": "off"},
                                      "queue": {"notice_first": "50ms"}}})
        with gateway.client() as client:
            client.send(chat_request(gateway.host, stream=True))
            answer = client.read()
            got = answer.read_some()
            release.set()
            while part := answer.read_some():
                got += part
        self.assertTrue(got.startswith(b":"), got)
        self.assertIn("no stream", json.loads(events(got)[-1])["error"]["message"])
        self.assertNotIn(b"choices", got)

    def test_R9_a_coded_answer_is_asked_for_again_without_the_addition(self):
        def script(peer, seen):
            extra = usage_event(11, 5) if seen.wants_usage else b""
            peer.send(sse_head(Content_Encoding="gzip") +
                      chunk(gzip.compress(self.TEXT + extra + DONE)) + LAST_CHUNK)
        server, gateway = self.case(script)
        for asked in (2, 3):
            told = self.ask(gateway, fields=["Accept-Encoding: gzip"], stream=True)
            self.assertEqual(gzip.decompress(told.body), self.TEXT + DONE)
            self.assertEqual(len(server.requests), asked)
        self.assertIn(server.requests[0].field("accept-encoding"), (None, "identity"))


if __name__ == "__main__":
    main()
