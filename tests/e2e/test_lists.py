#!/usr/bin/env python3
"""Lists of models: what clients of OpenAI, Anthropic and Ollama are told, on any backend."""

import datetime
import json
import re
import socket

from backend import json_answer, loading_answer
from harness import Gateway, error_in, main, request
from pool_case import PoolCase, backend, consumers, key_field
from wire import wait_until

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")

LLAMA = {"object": "list", "data": [{
    "id": "tiny-chat", "aliases": ["tiny-chat", "small"], "tags": [], "object": "model",
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "created": 1795227815, "owned_by": "llamacpp",
    "meta": {"vocab_type": 2, "n_vocab": 1171, "n_ctx": 4096, "n_ctx_train": 8192, "n_embd": 64,
             "n_params": 1500000000, "size": 928512, "ftype": "Q4_K - Medium"}}],
    "models": [{"name": "tiny-chat", "model": "tiny-chat", "modified_at": "", "size": "",
                "digest": "", "type": "model", "capabilities": ["completion", "multimodal"],
                "details": {"format": "gguf", "family": "", "families": [""]}}]}
PROPS = {"total_slots": 2, "default_generation_settings": {"n_ctx": 2048},
         "modalities": {"vision": True, "audio": False}, "endpoint_slots": True}
VLLM = {"object": "list", "data": [{
    "id": "Qwen/Qwen3-4B", "object": "model", "created": 1795000000, "owned_by": "vllm",
    "root": "Qwen/Qwen3-4B", "parent": None, "max_model_len": 32768,
    "permission": [{"id": "modelperm-1", "object": "model_permission"}]}]}
LM_STUDIO = {"object": "list", "data": [
    {"id": "qwen2.5-vl", "object": "model", "owned_by": "organization_owner"},
    {"id": "nomic-embed", "object": "model", "owned_by": "organization_owner"}]}
LM_STUDIO_MORE = {"object": "list", "data": [
    {"id": "qwen2.5-vl", "object": "model", "type": "vlm", "publisher": "lmstudio-community",
     "arch": "qwen2_vl", "compatibility_type": "gguf", "quantization": "Q4_K_M", "state": "loaded",
     "max_context_length": 128000, "loaded_context_length": 8192},
    {"id": "nomic-embed", "object": "model", "type": "embeddings", "arch": "nomic-bert",
     "state": "not-loaded", "max_context_length": 2048}]}
DIGEST = "4e" * 32
OLLAMA = {"object": "list", "data": [
    {"id": "tiny:latest", "object": "model", "created": 1795100000, "owned_by": "library"},
    {"id": "llama3.2:1b", "object": "model", "created": 1795100001, "owned_by": "library"}]}
TAGS = {"models": [
    {"name": "tiny:latest", "model": "tiny:latest", "size": 777, "digest": DIGEST,
     "modified_at": "2026-11-20T10:11:12.123456789+01:00",
     "details": {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
                 "parameter_size": "1.2M", "quantization_level": "F16", "context_length": 16384},
     "capabilities": ["completion", "thinking"]},
    {"name": "llama3.2:1b", "model": "llama3.2:1b", "size": 9, "digest": "5f" * 32,
     "modified_at": "2026-11-21T10:11:12Z", "details": {"family": "llama"}}]}
RUNNING = {"models": [
    {"name": "tiny:latest", "model": "tiny:latest", "size": 888, "digest": DIGEST,
     "details": {"family": "llama"}, "expires_at": "2026-12-01T00:00:00+01:00",
     "size_vram": 555, "context_length": 4096}]}


class ListCase(PoolCase):

    def serving(self, pages, server=None, script=None):
        made = self.scripted(script or (lambda peer, _: peer.send(json_answer({"ok": True}))))
        made.pages, made.server = pages, server
        return made

    def llama(self, **more):
        return self.serving({"/v1/models": LLAMA, "/props": PROPS}, "llama.cpp", **more)

    def vllm(self, **more):
        return self.serving({"/v1/models": VLLM}, "uvicorn", **more)

    def lm_studio(self, **more):
        return self.serving({"/v1/models": LM_STUDIO, "/api/v0/models": LM_STUDIO_MORE}, **more)

    def ollama(self, **more):
        return self.serving({"/v1/models": OLLAMA, "/api/tags": TAGS, "/api/ps": RUNNING,
                             "/api/version": {"version": "0.19.2"}}, **more)

    def begin(self, *servers, known=(), **top):
        """A gateway that serves what they list, once it knows these names."""
        self.made = self.gateway(top.pop("models", {}), backends=[each.url for each in servers],
                                 **top)
        wait_until(lambda: set(known) <= set(self.ids()), f"{known} are listed")
        return self.made

    def get(self, path, fields=(), method="GET", body=b""):
        with self.made.client() as client:
            return client.ask(request(method, path, body, self.made.host, fields), method)

    def post(self, path, value):
        return self.get(path, (), "POST", json.dumps(value).encode())

    def list(self, path="/v1/models", fields=()):
        answer = self.get(path, fields)
        self.assertEqual(answer.status, 200, answer)
        return {entry["id"]: entry for entry in answer.json["data"]}

    def ids(self):
        return [entry["id"] for entry in self.get("/v1/models").json.get("data", [])]

    def tags(self):
        return {entry["name"]: entry for entry in self.get("/api/tags").json["models"]}


class Entries(ListCase):

    def test_C1_entries_carry_what_clients_read_whatever_their_server_says(self):
        servers = (self.llama(), self.vllm(), self.lm_studio(), self.ollama(),
                   self.serving({"/v1/models": {"data": [{"id": "bare"}]}}))
        self.begin(*servers, known=["tiny-chat", "Qwen/Qwen3-4B", "qwen2.5-vl", "tiny:latest",
                                    "bare"])
        entries = self.list()
        for name, entry in entries.items():
            self.assertEqual((entry["object"], entry["id"]), ("model", name))
            self.assertIsInstance(entry["created"], int)
            self.assertIsInstance(entry["owned_by"], str)
        # A llama-server's slots have less room than its model would take.
        for name, context in (("tiny-chat", 2048), ("Qwen/Qwen3-4B", 32768), ("qwen2.5-vl", 8192),
                              ("nomic-embed", 2048), ("tiny:latest", 4096)):
            entry = entries[name]
            self.assertEqual((entry["context_length"], entry["max_model_len"]), (context, context))
            self.assertIn(entry["meta"]["n_ctx"], (context, 4096), name)
        for name, modalities in (("tiny-chat", ["text", "image"]), ("nomic-embed", ["text"]),
                                 ("qwen2.5-vl", ["text", "image"])):
            self.assertEqual(entries[name]["architecture"]["input_modalities"], modalities)
            self.assertEqual(entries[name]["architecture"]["output_modalities"], ["text"])
        self.assertEqual(entries["tiny-chat"]["created"], 1795227815)
        self.assertEqual(entries["tiny-chat"]["meta"]["n_vocab"], 1171)
        self.assertEqual((entries["Qwen/Qwen3-4B"]["owned_by"], entries["Qwen/Qwen3-4B"]["root"]),
                         ("vllm", "Qwen/Qwen3-4B"))
        self.assertNotIn("context_length", entries["bare"])

    def test_C1_the_settings_say_the_context_where_they_do(self):
        server = self.vllm()
        self.begin(known=["m"], models={"m": {"backends": [backend(server, context=1000)]},
                                        "n": {"backends": [backend("http://127.0.0.1:1",
                                                                   context=512)]}})
        self.assertEqual(self.list()["n"]["context_length"], 512)
        self.assertEqual(self.list("/v1/models?limit=9")["n"]["max_input_tokens"], 512)

    def test_C1_a_list_that_only_says_the_time_again_is_no_news(self):
        times = iter(range(1795000000, 1795009999))

        def page(_):
            entry = dict(LLAMA["data"][0], created=next(times))
            return {"data": [entry]}
        server = self.serving({"/v1/models": page, "/props": PROPS}, "llama.cpp")
        self.begin(server, known=["tiny-chat"])
        before = self.list()["tiny-chat"]["created"]
        asked = len(server.probes)
        wait_until(lambda: sum(probe.path == "/v1/models" for probe in server.probes[asked:]) >= 3,
                   "it is asked again")
        self.assertEqual(self.list()["tiny-chat"]["created"], before)


class Anthropic(ListCase):

    def test_C1_anthropics_form_by_its_headers_or_by_pages(self):
        self.begin(self.vllm(), self.lm_studio(), known=["Qwen/Qwen3-4B", "qwen2.5-vl"])
        for path, fields in (("/v1/models", ["anthropic-version: 2023-06-01"]),
                             ("/v1/models", ["anthropic-version: 2026-10-21", "X-Api-Key: k"]),
                             ("/v1/models?beta=true", ["anthropic-beta: x"]),
                             ("/v1/models?limit=1000", []), ("/v1/models?limit=20&x=y", [])):
            answer = self.get(path, fields).json
            self.assertEqual((answer["has_more"], answer["first_id"], answer["last_id"]),
                             (False, "Qwen/Qwen3-4B", "nomic-embed"))
            for entry in answer["data"]:
                self.assertEqual((entry["type"], entry["display_name"]), ("model", entry["id"]))
                self.assertRegex(entry["created_at"], DATE)
            self.assertEqual(answer["data"][0]["created_at"], "2026-11-18T11:06:40Z")
            self.assertEqual(answer["data"][0]["max_input_tokens"], 32768)
            self.assertLessEqual({"capabilities", "max_tokens", "lifecycle", "retires_at"},
                                 set(answer["data"][0]))
        self.assertNotIn("has_more", self.get("/v1/models").json)
        one = self.get("/v1/models/Qwen%2FQwen3-4B", ["anthropic-version: 2023-06-01"]).json
        self.assertEqual((one["type"], one["id"]), ("model", "Qwen/Qwen3-4B"))

    def test_C1_a_refusal_of_a_list_is_in_the_form_that_was_asked_whoever_refuses(self):
        server = self.vllm()
        self.made = self.gateway({}, backends=[server.url], consumers=consumers(a="sk-a"))
        new = "anthropic-version: 2026-10-21"
        for path, fields, method in (("/v1/models", [new], "GET"), ("/models", [new], "GET"),
                                     ("/v1/models?limit=20", [], "GET"),
                                     ("/v1/models/m", ["anthropic-beta: x"], "GET"),
                                     ("/v1/models/nobody", [new, key_field("sk-a")], "GET"),
                                     ("/v1/models", [new, key_field("sk-a")], "POST"),
                                     ("/v1/models", [new, "Origin: https://evil.example"], "GET"),
                                     ("/v1/models", [new, "Sec-Fetch-Site: cross-site"], "GET")):
            answer = self.get(path, fields, method)
            self.assertIn(answer.status, (401, 403, 404, 405), answer)
            self.assertEqual(answer.json["type"], "error", answer)
            self.assertEqual(answer.json["request_id"], answer.field("request-id"))
            self.assertEqual(answer.field("x-request-id"), answer.field("request-id"))
        with self.made.client() as client:
            answer = client.ask(request("GET", "/v1/models", host="evil.example", fields=[new]))
        self.assertEqual((answer.status, answer.json["type"]), (421, "error"))
        self.assertEqual(answer.json["request_id"], answer.field("request-id"))
        answer = self.get("/v1/models")
        self.assertEqual((answer.status, "type" in answer.json), (401, False))

    def test_C1_pages_meet(self):
        names = [f"org/m{number:02}:q" for number in range(7)]
        self.begin(self.serving({"/v1/models": {"data": [{"id": name} for name in names]}}),
                   known=names)
        for limit in (1, 2, 3, 7, 20):
            seen, after = [], ""
            while True:
                page = self.get(f"/v1/models?limit={limit}{after}").json
                self.assertLessEqual(len(page["data"]), limit)
                seen += [entry["id"] for entry in page["data"]]
                self.assertEqual((page["first_id"], page["last_id"]),
                                 (page["data"][0]["id"], page["data"][-1]["id"]))
                if not page["has_more"]:
                    break
                after = "&after_id=" + page["last_id"].replace("/", "%2F").replace(":", "%3A")
            self.assertEqual(seen, names)
        page = self.get("/v1/models?limit=2&before_id=org/m04:q").json
        self.assertEqual([entry["id"] for entry in page["data"]], names[2:4])
        self.assertTrue(page["has_more"])
        empty = self.get(f"/v1/models?after_id={names[-1]}").json
        self.assertEqual((empty["data"], empty["has_more"], empty["first_id"], empty["last_id"]),
                         ([], False, None, None))
        for odd in ("0", "-1", "x", "99999999999999999999"):
            self.assertEqual(len(self.get(f"/v1/models?limit={odd}").json["data"]), 7)

    def test_C1_a_refusal_is_in_the_form_that_was_asked(self):
        self.begin(self.vllm(), known=["Qwen/Qwen3-4B"])
        answer = self.get("/v1/models/nobody", ["anthropic-version: 2023-06-01"])
        self.assertEqual((answer.status, answer.json["type"], answer.json["error"]["type"]),
                         (404, "error", "not_found_error"))
        error_in(self.get("/v1/models/nobody"))


def bound(kept, port):
    try:
        kept.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


class Ollama(ListCase):

    def test_C2_the_ways_in_are_there_on_any_backend(self):
        self.begin(self.llama(), self.vllm(), self.lm_studio(),
                   known=["tiny-chat", "Qwen/Qwen3-4B", "qwen2.5-vl"], aliases={"gpt": "tiny-chat"})
        for method, path in (("HEAD", "/"), ("GET", "/"), ("GET", "/api/version"),
                             ("HEAD", "/api/version"), ("GET", "/api/tags"), ("HEAD", "/api/tags"),
                             ("GET", "/api/ps")):
            answer = self.get(path, (), method)
            self.assertEqual(answer.status, 200, (method, path))
        version = self.get("/api/version").json["version"]
        self.assertRegex(version, r"\A\d+\.\d+\.\d+\Z")
        self.assertGreaterEqual([int(part) for part in version.split(".")], [0, 6, 4])
        tags = self.tags()
        self.assertEqual(set(tags), {"tiny-chat:latest", "small:latest", "gpt:latest",
                                     "Qwen/Qwen3-4B:latest", "qwen2.5-vl:latest",
                                     "nomic-embed:latest"})
        digests = set()
        for name, entry in tags.items():
            self.assertEqual(entry["model"], name)
            self.assertRegex(entry["digest"], r"\A[0-9a-f]{64}\Z")
            self.assertRegex(entry["modified_at"], DATE)
            datetime.datetime.fromisoformat(entry["modified_at"].replace("Z", "+00:00"))
            self.assertIsInstance(entry["size"], int)
            for key in ("parent_model", "format", "family", "parameter_size", "quantization_level"):
                self.assertIsInstance(entry["details"][key], str)
            self.assertIsInstance(entry["details"]["families"], list)
            digests.add(entry["digest"])
        self.assertEqual(len(digests), len(tags))
        self.assertEqual(self.tags(), tags, "the same as before")
        self.assertEqual(tags["tiny-chat:latest"]["details"]["parameter_size"], "1.5B")
        self.assertEqual(tags["qwen2.5-vl:latest"]["details"]["quantization_level"], "Q4_K_M")
        self.assertEqual(tags["qwen2.5-vl:latest"]["details"]["family"], "qwen2_vl")
        self.assertEqual(set(tags["tiny-chat:latest"]["capabilities"]),
                         {"completion", "tools", "vision"})
        self.assertEqual(tags["nomic-embed:latest"]["capabilities"], ["embedding"])
        running = {entry["name"]: entry for entry in self.get("/api/ps").json["models"]}
        self.assertIn("tiny-chat:latest", running)
        self.assertNotIn("nomic-embed:latest", running, "its server says that it is not loaded")
        for entry in running.values():
            self.assertRegex(entry["expires_at"], DATE)
            self.assertIsInstance(entry["size_vram"], int)
        self.assertEqual(running["tiny-chat:latest"]["context_length"], 2048)

    def test_C2_what_is_down_or_sleeps_does_not_run(self):
        server = self.llama()
        server.pages["/props"] = dict(PROPS, is_sleeping=True)
        down = self.vllm()
        self.begin(server, down, known=["tiny-chat", "Qwen/Qwen3-4B"])
        self.assertEqual([entry["name"] for entry in self.get("/api/ps").json["models"]],
                         ["Qwen/Qwen3-4B:latest"])
        port = down.address[1]
        down.stop()
        # So that no other test's server gets its port: nobody listens there.
        with socket.socket() as kept:
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wait_until(lambda: bound(kept, port), "its port is free")
            wait_until(lambda: self.get("/api/ps").json["models"] == [], "it is seen to be down")
            self.assertEqual(len(self.tags()), 3, "it can be asked for all the same")

    def test_C2_a_model_is_shown_from_what_is_known(self):
        server = self.llama()
        self.begin(server, self.lm_studio(), known=["tiny-chat", "qwen2.5-vl"])
        for body in ({"model": "tiny-chat"}, {"model": "tiny-chat:latest", "verbose": True},
                     {"name": "TINY-CHAT:latest"}, {"model": "", "name": "small"}):
            answer = self.post("/api/show", body)
            self.assertEqual(answer.status, 200, answer)
            shown = answer.json
            self.assertEqual(set(shown["capabilities"]), {"completion", "tools", "vision"})
            architecture = shown["model_info"]["general.architecture"]
            self.assertEqual(shown["model_info"][f"{architecture}.context_length"], 2048)
            self.assertEqual(shown["details"]["format"], "gguf")
            for key in ("modelfile", "parameters", "template", "license"):
                self.assertIsInstance(shown[key], str)
            self.assertRegex(shown["modified_at"], DATE)
        info = self.post("/api/show", {"model": "qwen2.5-vl"}).json["model_info"]
        self.assertEqual((info["general.architecture"], info["qwen2_vl.context_length"]),
                         ("qwen2_vl", 8192))
        missing = self.post("/api/show", {"model": "nobody"})
        self.assertEqual((missing.status, type(missing.json["error"])), (404, str))
        self.assertEqual(server.requests, [])

    def test_C2_an_ollama_says_its_own(self):
        server = self.ollama()
        self.begin(server, known=["tiny:latest"])
        wait_until(lambda: self.get("/api/ps").json["models"], "it is known what is loaded")
        self.assertEqual(self.get("/api/version").json, {"version": "0.19.2"})
        tags = self.tags()
        wanted = TAGS["models"][0]
        self.assertEqual({key: tags["tiny:latest"][key] for key in wanted if key != "details"},
                         {key: value for key, value in wanted.items() if key != "details"})
        self.assertEqual(tags["tiny:latest"]["details"]["family"], "llama")
        self.assertEqual(set(tags), {"tiny:latest", "llama3.2:1b"})
        running = self.get("/api/ps").json["models"]
        self.assertEqual([entry["name"] for entry in running], ["tiny:latest"])
        # Of its file in one list, of what it takes up in memory in the other one.
        self.assertEqual((running[0]["size"], running[0]["size_vram"], running[0]["expires_at"]),
                         (888, 555, RUNNING["models"][0]["expires_at"]))
        server.pages["/api/ps"] = {"models": []}
        wait_until(lambda: self.get("/api/ps").json["models"] == [], "it is unloaded")
        self.assertEqual(self.tags()["tiny:latest"]["size"], 777)
        for body in ({"model": "tiny"}, {"name": "tiny:latest"}):
            self.assertEqual(self.post("/api/show", body).json, {"ok": True}, "it is relayed")
            seen = server.requests[-1]
            self.assertEqual((seen.path, seen.json.get("model", seen.json.get("name"))),
                             ("/api/show", "tiny:latest"))

    def test_C1_the_context_of_an_ollama_model_that_is_not_loaded(self):
        asked = []

        def show(seen):
            asked.append(seen.json)
            if seen.json["model"] == "llama3.2:1b":
                return {"details": {"family": "llama"}, "capabilities": ["completion", "tools"],
                        "model_info": {"general.architecture": "llama",
                                       "general.parameter_count": 1235814432,
                                       "llama.context_length": 131072}}
            return {"parameters": "stop    \"<|end|>\"\nnum_ctx                        8192\n",
                    "model_info": {"general.architecture": "qwen2",
                                   "qwen2.context_length": 32768}}
        server = self.ollama()
        entries = [*OLLAMA["data"], {"id": "set:latest", "object": "model", "created": 1795100002,
                                     "owned_by": "library"}]
        server.pages["/v1/models"] = {"object": "list", "data": entries}
        server.pages["/api/show"] = show
        self.begin(server, known=["llama3.2:1b"])
        for name, context in (("llama3.2:1b", 131072), ("set:latest", 8192),
                              ("tiny:latest", 4096)):
            wait_until(lambda name=name, context=context:
                       self.list()[name].get("context_length") == context, f"{name}: {context}")
            self.assertEqual(self.tags()[name]["details"]["context_length"], context)
        self.assertEqual(self.tags()["llama3.2:1b"]["capabilities"], ["completion", "tools"])
        # What is known is not asked for again, and what its lists tell not at all.
        self.assertEqual(sorted(each["model"] for each in asked), ["llama3.2:1b", "set:latest"])
        # A model that has become another one is.
        server.pages["/api/tags"] = {"models": [
            TAGS["models"][0], {**TAGS["models"][1], "digest": "60" * 32}]}
        wait_until(lambda: len(asked) >= 3, "it is asked for anew")
        self.assertEqual(asked[-1]["model"], "llama3.2:1b")
        self.assertEqual(server.requests, [])

    def test_C2_names_that_are_one_to_ollama_stand_once_in_its_lists(self):
        server = self.ollama()
        self.begin(server, known=["tiny", "tiny:latest"], aliases={"tiny": "tiny:latest"})
        names = [entry["name"] for entry in self.get("/api/tags").json["models"]]
        self.assertEqual(sorted(names), ["llama3.2:1b", "tiny:latest"])
        wait_until(lambda: [entry["name"] for entry in self.get("/api/ps").json["models"]] ==
                   ["tiny:latest"], "it is loaded, and stands there once")

    def test_C2_a_model_that_is_named_shortly_is_described(self):
        server = self.ollama()
        self.begin(known=["coder", "tiny"], models={
            "coder": {"backends": [backend(server, model="tiny")]},
            "tiny": {"backends": [backend(server)]}})
        wait_until(lambda: self.tags()["coder:latest"]["size"] == 777, "it is described")
        wait_until(lambda: self.get("/api/ps").json["models"], "it is known what is loaded")
        for name, entry in self.list().items():
            self.assertEqual((entry["created"], entry["owned_by"], entry["context_length"]),
                             (1795100000, "library", 4096), name)
        wanted = TAGS["models"][0]
        for entry in self.tags().values():
            for key in ("size", "digest", "modified_at"):
                self.assertEqual(entry[key], wanted[key])
        self.assertEqual({entry["name"]: entry["size"] for entry in
                          self.get("/api/ps").json["models"]},
                         {"coder:latest": 888, "tiny:latest": 888})

    def test_C2_a_named_model_and_the_same_in_its_servers_list_are_one(self):
        server = self.ollama()
        self.made = Gateway("--backend", server.url, "--model", f"tiny={server.url}")
        self.addCleanup(self.made.stop)
        wait_until(lambda: "llama3.2:1b" in self.ids(), "it is listed")
        self.assertEqual(self.ids(), ["tiny", "llama3.2:1b"])
        for name in ("tiny", "tiny:latest", "library/TINY"):
            self.assertEqual(self.post("/v1/completions", {"model": name}).status, 200)

    def test_C2_a_server_that_does_not_speak_it_is_not_asked(self):
        server, other = self.llama(), self.vllm()
        self.begin(server, other, known=["tiny-chat", "Qwen/Qwen3-4B"])
        for model, kind in (("tiny-chat", "llama-server"), ("Qwen/Qwen3-4B", "vLLM")):
            for path, instead in (("/api/chat", "/v1/chat/completions"),
                                  ("/api/generate", "/v1/completions"),
                                  ("/api/embed", "/v1/embeddings"),
                                  ("/api/embeddings", "/v1/embeddings")):
                answer = self.post(path, {"model": model, "messages": []})
                self.assertEqual((answer.status, list(answer.json)), (400, ["error"]))
                for part in (model, kind, path, instead):
                    self.assertIn(part, answer.json["error"])
                self.assertEqual(answer.field("x-should-retry"), "false")
        self.assertEqual(server.requests + other.requests, [])

    def test_C2_an_unknown_server_is_asked_and_its_no_is_said_clearly(self):
        for value in (b"<html></html>", b"", {}):
            server = self.serving({"/v1/models": {"data": [{"id": "m"}]}},
                                  script=lambda peer, _, value=value:
                                  peer.send(json_answer(value, 404, "Not Found")))
            self.begin(server, known=["m"])
            answer = self.post("/api/chat", {"model": "m", "messages": []})
            self.assertEqual(list(answer.json), ["error"])
            self.assertIn("Ollama", answer.json["error"])
            self.assertIn("/v1/chat/completions", answer.json["error"])
            self.assertGreaterEqual(answer.status, 400)
            self.assertLess(answer.status, 500)

    def test_C2_what_manages_models_is_refused_with_what_there_is(self):
        server = self.llama()
        self.begin(server, known=["tiny-chat", "small"])
        for method, path, deed in (("POST", "/api/pull", "pulled"), ("POST", "/api/push", "pushed"),
                                   ("POST", "/api/create", "made"), ("POST", "/api/copy", "copied"),
                                   ("DELETE", "/api/delete", "deleted"),
                                   ("HEAD", f"/api/blobs/sha256:{DIGEST}", ""),
                                   ("POST", f"/api/blobs/sha256:{DIGEST}", "made"),
                                   ("POST", "/api/me", "pushed")):
            answer = self.get(path, (), method, b'{"model":"x"}')
            self.assertEqual(answer.status, 404, path)
            if deed:
                self.assertEqual(answer.json, {
                    "error": f"Models are not {deed} through the gateway; those that it serves: "
                             "tiny-chat, small."})
        self.assertEqual(server.requests, [])
        self.made = self.gateway({}, backends=[server.url], consumers=consumers(a="sk-a"))
        self.assertNotIn("tiny", self.post("/api/pull", {"model": "x"}).body.decode())

    def test_C2_strangers_are_told_nothing(self):
        server = self.llama()
        self.made = self.gateway({}, backends=[server.url], consumers=consumers(a="sk-a"))
        for path in ("/api/tags", "/api/ps", "/api/version"):
            answer = self.get(path)
            self.assertEqual((answer.status, list(answer.json)), (401, ["error"]))
            self.assertEqual(self.get(path, [key_field("sk-a")]).status, 200)
        self.assertEqual(self.get("/", (), "HEAD").status, 200)

    def test_C2_before_anything_is_known_it_is_said(self):
        server = self.scripted(lambda peer, _: peer.send(loading_answer()))
        server.mute = True
        self.made = self.gateway({}, backends=[server.url])
        for path in ("/api/tags", "/api/ps"):
            answer = self.get(path)
            if answer.status != 200:  # else it was given up meanwhile
                self.assertEqual((answer.status, list(answer.json)), (503, ["error"]))


if __name__ == "__main__":
    main()
