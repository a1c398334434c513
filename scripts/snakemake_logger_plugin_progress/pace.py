"""How far a run is: jobs by rule, how long they take, and how long what is left will take."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

# of the whole run as expected: how much work has to be measured before it counts as much as what was expected. A first job of a
# second may take thirty, of which most is the start of Python, and says little about an hour of training
TRUST = 0.5
# of the time that a job has taken, once that is longer than was expected: how much more it is expected to take
OVERDUE = 0.1


@dataclass
class Pace:
    """Jobs of a run; all times are seconds of one clock.

    Attributes:
        totals: rule -> jobs of this run.
        costs: rule -> seconds that a job is expected to take; of a rule that is missing, one; None where only the run can tell.
        running: number of a job -> its rule and when it started.
        finished: rule -> jobs that are done.
        taken: rule -> seconds that those took together.
        began: when the first job started.
        shown: largest share of the work that was said to be done, 0..1.
    """

    totals: dict[str, int] = field(default_factory=dict)
    costs: dict[str, float | None] = field(default_factory=dict)
    running: dict[int, tuple[str, float]] = field(default_factory=dict)
    finished: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    began: float | None = None
    shown: float = 0.0

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

    def expected(self, n_jobs: Mapping[str, int]) -> float:
        """Seconds that so many jobs of every rule were expected to take, without rules of which nothing was."""
        return sum((self.costs.get(rule, 1.0) or 0.0) * n for rule, n in n_jobs.items())

    def job_seconds(self, rule: str) -> float | None:
        """What a job of a rule takes: as measured, or as expected, corrected by how wrong that was elsewhere; or None."""
        if self.finished[rule]:
            return self.taken[rule] / self.finished[rule]
        cost = self.costs.get(rule, 1.0)
        if cost is None:
            return None
        trusted = TRUST * self.expected(self.totals)
        taken = sum(seconds for name, seconds in self.taken.items() if self.costs.get(name, 1.0) is not None)
        expected = self.expected(self.finished) + trusted
        return cost * (taken + trusted) / expected if expected else cost

    def left(self, rule: str, now: float) -> float | None:
        """Seconds of work that are left of a rule, if known; a job that takes longer than others did is expected to end soon."""
        one = self.job_seconds(rule)
        if one is None:
            return None if self.totals.get(rule) else 0.0
        under_way = [
            max(one - (now - started), OVERDUE * (now - started))
            for name, started in self.running.values()
            if name == rule
        ]
        waiting = self.totals.get(rule, 0) - self.finished[rule] - len(under_way)
        return max(waiting, 0) * one + sum(under_way)

    def work_left(self, now: float) -> float | None:
        """Seconds of work that are left of all rules; None as long as nothing is known of one."""
        left = [self.left(rule, now) for rule in self.totals]
        return None if None in left else sum(seconds for seconds in left if seconds is not None)

    def seconds_left(self, now: float) -> float | None:
        """Until the end, with as many jobs at a time as so far; None before the first job, or where nothing is known of a rule."""
        left = self.work_left(now)
        return None if self.began is None or left is None else left / self.jobs_at_a_time(now)

    def jobs_at_a_time(self, now: float) -> float:
        """Jobs that ran side by side, on the average of the run so far."""
        worked = sum(self.taken.values()) + sum(now - started for _, started in self.running.values())
        return max(worked / (now - self.began), 1.0) if self.began is not None and now > self.began else 1.0

    def share_done(self, now: float) -> float | None:
        """Share of the work, not of the jobs, that is done; it never falls. None as long as nothing is known of a rule.

        A job that takes longer than expected counts as one that takes as long, so that a slow machine is not taken for work done.
        """
        left = self.work_left(now)
        if left is None:
            return None
        under_way = sum(min(now - started, self.job_seconds(rule) or 0.0) for rule, started in self.running.values())
        done = sum(self.taken.values()) + under_way
        self.shown = max(self.shown, done / (done + left) if done + left > 0 else 0.0)
        return self.shown


def duration(seconds: float) -> str:
    """Seconds as a reader would say them: 40 s, 12 min, 3 h 5 min."""
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
