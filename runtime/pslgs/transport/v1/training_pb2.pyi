from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frames(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: _containers.RepeatedCompositeFieldContainer[Frame]
    def __init__(self, frame: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("header", "payload")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header: Header
    payload: bytes
    def __init__(self, header: _Optional[_Union[Header, _Mapping]] = ..., payload: _Optional[bytes] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("hello", "welcome", "forward", "tensor", "abort", "evaluate", "finish", "failure", "standardization")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STANDARDIZATION_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    welcome: Welcome
    forward: Forward
    tensor: Tensor
    abort: Abort
    evaluate: Evaluate
    finish: Finish
    failure: Failure
    standardization: Standardization
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., forward: _Optional[_Union[Forward, _Mapping]] = ..., tensor: _Optional[_Union[Tensor, _Mapping]] = ..., abort: _Optional[_Union[Abort, _Mapping]] = ..., evaluate: _Optional[_Union[Evaluate, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., standardization: _Optional[_Union[Standardization, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "client_id", "job_digest", "samples", "label_counts", "class_names", "input_shape", "evaluation_samples", "left_out", "feature_moments", "failure", "input_shapes")
    class LeftOutEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    LABEL_COUNTS_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    INPUT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    FEATURE_MOMENTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    INPUT_SHAPES_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    client_id: str
    job_digest: bytes
    samples: int
    label_counts: _containers.RepeatedScalarFieldContainer[int]
    class_names: _containers.RepeatedScalarFieldContainer[str]
    input_shape: _containers.RepeatedScalarFieldContainer[int]
    evaluation_samples: int
    left_out: _containers.ScalarMap[str, int]
    feature_moments: FeatureMoments
    failure: str
    input_shapes: _containers.RepeatedCompositeFieldContainer[Shape]
    def __init__(self, protocol: _Optional[int] = ..., client_id: _Optional[str] = ..., job_digest: _Optional[bytes] = ..., samples: _Optional[int] = ..., label_counts: _Optional[_Iterable[int]] = ..., class_names: _Optional[_Iterable[str]] = ..., input_shape: _Optional[_Iterable[int]] = ..., evaluation_samples: _Optional[int] = ..., left_out: _Optional[_Mapping[str, int]] = ..., feature_moments: _Optional[_Union[FeatureMoments, _Mapping]] = ..., failure: _Optional[str] = ..., input_shapes: _Optional[_Iterable[_Union[Shape, _Mapping]]] = ...) -> None: ...

class Shape(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, size: _Optional[_Iterable[int]] = ...) -> None: ...

class FeatureMoments(_message.Message):
    __slots__ = ("count", "mean", "deviations")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    DEVIATIONS_FIELD_NUMBER: _ClassVar[int]
    count: int
    mean: _containers.RepeatedScalarFieldContainer[float]
    deviations: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, count: _Optional[int] = ..., mean: _Optional[_Iterable[float]] = ..., deviations: _Optional[_Iterable[float]] = ...) -> None: ...

class Standardization(_message.Message):
    __slots__ = ("mean", "deviation")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    mean: _containers.RepeatedScalarFieldContainer[float]
    deviation: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, mean: _Optional[_Iterable[float]] = ..., deviation: _Optional[_Iterable[float]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("input_shape", "input_shapes")
    INPUT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    INPUT_SHAPES_FIELD_NUMBER: _ClassVar[int]
    input_shape: _containers.RepeatedScalarFieldContainer[int]
    input_shapes: _containers.RepeatedCompositeFieldContainer[Shape]
    def __init__(self, input_shape: _Optional[_Iterable[int]] = ..., input_shapes: _Optional[_Iterable[_Union[Shape, _Mapping]]] = ...) -> None: ...

class Forward(_message.Message):
    __slots__ = ("step", "attempt", "epoch", "offset", "samples", "next_offset", "next_samples")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    NEXT_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    step: int
    attempt: int
    epoch: int
    offset: int
    samples: int
    next_offset: int
    next_samples: int
    def __init__(self, step: _Optional[int] = ..., attempt: _Optional[int] = ..., epoch: _Optional[int] = ..., offset: _Optional[int] = ..., samples: _Optional[int] = ..., next_offset: _Optional[int] = ..., next_samples: _Optional[int] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("kind", "step", "attempt", "first", "samples", "offset")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Tensor.Kind]
        PARAMETERS: _ClassVar[Tensor.Kind]
        SMASHED_DATA: _ClassVar[Tensor.Kind]
        LABELS: _ClassVar[Tensor.Kind]
        CUT_GRADIENT: _ClassVar[Tensor.Kind]
        CLIENT_GRADIENT: _ClassVar[Tensor.Kind]
    KIND_UNSPECIFIED: Tensor.Kind
    PARAMETERS: Tensor.Kind
    SMASHED_DATA: Tensor.Kind
    LABELS: Tensor.Kind
    CUT_GRADIENT: Tensor.Kind
    CLIENT_GRADIENT: Tensor.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    kind: Tensor.Kind
    step: int
    attempt: int
    first: int
    samples: int
    offset: int
    def __init__(self, kind: _Optional[_Union[Tensor.Kind, str]] = ..., step: _Optional[int] = ..., attempt: _Optional[int] = ..., first: _Optional[int] = ..., samples: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class Abort(_message.Message):
    __slots__ = ("step", "attempt")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    step: int
    attempt: int
    def __init__(self, step: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Evaluate(_message.Message):
    __slots__ = ("step", "attempt", "first", "samples")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    step: int
    attempt: int
    first: int
    samples: int
    def __init__(self, step: _Optional[int] = ..., attempt: _Optional[int] = ..., first: _Optional[int] = ..., samples: _Optional[int] = ...) -> None: ...

class Finish(_message.Message):
    __slots__ = ("exit_code", "reason")
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    exit_code: int
    reason: str
    def __init__(self, exit_code: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("exit_code", "message")
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    exit_code: int
    message: str
    def __init__(self, exit_code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...
