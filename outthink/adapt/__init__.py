"""Test-time adaptation: classifiers that keep up when the world drifts. Needs torch (extra `adapt`); stands on `stats` and `core.errors` alone.

model = adapt(classifier.eval(), Tent(lr=1e-3))
for batch in stream:
    logits = model(batch)  # predicts, and adapts
"""
