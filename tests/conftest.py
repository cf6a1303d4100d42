from hypothesis import settings

# A busy machine makes a single example slow now and then; pytest-timeout ends what hangs.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")
