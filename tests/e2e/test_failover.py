#!/usr/bin/env python3
"""Servers that die, hang or load: what a pool's clients see of it, and what is logged."""

import signal
import threading
import time

from harness import chat_request, main
from pool_case import PoolCase, Told, backend, together
from wire import wait_until

CLIENTS = 64
# A limit of 300 ms has fired by then, on any machine; it is far from the next one's default.
SOON = 10.0
SHORT = 0.3
QUICK = {"interval": "100ms", "timeout": "200ms"}
# Nothing but traffic finds out how a backend is.
BLIND = {"probe": "off"}


class Killed(PoolCase):

    def setUp(self):
        self.sims = [self.sim("--ttft", "100ms", "--itl", "5ms", "--tokens", "20")
                     for _ in range(2)]
        self.gate = self.gateway({"m": {
            "balance": "round-robin", "backends": [backend(sim) for sim in self.sims]}})

    def load(self, until):
        """Each of the clients asks in turn, half of them for streams, until told to stop."""
        def client(index):
            told = []
            while not until.is_set():
                told.append(self.ask(self.gate, stream=index % 2 == 0))
            return told
        return [told for all_of_one in together(CLIENTS, client) for told in all_of_one]

    def test_row_092_kill_9_of_one_of_two_under_load(self):
        done = threading.Event()
        found = []
        loader = threading.Thread(target=lambda: found.extend(self.load(done)))
        loader.start()
        dead = self.sims[0]
        try:
            wait_until(lambda: all(sim.stats()["active"] >= CLIENTS // 4 for sim in self.sims),
                       "both are busy")
            killed_at = time.monotonic()
            dead.kill()
            self.wait_event(self.gate, "health", backend=dead.url, state="down")
            before = self.sims[1].posts()
            wait_until(lambda: self.sims[1].posts() > before + 2 * CLIENTS, "the other serves all")
            dead.start()
            self.wait_event(self.gate, "health", backend=dead.url, state="up")
            wait_until(lambda: dead.posts() > CLIENTS // 2, "it has its share again")
        finally:
            done.set()
            loader.join()
        failed = [told for told in found if not told.served()]
        untouched = [told for told in failed if not told.touched()]
        self.assertEqual(untouched, [], "requests failed that had not received a byte")
        # Those that had begun were cut off honestly.
        for told in failed:
            self.assertFalse(told.seems_whole())
            self.assertIn("message", self.error_of(told))
        rerouted = [told.first_byte - killed_at for told in found
                    if told.served() and told.streamed and told.began < killed_at
                    and told.answer.field("x-sluice-retries")]
        self.assertGreater(len(rerouted), 0)
        first, last = min(rerouted) * 1000, max(rerouted) * 1000
        print(f"     {len(found)} requests, {len(failed)} cut off in their stream, {len(rerouted)} "
              f"streams moved: first bytes {first:.0f} to {last:.0f} ms behind the kill, of which "
              "100 ms are the server's", flush=True)
        states = [line["state"] for line in self.happened(self.gate, "health", backend=dead.url)]
        self.assertEqual(states, ["down", "up"])
        self.assertEqual(self.happened(self.gate, "health", backend=self.sims[1].url), [])
        breaker = [line["state"] for line in self.happened(self.gate, "breaker")]
        self.assertEqual(breaker, ["open", "half-open", "closed"])

    def test_R3_equal_requests_beside_each_other_see_one_death(self):
        """The death that those met that are cut off is no second one to those that wait."""
        slow = self.sim("--ttft", "1s", "--itl", "50ms", "--tokens", "200")
        spare = self.sim("--ttft", "0ms", "--itl", "0ms", "--tokens", "5")
        gate = self.gateway({"m": {"backends": [backend(slow)], "fallback": ["spare"]},
                             "spare": {"backends": [backend(spare)]}})
        request = chat_request(gate.host, stream=True)
        found, asked = [Told() for _ in range(16)], []

        def begin(some):
            before = slow.stats()["active"]
            for told in some:
                asked.append(threading.Thread(target=told.ask, args=(gate.address, request)))
                asked[-1].start()
            wait_until(lambda: slow.stats()["active"] == before + len(some), "it has them all")
        begin(found[:8])
        wait_until(lambda: all(told.touched() for told in found[:8]), "they have begun")
        begin(found[8:])
        slow.kill()
        for each in asked:
            each.join()
        self.assertEqual([told for told in found if not told.served() and not told.touched()], [])
        self.assertEqual(self.happened(gate, "query_of_death"), [])

    def test_row_092_every_request_in_flight_at_the_dead_one_is_logged_with_its_hop(self):
        def once(index):
            return self.ask(self.gate, stream=index % 2 == 0,
                            fields=["x-sim: ttft=1s,itl=0,tokens=3"])
        told = []
        asking = threading.Thread(target=lambda: told.extend(together(20, once)))
        asking.start()
        wait_until(lambda: sum(sim.stats()["active"] for sim in self.sims) == 20, "all are there")
        self.sims[0].kill()
        asking.join()
        for one in told:
            self.assert_served(one)
        moved = [one for one in told if one.answer.field("x-sluice-retries")]
        self.assertEqual(len(moved), 10)
        for one in moved:
            line = self.line_of(self.gate, one)
            self.assertEqual(line["hops"], f"{self.sims[0].url} transient")
            self.assertEqual((line["backend"], line["retries"]), (self.sims[1].url, 1))
            self.assertEqual(one.answer.field("x-sluice-backend"), self.sims[1].url)

    def test_with_none_left_the_answer_says_so_and_when_to_come_again(self):
        for sim in self.sims:
            sim.kill()
        for stream in (False, True):
            told = self.ask(self.gate, stream=stream)
            self.assertIn(told.status, (502, 503), told)
            # Nobody knows when they come back, but for a breaker that opens again.
            self.assertEqual(told.answer.field("x-should-retry") == "true",
                             told.answer.field("retry-after") is not None)
            if told.answer.field("x-should-retry") == "true":
                self.assertGreater(int(told.answer.field("retry-after-ms")), 0)


class Stopped(PoolCase):

    def setUp(self):
        self.frozen = self.sim("--ttft", "20ms", "--itl", "20ms", "--tokens", "4")
        self.well = self.sim("--ttft", "20ms", "--itl", "1ms")

    def serve(self, *sims, health=BLIND, **limits):
        return self.gateway({"m": {
            "backends": [backend(sim, priority=i) for i, sim in enumerate(sims)],
            "timeouts": {"first_byte": "300ms", "gap": "300ms", **limits},
            "health": health}})

    def freeze(self):
        self.frozen.signal(signal.SIGSTOP)
        self.addCleanup(self.frozen.signal, signal.SIGCONT)

    def assert_fired(self, told, name, seconds):
        self.assertIn(f"({name})", self.error_of(told)["message"])
        self.assertGreaterEqual(seconds, SHORT * 0.95)
        self.assertLess(seconds, SOON)

    def test_row_083_first_byte_fires_at_its_value(self):
        gateway = self.serve(self.frozen)
        self.freeze()
        for stream in (False, True):
            told = self.ask(gateway, stream=stream)
            self.assertEqual(told.status, 504, told)
            self.assert_fired(told, "first_byte", told.ended - told.began)
            self.assertEqual(self.line_of(gateway, told)["end"], "timeout")

    def test_row_084_gap_fires_at_its_value(self):
        gateway = self.serve(self.frozen)
        stopped_at = []

        def freeze_when_it_speaks():
            wait_until(lambda: self.frozen.stats()["active"] == 1, "it works")
            time.sleep(0.2)
            self.freeze()
            stopped_at.append(time.monotonic())
        freezer = threading.Thread(target=freeze_when_it_speaks)
        freezer.start()
        told = self.ask(gateway, stream=True, fields=["x-sim: tokens=10000"])
        freezer.join()
        self.assertTrue(told.touched(), told)
        self.assert_fired(told, "gap", told.ended - stopped_at[0] + 0.05)
        self.assertFalse(told.seems_whole())
        self.assertEqual(self.line_of(gateway, told)["end"], "timeout")

    def test_row_083_traffic_goes_elsewhere_and_comes_back(self):
        gateway = self.serve(self.frozen, self.well, health=QUICK)
        self.assertEqual(self.ask(gateway).answer.field("x-sluice-backend"), self.frozen.url)
        self.freeze()
        for stream in (True, False):
            self.assert_served(self.ask(gateway, stream=stream))
        self.wait_event(gateway, "health", backend=self.frozen.url, state="down")
        began = time.monotonic()
        for _ in range(5):
            told = self.assert_served(self.ask(gateway, stream=True))
            self.assertEqual(told.answer.field("x-sluice-backend"), self.well.url)
            self.assertIsNone(told.answer.field("x-sluice-retries"))
        self.assertLess(time.monotonic() - began, SOON)
        self.frozen.signal(signal.SIGCONT)
        self.wait_event(gateway, "health", backend=self.frozen.url, state="up")
        wait_until(lambda: self.ask(gateway).answer.field("x-sluice-backend") == self.frozen.url,
                   "the first one serves again")

    def test_row_083_a_timeout_before_the_first_byte_moves_on(self):
        gateway = self.serve(self.frozen, self.well)
        self.freeze()
        for stream in (True, False):
            told = self.assert_served(self.ask(gateway, stream=stream))
            self.assertGreaterEqual(told.ended - told.began, SHORT * 0.95)
            self.assertEqual(self.line_of(gateway, told)["hops"], f"{self.frozen.url} transient")

    def test_row_085_a_runaway_stream_ends_at_the_total(self):
        gateway = self.serve(self.frozen, total="600ms")
        told = self.ask(gateway, stream=True, fields=["x-sim: tokens=1000000"])
        self.assertTrue(told.touched(), told)
        self.assertIn("(total)", self.error_of(told)["message"])
        self.assertGreaterEqual(told.ended - told.began, 0.55)
        self.assertLess(told.ended - told.began, SOON)
        self.assertFalse(told.seems_whole())
        wait_until(lambda: self.frozen.stats()["active"] == 0, "the server is relieved of it")
        self.assertEqual(self.happened(gateway, "breaker"), [])

    def test_the_clients_own_deadline_says_nothing_about_the_backend(self):
        gateway = self.serve(self.frozen, first_byte="1m", gap="1m")
        self.freeze()
        for header in ("x-request-timeout", "x-stainless-read-timeout"):
            for _ in range(4):
                told = self.ask(gateway, fields=[f"{header}: 0.1"])
                self.assertEqual(told.status, 504, told)
                self.assertIn(header, self.error_of(told)["message"])
        self.assertEqual(self.happened(gateway, "breaker"), [])


class Loading(PoolCase):

    def test_row_091_a_request_waits_until_the_model_is_loaded(self):
        for stream in (False, True):
            sim = self.sim("--load-time", "1.5s", "--ttft", "0")
            gateway = self.gateway({"m": {"backends": [backend(sim)],
                                          "queue": {"notice_first": "100ms",
                                                    "notice_every": "100ms"}}})
            told = self.assert_served(self.ask(gateway, stream=stream))
            self.assertEqual(b": loading" in told.body, stream)
            self.assertEqual(sim.stats()["failed"], 0)
            self.assertEqual([line["state"] for line in self.happened(gateway, "health")],
                             ["loading", "up"])
            self.assertEqual(self.happened(gateway, "breaker"), [])

    def test_row_091_another_that_is_ready_serves_meanwhile(self):
        loads = self.sim("--load-time", "60s")
        ready = self.sim("--ttft", "0")
        gateway = self.gateway({"m": {"backends": [backend(loads), backend(ready, priority=1)]}})
        for _ in range(3):
            told = self.assert_served(self.ask(gateway))
            self.assertEqual(told.answer.field("x-sluice-backend"), ready.url)

    def test_row_091_the_wait_has_its_own_limit(self):
        sim = self.sim("--load-time", "60s")
        gateway = self.gateway({"m": {"backends": [backend(sim)], "timeouts": {"load": "300ms"}}})
        told = self.ask(gateway)
        self.assertEqual(told.status, 503)
        self.assertIn("(load)", self.error_of(told)["message"])
        self.assertLess(told.ended - told.began, SOON)
        self.assertEqual(told.answer.field("x-should-retry"), "true")
        self.assertGreater(int(told.answer.field("retry-after-ms")), 0)


class Engine(PoolCase):
    """Who is asked for /slots: a server in use, for that keeps the model of an idle one awake."""

    def quiet(self, sim):
        """Asked four times more, and not for /slots."""
        until = sim.stats()["requests"] + 4
        while True:
            stats = sim.stats()
            if stats["last_request"] == "GET /slots":
                return False
            if stats["requests"] >= until:
                return True
            time.sleep(0.005)

    def test_it_is_asked_while_any_shard_has_a_request_there(self):
        sim = self.sim("--itl", "20ms", "--tokens", "10000")
        gate = self.gateway({"m": {"backends": [backend(sim)],
                                   "health": {"interval": "50ms"}}}, shards=3)
        for _ in range(8):  # connections, each on one shard or another
            wait_until(lambda: self.quiet(sim), "an idle engine is left alone")
            with gate.client() as client:
                client.send(chat_request(gate.host, stream=True))
                client.read().read_until(b"content")
                for _ in range(2):
                    seen = sim.stats()["requests"]
                    wait_until(lambda: sim.stats()["requests"] > seen + 6 and
                               sim.stats()["last_request"] == "GET /slots", "it is asked", 10)
            wait_until(lambda: sim.stats()["active"] == 0, "the client has left")


class Storm(PoolCase):
    """All backends fail, and 200 clients try again as the SDKs do."""

    clients = 200
    tries = 3

    def sdk(self, gateway):
        """What one client sends: again on what the SDKs try again, unless it is told not to."""
        sent = 0
        for count in range(self.tries):
            told = self.ask(gateway, fields=[f"x-stainless-retry-count: {count}"], stream=True)
            sent += 1
            if told.served() or told.answer is None:
                return sent
            advice = told.answer.field("x-should-retry")
            again = advice == "true" or told.status in (408, 409, 429) or told.status >= 500
            if advice == "false" or not again:
                return sent
        return sent

    def storm(self, failure, breaker):
        sims = [self.sim("--fail", failure, "--fail-after", "0") for _ in range(3)]
        gateway = self.gateway({"m": {"backends": [backend(sim) for sim in sims],
                                      "breaker": breaker, "health": BLIND}})
        began = time.monotonic()
        sent = together(self.clients, lambda _: self.sdk(gateway))
        seconds = time.monotonic() - began
        attempts = sum(sim.posts() for sim in sims)
        offered = sum(sent)
        print(f"     {failure}: {offered} requests offered, {attempts} attempts", flush=True)
        # See include/sluice/policy/retry_budget.h.
        self.assertLessEqual(attempts, 1.2 * offered + 3 + 3 * seconds / 10)
        return offered, attempts

    def test_row_086_attempts_stay_within_the_budget_where_no_breaker_helps(self):
        never = {"failures": 0, "error_rate": 0}
        for failure in ("500", "429", "reset"):
            offered, attempts = self.storm(failure, never)
            self.assertGreaterEqual(attempts, offered)

    def test_row_086_breakers_end_it(self):
        offered, attempts = self.storm("reset", {"open": "5m"})
        self.assertLess(attempts, offered / 2)


if __name__ == "__main__":
    main()
