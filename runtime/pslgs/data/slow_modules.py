"""Which modules that take long to import a job needs, for processes that others are forked from."""

from pslgs.spec import DataFormat, JobSpec


def slow_modules(spec: JobSpec) -> list[str]:
    """Return the names of the slow modules that a job's processes will import, besides torch."""
    formats = {source.format for source in (spec.data.train, spec.data.evaluation) if source}
    needed = {
        "torchvision": spec.data.transforms or spec.model.architecture not in {"mlp", "cnn"},
        "pslgs.data.scikit_learn": DataFormat.SCIKIT_LEARN in formats,
        "pslgs.data.parquet": DataFormat.PARQUET in formats,
        "pslgs.data.csv_files": DataFormat.CSV in formats,
    }
    return [name for name, is_needed in needed.items() if is_needed]
