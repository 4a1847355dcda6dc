"""sluice-bench with stalled clients, through the gateway to sluice-sim."""

import json
import os
import subprocess
import tempfile
import unittest

import harness
from harness import ROOT, Gateway, Sim
from wire import wait_until

SLUICE_BENCH = os.environ.get("SLUICE_BENCH") or os.path.join(
    ROOT, "build/release/tools/sluice-bench/sluice-bench")
STALLED = 40
# Far more than all kernels on the way keep for one stream.
TOKENS = 200_000


class BenchCase(unittest.TestCase):

    gateway_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.sim = Sim("--tokens", str(TOKENS), "--ttft", "0", "--itl", "0")
        cls.addClassCleanup(cls.sim.stop)
        cls.gateway = Gateway("--model", f"sim={cls.sim.url}", "--shards", "1", *cls.gateway_flags)
        cls.addClassCleanup(cls.gateway.stop)

    def bench(self, *flags, url=None):
        """Runs the bench; its exit status, its table, and its report as a dict and as a page."""
        with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
            report, page = os.path.join(folder, "report"), os.path.join(folder, "page")
            done = subprocess.run(
                [SLUICE_BENCH, url or self.gateway.url, "--max-tokens", "8", "--stalled-tokens",
                 str(TOKENS), "--json", report, "--html", page, *flags],
                capture_output=True, text=True, timeout=120, check=False)
            if not os.path.exists(report):
                raise AssertionError(f"{done.returncode}: {done.stderr[-2000:]}")
            with open(report, encoding="utf-8") as file:
                found = json.load(file)
            with open(page, encoding="utf-8") as file:
                return done.returncode, done.stdout, found, file.read()


class Beside(BenchCase):

    def test_stalled_clients_are_held_beside_the_load_and_counted_apart(self):
        status, table, report, page = self.bench("--stream", "-c", "4", "-n", "200", "--stalled",
                                                 str(STALLED), "-d", "60s")
        self.assertEqual(status, 0, table)
        self.assertEqual(report["totals"]["requests"], 200)
        self.assertEqual(report["totals"]["failed"], 0)
        stalled = report["stalled"]
        self.assertGreater(stalled.pop("unread_bytes"), STALLED * 1000)
        self.assertEqual(stalled, {"asked": STALLED, "at_begin": STALLED, "at_end": STALLED,
                                   "answered": STALLED, "refused": 0, "first_refusal": ""})
        line = f"{STALLED} stalled clients beside it: {STALLED} open at the begin"
        self.assertIn(line, table)
        self.assertIn(line, page)
        # The gateway had them, and they went in the middle.
        ends = wait_until(lambda: self.ended() >= STALLED + 200 and self.ends(), "all lines")
        self.assertEqual(ends, {"ok": 200, "client_gone": STALLED})

    def ended(self):
        return len(self.gateway.log())

    def ends(self):
        found = [line["end"] for line in self.gateway.log()]
        return {end: found.count(end) for end in found}


class GivenUp(BenchCase):

    gateway_flags = ("--timeout-write", "1s")

    def test_stalled_clients_that_the_gateway_gives_up_are_reported_and_no_error(self):
        status, table, report, _ = self.bench("-c", "1", "--think", "10ms", "-d", "4s",
                                              "--stalled", "5", "--stalled-fill", "100ms")
        self.assertEqual(status, 0, table)
        self.assertEqual(report["totals"]["failed"], 0)
        self.assertEqual((report["stalled"]["asked"], report["stalled"]["at_end"]), (5, 0))


class Refused(BenchCase):

    def test_refusals_are_told_from_answers(self):
        status, table, report, page = self.bench("-c", "1", "-n", "3", "--model", "nobody's",
                                                 "--stalled", "5")
        self.assertEqual(status, 1)
        self.assertEqual(report["stalled"]["answered"], 0)
        self.assertEqual(report["stalled"]["refused"], 5)
        self.assertEqual(report["stalled"]["first_refusal"], "HTTP/1.1 404 Not Found")
        for text in (table, page):
            self.assertIn("5 refused, the first one: HTTP/1.1 404 Not Found", text)


class Flags(unittest.TestCase):

    def test_bad_values_say_what_is_wrong(self):
        for flags, words in ((("--stalled", "many"), "--stalled"),
                             (("--stalled", "10001"), "10001 not in range 0 to 10000"),
                             (("--stalled-fill", "2h"), "at most one hour"),
                             (("--stalled-tokens", "-1"), "--stalled-tokens")):
            done = subprocess.run([SLUICE_BENCH, "http://127.0.0.1:1", *flags],
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 2, flags)
            self.assertIn(words, done.stdout + done.stderr)

    def test_the_help_names_them(self):
        done = subprocess.run([SLUICE_BENCH, "--help"], capture_output=True, text=True, timeout=60,
                              check=True)
        for flag in ("--stalled N", "--stalled-fill TIME", "--stalled-tokens N"):
            self.assertIn(flag, done.stdout)


if __name__ == "__main__":
    harness.main(SLUICE_BENCH)
