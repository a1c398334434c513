"""How far a run is: jobs by rule, how long they take, and how long what is left will take."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Jobs of a run; all times are seconds of one clock.

    Attributes:
        totals: rule -> jobs of this run.
        costs: rule -> seconds that a job is expected to take; of a rule that is missing, one.
        running: number of a job -> its rule and when it started.
        finished: rule -> jobs that are done.
        taken: rule -> seconds that those took together.
        began: when the first job started.
    """

    totals: dict[str, int] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    running: dict[int, tuple[str, float]] = field(default_factory=dict)
    finished: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    began: float | None = None

    def start(self, number: int, rule: str, now: float) -> None:
        """A job starts, or starts again."""
        self.began = now if self.began is None else self.began
        self.running[number] = rule, now

    def finish(self, number: int, now: float) -> str | None:
        """A job is done; returns its rule, or None of a job that was never seen to start."""
        if number not in self.running:
            return None
        rule, started = self.running.pop(number)
        self.finished[rule] += 1
        self.taken[rule] += now - started
        return rule

    def fail(self, number: int) -> None:
        """A job ends without being done."""
        self.running.pop(number, None)

    def job_seconds(self, rule: str) -> float:
        """What a job of a rule takes: as measured, or where none is done as expected, corrected by how wrong that was elsewhere."""
        if self.finished[rule]:
            return self.taken[rule] / self.finished[rule]
        expected = sum(self.costs.get(name, 1.0) * n_jobs for name, n_jobs in self.finished.items())
        scale = sum(self.taken.values()) / expected if expected else 1.0
        return self.costs.get(rule, 1.0) * scale

    def left(self, rule: str, now: float) -> float:
        """Seconds of work that are left of a rule; a job that takes longer than others did has none left."""
        one = self.job_seconds(rule)
        under_way = [max(one - (now - started), 0.0) for name, started in self.running.values() if name == rule]
        waiting = self.totals.get(rule, 0) - self.finished[rule] - len(under_way)
        return max(waiting, 0) * one + sum(under_way)

    def seconds_left(self, now: float) -> float | None:
        """Until the end, with as many jobs at a time as so far; None before the first job."""
        if self.began is None:
            return None
        return sum(self.left(rule, now) for rule in self.totals) / self.jobs_at_a_time(now)

    def jobs_at_a_time(self, now: float) -> float:
        """Jobs that ran side by side, on the average of the run so far."""
        worked = sum(self.taken.values()) + sum(now - started for _, started in self.running.values())
        return max(worked / (now - self.began), 1.0) if self.began is not None and now > self.began else 1.0

    def share_done(self, now: float) -> float:
        """Share of the work, not of the jobs, that is done."""
        left = sum(self.left(rule, now) for rule in self.totals)
        done = sum(self.taken.values()) + sum(now - started for _, started in self.running.values())
        return done / (done + left) if done + left > 0 else 0.0


def duration(seconds: float) -> str:
    """Seconds as a reader would say them: 40 s, 12 min, 3 h 5 min."""
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
