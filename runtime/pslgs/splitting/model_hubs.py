"""Networks of the optional packages timm and transformers, with random weights: nothing is downloaded."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from torch import nn

from pslgs.spec.errors import InputError

_EXTRAS: Final = {"timm": "timm", "hf": "huggingface"}
"""Prefix of an architecture -> optional extra that it needs."""


def is_of_hub(architecture: str) -> bool:
    """Return whether an architecture is ``timm/NAME`` or ``hf/MODEL_TYPE``."""
    return architecture.partition("/")[0] in _EXTRAS and "/" in architecture


def hub_builder(architecture: str, path: str, options_path: str) -> Callable[..., nn.Module]:
    """Return the constructor of ``timm/NAME`` or ``hf/MODEL_TYPE``.

    Args:
        architecture: The architecture.
        path: Path of the manifest field that names it, for error messages.
        options_path: Path of its options.

    Raises:
        InputError: the package is not installed, or has no such network.
    """
    hub, _, name = architecture.partition("/")
    try:
        return _timm_builder(name, path) if hub == "timm" else _hugging_face_builder(name, path, options_path)
    except ImportError as error:
        problem = (
            f"is '{architecture}', which needs the package {error.name or hub}; install it where the server "
            f"and the clients run, with: pip install 'pslgs[{_EXTRAS[hub]}]'"
        )
        raise InputError.at(path, problem) from error


def _timm_builder(name: str, path: str) -> Callable[..., nn.Module]:
    import timm  # noqa: PLC0415 - an optional extra

    if not timm.is_model(name):
        known = timm.list_models()
        raise InputError.at(path, _unknown(f"timm/{name}", name.partition(".")[0], known))

    def build(**options: Any) -> nn.Module:  # noqa: ANN401 - as timm has it
        network: nn.Module = timm.create_model(name, pretrained=False, **options)
        return network

    return build


def _hugging_face_builder(name: str, path: str, options_path: str) -> Callable[..., nn.Module]:
    import transformers  # noqa: PLC0415 - an optional extra
    from transformers.models.auto import modeling_auto  # noqa: PLC0415

    classes: Mapping[str, type[Any]] = {
        **dict.fromkeys(
            modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
            transformers.AutoModelForSequenceClassification,
        ),
        **dict.fromkeys(
            modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
            transformers.AutoModelForImageClassification,
        ),
    }
    if name not in classes:
        raise InputError.at(path, _unknown(f"hf/{name}", name, list(classes)))

    def build(**options: Any) -> nn.Module:  # noqa: ANN401 - fields of the configuration
        known = [*transformers.AutoConfig.for_model(name).to_dict(), "num_labels"]
        for option in options:
            if option not in known:
                similar = get_close_matches(option, known, n=3) or ["num_labels"]
                raise InputError.at(
                    f"{options_path}.{option}",
                    f"is no field of the configuration of hf/{name}; similar are {', '.join(similar)}",
                )
        config = transformers.AutoConfig.for_model(name, **options)
        network: nn.Module = classes[name].from_config(config)
        return network.float()

    return build


def _unknown(architecture: str, name: str, known: list[str]) -> str:
    nearest = get_close_matches(name, known, n=3) or sorted(known)[:3]
    return f"is '{architecture}', which is unknown; the most similar names are {', '.join(nearest)}"
