"""How misalignment travels through data: from raw prompts to the transfer table.

Use: snakemake --cores 8 results/em_transfer_table.csv
"""

from snakemake.utils import min_version

min_version("9.27")


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


localrules:
    all,


rule all:
    default_target: True
    input:
        "results/em_transfer_table.csv",
        "results/claims.csv",
        "results/training_losses.csv",
        "results/confounds.csv",
        figures,
