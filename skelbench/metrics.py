"""Numbers from logits and targets: pure functions on arrays, each result with the count it rests on."""

from pydantic import BaseModel, ConfigDict


class Metric(BaseModel):
    """One measured number, one number for each class, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    value: float | None = None
    """The number; accuracies, F1 and average precision lie in [0, 1]. Null where it is not defined."""
    n: int
    """What the value is taken over: samples, or classes for a mean over classes."""
    per_class: tuple[int | float | None, ...] | tuple[tuple[int, ...], ...] | None = None
    """In the order of the record's classes; of `confusion` one row for each target, over the predictions."""
    interval: tuple[float, float] | None = None
    """Bounds of the 95 % interval from resampling, where there was one."""
    interval_over: str | None = None
    """What was resampled, such as `subject`."""
