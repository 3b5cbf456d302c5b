"""What reproductions of adaptation stand on: the fixture holds what it says, and orders are undone before images are paired."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")
pytest.importorskip("sklearn", reason="scikit-learn is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.method import Cost  # noqa: E402
from outthink.adapt.networks import CifarResNet, DigitNet  # noqa: E402
from outthink.adapt.online import Run  # noqa: E402
from outthink.adapt.streams import Domain, mixed  # noqa: E402
from outthink.papers.adapting import by_image, make_digit_worlds, paired  # noqa: E402


def test_the_fixture_is_complete_goes_on_and_is_the_same_again(tmp_path):
    params = {"seeds": 1, "train": 200, "epochs": 1, "severity": 5, "shifts": "fog contrast", "draws": 2}
    told = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        make_digit_worlds(tmp_path / place, params, lambda *said: told.append(said))
    first, second = (torch.load(tmp_path / place / "0.pt", weights_only=True) for place in ("a", "b"))
    assert set(first["corrupted"]) == {"fog", "contrast"}
    assert first["again"].shape == (2 * 1597, 1, 8, 8)
    assert torch.equal(first["again"], second["again"])
    assert all(torch.equal(value, second["nets"]["network"][name]) for name, value in first["nets"]["network"].items())
    DigitNet(norm="group").load_state_dict(first["nets"]["grouped"])
    stamp = (tmp_path / "a" / "0.pt").stat().st_mtime_ns
    make_digit_worlds(tmp_path / "a", params, lambda *said: told.append(said))
    assert (tmp_path / "a" / "0.pt").stat().st_mtime_ns == stamp
    assert told[-1][1:] == (1, 1)


def test_images_are_paired_whatever_the_order():
    labels = torch.arange(40) % 2
    domains = [Domain(name, torch.zeros(40, 1), labels) for name in ("a", "b")]
    truth = torch.rand(80, generator=torch.Generator().manual_seed(0)) < 0.5  # which of both domains' images are wrong
    found = []
    for seed in (0, 1):
        stream = mixed(domains, batch=8, seed=seed)
        wrong = truth[stream.order[:, 0] * 40 + stream.order[:, 1]].long()
        predicted = (stream.labels() + wrong) % 2
        run = Run(torch.nn.functional.one_hot(predicted, 2).float(), stream.labels(), stream.shifts(), stream.order[:, 1], ("a", "b"), Cost(), 0.0)
        found.append(by_image(run, stream))
    assert found[0].tolist() == found[1].tolist() == truth.double().tolist()
    assert paired(found[:1], found[1:]).high == 0.0


def test_the_residual_network_has_the_published_size_and_names():
    net = CifarResNet().eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == 269_722  # 0.27 million, as in He et al.
    assert {"conv1.weight", "layer2.0.conv1.weight", "layer3.2.bn2.running_var", "linear.bias"} <= set(net.state_dict())
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert DigitNet(channels=3)(torch.rand(2, 3, 9, 11)).shape == (2, 10)
    with pytest.raises(ValueError, match="norm"):
        DigitNet(norm="layer")
    assert np.isfinite(net(torch.zeros(1, 3, 32, 32)).detach().numpy()).all()
