"""Architectures: torchvision's builders, the project's own networks, and users' functions."""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_type_hints

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pslgs.sampling.randomness import Purpose, torch_seed
from pslgs.spec.entrypoints import load_entrypoint, user_code
from pslgs.spec.errors import InputError
from pslgs.splitting.model_hubs import hub_builder, is_of_hub
from pslgs.splitting.sequences import series_cnn, text_cnn


def mlp(inputs: int, hidden: Sequence[int], outputs: int, dropout: float = 0.0) -> nn.Module:
    """Build a multilayer perceptron with ReLU activations.

    Possible cut layers: ``flatten``, ``hidden1``, ``hidden2`` …, ``output``.

    Args:
        inputs: Number of elements of a sample, which may have any shape.
        hidden: Number of units of each hidden layer.
        outputs: Number of outputs.
        dropout: Dropout probability after each hidden layer; 0 for no dropout.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = inputs
    for number, units in enumerate(hidden, start=1):
        regularizer = [nn.Dropout(dropout)] if dropout else []
        layers[f"hidden{number}"] = nn.Sequential(nn.Linear(width, units), nn.ReLU(), *regularizer)
        width = units
    layers["output"] = nn.Linear(width, outputs)
    return nn.Sequential(layers)


def cnn(
    channels: int = 3, classes: int = 10, width: int = 32, image: Sequence[int] | None = None
) -> nn.Module:
    """Build a convolutional network of three blocks and a linear classifier, for images of 8×8 or more.

    Possible cut layers: ``conv1``, ``conv2``, ``conv3``, ``head``.

    Args:
        channels: Number of channels of an image.
        classes: Number of outputs.
        width: Number of channels of the first block; the others have 2 and 4 times as many.
        image: Shape to which flat samples are reshaped, e.g. ``[1, 8, 8]`` for the 64 values of a digit;
            None if samples are images.
    """
    unflattened = OrderedDict() if image is None else OrderedDict(image=nn.Unflatten(1, tuple(image)))
    return nn.Sequential(
        OrderedDict(
            **unflattened,
            conv1=_convolution(channels, width),
            conv2=_convolution(width, 2 * width),
            conv3=_convolution(2 * width, 4 * width),
            head=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes)),
        )
    )


def _convolution(channels: int, filters: int) -> nn.Module:
    """Build a block that halves the image: convolution, BatchNorm, ReLU, max-pooling."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def resnet18_cifar(num_classes: int = 10) -> nn.Module:
    """Build ResNet-18 for 32×32 images as in arXiv 2407.15738: 3×3 stem of stride 1, no max-pooling.

    The layers have torchvision's names; ``maxpool`` is an identity.  Cut at ``layer1``, the smashed data have
    the shape (64, 32, 32).

    Args:
        num_classes: Number of outputs.
    """
    from torchvision.models import resnet18

    network: nn.Module = resnet18(num_classes=num_classes)
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network


ARCHITECTURE = "spec.model.architecture"
OPTIONS = "spec.model.options"

_OURS: Mapping[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "cnn": cnn,
    "resnet18-cifar": resnet18_cifar,
    "series-cnn": series_cnn,
    "text-cnn": text_cnn,
}

# Auxiliary heads give outputs in training only, and jobs have no loss for them.
_WITHOUT_AUXILIARY_HEADS = {"aux_logits": False, "init_weights": True}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "googlenet": _WITHOUT_AUXILIARY_HEADS,
    "inception_v3": _WITHOUT_AUXILIARY_HEADS,
}


def architectures() -> tuple[str, ...]:
    """Return the names of the built-in architectures, followed by those of torchvision's classifiers."""
    from torchvision import models

    return (*_OURS, *models.list_models(module=models))


def build_model(
    architecture: str, options: Mapping[str, Any], seed: int
) -> nn.Module | tuple[nn.Module, nn.Module]:
    """Build the network of an architecture.

    The initial weights depend on ``seed`` only.  The global random state of torch does not change.

    Args:
        architecture: Name of an architecture, or ``package.module:function``.
        options: Keyword arguments of its constructor.
        seed: Seed of the job.

    Returns:
        The network, or the pair (client part, server part) if a user's function returns one.

    Raises:
        InputError: the architecture is unknown, does not accept the options, or cannot be built.
    """
    builder = _find_builder(architecture)
    own = options if ":" in architecture else _without_weights(options)
    arguments = {**_DEFAULTS.get(architecture, {}), **own}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(torch_seed(seed, Purpose.INITIAL_WEIGHTS))
        with user_code(OPTIONS, lambda cause: _refused_options(architecture, builder, cause)):
            built = builder(**arguments)
    parts = _require_modules(architecture, built)
    if ":" in architecture:
        _require_values(architecture, parts)
    return parts if len(parts) == 2 else parts[0]


def _find_builder(architecture: str) -> Callable[..., Any]:
    if ":" in architecture:
        return load_entrypoint(architecture, ARCHITECTURE)
    if is_of_hub(architecture):
        return hub_builder(architecture, ARCHITECTURE, OPTIONS)
    if architecture in _OURS:
        return _OURS[architecture]
    known = architectures()
    if architecture not in known:
        nearest = get_close_matches(architecture, known, n=3) or list(_OURS)
        problem = (
            f"is '{architecture}', which is unknown; the most similar names are {', '.join(nearest)}. "
            "Give a built-in or torchvision architecture, or a function as package.module:function."
        )
        raise InputError.at(ARCHITECTURE, problem)
    from torchvision import models

    builder: Callable[..., Any] = models.get_model_builder(architecture)
    return builder


def _without_weights(options: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the options by which torchvision downloads weights; refuse them unless they are None."""
    for name in ("weights", "pretrained"):
        if options.get(name) is not None:
            problem = (
                "weights are never downloaded; save them as safetensors and name the file in initialWeights."
            )
            raise InputError.at(f"{OPTIONS}.{name}", problem)
    return {name: value for name, value in options.items() if name not in ("weights", "pretrained")}


def _refused_options(architecture: str, builder: Callable[..., Any], cause: str) -> str:
    accepted = ", ".join(_keyword_arguments(builder)) or "none"
    return f"'{architecture}' cannot be built with these options ({cause}); it accepts: {accepted}."


def _keyword_arguments(builder: Callable[..., Any]) -> list[str]:
    """Return the names of a builder's arguments.

    If it has ``**kwargs``, they are assumed to be passed to the class that its return type names.
    """
    try:
        parameters = inspect.signature(builder).parameters.values()
        network = get_type_hints(builder).get("return")
    except (TypeError, ValueError, NameError):  # a builtin has no signature, and annotations may be names
        return []
    names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if any(p.kind is p.VAR_KEYWORD for p in parameters) and inspect.isclass(network):
        passed_on = inspect.signature(network).parameters.values()
        names += [p.name for p in passed_on if p.default is not p.empty]
    return [name for name in names if name not in ("weights", "progress")]


def _require_modules(architecture: str, built: object) -> tuple[nn.Module, ...]:
    parts = built if isinstance(built, tuple) else (built,)
    if len(parts) not in (1, 2) or not all(isinstance(part, nn.Module) for part in parts):
        problem = f"'{architecture}' must return an nn.Module, or the pair (client part, server part)."
        raise InputError.at(ARCHITECTURE, problem)
    if any(is_lazy(parameter) for part in parts for parameter in part.parameters()):
        problem = f"'{architecture}' has lazy layers, whose parameters are not initialized; give their sizes."
        raise InputError.at(ARCHITECTURE, problem)
    return parts


def _require_values(architecture: str, parts: tuple[nn.Module, ...]) -> None:
    for name, parameter in (pair for part in parts for pair in part.named_parameters()):
        if parameter.is_meta:
            problem = (
                f"'{architecture}' returned '{name}' without values, on torch's meta device; give it some."
            )
            raise InputError.at(ARCHITECTURE, problem)
        if parameter.is_floating_point() and not bool(parameter.isfinite().all()):
            problem = f"'{architecture}' returned values of '{name}' that are not finite; initialise them."
            raise InputError.at(ARCHITECTURE, problem)
