#!/usr/bin/env python3
"""How answers are read: rows R8 to R10, R13 and R14 of the fault list."""

import json

from backend import DONE, LAST_CHUNK, chunk, delta, event, finish, head, sse_head
from harness import NO_BREAKER, defaults, events, main
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
        self.assert_broken(UNTIL_CLOSE + whole + b'data: {"choices":[{"de', whole)


if __name__ == "__main__":
    main()
