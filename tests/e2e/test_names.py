#!/usr/bin/env python3
"""Names of models: aliases, Ollama's spelling, and what the settings name."""

from backend import json_answer
from harness import Gateway, chat_body, main
from pool_case import backend
from test_lists import ListCase
from wire import wait_until


class Names(ListCase):

    def test_C1_aliases_stand_in_the_list_and_say_the_id_that_was_asked(self):
        server = self.llama()
        self.begin(server, known=["tiny-chat"], models={
            "m": {"aliases": ["claude-local", {"name": "hidden", "list": False}],
                  "backends": [backend(server, model="tiny-chat")]},
            "secret": {"list": False, "aliases": ["shown"], "backends": [backend(server)]},
            "gpt-4*": {"backends": [backend(server)]}},
            aliases={"gpt-4o-mini": "m", "mini": {"model": "tiny-chat"},
                     "unlisted": {"model": "m", "list": False}, "wild": "gpt-4.1"})
        self.assertEqual(set(self.ids()), {"m", "tiny-chat", "claude-local", "shown", "gpt-4o-mini",
                                           "mini", "wild", "small"})
        self.assertEqual(len(self.ids()), len(set(self.ids())))
        for name in (*self.ids(), "hidden", "secret", "unlisted", "gpt-4.1", "M", "m:latest"):
            for form in ((), ("anthropic-version: 2023-06-01",)):
                answer = self.get(f"/v1/models/{name}", form)
                self.assertEqual((answer.status, answer.json["id"]), (200, name))
            answer = self.get("/v1/chat/completions", (), "POST", chat_body(model=name))
            self.assertEqual(answer.status, 200, name)
        self.assertEqual(self.get("/v1/models/nobody").status, 404)

    def test_C1_what_cannot_be_asked_is_not_listed(self):
        server = self.llama()
        self.begin(server, models={"mine": {"backends": [backend(server, model="tiny-chat")]},
                                   "any*": {"backends": [backend(server)]}},
                   known=["mine", "tiny-chat"])
        entries = self.list()
        self.assertEqual(set(entries), {"mine", "tiny-chat", "small"})
        # Not even as another name of an entry.
        self.assertEqual(entries["tiny-chat"]["aliases"], ["small"])
        self.assertNotIn("aliases", entries["mine"])

        only = self.gateway({"mine": {"backends": [backend(server, model="tiny-chat")]}})
        self.made = only
        wait_until(lambda: "meta" in self.list()["mine"], "it is described")
        self.assertEqual(self.ids(), ["mine"])
        self.assertNotIn("small", self.get("/v1/models").body.decode())

    def test_C1_an_alias_given_by_a_flag_is_listed(self):
        server = self.vllm()
        self.made = Gateway("--model", f"m={server.url}", "--alias", "short=m")
        self.addCleanup(self.made.stop)
        self.assertEqual(self.ids(), ["m", "short"])
        self.assertEqual(self.get("/v1/models/short").json["id"], "short")

    def test_C2_ollamas_forms_of_a_name_are_one_name_on_every_endpoint(self):
        server, plain = self.ollama(), self.serving({"/v1/models": {"data": [{"id": "Plain"}]}})
        self.begin(server, plain, known=["tiny:latest", "Plain"])
        bodies = {"/v1/chat/completions": {"messages": []}, "/v1/completions": {"prompt": "x"},
                  "/v1/embeddings": {"input": "x"}, "/v1/responses": {"input": "x"},
                  "/v1/messages": {"messages": []}, "/api/chat": {"messages": []},
                  "/api/generate": {"prompt": "x"}, "/api/embed": {"input": "x"}, "/api/show": {}}
        for name in ("tiny", "tiny:latest", "TINY:latest", "Tiny", "library/tiny:latest",
                     "library/tiny", "registry.ollama.ai/library/tiny:latest"):
            for path, body in bodies.items():
                answer = self.post(path, {"model": name, **body})
                self.assertEqual(answer.status, 200, (name, path, answer))
                self.assertEqual(server.requests[-1].json["model"], "tiny:latest")
                self.assertEqual(server.requests[-1].path, path)
        for name in ("Plain", "plain", "Plain:latest", "library/plain:latest"):
            self.assertEqual(self.post("/v1/completions", {"model": name}).status, 200)
            self.assertEqual(plain.requests[-1].json["model"], "Plain")
        for name in ("tiny:1b", "other/tiny", "tin", "tiny:latest:latest", "llama3.2"):
            self.assertEqual(self.post("/v1/completions", {"model": name}).status, 404, name)

    def test_C2_a_name_as_it_stands_goes_first(self):
        server = self.serving({"/v1/models": {"data": [{"id": "Tiny"}, {"id": "tiny"},
                                                       {"id": "x:latest"}, {"id": "x"}]}})
        self.begin(server, known=["x"], models={"*": {"backends": [backend(server)]}})
        for name, asked in (("Tiny", "Tiny"), ("tiny", "tiny"), ("x", "x"), ("TINY", "Tiny"),
                            ("x:latest", "x:latest"), ("X:latest", "x:latest"), ("other", "other")):
            self.assertEqual(self.post("/v1/completions", {"model": name}).status, 200)
            self.assertEqual(server.requests[-1].json["model"], asked)

    def test_C2_the_settings_may_say_a_name_as_ollama_finds_it(self):
        server, other = self.ollama(), self.vllm()
        self.begin(server, other, known=["tiny:latest", "Qwen/Qwen3-4B", "gpt-4o"],
                   aliases={"gpt-4o": "tiny", "chain": "short", "short": "library/TINY",
                            "small": "gpt-4o"},
                   default_model="Tiny",
                   models={"first": {"backends": [backend(self.failing())], "fallback": ["tiny"]}},
                   rules=[{"name": "by path", "when": {"path": "/v1/completions"},
                           "use": "tiny"}])
        self.assertEqual(set(self.ids()), {"first", "tiny:latest", "llama3.2:1b", "Qwen/Qwen3-4B",
                                           "gpt-4o", "chain", "short", "small"})
        for name in ("gpt-4o", "chain", "short", "small", "nobody", "first"):
            answer = self.post("/v1/chat/completions", {"model": name, "messages": []})
            self.assertEqual(answer.status, 200, (name, answer))
            self.assertIn(server.requests[-1].json["model"], ("tiny:latest", "tiny"))
        self.assertEqual(self.post("/v1/completions", {"model": "x"}).status, 200)
        for name in ("gpt-4o", "short"):
            self.assertEqual(self.get(f"/v1/models/{name}").json["id"], name)

    def failing(self):
        return self.scripted(lambda peer, _: peer.send(json_answer({"error": {"message": "no"}},
                                                                   503, "No")))

    def test_C1_an_alias_means_what_its_name_would_find(self):
        server = self.serving({"/v1/models": {"data": [{"id": "Big", "aliases": ["Big", "mine"]},
                                                       {"id": "small"}]}})
        self.begin(server, known=["Big"], models={"*": {"backends": [backend(server)]}},
                   aliases={"a": "b", "b": "big", "mine": "small", "c": "big:other", "d": "c",
                            "e": "MINE", "any": "else"})
        for name, asked in (("a", "Big"), ("b", "Big"), ("mine", "small"), ("e", "small"),
                            ("c", "big:other"), ("d", "big:other"), ("any", "else")):
            self.assertEqual(self.post("/v1/completions", {"model": name}).status, 200)
            self.assertEqual(server.requests[-1].json["model"], asked, name)

    def test_C1_a_refusal_names_aliases_as_well(self):
        server = self.vllm()
        self.begin(server, known=["Qwen/Qwen3-4B"],
                   aliases={"qwen": "Qwen/Qwen3-4B",
                            "hidden": {"model": "Qwen/Qwen3-4B", "list": False}})
        answer = self.post("/v1/chat/completions", {"model": "nobody", "messages": []})
        self.assertEqual((answer.status, answer.json["error"]["models"]),
                         (404, ["Qwen/Qwen3-4B", "qwen"]))


if __name__ == "__main__":
    main()
