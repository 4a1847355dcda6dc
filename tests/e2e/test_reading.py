#!/usr/bin/env python3
"""How answers are read: rows R8 to R10, R13 and R14 of the fault list."""

import json

from backend import (DONE, LAST_CHUNK, answer_chat, chunk, delta, event, finish, head, json_answer,
                     sse_head)
from harness import NO_BREAKER, defaults, events, main
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
        self.assert_broken(UNTIL_CLOSE + whole + b'data: {"choices":[{"de', whole)


# A context that is too small: the status, and the body in the words of its server.
TOO_LONG = {
    "llama-server": (400, {"error": {"code": 400, "type": "exceed_context_size_error",
                                     "message": "too long", "n_prompt_tokens": 9, "n_ctx": 4}}),
    "llama-server, embeddings": (500, {"error": {
        "code": 500, "type": "server_error", "message": "input (1536 tokens) is too large to "
        "process. increase the physical batch size (current batch size: 512)"}}),
    "llama-server, generating": (500, {"error": {
        "code": 500, "type": "server_error", "message": "Context size has been exceeded."}}),
    "LocalAI": (500, {"error": {"code": 500, "type": "", "message": "rpc error: code = Internal "
                                "desc = request (9 tokens) exceeds the available context size (4 "
                                "tokens), try increasing it"}}),
    "llama-cpp-python": (500, {"error": {
        "type": "internal_server_error", "code": None,
        "message": "Requested tokens (9437) exceed context window of 8192"}}),
    "vLLM": (400, {"object": "error", "type": "BadRequestError", "code": 400, "message":
                   "This model's maximum context length is 512 tokens. However, you requested 700 "
                   "tokens in the input for embedding generation."}),
    "SGLang": (400, {"error": {"type": "BadRequestError", "code": 400, "message":
                     "The input (9 tokens) is longer than the model's context length (4 tokens)."}}),
    "Ollama": (500, {"error": "the input length exceeds the context length"}),
    "LM Studio": (400, {"error": "Trying to keep the first 5000 tokens when context the overflows. "
                        "However, the model is loaded with context length of only 4096 tokens"}),
    "TabbyAPI": (503, {"error": {"message": "Request length 71599 + 2048 is greater than "
                                 "max_seq_len 65536"}}),
    "TEI": (413, {"error": "Input validation error: `inputs` must have less than 512 tokens. "
                  "Given: 598", "error_type": "Validation"}),
    "TGI": (422, {"error_type": "validation", "error":
                  "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."}),
    "dasllama": (400, {"error": {"message": "the rendered prompt is 3000 tokens; the model context "
                                 "is 2048"}}),
    "mistral.rs": (422, {"message": "Prompt sequence length is greater than 4096, perhaps consider "
                         "using `truncate_sequence`?"}),
    "Anthropic": (400, {"type": "error", "error": {"type": "invalid_request_error", "message":
                        "prompt is too long: 203284 tokens > 200000 maximum"}}),
    "Gemini": (400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
                      "The input token count (9) exceeds the maximum number of tokens allowed (4)."
                      }}]),
    "Bedrock": (400, {"message": "Input is too long for requested model."}),
    "Mistral": (400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft "
                      "tokens, too large for model with 32768 maximum context length"}),
    "Groq": (400, {"error": {"message": "Please reduce the length of the messages or completion.",
                             "type": "invalid_request_error", "code": "context_length_exceeded"}}),
    "Cloudflare": (413, {"success": False, "errors": [{"code": 5021, "message":
                         "tokens (8810) exceeded this model context window limit (8192)"}]}),
    "FastAPI": (422, {"detail": [{"loc": ["body"], "msg": "exceeds the maximum context length"}]}),
}


class TooLong(PoolCase):

    def test_R13_every_wording_goes_to_the_chain_of_that_cause_and_blames_nobody(self):
        told = []
        small = self.scripted(lambda peer, _: peer.send(json_answer(told[1], told[0], "No")))
        large = self.scripted(answer_chat)
        gateway = self.gateway({
            "m": {"backends": [backend(small)], "health": {"probe": "off"},
                  "breaker": {"failures": 2}, "fallback": {"context_length": ["large"]}},
            "large": {"backends": [backend(large, model="large-model")]}})
        for path in ("/v1/chat/completions", "/v1/embeddings"):
            for server, (status, body) in TOO_LONG.items():
                with self.subTest(server, path=path):
                    told[:] = status, body
                    answer = self.ask(gateway, path=path, input="x")
                    self.assertEqual(answer.status, 200, answer)
                    line = gateway.logged(id=answer.answer.field("x-request-id"))
                    self.assertEqual(line["hops"], f"{small.url} context_length")
                    self.assertEqual(line["backend"], large.url)
        self.assertEqual(len(small.requests), 2 * len(TOO_LONG))


if __name__ == "__main__":
    main()
