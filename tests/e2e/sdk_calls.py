"""Runs calls of the published openai SDK under Node.js (sdk/calls.mjs)."""

import json
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
NODE = shutil.which("node")


def missing():
    """Why the SDK cannot be run here; empty when it can."""
    if NODE is None:
        return "there is no node"
    if not os.path.isdir(os.path.join(HERE, "node_modules", "openai")):
        return "the openai SDK is not installed: tools/setup-sdk"
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=False)
    if int(version.stdout.lstrip("v").split(".")[0] or 0) < 18:
        return f"node is older than 18: {version.stdout.strip()}"
    return ""


class Call:
    """One call in a process of its own."""

    def __init__(self, url, name, **arguments):
        self.process = subprocess.Popen(
            [NODE, os.path.join(HERE, "sdk", "calls.mjs"), name, json.dumps(arguments)],
            env={**os.environ, "BASE_URL": f"{url}/v1"}, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_ready(self):
        line = self.process.stdout.readline()
        if line != "ready\n":
            raise AssertionError(f"not ready: {line!r}")

    def go_on(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self):
        """What the call has seen; with "error" when it threw."""
        out, errors = self.process.communicate(timeout=90)
        try:
            return json.loads(out.rstrip("\n").split("\n")[-1])
        except (IndexError, ValueError):
            raise AssertionError(f"no result: {out!r} {errors!r}") from None


def call(url, name, **arguments):
    return Call(url, name, **arguments).result()
