import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import images, labels, trained  # noqa: E402

from outthink.adapt.adapter import adapt  # noqa: E402
from outthink.adapt.maps import maps_at, style  # noqa: E402
from outthink.adapt.methods.style_shift import StyleShift, _donors, balanced_domains, measured_styles  # noqa: E402
from outthink.adapt.source import Source  # noqa: E402

INPUTS = torch.cat([images(40, seed=1), images(40, seed=2, shift=1.0)])
SOURCE = Source(INPUTS, torch.cat([labels(40, seed=1), labels(40, seed=2)]), torch.arange(80) // 40)


@pytest.fixture(scope="module")
def net():
    return trained()


def test_an_infinite_threshold_is_the_source_and_zero_shifts_all(net):
    batch = images(16, seed=9, shift=3.0)
    assert torch.equal(adapt(net, StyleShift(alpha=math.inf), source=SOURCE)(batch), net(batch))
    styled = measured_styles(net, SOURCE)
    assert styled.shifted(batch, math.inf)[1].sum() == 0
    assert styled.shifted(INPUTS, 0.0)[1].all()


def test_a_shifted_image_has_the_nearest_centroids_style(net):
    styled = measured_styles(net, SOURCE)
    batch = images(8, seed=9, shift=5.0)
    before = torch.cat(style(maps_at(net, styled.layer, batch)[1]), 1)
    nearest = torch.stack([((row - styled.centroids) ** 2).sum(1).argmin() for row in before])
    seen = []
    # a hook on the layer after the edited one sees what the network goes on with
    assert styled.layer == "body.5"
    hook = net.body[6].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    styled.shifted(batch, 0.0)
    hook.remove()
    mean, deviation = style(seen[-1])
    live = style(maps_at(net, styled.layer, batch)[1])[1] > 1e-3
    wanted_mean, wanted_deviation = styled.centroids[nearest].chunk(2, 1)
    assert torch.allclose(mean, wanted_mean, atol=1e-5)
    assert torch.allclose(deviation[live], wanted_deviation[live], atol=1e-5)


def test_an_image_at_a_centroid_is_left_alone(net):
    one, styled = images(1, seed=3, shift=1.0), measured_styles(net, SOURCE)
    styled.centroids[1] = torch.cat(style(maps_at(net, styled.layer, one)[1]), 1)[0].detach()
    logits, moved = styled.shifted(one, 0.01)
    assert not moved.any()
    assert torch.equal(logits, net(one))


def test_images_do_not_see_each_other(net):
    batch = torch.cat([images(6, seed=5), images(6, seed=6, shift=4.0)])
    model = adapt(net, StyleShift(alpha=2.0), source=SOURCE)
    together = model(batch)
    assert torch.allclose(together, torch.cat([model(one[None]) for one in batch]), atol=1e-5)
    assert 0 < int(measured_styles(net, SOURCE).shifted(batch, 2.0)[1].sum()) < 12


def test_balancing_gives_every_domain_the_same_expected_number_of_each_class():
    counts = torch.tensor([[90, 10, 0], [10, 50, 30], [20, 0, 30]])
    rows = [(domain, label) for domain in range(3) for label in range(3) for _ in range(int(counts[domain, label]))]
    domains, classes = torch.tensor(rows).T
    draw = torch.Generator().manual_seed(0)
    total = torch.zeros(3, 3)
    for _ in range(200):
        total += torch.bincount(balanced_domains(classes, domains, counts, draw) * 3 + classes, minlength=9).reshape(3, 3)
    assert torch.allclose(total / 200, counts.float().mean(0).expand(3, 3), atol=1.0)
    even = torch.full((3, 3), 20)
    assert torch.equal(balanced_domains(classes, domains, even, draw), domains)


def test_a_donor_is_of_the_target_domain_and_who_stays_keeps_its_own_style():
    domains, target = torch.tensor([0, 0, 1, 1, 2, 0]), torch.tensor([0, 1, 0, 1, 3, 2])
    draw = torch.Generator().manual_seed(0)
    for _ in range(20):
        rows = _donors(domains, target, draw)
        assert rows[[0, 3, 4]].tolist() == [0, 3, 4]  # at home already, or nobody is there
        assert domains[rows[[1, 2, 5]]].tolist() == [1, 0, 2]


def test_centroids_are_those_of_the_prepared_network(net):
    made = StyleShift(epochs=1).prepare(net, SOURCE, seed=0)
    again = measured_styles(made.model, SOURCE, made.layer)
    assert torch.equal(made.centroids, again.centroids)
    assert not torch.equal(made.centroids, measured_styles(net, SOURCE).centroids)


def test_without_domains_it_says_what_to_give(net):
    with pytest.raises(ValueError, match="domains"):
        adapt(net, StyleShift(), source=Source(INPUTS, SOURCE.labels))
    with pytest.raises(ValueError, match="class and domain"):
        StyleShift().prepare(net, Source(INPUTS, SOURCE.labels), seed=0)
    with pytest.raises(ValueError, match="alpha"):
        StyleShift(alpha=-1.0)
