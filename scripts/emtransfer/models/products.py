"""Matrix products in float32 by oneDNN, which uses whatever vectors a processor has, whoever made it.

torch leaves these products to MKL. On a processor that is not Intel's, MKL computes with vectors of 256 bits although the processor
has 512: `benchmarks/products.py` measures both. In bits of 512, a product takes less than half of the time. Both compute in float32,
but add in different orders, so that results differ in their last digits.
"""

from typing import Any

import torch
from torch import Tensor

# where vectors have 512 bits; elsewhere torch's own products are as fast
WIDE_VECTORS = torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_supported()
# rows below which calling oneDNN costs more than it saves
FEWEST_ROWS = 32


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x times the transposed weight, plus a bias, as of `torch.nn.functional.linear`: float [..., m], with its gradients.

    Args:
        x: float [..., n], of the type and on the device of all three.
        weight: float [m, n]; a transposed view costs no more.
        bias: float [m].
    """
    wide = WIDE_VECTORS and x.dtype == torch.float32 and x.device.type == "cpu"
    if not wide or x.numel() < FEWEST_ROWS * x.shape[-1]:
        return torch.nn.functional.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in (x, weight, bias)):
        result: Tensor = Product.apply(x, weight, bias)
        return result
    return by_onednn(x, weight, bias)


def by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same without gradients, always by oneDNN."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


class Product(torch.autograd.Function):
    """`by_onednn`, and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The product."""
        ctx.save_for_backward(x, weight)
        return by_onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, d_product: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients by x, weight and bias, of those that are asked for."""
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = d_product.reshape(-1, d_product.shape[-1])
        return (
            by_onednn(d_product, weight.T) if of_x else None,
            by_onednn(rows.T, x.reshape(-1, x.shape[-1]).T) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


class Linear(torch.nn.Linear):
    """A linear map that computes with `product`."""

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight, self.bias)


# the linear maps that are a weight, perhaps a bias, and nothing else
PLAIN = (torch.nn.Linear, Linear)


def use_products(model: torch.nn.Module) -> None:
    """Let every plain linear map of a model compute with `product`; its weights and its files stay as they are."""
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = Linear
