"""sluice-bench as a program: its terminal, signals, and a gateway that ends under it.

It loads its own backend, so nothing else runs beside it.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
import unittest

import harness
from harness import ROOT

SLUICE_BENCH = os.environ.get("SLUICE_BENCH") or os.path.join(
    ROOT, "build/release/tools/sluice-bench/sluice-bench")
COLUMNS = 80
CLEARED = "\r\033[K"


class Terminal:
    """The bench on a terminal of 80 columns."""

    def __init__(self, *flags):
        self.text = ""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.process = subprocess.Popen([SLUICE_BENCH, *flags], stdin=slave, stdout=slave,
                                        stderr=slave)
        os.close(slave)

    def read(self):
        """Whatever comes next; false when the program has closed its terminal."""
        if not select.select([self.master], [], [], 60)[0]:
            raise AssertionError("nothing came: " + self.text[-500:])
        try:
            part = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += part.decode()
        return bool(part)

    def wait_for(self, pattern):
        while not re.search(pattern, self.text):
            if not self.read():
                raise AssertionError(f"no {pattern} in " + self.text[-500:])

    def end(self):
        while self.read():
            pass
        os.close(self.master)
        return self.process.wait(timeout=60)


class BenchCase(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-bench-")
        self.addCleanup(folder.cleanup)
        self.report = os.path.join(folder.name, "report")
        self.page = os.path.join(folder.name, "page")
        self.socket = os.path.join(folder.name, "socket")
        self.url = "unix:" + self.socket
        self.flags = ("--origin", self.url, "--json", self.report, "--html", self.page,
                      "--warmup", "0", "--think", "5ms")

    def start(self, *flags):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        return Terminal(*flags, *self.flags)

    def found(self):
        with open(self.report, encoding="utf-8") as file:
            return json.load(file)

    def found_page(self):
        with open(self.page, encoding="utf-8") as file:
            return file.read()

    def targets(self):
        return ("--target", f"a={self.url}", "--target", f"b={self.url}")


class Interrupted(BenchCase):

    def test_the_first_signal_ends_the_measurement_and_reports_it(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            terminal = self.start(self.url, "-d", "1h")
            terminal.wait_for(r"[1-9][0-9.]* requests/s")
            terminal.process.send_signal(number)
            self.assertEqual(terminal.end(), 130)
            self.assertIn("interrupted: the figures are of the time until then", terminal.text)
            self.assertIn("interrupted: the figures", self.found_page())
            found = self.found()
            self.assertTrue(found["interrupted"])
            self.assertGreater(found["totals"]["requests"], 0)
            self.assertGreater(found["metrics"]["requests_per_s"], 0)
            self.assertLess(found["seconds"], 3600)

    def test_the_second_one_ends_it_at_once(self):
        terminal = self.start(self.url, "-d", "1h")
        terminal.wait_for("requests/s")
        # Both are there when it goes on.
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            terminal.process.send_signal(number)
        self.assertEqual(terminal.end(), 130)
        self.assertFalse(os.path.exists(self.report))

    def test_a_comparison_reports_its_whole_rounds(self):
        terminal = self.start("compare", *self.targets(), "--rounds", "1000", "-d", "300ms")
        terminal.wait_for("round 3 of 1000")
        terminal.process.send_signal(signal.SIGINT)
        self.assertEqual(terminal.end(), 130)
        found = self.found()
        self.assertTrue(found["interrupted"])
        rounds = [len(target["rounds"]) for target in found["targets"]]
        self.assertGreaterEqual(rounds[0], 2)
        self.assertEqual(rounds[0], rounds[1])
        words = f"interrupted: the figures are of the {rounds[0]} whole rounds until then"
        self.assertIn(words, terminal.text)
        self.assertIn(words, self.found_page())

    def test_a_comparison_without_a_whole_round_has_no_report(self):
        terminal = self.start("compare", *self.targets(), "-d", "1h")
        terminal.wait_for("round 1 of 10")
        terminal.process.send_signal(signal.SIGINT)
        self.assertEqual(terminal.end(), 130)
        self.assertIn("interrupted before the end of the first round", terminal.text)
        self.assertFalse(os.path.exists(self.report))


class OnATerminal(BenchCase):

    def check_lines(self, text):
        """Each progress line fits, and the last one is cleared before what follows."""
        lines = text.split(CLEARED)
        self.assertGreater(len(lines), 2)
        self.assertEqual(lines[0], "")
        for line in lines[1:-1]:
            self.assertLess(len(line), COLUMNS)
            self.assertNotIn("\n", line)
        return lines[-1]

    def test_the_table_begins_on_a_line_of_its_own(self):
        terminal = self.start(self.url, "-d", "500ms")
        self.assertEqual(terminal.end(), 0)
        self.assertRegex(self.check_lines(terminal.text), r"^\d+ requests in ")

    def test_lines_are_cut_to_the_width(self):
        name = "a-name-that-takes-half-of-a-line-by-itself"
        terminal = self.start("compare", "--target", f"{name}={self.url}", "--rounds", "1", "-d",
                            "500ms")
        self.assertEqual(terminal.end(), 0)
        self.assertRegex(self.check_lines(terminal.text), r"^median ")
        self.assertIn(f"round 1 of 1, {name}: ", terminal.text)


class EndedGateway(BenchCase):

    def test_a_process_that_ends_under_the_load_has_no_figures(self):
        for waits in (True, False):
            gateway = subprocess.Popen(["sleep", "1000"])
            self.addCleanup(gateway.wait)
            self.addCleanup(gateway.kill)
            terminal = self.start(self.url, "-d", "1s", "--pid", str(gateway.pid))
            terminal.wait_for("requests/s")
            gateway.kill()
            if waits:
                gateway.wait()
            self.assertEqual(terminal.end(), 0)
            words = "the process of --pid ended during the run: its figures are left out"
            self.assertIn(words, terminal.text)
            self.assertIn(words, self.found_page())
            found = self.found()
            self.assertTrue(found["process_ended"])
            for key in ("cpu_us_per_request", "switches_per_request", "rss_mib", "cpu_percent"):
                self.assertNotIn(key, found["metrics"])


class OpenLoop(BenchCase):

    def test_a_missed_rate_is_said(self):
        # No answer ends: each event comes a minute after the one before.
        done = subprocess.run(
            [SLUICE_BENCH, self.url, "--stream", "--rate", "100", "-c", "4", "-d", "500ms",
             "--origin-events", "3", "--origin-period", "1m", *self.flags[:6], "--warmup", "0"],
            capture_output=True, text=True, timeout=60, check=False)
        found = self.found()
        self.assertEqual(found["totals"]["requests"], 0)
        self.assertEqual(found["totals"]["due"], 50)
        self.assertEqual(found["totals"]["due_unanswered"], 50)
        self.assertTrue(found["totals"]["rate_missed"])
        self.assertEqual(found["metrics"]["due_unanswered"], 50)
        self.assertEqual(found["metrics"]["latency_max_us"], 490_000)
        words = "the asked rate was missed: 50 requests were due and 0 came to an end"
        self.assertIn("sluice-bench: warning: " + words, done.stderr)
        self.assertIn(words, self.found_page())
        self.assertIn("50 due, 50 of them not answered", done.stdout)


class Flags(BenchCase):

    def test_what_cannot_be_measured_ends_with_2_before_it_begins(self):
        mix = self.report + ".mix"
        with open(mix, "w", encoding="utf-8") as file:
            file.write("kind=chat\nkind=poem\n")
        one = "http://127.0.0.1:1"
        for flags, words in (
                (("foo",), "'foo' is no URL"),
                (("https://127.0.0.1:1",), "TLS to a backend is not supported"),
                (("http://127.0.0.1:99999",), "'99999' is no port"),
                (("compare", "--target", "a=foo"), "'foo' is no URL"),
                (("compare", "--target", "a=foo,pid=x"), "'x' is no process id"),
                ((one, "--pid", str(2 ** 30)), "there is no such process"),
                (("compare", "--target", f"a={one},pid={2 ** 30}"), "there is no such process"),
                ((one, "--scenario", mix), f"{mix}: line 2: 'poem'"),
                ((one, "--header", "no colon"), "'no colon' is not 'Name: value'"),
                ((one, "--json", "/none/report"), "--json: /none/report cannot be written"),
                ((one, "--html", "/none/page"), "--html: /none/page cannot be written"),
                ((one, "--origin", "nowhere"), "--origin: ")):
            done = subprocess.run([SLUICE_BENCH, *flags], capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, 2, flags)
            self.assertIn(words, done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main(SLUICE_BENCH)
