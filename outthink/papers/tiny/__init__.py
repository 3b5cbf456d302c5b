"""Sweeps of tiny networks, trained here in minutes: where a paper's claim needs training runs and no table of them is published.

Text is Python's own documentation, character by character, or scikit-learn's digits. Networks have 100 to 200,000 parameters and are trained
for seconds, so a sweep can show that a method does what it says and what happens at that size, and nothing about language models.
`networks` and `training` need torch (extra `adapt`) and are imported where a fixture is made; the rows that it leaves need numpy only.
"""
