#!/usr/bin/env python3
"""sluice-sim: what goes wrong by script, who waits and who leaves, and how it reads and writes."""

import json
import socket
import struct
import time
import unittest

from sim_case import SimCase, content_of, main
from harness import Sim, chat_body, chat_request, events, request
from wire import Client, Closed, Malformed, wait_until

QUICK = ("--ttft", "0", "--itl", "0")


def scripted(script, **more):
    return chat_request(fields=[f"x-sim: {script}"], **more)


class Failures(SimCase):
    """Each failure, asked for by a request of its own."""

    flags = QUICK

    def broken_stream(self, script, **more):
        """The bytes of a stream until the end of the connection, and how that ended."""
        with Client(self.sim.address) as client:
            client.send(scripted(script, stream=True, **more))
            return client.read_to_close()

    def tokens_in(self, data):
        return data.count(b"\"content\":\"")

    def test_reset_breaks_off_after_so_many_events(self):
        data, end = self.broken_stream("fail=reset,fail-after=5")
        self.assertEqual((self.tokens_in(data), end), (5, "reset"))
        data, end = self.broken_stream("fail=reset,fail-after=0")
        self.assertEqual((data, end), (b"", "reset"))

    def test_reset_takes_what_was_not_read_with_it(self):
        """What the client has read before the reset is exactly what was to come before it."""
        with Client(self.sim.address) as client:
            client.send(scripted("fail=reset,fail-after=2,itl=200ms", stream=True))
            answer = client.read()
            answer.read_until(b"stream")
            data, end = client.read_to_close()
        self.assertEqual(end, "reset")
        self.assertEqual(self.tokens_in(answer._body + data), 2)

    def test_refuse_is_a_reset_before_the_first_byte(self):
        self.assertEqual(self.broken_stream("fail=refuse,fail-after=9"), (b"", "reset"))

    def test_close_ends_the_connection_without_the_last_chunk(self):
        data, end = self.broken_stream("fail=close,fail-after=4")
        self.assertEqual((self.tokens_in(data), end), (4, "eof"))
        self.assertFalse(data.endswith(b"0\r\n\r\n"))
        self.assertEqual(self.broken_stream("fail=close,fail-after=0"), (b"", "eof"))

    def test_a_short_text_breaks_at_its_end(self):
        data, end = self.broken_stream("fail=close,fail-after=400", max_tokens=2)
        self.assertEqual((self.tokens_in(data), end), (2, "eof"))
        self.assertNotIn(b"finish_reason\":\"", data)

    def test_stall_sends_nothing_more_and_counts_who_gives_up(self):
        before = self.sim.stats()
        with Client(self.sim.address) as client:
            client.send(scripted("fail=stall,fail-after=2", stream=True))
            answer = client.read()
            while self.tokens_in(answer._body) < 2:
                answer.read_some()
            self.assertTrue(client.silent_for(0.2))
        with Client(self.sim.address) as client:
            client.send(scripted("fail=stall,fail-after=0", stream=True))
            self.assertTrue(client.silent_for(0.2))
        wait_until(lambda: self.sim.stats()["cancelled"] == before["cancelled"] + 2, "counted")
        self.assertEqual(self.sim.stats()["active"], 0)

    def test_malformed_chunk(self):
        with Client(self.sim.address) as client:
            client.send(scripted("fail=malformed-chunk,fail-after=1", stream=True))
            with self.assertRaisesRegex(Malformed, "chunk size"):
                _ = client.read().body
        with Client(self.sim.address) as client:
            client.send(scripted("fail=malformed-chunk"))
            with self.assertRaisesRegex(Malformed, "chunk size"):
                _ = client.read().body

    def test_malformed_json_is_one_event_and_the_stream_goes_on(self):
        read = events(self.ask(scripted("fail=malformed-json,fail-after=1", stream=True)).body)
        wrong = [event for event in read[:-1] if not self.parses(event)]
        self.assertEqual(len(wrong), 1)
        self.assertEqual(read.index(wrong[0]), 2)  # behind the role and the first token
        self.assertEqual(read[-1], "[DONE]")
        whole = self.ask(scripted("fail=malformed-json"))
        self.assertTrue(whole.complete)
        self.assertFalse(self.parses(whole.body))

    @staticmethod
    def parses(text):
        try:
            json.loads(text)
            return True
        except ValueError:
            return False

    def test_answers_that_refuse(self):
        for name, status, kind in (("loading", 503, "unavailable_error"),
                                   ("429", 429, "rate_limit_error"),
                                   ("context", 400, "exceed_context_size_error"),
                                   ("500", 500, "server_error"),
                                   ("529", 529, "unavailable_error"),
                                   ("401", 401, "authentication_error"),
                                   ("policy", 400, "content_filter")):
            for stream in (False, True):
                answer = self.ask(scripted(f"fail={name}", stream=stream))
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.json["error"]["type"], kind)
        self.assertEqual(self.ask(scripted("fail=429")).field("retry-after"), "1")
        self.assertGreater(self.ask(scripted("fail=context")).json["error"]["n_prompt_tokens"],
                           4096)

    def test_error_event_ends_the_stream_without_done(self):
        answer = self.ask(scripted("fail=error-event,fail-after=3", stream=True))
        self.assertTrue(answer.complete)
        read = events(answer.body)
        self.assertEqual(json.loads(read[-1])["error"]["code"], 500)
        self.assertEqual(len(read), 5)  # role, three tokens, error
        for stream in (False, True):  # before the first token it is an answer of its own
            answer = self.ask(scripted("fail=error-event,fail-after=0", stream=stream))
            self.assertEqual(answer.status, 500)
            self.assertEqual(answer.json["error"]["type"], "server_error")

    def test_error_events_of_the_other_dialects(self):
        body = {"messages": [{"role": "user", "content": "x"}], "input": "x", "stream": True}
        field = ["x-sim: fail=error-event,fail-after=1"]
        for path in ("/v1/messages", "/v1/responses"):
            answer = self.post(path, body, fields=field)
            self.assertIn(b"event: error\ndata: ", answer.body)
        lines = self.post("/api/chat", body, fields=field).body.splitlines()
        self.assertIsInstance(json.loads(lines[-1])["error"], str)

    def test_no_done_leaves_out_the_last_event_only(self):
        answer = self.ask(scripted("fail=no-done", stream=True))
        self.assertTrue(answer.complete)
        self.assertEqual(json.loads(events(answer.body)[-1])["choices"][0]["finish_reason"],
                         "stop")
        body = {"messages": [{"role": "user", "content": "x"}], "input": "x", "stream": True}
        for path, there, last in (("/v1/messages", b"message_delta", b"message_stop"),
                                  ("/v1/responses", b"output_item.done", b"response.completed"),
                                  ("/api/chat", b"\"done\":false", b"\"done\":true")):
            answer = self.post(path, body, fields=["x-sim: fail=no-done"])
            self.assertTrue(answer.complete)
            self.assertIn(there, answer.body)
            self.assertNotIn(last, answer.body)

    def test_html(self):
        answer = self.ask(scripted("fail=html", stream=True))
        self.assertEqual((answer.status, answer.field("content-type")), (200, "text/html"))
        self.assertIn(b"<html>", answer.body)

    def test_headers_are_a_giant_head(self):
        answer = self.ask(scripted("fail=headers", stream=True))
        self.assertGreater(len(answer.head), 256 * 1024)
        self.assertEqual(events(answer.body)[-1], "[DONE]")

    def test_extra_is_a_response_nobody_asked_for(self):
        data, _ = self.broken_stream("fail=extra")
        self.assertIn(b"data: [DONE]\n\n\r\n0\r\n\r\nHTTP/1.1 200 OK", data)
        with self.client() as client:
            client.send(scripted("fail=extra"))
            self.assertTrue(client.read().complete)
            self.assertEqual(client.read().body, b"unasked")

    def test_short_length_promises_more_than_comes(self):
        for stream in (False, True):
            answer = self.ask(scripted("fail=short-length", stream=stream))
            self.assertGreater(int(answer.field("content-length")), len(answer.body))
            self.assertFalse(answer.complete)

    def test_whole_answers_break_in_their_middle(self):
        for name, end in (("reset", "reset"), ("close", "eof")):
            with Client(self.sim.address) as client:
                client.send(scripted(f"fail={name}"))
                data, how = client.read_to_close()
                self.assertEqual(how, end)
                if how == "eof":
                    head, _, body = data.partition(b"\r\n\r\n")
                    self.assertIn(b"Content-Length", head)
                    self.assertTrue(body.startswith(b"{") and not body.endswith(b"}"))

    def test_embeddings_fail_too(self):
        answer = self.post("/v1/embeddings", {"input": "x"}, fields=["x-sim: fail=429"])
        self.assertEqual(answer.status, 429)

    def test_slow_read_takes_a_body_in_steps_and_then_answers(self):
        began = time.monotonic()
        body = chat_body(content="x" * 3_000_000)
        answer = self.ask(request("POST", "/v1/chat/completions", body,
                                  fields=["x-sim: fail=slow-read,read-pause=60ms"]))
        self.assertEqual(answer.status, 200)
        self.assertGreaterEqual(time.monotonic() - began, 0.12)  # two pauses at least


class FailureFlags(unittest.TestCase):

    def sim(self, *flags):
        sim = Sim(*QUICK, *flags)
        self.addCleanup(sim.stop)
        return sim

    def ask(self, sim, data):
        with Client(sim.address) as client:
            return client.ask(data)

    def test_fail_every_strikes_every_nth_piece_of_work_and_nothing_else(self):
        sim = self.sim("--fail", "429", "--fail-every", "3")
        got = [self.ask(sim, chat_request()).status for _ in range(7)
               if sim.get("/health").status == 200]
        self.assertEqual(got, [200, 200, 429, 200, 200, 429, 200])

    def test_fail_is_for_every_request_unless_told(self):
        sim = self.sim("--fail", "loading")
        self.assertEqual([self.ask(sim, chat_request()).status for _ in range(2)], [503, 503])
        self.assertEqual(self.ask(sim, scripted("fail=none")).status, 200)
        self.assertEqual(sim.stats()["requests"], 3)

    def test_refuse_means_that_nobody_listens(self):
        sim = self.sim("--fail", "refuse")
        with self.assertRaises(ConnectionRefusedError):
            Client(sim.address)
        sim = self.sim("--fail", "refuse", "--fail-every", "2")
        self.assertEqual(self.ask(sim, chat_request()).status, 200)
        with self.assertRaises((Closed, ConnectionResetError)):
            self.ask(sim, chat_request())

    def test_loading_time(self):
        sim = self.sim("--load-time", "600ms")
        began = time.monotonic()
        answer = sim.get("/health")
        if time.monotonic() - began < 0.3:  # else the machine was too slow to see it
            self.assertEqual(answer.json["error"]["message"], "Loading model")
            self.assertEqual(answer.status, 503)
        wait_until(lambda: sim.get("/health").status == 200, "the model is loaded")
        self.assertEqual(self.ask(sim, chat_request()).status, 200)


class SlotsAndLeaving(unittest.TestCase):

    def sim(self, *flags):
        sim = Sim("--ttft", "0", "--itl", "1ms", "--tokens", "1000000", *flags)
        self.addCleanup(sim.stop)
        return sim

    def begin(self, sim, **more):
        client = Client(sim.address)
        self.addCleanup(client.close)
        client.send(chat_request(stream=True, **more))
        return client

    def until(self, sim, **wanted):
        wait_until(lambda: wanted.items() <= sim.stats().items(), f"{wanted} of {sim.stats()}")

    def test_further_requests_wait_in_order(self):
        sim = self.sim("--slots", "2")
        busy = [self.begin(sim) for _ in range(2)]
        for client in busy:
            client.read()
        waiting = []
        for count in range(1, 4):
            waiting.append(self.begin(sim, max_tokens=1))
            self.until(sim, active=2, waiting=count)
        self.assertEqual(sim.get("/slots?fail_on_no_slot=1").status, 503)
        slots = sim.get("/slots").json
        self.assertEqual([slot["is_processing"] for slot in slots], [True, True])
        self.assertEqual(sim.get("/props").json["total_slots"], 2)
        self.assertTrue(all(client.silent_for(0.02) for client in waiting))
        busy[0].close()
        for client in waiting:  # the first in line is served first
            self.assertEqual(client.read().status, 200)
        self.until(sim, active=1, waiting=0, cancelled=1, active_max=2)
        busy[1].close()
        self.until(sim, active=0, cancelled=2, completed=6)  # three chats, /props, /slots twice
        self.assertEqual(sim.get("/slots?fail_on_no_slot=1").status, 200)

    def test_who_leaves_is_counted_and_frees_the_slot(self):
        sim = self.sim("--slots", "1")
        client = self.begin(sim)
        client.read()
        waiting = self.begin(sim)
        self.until(sim, waiting=1)
        waiting.close()
        self.until(sim, active=1, waiting=0, cancelled=1)
        client.reset()
        self.until(sim, active=0, cancelled=2)
        whole = Client(sim.address)
        whole.send(chat_request())
        self.until(sim, active=1)
        whole.close()
        self.until(sim, active=0, cancelled=3, completed=0)

    def test_a_client_that_does_not_read_holds_the_stream_back(self):
        sim = Sim("--ttft", "0", "--itl", "0", "--tokens", "80000", "--token-bytes", "100")
        self.addCleanup(sim.stop)
        self.begin(sim, max_tokens=1).read_to_close()
        before = sim.rss()
        clients = [self.begin(sim) for _ in range(20)]
        self.until(sim, active=20)
        wait_until(lambda: self.at_rest(sim), "the sockets are full")
        made = [slot["next_token"][0]["n_decoded"] for slot in sim.get("/slots").json
                if slot["is_processing"]]
        self.assertEqual(len(made), 20)
        self.assertLess(max(made), 60_000)
        self.assertLess(sim.rss() - before, 40 << 20)
        answer = clients[0].read()
        self.assertEqual(events(answer.body)[-1], "[DONE]")
        self.assertTrue(answer.complete)

    def at_rest(self, sim):
        """Whether the program makes no progress for a moment."""
        def made():
            return [slot.get("next_token") for slot in sim.get("/slots").json]
        before = made()
        time.sleep(0.05)
        return before == made()

    def test_thousands_of_streams_at_once(self):
        sim = Sim("--ttft", "50ms", "--itl", "40ms", "--tokens", "20")
        self.addCleanup(sim.stop)
        clients = [self.begin(sim) for _ in range(3000)]
        answers = [client.read() for client in clients]
        texts = {content_of(answer.body) for answer in answers}
        self.assertEqual(len(texts), 1)
        self.assertTrue(all(answer.complete for answer in answers))
        stats = sim.stats()
        self.assertEqual((stats["completed"], stats["active"]), (3000, 0))
        wait_until(lambda: sim.stats()["open"] == 1, "every connection is closed")


class Connections(SimCase):

    flags = (*QUICK, "--keep-alive-idle", "300ms", "--keep-alive-max", "5", "--tokens", "3")

    def test_an_idle_connection_is_closed(self):
        for data in (b"", request("GET", "/health")):
            with self.client() as client:
                began = time.monotonic()
                if data:
                    self.assertEqual(client.ask(data).field("keep-alive"), "timeout=0, max=5")
                self.assertEqual(client.read_to_close(), (b"", "eof"))
                self.assertGreaterEqual(time.monotonic() - began, 0.3)

    def test_the_last_request_of_a_connection_is_said_to_be_the_last(self):
        with self.client() as client:
            closes = [client.ask(chat_request()).closes for _ in range(5)]
            self.assertEqual(closes, [False] * 4 + [True])
            self.assertEqual(client.read_to_close(), (b"", "eof"))

    def test_statistics_and_the_last_request(self):
        sim = Sim(*QUICK)
        self.addCleanup(sim.stop)
        data = chat_request(content="écoute")
        with Client(sim.address) as client:
            for _ in range(3):
                client.ask(data)
            stats = client.ask(request("GET", "/sim/stats")).json
            self.assertEqual(client.ask(request("GET", "/sim/last-request")).body, data)
        self.assertEqual({name: stats[name] for name in
                          ("requests", "posts", "completed", "connections", "reused", "active",
                           "active_max", "cancelled", "last_request")},
                         {"requests": 3, "posts": 3, "completed": 3, "connections": 1, "reused": 2,
                          "active": 0, "active_max": 1, "cancelled": 0,
                          "last_request": "POST /v1/chat/completions"})

    def test_pipelined_requests_are_answered_in_order(self):
        with self.client() as client:
            client.send(chat_request(max_tokens=1) + request("GET", "/health") +
                        chat_request(max_tokens=2))
            self.assertEqual(client.read().json["usage"]["completion_tokens"], 1)
            self.assertEqual(client.read().json, {"status": "ok"})
            self.assertEqual(client.read().json["usage"]["completion_tokens"], 2)

    def test_a_request_byte_by_byte_in_chunks_and_after_100_continue(self):
        with self.client() as client:
            client.send_in_pieces(chat_request(), range(1, 100))
            self.assertEqual(client.read().status, 200)
            body = chat_body()
            chunks = b"%x\r\n%s\r\n5\r\n%s\r\n0\r\n\r\n" % (len(body) - 5, body[:-5], body[-5:])
            data = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n") + chunks
            self.assertEqual(client.ask(data).status, 200)
            self.assertEqual(client.ask(request("GET", "/sim/last-request")).body, data)
            client.send(request("POST", "/v1/chat/completions", body,
                                fields=["Expect: 100-continue"])[:-len(body)])
            wait_until(lambda: client.source.buffer or client.source.fill(), "a word")
            client.send(body)
            answer = client.read()
            self.assertEqual((answer.interim[0][0], answer.status), (100, 200))

    def test_what_is_not_http_is_refused_and_closed(self):
        with self.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")
            self.assertEqual(client.read().status, 400)
            self.assertEqual(client.read_to_close()[1], "eof")
        with self.client() as client:
            client.send(request("POST", "/v1/chat/completions").replace(
                b"Content-Length: 0", b"Content-Length: 99999999999"))
            self.assertEqual(client.read().status, 413)

    def test_head_and_options(self):
        with self.client() as client:
            answer = client.ask(request("HEAD", "/health"), "HEAD")
            self.assertEqual((answer.field("content-length"), answer.body), ("15", b""))
            answer = client.ask(request("OPTIONS", "/v1/chat/completions",
                                        fields=["Origin: http://app.example"]))
            self.assertEqual(answer.field("access-control-allow-origin"), "http://app.example")

    def test_events_per_chunk(self):
        answer = self.stream(fields=["x-sim: tokens=10,events-per-chunk=4"])
        counts = [len(events(chunk)) for chunk in self.chunks_of(answer)]
        self.assertEqual(counts, [5, 4, 2, 1, 1])  # role and 4, 4, 2, finish, [DONE]
        self.assertEqual(len(content_of(answer.body)), len(content_of(
            self.stream(fields=["x-sim: tokens=10"]).body)))

    def test_split_changes_no_byte(self):
        def text(split):
            return content_of(self.stream(fields=[f"x-sim: tokens=30,split={split}"]).body)
        self.assertEqual({text(split) for split in (0, 1, 7, 1000)}, {text(0)})

    def test_split_writes_pieces(self):
        def segments(split):
            with self.client() as client:
                answer = client.ask(chat_request(fields=[f"x-sim: tokens=20,split={split}"]))
                info = client.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                # tcpi_data_segs_in of struct tcp_info
                return struct.unpack_from("I", info, 152)[0], len(answer.head + answer.body)
        whole, _ = segments(0)
        self.assertLessEqual(whole, 3)
        pieces, size = segments(50)
        self.assertGreaterEqual(pieces, size // 50 // 2)

    def test_cached_tokens_are_told_in_each_shape(self):
        field = ["x-sim: cached-tokens=4"]
        whole = self.ask(chat_request(fields=field)).json
        self.assertEqual(whole["usage"]["prompt_tokens_details"]["cached_tokens"], 4)
        self.assertEqual(whole["timings"]["cache_n"], 4)
        body = {"messages": [{"role": "user", "content": "x"}]}
        usage = self.post("/v1/messages", body, fields=field).json["usage"]
        self.assertEqual(usage["cache_read_input_tokens"], 4)
        whole = self.ask(chat_request(fields=["x-sim: cached-tokens=99999"])).json
        self.assertEqual(whole["timings"]["prompt_n"], 1)

    def test_embedding_size(self):
        sim = Sim("--embedding-size", "7", *QUICK)
        self.addCleanup(sim.stop)
        with Client(sim.address) as client:
            data = client.ask(request("POST", "/v1/embeddings", b'{"input":"x"}')).json["data"]
        self.assertEqual(len(data[0]["embedding"]), 7)


if __name__ == "__main__":
    main()
