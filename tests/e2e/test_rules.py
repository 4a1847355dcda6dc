#!/usr/bin/env python3
"""Rules of the file: which model serves a request by more than its name; names that lead elsewhere
(aliases, wildcards, the default); priorities."""

import json
import os
import tempfile
import threading
import unittest

from backend import Backend, answer_chat, json_answer
from harness import Gateway, chat_body, error_in, main, request
from wire import wait_until

MODELS = """\
models:
  small:
    backends: [{{url: "{small}", model: small-own}}]
  large:
    backends: [{{url: "{large}", model: large-own}}]
"""


class Ruled(unittest.TestCase):
    """Two models, each on its own backend, and the rules of a case."""

    def setUp(self):
        self.small, self.large = Backend(), Backend()
        for backend in (self.small, self.large):
            self.addCleanup(backend.stop)

    def file(self, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "gateway.config.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.format(small=self.small.url, large=self.large.url))
        return path

    def gateway(self, text, *flags, models=MODELS):
        # Each shard has a line and a part of the log of its own; who wants several says so.
        own = () if "--shards" in flags else ("--shards", "1")
        gateway = Gateway("--config", self.file(models + text), *own, *flags)
        self.addCleanup(gateway.stop)
        return gateway

    def ask(self, gateway, path="/v1/chat/completions", fields=(), body=None, **more):
        with gateway.client() as client:
            return client.ask(request("POST", path, body or chat_body(**more), fields=fields))

    def served_by(self, gateway, **more):
        """The name of the model that served the request, by the backend that got it."""
        before = len(self.small.requests), len(self.large.requests)
        answer = self.ask(gateway, **more)
        self.assertEqual(answer.status, 200, answer)
        after = len(self.small.requests), len(self.large.requests)
        if after == (before[0] + 1, before[1]):
            return "small"
        self.assertEqual(after, (before[0], before[1] + 1))
        return "large"


class Conditions(Ruled):

    def test_each_condition_by_itself(self):
        long_text = "x" * 3000
        cases = {
            "headers: {{x-team: 'blue*'}}": (
                [{"fields": ["X-Team: blue-1"]}, {"fields": ["x-TEAM:blue"]}],
                [{}, {"fields": ["X-Team: red"]}, {"fields": ["X-Teams: blue"]}]),
            "query: {{beta: '1'}}": (
                [{"path": "/v1/chat/completions?beta=1"},
                 {"path": "/v1/chat/completions?a&beta=1"}],
                [{}, {"path": "/v1/chat/completions?beta=2"}]),
            "stream: true": ([{"stream": True}], [{}, {"stream": False}]),
            "stream: false": ([{}, {"stream": False}], [{"stream": True}]),
            "tools: true": ([{"tools": [{"type": "function"}]}], [{}, {"tools": []}]),
            "max_tokens: {{min: 1000}}": (
                [{"max_tokens": 1000}, {"max_completion_tokens": 4000}],
                [{}, {"max_tokens": 999}]),
            "prompt_bytes: {{min: 2000}}": (
                [{"content": long_text}], [{}, {"padding": long_text}]),
            "model: 'sm*'": ([{}], [{"model": "large"}]),
            "path: /v1/embeddings": ([{"path": "/v1/embeddings"}], [{}]),
            "method: POST": ([{}], []),
        }
        for condition, (holds, fails) in cases.items():
            gateway = self.gateway(
                f"rules:\n- {{{{name: it, when: {{{{{condition}}}}}, use: large}}}}\n")
            for more in holds + fails:
                with self.subTest(condition, more=str(more)[:80]):
                    expected = "large" if more in holds else more.get("model", "small")
                    self.assertEqual(self.served_by(gateway, **{"model": "small", **more}),
                                     expected)
                    # Settled when the answer is out; the line says which rule it was.
            lines = wait_until(lambda count=len(holds + fails): len(gateway.log()) >= count and
                               gateway.log(), "every request is logged")
            self.assertEqual([line.get("rule") for line in lines],
                             ["it"] * len(holds) + [None] * len(fails), condition)

    def test_the_first_rule_that_holds_decides_and_the_backend_is_asked_for_its_own_name(self):
        gateway = self.gateway("rules:\n- {{name: one, when: {{stream: true}}, use: small}}\n"
                               "- {{name: two, use: large}}\n")
        self.assertEqual(self.served_by(gateway, model="nobody knows it", stream=True), "small")
        self.assertEqual(self.served_by(gateway, model="small"), "large")
        self.assertEqual(self.small.requests[0].json["model"], "small-own")
        body = b'{ "model" : "x","messages":[ ]}'
        self.assertEqual(self.served_by(gateway, body=body), "large")
        self.assertEqual(self.large.requests[-1].body, body.replace(b'"x"', b'"large-own"'))

    def test_a_form_is_ruled_too(self):
        gateway = self.gateway("rules:\n- {{name: it, when: {{model: whisper*}}, use: large}}\n")
        body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
        self.large.script = lambda peer, _: peer.send(json_answer({"text": "hi"}))
        with gateway.client() as client:
            answer = client.ask(request("POST", "/v1/audio/transcriptions", body,
                                        content_type="multipart/form-data; boundary=b"))
        self.assertEqual(answer.status, 200)
        self.assertIn(b"large-own", self.large.requests[0].body)

    def test_a_rule_that_names_a_model_there_is_not_now_gets_404_that_names_it(self):
        text = ("backends: ['{small}']\ndefault_model: m\n"
                "rules:\n- {{name: it, when: {{stream: true}}, use: gone}}\n")
        gateway = self.gateway(text, models="")
        answer = self.ask(gateway, stream=True)
        self.assertEqual(answer.status, 404)
        for part in ("'gone'", "'it'"):
            self.assertIn(part, error_in(answer)["message"])
        self.assertEqual(gateway.logged(status=404)["rule"], "it")
        self.assertEqual(self.ask(gateway).status, 200)

    def test_what_a_rule_reads_does_not_depend_on_how_the_request_arrives(self):
        gateway = self.gateway("rules:\n- {{name: it, when: {{headers: {{x-a: '1'}}, "
                               "query: {{q: z}}}}, use: large}}\n")
        data = request("POST", "/v1/chat/completions?q=z", chat_body(model="small"),
                       fields=["X-A: 1"])
        with gateway.client() as client:
            for cuts in ([10], [len(data) - 3], list(range(7, len(data), 7))):
                client.send_in_pieces(data, cuts)
                self.assertEqual(client.read().status, 200)
                _ = client.answer.body
        self.assertEqual((len(self.small.requests), len(self.large.requests)), (0, 3))


class Splits(Ruled):

    def split(self, percent, sticky, *flags):
        return self.gateway(
            f"rules:\n- name: canary\n  sticky: {{{{{sticky}}}}}\n  split: "
            f"[{{{{model: small, percent: {100 - percent}}}}}, "
            f"{{{{model: large, percent: {percent}}}}}]\n", *flags)

    def test_percentages_without_a_key(self):
        gateway = self.split(20, "by: header, header: x-user")
        count = 500
        with gateway.client() as client:
            for _ in range(count):
                self.assertEqual(client.ask(request("POST", "/v1/chat/completions",
                                                    chat_body())).status, 200)
        # Mean 100, standard deviation 9.
        self.assertTrue(55 <= len(self.large.requests) <= 145, len(self.large.requests))
        self.assertEqual(len(self.small.requests) + len(self.large.requests), count)

    def test_a_header_sticks(self):
        gateway = self.split(50, "by: header, header: x-user")
        chosen = {user: self.served_by(gateway, fields=[f"x-user: {user}"]) for user in range(40)}
        self.assertEqual(set(chosen.values()), {"small", "large"})
        for user, model in chosen.items():
            self.assertEqual(self.served_by(gateway, fields=[f"x-user: {user}"]), model)

    def test_a_client_sticks(self):
        gateway = self.split(50, "by: client")
        self.assertEqual(len({self.served_by(gateway, content=str(n)) for n in range(20)}), 1)

    def test_a_canary_sticks_to_the_conversation_also_after_a_restart_and_on_each_shard(self):
        def turns(topic):
            messages = [{"role": "system", "content": "be brief"},
                        {"role": "user", "content": f"tell me of {topic}"}]
            yield messages
            messages = [*messages, {"role": "assistant", "content": "so"},
                        {"role": "user", "content": "and then?"}]
            yield messages
            yield [*messages, {"role": "assistant", "content": "y"},
                   {"role": "user", "content": "z"}]

        first = self.split(30, "by: conversation")
        chosen = {}
        for topic in range(60):
            served = {self.served_by(first, body=json.dumps(
                {"model": "any", "messages": messages}).encode()) for messages in turns(topic)}
            self.assertEqual(len(served), 1, topic)
            chosen[topic] = served.pop()
        # Mean 18, standard deviation 3.5: the keys are fixed, so this is the same in every run.
        self.assertTrue(6 <= list(chosen.values()).count("large") <= 32, chosen)
        again = self.split(30, "by: conversation", "--shards", "2")
        for topic, model in chosen.items():
            body = json.dumps({"model": "any", "messages": list(turns(topic))[2]}).encode()
            self.assertEqual(self.served_by(again, body=body), model)

    def test_a_conversation_that_the_client_names(self):
        gateway = self.split(50, "by: conversation")
        for name in range(10):
            served = {self.served_by(gateway, content=str(turn), prompt_cache_key=f"c{name}")
                      for turn in range(5)}
            self.assertEqual(len(served), 1)
        self.assertTrue(self.small.requests and self.large.requests)


class Names(Ruled):

    def test_C2_a_rule_holds_for_the_model_however_it_is_written(self):
        gateway = self.gateway(
            "    aliases: [big]\ndefault_model: large\naliases: {{other: small}}\nrules:\n"
            "  - {{name: streams, when: {{model: large, stream: true}}, use: small}}\n"
            "  - {{name: by alias, when: {{model: other, path: /v1/completions}}, use: large}}\n"
            "  - {{name: like, when: {{model: 'sm*', path: /v1/embeddings}}, use: large}}\n")
        for name in ("large", "LARGE", "large:latest", "library/Large", "big", "Big:latest",
                     "nobody"):
            self.assertEqual(self.served_by(gateway, model=name), "large", name)
            self.assertEqual(self.served_by(gateway, model=name, stream=True), "small", name)
        for name in ("other", "small", "Small:latest", "OTHER"):
            self.assertEqual(self.served_by(gateway, model=name), "small", name)
            for path in ("/v1/completions", "/v1/embeddings"):
                self.assertEqual(self.served_by(gateway, path=path, model=name), "large",
                                 (name, path))

    def test_the_default_model_serves_what_names_none_or_none_that_there_is(self):
        gateway = self.gateway("default_model: large\n")
        self.assertEqual(self.served_by(gateway, model="never heard of"), "large")
        self.assertEqual(self.large.requests[-1].json["model"], "large-own")
        self.assertEqual(self.served_by(gateway, body=b'{"messages":[]}'), "large")
        self.assertEqual(self.large.requests[-1].body, b'{"model":"large-own","messages":[]}')
        self.assertEqual(self.served_by(gateway, body=b'{"messages":[],"model":null}'), "large")
        self.assertEqual(self.large.requests[-1].body, b'{"messages":[],"model":"large-own"}')
        self.assertEqual(self.served_by(gateway, model="small"), "small")

    def test_aliases_of_the_model_and_of_the_file(self):
        gateway = self.gateway("    aliases: [big]\naliases: {{tiny: small}}\n")
        self.assertEqual(self.served_by(gateway, model="big"), "large")
        self.assertEqual(self.served_by(gateway, model="tiny"), "small")
        self.assertEqual(self.small.requests[-1].json["model"], "small-own")

    WILD = """\
models:
  "gpt-*":
    backends: [{{url: "{small}"}}]
  "gpt-4o*":
    backends: [{{url: "{large}"}}]
"""

    def test_a_wildcard_serves_what_it_matches_and_passes_the_name_on(self):
        gateway = self.gateway("", models=self.WILD)
        for name, model in (("gpt-3", "small"), ("gpt-4o", "large"), ("gpt-4o-mini", "large")):
            self.assertEqual(self.served_by(gateway, model=name), model)
            backend = self.small if model == "small" else self.large
            self.assertEqual(backend.requests[-1].json["model"], name)
        self.assertEqual(self.ask(gateway, model="o3").status, 404)
        with gateway.client() as client:
            listed = client.ask(request("GET", "/v1/models")).json["data"]
        self.assertEqual(listed, [])

    def test_where_only_a_wildcard_serves_no_name_is_known_to_be_put_in(self):
        gateway = self.gateway("", models="models:\n  \"gpt-*\":\n"
                                          "    backends: [{{url: \"{small}\"}}]\n")
        self.assertEqual(self.served_by(gateway, body=b'{"messages":[]}'), "small")
        self.assertEqual(self.small.requests[-1].body, b'{"messages":[]}')

    def test_what_leads_to_a_name_of_a_wildcard_asks_for_that_name(self):
        gateway = self.gateway("default_model: gpt-4o-x\naliases: {{cheap: gpt-3}}\nrules:\n"
                               "- {{name: r, when: {{stream: true}}, use: gpt-4o-mini}}\n",
                               models=self.WILD)
        self.assertEqual(self.served_by(gateway, model="cheap"), "small")
        self.assertEqual(self.small.requests[-1].json["model"], "gpt-3")
        self.assertEqual(self.served_by(gateway, model="unknown"), "large")
        self.assertEqual(self.large.requests[-1].json["model"], "gpt-4o-x")
        self.assertEqual(self.served_by(gateway, model="gpt-3", stream=True), "large")
        self.assertEqual(self.large.requests[-1].json["model"], "gpt-4o-mini")

    def test_a_fallback_through_a_wildcard_asks_for_the_name_it_says(self):
        gateway = self.gateway("", models="""\
models:
  local:
    backends: [{{url: "{small}"}}]
    fallback: [gpt-4o-mini]
  "gpt-*":
    backends: [{{url: "{large}"}}]
""")
        self.small.script = lambda peer, _: peer.send(json_answer({"error": "x"}, 500, "Broken"))
        self.assertEqual(self.ask(gateway, model="local").status, 200)
        self.assertEqual(self.large.requests[-1].json["model"], "gpt-4o-mini")


class Priorities(Ruled):

    def test_the_priority_header_orders_the_line(self):
        gateway = self.gateway("", models="""\
models:
  m:
    backends: [{{url: "{small}", slots: 1}}]
    queue: {{priority_header: x-priority, notice_first: 0}}
""")
        free = threading.Event()
        alone = in_flight(gateway)

        def script(peer, got):
            if got.json["messages"][0]["content"] == "first":
                free.wait(30)
            answer_chat(peer, got)

        self.small.script = script
        clients = []

        def send(content, *fields):
            client = gateway.client()
            self.addCleanup(client.close)
            client.send(request("POST", "/v1/chat/completions", chat_body(content=content),
                                fields=fields))
            clients.append(client)

        send("first")
        self.small.wait_requests(1)
        # 16 and -1 are no classes, so these come with the ones that say nothing (8).
        order = [("none", ()), ("9", ("X-Priority: 9",)), ("16", ("x-priority: 16",)),
                 ("0", ("x-priority: 0",)), ("-1", ("x-priority: -1",)), ("7", ("X-Priority:7",))]
        for count, (content, fields) in enumerate(order, 1):
            send(content, *fields)
            wait_until(lambda count=count: in_flight(gateway) == alone + 1 + count,
                       f"{count} wait")
        free.set()
        for client in clients:
            self.assertEqual(client.read().status, 200)
            _ = client.answer.body
        self.assertEqual([r.json["messages"][0]["content"] for r in self.small.requests],
                         ["first", "0", "7", "none", "16", "-1", "9"])


def in_flight(gateway):
    """Requests that are under way, the one that asks among them."""
    with gateway.client() as client:
        text = client.ask(request("GET", "/metrics")).body.decode()
    lines = [line for line in text.splitlines() if line.startswith("sluice_requests_in_flight")]
    return sum(int(float(line.split()[-1])) for line in lines)


if __name__ == "__main__":
    main()
