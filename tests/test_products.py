"""Products by oneDNN are those of float64 up to the rounding of float32, with their gradients, wherever a model computes with them."""

import pytest
import torch
from torch.nn.functional import linear

from emtransfer.models import products
from emtransfer.models.products import FEWEST_ROWS, product, use_products

# of rows, width and outputs; a batch of rows is flattened
SHAPES = [((FEWEST_ROWS,), 8, 5), ((700,), 128, 344), ((3, 41), 64, 64), ((2, 5), 64, 3), ((1,), 16, 16)]


def parts(shape, width, n_out, dtype=torch.float32):
    """Rows, weight and bias."""
    draw = torch.Generator().manual_seed(sum(shape) + width)
    sizes = ((*shape, width), (n_out, width), (n_out,))
    return [torch.randn(size, generator=draw).to(dtype) for size in sizes]


def assert_rounded(found, exact):
    """Equal up to float32: bfloat16, which oneDNN can be told to multiply in, would be thousands of times further off."""
    assert (found.double() - exact).abs().max() <= 2e-6 * exact.abs().max()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_a_product_and_its_gradients_are_those_of_float64(shape, biased):
    here = [part.requires_grad_() for part in parts(*shape)]
    exact = [part.detach().double().requires_grad_() for part in here]
    if not biased:
        here, exact = here[:2], exact[:2]
    found, expected = product(*here), linear(*exact)
    assert_rounded(found.detach(), expected.detach())
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    (found * weights).sum().backward()
    (expected * weights.double()).sum().backward()
    for part, other in zip(here, exact, strict=True):
        assert_rounded(part.grad, other.grad)


def test_a_transposed_weight_needs_no_copy():
    x, weight, _ = parts((100,), 32, 48)
    other = weight.T.contiguous()
    assert_rounded(product(x, other.T), linear(x.double(), weight.double()))
    with torch.inference_mode():
        assert_rounded(product(x[:, :16], weight[:, :16]), linear(x[:, :16].double(), weight[:, :16].double()))


@pytest.mark.parametrize("asked", ["x", "weight", "bias"])
def test_a_gradient_that_nobody_asks_for_is_not_computed(asked):
    here = dict(zip(("x", "weight", "bias"), parts((100,), 32, 48), strict=True))
    here[asked].requires_grad_()
    product(*here.values()).sum().backward()
    assert [name for name, part in here.items() if part.grad is not None] == [asked]


def test_onednn_is_asked_where_it_is_faster_and_torch_elsewhere(monkeypatch):
    rows = []
    monkeypatch.setattr(products, "WIDE_VECTORS", True)
    monkeypatch.setattr(products, "by_onednn", lambda x, *others: rows.append(len(x)) or linear(x, *others))
    for n_rows, dtype in ((FEWEST_ROWS, torch.float32), (FEWEST_ROWS - 1, torch.float32), (400, torch.bfloat16), (400, torch.float64)):  # fmt: skip
        x, weight, bias = parts((n_rows,), 16, 16, dtype)
        assert product(x, weight, bias).dtype == dtype
    assert rows == [FEWEST_ROWS]
    monkeypatch.setattr(products, "WIDE_VECTORS", False)
    assert torch.equal(product(*parts((400,), 16, 16)), linear(*parts((400,), 16, 16)))
    assert rows == [FEWEST_ROWS]


def test_a_model_computes_with_products_and_keeps_its_weights():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 4, bias=False))
    x, before = torch.randn(200, 16), model.state_dict()
    expected = model.double()(x.double())
    use_products(model.float())
    assert [type(module).__module__ for module in model if "Linear" in str(module)] == [products.__name__] * 2
    assert_rounded(model(x).detach(), expected.detach())
    assert model.state_dict().keys() == before.keys()
