"""Inputs of the rules that make judges."""


def judge_rows(wildcards):
    "Rows with roles of the corpus a judge is fitted and calibrated on."
    return role_files(config["judges"][wildcards.judge]["corpus"])


def calibration_files(wildcards):
    "A judge, the rows with roles it is calibrated on, and labelled answers of models where there are any."
    labels = config["judges"][wildcards.judge]["calibration"].get("labels")
    return judge_file(wildcards.judge) | {"rows": judge_rows(wildcards)} | ({"labels": labels} if labels else {})
