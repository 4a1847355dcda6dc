#!/usr/bin/env python3
"""Backends that refuse, break or misbehave: rows 63 to 80 of the fault list."""

import json
import socket
import threading
import time

from backend import (DONE, LAST_CHUNK, Backend, address_that_refuses, chat_answer, chunk, delta,
                     finish, head, sse_head)
from harness import (NO_BREAKER, Gateway, GatewayCase, best_of, chat_body, defaults, error_in,
                     events, main, request)


class BackendCase(GatewayCase):

    def ask(self, script, method="POST", fields=(), **more):
        """One request on a connection of its own, answered by the script."""
        self.backend.forget(script)
        with self.gateway.client() as client:
            return client.ask(self.chat(fields=fields, **more), method)

    def raw(self, data, close=True):
        """A script that answers with these bytes, and then closes."""
        def script(peer, _):
            peer.send(data)
            if close:
                peer.close()
        return script

    def assert_502(self, answer):
        self.assertEqual(answer.status, 502, answer)
        self.assertTrue(answer.complete)
        error_in(answer)
        self.assertEqual(self.gateway.logged(id=answer.field("x-request-id"))["end"],
                         "backend_error")

    def assert_works(self):
        self.backend.forget()
        with self.gateway.client() as client:
            self.assertEqual(client.ask(self.chat()).status, 200)


class Unreachable(GatewayCase):

    def gateway_for(self, *flags):
        gateway = Gateway(*flags)
        self.addCleanup(gateway.stop)
        return gateway

    def test_row_063_a_refused_connection_is_an_error_at_once(self):
        holder, url = address_that_refuses()
        self.addCleanup(holder.close)
        gateway = self.gateway_for("--model", f"m={url}")

        def once():
            began = time.monotonic()
            with gateway.client() as client:
                for stream in (False, True):
                    answer = client.ask(self.chat(stream=stream))
                    self.assertIn(answer.status, (502, 503))
                    error_in(answer)
            return (time.monotonic() - began) / 2
        best_of(once, 0.050)

    def test_row_063_the_next_of_a_pool_is_asked(self):
        holder, url = address_that_refuses()
        self.addCleanup(holder.close)
        gateway = self.gateway_for("--model", f"m={url}", "--model", f"m={self.backend.url}")

        def slowest():
            seconds = []
            for _ in range(6):
                began = time.monotonic()
                with gateway.client() as client:
                    self.assertEqual(client.ask(self.chat()).status, 200)
                seconds.append(time.monotonic() - began)
            return max(seconds)
        best_of(slowest, 0.050)

    def test_row_064_a_connection_that_is_never_made_times_out(self):
        # One connection fits the queue of a listener that never accepts; the next one's SYN is
        # dropped.
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler = [socket.socket() for _ in range(3)]
        for sock in filler:
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        gateway = self.gateway_for("--model", f"m=http://127.0.0.1:{listener.getsockname()[1]}",
                                   "--timeout-connect", "300ms")
        began = time.monotonic()
        with gateway.client() as client:
            answer = client.ask(self.chat())
        self.assertIn(answer.status, (502, 503, 504))
        error_in(answer)
        self.assertLess(time.monotonic() - began, 10)

    def test_row_065_a_name_that_does_not_resolve(self):
        try:
            gateway = Gateway("--model", "m=http://no-such-host.invalid:1")
        except AssertionError as error:
            # Refused at the start is as good, if it says what is wrong.
            self.assertIn("no-such-host.invalid", str(error))
            return
        self.addCleanup(gateway.stop)
        with gateway.client() as client:
            self.assertIn(client.ask(self.chat()).status, (502, 503))


class StaleConnections(BackendCase):

    flags = ("--shards", "1")  # each shard has a pool of its own

    def warm(self):
        """Leaves one connection in the gateway's pool, and returns the backend's end of it."""
        self.assert_works()
        return self.backend.requests[0].peer

    def second_on_it(self, fail, fresh_script):
        """A request that meets the pooled connection as it dies; what comes next is fresh."""
        pooled = self.warm()
        tried = []

        def script(peer, seen):
            tried.append(peer)
            if peer is pooled:
                fail(peer)
            else:
                fresh_script(peer, seen)
        answer = self.ask(script)
        return answer, tried

    def test_row_066_a_stale_connection_is_tried_again_once_on_a_fresh_one(self):
        for name, fail in (("end", lambda peer: peer.close()),
                           ("reset", lambda peer: peer.reset())):
            with self.subTest(name):
                answer, tried = self.second_on_it(
                    fail, lambda peer, _: peer.send(chat_answer("fresh")))
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.json["choices"][0]["message"]["content"], "fresh")
                self.assertEqual(len(tried), 2)

    def test_row_066_the_second_attempt_is_the_last(self):
        answer, tried = self.second_on_it(lambda peer: peer.reset(),
                                          lambda peer, _: peer.reset())
        self.assert_502(answer)
        self.assertEqual(len(tried), 2)

    def test_row_066_not_once_a_byte_came(self):
        answer, tried = self.second_on_it(self.one_byte,
                                          lambda peer, _: peer.send(chat_answer("fresh")))
        self.assert_502(answer)
        self.assertEqual(len(tried), 1)

    @staticmethod
    def one_byte(peer):
        peer.send(b"H")
        peer.close()

    def test_row_066_a_big_body_is_sent_again_whole(self):
        content = "x" * 300_000
        pooled = self.warm()
        self.backend.forget(lambda peer, _: peer.reset() if peer is pooled
                            else peer.send(chat_answer("fresh")))
        with self.gateway.client() as client:
            self.assertEqual(client.ask(self.chat(content=content)).status, 200)
        self.assertEqual(self.backend.requests[-1].body, chat_body(content=content))

    def test_row_066_a_connection_that_ended_while_idle_is_not_used(self):
        pooled = self.warm()
        pooled.sock.shutdown(socket.SHUT_RDWR)
        self.assert_works()
        self.assertIsNot(self.backend.requests[0].peer, pooled)

    def test_row_067_a_fresh_connection_is_not_tried_again(self):
        for fail in (lambda peer: peer.reset(), lambda peer: peer.close()):
            tried = []
            self.backend.forget()
            backend = Backend(lambda peer, _, fail=fail: (tried.append(peer), fail(peer)))
            self.addCleanup(backend.stop)
            gateway = Gateway("--model", f"m={backend.url}")
            self.addCleanup(gateway.stop)
            with gateway.client() as client:
                answer = client.ask(self.chat())
            self.assertEqual(answer.status, 502)
            self.assertEqual(len(tried), 1)


class BrokenAnswers(BackendCase):
    flags = defaults(NO_BREAKER)

    def test_row_068_a_reset_in_the_head(self):
        def script(peer, _):
            peer.send(b"HTTP/1.1 200 OK\r\nContent-")
            peer.reset()
        self.assert_502(self.ask(script))
        self.assert_works()

    def test_row_069_and_071_a_body_that_stops_short_never_looks_whole(self):
        whole = chat_answer("text " * 100)
        chunked = (head(Content_Type="application/json", Transfer_Encoding="chunked") +
                   chunk(b'{"x":1'))
        for data in (whole[:-20], whole[:whole.index(b"\r\n\r\n") + 4], chunked,
                     chunked + b"5\r\n,"):
            with self.subTest(data[-10:]):
                self.backend.forget(self.raw(data))
                with self.gateway.client() as client:
                    client.send(self.chat())
                    answer = client.read()
                    if answer.status == 200:
                        self.assertFalse(answer.complete)
                    else:
                        self.assertEqual(answer.status, 502)
                    line = self.gateway.logged(id=answer.field("x-request-id"))
                    self.assertEqual(line["end"], "backend_error")
        self.assert_works()

    def test_row_072_bytes_behind_the_body_are_dropped_with_the_connection(self):
        evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        for data in (chat_answer() + evil,
                     sse_head() + chunk(delta("a")) + chunk(DONE) + LAST_CHUNK + evil):
            with self.subTest(data[:40]):
                answer = self.ask(self.raw(data, close=False), stream=b"event-stream" in data)
                self.assertEqual(answer.status, 200)
                self.assertTrue(answer.complete)
                self.assertNotIn(b"evil", answer.body)
                poisoned = self.backend.requests[0].peer
                self.assert_works()
                self.assertIsNot(self.backend.requests[0].peer, poisoned)
                self.assertTrue(poisoned.gone.wait(10))

    HEADS = {
        "073 length and chunked": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        "073 two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n",
        "073 a length that is none": b"Content-Length: +2\r\n",
        "073 a negative length": b"Content-Length: -1\r\n",
        "074 a folded field": b"X-A: b\r\n c\r\nContent-Length: 2\r\n",
        "074 a space before the colon": b"X-A : b\r\nContent-Length: 2\r\n",
        "074 a NUL": b"X-A: b\0c\r\nContent-Length: 2\r\n",
        "074 a bare LF": b"X-A: b\nContent-Length: 2\r\n",
        "074 a bare CR": b"X-A: b\rX-B: c\r\nContent-Length: 2\r\n",
        "074 a field without a colon": b"X-A\r\nContent-Length: 2\r\n",
        "075 an unknown coding": b"Transfer-Encoding: gzip\r\n",
        "075 a coding before chunked": b"Transfer-Encoding: gzip, chunked\r\n",
        "080 a field of 1 MiB": b"X-A: " + b"b" * (1 << 20) + b"\r\nContent-Length: 2\r\n",
        "080 fields without end": b"X-A: b\r\n" * 100_000,
    }

    def test_rows_073_and_074_and_075_and_080_heads_that_get_502(self):
        for what, lines in self.HEADS.items():
            with self.subTest(what):
                answer = self.ask(self.raw(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n{}",
                                           close=False))
                self.assert_502(answer)
                self.assertNotIn(b"X-A", answer.head)
                self.assertTrue(self.backend.requests[0].peer.gone.wait(10))
        self.assert_works()

    def test_row_074_status_lines_that_get_502(self):
        for line in (b"HTTP/1.1 99 X", b"HTTP/1.1 2000 OK", b"HTTP/2.0 200 OK", b"HTTP/1.1 OK",
                     b"SSH-2.0-x", b"", b"200 OK", b"HTTP/1.1 20\x00 OK"):
            with self.subTest(line):
                self.assert_502(self.ask(self.raw(line + b"\r\nContent-Length: 2\r\n\r\n{}")))

    def test_row_075_a_chunked_answer_to_http_1_0_is_not_chunked(self):
        self.backend.forget()
        data = self.chat(stream=True).replace(b"HTTP/1.1", b"HTTP/1.0")
        with self.gateway.client() as client:
            answer = client.ask(data)
        self.assertIsNone(answer.field("transfer-encoding"))
        self.assertEqual(answer.body, delta("hel") + delta("lo") + finish() + DONE)
        self.assertTrue(answer.complete)

    def test_row_076_a_body_that_the_close_ends(self):
        plain = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + delta("a")
        whole = self.ask(self.raw(plain + DONE), stream=True)
        self.assertEqual((whole.body, whole.complete), (delta("a") + DONE, True))
        cut = self.ask(self.raw(plain), stream=True)
        self.assertNotIn(b"[DONE]", cut.body)
        self.assertIn("error", json.loads(events(cut.body)[-1]))

    def test_row_076_an_answer_that_is_not_streamed_and_the_close_ends(self):
        answer = self.ask(self.raw(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
                                   b'{"choices":[]}'))
        self.assertEqual((answer.status, answer.body), (200, b'{"choices":[]}'))
        self.assertTrue(answer.complete)

    def test_row_077_interim_answers(self):
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        for interim in (b"HTTP/1.1 100 Continue\r\n\r\n", early, early * 10):
            with self.subTest(interim):
                answer = self.ask(self.raw(interim + chat_answer()))
                self.assertEqual(answer.status, 200)
                self.backend.forget(self.raw(interim + chat_answer()))
                with self.gateway.client() as client:
                    old = client.ask(self.chat().replace(b"HTTP/1.1", b"HTTP/1.0"))
                self.assertEqual((old.status, old.interim), (200, []))
        self.assert_502(self.ask(self.raw(early * 1000 + chat_answer())))

    def test_row_077_a_switch_of_protocol_that_nobody_asked_for(self):
        self.assert_502(self.ask(self.raw(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw")))

    def test_row_078_a_body_where_there_is_none(self):
        for status, reason in ((204, "No Content"), (304, "Not Modified")):
            with self.subTest(status):
                answer = self.ask(self.raw(head(status, reason) + b"HTTP/1.1 200 OK\r\n\r\n",
                                           close=False))
                self.assertEqual((answer.status, answer.body), (status, b""))
                odd = self.backend.requests[0].peer
                self.assert_works()
                self.assertIsNot(self.backend.requests[0].peer, odd)

    def test_row_078_head_has_no_body(self):
        client = self.client()
        answer = client.ask(request("HEAD", "/v1/models", host=self.gateway.host), "HEAD")
        self.assertEqual(answer.status, 200)
        self.assertEqual(client.ask(request("GET", "/healthz", host=self.gateway.host)).status, 200)


class BrokenStreams(BackendCase):
    flags = defaults(NO_BREAKER)

    def die(self, path, body, fail):
        """A stream that breaks behind these bytes; returns the answer, read to its end."""
        def script(peer, _):
            peer.send(sse_head() + chunk(body))
            seen.wait(20)
            fail(peer)
        seen = threading.Event()
        self.backend.forget(script)
        client = self.client()
        client.send(request("POST", path, chat_body(stream=True), self.gateway.host))
        answer = client.read()
        answer.read_until(body[:20])
        seen.set()
        _ = answer.body
        return answer

    def assert_broken(self, answer):
        # The client was told: see docs/decisions/0008-how-broken-streams-end.md.
        self.assertTrue(answer.complete, "the reason is followed by a proper end")
        self.assertNotIn(b"[DONE]", answer.body)
        line = self.gateway.logged(id=answer.field("x-request-id"))
        self.assertEqual(line["end"], "backend_error")

    FAILS = {"end": lambda peer: peer.close(), "reset": lambda peer: peer.reset(),
             "not a chunk": lambda peer: peer.send(b"zz\r\n")}

    def test_row_070_a_stream_that_dies_ends_in_an_error_event(self):
        for name, fail in self.FAILS.items():
            for body in (delta("one"), delta("one") + b'data: {"choices":[{"del',
                         delta("one") + b": comment", delta("one") + b"\n"):
                with self.subTest(name, body=body[-12:]):
                    answer = self.die("/v1/chat/completions", body, fail)
                    # A piece of an event may be withheld: the client could not read it anyway.
                    self.assertTrue(answer.body.startswith(delta("one")), answer)
                    found = events(answer.body)
                    self.assertEqual(found[0], events(delta("one"))[0])
                    error = json.loads(found[-1])["error"]
                    self.assertTrue(error["message"] and error["type"])
                    self.assertTrue(answer.body.endswith(b"\n\n"))
                    self.assertEqual(answer.body.count(b'"error"'), 1)
                    self.assert_broken(answer)

    def test_row_070_and_071_a_stream_with_a_length_that_ends_short(self):
        for asked in ({}, {"stream_options": {"include_usage": True}}):
            with self.subTest(asked):
                promised = head(Content_Type="text/event-stream", Content_Length=5000)
                answer = self.ask(self.raw(promised + delta("one")), stream=True, **asked)
                self.assert_broken(answer)
                self.assertIn("error", json.loads(events(answer.body)[-1]))
                # Its dialect has said that it is over: then nothing of it is missing.
                answer = self.ask(self.raw(promised + delta("one") + DONE), stream=True, **asked)
                self.assertEqual(answer.body, delta("one") + DONE)

    def test_row_070_each_dialect_has_its_own_error_event(self):
        for path in ("/v1/messages", "/v1/responses"):
            with self.subTest(path):
                body = b'event: ping\ndata: {"type":"ping"}\n\n'
                answer = self.die(path, body, self.FAILS["reset"])
                self.assertEqual(answer.body.count(b"event: error\n"), 1)
                last = "response.failed" if path == "/v1/responses" else "error"
                self.assertEqual(json.loads(events(answer.body)[-1])["type"], last)
                self.assert_broken(answer)

    def test_row_070_what_was_counted_before_is_logged(self):
        answer = self.die("/v1/chat/completions", delta("one", usage={
            "prompt_tokens": 11, "completion_tokens": 2}), self.FAILS["reset"])
        line = self.gateway.logged(id=answer.field("x-request-id"))
        self.assertEqual((line["prompt_tokens"], line["completion_tokens"]), (11, 2))

    def test_row_070_an_end_behind_done_is_an_end(self):
        # The stream said that it is over: that the last chunk is missing harms nobody.
        answer = self.die("/v1/chat/completions", delta("one") + DONE, self.FAILS["end"])
        self.assertEqual(answer.body.count(b"[DONE]"), 1)
        self.assertNotIn(b'"error"', answer.body)


if __name__ == "__main__":
    main()
