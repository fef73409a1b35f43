"""Requests and the runs that answer them: merged, in order, not too often, within the budget, never twice."""
