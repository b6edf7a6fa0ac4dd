"""How image files are laid out: what is checked before decoding, and rewrapping without metadata.

A rewrapped file has the same compressed pixels and nothing else: no EXIF, XMP, comment, colour
profile, thumbnail, private block, or byte after the end of the image.
"""
