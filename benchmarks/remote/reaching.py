"""Keep at a board although its link drops: open it again with back-off, for as long as the patience lasts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from edgekit.benchmarks.remote import facts
from edgekit.benchmarks.remote.ssh_errors import BoardError, LinkDownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.benchmarks.remote.diary import Diary
    from edgekit.benchmarks.remote.link import Link

T = TypeVar("T")
_FIRST_WAIT, _LONGEST_WAIT, _TICK = 0.5, 15.0, 0.1


class Reach:
    """Does things at a board, again after the link was cut: each must be such that doing it twice does no harm."""

    def __init__(self, link: Link, diary: Diary, patience: float, interrupted: Callable[[], None]) -> None:
        """Describe how long to try: `patience` in seconds. `interrupted` is called often, and may raise."""
        self.link = link
        self.drops = 0
        self._diary, self._patience, self._interrupted = diary, patience, interrupted
        self._folder = self._boot = ""

    def expect(self, folder: str, boot: str) -> None:
        """From now on, a board that comes back with another boot than `boot` has rebooted."""
        self._folder, self._boot = folder, boot

    def check_boot(self, boot: str) -> None:
        """Refuse a boot that is not the expected one.

        Args:
            boot: identifier that the board has now; empty where it has none.

        Raises:
            BoardError: the board has rebooted.
        """
        if self._boot and boot and boot != self._boot:
            raise BoardError(
                "rebooted",
                "the board started again in the middle (another boot_id), and what was measured until then is lost; "
                "look at its power supply, its watchdog and its log (journalctl -b -1)",
            )

    def do(self, action: Callable[[], T]) -> T:
        """Do `action`, and again whenever the link was cut meanwhile.

        Args:
            action: that uses the link.

        Returns:
            What it returned.

        Raises:
            BoardError: the link stayed away for longer than the patience, the board has rebooted, or the action
                failed.
        """
        while True:
            try:
                return action()
            except LinkDownError as error:
                self._again(error)

    def sleep(self, seconds: float) -> None:
        """Wait, unless interrupted."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._interrupted()
            time.sleep(min(_TICK, left))

    def _again(self, error: LinkDownError) -> None:
        begin, wait = time.monotonic(), _FIRST_WAIT
        self._diary.say(f"the link is cut ({error}); trying again for {self._patience:.0f} s")
        while True:
            try:
                self.link.open()
                if self._folder:
                    self.check_boot(facts.state(self.link, self._folder)[0])
                break
            except LinkDownError as again:
                gone = time.monotonic() - begin
                if gone >= self._patience:
                    raise BoardError(
                        "lost", f"the link was cut and did not come back in {gone:.0f} s: {again}"
                    ) from again
                self.sleep(min(wait, self._patience - gone))
                wait = min(2 * wait, _LONGEST_WAIT)
        self.drops += 1
        self._diary.say(f"the link is back after {time.monotonic() - begin:.1f} s")
