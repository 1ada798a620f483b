"""Normalisations folded into convolutions: the same function, another form."""

import pytest
import torch

from learned.cascade import Cascade
from learned.folded_normalisation import folded

NORMALISATIONS = (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)


def trained(dimension, shape):
    """A cascade whose normalisations have seen something, in double precision."""
    generator = torch.Generator().manual_seed(0)
    cascade = Cascade.build(dimension, shape, 2, 2, (2, 1), pooling="global").double()
    for module in cascade.modules():
        if isinstance(module, NORMALISATIONS):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 2, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(0, 0.5, generator=generator)
    for name, parameter in cascade.named_parameters():
        if "head" in name or "flow" in name:
            parameter.data += 0.02 * torch.randn(
                parameter.shape, generator=generator, dtype=torch.float64
            )
    return cascade.eval()


@pytest.mark.parametrize("dimension, shape", [(2, (33, 46)), (3, (16, 17, 18))])
def test_a_folded_network_answers_alike_and_the_other_stays(dimension, shape):
    cascade = trained(dimension, shape)
    before = {name: tensor.clone() for name, tensor in cascade.state_dict().items()}
    images = torch.rand(
        2, 2, 1, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    lighter = folded(cascade)
    with torch.inference_mode():
        wanted, got = cascade(*images), lighter(*images)
    assert float(wanted.displacement.abs().max()) > 1e-3
    torch.testing.assert_close(got.affine, wanted.affine, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(got.displacement, wanted.displacement, rtol=1e-9, atol=1e-9)
    assert not any(isinstance(module, NORMALISATIONS) for module in lighter.modules())
    after = cascade.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
