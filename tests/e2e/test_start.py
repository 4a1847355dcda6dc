#!/usr/bin/env python3
"""The start and the end: silent servers, names, addresses that are taken, readiness, signals."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from backend import DONE, LAST_CHUNK, Backend, chunk, delta, sse_head
from harness import (SCALE, SLUICE, Gateway, chat_request, error_in, main, request, settings)
from wire import Client, wait_until

NOWHERE = "no-such-host.invalid"


def silent_server():
    """Accepts, by its kernel at least, and says nothing."""
    return socket.create_server(("127.0.0.1", 0), backlog=64)


def url_of(listening):
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Started:
    """A gateway on a port that is known before it is there."""

    def __init__(self, *flags, listen=None):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-start-")
        self.log = os.path.join(self.folder.name, "log")
        with open(os.path.join(self.folder.name, "out"), "wb") as out:
            self.process = subprocess.Popen(
                [SLUICE, "--listen", listen or f"127.0.0.1:{self.port}", "--access-log", self.log,
                 *flags], stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def ask(self, data):
        """The first answer that there is."""
        def once():
            if self.process.poll() is not None:
                raise AssertionError(f"it ended: {self.said()}")
            try:
                with Client(("127.0.0.1", self.port)) as client:
                    return client.ask(data)
            except ConnectionRefusedError:
                return None
        return wait_until(once, "the gateway answers")

    def get(self, path):
        return self.ask(request("GET", path))

    def said(self):
        with open(os.path.join(self.folder.name, "out"), encoding="utf-8") as file:
            return file.read()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class Case(unittest.TestCase):

    def started(self, *flags, **options):
        gateway = Started(*flags, **options)
        self.addCleanup(gateway.end)
        return gateway

    def backend(self, **options):
        backend = Backend(**options)
        self.addCleanup(backend.stop)
        return backend

    def silent(self):
        server = silent_server()
        self.addCleanup(server.close)
        return url_of(server)


class FirstMoments(Case):

    def test_R15a_configured_models_serve_from_the_first_moment(self):
        good = self.backend()
        gateway = self.started("--model", f"m={good.url}", "--model", f"mute={self.silent()}")
        began = time.monotonic()
        answer = gateway.ask(chat_request())
        self.assertEqual(answer.status, 200)
        models = gateway.get("/v1/models")
        self.assertEqual({model["id"] for model in models.json["data"]}, {"m", "mute"})
        self.assertEqual(gateway.get("/readyz").status, 200)
        # The silent one is given up after two seconds.
        self.assertLess(time.monotonic() - began, 1.9, "none of it waits for the silent one")

    def test_R15a_what_one_server_lists_is_served_whatever_another_does(self):
        good = self.backend()
        gateway = self.started("--backend", self.silent(), "--backend", good.url)
        began = time.monotonic()
        wait_until(lambda: gateway.ask(chat_request()).status == 200, "the model is known")
        self.assertEqual([model["id"] for model in gateway.get("/v1/models").json["data"]], ["m"])
        other = gateway.ask(chat_request(model="other"))
        if time.monotonic() - began < 1.9:
            self.assertEqual((other.status, other.field("retry-after")), (503, "1"))
            self.assertEqual(other.field("x-should-retry"), "true")
            self.assertIn("did not answer yet", error_in(other)["message"])
        wait_until(lambda: gateway.ask(chat_request(model="other")).status == 404,
                   "it is known that nobody has it")

    def test_R15a_no_list_is_ever_empty_of_bytes(self):
        for flags in (("--backend", self.silent()), ("--no-discovery",), ()):
            gateway = self.started(*flags)
            seen = set()
            end = time.monotonic() + 3
            while time.monotonic() < end:
                answer = gateway.get("/v1/models")
                seen.add(answer.status)
                self.assertIn(answer.status, (200, 503))
                self.assertEqual("data" in answer.json, answer.status == 200)
                if answer.status == 200:
                    break
                error_in(answer)
                self.assertEqual(answer.field("retry-after"), "1")
            self.assertIn(200, seen)

    def test_R15a_what_has_not_answered_is_said_at_the_start(self):
        mute = self.silent()
        gateway = self.started("--backend", mute)
        wait_until(lambda: f"no answer yet: {mute}" in gateway.said(), "it says so")


class Names(Case):

    def test_R15b_a_name_that_does_not_resolve_is_a_backend_that_is_down(self):
        good = self.backend()
        gateway = self.started(*settings({"models": {
            "m": {"backends": [{"url": f"http://{NOWHERE}:1"}, {"url": good.url}]},
            "lost": {"backends": [{"url": f"http://{NOWHERE}:2"}]}}}))
        for _ in range(5):
            self.assertEqual(gateway.ask(chat_request()).status, 200)
        answer = gateway.ask(chat_request(model="lost"))
        self.assertIn(answer.status, (502, 503))
        wait_until(lambda: "does not resolve" in gateway.said(), "the start says so")
        self.assertIn(NOWHERE, gateway.said())

    def test_R15b_check_warns_of_it(self):
        _, path = settings({"backends": [f"http://{NOWHERE}:1"]})
        done = subprocess.run([SLUICE, "check", path], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("warning", done.stderr)
        self.assertIn(NOWHERE, done.stderr)


class Addresses(Case):

    def test_R15c_a_start_behind_a_kill_has_the_address(self):
        backend = self.backend()
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for listen in (f"127.0.0.1:{free_port()}", f"unix:{folder}/s"):
            for shards in ("1", "2"):
                for _ in range(max(2, int(10 * SCALE))):
                    gateway = Gateway("--listen", listen, "--model", f"m={backend.url}",
                                      "--shards", shards, listen=False)
                    with gateway.client() as client:
                        self.assertEqual(client.ask(chat_request()).status, 200)
                        gateway.process.kill()
                        # It is not waited for.
                        again = Gateway("--listen", listen, "--no-discovery", listen=False)
                    gateway.wait()
                    again.process.kill()
                    again.wait()

    def test_R15c_an_address_in_use_is_refused_and_its_holder_named(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for listen in (f"127.0.0.1:{free_port()}", f"unix:{folder}/s"):
            for shards in ("1", "2"):
                holder = Gateway("--listen", listen, "--no-discovery", "--shards", shards,
                                 listen=False)
                began = time.monotonic()
                done = subprocess.run([SLUICE, "--listen", listen, "--no-discovery", "--shards",
                                       shards], capture_output=True, text=True, timeout=60,
                                      check=False)
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(listen, done.stderr)
                self.assertIn(f"process {holder.pid} (sluice)", done.stderr)
                self.assertGreater(time.monotonic() - began, 2.5, "it waits for it to be free")
                holder.stop()

    def test_R15c_one_that_ends_in_time_is_waited_for(self):
        port = free_port()
        holder = Gateway("--listen", f"127.0.0.1:{port}", "--no-discovery", listen=False)
        threading.Timer(1, holder.stop).start()
        again = Gateway("--listen", f"127.0.0.1:{port}", "--no-discovery", listen=False)
        again.stop()


class Ready(Case):

    def reason(self, answer):
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.json["status"], "unavailable")
        return answer.json["reason"]

    def test_R15d_readiness_says_why_nothing_can_be_served(self):
        gateway = self.started("--no-discovery")
        self.assertEqual(self.reason(gateway.get("/readyz")), "No model server was found.")
        self.assertEqual(gateway.get("/healthz").status, 200)

    def test_R15d_readiness_follows_the_backends(self):
        backend = self.backend()
        gateway = self.started("--model", f"m={backend.url}")
        wait_until(lambda: gateway.get("/readyz").status == 200, "it is ready")
        backend.stop()
        wait_until(lambda: gateway.get("/readyz").status == 503, "it is not")
        self.assertEqual(self.reason(gateway.get("/readyz")), "All backends are down.")
        self.assertEqual(gateway.get("/healthz").status, 200)

    def test_R15d_a_server_that_has_said_nothing_yet_serves_nothing(self):
        gateway = self.started("--backend", self.silent())
        self.assertIn(self.reason(gateway.get("/readyz")),
                      ("No model server has answered yet.", "No model server was found.",
                       "The gateway is starting."))


class Signals(Case):

    def stream(self, gateway, go_on):
        client = gateway.client()
        self.addCleanup(client.close)
        client.send(chat_request(stream=True))
        client.read().read_until(b"one")
        return client

    def test_R15e_the_log_is_opened_anew_and_nothing_ends(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def script(peer, got):
            if not got.json.get("stream"):
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                return
            peer.send(sse_head() + chunk(delta("one")))
            go_on.wait(60)
            peer.send(chunk(delta("two")) + chunk(DONE) + LAST_CHUNK)
        backend = self.backend(script=script)
        gateway = Gateway("--model", f"m={backend.url}")
        self.addCleanup(gateway.stop)
        stream = self.stream(gateway, go_on)
        files, asked = [], 0
        for number in (signal.SIGHUP, signal.SIGUSR1) * 3:
            with gateway.client() as client:
                for _ in range(50):
                    self.assertEqual(client.ask(chat_request()).status, 200)
                    asked += 1
                files.append(f"{gateway.log_path}.{len(files)}")
                os.rename(gateway.log_path, files[-1])
                gateway.signal(number)
                for _ in range(50):
                    self.assertEqual(client.ask(chat_request()).status, 200)
                    asked += 1
            wait_until(lambda: os.path.exists(gateway.log_path), "the log is there anew")
        go_on.set()
        self.assertTrue(stream.answer.body.endswith(delta("two") + DONE))
        gateway.logged(stream=True, end="ok")

        def lines():
            found = []
            for path in (*files, gateway.log_path):
                with open(path, encoding="utf-8") as file:
                    found += [json.loads(line) for line in file]
            return [line for line in found if line.get("path") == "/v1/chat/completions"]
        wait_until(lambda: len(lines()) == asked + 1, "every line is there, whole, and once")

    def test_R15e_a_log_that_cannot_be_opened_is_kept(self):
        backend = self.backend()
        gateway = Gateway("--model", f"m={backend.url}")
        self.addCleanup(gateway.stop)
        moved = gateway.log_path + ".1"
        os.rename(gateway.log_path, moved)
        os.mkdir(gateway.log_path)
        gateway.signal(signal.SIGHUP)
        with gateway.client() as client:
            client.ask(chat_request())

        def whole():
            with open(moved, encoding="utf-8") as file:
                return any("/v1/chat" in line for line in file)
        wait_until(whole, "the old one goes on")
        os.rmdir(gateway.log_path)

    def test_R15e_without_a_file_nothing_happens(self):
        for log in ("stderr", "off"):
            gateway = Gateway("--no-discovery", "--access-log", log, log=False)
            for number in (signal.SIGHUP, signal.SIGUSR1):
                gateway.signal(number)
                with gateway.client() as client:
                    self.assertEqual(client.ask(request("GET", "/healthz")).status, 200)
            self.assertTrue(gateway.alive())
            gateway.stop()


if __name__ == "__main__":
    main()
