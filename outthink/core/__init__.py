"""Types, Protocols, budget, session and journal: what every other room stands on. Imports no implementation of a Protocol."""
