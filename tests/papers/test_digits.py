"""The generated digits: sources differ in what they should, and mixtures have the shares asked for."""

import numpy as np

from outthink.papers.digits import Pool, digits, nearest_neighbour_accuracy


def test_the_sources_are_clean_mislabelled_and_rotated():
    rng = np.random.default_rng(0)
    pool = Pool.drawn(rng, each=2000)
    test, labels = pool.clean(300, rng)
    clean, noisy, turned = (nearest_neighbour_accuracy(pool.images[part], pool.labels[part], test, labels) for part in range(3))
    assert clean > 0.65
    assert noisy < clean - 0.15
    assert turned < 0.25


def test_a_mixture_has_its_shares_and_no_repeats():
    rng = np.random.default_rng(1)
    pool = Pool.drawn(rng, each=400)
    images, labels = pool.mixed(np.array([0.25, 0.0, 0.75]), 400, rng)
    assert images.shape == (400, 81)
    assert labels.shape == (400,)
    assert len(np.unique(images, axis=0)) == 400
    from_third = (images[:, None, :] == pool.images[2][None, :, :]).all(axis=2).any(axis=1)
    assert from_third.sum() == 300


def test_labels_are_what_is_drawn():
    images, labels = digits(500, np.random.default_rng(2))
    ones = images[labels == 1].mean(axis=0)
    eights = images[labels == 8].mean(axis=0)
    assert eights.sum() > ones.sum() * 1.3  # an eight has more ink
