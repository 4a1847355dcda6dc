"""Writes bench/RESULTS.md from what was measured."""

import rows as table


def shown(number):
    size = abs(number)
    if size >= 1000:
        return f"{number:,.0f}".replace(",", " ")
    return f"{number:.0f}" if size >= 100 else f"{number:.1f}" if size >= 10 else f"{number:.2f}"


def with_spread(found, suffix=""):
    if found is None:
        return "-"
    middle, low, high = found
    return f"{shown(middle)}{suffix} [{shown(low)}-{shown(high)}]"


def verdict(found, bound, more_is_better, word="x"):
    if found is None:
        return "not measured"
    met = found[0] >= bound if more_is_better else found[0] <= bound
    sign = ">=" if more_is_better else "<="
    return f"{'met' if met else '**missed**'} ({sign} {bound}{word})"


def figure_rows(reports, gateways):
    """One line a row: the figure of each gateway."""
    lines = ["| what | unit | " + " | ".join(gateways) + " |",
             "|---" * (len(gateways) + 2) + "|"]
    for row in table.ROWS:
        report = reports.get(row.load)
        if report is None:
            continue
        cells = [with_spread(table.spread(table.series(report, name, row)))
                 for name in gateways]
        lines.append(f"| {row.label} | {row.unit} | " + " | ".join(cells) + " |")
    return lines


def ratio_rows(reports, gateways):
    """Each gateway against the floor."""
    others = [name for name in gateways if name not in ("direct", "floor")]
    lines = ["| against the floor | " + " | ".join(others) + " |",
             "|---" * (len(others) + 1) + "|"]
    for row in table.ROWS:
        report = reports.get(row.load)
        if report is None or row.beside:  # those stand by themselves
            continue
        cells = [with_spread(table.ratios(report, name, "floor", row), "x") for name in others]
        lines.append(f"| {row.label} | " + " | ".join(cells) + " |")
    return lines


def target_rows(reports, gateways):
    """What was promised, and whether it holds."""
    lines = ["| promise for sluice | measured | |", "|---|---|---|"]
    for row in table.ROWS:
        report = reports.get(row.load)
        if report is None:
            continue
        if row.margin is not None and "floor" in gateways:
            found = table.differences(report, "sluice", "floor", row)
            lines.append(f"| {row.label}: above the floor | {with_spread(found, ' us')} | "
                         f"{verdict(found, row.margin, False, ' us')} |")
        if row.bound is not None:
            found = table.spread(table.series(report, "sluice", row))
            lines.append(f"| {row.label} | {with_spread(found, row.unit)} | "
                         f"{verdict(found, row.bound, False, row.unit)} |")
        for peer, bound in row.targets.items():
            if peer in gateways:
                found = table.ratios(report, "sluice", peer, row)
                lines.append(f"| {row.label}, against {peer} | {with_spread(found, 'x')} | "
                             f"{verdict(found, bound, row.more_is_better)} |")
    return lines


def check_rows(checks):
    lines = ["| check | " + " | ".join(checks["gateways"]) + " | |",
             "|---" * (len(checks["gateways"]) + 2) + "|"]
    for label, cells, note in checks["rows"]:
        shown_cells = [cells.get(name, "-") for name in checks["gateways"]]
        lines.append(f"| {label} | " + " | ".join(shown_cells) + f" | {note} |")
    return lines


def failure_rows(reports):
    lines = []
    for name, report in reports.items():
        for target in report["targets"]:
            totals = target["totals"]
            if totals["failed"]:
                lines.append(f"- {name}, {target['name']}: {totals['failed']} failed of "
                             f"{totals['failed'] + totals['requests']}: {totals['failures']}, "
                             f"first: {totals['first_failure'][:120]}")
    return lines or ["None: every answer of every target was complete and right."]


def recovery_part(lines):
    """What the kill of a replica did; see failover.py."""
    if not lines:
        return []
    return ["", "## Failover", "",
            "kill -9 of one of two replicas under 64 concurrent requests, half of which wait for "
            "their first byte from it; the time is from the kill to the first byte from the other "
            "one.", "", *lines]


def document(facts, reports, gateways, checks, recovery=()):
    """The whole page."""
    parts = ["# Results", "",
             "Written by `tools/dev bench`; the lines below come from one run and are not edited.",
             "", "## The run", ""]
    parts += [f"- {key}: {text}" for key, text in facts]
    parts += ["", "## Figures", "", "Median of the rounds, [lowest-highest].", ""]
    parts += figure_rows(reports, gateways)
    parts += ["", "## Ratios", "", "Formed within each round, then the median.", ""]
    parts += ratio_rows(reports, gateways)
    if "sluice" in gateways:
        parts += ["", "## Promises", ""] + target_rows(reports, gateways)
    if checks["rows"]:
        parts += ["", "## Checks", ""] + check_rows(checks)
    parts += recovery_part(list(recovery))
    parts += ["", "## Failures", ""] + failure_rows(reports)
    parts += ["", "## The loads", ""]
    parts += [f"- **{load.name}**: {load.what} (`{' '.join(load.flags)}`)"
              for load in table.LOADS if load.name in reports]
    return "\n".join(parts) + "\n"
