#!/usr/bin/env python3
"""Web pages of the operator's browser and of desktop apps, and binds that would let everybody in
(rows 156 to 161, C5).
"""

import os
import subprocess
import tempfile
import time
import unittest

from backend import DONE, LAST_CHUNK, Backend, chunk, delta, finish, json_answer, sse_head
from harness import (SLUICE, Gateway, GatewayCase, chat_body, chat_request, error_in, main, request,
                     settings)
from pool_case import consumers
from test_routes import Server, say_what_came
from wire import Client


class Browser(GatewayCase):

    flags = ("--allow-host", "gateway.test")

    def ask(self, host, *fields):
        self.backend.forget()
        with self.gateway.client() as client:
            answer = client.ask(self.chat().replace(
                f"Host: {self.gateway.host}".encode(), f"Host: {host}".encode())
                .replace(b"\r\nContent-Type", "".join(f"\r\n{f}" for f in fields).encode() +
                         b"\r\nContent-Type", 1))
        self.assertEqual(len(self.backend.requests), 1 if answer.status == 200 else 0)
        return answer

    def test_row_156_a_foreign_host_gets_421(self):
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                     "evil.example:8642", "gateway.test.evil.example", "xgateway.test"):
            with self.subTest(host):
                answer = self.ask(host)
                self.assertIn(answer.status, (421, 403))
                error_in(answer)

    def test_row_156_the_names_of_this_machine_and_the_allowed_ones_pass(self):
        for host in ("127.0.0.1", "localhost", "LOCALHOST", self.gateway.host, "[::1]",
                     f"localhost:{self.gateway.port}", "gateway.test", "Gateway.Test:80"):
            with self.subTest(host):
                self.assertEqual(self.ask(host).status, 200)

    def test_row_157_a_foreign_origin_gets_403(self):
        for origin in ("https://evil.example", "http://localhost.evil.example", "null", "file://",
                       "chrome-extension://abcdef", "http://127.0.0.1.evil.example:80"):
            with self.subTest(origin):
                answer = self.ask("localhost", f"Origin: {origin}")
                self.assertEqual(answer.status, 403)
                error_in(answer)

    def test_row_157_a_cross_site_fetch_gets_403(self):
        self.assertEqual(self.ask("localhost", "Sec-Fetch-Site: cross-site").status, 403)
        for site in ("same-origin", "none"):
            self.assertEqual(self.ask("localhost", f"Sec-Fetch-Site: {site}").status, 200)

    def test_row_157_a_preflight_is_not_granted(self):
        with self.gateway.client() as client:
            answer = client.ask(request(
                "OPTIONS", "/v1/chat/completions", host=self.gateway.host,
                fields=["Origin: https://evil.example", "Access-Control-Request-Method: POST"]))
        self.assertGreaterEqual(answer.status, 400)
        self.assertEqual([k for k, _ in answer.fields if k.startswith("access-control-")], [])

    def test_row_158_no_answer_opens_itself_to_other_origins(self):
        for fields in ((), ("Origin: http://localhost:3000",), ("Origin: http://gateway.test",)):
            answer = self.ask("localhost", *fields)
            allowed = answer.field("access-control-allow-origin")
            self.assertNotEqual(allowed, "*")
            self.assertIn(allowed, (None, *(f.split(": ")[1] for f in fields)))
            self.assertIsNone(answer.field("access-control-allow-credentials"))

    def test_C5_no_other_form_of_an_address_is_a_name_of_ours(self):
        for host in ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "127.1", "127.0.1",
                     "2130706433", "017700000001", "0177.0.0.1", "127.0.0.01", "0x7f.0.0.1",
                     "0x7f000001", "127.0.0.1."):
            for name in (host, f"{host}:{self.gateway.port}"):
                for method, path in (("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/")):
                    with self.gateway.client() as client:
                        answer = client.ask(request(method, path, host=name))
                        self.assertEqual(answer.status, 421, (name, path))
                self.assertEqual(self.ask(name).status, 421)

    def test_row_160_the_unspecified_address_is_no_name_of_ours(self):
        for host in ("0.0.0.0", f"0.0.0.0:{self.gateway.port}", "[::]"):
            with self.subTest(host):
                self.assertIn(self.ask(host).status, (421, 403))


GRANTS = ("access-control-allow-origin", "access-control-allow-headers", "vary",
          "access-control-allow-methods", "access-control-expose-headers",
          "access-control-allow-private-network", "access-control-allow-credentials")
LOCAL = ("http://localhost:3000", "http://127.0.0.1:5173", "http://[::1]:8000",
         "https://localhost")
FOREIGN = ("https://evil.example", "null", "file://", "app://obsidian.md",
           "chrome-extension://abcdef")


def grants(answer):
    return [name for name, _ in answer.fields if name in GRANTS]


class PageCase(unittest.TestCase):

    def begin(self, script=None, **top):
        self.backend = Backend(script) if script else Backend()
        self.site = Server(script or say_what_came)
        for server in (self.backend, self.site):
            self.addCleanup(server.stop)
        routes = [{**route, "backends": [{"url": self.site.url}]}
                  for route in top.pop("routes", [])]
        flags = top.pop("flags", ())
        self.gateway = Gateway(*settings({
            "discover": False, "models": {"m": {"backends": [{"url": self.backend.url}]}},
            **({"routes": routes} if routes else {}), **top}), *flags,
            listen="listen" not in top)
        self.addCleanup(self.gateway.stop)

    def ask(self, method, path, *fields, body=b"", host=None, address=None):
        with Client(address or self.gateway.address) as client:
            answer = client.ask(request(method, path, body, host or self.gateway.host, fields),
                                method)
            answer.text = answer.body
            return answer

    def preflight(self, origin, path="/v1/chat/completions", method="POST",
                  headers="authorization,content-type,x-stainless-os", more=(), **options):
        return self.ask("OPTIONS", path, f"Origin: {origin}",
                        f"Access-Control-Request-Method: {method}",
                        *([f"Access-Control-Request-Headers: {headers}"] if headers else ()),
                        *more, **options)

    def opened(self, answer, origin):
        self.assertEqual(answer.field("access-control-allow-origin"), origin, answer)
        self.assertIn("Origin", [value for name, value in answer.fields if name == "vary"])
        self.assertIn("x-request-id", answer.field("access-control-expose-headers"))
        self.assertIsNone(answer.field("access-control-allow-credentials"))

    def closed(self, answer):
        self.assertEqual(grants(answer), [])


class Preflights(PageCase):

    def test_C5_a_page_of_this_machine_gets_its_preflight_answered(self):
        self.begin(consumers=consumers(a="sk-a"), routes=[{"path": "/ui"}])
        for origin in LOCAL:
            for path, method in (("/v1/chat/completions", "POST"), ("/v1/models", "GET"),
                                 ("/api/chat", "POST"), ("/ui/x", "DELETE"), ("/metrics", "GET"),
                                 ("/nowhere", "PUT")):
                answer = self.preflight(origin, path, method)
                self.assertEqual((answer.status, answer.text), (204, b""))
                self.assertIsNone(answer.field("content-length"))
                self.opened(answer, origin)
                self.assertIn(method, answer.field("access-control-allow-methods"))
                self.assertEqual(answer.field("access-control-allow-headers"),
                                 "authorization,content-type,x-stainless-os")
                self.assertIsNone(answer.field("access-control-allow-private-network"))
        self.assertEqual(self.backend.requests, [])

    def test_C5_a_preflight_for_a_private_network_is_answered_while_browsers_send_it(self):
        self.begin()
        asks = ("Access-Control-Request-Private-Network: true",)
        answer = self.preflight(LOCAL[0], headers=None, more=asks)
        self.assertEqual(answer.field("access-control-allow-private-network"), "true")
        self.assertIsNone(answer.field("access-control-allow-headers"))
        self.closed(self.preflight(FOREIGN[0], more=asks))

    def test_C5_what_the_guard_refuses_its_preflight_refuses(self):
        self.begin()
        for origin in FOREIGN:
            answer = self.preflight(origin)
            self.assertEqual(answer.status, 403)
            self.closed(answer)
        self.closed(self.preflight(LOCAL[0], host="evil.example"))

    def test_C5_what_is_no_preflight_is_answered_as_before(self):
        self.begin(routes=[{"path": "/ui"}])
        for fields in ((), ("Origin: http://localhost:3000",),
                       ("Access-Control-Request-Method: POST",)):
            self.assertEqual(self.ask("OPTIONS", "/v1/models", *fields).status, 405)
            self.assertEqual(self.ask("OPTIONS", "/ui", *fields).status, 200)
        self.assertEqual([seen.field("origin") for seen in self.site.requests], [None] * 3)

    def test_C5_the_connection_goes_on_behind_a_preflight(self):
        self.begin()
        with self.gateway.client() as client:
            for _ in range(2):
                answer = client.ask(request("OPTIONS", "/v1/chat/completions",
                                            host=self.gateway.host, fields=[
                                                f"Origin: {LOCAL[0]}",
                                                "Access-Control-Request-Method: POST"]), "OPTIONS")
                self.assertEqual(answer.status, 204)
                self.assertEqual(client.ask(chat_request(self.gateway.host)).status, 200)


class Answers(PageCase):

    def post(self, *fields, path="/v1/chat/completions", **more):
        return self.ask("POST", path, *fields, body=chat_body(**more))

    def test_C5_answers_are_opened_to_who_may_ask(self):
        self.begin(routes=[{"path": "/ui"}])
        for origin in LOCAL:
            for answer in (self.post(f"Origin: {origin}"),
                           self.post(f"Origin: {origin}", "Sec-Fetch-Site: cross-site"),
                           self.ask("GET", "/v1/models", f"Origin: {origin}"),
                           self.ask("GET", "/v1/models/m", f"Origin: {origin}"),
                           self.ask("GET", "/metrics", f"Origin: {origin}"),
                           self.ask("GET", "/ui/page", f"Origin: {origin}")):
                self.assertEqual(answer.status, 200)
                self.opened(answer, origin)
        for answer in (self.post(), self.ask("GET", "/v1/models"), self.ask("GET", "/ui/page")):
            self.closed(answer)

    def test_C5_what_a_backend_grants_is_not_passed_on(self):
        grant = {"Access_Control_Allow_Origin": "*", "Access_Control_Allow_Credentials": "true"}
        self.begin(lambda peer, _: peer.send(json_answer({"choices": []}, **grant)),
                   routes=[{"path": "/ui"}])
        for path in ("/v1/chat/completions", "/ui/x"):
            self.closed(self.post(path=path))
            self.opened(self.post(f"Origin: {LOCAL[0]}", path=path), LOCAL[0])

    def test_C5_errors_are_opened_too(self):
        self.begin(lambda peer, _: peer.send(json_answer({"error": {"message": "no"}}, 400, "No")),
                   consumers=consumers(a="sk-a"))
        key, origin = "Authorization: Bearer sk-a", f"Origin: {LOCAL[0]}"
        for answer, status in (
                (self.post(origin), 401), (self.post(origin, key, model="other"), 404),
                (self.post(origin, key), 400), (self.ask("GET", "/nowhere", origin, key), 404),
                (self.ask("GET", "/v1/responses", origin, key), 405),
                (self.ask("GET", "/metrics", origin), 401),
                (self.ask("POST", "/v1/chat/completions", origin, key, body=b"no JSON"), 400)):
            self.assertEqual(answer.status, status)
            self.opened(answer, LOCAL[0])
        self.backend.stop()
        answer = self.post(origin, key)
        self.assertGreaterEqual(answer.status, 500)
        self.opened(answer, LOCAL[0])

    def test_C5_streams_are_opened_also_those_that_begin_before_their_backend(self):
        def late(peer, _):
            time.sleep(1)
            peer.send(sse_head() + chunk(delta("hi") + finish() + DONE) + LAST_CHUNK)
        for script in (late, lambda peer, _: peer.send(
                sse_head() + chunk(delta("hi") + finish() + DONE) + LAST_CHUNK)):
            self.begin(script, defaults={"heartbeat": "300ms"})
            answer = self.post(f"Origin: {LOCAL[0]}", stream=True)
            self.assertEqual(answer.status, 200)
            self.assertIn(b"hi", answer.text)
            self.opened(answer, LOCAL[0])

    def test_C5_a_page_of_the_gateway_itself_may_ask_wherever_it_was_opened(self):
        self.begin(flags=("--allow-host", "box.lan"))
        for host in ("10.1.2.3:8642", "box.lan:8642", "localhost"):
            for scheme in ("http", "https"):
                answer = self.ask("GET", "/v1/models", f"Origin: {scheme}://{host}",
                                  "Sec-Fetch-Site: same-origin", host=host)
                self.assertEqual(answer.status, 200, host)
        for origin in ("http://10.1.2.3:8643", "http://10.1.2.4:8642", "ftp://10.1.2.3:8642"):
            answer = self.ask("GET", "/v1/models", f"Origin: {origin}", host="10.1.2.3:8642")
            self.assertEqual(answer.status, 403)
            self.closed(answer)


class Lists(PageCase):

    APPS = ("app://obsidian.md", "tauri://localhost", "vscode-webview://0a1b2c", "null",
            "chrome-extension://abcdefghijklmnop", "https://app.example", "moz-extension://1-2")
    LISTED = ["app://obsidian.md", "tauri://localhost", "vscode-webview://*", "null",
              "chrome-extension://abcdefghijklmnop", "https://app.example", "moz-extension://*"]

    def test_C5_other_pages_by_the_list_of_a_listener(self):
        open_socket = os.path.join(tempfile.mkdtemp(), "s")
        self.begin(listen=["127.0.0.1:0", {"address": f"unix:{open_socket}",
                                           "cors": {"origins": self.LISTED}}])
        for origin in self.APPS:
            answer = self.preflight(origin, address=open_socket)
            self.assertEqual(answer.status, 204, origin)
            self.opened(answer, origin)
            answer = self.ask("GET", "/v1/models", f"Origin: {origin}",
                              "Sec-Fetch-Site: cross-site", address=open_socket)
            self.assertEqual(answer.status, 200)
            self.opened(answer, origin)
            self.closed(self.preflight(origin))  # not on the other one
        for origin in ("app://obsidian.md.evil", "app://obsidian", "https://app.example:444",
                       "http://app.example", "https://app.example.evil", "https://xapp.example",
                       "vscode-webview:", "chrome-extension://abcdefghijklmnopq", "nullx", "*"):
            answer = self.preflight(origin, address=open_socket)
            self.assertEqual(answer.status, 403, origin)
            self.closed(answer)

    def test_C5_the_flag_lists_for_all_listeners(self):
        self.begin(flags=("--allow-origin", "APP://Obsidian.md", "--allow-origin",
                          "http://*.example"))
        for origin in ("app://obsidian.md", "http://a.example", "http://a.b.example"):
            self.opened(self.preflight(origin), origin)
        self.closed(self.preflight("https://a.example"))

    def test_C5_any_page_at_all(self):
        self.begin(flags=("--allow-origin", "*"))
        for origin in ("https://evil.example", "null", *self.APPS):
            self.opened(self.preflight(origin), origin)
            self.opened(self.ask("GET", "/v1/models", f"Origin: {origin}"), origin)

    def test_C5_any_page_and_keys_do_not_go_together_unless_it_is_meant(self):
        one = {"models": {"m": {"backends": [{"url": "http://127.0.0.1:1"}]}}}
        for pattern in ("*", "*://*", "https://*", "http://*:3000", "*://*:*", "https://*.*"):
            any_page = {"cors": {"origins": [pattern]}}
            for top, flags, wanted in (
                    ({"listen": [{"address": "127.0.0.1:0", **any_page}],
                      "consumers": consumers(a="sk-a"), **one}, (), "any_origin_with_keys"),
                    ({"consumers": consumers(a="sk-a"), **one}, ("--allow-origin", pattern),
                     "--allow-origin"),
                    ({"listen": [{"address": "127.0.0.1:0", **any_page}],
                      "models": {"m": {"backends": [
                          {"url": "http://127.0.0.1:1", "key": "env:KEY"}]}}},
                     (), "list the origins")):
                done = subprocess.run([SLUICE, *settings(top), *flags], timeout=30, check=False,
                                      capture_output=True, text=True,
                                      env={**os.environ, "KEY": "k"})
                self.assertEqual(done.returncode, 2)
                self.assertIn(wanted, done.stderr)
        meant = {"cors": {"origins": ["*"], "any_origin_with_keys": True}}
        self.begin(listen=[{"address": "127.0.0.1:0", **meant}], consumers=consumers(a="sk-a"))
        self.opened(self.preflight("https://evil.example"), "https://evil.example")

    def test_C5_what_is_no_origin_is_refused_with_what_to_write(self):
        for origin, wanted in (("app.example", "its scheme"), ("https://app.example/", "'/'"),
                               ("https://app.example/x", "'/'"),
                               ("https://app.example:443", ":443"), ("http://a.example:80", ":80"),
                               ("https://", "host"),
                               ("https://u@a.example", "'/'"), ("https://a b", "spaces"), ("", "")):
            done = subprocess.run([SLUICE, "--allow-origin", origin, "--no-discovery"], timeout=30,
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2, origin)
            self.assertIn(wanted, done.stderr)


class Navigation(PageCase):

    LINK = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
            "Sec-Fetch-User: ?1")

    def test_C5_links_of_other_sites_open_a_web_ui_and_nothing_else(self):
        self.begin(routes=[{"path": "/ui", "navigate": True}, {"path": "/api2"},
                           {"path": "/v1/chat", "navigate": True}])
        for path, status in (("/ui", 200), ("/ui/page?x=1", 200), ("/api2", 403), ("/", 403),
                             ("/v1/models", 403), ("/metrics", 403), ("/v1/chat/completions", 403),
                             ("/nowhere", 403), ("/uix", 403), ("/ui/../api2", 403),
                             ("/ui//../api2", 403)):
            self.assertEqual(self.ask("GET", path, *self.LINK).status, status, path)
        self.assertEqual(self.ask("HEAD", "/ui", *self.LINK).status, 200)

    def test_C5_a_frame_a_picture_a_script_or_a_form_is_no_link(self):
        self.begin(routes=[{"path": "/ui", "navigate": True}])
        for mode, dest in (("navigate", "iframe"), ("navigate", "frame"), ("navigate", "embed"),
                           ("no-cors", "image"), ("no-cors", "script"), ("no-cors", "document"),
                           ("cors", "empty"), ("navigate", ""), ("", "")):
            answer = self.ask("GET", "/ui", "Sec-Fetch-Site: cross-site", f"Sec-Fetch-Mode: {mode}",
                              f"Sec-Fetch-Dest: {dest}")
            self.assertEqual(answer.status, 403, (mode, dest))
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            self.assertEqual(self.ask(method, "/ui", *self.LINK).status, 403)
        answer = self.ask("POST", "/ui", *self.LINK, "Origin: https://evil.example")
        self.assertEqual(answer.status, 403)
        self.assertEqual(self.site.requests, [])


class Sockets(PageCase):

    def test_C5_a_unix_socket_takes_any_host(self):
        path = os.path.join(tempfile.mkdtemp(), "s")
        self.begin(listen=["127.0.0.1:0", f"unix:{path}"])
        for host in ("localhost", "ai.example", "x", "127.1", "[::ffff:127.0.0.1]", "box.lan:1"):
            self.assertEqual(self.ask("GET", "/v1/models", host=host, address=path).status, 200)
            answer = self.ask("POST", "/v1/chat/completions", body=chat_body(), host=host,
                              address=path)
            self.assertEqual(answer.status, 200)
        self.assertEqual(self.ask("GET", "/v1/models", host="ai.example").status, 421)
        # A server in front of it, and the pages of that one.
        answer = self.ask("GET", "/v1/models", "Origin: https://ai.example", host="ai.example",
                          address=path)
        self.assertEqual(answer.status, 200)
        answer = self.ask("GET", "/v1/models", "Origin: https://evil.example", host="ai.example",
                          address=path)
        self.assertEqual(answer.status, 403)


class Binds(unittest.TestCase):

    def test_row_161_a_wide_bind_is_refused(self):
        for listen in ("0.0.0.0:0", "[::]:0"):
            done = subprocess.run([SLUICE, "--listen", listen, "--no-discovery"], timeout=30,
                                  capture_output=True, text=True, check=False)
            self.assertIn(done.returncode, (1, 2))
            self.assertIn("--insecure-listen", done.stderr)

    def test_row_161_or_keys_keep_others_out(self):
        file = settings({"consumers": consumers(a="sk-a"), "discover": False})
        gateway = Gateway("--listen", "0.0.0.0:0", *file, listen=False)
        self.addCleanup(gateway.stop)
        self.assertTrue(gateway.alive())

    def test_row_161_unless_it_is_meant(self):
        gateway = Gateway("--listen", "0.0.0.0:0", "--insecure-listen", "--no-discovery",
                          listen=False)
        self.addCleanup(gateway.stop)
        self.assertTrue(gateway.alive())


if __name__ == "__main__":
    main()
