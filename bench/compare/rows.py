"""The rows of the table: which load shows what, and what is read from it.

A load is measured on all targets in interleaved rounds by `sluice-bench compare`. A row takes one
figure from it: as it is, or what it is above the load without a gateway ("added"), formed within
each round and then the median.

A load with stalled clients is measured twice on each gateway, without them and with them, in the
same rounds: its rows are what the figure is with them, or that divided by what it is without."""

from dataclasses import dataclass, field
from statistics import median


BESIDE = "+stalled"  # ends the name of a target that has stalled clients beside the load


@dataclass
class Load:
    """One run of sluice-bench compare."""
    name: str
    what: str
    flags: list
    window: str = "400ms"
    warmup: str = "150ms"
    without: tuple = ()  # targets that it says nothing of
    stalled: int = 0     # measured again with so many of them


@dataclass
class Row:
    """One figure of one load. `target`: what issue and README promise, against which peers."""
    load: str
    key: str
    label: str
    unit: str
    added: bool = False             # above direct, within the round
    base: str = "floor"             # what ratios are against
    more_is_better: bool = False
    targets: dict = field(default_factory=dict)  # peer -> bound of the ratio sluice / peer
    margin: float | None = None     # at most base + so much, instead of a ratio
    beside: str = ""                # with stalled clients: the "value", or its "ratio" to without
    bound: float | None = None      # sluice's own figure is at most so much


LOADS = [
    Load("requests-64", "64 connections, closed loop, 1 KiB prompt, 600 B answer", ["-c", "64"]),
    Load("requests-256", "256 connections, closed loop, as fast as it goes", ["-c", "256"]),
    Load("requests-1", "1 connection, closed loop, bench spins", ["-c", "1", "--spin"]),
    Load("prompts-16k", "64 connections, 16 KiB prompts", ["-c", "64", "--prompt", "16KiB"]),
    Load("paced-64", "64 streams, an event of 200 B every 10 ms each, bench spins",
         ["-c", "64", "--stream", "--spin"]),
    Load("paced-64-plain", "the same, and no client asks for usage: sluice asks, and takes it out",
         ["-c", "64", "--stream", "--spin", "--no-usage"]),
    Load("paced-1", "1 stream, an event every 3 ms, bench spins",
         ["-c", "1", "--stream", "--spin", "--origin-period", "3ms"], window="600ms"),
    Load("lock-step-64", "64 streams in lock-step: one event in flight each",
         ["-c", "64", "--stream", "--lock-step"]),
    Load("first-token-64", "64 streams of 8 events, the first at once, bench spins",
         ["-c", "64", "--stream", "--spin", "--origin-events", "8"]),
    Load("first-token-1", "1 stream of 4 events after the other, bench spins",
         ["-c", "1", "--stream", "--spin", "--origin-events", "4", "--origin-period", "1ms"]),
    Load("bodies-1m", "8 connections, 1 MiB answers", ["-c", "8", "--origin-answer", "1MiB"]),
    Load("new-connections", "32 clients, a new connection for each request",
         # The floor keeps no connection: two a request, and it runs out of ports.
         ["-c", "32", "--no-keep-alive"], without=("floor",)),
    # A closed loop of few: all that a turn of the gateway costs more is in their latency.
    Load("stalled-100", "4 connections, closed loop, bench spins; without and with 100 more that "
         "each ask for a stream without end and read nothing",
         ["-c", "4", "--spin", "--stalled-fill", "200ms"], window="250ms", warmup="100ms",
         without=("direct",), stalled=100),
]

ROWS = [
    Row("requests-64", "cpu_us_per_request", "CPU per request, 64 connections", "us",
        targets={"floor": 1.4, "nginx": 0.9, "haproxy": 0.9}),
    Row("requests-1", "latency_p50_us", "added p50 per request, 1 connection", "us", added=True,
        targets={"floor": 1.25}),
    Row("requests-256", "requests_per_s", "requests/s at 256 connections (bench on one core)",
        "1/s", more_is_better=True, targets={"floor": 0.75}),
    Row("requests-256", "requests_per_cpu_s", "requests per CPU second of the gateway", "1/s",
        more_is_better=True),
    Row("paced-64", "cpu_us_per_event", "CPU per SSE event, 64 paced streams", "us",
        targets={"floor": 1.2}),
    Row("paced-64-plain", "cpu_us_per_event",
        "CPU per SSE event, 64 paced streams that do not ask for usage", "us"),
    Row("lock-step-64", "cpu_us_per_event", "CPU per SSE event, 64 in lock-step", "us",
        targets={"floor": 1.2}),
    Row("lock-step-64", "events_per_s", "events/s in lock-step", "1/s", more_is_better=True,
        targets={"floor": 0.85}),
    Row("paced-1", "delay_p50_us", "added p50 per SSE event, 1 paced stream", "us", added=True,
        margin=2.0),
    Row("paced-64", "delay_p50_us", "added p50 per SSE event, 64 paced streams", "us", added=True,
        margin=2.0),
    Row("first-token-1", "first_token_p50_us", "added time to first token, 1 stream, p50", "us",
        added=True, targets={"nginx": 1.0, "haproxy": 1.0}),
    Row("first-token-64", "first_token_p50_us", "added time to first token, 64 streams, p50",
        "us", added=True, targets={"nginx": 1.0, "haproxy": 1.0}),
    Row("prompts-16k", "requests_per_s", "requests/s, 16 KiB prompts, 64 connections", "1/s",
        more_is_better=True, targets={"floor": 0.9}),
    Row("prompts-16k", "cpu_us_per_request", "CPU per request, 16 KiB prompts", "us"),
    Row("bodies-1m", "cpu_ms_per_gib", "CPU per GiB, 1 MiB answers", "ms",
        targets={"nginx": 0.6, "haproxy": 0.6}),
    Row("new-connections", "cpu_us_per_request", "CPU per request, new connection each", "us"),
    # Nothing is due for a client that takes nothing, so nothing should be added. Two measurements
    # of one gateway without any differ by some percent in the median, and by more in the tail.
    Row("stalled-100", "latency_p50_us", "p50 of others beside 100 stalled clients, against none",
        "x", beside="ratio", bound=1.1),
    Row("stalled-100", "latency_p99_us", "p99 of others beside 100 stalled clients, against none",
        "x", beside="ratio", bound=1.25),
    Row("stalled-100", "stalled_at_end", "stalled clients that were held to the end, of 100", "",
        beside="value"),
    Row("stalled-100", "rss_mib", "RSS with 100 stalled clients", "MiB", beside="value"),
]


def value(round_figures, key):
    """A figure of one round; None if it was not measured."""
    if key == "requests_per_cpu_s":
        cpu = round_figures.get("cpu_us_per_request")
        return 1e6 / cpu if cpu else None
    return round_figures.get(key)


def series(report, name, row):
    """The row's figure of one target, round by round."""
    by_name = {target["name"]: target["rounds"] for target in report["targets"]}
    figures = [value(r, row.key) for r in by_name.get(name, [])]  # empty: it was left out
    if row.beside:
        alone = figures
        figures = [value(r, row.key) for r in by_name.get(name + BESIDE, [])]
        if row.beside == "ratio":
            figures = [a / b if a is not None and b else None for a, b in zip(figures, alone)]
    if not row.added:
        return figures
    direct = [value(r, row.key) for r in by_name["direct"]]
    return [None if a is None or b is None else a - b for a, b in zip(figures, direct)]


def spread(values):
    values = [v for v in values if v is not None]
    return (median(values), min(values), max(values)) if values else None


def ratios(report, name, base, row):
    pairs = zip(series(report, name, row), series(report, base, row))
    return spread([a / b for a, b in pairs if a is not None and b])


def differences(report, name, base, row):
    pairs = zip(series(report, name, row), series(report, base, row))
    return spread([a - b for a, b in pairs if a is not None and b is not None])
