#!/usr/bin/env python3
"""Whose failure it is (R1, R2 of docs/faults.md): a server's, a request's, or a credential's; and
that nobody else suffers from a request's or a credential's."""

import json
import threading
import time

from backend import LAST_CHUNK, answer_chat, chunk, delta, head, json_answer, sse_head
from harness import main
from pool_case import PoolCase, backend, consumers, key_field
from test_fallback import BLIND, hang_up, refuse
from test_llama_server import CHAT, EMBED, WHY_NOT, Llama
from wire import Client, wait_until

import unittest

ARGUMENTS = {"error": {"code": 500, "type": "server_error",
                       "message": "Failed to parse tool call arguments as JSON"}}
BAD = "the request's own fault"


def by_content(bad):
    """A server that is well, but answers `bad` to the words above."""
    def script(peer, request):
        if BAD in request.body.decode():
            bad(peer, request)
        else:
            answer_chat(peer, request)
    return script


def error_event(error):
    return lambda peer, _: peer.send(
        sse_head() + chunk(b"data: " + json.dumps({"error": error}).encode() + b"\n\n") +
        LAST_CHUNK)


class Judging(PoolCase):

    def states(self, gateway):
        return [line["state"] for line in self.happened(gateway, "breaker")]

    def pool(self, *servers, shards=1, **more):
        return self.gateway({"m": {"balance": "round-robin", "health": BLIND,
                                   "backends": [backend(server) for server in servers],
                                   "breaker": {"open": "1h", "open_max": "1h"}} | more},
                            shards=shards)

    def asked(self, *servers):
        return [len(server.requests) for server in servers]


class OfTheRequest(Judging):

    FAULTS = {
        "a quick 500": (refuse(500, ARGUMENTS), False),
        "a 500 without a body": (lambda peer, _: peer.send(head(500, "No", Content_Length=0)),
                                 False),
        "a 500 in plain text": (lambda peer, _: peer.send(
            head(500, "No", Content_Type="text/plain", Content_Length=5) + b"oops!"), False),
        "505": (refuse(505), False),
        "an error event that says 500": (error_event({"message": "no", "code": 500}), True),
        "an error event that says 400": (error_event({"message": "no", "code": 400}), True),
        "an error event that says nothing": (error_event({"message": "no"}), True),
        "an error event of the context": (error_event(
            {"message": "too long", "code": "context_length_exceeded"}), True),
        "an event that is not JSON": (lambda peer, _: peer.send(
            sse_head() + chunk(delta("hi")) + chunk(b"data: {no\n\n") + LAST_CHUNK), True),
    }

    def test_R1_one_callers_faults_take_the_backend_from_nobody(self):
        for name, (script, stream) in self.FAULTS.items():
            with self.subTest(name):
                server = self.scripted(by_content(script))
                gateway = self.pool(server)
                for number in range(12):
                    # The same again, and others.
                    bad = self.ask(gateway, content=BAD + "!" * (number // 3), stream=stream)
                    self.assertFalse(bad.served() and not stream, bad)
                    if number % 4 == 3:
                        self.assert_served(self.ask(gateway, source="127.0.0.2"))
                self.assertEqual(self.states(gateway), [])

    BREAKS = {
        "a reset": (hang_up, False),
        "a close": (lambda peer, _: peer.close(), False),
        "a document that is cut": (lambda peer, _: (peer.send(
            head(Content_Type="application/json", Content_Length=500) + b'{"id":'),
            peer.close()), False),
        "a stream that is cut": (lambda peer, _: (peer.send(sse_head() + chunk(delta("hi"))),
                                                  peer.close()), True),
    }

    def test_R1_connections_that_break_take_no_server_from_others(self):
        for name, (script, stream) in self.BREAKS.items():
            for count in (1, 3):
                with self.subTest(name, servers=count):
                    servers = [self.scripted(by_content(script)) for _ in range(count)]
                    gateway = self.pool(*servers, health={})  # which they answer
                    wait_until(lambda s=servers: all(server.probes for server in s), "probes")
                    for number in range(9):
                        self.ask(gateway, content=f"{BAD} {number}", stream=stream)
                    for _ in range(4):
                        self.assert_served(self.ask(gateway, source="127.0.0.2"))

    def test_R1_a_second_opinion_and_no_third(self):
        for stream, shards in ((False, 1), (True, 1), (False, 3)):
            with self.subTest(stream=stream, shards=shards):
                servers = [self.scripted(by_content(refuse(500, ARGUMENTS))) for _ in range(4)]
                gateway = self.pool(*servers, shards=shards)
                told = self.ask(gateway, content=BAD, stream=stream)
                self.assertEqual((told.status, told.answer.json), (500, ARGUMENTS))
                self.assertEqual(sum(self.asked(*servers)), 2)
                self.assertEqual(told.answer.field("x-should-retry"), "false")
                # What two have said is known for a while.
                for asked in range(3, 6):
                    told = self.ask(gateway, content=BAD, stream=stream)
                    self.assertEqual((told.status, sum(self.asked(*servers))), (500, asked))
                    self.assertEqual(told.answer.field("x-should-retry"), "false")
                # Another request is another matter.
                self.ask(gateway, content=BAD + "?", stream=stream)
                self.assertEqual(sum(self.asked(*servers)), 7)
                self.assertEqual(self.states(gateway), [])

    def test_R1_the_second_opinion_may_be_a_better_one(self):
        broken, well = self.scripted(refuse(500)), self.scripted(answer_chat)
        gateway = self.pool(broken, well)
        for _ in range(6):
            self.assert_served(self.ask(gateway))
        self.assertEqual(self.states(gateway), [])

    def test_R1_a_fallback_gives_the_second_opinion_and_ends_it(self):
        servers = [self.scripted(refuse(500)) for _ in range(3)]
        gateway = self.gateway({
            "m": {"backends": [backend(servers[0])], "fallback": ["a", "b"], "health": BLIND},
            "a": {"backends": [backend(servers[1])], "health": BLIND},
            "b": {"backends": [backend(servers[2])], "health": BLIND}})
        self.assertEqual(self.ask(gateway).status, 500)
        self.assertEqual(self.asked(*servers), [1, 1, 0])

    def test_R1_what_others_fail_of_too_is_the_servers(self):
        broken, well = self.scripted(refuse(500)), self.scripted(answer_chat)
        keys = {"one": "sk-one-0123456789abcdef", "two": "sk-two-0123456789abcdef"}
        gateway = self.gateway(
            {"m": {"backends": [backend(broken), backend(well, priority=1)], "health": BLIND,
                   "breaker": {"failures": 2, "open": "1h", "open_max": "1h"}}},
            consumers=consumers(**keys))
        for number in range(6):
            key = list(keys.values())[number % 2]
            self.assert_served(self.ask(gateway, [key_field(key)], content=f"request {number}"))
        self.assertEqual(self.states(gateway), ["open"])
        # The first had no witness; the second and the third count.
        self.assertEqual(len(broken.requests), 3)

    def test_R1_what_others_fail_of_on_other_shards_too(self):
        broken, well = self.scripted(refuse(500)), self.scripted(answer_chat)
        gateway = self.gateway(
            {"m": {"backends": [backend(broken), backend(well, priority=1)], "health": BLIND,
                   "breaker": {"failures": 1, "open": "1h", "open_max": "1h"}}}, shards=3)
        for number in range(30):
            self.assert_served(self.ask(gateway, content=f"request {number}",
                                        source=f"127.0.0.{2 + number % 2}"))
        # The first had no witness; then each shard's breaker opens with its first.
        self.assertEqual(set(self.states(gateway)), {"open"})
        self.assertEqual(len(broken.requests), 1 + len(self.states(gateway)))

    def test_R1_who_is_served_on_another_shard_is_served(self):
        server = self.scripted(by_content(refuse(500, ARGUMENTS)))
        gateway = self.pool(server, self.scripted(answer_chat), shards=3,
                            balance="least-busy",
                            breaker={"failures": 1, "open": "1h", "open_max": "1h"})
        for number in range(30):
            self.ask(gateway, content=f"{BAD} {number}", source=f"127.0.0.{2 + number % 2}")
            # Until the one that is in question has served somebody.
            before = len(server.requests)
            while len(server.requests) == before:
                self.assert_served(self.ask(gateway, content=f"good {number}"))
        self.assertEqual(self.states(gateway), [])

    def test_R1_by_its_address_where_nobody_says_who_they_are(self):
        broken, well = self.scripted(refuse(500)), self.scripted(answer_chat)
        gateway = self.gateway(
            {"m": {"backends": [backend(broken), backend(well, priority=1)], "health": BLIND,
                   "breaker": {"failures": 1, "open": "1h", "open_max": "1h"}}})
        self.assert_served(self.ask(gateway, content="one"))
        self.assertEqual(self.states(gateway), [])
        self.assert_served(self.ask(gateway, content="two", source="127.0.0.2"))
        self.assertEqual(self.states(gateway), ["open"])


class OfTheServer(Judging):

    def test_R1_the_last_one_is_not_closed_by_answers(self):
        for script, status in ((refuse(503), 503), (refuse(529), 529), (refuse(502), 502),
                               (refuse(500), 500), (refuse(429), 429)):
            with self.subTest(status):
                server = self.scripted(script)
                gateway = self.pool(server)
                for _ in range(8):
                    self.assertEqual(self.ask(gateway).status, status)
                self.assertEqual(len(server.requests), 8)
                server.script = answer_chat
                for _ in range(3):
                    self.assert_served(self.ask(gateway))

    def test_R1_nor_is_the_last_one_that_is_left(self):
        unwell, gone = self.scripted(refuse(503)), self.sim()
        gateway = self.gateway({"m": {"backends": [backend(unwell), backend(gone, priority=1)],
                                      "breaker": {"open": "1h", "open_max": "1h"},
                                      "health": {"interval": "20ms"}}})
        for _ in range(4):
            self.assert_served(self.ask(gateway))
        self.wait_event(gateway, "breaker", state="open")
        asked = len(unwell.requests)
        self.assert_served(self.ask(gateway))
        self.assertEqual(len(unwell.requests), asked)
        gone.kill()
        self.wait_event(gateway, "health", state="down")
        self.assertEqual(self.ask(gateway).status, 503)
        self.assertEqual(len(unwell.requests), asked + 1)
        unwell.script = answer_chat
        self.assert_served(self.ask(gateway))

    def test_R1_but_one_that_does_not_answer_is(self):
        server = self.scripted(hang_up)
        gateway = self.pool(server)
        self.assertEqual([self.ask(gateway).status for _ in range(5)],
                         [502, 502, 502, 503, 503])
        self.assertEqual(len(server.requests), 3)

    def test_R1_a_fallback_comes_before_one_that_answers_badly(self):
        unwell, spare = self.scripted(refuse(503)), self.scripted(answer_chat)
        gateway = self.gateway({
            "m": {"backends": [backend(unwell)], "fallback": ["spare"], "health": BLIND,
                  "breaker": {"open": "1h", "open_max": "1h"}},
            "spare": {"backends": [backend(spare)], "health": BLIND}})
        for _ in range(6):
            self.assert_served(self.ask(gateway))
        self.assertEqual(self.asked(unwell, spare), [3, 6])
        # Behind the last one of the chain it is better than nobody.
        for _ in range(30):  # which earns some retries
            self.assert_served(self.ask(gateway))
        spare.script = hang_up
        for _ in range(3):
            told = self.ask(gateway)
            self.assertEqual((told.status, told.answer.field("x-sluice-backend")),
                             (503, unwell.url))


class OfRoutes(Judging):

    def route(self, *servers, breaker=None, **top):
        route = {"path": "/tool", "backends": [backend(server) for server in servers],
                 "health": BLIND, "balance": "round-robin"}
        if breaker:
            route["breaker"] = breaker
        return self.gateway({}, routes=[route], **top)

    def put(self, gateway, path="/tool"):
        with gateway.client() as client:
            return client.ask(f"PUT {path} HTTP/1.1\r\nHost: {gateway.host}\r\n"
                              "Content-Length: 1\r\nConnection: close\r\n\r\nx".encode())

    def test_R1_a_route_is_judged_as_a_model_is(self):
        server = self.scripted(lambda peer, request: peer.send(
            head(500 if request.target.endswith("bad") else 200, "So", Content_Length=0)))
        gateway = self.route(server)
        for _ in range(6):
            self.assertEqual(self.put(gateway, "/tool/bad").status, 500)
        self.assertEqual(self.put(gateway, "/tool/good").status, 200)
        self.assertEqual(self.states(gateway), [])

    def test_R1_routes_have_a_breaker_and_its_defaults(self):
        quick = {"failures": 1, "open": "1h", "open_max": "1h"}
        for top, own in (({}, quick), ({"defaults": {"breaker": quick}}, None),
                         ({"defaults": {"breaker": {"failures": 0, "error_rate": 0}}}, quick)):
            with self.subTest(top=top, own=own):
                bad = self.scripted(lambda peer, _: peer.send(head(503, "No", Content_Length=0)))
                well = self.scripted(lambda peer, _: peer.send(head(200, Content_Length=0)))
                gateway = self.route(bad, well, breaker=own, **top)
                for _ in range(4):
                    self.assertEqual(self.put(gateway).status, 200)
                self.assertEqual(len(bad.requests), 1)


class OfACredential(Judging):

    def test_R2_a_clients_own_key_concerns_that_key_only(self):
        def script(peer, request):
            if request.field("authorization") == "Bearer bad":
                peer.send(json_answer({"error": {"message": "no"}}, self.status, "No",
                                      Retry_After="60"))
            else:
                answer_chat(peer, request)
        for self.status in (401, 402, 403, 429):
            with self.subTest(self.status):
                server = self.scripted(script)
                gateway = self.pool(server)
                for _ in range(5):
                    told = self.ask(gateway, ["Authorization: Bearer bad"])
                    self.assertEqual(told.status, self.status)
                    self.assert_served(self.ask(gateway, ["Authorization: Bearer good"]))
                    self.assert_served(self.ask(gateway))
                self.assertEqual(self.states(gateway), [])

    def test_R2_a_limit_of_one_key_sends_only_that_one_elsewhere(self):
        def script(peer, request):
            if request.field("authorization") == "Bearer spent":
                peer.send(json_answer({"error": {"message": "no"}}, 429, "No", Retry_After="60"))
            else:
                answer_chat(peer, request)
        first, second = self.scripted(script), self.scripted(answer_chat)
        gateway = self.gateway({"m": {"backends": [backend(first), backend(second, priority=1)],
                                      "health": BLIND}})
        for _ in range(4):
            self.assert_served(self.ask(gateway, ["Authorization: Bearer spent"]))
        self.assertEqual(self.asked(first, second), [1, 4])
        self.assert_served(self.ask(gateway, ["Authorization: Bearer other"]))
        self.assertEqual(self.asked(first, second), [2, 4])

    def test_R2_our_own_limit_lasts_as_long_as_was_said(self):
        limited, other = self.scripted(refuse(429, Retry_After="1")), self.scripted(answer_chat)
        gateway = self.gateway(
            {"m": {"backends": [backend(limited, key="env:SLUICE_TEST_KEY"),
                                backend(other, priority=1)], "health": BLIND}},
            env={"SLUICE_TEST_KEY": "ours"})
        for round_ in range(1, 6):  # no strikes: each time for as long as it says
            began = time.monotonic()
            self.assert_served(self.ask(gateway))
            self.assertEqual(len(limited.requests), round_)
            wait_until(lambda: self.assert_served(self.ask(gateway)) and
                       len(limited.requests) > round_, "it is asked again")
            self.assertGreater(time.monotonic() - began, 0.9)
            limited.script = refuse(429, Retry_After="1")
            time.sleep(1.1)
            limited.requests.pop()
        self.assertEqual(self.states(gateway), [])

    def test_R2_alone_its_own_answer_and_advice_go_to_the_client(self):
        limited = self.scripted(refuse(429, Retry_After="7"))
        gateway = self.gateway({"m": {"backends": [backend(limited, key="env:SLUICE_TEST_KEY")],
                                      "health": BLIND}}, env={"SLUICE_TEST_KEY": "ours"})
        for asked in range(1, 7):
            told = self.ask(gateway)
            self.assertEqual((told.status, told.answer.json["error"]["message"]),
                             (429, "says 429"))
            self.assertEqual(told.answer.field("retry-after"), "7")
            self.assertEqual(len(limited.requests), asked)

    def test_R2_a_limit_goes_to_the_fallback_for_limits(self):
        limited = self.scripted(refuse(429, Retry_After="60"))
        spare, wrong = self.scripted(answer_chat), self.scripted(answer_chat)
        gateway = self.gateway({
            "m": {"backends": [backend(limited)], "health": BLIND,
                  "fallback": {"rate_limit": ["spare"], "any": ["wrong"]}},
            "spare": {"backends": [backend(spare)], "health": BLIND},
            "wrong": {"backends": [backend(wrong)], "health": BLIND}})
        for _ in range(4):
            self.assert_served(self.ask(gateway))
        self.assertEqual(self.asked(limited, spare, wrong), [1, 4, 0])


@unittest.skipIf(WHY_NOT, WHY_NOT)
class RealServer(PoolCase):
    """A llama-server answers 500 to faults of the request."""

    CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{no"}}
    TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    BODIES = {
        "arguments that are no JSON": ("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "hi"},
                         {"role": "assistant", "content": None, "tool_calls": [CALL]},
                         {"role": "tool", "tool_call_id": "c1", "content": "x"}],
            "tools": [TOOL]}),
        "a tool of another type": ("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "retrieval"}]}),
        "a schema beside a grammar": ("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "hi"}], "grammar": "root ::= \"a\"",
            "json_schema": {"type": "object"}}),
        "no messages": ("/v1/messages", {"max_tokens": 5}),
    }

    @classmethod
    def setUpClass(cls):
        cls.chat = Llama(CHAT, "--jinja", "-c", "2048", "-np", "2")
        cls.addClassCleanup(cls.chat.stop)
        cls.embed = Llama(EMBED, "--embeddings", "-c", "512", "-b", "64", "-ub", "64")
        cls.addClassCleanup(cls.embed.stop)

    def post(self, gateway, path, body, model="m"):
        data = json.dumps({"model": model, **body}).encode()
        with Client(gateway.address) as client:
            return client.ask(f"POST {path} HTTP/1.1\r\nHost: {gateway.host}\r\n"
                              "Content-Type: application/json\r\nConnection: close\r\n"
                              f"Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def beside(self, gateway, path, body, good_path, good, model="m"):
        """One bad client and one good one; what each of them got."""
        done = threading.Event()
        bad = []

        def again():
            while not done.is_set():
                bad.append(self.post(gateway, path, body, model).status)
                done.wait(0.01)
        thread = threading.Thread(target=again)
        thread.start()
        try:
            statuses = [self.post(gateway, good_path, good, model).status for _ in range(20)]
        finally:
            done.set()
            thread.join()
        return bad, statuses

    def test_R1_a_bad_client_beside_a_good_one(self):
        gateway = self.gateway({"m": {"backends": [backend(self.chat)]}})
        good = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
        seen = {}
        for name, (path, body) in self.BODIES.items():
            with self.subTest(name):
                bad, statuses = self.beside(gateway, path, body, "/v1/chat/completions", good)
                self.assertEqual(statuses, [200] * 20)
                self.assertEqual(len(set(bad)), 1, bad)
                self.assertGreaterEqual(bad[0], 400)
                seen[name] = bad[0]
        print(f"     a real llama-server says {seen}", flush=True)
        self.assertIn(500, seen.values())
        self.assertEqual(self.happened(gateway, "breaker"), [])

    def test_R1_an_embedding_longer_than_a_batch(self):
        gateway = self.gateway({"e": {"backends": [backend(self.embed)]}})
        bad, statuses = self.beside(gateway, "/v1/embeddings", {"input": "word " * 200},
                                    "/v1/embeddings", {"input": "hello"}, "e")
        self.assertEqual(statuses, [200] * 20)
        self.assertEqual(len(set(bad)), 1, bad)
        self.assertGreaterEqual(bad[0], 400)
        self.assertEqual(self.happened(gateway, "breaker"), [])


if __name__ == "__main__":
    main()
