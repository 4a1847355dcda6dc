#!/usr/bin/env python3
"""Batches of embeddings: what is known of their items is not asked for again, and what comes back
is what one server would have said to all of it.
"""

import base64
import json
import struct
import unittest

from backend import json_answer
from harness import main, request
from pool_case import PoolCase, backend, consumers, key_field, together
from sdk_calls import call, missing
from wire import Client, wait_until

# What a probe learns of a model's file makes it another model for the cache.
BLIND = {"probe": "off"}
KEPT = {"answers": "auto"}
SHARDS = (1, 3)
NO_SDK = missing()


def vector(text, size=3):
    return [len(text), sum(text.encode()) / 4, 0.125][:size] + [0.5] * (size - 3)


def read(text):
    """The tokens of a text, its quotes too."""
    return len(text) + 2


def embeddings(items, packed=False, size=3):
    """The answer of a server that reads a token a byte: such are shared out exactly."""
    tokens = sum(map(read, items))
    def said(text):
        numbers = vector(text, size)
        if not packed:
            return numbers
        return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    return {"object": "list", "model": "m",
            "data": [{"object": "embedding", "index": i, "embedding": said(text)}
                     for i, text in enumerate(items)],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def answer(peer, asked):
    given = asked.json["input"]
    peer.send(json_answer(embeddings(given if isinstance(given, list) else [given],
                                     asked.json.get("encoding_format") == "base64")))


class Embeddings(PoolCase):

    def begin(self, script=answer, shards=1, cache=None, model=None, **top):
        self.asked = []

        def counted(peer, asked):
            self.asked.append(asked.json["input"])
            script(peer, asked)
        self.server = self.scripted(counted)
        self.gate = self.gateway(
            {"m": {"backends": [backend(self.server)], "health": BLIND,
                   "cache": {**KEPT, **(cache or {})}, **(model or {})}}, shards=shards, **top)

    def embed(self, items, fields=(), path="/v1/embeddings", **more):
        body = json.dumps({"model": "m", "input": items, **more}).encode()
        with Client(self.gate.address) as client:
            got = client.ask(request("POST", path, body, self.gate.host, fields=fields))
        got.mark = got.field("x-sluice-cache")
        return got

    def known(self, items, fields=(), **more):
        """Waits until all of them are kept, which asks no server."""
        only = [*fields, "Cache-Control: only-if-cached"]
        wait_until(lambda: self.embed(items, only, **more).status == 200, "the items are kept")

    def is_known(self, items, **more):
        got = self.embed(items, ["Cache-Control: only-if-cached"], **more)
        self.assertIn(got.status, (200, 504))
        return got.status == 200

    def check(self, got, items, mark, packed=False):
        """It is what a server says to all of them."""
        self.assertEqual((got.status, got.mark), (200, mark), got.body)
        self.assertEqual(got.json, embeddings(items, packed))
        self.assertEqual(got.field("content-type").split(";")[0], "application/json")
        self.assertEqual(int(got.field("content-length")), len(got.body))

    def test_ninety_known_of_a_hundred(self):
        for shards in SHARDS:
            for coalesce in ("auto", "never"):
                with self.subTest(shards=shards, coalesce=coalesce):
                    self.begin(shards=shards, model={"coalesce": coalesce})
                    items = [f"text {number}" for number in range(100)]
                    old, new = items[:90], items[90:]
                    self.check(self.embed(old), old, "miss")
                    self.known(old)
                    mixed = new[:5] + old + new[5:]
                    got = self.embed(mixed)
                    self.check(got, mixed, "partial")
                    self.assertEqual(self.asked, [old, new])
                    self.assertEqual(got.field("x-sluice-backend"), self.server.url)
                    self.known(items)
                    back = items[::-1]
                    got = self.embed(back)
                    self.check(got, back, "hit")
                    self.assertRegex(got.field("age"), r"^\d+$")
                    self.assertEqual(len(self.asked), 2)

    def test_what_comes_twice_is_asked_for_once(self):
        for shards in SHARDS:
            with self.subTest(shards=shards):
                self.begin(shards=shards)
                items = ["a", "b", "a", "c", "b", "a"]
                self.check(self.embed(items), items, "miss")
                self.assertEqual(self.asked, [["a", "b", "c"]])
                self.known(["c", "a", "b"])
                items.append("d")
                self.check(self.embed(items), items, "partial")
                self.assertEqual(self.asked[1:], [["d"]])

    def test_one_text_is_a_batch_of_one(self):
        self.begin(shards=3)
        self.check(self.embed("a"), ["a"], "miss")
        self.assertEqual(self.asked, ["a"])
        self.known("a")
        self.check(self.embed(["a"]), ["a"], "hit")
        self.check(self.embed(["a", "b"]), ["a", "b"], "partial")
        self.known("b")
        self.check(self.embed("b"), ["b"], "hit")
        self.assertEqual(self.asked, ["a", ["b"]])

    def test_tokens_instead_of_texts(self):
        def embed(peer, asked):
            given = asked.json["input"]
            peer.send(json_answer(embeddings([str(each) for each in given])))
        self.begin(embed)
        self.embed([[1, 2], [3]])
        self.known([[3], [1, 2]])
        got = self.embed([[3], [4], [1, 2]])
        self.assertEqual(got.json["data"], embeddings(["[3]", "[4]", "[1, 2]"])["data"])
        self.assertEqual((got.mark, self.asked[1:]), ("partial", [[[4]]]))

    def test_the_rest_of_the_request_goes_on_as_it_is(self):
        bodies = []

        def embed(peer, asked):
            bodies.append(asked.body)
            answer(peer, asked)
        self.begin(embed)
        self.embed(["a"], dimensions=3, user="x")
        self.known(["a"], dimensions=3, user="x")
        raw = b'{"input" :[ "a","\\u0062\\n"] ,"dimensions":3, "user":"x","model":"m"}'
        with Client(self.gate.address) as client:
            got = client.ask(request("POST", "/v1/embeddings", raw, self.gate.host))
        self.assertEqual(got.field("x-sluice-cache"), "partial")
        self.assertEqual(bodies[1], b'{"input" :["\\u0062\\n"] ,"dimensions":3, "user":"x",'
                                    b'"model":"m"}')
        # Other parameters are other vectors.
        self.check(self.embed(["a"], dimensions=2), ["a"], "miss")
        self.assertEqual(self.embed(["a"], dimensions=3, user="y").mark, "miss")

    def test_base64_is_not_mixed_with_numbers(self):
        self.begin()
        for form, packed in (("float", False), ("base64", True)):
            self.check(self.embed(["a"], encoding_format=form), ["a"], "miss", packed)
            self.known(["a"], encoding_format=form)
            got = self.embed(["a", "b"], encoding_format=form)
            self.check(got, ["a", "b"], "partial", packed)

    def test_an_answer_that_does_not_fit(self):
        """Then the server is asked for all, and what it says to that is the answer."""
        def without_one(items):
            said = embeddings(items)
            said["data"].pop()
            return said

        def twice_the_same(items):
            said = embeddings(items)
            for each in said["data"]:
                each["index"] = 0
            return said
        forms = {"one is missing": without_one, "indexes": twice_the_same,
                 "base64": lambda items: embeddings(items, True),
                 "longer": lambda items: embeddings(items, size=4),
                 "no json": lambda items: "none",
                 "an error": lambda items: {"error": {"message": "no", "code": 500}}}
        for name, form in forms.items():
            for shards in SHARDS:
                with self.subTest(name, shards=shards):
                    def embed(peer, asked, form=form):
                        items = asked.json["input"]
                        good = "new" not in items or "old" in items
                        peer.send(json_answer(embeddings(items) if good else form(items)))
                    self.begin(embed, shards=shards)
                    self.embed(["old", "older"])
                    self.known(["old", "older"])
                    got = self.embed(["old", "new", "newer"])
                    if name == "an error":
                        self.assertGreaterEqual(got.status, 500)
                        self.assertFalse(self.is_known(["new"]))
                        continue
                    self.check(got, ["old", "new", "newer"], "miss")
                    self.assertEqual(self.asked[1:], [["new", "newer"], ["old", "new", "newer"]])
                    self.known(["newer", "new", "older"])

    def test_nothing_false_is_kept_of_a_whole_answer(self):
        def embed(peer, asked):
            said = embeddings(asked.json["input"])
            said["data"].pop()
            peer.send(json_answer(said))
        self.begin(embed)
        for _ in range(2):
            got = self.embed(["a", "b"])
            self.assertEqual((got.status, got.mark, len(got.json["data"])), (200, "miss", 1))
        self.assertEqual(self.asked, [["a", "b"]] * 2)
        self.assertFalse(self.is_known(["a"]))

    def test_a_refusal_speaks_of_the_clients_own_list(self):
        def embed(peer, asked):
            items = asked.json["input"]
            if "bad" not in items:
                return answer(peer, asked)
            text = f"input[{items.index('bad')}] is bad"
            return peer.send(json_answer({"error": {"message": text, "code": 400}}, 400, "Bad"))
        for shards in SHARDS:
            with self.subTest(shards=shards):
                self.begin(embed, shards=shards)
                self.embed(["a", "b"])
                self.known(["a", "b"])
                got = self.embed(["a", "b", "bad"])
                self.assertEqual(got.status, 400)
                self.assertIn("input[2]", got.json["error"]["message"])
                self.check(self.embed(["a", "b"]), ["a", "b"], "hit")

    def test_a_failure_passes(self):
        def embed(peer, asked):
            if "new" not in asked.json["input"]:
                return answer(peer, asked)
            return peer.send(json_answer({"error": {"message": "out of memory", "code": 500}},
                                         500, "Internal Server Error"))
        self.begin(embed)
        self.embed(["a"])
        self.known(["a"])
        got = self.embed(["a", "new"])
        self.assertEqual(got.status, 500, got.body)
        self.assertIn("out of memory", got.json["error"]["message"])
        self.assertFalse(self.is_known(["new"]))

    def test_a_server_that_dies_in_its_answer(self):
        def embed(peer, asked):
            if "new" not in asked.json["input"]:
                return answer(peer, asked)
            peer.send(json_answer(embeddings(asked.json["input"]))[:-20])
            return peer.close()
        self.begin(embed)
        self.embed(["a"])
        self.known(["a"])
        got = self.embed(["a", "new"])
        self.assertGreaterEqual(got.status, 500)
        self.assertFalse(self.is_known(["new"]))

    def test_the_client_leaves(self):
        gone = []

        def embed(peer, asked):
            if "new" not in asked.json["input"]:
                return answer(peer, asked)
            gone.append(peer.wait_gone())
            return None
        for shards in SHARDS:
            with self.subTest(shards=shards):
                self.begin(embed, shards=shards)
                self.embed(["a"])
                self.known(["a"])
                with Client(self.gate.address) as client:
                    body = json.dumps({"model": "m", "input": ["a", "new"]}).encode()
                    client.send(request("POST", "/v1/embeddings", body, self.gate.host))
                    wait_until(lambda: len(self.asked) == 2, "the rest is asked for")
                self.assertEqual(self.asked, [["a"], ["new"]])
                wait_until(lambda: len(gone) == SHARDS.index(shards) + 1, "the server is left")
                self.check(self.embed(["a"]), ["a"], "hit")

    def test_another_model_that_steps_in_is_not_mixed_in(self):
        asked = []

        def embed(peer, seen):
            asked.append(seen.json["input"])
            if "new" in seen.json["input"] or seen.json["model"] == "n":
                return peer.send(json_answer({"error": {"message": "no", "code": 503}}, 503, "No"))
            return answer(peer, seen)

        def other(peer, seen):
            peer.send(json_answer({**embeddings(seen.json["input"]), "model": "n"}))
        gate = self.gateway(
            {"m": {"backends": [backend(self.scripted(embed))], "health": BLIND, "cache": KEPT,
                   "fallback": {"any": ["n"]}},
             "n": {"backends": [backend(self.scripted(other, models=("n",)))], "health": BLIND}})
        self.gate = gate
        self.embed(["a"])
        self.known(["a"])
        got = self.embed(["a", "new"])
        self.assertEqual((got.status, got.mark), (200, "miss"), got.body)
        self.assertEqual(got.json, {**embeddings(["a", "new"]), "model": "n"})
        self.assertFalse(self.is_known(["new"]))

    def test_consumers_share_only_what_a_group_says(self):
        known = consumers(ann="key-of-ann", bob="key-of-bob", eve="key-of-eve")
        for each in known[:2]:
            each["group"] = "team"
        for share, marks in (("consumer", ["miss"] * 3), ("group", ["miss", "partial", "miss"]),
                             ("everybody", ["miss", "partial", "partial"])):
            for shards in SHARDS:
                with self.subTest(share=share, shards=shards):
                    self.begin(cache={"share": share}, consumers=known, shards=shards)
                    found = []
                    for name in ("ann", "bob", "eve"):
                        key = [key_field(f"key-of-{name}")]
                        items = ["a", "b", f"of {name}"]
                        got = self.embed(items, key)
                        self.check(got, items, got.mark)
                        found.append(got.mark)
                        self.known(items, key)
                    self.assertEqual(found, marks)

    def test_cache_control(self):
        self.begin(shards=3)
        self.embed(["a"])
        self.known(["a"])
        self.assertFalse(self.is_known(["a", "b"]))
        self.assertEqual(self.embed(["a", "b"], ["Cache-Control: no-store"]).mark, "bypass")
        self.assertEqual(self.embed(["a", "b"], ["Cache-Control: no-cache"]).mark, "miss")
        self.assertEqual(self.embed(["a", "c"], ["Cache-Control: max-age=0"]).mark, "miss")
        self.assertEqual(self.asked, [["a"], ["a", "b"], ["a", "b"], ["a", "c"]])

    def test_it_is_counted(self):
        self.begin()
        self.embed(["a", "b", "c"])
        self.known(["a", "b", "c"])
        self.embed(["a", "new", "b", "newer"])
        line = self.gate.logged(cache="partial")
        self.assertEqual((line["prompt_tokens"], line["backend"]), (3 + 5 + 3 + 7, self.server.url))
        value = self.counters(self.gate)
        self.assertEqual(value("sluice_cache_requests_total", result="partial"), 1)
        # Each text was read once: a, b, c, new, newer.
        self.assertEqual(value("sluice_tokens_total", type="input"), 3 * 3 + 5 + 7)
        hits = value("sluice_cache_requests_total", result="hit")
        self.assertEqual(value("sluice_cache_saved_tokens_total", type="input"), 2 * 3 + 9 * hits)

    def test_one_that_tells_no_tokens(self):
        def embed(peer, asked):
            said = embeddings(asked.json["input"])
            del said["usage"]
            peer.send(json_answer(said))
        self.begin(embed)
        self.assertNotIn("usage", self.embed(["a"]).json)
        self.known(["a"])
        got = self.embed(["a", "b"])
        self.assertEqual((got.mark, "usage" in got.json), ("partial", False))

    def test_many_at_once(self):
        for shards in SHARDS:
            for coalesce in ("auto", "never"):
                with self.subTest(shards=shards, coalesce=coalesce):
                    self.begin(shards=shards, model={"coalesce": coalesce})

                    def work(index):
                        for turn in range(4):
                            first = (index * 7 + turn * 3) % 20
                            items = [f"t{number % 20}" for number in range(first, first + 12)]
                            got = self.embed(items)
                            self.check(got, items, got.mark)
                    together(12, work)

    def test_a_document_that_is_too_long_to_be_put_together(self):
        # A megabyte a vector: twenty of them are more than what is put together.
        def embed(peer, asked):
            peer.send(json_answer(embeddings(asked.json["input"], size=200_000)))
        self.begin(embed, limits={"cache": "256MiB"})
        items = [f"t{number}" for number in range(24)]
        for item in items[:4]:
            self.embed([item])
            self.known([item])
        got = self.embed(items)
        self.assertEqual((got.status, got.mark), (200, "miss"))
        self.assertEqual(got.json, embeddings(items, size=200_000))
        got = self.embed(["t0"] * 24)
        self.assertEqual(got.json, embeddings(["t0"] * 24, size=200_000))
        self.assertEqual(self.asked[-2:], [items, ["t0"] * 24])

    def test_a_body_that_is_too_long_is_passed_by(self):
        self.begin()
        items = [str(number) * 50_000 for number in range(4, 10)] * 4
        got = self.embed(items)
        self.check(got, items, "bypass")
        self.assertTrue(self.gate.logged(cache="bypass", cache_cause="too_large"))

    def test_ollamas_own(self):
        def embed(peer, asked):
            given = asked.json["input"]
            peer.send(json_answer({"model": "m", "embeddings": [vector(text) for text in given],
                                   "total_duration": 7, "load_duration": 1,
                                   "prompt_eval_count": 10 * len(given)}))
        self.asked = []
        served = self.scripted(lambda peer, asked: (self.asked.append(asked.json["input"]),
                                                    embed(peer, asked)))
        served.pages["/api/version"] = {"version": "0.12.0"}
        served.pages["/api/tags"] = {"models": [{"name": "m", "model": "m"}]}
        self.gate = self.gateway({"m": {"backends": [backend(served)], "health": BLIND,
                                        "cache": KEPT}})
        wait_until(lambda: self.embed(["a"], path="/api/embed").status == 200, "it is Ollama")
        self.known(["a"], path="/api/embed")
        got = self.embed(["a", "b"], path="/api/embed")
        self.assertEqual(got.json, {"model": "m", "embeddings": [vector("a"), vector("b")],
                                    "total_duration": 7, "load_duration": 1,
                                    "prompt_eval_count": 20})
        self.assertEqual((got.mark, self.asked), ("partial", [["a"], ["b"]]))

    def test_sluice_sim_and_the_sdk(self):
        for shards in SHARDS:
            with self.subTest(shards=shards):
                sim = self.sim("--model", "m")
                self.gate = self.gateway({"m": {"backends": [backend(sim)], "health": BLIND,
                                                "cache": KEPT}}, shards=shards)
                items = ["hello", "world", "rain", "snow"]

                def direct(encoding, sim=sim, items=items):
                    body = json.dumps({"model": "m", "input": items,
                                       "encoding_format": encoding}).encode()
                    with Client(sim.address) as client:
                        return client.ask(request("POST", "/v1/embeddings", body)).json
                for encoding in ("float", "base64"):
                    self.assertEqual(self.embed(items[::2], encoding_format=encoding).mark, "miss")
                    self.known(items[::2], encoding_format=encoding)
                    for mark in ("partial", "hit"):
                        got = self.embed(items, encoding_format=encoding)
                        self.assertEqual(got.mark, mark)
                        self.assertEqual(got.json["data"], direct(encoding)["data"])
                        self.known(items, encoding_format=encoding)
                if not NO_SDK:
                    plain = call(sim.url, "embeddings", model="m")
                    for _ in range(2):
                        self.assertEqual(call(self.gate.url, "embeddings", model="m"), plain)


if __name__ == "__main__":
    main()
