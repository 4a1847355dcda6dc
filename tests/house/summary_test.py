#!/usr/bin/env python3
"""tools/test-summary counts what the test programs tell, and never hides a failure or a skip.

    summary_test.py TEST_SUMMARY
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

SUMMARY = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else ""


def entry(result, stdout="", name="sluice:unit / a"):
    return {"name": name, "result": result, "stdout": stdout, "stderr": None}


def summary(*entries, arguments=()):
    """(last line, all lines, exit status) for a log of these entries."""
    with tempfile.TemporaryDirectory() as root:
        folder = os.path.join(root, "debug", "meson-logs")
        os.makedirs(folder)
        log = os.path.join(folder, "testlog.json")
        with open(log, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(e) + "\n" for e in entries)
        done = subprocess.run([sys.executable, SUMMARY, *arguments, log], capture_output=True,
                              text=True, check=False)
        return done.stdout.rstrip("\n").split("\n")[-1], done.stdout, done.returncode


class SummaryTest(unittest.TestCase):
    def test_a_program_that_tells_no_cases_counts_once(self):
        self.assertEqual(summary(entry("OK"), entry("OK"))[0], "2 passed, 0 failed, 0 skipped")

    def test_cases_of_doctest_node_and_plain_lines_are_added(self):
        last, _, status = summary(
            entry("OK", "[doctest] test cases:  12 |  12 passed | 0 failed | 3 skipped\n"),
            entry("OK", "# pass 4\n# fail 0\n# skipped 1\nSKIP: embed: no llama-server\n"),
            entry("OK", "5 passed, 0 failed\n"))
        self.assertEqual(last, "21 passed, 0 failed, 1 skipped")
        self.assertEqual(status, 0)

    def test_a_crash_after_passing_cases_is_a_failure(self):
        last, text, status = summary(
            entry("FAIL", "[doctest] test cases: 3 | 3 passed | 0 failed | 0 skipped\n"))
        self.assertEqual(last, "3 passed, 1 failed, 0 skipped")
        self.assertIn("debug: sluice:unit / a: FAIL", text)
        self.assertEqual(status, 1)

    def test_a_timeout_is_a_failure(self):
        self.assertEqual(summary(entry("TIMEOUT"))[2], 1)

    def test_a_skip_is_listed_with_its_reason(self):
        _, text, status = summary(entry("OK"), entry("SKIP", "SKIP: ring: no io_uring\n"))
        self.assertIn("debug: sluice:unit / a: ring: no io_uring", text)
        self.assertEqual(status, 0)

    def test_what_does_not_build_and_what_did_not_run_fails(self):
        self.assertEqual(summary(entry("OK"), arguments=["--broken=build/tsan"])[0],
                         "1 passed, 1 failed, 0 skipped")
        self.assertEqual(summary()[0], "0 passed, 1 failed, 0 skipped")
        self.assertEqual(summary(entry("SKIP"))[2], 1)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed", flush=True)
    sys.exit(1 if bad else 0)
