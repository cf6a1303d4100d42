"""Shapes of samples in messages: that of the only input of a model, or one for each of several."""

from collections.abc import Sequence

from pslgs.model_inputs import InputShape, NamedShapes
from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import INPUTS, NamedInput
from pslgs.transport.v1.training_pb2 import Hello, Shape, Welcome


def state_shape(message: Hello | Welcome, shape: InputShape) -> None:
    """Write the shape of a sample into a message."""
    if isinstance(shape, NamedShapes):
        message.input_shapes.extend(Shape(size=each.shape) for each in shape.inputs)
    else:
        message.input_shape.extend(shape)


def stated_shape(message: Hello | Welcome, inputs: Sequence[NamedInput]) -> InputShape:
    """Return the shape of a sample that a message states.

    Args:
        message: The message.
        inputs: The inputs of a model with several; empty for one.

    Raises:
        InputError: it states the shapes of more or of fewer inputs.
    """
    if not inputs:
        return tuple(message.input_shape)
    shapes = [tuple(each.size) for each in message.input_shapes]
    if len(shapes) != len(inputs):
        problem = f"are {len(inputs)}, but the shapes of {len(shapes)} were stated; use one version of pslgs"
        raise InputError.at(INPUTS, problem)
    return NamedShapes.of(inputs, shapes)
