"""The ceiling of accepted answers [89]: the closed form is the limit of resampling one type of task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.laws.forms.imperfect_verifier import VerifierCeiling, VerifierLine
from outthink.laws.methods.imperfect_verifier import ImperfectVerifier

PROPER = st.floats(0.01, 0.99)


@given(rate=PROPER, sound=PROPER, complete=PROPER)
def test_the_form_is_the_limit_of_resampling(rate: float, sound: float, complete: float):
    limit = ImperfectVerifier((1.0,), (rate,), sound, complete).outcome(10**9)
    assert float(VerifierCeiling((1.0 - sound) / complete)(rate)) == pytest.approx(float(limit.accuracy_if_accepted), rel=1e-6)


def test_the_line_is_a_line():
    assert float(VerifierLine(0.2183, 0.7247)(0.5)) == pytest.approx(0.83385)
