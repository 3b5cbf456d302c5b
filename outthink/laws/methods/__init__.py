"""Methods of single papers that are no law with parameters: estimators, simulators, analyses and plans, a file each."""
