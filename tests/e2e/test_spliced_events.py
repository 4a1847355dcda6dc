#!/usr/bin/env python3
"""Event streams through pipes (--relay splice): every byte as the backend sent it, counted from a
copy, and what broke never looks whole."""

import json
import os
import random
import resource
import time

from backend import DONE, LAST_CHUNK, Backend, chunk, delta, finish, head, sse_head, usage_event
from harness import (NO_BREAKER, SANITIZED, Gateway, GatewayCase, chat_request, defaults,
                     descriptor_case, events, main)
from wire import wait_until

KIB = 1 << 10
MIB = 1 << 20
ASKED = {"stream_options": {"include_usage": True}}


def body_of(count, dice):
    parts = [delta("x" * dice.choice((0, 1, 30, 200, 3000))) for _ in range(count)]
    return parts + [finish(), usage_event(11, 5), DONE]


class Spliced(GatewayCase):

    flags = ("--relay", "splice", *defaults(NO_BREAKER))

    def stream(self, script, **options):
        self.backend.forget(script)
        client = self.client(**options)
        client.send(self.chat(stream=True, **ASKED))
        return client

    def logged(self, answer):
        return self.gateway.logged(id=answer.field("x-request-id"))

    def assert_spliced(self, answer, **wanted):
        line = self.logged(answer)
        wanted = {"lane": "splice", "lane_reason": "asked for", **wanted}
        self.assertEqual({key: line.get(key) for key in wanted}, wanted)

    # --- whole streams ---

    def test_every_byte_passes_and_is_counted_however_it_is_cut(self):
        dice = random.Random(3)
        for round_ in range(20):
            parts = body_of(dice.randrange(1, 40), dice)
            body = b"".join(parts)
            # Chunks by event, or anywhere, with extensions that a client may see here.
            if round_ % 2:
                wire = b"".join(chunk(part) for part in parts)
            else:
                edges = sorted(dice.sample(range(1, len(body)), min(8, len(body) - 1)))
                wire = b"".join(b"%x;a=b\r\n%s\r\n" % (j - i, body[i:j])
                                for i, j in zip([0, *edges], [*edges, len(body)]))
            data = sse_head() + wire + LAST_CHUNK
            cuts = sorted(dice.sample(range(1, len(data)), 12))

            def script(peer, _, data=data, cuts=cuts):
                peer.send_in_pieces(data, cuts)
            client = self.stream(script)
            answer = client.read()
            while not client.source.buffer.endswith(wire[-40:] + LAST_CHUNK):
                self.assertTrue(client.source.fill())
            self.assertTrue(client.source.buffer.endswith(wire + LAST_CHUNK))
            self.assertEqual(answer.body, body)
            self.assertTrue(answer.complete)
            self.assert_spliced(answer, end="ok", prompt_tokens=11, completion_tokens=5)

    def test_long_streams_and_events_longer_than_a_pipe(self):
        for size in (40 * KIB, 200 * KIB, 3 * MIB):
            body = delta("a") + delta("y" * size) + usage_event(11, 5) + DONE
            parts = [body[i:i + 30_000] for i in range(0, len(body), 30_000)]

            def script(peer, _, parts=parts):
                peer.send(sse_head() + b"".join(chunk(part) for part in parts) + LAST_CHUNK)
            answer = self.stream(script).read()
            self.assertEqual(answer.body, body)
            self.assert_spliced(answer, end="ok", prompt_tokens=11, completion_tokens=5)

    def test_connections_on_both_sides_are_used_again(self):
        def script(peer, _):
            peer.send(sse_head() + b"".join(chunk(p) for p in body_of(5, random.Random(1))) +
                      LAST_CHUNK)
        self.backend.forget(script)
        client = self.client()
        for _ in range(10):
            client.send(self.chat(stream=True, **ASKED))
            self.assertTrue(client.read().complete)
        self.assertEqual(len({id(asked.peer) for asked in self.backend.requests}), 1)

    def test_what_has_to_be_rewritten_takes_another_lane(self):
        # The client did not ask for the usage event, so that is taken out.
        self.backend.forget()
        client = self.client()
        client.send(self.chat(stream=True))
        answer = client.read()
        self.assertNotIn(b"usage", answer.body)
        self.assertEqual(self.logged(answer)["lane"], "copy")
        # HTTP/1.0 knows no chunks.
        client = self.client()
        client.send(self.chat(stream=True, **ASKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        answer = client.read()
        self.assertTrue(answer.body.endswith(DONE))
        self.assertEqual(self.logged(answer)["lane"], "copy")

    def test_until_the_connection_ends(self):
        body = b"".join(body_of(5, random.Random(2)))
        for whole in (True, False):
            sent = body if whole else body[:-30]

            def script(peer, _, sent=sent):
                peer.send(head(Content_Type="text/event-stream", Connection="close") + sent)
                peer.close()
            client = self.stream(script)
            client.close()
            client = self.client()
            client.send(self.chat(stream=True, **ASKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            answer = client.read()
            got = answer.body
            self.assertTrue(sent.startswith(got), got)
            self.assertEqual(answer.complete, whole)  # a reset, where it is not
            if whole:
                self.assertEqual(got, sent)
                self.assert_spliced(answer, end="ok", prompt_tokens=11, completion_tokens=5)
            else:
                self.assert_spliced(answer, end="backend_error")

    # --- broken ones ---

    def broken(self, sent, how="close"):
        def script(peer, _):
            peer.send(sse_head() + sent)
            peer.reset() if how == "reset" else peer.close()
        return self.stream(script).read()

    def test_row_070_between_events_the_stream_ends_with_an_error_event(self):
        for sent in (b"", chunk(delta("a")), chunk(delta("a") + delta("b")) + chunk(b": hm\n\n")):
            answer = self.broken(sent)
            self.assertIn("error", json.loads(events(answer.body)[-1]))
            self.assertNotIn(DONE, answer.body)
            self.assertTrue(answer.complete)
            self.assert_spliced(answer, end="backend_error")

    def test_row_070_in_the_middle_of_an_event_or_a_chunk_it_is_cut_off(self):
        event = delta("some text")
        for sent in (chunk(delta("a")) + chunk(event[:10]), chunk(event)[:-20], chunk(event)[:-1],
                     chunk(event) + b"5", chunk(event) + b"0\r\n", chunk(event[:-1]),
                     chunk(event + DONE)[:-2]):
            answer = self.broken(sent)
            self.assertNotIn(b"error", answer.body)
            self.assertFalse(answer.complete)
            self.assert_spliced(answer, end="backend_error")

    def test_behind_its_own_last_event_a_stream_is_whole(self):
        answer = self.broken(chunk(delta("a")) + chunk(usage_event(11, 5) + DONE))
        self.assertTrue(answer.body.endswith(DONE))
        self.assertTrue(answer.complete)
        self.assert_spliced(answer, end="ok", prompt_tokens=11, completion_tokens=5)

    def test_a_reset_never_looks_whole(self):
        for sent in (chunk(delta("a")), chunk(delta("a")) + chunk(delta("b"))[:-5]):
            answer = self.broken(sent, "reset")
            # Behind a whole event the client can be told why.
            self.assertEqual(answer.complete, b'"error"' in answer.body)
            self.assertNotIn(DONE, answer.body)
            self.assert_spliced(answer, end="backend_error")

    def test_framing_that_breaks_ends_both_connections(self):
        def script(peer, _):
            peer.send(sse_head() + chunk(delta("a")) + b"zz\r\n")
            peer.wait_gone()
        client = self.stream(script)
        answer = client.read()
        got, _ = client.read_to_close()
        self.assertNotIn(LAST_CHUNK, got)
        self.assertTrue(self.backend.requests[0].peer.wait_gone())
        self.assert_spliced(answer, end="backend_error")

    def test_row_072_bytes_behind_the_answer_end_both_connections(self):
        for extra in (b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"):
            def script(peer, _, extra=extra):
                peer.send(sse_head() + chunk(delta("a")))
                time.sleep(0.05)  # what comes with the head passes through a buffer
                peer.send(chunk(usage_event(11, 5) + DONE) + LAST_CHUNK + extra)
                peer.wait_gone()
            client = self.stream(script)
            answer = client.read()
            self.assertTrue(answer.complete)
            client.read_to_close()
            self.assertTrue(self.backend.requests[0].peer.wait_gone())
            self.assert_spliced(answer, end="ok", prompt_tokens=11)

    # --- clients ---

    def test_row_052_a_client_that_leaves_frees_the_backend(self):
        for how in ("close", "reset"):
            def script(peer, _):
                peer.send(sse_head() + chunk(delta("a")))
                peer.wait_gone()
            client = self.stream(script)
            client.read().read_until(b'"a"')
            time.sleep(0.02)  # into the wait for the next event
            getattr(client, how)()
            self.assertTrue(self.backend.requests[0].peer.wait_gone())

    def test_row_051_a_client_that_does_not_read_holds_little_and_loses_nothing(self):
        event = delta("x" * 4000)
        count = 12_000
        sent = []  # events, by stream

        def script(peer, _):
            sent.append(0)
            peer.send(sse_head())
            for _ in range(count):
                peer.send(chunk(event))
                sent[-1] += 1
            peer.send(chunk(usage_event(11, 5) + DONE) + LAST_CHUNK)
        self.stream(script).read().body  # what a first one takes stays
        before = self.gateway.rss()
        client = self.stream(script, receive_buffer=8192)
        answer = client.read()
        time.sleep(0.3)  # for pressure only
        self.assertLess(sent[1], count * 3 // 4)
        if not SANITIZED:
            self.assertLess(self.gateway.rss() - before, 4 * MIB)
        body = answer.body
        self.assertEqual(len(body), len(event) * count + len(usage_event(11, 5) + DONE))
        self.assertTrue(body == event * count + usage_event(11, 5) + DONE)
        self.assert_spliced(answer, end="ok", prompt_tokens=11)

    # --- pipes ---

    def test_more_streams_than_there_are_pipes(self):
        """A stream that waits holds none."""
        streams = []

        def script(peer, _):
            peer.send(sse_head() + chunk(delta("a")))
            time.sleep(0.01)
            peer.send(chunk(usage_event(11, 5) + DONE) + LAST_CHUNK)
        self.backend.forget(script)
        for _ in range(100):
            client = self.client()
            client.send(self.chat(stream=True, **ASKED))
            streams.append(client)
        for client in streams:
            answer = client.read()
            self.assertEqual(answer.body, delta("a") + usage_event(11, 5) + DONE)
            self.assert_spliced(answer, end="ok", prompt_tokens=11)

    @descriptor_case
    def test_without_pipes_events_pass_through_buffers_and_end_honestly(self):
        backend = Backend()
        self.addCleanup(backend.stop)
        gateway = Gateway("--model", f"m={backend.url}", "--relay", "splice", "--pool-idle", "60s",
                          "--shards", "1")
        self.addCleanup(gateway.stop)
        with gateway.client() as client:
            # The link that this leaves is used again.
            client.ask(chat_request(gateway.host))
            used = {int(fd) for fd in os.listdir(f"/proc/{gateway.process.pid}/fd")}
            limit = [fd for fd in range(len(used) + 2) if fd not in used][0]
            resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (limit, limit))

            def script(peer, _):
                peer.send(sse_head() + chunk(delta("a")) + chunk(delta("b")[:12]))
                peer.close()
            backend.forget(script)
            client.send(chat_request(gateway.host, stream=True, **ASKED))
            answer = client.read()
            # Nothing of the event that broke, and an error event in its place.
            self.assertTrue(answer.body.startswith(delta("a") + b"data: {\"error\""), answer.body)
            self.assertNotIn(b"[DONE]", answer.body)
        line = gateway.logged(id=answer.field("x-request-id"))
        self.assertEqual((line["lane"], line["lane_reason"]), ("buffer", "no pipe"))

    def test_many_streams_at_once(self):
        bodies = [body_of(30, random.Random(i)) for i in range(12)]

        def script(peer, asked):
            parts = bodies[asked.json["n"]]
            peer.send(sse_head())
            for part in parts:
                peer.send(chunk(part))
                time.sleep(0.001)
            peer.send(LAST_CHUNK)
        self.backend.forget(script)
        clients = [self.client() for _ in bodies]
        for _ in range(3):
            for n, client in enumerate(clients):
                client.send(self.chat(stream=True, n=n, **ASKED))
            for n, client in enumerate(clients):
                self.assertEqual(client.read().body, b"".join(bodies[n]))
        wait_until(lambda: sum(line["lane"] == "splice" and line["prompt_tokens"] == 11
                               for line in self.gateway.log()) >= 36, "all are counted")


if __name__ == "__main__":
    main()
