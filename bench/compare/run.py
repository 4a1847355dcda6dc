#!/usr/bin/env python3
"""The side-by-side table: direct, the floor, nginx, HAProxy and sluice in one run.

    bench/compare/run.py --build build/release [--rounds 9] [--out bench/RESULTS.md]
                         [--only LOAD ...] [--peer NAME=URL[,pid=N] ...]

The gateways run on one core and the bench, which is both the clients and the model server, on
another: an event's way through a gateway is known exactly only if one clock sees both its ends, and
lock-step needs both in one loop. Each load is measured in short rounds that take turns, in reverse
order every other round; the one with stalled clients takes each gateway twice, without and with
them. Takes some minutes. A peer that is already running must forward to --origin, and is measured
with the rest."""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import checks as check
import failover
import gateways as gate
import results
import rows as table

HERE = Path(__file__).resolve().parent
PARTS = [load.name for load in table.LOADS] + ["checks", "failover"]


def parse_flags():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=HERE / "../../build/release",
                        help="build folder (release)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path,
                        help="where the table is written; the default of a whole run is "
                             "bench/RESULTS.md, that of a part of one is nowhere")
    parser.add_argument("--only", nargs="+", metavar="LOAD", choices=PARTS,
                        help="only these of " + " ".join(PARTS))
    parser.add_argument("--gateways", nargs="+", default=list(gate.STARTERS),
                        help="which to start")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL[,pid=N]")
    parser.add_argument("--origin", help="host:port of the bench's own model server")
    parser.add_argument("--core", type=int, default=0, help="of the gateways")
    parser.add_argument("--bench-core", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few rounds, small checks")
    flags = parser.parse_args()
    if flags.out is None and not (flags.only or flags.quick):
        flags.out = HERE / "../RESULTS.md"
    return flags


def machine_facts(flags, programs, started):
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", text)
    commit = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    load = " ".join(f"{n:.1f}" for n in os.getloadavg())
    facts = [
        ("date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        ("machine", f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, "
                    f"Linux {platform.release()}"),
        ("load average at the begin", f"{load} (other work on the machine widens the spreads)"),
        ("pinned", f"gateways to core {flags.core}, the bench (clients and model server, one "
                   f"thread) to core {flags.bench_core}"),
        ("rounds", f"{flags.rounds} of each load, interleaved, order reversed every other round"),
        ("tree", commit or "unknown"),
    ]
    facts += [(name, gate.version_of(name, programs)) for name in started]
    return facts


class Bench:
    """How sluice-bench is called."""

    def __init__(self, flags, programs, folder):
        self.program = programs["bench"]
        self.folder = folder
        self.cores = {flags.bench_core}
        self.origin = flags.origin or f"127.0.0.1:{gate.free_port()}"

    def compare(self, targets, flags):
        report = self.folder / "compare.json"
        command = [self.program, "compare", "--origin", self.origin, "--json", str(report)]
        for target in targets:
            command += ["--target", target]
        done = subprocess.run(command + flags, capture_output=True, text=True, timeout=600,
                              check=False, preexec_fn=gate.prepare(self.cores))
        if done.returncode not in (0, 1) or not report.exists():
            raise RuntimeError(f"{' '.join(command + flags)}: {done.stderr[-800:]}")
        found = json.loads(report.read_text())
        report.unlink()
        return found

    def as_dict(self):
        return {"program": self.program, "folder": self.folder, "cores": self.cores,
                "origin": self.origin, "compare": self.compare}


def start_gateways(flags, programs, origin, folder):
    started = []
    for name in flags.gateways:
        if name not in programs:
            print(f"{name} is not installed: left out", file=sys.stderr)
            continue
        started.append(gate.STARTERS[name](programs, origin, folder, {flags.core}))
    return started


def measure_loads(flags, bench, started):
    reports = {}
    for load in table.LOADS:
        if flags.only and load.name not in flags.only:
            continue
        print(f"{load.name}: {load.what}", file=sys.stderr)
        targets = [f"direct=http://{bench.origin}", *flags.peer, *[g.target for g in started]]
        targets = [t for t in targets if t.split("=")[0] not in load.without]
        if load.stalled:
            targets += [t.replace("=", f"{table.BESIDE}=", 1) + f",stalled={load.stalled}"
                        for t in targets]
        if not targets:
            continue
        reports[load.name] = bench.compare(targets, [
            *load.flags, "-d", load.window, "--warmup", load.warmup, "--rounds",
            str(flags.rounds)])
    return reports


def run_checks(flags, bench, programs, started, descriptors):
    if flags.only and "checks" not in flags.only:
        return []
    print("checks", file=sys.stderr)
    streams = (500, 1000) if flags.quick else (5000, 10000)
    # A stream takes two of a gateway's descriptors, and two of the bench's.
    streams = [min(n, descriptors // 2 - 100) for n in streams]
    facts = bench.as_dict()
    found = check.memory(facts, started, streams[0])
    found += check.system_calls(facts, started)
    sluice = [g for g in started if g.name == "sluice"]
    if sluice:
        found += check.held_streams(facts, sluice, streams[1])
        for compared in (check.shards, check.policies):
            found += compared(facts, programs, bench.origin, {flags.core}, flags.rounds)
    return found


def run_failover(flags, programs, folder):
    if (flags.only and "failover" not in flags.only) or "sim" not in programs:
        return []
    print("failover", file=sys.stderr)
    return failover.measure(programs, folder, {flags.core}, {flags.bench_core}, flags.rounds)


def main():
    flags = parse_flags()
    descriptors = gate.raise_descriptors()
    if flags.quick:
        flags.rounds = min(flags.rounds, 3)
    programs = gate.find_programs(flags.build.resolve())
    for needed in ("bench", "sluice", "floor"):
        if needed not in programs:
            sys.exit(f"{needed} is not built in {flags.build}: tools/build release")
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        os.chmod(folder, 0o755)  # nginx's worker may be another user
        bench = Bench(flags, programs, Path(folder))
        started = []
        try:
            started = start_gateways(flags, programs, bench.origin, Path(folder))
            facts = machine_facts(flags, programs, [g.name for g in started])
            rows = run_checks(flags, bench, programs, started, descriptors)
            reports = measure_loads(flags, bench, started)
        finally:
            for gateway in started:
                gateway.stop()
        recovery = run_failover(flags, programs, Path(folder))
    names = ["direct"] + [g.name for g in started] + [p.split("=")[0] for p in flags.peer]
    page = results.document(facts, reports, names,
                            {"gateways": [g.name for g in started], "rows": rows}, recovery)
    if flags.out is not None:
        flags.out.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
