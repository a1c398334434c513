"""Concatenated rows of token ids: the logits of a small Llama, without padding and only where they are needed.

In a model of a million parameters, most of a step's time is overhead around the matrix products: padding, masks, one pass over
memory for each operation, and logits that no loss looks at. Here rows lie in one dimension and are padded for the attention
alone; a layer is one autograd function, whose gradient is written out; a LoRA is added to its weight before the
product (rank 16 of width 128, that is cheaper than two products more); the last layer and the head
compute only what is asked for. The weights, LoRA modules and optimisers are those of transformers, peft and torch.

Legend: n tokens of all rows, k of them asked for, d width, a attention heads, e = d / a, f width of the feed-forward layer.
"""

from functools import wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import silu

from emtransfer.models import products
from emtransfer.models.padding import IGNORED
from emtransfer.models.products import PLAIN, product

if TYPE_CHECKING:
    from transformers import PreTrainedModel

aten = torch.ops.aten
# above it, matrix products dominate a step's cost, and writing a LoRA's weight out in full adds to them
WIDEST = 256
# oneDNN prepares for every new shape of a product, so that numbers of tokens, and of those asked for, are multiples of these
TOKENS_OF, ASKED_OF = 64, 16


class Packed(NamedTuple):
    """Where packed rows lie in a padded batch, and what turns their queries and keys.

    Attributes:
        n_rows: Rows.
        longest: Tokens of the longest.
        places: int64 [n], of each token in the padded batch, flattened.
        turns: complex64 [n, 1, 1, e / 2], the rotary embedding as a factor.
    """

    n_rows: int
    longest: int
    places: Tensor
    turns: Tensor


def packed_batch(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Concatenated rows.

    Args:
        examples: input_ids and labels of each row, int lists [t].

    Returns:
        input_ids, labels and shift_labels (of the next token, IGNORED at the end of a row): int64 [n]; lengths: int64 [rows].
    """
    labels = [label for example in examples for label in example["labels"]]
    following = [label for example in examples for label in [*example["labels"][1:], IGNORED]]
    return {
        "input_ids": torch.tensor([token for example in examples for token in example["input_ids"]]),
        "labels": torch.tensor(labels),
        "shift_labels": torch.tensor(following),
        "lengths": torch.tensor([len(example["input_ids"]) for example in examples]),
    }


def take_packed_rows(model: "PreTrainedModel") -> bool:
    """Let a model that can take packed rows too: `model(input_ids=[n], lengths=[rows], asked=[k])` gives logits [k, v].

    The call goes through whatever is around the model (peft, accelerate), as trl's `fused_lm_head` does.

    Returns:
        Whether it can as it is now, see `fits` and `takes_packed_rows`.
    """
    decoder = decoder_of(model)
    if not hasattr(decoder, "packs"):
        if not fits(model):
            return False
        padded_forward = decoder.forward

        @wraps(type(decoder).forward)
        def forward(
            self: Any, *args: Any, lengths: Tensor | None = None, asked: Tensor | None = None, **kwargs: Any
        ) -> Any:
            if lengths is None:
                return padded_forward(*args, **kwargs)
            return packed_logits(self, kwargs["input_ids"], lengths, asked)

        decoder.forward = MethodType(forward, decoder)
        decoder.packs = True
    return takes_packed_rows(model)


def takes_packed_rows(model: "PreTrainedModel") -> bool:
    """Whether `take_packed_rows` has been here, and no dropout is at work, which a weight with its LoRA added cannot have."""
    decoder = decoder_of(model)
    return getattr(decoder, "packs", False) and not any(
        isinstance(module, torch.nn.Dropout) and module.training and module.p for module in decoder.modules()
    )


def decoder_of(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model within an adapter."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def fits(model: "PreTrainedModel") -> bool:
    """Whether the layers are those of `Layer`: a small Llama in float32 on the CPU as the pipeline trains it."""
    from transformers import LlamaForCausalLM

    decoder = decoder_of(model)
    if type(decoder) is not LlamaForCausalLM or decoder.is_activation_checkpointing:
        return False
    config = decoder.config
    return (
        decoder.device.type == "cpu"
        and decoder.dtype == torch.float32
        and config.hidden_act == "silu"
        and config.hidden_size <= WIDEST
        and config.num_key_value_heads == config.num_attention_heads
        and config.head_dim * config.num_attention_heads == config.hidden_size
        and config.attention_dropout == 0
        and decoder.model.rotary_emb.rope_type == "default"
        and all(is_plain(linear) for layer in decoder.model.layers for linear in linears(layer))
    )


def linears(layer: torch.nn.Module) -> list[torch.nn.Module]:
    """The seven linear maps of a Llama layer, in the order of their use."""
    attention, mlp = layer.self_attn, layer.mlp
    return [
        attention.q_proj,
        attention.k_proj,
        attention.v_proj,
        attention.o_proj,
        mlp.gate_proj,
        mlp.up_proj,
        mlp.down_proj,
    ]


def is_plain(linear: torch.nn.Module) -> bool:
    """Whether a linear map, with its LoRA if it has one, is a weight and nothing else."""
    if type(linear) in PLAIN:
        return linear.bias is None
    from peft.tuners.lora import Linear

    return (
        type(linear) is Linear
        and type(linear.base_layer) in PLAIN
        and linear.base_layer.bias is None
        and not (linear.merged or linear.disable_adapters or linear.lora_variant or any(linear.lora_bias.values()))
    )


def whole_weight(linear: torch.nn.Module) -> Tensor:
    """The weight of a linear map, that of its LoRA added: float [out, in]."""
    if type(linear) in PLAIN:
        return linear.weight
    weight = linear.base_layer.weight
    for adapter in linear.active_adapters:
        weight = weight + linear.get_delta_weight(adapter)
    return weight


def packed_logits(decoder: "PreTrainedModel", ids: Tensor, lengths: Tensor, asked: Tensor) -> Tensor:
    """Logits of packed rows: float [k, v], before softmax.

    Args:
        decoder: see `fits`.
        ids: int64 [n], row after row.
        lengths: int64 [rows], tokens of each.
        asked: int64 [k], the tokens after which logits are asked for, ascending.
    """
    config, body = decoder.config, decoder.model
    n_asked = len(asked)
    if products.WIDE_VECTORS:
        ids, lengths, asked = lengthened(ids, lengths, asked)
    positions = torch.cat([torch.arange(length) for length in lengths.tolist()])
    longest = int(positions.max()) + 1
    places = torch.arange(len(lengths)).repeat_interleave(lengths) * longest + positions
    angles = positions[:, None] * body.rotary_emb.inv_freq
    turns = torch.polar(torch.full_like(angles, body.rotary_emb.attention_scaling), angles)[:, None, None]
    packed = Packed(len(lengths), longest, places, turns)
    order = pairs_together(config.hidden_size, config.num_attention_heads)
    hidden, last = body.embed_tokens(ids), len(body.layers) - 1
    for index, layer in enumerate(body.layers):
        query, key, value, *others = map(whole_weight, linears(layer))
        hidden = Layer.apply(
            hidden,
            torch.cat([query[order], key[order], value]),
            *others,
            layer.input_layernorm.weight,
            layer.post_attention_layernorm.weight,
            packed,
            config.num_attention_heads,
            config.rms_norm_eps,
            asked if index == last else None,
        )
    normed, head = body.norm(hidden), decoder.lm_head
    logits = product(normed, head.weight, head.bias) if type(head) in PLAIN else head(normed)
    return logits[:n_asked]


def lengthened(ids: Tensor, lengths: Tensor, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same rows with a few tokens after their ends, which none before them looks at, and the last token asked for more than once.

    Args:
        ids, lengths, asked: as for `packed_logits`.

    Returns:
        The three again; the first are as many as a multiple of TOKENS_OF, the last of ASKED_OF.
    """
    n_more, n_rows = -len(ids) % TOKENS_OF, len(lengths)
    more = torch.full_like(lengths, n_more // n_rows)
    more[: n_more % n_rows] += 1
    places = torch.arange(len(ids)) + (more.cumsum(0) - more).repeat_interleave(lengths)
    longer = ids.new_zeros(len(ids) + n_more).index_copy_(0, places, ids)
    again = asked[-1:].expand(-len(asked) % ASKED_OF)
    return longer, lengths + more, places[torch.cat([asked, again])]


def pairs_together(width: int, n_heads: int) -> Tensor:
    """An order of a head's entries in which the two that are turned together are neighbours, as complex numbers are: int64 [d].

    Llama turns entry i with entry i + e/2; a product of queries and keys does not depend on the order of their entries.
    """
    return torch.arange(width).view(n_heads, 2, -1).transpose(1, 2).flatten()


class Layer(torch.autograd.Function):
    """A Llama layer on packed rows, and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        qkv_weight: Tensor,
        o_weight: Tensor,
        gate_weight: Tensor,
        up_weight: Tensor,
        down_weight: Tensor,
        first_norm: Tensor,
        second_norm: Tensor,
        packed: Packed,
        n_heads: int,
        eps: float,
        asked: Tensor | None,
    ) -> Tensor:
        """What the layer makes of x: float [n, d], or [k, d] of the tokens asked for."""
        width = x.shape[1]
        normed, scale = rms_norm(x, first_norm, eps)
        qkv = product(normed, qkv_weight)
        turned(qkv, n_heads).mul_(packed.turns)
        padded = qkv.new_zeros(packed.n_rows * packed.longest, 3 * width).index_copy_(0, packed.places, qkv)
        # [3, row, a, t, e]; padding is on the right, where causal attention never looks
        queries, keys, values = padded.view(packed.n_rows, packed.longest, 3, n_heads, -1).permute(2, 0, 3, 1, 4)
        attended, normaliser = aten._scaled_dot_product_flash_attention_for_cpu(queries, keys, values, 0.0, True)
        places = packed.places if asked is None else packed.places[asked]
        mixed = attended.transpose(1, 2).reshape(-1, width).index_select(0, places)
        y = product(mixed, o_weight).add_(x if asked is None else x.index_select(0, asked))
        second_normed, second_scale = rms_norm(y, second_norm, eps)
        gate, up = product(second_normed, gate_weight), product(second_normed, up_weight)
        inner = silu(gate).mul_(up)
        ctx.save_for_backward(
            *(x, scale, normed, queries, keys, values, attended, normaliser, mixed),
            *(y, second_scale, second_normed, gate, up, inner),
            *(qkv_weight, o_weight, gate_weight, up_weight, down_weight, first_norm, second_norm),
        )
        ctx.packed, ctx.n_heads, ctx.asked, ctx.places = packed, n_heads, asked, places
        return product(inner, down_weight).add_(y)

    @staticmethod
    def backward(ctx: Any, d_z: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients by x and by the weights; d_… is the gradient by what the rest of the name says."""
        x, scale, normed, queries, keys, values, attended, normaliser, mixed, *rest = ctx.saved_tensors
        y, second_scale, second_normed, gate, up, inner, *weights = rest
        qkv_weight, o_weight, gate_weight, up_weight, down_weight, first_norm, second_norm = weights
        packed, asked, width = ctx.packed, ctx.asked, x.shape[1]
        needs = dict(
            zip(("x", "qkv", "o", "gate", "up", "down", "first", "second"), ctx.needs_input_grad, strict=False)
        )

        d_inner = product(d_z, down_weight.T)
        d_up = silu(gate).mul_(d_inner)
        d_gate = aten.silu_backward(d_inner.mul_(up), gate)
        d_normed = product(d_gate, gate_weight.T).add_(product(d_up, up_weight.T))
        d_y, d_second = rms_norm_gradient(d_normed, y, second_scale, second_norm, needs["second"])
        d_y.add_(d_z)

        # added, since the last token may be asked for more than once
        d_attended = d_y.new_zeros(packed.n_rows * packed.longest, width).index_add_(
            0, ctx.places, product(d_y, o_weight.T)
        )
        d_attended = d_attended.view(packed.n_rows, packed.longest, ctx.n_heads, -1).transpose(1, 2)
        d_parts = aten._scaled_dot_product_flash_attention_for_cpu_backward(
            d_attended, queries, keys, values, attended, normaliser, 0.0, True
        )
        d_qkv = torch.stack([part.transpose(1, 2) for part in d_parts], 2).view(-1, 3 * width)
        d_qkv = d_qkv.index_select(0, packed.places)
        turned(d_qkv, ctx.n_heads).mul_(packed.turns.conj())

        d_x, d_first = rms_norm_gradient(product(d_qkv, qkv_weight.T), x, scale, first_norm, needs["first"])
        d_x = d_x.add_(d_y) if asked is None else d_x.index_add_(0, asked, d_y)
        factors = {"qkv": (d_qkv, normed), "o": (d_y, mixed), "gate": (d_gate, second_normed)}
        factors |= {"up": (d_up, second_normed), "down": (d_z, inner)}
        d_weights = [product(d_out.T, into.T) if needs[name] else None for name, (d_out, into) in factors.items()]
        return d_x, *d_weights, d_first, d_second, None, None, None, None


def turned(qkv: Tensor, n_heads: int) -> Tensor:
    """The queries and keys among them as complex numbers, a view: complex64 [n, 2, a, e / 2]."""
    return torch.view_as_complex(qkv.view(len(qkv), 3, n_heads, -1, 2))[:, :2]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x of root mean square 1, times the weight: float [n, d]; and what x was scaled with: float [n, 1]."""
    scale = x.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
    return (x * scale).mul_(weight), scale


def rms_norm_gradient(
    d_normed: Tensor, x: Tensor, scale: Tensor, weight: Tensor, of_weight: bool
) -> tuple[Tensor, Tensor | None]:
    """The gradients of `rms_norm` by x, float [n, d], and where it is asked for by the weight, float [d]."""
    scaled = x * scale
    d_weight = (d_normed * scaled).sum(0) if of_weight else None
    d_scaled = d_normed * weight
    along = (d_scaled * scaled).mean(-1, keepdim=True)
    return d_scaled.addcmul_(scaled, along, value=-1).mul_(scale), d_weight
