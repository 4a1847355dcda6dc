"""kill -9 of one of two replicas under 64 concurrent requests: who fails, and how long the others
take to be answered by the replica that is left.

Each round starts its own replicas and gateway. The replica that is killed is this file itself (a
program with plain sockets, which are closed as it dies): it never answers a request, so what waits
there has not seen a byte. The other one, sluice-sim, answers at once, so the time from the kill to
the first byte is the gateway's own. Clients and replicas share a core."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

import gateways as gate

CLIENTS = 64
SETTLED = 0.25        # seconds until the quick half is answered
PATIENCE = 5.0        # for a first byte behind the kill
BODY = json.dumps({"model": "m", "max_tokens": 4,
                   "messages": [{"role": "user", "content": "hello"}]}).encode()


def be_the_victim(port):
    """Answers what a gateway asks of its own accord, and nothing else."""
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    chooser = selectors.DefaultSelector()
    chooser.register(listener, selectors.EVENT_READ)
    listing = json.dumps({"object": "list", "data": [{"id": "m", "object": "model",
                                                      "created": 0, "owned_by": "me"}]}).encode()
    while True:
        for key, _ in chooser.select():
            if key.fileobj is listener:
                chooser.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            text = key.fileobj.recv(65536)
            if not text:
                chooser.unregister(key.fileobj)
                key.fileobj.close()
            elif text.startswith(b"GET "):
                key.fileobj.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                    b"Content-Length: %d\r\n\r\n" % len(listing) + listing)


def start_replica(command, port, cores):
    replica = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=gate.prepare(cores))
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return replica
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"{command[0]} did not start")


def start_gateway(name, programs, replicas, folder, cores):
    port = gate.free_port()
    values = {"FOLDER": folder, "LISTEN": f"127.0.0.1:{port}", "ONE": replicas[0],
              "TWO": replicas[1]}
    if name == "sluice":
        config = folder / "failover.yaml"
        backends = [{"url": f"http://{replica}"} for replica in replicas]
        config.write_text(json.dumps({"models": {"m": {"balance": "round-robin",
                                                       "backends": backends}}}))
        command = [programs["sluice"], "--listen", f"127.0.0.1:{port}", "--config", str(config),
                   "--access-log", str(folder / "failover-access.log")]
    elif name == "nginx":
        config = gate.fill_in("nginx-failover.conf", folder, values)
        command = [programs["nginx"], "-c", str(config), "-e", str(folder / "nginx-error.log")]
    else:
        config = gate.fill_in("haproxy-failover.cfg", folder, values)
        command = [programs["haproxy"], "-db", "-f", str(config)]
    return gate.Gateway(f"{name}-failover", command, port, folder, cores)


def ask(port):
    client = socket.create_connection(("127.0.0.1", port), 5)
    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                   b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
                   + BODY)
    client.setblocking(False)
    return client


def first_bytes(clients, until):
    """Seconds on the clock at which each of them got its first byte, and whether it was a 200; the
    others are left in `clients`."""
    waiting = selectors.DefaultSelector()
    for client in clients:
        waiting.register(client, selectors.EVENT_READ)
    found = []
    while clients and time.monotonic() < until:
        for key, _ in waiting.select(max(0, until - time.monotonic())):
            now = time.monotonic()
            try:
                begin = key.fileobj.recv(65536)
            except OSError:
                begin = b""
            found.append((now, begin.startswith(b"HTTP/1.1 200")))
            waiting.unregister(key.fileobj)
            clients.remove(key.fileobj)
            key.fileobj.close()
    return found


def one_round(name, programs, folder, gateway_cores, cores):
    ports = [gate.free_port(), gate.free_port()]
    victim = start_replica([sys.executable, __file__, str(ports[0])], ports[0], cores)
    other = start_replica([programs["sim"], "--listen", f"127.0.0.1:{ports[1]}", "--model", "m",
                           "--api", "openai", "--ttft", "0ms", "--itl", "0ms"], ports[1], cores)
    gateway = start_gateway(name, programs, [f"127.0.0.1:{port}" for port in ports], folder,
                            gateway_cores)
    try:
        port = int(gateway.url.rsplit(":", 1)[1])
        clients = [ask(port) for _ in range(CLIENTS)]
        quick = first_bytes(clients, time.monotonic() + SETTLED)
        waiting = len(clients)
        killed = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        late = first_bytes(clients, killed + PATIENCE)
        for client in clients:
            client.close()
        good = [seconds - killed for seconds, fine in late if fine]
        return {"quick": sum(fine for _, fine in quick), "waiting": waiting, "recovered": good,
                "failed": waiting - len(good)}
    finally:
        gateway.stop()
        for replica in (victim, other):
            replica.kill()
            replica.wait()


def quantile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def measure(programs, folder, gateway_cores, cores, rounds):
    """A table: gateway, waiting requests, failed, p50, p99 and the slowest in milliseconds."""
    names = [name for name in ("sluice", "nginx", "haproxy") if name in programs]
    seen = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            seen[name].append(one_round(name, programs, folder, gateway_cores, cores))
            print(f"failover {number + 1}/{rounds} {name}: "
                  f"{seen[name][-1]['waiting']} waiting, {seen[name][-1]['failed']} failed",
                  file=sys.stderr)
    lines = ["| gateway | requests that waited | failed | p50 | p99 | slowest |",
             "|---|---|---|---|---|---|"]
    for name in names:
        times = sorted(1000 * t for found in seen[name] for t in found["recovered"])
        waited = sum(found["waiting"] for found in seen[name])
        failed = sum(found["failed"] for found in seen[name])
        cells = [f"{value:.1f} ms" for value in
                 (quantile(times, 0.5), quantile(times, 0.99), times[-1])] if times else ["-"] * 3
        lines.append(f"| {name} | {waited} | {failed} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    be_the_victim(int(sys.argv[1]))
