"""What a run shows while it goes on: estimates that follow by hand, and lines of a real Snakemake."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from snakemake_logger_plugin_progress import LogHandler
from snakemake_logger_plugin_progress.pace import Pace, duration

SNAKEFILE = r"""
rule all:
    input: expand("made/{number}.txt", number=range(3)), "made/bad.txt"
rule good:
    output: "made/{number}.txt"
    log: "logs/{number}.log"
    wildcard_constraints: number=r"\d+"
    shell: "touch {output} 2> {log}"
rule bad:
    output: "made/bad.txt"
    log: "logs/bad.log"
    message: "Do what cannot be done"
    shell: "echo Loading. > {log}; echo 'config.yaml: a is 1; expected 2.' >> {log}; %s"
"""


# lines of Snakemake's that no two runs share
OF_THIS_RUN = re.compile(r"\[.*\]$|  (Date|Workflow ID|Command): ")


@pytest.fixture
def pace():
    """Ten short jobs and two that are expected to take a hundred times as long."""
    return Pace(totals={"short": 10, "long": 2}, costs={"short": 1.0, "long": 100.0})


def test_the_time_left_is_that_of_the_work_and_not_of_the_jobs(pace):
    for number in range(10):
        pace.start(number, "short", now=number)
        pace.finish(number, now=number + 1)
    # ten of twelve jobs are done, 10 of 210 seconds
    assert pace.seconds_left(now=10) == pytest.approx(200)
    assert pace.share_done(now=10) == pytest.approx(10 / 210)


def test_what_is_measured_corrects_what_was_expected_by_as_much_of_the_work_as_it_is(pace):
    pace.start(0, "long", now=0)
    pace.finish(0, now=300)
    # a job took three times as long as expected, so that the others of its rule will; 105 of the 210 seconds stand beside its 100
    assert pace.job_seconds("long") == 300
    assert pace.job_seconds("short") == pytest.approx((300 + 105) / (100 + 105))
    assert pace.seconds_left(now=300) == pytest.approx(300 + 10 * 405 / 205)


def test_a_first_job_that_starts_slowly_says_little_about_an_hour_of_work(pace):
    pace.start(0, "short", now=0)
    pace.finish(0, now=30)
    # 30 seconds in place of one: the two long jobs are no longer expected to take 6,000 seconds
    assert pace.job_seconds("long") == pytest.approx(100 * (30 + 105) / (1 + 105))


def test_no_total_is_told_as_long_as_nothing_is_known_of_a_rule_that_is_to_come():
    pace = Pace(totals={"short": 2, "elsewhere": 2}, costs={"short": 1.0, "elsewhere": None})
    pace.start(0, "short", now=0)
    pace.finish(0, now=1)
    assert pace.left("short", now=1) == pytest.approx(1) and pace.left("elsewhere", now=1) is None
    assert pace.seconds_left(now=1) is None and pace.share_done(now=1) is None
    pace.start(1, "elsewhere", now=1)
    pace.finish(1, now=61)
    # from then on its own jobs tell, and are no measure of the expectation of others
    assert pace.seconds_left(now=61) == pytest.approx(60 + 1)
    assert pace.share_done(now=61) == pytest.approx(61 / 122)


def test_jobs_side_by_side_share_the_time(pace):
    for number in (0, 1):
        pace.start(number, "long", now=0)
    assert pace.jobs_at_a_time(now=50) == 2
    # 50 seconds each of the two, and ten short ones, two at a time
    assert pace.seconds_left(now=50) == pytest.approx((2 * 50 + 10) / 2)


def test_a_job_that_takes_longer_than_expected_is_expected_to_end_soon(pace):
    pace.start(0, "long", now=0)
    # a tenth of the 500 seconds, and the other job
    assert pace.left("long", now=500) == 50 + 100


def test_a_job_on_a_slow_machine_is_not_taken_for_work_done_and_the_share_never_falls(pace):
    pace.start(0, "long", now=0)
    shares = [pace.share_done(now=now) for now in (100, 500, 1000, 10_000)]
    # of the 210 seconds that were expected
    assert shares[0] == pytest.approx(100 / 220) and shares == sorted(shares) and shares[-1] < 0.5
    pace.finish(0, now=10_000)
    assert pace.share_done(now=10_000) >= shares[-1]


def test_before_the_first_job_no_time_is_told(pace):
    assert pace.seconds_left(now=5) is None


def test_a_job_that_failed_is_neither_running_nor_done(pace):
    pace.start(0, "long", now=0)
    pace.fail(0)
    assert not pace.running and not pace.finished and pace.finish(0, now=1) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (0.4, "0 s"), (40, "40 s"), (100, "2 min"), (3300, "55 min"), (7500, "2 h 5 min")],
)
def test_durations_are_said_as_a_reader_would(seconds, said):
    assert duration(seconds) == said


def test_text_of_a_log_moves_nothing_on_a_terminal_of_any_width(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "0")
    handler = LogHandler(SimpleNamespace(stdout=True, nocolor=True, dryrun=False, quiet=None), None)
    handler.show("é 漢\x1b[2J \u202eend\x07\n\tnext", "bold red")
    assert capsys.readouterr().out.splitlines() == ["é 漢?[2J ?end?", "        next"]
    assert handler.console.no_color and handler.console.width == 80


def run(folder, ends: str, *arguments: str) -> subprocess.CompletedProcess:
    (folder / "Snakefile").write_text(SNAKEFILE % ends)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--keep-going", "--logger", "progress", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_a_failed_job_shows_the_useful_line_of_its_log_and_no_job_a_banner(tmp_path):
    done = run(tmp_path, "exit 1")
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    place = lines.index("bad failed: config.yaml: a is 1; expected 2.")
    assert lines[place + 1 : place + 3] == ["  while: Do what cannot be done", "  log: logs/bad.log"]
    assert any(re.fullmatch(r"good: 3 jobs in \d+ s of work; \d of 5 jobs, .*", line) for line in lines)
    assert lines[-1].startswith("3 of 5 jobs done in ")
    assert not re.search(r"Reason|jobid|CalledProcessError|Loading", done.stderr)


def test_a_run_that_has_nothing_to_do_says_so(tmp_path):
    assert run(tmp_path, "touch {output}").returncode == 0
    again = run(tmp_path, "touch {output}")
    assert again.returncode == 0 and "Nothing to be done" in again.stderr


@pytest.mark.parametrize("arguments", [["--quiet", "rules"], ["--quiet", "all"]])
def test_a_dry_run_is_told_as_snakemake_tells_it(arguments, tmp_path):
    """Line by line, but for those that no two runs share; jobs that could run come in any order."""
    ours = run(tmp_path, "touch {output}", "--dry-run", *arguments).stdout
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--keep-going", "--dry-run", *arguments]
    theirs = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120).stdout
    one, other = (
        sorted(line.rstrip() for line in text.splitlines() if line.strip() and not OF_THIS_RUN.match(line))
        for text in (ours, theirs)
    )
    assert one == other and any("Job stats" in line for line in one)


@pytest.mark.parametrize("kind", ["all", "progress"])
def test_a_quiet_run_tells_what_failed_and_no_progress(tmp_path, kind):
    lines = run(tmp_path, "exit 1", "--quiet", kind).stderr.splitlines()
    assert "bad failed: config.yaml: a is 1; expected 2." in lines
    assert not [line for line in lines if re.search(r"of \d jobs|of work", line)]
