#!/usr/bin/env python3
"""Settings that cannot mean what they say are refused with what to do (T1), labels of backends are
seen (T2), and who reads what of the metrics and of the log (T3).
"""

import json
import os
import re
import socket
import subprocess

from backend import answer_chat
from harness import ROOT, SLUICE, Gateway, chat_request, main, request
from pool_case import PoolCase, backend, consumers
from test_config import Config, run
from wire import wait_until

URL = "http://127.0.0.1:1"
ONE = f"backends: [{{url: '{URL}'}}]"
MODEL = f"models: {{m: {{{ONE}}}}}\n"
RULE = "  - {name: %s, use: m%s}\n"


class Refused(Config):

    def refused(self, text, *wanted, at=None, flags=()):
        """`check` and the start say the same, with its place, and end with 2."""
        path = self.file(text)
        commands = [("--config", path, *flags)] + ([] if flags else [("check", path)])
        for words in commands:
            done = run(*words)
            self.assertEqual(done.returncode, 2, (text, done))
            for each in wanted:
                self.assertIn(each, done.stderr, text)
            if at:
                self.assertIn(f"{path}:{at}: ", done.stderr, text)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def sound(self, text):
        done = run("check", self.file(text))
        self.assertEqual((done.returncode, done.stderr), (0, ""), text)

    def test_T1_aliases_that_lead_to_nothing_or_in_a_circle(self):
        self.refused(MODEL + "aliases: {x: other}\n", "no model 'other'", at="2:14")
        self.refused(MODEL, "no model 'n'", flags=("--alias", "x=n"))
        self.refused(MODEL, "no model 'mm'; did you mean 'm'?", flags=("--alias", "x=mm"))
        for circle in ("{a: b, b: a}", "{a: a}", "{a: b, b: c, c: a}", "{d: a, a: b, b: a}"):
            self.refused(MODEL + f"aliases: {circle}\n", "round in a circle", at="2:11"
                         if not circle.startswith("{d") else "2:17")
        self.refused("discover: true\naliases: {a: b, b: a}\n", "'a' -> 'b' -> 'a'")
        self.sound(MODEL + "aliases: {a: m, b: a, c: b}\n")

    def test_T1_a_route_with_a_star(self):
        self.refused(f"routes: [{{path: /x/*, {ONE}}}]\n", "write '/x'", at="1:17")
        self.refused(f"routes: [{{path: '/*', {ONE}}}]\n", "write '/'")
        self.refused(MODEL + "rules: [{name: r, use: m, when: {path: /v1/*}}]\n", "write '/v1'")

    def test_T1_what_stands_there_twice(self):
        self.refused(f"routes:\n  - {{path: /x, {ONE}}}\n  - {{path: /x, {ONE}}}\n",
                     "never reached", "line 2", at="3:5")
        self.refused(f"routes:\n  - {{path: /x, methods: [GET, POST], {ONE}}}\n"
                     f"  - {{path: /x, methods: [GET], {ONE}}}\n", "never reached")
        self.refused(f"routes:\n  - {{path: /x, headers: {{a: b}}, {ONE}}}\n"
                     f"  - {{path: /x, headers: {{a: b}}, {ONE}}}\n", "never reached")
        self.sound(f"routes:\n  - {{path: /x, methods: [GET], {ONE}}}\n"
                   f"  - {{path: /x, headers: {{a: b}}, {ONE}}}\n  - {{path: /x, {ONE}}}\n"
                   f"  - {{path: /x/y, {ONE}}}\n")
        self.refused(MODEL + "rules:\n" + RULE % ("r", ", when: {stream: true}") +
                     RULE % ("r", ", when: {stream: false}"), "name of a rule", "line 3")
        self.refused(MODEL + "rules:\n" + RULE % ("r", ", when: {stream: true}") +
                     RULE % ("s", ", when: {stream: true}"), "never reached", "'r'")
        for second in ("http://127.0.0.1:8081", "http://127.0.0.1:8081/", "http://localhost:8081",
                       "http://127.0.0.1:8081/v1"):
            two = f"backends: [{{url: 'http://127.0.0.1:8081'}}, {{url: '{second}'}}]"
            self.refused(f"models: {{m: {{{two}}}}}\n", "the same backend", "line 1")
            self.refused(f"routes: [{{path: /x, {two}}}]\n", "the same backend")
        self.sound("models: {m: {backends: [{url: 'http://127.0.0.1:8081', model: a}, "
                   "{url: 'http://127.0.0.1:8081', model: b}, {url: 'http://127.0.0.1:8082'}]}}\n")
        self.refused("backends: ['http://127.0.0.1:1', 'http://localhost:1/']\n", "twice")
        self.refused("listen: ['127.0.0.1:8642', '127.0.0.1:8642']\n", "address to listen on")
        self.refused(MODEL, "127.0.0.1:8642", "twice",
                     flags=("--listen", "127.0.0.1:8642", "--listen", "127.0.0.1:8642"))
        self.refused(MODEL, "twice", flags=("--model", f"n={URL}", "--model", f"n={URL}"))
        self.refused("discover: false\n", "twice", flags=("--backend", URL, "--backend", URL + "/"))
        self.sound("listen: ['127.0.0.1:0', '127.0.0.1:0', '[::1]:0']\n")

    def test_T1_addresses_that_are_one_however_they_are_written(self):
        keys = ("consumers: [{name: a, keys: [{id: a1, sha256: "
                "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae}]}]\n")
        for one, other in (("127.0.0.1:2", "localhost:2"), ("0.0.0.0:2", "127.0.0.1:2"),
                           ("127.0.0.1:2", "0.0.0.0:2"), ("unix:/tmp/a", "unix:/tmp/./a")):
            path = self.file(keys + MODEL + f"listen: ['{one}', '{other}']\n")
            for words in (("check", path), ("--config", path)):
                done = run(*words)
                self.assertNotEqual(done.returncode, 0, done)
                for each in (one, other, "name it once"):
                    self.assertIn(each, done.stderr)
        self.sound(MODEL + "listen: ['127.0.0.1:2', '[::1]:2', '127.0.0.1:0', '127.0.0.1:0']\n")

    def test_T1_check_says_what_the_start_would(self):
        done = run("check", self.file(MODEL + "listen: 0.0.0.0:2\n"))
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("no API keys", done.stderr)

    def test_T1_rules_behind_one_that_takes_everything(self):
        some = RULE % ("r", ", when: {stream: true}")
        self.refused(MODEL + "rules:\n" + RULE % ("all", "") + some, "never reached",
                     "'all'", "takes every request", at="4:5")
        self.refused(MODEL + "rules:\n" + RULE % ("all", ", when: {}") + RULE % ("b", ""),
                     "never reached")
        self.sound(MODEL + "rules:\n" + some + RULE % ("all", ""))

    def test_T1_a_hash_that_nothing_goes_by(self):
        for balance in ("", "balance: least-busy, "):
            self.refused(f"models: {{m: {{{balance}hash: {{by: client}}, {ONE}}}}}\n",
                         "balance: hash")
            self.refused(f"routes: [{{path: /x, {balance}hash: {{by: client}}, {ONE}}}]\n",
                         "balance: hash")
        self.sound(f"models: {{m: {{balance: hash, hash: {{by: client}}, {ONE}}}}}\n")

    def test_T1_by_consumer_without_consumers(self):
        self.refused(f"models: {{m: {{balance: hash, hash: {{by: consumer}}, {ONE}}}}}\n",
                     "there are none", "'consumers'")
        self.refused(f"routes: [{{path: /x, balance: hash, hash: {{by: consumer}}, {ONE}}}]\n",
                     "there are none")
        self.refused(MODEL + "rules: [{name: r, use: m, when: {consumer: {team: a}}}]\n",
                     "there are none")
        self.refused(MODEL + "rules: [{name: r, split: [{model: m, percent: 100}], "
                     "sticky: {by: consumer}}]\n", "there are none")

    def test_T1_sizes_without_a_unit_and_beyond_what_there_is(self):
        for size in ("16", "1048576"):
            self.refused(f"limits: {{body: {size}}}\n", "512B, 64KiB or 16MiB", at="1:16")
            done = run("--body-max", size, "--no-discovery")
            self.assertEqual(done.returncode, 2)
            self.assertIn("with its unit", done.stderr)
        for size in ("1GiB", "1000GiB"):
            self.refused(f"limits: {{buffers: {size}}}\n", "256MiB")
            self.refused(MODEL, "256MiB", flags=("--buffers", size))
        self.refused("limits: {body: 200MiB}\n", "could be kept")
        self.refused("limits: {body: 9MiB, buffers: 8MiB}\n", "could be kept", "5MiB")
        self.sound(f"limits: {{body: 10GiB}}\nroutes: [{{path: /x, {ONE}}}]\n")
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
        if memory < 64 * 256 << 20:
            self.refused("shards: 64\n", "the memory of this machine")

    def test_T1_a_backend_on_port_0(self):
        self.refused("models: {m: {backends: [{url: 'http://127.0.0.1:0'}]}}\n", "port 0")
        done = run("--backend", "http://127.0.0.1:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("port 0", done.stderr)

    def test_T1_wildcards_that_cross(self):
        for one, other in (("gpt-*", "*-mini"), ("a*b*", "a*c*"), ("*x*", "*y*"),
                           ("qwen*", "*coder*")):
            self.refused(f"models:\n  '{one}': {{{ONE}}}\n  '{other}': {{{ONE}}}\n",
                         one, other, "part of the other", at="3:3")
        self.sound("models:\n" + "".join(f"  '{name}': {{{ONE}}}\n" for name in (
            "*", "gpt-*", "gpt-4o*", "gpt-4o-mini", "gpt-4o*-mini", "o1-*-x", "o1-*-y")))

    def test_T1_what_is_wrong_as_a_whole_has_its_place(self):
        self.refused("listen: ['127.0.0.1:8642',\n '0.0.0.0:2']\n" + MODEL, "no API keys",
                     at="2:2")
        self.refused("models:\n m: {backends: [{url: 'http://127.0.0.1:8642'}]}\n",
                     "this gateway itself", at="2:23")
        self.refused("backends:\n - http://127.0.0.1:1/v1/models\n", "leave that away", at="2:4")
        self.refused("log: {access: /nope/x.log}\n", "there is no folder /nope/", at="1:15")
        self.refused(f"log: {{access: '{self.folder}'}}\n", "it is a folder", at="1:15")
        self.refused("limits: {body: 200MiB}\n", "could be kept", at="1:16")
        self.refused(MODEL + "fallback_backend: http://127.0.0.1:2\n", "beside 'models'",
                     at="2:19")

    def test_T1_a_port_alone_and_what_comes_too_late(self):
        self.refused("listen: 8642\n" + MODEL, "'8642' is a port alone: write 127.0.0.1:8642",
                     at="1:9")
        self.refused("consumers: []\n" + MODEL, "an empty list would serve everybody", at="1:12")
        self.refused("defaults: {timeouts: {gap: 2m, total: 1m}}\n" + MODEL,
                     "it is longer than 'total' (1m), which comes first", at="1:28")

    def test_T1_an_empty_file_is_said_to_be_one(self):
        for text in ("", "\n\n", "# nothing yet\n", "---\n", "~\n"):
            path = self.file(text)
            done = run("check", path)
            self.assertEqual(done.returncode, 0, done)
            self.assertIn("it is empty", done.stderr)
        gateway = self.gateway("--config", self.file("# nothing\n"), "--no-discovery")
        self.assertIn("it is empty", gateway.stderr())
        gateway = self.gateway("--config", self.file("discover: false\n"))
        self.assertEqual(gateway.stderr(), "")


class Meant(Config):

    def test_T1_the_home_folder(self):
        home = {"HOME": self.folder}
        key = self.file("sk-1", "key")
        os.chmod(key, 0o600)
        path = self.file("listen: ['127.0.0.1:0', 'unix:~/s']\nlog: {access: ~/access.log}\n"
                         f"models: {{m: {{backends: [{{url: '{URL}', key: 'file:~/key'}}]}}}}\n")
        gateway = Gateway("--config", path, env=home, listen=False, log=False)
        self.addCleanup(gateway.stop)
        self.assertTrue(os.path.exists(os.path.join(self.folder, "s")))
        self.assertTrue(os.path.exists(os.path.join(self.folder, "access.log")))
        gateway = Gateway("--config=~/gateway.config.yaml", "--listen=unix:~/t",
                          "--access-log=~/other.log", env=home, listen=False, log=False)
        self.addCleanup(gateway.stop)
        self.assertTrue(os.path.exists(os.path.join(self.folder, "t")))
        self.assertTrue(os.path.exists(os.path.join(self.folder, "other.log")))
        done = subprocess.run([SLUICE, "check", "~/gateway.config.yaml"], timeout=30, check=False,
                              capture_output=True, text=True, env={**os.environ, **home})
        self.assertEqual(done.returncode, 0, done)

    def test_T1_a_day_is_a_duration(self):
        path = self.file("timeouts: {idle: 1d}\ndefaults: {timeouts: {total: 2d}}\n")
        self.assertEqual(run("check", path).returncode, 0)
        gateway = self.gateway("--timeout-idle", "1d", "--no-discovery")
        self.assertTrue(gateway.alive())

    def test_T1_a_near_miss_of_a_flag_or_a_command(self):
        for words, wanted in (
                (("--lisen", "127.0.0.1:0"), "did you mean '--listen'?"),
                (("--alow-host=x",), "did you mean '--allow-host'?"),
                (("serve", "--bakend", URL), "did you mean '--backend'?"),
                (("-config", "x"), "did you mean '--config'?"),
                (("--no-discovry",), "did you mean '--no-discovery'?"),
                (("check", "--hlep"), "did you mean '--help'?"),
                (("chekc", "x"), "did you mean 'check'?"), (("serv",), "did you mean 'serve'?"),
                (("--zzzzzz",), "--help"), (("banana",), "no command 'banana'")):
            done = run(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertIn(wanted, done.stderr)

    def test_T1_words_of_other_programs_and_values_without_their_flag(self):
        for words, wanted in (
                (("help",), "write --help"), (("version",), "write --version"),
                (("-c", "x"), "--config FILE"), (("--port", "80"), "--listen 127.0.0.1:PORT"),
                (("--prot=80",), "--listen 127.0.0.1:PORT"),
                (("8080",), "--listen 127.0.0.1:8080"), ((":8080",), "--listen 127.0.0.1:8080"),
                (("0.0.0.0:80",), "--listen 0.0.0.0:80"), (("http://a:1",), "--backend http://a:1"),
                (("m=http://a:1",), "--model m=http://a:1"), (("listen", "x"), "'--listen'"),
                (("models",), "sluice discover"), (("validate", "x"), "sluice check FILE"),
                (("--discover",), "leave it away"), (("--discovr",), "leave it away"),
                (("--no-discover",), "did you mean '--no-discovery'?"),
                (("discover", "foo"), "'foo' is one word too many for 'discover'"),
                (("check", "a", "b"), "'b' is one word too many for 'check'"),
                (("serve", "foo"), "'foo' is one word too many for 'serve'"),
                (("check", "--config", "x"), "sluice check FILE"),
                (("--no-discovery", "check", "x"), "'check' stands in front of all flags")):
            done = run(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertIn(wanted, done.stderr, words)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertRegex(done.stderr, r"[^.?][.?]\n\Z")
            if words[0] != "--no-discover":
                self.assertNotIn("mean '--no", done.stderr)

    def test_T1_a_near_miss_in_the_other_programs(self):
        programs = [(os.environ[name], *row) for name, *row in (
            ("SLUICE_SIM", ("--lisen", "x"), "did you mean '--listen'?"),
            ("SLUICE_SIM", ("--port", "80"), "write --listen 127.0.0.1:PORT"),
            ("SLUICE_SIM", ("foo",), "'foo' is one word too many"),
            ("SLUICE_BENCH", ("--conections", "4", URL), "did you mean '--connections'?"),
            ("SLUICE_BENCH", ("compare", "--tarket", "x"), "did you mean '--target'?"))]
        tool = os.path.join(ROOT, "tools", "dev")
        programs += [(tool, ("biuld",), "did you mean 'build'?"),
                     (tool, ("banana",), "there is no task 'banana'")]
        for program, words, wanted in programs:
            done = subprocess.run([program, *words], capture_output=True, text=True, timeout=30,
                                  check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)
            self.assertIn(wanted, done.stderr)
        done = subprocess.run([tool, "--help"], capture_output=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done)

    def test_T1_names_of_flags_that_lead_to_nothing(self):
        for flags, wanted in ((("--alias", "a=m", "--alias", "a=n"), "is given twice"),
                              (("--alias", "m=m"), "is a model's own name"),
                              (("--alias", "x=x"), "round in a circle"),
                              (("--alias", "x*=m"), "is a wildcard")):
            done = run("--model", f"m={URL}", "--model", f"n={URL}", *flags)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(wanted, done.stderr)

    def test_T1_a_file_as_the_first_word_hints_at_config(self):
        path = self.file(MODEL)
        for words in ((path,), ("serve", path), (path, "--no-discovery")):
            done = run(*words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"--config {path}", done.stderr)
            self.assertIn(f"sluice check {path}", done.stderr)

    def test_T1_in_use_names_the_process_where_it_can(self):
        folder = os.path.join(self.folder, "s")
        for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0)),
                                (socket.AF_UNIX, folder)):
            with socket.socket(family) as holder:
                holder.bind(address)
                holder.listen()
                port = "" if family == socket.AF_UNIX else holder.getsockname()[1]
                text = {socket.AF_INET: f"127.0.0.1:{port}", socket.AF_INET6: f"[::1]:{port}",
                        socket.AF_UNIX: f"unix:{folder}"}[family]
                done = run("--listen", text, "--no-discovery")
                self.assertEqual(done.returncode, 1, done)
                with open("/proc/self/comm", encoding="utf-8") as file:
                    name = file.read().strip()
                self.assertRegex(done.stderr, rf"process {os.getpid()} \({re.escape(name)}\)")


class Labels(PoolCase):

    def test_T2_the_labels_of_a_backend_stand_in_the_metrics_and_in_the_log(self):
        server, bare = self.scripted(answer_chat), self.scripted(answer_chat)
        gateway = self.gateway(
            {"m": {"backends": [backend(server, labels={"locality": "local", "gpu-0": 'a "b"'})]},
             "n": {"backends": [backend(bare)]}},
            routes=[{"path": "/x", "backends": [backend(bare, labels={"kind": "tool"})]}])
        for model, labels in (("m", {"locality": "local", "gpu-0": 'a "b"'}), ("n", None)):
            with gateway.client() as client:
                answer = client.ask(chat_request(gateway.host, model=model))
            line = gateway.logged(id=answer.field("x-request-id"))
            self.assertEqual(line.get("labels"), labels)
        with gateway.client() as client:
            answer = client.ask(request("POST", "/x", b"x", gateway.host))
        self.assertEqual(gateway.logged(id=answer.field("x-request-id"))["labels"],
                         {"kind": "tool"})
        with gateway.client() as client:
            text = client.ask(request("GET", "/metrics", host=gateway.host)).body.decode()
        rows = [line for line in text.splitlines() if line.startswith("sluice_backend_info{")]
        self.assertEqual(rows, [f'sluice_backend_info{{model="m",backend="{server.url}",'
                                'label_gpu_0="a \\"b\\"",label_locality="local"} 1'])

    def test_T2_many_long_labels_do_not_make_a_line_too_long(self):
        server = self.scripted(answer_chat)
        labels = {f"label-{i}": "é" * 200 for i in range(50)}
        gateway = self.gateway({"m": {"backends": [backend(server, labels=labels)]}})
        with gateway.client() as client:
            answer = client.ask(chat_request(gateway.host))
        line = gateway.logged(id=answer.field("x-request-id"))
        self.assertLess(len(json.dumps(line["labels"], ensure_ascii=False).encode()), 2048)
        self.assertTrue(line["labels"].items() <= labels.items())


class Seen(PoolCase):

    def metrics(self, gateway, key=None):
        fields = [f"Authorization: Bearer {key}"] if key else []
        with gateway.client() as client:
            answer = client.ask(request("GET", "/metrics", host=gateway.host, fields=fields))
        self.assertEqual(answer.status, 200)
        return answer.body.decode()

    def test_T3_a_key_reads_only_its_own_part_of_the_metrics(self):
        server = self.scripted(answer_chat)
        known = consumers(**{"team-a": "sk-a", "team-b": "sk-b", "boss": "sk-c"})
        known[-1]["admin"] = True
        gateway = self.gateway({"m": {"backends": [backend(server)]}}, consumers=known)
        for key, times in (("sk-a", 2), ("sk-b", 1)):
            for _ in range(times):
                with gateway.client() as client:
                    client.ask(chat_request(gateway.host, fields=[f"Authorization: Bearer {key}"]))
        wait_until(lambda: self.metrics(gateway, "sk-c").count("team-") >= 2, "all is counted")
        for key, own, other, count in (("sk-a", "team-a", "team-b", 2),
                                       ("sk-b", "team-b", "team-a", 1)):
            wait_until(lambda key=key, own=own, count=count: re.search(
                rf'sluice_requests_total{{consumer="{own}",model="m".*}} {count}\n',
                self.metrics(gateway, key)), "its own part")
            text = self.metrics(gateway, key)
            self.assertIn(f'sluice_tokens_total{{consumer="{own}"', text)
            self.assertNotIn(other, text)
            rows = [line for line in text.splitlines() if not line.startswith("#")]
            for row in rows:
                self.assertTrue(row.startswith("sluice_build_info{") or f'"{own}"' in row, row)
        text = self.metrics(gateway, "sk-c")
        for each in ("team-a", "team-b", "sluice_connections_open", "sluice_backend_up",
                     "gen_ai_server_request_duration_seconds_count"):
            self.assertIn(each, text)
        self.assertNotIn("boss", self.metrics(gateway, "sk-a"))

    def test_T3_without_consumers_everybody_reads_all(self):
        gateway = self.gateway({"m": {"backends": [backend(self.scripted(answer_chat))]}})
        self.assertIn("sluice_connections_open", self.metrics(gateway))

    PROBES = ("/healthz", "/readyz", "/health", "/v1/health", "/metrics")

    def probe(self, gateway):
        for path in self.PROBES:
            for method in ("GET", "HEAD"):
                with gateway.client() as client:
                    client.ask(request(method, path, host=gateway.host), method)
        with gateway.client() as client:
            return client.ask(chat_request(gateway.host)).field("x-request-id")

    def test_T3_probes_and_scrapes_stay_out_of_the_log(self):
        gateway = self.gateway({"m": {"backends": [backend(self.scripted(answer_chat))]}})
        gateway.logged(id=self.probe(gateway))
        logged = {line.get("path") for line in gateway.log()}
        self.assertEqual(logged & set(self.PROBES), set())
        # What is refused there is not routine.
        with gateway.client() as client:
            client.ask(request("POST", "/metrics", host=gateway.host))
        self.assertEqual(gateway.logged(path="/metrics")["status"], 405)

    def test_T3_and_a_setting_brings_them_back(self):
        model = {"m": {"backends": [backend(self.scripted(answer_chat))]}}
        for gateway in (self.gateway(model, log={"probes": True}),
                        self.gateway(model, "--log-probes")):
            gateway.logged(id=self.probe(gateway))
            logged = [line["path"] for line in gateway.log() if line.get("path") in self.PROBES]
            self.assertEqual(sorted(logged), sorted(self.PROBES * 2))

    def test_T3_the_name_that_was_asked_for_stands_beside_the_model(self):
        server = self.scripted(answer_chat)
        gateway = self.gateway(
            {"served": {"backends": [backend(server)], "aliases": ["gpt-4o"]},
             "wild-*": {"backends": [backend(server)]}},
            rules=[{"name": "r", "when": {"model": "ruled"}, "use": "served"}])
        for asked, model in (("served", "served"), ("gpt-4o", "served"), ("ruled", "served"),
                             ("wild-1", "wild-*"), ("unknown", None)):
            with gateway.client() as client:
                answer = client.ask(chat_request(gateway.host, model=asked))
            line = gateway.logged(id=answer.field("x-request-id"))
            self.assertEqual((line.get("asked"), line.get("model")), (asked, model))


if __name__ == "__main__":
    main()
