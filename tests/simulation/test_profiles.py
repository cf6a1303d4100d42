from collections import Counter

import pytest

from pslgs.simulation.setup import assign, parse_mix
from pslgs.spec import InputError
from pslgs.spec.profiles import PROFILES

CLIENTS = [f"client-{i:04}" for i in range(2_000)]


def test_a_mix_is_dealt_out_in_proportion_and_the_same_each_time():
    mix = parse_mix("lan:3, lte:1")
    dealt = assign(mix, CLIENTS, seed=1)
    assert Counter(dealt.values())[PROFILES["lan"]] == pytest.approx(1_500, abs=80)
    assert dealt == assign(mix, CLIENTS, seed=1)
    assert dealt != assign(mix, CLIENTS, seed=2)


def test_a_single_name_is_everybodys():
    assert set(assign(parse_mix("satellite"), CLIENTS, seed=0).values()) == {PROFILES["satellite"]}


def test_measured_values_come_from_a_file(tmp_path):
    file = tmp_path / "ours.yaml"
    file.write_text("{samplesPerSecond: 40, uplink: 2.0e+6, downlink: 1.0e+7, latency: 0.1, dropout: 0.01}")
    (part,) = parse_mix(f"{file}:2")
    assert (part.profile.samples_per_second, part.profile.dropout, part.weight) == (40, 0.01, 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lt", "did you mean lte"),
        ("lan:0", "has the weight '0'"),
        ("lan:many", "has the weight 'many'"),
        ("lan:nan", "has the weight 'nan'"),
        ("", "must be one of lan, wifi, lte, satellite"),
        ("no-such.yaml", "cannot be read"),
    ],
    ids=["misspelt", "zero", "word", "not a number", "nothing", "no file"],
)
def test_a_mix_that_cannot_be_used_is_refused_in_a_sentence(text, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=problem):
        parse_mix(text)


def test_a_file_with_impossible_values_is_refused_with_the_field(tmp_path):
    file = tmp_path / "ours.yaml"
    file.write_text("{samplesPerSecond: 0, uplink: 1, downlink: 1, latency: 0}")
    with pytest.raises(InputError, match="samplesPerSecond: is 0, must be above 0"):
        parse_mix(str(file))
