import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from outthink.adapt.diffusion import linear_schedule, low_pass, project, sample, train_denoiser  # noqa: E402


def exact(schedule, mean, deviation):
    """The noise that is to be expected in x_t if images are N(mean, deviation^2): the best denoiser there is, in closed form."""

    def denoise(noisy, step, label):
        share = schedule.kept.to(noisy)[step].reshape(-1, *[1] * (noisy.ndim - 1))
        return (1 - share).sqrt() * (noisy - share.sqrt() * mean) / (share * deviation**2 + 1 - share)

    return denoise


def test_the_schedule_goes_from_the_image_to_noise():
    kept = linear_schedule(1000).kept
    assert kept[0] == 1 - 1e-4
    assert torch.all(kept[1:] < kept[:-1])
    assert kept[-1] == pytest.approx(4.0e-5, rel=0.02)  # Ho et al.: about 4e-5
    few = linear_schedule(100).kept
    assert (few[0], few[-1]) == (kept[0], kept[-1])
    with pytest.raises(ValueError, match="2 to 1000"):
        linear_schedule(1)


def test_the_posterior_is_the_one_that_bayes_gives():
    """N(sqrt(a') x0, 1 - a') times N(sqrt(a/a') x', 1 - a/a'), normalised: precisions add."""
    schedule = linear_schedule(50)
    first, second, variance = schedule.posterior
    single = schedule.kept / schedule.before
    precision = 1 / (1 - schedule.before[1:]) + single[1:] / (1 - single[1:])
    assert torch.allclose(variance[1:], 1 / precision)
    assert torch.allclose(first[1:], schedule.before[1:].sqrt() / (1 - schedule.before[1:]) / precision)
    assert torch.allclose(second[1:], single[1:].sqrt() / (1 - single[1:]) / precision)
    assert (first[0], second[0], variance[0]) == (1.0, 0.0, 0.0)


def test_steps_back_leave_the_forward_process_as_it_is():
    schedule = linear_schedule(50)
    first, second, variance = schedule.posterior
    assert torch.allclose(first + second * schedule.kept.sqrt(), schedule.before.sqrt())
    assert torch.allclose(second**2 * (1 - schedule.kept) + variance, 1 - schedule.before)


def test_cleaning_undoes_noising():
    schedule, draw = linear_schedule(20), torch.Generator().manual_seed(0)
    images, noise = torch.randn((20, 3, 4), generator=draw, dtype=torch.float64), torch.randn((20, 3, 4), generator=draw, dtype=torch.float64)
    step = torch.arange(20)
    assert torch.allclose(schedule.cleaned(schedule.noised(images, step, noise), step, noise), images)


def test_sampling_with_the_exact_denoiser_of_a_gaussian_gives_that_gaussian():
    schedule, count = linear_schedule(1000), 4000
    labels = torch.zeros(count, dtype=torch.long)
    drawn = sample(exact(schedule, 0.3, 0.5), schedule, labels, (2,), torch.Generator().manual_seed(0), clip=False)
    assert drawn.mean() == pytest.approx(0.3, abs=4 * 0.5 / (2 * count) ** 0.5)
    # the small variance of a step is short by a little of each step's; 3 % is what 1,000 steps leave
    assert drawn.std() == pytest.approx(0.5, rel=0.03)


def projected(images, scale, steps=50, factor=2, deviation=0.1):
    schedule = linear_schedule(100)
    noises = torch.randn((steps + 1, 1, *images.shape[1:]), generator=torch.Generator().manual_seed(1))
    denoise = exact(schedule, 0.0, deviation)
    return project(denoise, schedule, images, noises, none=0, keep=lambda x: low_pass(x, factor), scale=scale, clip=False)


def test_projection_takes_strange_images_to_the_source_and_guidance_holds_what_the_low_pass_keeps():
    """The source is N(0, 0.1^2), where all is linear: guidance on the mean of 64 pixels adds what this recursion says, to every pixel alike."""
    images = torch.full((1, 1, 8, 8), 0.8)
    free, held = projected(images, 0.0), projected(images, 0.2, factor=8)
    assert free.mean().abs() < 0.1
    schedule, moved = linear_schedule(100), 0.0
    first, second, _ = schedule.posterior
    for step in reversed(range(50)):
        share = schedule.kept[step]
        clean = float(share.sqrt() * 0.01 / (share * 0.01 + 1 - share))  # x_0^ over x_t
        moved = float(first[step] * clean + second[step]) * moved + 0.2 * clean / 8
    assert moved > 0.05
    assert torch.allclose(held - free, torch.full_like(free, moved), rtol=1e-3)


def test_guidance_is_that_of_the_norm_of_each_image():
    """Doubling the distance changes the gradient of a norm not at all, and that of its square twofold; company changes nothing."""
    schedule = linear_schedule(100)
    noises = torch.zeros(2, 1, 1, 4, 4)
    denoise = exact(schedule, 0.0, 0.1)
    far = torch.stack([torch.full((1, 4, 4), value) for value in (1.0, 2.0)])

    def pull(images):
        moved = [project(denoise, schedule, images, noises, none=0, keep=lambda x: x, scale=scale, clip=False) for scale in (0.0, 1.0)]
        return moved[1] - moved[0]

    assert torch.allclose(pull(far)[0], pull(far)[1], rtol=1e-4)
    assert torch.allclose(pull(far)[:1], pull(far[:1]))
    assert pull(far).min() > 0


def test_a_low_pass_is_a_projection():
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    once = low_pass(images, 4)
    assert torch.allclose(low_pass(once, 4), once)
    assert torch.allclose(((images - once) * once).sum(), torch.zeros(()).double(), atol=1e-10)
    assert torch.equal(low_pass(images, 1), images)
    with pytest.raises(ValueError, match="divide"):
        low_pass(images, 3)


def test_a_projection_goes_back_at_least_one_step():
    with pytest.raises(ValueError, match="1 to 100"):
        projected(torch.zeros(1, 1, 8, 8), 0.0, steps=0)


def test_a_trained_denoiser_draws_the_class_that_it_is_asked_for():
    draw, schedule = torch.Generator().manual_seed(0), linear_schedule(50)
    labels = torch.arange(128) % 2
    images = (labels * 1.0 - 0.5)[:, None, None, None] + 0.1 * torch.randn((128, 1, 2, 2), generator=draw)
    state = torch.random.get_rng_state()
    net = train_denoiser(images, labels, 2, schedule, epochs=100, seed=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    drawn = sample(net, schedule, labels, (1, 2, 2), draw)
    assert ((drawn.mean((1, 2, 3)) > 0).long() == labels).float().mean() > 0.95
