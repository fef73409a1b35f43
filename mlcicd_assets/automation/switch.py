"""Whether triggers run by themselves from the start: `MLCICD_AUTOMATION=on`."""

import os

import dagster as dg

VARIABLE = "MLCICD_AUTOMATION"


def switched_on() -> bool:
    """Whether the environment asks for it; anything but 'on' leaves every trigger to the person."""
    return os.environ.get(VARIABLE, "").strip().lower() == "on"


def default_status() -> dg.DefaultSensorStatus:
    """Of sensors that make or answer requests."""
    return dg.DefaultSensorStatus.RUNNING if switched_on() else dg.DefaultSensorStatus.STOPPED


def default_schedule_status() -> dg.DefaultScheduleStatus:
    """Of schedules that make requests."""
    return dg.DefaultScheduleStatus.RUNNING if switched_on() else dg.DefaultScheduleStatus.STOPPED
