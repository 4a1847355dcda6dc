#!/usr/bin/env python3
"""Compiles every header of include/ and src/ alone: a header includes what it uses.

    headers_test.py BUILD_FOLDER

Takes the flags from the folder's compile_commands.json: those of the header's own module, or of
any other file of ours where the module has no source.
"""

import concurrent.futures
import glob
import json
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
KEPT = re.compile(r"-(I|isystem|D|std=|W|f)")


def commands_by_module(build):
    """module -> (folder to run in, compiler and flags without input and output)."""
    found = {}
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            source = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
            match = re.match(r"src/([a-z0-9_]+)/", os.path.relpath(source, ROOT))
            if match:
                found[match.group(1)] = (entry["directory"], flags_of(entry["command"]))
    return found


def flags_of(command):
    words = shlex.split(command)
    compiler = [w for w in words[:2] if not w.startswith("-")]
    flags = []
    for position, word in enumerate(words):
        if word in ("-isystem", "-I"):
            flags += [word, words[position + 1]]
        elif KEPT.match(word) and not word.startswith("-fsanitize"):
            flags.append(word)
    return compiler + flags


def compile_alone(header, folder, command):
    include = os.path.relpath(header, os.path.join(ROOT, "include"))
    name = include if not include.startswith("..") else header
    done = subprocess.run(
        [*command, "-fsyntax-only", "-Werror", "-x", "c++", "-I", os.path.join(ROOT, "include"),
         "-include", name, "-"],
        cwd=folder, input="", capture_output=True, text=True, check=False)
    return header, done.returncode, done.stderr


def main():
    commands = commands_by_module(sys.argv[1])
    fallback = next(iter(commands.values()))
    headers = sorted(glob.glob(f"{ROOT}/include/**/*.h", recursive=True)
                     + glob.glob(f"{ROOT}/src/**/*.h", recursive=True))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = []
        for header in headers:
            relative = os.path.relpath(header, ROOT).removeprefix("include/sluice/")
            module = relative.removeprefix("src/").split("/")[0]
            jobs.append(pool.submit(compile_alone, header, *commands.get(module, fallback)))
        for job in jobs:
            header, status, errors = job.result()
            if status:
                failed += 1
                print(f"{os.path.relpath(header, ROOT)} does not compile alone:\n{errors}")
    print(f"{len(headers) - failed} passed, {failed} failed")
    return 1 if failed or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
