"""Codecs of field protocols: bytes in, values out; the standard library only, no sockets."""
