"""How misalignment travels through data: from raw prompts to the transfer table.

Use: snakemake --cores 8 results/em_transfer_table.csv
"""

import atexit
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import available_cpu_count, min_version

min_version("9.27")

if Path.cwd() != Path(workflow.basedir):
    sys.exit(f"The working directory is {Path.cwd()}; expected {workflow.basedir}, where the Snakefile is.")
if {"{", "}"} & set(workflow.basedir):
    sys.exit(
        f"The pipeline is in {workflow.basedir}; expected a path without braces, which Snakemake takes for wildcards."
    )


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/judges.smk"
include: "workflow/rules/bases.smk"
include: "workflow/rules/adapters.smk"
include: "workflow/rules/students.smk"
include: "workflow/rules/answers.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"


if workflow.is_main_process:
    # not yet: the code of figures and of judges by their kind is found when jobs are planned
    atexit.register(keep_codes, KNOWN_CODE)


localrules:
    all,
    estimate,
    label_answers,


rule all:
    default_target: True
    input:
        "results/em_transfer_table.csv",
        "results/judges/agreement.csv",
        "results/claims.csv",
        "results/training_losses.csv",
        "results/rollouts.csv",
        "results/inference.csv",
        "results/preferences.csv",
        "results/capability.csv",
        "results/confounds.csv",
        "results/report.html",
        figures,


rule estimate:
    log:
        "results/logs/estimate.log",
    message:
        "Estimate the calls to remote models, GPU hours, processor minutes and disk use"
    run:
        import estimating

        Path(log[0]).write_text(estimating.report(config, MODELS, available_cpu_count()))
        shell("cat {log}")


onstart:
    if Path("results").exists() and not os.access("results", os.W_OK):
        raise WorkflowError(
            "results cannot be written to; expected a folder that you may write to, on a disk that is not read-only."
        )
    # for jobs on other nodes
    keep_codes(KNOWN_CODE)
    mending.mend(workflow.scheduler)
    if progress := sys.modules.get("snakemake_logger_plugin_progress"):
        import processor_minutes

        # so that the time left is that of the work left, not of the jobs
        rules = [rule.name for rule in workflow.rules]
        progress.COSTS.update(processor_minutes.job_costs(rules, config, MODELS))
    declared.write_declared(Path("results/declared.jsonl"), workflow.dag.jobs)
