import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.moving import best_window, moving, window_error  # noqa: E402


def test_a_crop_that_neither_slides_nor_zooms_shows_the_image():
    images = torch.rand(2, 1, 8, 8)
    video = moving(images, torch.tensor([3, 5]), length=3, zoom=0.0, slide=0.0, seed=0)
    assert torch.allclose(video.inputs, images.repeat_interleave(3, 0), atol=1e-6)
    assert video.labels.tolist() == [3, 3, 3, 5, 5, 5]


def test_neighbouring_frames_are_closer_than_distant_ones_and_the_drift_sees_the_time():
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = moving(images, torch.arange(4), length=20, slide=0.3, seed=0).inputs.reshape(4, 20, -1)
    assert (plain[:, 1:] - plain[:, :-1]).norm(dim=2).mean() < 0.5 * (plain[:, -1] - plain[:, 0]).norm(dim=1).mean()
    dark = moving(images, torch.arange(4), length=5, drift=lambda frames, time: frames * (1 - time)[:, None, None, None], seed=0).inputs
    assert not dark[-1].any()
    assert dark[0].any()


def test_windows_error_is_that_of_a_simulated_walk():
    draw = torch.Generator().manual_seed(0)
    walk = (0.5 * torch.randn((40000, 20), generator=draw, dtype=torch.float64)).cumsum(1)
    seen = walk + 2.0 * torch.randn(walk.shape, generator=draw, dtype=torch.float64)
    for window in (1, 2, 5, 12):
        error = (seen[:, -window:].mean(1) - walk[:, -1]).square().mean()
        assert float(error) == pytest.approx(window_error(window, noise=4.0, drift=0.25), rel=0.05)


@pytest.mark.parametrize(("noise", "drift"), [(4.0, 0.25), (1.0, 1.0), (100.0, 0.01), (0.0, 1.0), (0.3, 5.0)])
def test_the_best_window_is_the_best_of_all(noise, drift):
    every = [window_error(window, noise=noise, drift=drift) for window in range(1, 500)]
    assert best_window(noise=noise, drift=drift) == 1 + every.index(min(every))


def test_without_drift_there_is_no_best_window():
    with pytest.raises(ValueError, match="longest"):
        best_window(noise=1.0, drift=0.0)
    with pytest.raises(ValueError, match="length"):
        moving(torch.rand(1, 1, 8, 8), torch.tensor([0]), length=0, seed=0)
