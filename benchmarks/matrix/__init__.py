"""
What the kill matrix is made of, for the benchmark of that name and for its short form in the tests.

Producers and workers are the product's own, in processes of their own whose functions are wrapped: at a named point
one says so over a pipe and waits.  The harness kills whom the plan names, lets the others go on, starts the dead ones
again and compares what the database holds with what the producers were promised.
"""
