#!/usr/bin/env python3
"""Lanes of requests: a large body for a generic route passes as it comes and arrives byte for byte;
and which ones are kept until they are complete."""

import hashlib
import os
import random
import resource
import tempfile
import threading
import time

from backend import LAST_CHUNK, chunk, head
from harness import chat_request, descriptor_case, main, memory_case, request
from request_case import KIB, LARGE, MIB, SPLICED, RequestCase, digest, noise


class Whole(RequestCase):

    def test_row_048_bodies_of_every_size_arrive_byte_for_byte(self):
        backend = self.backend()
        gateway = self.gateway(backend)
        client = self.client(gateway)
        dice = random.Random(7)
        sizes = [size + off for size in (LARGE, 72 * KIB, 128 * KIB, MIB)
                 for off in (-1, 0, 1, 200)] + [dice.randrange(1, 3 * MIB) for _ in range(10)]
        for size in sizes:
            body = noise(size, size)
            for first in (0, 1, 3000, LARGE - 1, LARGE, size):
                whole = request("POST", "/a", body, gateway.host)
                cut = len(whole) - size + min(first, size)
                client.send(whole[:cut])
                client.send(whole[cut:])
                answer = client.read()
                self.assertEqual((answer.status, answer.json), (200, digest(body)), (size, first))
            line = gateway.logged(id=answer.field("x-request-id"))
            self.assertEqual(line["bytes_in"], len(whole), size)

    def test_from_a_size_on_the_head_goes_before_the_body(self):
        backend = self.backend()
        gateway = self.gateway(backend)
        client = self.client(gateway)
        for size in (LARGE, LARGE + 1, MIB):
            body = noise(size, size)
            sent = self.begin(gateway, backend, client, body)
            self.assertEqual(backend.started[-1].field("content-length"), str(size))
            client.send(body)
            answer = client.read()
            self.assertEqual(answer.json, digest(body))
            self.assertEqual(self.lane(gateway, answer), SPLICED)
            self.assertEqual(gateway.logged(id=answer.field("x-request-id"))["bytes_in"], sent)
        body = noise(LARGE - 1)
        count = len(backend.started)
        whole = request("POST", "/a", body, gateway.host)
        client.send_in_pieces(whole, [len(whole) - len(body)])
        answer = client.read()
        self.assertEqual(answer.json, digest(body))
        self.assertEqual(self.lane(gateway, answer), ("buffer", "small"))
        self.assertEqual(len(backend.started), count + 1)

    def test_where_splicing_is_asked_for_a_buffer_full_is_enough(self):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--relay", "splice"))
        client = self.client(gateway)
        body = noise(4 * KIB)
        self.begin(gateway, backend, client, body)
        client.send(body)
        answer = client.read()
        self.assertEqual(answer.json, digest(body))
        self.assertEqual(self.lane(gateway, answer), ("splice", "asked for"))
        answer = client.ask(request("POST", "/a", body[1:], gateway.host))
        self.assertEqual(self.lane(gateway, answer), ("buffer", "small"))

    def test_bodies_in_pieces_and_with_pauses_arrive_byte_for_byte(self):
        backend = self.backend()
        gateway = self.gateway(backend)
        client = self.client(gateway)
        dice = random.Random(11)
        for _ in range(12):
            body = noise(dice.randrange(LARGE, MIB), dice.random())
            whole = request("PUT", "/a", body, gateway.host)
            cuts = sorted(dice.sample(range(1, len(whole)), 20))
            for begin, end in zip([0, *cuts], [*cuts, len(whole)]):
                client.send(whole[begin:end])
                time.sleep(0.001)
            self.assertEqual(client.read().json, digest(body))

    def test_what_is_pipelined_behind_is_answered_in_order(self):
        backend = self.backend()
        gateway = self.gateway(backend)
        client = self.client(gateway)
        sizes = (3 * LARGE, 10, MIB, 2 * LARGE, LARGE, 0, 5 * LARGE + 3)
        bodies = [noise(size, size) for size in sizes]
        pipelined = b"".join(request("POST", "/a", body, gateway.host) for body in bodies)
        for cuts in ((), (100, 3 * LARGE + 40, 3 * LARGE + 200)):
            sender = threading.Thread(target=client.send_in_pieces, args=[pipelined, cuts])
            sender.start()
            for body in bodies:
                self.assertEqual(client.read().json, digest(body))
            sender.join()

    def test_a_request_in_one_packet_with_the_end_of_a_spliced_body(self):
        backend = self.backend()
        gateway = self.gateway(backend)
        client = self.client(gateway)
        body = noise(2 * LARGE)
        for _ in range(5):
            self.begin(gateway, backend, client, body)
            client.send(body + request("POST", "/a", b"second", gateway.host) +
                        request("POST", "/a", b"third", gateway.host))
            first = client.read()
            self.assertEqual([first.json, client.read().json, client.read().json],
                             [digest(body), digest(b"second"), digest(b"third")])
            self.assertEqual(self.lane(gateway, first), SPLICED)

    def test_a_backend_that_answers_while_it_reads(self):
        def echo(peer, got):
            peer.send(head(Transfer_Encoding="chunked"))
            while part := got.stream.read_some():
                peer.send(chunk(part))
            peer.send(LAST_CHUNK)
            return True

        backend = self.backend()
        backend.early = echo
        gateway = self.gateway(backend)
        body = noise(9 * MIB)
        with gateway.client() as client:
            sender = threading.Thread(
                target=client.send, args=[request("POST", "/a", body, gateway.host)])
            sender.start()
            answer = client.read()
            self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(body).digest())
            self.assertTrue(answer.complete)
            sender.join()
        self.assertEqual(self.lane(gateway, answer), SPLICED)

    def test_through_sockets_of_the_file_system(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        backend = self.backend(path=os.path.join(folder.name, "backend"))
        gateway = self.gateway(backend)
        client = self.client(gateway)
        for size in (LARGE, 3 * MIB):
            body = noise(size)
            self.begin(gateway, backend, client, body)
            client.send(body)
            answer = client.read()
            self.assertEqual(answer.json, digest(body))
            self.assertEqual(self.lane(gateway, answer), SPLICED)

    def test_many_at_once_on_two_shards(self):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--shards", "2"))
        wrong = []

        def ask(number):
            body = noise(MIB + number, number)
            with gateway.client() as client:
                for _ in range(5):
                    if client.ask(request("POST", "/a", body, gateway.host)).json != digest(body):
                        wrong.append(number)
        threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    @memory_case
    def test_a_backend_that_reads_slowly_takes_no_memory(self):
        go_on = threading.Event()

        def read_late(_, got):
            go_on.wait(30)
            return False

        backend = self.backend()
        gateway = self.gateway(backend)
        client = self.client(gateway)
        body = noise(14 * MIB)
        self.assertEqual(client.ask(request("POST", "/a", noise(MIB), gateway.host)).status, 200)
        backend.early = read_late
        before = gateway.rss()
        sender = threading.Thread(target=client.send,
                                  args=[request("POST", "/a", body, gateway.host)])
        sender.start()
        time.sleep(0.3)  # for pressure only
        self.assertLess(gateway.rss() - before, 4 * MIB)
        go_on.set()
        sender.join()
        self.assertEqual(client.read().json, digest(body))


class Kept(RequestCase):
    """Bodies that stay in the usual lane."""

    def test_the_log_says_why(self):
        backend = self.backend()
        gateway = self.gateway(backend)
        body = noise(3 * LARGE)
        client = self.client(gateway)
        client.send(b"POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" +
                    chunk(body) + LAST_CHUNK)
        answer = client.read()
        self.assertEqual(answer.json, digest(body))
        self.assertEqual(self.lane(gateway, answer), ("buffer", "unknown length"))
        answer = client.ask(request("POST", "/a", b"x", gateway.host))
        self.assertEqual(self.lane(gateway, answer), ("buffer", "small"))
        answer = client.ask(request("POST", "/a", b"", gateway.host))
        self.assertEqual(self.lane(gateway, answer), (None, None))

    def test_endpoints_of_models_are_read_to_the_end(self):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--relay", "splice"))
        with gateway.client() as client:
            answer = client.ask(chat_request(host=gateway.host, content="x" * MIB))
        self.assertEqual(answer.json["bytes"], len(backend.requests[0].body))
        self.assertEqual(self.lane(gateway, answer), (None, None))

    def test_where_buffers_are_asked_for_a_body_is_complete_before_it_goes(self):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--relay", "buffer"))
        body = noise(MIB)
        whole = request("POST", "/a", body, gateway.host)
        client = self.client(gateway)
        client.send_in_pieces(whole[:-1], [500, len(whole) // 2])
        self.assertEqual(backend.started, [])
        client.send(whole[-1:])
        answer = client.read()
        self.assertEqual(answer.json, digest(body))
        self.assertEqual(self.lane(gateway, answer), ("buffer", "asked for"))

    def test_row_040_a_client_that_waits_for_100_gets_it_once(self):
        backend = self.backend()
        gateway = self.gateway(backend)
        body = noise(MIB)
        client = self.client(gateway)
        whole = request("POST", "/a", body, gateway.host, ["Expect: 100-continue"])
        client.send(whole[:-len(body)])
        self.assertEqual(client.source.until(b"\r\n\r\n", "the interim answer"),
                         b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(backend.started, [])
        client.send(body)
        answer = client.read()
        self.assertEqual((answer.status, answer.interim, answer.json), (200, [], digest(body)))
        self.assertEqual(self.lane(gateway, answer), ("buffer", "waits for 100"))

    def test_row_044_a_body_that_is_too_large_reaches_nobody(self):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--body-max", "1MiB"))
        client = self.client(gateway)
        client.send(request("POST", "/a", b"", gateway.host).replace(
            b"Content-Length: 0", b"Content-Length: %d" % (MIB + 1)))
        answer = client.read()
        self.assertEqual((answer.status, answer.closes), (413, True))
        self.assertEqual(backend.started, [])
        with gateway.client() as other:
            self.assertEqual(other.ask(request("POST", "/a", noise(MIB), gateway.host)).status, 200)

    @descriptor_case
    def test_without_pipes_bodies_are_kept(self):
        backend = self.backend()
        gateway = self.gateway(backend, flags=("--shards", "1", "--pool-idle", "60s"),
                               defaults={"health": {"probe": "off"}})
        body = noise(2 * MIB)
        with gateway.client() as client:
            # A link stays.
            self.assertEqual(client.ask(request("POST", "/a", b"x", gateway.host)).status, 200)
            used = {int(fd) for fd in os.listdir(f"/proc/{gateway.process.pid}/fd")}
            limit = [fd for fd in range(len(used) + 2) if fd not in used][1]
            resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            answer = client.ask(request("POST", "/a", body, gateway.host))
        self.assertEqual(answer.json, digest(body))
        self.assertEqual(self.lane(gateway, answer), ("buffer", "no pipe"))


if __name__ == "__main__":
    main()
