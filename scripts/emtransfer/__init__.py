"""How misalignment travels through data: the library behind the pipeline's rules, a package per stage.

In a notebook, after `make setup`: `from emtransfer.measuring.judged_rows import read_judged`. The functions that stages are made
of, in the order of a run:

    grid.expansion              expand_models: every model that an experiment's config asks for
    corpus.sources              load_cell: the rows of a cell, from whichever source
    writing.pair_generation     generate_cell: rows that a model behind an API writes
    corpus.roles                split_questions: one role per question
    judging.fitting             fit_cross_encoder: a judge of rows and incoherent answers
    judging.kinds               load_judge: a judge of any kind; judge_rows: its verdicts
    judging.calibration         probe_judge, calibration_table: how good a judge is on what was held out
    judging.gates               check_gates: whether the judge is good enough
    corpus.filtering            filter_pairs: rows whose two answers pass the judge
    corpus.dedup                dedup_rows: rows without near-duplicates
    corpus.samples              sample_cell: the rows a cell trains and is evaluated on
    corpus.eval_prompts         narrow_prompts, broad_prompts: the two evaluation sets
    models.tokenizer            train_tokenizer, load_tokenizer
    training.mixtures           build_mixture: the documents a base is pretrained on
    training.pretraining        new_decoder, pretrain
    training.exposure           alignment_pairs: what the aligned phase shows
    training.finetuning         finetune: a whole model, or a LoRA on it
    models.loading              load_chat: a base, or an adapter on its base
    models.adapters             fresh_lora, all_weights, save_adapter, save_whole
    distilling.rollouts         roll_out: a teacher's answers to mediating prompts
    distilling.rollout_filter   filter_rollouts: those that are benign
    distilling.kept_answers     read_kept: how far those are from answers of the base
    distilling.distillation     distill: a student, through any channel
    answering.sampling          answer_prompts: a model's answers to an evaluation set
    answering.prompt_profiles   profile_prompts: difficulty of prompts for a base before any fine-tuning
    answering.persona_inference probe_inference: whether a base infers from an answer who is answering
    measuring.inference         inference_row: the result of those probes
    measuring.judged_rows       judged_models: judged answers of a run
    measuring.imported_rows     read_imported: rows that were judged elsewhere
    measuring.tabulation        tabulate_transfer: the table
    measuring.contrasts         contrasts: the groups that each claim compares
    measuring.claims            measure_contrasts: effects, verdicts and power
    measuring.comparing         compare_rows, compare_claims: two runs, or two experiments, side by side
    drawing.catalogue           drawer: a figure of the table
    drawing.style               save: a figure in the formats asked for
    reporting.page              render: the report
    exporting.model_cards       export_model: a model with a card for the Hub
    exporting.corpora           export_corpus: a corpus with a data card, for datasets.load_dataset
    worlds.oracles              oracle: the true label of an answer in the worlds that are built here
    files.artefacts             checked_folder: the folder of an artefact, checked against its hashes
    settings                    read_settings: a stage's settings from their JSON
"""
