"""Networks of timm and Hugging Face are built offline, and cut at their named layers."""

import sys

import pytest
import torch
from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.architectures import build_model
from pslgs.splitting.outputs import logits_of
from pslgs.splitting.split_network import split_at

IMAGES = torch.rand(2, 3, 64, 64)
VIT = {"num_classes": 3, "img_size": 64, "depth": 2}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
    "num_labels": 3,
}


@pytest.mark.parametrize(
    ("architecture", "package", "extra"),
    [
        pytest.param("timm/resnet18", "timm", "pslgs[timm]", id="timm"),
        pytest.param("hf/vit", "transformers", "pslgs[huggingface]", id="Hugging Face"),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    architecture: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError) as refused:
        build_model(architecture, {}, seed=0)
    assert f"needs the package {package}" in str(refused.value)
    assert extra in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "options", "cut_layer"),
    [
        pytest.param("timm/resnet18.a1_in1k", {"num_classes": 3}, "layer1", id="timm resnet18"),
        pytest.param("timm/vit_tiny_patch16_224", VIT, "blocks.0", id="timm vit"),
        pytest.param("hf/resnet", RESNET, "resnet.encoder.stages.0", id="Hugging Face resnet"),
    ],
)
def test_a_network_is_cut_at_a_named_layer(
    architecture: str, options: dict[str, object], cut_layer: str
) -> None:
    pytest.importorskip("timm" if architecture.startswith("timm") else "transformers")
    whole = build_model(architecture, options, seed=1)
    assert isinstance(whole, nn.Module)
    with torch.no_grad():
        expected = logits_of(whole.eval()(IMAGES))
        assert isinstance(expected, torch.Tensor)
        assert expected.shape == (2, 3)
        composed = split_at(whole, cut_layer).whole_model().eval()
        torch.testing.assert_close(composed(IMAGES), expected)
    again = build_model(architecture, options, seed=1)
    assert isinstance(again, nn.Module)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "options", "words"),
    [
        pytest.param("timm/resnet81", {}, "most similar names are resnet", id="unknown to timm"),
        pytest.param("timm/resnet18", {"pretrained": True}, "initialWeights", id="pretrained"),
        pytest.param("hf/resnett", {}, "most similar names are .*resnet", id="unknown to Hugging Face"),
        pytest.param("hf/resnet", {"num_label": 3}, "num_label: .* similar are num_labels", id="option"),
    ],
)
def test_what_a_hub_does_not_have_is_refused(
    architecture: str, options: dict[str, object], words: str
) -> None:
    pytest.importorskip("timm" if architecture.startswith("timm") else "transformers")
    with pytest.raises(InputError, match=words):
        build_model(architecture, options, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "mobilebert"])
def test_a_text_classifier_is_cut_within_its_encoder(kind: str) -> None:
    pytest.importorskip("transformers")
    options = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    whole = build_model(f"hf/{kind}", {**options, "vocab_size": 50, "num_labels": 3}, seed=0)
    assert isinstance(whole, nn.Module)
    tokens = torch.randint(2, 50, (4, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = logits_of(whole.eval()(tokens))
        composed = split_at(whole, f"{kind}.encoder.layer.0").whole_model().eval()
        torch.testing.assert_close(composed(tokens), expected)


@pytest.mark.slow
def test_a_network_that_cannot_be_traced_says_where_and_what_to_do() -> None:
    pytest.importorskip("transformers")
    options = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    whole = build_model("hf/vit", {**options, "image_size": 64, "num_labels": 3}, seed=0)
    assert isinstance(whole, nn.Module)
    with pytest.raises(InputError, match=r"forward of 'vit' cannot be traced .* package\.module:function"):
        split_at(whole, "vit.layers.0")
