"""The rows that are no figures of a window: memory of many streams, system calls, shards."""

import hashlib
import json
import re
import subprocess

from gateways import prepare, start_sluice


def run_bench(bench, flags, cores, seconds):
    """One load on one target; its JSON report."""
    report = bench["folder"] / "single.json"
    command = [bench["program"], *flags, "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False,
                          preexec_fn=prepare(cores))
    if done.returncode not in (0, 1) or not report.exists():
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
    found = json.loads(report.read_text())
    report.unlink()
    return found


def open_streams(bench, gateway, count, period, length):
    """Memory of a gateway with so many open streams, before and while they are open, in KiB."""
    before = gateway.rss_kib()
    flags = [gateway.url, "--pid", str(gateway.pid), "--origin", bench["origin"], "--stream", "-c",
             str(count), "--origin-period", period, "--ramp", "2s", "--warmup", "3s", "-d", length]
    report = run_bench(bench, flags, bench["cores"], 60)
    return before, report["metrics"]["rss_mib"] * 1024, report


def memory(bench, gateways, streams):
    """RSS idle, and what each idle open stream adds."""
    idle, each = {}, {}
    for gateway in gateways:
        before, during, report = open_streams(bench, gateway, streams, "60s", "1s")
        idle[gateway.name] = f"{before / 1024:.1f} MiB"
        failed = report["totals"]["failed"]
        each[gateway.name] = (f"{(during - before) / streams:.2f} KiB" if not failed
                              else f"{failed} failed")
    return [("RSS before any load", idle, "sluice: at most 8 MiB"),
            (f"RSS per idle open stream, {streams:,} streams", each,
             "sluice: below 4.6 KiB")]


def held_streams(bench, gateways, streams):
    """So many streams with an event a second each: held, flowing, memory flat."""
    cells = {}
    for gateway in gateways:
        _, first, report = open_streams(bench, gateway, streams, "1s", "2s")
        _, second, again = open_streams(bench, gateway, streams, "1s", "2s")
        failed = report["totals"]["failed"] + again["totals"]["failed"]
        rate = again["metrics"].get("events_per_s", 0)
        cells[gateway.name] = (f"{again['totals']['cut']:,} held, {rate:,.0f} events/s, "
                               f"{failed} failed, RSS {first / 1024:.0f} then "
                               f"{second / 1024:.0f} MiB")
    return [(f"{streams:,} open streams, an event a second each", cells, "held, flat")]


def count_calls(pid, seconds):
    """System calls of a process in some seconds, or None where they cannot be counted."""
    try:
        done = subprocess.run(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p",
                               str(pid), "--", "sleep", str(seconds)], capture_output=True,
                              text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^(\d+),", done.stderr, re.M)
    return int(found.group(1)) if found else None


def system_calls(bench, gateways):
    cells = {}
    for gateway in gateways:
        report = bench["folder"] / "calls.json"
        command = [bench["program"], gateway.url, "--pid", str(gateway.pid), "--origin",
                   bench["origin"], "-c", "64", "-d", "3s", "--json", str(report)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              preexec_fn=prepare(bench["cores"])) as load:
            subprocess.run(["sleep", "1"], check=False)
            calls = count_calls(gateway.pid, 1)
            load.wait(30)
        if calls is not None:
            rate = json.loads(report.read_text())["metrics"]["requests_per_s"]
            cells[gateway.name] = f"{calls / rate:.2f}"
    return [("system calls per request, 64 connections", cells, "sluice: below 1")]


def against_each_other(bench, programs, upstream, cores, rounds, variants, load=()):
    """CPU per request of the second set of flags against the first, on the same core."""
    started = []
    try:
        for name, flags in variants:
            started.append(start_sluice(programs, upstream, bench["folder"], cores, name, flags))
        report = bench["compare"]([g.target for g in started],
                                  ["-c", "64", "-d", "400ms", "--warmup", "200ms", "--rounds",
                                   str(rounds), *load])
    finally:
        for gateway in started:
            gateway.stop()
    ratio = report["targets"][1]["metrics"]["cpu_us_per_request"]["ratio"]
    text = f"{ratio['median']:.2f}x [{ratio['low']:.2f}-{ratio['high']:.2f}]"
    return text


def shards(*measured):
    text = against_each_other(*measured, [("shards-1", ["--shards", "1"]),
                                          ("shards-2", ["--shards", "2"])])
    return [("CPU per request, two shards against one", {"sluice": text}, "at most 1.1x")]


def policies(bench, *measured):
    """Health checks, breakers, lines and notices, as they are at first, with a consumer's key and a
    rule that is tried, against none of them."""
    off = bench["folder"] / "policies-off.yaml"
    off.write_text(json.dumps({"defaults": {"breaker": {"failures": 0, "error_rate": 0},
                                            "health": {"probe": "off"},
                                            "queue": {"length": 0, "notice_first": 0}}}))
    key = "sk-of-the-bench"
    on = bench["folder"] / "policies-on.yaml"
    on.write_text(json.dumps({
        "consumers": [{"name": "bench", "labels": {"team": "bench"}, "keys": [
            {"id": "bench", "sha256": hashlib.sha256(key.encode()).hexdigest()}]}],
        "rules": [{"name": "others", "when": {"consumer": {"team": "other"}}, "use": "sim"}]}))
    text = against_each_other(bench, *measured, [("policies-off", ["--config", str(off)]),
                                                 ("policies-on", ["--config", str(on)])],
                              ["--api-key", key])
    return [("CPU per request, policies on against off", {"sluice": text}, "at most 1.1x")]
