"""Configurations of other projects, in which people write µP: read as specs, written from them."""
