"""Trainings that are cut off, as by a kill."""

import torch


class Cut(Exception):
    """Stands for a kill: nothing after it runs."""


def cut_after(model: torch.nn.Module, n_passes: int, *, in_training: bool = False) -> torch.utils.hooks.RemovableHandle:
    """Let a model's forward pass fail after so many, or after so many that train; until the handle is removed."""
    passes = iter(range(n_passes))

    def forward(module: torch.nn.Module, *_: object) -> None:
        if (module.training or not in_training) and next(passes, None) is None:
            raise Cut

    return model.register_forward_pre_hook(forward)
