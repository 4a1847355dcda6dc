#!/usr/bin/env python3
"""What a backend's refusal leads to: the next of the pool, a chain of models, or the client; and
what the breaker makes of it."""

import json
import threading
import time

from backend import (DONE, LAST_CHUNK, address_that_refuses, answer_chat, chat_answer, chunk, delta,
                     head, json_answer, sse_head)
from harness import events, main
from pool_case import PoolCase, backend, content_of, together
from wire import wait_until

BLIND = {"probe": "off"}  # nothing but traffic finds out how a backend is
NEVER = {"failures": 0, "error_rate": 0}
CONTEXT = {"error": {"message": "This model's maximum context length is 4096 tokens.",
                     "type": "invalid_request_error", "param": "messages",
                     "code": "context_length_exceeded"}}
BLOCKED = {"error": {"message": "The response was filtered", "type": None, "param": "prompt",
                     "code": "content_filter"}}


def refuse(status, error=None, reason="No", **fields):
    """A script that answers every request so."""
    error = error or {"error": {"message": f"says {status}", "type": "some_error", "param": None,
                                "code": None}}
    return lambda peer, _: peer.send(json_answer(error, status, reason, **fields))


def hang_up(peer, _):
    """It does not answer."""
    peer.reset()


class Case(PoolCase):

    def models(self, first, spare=None, fallback=None, breaker=None, **more):
        """Settings of a model `m` served by `first`, with a spare in its pool or in its chain."""
        pool = [backend(server) if not isinstance(server, dict) else server for server in first]
        made = {"m": {"balance": "round-robin", "backends": pool, "health": BLIND,
                      "breaker": breaker or NEVER, **more}}
        if fallback:
            made["m"]["fallback"] = fallback
        if spare:
            made["spare"] = {"backends": [backend(spare, model="spare-model")], "health": BLIND,
                             "breaker": NEVER}
        return made

    def pair(self, script):
        return self.scripted(script), self.scripted(answer_chat)


class NextOfThePool(Case):

    def failing_first(self, script, **more):
        bad, good = self.pair(script)
        gateway = self.gateway(self.models(
            [backend(bad), backend(good, priority=1)], **more))
        return bad, good, gateway

    def test_what_is_tried_elsewhere_and_under_which_name_it_is_logged(self):
        cases = {"500": (refuse(500), "doubtful"), "502": (refuse(502), "transient"),
                 "503": (refuse(503), "transient"), "529": (refuse(529), "transient"),
                 "408": (refuse(408), "doubtful"), "reset": (hang_up, "transient"),
                 "no HTTP": (lambda peer, _: (peer.send(b"nonsense\r\n\r\n"), peer.close()),
                             "doubtful"),
                 "429": (refuse(429, Retry_After="1"), "rate_limited")}
        for name, (script, kind) in cases.items():
            for stream in (False, True):
                with self.subTest(name, stream=stream):
                    bad, good, gateway = self.failing_first(script)
                    told = self.assert_served(self.ask(gateway, stream=stream))
                    self.assertEqual((len(bad.requests), len(good.requests)), (1, 1))
                    self.assertEqual(good.requests[0].body, bad.requests[0].body)
                    self.assertEqual(told.answer.field("x-sluice-backend"), good.url)
                    self.assertEqual(told.answer.field("x-sluice-retries"), "1")
                    self.assertEqual(self.line_of(gateway, told)["hops"], f"{bad.url} {kind}")

    def test_row_089_a_body_of_a_megabyte_is_replayed_whole(self):
        bad, good, gateway = self.failing_first(refuse(500))
        self.assert_served(self.ask(gateway, content="x" * 1_000_000))
        self.assertEqual(good.requests[0].body, bad.requests[0].body)
        self.assertGreater(len(good.requests[0].body), 1_000_000)

    def test_row_070_an_error_event_at_the_begin_of_a_stream(self):
        problem = chunk(b'data: {"error":{"message":"no slot","type":"server_error","code":500}}'
                        b"\n\n")
        role = chunk(b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",'
                     b'"choices":[{"index":0,"delta":{"role":"assistant","content":null},'
                     b'"finish_reason":null}]}\n\n')
        for name, begin in (("at once", b""), ("behind the role", role),
                            ("behind a comment", chunk(b": hi\n\n"))):
            for end in (LAST_CHUNK, chunk(DONE) + LAST_CHUNK):
                with self.subTest(name):
                    _, good, gateway = self.failing_first(
                        lambda peer, _, begin=begin, end=end: peer.send(
                            sse_head(x_mark="bad") + begin + problem + end))
                    told = self.assert_served(self.ask(gateway, stream=True))
                    self.assertEqual(content_of(told.body), "hello")
                    self.assertNotIn(b"no slot", told.body)
                    self.assertIsNone(told.answer.field("x-mark"))
                    self.assertEqual(told.answer.field("x-sluice-backend"), good.url)

    def test_row_070_not_once_the_stream_has_spoken(self):
        problem = chunk(b'data: {"error":{"message":"no slot","type":"server_error","code":500}}'
                        b"\n\n")
        _, good, gateway = self.failing_first(
            lambda peer, _: peer.send(sse_head() + chunk(delta("par")) + problem + LAST_CHUNK))
        told = self.ask(gateway, stream=True)
        self.assertFalse(told.served())
        self.assertEqual(content_of(told.body), "par")
        self.assertIn("no slot", json.loads(events(told.body)[-1])["error"]["message"])
        self.assertEqual(good.requests, [])

    def test_row_081_the_last_refusal_is_the_answer(self):
        first, second = self.scripted(refuse(500)), self.scripted(refuse(503, Retry_After="7"))
        gateway = self.gateway(self.models([backend(first), backend(second, priority=1)]))
        told = self.ask(gateway)
        self.assertEqual((told.status, told.answer.json["error"]["message"]), (503, "says 503"))
        self.assertEqual(told.answer.field("retry-after"), "7")
        self.assertEqual(told.answer.field("x-should-retry"), "true")
        self.assertEqual(self.line_of(gateway, told)["hops"],
                         f"{first.url} doubtful, {second.url} transient")

    def test_a_failure_that_was_tried_elsewhere_is_not_to_be_repeated(self):
        for servers, advice in ((1, None), (2, "false")):
            gateway = self.gateway(self.models([self.scripted(refuse(500))
                                                for _ in range(servers)]))
            for stream in (False, True):
                told = self.ask(gateway, stream=stream)
                self.assertEqual((told.status, told.answer.field("x-should-retry")),
                                 (500, advice))


class Chains(Case):

    def test_row_089_each_cause_has_its_chain(self):
        cases = {"context_length": refuse(400, CONTEXT), "policy_block": refuse(400, BLOCKED),
                 "rate_limit": refuse(429), "overload": refuse(529)}
        for name, script in cases.items():
            for stream in (False, True):
                with self.subTest(name, stream=stream):
                    bad, spare = self.pair(script)
                    wrong = self.scripted(answer_chat)
                    models = self.models([bad], spare, {name: ["spare"], "any": ["wrong"]})
                    models["wrong"] = {"backends": [backend(wrong)]}
                    gateway = self.gateway(models)
                    told = self.assert_served(self.ask(gateway, stream=stream))
                    self.assertEqual((len(bad.requests), len(spare.requests), len(wrong.requests)),
                                     (1, 1, 0))
                    self.assertEqual(bad.requests[0].json["model"], "m")
                    self.assertEqual(spare.requests[0].json["model"], "spare-model")
                    self.assertEqual(told.answer.field("x-sluice-backend"), spare.url)
                    line = self.line_of(gateway, told)
                    self.assertEqual((line["model"], line["backend"]), ("spare", spare.url))

    def test_any_is_for_causes_without_a_chain(self):
        for script in (refuse(500), refuse(429), refuse(529), refuse(400, CONTEXT),
                       refuse(400, BLOCKED)):
            bad, spare = self.pair(script)
            gateway = self.gateway(self.models([bad], spare, {"any": ["spare"]}))
            self.assert_served(self.ask(gateway))
            self.assertEqual(len(spare.requests), 1)

    def test_row_089_a_chain_is_followed_in_order_past_those_that_fail(self):
        bad, worse, spare = (self.scripted(refuse(500)), self.scripted(refuse(503)),
                             self.scripted(answer_chat))
        models = self.models([bad], spare, ["worse", "spare"])
        models["worse"] = {"backends": [backend(worse)], "health": BLIND}
        gateway = self.gateway(models)
        told = self.assert_served(self.ask(gateway))
        self.assertEqual(self.line_of(gateway, told)["hops"],
                         f"{bad.url} doubtful, {worse.url} transient")

    def test_row_089_what_is_the_first_ones_alone_is_not_told_to_the_other(self):
        bad, spare = self.pair(refuse(500))
        models = self.models([backend(bad, key="env:SLUICE_TEST_KEY", model="its-name")], spare,
                             ["spare"])
        gateway = self.gateway(models, env={"SLUICE_TEST_KEY": "ours"})
        self.assert_served(self.ask(gateway, fields=["x-kept: yes"], temperature=0.5))
        asked, again = bad.requests[0], spare.requests[0]
        self.assertEqual((asked.json["model"], asked.field("authorization")),
                         ("its-name", "Bearer ours"))
        self.assertEqual((again.json["model"], again.field("authorization")),
                         ("spare-model", None))
        self.assertEqual({**asked.json, "model": ""}, {**again.json, "model": ""})
        self.assertEqual(again.field("x-kept"), "yes")

    def test_the_pool_comes_before_the_chain(self):
        bad, good = self.pair(refuse(500))
        spare = self.scripted(answer_chat)
        gateway = self.gateway(self.models([backend(bad), backend(good, priority=1)], spare,
                                           ["spare"]))
        self.assert_served(self.ask(gateway))
        self.assertEqual((len(good.requests), len(spare.requests)), (1, 0))

    def test_row_063_a_dead_pool_falls_back(self):
        holder, url = address_that_refuses()
        self.addCleanup(holder.close)
        spare = self.scripted(answer_chat)
        gateway = self.gateway(self.models([backend(url)], spare, ["spare"]))
        for stream in (False, True):
            self.assert_served(self.ask(gateway, stream=stream))

    def test_a_prompt_too_long_goes_to_a_larger_context_only(self):
        small, same, unknown = (self.scripted(refuse(400, CONTEXT)) for _ in range(3))
        large = self.scripted(answer_chat)
        gateway = self.gateway(self.models([
            backend(small, context=4096), backend(same, context=4096, priority=1),
            backend(unknown, priority=2), backend(large, context=32768, priority=3)]))
        told = self.assert_served(self.ask(gateway))
        self.assertEqual([len(one.requests) for one in (small, same, unknown, large)],
                         [1, 0, 0, 1])
        self.assertEqual(self.line_of(gateway, told)["hops"], f"{small.url} context_length")

    def test_without_anything_larger_the_refusal_is_relayed(self):
        small, other = self.scripted(refuse(400, CONTEXT)), self.scripted(answer_chat)
        gateway = self.gateway(self.models([backend(small, context=4096),
                                            backend(other, context=4096, priority=1)]))
        told = self.ask(gateway)
        self.assertEqual((told.status, told.answer.json), (400, CONTEXT))
        self.assertEqual(other.requests, [])

    def test_a_blocked_prompt_is_not_tried_on_another_backend_of_the_pool(self):
        bad, other = self.pair(refuse(400, BLOCKED))
        gateway = self.gateway(self.models([backend(bad), backend(other, priority=1)]))
        told = self.ask(gateway)
        self.assertEqual((told.status, told.answer.json), (400, BLOCKED))
        self.assertEqual(other.requests, [])

    def test_the_sims_own_words_are_understood(self):
        for name, chain in (("context", "context_length"), ("policy", "policy_block"),
                            ("429", "rate_limit"), ("529", "overload"), ("500", "any")):
            # Of the shapes vLLM's has no room for the sign of a content filter.
            for api in ("llama", "openai") if name == "policy" else ("llama", "openai", "vllm"):
                with self.subTest(name, api=api):
                    bad = self.sim("--fail", name, "--api", api)
                    spare = self.sim("--ttft", "0")
                    gateway = self.gateway(self.models([bad], spare, {chain: ["spare"]}))
                    told = self.assert_served(self.ask(gateway))
                    self.assertEqual(told.answer.field("x-sluice-backend"), spare.url)


class ClientErrors(Case):

    def test_row_082_they_are_relayed_and_never_counted(self):
        bad, other = self.pair(None)
        spare = self.scripted(answer_chat)
        gateway = self.gateway(self.models(
            [backend(bad), backend(other, priority=1)], spare, ["spare"],
            breaker={"failures": 1, "error_rate": 0.01, "window_requests_min": 1}))
        for status in (400, 404, 405, 409, 413, 415, 422, 501):
            body = {"error": {"message": f"no {status}", "type": "x", "param": None, "code": None}}
            bad.script = refuse(status, body)
            for stream in (False, True):
                told = self.ask(gateway, stream=stream)
                self.assertEqual((told.status, told.answer.json), (status, body))
                self.assertEqual(told.answer.field("x-sluice-backend"), bad.url)
        self.assertEqual((other.requests, spare.requests), ([], []))
        self.assertEqual(self.happened(gateway, "breaker"), [])

    def test_row_082_a_clients_own_wrong_key_is_its_own(self):
        bad, other = self.pair(refuse(401))
        gateway = self.gateway(self.models([backend(bad), backend(other, priority=1)],
                                           breaker={"failures": 1}))
        for _ in range(3):
            told = self.ask(gateway, fields=["Authorization: Bearer mine"])
            self.assertEqual(told.status, 401)
        self.assertEqual(bad.requests[0].field("authorization"), "Bearer mine")
        self.assertEqual(other.requests, [])
        self.assertEqual(self.happened(gateway, "breaker"), [])


class Breakers(Case):

    def states(self, gateway):
        return [line["state"] for line in self.happened(gateway, "breaker")]

    def test_row_087_our_own_key_refused_opens_it_hard(self):
        bad, other = self.pair(refuse(401))
        gateway = self.gateway(
            self.models([backend(bad, key="env:SLUICE_TEST_KEY"), backend(other, priority=1)],
                        breaker={"failures": 3, "open": "10ms", "hard_open": "1h"}),
            env={"SLUICE_TEST_KEY": "ours"})
        for _ in range(5):
            told = self.assert_served(self.ask(gateway, fields=["Authorization: Bearer mine"]))
        self.assertEqual([one.field("authorization") for one in bad.requests], ["Bearer ours"])
        self.assertEqual(other.requests[0].field("authorization"), "Bearer mine")
        self.assertEqual(self.states(gateway), ["open"])
        self.assertIsNone(told.answer.field("x-sluice-retries"))

    def test_row_087_it_opens_after_three_failures_in_a_row(self):
        bad = self.scripted(None)
        gateway = self.gateway(self.models([bad], breaker={"open": "1h", "open_max": "1h"}))
        for script in (hang_up, hang_up, answer_chat, hang_up, hang_up):
            bad.script = script
            self.assertIn(self.ask(gateway).status, (200, 502))
        self.assertEqual(self.states(gateway), [])
        self.assertEqual([self.ask(gateway).status for _ in range(4)], [502, 503, 503, 503])
        # One of them twice: the connection that was kept alive broke.
        self.assertEqual(len(bad.requests), 7)
        self.assertEqual(self.states(gateway), ["open"])

    def test_row_087_open_and_alone_the_client_is_told_when_to_come_again(self):
        bad = self.scripted(hang_up)
        gateway = self.gateway(self.models([bad], breaker={"open": "20s"}))
        for _ in range(3):
            self.assertEqual(self.ask(gateway).status, 502)
        told = self.ask(gateway)
        self.assertEqual((told.status, len(bad.requests)), (503, 3))
        self.assertEqual(told.answer.field("x-should-retry"), "true")
        # 20 s, a fifth more or less, of which some have passed.
        self.assertGreater(int(told.answer.field("retry-after-ms")), 5_000)
        self.assertLessEqual(int(told.answer.field("retry-after-ms")), 24_000)

    def test_row_081_retry_after_makes_it_longer(self):
        bad, other = self.pair(refuse(503, Retry_After="60"))
        gateway = self.gateway(self.models([backend(bad), backend(other, priority=1)],
                                           breaker={"open": "10ms"}))
        for _ in range(6):
            self.assert_served(self.ask(gateway))
        self.assertEqual(len(bad.requests), 3)
        opened = self.happened(gateway, "breaker", state="open")
        self.assertEqual(len(opened), 1)

    def test_row_087_one_probe_at_a_time_and_it_closes(self):
        bad, other = self.pair(refuse(503))
        gateway = self.gateway(self.models([backend(bad), backend(other, priority=1)],
                                           breaker={"open": "100ms"}))
        for _ in range(3):
            self.assert_served(self.ask(gateway))
        self.assertEqual(self.states(gateway), ["open"])
        hold = threading.Event()
        bad.forget(lambda peer, seen: (hold.wait(30), answer_chat(peer, seen)))
        probe = []
        wait_until(lambda: self.ask_until_probed(gateway, bad, probe), "a probe is under way")
        for _ in range(2):  # while it is under way there is no other
            told = together(20, lambda _: self.ask(gateway))
            for one in told:
                self.assertEqual(self.assert_served(one).answer.field("x-sluice-backend"),
                                 other.url)
        self.assertEqual(len(bad.requests), 1)
        self.assertEqual(self.states(gateway), ["open", "half-open"])
        hold.set()
        probe[0].join()
        wait_until(lambda: self.states(gateway) == ["open", "half-open", "closed"], "it closes")
        told = self.assert_served(self.ask(gateway))
        self.assertEqual(told.answer.field("x-sluice-backend"), bad.url)

    def ask_until_probed(self, gateway, bad, probe):
        if bad.requests:
            return True
        if not probe or not probe[-1].is_alive():
            thread = threading.Thread(target=lambda: self.ask(gateway))
            thread.start()
            probe[:] = [thread]
        return False

    def test_a_probe_that_fails_falls_over_and_opens_it_again(self):
        bad, other = self.pair(answer_chat)
        gateway = self.gateway(self.models([backend(bad), backend(other, priority=1)],
                                           breaker={"open": "50ms"}))
        for _ in range(30):  # which earns some retries
            self.assert_served(self.ask(gateway))
        bad.script = refuse(503)
        wait_until(lambda: self.assert_served(self.ask(gateway)) and
                   self.states(gateway).count("half-open") >= 2, "it was probed twice")
        self.assertEqual(self.states(gateway)[:4], ["open", "half-open", "open", "half-open"])

    def test_row_088_a_backend_that_flaps_is_left_alone_longer_each_time(self):
        bad, other = self.pair(answer_chat)
        gateway = self.gateway(self.models([backend(bad), backend(other, priority=1)],
                                           breaker={"open": "50ms", "open_max": "1h"}))
        for _ in range(50):  # which earns some retries
            self.assert_served(self.ask(gateway))
        bad.forget(refuse(503))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            together(8, lambda _: self.assert_served(self.ask(gateway)))
        # At first three (and what was under way), then a probe each 50, 100, 200, 400, 800 ms, a
        # fifth more or less.
        self.assertLessEqual(len(bad.requests), 8 + 6)
        self.assertGreaterEqual(self.states(gateway).count("open"), 3)

    def test_row_087_a_breaker_is_of_one_model(self):
        both = self.scripted(lambda peer, seen: peer.send(chat_answer())
                             if seen.json["model"] == "n" else peer.reset())
        gateway = self.gateway({name: {"backends": [backend(both)], "health": BLIND,
                                       "breaker": {"open": "1h", "open_max": "1h"}}
                                for name in ("m", "n")})
        for _ in range(5):
            self.assertIn(self.ask(gateway).status, (502, 503))
            self.assert_served(self.ask(gateway, model="n"))
        self.assertEqual([line["model"] for line in self.happened(gateway, "breaker")], ["m"])

    def test_a_deadline_of_ours_counts_and_a_stream_cut_off_too(self):
        def cut(peer, _):
            peer.send(sse_head() + chunk(delta("hi")))
            peer.close()
        bad, other = self.pair(cut)
        gateway = self.gateway(self.models([backend(bad), backend(other, priority=1)],
                                           breaker={"open": "1h", "open_max": "1h"}))
        for _ in range(3):
            self.assertFalse(self.ask(gateway, stream=True).served())
        self.assertEqual(self.states(gateway), ["open"])
        told = self.assert_served(self.ask(gateway, stream=True))
        self.assertEqual(told.answer.field("x-sluice-backend"), other.url)

    def test_a_stream_without_its_finish_may_be_the_requests_own(self):
        bad, _ = self.pair(lambda peer, _: peer.send(
            sse_head() + chunk(delta("hi")) + LAST_CHUNK))
        gateway = self.gateway(self.models([bad], breaker={"open": "1h", "open_max": "1h"}))
        for _ in range(3):
            told = self.ask(gateway, stream=True)
            self.assertNotIn(b"[DONE]", told.body)
            self.assertIn("error", json.loads(events(told.body)[-1]))
        self.assertEqual(self.states(gateway), [])


if __name__ == "__main__":
    main()
