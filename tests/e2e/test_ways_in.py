#!/usr/bin/env python3
"""Clients that find their way in: keys in every form, paths that are nearly right, upgrades that
are refused so that an agent goes on at once, and framing that other servers take.
"""

import json
import os
import subprocess
import unittest

from backend import Backend, json_answer
from framing_cases import BODY, CHUNKS, HOST, LENGTH, LINE, START, TYPE
from harness import GatewayCase, chat_body, error_in, main, request
from pool_case import PoolCase, backend, consumers
from sdk_calls import HERE, NODE, call, missing
from test_routes import Server
from test_routing import form
from wire import wait_until

KEY = "sk-team-a-0123456789"
OURS = "sk-of-the-backend"
# Each of these is one key.
FORMS = (f"Authorization: Bearer {KEY}", f"authorization: bearer {KEY}",
         f"Authorization: BEARER {KEY}", f"Authorization: bEARER   {KEY}", f"x-api-key: {KEY}",
         f"api-key: {KEY}", f"Api-Key: {KEY}", f"x-goog-api-key: {KEY}", f"apikey: {KEY}",
         f"ApiKey:{KEY}")
CARRIERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "apikey")
OLD, NEW = "anthropic-version: 2023-06-01", "anthropic-version: 2026-10-21"
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
           "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn",
           "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1}}


def message(peer, _):
    peer.send(json_answer(MESSAGE))


def carried(seen):
    """What a backend has seen of keys, by field."""
    return {name: seen.field(name) for name in CARRIERS if seen.field(name) is not None}


class Keys(PoolCase):

    def begin(self, script=message, known=True, routes=False, **more):
        self.server = self.scripted(script)
        self.page = Server()
        self.addCleanup(self.page.stop)
        top = {"consumers": consumers(**{"team-a": KEY})} if known else {}
        if routes:
            top["routes"] = [{"path": "/page", "backends": [backend(self.page)]}]
        self.gateway_ = self.gateway({"m": {"backends": [backend(self.server, **more)]}},
                                     env={"BACKEND_KEY": OURS}, **top)

    def answer(self, fields, path="/v1/chat/completions", method="POST"):
        with self.gateway_.client() as client:
            body = chat_body() if method == "POST" else b""
            return client.ask(request(method, path, body, self.gateway_.host, fields))

    def test_C3_every_form_of_a_key_finds_its_consumer(self):
        self.begin()
        for field in FORMS:
            self.assertEqual(self.answer([field]).status, 200, field)
        answer = self.answer([FORMS[3], *FORMS[4:6], *FORMS[7:9]])
        self.assertEqual(answer.status, 200)
        self.gateway_.logged(id=answer.field("x-request-id"))
        served = [line["consumer"] for line in self.gateway_.log() if line.get("status") == 200]
        self.assertEqual(served, ["team-a"] * (len(FORMS) + 1))

    def test_C3_what_is_empty_or_stands_for_no_key_refuses_none(self):
        self.begin()
        for fields in ([f"Authorization: Bearer {KEY}", "x-api-key:"],
                       ["Authorization: Bearer ", f"x-api-key: {KEY}"],
                       ["Authorization: Bearer", f"api-key: {KEY}"],
                       ["Authorization:", f"apikey: {KEY}", "x-goog-api-key: "],
                       [f"Authorization: Bearer {KEY}", "api-key: none"],
                       ["x-api-key: EMPTY", f"Authorization: Bearer {KEY}"],
                       ["Authorization: Bearer ollama", f"x-api-key: {KEY}"],
                       [f"Authorization: Bearer\t{KEY}"], [f"Authorization: bearer \t {KEY}"]):
            self.assertEqual(self.answer(fields).status, 200, fields)
            self.assertEqual(carried(self.server.requests[-1]), {})
        served = len(self.server.requests)
        for fields in (["Authorization: Bearer none"], ["x-api-key:"], ["Authorization: Bearer "],
                       ["api-key: none", "x-api-key: EMPTY"]):
            self.assertEqual(self.answer(fields).status, 401, fields)
        self.assertEqual(len(self.server.requests), served)

    def test_C3_a_key_that_is_not_clear_is_none(self):
        self.begin()
        refusals = set()
        for field in FORMS:
            name = field.split(":")[0]
            bearer = name.lower() == "authorization"
            other = "apikey: other" if bearer else "Authorization: Bearer other"
            for fields in ([field, other], [other, field], [field, field], [field + "x"],
                           [f"{name}: bearer wrong"], [f"{name}:"], [field, "x-sluice: 1", field]):
                answer = self.answer(fields)
                self.assertEqual(answer.status, 401, fields)
                refusals.add(answer.body)
        for field in (f"Authorization: Bearer{KEY}",
                      f"Authorization: Bearer Bearer {KEY}", f"Authorization: Token {KEY}",
                      f"Authorization: {KEY}", f"api-key: Bearer {KEY}", f"key: {KEY}"):
            self.assertEqual(self.answer([field]).status, 401, field)
        for field in (f"api_key: {KEY}", f"x_goog_api_key: {KEY}"):
            self.assertEqual(self.answer([field]).status, 400, field)
        self.assertEqual((len(refusals), self.server.requests), (1, []))

    def test_C3_a_consumers_key_goes_no_further_in_any_form(self):
        self.begin(routes=True)
        for field in FORMS:
            self.assertEqual(self.answer([field]).status, 200)
            self.assertEqual(self.answer([field], "/page").status, 200)
            self.assertEqual(self.answer([field], "/page", "GET").status, 200)
        for seen in [*self.server.requests, *self.page.requests]:
            self.assertEqual(carried(seen), {})
            self.assertNotIn(KEY.encode(), seen.head)
        self.assertEqual((len(self.server.requests), len(self.page.requests)),
                         (len(FORMS), 2 * len(FORMS)))

    def test_C3_a_clients_own_key_goes_on_in_the_form_that_the_backend_knows(self):
        self.begin(known=False)
        bearer, x_api_key = {"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}
        for path, fields, wanted in (
                *(("/v1/chat/completions", [field], bearer) for field in FORMS),
                *(("/v1/responses", [field], bearer) for field in FORMS),
                ("/v1/chat/completions", FORMS[4:6], bearer),
                ("/v1/messages", [FORMS[0], NEW], bearer),
                ("/v1/messages", [FORMS[3], OLD], bearer),
                ("/v1/messages", [FORMS[4], OLD], x_api_key),
                ("/v1/messages", [FORMS[4], NEW], x_api_key),
                ("/v1/messages", [FORMS[0], FORMS[4], OLD], bearer),
                ("/v1/messages", [FORMS[7], OLD], bearer),
                ("/v1/messages/count_tokens", [FORMS[4], OLD], x_api_key)):
            with self.subTest(path=path, fields=fields):
                self.assertEqual(self.answer(fields, path).status, 200)
                self.assertEqual(carried(self.server.requests[-1]), wanted)
                for field in fields:  # the version goes along as it is
                    if field in (OLD, NEW):
                        self.assertIn(field.encode(), self.server.requests[-1].head)

    def test_C3_what_is_no_clear_key_goes_on_as_it_came(self):
        self.begin(known=False, routes=True)
        for fields, wanted in (
                (["Authorization: Basic eDp5"], {"authorization": "Basic eDp5"}),
                (["Authorization: Bearer a", "api-key: b"],
                 {"authorization": "Bearer a", "api-key": "b"}),
                (["Connection: api-key", "api-key: a"], {}),
                (["Connection: apikey", "apikey: a", "x-api-key: a"], {"x-api-key": "a"}),
                ([], {})):
            self.assertEqual(self.answer(fields).status, 200)
            self.assertEqual(carried(self.server.requests[-1]), wanted)
        for field in FORMS:  # nobody knows what a route's service reads
            self.assertEqual(self.answer([field], "/page").status, 200)
            name, value = field.split(":", 1)
            self.assertEqual(carried(self.page.requests[-1]), {name.lower(): value.strip()})

    def test_C3_where_we_have_a_key_no_other_one_passes(self):
        for known in (False, True):
            self.begin(known=known, key="env:BACKEND_KEY")
            for field in FORMS:
                for path, more in (("/v1/chat/completions", []), ("/v1/messages", [OLD]),
                                   ("/v1/messages", [NEW])):
                    self.assertEqual(self.answer([field, *more], path).status, 200)
                    # A server on this machine is no provider: it knows Bearer.
                    self.assertEqual(carried(self.server.requests[-1]),
                                     {"authorization": f"Bearer {OURS}"})

    def test_C3_vllm_looks_for_a_key_behind_bearer_only(self):
        class Vllm(Backend):
            def _answer_probe(self, peer, seen):
                if not seen.path.endswith("/models"):
                    return super()._answer_probe(peer, seen)
                peer.send(json_answer({"object": "list", "data": [
                    {"id": "m", "object": "model", "owned_by": "vllm", "max_model_len": 2048}]}))
        server = Vllm(message)
        self.addCleanup(server.stop)
        self.gateway_ = self.gateway({}, "--backend", server.url)
        wait_until(lambda: b'"m"' in self.answer([], "/v1/models", "GET").body, "the list is read")
        self.assertEqual(self.answer([FORMS[4], OLD], "/v1/messages").status, 200)
        self.assertEqual(carried(server.requests[-1]), {"authorization": f"Bearer {KEY}"})

    @unittest.skipIf(missing(), missing())
    def test_C3_anthropics_sdk_with_a_key_and_without(self):
        package = "@anthropic-ai/sdk"
        if not os.path.isdir(os.path.join(HERE, "node_modules", package)):
            self.skipTest(f"{package} is not installed: tools/setup-sdk")
        for known in (True, False):
            self.begin(known=known)
            self.assertEqual(self.sdk(package, KEY), {"text": "hello"})
            seen = self.server.requests[-1]
            self.assertEqual(carried(seen), {} if known else {"authorization": f"Bearer {KEY}"})
            self.assertEqual(seen.field("anthropic-version"), NEW.split(": ")[1])
            if known:
                self.assertEqual(self.sdk(package, "other")["error"]["status"], 401)

    def sdk(self, package, key):
        done = subprocess.run([NODE, os.path.join(HERE, "sdk", "messages.mjs"), package, key],
                              env={**os.environ, "BASE_URL": self.gateway_.url}, timeout=90,
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)


class Upgrades(GatewayCase):

    UPGRADE = ("Connection: Upgrade", "Sec-WebSocket-Version: 13",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")

    def test_C4_an_upgrade_to_websocket_is_426_at_once(self):
        client = self.client()
        for path in ("/v1/responses", "/responses", "/v1/responses?model=m",
                     "/v1/chat/completions"):
            for upgrade in ("websocket", "WebSocket", "h2c, websocket", "websocket/13",
                            "h2c\t,\twebsocket"):
                answer = client.ask(request("GET", path, host=self.gateway.host,
                                            fields=[*self.UPGRADE, f"Upgrade: {upgrade}"]))
                self.assertEqual((answer.status, answer.interim), (426, []), (path, upgrade))
                self.assertEqual(answer.field("upgrade"), "HTTP/1.1")
                self.assertIn("POST", error_in(answer)["message"])
                self.assertFalse(answer.closes)
        # The agent goes on with POST, on the same connection if it likes.
        self.backend.script = lambda peer, _: peer.send(json_answer({"object": "response"}))
        answer = client.ask(request("POST", "/v1/responses", b'{"model":"m","input":"hi"}',
                                    self.gateway.host))
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(self.backend.requests), 1)

    def test_C4_what_is_no_upgrade_to_websocket_is_answered_as_before(self):
        for method, path, upgrade, status in (
                ("GET", "/v1/responses", "h2c", 405), ("GET", "/v1/responses", "websockets", 405),
                ("GET", "/v1/responses", "", 405), ("PUT", "/v1/responses", "websocket", 405),
                ("GET", "/v1/models", "websocket", 200), ("GET", "/healthz", "websocket", 200),
                ("GET", "/nowhere", "websocket", 404)):
            with self.gateway.client() as client:
                answer = client.ask(request(method, path, host=self.gateway.host,
                                            fields=[*self.UPGRADE, f"Upgrade: {upgrade}"]))
                self.assertEqual(answer.status, status, (method, path, upgrade))
        with self.gateway.client() as client:
            answer = client.ask(b"GET /v1/responses HTTP/1.0\r\nUpgrade: websocket\r\n\r\n")
            self.assertEqual(answer.status, 405)

    def test_C4_a_stranger_learns_no_more_than_that_a_key_is_needed(self):
        gateway = PoolCase.gateway(self, {"m": {"backends": [backend(self.backend)]}},
                                   consumers=consumers(a=KEY))
        for fields, status in (((), 401), ((FORMS[1],), 426)):
            with gateway.client() as client:
                answer = client.ask(request("GET", "/v1/responses", host=gateway.host, fields=[
                    *self.UPGRADE, "Upgrade: websocket", *fields]))
                self.assertEqual(answer.status, status)


class Paths(GatewayCase):

    def ask(self, method, path, body=b"", gateway=None, **more):
        gateway = gateway or self.gateway
        with gateway.client() as client:
            return client.ask(request(method, path, body, gateway.host, **more), method)

    def test_C7_health_by_the_paths_that_agents_know(self):
        for path in ("/health", "/v1/health"):
            answer = self.ask("GET", path)
            self.assertEqual((answer.status, answer.json), (200, {"status": "ok"}))
            self.assertEqual(self.ask("HEAD", path).status, 200)
            self.assertEqual(self.ask("POST", path).status, 405)

    def test_C7_the_root_says_what_this_is(self):
        answer = self.ask("GET", "/", fields=["Accept: text/html", "Sec-Fetch-Site: none"])
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.field("content-type").startswith("text/plain"))
        for text in ("Sluice", f"http://{self.gateway.host}/v1", "/v1/models"):
            self.assertIn(text, answer.body.decode())
        answer = self.ask("HEAD", "/")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_C7_strangers_may_ask_and_are_told_no_models(self):
        gateway = PoolCase.gateway(self, {"a-model": {"backends": [backend(self.backend)]}},
                                   consumers=consumers(a=KEY))
        for path in ("/", "/health", "/v1/health"):
            answer = self.ask("GET", path, gateway=gateway)
            self.assertEqual(answer.status, 200)
            self.assertNotIn(b"a-model", answer.body)

    def test_C7_a_path_that_is_nearly_right_is_told_the_right_one(self):
        for path, likely in (
                ("//v1/chat/completions", "/v1/chat/completions"),
                ("/v1//chat/completions", "/v1/chat/completions"),
                ("/v1/v1/chat/completions", "/v1/chat/completions"),
                ("/v1/chat/completions/", "/v1/chat/completions"),
                ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
                ("/openai/v1/embeddings", "/v1/embeddings"), ("//v1/models", "/v1/models"),
                ("/v1/models/", "/v1/models"), ("/v1/responses/", "/v1/responses"),
                ("/V1/Chat/Completions", "/v1/chat/completions"), ("/healthz/", "/healthz"),
                ("/v1/api/chat", "/api/chat"), ("/v1/chat/complitions", "/v1/chat/completions"),
                ("/v1/chat-completions", "/v1/chat/completions"), ("/api/chats", "/api/chat"),
                ("/v1/chat/completions%20", "/v1/chat/completions"),
                ("/v1%2Fchat/completions", "/v1/chat/completions"),
                ("/models/m", "/v1/models/m")):
            for method in ("GET", "POST"):
                answer = self.ask(method, path)
                self.assertEqual(answer.status, 404, path)
                self.assertIn(f"Did you mean {likely}?", answer.body.decode())
        for path in ("/v1/models/m/", "/v1/models//m", "/v1/models/m//"):
            answer = self.ask("GET", path)
            self.assertEqual(answer.status, 404)
            self.assertIn("Did you mean /v1/models/m?", answer.body.decode())
        self.assertNotIn("Did you mean", self.ask("GET", "/models/nobody").body.decode())
        self.assertNotIn("Did you mean", self.ask("GET", "/v1/models/nobody/").body.decode())
        told = self.ask("POST", "/v1/v1/messages").json  # in the dialect of what was meant
        self.assertEqual((told["type"], told["error"]["type"]), ("error", "not_found_error"))
        self.assertIn("/v1/messages?", told["error"]["message"])
        self.assertNotIn("Did you mean", self.ask("GET", "/slots").body.decode())
        self.assertEqual(self.backend.requests, [])

    def test_C7_a_base_url_alone_and_an_api_that_is_not_spoken(self):
        for path, said in (("/v1/", "clients put the rest behind it"),
                           ("/v1beta/models/m:generateContent", "API is not spoken here")):
            answer = self.ask("POST", path)
            self.assertEqual(answer.status, 404)
            self.assertIn(said, answer.body.decode())

    def test_C7_a_path_that_is_nearly_right_beside_routes(self):
        gateway, server = self.with_routes("/page")
        for path in ("//v1/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/"):
            answer = self.ask("POST", path, gateway=gateway)
            self.assertEqual(answer.status, 404)
            self.assertIn("Did you mean /v1/chat/completions?", answer.body.decode())
        self.assertEqual(self.ask("GET", "//page", gateway=gateway).status, 400)
        self.assertEqual(server.requests, [])

    def with_routes(self, *paths):
        server = Server()
        self.addCleanup(server.stop)
        gateway = PoolCase.gateway(
            self, {"m": {"backends": [backend(self.backend)]}}, discover=False,
            routes=[{"path": path, "backends": [backend(server)]} for path in paths])
        return gateway, server

    def test_C7_further_endpoints(self):
        self.backend.script = lambda peer, _: peer.send(json_answer({"object": "any"}))
        for path in ("/score", "/v1/score", "/classify", "/pooling", "/rerank", "/embedding",
                     "/v1/tokenize", "/v1/detokenize", "/v2/rerank"):
            self.assertEqual(self.ask("POST", path, b'{"model":"m","input":"x"}').status, 200, path)
            self.assertEqual(self.backend.requests[-1].target, path)

    def test_C7_a_path_without_v1_is_asked_with_it_where_servers_have_it_so(self):
        self.backend.script = lambda peer, _: peer.send(json_answer({"object": "any"}))
        for path in ("/responses", "/audio/speech", "/chat/completions", "/completions",
                     "/embeddings", "/chat/completions?a=b"):
            self.assertEqual(self.ask("POST", path, b'{"model":"m","input":"x"}').status, 200, path)
            self.assertEqual(self.backend.requests[-1].target, "/v1" + path)
        for path in ("/audio/transcriptions", "/audio/translations"):
            body = form((("model", "", b"m"), ("file", '; filename="a.wav"', b"x" * 100)))
            answer = self.ask("POST", path, body, content_type="multipart/form-data; boundary=b")
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(self.backend.requests[-1].body, body)
            self.assertEqual(self.backend.requests[-1].target, "/v1" + path)

    @unittest.skipIf(missing(), missing())
    def test_C7_an_sdk_whose_base_url_has_v1_twice(self):
        error = call(f"{self.gateway.url}/v1", "chat", model="m")["error"]
        self.assertEqual(error["status"], 404)
        self.assertIn("Did you mean /v1/chat/completions?", error["message"])

    def test_C7_what_an_endpoint_does_not_take_goes_to_a_route_first(self):
        gateway, server = self.with_routes("/")
        for method, path in (("GET", "/tokenize"), ("GET", "/v1/chat/completions"),
                             ("DELETE", "/embeddings"), ("POST", "/v1/models"),
                             ("GET", "/"), ("GET", "/health"), ("POST", "/health")):
            count = len(server.requests)
            self.assertEqual(self.ask(method, path, gateway=gateway).status, 200, path)
            self.assertEqual(len(server.requests), count + 1, path)
            self.assertEqual((server.requests[-1].method, server.requests[-1].target),
                             (method, path))
        # What the endpoint takes stays its own, and so does what no route takes.
        self.assertEqual(self.ask("POST", "/v1/chat/completions", chat_body(),
                                  gateway=gateway).status, 200)
        self.assertEqual(len(self.backend.requests), 1)
        self.assertEqual(self.ask("GET", "/healthz", gateway=gateway).body, b"ok\n")
        gateway, _ = self.with_routes("/page")
        answer = self.ask("GET", "/tokenize", gateway=gateway)
        self.assertEqual((answer.status, answer.field("allow")), (405, "POST"))
        self.assertEqual(self.ask("GET", "/health", gateway=gateway).json, {"status": "ok"})


class Framing(GatewayCase):

    def bytes(self, data):
        return data.replace(b"{host}", self.gateway.host.encode())

    def served(self, data):
        """The backend answers this request; returns what it saw."""
        self.backend.forget()
        with self.gateway.client() as client:
            answer = client.ask(self.bytes(data))
            self.assertEqual(answer.status, 200, data)
            # The connection is in step.
            self.assertEqual(client.ask(self.chat()).status, 200)
        self.assertEqual(len(self.backend.requests), 2)
        self.assertEqual(json.loads(self.backend.requests[0].body), json.loads(BODY))
        return self.backend.requests[0]

    def refused(self, data, status):
        self.backend.forget()
        with self.gateway.client() as client:
            client.send(self.bytes(data))
            answer = client.read()
            self.assertEqual((answer.status, answer.closes), (status, True), data)
            message = error_in(answer)["message"]
            self.assertEqual(client.read_to_close(), (b"", "eof"))
        self.assertEqual(self.backend.requests, [])
        return message

    def test_C9_a_tab_behind_a_framing_is_white_space(self):
        length = b"%d" % len(BODY)
        for space in (b"\t", b" \t", b"\t\t ", b"\t \t"):
            for lines, body in ((b"Transfer-Encoding: chunked" + space, CHUNKS),
                                (b"Transfer-Encoding:" + space + b"chunked" + space, CHUNKS),
                                (b"Content-Length: " + length + space, BODY),
                                (b"Content-Length:" + space + length + space, BODY)):
                seen = self.served(START + b"X-A:\tb\tc\t\r\n" + lines + b"\r\n\r\n" + body)
                self.assertNotIn("\t", seen.field("content-length"))
                self.assertEqual(seen.field("x-a"), "b\tc")
        self.refused(START + b"Content-Length: 1\t0\r\n\r\n" + BODY, 400)
        self.refused(START + b"Transfer-Encoding: chun\tked\r\n\r\n" + CHUNKS, 400)
        self.refused(START + b"Transfer-Encoding: chunked\t\r\n" + LENGTH + b"\r\n" + CHUNKS, 400)

    def test_C9_a_tab_in_single_bytes(self):
        data = self.bytes(START + b"Transfer-Encoding: chunked \t\r\n\r\n" + CHUNKS)
        with self.gateway.client() as client:
            client.send_in_pieces(data, range(len(data) - len(CHUNKS) - 12, len(data)))
            self.assertEqual(client.read().status, 200)
        self.assertEqual(self.backend.requests[0].body, BODY)

    def test_C9_a_higher_minor_version_is_served_as_1_1(self):
        for minor in (b"2", b"3", b"9"):
            self.served((START + LENGTH + b"\r\n" + BODY).replace(b"HTTP/1.1", b"HTTP/1." + minor))
            self.served(START.replace(b"HTTP/1.1", b"HTTP/1." + minor) +
                        b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS)
        self.refused(b"GET /v1/models HTTP/1.2\r\n\r\n", 400)
        self.refused(b"GET /v1/models HTTP/2.0\r\n" + HOST + b"\r\n", 505)

    def test_C9_a_backend_of_a_higher_minor_version(self):
        self.backend.script = lambda peer, _: peer.send(
            json_answer({"object": "any"}).replace(b"HTTP/1.1", b"HTTP/1.2"))
        with self.gateway.client() as client:
            answer = client.ask(self.chat())
        self.assertEqual((answer.status, answer.json), (200, {"object": "any"}))

    def test_C9_an_absolute_target_without_a_path(self):
        for target in (b"http://{host}?x", b"http://{host}/?x", b"http://{host}",
                       b"HTTP://{host}?"):
            with self.gateway.client() as client:
                answer = client.ask(self.bytes(b"GET " + target + b" HTTP/1.1\r\n" + HOST +
                                               b"\r\n"))
                self.assertEqual(answer.status, 200, target)
                self.assertIn(b"Sluice", answer.body)
        self.refused(b"GET http://other.example?x HTTP/1.1\r\n" + HOST + b"\r\n", 400)
        self.refused(b"GET http://?x HTTP/1.1\r\n" + HOST + b"\r\n", 400)

    def test_C9_an_absolute_target_without_a_path_comes_to_a_route_with_one(self):
        server = Server()
        self.addCleanup(server.stop)
        gateway = PoolCase.gateway(self, {}, discover=False,
                                   routes=[{"path": "/", "backends": [backend(server)]}])
        with gateway.client() as client:
            host = gateway.host.encode()
            answer = client.ask(b"GET http://%s?a=/b HTTP/1.1\r\nHost: %s\r\n\r\n" % (host, host))
            self.assertEqual(answer.json["target"], "/?a=/b")

    def test_C9_https_on_a_plain_port_is_misdirected(self):
        for target in (b"https://{host}/v1/chat/completions", b"HTTPS://{host}/",
                       b"https://{host}", b"https://{host}?x"):
            line = LINE.replace(b"/v1/chat/completions", target)
            self.assertIn("http", self.refused(line + HOST + TYPE + LENGTH + b"\r\n" + BODY, 421))

    def test_C9_a_second_content_type_or_origin_is_refused(self):
        for line in (TYPE, b"Content-Type: text/plain\r\n", b"content-type:\r\n"):
            self.assertIn("Content-Type", self.refused(START + line + LENGTH + b"\r\n" + BODY, 400))
        for first, second in (("http://localhost", "http://localhost"),
                              ("http://localhost", "https://evil.example"),
                              ("https://evil.example", "http://localhost")):
            self.assertIn("Origin", self.refused(
                START + f"Origin: {first}\r\norigin: {second}\r\n".encode() + LENGTH + b"\r\n" +
                BODY, 400))
        self.refused(START + b"Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n" + LENGTH +
                     b"\r\n" + BODY, 400)

    def test_C9_what_browsers_say_of_a_page_stays_here(self):
        seen = self.served(
            START + LENGTH + b"Origin: http://localhost:3000\r\n"
            b"Referer: http://localhost:3000/a?b\r\nSec-Fetch-Site: same-site\r\n"
            b"sec-fetch-mode: cors\r\nSec-Fetch-Dest: empty\r\n"
            b"Sec-Fetch-User: ?1\r\nSec-Fetch-Storage-Access: none\r\nX-Kept: 1\r\n\r\n" + BODY)
        for name, _ in seen.fields:
            self.assertNotIn(name, ("origin", "referer"))
            self.assertFalse(name.startswith("sec-"), name)
        self.assertEqual(seen.field("x-kept"), "1")


if __name__ == "__main__":
    main()
