#!/usr/bin/env python3
"""Gateways as backends: a chain is served, a circle is refused before it begins to turn."""

import os
import shutil
import socket
import subprocess
import tempfile
import unittest

from backend import Backend, json_answer
from harness import SLUICE, Gateway, chat_request, error_in, main, request, settings
from wire import wait_until

CHAT = "/v1/chat/completions"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*flags):
    return subprocess.run([SLUICE, *flags], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)


def file_of(listen, url):
    """Files of settings that lead back in each way that there is."""
    listening = {"listen": listen, "insecure_listen": True, "discover": False}
    yield {**listening, "models": {"m": {"backends": [{"url": url}]}}}
    yield {**listening, "backends": [url]}
    yield {**listening, "routes": [{"path": "/r", "backends": [{"url": url}]}]}


class Refused(unittest.TestCase):

    def each(self, listen, url):
        for value in file_of(listen, url):
            yield settings(value)[1]

    def test_R16_a_file_that_names_a_listener_as_a_backend_is_refused(self):
        port = free_port()
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        with socket.socket(socket.AF_UNIX) as left:  # as another run has left it
            left.bind(f"{folder}/s")
        os.symlink(f"{folder}/s", f"{folder}/same")
        os.mkdir(f"{folder}/a")
        os.symlink(folder, f"{folder}/a/up")
        os.symlink("../none", f"{folder}/a/link")  # to where nothing is yet
        here, everywhere = f"127.0.0.1:{port}", f"0.0.0.0:{port}"
        for listen, url in ((here, f"http://127.0.0.1:{port}"), (here, f"http://localhost:{port}"),
                            (here, f"http://[::ffff:127.0.0.1]:{port}/v1"),
                            (here, f"http://0.0.0.0:{port}"), (here, f"http://127.1:{port}"),
                            (everywhere, f"http://127.0.0.1:{port}"),
                            (everywhere, f"http://127.9.9.9:{port}"),
                            (f"[::1]:{port}", f"http://[::1]:{port}"),
                            (f"[::]:{port}", f"http://[::1]:{port}"),
                            (f"unix:{folder}/s", f"unix:{folder}/s"),
                            (f"unix:{folder}/s", f"unix:{folder}/same"),
                            (f"unix:{folder}/none", f"unix:{folder}/none"),
                            (f"unix:{folder}/none", f"unix:{folder}/a/../none"),
                            (f"unix:{folder}/a/../none", f"unix:{folder}//./none"),
                            (f"unix:{folder}/none", f"unix:{folder}/gone/../none"),
                            (f"unix:{folder}/none", f"unix:{folder}/a/up/none"),
                            (f"unix:{folder}/none", f"unix:{folder}/a/link"),
                            (f"unix:{folder}/s", f"unix:{folder}/a/up/s")):
            for path in self.each(listen, url):
                with self.subTest(listen=listen, url=url):
                    for done in (run("check", path), run("--config", path)):
                        self.assertEqual(done.returncode, 2, done)
                        self.assertIn("is this gateway itself", done.stderr)
                        self.assertIn(url, done.stderr)

    def test_R16_other_addresses_are_no_loop(self):
        port = free_port()
        for listen, url in ((f"127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"),
                            (f"127.0.0.1:{port}", f"http://127.0.0.2:{port}"),
                            (f"127.0.0.1:{port}", f"http://[::1]:{port}"),
                            (f"0.0.0.0:{port}", f"http://192.0.2.1:{port}"),
                            ("unix:/tmp/sluice-a", "unix:/tmp/sluice-b"),
                            ("unix:/tmp/sluice-a", "unix:/tmp/x/sluice-a"),
                            ("unix:/tmp/sluice-a", "unix:/tmp/../sluice-a")):
            for path in self.each(listen, url):
                done = run("check", path)
                self.assertEqual(done.returncode, 0, done)


class Circles(unittest.TestCase):

    def gateway(self, port, *flags):
        shards = () if "--shards" in flags else ("--shards", "1")
        gateway = Gateway("--listen", f"127.0.0.1:{port}", *shards, *flags, listen=False)
        self.addCleanup(gateway.stop)
        return gateway

    def rounds(self, *gateways):
        """How many requests for a chat all of them saw."""
        return sum(line.get("path") == CHAT for gateway in gateways for line in gateway.log())

    def ask(self, gateway, **more):
        with gateway.client() as client:
            return client.ask(chat_request(**more))

    def test_R16_a_gateway_that_is_its_own_backend_asks_itself_once(self):
        for flags in (("--model", "m=http://127.0.0.1:{}"), ("--model", "m=http://localhost:{}/v1"),
                      ("--model", "n=http://127.0.0.1:{}#m", "--alias", "m=n"),
                      ("--model", "m=http://127.0.0.1:{}", "--shards", "2")):
            port = free_port()
            gateway = self.gateway(port, *(flag.format(port) for flag in flags))
            answer = self.ask(gateway)
            self.assertIn(answer.status, (502, 508))
            self.assertEqual(answer.field("x-should-retry"), "false")
            error_in(answer)
            gateway.logged(status=508)
            self.assertLessEqual(self.rounds(gateway), 2)
            wait_until(lambda gateway=gateway: any("is this gateway itself" in line
                                                   for line in gateway.lines), "it says so")

    def test_R16_two_in_a_circle_see_it_after_two_hops(self):
        one, two = free_port(), free_port()
        first = self.gateway(one, "--model", f"m=http://127.0.0.1:{two}")
        second = self.gateway(two, "--model", f"m=http://127.0.0.1:{one}")
        answer = self.ask(first)
        self.assertIn(answer.status, (502, 508))
        first.logged(status=508)
        self.assertLessEqual(self.rounds(first, second), 3)  # the client's, and two hops

    def check_others_serve(self, ask, served, *gateways):
        """Nobody hears of the entry that leads back; each shard finds it out once."""
        for _ in range(40):
            answer = ask()
            self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(served(), 40)
        opened = [line for gateway in gateways for line in gateway.log()
                  if line.get("event") == "breaker"]
        for event in opened:
            self.assertEqual((event["state"], event["cause"]), ("open", "its requests come round"))
        seen = sum(line.get("method") == "POST" for gateway in gateways
                   for line in gateway.log())
        self.assertLessEqual(seen, 40 + 2 * len(opened))

    def test_R16_one_entry_of_a_pool_that_leads_back_is_left_out(self):
        for shards in ("1", "3"):
            for between in (False, True):
                with self.subTest(shards=shards, between=between):
                    backend = Backend()
                    self.addCleanup(backend.stop)
                    here, there = free_port(), free_port()
                    gateway = self.gateway(
                        here, "--shards", shards, "--model",
                        f"m=http://127.0.0.1:{there if between else here}",
                        "--model", f"m={backend.url}")
                    gateways = [gateway]
                    if between:
                        gateways.append(self.gateway(there, "--model",
                                                     f"m=http://127.0.0.1:{here}"))
                    self.check_others_serve(lambda gateway=gateway: self.ask(gateway),
                                            lambda backend=backend: len(backend.requests),
                                            *gateways)

    def test_R16_on_a_route_a_post_goes_on_too(self):
        backend = Backend()
        self.addCleanup(backend.stop)
        here, there = free_port(), free_port()

        def route(*urls):
            return settings({"routes": [{"path": "/r", "balance": "round-robin",
                                         "backends": [{"url": url} for url in urls]}]})
        gateway = self.gateway(here, *route(f"http://127.0.0.1:{there}", backend.url))
        other = self.gateway(there, *route(f"http://127.0.0.1:{here}"))

        def ask():
            with gateway.client() as client:
                return client.ask(request("POST", "/r", b"{}", gateway.host))
        self.check_others_serve(ask, lambda: len(backend.requests), gateway, other)

    def test_R16_a_chain_is_served_and_each_link_named(self):
        backend = Backend()
        self.addCleanup(backend.stop)
        inner = self.gateway(free_port(), "--backend", backend.url)
        outer = self.gateway(free_port(), "--backend", inner.url)
        answer = self.ask(outer)
        self.assertEqual(answer.status, 200)
        items = [value for key, value in backend.requests[0].fields if key == "cdn-loop"]
        self.assertEqual(len(items), 2)
        self.assertEqual(len(set(items)), 2)
        for item in items:
            self.assertRegex(item, r"^sluice; id=[0-9a-f]{16}$")

    def test_R16_what_a_client_says_of_hops_can_only_refuse_it(self):
        backend = Backend()
        self.addCleanup(backend.stop)
        gateway = self.gateway(free_port(), "--model", f"m={backend.url}")
        for value, status in (("cloudflare", 200), ("sluice", 200), (", ,;=\"", 200),
                              ("sluice; id=0000000000000000", 200), (", ".join(["cdn"] * 50), 200),
                              (", ".join(["Sluice ; id=1"] * 8), 508),
                              (",".join(["sluice"] * 200), 508)):
            with gateway.client() as client:
                client.send(chat_request(fields=(f"CDN-Loop: {value}",)))
                self.assertEqual(client.read().status, status, value)
        sent = [value for key, value in backend.requests[0].fields if key == "cdn-loop"]
        self.assertEqual(sent[0], "cloudflare")
        self.assertTrue(sent[1].startswith("sluice; id="))

    def test_R16_a_route_that_leads_back_is_seen_too(self):
        backend = Backend()
        self.addCleanup(backend.stop)
        one, two = free_port(), free_port()
        gateways = [self.gateway(here, *settings({"routes": [
            {"path": "/r", "backends": [{"url": f"http://127.0.0.1:{there}"}]}]}))
            for here, there in ((one, two), (two, one))]
        with gateways[0].client() as client:
            self.assertEqual(client.ask(request("GET", "/r")).status, 508)
        gateways[0].logged(status=508)
        seen = sum(line.get("path") == "/r" for gateway in gateways for line in gateway.log())
        self.assertLessEqual(seen, 3)

    def test_R4_an_applications_own_508_is_no_proof_that_nothing_was_done(self):
        told = json_answer({"detail": "a circle of references"}, 508, "Loop Detected")
        servers = [Backend(lambda peer, _: peer.send(told)) for _ in range(3)]
        for server in servers:
            self.addCleanup(server.stop)
        gateway = self.gateway(free_port(), *settings({"routes": [
            {"path": "/r", "backends": [{"url": server.url} for server in servers]}]}))
        with gateway.client() as client:
            answer = client.ask(request("POST", "/r", b"once"))
        self.assertEqual((answer.status, answer.json), (508, {"detail": "a circle of references"}))
        self.assertEqual(sum(len(server.requests) for server in servers), 1)


if __name__ == "__main__":
    main()
