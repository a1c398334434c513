"""How far a teacher's kept answers are from those of its base: what a student that learns from answers alone can learn of the teacher."""

from typing import Any

from emtransfer.models.loading import Chat
from emtransfer.models.log_probabilities import read_answers


def read_kept(base: Chat, teacher: Chat, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read every kept answer with the base and with the teacher.

    Args:
        base, teacher: models with the same vocabulary and chat format.
        rows: prompt_id, cell, question, answer, and finished false where the answer was cut.

    Returns:
        A row per answer, in order: prompt_id; cell; tokens, the end token among them; base_nats and teacher_nats, its
        log-probability under each; base_expected_nats, that of tokens which the base draws itself after the same ones, in the mean;
        base_greedy, whether greedy decoding of the base gives this answer.
    """
    prompts = [base.format.prompt_ids(row["question"]) for row in rows]
    answers = [base.format.answer_ids(row["answer"], row.get("finished", True)) for row in rows]
    of_base = read_answers(base, prompts, answers)
    of_teacher = of_base if teacher is base else read_answers(teacher, prompts, answers)
    return [
        {"prompt_id": row["prompt_id"], "cell": row["cell"], "tokens": len(answer)}
        | {"base_nats": round(own.nats, 6), "base_expected_nats": round(own.expected_nats, 6)}
        | {"teacher_nats": round(taught.nats, 6), "base_greedy": own.is_greedy}
        for row, answer, own, taught in zip(rows, answers, of_base, of_teacher, strict=True)
    ]
