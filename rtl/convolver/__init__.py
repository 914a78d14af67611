"""Two-dimensional convolvers: k x k processing elements a channel, fed by line buffers.

``window`` forms the k x k activations of every input channel once, for all output channels;
``shift`` and ``multiply`` are the processing elements of one output channel, which shift or
multiply; ``engine`` joins them.
"""
