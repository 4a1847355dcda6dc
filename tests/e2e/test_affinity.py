#!/usr/bin/env python3
"""Where a conversation goes, whichever shard its requests come to: every one is asked on a
connection of its own, which the kernel gives to any of them.

What a server would have cached is worked out here, from the backend that each answer names: each
keeps what it was sent last, as a llama-server keeps it in its slots.
"""

import json
import os
import random
import threading

from harness import chat_request, main
from pool_case import PoolCase, Told, backend
from test_prefix import WORDS
from test_queue import Gate
from wire import wait_until

CONVERSATIONS = 16
TURNS = 6
SLOTS = 8


class Cache:
    """The last prompts that a server was sent, as many as it has slots."""

    def __init__(self):
        self.prompts = []

    def ask(self, prompt):
        """How much of the beginning of the prompt is there; from then on, all of it is."""
        best = max(self.prompts, default="", key=lambda one: common(one, prompt))
        found = common(best, prompt)
        # What goes on with a prompt takes its place; another one that of the oldest.
        if found > len(best) / 2 and best:
            self.prompts.remove(best)
        elif len(self.prompts) == SLOTS:
            self.prompts.pop(0)
        self.prompts.append(prompt)
        return found


def common(a, b):
    return len(os.path.commonprefix([a, b]))


def words(prng, count):
    return " ".join(prng.choice(WORDS) for _ in range(count))


def text_of(messages):
    return "".join(f"<{one['role']}>{one['content']}" for one in messages)


class Affinity(PoolCase):

    def pool(self, shards, servers=2, slots=SLOTS, **more):
        sims = [self.sim("--slots", str(slots), "--ttft", "1ms", "--itl", "0", "--tokens", "3")
                for _ in range(servers)]
        return self.gateway({"m": {"balance": "prefix", **more, "backends": [
            backend(sim) for sim in sims]}}, shards=shards)

    def ask_at(self, gateway, **more):
        """The backend that a request of its own connection went to."""
        told = self.ask(gateway, **more)
        self.assertEqual((told.status, told.complete), (200, True), told)
        return told.answer.field("x-sluice-backend")

    def play(self, shards, slots=SLOTS):
        """The share of all prompts that was cached where they went, and requests by server."""
        gateway = self.pool(shards, slots=slots)
        prng = random.Random(11)
        system = words(prng, 120)
        talks = [[{"role": "system", "content": system}] for _ in range(CONVERSATIONS)]
        caches = {}
        counts = {}
        prompt_bytes = cached = 0
        order = list(range(CONVERSATIONS))
        for _ in range(TURNS):
            prng.shuffle(order)
            for index in order:
                talk = talks[index]
                talk.append({"role": "user", "content": words(prng, 60)})
                at = self.ask_at(gateway, messages=talk)
                text = text_of(talk)
                prompt_bytes += len(text)
                cached += caches.setdefault(at, Cache()).ask(text)
                counts[at] = counts.get(at, 0) + 1
                talk.append({"role": "assistant", "content": words(prng, 30)})
        return cached / prompt_bytes, sorted(counts.values())

    def test_R17_conversations_find_their_cache_on_every_shard(self):
        for slots in (SLOTS, 0):  # 0: not bounded, as Ollama's are
            with self.subTest(slots=slots):
                alone, _ = self.play(1, slots)
                shared, counts = self.play(3, slots)
                print(f"     slots {slots}: {alone:.3f} was cached with one shard, {shared:.3f} "
                      f"with three; requests by server {counts}", flush=True)
                self.assertGreater(alone, 0.6)
                self.assertGreaterEqual(shared, 0.95 * alone)
                # And not because one server does all the work.
                self.assertEqual(len(counts), 2)
                self.assertGreaterEqual(counts[0], sum(counts) / 4)

    def homes(self, gateway, rounds, ask):
        """Three conversations in turn: the backends that each went to, in as many rounds."""
        seen = [set() for _ in range(3)]
        for turn in range(rounds):
            for number, backends in enumerate(seen):
                backends.add(ask(gateway, number, turn))
        return seen

    def test_R17_volatile_parts_of_the_head_stay_out_of_the_key(self):
        prng = random.Random(3)
        rules = [words(prng, 200) for _ in range(3)]
        first = [words(prng, 60) for _ in range(3)]

        def claude(gateway, number, turn):
            """As Claude Code does: a billing block that changes, the date, marks that move on."""
            block = ("x-anthropic-billing-header: cc_version=2.1.36.a1b; cc_entrypoint=cli; "
                     f"cch={prng.choice('abcdef0123')}{prng.randrange(16 ** 4):04x};")
            mark = {"cache_control": {"type": "ephemeral"}}
            system = [{"type": "text", "text": block},
                      {"type": "text", "text": f"It is {10 + turn}:05 on Monday, November "
                                               f"{turn + 1}, 2026.\n{rules[number]}", **mark}]
            said = [{"role": "user", "content": [{"type": "text", "text": first[number]}]}]
            for _ in range(turn):
                said += [{"role": "assistant", "content": "yes"},
                         {"role": "user", "content": [{"type": "text", "text": "go on"}]}]
            said[-1]["content"][0] = {**said[-1]["content"][0], **mark}
            return self.ask_at(gateway, path="/v1/messages", system=system, messages=said,
                               max_tokens=8)

        def chat(gateway, number, turn):
            """An id and the time at the head of the system prompt."""
            head = f"request {prng.randrange(1 << 64):x} at 2026-11-30T04:28:{turn:02}.5Z"
            messages = [{"role": "system", "content": f"{head} {rules[number]}"},
                        {"role": "user", "content": first[number]}]
            messages += [{"role": "user", "content": "go on"}] * turn
            return self.ask_at(gateway, messages=messages)
        for shards in (1, 3):
            for ask in (claude, chat):
                with self.subTest(ask.__name__, shards=shards):
                    seen = self.homes(self.pool(shards, servers=3), 8, ask)
                    self.assertEqual([len(backends) for backends in seen], [1, 1, 1])
                    self.assertEqual(len(set.union(*seen)), 3)

    def test_R17_sessions_that_agents_name_need_no_setting(self):
        prng = random.Random(5)
        uuids = [f"{prng.randrange(1 << 128):032x}" for _ in range(3)]

        def named(fields=(), **body):
            """Nothing but the session is the same from turn to turn."""
            def ask(gateway, number, _):
                name = uuids[number]
                return self.ask_at(
                    gateway, fields=[field.format(name) for field in fields],
                    content=words(prng, 150),
                    **{key: value(name) for key, value in body.items()})
            return ask
        user = f"user_{'ab12' * 16}_account_{uuids[0]}"
        ways = {
            "claude": named(["X-Claude-Code-Session-Id: {}"]),
            "codex": named(["session-id: {}", "thread-id: x"]),
            "codex before": named(["session_id: {}", "thread_id: x"]),
            "codex of 2025": named(["conversation_id: {}", "session_id: {}"]),
            "opencode": named(["x-session-affinity: {}"]),
            "key": named(prompt_cache_key=lambda name: name),
            "user id": named(metadata=lambda name: {"user_id": f"{user}_session_{name}"}),
            "user id, JSON": named(metadata=lambda name: {"user_id": json.dumps(
                {"device_id": "d", "account_uuid": uuids[0], "session_id": name})}),
        }
        for shards in (1, 3):
            for way, ask in ways.items():
                with self.subTest(way, shards=shards):
                    gateway = self.pool(shards, servers=3)
                    seen = self.homes(gateway, 5, ask)
                    self.assertEqual([len(backends) for backends in seen], [1, 1, 1])
                    self.assertEqual(len(set.union(*seen)), 3)
        # A user is no session: all that one asks would go to one backend.
        account = named(metadata=lambda _: {"user_id": user})
        seen = self.homes(self.pool(1, servers=3), 5, account)
        self.assertEqual(len(set.union(*seen)), 3)
        # The same identity where a hash decides.
        hashed = self.pool(3, servers=3, balance="hash")
        for way, ask in ways.items():
            with self.subTest(way, balance="hash"):
                for backends in self.homes(hashed, 5, ask):
                    self.assertEqual(len(backends), 1)

    def test_R17_a_session_is_a_preference_and_no_reason_to_wait(self):
        for shards in (1, 3):
            with self.subTest(shards=shards):
                gates = [Gate(), Gate()]
                for gate in gates:
                    self.addCleanup(gate.let, 1000)
                servers = [self.scripted(gate) for gate in gates]
                gateway = self.gateway({"m": {
                    "balance": "prefix", "health": {"probe": "off"},
                    "backends": [backend(server, slots=1) for server in servers]}},
                    shards=shards)
                told = [Told(), Told()]
                threads = []
                for one in told:  # two requests of one session, at the same time
                    data = chat_request(gateway.host, content="hello",
                                        fields=["session-id: one"])
                    threads.append(threading.Thread(target=one.ask,
                                                    args=(gateway.address, data)))
                    threads[-1].start()
                wait_until(lambda gates=gates: [gate.inside for gate in gates] == [1, 1],
                           "each has a backend")
                for gate in gates:
                    gate.let(1)
                for thread, one in zip(threads, told):
                    thread.join(30)
                    self.assert_served(one)


if __name__ == "__main__":
    main()
