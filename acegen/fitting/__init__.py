"""Linear fits: labelled structures in, a specification with weights out; see `acegen.fitting.fit`."""
