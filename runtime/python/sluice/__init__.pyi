import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np

from sluice.inference_session import GraphOptimizationLevel as GraphOptimizationLevel
from sluice.inference_session import InferenceSession as InferenceSession
from sluice.inference_session import NodeArg as NodeArg
from sluice.inference_session import RunOptions as RunOptions
from sluice.inference_session import SessionOptions as SessionOptions
from sluice.inference_session import get_available_providers as get_available_providers
from sluice.inference_session import get_device as get_device

__version__: str

# Arrays, tensors that speak DLPack, numbers and lists of them; lists for sequences, dicts for maps, None for absent ones.
Input = Any
Output = Union[np.ndarray, List[Any], Dict[Any, Any], None]

class Error(RuntimeError):
    code: str

class ValueInfo:
    name: str
    dtype: str
    shape: Optional[List[Union[int, str]]]
    is_sequence: bool
    is_map: bool
    is_optional: bool

class StepProfile:
    node: str
    op: str
    kernel: str
    calls: int
    total_ns: int
    flops: int
    output_shape: str

class Session:
    def __init__(
        self,
        model: Union[str, os.PathLike[str], bytes, bytearray, memoryview],
        *,
        threads: int = ...,
        accuracy: str = ...,
        passes: bool = ...,
        disabled_passes: Sequence[str] = ...,
        input_shapes: Mapping[str, Sequence[int]] = ...,
        tuning_file: str = ...,
        max_plans: int = ...,
        max_cached_bytes: int = ...,
        profile: bool = ...,
        cache_folder: Optional[Union[str, os.PathLike[str]]] = ...,
        verify_compiled: bool = ...,
        max_weight_bytes: Optional[int] = ...,
    ) -> None: ...
    def run(
        self, inputs: Union[Mapping[str, Input], Input], outputs: Sequence[str] = ..., *, timeout: Optional[float] = ...
    ) -> Dict[str, Output]: ...
    @property
    def inputs(self) -> List[ValueInfo]: ...
    @property
    def outputs(self) -> List[ValueInfo]: ...
    @property
    def metadata(self) -> Dict[str, str]: ...
    @property
    def threads(self) -> int: ...
    def prepare(self, input_shapes: Mapping[str, Sequence[int]]) -> None: ...
    def profile(self) -> List[StepProfile]: ...

def compile_model(
    model: Union[str, os.PathLike[str]],
    file: Union[str, os.PathLike[str]],
    *,
    threads: int = ...,
    accuracy: str = ...,
    passes: bool = ...,
    disabled_passes: Sequence[str] = ...,
    input_shapes: Mapping[str, Sequence[int]] = ...,
    tuning_file: str = ...,
    plans: Sequence[Mapping[str, Sequence[int]]] = ...,
    max_weight_bytes: Optional[int] = ...,
) -> None: ...
