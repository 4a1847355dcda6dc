#!/usr/bin/env python3
"""Balancing by prefix over two real llama-servers: conversations find their KV cache again.

Needs what test_llama_server.py needs, else every case is skipped: a sim has no cache.
"""

import json
import random
import re
import unittest

from harness import events, main, request
from pool_case import PoolCase, backend
from test_llama_server import CHAT, WHY_NOT, Llama
from wire import wait_until


CONVERSATIONS = 16
TURNS = 4
# As many slots as conversations that a server gets when it gets half of them.
SLOTS = 8
WORDS = ("rain harbour bridge letter winter garden stone river light evening table window paper "
         "north field bread copper engine mirror salt").split()


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Prefix(PoolCase):

    def play(self, balance, shards=1):
        """All conversations, a turn of each in turn. The prompt tokens, and those of them that were
        cached: as the answers say, as the servers' own timings say, and as the metric says."""
        # Fresh servers: nothing is cached. What does not fit a slot any more is forgotten.
        servers = [Llama(CHAT, "--alias", "tiny-chat", "-np", str(SLOTS), "-c", str(1024 * SLOTS),
                         "--cache-ram", "0") for _ in range(2)]
        for server in servers:
            self.addCleanup(server.stop)
        gateway = self.gateway({"tiny-chat": {
            "balance": balance, "backends": [backend(server) for server in servers]}},
            shards=shards)
        prng = random.Random(7)
        talks = [[{"role": "system", "content": self.words(prng, 30)}]
                 for _ in range(CONVERSATIONS)]
        prompt = cached = timed = 0
        served_by = []
        order = list(range(CONVERSATIONS))
        for _ in range(TURNS):
            prng.shuffle(order)
            for index in order:
                talk = talks[index]
                talk.append({"role": "user", "content": self.words(prng, 12)})
                stream = index % 2 == 0
                told = self.ask(gateway, model="tiny-chat", messages=talk, max_tokens=8,
                                temperature=0, seed=1, stream=stream,
                                **({"stream_options": {"include_usage": True}} if stream else {}))
                served_by.append(self.assert_served(told).answer.field("x-sluice-backend"))
                read = ([json.loads(text) for text in events(told.body)[:-1]] if stream
                        else [json.loads(told.body)])
                usage = [one["usage"] for one in read if one.get("usage")][-1]
                prompt += usage["prompt_tokens"]
                cached += usage["prompt_tokens_details"]["cached_tokens"]
                timed += [one["timings"] for one in read if one.get("timings")][-1]["cache_n"]
                choices = [one["choices"][0] for one in read if one["choices"]]
                part = "delta" if stream else "message"
                said = "".join(choice[part].get("content") or "" for choice in choices)
                talk.append({"role": "assistant", "content": said})
        self.assertEqual(cached, timed)
        # Shards tell each other what they counted ten times a second.
        wait_until(lambda: self.metric(gateway, "input") == prompt, "all tokens are counted")
        wait_until(lambda: self.metric(gateway, "cached") == cached, "the cached ones are, too")
        by_server = [served_by.count(server.url) for server in servers]
        for server in servers:
            server.kill()
        print(f"     {balance}, {shards} shards: {cached} of {prompt} prompt tokens were cached; "
              f"requests by server {by_server}", flush=True)
        return prompt, cached, by_server

    @staticmethod
    def words(prng, count):
        return " ".join(prng.choice(WORDS) for _ in range(count))

    @staticmethod
    def metric(gateway, kind):
        with gateway.client() as client:
            text = client.ask(request("GET", "/metrics")).body.decode()
        return sum(int(value) for value in re.findall(
            rf'^sluice_tokens_total{{[^}}]*type="{kind}"}} (\d+)$', text, re.M))

    def test_conversations_find_their_cache_again(self):
        prompt, by_prefix, shares = self.play("prefix")
        again, by_turns, _ = self.play("round-robin")
        self.assertGreater(min(prompt, again), 5_000)
        # The share, since the models' answers need not be as long both times.
        self.assertGreaterEqual(by_prefix / prompt, 2 * by_turns / again)
        # And not because one server does all the work.
        self.assertGreaterEqual(min(shares), sum(shares) / 4)

    def test_R17_three_shards_find_it_as_well_as_one(self):
        # Each request on a connection of its own: it comes to any shard.
        prompt, alone, _ = self.play("prefix")
        again, shared, shares = self.play("prefix", shards=3)
        self.assertGreaterEqual(shared / again, 0.95 * alone / prompt)
        self.assertGreaterEqual(min(shares), sum(shares) / 4)


if __name__ == "__main__":
    main()
