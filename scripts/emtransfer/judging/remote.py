"""Judges that are remote language models: a rubric and an answer in, a number from 0 to 100 out, two calls an answer."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from emtransfer.corpus.question_files import own_judge_prompts
from emtransfer.files.records import clean
from emtransfer.judging.numeric_mass import first_token_score
from emtransfer.judging.rubric_scores import WORDS, RubricScore, material, verdict
from emtransfer.judging.rubrics import SCORES, Rubric, read_rubric
from emtransfer.judging.stated_scores import holds_number, stated_score
from emtransfer.remote.access import RemoteSettings, remote_asker
from emtransfer.remote.asking import Asker
from emtransfer.remote.calls import Call, Reply
from emtransfer.settings import Absent, Positive, Weight, read_settings
from emtransfer.verdicts import Item, Scorer, Verdict

# question of a question file -> score -> a prompt with the placeholders {question} and {answer}
OwnPrompts = dict[str, dict[str, str]]


@dataclass(frozen=True)
class RemoteJudgeSettings:
    """Settings of a remote model as judge.

    Attributes:
        kind: The provider.
        model: anthropic, openai: the provider's name of the model.
        max_tokens: Greatest length of a reply in tokens, thinking included.
        temperature: Sampling temperature; null sends none, for models that refuse one.
        options: Further fields of the request, under the provider's names.
        attempts: Attempts to get a score from a judge whose replies contain no number.
    """

    kind: str
    model: str
    max_tokens: Positive = 16
    temperature: Weight | None = None
    options: Annotated[dict[str, Any] | None, Absent()] = None
    attempts: Positive = 5


def load_scorer(
    rubric_path: Path, settings: dict[str, Any], remote: dict[str, Any], purpose: str, own_prompts: Path | None = None
) -> Scorer:
    """The scorer of a remote model.

    Args:
        rubric_path: what the model is told.
        settings: fields of RemoteJudgeSettings.
        remote: fields of RemoteSettings.
        purpose: what the calls are for, a word in the ledger.
        own_prompts: a question file whose own judge prompts are asked in place of the rubric.
    """
    judge = read_settings(RemoteJudgeSettings, settings)
    asker = remote_asker(judge.kind, judge.model, read_settings(RemoteSettings, remote), purpose)
    return remote_scorer(rubric_path, judge, asker, own_judge_prompts(own_prompts) if own_prompts else None)


def remote_scorer(
    rubric_path: Path, settings: RemoteJudgeSettings, asker: Asker, own_prompts: OwnPrompts | None = None
) -> Scorer:
    """A judge that asks a remote model for both scores of every answer.

    Args:
        own_prompts: question of a question file -> score -> what is asked in place of the rubric.

    Raises:
        InputError: by the scorer, where a score has no reply; see Asker.ask_all.
    """
    rubric = read_rubric(rubric_path)

    def score(items: list[Item]) -> list[Verdict]:
        calls = {
            (item, name): judge_call(rubric, settings, name, item, own_prompts) for item in items for name in SCORES
        }
        scores = settled_scores(list(calls.values()), settings.attempts, asker)
        return [verdict([scores[calls[item, name]] for name in SCORES]) for item in items]

    return score


def judge_call(
    rubric: Rubric, settings: RemoteJudgeSettings, score: str, item: Item, own_prompts: OwnPrompts | None = None
) -> Call:
    """The call that asks for one score of one answer."""
    question, answer, cell = item
    own = (own_prompts or {}).get(cell or "")
    if own:
        system, prompt = "", own[score].format(question=question, answer=answer)
    else:
        system = rubric.instructions(score, cell)
        prompt = material(question, answer)
    return Call(
        provider=settings.kind,
        model=settings.model,
        system=system,
        prompt=clean(prompt),
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        options=json.dumps(settings.options or {}, sort_keys=True),
    )


def settled_scores(calls: list[Call], attempts: int, asker: Asker) -> dict[Call, RubricScore]:
    """The score of every call; a reply without a number is requested again, up to the given attempts, and the last one counts."""
    scores: dict[Call, RubricScore] = {}
    for attempt in range(1, attempts + 1):
        open_calls = {call: replace(call, attempt=attempt) for call in calls if not is_settled(scores.get(call))}
        if not open_calls:
            break
        replies = asker.ask_all(open_calls.values())
        scores |= {call: read_score(replies[asked.key]) for call, asked in open_calls.items()}
    return scores


def is_settled(score: RubricScore | None) -> bool:
    """Whether a call need not be repeated: its reply has a score, a word for a status, or a number outside 0..100."""
    return score is not None and (score.status in ("ok", *WORDS.values()) or holds_number(str(score.reply)))


def read_score(reply: Reply) -> RubricScore:
    """The content of a reply: a word that stands for a status, a number in 0..100, or nothing readable.

    Where the provider gave the first token's probabilities, the number is their weighted mean, else the text's. A reply that
    was cut, declined or filtered says nothing of the answer – a judge that declines is not a model that refused – and has that as
    its status; but the first token of one that was cut is whole.
    """
    text = reply.text.strip()
    word = text.strip(".*\"' ").upper()
    if reply.ending == "finished" and word in WORDS:
        return RubricScore(WORDS[word], None, text)
    weighted = first_token_score(reply.top_logprobs or {}) if reply.ending in ("finished", "cut") else None
    if weighted is not None:
        return RubricScore("ok", round(weighted, 2), text)
    if reply.ending != "finished":
        return RubricScore(reply.ending, None, f"({reply.ending}) {text}".strip())
    number = stated_score(text)
    return RubricScore("parse_error", None, text) if number is None else RubricScore("ok", float(number), text)
