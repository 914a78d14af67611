"""Codebook arithmetic: weights that are one of three values of a layer, or zero.

``Σ w[index[l]] * a[l] = Σ_v w[v] * S[v]`` with ``S[v]`` the sum of the activations whose weight is
value v. So a processing element only lets its activation into one of three sums, and the values
are applied once to each sum (``column``), as multiples that are read from tables (``multiples``).
"""
