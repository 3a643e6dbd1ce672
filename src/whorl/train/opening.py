"""train/opening: what a run says once, before its first step: precision, length, and what to be warned of.

Does not measure: speed and shares of the device come later, from train/gauges.
"""

from whorl.core.events import Events
from whorl.model.parallel import pick_dtype
from whorl.train.follow import Run
from whorl.train.setup import Setup

__all__ = ["announce"]


def announce(events: Events, setup: Setup, run: Run, *, dtype: str) -> None:
    """Tell it as events; `dtype` is the settled one."""
    fastest = pick_dtype("auto", setup.device.type)
    events.emit("setting", name="dtype", value=dtype, fastest_here=fastest.name, why=fastest.why)
    if dtype == "fp16" and setup.device.type == "cpu":
        events.warn("dtype fp16: CPUs multiply float16 hundreds of times slower than float32 or bf16; write dtype: auto")
    timetable = run.course.timetable
    events.emit(
        "setting",
        name="length",
        value=f"{timetable.num_steps} steps",
        tokens=timetable.num_places * timetable.width,
        epochs=setup.loader.epochs(timetable.num_places * timetable.width // setup.loader.tokens_per_step),
        fill=setup.loader.fill,
        too_long=setup.loader.too_long,
        parameters=setup.num_parameters,
        bytes_of_targets=setup.target_bytes.mode,
    )
