#!/usr/bin/env python3
"""Where a request goes when something fails on its way: along chains whose causes change, past the
budget where it is the request that does not suit, out of lines that take too long; in every
dialect, and told honestly where it ends."""

import re
import threading

from backend import (DONE, LAST_CHUNK, answer_chat, chat_answer, chunk, delta, event,
                     finish, head, sse_head)
from harness import main, request
from pool_case import backend
from test_fallback import BLIND, BLOCKED, CONTEXT, NEVER, Case, hang_up, refuse
from test_relay import line, metrics
from wire import wait_until

ERROR = {"error": {"message": "no slot", "type": "server_error", "code": 500}}
# How streams of each dialect begin, say something, fail and are well; and what asks for one.
DIALECTS = {
    "/v1/chat/completions": (
        b"", delta("hel"), event(ERROR), delta("lo") + finish() + DONE, {}),
    "/v1/messages": (
        event({"type": "message_start", "message": {
            "id": "x", "role": "assistant", "content": [], "model": "m",
            "usage": {"input_tokens": 11, "output_tokens": 1}}}, "message_start"),
        event({"type": "content_block_delta", "index": 0,
               "delta": {"type": "text_delta", "text": "hel"}}, "content_block_delta"),
        event({"type": "error", "error": {"type": "overloaded_error", "message": "no slot"}},
              "error"),
        event({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
               "usage": {"output_tokens": 5}}, "message_delta") +
        event({"type": "message_stop"}, "message_stop"), {"max_tokens": 9}),
    "/v1/responses": (
        event({"type": "response.created", "response": {"id": "r", "output": []}},
              "response.created"),
        event({"type": "response.output_text.delta", "delta": "hel"}, "response.output_text.delta"),
        event({"type": "error", "code": "server_error", "message": "no slot"}, "error"),
        event({"type": "response.completed", "response": {
            "id": "r", "status": "completed",
            "usage": {"input_tokens": 3, "output_tokens": 2}}}, "response.completed"),
        {"input": "hi"}),
}


class Moving(Case):

    def chain(self, fallback, **scripts):
        """A model m and others, each on a backend of its own that answers by its script."""
        servers = {name: self.scripted(script) for name, script in scripts.items()}
        models = {name: {"backends": [backend(server)], "health": BLIND, "breaker": NEVER}
                  for name, server in servers.items()}
        models["m"]["fallback"] = fallback
        return self.gateway(models), servers

    def asked(self, servers):
        return {name: len(server.requests) for name, server in servers.items()}


class Chains(Moving):

    def test_a_chain_goes_on_when_the_next_failure_has_another_cause(self):
        limit, broken, long_one = refuse(429), refuse(500), refuse(400, CONTEXT)
        for fallback, scripts in (
                ({"rate_limit": ["a"], "any": ["b"]}, {"m": limit, "a": broken, "b": answer_chat}),
                ({"rate_limit": ["a", "b"], "any": ["c"]},
                 {"m": limit, "a": broken, "b": answer_chat, "c": answer_chat}),
                ({"context_length": ["a", "b"]},
                 {"m": long_one, "a": limit, "b": answer_chat}),
                # Nobody is asked twice.
                ({"rate_limit": ["a"], "any": ["a", "b"]},
                 {"m": limit, "a": broken, "b": answer_chat})):
            with self.subTest(fallback):
                gateway, servers = self.chain(fallback, **scripts)
                told = self.assert_served(self.ask(gateway))
                self.assertEqual(told.answer.field("x-sluice-backend"), servers["b"].url)
                self.assertEqual(self.asked(servers), {**dict.fromkeys(servers, 1), **(
                    {"c": 0} if "c" in servers else {})})

    def test_what_does_not_suit_a_backend_takes_nothing_from_the_budget(self):
        for refusal in (CONTEXT, BLOCKED):
            with self.subTest(refusal["error"]["code"]):
                gateway, servers = self.chain({"any": ["big"]}, m=refuse(400, refusal),
                                              big=answer_chat)
                for _ in range(30):
                    self.assert_served(self.ask(gateway))
                self.assertEqual(self.asked(servers), {"m": 30, "big": 30})

    def test_a_budget_that_is_used_up_is_told_and_counted(self):
        gateway, servers = self.chain({"any": ["a"]}, m=refuse(503), a=refuse(503))
        told = [self.ask(gateway) for _ in range(8)]
        self.assertEqual({one.status for one in told}, {503})
        self.assertLess(len(servers["a"].requests), 8)
        refused = 8 - len(servers["a"].requests)
        self.assertIn("too many requests are being tried again",
                      self.line_of(gateway, told[-1])["error"])
        with gateway.client() as client:
            text = client.ask(request("GET", "/metrics")).body.decode()
        self.assertEqual(re.search(r"^sluice_retries_refused_total (\d+)", text, re.M)[1],
                         str(refused))

    def test_a_line_that_takes_too_long_is_left_for_a_fallback(self):
        done = threading.Event()
        self.addCleanup(done.set)

        def slow(peer, asked):
            done.wait(30)
            answer_chat(peer, asked)
        busy, spare = self.pair(slow)
        gateway = self.gateway({
            "m": {"backends": [backend(busy, slots=1)], "health": BLIND,
                  "timeouts": {"queue": "200ms"}, "fallback": ["spare"]},
            "spare": {"backends": [backend(spare)], "health": BLIND}})
        first = threading.Thread(target=self.ask, args=(gateway,), daemon=True)
        first.start()
        busy.wait_requests(1)
        told = self.assert_served(self.ask(gateway))
        self.assertEqual(told.answer.field("x-sluice-backend"), spare.url)
        self.assertGreaterEqual(self.line_of(gateway, told)["queued_us"], 200_000)
        done.set()
        first.join(30)

    def test_a_model_that_loads_is_waited_for_whatever_it_failed_of_before(self):
        server = self.scripted(hang_up)
        gateway = self.gateway({"m": {"backends": [backend(server)], "breaker": {"open": "1m"},
                                      "health": {"probe": "http", "interval": "20ms"}}})
        for _ in range(3):
            self.assertEqual(self.ask(gateway).status, 502)
        self.wait_event(gateway, "breaker", state="open")
        server.loading = True
        self.wait_event(gateway, "health", state="loading")
        server.script = answer_chat
        told = []
        waiting = threading.Thread(target=lambda: told.append(self.ask(gateway)), daemon=True)
        waiting.start()
        wait_until(lambda: self.waiting(gateway) == 1, "it is waited for")
        server.loading = False
        waiting.join(30)
        self.assert_served(told[0])

    def waiting(self, gateway):
        return metrics(gateway)["sluice_requests_waiting"]

    def test_a_model_that_loads_too_long_is_left_for_a_fallback(self):
        loading, spare = self.pair(answer_chat)
        gateway = self.gateway({
            "m": {"backends": [backend(loading)], "timeouts": {"load": "300ms"},
                  "health": {"probe": "http", "interval": "20ms"}, "fallback": ["spare"]},
            "spare": {"backends": [backend(spare)], "health": BLIND}})
        loading.loading = True
        self.wait_event(gateway, "health", state="loading")
        told = self.assert_served(self.ask(gateway))
        self.assertEqual(told.answer.field("x-sluice-backend"), spare.url)


class Dialects(Moving):

    def stream(self, *parts):
        """A script that streams these parts; a request that does not ask for that is answered."""
        def script(peer, asked):
            if not asked.json.get("stream"):
                return peer.send(chat_answer())
            return peer.send(sse_head() + b"".join(chunk(part) for part in parts if part) +
                             LAST_CHUNK)
        return script

    def test_row_070_an_error_before_anything_was_said_goes_elsewhere(self):
        for path, (begin, text, error, end, more) in DIALECTS.items():
            for name, parts in (("at once", (error,)), ("behind the begin", (begin, error)),
                                ("broken behind the begin", (begin,))):
                with self.subTest(path, name=name):
                    bad = self.scripted(self.stream(*parts))
                    if name.startswith("broken"):
                        bad.script = lambda peer, _, begin=begin: (
                            peer.send(sse_head() + chunk(begin or b": hi\n\n")), peer.reset())
                    good = self.scripted(self.stream(begin, text, end))
                    gateway = self.gateway(self.models([backend(bad), backend(good, priority=1)]))
                    told = self.ask(gateway, path=path, stream=True, **more)
                    self.assertEqual((told.status, told.complete), (200, True), told)
                    self.assertEqual(told.body, begin + text + end)
                    self.assertEqual(len(good.requests), 1)

    def test_row_105_an_error_in_the_middle_ends_it_and_is_counted(self):
        for path, (begin, text, error, end, more) in DIALECTS.items():
            with self.subTest(path):
                server = self.scripted(self.stream(begin, text, error, end))
                gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND}})
                for _ in range(3):
                    told = self.ask(gateway, path=path, stream=True, **more)
                    rest = told.body.removeprefix(begin + text + error)
                    self.assertEqual(len(told.body), len(begin + text + error) + len(rest))
                    if path == "/v1/responses":  # which ends with this one
                        self.assertEqual(rest.count(b"event:"), 1)
                        self.assertTrue(rest.startswith(b"event: response.failed\n"), rest)
                    else:
                        self.assertEqual(rest, b"")
                    self.assertTrue(told.complete)
                    line = self.line_of(gateway, told)
                    self.assertEqual(line["end"], "backend_error")
                    self.assertIn("no slot", line["error"])
                # Messages' says 529, which is the server's; 500 of one caller may be its own (R1).
                if path == "/v1/messages":
                    self.wait_event(gateway, "breaker", state="open")
                else:
                    self.assertEqual(self.happened(gateway, "breaker"), [])
                with gateway.client() as client:
                    text_of = client.ask(request("GET", "/metrics")).body.decode()
                self.assertIn('sluice_answers_broken_total{cause="error_event"} 3', text_of)

    def test_row_070_and_row_105_in_lines_of_json(self):
        begin = head(Content_Type="application/x-ndjson", Transfer_Encoding="chunked")
        text = line({"model": "m", "message": {"role": "assistant", "content": "hi"},
                     "done": False})
        end = line({"model": "m", "message": {"role": "assistant", "content": ""}, "done": True,
                    "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 1})
        error = line({"error": "no slot"})

        def lines(*parts):
            return self.scripted(lambda peer, _: peer.send(
                begin + b"".join(chunk(part) for part in parts) + LAST_CHUNK))
        bad, good = lines(error), lines(text, end)
        gateway = self.gateway(self.models([backend(bad), backend(good, priority=1)]))
        told = self.ask(gateway, path="/api/chat", stream=True)
        self.assertEqual((told.status, told.body, told.complete), (200, text + end, True))
        gateway = self.gateway({"m": {"backends": [backend(lines(text, error, end))]}})
        told = self.ask(gateway, path="/api/chat", stream=True)
        self.assertEqual((told.body, told.complete), (text + error, True))
        self.assertEqual(self.line_of(gateway, told)["end"], "backend_error")

    def test_requests_are_counted_by_the_class_of_their_status(self):
        server = self.scripted(refuse(500))
        gateway = self.gateway({"m": {"backends": [backend(server)], "health": BLIND,
                                      "breaker": NEVER}})
        self.assertEqual(self.ask(gateway).status, 500)
        server.script = answer_chat
        self.assert_served(self.ask(gateway))
        with gateway.client() as client:
            text = client.ask(request("GET", "/metrics")).body.decode()
        for status in ("2xx", "5xx"):
            self.assertIn(f'sluice_requests_total{{model="m",backend="{server.url}",end="ok",'
                          f'status="{status}"}} 1\n', text)


if __name__ == "__main__":
    main()
