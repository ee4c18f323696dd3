"""How fast Forebay is, against named peers and limits measured in the same run on the same machine.

`python -m benchmarks` runs every figure, `python -m benchmarks list start` those named. Each figure is one line on
standard output, `<name> <value><unit> goal <op> <number> ok|short`; what it was reckoned from goes to standard error.
A figure that misses its goal is reported and fails nothing; a benchmark that can't be run ends the whole with an error.
"""
