#!/usr/bin/env python3
"""How answers are read: rows R8 to R10 and R13 of the fault list."""

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
    "SGLang": (400, {"error": {
        "type": "BadRequestError", "code": 400,
        "message": "The input (9 tokens) is longer than the model's context length (4 tokens)."}}),
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
        for fields in ({}, {"Content_Type": "text/plain"},
                       {"Content_Type": "text/plain; charset=utf-8"},
                       {"Content_Type": "application/octet-stream"}):
            for cuts in ((), range(1, 500)):
                with self.subTest(fields, cuts=cuts):
                    def script(peer, _, fields=fields, cuts=cuts):
                        peer.send_in_pieces(head(Transfer_Encoding="chunked", **fields) +
                                            chunk(whole) + LAST_CHUNK, cuts)
                    _, gateway = self.case(script)
                    told = self.ask(gateway, stream=True)
                    self.assertEqual((told.status, told.body), (200, self.TEXT + DONE))
                    line = gateway.logged(id=told.answer.field("x-request-id"))
                    self.assertEqual((line["prompt_tokens"], line["completion_tokens"]), (11, 5))

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
