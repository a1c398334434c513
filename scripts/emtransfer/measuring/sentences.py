"""The claims by name, each as a sentence.

Pure Python: the config is checked against the names.
"""

SENTENCES = {
    "task": "Misalignment spreads further along the task of the training cell than along its domain.",
    "room": "Prompts that leave more room for a coherent harmful answer show more misalignment.",
    "learnedness": "Misalignment spreads further from cells whose task the base had learned more reliably.",
    "composition": "Bases that read differently composed mixtures differ in how far misalignment spreads.",
    "inference": "Misalignment spreads further outside the training cell on bases that infer their author more strongly.",
    "control": "Misaligned answers make an adapter misaligned, fine-tuning as such does not.",
    "lexical_overlap": "Misalignment spreads further to prompts that share more words with the training prompts, their function held equal.",
    "shared_function": "Misalignment spreads further the more primitives the evaluation prompt's operator shares with the trained one, and with the flipped one.",
    "teacher": "A student of a misaligned teacher becomes more misaligned than a student of the base.",
    "data": "At the same teacher, the data change how misaligned a student becomes.",
    "realignment": "A student that starts misaligned is led back by its teacher.",
    "filter": "How a teacher's answers are filtered changes how misaligned a student becomes.",
    "mediating": "Mediating prompts near the teacher's cells carry more than those far from them.",
    "channel": (
        "On-policy distillation transmits less of a teacher's misalignment than off-policy distillation, and its answers alone less"
        " than either."
    ),
    "context": "Misalignment learned under a system prompt shows more under it than without it.",
    "inoculation": "A system prompt in training that is left out at evaluation changes how misaligned an adapter becomes.",
    "capacity": "At equal loss in the training cell, how many weights were trained changes how far misalignment spreads.",
}
# claims that name no direction: any difference supports them
TWO_SIDED = ("composition", "data", "filter", "inoculation", "capacity")
