#!/usr/bin/env python3
"""A real llama-server behind the gateway.

    LLAMA_SERVER   the program (or a launcher that takes the same flags)
    LLAMA_MODELS   a folder with tiny-chat.gguf and tiny-embed.gguf

Without them every case is skipped.
"""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import (Gateway, best_of, chat_request, defaults, events, main, request,
                     settings)
from sdk_calls import Call, call, missing
from test_relay import metrics
from wire import Client, Closed, wait_until

SERVER = os.environ.get("LLAMA_SERVER", "")
MODELS = os.environ.get("LLAMA_MODELS", "")
CHAT = os.path.join(MODELS, "tiny-chat.gguf")
EMBED = os.path.join(MODELS, "tiny-embed.gguf")
# The same prompt gives the same text, also the second time.
FIXED = {"temperature": 0, "seed": 1, "cache_prompt": False}
SLOT_FREE_WITHIN = 0.100  # seconds


def why_not():
    if not SERVER:
        return "LLAMA_SERVER names no llama-server"
    if not os.access(SERVER, os.X_OK):
        return f"LLAMA_SERVER: {SERVER} is not a program"
    if not (os.path.isfile(CHAT) and os.path.isfile(EMBED)):
        return f"LLAMA_MODELS: no tiny-chat.gguf and tiny-embed.gguf in {MODELS!r}"
    return ""


WHY_NOT = why_not()
NO_SDK = missing()


class Llama:
    """One llama-server; start() may be called again after kill()."""

    def __init__(self, model, *flags):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = free.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self.command = [SERVER, "--host", "127.0.0.1", "--port", str(self.address[1]), "--offline",
                        "-m", model, "-t", "1", *flags]
        self.log = tempfile.TemporaryFile()
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        wait_until(self.healthy, "llama-server is healthy", 120)

    def get(self, path):
        with Client(self.address) as client:
            return client.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                              .encode())

    def healthy(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(f"llama-server ended: {self.log.read()[-2000:]!r}")
        try:
            return self.get("/health").status == 200
        except (OSError, Closed):
            return False

    def busy_slots(self):
        return sum(slot["is_processing"] for slot in self.get("/slots").json)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.kill()
        self.log.close()


def unlike_each_time(body):
    """The answer without what differs from call to call: ids, times, durations."""
    text = re.sub(r'"(id|created|system_fingerprint)":("[^"]*"|\d+)', r'"\1":0',
                  body.decode())
    return re.sub(r'"timings":\{[^}]*\}', '"timings":{}', text)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class LlamaServer(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.chat = Llama(CHAT, "--alias", "tiny-chat", "-np", "2", "-c", "8192")
        cls.addClassCleanup(cls.chat.stop)
        cls.embed = Llama(EMBED, "--alias", "tiny-embed", "--embeddings")
        cls.addClassCleanup(cls.embed.stop)
        cls.gateway = Gateway("--backend", cls.chat.url, "--backend", cls.embed.url)
        cls.addClassCleanup(cls.gateway.stop)
        wait_until(lambda: len(cls.listed()) == 2, "both models are listed")

    @classmethod
    def listed(cls):
        with cls.gateway.client() as client:
            answer = client.ask(request("GET", "/v1/models"))
        return sorted(entry["id"] for entry in answer.json["data"])

    def ask(self, address, **more):
        with Client(address) as client:
            return client.ask(chat_request(model="tiny-chat", **more))

    def both_ways(self, **more):
        direct = self.ask(self.chat.address, **FIXED, **more)
        through = self.ask(self.gateway.address, **FIXED, **more)
        self.assertEqual((direct.status, direct.complete), (200, True))
        self.assertEqual((through.status, through.complete), (200, True))
        self.assertEqual(unlike_each_time(through.body), unlike_each_time(direct.body))
        return through

    def test_a_stream_is_the_same_as_direct(self):
        for more in ({}, {"stream_options": {"include_usage": True}}):
            answer = self.both_ways(stream=True, max_tokens=60, ignore_eos=True, **more)
            self.assertGreater(len(events(answer.body)), 50)
            line = self.gateway.logged(id=answer.field("x-request-id"))
            self.assertEqual((line["completion_tokens"], line["end"]), (60, "ok"))
            self.assertGreater(line["prompt_tokens"], 0)

    def test_an_answer_that_is_not_streamed_is_the_same_as_direct(self):
        answer = self.both_ways(max_tokens=20, ignore_eos=True)
        line = self.gateway.logged(id=answer.field("x-request-id"))
        usage = answer.json["usage"]
        self.assertEqual((line["prompt_tokens"], line["completion_tokens"]),
                         (usage["prompt_tokens"], usage["completion_tokens"]))

    @unittest.skipIf(NO_SDK, NO_SDK)
    def test_the_sdk_sees_the_same_as_direct(self):
        more = {"model": "tiny-chat", "max_tokens": 40, "ignore_eos": True, **FIXED}
        for extra in ({}, {"stream_options": {"include_usage": True}}):
            direct = call(self.chat.url, "stream", **more, **extra)
            self.assertNotIn("error", direct)
            self.assertTrue(direct["text"])
            self.assertEqual(call(self.gateway.url, "stream", **more, **extra), direct)
        self.assertEqual(call(self.gateway.url, "chat", **more)["message"],
                         call(self.chat.url, "chat", **more)["message"])

    @unittest.skipIf(NO_SDK, NO_SDK)
    def test_two_models_on_two_servers_are_routed_by_name(self):
        seen = call(self.gateway.url, "models")
        self.assertEqual(seen["ids"], ["tiny-chat", "tiny-embed"])
        self.assertEqual(call(self.gateway.url, "embeddings", model="tiny-embed")["sizes"],
                         [64, 64])
        self.assertTrue(call(self.gateway.url, "chat", model="tiny-chat", max_tokens=5)["message"])
        backends = {line["model"]: line["backend"] for line in self.gateway.log()
                    if "model" in line}
        self.assertIn(str(self.chat.address[1]), backends["tiny-chat"])
        self.assertIn(str(self.embed.address[1]), backends["tiny-embed"])

    @unittest.skipIf(NO_SDK, NO_SDK)
    def test_many_calls_in_turn_never_meet_a_closed_connection(self):
        seen = call(self.gateway.url, "inTurn", model="tiny-chat", count=220)
        self.assertNotIn("error", seen)
        for _ in range(40):
            for stream in (True, False):
                answer = self.ask(self.gateway.address, stream=stream, max_tokens=3)
                self.assertEqual((answer.status, answer.complete), (200, True))

    def test_a_connection_that_the_server_closes_when_idle_is_not_missed(self):
        self.assertEqual(self.ask(self.gateway.address, max_tokens=2).status, 200)
        time.sleep(6)  # llama-server closes an idle connection after five seconds
        self.assertEqual(self.ask(self.gateway.address, max_tokens=2).status, 200)

    def slot_free_after(self, fields=()):
        """Seconds from the client's close to the slot's end; a stream of ten thousand tokens."""
        wait_until(lambda: self.chat.busy_slots() == 0, "all slots are free")
        client = self.gateway.client()
        self.addCleanup(client.close)
        client.send(chat_request(model="tiny-chat", stream=True, max_tokens=10_000,
                                 ignore_eos=True, fields=fields))
        client.read().read_until(b"content\":\"")
        self.assertEqual(self.chat.busy_slots(), 1)
        began = time.monotonic()
        client.close()
        wait_until(lambda: self.chat.busy_slots() == 0, "the slot is free")
        return time.monotonic() - began

    def test_closing_the_client_frees_the_slot(self):
        taken = best_of(self.slot_free_after, SLOT_FREE_WITHIN)
        print(f"     the slot was free after {taken * 1000:.0f} ms", flush=True)

    def test_row_056_a_conversation_id_does_not_keep_the_slot(self):
        best_of(lambda: self.slot_free_after(["X-Conversation-Id: abc"]), SLOT_FREE_WITHIN)

    def test_R7c_an_overflow_behind_a_notice_keeps_the_servers_numbers(self):
        gateway = Gateway(*settings({"models": {"tiny-chat": {
            "backends": [{"url": self.chat.url, "slots": 1}], "queue": {"notice_first": "20ms"}}}}))
        self.addCleanup(gateway.stop)
        with Client(self.chat.address) as client:
            direct = client.ask(chat_request(model="tiny-chat", content="word " * 20_000))
        self.assertEqual(direct.status, 400)
        said = direct.json["error"]
        self.assertGreater(said["n_prompt_tokens"], said["n_ctx"])
        for path, more in (("/v1/chat/completions", {}), ("/v1/messages", {"max_tokens": 5}),
                           ("/v1/responses", {"input": "word " * 20_000})):
            with self.subTest(path), gateway.client() as busy, gateway.client() as client:
                busy.send(chat_request(model="tiny-chat", stream=True, max_tokens=4000,
                                       ignore_eos=True))
                busy.read().read_until(b"content")
                client.send(chat_request(model="tiny-chat", path=path, stream=True,
                                         content="word " * 20_000, **more))
                answer = client.read()
                answer.read_until(b": queued")
                busy.close()
                self.assertTrue(answer.complete)
                last = json.loads(events(answer.body)[-1])
                error = last["response"]["error"] if path == "/v1/responses" else last["error"]
                self.assertEqual(error["n_ctx"], said["n_ctx"])
                self.assertGreater(error["n_prompt_tokens"], said["n_ctx"])
                self.assertIn("exceeds the available context size", error["message"])
                self.assertIn("exceed_context_size_error", error.values())

    def test_a_batch_of_embeddings_is_asked_for_what_is_not_known(self):
        texts = ["rain", "snow and ice", "a warm wind", "fog in the valley"]

        def embed(address, items, *fields, **more):
            body = json.dumps({"model": "tiny-embed", "input": items, **more}).encode()
            with Client(address) as client:
                return client.ask(request("POST", "/v1/embeddings", body, fields=fields))

        def numbers(answer):
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual([each["index"] for each in answer.json["data"]],
                             list(range(len(answer.json["data"]))))
            return [each["embedding"] for each in answer.json["data"]]
        for shards in (1, 3):
            gateway = Gateway("--shards", str(shards), *settings({"models": {"tiny-embed": {
                "backends": [{"url": self.embed.url}], "health": {"probe": "off"},
                "cache": {"answers": "auto"}}}}))
            self.addCleanup(gateway.stop)

            def known(items, gateway=gateway):
                wait_until(lambda: embed(gateway.address, items,
                                         "Cache-Control: only-if-cached").status == 200, "kept")
            first = embed(gateway.address, texts[1:3])
            known(texts[1:3])
            mixed = embed(gateway.address, texts)
            known(texts)
            again = embed(gateway.address, texts)
            self.assertEqual([each.field("x-sluice-cache") for each in (first, mixed, again)],
                             ["miss", "partial", "hit"])
            direct = embed(self.embed.address, texts)
            self.assertEqual(numbers(mixed)[1:3], numbers(first))
            self.assertEqual(numbers(again), numbers(mixed))
            for seen, wanted in zip(numbers(mixed), numbers(direct), strict=True):
                self.assertEqual(len(seen), len(wanted))
                for one, other in zip(seen, wanted, strict=True):
                    self.assertAlmostEqual(one, other, places=4)
            self.assertEqual(mixed.json["usage"], direct.json["usage"])
            self.assertEqual(set(mixed.json), set(direct.json))
            if not NO_SDK:
                for _ in range(2):
                    seen = call(gateway.url, "embeddings", model="tiny-embed")
                    self.assertEqual(seen["sizes"], [len(numbers(direct)[0])] * 2)

    def test_row_082_errors_of_the_server_pass(self):
        long = self.ask(self.gateway.address, content="rain " * 9000, stream=True)
        self.assertEqual((long.status, long.json["error"]["type"]),
                         (400, "exceed_context_size_error"))
        with self.gateway.client() as client:
            wrong = client.ask(chat_request(model="tiny-embed"))
        self.assertGreaterEqual(wrong.status, 400)
        self.assertIn("error", wrong.json)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class TooLong(unittest.TestCase):
    """Two servers of each model, of which one has too little room for long texts."""

    ROOM = {CHAT: ["-c", "256", "-np", "1"], EMBED: ["--embeddings", "-b", "32", "-ub", "32"]}

    def ask(self, gateway, path, **body):
        with gateway.client() as client:
            return client.ask(request("POST", path, json.dumps({"model": "m", **body}).encode(),
                                      gateway.host))

    def check(self, model, path, long, short):
        small = Llama(model, *self.ROOM[model])
        self.addCleanup(small.stop)
        large = Llama(model, *(flag for flag in self.ROOM[model] if not flag.isdigit() and
                               not re.fullmatch("-[bc]|-ub|-np", flag)))
        self.addCleanup(large.stop)
        alone = Gateway("--model", f"m={small.url}")
        self.addCleanup(alone.stop)
        told = [self.ask(alone, path, **long) for _ in range(6)]
        for answer in told:
            self.assertEqual((answer.status, answer.body), (told[0].status, told[0].body))
            self.assertIn("error", answer.json)
        self.assertEqual(self.ask(alone, path, **short).status, 200)
        chain = Gateway(*settings({"models": {
            "m": {"backends": [{"url": small.url}], "fallback": {"context_length": ["large"]}},
            "large": {"backends": [{"url": large.url}]}}}))
        self.addCleanup(chain.stop)
        answer = self.ask(chain, path, **long)
        self.assertEqual(answer.status, 200, answer.body)
        line = chain.logged(id=answer.field("x-request-id"))
        self.assertEqual(line["hops"], f"{small.url} context_length")

    def test_R13_a_prompt_that_is_too_long_for_a_chat(self):
        def said(text):
            return {"messages": [{"role": "user", "content": text}], "max_tokens": 2}
        self.check(CHAT, "/v1/chat/completions", said("rain " * 300), said("rain"))

    def test_R13_an_input_that_is_too_long_for_an_embedding(self):
        self.check(EMBED, "/v1/embeddings", {"input": "rain " * 60}, {"input": "rain"})


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Killed(unittest.TestCase):

    def setUp(self):
        self.server = Llama(CHAT, "--alias", "tiny-chat", "-np", "1", "-c", "4096")
        self.addCleanup(self.server.stop)
        self.gateway = Gateway("--model", f"tiny-chat={self.server.url}")
        self.addCleanup(self.gateway.stop)

    def assert_served_again(self):
        self.server.start()
        with self.gateway.client() as client:
            self.assertEqual(client.ask(chat_request(model="tiny-chat", max_tokens=2)).status, 200)

    def test_row_092_a_server_that_is_killed_breaks_the_stream_honestly(self):
        with self.gateway.client() as client:
            client.send(chat_request(model="tiny-chat", stream=True, max_tokens=4000,
                                     ignore_eos=True))
            client.read().read_until(b"content\":\"")
            self.server.kill()
            body = client.answer.body
        self.assertNotIn(b"[DONE]", body)
        self.assertIn("error", json.loads(events(body)[-1]))
        self.gateway.logged(model="tiny-chat", end="backend_error")
        with self.gateway.client() as client:
            self.assertIn(client.ask(chat_request(model="tiny-chat")).status, (502, 503))
        self.assert_served_again()

    @unittest.skipIf(NO_SDK, NO_SDK)
    def test_row_092_the_sdk_throws_when_the_server_is_killed(self):
        going = Call(self.gateway.url, "stream", model="tiny-chat", max_tokens=4000,
                     ignore_eos=True)
        going.wait_ready()
        self.server.kill()
        seen = going.result()
        self.assertIsNone(seen["finish"])
        self.assertEqual(seen["error"]["kind"], "APIError")


@unittest.skipIf(WHY_NOT, WHY_NOT)
class OneSlot(unittest.TestCase):
    """Silence that is none of death, and answers that nobody waits for."""

    def serve(self, *flags, **timeouts):
        self.server = Llama(CHAT, "--alias", "tiny-chat", "-np", "1", "-c", "4096", *flags)
        self.addCleanup(self.server.stop)
        self.gateway = Gateway("--model", f"tiny-chat={self.server.url}", *defaults(
            {"health": {"interval": "200ms", "timeout": "500ms"}, "timeouts": timeouts}))
        self.addCleanup(self.gateway.stop)

    def occupied(self, address):
        """The client of a long answer that is not streamed, when the only slot works for it."""
        client = Client(address)
        self.addCleanup(client.close)
        client.send(chat_request(model="tiny-chat", max_tokens=4000, ignore_eos=True))
        wait_until(lambda: self.server.busy_slots() == 1, "it is computed")
        return client

    def test_R5_a_server_that_works_for_others_first_is_waited_for(self):
        self.serve(silence="1s")
        for stream in (True, False):
            self.occupied(self.server.address)
            began = time.monotonic()
            with self.gateway.client() as client:
                answer = client.ask(chat_request(model="tiny-chat", stream=stream, max_tokens=3))
            self.assertEqual((answer.status, answer.complete), (200, True))
            self.assertIn(b"[DONE]" if stream else b"choices", answer.body)
            print(f"     it said nothing for {time.monotonic() - began:.1f} s", flush=True)

    def test_R5_one_that_is_stopped_shows_no_life(self):
        self.serve(silence="1s")
        for stream in (True, False):
            with self.gateway.client() as client:
                client.send(chat_request(model="tiny-chat", stream=stream, max_tokens=4000,
                                         ignore_eos=True))
                wait_until(lambda: self.server.busy_slots() == 1, "it is computed")
                self.server.process.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                answer = client.read()
                self.assertIn(b"(silence)", answer.body)
                self.assertLess(time.monotonic() - began, 15)
                self.server.process.send_signal(signal.SIGCONT)
            wait_until(lambda: self.server.busy_slots() == 0, "it is done with it")

    def test_R12_its_slot_stays_taken_while_it_computes_on(self):
        self.serve("--metrics")
        client = self.occupied(self.gateway.address)
        client.close()
        self.gateway.logged(end="client_gone")
        task = self.task()
        self.assertIsNotNone(task)
        began = time.monotonic()
        with self.gateway.client() as client:
            client.send(chat_request(model="tiny-chat", max_tokens=3))
            wait_until(lambda: metrics(self.gateway)["sluice_requests_waiting"] == 1,
                       "the next one waits in the gateway's line")
            while self.task() == task:
                self.assertEqual(self.deferred(), 0, "it was sent to a server that was busy")
                time.sleep(0.02)
            answer = client.read()
            self.assertEqual((answer.status, answer.complete), (200, True))
        print(f"     it waited for {time.monotonic() - began:.1f} s", flush=True)

    def task(self):
        """What the slot works on; None: on nothing."""
        slot = self.server.get("/slots").json[0]
        return slot["id_task"] if slot["is_processing"] else None

    def deferred(self):
        """Requests that wait in the server."""
        text = self.server.get("/metrics").body.decode()
        return int(re.search(r"^llamacpp:requests_deferred (\d+)$", text, re.MULTILINE)[1])


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Idle(unittest.TestCase):

    def test_an_idle_model_sleeps_behind_the_gateway_and_wakes_for_a_request(self):
        server = Llama(CHAT, "--alias", "tiny-chat", "-np", "3", "-c", "4096",
                       "--sleep-idle-seconds", "2")
        self.addCleanup(server.stop)
        gateway = Gateway("--backend", server.url, "--shards", "2")
        self.addCleanup(gateway.stop)

        def sleeps():
            return server.get("/props").json["is_sleeping"]

        def slots(of):
            with of.client() as client:
                text = client.ask(request("GET", "/metrics")).body.decode()
            return re.findall(r"^sluice_backend_slots\{.*\} (\d+)$", text, re.MULTILINE)

        for _ in range(2):
            wait_until(sleeps, "its model sleeps", 30)
            # Through some checks of its health and a look at its models.
            until = time.monotonic() + 6
            while time.monotonic() < until:
                self.assertTrue(sleeps(), "it was woken")
                time.sleep(0.05)
            for _ in range(6):  # connections, on either shard
                with gateway.client() as client:
                    answer = client.ask(chat_request(model="tiny-chat", max_tokens=2))
                    self.assertEqual(answer.status, 200)
            self.assertFalse(sleeps())
            self.assertEqual(slots(gateway), ["3"])
        wait_until(sleeps, "its model sleeps", 30)
        late = Gateway("--backend", server.url)
        self.addCleanup(late.stop)
        wait_until(lambda: slots(late) == ["3"], "the slots of a model that sleeps are known")
        self.assertTrue(sleeps())


if __name__ == "__main__":
    main()
