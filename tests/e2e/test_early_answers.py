#!/usr/bin/env python3
"""Answers that come before a large body has: every client that still writes gets to read them."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import unittest

from backend import json_answer
from harness import SANITIZED, SCALE, Gateway, GatewayCase, main, memory_case, request, settings
from wire import wait_until

MIB = 1 << 20
LARGE = 20 * MIB
NODE = shutil.which("node")
UPLOADS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sdk", "uploads.mjs")
KEYS = {"consumers": [{"name": "a", "keys": [{"id": "k", "sha256": "0" * 64}]}]}


def uploads(url, count, size=LARGE, at_once=4):
    """How so many uploads by Node's fetch ended, by status or error."""
    done = subprocess.run([NODE, UPLOADS, url, str(count), str(size), str(at_once)], text=True,
                          capture_output=True, timeout=600, check=True)
    return json.loads(done.stdout)


def write_blindly(client, head, size, piece=b"x" * 65536):
    """Sends a head and so many bytes as they are, without a look at what comes back."""
    client.send(head)
    for _ in range(size // len(piece)):
        client.send(piece)


class Refusals(unittest.TestCase):
    """A gateway for each reason to refuse a body of 20 MiB."""

    REASONS = (
        (401, "/v1/chat/completions", settings({**KEYS, "discover": False})),
        (404, "/nowhere", ("--no-discovery",)),
        (405, "/healthz", ("--no-discovery",)),
        (413, "/v1/chat/completions", ("--no-discovery", "--body-max", "1MiB")),
        # There is no memory for it.
        (503, "/v1/chat/completions", ("--no-discovery", "--body-max", "64MiB",
                                       "--buffers", "8MiB")),
    )

    def each(self):
        for status, path, flags in self.REASONS:
            gateway = Gateway(*flags)
            try:
                yield status, path, gateway
            finally:
                gateway.stop()

    def head(self, gateway, path, framing):
        return (f"POST {path} HTTP/1.1\r\nHost: {gateway.host}\r\n"
                f"Content-Type: application/json\r\n{framing}\r\n\r\n").encode()

    def test_R11_who_writes_it_all_without_a_look_reads_the_status(self):
        for status, path, gateway in self.each():
            for framing, piece in ((f"Content-Length: {LARGE}", b"x" * 65536),
                                   ("Transfer-Encoding: chunked",
                                    b"10000\r\n" + b"x" * 65536 + b"\r\n")):
                for _ in range(3):
                    with gateway.client() as client:
                        write_blindly(client, self.head(gateway, path, framing), LARGE, piece)
                        answer = client.read()
                        self.assertEqual(answer.status, status)
                        self.assertTrue(answer.json["error"]["message"])
                        self.assertEqual(client.read_to_close(), (b"", "eof"))

    def test_R11_python_reads_the_status(self):
        for status, path, gateway in self.each():
            connection = http.client.HTTPConnection(*gateway.address, timeout=60)
            connection.request("POST", path, b"x" * LARGE, {"Content-Type": "application/json"})
            self.assertEqual(connection.getresponse().status, status)
            connection.close()

    @unittest.skipIf(NODE is None, "there is no node")
    def test_R11_node_reads_the_status_of_every_upload(self):
        count = max(8, int((40 if SANITIZED else 200) * SCALE))  # 1,000 of them by five reasons
        for status, path, gateway in self.each():
            self.assertEqual(uploads(gateway.url + path, count), {str(status): count})

    def test_R11_curl_reads_the_status(self):
        if shutil.which("curl") is None:
            self.skipTest("there is no curl here")
        for status, path, gateway in self.each():
            # With and without Expect: 100-continue.
            for fields in ([], ["-H", "Expect:"]):
                done = subprocess.run(
                    ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *fields,
                     "-H", "Content-Type: application/json", "--data-binary", "@-",
                     gateway.url + path],
                    input=b"x" * LARGE, capture_output=True, timeout=60, check=False)
                self.assertEqual((done.returncode, done.stdout), (0, str(status).encode()))

    def test_R11_a_head_that_is_refused_may_have_a_body_behind_it(self):
        gateway = Gateway("--no-discovery")
        self.addCleanup(gateway.stop)
        for line, status in (("x: " + "y" * 40000, 431), ("Content-Length: 1, 2", 400)):
            with gateway.client() as client:
                write_blindly(client, self.head(gateway, "/v1/embeddings", line), LARGE)
                answer = client.read()
                self.assertEqual(answer.status, status)
                self.assertTrue(answer.complete)
                self.assertEqual(client.read_to_close(), (b"", "eof"))

    def test_R11_connections_past_the_limit_of_a_client_read_that_too(self):
        gateway = Gateway("--no-discovery", "--connections-per-client", "4", "--shards", "1")
        self.addCleanup(gateway.stop)
        held = [gateway.client() for _ in range(4)]
        for client in held:
            self.assertEqual(client.ask(request("GET", "/healthz")).status, 200)
        for _ in range(10):
            with gateway.client() as client:
                write_blindly(client, self.head(gateway, "/v1/embeddings",
                                                f"Content-Length: {LARGE}"), LARGE)
                self.assertEqual(client.read().status, 503)
                self.assertEqual(client.read_to_close(), (b"", "eof"))
        for client in held:
            client.close()


class Routes(unittest.TestCase):

    def answer_early(self, server):
        """Says no when the first bytes of a body have come, and reads no more."""
        while True:
            try:
                peer = server.accept()[0]
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self.say_no, args=(peer,), daemon=True).start()

    def say_no(self, peer):
        if peer.recv(1 << 16):
            peer.sendall(json_answer({"no": "key"}, 401, "Unauthorized"))

    def test_R11_the_early_answer_of_a_routes_backend_is_read(self):
        self.peers = []
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        threading.Thread(target=self.answer_early, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        gateway = Gateway(*settings({"limits": {"body": "64MiB"}, "routes": [
            {"path": "/up", "backends": [{"url": url}], "health": {"probe": "off"}}]}))
        self.addCleanup(gateway.stop)
        for _ in range(5):
            with gateway.client() as client:
                write_blindly(client, f"POST /up HTTP/1.1\r\nHost: {gateway.host}\r\n"
                                      f"Content-Length: {LARGE}\r\n\r\n".encode(), LARGE)
                answer = client.read()
                self.assertEqual((answer.status, answer.json), (401, {"no": "key"}))
                self.assertEqual(client.read_to_close(), (b"", "eof"))
        for peer in self.peers:
            peer.close()


class Bounds(GatewayCase):

    PATIENCE = 0.5
    AT_ONCE = 256  # reading_on.h: a shard's
    flags = ("--timeout-drain-read", "500ms", "--body-max", "1MiB", "--shards", "1")

    def refused(self, length=100 * MIB):
        client = self.client()
        client.send(f"POST /v1/embeddings HTTP/1.1\r\nHost: {self.gateway.host}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode())
        self.assertEqual(client.read().status, 413)
        return client

    def test_R11_who_drips_is_left(self):
        client = self.refused()
        began = time.monotonic()
        while client.send_some(b"x" * 100):
            time.sleep(0.02)
            self.assertLess(time.monotonic() - began, 20)
        self.assertGreater(time.monotonic() - began, self.PATIENCE * 0.9)

    def test_R11_who_goes_on_without_an_end_is_left(self):
        client = self.refused(1 << 40)
        sent, piece = 0, b"x" * MIB
        while client.send_some(piece):
            sent += len(piece)
            self.assertLess(sent, 200 * MIB)
        self.assertGreater(sent, 64 * MIB)

    def test_R11_a_thousand_that_drip_hold_up_nobody(self):
        clients = [self.refused() for _ in range(1000)]
        # Beyond so many the ones that were read on longest are left.
        wait_until(lambda: self.gateway.sockets() < self.AT_ONCE + 50, "most of them are left")
        self.assertEqual(self.client().ask(request("GET", "/healthz")).status, 200)
        client = self.client()
        write_blindly(client, f"POST /v1/embeddings HTTP/1.1\r\nHost: {self.gateway.host}\r\n"
                              f"Content-Type: application/json\r\nContent-Length: {LARGE}\r\n\r\n"
                              .encode(), LARGE)
        self.assertEqual(client.read().status, 413)
        for one in clients:
            one.send_some(b"x")
        wait_until(lambda: self.gateway.sockets() < 50, "the others are left in their time")

    @memory_case
    def test_R11_what_is_thrown_away_takes_no_memory(self):
        self.refused()
        before = self.gateway.rss()
        for _ in range(8):
            client = self.refused(LARGE)
            write_blindly(client, b"", LARGE)
        self.assertLess(self.gateway.rss() - before, 8 * MIB)


if __name__ == "__main__":
    main()
