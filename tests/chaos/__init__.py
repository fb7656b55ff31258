"""Fault injection: real clients against real processes while parts of them die, freeze and lose things.

`python -m tests.chaos` runs it. `driver` sends and records, `faults` breaks and repairs, `checker` judges what was
recorded, and knows nothing of processes.
"""
