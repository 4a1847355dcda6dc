#!/usr/bin/env python3
"""Counts the instructions of each micro-benchmark under callgrind, against the committed baseline.

    bench/instructions/check.py --build FOLDER [--accept]

Exits 1 where one takes more than 3 % more than its baseline, is not in the baseline or is gone from
it; 77 where the baseline cannot be compared, because another compiler or library made it. --accept
writes what was counted as the new baseline, to be committed with the change that explains it.
"""

import argparse
import concurrent.futures
import json
import os
import platform
import re
import subprocess
import sys

BASELINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "baseline.json")
GROWTH_MAX = 1.03
NOT_COMPARABLE = 77

# Nothing of this machine's environment: its size moves the stack, and with it what memcpy does.
# Symbols are bound at the start, not within the first call that is counted.
ENVIRONMENT = {"PATH": os.environ["PATH"], "LD_BIND_NOW": "1"}


def output(folder, *command):
    """What a program says on both streams."""
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"bench-check: {' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def programs_of(folder):
    """The modules whose programs are there."""
    end = "_instructions"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return (sorted(name.removesuffix(end) for name in names if name.endswith(end))
            or sys.exit(f"bench-check: {folder} has no programs that count"))


def made_with(folder, modules):
    """What changes the counts though the code is the same."""
    # callgrind shows a program a processor of this family, with AVX2 if the machine has it, and the
    # C library chooses its functions by that.
    with open("/proc/cpuinfo", encoding="ascii") as file:
        avx2 = " avx2" if re.search(r"^flags.* avx2\b", file.read(), re.M) else ""
    return {"compiler": output(folder, f"./{modules[0]}_instructions", "--made-with").strip(),
            "valgrind": output(folder, "valgrind", "--version").strip(),
            "processor": platform.machine() + avx2}


def count(folder, module, name):
    """Instructions of one turn. A process each: none sees what another did to the heap."""
    said = output(folder, "valgrind", "--tool=callgrind", "--instr-atstart=no",
                  "--callgrind-out-file=/dev/null", f"./{module}_instructions", name)
    turns = int(re.search(r"^(\d+)$", said, re.M)[1])
    collected = int(re.search(r"Collected : (\d+)", said)[1])
    return round(collected / turns, 1)


def count_all(folder, modules):
    """module/name -> instructions of one turn."""
    jobs = [(module, name) for module in modules
            for name in output(folder, f"./{module}_instructions").split()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = pool.map(lambda job: count(folder, *job), jobs)
        return {f"{module}/{name}": n for (module, name), n in zip(jobs, counts)}


def verdict(before, now):
    """(ratio as text, remark, whether it fails)."""
    if before is None:
        return "", "not in the baseline", True
    if now is None:
        return "", "gone", True
    ratio = now / before
    if ratio > GROWTH_MAX:
        return f"{ratio:.3f}", "MORE", True
    return f"{ratio:.3f}", "less" if ratio < 2 - GROWTH_MAX else "", False


def compare(before, now):
    """Prints the table; returns how many fail."""
    failures = 0
    print(f"{'instructions of':<36}{'baseline':>14}{'now':>14}{'ratio':>8}")
    for name in sorted(before.keys() | now.keys()):
        ratio, remark, fails = verdict(before.get(name), now.get(name))
        figures = [f"{n:.1f}" if n is not None else "-" for n in (before.get(name), now.get(name))]
        print(f"{name:<36}{figures[0]:>14}{figures[1]:>14}{ratio:>8}  {remark}".rstrip())
        failures += fails
    return failures


def write_baseline(tools, counts):
    with open(BASELINE, "w", encoding="utf-8") as file:
        json.dump({"made_with": tools, "instructions": counts}, file, indent=2)
        file.write("\n")
    print(f"bench-check: wrote {len(counts)} counts to bench/instructions/baseline.json; commit it "
          "with the change that explains them")


def check(baseline, counts):
    failures = compare(baseline["instructions"], counts)
    if failures:
        print(f"bench-check: {failures} of {len(counts)} failed (more than +3 %, new or gone); "
              "where that is meant: tools/dev bench-check --accept")
        return 1
    print(f"bench-check: none of {len(counts)} takes more than 3 % more")
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--accept", action="store_true")
    options = parser.parse_args()
    folder = os.path.join(options.build, "bench", "micro")
    modules = programs_of(folder)
    tools = made_with(folder, modules)
    if options.accept:
        write_baseline(tools, count_all(folder, modules))
        return 0
    with open(BASELINE, encoding="utf-8") as file:
        baseline = json.load(file)
    if baseline["made_with"] != tools:
        print("bench-check: skipped, the baseline is not comparable: it was made with "
              f"{', '.join(baseline['made_with'].values())}; here are {', '.join(tools.values())}\n"
              "To compare two trees here, run tools/dev bench-check --accept in the older one")
        return NOT_COMPARABLE
    return check(baseline, count_all(folder, modules))


if __name__ == "__main__":
    sys.exit(main())
