"""Transfers between external memory and the machine's memories, by channels that work alike.

``transfer`` says what a transfer is. In a ``channel``, ``check`` refuses transfers that leave their
buffer or region, ``split`` makes bursts of the others, ``walk`` the addresses of their words,
``words`` turns beats into words and back. ``share`` lets channels, host and machine use one memory.
"""
