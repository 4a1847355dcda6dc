#!/usr/bin/env python3
"""How answers end that break, so that clients read why (R7): in band, in their dialect, behind it a
proper end of the body where that loses less; and refusals that come when the answer has begun."""

import json
import re
import time

from backend import (DONE, LAST_CHUNK, chunk, delta, event, finish, head, json_answer, sse_head)
from harness import events, main, request
from pool_case import PoolCase, backend
from test_fallback import BLIND, NEVER
from test_moving_on import DIALECTS
from test_relay import line

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
OVERFLOW = {"error": {"code": 400, "message": "request (6023 tokens) exceeds the available context "
                      "size (4096 tokens), try increasing it", "type": "exceed_context_size_error",
                      "n_prompt_tokens": 6023, "n_ctx": 4096}}
BODIES = {CHAT: {}, "/v1/completions": {"prompt": "hi"}, RESPONSES: {"input": "hi"},
          MESSAGES: {"max_tokens": 5}, "/completion": {"prompt": "hi"}}
FINAL = (b"[DONE]", b"message_stop", b"response.completed", b'"done": true', b'"done":true',
         b"finish_reason\": \"stop")


def named(body):
    """The events of a stream as (name, data)."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = dict(part.split(": ", 1) for part in block.split("\n") if ": " in part[:8])
        if "data" in lines:
            found.append((lines.get("event"), json.loads(lines["data"])))
    return found


def numbered(count, first=0, step=1):
    """A Responses stream's begin: `count` events, numbered."""
    made = [event({"type": "response.created", "sequence_number": first, "response": {
        "id": "resp_7", "object": "response", "created_at": 17, "model": "m-long",
        "status": "in_progress", "output": []}}, "response.created")]
    made += [event({"type": "response.output_text.delta", "sequence_number": first + i * step,
                    "item_id": "x", "output_index": 0, "content_index": 0, "delta": f"{i} "},
                   "response.output_text.delta") for i in range(1, count)]
    return b"".join(made)


class Ends(PoolCase):

    def serve(self, script, *flags, **more):
        server, gateway = self.shared(m=more, flags=flags)
        server.script = script
        return gateway

    def shared(self, flags=(), **models):
        """One backend, whose script each case sets, and a gateway with these models on it."""
        server = self.scripted(None)
        return server, self.gateway({
            name: {"backends": [backend(server, model="m")], "health": BLIND, "breaker": NEVER,
                   **more} for name, more in models.items()}, *flags)

    def stream(self, gateway, path, fields=(), version="1.1", **more):
        """The answer, and the bytes and the way in which the connection ended or goes on."""
        data = {"model": "m", "stream": True, "messages": [], **BODIES.get(path, {}), **more}
        asked = request("POST", path, json.dumps(data).encode(), gateway.host, fields)
        with gateway.client() as client:
            client.send(asked.replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1))
            answer = client.read()
            _ = answer.body
            if answer.complete and not answer.closes and version == "1.1":
                again = client.ask(request("GET", "/healthz"))
                self.assertEqual(again.status, 200, "the connection goes on")
                return answer, "goes on"
            return answer, client.read_to_close()[1]

    def assert_broken(self, answer):
        for mark in FINAL:
            self.assertNotIn(mark, answer.body, answer)

    def breaks(self, begin):
        """Ways for a stream to break behind `begin`: what a script does."""
        def cut(peer, _):
            peer.send(sse_head() + chunk(begin))
            time.sleep(0.05)
            peer.reset()

        def early(peer, _):
            peer.send(sse_head() + chunk(begin))
            peer.close()

        def framing(peer, _):
            peer.send(sse_head() + chunk(begin))
            time.sleep(0.05)
            peer.send(b"zz\r\n")
            peer.wait_gone()

        def silence(peer, _):
            peer.send(sse_head() + chunk(begin))
            peer.wait_gone()
        return {"reset": cut, "early": early, "framing": framing, "silence": silence,
                "half an event": lambda peer, _: (
                    peer.send(sse_head() + chunk(begin + b'data: {"a":')), peer.reset()),
                "no finish": lambda peer, _: peer.send(sse_head() + chunk(begin) + LAST_CHUNK)}

    # --- Responses ---------------------------------------------------------------------------

    def test_R7a_a_responses_stream_ends_with_its_reason_and_properly(self):
        gap = {"timeouts": {"gap": "300ms"}}
        server, gateway = self.shared(m={**gap}, cut={"broken_stream": "cut", **gap})
        for first, step, last in ((0, 1, 3), (5, 3, 14)):
            for name, script in self.breaks(numbered(4, first, step)).items():
                for model in ("m", "cut"):
                    with self.subTest(name, first=first, model=model):
                        server.script = script
                        answer, end = self.stream(gateway, RESPONSES, model=model)
                        self.assertEqual((answer.status, end), (200, "goes on"), answer)
                        self.assert_broken(answer)
                        (error_name, error), (failed_name, failed) = named(answer.body)[-2:]
                        self.assertEqual((error_name, failed_name), ("error", "response.failed"))
                        self.assertEqual(error["type"], "error")
                        self.assertEqual(error["sequence_number"], first + 3 * step + 1)
                        self.assertEqual(failed["sequence_number"], first + 3 * step + 2)
                        self.assertEqual(last, first + 3 * step)
                        self.assertIsInstance(error["code"], str)
                        response = failed["response"]
                        self.assertEqual((response["id"], response["status"], response["model"],
                                          response["created_at"], response["object"]),
                                         ("resp_7", "failed", "m-long", 17, "response"))
                        self.assertEqual(response["error"]["message"], error["message"])
                        self.assertIsInstance(response["error"]["code"], str)
                        line_ = gateway.logged(id=answer.field("x-request-id"))
                        self.assertEqual(line_["end"],
                                         "timeout" if name == "silence" else "backend_error")

    def test_R7a_a_backends_own_error_event_is_completed(self):
        own = event({"type": "error", "code": "server_error", "message": "no slot", "param": None,
                     "sequence_number": 3}, "error")
        failed = event({"type": "response.failed", "sequence_number": 3, "response": {
            "id": "resp_7", "status": "failed", "error": {"code": "c", "message": "m"}}},
            "response.failed")
        for name, last in (("error", own), ("failed", failed)):
            gateway = self.serve(lambda peer, _, last=last: peer.send(
                sse_head() + chunk(numbered(3) + last) + chunk(DONE) + LAST_CHUNK))
            answer, end = self.stream(gateway, RESPONSES)
            self.assertEqual(end, "goes on")
            self.assertTrue(answer.body.startswith(numbered(3) + last), answer)
            rest = named(answer.body.removeprefix(numbered(3) + last))
            if name == "failed":
                self.assertEqual(rest, [])
                continue
            ((which, data),) = rest
            self.assertEqual((which, data["sequence_number"]), ("response.failed", 4))
            self.assertEqual(data["response"]["error"]["message"], "no slot")
            self.assertEqual(data["response"]["id"], "resp_7")

    # --- the others --------------------------------------------------------------------------

    def test_R7b_a_stream_that_breaks_ends_by_the_setting_and_never_looks_whole(self):
        gap = {"timeouts": {"gap": "300ms"}}
        server, gateway = self.shared(m={**gap}, end={"broken_stream": "end", **gap},
                                      cut={"broken_stream": "cut", **gap})
        for path in (CHAT, MESSAGES, "/completion"):
            begin, text = DIALECTS.get(path, (b"", event({"content": "hel", "stop": False})))[:2]
            for model, ends in (("m", "goes on"), ("end", "goes on"), ("cut", "eof")):
                for name, script in self.breaks(begin + text).items():
                    with self.subTest(path, model=model, name=name):
                        server.script = script
                        answer, end = self.stream(gateway, path, model=model)
                        self.assertEqual((answer.status, end), (200, ends), answer)
                        self.assertEqual(answer.complete, ends == "goes on")
                        self.assert_broken(answer)
                        self.assertTrue(answer.body.startswith(begin + text))
                        (which, data), = named(answer.body[len(begin + text):])
                        self.assertEqual(which, "error" if path == MESSAGES else None)
                        self.assertTrue(data["error"]["message"])
                        if path == MESSAGES:
                            self.assertEqual(data["type"], "error")
                            self.assertEqual(data["request_id"], answer.field("request-id"))
                        line_ = gateway.logged(id=answer.field("x-request-id"))
                        self.assertEqual(line_["end"],
                                         "timeout" if name == "silence" else "backend_error")

    def test_R7b_the_setting_is_the_defaults_or_the_models_own(self):
        begin = delta("hel")
        server = self.scripted(self.breaks(begin)["early"])
        gateway = self.gateway(
            {"m": {"backends": [backend(server)], "breaker": NEVER, "health": BLIND},
             "own": {"backends": [backend(server)], "broken_stream": "end", "breaker": NEVER,
                     "health": BLIND}}, defaults={"broken_stream": "cut"})
        self.assertEqual(self.stream(gateway, CHAT)[1], "eof")
        self.assertEqual(self.stream(gateway, CHAT, model="own")[1], "goes on")

    def test_R7b_a_client_of_http_1_0_sees_an_end_or_a_reset(self):
        for setting, ends in (("end", "eof"), ("cut", "reset")):
            gateway = self.serve(self.breaks(delta("hel"))["early"], broken_stream=setting)
            answer, end = self.stream(gateway, CHAT, version="1.0")
            self.assertEqual(end, ends)
            self.assertIn("error", json.loads(events(answer.body)[-1]))

    def test_R7b_an_error_of_the_backends_own_is_told_once(self):
        for setting, ends in (("end", "goes on"), ("cut", "eof")):
            own = event({"error": {"message": "no slot", "type": "server_error"}})
            gateway = self.serve(lambda peer, _, own=own: peer.send(
                sse_head() + chunk(delta("hel")) + chunk(own) + chunk(DONE) + LAST_CHUNK),
                broken_stream=setting)
            answer, end = self.stream(gateway, CHAT)
            self.assertEqual((answer.body, end), (delta("hel") + own, ends))

    def test_R7b_events_that_pass_through_pipes_end_so_too(self):
        for setting, ends in (("end", "goes on"), ("cut", "eof")):
            gateway = self.serve(self.breaks(delta("hel"))["reset"], "--relay", "splice",
                                 broken_stream=setting)
            answer, end = self.stream(gateway, CHAT, stream_options={"include_usage": True})
            self.assertEqual(end, ends, answer)
            self.assertIn("error", json.loads(events(answer.body)[-1]))
            self.assertEqual(gateway.logged(id=answer.field("x-request-id"))["lane"], "splice")

    def test_R7b_what_cannot_be_told_in_band_is_cut(self):
        # Nobody reads what is compressed, and a document has no place for an error.
        packed = head(Content_Type="text/event-stream", Content_Encoding="gzip",
                      Transfer_Encoding="chunked")
        document = head(Content_Type="application/json", Transfer_Encoding="chunked")
        text = b'{"a":"' + b"x" * 2000  # too long for an error, and so on its way
        for begin in (packed, document):
            gateway = self.serve(lambda peer, _, begin=begin: (
                peer.send(begin + chunk(text)), time.sleep(0.05), peer.reset()))
            answer, end = self.stream(gateway, CHAT)
            self.assertEqual((answer.complete, answer.body), (False, text), end)

    def test_R7b_lines_of_json_end_with_a_line_and_properly(self):
        text = line({"model": "m", "message": {"role": "assistant", "content": "hi"},
                     "done": False})
        gateway = self.serve(lambda peer, _: (
            peer.send(head(Content_Type="application/x-ndjson", Transfer_Encoding="chunked") +
                      chunk(text)), time.sleep(0.05), peer.reset()), broken_stream="cut")
        answer, end = self.stream(gateway, "/api/chat")
        self.assertEqual(end, "goes on")
        last = json.loads(answer.body.removeprefix(text))
        self.assertEqual(list(last), ["error"])
        self.assertIsInstance(last["error"], str)

    # --- refusals behind a notice ------------------------------------------------------------

    def late(self, value, status=400, **more):
        def script(peer, asked):
            time.sleep(0.3)
            peer.send(json_answer(value, status, "No", **more))
        return script

    def setUp(self):
        self.told = None  # a backend and its gateway, for those cases that need one

    def refused(self, path, script):
        if self.told is None:
            self.told = self.shared(m={"queue": {"notice_first": "50ms"}})
        server, gateway = self.told
        server.script = script
        answer, end = self.stream(gateway, path)
        self.assertEqual((answer.status, end), (200, "goes on"), answer)
        self.assertTrue(answer.body.startswith(b": waiting\n\n"), answer)
        self.assert_broken(answer)
        line_ = gateway.logged(id=answer.field("x-request-id"))
        self.assertEqual(line_["end"], "backend_error")
        return named(answer.body)

    def test_R7c_the_backends_own_error_object_is_in_the_event(self):
        for path in (CHAT, "/v1/completions", "/completion"):
            with self.subTest(path):
                ((_, data),) = self.refused(path, self.late(OVERFLOW))
                self.assertLessEqual(OVERFLOW["error"].items(), data["error"].items())
        ((which, data),) = self.refused(MESSAGES, self.late(OVERFLOW))
        self.assertEqual((which, data["type"]), ("error", "error"))
        self.assertEqual(data["error"]["type"], "invalid_request_error")
        own = {key: value for key, value in OVERFLOW["error"].items() if key != "type"}
        self.assertLessEqual(own.items(), data["error"].items())
        self.assertEqual(data["error"]["backend_type"], "exceed_context_size_error")
        (created, _), (which, error), (failed, data) = self.refused(RESPONSES, self.late(OVERFLOW))
        self.assertEqual((created, which, failed), ("response.created", "error", "response.failed"))
        for object_ in (error, data["response"]["error"]):
            self.assertEqual(object_["code"], "context_length_exceeded")
            self.assertEqual(object_["message"], OVERFLOW["error"]["message"])
            self.assertEqual((object_["n_ctx"], object_["n_prompt_tokens"]), (4096, 6023))
        self.assertEqual(data["response"]["error"]["type"], "exceed_context_size_error")
        self.assertEqual(error["sequence_number"] + 1, data["sequence_number"])

    def test_R7c_in_whatever_shape_the_backend_says_it(self):
        anthropic = {"type": "error", "request_id": "req_theirs", "error": {
            "type": "overloaded_error", "message": "busy", "details": {"error_code": "x"}}}
        ((_, data),) = self.refused(MESSAGES, self.late(anthropic, 529))
        self.assertEqual(data["error"], anthropic["error"])
        ((_, data),) = self.refused(CHAT, self.late(anthropic, 529))
        self.assertLessEqual(anthropic["error"].items(), data["error"].items())
        for name, value, message in (("Ollama's", {"error": "no such thing"}, "no such thing"),
                                     ("vLLM's", {"object": "error", "message": "no", "code": 400,
                                                 "type": "BadRequestError"}, "no"),
                                     ("FastAPI's", {"detail": "no"}, "no"),
                                     ("text", b"no room", "no room"),
                                     ("cut off", b'{"error":{"message":"no","n_ctx":7', "no"),
                                     ("an array", [{"error": {"message": "no"}}], "no")):
            for path in (CHAT, MESSAGES, RESPONSES):
                with self.subTest(name, path=path):
                    found = self.refused(path, self.late(value))
                    error = found[1][1] if path == RESPONSES else found[0][1]["error"]
                    self.assertEqual(error["message"], message)
        long = {"error": {"message": "long " + "x" * 40_000, "type": "t", "n_ctx": 7}}
        ((_, data),) = self.refused(CHAT, self.late(long))
        self.assertTrue(data["error"]["message"].startswith("long x"))
        self.assertLess(len(data["error"]["message"]), 1000)

    def test_R7c_one_that_says_nothing_is_told_without_the_figure_of_its_status(self):
        page = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
        for status in (400, 429, 500, 502, 503, 504, 529):
            for what, body in (("a page", page), ("nothing", b""), ("an empty object", b"{}"),
                               ("no message", b'{"error":{}}'), ("blanks", b" \r\n")):
                for path in (CHAT, MESSAGES, RESPONSES):
                    with self.subTest(what, status=status, path=path):
                        def script(peer, _, status=status, body=body):
                            time.sleep(0.15)
                            peer.send(head(status, "No", Content_Type="text/html",
                                           Content_Length=len(body)) + body)
                        found = self.refused(path, script)
                        error = found[1][1] if path == RESPONSES else found[0][1]["error"]
                        self.assertTrue(error["message"].startswith("The backend refused"))
                        self.assertIsNone(re.search(r"[45]\d\d", error["message"]), error)

    def test_R7c_a_clients_mistake_that_is_told_with_500_is_no_server_error(self):
        mistake = {"error": {"code": 500, "message": "image input is not supported - hint: x",
                             "type": "server_error"}}
        ((_, data),) = self.refused(MESSAGES, self.late(mistake, 500))
        self.assertEqual(data["error"]["type"], "invalid_request_error")

    def test_R7c_an_error_event_behind_a_notice_is_told_in_its_own_words(self):
        def script(peer, _):
            time.sleep(0.3)
            peer.send(sse_head() + chunk(event(OVERFLOW)) + chunk(DONE) + LAST_CHUNK)
        spare = self.scripted(script)
        ((_, data),) = self.refused(CHAT, script)
        self.assertEqual(data["error"]["n_ctx"], 4096)
        first = self.scripted(script)
        gateway = self.gateway({"m": {"backends": [backend(first), backend(spare, priority=1)],
                                      "health": BLIND, "queue": {"notice_first": "50ms"}}})
        answer, end = self.stream(gateway, CHAT)
        ((_, data),) = named(answer.body)
        self.assertLessEqual(OVERFLOW["error"].items(), data["error"].items())
        self.assertEqual(end, "goes on")

    def test_R7c_what_the_gateway_itself_says_behind_a_notice_keeps_its_kind(self):
        def script(peer, _):
            peer.wait_gone()
        for path in (CHAT, MESSAGES, RESPONSES):
            found = self.refused_late(path, script)
            error = found[1][1] if path == RESPONSES else found[0][1]["error"]
            self.assertIn("(first_byte)", error["message"])
            if path == MESSAGES:
                self.assertEqual(error["type"], "timeout_error")
            else:
                self.assertEqual(error["code"], "upstream_timeout")

    def refused_late(self, path, script):
        gateway = self.serve(script, queue={"notice_first": "50ms"},
                             timeouts={"first_byte": "300ms"})
        answer, end = self.stream(gateway, path)
        self.assertEqual(end, "goes on")
        return named(answer.body)

    # --- heads -------------------------------------------------------------------------------

    def test_R7d_nobody_is_to_gather_the_events_of_a_stream(self):
        quick = sse_head() + chunk(delta("a") + finish() + DONE) + LAST_CHUNK
        own = sse_head(Cache_Control="no-store", X_Accel_Buffering="yes") + \
            chunk(delta("a") + finish() + DONE) + LAST_CHUNK
        for name, script, cache in (
                ("relayed", lambda peer, _: peer.send(quick), "no-cache"),
                ("says something itself", lambda peer, _: peer.send(own), "no-store"),
                ("behind a notice", lambda peer, _: (time.sleep(0.3), peer.send(quick)),
                 "no-cache")):
            with self.subTest(name):
                gateway = self.serve(script, queue={"notice_first": "100ms"})
                answer, _ = self.stream(gateway, CHAT)
                fields = [value for key, value in answer.fields if key == "x-accel-buffering"]
                self.assertEqual(fields, ["no"])
                self.assertEqual(answer.field("cache-control"), cache)
        gateway = self.serve(lambda peer, _: peer.send(json_answer({"choices": []})))
        answer, _ = self.stream(gateway, CHAT)
        self.assertIsNone(answer.field("x-accel-buffering"))

    def test_C8_a_backends_refusal_of_messages_names_the_request_in_anthropics_form(self):
        mistake = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
        llama = {"error": {"code": 400, "message": "no", "type": "invalid_request_error", "n": 7}}
        server, gateway = self.shared(m={})
        for status in (400, 401, 404, 422, 429, 500, 529):
            for value in (mistake, mistake | {"request_id": "req_other"}, llama, {"error": "no"},
                          {"detail": "no"}, b"no", b"<html></html>", b"", {}):
                with self.subTest(status=status, value=value):
                    server.script = lambda peer, _, status=status, value=value: peer.send(
                        json_answer(value, status, "No"))
                    answer, _ = self.stream(gateway, MESSAGES, ["x-request-id: abc"], stream=False)
                    self.assertEqual((answer.status, answer.json["type"]), (status, "error"))
                    self.assertEqual((answer.json["request_id"], answer.field("request-id")),
                                     ("abc", "abc"))
                    error = answer.json["error"]
                    self.assertIsInstance(error["type"], str)
                    said = value if isinstance(value, bytes) else json.dumps(value).encode()
                    self.assertEqual(error["message"] == "no", b"no" in said, error)
                    self.assertTrue(error["message"])
                    self.assertEqual(error.get("n"), 7 if value is llama else None)
        whole = mistake | {"request_id": "req_theirs", "more": [1]}
        gateway = self.serve(lambda peer, _: peer.send(json_answer(
            whole, 400, "No", request_id="req_theirs")))
        answer, _ = self.stream(gateway, MESSAGES)
        self.assertEqual(answer.json, whole, "what names it already is not touched")
        # With status 200, and as the begin of a stream.
        for script in (lambda peer, _: peer.send(json_answer(llama)),
                       lambda peer, _: peer.send(sse_head() + chunk(
                           b"event: error\ndata: " + json.dumps(mistake).encode() + b"\n\n") +
                           LAST_CHUNK)):
            gateway = self.serve(script)
            answer, _ = self.stream(gateway, MESSAGES)
            self.assertEqual((answer.status, answer.json["type"]), (400, "error"))
            self.assertEqual(answer.json["request_id"], answer.field("x-request-id"))
            self.assertEqual(answer.json["request_id"], answer.field("request-id"))

    def test_R7d_messages_carry_the_id_where_their_sdks_look_for_it(self):
        gateway = self.serve(lambda peer, _: peer.send(json_answer({"content": []})))
        answer, _ = self.stream(gateway, MESSAGES)
        self.assertEqual(answer.field("request-id"), answer.field("x-request-id"))
        gateway = self.serve(lambda peer, _: peer.send(json_answer(
            {"type": "error"}, 400, "No", request_id="req_theirs")))
        answer, _ = self.stream(gateway, MESSAGES)
        self.assertEqual([value for key, value in answer.fields if key == "request-id"],
                         ["req_theirs"])
        self.assertEqual(answer.json["request_id"], "req_theirs")
        answer, _ = self.stream(gateway, MESSAGES, model="nobody")
        self.assertEqual(answer.field("request-id"), answer.field("x-request-id"))
        self.assertEqual(answer.json["request_id"], answer.field("x-request-id"))
        answer, _ = self.stream(self.serve(lambda peer, _: peer.send(json_answer({}))), CHAT)
        self.assertIsNone(answer.field("request-id"))


class OfABackendUnderApi(PoolCase):

    def test_R7e_a_refusal_in_any_form_is_said_in_ollamas(self):
        bodies = ((b'{"error":{"message":"File Not Found","code":404}}', "application/json",
                   "File Not Found"),
                  (b'{"detail":"no such thing"}', "application/json", "no such thing"),
                  (b"<html>no</html>", "text/html", None), (b"", "text/plain", None),
                  (b'{"error":"as it is"}', "application/json", "as it is"))
        for path in ("/api/chat", "/api/generate", "/api/embed"):
            for body, kind, wanted in bodies:
                with self.subTest(path, body=body):
                    server = self.scripted(lambda peer, _, body=body, kind=kind: peer.send(
                        head(404, "Not Found", Content_Type=kind, Content_Length=len(body)) + body))
                    gateway = self.gateway({"m": {"backends": [backend(server)]}})
                    told = self.ask(gateway, path=path)
                    self.assertEqual(told.status, 404)
                    self.assertEqual(list(told.answer.json), ["error"])
                    self.assertIsInstance(told.answer.json["error"], str)
                    self.assertTrue(told.answer.json["error"])
                    self.assertIn("application/json", told.answer.field("content-type"))
                    if wanted:
                        self.assertEqual(told.answer.json["error"], wanted)


if __name__ == "__main__":
    main()
