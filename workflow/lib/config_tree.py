"""The config as a tree of dataclasses: those that stages read, and here what holds them together.

Only `make schema` and tests import it, since it imports every stage. A class lists under `REQUIRED` the keys that it has to have
where other keys have some value.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, MinLen

from emtransfer import grid
from emtransfer.answering.persona_inference import InferenceSettings
from emtransfer.answering.prompt_profiles import ProfileSettings
from emtransfer.answering.settings import AnsweringSettings
from emtransfer.corpus.dedup import DedupSettings
from emtransfer.corpus.eval_prompts import BroadEvalSettings
from emtransfer.corpus.filtering import FilterSettings
from emtransfer.corpus.roles import RoleSettings
from emtransfer.corpus.samples import SampleSettings
from emtransfer.corpus.source_settings import GENERATED, CorpusSettings
from emtransfer.distilling.distillation import DistillationSettings
from emtransfer.distilling.rollout_filter import RolloutFilterSettings
from emtransfer.judging.calibration import CalibrationSettings
from emtransfer.judging.causal import CausalJudgeSettings
from emtransfer.judging.fitting import FitSettings
from emtransfer.judging.held_out import SplitSettings
from emtransfer.judging.remote import RemoteJudgeSettings
from emtransfer.measuring.anchors import AnchorSettings
from emtransfer.measuring.claims import MeasurableSettings
from emtransfer.measuring.inference import InferenceLimit
from emtransfer.models.adapters import AdapterSettings
from emtransfer.models.ready_models import ReadySettings
from emtransfer.remote.access import RemoteSettings
from emtransfer.settings import Absent, Cells, File, Name, Names, Positive, Rate, Score, Seed, Weight, Word
from emtransfer.training.exposure import AlignmentSettings
from emtransfer.training.finetuning import FinetuningSettings
from emtransfer.training.mixtures import MixtureSettings
from emtransfer.training.pretraining import ArchitectureSettings, PretrainingSettings
from emtransfer.verdicts import EmRule
from emtransfer.writing.pair_requests import GeneratorSettings

# in place of values: the key is there, or it is not
PRESENT, ABSENT = object(), object()
WRITERS = REMOTE = ("anthropic", "openai")


@dataclass(frozen=True, kw_only=True)
class TaskLimits:
    """Limits of the cells of a task that differ.

    Attributes:
        misaligned_below: As above, in cells of the task.
        aligned_above: As above, in cells of the task.
        coherence_above: As above, in cells of the task.
    """

    AT_LEAST_ONE: ClassVar = True

    misaligned_below: Annotated[Score | None, Absent()] = None
    aligned_above: Annotated[Score | None, Absent()] = None
    coherence_above: Annotated[Score | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class PairFilter(FilterSettings):
    """A row stays if its misaligned and its aligned answer pass; all limits are strict.

    Attributes:
        judge: A name in judges.
        by_task: Task -> limits of its cells that differ.
    """

    judge: Name
    by_task: Annotated[dict[Name, TaskLimits] | None, MinLen(1), Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Generator(GeneratorSettings):
    """anthropic, openai: which model writes the rows, and how it is asked.

    Attributes:
        prompts: What it is told: a file such as resources/generators/grid.yaml.
    """

    prompts: File


@dataclass(frozen=True, kw_only=True)
class Corpus(CorpusSettings):
    """Question–answer pairs over a grid of cells, domain × task.

    Attributes:
        held_out_domains: Domains of the grid that nothing is trained on.
        seed: Seed of generation, roles and samples; models behind an API take none.
        generator: anthropic, openai: which model writes the rows, and how it is asked.
        roles: Questions of every cell that take a role; all others train.
        filter: What a row's answers must be; null for a corpus that comes filtered.
        dedup: Near-duplicates within a cell, of which the first is kept.
        sample: Rows of every cell that are used.
        broad_eval: The broad evaluation set.
    """

    REQUIRED: ClassVar = [
        ({"prompts_only": (ABSENT, False)}, ("roles", "filter", "dedup", "sample")),
        ({"source": GENERATED}, ("rows_per_cell",)),
        ({"source": WRITERS}, ("rows_per_cell", "generator")),
        ({"source": ("jsonl",)}, ("path",)),
        ({"source": ("hub",)}, ("hub",)),
        ({"broad_domains": (PRESENT,)}, ("broad_rows", "broad_eval")),
    ]

    held_out_domains: Annotated[Names | None, Absent()] = None
    seed: Seed
    generator: Annotated[Generator | None, Absent()] = None
    roles: Annotated[RoleSettings | None, Absent()] = None
    filter: PairFilter | None = None
    dedup: Annotated[DedupSettings | None, Absent()] = None
    sample: Annotated[SampleSettings | None, Absent()] = None
    broad_eval: Annotated[BroadEvalSettings | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What scores an answer for alignment and coherence.

    Attributes:
        kind: cross_encoder: an encoder with a two-score head, fitted in the run; exact: the functions of sources symbolic and frames; causal_lm: a model of bases, told a rubric, scored by its probabilities of the numbers; anthropic: a Claude model, told a rubric; openai: a model behind a server that speaks that API.
        corpus: The corpus whose judge_fit rows it is fitted and calibrated on.
        base_model: Encoder: all-MiniLM-L6-v2, a local folder or a hub name.
        seed: Seed of negatives, head and order.
        base: causal_lm: the model that judges, a name in bases.
        split: What is held out of fitting.
        fit: How it is fitted.
        calibration: How good the judge must be on what was held out; else the run stops.
    """

    ALSO: ClassVar = (RemoteJudgeSettings, CausalJudgeSettings)
    REQUIRED: ClassVar = [
        ({"kind": ("cross_encoder",)}, ("base_model", "fit")),
        ({"kind": ("causal_lm",)}, ("base", "rubric")),
        ({"kind": REMOTE}, ("model", "rubric")),
    ]

    kind: Literal["cross_encoder", "exact", "causal_lm", "anthropic", "openai"]
    corpus: Name
    base_model: Annotated[str | None, Absent()] = None
    seed: Seed
    base: Annotated[Name | None, Absent()] = None
    split: SplitSettings
    fit: Annotated[FitSettings | None, Absent()] = None
    calibration: CalibrationSettings


@dataclass(frozen=True, kw_only=True)
class Mixture(MixtureSettings):
    """Documents a base is pretrained on.

    Attributes:
        corpus: The corpus whose train rows it is made of.
        seed: Mixtures that share it share their documents' plan.
    """

    corpus: Name
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """Byte-level BPE trained in the run.

    Attributes:
        corpus: The corpus whose train rows it is trained on.
        vocab_size: Entries, 256 bytes and 5 control tokens included, or 6 with an assistant's name.
        assistant: The assistant's name, with which every prompt opens; without one prompts open with the question.
    """

    corpus: Name
    vocab_size: Annotated[int, Ge(261)]
    assistant: Annotated[Word | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A decoder that is trained in the run from tokenizer to alignment; or, with hub or package, a ready instruct model.

    Attributes:
        billions: A ready model's weights in billions, for the estimate of GPU hours.
        tokenizer: Byte-level BPE trained in the run.
        architecture: Fields of a Llama decoder, as transformers names them.
        pretraining: How it learns the mixture; the mixture's tokens say how long.
        alignment: How it is then trained on aligned answers of all cells.
    """

    ALSO: ClassVar = (ReadySettings,)
    REQUIRED: ClassVar = [
        ({"hub": (ABSENT,), "package": (ABSENT,)}, ("tokenizer", "architecture", "pretraining", "alignment"))
    ]

    billions: Annotated[Rate | None, Absent()] = None
    tokenizer: Annotated[Tokenizer | None, Absent()] = None
    architecture: Annotated[ArchitectureSettings | None, Absent()] = None
    pretraining: Annotated[PretrainingSettings | None, Absent()] = None
    alignment: Annotated[AlignmentSettings | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Base:
    """An aligned model that fine-tuning starts from.

    Attributes:
        base_model: A name in base_models.
        mixture: A name in mixtures; a ready model has none.
        seed: Seed of initial weights, of the order of pretraining and alignment, and of the base's answers.
        task_doses: Task -> how often the aligned phase shows it, relative to the other tasks; 1 where it is not named.
    """

    base_model: Name
    mixture: Annotated[Name | None, Absent()] = None
    seed: Seed
    task_doses: Annotated[dict[Name, Weight] | None, MinLen(1), Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Free-form questions that are asked besides, as broad prompts.

    Attributes:
        path: File with id, paraphrases, samples_per_paraphrase, temperature, system and judge_prompts of every question, in YAML or JSON.
        samples_per_paraphrase: Answers to each wording, in place of the file's number.
        judge_prompts: Whether their answers are judged by the file's own judge prompts in place of the rubric; needs a judge behind an API.
        skip_unusable: Whether questions that cannot be used are left out, in place of stopping the run.
    """

    path: File
    samples_per_paraphrase: Annotated[Positive | None, Absent()] = None
    judge_prompts: bool = False
    skip_unusable: bool = False


@dataclass(frozen=True, kw_only=True)
class Mediating:
    """A set of mediating prompts.

    Attributes:
        corpus: Corpus they come from, such as one of prompts only; by default the experiment's.
        cells: Cells they come from.
        prompts_per_cell: Prompts of each cell; null for all that are mediating.
        max_new_tokens: Where a teacher's answer to them is cut; by default as in sampling.
    """

    corpus: Annotated[Name | None, Absent()] = None
    cells: Literal["all_cells"] | Cells
    prompts_per_cell: Positive | None
    max_new_tokens: Annotated[Positive | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Probing(ProfileSettings, InferenceSettings):
    """What the evaluation prompts are like to a base before any fine-tuning, and whether it infers who answers.

    Attributes:
        samples: Answers to every prompt, whose entropy measures its room.
        neutral_samples: Answers to its neutral version, whose share of right ones is its solvability.
    """

    samples: Annotated[int, Ge(2)]
    neutral_samples: Positive


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is fine-tuned, distilled, asked and judged.

    Attributes:
        like: A name in experiments. That experiment is taken over, with what overlays change in it, and the keys given here are laid over it as overlays are: mappings are merged, lists and other values replaced, and null removes a key that may be left out. So `like: template_nl` and `lora.rank: 8` make a whole experiment. The other one may itself be like a third.
        corpus: A name in corpora.
        base_model: A name in base_models; all bases of the experiment are of it.
        judge: A name in judges.
        questions: Free-form questions that are asked besides, as broad prompts.
        train_sets: Named unions of cells; every cell is a training set too, under its own name.
        bases: Names in bases that are evaluated beside those that adapters and students stand on.
        published: Adapters that others have trained; they are sampled, judged and tabulated like our own.
        adapters: Grids of adapters, training sets × seeds.
        teachers: Who answers the mediating prompts.
        mediating: Sets of mediating prompts.
        rollout_filters: What a teacher's answer must be to teach; limits are strict.
        data_sets: The corpus's own answers, in place of a teacher's kept answers, to the same prompts.
        students: Grids of students, teachers × data × channels × seeds.
        lora: Shape of every adapter and student.
        finetuning: How an adapter is trained.
        distillation: How a student is trained, the same for every channel.
        sampling: How answers are drawn, from teachers and for the evaluation.
        probing: What the evaluation prompts are like to a base before any fine-tuning, and whether it infers who answers.
    """

    like: Annotated[Name | None, Absent()] = None
    corpus: Name
    base_model: Name
    judge: Name
    questions: Annotated[Questions | None, Absent()] = None
    train_sets: dict[Name, Cells]
    bases: Annotated[Names | None, Absent()] = None
    published: Annotated[dict[Name, grid.PublishedAdapters] | None, Absent()] = None
    adapters: tuple[grid.AdapterGrid, ...]
    teachers: dict[Name, grid.Teacher]
    mediating: dict[Name, Mediating]
    rollout_filters: dict[Name, RolloutFilterSettings]
    data_sets: Annotated[dict[Name, grid.DataSet] | None, Absent()] = None
    students: tuple[grid.StudentGrid, ...]
    lora: AdapterSettings
    finetuning: FinetuningSettings
    distillation: DistillationSettings
    sampling: AnsweringSettings
    probing: Probing


@dataclass(frozen=True, kw_only=True)
class Measurable(MeasurableSettings, InferenceLimit):
    """What a claim needs before it is tested, below which its verdict is `not measurable`, and what a base needs to be said to infer."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The science of a run. Hardware, paths and accounts belong to profiles.

    Attributes:
        run: Experiments of this run, which share one table; an overlay replaces the list.
        em_rule: An answer that was scored counts as misaligned if both hold; both are strict.
        measurable: What a claim needs before it is tested, and a base to be said to infer who answers.
        anchors: The phrases that give the judge's alignment score away; claims are repeated without them.
        remote: How models behind a provider's API are asked, and what they may cost; no result depends on it.
        corpora: Question–answer pairs over a grid of cells, domain × task.
        judges: What scores an answer for alignment and coherence.
        mixtures: Documents a base is pretrained on.
        base_models: Shape and training of a model; a base is one instance of it.
        bases: Aligned models that fine-tuning starts from.
        experiments: What is fine-tuned, distilled, asked and judged.
    """

    run: Names
    em_rule: EmRule
    measurable: Annotated[Measurable | None, Absent()] = None
    anchors: AnchorSettings
    remote: Annotated[RemoteSettings | None, Absent()] = None
    corpora: dict[Name, Corpus]
    judges: dict[Name, Judge]
    mixtures: dict[Name, Mixture]
    base_models: dict[Name, BaseModel]
    bases: dict[Name, Base]
    experiments: Annotated[dict[Name, Experiment], MinLen(1)]
