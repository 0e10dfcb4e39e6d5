"""Describing numbers. Nothing of Switchboard is in here, so any Python can test it as it is."""

import statistics


def describe(numbers: list[float]) -> dict:
    """The usual figures. There has to be at least one number."""
    found = {
        "count": len(numbers),
        "min": min(numbers),
        "max": max(numbers),
        "mean": statistics.fmean(numbers),
        "median": statistics.median(numbers),
    }
    if len(numbers) > 1:
        found["stdev"] = statistics.stdev(numbers)
        found["quartiles"] = statistics.quantiles(numbers, method="inclusive")
    return found
