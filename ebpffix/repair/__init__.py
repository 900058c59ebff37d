"""From the verifier's refusal to an edit of the C source, with proof.

trace (verify/) → locate: the steps of a refusal as expressions → strategies: candidates → place: where a guard goes
→ search: compile, load, again, until it loads → oracle: is it still the same program?
"""
