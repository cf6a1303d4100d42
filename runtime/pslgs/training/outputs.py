"""From a model's outputs to what its metrics are counted of: predictions and log-odds."""

import torch
from torch import Tensor

from pslgs.spec.loss import Loss
from pslgs.training.objective import Objective
from pslgs.training.tally import Tally, tally_classes, tally_labels, tally_values


def tally_outputs(objective: Objective, outputs: Tensor, labels: Tensor) -> Tally:
    """Count predictions and labels of a batch, in double precision and in host memory.

    Args:
        objective: The objective of the training, which determines what outputs and labels are.
        outputs: Shape (B, *output_shape).
        labels: Shape (B, label_width).
    """
    rows = outputs.detach().reshape(len(labels), -1).to("cpu", torch.float64)
    truth = labels.detach().cpu()
    if objective.label_dtype == torch.int64:
        return _of_classes(rows, truth[:, 0])
    if objective.loss is not Loss.BINARY_CROSS_ENTROPY:
        return tally_values(truth.double().numpy(), rows.numpy())
    if objective.classes:
        return _of_classes(torch.cat([torch.zeros_like(rows), rows], dim=1), (truth[:, 0] > 0.5).long())
    return tally_labels((truth > 0.5).numpy(), rows.float().numpy())


def log_odds(outputs: Tensor) -> Tensor:
    """Return log(p / (1 − p)) of the softmax probabilities p; shape (B, classes), without overflow.

    It is z_c − log Σ_{j≠c} exp z_j.  The sum is formed without c only where c is the largest, since
    1 − p cancels nowhere else.
    """
    log_p = torch.log_softmax(outputs, dim=1)
    odds = log_p - torch.log1p(-log_p.exp().clamp_max(0.5))
    top = outputs.argmax(dim=1, keepdim=True)
    others = outputs.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True)
    return odds.scatter(1, top, outputs.gather(1, top) - others)


def _of_classes(outputs: Tensor, labels: Tensor) -> Tally:
    finite = torch.isfinite(outputs).all(dim=1)
    predicted = torch.where(finite, outputs.argmax(dim=1), -1)
    classes = outputs.shape[1]
    scores = outputs[:, 1:] - outputs[:, :1] if classes == 2 else log_odds(outputs)
    return tally_classes(labels.numpy(), predicted.numpy(), scores.float().numpy(), classes)
