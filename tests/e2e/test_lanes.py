#!/usr/bin/env python3
"""Lanes: a large body that the kernel moves arrives byte for byte, whatever its size, its framing
and its splits, and what the log says of it is true."""

import fcntl
import hashlib
import json
import os
import random
import resource
import subprocess
import threading
import time
import unittest

from backend import DONE, LAST_CHUNK, Backend, chunk, head, json_answer
from harness import (SANITIZED, Gateway, GatewayCase, chat_request, descriptor_case, main,
                     request)
from wire import Closed, wait_until

KIB = 1 << 10
MIB = 1 << 20
AUDIO = {"Content_Type": "audio/wav"}


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def embeddings(size, usage_first=False):
    """A JSON answer of about that size, with its usage at the end or at the begin."""
    usage = {"usage": {"prompt_tokens": 11, "total_tokens": 11}}
    data = {"object": "list", "data": [{"embedding": "A" * size, "index": 0}]}
    return json.dumps({**usage, **data} if usage_first else {**data, **usage}).encode()


class Lanes(GatewayCase):

    def answer(self, script, path="/v1/embeddings", **options):
        self.backend.forget(script)
        client = self.client(**options)
        client.send(request("POST", path, b'{"model":"m","input":"x"}', self.gateway.host))
        return client

    def lane(self, answer):
        logged = self.gateway.logged(id=answer.field("x-request-id"))
        return logged["lane"], logged["lane_reason"], logged

    def sizes(self):
        dice = random.Random(7)
        around = [64 * KIB, 72 * KIB, 128 * KIB, 256 * KIB, MIB]
        return [size + off for size in around for off in (-1, 0, 1, 200)] + \
            [dice.randrange(1, 3 * MIB) for _ in range(10)]

    def test_bodies_of_every_size_arrive_byte_for_byte(self):
        for size in self.sizes():
            body = noise(size, size)

            def script(peer, _, body=body):
                peer.send(head(Content_Length=str(len(body)), **AUDIO) + body)
            answer = self.answer(script).read()
            self.assertEqual(hashlib.sha256(answer.body).digest(),
                             hashlib.sha256(body).digest(), size)
            self.assertTrue(answer.complete)

    def test_a_document_whose_end_is_not_known_is_read_to_it(self):
        for usage_first in (False, True):
            body = embeddings(MIB, usage_first)

            def script(peer, _, body=body):
                peer.send(head(Content_Type="application/json", Connection="close") + body)
                peer.close()
            self.backend.forget(script)
            client = self.client()
            client.send(request("POST", "/v1/embeddings", b'{"model":"m","input":"x"}',
                                self.gateway.host).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
            answer = client.read()
            self.assertEqual(answer.body, body)
            # Behind its usage nothing of it matters, so the lane may be any.
            self.assertEqual(self.lane(answer)[2]["prompt_tokens"], 11)

    def test_bodies_in_pieces_and_with_pauses_arrive_byte_for_byte(self):
        dice = random.Random(11)
        for _ in range(12):
            body = noise(dice.randrange(64 * KIB, MIB), dice.random())
            cuts = sorted(dice.sample(range(1, len(body)), 20))

            def script(peer, _, body=body, cuts=cuts):
                data = head(Content_Length=str(len(body)), **AUDIO) + body
                for begin, end in zip([0, *cuts], [*cuts, len(data)]):
                    peer.send(data[begin:end])
                    time.sleep(0.001)
            answer = self.answer(script).read()
            self.assertEqual(answer.body, body)

    def test_chunks_large_and_small_in_turn_arrive_byte_for_byte(self):
        dice = random.Random(13)
        for _ in range(6):
            parts = [noise(dice.choice((1, 100, 5000, 64 * KIB, 100_000, 400_000)), i)
                     for i in range(8)]

            def script(peer, _, parts=parts):
                peer.send(head(Transfer_Encoding="chunked", **AUDIO) +
                          b"".join(chunk(part) for part in parts) + LAST_CHUNK)
            answer = self.answer(script).read()
            self.assertEqual(answer.body, b"".join(parts))
            self.assertTrue(answer.complete)

    def test_the_log_names_the_lane_and_its_reason(self):
        for size, lane in ((1000, ("buffer", "small")), (4 * MIB, ("splice", "large"))):
            def script(peer, _, size=size):
                peer.send(head(Content_Length=str(size), **AUDIO) + noise(size))
            client = self.answer(script)
            answer = client.read()
            self.assertEqual(len(answer.body), size)
            *found, logged = self.lane(answer)
            self.assertEqual(tuple(found), lane)
            self.assertGreater(logged["bytes_out"], size)
            self.assertLess(logged["bytes_out"], size + 1000)

    def test_the_usage_of_a_large_document_is_read_from_either_end(self):
        for first in (True, False):
            for size in (30 * KIB, 100 * KIB, 3 * MIB):
                body = embeddings(size, first)
                answer = self.answer(lambda peer, _, body=body: peer.send(json_answer(body))).read()
                self.assertEqual(answer.body, body)
                logged = self.gateway.logged(id=answer.field("x-request-id"))
                self.assertEqual(logged["prompt_tokens"], 11, (first, size))

    def test_one_connection_carries_large_and_small_answers_in_turn(self):
        client = self.client()
        links = set()
        for size in (100, 2 * MIB, 10, 200 * KIB, 64 * KIB, 3, MIB):
            body = noise(size, size)

            def script(peer, _, body=body):
                peer.send(head(Content_Length=str(len(body)), **AUDIO) + body)
            self.backend.forget(script)
            client.send(request("POST", "/v1/embeddings", b'{"model":"m","input":"x"}',
                                self.gateway.host))
            self.assertEqual(client.read().body, body)
            links |= {id(asked.peer) for asked in self.backend.requests}
        self.assertEqual(len(links), 1, "one link to the backend")

    def test_a_backend_that_dies_in_a_large_body_never_looks_whole(self):
        for framing in ("length", "chunked"):
            def script(peer, _, framing=framing):
                body = noise(MIB)
                if framing == "length":
                    peer.send(head(Content_Length=str(MIB), **AUDIO) + body[:-5])
                else:
                    peer.send(head(Transfer_Encoding="chunked", **AUDIO) + chunk(body)[:-10])
                peer.close()
            answer = self.answer(script).read()
            try:
                body = answer.body
            except Closed:
                continue
            self.assertLess(len(body), MIB)
            self.assertFalse(answer.complete)
            logged = self.gateway.logged(id=answer.field("x-request-id"))
            self.assertEqual(logged["end"], "backend_error")

    def test_a_client_that_leaves_a_large_body_frees_the_backend(self):
        def script(peer, _):
            peer.send(head(Content_Length=str(64 * MIB), **AUDIO))
            peer.flood(noise(64 * KIB), 64 * MIB)
            peer.note_gone()
        client = self.answer(script, receive_buffer=8192)
        client.read().read_some()
        client.reset()
        self.assertTrue(self.backend.requests[0].peer.wait_gone())

    def test_a_slow_client_gets_every_byte_and_takes_no_memory(self):
        body = noise(24 * MIB)

        def script(peer, _):
            peer.send(head(Content_Length=str(len(body)), **AUDIO) + body)
        self.answer(script).read().body  # what a first one takes stays
        before = self.gateway.rss()
        client = self.answer(script, receive_buffer=8192)
        answer = client.read()
        got = answer.read_some()
        time.sleep(0.3)  # for pressure only
        if not SANITIZED:
            self.assertLess(self.gateway.rss() - before, 4 * MIB)
        self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(body).digest())
        self.assertTrue(body.startswith(got))

    @descriptor_case
    def test_without_pipes_bodies_pass_through_buffers(self):
        # The link that asked for the models stays, and is used again.
        gateway = Gateway("--model", f"m={self.backend.url}", "--pool-idle", "60s")
        self.addCleanup(gateway.stop)
        body = noise(2 * MIB)

        def script(peer, _):
            peer.send(head(Content_Length=str(len(body)), **AUDIO) + body)
        self.backend.forget(script)
        with gateway.client() as client:
            client.ask(request("GET", "/healthz", host=gateway.host))
            # Room for the backend's socket, but not for a pipe.
            used = {int(fd) for fd in os.listdir(f"/proc/{gateway.process.pid}/fd")}
            limit = [fd for fd in range(len(used) + 2) if fd not in used][1]
            resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            client.send(request("POST", "/v1/embeddings", b'{"model":"m","input":"x"}',
                                gateway.host))
            answer = client.read()
            self.assertEqual(answer.body, body)
        logged = gateway.logged(id=answer.field("x-request-id"))
        self.assertEqual((logged["lane"], logged["lane_reason"]), ("buffer", "no pipe"))

    def test_many_large_bodies_at_once(self):
        bodies = [noise(MIB + i, i) for i in range(8)]

        def script(peer, asked):
            body = bodies[json.loads(asked.body)["n"]]
            peer.send(head(Content_Length=str(len(body)), **AUDIO) + body)
        self.backend.forget(script)
        wrong = []

        def ask(n):
            with self.gateway.client() as client:
                for _ in range(5):
                    client.send(request("POST", "/v1/embeddings",
                                        json.dumps({"model": "m", "n": n}).encode(),
                                        self.gateway.host))
                    if client.read().body != bodies[n]:
                        wrong.append(n)
        threads = [threading.Thread(target=ask, args=[n]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class PipeHog:
    """A process that holds all the pipes its user may have, until it is ended. A fork and no other
    program: the user need not be allowed to run one."""

    def __init__(self, user):
        told, tell = os.pipe()
        wait, self.hold = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.hold)
                if user is not None:
                    os.setgroups([])
                    os.setgid(user)
                    os.setuid(user)
                pipes = [os.pipe()]
                while fcntl.fcntl(pipes[-1][0], fcntl.F_GETPIPE_SZ) >= 64 * KIB:
                    pipes.append(os.pipe())
                os.write(tell, b"x")
                os.read(wait, 1)
            finally:
                os._exit(0)
        os.close(tell)
        os.close(wait)
        self.full = os.read(told, 1) == b"x"
        os.close(told)

    def end(self):
        if self.pid:
            os.close(self.hold)
            os.waitpid(self.pid, 0)
            self.pid = 0


class Unprivileged(unittest.TestCase):
    """The kernel grants a user without privileges so many pages of pipes, and then tiny ones."""

    USER = 64_321  # nobody else's

    def setUp(self):
        with open("/proc/sys/fs/pipe-user-pages-soft", encoding="ascii") as file:
            self.pages = int(file.read())
        if self.pages == 0:
            self.skipTest("this kernel does not bound the pipes of a user")
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < self.pages // 8 + 100:
            self.skipTest("too few descriptors to use the pipes of a user up")
        self.user = self.USER if os.geteuid() == 0 else None
        self.backend = Backend()
        self.addCleanup(self.backend.stop)

    def start(self, *flags):
        try:
            gateway = Gateway("--model", f"m={self.backend.url}", *flags, user=self.user)
        except (OSError, subprocess.SubprocessError) as error:
            self.skipTest(f"cannot start it as another user here: {error}")
        self.addCleanup(gateway.stop)
        return gateway

    def use_pipes_up(self):
        """All that the gateway's user may have, until what is returned ends."""
        hog = PipeHog(self.user)
        self.addCleanup(hog.end)
        if not hog.full:
            self.skipTest("the pipes of the user cannot be used up")
        return hog

    def lane(self, gateway, client, body):
        def script(peer, _):
            peer.send(head(Content_Length=str(len(body)), **AUDIO) + body)
        self.backend.forget(script)
        client.send(request("POST", "/v1/embeddings", b'{"model":"m","input":"x"}', gateway.host))
        answer = client.read()
        self.assertEqual(hashlib.sha256(answer.body).digest(), hashlib.sha256(body).digest())
        line = gateway.logged(id=answer.field("x-request-id"))
        return line["lane"], line["lane_reason"]

    def test_a_user_out_of_pipes_gets_every_byte_through_buffers(self):
        gateway = self.start()
        body = noise(3 * MIB)
        hog = self.use_pipes_up()
        with gateway.client() as client:
            for _ in range(3):
                self.assertEqual(self.lane(gateway, client, body), ("buffer", "no pipe"))
            hog.end()
            self.assertEqual(self.lane(gateway, client, body), ("splice", "large"))

    def test_a_user_out_of_pipes_gets_every_event_through_buffers(self):
        gateway = self.start("--relay", "splice")
        hog = self.use_pipes_up()
        with gateway.client() as client:
            for expected in (("buffer", "no pipe"), ("splice", "asked for")):
                client.send(chat_request(gateway.host, stream=True,
                                         stream_options={"include_usage": True}))
                answer = client.read()
                self.assertTrue(answer.complete)
                self.assertTrue(answer.body.endswith(DONE))
                line = gateway.logged(id=answer.field("x-request-id"))
                self.assertEqual((line["lane"], line["lane_reason"]), expected)
                self.assertEqual(line["prompt_tokens"], 7)
                hog.end()


if __name__ == "__main__":
    main()
