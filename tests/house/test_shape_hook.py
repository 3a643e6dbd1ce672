import inspect

import pytest
import shape_hook
from jaxtyping import TypeCheckError

SOURCE = """
from typing import Self

import numpy as np
from jaxtyping import Float


def doubled(x: Float[np.ndarray, "b t"]) -> Float[np.ndarray, "b t"]:
    return np.concatenate([x, x])


class Plain:
    def me(self) -> Self:
        return 3
"""


@pytest.fixture
def module() -> dict:
    names: dict = {"__name__": "made_up"}
    exec(shape_hook.checked(SOURCE, "made_up.py"), names)  # noqa: S102 - the source is the string above
    return names


def test_a_shape_that_does_not_hold_is_an_error(module: dict) -> None:
    import numpy as np  # noqa: PLC0415 - only these tests need it

    with pytest.raises(TypeCheckError, match="return value"):
        module["doubled"](np.ones((2, 3)))
    with pytest.raises(TypeCheckError, match="parameters"):
        module["doubled"](np.ones(3))


def test_functions_without_shapes_are_left_as_they_are(module: dict) -> None:
    assert module["Plain"]().me() == 3


def test_line_numbers_are_those_of_the_source(module: dict) -> None:
    assert inspect.unwrap(module["doubled"]).__code__.co_firstlineno == 8
