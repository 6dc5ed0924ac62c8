"""Simulated vendors, served over real HTTP for the demo, the tests and the screenshots."""
