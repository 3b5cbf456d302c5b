"""The teacher's recursion and the restoration of weights."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'outthink[adapt]'")

from adapt.networks import Net  # noqa: E402

from outthink.adapt.teacher import follow, frozen_copy, restore  # noqa: E402


def test_after_n_updates_the_distance_has_shrunk_by_momentum_to_the_n():
    student = Net().eval()
    teacher = frozen_copy(student)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    for _ in range(10):
        follow(teacher, student, 0.9)
    for ahead, behind in zip(student.parameters(), teacher.parameters(), strict=True):
        assert torch.allclose(ahead - behind, torch.full_like(ahead, 0.9**10), atol=1e-5)
        assert not behind.requires_grad


def test_momentum_one_moves_nothing_and_buffers_never_follow():
    student = Net().eval()
    teacher = frozen_copy(student)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student.body[1].running_mean.add_(3.0)
    with torch.no_grad():
        student.head.weight.add_(1.0)
    follow(teacher, student, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    follow(teacher, student, 0.0)
    assert torch.equal(teacher.head.weight, student.head.weight)
    assert torch.equal(teacher.body[1].running_mean, before["body.1.running_mean"])


def test_restoration_puts_back_the_asked_share_of_single_weights():
    weight = torch.nn.Parameter(torch.ones(100, 100))
    restore([weight], [torch.zeros(100, 100)], 0.3, torch.Generator().manual_seed(0))
    assert set(weight.detach().unique().tolist()) == {0.0, 1.0}
    assert abs(float((weight == 0).float().mean()) - 0.3) < 0.02  # four standard errors
    restore([weight], [torch.zeros(100, 100)], 1.0, torch.Generator())
    assert float(weight.detach().abs().sum()) == 0
