#!/usr/bin/env python3
"""What a client is told of another try, and in which words (R6): x-should-retry, Retry-After, and
messages without anything that could be read as a status. Every refusal under /api/ is Ollama's."""

import json
import re
import time
from email.utils import formatdate

from backend import (DONE, LAST_CHUNK, address_that_refuses, chat_answer, chunk, delta, finish,
                     json_answer, sse_head)
from harness import NO_BREAKER, NO_NOTICES, GatewayCase, main, request
from pool_case import PoolCase, backend, consumers
from test_fallback import BLIND, BLOCKED, CONTEXT, refuse

# One path of each dialect, and what it is asked with.
PATHS = {
    "/v1/chat/completions": {"messages": []},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": [], "max_tokens": 5},
    "/api/chat": {"messages": []},
    "/completion": {"prompt": "hi"},
}
# What one agent reads as "try again", and what could be such.
STATUS = re.compile(r"[45]\d\d")
LIMIT = 500 * 1024


def message_of(path, answer):
    """The text of a refusal, whose shape must be that of the path's dialect."""
    error = answer.json["error"]
    if path.startswith("/api/"):
        if not isinstance(error, str) or set(answer.json) != {"error"}:
            raise AssertionError(f"{path}: not Ollama's: {answer.body!r}")
        return error
    if path.startswith("/v1/messages"):
        if answer.json["type"] != "error" or not error["type"]:
            raise AssertionError(f"{path}: not Anthropic's: {answer.body!r}")
        if not answer.json["request_id"] == answer.field("request-id"):
            raise AssertionError(f"{path}: no request id: {answer!r}")
    return error["message"]


class OwnWords(GatewayCase):
    """What the gateway refuses by itself."""

    flags = ("--model", "llama-503b=http://127.0.0.1:8503", "--alias", "gpt-500=m",
             "--body-max", "500KiB", "--timeout-body", "300ms", "--timeout-head", "300ms")

    def refused(self, status, path, data, advice="false", method="POST"):
        with self.gateway.client() as client:
            client.send_some(data)
            answer = client.read(method)
            text = message_of(path, answer)
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.field("x-should-retry"), advice, answer)
        self.assertIsNone(answer.field("retry-after"))
        self.assertIsNone(STATUS.search(text), text)
        self.assertEqual(answer.field("content-type"), "application/json; charset=utf-8")
        return answer

    def test_R6a_what_is_refused_for_good_says_so_in_every_dialect(self):
        for path, body in PATHS.items():
            def ask(more=(), path=path, method="POST", **changed):
                return request(method, path, json.dumps({**body, **changed}).encode(),
                               fields=more)
            for status, data in {
                    400: request("POST", path, b" " * 503 + b"{]"),
                    404: ask(model="no-429b"),
                    413: ask(model="m", prompt="x" * LIMIT),
                    415: request("POST", path, b"x", content_type="multipart/form-data"),
                    417: ask(more=["Expect: 429"], model="m"),
                    403: ask(more=["Origin: http://box-500.example"], model="m"),
                    421: ask(model="m").replace(b"127.0.0.1", b"box-503.example", 1)}.items():
                with self.subTest(path, status=status):
                    self.refused(status, path, data)
            with self.subTest(path, status=405):
                self.refused(405, path, request("DELETE", path))
            with self.subTest(path, status=400, name="no model is named"):
                self.refused(400, path, ask())
            with self.subTest(path, status=400, name="the path reads in two ways"):
                self.refused(404, path + "/500/%2e", request("GET", path + "/500/%2e"))

    def test_R6a_heads_that_cannot_be_read_are_refused_in_the_dialect_of_their_path(self):
        for path in (*PATHS, "/api/nothing"):
            for status, data in {
                    "400": f"POST {path} HTTP/1.1\r\nHost: x\r\nbad field: 1\r\n\r\n",
                    "400 chunk": f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                 "application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                    "501": f"TRACE {path}?a=b HTTP/1.1\r\nHost: x\r\n\r\n",
                    "505": f"GET {path} HTTP/2.0\r\nHost: x\r\n\r\n",
                    "501 coding": f"POST {path} HTTP/1.1\r\nHost: x\r\n"
                                  "Transfer-Encoding: gzip, chunked\r\n\r\n",
                    "431": f"GET {path} HTTP/1.1\r\nHost: x\r\n" + "a: b\r\n" * 500 + "\r\n",
                    "414": f"GET {path}?{'5' * 40_000} HTTP/1.1\r\nHost: x\r\n\r\n"}.items():
                if status == "400 chunk" and path == "/api/nothing":
                    continue  # refused before its body is looked at
                with self.subTest(path, status=status):
                    self.refused(int(status[:3]), path, data.encode())

    def test_R6a_a_client_that_was_slow_may_try_again(self):
        for path in PATHS:
            with self.subTest(path):
                self.refused(408, path, request("POST", path, b"{}x")[:-1], advice=None)
                self.refused(408, path, f"POST {path} HTTP/1.1\r\nHost".encode(), advice=None)

    def test_R6c_lists_and_figures_stand_beside_the_message(self):
        def error(data):
            return self.refused(int(data[0]), data[1], data[2]).json["error"]
        path = "/v1/chat/completions"
        unknown = error((404, path, request("POST", path, b'{"model":"no-429b"}')))
        self.assertEqual(sorted(unknown["models"]), ["gpt-500", "llama-503b", "m"])
        self.assertEqual((unknown["code"], unknown["param"]), ("model_not_found", "model"))
        self.assertIn("'no-###b'", unknown["message"])
        self.assertNotIn("llama", unknown["message"])
        unnamed = error((400, path, request("POST", path, b"{}")))
        self.assertEqual(sorted(unnamed["models"]), ["gpt-500", "llama-503b", "m"])
        large = error((413, path, request("POST", path, b"x" * (LIMIT + 1))))
        self.assertEqual(large["bytes_max"], LIMIT)
        self.assertIn("--body-max", large["message"])
        placed = error((400, path, request("POST", path, b" " * 503 + b"{]")))
        self.assertIn("at byte ###", placed["message"])
        with self.gateway.client() as client:
            answer = client.ask(request("GET", "/v1/models/nobody-500"))
        self.assertEqual((answer.status, answer.field("x-should-retry")), (404, "false"))
        self.assertIn("m", answer.json["error"]["models"])

    def test_R7e_everything_under_api_is_refused_as_ollama_does(self):
        for data in (request("GET", "/api/tags/503"), request("POST", "/api/pull", b"{}"),
                     request("DELETE", "/api/delete", b"{}"), request("HEAD", "/api/blobs/x"),
                     request("GET", "/api/%zz"), request("POST", "/api/chat/", b"{}"),
                     request("OPTIONS", "/api/chat", fields=["Origin: http://evil.example"]),
                     request("GET", "/api/x", fields=["Sec-Fetch-Site: cross-site"])):
            method = data.split(b" ")[0].decode()
            with self.subTest(data[:40]), self.gateway.client() as client:
                answer = client.ask(data, method)
                self.assertIn(answer.status, (400, 403, 404, 405))
                if method != "HEAD":
                    self.assertIsInstance(answer.json["error"], str)
                    self.assertEqual(set(answer.json), {"error"})
                self.assertEqual(answer.field("x-should-retry"), "false")


class Pools(PoolCase):

    def models(self, *servers, **more):
        return {"m": {"backends": [backend(server, priority=i)
                                   for i, server in enumerate(servers)],
                      "health": BLIND, **more}}

    def advice(self, told):
        return told.answer.field("x-should-retry")

    def test_R7e_without_a_key(self):
        gateway = self.gateway(self.models(self.scripted(None)),
                               consumers=consumers(team="sk-1"))
        for path in (*PATHS, "/api/nothing"):
            with self.subTest(path), gateway.client() as client:
                answer = client.ask(request("POST", path, b"{}"))
                self.assertEqual((answer.status, answer.field("x-should-retry")), (401, "false"))
                self.assertIsNone(STATUS.search(message_of(path, answer)))
                self.assertTrue(answer.field("www-authenticate"))

    def test_R7e_a_route_under_api_is_refused_as_ollama_does_too(self):
        holder, dead = address_that_refuses()
        self.addCleanup(holder.close)
        gateway = self.gateway(self.models(self.scripted(None)), routes=[
            {"path": "/api/internal", "methods": ["GET"], "backends": [{"url": dead}]}])
        for method, status in (("GET", 502), ("POST", 405)):
            with gateway.client() as client:
                answer = client.ask(request(method, "/api/internal"))
                self.assertEqual(answer.status, status)
                self.assertIsInstance(answer.json["error"], str)

    def test_R6b_a_failure_that_was_tried_once_is_never_final(self):
        holder, dead = address_that_refuses()
        self.addCleanup(holder.close)
        silent = self.scripted(lambda peer, _: peer.wait_gone())
        cases = {f"status {status}": self.scripted(refuse(status))
                 for status in (500, 502, 503, 504, 529, 429)}
        cases["reset"] = self.scripted(lambda peer, _: peer.reset())
        cases["no answer"] = silent
        for name, server in {**cases, "refused": None}.items():
            gateway = self.gateway({"m": {
                "backends": [{"url": server.url if server else dead}], "health": BLIND,
                "timeouts": {"first_byte": "503ms"}, **NO_NOTICES}})
            for stream in (False, True):
                with self.subTest(name, stream=stream):
                    told = self.ask(gateway, stream=stream)
                    self.assertIn(told.status, (429, 500, 502, 503, 504, 529), told)
                    self.assertNotEqual(self.advice(told), "false", told)
                    if not name.startswith("status"):  # in words of ours
                        self.assertIsNone(STATUS.search(self.error_of(told)["message"]), told)
                        if server:
                            self.assertEqual(told.answer.field("x-sluice-backend"), server.url)

    def test_R6b_another_connection_to_the_same_one_is_not_elsewhere(self):
        def script(peer, _):
            if peer.requests > 1:  # closes a kept connection as the request arrives
                peer.reset()
            elif len(server.requests) < 2:
                peer.send(chat_answer())
            else:
                peer.send(json_answer({"error": {"message": "no"}}, 500, "Internal"))
        server = self.scripted(script)
        gateway = self.gateway(self.models(server))
        self.assert_served(self.ask(gateway))
        told = self.ask(gateway)
        self.assertEqual((told.status, len(server.requests)), (500, 3), told)
        self.assertEqual(told.answer.field("x-sluice-retries"), "1")
        self.assertIsNone(self.advice(told))

    def test_R6b_a_failure_that_was_tried_elsewhere_in_vain_is_final(self):
        for status in (500, 502, 503, 529):
            for stream in (False, True):
                with self.subTest(status, stream=stream):
                    servers = [self.scripted(refuse(status)) for _ in range(2)]
                    told = self.ask(self.gateway(self.models(*servers)), stream=stream)
                    self.assertEqual((told.status, self.advice(told)), (status, "false"))
        resets = [self.scripted(lambda peer, _: peer.reset()) for _ in range(2)]
        told = self.ask(self.gateway(self.models(*resets)))
        self.assertEqual((told.status, self.advice(told)), (502, "false"))
        # Also where the second one was that of a fallback; and not where it says when.
        bad, later = self.scripted(refuse(500)), self.scripted(refuse(503, Retry_After="7"))
        for spare, wanted in ((self.scripted(refuse(500)), "false"), (later, "true")):
            told = self.ask(self.gateway({
                "m": {"backends": [backend(bad)], "fallback": ["spare"], "health": BLIND},
                "spare": {"backends": [backend(spare)], "health": BLIND}}))
            self.assertEqual(self.advice(told), wanted, told)
        # A limit passes.
        limits = [self.scripted(refuse(429)) for _ in range(2)]
        self.assertNotEqual(self.advice(self.ask(self.gateway(self.models(*limits)))), "false")

    def test_R6b_causes_in_the_request_are_final_whoever_was_asked(self):
        unsupported = {"error": {"code": 500, "message": "image input is not supported - hint: x",
                                 "type": "server_error"}}
        for name, script in {
                "400": refuse(400), "404": refuse(404), "413": refuse(413), "422": refuse(422),
                "501": refuse(501), "too long": refuse(400, CONTEXT),
                "blocked": refuse(400, BLOCKED), "no images": refuse(500, unsupported),
                "the client's own key": refuse(401), "its right": refuse(403)}.items():
            for count in (1, 2):
                with self.subTest(name, count=count):
                    servers = [self.scripted(script) for _ in range(count)]
                    told = self.ask(self.gateway(self.models(*servers)),
                                    fields=["Authorization: Bearer own"])
                    self.assertEqual(self.advice(told), "false", told)
                    self.assertIn("message", told.answer.json["error"])

    def test_R6e_a_backends_own_advice_stays_held_to_a_minute(self):
        date = formatdate(time.time() + 3600, usegmt=True)
        for name, status, fields, after, should in (
                ("seconds", 503, {"Retry_After": "7"}, (7, 7000), "true"),
                ("both", 429, {"Retry_After": "9", "retry_after_ms": "6500"}, (7, 6500), "true"),
                ("an hour", 429, {"Retry_After": "3600"}, (60, 60_000), "true"),
                ("65", 503, {"Retry_After": "65", "x_should_retry": "true"}, (60, 60_000), "true"),
                ("a date", 503, {"Retry_After": date}, (60, 60_000), "true"),
                ("no", 503, {"x_should_retry": "false"}, None, "false"),
                ("yes", 503, {"x_should_retry": "true"}, None, "true"),
                ("yes to a conflict", 409, {"x_should_retry": "true"}, None, "true"),
                ("a conflict", 409, {}, None, None),
                ("nonsense", 503, {"Retry_After": "soon"}, None, None)):
            with self.subTest(name):
                server = self.scripted(refuse(status, **fields))
                told = self.ask(self.gateway(self.models(server)))
                self.assertEqual((told.status, self.advice(told)), (status, should))
                wanted = after and (str(after[0]), str(after[1]))
                found = told.answer.field("retry-after"), told.answer.field("retry-after-ms")
                self.assertEqual(found, wanted or (None, None))

    def test_R6b_a_backends_own_advice_does_not_change_what_is_settled(self):
        for name, status, body in (
                ("a mistake", 400, None), ("no such thing", 404, None), ("too large", 413, None),
                ("not understood", 422, None), ("not served", 501, None), ("a key", 401, None),
                ("no credit", 402, None), ("no right", 403, None), ("too long", 400, CONTEXT),
                ("too long, as a fault", 500, CONTEXT), ("blocked", 400, BLOCKED)):
            for fields in ({"x_should_retry": "true"},
                           {"X_Should_Retry": "TRUE", "Retry_After": "7"}):
                with self.subTest(name, fields=fields):
                    script = refuse(status, body, **fields) if body else refuse(status, **fields)
                    server = self.scripted(script)
                    for stream in (False, True):
                        told = self.ask(self.gateway(self.models(server)), stream=stream)
                        self.assertEqual((told.status, self.advice(told)), (status, "false"), told)
                        self.assertEqual(told.answer.field("retry-after"),
                                         fields.get("Retry_After"))

    def test_R6e_what_a_breaker_knows_is_told_and_never_more_than_a_minute(self):
        server = self.scripted(refuse(500))
        for open_for, low, high in (("20s", 10_000, 24_000), ("1h", 60_000, 60_000)):
            server.script = refuse(503)
            gateway = self.gateway(self.models(server, breaker={"open": open_for, "failures": 2,
                                                                "open_max": "2h"}))
            found = [self.ask(gateway) for _ in range(3)]
            self.assertIsNone(self.advice(found[0]))
            # The one that opens it is told, too.
            for told in found[1:]:
                self.assertEqual((told.status, self.advice(told)), (503, "true"), told)
                self.assertGreaterEqual(int(told.answer.field("retry-after-ms")), low)
                self.assertLessEqual(int(told.answer.field("retry-after-ms")), high)
                self.assertLessEqual(int(told.answer.field("retry-after")), 60)

    def test_R6e_a_full_queue_says_what_the_drain_rate_says(self):
        release = []

        def script(peer, _):
            peer.send(sse_head() + chunk(delta("a")))
            while not release:
                time.sleep(0.01)
            peer.send(chunk(finish() + DONE) + LAST_CHUNK)
        server = self.scripted(script)
        gateway = self.gateway({"m": {"backends": [backend(server, slots=1)], "health": BLIND,
                                      "queue": {"length": 0}}})
        with gateway.client() as busy:
            busy.send(request("POST", "/v1/chat/completions",
                              b'{"model":"m","messages":[],"stream":true}'))
            busy.read()
            for path, body in PATHS.items():
                with self.subTest(path), gateway.client() as client:
                    answer = client.ask(request("POST", path,
                                                json.dumps({"model": "m", **body}).encode()))
                    self.assertEqual((answer.status, answer.field("x-should-retry")),
                                     (429, "true"), answer)
                    self.assertLessEqual(int(answer.field("retry-after")), 60)
                    self.assertGreaterEqual(int(answer.field("retry-after")), 1)
                    message_of(path, answer)
            release.append(True)

    def test_R6e_the_gateways_own_limits_are_no_failure_of_a_model(self):
        gateway = self.gateway({"m": {"backends": [{"url": self.scripted(refuse(500)).url}],
                                      "health": BLIND, "breaker": NO_BREAKER["breaker"]}})
        for _ in range(8):
            told = self.ask(gateway)
            self.assertEqual((told.status, self.advice(told)), (500, None))


if __name__ == "__main__":
    main()
