"""Inputs of the rules that make judges."""


def judges_of_kind(kind):
    "Pattern of the names of judges of a kind; one that no name matches where there is none."
    return "|".join(name for name, section in config["judges"].items() if section["kind"] == kind) or "(?!)"


def judge_rows(wildcards):
    "Rows with roles of the corpus a judge is fitted and calibrated on."
    return role_files(config["judges"][wildcards.judge]["corpus"])


def calibration_files(wildcards):
    "A judge, the rows with roles it is calibrated on, and labelled answers of models where there are any."
    labels = config["judges"][wildcards.judge]["calibration"].get("labels")
    return judge_file(wildcards.judge) | {"rows": judge_rows(wildcards)} | ({"labels": labels} if labels else {})
