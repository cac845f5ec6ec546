"""Measurements of `acegen bench`: structures, floating-point peak, cold compile time, peers, tables and plots."""
