"""Runs one call of a published package; what it has seen comes back as a value."""

import json
import os
import subprocess

from sdk_calls import HERE, NODE
from sdk_calls import missing as node_missing

PYTHON = os.path.join(HERE, ".venv", "bin", "python")
# Two generations of one package: which key goes where, and in which version.
ANTHROPIC_NEW, ANTHROPIC_OLD = "@anthropic-ai/sdk", "anthropic-sdk-0"


def missing(*node, python=()):
    """Why a test with these packages cannot run here; empty when it can."""
    if node and node_missing():
        return node_missing()
    for package in node:
        if not os.path.isdir(os.path.join(HERE, "node_modules", package)):
            return f"{package} is not installed: tools/setup-sdk"
    if python:
        code = "import " + ", ".join(python)
        done = subprocess.run([PYTHON, "-c", code], capture_output=True, check=False) \
            if os.path.exists(PYTHON) else None
        if done is None or done.returncode != 0:
            return f"the Python packages {', '.join(python)} are not installed: tools/setup-sdk"
    return ""


def run(script, *arguments, url, **env):
    """What sdk/SCRIPT prints last, as a value. What is no text in the arguments goes as JSON."""
    program = PYTHON if script.endswith(".py") else NODE
    words = [each if isinstance(each, str) else json.dumps(each) for each in arguments]
    done = subprocess.run([program, os.path.join(HERE, "sdk", script), *words],
                          env={**os.environ, "BASE_URL": url, "PYTHONDONTWRITEBYTECODE": "1",
                               **env}, timeout=120, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout.rstrip("\n").split("\n")[-1])
    except ValueError:
        raise AssertionError(f"{script} {arguments}: {done.stdout!r} {done.stderr!r}") from None
