#!/usr/bin/env python3
"""One client whose requests a real llama-server refuses, beside one that asks well.

    LLAMA_SERVER=PROGRAM LLAMA_MODELS=FOLDER bench/judging/bad_client.py
        [--sluice build/release/src/app/sluice] [--seconds 60] [--rate 50] [--turn 5]

The good client asks again as soon as it is answered, for `--seconds` alone and as long beside the
bad one, in turns of `--turn` seconds, so that both see the same machine. The bad one sends
`--rate` requests a second, of the kinds that a llama-server answers with 500 although it is well,
by turns.
Prints failures of the good one and its p99 beside the bad one, as a ratio of that alone: what the
bad one's requests cost the server is in it. The same is measured without the gateway, whose ratio
is what the server itself does to the good client. Exit 0 where nothing failed."""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{no"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
USER = {"role": "user", "content": "hi"}
BAD = [
    ("/v1/chat/completions", {"tools": [TOOL], "messages": [
        USER, {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "x"}]}),
    ("/v1/chat/completions", {"messages": [USER], "tools": [{"type": "retrieval"}]}),
    ("/v1/chat/completions", {"messages": [USER], "grammar": 'root ::= "a"',
                              "json_schema": {"type": "object"}}),
    ("/v1/messages", {"max_tokens": 5}),
]
GOOD = ("/v1/chat/completions", {"messages": [USER], "max_tokens": 4, "temperature": 0})


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Client:
    """One kept-alive connection."""

    def __init__(self, port):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path, body):
        began = time.monotonic()
        self.http.request("POST", path, json.dumps({"model": "m", **body}),
                          {"Content-Type": "application/json"})
        answer = self.http.getresponse()
        answer.read()
        return answer.status, time.monotonic() - began


def good_for(client, seconds, times, failures):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status, took = client.ask(*GOOD)
        times.append(took)
        if status != 200:
            failures.append(status)


def bad_for(port, seconds, rate, seen):
    client, began = Client(port), time.monotonic()
    for number in range(int(seconds * rate)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        status, _ = client.ask(*BAD[number % len(BAD)])
        seen[status] = seen.get(status, 0) + 1


def p99(times):
    return sorted(times)[int(len(times) * 0.99)]


def measure(name, port, flags):
    client = Client(port)
    good_for(client, 2, [], [])  # warm
    alone, beside, failures, seen = [], [], [], {}
    for _ in range(max(1, int(flags.seconds / flags.turn))):
        good_for(client, flags.turn, alone, failures)
        bad = threading.Thread(target=bad_for, args=(port, flags.turn, flags.rate, seen))
        bad.start()
        good_for(client, flags.turn, beside, failures)
        bad.join()
    ratio = p99(beside) / p99(alone)
    print(f"{name}: good alone {len(alone)} requests, p99 {p99(alone) * 1e3:.2f} ms; beside "
          f"{sum(seen.values())} bad ones {seen}: {len(beside)} requests, p99 "
          f"{p99(beside) * 1e3:.2f} ms, ratio {ratio:.2f}; failures of the good one: "
          f"{len(failures)}", flush=True)
    return len(failures)


def wait_healthy(port, path):
    for _ in range(1200):
        try:
            probe = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            probe.request("GET", path)
            if probe.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"bad_client: nothing answers GET {path} on port {port}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default="build/release/src/app/sluice")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--turn", type=float, default=5)
    flags = parser.parse_args()
    server = os.environ.get("LLAMA_SERVER")
    models = os.environ.get("LLAMA_MODELS")
    if not server or not models:
        sys.exit("bad_client: set LLAMA_SERVER to a llama-server and LLAMA_MODELS to the folder of "
                 "tiny-chat.gguf")
    engine, front = free_port(), free_port()
    log = tempfile.TemporaryFile()
    started = [subprocess.Popen([server, "--host", "127.0.0.1", "--port", str(engine), "--offline",
                                 "-m", os.path.join(models, "tiny-chat.gguf"), "--jinja", "-t",
                                 "1", "-c", "2048", "-np", "2"], stdout=log, stderr=log)]
    try:
        wait_healthy(engine, "/health")
        started.append(subprocess.Popen([flags.sluice, "--listen", f"127.0.0.1:{front}",
                                         "--model", f"m=http://127.0.0.1:{engine}",
                                         "--access-log", "off"], stdout=log, stderr=log))
        wait_healthy(front, "/readyz")
        failures = measure("sluice", front, flags)
        measure("direct", engine, flags)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
