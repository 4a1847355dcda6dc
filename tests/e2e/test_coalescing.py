#!/usr/bin/env python3
"""Equal requests that are under way at the same time are one for the backend: who leaves when, what
the backend does meanwhile, with one shard and with three.

The table: the first, a middle or the last listener leaves before the head, before the first event,
in the middle of the stream, at its end; the backend answers, dies, stalls or ends with an error.
"""

import threading
import time

from backend import (DONE, LAST_CHUNK, answer_chat, chunk, delta, event, finish, head, json_answer,
                     sse_head)
from harness import chat_request, main, request
from pool_case import PoolCase, Told, backend, consumers, key_field, together
from test_relay import metrics
from wire import Client, Closed, wait_until

BLIND = {"probe": "off"}


def in_flight(gateway):
    """Beside the request that asks for it."""
    return metrics(gateway)["sluice_requests_in_flight"] - 1


class Stage:
    """A script that streams in steps, each when the test says so."""

    def __init__(self):
        self.steps = {name: threading.Event() for name in ("head", "event", "middle", "end")}
        self.reached = {name: threading.Event() for name in ("request", "head", "event", "middle")}
        self.requests = 0
        self.fate = "answer"
        self.peer = None

    def wait(self, name):
        if not self.steps[name].wait(60):
            raise AssertionError(f"nobody let it pass {name}")

    def __call__(self, peer, asked):
        self.requests += 1
        self.peer = peer
        self.reached["request"].set()
        try:
            self.wait("head")
            if self.fate == "refuse":
                body = b'{"error":{"message":"no","type":"invalid_request_error","code":400}}'
                peer.send(head(400, "Bad Request", Content_Type="application/json",
                               Content_Length=len(body)) + body)
                return
            peer.send(sse_head())
            self.reached["head"].set()
            self.wait("event")
            peer.send(chunk(delta("one ")))
            self.reached["event"].set()
            self.wait("middle")
            peer.send(chunk(delta("two ")))
            self.reached["middle"].set()
            self.wait("end")
            if self.fate == "die":
                peer.close()
                return
            if self.fate == "error":
                peer.send(chunk(event({"error": {"message": "out of memory", "code": 500}})) +
                          LAST_CHUNK)
                return
            peer.send(chunk(delta("three") + finish()) + chunk(DONE) + LAST_CHUNK)
        except Closed:
            pass

    def let(self, *names):
        for name in names:
            self.steps[name].set()


class Listener:
    """A client that reads in its own thread and may leave at any time."""

    def __init__(self, gateway, fields=(), **more):
        self.body = b""
        self.status = 0
        self.answer = None
        self.complete = False
        self.client = Client(gateway.address)
        self.client.send(chat_request(gateway.host, content="the same", temperature=0,
                                      fields=fields, **more))
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            self.answer = self.client.read()
            self.status = self.answer.status
            while part := self.answer.read_some():
                self.body += part
            self.complete = self.answer.complete
        except (OSError, Closed, AssertionError, ValueError):
            pass

    def leave(self):
        self.client.sock.shutdown(2)
        self.thread.join(10)
        self.client.close()

    def end(self):
        self.thread.join(60)
        self.client.close()
        return self

    def text(self):
        """What the backend said; without comments."""
        return b"".join(part + b"\n\n" for part in self.body.split(b"\n\n")
                        if part and not part.startswith(b":"))


class Coalescing(PoolCase):

    def begin(self, shards=1, model=None, **top):
        self.stage = Stage()
        self.addCleanup(self.stage.let, *self.stage.steps)
        self.server = self.scripted(self.stage)
        self.gate = self.gateway({"m": {"backends": [backend(self.server)], "health": BLIND,
                                        "queue": {"notice_first": "0"}, "coalesce": "auto",
                                        **(model or {})}},
                                 shards=shards, **top)
        return self.stage

    def listeners(self, count, **more):
        """So many, of which the first has begun the flight and the others have joined it."""
        made = [Listener(self.gate, **more)]
        self.assertTrue(self.stage.reached["request"].wait(20))
        for number in range(1, count):
            made.append(Listener(self.gate, **more))
            wait_until(lambda n=number: in_flight(self.gate) == n + 1,
                       "it has arrived")
        time.sleep(0.05 if self.gate_shards > 1 else 0)
        return made

    gate_shards = 1

    def whole(self, listener):
        listener.end()
        self.assertEqual(listener.status, 200, listener.body)
        self.assertTrue(listener.complete, listener.body)
        self.assertTrue(listener.text().endswith(DONE), listener.body)
        return listener.text()

    # --- together -------------------------------------------------------------------------------

    def test_all_get_the_same_events_and_the_backend_one_request(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                stage = self.begin(shards)
                self.gate_shards = shards
                made = self.listeners(5, stream=True)
                stage.let("head", "event")
                self.assertTrue(stage.reached["event"].wait(20))
                late = Listener(self.gate, stream=True)
                wait_until(lambda: b"one " in late.body, "it has what was said already")
                stage.let("middle", "end")
                texts = [self.whole(each) for each in [*made, late]]
                self.assertEqual(set(texts), {texts[0]})
                self.assertEqual(stage.requests, 1)
                marks = sorted(each.answer.field("x-sluice-cache") or "-"
                               for each in [*made, late])
                self.assertEqual(marks, ["-"] + ["joined"] * 5)

    def test_documents_are_shared_too(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                gate = threading.Event()
                self.addCleanup(gate.set)
                asked = []

                def script(peer, request_):
                    asked.append(request_)
                    gate.wait(30)
                    answer_chat(peer, request_)
                server = self.scripted(script)
                gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND,
                                        "coalesce": "auto"}},
                                       shards=shards)

                def one(_):
                    return self.ask(gateway, content="x", temperature=0)
                threading.Timer(1.0, gate.set).start()
                told = together(20, one)
                for each in told:
                    self.assert_served(each)
                    self.assertEqual(each.body, told[0].body)
                self.assertEqual(len(asked), 1)

    def test_what_differs_or_is_not_determined_is_asked_for_itself(self):
        for first, second in (({"temperature": 0}, {"temperature": 0, "max_tokens": 5}),
                              ({"temperature": 1}, {"temperature": 1}), ({}, {}),
                              ({"temperature": 0, "n": 2}, {"temperature": 0, "n": 2})):
            with self.subTest(first=first, second=second):
                barrier = threading.Barrier(2)

                def script(peer, asked, barrier=barrier):
                    barrier.wait(20)  # both are here
                    answer_chat(peer, asked)
                server = self.scripted(script)
                gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND,
                                        "coalesce": "auto"}})
                for told in together(2, lambda i: self.ask(gateway, **(second if i else first))):
                    self.assert_served(told)

    def test_never_and_always(self):
        barrier = threading.Barrier(2)

        def script(peer, asked):
            if asked.json["model"] == "never":
                barrier.wait(20)
            else:
                time.sleep(0.5)
            counts[asked.json["model"]] = counts.get(asked.json["model"], 0) + 1
            answer_chat(peer, asked)
        counts = {}
        server = self.scripted(script)
        gateway = self.gateway({
            "never": {"backends": [backend(server)], "health": BLIND, "coalesce": "never"},
            "always": {"backends": [backend(server)], "health": BLIND, "coalesce": "always"}})
        for told in together(2, lambda _: self.ask(gateway, model="never", temperature=0)):
            self.assert_served(told)
        for told in together(4, lambda _: self.ask(gateway, model="always")):
            self.assert_served(told)
        self.assertEqual(counts, {"never": 2, "always": 1})

    def test_consumers_do_not_share(self):
        barrier = threading.Barrier(2)

        def script(peer, asked):
            barrier.wait(20)
            answer_chat(peer, asked)
        server = self.scripted(script)
        gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND,
                                        "coalesce": "auto"}},
                               consumers=consumers(ann="key-of-ann", bob="key-of-bob"))
        keys = ("key-of-ann", "key-of-bob")
        for told in together(2, lambda i: self.ask(gateway, fields=[key_field(keys[i])],
                                                   temperature=0)):
            self.assert_served(told)

    # --- who leaves when ------------------------------------------------------------------------

    def test_whoever_leaves_the_others_get_all(self):
        for shards in (1, 3):
            for who in (0, 1, 2):
                for when in ("before the head", "before the first event", "in the middle",
                             "at the end"):
                    with self.subTest(shards=shards, who=who, when=when):
                        self.leave_one(shards, who, when)

    def leave_one(self, shards, who, when):
        stage = self.begin(shards)
        self.gate_shards = shards
        made = self.listeners(3, stream=True)
        steps = {"before the head": [], "before the first event": ["head"],
                 "in the middle": ["head", "event"], "at the end": ["head", "event", "middle"]}
        stage.let(*steps[when])
        for step in steps[when]:
            self.assertTrue(stage.reached[step].wait(20))
        made[who].leave()
        wait_until(lambda: in_flight(self.gate) == 2, "it has left")
        stage.let(*stage.steps)
        texts = [self.whole(each) for each in made if each is not made[who]]
        self.assertEqual(texts[0], texts[1])
        self.assertEqual(stage.requests, 1)

    def test_when_the_last_leaves_the_backend_is_left(self):
        for shards in (1, 3):
            for steps in ([], ["head"], ["head", "event"], ["head", "event", "middle"]):
                with self.subTest(shards=shards, steps=steps):
                    stage = self.begin(shards)
                    self.gate_shards = shards
                    made = self.listeners(3, stream=True)
                    stage.let(*steps)
                    for step in steps:
                        self.assertTrue(stage.reached[step].wait(20))
                    for each in made:
                        each.leave()
                    self.assertTrue(stage.peer.wait_gone(10), "the backend was not left")
                    stage.let(*stage.steps)

    # --- what the backend does ------------------------------------------------------------------

    def test_all_are_told_of_a_backend_that_dies(self):
        for shards in (1, 3):
            for leaves in (None, 0):
                with self.subTest(shards=shards, leaves=leaves):
                    stage = self.begin(shards)
                    self.gate_shards = shards
                    stage.fate = "die"
                    made = self.listeners(3, stream=True)
                    stage.let("head", "event", "middle")
                    self.assertTrue(stage.reached["middle"].wait(20))
                    if leaves is not None:
                        made[leaves].leave()
                    stage.let("end")
                    for each in made:
                        if leaves is not None and each is made[leaves]:
                            continue
                        each.end()
                        self.assertIn(b"two ", each.body)
                        self.assertIn(b'"error"', each.body)

    def test_all_are_told_of_an_error_in_the_stream_once(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                stage = self.begin(shards)
                self.gate_shards = shards
                stage.fate = "error"
                made = self.listeners(3, stream=True)
                stage.let(*stage.steps)
                for each in made:
                    each.end()
                    self.assertEqual(each.body.count(b'"error"'), 1, each.body)
                    self.assertIn(b"out of memory", each.body)

    def test_all_get_a_refusal(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                stage = self.begin(shards)
                self.gate_shards = shards
                stage.fate = "refuse"
                made = self.listeners(3, stream=True)
                stage.let(*stage.steps)
                for each in made:
                    each.end()
                    self.assertEqual(each.status, 400, each.body)
                    self.assertIn(b"invalid_request_error", each.body)
                self.assertEqual(stage.requests, 1)

    def test_a_refusal_behind_a_notice_is_told_in_band(self):
        stage = self.begin(model={"queue": {"notice_first": "50ms"}})
        stage.fate = "refuse"
        made = self.listeners(2, stream=True)
        wait_until(lambda: all(each.status == 200 for each in made), "they are told to wait")
        stage.let(*stage.steps)
        for each in made:
            each.end()
            self.assertIn(b"invalid_request_error", each.body)

    def test_a_backend_that_stalls_ends_for_all(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                stage = self.begin(shards, model={"timeouts": {"gap": "1s", "silence": "1s"}})
                self.gate_shards = shards
                made = self.listeners(3, stream=True)
                stage.let("head", "event")
                for each in made:
                    each.end()
                    self.assertIn(b"one ", each.body)
                    self.assertIn(b'"error"', each.body)

    # --- pace -----------------------------------------------------------------------------------

    def test_a_slow_listener_holds_up_nobody(self):
        size = 4 << 20
        text = "x" * 4096

        def script(peer, _):
            peer.send(sse_head())
            for _ in range(size // len(text)):
                peer.send(chunk(delta(text)))
            peer.send(chunk(finish()) + chunk(DONE) + LAST_CHUNK)
        for shards in (1, 3):
            with self.subTest(shards=shards):
                started = threading.Event()

                def held(peer, asked, started=started):
                    started.wait(20)
                    script(peer, asked)
                server = self.scripted(held)
                gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND,
                                        "coalesce": "auto"}},
                                       shards=shards)
                data = chat_request(gateway.host, temperature=0, stream=True)
                with Client(gateway.address, receive_buffer=4096) as slow, \
                        Client(gateway.address) as fast:
                    slow.send(data)
                    fast.send(data)
                    wait_until(lambda: in_flight(gateway) == 2, "both")
                    started.set()
                    whole = fast.read().body
                    self.assertTrue(whole.endswith(DONE))
                    self.assertEqual(slow.read().body, whole)

    def test_a_large_document_is_shared(self):
        """It could leave through a pipe, were it not for the others."""
        vector = ",".join(["0.125"] * 300_000)
        document = f'{{"data":[{{"embedding":[{vector}]}}],"usage":{{"prompt_tokens":1}}}}'
        for mode in ("auto", "splice"):
            for shards in (1, 3):
                with self.subTest(mode=mode, shards=shards):
                    gate = threading.Event()
                    self.addCleanup(gate.set)
                    asked = []

                    def script(peer, request_, gate=gate, asked=asked):
                        asked.append(request_)
                        gate.wait(30)
                        peer.send(json_answer(document.encode()))
                    server = self.scripted(script)
                    gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND,
                                                  "coalesce": "auto"}}, shards=shards, relay=mode)

                    def one(_, gateway=gateway):
                        with Client(gateway.address) as client:
                            return client.ask(request("POST", "/v1/embeddings",
                                                      b'{"model":"m","input":"x"}',
                                                      gateway.host)).body
                    threading.Timer(1.0, gate.set).start()
                    for body in together(4, one):
                        self.assertEqual(body, document.encode())
                    self.assertEqual(len(asked), 1)

    def test_a_thousand_are_one(self):
        for shards in (1, 3):
            for streamed in (False, True):
                with self.subTest(shards=shards, streamed=streamed):
                    gate = threading.Event()
                    asked = []

                    def script(peer, request_, gate=gate, asked=asked):
                        asked.append(request_)
                        gate.wait(60)
                        answer_chat(peer, request_)
                    server = self.scripted(script)
                    gateway = self.gateway({"m": {"backends": [backend(server)],
                                                  "health": BLIND,
                                        "coalesce": "auto"}}, shards=shards)
                    data = chat_request(gateway.host, temperature=0, stream=streamed)
                    clients = [Client(gateway.address) for _ in range(1000)]
                    try:
                        for client in clients:
                            client.send(data)
                        wait_until(lambda g=gateway: in_flight(g) ==
                                   1000, "all of them", 60)
                        gate.set()
                        bodies = {client.read().body.replace(b": waiting\n\n", b"")
                                  for client in clients}
                    finally:
                        gate.set()
                        for client in clients:
                            client.close()
                    self.assertEqual(len(bodies), 1)
                    self.assertIn(b"hel", bodies.pop())
                    self.assertEqual(len(asked), 1)


if __name__ == "__main__":
    main()
