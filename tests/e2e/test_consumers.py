#!/usr/bin/env python3
"""Consumers: who asks, by the key of a request; who is refused, and what goes by who it is."""

import collections
import re
import threading
import unittest

from backend import Backend, answer_chat
from harness import chat_request, error_in, main, request
from pool_case import PoolCase, admins, backend, consumers, key_field, keys_of, together
from sdk_calls import call, missing
from test_relay import metrics
from wire import wait_until

WHY_NOT = missing()
KEY = "sk-team-a-0123456789"


class Identified(PoolCase):
    """A gateway in front of one backend of its own key, and a consumer with KEY."""

    def begin(self, shards=1, **more):
        self.server = Backend()
        self.addCleanup(self.server.stop)
        self.gateway_ = self.gateway({"m": {"backends": [backend(self.server, **more)]}},
                                     shards=shards, env={"BACKEND_KEY": "sk-of-the-backend"},
                                     consumers=consumers(**{"team-a": KEY}))

    def answer(self, fields, path="/v1/chat/completions", method="POST"):
        with self.gateway_.client() as client:
            data = (chat_request(self.gateway_.host, path, fields) if method == "POST" else
                    request(method, path, host=self.gateway_.host, fields=fields))
            return client.ask(data)


class Keys(Identified):

    def test_row_144_without_a_known_key_every_refusal_is_the_same(self):
        self.begin()
        seen = set()
        for fields in ([], ["Authorization: Bearer sk-wrong"], ["X-Api-Key: sk-wrong"],
                       [f"Authorization: Bearer {KEY}x"], [f"Authorization: Bearer {KEY[:-1]}"]):
            answer = self.answer(fields)
            self.assertEqual(answer.status, 401, fields)
            self.assertEqual(answer.field("www-authenticate"), 'Bearer realm="sluice"')
            self.assertEqual(error_in(answer)["type"], "authentication_error")
            seen.add(answer.body)
        self.assertEqual(len(seen), 1, seen)
        self.assertEqual(self.server.requests, [])

    def test_row_144_nothing_is_served_without_a_key_but_what_is_about_the_gateway(self):
        self.begin()
        for method, path in (("GET", "/v1/models"), ("GET", "/v1/models/m"), ("GET", "/none"),
                             ("POST", "/v1/embeddings"), ("DELETE", "/v1/chat/completions")):
            self.assertEqual(self.answer([], path, method).status, 401, path)
        self.assertEqual(self.answer([], "/metrics", "GET").status, 401)
        self.assertEqual(self.answer([], "/healthz", "GET").status, 200)
        self.assertEqual(self.answer([], "/readyz", "GET").body, b"ready\n")
        self.assertEqual(self.answer([key_field(KEY)], "/v1/models", "GET").status, 200)
        self.assertEqual(self.answer([key_field(KEY)], "/none", "GET").status, 404)

    def test_row_144_the_refusal_speaks_the_dialect_of_the_endpoint(self):
        self.begin()
        told = self.answer([], "/v1/messages").json
        self.assertEqual((told["type"], told["error"]["type"]), ("error", "authentication_error"))

    def test_row_147_a_key_that_is_not_clear_is_none(self):
        self.begin()
        good = f"Authorization: Bearer {KEY}"
        for fields in ([good, good], [good, "X-Api-Key: other"], ["X-Api-Key: " + KEY] * 2,
                       [f"Authorization: Basic {KEY}", f"X-Api-Key: {KEY}"],
                       [f"Authorization: {KEY}"], ["X-Api-Key:"]):
            self.assertEqual(self.answer(fields).status, 401, fields)
        self.assertIn(self.answer(["Authorization: Bearer " + "k" * 65536]).status, (400, 401, 431))
        self.assertEqual(self.server.requests, [])
        for fields in ([good], [f"X-Api-Key: {KEY}"], [good, f"X-Api-Key: {KEY}"],
                       [good, "X-Api-Key:"]):
            self.assertEqual(self.answer(fields).status, 200, fields)

    def test_row_148_the_text_of_a_key_does_nothing(self):
        self.begin()
        refusal = self.answer([]).body
        texts = ['"', "' OR 1=1 --", "%s%n", "\x1b[31m", "a\\u0000b", "{{7*7}}"]
        for text in texts:
            answer = self.answer([f"Authorization: Bearer sk-{text}"])
            self.assertIn(answer.status, (400, 401), text)
            if answer.status == 401:
                self.assertEqual(answer.body, refusal)
            else:  # no head at all
                self.assertNotIn(b"sk-", answer.body)
        self.assertEqual(self.answer([key_field(KEY)]).status, 200)
        self.gateway_.logged(status=200)
        self.assert_unseen("sk-")

    def test_row_149_a_key_in_the_query_is_none_and_is_not_written_down(self):
        self.begin()
        for name in ("key", "api_key", "api-key", "access_token"):
            path = f"/v1/chat/completions?{name}={KEY}"
            self.assertEqual(self.answer([], path).status, 401)
        self.gateway_.logged(status=401)
        self.assert_unseen(KEY)

    def test_row_150_a_consumers_key_goes_no_further(self):
        for more in ({}, {"key": "env:BACKEND_KEY"}):
            with self.subTest(**more):
                self.begin(**more)
                for fields in ([f"Authorization: Bearer {KEY}"], [f"X-Api-Key: {KEY}"],
                               [f"Authorization: Bearer {KEY}", f"X-Api-Key: {KEY}"]):
                    answer = self.answer(fields)
                    self.assertEqual(answer.status, 200)
                    self.assertNotIn(KEY, str(answer.fields))
                for seen in self.server.requests:
                    self.assertEqual(seen.field("authorization"),
                                     "Bearer sk-of-the-backend" if more else None)
                    self.assertIsNone(seen.field("x-api-key"))
                self.assertEqual(len(self.server.requests), 3)
                self.gateway_.logged(status=200)
                self.assert_unseen(KEY)

    def assert_unseen(self, text):
        """The text is in no log and no metric."""
        with self.gateway_.client() as client:
            metrics = client.ask(request("GET", "/metrics", fields=[key_field(KEY)]))
        self.assertEqual(metrics.status, 200)
        with open(self.gateway_.log_path, encoding="utf-8") as log:
            for where in (log.read(), self.gateway_.stderr(), metrics.body.decode()):
                self.assertNotIn(text, where)

    def test_a_refused_body_is_not_waited_for(self):
        self.begin()
        with self.gateway_.client() as client:
            client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        b"Content-Type: application/json\r\nContent-Length: 9000000\r\n\r\n{")
            self.assertEqual(client.read().status, 401)

    def test_the_log_names_the_consumer_and_the_key(self):
        self.begin()
        self.assertEqual(self.answer([key_field(KEY)]).status, 200)
        line = self.gateway_.logged(status=200)
        self.assertEqual((line["consumer"], line["key"]), ("team-a", "team-a-1"))
        self.assertEqual(self.answer([]).status, 401)
        self.assertNotIn("consumer", self.gateway_.logged(status=401))

    @unittest.skipIf(WHY_NOT, WHY_NOT)
    def test_the_sdk_with_a_key_and_without(self):
        self.begin()
        seen = call(self.gateway_.url, "chat", key=KEY, model="m")
        self.assertEqual(seen["message"]["content"], "hello")
        self.assertEqual(call(self.gateway_.url, "chat", key="other", model="m")["error"]["status"],
                         401)


class ByConsumer(PoolCase):
    """What goes by who asks, all from one address."""

    def keys(self, count):
        return {f"c{i}": f"key {i}".replace(" ", "-") for i in range(count)}

    def test_rules_by_labels(self):
        small, large = Backend(), Backend()
        for server in (small, large):
            self.addCleanup(server.stop)
        gateway = self.gateway(
            {"small": {"backends": [backend(small)]}, "large": {"backends": [backend(large)]}},
            consumers=[
                {"name": "a", "labels": {"team": "a", "env": "dev"}, "keys": keys_of("a", "ka")},
                {"name": "b", "labels": {"team": "ab", "env": "dev"}, "keys": keys_of("b", "kb")},
                {"name": "c", "keys": keys_of("c", "kc")}],
            rules=[{"name": "team", "when": {"consumer": {"team": "a*", "env": "dev"}},
                    "use": "large"}])
        for key, server in (("ka", large), ("kb", large), ("kc", small)):
            before = len(server.requests)
            told = self.ask(gateway, [key_field(key)], model="small")
            self.assertEqual((told.status, len(server.requests)), (200, before + 1), key)
            self.assertEqual(self.line_of(gateway, told).get("rule"),
                             "team" if server is large else None)

    def test_a_split_sticks_to_the_consumer(self):
        servers = {name: Backend() for name in ("one", "two")}
        for server in servers.values():
            self.addCleanup(server.stop)
        keys = self.keys(24)
        gateway = self.gateway(
            {name: {"backends": [backend(server)]} for name, server in servers.items()},
            shards=2, consumers=consumers(**keys),
            rules=[{"name": "half", "sticky": {"by": "consumer"},
                    "split": [{"model": "one", "percent": 50}, {"model": "two", "percent": 50}]}])
        models = {who: {self.model_of(gateway, key) for _ in range(3)}
                  for who, key in keys.items()}
        self.assertEqual({len(found) for found in models.values()}, {1}, models)
        self.assertEqual(set.union(*models.values()), {"one", "two"})

    def model_of(self, gateway, key):
        told = self.ask(gateway, [key_field(key)], model="one")
        self.assertEqual(told.status, 200, told)
        return self.line_of(gateway, told)["model"]

    def test_hashing_by_consumer_and_by_client(self):
        servers = [Backend() for _ in range(2)]
        for server in servers:
            self.addCleanup(server.stop)
        keys = self.keys(16)
        gateway = self.gateway(
            {by: {"backends": [backend(server) for server in servers], "balance": "hash",
                  "hash": {"by": by}} for by in ("consumer", "client")},
            shards=2, consumers=consumers(**keys))
        for by, places in (("consumer", 2), ("client", 1)):
            served_by = collections.defaultdict(set)
            for who, key in keys.items():
                for _ in range(3):
                    told = self.ask(gateway, [key_field(key)], model=by)
                    served_by[who].add(told.answer.field("x-sluice-backend"))
            self.assertEqual({len(found) for found in served_by.values()}, {1}, served_by)
            self.assertEqual(len(set.union(*served_by.values())), places, by)

    def test_hashing_by_a_conversation_that_the_client_names(self):
        servers = [Backend() for _ in range(2)]
        for server in servers:
            self.addCleanup(server.stop)
        gateway = self.gateway({"m": {
            "backends": [backend(server) for server in servers], "balance": "hash"}}, shards=2)
        places = collections.Counter()
        for name in range(16):
            served_by = {self.ask(gateway, content=str(turn), prompt_cache_key=f"c{name}")
                         .answer.field("x-sluice-backend") for turn in range(3)}
            self.assertEqual(len(served_by), 1)
            places.update(served_by)
        self.assertEqual(len(places), 2)

    def test_row_135_tokens_and_requests_are_counted_for_each(self):
        sim = self.sim("--tokens", "5", "--ttft", "1ms", "--itl", "0")
        keys = self.keys(3)
        for shards in (1, 3):
            with self.subTest(shards=shards):
                gateway = self.gateway({"m": {"backends": [backend(sim)]}}, shards=shards,
                                       consumers=admins(consumers(**keys)))
                names = list(keys)
                told = together(36, lambda i, gateway=gateway: (names[i % 3], self.ask(
                    gateway, [key_field(keys[names[i % 3]])], stream=i % 2 == 0,
                    content="word " * (i + 1))))
                expected = collections.Counter()
                for who, one in told:
                    self.assert_served(one)
                    line = self.line_of(gateway, one)
                    self.assertEqual(line["consumer"], who)
                    expected[who, "requests"] += 1
                    expected[who, "input"] += line["prompt_tokens"]
                    expected[who, "output"] += line["completion_tokens"]
                self.assertEqual(len({expected[who, "input"] for who in keys}), 3)
                # What other shards counted is there a tick later.
                wait_until(lambda gateway=gateway, expected=expected:
                           self.counted(gateway) == expected, "each has its counts")

    def counted(self, gateway):
        with gateway.client() as client:
            text = client.ask(request("GET", "/metrics",
                                      fields=[key_field("key-0")])).body.decode()
        found = collections.Counter()
        rows = r'^sluice_(requests|tokens)_total\{consumer="(\w+)",(model="m"[^}]*)\} (\d+)$'
        for kind, who, rest, value in re.findall(rows, text, re.M):
            name = "requests" if kind == "requests" else re.search(r'type="(\w+)"', rest)[1]
            if name != "cached":
                found[who, name] += int(value)
        return +found

    def test_a_consumers_class_in_line_which_a_header_cannot_better(self):
        lock = threading.Condition()
        order = []
        free = [0]

        def gate(peer, asked):
            with lock:
                order.append(asked.json["messages"][0]["content"])
                lock.wait_for(lambda: free[0] > 0, 60)
                free[0] -= 1
            answer_chat(peer, asked)
        server = self.scripted(gate)
        gateway = self.gateway(
            {"m": {"backends": [backend(server, slots=1)],
                   "queue": {"notice_first": 0, "priority_header": "x-priority"}}},
            consumers=[{"name": "first", "priority": 1, "admin": True,
                        "keys": keys_of("first", "k1")},
                       {"name": "last", "priority": 12, "keys": keys_of("last", "k2")},
                       {"name": "none", "keys": keys_of("none", "k3")}])
        threads = []

        def ask(name, key, *fields):
            before = self.in_line(gateway)
            thread = threading.Thread(target=self.ask, args=(gateway, [key_field(key), *fields]),
                                      kwargs={"content": name}, daemon=True)
            thread.start()
            threads.append(thread)
            wait_until(lambda: self.in_line(gateway) == before + 1 or order == [name], name)
        ask("at work", "k3")
        ask("last", "k2")
        ask("last as 0", "k2", "x-priority: 0")
        ask("last as 15", "k2", "x-priority: 15")
        ask("none", "k3")
        ask("none as 3", "k3", "x-priority: 3")
        ask("first", "k1")
        ask("first as 4", "k1", "x-priority: 4")
        with lock:
            free[0] = len(threads)
            lock.notify_all()
        for thread in threads:
            thread.join(30)
            self.assertFalse(thread.is_alive())
        self.assertEqual(order, ["at work", "first", "none as 3", "first as 4", "none", "last",
                                 "last as 0", "last as 15"])

    def in_line(self, gateway):
        return metrics(gateway, [key_field("k1")])["sluice_requests_waiting"]


if __name__ == "__main__":
    main()
