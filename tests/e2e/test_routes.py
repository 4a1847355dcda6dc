#!/usr/bin/env python3
"""Generic routes of the file: paths that are no model's, relayed as they are to several servers."""

import gzip
import os
import socket
import tempfile
import unittest

from backend import (LAST_CHUNK, Backend, address_that_refuses, chunk, head, json_answer)
from harness import Gateway, chat_body, chat_request, error_in, main, request
from wire import Closed, wait_until


def say_what_came(peer, got):
    peer.send(json_answer({"method": got.method, "target": got.target,
                           "body": got.body.decode("latin-1")}))


class Server(Backend):
    """Any HTTP server: a GET is a request like others, but for the one that looks after it."""

    def __init__(self, script=say_what_came, probe_path="/"):
        self.probe_path = probe_path
        super().__init__(script)

    def _one(self, peer, got):
        forwarded = got.field("x-request-id") is not None
        if got.method == "GET" and got.target == self.probe_path and not forwarded:
            self.probes.append(got)
            peer.send(head(500, "Broken", Content_Length=0))
            return
        got.read_body()
        self.requests.append(got)
        self.script(peer, got)


class Routed(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def server(self, *arguments, **more):
        server = Server(*arguments, **more)
        self.addCleanup(server.stop)
        return server

    def gateway(self, text, *flags):
        path = os.path.join(self.folder.name, "gateway.config.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("discover: false\n" + text)
        gateway = Gateway("--config", path, *flags)
        self.addCleanup(gateway.stop)
        return gateway

    def route(self, path, *servers, more=""):
        """A route of the file; of several servers the first one is preferred."""
        backends = ", ".join(f"{{url: '{getattr(server, 'url', server)}', priority: {i}}}"
                             for i, server in enumerate(servers))
        return f"- path: {path}\n  backends: [{backends}]\n{more}"

    def ask(self, gateway, method, path, **more):
        with gateway.client() as client:
            return client.ask(request(method, path, host=gateway.host, **more), method)


class Relayed(Routed):

    def test_any_method_and_any_body_pass_as_they_are(self):
        server = self.server()
        gateway = self.gateway("routes:\n" + self.route("/ai/predict", server))
        body = bytes(range(256)) * 40
        for method in ("POST", "PUT", "PATCH", "DELETE", "PROPFIND"):
            for kind in ("application/octet-stream", "application/x-www-form-urlencoded",
                         "multipart/form-data; boundary=none", "application/json", None):
                answer = self.ask(gateway, method, "/ai/predict/x?a=b&c", body=body,
                                  content_type=kind)
                self.assertEqual(answer.status, 200, (method, kind, answer))
                seen = server.requests[-1]
                self.assertEqual((seen.method, seen.target, seen.body, seen.field("content-type")),
                                 (method, "/ai/predict/x?a=b&c", body, kind))
        line = gateway.logged(method="PROPFIND")
        self.assertEqual((line["model"], line["route"], line["backend"], line["path"]),
                         ("/ai/predict", "/ai/predict", server.url, "/ai/predict/x"))
        self.assertNotIn("prompt_tokens", line)

    def test_cookies_and_encodings_are_between_the_client_and_the_server(self):
        encoded = gzip.compress(b"hello " * 1000)
        server = self.server(lambda peer, _: peer.send(head(
            Content_Length=len(encoded), Content_Encoding="gzip", Set_Cookie="session=2; Path=/") +
            encoded))
        gateway = self.gateway("routes:\n" + self.route("/a", server))
        answer = self.ask(gateway, "GET", "/a", fields=[
            "Cookie: session=1", "Accept-Encoding: gzip", "Origin: http://localhost"])
        self.assertEqual((answer.field("content-encoding"), answer.field("set-cookie"),
                          answer.body), ("gzip", "session=2; Path=/", encoded))
        seen = server.requests[-1]
        self.assertEqual((seen.field("cookie"), seen.field("accept-encoding"),
                          seen.field("origin")), ("session=1", "gzip", None))

    def test_without_a_body(self):
        server = self.server()
        gateway = self.gateway("routes:\n" + self.route("/a", server))
        for method in ("GET", "DELETE", "OPTIONS", "HEAD", "POST"):
            answer = self.ask(gateway, method, "/a", content_type=None)
            self.assertEqual(answer.status, 200, method)
            self.assertEqual(server.requests[-1].field("content-length"),
                             "0" if method == "POST" else None, method)
            self.assertEqual(answer.body == b"", method == "HEAD")
            self.assertGreater(int(answer.field("content-length")), 2)

    def test_an_answer_to_head_that_is_an_error(self):
        server = self.server(lambda peer, _: peer.send(head(404, "None", Content_Length=5)))
        gateway = self.gateway("routes:\n" + self.route("/a", server))
        with gateway.client() as client:
            for _ in range(2):
                self.assertEqual(client.ask(request("HEAD", "/a"), "HEAD").status, 404)

    def test_a_chunked_body_and_a_client_that_waits_for_100(self):
        server = self.server()
        gateway = self.gateway("routes:\n" + self.route("/a", server))
        with gateway.client() as client:
            client.send(b"POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                        b"Expect: 100-continue\r\n\r\n")
            client.send(chunk(b"one") + chunk(b"two") + LAST_CHUNK)
            self.assertEqual(client.read().json["body"], "onetwo")

    def test_answers_are_nobodys_streams(self):
        text = b"data: {\"error\": {}}\n\ndata: [DONE]\n\ndata: more\n\n: tail without an end"
        server = self.server(lambda peer, _: peer.send(
            head(Content_Type="text/event-stream", Transfer_Encoding="chunked") +
            chunk(text[:20]) + chunk(text[20:]) + LAST_CHUNK))
        gateway = self.gateway("routes:\n" + self.route("/a", server))
        answer = self.ask(gateway, "GET", "/a")
        self.assertEqual((answer.body, answer.complete), (text, True))

        def break_off(peer, _):
            peer.send(head(Content_Type="text/event-stream", Transfer_Encoding="chunked") +
                      chunk(text[:20]))
            peer.reset()

        server.script = break_off
        with gateway.client() as client:
            client.send(request("GET", "/a"))
            answer = client.read()
            try:
                self.assertFalse(answer.complete)
            except Closed:
                pass  # a reset says it as well
        self.assertEqual(gateway.logged(end="backend_error")["status"], 200)

    def test_it_is_no_model(self):
        server = self.server()
        gateway = self.gateway("routes:\n" + self.route("/ai/predict", server))
        self.assertEqual(self.ask(gateway, "GET", "/v1/models").json["data"], [])
        self.assertEqual(self.ask(gateway, "GET", "/readyz").status, 200)
        answer = self.ask(gateway, "POST", "/v1/chat/completions",
                          body=chat_body(model="/ai/predict"))
        self.assertEqual(answer.status, 404)
        self.assertEqual(server.requests, [])
        self.ask(gateway, "GET", "/ai/predict")
        # Another shard's counters are a moment old.
        wait_until(lambda: b'model="/ai/predict"' in self.ask(gateway, "GET", "/metrics").body,
                   "the route is counted")

    def test_a_body_that_is_too_large(self):
        server = self.server()
        gateway = self.gateway("routes:\n" + self.route("/a", server), "--body-max", "1KiB")
        self.assertEqual(self.ask(gateway, "PUT", "/a", body=b"x" * 1025).status, 413)
        self.assertEqual(self.ask(gateway, "PUT", "/a", body=b"x" * 1024).status, 200)

    def test_pages_of_foreign_sites_are_refused(self):
        server = self.server()
        gateway = self.gateway("routes:\n" + self.route("/a", server))
        form = "application/x-www-form-urlencoded"
        for fields in (["Origin: http://evil.example"], ["Sec-Fetch-Site: cross-site"],
                       ["Origin: null"]):
            for method in ("GET", "POST"):
                answer = self.ask(gateway, method, "/a", fields=fields, content_type=form)
                self.assertEqual(answer.status, 403, fields)
        self.assertEqual(server.requests, [])
        self.assertEqual(self.ask(gateway, "POST", "/a", content_type=form).status, 200)


class Chosen(Routed):

    def test_the_longest_path_of_whole_segments_decides(self):
        one, two, three = self.server(), self.server(), self.server()
        gateway = self.gateway("routes:\n" + self.route("/a", one) + self.route("/a/b", two) +
                               self.route("/c/", three))
        for path, server in (("/a", one), ("/a/", one), ("/a/bc", one), ("/a/b", two),
                             ("/a/b/c", two), ("/c/", three), ("/c/x", three),
                             ("/ab", None), ("/c", None), ("/A", None)):
            answer = self.ask(gateway, "GET", path)
            self.assertEqual(answer.status, 404 if server is None else 200, path)
            if server is None:
                error_in(answer)
            else:
                self.assertEqual(server.requests[-1].target, path)
        self.assertEqual([len(server.requests) for server in (one, two, three)], [3, 2, 2])

    def test_headers_choose_and_where_none_fits_there_is_nothing(self):
        one, two = self.server(), self.server()
        gateway = self.gateway(
            "routes:\n" + self.route("/a", one, more="  headers: {x-version: '2*'}\n") +
            self.route("/a", two, more="  headers: {x-version: '*'}\n"))
        for fields, server in ((["X-Version: 2.1"], one), (["x-version: 1"], two)):
            self.assertEqual(self.ask(gateway, "GET", "/a", fields=fields).status, 200)
            self.assertEqual(len(server.requests), 1)
        self.assertEqual(self.ask(gateway, "GET", "/a").status, 404)

    def test_a_wrong_method_gets_405_with_what_is_allowed(self):
        one, two = self.server(), self.server()
        gateway = self.gateway("routes:\n" + self.route("/a", one, more="  methods: [GET]\n") +
                               self.route("/a", two, more="  methods: [POST]\n") +
                               self.route("/", two))
        answer = self.ask(gateway, "DELETE", "/a/x")
        self.assertEqual((answer.status, answer.field("allow")), (405, "GET, HEAD, POST"))
        error_in(answer)
        for method, server in (("GET", one), ("HEAD", one), ("POST", two)):
            self.assertEqual(self.ask(gateway, method, "/a/x").status, 200, method)
            self.assertEqual(server.requests[-1].method, method)

    def test_endpoints_of_models_and_the_gateways_own_paths_win(self):
        server, model = self.server(), Backend()
        self.addCleanup(model.stop)
        gateway = self.gateway(f"models: {{m: {{backends: [{{url: '{model.url}'}}]}}}}\nroutes:\n" +
                               self.route("/", server))
        self.assertEqual(self.ask(gateway, "GET", "/v1/models").json["data"][0]["id"], "m")
        self.assertEqual(self.ask(gateway, "GET", "/healthz").body, b"ok\n")
        with gateway.client() as client:
            self.assertEqual(client.ask(chat_request()).status, 200)
        self.assertEqual((len(model.requests), len(server.requests)), (1, 0))
        self.assertEqual(self.ask(gateway, "GET", "/v1/other").status, 200)
        self.assertEqual(len(server.requests), 1)


class Rewritten(Routed):

    def test_strip_and_rewrite(self):
        server = self.server()
        rewrite = "  rewrite: {pattern: '^/v([0-9]+)/(.*)$', replacement: '/api/$2/$1'}\n"
        gateway = self.gateway(
            "routes:\n" + self.route("/strip", server, more="  strip_prefix: true\n") +
            self.route("/both", server, more="  strip_prefix: true\n" + rewrite) +
            self.route("/v2", server, more=rewrite))
        for path, target in (("/strip", "/"), ("/strip/", "/"),
                             ("/strip/a/b?c=/strip", "/a/b?c=/strip"),
                             ("/both/v1/x?q", "/api/x/1?q"), ("/both/w/x", "/w/x"),
                             ("/v2/a/b", "/api/a/b/2"), ("/v2", "/v2"),
                             ("/strip/%20x", "/%20x")):
            self.assertEqual(self.ask(gateway, "POST", path).status, 200, path)
            self.assertEqual(server.requests[-1].target, target, path)

    def test_a_prefix_of_the_url_stays_in_front(self):
        server = self.server()
        gateway = self.gateway("routes:\n" + self.route("/x", server.url + "/base",
                                                        more="  strip_prefix: true\n"))
        self.ask(gateway, "GET", "/x/y")
        self.assertEqual(server.requests[-1].target, "/base/y")

    def test_row_162_a_path_that_reads_in_two_ways_is_refused_before_and_behind_the_rewrite(self):
        server = self.server()
        gateway = self.gateway(
            "routes:\n" + self.route("/a", server, more="  strip_prefix: true\n") +
            self.route("/r", server,
                       more="  rewrite: {pattern: '^/r/(.*)-(.*)$', replacement: '/$1/$2'}\n"))
        for path in ("/a/..%2fadmin", "/a/../x", "//a", "/a//x", "/a/x%00", "/%61/x", "/a/%61",
                     "/a;x=y", "/a/./x", "/a%2fx", "/a/%", "/a\\x", "/%2e%2e/a", "/a/..", "/a/x;y",
                     "/r/..-x", "/r/x-..", "/r/-x", "/r/.-.", "/r/a-/b"):
            for method in ("GET", "POST"):
                answer = self.ask(gateway, method, path)
                self.assertIn(answer.status, (400, 404), path)
                error_in(answer)
        self.assertEqual(server.requests, [])
        self.assertEqual(self.ask(gateway, "GET", "/r/a-b").status, 200)


class Several(Routed):

    def test_two_servers_share_the_requests(self):
        one, two = self.server(), self.server()
        gateway = self.gateway(
            f"routes:\n- path: /ai/predict\n  balance: round-robin\n"
            f"  backends: [{{url: '{one.url}'}}, {{url: '{two.url}'}}]\n", "--shards", "1")
        for _ in range(20):
            self.assertEqual(self.ask(gateway, "POST", "/ai/predict", body=b"x").status, 200)
        self.assertEqual((len(one.requests), len(two.requests)), (10, 10))

    def test_a_header_keeps_its_server(self):
        servers = [self.server() for _ in range(3)]
        urls = ", ".join(f"{{url: '{server.url}'}}" for server in servers)
        gateway = self.gateway(f"routes:\n- path: /a\n  balance: hash\n"
                               f"  hash: {{by: header, header: x-user}}\n  backends: [{urls}]\n")
        used = set()
        for user in range(20):
            for server in servers:
                server.requests.clear()
            for _ in range(4):
                self.ask(gateway, "GET", "/a", fields=[f"X-User: {user}"])
            counts = [len(server.requests) for server in servers]
            self.assertEqual(sorted(counts), [0, 0, 4], counts)
            used.add(counts.index(4))
        self.assertEqual(len(used), 3)

    def test_where_nobody_listens_the_next_one_is_asked_whatever_the_method(self):
        holder, url = address_that_refuses()
        self.addCleanup(holder.close)
        other = self.server()
        gateway = self.gateway("routes:\n" + self.route("/a", url, other))
        for method in ("POST", "GET", "PATCH", "PUT"):
            answer = self.ask(gateway, method, "/a", body=b"x")
            self.assertEqual((answer.status, answer.json["body"]), (200, "x"), method)
        self.assertEqual(len(other.requests), 4)

    def test_row_67_what_was_sent_is_sent_again_only_where_that_is_harmless(self):
        def drop(peer, _):
            peer.reset()

        def refuse(peer, _):
            peer.send(json_answer({"why": "broken"}, 503, "Broken"))

        for script, status in ((drop, 502), (refuse, 503)):
            for method, again in (("POST", False), ("PATCH", False), ("PROPFIND", False),
                                  ("GET", True), ("PUT", True), ("DELETE", True),
                                  ("OPTIONS", True), ("HEAD", True)):
                with self.subTest(script=script.__name__, method=method):
                    bad, good = self.server(script), self.server()
                    gateway = self.gateway("routes:\n" + self.route("/a", bad, good))
                    answer = self.ask(gateway, method, "/a")
                    self.assertEqual(answer.status, 200 if again else status, answer)
                    self.assertEqual((len(bad.requests), len(good.requests)), (1, int(again)))
                    if not again and script is refuse:
                        self.assertEqual(answer.json, {"why": "broken"})

    def test_a_kept_connection_that_the_server_closes_is_replaced_where_that_is_harmless(self):
        for method, status, times in (("PUT", 200, 3), ("GET", 200, 3), ("POST", 502, 2)):
            with self.subTest(method):
                server = self.server()
                gateway = self.gateway("routes:\n" + self.route("/a", server), "--shards", "1")
                self.assertEqual(self.ask(gateway, method, "/a").status, 200)
                kept = server.requests[-1].peer
                server.script = lambda peer, got, kept=kept: (
                    peer.reset() if peer is kept else say_what_came(peer, got))
                # The server has it in hand when it closes: it may have been done.
                self.assertEqual(self.ask(gateway, method, "/a", body=b"x").status, status)
                self.assertEqual(len(server.requests), times)

    def test_a_kept_connection_that_the_server_has_closed_costs_nothing(self):
        server = self.server()
        gateway = self.gateway("routes:\n" + self.route("/a", server), "--shards", "1")
        for _ in range(20):
            self.assertEqual(self.ask(gateway, "POST", "/a", body=b"x").status, 200)
            server.requests[-1].peer.sock.shutdown(socket.SHUT_RDWR)

    def test_refusals_of_any_framing_and_length_are_counted(self):
        size = 200_000
        for framed in (head(503, "Broken", Content_Length=4) + b"oops",
                       head(503, "Broken", Transfer_Encoding="chunked") + chunk(b"oops") +
                       LAST_CHUNK,
                       head(503, "Broken", Content_Length=size) + b"x" * size):
            broken = self.server(lambda peer, _, framed=framed: peer.send(framed))
            well = self.server()
            gateway = self.gateway("routes:\n" + self.route("/a", broken, well), "--shards", "1")
            statuses = [self.ask(gateway, "POST", "/a", body=b"x").status for _ in range(5)]
            self.assertEqual(statuses, [503] * 3 + [200] * 2)
            self.assertEqual(len(broken.requests), 3)

    def test_any_answer_shows_that_it_is_well_and_it_is_never_asked_for_models(self):
        server = self.server()  # whose probes get 500
        gateway = self.gateway("defaults: {health: {interval: 20ms}}\nroutes:\n" +
                               self.route("/a", server))
        wait_until(lambda: len(server.probes) >= 5, "it is looked after")
        self.assertEqual({probe.target for probe in server.probes}, {"/"})
        self.assertEqual(self.ask(gateway, "GET", "/a").status, 200)
        self.assertEqual([r.target for r in server.requests], ["/a"])

    def test_a_path_of_its_own_for_its_health(self):
        bad, good = self.server(probe_path="/live"), self.server()
        gateway = self.gateway("routes:\n" + self.route(
            "/a", bad, good, more="  health: {interval: 20ms, probe: http, path: /live}\n"))
        wait_until(lambda: len(bad.probes) >= 2, "it is looked after")
        self.assertEqual({probe.target for probe in bad.probes}, {"/live"})
        wait_until(lambda: self.ask(gateway, "GET", "/a").field("x-sluice-backend") == good.url,
                   "the one that is not well is left alone")

    def test_a_server_that_serves_a_model_too(self):
        model = Backend()
        self.addCleanup(model.stop)
        gateway = self.gateway(f"models: {{m: {{backends: [{{url: '{model.url}'}}]}}}}\nroutes:\n" +
                               self.route("/tools", model))
        model.script = say_what_came
        self.assertEqual(self.ask(gateway, "POST", "/tools/x", body=b"y").json["body"], "y")
        model.forget()
        with gateway.client() as client:
            self.assertEqual(client.ask(chat_request()).status, 200)


if __name__ == "__main__":
    main()
