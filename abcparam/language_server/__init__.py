"""The language server: what `abcparam.editor` knows of a text, in the protocol of editors."""
