"""The kill matrix: SIGKILL at each line that the stories execute, then a restart, then the truth.

`watched` names the lines and dies at one; `acts` are the stories; `house` is what they stand on; `restart` starts
everything anew and judges; `worker` forks a child for each death and one for each restart; `nursery` is the process
from which all of them are forked; `matrix` conducts it for the tests.
"""
