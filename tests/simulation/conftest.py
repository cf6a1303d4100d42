import pytest
import torch

from pslgs.spec import SplitTrainingJob
from simulation.jobs import paper_labels


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def paper_job(tmp_path_factory) -> SplitTrainingJob:
    return paper_labels(tmp_path_factory.mktemp("labels"))
