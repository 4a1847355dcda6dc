#!/usr/bin/env python3
"""Pools: connections to a backend that ends each one behind a streamed answer are made ahead of
the requests while these keep coming, and not otherwise."""

import contextlib
import time
import unittest

from backend import DONE, LAST_CHUNK, Backend, chunk, delta, finish, sse_head, usage_event
from harness import Gateway, chat_request, main
from test_relay import metrics
from wire import DEADLINE, wait_until

COUNTERS = ("connects", "reuses", "preconnects", "preconnects_used")


def answer_as_llama_server(peer, _):
    """Says nothing of it, and closes."""
    peer.send(sse_head(Server="llama.cpp") + chunk(delta("hi") + finish() + usage_event()) +
              chunk(DONE) + LAST_CHUNK)
    peer.close()


class Ahead(unittest.TestCase):

    def setUp(self):
        self.backend = Backend(answer_as_llama_server)
        self.addCleanup(self.backend.stop)
        # Windows of 200 ms: demand is steady after three of them with a request each. The counters
        # of one shard are exact at any time.
        self.gateway = Gateway("--model", f"m={self.backend.url}", "--pool-idle", "400ms",
                               "--shards", "1")
        self.addCleanup(self.gateway.stop)
        self.client = self.gateway.client()
        self.addCleanup(self.client.close)

    def counters(self):
        sums = metrics(self.gateway)
        return {name: sums[f"sluice_backend_{name}_total"] for name in COUNTERS}

    def ask(self):
        self.client.send(chat_request(self.gateway.host, stream=True))
        answer = self.client.read()
        self.assertEqual(answer.status, 200)
        self.assertIn(b"[DONE]", answer.body)
        self.assertTrue(answer.complete)

    def test_requests_that_keep_coming_find_a_connection_made(self):
        end = time.monotonic() + DEADLINE
        asked = 0
        while self.counters()["preconnects_used"] < 5:
            self.assertLess(time.monotonic(), end, self.counters())
            for _ in range(5):
                self.ask()
                asked += 1
                time.sleep(0.002)
        counted = self.counters()
        # Each request had a connection of its own, made for it or ahead of it.
        own = counted["connects"] - counted["preconnects"]
        self.assertEqual(own + counted["preconnects_used"], asked)
        self.assertEqual(counted["reuses"], 0)
        self.assertEqual(len({id(r.peer) for r in self.backend.requests}), asked)
        # The last one that waits goes when nobody comes.
        wait_until(lambda: metrics(self.gateway)["sluice_backend_connections"] == 0, "it is gone")

    def test_where_connections_are_kept_none_is_made_ahead(self):
        self.backend.forget()
        for _ in range(150):
            self.ask()
            time.sleep(0.005)
        self.assertGreater(self.counters()["reuses"], 0)
        self.assertEqual(self.counters()["preconnects"], 0)

    def test_a_connection_that_is_cut_while_it_waits_loses_no_request(self):
        end = time.monotonic() + DEADLINE
        cut = 0
        while cut < 3:
            self.assertLess(time.monotonic(), end, self.counters())
            self.ask()
            # One that was only asked for its models is closed already.
            for peer in self.backend.connections:
                if not peer.closed and not peer.gone.is_set() and peer.requests == 0:
                    with contextlib.suppress(OSError):
                        peer.reset()
                        cut += 1
            self.backend.connections = [p for p in self.backend.connections if not p.closed]


if __name__ == "__main__":
    main()
