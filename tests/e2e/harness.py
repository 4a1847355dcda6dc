"""What every end-to-end test needs: the programs under test, and a way to run and report cases.

    SLUICE, SLUICE_SIM    the programs; else build/release of this tree (SLUICE_BENCH: the bench)
    SLUICE_SHARDS         shards of every sluice whose case does not choose for itself
    SLUICE_SANITIZED=1    they are built with a sanitizer: cases that weigh memory are skipped
    SLUICE_E2E_SCALE=N    multiplies the long runs: 0.1 makes 10,000 requests of 100,000

Each test file ends in harness.main(). It prints a line for every case, a line "SKIP: case: why" for
what is skipped, and last "N passed, N failed, N skipped"; the exit status is 77 when nothing ran.
"""

import atexit
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from backend import Backend
from wire import DEADLINE, Client, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICE = os.environ.get("SLUICE") or os.path.join(ROOT, "build/release/src/app/sluice")
SLUICE_SIM = os.environ.get("SLUICE_SIM") or os.path.join(
    ROOT, "build/release/tools/sluice-sim/sluice-sim")
SANITIZED = os.environ.get("SLUICE_SANITIZED") == "1"
SHARDS = os.environ.get("SLUICE_SHARDS")
# A shard lends 256 to the kernel, and its small texts share one.
BUFFERS_AT_REST = 257 * int(SHARDS or 1)
SCALE = float(os.environ.get("SLUICE_E2E_SCALE", "1"))

ADDRESS = re.compile(r"(?:https?://([\w.\-]+|\[[\w:.]+\]):(\d+))|unix:(\S+)")
TROUBLE = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|assert", re.I)

# The check of virtual tables opens a pipe to look at memory, and takes its failure for a finding.
descriptor_case = unittest.skipIf(SANITIZED, "a sanitizer needs descriptors of its own")
memory_case = unittest.skipIf(SANITIZED, "a sanitizer's memory says nothing about the program's")


class Program:
    """A started program that prints where it listens. stop() also checks how it ended."""

    def __init__(self, path, flags, listens, env=None, user=None):
        self.folder = tempfile.TemporaryDirectory(prefix="sluice-e2e-")
        self.stderr_path = os.path.join(self.folder.name, "stderr")
        self.lines = []
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                [path, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                env={**os.environ, **(env or {})}, text=True, user=user, group=user,
                extra_groups=None if user is None else [])
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.addresses = []
        wait_until(lambda: self._addresses(listens) or self.process.poll() is not None,
                   f"{os.path.basename(path)} says where it listens")
        if len(self.addresses) < listens:
            raise AssertionError(f"{path} {flags} ended with {self.process.returncode}: "
                                 f"{self.stderr()[-2000:]}")

    def _read(self):
        with self.process.stdout as stdout:
            for line in stdout:
                self.lines.append(line.rstrip("\n"))

    def _addresses(self, listens):
        found = []
        for line in list(self.lines):
            if "listening on" in line:
                for host, port, path in ADDRESS.findall(line):
                    found.append(path or (host.strip("[]"), int(port)))
        self.addresses = found
        return len(found) >= listens

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return self.address[1]

    @property
    def url(self):
        return f"http://{self.address[0]}:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, deadline=DEADLINE):
        return self.process.wait(deadline)

    def stop(self, deadline=DEADLINE):
        """SIGTERM; a clean end within the deadline is part of every test."""
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            status = self.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end within {deadline} s of SIGTERM") from None
        finally:
            self.reader.join(5)
            errors = self.stderr()
            self.folder.cleanup()
        if status != 0 or TROUBLE.search(errors):
            raise AssertionError(f"ended with {status}; stderr: {errors[-3000:]}")

    # --- what it uses ---

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def sockets(self):
        count = 0
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(OSError):
                count += os.readlink(f"/proc/{self.pid}/fd/{name}").startswith("socket:")
        return count

    def rss(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            times = file.read().rsplit(")", 1)[1].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


class Gateway(Program):
    """sluice, with its access log in a file."""

    def __init__(self, *flags, listens=1, env=None, listen=True, log=True, user=None):
        self.log_folder = tempfile.TemporaryDirectory(prefix="sluice-log-")
        program = SLUICE
        if user is not None:  # who may not see where the program was built
            program = shutil.copy(SLUICE, self.log_folder.name)
            os.chown(self.log_folder.name, user, user)
        self.log_path = os.path.join(self.log_folder.name, "access.log")
        own = ["--listen", "127.0.0.1:0"] if listen else []
        own += ["--access-log", self.log_path] if log else []
        if SHARDS and "--shards" not in flags:
            own += ["--shards", SHARDS]
        super().__init__(program, [*own, *flags], listens, env, user)

    def client(self, **options):
        return Client(self.address, **options)

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def log(self):
        """The access log so far, one dict a line."""
        try:
            with open(self.log_path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def logged(self, **wanted):
        """Waits for the line that has all these values, and returns it."""
        def find():
            for line in reversed(self.log()):
                if all(line.get(key) == value for key, value in wanted.items()):
                    return line
            return None
        try:
            return wait_until(find, f"a line of the access log with {wanted}", 10)
        except AssertionError as error:
            raise AssertionError(f"{error}; the last lines: {self.log()[-3:]}") from None

    def stop(self, deadline=DEADLINE):
        try:
            super().stop(deadline)
        finally:
            self.log_folder.cleanup()


class Sim(Program):
    """sluice-sim."""

    def __init__(self, *flags):
        super().__init__(SLUICE_SIM, ["--listen", "127.0.0.1:0", *flags], 1)

    def get(self, path):
        with Client(self.address) as client:
            return client.ask(f"GET {path} HTTP/1.1\r\nHost: {self.address[0]}\r\n"
                              "Connection: close\r\n\r\n".encode())

    def stats(self):
        return self.get("/sim/stats").json


# A backend that fails again and again is asked again and again.
NO_BREAKER = {"breaker": {"failures": 0, "error_rate": 0}}
# A client that waits hears nothing of it.
NO_NOTICES = {"queue": {"notice_first": 0}}


def settings(value):
    """Flags for a file of settings that says this. It goes with the tests."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="sluice-e2e-", encoding="utf-8",
                                     delete=False) as file:
        json.dump(value, file)  # JSON is YAML
    atexit.register(os.unlink, file.name)
    return ("--config", file.name)


def defaults(*parts):
    """The same for what shall hold of all models: NO_BREAKER and the like."""
    return settings({"defaults": {key: value for part in parts for key, value in part.items()}})


class GatewayCase(unittest.TestCase):
    """A test class with one gateway in front of one scripted backend that serves the model m."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.backend = Backend()
        cls.gateway = Gateway("--model", f"m={cls.backend.url}", *cls.flags)
        cls.addClassCleanup(cls.backend.stop)

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()
        if cls.backend.malformed:
            raise AssertionError(f"the gateway sent a backend what is not HTTP: "
                                 f"{cls.backend.malformed[0]}")

    def setUp(self):
        self.backend.forget()

    def tearDown(self):
        self.assertEqual(self.backend.script_errors, [])
        self.assertTrue(self.gateway.alive(), self.gateway.stderr()[-3000:])

    def client(self, **options):
        client = self.gateway.client(**options)
        self.addCleanup(client.close)
        return client

    def chat(self, **more):
        return chat_request(host=self.gateway.host, **more)

    def stream_of(self, script, **more):
        """Asks for a stream that the backend answers by the script; returns the answer's begin."""
        self.backend.script = script
        client = self.client()
        client.send(self.chat(stream=True, **more))
        return client.read()


def request(method, path, body=b"", host="127.0.0.1", fields=(), content_type="application/json"):
    """The exact bytes of a request; fields are whole lines without their ends."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    if body or method == "POST":
        lines += [f"Content-Type: {content_type}"] if content_type else []
        lines += [f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chat_body(model="m", content="hi", **more):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": content}],
                       **more}).encode()


def chat_request(host="127.0.0.1", path="/v1/chat/completions", fields=(), **more):
    return request("POST", path, chat_body(**more), host, fields)


def events(body):
    """The data of the events of a stream, read as the standard says; without the comments."""
    found = []
    for block in re.split(r"(?:\r\n|\n|\r)(?:\r\n|\n|\r)", body.decode("utf-8", "replace")):
        data = [line[5:].removeprefix(" ") for line in re.split(r"\r\n|\n|\r", block)
                if line.startswith("data:")]
        if data:
            found.append("\n".join(data))
    return found


def error_in(answer):
    """The error object of an answer in OpenAI's shape; fails when it has another."""
    error = answer.json["error"]
    missing = {"message", "type", "param", "code"} - set(error)
    if missing or not error["message"] or not error["type"]:
        raise AssertionError(f"not an error in OpenAI's shape: {answer.body!r}")
    return error


def best_of(measure, limit, attempts=5):
    """Measures until a figure is within the limit; the machine may be busy, the program may not be
    slow each time. Returns the best figure."""
    best = None
    for _ in range(attempts):
        figure = measure()
        best = figure if best is None else min(best, figure)
        if best <= limit:
            return best
    raise AssertionError(f"best of {attempts} attempts: {best:.4f}, the limit is {limit}")


class Reporter(unittest.TextTestResult):
    """One line a case."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.passed = 0
        self.began = 0.0

    def name(self, test):
        return getattr(test, "_testMethodName", str(test))

    def say(self, word, test):
        print(f"{word} {self.name(test)} ({time.monotonic() - self.began:.2f} s)", flush=True)

    def startTest(self, test):
        self.began = time.monotonic()
        unittest.TestResult.startTest(self, test)

    def addSuccess(self, test):
        self.passed += 1
        self.say("ok  ", test)

    def addFailure(self, test, err):
        unittest.TestResult.addFailure(self, test, err)
        self.say("FAIL", test)

    def addError(self, test, err):
        unittest.TestResult.addError(self, test, err)
        self.say("FAIL", test)

    def addSubTest(self, test, subtest, err):
        unittest.TestResult.addSubTest(self, test, subtest, err)
        if err is not None:
            print(f"FAIL {self.name(test)} {subtest._subDescription()}", flush=True)

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        print(f"SKIP: {self.name(test)}: {reason}", flush=True)


def main(program=SLUICE):
    """Runs the cases of the calling file, which need this program; -k PATTERN picks some."""
    if program and not os.access(program, os.X_OK):
        sys.exit(f"there is no {program}: build it, or name it in the environment (see harness.py)")
    # Some cases hold thousands of connections; the gateway inherits the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    runner = unittest.TextTestRunner(resultclass=Reporter, verbosity=0, stream=sys.stdout)
    result = unittest.main(module="__main__", testRunner=runner, exit=False).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.passed} passed, {failed} failed, {len(result.skipped)} skipped")
    sys.stdout.flush()
    if failed:
        sys.exit(1)
    sys.exit(0 if result.passed else 77)
