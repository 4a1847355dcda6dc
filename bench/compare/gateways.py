"""The gateways of the comparison: each started by hand on a port of its own, pinned to one core,
with its access log in a file, and ended with the run."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DESCRIPTORS = 65536


def boost():
    """More than its share of a busy machine, where the system lets us: scheduling groups count
    before niceness, and each session is a group."""
    for step in (lambda: Path("/proc/self/autogroup").write_text("-15"),
                 lambda: os.setpriority(os.PRIO_PROCESS, 0, -15)):
        try:
            step()
        except OSError:
            pass


def raise_descriptors():
    """To what the table needs, or as far as the system lets us; returns how far."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    except (OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def prepare(cores):
    """What each program starts with: its own session, its cores, its priority."""
    def run_in_child():
        os.setsid()
        os.sched_setaffinity(0, cores)
        boost()
    return run_in_child


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Gateway:
    """One running gateway: its name, URL, and the process whose work is counted."""

    def __init__(self, name, command, port, folder, cores, env=None):
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self.out = open(folder / f"{name}.out", "wb")
        self.errors = open(folder / f"{name}.err", "wb")
        self.process = subprocess.Popen(command, stdout=self.out, stderr=self.errors,
                                        stdin=subprocess.DEVNULL, env=env,
                                        preexec_fn=prepare(cores))
        self._wait_until_it_listens(port, folder)
        self.pid = self._worker() or self.process.pid

    def _wait_until_it_listens(self, port, folder):
        for _ in range(200):
            if self.process.poll() is not None:
                text = (folder / f"{self.name}.err").read_text(errors="replace")
                raise RuntimeError(f"{self.name} did not start: {text[-500:]}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen on port {port}")

    def _worker(self):
        """The child that does the work, of a program that has a master process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            found = children.read_text().split()
        except OSError:
            return None
        return int(found[0]) if found else None

    @property
    def target(self):
        return f"{self.name}={self.url},pid={self.pid}"

    def rss_kib(self):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def stop(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.out.close()
        self.errors.close()


def fill_in(name, folder, values):
    text = (HERE / f"{name}.in").read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    path = folder / name
    path.write_text(text)
    return path


def start_floor(programs, upstream, folder, cores):
    port = free_port()
    return Gateway("floor", [programs["floor"], f"127.0.0.1:{port}", upstream], port, folder,
                   cores)


def start_sluice(programs, upstream, folder, cores, name="sluice", flags=()):
    port = free_port()
    command = [programs["sluice"], "--listen", f"127.0.0.1:{port}", "--model",
               f"sim=http://{upstream}", "--access-log", str(folder / f"{name}-access.log"),
               *flags]
    return Gateway(name, command, port, folder, cores)


def start_nginx(programs, upstream, folder, cores):
    port = free_port()
    config = fill_in("nginx.conf", folder, {"FOLDER": folder, "LISTEN": f"127.0.0.1:{port}",
                                            "UPSTREAM": upstream})
    command = [programs["nginx"], "-c", str(config), "-e", str(folder / "nginx-error.log")]
    return Gateway("nginx", command, port, folder, cores)


def start_haproxy(programs, upstream, folder, cores):
    port = free_port()
    # It reckons with two descriptors a connection and a pipe for every fourth.
    connections = min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 2 // 5 - 50)
    config = fill_in("haproxy.cfg", folder, {"LISTEN": f"127.0.0.1:{port}", "UPSTREAM": upstream,
                                             "CONNECTIONS": connections})
    return Gateway("haproxy", [programs["haproxy"], "-db", "-f", str(config)], port, folder, cores)


STARTERS = {"floor": start_floor, "nginx": start_nginx, "haproxy": start_haproxy,
            "sluice": start_sluice}


def find_programs(build):
    """Where each program is; those of the distribution may be missing."""
    found = {
        "bench": build / "tools/sluice-bench/sluice-bench",
        "floor": build / "bench/floor/sluice-floor",
        "sluice": build / "src/app/sluice",
        "sim": build / "tools/sluice-sim/sluice-sim",
    }
    for name in ("nginx", "haproxy"):
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path:
            found[name] = path
    return {name: str(path) for name, path in found.items() if Path(path).exists()}


def version_of(name, programs):
    if name == "floor":
        return "of this tree"
    flag = {"nginx": "-v", "haproxy": "-v"}.get(name, "--version")
    done = subprocess.run([programs[name], flag], capture_output=True, text=True, check=False)
    text = (done.stdout + done.stderr).strip()
    return text.splitlines()[0] if text else "?"
