"""Progress bars."""

from typing import Any

from tqdm.auto import tqdm


class ProgressBar(tqdm):  # type: ignore[type-arg]  # it cannot be subscribed when it runs
    """A progress bar on a terminal, without the thread that tqdm starts to redraw bars that stand still.

    That thread would outlive an interrupted fit.
    """

    monitor_interval = 0

    def __init__(self, *, shown: bool, **options: Any) -> None:
        super().__init__(disable=None if shown else True, **options)
