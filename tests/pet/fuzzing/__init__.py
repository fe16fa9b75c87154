"""Fuzzing of PET reading: clean tiny series, mutations of them, an independent reference, and a judge."""
