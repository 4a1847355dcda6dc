#!/usr/bin/env python3
"""Limits under pressure: memory for bodies, bytes behind an early answer, requests ahead of time,
and what a backend's answer may tell a client."""

import resource
import socket
import threading
import time
from collections import Counter

from backend import (DONE, LAST_CHUNK, answer_chat, chunk, delta, head, json_answer, sse_head,
                     usage_event)
from harness import (NO_NOTICES, SANITIZED, GatewayCase, best_of, chat_body, defaults, error_in,
                     main, request)
from test_relay import metrics
from wire import DEADLINE, Closed, send_in_pieces, wait_until

MIB = 1 << 20


class Memory(GatewayCase):
    """Eight megabytes of buffers, and far more than that asked for at once."""

    flags = ("--buffers", "8MiB", "--body-max", "4MiB", "--timeout-body", "60s")

    def test_bodies_that_do_not_fit_together_are_held_back_or_refused(self):
        self.assertEqual(self.client().ask(self.chat(content="x" * (3 * MIB))).status, 200)
        before = self.gateway.rss()
        data = request("POST", "/v1/chat/completions", chat_body(content="x" * (3 * MIB)),
                       self.gateway.host)
        clients = [self.client() for _ in range(12)]

        def send(client):
            client.send_some(data[:-1])
        senders = [threading.Thread(target=send, args=[client]) for client in clients]
        for sender in senders:
            sender.start()
        peak = 0

        def settled():
            nonlocal peak
            peak = max(peak, self.gateway.rss())
            return not any(sender.is_alive() for sender in senders)
        end = time.monotonic() + 3
        while time.monotonic() < end and not settled():
            time.sleep(0.01)
        if not SANITIZED:
            self.assertLess(peak - before, 24 * MIB, "36 MiB were sent")
        # A small request comes through all the while, or is told to come again.
        answer = self.client().ask(request("GET", "/healthz", host=self.gateway.host))
        self.assertIn(answer.status, (200, 503))
        for client in clients:
            client.close()
        for sender in senders:
            sender.join()
        wait_until(lambda: self.ask_again() == 200, "the memory is free again")

    def ask_again(self):
        with self.gateway.client() as client:
            try:
                client.send_some(self.chat(content="x" * (3 * MIB)))
                return client.read().status
            except Closed:
                return 0


class Stalled(GatewayCase):
    """Streams that their backends flood and that nobody reads."""

    flags = Memory.flags

    def stall(self, count):
        def script(peer, _):
            peer.send(sse_head())
            peer.flood(chunk(delta("x" * 4000)), 64 * MIB)
        self.backend.forget(script)
        stalled = [self.client(receive_buffer=8192) for _ in range(count)]
        for client in stalled:
            client.send(self.chat(stream=True))
        wait_until(lambda: len(self.backend.requests) == count, "all streams begin")
        time.sleep(0.3)  # for pressure only
        self.backend.forget()

    def others_are_served(self):
        for _ in range(5):
            self.assertEqual(self.client().ask(self.chat()).status, 200)
            self.assertTrue(self.client().ask(self.chat(stream=True)).body.endswith(DONE))

    def stream_ends(self, least):
        ends = Counter(line["end"] for line in self.gateway.log() if line.get("stream"))
        return ends.total() >= least and ends


class StalledThatFit(Stalled):

    def test_streams_that_nobody_reads_leave_room_for_others(self):
        self.stall(24)
        self.others_are_served()
        # They wait, and none ends for want of memory.
        ends = wait_until(lambda: self.stream_ends(5), "their lines in the log")
        self.assertEqual(ends, {"ok": 5})


class StalledThatDoNotFit(Stalled):

    def test_streams_that_nobody_reads_and_that_do_not_fit_leave_room_for_others(self):
        self.stall(120)
        self.others_are_served()
        ends = wait_until(lambda: self.stream_ends(5), "their lines in the log")
        self.assertLessEqual(set(ends), {"ok", "client_gone"})


class AHundredStalled(GatewayCase):
    """A hundred clients of one shard that stop reading in the middle of their streams."""

    flags = ("--shards", "1", *defaults(NO_NOTICES))
    COUNT = 100
    FLOOD = 64 * MIB  # a stream; far more than kernels take for a client that does not read

    def script(self, peer, asked):
        if asked.json.get("n") is None:
            return answer_chat(peer, asked)
        peer.send(sse_head())
        if asked.json["n"] >= 0:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
            peer.flood(self.event, self.FLOOD)
            return peer.note_gone()
        for i in range(200):
            peer.send(chunk(delta(f"word {i}")))
            time.sleep(0.001)
        return peer.send(chunk(usage_event() + DONE) + LAST_CHUNK)

    def test_a_hundred_stalled_clients_leave_the_others_alone(self):
        self.event = chunk(delta("x" * 4000))
        self.backend.forget(self.script)
        stalled = [self.client(receive_buffer=8192) for _ in range(self.COUNT)]
        for n, client in enumerate(stalled):
            client.send(self.chat(stream=True, n=n))
        peers = [asked.peer for asked in self.backend.wait_requests(self.COUNT)]
        # More than their clients' kernels take: they are in the middle, and nobody reads.
        wait_until(lambda: min(peer.sent for peer in peers) > 200_000, "all of them stall")
        self.assertEqual(metrics(self.gateway)["sluice_requests_in_flight"], self.COUNT + 1)

        # A stream that is read arrives whole meanwhile, and requests are answered.
        reader = self.client()
        reader.send(self.chat(stream=True, n=-1, stream_options={"include_usage": True}))
        answer = reader.read()
        answer.read_until(b"word 10")
        for _ in range(20):
            self.assertEqual(self.client().ask(self.chat()).status, 200)
        self.assertTrue(answer.complete)
        self.assertEqual(answer.body, b"".join(delta(f"word {i}") for i in range(200)) +
                         usage_event() + DONE)

        # None of them has ended, and one that reads on finds its stream where it left it.
        self.assertLess(max(peer.sent for peer in peers), self.FLOOD)
        self.assertTrue(all(not peer.gone.is_set() for peer in peers))
        body = stalled[50].read().read_until(delta("x" * 4000) * 40)
        self.assertTrue((delta("x" * 4000) * (len(body) // 4000 + 1)).startswith(body))
        for client in stalled:
            client.reset()
        for peer in peers:
            self.assertTrue(peer.gone.wait(DEADLINE))


class AHundredStalledWhoseEventsAreSpliced(AHundredStalled):

    flags = ("--relay", "splice", *AHundredStalled.flags)


class Amplification(GatewayCase):
    """Row 115: a byte on the wire never costs more than a hundred in memory."""

    flags = ("--shards", "1", *defaults(NO_NOTICES))  # whose buffers are counted
    COUNT = 20_000  # bytes, each in a segment of its own
    BUFFER = 4096

    def cost(self, sock, data):
        """Bytes of buffers that these take, sent one at a time."""
        before = metrics(self.gateway)["sluice_buffers_in_use"]
        send_in_pieces(sock, data, range(len(data)))
        # The last byte may still be on its way.
        return (metrics(self.gateway)["sluice_buffers_in_use"] - before) * self.BUFFER

    def test_row_115_a_body_of_single_bytes(self):
        client = self.client()
        body = chat_body(content="x" * self.COUNT)
        client.send(request("POST", "/v1/chat/completions", body, self.gateway.host)[:-len(body)])
        self.assertLess(self.cost(client.sock, body[:-10]), 100 * len(body))
        client.send(body[-10:])
        self.assertEqual(client.read().status, 200)
        self.assertEqual(self.backend.requests[0].body, body)

    def test_row_115_a_head_of_single_bytes(self):
        client = self.client()
        data = request("GET", "/healthz", host=self.gateway.host, fields=["X-A: " + "b" * 10_000])
        self.assertLess(self.cost(client.sock, data[:-2]), 100 * len(data))
        client.send(data[-2:])
        self.assertEqual(client.read().status, 200)

    def test_row_115_an_event_of_single_bytes(self):
        costs = []

        def script(peer, _):
            peer.send(sse_head() + b"%x\r\n" % (self.COUNT + 8) + b"data: ")
            costs.append(self.cost(peer.sock, b"x" * self.COUNT))
            peer.send(b"\n\n\r\n" + chunk(DONE) + LAST_CHUNK)
        answer = self.stream_of(script)
        self.assertEqual(answer.body, b"data: " + b"x" * self.COUNT + b"\n\n" + DONE)
        self.assertLess(costs[0], 100 * self.COUNT)


class EarlyAnswers(GatewayCase):

    flags = ("--timeout-drain-read", "500ms", "--body-max", "1MiB")

    def test_row_034_a_body_that_never_ends_behind_an_early_answer_is_cut(self):
        for path, kind, length, status in (("/nowhere", "application/json", MIB // 2, 404),
                                           ("/v1/embeddings", "text/plain", MIB // 2, 415),
                                           ("/v1/embeddings", "application/json", 10 * MIB, 413)):
            with self.subTest(status):
                client = self.client()
                client.send((f"POST {path} HTTP/1.1\r\nHost: {self.gateway.host}\r\n"
                             f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n").encode())
                answer = client.read()
                self.assertEqual(answer.status, status)
                error_in(answer)
                began = time.monotonic()
                while client.silent_for(0.02) and client.send_some(b" "):
                    self.assertLess(time.monotonic() - began, 10)
                self.assertIn(client.read_to_close()[0], (b"",))

    def test_row_034_a_client_that_has_sent_it_all_reads_the_answer(self):
        # More than the kernel's buffers hold: without reading on, a reset would eat the answer.
        for _ in range(5):
            client = self.client()
            sent = client.send_some(request("POST", "/nowhere", b"x" * (8 * MIB),
                                            self.gateway.host))
            answer = client.read()
            self.assertEqual(answer.status, 404)
            self.assertTrue(answer.complete)
            self.assertIsInstance(sent, bool)


    def test_row_034_the_rest_of_a_short_body_may_come_later(self):
        for framing, late in (("Content-Length: 10", b"0123456789"),
                              ("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n")):
            client = self.client()
            client.send(f"POST /v1/nothing HTTP/1.1\r\nHost: {self.gateway.host}\r\n"
                        f"Content-Type: application/json\r\n{framing}\r\n\r\n".encode())
            answer = client.read()
            self.assertEqual(answer.status, 404)
            self.assertTrue(answer.complete)
            self.assertTrue(client.silent_for(0.05), "the connection is kept")
            client.send(late)
            self.assertEqual(client.ask(request("GET", "/healthz")).status, 200)


class AheadOfTime(GatewayCase):
    """Requests that come while another one is being answered."""

    def waiting(self):
        """A client whose request is in prefill, and the backend's end of it."""
        self.backend.forget(lambda peer, _: peer.wait_gone())
        client = self.client()
        client.send(self.chat(stream=True))
        return client, self.backend.wait_requests(1)[0].peer

    def test_row_053_a_client_that_has_sent_more_is_missed_as_soon(self):
        def seconds(more):
            client, peer = self.waiting()
            client.send(more)
            began = time.monotonic()
            client.close()
            self.assertTrue(peer.gone.wait(20))
            return peer.gone_at - began
        for more in (self.chat(), self.chat() * 30, b"GET /v1/mod"):
            best_of(lambda more=more: seconds(more), 0.100)
        self.assertEqual(len(self.backend.requests), 1, "none of them was sent on")

    def test_row_035_requests_ahead_of_time_are_held_back(self):
        go_on = threading.Event()

        def script(peer, _):
            go_on.wait(30)
            peer.send(sse_head() + chunk(delta("x")) + chunk(DONE) + LAST_CHUNK)
        self.backend.forget(script)
        client = self.client()
        client.send(self.chat(stream=True))
        self.backend.wait_requests(1)
        client.sock.settimeout(1)
        sent = 0
        try:
            while sent < 64 * MIB:
                sent += client.sock.send(self.chat(content="x" * 1000) * 100)
        except TimeoutError:
            pass
        self.assertLess(sent, 32 * MIB, "what the kernel's buffers take, and little more")
        # With its reading held back the gateway learns of this with its next write.
        client.reset()
        go_on.set()
        wait_until(lambda: metrics(self.gateway)["sluice_connections_open"] == 1, "it is gone")

    def test_row_035_a_broken_request_behind_a_good_one(self):
        client = self.client()
        client.send_some(self.chat() + self.chat(stream=True) +
                         b"GET /v1/models HTTP/1.1\r\nHost : x\r\n\r\n" + self.chat())
        self.assertEqual(client.read().status, 200)
        self.assertTrue(client.read().body.endswith(DONE))
        answer = client.read()
        self.assertEqual(answer.status, 400)
        self.assertTrue(answer.complete)
        self.assertEqual(client.read_to_close(), (b"", "eof"))
        self.assertEqual(len(self.backend.requests), 2)


class AnswerFields(GatewayCase):

    def answer(self, **fields):
        self.backend.forget(lambda peer, _: peer.send(json_answer({"ok": 1}, **fields)))
        answer = self.client().ask(self.chat())
        self.assertEqual((answer.status, answer.json), (200, {"ok": 1}))
        return answer

    def test_fields_of_one_hop_stay_on_it(self):
        answer = self.answer(Connection="X-Secret, keep-alive", X_Secret="1", Proxy_Status="x",
                             Keep_Alive="timeout=5, max=100", Upgrade="h2c", X_Kept="1",
                             Trailer="X-Sum", Proxy_Authenticate="Basic")
        for name in ("x-secret", "keep-alive", "upgrade", "trailer", "proxy-authenticate"):
            self.assertIsNone(answer.field(name), name)
        self.assertEqual(answer.field("x-kept"), "1")

    def test_our_fields_are_ours(self):
        answer = self.answer(x_request_id="theirs", x_sluice_backend="theirs", Server="theirs")
        for name in ("x-request-id", "x-sluice-backend"):
            self.assertEqual(len([k for k, _ in answer.fields if k == name]), 1)
            self.assertNotEqual(answer.field(name), "theirs")

    def test_row_158_a_backend_cannot_open_us_to_other_origins(self):
        answer = self.answer(Access_Control_Allow_Origin="*",
                             Access_Control_Allow_Credentials="true",
                             Access_Control_Allow_Headers="*", Vary="Origin")
        self.assertEqual([k for k, _ in answer.fields if k.startswith("access-control-")], [])

    def test_chunk_extensions_and_trailers_of_a_backend_stay_there(self):
        body = delta("a") + DONE
        self.backend.forget(lambda peer, _: peer.send(
            head(Content_Type="text/event-stream", Transfer_Encoding="chunked", Trailer="X-Sum") +
            b"%x;ext=1\r\n%s\r\n0;last\r\nX-Sum: 1\r\n\r\n" % (len(body), body)))
        for _ in range(2):
            answer = self.client().ask(self.chat(stream=True))
            self.assertEqual((answer.body, answer.complete), (body, True))
            self.assertEqual(answer.stream.trailers, [])

    def test_an_empty_stream_and_an_empty_body(self):
        for data in (sse_head() + LAST_CHUNK,
                     head(Content_Type="text/event-stream", Content_Length=0),
                     head(Content_Type="application/json", Content_Length=0)):
            self.backend.forget(lambda peer, _, data=data: peer.send(data))
            answer = self.client().ask(self.chat(stream=True))
            self.assertEqual((answer.status, answer.body, answer.complete), (200, b"", True))


class Descriptors(GatewayCase):

    def test_row_109_running_out_of_descriptors_is_survived(self):
        # The hard limit of the running process is lowered: it cannot raise it again.
        few = self.gateway.fds() + 20
        resource.prlimit(self.gateway.pid, resource.RLIMIT_NOFILE, (few, few))
        crowd = [self.client() for _ in range(60)]
        before = self.gateway.cpu_seconds()
        time.sleep(1)
        self.assertLess(self.gateway.cpu_seconds() - before, 0.5, "it must not spin")
        for client in crowd:
            client.close()

        def served():
            with self.gateway.client() as client:
                client.send_some(request("GET", "/healthz", host=self.gateway.host))
                try:
                    return client.read().status == 200
                except Closed:
                    return False
        wait_until(served, "it accepts again")
        self.assertEqual(self.client().ask(self.chat()).status, 200)


if __name__ == "__main__":
    main()
