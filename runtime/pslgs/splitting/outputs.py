"""The output of a network: a tensor, or an object that holds it as its logits."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.fx import Proxy


def logits_of(output: object) -> object:
    """Return the tensor that the loss is computed from.

    It is the attribute or entry ``logits`` of an object or mapping, as models of Hugging Face return, and the
    first entry of a tuple.  Anything else is returned as it is.
    """
    if isinstance(output, Tensor | Proxy):
        return output
    logits = getattr(output, "logits", None)
    if logits is None and isinstance(output, Mapping):
        logits = output.get("logits")
    if logits is None and isinstance(output, tuple | list) and output:
        logits = output[0]
    return logits if isinstance(logits, Tensor | Proxy) else output


def return_logits(part: nn.Module) -> nn.Module:
    """Make a part return the logits of its output; its tensors keep their names."""
    part.register_forward_hook(_replace_output)
    return part


def _replace_output(_part: nn.Module, _inputs: object, output: object) -> object:
    return None if isinstance(output, Tensor) else logits_of(output)
