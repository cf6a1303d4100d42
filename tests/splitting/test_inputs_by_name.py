"""Networks with several inputs: cut with them by name, and refused where one would leave its site."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from pslgs.model_inputs import NamedShape, NamedShapes, call, zeros
from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import NamedInput
from pslgs.splitting.disclosure import check_disclosure
from pslgs.splitting.layout import infer_layout
from pslgs.splitting.split_network import join_parts, split_at
from pslgs.training.profile import profile_network


class Late(nn.Module):
    """Uses the age first behind the layers of the image, as it is, and a part of the image's size."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3)
        self.second = nn.Conv2d(2, 2, 3)
        self.dense = nn.Linear(2, 2)
        self.head = nn.Linear(4, 2)

    def forward(self, image: Tensor, age: Tensor, scale: float = 1.0) -> Tensor:
        x = self.second(self.first(image)).mean((2, 3))
        y = self.dense(age.view(image.shape[0], 2) * scale)
        return self.head(torch.cat([x, y], dim=1))


class Masked(nn.Module):
    """Multiplies by a mask, which is over at the dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, 2)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.head(self.drop(self.words(tokens) * mask.unsqueeze(2).float()).sum(1))


SHAPES = NamedShapes((NamedShape("image", (1, 7, 7)), NamedShape("age", (2,))))
INPUTS = [NamedInput(name="image"), NamedInput(name="age")]


def inputs() -> Mapping[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {each.name: torch.rand(4, *each.shape, generator=rng) for each in SHAPES.inputs}


@pytest.mark.parametrize("cut_layer", ["first", "second", "dense"], ids=str)
def test_the_parts_give_what_the_whole_gives(cut_layer: str) -> None:
    network = Late()
    expected = network(**inputs())
    split = split_at(network, cut_layer, ("image", "age"))
    found = infer_layout(split, SHAPES)
    smashed = found.smashed.unpack(found.smashed.pack(call(split.client_part, inputs())))
    torch.testing.assert_close(split.server_part(*smashed), expected)
    torch.testing.assert_close(call(split.whole_model(), inputs()), expected)
    assert found.output_shape == (2,)
    profile = profile_network(split, SHAPES)
    assert profile.input_elements == 51
    assert profile.client_flops + profile.server_flops > 0


@pytest.mark.parametrize(
    ("network", "cut_layer", "names", "disclosed"),
    [
        pytest.param(Late(), "first", ("image", "age"), ("age",), id="a-view-of-an-input"),
        pytest.param(Late(), "dense", ("image", "age"), (), id="layers-of-their-own"),
        pytest.param(Masked(), "words", ("tokens", "mask"), ("mask",), id="a-conversion-of-a-mask"),
        pytest.param(Masked(), "drop", ("tokens", "mask"), (), id="what-was-masked-before"),
    ],
)
def test_inputs_that_reach_the_server_are_named(network, cut_layer, names, disclosed) -> None:
    assert split_at(network, cut_layer, names).disclosed == disclosed


def test_a_part_of_a_concatenation_is_disclosed_as_well() -> None:
    class Joined(Late):
        def forward(self, image: Tensor, age: Tensor) -> Tensor:
            return self.head(self.dense(torch.cat([self.first(image).mean((2, 3)), age], dim=1)[:, :2]))

    graph = split_at(Joined(), "first", ("image", "age"))
    assert graph.disclosed == ("age",)


@pytest.mark.parametrize(
    ("kind", "disclosed"),
    [pytest.param("buffer", ("age",), id="a-mean"), pytest.param("weight", (), id="a-weight")],
)
def test_a_buffer_hides_no_values_but_a_weight_does(kind: str, disclosed: tuple[str, ...]) -> None:
    class Shifted(Late):
        def __init__(self) -> None:
            super().__init__()
            if kind == "buffer":
                self.register_buffer("shift", torch.full((1,), 50.0))
            else:
                self.shift = nn.Parameter(torch.full((1,), 50.0))

        def forward(self, image: Tensor, age: Tensor) -> Tensor:
            centred = age - self.shift
            return self.head(self.dense(torch.cat([self.first(image).mean((2, 3)), centred], dim=1)[:, :2]))

    assert split_at(Shifted(), "first", ("image", "age")).disclosed == disclosed


def test_an_input_that_would_leave_its_site_is_refused_unless_it_may() -> None:
    with pytest.raises(InputError, match=r"^spec.data.inputs\[1\]: is 'age', whose values would leave"):
        check_disclosure(("age",), INPUTS)
    check_disclosure(("age",), [INPUTS[0], NamedInput(name="age", may_leave_site=True)])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(
            ("image", "years"),
            r"inputs\[1\]\.name: is 'years', which the forward of the model does not take; it takes image",
            id="unknown",
        ),
        pytest.param(("image",), "inputs: lacks 'age', which the forward of the model needs", id="missing"),
        pytest.param(
            (), "inputs: is missing: the forward of the model takes image and age; name its", id="none"
        ),
    ],
)
def test_names_that_the_forward_does_not_take_are_refused(names, message) -> None:
    with pytest.raises(InputError, match=message):
        split_at(Late(), "first", names)


def test_two_given_parts_take_inputs_by_name_too() -> None:
    class Client(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(2, 3)

        def forward(self, age: Tensor, image: Tensor) -> Tensor:
            return self.dense(age) + image.mean((1, 2, 3)).unsqueeze(1)

    split = join_parts(Client(), nn.Linear(3, 2), ("image", "age"))
    assert infer_layout(split, SHAPES).smashed.shapes == ((3,),)
    with pytest.raises(InputError, match="does not take; it takes age, image"):
        join_parts(Client(), nn.Linear(3, 2), ("image", "years"))


def test_a_model_that_cannot_use_the_shapes_is_refused_with_all_of_them() -> None:
    split = split_at(Late(), "dense", ("image", "age"))
    wrong = NamedShapes((NamedShape("image", (1, 2, 2)), NamedShape("age", (2,))))
    with pytest.raises(InputError, match=r"spec.data.inputs: .* inputs image \[1, 2, 2\], age \[2\]"):
        infer_layout(split, wrong)


def test_integers_and_floats_have_types_of_their_own() -> None:
    shapes = NamedShapes((NamedShape("tokens", (3,), is_integer=True), NamedShape("age", (1,))))
    made = zeros(shapes, 2, torch.float64)
    assert {name: tensor.dtype for name, tensor in made.items()} == {
        "tokens": torch.int64,
        "age": torch.float64,
    }
