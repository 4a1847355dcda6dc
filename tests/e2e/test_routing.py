#!/usr/bin/env python3
"""Which backend answers: models, aliases, pools, discovery, and what is not served."""

import contextlib
import os
import socket
import tempfile
import unittest

from backend import Backend, address_that_refuses, json_answer
from harness import (Gateway, GatewayCase, chat_body, chat_request, error_in, main, request)
from wire import Client, wait_until


def get(gateway, path):
    with gateway.client() as client:
        return client.ask(request("GET", path, host=gateway.host))


def ids(gateway):
    return [entry["id"] for entry in get(gateway, "/v1/models").json["data"]]


def form(parts, boundary="b"):
    """A multipart body; a part is (name, more of its disposition, value)."""
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n".encode() +
        value + b"\r\n" for name, more, value in parts)
    return body + f"--{boundary}--\r\n".encode()


class Started(unittest.TestCase):
    """Starts what a case asks for, and ends it afterwards."""

    def backend(self, *models, script=None, path=None):
        backend = Backend(models=models or ("m",), path=path)
        if script:
            backend.script = script
        self.addCleanup(backend.stop)
        return backend

    def gateway(self, *flags, **options):
        gateway = Gateway(*flags, **options)
        self.addCleanup(gateway.stop)
        return gateway

    def chat(self, gateway, **more):
        with gateway.client() as client:
            return client.ask(chat_request(**more))


class Models(Started):

    def test_the_lists_of_all_servers_are_merged(self):
        one, two = self.backend("a", "b"), self.backend("c", "a")
        gateway = self.gateway("--backend", one.url, "--backend", two.url,
                               "--model", f"d={one.url}", "--alias", "e=c")
        wait_until(lambda: {"a", "b", "c", "d"} <= set(ids(gateway)), "all models are listed")
        answer = get(gateway, "/v1/models")
        self.assertEqual(answer.field("content-type").split(";")[0], "application/json")
        self.assertEqual(answer.json["object"], "list")
        for entry in answer.json["data"]:
            self.assertEqual(entry["object"], "model")
            self.assertIsInstance(entry["created"], int)
            self.assertIsInstance(entry["owned_by"], str)
        self.assertEqual(len(set(ids(gateway))), len(ids(gateway)), "each is listed once")

    def test_one_model_by_its_id(self):
        backend = self.backend("a", "org/model:7b")
        gateway = self.gateway("--backend", backend.url)
        wait_until(lambda: "a" in ids(gateway), "the models are listed")
        self.assertEqual(get(gateway, "/v1/models/a").json["id"], "a")
        for path in ("/v1/models/org/model:7b", "/v1/models/org%2Fmodel%3A7b"):
            self.assertEqual(get(gateway, path).json["id"], "org/model:7b")
        missing = get(gateway, "/v1/models/b")
        self.assertEqual((missing.status, error_in(missing)["code"]), (404, "model_not_found"))

    def test_two_models_on_two_servers(self):
        one, two = self.backend("a"), self.backend("b")
        gateway = self.gateway("--model", f"a={one.url}", "--model", f"b={two.url}")
        with gateway.client() as client:
            for name, backend in (("a", one), ("b", two), ("a", one)):
                backend.forget()
                answer = client.ask(chat_request(model=name))
                self.assertEqual(answer.status, 200)
                self.assertEqual([r.json["model"] for r in backend.requests], [name])
                line = gateway.logged(id=answer.field("x-request-id"))
                self.assertEqual(line["model"], name)
                self.assertIn(str(backend.address[1]), line["backend"])

    def test_a_pool_takes_turns(self):
        one, two = self.backend(), self.backend()
        gateway = self.gateway("--model", f"m={one.url}", "--model", f"m={two.url}",
                               "--shards", "1")
        for _ in range(10):
            self.assertEqual(self.chat(gateway).status, 200)
        self.assertEqual((len(one.requests), len(two.requests)), (5, 5))

    def test_an_alias_changes_the_name_and_no_other_byte(self):
        backend = self.backend()
        gateway = self.gateway("--model", f"m={backend.url}#its own \"name\"",
                               "--alias", "gpt-4o-mini=m")
        pattern = '\n{ "x":[1.0, {"model":"inner"}], "mod\\u0065l" : %s ,"y":"\\"model\\"" }  '
        for name in ('"gpt-4o-mini"', '"m"', '"\\u006d"'):
            backend.forget()
            body = (pattern % name).encode()
            with gateway.client() as client:
                self.assertEqual(client.ask(request("POST", "/v1/embeddings", body)).status, 200)
            self.assertEqual(backend.requests[0].body,
                             (pattern % '"its own \\"name\\""').encode())

    def test_an_unknown_model_gets_404_that_names_the_models_there_are(self):
        one = self.backend()
        gateway = self.gateway("--model", f"first={one.url}", "--model", f"second={one.url}")
        answer = self.chat(gateway, model="third")
        self.assertEqual(answer.status, 404)
        error = error_in(answer)
        self.assertEqual((error["code"], error["param"]), ("model_not_found", "model"))
        self.assertIn("'third'", error["message"])
        self.assertEqual(error["models"], ["first", "second"])
        self.assertEqual(one.requests, [])

    def test_a_request_without_a_model_goes_to_the_only_one(self):
        one = self.backend()
        body = b'{"messages":[]}'
        with self.gateway("--model", f"m={one.url}").client() as client:
            self.assertEqual(client.ask(request("POST", "/v1/chat/completions", body)).status, 200)
        self.assertEqual(one.requests[0].body, b'{"model":"m",' + body[1:])
        with self.gateway("--model", f"m={one.url}", "--model", f"n={one.url}").client() as client:
            answer = client.ask(request("POST", "/v1/chat/completions", body))
        self.assertEqual(answer.status, 400)
        self.assertEqual(error_in(answer)["param"], "model")


class Multipart(GatewayCase):

    flags = ("--model", "n=http://127.0.0.1:1", "--alias", "whisper-1=m")

    def post(self, body, boundary="b"):
        self.backend.forget(lambda peer, _: peer.send(json_answer({"text": "hi"})))
        with self.gateway.client() as client:
            return client.ask(request(
                "POST", "/v1/audio/transcriptions", body, self.gateway.host,
                content_type=f"multipart/form-data; boundary={boundary}"))

    AUDIO = ("file", "; filename=\"a.wav\"", bytes(range(256)) * 300 + b"\r\n--B\r\n -b--b")

    def test_the_model_part_routes(self):
        model = ("model", "", b"m")
        for parts in ([model, self.AUDIO], [self.AUDIO, model]):
            body = form(parts)
            self.assertEqual(self.post(body).status, 200)
            self.assertEqual(self.backend.requests[0].body, body)
            self.assertIn("boundary=b", self.backend.requests[0].field("content-type"))

    def test_an_alias_is_put_in_and_no_other_byte_changes(self):
        parts = [self.AUDIO, ("model", "", b"whisper-1"), ("language", "", b"en")]
        self.assertEqual(self.post(form(parts)).status, 200)
        parts[1] = ("model", "", b"m")
        self.assertEqual(self.backend.requests[0].body, form(parts))

    def test_what_is_not_well_formed_gets_400(self):
        twice = [("model", "", b"m"), ("model", "", b"other")]
        for body, boundary in ((form(twice), "b"), (form([self.AUDIO]), "b"), (b"", "b"),
                               (form([("model", "", b"m")]), "other"),
                               (form([("model", "", b"m")])[:-6], "b"),
                               (form([("model", "", b"m")]), "")):
            answer = self.post(body, boundary)
            self.assertEqual(answer.status, 400, answer)
            error_in(answer)
            self.assertEqual(self.backend.requests, [])


class Paths(GatewayCase):

    def ask(self, method, path, **more):
        with self.gateway.client() as client:
            return client.ask(request(method, path, host=self.gateway.host, **more), method)

    def test_an_unknown_path_gets_404(self):
        for path in ("/v1", "/v1/", "/v1/chat", "/V1/models", "/v1/chat/completions/x"):
            for method in ("GET", "POST"):
                answer = self.ask(method, path)
                self.assertEqual(answer.status, 404, (method, path))
                error_in(answer)

    def test_a_wrong_method_gets_405_with_what_is_allowed(self):
        for method, path, allowed in (("GET", "/v1/chat/completions", "POST"),
                                      ("DELETE", "/v1/embeddings", "POST"),
                                      ("POST", "/v1/models", "GET"), ("PUT", "/healthz", "GET"),
                                      ("PATCH", "/v1/models/m", "GET")):
            answer = self.ask(method, path)
            self.assertEqual(answer.status, 405, (method, path))
            self.assertIn(allowed, answer.field("allow").replace(" ", "").split(","))
            error_in(answer)

    def test_health_and_readiness(self):
        self.assertEqual(self.ask("GET", "/healthz").status, 200)
        self.assertEqual(self.ask("GET", "/readyz").status, 200)

    def test_every_answer_carries_an_id_of_its_own(self):
        answers = [self.ask("GET", path) for path in ("/healthz", "/v1/models", "/nowhere")]
        with self.gateway.client() as client:
            answers += [client.ask(self.chat()) for _ in range(2)]
        found = [answer.field("x-request-id") for answer in answers]
        self.assertEqual(len(set(found)), 5)
        self.assertNotIn(None, found)
        self.assertEqual(self.backend.requests[-1].field("x-request-id"), found[-1])
        self.assertIsNotNone(answers[-1].field("x-sluice-backend"))

    def test_the_query_goes_with_the_path(self):
        with self.gateway.client() as client:
            client.ask(request("POST", "/v1/chat/completions?a=b&c", chat_body()))
        self.assertEqual(self.backend.requests[0].target, "/v1/chat/completions?a=b&c")

    def test_the_backend_sees_its_own_host_and_the_clients_fields(self):
        with self.gateway.client() as client:
            client.ask(self.chat(fields=["Authorization: Bearer abc", "X-Mine: 1",
                                         "Accept: text/event-stream"]))
        seen = self.backend.requests[0]
        self.assertEqual(seen.field("host"), f"127.0.0.1:{self.backend.address[1]}")
        self.assertEqual((seen.field("authorization"), seen.field("x-mine")), ("Bearer abc", "1"))
        self.assertEqual(seen.field("x-forwarded-for"), "127.0.0.1")

    def test_row_151_a_destination_in_the_request_is_not_obeyed(self):
        other = Backend()
        self.addCleanup(other.stop)
        with self.gateway.client() as client:
            client.ask(self.chat(api_base=other.url, base_url=other.url, url=other.url))
        self.assertEqual((len(self.backend.requests), len(other.requests)), (1, 0))

    def test_row_162_a_path_that_reads_in_two_ways_is_refused(self):
        for path in ("/v1/..%2fadmin", "/v1/../v1/models", "//v1/models", "/v1//models",
                     "/v1/models%00", "/v1/mod%65ls", "/v1/models;x=y", "/v1/./models",
                     "/v1/chat%2fcompletions", "/v1/models%", "/v1\\models", "/%2e%2e/v1/models"):
            for method in ("GET", "POST"):
                self.assertIn(self.ask(method, path).status, (400, 404), path)
        self.assertEqual(self.backend.requests, [])

    def test_row_163_what_steers_a_backend_is_not_served(self):
        for path in ("/slots", "/slots/0?action=erase", "/props", "/models/load", "/models/unload",
                     "/lora-adapters", "/api/pull", "/api/delete", "/v1/stream",
                     "/sleep", "/wake_up", "/v1/load_lora_adapter"):
            for method in ("GET", "POST", "DELETE"):
                self.assertIn(self.ask(method, path).status, (404, 405), (method, path))
        self.assertEqual(self.backend.requests, [])


class Prefix(Started):

    def test_a_prefix_of_the_url_goes_before_the_path(self):
        backend = self.backend()
        gateway = self.gateway("--model", f"m={backend.url}/some/prefix")
        self.assertEqual(self.chat(gateway).status, 200)
        self.assertEqual(backend.requests[0].target, "/some/prefix/v1/chat/completions")


class Discovery(Started):

    @contextlib.contextmanager
    def on_a_known_port(self):
        """A socket that is bound, not listening, on a port where model servers are looked for."""
        for port in (52415, 13305, 12434, 30000, 5001, 9931, 1234):
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    sock.bind(("127.0.0.1", port))
                    yield sock, port
                    return
        self.skipTest("every well-known port is taken on this machine")

    def listening(self, sock, *models):
        """Turns the bound socket into a backend."""
        backend = self.backend(*models)
        with contextlib.suppress(OSError):
            backend.listener.shutdown(socket.SHUT_RDWR)
        sock.listen(64)
        backend.listener = sock.dup()
        backend.restart()
        return backend

    def test_a_server_on_a_well_known_port_is_found(self):
        with self.on_a_known_port() as (sock, port):
            backend = self.listening(sock, "found-by-its-port")
            gateway = self.gateway()
            wait_until(lambda: "found-by-its-port" in ids(gateway), "the model is listed")
            answer = self.chat(gateway, model="found-by-its-port")
            self.assertEqual(answer.status, 200)
            self.assertEqual(len(backend.requests), 1)
            self.assertIn(str(port), gateway.logged(path="/v1/chat/completions")["backend"])

    def test_it_never_finds_itself(self):
        with self.on_a_known_port() as (sock, port):
            sock.close()
            gateway = self.gateway("--listen", f"127.0.0.1:{port}", listen=False)
            with gateway.client() as client:
                self.assertEqual(client.ask(request("GET", "/v1/models")).status, 200)
                said = client.ask(request("GET", "/metrics")).body.decode()
            # Had it asked itself, it would have found a server that answers.
            self.assertIn("sluice_build_info", said)
            self.assertNotIn(f"127.0.0.1:{port}", said)

    def test_the_fallback_is_used_when_nothing_is_found(self):
        fallback = self.backend("spare")
        gateway = self.gateway("--fallback-backend", fallback.url)
        if "spare" not in wait_until(lambda: ids(gateway), "some model is listed"):
            self.skipTest("a model server runs on a well-known port of this machine")
        self.assertEqual(self.chat(gateway, model="spare").status, 200)

    def test_the_fallback_is_not_used_beside_a_server_that_was_found(self):
        with self.on_a_known_port() as (sock, _):
            self.listening(sock, "found-by-its-port")
            fallback = self.backend("spare")
            gateway = self.gateway("--fallback-backend", fallback.url)
            wait_until(lambda: "found-by-its-port" in ids(gateway), "the model is listed")
            self.assertNotIn("spare", ids(gateway))

    def test_the_list_of_a_backend_is_read_again(self):
        backend = self.backend("a")
        gateway = self.gateway("--backend", backend.url)
        wait_until(lambda: ids(gateway) == ["a"], "the first list")
        backend.models = ("b", "c")
        wait_until(lambda: sorted(ids(gateway)) == ["b", "c"], "the second list", 60)
        self.assertEqual(self.chat(gateway, model="c").status, 200)
        self.assertEqual(self.chat(gateway, model="a").status, 404)

    def test_a_backend_that_comes_later_is_served(self):
        holder, url = address_that_refuses()
        gateway = self.gateway("--backend", url)
        self.assertEqual(ids(gateway), [])
        self.assertIn(self.chat(gateway, model="late").status, (404, 503))
        backend = self.listening(holder, "late")
        wait_until(lambda: ids(gateway) == ["late"], "the model is listed", 60)
        self.assertEqual(self.chat(gateway, model="late").status, 200)
        self.assertEqual(len(backend.requests), 1)


class UnixSockets(Started):

    def test_both_sides(self):
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = os.path.join(folder, "gateway"), os.path.join(folder, "backend")
            backend = self.backend(path=theirs)
            gateway = self.gateway("--listen", f"unix:{ours}", "--model", f"m=unix:{theirs}",
                                   listens=2)
            self.assertEqual(gateway.addresses[1], ours)
            with Client(ours) as client:
                for stream in (False, True):
                    answer = client.ask(chat_request(host="localhost", stream=stream))
                    self.assertEqual(answer.status, 200)
                    self.assertTrue(answer.complete)
            self.assertEqual(len(backend.requests), 2)
            self.assertEqual(self.chat(gateway).status, 200)


if __name__ == "__main__":
    main()
