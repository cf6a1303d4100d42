"""The sampling strategies, one module each; `pslgs.sampling.registry` finds every module of this package."""
