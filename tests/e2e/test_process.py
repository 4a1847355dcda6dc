#!/usr/bin/env python3
"""The process: start, shards, drain and end, logs, and that nothing leaks over many requests."""

import json
import os
import re
import select
import signal
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

from backend import (DONE, LAST_CHUNK, Backend, address_that_refuses, chunk, delta, sse_head)
from harness import (SANITIZED, SCALE, SLUICE, Gateway, GatewayCase, Sim, chat_request, main,
                     request)
from wire import Closed, wait_until


def run(*flags):
    return subprocess.run([SLUICE, *flags], timeout=60, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)


class CommandLine(unittest.TestCase):

    def test_version_and_help(self):
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")
        for flags in (("--help",), ("serve", "--help")):
            done = run(*flags)
            self.assertEqual(done.returncode, 0)
            for flag in ("--listen", "--model", "--backend", "--alias", "--shards",
                         "--drain-timeout", "--access-log", "--body-max", "--half-close"):
                self.assertIn(flag, done.stdout)

    def test_a_bad_flag_is_named_and_ends_with_2(self):
        cases = (("--no-such-flag",), ("--listen", "nonsense"), ("--listen", "127.0.0.1:99999"),
                 ("--model", "no-equals-sign"), ("--model", "m=ftp://127.0.0.1:1"),
                 ("--model", "=http://127.0.0.1:1"), ("--alias", "x"), ("--body-max", "12parsecs"),
                 ("--timeout-head", "-1s"), ("--timeout-head", "10"), ("--shards", "-1"),
                 ("--shards", "many"), ("--half-close", "maybe"), ("--allow-host", "http://box"),
                 ("--allow-host", "box:x"), ("no-such-command",))
        for flags in cases:
            with self.subTest(flags):
                done = run(*flags)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(flags[0].lstrip("-"), done.stderr)
                self.assertEqual(done.stdout, "")

    def test_a_port_that_is_taken_ends_with_1_and_says_so(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = run("--listen", address, "--no-discovery")
        self.assertEqual(done.returncode, 1)
        self.assertIn(address, done.stderr)

    def test_a_path_that_is_taken_is_left_alone(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        plain, live, stale = (os.path.join(folder, name) for name in ("plain", "live", "stale"))
        with open(plain, "w", encoding="utf-8") as file:
            file.write("precious")
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as left:
            listening.bind(live)
            listening.listen(1)
            left.bind(stale)
            for path in (plain, live):
                done = run("--listen", f"unix:{path}", "--no-discovery")
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(path, done.stderr)
                self.assertTrue(os.path.exists(path))
            with open(plain, encoding="utf-8") as file:
                self.assertEqual(file.read(), "precious")
        # A socket that nobody listens on is what a killed program leaves behind.
        gateway = Gateway("--listen", f"unix:{stale}", "--no-discovery")
        gateway.stop()
        self.assertFalse(os.path.exists(stale))

    def test_it_says_where_it_listens_what_it_serves_and_how_to_ask(self):
        backend = Backend()
        self.addCleanup(backend.stop)
        gateway = Gateway("--model", f"first={backend.url}", "--model", f"second={backend.url}")
        self.addCleanup(gateway.stop)
        wait_until(lambda: any("curl" in line for line in gateway.lines), "the curl line")
        text = "\n".join(gateway.lines)
        self.assertRegex(text, r"sluice \d+\.\d+\.\d+ listening on " + re.escape(gateway.url))
        models = next(line for line in gateway.lines if line.startswith("models:"))
        self.assertIn("first", models)
        self.assertIn("second", models)
        curl = next(line for line in gateway.lines if "curl" in line)
        self.assertIn(gateway.url, curl)
        done = subprocess.run(["sh", "-c", curl[curl.index("curl"):]], timeout=60,
                              capture_output=True, text=True, check=False)
        if done.returncode == 127:
            self.skipTest("there is no curl here")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("data: [DONE]", done.stdout)


class Drain(unittest.TestCase):

    def setUp(self):
        self.go_on = threading.Event()

        def script(peer, _):
            peer.send(sse_head() + chunk(delta("one")))
            self.go_on.wait(60)
            peer.send(chunk(delta("two")) + chunk(DONE) + LAST_CHUNK)
        self.backend = Backend(script)
        self.addCleanup(self.backend.stop)
        self.addCleanup(self.go_on.set)

    def gateway(self, *flags):
        gateway = Gateway("--model", f"m={self.backend.url}", *flags)
        self.addCleanup(lambda: gateway.alive() and gateway.process.kill())
        return gateway

    def stream(self, gateway):
        client = gateway.client()
        self.addCleanup(client.close)
        client.send(chat_request(stream=True))
        client.read().read_until(b"one")
        return client

    def refuses(self, gateway):
        try:
            with gateway.client() as client:
                client.send_some(request("GET", "/healthz"))
                return client.read().status == 503
        except (ConnectionRefusedError, ConnectionResetError, Closed):
            return True

    def test_row_120_streams_finish_and_new_connections_are_refused(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            for shards in ("1", "2"):
                with self.subTest(number, shards=shards):
                    self.go_on.clear()
                    # A connection that waits for its next use does not hold the end up.
                    gateway = self.gateway("--shards", shards, "--pool-idle", "300s",
                                           "--drain-timeout", "120s")
                    clients = [self.stream(gateway) for _ in range(4)]
                    idle = gateway.client()
                    self.addCleanup(idle.close)
                    idle.ask(request("GET", "/healthz"))
                    gateway.signal(number)
                    self.assertEqual(idle.read_to_close(), (b"", "eof"))
                    wait_until(lambda gateway=gateway: self.refuses(gateway), "it refuses others")
                    self.assertTrue(gateway.alive())
                    self.go_on.set()
                    for client in clients:
                        self.assertTrue(client.answer.body.endswith(delta("two") + DONE))
                        self.assertTrue(client.answer.complete)
                    self.assertEqual(gateway.wait(30), 0)
                    ends = [line["end"] for line in gateway.log()
                            if line["path"] == "/v1/chat/completions"]
                    self.assertEqual(ends, ["ok"] * 4)
                    gateway.stop()

    def test_row_120_what_does_not_finish_in_time_ends_honestly(self):
        gateway = self.gateway("--drain-timeout", "500ms")
        client = self.stream(gateway)
        gateway.signal(signal.SIGTERM)
        body = client.answer.body
        self.assertTrue(client.answer.complete)
        self.assertNotIn(b"[DONE]", body)
        self.assertIn(b'"error"', body)
        self.assertEqual(gateway.wait(), 0)
        self.assertEqual(gateway.log()[-1]["end"], "drained")
        gateway.stop()

    def test_row_120_a_second_signal_ends_at_once(self):
        gateway = self.gateway()
        client = self.stream(gateway)
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: self.refuses(gateway), "it drains")
        gateway.signal(signal.SIGTERM)
        gateway.wait(10)
        client.read_to_close()
        gateway.log_folder.cleanup()

    def test_an_idle_gateway_ends_at_once(self):
        gateway = self.gateway("--drain-timeout", "60s")
        gateway.stop(15)


class Shards(unittest.TestCase):

    def test_several_shards_serve_one_address(self):
        backend = Backend()
        self.addCleanup(backend.stop)
        gateway = Gateway("--model", f"m={backend.url}", "--shards", "4")
        self.addCleanup(gateway.stop)
        clients = [gateway.client() for _ in range(64)]
        for _ in range(3):
            for client in clients:
                client.send(chat_request(stream=True))
            for client in clients:
                answer = client.read()
                self.assertEqual(answer.status, 200)
                self.assertTrue(answer.body.endswith(DONE) and answer.complete)
        for client in clients:
            client.close()
        self.assertEqual(len(backend.requests), 192)
        wait_until(lambda: len(gateway.log()) == 192, "each request has its line")
        self.assertEqual(len({line["id"] for line in gateway.log()}), 192)


class Logs(GatewayCase):

    FIELDS = {"time": str, "id": str, "client": str, "method": str, "path": str, "model": str,
              "backend": str, "status": int, "bytes_in": int, "bytes_out": int,
              "prompt_tokens": int, "completion_tokens": int, "ttft_us": int, "duration_us": int,
              "stream": bool, "end": str}

    def test_a_line_of_the_access_log_has_every_field(self):
        answer = self.client().ask(self.chat(stream=True))
        line = self.gateway.logged(id=answer.field("x-request-id"))
        for name, kind in self.FIELDS.items():
            self.assertIs(type(line[name]), kind, f"{name} in {line}")
        self.assertEqual((line["method"], line["path"], line["model"], line["status"], line["end"]),
                         ("POST", "/v1/chat/completions", "m", 200, "ok"))
        self.assertEqual((line["prompt_tokens"], line["completion_tokens"]), (7, 3))
        self.assertTrue(line["client"].startswith("127.0.0.1"))
        self.assertRegex(line["time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
        self.assertGreaterEqual(line["bytes_out"], len(answer.body))
        self.assertGreater(line["bytes_in"], 0)

    def test_a_refusal_has_its_line_too(self):
        answer = self.client().ask(request("GET", "/nowhere?secret=1", host=self.gateway.host))
        line = self.gateway.logged(id=answer.field("x-request-id"))
        self.assertEqual((line["status"], line["end"], line["path"]), (404, "refused", "/nowhere"))

    def test_odd_text_in_a_request_keeps_the_log_readable(self):
        for path in ("/x\"y", "/x%0a%22", "/\\x", "/{}", "/" + "y" * 3000):
            self.client().ask(request("GET", path, host=self.gateway.host))
        self.client().ask(self.chat(model="\n\"}{\u2028\u0000 x"))
        count = len(self.gateway.log())
        wait_until(lambda: len(self.gateway.log()) >= 6, "the lines")
        self.assertGreaterEqual(len(self.gateway.log()), count)

    def test_stderr_and_off(self):
        for where, there in (("stderr", True), ("off", False)):
            gateway = Gateway("--model", f"m={self.backend.url}", "--access-log", where, log=False)
            with gateway.client() as client:
                client.ask(chat_request())
            if there:
                line = wait_until(lambda gateway=gateway: gateway.stderr(), "a line on stderr")
                self.assertEqual(json.loads(line.splitlines()[-1])["status"], 200)
            else:
                self.assertEqual(gateway.stderr(), "")
            gateway.stop()

    def test_a_log_that_cannot_be_written_is_said_at_the_start(self):
        done = run("--access-log", "/nowhere/at/all", "--no-discovery", "--listen", "127.0.0.1:0")
        self.assertIn(done.returncode, (1, 2))
        self.assertIn("/nowhere/at/all", done.stderr)

    def test_row_167_no_secret_reaches_a_log_or_an_error(self):
        canary = "canary-5b7e19f0c3"
        holder, refused = address_that_refuses()
        self.addCleanup(holder.close)
        gateway = Gateway("--model", f"m={self.backend.url}", "--model", f"down={refused}")
        fields = [f"Authorization: Bearer {canary}", f"Cookie: session={canary}",
                  f"X-Api-Key: {canary}", f"X-Other: {canary}"]
        broken = [chat_request(fields=fields, content=canary, model=name, stream=stream)
                  for name in ("m", "down", "none") for stream in (False, True)]
        broken += [data.replace(b"Content-Length", b"Content-Length : 1\r\nContent-Length")
                   for data in broken[:1]]
        broken += [request("POST", f"/v1/chat/completions?key={canary}",
                           f'{{"model":"m","messages":"{canary}'.encode(), fields=fields),
                   request("POST", "/v1/chat/completions", canary.encode(), fields=fields),
                   request("GET", f"/v1/models?api_key={canary}", fields=fields)]
        for data in broken:
            with gateway.client() as client:
                client.send_some(data)
                head, body = client.read().head, client.answer.body
                self.assertNotIn(canary.encode(), head + body)

        def dying(peer, _):
            peer.send(sse_head() + chunk(delta("x")))
            peer.reset()
        self.backend.script = dying
        with gateway.client() as client:
            client.ask(broken[1])
        wait_until(lambda: len(gateway.log()) > len(broken) - 1, "the lines are written")
        with open(gateway.log_path, encoding="utf-8") as file:
            said = file.read() + gateway.stderr() + "\n".join(gateway.lines)
        self.assertNotIn(canary, said)
        gateway.stop()


class Leaks(unittest.TestCase):

    def storm(self, gateway, count, threads=4, pipelined=10, **more):
        """Many requests on kept connections, several at a time."""
        failed = []

        def work():
            data = chat_request(model="sim", **more) * pipelined
            with gateway.client() as client:
                for _ in range(count // threads // pipelined):
                    client.send(data)
                    for _ in range(pipelined):
                        if client.read().status != 200 or not client.answer.complete:
                            failed.append(client.answer)
                            return
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(failed, [])

    def test_nothing_leaks_over_many_requests(self):
        sim = Sim("--ttft", "0ms", "--itl", "0ms", "--tokens", "2", "--keep-alive-max", "1000000")
        self.addCleanup(sim.stop)
        gateway = Gateway("--model", f"sim={sim.url}", "--access-log", "off", log=False)
        self.addCleanup(gateway.stop)
        self.storm(gateway, 2000)
        self.storm(gateway, 400, stream=True)
        wait_until(lambda: len(gateway_clients(gateway)) == 0, "the clients are gone")
        fds, memory = gateway.fds(), gateway.rss()
        count = int((4000 if SANITIZED else 100_000) * SCALE)
        self.storm(gateway, count - count // 10)
        self.storm(gateway, count // 10, stream=True)
        wait_until(lambda: len(gateway_clients(gateway)) == 0, "the clients are gone")
        print(f"     {count} requests: {fds} descriptors before, {gateway.fds()} after", flush=True)
        self.assertLessEqual(gateway.fds(), fds + 4, "only pooled connections may differ")
        if not SANITIZED:
            self.assertLess(gateway.rss() - memory, 1 << 20)

    def test_nothing_leaks_over_many_connections_and_broken_requests(self):
        backend = Backend()
        self.addCleanup(backend.stop)
        gateway = Gateway("--model", f"m={backend.url}")
        self.addCleanup(gateway.stop)
        good, bad = chat_request(), chat_request().replace(b"Host", b"Host : x\r\nHost")

        def some(count):
            for number in range(count):
                client = gateway.client()
                client.send_some((good, bad, good[:50], good[:-5])[number % 4])
                if number % 4 < 2:
                    client.read()
                (client.reset if number % 3 else client.close)()
        some(400)
        wait_until(lambda: len(gateway_clients(gateway)) == 0, "the clients are gone")
        fds, memory = gateway.fds(), gateway.rss()
        some(int(2000 * SCALE))
        wait_until(lambda: len(gateway_clients(gateway)) == 0, "the clients are gone")
        self.assertLessEqual(gateway.fds(), fds + 4)
        if not SANITIZED:
            self.assertLess(gateway.rss() - memory, 2 << 20)

    def test_a_thousand_streams_at_once_take_flat_memory(self):
        sim = Sim("--ttft", "0ms", "--itl", "20ms", "--tokens", "1000000")
        self.addCleanup(sim.stop)
        gateway = Gateway("--model", f"sim={sim.url}")
        self.addCleanup(gateway.stop)
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        # By hundreds: a server that has no time to accept refuses whom it cannot queue.
        for count in range(100, 1001, 100):
            while len(clients) < count:
                clients.append(gateway.client())
                clients[-1].send(chat_request(model="sim", stream=True))
            wait_until(lambda count=count: sim.stats()["active"] == count, f"{count} streams run")
        stop = threading.Event()

        def read_all():
            # The bytes do not matter here: they are taken as fast as they come.
            by_fd = {client.sock.fileno(): client for client in clients}
            with select.epoll() as ready:
                for fd in by_fd:
                    ready.register(fd, select.EPOLLIN)
                while not stop.is_set():
                    for fd, _ in ready.poll(0.1):
                        client = by_fd[fd]
                        client.taken = getattr(client, "taken", 0) + len(
                            client.sock.recv(1 << 16, socket.MSG_DONTWAIT))
        reader = threading.Thread(target=read_all)
        reader.start()
        try:
            def all_past(count):
                wait_until(lambda: min(getattr(c, "taken", 0) for c in clients) > count,
                           f"every stream is past {count} bytes", 120)
            # Six seconds: behind the first looks at a server that has work, which take room once.
            # A sanitizer's memory is not weighed, and 50,000 events a second are much for it.
            behind = 6_000 if SANITIZED else 60_000
            all_past(behind)
            warm = gateway.rss()
            all_past(2 * behind)
            grown = gateway.rss() - warm
        finally:
            stop.set()
            reader.join()
        print(f"     resident: {warm >> 10} KiB warm, {grown >> 10} KiB more later", flush=True)
        if not SANITIZED:
            self.assertLess(grown, 1 << 20)
        for client in clients:
            client.close()
        wait_until(lambda: sim.stats()["active"] == 0, "every stream at the server has ended")
        wait_until(lambda: len(gateway_clients(gateway)) == 0, "the clients are gone")


def gateway_clients(gateway):
    """The established connections of clients, as the kernel's table has them."""
    wanted = f":{gateway.port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    inodes = {row[9] for row in rows[1:] if row[1].endswith(wanted) and row[3] != "0A"}
    held = set()
    for name in os.listdir(f"/proc/{gateway.pid}/fd"):
        try:
            held.add(os.readlink(f"/proc/{gateway.pid}/fd/{name}")[8:-1])
        except OSError:
            pass
    return inodes & held


class Zero(unittest.TestCase):

    def test_a_gateway_without_models_says_so(self):
        gateway = Gateway("--no-discovery")
        self.addCleanup(gateway.stop)
        with gateway.client() as client:
            self.assertEqual(client.ask(request("GET", "/v1/models")).json["data"], [])
            answer = client.ask(chat_request())
        self.assertIn(answer.status, (404, 503))
        self.assertTrue(answer.json["error"]["message"])


if __name__ == "__main__":
    main()
