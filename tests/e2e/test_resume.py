#!/usr/bin/env python3
"""`resume: true`: a stream whose backend dies goes on on another one, and its client sees one."""

import json
import signal
import tempfile
import threading
import time
import unittest

from backend import Backend, chunk, delta, event, finish, sse_head
from harness import Gateway, Sim, chat_request, events, main
from sdk_calls import Call, missing
from test_llama_server import CHAT, WHY_NOT as NO_LLAMA, Llama
from wire import Client, wait_until

STREAMS = 20
NO_SDK = missing()


def settings(urls, **more):
    """A file of settings with one model, m, of these backends."""
    model = {"resume": True, "balance": "round-robin",
             "backends": [{"url": url} for url in urls], **more}
    file = tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8")
    json.dump({"models": {"m": model}}, file)
    file.flush()
    return file


class ResumeCase(unittest.TestCase):

    def gateway_of(self, urls, **more):
        file = settings(urls, **more)
        self.addCleanup(file.close)
        gateway = Gateway("--config", file.name)
        self.addCleanup(gateway.stop)
        return gateway


def pieces(body):
    """The JSON of a stream's events, and whether [DONE] ended it."""
    said = events(body)
    return [json.loads(data) for data in said if data != "[DONE]"], said[-1] == "[DONE]"


def text_of(parts):
    return "".join(part["choices"][0]["delta"].get("content") or ""
                   for part in parts if part.get("choices"))


class Sims(ResumeCase):
    """Scripted servers say the same text for the same seed, so every byte can be compared."""

    TOKENS = 60

    def sim(self):
        sim = Sim("--model", "m", "--seed", "5", "--tokens", str(self.TOKENS), "--itl", "25ms")
        self.addCleanup(lambda: sim.stop() if sim.alive() else None)
        return sim

    def ask_all(self, gateway, **more):
        """Begins all streams; returns their clients."""
        clients = [gateway.client() for _ in range(STREAMS)]
        for client in clients:
            self.addCleanup(client.close)
            client.send(chat_request(model="m", stream=True, **more))
        return clients

    def whole_text(self, sim, **more):
        with Client(sim.address) as client:
            return text_of(pieces(client.ask(chat_request(model="m", stream=True, **more)).body)[0])

    def test_twenty_streams_go_on_when_their_server_is_killed(self):
        one, two = self.sim(), self.sim()
        expected = self.whole_text(one)
        gateway = self.gateway_of([one.url, two.url])
        clients = self.ask_all(gateway, stream_options={"include_usage": True})
        answers = [client.read() for client in clients]
        for answer in answers:
            answer.read_until(b'"content":"')
        time.sleep(0.3)
        one.signal(signal.SIGKILL)
        resumed = 0
        for answer in answers:
            body = answer.body
            self.assertTrue(answer.complete, body[-400:])
            parts, done = pieces(body)
            self.assertTrue(done)
            self.assertEqual(text_of(parts), expected)
            self.assertEqual(len({part["id"] for part in parts}), 1)
            self.assertEqual(len({part["created"] for part in parts}), 1)
            roles = [part for part in parts if part["choices"] and
                     "role" in part["choices"][0]["delta"]]
            self.assertEqual(len(roles), 1)
            ends = [part["choices"][0]["finish_reason"] for part in parts if part["choices"]]
            self.assertEqual([end for end in ends if end], ["stop"])
            self.assertEqual(parts[-1]["usage"]["completion_tokens"], self.TOKENS)
            resumed += b": resumed on " + two.url.encode() in body
        self.assertGreater(resumed, 0)
        self.assertLess(resumed, STREAMS)
        lines = wait_until(lambda: self.settled(gateway), "all lines are written")
        self.assertEqual({line["end"] for line in lines}, {"ok"})
        self.assertEqual(sum(line.get("resumed", 0) for line in lines), resumed)
        self.assertEqual({line["completion_tokens"] for line in lines}, {self.TOKENS})

    @staticmethod
    def settled(gateway):
        lines = [line for line in gateway.log() if line.get("path") == "/v1/chat/completions"]
        return lines if len(lines) == STREAMS else None

    def test_R3_a_stream_that_servers_end_under_goes_on_once(self):
        sims = [self.sim() for _ in range(3)]
        expected = self.whole_text(sims[0])
        gateway = self.gateway_of([sim.url for sim in sims])
        client = gateway.client()
        self.addCleanup(client.close)
        client.send(chat_request(model="m", stream=True))
        answer = client.read()
        answer.read_until(b'"content":"')
        for left in (1, 0):
            time.sleep(0.2)
            busy = [sim for sim in sims if sim.alive() and sim.stats()["active"] > 0]
            self.assertEqual(len(busy), 1)
            busy[0].signal(signal.SIGKILL)
            busy[0].process.wait()
            if left:
                wait_until(lambda: any(sim.alive() and sim.stats()["active"] > 0 for sim in sims),
                           "another server goes on")
        parts, done = pieces(answer.body)
        self.assertFalse(done)
        # What came is right, and the third server is left alone.
        self.assertTrue(expected.startswith(text_of(parts)))
        self.assertIn("ended one after the other", parts[-1]["error"]["message"])
        self.assertEqual(gateway.logged(end="backend_error")["resumed"], 1)
        self.assertEqual([sim.stats()["posts"] for sim in sims if sim.alive()],
                         [int(sims[0].alive())])  # the one that we asked for the whole text

    def test_the_tokens_that_were_asked_for_are_not_exceeded(self):
        one, two = self.sim(), self.sim()
        expected = self.whole_text(one, max_tokens=30)
        gateway = self.gateway_of([one.url, two.url])
        answers = [client.read() for client in self.ask_all(gateway, max_tokens=30)]
        for answer in answers:
            answer.read_until(b'"content":"')
        one.signal(signal.SIGKILL)
        for answer in answers:
            parts, done = pieces(answer.body)
            self.assertTrue(done)
            self.assertEqual(text_of(parts), expected)
            ends = [part["choices"][0]["finish_reason"] for part in parts if part["choices"]]
            self.assertEqual([end for end in ends if end], ["length"])

    @unittest.skipIf(NO_SDK, NO_SDK)
    def test_twenty_streams_of_the_sdk_go_on(self):
        one, two = self.sim(), self.sim()
        expected = self.whole_text(one)
        gateway = self.gateway_of([one.url, two.url])
        call = Call(gateway.url, "many", model="m", count=STREAMS)
        call.wait_ready()
        one.signal(signal.SIGKILL)
        seen = call.result()
        self.assertNotIn("error", seen)
        self.assertEqual(seen["finishes"], ["stop"] * STREAMS)
        self.assertEqual(seen["texts"], [expected] * STREAMS)
        lines = wait_until(lambda: self.settled(gateway), "all lines are written")
        self.assertGreater(sum(line.get("resumed", 0) for line in lines), 0)


class Refusals(ResumeCase):
    """Where it could not be done faithfully the stream ends, honestly, and the error says why."""

    def broken(self, *parts, **more):
        """What the client gets when the backend sends these events and breaks off."""
        self.first = Backend()
        self.second = Backend()
        self.addCleanup(self.first.stop)
        self.addCleanup(self.second.stop)

        def script(peer, _):
            peer.send(sse_head(Server="llama.cpp") + b"".join(chunk(part) for part in parts))
            time.sleep(0.1)
            peer.reset()
        self.first.script = self.second.script = script
        gateway = self.gateway_of([self.first.url, self.second.url])
        with gateway.client() as client:
            client.send(chat_request(model="m", stream=True, **more))
            body = client.read().body
        error = json.loads(events(body)[-1])
        self.assertNotIn(b"[DONE]", body)
        return error["error"]["message"], body

    def test_a_tool_call_is_not_resumed(self):
        call = event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                      "choices": [{"index": 0, "finish_reason": None, "delta": {"tool_calls": [
                          {"index": 0, "id": "x", "type": "function",
                           "function": {"name": "f", "arguments": "{"}}]}}]})
        message, body = self.broken(call, tools=[{"type": "function", "function": {"name": "f"}}])
        self.assertIn("tool call", message)
        self.assertNotIn(b": resumed", body)

    def test_a_backend_that_cannot_continue_is_not_asked_to(self):
        # What lists its models without saying so is not known to continue an assistant's message.
        message, _ = self.broken(delta("one"), delta(" two"))
        self.assertIn("did not go on", message)
        self.assertEqual(len(self.first.requests) + len(self.second.requests), 1)

    def test_a_grammar_is_not_resumed(self):
        message, _ = self.broken(delta("one"), response_format={"type": "json_object"})
        self.assertIn("broke off", message)
        self.assertEqual(len(self.first.requests) + len(self.second.requests), 1)

    def test_a_stream_that_is_whole_is_left_alone(self):
        _, body = self.broken(delta("one"), finish())
        self.assertNotIn(b": resumed", body)


@unittest.skipIf(NO_LLAMA, NO_LLAMA)
class LlamaServers(ResumeCase):

    def test_streams_go_on_on_another_llama_server(self):
        servers = [Llama(CHAT, "--alias", "m", "-np", "4", "-c", "8192") for _ in range(2)]
        for server in servers:
            self.addCleanup(server.stop)
        gateway = self.gateway_of([server.url for server in servers])
        asked = {"stream": True, "max_tokens": 200, "temperature": 0, "ignore_eos": True}
        answers = [None] * 4
        begun = threading.Barrier(5)

        def ask(index):
            with gateway.client() as client:
                client.send(chat_request(model="m", **asked))
                answer = client.read()
                answer.read_until(b'"content":"')
                begun.wait(60)
                answers[index] = (answer.body, answer.complete)
        threads = [threading.Thread(target=ask, args=[index]) for index in range(4)]
        for thread in threads:
            thread.start()
        begun.wait(60)
        servers[0].kill()
        for thread in threads:
            thread.join(120)
        texts = set()
        for body, complete in answers:
            parts, done = pieces(body)
            self.assertTrue(complete and done, body[-500:])
            ends = [part["choices"][0]["finish_reason"] for part in parts if part["choices"]]
            self.assertEqual([end for end in ends if end], ["length"])
            texts.add(text_of(parts))
        self.assertTrue(any(b": resumed on " in body for body, _ in answers))
        # At temperature 0 the text is the one that a single server would have said.
        self.assertEqual(len(texts), 1)


if __name__ == "__main__":
    main()
