#!/usr/bin/env python3
"""Web pages of the operator's browser, and binds that would let everybody in (rows 156 to 161)."""

import subprocess
import unittest

from harness import SLUICE, GatewayCase, Gateway, error_in, main, request, settings
from pool_case import consumers


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

    def test_row_160_the_unspecified_address_is_no_name_of_ours(self):
        for host in ("0.0.0.0", f"0.0.0.0:{self.gateway.port}", "[::]"):
            with self.subTest(host):
                self.assertIn(self.ask(host).status, (421, 403))


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
