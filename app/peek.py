"""Whether there is anything to read, asked without waiting."""

import socket


def has_input(connection: socket.socket) -> bool:
    """Data, an end or an error; not of TLS, whose sockets take no flags.

    Where sockets are patched, a poll goes through the hub: it takes longer than most commands to Redis, and lets other
    greenlets in.
    """
    try:
        timeout = connection.gettimeout()
        connection.settimeout(0.0)
        try:
            connection.recv(1, socket.MSG_PEEK)
        finally:
            connection.settimeout(timeout)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
