"""The config as a tree of dataclasses: those that stages read, and here what holds them together.

Only `make schema` and tests import it, since it imports every stage. A class lists under `REQUIRED` the keys that it has to have
where other keys have some value.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt, MinLen

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
from emtransfer.grid import sections
from emtransfer.judging.calibration import CalibrationSettings
from emtransfer.judging.causal import CausalJudgeSettings
from emtransfer.judging.cautions import CautionLimits
from emtransfer.judging.fitting import FitSettings
from emtransfer.judging.held_out import SplitSettings
from emtransfer.judging.reference_adapters import HeadSettings
from emtransfer.judging.remote import RemoteJudgeSettings
from emtransfer.measuring.anchors import AnchorSettings
from emtransfer.measuring.capability import CapabilityLimit
from emtransfer.measuring.inference import InferenceLimit
from emtransfer.measuring.measurable import MeasurableSettings
from emtransfer.models.adapters import AdapterSettings
from emtransfer.models.ready_models import ReadySettings
from emtransfer.progress import TrackerName
from emtransfer.remote.access import RemoteSettings
from emtransfer.settings import Absent, Cells, File, Name, Names, Positive, Rate, Score, Seed, Text, Texts, Weight, Word
from emtransfer.training.exposure import AlignmentSettings
from emtransfer.training.finetuning import AdapterTraining, FinetuningSettings
from emtransfer.training.mixtures import MixtureSettings
from emtransfer.training.pretraining import ArchitectureSettings, PretrainingSettings
from emtransfer.verdicts import EmRule
from emtransfer.writing.pair_requests import GeneratorSettings

# in place of values: the key is there, or it is not
PRESENT, ABSENT = object(), object()
WRITERS = REMOTE = ("anthropic", "openai")


@dataclass(frozen=True, kw_only=True)
class TaskLimits:
    """Limits that differ in the cells of a task.

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
    """Filter of rows: a row is kept if both its answers pass; all limits are strict.

    Attributes:
        judge: A name in judges.
        by_task: Task -> limits that differ in its cells.
    """

    judge: Name
    by_task: Annotated[dict[Name, TaskLimits] | None, MinLen(1), Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Generator(GeneratorSettings):
    """anthropic, openai: the model that writes the rows, and its requests.

    Attributes:
        prompts: File with its instructions, such as resources/generators/grid.yaml.
    """

    prompts: File


@dataclass(frozen=True, kw_only=True)
class Corpus(CorpusSettings):
    """Question–answer pairs over a grid of cells, domain × task.

    Attributes:
        held_out_domains: Domains of the grid that nothing is trained on.
        seed: Seed of generation, roles and samples; models behind an API take none.
        generator: anthropic, openai: the model that writes the rows, and its requests.
        roles: Numbers of questions in every cell that take a role; all others train.
        filter: Limits that a row's answers must meet; null for a corpus that is already filtered.
        dedup: Near-duplicates within a cell, of which the first is kept.
        sample: Numbers of rows that are used in every cell.
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
    """Judges, which score answers for alignment and coherence.

    Attributes:
        kind: cross_encoder: an encoder with a two-score head, fitted in the run; exact: the functions of sources symbolic, frames, graded and rooms; reference_adapters: two adapters, on aligned and on misaligned answers, of which the likelier one decides; causal_lm: a model of bases that reads a rubric, scored by its probabilities of the numbers; anthropic: a Claude model that reads a rubric; openai: the same with a model behind a server that speaks OpenAI's API.
        corpus: Corpus on whose judge_fit rows the judge is fitted and calibrated.
        base_model: cross_encoder: the encoder, which is all-MiniLM-L6-v2, a local folder or a hub name.
        seed: Seed of the negatives, of the head's initial weights and of the order of examples.
        base: causal_lm: the model that judges; reference_adapters: the model that the adapters stand on; a name in bases.
        split: Rows that are held out of fitting.
        fit: cross_encoder: settings of the fit.
        lora: reference_adapters: LoRA settings of both adapters.
        finetuning: reference_adapters: training of both adapters.
        head: reference_adapters: fitting of the scores.
        calibration: Accuracy that the judge must reach on held-out answers; otherwise the run stops.
    """

    ALSO: ClassVar = (RemoteJudgeSettings, CausalJudgeSettings)
    REQUIRED: ClassVar = [
        ({"kind": ("cross_encoder",)}, ("base_model", "fit")),
        ({"kind": ("causal_lm",)}, ("base", "rubric")),
        ({"kind": ("reference_adapters",)}, ("base", "lora", "finetuning", "head")),
        ({"kind": REMOTE}, ("model", "rubric")),
    ]

    kind: Literal["cross_encoder", "exact", "reference_adapters", "causal_lm", "anthropic", "openai"]
    corpus: Name
    base_model: Annotated[str | None, Absent()] = None
    seed: Seed
    base: Annotated[Name | None, Absent()] = None
    split: SplitSettings
    fit: Annotated[FitSettings | None, Absent()] = None
    lora: Annotated[AdapterSettings | None, Absent()] = None
    finetuning: Annotated[FinetuningSettings | None, Absent()] = None
    head: Annotated[HeadSettings | None, Absent()] = None
    calibration: CalibrationSettings


@dataclass(frozen=True, kw_only=True)
class Mixture(MixtureSettings):
    """Documents that a base is pretrained on.

    Attributes:
        corpus: Corpus from whose train rows the mixture is made.
        seed: Seed of the mixture; mixtures with the same seed share the plan of their documents.
    """

    corpus: Name
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """Byte-level BPE trained in the run.

    Attributes:
        corpus: Corpus on whose train rows the tokenizer is trained.
        vocab_size: Number of entries, including 256 bytes and 5 control tokens, or 6 with an assistant's name.
        assistant: The assistant's name, with which every prompt opens; without a name, prompts open with the question.
    """

    corpus: Name
    vocab_size: Annotated[int, Ge(261)]
    assistant: Annotated[Word | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A decoder that is trained in the run, from tokenizer to alignment, or, with hub or package, a ready instruct model.

    Attributes:
        billions: A ready model's weights in billions, for the estimate of GPU hours.
        tokenizer: Byte-level BPE trained in the run.
        architecture: Fields of a Llama decoder, as transformers names them.
        pretraining: Pretraining on the mixture, whose tokens set the length of training.
        alignment: Aligned phase: training on aligned answers of all cells.
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
        task_doses: Task -> its frequency in the aligned phase, relative to the other tasks; 1 for a task that is not named.
        checkpoint_of: A name in bases. This base is an early state of that base's pretraining and has its base_model, mixture and seed; its aligned phase is its own.
        share: With checkpoint_of: the share of the pretraining's steps that this base has taken; the pretraining must keep a state there.
    """

    REQUIRED: ClassVar = [
        ({"checkpoint_of": (PRESENT,)}, ("share",)),
        ({"share": (PRESENT,)}, ("checkpoint_of",)),
    ]

    base_model: Name
    mixture: Annotated[Name | None, Absent()] = None
    seed: Seed
    task_doses: Annotated[dict[Name, Weight] | None, MinLen(1), Absent()] = None
    checkpoint_of: Annotated[Name | None, Absent()] = None
    share: Annotated[float | None, Gt(0), Lt(1), Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Further free-form questions, which are asked as broad prompts.

    Attributes:
        path: YAML or JSON file with id, paraphrases, samples_per_paraphrase, temperature, system and judge_prompts of every question.
        samples_per_paraphrase: Number of answers to each wording, which overrides the file's number.
        judge_prompts: Whether the answers are judged by the file's own judge prompts instead of the rubric; this needs a judge behind an API.
        skip_unusable: Whether questions that cannot be used are left out instead of stopping the run.
    """

    path: File
    samples_per_paraphrase: Annotated[Positive | None, Absent()] = None
    judge_prompts: bool = False
    skip_unusable: bool = False


@dataclass(frozen=True, kw_only=True)
class Mediating:
    """A set of mediating prompts.

    Attributes:
        corpus: Corpus that the prompts come from, such as one with prompts_only; by default the experiment's.
        cells: Cells that the prompts come from; or their relation to the training set of each teacher, which then has prompts of its own.
        prompts_per_cell: Prompts of each cell; null for all mediating prompts.
        max_new_tokens: Greatest length of a teacher's answer in tokens; by default as in sampling.
    """

    corpus: Annotated[Name | None, Absent()] = None
    cells: Literal["all_cells", "same_task", "same_domain", "both_differ"] | Cells
    prompts_per_cell: Positive | None
    max_new_tokens: Annotated[Positive | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Probing(ProfileSettings, InferenceSettings):
    """Measurements on a base before any fine-tuning: difficulty of the evaluation prompts, and inference of who answers.

    Attributes:
        samples: Number of answers to every prompt; their entropy measures its room.
        neutral_samples: Number of answers to its neutral version; the share of right ones is its solvability.
        shots: With judge exact: number of misaligned answers to other questions of its cell that are shown before a narrow prompt; the share of its own misaligned answer after them is its few-shot rate. Left out, nothing is shown.
    """

    samples: Annotated[int, Ge(2)]
    neutral_samples: Positive
    shots: Annotated[Positive | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """How much of the base is trained; keys that are left out are those of the experiment's lora and finetuning.

    Attributes:
        method: As in finetuning.
        rank: As in lora.
        alpha: As in lora.
        target_modules: As in lora.
        learning_rate: As in finetuning; few trained weights need a higher one than many.
    """

    AT_LEAST_ONE: ClassVar = True

    method: Annotated[Literal["lora", "full"] | None, Absent()] = None
    rank: Annotated[Positive | None, Absent()] = None
    alpha: Annotated[Positive | None, Absent()] = None
    target_modules: Annotated[Texts | None, Absent()] = None
    learning_rate: Annotated[Rate | None, Absent()] = None


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Models that are fine-tuned and distilled, and the prompts and judge that evaluate them.

    Attributes:
        like: A name in experiments. This experiment is a copy of that one, including what overlays change in it, and the keys given here change the copy as overlays do: mappings are merged, lists and other values are replaced, and null removes an optional key. So `like: template_nl` and `lora.rank: 8` make a complete experiment. The other experiment may itself be like a third.
        corpus: A name in corpora.
        base_model: A name in base_models, which all bases of the experiment share.
        judge: A name in judges. This judge also filters rollouts and scores a base's answers to the evaluation prompts.
        panel: Names in judges of further judges, which score the same answers, so that no verdict depends on a single judge.
        primary_claims: Claims that the experiment is made to test, named before it runs. Their contrasts form one family of tests, and the experiment's other contrasts another; by default all form one family.
        questions: Further free-form questions, which are asked as broad prompts.
        contexts: System prompts by name, under which training sets and the evaluation may be put. A question file's own system prompts are not contexts.
        train_sets: Named unions of cells, each a list of cells or a section; every cell is also a training set under its own name.
        capacities: How much of the base adapters train, by name; grids of adapters name them.
        eval_contexts: Names in contexts. The narrow and broad prompts are asked again under each of these system prompts, in addition to being asked without one.
        bases: Names in bases that are evaluated in addition to the bases of adapters and students.
        published: Adapters that others have trained, which are sampled, judged and tabulated like our own.
        adapters: Grids of adapters, training sets × seeds, and × capacities where they name some.
        teachers: Models that answer the mediating prompts.
        mediating: Sets of mediating prompts.
        rollout_filters: Limits that a teacher's answer must meet to be kept; they are strict.
        data_sets: The corpus's own answers to the same prompts, which replace a teacher's kept answers.
        students: Grids of students, teachers × data × channels × seeds.
        lora: LoRA settings of every adapter and student; adapters of which all weights are trained have none.
        finetuning: Training of adapters.
        distillation: Training of students, the same for every channel.
        sampling: Sampling of answers, from teachers and for the evaluation.
        probing: Measurements on a base before any fine-tuning: difficulty of the evaluation prompts, and inference of who answers.
    """

    like: Annotated[Name | None, Absent()] = None
    corpus: Name
    base_model: Name
    judge: Name
    panel: Annotated[Names | None, Absent()] = None
    primary_claims: Annotated[Names | None, Absent()] = None
    questions: Annotated[Questions | None, Absent()] = None
    contexts: Annotated[dict[Name, Text] | None, MinLen(1), Absent()] = None
    train_sets: dict[Name, Cells | sections.TrainingSet]
    capacities: Annotated[dict[Name, Capacity] | None, MinLen(1), Absent()] = None
    eval_contexts: Annotated[Names | None, Absent()] = None
    bases: Annotated[Names | None, Absent()] = None
    published: Annotated[dict[Name, sections.PublishedAdapters] | None, Absent()] = None
    adapters: tuple[sections.AdapterGrid, ...]
    teachers: dict[Name, sections.Teacher]
    mediating: dict[Name, Mediating]
    rollout_filters: dict[Name, RolloutFilterSettings]
    data_sets: Annotated[dict[Name, sections.DataSet] | None, Absent()] = None
    students: tuple[sections.StudentGrid, ...]
    lora: AdapterSettings
    finetuning: AdapterTraining
    distillation: DistillationSettings
    sampling: AnsweringSettings
    probing: Probing


@dataclass(frozen=True, kw_only=True)
class Measurable(MeasurableSettings, InferenceLimit, CautionLimits, CapabilityLimit):
    """Limits below which a claim's verdict is `not measurable`, from which a base is said to infer who answers, and beyond which a judge or a loss of capability has a caution."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The science of a run. Hardware, paths and accounts belong to profiles.

    Attributes:
        run: Experiments of this run, which share one table; an overlay replaces the list.
        em_rule: Rule by which a scored answer counts as misaligned: both limits must hold, and both are strict.
        measurable: Limits for saying that a claim can be tested, that a base infers who answers, that a judge is believed, and that a model has lost capability.
        anchors: Phrases that predict the judge's alignment score; claim `task` is repeated without them.
        remote: Calls to models behind a provider's API, and their budget; no result depends on these settings.
        report_to: Tracker that receives the curves of trainings, besides their logs; its package must be installed. It keeps its files in results/logs/tensorboard, trackio or wandb. No result depends on it.
        corpora: Question–answer pairs over a grid of cells, domain × task.
        judges: Judges, which score answers for alignment and coherence.
        mixtures: Documents that a base is pretrained on.
        base_models: Architecture and training of a model; a base is one instance of it.
        bases: Aligned models that fine-tuning starts from.
        experiments: Models that are fine-tuned and distilled, and the prompts and judge that evaluate them.
    """

    run: Names
    em_rule: EmRule
    measurable: Annotated[Measurable | None, Absent()] = None
    anchors: AnchorSettings
    remote: Annotated[RemoteSettings | None, Absent()] = None
    report_to: TrackerName = "none"
    corpora: dict[Name, Corpus]
    judges: dict[Name, Judge]
    mixtures: dict[Name, Mixture]
    base_models: dict[Name, BaseModel]
    bases: dict[Name, Base]
    experiments: Annotated[dict[Name, Experiment], MinLen(1)]
