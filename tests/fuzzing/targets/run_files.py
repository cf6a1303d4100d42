"""Files that a run, its user or an earlier version wrote: manifests, checkpoints, weights, identities."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fuzzing.containers import files, mutate_files, mutate_safetensors, parts_of
from fuzzing.engine import Target
from fuzzing.mutators import mutate_bytes, mutate_json, one_of, with_words

EXAMPLES = Path(__file__).parents[3] / "examples"

mutate_yaml = with_words(
    *(
        b"&a ",
        b"*a",
        b"<<: *a",
        b"!!binary ",
        b"!!python/object:os.system ",
        b"!!set ",
        b"!!timestamp ",
        b"? ",
    ),
    *(
        b"- ",
        b"- - - ",
        b": ",
        b"{",
        b"}",
        b"[",
        b"]",
        b"|\n",
        b">-\n",
        b"---\n",
        b"...\n",
        b"%YAML 9.9\n",
        b"#",
    ),
    *(
        b"0x_",
        b"0b_",
        b"0o7",
        b"9" * 5000,
        b"1e999",
        b".nan",
        b"-.inf",
        b"~",
        b"null",
        b"1_000",
        b"2026-01-02",
    ),
    *(
        b"[" * 3000,
        b"{a: " * 3000,
        b"&a [*a]",
        b"\t",
        b"\r",
        b"\x85",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"'",
        b'"',
    ),
)
"""Damages YAML; JSON is YAML as well."""
mutate_manifest = one_of(mutate_yaml, mutate_json)


def manifest(folder: Path) -> Target:
    """A manifest, as the command line and the containers read it."""
    from pslgs.spec.compatibility import parse_known_fields
    from pslgs.spec.errors import InputError
    from pslgs.spec.manifest import load_job, read_document
    from server.fakes import tiny_document

    file = folder / "job.yaml"

    def decode(data: bytes) -> None:
        file.write_bytes(data)
        try:
            load_job(file)
        finally:
            parse_known_fields(read_document(file))

    text = [each.read_bytes() for each in sorted(EXAMPLES.glob("*.yaml")) if each.stat().st_size < 1200]
    return Target(
        decode=decode,
        errors=(InputError,),
        seeds=[*text, json.dumps(tiny_document()).encode()],
        mutate=mutate_manifest,
        inputs=250,
    )


def override(_folder: Path) -> Target:
    """An option --set of the command line."""
    from pslgs.spec.errors import InputError
    from pslgs.spec.manifest import with_overrides
    from server.fakes import tiny_document

    document = tiny_document()

    def decode(data: bytes) -> None:
        with_overrides(document, [data.decode(errors="replace")])

    words = [
        b"=",
        b".",
        b"\\.",
        b"[0]",
        b"[" + b"9" * 5000 + b"]",
        "\u0663".encode(),
        b"-1",
        b"spec.model",
        b"{",
        b"*a",
    ]
    texts = (
        "spec.epochs=3",
        "spec.model.options.hidden[0]=2",
        "spec.data.transforms.0.size=28",
        r"a.b\.c/d=[1, {x: y}]",
    )
    return Target(
        decode=decode,
        errors=(InputError,),
        seeds=[text.encode() for text in texts],
        mutate=one_of(with_words(*words), mutate_yaml),
        inputs=3000,
    )


def profile(folder: Path) -> Target:
    """The profiles of simulated clients: the option's first line, then the file that it may name."""
    from pslgs.simulation.setup import parse_mix
    from pslgs.spec.errors import InputError

    file = folder / "own.yaml"
    numbers = "samplesPerSecond: 100\nuplink: 1e6\ndownlink: 2.5e7\nlatency: 0.05\ndropout: 0.1\n"

    def decode(data: bytes) -> None:
        option, _, content = data.partition(b"\n")
        file.write_bytes(content)
        parse_mix(option.decode(errors="replace").replace("own.yaml", str(file)))

    return Target(
        decode=decode,
        errors=(InputError,),
        seeds=[b"lan:0.8,lte:0.2\n", b"satellite\n", b"lan:0.5,own.yaml:2\n" + numbers.encode()],
        mutate=mutate_yaml,
        inputs=2500,
    )


def journal(folder: Path) -> Target:
    """The journal of a run: read for a report, and cut back to a checkpoint for a resumed run."""
    from pslgs.reporting.history import History
    from pslgs.telemetry import records
    from pslgs.telemetry.journal import Journal, read
    from pslgs.telemetry.status import Status, resumed_status

    file = folder / "metrics.jsonl"
    step = records.StepRecord(
        *(1.5, 1, 1, 1, 0.7, 8, 0.1, 0.2, 0.3, 0.01),
        allocation={"a": (0, 5), "b": (3, 3)},
        seconds={"server": 0.1},
        response_seconds={"a": (0.1, 0.2)},
    )
    result = records.ClientEvaluation(10, 0.5, 0.9, {"accuracy": 0.9})
    written = (
        records.ClientRecord(1.0, 0, "a", "joined", "it connected", 20, left_out={"damaged": 1}),
        step,
        records.AbortRecord(1.6, 1, 2, 1, "client b was lost"),
        records.EvaluationRecord(
            1.7, 1, 1, 10, 0.5, 0.9, {"a": result}, metric="accuracy", metrics={"accuracy": 0.9}
        ),
        records.CheckpointRecord(1.8, 1, 0.1),
        replace(step, step=2, time=2.0),
        records.SkippedRecord(2.5, 1, {"a": 2}),
        records.FinishRecord(3.0, 2, "FINISHED", "all epochs are done"),
    )
    lines = [records.encode(each) + b"\n" for each in written]
    fresh = Status(started=0.0, epochs=2, clients_expected=2, metric="accuracy")

    def decode(data: bytes) -> None:
        file.write_bytes(data)
        history = History(tuple(read(file, on_damaged=lambda _: None)))
        history.finish, history.diverged_at(), history.losses
        with Journal(file) as opened:
            known = opened.truncate_after(1, len(data) % 3000 if len(data) % 2 else None)
        resumed_status(fresh, known).to_json()

    def mutate_lines(rng, data, other):
        rows = data.split(b"\n")
        place = rng.randrange(len(rows))
        rows[place] = mutate_json(rng, rows[place], rng.choice(lines))
        return b"\n".join(rows)

    return Target(
        decode=decode,
        seeds=[b"".join(lines), b"".join(lines[:5]), b"".join(lines[4:])],
        mutate=one_of(mutate_lines, mutate_lines, mutate_bytes),
        inputs=1500,
    )


def checkpoint(folder: Path) -> Target:
    """A checkpoint, with checksums of what it holds unless these are damaged, from which a run resumes."""
    from prometheus_client import CollectorRegistry

    from pslgs.coordination.coordinator import Coordinator
    from pslgs.coordination.feature_moments import FeatureScale
    from pslgs.coordination.settings import settings_from
    from pslgs.server import run_checkpoint
    from pslgs.server.recorder import RunRecorder
    from pslgs.spec.errors import InputError
    from pslgs.telemetry.journal import Journal
    from pslgs.telemetry.metrics import JobLabels, JobSeries, ServerMetrics
    from pslgs.telemetry.status import Status
    from pslgs.training.checkpoint import CHECKSUMS, CheckpointStore
    from server.checkpoints import coordinator_state, trained_model
    from server.fakes import CLASSES, tiny_spec

    spec = tiny_spec(optimizer={"momentum": 0.5})
    seeds, made = [], folder / "made"
    for step in (1, 2):
        store = CheckpointStore(made / str(step), keep=1)
        scale = FeatureScale.of([0.5, 1.0], [1.0, 2.0], 2).to_json()
        progress = {"figures": {"metric": "accuracy", "epoch": 1, "loss": 0.5}, "journal_bytes": 100}
        state = coordinator_state(spec, step)
        rest = run_checkpoint.snapshot(state, {"a": (1, 2, 3)}, spec, progress, standardization=scale)
        run_checkpoint.save(store, step, trained_model(spec, step), rest)
        stored = {each.name: each.read_bytes() for each in (made / str(step)).glob("step-*/*")}
        seeds += [files(stored), files({name: stored[name] for name in stored if name != CHECKSUMS})]
    model = trained_model(spec, 0)
    there = folder / "checkpoints" / "step-00000002"
    settings = settings_from(spec, 1)
    series = JobSeries(JobLabels("tiny", "mlp", "hidden1", "Global"), spec.epochs, 1, 100)
    fresh = Status(started=0.0, epochs=2, clients_expected=1, metric="accuracy")
    metrics = ServerMetrics(CollectorRegistry(), series)

    def decode(data: bytes) -> None:
        _write_files(there, data, sealed_by=CHECKSUMS)
        store = CheckpointStore(there.parent, keep=1)
        store.latest_state()
        found = run_checkpoint.load(store)
        if found is None:
            return
        restored = run_checkpoint.restore(store, found, spec, model, CLASSES)
        run_checkpoint.stored_scale(restored.checkpoint, 2)
        with Journal(folder / "metrics.jsonl") as opened:
            recorder = RunRecorder(opened, metrics, fresh, lambda: 0.0)
            recorder.resume_after(found.step, restored.checkpoint.state.get("progress"))
        recorder.status.to_json()
        Coordinator(settings, 0.0, restored.state, restored.label_counts).state(1.0).to_json()

    return Target(decode=decode, errors=(InputError,), seeds=seeds, mutate=mutate_files, inputs=500)


def _write_files(folder: Path, data: bytes, sealed_by: str = "") -> Mapping[str, bytes]:
    """Write the files of an input into an empty folder; without names that lead out of it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        parts = {name: content for name, content in parts_of(data).items() if Path(name).name == name}
    except ValueError:
        parts = {}
    for name, content in parts.items():
        (folder / name).write_bytes(content)
    if sealed_by and sealed_by not in parts:
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}
        (folder / sealed_by).write_text(json.dumps(sums))
    return parts


def weights(folder: Path) -> Target:
    """Initial weights: safetensors files."""
    import torch

    from pslgs.splitting.weights_file import save_weights

    save_weights(
        {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2, dtype=torch.float16)}, folder / "made"
    )
    return replace(
        _weights(folder, "w.safetensors"), seeds=[(folder / "made").read_bytes()], mutate=mutate_safetensors
    )


def pytorch_weights(folder: Path) -> Target:
    """Initial weights: files of torch.save, of the present and of the old format."""
    import io

    import torch

    seeds = []
    for is_zip in (True, False):
        buffer = io.BytesIO()
        state = {"model": {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}, "epoch": 3}
        torch.save(state, buffer, _use_new_zipfile_serialization=is_zip)
        seeds.append(buffer.getvalue())
    pickles = with_words(
        b"c__builtin__\neval\n", b"\x80\x02", b".", b"R", b"(", b"t", b"Q", b"K\xff", b"h\x09", b"\x8a\xff"
    )

    def mutate(rng, data, other):
        if data[:2] != b"PK" or rng.random() < 0.2:
            return one_of(pickles, mutate_bytes)(rng, data, other)
        return mutate_files(rng, data, other)

    return replace(_weights(folder, "w.pt"), seeds=seeds, mutate=mutate, inputs=1000)


def index_of_weights(folder: Path) -> Target:
    """Initial weights: the index of several files."""
    import torch

    from pslgs.splitting.weights_file import save_weights

    save_weights({"a": torch.ones(2)}, folder / "one.safetensors")
    seed = {"metadata": {"total_size": 8}, "weight_map": {"a": "one.safetensors"}}
    made = _weights(folder, "model.safetensors.index.json")
    return replace(made, seeds=[json.dumps(seed).encode()], mutate=mutate_json)


def _weights(folder: Path, name: str) -> Target:
    from pslgs.spec.errors import InputError
    from pslgs.splitting.weights_file import load_weights

    file = folder / name

    def decode(data: bytes) -> None:
        file.write_bytes(data)
        loaded = load_weights(file, "spec.model.initialWeights.path")
        assert all(isinstance(name, str) for name in loaded)
        for tensor in loaded.values():
            tensor.sum()

    return Target(decode=decode, errors=(InputError,), seeds=(), inputs=2000)


def trained_model(folder: Path) -> Target:
    """A trained model with its description."""
    import torch

    from pslgs.inference.trained_model import read_model
    from pslgs.server.run_checkpoint import write_model
    from pslgs.spec.errors import InputError
    from pslgs.training.description import METADATA_KEY, describe
    from pslgs.training.setup import build_setup
    from server.fakes import INPUTS, tiny_spec

    spec = tiny_spec(data={"train": {"format": "CSV", "path": "/x.csv", "inputColumns": list("abcd")}})
    task, network = build_setup(spec, (INPUTS,))
    write_model({"a": torch.ones(2)}, describe(spec, task, network, ["cat", "dog", "owl"]), folder, "made")
    file = folder / "model.safetensors"

    def decode(data: bytes) -> None:
        file.write_bytes(data)
        description = read_model(file).description
        description.preprocessing.form()
        description.preprocessing.pipeline()
        description.preprocessing.scaling(description.input_shape)
        description.class_name(0)

    def mutate(rng, data, other):
        """Change the description, which is JSON within the header's JSON."""
        size = int.from_bytes(data[:8], "little")
        try:
            header = json.loads(data[8 : 8 + size])
            described = header["__metadata__"][METADATA_KEY].encode()
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return mutate_safetensors(rng, data, other)
        if rng.random() < 0.2:
            return mutate_safetensors(rng, data, other)
        header["__metadata__"][METADATA_KEY] = mutate_json(rng, described, described).decode(errors="replace")
        written = json.dumps(header).encode()
        return len(written).to_bytes(8, "little") + written + data[8 + size :]

    return Target(
        decode=decode,
        errors=(InputError,),
        seeds=[(folder / "made").read_bytes()],
        mutate=mutate,
        inputs=300,
    )


def identity(folder: Path) -> Target:
    """Certificate, key and authority of a process."""
    import base64

    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from pslgs.identity.authority import CertificateAuthority
    from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE, Identity
    from pslgs.spec.errors import InputError

    now = datetime.now(UTC)
    authority = CertificateAuthority.create("lab/digits", now, timedelta(days=30))
    issued = authority.issue_client("edge-0-0", now, timedelta(days=1))
    parts = {
        CERTIFICATE_FILE: issued.certificate_pem,
        PRIVATE_KEY_FILE: issued.private_key_pem,
        AUTHORITY_FILE: issued.ca_pem,
    }
    key = rsa.generate_private_key(65537, 2048)
    other_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    there = folder / "identity"

    def decode(data: bytes) -> None:
        if len(_write_files(there, data)) < 3:
            return
        loaded = Identity.load(there)
        assert loaded.expires_at.tzinfo is UTC

    def mutate_pem(rng, data, other):
        """Change the DER within, or what is around it."""
        head, _, rest = data.partition(b"-----\n")
        body, end, tail = rest.partition(b"-----END")
        try:
            der = base64.b64decode(body)
        except ValueError:
            return mutate_bytes(rng, data, other)
        if not end or rng.random() < 0.2:
            return mutate_bytes(rng, data, rng.choice((other, other_key)))
        return head + b"-----\n" + base64.encodebytes(mutate_bytes(rng, der, der)) + end + tail

    def mutate(rng, data, other):
        damaged = dict(parts_of(data))
        name = rng.choice([*parts])
        damaged[name] = mutate_pem(rng, damaged[name], other_key)
        return files(damaged)

    return Target(decode=decode, errors=(InputError,), seeds=[files(parts)], mutate=mutate, inputs=1500)


def trial(folder: Path) -> Target:
    """A finished trial of a comparison, and how long trials took."""
    from pslgs.comparison import trial as trials
    from pslgs.comparison.store import CELLS, TIMING, TrialStore
    from pslgs.simulation.result import Steps

    columns = {name: [1, 2] for name in Steps.__slots__}
    one = trials.Trial("Global", 3)
    evaluation = trials.Evaluation(1, 2, 0.5, None, 0.5)
    result = trials.TrialResult(
        *(
            one,
            2,
            20,
            64,
            (10, 10),
            Steps.of_columns(columns),
            (evaluation,),
            "FINISHED",
            "all epochs are done",
        )
    )
    store = TrialStore(folder, "0123")
    (folder / CELLS).mkdir()
    store.save(result)
    file = folder / CELLS / f"{one.name}.json"

    def decode(data: bytes) -> None:
        file.write_bytes(data)
        (folder / TIMING).write_bytes(data)
        store.measured()
        loaded = store.load(one)
        if loaded is not None:
            assert loaded.trial.name
            assert len(loaded.steps) == len(loaded.steps.modelled_seconds)
            assert loaded.epochs >= 0 or loaded.value

    return Target(decode=decode, seeds=[file.read_bytes()], mutate=mutate_json, inputs=1500)


def manifest_of_a_report(folder: Path) -> Target:
    """The manifest of a run that is reported; it may be invalid."""
    from pslgs.reporting.page import read_manifest

    file = folder / "job.yaml"

    def decode(data: bytes) -> None:
        file.write_bytes(data)
        found = read_manifest(file)
        assert isinstance(found.name, str)
        found.value("spec", "model", "architecture")

    made = manifest(folder)
    return Target(decode=decode, seeds=made.seeds, mutate=made.mutate, inputs=300)


def cores(folder: Path) -> Target:
    """The numbers of cores in the folder of a run."""
    from pslgs.launch.run_folder import MACHINE_FILE, prepare_folder
    from pslgs.spec.errors import InputError

    prepare_folder(folder, {}, 2)
    machine = folder / MACHINE_FILE

    def decode(data: bytes) -> None:
        machine.write_bytes(data)
        found = prepare_folder(folder, {}, 2)
        assert found.server >= 1
        assert found.client >= 1

    return Target(
        decode=decode, errors=(InputError,), seeds=[machine.read_bytes()], mutate=mutate_json, inputs=1500
    )


RUN_FILES: tuple[Callable[[Path], Target], ...] = (
    *(manifest, override, profile, journal, checkpoint, weights, pytorch_weights, index_of_weights),
    *(trained_model, identity, trial, cores, manifest_of_a_report),
)
