"""When things run."""

import dagster as dg


def automation() -> dg.Definitions:
    """Jobs, schedules and sensors of the location."""
    return dg.Definitions()
