#!/usr/bin/env python3
"""Servers that are found, named and asked: URLs with /v1, keys, ports, servers without a list, and
another model on the same port.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from backend import Backend, address_that_refuses, answer_chat, json_answer
from harness import ROOT, SLUICE, Gateway, chat_request, main, request
from pool_case import PoolCase, backend
from test_llama_server import CHAT, EMBED, SERVER, WHY_NOT, Llama
from test_start import Started as Start
from wire import wait_until

OURS = "sk-of-the-backend"
ADDED_WITHIN = 2.0  # seconds
# Said of 127.0.0.1 by `sluice discover` and by a start that finds nothing.
PORTS = re.compile(r"ports ([\d ,to]+\d)")


def check(file):
    return subprocess.run([SLUICE, "check", file], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)


class ServerCase(PoolCase):

    def started(self, *flags):
        """Its output can be read."""
        gateway = Start(*flags)
        self.addCleanup(gateway.end)
        return gateway

    def flagged(self, *flags, env=None):
        gateway = Gateway(*flags, env=env)
        self.addCleanup(gateway.stop)
        return gateway

    def file(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
            file.write(text)
        self.addCleanup(os.unlink, file.name)
        return file.name

    def get(self, gateway, path):
        with gateway.client() as client:
            return client.ask(request("GET", path, host=gateway.host))

    def ids(self, gateway):
        return [entry["id"] for entry in self.get(gateway, "/v1/models").json.get("data", [])]

    def wait_ids(self, gateway, *ids):
        wait_until(lambda: set(ids) <= set(self.ids(gateway)), f"{ids} are listed")

    def chat(self, gateway, path="/v1/chat/completions", **more):
        with gateway.client() as client:
            return client.ask(chat_request(gateway.host, path, **more))

    def behind(self, prefix, models=("m",)):
        """A server all of whose paths begin so."""
        server = self.scripted(lambda peer, seen: answer_chat(peer, seen)
                               if seen.path.startswith(prefix + "/")
                               else peer.send(json_answer({}, 404, "Not Found")))
        entries = [{"id": name, "object": "model"} for name in models]
        server.pages = {prefix + "/models": {"object": "list", "data": entries}}
        for path in ("/v1/models", "/models"):
            server.pages.setdefault(path, (404, {"error": "no such path"}))
        return server


class Urls(ServerCase):

    def test_S1_v1_at_the_end_is_taken_everywhere(self):
        for end in ("", "/", "/v1", "/v1/", "/v1//"):
            server = self.behind("/v1")
            url = server.url + end
            for gateway in (self.flagged("--backend", url), self.flagged("--model", f"m={url}"),
                            self.flagged("--model", f"m={url}#m", "--no-discovery"),
                            self.gateway({"m": {"backends": [backend(url)]}}),
                            self.gateway({}, backends=[url]),
                            self.gateway({}, backends=[{"url": url}])):
                self.wait_ids(gateway, "m")
                for path in ("/v1/chat/completions", "/v1/embeddings"):
                    self.assertEqual(self.chat(gateway, path).status, 200, url)
                    self.assertEqual(server.requests[-1].path, path)

    def test_S1_other_prefixes_are_kept(self):
        for prefix, end in (("/llm", ""), ("/llm", "/v1"), ("/a/b", "/v1/"), ("/xv1", ""),
                            ("/v1/openai", ""), ("/v1", "/v1")):
            server = self.behind(prefix + "/v1")
            gateway = self.flagged("--backend", server.url + prefix + end)
            self.wait_ids(gateway, "m")
            self.assertEqual(self.chat(gateway).status, 200)
            self.assertEqual(server.requests[-1].path, prefix + "/v1/chat/completions")

    def test_S1_one_server_in_two_spellings_is_one(self):
        server = self.behind("/v1")
        gateway = self.flagged("--backend", server.url + "/v1",
                               "--model", f"other={server.url}/#m")
        self.wait_ids(gateway, "m", "other")
        self.chat(gateway)
        text = self.get(gateway, "/metrics").body.decode()
        self.assertEqual(len(re.findall(r'^sluice_backend_up\{[^}]*model="m"', text, re.M)), 1)
        done = subprocess.run([SLUICE, "--backend", server.url + "/v1", "--backend",
                               server.url + "/"], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 2)
        self.assertIn("stands there", done.stderr)

    def test_S1_a_routes_url_is_taken_as_it_is(self):
        server = self.behind("/v1")
        gateway = self.gateway({}, discover=False, routes=[
            {"path": "/x", "strip_prefix": True, "backends": [backend(server.url + "/v1")]}])
        self.assertEqual(self.chat(gateway, "/x/chat").status, 200)
        self.assertEqual(server.requests[-1].path, "/v1/chat")

    def test_S1_check_and_the_start_say_what_is_asked(self):
        server = self.behind("/v1")
        done = check(self.file(
            f"models: {{m: {{backends: [{{url: '{server.url}/v1'}}]}}}}\n"
            f"backends: ['{server.url}/llm/', 'http://127.0.0.1:1']\n"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f"{server.url}/v1: asked at {server.url}/v1/chat/completions\n", done.stdout)
        self.assertIn(f"{server.url}/llm/v1/chat/completions\n", done.stdout)
        self.assertIn("http://127.0.0.1:1: asked at http://127.0.0.1:1/v1/chat/completions\n",
                      done.stdout)
        gateway = self.started("--backend", server.url + "/v1/")
        wait_until(lambda: f"asks: {server.url}/v1/models" in gateway.said(), "it says so")

    def test_S1_a_url_of_an_endpoint_is_refused_with_what_to_write(self):
        url = "http://127.0.0.1:1/v1/chat/completions"
        done = check(self.file(f"backends: ['{url}']\n"))
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("/v1/chat/completions: leave that away", done.stderr)
        done = subprocess.run([SLUICE, "--backend", url], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("leave that away", done.stderr)

    def test_S1_the_field_program_is_sound(self):
        path = os.environ.get("SLUICE_FIELD_PROGRAMS", "")
        program = os.path.join(path, "03-backend-url-with-v1.py")
        if not os.path.isfile(program):
            self.skipTest("SLUICE_FIELD_PROGRAMS names no folder with it")
        done = subprocess.run([sys.executable, program], env={**os.environ, "SLUICE": SLUICE},
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_S1_a_unix_socket_is_no_path_of_an_api(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = self.scripted(answer_chat, path=folder.name + "/v1")
        gateway = self.flagged("--backend", server.url)
        self.wait_ids(gateway, "m")
        self.assertEqual(self.chat(gateway).status, 200)


class Settings(ServerCase):

    def keyed(self, models=("m",)):
        """A server that says nothing to whoever shows no key."""
        def knows(seen):
            return seen.field("authorization") == f"Bearer {OURS}"

        def script(peer, seen):
            if knows(seen):
                return answer_chat(peer, seen)
            return peer.send(json_answer({"error": {"message": "Invalid API Key"}}, 401, "No"))
        server = self.scripted(script)
        entries = {"data": [{"id": name, "owned_by": "llamacpp"} for name in models]}

        def page(value):
            return lambda seen: value if knows(seen) else (401, {"error": {"code": 401}})
        server.pages = {"/v1/models": page(entries), "/health": {"status": "ok"},
                        "/props": page({"total_slots": 3})}
        return server

    def test_S2_a_server_with_a_key_is_listed_and_asked_with_it(self):
        server = self.keyed(("m", "n"))
        gateway = self.gateway({}, backends=[{"url": server.url + "/v1", "key": "env:LLAMA_KEY"}],
                               env={"LLAMA_KEY": OURS})
        self.wait_ids(gateway, "m", "n")
        self.assertEqual(self.chat(gateway).status, 200)
        # Its own properties are asked for with it, too.
        wait_until(lambda: 'sluice_backend_slots{model="m"' in
                   self.get(gateway, "/metrics").body.decode(), "its slots are known")

    def test_S2_slots_context_and_timeouts_are_of_whatever_it_lists(self):
        server = self.keyed()
        gateway = self.gateway({}, "--timeout-first-byte", "5m", backends=[
            {"url": server.url, "key": "env:LLAMA_KEY", "slots": 2, "context": 777,
             "timeouts": {"first_byte": "1s"}}], env={"LLAMA_KEY": OURS})
        self.wait_ids(gateway, "m")
        metrics = self.get(gateway, "/metrics").body.decode()
        self.assertRegex(metrics, r'sluice_backend_slots\{[^}]*model="m"[^}]*\} 2\n')
        self.assertEqual(self.get(gateway, "/v1/models/m").json["context_length"], 777)
        server.script = lambda peer, _: peer.wait_gone()
        began = time.monotonic()
        self.assertEqual(self.chat(gateway).status, 504)
        self.assertLess(time.monotonic() - began, 60)

    def test_S2_urls_and_maps_stand_side_by_side_and_a_flag_wins(self):
        one, two, three = self.behind("/v1", ("a",)), self.behind("/v1", ("b",)), self.keyed(("c",))
        listed = [one.url, {"url": two.url}, {"url": three.url, "key": "env:LLAMA_KEY", "slots": 1}]
        gateway = self.gateway({}, backends=listed, env={"LLAMA_KEY": OURS})
        self.wait_ids(gateway, "a", "b", "c")
        for name in "abc":
            self.assertEqual(self.chat(gateway, model=name).status, 200)
        gateway = self.gateway({}, "--backend", one.url, backends=listed, env={"LLAMA_KEY": OURS})
        self.wait_ids(gateway, "a")
        self.assertEqual(self.ids(gateway), ["a"])

    def test_S2_what_is_wrong_is_told_with_its_place(self):
        for text, wanted in (("backends: [{slots: 2}]", ":1:12: backends[0]: "),
                             ("backends: [{url: ftp://x}]", ":1:18: backends[0].url: "),
                             ("backends: [{url: http://h, slotz: 2}]", "did you mean 'slots'"),
                             ("backends: [{url: http://h, key: sk-open}]", "backends[0].key: "),
                             ("backends: [[x]]", "backends[0]: expected a URL"),
                             ("backends: {url: http://h}", ":1:11: backends: expected a list")):
            done = check(self.file(text + "\n"))
            self.assertEqual(done.returncode, 2, text)
            self.assertIn(wanted, done.stderr)
            self.assertNotIn("sk-open", done.stderr)

    def test_S2_a_missing_key_is_named_at_the_start(self):
        server = self.keyed()
        gateway = self.started("--backend", server.url)
        wait_until(lambda: "key: \"env:NAME\"" in gateway.said(), "it says what to write")
        self.assertIn(f"{server.url}: GET /v1/models answered 401", gateway.said())

    def test_T1_names_that_lead_to_nothing_with_what_a_server_lists_are_told_at_the_start(self):
        server = self.scripted(answer_chat)
        server.models = ("coder", "tiny")
        gateway = self.started("--backend", server.url, "--alias", "a=codr", "--alias",
                               "tiny=coder", "--alias", "good=coder", "--default-model", "nobody")
        wait_until(lambda: "try: curl" in gateway.said(), "it says what it serves")
        said = gateway.said()
        for each in ("the alias 'a': no server has a model 'codr'; did you mean 'coder'?",
                     "the alias 'tiny': a server has a model of that name",
                     "the default model: no server has a model 'nobody'"):
            self.assertIn(f"leads to nothing: {each}", said)
        self.assertNotIn("'good'", said)

    def test_S4_a_named_models_server_that_wants_a_key_is_told_of_with_what_to_write(self):
        server = self.keyed()
        gateway = self.started("--model", f"m={server.url}")
        wait_until(lambda: "try: curl" in gateway.said(), "it says what it serves")
        self.assertIn(f"refused: {server.url}: GET /v1/models answered 401; it wants a key: write "
                      f'models: {{"m": {{backends: [{{url: "{server.url}", key: "env:NAME"}}]}}}}',
                      gateway.said())
        path = self.file(f"models: {{m: {{backends: [{{url: '{server.url}', key: 'env:HOME'}}]}}}}")
        gateway = self.started("--config", path)
        wait_until(lambda: "try: curl" in gateway.said(), "it says what it serves")
        self.assertIn("it does not take the key that the settings have", gateway.said())

    @unittest.skipIf(WHY_NOT, WHY_NOT)
    def test_S2_a_real_llama_server_with_a_key(self):
        server = Llama(CHAT, "--alias", "tiny-chat", "--api-key", OURS, "-np", "2")
        self.addCleanup(server.stop)
        gateway = self.gateway({}, backends=[{"url": server.url + "/v1", "key": "env:LLAMA_KEY"}],
                               env={"LLAMA_KEY": OURS})
        self.wait_ids(gateway, "tiny-chat")
        answer = self.chat(gateway, model="tiny-chat", max_tokens=4)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.get(gateway, "/v1/models/tiny-chat").json["owned_by"], "llamacpp")


@contextlib.contextmanager
def on_a_port(ports):
    """Listens on the first of these that is free."""
    for port in ports:
        with contextlib.suppress(OSError):
            server = Backend(models=("found-by-its-port",))
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                sock.close()
                server.stop()
                continue
            sock.listen(64)
            with contextlib.suppress(OSError):
                server.listener.shutdown(socket.SHUT_RDWR)
            server.listener = sock
            server.restart()
            try:
                yield server, port
            finally:
                server.stop()
            return
    raise unittest.SkipTest("every one of these ports is taken on this machine")


class Discovery(ServerCase):

    NEIGHBOURS = (*range(8081, 8090), 9931, *range(9932, 9938))

    def discover(self):
        return subprocess.run([SLUICE, "discover"], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)

    def ports_in(self, text):
        ports = set()
        for part in PORTS.search(text)[1].split(", "):
            first, _, last = part.partition(" to ")
            ports |= set(range(int(first), int(last or first) + 1))
        return ports

    def test_S3_a_neighbouring_port_is_found_by_the_start_and_by_the_command(self):
        with on_a_port(self.NEIGHBOURS) as (server, port):
            gateway = self.started()
            wait_until(lambda: f"found-by-its-port (http://127.0.0.1:{port})" in gateway.said(),
                       "the start says where")
            done = self.discover()
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, rf"http://127\.0\.0\.1:{port}\s+.*found-by-its-port\n")
            self.assertIn(port, self.ports_in(done.stdout))
            self.assertEqual(server.requests, [], "nothing is asked of a model")

    def test_S3_it_says_where_it_looked(self):
        done = self.discover()
        ports = self.ports_in(done.stdout)
        self.assertLessEqual({11434, *range(8080, 8090), 9931, 8000, 1234, 30000, 13305}, ports)
        if done.returncode == 1:
            self.assertIn("no model server was found", done.stdout)
        for words in (("discover", "--help"), ("--help",)):
            said = subprocess.run([SLUICE, *words], capture_output=True, text=True, check=False)
            self.assertEqual(said.returncode, 0)
            self.assertIn("sluice discover", said.stdout)
        self.assertEqual(subprocess.run([SLUICE, "discover", "x"], capture_output=True,
                                        check=False).returncode, 2)
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            self.assertIn("sluice discover", file.read())

    def test_S3_the_command_names_a_server_without_a_list(self):
        with on_a_port(self.NEIGHBOURS) as (server, port):
            server.pages = {"/v1/models": (404, {"detail": "Not Found"}),
                            "/models": (404, {"detail": "Not Found"})}
            done = self.discover()
            self.assertIn(f"--model NAME=http://127.0.0.1:{port}", done.stdout)
            gateway = self.started()
            wait_until(lambda: f"--model NAME=http://127.0.0.1:{port}" in gateway.said(),
                       "so does the start")


class WithoutLists(ServerCase):

    # What servers say that serve no list, or none of what they serve.
    LISTS = {"LitServe": {"/v1/models": (404, {"detail": "Not Found"})},
             "transformers": {"/v1/models": {"object": "list", "data": []}},
             "mlx_lm": {"/v1/models": b""},
             "a page": {"/v1/models": b"<html></html>"},
             "405": {"/v1/models": (405, {"detail": "Method Not Allowed"})},
             "400": {"/v1/models": (400, {"detail": "?"})}}

    def test_S4_it_is_reachable_by_its_name_and_the_start_says_what_to_write(self):
        for kind, pages in self.LISTS.items():
            with self.subTest(kind):
                server = self.scripted(answer_chat)
                server.pages = {"/models": (404, {"detail": "Not Found"}), **pages}
                told = self.started("--backend", server.url)
                wait_until(lambda: f"--model NAME={server.url}" in told.said(), "it says so")
                self.assertIn(f"{server.url}: ", told.said())

                gateway = self.started("--model", f"served={server.url}#its/own")
                wait_until(lambda: "models: served" in gateway.said(), "it is served")
                self.assertNotIn("not answering", gateway.said())
                self.assertNotIn("NAME=", gateway.said())
                answer = gateway.ask(chat_request(model="served"))
                self.assertEqual(answer.status, 200)
                self.assertEqual(server.requests[-1].json["model"], "its/own")
                self.assertEqual(server.requests[-1].path, "/v1/chat/completions")
                listed = gateway.get("/v1/models").json["data"]
                self.assertEqual([entry["id"] for entry in listed], ["served"])
                self.assertEqual(gateway.get("/readyz").status, 200)

    def test_S4_a_server_without_v1_is_asked_without_it(self):
        server = self.behind("", ("e5",))
        for flags in (("--backend", server.url), ("--model", f"e5={server.url}/v1")):
            gateway = self.flagged(*flags)
            self.wait_ids(gateway, "e5")
            wait_until(lambda: self.chat(gateway, "/v1/embeddings", model="e5").status == 200 and
                       server.requests[-1].path == "/embeddings", "it is known")
            self.assertEqual(self.chat(gateway, "/rerank", model="e5").status, 200)
            self.assertEqual(server.requests[-1].path, "/rerank")

    def test_S4_a_server_that_comes_to_have_a_list_is_listed(self):
        server = self.scripted(answer_chat)
        server.pages = {"/v1/models": {"data": []}}
        gateway = self.flagged("--backend", server.url)
        self.assertEqual(self.ids(gateway), [])
        server.pages = {}
        self.wait_ids(gateway, "m")

    def test_S4_one_that_loads_is_given_no_such_advice(self):
        server = self.scripted(answer_chat)
        server.loading = True
        told = self.started("--backend", server.url)
        wait_until(lambda: "not answering" in told.said(), "it says so")
        self.assertNotIn("NAME=", told.said())


class Exchanged(ServerCase):

    def test_S5_another_model_on_the_same_port_is_listed_within_two_seconds(self):
        holder, url = address_that_refuses()
        address = holder.getsockname()
        holder.close()
        gateway = self.flagged("--backend", url)
        for name in ("one", "two", "three"):
            server = Backend(models=(name,))
            server.listener.close()
            server.listener = wait_until(lambda: self.listening(address), "the port is free")
            server.restart()
            began = time.monotonic()
            self.wait_ids(gateway, name)
            self.within(time.monotonic() - began)
            self.assertEqual(self.ids(gateway), [name])
            self.assertEqual(self.chat(gateway, model=name).status, 200)
            server.stop()

    def test_S5_whatever_other_servers_do(self):
        mute, server = socket.create_server(("127.0.0.1", 0)), self.scripted(answer_chat)
        self.addCleanup(mute.close)
        gateway = self.flagged("--backend", f"http://127.0.0.1:{mute.getsockname()[1]}",
                               "--backend", server.url)
        self.wait_ids(gateway, "m")
        server.models = ("other",)
        began = time.monotonic()
        self.wait_ids(gateway, "other")
        self.within(time.monotonic() - began)

    def test_S5_another_kind_of_server_is_known_as_such(self):
        server = self.scripted(answer_chat)
        server.slots = [{"is_processing": False}] * 3
        gateway = self.flagged("--backend", server.url)
        self.wait_ids(gateway, "m")
        wait_until(lambda: re.search(r'slots\{[^}]*model="m"[^}]*\} 3\n',
                                     self.get(gateway, "/metrics").body.decode()), "its slots")
        server.slots, server.models = None, ("n",)
        self.wait_ids(gateway, "n")
        self.assertIsNone(re.search(r'slots\{[^}]*model="n"[^}]*\} 3\n',
                                    self.get(gateway, "/metrics").body.decode()))

    def listening(self, address):
        # The kernel lets go of the one before when nobody waits for it any more.
        with contextlib.suppress(OSError):
            return socket.create_server(address)
        return None

    def within(self, seconds):
        # The machine may be busy; the gateway asks every second.
        self.assertLess(seconds, 5 * ADDED_WITHIN)

    @unittest.skipIf(WHY_NOT, WHY_NOT)
    def test_S5_a_real_llama_server_is_exchanged(self):
        first = Llama(CHAT, "--alias", "tiny-chat")
        self.addCleanup(first.stop)
        gateway = self.flagged("--backend", first.url)
        self.wait_ids(gateway, "tiny-chat")
        first.process.send_signal(signal.SIGTERM)
        first.process.wait()
        first.command = [SERVER, *first.command[1:]]
        first.command[first.command.index(CHAT)] = EMBED
        first.command[first.command.index("tiny-chat")] = "tiny-embed"
        first.start()
        began = time.monotonic()
        self.wait_ids(gateway, "tiny-embed")
        self.within(time.monotonic() - began)
        self.assertEqual(self.ids(gateway), ["tiny-embed"])


if __name__ == "__main__":
    main()
