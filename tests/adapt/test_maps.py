import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import Net, images  # noqa: E402

from outthink.adapt.maps import chosen_stage, edited, map_layers, maps_at, mix_style, restyle, stages, style  # noqa: E402
from outthink.adapt.networks import CifarResNet, DigitNet  # noqa: E402


def test_stages_are_the_last_layers_of_each_shape():
    assert stages(CifarResNet(blocks=1).eval(), torch.rand(1, 3, 32, 32)) == ["layer1", "layer2", "layer3"]
    assert stages(DigitNet().eval(), torch.rand(1, 1, 8, 8)) == ["body.2", "body.8", "body.9"]
    assert map_layers(Net().eval(), images(2))["body.5"] == (8, 8, 8)


def test_an_unknown_layer_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"no layer 'layer9'.*body\.0.*body\.5"):
        chosen_stage(Net().eval(), images(1), "layer9", default=0)
    with pytest.raises(ValueError, match="no layer 'head' that gives a feature map"):
        chosen_stage(Net().eval(), images(1), "head", default=0)
    with pytest.raises(ValueError, match="feature maps"):
        map_layers(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()), torch.rand(2, 4))
    with pytest.raises(ValueError, match="no layer 'nowhere'"), edited(Net(), {"nowhere": lambda maps: maps}):
        pass


def test_edits_act_on_what_follows_and_leave_no_hook_behind():
    net, batch = Net().eval(), images(3)
    before = net(batch)
    with edited(net, {"body.2": lambda maps: 0 * maps}):
        assert torch.equal(net(batch), net(0 * batch + 5)), "nothing of the image may pass"
    assert torch.equal(net(batch), before)
    with pytest.raises(RuntimeError), edited(net, {"body.2": lambda maps: maps[:, :1]}):
        net(batch)
    assert torch.equal(maps_at(net, "body.2", batch)[0], before)


def test_restyled_maps_have_the_style_and_their_own_style_changes_nothing():
    maps = torch.randn(5, 4, 6, 6) * 3 + 1
    mean, deviation = torch.randn(5, 4), torch.rand(5, 4) + 0.1
    found = style(restyle(maps, mean, deviation))
    assert torch.allclose(found[0], mean, atol=1e-5)
    assert torch.allclose(found[1], deviation, atol=1e-5)
    assert torch.allclose(restyle(maps, *style(maps)), maps, atol=1e-5)
    assert torch.equal(restyle(torch.ones(1, 2, 3, 3), torch.zeros(1, 2), torch.ones(1, 2)), torch.zeros(1, 2, 3, 3))


def test_mixed_styles_lie_between_two_of_the_batch_and_one_image_stays():
    maps = torch.randn(2, 3, 5, 5) + torch.tensor([0.0, 10.0])[:, None, None, None]
    for seed in range(10):
        mean = style(mix_style(maps, 0.5, torch.Generator().manual_seed(seed)))[0]
        low, high = style(maps)[0].min(0).values, style(maps)[0].max(0).values
        assert ((mean >= low - 1e-4) & (mean <= high + 1e-4)).all()
    assert torch.equal(mix_style(maps[:1], 0.5, torch.Generator()), maps[:1])
