#!/usr/bin/env python3
"""Clients that are slow, abusive or gone: section 2.3 of the fault list (rows 49 to 62)."""

import resource
import statistics
import time
import unittest

from backend import DONE, LAST_CHUNK, chat_answer, chunk, delta, json_answer, sse_head
from harness import (GatewayCase, Gateway, Sim, best_of, chat_body, chat_request, events, main,
                     memory_case, request, settings)
from wire import Closed, wait_until

GONE_WITHIN = 0.100  # seconds, from the client's leave to the backend's end of file


class SlowRequests(GatewayCase):
    """Deadlines are total: a byte now and then does not extend them."""

    flags = ("--timeout-head", "1s", "--timeout-body", "500ms", "--timeout-body-total", "2s")

    def drip(self, client, data, pause):
        """Sends a byte at a time until the gateway has had enough; returns the seconds it took."""
        began = time.monotonic()
        for at in range(len(data)):
            if not client.silent_for(pause):
                break
            if not client.send_some(data[at:at + 1]):
                break
        return time.monotonic() - began

    def assert_408(self, client):
        answer = client.read()
        self.assertEqual(answer.status, 408, answer)
        self.assertTrue(answer.closes and answer.complete)
        self.assertEqual(client.read_to_close(), (b"", "eof"))
        self.assertEqual(self.backend.requests, [])

    def test_row_049_a_slow_head_gets_408_at_a_total_deadline(self):
        client = self.client()
        taken = self.drip(client, request("GET", "/v1/models", fields=["X-A: " + "b" * 500]), 0.1)
        self.assertLess(taken, 8)
        self.assertGreater(taken, 0.9)
        self.assert_408(client)

    def test_row_049_a_head_that_stops_gets_408(self):
        client = self.client()
        client.send(b"GET /v1/models HTTP/1.1\r\nHost: ")
        self.assert_408(client)

    def test_row_050_a_slow_body_gets_408_at_a_total_deadline(self):
        client = self.client()
        client.send(request("POST", "/v1/chat/completions", chat_body(), self.gateway.host)[:-60])
        taken = self.drip(client, b" " * 1000, 0.1)
        self.assertLess(taken, 10)
        self.assertGreater(taken, 1.5)
        self.assert_408(client)

    def test_row_050_a_body_that_stops_gets_408(self):
        client = self.client()
        client.send(request("POST", "/v1/chat/completions", chat_body(), self.gateway.host)[:-5])
        self.assert_408(client)
        self.assertEqual(self.gateway.logged(status=408, path="/v1/chat/completions")["end"],
                         "timeout")


class StalledReaders(GatewayCase):

    flags = ("--timeout-write", "120s")
    PIECE = delta("x" * 2000)
    BLOCK = chunk(PIECE) * 16
    LIMIT = 256 << 20

    def flood(self, limit):
        """A script that streams pieces until the gateway is gone or the limit is reached."""
        def script(peer, _):
            peer.send(sse_head())
            peer.send(self.BLOCK[peer.flood(self.BLOCK, limit):] + chunk(DONE) + LAST_CHUNK)
        return script

    def stalled(self, limit=LIMIT):
        """A client that has asked for a stream and reads nothing; and the backend's connection,
        once it cannot send any more."""
        self.backend.forget(self.flood(limit))
        client = self.client(receive_buffer=16384)
        client.send(self.chat(stream=True))
        peer = self.backend.wait_requests(1)[0].peer
        last = []

        def still():
            last.append(peer.sent)
            time.sleep(0.1)
            return len(last) > 10 and len(set(last[-10:])) == 1
        wait_until(still, "the backend is held back", 60)
        return client, peer

    @memory_case
    def test_row_051_a_stalled_reader_costs_no_memory_and_pauses_the_backend(self):
        warm, _ = self.stalled()
        warm.reset()
        before = self.gateway.rss()
        _, peer = self.stalled()
        self.assertLess(peer.sent, 64 << 20, "only what the kernel's own buffers take")
        self.assertLess(self.gateway.rss() - before, 2 << 20)

    def test_row_051_a_reader_that_goes_on_gets_every_byte(self):
        # More than the kernel's buffers on the way take, so that the backend really waits.
        client, peer = self.stalled()
        limit = peer.sent + (8 << 20)
        client.reset()
        self.backend.forget(self.flood(limit))
        client = self.client(receive_buffer=16384)
        client.send(self.chat(stream=True))
        peer = self.backend.wait_requests(1)[0].peer
        self.assertFalse(peer.gone.wait(0.3))
        body = client.read().body
        count = (len(body) - len(DONE)) // len(self.PIECE)
        self.assertEqual(len(body), count * len(self.PIECE) + len(DONE))
        self.assertTrue(body == self.PIECE * count + DONE, "some byte differs")
        self.assertTrue(client.answer.complete)

    def test_row_051_a_reader_that_never_goes_on_is_closed(self):
        gateway = Gateway("--model", f"m={self.backend.url}", "--timeout-write", "1s")
        self.addCleanup(gateway.stop)
        self.backend.forget(self.flood(self.LIMIT))
        client = gateway.client(receive_buffer=16384)
        self.addCleanup(client.close)
        client.send(self.chat(stream=True))
        peer = self.backend.wait_requests(1)[0].peer
        self.assertTrue(peer.gone.wait(30), "the backend's connection is closed")
        line = gateway.logged(path="/v1/chat/completions")
        self.assertIn(line["end"], ("timeout", "client_gone"))
        wait_until(lambda: gateway.sockets() <= 4, "the client's socket is closed")


class Disconnects(GatewayCase):
    """A gone client closes the backend's connection, in every phase."""

    LEAVES = {"close": lambda client: client.close(), "reset": lambda client: client.reset(),
              "fin": lambda client: client.shut_write()}

    def leave_at(self, script, reached, leave, data):
        """Seconds from the client's leave to the end of the backend's connection."""
        def whole(peer, seen):
            script(peer, seen)
            peer.wait_gone()
        self.backend.forget(whole)
        client = self.client()
        client.send(data)
        peer = self.backend.wait_requests(1)[0].peer
        reached(client)
        began = time.monotonic()
        leave(client)
        self.assertTrue(peer.gone.wait(20), "the backend's connection was not closed")
        return peer.gone_at - began

    def in_every_way(self, script, reached, data=None, row_status=None):
        for name, leave in self.LEAVES.items():
            with self.subTest(name):
                lines = len(self.gateway.log())
                best_of(lambda leave=leave: self.leave_at(
                    script, reached, leave, data or self.chat(stream=True)), GONE_WITHIN)
                line = wait_until(lambda: self.gateway.log()[lines:], "a line of the access log")
                self.assertEqual(line[-1]["end"], "client_gone")
                if row_status:
                    self.assertEqual(line[-1]["status"], row_status)

    def test_row_052_in_a_stream(self):
        self.in_every_way(lambda peer, _: peer.send(sse_head() + chunk(delta("one"))),
                          lambda client: client.read().read_until(b"one"))

    def test_row_052_in_a_stream_that_is_being_sent(self):
        def script(peer, _):
            peer.send(sse_head())
            peer.flood(chunk(delta("x" * 500)), 1 << 30)
        self.in_every_way(script, lambda client: client.read().read_until(b"xxx"))

    def test_row_052_behind_the_head_of_a_stream(self):
        # Whether the head is sent on before the first event is the gateway's choice.
        self.in_every_way(lambda peer, _: peer.send(sse_head()), lambda client: None)

    def test_row_053_in_prefill(self):
        self.in_every_way(lambda peer, _: None, lambda client: None)

    def test_row_054_in_prefill_of_what_is_not_streamed(self):
        self.in_every_way(lambda peer, _: None, lambda client: None, self.chat())

    def test_row_054_in_the_body_of_what_is_not_streamed(self):
        answer = chat_answer("text " * 50)
        self.in_every_way(lambda peer, _: peer.send(answer[:-20]), lambda client: None, self.chat())

    def test_row_054_on_every_route(self):
        form = (b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n")
        for path in ("/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/responses",
                     "/v1/messages", "/v1/audio/speech", "/v1/images/generations", "/completion",
                     "/infill", "/tokenize", "/v1/messages/count_tokens"):
            with self.subTest(path):
                data = request("POST", path, chat_body(), self.gateway.host)
                best_of(lambda data=data: self.leave_at(
                    lambda peer, _: None, lambda client: None, self.LEAVES["close"], data),
                    GONE_WITHIN)
        data = request("POST", "/v1/audio/transcriptions", form, self.gateway.host,
                       content_type="multipart/form-data; boundary=b")
        best_of(lambda: self.leave_at(lambda peer, _: None, lambda client: None,
                                      self.LEAVES["close"], data), GONE_WITHIN)

    def test_row_054_in_the_middle_of_the_upload(self):
        data = request("POST", "/v1/chat/completions", chat_body(content="x" * 2_000_000),
                       self.gateway.host)
        for name, leave in self.LEAVES.items():
            with self.subTest(name):
                self.backend.forget()
                client = self.client()
                client.send(data[:1_000_000])
                leave(client)
                if name == "fin":
                    client.read_to_close()
        self.assertEqual(self.client().ask(self.chat()).status, 200)
        self.assertEqual(len(self.backend.requests), 1, "only the whole request arrived")

    def test_row_056_the_header_that_would_keep_a_generation_alive_is_not_sent_on(self):
        answer = self.client().ask(self.chat(stream=True, fields=["X-Conversation-Id: abc"]))
        self.assertEqual(answer.status, 200)
        self.assertIsNone(self.backend.requests[0].field("x-conversation-id"))

    def test_row_057_thirty_streams_vanish_and_nobody_else_notices(self):
        def script(peer, _):
            peer.send(sse_head())
            peer.flood(chunk(delta("x" * 4000)), 5 << 20)
            peer.wait_gone()

        def slowest():
            self.backend.forget(script)
            clients = [self.client(receive_buffer=16384) for _ in range(30)]
            for client in clients:
                client.send(self.chat(stream=True))
            for client in clients:
                client.read().read_until(b"xxx")
            seconds = []
            with self.gateway.client() as probe:
                probe.ask(request("GET", "/healthz", host=self.gateway.host))
                for client in clients:
                    client.reset()
                for _ in range(200):
                    began = time.monotonic()
                    probe.ask(request("GET", "/healthz", host=self.gateway.host))
                    seconds.append(time.monotonic() - began)
            return statistics.quantiles(seconds, n=100)[98]
        best_of(slowest, 0.010)

    def test_row_058_a_reset_at_any_moment_leaves_nothing_behind(self):
        self.assertEqual(self.client().ask(self.chat()).status, 200)
        base = self.gateway.fds()
        data = self.chat(stream=True)
        for cut in range(0, len(data), 3):
            client = self.client()
            client.send(data[:cut])
            client.reset()

        def script(peer, _):
            peer.send(sse_head())
            for number in range(50):
                peer.send(chunk(delta(f"number {number}")))
            peer.send(chunk(DONE) + LAST_CHUNK)
        self.backend.forget(script)
        for number in range(50):
            client = self.client()
            client.send(data)
            client.read().read_until(b"number %d" % number)
            client.reset()
        with self.gateway.client() as client:
            self.assertEqual(client.ask(request("GET", "/healthz", host=self.gateway.host)).status,
                             200)
        wait_until(lambda: self.gateway.fds() <= base + 1, "every descriptor is closed again")


class Queued(unittest.TestCase):

    def start(self, slots):
        """A server of one slot, and a gateway that believes in so many; 0: in what it tells."""
        sim = Sim("--slots", "1", "--ttft", "0ms", "--itl", "20ms", "--tokens", "100000")
        self.addCleanup(sim.stop)
        file = settings({"models": {"sim": {"backends": [{"url": sim.url, "slots": slots}]}}})
        gateway = Gateway(*file, "--shards", "1")  # each shard has a line of its own
        self.addCleanup(gateway.stop)

        def stream():
            client = gateway.client()
            self.addCleanup(client.close)
            client.send(chat_request(model="sim", stream=True))
            return client
        first = stream()
        first.read().read_until(b"data: ")
        return sim, gateway, stream, first

    def test_row_055_a_client_that_leaves_a_line_of_the_gateway_is_never_served(self):
        sim, gateway, stream, first = self.start(slots=0)
        before = sim.stats()
        second = stream()
        self.assertEqual(second.read().read_until(b"\n\n"), b": queued 1\n\n")
        third = stream()
        answer = third.read()
        self.assertEqual(answer.read_until(b"\n\n"), b": queued 2\n\n")
        second.close()
        self.assertNotIn("backend", gateway.logged(end="client_gone"))
        first.close()
        answer.read_until(b"data: ")
        third.close()
        wait_until(lambda: sim.stats()["active"] == 0, "the slot is free again")
        after = sim.stats()
        self.assertEqual((after["active_max"], after["waiting"]), (1, 0))
        self.assertEqual(after["posts"], before["posts"] + 1)

    def test_row_055_a_client_that_leaves_while_it_waits_is_never_served(self):
        sim, _, stream, first = self.start(slots=8)
        before = sim.stats()
        second = stream()
        wait_until(lambda: sim.stats()["waiting"] == 1, "the second request waits for a slot")
        second.close()
        wait_until(lambda: sim.stats()["waiting"] == 0, "it waits no more")
        self.assertEqual(sim.stats()["cancelled"], before["cancelled"] + 1)
        first.close()
        wait_until(lambda: sim.stats()["active"] == 0, "the slot is free again")
        after = sim.stats()
        self.assertEqual(after["active_max"], 1)
        # Neither was answered to its end. ("completed" counts health checks as well.)
        self.assertEqual((after["posts"], after["cancelled"]),
                         (before["posts"] + 1, before["cancelled"] + 2))


class IdleConnections(GatewayCase):

    flags = ("--timeout-idle", "1s")

    def test_row_059_an_idle_connection_ends_without_a_word(self):
        client = self.client()
        self.assertEqual(client.ask(self.chat()).status, 200)
        self.assertEqual(client.read_to_close(), (b"", "eof"))

    def test_row_059_a_connection_that_was_never_used_ends_without_a_word(self):
        self.assertEqual(self.client().read_to_close(), (b"", "eof"))

    def test_row_059_a_request_that_meets_the_close_is_answered_or_untouched(self):
        waiting = []
        for number in range(60):
            client = self.client()
            self.assertEqual(client.ask(self.chat()).status, 200)
            # Around the deadline, some before and some after it.
            waiting.append((time.monotonic() + 0.970 + number * 0.001, client))
        self.backend.forget()
        answered = 0
        for moment, client in waiting:
            time.sleep(max(0, moment - time.monotonic()))
            client.send_some(self.chat(content="late"))
            try:
                answer = client.read()
            except Closed:
                self.assertEqual(client.source.buffer, b"")
                continue
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.complete)
            answered += 1
        self.assertEqual(len(self.backend.requests), answered)


class Crowds(GatewayCase):

    # The caps count for a shard.
    flags = ("--connections-per-client", "20", "--connections-max", "30", "--shards", "1")

    def served(self, client):
        """Whether the gateway serves the connection; else it says 503, if anything, and closes."""
        client.send_some(request("GET", "/healthz", host=self.gateway.host))
        try:
            answer = client.read()
            if answer.status == 200:
                return True
            self.assertEqual(answer.status, 503)
            self.assertTrue(answer.closes)
        except Closed:
            pass
        client.read_to_close()
        client.close()
        return False

    def test_row_060_caps_a_client_and_all_of_them_and_keep_the_streams(self):
        def script(peer, _):
            peer.send(sse_head() + chunk(delta("one")))
            hold.append(peer)
        hold = []
        stream = self.stream_of(script)
        stream.read_until(b"one")
        mine = [self.client() for _ in range(19)]
        self.assertEqual([self.served(c) for c in mine], [True] * 19)
        self.assertFalse(self.served(self.client()))
        others = [self.client(source_address="127.0.0.2") for _ in range(10)]
        self.assertEqual([self.served(c) for c in others], [True] * 10)
        self.assertFalse(self.served(self.client(source_address="127.0.0.3")))
        for _ in range(300):  # a flood
            self.client().close()
        mine.pop().close()
        wait_until(lambda: self.served(self.client(source_address="127.0.0.3")),
                   "a place that was left is given away")
        hold[0].send(chunk(delta("two")) + chunk(DONE) + LAST_CHUNK)
        self.assertEqual(len(events(stream.body)), 3)
        self.assertTrue(stream.complete)


class ManyIdle(unittest.TestCase):

    # As many as we may have sockets; the gateway has its own count.
    _, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
    COUNT = 10_000 if HARD == resource.RLIM_INFINITY else min(10_000, HARD - 500)
    BYTES_EACH = 16 * 1024  # docs/faults.md states this figure

    @memory_case
    @unittest.skipIf(COUNT < 2000, "too few descriptors are allowed here (ulimit -Hn)")
    def test_row_061_ten_thousand_idle_connections_of_one_byte(self):
        gateway = Gateway("--no-discovery", "--timeout-head", "300s", "--connections-max", "20000",
                          "--connections-per-client", "20000")
        self.addCleanup(gateway.stop)
        with gateway.client() as client:
            client.ask(request("GET", "/healthz"))
        before, sockets = gateway.rss(), gateway.sockets()
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        for _ in range(self.COUNT):
            clients.append(gateway.client())
            clients[-1].send(b"G")
        wait_until(lambda: gateway.sockets() >= sockets + self.COUNT - 1, "all are accepted", 60)
        with gateway.client() as client:
            self.assertEqual(client.ask(request("GET", "/healthz")).status, 200)
        each = (gateway.rss() - before) / self.COUNT
        print(f"     each of {self.COUNT} idle connections costs {each:.0f} bytes", flush=True)
        self.assertLess(each, self.BYTES_EACH)


class HalfClose(GatewayCase):

    flags = ("--half-close", "tolerate")

    def test_row_062_a_client_that_has_only_finished_sending_gets_the_whole_answer(self):
        def script(peer, seen):
            # Only once the gateway has read the client's end of file.
            arrived.append(seen)
            peer.wait_gone(0.3)
            if seen.json.get("stream"):
                peer.send(sse_head() + chunk(delta("one")) + chunk(DONE) + LAST_CHUNK)
            else:
                peer.send(json_answer({"ok": True}))
        for stream in (False, True):
            with self.subTest(stream=stream):
                arrived = []
                self.backend.forget(script)
                client = self.client()
                client.send(self.chat(stream=stream))
                client.shut_write()
                answer = client.read()
                self.assertEqual(answer.status, 200)
                self.assertTrue(answer.complete)
                self.assertEqual(client.read_to_close(), (b"", "eof"))

    def test_row_062_a_reset_still_ends_the_stream(self):
        # Behind the client's end of file only a failed write tells that it has gone.
        def script(peer, _):
            peer.send(sse_head())
            peer.flood(chunk(delta("one")), 1 << 30)
            peer.wait_gone()
        self.backend.forget(script)
        client = self.client()
        client.send(self.chat(stream=True))
        client.shut_write()
        client.read().read_until(b"one")
        client.reset()
        self.assertTrue(self.backend.requests[0].peer.gone.wait(20))


if __name__ == "__main__":
    main()
