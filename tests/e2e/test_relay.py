#!/usr/bin/env python3
"""Relaying at length: big bodies both ways, other forms of stream, reuse, and a long mixed run
after which nothing may be left behind."""

import collections
import hashlib
import json
import random
import re
import threading
import time
import unittest

from backend import DONE, LAST_CHUNK, chunk, delta, head, json_answer, sse_head
from harness import (BUFFERS_AT_REST, NO_BREAKER, SANITIZED, SCALE, Gateway, GatewayCase, Sim,
                     chat_body, chat_request, defaults, main, memory_case, request)
from wire import Closed, Malformed, wait_until

NDJSON = {"Content_Type": "application/x-ndjson", "Transfer_Encoding": "chunked"}


def metrics(gateway, fields=()):
    """The gauges and counters, summed over their labels."""
    with gateway.client() as client:
        text = client.ask(request("GET", "/metrics", fields=fields)).body.decode()
    sums = collections.Counter()
    for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? ([-+.\de]+)$", text, re.M):
        sums[name] += float(value)
    return sums


def line(value):
    return json.dumps(value).encode() + b"\n"


class BigBodies(GatewayCase):

    SIZE = 12 << 20

    def test_a_big_request_arrives_byte_for_byte(self):
        content = random.Random(1).randbytes(self.SIZE // 2).hex()
        body = chat_body(content=content)
        chunks = b"".join(chunk(body[at:at + 70_001]) for at in range(0, len(body), 70_001))
        for data in (request("POST", "/v1/chat/completions", body, self.gateway.host),
                     request("POST", "/v1/chat/completions", host=self.gateway.host,
                             fields=["Transfer-Encoding: chunked"]).replace(
                                 b"Content-Length: 0\r\n", b"") + chunks + LAST_CHUNK):
            self.backend.forget()
            self.assertEqual(self.client().ask(data).status, 200)
            self.assertTrue(self.backend.requests[0].body == body, "some byte differs")

    def test_a_backend_that_reads_late_gets_every_byte(self):
        late = threading.Event()
        self.backend.early = lambda peer, _: late.wait(30) and None
        body = chat_body(content="x" * (8 << 20))
        client = self.client()
        sender = threading.Thread(target=client.send, args=[request(
            "POST", "/v1/chat/completions", body, self.gateway.host)])
        sender.start()
        wait_until(lambda: self.backend.started, "the request begins to arrive")
        # More than the kernel takes on the way: the gateway has to wait, too.
        self.assertTrue(client.silent_for(0.3))
        late.set()
        sender.join()
        self.assertEqual(client.read().status, 200)
        self.assertTrue(self.backend.requests[0].body == body, "some byte differs")

    def test_an_answer_that_comes_before_the_body_was_read_arrives(self):
        refusal = {"error": {"message": "too large", "type": "invalid_request_error"}}

        def early(peer, _):
            peer.send(json_answer(refusal, 413, "Payload Too Large", Connection="close"))
            peer.close()  # with unread bytes: the kernel resets the connection
            return True
        for size in (1000, 8 << 20):
            with self.subTest(size):
                self.backend.forget()
                self.backend.early = early
                answer = self.client().ask(request(
                    "POST", "/v1/chat/completions", chat_body(content="x" * size),
                    self.gateway.host))
                self.assertEqual((answer.status, answer.json), (413, refusal))

    def big_answer(self, framing):
        piece = random.Random(2).randbytes(64 << 10)
        count = 64 << 4

        def script(peer, _):
            if framing == "length":
                peer.send(head(Content_Type="application/octet-stream",
                               Content_Length=len(piece) * count))
            else:
                peer.send(head(Content_Type="application/octet-stream",
                               Transfer_Encoding="chunked"))
            for _ in range(count):
                peer.send(piece if framing == "length" else chunk(piece))
            if framing != "length":
                peer.send(LAST_CHUNK)
        self.backend.forget(script)
        client = self.client()
        client.send(request("POST", "/v1/audio/speech", chat_body(), self.gateway.host))
        answer = client.read()
        seen = hashlib.sha256()
        while part := answer.stream.read_some():
            seen.update(part)
        self.assertTrue(answer.stream.complete)
        wanted = hashlib.sha256()
        for _ in range(count):
            wanted.update(piece)
        self.assertEqual(seen.digest(), wanted.digest())

    def test_a_big_answer_arrives_byte_for_byte(self):
        for framing in ("length", "chunked"):
            with self.subTest(framing):
                self.big_answer(framing)

    @memory_case
    def test_a_big_answer_takes_bounded_memory(self):
        self.big_answer("chunked")
        before = self.gateway.rss()
        self.big_answer("length")
        self.assertLess(self.gateway.rss() - before, 2 << 20)


class OtherStreams(GatewayCase):

    def ollama(self, script, path="/api/chat", **more):
        self.backend.forget(script)
        client = self.client()
        client.send(request("POST", path, chat_body(**more), self.gateway.host))
        return client.read()

    def test_row_108_lines_of_ollama_pass_unmodified(self):
        body = (line({"model": "m", "message": {"role": "assistant", "content": "a"},
                      "done": False}) +
                line({"model": "m", "message": {"content": ""}, "done": True,
                      "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 5}))
        for cuts in ((), range(len(body) + 200)):
            # A stream unless "stream" says otherwise.
            answer = self.ollama(lambda peer, _, cuts=cuts: peer.send_in_pieces(
                head(**NDJSON) + chunk(body) + LAST_CHUNK, cuts))
            self.assertEqual((answer.body, answer.complete), (body, True))
            logged = self.gateway.logged(id=answer.field("x-request-id"))
            self.assertFalse(logged.get("tokens_estimated"))
            self.assertEqual((logged["prompt_tokens"], logged["completion_tokens"]), (11, 5))

    def test_row_070_lines_that_break_off_end_in_an_error_line(self):
        first = line({"model": "m", "message": {"content": "a"}, "done": False})

        def script(peer, _):
            peer.send(head(**NDJSON) + chunk(first))
            peer.close()
        answer = self.ollama(script)
        self.assertTrue(answer.body.startswith(first))
        self.assertTrue(answer.complete)
        self.assertNotIn(b'"done": true', answer.body)
        self.assertTrue(answer.body.endswith(b"\n"))
        self.assertIsInstance(json.loads(answer.body[len(first):])["error"], str)

    def test_errors_in_the_dialect_of_the_endpoint(self):
        asked = {"/v1/chat/completions": lambda e: e["error"]["code"],
                 "/v1/messages": lambda e: e["type"] + e["error"]["type"],
                 "/api/chat": lambda e: "a string" * isinstance(e["error"], str)}
        found = {}
        for path, read in asked.items():
            with self.gateway.client() as client:
                answer = client.ask(request("POST", path, chat_body(model="nobody"),
                                            self.gateway.host))
            self.assertEqual(answer.status, 404)
            found[path] = read(answer.json)
        self.assertEqual(found, {"/v1/chat/completions": "model_not_found",
                                 "/v1/messages": "errornot_found_error",
                                 "/api/chat": "a string"})


class Reuse(GatewayCase):

    # Each shard has a pool of its own, and a health check a connection of its own.
    flags = ("--shards", "1", *defaults({"health": {"probe": "off"}}))

    def test_connections_to_the_backend_are_reused(self):
        before = len(self.backend.connections)
        for _ in range(20):
            with self.gateway.client() as client:
                self.assertEqual(client.ask(self.chat()).status, 200)
                self.assertEqual(client.ask(self.chat(stream=True)).body[-14:], DONE)
        self.assertLessEqual(len(self.backend.connections) - before, 1)

    def test_one_client_connection_carries_every_kind_in_turn(self):
        client = self.client()
        for _ in range(3):
            self.assertEqual(client.ask(self.chat()).status, 200)
            self.assertTrue(client.ask(self.chat(stream=True)).complete)
            self.assertEqual(client.ask(request("GET", "/v1/models", host=self.gateway.host))
                             .status, 200)
            self.assertEqual(client.ask(self.chat(model="nobody")).status, 404)
            self.assertEqual(client.ask(request("HEAD", "/healthz", host=self.gateway.host),
                                        "HEAD").status, 200)

    def test_nothing_turns_while_nothing_happens(self):
        def script(peer, _):
            peer.send(sse_head() + chunk(delta("one")))
            go_on.wait(30)
            peer.send(chunk(DONE) + LAST_CHUNK)
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        stream = self.stream_of(script)
        stream.read_until(b"one")
        idle = self.client()
        idle.ask(request("GET", "/healthz", host=self.gateway.host))
        before, turns = self.gateway.cpu_seconds(), metrics(self.gateway)["sluice_ring_turns_total"]
        time.sleep(1.5)
        turned = metrics(self.gateway)["sluice_ring_turns_total"] - turns
        self.assertLess(self.gateway.cpu_seconds() - before, 0.3)
        self.assertLess(turned, 300, "turns of the loop in 1.5 s without work")


class Chaos(unittest.TestCase):
    """Everything at once: good requests, broken ones, failing backends, clients that leave."""

    REQUESTS = int((1500 if SANITIZED else 6000) * SCALE)
    FAILS = ("reset", "malformed-chunk", "close", "error-event", "no-done", "429", "loading",
             "context", "html", "headers", "extra", "short-length")

    def one(self, dice, counts):
        """One request of a random kind on a connection of its own; counts what the gateway must
        have logged."""
        kind = dice.randrange(10)
        fields = []
        if kind in (1, 2, 3):
            fail = dice.choice(self.FAILS)
            fields = [f"x-sim: fail={fail},fail-after={dice.randrange(4)}"]
        data = chat_request(model="sim", stream=dice.random() < 0.6, fields=fields,
                            max_tokens=dice.randrange(1, 9))
        client = self.gateway.client()
        if kind == 0:
            client.send_some(data[:dice.randrange(len(data))])
        else:
            client.send_some(data)
            counts["sent"] += 1
        if kind in (4, 5):  # leaves at some moment
            if dice.random() < 0.5:
                try:
                    client.read().read_some()
                except (Closed, Malformed):
                    pass
        elif kind != 0:
            answer = client.read()
            _ = answer.body
            counts["answered"] += 1
            if not fields:
                counts["good"] += answer.status == 200 and answer.complete
                counts["should be good"] += 1
        (client.reset if dice.random() < 0.5 else client.close)()

    def work(self, seed, count, totals):
        dice, counts = random.Random(seed), collections.Counter()
        try:
            for _ in range(count):
                self.one(dice, counts)
        except Exception as error:  # reported in the main thread
            totals["errors"].append(f"seed {seed}: {error!r}")
        totals[seed] = counts

    def test_nothing_is_left_behind_and_everything_is_settled_once(self):
        sim = Sim("--ttft", "0ms", "--itl", "0ms", "--tokens", "6")
        self.addCleanup(sim.stop)
        self.gateway = Gateway("--model", f"sim={sim.url}", *defaults(NO_BREAKER))
        self.addCleanup(self.gateway.stop)
        base = metrics(self.gateway)
        totals = {"errors": []}
        seeds = [random.randrange(1 << 30) for _ in range(4)]
        workers = [threading.Thread(target=self.work, args=[seed, self.REQUESTS // 4, totals])
                   for seed in seeds]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(totals.pop("errors"), [])
        counts = sum(totals.values(), collections.Counter())
        self.assertEqual(counts["good"], counts["should be good"], f"seeds {seeds}")
        for name in ("sluice_requests_in_flight", "sluice_connections_open"):
            wait_until(lambda name=name: metrics(self.gateway)[name] == base[name],
                       f"{name} is {base[name]} again, seeds {seeds}")
        wait_until(lambda: metrics(self.gateway)["sluice_buffers_in_use"] <= BUFFERS_AT_REST,
                   f"every buffer is back, seeds {seeds}")
        logged = [entry for entry in self.gateway.log()
                  if entry.get("path") == "/v1/chat/completions"]
        ids = [entry["id"] for entry in logged]
        self.assertEqual(len(ids), len(set(ids)), "no request is settled twice")
        self.assertGreaterEqual(len(logged), counts["answered"])
        self.assertLessEqual(len(logged), self.REQUESTS)
        print(f"     {counts['sent']} requests: " + ", ".join(
            f"{end} {number}" for end, number in
            sorted(collections.Counter(entry["end"] for entry in logged).items())), flush=True)


if __name__ == "__main__":
    main()
