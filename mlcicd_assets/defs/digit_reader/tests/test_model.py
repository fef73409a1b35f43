"""The network reads images of 8 by 8 and says something of each digit."""

import pytest

torch = pytest.importorskip(
    "torch", reason="networks need an optional part: pip install 'mlcicd-assets[torch]'"
)


def test_it_gives_a_logit_for_each_digit() -> None:
    from mlcicd_assets.defs.digit_reader.model import DigitNetwork

    assert DigitNetwork(outputs=10)(torch.zeros(3, 64)).shape == (3, 10)


def test_its_answer_for_an_image_does_not_depend_on_the_others() -> None:
    from mlcicd_assets.defs.digit_reader.model import DigitNetwork

    torch.manual_seed(0)
    network = DigitNetwork(outputs=10).eval()
    images = torch.rand(5, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[2:3], network(images[2:3]))
