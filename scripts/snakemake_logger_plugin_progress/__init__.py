"""Snakemake's plugin `--logger progress`: a line for every stage that runs, and how long everything will take.

On a terminal the lines stay where they are; elsewhere one is written every minute and at the end of every stage. A job that fails shows
the last line of its log first. With `--quiet progress` only messages are left, with `--quiet all` only what failed. A dry run is told as
Snakemake tells it, which hides nothing there with `--quiet all`. Snakemake's own account of every job is in `.snakemake/log` as always.
"""

import time
from logging import ERROR, INFO, WARNING, LogRecord
from pathlib import Path
from threading import Event, Thread
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from emtransfer.errors import counted
from snakemake_logger_plugin_progress.pace import Pace, duration

# rule -> seconds that a job takes, None where only the run can tell; the Snakefile fills it in once its config is read
COSTS: dict[str, float | None] = {}
# seconds between two lines without a terminal, and between two pictures with one
LINE_SECONDS, PICTURE_SECONDS = 60, 0.5
# beginnings of Snakemake's lines that are kept although they count no jobs
KEPT = ("Nothing to be done", "Complete log", "Removing incomplete", "Exiting because", "Trying to restart")
# message about a failed shell command that precedes the event of its job, which says more
OF_COMMAND = "CalledProcessError in file"
# of an error's text
LONGEST = 300


class LogHandler(LogHandlerBase):
    """Turns Snakemake's events into lines on stderr."""

    def __post_init__(self) -> None:
        how: dict[str, Any] = {"highlight": False, "soft_wrap": True, "no_color": self.common_settings.nocolor or None}
        self.console = Console(stderr=not self.common_settings.stdout, **how)
        if not self.console.width:
            # COLUMNS may say 0, on which nothing would be written
            self.console.width = 80
        quiet = {kind.name for kind in self.common_settings.quiet or ()}
        self.is_quiet, self.tells_failures_alone = bool(quiet & {"ALL", "PROGRESS"}), "ALL" in quiet
        self.pace = Pace(costs=COSTS)
        self.names: dict[int, str] = {}
        self.live: Live | None = None
        self.ended = Event()
        self.ticker: Thread | None = None

    def emit(self, record: LogRecord) -> None:
        """Take one record of Snakemake's."""
        try:
            # under the lock of every handler of logging, which the ticker takes too
            self.take(record, getattr(record, "event", None))
        except Exception:
            self.handleError(record)

    def take(self, record: LogRecord, event: str | None) -> None:
        """Keep count of an event, or show what is said."""
        now = time.monotonic()
        if self.common_settings.dryrun:
            self.show(self.format(record))
        elif event == LogEvent.RUN_INFO:
            self.pace.totals = {rule: n for rule, n in record.stats.items() if rule != "total"}
            self.begin()
        elif event == LogEvent.JOB_INFO:
            self.pace.start(record.jobid, record.rule_name, now)
            self.names[record.jobid] = record.rule_msg or record.rule_name
        elif event == LogEvent.JOB_FINISHED:
            self.finished(self.pace.finish(record.job_id, now), now)
        elif event == LogEvent.JOB_ERROR:
            self.pace.fail(record.jobid)
            self.show_failure(record)
        elif self.tells_failures_alone and record.levelno < ERROR:
            return
        elif event in (None, LogEvent.ERROR) and is_for_readers(record):
            self.show(
                record.getMessage(), "red" if record.levelno > WARNING else "yellow" if record.levelno > INFO else ""
            )

    def begin(self) -> None:
        """Show lines from now on."""
        if self.ticker or self.is_quiet:
            return
        if self.console.is_terminal:
            self.live = Live(console=self.console, auto_refresh=False, transient=True)
            self.live.start()
        self.ticker = Thread(target=self.tick, daemon=True)
        self.ticker.start()

    def tick(self) -> None:
        """Until the end, draw the picture again, or write a line."""
        while not self.ended.wait(PICTURE_SECONDS if self.live else LINE_SECONDS):
            with self.lock:
                now = time.monotonic()
                if self.live:
                    self.live.update(self.picture(now), refresh=True)
                elif self.pace.running:
                    self.show(self.total_line(now))

    def picture(self, now: float) -> Group:
        """A line for every stage that runs, and one for everything."""
        stages = Table.grid(padding=(0, 2))
        pace, running = self.pace, [rule for rule, _ in self.pace.running.values()]
        for rule in dict.fromkeys(running):
            one, left = pace.job_seconds(rule), pace.left(rule, now)
            stages.add_row(
                Text(rule, style="bold"),
                Text(f"{pace.finished[rule]} of {pace.totals.get(rule, 0)}", justify="right"),
                f"{running.count(rule)} running",
                "" if one is None else f"{duration(one)} a job",
                "" if left is None else f"about {duration(left / pace.jobs_at_a_time(now))} left",
            )
        return Group(stages, Text(self.total_line(now), style="green"))

    def total_line(self, now: float) -> str:
        """Jobs, and where it is known of every stage how long it takes, the share of the work and the time until the end."""
        left, share = self.pace.seconds_left(now), self.pace.share_done(now)
        done, total = sum(self.pace.finished.values()), sum(self.pace.totals.values())
        of_the_work = "" if share is None else f", {100 * share:.0f} % of the work"
        time_left = "" if left is None else f", about {duration(left)} left"
        return f"{done} of {counted(total, 'job')}{of_the_work}{time_left}"

    def finished(self, rule: str | None, now: float) -> None:
        """Say that the last job of a stage is done."""
        if rule and self.pace.finished[rule] == self.pace.totals.get(rule) and not self.is_quiet:
            jobs = counted(self.pace.finished[rule], "job")
            self.show(f"{rule}: {jobs} in {duration(self.pace.taken[rule])} of work; {self.total_line(now)}")

    def show_failure(self, record: Any) -> None:
        """The useful line of a failed job first, then where the rest is."""
        logs = [str(path) for path in record.log or []]
        said = [line for path in logs for line in last_line(Path(path))]
        self.show(f"{record.rule_name} failed: {said[0] if said else 'it wrote nothing'}", "bold red")
        self.show(f"  while: {self.names.get(record.jobid, record.rule_msg or record.rule_name)}")
        self.show(f"  log: {', '.join(logs) or 'none'}")

    def show(self, text: str | None, style: str = "") -> None:
        """Write lines above the picture."""
        if text:
            self.console.print(Text(harmless(text), style=style))

    def close(self) -> None:
        """End the picture, and say how long the run took."""
        self.ended.set()
        with self.lock:
            if self.live:
                self.live.stop()
            if self.pace.began is not None and not self.is_quiet:
                n_done = sum(self.pace.finished.values())
                seconds = time.monotonic() - self.pace.began
                n_jobs = counted(sum(self.pace.totals.values()), "job")
                self.show(f"{n_done} of {n_jobs} done in {duration(seconds)}.")
                self.pace.began = None
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        # a dry run is told, and kept quiet, as Snakemake does it
        return not self.common_settings.dryrun

    @property
    def has_formatter(self) -> bool:
        return not self.common_settings.dryrun

    @property
    def needs_rulegraph(self) -> bool:
        return False


def is_for_readers(record: LogRecord) -> bool:
    """Whether a message is a warning, an error, one of the pipeline's own, or one that a reader of a run needs."""
    text, own = record.getMessage(), record.pathname.endswith((".smk", "Snakefile"))
    return OF_COMMAND not in text and (record.levelno >= WARNING or own or text.startswith(KEPT))


def harmless(text: str) -> str:
    """Text without the characters that would move, hide or reorder what is on a terminal, each as a question mark."""
    return "".join(one if one.isprintable() or one in "\n\t" else "?" for one in text)


def last_line(log: Path) -> list[str]:
    """The last line of a log that is not blank, if there is one."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    said = [line.strip() for line in lines if line.strip()]
    return [said[-1][:LONGEST]] if said else []
