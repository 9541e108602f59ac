"""A city's sensors simulated from simple physics, marked `simulated`: `python -m feeds.simulated`.

`chance` and `weather` are shared by all; `water`, `sewage`, `dust` and `fire` say what a sensor reads; `scenario` what happens to it; `folder` reads
a city's files; `simulation` makes readings of all that; `means` averages them; `feed` sends them. A reading is a pure function of seed, start and
time.
"""
