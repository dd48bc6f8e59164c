"""What crosses the link: the wire format, and the codecs that turn features or a frame into bytes and back.

May import: ``errors``, ``operating_point``.
"""
