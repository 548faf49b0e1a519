# SPDX-License-Identifier: Apache-2.0
"""The heads for edges and landmarks, solved at the end of a run.

They are linear in what they read, so their best weights for the finished layers below need no
steps: weighted least squares over many windows, with the weights that the loss has.
"""

import torch

RIDGE = 1e-5  # of the mean square of what the heads read


def solve_places(student, teacher, batches, weight_of):
    """Give `student` those heads. batches: pixels; weight_of(answers): of each window."""
    size = student.heads[0].in_channels + 1
    outputs = sum(head.out_channels for head in student.heads[1:])
    square = torch.zeros(size, size, dtype=torch.float64)
    product = torch.zeros(size, outputs, dtype=torch.float64)
    for pixels in batches:
        with torch.no_grad():
            read, told = student.features(pixels), teacher(pixels)
        weight = weight_of(told).flatten().double().cpu()[:, None]
        rows = read.permute(0, 2, 3, 1).flatten(0, 2).double().cpu()
        rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], 1)
        square += rows.T @ (rows * weight)
        product += rows.T @ (told[:, 2:].permute(0, 2, 3, 1).flatten(0, 2).double().cpu() * weight)
    square += RIDGE * square.diagonal().mean() * torch.eye(size, dtype=torch.float64)
    solved = torch.linalg.solve(square, product).float()
    first = 0
    for head in student.heads[1:]:
        part = solved[:, first : first + head.out_channels].T.to(head.weight.device)
        first += head.out_channels
        with torch.no_grad():
            head.weight.copy_(part[:, :-1, None, None])
            head.bias.copy_(part[:, -1])
