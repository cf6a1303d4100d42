"""Use of trained models: loading, prediction and export to other formats."""
