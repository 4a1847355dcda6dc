#!/usr/bin/env python3
"""A file of settings: `sluice check FILE`, and `--config FILE` with flags over it."""

import os
import subprocess
import tempfile
import unittest

from backend import Backend
from harness import ROOT, SLUICE, Gateway, chat_request, main

BROKEN = """\
listen: 127.0.0.1:port
sharts: 2
models:
  one:
    backends: [{url: ftp://127.0.0.1}, {url: "http://me:secret@127.0.0.1"}]
    fallback: [two]
"""


def run(*words, cwd=None):
    return subprocess.run([SLUICE, *words], timeout=60, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False, cwd=cwd)


class Config(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, text, name="gateway.config.yaml"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def gateway(self, *flags, **options):
        gateway = Gateway(*flags, **options)
        self.addCleanup(gateway.stop)
        return gateway

    def served_by(self, gateway, model):
        with gateway.client() as client:
            client.send(chat_request(model=model))
            return client.read()


class Check(Config):

    def test_a_sound_file_is_counted_and_ends_with_0(self):
        path = self.file("models: {m: {backends: [{url: http://127.0.0.1:1}]}}\n"
                         "routes: [{path: /a, backends: [{url: http://127.0.0.1:1}]}]\n")
        done = run("check", path)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(done.stdout, f"{path}: ok, 1 models, 0 rules, 1 routes\n"
                         "http://127.0.0.1:1: asked at http://127.0.0.1:1/v1/chat/completions\n")
        self.assertEqual(done.stderr, "")

    def test_every_mistake_is_told_with_its_place_and_it_ends_with_2(self):
        path = self.file(BROKEN)
        for words in (("check", path), ("--config", path), ("serve", "--config", path)):
            with self.subTest(words):
                done = run(*words)
                self.assertEqual(done.returncode, 2, done)
                self.assertEqual(done.stdout, "")
                places = [line.split(": ")[0] for line in done.stderr.splitlines()]
                self.assertEqual(places, [f"{path}:{at}" for at in
                                          ("1:9", "2:1", "5:22", "5:46", "6:16")])
                self.assertIn("did you mean 'shards'?", done.stderr)
                self.assertNotIn("secret", done.stderr)

    def test_what_no_request_could_have_and_hostile_patterns_are_told_with_their_place(self):
        backends = "backends: [{url: http://127.0.0.1:1}]"
        cases = (("path: /a/../b", "3:10"), ("path: /a%2fb", "3:10"), ("path: //a", "3:10"))
        patterns = ("(?=x)", "(a)\\\\1", "((a{90}){90}){90}", "(", "a**", "(x{200}){200}",
                    "()" * 16, "x" * 1025)
        cases += tuple((f"path: /a, rewrite: {{pattern: \"{pattern}\", replacement: x}}", "3:33")
                       for pattern in patterns)
        cases += tuple((f"path: /a, rewrite: {{pattern: (x), replacement: \"{text}\"}}", "3:51")
                       for text in ("$2", "$x", "${no}", "?", "a b"))
        for text, place in cases:
            with self.subTest(text[:80]):
                path = self.file(f"\nroutes:\n- {{{text}, {backends}}}\n")
                done = run("check", path)
                self.assertEqual(done.returncode, 2, done)
                self.assertTrue(done.stderr.startswith(f"{path}:{place}: routes[0]."), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_paths_that_never_come_to_a_route_are_told(self):
        backends = "backends: [{url: http://127.0.0.1:1}]"
        for route, sound in (("/healthz", False), ("/readyz", False), ("/metrics", False),
                             ("/v1/chat/completions", False), ("/v1/models", False),
                             ("/v1/models/", False), ("/v1", True), ("/healthz/deep", True),
                             ("/", True), ("/v1/chat/completions/", True), ("/models/", True)):
            with self.subTest(route):
                path = self.file(f"routes:\n- {{path: {route}, {backends}}}\n")
                done = run("check", path)
                self.assertEqual(done.returncode, 0 if sound else 2, done)
                if not sound:
                    self.assertTrue(done.stderr.startswith(
                        f"{path}:2:10: routes[0].path: never comes to a route: it is "), done)

    def test_a_pipe_is_read_however_slow_and_one_that_nobody_writes_into_is_not_waited_for(self):
        fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(fifo)
        done = run("check", fifo)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(done.stderr, f"{fifo}: is a pipe into which nobody writes\n")
        text = "listen: 127.0.0.1:0\nshards: 0\n"
        for said, status in ((text, 2), (text.replace("0\n", "1\n"), 0), ("", 0)):
            with self.subTest(said):
                reader, writer = os.pipe()
                with subprocess.Popen([SLUICE, "check", f"/dev/fd/{reader}"], pass_fds=[reader],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE) as check:
                    os.close(reader)
                    for byte in said.encode():
                        os.write(writer, bytes([byte]))
                    os.close(writer)
                    check.communicate(timeout=60)
                    self.assertEqual(check.returncode, status)
        with subprocess.Popen([SLUICE, "check", fifo], stderr=subprocess.PIPE) as check:
            with open(fifo, "w", encoding="utf-8") as file:
                file.write(text)
            self.assertIn(b"2:9: shards", check.communicate(timeout=60)[1])

    def test_a_file_that_is_not_there_and_a_call_without_one(self):
        path = os.path.join(self.folder, "none.yaml")
        for words in (("check", path), ("--config", path)):
            done = run(*words)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(f"{path}: cannot be read", done.stderr)
        self.assertEqual(run("check").returncode, 2)
        self.assertEqual(run("check", path, path).returncode, 2)
        self.assertEqual(run("--config").returncode, 2)

    def test_help_names_the_commands_and_the_file(self):
        text = run("--help").stdout
        for part in ("--config FILE", "sluice check FILE", "--default-model"):
            self.assertIn(part, text)
        self.assertIn("FILE", run("check", "--help").stdout)

    def test_row_169_a_key_file_that_others_can_read_is_refused(self):
        key = self.file("sk-very-secret\n", "key")
        path = self.file("models: {m: {backends: [{url: http://127.0.0.1:1, "
                         f"key: 'file:{key}'}}]}}}}\n")
        os.chmod(key, 0o644)
        done = run("check", path)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("can be read by others", done.stderr)
        self.assertNotIn("very-secret", done.stderr)
        os.chmod(key, 0o600)
        self.assertEqual(run("check", path).returncode, 0)


class Serve(Config):

    def setUp(self):
        super().setUp()
        self.backends = [Backend(), Backend()]
        for backend in self.backends:
            self.addCleanup(backend.stop)

    def test_it_serves_what_the_file_says(self):
        path = self.file(f"listen: 127.0.0.1:0\nmodels:\n  m:\n    aliases: [other]\n"
                         f"    backends: [{{url: '{self.backends[0].url}'}}]\n"
                         f"log: {{access: 'off'}}\n")
        gateway = self.gateway("--config", path, listen=False, log=False)
        for model in ("m", "other"):
            self.assertEqual(self.served_by(gateway, model).status, 200)
        self.assertEqual(self.served_by(gateway, "none").status, 404)

    def test_flags_win_over_the_file(self):
        path = self.file("listen: 127.0.0.1:1\nlog: {access: /nonexistent/log}\nmodels:\n"
                         "  m: {backends: [{url: 'http://127.0.0.1:1'}], aliases: [other]}\n")
        gateway = self.gateway("--config", path, "--model", f"m={self.backends[1].url}")
        self.assertEqual(self.served_by(gateway, "other").status, 200)

    def test_a_file_that_is_not_named_is_not_read(self):
        self.file("nonsense: true\n")
        done = run("--version", cwd=self.folder)
        self.assertEqual(done.returncode, 0)
        # It goes on to the listening, which fails, instead of to the file.
        done = run("--listen", "unix:/nonexistent/s", "--no-discovery", cwd=self.folder)
        self.assertEqual(done.returncode, 1, done)
        self.assertNotIn("nonsense", done.stderr)


class Readme(Config):

    def test_the_file_of_the_readme_is_sound(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            text = file.read().split("```yaml\n")[1].split("```")[0]
        done = run("check", self.file(text))
        self.assertEqual(done.returncode, 0, done)


if __name__ == "__main__":
    main()
