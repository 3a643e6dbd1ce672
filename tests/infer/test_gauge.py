"""The gauge, by a clock that ticks when it is read and by the engine itself."""

import itertools
from functools import cache, partial

import pytest

from whorl.core.errors import ConfigError, UsageError
from whorl.core.seed import Seed
from whorl.infer import gauge
from whorl.infer.engine import Engine, Setup
from whorl.infer.gauge import Load, gauged, paces, step_bytes, timed
from whorl.infer.roof import Roof
from whorl.model.checkpoint import save
from whorl.model.families import Family
from whorl.model.packed import packed_bytes
from whorl.model.transformer import Transformer

ROOF = Roof(1e6, {"plain read": 1e6}, "plain read of 1 MB")


@pytest.fixture(autouse=True, scope="module")
def hasty_roof():
    """As few looks at the memory as there can be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gauge, "measured_roof", partial(gauge.measured_roof, budget_s=0.0))
        yield


@pytest.fixture
def quiet(model):
    return Engine(model, stop_ids=(), pad_id=2, setup=Setup(rows=4))


@pytest.fixture
def ticking(monkeypatch):
    """Each look at the clock is a second after the one before."""
    seconds = itertools.count()
    monkeypatch.setattr(gauge.time, "perf_counter", lambda: float(next(seconds)))


def test_every_answer_has_the_length_that_was_asked_for(quiet):
    found = timed(quiet, [[9, 10], [11] * 7, [12]], [5, 2, 9])
    assert [len(one.ids) for one in found.answers] == [5, 2, 9]
    assert all(len(one.logprobs) == len(one.ids) for one in found.answers)
    assert quiet.is_idle


def test_what_is_timed_is_what_the_engine_says_to_anyone(quiet, model):
    alone = Engine(model, stop_ids=(), pad_id=2)
    wanted = alone.generate([[9, 10, 11]], gauge.Sampling(6))[0].ids
    assert timed(quiet, [[9, 10, 11], [20, 21]], [6, 6]).answers[0].ids == wanted


@pytest.mark.usefixtures("ticking")
def test_the_first_tokens_belong_to_the_prompts_and_the_others_to_decoding(quiet):
    found = timed(quiet, [[9, 10], [11, 12]], [6, 6])
    assert (found.first_s, found.decode_s, found.total_s) == (1.0, 1.0, 2.0)  # three looks: begin, first tokens, end
    assert found.num_decoded == 2 * 5


def test_requests_that_wait_for_a_row_are_counted_once_all_have_begun(quiet):
    found = timed(quiet, [[9 + place] for place in range(6)], [3] * 6)
    # Four rows: the last two begin when the first four are done, and then two tokens each are left.
    assert found.num_decoded == 2 * 2


def test_prompts_differ_between_streams_and_rounds_but_not_between_runs(quiet):
    load = Load((2,), prompt=20, answer=2)
    first, second = (gauge._prompts(quiet, load, 2, number) for number in (0, 1))
    assert len({tuple(prompt) for prompt in (*first, *second)}) == 4
    assert gauge._prompts(quiet, load, 2, 0) == first
    assert all(0 <= token < 61 for prompt in first for token in prompt)


def test_no_round_finds_what_an_earlier_one_computed(model, monkeypatch):
    engine = Engine(model, stop_ids=(), pad_id=2, setup=Setup(rows=4, block_size=2))
    cached = []
    real = gauge.timed

    def watched(*given):
        found = real(*given)
        cached.extend(one.num_cached for one in found.answers)
        return found

    monkeypatch.setattr(gauge, "timed", watched)
    paces(engine, Load((1, 3), prompt=8, answer=2, rounds=2), ROOF)
    assert cached == [0] * (3 + 9)


def test_a_pace_is_the_median_of_its_rounds_after_the_first(quiet, monkeypatch):
    rounds = iter([(9.0, 9.0), (0.5, 2.0), (0.2, 1.0), (0.4, 4.0)])
    monkeypatch.setattr(gauge, "timed", lambda *given: gauge.Timed([], *next(rounds), num_decoded=12))
    (pace,) = paces(quiet, Load((2,), prompt=10, answer=7, rounds=3), ROOF)
    assert pace.tokens_per_s == 6.0
    assert pace.spread == (3.0, 12.0)
    assert pace.step_s == pytest.approx(2 / 6)
    assert pace.first_token_s == 0.4
    assert pace.prefill_tokens_per_s == pytest.approx(2 * 10 / 0.4)
    assert pace.bytes_per_s == step_bytes(quiet, streams=2, context=13) * 3.0  # three steps a second
    assert pace.mbu == pytest.approx(pace.bytes_per_s / 1e6)


def test_a_step_reads_the_weights_once_and_the_cache_of_every_stream(quiet):
    weights = packed_bytes(quiet.model)
    token = 2 * 2 * 2 * 8 * 4  # keys and values, two layers, two heads of eight, float32
    assert step_bytes(quiet, streams=1, context=10) == weights + 10 * token
    assert step_bytes(quiet, streams=3, context=10) == weights + 30 * token


def small(**dials):
    family = Family.model_validate({"depth": 2, "width": 16, "heads": 2, "mlp_width": 32, **dials})
    return Engine(Transformer.fresh(family.configure(31, 64), Seed(0)), stop_ids=(), pad_id=0)


def test_a_window_is_all_that_is_read_of_a_longer_past():
    engine = small(use="mistral", window=4)
    token = step_bytes(engine, streams=1, context=1) - packed_bytes(engine.model)
    assert step_bytes(engine, streams=1, context=50) == packed_bytes(engine.model) + 4 * token


def test_what_several_streams_read_of_experts_is_not_known_and_not_invented():
    engine = small(use="mixtral", experts=4, experts_per_token=2)
    assert step_bytes(engine, streams=1, context=5) is not None
    (pace,) = paces(engine, Load((2,), prompt=3, answer=2, rounds=1), ROOF)
    assert (pace.bytes_per_s, pace.mbu) == (None, None)
    assert pace.tokens_per_s > 0


def test_lengths_left_open_fit_the_context():
    assert Load.fitted((1,), None, None, room=4096) == Load((1,), 128, 64)
    assert Load.fitted((1,), None, None, room=128) == Load((1,), 64, 64)
    assert Load.fitted((1,), None, 10, room=48) == Load((1,), 38, 10)


@pytest.mark.parametrize(
    ("streams", "prompt", "answer", "said"),
    [
        ((), 4, 4, "one stream or more"),
        ((0,), 4, 4, "one stream or more"),
        ((1,), 0, 4, "a prompt of at least 1"),
        ((1,), 4, 1, "an answer of at least 2"),
        ((1,), 40, 40, "prompt=40 and answer=40 tokens; the model's context is 48; shorten one"),
    ],
)
def test_a_load_that_cannot_be_carried_is_refused(streams, prompt, answer, said):
    with pytest.raises(UsageError, match=said):
        Load.fitted(streams, prompt, answer, room=48)


ASKED = {"streams": (1, 2), "prompt": 6, "answer": 3}
SHAPE = {"use": "llama", "depth": 2, "width": 128, "heads": 2, "mlp_width": 128, "vocabulary": 96}


@pytest.fixture(scope="module")
def measured():
    """A shape measured in a format, once for all tests."""
    return cache(lambda weights: gauged(SHAPE, weights=weights, asked=ASKED))


@pytest.mark.parametrize("weights", ["auto", "fp32", "bf16", "int8", "int4"])
def test_a_shape_is_measured_in_every_format(weights, measured):
    found = measured(weights)
    assert [pace["streams"] for pace in found["paces"]] == [1, 2]
    assert all(pace["tokens_per_s"] > 0 and pace["mbu"] > 0 for pace in found["paces"])
    assert found["model"]["parameters"] == 96 * 128 + 2 * (7 * 128**2 + 2 * 128) + 128
    assert (found["model"]["name"], found["model"]["family"]) == ("random weights", "llama")
    assert found["weights"]["format"] == weights
    assert found["cache"]["room_bytes"] >= 2 * 9 * found["cache"]["bytes_per_token"]
    assert found["peak_memory_bytes"]["resident"] > 10**7


def test_fewer_bits_are_fewer_bytes(measured):
    read = [measured(weights)["weights"]["read_bytes_per_token"] for weights in ("int4", "int8", "bf16", "fp32")]
    assert read == sorted(set(read))


@pytest.mark.parametrize(("weights", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_the_precision_asked_for_is_the_one_computed_in(weights, dtype, measured):
    assert measured(weights)["machine"]["dtype"] == dtype


def test_a_checkpoint_is_measured_as_it_is(model, tmp_path):
    save(tmp_path / "made", model, family="qwen3")
    found = gauged(tmp_path / "made", weights="fp32", asked={"streams": (1,), "prompt": None, "answer": None})
    assert found["load"] == {"prompt": 24, "answer": 24, "rounds": 3}
    assert (found["model"]["name"], found["model"]["family"]) == ("made", "qwen3")
    assert found["model"]["parameters"] == sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize(
    ("dials", "fault", "said"),
    [
        ({"use": "llamma", "depth": 2}, ConfigError, "llama"),
        ({"use": "llama", "dept": 2}, ConfigError, "dept"),
        ({"use": "llama"}, ConfigError, "depth"),
        ({"use": "llama", "depth": 1, "vocabulary": "many"}, UsageError, "vocabulary='many'"),
    ],
)
def test_dials_that_mean_nothing_are_refused(dials, fault, said):
    with pytest.raises(fault, match=said):
        gauged(dials, weights="auto", asked=ASKED)


def test_an_engine_that_is_at_work_is_not_timed(quiet):
    quiet.submit(gauge.Request([9], gauge.Sampling(3)))
    with pytest.raises(AssertionError, match="has it alone"):
        timed(quiet, [[9]], [2])
