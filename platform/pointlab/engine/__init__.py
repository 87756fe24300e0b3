"""The engine: pointlab on Ray. The only package that imports ray.

Ray starts and places workers, moves data and runs trials. It is never trusted with a checkpoint: those
are written by the loop itself, verified, so a failed upload of Ray's cannot lose one.
"""

from pointlab.engine.environment import set_up

set_up()  # ray reads its environment when it is first imported, so this comes before any of our modules
