import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whorl.core.errors import UsageError
from whorl.infer.rolling import rolling_logprobs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the engine keeps nothing between calls
@given(length=st.integers(1, 40), width=st.integers(2, 12), data=st.data())
def test_every_token_is_scored_once_with_the_context_its_window_gives(engine, length, width, data):
    stride = data.draw(st.integers(1, width - 1))
    ids = np.random.default_rng(length).integers(0, 61, length).tolist()
    found = rolling_logprobs(engine, ids, width=width, stride=stride)
    wanted = []
    for place in range(1, length):
        # The first window that reaches the token; windows end at width, width + stride, ..., and at the end of the text.
        end = width if place < width else min(length, width + -(-(place + 1 - width) // stride) * stride)
        start = max(0, min(end, length) - width)
        assert place - start >= min(place, width - stride)
        wanted.append(engine.score([ids[start : place + 1]])[0][-1])
    np.testing.assert_allclose(found, np.array(wanted, dtype=np.float32), atol=1e-5)


def test_a_text_within_one_window_scores_as_it_is(engine):
    ids = list(range(10, 20))
    np.testing.assert_array_equal(rolling_logprobs(engine, ids, width=48, stride=24), engine.score([ids])[0])


@pytest.mark.parametrize(
    ("width", "stride", "named"), [(49, 8, "width=49"), (1, 1, "width=1"), (8, 8, "stride=8"), (8, 0, "stride=0")]
)
def test_windows_that_fit_nothing_are_refused(engine, width, stride, named):
    with pytest.raises(UsageError, match=named):
        rolling_logprobs(engine, [9] * 60, width=width, stride=stride)
