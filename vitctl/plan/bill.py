"""What a schedule takes: device-hours, money, energy. Prices and watts are only the user's."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.text.quoting import quoted


@dataclass(frozen=True)
class Bill:
    """Of a whole run; money and energy only where a price or watts were given.

    `wall_hours` is how long it takes on all devices; energy is in kWh.
    """

    device_hours: float
    wall_hours: float
    money: float | None
    energy_kwh: float | None


def bill(
    *,
    images: int,
    images_per_second_per_device: float,
    devices: int,
    price: float | None,
    watts: float | None,
) -> Bill:
    """Training on `images` in all at this rate, without pauses for scoring and checkpoints.

    Args:
      price: of a device for an hour, in any currency.
      watts: that a device draws.
    """
    hours = images / images_per_second_per_device / 3600
    return Bill(
        device_hours=hours,
        wall_hours=hours / devices,
        money=None if price is None else hours * price,
        energy_kwh=None if watts is None else hours * watts / 1000,
    )


def amount(text: str | None, *, option: str, unit: str) -> float | None:
    """A positive number of a flag. UsageError for anything else."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise UsageError(
            f"{option} {quoted(text)} is not a positive number",
            hint=f"give it in {unit}, as in 1.5",
        )
    return value
