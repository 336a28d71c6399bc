"""Compressed pixels as bytes: items, fragments and codestreams, read without decoding them."""
