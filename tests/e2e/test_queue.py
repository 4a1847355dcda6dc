#!/usr/bin/env python3
"""The line for a backend's slots: who is served when, what those are told who wait, and that the
backend never has more than it has slots, with one shard and with several.

The sim queues by itself what exceeds its slots, and says in `waiting_max` how much that ever was.
"""

import re
import threading
import time

from backend import answer_chat, head, json_answer
from harness import chat_request, main
from pool_case import PoolCase, Told, admins, backend, consumers, key_field, together
from test_relay import metrics
from wire import wait_until

SLOTS = 4
REQUESTS = 100
MINE, THEIRS = "127.0.0.1", "127.0.0.2"
BLIND = {"probe": "off"}


class Gate:
    """A script that answers when it is told to, and knows who is in."""

    def __init__(self):
        self.lock = threading.Condition()
        self.inside = 0
        self.inside_max = 0
        self.passes = 0
        self.order = []  # the names of the requests, as they came in

    def __call__(self, peer, request):
        with self.lock:
            self.order.append(request.json["messages"][0]["content"])
            self.inside += 1
            self.inside_max = max(self.inside_max, self.inside)
            self.lock.wait_for(lambda: self.passes > 0, 60)
            self.passes -= 1
            self.inside -= 1
        answer_chat(peer, request)

    def let(self, count):
        with self.lock:
            self.passes += count
            self.lock.notify_all()


class Line(PoolCase):
    """Asks one after the other, in threads, so that the order of arrival is known."""

    def begin(self, slots=SLOTS, shards=1, models=("m",), **queue):
        self.gate = Gate()
        self.server = self.scripted(self.gate)
        self.gateway_ = self.gateway({name: {
            "backends": [backend(self.server, slots=slots, model="m")], "health": BLIND,
            "queue": {"notice_first": "0", **queue}} for name in models}, shards=shards)
        self.asking = []
        self.addCleanup(self.gate.let, 10_000)

    def begin_asking(self, name, source=None, **more):
        told = Told()
        data = chat_request(self.gateway_.host, content=name, **more)
        thread = threading.Thread(target=told.ask, args=(self.gateway_.address, data),
                                  kwargs={"source_address": source}, daemon=True)
        thread.start()
        told.thread = thread
        self.asking.append(told)
        return told

    def arrive(self, name, source=None, **more):
        """The request is in the gateway, served or in line, when this returns."""
        before = self.in_flight()
        told = self.begin_asking(name, source, **more)
        wait_until(lambda: self.in_flight() == before + 1, "it has arrived")
        return told

    def in_flight(self):
        return metrics(self.gateway_)["sluice_requests_in_flight"]

    def finish_all(self):
        self.gate.let(len(self.asking))
        for told in self.asking:
            told.thread.join(60)
            self.assertFalse(told.thread.is_alive())


class Order(Line):

    def test_by_arrival(self):
        self.begin()
        names = [f"{i:02}" for i in range(30)]
        for name in names:
            self.arrive(name)
        self.assertEqual(sorted(self.gate.order), names[:SLOTS])
        for served in range(SLOTS, 30):  # one leaves, one comes
            self.gate.let(1)
            wait_until(lambda served=served: len(self.gate.order) > served, "the next is served")
        self.assertEqual(self.gate.order[SLOTS:], names[SLOTS:])
        self.finish_all()
        for told in self.asking:
            self.assert_served(told)
        self.assertEqual(self.gate.inside_max, SLOTS)

    def test_two_clients_take_turns(self):
        self.begin(slots=1)
        self.arrive("first")
        for i in range(20):
            self.arrive(f"mine {i:02}", MINE)
        for i in range(20):
            self.arrive(f"theirs {i:02}", THEIRS)
        self.finish_all()
        for told in self.asking:
            self.assert_served(told)
        order = self.gate.order[1:]
        for count in range(1, 41):
            mine = sum(name.startswith("mine") for name in order[:count])
            self.assertLessEqual(abs(mine - (count - mine)), 1, order)
        for who in ("mine", "theirs"):
            own = [name for name in order if name.startswith(who)]
            self.assertEqual(own, sorted(own))

    def test_a_priority_header_goes_first(self):
        self.begin(slots=1, priority_header="x-priority")
        self.arrive("first")
        # 8 is also that of requests that say nothing, or nothing of use.
        for priority in ("15", "9", "8", "0", "", "16", "-1", "high", "9", "0"):
            self.arrive(priority, fields=[f"x-priority: {priority}"])
        self.arrive("none")
        self.finish_all()
        self.assertEqual(self.gate.order[1:], ["0", "0", "8", "", "16", "-1", "high", "none", "9",
                                               "9", "15"])

    def test_two_models_on_one_server_take_turns(self):
        self.begin(slots=1, models=("m", "n"))
        self.arrive("first")
        for i in range(5):
            self.arrive(f"m {i}")
        for i in range(3):
            self.arrive(f"n {i}", model="n")
        self.finish_all()
        for told in self.asking:
            self.assert_served(told)
        self.assertEqual(self.gate.order[1:], ["m 0", "n 0", "m 1", "n 1", "m 2", "n 2", "m 3",
                                               "m 4"])
        self.assertEqual(self.gate.inside_max, 1)

    def test_a_model_that_is_always_asked_for_starves_no_other_one(self):
        sim = self.sim("--slots", "1", "--ttft", "20ms", "--itl", "0", "--tokens", "3")
        model = {"backends": [backend(sim)], "timeouts": {"queue": "2s"}}
        for shards in (1, 3):
            gateway = self.gateway({"busy": model, "rare": model}, shards=shards)
            done = threading.Event()

            def client(index, gateway=gateway, done=done):
                if index == 0:
                    try:
                        return [self.ask(gateway, model="rare") for _ in range(10)]
                    finally:
                        done.set()
                told = []
                while not done.is_set():
                    told.append(self.ask(gateway, model="busy"))
                return told
            with self.subTest(shards=shards):
                for told in together(4, client):
                    for one in told:
                        self.assert_served(one)


class Constrained(Line):
    """A prompt that only the larger one of two servers has the context for."""

    def test_it_holds_up_nobody_and_has_the_first_pick(self):
        too_long = json_answer({"error": {"message": "Too long.", "code": "context_length_exceeded",
                                          "type": "invalid_request_error"}}, 400, "Bad Request")
        small, large = Gate(), Gate()

        def small_script(peer, request):
            if request.json["messages"][0]["content"].startswith("long"):
                peer.send(too_long)
            else:
                small(peer, request)
        for gate in (small, large):
            self.addCleanup(gate.let, 10_000)
        self.asking = []
        self.gateway_ = self.gateway({"m": {"backends": [
            backend(self.scripted(small_script), slots=1, context=4096),
            backend(self.scripted(large), slots=1, context=32768, priority=1)],
            "health": BLIND, "queue": {"notice_first": "0"}, "timeouts": {"queue": "10s"}}})
        self.arrive("long 0")
        wait_until(lambda: large.order == ["long 0"], "the larger one is busy")
        self.arrive("long 1")
        wait_until(lambda: self.queued() == 1, "the second one waits for it")
        self.arrive("short 0")
        wait_until(lambda: small.order == ["short 0"], "the smaller one is idle, and gets it")
        self.assertEqual(self.queued(), 1)
        self.arrive("short 1")
        wait_until(lambda: self.queued() == 2, "both are busy")
        large.let(1)
        wait_until(lambda: len(large.order) == 2, "the next one is served")
        self.assertEqual((small.order, large.order), (["short 0"], ["long 0", "long 1"]))
        small.let(2)
        large.let(2)
        for told in self.asking:
            told.thread.join(60)
            self.assert_served(told)
        self.assertEqual(sorted(small.order + large.order),
                         ["long 0", "long 1", "short 0", "short 1"])

    def queued(self):
        return metrics(self.gateway_)["sluice_requests_waiting"]


class Bounds(Line):

    def test_beyond_its_length_429_says_when_to_come_again(self):
        self.begin(length=5)
        for i in range(SLOTS + 5):
            self.arrive(str(i))
        for stream in (False, True):
            told = self.ask(self.gateway_, stream=stream)
            self.assertEqual(told.status, 429, told)
            self.assertIn("queue is full", self.error_of(told)["message"])
            self.assertEqual(told.answer.field("x-should-retry"), "true")
            self.assertGreaterEqual(int(told.answer.field("retry-after")), 1)
            self.assertGreaterEqual(int(told.answer.field("retry-after-ms")), 1000)
        self.finish_all()
        for told in self.asking:
            self.assert_served(told)
        self.assertEqual(len(self.gate.order), SLOTS + 5)

    def test_a_full_queue_turns_to_the_overload_chain(self):
        gate, spare = Gate(), self.scripted(answer_chat)
        self.gate, server = gate, self.scripted(gate)
        self.addCleanup(gate.let, 1000)
        self.asking = []
        self.gateway_ = self.gateway({
            "m": {"backends": [backend(server, slots=1)], "queue": {"length": 1},
                  "fallback": {"overload": ["spare"]}, "health": BLIND},
            "spare": {"backends": [backend(spare)]}})
        self.arrive("served")
        self.arrive("waits")
        told = self.assert_served(self.ask(self.gateway_))
        self.assertEqual(told.answer.field("x-sluice-backend"), spare.url)
        self.finish_all()

    def test_without_a_queue_nobody_waits(self):
        self.begin(slots=1, length=0)
        self.arrive("served")
        self.assertEqual(self.ask(self.gateway_).status, 429)
        self.finish_all()

    def test_T2_the_length_is_that_of_the_box_whatever_its_shards(self):
        for shards, length in ((3, 5), (3, 0), (1, 0)):
            with self.subTest(shards=shards, length=length):
                self.begin(shards=shards, length=length)
                # Every one on a connection of its own: to any of the shards. None of these is
                # refused, though the free slots may be another shard's.
                idle = self.in_flight()
                for i in range(SLOTS + length):
                    self.begin_asking(str(i))
                    wait_until(lambda i=i, idle=idle: self.in_flight() == idle + i + 1,
                               "it is served, or in line")
                wait_until(lambda: self.gate.inside == SLOTS, "all slots are in use")
                for _ in range(6):
                    told = self.ask(self.gateway_)
                    self.assertEqual(told.status, 429, told)
                self.finish_all()
                for told in self.asking:
                    self.assert_served(told)
                self.assertEqual(len(self.gate.order), SLOTS + length)
                self.assertEqual(self.gate.inside_max, SLOTS)
                # And all of them are to be had again.
                self.gate.let(SLOTS)
                for told in together(SLOTS, lambda _: self.ask(self.gateway_)):
                    self.assert_served(told)

    def test_the_wait_has_its_own_limit(self):
        gate = Gate()
        server = self.scripted(gate)
        self.addCleanup(gate.let, 1000)
        gateway = self.gateway({"m": {"backends": [backend(server, slots=1)], "health": BLIND,
                                      "timeouts": {"queue": "300ms"}}})
        first = threading.Thread(target=lambda: self.ask(gateway))
        first.start()
        wait_until(lambda: gate.inside == 1, "the slot is taken")
        told = self.ask(gateway)
        self.assertEqual(told.status, 503, told)
        self.assertIn("(queue)", self.error_of(told)["message"])
        self.assertGreaterEqual(told.ended - told.began, 0.29)
        self.assertLess(told.ended - told.began, 10)
        self.assertEqual(told.answer.field("x-should-retry"), "true")
        self.assertEqual(self.line_of(gateway, told)["end"], "timeout")
        gate.let(1)
        first.join()
        self.assertEqual(len(gate.order), 1)


class Notices(Line):

    def test_positions_go_down_and_the_head_tells_the_first(self):
        self.begin(slots=1, notice_first="1ms", notice_every="10ms")
        for i in range(6):
            self.arrive(str(i), stream=True)
        last = self.asking[-1]
        wait_until(lambda: b": queued 5" in last.body, "it is told its place")
        for left in range(4, 0, -1):
            self.gate.let(1)
            wait_until(lambda left=left: f": queued {left}\n".encode() in last.body,
                       f"it is told that it is number {left}")
        self.finish_all()
        self.assert_served(last)
        self.assertEqual(last.answer.field("x-sluice-queue-position"), "5")
        told = [int(n) for n in re.findall(rb"^: queued (\d+)$", last.body, re.M)]
        self.assertEqual(told, sorted(told, reverse=True))
        self.assertEqual(set(told), {5, 4, 3, 2, 1})
        self.assertGreater(self.line_of(self.gateway_, last)["queued_us"], 0)

    def test_never_when_it_is_switched_off_or_not_a_stream(self):
        self.begin(slots=1, notice_first="0")
        self.arrive("0")
        streamed = self.arrive("1", stream=True)
        whole = self.arrive("2")
        time.sleep(0.7)  # longer than the default
        self.finish_all()
        for told in (streamed, whole):
            self.assert_served(told)
            self.assertNotIn(b": queued", told.body)

    def test_what_fails_behind_a_notice_is_told_in_the_stream(self):
        self.begin(slots=1, notice_first="1ms")
        self.arrive("0")
        told = self.arrive("1", stream=True)
        wait_until(lambda: b": queued 1" in told.body, "it is told its place")
        self.server.script = lambda peer, _: peer.send(head(500, "No", Content_Length=0))
        self.finish_all()
        self.assertEqual(told.status, 200)
        # An agent would take the figure for advice to try again.
        self.assertIn("refused the request (status ###)", self.error_of(told)["message"])
        self.assertFalse(told.seems_whole())


class Leaving(Line):

    def test_row_055_who_leaves_frees_its_place_and_is_never_served(self):
        self.begin(slots=1, length=3)
        self.arrive("first")
        for way in ("close", "reset"):
            client = self.gateway_.client()
            before = self.in_flight()
            client.send(chat_request(self.gateway_.host, content="left"))
            wait_until(lambda before=before: self.in_flight() == before + 1, "it waits")
            getattr(client, way)()
            wait_until(lambda before=before: self.in_flight() == before, "it is out of the line")
            self.gateway_.logged(end="client_gone")
        for i in range(3):  # there is room for three again
            self.arrive(str(i))
        self.finish_all()
        for told in self.asking:
            self.assert_served(told)
        self.assertEqual(self.gate.order, ["first", "0", "1", "2"])

    def test_row_055_who_leaves_while_served_frees_the_slot(self):
        self.begin(slots=1)
        client = self.gateway_.client()
        client.send(chat_request(self.gateway_.host, content="first"))
        wait_until(lambda: self.gate.inside == 1, "it is served")
        told = self.arrive("second")
        client.close()
        wait_until(lambda: len(self.gate.order) == 2, "the next one is served")
        self.gate.let(2)
        told.thread.join(30)
        self.assert_served(told)


class Slots(PoolCase):
    """Many requests at the sim, by one shard and by several."""

    def many(self, sim, shards, ask, count=REQUESTS, **model):
        gateway = self.learned(
            self.gateway({"m": {"backends": [backend(sim)], **model}}, shards=shards))
        return gateway, together(count, lambda i: ask(gateway, i))

    def assert_never_exceeded(self, sim, slots=SLOTS):
        stats = sim.stats()
        self.assertLessEqual(stats["active_max"], slots)
        self.assertEqual(stats["waiting_max"], 0)
        return stats

    def test_the_slots_that_the_server_tells_are_never_exceeded(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                sim = self.sim("--slots", str(SLOTS), "--ttft", "10ms", "--itl", "1ms")
                gateway, told = self.many(sim, shards, lambda gateway, i: self.ask(
                    gateway, stream=i % 2 == 0))
                for one in told:
                    self.assert_served(one)
                stats = self.assert_never_exceeded(sim)
                self.assertEqual((stats["active_max"], stats["posts"]), (SLOTS, REQUESTS))
                queued = [line.get("queued_us", 0) for line in gateway.log() if "end" in line]
                self.assertGreaterEqual(sum(q > 0 for q in queued), REQUESTS // 2)

    def test_fairness_between_two_clients(self):
        self.assert_fair({"source": MINE}, {"source": THEIRS})

    def test_fairness_between_two_consumers(self):
        self.assert_fair({"fields": [key_field("my-key")]}, {"fields": [key_field("their-key")]},
                         consumers=admins(consumers(mine="my-key", theirs="their-key")))

    def assert_fair(self, mine, theirs, **top):
        """One asks with three times as many connections; both wait all the time."""
        for shards in (1, 3):
            with self.subTest(shards=shards):
                sim = self.sim("--slots", str(SLOTS), "--ttft", "5ms", "--itl", "0", "--tokens",
                               "3")
                gateway = self.learned(
                    self.gateway({"m": {"backends": [backend(sim)]}}, shards=shards, **top),
                    mine.get("fields", ()))
                done = threading.Event()
                served = []

                def client(index, gateway=gateway, done=done, served=served):
                    # Enough of them that each shard has some of the fewer ones waiting.
                    who = theirs if index < 24 else mine
                    while not done.is_set():
                        self.assert_served(self.ask(gateway, **who))
                        served.append(who)
                        if len(served) >= 900:
                            done.set()
                together(24 + 72, client)
                self.assert_never_exceeded(sim)
                # Behind the first rush, and before those that were asked last run out.
                count = served[100:900].count(theirs)
                print(f"     {shards} shards: {count} of 800 for the one with fewer", flush=True)
                self.assertAlmostEqual(count / 400, 1, delta=0.1)

    def test_nobody_starves(self):
        sim = self.sim("--slots", str(SLOTS), "--ttft", "5ms", "--itl", "0", "--tokens", "3")
        gateway = self.learned(self.gateway({"m": {"backends": [backend(sim)]}}, shards=3))
        done = threading.Event()

        def client(_):
            slowest = 0.0
            served = 0
            while not done.is_set():
                told = self.assert_served(self.ask(gateway))
                slowest = max(slowest, told.ended - told.began)
                served += 1
                if served == 10:
                    done.set()
            return served, slowest
        seen = together(48, client)
        self.assert_never_exceeded(sim)
        self.assertGreater(min(served for served, _ in seen), 0)
        total = sum(served for served, _ in seen)
        print(f"     {total} served; the least {min(seen)[0]}; "
              f"the slowest {max(s for _, s in seen) * 1000:.0f} ms", flush=True)

    def test_a_pool_of_two_servers(self):
        for balance in ("round-robin", "least-busy", "prefix", "hash", "least-latency"):
            for shards in (1, 3):
                with self.subTest(balance, shards=shards):
                    sims = [self.sim("--slots", str(n), "--ttft", "3ms", "--itl", "0")
                            for n in (1, 3)]
                    gateway = self.learned(self.gateway({"m": {"balance": balance, "backends": [
                        backend(sim) for sim in sims]}}, shards=shards), of=2)
                    told = together(60, lambda i, gateway=gateway: self.ask(
                        gateway, content=f"talk {i % 7}", stream=i % 3 == 0))
                    for one in told:
                        self.assert_served(one)
                    for sim, slots in zip(sims, (1, 3)):
                        self.assert_never_exceeded(sim, slots)
                        self.assertGreater(sim.posts(), 0)

    def test_half_of_the_clients_leave(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                sim = self.sim("--slots", str(SLOTS), "--ttft", "10ms", "--itl", "1ms")

                def ask(gateway, index):
                    if index % 2 == 0:
                        return self.ask(gateway)
                    with gateway.client() as client:
                        client.send(chat_request(gateway.host, stream=True))
                        time.sleep(0.002 * (index % 13))
                    return None
                gateway, told = self.many(sim, shards, ask)
                for one in told[::2]:
                    self.assert_served(one)
                wait_until(lambda sim=sim: sim.stats()["active"] == 0, "all slots are free")
                # And all of them are still to be had.
                for one in together(SLOTS * 3, lambda _, gateway=gateway: self.ask(gateway)):
                    self.assert_served(one)
                self.assertEqual(sim.stats()["active_max"], SLOTS)


if __name__ == "__main__":
    main()
