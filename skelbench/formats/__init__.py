"""Parsers that several data sets share: bytes in, arrays out."""
