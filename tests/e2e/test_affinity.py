#!/usr/bin/env python3
"""Where a conversation goes, whichever shard its requests come to: every one is asked on a
connection of its own, which the kernel gives to any of them.

What a server would have cached is worked out here, from the backend that each answer names: each
keeps what it was sent last, as a llama-server keeps it in its slots.
"""

import os
import random
import unittest

from backend import json_answer
from harness import main
from pool_case import PoolCase, backend
from test_prefix import WORDS

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
        return self.gateway({"m": {"balance": "prefix", "backends": [
            backend(sim) for sim in sims], **more}}, shards=shards)

    def ask_at(self, gateway, **more):
        """The backend that a request of its own connection went to."""
        told = self.assert_served(self.ask(gateway, **more))
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


if __name__ == "__main__":
    main()
