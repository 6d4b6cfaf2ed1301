"""Medians, ratios and their spread, as a table and as plain data."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from exchanges import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from measure import Result, Sample

BOTH = "both routes"
"""One GET for one POST."""


@dataclass(frozen=True)
class Row:
    """One contestant on one route.

    Attributes:
        cpu_us: median CPU a request, microseconds.
        ratio: median over the rounds of its CPU divided by the baseline's in the same round.
        ratio_min: smallest of those.
        ratio_max: largest of those.
        delta_us: median over the rounds of its CPU less the baseline's in the same round, microseconds.
        delta_min_us: smallest of those.
        delta_max_us: largest of those.
        per_second: median answers a second.
        p50_ms: median of the rounds' median latency, milliseconds.
        p99_ms: median of the rounds' 99th percentile, milliseconds.
    """

    cpu_us: float
    ratio: float
    ratio_min: float
    ratio_max: float
    delta_us: float
    delta_min_us: float
    delta_max_us: float
    per_second: float
    p50_ms: float
    p99_ms: float


Summary = dict[str, dict[str, Row]]
"""route -> contestant -> row."""


def summarise(result: Result, baseline: str) -> Summary:
    """Compare every contestant with the baseline, round by round, then take medians."""
    summary: Summary = {}
    for route in ROUTES:
        by_name = result.samples[route]
        summary[route] = {name: _row(samples, by_name[baseline]) for name, samples in by_name.items()}
    first, second = (result.samples[route] for route in ROUTES)
    both = {name: [_mean(pair) for pair in zip(first[name], second[name], strict=True)] for name in first}
    summary[BOTH] = {name: _row(samples, both[baseline]) for name, samples in both.items()}
    return summary


def _row(samples: Sequence[Sample], baseline: Sequence[Sample]) -> Row:
    pairs = list(zip(samples, baseline, strict=True))
    ratios = [sample.cpu_us / base.cpu_us for sample, base in pairs]
    deltas = [sample.cpu_us - base.cpu_us for sample, base in pairs]
    median = statistics.median
    return Row(
        cpu_us=median(sample.cpu_us for sample in samples),
        ratio=median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        delta_us=median(deltas),
        delta_min_us=min(deltas),
        delta_max_us=max(deltas),
        per_second=median(sample.per_second for sample in samples),
        p50_ms=median(sample.p50_ms for sample in samples),
        p99_ms=median(sample.p99_ms for sample in samples),
    )


def _mean(pair: tuple[Sample, Sample]) -> Sample:
    """Half of each; requests a second of such a mix is the harmonic mean."""
    one, other = asdict(pair[0]), asdict(pair[1])
    mean = {name: (one[name] + other[name]) / 2 for name in one}
    mean["per_second"] = statistics.harmonic_mean((one["per_second"], other["per_second"]))
    return type(pair[0])(**mean)


def table(summary: Summary, baseline: str) -> str:
    """Lay the summary out for a terminal."""
    width = max(len(name) for name in summary[BOTH])
    lines: list[str] = []
    for route, rows in summary.items():
        head = f"CPU us/request   x {baseline} (min..max of rounds)   requests/s   p50 ms   p99 ms"
        lines += ["", route, f"  {'':{width}}  {head}"]
        for name, row in rows.items():
            spread = f"{row.ratio:.2f} ({row.ratio_min:.2f}..{row.ratio_max:.2f})"
            lines.append(
                f"  {name:{width}}  {row.cpu_us:14.0f}   {spread:>{len(baseline) + 25}}"
                f"   {row.per_second:10.0f}   {row.p50_ms:6.2f}   {row.p99_ms:6.2f}"
            )
    return "\n".join(lines)


def guards_table(summary: Summary, full: str, bare: str) -> str:
    """Say what each guard costs: what the request gets cheaper by when it is taken out.

    The summary's baseline is the full service; a negative difference is a saving.
    """
    rows = summary[BOTH]
    base = rows[bare].cpu_us
    names = [name for name in rows if name not in {full, bare}]
    width = max(map(len, (*names, "left out")))
    lines = [
        "",
        f"{BOTH}, CPU us a request: {bare} {base:.0f}, {full} {rows[full].cpu_us:.0f}",
        f"  {'left out':{width}}   saves us (min..max of rounds)   of {bare}",
    ]
    for name in sorted(names, key=lambda name: rows[name].delta_us):
        row = rows[name]
        spread = f"{-row.delta_us:.1f} ({-row.delta_max_us:.1f}..{-row.delta_min_us:.1f})"
        lines.append(f"  {name:{width}}   {spread:>29}   {-row.delta_us / base:6.1%}")
    return "\n".join(lines)


def as_data(summary: Summary) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """Return the summary as plain data for JSON."""
    return {route: {name: asdict(row) for name, row in rows.items()} for route, rows in summary.items()}
