"""Rules over several fields stand in Python and in CEL; both blame the same field in the same words."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crd.jobs import Jobs, shortest_manifest
from hypothesis_profiles import scaled
from pslgs.spec import InputError, Violation, parse_job
from pslgs.spec.manifest import with_overrides
from pslgs_operator.crd.cel import Rule
from pslgs_operator.crd.rules import NAME_RULES, RULES
from spec.bad_manifests import ALL, TOGETHER, Bad

ALL_RULES = [*(rule for rules in RULES.values() for rule in rules), *NAME_RULES]
SET_OF_CLASSES = "names a class twice"
"""A list whose entries are unique needs no rule of CEL."""

VALUES = {
    "metadata.name": ["a", "A", "a0", "0a", "a-", "a" * 40, "a" * 41],
    "spec.model": [
        "{architecture: mlp}",
        "{architecture: 'a.b:c'}",
        "{architecture: 'a b:c', cutLayer: x}",
        "{architecture: mlp, cutLayer: x, inputShape: [3, 0]}",
        "{architecture: mlp, cutLayer: x, initialWeights: {path: a, except: [b], strict: false}}",
        "{architecture: mlp, cutLayer: x, initialWeights: {strip: b.}}",
    ],
    "spec.data.train": [
        "{format: Parquet, path: x}",
        "{format: Parquet, path: x, inputColumn: a, classes: [a, b]}",
        "{format: Parquet, path: x, inputColumn: a, inputColumns: [b, b]}",
        "{format: Parquet, path: x, inputColumn: img, labelColumns: [b], labelColumn: label}",
        "{format: CSV, path: x}",
        "{format: CSV, path: x, inputColumns: [a], labelColumns: [b]}",
        "{format: NumPy, path: x, inputColumns: [a]}",
        "{format: Parquet, path: x, name: y}",
        "{format: NumPy, path: '/data/{client}.npz'}",
        "{format: NumPy, path: '/data/{node}.npz', options: {}}",
        "{format: NumPy, path: x, options: {a: 1}}",
        "{format: ImageFolder, path: x, classes: [a, a]}",
        "{format: ImageFolder, inputColumn: img}",
        "{format: Torchvision, name: A, path: x}",
        "{format: Torchvision, name: A, path: x, split: Test}",
        "{format: Torchvision, name: A, path: x, split: All}",
        "{format: ScikitLearn, name: digits, split: Train}",
        "{format: Custom, entrypoint: 'a:b', options: {a: null, b: [1]}}",
        "{format: Custom, entrypoint: a}",
    ],
    "spec.data.evaluation": [
        "{format: Parquet, path: x}",
        "{format: NumPy, path: '/data/{client}.npz'}",
        "{format: NumPy, path: '/data/{client}.npz', at: Clients}",
        "{format: Torchvision, name: A, path: x}",
        "{format: Torchvision, name: A, path: x, split: Train}",
        "{format: Torchvision, name: B, path: x, split: Train}",
        "{format: ScikitLearn, name: digits}",
        "{format: ScikitLearn, name: wine, split: All}",
        "{format: ScikitLearn, name: digits, transforms: [{name: a-b}]}",
    ],
    "spec.data.partition": [
        "{scheme: IID, clients: 4}",
        "{scheme: IID, clients: 4, classesPerClient: 3}",
        "{scheme: IID, clients: 4, concentration: 3}",
        "{scheme: ExtendedDirichlet, clients: 4, concentration: 1}",
    ],
    "spec.data.transforms": ["[{name: Pad, padding: 4}]", "[{name: Pad, fill: null}]", "[{padding: 4}]"],
    "spec.data.window": ["[40, 400]", "[40, 1]", "[40]"],
    "spec.data.layout": ["HWC", "Flat", "hwc"],
    "spec.data.inputType": ["Float", "Integer", "null"],
    "spec.data.length": ["1", "0"],
    "spec.data.inputs": [
        "[]",
        "[{name: image}, {name: age, standardize: PerFeature, shape: [2], mayLeaveSite: true}]",
        "[{name: age}, {name: age}]",
        "[{name: age, columns: [a, b]}]",
        "[{name: tokens, type: Integer, length: 4, standardize: PerFeature}]",
        "[{name: a-b, range: [2, 1]}]",
    ],
    "spec.data.standardize": ["None", "PerFeature", "null"],
    "spec.data.onDamagedSample": ["Fail", "Skip", "Ignore", "null"],
    "spec.data.range": ["[0, 4095]", "[1, 1]", "[2, 1.5]", "[0]"],
    "spec.loss": ["CrossEntropy", "BinaryCrossEntropy", "MeanSquaredError", "Huber", "Custom", "Hinge"],
    "spec.lossOptions": [
        "{}",
        "{labelSmoothing: 0.1}",
        "{labelSmoothing: 0.1, focalGamma: 2}",
        "{classWeights: [1, 0.5]}",
        "{classWeights: [1]}",
        "{classWeights: [1, 0]}",
        "{classWeighting: Balanced}",
        "{classWeighting: Balanced, classWeights: [1, 2]}",
        "{classWeighting: Balanced, positiveWeight: 2}",
        "{positiveWeight: 2, focalGamma: 1}",
        "{delta: 2}",
        "{entrypoint: 'a.b:c'}",
        "{entrypoint: 'a.b:c', labels: Values}",
        "{entrypoint: a}",
    ],
    "spec.optimizer": [
        "{}",
        "{name: Adam}",
        "{name: Adam, momentum: 0.9}",
        "{name: AdamW, momentum: 0}",
        "{betas: [0.9, 0.999]}",
        "{name: Adam, betas: [0, 0]}",
        "{betas: [0, 0]}",
        "{learningRate: 1}",
        "{nesterov: true}",
        "{nesterov: true, momentum: 0}",
        "{name: RMSprop, momentum: 0.5, alpha: 0.9}",
        "{name: RMSprop, nesterov: true}",
        "{name: Adam, alpha: 0.9}",
        "{clipNorm: 1}",
        "{clipNorm: 0}",
        "{clipNorm: 1, clipValue: 1}",
        "{schedule: {everyEpochs: 2}}",
        "{schedule: {name: Step, everyEpochs: 2, factor: 0.5}}",
        "{schedule: {name: OneCycle, factor: 0.5}}",
        "{schedule: {name: OneCycle, warmupEpochs: 0.5}}",
        "{schedule: {warmupEpochs: 2.5}}",
        "{schedule: {warmupEpochs: 3}}",
        "{schedule: {warmupEpochs: 0}}",
        "{schedule: {name: ReduceOnPlateau, patience: 0}}",
        "{schedule: {name: Step, patience: 0}}",
        "{accumulate: 0}",
    ],
    "spec.ema": ["{}", "{decay: 0.99}", "{decay: 1}"],
    "spec.precision": ["{client: BFloat16}", "{server: BFloat16}", "{server: Float16}"],
    "spec.metric": ["Accuracy", "AUROC", "LabelAccuracy", "R2", "Loss", "accuracy"],
    "spec.earlyStopping": ["{}", "{patience: 3, minDelta: 0.01}", "{patience: 0}", "{minDelta: -1}"],
    "spec.faultTolerance.minAvailableClients": ["1", "4", "5", "0", "80%", "100%", "101%", "1.5"],
    "spec.checkpoint.storage": ["{}", "{size: 1Gi}", "{claimName: a}", "{size: 1Gi, claimName: a}"],
    "spec.server": [
        "{gpus: 1}",
        "{gpus: 16}",
        "{gpus: 17}",
        "{gpuResource: nvidia.com/mig-1g.5gb}",
        "{gpuResource: gpu}",
        "{gpuResource: a.b/}",
        "{gpuResource: requests.nvidia.com/gpu}",
        "{gpuResource: kubernetes.io/gpu}",
        "{template: {spec: {nodeSelector: {a: b}}}}",
        "{template: {a: 1}}",
        "{template: {metadata: {labels: {a: b}, annotations: {a: ''}}}}",
        "{template: {metadata: {labels: {pslgs.dev/role: b}}}}",
        "{template: {metadata: {annotations: {a: 3}}}}",
        "{template: {metadata: {labels: [a]}}}",
        "{service: {annotations: {pslgs.dev/a: b}}}",
        "{service: {address: edge.example.com}}",
        "{service: {address: 'fd00::1'}}",
        "{service: {address: '[fd00::1]'}}",
        "{service: {address: 'https://edge.example.com'}}",
        "{service: {address: 'edge:7443'}}",
    ],
    "spec.childMetadata": [
        "{}",
        "{labels: {team: a, a.b/c: ''}, annotations: {pslgs.dev: 'any text'}}",
        "{labels: {pslgs.dev/job: a}}",
        "{annotations: {pslgs.dev/x: a}}",
        "{labels: {team: a b}}",
        f"{{labels: {{team: {'a' * 64}}}}}",
        f"{{labels: {{{', '.join(f'l{number}: x' for number in range(65))}}}}}",
    ],
    "spec.activeDeadlineSeconds": ["null", "0", "1", "2147483647", "2147483648"],
}
"""Fields and what may be given in them, right and wrong."""


def violations(manifest: object) -> tuple[Violation, ...]:
    try:
        parse_job(manifest)
    except InputError as error:
        return error.violations
    return ()


def says(rule: Rule, violation: Violation) -> bool:
    """Tell whether a violation is the rule's, in its words."""
    words = ".*".join(map(re.escape, re.split("«.*?»", rule.problem)))
    return violation.path.endswith(rule.path) and re.search(f"(^|, ){words}$", violation.problem) is not None


@pytest.fixture(scope="module")
def said() -> list[Violation]:
    """All violations in all bad manifests."""
    settings_of_all = (with_overrides(shortest_manifest(), bad.settings) for bad in ALL)
    return [each for manifest in settings_of_all for each in violations(manifest)]


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: f"{rule.path}-{rule.problem[:30]}")
def test_each_rule_of_cel_is_said_by_the_parser_too(rule: Rule, said: list[Violation]) -> None:
    assert any(says(rule, each) for each in said)


@pytest.mark.parametrize(
    "bad",
    [each for each in TOGETHER if each.words != SET_OF_CLASSES],
    ids=lambda bad: bad.name.replace(" ", "-"),
)
def test_each_rule_of_the_parser_is_one_of_cel_too(bad: Bad, manifest: dict[str, Any]) -> None:
    for violation in violations(with_overrides(manifest, bad.settings)):
        assert any(says(rule, violation) for rule in ALL_RULES)


@st.composite
def choices(draw: st.DrawFn) -> list[str]:
    paths = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5, unique=True))
    return [f"{path}={draw(st.sampled_from(VALUES[path]))}" for path in paths]


@settings(max_examples=scaled(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(chosen=["spec.data.train={format: Parquet, path: x}", "spec.data.inputType=Integer"])
@given(chosen=choices())
def test_parser_and_api_server_agree(chosen: list[str], manifest: dict[str, Any], tried_out: Jobs) -> None:
    candidate = with_overrides(manifest, chosen)
    parser, api_server = violations(candidate), tried_out.refusals(candidate)
    assert bool(parser) == bool(api_server), (parser, api_server)
    blamed = set(heads(each.path for each in api_server))
    said = set(heads(each.path for each in parser))
    # CEL blames a map as a whole, the parser the entry that is wrong.
    in_both = any(one == other or one.startswith(f"{other}.") for one in said for other in blamed)
    assert in_both or not parser, (parser, api_server)


def heads(paths: Iterator[str]) -> Iterator[str]:
    """Cut paths off at their first list or map key, which the API server writes in brackets."""
    return (path.partition("[")[0] for path in paths)
